//! Sources that are polled (`[sources]`): requests leave, pages are kept. What to ask and what follows is decided in
//! `sources::poll`; here are only the waiting, the sending and the commit.
//!
//! Invariants:
//! - one source, one task: nothing else asks with its tokens, so they are renewed once; a source that is dead delays none;
//! - what a page says and how far its list was read are one commit (I7); a step that says nothing new is kept in memory
//!   and written now and then: an older cursor reads the same again;
//! - no answer, and no part of a request, reaches a log;
//! - who rings soon is asked of the desk by one task for all sources; what is read again of a case is told like anything
//!   else that is read, and no ring waits for it.

mod who_rings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::who_rings::{Soon, WhoRings};
use crate::config::Ready;
use crate::core::alerting::Edge;
use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::model::{Row, Table};
use crate::core::time::{Instant, Span};
use crate::daemon::hand_over::{Gone, hand_over};
use crate::daemon::handle::Noticed;
use crate::daemon::reload::Follower;
use crate::daemon::supervise::{blocking, crew};
use crate::daemon::time::{Reading, TimeSource};
use crate::daemon::turn::Order;
use crate::sources::authorisation;
use crate::sources::config::SourceConfig;
use crate::sources::http::{Answer, Request, fetch, source_client};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::again::{Again, Part};
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::{Call, Class, Failure, Kept, Next, Planner, Step, What};
use crate::sources::tokens;
use crate::store::{RowQuery, Store};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::SourceState;
use crate::wire::http::ClientConfig;

/// Rows of [`Table::Cursor`] and [`Table::Reject`] that are ours begin with this.
const PREFIX: &str = "poll/";
/// What could not be done is tried again after so long.
const AGAIN: Span = Span::from_secs(5);
/// What needs somebody is looked at again after so long.
const LATER: Span = Span::from_secs(60);
/// A cursor that only moved is written so often.
const WRITTEN: Span = Span::from_minutes(5);
/// Nobody sleeps longer without looking at what to tell.
const LONGEST: Span = Span::from_secs(20);
/// A platform's time is handed on as evidence so often at most (T2).
const DATED: Span = Span::from_secs(60);

/// The name of the task that asks who rings soon: no source can have it, for rows join names by zero bytes.
const WHO_RINGS: &str = "\0who rings";

/// The sources that are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// They, by their names.
    pub sources: Arc<BTreeMap<String, SourceConfig>>,
    /// The zone of the desk: schedules go by its clocks.
    pub zone: TimeZone,
}

impl Polled {
    /// Those of a configuration.
    pub fn of(ready: &Ready) -> Polled {
        Polled { sources: Arc::new(ready.settings.sources.clone()), zone: ready.shifts.zone().clone() }
    }
}

/// Keeps one task for each source.
pub struct Polls {
    /// The sources; a reload changes them.
    pub polled: watch::Receiver<Polled>,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
    /// The desk.
    pub desk: Arc<str>,
    /// Where cursors are kept.
    pub store: Arc<dyn Store>,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// Where it shows how the sources are.
    pub metrics: Arc<Metrics>,
}

/// Goes by other sources after a reload.
pub struct PollsFollow {
    /// Where the tasks learn of it.
    pub polled: watch::Sender<Polled>,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
}

impl Follower for PollsFollow {
    fn prepare(&self, ready: &Ready) -> Result<Box<dyn FnOnce() + Send>, String> {
        for (name, config) in ready.settings.sources.iter().filter(|(_, c)| c.enabled) {
            config.platform(name, &self.env).map_err(|e| format!("source {name}: {e}"))?;
        }
        let (polled, new) = (self.polled.clone(), Polled::of(ready));
        Ok(Box::new(move || {
            polled.send_if_modified(|now| {
                let changed = *now != new;
                *now = new;
                changed
            });
        }))
    }
}

impl Polls {
    /// Polls until it is asked to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut shown: BTreeSet<String> = BTreeSet::new();
        while !stop.is_cancelled() {
            let Polled { sources, zone } = self.polled.borrow_and_update().clone();
            let apps = budgets(&sources);
            let enabled = sources.iter().filter(|(_, config)| config.enabled).map(|(name, _)| name.clone());
            let before = std::mem::replace(&mut shown, enabled.collect());
            for gone in before.difference(&shown) {
                self.metrics.source_ends(gone);
                self.forget(gone).await;
            }
            shown.iter().for_each(|name| self.metrics.source_begins(name, Class::RESULTS));
            let soon = Arc::new(watch::channel(Soon::default()).0);
            let again = sources.iter().filter(|(_, config)| config.enabled && config.read_again);
            let again: Arc<BTreeSet<String>> = Arc::new(again.map(|(name, _)| name.clone()).collect());
            let begin = |name: &str, halt| -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
                if name == WHO_RINGS {
                    let (orders, time) = (self.orders.clone(), self.time.clone());
                    let asks = WhoRings { sources: again.clone(), orders, time, soon: soon.clone() };
                    return Some(Box::pin(asks.run(halt)));
                }
                let config = sources.get(name)?;
                let app = apps.get(&config.app()).cloned()?;
                Some(Box::pin(self.source(name, config, &zone, app, soon.subscribe()).run(halt)))
            };
            let names = shown.iter().cloned().chain([WHO_RINGS.to_owned()]);
            let (mut polled, time) = (self.polled.clone(), self.time.clone());
            let changed = async move { polled.changed().await.is_ok() };
            if crew("source", names, begin, changed, &stop, (&time, LATER)).await {
                info!("the sources are configured anew");
            } else {
                // Nobody is left to say something new.
                return stop.cancelled().await;
            }
        }
    }

    /// What was told of a source that is polled no longer is over.
    async fn forget(&self, name: &str) {
        for family in ["source.authorise", "source.blind", "source.method", "source.skew"] {
            let noticed = Noticed::Source { family, source: name.into(), text: None, edge: Edge::Firing };
            // Without a desk nobody waits for it.
            drop(self.orders.send(Order::Noticed(noticed)).await);
        }
    }

    fn source(
        &self,
        name: &str,
        config: &SourceConfig,
        zone: &TimeZone,
        app: Arc<Mutex<Pace>>,
        soon: watch::Receiver<Soon>,
    ) -> Source {
        Source {
            name: name.into(),
            config: config.clone(),
            cadence: config.cadence(zone),
            app,
            env: self.env.clone(),
            desk: self.desk.clone(),
            store: self.store.clone(),
            orders: self.orders.clone(),
            time: self.time.clone(),
            metrics: self.metrics.clone(),
            soon,
            told: None,
            refused: None,
            warned: None,
            looked: None,
            written: BTreeMap::new(),
            dated: None,
            unsaved: false,
        }
    }
}

/// One budget for all sources of an app: the least that any of them allows. The lock is held for one question only.
fn budgets(sources: &BTreeMap<String, SourceConfig>) -> BTreeMap<String, Arc<Mutex<Pace>>> {
    let mut least = BTreeMap::new();
    for config in sources.values() {
        let rate = least.entry(config.app()).or_insert(config.app_per_minute);
        *rate = (*rate).min(config.app_per_minute);
    }
    least.into_iter().map(|(app, rate)| (app, Arc::new(Mutex::new(Pace::new(rate))))).collect()
}

/// The task of one source.
struct Source {
    name: Arc<str>,
    config: SourceConfig,
    cadence: Cadence,
    app: Arc<Mutex<Pace>>,
    env: Arc<BTreeMap<String, String>>,
    desk: Arc<str>,
    store: Arc<dyn Store>,
    orders: mpsc::Sender<Order>,
    time: Arc<dyn TimeSource>,
    metrics: Arc<Metrics>,
    /// Who rings soon.
    soon: watch::Receiver<Soon>,
    /// What was last told of methods that are refused.
    refused: Option<Option<String>>,
    /// What was last told of blindness and skew, once anything was: an earlier process may have left them open.
    told: Option<(bool, bool)>,
    /// What was last told of the end of its authorisation, once anything was.
    warned: Option<Option<Edge>>,
    /// When its authorisation was last looked at.
    looked: Option<Span>,
    /// When the cursor of a list was last written.
    written: BTreeMap<String, Span>,
    dated: Option<Span>,
    /// Tokens that could not be written to their file yet.
    unsaved: bool,
}

/// What a source works with.
struct Tools {
    platform: Box<dyn Platform>,
    client: reqwest::Client,
    tokens: Tokens,
}

/// Until when the first tokens are good: one that is not there yet, and can be asked for, ended by now.
fn first_until(tools: &Tools, now: Instant) -> Option<Instant> {
    let Tools { platform, tokens, .. } = tools;
    let none_yet = tokens.access.reveal().is_empty() && platform.renew(tokens, now).is_some();
    if none_yet { Some(now) } else { tokens.access_until }
}

impl Source {
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
        let mut tools = loop {
            match self.tools().await {
                Ok(tools) => break tools,
                Err(reason) => {
                    let age = self.time.read().elapsed.less(began);
                    self.metrics.source(&self.name, SourceState { blind: true, age, skew_ms: 0 });
                    self.tell(Some(format!("{}:{reason}", self.name)), None).await?;
                    self.time.sleep(LATER).await;
                }
            }
        };
        let kept = loop {
            match self.kept().await {
                Ok(kept) => break kept,
                Err(reason) => {
                    warn!(source = %self.name, error = %reason, "the cursors of a source cannot be read");
                    self.time.sleep(AGAIN).await;
                }
            }
        };
        let Reading { wall, elapsed } = self.time.read();
        let mut planner = Planner::new(
            self.name.clone(),
            tools.platform.feeds(),
            kept,
            self.config.look_back,
            self.cadence.clone(),
            Pace::new(self.config.per_minute),
            (wall, elapsed),
        );
        planner.renew_before(tools.platform.renew_before());
        planner.token_until(first_until(&tools, wall));
        info!(source = %self.name, lists = tools.platform.feeds().len(), "a source is polled");
        loop {
            self.look_again(&tools, &mut planner).await?;
            let Reading { wall, elapsed } = self.time.read();
            let next =
                planner.next(wall, elapsed, &mut self.app.lock().unwrap_or_else(PoisonError::into_inner));
            for (feed, lost) in planner.lost() {
                error!(source = %self.name, feed, %lost, "the platform no longer shows what was changed meanwhile");
            }
            match next {
                Next::Wait(span) => {
                    if self.unsaved {
                        self.save(&tools.tokens).await;
                    }
                    tokio::select! {
                        () = self.time.sleep(span.min(LONGEST)) => {}
                        Ok(()) = self.soon.changed() => self.soon.mark_changed(),
                    }
                }
                Next::Renew => self.renew(&mut tools, &mut planner).await,
                Next::Ask(call) => self.ask(&tools, &mut planner, &call).await?,
            }
            let elapsed = self.time.read().elapsed;
            let blind = planner.blind(elapsed);
            let state = SourceState {
                blind: blind.is_some(),
                age: planner.age(elapsed),
                skew_ms: planner.skew_millis(),
            };
            self.metrics.source(&self.name, state);
            self.tell(blind, planner.skewed()).await?;
            self.tell_refused(&tools, &planner).await?;
            self.warn(&mut tools, &mut planner).await?;
        }
    }

    /// What the desk says of the cases that are to be read again.
    async fn look_again(&mut self, tools: &Tools, planner: &mut Planner) -> Result<(), Gone> {
        if !self.config.read_again {
            return Ok(());
        }
        let again = |case: &OpenCase| Again {
            rings: case.next,
            changed: case.changed,
            wants: tools.platform.looks(case),
        };
        if self.soon.has_changed().unwrap_or(false) {
            let soon = self.soon.borrow_and_update().clone();
            planner.ahead(soon.get(&*self.name).into_iter().flatten().map(again).collect());
        }
        let Some(Part { from, most }) = planner.part(self.time.read().elapsed) else { return Ok(()) };
        let (answer, arrive) = oneshot::channel();
        let order = Order::Open { source: self.name.clone(), from, most, answer };
        self.orders.send(order).await.map_err(|_| Gone)?;
        // A desk that is loaded again has not answered: its cases may have other numbers.
        let open = arrive.await.unwrap_or_default();
        let cases = open.found.iter().map(again).collect();
        let Reading { wall, elapsed } = self.time.read();
        planner.open(cases, (open.next, open.end), (wall, elapsed));
        Ok(())
    }

    /// What the configuration describes.
    async fn tools(&self) -> Result<Tools, String> {
        let (name, config, env) = (self.name.clone(), self.config.clone(), self.env.clone());
        let made = blocking(move || {
            let platform = config.platform(&name, &env).map_err(|e| e.to_string())?;
            let http = ClientConfig {
                ca_file: config.ca_file.clone().map(PathBuf::from),
                proxy: config.proxy.clone(),
                connections: 1,
                public_only: false,
            };
            let client = source_client(&http).map_err(|e| e.to_string())?;
            let fixed = config.fixed_token(&env).map_err(|e| e.to_string())?;
            let tokens = match (fixed, &config.token_file) {
                (Some(access), _) => Tokens { access, ..Tokens::default() },
                (None, Some(file)) => tokens::read(file.as_ref()).map_err(|e| e.to_string())?,
                (None, None) if config.needs_token() => return Err("has no token".to_owned()),
                (None, None) => Tokens::default(),
            };
            Ok(Tools { platform, client, tokens })
        });
        made.await.map_err(|e| e.to_string())?
    }

    /// How far the lists were read.
    async fn kept(&self) -> Result<BTreeMap<String, Kept>, String> {
        let prefix = format!("{PREFIX}{}/", self.name);
        let query = RowQuery {
            table: Table::Cursor,
            id_prefix: Some(prefix.clone()),
            state: None,
            parent: None,
            limit: 1000,
        };
        let rows = self.store.rows(&self.desk, query).await.map_err(|e| e.to_string())?;
        let read = |row: &crate::store::Stored| {
            let feed = row.id.strip_prefix(&prefix)?.to_owned();
            Some((feed, serde_json::from_slice(&row.body).ok()?))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    async fn fetch(
        &mut self,
        tools: &Tools,
        planner: &mut Planner,
        request: &Request,
    ) -> Result<Answer, Failure> {
        let answer = fetch(&tools.client, request, self.time.read().wall).await;
        let Reading { wall, elapsed } = self.time.read();
        if let Ok(Some(said)) = answer.as_ref().map(|a| a.date) {
            planner.date(said, wall);
            self.evidence(request, said, elapsed);
        }
        answer
    }

    /// T2: another clock than ours, unless it is the same machine.
    fn evidence(&mut self, request: &Request, said: Instant, elapsed: Span) {
        let Some(host) = request.url.host_str() else { return };
        let local = host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if local || self.dated.is_some_and(|at| elapsed.less(at) < DATED) {
            return;
        }
        self.dated = Some(elapsed);
        // Evidence that finds no room is not missed.
        drop(self.orders.try_send(Order::Date { who: host.into(), said }));
    }

    async fn ask(&mut self, tools: &Tools, planner: &mut Planner, call: &Call) -> Result<(), Gone> {
        let theirs = planner.theirs(self.time.read().wall);
        let Some(feed) = planner.feed(call.feed).cloned() else { return Ok(()) };
        let platform = &tools.platform;
        let request = match &call.what {
            What::Page(ask) => match planner.after(call.feed) {
                Some(after) => platform.page_after(&feed, *ask, after, &tools.tokens, theirs),
                None => platform.page(&feed, *ask, &tools.tokens, theirs),
            },
            What::Case(want) | What::Again(want, _) => platform.detail(want, &tools.tokens, theirs),
        };
        let answer = self.fetch(tools, planner, &request).await;
        let step = answer.and_then(|answer| {
            let page = match &call.what {
                What::Page(ask) => platform.read_page(&feed, *ask, &answer)?,
                What::Case(want) | What::Again(want, _) => platform.read_detail(want, &answer)?,
            };
            planner.took(call, page)
        });
        self.count(step.as_ref().err());
        match step {
            Ok(step) => {
                self.keep(&feed.name, &step).await?;
                let Reading { wall, elapsed } = self.time.read();
                planner.kept(step, wall, elapsed);
            }
            Err(failure) => {
                debug!(source = %self.name, feed = %feed.name, error = %failure, "a request failed");
                let elapsed = self.time.read().elapsed;
                let mut app = self.app.lock().unwrap_or_else(PoisonError::into_inner);
                planner.failed(Some(call), failure, elapsed, &mut app);
            }
        }
        Ok(())
    }

    /// Keeps a step: its observations, its rejects and its cursor in one commit.
    async fn keep(&mut self, feed: &str, step: &Step) -> Result<(), Gone> {
        let elapsed = self.time.read().elapsed;
        let nothing = step.observations.is_empty() && step.rejects.is_empty();
        let moved = step.kept.as_ref().is_none_or(|kept| kept.wants.is_empty() && !kept.cursor.is_walking());
        let lately = self.written.get(feed).is_some_and(|at| elapsed.less(*at) < WRITTEN);
        if nothing && moved && (lately || step.kept.is_none()) {
            return Ok(());
        }
        let now = self.time.read().wall;
        let cursor =
            step.kept.as_ref().map(|kept| self.row(Table::Cursor, feed, serde_json::to_vec(kept).ok()));
        let mut rows: Vec<Row> = cursor.into_iter().collect();
        for reject in &step.rejects {
            let body = serde_json::json!({ "at": now, "reason": reject.reason, "digest": reject.digest });
            let id = format!("{feed}/{}", reject.digest);
            rows.push(self.row(Table::Reject, &id, Some(body.to_string().into_bytes())));
        }
        let refused = hand_over(&self.orders, &*self.time, step.observations.clone(), rows).await?;
        if step.kept.is_some() {
            self.written.insert(feed.to_owned(), elapsed);
        }
        if !step.rejects.is_empty() || refused > 0 || !step.odd.is_empty() {
            let (rejects, odd) = (step.rejects.len(), step.odd.iter().copied().collect::<Vec<_>>().join(" "));
            warn!(source = %self.name, feed, rejects, refused, odd, "a page has rows or fields that cannot be used");
        }
        let refused = step.rejects.len() + refused;
        self.metrics.source_rejected(&self.name, u64::try_from(refused).unwrap_or(u64::MAX));
        let page = Noticed::Page { source: self.name.clone(), items: step.rows, refused };
        self.orders.send(Order::Noticed(page)).await.map_err(|_| Gone)
    }

    /// A request ended.
    fn count(&self, failure: Option<&Failure>) {
        self.metrics.source_asked(&self.name, Class::result(failure));
    }

    fn row(&self, table: Table, id: &str, body: Option<Vec<u8>>) -> Row {
        Row { table, id: format!("{PREFIX}{}/{id}", self.name), state: None, parent: None, wake: None, body }
    }

    /// Gets other tokens: those that somebody has put into the file meanwhile, or new ones from the platform, which are
    /// in the file before they are used.
    async fn renew(&mut self, tools: &mut Tools, planner: &mut Planner) {
        if let Some(found) = self.found(&tools.tokens).await {
            planner.renewed(found.access_until, self.time.read().elapsed);
            tools.tokens = found;
            return;
        }
        let theirs = planner.theirs(self.time.read().wall);
        let Some(request) = tools.platform.renew(&tools.tokens, theirs) else {
            let failure = Failure::new(Class::Revoked, "no_refresh_token");
            return planner.not_renewed(failure, self.time.read().elapsed);
        };
        let answer = self.fetch(tools, planner, &request).await;
        let read = answer.and_then(|answer| tools.platform.read_tokens(&answer, theirs));
        let elapsed = self.time.read().elapsed;
        self.count(read.as_ref().err());
        match read {
            Ok(mut tokens) => {
                tokens.refresh = tokens.refresh.or_else(|| tools.tokens.refresh.clone());
                self.unsaved = true;
                self.save(&tokens).await;
                planner.renewed(tokens.access_until, elapsed);
                tools.tokens = tokens;
                info!(source = %self.name, "the tokens of a source were renewed");
            }
            Err(failure) => {
                warn!(source = %self.name, error = %failure, "the tokens of a source cannot be renewed");
                planner.not_renewed(failure, elapsed);
            }
        }
    }

    /// The tokens in the file, where they are others than ours.
    async fn found(&self, ours: &Tokens) -> Option<Tokens> {
        let file = PathBuf::from(self.config.token_file.as_ref().filter(|_| !self.unsaved)?);
        let found = blocking(move || tokens::read(&file)).await.ok()?.ok()?;
        let other = |a: &Secret, b: &Secret| a != b;
        other(&found.access, &ours.access).then_some(found)
    }

    async fn save(&mut self, tokens: &Tokens) {
        let Some(file) = self.config.token_file.clone() else { return };
        let tokens = tokens.clone();
        match blocking(move || tokens::write(file.as_ref(), &tokens)).await {
            Ok(Ok(())) => self.unsaved = false,
            Ok(Err(e)) => error!(source = %self.name, error = %e, "the tokens of a source are not safe"),
            Err(e) => error!(source = %self.name, error = %e, "the tokens of a source are not safe"),
        }
    }

    /// Tells what has changed of how the source is.
    async fn tell(&mut self, blind: Option<String>, skewed: Option<String>) -> Result<(), Gone> {
        let is = (blind.is_some(), skewed.is_some());
        let was = self.told.replace(is);
        if was.map(|was| was.0) != Some(is.0) {
            match &blind {
                Some(reason) => error!(error = %reason, "a source cannot be read"),
                None if was.is_some() => info!(source = %self.name, "a source can be read again"),
                None => {}
            }
            self.notice("source.blind", blind, Edge::Firing).await?;
        }
        if was.map(|was| was.1) != Some(is.1) {
            self.notice("source.skew", skewed, Edge::Firing).await?;
        }
        Ok(())
    }

    /// Tells of methods that are refused while lists are read on.
    async fn tell_refused(&mut self, tools: &Tools, planner: &Planner) -> Result<(), Gone> {
        let methods: Vec<String> = planner
            .refused()
            .map(|(word, failure)| format!("{} [{failure}]", tools.platform.method(word)))
            .collect();
        let text = (!methods.is_empty()).then(|| {
            let methods = methods.join("、");
            format!(
                "{}:应用不能调用 {methods},请在开放平台申请;列表照常读取 / the app may not call this: apply for it on the \
                 platform; lists are read on",
                self.name
            )
        });
        if self.refused.as_ref() == Some(&text) {
            return Ok(());
        }
        self.refused = Some(text.clone());
        if let Some(text) = &text {
            warn!(reason = %text, "a method of a source is refused");
        }
        self.notice("source.method", text, Edge::Prewarning).await
    }

    /// Tells before the authorisation ends. The merchant may have given another: then its tokens are in the file.
    async fn warn(&mut self, tools: &mut Tools, planner: &mut Planner) -> Result<(), Gone> {
        let Reading { wall, elapsed } = self.time.read();
        if self.looked.is_some_and(|at| elapsed.less(at) < LATER) {
            return Ok(());
        }
        self.looked = Some(elapsed);
        let about = |tools: &Tools| {
            let renewable = tools.platform.renew(&tools.tokens, wall).is_some();
            authorisation::told(&self.name, authorisation::ends(&tools.tokens, renewable), wall)
        };
        let mut told = about(tools);
        if told.is_some()
            && let Some(found) = self.found(&tools.tokens).await
        {
            planner.renewed(found.access_until, elapsed);
            tools.tokens = found;
            info!(source = %self.name, "other tokens were found");
            told = about(tools);
        }
        let is = told.as_ref().map(|(edge, _)| *edge);
        if self.warned.replace(is) == Some(is) {
            return Ok(());
        }
        let (edge, text) = match told {
            Some((edge, text)) => {
                warn!(reason = %text, "an authorisation ends");
                (edge, Some(text))
            }
            None => (Edge::Firing, None),
        };
        self.notice("source.authorise", text, edge).await
    }

    async fn notice(&self, family: &'static str, text: Option<String>, edge: Edge) -> Result<(), Gone> {
        let noticed = Noticed::Source { family, source: self.name.clone(), text, edge };
        self.orders.send(Order::Noticed(noticed)).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests;
