//! Teams (`apis/channels` 11): a flow that is begun by a request.

use serde_json::Value;

use super::window::{Limits, limit};
use super::{
    Answer, Button, FORBIDDEN, Form, HOOK, Inbox, Serial, Shown, Strike, Taken, document, secs, text,
};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;

/// A flow.
#[derive(Debug)]
pub(super) struct Flow {
    second: Limits,
    ids: Serial,
}

impl Flow {
    pub(super) fn new() -> Flow {
        Flow { second: Limits::new(&[limit(4, secs(1))]), ids: Serial::default() }
    }
}

impl Inbox for Flow {
    fn crowd(&mut self) {
        self.second.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if asked.path.trim_start_matches('/') != HOOK {
            return Answer::text(404, "{\"error\":{\"code\":\"WorkflowNotFound\"}}").into();
        }
        if asked.body.len() > 28_000 {
            return Answer::text(413, "Request Entity too large").into();
        }
        if self.second.take("", now).is_err() {
            let answer = Answer::text(429, "").with("retry-after", "2".to_owned());
            return Taken::from(answer).struck(Strike::TooFast);
        }
        let card = document(asked).filter(|body| text(body, "type") == "message");
        let card = card.and_then(|body| {
            let attached = body.get("attachments")?.as_array()?.first()?.clone();
            let right = text(&attached, "contentType") == "application/vnd.microsoft.card.adaptive";
            attached.get("content").filter(|card| right && text(card, "type") == "AdaptiveCard").cloned()
        });
        let Some(card) = card else {
            return Answer::text(400, "{\"error\":{\"code\":\"InvalidRequestContent\"}}").into();
        };
        let said: Vec<&str> = card
            .get("body")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|block| text(block, "text"))
            .collect();
        let (title, rest) = said.split_first().map_or(("", &[][..]), |(title, rest)| (*title, rest));
        let mut shown = Shown::new(self.ids.next("flow"), "", Form::Card, title, &rest.join("\n"));
        for action in card.get("actions").and_then(Value::as_array).into_iter().flatten() {
            let (label, url) = (text(action, "title").to_owned(), text(action, "url").to_owned());
            shown.buttons.push(Button { label, url, value: None });
        }
        if shown.text.contains(FORBIDDEN) {
            return Answer::text(400, "{\"error\":{\"code\":\"InvalidRequestContent\"}}").into();
        }
        Taken::from(Answer::text(202, "")).shown(shown)
    }
}
