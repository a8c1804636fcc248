//! An application of WeCom (企业微信应用消息, `apis/channels` 6) that writes to a person: under a token that runs out, with a
//! check for copies of the same text. Who is not there stands in a list beside a good code. With `callback` it writes a
//! card whose buttons are pressed there.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, by_status, line, said, word};
use crate::channels::callback::wecom::{Ears, WecomCallbackConfig};
use crate::channels::callback::{Face, Hears, Place};
use crate::channels::chat::{Chat, cut_bytes};
use crate::channels::provider::{
    Made, Provider, ReachConfig, Reply, Request, Token, bad_address, build, within,
};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, DuplicateKey, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "wecom_app",
    about: "企业微信应用消息 / an application of WeCom, to a person",
    class: ChannelClass::ChatApp,
    markup: Markup::Markdown,
    chosen: |config| config.wecom_app.is_some(),
    check: |config, problems| config.wecom_app.iter().for_each(|app| app.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.wecom_app.as_ref(), App::make),
};

const BASE: &str = "https://qyapi.weixin.qq.com";
/// What a text may be long, in bytes.
const TEXT: usize = 2048;
/// For so long the same text is not shown twice.
const WINDOW: Span = Span::from_minutes(30);

/// `[channels.NAME.wecom_app]`: an application of WeCom (企业微信自建应用). A contact's address on it is a user id (成员账号).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WecomAppConfig {
    /// The company (企业ID), `ww…`.
    pub corp_id: String,
    /// The application (AgentId).
    pub agent_id: u32,
    /// Its secret.
    pub secret: SecretConfig,
    /// Messages are cards whose buttons are pressed there; without it they are texts with links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<WecomCallbackConfig>,
    /// How it is reached. This machine's address must be among its trusted ones (企业可信IP).
    pub http: ReachConfig,
}

impl WecomAppConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if self.corp_id.trim().is_empty() {
            problems.within("corp_id", |p| p.error("is empty, expected the id of the company, ww…"));
        }
        if self.agent_id == 0 {
            problems.within("agent_id", |p| p.error("is not given, expected the AgentId of the application"));
        }
        problems.within("secret", |p| self.secret.check_given("", p));
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct App {
    secret: Secret,
    base: String,
    config: WecomAppConfig,
    ears: Option<Ears>,
}

impl App {
    fn make(
        config: &WecomAppConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<App>, BuildFault> {
        let secret = config.secret.need("secret.", making.env)?;
        let callback = config.callback.as_ref();
        let ears = callback.map(|callback| callback.ears(&config.corp_id, making.env)).transpose()?;
        let heard = ears.iter().flat_map(Ears::secrets);
        Ok(Made {
            secrets: std::iter::once(secret.reveal().to_owned()).chain(heard).collect(),
            card: ChannelCard {
                body_limit: Some(TEXT),
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                duplicate_key: DuplicateKey::ContentWindow { horizon: WINDOW },
                // More than 30 a minute or 1,000 an hour to one person are dropped without a word.
                lane_caps: vec![within(20, Span::MINUTE, making), within(600, Span::HOUR, making)],
                account_caps: vec![within(600, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            provider: App { secret, base: config.http.base(BASE), config: config.clone(), ears },
        })
    }
}

impl Provider for App {
    fn token(&self) -> Option<Request> {
        let query = [("corpid", self.config.corp_id.as_str()), ("corpsecret", self.secret.reveal())];
        Some(Request::get(format!("{}/cgi-bin/gettoken?{}", self.base, sign::query(&query))))
    }

    fn read_token(&self, reply: &Reply) -> Result<Token, Outcome> {
        let outcome = ANSWERS.judge(reply, said(reply, "errcode", "errmsg"));
        if outcome.class != Accepted {
            return Err(outcome);
        }
        read_token(reply, "access_token", "expires_in")
    }

    fn request(&self, claim: &Claim, token: &str, _: Instant) -> Result<Request, Outcome> {
        let user = claim.address.trim();
        // `@all` and several people are not one person.
        if user.is_empty() || user.starts_with('@') || user.contains('|') {
            return Err(bad_address("the user id of one person"));
        }
        let chat = Chat::of(claim);
        let mut message = match chat.buttons.is_empty() {
            true => text(&cut_bytes(&claim.body.text, TEXT)),
            false => card(&chat, &claim.key),
        };
        message["enable_duplicate_check"] = json!(1);
        message["duplicate_check_interval"] = json!(WINDOW.as_secs());
        let body = body(&[user], self.config.agent_id, message);
        Ok(Request::json(format!("{}{}", self.base, path(token)), &body))
    }

    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome {
        let mut outcome = ANSWERS.judge(reply, said(reply, "errcode", "errmsg"));
        let Some(document) = reply.json().filter(|_| outcome.class == Accepted) else { return outcome };
        let listed = |name: &str| {
            let list = document.get(name).and_then(Value::as_str).unwrap_or_default();
            list.split('|').any(|user| user.trim().eq_ignore_ascii_case(claim.address.trim()))
        };
        let missing = ["invaliduser", "unlicenseduser"].into_iter().find(|name| listed(name));
        if let Some(name) = missing {
            let detail = Some(format!("the person is in its list {name}"));
            return Outcome { detail, class: RecipientPermanent, ..outcome };
        }
        outcome.provider_id = document.get("msgid").and_then(word);
        outcome
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn amend(&self, place: &Place, face: &Face, token: &str) -> Option<Request> {
        if place.person.is_empty() {
            return None;
        }
        match &face.card {
            // The code is good once: what does not change the card is told beside it.
            Some(card) if !place.card.is_empty() => {
                let body = json!({
                    "userids": [place.person],
                    "agentid": self.config.agent_id,
                    "response_code": place.card,
                    "button": { "replace_name": cut_chars(&card.state, BUTTON) },
                });
                let path =
                    format!("/cgi-bin/message/update_template_card?access_token={}", sign::percent(token));
                Some(Request::json(format!("{}{path}", self.base), &body))
            }
            _ => {
                let body = body(&[&place.person], self.config.agent_id, text(&cut_bytes(&face.say, TEXT)));
                Some(Request::json(format!("{}{}", self.base, path(token)), &body))
            }
        }
    }

    fn amended(&self, reply: &Reply) -> Outcome {
        ANSWERS.judge(reply, said(reply, "errcode", "errmsg"))
    }
}

/// What a title, the text below it and a button may be long, in characters.
const TITLE: usize = 36;
const BELOW: usize = 112;
const BUTTON: usize = 24;

/// A card whose buttons are pressed there; its links stand below them, and the whole of it opens the last, which only
/// looks.
fn card(chat: &Chat<'_>, task: &str) -> Value {
    let buttons: Vec<Value> = chat
        .buttons
        .iter()
        .enumerate()
        .map(|(i, button)| {
            json!({ "text": button.label, "style": if i == 0 { 1 } else { 2 }, "key": button.value })
        })
        .collect();
    let links: Vec<Value> = chat
        .links
        .iter()
        .take(3)
        .map(|link| json!({ "type": 1, "title": link.label, "url": link.url }))
        .collect();
    let mut card = json!({
        "card_type": "button_interaction",
        "main_title": { "title": cut_chars(chat.title, TITLE) },
        "sub_title_text": cut_chars(&chat.text, BELOW),
        "task_id": task,
        "button_list": buttons,
    });
    if let Some(view) = chat.links.iter().find(|link| link.purpose == "view") {
        card["card_action"] = json!({ "type": 1, "url": view.url });
    }
    if !links.is_empty() {
        card["jump_list"] = json!(links);
    }
    json!({ "msgtype": "template_card", "template_card": card })
}

fn cut_chars(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// `apis/channels` 6.
static ANSWERS: Answers = Answers {
    name: "errcode",
    good: "0",
    lines: &[
        line("-1", Transient),
        line("40001", Credential),
        line("40014", Credential),
        line("42001", Credential),
        line("45009", Throttled).wait(60),
        line("60020", Config),
        line("81013", RecipientPermanent),
        line("40003", RecipientPermanent),
        line("60111", RecipientPermanent),
        line("301002", Config),
        line("48002", Config),
        line("40058", ContentPermanent),
    ],
};

/// A token that stands under these names of a document.
pub(crate) fn read_token(reply: &Reply, token: &str, lives: &str) -> Result<Token, Outcome> {
    let document = reply.json();
    let of = |name: &str| document.as_ref().and_then(|d| d.get(name));
    match (of(token).and_then(Value::as_str), of(lives).and_then(Value::as_i64)) {
        (Some(text), Some(secs)) if !text.is_empty() => {
            Ok(Token { text: text.to_owned(), lives: Span::from_secs(secs.clamp(60, 86_400)) })
        }
        _ => Err(by_status(reply)),
    }
}

/// The path of a send.
pub(super) fn path(token: &str) -> String {
    format!("/cgi-bin/message/send?access_token={}", sign::percent(token))
}

/// A plain text.
pub(super) fn text(content: &str) -> Value {
    json!({ "msgtype": "text", "text": { "content": content }, "safe": 0 })
}

/// A message to these people.
pub(super) fn body(users: &[&str], agent_id: u32, message: Value) -> Value {
    let mut body = message;
    body["touser"] = json!(users.join("|"));
    body["toparty"] = json!("");
    body["totag"] = json!("");
    body["agentid"] = json!(agent_id);
    body
}
