//! Presses of buttons on cards of DingTalk (`apis/channels` 4; its page 事件回调 of 2026-08-04). The signature covers the
//! time alone, so TLS is all that protects the body: the value of the button, which is signed by us, must fit besides. Its
//! answer shows the card, and must come within two seconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Answer, Face, Heard, Hears, Knock, Place, Press, Refusal, Unit, dingtalk_signature, document, text_at,
};
use crate::channels::BuildFault;
use crate::channels::dingtalk_app::answered;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// It gives up after two seconds.
const WAITS: Duration = Duration::from_millis(1800);

/// `[channels.NAME.dingtalk_app.callback]`: messages are cards (互动卡片) whose buttons are pressed. The address
/// `…/v1/callbacks/NAME` is registered there by `/v1.0/card/callbacks/register`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DingtalkCallbackConfig {
    /// The template of the card (卡片模板 ID), `….schema`; `docs/channels.md` says what it holds.
    pub template: String,
    /// The `callbackRouteKey` that the address is registered under.
    pub route_key: String,
    /// The `apiSecret` that was given then.
    pub secret: SecretConfig,
    /// Who presses, where their contact here is another id: a userId, and the person.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
}

impl DingtalkCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        for (name, value, expected) in [
            ("template", &self.template, "the id of the card's template, ….schema"),
            ("route_key", &self.route_key, "the callbackRouteKey that the address is registered under"),
        ] {
            if value.trim().is_empty() {
                problems.within(name, |p| p.error(format!("is empty, expected {expected}")));
            }
        }
        problems.within("secret", |p| self.secret.check_given("", p));
    }

    /// Who listens by it.
    pub(crate) fn ears(&self, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        let secret = self.secret.need("callback.secret.", env)?;
        Ok(Ears { secret: Secret::new(secret.reveal().trim()), people: self.people.clone() })
    }
}

/// Who listens to DingTalk.
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
        let at = knock.header("x-ddpaas-signature-timestamp");
        let expected = dingtalk_signature(self.secret.reveal(), at);
        if !sign::same(knock.header("x-ddpaas-signature"), &expected) {
            return Err(Refusal::Signature);
        }
        knock.is_fresh(at, Unit::Millis)?;
        let event = document(knock.body)?;
        let content = text_at(&event, "/content");
        if text_at(&event, "/type") != "actionCallback" || content.is_empty() {
            return Ok(Heard::Reply(Answer::json(&json!({}))));
        }
        let content = document(content.as_bytes())?;
        let value = text_at(&content, "/cardPrivateData/params/t");
        if value.is_empty() {
            return Ok(Heard::Reply(Answer::json(&json!({}))));
        }
        let (user, card) = (text_at(&event, "/userId"), text_at(&event, "/outTrackId"));
        Ok(Heard::Press(Press {
            event: format!("{card} {at}"),
            value,
            place: Place { card, person: user.clone(), ..Place::default() },
            ids: vec![user],
        }))
    }

    fn pressed(&self, _: &Press, face: &Face) -> Answer {
        let mut said = json!({
            "cardUpdateOptions": { "updateCardDataByKey": true, "updatePrivateDataByKey": true },
            "userPrivateData": { "cardParamMap": { "said": face.say } },
        });
        if let Some(card) = &face.card {
            said["cardData"] = json!({ "cardParamMap": answered(card) });
        }
        Answer::json(&said)
    }

    fn waits(&self) -> Duration {
        WAITS
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

    fn hear(body: &str, at: &str, signature: Option<&str>) -> Result<Heard, Refusal> {
        let own = dingtalk_signature("s3cret", at);
        let headers = headers(&[
            ("x-ddpaas-signature-timestamp", at),
            ("x-ddpaas-signature", signature.unwrap_or(&own)),
        ]);
        let ears = Ears { secret: Secret::new("s3cret"), people: BTreeMap::new() };
        ears.hear(&knock(&headers, "", body.as_bytes(), None))
    }

    #[test]
    fn presses_are_heard_when_they_are_signed_now() {
        let content = json!({ "cardPrivateData": { "actionIds": ["ack"], "params": { "t": "BUTTON" } } });
        let press = json!({
            "type": "actionCallback", "outTrackId": "K1", "userId": "lin", "content": content.to_string(),
        })
        .to_string();
        let Ok(Heard::Press(heard)) = hear(&press, "1790000000000", None) else { panic!("it is heard") };
        assert_eq!((heard.ids, &*heard.value, &*heard.place.card), (vec!["lin".to_owned()], "BUTTON", "K1"));
        assert!(matches!(hear(r#"{"type":"other"}"#, "1790000000000", None), Ok(Heard::Reply(_))));
        for (at, signature, want) in [
            ("1790000000000", Some("AA=="), Refusal::Signature),
            ("1790000300001", None, Refusal::Stale),
            ("1790000000", None, Refusal::Stale),
        ] {
            assert_eq!(hear(&press, at, signature).err(), Some(want), "{at}");
        }
    }
}
