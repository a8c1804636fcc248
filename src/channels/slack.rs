//! Slack (`apis/channels` 9): an incoming webhook of a channel, or a bot that writes to a channel or a person. A webhook
//! says `ok` and nothing else when it took a message; the API says so in its document, whatever the status.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line};
use crate::channels::callback::slack::{Ears, SlackCallbackConfig};
use crate::channels::callback::{Card, Face, Hears, Place};
use crate::channels::chat::{Button, Chat, Link, Mention, cut_bytes};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Config, ContentPermanent, Credential, RecipientPermanent, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, Outcome, OutcomeClass, ReplyPath};
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
    /// Its buttons are pressed in Slack itself; without it they open pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<SlackCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl SlackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.webhook.rebase(folder);
        self.token.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
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
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
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
    ears: Option<Ears>,
    /// Where what there is to show of a press may go besides Slack's own host.
    host: Option<String>,
}

impl Slack {
    fn make(config: &SlackConfig, card: ChannelCard, making: &Making<'_>) -> Result<Made<Slack>, BuildFault> {
        let ears = config.callback.as_ref().map(|callback| callback.ears(making.env)).transpose()?;
        let (door, mut secrets) = match config.token.read("token.", making.env)? {
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
        secrets.extend(ears.as_ref().map(Ears::secret));
        let base = config.http.base.as_deref().and_then(|base| reqwest::Url::parse(base).ok());
        let host = base.and_then(|url| url.host_str().map(str::to_owned));
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                // About one a second, with short bursts.
                account_caps: vec![within(8, Span::from_secs(10), making), within(50, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets,
            provider: Slack { door, ears, host },
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
            Door::Webhook(_) => ANSWERS.judge(reply, in_a_word(reply)),
            Door::Bot(..) => {
                let mut outcome = ANSWERS.judge(reply, in_a_document(reply));
                if outcome.class == OutcomeClass::Accepted {
                    outcome.provider_id = reply.json().and_then(|d| d.get("ts")?.as_str().map(str::to_owned));
                }
                outcome
            }
        }
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn amend(&self, place: &Place, face: &Face, _: &str) -> Option<Request> {
        let url = reqwest::Url::parse(&place.card).ok()?;
        let host = url.host_str()?;
        if host != HOOKS && self.host.as_deref() != Some(host) {
            return None;
        }
        let body = match &face.card {
            Some(card) => answered(card),
            None => json!({
                "response_type": "ephemeral", "replace_original": false, "text": escaped(&face.say),
            }),
        };
        Some(Request::json(place.card.clone(), &body))
    }

    fn amended(&self, reply: &Reply) -> Outcome {
        // It says either.
        ANSWERS.judge(reply, in_a_word(reply).or_else(|| in_a_document(reply)))
    }
}

/// Where Slack takes what is shown of a press.
const HOOKS: &str = "hooks.slack.com";

/// What it says in a word: `ok`, or why not.
fn in_a_word(reply: &Reply) -> Option<Said> {
    let text = reply.body.trim();
    let is_word = !text.is_empty() && text.len() <= 64;
    let word = is_word && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    word.then(|| Said { code: text.to_owned(), text: String::new() })
}

/// What it says in a document.
fn in_a_document(reply: &Reply) -> Option<Said> {
    let document = reply.json()?;
    let code = match document.get("ok")?.as_bool()? {
        true => "ok".to_owned(),
        false => document.get("error")?.as_str()?.to_owned(),
    };
    Some(Said { code, text: String::new() })
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
    let elements = pressed(&chat.buttons).into_iter().chain(buttons(&chat.links)).collect();
    framed(chat.title, &shown.join("\n"), elements)
}

/// A message of ours that somebody answered.
fn answered(card: &Card) -> Value {
    let text = escaped(&format!("{}\n{}", card.state, card.text));
    let mut body = framed(&card.title, &text, buttons(&card.links));
    body["replace_original"] = json!(true);
    body
}

/// A title, a text that is escaped, and what stands below.
fn framed(title: &str, text: &str, elements: Vec<Value>) -> Value {
    let shown: String = title.chars().take(TITLE).collect();
    // Escapes make it longer than its bytes were counted.
    let section = cut_escaped(text, 3_000);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": shown } }),
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": section } }),
    ];
    if !elements.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": elements }));
    }
    json!({ "text": cut_bytes(&escaped(title), 1_000), "blocks": blocks })
}

/// Buttons that are pressed in Slack itself.
fn pressed(buttons: &[Button]) -> Vec<Value> {
    let button = |button: &Button| {
        let text = json!({ "type": "plain_text", "text": button.label });
        json!({ "type": "button", "text": text, "action_id": button.purpose, "value": button.value })
    };
    buttons.iter().map(button).collect()
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
