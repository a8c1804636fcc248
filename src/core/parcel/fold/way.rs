//! What rules ask of the way that a parcel took (`logistics` 6), beside where it is: noted scan by scan.

use std::sync::Arc;

use crate::core::parcel::fold::Scan;
use crate::core::parcel::fold::place::{borders_between, city, province};
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::Instant;

/// Something that happened, for whoever names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It was in somebody's hands.
    Scan,
    /// It came there; on its way to the recipient each time anew.
    Entered(Milestone),
    /// Called signed, by whomever.
    Signed,
    /// Something was said to be wrong.
    Reported(Exception),
}

/// The way of a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// What happened, in order.
    pub passages: Vec<(Passage, Instant)>,
    /// The first scan of any kind.
    pub first: Option<Instant>,
    /// It went on from where it was picked up (R03).
    pub moved_on: Option<Instant>,
    /// It was carried to the recipient, or lay ready for them.
    announced: bool,
    /// Delivered, and nobody had carried it to the recipient or laid it ready (R18).
    pub unannounced: Option<Instant>,
    /// Signed, and only then in the city of the recipient (R19).
    pub early: Option<Instant>,
    /// Came back to a city that it had left (R15), and has not been where it belongs since.
    pub detour: Option<Instant>,
    /// Where it was first in somebody's hands.
    pub from: Option<Arc<str>>,
    /// Where it was last in somebody's hands.
    pub node: Option<Arc<str>>,
    /// Where it was delivered.
    pub delivered_in: Option<Arc<str>>,
    /// What the newest scan says that lets it wait without a fault of anybody (`logistics` 6.1).
    pub waits: Option<(Exception, Instant)>,
    /// The last cities, at most three.
    cities: Vec<Arc<str>>,
    /// The provinces that it came through on its way to the recipient, each as it came there: the last of them.
    provinces: Vec<(&'static str, Instant)>,
}

/// So many provinces are remembered; none that goes where it should comes through more.
const PROVINCES: usize = 24;

impl Way {
    /// Takes the next scan in order, which brings the parcel from `was` to `milestone`; `signed` is when it was first
    /// called signed.
    pub(super) fn pass(
        &mut self,
        scan: &Scan,
        was: Milestone,
        milestone: Milestone,
        signed: Option<Instant>,
    ) {
        use Milestone as M;
        let at = scan.at;
        self.first.get_or_insert(at);
        if scan.is_physical() {
            self.passages.push((Passage::Scan, at));
            self.is_at(scan);
        }
        if let Some(exception) = scan.exception {
            self.passages.push((Passage::Reported(exception), at));
        }
        if scan.claimed || scan.milestone == M::Delivered {
            self.passages.push((Passage::Signed, at));
        }
        let waits = matches!(
            scan.exception,
            Some(Exception::ForceMajeure | Exception::BusinessClosed | Exception::Rescheduled)
        );
        self.waits = scan.exception.filter(|_| waits).map(|exception| (exception, at));
        if scan.milestone == M::AtDestination && signed.is_some_and(|signed| signed < at) {
            self.early.get_or_insert(at);
        }
        // A scan that does not lead where it says is a scan and no more.
        if milestone != scan.milestone {
            return;
        }
        if milestone != was || milestone == M::OutForDelivery {
            self.passages.push((Passage::Entered(milestone), at));
        }
        match milestone {
            M::InTransit | M::AtDestination => drop(self.moved_on.get_or_insert(at)),
            M::OutForDelivery | M::AtPickupPoint => self.announced = true,
            M::Delivered if was != M::Delivered => {
                self.delivered_in = scan.place.clone();
                if !self.announced {
                    self.unannounced.get_or_insert(at);
                }
            }
            _ => {}
        }
        if matches!(milestone, M::OutForDelivery | M::AtPickupPoint | M::Delivered) {
            self.moved_on.get_or_insert(at);
        }
        if matches!(milestone, M::AtDestination | M::OutForDelivery | M::AtPickupPoint | M::Delivered) {
            self.detour = None;
        }
        // On its way back it comes through the same cities.
        if matches!(milestone, M::Returning | M::Returned) {
            (self.detour, self.cities) = (None, Vec::new());
            self.provinces.clear();
        }
    }

    /// When it went away from the province `to` for the second time (R15): more borders lay between than before. Nothing
    /// any more once it is there. Distances are not known; a border is what couriers cross.
    pub fn strayed(&self, to: &str) -> Option<Instant> {
        if self.provinces.len() < 3 || self.provinces.last().is_some_and(|(last, _)| *last == to) {
            return None;
        }
        let left = |(is, _): &(&str, Instant)| borders_between(is, to);
        let further = |pair: &&[(&'static str, Instant)]| left(&pair[0]) < left(&pair[1]);
        self.provinces.windows(2).filter(further).nth(1).map(|pair| pair[1].1)
    }

    fn is_at(&mut self, scan: &Scan) {
        let Some(place) = &scan.place else { return };
        self.from.get_or_insert_with(|| place.clone());
        self.node = Some(place.clone());
        if let Some(is) = province(place)
            && self.provinces.last().is_none_or(|(last, _)| *last != is)
        {
            self.provinces.push((is, scan.at));
            if self.provinces.len() > PROVINCES {
                self.provinces.remove(0);
            }
        }
        let Some(city) = city(place) else { return };
        if self.cities.last().is_some_and(|last| **last == *city) {
            return;
        }
        if self.cities.len() >= 2 && *self.cities[self.cities.len() - 2] == *city {
            self.detour = Some(scan.at);
        }
        self.cities.push(city.into());
        if self.cities.len() > 3 {
            self.cities.remove(0);
        }
    }
}
