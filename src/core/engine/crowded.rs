//! Cases with more entries than there is room for (`Timeline::make_room`), as stories and as a law.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::core::calendar::Era;
use crate::core::engine::examples::{Story, at, engine, local, observation};
use crate::core::engine::laws::{POLICY, Seen, end, outcomes, seen};
use crate::core::engine::rules::clock;
use crate::core::engine::{Engine, Snapshot};
use crate::core::model::{Footing, Mark, Observation, Timeline, Value};
use crate::core::time::{Instant, Span};

const REPLY: &str = "start = \"customer_message\"\npick = \"oldest_open\"\nring = [\"50%\", \"due\"]\n";

fn marks(t: Instant, marks: &[(&str, usize, Instant)]) -> Observation<'static> {
    let mut seen = observation("10:00");
    seen.as_of = t;
    let mark = |(name, n, at): &(&str, usize, Instant)| Mark {
        name: (*name).to_owned().into(),
        reference: Some(format!("{name}{n}").into()),
        at: *at,
        removed: false,
    };
    seen.marks = marks.iter().map(mark).collect();
    seen
}

/// The instant of the n-th entry.
fn nth(n: usize, gap: Span) -> Instant {
    at("10:00") + gap.times(n as i64)
}

/// Saved and loaded.
fn again(story: &mut Story) {
    let saved = story.engine.save().to_bytes().expect("a snapshot can be written");
    let snapshot = Snapshot::from_bytes(&saved).expect("a snapshot can be read");
    story.engine = Engine::load(&snapshot, Era::years(2023, 2028)).expect("a snapshot can be loaded");
    assert_eq!(saved, story.engine.save().to_bytes().expect("a snapshot can be written"));
}

fn entry_count(story: &Story) -> usize {
    let view = story.engine.case("shop", "ticket", "T1").expect("the case");
    view.timeline().all_entries().len()
}

#[test]
fn ten_thousand_questions_and_one_answer() {
    for (gap, want) in [
        (Span::from_millis(100), "10:00..10:16:40 due 10:30 met"),
        (Span::from_millis(200), "10:00..10:33:20 due 10:30 missed"),
    ] {
        let answer = nth(10_000, gap);
        let thread: Vec<(&str, usize, Instant)> =
            (0..10_000).map(|n| ("customer_message", n, nth(n, gap))).collect();
        // One by one, saved in between, and all at once.
        let mut story = Story::new(&clock(REPLY));
        for (n, mark) in thread.iter().enumerate() {
            story.see_at(&marks(mark.2, &[*mark]), mark.2);
            if n % 3_000 == 2_999 {
                again(&mut story);
            }
        }
        assert!(entry_count(&story) <= Timeline::MOST_ENTRIES);
        story.see_at(&marks(answer, &[("agent_reply", 0, answer)]), answer);
        assert_eq!(story.cycles("c"), [want]);
        let mut rung = vec!["50% 10:15"];
        if want.ends_with("missed") {
            rung.push("due 10:30:00.001");
        }
        assert_eq!(story.rung, rung);
        // The whole thread again and again: nothing else comes of it, and it takes no more room.
        let mut whole = thread.clone();
        whole.push(("agent_reply", 0, answer));
        for i in 0..3 {
            let later = answer + Span::from_minutes(i);
            story.see_at(&marks(later, &whole), later);
            assert_eq!(story.cycles("c"), [want], "again");
            assert!(entry_count(&story) <= Timeline::MOST_ENTRIES);
        }
        again(&mut story);
        story.until(at("12:00"));
        assert_eq!((story.cycles("c"), story.rung.len()), (vec![want.to_owned()], rung.len()));
        assert_eq!(story.retracted, [""; 0]);

        let mut story = Story::new(&clock(REPLY));
        let changes = story.engine.observe(&marks(answer, &whole), answer);
        assert_eq!((changes.merge.changed, changes.merge.refused), (10_001, 0));
        assert_eq!(changes.merge.dropped as usize, 10_001 - Timeline::MOST_ENTRIES * 3 / 4);
        assert_eq!(story.cycles("c"), [want], "all at once");
    }
}

#[test]
fn ten_thousand_questions_that_only_a_robot_answers() {
    let gap = Span::from_millis(100);
    let mut story = Story::new(&clock(REPLY));
    for n in 0..10_000 {
        let name = if n % 2 == 0 { "customer_message" } else { "bot_reply" };
        story.see_at(&marks(nth(n, gap), &[(name, n, nth(n, gap))]), nth(n, gap));
    }
    assert_eq!(story.cycles("c"), ["10:00.. due 10:30 running"]);
    story.until(at("10:40"));
    story.see("10:40 ar");
    assert_eq!(story.cycles("c"), ["10:00..10:40 due 10:30 missed"]);
    assert_eq!(story.rung, ["50% 10:15", "due 10:30:00.001"]);
}

#[test]
fn five_thousand_questions_each_with_its_answer() {
    // Every tenth answer comes late: what was told of it stands when it is forgotten.
    let text = clock(&format!("target = \"3m\"\ncalendar = \"always\"\n{REPLY}"));
    let mut story = Story::new(&text);
    let (mut dropped, mut told) = (0, BTreeSet::new());
    let pair = |n: usize| {
        let asked = nth(n, Span::from_minutes(10));
        let answered = asked + Span::from_minutes(if n % 10 == 9 { 5 } else { 2 });
        [("customer_message", n, asked), ("agent_reply", n, answered)]
    };
    for n in 0..5_000 {
        for mark in pair(n) {
            while let Some(wake) = story.engine.next_wake().filter(|wake| *wake < mark.2) {
                story.engine.advance(wake);
            }
            let changes = story.engine.observe(&marks(mark.2, &[mark]), mark.2);
            dropped += changes.merge.dropped as usize;
            assert!(changes.retractions.is_empty(), "pair {n}");
            assert!(changes.cycles.iter().all(|c| c.to.is_some()), "pair {n}: nothing is told to be no more");
            told.extend(changes.cycles.iter().map(|c| c.cycle.key));
        }
        if n == 4_321 {
            again(&mut story);
        }
    }
    assert_eq!(told.len(), 5_000, "each is told of once");
    let starts = story.with("c", |c, _| c.start);
    assert!((1_500..=2_049).contains(&starts.len()), "{}", starts.len());
    let kept: Vec<usize> = (0..5_000).filter(|n| starts.contains(&pair(*n)[0].2)).collect();
    assert_eq!(kept.len(), starts.len());
    assert_eq!(kept[0], 0, "the first stays");
    assert!(kept[2..].iter().zip(&kept[1..]).all(|(b, a)| *b == *a + 1), "and all since");
    let want: Vec<String> = kept
        .iter()
        .map(|n| {
            let [(_, _, asked), (_, _, answered)] = pair(*n);
            let outcome = if n % 10 == 9 { "missed" } else { "met" };
            let due = local(asked + Span::from_minutes(3));
            format!("{}..{} due {due} {outcome}", local(asked), local(answered))
        })
        .collect();
    assert_eq!(story.cycles("c"), want);
    let kept = 10_000 - dropped;
    assert!((2 * starts.len()..2 * starts.len() + 2).contains(&kept), "{kept} for {}", starts.len());
    // What was dropped is not taken in again, with whatever it is sent.
    let now = nth(5_000, Span::from_minutes(10));
    let old: Vec<(&str, usize, Instant)> = (0..1_000).flat_map(pair).collect();
    let changes = story.engine.observe(&marks(now, &old), now);
    assert_eq!((changes.merge.changed, changes.merge.dropped, changes.merge.duplicates), (0, 1_998, 2));
    assert!(changes.cases.is_empty() && changes.cycles.is_empty());
    // The next question is one.
    story.see_at(&marks(now, &[("customer_message", 5_000, now)]), now);
    assert!(story.cycles("c").last().is_some_and(|c| c.ends_with("running")));
}

#[test]
fn an_open_promise_outlives_whatever_happens_beside_it() {
    // One clock is met early, one waits all along, one is paused twice; another one's scans fill the case.
    let text = clock("start = \"scan\"\nstop = \"delivered\"\npick = \"last\"\ntarget = \"2h\"\n")
        + &clock("start = \"assigned\"\ntarget = \"1000h\"\npause = { status = [\"waiting\"] }\n")
            .replace("name = \"c\"", "name = \"d\"")
        + &clock("stop = \"resolved\"\n").replace("name = \"c\"", "name = \"e\"");
    let mut story = Story::new(&text);
    story.see("10:00 opened assigned status=open");
    story.see("10:10 status=waiting resolved");
    story.see("10:20 status=open");
    let before = (story.cycles("d"), story.cycles("e"));
    for n in 0..6_000 {
        let t = at("11:00") + Span::from_secs(n);
        let mut seen = marks(t, &[("scan", n as usize, t)]);
        seen.attributes.push(("status".into(), Value::Text("open".into())));
        story.see_at(&seen, t);
    }
    assert!(entry_count(&story) <= Timeline::MOST_ENTRIES);
    assert_eq!((story.cycles("d"), story.cycles("e")), before);
    assert_eq!(before.1, ["10:00..10:10 due 10:30 met"]);
    let scans = story.cycles("c");
    assert!(scans.iter().rev().skip(1).all(|c| c.ends_with("superseded")), "{scans:?}");
}

#[test]
fn a_source_that_invents_names_fills_a_case_and_no_more() {
    let mut story = Story::new(&clock(REPLY));
    story.see("10:00 cm");
    for n in 0..6_000 {
        let t = at("10:01") + Span::from_millis(n);
        let mut seen = observation("10:00");
        seen.as_of = t;
        seen.attributes.push((format!("x{n}").into(), Value::Int(n)));
        story.see_at(&seen, t);
    }
    assert!(entry_count(&story) <= Timeline::MOST_ENTRIES);
    let view = story.engine.case("shop", "ticket", "T1").expect("the case");
    assert!(view.value_at("x5999", at("11:00")).is_some(), "the newest stay");
    story.see("10:20 ar");
    // A state that changes at every look, in one long pause-ridden cycle: the oldest go.
    let mut story = Story::new(&clock("target = \"1000h\"\npause = { status = [\"waiting\"] }\n"));
    story.see("10:00 opened");
    for n in 0..6_000 {
        let t = at("10:01") + Span::from_secs(n);
        let mut seen = observation("10:00");
        seen.as_of = t;
        let status = if n % 2 == 0 { "waiting" } else { "open" };
        seen.attributes.push(("status".into(), Value::Text(status.into())));
        story.see_at(&seen, t);
    }
    assert!(entry_count(&story) <= Timeline::MOST_ENTRIES);
    assert_eq!(story.with("c", |c, _| c.state.word()), ["running"]);
}

/// A case of which some entries were dropped.
struct Squeezed {
    engine: Engine,
    before: Vec<String>,
    after: Vec<String>,
    footing: Footing,
    until: Instant,
}

impl Squeezed {
    fn of(history: &[Seen], goal: usize) -> Squeezed {
        let mut engine = engine(POLICY);
        for seen in history {
            engine.observe(&seen.observation(), end());
        }
        let before = outcomes(&engine, end());
        let mut case = engine.take(0).expect("the case");
        let mut footing = Footing::default();
        for clock in engine.history.clocks_on(case.kind) {
            engine.deriver.trace(clock, &case.timeline, &engine.symbols, end(), &mut footing);
        }
        case.timeline.make_room_gently(goal, &footing, end(), &engine.symbols);
        let until = case.timeline.dropped_until();
        engine.keep(0, case);
        let after = outcomes(&engine, end());
        Squeezed { engine, before, after, footing, until }
    }
}

#[test]
fn a_deadline_that_was_taken_back_takes_no_other_with_it() {
    let seen = |as_of, name, removed| Seen {
        as_of,
        revision: 0,
        marks: vec![(name, None, as_of, removed)],
        attributes: Vec::new(),
    };
    let history = [seen(0, "answer_by", false), seen(1, "answer_by", true), seen(908, "assigned", false)];
    for goal in 1..=3 {
        let squeezed = Squeezed::of(&history, goal);
        assert!(!squeezed.before.is_empty());
        assert_eq!(squeezed.before, squeezed.after, "{goal} to go");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_dropped_changes_no_cycle(
        mut history in prop::collection::vec(seen(), 1..60),
        goal in 1usize..60,
        later in prop::collection::vec(any::<prop::sample::Index>(), 5),
        contradicts in any::<bool>(),
    ) {
        history.sort_by_key(|s| s.as_of);
        if !contradicts {
            // No entry is told in two ways: which of them won is forgotten with it.
            history.dedup_by_key(|s| s.as_of);
            history.iter_mut().flat_map(|s| &mut s.marks).for_each(|mark| (mark.1, mark.3) = (None, false));
        }
        let Squeezed { mut engine, before, after, footing, until } = Squeezed::of(&history, goal);
        if until == Instant::MIN {
            prop_assert_eq!(&before, &after);
        }
        for outcome in &after {
            prop_assert!(before.contains(outcome), "{outcome} is new, of {before:#?} up to {until}");
        }
        let keys = |s: &str| after.iter().any(|o| o.contains(&format!(" {s} ")));
        for stretch in footing.stretches.iter().filter(|s| s.end > until) {
            prop_assert!(keys(&format!("{:x}", stretch.key)), "{stretch:?} is gone, {after:#?}");
        }
        if contradicts {
            return Ok(());
        }
        // What is sent again changes nothing, whatever it is.
        let again: Vec<&Seen> = later.iter().map(|i| &history[i.index(history.len())]).collect();
        for seen in again {
            engine.observe(&seen.observation(), end());
        }
        prop_assert_eq!(after, outcomes(&engine, end()), "sent again");
    }
}
