//! The model: `sla_semantics` §5–§9 as it is written, a quarter of a minute at a time.
//!
//! Where the text leaves room, the reading taken here is told at the place. Those that reach further:
//!
//! - H3: intervals are half-open, so at the very instant at which a pause begins the cycle is paused. What is reached
//!   just then waits, whatever the ring; only `due` does not (K24).
//! - H4: *due moves later* compares with when it was due as the ring was crossed.
//! - H5: a `by` clock comes nearer while it is paused, so its shares are shares of all open time between where counting
//!   began (P4) and due. Where pauses move due (`by_extends`), they are shares of what is consumed, as for a target.
//!   So are those of a platform's deadline and of `every`, which are no lengths of time either.
//! - H9: a ring that a reload brings is attached by it. So is what a reload moves to before itself.
//! - P1: the rings are those of the policy in force, after due too.
//! - P6: while no entry matches, the last one that did goes on as its version wrote it; reloads do not change it.
//! - R1: a reload leaves a cycle alone that stood ended when it came; from its reopening on it counts.
//!   `rejudge` judges what ended again, but makes and ends no cycles anew.
//! - R4: a clock that is gone keeps its running cycles, and reopens none.
//! - `every` starts again at every mark that stops it, while an entry matches. A stop by attributes does not: the case
//!   is in a stop state then (K7).

use std::collections::{BTreeMap, BTreeSet};

use shiftbell::core::clock::ReloadMode;

use super::cycle::{Cycle, Ended, Fired, Terms};
use super::story::Facts;
use super::terms::{Epoch, Hours, Pick, Promise, Reopen, Spec, Version, When};
use super::ticks::{MINUTE, Tick, show, span};

/// One crossing.
#[derive(Clone, Debug)]
struct Crossed {
    /// `None`: it had passed before the clock, or its ring, was there (H9).
    at: Option<Tick>,
    /// A millisecond after.
    after: bool,
    ring: &'static str,
    arm: u8,
    start: Tick,
}

/// What was so when it happened, and stays so whatever a later reload makes of due times.
#[derive(Default, Debug)]
struct Known {
    /// Reload by place, and the start of the cycle that was open when it came.
    reached: BTreeSet<(usize, Tick)>,
    /// Start and end of a cycle and instant of a reopening: whether the cycle went on.
    goes_on: BTreeMap<(Tick, Tick, Tick), bool>,
    /// Start of a cycle, its end, and its reopening.
    gaps: BTreeSet<(Tick, Tick, Tick)>,
}

pub struct Model<'a> {
    spec: &'a Spec,
    /// Those up to now.
    epochs: &'a [Epoch],
    facts: &'a Facts,
    known: Known,
    rings: BTreeSet<&'static str>,
    cycles: Vec<Cycle<'a>>,
    open: bool,
    picked: bool,
    closed: bool,
    /// The last cycle as it is should it be reopened: nothing runs, but terms change and deadlines pass (K8).
    stopped: Option<Cycle<'a>>,
    /// An attribute ended the last cycle.
    by_attribute: bool,
    crossed: Vec<Crossed>,
}

impl<'a> Model<'a> {
    pub fn run(spec: &'a Spec, epochs: &'a [Epoch], facts: &'a Facts, now: Tick) -> Model<'a> {
        let all = epochs.iter().filter_map(|e| e.version.as_ref());
        let rings: BTreeSet<&'static str> = all.flat_map(|v| v.rings.iter().copied()).collect();
        let mut known = Known::default();
        let mut count = 1;
        loop {
            let mut model = Model {
                spec,
                epochs: &epochs[..count],
                facts,
                known,
                rings: rings.clone(),
                cycles: vec![],
                open: false,
                picked: false,
                closed: false,
                stopped: None,
                by_attribute: false,
                crossed: vec![],
            };
            // Within one instant a reload comes first.
            let next = epochs.get(count).map(|e| e.from).filter(|from| *from <= now);
            model.pass(next.map_or(now, |from| from - 1));
            if next.is_none() {
                // H9, R1: what had ended before the clock came is none of its business.
                let attached = model.attached();
                model.cycles.retain(|c| c.end.is_none_or(|e| e.0 >= attached));
                return model;
            }
            if let (true, Some(cycle)) = (model.open, model.cycles.last()) {
                model.known.reached.insert((count, cycle.start));
            }
            known = model.known;
            count += 1;
        }
    }

    /// When the clock first was there.
    fn attached(&self) -> Tick {
        self.epochs.iter().find(|e| e.version.is_some()).map_or(Tick::MAX, |e| e.from)
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
                if self.facts.excused == Some(t) {
                    self.excuse(t);
                }
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
            // An attribute that nobody has named is not `low`.
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
        for (place, epoch) in self.epochs.iter().enumerate().filter(|(_, e)| e.from > start) {
            let Some(new) = &epoch.version else { continue };
            let was_open = self.known.reached.contains(&(place, start));
            let since = match epoch.mode {
                ReloadMode::NewOnly => continue,
                ReloadMode::Rejudge => epoch.since.unwrap_or(start),
                ReloadMode::Retroactive if was_open => epoch.since.unwrap_or(start),
                ReloadMode::FromNow if was_open => epoch.from,
                ReloadMode::Retroactive | ReloadMode::FromNow => {
                    let mut gaps = self.known.gaps.iter();
                    match gaps.find(|gap| gap.0 == start && gap.2 >= epoch.from) {
                        Some(gap) => gap.2,
                        None => continue,
                    }
                }
            };
            if u >= since {
                version = Some(new);
            }
        }
        version
    }

    fn terms(&self, version: &Version, rule: usize, reopened: Option<i64>, t: Tick) -> Terms {
        let times = rule as i64 + 1;
        let mut terms = Terms {
            promise: match version.promise {
                Promise::Target(minutes) => Promise::Target(minutes * times),
                Promise::Deadline(minutes) => Promise::Deadline(minutes.map(|m| m * times)),
                other => other,
            },
            hours: Hours::new(version.hours, version.edit),
            least: version.least,
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
            terms.hours = Hours::new(hours, version.edit);
            terms.least = least.or(terms.least);
        }
        terms
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
        if self.rule(t).is_none() && self.spec.cancel_on_mismatch {
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
    fn retarget(&self, cycle: &mut Cycle<'a>, t: Tick) {
        if let (Some(rule), Some(version)) = (self.rule(t), self.version(cycle.start, t)) {
            (cycle.rule, cycle.version) = (rule, version);
        }
        let terms = self.terms(cycle.version, cycle.rule, cycle.reopen_target, t);
        let deadline = self.facts.deadline(t);
        let target = cycle.target();
        let uses_deadline = matches!(terms.promise, Promise::Deadline(_));
        let changed = terms.promise != cycle.terms.promise
            || terms.hours != cycle.terms.hours
            || (uses_deadline && deadline != cycle.deadline);
        if changed && cycle.due.is_none() {
            if self.spec.restart {
                (cycle.consumed, cycle.origin) = (0, t);
            }
            cycle.floor = terms.least.map_or(0, |least| cycle.consumed + least * MINUTE);
            cycle.retargeted = t;
        }
        (cycle.terms, cycle.deadline, cycle.paused) = (terms, deadline, self.paused(t));
        cycle.name_time();
        if cycle.due.is_none() && (cycle.target() != target || cycle.origin == t) {
            cycle.target_since = t;
        }
    }

    fn use_up(&mut self, t: Tick) {
        let open = self.cycles.last_mut().filter(|_| self.open);
        open.into_iter().chain(&mut self.stopped).for_each(|cycle| cycle.use_up(t));
    }

    fn expect(&mut self, t: Tick) {
        let attached = self.attached();
        let Some(cycle) = self.cycles.last_mut().filter(|_| self.open) else { return };
        cycle.expected = cycle.expected(t);
        if cycle.expected.is_some() && cycle.expected != cycle.moved.0 {
            cycle.moved = (cycle.expected, t);
        }
        let late = cycle.is_late(t);
        for ring in &self.rings {
            let is_live = t >= attached && cycle.terms.rings.contains(ring);
            let mut fired = cycle.fired.get(ring).copied().unwrap_or_default();
            let is_share = ring.ends_with('%');
            if !late && (is_share || ring.contains("before")) {
                cycle.early.remove(ring);
                let instant = cycle.early(ring, t);
                cycle.early.extend(instant.map(|at| (*ring, at)));
                let is_ahead = instant.is_some_and(|at| at > t);
                let is_armed_again = if !fired.unseen {
                    // H4.
                    is_live && is_ahead && !cycle.paused && cycle.expected > fired.due
                } else if is_share && cycle.length().is_some() {
                    is_ahead || cycle.target_since == t
                } else {
                    instant.is_none_or(|at| at >= t)
                };
                fired.done &= !is_armed_again;
            }
            // H9: it is attached.
            if is_live && fired.done && fired.unseen {
                let arm = fired.arm + 1;
                fired = Fired { arm, done: true, unseen: false, due: cycle.expected };
                self.crossed.push(Crossed { at: None, after: false, ring, arm, start: cycle.start });
            }
            cycle.fired.insert(ring, fired);
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
                3 if self.born_closed(t) || self.rule(t).is_none() || self.version(t, t).is_none() => {}
                3 => match spec.pick {
                    Pick::First => {
                        let recurs = self.version(t, t).is_some_and(recurs);
                        if if recurs { !self.open } else { !self.picked } {
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
                4 => {
                    let again = self.open && self.cycles.last().is_some_and(|c| recurs(c.version));
                    self.end(t, Ended::Stop);
                    if again {
                        self.start(t, None);
                    }
                }
                5 => self.end(t, Ended::Cancel),
                _ => self.closed = true,
            }
        }
    }

    fn start(&mut self, t: Tick, reopen_target: Option<i64>) {
        let (Some(rule), Some(version)) = (self.rule(t), self.version(t, t)) else { return };
        self.open = true;
        self.stopped = None;
        let terms = self.terms(version, rule, reopen_target, t);
        let (deadline, paused) = (self.facts.deadline(t), self.paused(t));
        self.cycles.push(Cycle::new(t, (version, rule), terms, deadline, paused, reopen_target));
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
        cycle.expected = cycle.expected(t);
        self.stopped = Some(cycle.clone());
        cycle.end = Some((t, how));
    }

    /// K25. What is open ends with that; what is asked or reopened afterwards is another promise.
    fn excuse(&mut self, t: Tick) {
        if self.open {
            self.end(t, Ended::Excused);
            self.by_attribute = true;
        }
        if let Some(cycle) = self.cycles.last_mut() {
            cycle.excused = true;
        }
    }

    fn reopen(&mut self, t: Tick) {
        self.closed = false;
        // R4: a clock that is gone keeps what runs, and takes up nothing.
        if self.open || self.spec.reopen == Reopen::Ignore || self.version(t, t).is_none() {
            return;
        }
        let Some(last) = self.cycles.last() else { return };
        let (start, Some((end, how))) = (last.start, last.end) else { return };
        // The table of §6: what was met goes on, and so does what was missed, however it ended.
        let counted = how == Ended::Stop || last.is_late(end);
        let soon = self.spec.within.is_none_or(|within| t - end <= within * MINUTE);
        let goes_on = self.spec.reopen == Reopen::Continue && counted && soon && !last.excused;
        if *self.known.goes_on.entry((start, end, t)).or_insert(goes_on) {
            // P6.
            if self.spec.cancel_on_mismatch && self.rule(t).is_none() {
                return;
            }
            self.open = true;
            self.cycles.pop();
            self.known.gaps.insert((start, end, t));
            // A reload that came in between counts from here.
            if let Some(mut cycle) = self.stopped.take() {
                self.retarget(&mut cycle, t);
                self.cycles.push(cycle);
            }
        } else {
            self.start(t, self.spec.reopen_target);
        }
    }

    /// §7: the rings that are reached at `t`, and the millisecond after.
    fn cross(&mut self, t: Tick) {
        let attached = self.attached();
        let Some(cycle) = self.cycles.last_mut().filter(|_| self.open) else { return };
        for ring in &self.rings {
            let is_live = t >= attached && cycle.terms.rings.contains(ring);
            let mut fired = cycle.fired.get(ring).copied().unwrap_or_default();
            if fired.done {
                continue;
            }
            // H3: nothing is crossed in a pause.
            let reached = match (*ring, cycle.due) {
                ("due", due) => is_live && due.is_some(),
                ("15m after", Some(due)) => !cycle.paused && t > due && cycle.overdue_open >= 15 * MINUTE,
                ("30m after wall", Some(due)) => !cycle.paused && t >= due + 30 * MINUTE,
                (_, Some(due)) if due < t => false,
                _ => !cycle.paused && cycle.early.get(ring).is_some_and(|at| *at <= t),
            };
            if !reached {
                continue;
            }
            (fired.done, fired.unseen, fired.due) = (true, !is_live, cycle.due.or(cycle.expected));
            if is_live {
                fired.arm += 1;
                let (after, arm, start) = (*ring == "due", fired.arm, cycle.start);
                let at = cycle.due.filter(|_| after).or(Some(t));
                self.crossed.push(Crossed { at, after, ring, arm, start });
            }
            cycle.fired.insert(ring, fired);
        }
    }

    fn state(cycle: &Cycle<'_>, now: Tick) -> &'static str {
        match cycle.end {
            _ if cycle.excused => "excused",
            None if cycle.is_late(now) => "overdue",
            None if cycle.paused => "paused",
            None => "running",
            Some((end, _)) if cycle.is_late(end) => "missed",
            Some((_, Ended::Stop)) => "met",
            Some((_, Ended::Cancel)) => "cancelled",
            Some((_, Ended::Superseded)) => "superseded",
            Some((_, Ended::Excused)) => "excused",
        }
    }

    /// What is compared.
    pub fn outcomes(&self, now: Tick) -> Vec<String> {
        let one = |cycle: &Cycle<'_>| {
            // What is told of a cycle that does not count is of no matter.
            let gone = ["cancelled", "superseded", "excused"].contains(&Model::state(cycle, now));
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

    pub fn crossings(&self, now: Tick) -> BTreeSet<String> {
        let one = |c: &Crossed| {
            let ms = if c.after { "+1ms" } else { "" };
            let at = c.at.map_or("before".to_owned(), |at| format!("at {}{ms}", show(at)));
            format!("{}: {} arm {} {at}", show(c.start), c.ring, c.arm)
        };
        self.crossed.iter().filter(|c| !c.after || c.at.is_some_and(|at| at < now)).map(one).collect()
    }
}

fn recurs(version: &Version) -> bool {
    matches!(version.promise, Promise::Every(_))
}
