//! What really happened, as a table: read after the watching, never before.

use std::io::Read;

use anyhow::{Context as _, bail};

use crate::core::time::Instant;
use crate::sources::history::open;

/// One parcel as it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The id by which the history calls it.
    pub id: String,
    /// When it was ordered; it decides which part of the history it belongs to.
    pub created: Instant,
    /// When the carrier took it.
    pub shipped: Option<Instant>,
    /// When it was delivered; none when never.
    pub delivered: Option<Instant>,
    /// The promised instant.
    pub due: Option<Instant>,
}

/// Reads a CSV file, plain, gzip or zstd, with the columns `id`, `created`, `shipped`, `delivered` and `due`; others
/// are passed over. Instants are RFC 3339, empty where there is none. The rows come back by `created`.
///
/// # Errors
/// A file that cannot be read, one without these columns, an instant that is none.
pub fn read(path: &str) -> anyhow::Result<Vec<Row>> {
    let opened = open::open(path, &|bytes| bytes)?;
    rows(opened.bytes).with_context(|| format!("failed to read {path}"))
}

fn rows(bytes: impl Read) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers()?.clone();
    let place = |name: &str| match header.iter().position(|column| column == name) {
        Some(place) => Ok(place),
        None => bail!("there is no column `{name}`, expected id, created, shipped, delivered and due"),
    };
    let [id, created, shipped, delivered, due] =
        [place("id")?, place("created")?, place("shipped")?, place("delivered")?, place("due")?];
    let mut rows = Vec::new();
    for (line, record) in (2..).zip(reader.records()) {
        let record = record?;
        let cell = |place: usize| record.get(place).unwrap_or("");
        let instant = |place: usize| match cell(place) {
            "" => Ok(None),
            text => Instant::parse(text)
                .map(Some)
                .with_context(|| format!("line {line}, column `{}`", header.get(place).unwrap_or(""))),
        };
        let Some(created) = instant(created)? else { bail!("line {line} has no `created`") };
        rows.push(Row {
            id: cell(id).to_owned(),
            created,
            shipped: instant(shipped)?,
            delivered: instant(delivered)?,
            due: instant(due)?,
        });
    }
    rows.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_by_their_orders_and_what_is_wrong_is_named() {
        let text = "id,late,created,shipped,delivered,due\n\
                    b,x,2026-01-02T00:00:00Z,2026-01-03T00:00:00Z,,2026-01-09T00:00:00Z\n\
                    a,x,2026-01-01T00:00:00Z,,,\n";
        let read = rows(text.as_bytes()).unwrap();
        assert_eq!(read.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((read[0].shipped, read[1].delivered), (None, None));
        assert!(read[1].due.is_some());
        for (text, want) in [
            ("id,created\n", "no column `shipped`"),
            ("id,created,shipped,delivered,due\na,yesterday,,,\n", "line 2, column `created`"),
            ("id,created,shipped,delivered,due\na,,,,\n", "line 2 has no `created`"),
        ] {
            let err = format!("{:#}", rows(text.as_bytes()).unwrap_err());
            assert!(err.contains(want), "{err}");
        }
    }
}
