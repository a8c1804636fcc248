//! `[channels.NAME]`: one section of an adapter, and what holds for every channel.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::aliyun_sms::AliyunSmsConfig;
use crate::channels::aliyun_voice::AliyunVoiceConfig;
use crate::channels::dingtalk_app::DingtalkAppConfig;
use crate::channels::dingtalk_robot::DingtalkRobotConfig;
use crate::channels::feishu_app::FeishuAppConfig;
use crate::channels::feishu_robot::FeishuRobotConfig;
use crate::channels::huawei_sms::HuaweiSmsConfig;
use crate::channels::maildir::MaildirConfig;
use crate::channels::matrix::MatrixConfig;
use crate::channels::print::PrintConfig;
use crate::channels::slack::SlackConfig;
use crate::channels::sms_gateway::SmsGatewayConfig;
use crate::channels::smtp::SmtpConfig;
use crate::channels::teams::TeamsConfig;
use crate::channels::telegram::TelegramConfig;
use crate::channels::tencent_sms::TencentSmsConfig;
use crate::channels::twilio::TwilioSmsConfig;
use crate::channels::twilio::TwilioVoiceConfig;
use crate::channels::webhook::WebhookConfig;
use crate::channels::wecom_app::WecomAppConfig;
use crate::channels::wecom_robot::WecomRobotConfig;
use crate::channels::{ADAPTERS, Adapter};
use crate::core::model::ChannelClass;
use crate::core::problem::Problems;

/// How many attempts of one channel may be under way (`MAX_INFLIGHT`).
pub(crate) const MAX_INFLIGHT: u16 = 16;

macro_rules! sections {
    ($($(#[doc = $about:literal])+ $name:ident: $config:ty,)+) => {
        /// `[channels.NAME]`: a way by which messages leave (渠道). It has exactly one section named after its adapter,
        /// such as `[channels.ops-mail.smtp]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct ChannelConfig {
            /// `false` keeps it configured, and sends nothing by it.
            #[serde(default = "yes")]
            pub enabled: bool,
            /// How many attempts may be under way at once; after a crash so many messages may arrive twice. 1 to 256.
            #[serde(default = "max_inflight")]
            pub max_inflight: u16,
            $(
                $(#[doc = $about])+
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<$config>,
            )+
        }

        impl Default for ChannelConfig {
            fn default() -> ChannelConfig {
                ChannelConfig { enabled: true, max_inflight: MAX_INFLIGHT, $($name: None,)+ }
            }
        }

        impl ChannelConfig {
            /// Takes relative paths as seen from `folder`, the one of the file that names the channel.
            pub fn rebase(&mut self, folder: &Path) {
                $(
                    if let Some(section) = &mut self.$name {
                        section.rebase(folder);
                    }
                )+
            }
        }
    };
}

// A new adapter is one line here, and one in `ADAPTERS`.
sections! {
    /// Mail by a relay (邮件).
    smtp: SmtpConfig,
    /// Somebody's HTTP endpoint, signed.
    webhook: WebhookConfig,
    /// A robot in a group of DingTalk (钉钉群机器人).
    dingtalk_robot: DingtalkRobotConfig,
    /// A robot in a group of WeCom (企业微信群机器人).
    wecom_robot: WecomRobotConfig,
    /// A robot in a group of Feishu or Lark (飞书群机器人).
    feishu_robot: FeishuRobotConfig,
    /// Short messages by Aliyun (阿里云短信).
    aliyun_sms: AliyunSmsConfig,
    /// Short messages by Tencent Cloud (腾讯云短信).
    tencent_sms: TencentSmsConfig,
    /// Slack: a webhook, or a bot.
    slack: SlackConfig,
    /// A bot of Telegram.
    telegram: TelegramConfig,
    /// A workflow of Teams.
    teams: TeamsConfig,
    /// Short messages by Twilio.
    twilio_sms: TwilioSmsConfig,
    /// Calls by Twilio.
    twilio_voice: TwilioVoiceConfig,
    /// Short messages by Huawei Cloud (华为云短信).
    huawei_sms: HuaweiSmsConfig,
    /// Calls by Aliyun (阿里云语音).
    aliyun_voice: AliyunVoiceConfig,
    /// A gateway of your own (短信网关), as Kannel has it.
    sms_gateway: SmsGatewayConfig,
    /// An application of WeCom (企业微信应用).
    wecom_app: WecomAppConfig,
    /// An application of Feishu or Lark (飞书应用).
    feishu_app: FeishuAppConfig,
    /// A robot of an application of DingTalk (钉钉应用).
    dingtalk_app: DingtalkAppConfig,
    /// Rooms of Matrix.
    matrix: MatrixConfig,
    /// Mails as files in a folder, to try things out without an account.
    maildir: MaildirConfig,
    /// Texts on standard output, to try things out.
    print: PrintConfig,
}

fn yes() -> bool {
    true
}

fn max_inflight() -> u16 {
    MAX_INFLIGHT
}

impl ChannelConfig {
    /// The adapter that it names; `None` when it names none or several.
    pub fn adapter(&self) -> Option<&'static Adapter> {
        let mut chosen = ADAPTERS.iter().filter(|a| (a.chosen)(self));
        chosen.next().filter(|_| chosen.next().is_none()).copied()
    }

    /// The class of the channel, where it names one adapter.
    pub fn class(&self) -> Option<ChannelClass> {
        self.adapter().map(|adapter| adapter.class)
    }

    /// Who its callbacks know by which id beside contacts, with the path of it below the channel.
    pub(crate) fn callback_people(&self) -> Option<(&'static str, &BTreeMap<String, String>)> {
        let chosen = self.adapter()?.name;
        let people = match chosen {
            "feishu_app" => self.feishu_app.as_ref()?.callback.as_ref().map(|callback| &callback.people),
            "wecom_app" => self.wecom_app.as_ref()?.callback.as_ref().map(|callback| &callback.people),
            "dingtalk_app" => self.dingtalk_app.as_ref()?.callback.as_ref().map(|callback| &callback.people),
            "slack" => self.slack.as_ref()?.callback.as_ref().map(|callback| &callback.people),
            "telegram" => self.telegram.as_ref()?.callback.as_ref().map(|callback| &callback.people),
            _ => None,
        };
        people.map(|people| (chosen, people))
    }

    /// Notes everything that is wrong. Paths are looked at as they are: [`ChannelConfig::rebase`] first.
    pub fn check(&self, problems: &mut Problems) {
        if self.max_inflight == 0 || self.max_inflight > 256 {
            problems.within("max_inflight", |p| {
                p.error(format!("found {}, expected 1 to 256", self.max_inflight));
            });
        }
        let chosen: Vec<_> = ADAPTERS.iter().filter(|a| (a.chosen)(self)).collect();
        match chosen.as_slice() {
            [one] => problems.within(one.name, |problems| (one.check)(self, problems)),
            [] => {
                let names: Vec<_> = ADAPTERS.iter().map(|a| a.name).collect();
                problems.error(format!("has no adapter, expected one section of: {}", names.join(", ")));
            }
            several => {
                let names: Vec<_> = several.iter().map(|a| a.name).collect();
                problems.error(format!(
                    "has several adapters ({}), expected one: give each a channel of its own",
                    names.join(", ")
                ));
            }
        }
    }
}

/// Takes a relative path as seen from `folder`.
pub(crate) fn rebase(path: &mut Option<String>, folder: &Path) {
    if let Some(path) = path {
        *path = folder.join(&*path).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::problem::Problem;

    pub(crate) fn problems_of(text: &str) -> Vec<String> {
        let config: ChannelConfig = toml::from_str(text).unwrap();
        let mut problems = Problems::new();
        config.check(&mut problems);
        problems.into_vec().into_iter().map(|Problem { path, text, .. }| format!("{path}: {text}")).collect()
    }

    #[test]
    fn a_channel_has_one_adapter() {
        for (text, want) in [
            (
                "[print]\n[maildir]\npath = \"m\"",
                ": has several adapters (maildir, print), expected one: give each a channel of its own",
            ),
            ("max_inflight = 0\n[print]", "max_inflight: found 0, expected 1 to 256"),
        ] {
            assert_eq!(problems_of(text), [want], "{text}");
        }
        assert_eq!(problems_of("[print]"), [""; 0]);
        let none = problems_of("");
        assert!(
            none[0].starts_with(": has no adapter, expected one section of: smtp, webhook, "),
            "{none:?}"
        );
    }

    #[test]
    fn a_key_nobody_reads_is_refused() {
        for text in
            ["colour = 1\n[print]", "[print]\ncolour = 1", "[smtp]\nhost = \"h\"\nfrom = \"f\"\nport2 = 1"]
        {
            assert!(toml::from_str::<ChannelConfig>(text).is_err(), "{text}");
        }
    }
}
