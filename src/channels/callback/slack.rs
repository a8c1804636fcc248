//! Presses of buttons in Slack (`apis/channels` 9): a form with a payload, signed over the raw body. It is answered at once;
//! what there is to show goes to the address that the press brings.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Heard, Hears, Knock, Place, Press, Refusal, Unit, document, slack_signature, text_at};
use crate::channels::BuildFault;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::form;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// `[channels.NAME.slack.callback]`: buttons that are pressed in Slack (Interactivity). Its Request URL there is
/// `…/v1/callbacks/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlackCallbackConfig {
    /// The signing secret of the app (Basic Information → Signing Secret).
    pub signing_secret: SecretConfig,
    /// Who presses, where their contact here is a channel: a user id `U…`, and the person.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
}

impl SlackCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.signing_secret.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("signing_secret", |p| self.signing_secret.check_given("", p));
    }

    /// Who listens by it.
    pub(crate) fn ears(&self, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        let secret = self.signing_secret.need("callback.signing_secret.", env)?;
        Ok(Ears { secret: Secret::new(secret.reveal().trim()), people: self.people.clone() })
    }
}

/// Who listens to Slack.
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
        let at = knock.header("x-slack-request-timestamp");
        let expected = slack_signature(self.secret.reveal(), at, knock.body);
        if !sign::same(knock.header("x-slack-signature"), &expected) {
            return Err(Refusal::Signature);
        }
        knock.is_fresh(at, Unit::Seconds)?;
        let form = form::fields(knock.body, 32);
        let payload = match form::value(&form, "payload") {
            // Only the check of the address is no form.
            "" => document(knock.body)?,
            payload => document(payload.as_bytes())?,
        };
        if text_at(&payload, "/type") == "url_verification" {
            return Ok(Heard::Reply(Answer::json(&json!({ "challenge": text_at(&payload, "/challenge") }))));
        }
        let value = text_at(&payload, "/actions/0/value");
        // Buttons that are links say so, too.
        if text_at(&payload, "/type") != "block_actions" || value.is_empty() {
            return Ok(Heard::Reply(Answer::empty()));
        }
        let user = text_at(&payload, "/user/id");
        let (trigger, action) = (text_at(&payload, "/trigger_id"), text_at(&payload, "/actions/0/action_ts"));
        Ok(Heard::Press(Press {
            event: format!("{trigger} {action}"),
            value,
            place: Place {
                card: text_at(&payload, "/response_url"),
                person: user.clone(),
                ..Place::default()
            },
            ids: vec![user],
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

    fn hear(body: &str, at: &str, signature: Option<&str>) -> Result<Heard, Refusal> {
        let own = slack_signature("shhh", at, body.as_bytes());
        let headers =
            headers(&[("x-slack-request-timestamp", at), ("x-slack-signature", signature.unwrap_or(&own))]);
        let ears = Ears { secret: Secret::new("shhh"), people: BTreeMap::new() };
        ears.hear(&knock(&headers, "", body.as_bytes(), None))
    }

    #[test]
    fn presses_are_heard_and_the_rest_is_answered() {
        let press = json!({
            "type": "block_actions", "user": { "id": "U012AB3CD", "name": "lin" }, "trigger_id": "1.2",
            "actions": [{ "action_id": "ack", "value": "BUTTON", "action_ts": "3.4" }],
            "response_url": "https://hooks.slack.com/actions/T/1/x",
        });
        let form = |payload: &serde_json::Value| sign::form(&[("payload", payload.to_string())]);
        let Ok(Heard::Press(heard)) = hear(&form(&press), "1790000000", None) else { panic!("it is heard") };
        assert_eq!(
            (heard.ids, &*heard.value, &*heard.event),
            (vec!["U012AB3CD".to_owned()], "BUTTON", "1.2 3.4")
        );
        assert_eq!(heard.place.card, "https://hooks.slack.com/actions/T/1/x");
        let link = json!({ "type": "block_actions", "actions": [{ "url": "https://a.example" }] });
        assert!(matches!(hear(&form(&link), "1790000000", None), Ok(Heard::Reply(_))));
        let check = r#"{"type":"url_verification","challenge":"c1"}"#;
        let Ok(Heard::Reply(answer)) = hear(check, "1790000000", None) else { panic!("it is answered") };
        assert_eq!(answer.body, r#"{"challenge":"c1"}"#);
    }

    #[test]
    fn what_is_not_signed_now_is_refused() {
        for (at, signature, want) in [
            ("1790000000", Some("v0=00"), Refusal::Signature),
            ("1790000000", Some(""), Refusal::Signature),
            ("1790000301", None, Refusal::Stale),
            ("", None, Refusal::Stale),
        ] {
            assert_eq!(hear("payload=%7B%7D", at, signature).err(), Some(want), "{at} {signature:?}");
        }
    }
}
