//! The model in rows: a lane a row, and what came since midnight in small pieces.
//!
//! What is kept whole is the model of one midnight: its lanes, and a head that says so. Each lane has two rows, written by
//! turns, so that the lanes of the next midnight are written a few at a time beside those of the last; the head comes
//! when all are there. What came since is kept as it came, and learned again after a restart: nothing twice, for a day
//! is only ever learned whole.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::day::{Day, Seen};
use super::lane::{Kept, Lane};
use super::model::{Lateness, Stored};
use super::rhythm::Rhythm;

/// The layout of the rows; another one is not read.
const LAYOUT: u8 = 1;
/// So many lanes are written at once, and so many rows dropped; in tests a few, so that they take several commits.
const AT_ONCE: usize = if cfg!(test) { 5 } else { 256 };
/// So many events lie in one row.
const PIECE: usize = if cfg!(test) { 3 } else { 64 };
/// The ids of the rows.
const HEAD: &str = "late/head";
const LANE: &str = "late/lane/";
const SEEN: &str = "late/seen/";

/// A row: its id, and what it holds; `None` drops it.
pub type LearnedRow = (String, Option<Vec<u8>>);

/// What was kept whole.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// The day that was not over.
    day: Day,
    silent_days: u16,
    rhythm: Rhythm,
    lanes: u32,
}

/// Every row begins with its layout and the life of the model: one that was learned anew has another.
fn bytes(life: u32, what: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_allocvec(&(LAYOUT, life, what)).ok()
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<(u32, T), String> {
    let (layout, rest) = postcard::take_from_bytes::<u8>(bytes).map_err(|e| e.to_string())?;
    if layout != LAYOUT {
        return Err(format!("written with layout {layout}, expected {LAYOUT}"));
    }
    postcard::from_bytes(rest).map_err(|e| e.to_string())
}

/// What is still to be written of a model.
#[derive(Debug, Default)]
pub struct Journal {
    life: u32,
    /// The day whose events are being written, and how many of them are.
    day: Option<i64>,
    written: usize,
    /// Pieces of events that are kept, by the day.
    pieces: BTreeMap<i64, u32>,
    /// Pieces to write.
    waiting: BTreeMap<(i64, u32), Vec<u8>>,
    /// A day was learned since the head was written; lanes are written from this one on.
    behind: Option<usize>,
    gone: BTreeSet<String>,
}

impl Journal {
    /// Notes what came since it was asked last. To be called before a day is learned, which takes it.
    pub fn gather(&mut self, model: &Lateness) {
        let Some(day) = model.day.map(|day| day.from) else { return };
        if self.day != Some(day) {
            (self.day, self.written) = (Some(day), 0);
        }
        if self.written >= model.seen.len() {
            return;
        }
        for (n, piece) in (0_u32..).zip(model.seen.chunks(PIECE)).skip(self.written / PIECE) {
            if let Some(bytes) = bytes(self.life, &piece) {
                self.waiting.insert((day, n), bytes);
                self.pieces.insert(day, n + 1);
            }
        }
        self.written = model.seen.len();
    }

    /// A day was learned.
    pub fn learned(&mut self) {
        self.behind = Some(0);
    }

    /// The rows to keep now: all that came, and a bounded number of lanes.
    pub fn rows(&mut self, model: &mut Lateness, rows: &mut Vec<LearnedRow>) {
        self.gather(model);
        let first = rows.len();
        if let (Some(from), Some(day)) = (self.behind, model.day) {
            self.lanes(model, from, day, rows);
        }
        let waiting = std::mem::take(&mut self.waiting);
        rows.extend(waiting.into_iter().map(|((day, n), bytes)| (seen_id(day, n), Some(bytes))));
        // What is written again is not to be dropped any more.
        for (id, _) in &rows[first..] {
            self.gone.remove(id);
        }
        rows.extend(std::iter::from_fn(|| self.gone.pop_first()).take(AT_ONCE).map(|id| (id, None)));
    }

    fn lanes(&mut self, model: &mut Lateness, from: usize, day: Day, rows: &mut Vec<LearnedRow>) {
        let most = rows.len() + AT_ONCE;
        for (place, lane) in model.lanes.iter_mut().enumerate().skip(from) {
            if !lane.kept.dirty {
                continue;
            }
            if rows.len() >= most {
                self.behind = Some(place);
                return;
            }
            let is_vacant = model.vacant.binary_search(&(place as u32)).is_ok();
            let row = (day.from, (!is_vacant).then_some(&*lane));
            rows.push((format!("{LANE}{place}/{}", u8::from(!lane.kept.second)), bytes(self.life, &row)));
            lane.kept = Kept { dirty: false, written: true, ..lane.kept };
        }
        let (silent_days, lanes) = (model.silent_days, model.lanes.len() as u32);
        let head = Head { day, silent_days, rhythm: model.rhythm.clone(), lanes };
        rows.push((HEAD.to_owned(), bytes(self.life, &head)));
        for lane in model.lanes.iter_mut().filter(|lane| lane.kept.written) {
            lane.kept = Kept { second: !lane.kept.second, written: false, ..lane.kept };
        }
        self.behind = None;
        self.waiting = self.waiting.split_off(&(day.from, 0));
        let later = self.pieces.split_off(&day.from);
        let over = std::mem::replace(&mut self.pieces, later);
        self.gone.extend(over.into_iter().flat_map(|(day, n)| (0..n).map(move |n| seen_id(day, n))));
    }
}

fn seen_id(day: i64, n: u32) -> String {
    format!("{SEEN}{day}/{n}")
}

/// A lane as it was kept: in which life of the model, as of which midnight; none where its place is vacant.
type LaneRow = (u32, (i64, Option<Lane>));

/// Rows as they are read back.
#[derive(Debug, Default)]
pub struct Found {
    head: Option<(u32, Head)>,
    head_is_bad: bool,
    lanes: BTreeMap<(u32, bool), LaneRow>,
    bad_lanes: BTreeSet<u32>,
    seen: BTreeMap<(i64, u32), (u32, Vec<Seen>)>,
    bad_seen: Vec<String>,
}

impl Found {
    /// Takes one row in.
    ///
    /// # Errors
    /// It cannot be read, and why: what it held is learned anew.
    pub fn take(&mut self, id: &str, body: &[u8]) -> Result<(), String> {
        if id == HEAD {
            match read(body) {
                Ok(head) => self.head = Some(head),
                Err(e) => {
                    self.head_is_bad = true;
                    return Err(format!("{e}; transit times (预计超时) are learned anew"));
                }
            }
            return Ok(());
        }
        if let Some((place, second)) = id.strip_prefix(LANE).and_then(|rest| rest.split_once('/')) {
            let place = place.parse().map_err(|_| "no such row".to_owned())?;
            match read(body) {
                Ok(lane) => drop(self.lanes.insert((place, second == "1"), lane)),
                Err(e) => {
                    self.bad_lanes.insert(place);
                    return Err(format!("{e}; this lane (线路) is learned anew"));
                }
            }
            return Ok(());
        }
        let piece = id.strip_prefix(SEEN).and_then(|rest| rest.split_once('/'));
        let piece = piece.and_then(|(day, n)| Some((day.parse().ok()?, n.parse().ok()?)));
        let Some(piece) = piece else { return Err("no such row".to_owned()) };
        match read(body) {
            Ok(events) => drop(self.seen.insert(piece, events)),
            Err(e) => {
                self.bad_seen.push(id.to_owned());
                return Err(format!("{e}; nothing is learned of the parcels in it"));
            }
        }
        Ok(())
    }

    /// The model that was kept, with all that came since.
    ///
    /// # Errors
    /// It cannot have been learned; what is answered with it is one that knows nothing yet.
    pub fn finish(mut self, zone: &TimeZone) -> (Lateness, Journal, Result<(), String>) {
        let lives = self.lanes.values().map(|l| l.0).chain(self.seen.values().map(|s| s.0));
        let newest = lives.chain(self.head.as_ref().map(|h| h.0)).max().unwrap_or(0);
        let life = self.head.as_ref().map_or(newest, |head| head.0);
        let is_lost = self.head_is_bad || (self.head.is_some() && self.bad_lanes.contains(&0));
        let whole = if is_lost { Err("its head or root is lost".to_owned()) } else { self.whole(life) };
        let (mut model, told) = match whole {
            Ok(model) => (model, Ok(())),
            Err(e) => (Lateness::default(), Err(format!("transit times (预计超时) are learned anew: {e}"))),
        };
        let mut journal = Journal {
            life,
            gone: std::mem::take(&mut self.bad_seen).into_iter().collect(),
            ..Journal::default()
        };
        if told.is_err() {
            journal.life = newest.saturating_add(1);
            let lanes =
                self.lanes.keys().map(|(place, second)| format!("{LANE}{place}/{}", u8::from(*second)));
            journal.gone.extend(lanes.chain([HEAD.to_owned()]));
            journal.gone.extend(self.bad_lanes.iter().flat_map(|p| [0, 1].map(|s| format!("{LANE}{p}/{s}"))));
        }
        let mut last = None;
        for ((day, n), (row_life, events)) in self.seen {
            let is_over = model.day.is_some_and(|open| day < open.from);
            if row_life != journal.life || is_over {
                journal.gone.insert(seen_id(day, n));
                continue;
            }
            if model.day.is_none() {
                model.day = Some(Day::containing(zone, day));
            }
            while let Some(next) =
                model.next_change().filter(|_| model.day.is_some_and(|open| open.from < day))
            {
                model.advance(zone, next);
                journal.learned();
            }
            model.seen.extend(events);
            journal.pieces.insert(day, n + 1);
            last = Some(day);
        }
        (journal.day, journal.written) =
            (last.filter(|d| model.day.is_some_and(|o| o.from == *d)), model.seen.len());
        (model, journal, told)
    }

    /// The lanes and the head of one midnight.
    fn whole(&mut self, life: u32) -> Result<Lateness, String> {
        let Some((_, Head { day, silent_days, rhythm, lanes: count })) = self.head.take() else {
            return Ok(Lateness::default());
        };
        let mut lanes: Vec<(Kept, Option<Lane>)> = Vec::new();
        for place in 0..count {
            let mut newest: Option<(i64, bool, Option<Lane>)> = None;
            for second in [false, true] {
                let row = self.lanes.remove(&(place, second)).filter(|row| row.0 == life);
                if let Some((_, (since, lane))) = row
                    && since <= day.from
                    && newest.as_ref().is_none_or(|known| known.0 < since)
                {
                    newest = Some((since, second, lane));
                }
            }
            let is_bad = self.bad_lanes.contains(&place);
            let kept = Kept { second: newest.as_ref().is_some_and(|n| n.1), dirty: is_bad, written: false };
            let lane = newest.and_then(|n| n.2).filter(|_| !is_bad);
            lanes.push((kept, lane));
        }
        // What hangs on a lane that is lost is lost with it; those above stand before those below, or are looked at again.
        let mut is_settled = false;
        while !is_settled {
            is_settled = true;
            for place in 1..lanes.len() {
                let parent = lanes[place].1.as_ref().map(|lane| lane.parent as usize);
                if parent.is_some_and(|parent| lanes.get(parent).is_none_or(|(_, lane)| lane.is_none())) {
                    lanes[place] = (Kept { dirty: true, ..lanes[place].0 }, None);
                    is_settled = false;
                }
            }
        }
        let vacant =
            (0_u32..).zip(&lanes).filter(|(_, (_, lane))| lane.is_none()).map(|(place, _)| place).collect();
        let lanes = lanes.into_iter();
        let lanes = lanes.map(|(kept, lane)| lane.unwrap_or_else(|| Lane::new(0, 0, 0)).keeping(kept));
        let stored =
            Stored { day: Some(day), rhythm, lanes: lanes.collect(), vacant, silent_days, seen: Vec::new() };
        stored.try_into().map_err(|e: super::Unsound| e.to_string())
    }
}
