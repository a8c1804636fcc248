//! What is said of one parcel (物流轨迹), and what that means: where the parcel stands now, and the observations that follow
//! (`logistics` 5). What became of it is worked out in `core::parcel::fold`, the only fold there is.
//!
//! Texts of scans are not kept: couriers and recipients are called by name and number in them. Of the scan that says what
//! is wrong the words are, without those: a claim at the carrier rests on them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::model::{Mark, Observation, Value};
use crate::core::parcel::evidence;
use crate::core::parcel::fold::{Known, Ledger, Parcel, Passage, Scan, Teller, Whole, fold, province};
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::{Instant, Span};
use crate::sources::parcels::Number;
use crate::sources::parcels::said::Word;
use crate::sources::platform::Reject;
use crate::sources::row::mark;

/// What the vendor says of the parcel as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The vendor's own code.
    pub code: String,
    /// A timer of the vendor's that ran out: `r05`, `r07` (`logistics` 6).
    pub hint: Option<Arc<str>>,
    /// What that means.
    pub whole: Whole,
}

/// All that is said of one parcel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The scans, in any order.
    pub scans: Vec<Scan>,
    /// The vendor's state.
    pub state: Option<State>,
    /// Where it goes, where the vendor says so.
    pub to: Option<String>,
    /// Rows that could not be used.
    pub rejects: Vec<Reject>,
    /// How many rows there were.
    pub rows: usize,
    /// Codes that the vendor's table does not know: what they mean is not used.
    pub unknown: usize,
}

/// Where a parcel stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The milestone.
    pub milestone: Milestone,
    /// Since when it is there.
    pub at: Instant,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// The last time that somebody had it in their hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<Instant>,
    /// The newest event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Instant>,
    /// How many events there are.
    #[serde(default)]
    pub events: u32,
}

impl Standing {
    /// That of a parcel, known since `since`.
    pub fn of(parcel: &Parcel, since: Instant) -> Standing {
        Standing {
            milestone: parcel.milestone,
            at: parcel.since.unwrap_or(since),
            exception: parcel.exception.map(|(is, _)| is),
            last_scan: parcel.last_scan,
            newest: parcel.newest,
            events: parcel.counts.used,
        }
    }

    /// That of a parcel of which nothing is known since `at`.
    pub fn unknown(at: Instant) -> Standing {
        Standing {
            milestone: Milestone::NoTrace,
            at,
            exception: None,
            last_scan: None,
            newest: None,
            events: 0,
        }
    }
}

/// A case that names a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Its source.
    pub source: String,
    /// Its kind: `order`, `aftersale`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its attribute `shop`.
    pub shop: Option<String>,
    /// Where its buyer lives.
    pub province: Option<String>,
    /// Its attribute `vip`.
    pub vip: bool,
    /// Its attribute `value`, in cents.
    pub worth: Option<i64>,
    /// When the buyer got the money back.
    pub refunded: Option<Instant>,
    /// What the buyer was promised.
    pub promise: Option<Instant>,
    /// It needs nothing of the parcel any more: received, cancelled, refunded.
    pub over: bool,
    /// What goes back to the shop.
    pub returning: bool,
}

/// Whose parcel it is, for what is observed of it.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The source that its case belongs to.
    pub source: &'a str,
    /// The attribute `shop`; else that of the first case that has one.
    pub shop: Option<&'a str>,
    /// The parcel.
    pub number: &'a Number,
    /// The cases that name it.
    pub links: &'a [Link],
    /// Since when it is known.
    pub since: Instant,
    /// When it was shipped, where somebody says so.
    pub shipped: Option<Instant>,
}

impl Trace {
    /// What became of the parcel by all that is said of it now: a vendor that always tells the whole list.
    pub fn fold(&self, known: Known) -> Parcel {
        let mut ledger = Ledger::new();
        let seen_at = known.now;
        ledger.replace(Teller::Aggregator, self.scans.iter().map(|scan| Scan { seen_at, ..scan.clone() }));
        let mut parcel = fold(&ledger, known);
        if let Some(state) = &self.state {
            parcel.settle(&state.whole);
        }
        parcel
    }

    /// What is observed: the parcel's own case, and what it means for the cases that name it. Without a revision yet.
    /// What is said of where it stands is said as of `began`.
    pub fn observations(
        &self,
        whose: Whose<'_>,
        parcel: &Parcel,
        began: Instant,
    ) -> Vec<Observation<'static>> {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let mut known = whose.observation(whose.since);
        known.attributes.push(("carrier".into(), text(whose.number.carrier())));
        known.attributes.push(("waybill".into(), text(whose.number.waybill())));
        let shop = whose.shop.or_else(|| whose.links.iter().find_map(|link| link.shop.as_deref()));
        known.attributes.extend(shop.map(|shop| ("shop".into(), text(shop))));
        let order = whose.order();
        known.attributes.extend(order.map(|link| ("order".into(), text(&link.id))));
        if whose.links.iter().any(|link| link.vip) {
            known.attributes.push(("vip".into(), Value::Bool(true)));
        }
        let worth = order.and_then(|link| link.worth);
        known.attributes.extend(worth.map(|cents| ("value".into(), Value::Real(cents as f64 / 100.0))));
        let returns = !whose.links.is_empty() && whose.links.iter().all(|link| link.returning);
        known.attributes.push(("direction".into(), text(if returns { "return" } else { "out" })));
        let promise = order.filter(|link| !link.returning).and_then(|link| link.promise);
        let shipped = whose.shipped.map(|at| mark("shipped", at));
        let promised = shipped.into_iter().chain(promise.map(|at| mark("deliver_by", at)));
        let from = parcel.way.from.as_deref().and_then(province);
        let to = self.province_of(order);
        known.attributes.extend(from.map(|from| ("from".into(), text(from))));
        if let Some(to) = &to {
            known.attributes.push(("to".into(), text(to)));
            known.attributes.push(("province".into(), text(to)));
        }
        if let Some((from, to)) = from.zip(to.as_deref()) {
            known.attributes.push(("lane".into(), text(&format!("{from}→{to}"))));
            known.attributes.push(("same_province".into(), Value::Bool(from == to)));
        }
        let mut stands = whose.observation(began);
        stands.attributes.push(("status".into(), text(parcel.milestone.word())));
        let exception = parcel.exception.map_or("none", |(is, _)| is.word());
        stands.attributes.push(("exception".into(), text(exception)));
        let hint = self.state.as_ref().and_then(|s| s.hint.as_deref());
        stands.attributes.push(("vendor_hint".into(), text(hint.unwrap_or("none"))));
        stands.attributes.extend(self.state.as_ref().map(|s| ("vendor_state".into(), text(&s.code))));
        if matches!(parcel.milestone, Milestone::AtPickupPoint | Milestone::Delivered) {
            stands.attributes.push(("claimed_delivered".into(), Value::Bool(parcel.claimed)));
            stands.attributes.push(("proxy".into(), Value::Bool(parcel.proxy)));
        }
        let Some(newest) = parcel.newest else {
            known.marks.extend(promised);
            return vec![known, stands];
        };
        let mut observations = vec![known, stands];
        let mut marks = marks(parcel);
        let find = |name: &str| marks.iter().find(|m| m.name == name).map(|m| m.at);
        let (picked_up, delivered) = (find("picked_up"), find("delivered"));
        // All that happened in one, and after what is said of it: nobody is rung for a parcel that was shipped and not picked
        // up, between the one and the other.
        let mut happened = whose.observation(newest);
        marks.extend(promised);
        happened.marks = marks;
        observations.push(happened);
        for link in whose.links {
            let names =
                if link.returning { ["return_shipped", "return_signed"] } else { ["picked_up", "delivered"] };
            let [first, last] = names;
            let marks: Vec<Mark<'static>> = [(first, picked_up), (last, delivered)]
                .into_iter()
                .filter_map(|(n, at)| Some(mark(n, at?)))
                .collect();
            observations.push(Observation {
                source: link.source.clone().into(),
                kind: link.kind.clone().into(),
                id: link.id.clone().into(),
                marks,
                attributes: vec![("tracked".into(), Value::Bool(true))],
                ..whose.observation(newest)
            });
        }
        observations
    }

    /// Where it goes: by its order, else as the vendor says.
    fn province_of(&self, order: Option<&Link>) -> Option<String> {
        let told = order.and_then(|link| link.province.as_deref());
        let by_vendor = || self.to.as_deref().and_then(province).map(str::to_owned);
        told.map(|told| province(told).unwrap_or(told).to_owned()).or_else(by_vendor)
    }

    /// What rules ask of it beside where it stands; each as of when it began to be so. Only what is so: the rest is not.
    pub fn words(&self, whose: Whose<'_>, parcel: &Parcel, now: Instant) -> Vec<Word> {
        use crate::core::parcel::fold::Oddity;
        let mut words = Vec::new();
        let Some(newest) = parcel.newest else { return words };
        let way = &parcel.way;
        let to = self.province_of(whose.order());
        // What goes back has another end.
        let is_out = whose.links.is_empty() || whose.links.iter().any(|link| !link.returning);
        let moves = matches!(parcel.milestone, Milestone::PickedUp | Milestone::InTransit);
        let strayed = to.as_deref().filter(|_| is_out && moves).and_then(|to| way.strayed(to));
        for (name, at) in [
            ("moved_after_delivery", parcel.odd_at(Oddity::Reopened)),
            ("revived", parcel.odd_at(Oddity::Revived)),
            ("signed_again", parcel.odd_at(Oddity::Resigned)),
            ("no_delivery_scan", way.unannounced),
            ("signed_early", way.early),
            ("detour", way.detour.or(strayed)),
            ("tz_suspect", (parcel.counts.other_zone > 0).then_some(newest)),
            ("old_trace", self.begins_before(whose.shipped).then_some(whose.since)),
            ("refunded", whose.links.iter().filter(|l| !l.returning).find_map(|link| link.refunded)),
        ] {
            words.extend(at.map(|at| Word::new(name, Value::Bool(true), at)));
        }
        if !whose.links.is_empty() && whose.links.iter().all(|link| link.over) {
            words.push(Word::new("order_over", Value::Bool(true), newest));
        }
        if parcel.attempts > 0 {
            words.push(Word::new("attempts", Value::Int(parcel.attempts.into()), newest));
        }
        let signed_in = way.delivered_in.as_deref().and_then(province);
        if let (Some(is), Some(to), Milestone::Delivered, Some(at)) =
            (signed_in, to, parcel.milestone, parcel.since)
            && is != to
        {
            words.push(Word::new("signed_elsewhere", Value::Bool(true), at));
        }
        if let Some(node) = &way.node {
            let at = parcel.last_scan.unwrap_or(newest);
            words.push(Word::new("node", Value::Text(node.to_string().into()), at));
            words.push(Word::new("location", Value::Text(node.to_string().into()), at));
        }
        words.extend(self.evidence(parcel));
        if let Some((exception, at)) = way.waits.filter(|(_, at)| now < *at + WAITS) {
            words.push(Word::new("waits", Value::Text(exception.word().into()), at));
        }
        if let Some(number) = &parcel.forward_no {
            words.push(Word::new("forward_no", Value::Text(number.to_string().into()), newest));
        }
        // Nothing is said of the time before the case began: what is said first holds from there (T6).
        for word in &mut words {
            word.at = word.at.max(whose.since);
        }
        words
    }

    /// The scan that says what is wrong, in its own words.
    fn evidence(&self, parcel: &Parcel) -> Option<Word> {
        let (exception, at) = parcel.exception?;
        let says = |scan: &&Scan| scan.at == at && scan.exception == Some(exception) && scan.words.is_some();
        let scan = self.scans.iter().filter(says).max_by_key(|scan| &scan.words)?;
        let text = evidence::written(at, exception, scan.place.as_deref(), scan.words.as_deref()?);
        Some(Word::new("evidence", Value::Text(text.into()), at))
    }

    /// Whether a scan is older than the shipping by more than a late upload explains (R25).
    fn begins_before(&self, shipped: Option<Instant>) -> bool {
        let old = |shipped: Instant| {
            let mut plausible = self.scans.iter().filter(|scan| scan.at.is_plausible());
            plausible.any(|scan| scan.at < shipped - EARLIER_LIFE)
        };
        shipped.is_some_and(old)
    }
}

/// A scan so long before the parcel was shipped is of an earlier life of the number (`logistics` 5, F11).
const EARLIER_LIFE: Span = Span::from_minutes(48 * 60);
/// What makes a parcel wait without anybody's fault excuses it for so long (`logistics` 6.1).
pub const WAITS: Span = Span::from_minutes(48 * 60);

impl Whose<'_> {
    /// The order it belongs to; of what goes back, the after-sale.
    fn order(&self) -> Option<&Link> {
        self.links.iter().find(|link| !link.returning).or(self.links.first())
    }

    /// Something of the parcel's own case.
    pub fn observation(&self, as_of: Instant) -> Observation<'static> {
        Observation {
            source: self.source.to_owned().into(),
            kind: "parcel".into(),
            id: self.number.to_string().into(),
            as_of,
            revision: 0,
            marks: Vec::new(),
            attributes: Vec::new(),
        }
    }
}

/// What happened, by name. `last_scan` comes with every scan; what may happen again comes whenever the parcel enters it
/// anew.
fn marks(parcel: &Parcel) -> Vec<Mark<'static>> {
    let way = &parcel.way;
    let mut marks: Vec<Mark<'static>> = Vec::with_capacity(way.passages.len() + 4);
    // What happens once: the first delivery, the latest attempt, the first signature.
    let mut once: [(&'static str, Option<Instant>); 6] =
        ["out_for_delivery", "delivered", "signed", "cancelled", "picked_up", "returned"]
            .map(|name| (name, None));
    let [out, delivered, signed, cancelled, picked_up, returned] = &mut once;
    picked_up.1 = parcel.picked_up;
    for (passage, at) in &way.passages {
        match passage {
            Passage::Scan => marks.push(mark("last_scan", *at)),
            Passage::Reported(exception) => {
                let reference = format!("{}:{}", exception.word(), at.as_secs());
                marks.push(Mark { reference: Some(reference.into()), ..mark("exception", *at) });
            }
            Passage::Signed => drop(signed.1.get_or_insert(*at)),
            Passage::Entered(milestone) => match milestone {
                Milestone::OutForDelivery => out.1 = Some(*at),
                Milestone::Delivered => drop(delivered.1.get_or_insert(*at)),
                Milestone::Cancelled => cancelled.1 = Some(*at),
                Milestone::Returned => drop(returned.1.get_or_insert(*at)),
                Milestone::PickedUp => drop(picked_up.1.get_or_insert(*at)),
                Milestone::Unknown | Milestone::NoTrace => {}
                other => marks.push(mark(other.word(), *at)),
            },
        }
    }
    marks.extend(once.into_iter().filter_map(|(name, at)| Some(mark(name, at?))));
    marks.extend(way.first.map(|at| mark("traced", at)));
    marks.extend(way.moved_on.map(|at| mark("moved_on", at)));
    marks
}

#[cfg(test)]
mod tests;
