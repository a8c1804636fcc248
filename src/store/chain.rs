//! The audit chain (`delivery_semantics` §13): each record carries the digest over itself and the one before it, so
//! that a change, a gap or a repeat shows.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::core::ids::hex;
use crate::core::model::AuditRecord;

/// A digest of the chain.
pub type Digest = [u8; 32];

/// What a chain hangs on before its first record: a digest of the desk's name, so that no record of one desk fits into
/// the chain of another.
pub fn genesis(desk: &str) -> Digest {
    let mut sha = Sha256::new();
    sha.update(b"shiftbell audit\0");
    sha.update(desk.as_bytes());
    sha.finalize().into()
}

/// The digest of a record: over the digest before it and its canonical bytes.
pub fn link(before: &Digest, body: &[u8]) -> Digest {
    let mut sha = Sha256::new();
    sha.update(before);
    sha.update(body);
    sha.finalize().into()
}

/// The canonical JSON of a record: fields in the order of the type, nothing that is absent, keys of the detail sorted.
///
/// # Errors
/// The detail cannot be written as JSON.
pub fn canonical(record: &AuditRecord) -> Result<String, serde_json::Error> {
    match &record.detail {
        None => serde_json::to_string(record),
        Some(detail) if is_sorted(detail) => serde_json::to_string(record),
        Some(detail) => {
            let mut sorted = record.clone();
            sorted.detail = Some(sort(detail));
            serde_json::to_string(&sorted)
        }
    }
}

/// Whether the keys of every object are sorted already.
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().all(is_sorted),
        Value::Object(map) => map.keys().is_sorted() && map.values().all(is_sorted),
        _ => true,
    }
}

/// The value with the keys of every object sorted, whatever order the map type keeps.
fn sort(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(sort).collect()),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sort(&map[key]))).collect())
        }
        plain => plain.clone(),
    }
}

/// The end of a chain: where the next record is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last record; 0 before the first.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Head {
    /// The end of a chain without records.
    pub fn new(desk: &str) -> Head {
        Head { seq: 0, digest: genesis(desk) }
    }

    /// Links a record: answers with its canonical bytes and moves the end on.
    ///
    /// # Errors
    /// Its number is not the next one, or it cannot be written; the end has not moved.
    pub fn append(&mut self, record: &AuditRecord) -> Result<(String, Digest), String> {
        self.follows(record.seq)?;
        let body = canonical(record)
            .map_err(|e| format!("audit record {} cannot be written as JSON: {e}", record.seq))?;
        *self = Head { seq: record.seq, digest: link(&self.digest, body.as_bytes()) };
        Ok((body, self.digest))
    }

    /// Whether `seq` is the next number.
    ///
    /// # Errors
    /// It leaves a gap or was there before.
    pub fn follows(&self, seq: u64) -> Result<(), String> {
        let next = self.seq.saturating_add(1);
        if seq == next {
            return Ok(());
        }
        let what = if seq < next { "was there before" } else { "leaves a gap" };
        Err(format!("audit record {seq} {what}, expected {next}"))
    }

    /// Walks over a kept record, and moves on.
    ///
    /// # Errors
    /// What does not fit, in words. The walk is over then.
    pub fn walk(&mut self, seq: u64, body: &[u8], digest: &[u8]) -> Result<(), String> {
        self.follows(seq)?;
        let expected = link(&self.digest, body);
        if digest != expected {
            return Err(format!(
                "audit record {seq} was altered: its digest is {}, expected {}",
                hex(digest),
                hex(&expected)
            ));
        }
        *self = Head { seq, digest: expected };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Instant;

    fn record(seq: u64, detail: Option<Value>) -> AuditRecord {
        AuditRecord {
            seq,
            at: Instant::from_secs(1_772_416_800),
            actor: "system".into(),
            kind: "incident.R2".into(),
            incident: Some("5C8R".into()),
            notice: None,
            message: None,
            cause: None,
            change: Some("– → open L1".into()),
            detail,
        }
    }

    #[test]
    fn a_record_is_written_the_same_whatever_the_order_of_its_detail() {
        let a: Value = serde_json::from_str(r#"{"b":{"y":1,"x":[{"q":1,"p":2}]},"a":null}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":null,"b":{"x":[{"p":2,"q":1}],"y":1}}"#).unwrap();
        let text = canonical(&record(1, Some(a))).unwrap();
        assert_eq!(text, canonical(&record(1, Some(b))).unwrap());
        assert_eq!(
            text,
            r#"{"seq":1,"at":"2026-03-02T02:00:00Z","actor":"system","kind":"incident.R2","incident":"5C8R","change":"– → open L1","detail":{"a":null,"b":{"x":[{"p":2,"q":1}],"y":1}}}"#
        );
    }

    #[test]
    fn numbers_follow_without_gap_or_repeat() {
        let mut head = Head::new("desk");
        assert!(head.append(&record(2, None)).unwrap_err().contains("leaves a gap, expected 1"));
        head.append(&record(1, None)).unwrap();
        assert!(head.append(&record(1, None)).unwrap_err().contains("was there before, expected 2"));
        head.append(&record(2, None)).unwrap();
        assert_eq!(head.seq, 2);
    }

    #[test]
    fn a_walk_finds_what_was_altered() {
        let mut head = Head::new("desk");
        let kept: Vec<(String, Digest)> = (1..=3).map(|n| head.append(&record(n, None)).unwrap()).collect();
        let walk = |kept: &[(String, Digest)], desk: &str| {
            let mut head = Head::new(desk);
            kept.iter().zip(1..).try_for_each(|((body, digest), n)| head.walk(n, body.as_bytes(), digest))
        };
        assert_eq!(walk(&kept, "desk"), Ok(()));
        assert!(walk(&kept, "other").unwrap_err().contains("record 1 was altered"));
        let mut body = kept.clone();
        body[1].0 = body[1].0.replace("system", "nobody");
        assert!(walk(&body, "desk").unwrap_err().contains("record 2 was altered"));
        // Whoever makes the digest fit as well breaks the next link.
        body[1].1 = link(&body[0].1, body[1].0.as_bytes());
        assert!(walk(&body, "desk").unwrap_err().contains("record 3 was altered"));
    }
}
