//! From what the clocks say to what the alerting room hears (`delivery_semantics` §5.7): crossings, ends and retractions
//! become signals, with the facts of the case as they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::{Alerting, Edge, Facts, RuleText, Signal};
use crate::core::clock::{Cycle, Flow, PenaltyConfig, PolicyConfig, RingAt, RuleEntry, State};
use crate::core::ids::mask_phone;
use crate::core::model::{Content, Resolution, Scalar, Subject, Timeline};
use crate::core::parcel::lateness::Why;
use crate::core::parcel::learned::{LATE_WHY, STALL_WHY};
use crate::core::parcel::stall::StallWhy;
use crate::core::time::Instant;

use super::{CaseKey, CaseView, Changes, Engine, Verdict};

/// What a clock says of its signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Voice {
    family: Arc<str>,
    hard_deadline: Vec<String>,
    progress: Vec<String>,
    levels: Vec<(RingAt, u8)>,
    /// Only a person ends it.
    manual: bool,
    /// What the platform takes for it.
    penalty: Option<PenaltyConfig>,
}

/// What the clocks of a policy say, by name.
pub(super) fn voices(policy: &PolicyConfig) -> BTreeMap<Arc<str>, Voice> {
    let mut voices: BTreeMap<Arc<str>, Voice> = BTreeMap::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for RuleEntry { clock, .. } in &policy.rules() {
        let voice = voices.entry(clock.name.as_str().into()).or_insert_with(|| Voice {
            family: format!("{}.{}", clock.on, clock.name).into(),
            ..Voice::default()
        });
        if let Some(family) = clock.family.as_deref().filter(|_| named.insert(&clock.name)) {
            voice.family = family.into();
        }
        voice.hard_deadline.extend(clock.hard_deadline.0.iter().cloned());
        voice.progress.extend(clock.progress.0.iter().cloned());
        let levels =
            clock.levels.iter().filter_map(|(ring, level)| Some((RingAt::parse(ring).ok()?, *level)));
        voice.levels.extend(levels);
        voice.manual |= clock.manual;
        voice.penalty = voice.penalty.or(clock.penalty);
    }
    voices
}

/// Of a rule that does not say how grave it is among those of its ticket.
const PRECEDENCE: u16 = 100;

impl RuleText {
    /// What there is to know of rules, by name: the first that is said of each.
    pub fn of(policy: &PolicyConfig) -> BTreeMap<Arc<str>, RuleText> {
        let mut texts: BTreeMap<Arc<str>, RuleText> = BTreeMap::new();
        for RuleEntry { clock, .. } in &policy.rules() {
            let text = texts.entry(clock.name.as_str().into()).or_default();
            if text.title.is_empty() {
                text.title = clock.title.clone().unwrap_or_default();
            }
            text.action = text.action.take().or_else(|| clock.action.clone());
            text.manual |= clock.manual;
            if text.ticket.is_none()
                && let Some(ticket) = &clock.ticket
            {
                let precedence = clock.precedence.unwrap_or(PRECEDENCE);
                text.ticket = Some((ticket.as_str().into(), precedence));
            }
        }
        for (name, text) in &mut texts {
            if text.title.is_empty() {
                text.title = name.to_string();
            }
        }
        texts
    }
}

/// A cycle within a case: its clock and key.
type Key = (Arc<str>, u64);

/// Two states of a cycle; `None` where it was not, or is not.
type Turn = (Option<State>, Option<State>);

/// What a step said of the cycles of one case.
#[derive(Debug, Default)]
struct Said {
    /// Rung crossings by clock and cycle.
    rung: Vec<(Arc<str>, u64, RingAt, Instant)>,
    /// Cycles that changed, and what they were before.
    changed: BTreeMap<Key, Turn>,
    /// Broken promises that never were.
    retracted: BTreeSet<Key>,
    /// The case has news: its facts may be others.
    news: bool,
}

/// The signals that follow from a step of the engine, case by case: what ends first, then what begins, then what only
/// changed.
pub(super) fn signals(
    engine: &Engine,
    alerting: &Alerting,
    voices: &BTreeMap<Arc<str>, Voice>,
    changes: &Changes,
    now: Instant,
) -> Vec<Signal> {
    let mut cases: BTreeMap<CaseKey, Said> = BTreeMap::new();
    for crossing in &changes.crossings {
        if matches!(crossing.verdict, Verdict::Rung { .. }) {
            let said = cases.entry(crossing.cycle.case.clone()).or_default();
            said.rung.push((crossing.cycle.clock.clone(), crossing.cycle.key, crossing.ring, crossing.at));
        }
    }
    for change in &changes.cycles {
        let said = cases.entry(change.cycle.case.clone()).or_default();
        let key = (change.cycle.clock.clone(), change.cycle.key);
        let first = said.changed.get(&key).map_or(change.from, |(from, _)| *from);
        said.changed.insert(key, (first, change.to));
    }
    for retraction in &changes.retractions {
        let said = cases.entry(retraction.cycle.case.clone()).or_default();
        said.retracted.insert((retraction.cycle.clock.clone(), retraction.cycle.key));
    }
    for number in &changes.cases {
        let Some(view) = engine.view(*number) else { continue };
        let key = view.key();
        if alerting.incidents_of(&subject(&key)).next().is_some() {
            cases.entry(key).or_default().news = true;
        }
    }
    let mut signals = Vec::new();
    for (case, said) in &cases {
        let Some(view) = engine.case(&case.source, &case.kind, &case.id) else { continue };
        let cycles = view.cycles(now);
        let teller = Teller { engine, alerting, voices, view: &view, cycles: &cycles, case, now };
        teller.tell(said, &mut signals);
    }
    signals
}

/// The marks of an observation that are progress for clocks on its case (R10).
pub(super) fn progress(
    alerting: &Alerting,
    voices: &BTreeMap<Arc<str>, Voice>,
    case: &CaseKey,
    marks: &[(&str, Instant)],
) -> Vec<Signal> {
    let subject = subject(case);
    let mut signals = Vec::new();
    for incident in alerting.incidents_of(&subject) {
        let Some(voice) = voices.get(&incident.rule) else { continue };
        let since = incident.acked_at.unwrap_or(Instant::MAX);
        let found = marks.iter().find(|(name, at)| *at >= since && voice.progress.iter().any(|p| p == name));
        if let Some((_, at)) = found {
            signals.push(Signal {
                family: incident.family.clone(),
                rule: incident.rule.clone(),
                subject: subject.clone(),
                generation: incident.generation.clone(),
                cycle: incident.cycle,
                edge: Edge::Progress,
                at: *at,
                facts: Facts::default(),
            });
        }
    }
    signals
}

fn subject(case: &CaseKey) -> Subject {
    Subject { kind: case.kind.clone(), source: case.source.clone(), id: case.id.clone() }
}

struct Teller<'a, 'c> {
    engine: &'a Engine,
    alerting: &'a Alerting,
    voices: &'a BTreeMap<Arc<str>, Voice>,
    view: &'a CaseView<'a>,
    cycles: &'a [Cycle<'c>],
    case: &'a CaseKey,
    now: Instant,
}

/// A cycle with what the alerting room calls it.
struct Named<'a, 'c> {
    cycle: &'a Cycle<'c>,
    generation: Arc<str>,
}

impl<'c> Teller<'_, 'c> {
    fn tell(&self, said: &Said, signals: &mut Vec<Signal>) {
        let mut clocks: BTreeSet<&Arc<str>> = said.changed.keys().map(|(clock, _)| clock).collect();
        clocks.extend(said.rung.iter().map(|(clock, ..)| clock));
        clocks.extend(said.retracted.iter().map(|(clock, _)| clock));
        let subject = subject(self.case);
        let known: Vec<_> = self.alerting.incidents_of(&subject).filter(|i| i.cycle.is_some()).collect();
        if said.news {
            clocks.extend(known.iter().map(|i| &i.rule));
        }
        for clock in clocks {
            let Some(voice) = self.voices.get(clock) else { continue };
            let named = self.name_cycles(clock);
            // What is over, or never was.
            for incident in known.iter().filter(|i| i.rule == *clock) {
                let generation = &incident.generation;
                let of_generation: Vec<&Named<'_, 'c>> =
                    named.iter().filter(|n| n.generation == *generation).collect();
                let is_open = |n: &&&Named<'_, 'c>| n.cycle.state.is_open();
                let is_overdue = |n: &&&Named<'_, 'c>| n.cycle.state == State::Overdue;
                let alive =
                    of_generation.iter().find(is_overdue).or_else(|| of_generation.iter().rfind(is_open));
                let key = (clock.clone(), incident.cycle.unwrap_or_default());
                let retracted = said.retracted.contains(&key)
                    || of_generation.iter().any(|n| said.retracted.contains(&(clock.clone(), n.cycle.key)));
                let edge = match alive {
                    Some(n) if n.cycle.state == State::Overdue => None,
                    _ if retracted => Some(Edge::Retracted),
                    Some(_) => None,
                    None if voice.manual && incident.firing => None,
                    None if !incident.is_resolved() || incident.firing => Some(Edge::Clear),
                    None => None,
                };
                if let Some(edge) = edge {
                    let cycle = of_generation.last().map(|n| n.cycle);
                    signals.push(self.signal(clock, voice, generation.clone(), cycle, edge, self.now));
                }
            }
            self.begin(clock, voice, &named, said, signals);
            if said.news {
                self.refresh(clock, voice, &named, signals);
            }
        }
    }

    /// Whether what is known of a cycle was said never to have been.
    fn is_retracted(&self, clock: &Arc<str>, named: &Named<'_, 'c>) -> bool {
        self.alerting.incidents_of(&subject(self.case)).any(|i| {
            i.rule == *clock
                && i.generation == named.generation
                && i.resolution == Some(Resolution::Retracted)
        })
    }

    /// What was rung, and what is overdue again.
    fn begin(
        &self,
        clock: &Arc<str>,
        voice: &Voice,
        named: &[Named<'_, 'c>],
        said: &Said,
        signals: &mut Vec<Signal>,
    ) {
        for named in named {
            let cycle = named.cycle;
            let mut rung: Vec<(RingAt, Instant)> = said
                .rung
                .iter()
                .filter(|(name, key, ..)| name == clock && *key == cycle.key)
                .map(|(_, _, ring, at)| (*ring, *at))
                .collect();
            rung.sort_by_key(|(ring, at)| (*at, *ring));
            let mut say = |edge, at| {
                signals.push(self.signal(clock, voice, named.generation.clone(), Some(cycle), edge, at));
            };
            let mut fired = false;
            for (ring, at) in rung {
                if !cycle.state.is_open() {
                    continue;
                }
                if ring.is_early() {
                    say(Edge::Prewarning, at);
                    continue;
                }
                if !fired {
                    say(Edge::Firing, cycle.due.unwrap_or(at));
                    fired = true;
                }
                if let Some((_, level)) = voice.levels.iter().find(|(r, _)| *r == ring) {
                    say(Edge::Level(*level), at);
                }
            }
            let change = said.changed.get(&(clock.clone(), cycle.key));
            // `due` rings once in a cycle (H2): what was retracted and is true after all is told all the same.
            let again = match change {
                Some((Some(from), Some(State::Overdue))) => {
                    !from.is_open() || self.is_retracted(clock, named)
                }
                _ => false,
            };
            if again && !fired {
                say(Edge::Firing, self.now);
            }
        }
    }

    /// What is known of the case now, for the incidents that are open.
    fn refresh(&self, clock: &Arc<str>, voice: &Voice, named: &[Named<'_, 'c>], signals: &mut Vec<Signal>) {
        let subject = subject(self.case);
        for incident in self.alerting.incidents_of(&subject) {
            if incident.rule != *clock || incident.is_resolved() {
                continue;
            }
            let Some(found) =
                named.iter().rfind(|n| n.generation == incident.generation && n.cycle.state.is_open())
            else {
                continue;
            };
            let paused = found.cycle.segment_at(self.now).flow == Flow::Paused;
            let mut say = |edge| {
                let generation = incident.generation.clone();
                signals.push(self.signal(clock, voice, generation, Some(found.cycle), edge, self.now));
            };
            say(Edge::Refreshed);
            if paused != incident.paused {
                say(if paused { Edge::Paused } else { Edge::Resumed });
            }
        }
    }

    fn name_cycles(&self, clock: &Arc<str>) -> Vec<Named<'_, 'c>> {
        let symbols = self.engine.symbols();
        let (Some(name), Some(kind)) = (symbols.get(clock), symbols.get(&self.case.kind)) else {
            return Vec::new();
        };
        let Some(history) = self.engine.history().clocks_on(kind).find(|c| c.name == name) else {
            return Vec::new();
        };
        let cycles: Vec<&Cycle<'c>> = self.cycles.iter().filter(|c| c.clock == name).collect();
        let mut previous = None;
        let mut named = Vec::with_capacity(cycles.len());
        for cycle in cycles {
            let generation = history.generation(self.view.timeline(), cycle, previous, self.now).into();
            named.push(Named { cycle, generation });
            previous = Some(cycle);
        }
        named
    }

    fn signal(
        &self,
        clock: &Arc<str>,
        voice: &Voice,
        generation: Arc<str>,
        cycle: Option<&Cycle<'c>>,
        edge: Edge,
        at: Instant,
    ) -> Signal {
        Signal {
            family: voice.family.clone(),
            rule: clock.clone(),
            subject: subject(self.case),
            generation,
            cycle: cycle.map(|c| c.key),
            edge,
            at,
            facts: self.facts(voice, cycle),
        }
    }

    fn value(&self, name: &str) -> Option<Scalar<'_>> {
        self.view.value_at(name, self.now)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Scalar::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// What the goods are worth, in cents, where that is known.
    fn worth(&self) -> Option<i64> {
        match self.value("value")? {
            Scalar::Int(yuan) => yuan.checked_mul(100),
            Scalar::Real(yuan) => Some((yuan * 100.0).round() as i64),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        }
        .filter(|cents| *cents > 0)
    }

    fn yes(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Scalar::Bool(true)))
    }

    fn facts(&self, voice: &Voice, cycle: Option<&Cycle<'c>>) -> Facts {
        let setup = self.alerting.setup();
        let owner = ["owner", "assignee"].into_iter().find_map(|name| self.text(name));
        let hard = voice.hard_deadline.iter().filter_map(|name| self.deadline(name)).min();
        Facts {
            since: cycle.map(|c| c.start),
            due: cycle.and_then(|c| c.due),
            hard_deadline: hard,
            vip: self.yes("vip"),
            legal: self.yes("legal"),
            complaint: self.yes("complaint"),
            penalty_cents: match self.value("penalty_cents") {
                Some(Scalar::Int(cents)) => cents.max(0),
                _ => voice.penalty.zip(self.worth()).map_or(0, |(penalty, cents)| penalty.of(cents)),
            },
            owner: owner.and_then(|account| setup.roster.by_account(account).cloned()),
            team: self.text("team").filter(|team| setup.roster.teams.contains_key(*team)).map(Arc::from),
            dimensions: self.dimensions(&setup.config.storm.dimensions),
            texts: self.texts(),
            url: self
                .text("url")
                .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
                .map(str::to_owned),
        }
    }

    /// The values that storms, silences and routes look at; joined ones such as carrier+lane too.
    fn dimensions(&self, wanted: &[String]) -> BTreeMap<Arc<str>, Arc<str>> {
        const KNOWN: [&str; 12] = [
            "platform",
            "shop",
            "carrier",
            "lane",
            "node",
            "province",
            "warehouse",
            "product",
            "sku",
            "category",
            "queue",
            "skill",
        ];
        let mut dimensions: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        for name in KNOWN.into_iter().chain(wanted.iter().map(String::as_str)) {
            let parts: Option<Vec<&str>> = name.split('+').map(|part| self.text(part)).collect();
            if let Some(parts) = parts.filter(|_| name != "team") {
                dimensions.insert(name.into(), parts.join("+").into());
            }
        }
        dimensions
    }

    /// What a message may say beside: names and numbers of buyers masked (A4, §10.7).
    fn texts(&self) -> BTreeMap<Arc<str>, String> {
        const CLEAR: [&str; 13] = [
            "location",
            "stall_why",
            "late_why",
            "title",
            "order",
            "order_id",
            "waybill",
            "last_scan",
            "status",
            "priority",
            "shop",
            "carrier",
            "product",
        ];
        let mut texts: BTreeMap<Arc<str>, String> = BTreeMap::new();
        for name in CLEAR {
            if let Some(text) = self.text(name) {
                texts.insert(name.into(), text.chars().take(200).collect());
            }
        }
        texts.extend(self.whys());
        if let Some(buyer) = self.text("buyer") {
            let first: String = buyer.chars().take(1).collect();
            texts.insert("buyer".into(), format!("{first}**"));
        }
        if let Some(phone) = self.text("phone") {
            texts.insert("phone".into(), mask_phone(phone));
        }
        texts
    }

    /// What was learned of its parcel, in words: why it is told to be late or stalled.
    fn whys(&self) -> impl Iterator<Item = (Arc<str>, String)> {
        let language = self.alerting.setup().language;
        let figures = |name| {
            let name = self.engine.symbols().get(name)?;
            self.view.timeline().explained(name).map(|(_, text)| text)
        };
        let late = figures(LATE_WHY).and_then(Why::read).and_then(|(why, _)| why);
        let stall = figures(STALL_WHY).and_then(StallWhy::read);
        let lane = || {
            let [carrier, from, to] =
                ["carrier", "from", "to"].map(|name| self.text(name).unwrap_or_default());
            let way = if from.is_empty() && to.is_empty() { String::new() } else { format!("{from}→{to}") };
            format!("{carrier} {way}").trim().to_owned()
        };
        let late = late.map(|why| (LATE_WHY, why.sentence(language)));
        let stall = stall.map(|why| (STALL_WHY, why.sentence(&lane(), language)));
        [late, stall].into_iter().flatten().map(|(name, text)| (name.into(), text))
    }

    /// The platform's deadline as it is known now.
    fn deadline(&self, name: &str) -> Option<Instant> {
        let sym = self.engine.symbols().get(name)?;
        let timeline: &Timeline = self.view.timeline();
        let entry = timeline.entries().rfind(|e| e.name == sym && e.at <= self.now)?;
        match timeline.content(entry) {
            Content::Deadline(at) => Some(at),
            Content::Mark | Content::Attribute(_) => None,
        }
    }
}
