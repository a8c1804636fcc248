//! A store at rest: what must hold of it, and what may go from it.

use serde_json::Value;

use super::super::super::Keep;
use super::*;

/// A row of JSON with the state and parent that it says itself.
fn kept(table: Table, state: &'static str, parent: Option<&str>, body: Value) -> Row {
    let id = body["id"].as_str().unwrap().to_owned();
    let body = Some(body.to_string().into_bytes());
    Row { table, id, state: Some(state), parent: parent.map(str::to_owned), wake: None, body }
}

fn incident(id: &str, status: &'static str, level: u8, more: Value) -> Row {
    let mut body = json!({
        "id": id, "family": "ticket.reply", "generation": "g", "status": status, "level": level, "episode": 1,
        "subject": {"kind": "ticket", "source": "s", "id": "t"}, "opened_at": "2026-03-02T02:00:00Z",
        "silenced": null, "folded": null, "storm": null,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    kept(Table::Incident, status, None, body)
}

fn notice(id: &str, of: &str, state: &'static str, level: u8, more: Value) -> Row {
    let mut body = json!({
        "id": id, "incident": of, "episode": 1, "level": level, "state": state, "cause": null,
        "planned_at": "2026-03-02T02:00:00Z", "waves": [[{"person": "lin", "lane": {"channel": "sms", "address": "A"}}]],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    kept(Table::Notice, state, Some(of), body)
}

fn message(id: &str, of: &[&str], state: &'static str, cause: Option<&str>) -> Row {
    let body = json!({"id": id, "notices": of, "state": state, "cause": cause, "planned_at": "2026-03-02T02:00:00Z"});
    kept(Table::Message, state, Some(of[0]), body)
}

/// Audit records of (kind, incident, notice, message, change).
type Told = (&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>, &'static str);

fn tell(batch: &mut Batch, from: u64, told: &[Told]) {
    for (seq, (kind, incident, notice, message, change)) in (from..).zip(told) {
        let text = |text: &Option<&str>| text.map(str::to_owned);
        batch.audit.push(crate::core::model::AuditRecord {
            kind: (*kind).to_owned(),
            incident: text(incident),
            notice: text(notice),
            message: text(message),
            change: Some((*change).to_owned()),
            ..record(seq)
        });
    }
}

/// What the store holds, what the audit tells, and what is found against it.
type Example = (&'static str, Vec<Row>, Vec<Told>, Option<&'static str>);

const PLANNED: Told = ("notice.planned", Some("I1"), Some("N1"), None, "level p1 L1");
const SETTLED: Told = ("notice.settled", Some("I1"), Some("N1"), None, "open → delivered p1");
const DEAD: Told = ("notice.settled", Some("I1"), Some("N1"), None, "open → dead p1");
const ENDED: Told = ("message.ended", Some("I1"), Some("N1"), Some("M1"), "accepted → delivered p1");

#[tokio::test]
async fn what_must_hold_of_a_store_at_rest_is_looked_for() {
    let none = || json!({});
    let open1 = || incident("I1", "open", 1, none());
    let planned = || notice("N1", "I1", "open", 1, none());
    let dead = || notice("N1", "I1", "dead", 1, json!({"cause": "failed"}));
    let letter = || incident("D1", "open", 2, json!({"family": "delivery.dead", "generation": "N1"}));
    let other_lane = json!([[{"person": "an", "lane": {"channel": "sms", "address": "B"}}]]);
    let cases: Vec<Example> = vec![
        ("nothing", vec![], vec![], None),
        ("a level with its notice", vec![open1(), planned()], vec![PLANNED], None),
        (
            "a level without one",
            vec![open1()],
            vec![],
            Some("I1: incident I1 is open at level 1 and nobody was told"),
        ),
        (
            "a level above its notice",
            vec![incident("I1", "acked", 2, none()), planned()],
            vec![PLANNED],
            Some("I1: incident I1 is acked at level 2"),
        ),
        (
            "a notice of an older episode",
            vec![incident("I1", "open", 1, json!({"episode": 2})), planned()],
            vec![PLANNED],
            Some("I1: incident I1"),
        ),
        ("a pre-warning", vec![incident("I1", "open", 0, none())], vec![], None),
        ("one that is over", vec![incident("I1", "resolved", 3, none())], vec![], None),
        ("a silenced one", vec![incident("I1", "open", 1, json!({"silenced": "S1"}))], vec![], None),
        (
            "one that nobody could be told",
            vec![open1()],
            vec![("alarm.local", Some("I1"), None, None, "")],
            None,
        ),
        (
            "a dead notice in silence",
            vec![open1(), dead()],
            vec![PLANNED, DEAD],
            Some("I3: notice N1 is dead"),
        ),
        (
            "a dead notice with a local alarm",
            vec![open1(), dead()],
            vec![PLANNED, DEAD, ("alarm.local", Some("I1"), Some("N1"), None, "")],
            None,
        ),
        (
            "a dead letter on another lane",
            vec![open1(), dead(), letter(), notice("N2", "D1", "open", 2, json!({"waves": other_lane}))],
            vec![PLANNED, DEAD, ("notice.planned", Some("D1"), Some("N2"), None, "")],
            None,
        ),
        (
            "a dead letter on the dead lane",
            vec![open1(), dead(), letter(), notice("N2", "D1", "open", 2, none())],
            vec![PLANNED, DEAD, ("notice.planned", Some("D1"), Some("N2"), None, "")],
            Some("I3: notice N2 tells of the dead notice N1"),
        ),
        (
            "an end without a cause",
            vec![open1(), notice("N1", "I1", "obsolete", 1, none())],
            vec![PLANNED, SETTLED],
            Some("I4: notice N1 is obsolete with the cause none"),
        ),
        (
            "a cause that is not in the list",
            vec![open1(), planned(), message("M1", &["N1"], "expired", Some("tired"))],
            vec![PLANNED, ENDED],
            Some("I4: message M1 is expired with the cause tired"),
        ),
        (
            "an end that was told",
            vec![
                open1(),
                notice("N1", "I1", "delivered", 1, none()),
                message("M1", &["N1"], "delivered", None),
            ],
            vec![PLANNED, ENDED, SETTLED],
            None,
        ),
        (
            "an end that was not told",
            vec![open1(), planned(), message("M1", &["N1"], "delivered", None)],
            vec![PLANNED],
            Some("I4: message M1 ended, and the audit tells so 0 times"),
        ),
        (
            "an end that was told twice",
            vec![open1(), planned(), message("M1", &["N1"], "delivered", None)],
            vec![PLANNED, ENDED, ENDED],
            Some("I4: message M1 ended, and the audit tells so 2 times"),
        ),
        (
            "a notice above its incident",
            vec![open1(), planned(), notice("N2", "I1", "open", 2, none())],
            vec![PLANNED, ("notice.planned", Some("I1"), Some("N2"), None, "")],
            Some("I6: notice N2 is of a level that incident I1 has not reached"),
        ),
        (
            "a notice without its incident",
            vec![planned()],
            vec![PLANNED],
            Some("I6: notice N1 has no incident"),
        ),
        (
            "a folded child",
            vec![
                incident("I1", "open", 1, json!({"folded": "P1"})),
                incident("P1", "open", 1, json!({"storm": {"family": "f"}})),
            ],
            vec![],
            None,
        ),
        (
            "a child of nobody",
            vec![incident("I1", "open", 1, json!({"folded": "P1"}))],
            vec![],
            Some("I25: incident I1 is folded under P1, which is not there"),
        ),
        (
            "a child of a storm that is over",
            vec![
                incident("I1", "open", 1, json!({"folded": "P1"})),
                incident("P1", "resolved", 1, json!({"storm": {"family": "f"}})),
            ],
            vec![],
            Some("I25: incident I1 is folded under P1, which is over"),
        ),
        (
            "columns that lie",
            vec![Row { state: Some("resolved"), ..open1() }],
            vec![],
            Some("I43: incident I1 says open inside and resolved outside"),
        ),
        (
            "a notice that vanished",
            vec![],
            vec![PLANNED],
            Some("I47: notice N1 was planned 1 times and settled 0 times, and is gone"),
        ),
        (
            "a notice that is over, of which nobody told",
            vec![open1(), notice("N1", "I1", "delivered", 1, none())],
            vec![PLANNED],
            Some("I47: notice N1 was planned 1 times and settled 0 times, and is delivered"),
        ),
        (
            "a notice that came from nowhere",
            vec![open1(), planned()],
            vec![],
            Some("I47: notice N1 is open, and was never planned"),
        ),
        (
            "a message that waits for a notice that is over",
            vec![
                open1(),
                notice("N1", "I1", "obsolete", 1, json!({"cause": "acked"})),
                message("M1", &["N1"], "ready", None),
            ],
            vec![PLANNED, SETTLED],
            Some("I50: message M1 is ready and serves no notice any more"),
        ),
        (
            "a row that is no JSON",
            vec![Row { body: Some(b"{".to_vec()), ..open1() }],
            vec![],
            Some("the row I1 of incident is not JSON"),
        ),
    ];
    let (folder, _) = folder();
    let name = desk("d");
    for (n, (what, rows, told, want)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("{n}.db"));
        let store = open(&path);
        let mut batch = rows_only(rows);
        tell(&mut batch, 1, &told);
        store.commit(&name, batch).await.unwrap();
        let found = store.verify(&name).await.unwrap().mismatch;
        match want {
            None => assert_eq!(found, None, "{what}"),
            Some(want) => assert!(found.as_deref().is_some_and(|f| f.contains(want)), "{what}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_over_and_old_goes_with_all_that_belongs_to_it() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = open(&path);
    let at = |text: &str| Instant::parse(text).unwrap();
    let over = |id, when: &str| incident(id, "resolved", 1, json!({"resolved_at": when}));
    let settled = |id, of| notice(id, of, "delivered", 1, json!({}));
    let attempt = |id: &str, of: &str| Row { parent: Some(of.to_owned()), ..row(Table::Attempt, id, b"{}") };
    let rows = vec![
        over("old1", "2026-03-01T00:00:00Z"),
        settled("n1", "old1"),
        Row { parent: Some("n1".into()), ..row(Table::Decision, "d1", b"{}") },
        message("m1", &["n1"], "delivered", None),
        attempt("m1/1", "m1"),
        Row { table: Table::Body, ..attempt("m1/1", "m1") },
        // A digest that tells of an old one and a new one stays until both are gone.
        over("old2", "2026-03-01T00:00:00.500Z"),
        settled("n2", "old2"),
        message("m2", &["n2", "n3"], "delivered", None),
        attempt("m2/1", "m2"),
        over("new", "2026-03-05T00:00:00Z"),
        settled("n3", "new"),
        // Not yet: something of it is open, waits, or it is not over.
        over("waits", "2026-03-01T00:00:00Z"),
        notice("n4", "waits", "open", 1, json!({})),
        Row { wake: Some(at("2026-04-01T00:00:00Z")), ..over("timer", "2026-03-01T00:00:00Z") },
        incident("open", "open", 0, json!({})),
        // A dead letter is kept as long as what it is about.
        incident(
            "dead",
            "resolved",
            2,
            json!({
                "resolved_at": "2026-03-01T00:00:00Z", "family": "delivery.dead", "generation": "n3",
                "subject": {"kind": "incident", "source": "shiftbell", "id": "new"},
            }),
        ),
    ];
    store.commit(&name, batch(rows, 1..=40)).await.unwrap();
    let ids = |rows: Vec<Stored>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let keep = |closed: &str, audit: Option<&str>, at_once| Keep {
        closed_from: Some(at(closed)),
        audit_from: audit.map(at),
        at_once,
    };

    let nothing =
        store.prune(&name, keep("2026-02-01T00:00:00Z", Some("2026-03-01T00:00:00Z"), 9)).await.unwrap();
    assert_eq!(nothing, Pruned::default());
    // One at a time, so that the bound is seen.
    let first = store.prune(&name, keep("2026-03-02T00:00:00Z", None, 1)).await.unwrap();
    assert_eq!((first.incidents, first.rows, first.more), (1, 6, true));
    let second = store.prune(&name, keep("2026-03-02T00:00:00Z", None, 1)).await.unwrap();
    assert_eq!((second.incidents, second.rows, second.more), (1, 2, false));
    let tables =
        [Table::Incident, Table::Notice, Table::Message, Table::Attempt, Table::Body, Table::Decision];
    let left = ids(loaded(&store, &name, &tables).await);
    assert_eq!(left, ["new", "waits", "timer", "open", "dead", "n3", "n4", "m2", "m2/1"]);
    let third = store.prune(&name, keep("2026-03-06T00:00:00Z", None, 9)).await.unwrap();
    assert_eq!((third.incidents, third.more), (1, false));
    // The digest had lost its first notice before: it is found all the same, and so is the dead letter, one round later.
    let fourth = store.prune(&name, keep("2026-03-06T00:00:00Z", None, 9)).await.unwrap();
    assert_eq!(fourth.incidents, 1);
    assert_eq!(ids(loaded(&store, &name, &tables).await), ["waits", "timer", "open", "n4"]);

    // The audit: record n is n seconds after 02:00:00.
    let before = store.verify(&name).await.unwrap();
    let keep = |audit: &str, at_once| Keep { closed_from: None, audit_from: Some(at(audit)), at_once };
    let pruned = store.prune(&name, keep("2026-03-02T02:00:11Z", 6)).await.unwrap();
    assert_eq!((pruned.audit, pruned.more), (6, true));
    let pruned = store.prune(&name, keep("2026-03-02T02:00:11Z", 6)).await.unwrap();
    assert_eq!((pruned.audit, pruned.more), (4, false));
    let kept = store.audit(&name, AuditQuery::default()).await.unwrap();
    assert_eq!(kept.iter().map(|k| k.record.seq).collect::<Vec<_>>(), (11..=40).collect::<Vec<_>>());
    let after = store.verify(&name).await.unwrap();
    assert_eq!((after.records, &after.head), (30, &before.head), "the chain hangs on its seals");
    // All of it may go: the next record still follows.
    store.prune(&name, keep("2027-01-01T00:00:00Z", 99)).await.unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(store.commit(&name, Batch::default()).await.unwrap().last_seq, 40);
    store.commit(&name, batch(vec![], 41..=41)).await.unwrap();
    assert_eq!(store.audit(&name, AuditQuery::default()).await.unwrap().len(), 1);
    let verified = store.verify(&name).await.unwrap();
    assert_eq!((verified.records, verified.mismatch.is_none_or(|m| m.starts_with("I"))), (1, true));
}
