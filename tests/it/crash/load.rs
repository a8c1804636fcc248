//! A stream of observations and answers that goes on while the program is killed and started again, and the laws that
//! must hold afterwards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::receivers::Arrived;
use super::way::{Ack, Way, now};
use super::world::World;

/// A number of the environment.
pub(super) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The same numbers for the same seed.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn seeded(what: &str) -> Draw {
        let seed = number("SHIFTBELL_SEED", 0x5eed);
        println!("{what}: SHIFTBELL_SEED={seed}");
        Draw(seed | 1)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn more(&mut self) -> Draw {
        Draw(self.below(u64::MAX) | 1)
    }
}

/// What was said, and what of it was confirmed.
#[derive(Default)]
pub(super) struct Said {
    /// Not confirmed: to be said again, as a system that pushes must.
    waiting: Vec<(String, i64)>,
    confirmed: Vec<String>,
    acks: Vec<Ack>,
}

/// The stream.
#[derive(Default)]
pub(super) struct Load {
    said: Mutex<Said>,
    over: AtomicBool,
}

impl Load {
    /// Runs `faults` while the stream goes on, then lets it end and holds the laws. `run` leaves the program stopped.
    pub(super) fn around(world: &mut World, draw: &mut Draw, run: impl FnOnce(&mut World, &mut Draw, &Load)) {
        let load = Load::default();
        let way = (**world).clone();
        let mut own = draw.more();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !load.over.load(Ordering::SeqCst) {
                    load.turn(&way, &mut own);
                    std::thread::sleep(Duration::from_millis(20 + own.below(80)));
                }
            });
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(world, draw, &load)));
            load.over.store(true, Ordering::SeqCst);
            if let Err(cause) = ran {
                std::panic::resume_unwind(cause);
            }
        });
        load.settle(world);
    }

    /// How many were confirmed so far.
    pub(super) fn confirmed(&self) -> usize {
        self.said.lock().unwrap().confirmed.len()
    }

    /// Says something new, and what was not confirmed; acks something.
    fn turn(&self, world: &Way, draw: &mut Draw) {
        let new = world.fresh(1 + draw.below(3) as usize);
        let mut said = self.said.lock().unwrap();
        said.waiting.extend(new.into_iter().map(|id| (id, now())));
        self.say(&mut said, |batch| world.post(batch));
        drop(said);
        if draw.below(3) == 0
            && let Some(ack) = world.ack_one()
        {
            self.said.lock().unwrap().acks.push(ack);
        }
    }

    fn say(&self, said: &mut Said, post: impl Fn(&[(String, i64)]) -> Option<Vec<bool>>) {
        let batch: Vec<(String, i64)> = said.waiting.iter().take(500).cloned().collect();
        let Some(kept) = post(&batch) else { return };
        for ((id, _), _) in batch.iter().zip(&kept).filter(|(_, kept)| **kept) {
            said.confirmed.push(id.clone());
        }
        let mut kept = kept.into_iter();
        said.waiting.retain(|_| !kept.next().unwrap_or(false));
    }

    /// Everything is confirmed at last, everything confirmed was told, every confirmed ack holds.
    fn settle(self, world: &World) {
        let program = world.start_ready();
        let mut said = self.said.lock().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !said.waiting.is_empty() {
            self.say(&mut said, |batch| world.post(batch));
            assert!(
                Instant::now() < until,
                "{} cannot be confirmed\n{}{}",
                said.waiting.len(),
                world.sizes(),
                world.log()
            );
        }
        // Whoever acked before the first message left spared it: nobody needs to be told then (R8).
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let unseen = |arrived: &Arrived| -> Vec<&String> {
                said.confirmed.iter().filter(|id| !arrived.is_seen(id)).collect()
            };
            let mut missing = world.receivers.with(unseen);
            if !missing.is_empty() {
                let spared = world.acked_tickets();
                missing.retain(|id| !spared.contains(*id));
            }
            if missing.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "never told of {missing:?} (I1, I2)\n{}", world.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        for ack in &said.acks {
            assert!(world.is_acked(ack), "the confirmed ack of {ack:?} is lost (I13)\n{}", world.log());
        }
        println!(
            "{} tickets confirmed and told, {} acks confirmed and kept",
            said.confirmed.len(),
            said.acks.len()
        );
        world.check_quiet(program);
    }
}

/// Random instants under load, with people who answer.
#[test]
fn random_instants() {
    let kills = number("SHIFTBELL_KILLS", 30);
    let mut draw = Draw::seeded("random instants");
    let mut world = World::new();
    world.receivers.script.delay_ms.store(20, Ordering::SeqCst);
    Load::around(&mut world, &mut draw, |world, draw, load| {
        for _ in 0..kills {
            // Some die before they are up.
            let program = match draw.below(8) {
                0 => world.start(None),
                _ => world.start_ready(),
            };
            std::thread::sleep(Duration::from_millis(30 + draw.below(1200)));
            program.kill();
            world.faults += 1;
        }
        assert!(load.confirmed() > kills as usize, "{} confirmed: that is no load", load.confirmed());
    });
}
