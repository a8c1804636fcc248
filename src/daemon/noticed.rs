//! What is noticed beside observations, judged over time: guessing (§12.1, S38), pages that cannot be used (5.8), pushed
//! sources that go silent (5.5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::{Edge, Signal};
use crate::core::time::{Instant, Span};
use crate::daemon::notice::Trouble;

/// A page of fewer items says nothing of its source (5.8).
pub const PAGE: usize = 20;
/// Guessing, and a page of rubbish, are over when nothing of the kind came for so long.
const QUIET: Span = Span::from_minutes(10);
/// So many sources are watched at most.
const SOURCES: usize = 256;

/// Something that was noticed outside the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// Links or tokens are guessed, more often than people mistype them.
    Guessing,
    /// A page of a source: how many items it had, and how many of them could not be used.
    Page {
        /// The source: who pushed it, or the folder it was read from.
        source: Arc<str>,
        /// Its items.
        items: usize,
        /// Those that could not be used.
        refused: usize,
    },
    /// How a source is that is polled.
    Source {
        /// Its trouble: `source.authorise`, `source.blind`, `source.method`, `source.skew`.
        family: &'static str,
        /// The source.
        source: Arc<str>,
        /// What is wrong; `None` when nothing is any more.
        text: Option<String>,
        /// A warning, or trouble.
        edge: Edge,
    },
}

/// What of it is remembered. Spans are looks at the counter of elapsed time.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    guessed: Option<Span>,
    malformed: BTreeMap<Arc<str>, Span>,
    /// Sources that are polled and cannot be read.
    blind: BTreeSet<Arc<str>>,
    /// When a source was last heard of, of those that are expected to speak.
    heard: BTreeMap<Arc<str>, Span>,
}

impl Watcher {
    /// Takes in what was noticed. Answers the signal that follows, if any does.
    pub(super) fn noticed(
        &mut self,
        noticed: Noticed,
        troubles: &mut Trouble,
        now: Instant,
        elapsed: Span,
    ) -> Option<Signal> {
        match noticed {
            Noticed::Guessing => {
                self.guessed = Some(elapsed);
                let text = "有人在猜测链接或令牌 / somebody guesses links or tokens";
                troubles.set("system.code_guessing", Some(text), now)
            }
            Noticed::Source { family, source, text, edge } => {
                if family == "source.blind" {
                    match &text {
                        Some(_) if self.blind.len() < SOURCES => drop(self.blind.insert(source.clone())),
                        _ => drop(self.blind.remove(&source)),
                    }
                }
                troubles.set_of_as(family, &source, text.as_deref().map(|text| (edge, text)), now)
            }
            Noticed::Page { items, .. } if items < PAGE => None,
            // More than one in twenty.
            Noticed::Page { source, items, refused } if refused * 20 > items => {
                if self.malformed.len() < SOURCES || self.malformed.contains_key(&source) {
                    self.malformed.insert(source.clone(), elapsed);
                    let text = format!(
                        "{source}:{items} 条中 {refused} 条无法使用 / {refused} of {items} items cannot be used"
                    );
                    return troubles.set_of("source.malformed", &source, Some(&text), now);
                }
                None
            }
            Noticed::Page { source, .. } => {
                self.malformed.remove(&source);
                troubles.set_of("source.malformed", &source, None, now)
            }
        }
    }

    /// A source has spoken.
    pub(super) fn heard(&mut self, source: &str, elapsed: Span) {
        if let Some(at) = self.heard.get_mut(source) {
            *at = elapsed;
        }
    }

    /// Looks at what is over, and at who has been silent for longer than `expected` says. `clocks` tells how many cases
    /// of a source have a clock running.
    pub(super) fn look(
        &mut self,
        expected: &BTreeMap<Arc<str>, Span>,
        troubles: &mut Trouble,
        now: Instant,
        elapsed: Span,
    ) -> Vec<Signal> {
        let mut signals = Vec::new();
        let over = |at: Span| elapsed.as_millis() - at.as_millis() >= QUIET.as_millis();
        if self.guessed.is_none_or(over) {
            self.guessed = None;
            signals.extend(troubles.set("system.code_guessing", None, now));
        }
        self.malformed.retain(|_, at| !over(*at));
        for source in troubles.sources("source.malformed") {
            if !self.malformed.contains_key(&source) {
                signals.extend(troubles.set_of("source.malformed", &source, None, now));
            }
        }
        self.heard.retain(|source, _| expected.contains_key(source));
        for (source, every) in expected {
            let at = *self.heard.entry(source.clone()).or_insert(elapsed);
            let silent = Span::from_millis(elapsed.as_millis() - at.as_millis());
            let text = (silent > *every).then(|| {
                format!("{source} 超过 {every} 没有数据 / nothing from {source} for more than {every}")
            });
            if text.is_some() || !self.blind.contains(source) {
                signals.extend(troubles.set_of("source.blind", source, text.as_deref(), now));
            }
        }
        for source in troubles.sources("source.blind") {
            if !expected.contains_key(&source) && !self.blind.contains(&source) {
                signals.extend(troubles.set_of("source.blind", &source, None, now));
            }
        }
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> (Instant, Span) {
        (Instant::from_secs(1_700_000_000 + s), Span::from_secs(1000 + s))
    }

    fn told(signals: impl IntoIterator<Item = Signal>) -> Vec<(String, String, Edge)> {
        let line = |s: Signal| (s.family.to_string(), s.subject.id.to_string(), s.edge);
        signals.into_iter().map(line).collect()
    }

    /// 5.8: more than 5 % of a page of at least 20.
    #[test]
    fn a_page_of_rubbish_is_told_once_and_once_that_it_is_over() {
        let source: Arc<str> = "erp".into();
        for (items, refused, want) in [
            (20, 1, false),
            (20, 2, true),
            (19, 19, false),
            (100, 5, false),
            (100, 6, true),
            (500, 500, true),
        ] {
            let (mut watcher, mut troubles) = (Watcher::default(), Trouble::default());
            let page = Noticed::Page { source: source.clone(), items, refused };
            let (now, elapsed) = at(0);
            let first = watcher.noticed(page.clone(), &mut troubles, now, elapsed);
            assert_eq!(first.is_some(), want, "{refused} of {items}");
            assert_eq!(watcher.noticed(page, &mut troubles, now, elapsed), None, "once");
            let fine = Noticed::Page { source: source.clone(), items: 40, refused: 1 };
            let over = watcher.noticed(fine, &mut troubles, now, elapsed);
            assert_eq!(over.map(|s| s.edge), want.then_some(Edge::Clear), "{refused} of {items}");
        }
    }

    /// What a poller says of its source stays until it says otherwise.
    #[test]
    fn a_polled_source_is_blind_until_it_can_be_read() {
        let (mut watcher, mut troubles) = (Watcher::default(), Trouble::default());
        let source: Arc<str> = "flagship".into();
        let told = |text: Option<&str>| Noticed::Source {
            family: "source.blind",
            source: source.clone(),
            text: text.map(str::to_owned),
            edge: Edge::Firing,
        };
        let (now, elapsed) = at(0);
        let first = watcher.noticed(told(Some("接口不可用")), &mut troubles, now, elapsed);
        assert_eq!(first.map(|s| s.edge), Some(Edge::Firing));
        for expected in [BTreeMap::new(), BTreeMap::from([(source.clone(), Span::HOUR)])] {
            assert_eq!(watcher.look(&expected, &mut troubles, at(900).0, at(900).1), []);
        }
        let over = watcher.noticed(told(None), &mut troubles, at(901).0, at(901).1);
        assert_eq!(over.map(|s| s.edge), Some(Edge::Clear));
    }

    /// A warning may become trouble; what was trouble is no warning again.
    #[test]
    fn an_authorisation_that_ends_is_a_warning_first() {
        let (mut watcher, mut troubles) = (Watcher::default(), Trouble::default());
        let mut say = |s, is: Option<Edge>| {
            let (now, elapsed) = at(s);
            let text = is.map(|_| "请商家重新授权".to_owned());
            let edge = is.unwrap_or(Edge::Firing);
            let noticed = Noticed::Source { family: "source.authorise", source: "shop".into(), text, edge };
            told(watcher.noticed(noticed, &mut troubles, now, elapsed))
        };
        let of = |edge| vec![("source.authorise".to_owned(), "shop".to_owned(), edge)];
        assert_eq!(say(0, None), [], "nothing was told");
        assert_eq!(say(1, Some(Edge::Prewarning)), of(Edge::Prewarning));
        assert_eq!(say(2, Some(Edge::Prewarning)), []);
        assert_eq!(say(3, Some(Edge::Firing)), of(Edge::Firing));
        assert_eq!(say(4, Some(Edge::Prewarning)), []);
        assert_eq!(say(5, None), of(Edge::Clear));
    }

    #[test]
    fn what_does_not_come_again_is_over_by_itself() {
        let (mut watcher, mut troubles) = (Watcher::default(), Trouble::default());
        let (now, elapsed) = at(0);
        let page = Noticed::Page { source: "erp".into(), items: 20, refused: 20 };
        watcher.noticed(page, &mut troubles, now, elapsed);
        watcher.noticed(Noticed::Guessing, &mut troubles, now, elapsed);
        let mut look = |s| {
            let (now, elapsed) = at(s);
            told(watcher.look(&BTreeMap::new(), &mut troubles, now, elapsed))
        };
        assert_eq!(look(599), []);
        let of = |family: &str, id: &str| (family.to_owned(), id.to_owned(), Edge::Clear);
        let over = [of("system.code_guessing", "system.code_guessing"), of("source.malformed", "erp")];
        assert_eq!(look(600), over);
        assert_eq!(look(1300), []);
    }

    /// 5.5 for who pushes: silence is blindness only where speech was promised.
    #[test]
    fn a_source_that_promised_to_speak_is_blind_when_it_is_silent() {
        let (mut watcher, mut troubles) = (Watcher::default(), Trouble::default());
        let expected = BTreeMap::from([(Arc::from("erp"), Span::from_secs(60))]);
        let mut look = |watcher: &mut Watcher, s| {
            let (now, elapsed) = at(s);
            told(watcher.look(&expected, &mut troubles, now, elapsed))
        };
        let of = |edge| ("source.blind".to_owned(), "erp".to_owned(), edge);
        assert_eq!(look(&mut watcher, 0), [], "it has as long after a start");
        assert_eq!(look(&mut watcher, 60), []);
        assert_eq!(look(&mut watcher, 61), [of(Edge::Firing)]);
        assert_eq!(look(&mut watcher, 90), []);
        watcher.heard("somebody else", at(95).1);
        assert_eq!(look(&mut watcher, 96), []);
        watcher.heard("erp", at(100).1);
        assert_eq!(look(&mut watcher, 101), [of(Edge::Clear)]);
        assert_eq!(look(&mut watcher, 162), [of(Edge::Firing)], "and again");
    }
}
