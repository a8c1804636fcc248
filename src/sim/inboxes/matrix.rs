//! A Matrix homeserver (`testbed`: Synapse), as far as a message to a room needs one.

use std::collections::BTreeMap;

use serde_json::json;

use super::window::{Limits, limit};
use super::{
    Answer, FORBIDDEN, Form, Inbox, SECRET, Serial, Shown, Strike, Taken, bearer, document, is_gone, secs,
    text,
};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;

/// A homeserver.
#[derive(Debug)]
pub(super) struct Homeserver {
    rate: Limits,
    /// Events by room and transaction.
    known: BTreeMap<String, String>,
    ids: Serial,
}

impl Homeserver {
    pub(super) fn new() -> Homeserver {
        let rate = Limits::new(&[limit(10, secs(5))]);
        Homeserver { rate, known: BTreeMap::new(), ids: Serial::default() }
    }
}

fn fails(status: u16, code: &str, why: &str) -> Taken {
    Answer::json(status, &json!({ "errcode": code, "error": why })).into()
}

impl Inbox for Homeserver {
    fn crowd(&mut self) {
        self.rate.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if bearer(asked) != SECRET {
            return fails(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.");
        }
        let parts: Vec<&str> = asked.path.split('/').collect();
        let [_, "_matrix", "client", "v3", "rooms", room, "send", "m.room.message", transaction] = parts[..]
        else {
            return fails(404, "M_UNRECOGNIZED", "Unrecognized request");
        };
        if asked.method != "PUT" {
            return fails(405, "M_UNRECOGNIZED", "Unrecognized request");
        }
        let Some(body) = document(asked) else { return fails(400, "M_NOT_JSON", "Content not JSON.") };
        if is_gone(room) {
            return fails(403, "M_FORBIDDEN", "User not in room");
        }
        let key = format!("{room} {transaction}");
        if let Some(event) = self.known.get(&key) {
            return Taken::from(Answer::json(200, &json!({ "event_id": event }))).struck(Strike::Known);
        }
        if self.rate.take("", now).is_err() {
            let slow = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 2000 });
            return Taken::from(Answer::json(429, &slow)).struck(Strike::TooFast);
        }
        let said = text(&body, "body");
        if said.is_empty() || text(&body, "msgtype").is_empty() || said.contains(FORBIDDEN) {
            return fails(400, "M_BAD_JSON", "'body' not in content");
        }
        if asked.body.len() > 65_536 {
            return fails(413, "M_TOO_LARGE", "event too large");
        }
        let event = self.ids.next("$event");
        self.known.insert(key, event.clone());
        let room = room.replace("%21", "!").replace("%3A", ":");
        let shown = Shown::new(event.clone(), &room, Form::Text, "", said);
        Taken::from(Answer::json(200, &json!({ "event_id": event }))).shown(shown)
    }
}
