//! Parcels that cases name are asked for at couriers (`[couriers]`), and what couriers push is taken in. What to ask when
//! is decided in `sources::parcels`; here are only the waiting, the sending and the commits.
//!
//! Invariants:
//! - one account, one task: it alone asks, and it alone keeps what is known of its parcels, so that a push and an answer
//!   cannot overtake one another;
//! - a number is reserved in the store before it is asked for: no crash makes two calls nearer than the floor;
//! - a push is answered once it is kept, and never makes its caller wait for a request of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::config::Ready;
use crate::core::alerting::Edge;
use crate::core::engine::Shipments;
use crate::core::ids::InstallationKey;
use crate::core::model::{Observation, Row, Table};
use crate::core::parcel::fold::Counts;
use crate::core::time::{Instant, Span};
use crate::daemon::hand_over::{Gone, hand_over};
use crate::daemon::handle::Noticed;
use crate::daemon::reload::Follower;
use crate::daemon::supervise::{blocking, crew};
use crate::daemon::time::{Reading, TimeSource};
use crate::daemon::turn::Order;
use crate::sources::CourierConfig;
use crate::sources::http::{fetch, source_client};
use crate::sources::parcels::hook::Hooks;
use crate::sources::parcels::number::Carriers;
use crate::sources::parcels::plan::{Call, Kept};
use crate::sources::parcels::trace::Link;
use crate::sources::parcels::{Courier, Next, Number, Planner, Pushed, Step, Trouble};
use crate::sources::poll::Class;
use crate::store::{RowQuery, Store, Stored};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::SourceState;
use crate::wire::http::ClientConfig;

/// Rows of [`Table::Cursor`] and [`Table::Reject`] that are ours begin with this.
const PREFIX: &str = "parcel/";
/// What could not be done is tried again after so long.
const AGAIN: Span = Span::from_secs(5);
/// What needs somebody is looked at again after so long.
const LATER: Span = Span::from_secs(60);
/// Nobody sleeps longer without looking at what to tell.
const LONGEST: Span = Span::from_secs(20);
/// Pushes that wait; those beyond are told to come again.
const PUSHES: usize = 64;
/// Words for carriers that nobody knows: each is told once.
const UNKNOWN: usize = 200;
/// What could not be used is told of so many rows at a time.
const ROWS_TOLD: usize = 100;

/// The couriers that are configured.
pub type Followed = Arc<BTreeMap<String, CourierConfig>>;

/// A push of a courier, signature checked.
#[derive(Debug)]
pub struct Push {
    /// The parcel.
    pub number: Number,
    /// What it says.
    pub pushed: Pushed,
    /// Answered once it is kept.
    pub answer: oneshot::Sender<()>,
}

/// Where pushes for one account go in.
#[derive(Clone)]
pub struct Door {
    /// Whoever reads them.
    pub courier: Arc<dyn Courier>,
    /// What they are signed with.
    pub hooks: Hooks,
    /// The way to the account's task.
    pub pushes: mpsc::Sender<Push>,
}

/// The doors of all accounts that are at work, by their names.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<BTreeMap<String, Door>>>);

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doors(…)")
    }
}

impl Doors {
    /// The door of an account.
    pub fn find(&self, name: &str) -> Option<Door> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn open(&self, name: &str, door: Door) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), door);
    }

    fn shut(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Keeps one task for each account.
pub struct Parcels {
    /// The couriers; a reload changes them.
    pub followed: watch::Receiver<Followed>,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
    /// The desk.
    pub desk: Arc<str>,
    /// Where what is known of parcels is kept.
    pub store: Arc<dyn Store>,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// Where it shows how the accounts are.
    pub metrics: Arc<Metrics>,
    /// The key that pushes are signed with.
    pub key: InstallationKey,
    /// Where pushes go in.
    pub doors: Doors,
}

/// Goes by other couriers after a reload.
pub struct ParcelsFollow {
    /// Where the tasks learn of it.
    pub followed: watch::Sender<Followed>,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
}

impl Follower for ParcelsFollow {
    fn prepare(&self, ready: &Ready) -> Result<Box<dyn FnOnce() + Send>, String> {
        for (name, config) in ready.settings.couriers.iter().filter(|(_, c)| c.enabled) {
            config.courier(&self.env).map_err(|e| format!("courier {name}: {e}"))?;
        }
        let (followed, couriers) = (self.followed.clone(), Arc::new(ready.settings.couriers.clone()));
        Ok(Box::new(move || {
            followed.send_if_modified(|now| {
                let changed = *now != couriers;
                *now = couriers;
                changed
            });
        }))
    }
}

impl Parcels {
    /// Follows parcels until it is asked to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut shown: BTreeSet<String> = BTreeSet::new();
        while !stop.is_cancelled() {
            let couriers = self.followed.borrow_and_update().clone();
            let enabled = couriers.iter().filter(|(_, config)| config.enabled).map(|(name, _)| name.clone());
            let before = std::mem::replace(&mut shown, enabled.collect());
            before.difference(&shown).for_each(|gone| self.metrics.source_ends(gone));
            shown.iter().for_each(|name| self.metrics.source_begins(name, Class::RESULTS));
            let (mut followed, time) = (self.followed.clone(), self.time.clone());
            let changed = crew(
                "courier",
                shown.iter().cloned(),
                |name, halt| Some(self.account(name, couriers.get(name)?, &couriers).run(halt)),
                async move { followed.changed().await.is_ok() },
                &stop,
                (&time, LATER),
            );
            let changed = changed.await;
            self.doors.shut();
            if changed {
                info!("the couriers are configured anew");
            } else {
                // Nobody is left to say something new.
                return stop.cancelled().await;
            }
        }
    }

    fn account(&self, name: &str, config: &CourierConfig, couriers: &Followed) -> Account {
        Account {
            name: name.into(),
            config: config.clone(),
            hooks: Hooks::new(self.key.clone(), name),
            couriers: couriers.clone(),
            env: self.env.clone(),
            desk: self.desk.clone(),
            store: self.store.clone(),
            orders: self.orders.clone(),
            time: self.time.clone(),
            doors: self.doors.clone(),
            metrics: self.metrics.clone(),
            told: None,
            unknown: BTreeSet::new(),
            rows: (0, 0),
        }
    }
}

/// The task of one account.
struct Account {
    name: Arc<str>,
    config: CourierConfig,
    hooks: Hooks,
    couriers: Followed,
    env: Arc<BTreeMap<String, String>>,
    desk: Arc<str>,
    store: Arc<dyn Store>,
    orders: mpsc::Sender<Order>,
    time: Arc<dyn TimeSource>,
    doors: Doors,
    metrics: Arc<Metrics>,
    /// Whether it was last told blind, once anything was: an earlier process may have left it open.
    told: Option<bool>,
    /// Words for carriers that nobody knows.
    unknown: BTreeSet<String>,
    /// Rows of answers, and how many of them could not be used, that were not told of yet.
    rows: (usize, usize),
}

impl Account {
    async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            done = self.work() => {
                if let Err(Gone) = done {
                    debug!(source = %self.name, "the desk is gone");
                }
                stop.cancelled().await;
            }
        }
    }

    async fn work(&mut self) -> Result<(), Gone> {
        let began = self.time.read().elapsed;
        let (courier, client) = loop {
            match self.tools().await {
                Ok(tools) => break tools,
                Err(reason) => {
                    let age = self.time.read().elapsed.less(began);
                    self.metrics.source(&self.name, SourceState { blind: true, age, skew_ms: 0 });
                    self.tell(Some(format!("{}:{reason}", self.name))).await?;
                    self.time.sleep(LATER).await;
                }
            }
        };
        let kept = loop {
            match self.kept().await {
                Ok(kept) => break kept,
                Err(reason) => {
                    warn!(source = %self.name, error = %reason, "what is known of parcels cannot be read");
                    self.time.sleep(AGAIN).await;
                }
            }
        };
        let (settings, shop) = (self.config.settings(), self.config.shop.clone());
        let elapsed = self.time.read().elapsed;
        let mut planner = Planner::new(&self.name, shop.as_deref(), settings, kept, elapsed);
        // First of all the cases: whoever names a parcel is told of it.
        self.sweep(&mut planner).await?;
        let mut swept = self.time.read().elapsed;
        let (pushes, mut pushed) = mpsc::channel(PUSHES);
        let door = Door { courier: courier.clone(), hooks: self.hooks.clone(), pushes };
        self.doors.open(&self.name, door);
        info!(source = %self.name, parcels = planner.count(), "parcels are followed");
        loop {
            if self.time.read().elapsed.less(swept) >= self.config.look_every {
                self.sweep(&mut planner).await?;
                swept = self.time.read().elapsed;
            }
            let Reading { wall, elapsed } = self.time.read();
            match planner.next(wall, elapsed) {
                Next::Wait(span) => {
                    let until = self.config.look_every.less(elapsed.less(swept)).min(LONGEST);
                    tokio::select! {
                        Some(push) = pushed.recv() => self.take(&mut planner, push).await?,
                        () = self.time.sleep(span.min(until).max(Span::from_millis(10))) => {}
                    }
                }
                Next::Reserve(numbers) => {
                    let rows = planner.reservation(&numbers, wall);
                    let rows = rows.iter().map(|(number, kept)| self.row(number, Some(kept))).collect();
                    hand_over(&self.orders, &*self.time, Vec::new(), rows).await?;
                    planner.reserved(numbers, wall, elapsed);
                }
                Next::Call(number, call) => {
                    let request = match call {
                        Call::Query => courier.query(&number),
                        Call::Subscribe => {
                            let base = self.config.callback_url.as_deref().unwrap_or_default();
                            courier.subscribe(&number, &self.hooks.hook(base, &number))
                        }
                    };
                    let mut answer = std::pin::pin!(fetch(&client, &request, wall));
                    let answer = loop {
                        tokio::select! {
                            answer = answer.as_mut() => break answer,
                            Some(push) = pushed.recv() => self.take(&mut planner, push).await?,
                        }
                    };
                    self.metrics.source_asked(&self.name, Class::result(answer.as_ref().err()));
                    let now = self.time.read().wall;
                    let step = answer.map_err(Trouble::from).and_then(|answer| match call {
                        Call::Query => {
                            Ok(Some(planner.took(&number, courier.read_query(&number, &answer)?, None, now)))
                        }
                        Call::Subscribe => {
                            courier.read_subscribe(&answer).map(|_| planner.subscribed(&number, now))
                        }
                    });
                    self.answered(&mut planner, &number, call, step).await?;
                }
            }
            let elapsed = self.time.read().elapsed;
            let blind = planner.blind(elapsed);
            let state = SourceState { blind: blind.is_some(), age: planner.age(elapsed), skew_ms: 0 };
            self.metrics.source(&self.name, state);
            self.tell(blind).await?;
        }
    }

    /// What came of a call.
    async fn answered(
        &mut self,
        planner: &mut Planner,
        number: &Arc<Number>,
        call: Call,
        step: Result<Option<Step>, Trouble>,
    ) -> Result<(), Gone> {
        match step {
            Ok(Some(step)) => self.keep(planner, step, true).await,
            Ok(None) => Ok(()),
            Err(trouble) => {
                debug!(source = %self.name, error = %trouble.failure, of = ?trouble.of, "a call failed");
                let Reading { wall, elapsed } = self.time.read();
                match planner.failed(number, call, trouble, wall, elapsed) {
                    Some(step) => self.keep(planner, step, false).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Takes in a push.
    async fn take(&mut self, planner: &mut Planner, push: Push) -> Result<(), Gone> {
        let Push { number, pushed, answer } = push;
        let now = self.time.read().wall;
        let step = planner.took(&Arc::new(number), pushed.trace, Some(pushed.on), now);
        self.keep(planner, step, false).await?;
        if answer.send(()).is_err() {
            debug!(source = %self.name, "a push was kept and its caller had gone: it comes again");
        }
        Ok(())
    }

    /// Keeps a step: its observations, its rejects and its row in one commit.
    async fn keep(&mut self, planner: &mut Planner, step: Step, is_answer: bool) -> Result<(), Gone> {
        let now = self.time.read().wall;
        let mut rows = vec![self.row(&step.number, Some(&step.row))];
        for reject in &step.rejects {
            let body = serde_json::json!({ "at": now, "reason": reject.reason, "digest": reject.digest });
            rows.push(Row {
                table: Table::Reject,
                id: format!("{PREFIX}{}/{}", self.name, reject.digest),
                state: None,
                parent: None,
                wake: None,
                body: Some(body.to_string().into_bytes()),
            });
        }
        let observations: Vec<Observation<'static>> = step.observations.clone();
        let refused = hand_over(&self.orders, &*self.time, observations, rows).await?;
        if step.unknown > 0 {
            let unknown = step.unknown;
            warn!(source = %self.name, unknown, "a trace has codes that no table knows: see `statuses`");
        }
        let Counts { ahead, timeless, other_zone, .. } = step.counts;
        if !step.rejects.is_empty() || refused > 0 || ahead + timeless + other_zone > 0 {
            let rejects = step.rejects.len();
            warn!(
                source = %self.name, rejects, refused, ahead, timeless, other_zone,
                "a trace has rows that cannot be used"
            );
        }
        let refused = step.rejects.len() + refused;
        self.metrics.source_rejected(&self.name, u64::try_from(refused).unwrap_or(u64::MAX));
        self.rows.0 += step.rows;
        self.rows.1 += refused;
        planner.kept(step, is_answer, self.time.read().elapsed);
        if self.rows.0 >= ROWS_TOLD {
            let (items, refused) = std::mem::take(&mut self.rows);
            let page = Noticed::Page { source: self.name.clone(), items, refused };
            self.orders.send(Order::Noticed(page)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Looks through the desk's cases for the parcels that they name.
    async fn sweep(&mut self, planner: &mut Planner) -> Result<(), Gone> {
        planner.sweep();
        let (codes, mut from) = (self.config.codes(), Some(0));
        while let Some(place) = from {
            let (answer, arrive) = oneshot::channel();
            self.orders.send(Order::Shipments(place, answer)).await.map_err(|_| Gone)?;
            let Ok(shipments) = arrive.await else {
                // The desk begins a life anew: the next sweep sees the rest.
                return Ok(());
            };
            from = shipments.next;
            self.named(planner, &codes, shipments, self.time.read().wall);
        }
        let (gone, left_out) = planner.swept(self.time.read().wall);
        for step in planner.silent(self.time.read().wall) {
            self.keep(planner, step, false).await?;
        }
        if left_out > 0 {
            warn!(source = %self.name, left_out, "more parcels than `most` allows: the rest is not followed");
        }
        for part in gone.chunks(500) {
            let rows = part.iter().map(|number| self.row(number, None)).collect();
            hand_over(&self.orders, &*self.time, Vec::new(), rows).await?;
        }
        Ok(())
    }

    fn named(&mut self, planner: &mut Planner, codes: &Carriers, shipments: Shipments, now: Instant) {
        for shipment in shipments.found {
            // What a courier says of a parcel names it as well.
            if self.couriers.contains_key(&shipment.source) {
                continue;
            }
            let Some(code) = codes.code(&shipment.source, &shipment.carrier) else {
                let word: String = shipment.carrier.chars().take(40).collect();
                if self.unknown.len() < UNKNOWN && self.unknown.insert(word.clone()) {
                    let case = &shipment.source;
                    warn!(source = %self.name, of = %case, carrier = %word, "nobody knows this carrier: name its code in `carriers`");
                }
                continue;
            };
            let Some(number) = Number::new(&code, &shipment.waybill) else { continue };
            let link = Link {
                source: shipment.source,
                kind: shipment.kind,
                id: shipment.id,
                shop: shipment.shop,
                province: shipment.province,
                vip: shipment.vip,
                worth: shipment.worth,
                refunded: shipment.refunded,
                promise: shipment.promise,
                over: shipment.is_over,
                returning: shipment.returning,
            };
            planner.named(number, link, shipment.since, shipment.shipped, shipment.is_over, now);
        }
    }

    /// What the configuration describes.
    async fn tools(&self) -> Result<(Arc<dyn Courier>, reqwest::Client), String> {
        let (config, env) = (self.config.clone(), self.env.clone());
        let made = blocking(move || {
            let courier = config.courier(&env).map_err(|e| e.to_string())?;
            let http = ClientConfig {
                ca_file: config.ca_file.clone().map(PathBuf::from),
                proxy: config.proxy.clone(),
                connections: 1,
                public_only: false,
            };
            Ok((courier, source_client(&http).map_err(|e| e.to_string())?))
        });
        made.await.map_err(|e| e.to_string())?
    }

    /// What is known of parcels.
    async fn kept(&self) -> Result<BTreeMap<Number, Kept>, String> {
        let prefix = format!("{PREFIX}{}/", self.name);
        let query = RowQuery {
            table: Table::Cursor,
            id_prefix: Some(prefix.clone()),
            state: None,
            parent: None,
            limit: self.config.most,
        };
        let rows = self.store.rows(&self.desk, query).await.map_err(|e| e.to_string())?;
        let read = |row: &Stored| {
            Some((Number::parse(row.id.strip_prefix(&prefix)?)?, serde_json::from_slice(&row.body).ok()?))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    fn row(&self, number: &Number, kept: Option<&Kept>) -> Row {
        Row {
            table: Table::Cursor,
            id: format!("{PREFIX}{}/{number}", self.name),
            state: None,
            parent: None,
            wake: None,
            body: kept.and_then(|kept| serde_json::to_vec(kept).ok()),
        }
    }

    /// Tells whether the account can be used, when that has changed.
    async fn tell(&mut self, blind: Option<String>) -> Result<(), Gone> {
        let was = self.told.replace(blind.is_some());
        if was == Some(blind.is_some()) {
            return Ok(());
        }
        match &blind {
            Some(reason) => error!(error = %reason, "a courier cannot be asked"),
            None if was.is_some() => info!(source = %self.name, "a courier can be asked again"),
            None => {}
        }
        let (family, source, edge) = ("source.blind", self.name.clone(), Edge::Firing);
        let noticed = Noticed::Source { family, source, text: blind, edge };
        self.orders.send(Order::Noticed(noticed)).await.map_err(|_| Gone)
    }
}
