//! Parcels as they really travel: what becomes of each is made by a seed, and told late, twice, and in the same second.

use std::collections::BTreeMap;

use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;

/// The last digits of the shop's phone.
pub const PHONE: &str = "4321";

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// When.
    pub at: Instant,
    /// From when on it is shown: scans are uploaded late (Q04).
    pub visible: Instant,
    /// The vendor's code.
    pub code: &'static str,
    /// The text, with what is called personal in it.
    pub text: &'static str,
    /// The city.
    pub place: &'static str,
    /// Its place in the true order: several may be of one second (Q03).
    pub step: usize,
    /// Where the parcel is after it, in the program's own words.
    pub status: &'static str,
    /// Whether somebody had it in their hands.
    pub physical: bool,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// When the shop shipped it.
    pub shipped: Instant,
    /// What happens to it, in the true order.
    pub scans: Vec<Scan>,
}

impl Parcel {
    /// What is shown of it.
    pub fn shown(&self, now: Instant) -> Vec<Scan> {
        self.scans.iter().filter(|scan| scan.visible <= now).cloned().collect()
    }

    /// Whether the vendor ends its tracking: it was signed, or is back, and all of that is shown.
    pub fn is_done(&self, now: Instant) -> bool {
        self.scans.last().is_some_and(|last| matches!(last.status, "delivered" | "returned"))
            && self.scans.iter().all(|scan| scan.visible <= now)
    }
}

/// Many parcels, by `carrier:number`.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// They.
    pub parcels: BTreeMap<String, Parcel>,
}

const CARRIERS: [&str; 5] = ["yuantong", "shentong", "yunda", "jtexpress", "shunfeng"];
const CITIES: [&str; 5] = ["浙江,杭州市", "上海", "湖南,长沙市", "广东,深圳市", "新疆,乌鲁木齐市"];

/// The short code over an advanced one.
pub fn bare(code: &'static str) -> &'static str {
    match code {
        "101" | "102" | "103" => "1",
        "1001" | "1002" | "1003" => "0",
        "501" => "5",
        "301" | "302" | "303" | "304" => "3",
        "203" | "204" | "206" | "208" => "2",
        other => other,
    }
}

impl Fleet {
    /// `count` parcels that are shipped between `start` and `start + length`.
    pub fn new(seed: u64, count: u64, start: Instant, length: Span) -> Fleet {
        let mut dice = Dice::new(seed ^ 0xf1ee7);
        let mut fleet = Fleet::default();
        for n in 0..count {
            let carrier = dice.pick(&CARRIERS).copied().unwrap_or("yuantong");
            let shipped = start + Span::from_secs(dice.between(0, length.as_secs()));
            let parcel = travel(&mut dice.fork(), shipped);
            fleet.parcels.insert(format!("{carrier}:YT{:013}", seed * 1_000_000 + n), parcel);
        }
        fleet
    }
}

/// What happens to one parcel.
fn travel(dice: &mut Dice, shipped: Instant) -> Parcel {
    let mut road = Road { at: Instant::from_secs(shipped.as_secs()), scans: Vec::new(), dice: dice.clone() };
    let hours = |from: i64, to: i64| (from * 3600, to * 3600);
    let fate = dice.below(100);
    road.scan((60, 3600), "101", "registered", false);
    match fate {
        // Declared, and never handed over.
        0..=2 => return road.parcel(shipped),
        3 => {
            road.scan(hours(2, 20), "401", "cancelled", false);
            return road.parcel(shipped);
        }
        _ => {}
    }
    road.scan(hours(1, 30), "103", "picked_up", true);
    for _ in 0..dice.between(1, 4) {
        // Now and then two of one second.
        let gap = if dice.chance(10) { (0, 0) } else { hours(2, 18) };
        road.scan(gap, "1002", "in_transit", true);
    }
    if dice.chance(5) {
        road.scan(hours(2, 10), "208", "in_transit", true);
        road.scan(hours(30, 60), "1002", "in_transit", true);
    }
    road.scan(hours(3, 20), "1001", "at_destination", true);
    road.scan(hours(1, 16), "5", "out_for_delivery", true);
    if dice.chance(8) {
        road.scan(hours(1, 6), "206", "delivery_failed", true);
        road.scan(hours(12, 30), "5", "out_for_delivery", true);
    }
    match fate {
        4..=9 => {
            road.scan(hours(1, 5), "14", "delivery_failed", true);
            road.scan(hours(6, 30), "6", "returning", true);
            road.scan(hours(24, 60), "4", "returned", true);
        }
        // In a station, and fetched, or nobody says so.
        10..=19 => {
            road.scan(hours(1, 5), if fate < 15 { "501" } else { "304" }, "at_pickup_point", true);
            if !fate.is_multiple_of(3) {
                road.scan(hours(3, 40), "301", "delivered", true);
            }
        }
        _ => {
            road.scan(hours(1, 6), if fate < 30 { "303" } else { "301" }, "delivered", true);
            if fate < 25 {
                // Stamped too early: the scan before it is dated after it (Q01).
                road.scan((300, 1500), "1002", "delivered", true);
            }
        }
    }
    road.parcel(shipped)
}

struct Road {
    at: Instant,
    scans: Vec<Scan>,
    dice: Dice,
}

impl Road {
    fn scan(&mut self, (from, to): (i64, i64), code: &'static str, status: &'static str, physical: bool) {
        self.at = self.at + Span::from_secs(self.dice.between(from, to));
        let late = match self.dice.below(20) {
            0 => self.dice.span(3600, 20_000),
            _ => self.dice.span(1, 600),
        };
        let place = self.dice.pick(&CITIES).copied().unwrap_or("上海");
        let text = "【网点】快递员张三(13812345678)正在处理，签收人：李四";
        let step = self.scans.len();
        self.scans.push(Scan {
            at: self.at,
            visible: self.at + late,
            code,
            text,
            place,
            step,
            status,
            physical,
        });
    }

    fn parcel(self, shipped: Instant) -> Parcel {
        Parcel { shipped, scans: self.scans }
    }
}
