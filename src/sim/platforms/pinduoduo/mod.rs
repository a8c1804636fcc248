//! A simulated Pinduoduo gateway (`platforms` 4, 10.5).

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire;

use serde_json::{Map, Value, json};

use super::Asked;
use super::gateway::{Closed, Gateway, Issue, Mall, Manners, Said};
use super::shop::{AfterSale, Habits, Kind, Order, Shop, Stage};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::sign::{beijing, pinduoduo::signature, same};

/// The gateway and one shop.
#[derive(Debug)]
pub struct Pinduoduo {
    client_id: String,
    secret: Secret,
    /// The tokens that are given out.
    pub issue: Issue,
    /// What is behind it.
    pub shop: Shop,
    /// What it knows of those who ask.
    pub gateway: Gateway,
}

/// Ids of its after-sales lie above 2^53.
const FIRST_ID: u64 = 9_007_199_254_740_993;
/// The code of the one carrier, and its number (`logistics_id`).
pub const CARRIER: &str = "YUNDA";
/// How long a token is good.
const TOKEN: Span = Span::from_minutes(6 * 60);

/// The number of an order as the platform writes it.
pub fn order_sn(number: u64) -> String {
    format!("260105-{number:015}")
}

/// The id of an after-sale.
pub fn aftersale_id(number: u64) -> u64 {
    FIRST_ID + number
}

/// The status of an after-sale as its lists have it (`platforms` 4.5).
fn status(case: &AfterSale) -> i64 {
    match (case.stage, case.with_goods) {
        (Stage::Asked, false) => 2,
        (Stage::Asked | Stage::Returned, _) => 3,
        (Stage::Agreed, _) => 4,
        (Stage::Refused, _) => 6,
        (Stage::ReturnWanted, _) => 7,
        (Stage::Disputed, _) => 8,
        (Stage::Refunded, _) => 10,
        (Stage::Withdrawn, _) => 11,
    }
}

impl Pinduoduo {
    /// A gateway for an app and its shop, at `now`, with nothing in it. In so many of a hundred changes a row is shown
    /// late.
    pub fn new(
        client_id: &str,
        secret: &str,
        seed: u64,
        late: u8,
        manners: Manners,
        now: Instant,
    ) -> Pinduoduo {
        Pinduoduo {
            client_id: client_id.to_owned(),
            secret: Secret::new(secret),
            issue: Issue::new(now, TOKEN),
            shop: Shop::new(seed, Habits { late, ..Habits::default() }),
            gateway: Gateway::new(seed, manners),
        }
    }

    fn refuse(&mut self, code: i64, message: &str) -> Value {
        self.gateway.refused(code);
        json!({ "error_response": { "error_code": code, "error_msg": message, "sub_code": code.to_string(),
                                    "sub_msg": "", "request_id": "17676000000000001" } })
    }

    fn told(&mut self, asked: &Asked, now: Instant) -> Value {
        let Some(params) = asked.json().filter(|_| asked.method == "POST" && asked.path == "/api/router")
        else {
            return self.refuse(10000, "参数错误");
        };
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let kind = text("type");
        self.gateway.count(&kind);
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
        if self.gateway.throttles(now) {
            return self.refuse(52101, "当前接口被限流，请稍后重试");
        }
        if kind == "pdd.pop.auth.token.refresh" {
            return self.renew(&text("refresh_token"), now);
        }
        if !self.issue.admits(&text("access_token"), now) {
            return self.refuse(10019, "access_token已过期");
        }
        match self.gateway.closed(&kind) {
            Some(Closed::Refused) => return self.refuse(20031, "用户没有授权访问此接口"),
            Some(Closed::Broken) => return self.refuse(52102, "服务降级"),
            None => {}
        }
        match kind.as_str() {
            "pdd.order.number.list.increment.get" => self.order_list(&params, now),
            "pdd.refund.list.increment.get" => self.refund_list(&params, now),
            "pdd.refund.information.get" => self.refund(&params),
            "pdd.order.information.get" => self.order(&params),
            "pdd.logistics.ordertrace.get" => self.trace(&params),
            _ => self.refuse(10017, "type不正确"),
        }
    }

    fn renew(&mut self, refresh: &str, now: Instant) -> Value {
        if !self.issue.renew(refresh, now) {
            return self.refuse(10019, "refresh_token已过期");
        }
        let (access, until) = &self.issue.access;
        json!({ "pop_auth_token_refresh_response": {
            "access_token": access, "refresh_token": self.issue.refresh, "owner_id": "1", "owner_name": "样品店",
            "expires_in": TOKEN.as_secs(), "expires_at": until.as_secs(), "refresh_token_expires_in": 2_592_000 } })
    }

    /// The window and the page of a list, or the refusal.
    fn window(
        &mut self,
        params: &Map<String, Value>,
        now: Instant,
    ) -> Result<((Instant, Instant), usize, usize), Value> {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let (Some(from), Some(to)) = (number("start_updated_at"), number("end_updated_at")) else {
            return Err(self.refuse(21002, "缺少时间参数"));
        };
        let (page, size) = (number("page").unwrap_or(1), number("page_size").unwrap_or(100));
        // The strict reading of "not less than 3 minutes before system time".
        let end = if self.gateway.manners.open_end { 0 } else { 180 };
        if to - from > 1800 || from > to || to > now.as_secs() - end || from < now.as_secs() - 90 * 86_400 {
            return Err(self.refuse(21001, "时间参数错误"));
        }
        if page < 1 || !(1..=100).contains(&size) {
            return Err(self.refuse(21001, "分页参数错误"));
        }
        let skip = usize::try_from((page - 1) * size).unwrap_or(usize::MAX);
        let window = (Instant::from_secs(from), Instant::from_secs(to));
        Ok((window, skip, usize::try_from(size).unwrap_or(100)))
    }

    fn order_list(&mut self, params: &Map<String, Value>, now: Instant) -> Value {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        if (number("order_status"), number("refund_status"), number("is_lucky_flag"))
            != (Some(5), Some(5), Some(0))
        {
            return self.refuse(21001, "缺少必填参数");
        }
        let (window, skip, size) = match self.window(params, now) {
            Ok(window) => window,
            Err(refusal) => return refusal,
        };
        // The latest change comes first.
        let found: Vec<u64> = self.shop.changed(Kind::Order, window, now).rev().collect();
        let page = found.iter().skip(skip).take(size);
        let rows: Vec<Value> =
            page.filter_map(|n| Some(self.order_row(*n, self.shop.orders.get(n)?))).collect();
        let mut page = json!({ "order_sn_list": rows });
        match params.get("use_has_next") == Some(&Value::Bool(true)) {
            true => page["has_next"] = (found.len() > skip + size).into(),
            false => page["total_count"] = found.len().into(),
        }
        json!({ "order_sn_increment_get_response": page })
    }

    fn order_row(&self, number: u64, order: &Order) -> Value {
        let time = |at: Option<Instant>| at.map(beijing).unwrap_or_default();
        let parcel = order.lines.iter().find_map(|line| line.shipped);
        let waybill =
            parcel.and_then(|(_, parcel)| self.shop.parcels.get(&parcel)).map(|p| p.waybill.as_str());
        let order_status = match (order.received, parcel) {
            (Some(_), _) => 3,
            (None, Some(_)) => 2,
            (None, None) => 1,
        };
        // Receiver fields are there while the order waits, and empty afterwards.
        let receiver = if order.word() == "to_ship" { "~AgAAAAFvXw==~张三~" } else { "" };
        json!({
            "order_sn": order_sn(number), "order_status": order_status,
            "confirm_status": if order.cancelled.is_some() { 2 } else { i64::from(order.paid.is_some()) },
            "group_status": 1, "refund_status": 1, "after_sales_status": 0,
            "risk_control_status": i64::from(order.held),
            "created_time": beijing(order.created), "pay_time": time(order.paid), "confirm_time": time(order.paid),
            "last_ship_time": time(order.ship_by()), "urge_shipping_time": time(order.urged),
            "shipping_time": time(order.shipped()), "receive_time": time(order.received),
            "updated_at": beijing(order.updated), "logistics_id": if parcel.is_some() { 44 } else { 0 },
            "tracking_number": waybill.unwrap_or_default(), "pay_amount": "18.80",
            "receiver_name": receiver, "receiver_phone": receiver, "address": receiver,
            "item_list": [{ "goods_id": "1", "sku_id": "11", "goods_count": 1, "goods_name": "样品" }],
        })
    }

    fn refund_list(&mut self, params: &Map<String, Value>, now: Instant) -> Value {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let (Some(wanted), Some(1)) = (number("after_sales_status"), number("after_sales_type")) else {
            return self.refuse(21001, "缺少必填参数");
        };
        // No documented value means all of them.
        if !(2..=33).contains(&wanted) {
            return self.refuse(21001, "after_sales_status错误");
        }
        let (window, skip, size) = match self.window(params, now) {
            Ok(window) => window,
            Err(refusal) => return refusal,
        };
        let all = self.shop.changed(Kind::AfterSale, window, now).rev();
        let all = all.filter_map(|n| Some((n, self.shop.aftersales.get(&n)?)));
        let found: Vec<(u64, &AfterSale)> = all.filter(|(_, case)| status(case) == wanted).collect();
        let rows: Vec<Value> =
            found.iter().skip(skip).take(size).map(|(n, case)| refund_row(*n, case)).collect();
        json!({ "refund_increment_get_response": { "total_count": found.len(), "refund_list": rows } })
    }

    fn order(&mut self, params: &Map<String, Value>) -> Value {
        let sn = params.get("order_sn").and_then(Value::as_str).unwrap_or_default();
        let number = sn.strip_prefix("260105-").and_then(|number| number.parse::<u64>().ok());
        match number.and_then(|number| Some((number, self.shop.orders.get(&number)?))) {
            Some((number, order)) => {
                json!({ "order_info_get_response": { "order_info": self.order_row(number, order) } })
            }
            None => self.refuse(50001, "订单不存在"),
        }
    }

    /// It wants the carrier's code, not its number.
    fn trace(&mut self, params: &Map<String, Value>) -> Value {
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
        let parcel = self.shop.parcels.values().find(|parcel| parcel.waybill == text("mail_no"));
        let Some(parcel) = parcel.filter(|_| text("company_code") == CARRIER) else {
            return self.refuse(21001, "快递信息错误");
        };
        let nodes = [(parcel.collected, "GOT", "已揽收"), (parcel.signed, "SIGN", "已签收,签收人:张三")];
        let nodes = nodes.into_iter().filter_map(|(at, action, text)| {
            Some(json!({ "action": action, "status_time": beijing(at?), "status_desc": text,
                         "node_description": "杭州" }))
        });
        json!({ "logistics_ordertrace_get_resposne": { "trace_list": nodes.collect::<Vec<Value>>() } })
    }

    fn refund(&mut self, params: &Map<String, Value>) -> Value {
        let id = params.get("after_sales_id").and_then(Value::as_u64).unwrap_or(0);
        let sn = params.get("order_sn").and_then(Value::as_str).unwrap_or_default();
        let found = id.checked_sub(FIRST_ID).and_then(|number| self.shop.aftersales.get(&number));
        let Some(case) = found.filter(|case| order_sn(case.order) == sn) else {
            return self.refuse(50001, "售后单不存在");
        };
        // The codes of its type differ by one from those of the list; there is no wrapper.
        json!({
            "id": id, "order_sn": sn, "after_sales_status": status(case), "after_sales_type": kind(case) - 1,
            "expire_time": case.expires().map(Instant::as_secs), "recreated_at": case.created.as_secs(),
            "refund_amount": 1880, "join_or_not": "0", "shipping_status": 0, "updated_time": beijing(case.updated),
        })
    }
}

fn kind(case: &AfterSale) -> i64 {
    if case.with_goods { 3 } else { 2 }
}

fn refund_row(number: u64, case: &AfterSale) -> Value {
    // Both forms of time are seen.
    let updated = match number % 2 {
        0 => beijing(case.updated),
        _ => case.updated.as_secs().to_string(),
    };
    json!({
        "id": aftersale_id(number), "order_sn": order_sn(case.order), "after_sales_status": status(case),
        "after_sales_type": kind(case), "created_time": beijing(case.created), "updated_time": updated,
        "confirm_time": "", "refund_amount": "18.80", "dispute_refund_status": 0, "speed_refund_flag": 0,
        "user_shipping_status": "1", "tracking_number": "",
    })
}

impl Mall for Pinduoduo {
    fn shop(&mut self) -> &mut Shop {
        &mut self.shop
    }

    fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    fn call(&mut self, asked: &Asked, now: Instant) -> Said {
        self.told(asked, now).into()
    }

    fn busy(&mut self) -> Said {
        match self.gateway.refusals.values().sum::<u64>() % 2 {
            0 => self.refuse(50000, "系统内部错误").into(),
            _ => self.refuse(52102, "服务降级").into(),
        }
    }
}
