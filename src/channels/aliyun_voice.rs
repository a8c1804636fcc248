//! Calls by Aliyun (阿里云语音, `apis/channels` 18): a text read aloud, for the last level. That somebody answered is no
//! acknowledgement: it may be a mailbox, or a child.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::acs3::{self, AliyunKeyConfig, Call, Key};
use crate::channels::aliyun_sms::AliyunTemplateConfig;
use crate::channels::callback::aliyun::Ears;
use crate::channels::callback::{Hears, PathCallbackConfig};
use crate::channels::provider::{
    Made, Provider, ReachConfig, Reply, Request, bad_address, build, too_long, within,
};
use crate::channels::sms::{Receipts, Variables, domestic};
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::model::{ChannelCard, ChannelClass, LinkRule, Outcome};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::sign;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "aliyun_voice",
    about: "阿里云语音 / calls by Aliyun, a text read aloud",
    class: ChannelClass::Voice,
    markup: Markup::Sms,
    chosen: |config| config.aliyun_voice.is_some(),
    check: |config, problems| config.aliyun_voice.iter().for_each(|voice| voice.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.aliyun_voice.as_ref(), Voice::make),
};

const BASE: &str = "https://dyvmsapi.aliyuncs.com";
/// What all variables may be long.
const PARAM: usize = 249;
/// What one may be long.
const LONGEST: usize = 35;

/// `[channels.NAME.aliyun_voice]`: calls by Aliyun (阿里云语音通知).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AliyunVoiceConfig {
    /// The access key.
    pub key: AliyunKeyConfig,
    /// The number that is shown; none where numbers are shared (公共模式).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_number: Option<String>,
    /// The approved text (文本转语音模板), `TTS_…`, and its variables.
    pub template: AliyunTemplateConfig,
    /// How often it is said. 1 to 3.
    pub play_times: u8,
    /// `none`, or `pushed` where records of calls come (VoiceReport).
    pub receipts: Receipts,
    /// Records of calls (VoiceReport) that it sends us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<PathCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl Default for AliyunVoiceConfig {
    fn default() -> AliyunVoiceConfig {
        AliyunVoiceConfig {
            key: AliyunKeyConfig::default(),
            show_number: None,
            template: AliyunTemplateConfig::default(),
            play_times: 2,
            receipts: Receipts::default(),
            callback: None,
            http: ReachConfig::default(),
        }
    }
}

impl AliyunVoiceConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.key.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        self.key.check(problems);
        problems.within("template", |p| self.template.check(p));
        if !(1..=3).contains(&self.play_times) {
            problems.within("play_times", |p| p.error(format!("found {}, expected 1 to 3", self.play_times)));
        }
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct Voice {
    key: Key,
    base: String,
    host: String,
    config: AliyunVoiceConfig,
    ears: Option<Ears>,
}

impl Voice {
    fn make(
        config: &AliyunVoiceConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<Voice>, BuildFault> {
        let key = config.key.read(making.env)?;
        let base = config.http.base(BASE);
        let gate = config.callback.as_ref().map(|callback| callback.gate(making.env)).transpose()?;
        let ears = gate.map(|gate| Ears { gate });
        let heard = ears.iter().map(|ears| ears.gate.secret());
        Ok(Made {
            secrets: key.secrets().into_iter().chain(heard).collect(),
            card: ChannelCard {
                receipts: config.receipts.into(),
                links: LinkRule::None,
                // Two calls within a second block both.
                lane_caps: vec![
                    within(1, Span::MINUTE, making),
                    within(5, Span::HOUR, making),
                    within(20, Span::DAY, making),
                ],
                ..card
            },
            reach: config.http.clone(),
            provider: Voice { host: acs3::host(&base)?, key, base, config: config.clone(), ears },
        })
    }
}

impl Provider for Voice {
    fn request(&self, claim: &Claim, _: &str, now: Instant) -> Result<Request, Outcome> {
        let number = domestic(&claim.address).ok_or_else(|| bad_address("a number of mainland China"))?;
        let param = self.config.template.filled(&Variables::of(claim), LONGEST);
        if param.chars().count() > PARAM {
            return Err(too_long(param.len(), PARAM));
        }
        // At most 15 bytes are echoed.
        let out = &sign::sha256_hex(claim.key.as_bytes())[..15];
        let mut query = vec![
            ("CalledNumber", number),
            ("TtsCode", self.config.template.code.clone()),
            ("TtsParam", param),
            ("PlayTimes", self.config.play_times.to_string()),
            ("OutId", out.to_owned()),
        ];
        if let Some(show) = &self.config.show_number {
            query.push(("CalledShowNumber", show.clone()));
        }
        let call = Call {
            base: &self.base,
            action: "SingleCallByTts",
            version: "2017-05-25",
            query,
            form: Vec::new(),
            headers: Vec::new(),
        };
        Ok(acs3::request(&call, &self.key, &self.host, &acs3::nonce(claim, now), now))
    }

    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome {
        acs3::read(claim, reply, "CallId")
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }
}
