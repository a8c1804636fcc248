//! Slack (`apis/channels` 9): an incoming webhook of a channel, or a bot that writes to a channel or a person. A webhook
//! says `ok` and nothing else when it took a message; the API says so in its document, whatever the status.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line};
use crate::channels::chat::{Chat, Link, Mention, cut_bytes};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Config, ContentPermanent, Credential, RecipientPermanent, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, Outcome, OutcomeClass};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "slack",
    about: "Slack / an incoming webhook, or a bot",
    class: ChannelClass::ChatRobot,
    markup: Markup::Markdown,
    chosen: |config| config.slack.is_some(),
    check: |config, problems| config.slack.iter().for_each(|slack| slack.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.slack.as_ref(), Slack::make),
};

const BASE: &str = "https://slack.com";
/// What a section may hold is 3,000 characters: so many bytes are never more.
const TEXT: usize = 2_900;
/// A header may hold 150 characters.
const TITLE: usize = 150;

/// `[channels.NAME.slack]`: Slack. With a `webhook` a contact's address is whom it mentions (`U…`, a group `S…`, or nothing);
/// with a `token` it is where the message goes: a channel `C…`, or a person `U…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfig {
    /// The URL of an incoming webhook.
    pub webhook: SecretConfig,
    /// The token of a bot, `xoxb-…`, with the right `chat:write`.
    pub token: SecretConfig,
    /// How it is reached.
    pub http: ReachConfig,
}

impl SlackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.webhook.rebase(folder);
        self.token.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        let none = SecretConfig::default();
        if (self.webhook == none) == (self.token == none) {
            problems.error("has both or none of `webhook` and `token`, expected one of them");
        }
        problems.within("webhook", |p| self.webhook.check("", p));
        problems.within("token", |p| self.token.check("", p));
        self.http.check(problems);
    }
}

/// Which door.
enum Door {
    Webhook(String),
    Bot(Secret, String),
}

struct Slack {
    door: Door,
}

impl Slack {
    fn make(config: &SlackConfig, card: ChannelCard, making: &Making<'_>) -> Result<Made<Slack>, BuildFault> {
        let (door, secrets) = match config.token.read("token.", making.env)? {
            Some(token) => {
                let secrets = vec![token.reveal().to_owned()];
                (Door::Bot(token, format!("{}/api/chat.postMessage", config.http.base(BASE))), secrets)
            }
            None => {
                let webhook = config.webhook.need("webhook.", making.env)?;
                let given = webhook.reveal().trim();
                let whole = match (&config.http.base, given.contains("://")) {
                    (Some(base), false) => format!("{}/services/{given}", base.trim_end_matches('/')),
                    _ => given.to_owned(),
                };
                let fault = |e| BuildFault::Setting(format!("webhook: {e}"));
                let url = config.http.target(&whole).map_err(fault)?;
                let parts = url.path_segments().into_iter().flatten().filter(|p| p.len() >= 8);
                let secrets = parts.map(str::to_owned).chain([url.to_string()]).collect();
                (Door::Webhook(url.to_string()), secrets)
            }
        };
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                // About one a second, with short bursts.
                account_caps: vec![within(8, Span::from_secs(10), making), within(50, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets,
            provider: Slack { door },
        })
    }
}

impl Provider for Slack {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let chat = Chat::of(claim);
        match &self.door {
            Door::Webhook(url) => {
                let body = message(&chat, mention(&claim.address).ok_or_else(no_address)?);
                Ok(webhook(url.clone(), &body))
            }
            Door::Bot(token, url) => {
                let to = claim.address.trim();
                if to.is_empty() || !to.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return Err(no_address());
                }
                let mut body = message(&chat, String::new());
                body["channel"] = json!(to);
                Ok(Request::json(url.clone(), &body)
                    .with("authorization", format!("Bearer {}", token.reveal())))
            }
        }
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        match &self.door {
            // It says a word: `ok`, or why not.
            Door::Webhook(_) => {
                let text = reply.body.trim();
                let is_word = !text.is_empty() && text.len() <= 64;
                let word = is_word && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let said = word.then(|| Said { code: text.to_owned(), text: String::new() });
                ANSWERS.judge(reply, said)
            }
            Door::Bot(..) => {
                let document = reply.json();
                let ok = document.as_ref().and_then(|d| d.get("ok")?.as_bool());
                let code = match ok {
                    Some(true) => Some("ok".to_owned()),
                    Some(false) => {
                        document.as_ref().and_then(|d| d.get("error")?.as_str().map(str::to_owned))
                    }
                    None => None,
                };
                let said = code.map(|code| Said { code, text: String::new() });
                let mut outcome = ANSWERS.judge(reply, said);
                if outcome.class == OutcomeClass::Accepted {
                    outcome.provider_id =
                        document.as_ref().and_then(|d| d.get("ts")?.as_str().map(str::to_owned));
                }
                outcome
            }
        }
    }
}

fn no_address() -> Outcome {
    bad_address("an id of Slack, such as U012AB3CD or C012AB3CD")
}

/// `apis/channels` 9, and the same words of the API.
static ANSWERS: Answers = Answers {
    name: "",
    good: "ok",
    lines: &[
        line("invalid_payload", ContentPermanent),
        line("no_text", ContentPermanent),
        line("msg_too_long", ContentPermanent),
        line("invalid_blocks*", ContentPermanent),
        line("user_not_found", RecipientPermanent),
        line("action_prohibited", Config),
        line("invalid_token", Credential),
        line("invalid_auth", Credential),
        line("not_authed", Credential),
        line("token_*", Credential),
        line("account_inactive", Credential),
        line("no_service*", Config),
        line("no_active_hooks", Config),
        line("channel_not_found", Config),
        line("no_team", Config),
        line("not_in_channel", Config),
        line("missing_scope", Config),
        line("channel_is_archived", Config),
        line("is_archived", Config),
        line("ratelimited", Throttled).wait(30),
        line("rate_limited", Throttled).wait(30),
        line("rollup_error", Transient),
        line("internal_error", Transient),
        line("fatal_error", Transient),
        line("service_unavailable", Transient),
    ],
};

/// The request of a webhook.
pub(super) fn webhook(url: String, body: &Value) -> Request {
    Request::json(url, body).with("content-type", "application/json".to_owned())
}

/// A text as its markup shows it: only these three have a meaning everywhere.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// How it calls somebody; `None` for what is no id of its.
fn mention(address: &str) -> Option<String> {
    match Mention::of(address) {
        Mention::None => Some(String::new()),
        Mention::All => Some("<!channel>".to_owned()),
        Mention::Id("here") => Some("<!here>".to_owned()),
        Mention::Id(id)
            if id.len() >= 6 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) =>
        {
            Some(if id.starts_with('S') { format!("<!subteam^{id}>") } else { format!("<@{id}>") })
        }
        Mention::Id(_) | Mention::Mobile(_) => None,
    }
}

/// A message with its blocks; `text` is what notifications show.
fn message(chat: &Chat<'_>, mention: String) -> Value {
    let shown = [mention, escaped(&chat.text)].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
    let title: String = chat.title.chars().take(TITLE).collect();
    // Escapes make it longer than its bytes were counted.
    let section = cut_escaped(&shown.join("\n"), 3_000);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": title } }),
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": section } }),
    ];
    if !chat.links.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons(&chat.links) }));
    }
    json!({ "text": cut_bytes(&escaped(chat.title), 1_000), "blocks": blocks })
}

/// At most so many characters, not inside of an escape.
fn cut_escaped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most - 1).collect();
    if let Some(at) = cut.rfind('&')
        && !cut[at..].contains(';')
    {
        cut.truncate(at);
    }
    cut + "…"
}

/// Links as buttons.
pub(super) fn buttons(links: &[Link]) -> Vec<Value> {
    let button = |link: &Link| {
        let text = json!({ "type": "plain_text", "text": link.label });
        json!({ "type": "button", "text": text, "url": link.url })
    };
    links.iter().map(button).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_does_not_end_inside_of_an_escape() {
        assert_eq!(cut_escaped("a&amp;b", 7), "a&amp;b");
        assert_eq!(cut_escaped("a&amp;b&lt;c", 9), "a&amp;b…");
        assert_eq!(cut_escaped("abc", 2), "a…");
        assert_eq!(escaped("<!here> & <@U1>"), "&lt;!here&gt; &amp; &lt;@U1&gt;");
    }

    #[test]
    fn only_ids_are_called() {
        for (address, want) in [
            ("", Some("")),
            ("U012AB3CD", Some("<@U012AB3CD>")),
            ("S012AB3CD", Some("<!subteam^S012AB3CD>")),
            ("here", Some("<!here>")),
            ("all", Some("<!channel>")),
            ("<!here>", None),
            ("lin", None),
            ("13800000000", None),
        ] {
            assert_eq!(mention(address).as_deref(), want, "{address}");
        }
    }
}
