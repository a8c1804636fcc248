//! `[sources.NAME.douyin]`: what has to be told of Douyin Shop.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Douyin, GATEWAY};
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::config::{Section, SourceFault};
use crate::sources::platform::Platform;
use crate::sources::row::{Origin, endpoint};
use crate::wire::secret::Pick;

/// `[sources.NAME.douyin]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DouyinConfig {
    /// Where requests go; the sandbox is `https://openapi-sandbox.jinritemai.com`.
    pub gateway: String,
    /// The app's `app_key`.
    pub app_key: String,
    /// A file that holds the app's `app_secret` …
    pub app_secret_file: Option<String>,
    /// … or a variable of the environment …
    pub app_secret_env: Option<String>,
    /// … or a credential of systemd.
    pub app_secret_credential: Option<String>,
    /// A window ends so long before now.
    pub lag: Span,
    /// A window begins so long before the end of the one before.
    pub overlap: Span,
    /// A window is no longer than this; the platform does not say how long one may be.
    pub longest: Span,
    /// Rows a page: up to 100.
    pub page_size: u32,
    /// The courier's trace is asked for when an order is shipped: one request more for each. Only parcels with the
    /// platform's own waybills have one.
    pub traces: bool,
    /// How long a refresh token is good; the answer that brings one does not say so.
    pub refresh_life: Span,
}

impl Default for DouyinConfig {
    fn default() -> DouyinConfig {
        DouyinConfig {
            gateway: GATEWAY.to_owned(),
            app_key: String::new(),
            app_secret_file: None,
            app_secret_env: None,
            app_secret_credential: None,
            lag: Span::from_secs(60),
            overlap: Span::from_minutes(5),
            longest: Span::HOUR,
            page_size: 100,
            traces: false,
            refresh_life: Span::DAY.times(14),
        }
    }
}

impl DouyinConfig {
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

impl Section for DouyinConfig {
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
            ("longest", self.longest, minutes(1), Span::DAY.times(90)),
            ("overlap", self.overlap, Span::ZERO, self.longest),
            ("refresh_life", self.refresh_life, Span::HOUR, Span::DAY.times(3650)),
        ] {
            if span < least || span > most {
                problems.within(key, |p| p.error(format!("found {span}, expected {least} to {most}")));
            }
        }
        if !(2..=100).contains(&self.page_size) {
            let found = self.page_size;
            problems.within("page_size", |p| p.error(format!("found {found}, expected 2 to 100")));
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
        let made = Douyin::new(origin, self, secret).map_err(SourceFault::Setting)?;
        Ok(Box::new(made))
    }
}
