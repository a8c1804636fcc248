//! Whatever reads a simulated platform in the tests: the code that reads the real one, in virtual time. It dies, before a
//! commit and after one; in the end what it knows is compared with what is true of the shop. The platforms are simulated.

mod again;
mod days;
mod desk;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::gateway::{Issue, Mall, Manners};
use super::shop::{AfterSale, Kind, Order, Shop};
use super::{Asked, Simulated};
use crate::core::ids::Secret;
use crate::core::model::Observation;
use crate::core::time::{Instant, Span};
use crate::sources::http::{Answer, Request};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::again::Why;
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::{Call, Class, Failure, Kept, Next, Planner, What};

pub use again::{
    a_broken_method_delays_nothing, a_lost_row_is_found, a_refused_method_is_told, traces_are_read,
    what_was_done_a_moment_ago_does_not_ring,
};
pub use days::{bad_day, calm, day, over_a_socket, wrong_clock};
pub use truth::{Case, Truth, plain_aftersale, plain_order};

/// When every test begins.
pub const START: Instant = Instant::from_secs(1_767_571_200);
/// Nobody sleeps longer without looking.
const LONGEST: Span = Span::from_secs(20);
/// What a request takes.
const TRIP: Span = Span::from_millis(80);

/// What a simulated platform must say of itself to be judged.
pub trait Judged: Mall {
    /// The tokens that it gives out.
    fn issue(&self) -> &Issue;

    /// The ids of its cases.
    fn id(&self, kind: Kind, number: u64) -> String;

    /// What a reader must know of an order.
    fn order(&self, number: u64, order: &Order) -> Truth;

    /// What a reader must know of an after-sale.
    fn aftersale(&self, number: u64, case: &AfterSale) -> Truth;
}

/// Whatever reads the shop: its memory dies, what it kept does not.
pub struct Reader<P> {
    pub adapter: P,
    pub planner: Planner,
    pub now: Instant,
    pub cases: BTreeMap<(String, String), Case>,
    pub most_blind: bool,
    pub every: Span,
    pub counts: Counts,
    /// Who rings; without one nothing is read again.
    pub desk: Option<desk::Desk>,
    /// Whether it is told what to read again.
    pub reads_again: bool,
    tokens: Tokens,
    app: Pace,
    kept: BTreeMap<String, Kept>,
    shown: Shown,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests for pages.
    pub pages: u64,
    /// Requests for single cases that a list has told of.
    pub details: u64,
    /// Requests for cases that were about to ring.
    pub before_rings: u64,
    /// Requests for cases whose turn it was.
    pub in_turn: u64,
    /// Windows that were walked to their end.
    pub windows: u64,
    /// Rows that came.
    pub rows: u64,
    /// Rows that could not be used.
    pub rejects: u64,
    /// How often it died.
    pub deaths: u64,
    /// Tokens that were renewed.
    pub renewals: u64,
}

/// When changes were shown, and when they were kept.
#[derive(Default)]
struct Shown {
    read: usize,
    waiting: BTreeMap<(Kind, String), BTreeMap<Instant, Instant>>,
    kept: Vec<Keeping>,
}

/// A change that was kept.
#[derive(Clone, Copy)]
struct Keeping {
    kind: Kind,
    updated: Instant,
    visible: Instant,
    kept: Instant,
}

impl Shown {
    fn note<M: Judged>(&mut self, mall: &mut M) {
        let changes = mall.shop().changes[self.read..].to_vec();
        self.read += changes.len();
        for change in changes {
            let id = mall.id(change.kind, change.number);
            self.waiting.entry((change.kind, id)).or_default().insert(change.updated, change.visible);
        }
    }

    fn kept(&mut self, seen: &Observation<'_>, now: Instant) {
        let kind = match &*seen.kind {
            "order" => Kind::Order,
            "aftersale" => Kind::AfterSale,
            _ => return,
        };
        let key = (kind, seen.id.to_string());
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        // What it was before is of no interest any more.
        let later = waiting.split_off(&(seen.as_of + Span::from_millis(1)));
        if let Some(visible) = std::mem::replace(waiting, later).get(&seen.as_of) {
            self.kept.push(Keeping { kind, updated: seen.as_of, visible: *visible, kept: now });
        }
    }
}

fn per_minute(n: u32) -> Pace {
    Pace::new(NonZeroU32::new(n).unwrap())
}

pub fn planner<P: Platform>(
    adapter: &P,
    kept: BTreeMap<String, Kept>,
    tokens: &Tokens,
    every: Span,
    now: Instant,
) -> Planner {
    let cadence = Cadence { every, quiet: (0, 0), cron: None };
    let at = (now, now.since(START));
    let mut planner =
        Planner::new("sim".into(), adapter.feeds(), kept, Span::HOUR, cadence, per_minute(300), at);
    planner.token_until(tokens.access_until);
    planner
}

impl<P: Platform> Reader<P> {
    pub fn new<M: Judged>(adapter: P, mall: &M) -> Reader<P> {
        let issue = mall.issue();
        let tokens = Tokens {
            access: Secret::new(issue.access.0.clone()),
            refresh: Some(Secret::new(issue.refresh.clone())),
            access_until: Some(issue.access.1),
            refresh_until: None,
        };
        let every = Span::from_secs(60);
        let planner = planner(&adapter, BTreeMap::new(), &tokens, every, START);
        Reader {
            adapter,
            planner,
            now: START,
            cases: BTreeMap::new(),
            most_blind: false,
            every,
            counts: Counts::default(),
            desk: None,
            reads_again: true,
            tokens,
            app: per_minute(6000),
            kept: BTreeMap::new(),
            shown: Shown::default(),
        }
    }

    /// Reads until it is `end`.
    pub fn until<M: Judged>(&mut self, mall: &mut M, end: Instant) {
        while self.now < end {
            self.step(mall, false);
        }
    }

    /// One decision, and what comes of it; it `dies` before the commit, or after it.
    pub fn step<M: Judged>(&mut self, mall: &mut M, dies: bool) {
        let at = (self.now, self.now.since(START));
        if let Some(desk) = &mut self.desk {
            desk.advance(self.now);
            if self.reads_again {
                desk.tell(&self.adapter, &mut self.planner, at);
            }
        }
        match self.planner.next(at.0, at.1, &mut self.app) {
            Next::Wait(span) => {
                let most = if self.desk.is_some() { LONGEST } else { span };
                self.now = self.now + span.min(most).max(Span::from_millis(1));
            }
            Next::Renew => self.renew(mall),
            Next::Ask(call) => self.ask(mall, &call, dies),
        }
        self.most_blind |= self.planner.blind(self.now.since(START)).is_some();
        assert_eq!(self.planner.lost(), [], "nothing is older than the platform remembers");
    }

    fn send<M: Judged>(&mut self, mall: &mut M, request: &Request) -> Result<Answer, Failure> {
        let reply = mall.answer(&Asked::of(request), self.now).into_answer();
        self.shown.note(mall);
        self.now = self.now + TRIP;
        let answer = reply.ok_or_else(|| Failure::new(Class::Transient, "none"))?;
        if let Some(date) = answer.date {
            self.planner.date(date, self.now);
        }
        Ok(answer)
    }

    fn renew<M: Judged>(&mut self, mall: &mut M) {
        let theirs = self.planner.theirs(self.now);
        let request = self.adapter.renew(&self.tokens, theirs).unwrap();
        let answer = self.send(mall, &request);
        let elapsed = self.now.since(START);
        match answer.and_then(|answer| self.adapter.read_tokens(&answer, theirs)) {
            Ok(tokens) => {
                self.counts.renewals += 1;
                self.planner.renewed(tokens.access_until, elapsed);
                self.tokens = tokens;
            }
            Err(failure) => self.planner.not_renewed(failure, elapsed),
        }
    }

    fn ask<M: Judged>(&mut self, mall: &mut M, call: &Call, dies: bool) {
        let theirs = self.planner.theirs(self.now);
        let feed = self.planner.feed(call.feed).unwrap().clone();
        let request = match &call.what {
            What::Page(ask) => self.adapter.page(&feed, *ask, &self.tokens, theirs),
            What::Case(want) | What::Again(want, _) => self.adapter.detail(want, &self.tokens, theirs),
        };
        *match &call.what {
            What::Page(_) => &mut self.counts.pages,
            What::Case(_) => &mut self.counts.details,
            What::Again(_, Why::Ring(_)) => &mut self.counts.before_rings,
            What::Again(_, Why::Turn) => &mut self.counts.in_turn,
        } += 1;
        let answer = self.send(mall, &request);
        let read = answer.and_then(|answer| match &call.what {
            What::Page(ask) => self.adapter.read_page(&feed, *ask, &answer),
            What::Case(want) | What::Again(want, _) => self.adapter.read_detail(want, &answer),
        });
        let step = read.and_then(|page| self.planner.took(call, page));
        if dies && self.now.as_millis() % 2 == 0 {
            return self.die();
        }
        let elapsed = self.now.since(START);
        match step {
            Ok(step) => {
                // One commit.
                self.counts.rejects += step.rejects.len() as u64;
                self.counts.rows += step.rows as u64;
                if let Some(kept) = &step.kept {
                    let is_over = matches!(call.what, What::Page(_)) && !kept.cursor.is_walking();
                    self.counts.windows += u64::from(is_over);
                    self.kept.insert(feed.name.clone(), kept.clone());
                }
                for seen in &step.observations {
                    let key = (seen.kind.to_string(), seen.id.to_string());
                    self.cases.entry(key).or_default().observe(seen);
                    self.shown.kept(seen, self.now);
                    if let Some(desk) = &mut self.desk {
                        desk.observe(seen, self.now);
                    }
                }
                self.planner.kept(step, self.now, elapsed);
            }
            Err(failure) => self.planner.failed(Some(call), failure, elapsed, &mut self.app),
        }
        if dies {
            self.die();
        }
    }

    /// With a desk behind it.
    pub fn with_desk(mut self) -> Reader<P> {
        self.desk = Some(desk::Desk::new());
        self
    }

    fn die(&mut self) {
        self.counts.deaths += 1;
        self.planner = planner(&self.adapter, self.kept.clone(), &self.tokens, self.every, self.now);
    }

    /// What it knows against what is true.
    pub fn compare<M: Judged>(&self, mall: &mut M) -> Vec<String> {
        let none = Case::default();
        let mut wrong = Vec::new();
        let kinds = ["order", "aftersale"];
        let mut known: BTreeSet<&(String, String)> =
            self.cases.keys().filter(|(kind, _)| kinds.contains(&kind.as_str())).collect();
        let shop: Shop = mall.shop().clone();
        let orders = shop.orders.iter().map(|(n, order)| (Kind::Order, *n, mall.order(*n, order)));
        let cases = shop.aftersales.iter().map(|(n, case)| (Kind::AfterSale, *n, mall.aftersale(*n, case)));
        for (kind, number, truth) in orders.chain(cases) {
            let key = (kinds[kind as usize].to_owned(), mall.id(kind, number));
            known.remove(&key);
            let case = self.cases.get(&key).unwrap_or(&none);
            wrong.extend(truth.differs(case).into_iter().map(|text| format!("{} {}: {text}", key.0, key.1)));
        }
        wrong.extend(known.into_iter().map(|key| format!("{key:?} was invented")));
        wrong
    }
}

/// How long changes waited until they were kept: the least that so many of a hundred waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub count: usize,
    pub p50: Span,
    pub p99: Span,
    pub max: Span,
}

impl<P> Reader<P> {
    /// How long changes of a kind waited since they were shown in a list that ends `lag` ago, those left out that were
    /// shown while nothing could be read.
    pub fn waits(&self, kind: Kind, lag: Span, manners: &Manners) -> Waits {
        let hour = Span::from_minutes(30);
        let calm = |from: Instant, to: Instant| {
            !manners.outages.iter().any(|(begin, end)| from <= *end + hour && *begin <= to)
        };
        let kept = self.shown.kept.iter().filter(|k| k.kind == kind && calm(k.visible, k.kept));
        let mut waits: Vec<Span> = kept.map(|k| k.kept.since(k.visible.max(k.updated + lag))).collect();
        waits.sort_unstable();
        let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or(Span::ZERO);
        let max = waits.last().copied().unwrap_or(Span::ZERO);
        Waits { count: waits.len(), p50: at(50), p99: at(99), max }
    }
}
