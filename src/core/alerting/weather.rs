//! Stories of storms and silences in virtual time (`delivery_semantics` §8.2–§8.4, S10, S11, S25).

use std::collections::BTreeMap;

use super::samples::World;
use super::{Act, SilenceRequest};
use crate::core::alerting::outbox::Pointless;
use crate::core::ids::Id;
use crate::core::model::{Cause, Class, Incident, NoticeState, Purpose, Status};
use crate::core::time::{Instant, Span};

/// A page of stalled parcels of one carrier, each on a lane of its own.
fn page(w: &mut World, carrier: &str, count: u32, vip: &[u32]) -> Vec<Id> {
    let mut parcels = Vec::new();
    for n in 0..count {
        let now = w.now;
        let id = w.incident_with("parcel.stalled", |i: &mut Incident| {
            i.dimensions = [
                ("carrier".into(), carrier.into()),
                ("lane".into(), format!("lane{n}").into()),
                ("province".into(), format!("p{n}").into()),
            ]
            .into();
            i.penalty_cents = 1_000;
            i.due = Some(now);
            i.vip = vip.contains(&n);
        });
        w.alerting.noted_open(id);
        let class = if vip.contains(&n) { Class::P0 } else { Class::P2 };
        w.plan(id, class, "lin", &[&["app"]]);
        parcels.push(id);
    }
    parcels
}

fn close(w: &mut World, parcels: &[Id]) {
    for id in parcels {
        w.close(*id);
    }
}

fn minutes(w: &mut World, minutes: i64) {
    w.run(Span::from_minutes(minutes));
}

/// What a person got: when, in seconds, and what for.
fn got(w: &World, person: &str, from: Instant) -> Vec<(i64, String)> {
    let theirs = w.sent.iter().filter(|s| &*s.claim.to.person == person && s.at >= from);
    theirs.map(|s| ((s.at.as_millis() - from.as_millis()) / 1000, s.claim.body.text.clone())).collect()
}

fn storm(w: &World) -> Option<Id> {
    w.alerting.incidents.values().find(|i| i.storm.is_some()).map(|i| i.id)
}

/// S10: a thousand parcels stall at one carrier, two are VIP.
#[test]
fn s10_one_disaster_is_one_message_and_vips_stand_out() {
    let mut w = World::new();
    let t = w.now;
    let mut parcels = page(&mut w, "yto", 500, &[3, 300]);
    w.secs(2);
    let parent = storm(&w).expect("a storm");
    let cause = w.alerting.incidents[&parent].storm.clone().expect("its cause");
    assert_eq!((&*cause.dimension, &*cause.value), ("carrier", "yto"), "no lane and no province covers 80 %");
    parcels.extend(page(&mut w, "yto", 500, &[]));
    assert_eq!(w.alerting.folded_under(parent).count(), 998);
    w.secs(58);
    let first = got(&w, "lin", t);
    let vip: Vec<&(i64, String)> = first.iter().filter(|(_, text)| text.starts_with("level")).collect();
    assert_eq!(vip.len(), 1, "both in one tick: one message that names both: {first:?}");
    assert!(vip[0].0 == 0 && vip[0].1.contains("[4 301]"), "{first:?}");
    let opening: Vec<&(i64, String)> =
        first.iter().filter(|(_, text)| text.starts_with("storm_opened")).collect();
    assert_eq!(opening.len(), 1, "{first:?}");
    assert!(opening[0].0 <= 6 && opening[0].1.contains("carrier=yto"), "B15: {first:?}");
    assert_eq!(first.len(), 2, "{first:?}");

    // 120 more by minute 5: an update. Nothing changes until 15: nothing. Fewer at 30: an update; and at 60.
    parcels.extend(page(&mut w, "yto", 120, &[]));
    minutes(&mut w, 5);
    for _ in 0..2 {
        minutes(&mut w, 4);
        // The storm goes on: a few more, and as many fewer.
        let more = page(&mut w, "yto", 6, &[]);
        close(&mut w, &more);
    }
    minutes(&mut w, 6);
    let gone: Vec<Id> =
        parcels.iter().copied().filter(|id| !w.alerting.incidents[id].vip).take(400).collect();
    close(&mut w, &gone);
    parcels.extend(page(&mut w, "yto", 6, &[]));
    minutes(&mut w, 9);
    parcels.extend(page(&mut w, "yto", 6, &[]));
    let hour: Vec<(i64, String)> =
        got(&w, "lin", t).into_iter().filter(|(s, text)| *s < 3600 && text.starts_with("storm")).collect();
    assert!(hour.len() <= 4, "I24: {hour:?}");
    assert!(hour.iter().any(|(s, text)| (300..=361).contains(s) && text.contains("open 1118")), "{hour:?}");
    assert!(!hour.iter().any(|(s, _)| (900..1000).contains(s)), "unchanged at 15: {hour:?}");
    // I25: whatever is folded is in its parent's list.
    let children: Vec<Id> = w.alerting.folded_under(parent).collect();
    let folded = w.alerting.incidents.values().filter(|i| i.folded == Some(parent) && !i.is_resolved());
    assert_eq!(folded.count(), children.len());
}

/// I24: where nothing proves that the storm was told, the next level is (R7); that takes the place of the next update.
#[test]
fn i24_a_level_of_a_storm_takes_the_place_of_an_update() {
    let mut w = World::new();
    let t = w.now;
    page(&mut w, "yto", 30, &[]);
    w.secs(1);
    let parent = storm(&w).expect("a storm");
    // The managers hear of it as of a level; more come all the time, so that every update has something to tell.
    w.alerting.unreachable(parent, "dead");
    for _ in 0..59 {
        page(&mut w, "yto", 6, &[]);
        minutes(&mut w, 1);
    }
    let of_storm = |n: &&crate::core::model::Notice| n.incident == parent && n.planned_at < t + Span::HOUR;
    let told: Vec<(i64, &str)> = w
        .alerting
        .notices
        .values()
        .filter(of_storm)
        .filter(|n| n.purpose == Purpose::StormUpdate)
        .map(|n| (n.planned_at.since(t).as_secs() / 60, n.purpose.word()))
        .collect();
    assert_eq!(told.len(), 2, "of +5, +15 and +30 the first is skipped: {told:?}");
    assert!(told.iter().all(|(minute, _)| *minute >= 15), "{told:?}");
}

/// I24: the same where an ack of the storm has run out.
#[test]
fn i24_an_ack_of_a_storm_that_runs_out_takes_the_place_of_an_update() {
    let lease = Span::from_minutes(3);
    let mut w = World::new().with(|c| {
        let parcel = c.family.get_mut("parcel").expect("parcels");
        parcel.ack_lease = lease;
    });
    let t = w.now;
    for id in page(&mut w, "yto", 19, &[]) {
        w.alerting.edit(id, |i| i.level = 3);
    }
    page(&mut w, "yto", 1, &[]);
    w.secs(10);
    let parent = storm(&w).expect("a storm");
    assert_eq!(w.alerting.incidents[&parent].level, 3, "of its children");
    w.acts(1, "zhou", Act::Ack { incidents: vec![parent] });
    for _ in 0..58 {
        page(&mut w, "yto", 6, &[]);
        minutes(&mut w, 1);
    }
    let of_storm = |n: &&crate::core::model::Notice| n.incident == parent && n.planned_at < t + Span::HOUR;
    let mut told: Vec<(i64, &str)> = w
        .alerting
        .notices
        .values()
        .filter(of_storm)
        .filter(|n| n.audience.contains(&"zhou".into()))
        .map(|n| (n.planned_at.since(t).as_secs() / 60, n.purpose.word()))
        .collect();
    told.sort_unstable();
    let want = [(0, "storm_opened"), (3, "ack_lapsed"), (15, "storm_update"), (30, "storm_update")];
    assert_eq!(told, want);
}

/// S11: the storm ends, some children remain.
#[test]
fn s11_what_remains_after_a_storm_comes_back_in_digests() {
    let mut w = World::new();
    let parcels = page(&mut w, "yto", 60, &[]);
    w.secs(30);
    let parent = storm(&w).expect("a storm");
    close(&mut w, &parcels[..23]);
    let t = w.now;
    minutes(&mut w, 9);
    assert!(w.alerting.storm_is_on(parent));
    minutes(&mut w, 3);
    assert!(!w.alerting.storm_is_on(parent), "fewer than 5 new in 10 minutes");
    assert!(w.alerting.incidents[&parent].is_resolved());
    assert_eq!(w.alerting.folded_under(parent).count(), 0);
    let open: Vec<&Incident> = w
        .alerting
        .incidents
        .values()
        .filter(|i| &*i.family == "parcel.stalled" && !i.is_resolved())
        .collect();
    assert_eq!(open.len(), 37);
    assert!(open.iter().all(|i| i.folded.is_none()));
    let after = got(&w, "lin", t);
    let digests: Vec<&(i64, String)> = after.iter().filter(|(_, text)| text.starts_with("digest")).collect();
    assert_eq!(digests.len(), 1, "one digest for the audience: {after:?}");
    assert!(digests[0].1.starts_with("digest 37 "), "{after:?}");
    let totals: Vec<&(i64, String)> =
        after.iter().filter(|(_, text)| text.starts_with("storm_over")).collect();
    assert_eq!(totals.len(), 1, "and the totals to those who were told: {after:?}");
}

/// R26: a child that turns VIP, or whose deadline comes near, stands out at once.
#[test]
fn i26_children_break_out() {
    let mut w = World::new();
    let parcels = page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let parent = storm(&w).expect("a storm");
    let (vip, late) = (parcels[5], parcels[6]);
    let deadline = w.now + Span::from_minutes(65);
    w.alerting.edit(late, |i| i.hard_deadline = Some(deadline));
    w.alerting.noted_change(late);
    w.alerting.edit(vip, |i| i.vip = true);
    w.alerting.noted_change(vip);
    assert_eq!(w.alerting.incidents[&vip].folded, None);
    assert_eq!(w.alerting.incidents[&late].folded, Some(parent));
    let t = w.now;
    w.secs(2);
    assert!(
        got(&w, "lin", t).iter().any(|(s, text)| *s <= 1 && text.contains("[6]")),
        "{:?}",
        got(&w, "lin", t)
    );
    minutes(&mut w, 6);
    assert_eq!(w.alerting.incidents[&late].folded, None, "60 minutes are left");
}

/// I26: what breaks out because its deadline is near is named as soon as the most urgent is, whatever its class.
#[test]
fn i26_a_break_out_does_not_wait_for_others_of_its_class() {
    let mut w = World::new();
    page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let t = w.now;
    let due = t + Span::from_minutes(30);
    let near = w.incident_with("parcel.stalled", |i: &mut Incident| {
        i.dimensions = [("carrier".into(), "yto".into())].into();
        i.hard_deadline = Some(due);
    });
    w.alerting.noted_open(near);
    w.plan(near, Class::P2, "lin", &[&["app"]]);
    w.secs(2);
    let told = got(&w, "lin", t);
    assert!(told.iter().any(|(s, text)| *s <= 1 && text.starts_with("level 1 ")), "{told:?}");
    assert!(w.alerting.notices.values().all(|n| n.incident != near || n.remark.is_none()), "no digest");
}

/// RS4: an ack of the parent covers the children that it was told with; updates then wait for many more.
#[test]
fn rs4_an_ack_of_the_parent_covers_what_was_told() {
    let mut w = World::new();
    let told = page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let parent = storm(&w).expect("a storm");
    let later = page(&mut w, "yto", 6, &[]);
    w.acts(1, "lin", Act::Ack { incidents: vec![parent] });
    let status = |w: &World, id: &Id| w.alerting.incidents[id].status;
    assert!(told.iter().chain([&parent]).all(|id| status(&w, id) == Status::Acked));
    assert!(later.iter().all(|id| status(&w, id) == Status::Open), "no more than was told");
    let t = w.now;
    minutes(&mut w, 7);
    let updates =
        |w: &World, t| got(w, "lin", t).iter().filter(|(_, text)| text.starts_with("storm")).count();
    assert_eq!(updates(&w, t), 0, "six more are not worth an update to whoever has it");
    page(&mut w, "yto", 20, &[]);
    minutes(&mut w, 10);
    assert_eq!(updates(&w, t), 1, "26 more are: {:?}", got(&w, "lin", t));
}

/// I12, §8.2: a storm that somebody has does not rise with its children; open again, it is where they are.
#[test]
fn i12_a_storm_that_somebody_has_does_not_rise() {
    let mut w = World::new();
    page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let parent = storm(&w).expect("a storm");
    let later = page(&mut w, "yto", 6, &[]);
    w.acts(1, "lin", Act::Ack { incidents: vec![parent] });
    w.alerting.edit(later[0], |i| i.level = 2);
    w.alerting.noted_change(later[0]);
    let standing = |w: &World| (w.alerting.incidents[&parent].status, w.alerting.incidents[&parent].level);
    assert_eq!(standing(&w), (Status::Acked, 1));
    let t = w.now;
    w.secs(30);
    assert!(got(&w, "min", t).is_empty(), "nothing starts after the ack");
    w.acts(2, "lin", Act::Release { incident: parent });
    assert_eq!(standing(&w), (Status::Open, 2));
    w.secs(30);
    assert!(!got(&w, "min", t).is_empty(), "the senior is told");
}

/// I24: more than ten break-outs of one storm to one person go together.
#[test]
fn i24_break_outs_are_limited() {
    let mut w = World::new();
    page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let t = w.now;
    for _ in 0..20 {
        page(&mut w, "yto", 1, &[0]);
        w.secs(2);
    }
    w.secs(70);
    let single: Vec<(i64, String)> =
        got(&w, "lin", t).into_iter().filter(|(_, text)| text.starts_with("level")).collect();
    assert_eq!(single.len(), 11, "ten, and a digest of the rest: {single:?}");
    assert!(single[10].1.starts_with("level 10 "), "{single:?}");
    let headed = w.alerting.notices.values().filter(|n| n.remark.as_deref() == Some("重点")).count();
    assert_eq!(headed, 10, "the digest stands under its heading, and no other does (§8.2)");
}

/// I24, I26: a break-out that is told by chat and by SMS is one, and a restart forgets none.
#[test]
fn i24_break_outs_are_counted_once_and_over_a_restart() {
    let mut w = World::new();
    page(&mut w, "yto", 40, &[]);
    w.secs(30);
    let breaks_out = |w: &mut World| {
        let id = page(w, "yto", 1, &[0])[0];
        w.alerting.supersede(id, &Pointless::All, Cause::Covered);
        let n = w.plan(id, Class::P0, "lin", &[&["app", "content"]]);
        let waits = w.messages(n, "app")[0].wake_at.is_some_and(|at| at > w.now);
        w.secs(2);
        waits
    };
    // The helper plans each of them twice, at one instant: they are one.
    let waits: Vec<bool> = (0..8).map(|_| breaks_out(&mut w)).collect();
    assert_eq!(waits, [false; 8]);
    w.commit();
    w.crash(Span::from_secs(1));
    let waits: Vec<bool> = (0..3).map(|_| breaks_out(&mut w)).collect();
    assert_eq!(waits, [false, false, true], "eight before the restart, two after it, and no more");
}

/// S25: a silence for the maintenance of a carrier.
#[test]
fn s25_a_silence_covers_warns_and_gives_back() {
    let mut w = World::new().with(|c| c.storm.count = 0);
    let before = page(&mut w, "yto", 5, &[]);
    let other = page(&mut w, "sto", 1, &[]);
    let request = SilenceRequest {
        matchers: BTreeMap::from([("carrier".into(), vec!["yto".into()])]),
        reason: "maintenance".into(),
        span: Span::from_minutes(240),
        covers_vip: false,
    };
    assert_eq!(w.alerting.preview_silence(&request), 5);
    let (silence, until, covers) = w.alerting.add_silence(&request, &"zhou".into());
    assert_eq!((covers, until), (5, w.now + Span::from_minutes(240)));
    let t = w.now;
    minutes(&mut w, 60);
    let new = page(&mut w, "yto", 60, &[]);
    assert!(new.iter().chain(&before).all(|id| w.alerting.incidents[id].silenced == Some(silence)));
    minutes(&mut w, 30);
    let lin = got(&w, "lin", t);
    assert_eq!(lin.len(), 1, "only the other carrier's: {lin:?}");
    assert!(lin[0].1.contains("[6]"), "{lin:?}");
    let _ = other;
    // One turns VIP: not covered.
    let at = w.now;
    w.alerting.edit(new[7], |i| i.vip = true);
    w.alerting.noted_change(new[7]);
    w.secs(2);
    assert_eq!(w.alerting.incidents[&new[7]].silenced, None);
    let vip = got(&w, "lin", at);
    assert!(
        !vip.is_empty() && vip.iter().all(|(s, text)| *s == 0 && text.contains("[14]")),
        "P0 at once: {vip:?}"
    );
    close(&mut w, &new[20..]);
    // A restart in between changes nothing.
    w.commit();
    w.crash(Span::from_secs(5));
    minutes(&mut w, 139);
    assert!(got(&w, "zhou", t).is_empty(), "{:?}", got(&w, "zhou", t));
    let at = w.now;
    minutes(&mut w, 5);
    let warned = got(&w, "zhou", at);
    assert!(warned.iter().any(|(_, text)| text.starts_with("silence_ending")), "{warned:?}");
    let warning =
        w.alerting.notices.values().find(|n| n.purpose == Purpose::SilenceEnding).expect("the warning");
    assert!(warning.remark.as_deref().is_some_and(|r| r.contains("24")), "{:?}", warning.remark);
    let at = w.now;
    minutes(&mut w, 10);
    assert_eq!(w.alerting.silences().count(), 0);
    let back = got(&w, "lin", at);
    let digests: Vec<&(i64, String)> = back.iter().filter(|(_, text)| text.starts_with("digest")).collect();
    assert_eq!(digests.len(), 1, "{back:?}");
    assert!(digests[0].1.starts_with("digest 24 "), "{back:?}");
    let open = |n: &&crate::core::model::Notice| n.state == NoticeState::Open;
    assert_eq!(w.alerting.notices.values().filter(open).count(), 0);
}

/// I16: that a silence ends is not told of what is over, but of what it still covers.
#[test]
fn i16_the_warning_of_a_silence_is_told_of_what_is_still_open() {
    let mut w = World::new().with(|c| c.storm.count = 0);
    let parcels = page(&mut w, "yto", 3, &[]);
    let request = SilenceRequest {
        matchers: BTreeMap::from([("carrier".into(), vec!["yto".into()])]),
        reason: "maintenance".into(),
        span: Span::from_minutes(60),
        covers_vip: false,
    };
    w.alerting.add_silence(&request, &"zhou".into());
    minutes(&mut w, 50);
    let warned = |w: &World| -> Vec<Id> {
        let open = w.alerting.notices.values().filter(|n| n.state == NoticeState::Open);
        open.filter(|n| n.purpose == Purpose::SilenceEnding).map(|n| n.incident).collect()
    };
    assert_eq!(warned(&w), [parcels[0]], "it waits for its minute");
    let t = w.now;
    close(&mut w, &parcels[..1]);
    assert_eq!(warned(&w), [parcels[1]]);
    close(&mut w, &parcels[1..2]);
    minutes(&mut w, 2);
    let told = got(&w, "zhou", t);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.starts_with("silence_ending 1 [3]"), "{told:?}");
    close(&mut w, &parcels[2..]);
    assert_eq!(warned(&w), []);
}

/// §8.3: a carrier's maintenance that is known ahead is silent by itself, and a reload takes it back.
#[test]
fn a_window_of_maintenance_silences_what_it_matches() {
    let from = World::new().now + Span::from_minutes(60);
    let window = |end: i64| super::MaintenanceConfig {
        name: "the carrier changes its system".into(),
        matchers: [("carrier".to_owned(), vec!["yto".to_owned()])].into(),
        from: from.to_string(),
        to: (from + Span::from_minutes(end)).to_string(),
        owner: "zhou".into(),
    };
    let mut w = World::new().with(|c| {
        c.storm.count = 0;
        c.maintenance = vec![window(240)];
    });
    let setup = w.setup.clone();
    let rules = Default::default();
    w.alerting.reconfigure(setup.clone(), &rules, w.now);
    minutes(&mut w, 30);
    let before = page(&mut w, "yto", 1, &[])[0];
    assert_eq!(w.alerting.incidents[&before].silenced, None);
    minutes(&mut w, 31);
    assert!(w.alerting.incidents[&before].silenced.is_some(), "what is open is covered from its beginning");
    let t = w.now;
    let covered = page(&mut w, "yto", 3, &[]);
    page(&mut w, "sto", 1, &[]);
    minutes(&mut w, 10);
    assert_eq!(got(&w, "lin", t).len(), 1, "{:?}", got(&w, "lin", t));
    w.commit();
    w.crash(Span::from_secs(5));
    assert_eq!(w.alerting.silences().count(), 1, "a restart begins it no second time");
    let mut shorter = setup;
    let mut config = (*shorter.config).clone();
    config.maintenance.clear();
    (shorter.config, shorter.revision) = (config.into(), 2);
    w.alerting.reconfigure(shorter, &rules, w.now);
    assert_eq!(w.alerting.silences().count(), 0);
    assert!(covered.iter().all(|id| w.alerting.incidents[id].silenced.is_none()), "it comes back (R24)");
}
