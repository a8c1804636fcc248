//! A simulated Kuaidi100 and the parcels behind it (`logistics` 3.1, 8, 9): strict about signatures, phones, quotas and
//! how often one number is asked for; it pushes late, twice, and in the wrong order.

mod fleet;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::gateway::JSON;
use super::{Asked, Reply, Simulated};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;
use crate::sources::form;
use crate::sources::sign::{Body, beijing, kuaidi100 as sign, same};

pub use fleet::{Fleet, Parcel, Scan};

/// How badly it behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// In so many of a thousand requests something goes wrong.
    pub trouble: u16,
    /// From and up to when nothing is answered.
    pub outages: Vec<(Instant, Instant)>,
    /// Calls that were paid for; 0 for no limit.
    pub quota: u64,
    /// In so many of a hundred pushes something is late, old or said twice.
    pub unruly: u8,
}

/// A subscription.
#[derive(Clone, Debug)]
struct Subscription {
    url: String,
    salt: Secret,
    /// How often it was submitted, and when.
    submits: Vec<Instant>,
    /// How many scans the last push showed.
    shown: usize,
    /// It has ended.
    over: bool,
}

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// The form.
    pub body: String,
    /// The parcel.
    pub number: String,
    /// The last one of its subscription.
    pub is_last: bool,
    tries: u8,
}

/// The aggregator.
#[derive(Debug)]
pub struct Kuaidi100 {
    customer: String,
    key: Secret,
    manners: Manners,
    dice: Dice,
    /// The parcels.
    pub fleet: Fleet,
    /// Queries of each number.
    pub queries: BTreeMap<String, Vec<Instant>>,
    /// Numbers that were asked for too often.
    pub locked: BTreeSet<String>,
    /// Requests that came nearer to the one before than is allowed.
    pub too_fast: u64,
    /// Calls that were paid for.
    pub calls: u64,
    /// Refusals, by code.
    pub refusals: BTreeMap<String, u64>,
    /// Pushes that were given up.
    pub lost: u64,
    subscriptions: BTreeMap<String, Subscription>,
    outgoing: BTreeMap<(Instant, u64), Outgoing>,
    planned: u64,
    last: BTreeMap<&'static str, Instant>,
}

/// A push that nobody takes is said again so much later, three times.
const AGAIN: Span = Span::from_minutes(30);
const TRIES: u8 = 3;

impl Kuaidi100 {
    /// An aggregator with one account, and these parcels.
    pub fn new(customer: &str, key: &str, seed: u64, manners: Manners, fleet: Fleet) -> Kuaidi100 {
        Kuaidi100 {
            customer: customer.to_owned(),
            key: Secret::new(key),
            manners,
            dice: Dice::new(seed ^ 0x100),
            fleet,
            queries: BTreeMap::new(),
            locked: BTreeSet::new(),
            too_fast: 0,
            calls: 0,
            refusals: BTreeMap::new(),
            lost: 0,
            subscriptions: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            planned: 0,
            last: BTreeMap::new(),
        }
    }

    fn refuse(&mut self, code: &str, message: &str) -> Value {
        *self.refusals.entry(code.to_owned()).or_default() += 1;
        json!({ "result": false, "returnCode": code, "message": message })
    }

    /// Whether this request is nearer to the last of its kind than is allowed.
    fn hurries(&mut self, what: &'static str, gap: Span, now: Instant) -> bool {
        let hurries = self.last.get(what).is_some_and(|last| now.since(*last) < gap);
        self.last.insert(what, now);
        self.too_fast += u64::from(hurries);
        hurries
    }

    fn call(&mut self, asked: &Asked, now: Instant) -> Value {
        let Some(fields) = form::fields(&asked.body) else {
            return self.refuse("400", "提交的数据不完整");
        };
        let fields: BTreeMap<String, String> = fields.into_iter().collect();
        let is_form = asked
            .headers
            .get("content-type")
            .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        if asked.method != "POST" || !is_form {
            return self.refuse("400", "提交的数据不完整");
        }
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let param = text("param");
        let read = serde_json::from_str::<Map<String, Value>>(&param).ok();
        match asked.path.as_str() {
            "/poll/query.do" => {
                if text("customer") != self.customer {
                    return self.refuse("601", "POLL:KEY已过期");
                }
                let Body::Form(right) = sign::query(&self.customer, &self.key, param).body else {
                    return self.refuse("503", "验证签名失败");
                };
                if !right.get("sign").is_some_and(|sign| same(sign, &text("sign"))) {
                    return self.refuse("503", "验证签名失败");
                }
                match read {
                    Some(param) => self.query(&param, now),
                    None => self.refuse("400", "提交的数据不完整"),
                }
            }
            "/poll" if text("schema") == "json" => match read {
                Some(param) => self.subscribe(&param, now),
                None => self.refuse("700", "提交的数据不完整"),
            },
            _ => self.refuse("400", "提交的数据不完整"),
        }
    }

    /// The parcel that is meant, or the refusal.
    fn meant(
        &mut self,
        param: &Map<String, Value>,
        names: [&str; 2],
        phone: &str,
    ) -> Result<String, &'static str> {
        let text = |name: &str| param.get(name).and_then(Value::as_str).unwrap_or_default();
        let (carrier, number) = (text(names[0]), text(names[1]));
        if carrier.is_empty()
            || carrier.chars().any(|c| c.is_ascii_uppercase())
            || !(6..=32).contains(&number.len())
        {
            return Err("400");
        }
        // Shown only to who knows a phone number of it.
        let wants = matches!(carrier, "shunfeng" | "zhongtong");
        if wants && !(phone.ends_with(fleet::PHONE) && matches!(phone.len(), 4 | 11)) {
            return Err("408");
        }
        Ok(format!("{carrier}:{number}"))
    }

    fn query(&mut self, param: &Map<String, Value>, now: Instant) -> Value {
        if self.hurries("query", Span::from_secs(1), now) {
            return self.refuse("502", "服务器繁忙");
        }
        let phone = param.get("phone").and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = match self.meant(param, ["com", "num"], &phone) {
            Ok(number) => number,
            Err(code) => return self.refuse(code, "参数错误"),
        };
        self.calls += 1;
        if self.manners.quota > 0 && self.calls > self.manners.quota {
            return self.refuse("601", "POLL:单量不足");
        }
        let asked = self.queries.entry(number.clone()).or_default();
        asked.push(now);
        // The lock: more than 48 in 24 hours.
        if asked.iter().filter(|at| now.since(**at) < Span::DAY).count() > 48 {
            self.locked.insert(number.clone());
        }
        let advanced = param.get("resultv2").and_then(Value::as_str) == Some("6");
        let told = self.fleet.parcels.get(&number).map(|parcel| parcel.shown(now)).unwrap_or_default();
        if told.is_empty() {
            return self.refuse("500", "查询无结果，请隔段时间再查");
        }
        self.result(&number, &told, advanced)
    }

    /// The list of a parcel, the newest scan first.
    fn result(&mut self, number: &str, scans: &[Scan], advanced: bool) -> Value {
        let (carrier, waybill) = number.split_once(':').unwrap_or_default();
        let mut scans = scans.to_vec();
        scans.sort_by_key(|scan| std::cmp::Reverse((scan.at, scan.step)));
        let rows: Vec<Value> = scans
            .iter()
            .map(|scan| {
                let mut row = json!({ "time": beijing(scan.at), "ftime": beijing(scan.at), "context": scan.text,
                                      "location": "", "status": "在途" });
                if advanced {
                    row["statusCode"] = scan.code.into();
                    row["areaName"] = scan.place.into();
                }
                row
            })
            .collect();
        // A scan that is dated after the signature changes nothing of the whole.
        let early = |scan: &&Scan| !(scan.code == "1002" && scan.status == "delivered");
        let code = scans.iter().find(early).map_or("0", |scan| scan.code);
        // Some answers have the short code only.
        let bare = self.dice.chance(20) && !matches!(code, "14" | "401");
        let state = if bare { fleet::bare(code) } else { code };
        json!({ "message": "ok", "nu": waybill, "ischeck": "0", "com": carrier, "status": "200", "state": state,
                "condition": "F00", "data": rows })
    }

    fn subscribe(&mut self, param: &Map<String, Value>, now: Instant) -> Value {
        if self.hurries("subscribe", Span::from_millis(50), now) {
            return self.refuse("500", "服务器错误");
        }
        if param.get("key").and_then(Value::as_str) != Some(self.key.reveal()) {
            return self.refuse("600", "您不是合法的订阅者");
        }
        let empty = Map::new();
        let parameters = param.get("parameters").and_then(Value::as_object).unwrap_or(&empty).clone();
        let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = match self.meant(param, ["company", "number"], &text("phone")) {
            Ok(number) => number,
            Err(_) => return self.refuse("701", "拒绝订阅的快递公司"),
        };
        if !text("callbackurl").starts_with("http") || text("salt").is_empty() {
            return self.refuse("700", "订阅方的订阅数据存在错误");
        }
        self.calls += 1;
        let fresh = || Subscription {
            url: text("callbackurl"),
            salt: Secret::new(text("salt")),
            submits: Vec::new(),
            shown: 0,
            over: false,
        };
        let known = self.subscriptions.entry(number).or_insert_with(fresh);
        known.submits.retain(|at| now.since(*at) < Span::DAY.times(30));
        known.submits.push(now);
        if known.submits.len() > 4 {
            return self.refuse("700", "同一单号订阅次数超过限制");
        }
        if known.submits.len() > 1 && !known.over {
            return self.refuse("501", "重复订阅");
        }
        (known.over, known.shown) = (false, 0);
        json!({ "result": true, "returnCode": "200", "message": "提交成功" })
    }

    /// How often a parcel was subscribed.
    pub fn submits(&self) -> usize {
        self.subscriptions.values().map(|s| s.submits.len()).sum()
    }

    /// The pushes that leave now, as they are signed.
    pub fn pushes(&mut self, now: Instant) -> Vec<Outgoing> {
        let numbers: Vec<String> =
            self.subscriptions.iter().filter(|(_, s)| !s.over).map(|(number, _)| number.clone()).collect();
        for number in numbers {
            self.tell(&number, now);
        }
        let mut leaving = Vec::new();
        while let Some(entry) = self.outgoing.first_entry().filter(|e| e.key().0 <= now) {
            leaving.push(entry.remove());
        }
        leaving
    }

    /// Plans a push, if there is something new to say of a parcel.
    fn tell(&mut self, number: &str, now: Instant) {
        let Some(parcel) = self.fleet.parcels.get(number) else { return };
        let told = parcel.shown(now);
        let done = parcel.is_done(now);
        let Some(known) = self.subscriptions.get(number) else { return };
        let begun = known.submits.last().copied().unwrap_or(now);
        let given_up = told.is_empty() && now.since(begun) > Span::DAY.times(3);
        if told.len() <= known.shown && !(given_up || done) {
            return;
        }
        let status = match (done, given_up) {
            (true, _) => "shutdown",
            (_, true) => "abort",
            _ => "polling",
        };
        let unruly = self.dice.chance(self.manners.unruly);
        let late = if unruly { self.dice.span(60, 7200) } else { self.dice.span(1, 60) };
        if let Some(known) = self.subscriptions.get_mut(number) {
            (known.shown, known.over) = (told.len(), status != "polling");
        }
        self.push(number, status, &told, now + late);
        if unruly && told.len() > 1 {
            // What was said before is said again, later than what came after it.
            let old = told[..told.len() - 1].to_vec();
            let later = now + late + self.dice.span(30, 3600);
            self.push(number, "polling", &old, later);
        }
        if unruly && self.dice.chance(50) {
            self.push(number, status, &told, now + late + Span::from_secs(7));
        }
    }

    fn push(&mut self, number: &str, status: &str, scans: &[Scan], at: Instant) {
        let result = self.result(number, scans, true);
        let param =
            json!({ "status": status, "billstatus": "got", "message": "", "autoCheck": "0", "comOld": "",
                            "comNew": "", "lastResult": result })
            .to_string();
        let Some(known) = self.subscriptions.get(number) else { return };
        let signed = sign::callback(&param, &known.salt);
        let body = form::pack([("sign", signed.as_str()), ("param", param.as_str())]);
        let outgoing = Outgoing {
            url: known.url.clone(),
            body,
            number: number.to_owned(),
            is_last: status != "polling",
            tries: 0,
        };
        self.later(outgoing, at);
    }

    fn later(&mut self, outgoing: Outgoing, at: Instant) {
        self.planned += 1;
        self.outgoing.insert((at, self.planned), outgoing);
    }

    /// A push was not taken: it is said again, three times.
    pub fn not_taken(&mut self, outgoing: Outgoing, now: Instant) {
        let tries = outgoing.tries + 1;
        if tries > TRIES {
            self.lost += 1;
            return;
        }
        self.later(Outgoing { tries, ..outgoing }, now + AGAIN);
    }
}

impl Simulated for Kuaidi100 {
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply {
        let reply =
            |status, content_type, body| Reply { status, content_type, body, date: now, dropped: false };
        if self.manners.outages.iter().any(|(from, to)| *from <= now && now < *to) {
            return match self.dice.below(3) {
                0 => Reply { dropped: true, ..reply(0, JSON, Vec::new()) },
                1 => reply(502, "text/html", b"<html><body>502 Bad Gateway</body></html>".to_vec()),
                _ => reply(200, JSON, self.refuse("501", "服务器错误").to_string().into_bytes()),
            };
        }
        let told = self.call(asked, now).to_string().into_bytes();
        if self.dice.below(1000) >= usize::from(self.manners.trouble) {
            return reply(200, JSON, told);
        }
        match self.dice.below(4) {
            0 => reply(200, JSON, self.refuse("502", "服务器繁忙").to_string().into_bytes()),
            1 => reply(502, "text/html", b"<html></html>".to_vec()),
            2 => Reply { dropped: true, ..reply(0, JSON, Vec::new()) },
            // Taken, paid for, and cut on the way back.
            _ => reply(200, JSON, told[..told.len() / 2].to_vec()),
        }
    }
}
