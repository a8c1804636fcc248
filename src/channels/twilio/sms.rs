//! Short messages by Twilio.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::callback::Hears;
use crate::channels::callback::twilio::{Ears, TwilioCallbackConfig};
use crate::channels::provider::{
    Made, Provider, ReachConfig, Reply, Request, bad_address, build, too_long, within,
};
use crate::channels::sms::{Receipts, international, parts};
use crate::channels::twilio::{BASE, TwilioAccountConfig, check_callback, read, request};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "twilio_sms",
    about: "Twilio / short messages",
    class: ChannelClass::Sms,
    markup: Markup::Sms,
    chosen: |config| config.twilio_sms.is_some(),
    check: |config, problems| config.twilio_sms.iter().for_each(|sms| sms.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.twilio_sms.as_ref(), Sms::make),
};

/// `[channels.NAME.twilio_sms]`: short messages by Twilio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioSmsConfig {
    /// The account.
    pub account: TwilioAccountConfig,
    /// The number it comes from: `+1…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The messaging service it comes from, instead of a number: `MG…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where Twilio says what became of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<String>,
    /// How long it may try: what arrives later is of no use.
    pub valid_for: Span,
    /// How many parts a message may have. 1 to 8.
    pub max_parts: u8,
    /// Texts carry links. Carriers in China refuse them.
    pub links: bool,
    /// `none`, or `pushed` where receipts come to us: by `callback`, or by `POST /v1/receipts/NAME`.
    pub receipts: Receipts,
    /// Receipts and replies that it sends us; it takes the place of `status_callback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<TwilioCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl Default for TwilioSmsConfig {
    fn default() -> TwilioSmsConfig {
        TwilioSmsConfig {
            account: TwilioAccountConfig::default(),
            from: None,
            service: None,
            status_callback: None,
            valid_for: Span::from_minutes(10),
            max_parts: 3,
            links: false,
            receipts: Receipts::default(),
            callback: None,
            http: ReachConfig::default(),
        }
    }
}

impl TwilioSmsConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.account.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        self.account.check(problems);
        if self.from.is_some() == self.service.is_some() {
            problems.error("has both or none of `from` and `service`, expected one of them");
        }
        if !(1..=8).contains(&self.max_parts) {
            problems.within("max_parts", |p| p.error(format!("found {}, expected 1 to 8", self.max_parts)));
        }
        // 36,000 s is the most that they take.
        if !(1..=36_000).contains(&self.valid_for.as_secs()) {
            problems.within("valid_for", |p| {
                p.error(format!("found {}, expected 1s to 10h", self.valid_for));
            });
        }
        check_callback(self.callback.as_ref(), self.status_callback.as_deref(), problems);
        self.http.check(problems);
    }
}

struct Sms {
    token: Secret,
    base: Arc<str>,
    config: TwilioSmsConfig,
    ears: Option<Ears>,
}

impl Sms {
    fn make(
        config: &TwilioSmsConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Sms>, BuildFault> {
        let token = config.account.token.need("account.token.", making.env)?;
        let ears = config.callback.as_ref().map(|callback| Ears {
            token: token.clone(),
            url: callback.url.clone(),
            language: String::new(),
        });
        let answered = config.callback.as_ref().is_some_and(|callback| callback.replies);
        Ok(Made {
            card: ChannelCard {
                reply: if answered { ReplyPath::Text } else { card.reply },
                receipts: config.receipts.into(),
                links: if config.links { LinkRule::Any } else { LinkRule::None },
                // Chinese takes three bytes for one of 67 places, English one for one of 153.
                body_limit: Some(usize::from(config.max_parts) * 134),
                account_caps: vec![within(60, Span::MINUTE, making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: vec![token.reveal().to_owned()],
            provider: Sms { token, base: config.http.base(BASE).into(), config: config.clone(), ears },
        })
    }
}

impl Provider for Sms {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let to =
            international(&claim.address).ok_or_else(|| bad_address("a number such as +8613800000000"))?;
        let config = &self.config;
        if parts(&claim.body.text).count > usize::from(config.max_parts) {
            return Err(too_long(claim.body.text.len(), usize::from(config.max_parts) * 134));
        }
        let fields = fields(
            &to,
            config.callback.as_ref().map(|callback| &*callback.url).or(config.status_callback.as_deref()),
            Some(config.valid_for.as_secs()),
            config.from.as_deref(),
            config.service.as_deref(),
            &claim.body.text,
        );
        Ok(request(&self.base, &config.account.sid, self.token.reveal(), "Messages", &fields))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        read(reply)
    }
}

/// The fields of a message.
pub(crate) fn fields<'a>(
    to: &str,
    status_callback: Option<&str>,
    valid_secs: Option<i64>,
    from: Option<&str>,
    service: Option<&str>,
    body: &str,
) -> Vec<(&'a str, String)> {
    [
        ("To", Some(to.to_owned())),
        ("StatusCallback", status_callback.map(str::to_owned)),
        ("ValidityPeriod", valid_secs.map(|secs| secs.to_string())),
        ("From", from.map(str::to_owned)),
        ("MessagingServiceSid", service.map(str::to_owned)),
        ("Body", Some(body.to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
