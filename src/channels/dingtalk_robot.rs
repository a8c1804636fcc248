//! A robot in a group of DingTalk (钉钉自定义机器人, `apis/channels` 3): signed, with mentions by mobile number, and links
//! that open in the browser. It says 200 to everything; its `errcode` decides.

use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::channels::answers::{Answers, line, said};
use crate::channels::chat::{Chat, Link, Mention};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, build, too_long, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::{ChannelCard, ChannelClass, Outcome, OutcomeClass};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "dingtalk_robot",
    about: "钉钉群机器人 / a robot in a group of DingTalk, signed",
    class: ChannelClass::ChatRobot,
    markup: Markup::Markdown,
    chosen: |config| config.dingtalk_robot.is_some(),
    check: |config, problems| config.dingtalk_robot.iter().for_each(|robot| robot.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.dingtalk_robot.as_ref(), Robot::make),
};

const BASE: &str = "https://oapi.dingtalk.com";
/// What a request may be long.
const BODY: usize = 20_000;
/// What is left of that for the text, with what JSON and the frame take.
const TEXT: usize = 14_000;

/// The form of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DingtalkForm {
    /// A title, lines, links.
    #[default]
    Markdown,
    /// Plain text.
    Text,
    /// A card with buttons (actionCard). DingTalk promises no mentions in cards.
    Card,
}

/// Where links open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DingtalkLinks {
    /// In the browser, where people are signed in.
    #[default]
    Browser,
    /// In the panel beside the chat.
    Panel,
}

/// `[channels.NAME.dingtalk_robot]`: a robot in a group of DingTalk (钉钉群机器人). A contact's address on it is whom it
/// mentions: a mobile number, a user id, `all`, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DingtalkRobotConfig {
    /// The webhook as DingTalk shows it, or its access_token alone.
    pub webhook: SecretConfig,
    /// The signing secret (加签), `SEC…`; the robot may be guarded by keywords or addresses instead.
    pub secret: SecretConfig,
    /// A keyword of the robot (自定义关键词): said at the end of a message that does not hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// `markdown`, `text` or `card`.
    pub form: DingtalkForm,
    /// Where links open: `browser` or `panel`.
    pub links: DingtalkLinks,
    /// How it is reached.
    pub http: ReachConfig,
}

impl DingtalkRobotConfig {
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
        if self.secret == SecretConfig::default() && self.keyword.is_none() {
            problems.warn(
                "has neither secret nor keyword: DingTalk wants one of them, or a list of addresses (IP地址段) that \
                 holds this machine's",
            );
        }
        self.http.check(problems);
    }
}

struct Robot {
    url: Url,
    secret: Option<Secret>,
    config: DingtalkRobotConfig,
}

impl Robot {
    fn make(
        config: &DingtalkRobotConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Robot>, BuildFault> {
        let webhook = config.webhook.need("webhook.", making.env)?;
        let secret = config.secret.read("secret.", making.env)?;
        let given = webhook.reveal().trim();
        let whole = match given.contains("://") {
            true => given.to_owned(),
            false => format!("{}/robot/send?access_token={}", config.http.base(BASE), sign::percent(given)),
        };
        let fault = |reason: String| BuildFault::Setting(format!("webhook: {reason}"));
        let url = config.http.target(&whole).map_err(fault)?;
        let token = url.query_pairs().find(|(name, _)| name == "access_token");
        let Some((_, token)) = token.filter(|(_, token)| !token.is_empty()) else {
            return Err(fault("has no access_token, expected the webhook as DingTalk shows it".to_owned()));
        };
        let secrets = [token.into_owned()].into_iter().chain(secret.iter().map(|s| s.reveal().to_owned()));
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                account_caps: vec![within(20, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: secrets.collect(),
            provider: Robot { url, secret, config: config.clone() },
        })
    }

    fn body(&self, claim: &Claim) -> Value {
        let chat = Chat::of(claim);
        let at = At::of(&claim.address);
        let link = |url: &str| match self.config.links {
            DingtalkLinks::Browser => in_browser(url),
            DingtalkLinks::Panel => url.to_owned(),
        };
        let keyword = self.config.keyword.as_deref().filter(|word| !claim.body.text.contains(word));
        let end = keyword.map(|word| format!("\n{word}")).unwrap_or_default();
        let form = match self.config.form {
            DingtalkForm::Card if chat.links.is_empty() => DingtalkForm::Markdown,
            form => form,
        };
        let body = match form {
            DingtalkForm::Text => text(&format!("{}{end}", claim.body.text), &at),
            DingtalkForm::Markdown => {
                let links: Vec<String> =
                    chat.links.iter().map(|l| format!("[{}]({})", l.label, link(&l.url))).collect();
                let shown = lines(chat.title, &format!("{}{end}", chat.text), &links.join(" | "));
                markdown(chat.title, &shown, &at)
            }
            DingtalkForm::Card => {
                let shown = lines(chat.title, &format!("{}{end}", chat.text), "");
                let buttons: Vec<Link> =
                    chat.links.iter().map(|l| Link { url: link(&l.url), ..l.clone() }).collect();
                card(
                    chat.title,
                    &shown,
                    &buttons,
                    if buttons.len() <= 2 { Buttons::Beside } else { Buttons::Below },
                )
            }
        };
        // A second message with the same one is dropped; for how long is not told, so nothing is built upon it.
        keyed(body, &claim.key)
    }
}

impl Provider for Robot {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let body = self.body(claim);
        let url = match &self.secret {
            Some(secret) => signed(self.url.as_str(), secret.reveal(), now.as_millis()),
            None => self.url.to_string(),
        };
        let request = Request::json(url, &body);
        match request.body.len() {
            long if long > BODY => Err(too_long(long, BODY)),
            _ => Ok(request),
        }
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        // The wall against abuse answers in words of its own.
        if let Some(wall) = reply.json().filter(|v| v.get("errcode").is_none() && v.get("punish").is_some()) {
            let wait = wall["wait"].as_i64().unwrap_or(0).clamp(60, 86_400);
            return Outcome {
                code: Some(format!("status {}", wall["status"])),
                detail: Some("blocked by DingTalk's guard against abuse".to_owned()),
                wait: Some(Span::from_secs(wait)),
                ..Outcome::of(OutcomeClass::Throttled)
            };
        }
        ANSWERS.judge(reply, said(reply, "errcode", "errmsg"))
    }
}

use OutcomeClass::{Config, ContentPermanent, Throttled, Transient};

/// `apis/channels` 3; a robot that was too fast is muted for ten minutes (`delivery_semantics` 10.2).
static ANSWERS: Answers = Answers {
    name: "errcode",
    good: "0",
    lines: &[
        line("-1", Transient).wait(30),
        line("130101", Throttled).wait(600),
        line("410100", Throttled).wait(600),
        line("660026", Throttled).wait(60),
        line("310000", Config),
        line("300005", Config),
        line("300001", Throttled).says(&["fast", "too many", "exceed", "frequen", "限流"]).wait(600),
        line("300001", Config),
        line("400101", Config),
        line("400102", Config),
        line("400106", Config),
        line("400013", Config),
        line("400105", ContentPermanent),
        line("40035", Config).says(&["access_token"]),
        line("40035", ContentPermanent),
        line("43004", ContentPermanent),
        line("430101", ContentPermanent),
        line("430102", ContentPermanent),
        line("430103", ContentPermanent),
        line("430104", ContentPermanent),
        line("460101", ContentPermanent),
    ],
};

/// Whom a message calls.
#[derive(Debug, Default)]
pub(super) struct At<'a> {
    pub(super) mobiles: Vec<&'a str>,
    pub(super) users: Vec<&'a str>,
    pub(super) all: bool,
}

impl<'a> At<'a> {
    fn of(address: &'a str) -> At<'a> {
        match Mention::of(address) {
            Mention::None => At::default(),
            Mention::All => At { all: true, ..At::default() },
            Mention::Mobile(mobile) => At { mobiles: vec![mobile], ..At::default() },
            Mention::Id(user) => At { users: vec![user], ..At::default() },
        }
    }

    /// They must stand in the text as well.
    fn said(&self) -> String {
        let called: Vec<String> =
            self.mobiles.iter().chain(&self.users).map(|who| format!("@{who}")).collect();
        if called.is_empty() { String::new() } else { format!("\n{}", called.join(" ")) }
    }

    fn put(&self, body: &mut Value) {
        let mut at = Map::new();
        if !self.mobiles.is_empty() {
            at.insert("atMobiles".to_owned(), json!(self.mobiles));
        }
        if !self.users.is_empty() {
            at.insert("atUserIds".to_owned(), json!(self.users));
        }
        if self.all {
            at.insert("isAtAll".to_owned(), json!(true));
        }
        if !at.is_empty() {
            body["at"] = Value::Object(at);
        }
    }
}

/// A plain text.
pub(super) fn text(content: &str, at: &At<'_>) -> Value {
    let mut body = json!({ "msgtype": "text", "text": { "content": format!("{content}{}", at.said()) } });
    at.put(&mut body);
    body
}

/// A text in its markdown; `title` is what the list of chats shows.
pub(super) fn markdown(title: &str, text: &str, at: &At<'_>) -> Value {
    let text = format!("{text}{}", at.said());
    let mut body = json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } });
    at.put(&mut body);
    body
}

/// How the buttons of a card stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buttons {
    /// Below each other.
    Below = 0,
    /// Beside each other.
    Beside = 1,
}

/// A card with buttons.
pub(super) fn card(title: &str, text: &str, buttons: &[Link], stand: Buttons) -> Value {
    let mut card = json!({ "title": title, "text": text, "hideAvatar": 0, "btnOrientation": stand as u8 });
    match buttons {
        [one] => {
            card["singleTitle"] = json!(one.label);
            card["singleURL"] = json!(one.url);
        }
        several => {
            let buttons = several.iter().map(|b| json!({ "title": b.label, "actionURL": b.url }));
            card["btns"] = buttons.collect();
        }
    }
    json!({ "msgtype": "actionCard", "actionCard": card })
}

fn keyed(mut body: Value, key: &str) -> Value {
    body["msgUuid"] = json!(key);
    body
}

/// Lines as its markdown breaks them: a title that is repeated in the text, since it is not shown there.
pub(super) fn lines(title: &str, text: &str, links: &str) -> String {
    let body = paragraphs(text.lines().chain([links]));
    if body.is_empty() { format!("### {title}") } else { format!("### {title}\n\n{body}") }
}

/// Lines as paragraphs of their own.
pub(super) fn paragraphs<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    // A line that begins with the short id is no heading.
    let shown =
        |line: &str| line.strip_prefix('#').map_or_else(|| line.to_owned(), |rest| format!("＃{rest}"));
    lines.filter(|line| !line.is_empty()).map(shown).collect::<Vec<_>>().join("\n\n")
}

/// A link that opens in the browser instead of the panel.
pub(super) fn in_browser(url: &str) -> String {
    format!("dingtalk://dingtalkclient/page/link?url={}&pc_slide=false", sign::percent(url))
}

/// The signature over the time in milliseconds, before it is packed into the URL.
pub(super) fn signature(secret: &str, at_ms: i64) -> String {
    sign::base64(&sign::hmac_sha256(secret.as_bytes(), format!("{at_ms}\n{secret}").as_bytes()))
}

/// The URL with its signature, packed once.
pub(super) fn signed(url: &str, secret: &str, at_ms: i64) -> String {
    let sign = sign::percent(&signature(secret, at_ms));
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}timestamp={at_ms}&sign={sign}")
}
