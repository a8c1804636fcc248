//! Rules of `sla_semantics` that no worked example speaks of, by their ids, as stories: what the model of
//! `tests/it/oracle/` found, and what it cannot say.

use crate::core::calendar::Era;
use crate::core::clock::{PolicyConfig, ReloadMode};
use crate::core::engine::examples::{CALENDARS, Story, at, check, engine, local, observation, policy};
use crate::core::engine::{Command, Engine, Remark, Snapshot};
use crate::core::model::{Mark, Observation, Timeline};
use crate::core::problem::{Problems, Severity};
use crate::core::time::{Instant, Span};

/// A clock `c` of 30 minutes on D from `opened` to `agent_reply`, with other lines.
pub(super) fn clock(lines: &str) -> String {
    let of_clock = || lines.lines().take_while(|l| !l.starts_with('['));
    let given = |key: &str| of_clock().any(|l| l.starts_with(key));
    let mut text = String::from("[[clock]]\nname = \"c\"\non = \"ticket\"\n");
    for (key, value) in [
        ("start", "\"opened\""),
        ("stop", "\"agent_reply\""),
        ("pick", "\"first\""),
        ("target", "\"30m\""),
        ("calendar", "\"D\""),
        ("ring", "[\"due\"]"),
    ] {
        let promised = key == "target" && ["by =", "deadline", "every"].iter().any(|k| given(k));
        if !given(key) && !promised {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text + lines
}

pub(super) fn reload(story: &mut Story, text: &str, mode: ReloadMode, t: &str) {
    story.until(at(t));
    let command = Command::Reload { policy: Box::new(policy(text)), mode, since: None };
    story.engine.command(&command, at(t)).expect("the policy is right");
}

const CLOSED: &str = "pick = \"oldest_open\"\nstart = \"customer_message\"\nreopen = \"continue\"\n\
                      [kinds.ticket]\nclosed = { status = [\"resolved\"] }\n";

#[test]
fn k7_k13_a_question_in_a_closed_case_is_asked_until_it_is_closed_again() {
    let text = clock(CLOSED);
    // Every snapshot repeats the state; that is no closing.
    let lines = &["09:00 status=resolved", "10:00 cm", "10:05 status=resolved", "10:10 status=resolved"];
    check("K7", &text, "c", lines, "10:20", &["10:00.. due 10:30 running"]);
    let lines = &["09:00 status=resolved", "10:00 cm", "10:05 status=open", "10:10 status=resolved"];
    check("K13", &text, "c", lines, "10:20", &["10:00..10:10 due 10:30 cancelled"]);
    // Seen closed once more, it is not reopened by that.
    let lines = &["10:00 cm status=open", "10:10 status=resolved", "10:15 status=resolved"];
    check("K13", &text, "c", lines, "10:20", &["10:00..10:10 due 10:30 cancelled"]);
}

#[test]
fn k5_k7_a_state_that_cancels() {
    let text = clock("cancel_when = { category = \"spam\" }\nreopen = \"continue\"\n");
    check("K7", &text, "c", &["10:00 opened category=spam"], "10:20", &[]);
    let lines = &["10:00 opened", "10:05 category=spam", "10:10 reopened", "10:15 category=spam"];
    let want = &["10:00..10:05 due 10:30 cancelled", "10:10.. due 10:40 running"];
    check("K5", &text, "c", lines, "10:20", want);
}

#[test]
fn k9_k14_when_is_judged_at_the_start_of_every_cycle() {
    let when = "when = { priority = { not = \"low\" } }\n";
    let text = clock(&format!("{when}reopen = \"new_cycle\"\n"));
    let lines = &["10:00 opened", "10:05 ar", "10:06 priority=low", "10:10 reopened"];
    check("K9", &text, "c", lines, "10:20", &["10:00..10:05 due 10:30 met"]);
    let text = clock(&format!("{when}start = \"assigned\"\nreset = \"assigned\"\n"));
    let lines = &["10:00 assigned", "10:06 priority=low", "10:10 assigned"];
    check("K14", &text, "c", lines, "10:20", &["10:00..10:10 due 10:30 superseded"]);
}

#[test]
fn k7_a_final_mark_counts_while_the_clock_does_not_apply() {
    let text = clock(
        "when = { priority = { not = \"low\" } }\nstart = \"customer_message\"\n[kinds.ticket]\nfinal = [\"closed\"]\n",
    );
    let lines = &["09:00 priority=low", "09:10 closed", "09:20 priority=high", "10:00 cm"];
    check("K7", &text, "c", lines, "10:20", &[]);
    let lines = &["09:00 priority=low", "09:10 closed", "09:15 reopened", "09:20 priority=high", "10:00 cm"];
    check("K7", &text, "c", lines, "10:20", &["10:00.. due 10:30 running"]);
}

#[test]
fn k15_t9_what_a_state_reopens_is_the_same_cycle_in_any_order() {
    let text = clock(&format!(
        "stop_when = {{ status = \"resolved\" }}\nreopen = \"new_cycle\"\nring = [\"due\"]\n{VIP}target = \"20m\"\n"
    ));
    let seen = ["10:10 status=open", "10:10 vip=true"];
    let keys: Vec<Vec<u64>> = [seen, [seen[1], seen[0]]]
        .iter()
        .map(|last| {
            let mut story = Story::new(&text);
            for line in ["10:00 opened", "10:05 status=resolved"].iter().chain(last) {
                story.see(line);
            }
            story.until(at("11:00"));
            assert_eq!(story.rung, ["due 10:30:00.001"], "K15");
            story.with("c", |c, _| c.key)
        })
        .collect();
    assert_eq!(keys[0].len(), 2, "K9");
    assert_eq!(keys[0], keys[1], "T9");
}

pub(super) const VIP: &str = "[[overlay]]\nname = \"vip\"\nclock = \"c\"\nwhen = { vip = true }\n";

#[test]
fn k9_an_overlay_changes_the_target_of_a_reopened_cycle_too() {
    let text = clock(&format!("reopen = \"new_cycle\"\nreopen_target = \"1h\"\n{VIP}target = \"10m\"\n"));
    let lines = &["10:00 opened", "10:05 ar", "11:00 reopened"];
    let want = &["10:00..10:05 due 10:30 met", "11:00.. due 12:00 running"];
    check("K9", &text, "c", lines, "11:30", want);
    let lines = &["10:00 opened", "10:05 ar", "11:00 reopened", "11:20 vip=true"];
    let want = &["10:00..10:05 due 10:30 met", "11:00.. due 11:20 running"];
    check("P2", &text, "c", lines, "11:20", want);
}

#[test]
fn p3_what_is_left_at_least_outlives_a_pause() {
    let text = clock(&format!(
        "target = \"4h\"\npause = {{ status = [\"waiting\"] }}\n{VIP}target = \"1h\"\nmin_left = \"30m\"\n"
    ));
    let lines = &["10:00 opened", "12:00 vip=true", "12:05 status=waiting", "13:05 status=open"];
    let story = check("P3", &text, "c", lines, "13:10", &["10:00.. due 13:30 running"]);
    assert_eq!(story.with("c", |c, n| c.left(n)), [Some(Span::from_minutes(20))], "P3");
}

#[test]
fn k21_a_target_that_changes_at_due_is_in_force_there() {
    let text = clock(&format!("{VIP}target = \"1h\"\n"));
    let lines = &["10:00 opened", "10:30 vip=true"];
    check("K21", &text, "c", lines, "10:40", &["10:00.. due 11:00 running"]);
    // A millisecond later it is too late (K25).
    let lines = &["10:00 opened", "10:30:00.001 vip=true"];
    check("K25", &text, "c", lines, "10:40", &["10:00.. due 10:30 overdue"]);
}

#[test]
fn p4_percentages_count_from_the_restart() {
    let text = clock(&format!(
        "target = \"40m\"\non_change = \"restart\"\nring = [\"50%\"]\n{VIP}calendar = \"always\"\n"
    ));
    let story =
        check("P4", &text, "c", &["10:00 opened", "10:30 vip=true"], "11:00", &["10:00.. due 11:10 running"]);
    assert_eq!(story.crossed, ["50% 10:20", "50% 10:50 arm 2"], "H4");
}

#[test]
fn h3_h8_what_a_pause_kept_back_until_after_due_warns_of_nothing() {
    let text = clock(
        "by = \"12:00\"\npause = { status = [\"waiting\"] }\nring = [\"50%\", \"30m before\", \"due\"]\n",
    );
    let lines = &["10:00 opened", "10:30 status=waiting", "12:30 status=open"];
    let story = check("K22", &text, "c", lines, "13:00", &["10:00.. due 12:00 overdue"]);
    assert_eq!(story.crossed, ["due 12:00:00.001"], "H3");
    // Asleep all the while: the same.
    let mut story = Story::new(&text);
    story.see("10:00 opened");
    story.see("10:30 status=waiting");
    story.sleep_until(at("12:20"));
    assert_eq!(story.rung, ["due 12:20 late 20m"], "H8");
}

#[test]
fn h8_the_gravest_rings_not_the_latest() {
    // Half is used up after `20m before` already.
    let text = clock("ring = [\"50%\", \"20m before\"]\n");
    let mut story = Story::new(&text);
    story.see("10:00 opened");
    story.sleep_until(at("10:20"));
    assert_eq!(story.crossed, ["20m before 10:10", "50% 10:15"]);
    assert_eq!(story.rung, ["20m before 10:20 late 10m"], "H8");
}

#[test]
fn h4_h6_a_before_that_a_shorter_target_makes_too_long_fires_at_the_change() {
    let text = clock(&format!("target = \"4h\"\nring = [\"2h before\", \"due\"]\n{VIP}target = \"1h\"\n"));
    let story =
        check("H6", &text, "c", &["10:00 opened", "10:30 vip=true"], "10:40", &["10:00.. due 11:00 running"]);
    assert_eq!(story.crossed, ["2h before 10:30"], "H6");
}

#[test]
fn h7_a_held_ring_waits_for_the_opening() {
    // The wall clock knows no closing hours.
    let text = clock("ring = [{ at = \"10m after wall\", hold = true }]\n");
    let story = check("H7", &text, "c", &["20:30 opened"], "03-03 10:00", &["20:30.. due 21:00 overdue"]);
    assert_eq!(story.crossed, ["10m after wall 21:10", "10m after wall 21:10"], "H7");
    assert_eq!(story.rung, ["10m after wall 03-03 09:00 late 11h 50m"], "H7");
    // Answered before it opens: it never rings.
    let lines = &["20:30 opened", "03-03 08:00 ar"];
    let story = check("H7", &text, "c", lines, "03-03 10:00", &["20:30..03-03 08:00 due 21:00 missed"]);
    assert_eq!(story.rung, [""; 0], "H7");
    // Saved and loaded while it is held.
    let mut story = Story::new(&text);
    story.see("20:30 opened");
    story.until(at("23:00"));
    let saved = story.engine.save().to_bytes().expect("a snapshot can be written");
    let snapshot = Snapshot::from_bytes(&saved).expect("a snapshot can be read");
    story.engine = Engine::load(&snapshot, Era::years(2023, 2028)).expect("a snapshot can be loaded");
    story.until(at("03-03 10:00"));
    assert_eq!(story.rung, ["10m after wall 03-03 09:00 late 11h 50m"], "W4");
}

#[test]
fn r5_the_same_policy_in_a_mode_that_reaches_further() {
    let (short, long) = (clock("target = \"2h\"\n"), clock("target = \"4h\"\n"));
    let due = |modes: &[ReloadMode]| {
        let mut story = Story::new(&short);
        story.see("10:00 opened");
        for (i, mode) in modes.iter().enumerate() {
            reload(&mut story, &long, *mode, &format!("11:{i}0"));
        }
        story.until(at("11:30"));
        story.cycles("c")
    };
    assert_eq!(due(&[ReloadMode::NewOnly]), ["10:00.. due 12:00 running"]);
    assert_eq!(due(&[ReloadMode::NewOnly, ReloadMode::FromNow]), ["10:00.. due 14:00 running"]);
    // Opening hours: what was counted by the old ones is counted again.
    let other = CALENDARS.replacen("\"09:00\", \"21:00\"", "\"10:30\", \"21:00\"", 1);
    let other: PolicyConfig = toml::from_str(&format!("{short}{other}")).expect("a policy");
    let mut story = Story::new(&short);
    story.see("10:00 opened");
    for (mode, t, due) in
        [(ReloadMode::FromNow, "11:00", "12:00"), (ReloadMode::Retroactive, "11:10", "12:30")]
    {
        story.until(at(t));
        let command = Command::Reload { policy: Box::new(other.clone()), mode, since: None };
        story.engine.command(&command, at(t)).expect("the policy is right");
        assert_eq!(story.cycles("c"), [format!("10:00.. due {due} running")], "{t}");
    }
}

#[test]
fn r_new_only_leaves_the_running_cycle_and_not_the_next() {
    let text = |target: &str| {
        clock(&format!("start = \"scan\"\nstop = \"delivered\"\npick = \"last\"\ntarget = \"{target}\"\n"))
    };
    let mut story = Story::new(&text("2h"));
    story.see("10:00 scan");
    reload(&mut story, &text("4h"), ReloadMode::NewOnly, "10:30");
    story.see("11:00 scan");
    assert_eq!(story.cycles("c"), ["10:00..11:00 due 12:00 superseded", "11:00.. due 15:00 running"]);
}

#[test]
fn r1_what_stood_ended_goes_by_the_reloads_since_from_its_reopening_on() {
    let of = |target: &str| clock(&format!("reopen = \"continue\"\ntarget = \"{target}\"\n"));
    for (first, second, due) in [
        // An hour of four is consumed.
        (ReloadMode::FromNow, ReloadMode::NewOnly, "13:00"),
        (ReloadMode::NewOnly, ReloadMode::FromNow, "19:00"),
        (ReloadMode::NewOnly, ReloadMode::NewOnly, "15:00"),
        (ReloadMode::FromNow, ReloadMode::Retroactive, "19:00"),
    ] {
        let mut story = Story::new(&of("4h"));
        story.see("10:00 opened");
        story.see("11:00 ar");
        reload(&mut story, &of("2h"), first, "11:10");
        reload(&mut story, &of("8h"), second, "11:20");
        assert_eq!(story.cycles("c"), ["10:00..11:00 due 14:00 met"], "R1");
        story.see("12:00 reopened");
        assert_eq!(story.cycles("c"), [format!("10:00.. due {due} running")], "{first:?} {second:?}");
    }
}

#[test]
fn k12_a_case_heard_of_late_goes_by_what_was_in_force_whichever_others_there_are() {
    for others in [false, true] {
        let mut story = Story::new(&clock("target = \"2h\"\n"));
        if others {
            let mut other = observation("09:00 opened");
            other.id = "T0".into();
            story.see_at(&other, at("09:00"));
        }
        reload(&mut story, &clock("target = \"4h\"\n"), ReloadMode::NewOnly, "10:30");
        story.see("11:00 opened@10:00");
        assert_eq!(story.cycles("c"), ["10:00.. due 12:00 running"], "others: {others}");
    }
}

#[test]
fn r4_a_clock_that_disappears() {
    let none =
        "[[clock]]\nname = \"d\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n";
    for (removal, want) in
        [("keep", "10:00.. due 10:30 overdue"), ("cancel", "10:00..10:20 due 10:30 cancelled")]
    {
        let mut story = Story::new(&clock(&format!("on_removal = \"{removal}\"\n")));
        story.see("10:00 opened");
        reload(&mut story, none, ReloadMode::FromNow, "10:20");
        story.until(at("11:00"));
        assert_eq!(story.cycles("c"), [want], "R4");
        let rung: &[&str] = if removal == "keep" { &["due 10:30:00.001"] } else { &[] };
        assert_eq!(story.rung, rung, "R4");
    }
}

#[test]
fn r1_h9_a_clock_that_appears() {
    let none =
        "[[clock]]\nname = \"d\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n";
    let text = clock(
        "start = \"customer_message\"\npick = \"oldest_open\"\nring = [\"50%\", \"due\", \"1h after\"]\n",
    );
    let mut story = Story::new(none);
    for line in ["09:00 cm", "09:10 ar", "10:00 cm"] {
        story.see(line);
    }
    story.until(at("11:00"));
    let command = Command::Reload { policy: Box::new(policy(&text)), mode: ReloadMode::FromNow, since: None };
    let changes = story.engine.command(&command, at("11:00")).expect("the policy is right");
    assert_eq!(
        story.cycles("c"),
        ["10:00.. due 10:30 overdue"],
        "R1: what had ended is none of its business"
    );
    let told: Vec<(String, String)> =
        changes.crossings.iter().map(|c| (c.ring_name.to_string(), format!("{:?}", c.verdict))).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], ("50%".into(), "PassedBeforeAttach".into()), "H9");
    assert!(told[1].0 == "due" && told[1].1.contains("Attach"), "H9: {told:?}");
    story.until(at("12:00"));
    assert_eq!(story.rung, ["1h after 11:30"], "H9");
}

#[test]
fn r1_what_ended_is_not_judged_again_and_what_runs_may_be_relieved() {
    let mut story = Story::new(&clock("start = \"customer_message\"\npick = \"oldest_open\"\n"));
    for line in ["10:00 cm", "10:40 ar", "11:00 cm"] {
        story.see(line);
    }
    story.until(at("11:40"));
    let text = clock("start = \"customer_message\"\npick = \"oldest_open\"\ntarget = \"1h\"\n");
    let command =
        Command::Reload { policy: Box::new(policy(&text)), mode: ReloadMode::Retroactive, since: None };
    let changes = story.engine.command(&command, at("11:40")).expect("the policy is right");
    assert_eq!(story.cycles("c"), ["10:00..10:40 due 10:30 missed", "11:00.. due 12:00 running"], "R1");
    let retracted: Vec<&str> = changes.retractions.iter().map(|r| r.reason.word()).collect();
    assert_eq!(retracted, ["reload"], "R1");
    // R2: refused as a whole.
    let bad = PolicyConfig { clock: vec![], ..policy(&clock("calendar = \"X\"\n")) };
    let mut wrong = policy(&clock("calendar = \"X\"\n"));
    wrong.holidays = bad.holidays;
    let command = Command::Reload { policy: Box::new(wrong), mode: ReloadMode::FromNow, since: None };
    assert!(story.engine.command(&command, at("11:41")).is_err(), "R2");
    assert_eq!(story.cycles("c")[1], "11:00.. due 12:00 running", "R2");
}

#[test]
fn t3_t5_t7_corrections_removals_and_the_future() {
    let text = clock("start = \"customer_message\"\npick = \"oldest_open\"\nring = [\"50%\", \"due\"]\n");
    let mut story = check("T5", &text, "c", &["10:00 cm#m1"], "10:20", &["10:00.. due 10:30 running"]);
    // K15: a corrected instant of the same entry is the same cycle; what has rung does not ring again.
    story.see("10:20 cm#m1@10:04 rev=1");
    story.until(at("10:25"));
    assert_eq!(story.cycles("c"), ["10:04.. due 10:34 running"], "K15");
    assert_eq!(story.rung, ["50% 10:15"], "K15: crossed once");
    let mut gone = observation("10:25 cm#m1 rev=2");
    gone.marks[0].removed = true;
    story.see_at(&gone, at("10:25"));
    story.until(at("11:00"));
    assert_eq!(story.cycles("c"), [""; 0], "T5");
    assert_eq!(story.rung, ["50% 10:15"], "T5");
    let mut story = Story::new(&text);
    let far = observation("10:00 cm@2026-03-03_10:00:00.001");
    let changes = story.engine.observe(&far, at("10:00"));
    assert_eq!((changes.merge.future, changes.merge.changed), (1, 0), "T7");
}

#[test]
fn h9_l12_due_rings_when_a_cycle_that_nobody_was_rung_for_is_open_again() {
    // Missed when it came to us: there was nobody to ring. Reopened, or without its answer, there is.
    let text = clock("reopen = \"continue\"\n");
    let mut missed = observation("10:50 opened@10:00 ar#a1@10:40");
    for (line, removed) in [("11:00 reopened", false), ("11:00 ar#a1@10:40 rev=1", true)] {
        let mut story = Story::new(&text);
        missed.revision = 0;
        story.see_at(&missed, at("10:50"));
        story.until(at("10:59"));
        assert_eq!(
            (story.cycles("c"), story.rung.len()),
            (vec!["10:00..10:40 due 10:30 missed".to_owned()], 0)
        );
        let mut seen = observation(line);
        seen.marks[0].removed = removed;
        story.see_at(&seen, at("11:00"));
        story.until(at("12:00"));
        assert_eq!(story.rung, ["due 11:00 late 30m"], "{line}");
        // Never a second time (L12).
        story.see("12:00 ar#a2");
        story.see("12:30 reopened#r2");
        story.until(at("13:00"));
        assert_eq!(story.rung.len(), 1, "{line}");
    }
}

#[test]
fn w6_a_reopening_that_never_was() {
    let text = clock("reopen = \"continue\"\n");
    let lines = &["10:00 opened", "10:20 ar", "10:40 reopened#r1", "10:55 ar"];
    let mut story = check("K8", &text, "c", lines, "11:00", &["10:00..10:55 due 10:50 missed"]);
    let mut gone = observation("12:00 reopened#r1 rev=1");
    gone.marks[0].removed = true;
    story.see_at(&gone, at("12:00"));
    assert_eq!(story.cycles("c"), ["10:00..10:20 due 10:30 met"], "T5");
    assert_eq!(story.retracted, ["12:00 late_entry"], "W6");
}

#[test]
fn w5_time_does_not_go_back() {
    let mut story = check("W5", &clock(""), "c", &["10:00 opened"], "11:00", &["10:00.. due 10:30 overdue"]);
    let changes = story.engine.advance(at("10:10"));
    assert!(changes.clock_went_back && changes.crossings.is_empty(), "W5");
    assert_eq!(local(story.engine.now()), "11:00", "W5");
    let changes = story.engine.observe(&observation("10:20 ar"), at("10:20"));
    assert!(changes.clock_went_back, "W5");
    assert_eq!(changes.retractions.iter().map(|r| local(r.at)).collect::<Vec<_>>(), ["11:00"], "W5, W6");
    assert_eq!(story.cycles("c"), ["10:00..10:20 due 10:30 met"], "W5");
}

#[test]
fn c7_a_due_time_beyond_the_holidays_is_told_once_a_year() {
    let text = clock("calendar = \"O\"\ntarget = \"2000h\"\n");
    let mut story = Story::new(&text);
    for id in ["A", "B"] {
        let mut seen = observation("10:00 opened");
        seen.id = id.into();
        story.see_at(&seen, at("10:00"));
    }
    let told: Vec<&Remark> = story.remarks.iter().collect();
    assert!(matches!(told.as_slice(), [Remark::CalendarCoverage { year, .. }] if *year > 2026), "{told:?}");
}

#[test]
fn a_deadline_the_platform_moves() {
    let text = clock("deadline = \"answer_by\"\ncalendar = \"always\"\nring = [\"1h before\", \"due\"]\n");
    let lines = &["10:00 opened answer_by@12:00", "10:30 answer_by@14:00"];
    let story = check("deadline", &text, "c", lines, "13:30", &["10:00.. due 14:00 running"]);
    assert_eq!(story.rung, ["1h before 13:00"]);
    // Nearer than now: due is the instant of the change (P2).
    let lines = &["10:00 opened answer_by@12:00", "10:30 answer_by@09:00"];
    check("deadline", &text, "c", lines, "10:40", &["10:00.. due 10:30 overdue"]);
}

#[test]
fn a_promise_that_comes_again_every_month() {
    let text = clock("every = \"1 month\"\ncalendar = \"D\"\nring = [\"due\"]\n");
    let lines = &["2026-01-31 10:00 opened", "2026-02-20 10:00 ar"];
    let want = &["01-31 10:00..02-20 10:00 due 02-28 10:00 met", "02-20 10:00.. due 03-20 10:00 running"];
    check("every", &text, "c", lines, "12:00", want);
}

#[test]
fn k25_an_excused_cycle_stays_excused_over_a_reload_and_a_restart() {
    let mut story = check("K25", &clock(""), "c", &["10:00 opened"], "11:00", &["10:00.. due 10:30 overdue"]);
    let case = crate::core::engine::CaseKey { source: "shop".into(), kind: "ticket".into(), id: "T1".into() };
    let command = Command::Excuse { case, clock: "c".to_owned(), start: None };
    story.engine.command(&command, at("11:00")).expect("the cycle is there");
    reload(&mut story, &clock("target = \"4h\"\n"), ReloadMode::Retroactive, "11:10");
    assert_eq!(story.with("c", |c, _| c.state.word()), ["excused"]);
    let saved = story.engine.save().to_bytes().expect("a snapshot can be written");
    let snapshot = Snapshot::from_bytes(&saved).expect("a snapshot can be read");
    story.engine = Engine::load(&snapshot, Era::years(2023, 2028)).expect("a snapshot can be loaded");
    story.see("12:00 ar");
    story.until(at("13:00"));
    assert_eq!(story.with("c", |c, _| c.state.word()), ["excused"]);
    assert_eq!(story.rung, ["due 10:30:00.001"]);
}

#[test]
fn a_forgotten_case_comes_back_as_it_was() {
    let mut story = check(
        "W4",
        &clock(""),
        "c",
        &["10:00 opened", "10:40 ar"],
        "12:00",
        &["10:00..10:40 due 10:30 missed"],
    );
    let number = story.engine.observe(&observation("11:50 bot_reply"), at("12:00")).cases[0];
    let row = story.engine.row(number).expect("the case is in memory");
    assert_eq!(story.engine.forget_settled(at("13:00")), 1);
    story.engine.restore(&row).expect("the row can be read");
    story.until(at("13:00"));
    assert_eq!(story.cycles("c"), ["10:00..10:40 due 10:30 missed"]);
    assert_eq!((story.rung.len(), story.retracted.len()), (1, 0), "nothing rings again");
    // A correction shows that it never was.
    story.see("13:00 ar@10:20 rev=1");
    assert_eq!(story.cycles("c"), ["10:00..10:20 due 10:30 met"]);
    assert_eq!(story.retracted, ["13:00 late_entry"]);
}

fn scan(i: i64, t: Instant) -> Observation<'static> {
    let mut seen = observation("10:00 scan");
    seen.as_of = t;
    seen.marks =
        vec![Mark { name: "scan".into(), reference: Some(format!("s{i}").into()), at: t, removed: false }];
    seen
}

#[test]
fn ten_thousand_scans_of_one_case() {
    let mut engine =
        engine(&clock("start = \"scan\"\nstop = \"delivered\"\npick = \"last\"\ntarget = \"2h\"\n"));
    let mut dropped = 0;
    for i in 0..10_000 {
        let t = at("10:00") + Span::from_minutes(i);
        dropped += engine.observe(&scan(i, t), t).merge.dropped;
        while engine.next_wake().is_some_and(|wake| wake <= t) {
            engine.advance(t);
        }
    }
    let view = engine.case("shop", "ticket", "T1").expect("the case");
    let kept = view.timeline().entries().count();
    assert!(kept <= Timeline::MOST_ENTRIES && kept + dropped as usize == 10_000, "the bound holds: {kept}");
}

#[test]
fn instants_that_no_shop_has() {
    let mut story = Story::new(&clock(""));
    for t in [
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2097-01-01T00:00:00Z",
    ] {
        let t = Instant::parse(t).expect("an instant");
        let mut seen = observation("10:00 opened");
        seen.marks[0].at = t;
        let changes = story.engine.observe(&seen, at("10:00"));
        assert_eq!((changes.merge.changed, changes.merge.implausible), (0, 1), "{t}");
        seen = observation("10:00 opened status=open");
        seen.as_of = t;
        let changes = story.engine.observe(&seen, at("10:00"));
        assert_eq!((changes.merge.changed, changes.merge.implausible), (0, 2), "{t}");
    }
    // The whole life of a desk in one step.
    story.see("10:00 opened");
    let changes = story.engine.advance(Instant::parse("2096-12-31T00:00:00Z").expect("an instant"));
    assert_eq!(changes.crossings.len(), 1);
    assert_eq!(story.engine.next_wake(), None);
}

/// The problems of a policy, as `path: text`.
fn problems(text: &str) -> Vec<String> {
    let mut problems = Problems::new();
    Engine::new("desk", &policy(text), Some(at("00:00")), Era::years(2023, 2028), &mut problems);
    let told = |p: &crate::core::problem::Problem| {
        let warning = if p.severity == Severity::Warning { "warning: " } else { "" };
        format!("{warning}{}: {}", p.path, p.text)
    };
    problems.into_vec().iter().map(told).collect()
}

fn paths(text: &str) -> Vec<String> {
    problems(text)
        .iter()
        .map(|p| p.rsplit_once(": found").map_or(p.as_str(), |(path, _)| path).to_owned())
        .collect()
}

#[test]
fn an_unknown_calendar_hides_no_other_mistake() {
    let text =
        clock("calendar = \"X\"\nring = [\"half\"]\nwhen = { colour = \"red\" }\nreopen_target = \"soon\"\n");
    let mut found = paths(&text);
    found.sort();
    assert_eq!(found.len(), 4, "{found:?}");
    for (path, key) in
        found.iter().zip(["clock[0].calendar", "clock[0].reopen_target", "clock[0].ring[0]", "clock[0].when"])
    {
        assert!(path.starts_with(key), "{found:?}");
    }
}

#[test]
fn a_bad_target_is_told_where_it_is_written() {
    let text = clock(&format!("target = \"soon\"\n{VIP}calendar = \"always\"\n"));
    assert_eq!(paths(&text), ["clock[0].target"]);
    let text = clock(&format!("{VIP}target = \"soon\"\n"));
    assert_eq!(paths(&text), ["overlay[0].target"]);
    let text = clock(&format!("target = \"soon\"\n{VIP}target = \"later\"\n"));
    assert_eq!(paths(&text), ["clock[0].target", "overlay[0].target"]);
}

#[test]
fn the_terms_of_an_entry_are_its_own() {
    // The second entry is wrong: the first keeps its own terms, and only the second is told of.
    let text =
        format!("{}{}", clock("when = { shop = \"a\" }\n"), clock("calendar = \"X\"\ntarget = \"soon\"\n"));
    let mut found = paths(&text);
    found.sort();
    assert_eq!(found, ["clock[1].calendar", "clock[1].target"]);
}

#[test]
fn k22_a_time_of_day_without_a_calendar_is_told() {
    let text = clock("by = \"12:00\"\n").replace("calendar = \"D\"\n", "");
    assert_eq!(
        problems(&text),
        ["warning: clock[0].by: goes by UTC without a calendar, expected a calendar of your zone"]
    );
    assert_eq!(problems(&clock("by = \"12:00\"\n")), [""; 0]);
}
