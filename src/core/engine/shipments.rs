//! Which parcels the cases name: what whoever asks couriers goes by. Derived from the cases each time it is asked, so
//! that nothing of it is kept, and nothing can be missed.

use crate::core::engine::Engine;
use crate::core::model::{Content, Scalar, Sym, Timeline};
use crate::core::time::Instant;

/// A parcel that a case names by its attributes `carrier` and `waybill`, or, what goes back to the shop,
/// `return_carrier` and `return_waybill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The case's source.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The shop, where the case says so.
    pub shop: Option<String>,
    /// Where the recipient lives, where the case says so.
    pub province: Option<String>,
    /// A VIP customer's.
    pub vip: bool,
    /// What the goods are worth in cents, where the case says so.
    pub worth: Option<i64>,
    /// When its money went back to the buyer.
    pub refunded: Option<Instant>,
    /// The instant that the buyer was promised it at.
    pub promise: Option<Instant>,
    /// The carrier, in the source's own words.
    pub carrier: String,
    /// The number (运单号), as the source writes it.
    pub waybill: String,
    /// It goes back to the shop.
    pub returning: bool,
    /// Since when the case has named this number.
    pub since: Instant,
    /// When it was shipped, where the case says so.
    pub shipped: Option<Instant>,
    /// The case needs nothing of the parcel any more: it was received, cancelled or refunded.
    pub is_over: bool,
}

/// A part of all shipments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipments {
    /// They.
    pub found: Vec<Shipment>,
    /// Where to go on; `None` when that was all.
    pub next: Option<u32>,
}

/// By what a way of a parcel is named.
struct Way {
    carrier: &'static str,
    waybill: &'static str,
    shipped: &'static str,
    over: &'static [&'static str],
}

const WAYS: [Way; 2] = [
    Way {
        carrier: "carrier",
        waybill: "waybill",
        shipped: "shipped",
        over: &["cancelled", "closed", "delivered", "refunded", "signed"],
    },
    Way {
        carrier: "return_carrier",
        waybill: "return_waybill",
        shipped: "return_shipped",
        over: &["cancelled", "closed", "refunded", "return_signed"],
    },
];

impl Engine {
    /// The parcels of at most `most` cases, from the case of number `from` on.
    pub fn shipments(&self, from: u32, most: u32) -> Shipments {
        let end = self.cases.numbers().min(from.saturating_add(most));
        let mut shipments =
            Shipments { found: Vec::new(), next: (end < self.cases.numbers()).then_some(end) };
        let [shop, province, vip, value] =
            ["shop", "province", "vip", "value"].map(|name| self.symbols.get(name));
        let [refunded, promise] = ["refunded", "deliver_by"].map(|name| self.symbols.get(name));
        let ways = [false, true].into_iter().zip(&WAYS).filter_map(|(returning, way)| {
            let names = self.symbols.get(way.carrier).zip(self.symbols.get(way.waybill))?;
            let over: Vec<Sym> = way.over.iter().filter_map(|name| self.symbols.get(name)).collect();
            Some((returning, names, self.symbols.get(way.shipped), over))
        });
        let ways: Vec<_> = ways.collect();
        let mut found: Vec<Vec<Shipment>> = ways.iter().map(|_| Vec::new()).collect();
        for case in (from..end).filter_map(|number| self.cases.get(number)) {
            let case = case.case(&self.symbols);
            let timeline = &case.timeline;
            for ((returning, (carrier, waybill), shipped, over), found) in ways.iter().zip(&mut found) {
                let Some((waybill, since)) = newest(timeline, *waybill) else { continue };
                let Some((carrier, _)) = newest(timeline, *carrier) else { continue };
                let mark = |name: Sym| timeline.entries().find(|e| e.name == name).map(|e| e.at);
                found.push(Shipment {
                    source: self.symbols.name(case.source).to_string(),
                    kind: self.symbols.name(case.kind).to_string(),
                    id: timeline.id().to_owned(),
                    shop: shop.and_then(|name| newest(timeline, name)).map(|(text, _)| text),
                    province: province.and_then(|name| newest(timeline, name)).map(|(text, _)| text),
                    vip: vip.is_some_and(|name| is_true(timeline, name)),
                    worth: value.and_then(|name| cents(timeline, name)),
                    refunded: refunded.and_then(mark).filter(|at| *at <= self.now),
                    promise: promise.and_then(|name| deadline(timeline, name)),
                    carrier,
                    waybill,
                    returning: *returning,
                    since,
                    shipped: shipped.and_then(mark).filter(|at| *at <= self.now),
                    is_over: over.iter().any(|name| mark(*name).is_some()),
                });
            }
        }
        shipments.found = found.into_iter().flatten().collect();
        shipments
    }
}

/// What the newest snapshot that says anything of it says.
fn is_true(timeline: &Timeline, name: Sym) -> bool {
    let last = timeline.entries().rfind(|e| e.name == name);
    last.is_some_and(|e| timeline.content(e) == Content::Attribute(Scalar::Bool(true)))
}

/// An amount in yuan that was told last, in cents.
fn cents(timeline: &Timeline, name: Sym) -> Option<i64> {
    match timeline.content(timeline.entries().rfind(|e| e.name == name)?) {
        Content::Attribute(Scalar::Int(yuan)) => yuan.checked_mul(100),
        Content::Attribute(Scalar::Real(yuan)) => Some((yuan * 100.0).round() as i64),
        _ => None,
    }
}

/// A deadline as it was told last.
fn deadline(timeline: &Timeline, name: Sym) -> Option<Instant> {
    match timeline.content(timeline.entries().rfind(|e| e.name == name)?) {
        Content::Deadline(at) => Some(at),
        Content::Mark | Content::Attribute(_) => None,
    }
}

/// The newest value of an attribute as a text, and the first instant at which it was said.
fn newest(timeline: &Timeline, name: Sym) -> Option<(String, Instant)> {
    let said = || timeline.entries().filter(|e| e.name == name);
    let text = |scalar| match scalar {
        Scalar::Text(text) => Some(text.to_owned()),
        Scalar::Int(number) => Some(number.to_string()),
        Scalar::Bool(_) | Scalar::Real(_) => None,
    };
    let value = |content| match content {
        Content::Attribute(scalar) => text(scalar).filter(|text| !text.is_empty()),
        Content::Mark | Content::Deadline(_) => None,
    };
    let last = value(timeline.content(said().next_back()?))?;
    let first = said().find(|e| value(timeline.content(e)).as_deref() == Some(&last))?;
    Some((last, first.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::Era;
    use crate::core::clock::PolicyConfig;
    use crate::core::model::{Mark, Observation, Value};
    use crate::core::problem::Problems;
    use crate::core::time::Span;

    fn seen(
        kind: &'static str,
        id: &str,
        at: Instant,
        texts: &[(&'static str, &'static str)],
        marks: &[&'static str],
    ) -> Observation<'static> {
        Observation {
            source: "pdd".into(),
            kind: kind.into(),
            id: id.to_owned().into(),
            as_of: at,
            revision: at.as_secs(),
            marks: marks
                .iter()
                .map(|name| Mark { name: (*name).into(), reference: None, at, removed: false })
                .collect(),
            attributes: texts
                .iter()
                .map(|(name, text)| ((*name).into(), Value::Text((*text).into())))
                .collect(),
        }
    }

    #[test]
    fn cases_name_their_parcels_page_by_page() {
        let start: Instant = "2026-03-02T10:00:00+08:00".parse().unwrap();
        let at = |m: i64| start + Span::from_minutes(m);
        let policy = PolicyConfig::default();
        let mut engine = Engine::new("d", &policy, None, Era::DEFAULT, &mut Problems::new()).unwrap();
        assert_eq!(engine.shipments(0, 10), Shipments::default());
        for n in 0..1200 {
            engine.observe(&seen("order", &format!("o{n}"), at(0), &[], &["paid"]), at(0));
        }
        let ships = [("carrier", "44"), ("waybill", "75300000000001")];
        engine.observe(&seen("order", "o7", at(5), &ships, &["shipped"]), at(5));
        // Said again, then corrected, then received.
        engine.observe(&seen("order", "o7", at(9), &ships, &[]), at(9));
        let first = engine.shipments(0, 10_000);
        assert_eq!((first.found.len(), first.next), (1, None));
        let shipment = &first.found[0];
        assert_eq!((shipment.since, shipment.shipped, shipment.is_over), (at(5), Some(at(5)), false));
        let other = [("carrier", "44"), ("waybill", "75300000000002")];
        engine.observe(&seen("order", "o7", at(12), &other, &[]), at(12));
        engine.observe(&seen("order", "o7", at(15), &[], &["signed"]), at(15));
        let back = [("return_carrier", "yto"), ("return_waybill", "YT1")];
        engine.observe(&seen("aftersale", "a1", at(16), &back, &[]), at(16));
        let (mut from, mut found, mut pages) = (Some(0), Vec::new(), 0);
        while let Some(place) = from {
            let part = engine.shipments(place, 100);
            (from, pages) = (part.next, pages + 1);
            found.extend(part.found);
        }
        let told: Vec<_> = found
            .iter()
            .map(|s| (s.id.as_str(), s.waybill.as_str(), s.since, s.returning, s.is_over))
            .collect();
        assert_eq!(told, [("o7", "75300000000002", at(12), false, true), ("a1", "YT1", at(16), true, false)]);
        assert_eq!(pages, 13);
    }
}
