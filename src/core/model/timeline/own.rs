//! What the engine itself says of a case: instants that it expects, and why. No source said it, so nothing is merged:
//! each is replaced by what is expected now.

use smallvec::SmallVec;

use super::{Entry, Tag, Timeline};
use crate::core::model::Sym;
use crate::core::time::Instant;

/// The value of a deadline that says that there is none since then.
pub(super) const NEVER: u64 = i64::MAX as u64;

/// What is expected since an instant: a deadline, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Since when.
    pub since: Instant,
    /// The deadline; none where nothing is expected since then.
    pub at: Option<Instant>,
}

impl Timeline {
    /// What is said of the deadline `name`, in the order of the instants since when.
    pub fn expected(&self, name: Sym) -> impl DoubleEndedIterator<Item = Expected> + '_ {
        let entries = if self.has(name) { &self.entries[..] } else { &[] };
        let named = entries.iter().filter(move |e| e.name == name && e.tag == Tag::Deadline && !e.removed);
        named.map(|e| Expected { since: e.at, at: instant(e) })
    }

    /// Says what is expected since `now.since`. Of what was said before only that stays for which `stays`. Answers
    /// whether anything is another thing than before.
    pub fn expect(&mut self, name: Sym, now: Expected, stays: impl Fn(Expected) -> bool) -> bool {
        let is_it = |e: &&Entry| e.name == name && e.tag == Tag::Deadline;
        let kept =
            |e: &Entry| e.at != now.since && !e.removed && stays(Expected { since: e.at, at: instant(e) });
        let before: SmallVec<[Entry; 4]> = self.entries.iter().filter(is_it).copied().collect();
        let mut after: SmallVec<[Entry; 4]> = before.iter().filter(|e| kept(e)).copied().collect();
        // What was said first holds from the start of the case: where nothing was said there is nothing to take back.
        let value = match now.at {
            Some(at) => Some(at.as_millis() as u64),
            None => (!after.is_empty()).then_some(NEVER),
        };
        after.extend(value.map(|value| entry(now.since, name, Tag::Deadline, value)));
        after.sort_by_key(|e| e.at);
        let is_same = |(a, b): (&Entry, &Entry)| a.at == b.at && a.value == b.value && !b.removed;
        if before.len() == after.len() && after.iter().zip(&before).all(is_same) {
            return false;
        }
        let mut entries = Vec::with_capacity(self.entries.len() + 1);
        entries.extend(self.entries.iter().filter(|e| !is_it(e)));
        for entry in after {
            insert(&mut entries, entry);
        }
        self.entries = entries;
        self.index.renew(&self.entries);
        true
    }

    /// The text that [`Timeline::explain`] set last, and since when.
    pub fn explained(&self, name: Sym) -> Option<(Instant, &str)> {
        let mut named = self.index.backwards(name).map(|place| &self.entries[place]);
        let found = named.find(|e| e.tag == Tag::Text)?;
        Some((found.at, self.texts.get(found.value as u32)))
    }

    /// Says in the attribute `name`, since `since`, what is to be said; what it said before is forgotten. Answers whether
    /// it is another thing. A text that is too long is none.
    pub fn explain(&mut self, name: Sym, since: Instant, text: Option<&str>) -> bool {
        let text = text.filter(|text| text.len() <= Timeline::LONGEST_TEXT);
        let is_it = |e: &&Entry| e.name == name && e.tag < Tag::Deadline;
        let mut known = self.entries.iter().filter(is_it);
        let said = known.next().map(|e| (e.at, e.tag == Tag::Text, e.value as u32));
        let is_said = match (said, text) {
            (None, None) => true,
            (Some((at, true, place)), Some(text)) => at == since && self.texts.get(place) == text,
            _ => false,
        };
        if is_said && known.next().is_none() {
            return false;
        }
        let mut entries: Vec<Entry> = self.entries.iter().filter(|e| !is_it(e)).copied().collect();
        let mut texts = self.texts.packed(&mut entries);
        if let Some(text) = text {
            let place = texts.push(text);
            insert(&mut entries, entry(since, name, Tag::Text, u64::from(place)));
        }
        self.texts = texts;
        self.entries = entries;
        self.index.renew(&self.entries);
        true
    }
}

/// The deadline that an entry says; none where it says that there is none.
fn instant(entry: &Entry) -> Option<Instant> {
    (entry.value != NEVER).then(|| Instant::from_millis(entry.value as i64))
}

fn entry(at: Instant, name: Sym, tag: Tag, value: u64) -> Entry {
    Entry { at, revision: 0, value, reference: 0, name, tag, removed: false }
}

/// Puts an entry where a merge would: attributes and deadlines before marks of the same instant.
fn insert(entries: &mut Vec<Entry>, entry: Entry) {
    let place = entries.partition_point(|e| (e.at, e.tag == Tag::Mark) <= (entry.at, false));
    entries.insert(place, entry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{Content, Symbols};

    fn at(n: i64) -> Instant {
        Instant::from_secs(1_772_416_800 + 3_600 * n)
    }

    fn said(timeline: &Timeline, name: Sym) -> Vec<(i64, Option<i64>)> {
        let hour = |t: Instant| t.since(at(0)).as_secs() / 3_600;
        timeline.expected(name).map(|e| (hour(e.since), e.at.map(hour))).collect()
    }

    #[test]
    fn what_is_expected_is_replaced_and_what_came_stays() {
        let mut symbols = Symbols::new();
        let (Some(by), Some(why)) = (symbols.intern("stall_by"), symbols.intern("stall_why")) else {
            panic!("two names fit")
        };
        let mut timeline = Timeline::new("P1");
        let mut expect = |since: i64, until: Option<i64>| {
            let now = Expected { since: at(since), at: until.map(at) };
            timeline.expect(by, now, |e| e.since < now.since && e.at.is_some_and(|at| at <= now.since));
            said(&timeline, by)
        };
        assert_eq!(expect(0, None), [], "nothing to take back");
        assert_eq!(expect(0, Some(5)), [(0, Some(5))]);
        assert_eq!(expect(3, Some(9)), [(3, Some(9))], "the first never came");
        assert_eq!(expect(3, Some(10)), [(3, Some(10))], "the same silence");
        assert_eq!(expect(12, None), [(3, Some(10)), (12, None)], "it came, and nothing is expected since");
        assert_eq!(expect(13, Some(20)), [(3, Some(10)), (13, Some(20))]);
        assert_eq!(expect(4, Some(11)), [(4, Some(11))], "what lies after it was taken back");
        let now = Expected { since: at(4), at: Some(at(11)) };
        assert!(!timeline.expect(by, now, |_| true), "said already");
        assert!(timeline.explain(why, at(4), Some("61 h")) && !timeline.explain(why, at(4), Some("61 h")));
        assert!(timeline.explain(why, at(5), Some("7 h")));
        assert_eq!(timeline.explained(why), Some((at(5), "7 h")));
        // Saved and loaded it says the same.
        timeline.expect(by, Expected { since: at(12), at: None }, |_| true);
        let saved = timeline.save(&symbols);
        let again = Timeline::load("P1", timeline.first_seen(), &saved, &mut symbols).unwrap();
        assert_eq!(said(&again, by), [(4, Some(11)), (12, None)]);
        let last = again.entries().rfind(|e| e.name == by).unwrap();
        assert_eq!(again.content(last), Content::Mark, "no clock takes it for a deadline");
        assert!(again.is_of("P1") && timeline.explain(why, at(5), None));
        assert_eq!(timeline.explained(why), None);
    }
}
