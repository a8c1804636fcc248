//! Rings of `sla_semantics` §7 of which no worked example speaks, by their ids, as stories: where the model of
//! `tests/it/oracle/` heard other bells.

use crate::core::clock::ReloadMode;
use crate::core::engine::examples::{Story, at};
use crate::core::engine::rules::{clock, reload};

const NONE: &str =
    "[[clock]]\nname = \"d\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n";

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
