//! A naive model of `sla_semantics` §4–§9, and the engine held against it.
//!
//! The model is written from the text of the specification: it lets time pass in quarters of a minute, keeps one clock
//! on one case, and looks at every quarter whether time is open and running, whether the promise is used up (K21), and
//! which rings are reached (§7). It knows nothing of segments, prefix sums or wake-ups. Everything that happens lies on
//! whole minutes, so every percentage lies on a quarter.
//!
//! Stories are random: a clock of random terms, and a handful of observations of one ticket in three days.
//! `PROPTEST_CASES` asks for more than a thousand of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use shiftbell::core::calendar::Era;
use shiftbell::core::clock::{PolicyConfig, ReloadMode};
use shiftbell::core::engine::{Changes, Command, Engine, Verdict};
use shiftbell::core::model::{Mark, Observation, Value};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::{Instant, Span};

/// Quarters of a minute since Monday 2026-03-02 00:00 in Shanghai.
type Tick = i64;

const MINUTE: Tick = 4;
const DAY: i64 = 24 * 60;
/// Minutes in which observations are made, and when the story is over.
const STORY: i64 = 3 * DAY;
const END: i64 = 4 * DAY;
/// How far the model looks for a due time.
const FAR: Tick = 40 * DAY * MINUTE;

fn instant(tick: Tick) -> Instant {
    let monday: Instant = "2026-03-02T00:00:00+08:00".parse().expect("an instant");
    Instant::from_millis(monday.as_millis() + tick * 15_000)
}

fn span(ticks: Tick) -> Span {
    Span::from_millis(ticks * 15_000)
}

/// Ticks as people read them: day, time, and the millisecond after for what has passed.
fn show(tick: Tick) -> String {
    let (minutes, quarter) = (tick.div_euclid(MINUTE), tick.rem_euclid(MINUTE));
    let (day, minute) = (minutes.div_euclid(DAY), minutes.rem_euclid(DAY));
    format!("d{day} {:02}:{:02}:{:02}", minute / 60, minute % 60, quarter * 15)
}

fn show_instant(t: Instant) -> String {
    let ms = t.as_millis() - instant(0).as_millis();
    let rest = ms.rem_euclid(15_000);
    let rest = if rest == 0 { String::new() } else { format!("+{rest}ms") };
    format!("{}{rest}", show(ms.div_euclid(15_000)))
}

// --- the terms of the story -----------------------------------------------------------------------------------------

/// Weekly hours, in a zone without summer time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hours {
    Always,
    Daily,
    Office,
    Night,
}

impl Hours {
    fn name(self) -> &'static str {
        match self {
            Hours::Always => "always",
            Hours::Daily => "daily",
            Hours::Office => "office",
            Hours::Night => "night",
        }
    }

    /// Whether `[t, t + 1)` is open.
    fn open(self, t: Tick) -> bool {
        let minutes = t.div_euclid(MINUTE);
        let (weekday, minute) = (minutes.div_euclid(DAY).rem_euclid(7), minutes.rem_euclid(DAY));
        match self {
            Hours::Always => true,
            Hours::Daily => (9 * 60..21 * 60).contains(&minute),
            Hours::Office => {
                weekday < 5 && ((9 * 60..12 * 60).contains(&minute) || (13 * 60..18 * 60).contains(&minute))
            }
            Hours::Night => !(2 * 60..20 * 60).contains(&minute),
        }
    }

    /// A2.
    fn elapsed(self, from: Tick, to: Tick) -> Tick {
        (from..to).filter(|t| self.open(*t)).count() as Tick
    }

    /// A5.
    fn back(self, from: Tick, mut length: Tick) -> Tick {
        let mut t = from;
        while length > 0 {
            t -= 1;
            length -= Tick::from(self.open(t));
        }
        t
    }
}

const CALENDARS: &str = r#"
[calendars.daily]
tz = "Asia/Shanghai"
weekly = { daily = [["09:00", "21:00"]] }
[calendars.office]
tz = "Asia/Shanghai"
weekly = { mon-fri = [["09:00", "12:00"], ["13:00", "18:00"]] }
[calendars.night]
tz = "Asia/Shanghai"
weekly = { daily = [["20:00", "02:00"]] }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    First,
    Oldest,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reopen {
    Continue,
    NewCycle,
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Any,
    /// `priority` is not `low`.
    NotLow,
    /// Two entries: shop a, and shop b with twice the target.
    Shops,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Minutes.
    Target(i64),
    /// A minute of the day; pauses extend it.
    By(i64, bool),
    /// The mark `answer_by`, or a target if that is earlier.
    Deadline(Option<i64>),
}

/// What a version of the policy may change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    promise: Promise,
    hours: Hours,
    /// Overlay `urgent`: another target or time.
    urgent: Option<Promise>,
    /// Overlay `vip`: another calendar, and `min_left`.
    vip: Option<(Hours, Option<i64>)>,
    rings: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Spec {
    pick: Pick,
    reopen: Reopen,
    within: Option<i64>,
    reopen_target: Option<i64>,
    restart: bool,
    pause: bool,
    when: When,
    cancel_on_mismatch: bool,
    cancel_on_removal: bool,
    reset: bool,
    closed: bool,
    fin: bool,
    stop_when: bool,
    cancel_when: bool,
}

#[derive(Clone, Debug)]
struct Epoch {
    from: Tick,
    mode: ReloadMode,
    since: Option<Tick>,
    /// `None`: the clock is not there.
    version: Option<Version>,
}

fn toml(spec: &Spec, version: Option<&Version>) -> String {
    let mut text = String::new();
    text.push_str("[kinds.ticket]\n");
    if spec.fin {
        text.push_str("final = [\"closed\"]\n");
    }
    if spec.closed {
        text.push_str("closed = { status = [\"resolved\"] }\n");
    }
    let Some(version) = version else {
        return format!(
            "{text}[[clock]]\nname = \"other\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n{CALENDARS}"
        );
    };
    let entries: &[(&str, i64)] = match spec.when {
        When::Any => &[("", 1)],
        When::NotLow => &[("when = { priority = { not = \"low\" } }\n", 1)],
        When::Shops => &[("when = { shop = \"a\" }\n", 1), ("when = { shop = \"b\" }\n", 2)],
    };
    let promise = |promise: Promise, times: i64| match promise {
        Promise::Target(minutes) => format!("target = \"{}m\"\n", minutes * times),
        Promise::By(minute, extends) => {
            format!("by = \"{:02}:{:02}\"\nby_extends = {extends}\n", minute / 60, minute % 60)
        }
        Promise::Deadline(target) => {
            let target = target.map(|m| format!("target = \"{}m\"\n", m * times)).unwrap_or_default();
            format!("deadline = \"answer_by\"\n{target}")
        }
    };
    for (when, times) in entries {
        text.push_str("[[clock]]\nname = \"c\"\non = \"ticket\"\n");
        text.push_str(when);
        text.push_str("start = \"customer_message\"\nstop = \"agent_reply\"\ncancel = \"merged\"\n");
        text.push_str(match spec.pick {
            Pick::First => "pick = \"first\"\n",
            Pick::Oldest => "pick = \"oldest_open\"\n",
            Pick::Last => "pick = \"last\"\n",
        });
        text.push_str(match spec.reopen {
            Reopen::Continue => "reopen = \"continue\"\n",
            Reopen::NewCycle => "reopen = \"new_cycle\"\n",
            Reopen::Ignore => "reopen = \"ignore\"\n",
        });
        let mut put = |yes: bool, line: &str| {
            if yes {
                writeln!(text, "{line}").expect("a string");
            }
        };
        put(spec.within.is_some(), &format!("reopen_within = \"{}m\"", spec.within.unwrap_or(0)));
        put(
            spec.reopen_target.is_some(),
            &format!("reopen_target = \"{}m\"", spec.reopen_target.unwrap_or(0)),
        );
        put(spec.restart, "on_change = \"restart\"");
        put(spec.pause, "pause = { status = [\"waiting\"], category = \"x\" }");
        put(spec.cancel_on_mismatch, "on_mismatch = \"cancel\"");
        put(spec.cancel_on_removal, "on_removal = \"cancel\"");
        put(spec.reset, "reset = \"assigned\"");
        put(spec.stop_when, "stop_when = { status = \"resolved\" }");
        put(spec.cancel_when, "cancel_when = { category = \"spam\" }");
        put(true, &promise(version.promise, *times));
        put(true, &format!("calendar = \"{}\"", version.hours.name()));
        put(true, &format!("ring = {:?}", version.rings));
    }
    if let Some(urgent) = version.urgent {
        let promise = match urgent {
            Promise::By(minute, _) => format!("by = \"{:02}:{:02}\"\n", minute / 60, minute % 60),
            other => promise(other, 1),
        };
        write!(
            text,
            "[[overlay]]\nname = \"urgent\"\nclock = \"c\"\nwhen = {{ priority = \"urgent\" }}\n{promise}"
        )
        .expect("a string");
    }
    if let Some((hours, least)) = version.vip {
        let least = least.map(|m| format!("min_left = \"{m}m\"\n")).unwrap_or_default();
        write!(
            text,
            "[[overlay]]\nname = \"vip\"\nclock = \"c\"\nwhen = {{ vip = true }}\ncalendar = \"{}\"\n{least}",
            hours.name()
        )
        .expect("a string");
    }
    text + CALENDARS
}

// --- the story ------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Said {
    name: &'static str,
    reference: Option<u8>,
    /// Minute.
    at: i64,
    removed: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    /// Minute at which it was true, and at which it reached us.
    as_of: i64,
    arrival: i64,
    revision: i64,
    marks: Vec<Said>,
    attributes: Vec<(&'static str, &'static str)>,
}

impl Seen {
    fn observation(&self) -> Observation<'static> {
        let mark = |m: &Said| Mark {
            name: m.name.into(),
            reference: m.reference.map(|r| format!("r{r}").into()),
            at: instant(m.at * MINUTE),
            removed: m.removed,
        };
        let value = |v: &'static str| match v {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::Text(text.into()),
        };
        Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: "T1".into(),
            as_of: instant(self.as_of * MINUTE),
            revision: self.revision,
            marks: self.marks.iter().map(mark).collect(),
            attributes: self.attributes.iter().map(|(n, v)| ((*n).into(), value(v))).collect(),
        }
    }
}

/// Marks that happen once (the standard ones used here).
fn is_single(name: &str) -> bool {
    ["merged", "closed"].contains(&name)
}

/// T1–T7: what is known at `now`, entries yet to come left out.
#[derive(Default, Debug)]
struct Facts {
    /// Instant, name, reference.
    marks: Vec<(Tick, &'static str, Option<u8>)>,
    /// Name and instant to value.
    attributes: BTreeMap<(&'static str, Tick), &'static str>,
    /// What each reference said since when.
    deadlines: BTreeMap<(Option<u8>, Tick), Tick>,
    first: Tick,
}

impl Facts {
    fn of(known: &[&Seen], now: Tick) -> Facts {
        // T3: the highest revision; of equal ones a removal, then the smaller instant.
        type Content = (i64, bool, i64);
        let mut marks: BTreeMap<(&str, Option<u8>, Option<i64>), Content> = BTreeMap::new();
        let mut deadlines: BTreeMap<(Option<u8>, i64), Content> = BTreeMap::new();
        let mut attributes: BTreeMap<(&str, i64), (i64, &str)> = BTreeMap::new();
        let better = |old: Option<&Content>, new: Content| {
            old.is_none_or(|o| (new.0, new.1, -new.2) > (o.0, o.1, -o.2))
        };
        for seen in known {
            for mark in &seen.marks {
                let new = (seen.revision, mark.removed, mark.at);
                if mark.name == "answer_by" {
                    let key = (mark.reference, seen.as_of);
                    if better(deadlines.get(&key), new) {
                        deadlines.insert(key, new);
                    }
                    continue;
                }
                let key = match mark.reference {
                    None if !is_single(mark.name) => (mark.name, None, Some(mark.at)),
                    reference => (mark.name, reference, None),
                };
                if better(marks.get(&key), new) {
                    marks.insert(key, new);
                }
            }
            for (name, value) in &seen.attributes {
                let key = (*name, seen.as_of);
                let new = (seen.revision, *value);
                let wins =
                    attributes.get(&key).is_none_or(|old| new.0 > old.0 || (new.0 == old.0 && new.1 < old.1));
                if wins {
                    attributes.insert(key, new);
                }
            }
        }
        let reached = |minute: i64| minute * MINUTE <= now;
        let mut facts = Facts {
            marks: marks
                .into_iter()
                .filter(|(_, content)| !content.1 && reached(content.2))
                .map(|((name, reference, _), content)| {
                    let name = NAMES.iter().find(|n| **n == name).expect("a name");
                    (content.2 * MINUTE, *name, reference)
                })
                .collect(),
            first: known.iter().map(|s| s.as_of * MINUTE).min().unwrap_or(0),
            ..Facts::default()
        };
        for ((name, as_of), (_, value)) in attributes {
            if reached(as_of) {
                let pair = ATTRIBUTES.iter().find(|(n, v)| *n == name && *v == value).expect("a value");
                facts.attributes.insert((pair.0, as_of * MINUTE), pair.1);
            }
        }
        for ((reference, as_of), (_, removed, at)) in deadlines {
            if reached(as_of) && !removed {
                facts.deadlines.insert((reference, as_of * MINUTE), at * MINUTE);
            }
        }
        facts
    }

    /// T6; what the first snapshot said holds before it.
    fn value(&self, name: &'static str, t: Tick) -> Option<&'static str> {
        let newest = self.attributes.range((name, Tick::MIN)..=(name, t)).next_back();
        newest.map(|(_, v)| *v).or_else(|| self.attributes.get(&(name, self.first)).copied())
    }

    /// The platform's deadline in force: of what every reference said last, the earliest. What was said first of all
    /// holds from the beginning.
    fn deadline(&self, t: Tick) -> Option<Tick> {
        let known = t.max(self.deadlines.keys().map(|k| k.1).min()?);
        let mut last: BTreeMap<Option<u8>, Tick> = BTreeMap::new();
        for ((reference, since), at) in &self.deadlines {
            if *since <= known {
                last.insert(*reference, *at);
            }
        }
        last.into_values().min()
    }

    /// Every instant at which anything may change.
    fn events(&self) -> BTreeSet<Tick> {
        let marks = self.marks.iter().map(|m| m.0);
        marks.chain(self.attributes.keys().map(|k| k.1)).chain(self.deadlines.keys().map(|k| k.1)).collect()
    }
}

// --- the model ------------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Stop,
    Cancel,
    Superseded,
}

/// The terms in force (P1).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    promise: Promise,
    hours: Hours,
    least: Option<i64>,
    rings: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Cycle {
    start: Tick,
    end: Option<(Tick, Ended)>,
    /// Reached.
    due: Option<Tick>,
    /// If all stays as it is.
    expected: Option<Tick>,
    /// Where counting began: the start, or the last restart (P4).
    origin: Tick,
    consumed: Tick,
    taken: Tick,
    overdue_open: Tick,
    /// P3.
    floor: Tick,
    /// K9.
    reopen_target: Option<i64>,
    rule: usize,
    terms: Terms,
    deadline: Option<Tick>,
    paused: bool,
    /// The last expected due, and the instant that moved it there.
    moved: (Option<Tick>, Tick),
    /// By ring: how often it was crossed, and whether it is not armed again.
    fired: BTreeMap<&'static str, (u8, bool)>,
    /// K22: the instant named, and the open time up to it.
    by: (Tick, Tick),
    /// The instants of the rings before due, as long as nothing happens.
    early: BTreeMap<&'static str, Tick>,
}

impl Cycle {
    fn name_time(&mut self) {
        if let Promise::By(minute, _) = self.terms.promise {
            let named = by(self.origin, minute, self.terms.hours);
            self.by = (named, self.terms.hours.elapsed(self.origin, named));
        }
    }
}

/// Instant, whether a millisecond after, ring, arm, start of the cycle.
type Crossed = (Tick, bool, &'static str, u8, Tick);

struct Model<'a> {
    spec: &'a Spec,
    epochs: &'a [Epoch],
    facts: &'a Facts,
    /// Ends of the cycles by their starts in order, from a pass without R1.
    ends: Option<Vec<(Tick, Option<Tick>)>>,
    cycles: Vec<Cycle>,
    open: bool,
    picked: bool,
    closed: bool,
    /// The last cycle as it is should it be reopened: nothing runs, but terms change and deadlines pass (K8).
    stopped: Option<Cycle>,
    /// When the last pause began.
    paused_at: Tick,
    /// An attribute ended the last cycle.
    by_attribute: bool,
    crossed: Vec<Crossed>,
}

impl<'a> Model<'a> {
    fn run(spec: &'a Spec, epochs: &'a [Epoch], facts: &'a Facts, now: Tick) -> Model<'a> {
        let blank = || Model {
            spec,
            epochs,
            facts,
            ends: None,
            cycles: vec![],
            open: false,
            picked: false,
            closed: false,
            stopped: None,
            paused_at: Tick::MIN,
            by_attribute: false,
            crossed: vec![],
        };
        let mut model = blank();
        model.pass(now);
        if epochs.len() > 1 {
            let ends = model.cycles.iter().map(|c| (c.start, c.end.map(|e| e.0))).collect();
            model = Model { ends: Some(ends), ..blank() };
            model.pass(now);
            // H9, R1: what had ended before the clock came is none of its business.
            if let Some(attached) = model.attached() {
                model.cycles.retain(|c| c.end.is_none_or(|e| e.0 > attached));
            }
        }
        model
    }

    /// When the clock first was there, if it was not from the beginning.
    fn attached(&self) -> Option<Tick> {
        let first = self.epochs.iter().find(|e| e.version.is_some())?;
        (first.from > Tick::MIN).then_some(first.from)
    }

    fn pass(&mut self, now: Tick) {
        let mut events = self.facts.events();
        events.extend(self.epochs.iter().flat_map(|e| [Some(e.from), e.since]).flatten());
        let Some(begin) = self.facts.marks.iter().map(|m| m.0).min() else { return };
        for t in begin..=now {
            let event = events.contains(&t);
            if event {
                self.change(t);
            }
            self.use_up(t);
            if event {
                self.marks(t);
                self.use_up(t);
                self.expect(t);
            }
            self.cross(t);
            if t == now {
                break;
            }
            if let (true, Some(cycle)) = (self.open, self.cycles.last_mut())
                && !cycle.paused
                && cycle.terms.hours.open(t)
            {
                cycle.consumed += 1;
                cycle.taken += 1;
                cycle.overdue_open += Tick::from(cycle.due.is_some());
            }
        }
    }

    fn is(&self, name: &'static str, value: &str, t: Tick) -> bool {
        self.facts.value(name, t) == Some(value)
    }

    /// The entry whose `when` matches (P1).
    fn rule(&self, t: Tick) -> Option<usize> {
        match self.spec.when {
            When::Any => Some(0),
            // An attribute that nobody has named is not `low`... and not anything else either.
            When::NotLow => (!self.is("priority", "low", t)).then_some(0),
            When::Shops => ["a", "b"].iter().position(|shop| self.is("shop", shop, t)),
        }
    }

    /// §9: the version that counts at `u` for a cycle that started at `start`.
    fn version(&self, start: Tick, u: Tick) -> Option<&'a Version> {
        let in_force = self.epochs.iter().rfind(|e| e.from <= start)?;
        let mut version = in_force.version.as_ref();
        if version.is_none() {
            // K12: before it existed its first version counts.
            let was = self.epochs.iter().any(|e| e.from <= start && e.version.is_some());
            version = if was { None } else { self.epochs.iter().find_map(|e| e.version.as_ref()) };
        }
        let end = self.ends.as_ref().and_then(|ends| ends.iter().rfind(|e| e.0 == start)).and_then(|e| e.1);
        for epoch in self.epochs.iter().filter(|e| e.from > start) {
            // Within one instant the reload is first.
            if end.is_some_and(|end| end < epoch.from) {
                break;
            }
            let Some(new) = &epoch.version else { continue };
            let since = match epoch.mode {
                ReloadMode::FromNow => epoch.from,
                ReloadMode::Retroactive | ReloadMode::Rejudge => epoch.since.unwrap_or(start),
                ReloadMode::NewOnly => Tick::MAX,
            };
            if u >= since {
                version = Some(new);
            }
        }
        version
    }

    fn terms(&self, start: Tick, rule: usize, reopened: Option<i64>, t: Tick) -> Option<Terms> {
        let version = self.version(start, t)?;
        let times = rule as i64 + 1;
        let mut terms = Terms {
            promise: match version.promise {
                Promise::Target(minutes) => Promise::Target(minutes * times),
                Promise::Deadline(minutes) => Promise::Deadline(minutes.map(|m| m * times)),
                by => by,
            },
            hours: version.hours,
            least: None,
            rings: version.rings.clone(),
        };
        // K9.
        terms.promise = match (terms.promise, reopened) {
            (Promise::Target(_), Some(minutes)) => Promise::Target(minutes),
            (Promise::Deadline(_), Some(minutes)) => Promise::Deadline(Some(minutes)),
            (promise, _) => promise,
        };
        if let Some(urgent) = version.urgent.filter(|_| self.is("priority", "urgent", t)) {
            terms.promise = match (terms.promise, urgent) {
                (Promise::Deadline(_), Promise::Target(minutes)) => Promise::Deadline(Some(minutes)),
                (Promise::By(_, extends), Promise::By(minute, _)) => Promise::By(minute, extends),
                (_, other) => other,
            };
        }
        if let Some((hours, least)) = version.vip.filter(|_| self.is("vip", "true", t)) {
            terms.hours = hours;
            terms.least = least;
        }
        Some(terms)
    }

    fn paused(&self, t: Tick) -> bool {
        self.spec.pause && (self.is("status", "waiting", t) || self.is("category", "x", t))
    }

    /// Whether an attribute becomes this value at `t`.
    fn becomes(&self, name: &'static str, value: &str, t: Tick) -> bool {
        self.is(name, value, t) && !self.is(name, value, t - 1)
    }

    /// Attributes and reloads at `t`, for the open cycle: P2, P3, P4, P6, R4.
    fn change(&mut self, t: Tick) {
        let spec = self.spec;
        if let Some(mut stopped) = self.stopped.take() {
            self.retarget(&mut stopped, t);
            self.stopped = Some(stopped);
        }
        if !self.open {
            // What an attribute ended it begins again: the platform has no word `reopened`.
            let closes = spec.closed && spec.pick == Pick::Oldest;
            let over = |t: Tick| {
                ((spec.stop_when || closes) && self.is("status", "resolved", t))
                    || (spec.cancel_when && self.is("category", "spam", t))
            };
            if self.by_attribute && spec.reopen != Reopen::Ignore && !over(t) && over(t - 1) {
                self.reopen(t);
            }
            return;
        }
        let removed = self
            .epochs
            .iter()
            .any(|e| e.from == t && e.version.is_none() && self.cycles.last().is_some_and(|c| c.start < t));
        if removed && self.spec.cancel_on_removal {
            return self.end(t, Ended::Cancel);
        }
        let matching = self.rule(t);
        if matching.is_none() && self.spec.cancel_on_mismatch {
            return self.end(t, Ended::Cancel);
        }
        if let Some(mut cycle) = self.cycles.pop() {
            self.retarget(&mut cycle, t);
            self.cycles.push(cycle);
        }
        let stops = spec.stop_when && self.becomes("status", "resolved", t);
        // K13 for a case that is closed by its state.
        let cancels = (spec.cancel_when && self.becomes("category", "spam", t))
            || (spec.closed && spec.pick == Pick::Oldest && self.becomes("status", "resolved", t));
        if stops || cancels {
            self.use_up(t);
            self.end(t, if stops { Ended::Stop } else { Ended::Cancel });
            self.by_attribute = true;
        }
    }

    /// P1, P2: the terms and the flow from `t` on.
    fn retarget(&mut self, cycle: &mut Cycle, t: Tick) {
        let rule = self.rule(t).unwrap_or(cycle.rule);
        let terms = self.terms(cycle.start, rule, cycle.reopen_target, t);
        let terms = terms.unwrap_or_else(|| cycle.terms.clone());
        let deadline = self.facts.deadline(t);
        let paused = self.paused(t);
        if paused && !cycle.paused && self.open {
            self.paused_at = t;
        }
        let uses_deadline = matches!(terms.promise, Promise::Deadline(_));
        let changed = terms.promise != cycle.terms.promise
            || terms.hours != cycle.terms.hours
            || (uses_deadline && deadline != cycle.deadline);
        if changed && cycle.due.is_none() {
            if self.spec.restart {
                (cycle.consumed, cycle.origin) = (0, t);
            }
            cycle.floor = terms.least.map_or(0, |least| cycle.consumed + least * MINUTE);
        }
        (cycle.rule, cycle.terms, cycle.deadline, cycle.paused) = (rule, terms, deadline, paused);
        cycle.name_time();
    }

    /// K21, K22: whether the promise is used up at `t`.
    fn used_up(cycle: &Cycle, consumed: Tick, t: Tick) -> bool {
        let enough = |minutes: i64| consumed >= (minutes * MINUTE).max(cycle.floor);
        match cycle.terms.promise {
            Promise::Target(minutes) => enough(minutes),
            Promise::Deadline(target) => target.is_some_and(enough) || cycle.deadline.is_some_and(|d| d <= t),
            Promise::By(_, extends) => {
                let (named, open) = cycle.by;
                if extends { consumed >= open } else { t >= named }
            }
        }
    }

    fn use_up(&mut self, t: Tick) {
        if let (true, Some(cycle)) = (self.open, self.cycles.last_mut())
            && cycle.due.is_none()
            && Model::used_up(cycle, cycle.consumed, t)
        {
            cycle.due = Some(t);
        }
        if let Some(cycle) = &mut self.stopped
            && cycle.due.is_none()
            && Model::used_up(cycle, cycle.consumed, t)
        {
            cycle.due = Some(t);
        }
    }

    /// When it is due if everything stays as it is from `t` on.
    fn expected(cycle: &Cycle, t: Tick) -> Option<Tick> {
        if cycle.due.is_some() {
            return cycle.due;
        }
        let mut consumed = cycle.consumed;
        for u in t..t + FAR {
            if Model::used_up(cycle, consumed, u) {
                return Some(u);
            }
            consumed += Tick::from(!cycle.paused && cycle.terms.hours.open(u));
        }
        None
    }

    fn expect(&mut self, t: Tick) {
        let paused_at = self.paused_at;
        let Some(cycle) = self.cycles.last_mut().filter(|_| self.open) else { return };
        cycle.expected = Model::expected(cycle, t);
        if cycle.expected.is_some() && cycle.expected != cycle.moved.0 {
            cycle.moved = (cycle.expected, t);
        }
        for ring in cycle.terms.rings.clone() {
            if let (true, Promise::Target(minutes), Some(percent)) =
                (cycle.paused, cycle.terms.promise, ring.strip_suffix('%'))
            {
                let percent: Tick = percent.parse().expect("a number");
                let whole = (minutes * MINUTE).max(cycle.floor);
                if paused_at == t && cycle.start < t && cycle.consumed * 100 >= whole * percent {
                    // Used up as the pause begins.
                    let known = cycle.early.get(ring).copied().unwrap_or(t);
                    cycle.early.insert(ring, known.min(t));
                    continue;
                }
            }
            cycle.early.remove(ring);
            let Some(instant) = Model::early(cycle, ring, t) else { continue };
            cycle.early.insert(ring, instant);
            // H4. Also after a restart (P4) that brings due nearer: whoever has it now has not heard the ring.
            if let Some((arm, true)) = cycle.fired.get(ring).copied()
                && !cycle.paused
                && instant > t
            {
                cycle.fired.insert(ring, (arm, false));
            }
        }
    }

    /// The marks at `t`, in the order of T8.
    fn marks(&mut self, t: Tick) {
        let spec = self.spec;
        let mut marks: Vec<(u8, Option<u8>, &str)> = Vec::new();
        for (at, name, reference) in &self.facts.marks {
            if *at != t {
                continue;
            }
            let order = match *name {
                "assigned" if spec.reset => 1,
                "reopened" => 2,
                "customer_message" => 3,
                "agent_reply" => 4,
                "merged" => 5,
                "resolved" if spec.pick == Pick::Oldest => 5,
                "closed" if spec.fin => 6,
                _ => continue,
            };
            marks.push((order, *reference, name));
        }
        marks.sort();
        for (order, _, _) in marks {
            match order {
                1 => {
                    if self.open {
                        self.end(t, Ended::Superseded);
                        self.start(t, None);
                    }
                }
                2 => self.reopen(t),
                3 if self.born_closed(t)
                    || self.rule(t).is_none_or(|r| self.terms(t, r, None, t).is_none()) => {}
                3 => match spec.pick {
                    Pick::First => {
                        if !self.picked {
                            self.start(t, None);
                            self.picked = true;
                        }
                    }
                    Pick::Oldest => {
                        if !self.open {
                            self.start(t, None);
                        }
                    }
                    Pick::Last => {
                        self.end(t, Ended::Superseded);
                        self.start(t, None);
                    }
                },
                4 => self.end(t, Ended::Stop),
                5 => self.end(t, Ended::Cancel),
                _ => self.closed = true,
            }
        }
    }

    fn start(&mut self, t: Tick, reopen_target: Option<i64>) {
        let Some(rule) = self.rule(t) else { return };
        let Some(terms) = self.terms(t, rule, reopen_target, t) else { return };
        self.open = true;
        self.stopped = None;
        self.cycles.push(Cycle {
            start: t,
            end: None,
            due: None,
            expected: None,
            origin: t,
            consumed: 0,
            taken: 0,
            overdue_open: 0,
            floor: 0,
            reopen_target,
            rule,
            terms,
            deadline: self.facts.deadline(t),
            paused: self.paused(t),
            moved: (None, t),
            fired: BTreeMap::new(),
            by: (Tick::MAX, Tick::MAX),
            early: BTreeMap::new(),
        });
        if let Some(cycle) = self.cycles.last_mut() {
            cycle.name_time();
        }
    }

    /// K7. A question in a case that was closed before is a question still; only a case that we meet closed has none.
    fn born_closed(&self, t: Tick) -> bool {
        let closed = self.spec.closed && self.is("status", "resolved", t);
        let closed = match self.spec.pick {
            Pick::Oldest => closed && t < self.facts.first,
            Pick::First | Pick::Last => closed || self.closed,
        };
        closed
            || (self.spec.stop_when && self.is("status", "resolved", t))
            || (self.spec.cancel_when && self.is("category", "spam", t))
    }

    fn end(&mut self, t: Tick, how: Ended) {
        if !self.open {
            return;
        }
        self.by_attribute = false;
        self.use_up(t);
        self.open = false;
        let Some(cycle) = self.cycles.last_mut() else { return };
        self.stopped = (how == Ended::Stop).then(|| cycle.clone());
        cycle.end = Some((t, how));
        cycle.expected = Model::expected(cycle, t);
    }

    fn reopen(&mut self, t: Tick) {
        self.closed = false;
        if self.open || self.spec.reopen == Reopen::Ignore {
            return;
        }
        let Some(last) = self.cycles.last() else { return };
        let Some((end, how)) = last.end else { return };
        let counted = how == Ended::Stop;
        let soon = self.spec.within.is_none_or(|within| t - end <= within * MINUTE);
        if self.spec.reopen == Reopen::Continue && counted && soon {
            // P6.
            if self.spec.cancel_on_mismatch && self.rule(t).is_none() {
                return;
            }
            self.open = true;
            self.cycles.pop();
            self.cycles.extend(self.stopped.take());
        } else {
            self.start(t, self.spec.reopen_target);
        }
    }

    /// The instant of a ring that comes before due, if all stays as it is.
    fn early(cycle: &Cycle, ring: &str, t: Tick) -> Option<Tick> {
        let due = cycle.expected?;
        if let Some(percent) = ring.strip_suffix('%') {
            let percent: Tick = percent.parse().expect("a number");
            let whole = match cycle.terms.promise {
                Promise::Target(minutes) => (minutes * MINUTE).max(cycle.floor),
                Promise::By(..) | Promise::Deadline(_) => cycle.terms.hours.elapsed(cycle.start, due),
            };
            let part = (whole * percent + 99) / 100;
            let mut consumed = cycle.consumed;
            for u in t..=due.max(t) {
                if consumed >= part {
                    return Some(u);
                }
                consumed += Tick::from(!cycle.paused && cycle.terms.hours.open(u));
            }
            return None;
        }
        let (distance, wall) = match ring {
            "10m before" => (10 * MINUTE, false),
            "1h before" => (60 * MINUTE, false),
            "1h before wall" => (60 * MINUTE, true),
            _ => return None,
        };
        let before = if wall { due - distance } else { cycle.terms.hours.back(due, distance) };
        Some(before.max(cycle.start).max(cycle.moved.1))
    }

    /// §7: the rings that are reached at `t`, and the millisecond after.
    fn cross(&mut self, t: Tick) {
        let Some(cycle) = self.cycles.last().filter(|_| self.open) else { return };
        let mut crossed = Vec::new();
        for ring in &cycle.terms.rings {
            let (arm, done) = cycle.fired.get(ring).copied().unwrap_or((0, false));
            if done {
                continue;
            }
            // H3: nothing is crossed in a pause, but what it began with was reached before it.
            let paused = cycle.paused && (self.paused_at != t || cycle.start == t);
            let reached = match (*ring, cycle.due) {
                ("due", due) => due.is_some(),
                ("15m after", Some(due)) => !paused && t > due && cycle.overdue_open >= 15 * MINUTE,
                ("30m after wall", Some(due)) => !paused && t >= due + 30 * MINUTE,
                (_, Some(due)) if due < t => false,
                // H3.
                _ => !paused && cycle.early.get(ring).is_some_and(|at| *at <= t),
            };
            if reached {
                let at = cycle.due.filter(|_| *ring == "due").unwrap_or(t);
                crossed.push((at, *ring == "due", *ring, arm + 1, cycle.start));
            }
        }
        let Some(cycle) = self.cycles.last_mut() else { return };
        for (_, _, ring, arm, _) in &crossed {
            cycle.fired.insert(ring, (*arm, true));
        }
        self.crossed.extend(crossed);
    }

    fn state(cycle: &Cycle, now: Tick) -> &'static str {
        let passed = |t: Tick| cycle.due.is_some_and(|due| due < t);
        match cycle.end {
            None if passed(now) => "overdue",
            None if cycle.paused => "paused",
            None => "running",
            Some((end, _)) if passed(end) => "missed",
            Some((_, Ended::Stop)) => "met",
            Some((_, Ended::Cancel)) => "cancelled",
            Some((_, Ended::Superseded)) => "superseded",
        }
    }

    /// What is compared.
    fn outcomes(&self, now: Tick) -> Vec<String> {
        let one = |cycle: &Cycle| {
            // What is told of a cycle that does not count is of no matter.
            let gone = ["cancelled", "superseded"].contains(&Model::state(cycle, now));
            let due = cycle.due.or(cycle.expected).filter(|_| !gone);
            let until = cycle.end.map_or(now, |e| e.0);
            let over = cycle.due.filter(|due| *due < until);
            format!(
                "{}..{} due {} {} taken {} over {} {}",
                show(cycle.start),
                cycle.end.map(|e| show(e.0)).unwrap_or_default(),
                due.map_or("-".to_owned(), show),
                Model::state(cycle, now),
                span(cycle.taken),
                span(over.map_or(0, |_| cycle.overdue_open)),
                span(over.map_or(0, |due| until - due)),
            )
        };
        self.cycles.iter().map(one).collect()
    }

    fn crossings(&self, now: Tick) -> BTreeSet<String> {
        let one = |(t, after, ring, arm, start): &Crossed| {
            let ms = if *after { "+1ms" } else { "" };
            format!("{}: {ring} arm {arm} at {}{ms}", show(*start), show(*t))
        };
        self.crossed.iter().filter(|c| !c.1 || c.0 < now).map(one).collect()
    }
}

/// K22: the first instant after `start` at this minute of the day up to which the calendar works.
fn by(start: Tick, minute: i64, hours: Hours) -> Tick {
    (start + 1..)
        .find(|t| t.rem_euclid(DAY * MINUTE) == minute * MINUTE && hours.open(t - 1))
        .expect("it comes")
}

// --- the engine -----------------------------------------------------------------------------------------------------

fn policy(text: &str) -> PolicyConfig {
    toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn engine(text: &str) -> Engine {
    let mut problems = Problems::new();
    Engine::new("desk", &policy(text), Some(instant(0)), Era::years(2025, 2028), &mut problems)
        .unwrap_or_else(|| panic!("{:?}\n{text}", problems.into_vec()))
}

fn outcomes(engine: &Engine, now: Instant) -> Vec<String> {
    let Some(view) = engine.case("shop", "ticket", "T1") else { return vec![] };
    view.cycles(now)
        .iter()
        .map(|c| {
            format!(
                "{}..{} due {} {} taken {} over {} {}",
                show_instant(c.start),
                c.end.map(show_instant).unwrap_or_default(),
                c.due
                    .filter(|_| c.state.is_open() || c.state.is_decided())
                    .map_or("-".to_owned(), show_instant),
                c.state.word(),
                c.taken_open(now),
                c.overdue_open(now),
                c.overdue_wall(now),
            )
        })
        .collect()
}

fn wake_before(engine: &mut Engine, t: Instant, log: &mut Vec<Changes>) {
    while let Some(wake) = engine.next_wake().filter(|wake| *wake < t) {
        log.push(engine.advance(wake));
    }
}

fn crossings(engine: &Engine, log: &[Changes], now: Instant) -> BTreeSet<String> {
    let view = engine.case("shop", "ticket", "T1");
    let cycles = view.as_ref().map(|v| v.cycles(now)).unwrap_or_default();
    log.iter()
        .flat_map(|c| &c.crossings)
        .map(|c| {
            let start =
                cycles.iter().find(|cycle| cycle.key == c.cycle.key).map(|cycle| show_instant(cycle.start));
            format!(
                "{}: {} arm {} at {}",
                start.unwrap_or("gone".to_owned()),
                c.ring_name,
                c.arm,
                show_instant(c.at)
            )
        })
        .collect()
}

/// The states that were told last are those that are derived: nothing changed in silence (W6).
fn check_told(engine: &Engine, log: &[Changes], now: Instant) -> Result<(), TestCaseError> {
    let mut told = BTreeMap::new();
    for change in log.iter().flat_map(|c| &c.cycles) {
        match change.to {
            Some(state) => told.insert(change.cycle.key, state.word()),
            None => told.remove(&change.cycle.key),
        };
    }
    let view = engine.case("shop", "ticket", "T1");
    let cycles = view.as_ref().map(|v| v.cycles(now)).unwrap_or_default();
    let derived: BTreeMap<u64, &str> = cycles.iter().map(|c| (c.key, c.state.word())).collect();
    prop_assert_eq!(told, derived, "left: told");
    let rung = log.iter().flat_map(|c| &c.crossings).filter(|c| matches!(c.verdict, Verdict::Rung { .. }));
    let due: BTreeSet<u64> = rung.filter(|c| &*c.ring_name == "due").map(|c| c.cycle.key).collect();
    let retracted: BTreeSet<u64> = log.iter().flat_map(|c| &c.retractions).map(|r| r.cycle.key).collect();
    for key in due {
        let holds = cycles.iter().any(|c| c.key == key && c.overdue_since(now).is_some());
        prop_assert!(holds || retracted.contains(&key), "W6: a due that never was, and nobody said so");
    }
    Ok(())
}

// --- random stories -------------------------------------------------------------------------------------------------

const NAMES: &[&str] =
    &["customer_message", "agent_reply", "resolved", "reopened", "assigned", "merged", "closed", "answer_by"];

const ATTRIBUTES: &[(&str, &str)] = &[
    ("status", "waiting"),
    ("status", "open"),
    ("status", "resolved"),
    ("category", "x"),
    ("category", "y"),
    ("category", "spam"),
    ("priority", "urgent"),
    ("priority", "low"),
    ("priority", "normal"),
    ("vip", "true"),
    ("vip", "false"),
    ("shop", "a"),
    ("shop", "b"),
    ("shop", "z"),
];

fn hours() -> impl Strategy<Value = Hours> {
    prop::sample::select(vec![Hours::Always, Hours::Daily, Hours::Daily, Hours::Office, Hours::Night])
}

fn minutes() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![20i64, 40, 60, 120, 240, 600, 1_440])
}

fn target_version() -> impl Strategy<Value = Version> {
    let vip = (hours(), prop::option::of(prop::sample::select(vec![15i64, 60, 180])));
    (minutes(), hours(), prop::option::of(minutes()), prop::option::of(vip), any::<bool>()).prop_map(
        |(target, hours, urgent, vip, rare)| {
            let before = if target >= 60 { "1h before" } else { "10m before" };
            let mut rings = vec!["25%", "75%", before, "due", "15m after"];
            if rare {
                rings = vec!["50%", "1h before wall", "due", "30m after wall"];
            }
            Version {
                promise: Promise::Target(target),
                hours,
                urgent: urgent.map(Promise::Target),
                vip,
                rings,
            }
        },
    )
}

fn by_version() -> impl Strategy<Value = Version> {
    let minute = || prop::sample::select(vec![10 * 60i64, 12 * 60, 17 * 60 + 30]);
    // The zone of `always` is UTC: its 12:00 is another.
    let hours = prop::sample::select(vec![Hours::Daily, Hours::Office]);
    (minute(), any::<bool>(), hours, prop::option::of(minute())).prop_map(
        |(minute, extends, hours, urgent)| Version {
            promise: Promise::By(minute, extends),
            hours,
            urgent: urgent.map(|m| Promise::By(m, extends)),
            vip: None,
            rings: vec!["10m before", "due", "15m after"],
        },
    )
}

fn deadline_version() -> impl Strategy<Value = Version> {
    (prop::option::of(minutes()), hours(), prop::option::of(minutes())).prop_map(|(target, hours, urgent)| {
        Version {
            promise: Promise::Deadline(target),
            hours,
            urgent: urgent.filter(|_| target.is_some()).map(Promise::Target),
            vip: None,
            rings: vec!["due", "30m after wall"],
        }
    })
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![6 => target_version(), 2 => by_version(), 2 => deadline_version()]
}

fn spec() -> impl Strategy<Value = Spec> {
    let rare = || prop::bool::weighted(0.25);
    let shape = (
        prop::sample::select(vec![Pick::First, Pick::Oldest, Pick::Oldest, Pick::Last]),
        prop::sample::select(vec![Reopen::Continue, Reopen::Continue, Reopen::NewCycle, Reopen::Ignore]),
        prop::option::of(prop::sample::select(vec![60i64, 600])),
        prop::option::of(minutes()),
        prop::sample::select(vec![When::Any, When::Any, When::NotLow, When::Shops]),
    );
    let switches = (rare(), any::<bool>(), rare(), rare(), any::<bool>(), rare(), rare(), rare(), rare());
    (shape, switches).prop_map(|(shape, switches)| {
        let (pick, reopen, within, reopen_target, when) = shape;
        let (restart, pause, mismatch, removal, reset, closed, fin, stop_when, cancel_when) = switches;
        Spec {
            pick,
            reopen,
            within,
            reopen_target,
            restart,
            pause,
            when,
            cancel_on_mismatch: mismatch,
            cancel_on_removal: removal,
            reset,
            closed,
            fin,
            stop_when,
            cancel_when,
        }
    })
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(prop::sample::select(ATTRIBUTES), 0..3).prop_map(|list| {
        let mut names = BTreeSet::new();
        list.into_iter().filter(|(name, _)| names.insert(*name)).collect()
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "customer_message",
        "customer_message",
        "customer_message",
        "agent_reply",
        "agent_reply",
        "reopened",
        "assigned",
        "resolved",
        "merged",
        "closed",
        "answer_by",
    ])
}

/// Minutes at which things like to happen at once, and others.
fn when() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 0..STORY,
        3 => (0i64..3, prop::sample::select(vec![540i64, 550, 560, 600, 660, 720, 780, 1_080, 1_200, 1_250, 1_260]))
            .prop_map(|(day, minute)| day * DAY + minute),
        // Soon after 10:00 on Monday.
        3 => (0i64..40).prop_map(|n| 600 + n * 10),
    ]
}

/// Everything is seen when it happens, or a little ahead; nothing is corrected.
fn punctual() -> impl Strategy<Value = Vec<Seen>> {
    let ahead = prop_oneof![4 => Just(0i64), 1 => 0i64..60];
    let mark = (name(), ahead, 0i64..2_000);
    let seen = (when(), prop::collection::vec(mark, 0..3), attributes());
    prop::collection::vec(seen, 1..12).prop_map(|list| {
        let mut list: Vec<Seen> = list
            .into_iter()
            .map(|(as_of, marks, attributes)| Seen {
                as_of,
                arrival: as_of,
                revision: 0,
                marks: marks
                    .into_iter()
                    .map(|(name, ahead, deadline)| {
                        let at = as_of + if name == "answer_by" { deadline } else { ahead };
                        Said { name, reference: None, at, removed: false }
                    })
                    .collect(),
                attributes,
            })
            .collect();
        list.sort_by_key(|s| s.as_of);
        let (mut once, mut values) = (BTreeSet::new(), BTreeSet::new());
        for (i, seen) in list.iter_mut().enumerate() {
            let as_of = seen.as_of;
            seen.marks.retain(|m| !is_single(m.name) || once.insert(m.name));
            seen.attributes.retain(|(name, _)| values.insert((*name, as_of)));
            for (j, mark) in seen.marks.iter_mut().enumerate() {
                if !is_single(mark.name) && mark.name != "answer_by" {
                    mark.reference = Some((i * 4 + j) as u8);
                }
            }
        }
        list
    })
}

/// Late, early, corrected, removed, out of order.
fn ragged() -> impl Strategy<Value = Vec<Seen>> {
    let mark = (name(), prop::option::of(0u8..4), -400i64..60, 0i64..2_000, prop::bool::weighted(0.06));
    let late = prop_oneof![2 => Just(0i64), 1 => 0i64..900];
    let seen = (when(), late, 0i64..3, prop::collection::vec(mark, 0..3), attributes());
    prop::collection::vec(seen, 1..12).prop_map(|list| {
        let mut list: Vec<Seen> = list
            .into_iter()
            .map(|(as_of, late, revision, marks, attributes)| Seen {
                as_of,
                arrival: as_of + late,
                revision,
                marks: marks
                    .into_iter()
                    .map(|(name, reference, ago, deadline, removed)| {
                        let at = as_of + if name == "answer_by" { deadline } else { ago };
                        Said { name, reference, at: at.max(0), removed }
                    })
                    .collect(),
                attributes,
            })
            .collect();
        list.sort_by_key(|s| s.arrival);
        list
    })
}

/// Reloads in their order. The clock may come with one of them, and may go with the last.
fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
    let mode = prop::sample::select(vec![ReloadMode::FromNow, ReloadMode::Retroactive, ReloadMode::NewOnly]);
    let version = || prop_oneof![4 => target_version(), 1 => by_version()];
    let reload = (when(), mode, prop::option::of(0i64..1_500), version(), prop::bool::weighted(0.2));
    let comes_and_goes = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (version(), prop::collection::vec(reload, 1..4), comes_and_goes).prop_map(
        |(version, reloads, (comes, goes))| {
            let mut epochs = first(version.clone());
            let mut reloads = reloads;
            reloads.sort_by_key(|r| r.0);
            reloads.dedup_by_key(|r| r.0);
            for (from, mode, ago, version, again) in reloads {
                let since = ago.map(|ago| (from - ago) * MINUTE).filter(|_| mode == ReloadMode::Retroactive);
                // Now and then the same policy again, in another mode.
                let version =
                    epochs.last().and_then(|e| e.version.clone()).filter(|_| again).unwrap_or(version);
                epochs.push(Epoch { from: from * MINUTE, mode, since, version: Some(version) });
            }
            if comes {
                epochs[0].version = None;
            }
            if let (true, Some(last)) = (goes && epochs.len() > 2, epochs.last_mut()) {
                last.version = None;
            }
            epochs
        },
    )
}

/// At least a thousand; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(1_000)
}

fn first(version: Version) -> Vec<Epoch> {
    vec![Epoch { from: Tick::MIN, mode: ReloadMode::FromNow, since: None, version: Some(version) }]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_engine_agrees_with_the_model_on_what_is_seen_in_time(
        spec in spec(), version in version(), story in punctual(),
    ) {
        let text = toml(&spec, Some(&version));
        let epochs = first(version);
        let end = END * MINUTE;
        let mut engine = engine(&text);
        let mut log = Vec::new();
        for seen in &story {
            wake_before(&mut engine, instant(seen.as_of * MINUTE), &mut log);
            log.push(engine.observe(&seen.observation(), instant(seen.as_of * MINUTE)));
        }
        wake_before(&mut engine, instant(end), &mut log);
        log.push(engine.advance(instant(end)));
        let facts = Facts::of(&story.iter().collect::<Vec<_>>(), end);
        let model = Model::run(&spec, &epochs, &facts, end);
        prop_assert_eq!(model.outcomes(end), outcomes(&engine, instant(end)), "left: model\n{}", text);
        prop_assert_eq!(model.crossings(end), crossings(&engine, &log, instant(end)), "left: model\n{}", text);
        for changes in &log {
            let rung = changes.crossings.iter().filter(|c| matches!(c.verdict, Verdict::Rung { .. }));
            let mut cycles = BTreeSet::new();
            for crossing in rung {
                prop_assert!(cycles.insert(crossing.cycle.clone()), "H8: {:?}", changes.crossings);
            }
        }
    }

    #[test]
    fn the_engine_agrees_with_the_model_on_what_comes_late(
        spec in spec(), version in version(), story in ragged(), probes in prop::collection::vec(0..END, 3),
    ) {
        let text = toml(&spec, Some(&version));
        let epochs = first(version);
        let mut probes = probes;
        probes.push(END);
        probes.sort_unstable();
        let mut live = engine(&text);
        let mut log = Vec::new();
        let mut rest = story.iter().peekable();
        let mut known = Vec::new();
        for probe in probes {
            while let Some(seen) = rest.next_if(|s| s.arrival <= probe) {
                wake_before(&mut live, instant(seen.arrival * MINUTE), &mut log);
                log.push(live.observe(&seen.observation(), instant(seen.arrival * MINUTE)));
                known.push(seen);
            }
            let now = probe * MINUTE;
            wake_before(&mut live, instant(now), &mut log);
            log.push(live.advance(instant(now)));
            let facts = Facts::of(&known, now);
            let model = Model::run(&spec, &epochs, &facts, now);
            prop_assert_eq!(model.outcomes(now), outcomes(&live, instant(now)), "at {}, left: model\n{}", show(now), text);
            check_told(&live, &log, instant(now))?;
            let mut at_once = engine(&text);
            for seen in known.iter().rev() {
                at_once.observe(&seen.observation(), instant(now));
            }
            at_once.advance(instant(now));
            prop_assert_eq!(outcomes(&live, instant(now)), outcomes(&at_once, instant(now)), "left: live\n{}", text);
        }
    }

    #[test]
    fn the_engine_agrees_with_the_model_on_reloads(
        spec in spec(), epochs in epochs(), story in ragged(),
    ) {
        // How a reload treats a cycle that had ended and is reopened later is said nowhere.
        let reopen = if spec.reopen == Reopen::Continue { Reopen::Ignore } else { spec.reopen };
        // Nor is which version's entry a cycle keeps that no entry matches any more (P6).
        let spec = Spec { reopen, cancel_on_mismatch: spec.when != When::Any, ..spec };
        let mut engine = engine(&toml(&spec, epochs[0].version.as_ref()));
        let mut log = Vec::new();
        let mut reloads = epochs[1..].iter().peekable();
        let reload = |engine: &mut Engine, epoch: &Epoch, log: &mut Vec<Changes>| {
            wake_before(engine, instant(epoch.from), log);
            let policy = Box::new(policy(&toml(&spec, epoch.version.as_ref())));
            let command = Command::Reload { policy, mode: epoch.mode, since: epoch.since.map(instant) };
            log.push(engine.command(&command, instant(epoch.from)).expect("the policy is right"));
        };
        for seen in &story {
            while let Some(epoch) = reloads.next_if(|e| e.from <= seen.arrival * MINUTE) {
                reload(&mut engine, epoch, &mut log);
            }
            wake_before(&mut engine, instant(seen.arrival * MINUTE), &mut log);
            log.push(engine.observe(&seen.observation(), instant(seen.arrival * MINUTE)));
        }
        for epoch in reloads {
            reload(&mut engine, epoch, &mut log);
        }
        let end = END * MINUTE;
        wake_before(&mut engine, instant(end), &mut log);
        log.push(engine.advance(instant(end)));
        let facts = Facts::of(&story.iter().collect::<Vec<_>>(), end);
        let model = Model::run(&spec, &epochs, &facts, end);
        prop_assert_eq!(model.outcomes(end), outcomes(&engine, instant(end)), "left: model");
        check_told(&engine, &log, instant(end))?;
        let mut fired = BTreeSet::new();
        for crossing in log.iter().flat_map(|c| &c.crossings).filter(|c| &*c.ring_name == "due") {
            let rung = matches!(crossing.verdict, Verdict::Rung { .. });
            prop_assert!(!rung || fired.insert(crossing.cycle.clone()), "{:?} fired twice", crossing);
        }
    }
}
