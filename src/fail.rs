//! Places where a test lets the process die (`delivery_semantics` §9.5). Compiled only for tests: a program that is
//! installed has no such places.

/// The places, each with the crash windows that it is. `FAILPOINT=name` dies there the first time, `name:3` the third.
pub const POINTS: &[(&str, &str)] = &[
    ("intake_read", "W1: lines read, before they are committed"),
    ("rows_put", "W2, W5: rows written, in the middle of a commit"),
    ("commit_done", "W3, W5: on the medium, before anybody in the process knows"),
    ("commit_begun", "W2, W5: a commit handed over, wherever it may be"),
    ("observations_kept", "W3: observations committed, before the next turn"),
    ("timer_due", "W4: a timer is due, before its step"),
    ("step_kept", "W5: a step committed that claims nothing"),
    ("held_kept", "W6: a message committed that waits in a group"),
    ("ready_kept", "W7: a message committed that may be claimed"),
    ("after_commit_before_send", "W8: claimed, before the first byte"),
    ("during_send", "W9: bytes under way, no answer"),
    ("answered", "W10: the answer is there, before it is committed"),
    ("outcome_kept", "W11: the outcome is committed"),
    ("statement_read", "W13: a receipt arrived, before it is committed"),
    ("statement_kept", "W12: a receipt committed, before its sender is answered"),
    ("response_read", "W14: a response read, before it is committed"),
    ("response_kept", "W15: a response committed, before the person is answered"),
    ("swap_begun", "W16: a reload, before its commit"),
    ("swap_kept", "W16: a reload, after its commit"),
    ("schema_begun", "W17: in the middle of a change of the schema"),
    ("render", "W18: a message that kills the process"),
    ("outcome_put", "W19: a failure and the fallback that follows it written, before the commit"),
    ("outcome_done", "W19: a failure and the fallback that follows it on the medium"),
    ("stopping", "W20: an orderly stop during sends"),
    ("emergency", "W21: the store refuses, before anything is sent"),
    ("emergency_claimed", "W21: claimed in memory, before it is sent without a record"),
    ("restore_begun", "W22: the damaged store is set aside, before the backup stands in its place"),
    ("restore_told", "W22: what a restore means is committed, before its marker goes"),
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
