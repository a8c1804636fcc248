//! Short messages by Huawei Cloud (华为云短信, `apis/channels` 16), for who has them: no new customers since 2025. The body is
//! not covered by their signature, so TLS is all that protects it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channels::acs3::host;
use crate::channels::answers::{Answers, Said, line, word};
use crate::channels::callback::Hears;
use crate::channels::callback::huawei::{Ears, HuaweiCallbackConfig};
use crate::channels::provider::{
    FORM, Made, Provider, ReachConfig, Reply, Request, bad_address, build, within,
};
use crate::channels::sms::{Receipts, Variables, check_value, international};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::{Secret, hex};
use crate::core::model::OutcomeClass::{Accepted, Config};
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "huawei_sms",
    about: "华为云短信 / short messages by Huawei Cloud",
    class: ChannelClass::Sms,
    markup: Markup::Sms,
    chosen: |config| config.huawei_sms.is_some(),
    check: |config, problems| config.huawei_sms.iter().for_each(|sms| sms.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.huawei_sms.as_ref(), Sms::make),
};

const PATH: &str = "/sms/batchSendSms/v1";
/// What a variable may be long.
const LONGEST: usize = 20;

/// `[channels.NAME.huawei_sms]`: short messages by Huawei Cloud (华为云短信).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HuaweiSmsConfig {
    /// The id of the access key (AK).
    pub access_key: String,
    /// Its secret (SK).
    pub secret_key: SecretConfig,
    /// The region of the application: `cn-north-4`.
    pub region: String,
    /// The channel number of the signature (通道号).
    pub sender: String,
    /// The approved signature, where the channel number serves several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_name: Option<String>,
    /// The id of the template of every message.
    pub template: String,
    /// What its variables say, in their order: `["{id}", "{count}"]`.
    pub params: Vec<String>,
    /// `none`, or `pushed` where delivery receipts come.
    pub receipts: Receipts,
    /// Receipts that it sends us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<HuaweiCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl HuaweiSmsConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret_key.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        for (name, value) in [
            ("access_key", &self.access_key),
            ("region", &self.region),
            ("sender", &self.sender),
            ("template", &self.template),
        ] {
            if value.trim().is_empty() {
                problems.within(name, |p| p.error("is empty"));
            }
        }
        problems.within("secret_key", |p| self.secret_key.check_given("", p));
        problems.within("params", |p| self.params.iter().for_each(|value| check_value(value, p)));
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Sms {
    key: Secret,
    base: String,
    host: String,
    config: HuaweiSmsConfig,
    ears: Option<Ears>,
}

impl Sms {
    fn make(
        config: &HuaweiSmsConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Sms>, BuildFault> {
        let key = config.secret_key.need("secret_key.", making.env)?;
        let base = config.http.base(&format!("https://smsapi.{}.myhuaweicloud.com", config.region));
        let gate = config.callback.as_ref().map(|callback| callback.gate(making.env)).transpose()?;
        let ears = gate.map(|gate| Ears { gate });
        let heard = ears.iter().map(|ears| ears.gate.secret());
        Ok(Made {
            secrets: std::iter::once(key.reveal().to_owned()).chain(heard).collect(),
            card: ChannelCard {
                receipts: config.receipts.into(),
                links: LinkRule::None,
                lane_caps: vec![
                    // The same text twice in 59 s is the narrower of their limits.
                    within(2, Span::MINUTE, making),
                    within(50, Span::DAY, making),
                ],
                ..card
            },
            reach: config.http.clone(),
            provider: Sms { host: host(&base)?, key, base, config: config.clone(), ears },
        })
    }
}

impl Provider for Sms {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let number = international(&claim.address).ok_or_else(|| bad_address("a mobile number"))?;
        let variables = Variables::of(claim);
        let mut fields = vec![
            ("from", self.config.sender.clone()),
            ("to", number),
            ("templateId", self.config.template.clone()),
        ];
        if !self.config.params.is_empty() {
            let values: Vec<String> =
                self.config.params.iter().map(|value| variables.fill(value, LONGEST)).collect();
            // Texts, which JSON always takes.
            fields.push(("templateParas", serde_json::to_string(&values).unwrap_or_default()));
        }
        fields.extend(self.config.sign_name.clone().map(|name| ("signature", name)));
        if let (Some(callback), Some(ears)) = (&self.config.callback, &self.ears) {
            fields.push(("statusCallback", ears.gate.address(&callback.url)));
            // It comes back with every receipt.
            fields.push(("extend", claim.key.clone()));
        }
        let date = now.to_timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
        Ok(request(&self.base, &self.host, &fields, &self.config.access_key, self.key.reveal(), &date))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        let document = reply.json();
        let of = |v: &Value, code: &str, text: &str| {
            Some(Said { code: word(v.get(code)?)?, text: v.get(text).and_then(word).unwrap_or_default() })
        };
        let whole = document
            .as_ref()
            .and_then(|d| of(d, "code", "description").or_else(|| of(d, "error_code", "error_msg")));
        // The whole may be good while the one number is not.
        let result = document.as_ref().and_then(|d| d.get("result")?.as_array()?.first());
        let number = result.and_then(|r| of(r, "status", "status")).filter(|s| s.code != ANSWERS.good);
        let mut outcome = ANSWERS.judge(reply, whole.map(|whole| number.unwrap_or(whole)));
        if outcome.class == Accepted {
            outcome.provider_id = result.and_then(|r| r.get("smsMsgId")?.as_str().map(str::to_owned));
        }
        outcome
    }
}

/// `apis/channels` 16: no more of them are published.
static ANSWERS: Answers = Answers { name: "", good: "000000", lines: &[line("E000110", Config)] };

/// The request with these fields, signed: SDK-HMAC-SHA256, which leaves a form out.
pub(super) fn request(
    base: &str,
    host: &str,
    fields: &[(&str, String)],
    id: &str,
    key: &str,
    date: &str,
) -> Request {
    const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
    let headers =
        [("content-type", FORM), ("host", host), ("x-sdk-content-sha256", UNSIGNED), ("x-sdk-date", date)];
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = headers.map(|(name, _)| name).join(";");
    // Their canonical path ends in a slash, whether the real one does or not.
    let canonical = format!("POST\n{PATH}/\n\n{lines}\n{names}\n{UNSIGNED}");
    let text = format!("SDK-HMAC-SHA256\n{date}\n{}", sign::sha256_hex(canonical.as_bytes()));
    let signature = hex(&sign::hmac_sha256(key.as_bytes(), text.as_bytes()));
    Request::form(format!("{base}{PATH}"), fields)
        .with("x-sdk-date", date.to_owned())
        .with("x-sdk-content-sha256", UNSIGNED.to_owned())
        .with(
            "authorization",
            format!("SDK-HMAC-SHA256 Access={id}, SignedHeaders={names}, Signature={signature}"),
        )
}
