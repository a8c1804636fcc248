//! S27: the clock jumps. Which jump is believed is the daemon's to judge (`daemon/business.rs`); here is what the desk
//! makes of it (T3).

use super::world::{Plan, World, instant};
use crate::core::alerting::Act;
use crate::core::model::Status;
use crate::core::time::Span;

/// A desk whose clock was an hour ahead from 10:15 on: it believes that it is 11:15 and decides by that.
fn ahead() -> World {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "09:50:00")], &[]);
    world.at("10:12");
    assert_eq!(world.state("T1"), "open L1", "due at 10:10");
    world.observe("ticket", "T2", &[("customer_message", "m1", "10:12:00")], &[]);
    world.at("11:15");
    assert_eq!(world.state("T2"), "open L3", "due at 10:32, which has not come");
    world
}

#[test]
fn s27_a_long_step_back_goes_on_at_the_truth() {
    let mut world = ahead();
    let lin = world.incident("T1").id;
    world.ack("zhou", lin).expect("a manager may");
    assert_eq!(world.incident("T1").ack_until, Some(instant("2026-03-02", "11:25")));
    let told = world.audited("notice.planned");
    world.restart_back(&Plan::default(), "10:15");
    // What never was is taken back, and they hear of it (R28).
    assert_eq!(world.incident("T2").status, Status::Resolved);
    assert!(world.rules(world.incident("T2").id).ends_with("R28"));
    // Nothing is fired again.
    assert_eq!(world.audited("notice.planned"), told + 1, "the correction alone");
    // What was set in the time that never was is set back with it.
    assert_eq!(world.incident("T1").ack_until, Some(instant("2026-03-02", "10:25")));
    world.at("10:25:01");
    assert_eq!(world.state("T1"), "open L3", "and comes when it should");
    // Time does not stand still: what is new is noticed at its instant.
    world.observe("ticket", "T3", &[("customer_message", "m1", "10:06:00")], &[]);
    world.sent.clear();
    world.at("10:26:10");
    assert_eq!(world.state("T3"), "open L1");
    assert!(world.sent.iter().any(|s| s.text.contains("T3") && s.at < instant("2026-03-02", "10:26:10")));
    // And the promise that was said to be broken too early is broken all the same when it is.
    world.at("10:32:30");
    assert_eq!(world.state("T2"), "open L1");
    assert_eq!(world.incident("T2").episode, 2);
}

/// I14, I15: a deadline that had passed by the clock that was ahead is ahead again, and so is its guard.
#[test]
fn i14_an_ack_keeps_the_guard_of_a_deadline_that_is_ahead_again() {
    let by = ("answer_by", "", "2026-03-02T10:30:00+08:00");
    for snoozed in [false, true] {
        let mut world = Plan::default().at("10:00");
        world.observe("ticket", "T1", &[("customer_message", "m1", "09:50:00"), by], &[]);
        world.at("11:15");
        let id = world.incident("T1").id;
        match snoozed {
            true => world.act("zhou", Act::Snooze { incident: id, span: Span::from_minutes(20) }),
            false => world.ack("zhou", id),
        }
        .expect("a manager may");
        world.restart_back(&Plan::default(), "10:15");
        let found = world.incident("T1");
        let until = if snoozed { found.snooze_until } else { found.ack_until };
        // Half of the quarter of an hour that is left.
        assert_eq!(until, Some(instant("2026-03-02", "10:22:30")), "snoozed: {snoozed}");
    }
}

#[test]
fn s27_what_went_back_is_kept() {
    let mut world = ahead();
    world.restart_back(&Plan::default(), "10:15");
    world.at("10:16");
    world.restart(&Plan::default(), "10:16:30");
    world.observe("ticket", "T4", &[("customer_message", "m1", "09:57:00")], &[]);
    world.at("10:17:30");
    assert_eq!(world.state("T4"), "open L1", "the next process does not wait for 11:15");
}

#[test]
fn s27_a_step_back_past_the_first_start_is_kept() {
    let mut world = Plan::default().at("11:00");
    world.restart_back(&Plan::default(), "10:15");
    world.at("10:16");
    world.restart(&Plan::default(), "10:16:30");
    assert!(world.desk.now() < instant("2026-03-02", "10:17"), "{}", world.desk.now());
    world.observe("ticket", "T4", &[("customer_message", "m1", "09:57:00")], &[]);
    world.at("10:17:30");
    assert_eq!(world.state("T4"), "open L1", "the next process does not wait for 11:00");
}

#[test]
fn s27_a_start_before_the_time_that_was_reached_waits_until_somebody_knows() {
    let mut world = ahead();
    let rules = world.rules(world.incident("T2").id);
    world.restart(&Plan::default(), "10:15");
    assert_eq!(world.rules(world.incident("T2").id), rules, "nothing is taken back on the word of one clock");
    assert!(world.desk.now() > instant("2026-03-02", "11:10"), "{}", world.desk.now());
}
