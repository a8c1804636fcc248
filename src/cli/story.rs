//! `shiftbell explain --store`: why a message was sent, or not, and what became of an incident (A5), from the audit and the
//! decisions that were kept.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::config::environment;
use crate::core::ids::Id;
use crate::core::model::{Attempt, Incident, Message, Notice, Table};
use crate::core::time::Instant;
use crate::store::{AuditQuery, KeptAudit, RowQuery, Stored, sqlite};

/// At most so many rows of one kind are told.
const MOST: usize = 200;

/// What is told of.
struct Story<'a> {
    /// The store's file: it is only read, beside a running program or without one.
    store: &'a Path,
    desk: String,
    zone: TimeZone,
}

/// Tells of the incident or message whose id begins with `id`.
///
/// # Errors
/// The store cannot be read, or knows no such id.
pub fn tell(store: &Path, config: &Path, id: &str, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let id = id.trim_start_matches('#').to_ascii_uppercase();
    if id.len() < 4 || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!(
            "found `{id}`, expected the id of an incident or a message, or 4 or more of its first characters"
        );
    }
    let checked = crate::config::check_settings(config, &environment::process(), None);
    let settings = checked.loaded.settings();
    let zone = settings.and_then(|s| TimeZone::get(&s.desk.zone).ok()).unwrap_or(TimeZone::UTC);
    let mut desks = sqlite::desks(store)?;
    let named = settings.map(|s| s.desk.id.as_str()).and_then(|id| desks.iter().position(|d| d == id));
    if desks.is_empty() {
        bail!("{} holds no desk yet", store.display());
    }
    let desk = desks.swap_remove(named.unwrap_or(0));
    let story = Story { store, desk, zone };
    let incidents = story.rows(Table::Incident, Some(&id), None)?;
    let messages = story.rows(Table::Message, Some(&id), None)?;
    let names: Vec<&str> = incidents.iter().chain(&messages).map(|row| row.id.as_str()).take(10).collect();
    match (incidents.as_slice(), messages.as_slice()) {
        ([], []) => bail!("no incident and no message has an id that begins with {id}"),
        ([row], []) => story.incident(row, out)?,
        ([], [row]) => story.message(row, out)?,
        _ => bail!("several ids begin with {id}, name one in full: {}", names.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}

impl Story<'_> {
    fn rows(&self, table: Table, prefix: Option<&str>, parent: Option<&str>) -> anyhow::Result<Vec<Stored>> {
        let query = RowQuery {
            table,
            id_prefix: prefix.map(str::to_owned),
            state: None,
            parent: parent.map(str::to_owned),
            limit: MOST,
        };
        Ok(sqlite::rows_at(self.store, &self.desk, &query)?)
    }

    fn incident(&self, row: &Stored, out: &mut impl Write) -> anyhow::Result<()> {
        let incident: Incident = read(row)?;
        writeln!(
            out,
            "事件 / incident #{} {}\n  {} · {}/{}/{} · {} L{} · 第 {} 次 / episode {} · team {}",
            incident.id.short(),
            incident.id,
            incident.family,
            incident.subject.source,
            incident.subject.kind,
            incident.subject.id,
            incident.status.word(),
            incident.level,
            incident.episode,
            incident.episode,
            incident.team,
        )?;
        let since = self.at(Some(incident.since));
        writeln!(out, "  自 / since {since} · 应于 / due {}", self.at(incident.due))?;
        if let Some(who) = &incident.acked_by {
            writeln!(out, "  认领 / acked by {who} until {}", self.at(incident.ack_until))?;
        }
        writeln!(out, "\n经过 / what happened")?;
        let query = AuditQuery { incident: Some(row.id.clone()), limit: 0, ..AuditQuery::default() };
        self.audit(&sqlite::audit_at(self.store, &self.desk, &query)?, out)?;
        for notice in self.rows(Table::Notice, None, Some(&row.id))? {
            self.notice(&notice, out)?;
        }
        Ok(())
    }

    fn notice(&self, row: &Stored, out: &mut impl Write) -> anyhow::Result<()> {
        let notice: Notice = read(row)?;
        let cause = notice.cause.map(|c| format!(" ({})", c.word())).unwrap_or_default();
        writeln!(
            out,
            "\n通知 / notice {} · {} L{} {} · {}{cause} · planned {}",
            notice.id.short(),
            notice.purpose.word(),
            notice.level,
            notice.priority.word(),
            notice.state.word(),
            self.at(Some(notice.planned_at)),
        )?;
        for (i, wave) in notice.waves.iter().enumerate() {
            let lanes: Vec<String> =
                wave.iter().map(|r| format!("{}:{}", r.person, r.lane.channel)).collect();
            let started = if (i as u32) < notice.started { "" } else { " (未启用 / not started)" };
            writeln!(out, "  波次 / wave {}: {}{started}", i + 1, lanes.join(", "))?;
        }
        let mut decisions = self.rows(Table::Decision, None, Some(&row.id))?;
        if decisions.is_empty()
            && let Some(decision) = notice.decision
        {
            decisions = self.rows(Table::Decision, Some(&decision.to_string()), None)?;
        }
        for decision in decisions {
            let value: Value = serde_json::from_slice(&decision.body).unwrap_or_default();
            writeln!(out, "  决定 / decision {}", decision.id.chars().take(6).collect::<String>())?;
            tree(&value, 2, out)?;
        }
        for message in self.rows(Table::Message, None, Some(&row.id))? {
            self.sent(&message, out)?;
        }
        Ok(())
    }

    fn message(&self, row: &Stored, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "消息 / message {}", row.id)?;
        self.sent(row, out)?;
        writeln!(out, "\n经过 / what happened")?;
        let query = AuditQuery { message: Some(row.id.clone()), limit: 0, ..AuditQuery::default() };
        self.audit(&sqlite::audit_at(self.store, &self.desk, &query)?, out)?;
        let message: Message = read(row)?;
        for notice in &message.notices {
            for notice in self.rows(Table::Notice, Some(&notice.to_string()), None)? {
                let parent: Notice = read(&notice)?;
                writeln!(out, "\n它通知的事件 / it tells of incident {}", parent.incident)?;
                self.notice(&notice, out)?;
            }
        }
        Ok(())
    }

    fn sent(&self, row: &Stored, out: &mut impl Write) -> anyhow::Result<()> {
        let message: Message = read(row)?;
        let cause = message.cause.map(|c| format!(" ({})", c.word())).unwrap_or_default();
        writeln!(
            out,
            "  消息 / message {} → {} via {} · {}{cause}",
            message.id.short(),
            message.to.person,
            message.to.lane.channel,
            message.state.word(),
        )?;
        for attempt in self.rows(Table::Attempt, None, Some(&row.id))? {
            let attempt: Attempt = read(&attempt)?;
            let outcome = match &attempt.outcome {
                None => "进行中 / under way".to_owned(),
                Some(outcome) => {
                    let code = outcome.code.as_deref().map(|c| format!(" {c}")).unwrap_or_default();
                    let detail = outcome.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
                    format!("{}{code}{detail}", outcome.class.word())
                }
            };
            writeln!(
                out,
                "    第 {} 次 / attempt {} at {} · {outcome}",
                attempt.n,
                attempt.n,
                self.at(Some(attempt.claimed_at))
            )?;
        }
        Ok(())
    }

    fn audit(&self, records: &[KeptAudit], out: &mut impl Write) -> std::io::Result<()> {
        for KeptAudit { record, .. } in records {
            let part = |text: &Option<String>, mark: &str| {
                text.as_ref().map(|t| format!(" {mark}{t}")).unwrap_or_default()
            };
            let short = |id: &Option<String>, what: &str| {
                let id = id.as_deref().and_then(|id| id.parse::<Id>().ok());
                id.map(|id| format!(" {what} {}", id.short())).unwrap_or_default()
            };
            writeln!(
                out,
                "  {:>6}  {}  {}  {}{}{}{}{}",
                record.seq,
                self.at(Some(record.at)),
                record.kind,
                record.actor,
                part(&record.change, "· "),
                part(&record.cause, "· "),
                short(&record.notice, "notice"),
                short(&record.message, "message"),
            )?;
        }
        Ok(())
    }

    fn at(&self, at: Option<Instant>) -> String {
        let show = |at: Instant| {
            at.to_timestamp().to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        };
        at.map_or_else(|| "–".to_owned(), show)
    }
}

fn read<T: serde::de::DeserializeOwned>(row: &Stored) -> anyhow::Result<T> {
    serde_json::from_slice(&row.body)
        .with_context(|| format!("{} {} cannot be read", row.table.word(), row.id))
}

/// A kept decision as an indented list, whatever is in it.
fn tree(value: &Value, depth: usize, out: &mut impl Write) -> std::io::Result<()> {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        writeln!(out, "{pad}{key}:")?;
                        tree(value, depth + 1, out)?;
                    }
                    Value::Array(list) if list.iter().any(|v| v.is_object() || v.is_array()) => {
                        writeln!(out, "{pad}{key}:")?;
                        tree(value, depth + 1, out)?;
                    }
                    Value::Array(list) => {
                        let all: Vec<String> = list.iter().map(plain).collect();
                        writeln!(out, "{pad}{key}: {}", all.join(", "))?;
                    }
                    Value::Null => {}
                    other => writeln!(out, "{pad}{key}: {}", plain(other))?,
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                match value {
                    Value::Object(entries) => {
                        let all: Vec<String> = entries
                            .iter()
                            .filter(|(_, v)| !v.is_null())
                            .map(|(k, v)| format!("{k} {}", plain(v)))
                            .collect();
                        writeln!(out, "{pad}- {}", all.join(" · "))?;
                    }
                    other => writeln!(out, "{pad}- {}", plain(other))?,
                }
            }
        }
        other => writeln!(out, "{pad}{}", plain(other))?,
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
