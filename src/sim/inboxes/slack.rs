//! Slack (`apis/channels` 9): an incoming webhook, and a bot that posts.

use serde_json::{Value, json};

use super::window::{Limits, limit};
use super::{
    Answer, Button, FORBIDDEN, Form, HOOK, Inbox, SECRET, Serial, Shown, Strike, Taken, bearer, document,
    is_gone, secs, text,
};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;

/// Both doors.
#[derive(Debug)]
pub(super) struct Slack {
    /// About one a second, and short bursts: how short is written nowhere.
    rate: Limits,
    ids: Serial,
}

impl Slack {
    pub(super) fn new() -> Slack {
        Slack { rate: Limits::new(&[limit(10, secs(10)), limit(60, Span::MINUTE)]), ids: Serial::default() }
    }

    fn drawn(&mut self, body: &Value, to: &str) -> Result<Shown, &'static str> {
        let blocks = body.get("blocks").and_then(Value::as_array);
        let head = text(body, "text");
        if head.is_empty() && blocks.is_none_or(Vec::is_empty) {
            return Err("no_text");
        }
        if head.chars().count() > 40_000 {
            return Err("msg_too_long");
        }
        let mut shown = Shown::new(self.ids.next("ts."), to, Form::Markdown, "", head);
        let Some(blocks) = blocks else { return Ok(shown) };
        if blocks.len() > 50 {
            return Err("invalid_blocks");
        }
        let mut lines = Vec::new();
        for block in blocks {
            let said = block.pointer("/text/text").and_then(Value::as_str).unwrap_or_default();
            let long = said.chars().count();
            match text(block, "type") {
                "header" if long > 0 && long <= 150 => shown.title = said.to_owned(),
                "section" if long > 0 && long <= 3000 => lines.push(said),
                "actions" => {
                    for button in block.get("elements").and_then(Value::as_array).into_iter().flatten() {
                        let label = button.pointer("/text/text").and_then(Value::as_str).unwrap_or_default();
                        let value = button.get("action_id").and_then(Value::as_str).map(str::to_owned);
                        let url = text(button, "url").to_owned();
                        shown.buttons.push(Button { label: label.to_owned(), url, value });
                    }
                }
                "divider" | "context" => {}
                _ => return Err("invalid_blocks"),
            }
        }
        shown.text = lines.join("\n");
        shown.form = Form::Card;
        Ok(shown)
    }
}

impl Inbox for Slack {
    fn crowd(&mut self) {
        self.rate.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        let hook = asked.path.strip_prefix("/services/");
        let fail = |status: u16, word: &str| -> Taken {
            match hook {
                Some(_) => Answer::text(status, word).into(),
                None => Answer::json(200, &json!({ "ok": false, "error": word })).into(),
            }
        };
        match hook {
            Some(hook) if hook != HOOK => return fail(404, "no_service"),
            Some(_) => {}
            None if asked.path != "/api/chat.postMessage" => return Answer::text(404, "not found").into(),
            None if bearer(asked) != SECRET => return fail(200, "invalid_auth"),
            None => {}
        }
        let Some(body) = document(asked).filter(|_| asked.method == "POST") else {
            return fail(400, "invalid_payload");
        };
        if self.rate.take("", now).is_err() {
            let word =
                if hook.is_some() { "rate_limited" } else { "{\"ok\":false,\"error\":\"ratelimited\"}" };
            let answer = Answer::text(429, word).with("retry-after", "10".to_owned());
            return Taken::from(answer).struck(Strike::TooFast);
        }
        let to = text(&body, "channel").to_owned();
        if hook.is_none() && (to.is_empty() || is_gone(&to)) {
            return fail(200, "channel_not_found");
        }
        match self.drawn(&body, &to) {
            Ok(shown) if shown.text.contains(FORBIDDEN) => fail(400, "invalid_payload"),
            Ok(shown) if hook.is_some() => Taken::from(Answer::text(200, "ok")).shown(shown),
            Ok(shown) => {
                let good = json!({ "ok": true, "channel": to, "ts": shown.id });
                Taken::from(Answer::json(200, &good)).shown(shown)
            }
            Err(word) => fail(400, word),
        }
    }
}
