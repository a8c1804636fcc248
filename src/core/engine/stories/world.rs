//! A small world in virtual time: a desk, its people, channels that answer as they are told, and a store of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::{
    Act, AlertingConfig, Answer, Claim, Letter, LocalAlarm, Refusal, RenderFault, Renderer, Response, Room,
    RuleText, Setup, Signal,
};
use crate::core::calendar::Era;
use crate::core::clock::{ClockConfig, MarksConfig, Names, Pick, PolicyConfig, ReloadMode, RingConfig};
use crate::core::duty::{
    ContactConfig, DeskConfig, PersonConfig, Role, Roster, ShiftConfig, StretchConfig, TeamConfig,
};
use crate::core::engine::Desk;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{
    AuditRecord, Body, ChannelCard, ChannelClass, Class, DuplicateKey, Incident, Language, LinkRule, Mark,
    Observation, Outcome, OutcomeClass, PersonId, Purpose, ReceiptPath, ReplyPath, Statement, StatementKind,
    Table, Value,
};
use crate::core::parcel::lateness::LatenessConfig;
use crate::core::parcel::learned::LearnedSetup;
use crate::core::parcel::stall::StallConfig;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// One message that a channel took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) person: PersonId,
    pub(super) channel: Arc<str>,
    pub(super) purpose: &'static str,
    pub(super) class: Class,
    pub(super) incidents: Vec<Id>,
    pub(super) text: String,
}

/// How the world is set up.
pub(super) struct Plan {
    pub(super) config: AlertingConfig,
    pub(super) people: BTreeMap<String, PersonConfig>,
    pub(super) teams: BTreeMap<String, TeamConfig>,
    pub(super) shifts: Vec<ShiftConfig>,
    pub(super) policy: PolicyConfig,
    pub(super) channels: Vec<(&'static str, ChannelClass)>,
    pub(super) revision: u64,
    /// Whether it learns of parcels.
    pub(super) learns: bool,
}

pub(super) struct World {
    pub(super) desk: Desk,
    pub(super) now: Instant,
    day: &'static str,
    pub(super) sent: Vec<Sent>,
    pub(super) audit: Vec<AuditRecord>,
    pub(super) alarms: Vec<LocalAlarm>,
    pub(super) store: BTreeMap<(Table, String), Vec<u8>>,
    /// What a channel answers instead of "accepted".
    pub(super) answers: BTreeMap<&'static str, OutcomeClass>,
    /// Channels whose messages are delivered, a second after they were taken.
    pub(super) delivers: BTreeSet<&'static str>,
    receipts: BTreeMap<(Instant, String), Arc<str>>,
    inbox: u8,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(text.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Value::Bool(yes)
    }
}

struct Plain;

impl Renderer for Plain {
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
        let items: Vec<String> = letter.items.iter().map(|i| format!("{} L{}", i.subject, i.level)).collect();
        let mut text = format!("{} {}", items.join(","), letter.remark.unwrap_or_default());
        if let Some(storm) = &letter.storm {
            text.push_str(&format!(" {} open, penalty {}", storm.open, storm.penalty_cents));
        }
        Ok(Body { text, ..Body::default() })
    }
}

fn contact(channel: &str, address: &str) -> ContactConfig {
    ContactConfig { channel: channel.to_owned(), address: address.to_owned() }
}

/// Somebody with the given contacts, on the given shifts.
pub(super) fn person(name: &str, role: Role, shifts: &[&str], channels: &[&str]) -> PersonConfig {
    PersonConfig {
        name: name.to_owned(),
        role,
        team: None,
        shifts: shifts.iter().map(|s| (*s).to_owned()).collect(),
        days: Vec::new(),
        leave: Vec::new(),
        extra: Vec::new(),
        accounts: vec![format!("acc-{name}")],
        contact: channels.iter().map(|c| contact(c, name)).collect(),
        language: None,
    }
}

pub(super) fn clock(name: &str, on: &str) -> ClockConfig {
    ClockConfig { name: name.to_owned(), on: on.to_owned(), ..ClockConfig::default() }
}

pub(super) fn names(names: &[&str]) -> Names {
    Names(names.iter().map(|n| (*n).to_owned()).collect())
}

pub(super) fn rings(at: &[&str]) -> Vec<RingConfig> {
    at.iter().map(|at| RingConfig { at: (*at).to_owned(), hold: false }).collect()
}

impl Default for Plan {
    fn default() -> Plan {
        let all = &["chat", "sms", "voice"][..];
        let people = [
            ("lin", person("小林", Role::Handler, &["day"], all)),
            ("chen", person("小陈", Role::Handler, &["late"], all)),
            ("min", person("阿敏", Role::Senior, &["day", "late"], all)),
            ("zhou", person("周经理", Role::Manager, &["day", "late"], all)),
            ("zhan", person("站长", Role::Manager, &[], &["sms", "voice"])),
            ("yun", person("运维", Role::Admin, &[], &["mail", "chat"])),
        ];
        let shift = |name: &str, from: &str, to: &str| ShiftConfig {
            name: name.to_owned(),
            title: None,
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let ticket = ClockConfig {
            family: Some("ticket.reply".to_owned()),
            start: names(&["customer_message"]),
            pick: Some(Pick::OldestOpen),
            stop: names(&["agent_reply"]),
            target: Some("20m".to_owned()),
            ring: rings(&["5m before", "due"]),
            progress: names(&["carrier_inquiry"]),
            hard_deadline: names(&["answer_by"]),
            ..clock("ticket_reply", "ticket")
        };
        let parcel = ClockConfig {
            family: Some("parcel.stalled".to_owned()),
            start: names(&["scan"]),
            pick: Some(Pick::Last),
            stop: names(&["delivered"]),
            target: Some("48h".to_owned()),
            ring: rings(&["due"]),
            hard_deadline: names(&["deliver_by"]),
            ..clock("parcel_stalled", "parcel")
        };
        Plan {
            config: AlertingConfig {
                fallback: vec!["zhan".to_owned()],
                admins: vec!["yun".to_owned()],
                ..AlertingConfig::default()
            },
            people: people.into_iter().map(|(id, p)| (id.to_owned(), p)).collect(),
            teams: BTreeMap::new(),
            shifts: vec![shift("day", "08:00", "18:00"), shift("late", "18:00", "02:00")],
            policy: PolicyConfig {
                marks: MarksConfig { single: Vec::new(), repeated: vec!["carrier_inquiry".to_owned()] },
                clock: vec![ticket, parcel],
                ..PolicyConfig::default()
            },
            channels: vec![
                ("chat", ChannelClass::ChatApp),
                ("robot", ChannelClass::ChatRobot),
                ("sms", ChannelClass::Sms),
                ("voice", ChannelClass::Voice),
                ("mail", ChannelClass::Email),
            ],
            revision: 1,
            learns: false,
        }
    }
}

impl Plan {
    pub(super) fn setup(&self) -> Setup {
        let mut problems = Problems::new();
        let desk = DeskConfig {
            id: "desk".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
            shift: self.shifts.clone(),
            ..DeskConfig::default()
        };
        let shifts = desk.compile(&mut problems).expect("shifts");
        let classes: BTreeMap<Arc<str>, ChannelClass> =
            self.channels.iter().map(|(name, class)| (Arc::from(*name), *class)).collect();
        let roster = Roster::compile(&self.people, &self.teams, "desk", &shifts, &classes, &mut problems);
        let mut roster = roster.unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
        roster.revision = self.revision;
        Setup {
            desk: "desk".into(),
            title: "售后".to_owned(),
            language: Language::Zh,
            zone: shifts.zone().clone(),
            config: Arc::new(self.config.clone()),
            roster: Arc::new(roster),
            channels: self
                .channels
                .iter()
                .map(|(name, class)| (Arc::from(*name), card(name, *class)))
                .collect(),
            rules: RuleText::of(&self.policy),
            revision: self.revision,
        }
    }

    /// The world at a local time of 2026-03-02.
    pub(super) fn at(self, time: &str) -> World {
        self.on("2026-03-02", time)
    }

    pub(super) fn on(self, day: &'static str, time: &str) -> World {
        let now = instant(day, time);
        let mut desk = new_desk(&self, now);
        desk.start(now);
        let mut world = World {
            desk,
            now,
            day,
            sent: Vec::new(),
            audit: Vec::new(),
            alarms: Vec::new(),
            store: BTreeMap::new(),
            answers: BTreeMap::new(),
            delivers: BTreeSet::new(),
            receipts: BTreeMap::new(),
            inbox: 0,
        };
        world.pump();
        world
    }
}

pub(super) fn instant(day: &str, time: &str) -> Instant {
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    format!("{day}T{time}+08:00").parse().expect("an instant")
}

fn new_desk(plan: &Plan, now: Instant) -> Desk {
    let mut problems = Problems::new();
    let key = InstallationKey::new([7; 32]);
    let desk = Desk::new(plan.setup(), &plan.policy, key, 1, Some(now), Era::DEFAULT, &mut problems);
    let mut desk = desk.unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
    if plan.learns {
        let (lateness, stall) = (LatenessConfig::default(), StallConfig::default());
        desk.learn(LearnedSetup { lateness, stall, zone: plan.setup().zone });
    }
    desk
}

fn card(name: &str, class: ChannelClass) -> ChannelCard {
    let receipts = match class {
        ChannelClass::Sms | ChannelClass::Voice => ReceiptPath::Pushed,
        _ => ReceiptPath::None,
    };
    ChannelCard {
        name: name.into(),
        adapter: name.into(),
        class,
        duplicate_key: DuplicateKey::None,
        receipts,
        reply: ReplyPath::Button,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 64,
    }
}

impl World {
    /// Lets time pass up to a local time, working off everything on the way.
    pub(super) fn at(&mut self, time: &str) -> &mut World {
        let until = instant(self.day, time);
        self.until(until)
    }

    pub(super) fn until(&mut self, until: Instant) -> &mut World {
        for _ in 0..100_000 {
            let wakes = [self.desk.next_wake(), self.receipts.keys().next().map(|(at, _)| *at)];
            match wakes.into_iter().flatten().min().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => {
                    self.now = self.now.max(until);
                    self.step();
                    return self;
                }
            }
            self.step();
        }
        panic!("time stands still at {}", self.now);
    }

    fn step(&mut self) {
        let due: Vec<_> = self.receipts.keys().filter(|(at, _)| *at <= self.now).cloned().collect();
        for key in due {
            let Some(channel) = self.receipts.remove(&key) else { continue };
            let statement = Statement {
                key: Some(key.1),
                provider_id: None,
                channel,
                what: StatementKind::Delivered,
                code: None,
                at: self.now,
            };
            self.desk.statement(&statement, self.now);
        }
        self.desk.advance(self.now);
        self.pump();
    }

    /// Claims, keeps, sends, and tells what came of it, until nothing is ready.
    pub(super) fn pump(&mut self) {
        for _ in 0..1_000 {
            let room: Room = self.desk.alerting().setup().channels.keys().map(|c| (c.clone(), 64)).collect();
            let claims = self.desk.claim(&room, &Plain, self.now);
            self.keep();
            if claims.is_empty() {
                return;
            }
            for claim in claims {
                self.send(claim);
            }
            self.keep();
        }
        panic!("claims without end");
    }

    fn keep(&mut self) {
        let batch = self.desk.drain();
        for row in batch.rows {
            match row.body {
                Some(body) => self.store.insert((row.table, row.id), body),
                None => self.store.remove(&(row.table, row.id)),
            };
        }
        self.audit.extend(batch.audit);
        self.alarms.extend(self.desk.take_alarms());
        self.desk.take_counts();
    }

    fn send(&mut self, claim: Claim) {
        let class = self.answers.get(&*claim.to.lane.channel).copied().unwrap_or(OutcomeClass::Accepted);
        if class == OutcomeClass::Accepted {
            let message = self.desk.alerting().messages().find(|m| m.id == claim.message);
            let notices: Vec<_> = message
                .into_iter()
                .flat_map(|m| m.notices.iter())
                .filter_map(|id| self.desk.alerting().notices().find(|n| n.id == *id))
                .collect();
            let purpose =
                notices.iter().map(|n| n.purpose).min_by_key(|p| gravity(*p)).map_or("", Purpose::word);
            self.sent.push(Sent {
                at: self.now,
                person: claim.to.person.clone(),
                channel: claim.to.lane.channel.clone(),
                purpose,
                class: claim.priority,
                incidents: notices.iter().map(|n| n.incident).collect(),
                text: claim.body.text.clone(),
            });
            if self.delivers.contains(&*claim.to.lane.channel) {
                self.receipts.insert(
                    (self.now + Span::from_secs(1), claim.key.clone()),
                    claim.to.lane.channel.clone(),
                );
            }
        }
        self.desk.outcome(claim.message, claim.attempt, Outcome::of(class), self.now);
    }

    /// A source says something of a case, as of now.
    pub(super) fn observe(
        &mut self,
        kind: &str,
        id: &str,
        marks: &[(&str, &str, &str)],
        attributes: &[(&str, Value<'_>)],
    ) {
        let marks = marks.iter().map(|(name, reference, at)| Mark {
            name: (*name).into(),
            reference: (!reference.is_empty()).then(|| (*reference).into()),
            at: if at.len() > 10 { at.parse().expect("an instant") } else { instant(self.day, at) },
            removed: false,
        });
        let observation = Observation {
            source: "tmall".into(),
            kind: kind.into(),
            id: id.into(),
            as_of: self.now,
            revision: 0,
            marks: marks.collect(),
            attributes: attributes.iter().map(|(n, v)| ((*n).into(), v.clone())).collect(),
        };
        let observed = self.desk.observe(&observation, self.now);
        assert_eq!(observed.refused, None);
        self.desk.advance(self.now);
        self.pump();
    }

    pub(super) fn withdraw(&mut self, kind: &str, id: &str, name: &str, reference: &str, at: &str) {
        let mark = Mark {
            name: name.into(),
            reference: Some(reference.into()),
            at: instant(self.day, at),
            removed: true,
        };
        let observation = Observation {
            source: "tmall".into(),
            kind: kind.into(),
            id: id.into(),
            as_of: self.now,
            revision: 1,
            marks: vec![mark],
            attributes: Vec::new(),
        };
        self.desk.observe(&observation, self.now);
        self.desk.advance(self.now);
        self.pump();
    }

    pub(super) fn signal(&mut self, signal: &Signal) {
        self.desk.signal(signal, self.now);
        self.desk.advance(self.now);
        self.pump();
    }

    pub(super) fn act(&mut self, person: &str, act: Act) -> Result<Answer, Refusal> {
        self.inbox += 1;
        let response = Response {
            inbox: Id::from_bytes([self.inbox; 16]),
            person: person.into(),
            via: "link".into(),
            act,
            episode: None,
            from: None,
        };
        self.respond(&response)
    }

    pub(super) fn respond(&mut self, response: &Response) -> Result<Answer, Refusal> {
        let answer = self.desk.respond(response, self.now);
        self.pump();
        answer
    }

    pub(super) fn ack(&mut self, person: &str, id: Id) -> Result<Answer, Refusal> {
        self.act(person, Act::Ack { incidents: vec![id] })
    }

    /// The newest incident about a case.
    pub(super) fn incident(&self, case: &str) -> Incident {
        let of_case = self.desk.incidents().filter(|i| &*i.subject.id == case && i.storm.is_none());
        let found = of_case.max_by_key(|i| (i.opened_at, i.id));
        found.unwrap_or_else(|| panic!("no incident about {case} at {}", self.now)).clone()
    }

    pub(super) fn of_family(&self, family: &str) -> Vec<Incident> {
        self.desk.incidents().filter(|i| &*i.family == family).cloned().collect()
    }

    /// `open L1`.
    pub(super) fn state(&self, case: &str) -> String {
        let incident = self.incident(case);
        format!("{} L{}", incident.status.word(), incident.level)
    }

    /// What a person got since the last look: `14:16:00 chat prewarning`.
    pub(super) fn got(&mut self, person: &str) -> Vec<String> {
        let zone = self.desk.alerting().setup().zone.clone();
        let time = |t: Instant| t.to_timestamp().to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
        let (mine, rest): (Vec<Sent>, Vec<Sent>) =
            std::mem::take(&mut self.sent).into_iter().partition(|s| &*s.person == person);
        self.sent = rest;
        mine.iter().map(|s| format!("{} {} {}", time(s.at), s.channel, s.purpose)).collect()
    }

    /// The kinds of the audit about a case's incident, such as `R2 R4 R8`.
    pub(super) fn rules(&self, id: Id) -> String {
        let id = id.to_string();
        let of_incident = self.audit.iter().filter(|a| a.incident.as_deref() == Some(&*id));
        let kinds = of_incident.filter_map(|a| a.kind.strip_prefix("incident.R").map(|n| format!("R{n}")));
        kinds.collect::<Vec<_>>().join(" ")
    }

    /// The audit, for whoever has to find out what happened.
    pub(super) fn story(&self) -> String {
        let line = |a: &AuditRecord| {
            let (cause, change) = (a.cause.as_deref().unwrap_or(""), a.change.as_deref().unwrap_or(""));
            let short =
                |id: &Option<String>| id.as_deref().unwrap_or("-").chars().take(4).collect::<String>();
            format!("{} {} {} {} {cause} {change}", a.at, a.kind, short(&a.incident), short(&a.notice))
        };
        self.audit.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn audited(&self, kind: &str) -> usize {
        self.audit.iter().filter(|a| a.kind == kind).count()
    }

    /// Another process takes up what was kept.
    pub(super) fn restart(&mut self, plan: &Plan, at: &str) {
        self.restart_at(plan, instant(self.day, at));
    }

    pub(super) fn restart_at(&mut self, plan: &Plan, at: Instant) {
        self.load(plan, at);
        self.desk.start(at);
        self.pump();
    }

    /// The same after the clock was found to have been ahead.
    pub(super) fn restart_back(&mut self, plan: &Plan, at: &str) {
        let at = instant(self.day, at);
        let by = self.now.since(at);
        self.load(plan, at);
        self.desk.start_back(at, by);
        self.pump();
    }

    fn load(&mut self, plan: &Plan, at: Instant) {
        let mut desk = new_desk(plan, at);
        for table in Table::ALL {
            for ((_, id), body) in self.store.iter().filter(|((t, _), _)| *t == table) {
                desk.restore(table, id, body).unwrap_or_else(|e| panic!("{table:?} {id}: {e}"));
            }
        }
        self.desk = desk;
        self.now = at;
        self.receipts.clear();
    }

    pub(super) fn reload(&mut self, plan: &Plan) {
        let policy = plan.policy.clone();
        self.desk
            .reload(plan.setup(), policy, ReloadMode::FromNow, None, self.now)
            .expect("the policy is right");
        self.desk.advance(self.now);
        self.pump();
    }
}

/// Leave, in local time.
pub(super) fn stretch(from: &str, to: &str) -> StretchConfig {
    StretchConfig { from: from.to_owned(), to: to.to_owned() }
}

fn gravity(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Level | Purpose::AckLapsed | Purpose::Reopened => 0,
        Purpose::Prewarning => 2,
        _ => 1,
    }
}
