//! What a store takes: the same for every store.

use crate::core::model::Batch;

use super::chain::Head;

/// The longest id, in bytes.
pub const ID_BYTES: usize = 1000;

/// The longest body, in bytes.
pub const BODY_BYTES: usize = 256 << 20;

/// What is wrong with a batch whose desk's chain ends at `head`, before anything of it is written.
pub(super) fn wrong(batch: &Batch, head: Head) -> Option<String> {
    for row in &batch.rows {
        let table = row.table.word();
        let length = row.id.len();
        if length == 0 || length > ID_BYTES {
            return Some(format!("a row of {table} has an id of {length} bytes, expected 1 to {ID_BYTES}"));
        }
        let length = row.body.as_ref().map_or(0, Vec::len);
        if length > BODY_BYTES {
            return Some(format!("a row of {table} has {length} bytes, expected at most {BODY_BYTES}"));
        }
    }
    let mut seq = head.seq;
    for record in &batch.audit {
        if let Err(reason) = (Head { seq, ..head }).follows(record.seq) {
            return Some(reason);
        }
        seq = record.seq;
    }
    None
}
