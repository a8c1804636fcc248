//! A robot in a group of WeCom (企业微信群机器人, `apis/channels` 5): its key is its only secret, its `errcode` decides. Only
//! plain texts can call people by their mobile numbers.

use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, line, said};
use crate::channels::chat::{Chat, Mention, cut_bytes};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, build, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::model::OutcomeClass::{Config, ContentPermanent, Throttled, Transient};
use crate::core::model::{ChannelCard, ChannelClass, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "wecom_robot",
    about: "企业微信群机器人 / a robot in a group of WeCom",
    class: ChannelClass::ChatRobot,
    markup: Markup::Markdown,
    chosen: |config| config.wecom_robot.is_some(),
    check: |config, problems| config.wecom_robot.iter().for_each(|robot| robot.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.wecom_robot.as_ref(), Robot::make),
};

const BASE: &str = "https://qyapi.weixin.qq.com";
/// What a plain text and a markdown text may be long, in bytes.
const TEXT: usize = 2048;
const MARKDOWN: usize = 4096;
/// What the frame of a markdown text takes of that: its title, its links, whom it calls.
const FRAME: usize = 1024;

/// The form of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WecomForm {
    /// Plain text, at most 2048 bytes: calls people by their mobile numbers.
    #[default]
    Text,
    /// A title, lines, links, at most 4096 bytes: calls people by their user ids only.
    Markdown,
}

/// `[channels.NAME.wecom_robot]`: a robot in a group of WeCom (企业微信群机器人). A contact's address on it is whom it
/// mentions: a mobile number, a user id, `all`, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WecomRobotConfig {
    /// The webhook as WeCom shows it, or its key alone.
    pub webhook: SecretConfig,
    /// `text` or `markdown`.
    pub form: WecomForm,
    /// How it is reached.
    pub http: ReachConfig,
}

impl WecomRobotConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.webhook.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("webhook", |p| self.webhook.check_given("", p));
        self.http.check(problems);
    }
}

struct Robot {
    url: Url,
    form: WecomForm,
}

impl Robot {
    fn make(
        config: &WecomRobotConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Robot>, BuildFault> {
        let webhook = config.webhook.need("webhook.", making.env)?;
        let given = webhook.reveal().trim();
        let whole = match given.contains("://") {
            true => given.to_owned(),
            false => format!("{}{}", config.http.base(BASE), path(given)),
        };
        let fault = |reason: String| BuildFault::Setting(format!("webhook: {reason}"));
        let url = config.http.target(&whole).map_err(fault)?;
        let key = url.query_pairs().find(|(name, _)| name == "key").map(|(_, key)| key.into_owned());
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(fault("has no key, expected the webhook as WeCom shows it".to_owned()));
        };
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(match config.form {
                    WecomForm::Text => TEXT,
                    WecomForm::Markdown => MARKDOWN - FRAME,
                }),
                account_caps: vec![within(20, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: vec![key],
            provider: Robot { url, form: config.form },
        })
    }
}

impl Provider for Robot {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let mention = Mention::of(&claim.address);
        let body = match self.form {
            WecomForm::Text => text(&cut_bytes(&claim.body.text, TEXT), &[mention]),
            WecomForm::Markdown => markdown(&shown(&Chat::of(claim), mention)),
        };
        Ok(Request::json(self.url.to_string(), &body))
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        let said = said(reply, "errcode", "errmsg").map(|mut said| {
            // What follows is for their support, and differs with every answer.
            for mark in [", hint:", ", from ip:", ", more info at"] {
                said.text.truncate(said.text.find(mark).unwrap_or(said.text.len()));
            }
            said
        });
        ANSWERS.judge(reply, said)
    }
}

/// `apis/channels` 5.
static ANSWERS: Answers = Answers {
    name: "errcode",
    good: "0",
    lines: &[
        line("-1", Transient),
        line("45009", Throttled).wait(60),
        line("93000", Config),
        line("40058", ContentPermanent),
        line("45002", ContentPermanent),
    ],
};

/// The path with its key.
pub(super) fn path(key: &str) -> String {
    format!("/cgi-bin/webhook/send?key={}", sign::percent(key))
}

/// A plain text that calls these.
pub(super) fn text(content: &str, mentions: &[Mention<'_>]) -> Value {
    let (mut users, mut mobiles) = (Vec::new(), Vec::new());
    for mention in mentions {
        match mention {
            Mention::None => {}
            Mention::All => users.push("@all"),
            Mention::Mobile(mobile) => mobiles.push(*mobile),
            Mention::Id(user) => users.push(*user),
        }
    }
    let mut inner = json!({ "content": content });
    if !users.is_empty() {
        inner["mentioned_list"] = json!(users);
    }
    if !mobiles.is_empty() {
        inner["mentioned_mobile_list"] = json!(mobiles);
    }
    json!({ "msgtype": "text", "text": inner })
}

/// A text in its markdown.
pub(super) fn markdown(content: &str) -> Value {
    json!({ "msgtype": "markdown", "markdown": { "content": content } })
}

/// Title, lines, links, and whom it calls; what is too long for one message is cut where its lines end.
fn shown(chat: &Chat<'_>, mention: Mention<'_>) -> String {
    let links: Vec<String> = chat.links.iter().map(|l| format!("[{}]({})", l.label, l.url)).collect();
    let call = match mention {
        Mention::Id(user) => format!("\n<@{user}>"),
        // By a number nobody can be called in this form, and everybody must not be.
        Mention::None | Mention::All | Mention::Mobile(_) => String::new(),
    };
    let end = if links.is_empty() { call } else { format!("\n{}{call}", links.join(" | ")) };
    let head = format!("### {}\n", cut_bytes(chat.title, 240));
    let lines: Vec<String> = chat
        .text
        .lines()
        .map(|line| line.strip_prefix('#').map_or_else(|| line.to_owned(), |rest| format!("＃{rest}")))
        .collect();
    let room = MARKDOWN.saturating_sub(head.len() + end.len());
    format!("{head}{}{end}", cut_bytes(&lines.join("\n"), room))
}
