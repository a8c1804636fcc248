//! Room in a case that has become too long: what goes, and what has to stay.
//!
//! A case has room for [`Timeline::MOST_ENTRIES`]. To refuse more would be to refuse the answer after ten thousand
//! questions, so that its clock rang for ever. Instead a quarter of the room is freed at a time, the oldest first, in
//! steps that cost more and more:
//!
//! 1. what repeats: an attribute that says what it said before, and of a run of three or more marks of one name, with no
//!    other repeated mark between, the inner ones, unless a clock went by them;
//! 2. repeated marks that no clock went by, but the newest of each name;
//! 3. whole cycles: everything up to an instant but what the cycles go by that are open then, the last that began before,
//!    and the first. Nothing new is taken in up to that instant any more;
//! 4. if the case is still full, because what stays hangs together: the same, though an ended cycle of another clock may
//!    then be found in half; and in the end the oldest, whatever it is.
//!
//! Nothing of 1 and 2 changes any cycle; of 3, cycles that ended are forgotten, and none of the others changes. Marks
//! that happen once and what persons did always stay: there is an end to both. What is sent again after 1 or 2 is taken
//! in again and goes with the next quarter, so that work stays in proportion to what is sent.

use super::{Entry, Tag, Timeline};
use crate::core::model::{Sym, Symbols};
use crate::core::time::Instant;

/// What the clocks of a case go by.
#[derive(Debug, Default)]
pub struct Footing {
    /// By the place of an entry: some clock would find other cycles without it.
    pub used: Vec<bool>,
    /// The cycles, clock by clock, in the order of their starts.
    pub stretches: Vec<Stretch>,
}

/// The stretch of time in which a cycle lies.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The clock.
    pub clock: Sym,
    /// The identity of the cycle in the clock and case.
    pub key: u64,
    /// When it started.
    pub start: Instant,
    /// The entry that started it, by place.
    pub start_entry: usize,
    /// When it ended; [`Instant::MAX`] while it is open.
    pub end: Instant,
    /// When it was stopped and reopened before.
    pub gaps: Vec<(Instant, Instant)>,
    /// When the case was closed or opened again last before it started: without that it might not have.
    pub allowed: Option<Instant>,
}

impl Stretch {
    /// The instants of everything it needs.
    fn needs(&self) -> impl Iterator<Item = Instant> + '_ {
        self.edges().chain(self.allowed)
    }

    /// The instants at which something happened to it.
    fn edges(&self) -> impl Iterator<Item = Instant> + '_ {
        [self.start, self.end].into_iter().chain(self.gaps.iter().flat_map(|(from, to)| [*from, *to]))
    }
}

/// The instant up to which nothing new is taken in, [`Instant::MIN`] for none.
pub(super) fn dropped_until(entries: &[Entry]) -> Instant {
    let first = entries.first().filter(|e| e.tag == Tag::Dropped);
    first.map_or(Instant::MIN, |e| Instant::from_millis(e.revision))
}

impl Timeline {
    /// How many entries it has dropped so far.
    pub fn dropped(&self) -> u64 {
        self.entries.first().filter(|e| e.tag == Tag::Dropped).map_or(0, |e| e.value)
    }

    /// The instant up to which nothing new is taken in, since cycles were dropped; [`Instant::MIN`] for none.
    pub fn dropped_until(&self) -> Instant {
        dropped_until(&self.entries)
    }

    /// Frees a quarter of the room of a full case. Answers how many entries were dropped.
    pub fn make_room(&mut self, footing: &Footing, now: Instant, symbols: &Symbols) -> u32 {
        let goal = self.entries.len().saturating_sub(Timeline::MOST_ENTRIES * 3 / 4);
        let mut room = Room::new(self, goal, footing, now, symbols);
        let until = room.drop_gently().max(room.drop_oldest());
        let gone = room.gone;
        self.sweep(&gone, until)
    }

    /// Drops up to `goal` entries, none of them as a last resort.
    #[cfg(test)]
    pub(in crate::core) fn make_room_gently(
        &mut self,
        goal: usize,
        footing: &Footing,
        now: Instant,
        symbols: &Symbols,
    ) -> u32 {
        let mut room = Room::new(self, goal, footing, now, symbols);
        let until = room.drop_gently();
        let gone = room.gone;
        self.sweep(&gone, until)
    }

    fn sweep(&mut self, gone: &[bool], until: Instant) -> u32 {
        let count = gone.iter().filter(|gone| **gone).count() as u32;
        if count == 0 {
            return 0;
        }
        let note = Entry {
            at: Instant::MIN,
            revision: until.max(self.dropped_until()).as_millis(),
            value: self.dropped() + u64::from(count),
            reference: 0,
            name: Sym::NONE,
            tag: Tag::Dropped,
            removed: false,
        };
        let kept = self.entries.iter().zip(gone).filter(|(e, gone)| !**gone && e.tag != Tag::Dropped);
        let mut entries: Vec<Entry> = std::iter::once(note).chain(kept.map(|(e, _)| *e)).collect();
        self.texts = self.texts.packed(&mut entries);
        self.entries = entries;
        self.index.renew(&self.entries);
        count
    }
}

struct Room<'a> {
    timeline: &'a Timeline,
    footing: &'a Footing,
    symbols: &'a Symbols,
    now: Instant,
    gone: Vec<bool>,
    /// How many are still to go.
    left: usize,
}

impl<'a> Room<'a> {
    fn new(
        timeline: &'a Timeline,
        goal: usize,
        footing: &'a Footing,
        now: Instant,
        symbols: &'a Symbols,
    ) -> Room<'a> {
        let gone = vec![false; timeline.entries.len()];
        Room { timeline, footing, symbols, now, gone, left: goal }
    }

    /// Steps 1 to 3. Answers up to when everything was dropped.
    fn drop_gently(&mut self) -> Instant {
        self.drop_repetition();
        self.drop_unused();
        self.drop_cycles(Self::kept_whole_at)
    }

    fn entries(&self) -> &[Entry] {
        &self.timeline.entries
    }

    fn drop(&mut self, place: usize) {
        self.gone[place] = true;
        self.left = self.left.saturating_sub(1);
    }

    fn is_repeated(&self, entry: &Entry) -> bool {
        entry.tag == Tag::Mark && !self.symbols.is_single(entry.name)
    }

    fn is_used(&self, place: usize) -> bool {
        self.footing.used.get(place).copied().unwrap_or(false)
    }

    /// Whether the two are one attribute, or one deadline of one reference.
    fn is_same_thing(&self, a: &Entry, b: &Entry) -> bool {
        let texts = &self.timeline.texts;
        a.name == b.name
            && (a.tag == Tag::Deadline) == (b.tag == Tag::Deadline)
            && (a.reference == 0) == (b.reference == 0)
            && (a.reference == 0 || texts.get(a.reference) == texts.get(b.reference))
    }

    fn says_the_same(&self, a: &Entry, b: &Entry) -> bool {
        let texts = &self.timeline.texts;
        let same_value = match a.tag {
            Tag::Text => texts.get(a.value as u32) == texts.get(b.value as u32),
            _ => a.value == b.value,
        };
        a.tag == b.tag && !a.removed && !b.removed && same_value
    }

    /// Step 1.
    fn drop_repetition(&mut self) {
        // What each attribute and deadline said last.
        let mut said: Vec<usize> = Vec::new();
        // The name of the run, its first mark, and its last so far.
        let mut run: Option<(Sym, usize, usize)> = None;
        for place in 0..self.entries().len() {
            let entry = self.entries()[place];
            if self.left == 0 || entry.at > self.now {
                return;
            }
            if entry.tag <= Tag::Deadline {
                let known = said.iter().position(|p| self.is_same_thing(&self.entries()[*p], &entry));
                match known {
                    Some(known) if self.says_the_same(&self.entries()[said[known]], &entry) => {
                        self.drop(place)
                    }
                    Some(known) => said[known] = place,
                    None => said.push(place),
                }
            } else if self.is_repeated(&entry) && !entry.removed {
                run = match run {
                    Some((name, first, last)) if name == entry.name => {
                        if last != first && !self.is_used(last) {
                            self.drop(last);
                        }
                        Some((name, first, place))
                    }
                    _ => Some((entry.name, place, place)),
                };
            }
        }
    }

    /// Step 2.
    fn drop_unused(&mut self) {
        let newest = self.newest(self.now, |room, e| room.is_repeated(e));
        for place in 0..self.entries().len() {
            let entry = self.entries()[place];
            if self.left == 0 || entry.at > self.now {
                return;
            }
            let stays = self.gone[place] || self.is_used(place) || newest.binary_search(&place).is_ok();
            if self.is_repeated(&entry) && !stays {
                self.drop(place);
            }
        }
    }

    /// The newest entry up to `until` of each name or thing among some.
    fn newest(&self, until: Instant, among: impl Fn(&Self, &Entry) -> bool) -> Vec<usize> {
        let mut newest: Vec<usize> = Vec::new();
        for (place, entry) in self.entries().iter().enumerate() {
            // What is no longer there stands for nothing that was said before it.
            if entry.at > until || entry.removed || self.gone[place] || !among(self, entry) {
                continue;
            }
            let is_same = |p: &&mut usize| {
                let known = &self.entries()[**p];
                match entry.tag {
                    Tag::Mark => known.tag == Tag::Mark && known.name == entry.name,
                    _ => known.tag != Tag::Mark && self.is_same_thing(known, entry),
                }
            };
            match newest.iter_mut().find(is_same) {
                Some(known) => *known = place,
                None => newest.push(place),
            }
        }
        newest.sort_unstable();
        newest
    }

    /// Steps 3 and 4, by what `kept` says is to stay. Answers up to when.
    fn drop_cycles(&mut self, kept: fn(&Self, Instant) -> Vec<bool>) -> Instant {
        let known = self.entries().partition_point(|e| e.at <= self.now);
        // The earliest instant that frees enough, in eighths; else whatever there is to free.
        for eighth in 1..=8 {
            if self.left == 0 || known == 0 {
                break;
            }
            let until = self.entries()[(known * eighth / 8).saturating_sub(1)].at;
            let stays = self.stays(until, &kept(self, until));
            let may_go =
                |place: &usize| self.entries()[*place].at <= until && !stays[*place] && !self.gone[*place];
            let free: Vec<usize> = (0..known).filter(may_go).collect();
            if free.len() >= self.left || (eighth == 8 && !free.is_empty()) {
                free.into_iter().for_each(|place| self.drop(place));
                return until;
            }
        }
        Instant::MIN
    }

    /// By place, the entries that stay when all is dropped up to `until` but what these cycles go by, and how things
    /// stand then.
    fn stays(&self, until: Instant, kept: &[bool]) -> Vec<bool> {
        let kept = || self.footing.stretches.iter().zip(kept).filter(|(_, kept)| **kept).map(|(s, _)| s);
        let mut instants: Vec<Instant> = kept().flat_map(Stretch::needs).collect();
        instants.sort_unstable();
        let newest = self.newest(until, |room, e| e.tag <= Tag::Deadline || room.is_repeated(e));
        let mut stays = vec![true; self.entries().len()];
        // What a mark that stays did not start must not start now: how things stood at it stays as well.
        let mut marks: Vec<Instant> = Vec::new();
        for (place, entry) in self.entries().iter().enumerate() {
            if self.gone[place] || entry.at > until || entry.tag != Tag::Mark {
                continue;
            }
            let is_needed =
                || newest.binary_search(&place).is_ok() || instants.binary_search(&entry.at).is_ok();
            stays[place] = !self.is_repeated(entry) || is_needed();
            if stays[place] {
                marks.push(entry.at);
            }
        }
        // The next entry of each attribute and deadline, going backwards.
        let mut next: Vec<usize> = Vec::new();
        for (place, entry) in self.entries().iter().enumerate().rev() {
            if self.gone[place] || entry.at > until || entry.tag > Tag::Deadline {
                continue;
            }
            if entry.removed {
                stays[place] = false;
                continue;
            }
            let known = next.iter().position(|p| self.is_same_thing(&self.entries()[*p], entry));
            let held_until = known.map_or(Instant::MAX, |known| self.entries()[next[known]].at);
            match known {
                Some(known) => next[known] = place,
                None => next.push(place),
            }
            // What was said first holds since the case began.
            let is_first = entry.at == self.timeline.first_seen || entry.tag == Tag::Deadline;
            let held_from = if is_first { Instant::MIN } else { entry.at };
            let mark = marks.get(marks.partition_point(|at| *at < held_from));
            stays[place] = newest.binary_search(&place).is_ok()
                || mark.is_some_and(|at| *at <= held_until)
                || kept().any(|s| held_from <= s.end && s.start <= held_until);
        }
        stays
    }

    /// The cycles that have to stay when all is dropped up to `until`.
    fn kept_at(&self, until: Instant) -> Vec<bool> {
        let mut kept = Vec::with_capacity(self.footing.stretches.len());
        for stretches in self.footing.stretches.chunk_by(|a, b| a.clock == b.clock) {
            let begun = stretches.partition_point(|s| s.start <= until);
            kept.extend(stretches.iter().enumerate().map(|(i, stretch)| {
                // The first says that there was one, which a reopening asks; where every cycle begins with the end of
                // the one before, it would have to keep them all.
                let is_first = i == 0 && stretches.get(1).is_none_or(|next| next.start != stretch.end);
                let is_last = i + 1 == begun;
                let start = &self.entries()[stretch.start_entry];
                let starts_once = start.tag == Tag::Mark && !self.is_repeated(start);
                i < begun && (stretch.end > until || is_first || is_last || starts_once)
            }));
        }
        kept
    }

    /// Those, and every other cycle in which something lies that stays: it may have had no effect only because that cycle
    /// was open, and kept in half it would be another one.
    fn kept_whole_at(&self, until: Instant) -> Vec<bool> {
        let mut kept = self.kept_at(until);
        loop {
            let stays = self.stays(until, &kept);
            let parts = self.entries().iter().enumerate().filter(|(place, e)| {
                let counts = e.tag == Tag::Mark || self.is_used(*place);
                counts && e.at <= until && stays[*place] && !self.gone[*place]
            });
            let mut instants: Vec<Instant> = parts.map(|(_, e)| e.at).collect();
            let mut is_whole = true;
            while let Some(instant) = instants.pop() {
                let mut first = 0;
                for stretches in self.footing.stretches.chunk_by(|a, b| a.clock == b.clock) {
                    // One clock's cycles follow one another.
                    let begun = stretches.partition_point(|s| s.start <= instant);
                    for i in (0..begun).rev().take_while(|i| stretches[*i].end >= instant) {
                        if !std::mem::replace(&mut kept[first + i], true) {
                            is_whole = false;
                            instants.extend(stretches[i].needs().filter(|t| *t <= until));
                        }
                    }
                    first += stretches.len();
                }
            }
            if is_whole {
                return kept;
            }
        }
    }

    /// Step 4. Answers up to when.
    fn drop_oldest(&mut self) -> Instant {
        let mut until = self.drop_cycles(Self::kept_at);
        for spare_newest in [true, false] {
            let newest = if spare_newest {
                self.newest(self.now, |room, e| e.tag <= Tag::Deadline || room.is_repeated(e))
            } else {
                Vec::new()
            };
            for place in 0..self.entries().len() {
                let entry = self.entries()[place];
                if self.left == 0 {
                    return until;
                }
                let may_go = entry.tag <= Tag::Deadline || self.is_repeated(&entry);
                if may_go && !self.gone[place] && newest.binary_search(&place).is_err() {
                    self.drop(place);
                    until = until.max(entry.at.min(self.now));
                }
            }
        }
        until
    }
}
