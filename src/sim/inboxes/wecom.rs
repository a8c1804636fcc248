//! WeCom (`apis/channels` 5, 6): a robot in a group, and an application that writes to members.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::window::{Limits, limit};
use super::{
    Answer, Button, FORBIDDEN, Form, HOOK, Inbox, Pass, Passes, SECRET, Serial, Shown, Strike, Taken,
    document, is_gone, parameter, text,
};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// The id of the application.
pub(super) const AGENT: i64 = 1_000_002;

fn says(code: i64, message: &str) -> Taken {
    let hint = format!(
        "{message}, hint: [1789999999_sim], from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    );
    let message = if code == 0 { "ok" } else { hint.as_str() };
    Answer::json(200, &json!({ "errcode": code, "errmsg": message })).into()
}

/// A message, or the code of what is wrong with it and its words.
fn drawn(body: &Value, id: String, to: &str) -> Result<Shown, (i64, String)> {
    let kind = text(body, "msgtype");
    let inner = body.get(kind).cloned().unwrap_or_default();
    let content = text(&inner, "content");
    let sized = |most: usize| match content.len() {
        0 => Err((40_058, format!("{kind}.content missing"))),
        long if long > most => Err((40_058, format!("{kind}.content exceed max length {most}"))),
        _ => Ok(content),
    };
    let mut shown = match kind {
        "text" => Shown::new(id, to, Form::Text, "", sized(2048)?),
        "markdown" | "markdown_v2" => Shown::new(id, to, Form::Markdown, "", sized(4096)?),
        "textcard" => {
            let (title, about) = (text(&inner, "title"), text(&inner, "description"));
            if title.is_empty() || about.is_empty() || text(&inner, "url").is_empty() {
                return Err((40_058, "textcard.title missing".to_owned()));
            }
            let mut card = Shown::new(id, to, Form::Card, title, about);
            let label = text(&inner, "btntxt");
            card.buttons.push(Button {
                label: if label.is_empty() { "详情" } else { label }.to_owned(),
                url: text(&inner, "url").to_owned(),
                value: None,
            });
            card
        }
        "template_card" => {
            let head = inner.get("main_title").cloned().unwrap_or_default();
            let (title, about) = (text(&head, "title"), text(&inner, "sub_title_text"));
            let about = if about.is_empty() { text(&head, "desc") } else { about };
            if title.is_empty() && about.is_empty() {
                return Err((40_058, "template_card.main_title missing".to_owned()));
            }
            let mut card = Shown::new(id, to, Form::Card, title, about);
            for button in inner.get("button_list").and_then(Value::as_array).into_iter().flatten() {
                let (label, value) = (text(button, "text"), text(button, "key"));
                card.buttons.push(Button {
                    label: label.to_owned(),
                    url: text(button, "url").to_owned(),
                    value: Some(value.to_owned()).filter(|value| !value.is_empty()),
                });
            }
            for jump in inner.get("jump_list").and_then(Value::as_array).into_iter().flatten() {
                let (label, url) = (text(jump, "title").to_owned(), text(jump, "url").to_owned());
                card.buttons.push(Button { label, url, value: None });
            }
            card
        }
        _ => return Err((40_008, "invalid message type".to_owned())),
    };
    for name in ["mentioned_list", "mentioned_mobile_list"] {
        let list = inner.get(name).and_then(Value::as_array);
        shown.calls.extend(list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    if shown.text.contains(FORBIDDEN) {
        return Err((40_058, "invalid parameter: content".to_owned()));
    }
    Ok(shown)
}

/// A robot in a group.
#[derive(Debug)]
pub(super) struct Robot {
    minute: Limits,
    ids: Serial,
}

impl Robot {
    pub(super) fn new() -> Robot {
        Robot { minute: Limits::new(&[limit(20, Span::MINUTE)]), ids: Serial::default() }
    }
}

impl Inbox for Robot {
    fn crowd(&mut self) {
        self.minute.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if asked.path != "/cgi-bin/webhook/send" || parameter(asked, "key") != HOOK {
            return says(93_000, "invalid webhook url");
        }
        let Some(body) = document(asked).filter(|_| asked.method == "POST") else {
            return says(44_001, "empty media data");
        };
        if self.minute.take("", now).is_err() {
            return says(45_009, "api freq out of limit").struck(Strike::TooFast);
        }
        match drawn(&body, self.ids.next("wr"), "") {
            Ok(shown) => says(0, "ok").shown(shown),
            Err((code, why)) => says(code, &why),
        }
    }
}

/// An application.
#[derive(Debug)]
pub(super) struct App {
    passes: Passes,
    member: Limits,
    known: BTreeMap<String, Instant>,
    ids: Serial,
}

impl App {
    pub(super) fn new() -> App {
        App {
            passes: Passes::default(),
            member: Limits::new(&[limit(30, Span::MINUTE), limit(1000, Span::HOUR)]),
            known: BTreeMap::new(),
            ids: Serial::default(),
        }
    }

    fn send(&mut self, asked: &Asked, now: Instant) -> Taken {
        match self.passes.check(parameter(asked, "access_token"), now) {
            Pass::Good => {}
            Pass::Expired => return says(42_001, "access_token expired"),
            Pass::Unknown => return says(40_014, "invalid access_token"),
        }
        let Some(body) = document(asked).filter(|_| asked.method == "POST") else {
            return says(44_001, "empty post data");
        };
        if body.get("agentid").and_then(Value::as_i64) != Some(AGENT) {
            return says(301_002, "not allow operate another agent with this accesstoken");
        }
        let users: Vec<&str> = text(&body, "touser").split('|').filter(|user| !user.is_empty()).collect();
        let gone: Vec<&str> = users.iter().copied().filter(|user| is_gone(user)).collect();
        let Some(user) = users.iter().copied().find(|user| !is_gone(user)) else {
            return says(81_013, "user & party & tag all invalid");
        };
        let mut shown = match drawn(&body, self.ids.next("wa"), user) {
            Ok(shown) => shown,
            Err((code, why)) => return says(code, &why),
        };
        let id = shown.id.clone();
        let mut answer = json!({ "errcode": 0, "errmsg": "ok", "invaliduser": gone.join("|"), "msgid": id });
        if text(&body, "msgtype") == "template_card" {
            answer["response_code"] = json!(self.ids.next("response"));
        }
        let taken: Taken = Answer::json(200, &answer).into();
        if body.get("enable_duplicate_check") == Some(&json!(1)) {
            let secs = body.get("duplicate_check_interval").and_then(Value::as_i64).unwrap_or(1800);
            let whole = sign::sha256_hex(&asked.body);
            if self.known.get(&whole).is_some_and(|until| now < *until) {
                return taken.struck(Strike::Known);
            }
            self.known.insert(whole, now + Span::from_secs(secs.clamp(1, 14_400)));
        }
        // What is too much to one member is dropped, and the answer says nothing of it.
        if self.member.take(user, now).is_err() {
            return taken.struck(Strike::Dropped);
        }
        shown.id = id;
        taken.shown(shown)
    }
}

impl Inbox for App {
    fn crowd(&mut self) {
        self.member.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        match asked.path.as_str() {
            "/cgi-bin/gettoken" => {
                let given = (parameter(asked, "corpid"), parameter(asked, "corpsecret"));
                if given != (super::table::APP, SECRET) {
                    return says(40_001, "invalid credential");
                }
                let token = self.passes.give(now);
                let body = json!({ "errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200 });
                Answer::json(200, &body).into()
            }
            "/cgi-bin/message/send" => self.send(asked, now),
            "/cgi-bin/message/update_template_card" => {
                if self.passes.check(parameter(asked, "access_token"), now) != Pass::Good {
                    return says(40_014, "invalid access_token");
                }
                says(0, "ok")
            }
            _ => Answer::text(404, "").into(),
        }
    }
}
