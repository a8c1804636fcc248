//! What a vendor says of a parcel as a whole, beside its scans: more reliable than what it says of each (`logistics` 3.1),
//! but what lies in a locker is not delivered because somebody calls it signed.

use crate::core::parcel::fold::{Parcel, Passage};
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::Instant;

/// It.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Where it is; [`Milestone::Unknown`] where nobody says.
    pub milestone: Milestone,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// Called signed, though it only lies in a locker or station.
    pub claimed: bool,
    /// Somebody else signed.
    pub proxy: bool,
    /// A short code stands for several milestones: what scans say more exactly, counts.
    pub covers: Vec<Milestone>,
}

impl Parcel {
    /// Goes by what is said of the whole. Nothing is said before anything happened.
    pub fn settle(&mut self, whole: &Whole) {
        let Some(newest) = self.newest else { return };
        let says_less = whole.milestone == Milestone::Unknown || whole.covers.contains(&self.milestone);
        let milestone = if says_less { self.milestone } else { whole.milestone };
        let over = |(is, _): &(Exception, Instant)| !says_less && is.is_over_at(milestone);
        let known = self.exception.filter(|is| !over(is));
        let exception = match (whole.exception, known) {
            // "Something is wrong", where a scan says what.
            (Some(Exception::Unspecified) | None, Some(known)) => Some(known),
            (Some(told), Some((known, since))) if told == known => Some((told, since)),
            (told, _) => told.map(|told| (told, newest)),
        };
        let is_other = milestone != self.milestone || exception.map(|e| e.0) != self.exception.map(|e| e.0);
        if milestone != self.milestone {
            (self.milestone, self.since) = (milestone, Some(newest));
            (self.claimed, self.proxy) = (false, false);
            if milestone == Milestone::Delivered && self.signed.is_none() {
                self.signed = Some(newest);
                self.way.passages.push((Passage::Signed, newest));
            }
            let entered = Passage::Entered(milestone);
            if !self.way.passages.iter().any(|(passage, _)| *passage == entered) {
                self.way.passages.push((entered, newest));
            }
            self.return_leg |= matches!(milestone, Milestone::Returning | Milestone::Returned);
        }
        if is_other {
            self.changed = Some(newest);
        }
        self.exception = exception;
        let claims = whole.claimed || whole.milestone == Milestone::Delivered;
        self.claimed |= claims && self.milestone == Milestone::AtPickupPoint;
        self.proxy |= whole.proxy && self.milestone == Milestone::Delivered;
    }
}
