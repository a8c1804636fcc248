//! What became of a parcel, by all that was said of it (`logistics` 5): scans out of order, told twice, corrected, from the
//! future, from an earlier life of the number.
//!
//! A function of what is known, not of how it came to be known: scans in another order, or told again, give the same
//! [`Parcel`]. Nothing in them can make it panic or grow without bound; what cannot be used is counted.

mod number;
mod orders;
mod place;
mod scan;
#[cfg(test)]
mod tests;
mod way;
mod whole;

use std::sync::Arc;

pub use self::number::{successor, waybills};
pub use self::orders::{OrderParcels, order_milestone, trail};
pub use self::place::{borders_between, city, province};
pub use self::scan::{Ledger, Scan, Teller};
pub use self::way::{Passage, Way};
pub use self::whole::Whole;
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::{Instant, Span};

/// Movement so soon after the delivery was stamped too early, and reopens nothing (F4).
const EARLY: Span = Span::from_minutes(30);
/// A scan further ahead is kept out until then (F9).
pub const AHEAD: Span = Span::from_minutes(10);
/// A scan so long before the parcel was shipped is of an earlier life of the number (F11).
const EARLIER_LIFE: Span = Span::from_minutes(48 * 60);
/// A number that is declared or picked up so long after its end lives again (F11, Q05).
const NEXT_LIFE: Span = Span::from_minutes(48 * 60);
/// The same at the same place within this is one thing told twice (F1).
const SOFT: Span = Span::from_secs(120);
/// Clocks of two zones differ by whole hours, give or take this.
const ZONE_SLACK: Span = Span::from_minutes(10);
/// The furthest apart that two zones of one parcel are.
const ZONES: i64 = 14;
/// Days are those of China: no daylight saving, one zone (`logistics` 1.4).
const CHINA: Span = Span::from_minutes(8 * 60);

/// What is known beside the scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// When the number was uploaded by the shop, where somebody says so.
    pub shipped: Option<Instant>,
    /// Now.
    pub now: Instant,
}

/// Something that should not happen, and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// It moved after it was delivered (F5; rules R20 and R22).
    Reopened,
    /// The number was void, and the parcel was picked up all the same (F6; R33).
    Revived,
    /// Signed a second time (Q02).
    Resigned,
}

/// What could not be used, or was used once though it came more often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Scans of this life of the number that were used.
    pub used: u32,
    /// Told twice in other words (F1).
    pub soft: u32,
    /// Ahead of now: kept out until then (F9).
    pub ahead: u32,
    /// Without an instant (Q21).
    pub timeless: u32,
    /// Whole hours off, as if read in another zone (F9, Q18).
    pub other_zone: u32,
    /// Contradicted by somebody who knows better (F12).
    pub overruled: u32,
    /// Of an earlier life of the number (F11).
    pub earlier: u32,
    /// Not told any more (F10).
    pub withdrawn: u32,
}

/// What became of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Which life of the number this is, from 0.
    pub epoch: u32,
    /// Where it is.
    pub milestone: Milestone,
    /// Since when; `None` where nothing is known.
    pub since: Option<Instant>,
    /// What is wrong, and since when.
    pub exception: Option<(Exception, Instant)>,
    /// Called signed, though it only lies in a locker or station.
    pub claimed: bool,
    /// Somebody else signed.
    pub proxy: bool,
    /// Whether it has been on its way back.
    pub return_leg: bool,
    /// It goes on under this number.
    pub forward_no: Option<Arc<str>>,
    /// The first hands it was in.
    pub picked_up: Option<Instant>,
    /// The last time it was in somebody's hands: what a stall is measured from (F8).
    pub last_scan: Option<Instant>,
    /// The newest scan of any kind.
    pub newest: Option<Instant>,
    /// The first signature, which counts (Q02).
    pub signed: Option<Instant>,
    /// Days on which it was carried to the recipient in vain (F13).
    pub attempts: u32,
    /// Since when all holds that is said of where it is and what is wrong.
    pub changed: Option<Instant>,
    /// What should not happen, in order, each kind once.
    pub odd: Vec<(Oddity, Instant)>,
    /// The way it took.
    pub way: Way,
    /// What could not be used.
    pub counts: Counts,
}

/// What became of a parcel, by all that was said of its number.
pub fn fold(ledger: &Ledger, known: Known) -> Parcel {
    let mut counts = Counts::default();
    let usable: Vec<&Scan> = ledger.scans().iter().filter(|scan| counts.takes(scan, known.now)).collect();
    let usable = agree(usable, &mut counts);
    let (epoch, life) = this_life(&usable, known.shipped);
    counts.earlier = (usable.len() - life.len()) as u32;
    let mut is = Parcel {
        epoch,
        milestone: Milestone::NoTrace,
        since: None,
        exception: None,
        claimed: false,
        proxy: false,
        return_leg: false,
        forward_no: None,
        picked_up: None,
        last_scan: None,
        newest: None,
        signed: None,
        attempts: 0,
        changed: None,
        odd: Vec::new(),
        way: Way::default(),
        counts,
    };
    let mut before: Option<&Scan> = None;
    for scan in life {
        let soft = before.is_some_and(|b| {
            b.milestone == scan.milestone && b.place == scan.place && scan.at.since(b.at) <= SOFT
        });
        is.counts.soft += u32::from(soft);
        is.take(scan);
        before = Some(scan);
    }
    is.attempts = attempts(life);
    is
}

impl Counts {
    /// Whether a scan can be used; what cannot is counted.
    fn takes(&mut self, scan: &Scan, now: Instant) -> bool {
        let count = if scan.withdrawn {
            &mut self.withdrawn
        } else if !scan.has_time() {
            &mut self.timeless
        } else if hours_off(scan.at, scan.seen_at) {
            // It had not happened yet when we heard of it, by whole hours: its zone was read wrongly.
            &mut self.other_zone
        } else if scan.at > now + AHEAD {
            &mut self.ahead
        } else {
            return true;
        };
        *count += 1;
        false
    }
}

/// Whether `at` lies ahead of `of` by whole hours, as zones do.
fn hours_off(at: Instant, of: Instant) -> bool {
    let ahead = at.since(of);
    let hours = (ahead.as_millis() + ZONE_SLACK.as_millis()) / Span::HOUR.as_millis();
    let rest = (ahead.as_millis() - hours * Span::HOUR.as_millis()).abs();
    ahead > AHEAD && (1..=ZONES).contains(&hours) && rest <= ZONE_SLACK.as_millis()
}

/// Leaves out what somebody who knows better says otherwise (F12): another milestone in the same second, or the same scan
/// whole hours away, which is one zone read as another.
fn agree<'a>(scans: Vec<&'a Scan>, counts: &mut Counts) -> Vec<&'a Scan> {
    let best = |at: Instant| {
        let first = scans.partition_point(|s| s.at.as_secs() < at.as_secs());
        let same = scans[first..].iter().take_while(move |s| s.at.as_secs() == at.as_secs());
        same.map(|s| s.teller).max()
    };
    // By code and text, who tells them when: the same words of two tellers are one scan.
    let mut twins: std::collections::BTreeMap<(&str, u64), Vec<&Scan>> = std::collections::BTreeMap::new();
    for scan in scans.iter().filter(|s| s.text != 0) {
        twins.entry((scan.code.as_deref().unwrap_or_default(), scan.text)).or_default().push(scan);
    }
    let is_twin = |scan: &Scan| {
        let same = twins.get(&(scan.code.as_deref().unwrap_or_default(), scan.text));
        same.is_some_and(|same| {
            same.iter().take(TWINS).any(|other| {
                other.teller > scan.teller && (hours_off(scan.at, other.at) || hours_off(other.at, scan.at))
            })
        })
    };
    scans
        .iter()
        .copied()
        .filter(|scan| {
            if is_twin(scan) {
                counts.other_zone += 1;
                return false;
            }
            let overruled = scan.milestone != Milestone::Unknown && best(scan.at) > Some(scan.teller);
            counts.overruled += u32::from(overruled);
            !overruled
        })
        .collect()
}

/// So many scans of the same words are compared; more are no sign of two zones.
const TWINS: usize = 8;

/// The scans of the present life of the number, and which life it is (F11).
fn this_life<'a, 'b>(scans: &'b [&'a Scan], shipped: Option<Instant>) -> (u32, &'b [&'a Scan]) {
    let mut begin = 0;
    let mut epoch = 0;
    let mut ended: Option<Instant> = None;
    for (i, scan) in scans.iter().enumerate() {
        let anew = matches!(scan.milestone, Milestone::Registered | Milestone::PickedUp);
        if anew && ended.is_some_and(|ended| scan.at.since(ended) > NEXT_LIFE) {
            (begin, epoch, ended) = (i, epoch + 1, None);
        }
        match scan.milestone {
            Milestone::Delivered | Milestone::Returned | Milestone::Cancelled => ended = Some(scan.at),
            Milestone::Unknown => {}
            _ => ended = ended.filter(|ended| scan.at.since(*ended) <= EARLY),
        }
    }
    let shipped = shipped.map_or(0, |shipped| scans.partition_point(|s| s.at < shipped - EARLIER_LIFE));
    if shipped > begin {
        (begin, epoch) = (shipped, epoch + 1);
    }
    (epoch, &scans[begin..])
}

/// Days on which it was carried in vain: to the recipient, and then it failed or was carried again on another day (F13).
fn attempts(life: &[&Scan]) -> u32 {
    let day = |scan: &Scan| (scan.at + CHINA).as_secs().div_euclid(86_400);
    let mut vain = std::collections::BTreeSet::new();
    let mut out: Option<i64> = None;
    for scan in life {
        match scan.milestone {
            Milestone::OutForDelivery => {
                if let Some(earlier) = out.filter(|earlier| *earlier != day(scan)) {
                    vain.insert(earlier);
                }
                out = Some(day(scan));
            }
            Milestone::DeliveryFailed => vain.extend(out.take()),
            Milestone::Unknown => {}
            _ => out = None,
        }
    }
    vain.len() as u32
}

impl Parcel {
    /// Takes the next scan in order.
    fn take(&mut self, scan: &Scan) {
        self.counts.used += 1;
        self.newest = Some(scan.at);
        self.forward_no = scan.forward_no.clone().or(self.forward_no.take());
        if scan.is_physical() {
            self.last_scan = Some(scan.at);
            self.picked_up.get_or_insert(scan.at);
        }
        let milestone = self.leads_to(scan);
        let signs = scan.claimed || scan.milestone == Milestone::Delivered;
        if signs {
            match self.signed {
                Some(first) if scan.at.since(first) > EARLY => self.note(Oddity::Resigned, scan.at),
                Some(_) => {}
                None => self.signed = Some(scan.at),
            }
        }
        // A scan that does not lead where it says is not the end of a problem either.
        let leads = milestone == scan.milestone;
        let before = (self.milestone, self.exception.map(|(is, _)| is));
        self.way.pass(scan, self.milestone, milestone, self.signed.filter(|first| *first < scan.at));
        let over = |(is, _): &(Exception, Instant)| scan.clears || leads && is.is_over_at(milestone);
        self.exception = self.exception.take().filter(|is| !over(is));
        if let Some(exception) = scan.exception {
            let since = self.exception.filter(|(is, _)| *is == exception).map_or(scan.at, |(_, since)| since);
            self.exception = Some((exception, since));
        }
        self.return_leg |= matches!(milestone, Milestone::Returning | Milestone::Returned);
        if milestone != self.milestone {
            (self.milestone, self.since) = (milestone, Some(scan.at));
            (self.claimed, self.proxy) = (false, false);
        }
        if leads {
            self.claimed |= scan.claimed;
            self.proxy |= scan.proxy;
        }
        if before != (self.milestone, self.exception.map(|(is, _)| is)) {
            self.changed = Some(scan.at);
        }
    }

    /// When something odd of this kind happened.
    pub fn odd_at(&self, what: Oddity) -> Option<Instant> {
        self.odd.iter().find(|(kind, _)| *kind == what).map(|(_, at)| *at)
    }

    /// Where the scan brings it (F3 to F6).
    fn leads_to(&mut self, scan: &Scan) -> Milestone {
        use Milestone as M;
        let after = self.since.map_or(Span::ZERO, |since| scan.at.since(since));
        match (self.milestone, scan.milestone) {
            (was, M::Unknown | M::NoTrace) => was,
            (M::Delivered, M::Delivered) => M::Delivered,
            (M::Delivered, M::Returning | M::Returned) => {
                self.note(Oddity::Reopened, scan.at);
                scan.milestone
            }
            // Declared anew, or told of late: no movement.
            (M::Delivered, M::Registered | M::Cancelled) => M::Delivered,
            (M::Delivered, _) if after <= EARLY => M::Delivered,
            (M::Delivered, milestone) => {
                self.note(Oddity::Reopened, scan.at);
                milestone
            }
            (M::Returned, _) => M::Returned,
            (M::Cancelled, M::PickedUp) => {
                self.note(Oddity::Revived, scan.at);
                M::PickedUp
            }
            (M::Cancelled, _) => M::Cancelled,
            (_, milestone) => milestone,
        }
    }

    fn note(&mut self, what: Oddity, at: Instant) {
        if !self.odd.iter().any(|(was, _)| *was == what) {
            self.odd.push((what, at));
        }
    }
}
