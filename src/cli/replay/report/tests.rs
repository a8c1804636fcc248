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
    Report::build(rows, Rings::default(), &Lags::default(), &frame(days))
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
    assert_eq!(Report::build(&[late], Rings::default(), &Lags::default(), &friday).total.cycles, 0);
}

#[test]
fn m1_what_is_met_counts_at_its_end_what_is_broken_at_due() {
    let at = |m: i64| Some(FIRST + Span::from_minutes(m));
    for (end, outcome, want) in [
        (Some(15), Outcome::Met, at(15)),
        (Some(90), Outcome::Missed, at(20)),
        (None, Outcome::Overdue, at(20)),
        (Some(15), Outcome::Cancelled, None),
        (Some(15), Outcome::Superseded, None),
        (None, Outcome::Running, None),
    ] {
        assert_eq!(row("1", 0, 20, end, outcome).decided_at(), want, "{outcome:?}");
    }
    // The window is [from, to): what is decided at its end is of the next.
    let at_midnight = row("1", 0, 30, Some(24 * 60), Outcome::Met);
    assert_eq!(build(std::slice::from_ref(&at_midnight), 1).total.decided, 0);
    assert_eq!(build(&[at_midnight], 2).total.decided, 1);
}

#[test]
fn m2_attainment_leaves_out_what_does_not_count() {
    let of = |outcome| row("1", 0, 20, Some(10), outcome);
    let mut rows: Vec<_> = (0..2).map(|_| of(Outcome::Met)).collect();
    rows.push(of(Outcome::Missed));
    for outcome in [Outcome::Cancelled, Outcome::Superseded, Outcome::Excused, Outcome::Unreachable] {
        rows.push(of(outcome));
    }
    let total = build(&rows, 7).total;
    assert_eq!((total.attainment_permille, total.decided, total.cycles), (Some(667), 3, 7));
}

#[test]
fn m5_m7_m8_m9_times_and_ages_are_ranked() {
    let mut rows: Vec<_> = [2, 3, 3, 4, 5, 6, 8, 9, 15, 40]
        .into_iter()
        .zip(0..)
        .map(|(minutes, n)| row(&n.to_string(), 0, 60, Some(minutes), Outcome::Met))
        .collect();
    rows.extend(
        [70, 90, 160].map(|minutes| row(&minutes.to_string(), 0, 60, Some(minutes), Outcome::Missed)),
    );
    rows.push(row("open", 0, 60, None, Outcome::Running));
    let clock = &build(&rows, 7).clocks[0];
    let (taken, late) = (&clock.finish_wall, &clock.overdue_wall);
    // What has not ended has no resolution time.
    assert_eq!((taken.n, taken.p50_s, taken.max_s), (13, Some(8 * 60), Some(160 * 60)));
    assert_eq!((late.n, late.p50_s, late.p90_s), (3, Some(30 * 60), Some(100 * 60)));
    assert_eq!((late.max_s, late.mean_s), (Some(100 * 60), Some((10 + 30 + 100) * 60 / 3)));
}

#[test]
fn m10_at_risk_is_counted() {
    let mut risky = row("1", 0, 20, None, Outcome::Running);
    risky.at_risk = true;
    let report = build(&[risky, row("2", 0, 20, None, Outcome::Running)], 7);
    assert_eq!((report.total.at_risk, report.clocks[0].counts.at_risk), (1, 1));
}

#[test]
fn m11_the_backlog_is_what_stands_open_at_the_end_whenever_it_was_due() {
    let day = 24 * 60;
    // Due before the window, and open still.
    let mut overdue = row("overdue", 0, 0, None, Outcome::Overdue);
    (overdue.start, overdue.due) = (FIRST - Span::DAY.times(2), Some(FIRST - Span::DAY));
    let rows = [
        overdue,
        row("met", 0, 20, Some(10), Outcome::Met),
        row("running", 0, 20, None, Outcome::Running),
        row("paused", 0, 20, None, Outcome::Paused),
        row("late", 0, 20, Some(3 * day), Outcome::Missed),
        // Ended, or begun, at the window's end, which is not of it.
        row("ended", 0, day, Some(day), Outcome::Met),
        row("next", day, 2 * day, None, Outcome::Running),
        row("excused", 0, 20, None, Outcome::Excused),
    ];
    let report = build(&rows, 1);
    assert_eq!((report.total.backlog, report.clocks[0].counts.backlog), (5, 5));
    assert_eq!(report.total.overdue, 0, "it was due before the window");
}

#[test]
fn m12_a_breach_is_of_the_shift_at_due() {
    let mut rows = [
        row("1", 0, 20, Some(90), Outcome::Missed),
        row("2", 0, 20, None, Outcome::Overdue),
        row("3", 0, 20, Some(10), Outcome::Met),
    ];
    for (row, shift) in rows.iter_mut().zip(["早班", "晚班", "晚班"]) {
        row.shift = Some(shift.into());
    }
    let report = build(&rows, 7);
    let of = |name: &str| report.shifts.iter().find(|s| s.name.as_deref() == Some(name)).map(|s| s.decided);
    assert_eq!(of("早班").map(|d| (d.met, d.breaches())), Some((0, 1)));
    assert_eq!(of("晚班").map(|d| (d.met, d.breaches())), Some((1, 1)));
}

#[test]
fn m14_the_detection_lag_is_ranked_to_the_99th() {
    let mut lags = Lags::default();
    (0..198).for_each(|_| lags.add(Span::ZERO));
    lags.add(Span::from_minutes(30));
    lags.add(Span::HOUR);
    let lag = Report::build(&[], Rings::default(), &lags, &frame(1)).detection_lag;
    assert_eq!((lag.n, lag.p50_s, lag.p99_s, lag.max_s), (200, Some(0), Some(0), Some(3600)));
    lags.add(Span::from_minutes(30));
    let lag = Report::build(&[], Rings::default(), &lags, &frame(1)).detection_lag;
    assert_eq!((lag.n, lag.p99_s), (201, Some(1800)));
    let none = Report::build(&[], Rings::default(), &Lags::default(), &frame(1)).detection_lag;
    assert_eq!(none, Detection::default());
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
        let report = Report::build(rows, Rings::count(&signals, rows), &Lags::default(), &frame(20));
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
            id: row.id.as_str().into(),
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
    let mut lags = Lags::default();
    signals
        .iter()
        .zip(0..)
        .for_each(|(_, n)| lags.add(Span::from_secs(if n % 40 == 0 { n % 700 } else { 0 })));
    let report = Report::build(&rows, rings, &lags, &frame);
    let history = tally(rows.len() as u64 * 3);
    show(
        &Document {
            config: "policies-2026.toml",
            history: &history,
            report: &report,
            comparison: Some(&comparison),
            evaluation: None,
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
    for key in [
        "zone",
        "from",
        "to",
        "total",
        "clocks",
        "days",
        "breaches_by_hour",
        "overdue_ages",
        "worst",
        "detection_lag",
    ] {
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
