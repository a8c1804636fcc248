//! Short messages by Tencent Cloud (腾讯云短信, `apis/channels` 15): signed with TC3-HMAC-SHA256. It says 200 to whatever
//! happens; the error of the whole, or the code of the number, decides.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::acs3::host;
use crate::channels::answers::{Answers, Said, line, word};
use crate::channels::callback::tencent::Ears;
use crate::channels::callback::{Hears, PathCallbackConfig};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::sms::{AskedReceipts, Variables, asked, check_value, international};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::{Claim, Inquiry};
use crate::core::ids::{Secret, hex};
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, RecipientThrottled, Throttled,
    Transient, Unknown,
};
use crate::core::model::{
    ChannelCard, ChannelClass, LinkRule, Outcome, Rate, ReplyPath, Statement, StatementKind,
};
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
    /// `none`; `pushed` where delivery receipts come; `polled` where they are only asked for
    /// (`PullSmsSendStatusByPhoneNumber`).
    pub receipts: AskedReceipts,
    /// Receipts and replies that it sends us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<PathCallbackConfig>,
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
            receipts: AskedReceipts::default(),
            callback: None,
            http: ReachConfig::default(),
        }
    }
}

impl TencentSmsConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret_key.rebase(folder);
        self.token.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
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
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Sms {
    key: Secret,
    token: Option<Secret>,
    base: String,
    host: String,
    config: TencentSmsConfig,
    ears: Option<Ears>,
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
        let gate = config.callback.as_ref().map(|callback| callback.gate(making.env)).transpose()?;
        let ears = gate.map(|gate| Ears { gate });
        Ok(Made {
            secrets: secrets.chain(ears.iter().map(|ears| ears.gate.secret())).collect(),
            card: ChannelCard {
                receipts: config.receipts.into(),
                duplicate_key: config.receipts.into(),
                reply: if ears.is_some() { ReplyPath::Text } else { card.reply },
                links: LinkRule::None,
                lane_caps: vec![
                    within(1, Span::from_secs(30), making),
                    Rate { count: config.per_day.max(1), per: Span::DAY },
                ],
                ..card
            },
            reach: config.http.clone(),
            provider: Sms { host: host(&base)?, key, token, base, config: config.clone(), ears },
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
        Ok(self.call(&format!("{}/", self.base), now).request("SendSms", body.to_string()))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn ask(&self, inquiry: &Inquiry, _: &str, now: Instant) -> Option<Request> {
        let body = json!({
            "SmsSdkAppId": self.config.app_id,
            "PhoneNumber": international(&inquiry.address)?,
            // A little before, as its clock may be behind ours.
            "BeginTime": inquiry.sent_at.as_secs() - 60,
            "EndTime": now.as_secs(),
            "Offset": 0,
            "Limit": 100,
        });
        let url = format!("{}/", self.base);
        let call = self.call(&url, now);
        Some(call.request("PullSmsSendStatusByPhoneNumber", body.to_string()))
    }

    fn told(&self, inquiry: &Inquiry, reply: &Reply) -> Option<Statement> {
        let document = reply.json().filter(|_| reply.is_good())?;
        let rows = document.pointer("/Response/PullSmsSendStatusSet")?.as_array()?;
        let is_ours = |row: &&Value| {
            let by_id = inquiry.provider_id.as_deref().is_some_and(|id| row["SerialNo"] == id);
            by_id || row["SessionContext"] == inquiry.key.as_str()
        };
        let row = rows.iter().find(is_ours);
        let what = match row.and_then(|row| row.get("ReportStatus")?.as_str()) {
            Some("SUCCESS") => StatementKind::Delivered,
            Some("FAIL") => StatementKind::Negative,
            Some(_) => return None,
            // It lists a message when something is known of it: of one that it has taken that is nothing new.
            None if inquiry.provider_id.is_some() => StatementKind::Accepted,
            None => StatementKind::NotFound,
        };
        let code = row.and_then(|row| row.get("Description").and_then(word));
        Some(Statement { code, ..asked(inquiry, what) })
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

impl Sms {
    fn call<'a>(&'a self, url: &'a str, now: Instant) -> Call<'a> {
        Call {
            id: &self.config.secret_id,
            key: self.key.reveal(),
            token: self.token.as_ref().map(Secret::reveal),
            region: &self.config.region,
            url,
            host: &self.host,
            at: now.as_secs(),
        }
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

/// One call of the API.
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
    pub(super) fn request(&self, action: &str, body: String) -> Request {
        let headers = [("content-type", KIND), ("host", self.host)];
        let (_, authorization) = authorization(self.id, self.key, SERVICE, self.at, &headers, &body);
        let mut headers = vec![
            ("content-type", KIND.to_owned()),
            ("authorization", authorization),
            ("x-tc-action", action.to_owned()),
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
