//! What a million open parcels cost that are watched by the rules as they are shipped and by what was learned: bytes each,
//! scans a second, and the night.
//!
//! `cargo bench --bench parcels`. Every figure stands beside that of the same parcels without rules, or of a rule with a
//! fixed limit, in the same run. What is told of a parcel is what a courier's reader makes of its scans, in the shapes of
//! real numbers, cities and nodes. Bytes come from a counting allocator, times are those that one core worked, whatever
//! else the machine did.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use mimalloc::MiMalloc;
use rustix::time::{ClockId, clock_gettime};
use shiftbell::config::load_settings;
use shiftbell::core::calendar::Era;
use shiftbell::core::clock::PolicyConfig;
use shiftbell::core::engine::Engine;
use shiftbell::core::model::{Mark, Observation, Value};
use shiftbell::core::parcel::Route;
use shiftbell::core::parcel::lateness::{Lateness, LatenessConfig};
use shiftbell::core::parcel::learned::LearnedSetup;
use shiftbell::core::parcel::stall::StallConfig;
use shiftbell::core::problem::Problems;
use shiftbell::core::time::{Instant, Span};

mod common;

use common::parcels::{Followed, SCANS};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
// SAFETY: every call goes to the program's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if live > PEAK.load(Ordering::Relaxed) {
            PEAK.store(live, Ordering::Relaxed);
        }
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
/// Parcels whose scans are followed from the first to the last.
const FOLLOWED: u64 = 20_000;

fn learned() -> LearnedSetup {
    LearnedSetup { lateness: LatenessConfig::default(), stall: StallConfig::default(), zone: TimeZone::UTC }
}

fn engine(policy: &str) -> Engine {
    let mut engine = common::engine(policy);
    if policy == LEARNED {
        engine.learn(learned());
    }
    engine
}

/// By which rules parcels are watched.
#[derive(Clone, Copy, Debug)]
enum Rules {
    /// None: what is told is merged and kept.
    None,
    /// Those that are shipped, as a desk loads them.
    Shipped,
    /// The same, and what is learned.
    Adaptive,
}

impl Rules {
    fn engine(self) -> Engine {
        let main = std::env::temp_dir().join(format!("parcels-{}.toml", std::process::id()));
        let text = "include = [\"builtin:policies/parcels.toml\", \"builtin:shiftbell.toml\"]\n";
        std::fs::write(&main, text).expect("a file can be written");
        let ready = load_settings(Path::new(&main), &BTreeMap::new(), None).expect("the shipped settings");
        std::fs::remove_file(&main).expect("it was written");
        let mut policy = ready.policy;
        if matches!(self, Rules::None) {
            policy = PolicyConfig { clock: Vec::new(), condition: Vec::new(), overlay: Vec::new(), ..policy };
        }
        let mut problems = Problems::new();
        let mut engine = Engine::new("desk", &policy, None, Era::DEFAULT, &mut problems)
            .unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
        if matches!(self, Rules::Adaptive) {
            engine.learn(learned());
        }
        engine
    }
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

/// A million parcels of two or three scans each, all of them open.
fn memory(rules: Rules) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut engine = rules.engine();
    let (mut took, mut count, mut peak) = (Duration::ZERO, 0, 0);
    for part in 0..3 {
        for chunk in 0..OPEN / 1_000 {
            let now = at(part * 900 + 60 + chunk * 900 * 1_000 / OPEN);
            let shipped = now - Span::from_minutes(60 + part as i64 * 900);
            let own = LIVE.load(Ordering::Relaxed);
            // Every other one has two scans.
            let scanned = (chunk * 1_000..).take(1_000).filter(|n| part < 2 || n % 2 == 1);
            let scans: Vec<_> = scanned
                .map(|n| {
                    let mut parcel = Followed::new(n, shipped);
                    for earlier in 0..part {
                        parcel.scanned(shipped + Span::from_minutes(60 + earlier as i64 * 900));
                    }
                    parcel.scanned(now)
                })
                .collect();
            let told = LIVE.load(Ordering::Relaxed) - own;
            PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
            count += scans.len() as u64;
            took += timed(|| {
                while engine.next_wake().is_some_and(|wake| wake < now) {
                    black_box(engine.advance(now));
                }
                scans.iter().for_each(|scan| drop(black_box(engine.observe_all(scan, now, |_| ()))));
            })
            .1;
            peak = peak.max(PEAK.load(Ordering::Relaxed) - told);
        }
    }
    let settled = LIVE.load(Ordering::Relaxed);
    let keys = engine.learned().map_or(0, |learned| learned.gaps().key_count());
    println!(
        "{rules:?}: {OPEN} open parcels of two or three scans, {} bytes each (at the peak {}) \
         with all that is learned ({keys} kinds of gaps), {:.0} scans/s",
        (settled - before) / OPEN as usize,
        (peak - before) / OPEN as usize,
        per_second(count, took)
    );
}

/// Parcels from their first scan to their delivery: what is said of each is folded, and goes into the engine.
fn scans(rules: Rules) {
    let mut engine = rules.engine();
    let mut parcels: Vec<Followed> =
        (0..FOLLOWED).map(|n| Followed::new(n, at(n * 480 / FOLLOWED))).collect();
    let (mut folding, mut engaged) = (Duration::ZERO, Duration::ZERO);
    let mut rung = 0;
    for step in 0..SCANS {
        for chunk in (0..FOLLOWED).step_by(500) {
            let moment = |n: u64| at(60 + step * 480 + n * 480 / FOLLOWED);
            let parcels = &mut parcels[chunk as usize..][..500];
            let (seen, took) = timed(|| {
                let scan = |(n, parcel): (u64, &mut Followed)| (moment(n), parcel.scanned(moment(n)));
                (chunk..).zip(parcels).map(scan).collect::<Vec<_>>()
            });
            folding += took;
            let (told, took) = timed(|| {
                let mut told = 0;
                for (now, scan) in &seen {
                    while engine.next_wake().is_some_and(|wake| wake < *now) {
                        told += engine.advance(*now).rings().count();
                    }
                    told += engine.observe_all(scan, *now, |_| ()).rings().count();
                }
                told
            });
            engaged += took;
            rung += told;
        }
    }
    let all = FOLLOWED * SCANS;
    println!(
        "{rules:?}: {all} scans, fold {:.0}/s, engine {:.0}/s, both {:.0}/s on one core; {rung} rung",
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
    for rules in [Rules::None, Rules::Shipped, Rules::Adaptive, Rules::None, Rules::Adaptive] {
        scans(rules);
    }
    for rules in [Rules::None, Rules::Adaptive] {
        memory(rules);
    }
    for (name, policy) in [("fixed", FIXED), ("learned", LEARNED)] {
        night(name, policy);
    }
}
