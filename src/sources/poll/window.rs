//! How a list is read to its end without losing a row: windows that lie in the past, walked in an order in which rows
//! that leave while we read cannot take others with them (`platforms` 10.1, 10.2).
//!
//! Rows become visible late, so windows overlap. Where the overlap costs no page of its own it is there each time. A busy
//! list overlaps in full only now and then, and in between by what fits into pages that are asked for anyway; but where it
//! has shown rows late of late, once a round, by as much as they were late.
//!
//! A [`Cursor`] is a value: it says what to ask next, and what it becomes once the answer is kept. Whoever drives it
//! keeps the rows of a page and the next cursor in one commit, so a crash repeats a page at worst.

use serde::{Deserialize, Serialize};

use crate::core::time::{Instant, Span};
use crate::sources::poll::{Class, Failure};

/// What is known of a list (`platforms` 1.2). All of it can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A window ends so long before now.
    pub lag: Span,
    /// It begins so long before the end of the one before: rows become visible late.
    pub overlap: Span,
    /// It is no longer than this.
    pub longest: Span,
    /// What is older cannot be read at all.
    pub history: Span,
    /// Rows a page.
    pub page_size: u32,
    /// The number of the first page.
    pub first_page: u32,
    /// How it is walked.
    pub walk: Walk,
}

/// The walks that lose nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// By page numbers, from the last page to the first, in either order of rows.
    LastToFirst,
    /// By the time of the last row, rows in ascending order of their changes: the window begins there anew.
    Keyset,
    /// From page to page as the platform itself says what follows ([`More`]), or by page numbers up to an empty page. It
    /// loses nothing only where rows do not leave the list while it is read, or the platform's own cursor sees to it.
    Forward {
        /// A walk of more pages is no walk.
        most: u32,
    },
}

/// What a platform itself says about what follows a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum More {
    /// Nothing.
    Over,
    /// The next page by number.
    Page,
    /// What to ask with: a cursor, or the rest of a link. Only the platform knows what it means.
    After(Box<str>),
}

/// A window of more pages is halved.
const DEEPEST: u64 = 50;
/// A shorter one is not.
const SHORTEST: Span = Span::from_secs(60);
/// A window whose count grew while it was read is read again so often at most; the overlap brings the rest.
const AGAIN: u8 = 2;
/// It overlaps in full only after so many overlaps, and one more where what is expected late is read each round: reading the same rows each time would take most of all requests …
const SELDOM: i64 = 2;
/// … or after one, where that takes no more pages than this.
const WIDEST: u64 = 5;
/// So full pages are planned, in percent: what does not fit takes another request.
const FULL: u64 = 80;
/// A window of a busy list begins so long before the end of the one before, at least: platforms differ about which second
/// is in it.
const NARROW: Span = Span::from_secs(5);

/// So long after the last row that was shown late a busy list is still expected to show others.
const UNPUNCTUAL: Span = Span::from_minutes(120);
/// How late it was is remembered for one to two of these …
const WATCH: Span = Span::from_minutes(180);
/// … but that nothing is known of it only so long.
const UNKNOWN: Span = Span::from_minutes(30);
/// What is read again of such a list reaches further back than the latest row was late: by this over the root of how often
/// one was, because the more have come, the closer their latest is to how late they can be …
const LATER: Span = Span::from_secs(180);
/// … and by no more than this.
const LATEST: Span = Span::from_secs(60);

/// How far a list has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything that was changed before is kept.
    through: Instant,
    /// The window being walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    /// The last window that overlapped in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wide: Option<Wide>,
    /// How busy it was lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    /// How late it shows rows; none of a list that is punctual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<Late>,
}

/// How late a list shows rows: so long after a window had ended that should have had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Late {
    /// The most of this watch …
    by: Span,
    /// … which began then …
    #[serde(default)]
    since: Instant,
    /// … and of the one before.
    #[serde(default)]
    before: Span,
    /// How often one was late in them.
    #[serde(default)]
    count: u32,
    /// The window that showed the last of them ended then.
    seen: Instant,
    /// The last window that looked so far back ended then: they are late since.
    #[serde(default)]
    swept: Instant,
}

impl Late {
    /// How late they were at most.
    fn most(self) -> Span {
        self.by.max(self.before)
    }

    /// How far back to look for what may be shown now.
    fn reach(self) -> Span {
        let millis = LATER.as_millis().unsigned_abs();
        let more = (millis * millis / u64::from(self.count).max(1)).isqrt();
        self.most() + Span::from_millis(i64::try_from(more).unwrap_or(i64::MAX)).min(LATEST)
    }

    /// A window that ended at `to` showed a row so late; whether it looked back for such.
    fn shown(self, by: Span, to: Instant, sweeps: bool) -> Late {
        if !sweeps {
            return Late { by: self.by.max(by), seen: to, ..self };
        }
        let watches = to.since(self.since).as_millis() / WATCH.as_millis();
        let (since, seen) = (to, to);
        match watches {
            0 => Late { by: self.by.max(by), count: self.count.saturating_add(1), seen, ..self },
            // What is left of them is about that many.
            1 => Late { by, since, before: self.by, count: self.count / 2 + 1, seen, ..self },
            _ => Late { by, since, before: Span::ZERO, count: 1, seen, ..self },
        }
    }
}

/// So many rows in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rate {
    rows: u64,
    over: Span,
}

impl Rate {
    /// How many pages so long takes.
    fn pages(self, span: Span, size: u64) -> u64 {
        let millis = |span: Span| u64::try_from(span.as_millis()).unwrap_or(0).max(1);
        (self.rows.saturating_mul(millis(span)) / millis(self.over)).div_ceil(size.max(1))
    }

    /// How much more than `fresh` fits into the pages that `fresh` takes.
    fn spare(self, fresh: Span, size: u64) -> Span {
        let millis = |span: Span| u64::try_from(span.as_millis()).unwrap_or(0).max(1);
        let (rows, over, fresh) = (self.rows.max(1), millis(self.over), millis(fresh));
        let page = (size * FULL / 100).max(1);
        let pages = (rows.saturating_mul(fresh) / over).div_ceil(page).max(1);
        let fits = page.saturating_mul(pages).saturating_mul(over) / rows;
        Span::from_millis(i64::try_from(fits.saturating_sub(fresh)).unwrap_or(i64::MAX))
    }
}

/// What the next window has to know of the last one that overlapped in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wide {
    /// Where it ended.
    to: Instant,
    /// It had more than a page.
    busy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    /// Its bounds, both included.
    from: Instant,
    to: Instant,
    /// Where the walk ends: later than `to` when a window was halved.
    goal: Instant,
    stage: Stage,
    /// It does not overlap in full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    narrow: bool,
    /// It has more than a page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    busy: bool,
    /// Where it began before it was raised to the last row.
    begin: Instant,
    /// Rows that came.
    #[serde(default)]
    rows: u64,
    /// It looks back for what is shown late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sweeps: bool,
    /// What follows it: the rest of the overlap, from there to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<(Instant, Instant)>,
    /// It is such a rest, and everything up to there has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// The first page, with the count of rows.
    Count,
    /// Page `page`, counted from one, which is the last if as many rows come as lately, with the count of rows: where it is,
    /// the first page is read once, and not at either end.
    Guess { page: u64 },
    /// Page `page`, counted from one, of a window of `total` rows, read for the `again`th time.
    Down { page: u64, total: u64, again: u8 },
    /// Page `page`, counted from one, of what was changed at or after the beginning.
    Up { page: u64 },
    /// Page `page`, counted from one, asked for with what the page before said.
    Next {
        page: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Box<str>>,
    },
}

impl Stage {
    /// Of a window with that many pages, as far as can be told.
    fn first(walk: Walk, pages: Option<u64>) -> Stage {
        match walk {
            Walk::LastToFirst => match pages {
                Some(page) if (2..=DEEPEST).contains(&page) => Stage::Guess { page },
                _ => Stage::Count,
            },
            Walk::Keyset => Stage::Up { page: 1 },
            Walk::Forward { .. } => Stage::Next { page: 1, after: None },
        }
    }
}

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Rows changed from here …
    pub from: Instant,
    /// … to here, both included.
    pub to: Instant,
    /// The page as the platform counts them.
    pub page: u32,
    /// Rows a page.
    pub size: u32,
    /// Whether the count of all rows is wanted.
    pub count: bool,
}

/// What an answer says, beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How many rows the page has, those that cannot be used included.
    pub rows: u64,
    /// The count of all rows, where it was asked for.
    pub total: Option<u64>,
    /// The last row's change, where rows come in ascending order.
    pub last: Option<Instant>,
    /// What follows, where the platform says it.
    pub more: Option<More>,
}

impl Cursor {
    /// One that begins to read at `from`. The list has yet to show that it is punctual.
    pub fn new(from: Instant) -> Cursor {
        let late = Some(Late {
            by: Span::ZERO,
            since: from + UNKNOWN - WATCH,
            before: Span::DAY,
            count: 0,
            seen: from,
            swept: from,
        });
        Cursor { through: from, window: None, wide: None, rate: None, late }
    }

    /// The page that was asked for shows a row that was changed at `oldest`, and that an earlier window should have shown.
    pub fn shown_late(&mut self, oldest: Instant) {
        let Some(window) = &self.window else { return };
        let to = window.read.unwrap_or(window.to);
        let (by, before, swept) = (Span::ZERO, Span::ZERO, self.through);
        let new = Late { by, since: to, before, count: 0, seen: to, swept };
        let late = self.late.unwrap_or(new);
        let by = late.swept.min(self.through).since(oldest);
        self.late = Some(late.shown(by, to, window.sweeps));
    }

    /// Everything that was changed before is kept.
    pub fn through(&self) -> Instant {
        self.through
    }

    /// Whether a window is being walked.
    pub fn is_walking(&self) -> bool {
        self.window.is_some()
    }

    /// Their time is known to be no later than `now`: what was read with a later one in mind has not happened yet there.
    pub fn hold_back(&mut self, rules: &Rules, now: Instant) {
        if self.window.is_none() {
            self.through = self.through.min(now - rules.lag);
        }
    }

    /// Opens the next window, if there is something to read at `now` and none is open. Answers how much time can no
    /// longer be read, where the list was not read for longer than it remembers.
    pub fn open(&mut self, rules: &Rules, now: Instant) -> Option<Span> {
        let end = now - rules.lag;
        if self.window.is_some() || end <= self.through {
            return None;
        }
        let oldest = now - rules.history + SHORTEST;
        let lost = oldest.since(self.through);
        if !lost.is_zero() {
            self.through = oldest;
        }
        let fresh = end.since(self.through);
        let late = self.late.filter(|late| {
            let is_busy = self.wide.is_some_and(|wide| wide.busy);
            is_busy && fresh < rules.overlap && end.since(late.seen) < UNPUNCTUAL
        });
        let narrow = self.wide.is_some_and(|wide| {
            let since = end.since(wide.to);
            let pages = self.rate.map(|rate| rate.pages(since + rules.overlap, rules.page_size.into()));
            let is_dear = pages.is_none_or(|pages| pages > WIDEST);
            let overlaps = if is_dear { SELDOM + i64::from(late.is_some()) } else { 1 };
            wide.busy && since < rules.overlap.times(overlaps)
        });
        // What was shown late since the last one that overlapped in full is in the next such.
        let whole = self.wide.map_or(self.through, |wide| wide.to.min(self.through)) - rules.overlap;
        let from = if narrow || late.is_some() {
            let spare = self.rate.map(|rate| rate.spare(fresh, rules.page_size.into()));
            let again = late.map_or(NARROW, |late| late.reach() + self.through.since(late.swept));
            self.through - spare.unwrap_or(NARROW).max(again).max(NARROW).min(rules.overlap)
        } else {
            whole
        };
        let from = from.max(oldest);
        let to = end.min(from + rules.longest);
        // The overlap may be as long as the longest window: it gives way then.
        let from = if to <= self.through { self.through } else { from };
        let to = end.min(from + rules.longest);
        // What is expected late comes first, and does not wait for what nobody expects.
        let rest = late.filter(|_| !narrow).map(|_| (whole.max(oldest).max(from - rules.longest), from));
        let rest = rest.filter(|(whole, from)| whole < from);
        let pages = self.rate.map(|rate| rate.pages(to.since(from), rules.page_size.into()));
        let stage = Stage::first(rules.walk, pages);
        let (goal, begin, sweeps) = (to, from, !narrow || late.is_some());
        self.window = Some(Window {
            from,
            to,
            goal,
            stage,
            narrow,
            busy: false,
            begin,
            rows: 0,
            sweeps,
            rest,
            read: None,
        });
        (!lost.is_zero()).then_some(lost)
    }

    /// As [`Cursor::open`], where there are not enough requests to look each time for what is shown late.
    pub fn open_sparingly(&mut self, rules: &Rules, now: Instant) -> Option<Span> {
        let late = self.late.take();
        let lost = self.open(rules, now);
        self.late = late;
        lost
    }

    /// Counts before it asks for any but the first page.
    pub fn count(&mut self) {
        if let Some(window) = self.window.as_mut().filter(|w| matches!(w.stage, Stage::Guess { .. })) {
            window.stage = Stage::Count;
        }
    }

    /// What to ask next; `None` while no window is open.
    pub fn ask(&self, rules: &Rules) -> Option<Ask> {
        let window = self.window.as_ref()?;
        let (page, count) = match window.stage {
            Stage::Count => (1, true),
            Stage::Guess { page } => (page, true),
            // The first page comes last, and says whether rows have come to light meanwhile.
            Stage::Down { page, .. } => (page, page == 1),
            Stage::Up { page } | Stage::Next { page, .. } => (page, false),
        };
        let page = u32::try_from(page - 1).unwrap_or(u32::MAX).saturating_add(rules.first_page);
        Some(Ask { from: window.from, to: window.to, page, size: rules.page_size, count })
    }

    /// What the page before said to ask with.
    pub fn after(&self) -> Option<&str> {
        match &self.window.as_ref()?.stage {
            Stage::Next { after, .. } => after.as_deref(),
            _ => None,
        }
    }

    /// What becomes of it once an answer is kept: the cursor to keep with its rows.
    ///
    /// # Errors
    /// [`Class::Malformed`]: a count was asked for and is missing, or a walk ends nowhere.
    pub fn took(&self, rules: &Rules, facts: Facts) -> Result<Cursor, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let Some(mut window) = self.window.clone() else { return Err(malformed("no_window")) };
        window.rows += facts.rows;
        let size = u64::from(rules.page_size.max(1));
        let pages = |total: u64| total.div_ceil(size);
        let stage = match window.stage.clone() {
            Stage::Count => {
                let total = facts.total.ok_or_else(|| malformed("no_total"))?;
                match pages(total) {
                    // Counted and read in one answer: nothing can have come between.
                    0 | 1 => return Ok(self.over(rules, window)),
                    many if many > DEEPEST && window.to.since(window.from) > SHORTEST => {
                        return Ok(self.halved(window));
                    }
                    many => Stage::Down { page: many, total, again: 0 },
                }
            }
            Stage::Guess { page } => {
                let total = facts.total.ok_or_else(|| malformed("no_total"))?;
                let stage = |page| Stage::Down { page, total, again: 0 };
                match pages(total) {
                    0 => return Ok(self.over(rules, window)),
                    1 => return Ok(Cursor { window: Some(Window { stage: stage(1), ..window }), ..*self }),
                    many if many > DEEPEST && window.to.since(window.from) > SHORTEST => {
                        return Ok(self.halved(window));
                    }
                    many if many == page => stage(many - 1),
                    many => stage(many),
                }
            }
            Stage::Down { page: 1, total, again } => {
                let now = facts.total.ok_or_else(|| malformed("no_total"))?;
                // The first page was there before.
                window.rows = now;
                if now <= total || again >= AGAIN {
                    return Ok(self.over(rules, window));
                }
                Stage::Down { page: pages(now).max(1), total: now, again: again + 1 }
            }
            Stage::Down { page, total, again } => Stage::Down { page: page - 1, total, again },
            Stage::Up { .. } if is_last(&facts, facts.rows < size) => return Ok(self.over(rules, window)),
            Stage::Up { page } => {
                let last = facts.last.ok_or_else(|| malformed("no_last"))?;
                if last > window.to {
                    return Err(malformed("beyond_window"));
                }
                let mut window = window;
                let stage =
                    if last > window.from { Stage::Up { page: 1 } } else { Stage::Up { page: page + 1 } };
                window.from = window.from.max(last);
                return Ok(self.on(Window { stage, ..window }));
            }
            Stage::Next { .. } if is_last(&facts, facts.rows == 0) => return Ok(self.over(rules, window)),
            Stage::Next { page, after } => {
                let most = if let Walk::Forward { most } = rules.walk { most } else { u32::MAX };
                if page >= u64::from(most) {
                    return Err(malformed("too_many_pages"));
                }
                let next = match facts.more {
                    Some(More::After(next)) => Some(next),
                    _ => None,
                };
                match next.is_some() && next == after {
                    // Some say at the end where they are.
                    true if facts.rows == 0 => return Ok(self.over(rules, window)),
                    true => return Err(malformed("same_cursor")),
                    false => {}
                }
                Stage::Next { page: page + 1, after: next }
            }
        };
        Ok(self.on(Window { stage, ..window }))
    }

    /// The walk goes on: there is more than a page.
    fn on(&self, window: Window) -> Cursor {
        Cursor { window: Some(Window { busy: true, ..window }), ..*self }
    }

    /// The window was read to its end.
    fn over(&self, rules: &Rules, window: Window) -> Cursor {
        let is_over = window.to >= window.goal;
        let rate = Some(Rate { rows: window.rows, over: window.to.since(window.begin) });
        let rate = if window.read.is_some() { self.rate } else { rate.filter(|rate| !rate.over.is_zero()) };
        if let (Some((from, to)), true) = (window.rest, is_over) {
            let pages = rate.map(|rate| rate.pages(to.since(from), rules.page_size.into()));
            let (stage, begin, read) = (Stage::first(rules.walk, pages), from, Some(window.to));
            let next = Window { from, to, goal: to, stage, begin, rows: 0, rest: None, read, ..window };
            return Cursor { window: Some(next), rate, ..*self };
        }
        let to = window.read.unwrap_or(window.to);
        let wide = match window.narrow {
            true => self.wide,
            false => Some(Wide { to, busy: window.busy }),
        };
        if is_over {
            let late =
                self.late.map(|late| Late { swept: if window.sweeps { to } else { late.swept }, ..late });
            return Cursor { through: self.through.max(to), window: None, wide, rate, late };
        }
        // The next part of one that was halved.
        let through = self.through.max(window.to);
        let length = window.to.since(window.from).max(SHORTEST);
        let (from, to) = (window.to, (window.to + length).min(window.goal));
        let next = Window { from, to, stage: Stage::Count, begin: from, rows: 0, ..window };
        Cursor { through, window: Some(next), wide, rate, late: self.late }
    }

    fn halved(&self, window: Window) -> Cursor {
        let half = Span::from_secs(window.to.since(window.from).as_secs() / 2).max(SHORTEST);
        self.on(Window { to: window.from + half, stage: Stage::Count, rows: 0, ..window })
    }
}

/// Whether a page is the last: as the platform says, else as its rows do.
fn is_last(facts: &Facts, by_rows: bool) -> bool {
    facts.more.as_ref().map_or(by_rows, |more| *more == More::Over)
}

#[cfg(test)]
mod tests;
