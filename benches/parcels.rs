//! What a million open parcels cost that are watched by what was learned: bytes each, scans a second, and the night.
//!
//! `cargo bench --bench parcels`. Every figure stands beside that of a rule with a fixed limit in the same run. Bytes come
//! from a counting allocator, times are those that one core worked, whatever else the machine did.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use mimalloc::MiMalloc;
use rustix::time::{ClockId, clock_gettime};
use shiftbell::core::engine::Engine;
use shiftbell::core::model::{Mark, Observation, Value};
use shiftbell::core::parcel::fold::{Known, Ledger, Parcel, Scan, fold};
use shiftbell::core::parcel::lateness::{Lateness, LatenessConfig};
use shiftbell::core::parcel::learned::LearnedSetup;
use shiftbell::core::parcel::stall::StallConfig;
use shiftbell::core::parcel::{Milestone, Route};
use shiftbell::core::time::{Instant, Span};

mod common;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
// SAFETY: every call goes to the program's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FIXED: &str = r#"
[[clock]]
name = "stalled"
on = "parcel"
start = "last_scan"
stop = "delivered"
pick = "last"
target = "72h"
ring = ["due"]
[[clock]]
name = "late"
on = "order"
start = "shipped"
stop = "delivered"
deadline = "deliver_by"
ring = ["3d before"]
"#;

const LEARNED: &str = r#"
[[clock]]
name = "stalled"
on = "parcel"
start = "last_scan"
stop = "delivered"
pick = "last"
deadline = "stall_by"
ring = ["due"]
[[clock]]
name = "late"
on = "order"
start = "shipped"
stop = "delivered"
deadline = "late_by"
ring = ["due"]
"#;

/// Parcels that are open at once, and lanes that they go along.
const OPEN: u64 = 1_000_000;
const LANES: u64 = 100_000;
/// Parcels whose scans are followed from the first to the last, and how many scans each has.
const FOLLOWED: u64 = 40_000;
const SCANS: u64 = 10;

fn engine(policy: &str) -> Engine {
    let mut engine = common::engine(policy);
    if policy == LEARNED {
        let (lateness, stall) = (LatenessConfig::default(), StallConfig::default());
        engine.learn(LearnedSetup { lateness, stall, zone: TimeZone::UTC });
    }
    engine
}

/// Minutes since a midnight.
fn at(minutes: u64) -> Instant {
    Instant::from_secs(1_767_571_200 + minutes as i64 * 60)
}

fn seen(kind: &'static str, n: u64, now: Instant, marks: &[(&'static str, Instant)]) -> Observation<'static> {
    let lane = n.wrapping_mul(7919) % LANES;
    let mark = |(name, at): &(&'static str, Instant)| Mark {
        name: (*name).into(),
        reference: None,
        at: *at,
        removed: false,
    };
    Observation {
        source: "tmall".into(),
        kind: kind.into(),
        id: format!("{n:012}").into(),
        as_of: now,
        revision: 0,
        marks: marks.iter().map(mark).collect(),
        attributes: vec![
            ("carrier".into(), Value::Text(["yto", "sf", "zto", "yunda"][lane as usize % 4].into())),
            ("from".into(), Value::Text(format!("from {}", lane / 320).into())),
            ("to".into(), Value::Text(format!("to {}", lane % 320).into())),
        ],
    }
}

fn scanned(n: u64, now: Instant, status: Milestone) -> Observation<'static> {
    let mut seen = seen("parcel", n, now, &[("last_scan", now), (status.word(), now)]);
    seen.attributes.push(("status".into(), Value::Text(status.word().into())));
    seen
}

/// The time that this thread has worked.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The time of `work`, beside what it answers.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = worked();
    let done = black_box(work());
    (done, worked() - start)
}

fn per_second(n: u64, took: Duration) -> f64 {
    n as f64 / took.as_secs_f64()
}

/// A million parcels with two scans each.
fn memory(name: &str, policy: &str) {
    let before = LIVE.load(Ordering::Relaxed);
    let mut engine = engine(policy);
    let mut took = Duration::ZERO;
    for (part, status) in [(0, Milestone::PickedUp), (1, Milestone::InTransit)] {
        for chunk in 0..OPEN / 10_000 {
            let now = at(part * 900 + chunk * 9);
            let scans: Vec<_> = (0..10_000).map(|n| scanned(chunk * 10_000 + n, now, status)).collect();
            took += timed(|| scans.iter().for_each(|scan| drop(black_box(engine.observe(scan, now))))).1;
        }
    }
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    let keys = engine.learned().map_or(0, |learned| learned.gaps().key_count());
    println!(
        "{name}: {OPEN} open parcels of two scans, {} bytes each \
         with all that is learned ({keys} kinds of gaps), {:.0} scans/s",
        bytes / OPEN as usize,
        per_second(2 * OPEN, took)
    );
}

/// Parcels from their first scan to their delivery: what is said of each is folded, and goes into the engine.
fn scans(name: &str, policy: &str) {
    let mut engine = engine(policy);
    let mut ledgers: Vec<Ledger> = (0..FOLLOWED).map(|_| Ledger::new()).collect();
    let (mut folding, mut engaged) = (Duration::ZERO, Duration::ZERO);
    let mut rung = 0;
    for step in 0..SCANS {
        let status = match step {
            0 => Milestone::PickedUp,
            1..=6 => Milestone::InTransit,
            7 => Milestone::AtDestination,
            8 => Milestone::OutForDelivery,
            _ => Milestone::Delivered,
        };
        for chunk in (0..FOLLOWED).step_by(500) {
            let moment = |n: u64| at(step * 480 + n * 480 / FOLLOWED);
            let (parcels, took) = timed(|| {
                let fold_one = |n: u64| {
                    let (ledger, now) = (&mut ledgers[n as usize], moment(n));
                    ledger.merge([Scan { text: n + step, seen_at: now, ..Scan::new(now, status) }]);
                    fold(ledger, Known { shipped: None, now })
                };
                (chunk..chunk + 500).map(fold_one).collect::<Vec<_>>()
            });
            folding += took;
            let seen = |(n, parcel): (u64, &Parcel)| scanned(n, moment(n), parcel.milestone);
            let observations: Vec<_> = (chunk..).zip(&parcels).map(seen).collect();
            let (told, took) = timed(|| {
                let mut told = 0;
                for (n, observation) in (chunk..).zip(&observations) {
                    let now = moment(n);
                    while engine.next_wake().is_some_and(|wake| wake < now) {
                        told += engine.advance(now).rings().count();
                    }
                    told += engine.observe(observation, now).rings().count();
                }
                told
            });
            engaged += took;
            rung += told;
        }
    }
    let all = FOLLOWED * SCANS;
    println!(
        "{name}: {all} scans, fold {:.0}/s, engine {:.0}/s, both {:.0}/s on one core; {rung} rung",
        per_second(all, folding),
        per_second(all, engaged),
        per_second(all, folding + engaged)
    );
}

/// A million open orders of 100,000 lanes, and what happens at midnight.
fn night(name: &str, policy: &str) {
    let before = LIVE.load(Ordering::Relaxed);
    let mut engine = engine(policy);
    for n in 0..OPEN {
        let now = at(n * 1440 / OPEN);
        engine.observe(
            &seen("order", n, now, &[("shipped", now), ("deliver_by", now + Span::DAY.times(9))]),
            now,
        );
    }
    println!(
        "{name}: {OPEN} open orders, {} bytes each",
        (LIVE.load(Ordering::Relaxed) - before) / OPEN as usize
    );
    for day in 1..=3 {
        // Some arrive, so that something is learned.
        for n in (0..OPEN).filter(|n| n % 20 == day) {
            let now = at((day - 1) * 1440 + 1400) + Span::from_millis(n as i64 * 2);
            engine.observe(&seen("order", n, now, &[("delivered", now)]), now);
        }
        let midnight = at(day * 1440);
        let before = LIVE.load(Ordering::Relaxed);
        let (mut steps, mut first, mut longest, mut whole) =
            (0, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        while engine.next_wake().is_some_and(|wake| wake <= midnight) {
            let took = timed(|| engine.advance(midnight)).1;
            if steps == 0 {
                first = took
            } else {
                longest = longest.max(took)
            }
            (steps, whole) = (steps + 1, whole + took);
        }
        let Some(learned) = engine.learned() else { continue };
        println!(
            "{name}: midnight {day}: {steps} steps, {whole:?}; the first, \
             which learns the day, {first:?}, \
             the longest other {longest:?}; {} lanes, regions and carriers, {:+.1} MiB",
            learned.lateness().lane_count(),
            (LIVE.load(Ordering::Relaxed) as f64 - before as f64) / f64::from(1 << 20)
        );
    }
}

/// The lanes alone, with two open parcels each.
fn lanes() {
    let routes: Vec<Route> =
        (0..LANES).map(|n| Route::new("yto", &(n / 320).to_string(), &(n % 320).to_string())).collect();
    let before = LIVE.load(Ordering::Relaxed);
    let mut model = Lateness::default();
    model.advance(&TimeZone::UTC, at(0));
    routes.iter().for_each(|route| (0..2).for_each(|n| model.began(*route, at(n * 700))));
    model.advance(&TimeZone::UTC, at(1440));
    println!(
        "{} lanes, regions and carriers: {:.1} MiB",
        model.lane_count(),
        (LIVE.load(Ordering::Relaxed) - before) as f64 / f64::from(1 << 20)
    );
}

fn main() {
    lanes();
    for (name, policy) in [("fixed", FIXED), ("learned", LEARNED), ("fixed again", FIXED)] {
        scans(name, policy);
    }
    for (name, policy) in [("fixed", FIXED), ("learned", LEARNED)] {
        memory(name, policy);
        night(name, policy);
    }
}
