//! A robot in a group of Feishu or Lark (飞书自定义机器人, `apis/channels` 7): signed in the body, with a card whose buttons
//! are links. Its `code` decides.

use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, line, said};
use crate::channels::chat::{Chat, Mention};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, build, too_long, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{Config, ContentPermanent, Throttled};
use crate::core::model::{ChannelCard, ChannelClass, Class, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "feishu_robot",
    about: "飞书、Lark 群机器人 / a robot in a group of Feishu or Lark, signed",
    class: ChannelClass::ChatRobot,
    markup: Markup::Markdown,
    chosen: |config| config.feishu_robot.is_some(),
    check: |config, problems| config.feishu_robot.iter().for_each(|robot| robot.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.feishu_robot.as_ref(), Robot::make),
};

const BASE: &str = "https://open.feishu.cn";
const PATH: &str = "/open-apis/bot/v2/hook/";
/// What a request may be long.
const BODY: usize = 20 * 1024;
/// What is left of that for the text.
const TEXT: usize = 14_000;

/// The form of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeishuForm {
    /// A card with buttons.
    #[default]
    Card,
    /// Plain text.
    Text,
}

/// `[channels.NAME.feishu_robot]`: a robot in a group of Feishu or Lark (飞书群机器人). A contact's address on it is whom it
/// mentions: an `open_id` (`ou_…`), `all`, or nothing; it cannot find people by their mobile numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeishuRobotConfig {
    /// The webhook as Feishu shows it, or what stands behind its last slash.
    pub webhook: SecretConfig,
    /// The signing secret (签名校验).
    pub secret: SecretConfig,
    /// A keyword of the robot (自定义关键词): said at the end of a message that does not hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// `card` or `text`.
    pub form: FeishuForm,
    /// How it is reached; `base = "https://open.larksuite.com"` is Lark.
    pub http: ReachConfig,
}

impl FeishuRobotConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.webhook.rebase(folder);
        self.secret.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("webhook", |p| self.webhook.check_given("", p));
        problems.within("secret", |p| self.secret.check("", p));
        if self.keyword.as_deref().is_some_and(|word| word.trim().is_empty()) {
            problems.within("keyword", |p| p.error("is empty, expected one of the robot's keywords"));
        }
        if self.secret == SecretConfig::default() {
            problems.warn("has no secret: whoever learns the webhook can write into the group");
        }
        self.http.check(problems);
    }
}

struct Robot {
    url: Url,
    secret: Option<Secret>,
    keyword: Option<String>,
    form: FeishuForm,
}

impl Robot {
    fn make(
        config: &FeishuRobotConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Robot>, BuildFault> {
        let webhook = config.webhook.need("webhook.", making.env)?;
        let secret = config.secret.read("secret.", making.env)?;
        let given = webhook.reveal().trim();
        let whole = match given.contains("://") {
            true => given.to_owned(),
            false => format!("{}{PATH}{}", config.http.base(BASE), sign::percent(given)),
        };
        let fault = |reason: String| BuildFault::Setting(format!("webhook: {reason}"));
        let url = config.http.target(&whole).map_err(fault)?;
        let token = url.path().rsplit('/').next().unwrap_or_default().to_owned();
        if !url.path().contains("/hook/") || token.is_empty() {
            return Err(fault(format!("has no {PATH}TOKEN, expected the webhook as Feishu shows it")));
        }
        let secrets = [token].into_iter().chain(secret.iter().map(|s| s.reveal().to_owned())).collect();
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                account_caps: vec![within(5, Span::from_secs(1), making), within(100, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets,
            provider: Robot { url, secret, keyword: config.keyword.clone(), form: config.form },
        })
    }
}

impl Provider for Robot {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let keyword = self.keyword.as_deref().filter(|word| !claim.body.text.contains(word));
        let end = keyword.map(|word| format!("\n{word}")).unwrap_or_default();
        let mention = Mention::of(&claim.address);
        let message = match self.form {
            FeishuForm::Text => text(&format!("{}{}{end}", called(mention, '"'), claim.body.text)),
            FeishuForm::Card => card(&Chat::of(claim), &end, claim.priority, mention),
        };
        let body = match &self.secret {
            Some(secret) => signed(message, secret.reveal(), now.as_secs()),
            None => message,
        };
        let request = Request::json(self.url.to_string(), &body);
        match request.body.len() {
            long if long > BODY => Err(too_long(long, BODY)),
            _ => Ok(request),
        }
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        // The gateway says how long it is shut in a header of its own.
        let reset = reply.headers.get("x-ogw-ratelimit-reset").and_then(|v| v.to_str().ok()?.parse().ok());
        let wait = reply.wait.max(reset.map(|secs: i64| Span::from_secs(secs.clamp(0, 86_400))));
        let reply = Reply { wait, ..reply.clone() };
        ANSWERS.judge(
            &reply,
            said(&reply, "code", "msg").or_else(|| said(&reply, "StatusCode", "StatusMessage")),
        )
    }
}

/// `apis/channels` 7. 9499 is told of too long texts and of too many: what it says decides.
static ANSWERS: Answers = Answers {
    name: "code",
    good: "0",
    lines: &[
        line("9499", Throttled).says(&["too many", "frequen", "limit"]).wait(60),
        line("9499", ContentPermanent),
        line("19021", Config),
        line("19022", Config),
        line("19024", Config),
        line("11232", Throttled).wait(60),
        line("11233", Throttled).wait(60),
        line("99991400", Throttled).wait(60),
    ],
};

/// A plain text.
pub(super) fn text(content: &str) -> Value {
    json!({ "msg_type": "text", "content": { "text": content } })
}

/// A card of ours.
fn card(chat: &Chat<'_>, end: &str, class: Class, mention: Mention<'_>) -> Value {
    let colour = match class {
        Class::P0 => "red",
        Class::P1 => "orange",
        Class::P2 => "blue",
        Class::P3 => "grey",
    };
    let mut elements = vec![json!({
        "tag": "div",
        "text": { "tag": "plain_text", "content": format!("{}{end}", chat.text) },
    })];
    let called = called(mention, ' ');
    if !called.is_empty() {
        elements.push(json!({ "tag": "div", "text": { "tag": "lark_md", "content": called.trim() } }));
    }
    let buttons = chat.links.iter().enumerate().map(|(i, link)| {
        let kind = if i == 0 { "primary" } else { "default" };
        json!({ "tag": "button", "text": { "tag": "plain_text", "content": link.label }, "type": kind, "url": link.url })
    });
    let buttons: Vec<Value> = buttons.collect();
    if !buttons.is_empty() {
        elements.push(json!({ "tag": "action", "actions": buttons }));
    }
    interactive(json!({
        "config": { "wide_screen_mode": true },
        "header": { "title": { "tag": "plain_text", "content": chat.title }, "template": colour },
        "elements": elements,
    }))
}

/// A message that is this card.
pub(super) fn interactive(card: Value) -> Value {
    json!({ "msg_type": "interactive", "card": card })
}

/// How a text calls somebody: the id is quoted in texts and bare in cards.
fn called(mention: Mention<'_>, quote: char) -> String {
    let id = match mention {
        Mention::None | Mention::Mobile(_) => return String::new(),
        Mention::All => "all",
        Mention::Id(id) => id,
    };
    // An id of letters, digits and `_-`: nothing that ends the tag.
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return String::new();
    }
    match quote {
        '"' => format!("<at user_id=\"{id}\"></at> "),
        _ => format!("<at id={id}></at> "),
    }
}

/// The message with the time in seconds and its signature: the reverse of DingTalk's, an empty text under a key of both.
pub(super) fn signed(mut message: Value, secret: &str, at_secs: i64) -> Value {
    let sign = sign::base64(&sign::hmac_sha256(format!("{at_secs}\n{secret}").as_bytes(), b""));
    message["timestamp"] = json!(at_secs.to_string());
    message["sign"] = json!(sign);
    message
}
