//! What it costs to know which parcels will be late, and which are stalled: 100,000 lanes, a million open parcels.
//!
//! `cargo bench --bench lateness`. Bytes come from a counting allocator. Instants are compared with what a plain
//! countdown to the promise costs in the same run.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as Wall;

use jiff::tz::TimeZone;
use mimalloc::MiMalloc;
use shiftbell::core::parcel::Route;
use shiftbell::core::parcel::lateness::{Facts, LANES, Lateness, Lookout, Notice, Rule};
use shiftbell::core::parcel::stall::{Gap, GapClock, KEYS, Stage};
use shiftbell::core::time::{Instant, Span};

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

/// 2026-01-05T00:00:00Z, a Monday.
const START: i64 = 1_767_571_200;
/// Parcels that come and go, ten a lane.
const PARCELS: u64 = 10 * LANES as u64;
const OPEN: u32 = 1_000_000;
const ASKED: u64 = 1_000_000;

fn at(minutes: u64) -> Instant {
    Instant::from_secs(START + minutes as i64 * 60)
}

fn route(lane: u64) -> Route {
    let lane = lane % LANES as u64;
    Route::new("yto", &format!("from {}", lane / 320), &format!("to {}", lane % 320))
}

/// Runs `work` and says how many of `n` it does a second.
#[expect(clippy::disallowed_methods, reason = "a bench measures wall time")]
fn timed<T>(what: &str, n: u64, work: impl FnOnce() -> T) -> T {
    let start = Wall::now();
    let done = black_box(work());
    let took = start.elapsed();
    println!("{what}: {:.0}/s, {:.3} s", n as f64 / took.as_secs_f64(), took.as_secs_f64());
    done
}

fn main() {
    let routes: Vec<Route> = (0..LANES as u64).map(route).collect();
    let way = |n: u64| routes[(n.wrapping_mul(7919) % LANES as u64) as usize];

    let before = LIVE.load(Ordering::Relaxed);
    let mut model = Lateness::default();
    let zone = TimeZone::UTC;
    timed("learn, begun and delivered, with the midnights", 2 * PARCELS, || {
        for day in 0..30_u64 {
            model.advance(&zone, at(day * 1440));
            let a_day = PARCELS / 25;
            if day < 25 {
                (0..a_day).for_each(|n| model.began(way(day * a_day + n), at(day * 1440 + n % 1440)));
            }
            if let Some(begun) = day.checked_sub(4).filter(|day| *day < 25) {
                for n in 0..a_day {
                    let began = at(begun * 1440 + n % 1440);
                    model.delivered(
                        way(begun * a_day + n),
                        began,
                        began + Span::from_minutes(4320 + n as i64 % 1440),
                    );
                }
            }
        }
        model.advance(&zone, at(30 * 1440));
    });
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    println!(
        "memory: {} lanes, regions and carriers, {:.1} MiB, {} bytes each",
        model.lane_count(),
        bytes as f64 / (1 << 20) as f64,
        bytes / model.lane_count()
    );

    let notice = Notice::default();
    let (began, promise, now) = (at(28 * 1440), at(34 * 1440), at(30 * 1440));
    timed("alarm_at, another lane each time", ASKED, || {
        (0..ASKED)
            .filter_map(|n| notice.alarm_at(model.forecast(way(n)).as_ref(), began, promise, now))
            .count()
    });
    let forecast = model.forecast(way(0));
    timed("alarm_at, one lane", ASKED, || {
        let parcels = (0..ASKED).map(|n| began + Span::from_minutes(n as i64 % 1440));
        parcels.filter_map(|began| notice.alarm_at(forecast.as_ref(), began, promise, now)).count()
    });
    timed("a plain countdown", ASKED, || {
        let parcels = (0..ASKED).map(|n| began + Span::from_minutes(n as i64 % 1440));
        parcels.filter_map(|began| notice.alarm_at(None, began, promise, now)).count()
    });
    drop(model);

    let before = LIVE.load(Ordering::Relaxed);
    let mut lookout = Lookout::new(vec![Rule::Notice(notice)], zone);
    timed("parcels taken in", u64::from(OPEN), || {
        for n in 0..OPEN {
            let began = at(u64::from(n) * 1440 / u64::from(OPEN));
            let route = Some(way(u64::from(n)));
            let facts = Facts { route, began: Some(began), promise: Some(at(9 * 1440)), ..Facts::default() };
            lookout.changed(n, &Facts::default(), &facts, began);
        }
    });
    timed("open parcels at midnight, learned and planned", u64::from(OPEN), || lookout.advance(at(1440)));
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    println!("memory: {} bytes an open parcel, the lanes with it", bytes / OPEN as usize);
    timed("the same a day later", u64::from(OPEN), || lookout.advance(at(2 * 1440)));
    drop(lookout);

    let before = LIVE.load(Ordering::Relaxed);
    let mut clock = GapClock::default();
    let gap = |n: u64| Gap {
        stage: Stage::InTransit,
        route: routes[(n % (KEYS as u64 - 2)) as usize],
        limit: Span::from_minutes(72 * 60),
    };
    timed("gaps ended", ASKED, || {
        (0..ASKED)
            .for_each(|n| clock.ended(&gap(n), Span::from_minutes(60 + n as i64 % 3000), 1.0, at(n / 1000)))
    });
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    println!("memory: {} keys, {:.1} MiB", clock.key_count(), bytes as f64 / (1 << 20) as f64);
    timed("stalls asked", ASKED, || {
        (0..ASKED).map(|n| clock.stall(&gap(n), 0.005, at(1000)).after.as_secs()).max()
    });
}
