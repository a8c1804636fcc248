//! What the engine hands to the reports: one row a cycle, one row a signal.
//!
//! Both can be streamed out as JSON Lines; the keys and their order are part of the interface.

use std::io::{self, Write};
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::core::time::{Instant, Span};

pub use crate::core::clock::State as Outcome;

/// One cycle of one clock on one case, as it stood at the end of the replay.
#[derive(Clone, Debug, PartialEq)]
pub struct CycleRow {
    /// The source of the case.
    pub source: Arc<str>,
    /// The kind of case.
    pub kind: Arc<str>,
    /// The platform's id of the case.
    pub id: String,
    /// The name of the clock.
    pub clock: Arc<str>,
    /// When the cycle began.
    pub start: Instant,
    /// When it was due; none while paused with time left, or unreachable.
    pub due: Option<Instant>,
    /// When it ended; none while it runs.
    pub end: Option<Instant>,
    /// How it stands or ended.
    pub outcome: Outcome,
    /// Running open time from start to end, or to now.
    pub open: Span,
    /// Wall time from start to end, or to now.
    pub wall: Span,
    /// Open time past due (K26).
    pub overdue_open: Span,
    /// Wall time past due.
    pub overdue_wall: Span,
    /// The shop, where the case names one.
    pub shop: Option<Arc<str>>,
    /// The assignee at due (M12).
    pub assignee: Option<Arc<str>>,
    /// The shift at due (M12).
    pub shift: Option<Arc<str>>,
    /// Running, not overdue, first ring crossed (M10).
    pub at_risk: bool,
    /// For a reply clock that was answered: whether it was the first answer of the case (M3) or a later one (M4).
    pub reply: Option<Reply>,
    /// Open time from start to end, or to now, pauses included: what the buyer waited (M6).
    pub waited: Span,
    /// Open time paused for the buyer although a newer message of the buyer's stood there (M13).
    pub doubtful: Span,
}

/// Which answer of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The first.
    First,
    /// A later one.
    Next,
}

/// One signal: a ring of a clock that was crossed, as it would have gone to a desk.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalRow {
    /// When it was crossed.
    pub at: Instant,
    /// The desk it belongs to.
    pub desk: Arc<str>,
    /// The source of the case.
    pub source: Arc<str>,
    /// The kind of case.
    pub kind: Arc<str>,
    /// The platform's id of the case.
    pub id: Arc<str>,
    /// The name of the clock.
    pub clock: Arc<str>,
    /// The ring as configured: `50%`, `5m before`, `due`, …
    pub ring: Arc<str>,
    /// The due time at that moment.
    pub due: Option<Instant>,
    /// How many seconds after its crossing it was recorded (M14).
    pub late_by_s: i64,
    /// Why it did not ring, or rang otherwise; absent for a plain ring.
    pub reason: Option<String>,
}

impl CycleRow {
    /// The instant at which it was decided (M1): a met cycle at its end, a broken one at its due time.
    pub fn decided_at(&self) -> Option<Instant> {
        match self.outcome {
            Outcome::Met => self.end,
            Outcome::Missed | Outcome::Overdue => self.due,
            _ => None,
        }
    }
}

#[derive(serde::Serialize)]
struct CaseKey<'a> {
    source: &'a str,
    kind: &'a str,
    id: &'a str,
}

impl Serialize for CycleRow {
    /// `{"case":{"source","kind","id"},"clock","start","due","end","outcome"}`, null where absent.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("outcome", 6)?;
        row.serialize_field("case", &case(&self.source, &self.kind, &self.id))?;
        row.serialize_field("clock", &*self.clock)?;
        row.serialize_field("start", &self.start)?;
        row.serialize_field("due", &self.due)?;
        row.serialize_field("end", &self.end)?;
        row.serialize_field("outcome", &self.outcome)?;
        row.end()
    }
}

impl Serialize for SignalRow {
    /// `{"at","desk","case":{"source","kind","id"},"clock","ring","due","late_by_s"}`, and `"reason"` when
    /// there is one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("signal", 7 + usize::from(self.reason.is_some()))?;
        row.serialize_field("at", &self.at)?;
        row.serialize_field("desk", &*self.desk)?;
        row.serialize_field("case", &case(&self.source, &self.kind, &self.id))?;
        row.serialize_field("clock", &*self.clock)?;
        row.serialize_field("ring", &self.ring)?;
        row.serialize_field("due", &self.due)?;
        row.serialize_field("late_by_s", &self.late_by_s)?;
        if let Some(reason) = &self.reason {
            row.serialize_field("reason", reason)?;
        }
        row.end()
    }
}

fn case<'a>(source: &'a str, kind: &'a str, id: &'a str) -> CaseKey<'a> {
    CaseKey { source, kind, id }
}

/// Writes one row as a line of JSON.
///
/// # Errors
/// What `out` answers.
pub fn write_line(out: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(row: &impl Serialize) -> String {
        let mut out = Vec::new();
        write_line(&mut out, row).expect("a vector takes everything");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn signals_and_outcomes_have_their_keys_in_order() {
        let at = Instant::from_secs(1_700_000_000);
        let mut signal = SignalRow {
            at,
            desk: "d".into(),
            source: "s".into(),
            kind: "ticket".into(),
            id: "7\"".into(),
            clock: "reply".into(),
            ring: "due".into(),
            due: None,
            late_by_s: 3,
            reason: None,
        };
        assert_eq!(
            line(&signal),
            concat!(
                r#"{"at":"2023-11-14T22:13:20Z","desk":"d","case":{"source":"s","kind":"ticket","id":"7\""},"#,
                r#""clock":"reply","ring":"due","due":null,"late_by_s":3}"#,
                "\n"
            )
        );
        signal.reason = Some("silenced".into());
        assert!(line(&signal).ends_with("\"late_by_s\":3,\"reason\":\"silenced\"}\n"));

        let row = CycleRow {
            source: "s".into(),
            kind: "ticket".into(),
            id: "7".into(),
            clock: "reply".into(),
            start: at,
            due: Some(at + Span::MINUTE),
            end: None,
            outcome: Outcome::Overdue,
            open: Span::ZERO,
            wall: Span::ZERO,
            overdue_open: Span::ZERO,
            overdue_wall: Span::ZERO,
            shop: None,
            assignee: None,
            shift: None,
            at_risk: false,
            reply: None,
            waited: Span::ZERO,
            doubtful: Span::ZERO,
        };
        assert_eq!(
            line(&row),
            concat!(
                r#"{"case":{"source":"s","kind":"ticket","id":"7"},"clock":"reply","start":"2023-11-14T22:13:20Z","#,
                r#""due":"2023-11-14T22:14:20Z","end":null,"outcome":"overdue"}"#,
                "\n"
            )
        );
    }
}
