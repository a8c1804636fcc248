//! The timer queue: one entry a case, its next threshold (W1).
//!
//! Most wake-ups are moved or cancelled long before their time, and a million of them in one ordered tree cost more to
//! arm than the case to judge. So they lie in slots of 4 s, unordered; a slot is put in order when its time comes, or
//! when entries are taken out of a crowded one. Each entry is put in order at most once.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::{SmallVec, smallvec};

use crate::core::time::Instant;

/// Wake-ups in the order of their instants, then of the case's number.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// By the number of the slot. None of them is empty.
    slots: BTreeMap<i64, Slot>,
}

/// A wake-up within its slot: how far from the slot's start in milliseconds, and the case.
type Entry = (u16, u32);

/// log2 of the milliseconds in a slot.
const WIDTH: u32 = 12;

/// What is cheaper to look through than to put in order.
const FEW: usize = 64;

#[derive(Debug)]
enum Slot {
    Loose { entries: SmallVec<[Entry; 2]>, first: Entry },
    Ordered(BTreeSet<Entry>),
}

impl Timers {
    /// The earliest instant.
    pub(super) fn first(&self) -> Option<Instant> {
        let (number, slot) = self.slots.first_key_value()?;
        Some(instant(*number, slot.first()?))
    }

    /// The earliest entry if it is due by `now`. It stays until it is rearmed or cancelled.
    pub(super) fn first_until(&mut self, now: Instant) -> Option<(Instant, u32)> {
        let mut slot = self.slots.first_entry()?;
        let first = slot.get().first()?;
        let at = instant(*slot.key(), first);
        if at > now {
            return None;
        }
        // Its time has come, and the others follow.
        slot.get_mut().put_in_order_if_crowded();
        Some((at, first.1))
    }

    /// How many are due by `now`.
    pub(super) fn count_until(&self, now: Instant) -> usize {
        let (last, offset) = place(now);
        let whole: usize = self.slots.range(..last).map(|(_, slot)| slot.len()).sum();
        whole + self.slots.get(&last).map_or(0, |slot| slot.count_until(offset))
    }

    /// The cases that are due by `at`, the earliest slots first; within one they are in no order.
    pub(super) fn until(&self, at: Instant) -> impl Iterator<Item = u32> + '_ {
        let (last, offset) = place(at);
        let slots = self.slots.range(..=last);
        slots.flat_map(move |(number, slot)| {
            let most = if *number < last { u16::MAX } else { offset };
            slot.entries().filter(move |entry| entry.0 <= most).map(|entry| entry.1)
        })
    }

    /// Moves the entry of a case; [`Instant::MAX`] stands for none.
    pub(super) fn rearm(&mut self, before: Instant, after: Instant, case: u32) {
        if before == after {
            return;
        }
        self.cancel(before, case);
        if after != Instant::MAX {
            let (number, offset) = place(after);
            let entry = (offset, case);
            match self.slots.get_mut(&number) {
                Some(slot) => slot.insert(entry),
                None => {
                    self.slots.insert(number, Slot::Loose { entries: smallvec![entry], first: entry });
                }
            }
        }
    }

    /// Takes the entry of a case away.
    pub(super) fn cancel(&mut self, at: Instant, case: u32) {
        if at == Instant::MAX {
            return;
        }
        let (number, offset) = place(at);
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.remove((offset, case));
            if slot.first().is_none() {
                self.slots.remove(&number);
            }
        }
    }
}

impl Slot {
    fn first(&self) -> Option<Entry> {
        match self {
            Slot::Loose { entries, first } => (!entries.is_empty()).then_some(*first),
            Slot::Ordered(entries) => entries.first().copied(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Slot::Loose { entries, .. } => entries.len(),
            Slot::Ordered(entries) => entries.len(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let (loose, ordered) = match self {
            Slot::Loose { entries, .. } => (entries.as_slice(), None),
            Slot::Ordered(entries) => (&[][..], Some(entries)),
        };
        loose.iter().chain(ordered.into_iter().flatten())
    }

    /// How many lie at most so far into it.
    fn count_until(&self, offset: u16) -> usize {
        match self {
            Slot::Loose { entries, .. } => entries.iter().filter(|e| e.0 <= offset).count(),
            Slot::Ordered(entries) => entries.range(..=(offset, u32::MAX)).count(),
        }
    }

    fn insert(&mut self, entry: Entry) {
        match self {
            Slot::Loose { entries, first } => {
                entries.push(entry);
                *first = entry.min(*first);
            }
            Slot::Ordered(entries) => {
                entries.insert(entry);
            }
        }
    }

    fn remove(&mut self, entry: Entry) {
        self.put_in_order_if_crowded();
        match self {
            Slot::Loose { entries, first } => {
                entries.retain(|e| *e != entry);
                *first = entries.iter().min().copied().unwrap_or(*first);
            }
            Slot::Ordered(entries) => {
                entries.remove(&entry);
            }
        }
    }

    fn put_in_order_if_crowded(&mut self) {
        if let Slot::Loose { entries, .. } = self
            && entries.len() > FEW
        {
            *self = Slot::Ordered(entries.drain(..).collect());
        }
    }
}

/// The slot of an instant, and how far into it.
fn place(at: Instant) -> (i64, u16) {
    let millis = at.as_millis();
    (millis >> WIDTH, (millis & ((1 << WIDTH) - 1)) as u16)
}

fn instant(slot: i64, (offset, _): Entry) -> Instant {
    Instant::from_millis((slot << WIDTH) + i64::from(offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The same answers as one ordered set, crowded slots and sparse ones alike.
        #[test]
        fn answers_like_one_ordered_set(
            steps in prop::collection::vec((0u32..300, 0i64..90_000, any::<bool>()), 1..900),
            look in 1usize..40,
        ) {
            let mut timers = Timers::default();
            let mut plain = BTreeSet::new();
            let mut armed = vec![Instant::MAX; 300];
            for (i, (case, millis, cancels)) in steps.into_iter().enumerate() {
                let after = if cancels { Instant::MAX } else { Instant::from_millis(millis / 3 - 10_000) };
                let before = std::mem::replace(&mut armed[case as usize], after);
                timers.rearm(before, after, case);
                plain.remove(&(before, case));
                if after != Instant::MAX {
                    plain.insert((after, case));
                }
                prop_assert_eq!(timers.first(), plain.first().map(|(at, _)| *at));
                if i % look == 0 {
                    let now = Instant::from_millis(millis / 9 - 10_000);
                    prop_assert_eq!(timers.count_until(now), plain.iter().filter(|(at, _)| *at <= now).count());
                    let mut until: Vec<u32> = timers.until(now).collect();
                    until.sort_unstable();
                    let mut due: Vec<u32> = plain.iter().filter(|(at, _)| *at <= now).map(|(_, c)| *c).collect();
                    due.sort_unstable();
                    prop_assert_eq!(until, due);
                    prop_assert_eq!(timers.first_until(now), plain.first().filter(|(at, _)| *at <= now).copied());
                }
            }
            while let Some((at, case)) = timers.first_until(Instant::MAX) {
                prop_assert_eq!(plain.pop_first(), Some((at, case)));
                timers.cancel(at, case);
            }
            prop_assert!(plain.is_empty());
        }
    }
}
