//! What is decided, case by case. Whole fleets are followed in `sim::platforms::kuaidi100`.

use super::*;
use crate::core::calendar::Era;
use crate::core::engine::Engine;
use crate::core::parcel::fold::Scan;
use crate::core::problem::Problems;

const START: Instant = Instant::from_secs(1_772_337_600);

fn settings(push: bool) -> Settings {
    let hours = |h: i64| Span::from_minutes(h * 60);
    Settings {
        rules: Rules {
            floor: Span::HOUR,
            stall: hours(72),
            pickup_for: hours(120),
            no_trace_for: hours(360),
            silent_for: hours(1440),
        },
        push,
        per_day: 20_000,
        most: 1000,
        query_gap: Span::from_millis(1050),
        subscribe_gap: Span::from_millis(55),
    }
}

/// A planner in its own time: calls are answered at once.
struct World {
    planner: Planner,
    elapsed: Span,
    kept: BTreeMap<Number, Kept>,
    settings: Settings,
}

impl World {
    fn new(settings: Settings) -> World {
        let planner = Planner::new("k", None, settings, BTreeMap::new(), Span::ZERO);
        World { planner, elapsed: Span::ZERO, kept: BTreeMap::new(), settings }
    }

    fn restart(&mut self) {
        self.planner = Planner::new("k", None, self.settings, self.kept.clone(), self.elapsed);
    }

    fn now(&self) -> Instant {
        START + self.elapsed
    }

    fn minutes(&self) -> i64 {
        self.elapsed.as_secs() / 60
    }

    fn go(&mut self, minutes: i64) {
        self.elapsed = self.elapsed.max(Span::from_minutes(minutes));
    }

    fn name(&mut self, n: u32) -> Number {
        let number = Number::new("yuantong", &format!("YT{n:013}")).unwrap();
        let link = Link {
            source: "pdd".to_owned(),
            kind: "order".to_owned(),
            id: format!("o{n}"),
            shop: None,
            ..Link::default()
        };
        let now = self.now();
        self.planner.named(number.clone(), link, now, Some(now), false, now);
        number
    }

    /// Lets it go on until it calls, at most so many minutes.
    fn call(&mut self, within: i64) -> Option<(Arc<Number>, Call)> {
        let until = self.elapsed + Span::from_minutes(within);
        while self.elapsed <= until {
            match self.planner.next(self.now(), self.elapsed) {
                Next::Call(number, call) => return Some((number, call)),
                Next::Wait(span) => self.elapsed += span,
                Next::Reserve(numbers) => {
                    for (number, kept) in self.planner.reservation(&numbers, self.now()) {
                        self.kept.insert((*number).clone(), kept);
                    }
                    self.planner.reserved(numbers, self.now(), self.elapsed);
                }
            }
        }
        None
    }

    fn keep(&mut self, step: Step, is_answer: bool) -> Vec<Observation<'static>> {
        self.kept.insert((*step.number).clone(), step.row.clone());
        let seen = step.observations.clone();
        self.planner.kept(step, is_answer, self.elapsed);
        seen
    }

    fn answer(&mut self, number: &Arc<Number>, events: &[(i64, Milestone)]) -> Vec<Observation<'static>> {
        let step = self.planner.took(number, trace(events), None, self.now());
        self.keep(step, true)
    }

    fn push(&mut self, number: &Arc<Number>, events: &[(i64, Milestone)], on: On) -> Step {
        let step = self.planner.took(number, trace(events), Some(on), self.now());
        self.keep(step.clone(), false);
        step
    }

    fn fail(
        &mut self,
        number: &Arc<Number>,
        call: Call,
        class: Class,
        of: Whose,
    ) -> Vec<Observation<'static>> {
        let trouble = Trouble { failure: Failure::new(class, "x"), of };
        let step = self.planner.failed(number, call, trouble, self.now(), self.elapsed);
        step.map(|step| self.keep(step, false)).unwrap_or_default()
    }
}

fn trace(events: &[(i64, Milestone)]) -> Trace {
    let scan = |(minutes, milestone): &(i64, Milestone)| Scan {
        code: Some("1".into()),
        ..Scan::new(START + Span::from_minutes(*minutes), *milestone)
    };
    Trace { scans: events.iter().map(scan).collect(), rows: events.len(), ..Trace::default() }
}

fn by_the_shipped_rules() -> Engine {
    let mut file: toml::Table =
        toml::from_str(include_str!("../../../../config/policies/parcels.toml")).expect("the shipped file");
    file.remove("alerting");
    let policy = file.try_into().expect("a policy");
    Engine::new("d", &policy, Some(START), Era::DEFAULT, &mut Problems::new()).expect("an engine")
}

/// A desk that is set up hears of parcels days after they were shipped: what was done in time rings nobody, not even for a
/// moment, or a thousand of them would be a storm.
#[test]
fn what_is_first_told_of_an_old_parcel_rings_only_what_is_so() {
    use Milestone as M;
    let way = [(60, M::Registered), (300, M::PickedUp), (900, M::InTransit), (2000, M::AtDestination)];
    let out = [(2400, M::OutForDelivery), (2500, M::Delivered)];
    for (events, want) in [([&way[..], &out[..]].concat(), ""), (way.to_vec(), "r06_not_out")] {
        let mut world = World::new(settings(false));
        let number = Arc::new(world.name(1));
        world.go(4 * 24 * 60);
        let step = world.planner.took(&number, trace(&events), None, world.now());
        let mut engine = by_the_shipped_rules();
        let crossings = step.observations.iter().flat_map(|seen| engine.observe(seen, world.now()).crossings);
        let mut rung: Vec<String> = crossings.map(|crossing| crossing.cycle.clock.to_string()).collect();
        rung.dedup();
        assert_eq!(rung.join(" "), want);
    }
}

/// Q18, Q21, F9: scans from the future, of 1970, in two zones, ten thousand of them: through the planner, the fold and the
/// engine by the shipped rules. Bounded, counted, and none of them rings.
#[test]
fn scans_that_cannot_be_ring_nothing_however_many_there_are() {
    let mut world = World::new(settings(false));
    let number = Arc::new(world.name(1));
    let of = |at: Instant, milestone, text| Scan {
        code: Some("0".into()),
        place: Some("浙江,杭州市".into()),
        text,
        ..Scan::new(at, milestone)
    };
    let now = START + Span::DAY.times(9);
    world.elapsed = Span::DAY.times(9);
    // Every minute of a week, half of them eight hours behind; and what never was.
    let mut scans: Vec<Scan> = (0..10_000_u64)
        .map(|n| {
            let zone = Span::from_minutes(if n % 2 == 0 { 0 } else { 480 });
            of(START + Span::from_minutes(n as i64) - zone, Milestone::InTransit, n + 1)
        })
        .collect();
    scans.push(of(Instant::from_secs(0), Milestone::Delivered, 0));
    scans.push(of(now + Span::HOUR.times(8), Milestone::Delivered, 0));
    scans.push(of(now + Span::DAY, Milestone::Delivered, 0));
    let trace = Trace { rows: scans.len(), scans, ..Trace::default() };
    let step = world.planner.took(&number, trace, None, now);
    let counts = step.counts;
    assert_eq!((counts.timeless, counts.other_zone + counts.ahead), (1, 2), "{counts:?}");
    assert!(counts.used <= 2_000, "{counts:?}");
    let marks: usize = step.observations.iter().map(|seen| seen.marks.len()).sum();
    assert!(marks < 2_100, "{marks}");
    let mut engine = by_the_shipped_rules();
    let mut rung = 0;
    for seen in &step.observations {
        let changes = engine.observe(seen, now);
        assert_eq!((changes.refused, changes.merge.refused, changes.merge.implausible), (None, 0, 0));
    }
    while let Some(wake) = engine.next_wake().filter(|wake| *wake <= now + Span::HOUR) {
        rung += engine.advance(wake).crossings.iter().filter(|c| &*c.cycle.clock != "r34_tz_suspect").count();
    }
    assert!(rung <= 2, "{rung} rings of what never was");
}

fn said(seen: &[Observation<'_>], name: &str) -> Option<String> {
    let mut found = seen.iter().flat_map(|o| &o.attributes).filter(|(n, _)| n == name);
    found.next_back().map(|(_, v)| match v {
        Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    })
}

#[test]
fn a_parcel_is_asked_for_until_it_is_over() {
    use Milestone as M;
    let mut world = World::new(settings(false));
    world.name(1);
    let (number, call) = world.call(8 * 60).unwrap();
    assert_eq!((call, (300..=400).contains(&world.minutes())), (Call::Query, true));
    assert_eq!(world.kept[&*number].asked, Some(world.now()), "kept before it is asked");
    let seen = world.answer(&number, &[(200, M::PickedUp)]);
    assert_eq!(said(&seen, "status").as_deref(), Some("picked_up"));
    let again = world.call(10 * 60).unwrap();
    assert_eq!(world.answer(&again.0, &[(200, M::PickedUp)]), [], "nothing new, nothing told");
    let way = [(200, M::PickedUp), (900, M::Delivered)];
    let asked = world.call(10 * 60).unwrap();
    world.go(901);
    world.answer(&asked.0, &way);
    for check in [24, 72] {
        let asked = world.call(100 * 60).unwrap();
        assert!(
            (900 + check * 60..=905 + check * 60).contains(&world.minutes()),
            "{check}: {}",
            world.minutes()
        );
        let seen = world.answer(&asked.0, &way);
        let closed = seen.iter().any(|o| o.marks.iter().any(|m| m.name == "closed"));
        assert_eq!(closed, check == 72);
    }
    assert_eq!((world.call(3 * 24 * 60), world.planner.count()), (None, 0));
    // The carrier goes on all the same, and somebody tells us.
    world.push(&number, &[(200, M::PickedUp), (900, M::Delivered), (6000, M::Returning)], On::Yes);
    assert_eq!((world.kept[&*number].over, world.planner.count()), (None, 1));
}

#[test]
fn what_is_older_than_what_is_known_says_nothing() {
    use Milestone as M;
    let mut world = World::new(settings(true));
    world.name(1);
    let (number, call) = world.call(60).unwrap();
    assert_eq!(call, Call::Subscribe, "first of all");
    let step = world.planner.subscribed(&number, world.now()).unwrap();
    world.keep(step, true);
    world.go(500);
    let newer = world.push(&number, &[(200, M::PickedUp), (400, M::InTransit)], On::Yes);
    assert!(!newer.is_stale && !newer.observations.is_empty());
    for old in [&[(200, M::PickedUp)][..], &[][..], &[(400, M::InTransit)][..]] {
        let step = world.push(&number, old, On::Yes);
        assert!(step.is_stale && step.observations.is_empty(), "{old:?}");
    }
    let late = world.push(&number, &[(200, M::PickedUp), (300, M::InTransit), (400, M::InTransit)], On::Yes);
    assert!(!late.is_stale, "a scan that was uploaded late is news");
    assert!(late.row.revision > newer.row.revision);
}

/// A scan that was uploaded late says that an earlier one was misread: what is told now replaces what was told then.
#[test]
fn what_is_corrected_is_not_said_of_earlier() {
    use Milestone as M;
    let mut world = World::new(settings(false));
    world.name(1);
    let (number, _) = world.call(8 * 60).unwrap();
    let at = |minute: i64| START + Span::from_minutes(minute);
    let status = |seen: &[Observation<'_>]| {
        let found = seen.iter().find(|o| o.attributes.iter().any(|(name, _)| name == "status")).unwrap();
        (said(seen, "status").unwrap(), found.as_of, found.revision)
    };
    let first = status(&world.answer(&number, &[(100, M::OutForDelivery), (220, M::InTransit)]));
    assert_eq!((first.0.as_str(), first.1), ("in_transit", at(220)));
    let (number, _) = world.call(8 * 60).unwrap();
    let way = [(100, M::OutForDelivery), (200, M::Delivered), (220, M::InTransit)];
    let then = status(&world.answer(&number, &way));
    assert_eq!((then.0.as_str(), then.1), ("delivered", at(220)));
    assert!(then.2 > first.2);
}

#[test]
fn a_refused_number_is_left_alone_and_a_refused_account_is_told() {
    let mut world = World::new(settings(false));
    world.name(1);
    // One number: three times, hours apart; then not before somebody has seen to it.
    for n in 1..=3 {
        let (number, call) = world.call(26 * 60).unwrap();
        let seen = world.fail(&number, call, Class::Parameter, Whose::Number);
        assert_eq!(said(&seen, "tracking").as_deref(), (n == 3).then_some("refused"), "{n}");
    }
    assert_eq!((world.call(48 * 60), world.planner.blind(world.elapsed)), (None, None));
    world.restart();
    assert!(world.call(60).is_some(), "a restart tries again");
    // Many in a row: it is what we send with them.
    let mut world = World::new(settings(false));
    (1..=20).for_each(|n| drop(world.name(n)));
    for n in 1..=5 {
        let (number, call) = world.call(9 * 60).unwrap();
        assert_eq!(world.planner.blind(world.elapsed), None, "{n}");
        world.fail(&number, call, Class::Parameter, Whose::Number);
    }
    assert!(world.planner.blind(world.elapsed).is_some_and(|text| text.starts_with("k:")));
    assert_eq!(world.call(50), None, "an hour of rest");
    let (number, _) = world.call(30).unwrap();
    world.answer(&number, &[]);
    assert_eq!(world.planner.blind(world.elapsed), None);
}

#[test]
fn failures_of_the_account_climb_a_ladder_and_delay_every_number() {
    let mut world = World::new(settings(false));
    (1..=20).for_each(|n| drop(world.name(n)));
    world.go(8 * 60);
    let mut called = Vec::new();
    for _ in 0..5 {
        let (number, call) = world.call(200).unwrap();
        called.push(world.minutes());
        world.fail(&number, call, Class::Transient, Whose::Account);
    }
    let waits: Vec<i64> = called.windows(2).map(|w| w[1] - w[0]).collect();
    // What was reserved with the first must wait for an hour; the others are tried one by one.
    for (wait, (from, to)) in waits.iter().zip([(0, 2), (1, 3), (4, 6), (13, 17)]) {
        assert!((from..=to).contains(wait), "{waits:?}");
    }
    assert!(world.planner.blind(world.elapsed).is_some());
}

#[test]
fn a_number_is_subscribed_four_times_a_month_and_not_sooner_than_after_half_an_hour() {
    let mut world = World::new(settings(true));
    world.name(1);
    let mut submitted = Vec::new();
    while let Some((number, call)) = world.call(2 * 24 * 60) {
        match call {
            Call::Subscribe => {
                submitted.push(world.minutes());
                world.fail(&number, call, Class::Transient, Whose::Account);
            }
            // Nothing is known of it, and nobody tells us: it is asked for as without subscriptions.
            Call::Query => drop(world.fail(&number, call, Class::Transient, Whose::Account)),
        }
        if world.minutes() > 10 * 24 * 60 {
            break;
        }
    }
    assert_eq!(submitted.len(), SUBMITS, "{submitted:?}");
    assert!(submitted.windows(2).all(|w| w[1] - w[0] >= 31), "{submitted:?}");
}

#[test]
fn after_an_abort_it_is_subscribed_again_once_something_is_seen() {
    use Milestone as M;
    let mut world = World::new(settings(true));
    world.name(1);
    let (number, call) = world.call(60).unwrap();
    assert_eq!(call, Call::Subscribe);
    let step = world.planner.subscribed(&number, world.now()).unwrap();
    world.keep(step, true);
    world.go(3 * 24 * 60);
    world.push(&number, &[], On::Abort);
    let (number, call) = world.call(24 * 60).unwrap();
    assert_eq!(call, Call::Query, "the vendor gave up: it is asked");
    world.answer(&number, &[]);
    let (number, call) = world.call(24 * 60).unwrap();
    assert_eq!(call, Call::Query);
    let seen = world.minutes();
    world.answer(&number, &[(seen - 10, M::PickedUp)]);
    assert_eq!(world.call(60).unwrap().1, Call::Subscribe, "something was seen");
}

#[test]
fn there_are_bounds() {
    let mut world = World::new(Settings { most: 3, per_day: 2, ..settings(false) });
    world.planner.sweep();
    (1..=5).for_each(|n| drop(world.name(n)));
    assert_eq!((world.planner.count(), world.planner.swept(START)), (3, (Vec::new(), 2)));
    world.go(8 * 60);
    for _ in 0..2 {
        let (number, _) = world.call(5).unwrap();
        world.answer(&number, &[]);
    }
    let next = world.call(30 * 60).unwrap();
    assert_eq!(world.minutes(), 12 * 60, "the day in China is over at sixteen hours UTC");
    world.answer(&next.0, &[]);
    // An old number is not taken up; one that is over goes once no case names it any more.
    let number = Number::new("yuantong", "YT0000000000099").unwrap();
    let old = world.now() - HORIZON - Span::HOUR;
    let link = Link { source: "a".into(), kind: "order".into(), id: "1".into(), ..Link::default() };
    world.planner.named(number, link, old, None, false, world.now());
    assert_eq!(world.planner.count(), 3);
}

/// The wall is set back by a day, and forth by one: no call comes nearer than the floor in truth.
#[test]
fn a_wall_that_is_set_changes_no_floor() {
    for hours in [-24, 24] {
        let mut planner = Planner::new("k", None, settings(false), BTreeMap::new(), Span::ZERO);
        let number = Number::new("yuantong", "YT0000000000001").unwrap();
        let link = Link { source: "a".into(), kind: "order".into(), id: "1".into(), ..Link::default() };
        planner.named(number, link, START - Span::DAY, None, false, START);
        let mut called = Vec::new();
        for minute in 0..600 {
            // It begins a little later: whoever was before it may have asked just then.
            let elapsed = Span::from_minutes(minute) + Span::from_secs(2);
            let shift = if minute < 30 { 0 } else { hours * 3600 };
            let now = Instant::from_secs(START.as_secs() + minute * 60 + shift);
            loop {
                match planner.next(now, elapsed) {
                    Next::Reserve(numbers) => planner.reserved(numbers, now, elapsed),
                    Next::Call(number, _) => {
                        called.push(minute);
                        let step = planner.took(&number, Trace::default(), None, now);
                        planner.kept(step, true, elapsed);
                    }
                    Next::Wait(_) => break,
                }
            }
        }
        assert!(!called.is_empty() && called.windows(2).all(|w| w[1] - w[0] >= 60), "{hours}: {called:?}");
    }
}
