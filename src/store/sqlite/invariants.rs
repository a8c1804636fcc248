//! What must hold of a store at rest, each as one query (`delivery_semantics` §19, marked `sql`).
//!
//! A query answers with the first thing that is against its sentence, in words, or with nothing. `?1` is the number of
//! the desk. What was pruned is not missed: the audit before the last seal, and rows of before it, are left out.

use crate::core::model::{Cause, MessageState};

/// A sentence and the query that looks for what is against it.
pub struct Invariant {
    /// Its id in the specification.
    pub id: &'static str,
    /// What must hold.
    pub sentence: &'static str,
    /// Looks for what is against it.
    query: &'static str,
}

impl Invariant {
    /// The query, with the closed lists filled in.
    pub(super) fn query(&self) -> String {
        let causes = words(Cause::ALL.iter().map(|cause| cause.word()));
        let terminal = words(MessageState::ALL.iter().filter(|s| s.is_terminal()).map(|s| s.word()));
        let query = self.query.replace("{causes}", &causes).replace("{terminal}", &terminal);
        format!("{SEALED}, {ALARMS} {query}")
    }
}

/// Words of a closed list of ours, as SQL.
fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

/// The instant up to which the audit was dropped, in ms; far back where nothing was.
const SEALED: &str =
    "WITH sealed(at) AS (SELECT coalesce(max(last_at), -9e18) FROM audit_seal WHERE desk = ?1)";

/// The local alarms that the audit tells of: few, and looked for by every incident and notice that nobody was told of.
const ALARMS: &str = "alarm(incident, notice) AS MATERIALIZED ( \
    SELECT incident, notice FROM audit WHERE desk = ?1 AND kind = 'alarm.local')";

/// All of them, in the order of the specification.
pub static INVARIANTS: &[Invariant] = &[
    Invariant {
        id: "I1",
        sentence: "every unresolved, unsilenced, unfolded incident at level 1 or above has a notice for that level, or \
                   the local alarm was raised for it",
        query: "SELECT 'incident ' || i.id || ' is ' || i.state || ' at level ' || (i.body ->> '$.level') || \
                ' and nobody was told' \
                FROM incident i \
                WHERE i.desk = ?1 AND i.state <> 'resolved' AND i.body ->> '$.level' >= 1 \
                  AND i.body ->> '$.silenced' IS NULL AND i.body ->> '$.folded' IS NULL \
                  AND i.body ->> '$.storm' IS NULL AND coalesce(i.body ->> '$.owed', 0) = 0 \
                  AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.kin IN (i.nr, i.desk << 40) AND n.parent = i.id \
                      AND n.body ->> '$.episode' = i.body ->> '$.episode' \
                      AND n.body ->> '$.level' >= i.body ->> '$.level') \
                  AND NOT EXISTS (SELECT 1 FROM alarm a WHERE a.incident = i.id) \
                ORDER BY i.id LIMIT 1",
    },
    Invariant {
        id: "I3",
        sentence: "every dead notice has an incident delivery.dead, or a local alarm",
        query: "SELECT 'notice ' || n.id || ' is dead, and nobody was told of it' \
                FROM notice n, sealed \
                WHERE n.desk = ?1 AND n.state = 'dead' \
                  AND unixepoch(n.body ->> '$.planned_at') * 1000 > sealed.at \
                  AND NOT EXISTS (SELECT 1 FROM incident d WHERE d.desk = n.desk \
                      AND d.body ->> '$.family' = 'delivery.dead' AND d.body ->> '$.generation' = n.id) \
                  AND NOT EXISTS (SELECT 1 FROM alarm a WHERE a.incident = n.parent \
                      AND (a.notice IS NULL OR a.notice = n.id)) \
                ORDER BY n.id LIMIT 1",
    },
    Invariant {
        id: "I3",
        sentence: "a delivery.dead incident is announced on other lanes than the dead ones",
        query: "SELECT 'notice ' || t.id || ' tells of the dead notice ' || n.id || ' on the lane that is dead' \
                FROM incident d \
                JOIN notice n ON n.desk = d.desk AND n.id = d.body ->> '$.generation' \
                JOIN notice t ON t.kin IN (d.nr, d.desk << 40) AND t.parent = d.id \
                WHERE d.desk = ?1 AND d.body ->> '$.family' = 'delivery.dead' \
                  AND coalesce(t.body ->> '$.purpose', '') NOT IN ('cleared', 'corrected') AND EXISTS ( \
                    SELECT 1 FROM json_each(n.body, '$.waves') a, json_each(a.value) x, \
                                  json_each(t.body, '$.waves') b, json_each(b.value) y \
                    WHERE x.value -> '$.lane' = y.value -> '$.lane') \
                ORDER BY t.id LIMIT 1",
    },
    Invariant {
        id: "I4",
        sentence: "what ended without reaching anybody has a cause of the closed list",
        query: "SELECT what || ' ' || id || ' is ' || state || ' with the cause ' || coalesce(cause, 'none') FROM ( \
                  SELECT 'notice' AS what, id, state, body ->> '$.cause' AS cause FROM notice \
                  WHERE desk = ?1 AND state IN ('obsolete', 'dead') \
                  UNION ALL \
                  SELECT 'message', id, state, body ->> '$.cause' FROM message \
                  WHERE desk = ?1 AND state IN ('superseded', 'suppressed', 'expired', 'failed', 'quarantined')) \
                WHERE cause IS NULL OR cause NOT IN ({causes}) ORDER BY what, id LIMIT 1",
    },
    Invariant {
        id: "I4",
        sentence: "every message that ended has exactly one audit record of that end",
        query: ", told(message, seq, change) AS MATERIALIZED ( \
                  SELECT message, seq, body ->> '$.change' FROM audit WHERE desk = ?1 AND kind = 'message.ended'), \
                ended(id, count) AS MATERIALIZED ( \
                  SELECT m.id, count(a.seq) FROM message m JOIN sealed \
                  LEFT JOIN told a ON a.message = m.id AND a.change LIKE '% → ' || m.state || ' %' \
                  WHERE m.desk = ?1 AND m.state IN ({terminal}) \
                    AND unixepoch(m.body ->> '$.planned_at') * 1000 > sealed.at \
                  GROUP BY m.id) \
                SELECT 'message ' || id || ' ended, and the audit tells so ' || count || ' times' \
                FROM ended WHERE count <> 1 ORDER BY id LIMIT 1",
    },
    Invariant {
        id: "I6",
        sentence: "no notice is of a higher level than its incident, or without its incident",
        query: "SELECT 'notice ' || n.id || CASE WHEN i.id IS NULL THEN ' has no incident' \
                ELSE ' is of a level that incident ' || i.id || ' has not reached' END \
                FROM notice n LEFT JOIN incident i ON i.desk = n.desk AND i.id = n.parent \
                WHERE n.desk = ?1 AND (i.id IS NULL OR (n.body ->> '$.episode' = i.body ->> '$.episode' \
                  AND n.body ->> '$.level' > i.body ->> '$.level')) \
                ORDER BY n.id LIMIT 1",
    },
    Invariant {
        id: "I25",
        sentence: "a folded, unresolved incident has a parent that is a storm and not over",
        query: "SELECT 'incident ' || c.id || ' is folded under ' || (c.body ->> '$.folded') || ', which ' || \
                CASE WHEN p.id IS NULL THEN 'is not there' WHEN p.state = 'resolved' THEN 'is over' \
                ELSE 'is no storm' END \
                FROM incident c LEFT JOIN incident p ON p.desk = c.desk AND p.id = c.body ->> '$.folded' \
                WHERE c.desk = ?1 AND c.state <> 'resolved' AND c.body ->> '$.folded' IS NOT NULL \
                  AND (p.id IS NULL OR p.state = 'resolved' OR p.body ->> '$.storm' IS NULL) \
                ORDER BY c.id LIMIT 1",
    },
    Invariant {
        id: "I43",
        sentence: "what the columns say is what the rows say",
        query: "SELECT what || ' ' || id || ' says ' || coalesce(said, 'nothing') || ' inside and ' || \
                coalesce(state, 'nothing') || ' outside' FROM ( \
                  SELECT 'incident' AS what, id, state, body ->> '$.id' AS own, body ->> '$.status' AS said \
                  FROM incident WHERE desk = ?1 \
                  UNION ALL SELECT 'notice', id, state, body ->> '$.id', body ->> '$.state' FROM notice WHERE desk = ?1 \
                  UNION ALL SELECT 'message', id, state, body ->> '$.id', body ->> '$.state' FROM message WHERE desk = ?1) \
                WHERE said IS NOT state OR own IS NOT id ORDER BY what, id LIMIT 1",
    },
    Invariant {
        id: "I47",
        sentence: "every notice that was planned is kept, and is over exactly when the audit says so, once",
        query: ", told(id, planned, settled) AS MATERIALIZED ( \
                  SELECT a.notice, sum(a.kind = 'notice.planned'), sum(a.kind = 'notice.settled') FROM audit a \
                  WHERE a.desk = ?1 AND a.notice IS NOT NULL AND a.kind IN ('notice.planned', 'notice.settled') \
                  GROUP BY a.notice) \
                SELECT 'notice ' || t.id || ' was planned ' || t.planned || ' times and settled ' || t.settled || \
                ' times, and is ' || coalesce(n.state, 'gone') \
                FROM told t LEFT JOIN notice n ON n.desk = ?1 AND n.id = t.id \
                WHERE (n.id IS NULL AND t.settled = 0) \
                   OR (n.id IS NOT NULL AND t.planned > 0 AND \
                       (t.planned <> 1 OR t.settled <> (n.state <> 'open'))) \
                ORDER BY t.id LIMIT 1",
    },
    Invariant {
        id: "I47",
        sentence: "every notice is open, delivered, accepted_final, obsolete or dead, and the audit knows it",
        query: "SELECT 'notice ' || n.id || ' is ' || coalesce(n.state, 'nothing') || ', and was never planned' \
                FROM notice n, sealed WHERE n.desk = ?1 AND ( \
                  n.state IS NULL OR n.state NOT IN ('open', 'delivered', 'accepted_final', 'obsolete', 'dead') \
                  OR (unixepoch(n.body ->> '$.planned_at') * 1000 > sealed.at \
                    AND n.id NOT IN (SELECT a.notice FROM audit a WHERE a.desk = ?1 \
                      AND a.kind = 'notice.planned' AND a.notice IS NOT NULL))) \
                ORDER BY n.id LIMIT 1",
    },
    Invariant {
        id: "I50",
        sentence: "every message that waits serves a notice that may still need it",
        query: "SELECT 'message ' || m.id || ' is ' || m.state || ' and serves no notice any more' \
                FROM message m \
                WHERE m.desk = ?1 AND m.state IN ('held', 'ready', 'deferred', 'retry_wait') \
                  AND NOT EXISTS (SELECT 1 FROM json_each(m.body, '$.notices') j \
                      JOIN notice n ON n.desk = m.desk AND n.id = j.value \
                      WHERE n.state IN ('open', 'dead', 'accepted_final')) \
                ORDER BY m.id LIMIT 1",
    },
];
