//! A simulated TOP gateway (`platforms` 2, 10.5).

mod rows;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::Asked;
use super::gateway::{Closed, Gateway, Issue, Mall, Manners, Said};
use super::shop::{Habits, Kind, Shop};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::sign::top::{Way, sign};
use crate::sources::sign::{Body, EAST_8, Params, beijing, same};

/// The gateway and one shop.
#[derive(Debug)]
pub struct Taobao {
    app_key: String,
    secret: Secret,
    /// Lists leave out the deadlines of orders, as some apps are shown them.
    pub thin: bool,
    /// The tokens that are given out.
    pub issue: Issue,
    /// What is behind it.
    pub shop: Shop,
    /// What it knows of those who ask.
    pub gateway: Gateway,
    slow: u64,
}

/// Ids lie above 2^53.
const FIRST_TID: u64 = 4_287_000_000_000_000_000;
const FIRST_REFUND: u64 = 9_100_000_000_000_000;
/// How long a token is good.
const TOKEN: Span = Span::from_minutes(12 * 60);

/// The number of an order as the platform writes it.
pub fn tid(number: u64) -> u64 {
    FIRST_TID + number
}

/// The number of a refund.
pub fn refund_id(number: u64) -> u64 {
    FIRST_REFUND + number
}

/// A refusal: code, sub code, words.
type Refusal = (i64, &'static str, &'static str);

const MISSING: Refusal = (40, "isv.missing-parameter", "Missing required arguments");
const INVALID: Refusal = (41, "isv.invalid-parameter", "Invalid arguments");

impl Taobao {
    /// A gateway for an app and its shop, at `now`, with nothing in it. In so many of a hundred changes a row is shown
    /// late.
    pub fn new(app_key: &str, secret: &str, seed: u64, late: u8, manners: Manners, now: Instant) -> Taobao {
        Taobao {
            app_key: app_key.to_owned(),
            secret: Secret::new(secret),
            thin: false,
            issue: Issue::new(now, TOKEN),
            shop: Shop::new(seed, Habits { lines: true, returns: true, disputes: false, late }),
            gateway: Gateway::new(seed, manners),
            slow: 0,
        }
    }

    fn refuse(&mut self, (code, sub_code, msg): Refusal) -> Value {
        self.gateway.refused(code);
        json!({ "error_response": { "code": code, "msg": msg, "sub_code": sub_code, "sub_msg": "",
                                    "request_id": "16k9x0000002" } })
    }

    fn told(&mut self, asked: &Asked, now: Instant) -> Said {
        let params = asked.form();
        // Without a word about it everything is XML, refusals too.
        if params.get("format").map(String::as_str) != Some("json") {
            self.gateway.refused("xml");
            let text =
                "<?xml version=\"1.0\" encoding=\"utf-8\" ?><error_response><code>23</code></error_response>";
            return Said { content_type: "text/xml;charset=UTF-8", text: text.to_owned() };
        }
        let answer = match self.common(asked, &params, now) {
            Ok(()) => self.business(&params, now),
            Err(refusal) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| self.refuse(refusal)).into()
    }

    /// What every call must have.
    fn common(&mut self, asked: &Asked, params: &Params, now: Instant) -> Result<(), Refusal> {
        let text = |name: &str| params.get(name).map_or("", String::as_str);
        self.gateway.count(text("method"));
        if asked.method != "POST" || asked.path != "/router/rest" {
            return Err((9, "", "Http Action Not Allowed"));
        }
        if text("v") != "2.0" {
            return Err((33, "", "Unsupported Version"));
        }
        if text("app_key") != self.app_key {
            return Err((29, "isv.appkey-not-exists", "Invalid App Key"));
        }
        let off = local(text("timestamp")).map(|at| at.as_secs().abs_diff(now.as_secs()));
        match off {
            None => return Err((30, "", "Missing Timestamp")),
            Some(off) if off > 600 => return Err((31, "", "Invalid Timestamp")),
            Some(_) => {}
        }
        let way = match text("sign_method") {
            "md5" => Way::Md5,
            "hmac" => Way::Hmac,
            "hmac-sha256" => Way::HmacSha256,
            _ => return Err((25, "", "Invalid Signature")),
        };
        let mut unsigned = params.clone();
        let found = unsigned.remove("sign").ok_or((24, "", "Missing Signature"))?;
        // An empty parameter that was sent is in the signed text of the real one.
        if params.values().any(String::is_empty) {
            return Err((25, "", "Invalid Signature"));
        }
        match sign(unsigned, &self.secret, way).body {
            Body::Form(ours) if ours.get("sign").is_some_and(|sign| same(sign, &found)) => {}
            _ => return Err((25, "", "Invalid Signature")),
        }
        if self.gateway.throttles(now) {
            return Err((7, "accesscontrol.limited-by-api-access-count", "App Call Limited"));
        }
        Ok(())
    }

    fn business(&mut self, params: &Params, now: Instant) -> Result<Value, Refusal> {
        let text = |name: &str| params.get(name).map_or("", String::as_str);
        let method = text("method");
        if method == "taobao.top.auth.token.refresh" {
            return self.renew(text("refresh_token"), now);
        }
        match params.get("session") {
            None => return Err((26, "", "Missing Session")),
            Some(session) if !self.issue.admits(session, now) => {
                return Err((27, "invalid-sessionkey", "Invalid Session"));
            }
            Some(_) => {}
        }
        match self.gateway.closed(method) {
            Some(Closed::Refused) => {
                return Err((11, "isv.permission-api-package-limit", "Insufficient isv permissions"));
            }
            Some(Closed::Broken) => return Err((15, "isp.remote-service-timeout", "Remote service error")),
            None => {}
        }
        let id = |name: &str, first: u64| text(name).parse::<u64>().ok().and_then(|id| id.checked_sub(first));
        match method {
            "taobao.trades.sold.increment.get" => self.list(Kind::Order, params, now),
            "taobao.refunds.receive.get" => self.list(Kind::AfterSale, params, now),
            "taobao.trade.fullinfo.get" => {
                let number = id("tid", FIRST_TID).ok_or(MISSING)?;
                let row = self.order_row(number, false).ok_or((
                    15,
                    "isv.trade-not-exist",
                    "Remote service error",
                ))?;
                Ok(json!({ "trade_fullinfo_get_response": { "trade": asked_for(row, text("fields"))? } }))
            }
            "taobao.refund.get" => {
                let number = id("refund_id", FIRST_REFUND).ok_or(MISSING)?;
                let row = self.refund_row(number, false).ok_or((
                    15,
                    "isv.refund-not-exist",
                    "Remote service error",
                ))?;
                Ok(json!({ "refund_get_response": { "refund": asked_for(row, text("fields"))? } }))
            }
            "taobao.logistics.trace.search" => {
                let number = id("tid", FIRST_TID).ok_or(MISSING)?;
                let found =
                    self.trace(number).ok_or((15, "isv.logistics-not-exist", "Remote service error"))?;
                Ok(json!({ "logistics_trace_search_response": found }))
            }
            _ => Err((22, "", "Invalid Method")),
        }
    }

    /// Its tokens are JSON in a text.
    fn renew(&mut self, refresh: &str, now: Instant) -> Result<Value, Refusal> {
        if !self.issue.renew(refresh, now) {
            return Err((15, "isv.refresh-token-invalid", "Remote service error"));
        }
        let (access, until) = &self.issue.access;
        let told = json!({
            "access_token": access, "refresh_token": self.issue.refresh, "token_type": "Bearer",
            "expires_in": TOKEN.as_secs(), "expire_time": until.as_millis(), "re_expires_in": 2_592_000,
            "r1_expires_in": 1800, "r2_expires_in": 0, "w1_expires_in": 1800, "w2_expires_in": 0,
            "taobao_user_nick": "%E6%A0%B7%E5%93%81", "taobao_open_uid": "AAExample",
        });
        Ok(json!({ "top_auth_token_refresh_response": { "token_result": told.to_string() } }))
    }

    fn list(&mut self, kind: Kind, params: &Params, now: Instant) -> Result<Value, Refusal> {
        let text = |name: &str| params.get(name).map_or("", String::as_str);
        let (Some(from), Some(to)) = (local(text("start_modified")), local(text("end_modified"))) else {
            return Err(MISSING);
        };
        let old = now - Span::DAY.times(90);
        if from > to || to.since(from) > Span::DAY || from < old {
            return Err(INVALID);
        }
        let number = |name: &str, default: usize| match text(name) {
            "" => Some(default),
            text => text.parse().ok(),
        };
        let (page, size) = (number("page_no", 1).unwrap_or(0), number("page_size", 40).unwrap_or(0));
        if page < 1 || !(1..=100).contains(&size) {
            return Err(INVALID);
        }
        // What reaches far back is answered late, or not at all.
        if to.since(from) > Span::from_minutes(30) {
            self.slow += 1;
            if self.slow % 2 == 1 {
                return Err((15, "isp.remote-service-timeout", "Remote service error"));
            }
        }
        // The latest change comes first.
        let found: Vec<u64> = self.shop.changed(kind, (from, to), now).rev().collect();
        let skip = (page - 1).saturating_mul(size);
        let rows = found.iter().skip(skip).take(size).filter_map(|n| match kind {
            Kind::Order => self.order_row(*n, self.thin),
            Kind::AfterSale => self.refund_row(*n, true),
        });
        let rows = rows.map(|row| asked_for(row, text("fields"))).collect::<Result<Vec<Value>, Refusal>>()?;
        let mut told = json!({ "request_id": "16k9x0000001" });
        match text("use_has_next") == "true" {
            true => told["has_next"] = (found.len() > skip.saturating_add(size)).into(),
            false => told["total_results"] = found.len().into(),
        }
        let (outer, inner) = if kind == Kind::Order { ("trades", "trade") } else { ("refunds", "refund") };
        // An empty list is left out.
        if !rows.is_empty() {
            told[outer] = json!({ inner: rows });
        }
        let wrapper = match kind {
            Kind::Order => "trades_sold_increment_get_response",
            Kind::AfterSale => "refunds_receive_get_response",
        };
        Ok(json!({ wrapper: told }))
    }
}

/// A time as it is written in requests.
fn local(text: &str) -> Option<Instant> {
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let at = Instant::from_timestamp(EAST_8.to_timestamp(time).ok()?);
    (beijing(at) == text).then_some(at)
}

/// Only the fields that were named; those of lines are named `orders.xxx`.
fn asked_for(row: Value, fields: &str) -> Result<Value, Refusal> {
    if fields.is_empty() {
        return Err(MISSING);
    }
    let named: Vec<&str> = fields.split(',').map(str::trim).collect();
    let Value::Object(row) = row else { return Ok(row) };
    let mut kept = serde_json::Map::new();
    for (name, value) in row {
        if name == "orders" {
            let own: Vec<&str> = named.iter().filter_map(|f| f.strip_prefix("orders.")).collect();
            let lines = value["order"].as_array().cloned().unwrap_or_default();
            let line = |mut line: Value| {
                if let Some(line) = line.as_object_mut() {
                    line.retain(|name, _| own.contains(&name.as_str()));
                }
                line
            };
            if !own.is_empty() {
                kept.insert(name, json!({ "order": lines.into_iter().map(line).collect::<Vec<Value>>() }));
            }
        } else if named.contains(&name.as_str()) {
            kept.insert(name, value);
        }
    }
    Ok(Value::Object(kept))
}

impl Mall for Taobao {
    fn shop(&mut self) -> &mut Shop {
        &mut self.shop
    }

    fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    fn call(&mut self, asked: &Asked, now: Instant) -> Said {
        self.told(asked, now)
    }

    fn busy(&mut self) -> Said {
        let refusal = match self.gateway.refusals.values().sum::<u64>() % 3 {
            0 => (10, "", "Service Currently Unavailable"),
            1 => (15, "isp.remote-service-error", "Remote service error"),
            _ => (15, "isp.trade-service-unavailable", "Remote service error"),
        };
        self.refuse(refusal).into()
    }
}
