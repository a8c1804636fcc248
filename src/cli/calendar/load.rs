//! Where `show` gets its calendars: out of a configuration.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::replay::settings;
use crate::core::calendar::{Calendar, Era};
use crate::core::problem::Problems;

/// One calendar of the configuration `main`.
pub(super) fn calendar(name: &str, main: &Path) -> anyhow::Result<Calendar> {
    // Warnings are `check`'s to tell: a calendar is looked at, not used.
    let ready = settings(main, &mut std::io::sink())?;
    if name == "always" {
        return Ok(Calendar::always());
    }
    let Some(config) = ready.policy.calendars.get(name) else {
        let known: Vec<&str> = ready.policy.calendars.keys().map(String::as_str).collect();
        bail!("there is no calendar `{name}`, expected one of: {}, always", known.join(", "));
    };
    Calendar::compile(name, config, &ready.policy.holidays, Era::DEFAULT, &mut Problems::new())
        .context("the calendar is refused, although its configuration was not")
}
