//! A simulated Douyin Shop gateway (`platforms` 5, 10.5).

mod rows;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::Asked;
use super::gateway::{Closed, Gateway, Issue, Mall, Manners, Said};
use super::shop::{Habits, Kind, Shop};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::sign::douyin::{App, Way, sign};
use crate::sources::sign::same;

/// The gateway and one shop.
#[derive(Debug)]
pub struct Douyin {
    app_key: String,
    secret: Secret,
    /// Every other answer comes in the old envelope, whatever the header says.
    pub old: bool,
    /// The tokens that are given out.
    pub issue: Issue,
    /// The access token before, and until when it is good all the same.
    last: Option<(String, Instant)>,
    /// What is behind it.
    pub shop: Shop,
    /// What it knows of those who ask.
    pub gateway: Gateway,
    answers: u64,
}

/// Ids lie above 2^53.
const FIRST_ORDER: u64 = 6_920_000_000_000_000_000;
const FIRST_AFTERSALE: u64 = 7_100_000_000_000_000_000;
/// How long a token is good.
const TOKEN: Span = Span::from_minutes(6 * 60);
/// Before this, another token is not given out.
const LATE_ENOUGH: Span = Span::HOUR;

/// The number of an order as the platform writes it.
pub fn order_id(number: u64) -> u64 {
    FIRST_ORDER + number
}

/// The number of an after-sale.
pub fn aftersale_id(number: u64) -> u64 {
    FIRST_AFTERSALE + number
}

/// A refusal: code, sub code, words.
type Refusal = (i64, &'static str, &'static str);

const FORMAT: Refusal = (40_002, "isv.parameter-format-invalid", "参数格式不正确");

impl Douyin {
    /// A gateway for an app and its shop, at `now`, with nothing in it. In so many of a hundred changes a row is shown
    /// late.
    pub fn new(app_key: &str, secret: &str, seed: u64, late: u8, manners: Manners, now: Instant) -> Douyin {
        Douyin {
            app_key: app_key.to_owned(),
            secret: Secret::new(secret),
            old: false,
            issue: Issue::new(now, TOKEN),
            last: None,
            shop: Shop::new(seed, Habits { lines: true, returns: true, disputes: true, late }),
            gateway: Gateway::new(seed, manners),
            answers: 0,
        }
    }

    /// What is wrong in both envelopes; the old one calls success 0.
    fn envelope(&mut self, old: bool, told: Result<Value, Refusal>) -> Value {
        match (told, old) {
            (Ok(data), false) => {
                json!({ "code": 10_000, "msg": "success", "sub_code": "", "sub_msg": "", "data": data })
            }
            (Ok(data), true) => json!({ "err_no": 0, "message": "success", "data": data }),
            (Err((code, sub_code, msg)), false) => {
                self.gateway.refused(format!("{code}:{sub_code}").trim_end_matches(':'));
                json!({ "code": code, "msg": "非法的参数", "sub_code": sub_code, "sub_msg": msg, "log_id": "2026010500000001" })
            }
            (Err((code, sub_code, msg)), true) => {
                self.gateway.refused(format!("{code}:{sub_code}").trim_end_matches(':'));
                json!({ "err_no": code, "message": msg, "sub_code": sub_code, "data": null })
            }
        }
    }

    fn told(&mut self, asked: &Asked, now: Instant) -> Result<Value, Refusal> {
        let text = |name: &str| asked.query.get(name).map_or("", String::as_str);
        let method = text("method").to_owned();
        self.gateway.count(&method);
        if asked.method != "POST" || asked.path != format!("/{}", method.replace('.', "/")) {
            return Err((40_002, "isv.parameter-invalid:method", "method不正确"));
        }
        if text("app_key") != self.app_key {
            return Err((40_003, "isv.app-id-not-existed", "app_key不存在"));
        }
        let body = std::str::from_utf8(&asked.body).unwrap_or_default();
        let Some(params) = asked.json() else { return Err(FORMAT) };
        if text("sign").is_empty() {
            return Err((40_001, "isv.signature-missing", "缺少签名"));
        }
        let way = match text("sign_method") {
            "hmac-sha256" => Way::HmacSha256,
            "" | "md5" => Way::Md5,
            _ => return Err((40_003, "isv.signature-invalid", "签名校验失败")),
        };
        let app = App { key: &self.app_key, secret: &self.secret };
        let ours = sign(app, None, &method, text("timestamp"), body.to_owned(), way);
        // The keys of the body must be in order at every level.
        let canonical = Value::Object(params.clone()).to_string();
        if canonical != body
            || text("v") != "2"
            || !ours.query.get("sign").is_some_and(|sign| same(sign, text("sign")))
        {
            return Err((40_003, "isv.signature-invalid", "签名校验失败"));
        }
        match text("timestamp").parse::<i64>() {
            Err(_) => return Err((40_003, "isv.timestamp-format-error", "timestamp格式错误")),
            Ok(at) if at.abs_diff(now.as_secs()) > 600 => {
                return Err((40_003, "isv.timestamp-invalid", "timestamp已失效"));
            }
            Ok(_) => {}
        }
        if self.gateway.throttles(now) {
            return Err((60_000, "isp.flow-limited", "请求过于频繁"));
        }
        if method == "token.refresh" {
            return self.renew(&params, now);
        }
        match text("access_token") {
            "" => return Err((40_001, "isv.access-token-missing", "缺少access_token")),
            token => self.admits(token, now)?,
        }
        match self.gateway.closed(&method) {
            Some(Closed::Refused) => {
                return Err((30_001, "isv.app-permissions-insufficient", "应用没有接口权限"));
            }
            Some(Closed::Broken) => return Err((20_000, "isp.service-error", "服务不可用")),
            None => {}
        }
        match method.as_str() {
            "order.searchList" => self.orders(&params, now),
            "afterSale.List" => self.aftersales(&params, now),
            "order.orderDetail" => {
                let id = params.get("shop_order_id").and_then(Value::as_str).unwrap_or_default();
                let number = id.parse::<u64>().ok().and_then(|id| id.checked_sub(FIRST_ORDER));
                let row = number.and_then(|number| self.order_row(number));
                row.map(|row| json!({ "shop_order_detail": row })).ok_or((
                    50_002,
                    "isv.business-failed:3",
                    "订单不存在",
                ))
            }
            "afterSale.Detail" => {
                let id =
                    params.get("after_sale_id").and_then(Value::as_str).and_then(|id| id.parse::<u64>().ok());
                let number = id.and_then(|id| id.checked_sub(FIRST_AFTERSALE));
                number.and_then(|number| self.arbitration(number)).ok_or((
                    50_002,
                    "isv.business-failed:1",
                    "售后单不存在",
                ))
            }
            "logistics.trackNoRouteDetail" => {
                let waybill = params.get("track_no").and_then(Value::as_str).unwrap_or_default();
                self.trace(waybill).ok_or((50_002, "isv.business-failed:2", "非电子面单"))
            }
            _ => Err((70_000, "isp.api-service-off", "API已下线")),
        }
    }

    /// The token before lives an hour more, if the new ones came in its last hour.
    fn admits(&mut self, token: &str, now: Instant) -> Result<(), Refusal> {
        let before = self.last.as_ref().is_some_and(|(last, until)| last == token && now < *until);
        match before || self.issue.admits(token, now) {
            true => Ok(()),
            false if token == self.issue.access.0 => {
                Err((40_003, "isv.access-token-expired", "access_token已过期"))
            }
            false => Err((40_003, "isv.access-token-no-existed", "access_token不存在")),
        }
    }

    /// Too early it gives the same ones again, and says nothing of it.
    fn renew(&mut self, params: &Map<String, Value>, now: Instant) -> Result<Value, Refusal> {
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("grant_type") != "refresh_token" {
            return Err(FORMAT);
        }
        let (before, until) = self.issue.access.clone();
        let early = now + LATE_ENOUGH < until && text("refresh_token") == self.issue.refresh;
        if !early {
            if !self.issue.renew(text("refresh_token"), now) {
                return Err((50_001, "dop.token-generate-failed:refresh-token-invalid", "refresh_token无效"));
            }
            self.last = Some((before, now + Span::HOUR)).filter(|_| now < until);
        }
        let (access, until) = &self.issue.access;
        let rest = until.since(now).as_secs();
        // A span or an instant: it is not always the same.
        let expires = if self.issue.renewals().is_multiple_of(2) { rest } else { until.as_secs() };
        Ok(
            json!({ "access_token": access, "refresh_token": self.issue.refresh, "expires_in": expires, "scope": "SCOPE",
                   "shop_id": 1_000_001, "shop_name": "样品店", "authority_id": "1", "auth_subject_type": "MaterialToken" }),
        )
    }

    /// Window, page and size of a list.
    fn window(
        params: &Map<String, Value>,
        (from, to): (&str, &str),
        now: Instant,
    ) -> Result<((Instant, Instant), usize, usize), Refusal> {
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        let (Some(from), Some(to)) = (number(from), number(to)) else { return Err(FORMAT) };
        let (page, size) = (number("page").unwrap_or(-1), number("size").unwrap_or(0));
        if from > to || from < now.as_secs() - 90 * 86_400 || page < 0 || !(1..=100).contains(&size) {
            return Err((40_004, "isv.parameter-invalid", "参数不正确"));
        }
        let skip = usize::try_from(page.saturating_mul(size)).unwrap_or(usize::MAX);
        let window = (Instant::from_secs(from), Instant::from_secs(to));
        Ok((window, skip, usize::try_from(size).unwrap_or(100)))
    }

    /// Without a word about the order, the newest comes first.
    fn orders(&mut self, params: &Map<String, Value>, now: Instant) -> Result<Value, Refusal> {
        let (window, skip, size) = Self::window(params, ("update_time_start", "update_time_end"), now)?;
        let mut found: Vec<u64> = self.shop.changed(Kind::Order, window, now).collect();
        if params.get("order_by").and_then(Value::as_str) != Some("update_time") {
            found.sort_by_key(|n| self.shop.orders.get(n).map(|order| order.created));
        }
        if params.get("order_asc") != Some(&Value::Bool(true)) {
            found.reverse();
        }
        let rows: Vec<Value> =
            found.iter().skip(skip).take(size).filter_map(|n| self.order_row(*n)).collect();
        Ok(json!({ "page": params.get("page"), "size": size, "total": found.len(), "shop_order_list": rows }))
    }

    fn aftersales(&mut self, params: &Map<String, Value>, now: Instant) -> Result<Value, Refusal> {
        let (window, skip, size) = Self::window(params, ("update_start_time", "update_end_time"), now)?;
        let mut found: Vec<u64> = self.shop.changed(Kind::AfterSale, window, now).collect();
        if params.get("order_by") != Some(&json!(["update_time asc"])) {
            found.reverse();
        }
        let rows: Vec<Value> =
            found.iter().skip(skip).take(size).filter_map(|n| self.aftersale_row(*n)).collect();
        let more = found.len() > skip.saturating_add(size);
        Ok(
            json!({ "has_more": more, "page": params.get("page"), "size": size, "total": found.len(), "items": rows }),
        )
    }
}

impl Mall for Douyin {
    fn shop(&mut self) -> &mut Shop {
        &mut self.shop
    }

    fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    fn call(&mut self, asked: &Asked, now: Instant) -> Said {
        self.answers += 1;
        let new = asked.headers.get("x-open-no-old-err-code").is_some_and(|value| value == "1");
        let old = !new || (self.old && self.answers.is_multiple_of(2));
        let told = self.told(asked, now);
        self.envelope(old, told).into()
    }

    fn busy(&mut self) -> Said {
        let refusal = match self.gateway.refusals.values().sum::<u64>() % 3 {
            0 => (20_000, "isp.service-error", "服务不可用"),
            1 => (10_001, "", "部分成功"),
            _ => (90_000, "", "其他错误"),
        };
        self.envelope(false, Err(refusal)).into()
    }
}
