//! JD (京东 POP) by its older gateway, routerjson: orders and after-sales of one shop (`platforms` 3).
//!
//! The newer gateway (SP-API) is not spoken: its signature has no example that could be checked. There is no list of
//! tickets, and what the chat interfaces answer is nowhere described; traces are for customers of JD Logistics alone, and
//! couriers are asked for those. JD gives no deadlines: those of the policy count.
//!
//! Buyers' fields are not even asked for. States that nobody knows become `other`, the state itself is kept.

use std::collections::BTreeMap;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::model::{Value as Attribute, hash64};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::sources::config::{Section, SourceFault};
use crate::sources::http::{Answer, Request};
use crate::sources::loose::Fields;
use crate::sources::platform::{Feed, Item, Page, Platform, Tokens, Want};
use crate::sources::poll::{Ask, Class, Facts, Failure, Rules, Walk};
use crate::sources::row::{Bad, Origin, Reading, endpoint, mark, need, rows};
use crate::sources::sign::{Body, Params, Signed, beijing, jd as sign};
use crate::wire::secret::Pick;

/// The gateway.
pub const GATEWAY: &str = "https://api.jd.com/routerjson";
/// Where tokens are renewed.
pub const OAUTH: &str = "https://open-oauth.jd.com/oauth2/refresh_token";

/// `[sources.NAME.jd]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JdConfig {
    /// Where requests go.
    pub gateway: String,
    /// Where tokens are renewed.
    pub oauth: String,
    /// The app's `app_key`.
    pub app_key: String,
    /// A file that holds the app's `app_secret` …
    pub app_secret_file: Option<String>,
    /// … or a variable of the environment …
    pub app_secret_env: Option<String>,
    /// … or a credential of systemd.
    pub app_secret_credential: Option<String>,
    /// The account of the merchant in whose name after-sales are read (操作人). Without it they are not.
    pub operate_pin: Option<String>,
    /// The name beside it; the account itself where there is none.
    pub operate_nick: Option<String>,
    /// The number of the merchant (商家编号), where after-sales need it.
    pub vender_id: Option<String>,
    /// A window ends so long before now.
    pub lag: Span,
    /// A window begins so long before the end of the one before.
    pub overlap: Span,
    /// Orders come in the order of their changes, as the documents say: they are read from change to change. `false`
    /// reads them by pages, from the last to the first, which is right in any order and takes more requests.
    pub ascending: bool,
    /// The parameters of the list of orders are wrapped in `paramOrderJSFQuery`: one reading of the documents.
    pub wrapped: bool,
    /// The states of orders that are asked for; all must be named.
    pub order_states: Vec<String>,
    /// What a status of an after-sale means, by its number or its name: `to_handle`, `refunding`, `waiting_buyer`,
    /// `arbitration` or `closed`. Names that are seen everywhere are known.
    pub aftersale_status: BTreeMap<String, String>,
}

impl Default for JdConfig {
    fn default() -> JdConfig {
        JdConfig {
            gateway: GATEWAY.to_owned(),
            oauth: OAUTH.to_owned(),
            app_key: String::new(),
            app_secret_file: None,
            app_secret_env: None,
            app_secret_credential: None,
            operate_pin: None,
            operate_nick: None,
            vender_id: None,
            lag: Span::from_secs(65),
            overlap: Span::from_minutes(5),
            ascending: true,
            wrapped: false,
            order_states: STATES.iter().map(|(state, _)| (*state).to_owned()).collect(),
            aftersale_status: BTreeMap::new(),
        }
    }
}

/// The words that a status of an after-sale may mean.
const WORDS: [&str; 6] = ["to_handle", "refunding", "waiting_buyer", "arbitration", "closed", "other"];

impl JdConfig {
    fn app_secret(&self) -> Pick<'_> {
        Pick {
            base: "app_secret",
            file: &self.app_secret_file,
            env: &self.app_secret_env,
            credential: &self.app_secret_credential,
            inline: None,
        }
    }
}

impl Section for JdConfig {
    fn check(&self, problems: &mut Problems) {
        if self.app_key.is_empty() {
            problems.within("app_key", |p| p.error("is missing, expected the app_key of your app"));
        }
        for (key, url, example) in [("gateway", &self.gateway, GATEWAY), ("oauth", &self.oauth, OAUTH)] {
            if let Err(reason) = endpoint(url, example) {
                problems.within(key, |p| p.error(reason));
            }
        }
        for (key, span, most) in [("lag", self.lag, 15), ("overlap", self.overlap, 25)] {
            if span > Span::from_minutes(most) {
                problems.within(key, |p| p.error(format!("found {span}, expected at most {most}m")));
            }
        }
        if self.order_states.is_empty() {
            problems.within("order_states", |p| p.error("is empty, expected states such as FINISHED_L"));
        }
        problems.within("aftersale_status", |problems| {
            for (status, word) in self.aftersale_status.iter().filter(|(_, w)| !WORDS.contains(&w.as_str())) {
                problems.within(status.as_str(), |p| {
                    p.error(format!("found `{word}`, expected one of: {}", WORDS.join(", ")));
                });
            }
        });
        self.app_secret().check(problems);
        if !self.app_secret().is_given() {
            problems.error("has no app_secret_file, app_secret_env or app_secret_credential");
        }
    }

    fn app(&self) -> String {
        format!("{} {}", self.gateway, self.app_key)
    }

    fn paths(&mut self) -> Vec<&mut Option<String>> {
        vec![&mut self.app_secret_file]
    }

    fn platform(
        &self,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault> {
        let missing = || SourceFault::Setting("has no app_secret".to_owned());
        let secret = self.app_secret().read(env)?.ok_or_else(missing)?;
        Ok(Box::new(Jd::new(origin, self, secret).map_err(SourceFault::Setting)?))
    }
}

/// JD for one shop.
pub struct Jd {
    origin: Origin,
    config: JdConfig,
    secret: Secret,
    gateway: Url,
    oauth: Url,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Jd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jd").field("origin", &self.origin).finish_non_exhaustive()
    }
}

const ORDERS: &str = "orders";
const AFTERSALES: &str = "aftersales";

/// The states of orders, and their words (`platforms` 1.7).
const STATES: &[(&str, &str)] = &[
    ("WAIT_SELLER_STOCK_OUT", "to_ship"),
    ("WAIT_SELLER_DELIVERY", "to_ship"),
    ("WAIT_GOODS_RECEIVE_CONFIRM", "shipped"),
    ("PAUSE", "held"),
    ("POP_ORDER_PAUSE", "held"),
    ("LOCKED", "held"),
    ("WAIT_SEND_CODE", "held"),
    ("FINISHED_L", "done"),
    ("TRADE_CANCELED", "closed"),
    ("DELIVERY_RETURN", "closed"),
];

/// The fields of an order that are asked for: none of the buyer's.
const FIELDS: &str = "orderId,venderId,orderType,payType,orderState,orderStateRemark,deliveryType,orderStartTime,\
                      paymentConfirmTime,modified,orderEndTime,waybill,logisticsId,parentOrderId,directParentOrderId,\
                      returnOrder,storeOrder";

/// What a status of an after-sale is called, and what it means (unverified: `aftersale_status` comes before it). The first
/// that fits counts.
const NAMES: &[(&str, &str)] = &[
    ("取消", "closed"),
    ("关闭", "closed"),
    ("完成", "closed"),
    ("拒绝", "waiting_buyer"),
    ("待用户", "waiting_buyer"),
    ("待客户", "waiting_buyer"),
    ("待买家", "waiting_buyer"),
    ("纠纷", "arbitration"),
    ("仲裁", "arbitration"),
    ("退款中", "refunding"),
    ("待退款", "refunding"),
    ("待审核", "to_handle"),
    ("待处理", "to_handle"),
    ("待收货", "to_handle"),
    ("待商家", "to_handle"),
];

impl Jd {
    /// The shop of `origin`.
    ///
    /// # Errors
    /// The gateway, or where tokens are renewed, is no place to send them to.
    pub fn new(origin: Origin, config: &JdConfig, secret: Secret) -> Result<Jd, String> {
        let rules = Rules {
            lag: config.lag,
            overlap: config.overlap,
            longest: Span::from_minutes(60),
            history: Span::DAY.times(90),
            page_size: 100,
            first_page: 1,
            walk: Walk::LastToFirst,
        };
        let walk = if config.ascending { Walk::Keyset } else { Walk::LastToFirst };
        let mut feeds = vec![Feed {
            name: ORDERS.to_owned(),
            rules: Rules { walk, longest: Span::DAY, ..rules },
            rank: 2,
            rounds: 1,
        }];
        if config.operate_pin.is_some() {
            feeds.insert(0, Feed { name: AFTERSALES.to_owned(), rules, rank: 1, rounds: 1 });
        }
        Ok(Jd {
            origin,
            secret,
            gateway: endpoint(&config.gateway, GATEWAY).map_err(|e| format!("gateway: {e}"))?,
            oauth: endpoint(&config.oauth, OAUTH).map_err(|e| format!("oauth: {e}"))?,
            config: config.clone(),
            feeds,
        })
    }

    fn call(&self, method: &str, token: &Secret, at: Instant, business: &Value) -> Request {
        let params = sign::params(&self.config.app_key, Some(token), method, at, business);
        Request { url: self.gateway.clone(), signed: sign::sign(params, &self.secret), headers: Vec::new() }
    }

    /// In whose name after-sales are asked for.
    fn operator(&self) -> Value {
        let pin = self.config.operate_pin.as_deref().unwrap_or_default();
        let nick = self.config.operate_nick.as_deref().unwrap_or(pin);
        let mut business = json!({ "operatePin": pin, "operateNick": nick });
        if let Some(vender) = &self.config.vender_id {
            business["buId"] = vender.clone().into();
        }
        business
    }

    fn order(&self, row: &Map<String, Value>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("orderId", fields.id("orderId"))?;
        let modified = need("modified", fields.time("modified"))?;
        let state = need("orderState", fields.id("orderState"))?;
        let mut read = Reading::default();
        let time = |name: &'static str, read: &mut Reading| read.keep(name, fields.time(name));
        let (created, paid) = (time("orderStartTime", &mut read), time("paymentConfirmTime", &mut read));
        let ended = time("orderEndTime", &mut read);
        let waybill = read.keep("waybill", fields.id("waybill"));
        let carrier = read.keep("logisticsId", fields.id("logisticsId")).filter(|id| id != "0");
        let parent = read.keep("parentOrderId", fields.id("parentOrderId")).filter(|id| id != "0");
        let word = STATES.iter().find(|(name, _)| *name == state).map_or("other", |(_, word)| *word);
        let mut seen = self.origin.observation("order", &id, modified);
        seen.marks.extend(created.map(|at| mark("created", at)));
        seen.marks.extend(paid.map(|at| mark("paid", at)));
        let end = match state.as_str() {
            "FINISHED_L" => Some("signed"),
            "TRADE_CANCELED" => Some("cancelled"),
            _ => None,
        };
        seen.marks.extend(end.zip(ended).map(|(name, at)| mark(name, at)));
        self.origin.attributes(&mut seen, word);
        let texts = [("order_state", Some(state.clone())), ("carrier", carrier), ("parent", parent)];
        for (name, text) in texts.into_iter().chain([("waybill", waybill.clone())]) {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        let mut observations = vec![seen];
        // There is no time of shipping: that of the first look at it.
        let shipped = matches!(state.as_str(), "WAIT_GOODS_RECEIVE_CONFIRM" | "FINISHED_L")
            || (waybill.is_some() && word != "closed");
        let mut first: Vec<&'static str> = Vec::new();
        if shipped {
            first.push("shipped");
        }
        if ended.is_none() {
            first.extend(end);
        }
        if !first.is_empty() {
            observations.push(self.origin.first_seen("order", &id, modified, &first));
        }
        Ok(read.item(id, modified, None, None, observations))
    }

    /// A row of after-sales does not say when it was changed: before the end of the window that shows it.
    fn aftersale(&self, row: &Map<String, Value>, to: Instant) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("serviceId", fields.id("serviceId"))?;
        let applied = need("applyTime", fields.time("applyTime"))?;
        let mut read = Reading::default();
        let order = read.keep("orderId", fields.id("orderId"));
        let apply = read.keep("applyId", fields.id("applyId"));
        let code = read.keep("serviceStatus", fields.id("serviceStatus"));
        let expects = read.keep("customerExpect", fields.int("customerExpect"));
        let grade = read.keep("customerGrade", fields.int("customerGrade"));
        let result = read.keep("processResult", fields.int("processResult"));
        let approved = read.keep("approveTime", fields.time("approveTime"));
        let processed = read.keep("processTime", fields.time("processTime"));
        let name = row.get("serviceStatusName").and_then(Value::as_str).unwrap_or_default();
        let mut seen = self.origin.observation("aftersale", &id, to.max(applied));
        for (name, at) in
            [("return_requested", Some(applied)), ("return_reviewed", approved), ("processed", processed)]
        {
            seen.marks.extend(at.map(|at| mark(name, at)));
        }
        self.origin.attributes(&mut seen, self.word(code.as_deref(), name));
        for (name, text) in [("order", order), ("apply", apply), ("service_status", code)] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        for (name, number) in
            [("customer_expect", expects), ("customer_grade", grade), ("process_result", result)]
        {
            seen.attributes.extend(number.map(|n| (name.into(), Attribute::Int(n))));
        }
        let said = (&seen.marks, &seen.attributes);
        let digest = hash64(format!("{said:?}").as_bytes());
        let item = read.item(id, to.max(applied), None, None, vec![seen]);
        // The same in a later window is no news.
        Ok(Item { digest, ..item })
    }

    /// What a status of an after-sale means, by its number or its name.
    fn word(&self, code: Option<&str>, name: &str) -> &'static str {
        let own = code.and_then(|code| self.config.aftersale_status.get(code));
        let own = own.or_else(|| self.config.aftersale_status.get(name.trim()));
        if let Some(own) = own {
            return WORDS.into_iter().find(|word| word == own).unwrap_or("other");
        }
        NAMES.iter().find(|(part, _)| name.contains(part)).map_or("other", |(_, word)| *word)
    }
}

/// The object inside an answer, or why there is none: three layers say so (`platforms` 1.3).
fn wrapped(answer: &Answer, method: &str) -> Result<Map<String, Value>, Failure> {
    let malformed = |code: &str| Failure::new(Class::Malformed, code);
    let refused = |code: &str| Failure { wait: answer.retry_after, ..Failure::new(class_of(code), code) };
    let Value::Object(mut body) = answer.json()? else { return Err(malformed("not_an_object")) };
    if let Some(error) = body.get("error_response") {
        let code = error.as_object().and_then(|error| Fields(error).id("code").ok().flatten());
        return Err(refused(code.as_deref().unwrap_or("0")));
    }
    let name = format!("{}_responce", method.replace('.', "_"));
    // The spelling is theirs; some answers have the right one.
    let other = format!("{}_response", method.replace('.', "_"));
    let Some(Value::Object(inner)) = body.remove(&name).or_else(|| body.remove(&other)) else {
        return Err(answer.refused().unwrap_or_else(|| malformed("no_wrapper")));
    };
    match Fields(&inner).id("code") {
        Ok(None) => Ok(inner),
        Ok(Some(code)) if code == "0" => Ok(inner),
        Ok(Some(code)) => Err(refused(&code)),
        Err(_) => Err(malformed("bad_code")),
    }
}

/// The third layer: what the business behind the gateway says.
fn judged(result: &Map<String, Value>) -> Result<(), Failure> {
    let Some(said) = result.get("apiResult").and_then(Value::as_object) else { return Ok(()) };
    let success = match said.get("success") {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    };
    if success {
        return Ok(());
    }
    let code = Fields(said).id("numberCode").ok().flatten().unwrap_or_else(|| "0".to_owned());
    Err(Failure::new(class_of(&code), code))
}

/// `platforms` 1.4 and 3.6.
fn class_of(code: &str) -> Class {
    match code {
        "2" => Class::Throttled,
        "7" | "8" => Class::Clock,
        "11" | "12" => Class::Signature,
        "15" | "23" | "28" => Class::Gone,
        "18" | "22" => Class::TokenWrong,
        "19" => Class::TokenExpired,
        "20" | "21" | "25" | "89" => Class::Disabled,
        "24" | "64" | "71" | "72" | "73" | "83" | "84" | "85" | "86" | "87" | "88" => Class::Permission,
        "43" | "65" | "66" | "67" | "69" | "70" | "78" => Class::Transient,
        "74" | "75" | "80" => Class::IpList,
        "79" => Class::Revoked,
        "4" | "5" | "6" | "14" | "60" | "61" | "62" | "63" | "68" | "77" => Class::Parameter,
        _ => Class::Unseen,
    }
}

const ORDER_LIST: &str = "jingdong.pop.order.search";
const ORDER: &str = "jingdong.pop.order.get";
const AFTERSALE_LIST: &str = "jingdong.asc.query.list";

/// The method that a case is asked for with: after-sales by their list, for one number.
fn kind(word: &str) -> &'static str {
    if word == "aftersale" { AFTERSALE_LIST } else { ORDER }
}

/// Nothing is looked for deeper than this in an answer.
const DEEP: u8 = 4;

/// The first object that has such a field, and what the business behind the gateway says beside it.
fn find(body: &mut Map<String, Value>, name: &str, deep: u8) -> (Option<Map<String, Value>>, Option<Value>) {
    if body.contains_key(name) || deep == 0 {
        return (Some(std::mem::take(body)).filter(|found| found.contains_key(name)), None);
    }
    let said = body.remove("apiResult");
    let mut beneath = None;
    for value in body.values_mut() {
        let object = match value {
            Value::Object(object) => Some(object),
            Value::Array(list) => list.first_mut().and_then(Value::as_object_mut),
            _ => None,
        };
        let Some(object) = object else { continue };
        let (row, inner) = find(object, name, deep - 1);
        beneath = beneath.or(inner);
        if row.is_some() {
            return (row, said.or(beneath));
        }
    }
    (None, said.or(beneath))
}

impl Platform for Jd {
    fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request {
        if feed.name == AFTERSALES {
            let mut business = self.operator();
            business["updateTimeBegin"] = beijing(ask.from).into();
            business["updateTimeEnd"] = beijing(ask.to).into();
            business["pageNumber"] = ask.page.to_string().into();
            business["pageSize"] = ask.size.to_string().into();
            return self.call(AFTERSALE_LIST, &tokens.access, at, &business);
        }
        let search = json!({
            "start_date": beijing(ask.from),
            "end_date": beijing(ask.to),
            // By the time of the change, the earliest first.
            "dateType": "0",
            "sortType": "0",
            "order_state": self.config.order_states.join(","),
            "optional_fields": FIELDS,
            // Texts, as the documents have them today.
            "page": ask.page.to_string(),
            "page_size": ask.size.to_string(),
            "source_id": "JOS",
        });
        let business = if self.config.wrapped { json!({ "paramOrderJSFQuery": search }) } else { search };
        self.call(ORDER_LIST, &tokens.access, at, &business)
    }

    fn read_page(&self, feed: &Feed, ask: Ask, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let is_orders = feed.name == ORDERS;
        let (method, result, total, list) = match is_orders {
            true => (ORDER_LIST, "searchorderinfo_result", "orderTotal", "orderInfoList"),
            false => (AFTERSALE_LIST, "pageResult", "totalCount", "data"),
        };
        let body = wrapped(answer, method)?;
        let result = body.get(result).and_then(Value::as_object).ok_or_else(|| malformed("no_result"))?;
        judged(result)?;
        let total = Fields(result).int(total).map_err(|_| malformed("bad_total"))?;
        let total = total.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| malformed("no_total"))?;
        let list = match result.get(list) {
            Some(Value::Array(list)) => list.as_slice(),
            // A missing list is an empty one only where the count says so.
            None | Some(Value::Null) if total == 0 => &[],
            _ => return Err(malformed("no_list")),
        };
        let (items, rejects) =
            rows(list, |row| if is_orders { self.order(row) } else { self.aftersale(row, ask.to) });
        let ascending = feed.rules.walk == Walk::Keyset;
        if ascending && !items.is_sorted_by_key(|item| item.modified) {
            // Reading on from the last change would lose what comes after an earlier one.
            return Err(malformed("not_ascending"));
        }
        let last = items.iter().map(|item| item.modified).max().filter(|_| ascending);
        Ok(Page {
            facts: Facts { rows: list.len() as u64, total: Some(total), last, more: None },
            items,
            rejects,
        })
    }

    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request {
        let id = want.ids.get(1).map_or("", String::as_str);
        let kind = kind(want.method());
        let business = match kind {
            ORDER => json!({ "order_id": id, "optional_fields": FIELDS, "source_id": "JOS" }),
            _ => {
                let mut business = self.operator();
                business["serviceId"] = id.into();
                business["pageNumber"] = "1".into();
                business["pageSize"] = "1".into();
                business
            }
        };
        self.call(kind, &tokens.access, at, &business)
    }

    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure> {
        let kind = kind(want.method());
        let mut body = wrapped(answer, kind)?;
        if let Some(Value::Object(result)) = body.get("pageResult") {
            judged(result)?;
        }
        // How an order stands in its answer is not published: it is the object that has its number.
        let name = if kind == ORDER { "orderId" } else { "serviceId" };
        let (row, said) = find(&mut body, name, DEEP);
        if let Some(said) = said {
            judged(&Map::from_iter([("apiResult".to_owned(), said)]))?;
        }
        let row = row.map_or(Value::Null, Value::Object);
        let at = answer.date.unwrap_or(want.modified).max(want.modified);
        let (items, rejects) = rows(&[row], |row| {
            let item = if kind == ORDER { self.order(row)? } else { self.aftersale(row, at)? };
            match want.ids.get(1) == Some(&item.id) {
                true => Ok(item),
                false => Err(format!("{name} is not the one that was asked for")),
            }
        });
        match rejects.is_empty() {
            true => Ok(Page { items, rejects, facts: Facts::default() }),
            false => Err(Failure::new(Class::Malformed, "no_case")),
        }
    }

    fn looks(&self, case: &OpenCase) -> Vec<Want> {
        let word = match case.kind.as_str() {
            "order" => "order",
            "aftersale" if self.config.operate_pin.is_some() => "aftersale",
            _ => return Vec::new(),
        };
        vec![Want { ids: vec![word.to_owned(), case.id.clone()], modified: case.since }]
    }

    fn method(&self, word: &str) -> String {
        kind(word).to_owned()
    }

    fn renew(&self, tokens: &Tokens, _: Instant) -> Option<Request> {
        let refresh = tokens.refresh.as_ref()?;
        let query: Params = [
            ("app_key", self.config.app_key.as_str()),
            ("app_secret", self.secret.reveal()),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.reveal()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let signed = Signed { query, body: Body::Form(Params::new()) };
        Some(Request { url: self.oauth.clone(), signed, headers: Vec::new() })
    }

    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let Value::Object(body) = answer.json()? else {
            return Err(Failure::new(Class::Malformed, "not_an_object"));
        };
        let token = |name: &str| match body.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        let Some(access) = token("access_token") else {
            if let Some(refused) = answer.refused() {
                return Err(refused);
            }
            // Its own way to say no: {code, msg, requestId}. Whatever it is, the merchant has to authorise again.
            return Err(match Fields(&body).id("code").ok().flatten() {
                Some(code) => Failure::new(Class::Revoked, code),
                None => Failure::new(Class::Malformed, "no_tokens"),
            });
        };
        let after = Fields(&body).int("expires_in").ok().flatten().filter(|s| *s > 0);
        Ok(Tokens {
            access,
            refresh: token("refresh_token"),
            access_until: after.map(|s| at + Span::from_secs(s.min(400 * 86_400))),
            refresh_until: None,
        })
    }
}

#[cfg(test)]
mod tests;
