//! The first alert: events of a file inside the program, moved so that its last instant is now.

use std::time::Duration;

use tracing::{error, info};

use crate::config::builtin;
use crate::core::model::{Observation, Value};
use crate::core::time::Instant;
use crate::daemon::handle::{Ask, Handle, ObserveAnswer};
use crate::sources::history::import::ImportConfig;

const FILE: &str = "examples/first-alert.jsonl";

/// Gives the example to the desk.
pub(super) async fn feed(handle: &Handle, import: &ImportConfig, now: Instant) {
    let observations = match observations(import, now) {
        Ok(observations) => observations,
        Err(reason) => return error!(file = FILE, error = %reason, "the example cannot be read"),
    };
    match handle.ask(Duration::from_secs(30), |to| Ask::Observe(observations, to)).await {
        Ok(answers) => {
            let kept = answers.iter().filter(|a| matches!(a, ObserveAnswer::Kept(_))).count();
            info!(kept, of = answers.len(), "the example has come in");
        }
        Err(e) => error!(error = %e, "the example was not taken"),
    }
}

/// The events of the example, the last one now. Their ids are new with every start, so that each shows an alert.
fn observations(import: &ImportConfig, now: Instant) -> Result<Vec<Observation<'static>>, String> {
    let text = builtin::text(FILE).ok_or_else(|| "it is not inside the program".to_owned())?;
    let mut read = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        read.push(import.read(line.as_bytes())?);
    }
    let last = read.iter().map(|(at, _)| *at).max().ok_or_else(|| "it is empty".to_owned())?;
    let moved = |at: Instant| Instant::from_millis(at.as_millis() - last.as_millis() + now.as_millis());
    let suffix = now.as_secs() % 100_000;
    Ok(read
        .into_iter()
        .map(|(_, seen)| {
            let mut seen = seen.into_owned();
            seen.id = format!("{}-{suffix}", seen.id).into();
            seen.as_of = moved(seen.as_of);
            for mark in &mut seen.marks {
                mark.at = moved(mark.at);
            }
            // A deadline that is given as text would stay where it was written.
            seen.attributes
                .retain(|(_, value)| !matches!(value, Value::Text(t) if Instant::parse(t).is_ok()));
            seen
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Span;

    #[test]
    fn the_example_ends_now_and_is_about_to_be_late() {
        let now = Instant::from_secs(1_800_000_000);
        let seen = observations(&ImportConfig::default(), now).unwrap();
        let last = seen.iter().flat_map(|o| &o.marks).map(|m| m.at).max().unwrap();
        assert_eq!(last, now);
        let asked = seen.iter().flat_map(|o| &o.marks).find(|m| m.name == "customer_message").unwrap().at;
        let left = Span::from_minutes(20).as_millis() - (now.as_millis() - asked.as_millis());
        assert!((5_000..=15_000).contains(&left), "{left} ms are left");
    }
}
