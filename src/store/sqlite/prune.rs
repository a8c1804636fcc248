//! Dropping what is over and old: incidents with all that belongs to them, and the beginning of the audit, of which a
//! seal keeps the digest (A3).
//!
//! What may go is looked up by a reader, so that commits need not wait for it; the writer drops it by id, and looks once
//! more at what could have changed since.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::model::{MessageState, Table};

use super::super::{Keep, Pruned};
use super::about;
use super::rows;
use super::writer::desk_no;

/// What may go.
#[derive(Debug, Default)]
pub(super) struct Plan {
    desk: i64,
    incidents: Vec<String>,
    /// What belongs to them: table and id.
    rows: Vec<(Table, String)>,
    /// The audit up to and including this record.
    audit_to: Option<i64>,
    more: bool,
}

impl Plan {
    /// There is nothing to drop.
    pub(super) fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.rows.is_empty() && self.audit_to.is_none()
    }
}

/// Resolved incidents of before an instant that nothing waits for, the oldest first. A dead letter goes after the
/// incident that it is about.
const OLD: &str = "\
    SELECT i.id FROM incident i \
    WHERE i.desk = ?1 AND i.state = 'resolved' AND i.wake IS NULL \
      AND unixepoch(coalesce(i.body ->> '$.resolved_at', i.body ->> '$.opened_at'), 'subsec') * 1000 < ?2 \
      AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.kin IN (i.nr, i.desk << 40) AND n.parent = i.id AND n.state = 'open') \
      AND NOT EXISTS (SELECT 1 FROM incident c WHERE c.desk = i.desk AND i.body ->> '$.family' = 'delivery.dead' \
          AND c.id = i.body ->> '$.subject.id') \
    ORDER BY i.nr LIMIT ?3";

/// Looks up what may go of `desk`.
pub(super) fn plan(conn: &mut Connection, desk: &str, keep: Keep) -> rusqlite::Result<Plan> {
    let tx = conn.transaction()?;
    let Some(no) = desk_no(&tx, desk)? else { return Ok(Plan::default()) };
    let mut plan = Plan { desk: no, ..Plan::default() };
    let at_once = keep.at_once.max(1) as usize;
    if let Some(from) = keep.closed_from {
        plan_incidents(&tx, &mut plan, from.as_millis(), at_once)?;
    }
    if let Some(from) = keep.audit_from {
        plan_audit(&tx, &mut plan, from.as_millis(), at_once as i64)?;
    }
    Ok(plan)
}

fn plan_incidents(conn: &Connection, plan: &mut Plan, from: i64, at_once: usize) -> rusqlite::Result<()> {
    let limit = at_once as i64 + 1;
    plan.incidents = conn
        .prepare(OLD)?
        .query_map(params![plan.desk, from, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    plan.more = plan.incidents.len() > at_once;
    plan.incidents.truncate(at_once);
    let mut notices = BTreeSet::new();
    for incident in &plan.incidents {
        notices.extend(children(conn, Table::Notice, plan.desk, incident)?);
    }
    let mut messages = BTreeSet::new();
    for notice in &notices {
        for decision in children(conn, Table::Decision, plan.desk, notice)? {
            plan.rows.push((Table::Decision, decision));
        }
        for message in children(conn, Table::Message, plan.desk, notice)? {
            if serves_only(conn, plan.desk, &message, &notices)? {
                messages.insert(message);
            }
        }
    }
    if !plan.more {
        // A message whose first notice went long ago, while it still served another one.
        messages.extend(orphans(conn, plan.desk, at_once)?);
    }
    for message in &messages {
        for table in [Table::Attempt, Table::Body] {
            for id in children(conn, table, plan.desk, message)? {
                plan.rows.push((table, id));
            }
        }
    }
    plan.rows.extend(notices.into_iter().map(|id| (Table::Notice, id)));
    plan.rows.extend(messages.into_iter().map(|id| (Table::Message, id)));
    Ok(())
}

fn children(conn: &Connection, table: Table, desk: i64, parent: &str) -> rusqlite::Result<Vec<String>> {
    let Some(kin) = rows::kin_of(table) else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT id FROM {} WHERE kin IN (coalesce((SELECT p.nr FROM {} p WHERE p.desk = ?1 AND p.id = ?2), -1), ?1 << 40) \
         AND +desk = ?1 AND parent = ?2",
        rows::name(table),
        rows::name(kin)
    );
    conn.prepare_cached(&sql)?.query_map(params![desk, parent], |row| row.get(0))?.collect()
}

/// Whether a message has ended and every notice that it serves is among `notices` or gone.
fn serves_only(
    conn: &Connection,
    desk: i64,
    message: &str,
    notices: &BTreeSet<String>,
) -> rusqlite::Result<bool> {
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM message WHERE desk = ?1 AND id = ?2")?
        .query_row(params![desk, message], |row| row.get(0))?;
    let ended = MessageState::ALL.iter().any(|s| s.is_terminal() && state.as_deref() == Some(s.word()));
    let mut left = conn.prepare_cached(
        "SELECT n.id FROM message m, json_each(m.body, '$.notices') j \
         JOIN notice n ON n.desk = m.desk AND n.id = j.value WHERE m.desk = ?1 AND m.id = ?2",
    )?;
    let mut left = left.query(params![desk, message])?;
    while let Some(row) = left.next()? {
        let id: String = row.get(0)?;
        if !notices.contains(&id) {
            return Ok(false);
        }
    }
    Ok(ended)
}

/// Ended messages of which no notice is left.
fn orphans(conn: &Connection, desk: i64, at_once: usize) -> rusqlite::Result<Vec<String>> {
    let terminal: Vec<String> =
        MessageState::ALL.iter().filter(|s| s.is_terminal()).map(|s| format!("'{}'", s.word())).collect();
    let sql = format!(
        "SELECT m.id FROM message m WHERE m.desk = ?1 AND m.state IN ({}) AND NOT EXISTS ( \
           SELECT 1 FROM json_each(m.body, '$.notices') j JOIN notice n ON n.desk = m.desk AND n.id = j.value) \
         ORDER BY m.nr LIMIT ?2",
        terminal.join(", ")
    );
    conn.prepare(&sql)?.query_map(params![desk, at_once as i64], |row| row.get(0))?.collect()
}

/// The audit goes from its beginning, without holes: up to before the first record that stays.
fn plan_audit(conn: &Connection, plan: &mut Plan, from: i64, at_once: i64) -> rusqlite::Result<()> {
    let mut old = conn.prepare("SELECT seq, at FROM audit WHERE desk = ?1 ORDER BY seq LIMIT ?2")?;
    let mut old = old.query(params![plan.desk, at_once + 1])?;
    let mut seen = 0;
    while let Some(row) = old.next()? {
        if row.get::<_, i64>(1)? >= from {
            return Ok(());
        }
        seen += 1;
        if seen > at_once {
            plan.more = true;
            return Ok(());
        }
        plan.audit_to = Some(row.get(0)?);
    }
    Ok(())
}

/// Drops it, in the transaction of the caller.
pub(super) fn carry_out(conn: &Connection, plan: &Plan) -> rusqlite::Result<Pruned> {
    let mut pruned = Pruned { more: plan.more, ..Pruned::default() };
    for id in &plan.incidents {
        let state: Option<Option<String>> = conn
            .prepare_cached("SELECT state FROM incident WHERE desk = ?1 AND id = ?2")?
            .query_row(params![plan.desk, id], |row| row.get(0))
            .optional()?;
        if state.flatten().as_deref() != Some("resolved") {
            // It came back between the look and now: the whole list is looked up again.
            return Ok(Pruned { more: true, ..Pruned::default() });
        }
    }
    for (table, id) in &plan.rows {
        pruned.rows += drop_row(conn, plan.desk, *table, id)?;
    }
    for id in &plan.incidents {
        let dropped = drop_row(conn, plan.desk, Table::Incident, id)?;
        pruned.incidents += dropped;
        pruned.rows += dropped;
    }
    if let Some(to) = plan.audit_to {
        conn.execute(
            "INSERT INTO audit_seal (desk, first_seq, last_seq, first_at, last_at, digest) \
             SELECT desk, min(seq), max(seq), min(at), max(at), \
               (SELECT digest FROM audit WHERE desk = ?1 AND seq = ?2) \
             FROM audit WHERE desk = ?1 AND seq <= ?2 GROUP BY desk",
            params![plan.desk, to],
        )?;
        about::forget(conn, plan.desk, to)?;
        pruned.audit =
            conn.execute("DELETE FROM audit WHERE desk = ?1 AND seq <= ?2", params![plan.desk, to])? as u64;
    }
    Ok(pruned)
}

fn drop_row(conn: &Connection, desk: i64, table: Table, id: &str) -> rusqlite::Result<u64> {
    Ok(conn.prepare_cached(&rows::of(table).drop)?.execute(params![desk, id])? as u64)
}
