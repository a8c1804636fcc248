//! Rings of `sla_semantics` §7 of which no worked example speaks, by their ids, as stories: where the model of
//! `tests/it/oracle/` heard other bells.

use crate::core::clock::ReloadMode;
use crate::core::engine::examples::{Story, at, check, local, policy};
use crate::core::engine::rules::{VIP, clock, reload};
use crate::core::engine::{Command, Verdict};

const NONE: &str =
    "[[clock]]\nname = \"d\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n";

const PAUSE: &str = "pause = { status = [\"waiting\"] }\n";

/// What a reload at `t` records: ring, instant, and whether it rings.
fn reloaded(story: &mut Story, text: &str, mode: ReloadMode, t: &str) -> Vec<String> {
    story.until(at(t));
    let command = Command::Reload { policy: Box::new(policy(text)), mode, since: None };
    let changes = story.engine.command(&command, at(t)).expect("the policy is right");
    let told = |c: &crate::core::engine::Crossing| {
        let how = match c.verdict {
            Verdict::Rung { .. } => "rung",
            Verdict::PassedBeforeAttach => "passed",
            Verdict::Outranked => "outranked",
            Verdict::Held { .. } => "held",
        };
        format!("{} {} {how}", c.ring_name, local(c.at))
    };
    changes.crossings.iter().map(told).collect()
}

#[test]
fn h5_shares_of_what_goes_by_the_wall() {
    let pause = &["10:00 opened", "10:30 status=waiting", "11:30 status=open"];
    let restart = format!("by = \"18:00\"\non_change = \"restart\"\n{VIP}by = \"15:00\"\n");
    let sooner = format!("by = \"20:00\"\n{VIP}by = \"16:00\"\n");
    let vip = &["10:00 opened", "12:00 vip=true"];
    let vip_late = &["10:00 opened", "14:00 vip=true"];
    let at_once = &["10:00 opened"];
    for (lines, story, want) in [
        ("by = \"12:00\"\n".to_owned(), &at_once[..], "50% 11:00"),
        // It comes nearer in the pause, too; what falls into the pause waits (H3).
        (format!("by = \"12:00\"\n{PAUSE}"), &pause[..], "50% 11:30"),
        (format!("by = \"17:00\"\n{PAUSE}"), &pause[..], "50% 13:30"),
        // Where pauses move due, it does not.
        (format!("by = \"12:00\"\nby_extends = true\n{PAUSE}"), &pause[..], "50% 12:00"),
        // P4: of the time from the restart.
        (restart, &vip[..], "50% 13:30"),
        // Three of six hours have gone at 13:00, but it was not of six hours then.
        (sooner, &vip_late[..], "50% 14:00"),
        // Twelve hours are open until 10:00 tomorrow.
        ("every = \"1 day\"\n".to_owned(), &at_once[..], "50% 16:00"),
    ] {
        let mut told = Story::new(&clock(&format!("ring = [\"50%\"]\n{lines}")));
        story.iter().for_each(|line| told.see(line));
        told.until(at("20:00"));
        assert_eq!(told.crossed, [want], "H5 {lines}");
    }
}

#[test]
fn h9_what_is_reached_as_it_begins_has_not_passed() {
    let text = clock("ring = [\"1h before wall\", \"due\"]\n");
    // The platform dates it ahead: it begins when its time comes (T7).
    let story = check("H9", &text, "c", &["10:00 opened@10:05"], "10:10", &["10:05.. due 10:35 running"]);
    assert_eq!(story.rung, ["1h before wall 10:05"], "H9");
}

#[test]
fn h9_what_a_reload_brings_is_not_rung_for_what_has_passed() {
    let text = |rings: &str, target: &str| clock(&format!("target = \"{target}\"\nring = [{rings}]\n"));
    let opened = || {
        let mut story = Story::new(&text("\"75%\", \"due\"", "4h"));
        story.see("10:00 opened");
        story
    };
    let mut story = opened();
    let more = text("\"25%\", \"50%\", \"80%\", \"due\"", "4h");
    let told = reloaded(&mut story, &more, ReloadMode::FromNow, "12:30");
    assert_eq!(told, ["25% 11:00 passed", "50% 12:00 passed"], "H9");
    story.until(at("14:00"));
    assert_eq!(story.rung, ["80% 13:12"], "H9");
    // What it makes to have been.
    let mut story = opened();
    let told = reloaded(&mut story, &text("\"75%\", \"due\"", "3h"), ReloadMode::Retroactive, "12:30");
    assert_eq!(told, ["75% 12:15 passed"], "H9");
    // What it reaches by itself rings (H6).
    let mut story = opened();
    let told = reloaded(&mut story, &text("\"75%\", \"due\"", "3h"), ReloadMode::FromNow, "12:30");
    assert_eq!(told, [""; 0], "H6");
    story.until(at("12:30"));
    assert_eq!(story.rung, ["75% 12:30"], "H6");
    // Due is rung, once.
    let mut story = opened();
    let told = reloaded(&mut story, &text("\"75%\", \"due\"", "1h"), ReloadMode::Retroactive, "12:30");
    assert_eq!(told, ["75% 10:45 passed", "due 11:00:00.001 rung"], "H9");
    story.until(at("20:00"));
    assert_eq!(story.rung, [""; 0], "L12");
}

#[test]
fn h9_p6_what_a_reload_brought_while_nothing_matched_has_passed_too() {
    let of = |rings: &str| {
        clock(&format!("when = {{ priority = {{ not = \"low\" }} }}\ntarget = \"4h\"\nring = [{rings}]\n"))
    };
    let mut story = Story::new(&of("\"75%\", \"due\""));
    story.see("10:00 opened");
    story.see("10:10 priority=low");
    let told = reloaded(&mut story, &of("\"25%\", \"75%\", \"due\""), ReloadMode::FromNow, "11:30");
    assert_eq!(told, [""; 0], "P6: the last matching entry goes on as it was written");
    story.see("12:00 priority=high");
    story.until(at("13:30"));
    assert_eq!(story.crossed, ["25% 11:00", "75% 13:00"], "H9");
    assert_eq!(story.rung, ["75% 13:00"], "H9");
}

#[test]
fn p1_an_overdue_cycle_has_the_rings_in_force() {
    let mut story = Story::new(&clock(""));
    story.see("10:00 opened");
    reload(&mut story, &clock("ring = [\"due\", \"1h after\"]\n"), ReloadMode::FromNow, "11:00");
    story.until(at("12:00"));
    assert_eq!(story.rung, ["due 10:30:00.001", "1h after 11:30"], "P1");
    let mut story = Story::new(&clock("ring = [\"due\", \"1h after\"]\n"));
    story.see("10:00 opened");
    reload(&mut story, &clock(""), ReloadMode::FromNow, "11:00");
    story.until(at("12:00"));
    assert_eq!(story.rung, ["due 10:30:00.001"], "P1");
}

#[test]
fn r4_a_clock_that_is_gone_takes_up_nothing() {
    for reopen in ["continue", "new_cycle"] {
        let mut story = Story::new(&clock(&format!("reopen = \"{reopen}\"\n")));
        story.see("10:00 opened");
        story.see("10:10 ar");
        reload(&mut story, NONE, ReloadMode::FromNow, "10:20");
        story.see("10:30 reopened");
        story.until(at("11:30"));
        assert_eq!(story.cycles("c"), ["10:00..10:10 due 10:30 met"], "R4 {reopen}");
    }
}

#[test]
fn r1_h9_what_ends_as_the_clock_comes_is_its_business() {
    let mut story = Story::new(NONE);
    story.see("10:00 opened");
    reload(&mut story, &clock(""), ReloadMode::FromNow, "11:00");
    story.see("11:00 ar");
    assert_eq!(story.cycles("c"), ["10:00..11:00 due 10:30 missed"], "within one instant a reload is first");
}
