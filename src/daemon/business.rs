//! The time that decisions are made at (`delivery_semantics` §3, T2, T3): the wall clock while it can be believed, the
//! counter of elapsed time while it cannot.
//!
//! A pure value: it is shown readings and evidence, and says what time it is and what happened to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::time::{Instant, Span};
use crate::daemon::time::Reading;

/// Wall clock and counter may differ by so much between two looks (`CLOCK_JUMP`).
pub const CLOCK_JUMP: Span = Span::from_secs(2);
/// A jump is judged within this, where there is something to judge it by.
pub const JUDGED_WITHIN: Span = Span::from_secs(10);
/// Without evidence a jump is believed after this.
pub const BELIEVED_AFTER: Span = Span::from_secs(30);
/// Up to here a confirmed step back is waited out; a longer one rebuilds the desk at the true time.
pub const WAITED_OUT: Span = Span::from_minutes(5);
/// Statements of others about the time are good for so long; the counter carries them on.
const EVIDENCE_FOR: Span = Span::from_minutes(10);

/// What others say the time is.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// By who says so (a provider, a source): the instant of its `Date` header, and the counter when it came.
    dates: BTreeMap<Arc<str>, (Instant, Span)>,
    /// Since when, by the counter, the kernel's clock is known to be disciplined by a time server.
    synchronised: Option<Span>,
}

impl Evidence {
    /// Takes in the `Date` header of an answer.
    pub fn date(&mut self, who: Arc<str>, said: Instant, elapsed: Span) {
        const MOST: usize = 64;
        if self.dates.len() < MOST || self.dates.contains_key(&who) {
            self.dates.insert(who, (said, elapsed));
        }
    }

    /// Takes in that the machine's clock was set by a time server just now.
    pub fn synchronised(&mut self, elapsed: Span) {
        self.synchronised = Some(elapsed);
    }

    /// What the others say in the middle, carried on to `elapsed`; at least two of them must have said something.
    fn median(&self, elapsed: Span) -> Option<Instant> {
        let mut said: Vec<i64> = self
            .dates
            .values()
            .filter_map(|(date, at)| {
                let age = elapsed.as_millis() - at.as_millis();
                (0..=EVIDENCE_FOR.as_millis()).contains(&age).then(|| date.as_millis() + age)
            })
            .collect();
        said.sort_unstable();
        (said.len() >= 2).then(|| Instant::from_millis(said[said.len() / 2]))
    }
}

/// Something that happened to the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The wall clock jumped; it is not followed until it is judged (`clock_suspect`).
    Suspect {
        /// By how many milliseconds, forth or back.
        by: i64,
    },
    /// The jump was right, or had to be believed.
    Stepped {
        /// By how many milliseconds, forth or back.
        by: i64,
        /// Nobody could be asked: the sysadmin is told.
        unproven: bool,
    },
    /// The jump was wrong: time goes on by the counter, and the sysadmin is told.
    Refused {
        /// By how many milliseconds the wall clock is off.
        by: i64,
    },
    /// The wall clock came back by itself.
    Settled,
}

/// The answer of [`BusinessTime::tick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The instant to decide at. Never before the last one, but after a long step back.
    pub now: Instant,
    /// What happened.
    pub event: Option<Event>,
    /// By a step forth the time went on by so much more than the counter: timeouts, which belong to the counter, have
    /// not come any nearer.
    pub skipped: Span,
    /// The desk must be loaded again from the store at `now`: time stood still for long, or went far back (T3).
    pub rebuild: bool,
}

/// The business clock.
#[derive(Clone, Debug)]
pub struct BusinessTime {
    /// The true time as far as we know, at `elapsed`.
    truth: Instant,
    elapsed: Span,
    /// What was answered last: decisions stand still until the truth has caught up.
    told: Instant,
    doubt: Option<Doubt>,
    /// By how much the clock was ahead at the last long step back, which is known to be right: what was reached before
    /// it is not waited for.
    went_back: Option<Span>,
    /// A gap this long is a downtime.
    catch_up_after: Span,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Span,
    refused: bool,
}

impl BusinessTime {
    /// Begins with what the machine says. A gap of `catch_up_after` between two looks is a downtime (§16.2).
    pub fn new(reading: Reading, catch_up_after: Span) -> BusinessTime {
        BusinessTime {
            truth: reading.wall,
            elapsed: reading.elapsed,
            told: reading.wall,
            doubt: None,
            went_back: None,
            catch_up_after,
        }
    }

    /// Takes up the time that a desk had reached before this process: a clock that says an earlier one is doubted like one
    /// that has stepped back before our eyes.
    pub fn resume(&mut self, reached: Instant) {
        if reached > self.told {
            self.told = reached;
            self.truth = reached;
        }
    }

    /// By how much a desk that had reached a later time was ahead, where it goes back to this one (T3).
    pub fn went_back(&self) -> Option<Span> {
        self.went_back
    }

    /// What was answered last.
    pub fn now(&self) -> Instant {
        self.told
    }

    /// Whether the wall clock is not believed now.
    pub fn is_suspect(&self) -> bool {
        self.doubt.is_some()
    }

    /// Looks at the clocks.
    pub fn tick(&mut self, reading: Reading, evidence: &Evidence) -> Tick {
        let passed = Span::from_millis((reading.elapsed.as_millis() - self.elapsed.as_millis()).max(0));
        let expected = self.truth + passed;
        let off = reading.wall.as_millis() - expected.as_millis();
        self.elapsed = reading.elapsed;
        self.truth = expected;
        // The machine slept, or stood still, for long: as after a restart.
        let slept = passed > self.catch_up_after;
        if off.abs() <= CLOCK_JUMP.as_millis() {
            self.truth = reading.wall;
            let event = self.doubt.take().map(|_| Event::Settled);
            return self.answer(event, slept);
        }
        let Some(doubt) = self.doubt else {
            self.doubt = Some(Doubt { since: reading.elapsed, refused: false });
            return self.answer(Some(Event::Suspect { by: off }), slept);
        };
        let waited = Span::from_millis(reading.elapsed.as_millis() - doubt.since.as_millis());
        let agrees = |said: Instant| {
            let of_wall = (said.as_millis() - reading.wall.as_millis()).abs();
            // A `Date` header has whole seconds.
            of_wall <= CLOCK_JUMP.as_millis() + 1000
                || of_wall < (said.as_millis() - expected.as_millis()).abs() / 4
        };
        match evidence.median(reading.elapsed) {
            Some(said) if agrees(said) => self.step(reading.wall, off, false, slept),
            Some(_) if doubt.refused => self.answer(None, slept),
            Some(_) => {
                self.doubt = Some(Doubt { refused: true, ..doubt });
                self.answer(Some(Event::Refused { by: off }), slept)
            }
            // The kernel says that a time server set this clock after the jump.
            None if evidence.synchronised.is_some_and(|at| at >= doubt.since) => {
                self.step(reading.wall, off, false, slept)
            }
            None if doubt.refused => self.answer(None, slept),
            None if waited >= BELIEVED_AFTER => self.step(reading.wall, off, true, slept),
            None => self.answer(None, slept),
        }
    }

    fn step(&mut self, wall: Instant, by: i64, unproven: bool, slept: bool) -> Tick {
        // What it would have been without the step.
        let expected = self.told.max(self.truth);
        self.doubt = None;
        self.truth = wall;
        let event = Some(Event::Stepped { by, unproven });
        if by < 0 {
            let behind = self.told.as_millis() - wall.as_millis();
            if behind > WAITED_OUT.as_millis() {
                self.told = wall;
                self.went_back = Some(expected.since(wall));
                return Tick { now: wall, event, skipped: Span::ZERO, rebuild: true };
            }
            return self.answer(event, slept);
        }
        let gap = wall.since(self.told) > self.catch_up_after;
        Tick { skipped: wall.since(expected), ..self.answer(event, slept || gap) }
    }

    fn answer(&mut self, event: Option<Event>, rebuild: bool) -> Tick {
        self.told = self.told.max(self.truth);
        Tick { now: self.told, event, skipped: Span::ZERO, rebuild }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::time::{ManualTime, TimeSource};

    const START: Instant = Instant::from_secs(1_700_000_000);

    struct Story {
        time: ManualTime,
        business: BusinessTime,
        evidence: Evidence,
        events: Vec<Event>,
    }

    impl Story {
        fn new() -> Story {
            let time = ManualTime::new(START);
            let business = BusinessTime::new(time.read(), Span::from_minutes(5));
            Story { time, business, evidence: Evidence::default(), events: Vec::new() }
        }

        /// Seconds after the start that decisions are made at, one look a second, for so long.
        fn run(&mut self, seconds: i64) -> i64 {
            let mut last = self.look();
            for _ in 0..seconds {
                self.time.advance(Span::from_secs(1));
                let tick = self.look();
                assert!(tick.rebuild || tick.now >= last.now, "time went back");
                last = tick;
            }
            (last.now.as_millis() - START.as_millis()) / 1000
        }

        fn look(&mut self) -> Tick {
            let tick = self.business.tick(self.time.read(), &self.evidence);
            self.events.extend(tick.event);
            tick
        }

        /// `who` says that the time is `truth` seconds after the start.
        fn date(&mut self, who: &str, truth: i64) {
            self.evidence.date(who.into(), START + Span::from_secs(truth), self.time.read().elapsed);
        }
    }

    #[test]
    fn a_steady_clock_is_followed_and_so_is_a_slow_correction() {
        let mut story = Story::new();
        assert_eq!(story.run(60), 60);
        for _ in 0..30 {
            story.time.jump(500);
            story.run(1);
        }
        assert_eq!(story.run(0), 105);
        assert_eq!(story.events, []);
    }

    #[test]
    fn a_jump_forth_that_others_deny_moves_no_decision() {
        let mut story = Story::new();
        story.run(10);
        story.date("sms", 10);
        story.date("shop", 10);
        story.time.jump(300_000);
        assert_eq!(story.run(60), 70, "nobody is escalated early");
        assert_eq!(story.events, [Event::Suspect { by: 300_000 }, Event::Refused { by: 300_000 }]);
        assert!(story.business.is_suspect());
        // The clock is set right again.
        story.time.jump(-300_000);
        assert_eq!(story.run(1), 71);
        assert_eq!(story.events.last(), Some(&Event::Settled));
    }

    #[test]
    fn a_jump_forth_that_others_confirm_is_a_step_and_a_long_one_a_downtime() {
        for (jump, rebuild) in [(240_000, false), (3_600_000, true)] {
            let mut story = Story::new();
            story.run(10);
            story.time.jump(jump);
            assert_eq!(story.run(3), 13, "not before it is judged");
            story.date("sms", 13 + jump / 1000);
            story.date("shop", 13 + jump / 1000);
            story.time.advance(Span::from_secs(1));
            let tick = story.look();
            assert_eq!(tick.now, START + Span::from_secs(14 + jump / 1000));
            assert_eq!(tick.skipped, Span::from_millis(jump), "and no timeout has come nearer");
            assert_eq!(tick.rebuild, rebuild);
            assert_eq!(story.events.last(), Some(&Event::Stepped { by: jump, unproven: false }));
        }
    }

    #[test]
    fn one_voice_is_none_and_without_evidence_a_jump_is_believed_after_half_a_minute() {
        let mut story = Story::new();
        story.run(10);
        story.date("sms", 10);
        story.time.jump(60_000);
        assert_eq!(story.run(29), 39);
        assert_eq!(story.run(2), 101);
        let stepped = Event::Stepped { by: 60_000, unproven: true };
        assert_eq!(story.events, [Event::Suspect { by: 60_000 }, stepped]);
    }

    #[test]
    fn the_kernel_is_believed_when_it_was_set_after_the_jump() {
        let mut story = Story::new();
        story.evidence.synchronised(story.time.read().elapsed);
        story.run(10);
        story.time.jump(60_000);
        assert_eq!(story.run(5), 15, "it was set before");
        story.evidence.synchronised(story.time.read().elapsed);
        assert_eq!(story.run(1), 76);
    }

    #[test]
    fn after_a_short_step_back_decisions_wait_for_the_truth() {
        let mut story = Story::new();
        story.run(400);
        story.date("sms", 280);
        story.date("shop", 280);
        story.time.jump(-120_000);
        assert_eq!(story.run(2), 400, "decisions stand still");
        assert_eq!(story.events.last(), Some(&Event::Stepped { by: -120_000, unproven: false }));
        assert_eq!(story.run(100), 400, "what was decided stays decided");
        assert_eq!(story.run(30), 412);
    }

    #[test]
    fn a_long_step_back_begins_again_at_the_truth() {
        let mut story = Story::new();
        story.run(4000);
        story.time.jump(-3_600_000);
        story.look();
        story.date("sms", 400);
        story.date("shop", 400);
        let tick = story.look();
        assert_eq!((tick.now, tick.rebuild), (START + Span::from_secs(400), true));
        assert_eq!(story.run(10), 410);
    }

    #[test]
    fn a_host_that_slept_is_back_after_a_downtime_and_nothing_is_suspect() {
        let mut story = Story::new();
        story.run(10);
        story.time.advance(Span::from_minutes(40));
        let tick = story.look();
        assert_eq!((tick.now, tick.event, tick.rebuild), (START + Span::from_secs(2410), None, true));
        assert!(!story.look().rebuild);
    }

    #[test]
    fn old_evidence_counts_for_nothing() {
        let mut story = Story::new();
        story.date("sms", 0);
        story.date("shop", 0);
        story.run(601);
        story.time.jump(60_000);
        story.run(29);
        assert_eq!(story.events, [Event::Suspect { by: 60_000 }]);
    }
}
