//! How long something took: told and counted, never decided on.

use std::time::{Duration, Instant};

/// Runs from its making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this room that measures how long work takes"
    )]
    pub(super) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// How long it has run.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
