//! An application of Feishu or Lark (飞书应用机器人, `apis/channels` 8) that writes to a person or a group: a card whose
//! buttons are links or, with `callback`, are pressed on the card itself, under a token that runs out. Its `uuid` drops a second copy for an hour. What is most urgent can
//! ring the phone besides (加急).

use std::path::Path;

use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, line, said};
use crate::channels::callback::feishu::{Ears, FeishuCallbackConfig};
use crate::channels::callback::{Card, Face, Hears, Place};
use crate::channels::chat::{Chat, Link};
use crate::channels::provider::{
    Made, Provider, ReachConfig, Reply, Request, Token, bad_address, build, too_long, within,
};
use crate::channels::wecom_app::read_token;
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, Class, DuplicateKey, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "feishu_app",
    about: "飞书、Lark 应用机器人 / an application of Feishu or Lark, to a person",
    class: ChannelClass::ChatApp,
    markup: Markup::Markdown,
    chosen: |config| config.feishu_app.is_some(),
    check: |config, problems| config.feishu_app.iter().for_each(|app| app.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.feishu_app.as_ref(), App::make),
};

const BASE: &str = "https://open.feishu.cn";
const MESSAGES: &str = "/open-apis/im/v1/messages";
/// What a card may be long.
const CARD: usize = 30 * 1024;
/// What is left of that for the text.
const TEXT: usize = 18_000;

/// How a person is buzzed besides (加急).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeishuBuzz {
    /// Not at all.
    #[default]
    None,
    /// In the app.
    App,
    /// By a short message, as paid for.
    Sms,
    /// By a call, as paid for.
    Phone,
}

/// `[channels.NAME.feishu_app]`: an application of Feishu or Lark (飞书自建应用) with a bot. A contact's address on it is an
/// `open_id` (`ou_…`), `union_id` (`on_…`), chat (`oc_…`), mail address, or else a user id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeishuAppConfig {
    /// The application, `cli_…`.
    pub app_id: String,
    /// Its secret.
    pub secret: SecretConfig,
    /// How the most urgent (p0) rings besides: `none`, `app`, `sms` or `phone`. It wants the right to do so.
    pub buzz: FeishuBuzz,
    /// Its buttons are pressed on the card itself; without it they open pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<FeishuCallbackConfig>,
    /// How it is reached; `base = "https://open.larksuite.com"` is Lark.
    pub http: ReachConfig,
}

impl FeishuAppConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if self.app_id.trim().is_empty() {
            problems.within("app_id", |p| p.error("is empty, expected the id of the application, cli_…"));
        }
        problems.within("secret", |p| self.secret.check_given("", p));
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct App {
    secret: Secret,
    base: String,
    config: FeishuAppConfig,
    ears: Option<Ears>,
}

impl App {
    fn make(
        config: &FeishuAppConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<App>, BuildFault> {
        let secret = config.secret.need("secret.", making.env)?;
        let ears = config.callback.as_ref().map(|callback| callback.ears(making.env)).transpose()?;
        let heard = ears.iter().flat_map(Ears::secrets);
        Ok(Made {
            secrets: std::iter::once(secret.reveal().to_owned()).chain(heard).collect(),
            card: ChannelCard {
                body_limit: Some(TEXT),
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                duplicate_key: DuplicateKey::Strong { horizon: Span::HOUR },
                lane_caps: vec![within(5, Span::from_secs(1), making)],
                account_caps: vec![
                    within(50, Span::from_secs(1), making),
                    within(1000, Span::MINUTE, making),
                ],
                ..card
            },
            reach: config.http.clone(),
            provider: App { secret, base: config.http.base(BASE), config: config.clone(), ears },
        })
    }
}

impl Provider for App {
    fn token(&self) -> Option<Request> {
        Some(token_request(&self.base, &self.config.app_id, self.secret.reveal()))
    }

    fn read_token(&self, reply: &Reply) -> Result<Token, Outcome> {
        let outcome = ANSWERS.judge(reply, said(reply, "code", "msg"));
        match outcome.class {
            Accepted => read_token(reply, "tenant_access_token", "expire"),
            // Whatever else is wrong with it, it is the application or its secret.
            Transient if reply.is_good() => Err(Outcome { class: Credential, ..outcome }),
            _ => Err(outcome),
        }
    }

    fn request(&self, claim: &Claim, token: &str, _: Instant) -> Result<Request, Outcome> {
        let who = claim.address.trim();
        if who.is_empty() {
            return Err(bad_address("an open_id, union_id, chat_id, mail address or user id"));
        }
        let content = card(&Chat::of(claim), claim.priority);
        match content.to_string().len() {
            long if long > CARD => Err(too_long(long, CARD)),
            _ => {
                let kind = id_kind(who);
                let body = message(who, "interactive", &content, Some(&claim.key));
                Ok(api(Method::POST, &self.base, &to(kind), token, &body))
            }
        }
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        let reset = reply.headers.get("x-ogw-ratelimit-reset").and_then(|v| v.to_str().ok()?.parse().ok());
        let wait = reply.wait.max(reset.map(|secs: i64| Span::from_secs(secs.clamp(0, 86_400))));
        let reply = Reply { wait, ..reply.clone() };
        let mut outcome = ANSWERS.judge(&reply, said(&reply, "code", "msg"));
        if outcome.class == Accepted {
            let id = reply.json().and_then(|d| d.pointer("/data/message_id")?.as_str().map(str::to_owned));
            outcome.provider_id = id;
        }
        outcome
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn amend(&self, place: &Place, face: &Face, token: &str) -> Option<Request> {
        let card = face.card.as_ref().filter(|_| !place.card.is_empty())?;
        let body = json!({ "content": answered(card).to_string() });
        Some(api(Method::PATCH, &self.base, &update(&place.card), token, &body))
    }

    fn amended(&self, reply: &Reply) -> Outcome {
        ANSWERS.judge(reply, said(reply, "code", "msg"))
    }

    fn after(&self, claim: &Claim, outcome: &Outcome, token: &str) -> Option<Request> {
        let how = match self.config.buzz {
            FeishuBuzz::None => return None,
            FeishuBuzz::App => "app",
            FeishuBuzz::Sms => "sms",
            FeishuBuzz::Phone => "phone",
        };
        let to = claim.address.trim();
        let kind = Some(id_kind(to)).filter(|kind| matches!(*kind, "open_id" | "union_id" | "user_id"))?;
        let id = outcome.provider_id.as_deref().filter(|_| claim.priority == Class::P0)?;
        let path = urgent(id, how, kind);
        Some(api(Method::PATCH, &self.base, &path, token, &json!({ "user_id_list": [to] })))
    }
}

/// `apis/channels` 8.
static ANSWERS: Answers = Answers {
    name: "code",
    good: "0",
    lines: &[
        line("99991400", Throttled).wait(10),
        line("230020", Throttled).wait(10),
        line("11232", Throttled).wait(60),
        line("11233", Throttled).wait(60),
        line("99991661", Credential),
        line("99991663", Credential),
        line("99991665", Credential),
        line("10003", Credential),
        line("10014", Credential),
        line("99991672", Config),
        line("230027", Config),
        line("230002", Config),
        line("230006", Config),
        line("232009", Config),
        line("230018", Config),
        line("230035", Config),
        line("230024", Config),
        line("230052", Config),
        line("230013", RecipientPermanent),
        line("230029", RecipientPermanent),
        line("230053", RecipientPermanent),
        line("230038", RecipientPermanent),
        line("230001", RecipientPermanent),
        line("230034", RecipientPermanent),
        line("230022", ContentPermanent),
        line("230028", ContentPermanent),
        line("230025", ContentPermanent),
        line("230099", ContentPermanent),
        line("230031", ContentPermanent),
        line("230049", Transient).wait(2),
        line("230023", Transient),
        line("9499", Throttled).says(&["too many", "frequen", "limit"]).wait(60),
        line("9499", ContentPermanent),
    ],
};

/// What kind of id an address is.
fn id_kind(address: &str) -> &'static str {
    match address {
        a if a.starts_with("ou_") => "open_id",
        a if a.starts_with("on_") => "union_id",
        a if a.starts_with("oc_") => "chat_id",
        a if a.contains('@') => "email",
        _ => "user_id",
    }
}

/// The request for a token.
pub(super) fn token_request(base: &str, app_id: &str, secret: &str) -> Request {
    let body = json!({ "app_id": app_id, "app_secret": secret });
    Request::json(format!("{base}/open-apis/auth/v3/tenant_access_token/internal"), &body)
}

/// A call of its API.
pub(super) fn api(method: Method, base: &str, path: &str, token: &str, body: &Value) -> Request {
    let request = Request::json(format!("{base}{path}"), body);
    Request { method, ..request }.with("authorization", format!("Bearer {token}"))
}

/// The path of a message to somebody whose id is of this kind.
pub(super) fn to(kind: &str) -> String {
    format!("{MESSAGES}?receive_id_type={kind}")
}

/// The path of a message that is there already.
pub(super) fn update(id: &str) -> String {
    format!("{MESSAGES}/{}", sign::percent(id))
}

/// The path of a buzz for a message.
pub(super) fn urgent(id: &str, how: &str, kind: &str) -> String {
    format!("{}/urgent_{how}?user_id_type={kind}", update(id))
}

/// A message; its content is a document in a text.
pub(super) fn message(to: &str, kind: &str, content: &Value, uuid: Option<&str>) -> Value {
    let mut body = json!({ "receive_id": to, "msg_type": kind, "content": content.to_string() });
    if let Some(uuid) = uuid {
        body["uuid"] = json!(uuid.chars().take(50).collect::<String>());
    }
    body
}

/// A card of ours.
fn card(chat: &Chat<'_>, class: Class) -> Value {
    let colour = match class {
        Class::P0 => "red",
        Class::P1 => "orange",
        Class::P2 => "blue",
        Class::P3 => "grey",
    };
    let mut buttons: Vec<Value> = chat
        .buttons
        .iter()
        .map(|pressed| {
            button(&pressed.label, &json!({ "type": "callback", "value": { "t": pressed.value } }))
        })
        .chain(links(&chat.links))
        .collect();
    if let Some(first) = buttons.first_mut() {
        first["type"] = json!("primary");
    }
    framed(chat.title, colour, vec![plain(&chat.text)], buttons)
}

/// A card of ours that somebody answered.
pub(super) fn answered(card: &Card) -> Value {
    let lines = vec![plain(&card.state), plain(&card.text)];
    framed(&card.title, "green", lines, links(&card.links).collect())
}

fn framed(title: &str, colour: &str, mut elements: Vec<Value>, buttons: Vec<Value>) -> Value {
    elements.extend(buttons);
    json!({
        "schema": "2.0",
        "config": { "update_multi": true },
        "header": { "title": { "tag": "plain_text", "content": title }, "template": colour },
        "body": { "elements": elements },
    })
}

fn plain(text: &str) -> Value {
    json!({ "tag": "div", "text": { "tag": "plain_text", "content": text } })
}

fn button(label: &str, behaviour: &Value) -> Value {
    json!({
        "tag": "button",
        "text": { "tag": "plain_text", "content": label },
        "type": "default",
        "behaviors": [behaviour],
    })
}

fn links(links: &[Link]) -> impl Iterator<Item = Value> {
    links.iter().map(|link| button(&link.label, &json!({ "type": "open_url", "default_url": link.url })))
}
