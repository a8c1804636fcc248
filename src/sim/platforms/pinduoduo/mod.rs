//! A simulated Pinduoduo gateway and the shop behind it (`platforms` 4, 10.5).

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Reply, Simulated};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;
use crate::sources::sign::{beijing, pinduoduo::signature, same};

/// How badly it behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// In so many of a thousand requests something goes wrong.
    pub trouble: u16,
    /// More requests a minute than this are throttled; 0 for no limit.
    pub per_minute: u32,
    /// In so many of a hundred changes the row is shown only after some minutes.
    pub late: u8,
    /// From and up to when nothing is answered.
    pub outages: Vec<(Instant, Instant)>,
    /// The platform's clock minus the true one, in ms.
    pub skew_ms: i64,
    /// Windows may reach up to now: the other reading of a sentence that can be read in two ways.
    pub open_end: bool,
}

/// An order as the platform has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// 1 to ship, 2 shipped, 3 signed.
    pub order_status: i64,
    /// 0 not concluded, 1 concluded, 2 cancelled.
    pub confirm_status: i64,
    /// 1 under review.
    pub risk: i64,
    /// When it was made.
    pub created: Instant,
    /// When the deal was made.
    pub confirmed: Option<Instant>,
    /// When it was shipped.
    pub shipped: Option<Instant>,
    /// When it was received.
    pub received: Option<Instant>,
    /// When it was changed.
    pub updated: Instant,
    /// From when on it is shown as it is.
    pub visible: Instant,
}

/// An after-sale as the platform has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterSale {
    /// Its order.
    pub order: String,
    /// Its status.
    pub status: i64,
    /// When it was made.
    pub created: Instant,
    /// Until when the merchant must act; only while he must.
    pub expires: Option<Instant>,
    /// When it was first in a state that a review leads to.
    pub reviewed: Option<Instant>,
    /// When it was changed.
    pub updated: Instant,
    /// From when on it is shown as it is.
    pub visible: Instant,
}

#[derive(Clone, Debug)]
enum Event {
    Deal(String),
    Ship(String),
    Receive(String),
    Cancel(String),
    Review(String),
    Touch(String),
    Complain(String),
    Judge(u64),
    Refund(u64),
}

/// The gateway and one shop.
#[derive(Debug)]
pub struct Pinduoduo {
    client_id: String,
    secret: Secret,
    /// The token that is good now, and until when.
    access: (String, Instant),
    refresh: String,
    /// The refresh token before: good until the new tokens are used, because answers get lost.
    before: Option<String>,
    renewals: u32,
    manners: Manners,
    dice: Dice,
    /// The orders by number.
    pub orders: BTreeMap<String, Order>,
    /// The after-sales by id.
    pub aftersales: BTreeMap<u64, AfterSale>,
    by_change: BTreeSet<(Instant, String)>,
    by_status: BTreeMap<i64, BTreeSet<(Instant, u64)>>,
    agenda: BTreeMap<(Instant, u64), Event>,
    planned: u64,
    /// Requests of the minute.
    minute: (i64, u32),
    /// Requests that were answered with rows, or refused; by method.
    pub requests: BTreeMap<String, u64>,
    /// Changes of orders and after-sales.
    pub changes: u64,
    /// Refusals, by code.
    pub refusals: BTreeMap<i64, u64>,
}

/// Its ids lie above 2^53.
const FIRST_ID: u64 = 9_007_199_254_740_993;
/// How long a token is good.
const TOKEN: Span = Span::from_minutes(6 * 60);

impl Pinduoduo {
    /// A gateway for an app and its shop, at `now`, with nothing in it.
    pub fn new(client_id: &str, secret: &str, seed: u64, manners: Manners, now: Instant) -> Pinduoduo {
        Pinduoduo {
            client_id: client_id.to_owned(),
            secret: Secret::new(secret),
            access: ("sim-access-0".to_owned(), now + TOKEN),
            refresh: "sim-refresh-0".to_owned(),
            before: None,
            renewals: 0,
            manners,
            dice: Dice::new(seed),
            orders: BTreeMap::new(),
            aftersales: BTreeMap::new(),
            by_change: BTreeSet::new(),
            by_status: BTreeMap::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            minute: (0, 0),
            requests: BTreeMap::new(),
            changes: 0,
            refusals: BTreeMap::new(),
        }
    }

    /// The tokens that are good now: access, refresh, and until when the first is.
    pub fn tokens(&self) -> (String, String, Instant) {
        (self.access.0.clone(), self.refresh.clone(), self.access.1)
    }

    /// Plans `count` orders over `length` from `now` on, with what becomes of them.
    pub fn populate(&mut self, count: u64, now: Instant, length: Span) {
        for n in 0..count {
            let at = now + Span::from_millis(self.dice.between(0, length.as_millis()));
            let sn = format!("260105-{:015}", n + 1);
            self.plan(at, Event::Deal(sn));
        }
    }

    /// Puts in an order by hand: to be shipped, its deal made at `confirmed`, changed last at `updated`.
    pub fn place(&mut self, sn: &str, confirmed: Instant, updated: Instant) {
        let [confirmed, updated] = [confirmed, updated].map(|at| Instant::from_secs(at.as_secs()));
        let order = Order {
            order_status: 1,
            confirm_status: 1,
            risk: 0,
            created: confirmed,
            confirmed: Some(confirmed),
            shipped: None,
            received: None,
            updated,
            visible: updated,
        };
        self.orders.insert(sn.to_owned(), order);
        self.touch(sn, updated, |_| ());
    }

    /// Ships an order by hand.
    pub fn ship(&mut self, sn: &str, at: Instant) {
        let at = Instant::from_secs(at.as_secs());
        self.touch(sn, at, |order| (order.order_status, order.shipped) = (2, Some(at)));
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.planned += 1;
        self.agenda.insert((Instant::from_secs(at.as_secs()), self.planned), event);
    }

    /// Lets the world move on to `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            self.happen(event, at);
        }
    }

    fn happen(&mut self, event: Event, at: Instant) {
        let after = |dice: &mut Dice, from: i64, to: i64| at + dice.span(from, to);
        match event {
            Event::Deal(sn) => {
                let risky = self.dice.chance(2);
                let order = Order {
                    order_status: 1,
                    confirm_status: 1,
                    risk: i64::from(risky),
                    created: at - Span::from_secs(60),
                    confirmed: Some(at),
                    shipped: None,
                    received: None,
                    updated: at,
                    visible: at,
                };
                self.orders.insert(sn.clone(), order);
                self.touch(&sn, at, |_| ());
                let next = match self.dice.below(100) {
                    0..=4 => Event::Cancel(sn.clone()),
                    _ => Event::Ship(sn.clone()),
                };
                let then = after(&mut self.dice, 1800, 30_000);
                self.plan(then, next);
                if risky {
                    let then = after(&mut self.dice, 300, 1500);
                    self.plan(then, Event::Review(sn.clone()));
                }
                if self.dice.chance(30) {
                    let then = after(&mut self.dice, 5, 900);
                    self.plan(then, Event::Touch(sn));
                }
            }
            Event::Touch(sn) => self.touch(&sn, at, |_| ()),
            Event::Review(sn) => self.touch(&sn, at, |order| order.risk = 0),
            Event::Cancel(sn) => self.touch(&sn, at, |order| order.confirm_status = 2),
            Event::Ship(sn) => {
                self.touch(&sn, at, |order| (order.order_status, order.shipped) = (2, Some(at)));
                let then = after(&mut self.dice, 3600, 40_000);
                self.plan(then, Event::Receive(sn.clone()));
                if self.dice.chance(6) {
                    let then = after(&mut self.dice, 600, 20_000);
                    self.plan(then, Event::Complain(sn));
                }
            }
            Event::Receive(sn) => {
                self.touch(&sn, at, |order| (order.order_status, order.received) = (3, Some(at)))
            }
            Event::Complain(order) => {
                let id = FIRST_ID + self.aftersales.len() as u64;
                let status = if self.dice.chance(50) { 2 } else { 3 };
                let expires = Some(at + Span::from_minutes(48 * 60));
                let (created, updated, visible) = (at, at, at);
                let case = AfterSale { order, status, created, expires, reviewed: None, updated, visible };
                self.aftersales.insert(id, case);
                self.judge(id, status, at);
                let then = after(&mut self.dice, 300, 20_000);
                self.plan(then, Event::Judge(id));
            }
            Event::Judge(id) => {
                let status = self.dice.pick(&[4, 6, 7, 11]).copied().unwrap_or(4);
                self.judge(id, status, at);
                if status != 11 {
                    let then = after(&mut self.dice, 300, 9000);
                    self.plan(then, Event::Refund(id));
                }
            }
            Event::Refund(id) => self.judge(id, 10, at),
        }
    }

    /// When a change is shown.
    fn shown(&mut self, at: Instant) -> Instant {
        match self.dice.chance(self.manners.late) {
            true => at + self.dice.span(1, 240),
            false => at,
        }
    }

    fn touch(&mut self, sn: &str, at: Instant, change: impl FnOnce(&mut Order)) {
        let visible = self.shown(at);
        let Some(order) = self.orders.get_mut(sn) else { return };
        self.by_change.remove(&(order.updated, sn.to_owned()));
        change(order);
        (order.updated, order.visible) = (at, visible);
        self.by_change.insert((at, sn.to_owned()));
        self.changes += 1;
    }

    fn judge(&mut self, id: u64, status: i64, at: Instant) {
        let visible = self.shown(at);
        let Some(case) = self.aftersales.get_mut(&id) else { return };
        self.by_status.entry(case.status).or_default().remove(&(case.updated, id));
        (case.status, case.updated, case.visible) = (status, at, visible);
        case.expires = case.expires.filter(|_| matches!(status, 2 | 3));
        if matches!(status, 4..=7 | 10) && case.reviewed.is_none() {
            case.reviewed = Some(at);
        }
        self.by_status.entry(status).or_default().insert((at, id));
        self.changes += 1;
    }

    fn refuse(&mut self, code: i64, message: &str) -> Value {
        *self.refusals.entry(code).or_default() += 1;
        json!({ "error_response": { "error_code": code, "error_msg": message, "sub_code": code.to_string(),
                                    "sub_msg": "", "request_id": "17676000000000001" } })
    }

    fn call(&mut self, body: &[u8], now: Instant) -> Value {
        let Ok(Value::Object(params)) = serde_json::from_slice::<Value>(body) else {
            return self.refuse(10000, "参数错误");
        };
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let kind = text("type");
        *self.requests.entry(kind.clone()).or_default() += 1;
        if params.values().any(Value::is_null) || text("data_type") != "JSON" {
            return self.refuse(10001, "公共参数错误");
        }
        if text("client_id") != self.client_id {
            return self.refuse(10016, "client下线或者clientId不正确");
        }
        if !same(&text("sign"), &signature(&params, &self.secret)) {
            return self.refuse(20004, "签名sign校验失败");
        }
        let off = number("timestamp").map(|s| (s - now.as_secs()).abs());
        if off.is_none_or(|off| off > 600) {
            return self.refuse(10001, "公共参数错误:timestamp");
        }
        if self.manners.per_minute > 0 {
            let minute = now.as_secs() / 60;
            self.minute = if self.minute.0 == minute { (minute, self.minute.1 + 1) } else { (minute, 1) };
            if self.minute.1 > self.manners.per_minute {
                return self.refuse(52101, "当前接口被限流，请稍后重试");
            }
        }
        if kind == "pdd.pop.auth.token.refresh" {
            return self.renew(&text("refresh_token"), now);
        }
        if text("access_token") != self.access.0 || now >= self.access.1 {
            return self.refuse(10019, "access_token已过期");
        }
        self.before = None;
        match kind.as_str() {
            "pdd.order.number.list.increment.get" => self.order_list(&params, now),
            "pdd.refund.list.increment.get" => self.refund_list(&params, now),
            "pdd.refund.information.get" => self.refund(&params),
            _ => self.refuse(10017, "type不正确"),
        }
    }

    fn renew(&mut self, refresh: &str, now: Instant) -> Value {
        if refresh != self.refresh && self.before.as_deref() != Some(refresh) {
            return self.refuse(10019, "refresh_token已过期");
        }
        self.renewals += 1;
        self.access = (format!("sim-access-{}", self.renewals), now + TOKEN);
        let before = std::mem::replace(&mut self.refresh, format!("sim-refresh-{}", self.renewals));
        self.before = self.before.take().or(Some(before));
        json!({ "pop_auth_token_refresh_response": {
            "access_token": self.access.0, "refresh_token": self.refresh, "owner_id": "1", "owner_name": "样品店",
            "expires_in": TOKEN.as_secs(), "expires_at": self.access.1.as_secs(),
            "refresh_token_expires_in": 2_592_000 } })
    }

    /// The window and the page of a list, or the refusal.
    fn window(
        &mut self,
        params: &Map<String, Value>,
        now: Instant,
    ) -> Result<(Instant, Instant, usize, usize), Value> {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let (Some(from), Some(to)) = (number("start_updated_at"), number("end_updated_at")) else {
            return Err(self.refuse(21002, "缺少时间参数"));
        };
        let (page, size) = (number("page").unwrap_or(1), number("page_size").unwrap_or(100));
        // The strict reading of "not less than 3 minutes before system time".
        let end = if self.manners.open_end { 0 } else { 180 };
        if to - from > 1800 || from > to || to > now.as_secs() - end || from < now.as_secs() - 90 * 86_400 {
            return Err(self.refuse(21001, "时间参数错误"));
        }
        if page < 1 || !(1..=100).contains(&size) {
            return Err(self.refuse(21001, "分页参数错误"));
        }
        let skip = usize::try_from((page - 1) * size).unwrap_or(usize::MAX);
        Ok((Instant::from_secs(from), Instant::from_secs(to), skip, usize::try_from(size).unwrap_or(100)))
    }

    fn order_list(&mut self, params: &Map<String, Value>, now: Instant) -> Value {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        if (number("order_status"), number("refund_status"), number("is_lucky_flag"))
            != (Some(5), Some(5), Some(0))
        {
            return self.refuse(21001, "缺少必填参数");
        }
        let (from, to, skip, size) = match self.window(params, now) {
            Ok(window) => window,
            Err(refusal) => return refusal,
        };
        // The latest change comes first.
        let found: Vec<&str> = self
            .by_change
            .range((from, String::new())..=(to, "~".to_owned()))
            .rev()
            .filter(|(_, sn)| self.orders.get(sn).is_some_and(|o| o.visible <= now))
            .map(|(_, sn)| sn.as_str())
            .collect();
        let rows: Vec<Value> =
            found.iter().skip(skip).take(size).filter_map(|sn| self.order_row(sn)).collect();
        let mut page = json!({ "order_sn_list": rows });
        match params.get("use_has_next") == Some(&Value::Bool(true)) {
            true => page["has_next"] = (found.len() > skip + size).into(),
            false => page["total_count"] = found.len().into(),
        }
        json!({ "order_sn_increment_get_response": page })
    }

    fn order_row(&self, sn: &str) -> Option<Value> {
        let order = self.orders.get(sn)?;
        let time = |at: Option<Instant>| at.map(beijing).unwrap_or_default();
        // Receiver fields are there while the order waits, and empty afterwards.
        let waits = order.order_status == 1 && order.risk == 0;
        let receiver = if waits { "~AgAAAAFvXw==~张三~" } else { "" };
        Some(json!({
            "order_sn": sn, "order_status": order.order_status, "confirm_status": order.confirm_status,
            "group_status": 1, "refund_status": 1, "after_sales_status": 0, "risk_control_status": order.risk,
            "created_time": beijing(order.created), "pay_time": beijing(order.created),
            "confirm_time": time(order.confirmed),
            "last_ship_time": time(order.confirmed.map(|at| at + Span::from_minutes(48 * 60))),
            "shipping_time": time(order.shipped), "receive_time": time(order.received),
            "updated_at": beijing(order.updated), "logistics_id": if order.shipped.is_some() { 44 } else { 0 },
            "tracking_number": if order.shipped.is_some() { "75300000000001" } else { "" }, "pay_amount": "18.80",
            "receiver_name": receiver, "receiver_phone": receiver, "address": receiver,
            "item_list": [{ "goods_id": "1", "sku_id": "11", "goods_count": 1, "goods_name": "样品" }],
        }))
    }

    fn refund_list(&mut self, params: &Map<String, Value>, now: Instant) -> Value {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let (Some(status), Some(1)) = (number("after_sales_status"), number("after_sales_type")) else {
            return self.refuse(21001, "缺少必填参数");
        };
        // No documented value means all of them.
        if !(2..=33).contains(&status) {
            return self.refuse(21001, "after_sales_status错误");
        }
        let (from, to, skip, size) = match self.window(params, now) {
            Ok(window) => window,
            Err(refusal) => return refusal,
        };
        let empty = BTreeSet::new();
        let found: Vec<u64> = self
            .by_status
            .get(&status)
            .unwrap_or(&empty)
            .range((from, 0)..=(to, u64::MAX))
            .rev()
            .map(|(_, id)| *id)
            .filter(|id| self.aftersales.get(id).is_some_and(|case| case.visible <= now))
            .collect();
        let rows: Vec<Value> =
            found.iter().skip(skip).take(size).filter_map(|id| self.refund_row(*id)).collect();
        json!({ "refund_increment_get_response": { "total_count": found.len(), "refund_list": rows } })
    }

    fn refund_row(&self, id: u64) -> Option<Value> {
        let case = self.aftersales.get(&id)?;
        // Both forms of time are seen.
        let updated = match id % 2 {
            0 => Value::from(beijing(case.updated)),
            _ => Value::from(case.updated.as_secs().to_string()),
        };
        Some(json!({
            "id": id, "order_sn": case.order, "after_sales_status": case.status, "after_sales_type": 2,
            "created_time": beijing(case.created), "updated_time": updated, "confirm_time": "",
            "refund_amount": "18.80", "dispute_refund_status": 0, "speed_refund_flag": 0,
            "user_shipping_status": "1", "tracking_number": "",
        }))
    }

    fn refund(&mut self, params: &Map<String, Value>) -> Value {
        let id = params.get("after_sales_id").and_then(Value::as_u64).unwrap_or(0);
        let sn = params.get("order_sn").and_then(Value::as_str).unwrap_or_default();
        let Some(case) = self.aftersales.get(&id).filter(|case| case.order == sn) else {
            return self.refuse(50001, "售后单不存在");
        };
        // The codes of its type differ by one from those of the list; there is no wrapper.
        json!({
            "id": id, "order_sn": case.order, "after_sales_status": case.status, "after_sales_type": 1,
            "expire_time": case.expires.map(Instant::as_secs), "recreated_at": case.created.as_secs(),
            "refund_amount": 1880, "join_or_not": "0", "shipping_status": 0, "updated_time": beijing(case.updated),
        })
    }
}

impl Simulated for Pinduoduo {
    fn answer(&mut self, body: &[u8], now: Instant) -> Reply {
        self.advance(now);
        let now = Instant::from_millis(now.as_millis() + self.manners.skew_ms);
        let json = "application/json;charset=UTF-8";
        let reply =
            |status, content_type, body| Reply { status, content_type, body, date: now, dropped: false };
        if self.manners.outages.iter().any(|(from, to)| *from <= now && now < *to) {
            return match self.dice.below(3) {
                0 => Reply { dropped: true, ..reply(0, json, Vec::new()) },
                1 => reply(502, "text/html", b"<html><body>502 Bad Gateway</body></html>".to_vec()),
                _ => reply(200, json, self.refuse(50000, "系统内部错误").to_string().into_bytes()),
            };
        }
        let trouble = self.dice.below(1000) < usize::from(self.manners.trouble);
        if !trouble {
            let told = self.call(body, now).to_string();
            return reply(200, json, told.into_bytes());
        }
        match self.dice.below(5) {
            0 => reply(200, json, self.refuse(52102, "服务降级").to_string().into_bytes()),
            1 => reply(502, "text/html", b"<html></html>".to_vec()),
            2 => Reply { dropped: true, ..reply(0, json, Vec::new()) },
            3 => {
                // Taken, and cut on the way back.
                let mut told = self.call(body, now).to_string().into_bytes();
                told.truncate(told.len() / 2);
                reply(200, json, told)
            }
            _ => reply(
                200,
                "text/html; charset=gbk",
                b"<html>\xb7\xfe\xce\xf1\xc6\xf7\xc3\xa6</html>".to_vec(),
            ),
        }
    }
}
