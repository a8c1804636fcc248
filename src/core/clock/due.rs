//! When a cycle is due, and what is to be said of it (`sla_semantics` §6).
//!
//! A cycle is cut into [`Segment`]s in which nothing changes: the terms, the deadline, and whether it runs. Due is
//! then one pass over them, carrying what was consumed:
//!
//! > consumed(t) = the open time between start and t during which the clock was running;
//! > due = the first t at which consumed(t) >= target(t).

use serde::Serialize;
use smallvec::SmallVec;

use crate::core::clock::config::Pick;
use crate::core::clock::history::{ClockHistory, Relevance};
use crate::core::clock::policy::{Clock, Promise, Terms};
use crate::core::clock::ring::Ring;
use crate::core::clock::walk::{Ending, Found, Held, How};
use crate::core::model::{Content, Sym, Timeline};
use crate::core::time::{Instant, Span};

/// A stretch of a cycle in which nothing changes. The last one has no end.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'h> {
    /// Where it begins.
    pub from: Instant,
    /// Where the next begins; [`Instant::MAX`] for the last.
    pub to: Instant,
    /// Whether time counts, and if not, why.
    pub flow: Flow,
    /// The terms in force.
    pub terms: &'h Terms,
    /// The version of the clock that they are of.
    pub clock: &'h Clock,
    /// The platform's deadline in force, for clocks that have one.
    pub deadline: Option<Instant>,
    /// The terms or the deadline became other ones here (P2).
    pub retargeted: bool,
    /// Open running time from the start of the cycle, or of its restart (P4), to `from`.
    pub consumed: Span,
    /// The target in force, `min_left` included (P3).
    pub target: Option<Span>,
}

/// Whether time counts in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It counts.
    Running,
    /// A pause holds (K6).
    Paused,
    /// Stopped, and reopened later (K8).
    Stopped,
}

/// The state of a cycle (`sla_semantics` §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Started, not ended, not paused, not past due (进行中).
    Running,
    /// A pause holds, and it is not overdue (暂停).
    Paused,
    /// Past due and not ended (超时未完成).
    Overdue,
    /// Ended at or before due (达成).
    Met,
    /// Ended after due (超时完成).
    Missed,
    /// Ended without counting (已取消).
    Cancelled,
    /// Ended by a later start or a reset (已被取代).
    Superseded,
    /// A person with the right to do so took it out of the count (已豁免).
    Excused,
    /// Never due: the calendar has no open time within reach (A8, 不可达).
    Unreachable,
}

impl State {
    /// The word for it in outcomes, metrics and pages.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Overdue => "overdue",
            State::Met => "met",
            State::Missed => "missed",
            State::Cancelled => "cancelled",
            State::Superseded => "superseded",
            State::Excused => "excused",
            State::Unreachable => "unreachable",
        }
    }

    /// Whether the promise was broken: missed, or overdue still.
    pub fn is_breach(self) -> bool {
        matches!(self, State::Missed | State::Overdue)
    }

    /// Whether it counts in attainment (M2).
    pub fn is_decided(self) -> bool {
        matches!(self, State::Met | State::Missed | State::Overdue)
    }

    /// Whether the cycle is still open.
    pub fn is_open(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Overdue | State::Unreachable)
    }
}

/// A promise on a case: one start, at most one end.
#[derive(Clone, Debug)]
pub struct Cycle<'h> {
    /// The clock.
    pub clock: Sym,
    /// Its identity in the clock and case (K15).
    pub key: u64,
    /// When it started.
    pub start: Instant,
    /// The entry of the timeline that started it, by place.
    pub start_entry: usize,
    /// When it ended.
    pub end: Option<Instant>,
    /// It ended by a stop: the promise was fulfilled, in time or late.
    pub is_fulfilled: bool,
    /// When it is or was due. `None` while it is paused with time left, or when due cannot be reached.
    pub due: Option<Instant>,
    /// Its state at the instant it was derived for.
    pub state: State,
    /// The last instant, not after due, at which due became another one (§7, `before`).
    pub(super) moved_at: Instant,
    /// The segment in which due lies, else the last one.
    pub(super) decisive: usize,
    is_reply: bool,
    /// Its segments, the last without an end.
    pub segments: SmallVec<[Segment<'h>; 1]>,
}

impl<'h> Cycle<'h> {
    /// Works out a cycle that the walk found.
    pub(super) fn derive(
        found: &Found<'h>,
        history: &'h ClockHistory,
        timeline: &Timeline,
        now: Instant,
    ) -> Cycle<'h> {
        let mut segments = SmallVec::new();
        cut(found, history, timeline, now, &mut segments);
        let due = settle(&mut segments, found.start);
        let mut cycle = Cycle {
            clock: history.name,
            key: found.key,
            start: found.start,
            start_entry: found.start_entry,
            end: found.end.map(|e| e.at),
            is_fulfilled: found.end.is_some_and(|e| e.how == How::Stop),
            due: due.at,
            state: State::Running,
            moved_at: due.moved_at,
            decisive: due.segment,
            is_reply: found.held.rule.pick == Pick::OldestOpen,
            segments,
        };
        cycle.state =
            if found.excused { State::Excused } else { cycle.state(found.end, due.unreachable, now) };
        cycle
    }

    fn state(&self, ending: Option<Ending>, unreachable: bool, now: Instant) -> State {
        if let Some(ending) = ending {
            let late = self.due.is_some_and(|due| ending.at > due);
            return match (late, ending.how) {
                (true, _) => State::Missed,
                (false, How::Stop) => State::Met,
                (false, How::Cancel) => State::Cancelled,
                (false, How::Supersede) => State::Superseded,
                (false, How::Excuse) => State::Excused,
            };
        }
        let paused = self.segments.last().is_some_and(|s| s.flow == Flow::Paused);
        match self.due {
            Some(due) if now > due => State::Overdue,
            _ if paused => State::Paused,
            None if unreachable => State::Unreachable,
            _ => State::Running,
        }
    }

    /// The terms that decide: those in force where due lies, else now.
    pub fn terms(&self) -> &'h Terms {
        self.segments[self.decisive].terms
    }

    /// The rings in force now (P1), also after due.
    pub fn rings(&self) -> &'h [Ring] {
        self.segments.last().map_or(&[], |s| &s.terms.rings)
    }

    /// Since when the clock has a ring, for some cases at least (H9): a reload may have brought it.
    pub fn has_ring_since(&self, ring: &Ring) -> Instant {
        let has = |s: &&Segment<'_>| s.clock.all_terms().any(|t| t.rings.iter().any(|r| r.name == ring.name));
        self.segments.iter().find(has).map_or(self.start, |s| s.from)
    }

    /// Whether it is a reply clock: its cycles run from the oldest unanswered question to the answer (K2).
    pub fn is_reply(&self) -> bool {
        self.is_reply
    }

    /// The segment that decides: that in which due lies, else the last.
    pub(super) fn decisive(&self) -> &Segment<'h> {
        &self.segments[self.decisive]
    }

    /// Whether due has passed by `t`, before the cycle ended.
    pub fn overdue_since(&self, t: Instant) -> Option<Instant> {
        self.due.filter(|due| self.end.unwrap_or(Instant::MAX).min(t) > *due)
    }

    /// K20: open running time from the start to `t`, or to the end of the cycle. Restarts (P4) do not shorten it.
    pub fn taken_open(&self, t: Instant) -> Span {
        self.running_time(self.start, t.min(self.end.unwrap_or(Instant::MAX)))
    }

    /// Wall time from the start to `t`, or to the end of the cycle.
    pub fn taken_wall(&self, t: Instant) -> Span {
        t.min(self.end.unwrap_or(Instant::MAX)).since(self.start)
    }

    /// K26: running open time since due, up to `t` or the end of the cycle.
    pub fn overdue_open(&self, t: Instant) -> Span {
        let until = t.min(self.end.unwrap_or(Instant::MAX));
        self.due.map_or(Span::ZERO, |due| self.running_time(due, until))
    }

    /// K26: wall time since due, up to `t` or the end of the cycle.
    pub fn overdue_wall(&self, t: Instant) -> Span {
        let until = t.min(self.end.unwrap_or(Instant::MAX));
        self.due.map_or(Span::ZERO, |due| until.since(due))
    }

    /// M6: open time from the start to `t` or the end, pauses included: what the buyer waited.
    pub fn waited_open(&self, t: Instant) -> Span {
        let until = t.min(self.end.unwrap_or(Instant::MAX));
        self.measure(self.start, until, |s| s.flow != Flow::Stopped)
    }

    /// M13: open time during which it was paused although a newer `question` stood in the case.
    pub fn doubtful_pause(&self, t: Instant, timeline: &Timeline, question: Sym) -> Span {
        let until = t.min(self.end.unwrap_or(Instant::MAX));
        let mut total = Span::ZERO;
        let mut pause_start = None;
        for segment in &self.segments {
            if segment.flow != Flow::Paused {
                pause_start = None;
                continue;
            }
            let since = *pause_start.get_or_insert(segment.from);
            let asked = timeline.entries().find(|e| e.name == question && e.at > since).map(|e| e.at);
            if let Some(asked) = asked {
                let (from, to) = (asked.max(segment.from), segment.to.min(until));
                total += segment.terms.calendar.elapsed(from, to);
            }
        }
        total
    }

    /// What is left of the target at `t`, in open time; `None` for promises without a length of time.
    pub fn left(&self, t: Instant) -> Option<Span> {
        let segment = self.segment_at(t);
        let consumed = match segment.flow {
            Flow::Running => segment.consumed + segment.terms.calendar.elapsed(segment.from, t),
            Flow::Paused | Flow::Stopped => segment.consumed,
        };
        Some(segment.target?.less(consumed))
    }

    /// K21: while paused, when it would be due if it were resumed at `t`.
    pub fn due_if_resumed(&self, t: Instant) -> Option<Instant> {
        let segment = self.segment_at(t);
        segment.terms.calendar.add(t, self.left(t)?)
    }

    /// The segment that `t` lies in.
    pub fn segment_at(&self, t: Instant) -> &Segment<'h> {
        let after = self.segments.partition_point(|s| s.from <= t);
        &self.segments[after.saturating_sub(1)]
    }

    fn running_time(&self, from: Instant, to: Instant) -> Span {
        self.measure(from, to, |s| s.flow == Flow::Running)
    }

    fn measure(&self, from: Instant, to: Instant, counts: impl Fn(&Segment<'_>) -> bool) -> Span {
        let parts = self.segments.iter().filter(|s| counts(s));
        parts.map(|s| s.terms.calendar.elapsed(s.from.max(from), s.to.min(to))).sum()
    }
}

/// Cuts a cycle at everything that may change its terms or its flow.
fn cut<'h>(
    found: &Found<'h>,
    history: &'h ClockHistory,
    timeline: &Timeline,
    now: Instant,
    segments: &mut SmallVec<[Segment<'h>; 1]>,
) {
    let mut held = found.held_at_start;
    let mut push = |from: Instant, segments: &mut SmallVec<[Segment<'h>; 1]>| {
        let clock = history.versions[found.version_at(from)].clock.as_deref();
        // P6: while no rule matches, the last one that did goes on.
        if let Some((clock, rule)) = clock.and_then(|c| c.rule_at(timeline, from, now).map(|rule| (c, rule)))
        {
            held = Held { clock, rule };
        }
        let segment = segment_at(found, held, timeline, from, now);
        let Some(last) = segments.last_mut() else { return segments.push(segment) };
        let same = std::ptr::eq(last.terms, segment.terms)
            && last.flow == segment.flow
            && last.deadline == segment.deadline;
        if same {
            return;
        }
        last.to = from;
        let other_promise = match (last.terms.promise, segment.terms.promise) {
            (Promise::Within { deadline: a, .. }, Promise::Within { deadline: b, .. }) => {
                a != b || last.target != segment.target
            }
            (a, b) => a != b,
        };
        let retargeted = other_promise
            || !last.terms.calendar.counts_like(&segment.terms.calendar)
            || last.deadline != segment.deadline;
        segments.push(Segment { retargeted, ..segment });
    };
    push(found.start, segments);
    let until = found.end.map_or(now, |e| e.at.min(now));
    let has_attributes = history.has_attributes();
    if !has_attributes && found.switches.is_empty() && found.gaps.is_empty() {
        return;
    }
    let mut cuts = SmallVec::<[Instant; 16]>::new();
    if has_attributes {
        let looked_at = timeline.entries().filter(|e| history.relevance(e.name) == Relevance::Attribute);
        cuts.extend(looked_at.map(|e| e.at));
    }
    cuts.extend(found.switches.iter().map(|(from, _)| *from));
    cuts.extend(found.gaps.iter().flat_map(|(from, to)| [*from, *to]));
    cuts.retain(|at| *at > found.start && *at <= until);
    cuts.sort_unstable();
    cuts.dedup();
    for at in cuts {
        push(at, segments);
    }
}

fn segment_at<'h>(
    found: &Found<'h>,
    held: Held<'h>,
    timeline: &Timeline,
    from: Instant,
    now: Instant,
) -> Segment<'h> {
    let rule = held.rule;
    let terms = held.clock.terms_at(rule, timeline, (found.start, from), now);
    let paused =
        || rule.pause.as_ref().is_some_and(|p| p.any_holds(|name| timeline.value_at(name, from, now)));
    let flow = if found.is_in_gap(from) {
        Flow::Stopped
    } else if paused() {
        Flow::Paused
    } else {
        Flow::Running
    };
    let deadline = match terms.promise {
        Promise::Within { deadline: Some(name), .. } => deadline_at(timeline, name, from, now)
            .filter(|deadline| !rule.deadline_follows || *deadline >= found.start),
        _ => None,
    };
    let target = match terms.promise {
        // K9 speaks of the entry's target; an overlay that sets another still does.
        Promise::Within { target, .. } if found.reopened && !terms.overlaid => rule.reopen_target.or(target),
        Promise::Within { target, .. } => target,
        Promise::By { .. } | Promise::Every { .. } => None,
    };
    Segment {
        from,
        to: Instant::MAX,
        flow,
        terms,
        clock: held.clock,
        deadline,
        retargeted: false,
        consumed: Span::ZERO,
        target,
    }
}

/// The platform's deadline in force at `t`: the earliest over its references (one per seller, say) of what each said
/// last. What was said first holds from the start of the case.
fn deadline_at(timeline: &Timeline, name: Sym, t: Instant, now: Instant) -> Option<Instant> {
    let named = || timeline.entries().filter(move |e| e.name == name && e.at <= now);
    let mut all = named();
    let first = all.next()?;
    if all.next().is_none() {
        return match timeline.content(first) {
            Content::Deadline(at) => Some(at),
            Content::Mark | Content::Attribute(_) => None,
        };
    }
    let known_at = t.max(first.at);
    let mut earliest: Option<Instant> = None;
    for entry in named().filter(|e| e.at <= known_at) {
        let reference = timeline.reference(entry);
        let newer =
            named().any(|e| e.at > entry.at && e.at <= known_at && timeline.reference(e) == reference);
        if let (false, Content::Deadline(at)) = (newer, timeline.content(entry)) {
            earliest = Some(earliest.map_or(at, |e| e.min(at)));
        }
    }
    earliest
}

struct Due {
    at: Option<Instant>,
    moved_at: Instant,
    segment: usize,
    unreachable: bool,
}

/// K21, K22: goes through the segments with what was consumed, fills in what each begins with, and finds the first
/// instant at which the promise was used up.
fn settle(segments: &mut [Segment<'_>], start: Instant) -> Due {
    let mut consumed = Span::ZERO;
    // Where counting began: the start, or the last restart (P4).
    let mut origin = start;
    // P3: what the last change leaves at least.
    let mut floor = Span::ZERO;
    let mut projected: Option<Option<Instant>> = None;
    let mut moved_at = start;
    let mut found: Option<(Instant, usize)> = None;
    let mut unreachable = false;
    for i in 0..segments.len() {
        let changes_next = segments.get(i + 1).is_some_and(|next| next.retargeted);
        let segment = &mut segments[i];
        if segment.retargeted {
            if segment.terms.restart && found.is_none() {
                (consumed, origin) = (Span::ZERO, segment.from);
            }
            floor = segment.terms.min_left.map_or(Span::ZERO, |least| consumed + least);
        }
        segment.target = segment.target.map(|target| target.max(floor));
        segment.consumed = consumed;
        if segment.target.is_none() {
            segment.target = length_of(segment, origin);
        }
        let reach = if found.is_none() { reach(segment, origin) } else { Reach::Never };
        if found.is_none() {
            let due = reach.instant();
            if projected.is_some_and(|before| before != due) {
                moved_at = segment.from;
            }
            projected = Some(due);
            unreachable = matches!(reach, Reach::Beyond);
            // A pause that begins at due comes too late (K24); a target that changes there is in force there (K21).
            let holds = |due: &Instant| *due < segment.to || (*due == segment.to && !changes_next);
            if let Some(due) = due.filter(holds) {
                found = Some((due, i));
            }
        }
        if segment.flow == Flow::Running && segment.to != Instant::MAX {
            consumed += segment.terms.calendar.elapsed(segment.from, segment.to);
        }
    }
    Due {
        at: found.map(|(due, _)| due),
        moved_at,
        segment: found.map_or(segments.len() - 1, |(_, i)| i),
        unreachable: unreachable && found.is_none(),
    }
}

/// When a segment would be due if it lasted for ever.
enum Reach {
    At(Instant),
    /// Time is left and does not run.
    Never,
    /// Farther than the calendar is looked at (A8).
    Beyond,
}

impl Reach {
    fn instant(&self) -> Option<Instant> {
        match self {
            Reach::At(at) => Some(*at),
            Reach::Never | Reach::Beyond => None,
        }
    }
}

/// `by` clocks that pauses extend count like a length: the open time from the origin to the instant named (K22).
fn length_of(segment: &Segment<'_>, origin: Instant) -> Option<Span> {
    match segment.terms.promise {
        Promise::By { time, extends: true } => {
            let calendar = &segment.terms.calendar;
            calendar.next_at(origin, time).map(|due| calendar.elapsed(origin, due))
        }
        _ => None,
    }
}

fn reach(segment: &Segment<'_>, origin: Instant) -> Reach {
    let calendar = &segment.terms.calendar;
    // Nobody is late in the past for a promise made now: a due time that a change brings cannot lie before it (P2).
    let earliest = segment.from;
    let by_length = |target: Span| {
        if segment.consumed >= target {
            return Reach::At(earliest);
        }
        match segment.flow {
            Flow::Running => match calendar.add(segment.from, target.less(segment.consumed)) {
                Some(due) => Reach::At(due),
                None => Reach::Beyond,
            },
            Flow::Paused | Flow::Stopped => Reach::Never,
        }
    };
    let by_instant = |due: Option<Instant>| match due {
        Some(due) => Reach::At(due.max(earliest)),
        None => Reach::Beyond,
    };
    match segment.terms.promise {
        Promise::Within { .. } => {
            let length = segment.target.map_or(Reach::Never, by_length);
            match (length, segment.deadline) {
                (Reach::At(a), Some(b)) => Reach::At(a.min(b.max(earliest))),
                (_, Some(b)) => Reach::At(b.max(earliest)),
                (length, None) => length,
            }
        }
        Promise::By { time, extends } => match (extends, segment.target) {
            (true, Some(target)) if !target.is_zero() => by_length(target),
            _ => by_instant(calendar.next_at(origin, time)),
        },
        Promise::Every { months, days } => {
            let due = calendar.plus_civil(origin, months, days);
            by_instant(
                due.and_then(|due| if calendar.is_open(due) { Some(due) } else { calendar.next_open(due) }),
            )
        }
    }
}
