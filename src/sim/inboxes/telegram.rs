//! Telegram (`apis/channels` 10): a bot.

use serde_json::{Value, json};

use super::window::{Limits, limit};
use super::{Answer, Button, FORBIDDEN, Form, Inbox, SECRET, Shown, Strike, Taken, is_gone, secs};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;

/// A bot.
#[derive(Debug)]
pub(super) struct Bot {
    chat: Limits,
    group: Limits,
    whole: Limits,
    ids: u64,
}

impl Bot {
    pub(super) fn new() -> Bot {
        Bot {
            chat: Limits::new(&[limit(1, secs(1))]),
            group: Limits::new(&[limit(20, Span::MINUTE)]),
            whole: Limits::new(&[limit(30, secs(1))]),
            ids: 0,
        }
    }
}

fn fails(status: u16, why: &str) -> Taken {
    Answer::json(status, &json!({ "ok": false, "error_code": status, "description": why })).into()
}

/// A text without its entities, or `None` where they are none.
fn plain(html: &str) -> Option<String> {
    let mut out = String::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (entity, letter) = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"')]
                .into_iter()
                .find(|(e, _)| rest.starts_with(e))?;
            out.push(letter);
            rest = &rest[entity.len()..];
            continue;
        }
        let end = rest.find('>')?;
        let tag = &rest[1..end];
        match tag.strip_prefix('/') {
            Some(name) if open.pop().as_deref() != Some(name) => return None,
            Some(_) => {}
            None => {
                let name = tag.split(' ').next().unwrap_or_default();
                if !["b", "strong", "i", "em", "u", "s", "code", "pre", "a"].contains(&name) {
                    return None;
                }
                open.push(name.to_owned());
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    open.is_empty().then_some(out)
}

impl Inbox for Bot {
    fn crowd(&mut self) {
        self.chat.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        let Some(method) = asked.path.strip_prefix(&format!("/bot{SECRET}/")) else {
            return fails(401, "Unauthorized");
        };
        let form = asked.form();
        let json = asked.json();
        let of = |name: &str| -> String {
            match (&json, form.get(name)) {
                (_, Some(value)) => value.clone(),
                (Some(json), None) => match json.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => String::new(),
                },
                (None, None) => String::new(),
            }
        };
        if matches!(method, "answerCallbackQuery" | "editMessageText" | "editMessageReplyMarkup") {
            return Answer::json(200, &json!({ "ok": true, "result": true })).into();
        }
        if method != "sendMessage" {
            return fails(404, "Not Found: method not found");
        }
        let chat = of("chat_id");
        if chat.is_empty() {
            return fails(400, "Bad Request: chat_id is empty");
        }
        if is_gone(&chat) {
            return fails(403, "Forbidden: bot was blocked by the user");
        }
        let said = of("text");
        let said = match of("parse_mode").as_str() {
            "HTML" => plain(&said),
            _ => Some(said),
        };
        let Some(said) = said else { return fails(400, "Bad Request: can't parse entities") };
        if said.is_empty() {
            return fails(400, "Bad Request: message text is empty");
        }
        if said.encode_utf16().count() > 4096 || said.contains(FORBIDDEN) {
            return fails(400, "Bad Request: message is too long");
        }
        let group = chat.starts_with(['-', '@']);
        let slow = [
            self.whole.look("", now).err(),
            self.chat.look(&chat, now).err(),
            self.group.look(&chat, now).err().filter(|_| group),
        ];
        if let Some(per) = slow.into_iter().flatten().max() {
            let after = per.as_secs().max(1);
            let body = json!({
                "ok": false,
                "error_code": 429,
                "description": format!("Too Many Requests: retry after {after}"),
                "parameters": { "retry_after": after },
            });
            return Taken::from(Answer::json(429, &body)).struck(Strike::TooFast);
        }
        self.whole.note("", now);
        self.chat.note(&chat, now);
        self.group.note(&chat, now);
        self.ids += 1;
        let mut shown = Shown::new(self.ids.to_string(), &chat, Form::Text, "", &said);
        let keyboard: Value = serde_json::from_str(&of("reply_markup")).unwrap_or_default();
        for row in keyboard.get("inline_keyboard").and_then(Value::as_array).into_iter().flatten() {
            for button in row.as_array().into_iter().flatten() {
                let value = button.get("callback_data").and_then(Value::as_str).map(str::to_owned);
                if value.as_ref().is_some_and(|data| data.is_empty() || data.len() > 64) {
                    return fails(400, "Bad Request: BUTTON_DATA_INVALID");
                }
                let label = super::text(button, "text").to_owned();
                shown.buttons.push(Button { label, url: super::text(button, "url").to_owned(), value });
            }
        }
        let result = json!({ "message_id": self.ids, "date": now.as_secs(), "chat": { "id": chat } });
        Taken::from(Answer::json(200, &json!({ "ok": true, "result": result }))).shown(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn entities_are_parsed_or_refused() {
        for (html, want) in [
            ("<b>工单</b>\na &lt;b&gt; &amp;", Some("工单\na <b> &")),
            ("<a href=\"https://x\">认领</a>", Some("认领")),
            ("a < b", None),
            ("<b>a", None),
            ("<b>a</i>", None),
            ("<script>", None),
            ("a & b", None),
        ] {
            assert_eq!(plain(html).as_deref(), want, "{html}");
        }
    }
}
