//! Settings become what the workers go by.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::channels::render::Templates;
use crate::channels::{BuildError, Clock, Limits, Making, build};
use crate::config::Ready;
use crate::core::alerting::{Renderer, RuleText, Setup};
use crate::core::duty::Roster;
use crate::core::ids::InstallationKey;
use crate::daemon::blueprint::Blueprint;
use crate::daemon::dispatch::Channels;

/// What does not change with a configuration.
#[derive(Clone)]
pub struct Ground {
    /// The installation's key.
    pub key: InstallationKey,
    /// The boot epoch.
    pub epoch: u64,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
    /// The business time, for what is sent.
    pub clock: Clock,
    /// Where links lead when the configuration does not say it: where this process listens.
    pub base_url: Option<String>,
}

/// What came of settings.
pub struct Assembled {
    /// What the desk is made of.
    pub blueprint: Blueprint,
    /// The channels.
    pub channels: Channels,
    /// Channels that could not be made. The others work.
    pub broken: Vec<BuildError>,
}

/// Why settings cannot drive a desk.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// There is nobody to tell.
    #[error(
        "no people are configured, expected at least one [people.NAME] with a contact: `shiftbell config show roster.toml` \
             prints an example"
    )]
    NoPeople,
    /// There is no way to tell them.
    #[error("no channel works, expected at least one [channels.NAME]: {0}")]
    NoChannel(String),
}

/// Makes everything that `ready` describes, as revision `revision`.
///
/// # Errors
/// Nobody could ever be told.
pub fn assemble(ready: &Ready, ground: &Ground, revision: u64) -> Result<Assembled, AssembleError> {
    let settings = &ready.settings;
    let roster = ready.roster.clone().filter(|r| !r.people.is_empty()).ok_or(AssembleError::NoPeople)?;
    let mut alerting = settings.alerting.clone();
    alerting.base_url = alerting.base_url.or_else(|| ground.base_url.clone());
    let making = Making {
        env: &ground.env,
        limits: Limits::from(&settings.alerting.send),
        clock: ground.clock.clone(),
        name: "".into(),
        way: None,
    };
    let (channels, broken) = build(&settings.channels, &making);
    if channels.is_empty() {
        let reasons: Vec<String> = broken.iter().map(ToString::to_string).collect();
        return Err(AssembleError::NoChannel(reasons.join("; ")));
    }
    let setup = Setup {
        desk: settings.desk.id.as_str().into(),
        title: settings.desk.title.clone().unwrap_or_else(|| settings.desk.id.clone()),
        language: settings.desk.language,
        zone: ready.shifts.zone().clone(),
        config: Arc::new(alerting),
        roster: Arc::new(Roster { revision, ..roster }),
        channels: channels.iter().map(|(name, channel)| (name.clone(), channel.card().clone())).collect(),
        rules: RuleText::of(&ready.policy),
        revision,
    };
    let blueprint = Blueprint {
        setup,
        policy: ready.policy.clone(),
        learned: Some(ready.learned()),
        key: ground.key.clone(),
        epoch: ground.epoch,
        expected: settings.watch.expect.iter().map(|(name, every)| (name.as_str().into(), *every)).collect(),
        renderer: renderer(ready),
    };
    Ok(Assembled { blueprint, channels: Arc::new(channels), broken })
}

fn renderer(ready: &Ready) -> Arc<dyn Renderer + Send + Sync> {
    let folder = ready.settings.templates.folder.as_deref().map(Path::new);
    Arc::new(Templates::load(folder))
}
