//! One order in many parcels, many orders in one (Q09, Q10), and parcels that go on under another number (Q06, Q13).

use std::collections::{BTreeMap, BTreeSet};

use crate::core::parcel::Milestone;
use crate::core::parcel::fold::Parcel;

/// A trail of numbers is at most so long; a longer one goes in circles.
const LONGEST_TRAIL: usize = 8;

/// Which orders lie in which parcels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderParcels {
    of_order: BTreeMap<String, BTreeSet<String>>,
    of_parcel: BTreeMap<String, BTreeSet<String>>,
}

impl OrderParcels {
    /// Nothing was shipped yet.
    pub fn new() -> OrderParcels {
        OrderParcels::default()
    }

    /// The order lies, at least in part, in the parcel.
    pub fn link(&mut self, order: &str, parcel: &str) {
        self.of_order.entry(order.to_owned()).or_default().insert(parcel.to_owned());
        self.of_parcel.entry(parcel.to_owned()).or_default().insert(order.to_owned());
    }

    /// The number was corrected or replaced: the order does not lie there.
    pub fn unlink(&mut self, order: &str, parcel: &str) {
        for (map, key, value) in [(&mut self.of_order, order, parcel), (&mut self.of_parcel, parcel, order)] {
            if let Some(set) = map.get_mut(key) {
                set.remove(value);
                if set.is_empty() {
                    map.remove(key);
                }
            }
        }
    }

    /// The parcels of an order.
    pub fn parcels(&self, order: &str) -> impl Iterator<Item = &str> {
        self.of_order.get(order).into_iter().flatten().map(String::as_str)
    }

    /// The orders in a parcel: one problem, told once, with all of them.
    pub fn orders(&self, parcel: &str) -> impl Iterator<Item = &str> {
        self.of_parcel.get(parcel).into_iter().flatten().map(String::as_str)
    }
}

/// Where an order is: where its slowest parcel is (Q09). Parcels that go on under another number, and void ones beside
/// others, do not count; `None` without any.
pub fn order_milestone<'a>(parcels: impl IntoIterator<Item = &'a Parcel>) -> Option<Milestone> {
    let (mut least, mut void) = (None::<Milestone>, false);
    for parcel in parcels {
        match parcel.milestone {
            _ if parcel.forward_no.is_some() => {}
            Milestone::Cancelled => void = true,
            milestone if least.is_none_or(|least| milestone.rank() < least.rank()) => least = Some(milestone),
            _ => {}
        }
    }
    least.or(void.then_some(Milestone::Cancelled))
}

/// The numbers under which a parcel went on, itself first. A circle ends where it closes.
pub fn trail<'a>(parcels: &'a BTreeMap<String, Parcel>, number: &'a str) -> Vec<&'a str> {
    let mut trail = vec![number];
    while let Some(next) = parcels.get(trail[trail.len() - 1]).and_then(|p| p.forward_no.as_deref()) {
        if trail.contains(&next) || trail.len() == LONGEST_TRAIL {
            break;
        }
        trail.push(next);
    }
    trail
}
