//! The laws of `sla_semantics` §14 that speak of whole engines, as properties: L6–L13.
//!
//! A history is a handful of observations of one ticket over three days; it is given to engines in different orders,
//! steps and splittings.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::core::calendar::Era;
use crate::core::clock::ReloadMode;
use crate::core::engine::examples::{at, engine, policy};
use crate::core::engine::{Changes, Command, Crossing, Engine, Snapshot, Verdict};
use crate::core::model::{Mark, Observation, Value};
use crate::core::time::{Instant, Span};

pub(super) const POLICY: &str = r#"
[kinds.ticket]
final = ["closed"]
closed = { status = ["resolved"] }
[[clock]]
name = "reply"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
target = "30m"
calendar = "D"
ring = ["50%", "5m before", "due", "15m after", "30m after wall"]
[[clock]]
name = "resolution"
on = "ticket"
start = "opened"
stop = "resolved"
pause = { status = ["waiting"] }
reopen = "continue"
reopen_within = "6h"
target = "4h"
calendar = "D"
ring = ["25%", { at = "75%", hold = true }, "1h before", "30m before wall", "due", "1h after"]
[[clock]]
name = "stall"
on = "ticket"
start = ["customer_message", "agent_reply"]
stop = "resolved"
pick = "last"
target = "5h"
ring = ["due"]
[[clock]]
name = "accept"
on = "ticket"
start = "assigned"
stop = "agent_reply"
reset = "assigned"
when = { priority = { not = "low" } }
on_mismatch = "cancel"
on_change = "restart"
target = "1h"
deadline = "answer_by"
calendar = "S"
ring = ["50%", "due"]
[[clock]]
name = "noon"
on = "ticket"
start = "opened"
stop = "agent_reply"
by = "12:00"
by_extends = true
pause = { status = ["waiting"] }
calendar = "O"
ring = ["50%", "2h before", "due"]
[[overlay]]
name = "urgent"
clock = ["resolution", "accept", "reply"]
when = { priority = "urgent" }
target = "20m"
[[overlay]]
name = "vip"
clock = ["resolution"]
when = { vip = true }
calendar = "always"
min_left = "10m"
"#;

const START: &str = "2026-03-02 06:00";
const MINUTES: i64 = 3 * 24 * 60;

pub(super) fn minute(n: i64) -> Instant {
    at(START) + Span::from_minutes(n)
}

pub(super) fn end() -> Instant {
    minute(MINUTES + 600)
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Minutes after the start at which it was true.
    pub(super) as_of: i64,
    pub(super) revision: i64,
    pub(super) marks: Vec<(&'static str, Option<u8>, i64, bool)>,
    pub(super) attributes: Vec<(&'static str, &'static str)>,
}

impl Seen {
    pub(super) fn observation(&self) -> Observation<'static> {
        Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: "T1".into(),
            as_of: minute(self.as_of),
            revision: self.revision,
            marks: self
                .marks
                .iter()
                .map(|(name, reference, minutes, removed)| Mark {
                    name: (*name).into(),
                    reference: reference.map(|r| format!("r{r}").into()),
                    at: minute(*minutes),
                    removed: *removed,
                })
                .collect(),
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| {
                    let value = match *value {
                        "true" => Value::Bool(true),
                        "false" => Value::Bool(false),
                        text => Value::Text(text.into()),
                    };
                    ((*name).into(), value)
                })
                .collect(),
        }
    }

    fn apart(&self) -> Vec<Seen> {
        let marks = self.marks.iter().map(|m| Seen { marks: vec![*m], attributes: vec![], ..self.clone() });
        let attributes =
            self.attributes.iter().map(|a| Seen { marks: vec![], attributes: vec![*a], ..self.clone() });
        marks.chain(attributes).collect()
    }
}

pub(super) fn seen() -> impl Strategy<Value = Seen> {
    let mark = (
        prop::sample::select(vec![
            "opened",
            "customer_message",
            "agent_reply",
            "bot_reply",
            "resolved",
            "reopened",
            "assigned",
            "closed",
            "answer_by",
        ]),
        prop::option::of(0u8..4),
        // Before it was seen, or for a deadline and a message yet to come after it.
        -400i64..60,
        prop::bool::weighted(0.05),
    );
    let attribute = prop::sample::select(vec![
        ("status", "waiting"),
        ("status", "open"),
        ("status", "resolved"),
        ("priority", "urgent"),
        ("priority", "low"),
        ("priority", "normal"),
        ("vip", "true"),
        ("vip", "false"),
    ]);
    let marks = prop::collection::vec(mark, 0..3);
    (0..MINUTES, 0i64..3, marks, prop::collection::vec(attribute, 0..2)).prop_map(
        |(as_of, revision, marks, attributes)| {
            let mut names = BTreeSet::new();
            Seen {
                as_of,
                revision,
                marks: marks
                    .into_iter()
                    .map(|(n, r, ago, removed)| (n, r, (as_of + ago).max(0), removed))
                    .collect(),
                attributes: attributes.into_iter().filter(|(n, _)| names.insert(*n)).collect(),
            }
        },
    )
}

fn history() -> impl Strategy<Value = Vec<Seen>> {
    prop::collection::vec(seen(), 1..10).prop_map(|mut history| {
        history.sort_by_key(|s| s.as_of);
        history
    })
}

/// Everything that is derived: key, start, due, end and state of every cycle.
pub(super) fn outcomes(engine: &Engine, now: Instant) -> Vec<String> {
    let Some(view) = engine.case("shop", "ticket", "T1") else { return Vec::new() };
    let name = |c| engine.symbols().name(c).to_string();
    let cycles = view.cycles(now);
    cycles
        .iter()
        .map(|c| format!("{} {:x} {} {:?} {:?} {:?}", name(c.clock), c.key, c.start, c.due, c.end, c.state))
        .collect()
}

/// Gives every observation at the instant it was true, waking when asked to.
fn live(engine: &mut Engine, history: &[Seen]) -> Vec<Changes> {
    let mut log = Vec::new();
    for seen in history {
        wake_until(engine, minute(seen.as_of), &mut log);
        log.push(engine.observe(&seen.observation(), minute(seen.as_of)));
    }
    wake_until(engine, end(), &mut log);
    log
}

fn wake_until(engine: &mut Engine, t: Instant, log: &mut Vec<Changes>) {
    while let Some(wake) = engine.next_wake().filter(|wake| *wake < t) {
        log.push(engine.advance(wake));
    }
}

fn crossings(log: &[Changes]) -> BTreeSet<(String, String, u8, Instant)> {
    let all = log.iter().flat_map(|c| c.crossings.iter());
    all.map(|c| (format!("{} {:x}", c.cycle.clock, c.cycle.key), c.ring_name.to_string(), c.arm, c.at))
        .collect()
}

fn rung(log: &[Changes]) -> Vec<&Crossing> {
    log.iter()
        .flat_map(|c| c.crossings.iter())
        .filter(|c| matches!(c.verdict, Verdict::Rung { .. }))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l6_order_repetition_and_splitting_do_not_matter(
        history in history(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let mut straight = engine(POLICY);
        live(&mut straight, &history);
        straight.advance(end());
        let mut shuffled: Vec<Seen> = history.iter().flat_map(|s| {
            let mut twice = s.apart();
            twice.push(s.clone());
            twice
        }).collect();
        for (i, index) in order.iter().enumerate() {
            let (a, b) = (i % shuffled.len(), index.index(shuffled.len()));
            shuffled.swap(a, b);
        }
        let mut other = engine(POLICY);
        for seen in &shuffled {
            other.observe(&seen.observation(), end());
        }
        other.advance(end());
        prop_assert_eq!(outcomes(&straight, end()), outcomes(&other, end()));
    }

    #[test]
    fn l7_one_step_records_what_many_record(history in history(), steps in prop::collection::vec(0..MINUTES + 600, 0..12)) {
        let (first, rest) = history.split_at(history.len() / 2);
        let known = history.iter().map(|s| s.as_of).max().unwrap_or(0);
        let start = |engine: &mut Engine| {
            let mut log = live_until_known(engine, first);
            for seen in rest {
                log.push(engine.observe(&seen.observation(), minute(known)));
            }
            log
        };
        let mut one = engine(POLICY);
        let mut one_log = start(&mut one);
        one_log.push(one.advance(end()));
        let mut many = engine(POLICY);
        let mut many_log = start(&mut many);
        let mut steps: Vec<i64> = steps.into_iter().filter(|s| *s >= known).collect();
        steps.sort_unstable();
        for step in steps {
            many_log.push(many.advance(minute(step)));
        }
        many_log.push(many.advance(end()));
        prop_assert_eq!(crossings(&one_log), crossings(&many_log));
        prop_assert_eq!(outcomes(&one, end()), outcomes(&many, end()));
        prop_assert_eq!(one.next_wake(), many.next_wake());
    }

    #[test]
    fn l8_a_pause_moves_due_by_its_open_time(start in 540i64..1_200, pause in 1i64..230, length in 1i64..600) {
        // Local minutes of the day on Monday; the pause begins before due.
        let day = at("2026-03-02 00:00");
        let opened = day + Span::from_minutes(start);
        let mut story = engine(POLICY);
        let calendar = story.history().current().and_then(|p| p.calendar("D").cloned()).expect("calendar D");
        let from = calendar.add(opened, Span::from_minutes(pause)).expect("reachable");
        let to = from + Span::from_minutes(length);
        let mut see = |t: Instant, marks: &[&str], status: &str| {
            story.observe(&Observation {
                source: "shop".into(), kind: "ticket".into(), id: "T1".into(), as_of: t, revision: 0,
                marks: marks.iter().map(|m| Mark { name: (*m).to_owned().into(), reference: None, at: t, removed: false }).collect(),
                attributes: vec![("status".into(), Value::Text(status.to_owned().into()))],
            }, t);
        };
        see(opened, &["opened"], "open");
        see(from, &[], "waiting");
        see(to, &[], "open");
        let due = calendar.add(opened, Span::HOUR.times(4)).expect("reachable");
        let expected = calendar.add(due, calendar.elapsed(from, to)).expect("reachable");
        let view = story.case("shop", "ticket", "T1").expect("the case");
        let cycle = view.cycles(to).into_iter().find(|c| &**story.symbols().name(c.clock) == "resolution").expect("a cycle");
        prop_assert_eq!(cycle.due, Some(expected));
        if calendar.elapsed(from, to).is_zero() {
            prop_assert_eq!(cycle.due, Some(due));
        }
    }

    #[test]
    fn l9_more_open_time_never_makes_due_later(start in 0..MINUTES, target in 1i64..2_000, open in 0i64..9, close in 10i64..24) {
        let hours = |open: i64, close: i64| format!(
            "[calendars.X]\ntz = \"Asia/Shanghai\"\nweekly = {{ daily = [[\"{open:02}:00\", \"{close:02}:00\"]] }}\n\
             [[clock]]\nname = \"c\"\non = \"ticket\"\nstart = \"opened\"\nstop = \"resolved\"\ncalendar = \"X\"\ntarget = \"{target}m\"\n"
        );
        let due = |text: &str| {
            let mut engine = engine(text);
            let seen = Seen { as_of: start, revision: 0, marks: vec![("opened", None, start, false)], attributes: vec![] };
            engine.observe(&seen.observation(), minute(start));
            let view = engine.case("shop", "ticket", "T1").expect("the case");
            view.cycles(minute(start))[0].due.expect("reachable")
        };
        prop_assert!(due(&hours(open, close)) <= due(&hours(9, 10)));
    }

    #[test]
    fn l10_the_same_policy_again_changes_nothing(history in history(), when in 0..MINUTES) {
        let mut plain = engine(POLICY);
        let log = live(&mut plain, &history);
        let mut reloaded = engine(POLICY);
        let (before, after): (Vec<Seen>, Vec<Seen>) = history.iter().cloned().partition(|s| s.as_of <= when);
        let mut other = live_until_known(&mut reloaded, &before);
        wake_until(&mut reloaded, minute(when), &mut other);
        // What begins at this very instant is not of the reload's making.
        other.push(reloaded.advance(minute(when)));
        // A policy that differs in nothing that promises: another, unused calendar.
        let text = format!("{POLICY}\n[calendars.other]\ntz = \"UTC\"\nweekly = {{ daily = [[\"00:00\", \"24:00\"]] }}\n");
        for text in [POLICY, &text] {
            let command = Command::Reload { policy: Box::new(policy(text)), mode: ReloadMode::FromNow, since: None };
            let changes = reloaded.command(&command, minute(when)).expect("the policy is right");
            prop_assert!(changes.crossings.is_empty() && changes.cycles.is_empty() && changes.retractions.is_empty());
        }
        for seen in &after {
            wake_until(&mut reloaded, minute(seen.as_of), &mut other);
            other.push(reloaded.observe(&seen.observation(), minute(seen.as_of)));
        }
        wake_until(&mut reloaded, end(), &mut other);
        prop_assert_eq!(outcomes(&plain, end()), outcomes(&reloaded, end()));
        prop_assert_eq!(crossings(&log), crossings(&other));
    }

    #[test]
    fn l11_a_shorter_target_never_makes_due_later(start in 0..MINUTES, change in 0i64..2_000, first in 30i64..900, second in 1i64..900) {
        let text = |with: bool| {
            let overlay = format!("[[overlay]]\nname = \"o\"\nclock = \"c\"\nwhen = {{ vip = true }}\ntarget = \"{}m\"\n", first.min(second));
            format!(
                "[[clock]]\nname = \"c\"\non = \"ticket\"\nstart = \"opened\"\nstop = \"resolved\"\ncalendar = \"D\"\ntarget = \"{first}m\"\n{}",
                if with { overlay.as_str() } else { "" }
            )
        };
        let due = |text: &str| {
            let mut engine = engine(text);
            let opened = Seen { as_of: start, revision: 0, marks: vec![("opened", None, start, false)], attributes: vec![("vip", "false")] };
            let vip = Seen { as_of: start + change, revision: 0, marks: vec![], attributes: vec![("vip", "true")] };
            engine.observe(&opened.observation(), minute(start));
            engine.observe(&vip.observation(), minute(start + change));
            let view = engine.case("shop", "ticket", "T1").expect("the case");
            view.cycles(minute(start + change))[0].due.expect("reachable")
        };
        let (long, short) = (due(&text(false)), due(&text(true)));
        prop_assert!(short <= long);
        // Used up already: due is the instant of the change, unless it was overdue before.
        prop_assert!(short >= minute(start + change).min(long));
    }

    #[test]
    fn l12_due_fires_once_and_is_taken_back_when_it_never_was(
        history in history(),
        delays in prop::collection::vec(0i64..900, 10),
    ) {
        // Every observation arrives late by some minutes, so that much is rung that turns out otherwise.
        let mut arrivals: Vec<(i64, &Seen)> = history.iter().zip(&delays).map(|(s, d)| (s.as_of + d, s)).collect();
        arrivals.sort_by_key(|(t, _)| *t);
        let mut engine = engine(POLICY);
        let mut log = Vec::new();
        for (t, seen) in arrivals {
            wake_until(&mut engine, minute(t), &mut log);
            log.push(engine.observe(&seen.observation(), minute(t)));
        }
        wake_until(&mut engine, end(), &mut log);
        log.push(engine.advance(end()));
        let mut fired = BTreeSet::new();
        for crossing in rung(&log).iter().filter(|c| &*c.ring_name == "due") {
            prop_assert!(fired.insert(crossing.cycle.clone()), "{:?} fired twice", crossing.cycle);
        }
        let mut retracted = BTreeSet::new();
        for retraction in log.iter().flat_map(|c| &c.retractions) {
            prop_assert!(retracted.insert(retraction.cycle.clone()), "{:?} taken back twice", retraction.cycle);
        }
        // W3: what was told last of every cycle is what is true of it.
        let cases: Vec<_> = engine.cases.iter().map(|case| case.case(&engine.symbols)).collect();
        let told: BTreeSet<String> = cases.iter().flat_map(|case| case.cycles.iter())
            .filter_map(|m| Some(format!("{} {:x} {:?}", engine.symbols().name(m.clock), m.key, m.told?)))
            .collect();
        let view = engine.case("shop", "ticket", "T1");
        let cycles = view.as_ref().map(|v| v.cycles(end())).unwrap_or_default();
        let truth: BTreeSet<String> = cycles.iter()
            .map(|c| format!("{} {:x} {:?}", engine.symbols().name(c.clock), c.key, c.state))
            .collect();
        prop_assert_eq!(told, truth);
        for id in &fired {
            let truth = cycles.iter().any(|c| {
                c.key == id.key && engine.symbols().name(c.clock) == &id.clock && c.overdue_since(end()).is_some()
            });
            prop_assert!(truth || retracted.contains(id), "{id:?} was never overdue and nobody said so");
        }
    }

    #[test]
    fn l13_the_same_log_gives_the_same_bytes(history in history(), stop in 0..MINUTES) {
        let mut first = engine(POLICY);
        let first_log = live(&mut first, &history);
        let mut second = engine(POLICY);
        prop_assert_eq!(&first_log, &live(&mut second, &history));
        let bytes = first.save().to_bytes().expect("a snapshot can be written");
        prop_assert_eq!(&bytes, &second.save().to_bytes().expect("a snapshot can be written"));
        // Saved and loaded in the middle: the rest is the same.
        let (before, after): (Vec<Seen>, Vec<Seen>) = history.iter().cloned().partition(|s| s.as_of <= stop);
        let mut third = engine(POLICY);
        let mut third_log = live_until_known(&mut third, &before);
        let saved = third.save().to_bytes().expect("a snapshot can be written");
        let snapshot = Snapshot::from_bytes(&saved).expect("a snapshot can be read");
        let mut third = Engine::load(&snapshot, Era::years(2023, 2028)).expect("a snapshot can be loaded");
        for seen in &after {
            wake_until(&mut third, minute(seen.as_of), &mut third_log);
            third_log.push(third.observe(&seen.observation(), minute(seen.as_of)));
        }
        wake_until(&mut third, end(), &mut third_log);
        prop_assert_eq!(crossings(&first_log), crossings(&third_log));
        prop_assert_eq!(bytes, third.save().to_bytes().expect("a snapshot can be written"));
    }
}

fn live_until_known(engine: &mut Engine, history: &[Seen]) -> Vec<Changes> {
    let mut log = Vec::new();
    for seen in history {
        wake_until(engine, minute(seen.as_of), &mut log);
        log.push(engine.observe(&seen.observation(), minute(seen.as_of)));
    }
    log
}
