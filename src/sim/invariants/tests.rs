//! Every checker is shown something that is against its invariant, made of what a real run has left, and must see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::{Look, MODEL, REST, Step, TRACE};
use crate::core::alerting::{Named, Question, Room, Scope, Setup};
use crate::core::clock::PolicyConfig;
use crate::core::ids::Id;
use crate::core::model::{
    Attempt, AuditRecord, Class, DuplicateKey, Incident, Message, MessageState, Notice, NoticeState,
    OutcomeClass, PersonId, Purpose, Status,
};
use crate::core::time::{Instant, Span};
use crate::sim::kept::{Change, Commit, Decision, Kept};
use crate::sim::trace::{Event, Trace, What};
use crate::sim::world::World;
use crate::store::MemoryStore;

/// What a run has left.
struct Left {
    kept: Kept,
    trace: Trace,
    setup: Arc<Setup>,
    policy: PolicyConfig,
}

static LEFT: LazyLock<Left> = LazyLock::new(|| {
    let length = Span::from_minutes(60);
    let mut world = World::new(8, length, Arc::new(MemoryStore::new())).expect("a land that is right");
    world.run(length);
    Left {
        kept: world.kept.clone(),
        trace: world.trace.clone(),
        setup: world.setup.clone(),
        policy: world.land.policy.clone(),
    }
});

const NOW: Instant = Instant::from_secs(1_900_000_000);

fn look(of: Look, kept: &Kept, commit: &Commit) -> Vec<String> {
    let left = &*LEFT;
    let room: Room = left.setup.channels.keys().map(|c| (c.clone(), 16)).collect();
    of(&Step { at: NOW, commit, kept, setup: &left.setup, sources: &[], policy: &left.policy, room: &room })
}

fn model(id: &str) -> Look {
    MODEL.iter().find(|(of, _)| *of == id).expect("a checker").1
}

fn rest(id: &str) -> Look {
    REST.iter().find(|(of, _)| *of == id).expect("a checker").1
}

/// An open incident of a case at level 1, its notice, and a message for it that is accepted: right in every way.
struct Sample {
    incident: Incident,
    notice: Notice,
    message: Message,
    attempt: Attempt,
}

fn sample() -> Sample {
    let left = &*LEFT;
    let message = left.kept.messages.values().find(|m| {
        m.notices.len() == 1
            && m.attempts > 0
            && left.setup.roster.people.contains_key(&m.to.person)
            && left.setup.channels.contains_key(&m.to.lane.channel)
            && left.kept.served(m).any(|n| n.level >= 1 && n.purpose == Purpose::Level)
    });
    let message = (**message.expect("something was sent")).clone();
    let notice = (**left.kept.served(&message).next().expect("it serves a notice")).clone();
    let mut incident = (*left.kept.incidents[&notice.incident]).clone();
    incident.level = notice.level.max(1);
    incident.episode = notice.episode;
    (incident.status, incident.folded, incident.silenced) = (Status::Open, None, None);
    (incident.storm, incident.owed, incident.next_level_at) = (None, false, None);
    let attempt = left.kept.attempts.values().find(|a| a.message == message.id).expect("it was tried");
    let attempt =
        Attempt { roster_revision: left.setup.roster.revision, versions: vec![], ..(**attempt).clone() };
    Sample { incident, notice, message, attempt }
}

impl Sample {
    /// What is kept when only this is kept.
    fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        let commit = self.commit(&mut kept);
        drop(commit);
        kept
    }

    /// Keeps it, by the rows that it would be kept as.
    fn commit(&self, kept: &mut Kept) -> Commit {
        use crate::core::model::{Batch, Row, Table};
        fn row(table: Table, id: String, body: &impl serde::Serialize) -> Row {
            let body = Some(serde_json::to_vec(body).expect("plain data"));
            Row { table, id, state: None, parent: None, wake: None, body }
        }
        let batch = Batch {
            rows: vec![
                row(Table::Incident, self.incident.id.to_string(), &self.incident),
                row(Table::Notice, self.notice.id.to_string(), &self.notice),
                row(Table::Message, self.message.id.to_string(), &self.message),
                row(Table::Attempt, format!("{}/{}", self.attempt.message, self.attempt.n), &self.attempt),
                row(Table::Body, format!("{}/{}", self.attempt.message, self.attempt.n), &self.attempt.body),
            ],
            audit: Vec::new(),
        };
        kept.take(&batch).expect("rows as they are")
    }
}

/// The checker is content with the sample as `right` makes it, and not as `wrong` does.
fn tells(of: Look, right: impl Fn(&mut Sample), wrong: impl Fn(&mut Sample)) {
    let looks = |change: &dyn Fn(&mut Sample)| {
        let mut sample = sample();
        right(&mut sample);
        // What was kept before is the right one.
        let mut kept = sample.kept();
        change(&mut sample);
        let commit = sample.commit(&mut kept);
        look(of, &kept, &commit)
    };
    assert_eq!(looks(&|_| ()), Vec::<String>::new());
    assert_ne!(looks(&wrong), Vec::<String>::new());
}

fn audit(kind: &str, id: Id, change: &str) -> AuditRecord {
    AuditRecord {
        seq: 1,
        at: NOW,
        actor: "system".to_owned(),
        kind: kind.to_owned(),
        incident: Some(id.to_string()),
        notice: None,
        message: None,
        cause: None,
        change: Some(change.to_owned()),
        detail: None,
    }
}

#[test]
fn i1_an_incident_of_which_nobody_was_told() {
    tells(rest("I1"), |_| (), |s| s.incident.level = s.notice.level + 1);
    let acked = |s: &mut Sample| s.incident.status = Status::Acked;
    tells(rest("I1"), acked, |s| s.notice.level = 0);
}

#[test]
fn i3_a_dead_notice_of_which_nobody_was_told() {
    let open = |s: &mut Sample| s.notice.state = NoticeState::Open;
    tells(rest("I3"), open, |s| s.notice.state = NoticeState::Dead);
    tells(model("I3"), open, |s| s.notice.state = NoticeState::Dead);
}

#[test]
fn i4_an_end_without_a_cause_and_one_that_is_undone() {
    tells(rest("I4"), |s| s.message.state = MessageState::Ready, |s| s.message.state = MessageState::Failed);
    tells(
        model("I4"),
        |s| s.message.state = MessageState::Superseded,
        |s| s.message.state = MessageState::Ready,
    );
}

#[test]
fn i6_a_level_without_a_notice() {
    let notice = |s: &mut Sample| s.notice.level = 1;
    tells(model("I6"), notice, |s| s.incident.level = 3);
}

#[test]
fn i12_something_waits_or_rises_though_it_is_acked() {
    let acked = |s: &mut Sample| {
        (s.incident.status, s.incident.acked_at) = (Status::Acked, Some(s.message.planned_at));
        (s.notice.state, s.notice.purpose, s.notice.priority) =
            (NoticeState::Open, Purpose::Level, Class::P1);
        s.message.state = MessageState::Superseded;
    };
    tells(model("I12"), acked, |s| s.message.state = MessageState::Ready);
    let mut sample = sample();
    acked(&mut sample);
    let mut kept = sample.kept();
    let mut commit = sample.commit(&mut kept);
    commit.audit.push(audit("incident.R4", sample.incident.id, "acked L1 → acked L2"));
    assert_ne!(look(model("I12"), &kept, &commit), Vec::<String>::new());
}

#[test]
fn i13_an_ack_that_is_gone() {
    tells(model("I13"), |s| s.incident.status = Status::Acked, |s| s.incident.status = Status::Open);
}

#[test]
fn i14_i15_an_ack_and_a_snooze_that_hold_too_long() {
    let acked = |s: &mut Sample| {
        s.incident.status = Status::Acked;
        (s.incident.acked_by, s.incident.acked_at) = (Some("zhan".into()), Some(NOW));
        (s.incident.hard_deadline, s.incident.ack_extended) = (None, false);
        s.incident.ack_until = Some(NOW + Span::from_secs(60));
    };
    tells(model("I14"), acked, |s| s.incident.ack_until = Some(NOW + Span::DAY + Span::DAY));
    tells(model("I14"), acked, |s| s.incident.ack_until = Some(NOW - Span::MINUTE));
    let snoozed = |s: &mut Sample| {
        (s.incident.status, s.incident.hard_deadline) = (Status::Snoozed, None);
        s.incident.snooze_until = Some(NOW + Span::from_secs(60));
    };
    tells(model("I15"), snoozed, |s| s.incident.snooze_until = Some(NOW + Span::DAY + Span::DAY));
    tells(model("I15"), snoozed, |s| s.incident.snooze_until = None);
}

#[test]
fn i16_something_is_claimed_though_all_is_over() {
    let over = |s: &mut Sample| {
        s.incident.status = Status::Resolved;
        (s.incident.resolved_at, s.incident.cleared_at) = (Some(s.attempt.claimed_at), None);
        s.notice.purpose = Purpose::Level;
    };
    tells(model("I16"), over, |s| s.attempt.n += 100);
}

#[test]
fn i18_a_level_that_falls() {
    tells(model("I18"), |s| s.incident.level = 2, |s| (s.incident.level, s.incident.version) = (1, 1 << 40));
}

#[test]
fn i18_a_level_that_time_skips_and_nobody_of_it_is_told() {
    let everybody: Vec<PersonId> = LEFT.setup.roster.people.keys().cloned().collect();
    let refused: BTreeSet<_> = everybody.iter().flat_map(|p| Kept::lanes(&LEFT.setup.roster, p)).collect();
    for (audience, flagged, finds) in [
        (Vec::new(), BTreeSet::new(), 1),
        (everybody, BTreeSet::new(), 0),
        // Whom every lane refuses is not asked (§7.2).
        (Vec::new(), refused, 0),
    ] {
        let mut sample = sample();
        (sample.incident.team, sample.incident.level) = ("a".into(), 3);
        sample.incident.told = Default::default();
        (sample.incident.audience, sample.incident.owner) = (Vec::new(), None);
        sample.notice.audience = audience;
        let mut kept = Kept::default();
        kept.flagged = flagged;
        let mut commit = sample.commit(&mut kept);
        for _ in 0..2 {
            let rose = audit("incident.R4", sample.incident.id, "");
            commit.audit.push(AuditRecord { cause: Some("time".to_owned()), ..rose });
        }
        assert_eq!(look(model("I18"), &kept, &commit).len(), finds);
    }
}

#[test]
fn i20_nobody_is_found_and_nobody_else_told() {
    let sample = sample();
    let mut kept = Kept::default();
    let mut commit = sample.commit(&mut kept);
    commit.audit.push(audit("route.nobody", sample.incident.id, ""));
    assert_eq!(look(model("I20"), &kept, &commit), Vec::<String>::new());
    commit.notices.clear();
    assert_ne!(look(model("I20"), &kept, &commit), Vec::<String>::new());
}

#[test]
fn i22_a_claim_by_an_old_roster_or_version() {
    tells(model("I22"), |_| (), |s| (s.attempt.n, s.attempt.roster_revision) = (s.attempt.n + 100, 0));
    tells(
        model("I22"),
        |_| (),
        |s| {
            s.attempt.n += 100;
            s.attempt.versions = vec![(s.incident.id, s.incident.version + 7)];
        },
    );
}

#[test]
fn i23_i43_i47_what_is_kept_without_its_record() {
    let sample = sample();
    let (mut kept, mut commit) = (sample.kept(), Commit::default());
    let notice = Arc::new(Notice { decision: Some(sample.incident.id), ..sample.notice.clone() });
    commit.notices.push(Change { before: None, after: Some(notice) });
    assert_ne!(look(model("I23"), &kept, &commit), Vec::<String>::new());
    let named = Named { what: "former".to_owned(), people: sample.notice.audience.clone() };
    let question = Question {
        incident: sample.incident.id,
        level: 1,
        at: NOW,
        team: "a".into(),
        sister: None,
        owner: None,
        pair: false,
        class: Class::P1,
        scope: Scope::Case,
        candidates: Vec::new(),
        roster_revision: 1,
        config_revision: 1,
        named: Some(named),
    };
    let choice = question.choose();
    let right = Decision { notice: sample.notice.id, question, choice };
    let mut another = right.clone();
    another.choice.by = "1a".to_owned();
    let mut nobody = right.clone();
    nobody.question.named = None;
    nobody.choice = nobody.question.choose();
    for (decision, finds) in [(another, 1), (nobody, 1), (right, 0)] {
        commit.decisions = vec![decision];
        assert_eq!(look(model("I23"), &kept, &commit).len(), finds, "{:?}", commit.decisions);
    }
    assert_ne!(look(rest("I43"), &kept, &commit), Vec::<String>::new());
    let is = format!("{} L{}", sample.incident.status.word(), sample.incident.level);
    kept.replayed.insert(sample.incident.id.to_string(), is);
    assert_eq!(look(rest("I43"), &kept, &commit), Vec::<String>::new());
    assert_ne!(look(rest("I47"), &kept, &commit), Vec::<String>::new());
    let over = u32::from(sample.notice.state != NoticeState::Open);
    kept.told.insert(sample.notice.id.to_string(), (1, over));
    assert_eq!(look(rest("I47"), &kept, &commit), Vec::<String>::new());
}

#[test]
fn i25_i26_a_child_that_is_forgotten_or_must_not_be_one() {
    tells(rest("I25"), |_| (), |s| s.incident.folded = Some(Id::from_bytes([9; 16])));
    let plain = |s: &mut Sample| {
        (s.incident.vip, s.incident.legal, s.incident.hard_deadline) = (false, false, None);
        s.incident.folded = Some(Id::from_bytes([9; 16]));
    };
    tells(model("I26"), plain, |s| s.incident.vip = true);
    tells(model("I26"), plain, |s| s.incident.hard_deadline = Some(NOW));
}

#[test]
fn i27_i31_i32_what_waits_too_long() {
    let fresh = |s: &mut Sample| {
        (s.message.planned_at, s.message.wake_at) = (NOW, None);
        (s.message.state, s.message.expires_at) = (MessageState::Superseded, NOW + Span::HOUR);
        s.attempt.claimed_at = NOW - Span::DAY;
        s.attempt.ended_at = Some(NOW - Span::DAY);
    };
    tells(model("I27"), fresh, |s| {
        (s.message.state, s.message.planned_at) = (MessageState::Held, NOW - Span::HOUR);
    });
    tells(model("I31"), fresh, |s| {
        (s.message.state, s.message.expires_at) = (MessageState::Deferred, NOW - Span::HOUR);
    });
    tells(model("I32"), fresh, |s| s.message.state = MessageState::Ready);
}

#[test]
fn i40_a_timer_that_is_skipped_and_one_that_fires_twice() {
    tells(model("I40"), |_| (), |s| s.incident.next_level_at = Some(NOW - Span::MINUTE));
    let sample = sample();
    let mut kept = sample.kept();
    let mut commit = Commit::default();
    let id = sample.notice.id.to_string();
    let record = audit("notice.planned", sample.incident.id, "");
    commit.audit.push(AuditRecord { notice: Some(id.clone()), ..record });
    kept.told.insert(id.clone(), (1, 0));
    assert_eq!(look(model("I40"), &kept, &commit), Vec::<String>::new());
    kept.told.insert(id, (2, 0));
    assert_ne!(look(model("I40"), &kept, &commit), Vec::<String>::new());
}

#[test]
fn i49_i50_what_a_reload_must_not_do() {
    let (mut kept, sample) = (Kept::default(), sample());
    let mut commit = sample.commit(&mut kept);
    commit.audit.push(audit("config.reloaded", sample.incident.id, ""));
    commit.attempts.clear();
    let inflight = Message { state: MessageState::Inflight, ..sample.message.clone() };
    let over = Message { state: MessageState::Superseded, ..sample.message.clone() };
    commit.messages =
        vec![Change { before: Some(Arc::new(inflight.clone())), after: Some(Arc::new(inflight.clone())) }];
    assert_eq!(look(model("I49"), &kept, &commit), Vec::<String>::new());
    commit.messages = vec![Change { before: Some(Arc::new(inflight)), after: Some(Arc::new(over)) }];
    assert_ne!(look(model("I49"), &kept, &commit), Vec::<String>::new());
    let waits = |s: &mut Sample| {
        (s.message.state, s.notice.state) = (MessageState::Ready, NoticeState::Open);
        (s.incident.status, s.incident.cleared_at) = (Status::Resolved, None);
    };
    tells(rest("I50"), waits, |s| s.message.to.person = "ghost".into());
    tells(rest("I50"), waits, |s| s.message.to.lane.channel = "pigeon".into());
    tells(rest("I50"), waits, |s| s.notice.state = NoticeState::Obsolete);
}

/// The trace of the run, changed by `wrong`, is against the invariant; as it is, it is not.
fn tells_back(id: &str, wrong: impl Fn(&mut Vec<Event>)) {
    let look = TRACE.iter().find(|(of, _)| *of == id).expect("a checker").1;
    let secrets = ["13800139999".to_owned()];
    assert_eq!(look(&LEFT.trace, &secrets), Vec::new(), "{id}");
    let mut trace = LEFT.trace.clone();
    wrong(&mut trace.events);
    assert_ne!(look(&trace, &secrets), Vec::new(), "{id}");
}

fn commits(events: &mut [Event]) -> impl Iterator<Item = &mut Commit> {
    events.iter_mut().filter_map(|event| match &mut event.what {
        What::Kept(commit) => Some(Arc::make_mut(commit)),
        _ => None,
    })
}

/// The place of the first attempt that a person saw.
fn first_sent(events: &[Event]) -> usize {
    let seen = |e: &Event| matches!(&e.what, What::Sent { seen: true, .. });
    events.iter().position(seen).expect("something was sent")
}

#[test]
fn i2_a_notice_that_stays_open() {
    tells_back("I2", |events| {
        for commit in commits(events) {
            commit.notices.retain(|c| c.after.as_ref().is_some_and(|n| n.state == NoticeState::Open));
        }
    });
}

#[test]
fn i5_what_leaves_before_it_is_kept() {
    tells_back("I5", |events| {
        for commit in commits(events) {
            commit.attempts.clear();
        }
    });
}

#[test]
fn i8_i28_copies_without_end() {
    let again = |events: &mut Vec<Event>| {
        let at = first_sent(events);
        let copy = events[at].clone();
        for _ in 0..40 {
            events.insert(at, copy.clone());
        }
    };
    tells_back("I8", again);
    tells_back("I28", again);
}

#[test]
fn i8_a_second_copy_in_spite_of_its_key() {
    let horizon = Span::HOUR;
    tells_back("I8", |events| {
        let at = first_sent(events);
        let mut copy = events[at].clone();
        if let What::Sent { claim, key, .. } = &mut copy.what {
            *key = DuplicateKey::Strong { horizon };
            let came =
                What::Came { message: claim.message, attempt: claim.attempt, class: OutcomeClass::Unknown };
            events.insert(at + 1, Event { what: came, ..copy.clone() });
        }
        events.insert(at + 2, copy);
    });
}

#[test]
fn i17_cleared_to_somebody_who_was_not_told() {
    tells_back("I17", |events| {
        for commit in commits(events) {
            for change in &mut commit.notices {
                if let Some(notice) = &mut change.after {
                    Arc::make_mut(notice).purpose = Purpose::Cleared;
                }
            }
        }
    });
}

#[test]
fn i21_somebody_off_duty() {
    tells_back("I21", |events| {
        for event in events.iter_mut() {
            if let What::Sent { claim, .. } = &mut event.what {
                Arc::make_mut(claim).to.person = "ghost".into();
            }
        }
    });
}

#[test]
fn i24_a_storm_that_talks_too_much() {
    tells_back("I24", |events| {
        let storm = crate::core::model::StormCause {
            family: "ticket.reply".into(),
            dimension: "team".into(),
            value: "a".into(),
        };
        let mut n = 0;
        for commit in commits(events) {
            for incident in commit.incidents.iter_mut().filter_map(|c| c.after.as_mut()) {
                let incident = Arc::make_mut(incident);
                (incident.storm, incident.opened_at) = (Some(storm.clone()), incident.opened_at);
            }
            for notice in commit.notices.iter_mut().filter_map(|c| c.after.as_mut()) {
                n += 1;
                let notice = Arc::make_mut(notice);
                (notice.purpose, notice.step) = (Purpose::StormOpened, n);
            }
        }
    });
}

#[test]
fn i24_i26_break_outs_that_wait_and_too_many_of_them() {
    let storm = crate::core::model::StormCause {
        family: "ticket.reply".into(),
        dimension: "team".into(),
        value: "a".into(),
    };
    let sample = sample();
    let change = |incident: Incident| Change { before: None, after: Some(Arc::new(incident)) };
    let parent =
        Incident { id: Id::from_bytes([1; 16]), team: "a".into(), storm: Some(storm), ..sample.incident };
    // Break-outs of one storm to one person, one a second; the last one of them waits.
    let told = |count: u8, waits: bool| {
        let mut events = vec![
            (What::Started { epoch: 1, down: Span::ZERO, setup: LEFT.setup.clone() }),
            What::Kept(Arc::new(Commit { incidents: vec![change(parent.clone())], ..Commit::default() })),
        ];
        for n in 0..count {
            let id = Id::from_bytes([10 + n; 16]);
            let child =
                Incident { id, family: "ticket.reply".into(), vip: true, storm: None, ..parent.clone() };
            let notice = Notice { id, incident: id, purpose: Purpose::Level, ..sample.notice.clone() };
            let held = waits && n + 1 == count;
            let message = Message {
                id,
                notices: vec![id],
                state: if held { MessageState::Held } else { MessageState::Ready },
                wake_at: held.then_some(NOW + Span::HOUR),
                ..sample.message.clone()
            };
            let commit = Commit {
                incidents: vec![change(child)],
                notices: vec![Change { before: None, after: Some(Arc::new(notice)) }],
                messages: vec![Change { before: None, after: Some(Arc::new(message)) }],
                ..Commit::default()
            };
            events.push(What::Kept(Arc::new(commit)));
        }
        let event = |(n, what): (usize, What)| {
            let after = Span::from_secs(i64::try_from(n).expect("a few"));
            Event { elapsed: after, at: NOW + after, what }
        };
        let trace = Trace { events: events.into_iter().enumerate().map(event).collect() };
        ["I24", "I26"]
            .map(|id| TRACE.iter().find(|(of, _)| *of == id).expect("a checker").1(&trace, &[]).len())
    };
    assert_eq!(told(10, false), [0, 0]);
    assert_eq!(told(11, false), [1, 0], "the eleventh goes by itself");
    assert_eq!(told(10, true), [0, 1], "the tenth waits");
    assert_eq!(told(11, true), [0, 0], "the eleventh goes with others");
}

#[test]
fn i29_i30_another_order() {
    // Of one incident and lane, a later step before an earlier one.
    tells_back("I29", |events| {
        let mut steps: BTreeMap<Id, u32> = BTreeMap::new();
        for commit in commits(events) {
            for notice in commit.notices.iter_mut().filter_map(|c| c.after.as_mut()) {
                let count = u32::MAX - u32::try_from(steps.len()).unwrap_or(0);
                let step = *steps.entry(notice.id).or_insert(count);
                Arc::make_mut(notice).step = step;
            }
        }
    });
    tells_back("I30", |events| {
        let at = first_sent(events);
        let (mut late, mut early) = (events[at].clone(), events[at].clone());
        for (event, class) in [(&mut early, Class::P2), (&mut late, Class::P0)] {
            if let What::Sent { claim, .. } = &mut event.what {
                Arc::make_mut(claim).priority = class;
            }
        }
        events.splice(at..=at, [early, late]);
    });
}

#[test]
fn i41_a_flood_after_a_downtime() {
    tells_back("I41", |events| {
        let at = first_sent(events);
        let now = events[at].at;
        let setup = LEFT.setup.clone();
        for event in events.iter_mut() {
            event.at = event.at.min(now);
        }
        for commit in commits(events) {
            for notice in commit.notices.iter_mut().filter_map(|c| c.after.as_mut()) {
                let notice = Arc::make_mut(notice);
                (notice.purpose, notice.planned_at) = (Purpose::Digest, now);
            }
            for incident in commit.incidents.iter_mut().filter_map(|c| c.after.as_mut()) {
                let incident = Arc::make_mut(incident);
                (incident.vip, incident.legal, incident.hard_deadline) = (false, false, None);
            }
        }
        events.retain(|e| {
            !matches!(
                e.what,
                What::Died { .. } | What::Started { .. } | What::Reloaded { .. } | What::Rebuilt
            )
        });
        let what = What::Started { epoch: 2, down: Span::HOUR, setup };
        events.insert(0, Event { elapsed: Span::ZERO, at: now, what });
    });
}

#[test]
fn i44_i45_what_must_be_nowhere() {
    for (id, text) in [("I44", "13800139999"), ("I45", "0707070707070707")] {
        tells_back(id, |events| {
            let commit = commits(events).find(|c| !c.audit.is_empty()).expect("something was audited");
            commit.audit[0].change = Some(text.to_owned());
        });
    }
}

#[test]
fn i7_a_cursor_beyond_what_is_kept() {
    let mut source = crate::sim::source::Source::new("tmall");
    source.ticket(&mut crate::sim::random::Dice::new(1), NOW);
    let mut kept = Kept::default();
    let commit = Commit { cursors: vec![("tmall".to_owned(), 0, 1)], ..Commit::default() };
    let looks = |kept: &Kept| {
        let (sources, left) = (std::slice::from_ref(&source), &*LEFT);
        let (policy, setup) = (&left.policy, &left.setup);
        model("I7")(&Step { at: NOW, commit: &commit, kept, setup, sources, policy, room: &Room::new() })
    };
    assert_ne!(looks(&kept), Vec::<String>::new());
    kept.cases.insert("tmall\0ticket\0T1".to_owned());
    assert_eq!(looks(&kept), Vec::<String>::new());
}
