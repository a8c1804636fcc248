//! Two configurations over the same history: which due times move, and who would be rung more or less.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::rings::{NamedCount, RingCount, Rings, ring_rank};
use crate::cli::replay::rows::{CycleRow, Outcome};
use crate::core::time::Instant;

/// How many of the largest moves are listed.
pub const MOVES_SHOWN: usize = 10;

/// One configuration's rows and rings.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The configuration, as it is called.
    pub config: &'a str,
    /// Its cycles.
    pub rows: &'a [CycleRow],
    /// What it would have rung.
    pub rings: &'a Rings,
}

/// What changes from one configuration to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The configuration that is compared against.
    pub before: String,
    /// The configuration that the report is about.
    pub after: String,
    /// All clocks together.
    pub total: Moves,
    /// Clock by clock.
    pub clocks: Vec<ClockMoves>,
    /// The due times that move furthest; at most [`MOVES_SHOWN`].
    pub largest: Vec<Move>,
    /// Rings by clock and ring.
    pub by_ring: Vec<RingChange>,
    /// Rings by desk, by shift and by assignee at due.
    pub by_desk: Vec<NamedChange>,
    /// Rings by shift.
    pub by_shift: Vec<NamedChange>,
    /// Rings by assignee.
    pub by_assignee: Vec<NamedChange>,
    /// All rings.
    pub rings: Change,
}

/// How many cycles changed in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Cycles that both have: the same case, clock and start.
    pub both: u64,
    /// Cycles that only the one before has.
    pub only_before: u64,
    /// Cycles that only the one after has.
    pub only_after: u64,
    /// Due earlier than before.
    pub earlier: u64,
    /// Due later than before.
    pub later: u64,
    /// A due time where there was none, or none where there was one.
    pub due_came_or_went: u64,
    /// Broken after, not broken before.
    pub became_overdue: u64,
    /// Broken before, not broken after.
    pub no_longer_overdue: u64,
}

impl Moves {
    /// Whether anything changed at all.
    pub fn is_any(&self) -> bool {
        let Moves {
            both: _,
            only_before,
            only_after,
            earlier,
            later,
            due_came_or_went,
            became_overdue,
            no_longer_overdue,
        } = *self;
        only_before + only_after + earlier + later + due_came_or_went + became_overdue + no_longer_overdue > 0
    }
}

/// The moves of one clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockMoves {
    /// Its name.
    pub clock: String,
    /// What changed.
    #[serde(flatten)]
    pub moves: Moves,
}

/// A due time that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The source of the case.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The clock.
    pub clock: String,
    /// When the cycle began.
    pub start: Instant,
    /// When it was due before.
    pub due_before: Instant,
    /// When it is due after.
    pub due_after: Instant,
    /// How far it moves; positive is later.
    pub moved_by_s: i64,
    /// How it stood before.
    pub outcome_before: Outcome,
    /// How it stands after.
    pub outcome_after: Outcome,
}

/// A count before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Change {
    /// How much more it is after.
    pub fn delta(self) -> i64 {
        let delta = i128::from(self.after) - i128::from(self.before);
        delta.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

/// The rings of one clock and ring, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingChange {
    /// The clock.
    pub clock: String,
    /// The ring.
    pub ring: String,
    /// How often.
    #[serde(flatten)]
    pub change: Change,
}

/// The rings of one desk, shift or person, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedChange {
    /// The name; null for those without one.
    pub name: Option<String>,
    /// How often.
    #[serde(flatten)]
    pub change: Change,
}

impl Comparison {
    /// Joins the rows of both by case, clock and start. Clocks stand in the order in which `clock_order` names
    /// them, others after those by name.
    pub fn build(before: Side<'_>, after: Side<'_>, clock_order: &[&str]) -> Comparison {
        let mut known: HashMap<_, &CycleRow> = before.rows.iter().map(|row| (key(row), row)).collect();
        let mut clocks: BTreeMap<(usize, &str), Moves> = BTreeMap::new();
        let place = |clock: &str| clock_order.iter().position(|c| *c == clock).unwrap_or(clock_order.len());
        let mut moved: Vec<(i64, &CycleRow, &CycleRow)> = Vec::new();
        for new in after.rows {
            let moves = clocks.entry((place(&new.clock), &new.clock)).or_default();
            let Some(old) = known.remove(&key(new)) else {
                moves.only_after += 1;
                continue;
            };
            moves.both += 1;
            match (old.due, new.due) {
                (Some(was), Some(is)) if was != is => {
                    let by = is.as_millis().saturating_sub(was.as_millis());
                    *if by < 0 { &mut moves.earlier } else { &mut moves.later } += 1;
                    moved.push((by, old, new));
                }
                (Some(_), None) | (None, Some(_)) => moves.due_came_or_went += 1,
                _ => {}
            }
            match (old.outcome.is_breach(), new.outcome.is_breach()) {
                (false, true) => moves.became_overdue += 1,
                (true, false) => moves.no_longer_overdue += 1,
                _ => {}
            }
        }
        for row in known.values() {
            clocks.entry((place(&row.clock), &row.clock)).or_default().only_before += 1;
        }
        moved.sort_by(|(a, _, one), (b, _, two)| {
            (std::cmp::Reverse(a.unsigned_abs()), key(one))
                .cmp(&(std::cmp::Reverse(b.unsigned_abs()), key(two)))
        });
        moved.truncate(MOVES_SHOWN);
        let mut total = Moves::default();
        clocks.values().for_each(|moves| total.add(moves));
        Comparison {
            before: before.config.to_owned(),
            after: after.config.to_owned(),
            total,
            clocks: clocks
                .into_iter()
                .map(|((_, clock), moves)| ClockMoves { clock: clock.to_owned(), moves })
                .collect(),
            largest: moved.into_iter().filter_map(|(by, old, new)| Move::of(by, old, new)).collect(),
            by_ring: ring_changes(&before.rings.by_ring, &after.rings.by_ring, place),
            by_desk: named_changes(&before.rings.by_desk, &after.rings.by_desk),
            by_shift: named_changes(&before.rings.by_shift, &after.rings.by_shift),
            by_assignee: named_changes(&before.rings.by_assignee, &after.rings.by_assignee),
            rings: Change { before: before.rings.total, after: after.rings.total },
        }
    }
}

fn key(row: &CycleRow) -> (&str, &str, &str, &str, Instant) {
    (&row.source, &row.kind, &row.id, &row.clock, row.start)
}

impl Moves {
    fn add(&mut self, other: &Moves) {
        self.both += other.both;
        self.only_before += other.only_before;
        self.only_after += other.only_after;
        self.earlier += other.earlier;
        self.later += other.later;
        self.due_came_or_went += other.due_came_or_went;
        self.became_overdue += other.became_overdue;
        self.no_longer_overdue += other.no_longer_overdue;
    }
}

impl Move {
    fn of(by_ms: i64, old: &CycleRow, new: &CycleRow) -> Option<Move> {
        Some(Move {
            source: new.source.to_string(),
            kind: new.kind.to_string(),
            id: new.id.clone(),
            clock: new.clock.to_string(),
            start: new.start,
            due_before: old.due?,
            due_after: new.due?,
            moved_by_s: by_ms / 1000,
            outcome_before: old.outcome,
            outcome_after: new.outcome,
        })
    }
}

fn ring_changes(before: &[RingCount], after: &[RingCount], place: impl Fn(&str) -> usize) -> Vec<RingChange> {
    let mut changes: BTreeMap<_, Change> = BTreeMap::new();
    let at = |r: &RingCount| (place(&r.clock), r.clock.clone(), ring_rank(&r.ring), r.ring.clone());
    before.iter().for_each(|r| changes.entry(at(r)).or_default().before += r.count);
    after.iter().for_each(|r| changes.entry(at(r)).or_default().after += r.count);
    changes.into_iter().map(|((_, clock, _, ring), change)| RingChange { clock, ring, change }).collect()
}

/// The largest change first, whichever way; then by name.
fn named_changes(before: &[NamedCount], after: &[NamedCount]) -> Vec<NamedChange> {
    let mut changes: BTreeMap<&Option<String>, Change> = BTreeMap::new();
    before.iter().for_each(|n| changes.entry(&n.name).or_default().before += n.count);
    after.iter().for_each(|n| changes.entry(&n.name).or_default().after += n.count);
    let mut list: Vec<_> =
        changes.into_iter().map(|(name, change)| NamedChange { name: name.clone(), change }).collect();
    list.sort_by_key(|n| (n.name.is_none(), std::cmp::Reverse(n.change.delta().unsigned_abs())));
    list
}
