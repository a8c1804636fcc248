//! Teams by a workflow (`apis/channels` 11): an adaptive card with links as buttons. Its 202 says that the flow was begun,
//! not that anybody sees the card: for urgent things never the only channel.

use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line};
use crate::channels::chat::{Chat, Link};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, build, too_long, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::model::OutcomeClass::{Config, ContentPermanent, Credential};
use crate::core::model::{ChannelCard, ChannelClass, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "teams",
    about: "Microsoft Teams / a workflow",
    class: ChannelClass::ChatRobot,
    markup: Markup::Markdown,
    chosen: |config| config.teams.is_some(),
    check: |config, problems| config.teams.iter().for_each(|teams| teams.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.teams.as_ref(), Flow::make),
};

/// What a message may be long.
const BODY: usize = 28_000;
/// What is left of that for the text.
const TEXT: usize = 18_000;

/// `[channels.NAME.teams]`: a workflow of Teams that posts what it is sent ("Post to a channel when a webhook request is
/// received").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamsConfig {
    /// The URL of the workflow.
    pub webhook: SecretConfig,
    /// How it is reached.
    pub http: ReachConfig,
}

impl TeamsConfig {
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

struct Flow {
    url: Url,
}

impl Flow {
    fn make(config: &TeamsConfig, card: ChannelCard, making: &Making<'_>) -> Result<Made<Flow>, BuildFault> {
        let webhook = config.webhook.need("webhook.", making.env)?;
        let given = webhook.reveal().trim();
        let whole = match (&config.http.base, given.contains("://")) {
            (Some(base), false) => format!("{}/{given}", base.trim_end_matches('/')),
            _ => given.to_owned(),
        };
        let url = config.http.target(&whole).map_err(|e| BuildFault::Setting(format!("webhook: {e}")))?;
        let query = url.query_pairs().map(|(_, value)| value.into_owned()).filter(|v| v.len() >= 6);
        let parts = url.path_segments().into_iter().flatten().filter(|p| p.len() >= 12).map(str::to_owned);
        let secrets = [url.to_string()].into_iter().chain(query).chain(parts).collect();
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                account_caps: vec![within(4, Span::from_secs(1), making)],
                ..card
            },
            reach: config.http.clone(),
            secrets,
            provider: Flow { url },
        })
    }
}

impl Provider for Flow {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let chat = Chat::of(claim);
        // A line of its own for each: it breaks lines only where one is left empty.
        let text: Vec<&str> = chat.text.lines().collect();
        let body = card(chat.title, &text.join("\n\n"), &chat.links);
        let request = Request::json(self.url.to_string(), &body);
        match request.body.len() {
            long if long > BODY => Err(too_long(long, BODY)),
            _ => Ok(request),
        }
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        // A flow answers nothing; the connectors of old said `1`, or what went wrong, with 200.
        let text = reply.body.trim();
        let code = match reply.status {
            200 | 202 if text.is_empty() || text == "1" => "ok".to_owned(),
            200 | 202 if reply.json().is_some_and(|d| d.get("error").is_none()) => "ok".to_owned(),
            200..=299 => return crate::channels::answers::by_status(reply),
            status => status.to_string(),
        };
        ANSWERS.judge(reply, Some(Said { code, text: text.to_owned() }))
    }
}

/// `apis/channels` 11.
static ANSWERS: Answers = Answers {
    name: "HTTP",
    good: "ok",
    lines: &[
        line("400", ContentPermanent),
        line("413", ContentPermanent),
        line("401", Credential),
        line("403", Credential),
        line("404", Config),
    ],
};

/// A message with one card.
pub(super) fn card(title: &str, text: &str, links: &[Link]) -> Value {
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            { "type": "TextBlock", "text": title, "style": "heading", "weight": "Bolder", "size": "Large", "id": "title" },
            { "type": "TextBlock", "text": text, "style": "default", "wrap": true, "id": "body" },
        ],
        "msteams": { "width": "full" },
    });
    let open = |link: &Link| json!({ "type": "Action.OpenUrl", "title": link.label, "url": link.url });
    if !links.is_empty() {
        card["actions"] = links.iter().map(open).collect();
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}
