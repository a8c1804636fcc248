use super::sample::{FIRST, desk, frame, tally};
use super::words::Language;
use super::*;
use crate::cli::replay::report::compare::Side;
use crate::cli::replay::rows::SignalRow;

fn row(id: &str, start: i64, due: i64, end: Option<i64>, outcome: Outcome) -> CycleRow {
    let minute = |m: i64| FIRST + Span::from_minutes(m);
    let upto = end.unwrap_or(10_000);
    let late = if outcome.is_breach() { upto - due } else { 0 };
    CycleRow {
        source: "s".into(),
        kind: "ticket".into(),
        id: id.to_owned(),
        clock: "ticket_reply".into(),
        start: minute(start),
        due: Some(minute(due)),
        end: end.map(minute),
        outcome,
        open: Span::from_minutes(upto - start),
        wall: Span::from_minutes(upto - start),
        overdue_open: Span::ZERO,
        overdue_wall: Span::from_minutes(late),
        shop: None,
        assignee: None,
        shift: None,
        at_risk: false,
        reply: None,
        waited: Span::ZERO,
        doubtful: Span::ZERO,
    }
}

fn build(rows: &[CycleRow], days: i64) -> Report {
    Report::build(rows, Rings::default(), &frame(days))
}

#[test]
fn e95_what_is_not_decided_is_left_out() {
    let mut rows = Vec::new();
    for (n, end, outcome) in [
        (7, Some(15), Outcome::Met),
        (2, Some(40), Outcome::Missed),
        (1, None, Outcome::Overdue),
        (1, Some(10), Outcome::Cancelled),
        (2, None, Outcome::Running),
    ] {
        rows.extend((0..n).map(|i| row(&format!("{outcome:?}{i}"), 0, 20, end, outcome)));
    }
    let report = build(&rows, 7);
    assert_eq!(report.total.attainment_permille, Some(700));
    assert_eq!((report.total.decided, report.total.cycles), (10, 13));
    assert_eq!(report.clocks[0].finish_wall.n, 9);
}

#[test]
fn e96_only_running_cycles_have_no_attainment() {
    let report = build(&[row("1", 0, 20, None, Outcome::Running)], 7);
    assert_eq!((report.total.attainment_permille, report.total.decided), (None, 0));
    assert!(report.days.is_empty() && report.worst.is_empty());
}

#[test]
fn e98_a_breach_counts_on_the_day_it_was_due() {
    // Due Thursday 20:58, answered Friday 09:10; the shift of 20:58.
    let mut late = row("1", 20 * 60 + 38, 20 * 60 + 58, Some(33 * 60 + 10), Outcome::Missed);
    late.shift = Some("晚班".into());
    let report = build(&[late.clone()], 1);
    assert_eq!(report.days.len(), 1);
    assert_eq!(report.days[0].date.to_string(), "2026-01-01");
    assert_eq!(report.days[0].total.missed, 1);
    assert_eq!(report.breaches_by_hour[3][20], 1);
    assert_eq!(report.shifts[0].name.as_deref(), Some("晚班"));

    let mut friday = frame(2);
    friday.from = FIRST + Span::DAY;
    assert_eq!(Report::build(&[late], Rings::default(), &friday).total.cycles, 0);
}

#[test]
fn ages_fall_into_their_buckets() {
    for (age_s, want) in [(0, 0), (299, 0), (300, 1), (3599, 2), (86_400, 5), (1_209_599, 7), (1_209_600, 8)]
    {
        assert_eq!(age_bucket(Span::from_secs(age_s)), want, "{age_s}");
    }
}

#[test]
fn the_worst_stand_first_and_there_are_twenty() {
    let rows: Vec<_> =
        (0..30).map(|i| row(&format!("{i:02}"), 0, 20, Some(100 + i), Outcome::Missed)).collect();
    let report = build(&rows, 7);
    assert_eq!(report.worst.len(), WORST_SHOWN);
    assert_eq!(report.worst[0].id, "29");
}

#[test]
fn rings_belong_to_who_was_on_at_due() {
    let (rows, signals) = desk(3, 0);
    let rings = Rings::count(&signals, &rows);
    assert_eq!(rings.total, signals.len() as u64);
    assert_eq!(rings.by_shift.iter().map(|s| s.count).sum::<u64>(), rings.total);
    assert!(rings.by_shift.iter().all(|s| s.name.is_some()));
    assert_eq!(rings.by_assignee.last().map(|s| s.name.is_none()), Some(true));
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let (rows, signals) = desk(20, 0);
    let json = |rows: &[CycleRow]| {
        let report = Report::build(rows, Rings::count(&signals, rows), &frame(20));
        serde_json::to_string(&report).expect("a report")
    };
    let mut turned = rows.clone();
    turned.reverse();
    assert_eq!(json(&rows), json(&turned));
}

#[test]
fn a_comparison_counts_what_moves() {
    let before = [
        row("1", 0, 20, Some(30), Outcome::Missed),
        row("2", 0, 20, Some(10), Outcome::Met),
        row("3", 0, 20, Some(10), Outcome::Met),
    ];
    let after = [
        row("1", 0, 40, Some(30), Outcome::Met),
        row("2", 0, 5, Some(10), Outcome::Missed),
        row("4", 0, 20, Some(10), Outcome::Met),
    ];
    let count = |rows: &[CycleRow], n: usize| {
        let signal = |row: &CycleRow| SignalRow {
            at: row.start,
            desk: "d".into(),
            source: row.source.clone(),
            kind: row.kind.clone(),
            id: row.id.clone(),
            clock: row.clock.clone(),
            ring: "due".into(),
            due: row.due,
            late_by_s: 0,
            reason: None,
        };
        let signals: Vec<_> = rows.iter().take(n).map(signal).collect();
        Rings::count(&signals, rows)
    };
    let (old, new) = (count(&before, 1), count(&after, 3));
    let comparison = Comparison::build(
        Side { config: "a", rows: &before, rings: &old },
        Side { config: "b", rows: &after, rings: &new },
        &["ticket_reply"],
    );
    let m = &comparison.total;
    assert_eq!((m.both, m.only_before, m.only_after), (2, 1, 1));
    assert_eq!((m.earlier, m.later, m.became_overdue, m.no_longer_overdue), (1, 1, 1, 1));
    let moves: Vec<_> = comparison.largest.iter().map(|m| (m.id.as_str(), m.moved_by_s)).collect();
    assert_eq!(moves, [("1", 1200), ("2", -900)]);
    assert_eq!(comparison.by_ring[0].change.delta(), 2);
    assert_eq!(comparison.by_desk[0].change.after, 3);
}

/// The report of `days` days, with a comparison, handed to `show`.
pub(super) fn with_document<R>(days: i64, show: impl FnOnce(&Document<'_>, &Frame) -> R) -> R {
    let frame = frame(days);
    let (rows, signals) = desk(days, 0);
    let (old_rows, old_signals) = desk(days, 25);
    let rings = Rings::count(&signals, &rows);
    let old_rings = Rings::count(&old_signals, &old_rows);
    let comparison = Comparison::build(
        Side { config: "policies-2025.toml", rows: &old_rows, rings: &old_rings },
        Side { config: "policies-2026.toml", rows: &rows, rings: &rings },
        &frame.clocks.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
    );
    let report = Report::build(&rows, rings, &frame);
    let history = tally(rows.len() as u64 * 3);
    show(
        &Document {
            config: "policies-2026.toml",
            history: &history,
            report: &report,
            comparison: Some(&comparison),
        },
        &frame,
    )
}

#[test]
fn the_table_lines_up() {
    let zh = with_document(30, |document, frame| table::render(document, frame, Language::Zh));
    insta::assert_snapshot!(zh);
    let en = with_document(30, |document, frame| table::render(document, frame, Language::En));
    assert!(en.contains("Attainment by clock") && !en.contains("达成率"));
}

#[test]
fn the_json_has_its_keys() {
    let json = with_document(3, |document, _| serde_json::to_string(document).expect("a document"));
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for key in ["config", "history", "report", "comparison"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    for key in ["zone", "from", "to", "total", "clocks", "days", "breaches_by_hour", "overdue_ages", "worst"]
    {
        assert!(value["report"].get(key).is_some(), "{key}");
    }
    assert!(!json.contains('.') || value["report"]["total"]["attainment_permille"].is_u64());
}

#[test]
fn m3_m4_m6_m13_replies_and_doubts_are_figures_of_their_own() {
    use crate::cli::replay::rows::Reply;
    let minutes = Span::from_minutes;
    let mut rows = Vec::new();
    for (i, (taken, reply)) in
        [(2, Reply::First), (3, Reply::First), (40, Reply::First), (5, Reply::Next)].into_iter().enumerate()
    {
        let mut answered = row(&format!("t{i}"), 0, 30, Some(taken), Outcome::Met);
        (answered.reply, answered.waited) = (Some(reply), minutes(taken + 10));
        rows.push(answered);
    }
    // Nobody answered: in the attainment and in what buyers waited, not in the reply times.
    let mut unanswered = row("t9", 0, 30, None, Outcome::Overdue);
    (unanswered.waited, unanswered.doubtful) = (minutes(500), minutes(180));
    rows.push(unanswered);
    let report = build(&rows, 1);
    let clock = &report.clocks[0];
    let replies = clock.replies.as_ref().expect("it is a reply clock");
    assert_eq!(
        (replies.first_wall.n, replies.first_wall.p50_s, replies.first_wall.mean_s),
        (3, Some(180), Some(900))
    );
    assert_eq!((replies.next_open.n, replies.next_open.max_s), (1, Some(300)));
    assert_eq!((replies.waited.n, replies.waited.max_s), (5, Some(30_000)));
    assert_eq!((clock.doubtful_pause.n, clock.doubtful_pause.max_s), (1, Some(10_800)));
    assert_eq!(clock.counts.overdue, 1);
}
