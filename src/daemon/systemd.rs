//! What the service manager is told. Without one, nothing happens.

use sd_notify::NotifyState;
use tracing::warn;

use crate::core::time::Span;

/// The start is over (§16.1, step 7).
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The stop has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The loop decides and the store keeps.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is expected; `None` without a watchdog.
pub fn watchdog_every() -> Option<Span> {
    let every = sd_notify::watchdog_enabled()?;
    Some(Span::from_millis(i64::try_from(every.as_millis()).unwrap_or(i64::MAX)))
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        warn!(error = %e, "the service manager cannot be told");
    }
}
