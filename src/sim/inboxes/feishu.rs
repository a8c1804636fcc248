//! Feishu, Lark (`apis/channels` 7, 8): a robot in a group, and an application that writes to persons.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::window::{Limits, limit};
use super::{
    Answer, Button, FORBIDDEN, Form, HOOK, Inbox, Pass, Passes, SECRET, Serial, Shown, Strike, Taken, bearer,
    document, is_gone, parameter, secs, text,
};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

fn says(status: u16, code: i64, message: &str) -> Taken {
    Answer::json(status, &json!({ "code": code, "msg": message, "data": {} })).into()
}

/// A message of a type, or what is wrong with it.
fn drawn(kind: &str, content: &Value, id: String, to: &str) -> Result<Shown, String> {
    match kind {
        "text" => match text(content, "text") {
            "" => Err("text is empty".to_owned()),
            said => Ok(Shown::new(id, to, Form::Text, "", said)),
        },
        "post" => {
            let post =
                content.get("zh_cn").or_else(|| content.pointer("/post/zh_cn")).cloned().unwrap_or_default();
            let mut said = String::new();
            for part in post.get("content").and_then(Value::as_array).into_iter().flatten() {
                for piece in part.as_array().into_iter().flatten() {
                    said.push_str(text(piece, "text"));
                }
                said.push('\n');
            }
            Ok(Shown::new(id, to, Form::Markdown, text(&post, "title"), said.trim_end()))
        }
        "interactive" => card(content, id, to),
        _ => Err("msg_type is invalid".to_owned()),
    }
}

/// A card: of either of the two layouts.
fn card(card: &Value, id: String, to: &str) -> Result<Shown, String> {
    let elements = card.get("elements").or_else(|| card.pointer("/body/elements")).and_then(Value::as_array);
    let Some(elements) = elements else { return Err("card contains no elements".to_owned()) };
    let title = card.pointer("/header/title/content").and_then(Value::as_str).unwrap_or_default();
    let mut shown = Shown::new(id, to, Form::Card, title, "");
    shown.colour = card.pointer("/header/template").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    let actions = elements.iter().filter_map(|e| e.get("actions")?.as_array()).flatten();
    let columns = elements.iter().filter_map(|e| e.get("columns")?.as_array()).flatten();
    let inside = columns.filter_map(|c| c.get("elements")?.as_array()).flatten();
    for element in elements.iter().chain(actions).chain(inside) {
        match text(element, "tag") {
            "button" => {
                let label = element.pointer("/text/content").and_then(Value::as_str).unwrap_or_default();
                let opens = |b: &&Value| text(b, "type") == "open_url";
                let behaviours = element.get("behaviors").and_then(Value::as_array);
                let opened = behaviours.and_then(|b| b.iter().find(opens)).map(|b| text(b, "default_url"));
                let url = opened.unwrap_or_else(|| text(element, "url"));
                let back =
                    behaviours.and_then(|b| b.iter().find(|b| text(b, "type") == "callback")?.get("value"));
                if !url.is_empty() && !url.starts_with("http") {
                    return Err("href is invalid".to_owned());
                }
                let value = back.or_else(|| element.get("value")).map(Value::to_string);
                shown.buttons.push(Button { label: label.to_owned(), url: url.to_owned(), value });
            }
            _ => {
                let said = element.pointer("/text/content").or_else(|| element.get("content"));
                lines.extend(said.and_then(Value::as_str).filter(|said| !said.is_empty()).map(str::to_owned));
            }
        }
    }
    for line in &lines {
        let called = line.split("<at id=").skip(1).filter_map(|rest| rest.split('>').next());
        shown.calls.extend(called.map(|who| who.trim_matches('"').to_owned()));
    }
    shown.text = lines.join("\n");
    Ok(shown)
}

/// A robot in a group.
#[derive(Debug)]
pub(super) struct Robot {
    limits: Limits,
    ids: Serial,
}

impl Robot {
    pub(super) fn new() -> Robot {
        let limits = Limits::new(&[limit(5, secs(1)), limit(100, Span::MINUTE)]);
        Robot { limits, ids: Serial::default() }
    }
}

impl Inbox for Robot {
    fn crowd(&mut self) {
        self.limits.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if asked.path.strip_prefix("/open-apis/bot/v2/hook/") != Some(HOOK) {
            return says(200, 19_001, "param invalid: incoming webhook access token invalid");
        }
        let Some(body) = document(asked).filter(|_| asked.method == "POST" && asked.body.len() <= 20 * 1024)
        else {
            return says(200, 9499, "Bad Request");
        };
        // The key is the time and the secret, and the text is empty.
        let at = text(&body, "timestamp");
        let right = sign::base64(&sign::hmac_sha256(format!("{at}\n{SECRET}").as_bytes(), b""));
        let late = at.parse::<i64>().map_or(i64::MAX, |secs| (now.as_secs() - secs).abs());
        if late > 3600 || right != text(&body, "sign") {
            return says(
                200,
                19_021,
                "sign match fail or timestamp is not within one hour from current time",
            );
        }
        if self.limits.take("", now).is_err() {
            return says(200, 11_232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]")
                .struck(Strike::TooFast);
        }
        let kind = text(&body, "msg_type");
        let inner = if kind == "interactive" { body.get("card") } else { body.get("content") };
        match drawn(kind, inner.unwrap_or(&Value::Null), self.ids.next("fr"), "") {
            Ok(shown) if shown.text.contains(FORBIDDEN) => says(200, 9499, "Bad Request"),
            Ok(shown) => {
                let good = json!({ "code": 0, "msg": "success", "data": {}, "StatusCode": 0, "StatusMessage": "success" });
                Taken::from(Answer::json(200, &good)).shown(shown)
            }
            Err(why) => says(200, 9499, &format!("Bad Request: {why}")),
        }
    }
}

/// An application.
#[derive(Debug)]
pub(super) struct App {
    passes: Passes,
    whole: Limits,
    person: Limits,
    /// What a key was given, until when.
    known: BTreeMap<String, (String, Instant)>,
    ids: Serial,
}

impl App {
    pub(super) fn new() -> App {
        App {
            passes: Passes::default(),
            whole: Limits::new(&[limit(50, secs(1)), limit(1000, Span::MINUTE)]),
            person: Limits::new(&[limit(5, secs(1))]),
            known: BTreeMap::new(),
            ids: Serial::default(),
        }
    }

    fn send(&mut self, asked: &Asked, body: &Value, now: Instant) -> Taken {
        let (to, kind, uuid) = (text(body, "receive_id"), text(body, "msg_type"), text(body, "uuid"));
        let right = match parameter(asked, "receive_id_type") {
            "open_id" => to.starts_with("ou_"),
            "union_id" => to.starts_with("on_"),
            "chat_id" => to.starts_with("oc_"),
            "email" => to.contains('@'),
            "user_id" => !to.is_empty(),
            _ => false,
        };
        if !right || uuid.chars().count() > 50 {
            return says(400, 230_001, "Your request contains an invalid request parameter");
        }
        if let Some((id, until)) = self.known.get(uuid)
            && now < *until
        {
            // What a second one is answered is not documented: the same message is the kindest guess.
            let same = json!({ "code": 0, "msg": "success", "data": { "message_id": id } });
            return Taken::from(Answer::json(200, &same)).struck(Strike::Known);
        }
        let content = text(body, "content");
        let most = if kind == "text" { 150 * 1024 } else { 30 * 1024 };
        if content.len() > most {
            return says(400, 230_025, "The length of the message content reaches its limit");
        }
        let Ok(inner) = serde_json::from_str::<Value>(content) else {
            return says(400, 230_001, "content is not a string in json format");
        };
        if self.whole.take("", now).is_err() {
            let reset = ("x-ogw-ratelimit-reset", "1".to_owned());
            let answer =
                Answer::json(429, &json!({ "code": 99_991_400, "msg": "request trigger frequency limit" }));
            return Taken::from(answer.with(reset.0, reset.1)).struck(Strike::TooFast);
        }
        if is_gone(to) {
            return says(400, 230_013, "Bot has NO availability to this user");
        }
        if self.person.take(to, now).is_err() {
            return says(400, 230_020, "This operation triggers the frequency limit").struck(Strike::TooFast);
        }
        let id = self.ids.next("om_");
        match drawn(kind, &inner, id.clone(), to) {
            Ok(shown) if shown.text.contains(FORBIDDEN) => {
                says(400, 230_022, "The content of the message contains sensitive information")
            }
            Ok(shown) => {
                if !uuid.is_empty() {
                    self.known.insert(uuid.to_owned(), (id.clone(), now + Span::HOUR));
                }
                let good = json!({ "code": 0, "msg": "success", "data": { "message_id": id } });
                Taken::from(Answer::json(200, &good)).shown(shown)
            }
            Err(why) => says(400, 230_099, &format!("Failed to create card content: {why}")),
        }
    }
}

impl Inbox for App {
    fn crowd(&mut self) {
        self.whole.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        const MESSAGES: &str = "/open-apis/im/v1/messages";
        let body = document(asked).unwrap_or_default();
        if asked.path == "/open-apis/auth/v3/tenant_access_token/internal" {
            if (text(&body, "app_id"), text(&body, "app_secret")) != (super::table::APP, SECRET) {
                return says(200, 10_003, "invalid param");
            }
            let token = self.passes.give(now);
            let given = json!({ "code": 0, "msg": "ok", "tenant_access_token": token, "expire": 7200 });
            return Answer::json(200, &given).into();
        }
        match self.passes.check(bearer(asked), now) {
            Pass::Good => {}
            Pass::Expired => return says(400, 99_991_663, "Invalid access token for authorization"),
            Pass::Unknown => return says(400, 99_991_661, "Missing access token for authorization"),
        }
        let rest = asked.path.strip_prefix(MESSAGES);
        match (asked.method.as_str(), rest) {
            ("POST", Some("")) => self.send(asked, &body, now),
            ("PATCH", Some(rest)) if rest.contains("/urgent_") => {
                let list = body.get("user_id_list").and_then(Value::as_array);
                let Some(first) = list.and_then(|list| list.first()).and_then(Value::as_str) else {
                    return says(400, 230_001, "user_id_list is empty");
                };
                let ring = Shown::new(rest.to_owned(), first, Form::Ring, "加急", "");
                let good = json!({ "code": 0, "msg": "success", "data": { "invalid_user_id_list": [] } });
                Taken::from(Answer::json(200, &good)).shown(ring)
            }
            ("PATCH", Some(rest)) => {
                let id = rest.trim_start_matches('/').to_owned();
                let inner = serde_json::from_str::<Value>(text(&body, "content")).unwrap_or_default();
                match drawn("interactive", &inner, id, "") {
                    Ok(shown) => says(200, 0, "success").shown(shown),
                    Err(why) => says(400, 230_099, &why),
                }
            }
            _ => Answer::text(404, "404 page not found").into(),
        }
    }
}
