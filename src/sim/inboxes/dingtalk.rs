//! DingTalk (`apis/channels` 3, 4): a robot in a group, and an application that writes to persons.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::window::{Limits, limit};
use super::{
    Answer, Button, FORBIDDEN, Form, HOOK, Inbox, Pass, Passes, SECRET, Serial, Shown, Strike, Taken,
    document, header, is_gone, parameter, secs, text,
};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// What a robot is muted for.
const MUTE: Span = Span::from_minutes(10);
/// What a request to a robot may be long.
const BODY: usize = 20_000;

/// A robot in a group.
#[derive(Debug)]
pub(super) struct Robot {
    minute: Limits,
    muted_until: Option<Instant>,
    known: BTreeSet<String>,
    ids: Serial,
}

impl Robot {
    pub(super) fn new() -> Robot {
        Robot {
            minute: Limits::new(&[limit(20, Span::MINUTE)]),
            muted_until: None,
            known: BTreeSet::new(),
            ids: Serial::default(),
        }
    }
}

fn says(code: i64, message: &str) -> Taken {
    Answer::json(200, &json!({ "errcode": code, "errmsg": message })).into()
}

/// Base64 of HMAC-SHA256 by the secret, over `timestamp`, a line break and the secret.
fn is_signed(asked: &Asked, now: Instant) -> Result<(), &'static str> {
    let at = parameter(asked, "timestamp");
    let Ok(millis) = at.parse::<i64>() else {
        return Err(
            "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内;invalid timestamp",
        );
    };
    if (now.as_millis() - millis).abs() > 3_600_000 {
        return Err("invalid timestamp");
    }
    let right = sign::base64(&sign::hmac_sha256(SECRET.as_bytes(), format!("{at}\n{SECRET}").as_bytes()));
    if right == parameter(asked, "sign") { Ok(()) } else { Err("sign not match") }
}

impl Inbox for Robot {
    fn crowd(&mut self) {
        self.minute.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if asked.method != "POST" {
            return says(43002, "require POST method");
        }
        if asked.path != "/robot/send" || parameter(asked, "access_token") != HOOK {
            return says(300_005, "token is not exist");
        }
        if asked.body.len() > BODY {
            return says(460_101, "message too long, exceed 20000 bytes");
        }
        let Some(body) = document(asked) else { return says(43004, "require json content type") };
        if let Err(why) = is_signed(asked, now) {
            return says(310_000, why);
        }
        if self.muted_until.is_some_and(|until| now < until) {
            return says(410_100, "发送速度太快而限流").struck(Strike::Muted);
        }
        let id = text(&body, "msgUuid");
        if !id.is_empty() && self.known.contains(id) {
            return says(0, "ok").struck(Strike::Known);
        }
        let shown = match drawn(&body, self.ids.next("dr")) {
            Ok(shown) => shown,
            Err((code, why)) => return says(code, &why),
        };
        if self.minute.take("", now).is_err() {
            self.muted_until = Some(now + MUTE);
            return says(130_101, "send too fast, exceed 20 times per minute").struck(Strike::Muted);
        }
        if shown.text.contains(FORBIDDEN) {
            return says(430_102, "contains inappropriate content");
        }
        if !id.is_empty() {
            self.known.insert(id.to_owned());
        }
        says(0, "ok").shown(shown)
    }
}

/// The message in a body, or what is wrong with it.
fn drawn(body: &Value, id: String) -> Result<Shown, (i64, String)> {
    let missing = |name: &str| (40_035, format!("缺少参数 {name}"));
    let need = |of: &Value, name: &str| match text(of, name) {
        "" => Err(missing(name)),
        found => Ok(found.to_owned()),
    };
    let kind = text(body, "msgtype");
    let inner = body.get(kind).cloned().unwrap_or(Value::Null);
    let mut shown = match kind {
        "text" => Shown::new(id, "", Form::Text, "", &need(&inner, "content")?),
        "markdown" => Shown::new(id, "", Form::Markdown, &need(&inner, "title")?, &need(&inner, "text")?),
        "actionCard" => {
            let mut card = Shown::new(id, "", Form::Card, &need(&inner, "title")?, &need(&inner, "text")?);
            let several = inner.get("btns").and_then(Value::as_array);
            for button in several.into_iter().flatten() {
                let (label, url) = (need(button, "title")?, need(button, "actionURL")?);
                card.buttons.push(Button { label, url, value: None });
            }
            if several.is_none() {
                let (label, url) = (need(&inner, "singleTitle")?, need(&inner, "singleURL")?);
                card.buttons.push(Button { label, url, value: None });
            }
            card
        }
        "link" | "feedCard" => {
            return Err((400_105, "不支持的消息类型: the simulation draws no such message".to_owned()));
        }
        _ => return Err((400_105, "不支持的消息类型".to_owned())),
    };
    let at = body.get("at").cloned().unwrap_or_default();
    for name in ["atMobiles", "atUserIds"] {
        let list = at.get(name).and_then(Value::as_array);
        for who in list.into_iter().flatten().filter_map(Value::as_str) {
            // Without `@who` in the text nobody is called.
            if shown.text.contains(&format!("@{who}")) {
                shown.calls.push(who.to_owned());
            }
        }
    }
    if at.get("isAtAll") == Some(&Value::Bool(true)) {
        shown.calls.push("all".to_owned());
    }
    Ok(shown)
}

/// An application.
#[derive(Debug)]
pub(super) struct App {
    passes: Passes,
    person: Limits,
    second: Limits,
    ids: Serial,
}

impl App {
    pub(super) fn new() -> App {
        App {
            passes: Passes::default(),
            // How many to one person a minute is written nowhere: as WeCom has it.
            person: Limits::new(&[limit(30, Span::MINUTE)]),
            second: Limits::new(&[limit(40, secs(1))]),
            ids: Serial::default(),
        }
    }

    fn persons(&mut self, body: &Value, now: Instant) -> Taken {
        let users: Vec<&str> = body
            .get("userIds")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if users.is_empty() || users.len() > 20 {
            return refuses(400, "invalidParameter.userIds.invalid", "userIds");
        }
        let param = text(body, "msgParam");
        let inner: Value = serde_json::from_str(param).unwrap_or_default();
        let card = match text(body, "msgKey") {
            "sampleText" => false,
            "sampleMarkdown" => false,
            key if key.starts_with("sampleActionCard") => true,
            _ => return refuses(400, "invalidParameter.msgKey.invalid", "msgKey"),
        };
        let (title, said) = (text(&inner, "title"), text(&inner, "text"));
        let said = if said.is_empty() { text(&inner, "content") } else { said };
        if said.is_empty() || param.len() > 15_000 || said.contains(FORBIDDEN) {
            return refuses(400, "invalidParameter.msgParam.invalid", "msgParam");
        }
        if self.second.take("", now).is_err() {
            return refuses(403, "Throttling.Api", "too many requests").struck(Strike::TooFast);
        }
        let (mut invalid, mut slow, mut shown) = (Vec::new(), Vec::new(), None);
        for user in users {
            if is_gone(user) {
                invalid.push(user);
            } else if self.person.take(user, now).is_err() {
                slow.push(user);
            } else {
                let form = if card { Form::Card } else { Form::Markdown };
                shown = Some(Shown::new(self.ids.next("da"), user, form, title, said));
            }
        }
        if let (Some(shown), true) = (&mut shown, card) {
            let pairs = [
                ("singleTitle", "singleURL"),
                ("buttonTitle1", "buttonUrl1"),
                ("buttonTitle2", "buttonUrl2"),
            ];
            shown.buttons = pairs
                .iter()
                .map(|(label, url)| (text(&inner, label), text(&inner, url)))
                .filter(|(label, _)| !label.is_empty())
                .map(|(label, url)| Button { label: label.to_owned(), url: url.to_owned(), value: None })
                .collect();
        }
        let answer = Answer::json(
            200,
            &json!({
                "processQueryKey": self.ids.next("query"),
                "invalidStaffIdList": invalid,
                "flowControlledStaffIdList": slow,
            }),
        );
        let taken = Taken { shown, ..answer.into() };
        if slow.is_empty() { taken } else { taken.struck(Strike::OverCap) }
    }
}

impl App {
    /// A card with buttons that call back.
    fn card(&mut self, body: &Value) -> Taken {
        let space = text(body, "openSpaceId");
        let (Some(user), id) = (space.strip_prefix("dtv1.card//IM_ROBOT."), text(body, "outTrackId")) else {
            return refuses(400, "param.error", "openSpaceId");
        };
        let map = body.pointer("/cardData/cardParamMap").cloned().unwrap_or_default();
        let all = map.as_object().is_some_and(|map| map.values().all(Value::is_string));
        if id.is_empty() || id.len() > 64 || text(body, "cardTemplateId").is_empty() || !all {
            return refuses(400, "param.error", "outTrackId, cardTemplateId, cardParamMap");
        }
        if is_gone(user) {
            let failed = json!([{ "spaceId": space, "success": false, "errorMsg": "user not exist" }]);
            return Answer::json(200, &json!({ "success": true, "result": { "deliverResults": failed } }))
                .into();
        }
        let mut shown = Shown::new(id.to_owned(), user, Form::Card, text(&map, "title"), text(&map, "text"));
        for (label, name) in [("认领", "ack"), ("推迟30分钟", "snooze"), ("转上级", "escalate")] {
            let value = Some(text(&map, name).to_owned()).filter(|value| !value.is_empty());
            if value.is_some() {
                shown.buttons.push(Button { label: label.to_owned(), url: String::new(), value });
            }
        }
        for (label, name) in [("已解决", "resolve"), ("查看", "view")] {
            let url = text(&map, name).to_owned();
            if !url.is_empty() {
                shown.buttons.push(Button { label: label.to_owned(), url, value: None });
            }
        }
        let good = json!([{ "spaceId": space, "success": true, "carrierId": self.ids.next("carrier") }]);
        let answer = json!({ "success": true, "result": { "outTrackId": id, "deliverResults": good } });
        Taken::from(Answer::json(200, &answer)).shown(shown)
    }
}

fn refuses(status: u16, code: &str, message: &str) -> Taken {
    Answer::json(status, &json!({ "code": code, "message": message, "requestid": "sim" })).into()
}

impl Inbox for App {
    fn crowd(&mut self) {
        self.person.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        let Some(body) = document(asked) else {
            return refuses(415, "UnsupportedMediaType", "expected application/json");
        };
        if asked.path == "/v1.0/oauth2/accessToken" {
            if (text(&body, "appKey"), text(&body, "appSecret")) != (super::table::APP, SECRET) {
                return refuses(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret");
            }
            return Answer::json(200, &json!({ "accessToken": self.passes.give(now), "expireIn": 7200 }))
                .into();
        }
        if self.passes.check(header(asked, "x-acs-dingtalk-access-token"), now) != Pass::Good {
            return refuses(401, "InvalidAuthentication", "不合法的access_token");
        }
        // A card names its robot elsewhere.
        if !asked.path.starts_with("/v1.0/card/") && text(&body, "robotCode") != super::table::APP {
            return refuses(400, "invalidParameter.robotCode.auth", "robotCode");
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/v1.0/robot/oToMessages/batchSend") => self.persons(&body, now),
            ("POST", "/v1.0/robot/ding/send") => {
                let users = body.get("receiverUserIdList").and_then(Value::as_array).map_or(0, Vec::len);
                let most = if body.get("remindType") == Some(&json!(1)) { 200 } else { 20 };
                let kind = body.get("remindType").and_then(Value::as_i64).unwrap_or_default();
                if users == 0 || users > most || !(1..=3).contains(&kind) || text(&body, "content").is_empty()
                {
                    return refuses(400, "invalidParameter.receiverUserIdList", "receiverUserIdList");
                }
                let to = body["receiverUserIdList"][0].as_str().unwrap_or_default();
                let ring = Shown::new(self.ids.next("ding"), to, Form::Ring, "DING", text(&body, "content"));
                Taken::from(Answer::json(200, &json!({ "openDingId": ring.id }))).shown(ring)
            }
            ("POST", "/v1.0/card/instances/createAndDeliver") => self.card(&body),
            ("PUT", "/v1.0/card/instances") => {
                Answer::json(200, &json!({ "success": true, "result": true })).into()
            }
            _ => refuses(404, "InvalidAction.NotFound", "Specified api is not found"),
        }
    }
}
