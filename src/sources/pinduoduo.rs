//! Pinduoduo (拼多多): orders and after-sales of one shop (`platforms` 4).
//!
//! Receiver fields are dropped here; nothing is decrypted. Codes that nobody knows become `other`, the code itself is
//! kept. There is no list of after-sales of every status, so there is one for each (`platforms` 4.5): those on which the
//! merchant must act in every round, the others in every third. Their deadline stands in the detail only, which is asked
//! for when such a row is news.

use std::collections::BTreeMap;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::model::Value as Attribute;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::sources::config::{Section, SourceFault};
use crate::sources::http::{Answer, Request};
use crate::sources::loose::Fields;
use crate::sources::platform::{Feed, Item, Page, Platform, Tokens, Want};
use crate::sources::poll::{Ask, Class, Facts, Failure, Rules, Walk};
use crate::sources::row::{Bad, Origin, Reading, endpoint, is_under_way, mark, need, rows};
use crate::sources::sign::pinduoduo::{Object, params, sign};
use crate::wire::secret::Pick;

/// The gateway.
pub const GATEWAY: &str = "https://gw-api.pinduoduo.com/api/router";

/// `[sources.NAME.pinduoduo]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PinduoduoConfig {
    /// Where requests go.
    pub gateway: String,
    /// The app's `client_id`.
    pub client_id: String,
    /// A file that holds the app's `client_secret` …
    pub client_secret_file: Option<String>,
    /// … or a variable of the environment …
    pub client_secret_env: Option<String>,
    /// … or a credential of systemd.
    pub client_secret_credential: Option<String>,
    /// A window ends so long before now: the platform asks for three minutes; five seconds more are for clocks that
    /// differ a little.
    pub lag: Span,
    /// A window begins so long before the end of the one before.
    pub overlap: Span,
    /// The after-sale statuses on which the merchant must act: asked for in every round.
    pub to_handle: Vec<i64>,
    /// The others that are asked for, in every third round.
    pub handled: Vec<i64>,
    /// The codes (`company_code`) of carriers by their numbers (`logistics_id`): the courier's trace of an order that is
    /// under way is asked for, until the courier has it, whenever the order is read again. Empty for no traces.
    pub trace_carriers: BTreeMap<String, String>,
}

impl Default for PinduoduoConfig {
    fn default() -> PinduoduoConfig {
        PinduoduoConfig {
            gateway: GATEWAY.to_owned(),
            client_id: String::new(),
            client_secret_file: None,
            client_secret_env: None,
            client_secret_credential: None,
            lag: Span::from_secs(185),
            overlap: Span::from_minutes(5),
            to_handle: TO_HANDLE.to_vec(),
            handled: vec![4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 22, 24, 25, 27, 31],
            trace_carriers: BTreeMap::new(),
        }
    }
}

impl PinduoduoConfig {
    fn client_secret(&self) -> Pick<'_> {
        Pick {
            base: "client_secret",
            file: &self.client_secret_file,
            env: &self.client_secret_env,
            credential: &self.client_secret_credential,
            inline: None,
        }
    }
}

impl Section for PinduoduoConfig {
    fn check(&self, problems: &mut Problems) {
        if self.client_id.is_empty() {
            problems.within("client_id", |p| p.error("is missing, expected the client_id of your app"));
        }
        if let Err(reason) = endpoint(&self.gateway, GATEWAY) {
            problems.within("gateway", |p| p.error(reason));
        }
        for (key, span, most) in [("lag", self.lag, 15), ("overlap", self.overlap, 25)] {
            if span > Span::from_minutes(most) {
                problems.within(key, |p| p.error(format!("found {span}, expected at most {most}m")));
            }
        }
        self.client_secret().check(problems);
        if !self.client_secret().is_given() {
            problems.error("has no client_secret_file, client_secret_env or client_secret_credential");
        }
    }

    fn app(&self) -> String {
        format!("{} {}", self.gateway, self.client_id)
    }

    fn paths(&mut self) -> Vec<&mut Option<String>> {
        vec![&mut self.client_secret_file]
    }

    fn platform(
        &self,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault> {
        let missing = || SourceFault::Setting("has no client_secret".to_owned());
        let secret = self.client_secret().read(env)?.ok_or_else(missing)?;
        let made = Pinduoduo::new(origin, self, secret).map_err(SourceFault::Setting)?;
        Ok(Box::new(made))
    }
}

/// Pinduoduo for one shop.
pub struct Pinduoduo {
    origin: Origin,
    client_id: String,
    secret: Secret,
    gateway: Url,
    feeds: Vec<Feed>,
    to_handle: Vec<i64>,
    trace_carriers: BTreeMap<String, String>,
}

impl std::fmt::Debug for Pinduoduo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinduoduo").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The merchant must act (`platforms` 4.5).
const TO_HANDLE: &[i64] = &[2, 3, 14, 21, 32, 33];

const ORDERS: &str = "orders";
const ORDER: &str = "pdd.order.information.get";
const REFUND: &str = "pdd.refund.information.get";
const TRACE: &str = "pdd.logistics.ordertrace.get";

/// The method that a case is asked for with.
fn kind(word: &str) -> &'static str {
    match word {
        "order" => ORDER,
        "trace" => TRACE,
        _ => REFUND,
    }
}

const AFTERSALE: &str = "aftersale-";

impl Pinduoduo {
    /// The shop of `origin`.
    ///
    /// # Errors
    /// The gateway is no place to send tokens to.
    pub fn new(origin: Origin, config: &PinduoduoConfig, secret: Secret) -> Result<Pinduoduo, String> {
        let rules = Rules {
            lag: config.lag,
            overlap: config.overlap,
            longest: Span::from_minutes(30),
            history: Span::DAY.times(90),
            page_size: 100,
            first_page: 1,
            walk: Walk::LastToFirst,
        };
        let list =
            |status: &i64, rank, rounds| Feed { name: format!("{AFTERSALE}{status}"), rules, rank, rounds };
        let mut feeds: Vec<Feed> = config.to_handle.iter().map(|status| list(status, 1, 1)).collect();
        feeds.push(Feed { name: ORDERS.to_owned(), rules, rank: 2, rounds: 1 });
        feeds.extend(config.handled.iter().map(|status| list(status, 3, 3)));
        Ok(Pinduoduo {
            origin,
            client_id: config.client_id.clone(),
            secret,
            gateway: endpoint(&config.gateway, GATEWAY).map_err(|e| format!("gateway: {e}"))?,
            feeds,
            to_handle: config.to_handle.clone(),
            trace_carriers: config.trace_carriers.clone(),
        })
    }

    fn call(&self, kind: &str, token: Option<&Secret>, at: Instant, business: Value) -> Request {
        let business: Object = match business {
            Value::Object(object) => object,
            _ => Object::new(),
        };
        let params = params(&self.client_id, token, kind, at, business);
        Request { url: self.gateway.clone(), signed: sign(params, &self.secret), headers: Vec::new() }
    }

    fn order(&self, row: &Map<String, Value>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("order_sn", fields.id("order_sn"))?;
        let modified = need("updated_at", fields.time("updated_at"))?;
        let mut read = Reading::default();
        let code = |name: &'static str, read: &mut Reading| read.keep(name, fields.int(name));
        let confirm = code("confirm_status", &mut read);
        let group = code("group_status", &mut read);
        let order = code("order_status", &mut read);
        let refund = code("refund_status", &mut read);
        let aftersale = code("after_sales_status", &mut read);
        let risk = code("risk_control_status", &mut read);
        let time = |name: &'static str, read: &mut Reading| read.keep(name, fields.time(name));
        let (created, confirmed) = (time("created_time", &mut read), time("confirm_time", &mut read));
        let (shipped, received) = (time("shipping_time", &mut read), time("receive_time", &mut read));
        let (ship_by, deliver_by) =
            (time("last_ship_time", &mut read), time("promise_delivery_time", &mut read));
        let urged = time("urge_shipping_time", &mut read);
        let carrier = read.keep("logistics_id", fields.id("logistics_id")).filter(|id| id != "0");
        let waybill = read.keep("tracking_number", fields.id("tracking_number"));
        // `platforms` 1.7.
        let status = match (confirm, group, risk, order) {
            (Some(2), ..) | (_, Some(2), ..) => "closed",
            _ if refund == Some(4) => "closed",
            (Some(0), ..) => "unpaid",
            (_, Some(0), ..) | (_, _, Some(1), _) => "held",
            (_, _, _, Some(1)) => "to_ship",
            (_, _, _, Some(2)) => "shipped",
            (_, _, _, Some(3)) if received.is_some() => "done",
            (_, _, _, Some(3)) => "signed",
            _ => "other",
        };
        let mut seen = self.origin.observation("order", &id, modified);
        // The promise to ship counts from the deal, when the group is complete, and not from the payment.
        for (name, at) in
            [("created", created), ("paid", confirmed), ("shipped", shipped), ("signed", received)]
        {
            seen.marks.extend(at.map(|at| mark(name, at)));
        }
        for (name, at) in [("urged", urged), ("ship_by", ship_by), ("deliver_by", deliver_by)] {
            seen.marks.extend(at.map(|at| mark(name, at)));
        }
        self.origin.attributes(&mut seen, status);
        for (name, code) in [
            ("confirm_status", confirm),
            ("group_status", group),
            ("order_status", order),
            ("refund_status", refund),
            ("after_sales_status", aftersale),
            ("risk_control_status", risk),
        ] {
            seen.attributes.extend(code.map(|code| (name.into(), Attribute::Int(code))));
        }
        for (name, text) in [("carrier", carrier), ("waybill", waybill)] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        let deadline = ship_by.filter(|_| matches!(status, "to_ship" | "held"));
        Ok(read.item(id, modified, deadline, None, vec![seen]))
    }

    /// An order alone, as it was asked for.
    fn single_order(&self, want: &Want, row: &Map<String, Value>) -> Result<Item, Bad> {
        let item = self.order(row)?;
        match want.ids.get(1) == Some(&item.id) {
            true => Ok(item),
            false => Err("order_sn is not the one that was asked for".to_owned()),
        }
    }

    /// An after-sale alone: how it stands, and until when the merchant must act.
    fn single_aftersale(&self, want: &Want, row: &Map<String, Value>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("id", fields.id("id"))?;
        if want.ids.get(2) != Some(&id) {
            return Err("id is not the one that was asked for".to_owned());
        }
        let mut read = Reading::default();
        let modified = read.keep("updated_time", fields.time("updated_time"));
        let modified = modified.unwrap_or(want.modified).max(want.modified);
        let deadline = read.keep("expire_time", fields.time("expire_time"));
        let joined = read.keep("join_or_not", fields.int("join_or_not"));
        let status = read.keep("after_sales_status", fields.int("after_sales_status"));
        let mut seen = self.origin.observation("aftersale", &id, modified);
        seen.marks.extend(deadline.map(|at| mark("handle_by", at)));
        if let Some(status) = status {
            self.origin.attributes(&mut seen, aftersale_word(status));
            seen.attributes.push(("after_sales_status".into(), Attribute::Int(status)));
        }
        seen.attributes.extend(joined.map(|n| ("platform_joined".into(), Attribute::Bool(n != 0))));
        let mut observations = vec![seen];
        let names = status.map_or(&[][..], aftersale_marks);
        if !names.is_empty() {
            observations.push(self.origin.first_seen("aftersale", &id, modified, names));
        }
        Ok(read.item(id, modified, deadline, None, observations))
    }

    /// When the courier had the parcel: its first scan (`platforms` 4.6).
    fn trace(&self, want: &Want, body: &Map<String, Value>) -> Page {
        // The spelling is theirs.
        let wrappers = ["logistics_ordertrace_get_resposne", "logistics_ordertrace_get_response"];
        let told = wrappers.into_iter().find_map(|name| body.get(name)?.get("trace_list")?.as_array());
        let time = |node: &Value| Fields(node.as_object()?).time("status_time").ok().flatten();
        let first = told.into_iter().flatten().filter_map(time).min();
        let item = first.zip(want.ids.get(1)).map(|(at, id)| {
            let mut seen = self.origin.observation("order", id, want.modified);
            seen.marks.push(mark("picked_up", at));
            Reading::default().item(id.clone(), want.modified, None, None, vec![seen])
        });
        Page { items: item.into_iter().collect(), ..Page::default() }
    }

    fn aftersale(&self, row: &Map<String, Value>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("id", fields.id("id"))?;
        let order = need("order_sn", fields.id("order_sn"))?;
        let status = need("after_sales_status", fields.int("after_sales_status"))?;
        let mut read = Reading::default();
        let modified = need("updated_time", fields.time("updated_time"))?;
        let created = read.keep("created_time", fields.time("created_time"));
        let dispute = read.keep("dispute_refund_status", fields.int("dispute_refund_status"));
        let kind = read.keep("after_sales_type", fields.int("after_sales_type"));
        let waybill = read.keep("tracking_number", fields.id("tracking_number"));
        let mut seen = self.origin.observation("aftersale", &id, modified);
        seen.marks.extend(created.map(|at| mark("return_requested", at)));
        self.origin.attributes(&mut seen, aftersale_word(status));
        seen.attributes.push(("order".into(), Attribute::Text(order.clone().into())));
        for (name, code) in [
            ("after_sales_status", Some(status)),
            ("dispute_refund_status", dispute),
            ("after_sales_type", kind),
        ] {
            seen.attributes.extend(code.map(|code| (name.into(), Attribute::Int(code))));
        }
        seen.attributes.extend(waybill.map(|text| ("return_waybill".into(), Attribute::Text(text.into()))));
        let mut observations = vec![seen];
        let names = aftersale_marks(status);
        if !names.is_empty() {
            observations.push(self.origin.first_seen("aftersale", &id, modified, names));
        }
        let ids = || vec!["aftersale".to_owned(), order, id.clone()];
        let want = self.to_handle.contains(&status).then(|| Want { ids: ids(), modified });
        Ok(read.item(id, modified, None, want, observations))
    }
}

/// What an after-sale status means (`platforms` 4.5).
fn aftersale_word(status: i64) -> &'static str {
    match status {
        2 | 3 | 14 | 21 | 32 | 33 => "to_handle",
        4 | 5 => "refunding",
        6 | 7 | 15 | 18 | 22 | 27 | 31 => "waiting_buyer",
        8 => "arbitration",
        9..=13 | 16 | 17 | 24 | 25 => "closed",
        _ => "other",
    }
}

/// What a status shows for the first time.
fn aftersale_marks(status: i64) -> &'static [&'static str] {
    match status {
        10 => &["refunded", "return_reviewed"],
        4..=7 | 15 | 16 | 18 | 22 | 25 | 27 | 31 => &["return_reviewed"],
        _ => &[],
    }
}

/// The body of an answer, or why there is none.
fn body(answer: &Answer) -> Result<Map<String, Value>, Failure> {
    let Value::Object(mut body) = answer.json()? else {
        return Err(Failure::new(Class::Malformed, "not_an_object"));
    };
    let Some(Value::Object(error)) = body.remove("error_response") else {
        return answer.refused().map_or(Ok(body), Err);
    };
    let code = Fields(&error).int("error_code").ok().flatten().unwrap_or(0);
    Err(Failure { wait: answer.retry_after, ..Failure::new(class_of(code), code.to_string()) })
}

/// `platforms` 4.8.
fn class_of(code: i64) -> Class {
    match code {
        52101 | 70031 => Class::Throttled,
        70036 => Class::Quota,
        10019 => Class::TokenExpired,
        20032 => Class::TokenWrong,
        20004 => Class::Signature,
        20005 => Class::IpList,
        20031 | 30000 => Class::Permission,
        10016 | 10018 | 30001 | 70032 | 70034 | 70035 => Class::Disabled,
        10000 | 10001 | 21001 | 21002 | 52004 => Class::Parameter,
        10017 | 20034 | 20035 => Class::Gone,
        50000..=50002 | 52001 | 52002 | 52102 | 52103 | 70033 => Class::Transient,
        _ => Class::Unseen,
    }
}

impl Platform for Pinduoduo {
    fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request {
        let mut business = json!({
            "start_updated_at": ask.from.as_secs(),
            "end_updated_at": ask.to.as_secs(),
            "page": ask.page,
            "page_size": ask.size,
        });
        let kind = match feed.name.strip_prefix(AFTERSALE) {
            Some(status) => {
                business["after_sales_status"] = status.parse::<i64>().unwrap_or(0).into();
                business["after_sales_type"] = 1.into();
                "pdd.refund.list.increment.get"
            }
            None => {
                // All of them: 5, 5 and 0 are the words for it.
                business["order_status"] = 5.into();
                business["refund_status"] = 5.into();
                business["is_lucky_flag"] = 0.into();
                business["use_has_next"] = (!ask.count).into();
                "pdd.order.number.list.increment.get"
            }
        };
        self.call(kind, Some(&tokens.access), at, business)
    }

    fn read_page(&self, feed: &Feed, ask: Ask, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let body = body(answer)?;
        let is_orders = feed.name == ORDERS;
        let (wrapper, list) = match is_orders {
            true => ("order_sn_increment_get_response", "order_sn_list"),
            false => ("refund_increment_get_response", "refund_list"),
        };
        let page = body.get(wrapper).and_then(Value::as_object).ok_or_else(|| malformed("no_wrapper"))?;
        let total = Fields(page).int("total_count").map_err(|_| malformed("bad_total"))?;
        let total = total.and_then(|n| u64::try_from(n).ok());
        let list = match page.get(list) {
            Some(Value::Array(list)) => list.as_slice(),
            // A missing list is an empty one only where the count says so.
            None | Some(Value::Null) if total == Some(0) => &[],
            _ => return Err(malformed("no_list")),
        };
        if ask.count && total.is_none() {
            return Err(malformed("no_total"));
        }
        let (items, rejects) =
            rows(list, |row| if is_orders { self.order(row) } else { self.aftersale(row) });
        let facts = Facts { rows: list.len() as u64, total, last: None, more: None };
        Ok(Page { items, rejects, facts })
    }

    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request {
        let id = |n: usize| want.ids.get(n).map_or("", String::as_str);
        let kind = kind(want.method());
        let business = match kind {
            ORDER => json!({ "order_sn": id(1) }),
            TRACE => json!({ "company_code": id(2), "mail_no": id(3) }),
            _ => {
                // Its own ids are numbers there.
                let after_sales = id(2).parse::<u64>().map_or_else(|_| Value::from(id(2)), Value::from);
                json!({ "order_sn": id(1), "after_sales_id": after_sales })
            }
        };
        self.call(kind, Some(&tokens.access), at, business)
    }

    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure> {
        let kind = kind(want.method());
        let mut body = match body(answer) {
            // No trace is not a parcel that stands still.
            Err(failure) if kind == TRACE && matches!(failure.class, Class::Parameter | Class::Unseen) => {
                return Ok(Page::default());
            }
            body => body?,
        };
        if kind == TRACE {
            return Ok(self.trace(want, &body));
        }
        // After-sales have no wrapper.
        if kind == ORDER {
            let wrapped = body.get_mut("order_info_get_response").and_then(|told| told.get_mut("order_info"));
            body = match wrapped.map(Value::take) {
                Some(Value::Object(order)) => order,
                _ => return Err(Failure::new(Class::Malformed, "no_wrapper")),
            };
        }
        let (items, rejects) = rows(&[Value::Object(body)], |row| match kind {
            ORDER => self.single_order(want, row),
            _ => self.single_aftersale(want, row),
        });
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
        let carrier = case.carrier.as_ref().and_then(|id| self.trace_carriers.get(id));
        match (case.kind.as_str(), carrier.zip(case.waybill.as_ref()), &case.order) {
            ("order", Some((carrier, waybill)), _) if is_under_way(case) => {
                vec![want(&["order", &case.id]), want(&["trace", &case.id, carrier, waybill])]
            }
            ("order", ..) => vec![want(&["order", &case.id])],
            ("aftersale", _, Some(order)) => vec![want(&["aftersale", order, &case.id])],
            _ => Vec::new(),
        }
    }

    fn method(&self, word: &str) -> String {
        kind(word).to_owned()
    }

    fn renew(&self, tokens: &Tokens, at: Instant) -> Option<Request> {
        let refresh = tokens.refresh.as_ref()?;
        let business = json!({ "refresh_token": refresh.reveal() });
        Some(self.call("pdd.pop.auth.token.refresh", None, at, business))
    }

    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let body = body(answer)?;
        let malformed = || Failure::new(Class::Malformed, "no_tokens");
        let told =
            body.get("pop_auth_token_refresh_response").and_then(Value::as_object).ok_or_else(malformed)?;
        let token = |name: &str| match told.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        // Relative or absolute: the earlier one counts (`platforms` 4.2).
        let until = |relative: &str, absolute: &str| -> Option<Instant> {
            let after = Fields(told).int(relative).ok().flatten().map(|s| at + Span::from_secs(s));
            let on = Fields(told).time(absolute).ok().flatten();
            after.into_iter().chain(on).min()
        };
        Ok(Tokens {
            access: token("access_token").ok_or_else(malformed)?,
            refresh: token("refresh_token"),
            access_until: until("expires_in", "expires_at"),
            refresh_until: until("refresh_token_expires_in", "refresh_token_expires_at"),
        })
    }
}

#[cfg(test)]
mod tests;
