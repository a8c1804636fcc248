//! Short messages by Aliyun (阿里云短信, `apis/channels` 14): one message a number, by a template that is approved there. It
//! says 200 to errors of business; its `Code` decides.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channels::acs3::{self, AliyunKeyConfig, Call, Key};
use crate::channels::answers::word;
use crate::channels::callback::aliyun::Ears;
use crate::channels::callback::{Hears, PathCallbackConfig};
use crate::channels::provider::{Made, Provider, ReachConfig, Reply, Request, bad_address, build, within};
use crate::channels::sms::{AskedReceipts, Variables, asked, check_value, domestic};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::{Claim, Inquiry};
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome, ReplyPath, Statement, StatementKind};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "aliyun_sms",
    about: "阿里云短信 / short messages by Aliyun",
    class: ChannelClass::Sms,
    markup: Markup::Sms,
    chosen: |config| config.aliyun_sms.is_some(),
    check: |config, problems| config.aliyun_sms.iter().for_each(|sms| sms.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.aliyun_sms.as_ref(), Sms::make),
};

const BASE: &str = "https://dysmsapi.aliyuncs.com";
/// The longest value that every kind of variable takes; `others` and order numbers take 35.
const LONGEST: usize = 35;

/// A template that is approved there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AliyunTemplateConfig {
    /// Its code, `SMS_…`.
    pub code: String,
    /// Its variables (模板变量) and what they say: `{ no = "{id}", n = "{count}" }`. Known are `{id}`, `{level}`, `{what}`,
    /// `{state}`, `{subject}`, `{due}` and `{count}`.
    pub params: BTreeMap<String, String>,
}

impl AliyunTemplateConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        if self.code.trim().is_empty() {
            problems.within("code", |p| p.error("is empty, expected the code of an approved template"));
        }
        problems.within("params", |problems| {
            for (name, value) in &self.params {
                problems.within(name.as_str(), |p| check_value(value, p));
            }
        });
    }

    /// Its variables as one document, every value a text.
    pub(crate) fn filled(&self, variables: &Variables, longest: usize) -> String {
        let values: BTreeMap<&str, String> =
            self.params.iter().map(|(name, value)| (name.as_str(), variables.fill(value, longest))).collect();
        // Texts by texts, which JSON always takes.
        serde_json::to_string(&values).unwrap_or_default()
    }
}

/// `[channels.NAME.aliyun_sms]`: short messages by Aliyun (阿里云短信).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AliyunSmsConfig {
    /// The access key.
    pub key: AliyunKeyConfig,
    /// The approved signature (短信签名), without 【】.
    pub sign_name: String,
    /// The template of every message.
    pub template: AliyunTemplateConfig,
    /// The template where a message was refused for its words: digits only, or no variable at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimal: Option<AliyunTemplateConfig>,
    /// `none`; `pushed` where delivery receipts come (SmsReport), with the message's key as `out_id`; `polled` where they are
    /// only asked for (`QuerySendDetails`, which the access key must be allowed).
    pub receipts: AskedReceipts,
    /// Receipts (SmsReport) and replies (SmsUp) that it sends us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<PathCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl AliyunSmsConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.key.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        self.key.check(problems);
        if self.sign_name.trim().is_empty() || self.sign_name.contains(['【', '】']) {
            problems.within("sign_name", |p| {
                p.error(format!("found `{}`, expected the approved signature without 【】", self.sign_name));
            });
        }
        problems.within("template", |p| self.template.check(p));
        problems.within("minimal", |p| self.minimal.iter().for_each(|minimal| minimal.check(p)));
        if self.minimal.is_none() {
            problems.warn(
                "has no `minimal` template: a message that is refused for its words is not sent again in digits only",
            );
        }
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Sms {
    key: Key,
    base: String,
    host: String,
    config: AliyunSmsConfig,
    ears: Option<Ears>,
}

impl Sms {
    fn make(
        config: &AliyunSmsConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Sms>, BuildFault> {
        let key = config.key.read(making.env)?;
        let base = config.http.base(BASE);
        let gate = config.callback.as_ref().map(|callback| callback.gate(making.env)).transpose()?;
        let ears = gate.map(|gate| Ears { gate });
        let heard = ears.iter().map(|ears| ears.gate.secret());
        Ok(Made {
            secrets: key.secrets().into_iter().chain(heard).collect(),
            card: ChannelCard {
                receipts: config.receipts.into(),
                duplicate_key: config.receipts.into(),
                reply: if ears.is_some() { ReplyPath::Text } else { card.reply },
                links: LinkRule::None,
                // What a number gets by one signature and template.
                lane_caps: vec![within(50, Span::DAY, making)],
                ..card
            },
            reach: config.http.clone(),
            provider: Sms { host: acs3::host(&base)?, key, base, config: config.clone(), ears },
        })
    }
}

impl Provider for Sms {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let number =
            domestic(&claim.address).ok_or_else(|| bad_address("a mobile number of mainland China"))?;
        let variables = Variables::of(claim);
        let minimal = self.config.minimal.as_ref().filter(|_| variables.is_minimal());
        let template = minimal.unwrap_or(&self.config.template);
        let mut query = vec![
            ("PhoneNumbers", number),
            ("SignName", self.config.sign_name.clone()),
            ("TemplateCode", template.code.clone()),
            ("OutId", claim.key.clone()),
        ];
        if !template.params.is_empty() {
            query.push(("TemplateParam", template.filled(&variables, LONGEST)));
        }
        let call = Call {
            base: &self.base,
            action: "SendSms",
            version: "2017-05-25",
            query,
            form: Vec::new(),
            headers: Vec::new(),
        };
        Ok(acs3::request(&call, &self.key, &self.host, &acs3::nonce(claim, now), now))
    }

    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome {
        acs3::read(claim, reply, "BizId")
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn ask(&self, inquiry: &Inquiry, _: &str, now: Instant) -> Option<Request> {
        let mut query = vec![
            ("PhoneNumber", domestic(&inquiry.address)?),
            // A day of China.
            ("SendDate", china_day(inquiry.sent_at)),
            ("PageSize", "50".to_owned()),
            ("CurrentPage", "1".to_owned()),
        ];
        query.extend(inquiry.provider_id.clone().map(|id| ("BizId", id)));
        let call = Call {
            base: &self.base,
            action: "QuerySendDetails",
            version: "2017-05-25",
            query,
            form: Vec::new(),
            headers: Vec::new(),
        };
        let nonce = acs3::nonce_of(&["query", &inquiry.key], now);
        Some(acs3::request(&call, &self.key, &self.host, &nonce, now))
    }

    fn told(&self, inquiry: &Inquiry, reply: &Reply) -> Option<Statement> {
        let document = reply.json()?;
        if !reply.is_good() || document.get("Code")? != "OK" {
            return None;
        }
        let rows = document.pointer("/SmsSendDetailDTOs/SmsSendDetailDTO").and_then(Value::as_array);
        let row = rows.into_iter().flatten().find(|row| row["OutId"] == inquiry.key.as_str());
        let (what, code) = match row {
            // 1 waits for the handset, 2 did not arrive, 3 arrived.
            Some(row) => match row.get("SendStatus").and_then(word)?.as_str() {
                "3" => (StatementKind::Delivered, row.get("ErrCode").and_then(word)),
                "2" => (StatementKind::Negative, row.get("ErrCode").and_then(word)),
                "1" => (StatementKind::Accepted, None),
                _ => return None,
            },
            None => (StatementKind::NotFound, None),
        };
        Some(Statement { code, ..asked(inquiry, what) })
    }
}

/// The day of an instant as China has it: `20260921`.
fn china_day(at: Instant) -> String {
    at.to_timestamp().to_zoned(jiff::tz::offset(8).to_time_zone()).strftime("%Y%m%d").to_string()
}
