//! The life of an incident (`delivery_semantics` §6): the table of `transitions.rs`, applied.

use std::sync::Arc;

use serde_json::json;

use crate::core::alerting::decision::Scope;
use crate::core::alerting::outbox::{Pointless, is_waiting};
use crate::core::alerting::route::is_own;
use crate::core::alerting::tell::Tell;
use crate::core::alerting::timers::Timer;
use crate::core::alerting::transitions::{Event, Lift, Rule, Standing, To, Transition, find};
use crate::core::alerting::{Alerting, Count, Facts, Note};
use crate::core::ids::Id;
use crate::core::model::{Cause, Incident, NoticeState, Purpose, Status, Subject, Table};
use crate::core::time::{Instant, Span};

/// Who caused a transition, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct How<'a> {
    /// `system`, `rule:…`, `person:…`.
    pub(super) actor: &'a str,
    /// Why.
    pub(super) cause: Option<&'a str>,
    /// More for the audit.
    pub(super) detail: Option<serde_json::Value>,
}

impl How<'_> {
    pub(super) fn system(cause: Option<&'static str>) -> How<'static> {
        How { actor: "system", cause, detail: None }
    }
}

/// Whether an incident that comes back speaks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speak {
    /// Its own notice at its level.
    Itself,
    /// A digest names it: plan a notice of purpose `digest` for the current audience, which the group window bundles.
    InDigest,
}

impl Alerting {
    /// The id of an incident (§4): the dedup key.
    pub fn incident_id(&self, family: &str, subject: &Subject, generation: &str) -> Id {
        self.key.id(&[
            b"incident",
            self.setup.desk.as_bytes(),
            family.as_bytes(),
            subject.kind.as_bytes(),
            subject.source.as_bytes(),
            subject.id.as_bytes(),
            generation.as_bytes(),
        ])
    }

    /// Changes an incident: indices, version, row and timer follow.
    pub(super) fn edit<R>(&mut self, id: Id, change: impl FnOnce(&mut Incident) -> R) -> Option<R> {
        let incident = self.incidents.get_mut(&id)?;
        self.book.remove(incident);
        let result = change(incident);
        incident.version += 1;
        self.book.add(incident);
        let wake = wake(incident);
        self.timers.arm(Timer::Incident(id), wake);
        self.touch(Table::Incident, id);
        Some(result)
    }

    /// What the table looks at.
    fn standing_of(&self, incident: &Incident, complained: bool) -> Standing {
        let config = &self.setup.config;
        let flap = incident.resolved_at.is_some_and(|at| self.now < at + config.flap_window);
        let holder = incident.acked_by.as_ref().and_then(|p| self.setup.roster.people.get(p));
        let near = incident.hard_deadline.is_some_and(|at| at <= self.now + Span::HOUR);
        Standing {
            status: Some(incident.status),
            level: incident.level,
            follows: incident.predecessor.is_some(),
            rounds_left: incident.reminders < config.reminders,
            extended: incident.ack_extended,
            in_flap_window: flap && incident.cleared_at.is_some() && incident.grace_until.is_none(),
            in_grace: incident.grace_until.is_some_and(|until| self.now < until),
            holder_left: holder.is_some_and(|p| p.team != incident.team),
            foldable: !near && (!(incident.vip || incident.legal) || self.is_spoken_for(incident)),
            folded: incident.folded.is_some(),
            silenced: incident.silenced.is_some(),
            complained,
        }
    }

    /// Applies the row that an event takes, with its audit record. What the row writes beside is the caller's.
    pub(super) fn transit(&mut self, id: Id, event: Event, how: &How<'_>) -> Option<Rule> {
        self.transit_with(id, event, how, false)
    }

    fn transit_with(&mut self, id: Id, event: Event, how: &How<'_>, complained: bool) -> Option<Rule> {
        let incident = self.incidents.get(&id)?;
        let row = find(&self.standing_of(incident, complained), event)?;
        if row.rule == Rule::R28 && incident.resolution == Some(crate::core::model::Resolution::Retracted) {
            return None;
        }
        let before = words(incident);
        let armed = wake(incident);
        let (now, config) = (self.now, self.setup.config.clone());
        let delays = config.of_family(&incident.family).levels;
        let after = self.edit(id, |incident| {
            apply(incident, row, now, &delays);
            words(incident)
        })?;
        // A timer of this very instant lost against the event (S03, case a).
        let stale = armed.is_some_and(|at| at <= now)
            && !matches!(event, Event::LevelDue | Event::ReminderDue | Event::LeaseOver | Event::ShiftOver)
            && !matches!(event, Event::SnoozeOver | Event::Fired);
        if stale {
            self.stale_timer(id);
        }
        self.audit(Note {
            actor: how.actor,
            kind: &row.rule.kind(),
            incident: Some(id),
            cause: how.cause,
            change: Some(format!("{before} → {after}")),
            detail: how.detail.clone(),
            ..Note::default()
        });
        if row.to == To::Open
            && let Some(level) = self.level_of_children(id)
        {
            self.lift_parent(id, level);
        }
        Some(row.rule)
    }

    pub(super) fn stale_timer(&mut self, id: Id) {
        self.counts.push(Count::StaleTimer);
        self.audit(Note { actor: "system", kind: "stale_timer", incident: Some(id), ..Note::default() });
    }

    /// Opens an incident that there was not (R1, R2, R22).
    pub(super) fn open(&mut self, new: New<'_>, event: Event, how: &How<'_>) -> Option<Id> {
        let id = self.incident_id(new.family, &new.subject, new.generation);
        let predecessor = self.predecessor(new.family, &new.subject, id);
        let standing = Standing { follows: predecessor.is_some(), ..Standing::default() };
        let row = find(&standing, event)?;
        let level = match row.level {
            Lift::To(level) => level,
            Lift::Stay | Lift::Up | Lift::Anew => 0,
        };
        let due = new.facts.due;
        let delays = self.setup.config.of_family(new.family).levels;
        let late = due.map_or(Span::ZERO, |due| self.now.since(due));
        // Whoever hears of a breach long after it has the whole delay before the next level.
        let half = Span::from_millis(delays[1].less(delays[0]).as_millis() / 2);
        let counts = late <= half || self.book.catching_up;
        let levels_from = if level >= 1 && counts { due.unwrap_or(self.now) } else { self.now };
        let mut incident = Incident {
            id,
            family: new.family.clone(),
            rule: new.rule.clone(),
            subject: new.subject,
            generation: new.generation.clone(),
            episode: 1,
            status: Status::Open,
            level,
            step: 0,
            version: 1,
            round: 0,
            team: self.team_of(new.facts),
            owner: None,
            dimensions: Default::default(),
            vip: false,
            legal: false,
            complaint: false,
            penalty_cents: 0,
            since: new.facts.since.unwrap_or(self.now),
            due,
            hard_deadline: None,
            firing: event == Event::Fired,
            paused: false,
            cycle: new.cycle,
            levels_from,
            opened_at: self.now,
            episode_at: self.now,
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
            predecessor,
            storm: new.storm,
            told: Default::default(),
            notices: Vec::new(),
            facts: Default::default(),
            url: None,
        };
        self.take_facts(&mut incident, new.facts);
        // A first level with a delay of its own is reached from level 0.
        if incident.level == 1 && delays[0] > Span::ZERO && incident.storm.is_none() {
            incident.level = 0;
        }
        incident.next_level_at = self.natural(&incident, incident.level + 1);
        let change = format!("– → {}", words(&incident));
        self.book.add(&incident);
        self.timers.arm(Timer::Incident(id), wake(&incident));
        self.incidents.insert(id, incident);
        self.touch(Table::Incident, id);
        self.audit(Note {
            actor: how.actor,
            kind: &row.rule.kind(),
            incident: Some(id),
            cause: how.cause,
            change: Some(change),
            detail: how.detail.clone(),
            ..Note::default()
        });
        Some(id)
    }

    /// The newest incident of the same family on the subject, other than this one.
    fn predecessor(&self, family: &str, subject: &Subject, id: Id) -> Option<Id> {
        let known = self.book.of_subject(subject).filter(|other| *other != id);
        let of_family = known.filter_map(|other| self.incidents.get(&other)).filter(|i| *i.family == *family);
        of_family.max_by_key(|i| (i.opened_at, i.id)).map(|i| i.id)
    }

    /// The team of a case: named, of its shop, or the only one.
    fn team_of(&self, facts: &Facts) -> Arc<str> {
        let roster = &self.setup.roster;
        let named = facts.team.as_ref().filter(|team| roster.teams.contains_key(*team));
        let of_owner = || facts.owner.as_ref().and_then(|p| roster.people.get(p)).map(|p| &p.team);
        let shop = facts.dimensions.get("shop").map(|shop| &**shop);
        let team = match (named, roster.teams.len()) {
            (Some(team), _) => Some(team),
            (None, 0 | 1) => roster.team_of_shop(shop),
            (None, _) if shop.is_some() => roster.team_of_shop(shop),
            (None, _) => of_owner().or_else(|| roster.team_of_shop(None)),
        };
        team.cloned().unwrap_or_else(|| self.setup.desk.clone())
    }

    /// Puts facts into an incident, as they are.
    pub(super) fn take_facts(&self, incident: &mut Incident, facts: &Facts) {
        incident.owner = facts.owner.clone();
        incident.vip = facts.vip;
        incident.legal = facts.legal;
        incident.complaint = facts.complaint;
        incident.penalty_cents = facts.penalty_cents;
        incident.hard_deadline = facts.hard_deadline;
        incident.due = facts.due;
        if let Some(since) = facts.since {
            incident.since = since;
        }
        incident.dimensions = facts.dimensions.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        incident.dimensions.or_insert_with("team".into(), || incident.team.clone());
        // What else is wrong with the case is not of the rule that says this.
        let also = incident.facts.get("also").cloned();
        incident.facts = facts.texts.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        also.into_iter().for_each(|also| drop(incident.facts.insert("also".into(), also)));
        incident.url = facts.url.clone();
    }

    /// R18, R19, R28 and a rule that is gone: everything that waits is pointless, "cleared" follows.
    pub(super) fn close(&mut self, id: Id, event: Event, how: &How<'_>) -> bool {
        let Some(incident) = self.incidents.get(&id) else { return false };
        let was_resolved = incident.is_resolved();
        let is_parent = incident.storm.is_some();
        let Some(rule) = self.transit(id, event, how) else { return false };
        let (now, config) = (self.now, self.setup.config.clone());
        let cause = match rule {
            Rule::R28 => Cause::Retracted,
            Rule::Removed => Cause::RuleRemoved,
            _ => Cause::Resolved,
        };
        // The system's own trouble, and what only a person ends, has no source that could disagree.
        let manual = |i: &Incident| self.setup.rules.get(&i.rule).is_some_and(|rule| rule.manual);
        let own = is_parent || self.incidents.get(&id).is_some_and(|i| is_own(&i.family) || manual(i));
        let quiet = is_parent || matches!(rule, Rule::R28 | Rule::Removed);
        // Should it come back as the same episode, whoever was to be told by now still is (R20).
        let unheard = rule == Rule::R18 && !is_parent && self.waits_to_be_told(id);
        self.edit(id, |incident| {
            incident.cleared_at = (!quiet && !incident.told.is_empty()).then_some(now + config.flap_window);
            if rule == Rule::R18 && incident.cleared_at.is_none() && !quiet {
                // Inside the window a return is the same episode, told or not (R20).
                incident.cleared_at = Some(now + config.flap_window);
            }
            incident.grace_until = (rule == Rule::R19 && !own).then_some(now + config.manual_grace);
            incident.firing &= !own;
            incident.owed = unheard;
        });
        if !is_parent && !was_resolved {
            self.supersede(id, &Pointless::All, cause);
            self.pass_warnings_on(id, cause);
        }
        if rule == Rule::R28 {
            self.supersede(id, &Pointless::Cleared, Cause::Retracted);
            self.tell_told(id, Purpose::Corrected);
        }
        self.noted_change(id);
        self.close_dead_letters(id);
        true
    }

    /// Whether the audience of its level is to be told, and nothing has left for it yet.
    fn waits_to_be_told(&self, id: Id) -> bool {
        let left = |notice: &Id| {
            let messages = self.outbox.of_notice.get(notice).into_iter().flatten();
            messages.filter_map(|m| self.messages.get(m)).any(|m| !is_waiting(m.state))
        };
        let waits = |id: &Id| {
            self.notices.get(id).is_some_and(|notice| {
                notice.state == NoticeState::Open
                    && matches!(notice.purpose, Purpose::Level | Purpose::Reopened | Purpose::Digest)
                    && !left(id)
            })
        };
        self.incidents.get(&id).is_some_and(|i| i.owed)
            || self.outbox.of_incident.get(&id).into_iter().flatten().any(waits)
    }

    /// A level was reached at once because nobody of the one before can be told (R7).
    pub(super) fn unreachable(&mut self, id: Id, cause: &'static str) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let (level, asked) = (incident.level, incident.in_fallback);
        if level == 0 {
            return;
        }
        if level == 3 && asked {
            self.nobody(id);
            return;
        }
        if self.transit(id, Event::Unreachable, &How::system(Some(cause))).is_none() {
            return;
        }
        let language = self.setup.language;
        let remark = super::words::Saying::Unreachable { level }.text(language, &self.setup.zone);
        if level < 3 {
            self.counts.push(Count::Escalated { level: level + 1, reason: "unreachable" });
            self.arm_next(id, Span::MINUTE);
            self.noted_change(id);
            self.tell(id, Tell { remark: Some(remark), in_need: true, ..Tell::of(Purpose::Level) });
        } else {
            self.edit(id, |incident| incident.in_fallback = true);
            let tell =
                Tell { remark: Some(remark), scope: Some(Scope::Fallback), ..Tell::of(Purpose::Level) };
            self.tell(id, tell);
        }
    }

    /// Nobody is left to be told: the local alarm surfaces say so (§7.4).
    pub(super) fn nobody(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let text = format!(
            "incident {} ({} of {} {}): nobody can be told at level {}",
            id.short(),
            incident.family,
            incident.subject.kind,
            incident.subject.id,
            incident.level
        );
        self.alarms.push(crate::core::alerting::LocalAlarm { kind: "nobody_reachable", text });
        self.audit(Note {
            actor: "system",
            kind: "alarm.local",
            incident: Some(id),
            cause: Some("no_lane"),
            ..Note::default()
        });
    }

    /// When an incident has something to do next.
    pub(super) fn incident_wake(&self, incident: &Incident) -> Option<Instant> {
        wake(incident)
    }

    /// An acked incident whose buyer has complained since (5.4), or a snoozed one that became worse: open again.
    pub(super) fn worsened(&mut self, id: Id, complained: bool, what: &str) {
        let how = How { actor: "system", cause: Some("worse"), detail: Some(json!({ "worse": what })) };
        if self.transit_with(id, Event::Worsened, &how, complained) == Some(Rule::R15) {
            self.arm_rest(id);
            let remark = super::words::Saying::Worse.text(self.setup.language, &self.setup.zone);
            self.tell(id, Tell { remark: Some(remark), ..Tell::of(Purpose::SnoozeOver) });
        }
    }
}

/// What a new incident is made of.
#[derive(Clone, Debug)]
pub(super) struct New<'a> {
    pub(super) family: &'a Arc<str>,
    pub(super) rule: &'a Arc<str>,
    pub(super) subject: Subject,
    pub(super) generation: &'a Arc<str>,
    pub(super) cycle: Option<u64>,
    pub(super) storm: Option<crate::core::model::StormCause>,
    pub(super) facts: &'a Facts,
}

/// When an incident has something to do next.
fn wake(incident: &Incident) -> Option<Instant> {
    match incident.status {
        Status::Open => incident.next_level_at,
        Status::Acked => incident.ack_until,
        Status::Snoozed => incident.snooze_until,
        Status::Resolved => [incident.cleared_at, incident.grace_until].into_iter().flatten().min(),
    }
}

/// The part of a row that is the same for all: status, level, episode, and who has it.
fn apply(incident: &mut Incident, row: &Transition, now: Instant, delays: &[Span; 3]) {
    let before = (incident.status, incident.level);
    match row.level {
        Lift::Stay => {}
        Lift::To(level) => incident.level = level,
        Lift::Up => incident.level = (incident.level + 1).min(3),
        Lift::Anew => {
            incident.level = 1;
            incident.episode += 1;
            incident.episode_at = now;
            incident.levels_from = now - delays[0];
            incident.reminders = 0;
            incident.unhandled = false;
            incident.in_fallback = false;
            incident.told.clear();
            incident.notices.clear();
            incident.held_delay_ms = None;
        }
    }
    let rest = incident.next_level_at.map(|at| at.since(now).as_millis());
    match row.to {
        To::Same => {}
        To::Open => {
            incident.status = Status::Open;
            incident.acked_by = None;
            incident.acked_at = None;
            incident.ack_until = None;
            incident.ack_extended = false;
            incident.snooze_until = None;
            incident.resolution = None;
            incident.resolved_at = None;
            incident.before_resolved = None;
            incident.cleared_at = None;
            incident.grace_until = None;
        }
        To::Acked => {
            incident.status = Status::Acked;
            incident.held_delay_ms = rest.or(incident.held_delay_ms);
            incident.next_level_at = None;
            incident.snooze_until = None;
        }
        To::Snoozed => {
            incident.status = Status::Snoozed;
            incident.snoozed_at = Some(now);
            incident.held_delay_ms = rest.or(incident.held_delay_ms);
            incident.next_level_at = None;
            incident.acked_by = None;
            incident.acked_at = None;
            incident.ack_until = None;
        }
        To::Resolved(resolution) => {
            if before.0 != Status::Resolved {
                incident.before_resolved = Some(before);
            }
            incident.status = Status::Resolved;
            incident.resolution = Some(resolution);
            incident.resolved_at = Some(now);
            incident.cleared_at = None;
            incident.grace_until = None;
            if !matches!(resolution, crate::core::model::Resolution::Manual) {
                incident.firing = false;
            }
        }
        To::AsBefore => {
            // Everything that was armed is armed as it was: only the round is another one (R20).
            let (status, _) = incident.before_resolved.take().unwrap_or((Status::Open, incident.level));
            incident.status = status;
            incident.resolution = None;
            incident.resolved_at = None;
            incident.cleared_at = None;
            incident.grace_until = None;
            incident.firing = true;
        }
    }
    incident.round += 1;
}

/// `open L1`, for the audit.
fn words(incident: &Incident) -> String {
    format!("{} L{}", incident.status.word(), incident.level)
}
