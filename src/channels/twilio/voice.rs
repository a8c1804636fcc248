//! Calls by Twilio: the text is read aloud, twice. That somebody answered is no acknowledgement; with `callback` a key is.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::callback::Hears;
use crate::channels::callback::twilio::{Ears, TwilioCallbackConfig, VALUE};
use crate::channels::escape::{Markup, escape};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::sms::{Receipts, Variables, international};
use crate::channels::twilio::{BASE, TwilioAccountConfig, check_callback, read, request};
use crate::channels::{Adapter, BuildFault, Making};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "twilio_voice",
    about: "Twilio / calls, a text read aloud",
    class: ChannelClass::Voice,
    markup: Markup::Sms,
    chosen: |config| config.twilio_voice.is_some(),
    check: |config, problems| config.twilio_voice.iter().for_each(|voice| voice.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.twilio_voice.as_ref(), Voice::make),
};

/// What is read aloud, in bytes: half a minute of it.
const TEXT: usize = 600;

/// `[channels.NAME.twilio_voice]`: calls by Twilio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioVoiceConfig {
    /// The account.
    pub account: TwilioAccountConfig,
    /// The number it comes from: `+1…`.
    pub from: String,
    /// The language it is read in: `zh-CN`, `en-US`.
    pub language: String,
    /// How long it rings.
    pub ring_for: Span,
    /// Where Twilio says what became of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<String>,
    /// `none`, or `pushed` where receipts come to us: by `callback`, or by `POST /v1/receipts/NAME`.
    pub receipts: Receipts,
    /// Receipts that it sends us, and the key that acknowledges; it takes the place of `status_callback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<TwilioCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl Default for TwilioVoiceConfig {
    fn default() -> TwilioVoiceConfig {
        TwilioVoiceConfig {
            account: TwilioAccountConfig::default(),
            from: String::new(),
            language: "zh-CN".to_owned(),
            ring_for: Span::from_secs(25),
            status_callback: None,
            receipts: Receipts::default(),
            callback: None,
            http: ReachConfig::default(),
        }
    }
}

impl TwilioVoiceConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.account.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        self.account.check(problems);
        if international(&self.from).is_none() {
            problems.within("from", |p| {
                p.error(format!("found `{}`, expected a number such as +15005550006", self.from));
            });
        }
        if !self.language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') || self.language.is_empty()
        {
            problems.within("language", |p| {
                p.error(format!("found `{}`, expected one such as zh-CN", self.language));
            });
        }
        if !(5..=600).contains(&self.ring_for.as_secs()) {
            problems.within("ring_for", |p| p.error(format!("found {}, expected 5s to 10m", self.ring_for)));
        }
        check_callback(self.callback.as_ref(), self.status_callback.as_deref(), problems);
        self.http.check(problems);
    }
}

struct Voice {
    token: Secret,
    base: String,
    config: TwilioVoiceConfig,
    ears: Option<Ears>,
}

impl Voice {
    fn make(
        config: &TwilioVoiceConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Voice>, BuildFault> {
        let token = config.account.token.need("account.token.", making.env)?;
        let ears = config.callback.as_ref().map(|callback| Ears {
            token: token.clone(),
            url: callback.url.clone(),
            language: config.language.clone(),
        });
        Ok(Made {
            card: ChannelCard {
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                receipts: config.receipts.into(),
                links: LinkRule::None,
                body_limit: Some(TEXT),
                lane_caps: vec![within(1, Span::from_minutes(3), making), within(5, Span::HOUR, making)],
                account_caps: vec![within(60, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: vec![token.reveal().to_owned()],
            provider: Voice { token, base: config.http.base(BASE), config: config.clone(), ears },
        })
    }
}

impl Provider for Voice {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let to =
            international(&claim.address).ok_or_else(|| bad_address("a number such as +8613800000000"))?;
        let config = &self.config;
        let variables = Variables::of(claim);
        let callback = config.callback.as_ref();
        let key = callback.zip(variables.press()).map(|(callback, value)| key_url(&callback.url, value));
        let twiml = spoken(&claim.body.text, &config.language, key.as_deref());
        let status = callback.map(|callback| &callback.url).or(config.status_callback.as_ref());
        let how = How { twiml: Some(&twiml), timeout: Some(config.ring_for.as_secs()), ..How::default() };
        let fields = fields(&to, &config.from, &How { status: status.map(String::as_str), ..how });
        Ok(request(&self.base, &config.account.sid, self.token.reveal(), "Calls", &fields))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        read(reply)
    }
}

/// Where a key that is pressed goes.
fn key_url(url: &str, value: &str) -> String {
    format!("{url}?{VALUE}={value}")
}

/// The text read aloud, and once more: whoever lifts a receiver misses the beginning. Where a key goes somewhere, it says
/// which.
fn spoken(text: &str, language: &str, key: Option<&str>) -> String {
    let hint = match (key, language.starts_with("zh")) {
        (None, _) => "",
        (Some(_), true) => "。按1键认领。",
        (Some(_), false) => ". Press 1 to acknowledge.",
    };
    let said = format!("<Say language=\"{language}\">{}{hint}</Say>", escape(Markup::Html, text));
    let twice = format!("{said}<Pause length=\"1\"/>{said}");
    match key.map(|url| escape(Markup::Html, url)) {
        Some(url) => {
            format!(
                "<Response><Gather numDigits=\"1\" timeout=\"5\" method=\"POST\" action=\"{url}\">{twice}</Gather></Response>"
            )
        }
        None => format!("<Response>{twice}</Response>"),
    }
}

/// How a call goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How<'a> {
    pub(crate) method: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    /// What is told of it.
    pub(crate) events: &'a [&'a str],
    pub(crate) timeout: Option<i64>,
    pub(crate) url: Option<&'a str>,
    pub(crate) twiml: Option<&'a str>,
}

/// The fields of a call.
pub(crate) fn fields<'a>(to: &str, from: &str, how: &How<'_>) -> Vec<(&'a str, String)> {
    let one = |name, value: Option<&str>| value.map(|value| (name, value.to_owned()));
    [
        one("To", Some(to)),
        one("From", Some(from)),
        one("Method", how.method),
        one("StatusCallback", how.status),
    ]
    .into_iter()
    .flatten()
    .chain(how.events.iter().map(|event| ("StatusCallbackEvent", (*event).to_owned())))
    .chain(how.timeout.map(|secs| ("Timeout", secs.to_string())))
    .chain([one("Url", how.url), one("Twiml", how.twiml)].into_iter().flatten())
    .collect()
}
