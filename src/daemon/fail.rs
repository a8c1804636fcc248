//! Places where a test lets the process die (`delivery_semantics` §9.5). Compiled only for tests: a program that is
//! installed has no such places.

/// The places, each with the crash windows that it is. `FAILPOINT=name` dies there the first time, `name:3` the third.
pub const POINTS: &[(&str, &str)] = &[
    ("intake_read", "W1: lines read, before they are committed"),
    ("commit_begun", "W2, W5: in the middle of a commit"),
    ("observations_kept", "W3: observations committed, before the next turn"),
    ("timer_due", "W4: a timer is due, before its step"),
    ("step_kept", "W6, W7: notices and messages committed, before they are claimed"),
    ("after_commit_before_send", "W8: claimed, before the first byte"),
    ("during_send", "W9: bytes under way, no answer"),
    ("answered", "W10, W19: the answer is there, before it is committed"),
    ("outcome_kept", "W11: the outcome is committed"),
    ("statement_read", "W12, W13: a receipt arrived, before it is committed"),
    ("response_read", "W14: a response read, before it is committed"),
    ("response_kept", "W15: a response committed, before the person is answered"),
    ("swap_begun", "W16: a reload, before its commit"),
    ("swap_kept", "W16: a reload, after its commit"),
    ("render", "W18: a message that kills the process"),
    ("stopping", "W20: an orderly stop during sends"),
    ("emergency", "W21: the store refuses, before anything is sent"),
    ("file_moved", "W3: a watched file moved away, before its cursor is dropped"),
];

#[cfg(any(test, feature = "fail-points"))]
mod armed {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

    /// Reads `FAILPOINT` of the environment, once.
    pub fn arm(env: &BTreeMap<String, String>) {
        ARMED.get_or_init(|| {
            let text = env.get("FAILPOINT")?;
            let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
            Some((name.to_owned(), AtomicU32::new(nth.parse().ok()?)))
        });
    }

    /// Whether the process would die here now. Counts.
    pub fn is_due(name: &str) -> bool {
        match ARMED.get() {
            Some(Some((armed, left))) if armed == name => left.fetch_sub(1, Ordering::SeqCst) == 1,
            _ => false,
        }
    }

    /// Dies as by `kill -9` when `name` is armed and its turn has come.
    pub fn fail_point(name: &'static str) {
        debug_assert!(super::POINTS.iter().any(|(point, _)| *point == name), "{name} is not in the list");
        if is_due(name) {
            die();
        }
    }

    /// Dies as by `kill -9`.
    pub fn die() -> ! {
        // Killing oneself cannot fail.
        _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort()
    }
}

#[cfg(any(test, feature = "fail-points"))]
pub use armed::{arm, die, fail_point, is_due};

/// Does nothing: this program has no such places.
#[cfg(not(any(test, feature = "fail-points")))]
pub fn arm(_: &std::collections::BTreeMap<String, String>) {}

/// Does nothing: this program has no such places.
#[cfg(not(any(test, feature = "fail-points")))]
#[inline(always)]
pub fn fail_point(_: &'static str) {}
