//! Rows as SQLite keeps them: the statements of each table, and the sum that shows an altered row.

use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::core::model::{Row, Table, hash64};

use super::super::Stored;

/// How many bits of a row's number count inside its desk; the number of the desk stands above them.
const COUNTER_BITS: u32 = 40;

/// The first row number of a desk; the desk's end is the first of the next.
pub(super) fn first_nr(desk: i64) -> i64 {
    desk << COUNTER_BITS
}

/// The table that the rows of `table` are found by, where they are found by their kin: the number of the row that they
/// belong to, which the column `kin` holds. Where no such row was there when they were first kept it holds the first
/// number of the desk, which no row has.
pub(super) fn kin_of(table: Table) -> Option<Table> {
    match table {
        Table::Notice => Some(Table::Incident),
        Table::Message | Table::Decision => Some(Table::Notice),
        Table::Attempt | Table::Body => Some(Table::Message),
        _ => None,
    }
}

/// Whether rows of other tables belong to the rows of this one.
pub(super) fn has_kin(table: Table) -> bool {
    matches!(table, Table::Incident | Table::Notice | Table::Message)
}

/// The id of the row that a row belongs to: its parent. An attempt and its body say it in their own id, `message/n`, so
/// that they are found by that alone.
pub(super) fn kin_id(row: &Row) -> Option<&str> {
    match row.table {
        Table::Attempt | Table::Body => row.id.rsplit_once('/').map(|(message, _)| message),
        _ => row.parent.as_deref(),
    }
}

/// The tables without an index of ids: the id says which message a row belongs to.
pub(super) fn is_by_kin(table: Table) -> bool {
    matches!(table, Table::Attempt | Table::Body)
}

/// The statements of one table.
pub(super) struct Sql {
    /// Keeps a row: nr, desk, id, state, parent, wake, sum, body, and its kin where the table has that.
    pub(super) put: String,
    /// Gives a row another parent: desk, id, parent.
    pub(super) adopt: String,
    /// Keeps a row that is there and has the same parent: desk, id, state, parent, wake, sum, body; of those that
    /// are found by their kin also that. Only of tables that have one.
    pub(super) renew: Option<String>,
    /// The number of a row: desk, id.
    pub(super) nr: String,
    /// Drops a row: desk, id.
    pub(super) drop: String,
    /// The last number in a range: from, to.
    pub(super) last: String,
    /// How many rows are in a range: from, to.
    pub(super) count: String,
    /// Drops the oldest in a range: from, to, how many.
    pub(super) drop_oldest: String,
    /// Every row in a range: from, to.
    pub(super) load: String,
}

static SQL: LazyLock<Vec<Sql>> = LazyLock::new(|| {
    let mut tables = Table::ALL;
    tables.sort();
    tables.into_iter().map(sql).collect()
});

/// The statements of a table.
pub(super) fn of(table: Table) -> &'static Sql {
    // `tables` above is sorted, so that each table stands at its own place.
    &SQL[table as usize]
}

/// The name of a table in SQL: quoted, as `case` is a word of the language.
pub(super) fn name(table: Table) -> String {
    format!("\"{}\"", table.word())
}

fn sql(table: Table) -> Sql {
    let name = name(table);
    let range = "nr >= ?1 AND nr < ?2";
    let same = "state = excluded.state, wake = excluded.wake, sum = excluded.sum, body = excluded.body";
    let put = match kin_of(table) {
        None => format!(
            "INSERT INTO {name} (nr, desk, id, state, parent, wake, sum, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (desk, id) DO UPDATE SET {same} WHERE parent IS excluded.parent"
        ),
        Some(_) => format!(
            "INSERT INTO {name} (nr, desk, id, state, parent, wake, sum, body, kin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT ({}, id) DO UPDATE SET {same}, parent = excluded.parent, kin = excluded.kin",
            if is_by_kin(table) { "kin" } else { "desk" }
        ),
    };
    let by_kin = "kin IN (coalesce((SELECT m.nr FROM message m WHERE m.desk = ?1 AND m.id = rtrim(rtrim(?2, '0123456789'), '/')), -1), ?1 << 40)";
    Sql {
        put,
        adopt: format!("UPDATE {name} SET parent = ?3 WHERE desk = ?1 AND id = ?2"),
        renew: kin_of(table).map(|_| match is_by_kin(table) {
            true => format!(
                "UPDATE {name} SET state = ?3, parent = ?4, wake = ?5, sum = ?6, body = ?7 \
                 WHERE kin = ?8 AND id = ?2 AND desk = ?1"
            ),
            false => format!(
                "UPDATE {name} SET state = ?3, wake = ?5, sum = ?6, body = ?7 \
                 WHERE desk = ?1 AND id = ?2 AND parent IS ?4"
            ),
        }),
        nr: format!("SELECT nr FROM {name} WHERE desk = ?1 AND id = ?2"),
        drop: match is_by_kin(table) {
            true => format!("DELETE FROM {name} WHERE {by_kin} AND id = ?2 AND desk = ?1"),
            false => format!("DELETE FROM {name} WHERE desk = ?1 AND id = ?2"),
        },
        last: format!("SELECT max(nr) FROM {name} WHERE {range}"),
        count: format!("SELECT count(*) FROM {name} WHERE {range}"),
        drop_oldest: format!(
            "DELETE FROM {name} WHERE nr IN (SELECT nr FROM {name} WHERE {range} ORDER BY nr LIMIT ?3)"
        ),
        load: format!("SELECT id, state, parent, wake, sum, body, nr FROM {name} WHERE {range} ORDER BY nr"),
    }
}

/// The columns that [`read`] takes, in their order.
pub(super) const COLUMNS: &str = "id, state, parent, wake, sum, body, nr";

/// The body as it is bound: JSON as text, so that whoever looks with SQL can read it; other bytes as they are.
pub(super) fn bind_body(table: Table, body: &[u8]) -> ToSqlOutput<'_> {
    let is_text = table != Table::Case && !body.contains(&0) && std::str::from_utf8(body).is_ok();
    ToSqlOutput::Borrowed(if is_text { ValueRef::Text(body) } else { ValueRef::Blob(body) })
}

/// The sum over everything in a row but its number.
pub(super) fn sum(desk: &str, row: &Row, body: &[u8]) -> i64 {
    sum_of(desk, row.table, &row.id, row.state, row.parent.as_deref(), row.wake.map(|w| w.as_millis()), body)
}

fn sum_of(
    desk: &str,
    table: Table,
    id: &str,
    state: Option<&str>,
    parent: Option<&str>,
    wake: Option<i64>,
    body: &[u8],
) -> i64 {
    let text = |text: Option<&str>| text.map_or(1, |text| hash64(text.as_bytes()));
    let mut words = [0_u8; 56];
    let parts = [
        hash64(desk.as_bytes()),
        hash64(table.word().as_bytes()),
        hash64(id.as_bytes()),
        text(state),
        text(parent),
        wake.map_or(1, |wake| hash64(&wake.to_le_bytes())),
        hash64(body),
    ];
    for (place, part) in words.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    i64::from_le_bytes(hash64(&words).to_le_bytes())
}

/// What came of reading a row.
pub(super) enum Read {
    /// As it was written.
    Whole(Stored),
    /// Altered since; its id, as far as that can be read.
    Altered(String),
}

/// Reads a row of [`COLUMNS`] and compares its sum.
pub(super) fn read(desk: &str, table: Table, row: &rusqlite::Row<'_>) -> rusqlite::Result<Read> {
    let bytes = |i: usize| -> rusqlite::Result<Option<&[u8]>> {
        Ok(match row.get_ref(i)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
            _ => None,
        })
    };
    let id = bytes(0)?.unwrap_or_default();
    let parts = (|| {
        let text =
            |bytes: Option<&[u8]>| bytes.map(|b| std::str::from_utf8(b).map(str::to_owned)).transpose().ok();
        let id = std::str::from_utf8(id).ok()?.to_owned();
        let state = text(bytes(1).ok()?)?;
        let parent = text(bytes(2).ok()?)?;
        let wake: Option<i64> = row.get(3).ok()?;
        let kept: i64 = row.get(4).ok()?;
        let body = bytes(5).ok()??;
        let found = sum_of(desk, table, &id, state.as_deref(), parent.as_deref(), wake, body);
        (found == kept).then(|| Stored { table, id, state, parent, body: body.to_vec() })
    })();
    Ok(parts.map_or_else(|| Read::Altered(String::from_utf8_lossy(id).into_owned()), Read::Whole))
}

/// The first text that is greater than every text that begins with `prefix`; `None` where there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Past the gap of the surrogates; UTF-8 orders by scalar value, as SQLite compares bytes.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// An optional text as a value.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_finds_its_own_statements() {
        for table in Table::ALL {
            assert!(of(table).drop.contains(&format!("\"{}\"", table.word())), "{table:?}");
        }
    }

    #[test]
    fn a_prefix_ends_where_it_should() {
        for (prefix, want) in [
            ("", None),
            ("a", Some("b")),
            ("ab", Some("ac")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("\u{d7ff}", Some("\u{e000}")),
            ("售", Some("\u{552f}")),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), want, "{prefix:?}");
        }
    }
}
