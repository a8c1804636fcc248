//! A room of Matrix: its transaction id is our key, so that a server tells a second copy from a second message. Its
//! `event_id` says that it was taken, its `errcode` why not.

use std::path::Path;

use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line, said};
use crate::channels::chat::Chat;
use crate::channels::escape::escape;
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, Throttled, Transient,
};
use crate::core::model::{ChannelCard, ChannelClass, DuplicateKey, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "matrix",
    about: "Matrix / a room, with exact retries",
    class: ChannelClass::ChatApp,
    markup: Markup::Plain,
    chosen: |config| config.matrix.is_some(),
    check: |config, problems| config.matrix.iter().for_each(|matrix| matrix.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.matrix.as_ref(), Room::make),
};

/// An event may be 64 KiB long, and the text stands in it twice.
const TEXT: usize = 20_000;
/// For so long servers remember transactions (Synapse: at least 30 minutes).
const REMEMBERED: Span = Span::from_minutes(30);

/// `[channels.NAME.matrix]`: rooms of Matrix. A contact's address on it is a room, `!id:server`; one with the person alone
/// is a chat with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatrixConfig {
    /// The server: `https://matrix.example.com`.
    pub server: String,
    /// The access token of the account that writes; it must be in the rooms.
    pub token: SecretConfig,
    /// How it is reached.
    pub http: ReachConfig,
}

impl MatrixConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if let Err(reason) = self.http.target(&self.server) {
            problems.within("server", |p| p.error(reason));
        }
        problems.within("token", |p| self.token.check_given("", p));
        self.http.check(problems);
    }
}

struct Room {
    token: Secret,
    base: String,
}

impl Room {
    fn make(config: &MatrixConfig, card: ChannelCard, making: &Making<'_>) -> Result<Made<Room>, BuildFault> {
        let token = config.token.need("token.", making.env)?;
        let base = config.http.base(&config.server);
        config.http.target(&base).map_err(|e| BuildFault::Setting(format!("server: {e}")))?;
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                duplicate_key: DuplicateKey::Strong { horizon: REMEMBERED },
                ..card
            },
            reach: config.http.clone(),
            secrets: vec![token.reveal().to_owned()],
            provider: Room { token, base },
        })
    }
}

impl Provider for Room {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let room = claim.address.trim();
        if !room.starts_with('!') {
            return Err(bad_address("the id of a room, such as !id:server"));
        }
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{}",
            sign::percent(room),
            sign::percent(&claim.key)
        );
        let request = Request::json(format!("{}{path}", self.base), &message(&Chat::of(claim)));
        Ok(Request { method: Method::PUT, ..request }
            .with("authorization", format!("Bearer {}", self.token.reveal())))
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        let document = reply.json();
        let id = document.as_ref().and_then(|d| d.get("event_id")?.as_str().map(str::to_owned));
        let taken = id.as_ref().map(|_| Said { code: "ok".to_owned(), text: String::new() });
        let wait = document.as_ref().and_then(|d| d.get("retry_after_ms")?.as_i64());
        let wait = reply.wait.max(wait.map(|ms| Span::from_millis(ms.clamp(0, 86_400_000))));
        let reply = Reply { wait, ..reply.clone() };
        let outcome = ANSWERS.judge(&reply, taken.or_else(|| said(&reply, "errcode", "error")));
        Outcome { provider_id: id.filter(|_| outcome.class == Accepted), ..outcome }
    }
}

/// The standard errors of the client-server API.
static ANSWERS: Answers = Answers {
    name: "",
    good: "ok",
    lines: &[
        line("M_LIMIT_EXCEEDED", Throttled),
        line("M_UNKNOWN_TOKEN", Credential),
        line("M_MISSING_TOKEN", Credential),
        line("M_USER_DEACTIVATED", Credential),
        line("M_FORBIDDEN", Config),
        line("M_NOT_FOUND", Config),
        line("M_UNRECOGNIZED", Config),
        line("M_CONSENT_NOT_GIVEN", Config),
        line("M_RESOURCE_LIMIT_EXCEEDED", Config),
        line("M_TOO_LARGE", ContentPermanent),
        line("M_BAD_JSON", ContentPermanent),
        line("M_NOT_JSON", ContentPermanent),
        line("M_UNKNOWN", Transient),
    ],
};

/// A text, and the same as HTML.
fn message(chat: &Chat<'_>) -> Value {
    let links: Vec<String> = chat.links.iter().map(|l| format!("{}: {}", l.label, l.url)).collect();
    let plain = [&[chat.title.to_owned(), chat.text.clone()], &links[..]].concat().join("\n");
    let lines = |text: &str| text.lines().map(|l| escape(Markup::Html, l)).collect::<Vec<_>>().join("<br>");
    let anchor = |l: &crate::channels::chat::Link| {
        format!("<a href=\"{}\">{}</a>", escape(Markup::Html, &l.url), escape(Markup::Html, &l.label))
    };
    let anchors = chat.links.iter().map(anchor).collect::<Vec<_>>().join(" | ");
    let html = format!("<strong>{}</strong><br>{}<br>{anchors}", lines(chat.title), lines(&chat.text));
    json!({
        "msgtype": "m.text",
        "body": plain,
        "format": "org.matrix.custom.html",
        "formatted_body": html,
    })
}
