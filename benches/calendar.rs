//! Open time at several distances, against a walk from day to day; and what compiling costs.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde::Deserialize;
use shiftbell::core::calendar::{Calendar, CalendarConfig, Era, HolidaySetConfig};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::{Instant, Span};

const CALENDARS: [(&str, &str); 4] = [
    ("daily", "tz = 'Asia/Shanghai'\nweekly.daily = [['09:00', '21:00']]"),
    ("split", "tz = 'Asia/Shanghai'\nweekly.daily = [['09:00', '12:00'], ['13:00', '18:00']]"),
    ("office", "tz = 'Asia/Shanghai'\nholidays = ['cn']\nweekly.mon-fri = [['09:00', '18:00']]"),
    ("always", "tz = 'Asia/Shanghai'\nweekly.daily = [['00:00', '24:00']]"),
];
const DISTANCES: [(&str, Span); 4] = [
    ("1h", Span::HOUR),
    ("30d", Span::from_millis(30 * 86_400_000)),
    ("700d", Span::from_millis(700 * 86_400_000)),
    ("50y", Span::from_millis(50 * 365 * 86_400_000)),
];

#[derive(Deserialize)]
struct Sets {
    holidays: BTreeMap<String, HolidaySetConfig>,
}

fn sets() -> BTreeMap<String, HolidaySetConfig> {
    toml::from_str::<Sets>(include_str!("../config/calendars/cn_holidays.toml")).unwrap().holidays
}

fn compile(text: &str, sets: &BTreeMap<String, HolidaySetConfig>) -> Calendar {
    let config: CalendarConfig = toml::from_str(text).unwrap();
    Calendar::compile("bench", &config, sets, Era::DEFAULT, &mut Problems::new()).unwrap()
}

/// Starting points spread over three years, so that no answer stays in the cache by luck.
fn starts() -> Vec<Instant> {
    let mut seed = 7u64;
    (0..1024)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Instant::from_millis(1_704_067_200_000 + (seed >> 20) as i64 % 94_000_000_000)
        })
        .collect()
}

/// What one would write first: ask each date for its hours and add up.
fn walk(calendar: &Calendar, a: Instant, b: Instant) -> Span {
    let mut date = calendar.zone().to_datetime(a.to_timestamp()).date().yesterday().unwrap();
    let last = calendar.zone().to_datetime(b.to_timestamp()).date();
    let mut open = Span::ZERO;
    while date <= last {
        for (from, to) in calendar.day(date).intervals {
            open += to.min(b).since(from.max(a));
        }
        date = date.tomorrow().unwrap();
    }
    open
}

fn arithmetic(c: &mut Criterion) {
    let sets = sets();
    let starts = starts();
    for (name, text) in CALENDARS {
        let calendar = compile(text, &sets);
        let mut group = c.benchmark_group(format!("calendar/{name}"));
        for (label, distance) in DISTANCES {
            let mut over = |op: &str, ask: &dyn Fn(Instant) -> i64| {
                let mut i = 0;
                group.bench_function(BenchmarkId::new(op, label), |bencher| {
                    bencher.iter(|| {
                        i = (i + 1) % starts.len();
                        black_box(ask(black_box(starts[i])))
                    });
                });
            };
            over("elapsed", &|t| calendar.elapsed(t, t + distance).as_millis());
            if label == "50y" {
                continue;
            }
            // The open time of that distance, so that the answers lie about as far away.
            let open =
                Span::from_millis(calendar.elapsed(starts[0], starts[0] + distance).as_millis().max(60_000));
            over("add", &|t| calendar.add(t, open).map_or(0, Instant::as_millis));
            over("back", &|t| calendar.back(t, open).map_or(0, Instant::as_millis));
            over("walk", &|t| walk(&calendar, t, t + distance).as_millis());
        }
        group.finish();
    }
}

fn compiling(c: &mut Criterion) {
    let sets = sets();
    let mut group = c.benchmark_group("calendar/compile");
    let new_york = ("new-york", "tz = 'America/New_York'\nweekly.daily = [['09:00', '21:00']]");
    for (name, text) in CALENDARS.into_iter().chain([new_york]) {
        let config: CalendarConfig = toml::from_str(text).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| Calendar::compile("bench", &config, &sets, Era::DEFAULT, &mut Problems::new()));
        });
    }
    group.finish();
}

/// The sample's 200 cases as the verb `shiftbell calendar eval` answers them, a hundred times over.
fn case_file(c: &mut Criterion) {
    let sample = include_str!("../tests/fixtures/calendar/business_time_sample.jsonl");
    let (calendars, cases): (Vec<&str>, Vec<&str>) =
        sample.lines().partition(|line| line.contains(r#""op":"calendar""#));
    let cases = cases.join("\n") + "\n";
    let input = calendars.join("\n") + "\n" + &cases.repeat(100);
    let mut group = c.benchmark_group("calendar/eval");
    group.throughput(criterion::Throughput::Elements(20_000));
    group.bench_function("20k cases", |bencher| {
        bencher.iter(|| {
            let mut out = Vec::with_capacity(1 << 20);
            shiftbell::cli::calendar::eval(input.as_bytes(), &mut out, std::io::sink()).unwrap();
            out
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(600))
        .sample_size(20);
    targets = arithmetic, compiling, case_file
}
criterion_main!(benches);
