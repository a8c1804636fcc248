//! What to do with an attempt that may or may not have been taken (`delivery_semantics` §10.4): a table.

use crate::core::model::{Class, DuplicateKey};
use crate::core::time::{Instant, Span};

/// Between two questions that were answered "not found".
pub(super) const ASK_AGAIN: Span = Span::from_secs(10);
/// A question that nobody answers for so long has failed.
pub(super) const ASK_GIVE_UP: Span = Span::from_secs(30);

/// What is known of an uncertain message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// How a second copy is told on its channel.
    pub(super) key: DuplicateKey,
    /// Its class.
    pub(super) class: Class,
    /// When its first attempt left.
    pub(super) first_at: Instant,
    /// The attempt in doubt already was the marked one.
    pub(super) marked: bool,
    /// Nobody needs it any more, because another one of the notice has its proof.
    pub(super) covered: bool,
    /// The provider could not be asked, twice.
    pub(super) asked_in_vain: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Again with the same key and body, unmarked: the provider drops the second copy.
    Again,
    /// Ask the provider.
    Ask,
    /// Wait so long for a sign, then once more, marked.
    Hold(Span),
    /// No third copy on this lane.
    GiveUp,
    /// No second copy of what somebody has already.
    Covered,
    /// Not worth a second copy.
    LetGo,
}

/// The table of §10.4.
pub(super) fn remedy(doubt: Doubt, hold: Span, now: Instant) -> Remedy {
    if doubt.covered {
        return Remedy::Covered;
    }
    if doubt.class == Class::P3 {
        return Remedy::LetGo;
    }
    match doubt.key {
        DuplicateKey::Strong { horizon } | DuplicateKey::ContentWindow { horizon }
            if now < doubt.first_at + horizon =>
        {
            Remedy::Again
        }
        DuplicateKey::Query if !doubt.asked_in_vain => Remedy::Ask,
        _ if doubt.marked => Remedy::GiveUp,
        _ => Remedy::Hold(hold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_keys() {
        let horizon = Span::HOUR;
        let strong = DuplicateKey::Strong { horizon };
        let content = DuplicateKey::ContentWindow { horizon };
        let (query, none) = (DuplicateKey::Query, DuplicateKey::None);
        let hold = Span::from_secs(15);
        let (p0, p3) = (Class::P0, Class::P3);
        for (what, key, class, minutes, marked, covered, in_vain, want) in [
            ("strong inside", strong, p0, 59, false, false, false, Remedy::Again),
            ("strong at its end", strong, p0, 60, false, false, false, Remedy::Hold(hold)),
            ("strong over, marked", strong, p0, 61, true, false, false, Remedy::GiveUp),
            ("content inside", content, p0, 10, false, false, false, Remedy::Again),
            ("content over", content, p0, 90, false, false, false, Remedy::Hold(hold)),
            ("query", query, p0, 0, false, false, false, Remedy::Ask),
            ("query in vain", query, p0, 0, false, false, true, Remedy::Hold(hold)),
            ("query in vain, marked", query, p0, 0, true, false, true, Remedy::GiveUp),
            ("none", none, p0, 0, false, false, false, Remedy::Hold(hold)),
            ("none, marked", none, p0, 0, true, false, false, Remedy::GiveUp),
            ("covered", strong, p0, 0, false, true, false, Remedy::Covered),
            ("P3 without a key", none, p3, 0, false, false, false, Remedy::LetGo),
            ("P3 with a key", strong, p3, 0, false, false, false, Remedy::LetGo),
        ] {
            let doubt = Doubt {
                key,
                class,
                first_at: Instant::from_secs(0),
                marked,
                covered,
                asked_in_vain: in_vain,
            };
            assert_eq!(remedy(doubt, hold, Instant::from_secs(minutes * 60)), want, "{what}");
        }
    }
}
