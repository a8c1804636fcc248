//! Dead letters are loud (§9.3).

use super::{P0, P2, P3};
use crate::core::alerting::samples::{Does, World};
use crate::core::ids::Id;
use crate::core::model::{Cause, Lane, Notice, NoticeState, Outcome, OutcomeClass, Purpose};

/// S40: a dead letter.
#[test]
fn s40_a_dead_letter_is_loud_in_the_same_step() {
    let mut w = World::new();
    w.next.insert("app".into(), vec![Does::Answer(Outcome::of(OutcomeClass::RecipientPermanent))]);
    w.next.insert("sms".into(), vec![Does::Answer(Outcome::of(OutcomeClass::RecipientPermanent))]);
    let i = w.incident_with("ticket.reply", |i| i.level = 2);
    let n = w.plan(i, P0, "min", &[&["app", "sms"], &[]]);
    w.alerting.notices.get_mut(&n).unwrap().level = 2;
    w.secs(1);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Dead, Some(Cause::Failed)));
    assert_eq!(w.open("delivery.dead"), 1);
    let dead: Vec<Lane> = w.notice(n).waves.iter().flatten().map(|r| r.lane.clone()).collect();
    let letter = w.alerting.incidents.values().find(|x| &*x.family == "delivery.dead").unwrap().id;
    let others =
        w.alerting.notices.values().filter(|x| x.incident == letter).flat_map(|x| x.waves.iter().flatten());
    let lanes: Vec<Lane> = others.map(|r| r.lane.clone()).collect();
    assert!(!lanes.is_empty() && lanes.iter().all(|l| !dead.contains(l)), "I3: disjoint lanes");
    assert_eq!(w.alerting.incidents[&i].level, 3, "R7");
    let tried = w.to("min", "app").lane;
    assert!(w.alerting.lane_flagged(&tried), "the contact is flagged");
}

/// §9.3: the bound passes: provisionally dead, the attempts go on, a late proof is noted.
#[test]
fn a_notice_without_proof_is_dead_at_its_bound_and_late_proof_is_noted() {
    let mut w = World::new();
    w.let_channel("app", Does::Answer(Outcome::of(OutcomeClass::Transient)));
    let i = w.incident("system.disk");
    let n = w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(179);
    assert_eq!(w.state(n), NoticeState::Open);
    w.secs(1);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Dead, Some(Cause::BoundPassed)));
    assert_eq!(w.alarms, 1, "about the system's own trouble: the local surfaces");
    let before = w.sent.len();
    w.answers("app", OutcomeClass::Accepted);
    w.secs(120);
    assert!(w.sent.len() > before, "attempts go on until EXPIRE");
    assert!(w.notice(n).late_delivered);
    assert_eq!(w.state(n), NoticeState::Dead, "an annotation only");
}

/// Found by the simulation: the level that a dead letter is opened at was in no audit record.
#[test]
fn i43_the_level_of_a_dead_letter_is_audited() {
    let mut w = World::new();
    w.answers("app", OutcomeClass::RecipientPermanent);
    let i = w.incident("ticket.reply");
    w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(10);
    let letters = w.alerting.incidents.values().filter(|i| &*i.family == "delivery.dead");
    let letters: Vec<_> = letters.map(|i| (i.id.to_string(), format!("L{}", i.level))).collect();
    assert!(!letters.is_empty());
    for (id, level) in letters {
        let of =
            w.audit.iter().filter(|a| a.incident.as_ref() == Some(&id) && a.kind.starts_with("incident.R"));
        let last = of.filter_map(|a| a.change.as_deref()).next_back().unwrap_or_default();
        assert!(last.ends_with(&level), "{last} is not {level}");
    }
}

/// I3: whoever had a dead letter and has it no longer is not told so on the lane that is dead.
#[test]
fn i3_nothing_is_said_of_a_dead_letter_where_the_dead_one_went() {
    let mut w = World::new();
    w.answers("app", OutcomeClass::Transient);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "min", &[&["app"]]);
    w.secs(200);
    assert_eq!(w.state(n), NoticeState::Dead);
    let letters = w.alerting.incidents.values();
    let letter =
        letters.filter(|i| &*i.family == "delivery.dead").map(|i| i.id).next().expect("a dead letter");
    let dead: Vec<Lane> = w.notice(n).waves.iter().flatten().map(|r| r.lane.clone()).collect();
    for class in [P0, P2, P3] {
        w.alerting.tell_people(letter, &["min".into()], Purpose::Rerouted, class, "former", None);
    }
    let said: Vec<&Notice> = w.alerting.notices.values().filter(|n| n.purpose == Purpose::Rerouted).collect();
    assert!(!said.is_empty());
    for notice in said {
        assert!(!notice.waves.is_empty(), "there are other lanes");
        assert!(notice.waves.iter().flatten().all(|r| !dead.contains(&r.lane)), "{notice:?}");
    }
}

/// I3: nor does an SMS take it along to a lane that is dead.
#[test]
fn i3_no_sms_takes_a_dead_letter_to_a_lane_that_is_dead() {
    let mut w = World::new().with(|c| c.budget.sms.clear());
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "zhou", &[&["sms"]]);
    w.secs(185);
    assert_eq!(w.state(n), NoticeState::Dead);
    let letters: Vec<Id> =
        w.alerting.incidents.values().filter(|i| &*i.family == "delivery.dead").map(|i| i.id).collect();
    let told: Vec<Id> = w
        .alerting
        .notices
        .values()
        .filter(|n| letters.contains(&n.incident) && n.state == NoticeState::Open)
        .map(|n| n.id)
        .collect();
    let other = w.incident("ticket.reply");
    w.plan(other, P0, "zhou", &[&["sms"]]);
    w.secs(5);
    let dead = w.to("zhou", "sms").lane;
    for id in told {
        assert!(
            w.messages(id, "sms").iter().all(|m| m.to.lane != dead),
            "the letter was taken along to the lane that is dead"
        );
    }
}
