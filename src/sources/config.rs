//! `[sources.NAME]`: one shop on one platform, and how often it is asked.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::douyin::DouyinConfig;
use crate::sources::jd::JdConfig;
use crate::sources::json::config::HttpConfig;
use crate::sources::pinduoduo::PinduoduoConfig;
use crate::sources::platform::Platform;
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::cron::Schedule;
use crate::sources::row::Origin;
use crate::sources::taobao::TaobaoConfig;
use crate::wire::secret::{Pick, SecretFault};

/// How often a source is asked that says nothing of it.
const EVERY: Span = Span::from_secs(60);

/// `[sources.NAME]`: a shop (店铺) whose orders and after-sales are read from its platform. It has exactly one section
/// named after the platform, such as `[sources.flagship.pinduoduo]`. `NAME` is the `source` of its cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// `false` keeps it configured, and asks nothing.
    pub enabled: bool,
    /// The attribute `shop` of its cases.
    pub shop: Option<String>,
    /// How often it is asked: 15s to 1h. Twice as often while a deadline is less than half an hour away.
    pub every: Span,
    /// Instead of `every` and `quiet`, when it is asked, by the clocks of the desk's zone: minute, hour, day, month and
    /// weekday, such as `*/2 9-20 * * *`. It is asked when the program begins too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Hours in China, from and up to, in which it is asked a third as often; the same hour twice for none.
    pub quiet: (u8, u8),
    /// How far back it is read when it is read for the first time: up to 90 days.
    pub look_back: Span,
    /// Requests a minute, of this shop.
    pub per_minute: NonZeroU32,
    /// Requests a minute, of all shops of the same app; the least of what they say counts.
    pub app_per_minute: NonZeroU32,
    /// Open cases are asked for by their ids too, where the platform has a method for it: each one every six hours, and
    /// each that is about to ring just before. `false` where the app may not call such methods.
    pub read_again: bool,
    /// A file with the shop's tokens as JSON: `access_token`, `refresh_token`, `access_until`, `refresh_until`. It is
    /// replaced when they are renewed, so its folder must be writable. One shop, one file.
    pub token_file: Option<String>,
    /// Instead of it, a token that is not renewed: a file …
    pub access_token_file: Option<String>,
    /// … a variable of the environment …
    pub access_token_env: Option<String>,
    /// … or a credential of systemd.
    pub access_token_credential: Option<String>,
    /// Certificates that are trusted beside those of the system (PEM).
    pub ca_file: Option<String>,
    /// The proxy to go through; the environment's is not looked at.
    pub proxy: Option<String>,
    /// Any API that speaks JSON over HTTP, such as an in-house ticket system (自建工单系统).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// JD (京东).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jd: Option<JdConfig>,
    /// Pinduoduo (拼多多).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinduoduo: Option<PinduoduoConfig>,
    /// Douyin Shop (抖店).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub douyin: Option<DouyinConfig>,
    /// Taobao and Tmall (淘宝、天猫).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taobao: Option<TaobaoConfig>,
}

impl Default for SourceConfig {
    fn default() -> SourceConfig {
        SourceConfig {
            enabled: true,
            shop: None,
            every: EVERY,
            cron: None,
            quiet: (1, 7),
            look_back: Span::DAY.times(3),
            per_minute: NonZeroU32::MIN.saturating_add(299),
            app_per_minute: NonZeroU32::MIN.saturating_add(2999),
            read_again: true,
            token_file: None,
            access_token_file: None,
            access_token_env: None,
            access_token_credential: None,
            ca_file: None,
            proxy: None,
            http: None,
            jd: None,
            pinduoduo: None,
            douyin: None,
            taobao: None,
        }
    }
}

/// Why a source cannot be read as it is configured. Says where, never what.
#[derive(Debug, thiserror::Error)]
pub enum SourceFault {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// A setting has no meaning; the config check tells it with its line.
    #[error("{0}")]
    Setting(String),
}

/// The section of a platform: what only this platform needs to be told.
pub trait Section {
    /// Notes everything that is wrong in it.
    fn check(&self, problems: &mut Problems);

    /// Whether each shop needs a token of its own.
    fn needs_token(&self) -> bool {
        true
    }

    /// The app in whose name the platform is asked: sources of one app share a budget.
    fn app(&self) -> String;

    /// The paths in it, to be taken as seen from the file that names them.
    fn paths(&mut self) -> Vec<&mut Option<String>>;

    /// The platform for one shop. `env` is the environment, as the config room read it.
    ///
    /// # Errors
    /// A secret that cannot be read, a setting without meaning.
    fn platform(
        &self,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault>;

    /// What its samples mean, a line for each observation, for whoever writes a mapping.
    fn shown(&self, origin: Origin) -> Vec<String> {
        drop(origin);
        Vec::new()
    }
}

impl SourceConfig {
    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        for (key, span, least, most) in [
            ("every", self.every, Span::from_secs(15), Span::HOUR),
            ("look_back", self.look_back, Span::MINUTE, Span::DAY.times(90)),
        ] {
            if span < least || span > most {
                problems.within(key, |p| p.error(format!("found {span}, expected {least} to {most}")));
            }
        }
        if let Some(cron) = &self.cron {
            if self.every != EVERY {
                problems.error("has every and cron, expected only one of them");
            }
            // Whatever the zone: what is no schedule in one is none in another.
            if let Err(reason) = Schedule::parse(cron, TimeZone::UTC) {
                problems.within("cron", |p| p.error(reason));
            }
        }
        if self.quiet.0 > 23 || self.quiet.1 > 24 {
            let (from, to) = self.quiet;
            problems
                .within("quiet", |p| p.error(format!("found [{from}, {to}], expected hours such as [1, 7]")));
        }
        self.access_token().check(problems);
        let given = self.given();
        match (self.token_file.is_some(), self.access_token().is_given()) {
            (true, true) => problems.error("has token_file and access_token, expected only one of them"),
            (false, false) if self.needs_token() => problems
                .error("has no token, expected token_file, or one of access_token_file, _env, _credential"),
            _ => {}
        }
        match given.as_slice() {
            [(name, section)] => problems.within(*name, |problems| section.check(problems)),
            [] => {
                let all: Vec<&str> = self.sections().iter().map(|(name, _)| *name).collect();
                problems.error(format!("has no platform, expected one section of: {}", all.join(", ")));
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                problems.error(format!("has {}, expected only one platform", names.join(" and ")));
            }
        }
    }

    /// Notes what is wrong between sources: two that renew the same tokens would take them from one another.
    pub fn check_all(sources: &BTreeMap<String, SourceConfig>, problems: &mut Problems) {
        let mut files: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, source) in sources {
            problems.within(name.as_str(), |problems| {
                source.check(problems);
                let Some(file) = &source.token_file else { return };
                if let Some(other) = files.insert(file, name) {
                    problems.within("token_file", |p| {
                        p.error(format!("is that of {other} too: one shop, one source, one file"));
                    });
                }
            });
        }
    }

    /// Takes relative paths as seen from `folder`, the one of the file that names the source.
    pub fn rebase(&mut self, folder: &Path) {
        let sections = [
            section_mut(&mut self.taobao),
            section_mut(&mut self.jd),
            section_mut(&mut self.pinduoduo),
            section_mut(&mut self.douyin),
            section_mut(&mut self.http),
        ];
        let own = [&mut self.token_file, &mut self.access_token_file, &mut self.ca_file];
        for path in sections.into_iter().flatten().flat_map(Section::paths).chain(own).flatten() {
            *path = folder.join(&*path).display().to_string();
        }
    }

    /// Every section that there may be, by its name.
    fn sections(&self) -> [(&'static str, Option<&dyn Section>); 5] {
        [
            ("taobao", section(&self.taobao)),
            ("jd", section(&self.jd)),
            ("pinduoduo", section(&self.pinduoduo)),
            ("douyin", section(&self.douyin)),
            ("http", section(&self.http)),
        ]
    }

    /// Those that are there.
    fn given(&self) -> Vec<(&'static str, &dyn Section)> {
        self.sections().into_iter().filter_map(|(name, section)| Some((name, section?))).collect()
    }

    /// The word of its platform: `taobao`, `jd`, …; empty where it has none.
    pub fn word(&self) -> &'static str {
        self.given().first().map_or("", |(name, _)| *name)
    }

    /// Whether it has to have a token. One without a platform is not known not to.
    pub fn needs_token(&self) -> bool {
        self.given().first().is_none_or(|(_, section)| section.needs_token())
    }

    /// How often it is asked; a schedule goes by the clocks of `zone`.
    pub fn cadence(&self, zone: &TimeZone) -> Cadence {
        let cron = self.cron.as_ref().and_then(|text| Schedule::parse(text, zone.clone()).ok());
        Cadence { every: self.every, quiet: self.quiet, cron }
    }

    /// The app in whose name it is asked: sources of one app share a budget.
    pub fn app(&self) -> String {
        self.given().first().map_or_else(String::new, |(name, section)| format!("{name} {}", section.app()))
    }

    /// The platform behind it.
    ///
    /// # Errors
    /// A secret that cannot be read, a setting without meaning.
    pub fn platform(
        &self,
        name: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault> {
        let given = self.given();
        let (_, section) = given.first().ok_or_else(|| SourceFault::Setting("has no platform".to_owned()))?;
        section.platform(Origin { source: name.to_owned(), shop: self.shop.clone() }, env)
    }

    /// What its samples mean, a line for each observation.
    pub fn shown(&self, name: &str) -> Vec<String> {
        let origin = Origin { source: name.to_owned(), shop: self.shop.clone() };
        self.given().first().map_or_else(Vec::new, |(_, section)| section.shown(origin))
    }

    /// The token that is not renewed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn fixed_token(&self, env: &BTreeMap<String, String>) -> Result<Option<Secret>, SourceFault> {
        Ok(self.access_token().read(env)?)
    }

    fn access_token(&self) -> Pick<'_> {
        Pick {
            base: "access_token",
            file: &self.access_token_file,
            env: &self.access_token_env,
            credential: &self.access_token_credential,
            inline: None,
        }
    }
}

fn section<S: Section>(given: &Option<S>) -> Option<&dyn Section> {
    given.as_ref().map(|section| section as &dyn Section)
}

fn section_mut<S: Section>(given: &mut Option<S>) -> Option<&mut dyn Section> {
    given.as_mut().map(|section| section as &mut dyn Section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::problem::Problem;

    fn problems(text: &str) -> Vec<String> {
        let sources: BTreeMap<String, SourceConfig> = toml::from_str(text).unwrap();
        let mut problems = Problems::new();
        SourceConfig::check_all(&sources, &mut problems);
        problems.into_vec().into_iter().map(|Problem { path, text, .. }| format!("{path}: {text}")).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let good = "token_file = \"t\"\n[NAME.pinduoduo]\nclient_id = \"c\"\nclient_secret_env = \"S\"\n";
        let source = |name: &str, lines: &str| format!("[{name}]\n{lines}{}", good.replace("NAME", name));
        assert_eq!(problems(&source("a", "")), [""; 0]);
        for (lines, want) in [
            ("every = \"5s\"\n", "a.every: found 5s, expected 15s to 1h"),
            ("look_back = \"91d\"\n", "a.look_back: found 2184h, expected 1m to 2160h"),
            ("quiet = [25, 7]\n", "a.quiet: found [25, 7], expected hours such as [1, 7]"),
            ("access_token_env = \"T\"\n", "a: has token_file and access_token, expected only one of them"),
            (
                "every = \"30s\"\ncron = \"*/2 9-20 * * *\"\n",
                "a: has every and cron, expected only one of them",
            ),
            (
                "cron = \"0 9 1 * *\"\n",
                "a.cron: found `0 9 1 * *` (it is more than a week between two times), expected minute, hour, day, month \
                 and weekday such as `*/2 9-20 * * *`",
            ),
        ] {
            assert_eq!(problems(&source("a", lines)), [want], "{lines}");
        }
        assert_eq!(problems(&source("a", "cron = \"*/2 9-20 * * *\"\n")), [""; 0]);
        let both = source("a", "") + &source("b", "");
        assert_eq!(problems(&both), ["b.token_file: is that of a too: one shop, one source, one file"]);
        assert_eq!(
            problems("[a]\n[a.pinduoduo]\ngateway = \"http://pdd.example\"\n"),
            [
                "a: has no token, expected token_file, or one of access_token_file, _env, _credential",
                "a.pinduoduo.client_id: is missing, expected the client_id of your app",
                "a.pinduoduo.gateway: is not https: everybody on the way could read the tokens",
                "a.pinduoduo: has no client_secret_file, client_secret_env or client_secret_credential",
            ]
        );
        assert_eq!(
            problems("[a]\ntoken_file = \"t\""),
            ["a: has no platform, expected one section of: taobao, jd, pinduoduo, douyin, http"]
        );
        assert!(toml::from_str::<BTreeMap<String, SourceConfig>>("[a]\ncolour = 1").is_err());
    }
}
