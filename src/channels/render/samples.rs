//! Letters to try templates with: every purpose, every class of channel, full and bare, one and many.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::core::alerting::{Item, Letter, StormText};
use crate::core::ids::Id;
use crate::core::model::{
    ChannelCard, ChannelClass, Class, DuplicateKey, Few, Language, LinkRule, PersonId, Purpose, ReceiptPath,
    ReplyPath,
};
use crate::core::time::Instant;

/// Thursday, 12 March 2026, 14:02 in Shanghai.
pub(super) const NOW: Instant = Instant::from_secs(1_773_295_320);

pub(super) const PURPOSES: [Purpose; 16] = [
    Purpose::Prewarning,
    Purpose::Level,
    Purpose::Reminder(2),
    Purpose::Unhandled,
    Purpose::AckLapsed,
    Purpose::Rerouted,
    Purpose::SnoozeOver,
    Purpose::Reopened,
    Purpose::Cleared,
    Purpose::Corrected,
    Purpose::StormOpened,
    Purpose::StormUpdate,
    Purpose::StormOver,
    Purpose::Digest,
    Purpose::SilenceEnding,
    Purpose::Canary,
];

pub(super) const CLASSES: [ChannelClass; 6] = [
    ChannelClass::ChatApp,
    ChannelClass::ChatRobot,
    ChannelClass::Sms,
    ChannelClass::Voice,
    ChannelClass::Email,
    ChannelClass::Webhook,
];

/// What items of samples borrow.
pub(super) struct Stock {
    pub(super) person: PersonId,
    zone: TimeZone,
    dimensions: Few<Arc<str>, Arc<str>>,
    facts: Few<Arc<str>, String>,
    nothing: Few<Arc<str>, Arc<str>>,
    no_facts: Few<Arc<str>, String>,
}

impl Stock {
    pub(super) fn new() -> Stock {
        let dimensions = [("shop", "旗舰店"), ("carrier", "顺丰"), ("carrier+lane", "顺丰:杭州-北京")];
        let facts = [
            ("buyer", "张三丰"),
            ("buyer_phone", "13812340000"),
            ("last_scan", "03-11 08:10 已到达北京转运中心,联系电话 13912340000"),
            ("order", "240312998877665544"),
            ("title", "买家问“何时发货”\r\n@all <b>急</b>"),
        ];
        Stock {
            person: "xiaolin".into(),
            zone: TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::UTC),
            dimensions: dimensions.map(|(k, v)| (k.into(), v.into())).into(),
            facts: facts.map(|(k, v)| (k.into(), v.to_owned())).into(),
            nothing: Few::new(),
            no_facts: Few::new(),
        }
    }

    /// An incident with everything that can be known of one.
    pub(super) fn full(&self) -> Item<'_> {
        Item {
            id: Id::from_bytes([0x9d, 0x2f, 0x3a, 0x77, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            family: "ticket.reply",
            rule: "ticket_reply",
            title: "工单 20 分钟回复",
            action: Some("回复买家,说明进度"),
            kind: "ticket",
            source: "taobao",
            subject: "T-1001",
            level: 1,
            step: 1,
            episode: 1,
            vip: true,
            since: Instant::from_secs(NOW.as_secs() - 22 * 60),
            due: Some(Instant::from_secs(NOW.as_secs() - 2 * 60)),
            hard_deadline: Some(Instant::from_secs(NOW.as_secs() + 20 * 3600)),
            unverified: true,
            penalty_cents: 12_345,
            dimensions: &self.dimensions,
            facts: &self.facts,
        }
    }

    /// An incident of which little is known.
    pub(super) fn bare(&self, n: u8) -> Item<'_> {
        Item {
            id: Id::from_bytes([n.wrapping_mul(37), n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
            family: "parcel.stalled",
            rule: "parcel_stalled",
            title: "",
            action: None,
            kind: "parcel",
            source: "kdniao",
            subject: "SF799123400001",
            level: 0,
            step: 1,
            episode: 1,
            vip: false,
            since: Instant::from_secs(NOW.as_secs() - i64::from(n) * 3600),
            due: n.is_multiple_of(2).then(|| Instant::from_secs(NOW.as_secs() + 18 * 60)),
            hard_deadline: None,
            unverified: false,
            penalty_cents: 0,
            dimensions: &self.nothing,
            facts: &self.no_facts,
        }
    }

    pub(super) fn letter<'a>(
        &'a self,
        card: &'a ChannelCard,
        language: Language,
        purpose: Purpose,
        items: Vec<Item<'a>>,
    ) -> Letter<'a> {
        let total = items.len();
        let link = |purpose: &'static str| (purpose, format!("https://sb.example.com/a/{purpose}-k1_x9Zq"));
        Letter {
            card,
            language,
            zone: &self.zone,
            message: Id::from_bytes([5; 16]),
            purpose,
            priority: Class::P1,
            person: &self.person,
            person_name: "小林",
            desk: "售后客服组",
            team: "ops",
            items,
            total,
            penalty_cents: 0,
            storm: None,
            marked: false,
            unrecorded: false,
            minimal: false,
            remark: None,
            links: vec![link("ack"), link("snooze"), link("view")],
            buttons: Vec::new(),
            now: NOW,
        }
    }

    pub(super) fn storm(&self, first: bool) -> StormText<'_> {
        StormText {
            dimension: "carrier+lane",
            value: "顺丰:杭州-北京",
            family: "parcel.stalled",
            open: 998,
            before: (!first).then_some(870),
            resolved: 12,
            breached: 31,
            oldest: Some(Instant::from_secs(NOW.as_secs() - 26 * 3600)),
            penalty_cents: 1_234_500,
        }
    }
}

/// A card of a class.
pub(super) fn card(class: ChannelClass) -> ChannelCard {
    ChannelCard {
        name: "sample".into(),
        adapter: "sample".into(),
        class,
        duplicate_key: DuplicateKey::None,
        receipts: ReceiptPath::None,
        reply: ReplyPath::None,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 1,
    }
}

/// Hands every sample to `each`.
pub(super) fn for_each_letter(each: &mut dyn FnMut(&Letter<'_>)) {
    let stock = Stock::new();
    for class in CLASSES {
        let card = card(class);
        for language in [Language::Zh, Language::En] {
            for purpose in PURPOSES {
                let mut letter = stock.letter(&card, language, purpose, vec![stock.full()]);
                letter.marked = true;
                letter.unrecorded = true;
                letter.remark = Some("推迟已缩短到 14:30");
                letter.storm = Some(stock.storm(false));
                each(&letter);
                letter.storm = Some(stock.storm(true));
                each(&letter);
                letter.storm = None;
                each(&letter);
                each(&stock.letter(&card, language, purpose, vec![stock.bare(1)]));
                let mut many =
                    stock.letter(&card, language, purpose, (1..=10).map(|n| stock.bare(n)).collect());
                many.total = 37;
                many.links.clear();
                each(&many);
                each(&stock.letter(&card, language, purpose, Vec::new()));
            }
        }
    }
}

/// A letter that only says that it came, for `send-test`.
pub fn canary<'a>(
    card: &'a ChannelCard,
    language: Language,
    zone: &'a TimeZone,
    person: &'a PersonId,
    desk: &'a str,
    now: Instant,
) -> Letter<'a> {
    Letter {
        card,
        language,
        zone,
        message: Id::from_bytes(id_of(now)),
        purpose: Purpose::Canary,
        priority: Class::P3,
        person,
        person_name: person,
        desk,
        team: "",
        items: Vec::new(),
        total: 0,
        penalty_cents: 0,
        storm: None,
        marked: false,
        unrecorded: false,
        minimal: false,
        remark: None,
        links: Vec::new(),
        buttons: Vec::new(),
        now,
    }
}

fn id_of(now: Instant) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&now.as_millis().to_be_bytes());
    id.rotate_left(2);
    id
}
