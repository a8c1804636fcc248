//! One desk in a hostile world, in virtual time: what happens outside goes in, every step is committed, then its effects
//! leave. The process may die between any two of these.

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::channels::render::Templates;
use crate::core::alerting::{Claim, Letter, RenderFault, Renderer, Response, Room, Setup, Signal};
use crate::core::clock::ReloadMode;
use crate::core::engine::Desk;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{Body, Outcome, Row, Statement, Table};
use crate::core::time::{Instant, Span};
use crate::daemon::blueprint::{Blueprint, Earlier, guarded};
use crate::daemon::business::{BusinessTime, Evidence};
use crate::daemon::time::Reading;
use crate::store::Store;

use super::busy::{self, Phones};
use super::invariants::{self, Found, Step};
use super::kept::Kept;
use super::land::{DESK, KEY, Land};
use super::outside::Happening;
use super::profile::Profile;
use super::provider::Provider;
use super::random::Dice;
use super::source::Source;
use super::trace::{Trace, What};

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// What the step changed is lost (W2, W5).
    BeforeCommit,
    /// The claims never leave (W8).
    AfterCommit,
    /// Some of the claims have left (W9).
    WhileSending,
    /// All of them have left, and what came of them is lost (W10).
    AfterSending,
    /// The store refuses the write: the desk is dropped, the process is not (W21).
    Refused,
}

/// A desk, its store, and everything around it.
pub struct World {
    pub(super) dice: Dice,
    pub(super) profile: Profile,
    pub(super) land: Land,
    pub(super) setup: Arc<Setup>,
    store: Arc<dyn Store>,
    pub(super) kept: Kept,
    pub(super) trace: Trace,
    pub(super) found: Vec<Found>,
    desk: Option<Desk>,
    /// In ms since the beginning, by a counter that never jumps.
    pub(super) elapsed: i64,
    base: Instant,
    /// By how much the machine's clock is off what it was.
    pub(super) offset: i64,
    /// And that of the rest of the world.
    pub(super) truth_offset: i64,
    business: BusinessTime,
    pub(super) evidence: Evidence,
    /// The business clock does not follow the counter at present.
    stands: bool,
    /// The instant of the last commit.
    latest: Instant,
    /// The desk was loaded, and has had no turn yet.
    fresh: bool,
    pub(super) queue: BTreeMap<(i64, u64), Happening>,
    pub(super) order: u64,
    pub(super) providers: BTreeMap<Arc<str>, Provider>,
    /// Real channels, in place of the providers that go by their cards.
    pub(super) phones: Option<Phones>,
    renderer: Arc<dyn Renderer + Send + Sync>,
    pub(super) sources: Vec<Source>,
    pub(super) blind_since: Vec<Instant>,
    boot: u64,
    flying: BTreeMap<(Id, u32), Arc<str>>,
    asking: BTreeSet<Id>,
    pub(super) death: Option<Death>,
    pub(super) calm: bool,
    pub(super) signals: Vec<Signal>,
    pub(super) answers: u64,
    turn: Turn,
    commits: u64,
    broken: bool,
}

/// What a turn has gathered: done when it is kept.
/// What somebody asked, in which words, and how long what they have already was to hold.
type Asked = (Response, String, Vec<(Id, Instant)>);

#[derive(Default)]
struct Turn {
    answers: Vec<Asked>,
    cursors: Vec<(usize, usize)>,
    statements: Vec<(Statement, u32)>,
    reports: Vec<(Id, u32, Outcome)>,
    signals: Vec<Signal>,
}

/// Says everything that it is shown, so that whatever must not be said would be found.
struct Blunt;

impl Renderer for Blunt {
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
        let items: Vec<String> =
            letter.items.iter().map(|i| format!("{} L{} {:?}", i.subject, i.level, i.facts)).collect();
        let text = format!(
            "{} {} of {}: {} {}{}",
            letter.purpose.word(),
            items.len(),
            letter.total,
            items.join(","),
            letter.remark.unwrap_or_default(),
            if letter.marked { "(可能重复)" } else { "" }
        );
        Ok(Body { text, ..Body::default() })
    }
}

/// Wakes whoever waits for a store that works on a thread of its own.
struct Waiting(std::thread::Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The answer of a store. Virtual time stands still meanwhile.
fn wait<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Waiting(std::thread::current())));
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        std::thread::park();
    }
}

impl World {
    /// The world of a seed, that ends after so long, over a store that is empty.
    ///
    /// # Errors
    /// The land of the seed is wrong.
    pub fn new(seed: u64, length: Span, store: Arc<dyn Store>) -> Result<World, String> {
        let mut dice = Dice::new(seed);
        let profile = Profile::new(&mut dice);
        let land = Land::new(&mut dice.fork());
        let mut world = World::of(dice, profile, land, store)?;
        world.plan(length);
        Ok(world)
    }

    /// A busy day of a seed, with real channels, over a store that is empty. `mend` may change the land first.
    ///
    /// # Errors
    /// The land of the seed, or a channel, is wrong.
    pub fn busy(
        seed: u64,
        length: Span,
        store: Arc<dyn Store>,
        mend: impl FnOnce(&mut Land),
    ) -> Result<World, String> {
        let mut dice = Dice::new(seed);
        let profile = busy::profile(&mut dice);
        let phones = Phones::new(dice.fork())?;
        let mut land = busy::land(&mut dice.fork(), phones.cards());
        mend(&mut land);
        let mut world = World::of(dice, profile, land, store)?;
        world.phones = Some(phones);
        world.renderer = Arc::new(Templates::load(None));
        world.plan(length);
        Ok(world)
    }

    fn of(mut dice: Dice, profile: Profile, land: Land, store: Arc<dyn Store>) -> Result<World, String> {
        let setup = Arc::new(land.setup()?);
        let day = dice.between(0, 3);
        let base = Instant::from_secs(1_772_380_800) + Span::from_minutes(day * 1440 + dice.between(0, 1439));
        let providers = land
            .channels
            .iter()
            .map(|(name, card)| (name.clone(), Provider::new(card.clone(), dice.fork())))
            .collect();
        let reading = Reading { wall: base, elapsed: Span::ZERO };
        Ok(World {
            business: BusinessTime::new(reading, land.config.catch_up_after),
            dice,
            profile,
            land,
            setup,
            store,
            kept: Kept::default(),
            trace: Trace::default(),
            found: Vec::new(),
            desk: None,
            elapsed: 0,
            base,
            offset: 0,
            truth_offset: 0,
            evidence: Evidence::default(),
            stands: false,
            latest: base,
            fresh: false,
            queue: BTreeMap::new(),
            order: 0,
            providers,
            phones: None,
            renderer: Arc::new(Blunt),
            sources: vec![Source::new("tmall"), Source::new("jd")],
            blind_since: vec![base; 2],
            boot: 0,
            flying: BTreeMap::new(),
            asking: BTreeSet::new(),
            death: None,
            calm: false,
            signals: Vec::new(),
            answers: 0,
            turn: Turn::default(),
            commits: 0,
            broken: false,
        })
    }

    /// What is going to happen.
    fn plan(&mut self, length: Span) {
        let profile = self.profile.clone();
        self.later(Span::ZERO, Happening::Up);
        self.later(Span::from_secs(1), Happening::Ticket);
        self.later(Span::from_secs(30), Happening::Person);
        self.later(Span::from_millis(length.as_millis() * 3 / 4), Happening::Calm);
        for source in 0..self.sources.len() {
            self.later(Span::from_secs(2), Happening::Poll(source));
            if profile.blindness {
                let after = self.dice.span(300, 6000);
                self.later(after, Happening::Blind(source));
            }
        }
        if profile.storms {
            let after = self.dice.span(60, 4000);
            self.later(after, Happening::Storm);
        }
        for (on, to, happening) in [
            (profile.weather > 0, 600, Happening::Weather),
            (profile.deaths > 0, 2000, Happening::Die),
            (profile.jumps, 5000, Happening::Jump),
            (profile.reloads, 5000, Happening::Reload),
            (profile.rushes > 0, 1200, Happening::Rush),
        ] {
            if on {
                let after = self.dice.span(20, to);
                self.later(after, happening);
            }
        }
    }

    /// Lets everything happen up to the end.
    pub fn run(&mut self, length: Span) {
        let end = length.as_millis();
        let (mut still, mut last) = (0, -1);
        while !self.broken {
            let next = self.next();
            if next > end {
                break;
            }
            self.elapsed = self.elapsed.max(next);
            still = if self.elapsed == last { still + 1 } else { 0 };
            last = self.elapsed;
            if still > 2_000 {
                let wake = self.desk.as_ref().and_then(Desk::next_wake);
                self.fail("time", format!("time stands still: the desk wants to be woken at {wake:?}"));
                return;
            }
            self.tick();
            while let Some(((at, _), happening)) = self.queue.pop_first() {
                if at > self.elapsed {
                    self.later(Span::from_millis(at - self.elapsed), happening);
                    break;
                }
                self.happen(happening);
            }
            self.close_turn();
        }
        self.rest();
    }

    /// The next instant at which something has to be done, by the counter.
    fn next(&self) -> i64 {
        let first = self.queue.keys().next().map_or(i64::MAX, |(at, _)| *at);
        let Some(desk) = &self.desk else { return first };
        if self.fresh {
            return self.elapsed;
        }
        let slow = if self.stands { self.elapsed + 1000 } else { i64::MAX };
        let wake = desk.next_wake().map_or(i64::MAX, |at| {
            let wait = at.as_millis().saturating_sub(self.now().as_millis());
            self.elapsed.saturating_add(wait.max(5))
        });
        // While it stands, only the tick can tell when the wake has come.
        first.min(if self.stands { slow } else { wake })
    }

    /// The business clock: as the desk has it, which goes back only where that is known to be right (T3).
    pub(super) fn now(&self) -> Instant {
        self.business.now().max(self.latest)
    }

    /// The time of the world outside.
    pub(super) fn truth(&self) -> Instant {
        self.at(self.elapsed + self.truth_offset)
    }

    fn at(&self, millis: i64) -> Instant {
        Instant::from_millis(self.base.as_millis() + millis)
    }

    fn reading(&self) -> Reading {
        let wall = self.at(self.elapsed + self.offset);
        Reading { wall, elapsed: Span::from_millis(self.elapsed) }
    }

    /// Others say what time it is.
    pub(super) fn dates(&mut self) {
        for who in ["provider", "platform", "other"] {
            self.evidence.date(who.into(), self.truth(), Span::from_millis(self.elapsed));
        }
    }

    fn tick(&mut self) {
        if self.desk.is_none() {
            return;
        }
        let before = self.now();
        let tick = self.business.tick(self.reading(), &self.evidence);
        self.stands = self.business.is_suspect() || self.now() == before && self.reading().wall < before;
        if tick.rebuild {
            if self.business.went_back().is_some() {
                self.latest = self.latest.min(self.business.now());
            }
            self.note(What::Rebuilt);
            self.drop_turn(true);
            self.desk = None;
            self.load();
        } else if !tick.skipped.is_zero() {
            self.with(|desk, _| desk.step_forth(tick.skipped));
        }
    }

    pub(super) fn note(&mut self, what: What) {
        let (elapsed, at) = (Span::from_millis(self.elapsed), self.now());
        self.trace.note(elapsed, at, what);
    }

    pub(super) fn said(&mut self, words: String) {
        self.note(What::Said(words));
    }

    fn fail(&mut self, invariant: &'static str, words: String) {
        self.found.push(Found { invariant, event: self.trace.events.len().saturating_sub(1), words });
        self.broken = true;
    }

    /// Something is done with the desk; a panic of it is a find.
    fn with<R>(&mut self, work: impl FnOnce(&mut Desk, Instant) -> R) -> Option<R> {
        let now = self.now();
        let desk = self.desk.as_mut()?;
        match guarded(|| work(desk, now)) {
            Ok(done) => Some(done),
            Err(panicked) => {
                self.desk = None;
                self.fail("panic", panicked.to_string());
                None
            }
        }
    }

    pub(super) fn poll(&mut self, source: usize) {
        self.later(Span::from_secs(20), Happening::Poll(source));
        let name = self.sources[source].name;
        if self.sources[source].blind || self.desk.is_none() {
            return;
        }
        let cursor = self.kept.cursors.get(name).copied().unwrap_or(0);
        let pending = self.turn.cursors.iter().any(|(s, _)| *s == source);
        if pending || cursor == self.sources[source].log.len() {
            return;
        }
        let (to, page) = self.sources[source].page(&mut self.dice, cursor);
        self.said(format!("{name}: {} observations up to {to}", page.len()));
        for observation in &page {
            let refused = self.with(|desk, now| desk.observe(observation, now).refused).flatten();
            if let Some(refused) = refused {
                self.said(format!("{name}: {} is refused: {refused}", observation.id));
            }
        }
        self.turn.cursors.push((source, to));
    }

    pub(super) fn came(&mut self, boot: u64, message: Id, attempt: u32, outcome: Outcome) {
        if boot != self.boot || self.desk.is_none() {
            return;
        }
        self.flying.remove(&(message, attempt));
        self.note(What::Came { message, attempt, class: outcome.class });
        self.with(|desk, now| desk.outcome(message, attempt, outcome.clone(), now));
        self.turn.reports.push((message, attempt, outcome));
    }

    pub(super) fn told(&mut self, boot: u64, message: Id, statement: Option<Statement>) {
        if boot != self.boot || !self.asking.remove(&message) {
            return;
        }
        self.said(format!(
            "asked about message {}: {:?}",
            message.short(),
            statement.as_ref().map(|s| s.what)
        ));
        self.with(|desk, now| desk.answered(message, statement.as_ref(), now));
    }

    pub(super) fn receipt(&mut self, statement: Statement, tries: u32) {
        if self.desk.is_none() {
            if tries > 0 {
                self.later(Span::from_secs(30), Happening::Receipt { statement, tries: tries - 1 });
            }
            return;
        }
        let key = statement.key.clone().unwrap_or_default();
        self.note(What::Receipt { key, what: statement.what });
        self.with(|desk, now| desk.statement(&statement, now));
        self.turn.statements.push((statement, tries));
    }

    pub(super) fn respond(&mut self, response: Response) {
        use crate::core::alerting::Done;
        if self.desk.is_none() {
            return;
        }
        let Some(answer) = self.with(|desk, now| desk.respond(&response, now)) else { return };
        let (words, acked) = match &answer {
            Ok(answer) => {
                let acked = answer.done.iter().filter_map(|done| match done {
                    Done::Acked { incident, until: Some(until) } if !answer.repeated => {
                        Some((*incident, *until))
                    }
                    _ => None,
                });
                (
                    format!(
                        "{:?} → {:?}{}",
                        response.act,
                        answer.done,
                        if answer.repeated { ", repeated" } else { "" }
                    ),
                    acked.collect(),
                )
            }
            Err(refusal) => (format!("{:?} → refused: {refusal}", response.act), Vec::new()),
        };
        self.said(format!("{} wants {:?}", response.person, response.act));
        self.turn.answers.push((response, words, acked));
    }

    pub(super) fn reload(&mut self) {
        if self.calm {
            return;
        }
        let after = self.dice.span(300, 9000);
        self.later(after, Happening::Reload);
        let now = self.truth();
        if self.dice.chance(10) && self.desk.is_some() {
            // A policy that cannot be: it must not be taken.
            let mut policy = self.land.policy.clone();
            for clock in &mut policy.clock {
                clock.target = Some("soon".to_owned());
            }
            let setup = (*self.setup).clone();
            let taken =
                self.with(|desk, now| desk.reload(setup, policy, ReloadMode::FromNow, None, now).is_ok());
            if taken == Some(true) && !self.land.policy.clock.is_empty() {
                self.fail("I49", "an invalid configuration was taken".to_owned());
            }
            self.said("an invalid configuration is offered".to_owned());
            return;
        }
        let mut land = self.land.clone();
        let words = land.change(&mut self.dice, now);
        match land.setup() {
            Ok(setup) => {
                self.land = land;
                self.setup = Arc::new(setup);
            }
            Err(e) => {
                self.said(format!("{words} is refused: {e}"));
                return;
            }
        }
        let (setup, policy) = (self.setup.clone(), self.land.policy.clone());
        self.note(What::Reloaded { words, setup: setup.clone() });
        let done = self.with(|desk, now| {
            desk.reload((*setup).clone(), policy, ReloadMode::FromNow, None, now).map_err(|e| e.to_string())
        });
        if let Some(Err(e)) = done {
            self.fail("I49", format!("a valid configuration was refused: {e}"));
        }
    }
}
