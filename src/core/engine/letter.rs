//! Rules of `sla_semantics` kept to the letter where the nearest reading is another one, by their ids, as stories.

use crate::core::calendar::Era;
use crate::core::clock::{PolicyConfig, ReloadMode};
use crate::core::engine::examples::{CALENDARS, Story, at, check, local, observation};
use crate::core::engine::rules::{VIP, clock, reload};
use crate::core::engine::{CaseKey, Command, Engine, Snapshot};
use crate::core::time::Span;

#[test]
fn k8_what_was_missed_by_cancel_goes_on_overdue() {
    let late = ["10:00 opened", "10:40 merged", "11:00 reopened"];
    let in_time = ["10:00 opened", "10:20 merged", "11:00 reopened"];
    let text = clock("cancel = \"merged\"\nreopen = \"continue\"\n");
    let story = check("K8", &text, "c", &late, "11:10", &["10:00.. due 10:30 overdue"]);
    assert_eq!(story.rung, ["due 10:30:00.001"], "L12: never a second time");
    let want = &["10:00..10:20 due 10:30 cancelled", "11:00.. due 11:30 running"];
    check("K8", &text, "c", &in_time, "11:10", want);
    // A stop afterwards ends the one cycle, late.
    let lines = &[late[0], late[1], late[2], "11:20 ar"];
    check("K8", &text, "c", lines, "11:30", &["10:00..11:20 due 10:30 missed"]);
    // Missed by a state, and by a reset that nothing followed.
    let state = clock("cancel_when = { category = \"spam\" }\nreopen = \"continue\"\n");
    let lines = &["10:00 opened", "10:40 category=spam", "11:00 category=none"];
    check("K8", &state, "c", lines, "11:10", &["10:00.. due 10:30 overdue"]);
    let reset =
        clock("when = { priority = { not = \"low\" } }\nreset = \"assigned\"\nreopen = \"continue\"\n");
    let lines =
        &["10:00 opened", "10:35 priority=low", "10:40 assigned", "10:50 priority=high", "11:00 reopened"];
    check("K8", &reset, "c", lines, "11:10", &["10:00.. due 10:30 overdue"]);
    // `new_cycle` leaves it missed; so does `continue` after `reopen_within` (K11).
    let want = &["10:00..10:40 due 10:30 missed", "11:00.. due 11:30 running"];
    check("K9", &text.replace("continue", "new_cycle"), "c", &late, "11:10", want);
    check("K11", &format!("{text}reopen_within = \"10m\"\n"), "c", &late, "11:10", want);
}

#[test]
fn h3_what_is_reached_as_a_pause_begins_waits_for_its_end() {
    // Half of the target, and `15m before`, are both reached at 10:15.
    for ring in ["50%", "15m before"] {
        let text = clock(&format!("pause = {{ status = [\"waiting\"] }}\nring = [\"{ring}\", \"due\"]\n"));
        let lines = &["10:00 opened", "10:15 status=waiting", "11:00 status=open"];
        let story = check("H3", &text, "c", &lines[..2], "10:59", &["10:00.. due - paused"]);
        assert_eq!(story.crossed, [""; 0], "H3 {ring}");
        let story = check("H3", &text, "c", lines, "11:05", &["10:00.. due 11:15 running"]);
        assert_eq!(story.crossed, [format!("{ring} 11:00")], "H3 {ring}");
        // A millisecond later it was reached while the cycle ran.
        let lines = &["10:00 opened", "10:15:00.001 status=waiting", "11:00 status=open"];
        let story = check("H3", &text, "c", lines, "11:05", &["10:00.. due 11:14:59.999 running"]);
        assert_eq!(story.crossed, [format!("{ring} 10:15")], "H3 {ring}");
    }
    // K24: a pause that begins at due comes too late; what comes after due waits as everything does.
    let text = clock("pause = { status = [\"waiting\"] }\nring = [\"due\", \"10m after\"]\n");
    let lines = &["10:00 opened", "10:30 status=waiting", "11:00 status=open"];
    let story = check("K24", &text, "c", lines, "11:20", &["10:00.. due 10:30 overdue"]);
    assert_eq!(story.crossed, ["due 10:30:00.001", "10m after 11:10"], "K24");
    let lines = &["10:00 opened", "10:40 status=waiting", "11:00 status=open"];
    let story = check("H3", &text, "c", lines, "11:20", &["10:00.. due 10:30 overdue"]);
    assert_eq!(story.crossed, ["due 10:30:00.001", "10m after 11:00"], "H3");
}

#[test]
fn p2_other_hours_under_the_same_name_are_a_retarget() {
    let hours = "daily = [[\"09:00\", \"21:00\"]]";
    let again = "mon-sun = [[\"09:00\", \"12:00\"], [\"12:00\", \"21:00\"]]";
    let longer = "daily = [[\"09:00\", \"22:00\"]]";
    for (line, hours, name, due) in [
        ("min_left = \"30m\"", longer, "D", "11:20"),
        ("on_change = \"restart\"", longer, "D", "11:50"),
        ("", longer, "D", "11:00"),
        // The same hours are no change, however they are written and called.
        ("min_left = \"30m\"", again, "D", "11:00"),
        ("on_change = \"restart\"", again, "D", "11:00"),
        ("min_left = \"30m\"", hours, "E", "11:00"),
        ("on_change = \"restart\"", hours, "E", "11:00"),
    ] {
        let text = |calendar: &str| clock(&format!("target = \"1h\"\ncalendar = \"{calendar}\"\n{line}\n"));
        let mut story = Story::new(&text("D"));
        story.see("10:00 opened");
        story.until(at("10:50"));
        let calendars = CALENDARS.replacen("[calendars.D]", &format!("[calendars.{name}]"), 1);
        let calendars = calendars.replacen("daily = [[\"09:00\", \"21:00\"]]", hours, 1);
        let other: PolicyConfig = toml::from_str(&format!("{}{calendars}", text(name))).expect("a policy");
        let command = Command::Reload { policy: Box::new(other), mode: ReloadMode::FromNow, since: None };
        story.engine.command(&command, at("10:50")).expect("the policy is right");
        assert_eq!(story.cycles("c"), [format!("10:00.. due {due} running")], "P2 {line} {hours} {name}");
    }
}

#[test]
fn h4_only_a_later_due_time_arms_a_ring_again() {
    let text =
        clock(&format!("target = \"4h\"\non_change = \"restart\"\nring = [\"25%\"]\n{VIP}target = \"1h\"\n"));
    // From 14:00 to 12:30: a quarter of the hour, 11:45, lies ahead and is not armed again.
    let lines = &["10:00 opened", "11:30 vip=true", "12:00 vip=false"];
    let story = check("H4", &text, "c", &lines[..2], "12:10", &["10:00.. due 12:30 running"]);
    assert_eq!(story.crossed, ["25% 11:00"], "H4");
    // To 16:00.
    let story = check("H4", &text, "c", lines, "15:00", &["10:00.. due 16:00 running"]);
    assert_eq!(story.crossed, ["25% 11:00", "25% 13:00 arm 2"], "H4");
    // What makes it later while it is paused counts from the resumption on.
    let text = clock(&format!(
        "target = \"4h\"\npause = {{ status = [\"waiting\"] }}\nring = [\"25%\"]\n{VIP}target = \"8h\"\n"
    ));
    let lines = &["10:00 opened", "11:30 status=waiting", "11:40 vip=true", "12:00 status=open"];
    let story = check("H4", &text, "c", lines, "13:00", &["10:00.. due 18:30 running"]);
    assert_eq!(story.crossed, ["25% 11:00", "25% 12:30 arm 2"], "H4");
    // A pause of which we hear late moves no time of day.
    let text = clock("by = \"12:00\"\npause = { status = [\"waiting\"] }\nring = [\"50%\"]\n");
    let mut story = Story::new(&text);
    story.see("10:00 opened");
    story.until(at("11:10"));
    story.see_at(&observation("10:50 status=waiting"), at("11:10"));
    story.see_at(&observation("11:30 status=open"), at("11:10"));
    story.until(at("11:50"));
    assert_eq!(story.crossed, ["50% 11:00"], "H4");
}

#[test]
fn k7_a_question_in_a_closed_case_is_one_unless_it_was_closed_when_first_seen() {
    let text = clock(
        "start = \"customer_message\"\npick = \"oldest_open\"\n\
         [kinds.ticket]\nfinal = [\"closed\"]\nclosed = { status = [\"resolved\"] }\n",
    );
    // Met closed: what was asked before is history, what is asked afterwards is not.
    check("K7", &text, "c", &["11:00 status=resolved cm@10:00"], "11:10", &[]);
    let lines = &["11:00 status=resolved cm@10:00", "11:20 cm"];
    check("K7", &text, "c", lines, "11:30", &["11:20.. due 11:50 running"]);
    let lines = &["09:00 closed", "09:10 status=resolved", "10:00 cm"];
    check("K7", &text, "c", lines, "10:20", &["10:00.. due 10:30 running"]);
    // Every other promise does not begin.
    for pick in ["first", "last"] {
        let text = text.replace("oldest_open", pick);
        check("K7", &text, "c", lines, "10:20", &[]);
    }
}

#[test]
fn t3_a_rise_of_revision_is_kept_and_costs_nothing_else() {
    let mut story = Story::new(&clock("ring = [\"50%\", \"due\"]\n"));
    story.see("10:00 opened status=open rev=1");
    story.until(at("10:20"));
    let wake = story.engine.next_wake();
    for (line, revised) in
        [("10:20 opened@10:00 rev=3", 1), ("10:00 status=open rev=2", 1), ("10:20 opened@10:00 rev=2", 0)]
    {
        let changes = story.engine.observe(&observation(line), at("10:20"));
        assert_eq!((changes.merge.revised, changes.merge.changed), (revised, 0), "T3 {line}");
        assert_eq!(changes.cases.len(), revised as usize, "T3 {line}: what rose is to be kept");
        assert!(changes.crossings.is_empty() && changes.cycles.is_empty(), "T2 {line}");
        assert_eq!(story.engine.next_wake(), wake, "T2 {line}");
    }
    // Saved and loaded, a correction of a revision in between is still too old.
    let number = story.engine.observe(&observation("10:20 opened@10:00 rev=4"), at("10:20")).cases[0];
    let row = story.engine.row(number).expect("the case is in memory");
    story.engine.restore(&row).expect("the row can be read");
    story.see("10:20 opened@10:10 rev=3");
    assert_eq!(story.cycles("c"), ["10:00.. due 10:30 running"], "T3");
}

#[test]
fn t1_a_single_mark_is_one_whatever_its_reference() {
    let text = clock("");
    // A second instant is a correction: of equal revision the smaller one wins (T3).
    let lines = &["10:00 opened#a", "10:10 opened#b", "10:20 opened"];
    let story = check("T1", &text, "c", lines, "10:25", &["10:00.. due 10:30 running"]);
    let key = story.with("c", |c, _| c.key);
    let lines = &["10:00 opened#a", "10:10 opened#b rev=1"];
    let story = check("T1", &text, "c", lines, "10:25", &["10:10.. due 10:40 running"]);
    assert_eq!(story.with("c", |c, _| c.key), key, "K15");
    let view = story.engine.case("shop", "ticket", "T1").expect("the case");
    assert_eq!(view.timeline().entries().count(), 1, "T1");
    // Repeated marks are told apart by reference, and without one by instant.
    let repeated = clock("start = \"customer_message\"\npick = \"last\"\n");
    let lines = &["10:00 cm#a", "10:01 cm#b", "10:02 cm#a", "10:03 cm", "10:04 cm", "10:05 cm@10:04"];
    let story = Story::new(&repeated);
    let story = lines.iter().fold(story, |mut story, line| {
        story.see(line);
        story
    });
    let starts = story.with("c", |c, _| local(c.start));
    assert_eq!(starts, ["10:00", "10:01", "10:03", "10:04"], "T1");
    // What a shop declares single is so from then on, also where it had references before.
    let mut story = Story::new(&clock("start = \"booked\"\n"));
    story.see("10:00 booked#a");
    let single = clock("start = \"booked\"\n[marks]\nsingle = [\"booked\"]\n");
    reload(&mut story, &single, ReloadMode::FromNow, "10:05");
    story.see("10:10 booked#b rev=1");
    assert_eq!(story.cycles("c"), ["10:10.. due 10:40 running"], "T1");
    // Deadlines are one a reference: the earliest counts.
    let text = clock("deadline = \"answer_by\"\n");
    let lines = &["10:00 opened answer_by#a@11:00", "10:01 answer_by#b@10:40", "10:02 answer_by#a@10:50"];
    check("T1", &text, "c", lines, "10:25", &["10:00.. due 10:40 running"]);
}

#[test]
fn t7_a_first_snapshot_dated_ahead_says_nothing_until_then() {
    let text = clock(&format!("pause = {{ status = [\"waiting\"] }}\n{VIP}target = \"1h\"\n"));
    for (line, due_then, retracted) in [
        ("11:00 opened@10:00 status=waiting", "10:00.. due - paused", vec!["11:00 late_entry"]),
        ("11:00 opened@10:00 vip=true", "10:00.. due 11:00 running", vec!["11:00 late_entry"]),
        ("11:00 opened@10:00 status=open", "10:00.. due 10:30 overdue", vec![]),
    ] {
        let mut story = Story::new(&text);
        story.see_at(&observation(line), at("10:10"));
        assert_eq!(story.cycles("c"), ["10:00.. due 10:30 running"], "T7 {line}");
        story.until(at("10:59:59.999"));
        assert_eq!(story.cycles("c"), ["10:00.. due 10:30 overdue"], "T7 {line}");
        // Reached, it is what the first snapshot said, and holds since the case began (T6).
        story.until(at("11:00"));
        assert_eq!(story.cycles("c"), [due_then], "T7 {line}");
        assert_eq!(story.rung, ["due 10:30:00.001"], "T7 {line}");
        assert_eq!(story.retracted, retracted, "T7 {line}");
    }
    // An earlier one comes in between: that is the first, and the other counts from its own instant.
    let mut story = Story::new(&text);
    story.see_at(&observation("10:20 opened@10:00 status=waiting"), at("10:10"));
    story.see("10:15 status=open");
    story.until(at("10:25"));
    assert_eq!(story.cycles("c"), ["10:00.. due - paused"], "T7");
    assert_eq!(story.with("c", |c, n| c.left(n)), [Some(Span::from_minutes(10))], "T7");
    // A cycle that had ended is judged again as well.
    let text = clock(
        "start = \"customer_message\"\npick = \"oldest_open\"\n[kinds.ticket]\nclosed = { status = [\"resolved\"] }\n",
    );
    let mut story = Story::new(&text);
    story.see_at(&observation("12:00 cm@10:00 ar@10:05 cm@10:10 status=resolved"), at("10:10"));
    assert_eq!(story.cycles("c").len(), 2, "T7");
    story.until(at("12:00"));
    assert_eq!(story.cycles("c"), [""; 0], "K7");
    assert_eq!(story.retracted, ["12:00 late_entry"], "W6");
}

/// Excuses the newest cycle of `c`.
fn excuse(story: &mut Story, t: &str) {
    story.until(at(t));
    let case = CaseKey { source: "shop".into(), kind: "ticket".into(), id: "T1".into() };
    let command = Command::Excuse { case, clock: "c".to_owned(), start: None };
    story.engine.command(&command, at(t)).expect("the cycle is there");
}

#[test]
fn k25_an_excused_cycle_that_is_reopened_begins_anew() {
    for reopen in ["continue", "new_cycle", "ignore"] {
        let text = clock(&format!(
            "stop = \"agent_reply\"\nstop_when = {{ status = \"done\" }}\nreopen = \"{reopen}\"\n"
        ));
        for (before, end, after) in [
            (vec![], "11:00", "12:00 reopened"),
            (vec!["10:40 ar"], "10:40", "12:00 reopened"),
            (vec!["10:40 status=done"], "10:40", "12:00 status=open"),
            (vec![], "11:00", "11:10 status=done|12:00 status=open"),
        ] {
            let mut story = Story::new(&text);
            story.see("10:00 opened status=open");
            before.iter().for_each(|line| story.see(line));
            excuse(&mut story, "11:00");
            let saved = story.engine.save().to_bytes().expect("a snapshot can be written");
            let snapshot = Snapshot::from_bytes(&saved).expect("a snapshot can be read");
            story.engine = Engine::load(&snapshot, Era::years(2023, 2028)).expect("a snapshot can be loaded");
            after.split('|').for_each(|line| story.see(line));
            story.until(at("13:00"));
            let mut cycles = vec![format!("10:00..{end} due 10:30 excused")];
            let mut rung = vec!["due 10:30:00.001"];
            if reopen != "ignore" {
                cycles.push("12:00.. due 12:30 overdue".to_owned());
                rung.push("due 12:30:00.001");
            }
            assert_eq!(story.cycles("c"), cycles, "K8, K9 {reopen} {before:?} {after}");
            assert_eq!(story.rung, rung, "K8, K9 {reopen} {before:?} {after}");
            assert_eq!(story.retracted, [""; 0], "{reopen} {before:?} {after}");
        }
    }
    // Reopened before it was excused, told in time or late: it is the one cycle, and stays excused.
    let text = clock("reopen = \"continue\"\n");
    let mut story = Story::new(&text);
    ["10:00 opened", "10:20 ar", "10:50 reopened"].iter().for_each(|line| story.see(line));
    excuse(&mut story, "11:00");
    story.until(at("13:00"));
    assert_eq!(story.cycles("c"), ["10:00..11:00 due 11:00 excused"], "K25");
    assert_eq!(story.rung, [""; 0], "K25");
    let mut story = Story::new(&text);
    ["10:00 opened", "10:20 ar"].iter().for_each(|line| story.see(line));
    excuse(&mut story, "11:00");
    story.see("11:30 reopened@10:50");
    story.until(at("13:00"));
    assert_eq!(story.cycles("c"), ["10:00..11:00 due 11:00 excused"], "T9");
    // Its start is corrected to after the excuse: the same cycle (K15), excused.
    let mut story = Story::new(&text);
    story.see("10:00 opened");
    excuse(&mut story, "11:00");
    story.see("11:30 opened@11:20 rev=1");
    story.until(at("13:00"));
    assert_eq!(story.cycles("c"), ["11:20..11:20 due 11:50 excused"], "K15");
}

#[test]
fn k2_what_is_asked_after_an_excuse_is_another_promise() {
    let mut story = Story::new(&clock("start = \"customer_message\"\npick = \"oldest_open\"\n"));
    story.see("10:00 cm");
    excuse(&mut story, "11:00");
    excuse(&mut story, "11:05");
    story.see("11:10 cm");
    story.see("11:20 ar");
    story.until(at("13:00"));
    let want = ["10:00..11:00 due 10:30 excused", "11:10..11:20 due 11:40 met"];
    assert_eq!(story.cycles("c"), want, "K2");
}
