//! What would have been rung: by clock and ring, by desk, and by who was on at due.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::ClockTitle;
use crate::cli::replay::rows::{CycleRow, SignalRow};
use crate::core::time::{Instant, Span};

/// How often what was rung.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rings {
    /// All signals.
    pub total: u64,
    /// By clock and ring, in the order of the report's clocks, earliest ring first.
    pub by_ring: Vec<RingCount>,
    /// By desk.
    pub by_desk: Vec<NamedCount>,
    /// By the shift at due of the cycle; empty where no shift is known.
    pub by_shift: Vec<NamedCount>,
    /// By the assignee at due of the cycle; empty where no assignee is known.
    pub by_assignee: Vec<NamedCount>,
    /// Signals that carry a reason, by the reason.
    pub by_reason: Vec<NamedCount>,
}

/// One ring of one clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingCount {
    /// The clock.
    pub clock: String,
    /// The ring as configured.
    pub ring: String,
    /// How many signals.
    pub count: u64,
}

/// A name and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedCount {
    /// The name; null for those without one.
    pub name: Option<String>,
    /// How often.
    pub count: u64,
}

type CycleKey<'a> = (&'a str, &'a str, &'a str, &'a str);

impl Rings {
    /// Counts `signals`. A signal belongs to the latest cycle of its case and clock that began before it.
    pub fn count<'a>(signals: impl IntoIterator<Item = &'a SignalRow>, rows: &[CycleRow]) -> Rings {
        let mut cycles: HashMap<CycleKey<'_>, Vec<&CycleRow>> = HashMap::new();
        for row in rows.iter().filter(|row| row.shift.is_some() || row.assignee.is_some()) {
            cycles.entry((&row.source, &row.kind, &row.id, &row.clock)).or_default().push(row);
        }
        for list in cycles.values_mut() {
            list.sort_by_key(|row| row.start);
        }
        let mut rings = Rings::default();
        let mut by_ring: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let (mut desks, mut shifts, mut people, mut reasons) =
            (Tallied::new(), Tallied::new(), Tallied::new(), Tallied::new());
        for signal in signals {
            rings.total += 1;
            *by_ring.entry((&signal.clock, &signal.ring)).or_default() += 1;
            *desks.entry(Some(&signal.desk)).or_default() += 1;
            if let Some(reason) = &signal.reason {
                *reasons.entry(Some(reason)).or_default() += 1;
            }
            let row = cycles
                .get(&(&*signal.source, &*signal.kind, &*signal.id, &*signal.clock))
                .and_then(|list| latest_before(list, signal.at));
            *shifts.entry(row.and_then(|r| r.shift.as_deref())).or_default() += 1;
            *people.entry(row.and_then(|r| r.assignee.as_deref())).or_default() += 1;
        }
        rings.by_ring = by_ring
            .into_iter()
            .map(|((clock, ring), count)| RingCount { clock: clock.to_owned(), ring: ring.to_owned(), count })
            .collect();
        rings.by_desk = named(desks);
        rings.by_shift = named(shifts);
        rings.by_assignee = named(people);
        rings.by_reason = named(reasons);
        rings
    }

    /// The same, `by_ring` in the order of `clocks`.
    pub(super) fn in_order(mut self, clocks: &[ClockTitle]) -> Rings {
        let place = |name: &str| clocks.iter().position(|c| c.name == name).unwrap_or(clocks.len());
        self.by_ring.sort_by(|a, b| {
            (place(&a.clock), &a.clock, ring_rank(&a.ring), &a.ring).cmp(&(
                place(&b.clock),
                &b.clock,
                ring_rank(&b.ring),
                &b.ring,
            ))
        });
        self
    }
}

fn latest_before<'a>(list: &[&'a CycleRow], at: Instant) -> Option<&'a CycleRow> {
    let after = list.partition_point(|row| row.start <= at);
    list.get(after.saturating_sub(1)).copied()
}

type Tallied<'a> = BTreeMap<Option<&'a str>, u64>;

/// Most often first; nothing where no name is known at all.
fn named(tallied: Tallied<'_>) -> Vec<NamedCount> {
    if tallied.keys().all(Option::is_none) {
        return Vec::new();
    }
    let mut list: Vec<_> = tallied
        .into_iter()
        .map(|(name, count)| NamedCount { name: name.map(str::to_owned), count })
        .collect();
    list.sort_by(|a, b| (a.name.is_none(), b.count, &a.name).cmp(&(b.name.is_none(), a.count, &b.name)));
    list
}

/// Earlier rings first: shares, then `… before`, then `due`, then `… after`; what is none of these last.
pub fn ring_rank(ring: &str) -> (u8, i64) {
    let ring = ring.trim_end_matches(" wall");
    let span = |text: &str| Span::parse(text).map(Span::as_millis).unwrap_or(0);
    if let Some(percent) = ring.strip_suffix('%').and_then(|p| p.parse().ok()) {
        (0, percent)
    } else if let Some(before) = ring.strip_suffix(" before") {
        (1, -span(before))
    } else if ring == "due" {
        (2, 0)
    } else if let Some(after) = ring.strip_suffix(" after") {
        (3, span(after))
    } else {
        (4, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_stand_in_the_order_in_which_they_ring() {
        let mut rings =
            ["due", "1h after", "80%", "weird", "5m before", "50%", "30m before wall", "10m after"];
        rings.sort_by_key(|ring| ring_rank(ring));
        assert_eq!(
            rings,
            ["50%", "80%", "30m before wall", "5m before", "due", "10m after", "1h after", "weird"]
        );
    }
}
