//! The timeline of a case: the merge of everything that was observed of it (`sla_semantics` §4).
//!
//! Its entries are sorted by instant, its texts (id, references, text values) lie in one block. A desk holds a million
//! of these and works on one at a time: `rest.rs` is how the others are kept. There is room for so many entries in a
//! case; `room.rs` says what goes when it is full.

mod index;
mod own;
mod rest;
mod room;
mod texts;

use serde::{Deserialize, Serialize};

use crate::core::model::{Mark, Observation, Sym, Symbols, Value};
use crate::core::time::{Instant, Span};

use index::Index;
use texts::Texts;

pub use own::Expected;
pub use room::{Footing, Stretch};

/// What one case did so far, as far as we know.
#[derive(Clone, Debug)]
pub struct Timeline {
    texts: Texts,
    entries: Vec<Entry>,
    first_seen: Instant,
    index: Index,
}

/// One entry of a timeline.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// A mark: its instant. An attribute or deadline: since when it holds.
    pub at: Instant,
    revision: i64,
    /// By tag: nothing, a deadline's instant, a number, or that of a text.
    value: u64,
    /// The number of the reference text, 0 for none.
    reference: u32,
    /// The name of the mark or attribute.
    pub name: Sym,
    tag: Tag,
    removed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Bool,
    Int,
    Real,
    Text,
    Deadline,
    Mark,
    /// No source said it: a person took a cycle out of the count. Its name is that of the clock, its value the cycle's
    /// key.
    Excuse,
    /// Stands first once entries were dropped: its value is how many, its revision the instant in milliseconds up to
    /// which nothing new is taken in any more. It has no name.
    Dropped,
}

impl Entry {
    /// Whether the platform said that it is no longer there (T5).
    pub fn is_removed(&self) -> bool {
        self.removed
    }
}

/// How an entry counts for the clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Something happened at [`Entry::at`].
    Mark,
    /// Since [`Entry::at`] the platform's deadline is this instant.
    Deadline(Instant),
    /// Since [`Entry::at`] the attribute has this value.
    Attribute(Scalar<'a>),
}

/// The value of an attribute at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(&'a str),
}

/// An entry as it is kept, names and texts written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedEntry {
    at: i64,
    revision: i64,
    name: String,
    reference: String,
    value: SavedValue,
    removed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum SavedValue {
    Mark,
    Deadline(i64),
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Excuse(u64),
    Dropped(u64),
}

/// What merging an observation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// Entries that are new or other than before.
    pub changed: u32,
    /// Entries that were known already (T2).
    pub duplicates: u32,
    /// Of those, entries whose revision rose (T3): to be kept, but no news to any clock.
    pub revised: u32,
    /// Entries that contradict a known one of the same revision (T3).
    pub conflicts: u32,
    /// Entries refused because they lie more than 24 h ahead (T7).
    pub future: u32,
    /// Entries refused because their instant is implausible (before 2000 or after 2096).
    pub implausible: u32,
    /// Entries refused because a name or text is too long, a number is not finite, or one observation has too many.
    pub refused: u32,
    /// Entries dropped from a full case, and those that are older than what was dropped with all that it was.
    pub dropped: u32,
}

impl Merge {
    /// Adds the counts of another merge.
    pub fn add(&mut self, other: Merge) {
        self.changed += other.changed;
        self.duplicates += other.duplicates;
        self.revised += other.revised;
        self.conflicts += other.conflicts;
        self.future += other.future;
        self.implausible += other.implausible;
        self.refused += other.refused;
        self.dropped += other.dropped;
    }
}

/// Working space for merging, kept between calls so that a merge allocates only what a case keeps.
#[derive(Debug, Default)]
pub struct MergeScratch {
    entries: Vec<Entry>,
    texts: Texts,
    /// A text was replaced, so that the old one lies unused.
    replaced: bool,
    /// The names of the entries that the last merge changed.
    changed: Vec<Sym>,
    /// The earliest instant from which the last merge changed anything.
    changed_from: Instant,
}

impl MergeScratch {
    /// The names of the entries that the last merge changed; some may come twice.
    pub fn changed(&self) -> &[Sym] {
        &self.changed
    }

    /// The earliest instant from which the last merge changed anything.
    pub fn changed_from(&self) -> Instant {
        self.changed_from
    }

    /// Notes that an entry is another one from `at` on. Deadlines hold from the start of the case once they are known.
    fn note(&mut self, name: Sym, tag: Tag, at: Instant) {
        self.changed.push(name);
        let from = if tag == Tag::Deadline { Instant::MIN } else { at };
        self.changed_from = self.changed_from.min(from);
    }

    /// Drops texts that nothing points to any more.
    fn compact(&mut self) {
        self.texts = self.texts.packed(&mut self.entries);
        self.replaced = false;
    }
}

/// The key of an entry (T1–T3): which known entry a new one is the same as.
///
/// | entry | key |
/// | --- | --- |
/// | single mark ([`Symbols::is_single`]) | its name alone; a reference says nothing and is not kept |
/// | repeated mark | name and reference, or, without one, name and instant: the instant is the reference (T1) |
/// | deadline (its name ends in `_by`) | name, reference (one a seller, say) and since when it is known |
/// | attribute | name and since when it holds |
struct Key<'a> {
    name: Sym,
    tag: Tag,
    reference: Option<&'a str>,
    /// Where it is part of the key.
    at: Option<Instant>,
}

impl Key<'_> {
    fn is_single(&self) -> bool {
        self.tag == Tag::Mark && self.reference.is_none() && self.at.is_none()
    }
}

impl Timeline {
    /// The most entries of one case; with more of them it is to be given room ([`Timeline::make_room`]).
    pub const MOST_ENTRIES: usize = 4_096;
    /// The most new entries of one observation; more are refused and counted.
    pub const MOST_AT_ONCE: usize = 16_384;
    /// The longest text value or reference in bytes; longer ones are refused and counted.
    pub const LONGEST_TEXT: usize = 2_000;
    /// How far ahead of now an entry may lie (T7).
    pub const AHEAD: Span = Span::DAY;

    /// An empty timeline of the case `id`.
    pub fn new(id: &str) -> Timeline {
        let (entries, index) = (Vec::new(), Index::default());
        Timeline { texts: Texts::of(id), entries, first_seen: Instant::MAX, index }
    }

    /// The platform's id of the case.
    pub fn id(&self) -> &str {
        self.texts.get(0)
    }

    /// Whether this is the case `id`.
    pub fn is_of(&self, id: &str) -> bool {
        self.id() == id
    }

    /// The earliest `as_of` of all its observations. What that first snapshot said is taken to have held since the
    /// case began: nothing older is known. One that is dated ahead says nothing until then (T7).
    pub fn first_seen(&self) -> Instant {
        self.first_seen
    }

    /// Every entry that a source told and that is not removed, ordered by instant, attributes and deadlines before
    /// marks at the same instant.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|e| !e.removed && e.tag <= Tag::Mark)
    }

    /// Every entry, the removed ones and those of persons included, by the place that a cycle names its start with.
    pub fn all_entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What an entry says.
    pub fn content(&self, entry: &Entry) -> Content<'_> {
        match entry.tag {
            Tag::Mark | Tag::Excuse | Tag::Dropped => Content::Mark,
            // Since then there is none: nothing that a clock would go by.
            Tag::Deadline if entry.value == own::NEVER => Content::Mark,
            Tag::Deadline => Content::Deadline(Instant::from_millis(entry.value as i64)),
            Tag::Bool => Content::Attribute(Scalar::Bool(entry.value != 0)),
            Tag::Int => Content::Attribute(Scalar::Int(entry.value as i64)),
            Tag::Real => Content::Attribute(Scalar::Real(f64::from_bits(entry.value))),
            Tag::Text => Content::Attribute(Scalar::Text(self.texts.get(entry.value as u32))),
        }
    }

    /// The cycle that the entry takes out of the count, of the clock that it is named after.
    pub fn excused(&self, entry: &Entry) -> Option<u64> {
        (entry.tag == Tag::Excuse).then_some(entry.value)
    }

    /// A person takes a cycle out of the count at `at`: once and for all.
    pub fn excuse(&mut self, clock: Sym, cycle: u64, at: Instant) {
        let is_same = |e: &Entry| (e.tag, e.name, e.value) == (Tag::Excuse, clock, cycle);
        if self.entries.iter().any(is_same) {
            return;
        }
        let place = self.entries.partition_point(|e| e.at <= at);
        let (revision, reference, tag) = (0, 0, Tag::Excuse);
        let entry = Entry { at, revision, value: cycle, reference, name: clock, tag, removed: false };
        self.entries.insert(place, entry);
        self.index.renew(&self.entries);
    }

    /// The platform's id of the message or scan, if the entry has one.
    pub fn reference(&self, entry: &Entry) -> Option<&str> {
        (entry.reference != 0).then(|| self.texts.get(entry.reference))
    }

    /// The value of the attribute at `t` (T6): that of the newest snapshot not after `t`, or, before any, what the
    /// first snapshot of the case said, once `now` has reached it (T7).
    pub fn value_at(&self, name: Sym, t: Instant, now: Instant) -> Option<Scalar<'_>> {
        /// In a case that has been told something so much more often since, it is looked for near `t`.
        const NEAR: usize = 16;
        let mut first = None;
        for (steps, place) in self.index.backwards(name).enumerate() {
            let entry = &self.entries[place];
            if entry.at <= t {
                return self.attribute(entry);
            }
            if steps == NEAR {
                return self.value_near(name, t, now);
            }
            if entry.at == self.first_seen && entry.at <= now {
                first = Some(entry);
            }
        }
        self.attribute(first?)
    }

    fn value_near(&self, name: Sym, t: Instant, now: Instant) -> Option<Scalar<'_>> {
        let is_it = |e: &&Entry| e.name == name && !e.removed && e.tag <= Tag::Mark;
        let first = || self.entries.iter().filter(is_it).find(|e| e.at == self.first_seen && e.at <= now);
        let until = self.entries.partition_point(|e| e.at <= t);
        self.attribute(self.entries[..until].iter().rfind(is_it).or_else(first)?)
    }

    fn attribute(&self, entry: &Entry) -> Option<Scalar<'_>> {
        match self.content(entry) {
            Content::Attribute(value) => Some(value),
            Content::Mark | Content::Deadline(_) => None,
        }
    }

    /// Whether any entry has this name.
    pub(in crate::core) fn has(&self, name: Sym) -> bool {
        self.index.backwards(name).next().is_some()
    }

    /// All values that the attribute has had, the newest first.
    pub(in crate::core) fn values(&self, name: Sym) -> impl Iterator<Item = Scalar<'_>> {
        self.index.backwards(name).filter_map(|place| self.attribute(&self.entries[place]))
    }

    /// The first instant after `now` at which an entry with a name that `counts` begins to count (T7).
    pub fn next_entry_after(&self, now: Instant, counts: impl Fn(Sym) -> bool) -> Option<Instant> {
        if self.last_change().is_none_or(|last| last <= now) {
            return None;
        }
        let after = self.entries.partition_point(|e| e.at <= now);
        self.entries[after..]
            .iter()
            .find(|e| !e.removed && e.tag <= Tag::Mark && counts(e.name))
            .map(|e| e.at)
    }

    /// Whether any entry lies in `[from, to]`.
    pub fn has_entry_at(&self, from: Instant, to: Instant) -> bool {
        let place = self.entries.partition_point(|e| e.at < from);
        self.entries.get(place).is_some_and(|e| e.at <= to)
    }

    /// Whether there are more entries than there is room for.
    pub fn is_full(&self) -> bool {
        self.entries.len() > Timeline::MOST_ENTRIES
    }

    /// The newest instant of any entry.
    pub fn last_change(&self) -> Option<Instant> {
        self.entries.last().map(|e| e.at)
    }

    /// The oldest instant it holds, that of its first snapshot included.
    pub fn oldest(&self) -> Instant {
        let first = self.entries.iter().find(|e| e.tag != Tag::Dropped);
        first.map_or(self.first_seen, |e| e.at.min(self.first_seen))
    }

    /// The entries as they are kept, names and texts written out.
    pub fn save(&self, symbols: &Symbols) -> Vec<SavedEntry> {
        let saved = |entry: &Entry| SavedEntry {
            at: entry.at.as_millis(),
            revision: entry.revision,
            name: if entry.tag == Tag::Dropped {
                String::new()
            } else {
                symbols.name(entry.name).to_string()
            },
            reference: self.reference(entry).unwrap_or_default().to_owned(),
            value: match entry.tag {
                Tag::Mark => SavedValue::Mark,
                Tag::Deadline => SavedValue::Deadline(entry.value as i64),
                Tag::Bool => SavedValue::Bool(entry.value != 0),
                Tag::Int => SavedValue::Int(entry.value as i64),
                Tag::Real => SavedValue::Real(f64::from_bits(entry.value)),
                Tag::Text => SavedValue::Text(self.texts.get(entry.value as u32).to_owned()),
                Tag::Excuse => SavedValue::Excuse(entry.value),
                Tag::Dropped => SavedValue::Dropped(entry.value),
            },
            removed: entry.removed,
        };
        self.entries.iter().map(saved).collect()
    }

    /// The timeline that [`Timeline::save`] wrote; `None` when a name or text is too long.
    pub fn load(
        id: &str,
        first_seen: Instant,
        saved: &[SavedEntry],
        symbols: &mut Symbols,
    ) -> Option<Timeline> {
        let mut texts = Texts::of(id);
        let mut entries = Vec::with_capacity(saved.len());
        let fits = |text: &str| (text.len() <= Timeline::LONGEST_TEXT).then_some(());
        for entry in saved.iter().take(Timeline::MOST_ENTRIES + Timeline::MOST_AT_ONCE) {
            let name = match entry.value {
                SavedValue::Dropped(_) => Sym::NONE,
                _ => symbols.intern(&entry.name)?,
            };
            let (tag, value) = match &entry.value {
                SavedValue::Mark => (Tag::Mark, 0),
                SavedValue::Excuse(cycle) => (Tag::Excuse, *cycle),
                SavedValue::Dropped(count) => (Tag::Dropped, *count),
                SavedValue::Deadline(at) => (Tag::Deadline, *at as u64),
                SavedValue::Bool(yes) => (Tag::Bool, u64::from(*yes)),
                SavedValue::Int(number) => (Tag::Int, *number as u64),
                SavedValue::Real(number) => (Tag::Real, number.to_bits()),
                SavedValue::Text(text) => {
                    fits(text)?;
                    (Tag::Text, u64::from(share_text(&mut texts, &entries, name, text)))
                }
            };
            fits(&entry.reference)?;
            let reference = if entry.reference.is_empty() { 0 } else { texts.push(&entry.reference) };
            entries.push(Entry {
                at: Instant::from_millis(entry.at),
                revision: entry.revision,
                value,
                reference,
                name,
                tag,
                removed: entry.removed,
            });
        }
        let mut index = Index::default();
        index.renew(&entries);
        Some(Timeline { texts, entries, first_seen, index })
    }

    /// Merges an observation made at `now`. Order, repetition and splitting of observations do not matter (T9).
    pub fn merge(
        &mut self,
        observation: &Observation<'_>,
        now: Instant,
        symbols: &mut Symbols,
        scratch: &mut MergeScratch,
    ) -> Merge {
        let mut merge = Merge::default();
        scratch.changed.clear();
        scratch.changed_from = Instant::MAX;
        if !observation.as_of.is_plausible() {
            merge.implausible = (observation.marks.len() + observation.attributes.len()) as u32;
            return merge;
        }
        scratch.entries.clear();
        scratch.entries.extend_from_slice(&self.entries);
        scratch.texts.clone_from(&self.texts);
        let is_known_time =
            self.dropped_until() < observation.as_of && observation.as_of <= now + Timeline::AHEAD;
        if observation.as_of < self.first_seen && is_known_time {
            self.first_seen = observation.as_of;
        }
        for mark in &observation.marks {
            merge_mark(mark, observation, now, symbols, scratch, &mut merge);
        }
        for (name, value) in &observation.attributes {
            merge_attribute(name, value, observation, now, symbols, scratch, &mut merge);
        }
        // What the first snapshot said holds from the start of the case.
        if scratch.changed_from <= self.first_seen {
            scratch.changed_from = Instant::MIN;
        }
        if merge.changed > 0 || merge.revised > 0 {
            if scratch.replaced {
                scratch.compact();
            }
            scratch.entries.sort_by_key(|e| (e.at, e.tag == Tag::Mark));
            std::mem::swap(&mut self.entries, &mut scratch.entries);
            std::mem::swap(&mut self.texts, &mut scratch.texts);
            self.index.renew(&self.entries);
        }
        merge
    }
}

fn merge_mark(
    mark: &Mark<'_>,
    observation: &Observation<'_>,
    now: Instant,
    symbols: &mut Symbols,
    scratch: &mut MergeScratch,
    merge: &mut Merge,
) {
    let too_long = mark.reference.as_ref().is_some_and(|r| r.len() > Timeline::LONGEST_TEXT);
    let Some(name) = symbols.intern(&mark.name).filter(|_| !too_long) else {
        merge.refused += 1;
        return;
    };
    if !mark.at.is_plausible() {
        merge.implausible += 1;
        return;
    }
    let reference = mark.reference.as_deref().filter(|r| !r.is_empty());
    let is_deadline = symbols.is_deadline(name);
    let at = if is_deadline { observation.as_of } else { mark.at };
    if at > now + Timeline::AHEAD {
        merge.future += 1;
        return;
    }
    let key = if is_deadline {
        Key { name, tag: Tag::Deadline, reference, at: Some(at) }
    } else {
        let reference = reference.filter(|_| !symbols.is_single(name));
        let keyed_by_instant = reference.is_none() && !symbols.is_single(name);
        Key { name, tag: Tag::Mark, reference, at: keyed_by_instant.then_some(at) }
    };
    let value = if is_deadline { mark.at.as_millis() as u64 } else { 0 };
    put(key, at, value, mark.removed, observation.revision, scratch, merge);
}

fn merge_attribute(
    name: &str,
    value: &Value<'_>,
    observation: &Observation<'_>,
    now: Instant,
    symbols: &mut Symbols,
    scratch: &mut MergeScratch,
    merge: &mut Merge,
) {
    let fits = match value {
        Value::Text(text) => text.len() <= Timeline::LONGEST_TEXT,
        Value::Real(number) => number.is_finite(),
        Value::Bool(_) | Value::Int(_) => true,
    };
    let Some(name) = symbols.intern(name).filter(|_| fits) else {
        merge.refused += 1;
        return;
    };
    if observation.as_of > now + Timeline::AHEAD {
        merge.future += 1;
        return;
    }
    let before = scratch.texts.count();
    let (tag, bits) = match value {
        Value::Bool(yes) => (Tag::Bool, u64::from(*yes)),
        Value::Int(number) => (Tag::Int, *number as u64),
        Value::Real(number) => (Tag::Real, number.to_bits()),
        Value::Text(text) => {
            let place = share_text(&mut scratch.texts, &scratch.entries, name, text);
            (Tag::Text, u64::from(place))
        }
    };
    let after = scratch.texts.count();
    let key = Key { name, tag, reference: None, at: Some(observation.as_of) };
    let changed = merge.changed;
    put(key, observation.as_of, bits, false, observation.revision, scratch, merge);
    if merge.changed == changed && scratch.texts.count() == after {
        // Nothing points to a text that was put in advance.
        scratch.texts.truncate(before);
    }
}

/// T1–T3 for one entry.
fn put(
    key: Key<'_>,
    at: Instant,
    value: u64,
    removed: bool,
    revision: i64,
    scratch: &mut MergeScratch,
    merge: &mut Merge,
) {
    let MergeScratch { entries, texts, replaced, .. } = scratch;
    let is_attribute = key.tag < Tag::Deadline;
    let known = entries.iter_mut().find(|e| {
        e.name == key.name
            && (e.tag == key.tag || (is_attribute && e.tag < Tag::Deadline))
            && key.at.is_none_or(|at| e.at == at)
            && match key.reference {
                Some(reference) => e.reference != 0 && texts.get(e.reference) == reference,
                // An entry from before its mark was declared single may have a reference.
                None => e.reference == 0 || key.is_single(),
            }
    });
    let Some(known) = known else {
        if !key.is_single() && at <= room::dropped_until(entries) {
            merge.dropped += 1;
            return;
        }
        if entries.len() >= Timeline::MOST_ENTRIES + Timeline::MOST_AT_ONCE {
            merge.refused += 1;
            return;
        }
        let reference = key.reference.map_or(0, |text| texts.push(text));
        entries.push(Entry { at, revision, value, reference, name: key.name, tag: key.tag, removed });
        merge.changed += 1;
        scratch.note(key.name, key.tag, at);
        return;
    };
    let same_value = known.tag == key.tag
        && match key.tag {
            Tag::Text => texts.get(known.value as u32) == texts.get(value as u32),
            _ => known.value == value,
        };
    if same_value && known.at == at && known.removed == removed {
        merge.duplicates += 1;
        if revision > known.revision {
            known.revision = revision;
            merge.revised += 1;
        }
        return;
    }
    let wins = revision > known.revision
        || (revision == known.revision && {
            // Same revision, other content: a removal wins, then the smaller instant, then the smaller value, so
            // that the order of arrival cannot matter (T3).
            if removed == known.removed {
                merge.conflicts += 1;
            }
            let rank = |tag: Tag, value: u64| match tag {
                Tag::Int | Tag::Deadline => (tag, value ^ (1 << 63)),
                _ => (tag, value),
            };
            let by_value = if key.tag == Tag::Text && known.tag == Tag::Text {
                texts.get(value as u32).cmp(texts.get(known.value as u32))
            } else {
                rank(key.tag, value).cmp(&rank(known.tag, known.value))
            };
            known.removed.cmp(&removed).then(at.cmp(&known.at)).then(by_value).is_lt()
        });
    if !wins {
        return;
    }
    *replaced |= known.tag == Tag::Text;
    let earlier = known.at.min(at);
    (known.at, known.value, known.tag) = (at, value, key.tag);
    (known.removed, known.revision) = (removed, revision);
    merge.changed += 1;
    scratch.note(key.name, key.tag, earlier);
}

/// The number of a text value: an attribute is told anew by every snapshot, and mostly says what it said before.
fn share_text(texts: &mut Texts, entries: &[Entry], name: Sym, text: &str) -> u32 {
    let says_it = |e: &&Entry| e.name == name && e.tag == Tag::Text && texts.get(e.value as u32) == text;
    match entries.iter().rfind(says_it) {
        Some(entry) => entry.value as u32,
        None => texts.push(text),
    }
}
