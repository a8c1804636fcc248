//! Taobao and Tmall (淘宝、天猫) through TOP: orders and refunds of one shop (`platforms` 2).
//!
//! Lists show the latest change first, so they are walked from their last page to their first. They may leave out fields:
//! a deadline that the list does not give is asked for by the order's or the refund's own number, when such a row is
//! news. Only fields that are named here are asked for; none of them says who the buyer is.

mod config;
mod read;
#[cfg(test)]
mod tests;

use reqwest::Url;
use serde_json::{Map, Value};

use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::http::{Answer, Request};
use crate::sources::loose::Fields;
use crate::sources::platform::{Feed, Page, Platform, Tokens, Want};
use crate::sources::poll::{Ask, Class, Facts, Failure, Rules, Walk};
use crate::sources::row::{Origin, endpoint, is_under_way, rows};
use crate::sources::sign::Params;
use crate::sources::sign::beijing;
use crate::sources::sign::top::{Way, params, sign};

pub use config::TaobaoConfig;

/// The gateway.
pub const GATEWAY: &str = "https://gw.api.taobao.com/router/rest";

/// Taobao or Tmall for one shop.
pub struct Taobao {
    origin: Origin,
    app_key: String,
    secret: Secret,
    way: Way,
    gateway: Url,
    renewal: String,
    refund_types: String,
    traces: bool,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Taobao {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taobao").field("source", &self.origin.source).finish_non_exhaustive()
    }
}

const ORDERS: &str = "orders";
const REFUNDS: &str = "refunds";

const INCREMENT: &str = "taobao.trades.sold.increment.get";
const RECEIVED: &str = "taobao.refunds.receive.get";
const FULL: &str = "taobao.trade.fullinfo.get";
const REFUND: &str = "taobao.refund.get";
const TRACE: &str = "taobao.logistics.trace.search";

/// Fields of an order. What is not named is not sent (`platforms` 2.1).
const ORDER_FIELDS: &str = "tid,status,created,modified,pay_time,consign_time,end_time,timeout_action_time,orders.oid,\
    orders.status,orders.refund_status,orders.consign_time,orders.logistics_company,orders.invoice_no,\
    orders.delivery_time,orders.estimate_con_time,orders.consign_due_time,orders.collect_time,\
    orders.promise_collect_time,orders.dispatch_time,orders.sign_time,orders.timing_promise";
/// Fields of a refund in a list; its deadline is none of them.
const RECEIVED_FIELDS: &str = "refund_id,tid,oid,status,order_status,good_status,has_good_return,created,modified,refund_phase,company_name,sid";
/// Fields of a single refund.
const REFUND_FIELDS: &str = "refund_id,tid,oid,status,order_status,good_status,has_good_return,created,modified,\
    refund_phase,refund_version,company_name,sid,refund_remind_timeout";

impl Taobao {
    /// The shop of `origin`.
    ///
    /// # Errors
    /// The gateway is no place to send tokens to.
    pub fn new(origin: Origin, config: &TaobaoConfig, secret: Secret) -> Result<Taobao, String> {
        let rules = Rules {
            lag: config.lag,
            overlap: config.overlap,
            longest: config.longest,
            history: Span::DAY.times(90),
            page_size: config.page_size,
            first_page: 1,
            walk: Walk::LastToFirst,
        };
        let list = |name: &str, rank| Feed { name: name.to_owned(), rules, rank, rounds: 1 };
        Ok(Taobao {
            origin,
            app_key: config.app_key.clone(),
            secret,
            way: config.sign_method.way(),
            gateway: endpoint(&config.gateway, GATEWAY).map_err(|e| format!("gateway: {e}"))?,
            renewal: config.renewal.clone(),
            refund_types: config.refund_types.join(","),
            traces: config.traces,
            feeds: vec![list(REFUNDS, 1), list(ORDERS, 2)],
        })
    }

    fn call(
        &self,
        method: &str,
        session: Option<&Secret>,
        at: Instant,
        business: &[(&str, &str)],
    ) -> Request {
        let business: Params =
            business.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let params = params(&self.app_key, session, method, self.way, at, business);
        let signed = sign(params, &self.secret, self.way);
        Request { url: self.gateway.clone(), signed, headers: Vec::new() }
    }
}

/// The business part of an answer, or why there is none: it stands in the method's own wrapper (`platforms` 1.3).
fn body(answer: &Answer, method: &str) -> Result<Map<String, Value>, Failure> {
    let Value::Object(mut body) = answer.json()? else {
        return Err(Failure::new(Class::Malformed, "not_an_object"));
    };
    if let Some(Value::Object(error)) = body.remove("error_response") {
        return Err(Failure { wait: answer.retry_after, ..refusal(&error) });
    }
    let wrapper = format!("{}_response", method.trim_start_matches("taobao.").replace('.', "_"));
    match (body.remove(&wrapper), answer.refused()) {
        (Some(Value::Object(inner)), _) => Ok(inner),
        (_, Some(refused)) => Err(refused),
        _ => Err(Failure::new(Class::Malformed, "no_wrapper")),
    }
}

fn refusal(error: &Map<String, Value>) -> Failure {
    let code = Fields(error).int("code").ok().flatten().unwrap_or(0);
    let sub = error.get("sub_code").and_then(Value::as_str).unwrap_or_default();
    Failure::new(class_of(code, sub), format!("{code}:{sub}").trim_end_matches(':'))
}

/// `platforms` 1.4, 2.5.
fn class_of(code: i64, sub: &str) -> Class {
    match code {
        // A quota of the day and one of the moment have one code.
        7 if sub.contains("day") || sub.contains("daily") => Class::Quota,
        4..=8 => Class::Throttled,
        27 => Class::TokenExpired,
        26 => Class::TokenWrong,
        24 | 25 => Class::Signature,
        30 | 31 => Class::Clock,
        11..=13 => Class::Permission,
        28 | 29 | 42 => Class::Disabled,
        3 | 9 | 21 | 23 | 32..=34 | 40 | 41 | 43 => Class::Parameter,
        22 => Class::Gone,
        10 => Class::Transient,
        15 => class_of_service(sub),
        _ if sub == THROTTLED => Class::Throttled,
        _ => Class::Unseen,
    }
}

const THROTTLED: &str = "accesscontrol.limited-by-api-access-count";

/// The service behind the gateway failed; its own code says whether it may be asked again.
fn class_of_service(sub: &str) -> Class {
    const AGAIN: [&str; 6] = [
        "isp.remote-service-error",
        "isp.remote-service-timeout",
        "isp.remote-connection-error",
        "isp.top-remote-connection-timeout",
        "isp.top-remote-connection-error",
        "isp.unknown-error",
    ];
    const NEVER: [&str; 3] =
        ["isp.null-pointer-exception", "isp.top-parse-error", "isp.top-mapping-parse-error"];
    match sub {
        THROTTLED => Class::Throttled,
        _ if AGAIN.contains(&sub) => Class::Transient,
        _ if sub.starts_with("isp.") && sub.ends_with("-service-unavailable") => Class::Transient,
        _ if NEVER.contains(&sub) || sub.starts_with("isv.") => Class::Parameter,
        _ => Class::Unseen,
    }
}

/// A list in a list: `trades.trade` (`platforms` 2.1).
fn nested<'v>(body: &'v Map<String, Value>, outer: &str, inner: &str) -> Option<&'v [Value]> {
    Some(body.get(outer)?.get(inner)?.as_array()?.as_slice())
}

impl Platform for Taobao {
    fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request {
        let (from, to) = (beijing(ask.from), beijing(ask.to));
        let (page, size) = (ask.page.to_string(), ask.size.to_string());
        // The count is there only where nobody asks whether there is more.
        let next = if ask.count { "" } else { "true" };
        let mut business = vec![
            ("start_modified", from.as_str()),
            ("end_modified", to.as_str()),
            ("page_no", page.as_str()),
            ("page_size", size.as_str()),
            ("use_has_next", next),
        ];
        let method = match feed.name == ORDERS {
            true => {
                business.push(("fields", ORDER_FIELDS));
                INCREMENT
            }
            false => {
                business.push(("fields", RECEIVED_FIELDS));
                business.push(("type", self.refund_types.as_str()));
                RECEIVED
            }
        };
        self.call(method, Some(&tokens.access), at, &business)
    }

    fn read_page(&self, feed: &Feed, ask: Ask, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let is_orders = feed.name == ORDERS;
        let (method, outer, inner) = match is_orders {
            true => (INCREMENT, "trades", "trade"),
            false => (RECEIVED, "refunds", "refund"),
        };
        let body = body(answer, method)?;
        let fields = Fields(&body);
        let total = fields.int("total_results").map_err(|_| malformed("bad_total"))?;
        let total = total.and_then(|n| u64::try_from(n).ok());
        let more = fields.flag("has_next").map_err(|_| malformed("bad_has_next"))?;
        // A missing list is an empty one only where the platform says that there is nothing.
        let list = match nested(&body, outer, inner) {
            Some(list) => list,
            None if body.get(outer).is_none_or(is_empty) && (total == Some(0) || more == Some(false)) => &[],
            None => return Err(malformed("no_list")),
        };
        if ask.count && total.is_none() {
            return Err(malformed("no_total"));
        }
        let read = |row: &Map<String, Value>| match is_orders {
            true => self.order(row, read::From::List),
            false => self.refund(row, read::From::List),
        };
        let (items, rejects) = rows(list, read);
        Ok(Page { items, rejects, facts: Facts { rows: list.len() as u64, total, ..Facts::default() } })
    }

    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request {
        let id = want.ids.get(1).map_or("", String::as_str);
        let token = Some(&tokens.access);
        match kind(want.method()) {
            REFUND => self.call(REFUND, token, at, &[("refund_id", id), ("fields", REFUND_FIELDS)]),
            TRACE => self.call(TRACE, token, at, &[("tid", id)]),
            _ => self.call(FULL, token, at, &[("tid", id), ("fields", ORDER_FIELDS)]),
        }
    }

    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure> {
        let body = match body(answer, kind(want.method())) {
            // No trace is not a parcel that stands still.
            Err(failure)
                if kind(want.method()) == TRACE
                    && matches!(failure.class, Class::Parameter | Class::Unseen) =>
            {
                return Ok(Page::default());
            }
            read => read?,
        };
        let row = match kind(want.method()) {
            REFUND => body.get("refund"),
            TRACE => return self.trace(want, &body),
            _ => body.get("trade"),
        };
        let (row, from) = (row.cloned().unwrap_or(Value::Null), read::From::Single(want));
        let (items, rejects) = rows(&[row], |row| match kind(want.method()) {
            REFUND => self.refund(row, from),
            _ => self.order(row, from),
        });
        match rejects.is_empty() {
            true => Ok(Page { items, rejects, facts: Facts::default() }),
            false => Err(Failure::new(Class::Malformed, "no_case")),
        }
    }

    fn looks(&self, case: &OpenCase) -> Vec<Want> {
        let want = |word: &str| Want { ids: vec![word.to_owned(), case.id.clone()], modified: case.since };
        match case.kind.as_str() {
            "order" if self.traces && is_under_way(case) => vec![want("trade"), want("trace")],
            "order" => vec![want("trade")],
            "aftersale" => vec![want("refund")],
            _ => Vec::new(),
        }
    }

    fn method(&self, word: &str) -> String {
        kind(word).to_owned()
    }

    fn renew(&self, tokens: &Tokens, at: Instant) -> Option<Request> {
        let refresh = tokens.refresh.as_ref().filter(|_| !self.renewal.is_empty())?;
        Some(self.call(&self.renewal, None, at, &[("refresh_token", refresh.reveal())]))
    }

    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let malformed = || Failure::new(Class::Malformed, "no_tokens");
        // What is wrong with a renewal is the authorisation, whatever it is called.
        let lost = |failure: Failure| match failure.class {
            Class::Parameter | Class::Unseen if failure.code.starts_with("15:") => {
                Failure { class: Class::Revoked, ..failure }
            }
            _ => failure,
        };
        let body = body(answer, &self.renewal).map_err(lost)?;
        // The tokens are JSON in a text in JSON.
        let told: Map<String, Value> = match body.get("token_result") {
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| malformed())?,
            Some(Value::Object(told)) => told.clone(),
            _ => return Err(malformed()),
        };
        let token = |name: &str| match told.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        // Relative or absolute: the earlier one counts. What ends now is not good at all.
        let until = |relative: &str, absolute: &str| -> Option<Instant> {
            let after = Fields(&told).int(relative).ok().flatten().filter(|s| *s > 0);
            let after = after.map(|s| at + Span::from_secs(s.min(10 * 365 * 86_400)));
            let on = Fields(&told).time(absolute).ok().flatten().filter(|on| *on > at);
            after.into_iter().chain(on).min()
        };
        let refresh_until = until("re_expires_in", "refresh_token_valid_time");
        // Some apps get a token of fixed length: it says that it cannot be renewed by an end that is over.
        let ends = ["re_expires_in", "refresh_token_valid_time"].iter().any(|name| told.contains_key(*name));
        Ok(Tokens {
            access: token("access_token").ok_or_else(malformed)?,
            refresh: token("refresh_token").filter(|_| refresh_until.is_some() || !ends),
            access_until: until("expires_in", "expire_time"),
            refresh_until,
        })
    }
}

/// The method that a case is asked for with.
fn kind(word: &str) -> &'static str {
    match word {
        "refund" => REFUND,
        "trace" => TRACE,
        _ => FULL,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(object) => object.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
