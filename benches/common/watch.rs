//! When incidents appear in the store: a reader beside the program, that looks every few milliseconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::live::now_ms;

/// A reader at work.
pub struct Watch {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<BTreeMap<u64, i64>>,
}

impl Watch {
    /// Notes every incident of a ticket that is committed from now on.
    pub fn begin(store: &Path) -> Watch {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(store, flags).expect("the store");
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let reader = std::thread::spawn(move || {
            let (mut seen, mut last) = (BTreeMap::new(), 0_i64);
            while !asked.load(Ordering::Relaxed) {
                let mut rows = db
                    .prepare_cached(
                        "SELECT nr, body ->> '$.subject.id' FROM incident WHERE nr > ?1 ORDER BY nr",
                    )
                    .expect("the table is there");
                let found = rows.query_map([last], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)));
                let found: Vec<(i64, Option<String>)> = found.expect("it can be read").flatten().collect();
                let now = now_ms();
                for (nr, ticket) in found {
                    last = nr;
                    let number = ticket.and_then(|t| t.trim_start_matches('T').parse().ok());
                    if let Some(number) = number {
                        seen.entry(number).or_insert(now);
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Watch { stop, reader }
    }

    /// What was seen: by ticket, when, in ms since 1970.
    pub fn end(self) -> BTreeMap<u64, i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("no panic")
    }
}
