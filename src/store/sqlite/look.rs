//! A store that is only read, beside a running daemon or without one: many questions, one instant, one connection.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rusqlite::{Connection, params};

use crate::core::model::Table;

use super::super::{RowQuery, StoreError, Stored};
use super::open;
use super::reader::{self, ReadError};
use super::rows::{self, Read};
use super::writer::desk_no;

/// A store as it was when it was first asked something. Whoever writes is not held up; dropped soon, nothing grows.
#[derive(Debug)]
pub struct Look {
    conn: Connection,
    path: PathBuf,
    altered: AtomicU64,
}

impl Look {
    /// Looks at the store at `path`.
    ///
    /// # Errors
    /// It cannot be opened or read, or holds no store.
    pub fn open(path: &Path) -> Result<Look, StoreError> {
        let conn = open::open_to_look(path)?;
        conn.execute_batch("BEGIN DEFERRED").map_err(|e| ReadError::from(e).at(path))?;
        Ok(Look { conn, path: path.to_owned(), altered: AtomicU64::new(0) })
    }

    /// Some rows, in the order of ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rows(&mut self, desk: &str, query: &RowQuery) -> Result<Vec<Stored>, StoreError> {
        reader::rows(&mut self.conn, &self.path, desk, query, &self.altered).map_err(|e| e.at(&self.path))
    }

    /// The row of this id, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn row(&mut self, desk: &str, table: Table, id: &str) -> Result<Option<Stored>, StoreError> {
        // Of all ids that begin so the id itself comes first.
        let query = RowQuery { table, id_prefix: Some(id.to_owned()), state: None, parent: None, limit: 1 };
        Ok(self.rows(desk, &query)?.into_iter().find(|row| row.id == id))
    }

    /// Hands every row of a table to `each`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn each(&mut self, desk: &str, table: Table, mut each: impl FnMut(Stored)) -> Result<(), StoreError> {
        let mut read = || -> Result<(), ReadError> {
            let Some(no) = desk_no(&self.conn, desk)? else { return Ok(()) };
            let mut statement = self.conn.prepare_cached(&rows::of(table).load)?;
            let mut found = statement.query(params![rows::first_nr(no), rows::first_nr(no + 1)])?;
            while let Some(row) = found.next()? {
                match rows::read(desk, table, row)? {
                    Read::Whole(stored) => each(stored),
                    Read::Altered(id) => reader::leave_out(&self.path, table, &id, &self.altered),
                }
            }
            Ok(())
        };
        read().map_err(|e| e.at(&self.path))
    }
}
