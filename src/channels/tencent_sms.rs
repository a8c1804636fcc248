//! Short messages by Tencent Cloud (腾讯云短信, `apis/channels` 15): signed with TC3-HMAC-SHA256. It says 200 to whatever
//! happens; the error of the whole, or the code of the number, decides.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::acs3::host;
use crate::channels::answers::{Answers, Said, line, word};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::sms::{Receipts, Variables, check_value, international};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::{Secret, hex};
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, RecipientThrottled, Throttled,
    Transient, Unknown,
};
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome, Rate};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "tencent_sms",
    about: "腾讯云短信 / short messages by Tencent Cloud",
    class: ChannelClass::Sms,
    markup: Markup::Sms,
    chosen: |config| config.tencent_sms.is_some(),
    check: |config, problems| config.tencent_sms.iter().for_each(|sms| sms.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.tencent_sms.as_ref(), Sms::make),
};

const BASE: &str = "https://sms.tencentcloudapi.com";
const SERVICE: &str = "sms";
/// What is signed must be what is sent, to the byte.
pub(super) const KIND: &str = "application/json";

/// A template that is approved there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TencentTemplateConfig {
    /// Its id.
    pub id: String,
    /// What its variables say, in their order: `["{id}", "{count}"]`. Known are `{id}`, `{level}`, `{what}`, `{state}`,
    /// `{subject}`, `{due}` and `{count}`.
    pub params: Vec<String>,
}

impl TencentTemplateConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        if self.id.trim().is_empty() {
            problems.within("id", |p| p.error("is empty, expected the id of an approved template"));
        }
        problems.within("params", |p| self.params.iter().for_each(|value| check_value(value, p)));
    }
}

/// `[channels.NAME.tencent_sms]`: short messages by Tencent Cloud (腾讯云短信).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TencentSmsConfig {
    /// The id of the key, `AKID…`.
    pub secret_id: String,
    /// The key.
    pub secret_key: SecretConfig,
    /// The token of a key that does not last.
    pub token: SecretConfig,
    /// `ap-guangzhou`, `ap-beijing` or `ap-nanjing`.
    pub region: String,
    /// The application (SdkAppId), `1400…`.
    pub app_id: String,
    /// The approved signature (签名内容), without 【】.
    pub sign_name: String,
    /// The template of every message.
    pub template: TencentTemplateConfig,
    /// The template where a message was refused for its words: digits only, or no variable at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimal: Option<TencentTemplateConfig>,
    /// How many characters a variable may have; 6 for accounts opened since 2024-01-25.
    pub longest: usize,
    /// How many messages a number gets on a day, as the console has it (发送频率限制). Its default there is 2: raise it first.
    pub per_day: u32,
    /// `none`, or `pushed` where delivery receipts come by `POST /v1/receipts/NAME`.
    pub receipts: Receipts,
    /// How it is reached.
    pub http: ReachConfig,
}

impl Default for TencentSmsConfig {
    fn default() -> TencentSmsConfig {
        TencentSmsConfig {
            secret_id: String::new(),
            secret_key: SecretConfig::default(),
            token: SecretConfig::default(),
            region: "ap-guangzhou".to_owned(),
            app_id: String::new(),
            sign_name: String::new(),
            template: TencentTemplateConfig::default(),
            minimal: None,
            longest: 6,
            per_day: 0,
            receipts: Receipts::default(),
            http: ReachConfig::default(),
        }
    }
}

impl TencentSmsConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret_key.rebase(folder);
        self.token.rebase(folder);
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        for (name, value) in
            [("secret_id", &self.secret_id), ("app_id", &self.app_id), ("region", &self.region)]
        {
            if value.trim().is_empty() {
                problems.within(name, |p| p.error("is empty"));
            }
        }
        problems.within("secret_key", |p| self.secret_key.check_given("", p));
        problems.within("token", |p| self.token.check("", p));
        if self.sign_name.trim().is_empty() || self.sign_name.contains(['【', '】']) {
            problems.within("sign_name", |p| {
                p.error(format!("found `{}`, expected the approved signature without 【】", self.sign_name));
            });
        }
        problems.within("template", |p| self.template.check(p));
        problems.within("minimal", |p| self.minimal.iter().for_each(|minimal| minimal.check(p)));
        if self.per_day == 0 {
            problems.within("per_day", |p| {
                p.error(
                    "is not given: Tencent lets a number have 2 messages a day until the console says more \
                     (短信控制台 → 频率限制); raise it there and write here what it says",
                );
            });
        }
        self.http.check(problems);
    }
}

struct Sms {
    key: Secret,
    token: Option<Secret>,
    base: String,
    host: String,
    config: TencentSmsConfig,
}

impl Sms {
    fn make(
        config: &TencentSmsConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Sms>, BuildFault> {
        let key = config.secret_key.need("secret_key.", making.env)?;
        let token = config.token.read("token.", making.env)?;
        let base = config.http.base(BASE);
        let secrets = [Some(&key), token.as_ref()].into_iter().flatten().map(|s| s.reveal().to_owned());
        Ok(Made {
            card: ChannelCard {
                receipts: config.receipts.into(),
                links: LinkRule::None,
                lane_caps: vec![
                    within(1, Span::from_secs(30), making),
                    Rate { count: config.per_day.max(1), per: Span::DAY },
                ],
                ..card
            },
            reach: config.http.clone(),
            secrets: secrets.collect(),
            provider: Sms { host: host(&base)?, key, token, base, config: config.clone() },
        })
    }
}

impl Provider for Sms {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let number = international(&claim.address).ok_or_else(|| bad_address("a mobile number"))?;
        let variables = Variables::of(claim);
        let minimal = self.config.minimal.as_ref().filter(|_| variables.is_minimal());
        let template = minimal.unwrap_or(&self.config.template);
        let mut body = json!({
            "PhoneNumberSet": [number],
            "SmsSdkAppId": self.config.app_id,
            "TemplateId": template.id,
            "SignName": self.config.sign_name,
            "SessionContext": claim.key,
        });
        if !template.params.is_empty() {
            let values: Vec<String> =
                template.params.iter().map(|value| variables.fill(value, self.config.longest)).collect();
            body["TemplateParamSet"] = json!(values);
        }
        let call = Call {
            id: &self.config.secret_id,
            key: self.key.reveal(),
            token: self.token.as_ref().map(Secret::reveal),
            region: &self.config.region,
            url: &format!("{}/", self.base),
            host: &self.host,
            at: now.as_secs(),
        };
        Ok(call.request(body.to_string()))
    }

    fn read(&self, _: &Claim, reply: &Reply) -> Outcome {
        let document = reply.json();
        let response = document.as_ref().and_then(|d| d.get("Response"));
        let of = |v: &Value| {
            Some(Said {
                code: word(v.get("Code")?)?,
                text: v.get("Message").and_then(word).unwrap_or_default(),
            })
        };
        let error = response.and_then(|r| r.get("Error")).and_then(of);
        // One number was asked for; whatever else is there must not hide that it failed.
        let status = response.and_then(|r| r.get("SendStatusSet")).and_then(Value::as_array);
        let bad = status.and_then(|all| all.iter().find(|s| s["Code"] != "Ok").or(all.first()));
        let mut outcome = ANSWERS.judge(reply, error.or_else(|| bad.and_then(of)));
        if outcome.class == Accepted {
            let id = bad.and_then(|s| s.get("SerialNo")?.as_str().map(str::to_owned));
            outcome.provider_id = id.filter(|id| !id.is_empty());
        }
        outcome
    }
}

/// `apis/channels` 15.
static ANSWERS: Answers = Answers {
    name: "",
    good: "Ok",
    lines: &[
        line("LimitExceeded.PhoneNumberThirtySecondLimit", RecipientThrottled).wait(30),
        line("LimitExceeded.PhoneNumberOneHourLimit", RecipientThrottled).wait(3600),
        // Until the day is over.
        line("LimitExceeded.PhoneNumberDailyLimit", RecipientThrottled),
        line("LimitExceeded.PhoneNumberSameContentDailyLimit", RecipientThrottled),
        line("LimitExceeded.DeliveryFrequencyLimit", RecipientThrottled),
        line("LimitExceeded.AppDailyLimit", Config),
        line("LimitExceeded.AppMainlandChinaDailyLimit", Config),
        line("LimitExceeded.PhoneNumberCountLimit", ContentPermanent),
        line("RequestLimitExceeded*", Throttled).wait(1),
        line("FailedOperation.InsufficientBalanceInSmsPackage", Config),
        line("UnauthorizedOperation.ServiceSuspendDueToArrears", Config),
        line("FailedOperation.SignatureIncorrectOrUnapproved", Config),
        line("FailedOperation.TemplateIncorrectOrUnapproved", Config),
        line("FailedOperation.TemplateUnapprovedOrNotExist", Config),
        line("FailedOperation.QualificationIdNotApproved", Config),
        line("FailedOperation.MarketingSendTimeConstraint", Config),
        line("FailedOperation.TemplateParamSetNotMatchApprovedTemplate", ContentPermanent),
        line("FailedOperation.ContainSensitiveWord", ContentPermanent),
        line("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter", ContentPermanent),
        line("InvalidParameterValue.TemplateParameterLengthLimit", ContentPermanent),
        line("InvalidParameterValue.ContentLengthLimit", ContentPermanent),
        line("InvalidParameterValue.TemplateParameterFormatError", ContentPermanent),
        line("UnsupportedTemplateVariable", ContentPermanent),
        line("FailedOperation.PhoneNumberInBlacklist", RecipientPermanent),
        line("InvalidParameterValue.IncorrectPhoneNumber", RecipientPermanent),
        line("FailedOperation.PhoneNumberParseFail", RecipientPermanent),
        line("UnauthorizedOperation.*", Config),
        line("AuthFailure.SignatureExpire", Config),
        line("InternalError.RequestTimeException", Config),
        line("AuthFailure.*", Credential),
        line("InternalError.Timeout", Unknown),
        line("InternalError.SendAndRecvFail", Unknown),
        line("InternalError*", Transient),
    ],
};

/// One call of `SendSms`.
pub(super) struct Call<'a> {
    pub(super) id: &'a str,
    pub(super) key: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) region: &'a str,
    pub(super) url: &'a str,
    pub(super) host: &'a str,
    /// Seconds.
    pub(super) at: i64,
}

impl Call<'_> {
    /// The request with this body, signed.
    pub(super) fn request(&self, body: String) -> Request {
        let headers = [("content-type", KIND), ("host", self.host)];
        let (_, authorization) = authorization(self.id, self.key, SERVICE, self.at, &headers, &body);
        let mut headers = vec![
            ("content-type", KIND.to_owned()),
            ("authorization", authorization),
            ("x-tc-action", "SendSms".to_owned()),
            ("x-tc-version", "2021-01-11".to_owned()),
            ("x-tc-region", self.region.to_owned()),
            ("x-tc-timestamp", self.at.to_string()),
            ("x-tc-language", "zh-CN".to_owned()),
        ];
        headers.extend(self.token.map(|token| ("x-tc-token", token.to_owned())));
        Request { method: reqwest::Method::POST, url: self.url.to_owned(), headers, body }
    }
}

/// TC3-HMAC-SHA256 over headers in order and a body: the signed text, and the header.
pub(super) fn authorization(
    id: &str,
    key: &str,
    service: &str,
    at: i64,
    headers: &[(&str, &str)],
    body: &str,
) -> (String, String) {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sign::sha256_hex(body.as_bytes()));
    // The day of UTC, whatever the day is here.
    let date = Instant::from_secs(at).to_timestamp().strftime("%Y-%m-%d").to_string();
    let scope = format!("{date}/{service}/tc3_request");
    let text = format!("TC3-HMAC-SHA256\n{at}\n{scope}\n{}", sign::sha256_hex(canonical.as_bytes()));
    let day = sign::hmac_sha256(format!("TC3{key}").as_bytes(), date.as_bytes());
    let signing = sign::hmac_sha256(&sign::hmac_sha256(&day, service.as_bytes()), b"tc3_request");
    let signature = hex(&sign::hmac_sha256(&signing, text.as_bytes()));
    let header =
        format!("TC3-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
    (text, header)
}
