//! What the tests of this room begin with: an incident, and a small world of channels that answer as they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::core::alerting::incidents::How;
use crate::core::alerting::outbox::Plan;
use crate::core::alerting::transitions::Event;
use crate::core::alerting::{
    Act, Alerting, AlertingConfig, Claim, Conservation, Letter, RenderFault, Renderer, Response, Room, Setup,
};
use crate::core::duty::{DeskConfig, PersonConfig, Role, Roster};
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{
    Body, ChannelCard, ChannelClass, Class, DuplicateKey, Incident, Language, LinkRule, Message,
    MessageState, Notice, NoticeState, Outcome, OutcomeClass, PersonId, Purpose, ReceiptPath, Recipient,
    ReplyPath, Statement, StatementKind, Status, Subject, Table,
};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// An open incident at level 1 that began at the beginning.
pub(super) fn incident(n: u8, family: &str) -> Incident {
    let start = Instant::from_secs(0);
    let kind = family.split('.').next().unwrap_or(family);
    Incident {
        id: Id::from_bytes([n; 16]),
        family: family.into(),
        rule: family.into(),
        subject: Subject { kind: kind.into(), source: "shop".into(), id: n.to_string().into() },
        generation: "g".into(),
        episode: 1,
        status: Status::Open,
        level: 1,
        step: 1,
        version: 1,
        round: 0,
        team: "desk".into(),
        owner: None,
        dimensions: Default::default(),
        vip: false,
        legal: false,
        complaint: false,
        penalty_cents: 0,
        since: start,
        due: None,
        hard_deadline: None,
        firing: false,
        paused: false,
        cycle: None,
        levels_from: start,
        opened_at: start,
        episode_at: start,
        next_level_at: None,
        audience: Vec::new(),
        route_rev: 0,
        in_fallback: false,
        owed: false,
        reminders: 0,
        held_delay_ms: None,
        acked_by: None,
        acked_at: None,
        ack_until: None,
        ack_extended: false,
        snooze_until: None,
        snoozed_at: None,
        resolution: None,
        resolved_at: None,
        before_resolved: None,
        cleared_at: None,
        grace_until: None,
        unverified: false,
        unverified_at: None,
        unhandled: false,
        folded: None,
        silenced: None,
        predecessor: None,
        storm: None,
        told: Default::default(),
        notices: Vec::new(),
        facts: Default::default(),
        url: None,
    }
}

/// What a channel does with what it is handed.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Answers so, after 100 ms.
    Answer(Outcome),
    /// Takes it, and a receipt follows after so long.
    Receipt(StatementKind, Span),
    /// Takes the bytes and never answers: unknown after the send timeout.
    Silence,
    /// Nothing ever comes back: the process is about to die.
    Void,
}

/// Something that comes back later.
#[derive(Clone, Debug)]
enum Coming {
    Outcome(Id, u32, Outcome),
    Statement(Statement),
}

/// A renderer that says what it was asked, in one line.
pub(super) struct Plain;

impl Renderer for Plain {
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
        let ids: Vec<String> = letter.items.iter().map(|i| i.subject.to_owned()).collect();
        let mut text =
            format!("{} {} [{}] {}", letter.purpose.word(), letter.total, ids.join(" "), letter.person);
        if let Some(storm) = &letter.storm {
            text = format!(
                "{text} {}={} open {} before {:?}",
                storm.dimension, storm.value, storm.open, storm.before
            );
        }
        if letter.marked {
            text.push_str(" (可能重复)");
        }
        if letter.minimal {
            text.push_str(" minimal");
        }
        Ok(Body { text, ..Body::default() })
    }
}

/// A message that left.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) claim: Claim,
    pub(super) notices: usize,
    /// The channel will say that nothing left.
    pub(super) not_sent: bool,
}

/// Alerting with channels that answer, a store that keeps, and a clock that is moved by hand.
pub(super) struct World {
    pub(super) alerting: Alerting,
    pub(super) setup: Setup,
    pub(super) now: Instant,
    pub(super) sent: Vec<Sent>,
    pub(super) does: BTreeMap<String, Does>,
    /// What channels do next, before what they always do.
    pub(super) next: BTreeMap<String, Vec<Does>>,
    coming: Vec<(Instant, Coming)>,
    pub(super) rows: BTreeMap<(Table, String), Vec<u8>>,
    epoch: u64,
    pub(super) audit: Vec<crate::core::model::AuditRecord>,
    /// Alarms of the local surfaces.
    pub(super) alarms: usize,
    incident_count: u32,
}

pub(super) fn card(name: &str, class: ChannelClass, key: DuplicateKey) -> ChannelCard {
    let receipts = match class {
        ChannelClass::Sms | ChannelClass::Voice => ReceiptPath::Pushed,
        _ => ReceiptPath::None,
    };
    ChannelCard {
        name: name.into(),
        adapter: name.into(),
        class,
        duplicate_key: key,
        receipts,
        reply: ReplyPath::None,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 16,
    }
}

/// The channels of the world: `app` (strong key), `content`, `robot`, `sms` (query), `voice` (query), `mail`, `hook`.
fn channels() -> BTreeMap<Arc<str>, ChannelCard> {
    let hour = Span::HOUR;
    [
        card("app", ChannelClass::ChatApp, DuplicateKey::Strong { horizon: hour }),
        card("content", ChannelClass::ChatApp, DuplicateKey::ContentWindow { horizon: hour }),
        card("robot", ChannelClass::ChatRobot, DuplicateKey::None),
        card("sms", ChannelClass::Sms, DuplicateKey::Query),
        card("voice", ChannelClass::Voice, DuplicateKey::Query),
        card("mail", ChannelClass::Email, DuplicateKey::None),
        card("hook", ChannelClass::Webhook, DuplicateKey::None),
    ]
    .into_iter()
    .map(|card| (card.name.clone(), card))
    .collect()
}

impl World {
    /// Three people who have every channel: `lin` handles, `min` is senior, `zhou` manages; `yun` is the admin.
    pub(super) fn new() -> World {
        let channels = channels();
        let people =
            [("lin", Role::Handler), ("min", Role::Senior), ("zhou", Role::Manager), ("yun", Role::Admin)];
        let people: BTreeMap<String, PersonConfig> = people
            .into_iter()
            .map(|(name, role)| {
                let contact: Vec<_> = channels
                    .keys()
                    .map(|channel| serde_json::json!({ "channel": channel, "address": format!("{name}@{channel}") }))
                    .collect();
                let person = serde_json::json!({ "name": name, "role": role, "contact": contact });
                (name.to_owned(), serde_json::from_value(person).expect("a person"))
            })
            .collect();
        let classes = channels.iter().map(|(name, card)| (name.clone(), card.class)).collect();
        let mut problems = Problems::new();
        let desk = DeskConfig { id: "desk".into(), zone: "UTC".into(), ..DeskConfig::default() };
        let shifts = desk.compile(&mut problems).expect("a desk without shifts");
        let roster = Roster::compile(&people, &BTreeMap::new(), "desk", &shifts, &classes, &mut problems);
        let config = AlertingConfig {
            fallback: vec!["zhou".into()],
            admins: vec!["yun".into()],
            ..AlertingConfig::default()
        };
        let setup = Setup {
            desk: "desk".into(),
            title: "desk".into(),
            language: Language::Zh,
            zone: TimeZone::UTC,
            config: Arc::new(config),
            roster: Arc::new(roster.expect("a roster")),
            channels,
            rules: BTreeMap::new(),
            revision: 1,
        };
        let now = Instant::from_secs(1_000_000);
        let mut alerting = Alerting::new(setup.clone(), InstallationKey::new([7; 32]), 1);
        alerting.start(now);
        World {
            alerting,
            setup,
            now,
            sent: Vec::new(),
            does: BTreeMap::new(),
            next: BTreeMap::new(),
            coming: Vec::new(),
            rows: BTreeMap::new(),
            epoch: 1,
            audit: Vec::new(),
            alarms: 0,
            incident_count: 0,
        }
    }

    /// Other parameters.
    pub(super) fn with(mut self, change: impl FnOnce(&mut AlertingConfig)) -> World {
        let mut config = (*self.setup.config).clone();
        change(&mut config);
        self.setup.config = Arc::new(config);
        self.alerting.setup = self.setup.clone();
        self
    }

    /// What a channel does from now on.
    pub(super) fn let_channel(&mut self, channel: &str, does: Does) {
        self.does.insert(channel.to_owned(), does);
    }

    /// An outcome of a class from now on.
    pub(super) fn answers(&mut self, channel: &str, class: OutcomeClass) {
        self.let_channel(channel, Does::Answer(Outcome::of(class)));
    }

    pub(super) fn to(&self, person: &str, channel: &str) -> Recipient {
        let lane = self.alerting.lane(&channel.into(), &format!("{person}@{channel}"));
        Recipient { person: person.into(), lane, class: self.setup.channels[channel].class }
    }

    /// A new open incident.
    pub(super) fn incident(&mut self, family: &str) -> Id {
        self.incident_with(family, |_| {})
    }

    pub(super) fn incident_with(&mut self, family: &str, change: impl FnOnce(&mut Incident)) -> Id {
        self.incident_count += 1;
        let mut incident = incident(0, family);
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.incident_count.to_be_bytes());
        incident.id = Id::from_bytes(id);
        incident.subject.id = self.incident_count.to_string().into();
        (incident.since, incident.opened_at, incident.episode_at) = (self.now, self.now, self.now);
        change(&mut incident);
        let id = incident.id;
        self.alerting.set_now(self.now);
        self.alerting.incidents.insert(id, incident);
        self.alerting.edit(id, |_| {});
        id
    }

    /// Plans a notice for one person, with waves of channels.
    pub(super) fn plan(&mut self, incident: Id, class: Class, person: &str, waves: &[&[&str]]) -> Id {
        self.plan_as(incident, Purpose::Level, class, person, waves)
    }

    pub(super) fn plan_as(
        &mut self,
        incident: Id,
        purpose: Purpose,
        class: Class,
        person: &str,
        waves: &[&[&str]],
    ) -> Id {
        self.alerting.set_now(self.now);
        let step = self.alerting.edit(incident, |i| i.step).unwrap_or(0);
        let waves = waves.iter().map(|w| w.iter().map(|c| self.to(person, c)).collect()).collect();
        let audience: Vec<PersonId> = vec![person.into()];
        self.alerting.edit(incident, |i| i.audience = audience.clone());
        self.alerting.plan(Plan {
            incident,
            purpose,
            level: 1,
            step,
            priority: class,
            audience,
            waves,
            scope: person.to_owned(),
            route_rev: 0,
            decision: None,
            caused_at: self.now,
            remark: None,
        })
    }

    /// Everything that is due now: timers, claims, a commit, answers.
    pub(super) fn step(&mut self) {
        self.alerting.advance(self.now);
        let room: Room = self.setup.channels.keys().map(|c| (c.clone(), 16)).collect();
        let claims = self.alerting.claim(&room, &Plain, self.now);
        self.commit();
        for claim in claims {
            let channel = claim.to.lane.channel.to_string();
            let queued = self.next.get_mut(&channel).filter(|n| !n.is_empty()).map(|n| n.remove(0));
            let does = queued.or_else(|| self.does.get(&channel).cloned());
            let does = does.unwrap_or(Does::Answer(Outcome::of(OutcomeClass::Accepted)));
            let soon = self.now + Span::from_millis(100);
            let (id, n) = (claim.message, claim.attempt);
            let not_sent = matches!(&does, Does::Answer(o) if o.class == OutcomeClass::NotSent);
            match does {
                Does::Answer(outcome) => self.coming.push((soon, Coming::Outcome(id, n, outcome))),
                Does::Receipt(what, after) => {
                    let outcome = Outcome {
                        provider_id: Some(format!("p-{id}")),
                        ..Outcome::of(OutcomeClass::Accepted)
                    };
                    self.coming.push((soon, Coming::Outcome(id, n, outcome)));
                    let statement = statement(&claim, what, self.now + after);
                    self.coming.push((self.now + after, Coming::Statement(statement)));
                }
                Does::Silence => {
                    let over = Coming::Outcome(id, n, Outcome::of(OutcomeClass::Unknown));
                    self.coming.push((claim.deadline, over));
                }
                Does::Void => {}
            }
            let notices = self.alerting.messages.get(&id).map_or(0, |m| m.notices.len());
            self.sent.push(Sent { at: self.now, claim, notices, not_sent });
        }
        assert!(self.alerting.conservation().holds(), "{:?}", self.alerting.conservation());
    }

    pub(super) fn commit(&mut self) {
        let batch = self.alerting.drain();
        for row in batch.rows {
            match row.body {
                Some(body) => self.rows.insert((row.table, row.id), body),
                None => self.rows.remove(&(row.table, row.id)),
            };
        }
        self.audit.extend(batch.audit);
        self.alarms += self.alerting.take_alarms().len();
        self.alerting.take_counts();
    }

    /// Lets time pass, stopping wherever something is due.
    pub(super) fn run(&mut self, span: Span) {
        let end = self.now + span;
        self.step();
        loop {
            let coming = self.coming.iter().map(|(at, _)| *at).min();
            let next = coming.into_iter().chain(self.alerting.next_wake()).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            let (now, mut due): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.coming).into_iter().partition(|(at, _)| *at <= self.now);
            std::mem::swap(&mut self.coming, &mut due);
            for (_, coming) in now {
                match coming {
                    Coming::Outcome(id, n, outcome) => self.alerting.outcome(id, n, outcome, self.now),
                    Coming::Statement(statement) => self.alerting.statement(&statement, self.now),
                }
            }
            self.step();
        }
        self.now = end;
        self.step();
    }

    pub(super) fn secs(&mut self, secs: i64) {
        self.run(Span::from_secs(secs));
    }

    /// The clock is set right by so much, which nobody has lived through.
    pub(super) fn step_forth(&mut self, by: Span) {
        self.alerting.step_forth(by);
        self.now = self.now + by;
        self.coming.iter_mut().for_each(|(at, _)| *at = *at + by);
    }

    /// The process dies with what is not kept, and comes back after `down`.
    pub(super) fn crash(&mut self, down: Span) {
        self.now = self.now + down;
        self.load();
        self.alerting.start(self.now);
    }

    /// The clock was ahead by so much, and is right again: the desk goes on from what was kept.
    pub(super) fn step_back(&mut self, by: Span) {
        self.now = self.now - by;
        self.load();
        self.alerting.turn_back(self.now, by);
        self.alerting.start(self.now);
    }

    fn load(&mut self) {
        self.coming.clear();
        self.epoch += 1;
        let mut alerting = Alerting::new(self.setup.clone(), InstallationKey::new([7; 32]), self.epoch);
        for table in Table::ALL {
            for ((_, id), body) in self.rows.iter().filter(|((t, _), _)| *t == table) {
                alerting.restore(table, id, body).expect("a row that we wrote");
            }
        }
        self.alerting = alerting;
    }

    /// The source says that it is over.
    pub(super) fn close(&mut self, incident: Id) {
        self.alerting.close(incident, Event::Cleared, &How::system(None));
    }

    /// Somebody does what they may, by the n-th link, which is of the first episode.
    pub(super) fn acts(&mut self, n: u8, person: &str, act: Act) {
        let response = Response {
            inbox: Id::from_bytes([n; 16]),
            person: person.into(),
            via: "link".into(),
            act,
            episode: Some(1),
            from: None,
        };
        self.alerting.respond(&response, self.now).expect("they may");
    }

    pub(super) fn tell(&mut self, statement: &Statement) {
        self.alerting.statement(statement, self.now);
    }

    pub(super) fn notice(&self, id: Id) -> &Notice {
        &self.alerting.notices[&id]
    }

    pub(super) fn state(&self, notice: Id) -> NoticeState {
        self.notice(notice).state
    }

    /// The messages of a notice on a channel.
    pub(super) fn messages(&self, notice: Id, channel: &str) -> Vec<&Message> {
        let mut of: Vec<&Message> = self
            .alerting
            .messages
            .values()
            .filter(|m| m.notices.contains(&notice) && &*m.to.lane.channel == channel)
            .collect();
        of.sort_by_key(|m| m.seq);
        of
    }

    pub(super) fn states(&self, notice: Id, channel: &str) -> Vec<MessageState> {
        self.messages(notice, channel).into_iter().map(|m| m.state).collect()
    }

    /// What left about the incidents of the test: not what the system said of its own trouble.
    pub(super) fn told(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|s| s.claim.thread.as_bytes()[4..] == [0; 12])
    }

    /// When what left on a channel, in seconds from `from`, with its text.
    pub(super) fn by(&self, channel: &str, from: Instant) -> Vec<(i64, String)> {
        let on = self.told().filter(|s| *s.claim.to.lane.channel == *channel && s.at >= from);
        on.map(|s| ((s.at.as_millis() - from.as_millis()) / 1000, s.claim.body.text.clone())).collect()
    }

    /// When it left on a channel, in seconds from `from`.
    pub(super) fn at(&self, channel: &str, from: Instant) -> Vec<i64> {
        self.by(channel, from).into_iter().map(|(s, _)| s).collect()
    }

    /// Incidents of a family that are not resolved.
    pub(super) fn open(&self, family: &str) -> usize {
        self.alerting.incidents.values().filter(|i| &*i.family == family && !i.is_resolved()).count()
    }

    /// Everything durable, as text, to compare before and after a restart.
    pub(super) fn kept(&self) -> (Vec<Incident>, Vec<Notice>, Vec<Message>, Conservation) {
        (
            self.alerting.incidents.values().cloned().collect(),
            self.alerting.notices.values().cloned().collect(),
            self.alerting.messages.values().cloned().collect(),
            self.alerting.conservation(),
        )
    }
}

/// A statement about a claim.
pub(super) fn statement(claim: &Claim, what: StatementKind, at: Instant) -> Statement {
    Statement {
        key: Some(claim.key.clone()),
        provider_id: None,
        channel: claim.to.lane.channel.clone(),
        what,
        code: None,
        at,
    }
}
