//! The messages of one channel that may be claimed (`delivery_semantics` O2): by class, aged; then least time left;
//! then the order of plans.
//!
//! Lanes stand side by side, so that a lane without a token costs one look and not one for each of its messages.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::Id;
use crate::core::model::Class;
use crate::core::time::{Instant, Span};

/// The place of a message in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Its class, aged.
    pub(super) class: Class,
    /// Least time left.
    pub(super) urgent_at: Instant,
    /// Its place in the order of plans.
    pub(super) seq: u64,
    /// The message.
    pub(super) message: Id,
}

/// The messages that wait on one channel.
#[derive(Debug, Default)]
pub(super) struct Queue {
    places: BTreeMap<Id, Place>,
    lanes: BTreeMap<Id, BTreeSet<Rank>>,
    /// The first of each lane that is not blocked.
    heads: BTreeSet<(Rank, Id)>,
    /// Lanes that must wait, and until when.
    blocked: BTreeMap<Id, Instant>,
    wakes: BTreeSet<(Instant, Id)>,
    /// When which message gains a class.
    aging: BTreeSet<(Instant, Id)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    address: Id,
    rank: Rank,
    ages_at: Option<Instant>,
}

/// The class one higher, which aging gives: never P0.
fn aged(class: Class) -> Option<Class> {
    match class {
        Class::P0 | Class::P1 => None,
        Class::P2 => Some(Class::P1),
        Class::P3 => Some(Class::P2),
    }
}

impl Queue {
    /// Takes a message in. It waits since `since` and gains a class per `every`.
    pub(super) fn push(&mut self, address: Id, mut rank: Rank, since: Instant, every: Span, now: Instant) {
        self.remove(rank.message);
        let mut next = since + every;
        let mut ages_at = None;
        while let Some(class) = aged(rank.class).filter(|_| !every.is_zero()) {
            if next > now {
                ages_at = Some(next);
                break;
            }
            rank.class = class;
            next = next + every;
        }
        self.place(rank.message, Place { address, rank, ages_at });
    }

    fn place(&mut self, message: Id, place: Place) {
        if let Some(at) = place.ages_at {
            self.aging.insert((at, message));
        }
        // What holds ordinary messages back may let an urgent one through, and its plan goes by what the lane says.
        if place.rank.class <= Class::P1 {
            self.unblock(place.address);
        }
        self.unhead(place.address);
        self.lanes.entry(place.address).or_default().insert(place.rank);
        self.head(place.address);
        self.places.insert(message, place);
    }

    /// Takes a message out. Answers whether it was in.
    pub(super) fn remove(&mut self, message: Id) -> bool {
        let Some(place) = self.places.remove(&message) else { return false };
        if let Some(at) = place.ages_at {
            self.aging.remove(&(at, message));
        }
        if let Some(lane) = self.lanes.get(&place.address) {
            // A lane waits because of its first: the next may say otherwise, and its plan goes by what the lane says.
            if lane.first() == Some(&place.rank) && lane.len() > 1 {
                self.unblock(place.address);
            }
        }
        self.unhead(place.address);
        if let Some(lane) = self.lanes.get_mut(&place.address) {
            lane.remove(&place.rank);
            if lane.is_empty() {
                self.lanes.remove(&place.address);
            }
        }
        self.head(place.address);
        true
    }

    fn unhead(&mut self, address: Id) {
        if let Some(first) = self.lanes.get(&address).and_then(BTreeSet::first) {
            self.heads.remove(&(*first, address));
        }
    }

    fn head(&mut self, address: Id) {
        if !self.blocked.contains_key(&address)
            && let Some(first) = self.lanes.get(&address).and_then(BTreeSet::first)
        {
            self.heads.insert((*first, address));
        }
    }

    /// A lane must wait until then.
    pub(super) fn block(&mut self, address: Id, until: Instant) {
        self.unhead(address);
        if let Some(old) = self.blocked.insert(address, until) {
            self.wakes.remove(&(old, address));
        }
        self.wakes.insert((until, address));
    }

    /// A lane need not wait any more.
    pub(super) fn unblock(&mut self, address: Id) {
        if let Some(until) = self.blocked.remove(&address) {
            self.wakes.remove(&(until, address));
            self.head(address);
        }
    }

    /// Lets time pass: lanes may go again, messages gain classes.
    pub(super) fn pass(&mut self, every: Span, now: Instant) {
        while let Some((at, address)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, address));
            self.blocked.remove(&address);
            self.head(address);
        }
        while let Some((at, message)) = self.aging.first().copied().filter(|(at, _)| *at <= now) {
            self.aging.remove(&(at, message));
            let Some(mut place) = self.places.get(&message).copied() else { continue };
            place.ages_at = None;
            self.remove(message);
            if let Some(class) = aged(place.rank.class) {
                place.rank.class = class;
                place.ages_at = aged(class).map(|_| at + every);
            }
            self.place(message, place);
        }
    }

    /// The first message that may go, and its lane.
    pub(super) fn first(&self) -> Option<(Rank, Id)> {
        self.heads.first().copied()
    }

    /// The messages of a lane, in order.
    pub(super) fn lane(&self, address: Id) -> impl Iterator<Item = Rank> + '_ {
        self.lanes.get(&address).into_iter().flatten().copied()
    }

    /// Every message.
    pub(super) fn iter(&self) -> impl Iterator<Item = Id> + '_ {
        self.places.keys().copied()
    }

    /// Whether a message is in it.
    pub(super) fn contains(&self, message: Id) -> bool {
        self.places.contains_key(&message)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Span = Span::MINUTE;

    fn at(s: i64) -> Instant {
        Instant::from_secs(s)
    }

    fn id(n: u8) -> Id {
        Id::from_bytes([n; 16])
    }

    fn rank(n: u8, class: Class, urgent: i64) -> Rank {
        Rank { class, urgent_at: at(urgent), seq: u64::from(n), message: id(n) }
    }

    fn order(queue: &mut Queue) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((first, _)) = queue.first() {
            out.push(first.message.as_bytes()[0]);
            queue.remove(first.message);
        }
        out
    }

    #[test]
    fn class_then_time_left_then_seq() {
        let mut queue = Queue::default();
        for (n, class, urgent, lane) in [
            (1, Class::P2, 10, 1),
            (2, Class::P0, 90, 1),
            (3, Class::P1, 50, 2),
            (4, Class::P1, 40, 3),
            (5, Class::P0, 90, 2),
            (6, Class::P0, 20, 3),
        ] {
            queue.push(id(lane), rank(n, class, urgent), at(0), EVERY, at(0));
        }
        assert_eq!(order(&mut queue), [6, 2, 5, 4, 3, 1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_blocked_lane_holds_nobody_else_up() {
        let mut queue = Queue::default();
        queue.push(id(1), rank(1, Class::P0, 0), at(0), EVERY, at(0));
        queue.push(id(2), rank(2, Class::P1, 0), at(0), EVERY, at(0));
        queue.block(id(1), at(60));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(2)));
        queue.push(id(1), rank(3, Class::P2, -5), at(0), Span::ZERO, at(0));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(2)), "a later one of the lane waits, too");
        queue.push(id(1), rank(4, Class::P0, -9), at(0), EVERY, at(0));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(4)), "an urgent one asks for itself");
        queue.remove(id(4));
        queue.block(id(1), at(60));
        queue.pass(EVERY, at(59));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(2)));
        queue.pass(EVERY, at(60));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(1)));
    }

    #[test]
    fn a_lane_that_waits_because_of_its_first_asks_again_without_it() {
        let mut queue = Queue::default();
        for n in 1..=3 {
            queue.push(id(1), rank(n, Class::P2, i64::from(n)), at(0), EVERY, at(0));
        }
        queue.block(id(1), at(60));
        queue.remove(id(2));
        assert_eq!(queue.first(), None, "what stands behind changes nothing");
        queue.remove(id(1));
        assert_eq!(queue.first().map(|f| f.0.message), Some(id(3)));
    }

    #[test]
    fn who_waits_gains_classes_but_never_the_first() {
        let mut queue = Queue::default();
        queue.push(id(1), rank(1, Class::P3, 0), at(0), EVERY, at(0));
        let class = |queue: &Queue| queue.first().map(|(rank, _)| rank.class);
        for (now, want) in
            [(59, Class::P3), (60, Class::P2), (119, Class::P2), (120, Class::P1), (900, Class::P1)]
        {
            queue.pass(EVERY, at(now));
            assert_eq!(class(&queue), Some(want), "at {now}");
        }
        queue.push(id(1), rank(1, Class::P3, 0), at(0), EVERY, at(61));
        assert_eq!(class(&queue), Some(Class::P2), "one that comes back keeps its age");
        queue.pass(EVERY, at(120));
        assert_eq!(class(&queue), Some(Class::P1));
    }
}
