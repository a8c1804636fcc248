//! A simulated fleet of parcels for some days, read by the code that reads the real vendor, in virtual time. It dies before
//! a commit and after one; in the end what it knows is compared with what is true. The vendor is simulated.

use std::sync::Arc;

use super::*;
use crate::core::ids::InstallationKey;
use crate::core::model::{Observation, Value as Attribute};
use crate::sources::CourierConfig;
use crate::sources::http::Answer;
use crate::sources::kuaidi100::{Kuaidi100 as Adapter, Kuaidi100Config};
use crate::sources::parcels::hook::Hooks;
use crate::sources::parcels::plan::{Call, Kept, Settings};
use crate::sources::parcels::trace::Link;
use crate::sources::parcels::{Courier, Next, Number, Planner, Step, Trouble};
use crate::sources::poll::{Class, Failure};

const START: Instant = Instant::from_secs(1_767_571_200);
const FLOOR: Span = Span::HOUR;
const BASE: &str = "http://127.0.0.1:8460";

fn adapter() -> Adapter {
    let config = Kuaidi100Config {
        customer: "sim-customer".to_owned(),
        phones: [("shunfeng".to_owned(), fleet::PHONE.to_owned())].into(),
        ..Kuaidi100Config::default()
    };
    Adapter::new(&config, Secret::new("sim-key")).unwrap()
}

fn hooks() -> Hooks {
    Hooks::new(InstallationKey::new([7; 32]), "k100")
}

/// A case as a desk would have it.
#[derive(Debug, Default)]
struct Case {
    marks: BTreeSet<(String, Instant)>,
    /// The newest revision of every single mark.
    once: BTreeMap<String, (i64, Instant)>,
    attributes: BTreeMap<String, (Instant, i64, String)>,
}

impl Case {
    fn observe(&mut self, seen: &Observation<'_>) {
        for mark in &seen.marks {
            self.marks.insert((mark.name.to_string(), mark.at));
            let new = (seen.revision, mark.at);
            let known = self.once.entry(mark.name.to_string()).or_insert(new);
            if new.0 > known.0 || (new.0 == known.0 && new.1 < known.1) {
                *known = new;
            }
        }
        for (name, value) in &seen.attributes {
            let Attribute::Text(text) = value else { continue };
            let new = (seen.as_of, seen.revision, text.to_string());
            let known = self.attributes.entry(name.to_string()).or_insert(new.clone());
            if (new.0, new.1) > (known.0, known.1) {
                *known = new;
            }
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|(_, _, text)| text.as_str())
    }

    fn at(&self, name: &str) -> Option<Instant> {
        self.once.get(name).map(|(_, at)| *at)
    }
}

/// Whatever follows the parcels: its memory dies, what it kept does not.
struct Reader {
    courier: Adapter,
    planner: Planner,
    settings: Settings,
    kept: BTreeMap<Number, Kept>,
    parcels: BTreeMap<String, Case>,
    orders: BTreeMap<String, Case>,
    /// When each parcel was last heard of in earnest.
    heard: BTreeMap<String, Instant>,
    now: Instant,
    swept: Instant,
    deaths: u64,
    pushes: u64,
    stale: u64,
    refused: u64,
    blind: bool,
}

impl Reader {
    fn new(push: bool) -> Reader {
        let config = CourierConfig {
            callback_url: push.then(|| BASE.to_owned()),
            kuaidi100: Some(Kuaidi100Config::default()),
            ..CourierConfig::default()
        };
        let settings = config.settings();
        let planner = Planner::new("k100", None, settings, BTreeMap::new(), Span::ZERO);
        Reader {
            courier: adapter(),
            planner,
            settings,
            kept: BTreeMap::new(),
            parcels: BTreeMap::new(),
            orders: BTreeMap::new(),
            heard: BTreeMap::new(),
            now: START,
            swept: Instant::MIN,
            deaths: 0,
            pushes: 0,
            stale: 0,
            refused: 0,
            blind: false,
        }
    }

    fn elapsed(&self) -> Span {
        self.now.since(START)
    }

    fn die(&mut self) {
        self.deaths += 1;
        self.planner = Planner::new("k100", None, self.settings, self.kept.clone(), self.elapsed());
        self.swept = Instant::MIN;
    }

    /// What the desk's cases name: every order of the fleet that was shipped, an hour after it was.
    fn sweep(&mut self, vendor: &Kuaidi100) {
        self.planner.sweep();
        for (id, parcel) in vendor.fleet.parcels.iter().filter(|(_, p)| p.shipped + FLOOR <= self.now) {
            let link = Link {
                source: "pdd".to_owned(),
                kind: "order".to_owned(),
                id: format!("o-{id}"),
                shop: Some("flagship".to_owned()),
                ..Link::default()
            };
            let number = Number::parse(id).unwrap();
            self.planner.named(number, link, parcel.shipped, Some(parcel.shipped), false, self.now);
        }
        let (gone, left_out) = self.planner.swept(self.now);
        assert_eq!(left_out, 0);
        for number in gone {
            self.kept.remove(&number);
        }
        self.swept = self.now;
    }

    fn keep(&mut self, step: Step, is_answer: bool) {
        // One commit.
        let number = (*step.number).clone();
        self.kept.insert(number.clone(), step.row.clone());
        for seen in &step.observations {
            let cases = if seen.kind == "parcel" { &mut self.parcels } else { &mut self.orders };
            cases.entry(seen.id.to_string()).or_default().observe(seen);
        }
        if step.is_stale {
            self.stale += 1;
        } else {
            self.heard.insert(number.to_string(), self.now);
        }
        assert!(step.rejects.is_empty() && step.counts.ahead == 0, "{:?}", step.rejects);
        let elapsed = self.elapsed();
        self.planner.kept(step, is_answer, elapsed);
    }

    /// One decision, and what comes of it; it `dies` before the commit, or after it.
    fn step(&mut self, vendor: &mut Kuaidi100, dies: bool) {
        self.take_pushes(vendor);
        if self.now.since(self.swept) >= Span::from_minutes(5) {
            self.sweep(vendor);
        }
        let (now, elapsed) = (self.now, self.elapsed());
        let before = dies && now.as_millis() % 2 == 0;
        match self.planner.next(now, elapsed) {
            Next::Wait(span) => self.now = now + span,
            Next::Reserve(numbers) => {
                if before {
                    return self.die();
                }
                for (number, kept) in self.planner.reservation(&numbers, now) {
                    self.kept.insert((*number).clone(), kept);
                }
                self.planner.reserved(numbers, now, elapsed);
                self.now = now + Span::from_millis(3);
            }
            Next::Call(number, call) => {
                let request = match call {
                    Call::Query => self.courier.query(&number),
                    Call::Subscribe => self.courier.subscribe(&number, &hooks().hook(BASE, &number)),
                };
                let reply = vendor.answer(&Asked::of(&request), now).into_answer();
                self.now = now + Span::from_millis(80);
                if before {
                    return self.die();
                }
                let answer: Result<Answer, Trouble> =
                    reply.ok_or_else(|| Failure::new(Class::Transient, "none").into());
                let step = answer.and_then(|answer| match call {
                    Call::Query => Ok(Some(self.planner.took(
                        &number,
                        self.courier.read_query(&number, &answer)?,
                        None,
                        self.now,
                    ))),
                    Call::Subscribe => self
                        .courier
                        .read_subscribe(&answer)
                        .map(|_| self.planner.subscribed(&number, self.now)),
                });
                let elapsed = self.elapsed();
                match step {
                    Ok(Some(step)) if call == Call::Query => self.keep(step, true),
                    Ok(Some(step)) => {
                        self.kept.insert((*step.number).clone(), step.row.clone());
                        self.planner.kept(step, true, elapsed);
                    }
                    Ok(None) => {}
                    Err(trouble) => {
                        if let Some(step) = self.planner.failed(&number, call, trouble, self.now, elapsed) {
                            self.refused += 1;
                            self.keep(step, false);
                        }
                    }
                }
            }
        }
        self.blind |= self.planner.blind(self.elapsed()).is_some();
        if dies {
            self.die();
        }
    }

    /// Pushes as the console takes them in. Now and then nobody is there.
    fn take_pushes(&mut self, vendor: &mut Kuaidi100) {
        for outgoing in vendor.pushes(self.now) {
            self.pushes += 1;
            let path = outgoing.url.strip_prefix(BASE).unwrap();
            let parts: Vec<&str> = path.split('/').collect();
            let ["", "v1", "traces", "k100", carrier, waybill, token] = parts[..] else { panic!("{path}") };
            let number = Number::new(carrier, waybill).unwrap();
            assert!(hooks().is_of(&number, token));
            if self.now.as_secs() % 17 == 0 {
                vendor.not_taken(outgoing, self.now);
                continue;
            }
            let salt = hooks().salt(&number);
            let pushed = self.courier.read_push(&number, outgoing.body.as_bytes(), &salt).unwrap();
            let step = self.planner.took(&Arc::new(number), pushed.trace, Some(pushed.on), self.now);
            self.keep(step, false);
        }
    }
}

/// What the reader knows against what is true.
fn compare(reader: &Reader, vendor: &Kuaidi100) -> Vec<String> {
    let mut wrong = Vec::new();
    let none = Case::default();
    for (id, parcel) in &vendor.fleet.parcels {
        let (case, order) = (reader.parcels.get(id), reader.orders.get(&format!("o-{id}")).unwrap_or(&none));
        let Some(case) = case else {
            wrong.push(format!("{id}: never seen"));
            continue;
        };
        let Some(heard) = reader.heard.get(id) else {
            wrong.push(format!("{id}: never heard of"));
            continue;
        };
        // Every scan that was shown when it was last heard of is there, and no other.
        let shown: Vec<&Scan> = parcel.scans.iter().filter(|scan| scan.visible <= *heard).collect();
        let physical = |scans: &[&Scan]| -> BTreeSet<Instant> {
            scans.iter().filter(|s| s.physical).map(|s| s.at).collect()
        };
        let told: BTreeSet<Instant> =
            case.marks.iter().filter(|(name, _)| name == "last_scan").map(|(_, at)| *at).collect();
        let lost: Vec<_> = physical(&shown).difference(&told).copied().collect();
        let all: Vec<&Scan> = parcel.scans.iter().collect();
        let invented: Vec<_> = told.difference(&physical(&all)).copied().collect();
        if !lost.is_empty() || !invented.is_empty() {
            wrong.push(format!("{id}: lost {lost:?}, invented {invented:?}"));
        }
        let ours =
            ["last_scan", "exception", "closed", "reopened", "signed", "shipped", "traced", "moved_on"];
        for (name, at) in case.marks.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
            let is_it = |scan: &&&Scan| {
                let coded = name == "in_transit" && scan.code == "1002";
                let entered = scan.status == name || coded || (name == "picked_up" && scan.physical);
                scan.at == *at && entered
            };
            if !all.iter().any(|scan| is_it(&scan)) {
                wrong.push(format!("{id}: {name} at {at} never happened"));
            }
        }
        let stands =
            shown.iter().max_by_key(|scan| (scan.at, scan.step)).map_or("no_trace", |scan| scan.status);
        if case.text("status") != Some(stands) {
            wrong.push(format!("{id}: is {:?}, not {stands}", case.text("status")));
        }
        let first = |status: &str| shown.iter().filter(|s| s.status == status).map(|s| s.at).min();
        let picked_up = physical(&shown).first().copied();
        let is = (case.at("picked_up"), case.at("delivered"), order.at("picked_up"), order.at("delivered"));
        let want = (picked_up, first("delivered"), picked_up, first("delivered"));
        if is != want {
            wrong.push(format!("{id}: {is:?} is not {want:?}"));
        }
        if case.text("shop") != Some("flagship") || case.text("order") != Some(&format!("o-{id}")) {
            wrong.push(format!("{id}: is of nobody"));
        }
        if format!("{case:?}").contains("13812345678") {
            wrong.push(format!("{id}: somebody's number is in it"));
        }
        // What is under way is heard of often enough: the longest silence of the table, an outage, and the floor.
        let over = case.text("tracking").is_some();
        if !over && reader.now.since(*heard) > Span::from_minutes(60 * 60) {
            wrong.push(format!("{id}: nothing since {heard}"));
        }
        if over && !matches!(stands, "delivered" | "returned" | "cancelled" | "at_pickup_point" | "no_trace")
        {
            wrong.push(format!("{id}: was given up while {stands}"));
        }
    }
    wrong.extend(reader.parcels.keys().filter(|id| !vendor.fleet.parcels.contains_key(*id)).cloned());
    wrong
}

/// Some days of `count` parcels, with whatever goes wrong. Answers how many calls each parcel took.
fn days(seed: u64, count: u64, push: bool) -> f64 {
    let hours = |n: i64| START + Span::HOUR.times(n);
    let manners = Manners {
        trouble: 10,
        outages: vec![
            (hours(30), hours(30) + Span::from_minutes(20)),
            (hours(75), hours(75) + Span::from_minutes(20)),
        ],
        unruly: 15,
        quota: 0,
    };
    let fleet = Fleet::new(seed, count, START, Span::DAY.times(3));
    let mut vendor = Kuaidi100::new("sim-customer", "sim-key", seed, manners, fleet);
    let mut reader = Reader::new(push);
    let mut dice = Dice::new(seed ^ 77);
    let end = START + Span::DAY.times(16);
    while reader.now < end {
        let dies = dice.below(3000) == 0;
        reader.step(&mut vendor, dies);
    }
    let wrong = compare(&reader, &vendor);
    let queries: usize = vendor.queries.values().map(Vec::len).sum();
    let most = vendor.queries.values().map(Vec::len).max().unwrap_or(0);
    let scans: usize = vendor.fleet.parcels.values().map(|p| p.scans.len()).sum();
    let nearest = vendor.queries.values().flat_map(|q| q.windows(2)).map(|w| w[1].since(w[0])).min();
    let each = queries as f64 / count as f64;
    println!(
        "simulated kuaidi100, seed {seed}, {}: {count} parcels, {scans} scans, {queries} queries ({each:.1} a parcel, at \
         most {most}, never nearer than {}), {} subscriptions, {} pushes ({} stale, {} given up), {} deaths, {:?} \
         refused; asked every hour it were {}",
        if push { "pushed" } else { "asked" },
        nearest.unwrap_or(Span::ZERO),
        vendor.submits(),
        reader.pushes,
        reader.stale,
        vendor.lost,
        reader.deaths,
        vendor.refusals,
        count * 24 * 5,
    );
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} wrong\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    assert!(nearest.is_none_or(|span| span >= FLOOR), "{nearest:?}");
    assert!(vendor.locked.is_empty() && vendor.too_fast == 0, "{:?} {}", vendor.locked, vendor.too_fast);
    assert!(reader.deaths > 0 && (push || reader.blind), "it died, and outages were told");
    assert_eq!(reader.planner.blind(reader.elapsed()), None, "and are over");
    let allowed = ["500", "501", "502"];
    assert!(vendor.refusals.keys().all(|code| allowed.contains(&code.as_str())), "{:?}", vendor.refusals);
    each
}

#[test]
fn a_fleet_is_followed_without_loss_by_asking() {
    for seed in 0..3 {
        let each = days(seed, 150, false);
        assert!(each < 24.0, "economy: {each} calls a parcel");
    }
}

#[test]
fn a_fleet_is_followed_without_loss_by_pushes() {
    for seed in 10..13 {
        let each = days(seed, 150, true);
        assert!(each < 5.0, "economy: {each} calls a parcel");
    }
}

/// The whole of it: `cargo test --release --lib whole_fleets -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn whole_fleets_are_followed_without_loss() {
    for seed in 100..120 {
        days(seed, 5000, false);
        days(seed, 5000, true);
    }
}

/// The vendor is as strict as the real one says it is.
#[test]
fn the_vendor_refuses_what_the_real_one_refuses() {
    let fleet = Fleet::new(1, 40, START, Span::HOUR);
    let number = |carrier: &str| {
        let found = fleet.parcels.keys().find(|id| id.starts_with(carrier));
        Number::parse(found.unwrap()).unwrap()
    };
    let now = START + Span::DAY.times(2);
    let told = |courier: &Adapter, number: &Number, manners: Manners| {
        let mut vendor = Kuaidi100::new("sim-customer", "sim-key", 1, manners, fleet.clone());
        let answer = vendor.answer(&Asked::of(&courier.query(number)), now).into_answer().unwrap();
        courier
            .read_query(number, &answer)
            .map(|t| t.scans.len())
            .map_err(|t| format!("{} {:?}", t.failure, t.of))
    };
    let calm = Manners::default;
    let (yuantong, shunfeng) = (number("yuantong"), number("shunfeng"));
    assert!(told(&adapter(), &yuantong, calm()).unwrap() > 0);
    assert!(told(&adapter(), &shunfeng, calm()).unwrap() > 0);
    let other = |customer: &str, key: &str| {
        let config = Kuaidi100Config { customer: customer.to_owned(), ..Kuaidi100Config::default() };
        Adapter::new(&config, Secret::new(key)).unwrap()
    };
    let refused = |text: &str| Err(text.to_owned());
    let ours = || other("sim-customer", "sim-key");
    assert_eq!(told(&other("sim-customer", "x"), &yuantong, calm()), refused("signature (503) Account"));
    assert_eq!(told(&other("x", "sim-key"), &yuantong, calm()), refused("quota (601) Account"));
    assert_eq!(told(&ours(), &shunfeng, calm()), refused("parameter (408) Number"));
    let unknown = Number::new("yuantong", "YT9999999999999").unwrap();
    assert_eq!(told(&ours(), &unknown, calm()), Ok(0), "no result is no trace");
    // Two in one second; one too many for its quota.
    let mut vendor =
        Kuaidi100::new("sim-customer", "sim-key", 1, Manners { quota: 1, ..calm() }, fleet.clone());
    let mut ask = |at: Instant| {
        let answer = vendor.answer(&Asked::of(&ours().query(&yuantong)), at).into_answer().unwrap();
        ours().read_query(&yuantong, &answer).map(|t| t.scans.len()).map_err(|t| t.failure.to_string())
    };
    assert!(ask(now).unwrap() > 0);
    assert_eq!(ask(now + Span::from_millis(900)), refused("transient (502)"));
    assert_eq!(ask(now + Span::from_secs(3)), refused("quota (601)"));
    // Subscriptions: the key, duplicates, and four a month.
    let mut vendor = Kuaidi100::new("sim-customer", "sim-key", 1, calm(), fleet.clone());
    let mut submit = |courier: &Adapter, s: i64| {
        let request = courier.subscribe(&yuantong, &hooks().hook(BASE, &yuantong));
        let answer = vendor.answer(&Asked::of(&request), now + Span::from_secs(s)).into_answer().unwrap();
        courier.read_subscribe(&answer).map_err(|t| format!("{} {:?}", t.failure, t.of))
    };
    use crate::sources::parcels::Submitted;
    assert_eq!(submit(&other("sim-customer", "x"), 0), Err("permission (600) Account".to_owned()));
    assert_eq!(submit(&ours(), 1), Ok(Submitted::Taken));
    assert_eq!(submit(&ours(), 2), Ok(Submitted::Already));
    assert_eq!(submit(&ours(), 3), Ok(Submitted::Already));
    assert_eq!(submit(&ours(), 4), Ok(Submitted::Already));
    assert_eq!(submit(&ours(), 5), Err("parameter (700) Number".to_owned()));
}

/// A key that is wrong, and a quota that is used up, are told once and tried once an hour, whatever there is to ask.
#[test]
fn a_wrong_account_is_told_and_not_hammered() {
    let fleet = Fleet::new(3, 60, START, Span::HOUR);
    for quota in [0, 5] {
        let key = if quota == 0 { "another" } else { "sim-key" };
        let manners = Manners { quota, ..Manners::default() };
        let mut vendor = Kuaidi100::new("sim-customer", key, 3, manners, fleet.clone());
        let mut reader = Reader::new(false);
        while reader.now < START + Span::DAY.times(2) {
            reader.step(&mut vendor, false);
        }
        let told = reader.planner.blind(reader.elapsed()).unwrap();
        assert!(told.contains("[") && !told.contains("sim-"), "{told}");
        let refused: u64 = vendor.refusals.iter().filter(|(code, _)| *code != "500").map(|(_, n)| n).sum();
        assert!((10..=50).contains(&refused), "{:?}", vendor.refusals);
    }
}
