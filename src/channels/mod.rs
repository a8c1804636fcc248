//! Adapters: how a message leaves. One file a channel, one table; `render/` makes the texts.
//!
//! Invariants of this room:
//! - every send ends in one [`Outcome`] within its deadline, and only its class decides what happens next;
//! - a 2xx alone is never success where the channel reports codes in the body; what cannot be read is `unknown`;
//! - no secret and no clear address is in an outcome, an error or a log line.
//!
//! To add a channel: one file with its `…Config`, its [`Channel`] and a `static ADAPTER`, one line among the sections of
//! [`ChannelConfig`], one in [`ADAPTERS`]. A provider that is written to over HTTP only says its request and its answers:
//! `provider.rs` has the rest.

mod acs3;
pub mod aliyun_sms;
pub mod aliyun_voice;
mod answers;
pub mod callback;
mod chat;
mod config;
pub mod dingtalk_app;
pub mod dingtalk_robot;
pub mod escape;
pub mod feishu_app;
pub mod feishu_robot;
pub mod http;
pub mod huawei_sms;
mod mail;
pub mod maildir;
pub mod mask;
pub mod matrix;
pub mod print;
mod provider;
pub mod render;
pub mod slack;
mod sms;
pub mod sms_gateway;
pub mod smtp;
pub mod teams;
pub mod telegram;
pub mod tencent_sms;
pub mod twilio;
#[cfg(test)]
mod vectors;
pub mod webhook;
pub mod wecom_app;
pub mod wecom_robot;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::channels::callback::{Face, Hears, Place};
use crate::core::alerting::config::SendConfig;
use crate::core::alerting::{Claim, Inquiry};
use crate::core::model::{ChannelCard, ChannelClass, Outcome, Statement};
use crate::core::problem::Problems;
use crate::core::time::Instant;

pub use crate::wire::http::Limits;
pub use crate::wire::secret::{InlineSecret, SecretFault};
pub use config::ChannelConfig;
pub use escape::Markup;
pub use provider::{Local, ReachConfig};

/// A channel as it is configured.
pub trait Channel: Send + Sync + 'static {
    /// What it can do (§10.3).
    fn card(&self) -> &ChannelCard;

    /// Hands a message over. Never fails otherwise than by its outcome, and is over by the deadline that the caller sets
    /// around it; dropped before that, the attempt is uncertain.
    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

    /// Asks what became of a message (§10.4, RC4); `None` where that cannot be asked.
    fn query<'a>(
        &'a self,
        inquiry: &'a Inquiry,
    ) -> Pin<Box<dyn Future<Output = Option<Statement>> + Send + 'a>> {
        let _ = inquiry;
        Box::pin(std::future::ready(None))
    }

    /// Tries whether the other side is there, without a message to anybody (§10.5); `None` where that cannot be told.
    fn probe(&self) -> Option<Pin<Box<dyn Future<Output = Outcome> + Send + '_>>> {
        None
    }

    /// Who listens to what its provider sends us, where that is configured.
    fn hears(&self) -> Option<&dyn Hears> {
        None
    }

    /// Shows a person what came of a press, by a call of its own (§12.2); `None` where there is nothing to call. It may fail:
    /// what was committed stays.
    fn amend<'a>(
        &'a self,
        place: &'a Place,
        face: &'a Face,
    ) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + 'a>> {
        let _ = (place, face);
        Box::pin(std::future::ready(None))
    }

    /// What time the other side said it was, since this was asked last, and who that is: evidence for the clock (T2).
    /// Who runs on this machine has no clock of their own.
    fn date(&self) -> Option<(Arc<str>, Instant)> {
        None
    }
}

/// How an adapter makes a channel.
pub(crate) type Build = fn(&ChannelConfig, &Making<'_>) -> Result<Arc<dyn Channel>, BuildError>;

/// Channels by their names.
pub type Channels = BTreeMap<Arc<str>, Arc<dyn Channel>>;

/// Every adapter, in the order in which they are told. A new one is one line here.
pub static ADAPTERS: &[&Adapter] = &[
    &smtp::ADAPTER,
    &webhook::ADAPTER,
    &dingtalk_robot::ADAPTER,
    &wecom_robot::ADAPTER,
    &feishu_robot::ADAPTER,
    &aliyun_sms::ADAPTER,
    &tencent_sms::ADAPTER,
    &slack::ADAPTER,
    &telegram::ADAPTER,
    &teams::ADAPTER,
    &twilio::SMS,
    &twilio::VOICE,
    &huawei_sms::ADAPTER,
    &aliyun_voice::ADAPTER,
    &sms_gateway::ADAPTER,
    &wecom_app::ADAPTER,
    &feishu_app::ADAPTER,
    &dingtalk_app::ADAPTER,
    &matrix::ADAPTER,
    &maildir::ADAPTER,
    &print::ADAPTER,
];

/// One kind of channel: what the table knows of it.
pub struct Adapter {
    /// The name of its section: `[channels.NAME.smtp]`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The class of its channels: plans are made of classes (§7.3).
    pub class: ChannelClass,
    /// How what people write must be neutralised for it.
    pub markup: Markup,
    /// Whether the channel is configured with it.
    pub(crate) chosen: fn(&ChannelConfig) -> bool,
    /// Notes everything wrong with its section.
    pub(crate) check: fn(&ChannelConfig, &mut Problems),
    /// Makes the channel.
    pub(crate) build: Build,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Adapter({})", self.name)
    }
}

/// The adapter of this name.
pub fn adapter(name: &str) -> Option<&'static Adapter> {
    ADAPTERS.iter().copied().find(|a| a.name == name)
}

/// What the time is, asked at the edge: headers and signatures carry it.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

impl From<&SendConfig> for Limits {
    fn from(config: &SendConfig) -> Limits {
        let span = |span: crate::core::time::Span| {
            Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        };
        Limits { connect: span(config.connect_timeout), total: span(config.timeout) }
    }
}

impl Limits {
    /// The time left for an attempt, a little less than the caller's own deadline: so the adapter itself can say how far
    /// it came, instead of being dropped.
    pub(crate) fn budget(&self, claim: &Claim, clock: &Clock) -> Duration {
        let left = u64::try_from(claim.deadline.since(clock()).as_millis()).unwrap_or(0);
        let all = self.total.min(Duration::from_millis(left));
        all - (all / 10).min(Duration::from_millis(500))
    }
}

/// What channels are made with.
pub struct Making<'a> {
    /// The environment, as the config room read it.
    pub env: &'a BTreeMap<String, String>,
    /// Time limits.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// The name of the channel: set by [`build`].
    pub name: Arc<str>,
    /// Providers in this process, in place of the network.
    pub way: Option<Arc<dyn Local>>,
}

impl fmt::Debug for Making<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Making").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A channel that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("channel {name}: {fault}")]
pub struct BuildError {
    /// The channel.
    pub name: Arc<str>,
    /// What is wrong.
    #[source]
    pub fault: BuildFault,
}

/// Why a channel could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// A certificate file cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::wire::http::TlsFault),
    /// A setting has no meaning; the config check tells it with its line.
    #[error("{0}")]
    Setting(String),
}

/// Makes every channel that is enabled. One that cannot be made does not keep the others from being made: its error is
/// told, and its notices go by other lanes.
pub fn build(channels: &BTreeMap<String, ChannelConfig>, making: &Making<'_>) -> (Channels, Vec<BuildError>) {
    let (mut made, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, config) in channels.iter().filter(|(_, config)| config.enabled) {
        match build_one(name, config, making) {
            Ok(channel) => drop(made.insert(Arc::clone(&channel.card().name), channel)),
            Err(error) => errors.push(error),
        }
    }
    (made, errors)
}

/// Makes one channel, enabled or not.
///
/// # Errors
/// A secret or a certificate that cannot be read, a setting without meaning.
pub fn build_one(
    name: &str,
    config: &ChannelConfig,
    making: &Making<'_>,
) -> Result<Arc<dyn Channel>, BuildError> {
    let name: Arc<str> = name.into();
    let making = Making {
        env: making.env,
        limits: making.limits,
        clock: Arc::clone(&making.clock),
        name: Arc::clone(&name),
        way: making.way.clone(),
    };
    let Some(adapter) = config.adapter() else {
        let fault = BuildFault::Setting("has no section of an adapter".to_owned());
        return Err(BuildError { name, fault });
    };
    (adapter.build)(config, &making)
}
