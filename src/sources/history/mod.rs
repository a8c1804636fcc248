//! Histories in, observations out, in the order of their instants.
//!
//! A broken line is data: it is counted, the first ten are kept with their reasons, the rest goes on. A file
//! that breaks off in the middle (a cut gzip, a read error) ends the replay with an error once everything
//! before it has been played.

pub mod csv;
pub mod event;
pub mod import;
pub mod lines;
pub mod open;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use self::csv::{Table, read_table};
use self::event::Event;
use self::import::ImportConfig;
use self::lines::{Line, LineReader, MAX_LINE};
use self::open::{Packing, Watch};
use crate::core::model::Observation;
use crate::core::time::Instant;

/// How many rejected lines are kept with their reasons.
pub const REJECTS_SHOWN: usize = 10;

/// Why a history cannot be replayed, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened, or not even its start can be read.
    #[error("{file}: cannot be read: {cause}")]
    Open {
        /// Its name.
        file: Arc<str>,
        /// What the system answered.
        cause: io::Error,
    },
    /// A directory was named.
    #[error("{file}: is a directory, expected a file of JSON Lines or CSV")]
    Directory {
        /// Its name.
        file: Arc<str>,
    },
    /// There is not one byte in it.
    #[error("{file}: is empty, expected JSON Lines or CSV")]
    Empty {
        /// Its name.
        file: Arc<str>,
    },
    /// Nothing was named.
    #[error("no history is named, expected files or - for standard input")]
    NoInput,
    /// Standard input was named twice.
    #[error("standard input is named twice, it can be read only once")]
    StdinTwice,
    /// It broke off in the middle; what came before was played.
    #[error("{file}: the {} broke off after {good} good lines (line {line}): {cause}", packing.name())]
    Broken {
        /// Its name.
        file: Arc<str>,
        /// How it is packed.
        packing: Packing,
        /// How many lines of it were used before.
        good: u64,
        /// The number of the last line that was whole.
        line: u64,
        /// What reading or unpacking answered.
        cause: io::Error,
    },
    /// The header of a CSV file does not fit the mapping.
    #[error("{file}: {text}")]
    Header {
        /// Its name.
        file: Arc<str>,
        /// What is wrong with it.
        text: String,
    },
    /// A line was refused and `--strict` was asked for.
    #[error("{0} (--strict)")]
    Strict(Reject),
    /// Not one line could be used.
    #[error(
        "{file}: {}, expected JSON Lines like {}{}",
        match *lines {
            0 => "holds not one line".to_owned(),
            1 => "its only line cannot be used".to_owned(),
            lines => format!("none of its {lines} lines can be used"),
        },
        r#"{"at":"2026-03-02T10:00:00Z","source":"…","kind":"ticket","id":"…","event":"opened"}"#,
        first.as_ref().map(|r| format!("; the first one: {}", r.reason)).unwrap_or_default()
    )]
    NothingUsable {
        /// Its name.
        file: Arc<str>,
        /// How many lines it has.
        lines: u64,
        /// The first of its lines that was refused.
        first: Option<Reject>,
    },
}

/// A line that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The file.
    pub file: String,
    /// The line, counted from 1; in CSV the row, the header being row 1.
    pub line: u64,
    /// Why, as a lower-case fragment.
    pub reason: String,
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// The lines that were not used: how many, and the first ten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejects {
    total: u64,
    first: Vec<Reject>,
    #[serde(skip)]
    is_strict: bool,
}

impl Rejects {
    /// None so far; with `is_strict` the first one is an error.
    pub fn new(is_strict: bool) -> Rejects {
        Rejects { is_strict, ..Rejects::default() }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first [`REJECTS_SHOWN`] of them.
    pub fn first(&self) -> &[Reject] {
        &self.first
    }

    /// Counts one.
    ///
    /// # Errors
    /// Itself, when strict.
    pub fn note(&mut self, file: &Arc<str>, line: u64, reason: &str) -> Result<(), InputError> {
        self.total += 1;
        if self.first.len() < REJECTS_SHOWN || self.is_strict {
            let reject = Reject { file: file.to_string(), line, reason: printable(reason) };
            if self.is_strict {
                return Err(InputError::Strict(reject));
            }
            self.first.push(reject);
        }
        Ok(())
    }
}

/// A reason quotes what came from outside: no control characters reach the terminal, and it has an end.
fn printable(reason: &str) -> String {
    const LONGEST: usize = 300;
    let mut text: String =
        reason.chars().take(LONGEST).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if text.len() < reason.len() && reason.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// What one input came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileTally {
    /// Its name.
    pub file: String,
    /// How it was packed.
    pub packing: Packing,
    /// Its lines (CSV: rows) as far as it was read, empty ones and the header included.
    pub lines: u64,
    /// How many of them were used.
    pub good: u64,
}

/// What was read so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// File by file, in the order of the arguments.
    pub files: Vec<FileTally>,
    /// How many observations were played.
    pub events: u64,
    /// The earliest `at`.
    pub first_at: Option<Instant>,
    /// The latest `at`.
    pub last_at: Option<Instant>,
    /// What was not used.
    pub rejects: Rejects,
}

/// One or several recorded histories, merged by their instants.
pub struct History {
    import: ImportConfig,
    feeds: Vec<Feed>,
    rejects: Rejects,
    events: u64,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
    now: Instant,
}

impl History {
    /// Opens `inputs`: paths, or `-` for standard input. `import` has been checked.
    ///
    /// CSV files are read whole here; of the others only the first bytes.
    ///
    /// # Errors
    /// What cannot be opened, a directory, an empty file, a CSV header that does not fit, and with `is_strict`
    /// the first CSV row that cannot be used.
    pub fn open(
        inputs: &[String],
        import: ImportConfig,
        is_strict: bool,
        watch: Watch<'_>,
    ) -> Result<History, InputError> {
        if inputs.is_empty() {
            return Err(InputError::NoInput);
        }
        if inputs.iter().filter(|input| *input == open::STDIN).count() > 1 {
            return Err(InputError::StdinTwice);
        }
        let opened: Vec<_> = inputs.iter().map(|input| open::open(input, watch)).collect::<Result<_, _>>()?;
        let mut rejects = Rejects::new(is_strict);
        let feeds = opened
            .into_iter()
            .map(|opened| Feed::new(opened, &import, &mut rejects))
            .collect::<Result<_, _>>()?;
        Ok(History {
            import,
            feeds,
            rejects,
            events: 0,
            first_at: None,
            last_at: None,
            now: Instant::EARLIEST,
        })
    }

    /// Plays everything: calls `step` with each observation and the virtual time, which never goes back.
    ///
    /// Files are merged by `at`, each in its own order; at the same instant the file named first goes first.
    ///
    /// # Errors
    /// What `step` answers; a file that broke off, or without one usable line, once all before it was played.
    pub fn play<E: From<InputError>>(
        &mut self,
        mut step: impl FnMut(&Observation<'_>, Instant) -> Result<(), E>,
    ) -> Result<(), E> {
        if let [Feed::Lines(feed)] = &mut self.feeds[..] {
            // The usual case, without looking ahead.
            while let Some(range) = feed.next_range(&mut self.rejects)? {
                match self.import.read(feed.lines.text(range)) {
                    Ok((at, seen)) => {
                        feed.good += 1;
                        self.events += 1;
                        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
                        self.now = self.now.max(at);
                        self.last_at = Some(self.now);
                        step(&seen, self.now)?;
                    }
                    Err(reason) => self.rejects.note(&feed.name, feed.lines.number(), &reason)?,
                }
            }
            return Ok(feed.check_usable(&self.rejects)?);
        }
        let mut heads = Vec::with_capacity(self.feeds.len());
        for feed in &mut self.feeds {
            heads.push(feed.next_at(&self.import, &mut self.rejects)?);
        }
        while let Some((at, turn)) = heads.iter().zip(0..).filter_map(|(at, i)| Some(((*at)?, i))).min() {
            self.events += 1;
            self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
            self.now = self.now.max(at);
            self.last_at = Some(self.now);
            let (now, feed) = (self.now, &mut self.feeds[turn]);
            feed.with_head(&self.import, |seen| step(seen, now))?;
            heads[turn] = feed.next_at(&self.import, &mut self.rejects)?;
        }
        for feed in &self.feeds {
            if let Feed::Lines(feed) = feed {
                feed.check_usable(&self.rejects)?;
            }
        }
        Ok(())
    }

    /// What was read so far; complete once [`History::play`] came back.
    pub fn tally(&self) -> Tally {
        Tally {
            files: self.feeds.iter().map(Feed::tally).collect(),
            events: self.events,
            first_at: self.first_at,
            last_at: self.last_at,
            rejects: self.rejects.clone(),
        }
    }
}

/// One input being read.
enum Feed {
    Lines(LineFeed),
    Table { name: Arc<str>, packing: Packing, table: Table, next: usize },
}

struct LineFeed {
    name: Arc<str>,
    packing: Packing,
    lines: LineReader<Box<dyn Read>>,
    good: u64,
    head: Range<usize>,
}

impl Feed {
    fn new(opened: open::Opened, import: &ImportConfig, rejects: &mut Rejects) -> Result<Feed, InputError> {
        let open::Opened { name, bytes, packing } = opened;
        let mut lines = LineReader::new(bytes);
        if let Some(config) = &import.csv {
            let broken = |cause| InputError::Broken { file: name.clone(), packing, good: 0, line: 0, cause };
            // JSON Lines begin with a brace, whatever the file is called.
            let first = lines.peek_byte().map_err(broken)?;
            if first.is_some_and(|byte| byte != b'{') {
                let table = read_table(&name, lines.into_rest(), config, &import.ignore, rejects)?;
                if table.good == 0 && table.broken.is_none() {
                    let first = rejects.first().iter().find(|r| *r.file == *name).cloned();
                    return Err(InputError::NothingUsable { file: name, lines: table.rows + 1, first });
                }
                return Ok(Feed::Table { name, packing, table, next: 0 });
            }
        }
        Ok(Feed::Lines(LineFeed { name, packing, lines, good: 0, head: 0..0 }))
    }

    /// Moves to the next usable line and answers with its `at`.
    fn next_at(
        &mut self,
        import: &ImportConfig,
        rejects: &mut Rejects,
    ) -> Result<Option<Instant>, InputError> {
        match self {
            Feed::Lines(feed) => {
                while let Some(range) = feed.next_range(rejects)? {
                    match import.read(feed.lines.text(range.clone())) {
                        Ok((at, _)) => {
                            feed.good += 1;
                            feed.head = range;
                            return Ok(Some(at));
                        }
                        Err(reason) => rejects.note(&feed.name, feed.lines.number(), &reason)?,
                    }
                }
                Ok(None)
            }
            Feed::Table { name, packing, table, next } => {
                if let Some((at, _)) = table.seen.get(*next) {
                    *next += 1;
                    return Ok(Some(*at));
                }
                match table.broken.take() {
                    Some(cause) => Err(InputError::Broken {
                        file: name.clone(),
                        packing: *packing,
                        good: table.good,
                        line: table.rows + 1,
                        cause,
                    }),
                    None => Ok(None),
                }
            }
        }
    }

    /// Gives the line that [`Feed::next_at`] found. It is read a second time: keeping it would tie the feed to
    /// its own buffer, and only merged histories pay for that.
    fn with_head<E>(
        &mut self,
        import: &ImportConfig,
        step: impl FnOnce(&Observation<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Feed::Lines(feed) => match import.read(feed.lines.text(feed.head.clone())) {
                Ok((_, seen)) => step(&seen),
                Err(reason) => unreachable!("a line that was read before: {reason}"),
            },
            Feed::Table { table, next, .. } => step(&table.seen[*next - 1].1),
        }
    }

    fn tally(&self) -> FileTally {
        match self {
            Feed::Lines(feed) => FileTally {
                file: feed.name.to_string(),
                packing: feed.packing,
                lines: feed.lines.number(),
                good: feed.good,
            },
            Feed::Table { name, packing, table, .. } => FileTally {
                file: name.to_string(),
                packing: *packing,
                lines: table.rows + 1,
                good: table.good,
            },
        }
    }
}

impl LineFeed {
    /// The next line that is not empty and not too long.
    fn next_range(&mut self, rejects: &mut Rejects) -> Result<Option<Range<usize>>, InputError> {
        loop {
            match self.lines.next_line() {
                Ok(Some(Line::Text(range))) => return Ok(Some(range)),
                Ok(Some(Line::TooLong)) => {
                    let reason = format!("longer than {MAX_LINE} bytes");
                    rejects.note(&self.name, self.lines.number(), &reason)?;
                }
                Ok(None) => return Ok(None),
                Err(cause) => {
                    return Err(InputError::Broken {
                        file: self.name.clone(),
                        packing: self.packing,
                        good: self.good,
                        line: self.lines.number(),
                        cause,
                    });
                }
            }
        }
    }

    fn check_usable(&self, rejects: &Rejects) -> Result<(), InputError> {
        if self.good > 0 {
            return Ok(());
        }
        let first = rejects.first().iter().find(|r| *r.file == *self.name).cloned();
        Err(InputError::NothingUsable { file: self.name.clone(), lines: self.lines.number(), first })
    }
}

/// The bare pass (the yardstick of `benches/replay.rs`): unpacks and parses, maps nothing, and answers with the
/// number of lines that are events.
///
/// # Errors
/// What cannot be opened or breaks off.
pub fn bare_pass(input: &str) -> Result<u64, InputError> {
    let opened = open::open(input, &|bytes| bytes)?;
    let mut feed = LineFeed {
        name: opened.name,
        packing: opened.packing,
        lines: LineReader::new(opened.bytes),
        good: 0,
        head: 0..0,
    };
    let mut rejects = Rejects::new(false);
    while let Some(range) = feed.next_range(&mut rejects)? {
        feed.good += u64::from(Event::parse(feed.lines.text(range)).is_ok());
    }
    Ok(feed.good)
}

#[cfg(test)]
mod tests;
