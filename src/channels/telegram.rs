//! A bot of Telegram (`apis/channels` 10): to a person, a group or a channel, in its HTML, with links as buttons, or with buttons
//! that are pressed there. Its `ok`
//! decides. Not reachable from the networks of mainland China without a proxy (`http.proxy`).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line, word};
use crate::channels::callback::telegram::{Ears, TelegramCallbackConfig};
use crate::channels::callback::{Face, Hears, Place};
use crate::channels::chat::{Button, Chat, Link};
use crate::channels::escape::escape;
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "telegram",
    about: "Telegram / a bot",
    class: ChannelClass::ChatApp,
    markup: Markup::Plain,
    chosen: |config| config.telegram.is_some(),
    check: |config, problems| config.telegram.iter().for_each(|bot| bot.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.telegram.as_ref(), Bot::make),
};

const BASE: &str = "https://api.telegram.org";
/// 4,096 characters after its markup is read: so many bytes are never more. The title is counted apart.
const TEXT: usize = 3_600;

/// `[channels.NAME.telegram]`: a bot of Telegram. A contact's address on it is a chat: a number, or `@channel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// The token that BotFather gave: `123456:ABC…`.
    pub token: SecretConfig,
    /// Its buttons are pressed in Telegram itself; without it they open pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<TelegramCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl TelegramConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("token", |p| self.token.check_given("", p));
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Bot {
    token: Secret,
    base: String,
    ears: Option<Ears>,
}

impl Bot {
    fn make(
        config: &TelegramConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Bot>, BuildFault> {
        let token = config.token.need("token.", making.env)?;
        let token = Secret::new(token.reveal().trim());
        if !token.reveal().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-')) {
            return Err(BuildFault::Setting(
                "token: is none, expected the one of BotFather, 123456:ABC…".to_owned(),
            ));
        }
        let ears = config.callback.as_ref().map(|callback| callback.ears(making.env)).transpose()?;
        let secrets = [Some(token.reveal().to_owned()), ears.as_ref().map(Ears::secret)];
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                // A chat takes one a second; a group 20 a minute.
                lane_caps: vec![within(1, Span::from_secs(1), making), within(20, Span::MINUTE, making)],
                account_caps: vec![within(25, Span::from_secs(1), making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: secrets.into_iter().flatten().collect(),
            provider: Bot { token, base: config.http.base(BASE), ears },
        })
    }
}

impl Provider for Bot {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let chat_id = claim.address.trim();
        let number = chat_id.strip_prefix('-').unwrap_or(chat_id);
        let named = chat_id
            .strip_prefix('@')
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        if !named && (number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit())) {
            return Err(bad_address("the number of a chat, or @channel"));
        }
        let chat = Chat::of(claim);
        let text = format!("<b>{}</b>\n{}", html(chat.title), html(&chat.text));
        let keyboard = keyboard(&chat.buttons, &chat.links);
        let fields = [
            ("chat_id", Some(chat_id.to_owned())),
            ("text", Some(text)),
            ("parse_mode", Some("HTML".to_owned())),
            ("reply_markup", keyboard.map(|keyboard| keyboard.to_string())),
        ];
        let fields: Vec<_> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(request(&self.base, self.token.reveal(), "sendMessage", &fields))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn amend(&self, place: &Place, face: &Face, _: &str) -> Option<Request> {
        let card = face.card.as_ref().filter(|_| !place.card.is_empty())?;
        let text =
            format!("<b>{}</b>\n<b>{}</b>\n{}", html(&card.title), html(&card.state), html(&card.text));
        // Without a keyboard the old one would stay.
        let keyboard = keyboard(&[], &card.links).unwrap_or_else(|| json!({ "inline_keyboard": [] }));
        let fields = [
            ("chat_id", place.chat.clone()),
            ("message_id", place.card.clone()),
            ("text", text),
            ("parse_mode", "HTML".to_owned()),
            ("reply_markup", keyboard.to_string()),
        ];
        Some(request(&self.base, self.token.reveal(), "editMessageText", &fields))
    }

    fn amended(&self, reply: &Reply) -> Outcome {
        judge(reply, reply.json().as_ref())
    }

    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome {
        let document = reply.json();
        let mut outcome = judge(reply, document.as_ref());
        match (outcome.class, &document) {
            (Accepted, Some(d)) => {
                outcome.provider_id = d.pointer("/result/message_id").and_then(word);
            }
            // A group that became a supergroup has another number.
            (Config, Some(d)) if d.pointer("/parameters/migrate_to_chat_id").is_some() => {
                let to = d.pointer("/parameters/migrate_to_chat_id").and_then(word).unwrap_or_default();
                outcome.detail = Some(format!("the group has moved: its address is {to} now"));
            }
            // Who does not want us is a person; a group is set up wrongly.
            (RecipientPermanent, _) if claim.address.trim().starts_with(['-', '@']) => outcome.class = Config,
            _ => {}
        }
        outcome
    }
}

/// What an answer says, as a document of theirs.
fn judge(reply: &Reply, document: Option<&Value>) -> Outcome {
    let said = match (document.and_then(|d| d.get("ok")?.as_bool()), document) {
        (Some(true), _) => Some(Said { code: "ok".to_owned(), text: String::new() }),
        (Some(false), Some(d)) => Some(Said {
            code: d.get("error_code").and_then(word).unwrap_or_else(|| reply.status.to_string()),
            text: d.get("description").and_then(word).unwrap_or_default(),
        }),
        _ => None,
    };
    let wait = document.and_then(|d| d.pointer("/parameters/retry_after")?.as_i64());
    let wait = reply.wait.max(wait.map(|secs| Span::from_secs(secs.clamp(0, 86_400))));
    ANSWERS.judge(&Reply { wait, ..reply.clone() }, said)
}

/// `apis/channels` 10.
static ANSWERS: Answers = Answers {
    name: "error_code",
    good: "ok",
    lines: &[
        line("429", Throttled),
        line("401", Credential),
        line("404", Credential),
        line("403", RecipientPermanent),
        line("400", Config).says(&["chat not found", "upgraded to a supergroup", "chat_id is empty"]),
        line("400", Accepted).says(&["message is not modified"]),
        line("400", ContentPermanent),
        line("5*", Transient),
    ],
};

/// Text in its HTML, lines kept.
fn html(text: &str) -> String {
    text.lines().map(|line| escape(Markup::Html, line)).collect::<Vec<_>>().join("\n")
}

/// A call of one of its methods.
pub(super) fn request(base: &str, token: &str, method: &str, fields: &[(&str, String)]) -> Request {
    Request::form(format!("{base}/bot{token}/{method}"), fields)
}

/// Buttons and links below a message, a row each.
pub(super) fn keyboard(buttons: &[Button], links: &[Link]) -> Option<Value> {
    let pressed = buttons.iter().map(|b| json!({ "text": b.label, "callback_data": b.value }));
    let opened = links.iter().map(|link| json!({ "text": link.label, "url": link.url }));
    let rows: Vec<Vec<Value>> = [pressed.collect(), opened.collect()]
        .into_iter()
        .filter(|row: &Vec<Value>| !row.is_empty())
        .collect();
    (!rows.is_empty()).then(|| json!({ "inline_keyboard": rows }))
}
