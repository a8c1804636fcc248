//! `shiftbell check`: everything that is wrong with a configuration, told at once.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::de::DeserializeOwned;

use crate::config::{ConfigReport, Loaded, check_settings, environment, load};
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// The exit code of a configuration with errors; clap uses the same for wrong arguments.
pub(super) const REFUSED: u8 = 2;

/// Tell everything that is wrong with a configuration, all at once: file, line, key, found, expected.
///
/// Exit code: 0 when it may be used (warnings are told), 2 when it is refused.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// The main file, or `builtin:NAME` for one inside the program.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
    /// Tell it as JSON, for editors and pipelines.
    #[arg(long)]
    pub json: bool,
    /// Show what the samples of configured sources (`sample` in `[sources.NAME.http]`) mean, observation by observation.
    #[arg(long, conflicts_with = "json")]
    pub samples: bool,
}

/// Checks the settings of the program with the variables of this process, as of now.
///
/// # Errors
/// `out` cannot be written.
pub fn main(args: &CheckArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    #[expect(clippy::disallowed_methods, reason = "whether holidays run out is asked as of today")]
    let now = Instant::from_timestamp(jiff::Timestamp::now());
    let loaded = check_settings(&args.config, &environment::process(), Some(now)).loaded;
    if args.samples
        && let Some(settings) = loaded.settings()
    {
        for line in settings.sources.iter().flat_map(|(name, source)| source.shown(name)) {
            writeln!(out, "{line}")?;
        }
    }
    tell(args, &loaded, out)
}

/// Loads the configuration with the variables `env` laid over it, lets the settings `check` themselves, and tells
/// on `out` all that is wrong.
///
/// # Errors
/// `out` cannot be written.
pub fn check<T: DeserializeOwned>(
    args: &CheckArgs,
    env: &BTreeMap<String, String>,
    check: impl FnOnce(&T, &mut Problems),
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let mut loaded = load::<T>(&args.config, env);
    loaded.check(check);
    tell(args, &loaded, out)
}

fn tell<T>(args: &CheckArgs, loaded: &Loaded<T>, out: &mut impl Write) -> io::Result<ExitCode> {
    let report = loaded.report();
    if args.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
        writeln!(out, "{}", verdict(report, loaded.files().count(), &args.config.display().to_string()))?;
    }
    // Settings that could not be read without an error noted would be a defect of ours: refused all the same.
    let usable = !report.has_errors() && loaded.settings().is_some();
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn verdict(report: &ConfigReport, files: usize, main: &str) -> String {
    let read = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    match (report.errors(), report.warnings()) {
        (0, 0) => format!("{main}: fine ({read} read)"),
        (0, _) => format!("{main}: usable, with warnings ({read} read)"),
        _ => format!("{main}: refused ({read} read)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        seats: u8,
    }

    fn told(text: &str, json: bool) -> (String, ExitCode) {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("a.toml");
        std::fs::write(&config, text).unwrap();
        let mut out = Vec::new();
        let few = |settings: &Settings, problems: &mut Problems| {
            if settings.seats < 2 {
                problems.within("seats", |p| p.warn("found 1, expected at least 2 on shift"));
            }
        };
        let code =
            check(&CheckArgs { config, json, samples: false }, &BTreeMap::new(), few, &mut out).unwrap();
        (String::from_utf8(out).unwrap().replace(&format!("{}/", folder.path().display()), ""), code)
    }

    #[test]
    fn the_verdict_and_the_exit_code_agree() {
        for (text, want, refused) in [
            ("seats = 2\n", "a.toml: fine (1 file read)\n", false),
            (
                "seats = 1\n",
                "a.toml:1:1: seats: found 1, expected at least 2 on shift (warning)\n1 warning in 1 place\n\
                 a.toml: usable, with warnings (1 file read)\n",
                false,
            ),
            (
                "seats = \"x\"\n",
                "a.toml:1:1: seats: found `x`, expected a whole number from 0 to 255 (error)\n1 error in 1 place\n\
                 a.toml: refused (1 file read)\n",
                true,
            ),
            (
                "",
                "a.toml: `seats` is missing (error)\n1 error in 1 place\na.toml: refused (1 file read)\n",
                true,
            ),
        ] {
            let (out, code) = told(text, false);
            assert_eq!(out, want, "{text}");
            assert_eq!(code == ExitCode::from(REFUSED), refused, "{text}");
            assert_eq!(code == ExitCode::SUCCESS, !refused, "{text}");
        }
    }

    #[test]
    fn json_is_json() {
        let (out, _) = told("seats = 300\n", true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["errors"], 1);
        assert_eq!(json["problems"][0]["key"], "seats");
    }
}
