//! What is said of one parcel (物流轨迹), and what that means: the events in their order, where the parcel stands now, and
//! the observations that follow (`logistics` 5).
//!
//! Texts of scans are not kept: couriers and recipients are called by name and number in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::model::{Mark, Observation, Value};
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::{Instant, Span};
use crate::sources::parcels::Number;
use crate::sources::platform::Reject;
use crate::sources::row::mark;

/// Movement so soon after the delivery was stamped too early, and reopens nothing (`logistics` 5, F4).
const EARLY: Span = Span::from_minutes(30);
/// An event further ahead is kept out until then (`logistics` 5, F9).
pub const AHEAD: Span = Span::from_minutes(10);
/// An event so long before the parcel was shipped is of an earlier life of the number (`logistics` 5, F11).
const EARLIER_LIFE: Span = Span::from_minutes(48 * 60);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Where that brought it.
    pub milestone: Milestone,
    /// What was reported as wrong.
    pub exception: Option<Exception>,
    /// The vendor calls it signed, though it only lies in a locker or station.
    pub claimed: bool,
    /// Somebody else signed.
    pub proxy: bool,
    /// The city or district.
    pub place: Option<String>,
}

/// What the vendor says of the parcel as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The vendor's own code.
    pub code: String,
    /// Where it is; [`Milestone::Unknown`] where the code does not say.
    pub milestone: Milestone,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// A timer of the vendor's that ran out: `r05`, `r07` (`logistics` 6).
    pub hint: Option<Arc<str>>,
    /// As of an event.
    pub claimed: bool,
    /// As of an event.
    pub proxy: bool,
    /// A short code stands for several milestones: what its events say more exactly, counts.
    pub covers: Vec<Milestone>,
}

/// All that is said of one parcel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The events, in any order.
    pub events: Vec<Event>,
    /// The vendor's state.
    pub state: Option<State>,
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Its source.
    pub source: String,
    /// Its kind: `order`, `aftersale`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its attribute `shop`.
    pub shop: Option<String>,
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
    /// Leaves out what is not of this parcel or lies ahead of `now`, puts the rest in order, and takes one of what is
    /// told twice. Answers how many lie ahead.
    pub fn tidy(&mut self, shipped: Option<Instant>, now: Instant) -> usize {
        let before = self.events.len();
        self.events.retain(|e| e.at <= now + AHEAD);
        let ahead = before - self.events.len();
        if let Some(shipped) = shipped {
            self.events.retain(|e| e.at >= shipped - EARLIER_LIFE);
        }
        self.events.sort_by_key(|e| (e.at, e.milestone.rank(), e.milestone, e.exception));
        self.events.dedup_by(|b, a| (a.at, a.milestone, a.exception) == (b.at, b.milestone, b.exception));
        ahead
    }

    /// Where the parcel stands by all that is said, and since when everything about that holds. The trace is tidy.
    pub fn standing(&self, since: Instant) -> (Standing, Instant) {
        let mut is = Standing::unknown(since);
        let mut began = since;
        for event in &self.events {
            let milestone = event.leads_from(is.milestone, is.at);
            let over = is.exception.is_some_and(|e| e.is_over_at(event.milestone));
            let exception = event.exception.or(is.exception.filter(|_| !over));
            if milestone != is.milestone {
                is.at = event.at;
            }
            if (milestone, exception) != (is.milestone, is.exception) {
                began = event.at;
            }
            (is.milestone, is.exception) = (milestone, exception);
            if event.is_physical() {
                is.last_scan = Some(event.at);
            }
            is.newest = Some(event.at);
            is.events = is.events.saturating_add(1);
        }
        let Some(state) = &self.state else { return (is, began) };
        // The code of the parcel is more reliable than those of its events (`logistics` 3.1); but what lies in a locker is
        // not delivered because somebody calls it signed.
        let says_less = state.milestone == Milestone::Unknown || state.covers.contains(&is.milestone);
        let milestone = if says_less { is.milestone } else { state.milestone };
        let over = is.exception.is_some_and(|e| !says_less && e.is_over_at(state.milestone));
        let known = is.exception.filter(|_| !over);
        let exception = match state.exception {
            // "Something is wrong", where an event says what.
            Some(Exception::Unspecified) => known.or(state.exception),
            other => other.or(known),
        };
        if (milestone, exception) != (is.milestone, is.exception) {
            let at = is.newest.unwrap_or(since);
            if milestone != is.milestone {
                is.at = at;
            }
            (is.milestone, is.exception, began) = (milestone, exception, at);
        }
        (is, began)
    }

    /// Whether the vendor calls it signed and it only lies in a locker or station; whether somebody else signed.
    fn flags(&self, is: &Standing) -> (bool, bool) {
        let last = self.events.iter().rev().find(|e| e.milestone == is.milestone);
        let state = self.state.as_ref();
        let claims = state.is_some_and(|s| s.claimed || s.milestone == Milestone::Delivered);
        let claimed = is.milestone == Milestone::AtPickupPoint && (claims || last.is_some_and(|e| e.claimed));
        let proxy = last.is_some_and(|e| e.proxy) || state.is_some_and(|s| s.proxy);
        (claimed, proxy && is.milestone == Milestone::Delivered)
    }

    /// What is observed: the parcel's own case, and what it means for the cases that name it. Without a revision yet. The
    /// trace is tidy, and this is where it stands.
    pub fn observations(&self, whose: Whose<'_>, is: &Standing, began: Instant) -> Vec<Observation<'static>> {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let of = |as_of| Observation {
            source: whose.source.to_owned().into(),
            kind: "parcel".into(),
            id: whose.number.to_string().into(),
            as_of,
            revision: 0,
            marks: Vec::new(),
            attributes: Vec::new(),
        };
        let mut known = of(whose.since);
        known.attributes.push(("carrier".into(), text(whose.number.carrier())));
        known.attributes.push(("waybill".into(), text(whose.number.waybill())));
        let shop = whose.shop.or_else(|| whose.links.iter().find_map(|link| link.shop.as_deref()));
        known.attributes.extend(shop.map(|shop| ("shop".into(), text(shop))));
        let order = whose.links.iter().find(|link| !link.returning).or(whose.links.first());
        known.attributes.extend(order.map(|link| ("order".into(), text(&link.id))));
        let (claimed, proxy) = self.flags(is);
        let mut stands = of(began);
        stands.attributes.push(("status".into(), text(is.milestone.word())));
        stands.attributes.push(("exception".into(), text(is.exception.map_or("none", Exception::word))));
        let hint = self.state.as_ref().and_then(|s| s.hint.as_deref());
        stands.attributes.push(("vendor_hint".into(), text(hint.unwrap_or("none"))));
        stands.attributes.extend(self.state.as_ref().map(|s| ("vendor_state".into(), text(&s.code))));
        if matches!(is.milestone, Milestone::AtPickupPoint | Milestone::Delivered) {
            stands.attributes.push(("claimed_delivered".into(), Value::Bool(claimed)));
            stands.attributes.push(("proxy".into(), Value::Bool(proxy)));
        }
        let mut observations = vec![known, stands];
        let Some(newest) = is.newest else { return observations };
        let marks = self.marks(is);
        let find = |name: &str| marks.iter().find(|m| m.name == name).map(|m| m.at);
        let (picked_up, delivered) = (find("picked_up"), find("delivered"));
        let mut happened = of(newest);
        happened.marks = marks;
        let place = self.events.iter().rev().find_map(|e| e.place.as_deref());
        happened.attributes.extend(place.map(|place| ("location".into(), text(place))));
        observations.push(happened);
        for link in whose.links {
            let names =
                if link.returning { ["return_shipped", "return_signed"] } else { ["picked_up", "delivered"] };
            let [first, last] = names;
            let marks: Vec<Mark<'static>> = [(first, picked_up), (last, delivered)]
                .into_iter()
                .filter_map(|(n, at)| Some(mark(n, at?)))
                .collect();
            if !marks.is_empty() {
                observations.push(Observation {
                    source: link.source.clone().into(),
                    kind: link.kind.clone().into(),
                    id: link.id.clone().into(),
                    marks,
                    ..of(newest)
                });
            }
        }
        observations
    }

    /// What happened, by name. `last_scan` comes with every scan; what may happen again comes whenever the parcel enters
    /// it anew. An event that does not lead where it says (stamped too early, after the end) is a scan and no more.
    fn marks(&self, is: &Standing) -> Vec<Mark<'static>> {
        let mut marks: Vec<Mark<'static>> = Vec::with_capacity(self.events.len() + 4);
        let (mut was, mut since) = (Milestone::NoTrace, Instant::MIN);
        // What happens once: the first hands it was in, the first signature, the latest attempt.
        let mut once: [(&'static str, Option<Instant>); 5] =
            ["picked_up", "out_for_delivery", "delivered", "signed", "cancelled"].map(|name| (name, None));
        let [picked_up, out, delivered, signed, cancelled] = &mut once;
        for event in &self.events {
            if event.is_physical() {
                marks.push(mark("last_scan", event.at));
                picked_up.1.get_or_insert(event.at);
            }
            if let Some(exception) = event.exception {
                let reference = format!("{}:{}", exception.word(), event.at.as_secs());
                marks.push(Mark { reference: Some(reference.into()), ..mark("exception", event.at) });
            }
            if event.claimed || event.milestone == Milestone::Delivered {
                signed.1.get_or_insert(event.at);
            }
            let milestone = event.leads_from(was, since);
            if milestone == event.milestone {
                match milestone {
                    Milestone::OutForDelivery => out.1 = Some(event.at),
                    Milestone::Delivered => drop(delivered.1.get_or_insert(event.at)),
                    Milestone::Cancelled => cancelled.1 = Some(event.at),
                    Milestone::PickedUp | Milestone::Unknown => {}
                    other if other != was => marks.push(mark(other.word(), event.at)),
                    _ => {}
                }
            }
            if milestone != was {
                (was, since) = (milestone, event.at);
            }
        }
        marks.extend(once.into_iter().filter_map(|(name, at)| Some(mark(name, at?))));
        // The vendor knows it of the whole, and of no event.
        let word = is.milestone.word();
        let says = !matches!(is.milestone, Milestone::NoTrace | Milestone::Unknown);
        if says && is.newest.is_some() && !marks.iter().any(|m| m.name == word) {
            marks.push(mark(word, is.at));
            if is.milestone == Milestone::Delivered && !marks.iter().any(|m| m.name == "signed") {
                marks.push(mark("signed", is.at));
            }
        }
        marks
    }
}

impl Event {
    /// Where a parcel is after it that was at `was` since `at` (`logistics` 5, F3–F6).
    fn leads_from(&self, was: Milestone, at: Instant) -> Milestone {
        match (was, self.milestone) {
            (was, Milestone::Unknown) => was,
            (Milestone::Delivered, Milestone::Returning | Milestone::Returned) => self.milestone,
            (Milestone::Delivered, _) if self.at.since(at) <= EARLY => Milestone::Delivered,
            (Milestone::Returned, _) => Milestone::Returned,
            // A number that was void and is picked up all the same.
            (Milestone::Cancelled, other) if other != Milestone::PickedUp => Milestone::Cancelled,
            (_, milestone) => milestone,
        }
    }

    /// Whether somebody had it in their hands (`logistics` 5, F8): a place where the code says nothing.
    pub fn is_physical(&self) -> bool {
        self.milestone.is_physical() || (self.milestone == Milestone::Unknown && self.place.is_some())
    }
}

#[cfg(test)]
mod tests;
