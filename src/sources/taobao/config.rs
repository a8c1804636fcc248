//! `[sources.NAME.taobao]`: what has to be told of Taobao and Tmall.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GATEWAY, Taobao};
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::config::{Section, SourceFault};
use crate::sources::platform::Platform;
use crate::sources::row::{Origin, endpoint};
use crate::sources::sign::top::Way;
use crate::wire::secret::Pick;

/// `[sources.NAME.taobao]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaobaoConfig {
    /// Where requests go.
    pub gateway: String,
    /// The app's `app_key`.
    pub app_key: String,
    /// A file that holds the app's `app_secret` …
    pub app_secret_file: Option<String>,
    /// … or a variable of the environment …
    pub app_secret_env: Option<String>,
    /// … or a credential of systemd.
    pub app_secret_credential: Option<String>,
    /// How requests are signed.
    pub sign_method: SignMethod,
    /// A window ends so long before now.
    pub lag: Span,
    /// A window begins so long before the end of the one before.
    pub overlap: Span,
    /// A window is no longer than this: the platform allows a day, and answers half an hour more surely.
    pub longest: Span,
    /// Rows a page: up to 100. The platform recommends 40 to 50, for windows that are longer than ours.
    pub page_size: u32,
    /// The types of trades whose refunds are asked for; without a word the platform shows those of two types only.
    pub refund_types: Vec<String>,
    /// The courier's trace of an order that is under way is asked for, until the courier has it: whenever the order is
    /// read again.
    pub traces: bool,
    /// The method that renews a token; empty for none: only apps of the service market have it, the others have tokens
    /// of a fixed length.
    pub renewal: String,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SignMethod {
    /// MD5.
    #[default]
    #[serde(rename = "md5")]
    Md5,
    /// HMAC-MD5.
    #[serde(rename = "hmac")]
    Hmac,
    /// HMAC-SHA256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

impl SignMethod {
    pub(super) fn way(self) -> Way {
        match self {
            SignMethod::Md5 => Way::Md5,
            SignMethod::Hmac => Way::Hmac,
            SignMethod::HmacSha256 => Way::HmacSha256,
        }
    }
}

impl Default for TaobaoConfig {
    fn default() -> TaobaoConfig {
        TaobaoConfig {
            gateway: GATEWAY.to_owned(),
            app_key: String::new(),
            app_secret_file: None,
            app_secret_env: None,
            app_secret_credential: None,
            sign_method: SignMethod::Md5,
            lag: Span::from_secs(185),
            overlap: Span::from_minutes(5),
            longest: Span::from_minutes(30),
            page_size: 100,
            refund_types: ["guarantee_trade", "auto_delivery", "ec", "cod", "step"]
                .map(str::to_owned)
                .to_vec(),
            traces: false,
            renewal: "taobao.top.auth.token.refresh".to_owned(),
        }
    }
}

impl TaobaoConfig {
    fn app_secret(&self) -> Pick<'_> {
        Pick {
            base: "app_secret",
            file: &self.app_secret_file,
            env: &self.app_secret_env,
            credential: &self.app_secret_credential,
            inline: None,
        }
    }
}

impl Section for TaobaoConfig {
    fn check(&self, problems: &mut Problems) {
        if self.app_key.is_empty() {
            problems.within("app_key", |p| p.error("is missing, expected the app_key of your app"));
        }
        if let Err(reason) = endpoint(&self.gateway, GATEWAY) {
            problems.within("gateway", |p| p.error(reason));
        }
        let minutes = Span::from_minutes;
        for (key, span, least, most) in [
            ("lag", self.lag, Span::ZERO, minutes(15)),
            ("longest", self.longest, minutes(1), Span::DAY),
            ("overlap", self.overlap, Span::ZERO, self.longest),
        ] {
            if span < least || span > most {
                problems.within(key, |p| p.error(format!("found {span}, expected {least} to {most}")));
            }
        }
        if !(1..=100).contains(&self.page_size) {
            let found = self.page_size;
            problems.within("page_size", |p| p.error(format!("found {found}, expected 1 to 100")));
        }
        self.app_secret().check(problems);
        if !self.app_secret().is_given() {
            problems.error("has no app_secret_file, app_secret_env or app_secret_credential");
        }
    }

    fn app(&self) -> String {
        format!("{} {}", self.gateway, self.app_key)
    }

    fn paths(&mut self) -> Vec<&mut Option<String>> {
        vec![&mut self.app_secret_file]
    }

    fn platform(
        &self,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault> {
        let missing = || SourceFault::Setting("has no app_secret".to_owned());
        let secret = self.app_secret().read(env)?.ok_or_else(missing)?;
        let made = Taobao::new(origin, self, secret).map_err(SourceFault::Setting)?;
        Ok(Box::new(made))
    }
}
