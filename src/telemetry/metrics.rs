//! Every metric (`delivery_semantics` §18), registered once. Names are whole, because a prefix of the registry would
//! rename the standard `process_*` series too. What is of a closed set starts at zero, so that the first failure shows
//! in `rate()`; a value outside its set is counted as `other`, so that nothing from outside makes series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::core::alerting::Count;
use crate::core::model::{Cause, ChannelClass, Class, MessageState, NoticeState, OutcomeClass, Status};
use crate::core::time::Span;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The sets that the configuration closes: which channels, families and teams there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The configured channels.
    pub channels: BTreeSet<Arc<str>>,
    /// The families of trouble that rules can raise. Those of the system itself are known anyway.
    pub families: BTreeSet<Arc<str>>,
    /// The teams.
    pub teams: BTreeSet<Arc<str>>,
}

/// The families that the system raises of itself.
const OWN_FAMILIES: [&str; 14] = [
    "channel.degraded",
    "channel.down",
    "config.rejected",
    "delivery.budget",
    "delivery.dead",
    "source.authorise",
    "source.blind",
    "source.malformed",
    "source.method",
    "source.skew",
    "storm",
    "system.clock",
    "system.disk",
    "system.store",
];

const CHANNEL_CLASSES: [ChannelClass; 6] = [
    ChannelClass::ChatApp,
    ChannelClass::ChatRobot,
    ChannelClass::Sms,
    ChannelClass::Voice,
    ChannelClass::Email,
    ChannelClass::Webhook,
];
const NOTICE_STATES: [NoticeState; 5] = [
    NoticeState::Open,
    NoticeState::Delivered,
    NoticeState::AcceptedFinal,
    NoticeState::Obsolete,
    NoticeState::Dead,
];
const STATUSES: [Status; 4] = [Status::Open, Status::Acked, Status::Snoozed, Status::Resolved];
const DEATHS: [Cause; 5] =
    [Cause::Expired, Cause::Failed, Cause::Quarantined, Cause::NoLane, Cause::BoundPassed];
const ESCALATIONS: [&str; 4] = ["time", "unreachable", "ack_lapsed", "manual"];
const FALLBACKS: [&str; 4] = ["silence", "permanent", "breaker", "budget"];
const DUPLICATES: [&str; 3] = ["crash", "restored", "timeout"];
const OTHER: &str = "other";

/// What became of one observation that came over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Something of it was new.
    Kept,
    /// All of it was known.
    Duplicate,
    /// It could not be used.
    Refused,
    /// The desk could not take it then.
    Unavailable,
}

impl Taken {
    const ALL: [Taken; 4] = [Taken::Kept, Taken::Duplicate, Taken::Refused, Taken::Unavailable];

    /// Its word in metrics and answers.
    pub fn word(self) -> &'static str {
        match self {
            Taken::Kept => "kept",
            Taken::Duplicate => "duplicate",
            Taken::Refused => "refused",
            Taken::Unavailable => "unavailable",
        }
    }
}

/// What was turned away at the door of the HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// More connections than are served, in all or from one address.
    Connections,
    /// A link that is not one of ours.
    Link,
    /// A bearer token that nobody has.
    Token,
    /// Too many in too short a time.
    Rate,
}

impl Refused {
    const ALL: [Refused; 4] = [Refused::Connections, Refused::Link, Refused::Token, Refused::Rate];

    fn word(self) -> &'static str {
        match self {
            Refused::Connections => "connections",
            Refused::Link => "link",
            Refused::Token => "token",
            Refused::Rate => "rate",
        }
    }
}

/// How a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceState {
    /// It cannot be read (`source.blind`).
    pub blind: bool,
    /// Since it last answered in earnest.
    pub age: Span,
    /// Its clock minus ours, in ms (T4).
    pub skew_ms: i64,
}

/// How the breaker of a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// Messages leave: 0.
    Closed,
    /// One probe may leave: 1.
    HalfOpen,
    /// Nothing leaves: 2.
    Open,
}

/// What gauges show, taken together at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Notices by state.
    pub notices: BTreeMap<NoticeState, u64>,
    /// Messages that are not terminal, by class and state.
    pub outbox: BTreeMap<(Class, MessageState), u64>,
    /// How long the oldest ready message of a class has waited.
    pub outbox_oldest: BTreeMap<Class, Span>,
    /// Attempts of which nobody knows whether they were taken.
    pub uncertain_attempts: u64,
    /// Breakers by channel.
    pub breakers: BTreeMap<Arc<str>, BreakerState>,
    /// The share of a channel's tightest budget that is left, 0–1.
    pub budget_remaining: BTreeMap<Arc<str>, f64>,
    /// Incidents in memory, by status.
    pub incidents: BTreeMap<Status, u64>,
    /// Incidents of which every round is over (R6).
    pub unhandled: u64,
    /// Until the next gap in the roster; `None` when none is seen ahead.
    pub roster_gap: Option<Span>,
    /// People on duty, by team and level.
    pub on_duty: BTreeMap<(Arc<str>, u8), u64>,
    /// How late the last due timer was served.
    pub tick_lag: Span,
    /// Free bytes where the store lives, where that means something.
    pub store_free_bytes: Option<u64>,
    /// Bytes of the store.
    pub store_size_bytes: u64,
    /// The revision of the configuration in force.
    pub config_revision: u64,
    /// The last reload was taken.
    pub config_last_reload_ok: bool,
    /// The audit chain verified when it was last walked.
    pub audit_chain_ok: bool,
}

/// Every metric there is.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    known: RwLock<Known>,
    /// The sources that are polled, with the words that their requests can end in. Only these have series.
    sources: Mutex<BTreeMap<String, &'static [&'static str]>>,
    /// A page is never made while gauges are half set.
    steady: Mutex<()>,

    notices: IntGaugeVec,
    notices_planned: IntCounterVec,
    notice_discharge: HistogramVec,
    crossing_to_accept: HistogramVec,
    outbox_depth: IntGaugeVec,
    outbox_oldest: GaugeVec,
    send_attempts: IntCounterVec,
    send_latency: HistogramVec,
    duplicates_possible: IntCounterVec,
    uncertain_attempts: IntGauge,
    deadletter: IntCounterVec,
    fallback: IntCounterVec,
    breaker_state: IntGaugeVec,
    budget_remaining: GaugeVec,
    budget_overflow: IntCounterVec,
    escalations: IntCounterVec,
    ack_seconds: HistogramVec,
    ack_lapsed: IntCounter,
    incidents: IntGaugeVec,
    unhandled: IntGauge,
    suppressed: IntCounterVec,
    stale_timers: IntCounter,
    render_faults: IntCounter,
    local_alarms: IntCounter,
    roster_gap: Gauge,
    on_duty: IntGaugeVec,
    source_blind: IntGaugeVec,
    source_age: GaugeVec,
    source_skew: GaugeVec,
    source_requests: IntCounterVec,
    source_rejects: IntCounterVec,
    tick: Histogram,
    tick_lag: Gauge,
    commit: Histogram,
    store_free: Gauge,
    store_size: Gauge,
    config_revision: IntGauge,
    config_last_reload_ok: IntGauge,
    audit_chain_ok: IntGauge,
    canary_roundtrip: HistogramVec,
    observations: IntCounterVec,
    http_refused: IntCounterVec,
}

/// Registers what it makes.
struct Maker(Registry);

type Made<T> = Result<T, prometheus::Error>;

impl Maker {
    fn keep<C: Collector + Clone + 'static>(&self, made: Made<C>) -> Made<C> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
    fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.keep(IntCounter::new(format!("shiftbell_{name}"), help))
    }
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.keep(IntCounterVec::new(opts(name, help), labels))
    }
    fn whole(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.keep(IntGauge::with_opts(opts(name, help)))
    }
    fn wholes(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.keep(IntGaugeVec::new(opts(name, help), labels))
    }
    fn gauge(&self, name: &str, help: &str) -> Made<Gauge> {
        self.keep(Gauge::with_opts(opts(name, help)))
    }
    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
        self.keep(GaugeVec::new(opts(name, help), labels))
    }
    fn times(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Made<HistogramVec> {
        self.keep(HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec()), labels))
    }
    fn time(&self, name: &str, help: &str, buckets: &[f64]) -> Made<Histogram> {
        self.keep(Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("shiftbell_{name}"), help)
}

/// Proof of a notice: around the bounds of B7.
const DISCHARGE: [f64; 12] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 180.0, 360.0, 1800.0, 7200.0];
/// Crossing to acceptance: around B4.
const ACCEPT: [f64; 10] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 180.0, 600.0];
/// One attempt: up to its time limit.
const SEND: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A person's reaction.
const REACTION: [f64; 9] = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0, 28_800.0];
/// A turn of the loop, a commit.
const WORK: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.0];

impl Metrics {
    /// All metrics, at zero, for the sets that `known` closes.
    ///
    /// # Errors
    /// Two metrics of one name: a bug, which the test of this room finds.
    pub fn new(known: Known) -> Made<Metrics> {
        let m = Maker(Registry::new());
        m.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let build = m.wholes("build_info", "Always 1; its labels tell what runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Metrics {
            notices: m.wholes("notices", "Notices by state.", &["state"])?,
            notices_planned: m.counters("notices_planned_total", "Notices that were planned.", &["class"])?,
            notice_discharge: m.times(
                "notice_discharge_seconds",
                "From the plan of a notice to the proof that it reached somebody.",
                &["class", "channel"],
                &DISCHARGE,
            )?,
            crossing_to_accept: m.times(
                "crossing_to_accept_seconds",
                "From a crossing to the first message about it that a provider accepted.",
                &["family", "class"],
                &ACCEPT,
            )?,
            outbox_depth: m.wholes(
                "outbox_depth",
                "Messages that are not over, by class and state.",
                &["class", "state"],
            )?,
            outbox_oldest: m.gauges(
                "outbox_oldest_seconds",
                "How long the oldest message of a class has waited.",
                &["class"],
            )?,
            send_attempts: m.counters(
                "send_attempts_total",
                "Attempts that ended, by outcome.",
                &["channel", "class", "outcome"],
            )?,
            send_latency: m.times("send_latency_seconds", "How long attempts took.", &["channel"], &SEND)?,
            duplicates_possible: m.counters(
                "duplicates_possible_total",
                "Attempts after which a person may see a second copy.",
                &["channel", "cause"],
            )?,
            uncertain_attempts: m
                .whole("uncertain_attempts", "Attempts of which nobody knows whether they were taken.")?,
            deadletter: m.counters(
                "deadletter_total",
                "Notices that reached nobody.",
                &["family", "reason"],
            )?,
            fallback: m.counters(
                "fallback_total",
                "Later waves of plans that were started.",
                &["from", "to", "reason"],
            )?,
            breaker_state: m.wholes("breaker_state", "0 closed, 1 half-open, 2 open.", &["channel"])?,
            budget_remaining: m.gauges(
                "budget_remaining",
                "The share of a channel's tightest budget that is left, 0 to 1.",
                &["channel"],
            )?,
            budget_overflow: m.counters(
                "budget_overflow_total",
                "Messages that found no budget.",
                &["channel"],
            )?,
            escalations: m.counters(
                "escalations_total",
                "Incidents that rose to a level.",
                &["level", "reason"],
            )?,
            ack_seconds: m.times(
                "ack_seconds",
                "From the opening of an incident to its ack.",
                &["level"],
                &REACTION,
            )?,
            ack_lapsed: m.counter("ack_lapsed_total", "Acks that were not followed by work.")?,
            incidents: m.wholes("incidents", "Incidents in memory, by status.", &["status"])?,
            unhandled: m.whole("unhandled", "Incidents that nobody answered in all rounds.")?,
            suppressed: m.counters(
                "suppressed_total",
                "Planned things that were not sent, by cause.",
                &["cause"],
            )?,
            stale_timers: m
                .counter("stale_timers_total", "Timers that no longer fitted when they came due.")?,
            render_faults: m.counter("render_faults_total", "Texts that a template could not make.")?,
            local_alarms: m.counter("local_alarms_total", "Alarms that only this machine could show.")?,
            roster_gap: m.gauge(
                "roster_gap_seconds_ahead",
                "Until the next gap in the roster; infinite when none is seen.",
            )?,
            on_duty: m.wholes("on_duty", "People on duty, by team and level.", &["team", "level"])?,
            source_blind: m.wholes("source_blind", "1 while a source cannot be read.", &["source"])?,
            source_age: m.gauges("source_age_seconds", "Since the last success of a source.", &["source"])?,
            source_skew: m.gauges("source_skew_seconds", "The clock of a source minus ours.", &["source"])?,
            source_requests: m.counters(
                "source_requests_total",
                "Requests to sources that ended, by what came back.",
                &["source", "result"],
            )?,
            source_rejects: m.counters(
                "source_rejects_total",
                "Rows of a source that could not be used.",
                &["source"],
            )?,
            tick: m.time("tick_seconds", "How long turns of the decision loop took.", &WORK)?,
            tick_lag: m.gauge("tick_lag_seconds", "How late the last due timer was served.")?,
            commit: m.time("commit_seconds", "How long commits took.", &WORK)?,
            store_free: m.gauge("store_free_bytes", "Free bytes where the store lives.")?,
            store_size: m.gauge("store_size_bytes", "Bytes that the store takes.")?,
            config_revision: m.whole("config_revision", "The revision of the configuration in force.")?,
            config_last_reload_ok: m.whole("config_last_reload_ok", "1 when the last reload was taken.")?,
            audit_chain_ok: m.whole("audit_chain_ok", "1 when the audit chain verified when last walked.")?,
            canary_roundtrip: m.times(
                "canary_roundtrip_seconds",
                "From the plan of a test message to its proof.",
                &["channel"],
                &SEND,
            )?,
            observations: m.counters(
                "observations_total",
                "Observations that came over HTTP.",
                &["result"],
            )?,
            http_refused: m.counters(
                "http_refused_total",
                "What was turned away at the door of the HTTP server.",
                &["reason"],
            )?,
            registry: m.0,
            known: RwLock::new(Known::default()),
            sources: Mutex::default(),
            steady: Mutex::new(()),
        };
        metrics.begin();
        metrics.know(known);
        metrics.set(&Snapshot { config_last_reload_ok: true, audit_chain_ok: true, ..Snapshot::default() });
        Ok(metrics)
    }

    /// Starts the series of sets that the program itself closes.
    fn begin(&self) {
        for class in Class::ALL {
            self.notices_planned.with_label_values(&[class.word()]);
            for channel in CHANNEL_CLASSES {
                self.notice_discharge.with_label_values(&[class.word(), channel.word()]);
            }
        }
        for from in CHANNEL_CLASSES {
            for to in CHANNEL_CLASSES {
                for reason in FALLBACKS {
                    self.fallback.with_label_values(&[from.word(), to.word(), reason]);
                }
            }
        }
        for level in 0..=3_u8 {
            self.ack_seconds.with_label_values(&[&level.to_string()]);
            for reason in ESCALATIONS.iter().filter(|_| level > 0) {
                self.escalations.with_label_values(&[&*level.to_string(), *reason]);
            }
        }
        for cause in Cause::ALL {
            self.suppressed.with_label_values(&[cause.word()]);
        }
        for taken in Taken::ALL {
            self.observations.with_label_values(&[taken.word()]);
        }
        for refused in Refused::ALL {
            self.http_refused.with_label_values(&[refused.word()]);
        }
        self.know_channel(OTHER);
        for family in OWN_FAMILIES.into_iter().chain([OTHER]) {
            self.know_family(family);
        }
    }

    /// Goes by other closed sets, after a reload. What is no longer configured keeps its series until the next start.
    pub fn know(&self, known: Known) {
        for channel in &known.channels {
            self.know_channel(channel);
        }
        for family in &known.families {
            self.know_family(family);
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn know_channel(&self, channel: &str) {
        for class in Class::ALL {
            for outcome in OutcomeClass::ALL {
                self.send_attempts.with_label_values(&[channel, class.word(), outcome.word()]);
            }
        }
        for cause in DUPLICATES {
            self.duplicates_possible.with_label_values(&[channel, cause]);
        }
        self.send_latency.with_label_values(&[channel]);
        self.canary_roundtrip.with_label_values(&[channel]);
        self.budget_overflow.with_label_values(&[channel]);
    }

    fn know_family(&self, family: &str) {
        for class in Class::ALL {
            self.crossing_to_accept.with_label_values(&[family, class.word()]);
        }
        for reason in DEATHS {
            self.deadletter.with_label_values(&[family, reason.word()]);
        }
    }

    /// Counts what alerting said.
    pub fn apply(&self, count: &Count) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let channel_of = |name: &Arc<str>| label(&known.channels, name);
        let family_of = |name: &Arc<str>| match OWN_FAMILIES.iter().find(|own| **own == &**name) {
            Some(own) => (*own).to_owned(),
            None => label(&known.families, name),
        };
        match count {
            Count::NoticePlanned { class } => self.notices_planned.with_label_values(&[class.word()]).inc(),
            Count::Discharged { class, channel, after } => {
                self.notice_discharge
                    .with_label_values(&[class.word(), channel.word()])
                    .observe(seconds(*after));
            }
            Count::CrossingToAccept { family, class, after } => {
                let family = family_of(family);
                self.crossing_to_accept.with_label_values(&[&*family, class.word()]).observe(seconds(*after));
            }
            Count::Attempt { channel, class, outcome, after } => {
                let channel = channel_of(channel);
                self.send_attempts.with_label_values(&[&*channel, class.word(), outcome.word()]).inc();
                self.send_latency.with_label_values(&[&channel]).observe(seconds(*after));
            }
            Count::DuplicatePossible { channel, cause } => {
                self.duplicates_possible.with_label_values(&[&*channel_of(channel), cause]).inc();
            }
            Count::DeadLetter { family, reason } => {
                self.deadletter.with_label_values(&[&*family_of(family), reason.word()]).inc();
            }
            Count::Fallback { from, to, reason } => {
                self.fallback.with_label_values(&[from.word(), to.word(), reason]).inc();
            }
            Count::Escalated { level, reason } => {
                self.escalations.with_label_values(&[&*level.to_string(), reason]).inc();
            }
            Count::Acked { level, after } => {
                self.ack_seconds.with_label_values(&[&level.to_string()]).observe(seconds(*after));
            }
            Count::AckLapsed => self.ack_lapsed.inc(),
            Count::Suppressed { cause } => self.suppressed.with_label_values(&[cause.word()]).inc(),
            Count::BudgetOverflow { channel } => {
                self.budget_overflow.with_label_values(&[&channel_of(channel)]).inc();
            }
            Count::StormOpened | Count::LateOutcome | Count::OrphanReceipt => {}
            Count::StaleTimer => self.stale_timers.inc(),
            Count::RenderFault => self.render_faults.inc(),
        }
    }

    /// Sets every gauge.
    pub fn set(&self, now: &Snapshot) {
        let _steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        for state in NOTICE_STATES {
            self.notices.with_label_values(&[state.word()]).set(whole(now.notices.get(&state)));
        }
        for class in Class::ALL {
            for state in MessageState::ALL.into_iter().filter(|state| !state.is_terminal()) {
                let depth = whole(now.outbox.get(&(class, state)));
                self.outbox_depth.with_label_values(&[class.word(), state.word()]).set(depth);
            }
            let oldest = now.outbox_oldest.get(&class).copied().unwrap_or_default();
            self.outbox_oldest.with_label_values(&[class.word()]).set(seconds(oldest));
        }
        self.uncertain_attempts.set(whole(Some(&now.uncertain_attempts)));
        self.breaker_state.reset();
        self.budget_remaining.reset();
        for channel in &known.channels {
            let state = match now.breakers.get(channel) {
                None | Some(BreakerState::Closed) => 0,
                Some(BreakerState::HalfOpen) => 1,
                Some(BreakerState::Open) => 2,
            };
            self.breaker_state.with_label_values(&[&**channel]).set(state);
            let left = now.budget_remaining.get(channel).copied().unwrap_or(1.0);
            self.budget_remaining.with_label_values(&[&**channel]).set(left);
        }
        for status in STATUSES {
            self.incidents.with_label_values(&[status.word()]).set(whole(now.incidents.get(&status)));
        }
        self.unhandled.set(whole(Some(&now.unhandled)));
        self.roster_gap.set(now.roster_gap.map_or(f64::INFINITY, seconds));
        self.on_duty.reset();
        for team in &known.teams {
            for level in 1..=3_u8 {
                let people = whole(now.on_duty.get(&(team.clone(), level)));
                self.on_duty.with_label_values(&[&**team, &*level.to_string()]).set(people);
            }
        }
        self.tick_lag.set(seconds(now.tick_lag));
        self.store_free.set(now.store_free_bytes.map_or(f64::INFINITY, |bytes| bytes as f64));
        self.store_size.set(now.store_size_bytes as f64);
        self.config_revision.set(whole(Some(&now.config_revision)));
        self.config_last_reload_ok.set(i64::from(now.config_last_reload_ok));
        self.audit_chain_ok.set(i64::from(now.audit_chain_ok));
    }

    /// A turn of the decision loop took so long.
    pub fn ticked(&self, took: Duration) {
        self.tick.observe(took.as_secs_f64());
    }

    /// A commit took so long.
    pub fn committed(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    /// A test message came round.
    pub fn canary(&self, channel: &Arc<str>, after: Span) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        self.canary_roundtrip.with_label_values(&[&label(&known.channels, channel)]).observe(seconds(after));
    }

    /// Something could be shown only on this machine.
    pub fn alarmed(&self) {
        self.local_alarms.inc();
    }

    /// So many observations ended so.
    pub fn observed(&self, taken: Taken, count: u64) {
        self.observations.with_label_values(&[taken.word()]).inc_by(count);
    }

    /// Something was turned away at the door.
    pub fn refused(&self, why: Refused) {
        self.http_refused.with_label_values(&[why.word()]).inc();
    }

    /// A source is polled from now on, if it was not: its series begin. Its requests end in one of `results`; those of
    /// another word are counted as `other`.
    pub fn source_begins(&self, source: &str, results: &'static [&'static str]) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.insert(source.to_owned(), results).is_some() {
            return;
        }
        self.set_source(source, SourceState::default());
        for result in results.iter().chain([&OTHER]) {
            self.source_requests.with_label_values(&[source, *result]);
        }
        self.source_rejects.with_label_values(&[source]);
    }

    /// A source is polled no longer: its series go.
    pub fn source_ends(&self, source: &str) {
        let _steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(results) = sources.remove(source) else { return };
        // What is not there need not be taken away.
        drop(self.source_blind.remove_label_values(&[source]));
        drop(self.source_age.remove_label_values(&[source]));
        drop(self.source_skew.remove_label_values(&[source]));
        drop(self.source_rejects.remove_label_values(&[source]));
        for result in results.iter().chain([&OTHER]) {
            drop(self.source_requests.remove_label_values(&[source, *result]));
        }
    }

    /// How a source is that is polled.
    pub fn source(&self, source: &str, state: SourceState) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.contains_key(source) {
            self.set_source(source, state);
        }
    }

    fn set_source(&self, source: &str, state: SourceState) {
        self.source_blind.with_label_values(&[source]).set(i64::from(state.blind));
        self.source_age.with_label_values(&[source]).set(seconds(state.age));
        self.source_skew.with_label_values(&[source]).set(state.skew_ms as f64 / 1000.0);
    }

    /// A request to a source ended so.
    pub fn source_asked(&self, source: &str, result: &str) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(results) = sources.get(source) else { return };
        let result = results.iter().find(|known| **known == result).copied().unwrap_or(OTHER);
        self.source_requests.with_label_values(&[source, result]).inc();
    }

    /// So many rows of a source could not be used.
    pub fn source_rejected(&self, source: &str, count: u64) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.contains_key(source) {
            self.source_rejects.with_label_values(&[source]).inc_by(count);
        }
    }

    /// The page that Prometheus reads, in [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// A metric that cannot be written: a bug, which the test of this room finds.
    pub fn text(&self) -> Made<String> {
        let families = {
            let _steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
            self.registry.gather()
        };
        let mut page = Vec::with_capacity(64 << 10);
        TextEncoder::new().encode(&families, &mut page)?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

fn label(set: &BTreeSet<Arc<str>>, name: &Arc<str>) -> String {
    if set.contains(name) { name.to_string() } else { OTHER.to_owned() }
}

fn seconds(span: Span) -> f64 {
    span.as_millis() as f64 / 1000.0
}

fn whole(count: Option<&u64>) -> i64 {
    count.map_or(0, |count| i64::try_from(*count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
