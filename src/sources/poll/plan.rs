//! What one source is asked next, and what follows from what came back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::model::{Observation, combine, hash64};
use crate::core::time::{Instant, Span};
use crate::sources::platform::{Feed, Item, Page, REFRESH_BEFORE, Reject, Want};
use crate::sources::poll::again::{Again, Part, Reads, Why};
use crate::sources::poll::breaker::Breaker;
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::skew::Skew;
use crate::sources::poll::{Ask, Class, Cursor, Failure, Reaction};

/// The first wait before something is asked again; it doubles.
const FIRST_WAIT: Span = Span::from_secs(1);
/// The longest.
const LONGEST_WAIT: Span = Span::from_secs(60);
/// What nobody understands is asked so often before the operator is told.
const FEW: u32 = 3;
/// A case that cannot be asked for while all else can is left out after so many tries.
const MANY: u32 = 8;
/// What waits for a merchant or an operator is tried again after so long: somebody may have seen to it.
const STUCK: Span = Span::from_minutes(5);
/// A token that is refused so soon after it was renewed will not get better by renewing.
const RENEWED: Span = Span::from_minutes(2);
/// So many cases of a list are remembered, to know what is news.
const SEEN: usize = 50_000;
/// So many deadlines are watched.
const DEADLINES: usize = 20_000;
/// A list is read on while fewer of its cases wait to be asked for one by one.
const WANTS: usize = 200;
/// Their rank: after every list that is due, and before what is behind.
const CASES: u8 = u8::MAX - 1;
/// Of what may be asked less is let through, in percent: nothing is read again for the sake of what lists show late.
const SCARCE: u32 = 10;
/// A list so far behind is being caught up with: it comes after the others.
const BEHIND: Span = Span::from_minutes(20);

/// What is kept of a list between two requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How far it was read.
    pub cursor: Cursor,
    /// Cases that pages have told of and that are still to be asked for: so many that pages are asked for no more, and the
    /// last page's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<Want>,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The list, by its place.
    pub feed: usize,
    /// What of it.
    pub what: What,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A page.
    Page(Ask),
    /// A case that a list has told of.
    Case(Want),
    /// A case that is known, once more.
    Again(Want, Why),
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing for so long.
    Wait(Span),
    /// Get other tokens.
    Renew,
    /// Ask.
    Ask(Call),
}

/// What to keep in one commit; then [`Planner::kept`].
#[derive(Clone, Debug)]
pub struct Step {
    /// The list, by its place.
    pub feed: usize,
    /// Its cursor; `None` where it is where it was.
    pub kept: Option<Kept>,
    /// The case that was asked for by its id.
    about: Option<Want>,
    why: Option<Why>,
    /// What is news.
    pub observations: Vec<Observation<'static>>,
    /// What could not be used.
    pub rejects: Vec<Reject>,
    /// How many rows the answer had.
    pub rows: usize,
    /// Fields that could not be read, each once.
    pub odd: BTreeSet<&'static str>,
    news: Vec<News>,
}

#[derive(Clone, Debug)]
struct News {
    id: String,
    known: Known,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    digest: u64,
    modified: Instant,
    deadline: Option<Instant>,
}

impl What {
    /// The case that is asked for by its id.
    fn case(&self) -> Option<&Want> {
        match self {
            What::Page(_) => None,
            What::Case(want) | What::Again(want, _) => Some(want),
        }
    }
}

/// What is kept of a case that was read once more: its list goes on where it was.
fn again(want: &Want, why: Why, page: Page) -> Step {
    let rows = page.items.len() + page.rejects.len();
    let mut step = Step {
        feed: 0,
        kept: None,
        about: Some(want.clone()),
        why: Some(why),
        observations: Vec::new(),
        rejects: page.rejects,
        rows,
        odd: BTreeSet::new(),
        news: Vec::new(),
    };
    for item in page.items {
        step.observations.extend(item.observations);
        step.odd.extend(item.odd);
    }
    step
}

struct List {
    feed: Feed,
    kept: Kept,
    /// When it is read next.
    due: Span,
    /// The part of its first wait that is waited, in thousandths: sources that begin together are not asked in step.
    part: Option<i64>,
    known: BTreeMap<String, Known>,
    /// How often in a row its first case could not be asked for, and since when.
    stumbles: Option<(u32, Span)>,
    /// What was changed before is not known of, so that nobody can say whether it is shown late.
    since: Instant,
    /// When its window was opened.
    begun: Span,
    /// When it was last read again as far back as it shows rows late.
    swept: Option<Span>,
}

impl List {
    /// What comes first of it, if anything may be asked: its rank, and whether that is a page.
    fn ready(&self, theirs: Instant, elapsed: Span) -> Option<(u8, bool)> {
        let is_page = self.due <= elapsed && self.kept.cursor.is_walking() && self.kept.wants.len() < WANTS;
        let is_behind = theirs.since(self.kept.cursor.through()) > BEHIND + self.feed.rules.lag;
        let page = is_page.then_some((if is_behind { u8::MAX } else { self.feed.rank }, true));
        // A case that cannot be asked for does not keep the others waiting.
        let stumbles = self.stumbles.is_some_and(|(count, _)| count >= FEW);
        let case = (!self.kept.wants.is_empty()).then_some((if stumbles { u8::MAX } else { CASES }, false));
        [page, case].into_iter().flatten().min()
    }

    /// How much of a wait is waited: a part of the first one.
    fn share(&mut self, wait: Span) -> Span {
        self.part.take().map_or(wait, |part| Span::from_millis(wait.as_millis().saturating_mul(part) / 1000))
    }
}

/// Decides for one source. Spans are looks at the counter of elapsed time.
pub struct Planner {
    source: Arc<str>,
    lists: Vec<List>,
    cadence: Cadence,
    pace: Pace,
    breaker: Breaker,
    skew: Skew,
    deadlines: BTreeSet<(Instant, usize, String)>,
    tries: u32,
    not_before: Span,
    failed: Option<Failure>,
    stuck: bool,
    good: Span,
    /// When the first of the failures came that last.
    failing: Option<Span>,
    renew: bool,
    renewed: Option<Span>,
    renew_before: Span,
    access_until: Option<Instant>,
    lost: Vec<(String, Span)>,
    again: Reads,
    /// Requests of lists since the last of what rings.
    since_ring: u32,
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner")
            .field("source", &self.source)
            .field("tries", &self.tries)
            .finish_non_exhaustive()
    }
}

impl Planner {
    /// One that goes on where `kept` says, by the names of lists; a list that is not in it begins `look_back` before
    /// `now`.
    pub fn new(
        source: Arc<str>,
        feeds: &[Feed],
        mut kept: BTreeMap<String, Kept>,
        look_back: Span,
        cadence: Cadence,
        pace: Pace,
        (now, elapsed): (Instant, Span),
    ) -> Planner {
        let lists = feeds.iter().map(|feed| {
            let fresh = || Kept { cursor: Cursor::new(now - look_back), wants: Vec::new() };
            let kept = kept.remove(&feed.name).unwrap_or_else(fresh);
            let own = combine(hash64(source.as_bytes()), hash64(feed.name.as_bytes()));
            let part = cadence.cron.is_none().then(|| i64::try_from((own >> 7) % 1000).unwrap_or(0) + 1);
            List {
                feed: feed.clone(),
                since: kept.cursor.through(),
                kept,
                due: elapsed,
                part,
                known: BTreeMap::new(),
                stumbles: None,
                begun: elapsed,
                swept: None,
            }
        });
        let lists = lists.collect();
        Planner {
            source,
            lists,
            cadence,
            pace,
            breaker: Breaker::default(),
            skew: Skew::default(),
            deadlines: BTreeSet::new(),
            tries: 0,
            not_before: elapsed,
            failed: None,
            stuck: false,
            good: elapsed,
            failing: None,
            renew: false,
            renewed: None,
            renew_before: REFRESH_BEFORE,
            access_until: None,
            lost: Vec::new(),
            again: Reads::default(),
            since_ring: u32::MAX,
        }
    }

    /// What rings soon, instead of what was told before ([`Reads::ahead`]).
    pub fn ahead(&mut self, cases: Vec<Again>) {
        self.again.ahead(cases, self.pace.gap());
    }

    /// The part of the desk's open cases to ask for now, if any.
    pub fn part(&self, elapsed: Span) -> Option<Part> {
        self.again.part(elapsed)
    }

    /// Such a part: it goes on at `next` of `end`.
    pub fn open(&mut self, cases: Vec<Again>, part: (Option<u32>, u32), now: (Instant, Span)) {
        self.again.open(cases, part, self.pace.gap(), now);
    }

    /// The methods that are refused while all else is answered, by the first ids of what is asked with them, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.again.refused()
    }

    /// Until when the token is good.
    pub fn token_until(&mut self, until: Option<Instant>) {
        self.access_until = until;
    }

    /// Other tokens are asked for so long before these end.
    pub fn renew_before(&mut self, span: Span) {
        self.renew_before = span;
    }

    /// What the page before said to ask the next page of a list with.
    pub fn after(&self, feed: usize) -> Option<&str> {
        self.lists.get(feed)?.kept.cursor.after()
    }

    /// Their time when ours is `now`.
    pub fn theirs(&self, now: Instant) -> Instant {
        self.skew.theirs(now)
    }

    /// An answer said what time it was.
    pub fn date(&mut self, said: Instant, now: Instant) {
        self.skew.note(said, now);
    }

    /// What to do now. `app` is the budget that this source shares with others of its app.
    pub fn next(&mut self, now: Instant, elapsed: Span, app: &mut Pace) -> Next {
        let wait = self.not_before.less(elapsed).max(self.breaker.wait(elapsed).unwrap_or(Span::ZERO));
        if !wait.is_zero() {
            return Next::Wait(wait);
        }
        let theirs = self.skew.theirs(now);
        let ends = self.access_until.is_some_and(|until| theirs + self.renew_before >= until);
        let again = self.renewed.is_none_or(|at| elapsed.less(at) > RENEWED);
        if self.renew || (ends && again) {
            return Next::Renew;
        }
        let deadline = self.deadline(now);
        let round = self.cadence.wait(now, deadline);
        let again = |(want, why)| Call { feed: 0, what: What::Again(want, why) };
        let ring = self.again.ring(now, elapsed).map(again);
        let call = match ring {
            Some(ring) if self.since_ring >= self.lists_between() => Some(ring),
            ring => match self.choose((now, theirs), elapsed, deadline) {
                Some(Call { what: What::Again(..), .. }) | None if ring.is_some() => ring,
                call => call,
            },
        };
        let Some(call) = call else {
            let due = self.lists.iter().map(|l| l.due.less(elapsed)).min().unwrap_or(round);
            let turn = self.again.turn_in(elapsed).filter(|_| self.is_calm());
            let due = self.again.ring_in(now, elapsed).into_iter().chain(turn).fold(due, Span::min);
            return Next::Wait(due.max(Span::from_millis(100)));
        };
        match self.pace.take(elapsed).and_then(|()| app.take(elapsed)) {
            Ok(()) => {
                match &call.what {
                    What::Again(_, why) => {
                        self.again.asked(*why, self.pace.gap(), elapsed);
                        self.since_ring = if matches!(why, Why::Ring(_)) { 0 } else { self.since_ring };
                    }
                    What::Page(_) | What::Case(_) => self.since_ring = self.since_ring.saturating_add(1),
                }
                Next::Ask(call)
            }
            Err(wait) => Next::Wait(wait),
        }
    }

    /// So many requests of lists come between two of what rings, where lists have any: whatever a platform really lets
    /// through, they have their share of it.
    fn lists_between(&self) -> u32 {
        if self.is_calm() { 1 } else { 3 }
    }

    /// A platform that throttles is not asked for what can wait.
    fn is_calm(&self) -> bool {
        self.pace.share() == 100
    }

    /// What comes first (`platforms` 10.1, 9): lists by their ranks, then what is read again, then what is behind.
    fn choose(
        &mut self,
        (now, theirs): (Instant, Instant),
        elapsed: Span,
        deadline: Option<Instant>,
    ) -> Option<Call> {
        let is_scarce = self.pace.share() < SCARCE;
        self.forget_refused(elapsed);
        for list in self.lists.iter_mut().filter(|l| l.due <= elapsed) {
            if list.kept.wants.len() < WANTS && !list.kept.cursor.is_walking() {
                if self.skew.is_known() {
                    list.kept.cursor.hold_back(&list.feed.rules, theirs);
                }
                list.begun = elapsed;
                // Before a deadline a list is read more often: only what is new, then.
                let round = self.cadence.every.less(Span::from_secs(1));
                let is_sparing = is_scarce || list.swept.is_some_and(|at| elapsed.less(at) < round);
                let (cursor, rules) = (&mut list.kept.cursor, &list.feed.rules);
                let lost = match is_sparing {
                    true => cursor.open_sparingly(rules, theirs),
                    false => {
                        list.swept = Some(elapsed);
                        cursor.open(rules, theirs)
                    }
                };
                if let Some(lost) = lost {
                    self.lost.push((list.feed.name.clone(), lost));
                }
                if !list.kept.cursor.is_walking() {
                    let wait = self.cadence.rounds(now, deadline, list.feed.rounds);
                    list.due = elapsed + list.share(wait);
                }
            }
        }
        let first = self.lists.iter().enumerate().filter_map(|(place, list)| {
            let (rank, is_page) = list.ready(theirs, elapsed)?;
            Some((rank, list.due, place, is_page))
        });
        let first = first.min();
        if first.is_none_or(|(rank, ..)| rank == u8::MAX)
            && self.is_calm()
            && let Some((want, why)) = self.again.turn(elapsed)
        {
            return Some(Call { feed: 0, what: What::Again(want, why) });
        }
        let (_, _, feed, is_page) = first?;
        let list = self.lists.get(feed)?;
        let what = match list.kept.wants.first().filter(|_| !is_page) {
            Some(want) => What::Case(want.clone()),
            None => What::Page(list.kept.cursor.ask(&list.feed.rules)?),
        };
        Some(Call { feed, what })
    }

    /// An answer was read: what to keep. Nothing has changed until [`Planner::kept`].
    ///
    /// # Errors
    /// It does not fit what was asked: to be told to [`Planner::failed`].
    pub fn took(&self, call: &Call, page: Page) -> Result<Step, Failure> {
        if let What::Again(want, why) = &call.what {
            return Ok(again(want, *why, page));
        }
        let unknown = || Failure::new(Class::Parameter, "no_list");
        let list = self.lists.get(call.feed).ok_or_else(unknown)?;
        let Page { items, rejects, facts } = page;
        let rows = items.len() + rejects.len();
        let mut kept = list.kept.clone();
        let mut step = Step {
            feed: call.feed,
            kept: None,
            about: None,
            why: None,
            observations: Vec::new(),
            rejects,
            rows,
            odd: BTreeSet::new(),
            news: Vec::new(),
        };
        match &call.what {
            What::Page(_) => {
                let missing = list.since..list.kept.cursor.through();
                let is_news =
                    |item: &&Item| list.known.get(&item.id).is_none_or(|k| k.modified < item.modified);
                let late = items.iter().filter(is_news).map(|item| item.modified);
                if let Some(oldest) = late.filter(|at| missing.contains(at)).min() {
                    kept.cursor.shown_late(oldest);
                }
                kept.cursor = kept.cursor.took(&list.feed.rules, facts)?;
                for item in items {
                    let known = list.known.get(&item.id);
                    // Never back (`platforms` 10.1, 6), and nothing twice.
                    if known.is_some_and(|k| k.digest == item.digest || k.modified > item.modified) {
                        continue;
                    }
                    // What waits already is asked for once.
                    if let Some(want) = item.want {
                        match kept.wants.iter_mut().find(|waits| waits.ids == want.ids) {
                            Some(waits) => *waits = want,
                            None => kept.wants.push(want),
                        }
                    }
                    step.observations.extend(item.observations);
                    step.odd.extend(item.odd);
                    let known =
                        Known { digest: item.digest, modified: item.modified, deadline: item.deadline };
                    step.news.push(News { id: item.id, known });
                }
            }
            What::Case(want) => {
                kept.wants.retain(|w| w != want);
                step.about = Some(want.clone());
                for item in items {
                    step.observations.extend(item.observations);
                    step.odd.extend(item.odd);
                    // What the list says of it stays what the list is compared with.
                    let known = list.known.get(&item.id);
                    let digest = known.map_or(item.digest, |k| k.digest);
                    let known = Known { digest, modified: item.modified, deadline: item.deadline };
                    step.news.push(News { id: item.id, known });
                }
            }
            What::Again(..) => {}
        }
        step.kept = Some(kept);
        Ok(step)
    }

    /// The step is kept.
    pub fn kept(&mut self, step: Step, now: Instant, elapsed: Span) {
        self.answered(elapsed);
        match (&step.about, step.why) {
            (Some(want), Some(why)) => self.again.read(want, why),
            (Some(want), None) => self.again.fine(want),
            (None, _) => {}
        }
        let Some(list) = self.lists.get_mut(step.feed) else { return };
        let Some(kept) = step.kept else { return };
        list.kept = kept;
        let is_page = step.about.is_none();
        list.stumbles = list.stumbles.filter(|_| is_page);
        for News { id, known } in step.news {
            let before = list.known.insert(id.clone(), known);
            if let Some(at) = before.and_then(|k| k.deadline) {
                self.deadlines.remove(&(at, step.feed, id.clone()));
            }
            if let Some(at) = known.deadline.filter(|at| *at > now) {
                self.deadlines.insert((at, step.feed, id));
            }
        }
        while self.deadlines.len() > DEADLINES {
            self.deadlines.pop_last();
        }
        if list.known.len() > SEEN {
            // What lies before the next window is not shown again.
            let from = list.kept.cursor.through() - list.feed.rules.overlap;
            list.known.retain(|_, known| known.modified >= from);
            if list.known.len() > SEEN {
                list.known.clear();
            }
        }
        if is_page && !list.kept.cursor.is_walking() {
            self.settle(step.feed, now, elapsed);
        }
    }

    /// What a refused method would say is not waited for: the round asks for it once it is answered again.
    fn forget_refused(&mut self, elapsed: Span) {
        for list in self.lists.iter_mut().filter(|list| !list.kept.wants.is_empty()) {
            list.kept.wants.retain(|want| !self.again.is_refused(want, elapsed));
            list.stumbles = list.stumbles.filter(|_| !list.kept.wants.is_empty());
        }
    }

    /// A window was walked: when the list is due again.
    fn settle(&mut self, feed: usize, now: Instant, elapsed: Span) {
        let deadline = self.deadline(now);
        let theirs = self.skew.theirs(now);
        let Some(list) = self.lists.get_mut(feed) else { return };
        let rest = theirs.since(list.kept.cursor.through()).less(list.feed.rules.lag);
        let wait = self.cadence.rounds(now, deadline, list.feed.rounds);
        // What is behind is caught up with at once, after those that are due.
        // By when it began: what a walk takes does not make rounds longer.
        let mut next = list.begun + list.share(wait);
        // Nor do those in which it was not read again as far back as it shows rows late.
        let again = list.swept.map(|at| at + self.cadence.every.times(list.feed.rounds.into()));
        if let Some(again) = again.filter(|again| *again > elapsed && list.swept < Some(list.begun)) {
            next = next.min(again);
        }
        let next = next.max(elapsed + Span::from_secs(1));
        list.due = if rest > self.cadence.behind(wait) { elapsed } else { next };
    }

    /// The platform has answered in earnest.
    fn answered(&mut self, elapsed: Span) {
        self.breaker.fine();
        (self.tries, self.failed, self.stuck, self.good) = (0, None, false, elapsed);
        self.failing = None;
    }

    /// A request failed. A case that cannot be asked for is left out in the end: its list goes on.
    pub fn failed(&mut self, call: Option<&Call>, failure: Failure, elapsed: Span, app: &mut Pace) {
        self.tries += 1;
        let jitter = self.jitter(elapsed);
        let failure = self.doubted(failure);
        if let Some(want) = call.and_then(|call| call.what.case())
            && matches!(failure.class, Class::Permission | Class::Gone)
        {
            // The platform itself has answered.
            self.answered(elapsed);
            return self.again.refuse(want, failure, elapsed);
        }
        if let Some(Call { what: What::Again(want, why), .. }) = call
            && matches!(failure.class, Class::Parameter | Class::Malformed | Class::Unseen | Class::Transient)
        {
            self.tries -= 1;
            return self.again.failed(want, *why, failure.class, elapsed);
        }
        if let Some(Call { feed, what: What::Case(want) }) = call
            && self.stumbled(*feed, want, failure.class, elapsed)
        {
            self.not_before = elapsed + self.back_off(jitter);
            return;
        }
        // Not every platform need answer for a page beyond the last.
        if let Some(list) = call.and_then(|call| self.lists.get_mut(call.feed)) {
            list.kept.cursor.count();
        }
        let wait = failure.wait.unwrap_or(Span::ZERO).max(self.back_off(jitter));
        self.not_before = elapsed + wait;
        let reaction = failure.class.reaction();
        match reaction {
            Reaction::SlowDown => {
                self.pace.throttled(elapsed);
                app.throttled(elapsed);
            }
            Reaction::Again => self.breaker.failed(elapsed, jitter),
            Reaction::SetClock if self.tries < FEW => self.skew.believe_last(),
            Reaction::FewTimes if self.tries < FEW => {}
            Reaction::Refresh if self.renewed.is_none_or(|at| elapsed.less(at) > RENEWED) => {
                self.renew = true;
                self.not_before = elapsed;
            }
            Reaction::SetClock
            | Reaction::FewTimes
            | Reaction::Refresh
            | Reaction::Merchant
            | Reaction::Operator => self.stick(elapsed, jitter),
        }
        self.failing.get_or_insert(elapsed);
        self.failed = Some(failure);
    }

    /// A parameter that is refused while their clock is far from ours is our time: not every platform has a code for that.
    fn doubted(&self, failure: Failure) -> Failure {
        match failure.class == Class::Parameter && self.skew.is_doubtful() {
            true => Failure { class: Class::Clock, ..failure },
            false => failure,
        }
    }

    /// A case could not be asked for. One that is of no use is left out: at once after a few refusals of it, and after
    /// more where everything else is answered. Whether that is all there is to do now.
    fn stumbled(&mut self, feed: usize, want: &Want, class: Class, elapsed: Span) -> bool {
        let hopeless = matches!(class, Class::Parameter | Class::Malformed | Class::Unseen);
        let others = matches!(class, Class::Transient);
        let Some(list) = self.lists.get_mut(feed).filter(|_| hopeless || others) else { return false };
        let (count, since) = list.stumbles.unwrap_or((0, elapsed));
        list.stumbles = Some((count + 1, since));
        let over = if hopeless { count + 1 >= FEW } else { count + 1 >= MANY && self.good > since };
        if over {
            list.kept.wants.retain(|w| w != want);
            (list.stumbles, self.tries) = (None, 0);
        }
        over || hopeless
    }

    /// There are other tokens, good until `until`.
    pub fn renewed(&mut self, until: Option<Instant>, elapsed: Span) {
        (self.renew, self.renewed, self.access_until) = (false, Some(elapsed), until);
        self.not_before = elapsed;
    }

    /// There are none. What can be tried again is; else the merchant has to authorise, and what is asked meanwhile is
    /// asked with the old ones.
    pub fn not_renewed(&mut self, failure: Failure, elapsed: Span) {
        self.tries += 1;
        let jitter = self.jitter(elapsed);
        self.not_before = elapsed + self.back_off(jitter).max(failure.wait.unwrap_or(Span::ZERO));
        let transient = matches!(failure.class, Class::Transient | Class::Throttled);
        if !transient || self.tries >= 10 {
            (self.renew, self.renewed) = (false, Some(elapsed));
            self.stick(elapsed, jitter);
        }
        self.failing.get_or_insert(elapsed);
        self.failed = Some(failure);
    }

    fn stick(&mut self, elapsed: Span, jitter: u64) {
        let spread = Span::from_secs(i64::try_from(jitter % 30).unwrap_or(0));
        self.stuck = true;
        self.not_before = self.not_before.max(elapsed + STUCK + spread);
        // The next try is one of few again.
        self.tries = FEW - 1;
    }

    fn back_off(&self, jitter: u64) -> Span {
        let base = FIRST_WAIT.times(1 << self.tries.saturating_sub(1).min(10)).min(LONGEST_WAIT);
        let percent = 50 + i64::try_from(jitter % 101).unwrap_or(0);
        Span::from_millis(base.as_millis() * percent / 100)
    }

    fn jitter(&self, elapsed: Span) -> u64 {
        let moment = u64::try_from(elapsed.as_millis()).unwrap_or(0);
        combine(hash64(self.source.as_bytes()), combine(moment, self.tries.into())) >> 7
    }

    /// The next deadline of anything seen.
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        while self.deadlines.first().is_some_and(|(at, _, _)| *at <= now) {
            self.deadlines.pop_first();
        }
        self.deadlines.first().map(|(at, _, _)| *at)
    }

    /// Why the source cannot be read, for people; `None` while it can (5.5: after three rounds or a minute, whichever is
    /// longer; at once where somebody has to act).
    pub fn blind(&self, elapsed: Span) -> Option<String> {
        let failure = self.failed.as_ref()?;
        // Between two times of a schedule nobody asks: that was no trouble.
        let since = self.failing.filter(|_| self.cadence.cron.is_some()).unwrap_or(self.good);
        let late = elapsed.less(since) > self.cadence.every.times(3).max(Span::from_secs(60));
        (self.stuck || late).then(|| format!("{}:{} [{failure}]", self.source, failure.class.remedy()))
    }

    /// How far their clock is from ours, for people, where that is worth telling.
    pub fn skewed(&self) -> Option<String> {
        let seconds = self.skew.millis() / 1000;
        self.skew.is_told().then(|| {
            format!("{}:时钟相差 {seconds} 秒 / its clock differs from ours by {seconds} s", self.source)
        })
    }

    /// How far their clock is from ours, in ms.
    pub fn skew_millis(&self) -> i64 {
        self.skew.millis()
    }

    /// Since the last answer in earnest.
    pub fn age(&self, elapsed: Span) -> Span {
        elapsed.less(self.good)
    }

    /// The list at a place.
    pub fn feed(&self, place: usize) -> Option<&Feed> {
        self.lists.get(place).map(|list| &list.feed)
    }

    /// Lists that were not read for longer than the platform remembers, and how much time is missing. Each is told once.
    pub fn lost(&mut self) -> Vec<(String, Span)> {
        std::mem::take(&mut self.lost)
    }

    /// How far every list was read, the one furthest behind.
    pub fn through(&self) -> Option<Instant> {
        self.lists.iter().map(|list| list.kept.cursor.through()).min()
    }
}

#[cfg(test)]
mod tests;
