//! What is heard becomes one answer (`logistics` 4.1, steps 3 to 8).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::parcel::lexicon::config::Flag;
use crate::core::parcel::lexicon::hear::{Heard, Hearing, Part};
use crate::core::parcel::lexicon::normal::ends_clause;
use crate::core::parcel::lexicon::phrase::Join;
use crate::core::parcel::lexicon::table::{Means, Table, Use};
use crate::core::parcel::{Exception, Milestone};

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where it brings the parcel; [`Milestone::Unknown`] where it does not say.
    pub milestone: Milestone,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// What is said beside it.
    pub flags: Vec<Flag>,
    /// By which words.
    pub evidence: Vec<Evidence>,
}

impl Reading {
    /// Whether a phrase says it, and not only a pair of ideas.
    pub fn is_by_phrase(&self, of: Of) -> bool {
        self.evidence.iter().any(|evidence| evidence.of == of && evidence.by == By::Lexicon)
    }
}

/// What a piece of evidence speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The milestone.
    Milestone,
    /// The exception.
    Exception,
    /// A flag.
    Flag,
    /// That a problem is over.
    Resolved,
}

/// How it was found (`logistics` 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A phrase of the tables.
    Lexicon,
    /// Two ideas in one clause: a note, not yet a reason to ring.
    Pair,
}

/// One reason of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it speaks for.
    pub of: Of,
    /// How it was found.
    pub by: By,
    /// The entry of the tables: `X14`.
    pub block: String,
    /// The words of the tables that are there, `…` where something stands between them; of a pair its two words.
    pub phrase: String,
}

/// Whether an exception is about handing the parcel over (`logistics` 4.1, step 7).
fn is_of_delivery(exception: Exception) -> bool {
    use Exception as E;
    matches!(
        exception,
        E::Refused
            | E::AddressProblem
            | E::ContactFailed
            | E::AttemptFailed
            | E::Rescheduled
            | E::BusinessClosed
            | E::AccessRestricted
            | E::PaymentIssue
            | E::OutOfArea
    )
}

/// The answer to what was heard.
pub(super) fn judge(table: &Table, text: &str, hearing: &Hearing) -> Reading {
    let first = |wanted: fn(&Means) -> bool| {
        let of = |heard: &&Heard| wanted(&table.blocks[table.patterns[heard.pattern].block].means);
        hearing.phrases.iter().filter(of).min_by_key(|h| (table.patterns[h.pattern].block, h.part.start))
    };
    let resolved = first(|m| matches!(m, Means::Resolved));
    let mut wrong = first(|m| matches!(m, Means::Exception { .. }));
    let moved = first(|m| matches!(m, Means::Milestone { .. }));
    let mut reading =
        Reading { milestone: Milestone::Unknown, exception: None, flags: Vec::new(), evidence: Vec::new() };
    let (mut milestone, mut weak) = (None, true);
    if let Some(heard) = moved {
        if let Means::Milestone { is, weak: also } = table.blocks[table.patterns[heard.pattern].block].means {
            (milestone, weak) = (Some(is), also);
        }
        reading.evidence.push(evidence(table, text, Of::Milestone, heard));
    }
    if let Some(heard) = resolved {
        reading.evidence.push(evidence(table, text, Of::Resolved, heard));
        wrong = None;
    }
    // Where the words only say that something is wrong, a pair may say what.
    let vague = wrong.is_some_and(|w| {
        matches!(table.blocks[table.patterns[w.pattern].block].means, Means::Exception { weak: true, .. })
    });
    let told = if resolved.is_none() && (vague || wrong.is_none() && weak) {
        pair(table, text, hearing)
    } else {
        None
    };
    // Tried in vain, and then handed over: the end of the text counts.
    let over = |is: Exception, part: Part| {
        milestone == Some(Milestone::Delivered)
            && is_of_delivery(is)
            && moved.is_some_and(|m| m.part.start >= part.end)
    };
    if let Some((is, part, why)) = told {
        if !over(is, part) {
            reading.exception = Some(is);
            reading.evidence.push(why);
        }
    } else if let Some(heard) = wrong
        && let Means::Exception { is, .. } = table.blocks[table.patterns[heard.pattern].block].means
        && !over(is, heard.part)
    {
        reading.exception = Some(is);
        reading.evidence.push(evidence(table, text, Of::Exception, heard));
    }
    reading.milestone = together(milestone, reading.exception);
    for heard in &hearing.phrases {
        let block = &table.blocks[table.patterns[heard.pattern].block];
        if let Means::Flag { is, at } = &block.means
            && at.contains(&reading.milestone)
            && !reading.flags.contains(is)
        {
            reading.flags.push(*is);
            reading.evidence.push(evidence(table, text, Of::Flag, heard));
        }
    }
    reading.flags.sort();
    reading
}

/// Where the parcel is, by what is said of that and by what is wrong (`logistics` 4.1, step 7).
fn together(milestone: Option<Milestone>, exception: Option<Exception>) -> Milestone {
    use Milestone as M;
    let Some(exception) = exception else { return milestone.unwrap_or(M::Unknown) };
    match milestone {
        None | Some(M::Registered | M::PickedUp | M::InTransit | M::AtDestination | M::OutForDelivery)
            if is_of_delivery(exception) =>
        {
            M::DeliveryFailed
        }
        _ if exception == Exception::PickupFailed => M::Registered,
        Some(milestone) => milestone,
        None => match exception {
            Exception::PickupOverdue => M::AtPickupPoint,
            Exception::Cancelled => M::Cancelled,
            Exception::Unspecified => M::Unknown,
            _ => M::InTransit,
        },
    }
}

fn evidence(table: &Table, text: &str, of: Of, heard: &Heard) -> Evidence {
    let pattern = &table.patterns[heard.pattern];
    let mut phrase = String::new();
    for (part, join) in heard.segments.iter().zip(&pattern.joins) {
        if *join == Join::Gap {
            phrase.push('…');
        }
        phrase.extend(text[part.start..part.end].chars().filter(|c| !c.is_control()));
    }
    Evidence { of, by: By::Lexicon, block: table.blocks[pattern.block].id.clone(), phrase }
}

/// Two ideas in one clause (`logistics` 4.5): the first pair of the table that is there.
fn pair(table: &Table, text: &str, hearing: &Hearing) -> Option<(Exception, Part, Evidence)> {
    // The words of each pair's lists in the present clause: the first that ends, and the one that begins last.
    let mut sides: BTreeMap<(usize, usize), (Part, Part)> = BTreeMap::new();
    let mut best: Option<(usize, Part, Part)> = None;
    let mut ends = clause_ends(text);
    let mut end = ends.next().unwrap_or(text.len());
    let mut words: Vec<(Part, usize, usize)> = Vec::new();
    for word in &hearing.words {
        for used in &table.texts[word.text].uses {
            if let Use::Word { pair, side } = *used {
                words.push((word.part, pair, side));
            }
        }
    }
    words.sort_by_key(|(part, pair, side)| (part.start, part.end, *pair, *side));
    for (part, pair, side) in words {
        while part.start >= end {
            end = ends.next().unwrap_or(usize::MAX);
            sides.clear();
        }
        let (first, last) = sides.entry((pair, side)).or_insert((part, part));
        if part.end < first.end {
            *first = part;
        }
        *last = part;
        let Some((first, last)) = sides.get(&(pair, 1 - side)).copied() else { continue };
        // Not out of one and the same word.
        let other = [first, last].into_iter().find(|o| o.end <= part.start || part.end <= o.start);
        if let Some(other) = other
            && best.is_none_or(|(is, _, _)| pair < is)
        {
            let (one, two) = if side == 0 { (part, other) } else { (other, part) };
            best = Some((pair, one, two));
        }
    }
    best.map(|(pair, one, two)| {
        let pair = &table.pairs[pair];
        let phrase = format!("{} + {}", &text[one.start..one.end], &text[two.start..two.end]);
        let part = Part { start: one.start.min(two.start), end: one.end.max(two.end) };
        (pair.is, part, Evidence { of: Of::Exception, by: By::Pair, block: pair.id.clone(), phrase })
    })
}

fn clause_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.char_indices().filter(|(i, c)| ends_clause(text, *i, *c)).map(|(i, _)| i)
}

impl Evidence {
    /// For people: `X14 无人接听`.
    pub fn shown(&self) -> Cow<'_, str> {
        match self.by {
            By::Lexicon => format!("{} {}", self.block, self.phrase).into(),
            By::Pair => format!("{} ({})", self.block, self.phrase).into(),
        }
    }
}
