//! Parcels as couriers tell of them: real shapes of numbers, carriers, cities and nodes, by the fold and the words that a
//! desk goes by (`sources::parcels`), so that what is measured is what a desk keeps.

use shiftbell::core::model::{Observation, hash64};
use shiftbell::core::parcel::Milestone;
use shiftbell::core::parcel::fold::{Known, Scan};
use shiftbell::core::time::{Instant, Span};
use shiftbell::sources::parcels::said::Said;
use shiftbell::sources::parcels::trace::{Link, Trace, Whose};
use shiftbell::sources::parcels::{Number, trace::Standing};

/// Carriers by the aggregator's codes, as their numbers begin.
const CARRIERS: [(&str, &str); 8] = [
    ("zhongtong", "7"),
    ("yuantong", "YT"),
    ("yunda", "31"),
    ("shentong", "77"),
    ("shunfeng", "SF"),
    ("jtexpress", "JT"),
    ("jd", "JDVC"),
    ("youzhengguonei", "98"),
];

/// Cities as scans write them.
const CITIES: [&str; 40] = [
    "浙江省杭州市",
    "浙江省金华市",
    "浙江省宁波市",
    "浙江省温州市",
    "广东省广州市",
    "广东省深圳市",
    "广东省揭阳市",
    "广东省东莞市",
    "江苏省苏州市",
    "江苏省南京市",
    "江苏省徐州市",
    "福建省泉州市",
    "福建省福州市",
    "福建省厦门市",
    "山东省青岛市",
    "山东省临沂市",
    "山东省济南市",
    "河南省郑州市",
    "河南省洛阳市",
    "河北省石家庄市",
    "河北省保定市",
    "湖北省武汉市",
    "湖北省襄阳市",
    "湖南省长沙市",
    "湖南省衡阳市",
    "四川省成都市",
    "四川省绵阳市",
    "陕西省西安市",
    "辽宁省沈阳市",
    "辽宁省大连市",
    "安徽省合肥市",
    "安徽省阜阳市",
    "江西省南昌市",
    "江西省赣州市",
    "云南省昆明市",
    "贵州省贵阳市",
    "广西壮族自治区南宁市",
    "新疆维吾尔自治区乌鲁木齐市",
    "上海市青浦区",
    "北京市大兴区",
];

/// Where a parcel is on its way, in the order in which it is scanned.
const WAY: [Milestone; 10] = [
    Milestone::PickedUp,
    Milestone::InTransit,
    Milestone::InTransit,
    Milestone::InTransit,
    Milestone::InTransit,
    Milestone::InTransit,
    Milestone::InTransit,
    Milestone::AtDestination,
    Milestone::OutForDelivery,
    Milestone::Delivered,
];

/// How many scans a parcel has from its first to its delivery.
pub const SCANS: u64 = WAY.len() as u64;

/// One parcel, and what was told of it so far: what a courier's planner keeps between two calls.
pub struct Followed {
    n: u64,
    number: Number,
    links: [Link; 1],
    shipped: Instant,
    trace: Trace,
    said: Said,
    began: Option<Instant>,
    known: u64,
}

fn spread(n: u64, by: u64) -> u64 {
    hash64(&(n ^ by << 40).to_le_bytes())
}

impl Followed {
    /// Parcel number `n`, shipped at an instant.
    pub fn new(n: u64, shipped: Instant) -> Followed {
        let (carrier, begins) = CARRIERS[(spread(n, 1) % 8) as usize];
        let number = Number::new(carrier, &format!("{begins}{:012}", spread(n, 2) % 1_000_000_000_000));
        let to = CITIES[(spread(n, 4) % 40) as usize];
        let link = Link {
            source: "tmall-flagship".to_owned(),
            kind: "order".to_owned(),
            id: format!("{:019}", spread(n, 5) % 10_u64.pow(19)),
            shop: Some(format!("flagship-{}", spread(n, 6) % 20)),
            province: Some(to.split_inclusive(['省', '区', '市']).next().unwrap_or(to).to_owned()),
            worth: Some((spread(n, 7) % 50_000) as i64),
            promise: Some(shipped + Span::DAY.times(5)),
            ..Link::default()
        };
        Followed {
            n,
            number: number.expect("a number"),
            links: [link],
            shipped,
            trace: Trace::default(),
            said: Said::default(),
            began: None,
            known: 0,
        }
    }

    fn place(&self, step: u64) -> String {
        let from = CITIES[(spread(self.n, 3) % 40) as usize];
        let to = CITIES[(spread(self.n, 4) % 40) as usize];
        match step {
            0 => format!("{from}第{}营业部", spread(self.n, 8) % 90),
            1 => format!("{from}转运中心"),
            2..=6 => format!("{}转运中心", CITIES[(spread(self.n, 8 + step) % 40) as usize]),
            _ => format!("{to}第{}营业部", spread(self.n, 9) % 90),
        }
    }

    /// Its next scan is heard of at `now`: what is told of it, and what was worked out for that.
    pub fn scanned(&mut self, now: Instant) -> Vec<Observation<'static>> {
        let step = self.trace.scans.len() as u64;
        let scan = Scan {
            code: Some(["1", "0", "5", "3"][(step % 4) as usize].into()),
            text: spread(self.n, 20 + step),
            place: Some(self.place(step).into()),
            ..Scan::new(now, WAY[(step % SCANS) as usize])
        };
        self.trace.scans.push(scan);
        let parcel = self.trace.fold(Known { shipped: Some(self.shipped), now });
        let whose = Whose {
            source: "kuaidi100",
            shop: None,
            number: &self.number,
            links: &[],
            since: self.shipped,
            shipped: Some(self.shipped),
        };
        let whose = Whose { links: &self.links, ..whose };
        let began = parcel.changed.unwrap_or(self.shipped);
        let began = self.began.map_or(began, |before| before.max(began));
        self.began = Some(began);
        let standing = Standing::of(&parcel, self.shipped);
        let mut observations = self.trace.observations(whose, &parcel, began);
        // What is told of its order is the order's.
        observations.retain(|seen| seen.kind == "parcel");
        let words = self.trace.words(whose, &parcel, now);
        let told = self
            .said
            .tell(words, &["node", "location"], standing.newest.unwrap_or(now), |at| whose.observation(at));
        observations.splice(1..1, told);
        self.known += 1;
        for seen in &mut observations {
            seen.revision = now.as_secs() + self.known as i64;
        }
        observations
    }
}
