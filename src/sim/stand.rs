//! Simulated platforms that stand open, each on a port of its own, with the configuration that reads them
//! (`shiftbell sim serve`, `shiftbell demo`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::helpdesk::HelpDesk;
use super::platforms::douyin::{self, Douyin};
use super::platforms::gateway::{Issue, Manners};
use super::platforms::jd::{self, Jd};
use super::platforms::kuaidi100::{self, Fleet, Kuaidi100};
use super::platforms::pinduoduo::{self, Pinduoduo};
use super::platforms::shop::Shop;
use super::platforms::taobao::{self, Taobao};
use super::platforms::{Simulated, serve};
use super::roads::{Fate, follow, grieve};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::platform::Tokens;
use crate::sources::tokens;

/// What a simulated shop is like.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    /// The seed of everything that happens.
    pub seed: u64,
    /// Orders a day, of each shop.
    pub orders: u64,
    /// Between two questions to the help desk, on the average.
    pub asked_every: Span,
    /// For so many days there is something to happen.
    pub days: u32,
    /// Of a thousand requests so many go wrong.
    pub trouble: u16,
    /// When the shops' platforms answer nothing, from and up to.
    pub outages: [Option<(Instant, Instant)>; 2],
    /// Parcels are followed at an aggregator, and some come to grief.
    pub parcels: bool,
}

/// What a platform's time is now.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A platform that stands open.
struct Door {
    /// The name of the source that reads it.
    name: &'static str,
    /// What it is, for people.
    title: &'static str,
    listener: TcpListener,
    platform: Box<dyn Simulated>,
    tokens: Option<Tokens>,
    truth: Option<Truth>,
    /// The lines of its source, from the folder of its secrets and where it is.
    lines: fn(&str, SocketAddr) -> String,
}

/// How a platform writes the number of an order.
pub type OrderId = fn(u64) -> String;

/// What is true of a shop, whatever its platform shows: a copy that moves on when it is told to.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The name of the source that reads it.
    pub source: &'static str,
    /// The shop.
    pub shop: Shop,
    /// How its platform writes the number of an order.
    pub order_id: OrderId,
}

/// Simulated platforms, ready to be served.
pub struct Stand {
    doors: Vec<Door>,
}

impl std::fmt::Debug for Stand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.doors.iter().map(|door| door.name)).finish()
    }
}

/// The secret of every simulated app, and of the help desk.
const SECRET: &str = "sim-secret";

impl Stand {
    /// Opens every platform at `now`: on ports from `port` on, or, where it is 0, on any.
    ///
    /// # Errors
    /// A port is taken.
    pub fn open(ip: IpAddr, port: u16, trade: Trade, now: Instant) -> io::Result<Stand> {
        let mut doors = Vec::new();
        for (nth, made) in all(trade, now).into_iter().enumerate() {
            let port = if port == 0 { 0 } else { port.saturating_add(u16::try_from(nth).unwrap_or(0)) };
            let listener = TcpListener::bind((ip, port))?;
            listener.set_nonblocking(true)?;
            let Made { name, title, platform, tokens, shop, lines } = made;
            let truth = shop.map(|(shop, order_id)| Truth { source: name, shop, order_id });
            doors.push(Door { name, title, listener, platform, tokens, truth, lines });
        }
        Ok(Stand { doors })
    }

    /// What stands open where: name, what it is, address.
    ///
    /// # Errors
    /// The system does not know a socket any more.
    pub fn addresses(&self) -> io::Result<Vec<(&'static str, &'static str, SocketAddr)>> {
        self.doors.iter().map(|door| Ok((door.name, door.title, door.listener.local_addr()?))).collect()
    }

    /// What is true of the shops behind them.
    pub fn truths(&self) -> Vec<Truth> {
        self.doors.iter().filter_map(|door| door.truth.clone()).collect()
    }

    /// Writes what reads them into a folder: `sources.toml`, and beside it a file with each shop's tokens and one with
    /// the secret, all for nobody else.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = String::from("# Simulated platforms: they lose everything when they stop.\n");
        crate::wire::secret::replace(&folder.join("sim.secret"), SECRET.as_bytes())?;
        for door in &self.doors {
            if let Some(given) = &door.tokens {
                tokens::write(&folder.join(format!("{}.json", door.name)), given)?;
            }
            text.push('\n');
            text += &(door.lines)(door.name, door.listener.local_addr()?);
        }
        fs::write(folder.join("sources.toml"), text)?;
        Ok(())
    }

    /// Serves them until it is stopped. `clock` is theirs.
    ///
    /// # Errors
    /// A socket broke.
    pub async fn run(self, clock: Clock, stop: CancellationToken) -> io::Result<()> {
        let mut servers = JoinSet::new();
        for door in self.doors {
            let listener = tokio::net::TcpListener::from_std(door.listener)?;
            let platform = Arc::new(Mutex::new(door.platform));
            servers.spawn(serve(listener, platform, Arc::clone(&clock), stop.clone()));
        }
        while let Some(ended) = servers.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

struct Made {
    name: &'static str,
    title: &'static str,
    platform: Box<dyn Simulated>,
    tokens: Option<Tokens>,
    shop: Option<(Shop, OrderId)>,
    lines: fn(&str, SocketAddr) -> String,
}

/// A parcel that comes to grief.
struct Grief {
    waybill: String,
    shipped: Instant,
    fate: Fate,
    /// The last that is heard of it.
    last: Instant,
}

/// Every platform that there is.
fn all(trade: Trade, now: Instant) -> Vec<Made> {
    let mut grieved = Vec::new();
    let mut made = vec![
        on_taobao(trade, now, &mut grieved),
        on_jd(trade, now, &mut grieved),
        on_pinduoduo(trade, now, &mut grieved),
        on_douyin(trade, now, &mut grieved),
    ];
    if trade.parcels {
        let shops = made.iter().filter_map(|made| made.shop.clone());
        let fleet = fleet(shops.map(|(shop, _)| shop), &grieved, trade, now);
        made.push(courier(trade, fleet));
    }
    made.push(helpdesk(trade, now));
    made
}

/// Every parcel of the shops, until everything has happened.
fn fleet(shops: impl Iterator<Item = Shop>, grieved: &[Grief], trade: Trade, now: Instant) -> Fleet {
    let mut fleet = Fleet::default();
    for ((mut shop, carrier), seed) in shops.zip(CARRIERS).zip(trade.seed..) {
        shop.advance(now + Span::DAY.times(i64::from(trade.days) + 1));
        follow(&mut fleet, &shop, carrier, seed);
        let ours: BTreeSet<&str> = shop.parcels.values().map(|parcel| parcel.waybill.as_str()).collect();
        for Grief { waybill, shipped, fate, last } in grieved {
            if ours.contains(waybill.as_str()) {
                grieve(&mut fleet, carrier, waybill, *shipped, (*fate, *last));
            }
        }
    }
    fleet
}

/// The carriers of the shops, as the aggregator calls them: Tmall, JD, Pinduoduo, Douyin.
const CARRIERS: [&str; 4] = ["zhongtong", "jd", "yunda", "zhongtong"];

/// What goes wrong on the way in every shop: what it is, when the last is heard of it, in minutes after the beginning, less
/// so many hours.
const GRIEF: [(Fate, i64, i64); 8] = [
    (Fate::Stuck, 40, 67),
    (Fate::Stuck, 44, 67),
    (Fate::Stuck, 48, 67),
    (Fate::Stuck, 52, 67),
    (Fate::Refused, 35, 0),
    (Fate::Damaged, 150, 0),
    (Fate::Left, 100, 48),
    (Fate::NoSuchAddress, 240, 0),
];

/// Fills a shop: a day that was, the days that come, parcels that come to grief, and orders that somebody forgets, the first
/// of them due in so many minutes.
fn fill(shop: &mut Shop, trade: Trade, now: Instant, first: i64, grieved: &mut Vec<Grief>) {
    // By hand, and before everything else: what is shipped by itself has later numbers.
    for (nth, (fate, minutes, hours)) in (1_000_000..).zip(GRIEF).filter(|_| trade.parcels) {
        let last = now + Span::from_minutes(minutes + first % 7) - Span::HOUR.times(hours);
        let shipped = last.min(now) - Span::HOUR.times(20);
        let waybill = shop.send_off(nth, shipped, now - Span::from_minutes(30));
        grieved.push(Grief { waybill, shipped, fate, last });
    }
    let days = i64::from(trade.days);
    let orders = trade.orders.saturating_mul(u64::from(trade.days) + 1);
    shop.populate(orders, now - Span::DAY, Span::DAY.times(days + 1));
    // What is forgotten is due every hour and a half, and shipped a while too late.
    for nth in 0..16 * days {
        let due = now + Span::from_minutes(first + 90 * nth);
        let number = orders + 1 + u64::try_from(nth).unwrap_or(0);
        let (paid, touched) = (due - Span::DAY.times(2), due - Span::from_minutes(95));
        shop.forget(number, paid, touched, due + Span::from_minutes(20));
    }
}

/// The tokens that a gateway has given out.
fn given(issue: &Issue) -> Option<Tokens> {
    Some(Tokens {
        access: Secret::new(issue.access.0.clone()),
        refresh: Some(Secret::new(issue.refresh.clone())),
        access_until: Some(issue.access.1),
        refresh_until: None,
    })
}

/// What every shop's source begins with.
fn shop_lines(name: &str, shop: &str) -> String {
    format!(
        "[sources.{name}]\nshop       = \"{shop}\"\nevery      = \"60s\"\nlook_back  = \"2h\"\n\
         token_file = \"{name}.json\"\n"
    )
}

fn manners(trade: Trade) -> Manners {
    let outages = trade.outages.into_iter().flatten().collect();
    Manners { trouble: trade.trouble, outages, ..Manners::default() }
}

fn on_pinduoduo(trade: Trade, now: Instant, grieved: &mut Vec<Grief>) -> Made {
    let mut mall = Pinduoduo::new("sim-app", SECRET, trade.seed, 3, manners(trade), now);
    fill(&mut mall.shop, trade, now, 25, grieved);
    Made {
        name: "pdd-flagship",
        title: "拼多多旗舰店 / a shop on Pinduoduo",
        shop: Some((mall.shop.clone(), pinduoduo::order_sn)),
        tokens: given(&mall.issue),
        platform: Box::new(mall),
        lines: |name, address| {
            shop_lines(name, "flagship")
                + &format!(
                    "[sources.{name}.pinduoduo]\ngateway            = \"http://{address}/api/router\"\n\
                     client_id          = \"sim-app\"\nclient_secret_file = \"sim.secret\"\n"
                )
        },
    }
}

fn on_taobao(trade: Trade, now: Instant, grieved: &mut Vec<Grief>) -> Made {
    let mut mall = Taobao::new("sim-app", SECRET, trade.seed + 1, 3, manners(trade), now);
    fill(&mut mall.shop, trade, now, 55, grieved);
    Made {
        name: "tmall",
        title: "天猫店 / a shop on Tmall",
        shop: Some((mall.shop.clone(), |n| taobao::tid(n).to_string())),
        tokens: given(&mall.issue),
        platform: Box::new(mall),
        lines: |name, address| {
            shop_lines(name, "tmall")
                + &format!(
                    "[sources.{name}.taobao]\ngateway         = \"http://{address}/router/rest\"\n\
                     app_key         = \"sim-app\"\napp_secret_file = \"sim.secret\"\n"
                )
        },
    }
}

fn on_jd(trade: Trade, now: Instant, grieved: &mut Vec<Grief>) -> Made {
    let mut mall = Jd::new("sim-app", SECRET, trade.seed + 3, 3, manners(trade), now);
    fill(&mut mall.shop, trade, now, 115, grieved);
    Made {
        name: "jd",
        title: "京东店 / a shop on JD",
        shop: Some((mall.shop.clone(), |n| jd::order_id(n).to_string())),
        tokens: given(&mall.issue),
        platform: Box::new(mall),
        lines: |name, address| {
            shop_lines(name, "jd")
                + &format!(
                    "[sources.{name}.jd]\ngateway         = \"http://{address}/routerjson\"\n\
                     oauth           = \"http://{address}/oauth2/refresh_token\"\n\
                     app_key         = \"sim-app\"\napp_secret_file = \"sim.secret\"\n"
                )
        },
    }
}

fn on_douyin(trade: Trade, now: Instant, grieved: &mut Vec<Grief>) -> Made {
    let mut mall = Douyin::new("sim-app", SECRET, trade.seed + 2, 3, manners(trade), now);
    fill(&mut mall.shop, trade, now, 85, grieved);
    Made {
        name: "douyin",
        title: "抖店 / a shop on Douyin",
        shop: Some((mall.shop.clone(), |n| douyin::order_id(n).to_string())),
        tokens: given(&mall.issue),
        platform: Box::new(mall),
        lines: |name, address| {
            shop_lines(name, "douyin")
                + &format!(
                    "[sources.{name}.douyin]\ngateway         = \"http://{address}/\"\n\
                     app_key         = \"sim-app\"\napp_secret_file = \"sim.secret\"\n"
                )
        },
    }
}

fn courier(trade: Trade, fleet: Fleet) -> Made {
    let manners = kuaidi100::Manners { trouble: trade.trouble, ..kuaidi100::Manners::default() };
    Made {
        name: "kuaidi100",
        title: "快递100 / a courier aggregator",
        platform: Box::new(Kuaidi100::new("sim-customer", SECRET, trade.seed, manners, fleet)),
        shop: None,
        tokens: None,
        lines: |name, address| {
            format!(
                "[couriers.{name}]\nlook_every = \"2m\"\nfloor      = \"31m\"\n\
                 carriers   = {{ \"463\" = \"jd\", \"44\" = \"yunda\" }}\n[couriers.{name}.kuaidi100]\n\
                 gateway    = \"http://{address}\"\ncustomer   = \"sim-customer\"\nkey_file   = \"sim.secret\"\n\
                 phones     = {{ zhongtong = \"4321\" }}\n"
            )
        },
    }
}

fn helpdesk(trade: Trade, now: Instant) -> Made {
    let mut desk = HelpDesk::new(trade.seed, SECRET, now - Span::from_minutes(20), trade.asked_every);
    // Whoever looks for the first time sees one come due within the hour.
    desk.forget(now, now + Span::from_minutes(70));
    Made {
        name: "helpdesk",
        title: "自建工单系统 / the shop's own help desk",
        platform: Box::new(desk),
        shop: None,
        tokens: None,
        lines: |name, address| {
            format!(
                "[sources.{name}]\nevery             = \"30s\"\nlook_back         = \"2h\"\n\
                 access_token_file = \"sim.secret\"\n[sources.{name}.http]\n\
                 base        = \"http://{address}/api/\"\nauth.bearer = {{}}\n\
                 [sources.{name}.http.lists.tickets]\nitems     = \"tickets\"\npaging    = \"keyset\"\n\
                 page_size = 50\nlag       = \"2s\"\n\
                 request   = {{ url = \"tickets\", query = {{ updated_after = \"{{{{ from }}}}\" }} }}\n\
                 [sources.{name}.http.lists.tickets.map]\nkind       = \"ticket\"\nid         = \"row.id\"\n\
                 modified   = \"row.updated_at\"\n\
                 marks      = {{ opened = \"row.asked_at\", customer_message = \"row.asked_at\", \
                 agent_reply = \"row.answered_at\", resolved = \"row.closed_at\", closed = \"row.closed_at\" }}\n\
                 attributes = {{ status = \"row.status\", shop = \"row.shop\", title = \"row.subject\" }}\n"
            )
        },
    }
}
