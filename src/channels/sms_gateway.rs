//! Short messages by a gateway of one's own that takes them over HTTP as Kannel does (短信网关, `smsbox` and its `sendsms`):
//! text and number in a query, 202 for what was taken. With `dlr-url` it says what became of each.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::answers::{Answers, Said, line};
use crate::channels::callback::Hears;
use crate::channels::callback::kannel::{Ears, KannelCallbackConfig};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, too_long};
use crate::channels::sms::{Encoding, Receipts, international, parts};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{Config, Credential, RecipientPermanent, Transient};
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "sms_gateway",
    about: "短信网关 / a gateway for short messages of your own, as Kannel has it",
    class: ChannelClass::Sms,
    markup: Markup::Sms,
    chosen: |config| config.sms_gateway.is_some(),
    check: |config, problems| config.sms_gateway.iter().for_each(|gateway| gateway.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.sms_gateway.as_ref(), Gateway::make),
};

/// `[channels.NAME.sms_gateway]`: a gateway of your own (短信网关), as Kannel has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmsGatewayConfig {
    /// Where it takes messages: `http://127.0.0.1:13013/cgi-bin/sendsms`.
    pub url: String,
    /// Who sends there (`sendsms-user`).
    pub username: String,
    /// Their password.
    pub password: SecretConfig,
    /// The number or name that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which of its operators (`smsc-id`) takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smsc: Option<String>,
    /// Where it says what became of a message (`dlr-url`); `KEY` in it stands for ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_url: Option<String>,
    /// `none`, or `pushed` where what it reports comes to us: by `callback`, or by `POST /v1/receipts/NAME`.
    pub receipts: Receipts,
    /// Receipts and replies that it sends us; it takes the place of `report_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<KannelCallbackConfig>,
    /// How long operators may try: what arrives later is of no use.
    pub valid_for: Span,
    /// How many parts a message may have. 1 to 8; `max-messages` there must allow it.
    pub max_parts: u8,
    /// Texts carry links. Carriers in China refuse them.
    pub links: bool,
    /// How it is reached.
    pub http: ReachConfig,
}

impl Default for SmsGatewayConfig {
    fn default() -> SmsGatewayConfig {
        SmsGatewayConfig {
            url: String::new(),
            username: String::new(),
            password: SecretConfig::default(),
            from: None,
            smsc: None,
            report_url: None,
            receipts: Receipts::default(),
            callback: None,
            valid_for: Span::from_minutes(10),
            max_parts: 3,
            links: false,
            http: ReachConfig::default(),
        }
    }
}

impl SmsGatewayConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.password.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if let Err(reason) = self.http.target(&self.url) {
            problems.within("url", |p| p.error(reason));
        }
        if self.username.trim().is_empty() {
            problems.within("username", |p| p.error("is empty"));
        }
        problems.within("password", |p| self.password.check_given("", p));
        if !(1..=8).contains(&self.max_parts) {
            problems.within("max_parts", |p| p.error(format!("found {}, expected 1 to 8", self.max_parts)));
        }
        if self.receipts == Receipts::Pushed && self.report_url.is_none() && self.callback.is_none() {
            problems.warn(
                "receipts = \"pushed\" without callback or report_url: nobody says what became of a message",
            );
        }
        if self.report_url.is_some() && self.callback.is_some() {
            problems.within("report_url", |p| p.error("has `callback` beside it, expected one of them"));
        }
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Gateway {
    password: Secret,
    config: SmsGatewayConfig,
    ears: Option<Ears>,
}

impl Gateway {
    fn make(
        config: &SmsGatewayConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Gateway>, BuildFault> {
        let password = config.password.need("password.", making.env)?;
        config.http.target(&config.url).map_err(|e| BuildFault::Setting(format!("url: {e}")))?;
        let ears = config.callback.as_ref().map(|callback| callback.ears(making.env)).transpose()?;
        let answered = config.callback.as_ref().is_some_and(|callback| callback.replies);
        let mut secrets = vec![password.reveal().to_owned(), sign::percent(password.reveal())];
        secrets.extend(ears.as_ref().map(|ears| ears.gate.secret()));
        Ok(Made {
            card: ChannelCard {
                receipts: config.receipts.into(),
                reply: if answered { ReplyPath::Text } else { card.reply },
                links: if config.links { LinkRule::Any } else { LinkRule::None },
                body_limit: Some(usize::from(config.max_parts) * 134),
                ..card
            },
            reach: config.http.clone(),
            secrets,
            provider: Gateway { password, config: config.clone(), ears },
        })
    }
}

impl Provider for Gateway {
    fn request(&self, claim: &Claim, _: &str, _: Instant) -> Result<Request, Outcome> {
        let to =
            international(&claim.address).ok_or_else(|| bad_address("a number such as +8613800000000"))?;
        let config = &self.config;
        let text = &claim.body.text;
        let parts = parts(text);
        if parts.count > usize::from(config.max_parts) {
            return Err(too_long(text.len(), usize::from(config.max_parts) * 134));
        }
        let coding = match parts.encoding {
            Encoding::Gsm7 => "0",
            Encoding::Ucs2 => "2",
        };
        // Minutes, and at least one.
        let minutes = (config.valid_for.as_secs() / 60).max(1).to_string();
        let mut query = vec![
            ("username", config.username.clone()),
            ("password", self.password.reveal().to_owned()),
            ("to", to),
            ("text", text.clone()),
            ("charset", "UTF-8".to_owned()),
            ("coding", coding.to_owned()),
            ("validity", minutes),
        ];
        query.extend(config.from.clone().map(|from| ("from", from)));
        query.extend(config.smsc.clone().map(|smsc| ("smsc", smsc)));
        let reported = config.report_url.as_ref().map(|url| url.replace("KEY", &sign::percent(&claim.key)));
        if let Some(url) = self.ears.as_ref().map(|ears| ears.report_url(&claim.key)).or(reported) {
            query.push(("dlr-mask", "31".to_owned()));
            query.push(("dlr-url", url));
        }
        let joint = if config.url.contains('?') { '&' } else { '?' };
        Ok(Request::get(format!("{}{joint}{}", config.url, sign::query(&query))))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        // The status and what it says: `0: Accepted for delivery`, `3: Queued for later delivery`, or why not.
        let text = reply.body.trim().to_owned();
        let code = text.split([':', '.']).next().unwrap_or_default().to_owned();
        match reply.status {
            202 if code == "0" || code == "3" => {
                ANSWERS.judge(reply, Some(Said { code: "202".to_owned(), text }))
            }
            200..=299 => crate::channels::answers::by_status(reply),
            status => ANSWERS.judge(reply, Some(Said { code: status.to_string(), text })),
        }
    }
}

static ANSWERS: Answers = Answers {
    name: "HTTP",
    good: "202",
    lines: &[
        line("403", Credential),
        line("400", RecipientPermanent).says(&["receiver", "invalid number", "destination"]),
        line("400", Config),
        // No operator at the moment, as it says with one of these.
        line("503", Transient),
        line("404", Config),
    ],
};
