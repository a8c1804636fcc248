//! Presses of buttons in Telegram (`apis/channels` 10): an update, with the secret that was given to `setWebhook`. Its
//! answer is a call of the API itself, which ends the waiting of the button.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Face, Heard, Hears, Knock, Place, Press, Refusal, Tone, document, text_at};
use crate::channels::BuildFault;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The longest that is shown of an answer, in characters.
const LONGEST: usize = 200;

/// `[channels.NAME.telegram.callback]`: buttons that are pressed in Telegram. `setWebhook` with the url
/// `…/v1/callbacks/NAME`, `secret_token` and `allowed_updates=["callback_query"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramCallbackConfig {
    /// The `secret_token`: 16 to 256 letters, digits, `-` or `_`.
    pub secret: SecretConfig,
    /// Who presses, where their contact here is a group: a user's number, and the person.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
}

impl TelegramCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("secret", |p| self.secret.check_given("", p));
    }

    /// Who listens by it.
    pub(crate) fn ears(&self, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        let secret = self.secret.need("callback.secret.", env)?;
        let secret = Secret::new(secret.reveal().trim());
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !(16..=256).contains(&secret.reveal().len()) || !secret.reveal().bytes().all(good) {
            return Err(BuildFault::Setting(format!(
                "callback.secret: has {} bytes, expected 16 to 256 letters, digits, - or _, such as \
                 `openssl rand -hex 16` prints",
                secret.reveal().len()
            )));
        }
        Ok(Ears { secret, people: self.people.clone() })
    }
}

/// Who listens to Telegram.
pub(crate) struct Ears {
    secret: Secret,
    people: BTreeMap<String, String>,
}

impl Ears {
    /// What no text may repeat.
    pub(crate) fn secret(&self) -> String {
        self.secret.reveal().to_owned()
    }
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        if !sign::same(knock.header("x-telegram-bot-api-secret-token"), self.secret.reveal()) {
            return Err(Refusal::Signature);
        }
        let update = document(knock.body)?;
        let value = text_at(&update, "/callback_query/data");
        if value.is_empty() {
            return Ok(Heard::Reply(Answer::json(&json!({}))));
        }
        let user = text_at(&update, "/callback_query/from/id");
        Ok(Heard::Press(Press {
            ids: vec![user.clone()],
            value,
            event: text_at(&update, "/callback_query/id"),
            place: Place {
                card: text_at(&update, "/callback_query/message/message_id"),
                chat: text_at(&update, "/callback_query/message/chat/id"),
                person: user,
            },
        }))
    }

    fn pressed(&self, press: &Press, face: &Face) -> Answer {
        let text: String = face.say.chars().take(LONGEST).collect();
        Answer::json(&json!({
            "method": "answerCallbackQuery",
            "callback_query_id": press.event,
            "text": text,
            "show_alert": face.tone == Tone::Bad,
        }))
    }

    fn people(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.people)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    const SECRET: &str = "0123456789abcdef";

    fn hear(body: &str, secret: &str) -> Result<Heard, Refusal> {
        let headers = headers(&[("x-telegram-bot-api-secret-token", secret)]);
        let ears = Ears { secret: Secret::new(SECRET), people: BTreeMap::new() };
        ears.hear(&knock(&headers, "", body.as_bytes(), None))
    }

    #[test]
    fn presses_are_heard_with_the_secret() {
        let update = r#"{"update_id":1,"callback_query":{"id":"q1","from":{"id":4711,"username":"lin"},
            "message":{"message_id":12,"chat":{"id":-100123}},"data":"BUTTON"}}"#;
        let Ok(Heard::Press(press)) = hear(update, SECRET) else { panic!("it is heard") };
        assert_eq!((press.ids, &*press.value, &*press.event), (vec!["4711".to_owned()], "BUTTON", "q1"));
        assert_eq!((&*press.place.card, &*press.place.chat), ("12", "-100123"));
        assert!(matches!(hear(r#"{"update_id":2,"message":{}}"#, SECRET), Ok(Heard::Reply(_))));
        for secret in ["", "0123456789abcde", "0123456789abcdeF"] {
            assert_eq!(hear(update, secret).err(), Some(Refusal::Signature), "{secret}");
        }
    }
}
