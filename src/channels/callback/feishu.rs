//! Presses of buttons on cards of Feishu (`apis/channels` 8): `card.action.trigger`, signed over the raw body and mostly
//! sealed. Its answer shows the card.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answer, Face, Heard, Hears, Knock, Place, Press, Refusal, Tone, Unit, document, feishu_open,
    feishu_signature, text_at,
};
use crate::channels::BuildFault;
use crate::channels::feishu_app::answered;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// `[channels.NAME.feishu_app.callback]`: buttons that are pressed on the card (卡片回传交互). Its address there is
/// `…/v1/callbacks/NAME`, its callback `card.action.trigger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeishuCallbackConfig {
    /// The key of 事件与回调 → 加密策略 (Encrypt Key).
    pub encrypt_key: SecretConfig,
    /// The token beside it (Verification Token).
    pub verification_token: SecretConfig,
    /// Who presses, where their contact here is no id of theirs: an `open_id`, `union_id` or user id, and the person.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
}

impl FeishuCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.encrypt_key.rebase(folder);
        self.verification_token.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("encrypt_key", |p| self.encrypt_key.check_given("", p));
        problems.within("verification_token", |p| self.verification_token.check_given("", p));
    }

    /// Who listens by it.
    pub(crate) fn ears(&self, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        let secret = |config: &SecretConfig, key| -> Result<Secret, BuildFault> {
            Ok(Secret::new(config.need(key, env)?.reveal().trim()))
        };
        Ok(Ears {
            encrypt_key: secret(&self.encrypt_key, "callback.encrypt_key.")?,
            token: secret(&self.verification_token, "callback.verification_token.")?,
            people: self.people.clone(),
        })
    }
}

/// Who listens to Feishu.
pub(crate) struct Ears {
    encrypt_key: Secret,
    token: Secret,
    people: BTreeMap<String, String>,
}

impl Ears {
    /// What no text may repeat.
    pub(crate) fn secrets(&self) -> [String; 2] {
        [self.encrypt_key.reveal().to_owned(), self.token.reveal().to_owned()]
    }

    fn is_token(&self, given: &str) -> bool {
        sign::same(given, self.token.reveal())
    }

    /// Whether the request is signed; an unsigned one may still be sealed.
    fn is_signed(&self, knock: &Knock<'_>) -> Result<bool, Refusal> {
        let given = knock.header("x-lark-signature");
        if given.is_empty() {
            return Ok(false);
        }
        let (at, nonce) = (knock.header("x-lark-request-timestamp"), knock.header("x-lark-request-nonce"));
        if !sign::same(given, &feishu_signature(self.encrypt_key.reveal(), at, nonce, knock.body)) {
            return Err(Refusal::Signature);
        }
        knock.is_fresh(at, Unit::Seconds)?;
        Ok(true)
    }
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        let signed = self.is_signed(knock)?;
        let outer = document(knock.body).map_err(|fault| if signed { fault } else { Refusal::Signature })?;
        let event = match outer.get("encrypt").and_then(Value::as_str) {
            Some(sealed) => {
                let text = feishu_open(self.encrypt_key.reveal(), sealed).map_err(|_| Refusal::Signature)?;
                document(text.as_bytes())?
            }
            // Neither signed nor sealed: anybody could have written it.
            None if !signed => return Err(Refusal::Signature),
            None => outer,
        };
        if event.get("type").and_then(Value::as_str) == Some("url_verification") {
            if !self.is_token(&text_at(&event, "/token")) {
                return Err(Refusal::Signature);
            }
            return Ok(Heard::Reply(Answer::json(&json!({ "challenge": text_at(&event, "/challenge") }))));
        }
        if !signed || !self.is_token(&text_at(&event, "/header/token")) {
            return Err(Refusal::Signature);
        }
        let value = text_at(&event, "/event/action/value/t");
        if text_at(&event, "/header/event_type") != "card.action.trigger" || value.is_empty() {
            return Ok(Heard::Reply(Answer::json(&json!({}))));
        }
        let ids =
            ["open_id", "union_id", "user_id"].map(|id| text_at(&event, &format!("/event/operator/{id}")));
        Ok(Heard::Press(Press {
            ids: ids.into_iter().filter(|id| !id.is_empty()).collect(),
            value,
            event: text_at(&event, "/header/event_id"),
            place: Place { card: text_at(&event, "/event/context/open_message_id"), ..Place::default() },
        }))
    }

    fn pressed(&self, _: &Press, face: &Face) -> Answer {
        let tone = match face.tone {
            Tone::Good => "success",
            Tone::Plain => "info",
            Tone::Bad => "error",
        };
        let mut said = json!({ "toast": { "type": tone, "content": face.say } });
        if let Some(card) = &face.card {
            said["card"] = json!({ "type": "raw", "data": answered(card) });
        }
        Answer::json(&said)
    }

    fn answers_with_card(&self) -> bool {
        true
    }

    fn people(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.people)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    fn ears() -> Ears {
        let people = BTreeMap::new();
        Ears { encrypt_key: Secret::new("kudryavka"), token: Secret::new("vtoken"), people }
    }

    fn hear(body: &str, at: &str, nonce: &str, signature: Option<&str>) -> Result<Heard, Refusal> {
        let own = feishu_signature("kudryavka", at, nonce, body.as_bytes());
        let signature = signature.unwrap_or(&own);
        let all = [
            ("x-lark-request-timestamp", at),
            ("x-lark-request-nonce", nonce),
            ("x-lark-signature", signature),
        ];
        let headers = if signature.is_empty() { headers(&[]) } else { headers(&all) };
        ears().hear(&knock(&headers, "", body.as_bytes(), None))
    }

    fn event(token: &str) -> String {
        let event = json!({
            "schema": "2.0",
            "header": { "event_id": "e1", "token": token, "event_type": "card.action.trigger" },
            "event": {
                "operator": { "open_id": "ou_1", "union_id": "on_1", "user_id": null },
                "action": { "tag": "button", "value": { "t": "BUTTON" } },
                "context": { "open_message_id": "om_1" },
            },
        });
        event.to_string()
    }

    #[test]
    fn a_press_is_heard_when_it_is_signed_now() {
        let Ok(Heard::Press(press)) = hear(&event("vtoken"), "1790000000", "n", None) else {
            panic!("it is heard");
        };
        assert_eq!(press.ids, ["ou_1", "on_1"]);
        assert_eq!((&*press.value, &*press.event, &*press.place.card), ("BUTTON", "e1", "om_1"));
    }

    #[test]
    fn whatever_is_wrong_with_it_is_refused() {
        let good = event("vtoken");
        for (body, at, signature, want) in [
            (good.as_str(), "1790000000", Some("00"), Refusal::Signature),
            (&good, "1790000000", Some(""), Refusal::Signature),
            (&good, "1789999699", None, Refusal::Stale),
            (&good, "", None, Refusal::Stale),
            (&event("other"), "1790000000", None, Refusal::Signature),
            (r#"{"encrypt":"AAAA"}"#, "1790000000", None, Refusal::Signature),
            ("not json", "1790000000", None, Refusal::Unreadable("the body is no JSON document")),
            ("not json", "1790000000", Some(""), Refusal::Signature),
            // Sealed, but a press has to be signed too.
            (r#"{"encrypt":"EBESExQVFhcYGRobHB0eH917"}"#, "1790000000", Some(""), Refusal::Signature),
        ] {
            let found = hear(body, at, "n", signature);
            assert_eq!(found.err(), Some(want), "{body} {at} {signature:?}");
        }
    }

    #[test]
    fn the_check_of_the_address_is_answered() {
        // The published vector: `{"challenge":"c1","token":"vtoken","type":"url_verification"}`.
        let sealed = r#"{"encrypt":"AAECAwQFBgcICQoLDA0OD0zYU4crOXM+NvcWR63w8SxDm5QLelcRSQge8352+fvUR8HQgSLHCW9BnOQsTVfWkWx/92Z/BkUBuhfvjbz+K8g="}"#;
        for signature in [Some(""), None] {
            let Ok(Heard::Reply(answer)) = hear(sealed, "1790000000", "n", signature) else { panic!() };
            assert_eq!(answer.body, r#"{"challenge":"c1"}"#);
        }
    }
}
