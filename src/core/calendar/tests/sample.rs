//! The 200 cases that independent libraries agree on (`sla_semantics` §12).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Calendar, CalendarConfig, Era, IntervalConfig};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

#[derive(Deserialize)]
struct Line {
    op: String,
    id: String,
    cal: Option<String>,
    tz: Option<String>,
    weekly: Option<BTreeMap<String, Vec<IntervalConfig>>>,
    overrides: Option<BTreeMap<String, Vec<IntervalConfig>>>,
    start: Option<Instant>,
    end: Option<Instant>,
    minutes: Option<i64>,
    expect: Option<Instant>,
    expect_seconds: Option<i64>,
}

#[test]
fn all_sample_cases() {
    let text = include_str!("../../../../tests/fixtures/calendar/business_time_sample.jsonl");
    let mut calendars = BTreeMap::new();
    let mut cases = 0;
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        if line.op == "calendar" {
            let config = CalendarConfig {
                tz: line.tz.unwrap(),
                weekly: line.weekly.unwrap(),
                overrides: line.overrides.unwrap(),
                ..CalendarConfig::default()
            };
            let mut problems = Problems::new();
            let sets = BTreeMap::new();
            let calendar = Calendar::compile(&line.id, &config, &sets, Era::DEFAULT, &mut problems);
            calendars.insert(line.id, calendar.unwrap());
            continue;
        }
        let calendar = &calendars[&line.cal.unwrap()];
        let start = line.start.unwrap();
        match line.op.as_str() {
            "add" => {
                let d = Span::from_minutes(line.minutes.unwrap());
                let got = calendar.add(start, d);
                assert_eq!(got, line.expect, "{}", line.id);
                // L1 on real cases.
                assert_eq!(calendar.elapsed(start, got.unwrap()), d, "{}", line.id);
            }
            "between" => {
                let got = calendar.elapsed(start, line.end.unwrap());
                assert_eq!(Some(got.as_secs()), line.expect_seconds, "{}", line.id);
            }
            other => panic!("{}: {other}", line.id),
        }
        cases += 1;
    }
    assert_eq!((calendars.len(), cases), (12, 200));
}
