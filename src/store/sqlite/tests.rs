//! What only a store in a file has to bear: kills, full disks, damage, a second opener, age.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::super::contract::{batch, desk, loaded, record, row, rows_only};
use super::*;
use crate::core::model::{Row, Table};
use crate::core::time::Instant;

fn plain() -> SqliteOptions {
    SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, plain()).unwrap()
}

/// A large row of case `n`.
fn large(n: u64) -> Row {
    let body: Vec<u8> = (0..50_000_u64).map(|i| (i * 7 + n) as u8).collect();
    row(Table::Case, &format!("c{n}"), &body)
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_it() {
    let (_folder, path) = folder();
    let store = open(&path);
    let error = SqliteStore::open(&path, plain()).unwrap_err();
    let want = format!("{} is in use by another process: process {}", path.display(), std::process::id());
    assert_eq!(error.to_string(), want);
    store.close().await.unwrap();
    assert!(SqliteStore::open(&path, plain()).is_ok(), "after the close it is free");
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = open(&path);
    store.commit(&name, batch(vec![large(1), row(Table::Reject, "r", b"{}")], 1..=5)).await.unwrap();
    drop(store);
    assert!(!open::beside(&path, "-wal").exists(), "an orderly stop leaves one file");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else may read it");
    let store = open(&path);
    assert_eq!(store.commit(&name, Batch::default()).await.unwrap().last_seq, 5);
    store.commit(&name, batch(vec![large(2)], 6..=6)).await.unwrap();
    let read = loaded(&store, &name, &Table::ALL).await;
    assert_eq!(read.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c1", "c2", "r"]);
    assert_eq!(store.verify(&name).await.unwrap().mismatch, None);
}

/// Not a test of its own: the process that the next test kills. It is told the file on its standard input, and writes
/// down the number of each batch that was answered.
#[test]
#[ignore = "it is started, and killed, by another test"]
fn child_that_commits() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if line.trim().is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(line.trim()));
        let name = desk("d");
        let from = store.commit(&name, Batch::default()).await.unwrap().last_seq + 1;
        for n in from..from + 100_000 {
            let rows = vec![
                row(Table::Inbox, &format!("i{n}"), b"{}"),
                row(Table::Meta, "last", b"{}"),
                large(n % 7),
            ];
            store.commit(&name, batch(rows, n..=n)).await.unwrap();
            println!("kept {n}");
        }
    });
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_answered() {
    let (_folder, path) = folder();
    let name = desk("d");
    let mut answered = 0;
    // Each round is killed at another place of its work, the log of the round before still lying there.
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::child_that_commits", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", path.display()).unwrap();
        let until = answered + 1 + round * 13;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // With `--nocapture` the harness may write its own words before ours.
            if let Some((_, n)) = line.unwrap().split_once("kept ") {
                answered = n.parse().unwrap();
                if answered >= until {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(answered >= until, "the child ended by itself");
    }
    let store = open(&path);
    let last = store.commit(&name, Batch::default()).await.unwrap().last_seq;
    assert!(last >= answered, "{answered} were answered, {last} are there");
    let rows = loaded(&store, &name, &[Table::Inbox]).await;
    let want: Vec<String> = (1..=last).map(|n| format!("i{n}")).collect();
    assert_eq!(rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), want, "whole batches");
    let verified = store.verify(&name).await.unwrap();
    assert_eq!((verified.records, verified.mismatch), (last, None));
    drop(store);
    assert!(check(&path).unwrap().is_fine());
}

/// A small file system of its own, where that can be had.
struct Small(TempDir);

impl Small {
    fn mount(size: &str) -> Option<Small> {
        let folder = tempfile::tempdir().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success()).then_some(Small(folder))
    }

    fn read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// Commits large rows until one is refused; answers how many were kept.
async fn fill(store: &SqliteStore, name: &Arc<str>, from: u64) -> u64 {
    for n in from..from + 10_000 {
        match store.commit(name, batch(vec![large(n)], n..=n)).await {
            Ok(_) => {}
            Err(StoreError::Refused { .. }) => return n - 1,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk is larger than it should be");
}

async fn holds(store: &SqliteStore, name: &Arc<str>, last: u64) {
    let read = loaded(store, name, &[Table::Case]).await;
    let ids: Vec<String> = read.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids, (1..=last).map(|n| format!("c{n}")).collect::<Vec<_>>());
    assert_eq!(store.verify(name).await.unwrap().mismatch, None);
    assert_eq!(store.commit(name, Batch::default()).await.unwrap().last_seq, last);
}

#[tokio::test]
async fn a_full_disk_refuses_and_keeps_what_was_there() {
    let name = desk("d");
    let Some(small) = Small::mount("6m") else {
        // Without the right to mount, the file itself is bounded: the same error of SQLite.
        let (_folder, path) = folder();
        let store = SqliteStore::open(&path, SqliteOptions { max_pages: Some(300), ..plain() }).unwrap();
        let last = fill(&store, &name, 1).await;
        assert!(last > 10);
        return holds(&store, &name, last).await;
    };
    let path = small.0.path().join("a.db");
    let options = SqliteOptions { ballast_bytes: 600_000, ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).unwrap();
    let last = fill(&store, &name, 1).await;
    assert!(last > 10, "{last}");
    holds(&store, &name, last).await;
    assert!(store.health().free_bytes.unwrap() < 1 << 20);
    // The ballast is given up once; then there is room for what must be written down.
    assert!(store.release_ballast().await.unwrap());
    store
        .commit(&name, batch(vec![row(Table::Case, &format!("c{}", last + 1), b"1")], last + 1..=last + 1))
        .await
        .unwrap();
    let last = fill(&store, &name, last + 2).await;
    assert!(!store.release_ballast().await.unwrap());
    holds(&store, &name, last).await;
    // A start on a full disk: what is kept can be read, or the start is refused; nothing is lost by it.
    drop(store);
    match SqliteStore::open(&path, options) {
        Ok(store) => holds(&store, &name, last).await,
        Err(error) => assert!(matches!(error, StoreError::Refused { .. }), "{error}"),
    }
}

#[tokio::test]
async fn a_bounded_file_refuses_and_recovers_when_rows_go() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = SqliteStore::open(&path, SqliteOptions { max_pages: Some(300), ..plain() }).unwrap();
    let last = fill(&store, &name, 1).await;
    // One commit of many batches is refused whole, and what waits behind it of the same desk with it.
    let refused: Vec<_> =
        (1..=20).map(|i| store.commit(&name, batch(vec![large(last + i)], last + i..=last + i))).collect();
    for (i, answer) in refused.into_iter().enumerate() {
        // One that was called after the refusal leaves a gap.
        let error = answer.await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }) || i > 0, "{i}: {error}");
    }
    holds(&store, &name, last).await;
    let drops = (1..=last).map(|n| Row { body: None, ..row(Table::Case, &format!("c{n}"), b"") }).collect();
    store.commit(&name, batch(drops, last + 1..=last + 1)).await.unwrap();
    store.commit(&name, batch(vec![large(1)], last + 2..=last + 2)).await.unwrap();
    assert_eq!(loaded(&store, &name, &[Table::Case]).await.len(), 1);
}

#[tokio::test]
async fn a_read_only_store_refuses() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = open(&path);
    store.commit(&name, batch(vec![], 1..=1)).await.unwrap();
    let only = |on: bool| {
        store.on_writer(move |writer| {
            writer.conn.pragma_update(None, "query_only", on).unwrap();
            Ok(())
        })
    };
    only(true).await.unwrap();
    let error = store.commit(&name, batch(vec![], 2..=2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    assert!(matches!(store.probe().await, Err(StoreError::Refused { .. })));
    assert_eq!(store.audit(&name, AuditQuery::default()).await.unwrap().len(), 1, "it is still read");
    only(false).await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(store.commit(&name, batch(vec![], 2..=2)).await.unwrap().last_seq, 2);
    drop(store);
    // The same for one that cannot be opened for writing at all.
    let error = match Small::mount("1m") {
        Some(small) => {
            let copy = small.0.path().join("a.db");
            std::fs::copy(&path, &copy).unwrap();
            small.read_only();
            SqliteStore::open(&copy, plain()).unwrap_err()
        }
        None if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0 => {
            panic!("neither a mount nor permissions bind this user")
        }
        None => {
            let parent = path.parent().unwrap();
            let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(parent, mode(0o500)).unwrap();
            std::fs::remove_file(lock::lock_path(&path)).unwrap_err();
            std::fs::set_permissions(&path, mode(0o400)).unwrap();
            let error = SqliteStore::open(&path, plain()).unwrap_err();
            std::fs::set_permissions(parent, mode(0o700)).unwrap();
            error
        }
    };
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_schema_and_a_foreign_file_are_refused() {
    let (_folder, path) = folder();
    drop(open(&path));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = SqliteStore::open(&path, plain()).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 99, known, .. } if known == migrate::known()),
        "{error}"
    );
    assert!(error.to_string().contains("has schema 99, this program knows up to"), "{error}");
    assert!(matches!(check(&path), Err(StoreError::Newer { .. })));

    let (_folder, path) = folder();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    let error = SqliteStore::open(&path, plain()).unwrap_err();
    assert!(error.to_string().contains("a database of another program"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_begun_anew() {
    let (_folder, path) = folder();
    drop(open(&path));
    std::fs::remove_file(&path).unwrap();
    let error = SqliteStore::open(&path, plain()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(!path.exists());
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(SqliteStore::open(&path, plain()), Err(StoreError::Damaged { .. })));
    std::fs::remove_file(lock::lock_path(&path)).unwrap();
    drop(open(&path));
}

/// A store of a few dozen pages, closed in good order; its rows and its audit.
async fn sample(path: &Path) -> (Vec<Stored>, Vec<KeptAudit>) {
    let name = desk("d");
    let store = open(path);
    for n in 1..=60_u64 {
        let body = json!({"n": n, "pad": "售后".repeat(n as usize * 3)}).to_string();
        let rows = vec![
            row(Table::Meta, &format!("m{n}"), body.as_bytes()),
            row(Table::Case, &format!("c{n}"), &[n as u8; 400]),
        ];
        store.commit(&name, batch(rows, n..=n)).await.unwrap();
    }
    let read = loaded(&store, &name, &Table::ALL).await;
    let audit = store.audit(&name, AuditQuery::default()).await.unwrap();
    store.close().await.unwrap();
    (read, audit)
}

#[tokio::test]
async fn whatever_bit_flips_nothing_false_is_read() {
    let (folder, path) = folder();
    let name = desk("d");
    let (rows, audit) = sample(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let (mut refused, mut left_out, mut unchanged) = (0, 0, 0);
    let mut state = 7_u64;
    for round in 0..250 {
        let mut bytes = whole.clone();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A third of the flips hit the first page, where the schema is.
        let range = if round % 3 == 0 { 4096 } else { bytes.len() };
        let at = (state >> 20) as usize % range;
        bytes[at] ^= 1 << (state >> 60 & 7);
        let path = folder.path().join(format!("flip{round}.db"));
        std::fs::write(&path, &bytes).unwrap();
        let store = match SqliteStore::open(&path, plain()) {
            Ok(store) => store,
            Err(error) => {
                assert!(
                    !matches!(error, StoreError::Locked { .. } | StoreError::Flush { .. }),
                    "{at}: {error}"
                );
                refused += 1;
                continue;
            }
        };
        let found = Arc::new(Mutex::new(Vec::new()));
        let into = found.clone();
        let done = store.load(&name, &Table::ALL, Box::new(move |row| into.lock().unwrap().push(row))).await;
        let found = std::mem::take(&mut *found.lock().unwrap());
        for row in &found {
            assert!(rows.contains(row), "byte {at}: {row:?}");
        }
        let heard = store.audit(&name, AuditQuery::default()).await;
        for kept in heard.iter().flatten() {
            assert!(audit.contains(kept), "byte {at}: {kept:?}");
        }
        drop(store);
        let complete =
            done.is_ok() && found.len() == rows.len() && heard.is_ok_and(|heard| heard.len() == audit.len());
        if complete {
            unchanged += 1;
        } else {
            left_out += 1;
            // What is missing is noticed by whoever looks.
            assert!(!check(&path).is_ok_and(|checked| checked.is_fine()), "byte {at}");
        }
    }
    assert!(refused > 0 && left_out > 0 && unchanged > 0, "{refused} {left_out} {unchanged}");
}

#[tokio::test]
async fn a_torn_file_is_damaged_and_the_newest_backup_takes_its_place() {
    let (folder, path) = folder();
    let name = desk("d");
    let backups_at = folder.path().join("backups");
    let to = BackupTo::Folder { folder: backups_at.clone(), keep: 2 };
    let at = |hour: i64| Instant::from_secs(1_772_416_800 + hour * 3600);
    let (rows, _) = sample(&path).await;
    backup(&path, &to, at(1)).unwrap();
    let store = open(&path);
    // The newest one is made beside the running store, in the middle of its work.
    let waiting = store.commit(&name, batch(vec![large(1001)], 61..=61));
    let newest = backup(&path, &to, at(2)).unwrap();
    waiting.await.unwrap();
    store.commit(&name, batch(vec![large(1002)], 62..=62)).await.unwrap();
    store.close().await.unwrap();
    assert!(store.commit(&name, Batch::default()).await.is_err());

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = SqliteStore::open(&path, plain()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

    // A backup that is itself damaged is passed over.
    let bad = backups_at.join("shiftbell-20260302T090000.000Z.db");
    std::fs::write(&bad, &whole[..whole.len() / 2]).unwrap();
    let restored = restore_newest(&path, &backups_at, at(9)).unwrap();
    assert_eq!((&restored.from, &restored.passed_over), (&newest, &vec![bad]));
    assert_eq!(std::fs::metadata(restored.aside.unwrap()).unwrap().len() as usize, whole.len() / 2);
    let store = open(&path);
    assert_eq!(store.restored().as_deref(), Some("shiftbell-20260302T040000.000Z.db"));
    let read = loaded(&store, &name, &Table::ALL).await;
    assert!(rows.iter().all(|row| read.contains(row)));
    assert_eq!(store.verify(&name).await.unwrap().mismatch, None);
    store.forget_restored().await.unwrap();
    drop(store);
    assert_eq!(open(&path).restored(), None);

    // Without a good backup nothing is touched.
    let before = std::fs::read(&path).unwrap();
    let error = restore_newest(&path, &folder.path().join("nowhere"), at(9)).unwrap_err();
    assert!(error.to_string().contains("there is no good backup"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn backups_are_kept_by_number_and_with_their_key() {
    let (folder, path) = folder();
    sample(&path).await;
    std::fs::write(folder.path().join("installation.key"), [7; 32]).unwrap();
    let to = BackupTo::Folder { folder: folder.path().join("b"), keep: 3 };
    let made: Vec<PathBuf> =
        (0..5).map(|n| backup(&path, &to, Instant::from_secs(n * 60)).unwrap()).collect();
    let mut want = made[2..].to_vec();
    want.reverse();
    assert_eq!(backups(&folder.path().join("b")).unwrap(), want);
    for file in want {
        assert!(check(&file).unwrap().is_fine());
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("b")).unwrap().count(),
        6,
        "each has its key; nothing half is left"
    );
    // A machine that has lost everything gets both back.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let path = elsewhere.join("a.db");
    let restored = restore_newest(&path, &folder.path().join("b"), Instant::from_secs(0)).unwrap();
    assert_eq!((restored.from, restored.aside), (made[4].clone(), None));
    assert_eq!(std::fs::read(elsewhere.join("installation.key")).unwrap(), [7; 32]);
    let store = open(&path);
    assert_eq!(store.verify(&desk("d")).await.unwrap().records, 60);
    let made = store.backup(&elsewhere.join("c"), 1, Instant::from_secs(0)).await.unwrap().unwrap();
    assert_eq!(verify_at(&made, "d").unwrap(), store.verify(&desk("d")).await.unwrap());
}

#[tokio::test]
async fn whoever_alters_the_audit_is_found() {
    let name = desk("d");
    for (what, sql, want) in [
        (
            "a body",
            "UPDATE audit SET body = replace(body, 'R2', 'R8') WHERE seq = 30",
            "audit record 30 was altered",
        ),
        ("a digest", "UPDATE audit SET digest = zeroblob(32) WHERE seq = 30", "audit record 30 was altered"),
        ("a time", "UPDATE audit SET at = at + 1 WHERE seq = 30", "the columns of audit record 30 differ"),
        ("a hole", "DELETE FROM audit WHERE seq = 30", "audit record 31 leaves a gap, expected 30"),
        ("the first", "DELETE FROM audit WHERE seq = 1", "audit record 2 leaves a gap, expected 1"),
        (
            "an exchange",
            "UPDATE audit SET body = (SELECT body FROM audit WHERE seq = 31) WHERE seq = 30",
            "record 30 was altered",
        ),
        ("a row", "UPDATE meta SET body = body || ' ' WHERE id = 'm7'", "the row m7 of meta was altered"),
        ("a state", "UPDATE meta SET state = 'open' WHERE id = 'm7'", "the row m7 of meta was altered"),
    ] {
        let (_folder, path) = folder();
        sample(&path).await;
        let conn = rusqlite::Connection::open(&path).unwrap();
        for sql in ["UPDATE audit SET at = 0", "DELETE FROM audit WHERE seq = 1"] {
            assert!(conn.execute(sql, []).is_err(), "it is append-only: {sql}");
        }
        conn.execute_batch("DROP TRIGGER audit_is_kept; DROP TRIGGER audit_is_sealed;").unwrap();
        assert!(conn.execute(sql, []).unwrap() > 0, "{what}");
        drop(conn);
        let verified = open(&path).verify(&name).await.unwrap();
        assert!(verified.mismatch.as_deref().is_some_and(|m| m.contains(want)), "{what}: {verified:?}");
    }
}

#[tokio::test]
async fn an_altered_row_is_left_out_and_counted() {
    let (_folder, path) = folder();
    let name = desk("d");
    sample(&path).await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE meta SET body = '{}' WHERE id = 'm7'", []).unwrap();
    drop(conn);
    let store = open(&path);
    let read = loaded(&store, &name, &[Table::Meta]).await;
    assert_eq!(read.len(), 59);
    assert!(read.iter().all(|row| row.id != "m7"));
    assert_eq!(store.health().altered_rows, 1);
}

#[tokio::test]
async fn after_a_failed_flush_nothing_is_written_any_more() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = open(&path);
    store.commit(&name, batch(vec![], 1..=1)).await.unwrap();
    let failed = StoreError::Flush { place: "a.db".into(), reason: "disk I/O error".into() };
    let break_it = |writer: &mut Writer| {
        writer.broken = Some(failed);
        Ok(())
    };
    store.on_writer(break_it).await.unwrap();
    assert!(matches!(store.commit(&name, batch(vec![], 2..=2)).await, Err(StoreError::Flush { .. })));
    assert!(matches!(store.probe().await, Err(StoreError::Flush { .. })));
    assert!(matches!(store.commit(&name, Batch::default()).await, Err(StoreError::Flush { .. })));
    drop(store);
    // The next start reads the medium only, and checks it, as the stop was not in good order.
    let conn = open::open_to_look(&path).unwrap();
    assert_eq!(open::value::<i64>(&conn, key::CLEAN).unwrap(), Some(0));
    assert_eq!(open(&path).commit(&name, Batch::default()).await.unwrap().last_seq, 1);
}

#[tokio::test]
async fn a_full_line_refuses_at_once_and_keeps_what_stands_in_it() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = SqliteStore::open(&path, SqliteOptions { queue_batches: 4, ..plain() }).unwrap();
    // The writer hangs, as on a medium that does not answer.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (hangs, hanging) = oneshot::channel();
    let stuck = store.on_writer(move |_| {
        hangs.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    });
    let work = async {
        hanging.await.unwrap();
        let four: Vec<_> = (1..=4).map(|n| store.commit(&name, batch(vec![], n..=n))).collect();
        let error = store.commit(&name, batch(vec![], 5..=5)).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        assert!(error.to_string().ends_with("4 batches or 64MiB wait for the medium already"), "{error}");
        assert_eq!(store.audit(&name, AuditQuery::default()).await.unwrap(), [], "reading goes on");
        go.send(()).unwrap();
        for task in four {
            task.await.unwrap();
        }
        store.commit(&name, batch(vec![], 5..=5)).await.unwrap();
    };
    tokio::join!(stuck, work).0.unwrap();
}

#[tokio::test]
async fn a_defect_of_one_question_does_not_end_the_reader() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = SqliteStore::open(&path, SqliteOptions { readers: 1, ..plain() }).unwrap();
    store.commit(&name, batch(vec![large(1)], 1..=1)).await.unwrap();
    let error = store.load(&name, &Table::ALL, Box::new(|_| panic!("a defect"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Other { .. }), "{error}");
    assert_eq!(loaded(&store, &name, &Table::ALL).await.len(), 1);
    // The same for the writer.
    let defect = store.on_writer(|_| -> Result<(), StoreError> { panic!("a defect") }).await;
    assert!(defect.is_err());
    store.commit(&name, batch(vec![large(2)], 2..=2)).await.unwrap();
    assert_eq!(loaded(&store, &name, &Table::ALL).await.len(), 2);
}

#[tokio::test]
async fn questions_go_by_an_index() {
    let (_folder, path) = folder();
    drop(open(&path));
    let conn = open::open_to_look(&path).unwrap();
    let plan = |(sql, values): (String, Vec<rusqlite::types::Value>)| -> String {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps =
            explain.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    };
    let text = |text: &str| Some(text.to_owned());
    let by = |table, id_prefix, state, parent| RowQuery { table, id_prefix, state, parent, limit: 9 };
    for (query, want) in [
        (by(Table::Notice, None, None, text("p")), "INDEX notice_kin (kin=?)"),
        (by(Table::Message, None, None, text("p")), "INDEX message_kin (kin=?)"),
        (by(Table::Decision, None, None, text("p")), "INDEX decision_kin (kin=?)"),
        (by(Table::Attempt, None, None, text("p")), "INDEX sqlite_autoindex_attempt_1 (kin=?)"),
        (by(Table::Body, None, None, text("p")), "INDEX sqlite_autoindex_body_1 (kin=?)"),
        (by(Table::Case, text("a"), None, None), "(desk=? AND id>? AND id<?)"),
    ] {
        let found = plan(reader::rows_sql(1, &query));
        assert!(found.contains(want) && !found.contains("SCAN"), "{query:?}: {found}");
    }
    let about = |incident, message| AuditQuery { incident, message, ..AuditQuery::default() };
    for (query, want) in [
        (about(text("i"), None), "o USING PRIMARY KEY (desk=? AND about=? AND seq>?)"),
        (about(None, text("m")), "o USING PRIMARY KEY (desk=? AND about=? AND seq>?)"),
        (about(None, None), "PRIMARY KEY (desk=? AND seq>?)"),
    ] {
        let found = plan(reader::audit_sql(1, &query));
        assert!(found.contains(want) && !found.contains("SCAN"), "{query:?}: {found}");
    }
}

mod rest;
mod upgrade;
