//! A case as the engine holds it, and what it remembers of its cycles.
//!
//! Everything about a cycle is derived; what is remembered beside the timeline is which rings have fired, what was
//! told of it last (W4). That a person excused one is an entry of the timeline.
//!
//! A desk holds a million cases and works on one at a time: all others are [`Resting`].

use smallvec::SmallVec;

use crate::core::clock::{Cycle, State};
use crate::core::model::bytes::{Bytes, put};
use crate::core::model::{Sym, Symbols, Timeline};
use crate::core::time::Instant;

/// A case at work.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) source: Sym,
    pub(super) kind: Sym,
    pub(super) timeline: Timeline,
    pub(super) cycles: Vec<Memory>,
    /// Its entry in the timer queue; [`Instant::MAX`] for none.
    pub(super) wake: Instant,
}

/// A case at rest: its timeline and what is remembered of its cycles, as bytes.
#[derive(Debug)]
pub(super) struct Resting {
    /// As of the case at work.
    pub(super) wake: Instant,
    bytes: Box<[u8]>,
    pub(super) source: Sym,
    pub(super) kind: Sym,
    /// A promise runs in it.
    pub(super) is_open: bool,
}

impl Case {
    /// A case of which nothing is known.
    pub(super) fn new(source: Sym, kind: Sym, id: &str) -> Case {
        let (timeline, cycles) = (Timeline::new(id), Vec::new());
        Case { source, kind, timeline, cycles, wake: Instant::MAX }
    }

    /// Whether a promise runs in it.
    pub(super) fn is_open(&self) -> bool {
        self.cycles.iter().any(|m| !m.is_over())
    }

    /// It at rest; `bytes` is working space.
    pub(super) fn rest(&self, bytes: &mut Vec<u8>, symbols: &mut Symbols) -> Resting {
        bytes.clear();
        self.timeline.pack(bytes, symbols);
        pack(&self.cycles, bytes);
        Resting {
            wake: self.wake,
            bytes: bytes.as_slice().into(),
            source: self.source,
            kind: self.kind,
            is_open: self.is_open(),
        }
    }
}

impl Resting {
    /// Whether this is the case of that name.
    pub(super) fn is(&self, source: Sym, kind: Sym, id: &str) -> bool {
        self.source == source && self.kind == kind && Timeline::is_packed_of(&self.bytes, id)
    }

    /// The platform's id of the case.
    pub(super) fn id(&self) -> &str {
        Timeline::packed_id(&self.bytes)
    }

    /// It at work.
    pub(super) fn case(&self, symbols: &Symbols) -> Case {
        let mut case = Case::new(self.source, self.kind, "");
        self.load(&mut case, symbols);
        case
    }

    /// It at work, in place of another case whose room is used again.
    pub(super) fn load(&self, case: &mut Case, symbols: &Symbols) {
        (case.source, case.kind, case.wake) = (self.source, self.kind, self.wake);
        let mut bytes = Bytes(&self.bytes);
        case.timeline.unpack(&mut bytes, symbols);
        unpack(&mut bytes, &mut case.cycles);
    }
}

/// What is remembered of one cycle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Memory {
    pub(super) key: u64,
    pub(super) clock: Sym,
    /// The state that was told last; `None` for a cycle that turned out never to have been, and is remembered because
    /// its `due` has rung: should it come back, it does not ring again (L12).
    pub(super) told: Option<State>,
    /// Overdue was recorded.
    pub(super) overdue: bool,
    /// ... and taken back.
    pub(super) retracted: bool,
    pub(super) fired: SmallVec<[Fired; 2]>,
}

/// What is remembered of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) ring: Sym,
    /// How often it was crossed.
    pub(super) arm: u8,
    pub(super) status: Status,
    /// When the cycle was due as it was crossed: only a later due time arms it again (H4).
    pub(super) due: DueSecond,
}

/// A due time to the second, since there are many of them. A move of less than a second is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DueSecond(pub(super) u32);

impl DueSecond {
    /// When the cycle is due, or, while it is paused, would be if it went on at `t`. What is never due comes first.
    pub(super) fn of(cycle: &Cycle<'_>, t: Instant) -> DueSecond {
        let due = cycle.due.or_else(|| cycle.due_if_resumed(t));
        let second = due.map_or(0, |due| due.since(Instant::EARLIEST).as_secs());
        DueSecond(u32::try_from(second).unwrap_or(u32::MAX))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Crossed, and done with.
    Done,
    /// Crossed, and lies ahead again (H4).
    ArmedAgain,
    /// Crossed, and rings when the calendar opens (H7).
    Held,
}

/// The statuses by the number that stands for each at rest, and in rows.
pub(super) const STATUSES: [Status; 3] = [Status::Done, Status::ArmedAgain, Status::Held];

impl Memory {
    /// Whether only news can change anything about it.
    pub(super) fn is_over(&self) -> bool {
        self.told.is_none_or(|told| !told.is_open())
    }

    pub(super) fn fired(&self, ring: Sym) -> Option<Fired> {
        self.fired.iter().find(|f| f.ring == ring).copied()
    }

    pub(super) fn set(&mut self, fired: Fired) {
        match self.fired.iter_mut().find(|f| f.ring == fired.ring) {
            Some(known) => *known = fired,
            None => self.fired.push(fired),
        }
    }
}

/// The states that are told, by the number that stands for each at rest.
const STATES: [Option<State>; 10] = [
    None,
    Some(State::Running),
    Some(State::Paused),
    Some(State::Overdue),
    Some(State::Met),
    Some(State::Missed),
    Some(State::Cancelled),
    Some(State::Superseded),
    Some(State::Excused),
    Some(State::Unreachable),
];
const TOLD: u8 = 15;
const OVERDUE: u8 = 1 << 4;
const RETRACTED: u8 = 1 << 5;
const FIRED: u8 = 1 << 6;

/// What is remembered, as bytes. Many clocks begin with the same entry, and then their cycles have one key.
fn pack(cycles: &[Memory], bytes: &mut Vec<u8>) {
    let mut keys: SmallVec<[u64; 16]> = cycles.iter().map(|m| m.key).collect();
    keys.sort_unstable();
    keys.dedup();
    put(bytes, keys.len() as u64);
    keys.iter().for_each(|key| bytes.extend_from_slice(&key.to_le_bytes()));
    put(bytes, cycles.len() as u64);
    for memory in cycles {
        let mut head = STATES.iter().position(|told| *told == memory.told).unwrap_or_default() as u8;
        let flags =
            [(memory.overdue, OVERDUE), (memory.retracted, RETRACTED), (!memory.fired.is_empty(), FIRED)];
        head |= flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | flag);
        bytes.push(head);
        put(bytes, memory.clock.index() as u64);
        put(bytes, keys.partition_point(|key| *key < memory.key) as u64);
        if memory.fired.is_empty() {
            continue;
        }
        put(bytes, memory.fired.len() as u64);
        for fired in &memory.fired {
            put(bytes, fired.ring.index() as u64);
            bytes.extend_from_slice(&[fired.arm, fired.status as u8]);
            bytes.extend_from_slice(&fired.due.0.to_le_bytes());
        }
    }
}

fn unpack(bytes: &mut Bytes<'_>, cycles: &mut Vec<Memory>) {
    cycles.clear();
    let keys: SmallVec<[u64; 16]> = (0..bytes.number()).map(|_| bytes.whole()).collect();
    for _ in 0..bytes.number() {
        let head = bytes.byte();
        let clock = Sym::at(bytes.number() as u16);
        let key = keys[bytes.number() as usize];
        let count = if head & FIRED != 0 { bytes.number() } else { 0 };
        let fired = (0..count).map(|_| {
            let ring = Sym::at(bytes.number() as u16);
            let (arm, status) = (bytes.byte(), STATUSES[usize::from(bytes.byte())]);
            let mut due = [0; 4];
            due.copy_from_slice(bytes.some(4));
            Fired { ring, arm, status, due: DueSecond(u32::from_le_bytes(due)) }
        });
        cycles.push(Memory {
            key,
            clock,
            told: STATES[usize::from(head & TOLD)],
            overdue: head & OVERDUE != 0,
            retracted: head & RETRACTED != 0,
            fired: fired.collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fired() -> impl Strategy<Value = Fired> {
        (0_u16..400, any::<u8>(), 0..3_usize, any::<u32>()).prop_map(|(ring, arm, status, due)| Fired {
            ring: Sym::at(ring),
            arm,
            status: STATUSES[status],
            due: DueSecond(due),
        })
    }

    fn memory() -> impl Strategy<Value = Memory> {
        let key = prop_oneof![0_u64..4, any::<u64>()];
        let parts = (key, 0_u16..400, 0..10_usize, any::<bool>(), any::<bool>());
        (parts, prop::collection::vec(fired(), 0..4)).prop_map(
            |((key, clock, told, overdue, retracted), fired)| Memory {
                key,
                clock: Sym::at(clock),
                told: STATES[told],
                overdue,
                retracted,
                fired: fired.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_remembered_comes_back_as_it_was(cycles in prop::collection::vec(memory(), 0..40)) {
            let mut bytes = Vec::new();
            pack(&cycles, &mut bytes);
            let (mut rest, mut again) = (Bytes(&bytes), Vec::new());
            unpack(&mut rest, &mut again);
            prop_assert!(rest.0.is_empty());
            prop_assert_eq!(again, cycles);
        }
    }
}
