//! What becomes of the parcels of simulated shops, so that an aggregator can tell of them what the shops' orders say; and the
//! parcels that come to grief, which nobody orders.

use super::platforms::kuaidi100::{Fleet, Parcel, Scan};
use super::platforms::shop::Shop;
use super::random::Dice;
use crate::core::time::{Instant, Span};

/// Where parcels are sorted on their way.
const HUBS: [&str; 4] = ["浙江,杭州市", "江苏,南京市", "湖南,长沙市", "湖北,武汉市"];
/// Where they end.
const TOWNS: [&str; 4] = ["上海,上海市", "北京,北京市", "四川,成都市", "福建,厦门市"];
/// Where the sorting centre is that breaks down.
const STUCK: &str = "广东,东莞市";

/// How a parcel that is not received comes to grief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was last seen at a sorting centre that has broken down.
    Stuck,
    /// The recipient does not want it.
    Refused,
    /// It is broken.
    Damaged,
    /// The address is no address.
    NoSuchAddress,
    /// It lies at a station, and nobody comes for it.
    Left,
}

/// A parcel by its scans.
struct Road {
    scans: Vec<Scan>,
}

/// A scan: the vendor's code, what it says, and where that brings the parcel in the program's own words.
type Step = (&'static str, &'static str, &'static str);

const REGISTERED: Step = ("102", "商家已发货,等待快递揽收", "registered");
const PICKED_UP: Step = ("103", "快件已由网点揽收", "picked_up");
const LEFT_HUB: Step = ("1002", "快件离开转运中心,发往下一站", "in_transit");
const AT_HUB: Step = ("1002", "快件到达转运中心", "in_transit");
const IN_TOWN: Step = ("1001", "快件到达派件城市", "at_destination");
const WITH_COURIER: Step = ("5", "快递员正在派件", "out_for_delivery");
const DELIVERED: Step = ("301", "快件已由本人签收", "delivered");

impl Road {
    fn scan(&mut self, at: Instant, place: &'static str, (code, text, status): Step) {
        let at = Instant::from_secs(at.as_secs());
        let at = self.scans.last().map_or(at, |last| at.max(last.at));
        let physical = status != "registered";
        let step = self.scans.len();
        self.scans.push(Scan { at, visible: at, code, text, place, step, status, physical });
    }
}

/// Adds every parcel of a shop to a fleet, as it goes by the orders: `shop` is a copy in which everything has happened.
/// `carrier` is the aggregator's code of the shop's only carrier.
pub fn follow(fleet: &mut Fleet, shop: &Shop, carrier: &str, seed: u64) {
    let mut dice = Dice::new(seed ^ 0x70ad);
    for order in shop.orders.values() {
        for (shipped, number) in order.lines.iter().filter_map(|line| line.shipped) {
            let Some(parcel) = shop.parcels.get(&number) else { continue };
            let mut road = Road { scans: Vec::new() };
            let (hub, town) = (pick(&mut dice, &HUBS), pick(&mut dice, &TOWNS));
            road.scan(shipped, hub, REGISTERED);
            if let Some(collected) = parcel.collected {
                let end = parcel.signed.or(order.received).unwrap_or(collected + Span::HOUR.times(30));
                let part = |percent: i64| {
                    collected + Span::from_millis(end.since(collected).as_millis() * percent / 100)
                };
                road.scan(collected, hub, PICKED_UP);
                road.scan(part(dice.between(10, 20)), hub, LEFT_HUB);
                road.scan(part(dice.between(40, 55)), town, IN_TOWN);
                road.scan(part(dice.between(70, 90)), town, WITH_COURIER);
                if parcel.signed.or(order.received).is_some() {
                    road.scan(end, town, DELIVERED);
                }
            }
            add(fleet, carrier, &parcel.waybill, shipped, road);
        }
    }
}

/// Adds a parcel that comes to grief: the last that is heard of it is at `last`.
pub fn grieve(
    fleet: &mut Fleet,
    carrier: &str,
    waybill: &str,
    shipped: Instant,
    (fate, last): (Fate, Instant),
) {
    let mut road = Road { scans: Vec::new() };
    let part = |percent: i64| shipped + Span::from_millis(last.since(shipped).as_millis() * percent / 100);
    let town = TOWNS[0];
    road.scan(shipped, HUBS[0], REGISTERED);
    road.scan(part(20), HUBS[0], PICKED_UP);
    road.scan(part(40), HUBS[0], LEFT_HUB);
    match fate {
        Fate::Stuck => road.scan(last, STUCK, AT_HUB),
        Fate::Damaged => {
            road.scan(last, STUCK, ("209", "快件外包装破损,内件待核实", "in_transit"));
        }
        Fate::Refused | Fate::NoSuchAddress | Fate::Left => {
            road.scan(part(70), town, IN_TOWN);
            road.scan(part(85), town, WITH_COURIER);
            let step = match fate {
                Fate::Refused => ("203", "收件人拒收,原因:不想要了", "delivery_failed"),
                Fate::NoSuchAddress => ("204", "收件地址不详,无法派送", "delivery_failed"),
                _ => ("501", "快件已存放至驿站,请及时领取", "at_pickup_point"),
            };
            road.scan(last, town, step);
        }
    }
    add(fleet, carrier, waybill, shipped, road);
}

fn add(fleet: &mut Fleet, carrier: &str, waybill: &str, shipped: Instant, road: Road) {
    fleet.parcels.insert(format!("{carrier}:{waybill}"), Parcel { shipped, scans: road.scans });
}

fn pick(dice: &mut Dice, places: &[&'static str; 4]) -> &'static str {
    dice.pick(places).copied().unwrap_or(places[0])
}
