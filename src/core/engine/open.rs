//! Which cases a promise runs in: what whoever reads them again at their platform goes by. Derived from the cases each
//! time it is asked, so that nothing of it is kept, and nothing can be missed.

use std::collections::BTreeSet;

use crate::core::engine::Engine;
use crate::core::engine::case::Resting;
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
    /// The newest instant that is known of it.
    pub changed: Instant,
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
        let open = cases.filter(|case| case.source == source && case.is_open);
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
        let open = cases.filter(|case| sources.contains(&case.source) && case.is_open);
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

    fn open_case(&self, case: &Resting, names: &Names) -> OpenCase {
        let case = case.case(&self.symbols);
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
            changed: timeline.entries().rfind(|e| e.at <= self.now).map_or(timeline.first_seen(), |e| e.at),
            since: status.as_ref().map_or(timeline.first_seen(), |(_, at)| *at),
            status: status.map(|(text, _)| text),
            order: text(names.order),
            carrier: text(names.carrier),
            waybill: text(names.waybill),
            is_picked_up: timeline.entries().any(|e| Some(e.name) == names.picked_up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::engine::examples::{at, engine, observation};
    use crate::core::time::Span;

    const POLICY: &str = "[[clock]]\nname = \"reply\"\non = \"ticket\"\nstart = \"asked\"\nstop = \"answered\"\n\
                          target = \"1h\"\nring = [\"50%\", \"due\"]\n";

    fn told(cases: &[OpenCase]) -> Vec<&str> {
        cases.iter().map(|case| case.id.as_str()).collect()
    }

    /// What is over, what is nobody's promise and what is another source's are not told; those that ring first come first.
    #[test]
    fn open_cases_are_told_part_by_part_and_by_their_next_threshold() {
        let mut engine = engine(POLICY);
        let mut see = |id: &str, source: &'static str, line: &str| {
            let mut seen = observation(line);
            (seen.id, seen.source) = (id.to_owned().into(), source.into());
            let now = seen.as_of;
            engine.observe(&seen, now);
        };
        see("a", "pdd", "10:00 asked status=open carrier=44 waybill=753 order=o1");
        see("b", "pdd", "10:01 asked status=open");
        see("c", "jd", "10:02 asked status=open");
        see("d", "pdd", "10:03 status=open");
        see("e", "pdd", "10:04 asked status=open");
        see("e", "pdd", "10:05 answered");
        see("b", "pdd", "10:06 seen picked_up");
        let engine = engine;
        let all = engine.open_cases("pdd", 0, 100);
        assert_eq!((told(&all.found), all.next, all.end), (vec!["a", "b"], None, 5));
        let case = OpenCase {
            source: "pdd".to_owned(),
            kind: "ticket".to_owned(),
            id: "a".to_owned(),
            next: Some(at("10:30")),
            changed: at("10:00"),
            since: at("10:00"),
            status: Some("open".to_owned()),
            order: Some("o1".to_owned()),
            carrier: Some("44".to_owned()),
            waybill: Some("753".to_owned()),
            is_picked_up: false,
        };
        assert_eq!(all.found[0], case);
        let b = &all.found[1];
        assert_eq!((b.changed, b.since, b.is_picked_up), (at("10:06"), at("10:01"), true));
        let (first, rest) = (engine.open_cases("pdd", 0, 1), engine.open_cases("pdd", 1, 100));
        assert_eq!((told(&first.found), first.next), (vec!["a"], Some(1)));
        assert_eq!((told(&rest.found), rest.next), (vec!["b"], None));
        assert_eq!(engine.open_cases("nobody", 0, 100).found, []);

        let sources =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let both = sources(&["pdd", "jd"]);
        let ahead = |sources: &BTreeSet<String>, until: &str, most: usize| {
            told(&engine.ahead(sources, at(until), most)).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ahead(&both, "10:29", 9), [""; 0]);
        assert_eq!(ahead(&both, "10:31", 9), ["a", "b"]);
        assert_eq!(ahead(&both, "10:40", 9), ["a", "b", "c"]);
        assert_eq!(ahead(&both, "10:40", 2), ["a", "b"]);
        assert_eq!(ahead(&sources(&["jd"]), "10:40", 9), ["c"]);
        assert_eq!(ahead(&sources(&[]), "10:40", 9), [""; 0]);
        assert_eq!(at("10:30"), at("10:00") + Span::from_minutes(30));
    }
}
