//! Which audit records an incident or a message has: a table that is filled by the thousand.
//!
//! Ids are spread over the whole alphabet. To enter each record at once would write another page for each; to enter many
//! at once, in the order of ids, writes a page for many. What is not entered yet is at the end of the audit, and whoever
//! asks walks over it.

use rusqlite::{Connection, params};

use crate::core::model::AuditRecord;

/// So many records are entered at once; in tests a few, so that each of them meets both ways.
const STEP: u64 = if cfg!(test) { 7 } else { 32_768 };

/// So much of an id is entered; whoever asks compares the whole.
const PREFIX: usize = 12;

/// What is not entered yet of one desk. Forgotten with the rest of what the writer knows of a desk.
#[derive(Debug, Default)]
pub(super) struct About {
    /// Up to which record all are entered.
    to: u64,
    /// What later records are about.
    waiting: Vec<([u8; PREFIX], u64)>,
}

impl About {
    /// What is not entered yet of a desk.
    pub(super) fn of(conn: &Connection, desk: i64) -> rusqlite::Result<About> {
        let to: i64 = conn.query_row("SELECT about_to FROM desk WHERE no = ?1", [desk], |row| row.get(0))?;
        let mut about = About { to: to.unsigned_abs(), waiting: Vec::new() };
        let mut later = conn
            .prepare("SELECT seq, incident, message FROM audit WHERE desk = ?1 AND seq > ?2 ORDER BY seq")?;
        let mut later = later.query(params![desk, to])?;
        while let Some(row) = later.next()? {
            let seq: i64 = row.get(0)?;
            for id in [row.get::<_, Option<String>>(1)?, row.get(2)?].into_iter().flatten() {
                about.enter(&id, seq.unsigned_abs());
            }
        }
        Ok(about)
    }

    /// A record is kept.
    pub(super) fn note(&mut self, record: &AuditRecord) {
        for id in [&record.incident, &record.message].into_iter().flatten() {
            self.enter(id, record.seq);
        }
    }

    fn enter(&mut self, id: &str, seq: u64) {
        let mut prefix = [0; PREFIX];
        for (to, from) in prefix.iter_mut().zip(beginning(id).bytes()) {
            *to = from;
        }
        self.waiting.push((prefix, seq));
    }

    /// Enters what waits, up to the last record, once that is enough.
    pub(super) fn fill_when_due(&mut self, conn: &Connection, desk: i64, last: u64) -> rusqlite::Result<()> {
        if last.saturating_sub(self.to) < STEP {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.dedup();
        // Of records that were dropped with the beginning of a chain it may be entered already.
        let mut enter =
            conn.prepare_cached("INSERT OR IGNORE INTO audit_about (desk, about, seq) VALUES (?1, ?2, ?3)")?;
        for (prefix, seq) in waiting {
            let length = prefix.iter().position(|byte| *byte == 0).unwrap_or(PREFIX);
            let about = std::str::from_utf8(&prefix[..length]).unwrap_or_default();
            enter.execute(params![desk, about, seq as i64])?;
        }
        conn.execute("UPDATE desk SET about_to = ?2 WHERE no = ?1", params![desk, last as i64])?;
        self.to = last;
        Ok(())
    }
}

/// The part of an id that is entered: whole letters of its first bytes.
pub(super) fn beginning(id: &str) -> &str {
    let mut end = id.find('\0').unwrap_or(id.len()).min(PREFIX);
    while !id.is_char_boundary(end) {
        end -= 1;
    }
    &id[..end]
}

/// Takes out what is entered of the records up to and including `to`, which are about to be dropped.
pub(super) fn forget(conn: &Connection, desk: i64, to: i64) -> rusqlite::Result<()> {
    let mut records =
        conn.prepare("SELECT seq, incident, message FROM audit WHERE desk = ?1 AND seq <= ?2 ORDER BY seq")?;
    let mut records = records.query(params![desk, to])?;
    let mut leave = conn.prepare("DELETE FROM audit_about WHERE desk = ?1 AND about = ?2 AND seq = ?3")?;
    while let Some(row) = records.next()? {
        let seq: i64 = row.get(0)?;
        for id in [row.get::<_, Option<String>>(1)?, row.get(2)?].into_iter().flatten() {
            leave.execute(params![desk, beginning(&id), seq])?;
        }
    }
    Ok(())
}
