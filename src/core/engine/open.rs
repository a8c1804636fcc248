//! Which cases a promise runs in: what whoever reads them again at their platform goes by. Derived from the cases each
//! time it is asked, so that nothing of it is kept, and nothing can be missed.

use std::collections::BTreeSet;

use crate::core::clock::State;
use crate::core::engine::Engine;
use crate::core::engine::case::Case;
use crate::core::model::{Content, Scalar, Sym};
use crate::core::time::Instant;

/// A case in which a promise runs, and what finds it at its platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCase {
    /// Its source.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its next threshold.
    pub next: Option<Instant>,
    /// Since when its status has been what it is: what is read of it now says no less.
    pub since: Instant,
    /// Its status, in the program's words.
    pub status: Option<String>,
    /// The order that it is about, where it is none itself.
    pub order: Option<String>,
    /// The carrier of its parcel, in the source's own words.
    pub carrier: Option<String>,
    /// The number of its parcel (运单号).
    pub waybill: Option<String>,
    /// The carrier has its parcel.
    pub is_picked_up: bool,
}

/// A part of all open cases of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCases {
    /// They.
    pub found: Vec<OpenCase>,
    /// Where to go on; `None` when that was all.
    pub next: Option<u32>,
    /// Where all end.
    pub end: u32,
}

/// The names that are looked for in a case.
struct Names {
    status: Option<Sym>,
    order: Option<Sym>,
    carrier: Option<Sym>,
    waybill: Option<Sym>,
    picked_up: Option<Sym>,
}

impl Engine {
    /// The open cases of a source among `most` cases of the desk, from the case of number `from` on.
    pub fn open_cases(&self, source: &str, from: u32, most: u32) -> OpenCases {
        let end = self.cases.numbers();
        let until = end.min(from.saturating_add(most));
        let next = (until < end).then_some(until);
        let Some(source) = self.symbols.get(source) else {
            return OpenCases { found: Vec::new(), next: None, end };
        };
        let names = self.names();
        let cases = (from..until).filter_map(|number| self.cases.get(number));
        let open = cases.filter(|case| case.source == source && is_open(case));
        OpenCases { found: open.map(|case| self.open_case(case, &names)).collect(), next, end }
    }

    /// The open cases of these sources whose next threshold comes by `until`: those with the nearest come first, at most
    /// about `most`.
    pub fn ahead(&self, sources: &BTreeSet<String>, until: Instant, most: usize) -> Vec<OpenCase> {
        let sources: BTreeSet<Sym> = sources.iter().filter_map(|name| self.symbols.get(name)).collect();
        if sources.is_empty() {
            return Vec::new();
        }
        let names = self.names();
        let numbers = self.timers.until(until).take(most);
        let cases = numbers.filter_map(|number| self.cases.get(number));
        let open = cases.filter(|case| sources.contains(&case.source) && is_open(case));
        open.map(|case| self.open_case(case, &names)).collect()
    }

    fn names(&self) -> Names {
        let name = |text| self.symbols.get(text);
        Names {
            status: name("status"),
            order: name("order"),
            carrier: name("carrier"),
            waybill: name("waybill"),
            picked_up: name("picked_up"),
        }
    }

    fn open_case(&self, case: &Case, names: &Names) -> OpenCase {
        let timeline = &case.timeline;
        let newest = |name: Option<Sym>| {
            let entry = timeline.entries().rfind(|e| Some(e.name) == name && e.at <= self.now)?;
            match timeline.content(entry) {
                Content::Attribute(Scalar::Text(text)) if !text.is_empty() => {
                    Some((text.to_owned(), entry.at))
                }
                Content::Attribute(Scalar::Int(number)) => Some((number.to_string(), entry.at)),
                _ => None,
            }
        };
        let text = |name| newest(name).map(|(text, _)| text);
        let status = newest(names.status);
        OpenCase {
            source: self.symbols.name(case.source).to_string(),
            kind: self.symbols.name(case.kind).to_string(),
            id: timeline.id().to_owned(),
            next: (case.wake != Instant::MAX).then_some(case.wake),
            since: status.as_ref().map_or(timeline.first_seen(), |(_, at)| *at),
            status: status.map(|(text, _)| text),
            order: text(names.order),
            carrier: text(names.carrier),
            waybill: text(names.waybill),
            is_picked_up: timeline.entries().any(|e| Some(e.name) == names.picked_up),
        }
    }
}

fn is_open(case: &Case) -> bool {
    case.cycles.iter().any(|m| m.told.is_some_and(State::is_open))
}
