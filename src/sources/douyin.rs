//! Douyin Shop (抖店): orders and after-sales of one shop (`platforms` 5).
//!
//! Both lists are read in the order of their changes, each page beginning where the last one ended: pages by number would
//! lose rows. After-sales carry their deadline in the list; only what the platform arbitrates is asked for by itself,
//! when such a row is news. An answer that calls itself partial is asked for again.

mod config;
mod read;
#[cfg(test)]
mod tests;

use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::http::{Answer, Request};
use crate::sources::loose::Fields;
use crate::sources::platform::{Feed, Page, Platform, Tokens, Want};
use crate::sources::poll::{Ask, Class, Facts, Failure, Rules, Walk};
use crate::sources::row::{Origin, endpoint, is_under_way, rows};
use crate::sources::sign::douyin::{App, call};

pub use config::DouyinConfig;

/// The gateway.
pub const GATEWAY: &str = "https://openapi-fxg.jinritemai.com";

/// Douyin for one shop.
pub struct Douyin {
    origin: Origin,
    app_key: String,
    secret: Secret,
    gateway: Url,
    traces: bool,
    refresh_life: Span,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Douyin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Douyin").field("source", &self.origin.source).finish_non_exhaustive()
    }
}

const ORDERS: &str = "orders";
const AFTERSALES: &str = "aftersales";

/// With it, refusals come in one form (`platforms` 5.1).
const NEW_CODES: (&str, &str) = ("x-open-no-old-err-code", "1");

impl Douyin {
    /// The shop of `origin`.
    ///
    /// # Errors
    /// The gateway is no place to send tokens to.
    pub fn new(origin: Origin, config: &DouyinConfig, secret: Secret) -> Result<Douyin, String> {
        let rules = Rules {
            lag: config.lag,
            overlap: config.overlap,
            longest: config.longest,
            history: Span::DAY.times(90),
            page_size: config.page_size,
            // An off-by-one here would lose the first hundred rows without a word.
            first_page: 0,
            walk: Walk::Keyset,
        };
        let list = |name: &str, rank| Feed { name: name.to_owned(), rules, rank, rounds: 1 };
        Ok(Douyin {
            origin,
            app_key: config.app_key.clone(),
            secret,
            gateway: endpoint(&config.gateway, GATEWAY).map_err(|e| format!("gateway: {e}"))?,
            traces: config.traces,
            refresh_life: config.refresh_life,
            feeds: vec![list(AFTERSALES, 1), list(ORDERS, 2)],
        })
    }

    /// A call of `/order/searchList` is one of `order.searchList`.
    fn call(&self, path: &str, token: Option<&Secret>, at: Instant, business: &Value) -> Request {
        let app = App { key: &self.app_key, secret: &self.secret };
        let method = path.trim_start_matches('/').replace('/', ".");
        let mut url = self.gateway.clone();
        url.set_path(&format!("{}{path}", self.gateway.path().trim_end_matches('/')));
        Request { url, signed: call(app, token, &method, at, business), headers: vec![NEW_CODES] }
    }
}

/// What an answer holds, or why there is nothing: in the new envelope or the old one (`platforms` 1.3).
fn data(answer: &Answer) -> Result<Map<String, Value>, Failure> {
    let Value::Object(mut body) = answer.json()? else {
        return Err(Failure::new(Class::Malformed, "not_an_object"));
    };
    let fields = Fields(&body);
    let code = |name: &str| fields.int(name).map_err(|_| Failure::new(Class::Malformed, "bad_code"));
    let fine = match (code("code")?, code("err_no")?) {
        (Some(10_000), _) | (None, Some(0)) => true,
        (None, None) => return Err(answer.refused().unwrap_or(Failure::new(Class::Malformed, "no_code"))),
        // Some gateways of theirs send both; then the new one counts.
        (Some(0), Some(0)) => true,
        _ => false,
    };
    if !fine {
        let code = code("code")?.or(code("err_no")?).unwrap_or(0);
        let sub = body.get("sub_code").and_then(Value::as_str).unwrap_or_default();
        let told = Failure::new(class_of(code, sub), format!("{code}:{sub}").trim_end_matches(':'));
        return Err(Failure { wait: answer.retry_after, ..told });
    }
    match body.remove("data") {
        Some(Value::Object(data)) => Ok(data),
        _ => Err(Failure::new(Class::Malformed, "no_data")),
    }
}

/// `platforms` 1.4, 5.8: the code is coarse, its own code says more.
fn class_of(code: i64, sub: &str) -> Class {
    match sub {
        "isv.access-token-expired" | "isv.access-token-no-existed" => return Class::TokenExpired,
        "isv.access-token-invalid" | "isv.access-token-missing" => return Class::TokenWrong,
        "isv.signature-invalid" | "isv.signature-missing" => return Class::Signature,
        "isv.timestamp-invalid" | "isv.timestamp-format-error" => return Class::Clock,
        "isv.app-id-expired" | "dop.app-forbidden" => return Class::Disabled,
        NOT_GRANTED => return Class::Permission,
        "dop.authorization-no-existed" | "dop.authorization-closed" => return Class::Revoked,
        "isp.api-service-off" => return Class::Gone,
        "isv.parameter-format-invalid" => return Class::Parameter,
        _ if sub.starts_with("dop.token-generate-failed") => return Class::Revoked,
        _ => {}
    }
    match code {
        60_000 => Class::Throttled,
        30_001 => Class::Permission,
        30_002 => Class::IpList,
        40_001 | 40_002 | 40_004 | 50_002 => Class::Parameter,
        70_000 => Class::Gone,
        80_000 => Class::Disabled,
        // Partial: the rest is asked for by asking again.
        10_001 | 20_000 | 20_001 | 50_001 | 90_000 => Class::Transient,
        _ => Class::Unseen,
    }
}

impl Platform for Douyin {
    fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request {
        // Nobody says whether the first second is in it: one second more is never too little.
        let (from, to) = (ask.from.as_secs() - 1, ask.to.as_secs());
        let (path, business) = match feed.name == ORDERS {
            true => (
                "/order/searchList",
                json!({ "update_time_start": from, "update_time_end": to, "order_by": "update_time",
                        "order_asc": true, "page": ask.page, "size": ask.size }),
            ),
            false => (
                "/afterSale/List",
                json!({ "update_start_time": from, "update_end_time": to, "order_by": ["update_time asc"],
                        "page": ask.page, "size": ask.size }),
            ),
        };
        self.call(path, Some(&tokens.access), at, &business)
    }

    fn read_page(&self, feed: &Feed, _: Ask, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let data = data(answer)?;
        let is_orders = feed.name == ORDERS;
        let list = if is_orders { "shop_order_list" } else { "items" };
        let total = Fields(&data).int("total").map_err(|_| malformed("bad_total"))?;
        // A missing list is an empty one only where the count says so.
        let list = match data.get(list) {
            Some(Value::Array(list)) => list.as_slice(),
            None | Some(Value::Null) if total == Some(0) => &[],
            _ => return Err(malformed("no_list")),
        };
        let when = |row: &Value| {
            let row = if is_orders { row } else { row.get("aftersale_info")? };
            Fields(row.as_object()?).time("update_time").ok().flatten()
        };
        // The next page begins at the last row's change. Rows in another order than was asked for would lose others.
        let times: Vec<Instant> = list.iter().filter_map(when).collect();
        if !times.is_sorted() {
            return Err(malformed("not_in_order"));
        }
        let read = |row: &Map<String, Value>| if is_orders { self.order(row) } else { self.aftersale(row) };
        let (items, rejects) = rows(list, read);
        let facts = Facts { rows: list.len() as u64, last: times.last().copied(), ..Facts::default() };
        Ok(Page { items, rejects, facts })
    }

    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request {
        let id = |n: usize| want.ids.get(n).map_or("", String::as_str);
        let path = path(want.method());
        let business = match path {
            TRACE => json!({ "logistics_code": id(2), "track_no": id(3) }),
            ORDER => json!({ "shop_order_id": id(1) }),
            _ => json!({ "after_sale_id": id(1) }),
        };
        self.call(path, Some(&tokens.access), at, &business)
    }

    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure> {
        let path = path(want.method());
        let data = match data(answer) {
            // Only parcels with the platform's own waybill have one. No trace is not a parcel that stands still. What
            // the app as a whole may not do has a code of its own.
            Err(failure)
                if path == TRACE
                    && (matches!(failure.class, Class::Parameter | Class::Unseen)
                        || (failure.class == Class::Permission && !failure.code.contains(NOT_GRANTED))) =>
            {
                return Ok(Page::default());
            }
            data => data?,
        };
        let read = |row: &Map<String, Value>| match path {
            ORDER => self.single_order(want, row),
            _ => self.single_aftersale(want, row),
        };
        if path == TRACE {
            return self.trace(want, &data);
        }
        let (items, rejects) = rows(&[Value::Object(data)], read);
        match rejects.is_empty() {
            true => Ok(Page { items, rejects, facts: Facts::default() }),
            false => Err(Failure::new(Class::Malformed, "no_case")),
        }
    }

    fn looks(&self, case: &OpenCase) -> Vec<Want> {
        let want = |ids: &[&str]| Want {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            modified: case.since,
        };
        let parcel = case.carrier.as_deref().zip(case.waybill.as_deref());
        match (case.kind.as_str(), parcel) {
            ("order", Some((carrier, waybill))) if self.traces && is_under_way(case) => {
                vec![want(&["order", &case.id]), want(&["trace", &case.id, carrier, waybill])]
            }
            ("order", _) => vec![want(&["order", &case.id])],
            ("aftersale", _) => vec![want(&["aftersale", &case.id])],
            _ => Vec::new(),
        }
    }

    fn method(&self, word: &str) -> String {
        path(word).to_owned()
    }

    fn renew(&self, tokens: &Tokens, at: Instant) -> Option<Request> {
        let refresh = tokens.refresh.as_ref()?;
        let business = json!({ "grant_type": "refresh_token", "refresh_token": refresh.reveal() });
        Some(self.call("/token/refresh", None, at, &business))
    }

    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let malformed = || Failure::new(Class::Malformed, "no_tokens");
        let told = data(answer)?;
        let token = |name: &str| match told.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        // A span in seconds, or an instant: the platform says both (`platforms` 5.2).
        let until = match Fields(&told).int("expires_in").ok().flatten() {
            Some(seconds @ 1..1_000_000_000) => Some(at + Span::from_secs(seconds)),
            Some(_) => Fields(&told).time("expires_in").ok().flatten(),
            None => None,
        };
        let refresh = token("refresh_token");
        Ok(Tokens {
            access: token("access_token").ok_or_else(malformed)?,
            refresh_until: refresh.is_some().then(|| at + self.refresh_life),
            refresh,
            access_until: until,
        })
    }
}

const ORDER: &str = "/order/orderDetail";
const AFTERSALE: &str = "/afterSale/Detail";
const TRACE: &str = "/logistics/trackNoRouteDetail";

/// The app was not given a method.
const NOT_GRANTED: &str = "isv.app-permissions-insufficient";

/// Where a case is asked for.
fn path(word: &str) -> &'static str {
    match word {
        "order" => ORDER,
        "trace" => TRACE,
        _ => AFTERSALE,
    }
}
