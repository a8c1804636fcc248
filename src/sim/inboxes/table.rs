//! Every provider that there is: how it is made, and the section that writes to it.

use super::{
    Inbox, aliyun, dingtalk, feishu, huawei, kannel, matrix, slack, teams, telegram, tencent, twilio, wecom,
};

/// The secret of every simulated account, in the variable `SIM_SECRET` of sections: whatever signs, opens or names.
pub const SECRET: &str = "SECsim5ec4e7of7he0channe1";
/// What stands behind the last `/`, or in the token, of every simulated webhook, in the variable `SIM_HOOK`.
pub const HOOK: &str = "sim-h00k-0123456789";
/// The id of every simulated account and application.
pub(super) const APP: &str = "simapp01";
/// The signature of short messages.
pub(super) const SIGN: &str = "售后值班";
/// The application of Tencent's short messages.
pub(super) const SDK_APP: &str = "1400000001";
/// The account at Twilio.
pub(super) const SID: &str = "AC00000000000000000000000000000000";

/// What kind of address a contact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    /// A number of mainland China.
    Mobile,
    /// A user of an application, behind these letters.
    User(&'static str),
    /// A member of a workspace, in capitals.
    Member,
    /// A chat's number.
    Chat,
    /// A room.
    Room,
    /// Nobody in particular.
    Nobody,
}

/// A provider.
pub struct Kind {
    /// The adapter that writes to it, and the name of its section; `slack_bot` is the other door of `slack`.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Makes one.
    pub(super) make: fn() -> Box<dyn Inbox>,
    /// The settings of its section, where `BASE` is the server.
    section: &'static str,
    address: Address,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

impl Kind {
    /// The section that writes to it at `base`, such as `http://127.0.0.1:9800/dingtalk_robot`. Its secrets are in the
    /// variables `SIM_SECRET` and `SIM_HOOK`.
    pub fn section(&self, channel: &str, base: &str) -> String {
        let adapter = self.adapter();
        let settings = self.section.replace("BASE", base);
        format!(
            "[channels.{channel}.{adapter}]\n{settings}\nhttp = {{ base = \"{base}\", allow_private = true, allow_plain = true }}\n"
        )
    }

    /// The adapter that writes to it.
    pub fn adapter(&self) -> &'static str {
        self.name.trim_end_matches("_bot")
    }

    /// The address of the nth person on it.
    pub fn address(&self, nth: usize) -> String {
        match self.address {
            Address::Mobile => format!("1380013{:04}", 1000 + nth),
            Address::User(before) => format!("{before}person{nth}"),
            Address::Member => format!("U0PERSON{nth}"),
            Address::Chat => format!("{}", 4_711_000 + nth),
            Address::Room => format!("!room{nth}:localhost"),
            Address::Nobody => String::new(),
        }
    }
}

/// Every provider.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "dingtalk_robot",
        title: "钉钉群机器人 / DingTalk robot",
        make: || Box::new(dingtalk::Robot::new()),
        section: "webhook.env = \"SIM_HOOK\"\nsecret.env = \"SIM_SECRET\"",
        address: Address::Mobile,
    },
    Kind {
        name: "dingtalk_app",
        title: "钉钉应用 / DingTalk application",
        make: || Box::new(dingtalk::App::new()),
        section: "app_key = \"simapp01\"\nsecret.env = \"SIM_SECRET\"",
        address: Address::User("ding-"),
    },
    Kind {
        name: "wecom_robot",
        title: "企业微信群机器人 / WeCom robot",
        make: || Box::new(wecom::Robot::new()),
        section: "webhook.env = \"SIM_HOOK\"",
        address: Address::Mobile,
    },
    Kind {
        name: "wecom_app",
        title: "企业微信应用 / WeCom application",
        make: || Box::new(wecom::App::new()),
        section: "corp_id = \"simapp01\"\nagent_id = 1000002\nsecret.env = \"SIM_SECRET\"",
        address: Address::User("wecom-"),
    },
    Kind {
        name: "feishu_robot",
        title: "飞书群机器人 / Feishu robot",
        make: || Box::new(feishu::Robot::new()),
        section: "webhook.env = \"SIM_HOOK\"\nsecret.env = \"SIM_SECRET\"",
        address: Address::User("ou_"),
    },
    Kind {
        name: "feishu_app",
        title: "飞书应用 / Feishu application",
        make: || Box::new(feishu::App::new()),
        section: "app_id = \"simapp01\"\nsecret.env = \"SIM_SECRET\"",
        address: Address::User("ou_"),
    },
    Kind {
        name: "slack",
        title: "Slack webhook",
        make: || Box::new(slack::Slack::new()),
        section: "webhook.env = \"SIM_HOOK\"",
        address: Address::Member,
    },
    Kind {
        name: "slack_bot",
        title: "Slack bot",
        make: || Box::new(slack::Slack::new()),
        section: "token.env = \"SIM_SECRET\"",
        address: Address::Member,
    },
    Kind {
        name: "telegram",
        title: "Telegram bot",
        make: || Box::new(telegram::Bot::new()),
        section: "token.env = \"SIM_SECRET\"",
        address: Address::Chat,
    },
    Kind {
        name: "teams",
        title: "Teams workflow",
        make: || Box::new(teams::Flow::new()),
        section: "webhook.env = \"SIM_HOOK\"",
        address: Address::Nobody,
    },
    Kind {
        name: "matrix",
        title: "Matrix",
        make: || Box::new(matrix::Homeserver::new()),
        section: "server = \"BASE\"\ntoken.env = \"SIM_SECRET\"",
        address: Address::Room,
    },
    Kind {
        name: "aliyun_sms",
        title: "阿里云短信 / Aliyun SMS",
        make: || Box::new(aliyun::Sms::new()),
        section: "key = { id = \"simapp01\", secret.env = \"SIM_SECRET\" }\nsign_name = \"售后值班\"\n\
                  template = { code = \"SMS_1\", params = { no = \"{id}\", n = \"{count}\" } }\n\
                  minimal = { code = \"SMS_2\" }\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "tencent_sms",
        title: "腾讯云短信 / Tencent Cloud SMS",
        make: || Box::new(tencent::Sms::new()),
        section: "secret_id = \"simapp01\"\nsecret_key.env = \"SIM_SECRET\"\napp_id = \"1400000001\"\n\
                  sign_name = \"售后值班\"\nper_day = 30\n\
                  template = { id = \"449739\", params = [\"{id}\", \"{count}\"] }\nminimal = { id = \"449740\" }\n\
                  receipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "huawei_sms",
        title: "华为云短信 / Huawei Cloud SMS",
        make: || Box::new(huawei::Sms::new()),
        section: "access_key = \"simapp01\"\nsecret_key.env = \"SIM_SECRET\"\nregion = \"cn-north-4\"\nsender = \"8824\"\n\
                  template = \"1d18\"\nparams = [\"{id}\"]\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "twilio_sms",
        title: "Twilio SMS",
        make: || Box::new(twilio::Twilio::messages()),
        section: "account = { sid = \"AC00000000000000000000000000000000\", token.env = \"SIM_SECRET\" }\n\
                  from = \"+15005550006\"\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "sms_gateway",
        title: "短信网关 / SMS gateway (Kannel)",
        make: || Box::new(kannel::Gateway::default()),
        section: "url = \"BASE/cgi-bin/sendsms\"\nusername = \"simapp01\"\npassword.env = \"SIM_SECRET\"\n\
                  report_url = \"http://127.0.0.1/r?key=KEY\"\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "aliyun_voice",
        title: "阿里云语音 / Aliyun voice",
        make: || Box::new(aliyun::Voice::new()),
        section: "key = { id = \"simapp01\", secret.env = \"SIM_SECRET\" }\n\
                  template = { code = \"TTS_1\", params = { n = \"{count}\" } }\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
    Kind {
        name: "twilio_voice",
        title: "Twilio voice",
        make: || Box::new(twilio::Twilio::calls()),
        section: "account = { sid = \"AC00000000000000000000000000000000\", token.env = \"SIM_SECRET\" }\n\
                  from = \"+15005550006\"\nreceipts = \"pushed\"",
        address: Address::Mobile,
    },
];

/// The provider of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
