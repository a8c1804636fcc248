//! `[log]`: where the story of the day is told.

use std::io::IsTerminal;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::core::problem::Problems;

/// The names of fields that events and spans use, so that a search finds them all. `error` is the text of an error.
pub const FIELDS: [&str; 13] = [
    "desk", "source", "shop", "case", "clock", "rule", "incident", "notice", "channel", "attempt", "node",
    "error", "alarm",
];

/// `[log]` (日志).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How lines look. `auto` is `terminal` on a terminal, else `json`.
    pub format: LogFormat,
    /// Which events: a level (`error`, `warn`, `info`, `debug`, `trace`), with exceptions by room such as
    /// `info,shiftbell::store=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// The level in use: it can change while the process runs.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `terminal` on a terminal, else `json`.
    #[default]
    Auto,
    /// One JSON object a line, on standard error.
    Json,
    /// For people, on standard error.
    Terminal,
    /// To the system journal, with fields and priorities.
    Journald,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not one.
    #[error(
        "log.level: `{found}` is not a filter, expected such as info or info,shiftbell::store=debug: {reason}"
    )]
    Level {
        /// As written.
        found: String,
        /// What the reader of filters says.
        reason: String,
    },
    /// There is no journal.
    #[error("log.format: the system journal cannot be reached, expected its socket; use json instead: {0}")]
    Journal(std::io::Error),
    /// Something else in this process logs already.
    #[error("logging has been set up before in this process")]
    Twice,
}

impl LogConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("level", |problems| {
            if let Err(error) = self.filter() {
                problems.error(error.to_string());
            }
        });
    }

    fn filter(&self) -> Result<EnvFilter, LogError> {
        let bad = |reason: String| LogError::Level { found: self.level.clone(), reason };
        if self.level.trim().is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        // What it tells of its own start says nothing to whoever reads the story of the day; naming it wins.
        EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{}", self.level))
            .map_err(|e| bad(e.to_string()))
    }

    /// Begins logging for the whole process.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn init(&self) -> Result<(), LogError> {
        let (filter, handle) = reload::Layer::new(self.filter()?);
        let registry = tracing_subscriber::registry().with(filter);
        let format = match self.format {
            LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Terminal,
            LogFormat::Auto => LogFormat::Json,
            other => other,
        };
        match format {
            LogFormat::Terminal => {
                let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
                registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
            }
            LogFormat::Journald => {
                let layer = tracing_journald::layer().map_err(LogError::Journal)?;
                let layer = layer.with_field_prefix(Some("SHIFTBELL".to_owned()));
                registry.with(layer.with_syslog_identifier("shiftbell".to_owned())).try_init()
            }
            LogFormat::Json | LogFormat::Auto => registry.with(json(std::io::stderr)).try_init(),
        }
        .map_err(|_| LogError::Twice)?;
        // Only the one that was begun can change.
        drop(LEVEL.set(handle));
        Ok(())
    }

    /// Goes by this level from now on, where logging has begun; the format stays.
    ///
    /// # Errors
    /// It is not one.
    pub fn apply(&self) -> Result<(), LogError> {
        let filter = self.filter()?;
        if let Some(level) = LEVEL.get() {
            let bad = |e: reload::Error| LogError::Level { found: self.level.clone(), reason: e.to_string() };
            level.reload(filter).map_err(bad)?;
        }
        Ok(())
    }
}

/// One JSON object a line: time, level, target, message, fields, and the spans it happened in.
fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_scheduler_is_quiet_unless_it_is_named() {
        let filter = |level: &str| {
            let config = LogConfig { level: level.to_owned(), ..LogConfig::default() };
            config.filter().map(|filter| filter.to_string()).unwrap_or_default()
        };
        assert!(filter("debug").contains("tokio_cron_scheduler=warn"), "{}", filter("debug"));
        let named = filter("info,tokio_cron_scheduler=debug");
        assert!(named.contains("tokio_cron_scheduler=debug") && !named.contains("scheduler=warn"), "{named}");
    }

    #[test]
    fn a_filter_is_checked_when_it_is_read() {
        for (level, fits) in [
            ("info", true),
            ("warn,shiftbell::store=debug", true),
            ("", false),
            (" ", false),
            ("shiftbell=loud", false),
            ("info,=,=", false),
        ] {
            let mut problems = Problems::new();
            LogConfig { level: level.to_owned(), ..LogConfig::default() }.check(&mut problems);
            assert_eq!(!problems.has_errors(), fits, "{level:?}");
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_its_fields_and_spans() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry()
            .with(LogConfig::default().filter().expect("the default"))
            .with(json(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("outbox.send", channel = "ops-mail");
            let _inside = span.enter();
            tracing::warn!(attempt = 2, error = "no\nroute", "send failed");
            tracing::debug!("not shown");
        });
        let text = String::from_utf8(kept.0.lock().expect("nobody panics").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one object");
        assert_eq!(line["message"], "send failed");
        assert_eq!((&line["attempt"], &line["error"]), (&2.into(), &"no\nroute".into()));
        assert_eq!(line["spans"][0]["name"], "outbox.send");
        assert_eq!(line["spans"][0]["channel"], "ops-mail");
    }
}
