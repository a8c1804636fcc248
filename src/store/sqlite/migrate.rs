//! The schema by numbers: each file of `migrations/` once, in one transaction (W17).

use rusqlite::Connection;

use crate::fail::fail_point;

/// What marks a file as ours: the letters `SBEL`.
pub(super) const APPLICATION_ID: i32 = 0x5342_454c;

/// The schema files, the first is version 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_begin.sql"),
    include_str!("migrations/0002_nearby.sql"),
    include_str!("migrations/0003_bodies.sql"),
    include_str!("migrations/0004_learned.sql"),
];

/// The newest schema that this program knows.
pub(super) fn known() -> u32 {
    MIGRATIONS.len() as u32
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Empty,
    /// A store of this schema.
    Schema(u32),
    /// Another program's database.
    Foreign,
}

/// Looks at what the file holds.
pub(super) fn find(conn: &Connection) -> rusqlite::Result<Found> {
    let id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (id, version, tables) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION_ID, 1.., _) => Found::Schema(version),
        _ => Found::Foreign,
    })
}

/// Brings the schema from version `from` up to [`known`], one transaction a step.
pub(super) fn migrate(conn: &mut Connection, from: u32) -> rusqlite::Result<()> {
    migrate_by(conn, from, MIGRATIONS)
}

fn migrate_by(conn: &mut Connection, from: u32, migrations: &[&str]) -> rusqlite::Result<()> {
    for (version, sql) in (1..).zip(migrations).skip(from as usize) {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute_batch(sql)?;
        fail_point("schema_begun");
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_whole_or_not_at_all() {
        let mut conn = Connection::open_in_memory().unwrap();
        assert_eq!(find(&conn).unwrap(), Found::Empty);
        migrate(&mut conn, 0).unwrap();
        assert_eq!(find(&conn).unwrap(), Found::Schema(known()));
        // The next version breaks halfway: neither its table nor its number is there.
        let mut steps = MIGRATIONS.to_vec();
        steps.push("CREATE TABLE later (a); CREATE TABLE desk (a);");
        migrate_by(&mut conn, known(), &steps).unwrap_err();
        assert_eq!(find(&conn).unwrap(), Found::Schema(known()));
        assert!(!conn.table_exists(None, "later").unwrap());
        // And when it does not, only what is new is run.
        steps.pop();
        steps.push("CREATE TABLE later (a);");
        migrate_by(&mut conn, known(), &steps).unwrap();
        assert_eq!(find(&conn).unwrap(), Found::Schema(known() + 1));
        assert!(conn.table_exists(None, "later").unwrap());
    }

    #[test]
    fn another_programs_file_is_seen() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE a (b)").unwrap();
        assert_eq!(find(&conn).unwrap(), Found::Foreign);
    }
}
