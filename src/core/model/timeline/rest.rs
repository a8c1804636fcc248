//! A timeline at rest: the bytes that a case is kept in while nothing happens to it.
//!
//! A desk holds a million of these and works on one at a time. So an entry that is at work has its parts in place, and one
//! at rest takes a handful of bytes: instants as steps from the entry before, texts that many cases say as their numbers.
//!
//! ```text
//! id · first_seen · texts (a word of the table, a part of the id, or its own) · entries, each:
//!     head    tag, removed, how the instant is written, whether the revision is another one, whether it has a reference
//!     name · instant · revision · reference · value, as far as the head says
//! ```

use smallvec::SmallVec;

use super::texts::OWN;
use super::{Entry, Tag, Timeline, own};
use crate::core::model::bytes::{Bytes, fold, put, unfold};
use crate::core::model::{Sym, Symbols};
use crate::core::time::Instant;

const TAGS: [Tag; 8] =
    [Tag::Bool, Tag::Int, Tag::Real, Tag::Text, Tag::Deadline, Tag::Mark, Tag::Excuse, Tag::Dropped];
const TAG: u8 = 7;
const REMOVED: u8 = 1 << 3;
/// At another instant than the entry before …
const LATER: u8 = 1 << 4;
/// … by whole seconds.
const SECONDS: u8 = 1 << 5;
const REVISED: u8 = 1 << 6;
const REFERS: u8 = 1 << 7;

/// How a text is written, in the low bits of its length or number.
const INLINE: u64 = 0;
const WORD: u64 = 1;
const OF_ID: u64 = 2;

/// How a deadline is written, in the low bits of its distance.
const MILLIS: u64 = 0;
const SECS: u64 = 1;
const WHOLE: u64 = 2;
const NEVER: u64 = 3;

/// Shorter texts are not looked for in the id.
const WORTH_LOOKING: usize = 4;

impl Timeline {
    /// Whether the bytes of [`Timeline::pack`] are those of the case `id`.
    pub(in crate::core) fn is_packed_of(bytes: &[u8], id: &str) -> bool {
        let mut bytes = Bytes(bytes);
        let length = bytes.number() as usize;
        length == id.len() && bytes.some(length) == id.as_bytes()
    }

    /// The id of the case whose bytes these are.
    pub(in crate::core) fn packed_id(bytes: &[u8]) -> &str {
        let mut bytes = Bytes(bytes);
        let length = bytes.number() as usize;
        text(bytes.some(length))
    }

    /// Appends it to `bytes`.
    pub(in crate::core) fn pack(&self, bytes: &mut Vec<u8>, symbols: &mut Symbols) {
        put(bytes, self.id().len() as u64);
        bytes.extend_from_slice(self.id().as_bytes());
        put(bytes, fold(self.first_seen.as_millis()));
        self.pack_texts(bytes, symbols);
        put(bytes, self.entries.len() as u64);
        let (mut at, mut revision, mut revised) = (Instant::EARLIEST, 0, 0);
        for entry in &self.entries {
            let step = entry.at.as_millis().wrapping_sub(at.as_millis()) as u64;
            let is_whole = step.is_multiple_of(1_000);
            let mut head = entry.tag as u8;
            let flags = [
                (entry.removed, REMOVED),
                (step != 0, LATER),
                (step != 0 && is_whole, SECONDS),
                (entry.revision != revision, REVISED),
                (entry.reference != 0, REFERS),
            ];
            head |= flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | flag);
            bytes.push(head);
            put(bytes, entry.name.index() as u64);
            if step != 0 {
                put(bytes, if is_whole { step / 1_000 } else { step });
            }
            at = entry.at;
            if entry.revision != revision {
                put_revision(bytes, entry.revision, revised);
                revision = entry.revision;
                revised = if revision == 0 { revised } else { revision };
            }
            if entry.reference != 0 {
                put(bytes, u64::from(entry.reference));
            }
            match entry.tag {
                Tag::Mark => {}
                Tag::Bool | Tag::Text | Tag::Dropped => put(bytes, entry.value),
                Tag::Int => put(bytes, fold(entry.value as i64)),
                Tag::Deadline => put_deadline(bytes, entry),
                Tag::Real | Tag::Excuse => bytes.extend_from_slice(&entry.value.to_le_bytes()),
            }
        }
    }

    fn pack_texts(&self, bytes: &mut Vec<u8>, symbols: &mut Symbols) {
        let id = self.id().as_bytes();
        // References are never words: no two are the same.
        let mut names: SmallVec<[Option<Sym>; 32]> = SmallVec::from_elem(None, self.texts.count() as usize);
        for entry in self.entries.iter().filter(|e| e.tag == Tag::Text) {
            names[entry.value as usize] = Some(entry.name);
        }
        put(bytes, u64::from(self.texts.count() - 1));
        for (number, name) in (0..).zip(names).skip(1) {
            let text = self.texts.get(number);
            let word = match (self.texts.word(number), name) {
                (0, Some(name)) => symbols.word(name, text),
                (0 | OWN, _) => None,
                (known, _) => Some(known - 1),
            };
            let part = || {
                let looks = text.len() >= WORTH_LOOKING;
                looks.then(|| id.windows(text.len()).position(|part| part == text.as_bytes())).flatten()
            };
            if let Some(word) = word {
                put(bytes, u64::from(word) << 2 | WORD);
            } else if let Some(start) = part() {
                put(bytes, (text.len() as u64) << 2 | OF_ID);
                put(bytes, start as u64);
            } else {
                put(bytes, (text.len() as u64) << 2 | INLINE);
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Becomes the one that [`Timeline::pack`] wrote; the room of what it was before is used again.
    pub(in crate::core) fn unpack(&mut self, bytes: &mut Bytes<'_>, symbols: &Symbols) {
        self.texts.truncate(0);
        self.entries.clear();
        let length = bytes.number() as usize;
        let id = text(bytes.some(length));
        self.texts.push_known(id, OWN);
        self.first_seen = Instant::from_millis(unfold(bytes.number()));
        for _ in 0..bytes.number() {
            let head = bytes.number();
            let length = (head >> 2) as usize;
            let (text, word) = match head & 3 {
                WORD => (symbols.word_text(length as u32), length as u32 + 1),
                OF_ID => (&id[bytes.number() as usize..][..length], OWN),
                _ => (text(bytes.some(length)), OWN),
            };
            self.texts.push_known(text, word);
        }
        let count = bytes.number() as usize;
        self.entries.reserve(count);
        let (mut at, mut revision, mut revised) = (Instant::EARLIEST, 0, 0);
        for _ in 0..count {
            let head = bytes.byte();
            let tag = TAGS[usize::from(head & TAG)];
            let name = Sym::at(bytes.number() as u16);
            if head & LATER != 0 {
                let step = bytes.number();
                let step = if head & SECONDS != 0 { step.wrapping_mul(1_000) } else { step };
                at = Instant::from_millis(at.as_millis().wrapping_add(step as i64));
            }
            if head & REVISED != 0 {
                revision = take_revision(bytes, revised);
                revised = if revision == 0 { revised } else { revision };
            }
            let reference = if head & REFERS != 0 { bytes.number() as u32 } else { 0 };
            let value = match tag {
                Tag::Mark => 0,
                Tag::Bool | Tag::Text | Tag::Dropped => bytes.number(),
                Tag::Int => unfold(bytes.number()) as u64,
                Tag::Deadline => take_deadline(bytes, at),
                Tag::Real | Tag::Excuse => bytes.whole(),
            };
            let removed = head & REMOVED != 0;
            self.entries.push(Entry { at, revision, value, reference, name, tag, removed });
        }
        self.index.renew(&self.entries);
    }
}

/// Only whole texts are ever put in.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// What the engine says has none, and stands between what sources say.
fn put_revision(bytes: &mut Vec<u8>, revision: i64, before: i64) {
    match fold(revision.wrapping_sub(before)).checked_add(2) {
        _ if revision == 0 => put(bytes, 0),
        Some(step) => put(bytes, step),
        None => {
            put(bytes, 1);
            bytes.extend_from_slice(&revision.to_le_bytes());
        }
    }
}

fn take_revision(bytes: &mut Bytes<'_>, before: i64) -> i64 {
    match bytes.number() {
        0 => 0,
        1 => bytes.whole() as i64,
        step => before.wrapping_add(unfold(step - 2)),
    }
}

/// A deadline is near the instant since which it holds.
fn put_deadline(bytes: &mut Vec<u8>, entry: &Entry) {
    let distance = (entry.value as i64).wrapping_sub(entry.at.as_millis());
    let folded = fold(distance);
    if entry.value == own::NEVER {
        put(bytes, NEVER);
    } else if distance % 1_000 == 0 {
        put(bytes, fold(distance / 1_000) << 2 | SECS);
    } else if folded >> 62 == 0 {
        put(bytes, folded << 2 | MILLIS);
    } else {
        put(bytes, WHOLE);
        bytes.extend_from_slice(&entry.value.to_le_bytes());
    }
}

fn take_deadline(bytes: &mut Bytes<'_>, at: Instant) -> u64 {
    let head = bytes.number();
    let distance = match head & 3 {
        MILLIS => unfold(head >> 2),
        SECS => unfold(head >> 2).wrapping_mul(1_000),
        WHOLE => return bytes.whole(),
        _ => return own::NEVER,
    };
    at.as_millis().wrapping_add(distance) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::model::SavedEntry;
    use crate::core::model::timeline::SavedValue;

    fn packed(timeline: &Timeline, symbols: &mut Symbols) -> Vec<u8> {
        let mut bytes = Vec::new();
        timeline.pack(&mut bytes, symbols);
        bytes
    }

    #[test]
    fn what_many_cases_say_and_what_the_id_says_takes_next_to_no_room() {
        let mut symbols = Symbols::new();
        let entry = |name: &str, value: &str| SavedEntry {
            at: 1_772_416_800_000,
            revision: 0,
            name: name.to_owned(),
            reference: String::new(),
            value: SavedValue::Text(value.to_owned()),
            removed: false,
        };
        let long = "浙江省杭州市第七营业部";
        let saved = [entry("node", long), entry("waybill", "75312345678901"), entry("carrier", "zhongtong")];
        let id = "zhongtong:75312345678901";
        let timeline = Timeline::load(id, Instant::EARLIEST, &saved, &mut symbols).unwrap();
        let bytes = packed(&timeline, &mut symbols);
        assert!(bytes.len() < id.len() + 30, "{}", bytes.len());
        assert_eq!(Timeline::packed_id(&bytes), id);
        assert!(Timeline::is_packed_of(&bytes, id) && !Timeline::is_packed_of(&bytes, "zhongtong:7"));
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            1_772_416_800_000_i64..1_772_416_900_000,
            (0_i64..100_000).prop_map(|s| 1_772_416_800_000 + s * 1_000),
            -3_i64..3,
            any::<i64>(),
        ]
    }

    fn value() -> impl Strategy<Value = SavedValue> {
        prop_oneof![
            Just(SavedValue::Mark),
            number().prop_map(SavedValue::Deadline),
            any::<bool>().prop_map(SavedValue::Bool),
            number().prop_map(SavedValue::Int),
            any::<f64>().prop_filter("it is compared", |n| n.is_finite()).prop_map(SavedValue::Real),
            ".{0,80}".prop_map(SavedValue::Text),
            "[ab]{0,5}".prop_map(SavedValue::Text),
            any::<u64>().prop_map(SavedValue::Excuse),
            any::<u64>().prop_map(SavedValue::Dropped),
            Just(SavedValue::Deadline(own::NEVER as i64)),
        ]
    }

    fn entry() -> impl Strategy<Value = SavedEntry> {
        (number(), number(), "[a-c]", "[a-c]{0,4}", value(), any::<bool>()).prop_map(
            |(at, revision, name, reference, value, removed)| {
                let name = if matches!(value, SavedValue::Dropped(_)) { String::new() } else { name };
                SavedEntry { at, revision, name, reference, value, removed }
            },
        )
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_was(
            id in "[a-c]{1,9}",
            first_seen in number(),
            histories in prop::collection::vec(prop::collection::vec(entry(), 0..40), 1..4),
        ) {
            let mut symbols = Symbols::new();
            let mut again = Timeline::new("");
            for saved in histories {
                let first_seen = Instant::from_millis(first_seen);
                let timeline = Timeline::load(&id, first_seen, &saved, &mut symbols).unwrap();
                let bytes = packed(&timeline, &mut symbols);
                let mut rest = Bytes(&bytes);
                again.unpack(&mut rest, &symbols);
                prop_assert!(rest.0.is_empty());
                prop_assert_eq!(again.save(&symbols), saved);
                prop_assert_eq!((again.id(), again.first_seen()), (&*id, first_seen));
                prop_assert_eq!(&packed(&again, &mut symbols), &bytes, "from rest to rest");
            }
        }
    }
}
