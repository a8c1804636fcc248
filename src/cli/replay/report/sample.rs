//! Rows that look like a busy desk, made without randomness: for tests, and for looking at the page.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{ClockTitle, Frame};
use crate::cli::replay::rows::{CycleRow, Outcome, SignalRow};
use crate::core::time::{Instant, Span};
use crate::sources::history::{FileTally, Rejects, Tally, open::Packing};

/// 2026-01-01 in Shanghai.
pub const FIRST: Instant = Instant::from_secs(1_767_196_800);

/// A frame of `days` from [`FIRST`] on.
pub fn frame(days: i64) -> Frame {
    let clock = |name: &str, title: &str, goal| ClockTitle {
        name: name.to_owned(),
        title: Some(title.to_owned()),
        goal_permille: Some(goal),
    };
    Frame {
        zone: TimeZone::get("Asia/Shanghai").expect("a bundled zone"),
        zone_name: "Asia/Shanghai".to_owned(),
        from: FIRST,
        to: FIRST + Span::DAY.times(days),
        clocks: vec![
            clock("ticket_reply", "平台工单 20 分钟回复", 950),
            clock("aftersale_review", "退货审核 24 小时", 980),
            clock("ship_48h", "48 小时发货", 970),
            clock("parcel_complaint", "物流投诉 48 小时解决", 900),
        ],
        shifts: Vec::new(),
    }
}

fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The cycles of `days` days and what rang for them. `slack` percent longer targets break fewer promises.
pub fn desk(days: i64, slack: i64) -> (Vec<CycleRow>, Vec<SignalRow>) {
    let frame = frame(days);
    // Name, kind, target in minutes, cycles a day, percent broken.
    let clocks = [
        ("ticket_reply", "ticket", 20, 42, 7),
        ("aftersale_review", "aftersale", 24 * 60, 13, 3),
        ("ship_48h", "order", 48 * 60, 30, 4),
        ("parcel_complaint", "parcel", 48 * 60, 4, 12),
    ]
    .map(|(clock, kind, target, per_day, broken)| {
        (Arc::<str>::from(clock), Arc::<str>::from(kind), target, per_day, broken)
    });
    let source: Arc<str> = "tmall-flagship".into();
    let desk: Arc<str> = "after-sales".into();
    let shops: [Arc<str>; 3] = ["天猫旗舰店".into(), "抖音小店".into(), "京东自营".into()];
    let people: [Arc<str>; 5] =
        ["林晓".into(), "陈宇航".into(), "Zhou Min".into(), "王思远".into(), "赵敏".into()];
    let shifts: [Arc<str>; 2] = ["早班".into(), "晚班".into()];
    let (mut rows, mut signals) = (Vec::new(), Vec::new());
    let mut n = 0u64;
    for day in 0..days {
        // A wave: the days after a sale break more promises.
        let wave = if (40..52).contains(&(day % 90)) { 3 } else { 1 };
        for (clock, kind, target, per_day, broken) in &clocks {
            for _ in 0..per_day * (2 + wave) / 3 {
                n += 1;
                let luck = mix(n);
                let hour = 9 + (luck % 13) as i64;
                let start = FIRST
                    + Span::DAY.times(day)
                    + Span::HOUR.times(hour)
                    + Span::from_secs((luck >> 8) as i64 % 3600);
                let target = Span::from_minutes(target * (100 + slack) / 100);
                let due = start + target;
                let evening = if hour >= 19 { 3 } else { 1 };
                let is_late = (luck >> 20) % 100 < broken * wave * evening * 100 / (100 + 3 * slack as u64);
                let late = Span::from_secs(1 + ((luck >> 30) % 3600) as i64)
                    .times(1 + ((luck >> 44) % 17).pow(2) as i64);
                let took = target.percent(((luck >> 28) % 100) as u8);
                let end = if is_late { due + late } else { start + took };
                let is_open = end >= frame.to || (is_late && (luck >> 50).is_multiple_of(60));
                let outcome = match (is_open, is_late) {
                    (true, _) if due >= frame.to => Outcome::Running,
                    (true, _) => Outcome::Overdue,
                    (false, true) => Outcome::Missed,
                    (false, false) if (luck >> 13).is_multiple_of(50) => Outcome::Cancelled,
                    (false, false) => Outcome::Met,
                };
                let upto = if is_open { frame.to } else { end };
                let late = if outcome.is_breach() { upto.since(due) } else { Span::ZERO };
                let row = CycleRow {
                    source: source.clone(),
                    kind: kind.clone(),
                    id: format!("{:012}", luck % 1_000_000_000_000),
                    clock: clock.clone(),
                    start,
                    due: Some(due),
                    end: (!is_open).then_some(end),
                    outcome,
                    open: upto.since(start).percent(50),
                    wall: upto.since(start),
                    overdue_open: late.percent(50),
                    overdue_wall: late,
                    shop: Some(shops[(luck >> 5) as usize % 3].clone()),
                    assignee: (!luck.is_multiple_of(9)).then(|| people[(luck >> 9) as usize % 5].clone()),
                    shift: Some(shifts[usize::from(hour >= 15)].clone()),
                    at_risk: outcome == Outcome::Running && luck.is_multiple_of(3),
                    reply: None,
                    waited: Span::ZERO,
                    doubtful: Span::ZERO,
                };
                let mut ring = |ring: &str, at: Instant| {
                    signals.push(SignalRow {
                        at,
                        desk: desk.clone(),
                        source: source.clone(),
                        kind: kind.clone(),
                        id: row.id.as_str().into(),
                        clock: clock.clone(),
                        ring: ring.into(),
                        due: Some(due),
                        late_by_s: 0,
                        reason: None,
                    });
                };
                if took > target.percent(50) || is_late {
                    ring("50%", start + target.percent(50));
                }
                if took > target.percent(75) || is_late {
                    ring("5m before", due - Span::from_minutes(5));
                }
                if is_late {
                    ring("due", due);
                }
                if late > Span::HOUR {
                    ring("1h after", due + Span::HOUR);
                }
                rows.push(row);
            }
        }
    }
    (rows, signals)
}

/// What was read for it, with two lines refused.
pub fn tally(events: u64) -> Tally {
    let mut rejects = Rejects::new(false);
    let file: Arc<str> = "tickets-2026.jsonl.gz".into();
    for (line, reason) in [
        (812, "at: 9999-12-31T00:00:00Z lies outside 2000–2096 (column 28)"),
        (20_417, "unknown key `<script>alert(1)</script>`, expected one of at, source, kind, id (column 9)"),
    ] {
        rejects.note(&file, line, reason).expect("not strict");
    }
    let lines = events + rejects.total();
    Tally {
        files: vec![FileTally { file: file.to_string(), packing: Packing::Gzip, lines, good: events }],
        events,
        first_at: Some(FIRST),
        last_at: Some(FIRST + Span::DAY),
        rejects,
    }
}
