//! Which parcel is asked for next, and what follows from what came back. It sends nothing: whoever drives it does, and
//! keeps what it says in one commit with what is observed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::model::{Observation, Value, hash64};
use crate::core::parcel::Milestone;
use crate::core::parcel::fold::{Counts, Known};
use crate::core::time::{Instant, Span};
use crate::sources::parcels::courier::On;
use crate::sources::parcels::due::{Calls, Due, Over, RESERVED_FOR, Rules, due, risk};
use crate::sources::parcels::gap::Gap;
use crate::sources::parcels::said::{Said, Word};
use crate::sources::parcels::trace::{Link, Standing, WAITS, Whose as OfWhom};
use crate::sources::parcels::{Number, Trace, Trouble, Whose};
use crate::sources::platform::Reject;
use crate::sources::poll::{Class, Failure, Reaction};
use crate::sources::row::mark;
use crate::sources::sign::EAST_8;

/// Numbers that are reserved at a time: what a crash in between delays by an hour.
const BATCH: usize = 10;
/// A number may be subscribed so often in a month (`logistics` 3.1).
const SUBMITS: usize = 4;
/// A month, and a day more for whoever counts otherwise.
const MONTH: Span = Span::from_minutes(32 * 24 * 60);
/// A number is not subscribed again sooner (`logistics` 3.1).
const RESUBMIT: Span = Span::from_minutes(31);
/// Waits after failures of the account, one after the other (`logistics` 8).
const LADDER: [Span; 5] = [
    Span::from_minutes(1),
    Span::from_minutes(2),
    Span::from_minutes(5),
    Span::from_minutes(15),
    Span::from_minutes(60),
];
/// A number that the vendor refuses is asked for so often, hours apart, before it is left alone.
const MISSES: u8 = 3;
/// So many numbers refused in a row, and none answered, are a trouble of the account.
const IN_A_ROW: u32 = 5;
/// Cases of one parcel that are told of it.
const LINKS: usize = 8;
/// A number is not taken up when it was shipped longer ago; its row goes a few days later, so that no case that names it
/// brings it back.
pub const HORIZON: Span = Span::from_minutes(60 * 24 * 60);
const KEPT_FOR: Span = Span::from_minutes(70 * 24 * 60);
/// Parcels of which is told at a time that nothing was heard of them.
const SILENT: usize = 200;
/// What is said of a parcel beside where it stands.
const WORDS: [&str; 18] = [
    "order_over",
    "moved_after_delivery",
    "revived",
    "signed_again",
    "no_delivery_scan",
    "signed_early",
    "signed_elsewhere",
    "detour",
    "tz_suspect",
    "old_trace",
    "refunded",
    "attempts",
    "node",
    "location",
    "waits",
    "forward_no",
    "other_carrier",
    "evidence",
];
/// Nobody waits longer without looking again.
const LONGEST: Span = Span::from_secs(60);

/// What is kept of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Since when it is known.
    since: Instant,
    /// When it was shipped, where somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipped: Option<Instant>,
    /// The last call, answered or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Instant>,
    /// The last one that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered: Option<Instant>,
    /// The last time that anything was heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<Instant>,
    /// Where it stands.
    standing: Standing,
    /// Since when that was said to hold: what corrects it is not said of earlier, or the newer would stay (T6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<Instant>,
    /// A digest of all that was observed of it.
    #[serde(default)]
    digest: u64,
    /// What was said of it beside.
    #[serde(default, skip_serializing_if = "Said::is_empty")]
    said: Said,
    /// The revision of that.
    #[serde(default)]
    revision: i64,
    /// How often in a row the vendor refused it.
    #[serde(default)]
    misses: u8,
    /// Since when the vendor tells us by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed_since: Option<Instant>,
    /// When the vendor was asked to, of the last month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    submits: Vec<Instant>,
    /// Why it is not asked for any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing for so long.
    Wait(Span),
    /// Keep the rows of these numbers ([`Planner::reservation`]), then say [`Planner::reserved`].
    Reserve(Vec<(Arc<Number>, Call)>),
    /// Call.
    Call(Arc<Number>, Call),
}

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// What happened to it.
    Query,
    /// That we are told by itself.
    Subscribe,
}

/// What to keep in one commit; then [`Planner::kept`].
#[derive(Clone, Debug)]
pub struct Step {
    /// The parcel.
    pub number: Arc<Number>,
    /// Its row.
    pub row: Kept,
    /// What is news.
    pub observations: Vec<Observation<'static>>,
    /// What could not be used.
    pub rejects: Vec<Reject>,
    /// How many rows the answer had.
    pub rows: usize,
    /// What of its scans could not be used.
    pub counts: Counts,
    /// Codes that nobody knows.
    pub unknown: usize,
    /// It says less than what is known: an old push, or one that was overtaken.
    pub is_stale: bool,
}

struct Parcel {
    kept: Kept,
    links: Vec<Link>,
    /// The last call by the counter of elapsed time: the wall may be set back.
    asked: Option<Span>,
    /// Where it lies in the queues.
    place: Option<(Queue, Instant)>,
    /// The last sweep that saw it.
    sweep: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Waiting,
    Ready(u8),
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When a parcel is asked for.
    pub rules: Rules,
    /// Whether the vendor is asked to tell us by itself.
    pub push: bool,
    /// Calls a day.
    pub per_day: u32,
    /// Parcels at a time.
    pub most: usize,
    /// Between two queries.
    pub query_gap: Span,
    /// Between two subscriptions.
    pub subscribe_gap: Span,
}

/// Decides for one account. Spans are looks at the counter of elapsed time.
pub struct Planner {
    source: String,
    shop: Option<String>,
    settings: Settings,
    parcels: BTreeMap<Arc<Number>, Parcel>,
    waiting: BTreeSet<(Instant, Arc<Number>)>,
    ready: BTreeSet<(u8, Instant, Arc<Number>)>,
    to_subscribe: BTreeSet<(Instant, Arc<Number>)>,
    reserved: VecDeque<(Arc<Number>, Call, Span)>,
    queries: Gap,
    submissions: Gap,
    today: (i64, u32),
    tries: usize,
    not_before: Span,
    failed: Option<Failure>,
    stuck: bool,
    good: Span,
    in_a_row: u32,
    sweep: u64,
    /// Parcels for which there was no room, of the last sweep.
    left_out: usize,
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planner({}, {} parcels)", self.source, self.parcels.len())
    }
}

impl Planner {
    /// One that goes on with what was `kept`. What the vendor refused is tried again: somebody may have seen to it.
    pub fn new(
        source: &str,
        shop: Option<&str>,
        settings: Settings,
        kept: BTreeMap<Number, Kept>,
        elapsed: Span,
    ) -> Planner {
        let mut planner = Planner {
            source: source.to_owned(),
            shop: shop.map(str::to_owned),
            settings,
            parcels: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            to_subscribe: BTreeSet::new(),
            reserved: VecDeque::new(),
            queries: Gap::after(settings.query_gap, elapsed),
            submissions: Gap::after(settings.subscribe_gap, elapsed),
            today: (0, 0),
            tries: 0,
            not_before: elapsed,
            failed: None,
            stuck: false,
            good: elapsed,
            in_a_row: 0,
            sweep: 0,
            left_out: 0,
        };
        for (number, mut kept) in kept {
            if kept.over == Some(Over::Refused) {
                (kept.over, kept.misses) = (None, 0);
            }
            let number = Arc::new(number);
            let parcel = Parcel { kept, links: Vec::new(), asked: None, place: None, sweep: 0 };
            planner.parcels.insert(number.clone(), parcel);
            planner.queue(&number);
        }
        planner
    }

    /// The parcels that are asked for.
    pub fn count(&self) -> usize {
        self.waiting.len() + self.ready.len() + self.reserved.len()
    }

    /// A sweep over the cases of the desk begins.
    pub fn sweep(&mut self) {
        self.sweep += 1;
        self.left_out = 0;
    }

    /// A case names a parcel: since when, when it was shipped, and whether the case needs nothing of it any more.
    pub fn named(
        &mut self,
        number: Number,
        link: Link,
        since: Instant,
        shipped: Option<Instant>,
        is_over: bool,
        now: Instant,
    ) {
        let since = shipped.unwrap_or(since).min(now);
        if let Some((number, parcel)) =
            self.parcels.get_key_value(&number).map(|(n, _)| n.clone()).and_then(|n| {
                let parcel = self.parcels.get_mut(&n)?;
                Some((n, parcel))
            })
        {
            parcel.sweep = self.sweep;
            let same = |l: &Link| (&l.source, &l.kind, &l.id) == (&link.source, &link.kind, &link.id);
            match parcel.links.iter().position(same) {
                // What its case says may be news.
                Some(place) => parcel.links[place] = link,
                None if parcel.links.len() < LINKS => parcel.links.push(link),
                None => {}
            }
            if parcel.kept.shipped.is_none() && shipped.is_some() {
                (parcel.kept.shipped, parcel.kept.since) = (shipped, since.min(parcel.kept.since));
                self.queue(&number);
            }
            return;
        }
        if is_over || since < now - HORIZON {
            return;
        }
        if self.parcels.len() >= self.settings.most {
            self.left_out += 1;
            return;
        }
        let kept = Kept {
            since,
            shipped,
            asked: None,
            answered: None,
            heard: None,
            standing: Standing::unknown(since),
            began: None,
            digest: 0,
            said: Said::default(),
            revision: 0,
            misses: 0,
            pushed_since: None,
            submits: Vec::new(),
            over: None,
        };
        let number = Arc::new(number);
        let parcel = Parcel { kept, links: vec![link], asked: None, place: None, sweep: self.sweep };
        self.parcels.insert(number.clone(), parcel);
        self.queue(&number);
    }

    /// The sweep is through: the numbers whose rows can go. Answers also how many found no room.
    pub fn swept(&mut self, now: Instant) -> (Vec<Number>, usize) {
        let old = |p: &Parcel| p.kept.over.is_some() && p.sweep < self.sweep && p.kept.since < now - KEPT_FOR;
        let gone: Vec<Arc<Number>> =
            self.parcels.iter().filter(|(_, p)| old(p)).map(|(n, _)| n.clone()).collect();
        for number in &gone {
            self.parcels.remove(number);
        }
        (gone.iter().map(|n| (**n).clone()).collect(), self.left_out)
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant, elapsed: Span) -> Next {
        let wait = self.not_before.less(elapsed);
        if !wait.is_zero() {
            return Next::Wait(wait.min(LONGEST));
        }
        // What was reserved too long ago is too near to the next call of the same number.
        let usable = RESERVED_FOR.less(Span::from_secs(5));
        while self.reserved.front().is_some_and(|(_, _, at)| elapsed.less(*at) >= usable) {
            if let Some((number, ..)) = self.reserved.pop_front() {
                self.queue(&number);
            }
        }
        if let Some((number, call, _)) = self.reserved.front().cloned() {
            let gap = if call == Call::Query { &mut self.queries } else { &mut self.submissions };
            if let Some(wait) = gap.wait(elapsed) {
                return Next::Wait(wait);
            }
            gap.take(elapsed);
            self.reserved.pop_front();
            self.called(&number, call, now, elapsed);
            return Next::Call(number, call);
        }
        let day = day_of(now);
        if self.today.0 != day {
            self.today = (day, 0);
        }
        let room = self.settings.per_day.saturating_sub(self.today.1) as usize;
        let batch = self.batch().min(room);
        let chosen = self.choose(batch, now, elapsed);
        if !chosen.is_empty() {
            return Next::Reserve(chosen);
        }
        let next = self.waiting.first().map(|(at, _)| at.since(now)).unwrap_or(LONGEST);
        Next::Wait(next.clamp(Span::from_millis(200), LONGEST))
    }

    /// No more than can be called while they are reserved; while nothing is answered, one to try.
    fn batch(&self) -> usize {
        let gap = self.settings.query_gap.as_millis().max(1);
        let most = if self.tries == 0 { BATCH } else { 1 };
        usize::try_from(RESERVED_FOR.as_millis() / 2 / gap).unwrap_or(1).clamp(1, most)
    }

    fn choose(&mut self, most: usize, now: Instant, elapsed: Span) -> Vec<(Arc<Number>, Call)> {
        let mut chosen = Vec::new();
        while let Some((at, number)) = self.waiting.first().cloned() {
            if at > now {
                break;
            }
            self.waiting.pop_first();
            let Some(parcel) = self.parcels.get_mut(&number) else { continue };
            // The wall was set: what counts is how long ago the last call really was.
            let floor = self.settings.rules.floor;
            if let Some(left) =
                parcel.asked.map(|asked| (asked + floor).less(elapsed)).filter(|l| !l.is_zero())
            {
                parcel.place = Some((Queue::Waiting, now + left));
                self.waiting.insert((now + left, number));
                continue;
            }
            let rank = risk(&parcel.kept.standing, parcel.kept.since, &self.settings.rules, now);
            parcel.place = Some((Queue::Ready(rank), at));
            self.ready.insert((rank, at, number));
        }
        // A subscription costs one call and spares many.
        while chosen.len() < most
            && let Some((at, number)) = self.to_subscribe.first().cloned()
            && at <= now
        {
            self.to_subscribe.pop_first();
            let wanted = self.parcels.get(&number).and_then(|p| self.submits_at(&p.kept, now));
            match wanted {
                Some(at) if at <= now && !chosen.iter().any(|(n, _)| *n == number) => {
                    chosen.push((number, Call::Subscribe));
                }
                Some(at) if at <= now => {}
                Some(at) => drop(self.to_subscribe.insert((at, number))),
                None => {}
            }
        }
        while chosen.len() < most
            && let Some((_, _, number)) = self.ready.pop_first()
        {
            if let Some(parcel) = self.parcels.get_mut(&number) {
                parcel.place = None;
                chosen.push((number, Call::Query));
            }
        }
        chosen
    }

    /// When a parcel may be subscribed, if it is to be.
    fn submits_at(&self, kept: &Kept, now: Instant) -> Option<Instant> {
        let wanted = self.settings.push
            && kept.over.is_none()
            && kept.pushed_since.is_none()
            && !matches!(kept.standing.milestone, Milestone::Delivered)
            // Once the vendor has given up, a call has to find something first.
            && (kept.submits.is_empty() || kept.standing.newest.is_some() || kept.heard.is_none());
        let lately = kept.submits.iter().filter(|at| now.since(**at) < MONTH).count();
        let last = kept.submits.last().map_or(Instant::MIN, |at| *at + RESUBMIT);
        (wanted && lately < SUBMITS).then_some(last)
    }

    /// The rows of numbers as if they were called now.
    pub fn reservation(&self, numbers: &[(Arc<Number>, Call)], now: Instant) -> Vec<(Arc<Number>, Kept)> {
        let row = |(number, call): &(Arc<Number>, Call)| {
            let mut kept = self.parcels.get(number)?.kept.clone();
            call_on(&mut kept, *call, now);
            Some((number.clone(), kept))
        };
        numbers.iter().filter_map(row).collect()
    }

    /// Their rows are kept.
    pub fn reserved(&mut self, numbers: Vec<(Arc<Number>, Call)>, now: Instant, elapsed: Span) {
        for (number, call) in numbers {
            if let Some(parcel) = self.parcels.get_mut(&number) {
                call_on(&mut parcel.kept, call, now);
                self.reserved.push_back((number, call, elapsed));
            }
        }
    }

    /// A call goes out.
    fn called(&mut self, number: &Arc<Number>, call: Call, now: Instant, elapsed: Span) {
        self.today.1 = self.today.1.saturating_add(1);
        let Some(parcel) = self.parcels.get_mut(number) else { return };
        if call == Call::Query {
            parcel.kept.asked = Some(now);
            parcel.asked = Some(elapsed);
        } else if let Some(last) = parcel.kept.submits.last_mut() {
            *last = now;
        }
    }

    /// What a call, or a push, says of a parcel: what to keep. Nothing has changed until [`Planner::kept`].
    pub fn took(&self, number: &Arc<Number>, mut trace: Trace, pushed: Option<On>, now: Instant) -> Step {
        let (mut kept, links) = match self.parcels.get(number) {
            Some(parcel) => (parcel.kept.clone(), parcel.links.as_slice()),
            // Its row went long ago, and the vendor still tells of it.
            None => (unnamed(&trace, now), &[][..]),
        };
        kept.heard = Some(now);
        match pushed {
            None => (kept.answered, kept.misses) = (Some(now), 0),
            Some(On::Yes | On::Corrected) => kept.pushed_since = kept.pushed_since.or(Some(now)),
            Some(On::Shutdown | On::Abort) => kept.pushed_since = None,
        }
        let (rejects, rows) = (std::mem::take(&mut trace.rejects), trace.rows);
        let unknown = trace.unknown;
        let parcel = trace.fold(Known { shipped: kept.shipped, now });
        let standing = Standing::of(&parcel, kept.since);
        let was = &kept.standing;
        let is_stale =
            standing.newest < was.newest || (standing.newest == was.newest && standing.events < was.events);
        let mut observations = Vec::new();
        if !is_stale {
            let whose = self.whose(number, links, &kept);
            let began = parcel.changed.unwrap_or(kept.since);
            let began = kept.began.map_or(began, |before| before.max(began));
            observations = trace.observations(whose, &parcel, began);
            let digest = hash64(format!("{observations:?}").as_bytes());
            if digest == kept.digest {
                observations.clear();
            }
            let mut words = trace.words(whose, &parcel, now);
            if pushed == Some(On::Corrected) {
                words.push(Word::new("other_carrier", Value::Bool(true), now));
            }
            let newest = parcel.newest.unwrap_or(kept.since);
            // What waits for no longer than so long is over then, whenever that is seen.
            let over_at = parcel.way.waits.map_or(newest, |(_, at)| at + WAITS).min(now).max(newest);
            // Before what happened: rules go by both.
            let told = kept.said.tell(words, &WORDS, over_at, |at| whose.observation(at));
            let place = observations.len().min(1);
            observations.splice(place..place, told);
            if standing.milestone != kept.standing.milestone
                && let Some(over) = kept.over.take()
            {
                observations.extend(over.is_final().then(|| self.told(number, "reopened", None, now)));
            }
            (kept.digest, kept.standing, kept.began) = (digest, standing, Some(began));
        }
        let whose = self.whose(number, links, &kept);
        let fresh = Word::new("fresh", Value::Bool(true), now);
        if kept.said.is("fresh", &Value::Bool(false)) {
            observations.extend(kept.said.say(fresh, |at| whose.observation(at)));
        }
        self.end(number, &mut kept, &mut observations, now);
        self.revise(&mut kept, &mut observations, now);
        let (number, counts) = (number.clone(), parcel.counts);
        Step { number, row: kept, observations, rejects, rows, counts, unknown, is_stale }
    }

    /// Parcels of which nothing was heard for twice as long as was planned (数据不新鲜): what to keep of them, some at a
    /// time; then [`Planner::kept`]. Rules that go by time rest until something is heard.
    pub fn silent(&self, now: Instant) -> Vec<Step> {
        let is_silent = |(number, parcel): &(&Arc<Number>, &Parcel)| {
            let kept = &parcel.kept;
            if kept.over.is_some() || kept.said.is("fresh", &Value::Bool(false)) {
                return false;
            }
            let Due::At(at) = due(number, &kept.standing, &calls(kept), &self.settings.rules) else {
                return false;
            };
            // What was never asked for waits for its turn.
            let Some(base) = kept.heard.or(kept.asked) else { return false };
            now.since(at) > at.since(base).max(self.settings.rules.floor.times(2))
        };
        let step = |(number, parcel): (&Arc<Number>, &Parcel)| {
            let mut kept = parcel.kept.clone();
            let whose = self.whose(number, &parcel.links, &kept);
            let word = Word::new("fresh", Value::Bool(false), now);
            let mut observations: Vec<_> =
                kept.said.say(word, |at| whose.observation(at)).into_iter().collect();
            self.revise(&mut kept, &mut observations, now);
            Step { observations, ..step(number, kept) }
        };
        self.parcels.iter().filter(is_silent).take(SILENT).map(step).collect()
    }

    /// The vendor tells us by itself from now on.
    pub fn subscribed(&self, number: &Arc<Number>, now: Instant) -> Option<Step> {
        let mut kept = self.parcels.get(number)?.kept.clone();
        (kept.pushed_since, kept.misses) = (Some(now), 0);
        Some(step(number, kept))
    }

    /// Nothing came of a call. What to keep of that, if anything; then [`Planner::kept`].
    pub fn failed(
        &mut self,
        number: &Arc<Number>,
        call: Call,
        trouble: Trouble,
        now: Instant,
        elapsed: Span,
    ) -> Option<Step> {
        self.queue(number);
        if trouble.of == Whose::Account {
            self.account_failed(trouble.failure, call, elapsed);
            return None;
        }
        self.in_a_row += 1;
        if self.in_a_row >= IN_A_ROW {
            // Numbers are not wrong by the dozen: it is what we send with them.
            self.account_failed(trouble.failure, call, elapsed);
            return None;
        }
        let mut kept = self.parcels.get(number)?.kept.clone();
        kept.misses = kept.misses.saturating_add(1);
        let mut observations = Vec::new();
        if call == Call::Subscribe {
            // Not again: it is asked for like one that nobody tells us of.
            kept.submits.resize(SUBMITS, now);
        } else if kept.misses >= MISSES {
            kept.over = Some(Over::Refused);
            observations.push(self.ended(number, Over::Refused, now));
            self.revise(&mut kept, &mut observations, now);
        }
        Some(Step { observations, ..step(number, kept) })
    }

    fn account_failed(&mut self, failure: Failure, call: Call, elapsed: Span) {
        // What was reserved meanwhile is called another hour.
        for (number, ..) in std::mem::take(&mut self.reserved) {
            self.queue(&number);
        }
        let rung = LADDER.get(self.tries).or(LADDER.last()).copied().unwrap_or(Span::HOUR);
        self.tries += 1;
        let jitter =
            i64::try_from(hash64(&elapsed.as_millis().to_be_bytes()) >> 8 & 0xffff).unwrap_or(0) % 21;
        let mut wait = Span::from_millis(rung.as_millis() / 100 * (90 + jitter));
        match failure.class.reaction() {
            Reaction::SlowDown => {
                let gap = if call == Call::Query { &mut self.queries } else { &mut self.submissions };
                gap.throttled(elapsed);
                wait = Span::from_secs(5).times(1 << self.tries.min(6));
            }
            Reaction::Again | Reaction::FewTimes | Reaction::SetClock => {
                self.stuck |= failure.class == Class::Malformed && self.tries >= MISSES.into();
            }
            Reaction::Refresh | Reaction::Merchant | Reaction::Operator => {
                // Nothing helps but somebody: once an hour it is seen whether they did.
                (self.stuck, wait) = (true, Span::HOUR);
            }
        }
        self.not_before = elapsed + wait.max(failure.wait.unwrap_or(Span::ZERO));
        self.failed = Some(failure);
    }

    /// The step is kept.
    pub fn kept(&mut self, step: Step, is_answer: bool, elapsed: Span) {
        if is_answer {
            (self.tries, self.failed, self.stuck, self.in_a_row, self.good) = (0, None, false, 0, elapsed);
        }
        let fresh = || Parcel {
            kept: step.row.clone(),
            links: Vec::new(),
            asked: None,
            place: None,
            sweep: self.sweep,
        };
        let parcel = self.parcels.entry(step.number.clone()).or_insert_with(fresh);
        // A call that went out meanwhile stays the last one.
        let asked = parcel.kept.asked.max(step.row.asked);
        parcel.kept = Kept { asked, ..step.row };
        self.queue(&step.number);
    }

    /// Why the account cannot be used, for people; `None` while it can.
    pub fn blind(&self, elapsed: Span) -> Option<String> {
        let failure = self.failed.as_ref()?;
        let late = elapsed.less(self.good) > Span::from_minutes(10) && self.tries > 1;
        (self.stuck || late).then(|| format!("{}:{} [{failure}]", self.source, failure.class.remedy()))
    }

    /// Since the last answer in earnest, while there is anything to ask for.
    pub fn age(&self, elapsed: Span) -> Span {
        if self.failed.is_some() { elapsed.less(self.good) } else { Span::ZERO }
    }

    /// Puts a parcel where it belongs. What is reserved stays there.
    fn queue(&mut self, number: &Arc<Number>) {
        let Some(parcel) = self.parcels.get_mut(number) else { return };
        match parcel.place.take() {
            Some((Queue::Waiting, at)) => drop(self.waiting.remove(&(at, number.clone()))),
            Some((Queue::Ready(rank), at)) => drop(self.ready.remove(&(rank, at, number.clone()))),
            None => {}
        }
        let Some(parcel) = self.parcels.get(number) else { return };
        if parcel.kept.over.is_some() || self.reserved.iter().any(|(n, ..)| n == number) {
            return;
        }
        if let Some(at) = self.submits_at(&parcel.kept, parcel.kept.heard.unwrap_or(parcel.kept.since)) {
            self.to_subscribe.insert((at, number.clone()));
        }
        let rules = &self.settings.rules;
        let at = match due(number, &parcel.kept.standing, &calls(&parcel.kept), rules) {
            Due::At(at) => at,
            // By rules that are new: it is over once an answer has said so.
            Due::Over(_) => parcel.kept.asked.map_or(parcel.kept.since, |at| at + rules.floor + RESERVED_FOR),
        };
        if let Some(parcel) = self.parcels.get_mut(number) {
            parcel.place = Some((Queue::Waiting, at));
            self.waiting.insert((at, number.clone()));
        }
    }

    fn whose<'a>(&'a self, number: &'a Number, links: &'a [Link], kept: &Kept) -> OfWhom<'a> {
        OfWhom {
            source: &self.source,
            shop: self.shop.as_deref(),
            number,
            links,
            since: kept.since,
            shipped: kept.shipped,
        }
    }

    /// Notes that a parcel is over, if it is.
    fn end(
        &self,
        number: &Number,
        kept: &mut Kept,
        observations: &mut Vec<Observation<'static>>,
        now: Instant,
    ) {
        if kept.over.is_some() {
            return;
        }
        if let Due::Over(over) = due(number, &kept.standing, &calls(kept), &self.settings.rules) {
            kept.over = Some(over);
            observations.push(self.ended(number, over, now));
        }
    }

    /// The parcel is not asked for any more, and its case is over where it is itself.
    fn ended(&self, number: &Number, over: Over, now: Instant) -> Observation<'static> {
        let tracking = ("tracking".into(), Value::Text(over.word().into()));
        let told = self.told(number, "closed", Some(tracking), now);
        if over.is_final() { told } else { Observation { marks: Vec::new(), ..told } }
    }

    fn told(
        &self,
        number: &Number,
        name: &'static str,
        attribute: Option<(Cow<'static, str>, Value<'static>)>,
        now: Instant,
    ) -> Observation<'static> {
        Observation {
            source: self.source.clone().into(),
            kind: "parcel".into(),
            id: number.to_string().into(),
            as_of: now,
            revision: 0,
            marks: vec![mark(name, now)],
            attributes: attribute.into_iter().collect(),
        }
    }

    /// Whatever is told now counts for more than what was told before.
    fn revise(&self, kept: &mut Kept, observations: &mut [Observation<'static>], now: Instant) {
        if observations.is_empty() {
            return;
        }
        kept.revision = now.as_secs().max(kept.revision + 1);
        for observation in observations {
            observation.revision = kept.revision;
        }
    }
}

fn step(number: &Arc<Number>, row: Kept) -> Step {
    Step {
        number: number.clone(),
        row,
        observations: Vec::new(),
        rejects: Vec::new(),
        rows: 0,
        counts: Counts::default(),
        unknown: 0,
        is_stale: false,
    }
}

fn unnamed(trace: &Trace, now: Instant) -> Kept {
    let since = trace.scans.iter().map(|s| s.at).filter(|at| at.is_plausible()).min().unwrap_or(now).min(now);
    Kept {
        since,
        shipped: None,
        asked: None,
        answered: None,
        heard: None,
        standing: Standing::unknown(since),
        began: None,
        digest: 0,
        said: Said::default(),
        revision: 0,
        misses: 0,
        pushed_since: Some(now),
        submits: vec![now],
        over: None,
    }
}

fn call_on(kept: &mut Kept, call: Call, now: Instant) {
    match call {
        Call::Query => kept.asked = Some(now),
        Call::Subscribe => {
            kept.submits.retain(|at| now.since(*at) < MONTH);
            kept.submits.push(now);
        }
    }
}

fn calls(kept: &Kept) -> Calls {
    Calls {
        since: kept.since,
        asked: kept.asked,
        answered: kept.answered,
        heard: kept.heard,
        pushed_since: kept.pushed_since,
    }
}

/// The day in China, by number.
fn day_of(now: Instant) -> i64 {
    (now.as_secs() + i64::from(EAST_8.seconds())).div_euclid(86_400)
}

#[cfg(test)]
mod tests;
