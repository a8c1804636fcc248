//! Kuaidi100 (快递100): queries, subscriptions and pushes of parcels (`logistics` 3.1).
//!
//! Every value is a text there, numbers too. Of a scan only its instant, its code and its place are kept; the text, which
//! calls people by name and number, is read where the code says less, and dropped here.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::parcels;
use crate::core::ids::Secret;
use crate::core::model::hash64;
use crate::core::parcel::Milestone;
use crate::core::parcel::evidence::masked;
use crate::core::parcel::fold::{Scan, Whole, successor};
use crate::core::parcel::lexicon::Lexicon;
use crate::core::parcel::sense::Sense;
use crate::core::parcel::vendor::{StatusFlag, Vendor};
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::config::SourceFault;
use crate::sources::form;
use crate::sources::http::{Answer, Request};
use crate::sources::loose::Fields;
use crate::sources::parcels::courier::{On, Pushed, Refusal, Submitted, Trouble, Whose};
use crate::sources::parcels::{Courier, Hook, Number, State, Trace};
use crate::sources::platform::Reject;
use crate::sources::poll::{Class, Failure};
use crate::sources::row::{digest, endpoint, need};
use crate::sources::sign::{Body, Params, Signed, kuaidi100 as sign, same};
use crate::wire::secret::Pick;

/// Where the interfaces are.
pub const GATEWAY: &str = "https://poll.kuaidi100.com";
/// What its codes mean.
const STATUSES: &str = "builtin:parcels/vendors/kuaidi100.toml";
/// More events of one parcel are a mistake: the rest is counted.
const MOST_EVENTS: usize = 500;
/// So much of a text is read, in characters.
const LONGEST_TEXT: usize = 500;
/// The longest name of a place that is kept, in characters.
const LONGEST_PLACE: usize = 40;

/// `[couriers.NAME.kuaidi100]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kuaidi100Config {
    /// Where requests go.
    pub gateway: String,
    /// The account's `customer`.
    pub customer: String,
    /// A file that holds the account's key …
    pub key_file: Option<String>,
    /// … or a variable of the environment …
    pub key_env: Option<String>,
    /// … or a credential of systemd.
    pub key_credential: Option<String>,
    /// The last four digits of the shop's own phone number, by the vendor's code of the carrier: some carriers show a
    /// parcel only to who knows one of the two. `{ shunfeng = "1234" }`.
    pub phones: BTreeMap<String, String>,
    /// A file with codes of your own; it goes on from the program's by
    /// `include = ["builtin:parcels/vendors/kuaidi100.toml"]`.
    pub statuses: Option<String>,
    /// A file with words of your own, for what texts say; it goes on from the program's by
    /// `include = ["builtin:parcels/lexicon.toml"]`.
    pub lexicon: Option<String>,
    /// The least time between two queries.
    pub query_gap: Span,
    /// The least time between two subscriptions.
    pub subscribe_gap: Span,
}

impl Default for Kuaidi100Config {
    fn default() -> Kuaidi100Config {
        Kuaidi100Config {
            gateway: GATEWAY.to_owned(),
            customer: String::new(),
            key_file: None,
            key_env: None,
            key_credential: None,
            phones: BTreeMap::new(),
            statuses: None,
            lexicon: None,
            query_gap: Span::from_millis(1050),
            subscribe_gap: Span::from_millis(55),
        }
    }
}

impl Kuaidi100Config {
    fn key(&self) -> Pick<'_> {
        Pick {
            base: "key",
            file: &self.key_file,
            env: &self.key_env,
            credential: &self.key_credential,
            inline: None,
        }
    }

    /// Notes everything that is wrong in it.
    pub fn check(&self, problems: &mut Problems) {
        if self.customer.is_empty() {
            problems.within("customer", |p| p.error("is missing, expected the customer of your account"));
        }
        if let Err(reason) = endpoint(&self.gateway, GATEWAY) {
            problems.within("gateway", |p| p.error(reason));
        }
        for (key, span) in [("query_gap", self.query_gap), ("subscribe_gap", self.subscribe_gap)] {
            if span.is_zero() || span > Span::from_secs(30) {
                problems.within(key, |p| p.error(format!("found {span}, expected 1ms to 30s")));
            }
        }
        problems.within("phones", |problems| {
            for (carrier, phone) in &self.phones {
                let digits = phone.bytes().all(|b| b.is_ascii_digit());
                if !digits || !matches!(phone.len(), 4 | 11) {
                    problems
                        .within(carrier.as_str(), |p| p.error("is no phone, expected its last four digits"));
                }
            }
        });
        self.key().check(problems);
        if !self.key().is_given() {
            problems.error("has no key_file, key_env or key_credential");
        }
    }

    /// The paths in it.
    pub fn paths(&mut self) -> Vec<&mut Option<String>> {
        vec![&mut self.key_file, &mut self.statuses, &mut self.lexicon]
    }

    /// The account.
    ///
    /// # Errors
    /// A secret that cannot be read, a gateway that is no place to send it to.
    pub fn courier(&self, env: &BTreeMap<String, String>) -> Result<Arc<dyn Courier>, SourceFault> {
        let missing = || SourceFault::Setting("has no key".to_owned());
        let key = self.key().read(env)?.ok_or_else(missing)?;
        Ok(Arc::new(Kuaidi100::new(self, key).map_err(SourceFault::Setting)?))
    }
}

/// An account at Kuaidi100.
pub struct Kuaidi100 {
    customer: String,
    key: Secret,
    query: Url,
    subscribe: Url,
    phones: BTreeMap<String, String>,
    statuses: Vendor,
    lexicon: Arc<Lexicon>,
}

impl std::fmt::Debug for Kuaidi100 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kuaidi100").finish_non_exhaustive()
    }
}

impl Kuaidi100 {
    /// An account.
    ///
    /// # Errors
    /// The gateway is no place to send a key to; the file of statuses is refused.
    pub fn new(config: &Kuaidi100Config, key: Secret) -> Result<Kuaidi100, String> {
        let gateway = endpoint(&config.gateway, GATEWAY).map_err(|e| format!("gateway: {e}"))?;
        let at = |path: &str| gateway.join(path).map_err(|e| format!("gateway: {e}"));
        let statuses = config.statuses.as_deref().unwrap_or(STATUSES);
        let statuses = parcels::vendor(statuses.as_ref()).map_err(|report| format!("statuses: {report}"))?;
        let lexicon = config.lexicon.as_deref().unwrap_or(parcels::LEXICON);
        let lexicon = parcels::shared(lexicon.as_ref()).map_err(|report| format!("lexicon: {report}"))?;
        Ok(Kuaidi100 {
            customer: config.customer.clone(),
            key,
            query: at("/poll/query.do")?,
            subscribe: at("/poll")?,
            phones: config.phones.clone(),
            statuses,
            lexicon,
        })
    }

    fn reader(&self) -> Reader<'_> {
        Reader { statuses: &self.statuses, lexicon: &self.lexicon }
    }
}

/// A code as a word of digits; other writing says nothing.
fn code_of(fields: Fields<'_>, name: &str) -> Option<String> {
    let code = fields.id(name).ok().flatten()?;
    (code.len() <= 8 && code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
}

/// What an account reads answers by.
struct Reader<'a> {
    statuses: &'a Vendor,
    lexicon: &'a Lexicon,
}

impl Reader<'_> {
    /// One row; whether its code is in the table goes into `unknown`. Its text is read where the code says less, and
    /// is not kept.
    fn scan(&self, row: &Value, unknown: &mut usize) -> Result<Scan, String> {
        let row = row.as_object().ok_or("is not an object")?;
        let fields = Fields(row);
        let at = match fields.time("ftime") {
            Ok(Some(at)) => at,
            _ => need("time", fields.time("time"))?,
        };
        let code = code_of(fields, "statusCode");
        let means = code.as_deref().and_then(|code| self.statuses.meaning("", code));
        *unknown += usize::from(code.is_some() && means.is_none());
        let place = ["areaName", "location"].into_iter().find_map(|name| place_of(row.get(name)?.as_str()?));
        let text = row.get("context").and_then(Value::as_str).unwrap_or_default();
        let text: String = text.chars().take(LONGEST_TEXT).collect();
        let reading = self.lexicon.read(&text);
        let sense = Sense::of(means.map(|m| &**m), &reading);
        Ok(Scan {
            exception: sense.exception,
            clears: sense.clears,
            text: hash64(text.as_bytes()),
            words: sense.exception.map(|_| masked(&text).into()),
            place: place.map(Into::into),
            claimed: sense.claimed,
            proxy: sense.proxy,
            sender_side: sense.sender_side,
            forward_no: successor(&text).map(Into::into),
            code: code.map(Into::into),
            ..Scan::new(at, sense.milestone)
        })
    }
}

/// A place, in plain letters; what has digits may be somebody's number.
fn place_of(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty()
        && text.chars().count() <= LONGEST_PLACE
        && !text.chars().any(|c| c.is_control() || c.is_numeric());
    fits.then(|| text.to_owned())
}

/// The list of one parcel: `lastResult` of a push, or the whole answer of a query.
fn trace(body: &Map<String, Value>, reader: &Reader<'_>) -> Result<Trace, Failure> {
    let mut trace = Trace::default();
    let list = match body.get("data") {
        Some(Value::Array(list)) => list.as_slice(),
        // No list at all where nothing is known yet.
        None | Some(Value::Null) => &[],
        Some(_) => return Err(Failure::new(Class::Malformed, "no_list")),
    };
    trace.rows = list.len();
    for row in list.iter().take(MOST_EVENTS) {
        match reader.scan(row, &mut trace.unknown) {
            Ok(scan) => trace.scans.push(scan),
            Err(reason) => trace.rejects.push(Reject { digest: digest(row), reason }),
        }
    }
    if let Some(row) = list.get(MOST_EVENTS) {
        trace.rejects.push(Reject { digest: digest(row), reason: format!("is beyond {MOST_EVENTS} events") });
    }
    if let Some(code) = code_of(Fields(body), "state") {
        let means = reader.statuses.meaning("", &code);
        trace.unknown += usize::from(means.is_none());
        // Nothing happened yet: a state alone says nothing.
        trace.state = means.filter(|_| !trace.scans.is_empty()).map(|means| State {
            code,
            hint: means.hint.clone(),
            whole: Whole {
                milestone: means.milestone.unwrap_or(Milestone::Unknown),
                exception: means.exception,
                claimed: means.has(StatusFlag::ClaimedDelivered),
                proxy: means.has(StatusFlag::Proxy),
                covers: means.covers.clone(),
            },
        });
    }
    trace.to = body.get("routeInfo").and_then(|r| place_of(r.get("to")?.get("name")?.as_str()?));
    Ok(trace)
}

/// What a refusal of a query means (`logistics` 3.1).
fn refused_query(code: &str) -> Trouble {
    let (class, of) = match code {
        "400" | "408" => (Class::Parameter, Whose::Number),
        "501" | "502" => (Class::Transient, Whose::Account),
        "503" => (Class::Signature, Whose::Account),
        "601" => (Class::Quota, Whose::Account),
        _ => (Class::Unseen, Whose::Account),
    };
    Trouble { failure: Failure::new(class, code), of }
}

/// What a refusal of a subscription means.
fn refused_subscribe(code: &str) -> Trouble {
    let (class, of) = match code {
        "500" => (Class::Transient, Whose::Account),
        "600" => (Class::Permission, Whose::Account),
        "601" => (Class::Quota, Whose::Account),
        "700" | "701" | "702" => (Class::Parameter, Whose::Number),
        _ => (Class::Unseen, Whose::Account),
    };
    Trouble { failure: Failure::new(class, code), of }
}

/// The body of an answer.
fn body(answer: &Answer) -> Result<Map<String, Value>, Trouble> {
    match answer.json() {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Failure::new(Class::Malformed, "not_an_object").into()),
        Err(failure) => Err(failure.into()),
    }
}

impl Courier for Kuaidi100 {
    fn query(&self, number: &Number) -> Request {
        let mut param = json!({ "com": number.carrier(), "num": number.waybill(), "resultv2": "6", "show": "0",
                                "order": "desc" });
        if let Some(phone) = self.phones.get(number.carrier()) {
            param["phone"] = phone.clone().into();
        }
        let signed = sign::query(&self.customer, &self.key, param.to_string());
        Request { url: self.query.clone(), signed, headers: Vec::new() }
    }

    fn read_query(&self, number: &Number, answer: &Answer) -> Result<Trace, Trouble> {
        let body = body(answer)?;
        let fields = Fields(&body);
        if let Some(code) = fields.id("returnCode").ok().flatten() {
            return match code.as_str() {
                "200" => trace(&body, &self.reader()).map_err(Trouble::from),
                // Nothing yet; or a wrong carrier, which looks the same.
                "500" => Ok(Trace::default()),
                code => {
                    let trouble = refused_query(code);
                    let wait = answer.retry_after;
                    Err(Trouble { failure: Failure { wait, ..trouble.failure }, ..trouble })
                }
            };
        }
        match fields.id("status").ok().flatten().as_deref() {
            Some("200") => {}
            // Older answers: no such number, or none any more.
            Some("201" | "500") => return Ok(Trace::default()),
            Some(code) => return Err(refused_query(code)),
            None => {
                let nothing = Failure::new(Class::Malformed, "no_status");
                return Err(answer.refused().unwrap_or(nothing).into());
            }
        }
        let told = fields.id("nu").ok().flatten();
        if told.is_some_and(|told| !told.eq_ignore_ascii_case(number.waybill())) {
            let failure = Failure::new(Class::Malformed, "other_number");
            return Err(Trouble { failure, of: Whose::Number });
        }
        trace(&body, &self.reader()).map_err(Trouble::from)
    }

    fn subscribe(&self, number: &Number, hook: &Hook) -> Request {
        let mut parameters = json!({ "callbackurl": hook.url, "salt": hook.salt.reveal(), "resultv2": "6",
                                     "autoCom": "0" });
        if let Some(phone) = self.phones.get(number.carrier()) {
            parameters["phone"] = phone.clone().into();
        }
        let param = json!({ "company": number.carrier(), "number": number.waybill(), "key": self.key.reveal(),
                            "parameters": parameters });
        let form = [("schema", "json".to_owned()), ("param", param.to_string())];
        let form = form.map(|(name, value)| (name.to_owned(), value)).into();
        let signed = Signed { query: Params::new(), body: Body::Form(form) };
        Request { url: self.subscribe.clone(), signed, headers: Vec::new() }
    }

    fn read_subscribe(&self, answer: &Answer) -> Result<Submitted, Trouble> {
        let body = body(answer)?;
        match Fields(&body).id("returnCode").ok().flatten().as_deref() {
            Some("200") => Ok(Submitted::Taken),
            Some("501") => Ok(Submitted::Already),
            Some(code) => Err(refused_subscribe(code)),
            None => {
                let nothing = Failure::new(Class::Malformed, "no_code");
                Err(answer.refused().unwrap_or(nothing).into())
            }
        }
    }

    fn read_push(&self, number: &Number, body: &[u8], salt: &Secret) -> Result<Pushed, Refusal> {
        let (mut param, mut signature) = (None, None);
        let fields = form::fields(body).ok_or(Refusal::Malformed("the body is no form"))?;
        for (name, value) in fields {
            match name.as_str() {
                "param" => param = param.or(Some(value)),
                "sign" => signature = signature.or(Some(value)),
                _ => {}
            }
        }
        let param = param.ok_or(Refusal::Malformed("the field param is missing"))?;
        // Over the very text that came, before a letter of it is read (Q35).
        if !same(&signature.ok_or(Refusal::Signature)?, &sign::callback(&param, salt)) {
            return Err(Refusal::Signature);
        }
        let param: Map<String, Value> =
            serde_json::from_str(&param).map_err(|_| Refusal::Malformed("param is no JSON object"))?;
        let status = param.get("status").and_then(Value::as_str).unwrap_or_default();
        let corrected = param.get("comNew").and_then(Value::as_str).is_some_and(|c| !c.is_empty());
        let on = match status {
            "polling" | "updateall" => On::Yes,
            "shutdown" => On::Shutdown,
            "abort" if corrected => On::Corrected,
            "abort" => On::Abort,
            _ => return Err(Refusal::Malformed("status is none that is known")),
        };
        let mut said = Trace::default();
        for name in ["lastResult", "destResult"] {
            let Some(result) = param.get(name).and_then(Value::as_object) else { continue };
            let told = Fields(result).id("nu").ok().flatten();
            if name == "lastResult" && told.is_some_and(|told| !told.eq_ignore_ascii_case(number.waybill())) {
                return Err(Refusal::Other);
            }
            let part = trace(result, &self.reader()).map_err(|_| Refusal::Malformed("data is no list"))?;
            said.scans.extend(part.scans);
            said.rejects.extend(part.rejects);
            said.rows += part.rows;
            said.state = said.state.or(part.state);
            said.to = part.to.or(said.to);
        }
        Ok(Pushed { trace: said, on })
    }

    fn thanks(&self, taken: Result<(), &str>) -> String {
        match taken {
            Ok(()) => json!({ "result": true, "returnCode": "200", "message": "成功" }).to_string(),
            Err(reason) => json!({ "result": false, "returnCode": "500", "message": reason }).to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
