//! What a million open cases cost: bytes a case, inserts a second, and steps that fire 10,000 of them each.
//!
//! `cargo bench --bench memory`. The bytes come from a counting allocator, so they are what was asked for, not what the
//! allocator rounds it up to.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant as Wall};

use mimalloc::MiMalloc;
use shiftbell::core::engine::{Engine, Verdict};
use shiftbell::core::time::Span;

mod common;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Counting costs time: it is off while time is measured.
static COUNTS: AtomicBool = AtomicBool::new(false);

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
// SAFETY: every call goes to the program's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { MiMalloc.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CASES: u64 = 1_000_000;
const DUE: u64 = 10_000;
/// How many times 10,000 come due. The first has the system hand out fresh pages for what is told; a desk that has run
/// for an hour has them.
const BATCHES: u64 = 5;

/// Fills an engine; answers it, the bytes of text that the cases brought, and the time spent in the engine.
#[expect(clippy::disallowed_methods, reason = "a bench measures wall time")]
fn filled() -> (Engine, usize, Duration) {
    let mut engine = common::engine(common::POLICY);
    let now = common::ten();
    let (mut text, mut inserting) = (0, Duration::ZERO);
    for chunk in 0..CASES / 10_000 {
        // Observations are made outside of what is measured.
        let tickets: Vec<_> = (0..10_000)
            .map(|i| {
                let n = chunk * 10_000 + i;
                // The last ones come due 10,000 at a time; all others were asked within the last ten minutes.
                let opened = match (CASES - 1 - n) / DUE {
                    batch if batch < BATCHES => now - Span::from_minutes(11) - Span::from_secs(batch as i64),
                    _ => now - Span::from_millis((n.wrapping_mul(7919) % 600_000) as i64),
                };
                common::ticket(n, opened)
            })
            .collect();
        text += tickets.iter().map(common::text_of).sum::<usize>();
        let start = Wall::now();
        for ticket in &tickets {
            black_box(engine.observe(ticket, now));
        }
        inserting += start.elapsed();
    }
    (engine, text, inserting)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures wall time")]
fn main() {
    let now = common::ten();
    for _ in 0..2 {
        let (engine, _, inserting) = filled();
        println!("insert: {:.0} cases/s", CASES as f64 / inserting.as_secs_f64());
        drop(engine);
    }
    COUNTS.store(true, Ordering::Relaxed);
    let (mut engine, text, _) = filled();
    let live = LIVE.load(Ordering::Relaxed);
    COUNTS.store(false, Ordering::Relaxed);
    println!("cases: {CASES}, open clocks: {}", 2 * CASES);
    println!(
        "memory: {} bytes a case, {} of them its own text: {} beyond",
        live / CASES as usize,
        text / CASES as usize,
        (live - text) / CASES as usize
    );
    engine.advance(now);
    // Let the 50 % of everybody pass, up to just before the first 10,000 come due.
    for batch in (0..BATCHES).rev() {
        let due = now + Span::from_minutes(9) - Span::from_secs(batch as i64);
        engine.advance(due);
        // `due` fires one millisecond later for the 10,000, and for next to nobody else.
        let start = Wall::now();
        let changes = engine.advance(due + Span::MILLISECOND);
        let took = start.elapsed();
        let rung = changes.crossings.iter().filter(|c| matches!(c.verdict, Verdict::Rung { .. })).count();
        println!("advance: {} crossings, {rung} rung, in {took:?}", changes.crossings.len());
    }
}
