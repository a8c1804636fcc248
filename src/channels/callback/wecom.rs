//! Presses of buttons on cards of WeCom (`apis/channels` 6): an event in a sealed document, signed in the query. It is
//! answered at once with nothing; what there is to show needs the code that the press brings, which is good once.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Heard, Hears, Knock, Place, Press, Refusal, Unit, wecom_open, wecom_signature};
use crate::channels::BuildFault;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::form;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// `[channels.NAME.wecom_app.callback]`: buttons that are pressed on the card (接收消息服务器配置). Its URL there is
/// `…/v1/callbacks/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WecomCallbackConfig {
    /// The Token of 接收消息 → API接收.
    pub token: SecretConfig,
    /// The EncodingAESKey beside it, 43 letters and digits.
    pub aes_key: SecretConfig,
    /// Who presses, where their contact here is another id: a user id (成员账号), and the person.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
}

impl WecomCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
        self.aes_key.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("token", |p| self.token.check_given("", p));
        problems.within("aes_key", |p| self.aes_key.check_given("", p));
    }

    /// Who listens by it, for a company.
    pub(crate) fn ears(&self, corp: &str, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        let secret = |config: &SecretConfig, key| -> Result<Secret, BuildFault> {
            Ok(Secret::new(config.need(key, env)?.reveal().trim()))
        };
        let aes_key = secret(&self.aes_key, "callback.aes_key.")?;
        if aes_key.reveal().len() != 43 || !aes_key.reveal().bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(BuildFault::Setting(format!(
                "callback.aes_key: has {} bytes, expected the 43 letters and digits of EncodingAESKey",
                aes_key.reveal().len()
            )));
        }
        let token = secret(&self.token, "callback.token.")?;
        Ok(Ears { token, aes_key, corp: corp.trim().to_owned(), people: self.people.clone() })
    }
}

/// Who listens to WeCom.
pub(crate) struct Ears {
    token: Secret,
    aes_key: Secret,
    corp: String,
    people: BTreeMap<String, String>,
}

impl Ears {
    /// What no text may repeat.
    pub(crate) fn secrets(&self) -> [String; 2] {
        [self.token.reveal().to_owned(), self.aes_key.reveal().to_owned()]
    }

    fn open(&self, knock: &Knock<'_>, sealed: &str) -> Result<String, Refusal> {
        let fields = knock.fields();
        let of = |name| form::value(&fields, name);
        let expected = wecom_signature(self.token.reveal(), of("timestamp"), of("nonce"), sealed);
        if !sign::same(of("msg_signature"), &expected) {
            return Err(Refusal::Signature);
        }
        knock.is_fresh(of("timestamp"), Unit::Seconds)?;
        wecom_open(self.aes_key.reveal(), sealed, &self.corp).map_err(|_| Refusal::Signature)
    }
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        if *knock.method == reqwest::Method::GET {
            let fields = knock.fields();
            let echo = self.open(knock, form::value(&fields, "echostr"))?;
            return Ok(Heard::Reply(Answer::text(echo)));
        }
        // No more than where the envelope begins is looked at before it is known to be theirs.
        let body = std::str::from_utf8(knock.body).map_err(|_| Refusal::Signature)?;
        let sealed = element(body, "Encrypt").ok_or(Refusal::Signature)?;
        let event = self.open(knock, &sealed)?;
        let of = |name| element(&event, name).unwrap_or_default();
        let value = of("EventKey");
        if of("Event") != "template_card_event" || value.is_empty() {
            return Ok(Heard::Reply(Answer::empty()));
        }
        let (user, code) = (of("FromUserName"), of("ResponseCode"));
        Ok(Heard::Press(Press {
            event: format!("{} {code}", of("TaskId")),
            value,
            place: Place { card: code, person: user.clone(), ..Place::default() },
            ids: vec![user],
        }))
    }

    /// User ids are the same in capitals.
    fn is_user(&self, address: &str, id: &str) -> bool {
        address.trim().eq_ignore_ascii_case(id)
    }

    fn people(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.people)
    }
}

/// The text of the first element of this name in a document of theirs: flat, without attributes, its text plain or in
/// `CDATA`.
fn element(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    Some(match text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")) {
        Some(text) => text.to_owned(),
        None => text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const ECHO: &str =
        "4j/AuRx71kQlxVlzbpsMWCelA8C1lBoxP43lHv+9IBYt+cD4sHFjiuHNKIIHxL5+010Hh1a8SWWfq9neY4oTOA==";
    /// The published event: a press of a button.
    const EVENT: &str = "WShdwU+8TE9KBsBjdN9jY4SeiAx8vCWZx2DWqLyBGj/3rpIHC+2ChDRc2vXrsR+8yV9pDkT+ytNKIk2/5EU5JXimNT9gwc0uuy0CjZdOdPQOxD0ErwYo0MPjoq1htT29IOEv7VQOK24IHLhe1zC/Ag5f9MPP4dt/doQ4xMJQ7OGP3H8hx4VKnTwhArsibOn+Dji6cELsQ/odTTQj2KTvpVxhFLhg8zYa0EDZfjxwWrveO7mefEgcdlCLuergMkUv9extp1apj913X7e01u+vuCA1AMeSaoxVeOAWiLMQIYOyLwiu6unBaBdvLlrH/RBZUz4ZxaREgGS1zjXcnqZoZCxUmwadOYlwLfL6rd5Gb0ARcuPPfa7FiWF75u95Oo1Ch3uDZ9v+9Wl/J/EcNS3BYkHDTagOQITmpZlWBzC+pg5FjzmjqxUpzM4Wxxfiw2ofsfoQuaZ/usjn89OtL2Auww==";

    fn ears(corp: &str) -> Ears {
        let (token, aes_key) = (Secret::new("tokenexample"), Secret::new(KEY));
        Ears { token, aes_key, corp: corp.to_owned(), people: BTreeMap::new() }
    }

    fn hear(
        ears: &Ears,
        at: &str,
        sealed: &str,
        signature: Option<&str>,
        post: bool,
    ) -> Result<Heard, Refusal> {
        let own = wecom_signature("tokenexample", at, "n", sealed);
        let mut fields = vec![
            ("msg_signature", signature.unwrap_or(&own).to_owned()),
            ("timestamp", at.to_owned()),
            ("nonce", "n".to_owned()),
        ];
        let body = format!(
            "<xml><ToUserName><![CDATA[ww]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        );
        if !post {
            fields.push(("echostr", sealed.to_owned()));
        }
        let none = headers(&[]);
        ears.hear(&knock(&none, &sign::query(&fields), if post { body.as_bytes() } else { b"" }, None))
    }

    #[test]
    fn the_published_press_is_heard_and_the_address_is_checked() {
        let Ok(Heard::Press(press)) = hear(&ears("wwcorp"), "1790000000", EVENT, None, true) else {
            panic!("it is heard");
        };
        assert!(!press.value.is_empty() && !press.place.card.is_empty(), "{:?} {}", press.ids, press.value);
        assert!(ears("wwcorp").is_user(&press.ids[0].to_uppercase(), &press.ids[0]));
        let Ok(Heard::Reply(answer)) = hear(&ears("wwcorp"), "1790000000", ECHO, None, false) else {
            panic!("it is answered");
        };
        assert_eq!(answer.body, "8921347298347");
    }

    #[test]
    fn what_is_not_signed_now_for_this_company_is_refused() {
        for (corp, at, sealed, signature, want) in [
            ("wwcorp", "1790000000", EVENT, Some("00"), Refusal::Signature),
            ("wwcorp", "1790000301", EVENT, None, Refusal::Stale),
            ("wwother", "1790000000", EVENT, None, Refusal::Signature),
            ("wwcorp", "1790000000", &EVENT[4..], None, Refusal::Signature),
        ] {
            for post in [true, false] {
                let found = hear(&ears(corp), at, sealed, signature, post);
                assert_eq!(found.err(), Some(want), "{corp} {at} {signature:?} {post}");
            }
        }
    }

    #[test]
    fn elements_are_read_as_they_write_them() {
        let document = "<xml><A><![CDATA[x<y]]></A><B>1</B><C>a&amp;b</C></xml>";
        assert_eq!(element(document, "A").as_deref(), Some("x<y"));
        assert_eq!(element(document, "B").as_deref(), Some("1"));
        assert_eq!(element(document, "C").as_deref(), Some("a&b"));
        assert_eq!(element(document, "D"), None);
        assert_eq!(element("<A>", "A"), None);
    }
}
