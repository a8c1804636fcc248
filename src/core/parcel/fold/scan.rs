//! A scan: one thing that somebody says happened to a parcel (`logistics` 1.3), and the list of all that was said.

use std::sync::Arc;

use crate::core::parcel::{Exception, Milestone};
use crate::core::time::{Instant, Span};

/// Of one parcel so many of the first scans are kept …
const FIRST: usize = 100;
/// … and so many of the last.
const LAST: usize = 1900;

/// What makes a scan the same as another: instant in seconds, code, text, milestone, exception.
type Key<'a> = (i64, Option<&'a str>, u64, Milestone, Option<Exception>);

/// Who says it; of two that contradict each other the greater is believed (`logistics` 5, F12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teller {
    /// Typed by a person (Q38).
    Person,
    /// The platform of the shop.
    Platform,
    /// Who asks carriers for others: Kuaidi100, KDNiao, 17TRACK.
    Aggregator,
    /// The carrier itself.
    Carrier,
}

/// One scan. Its text is not kept: couriers and recipients are called by name and number in it. Of one that tells of
/// trouble the words are, without those.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scan {
    /// When it happened; [`Instant::MIN`] where nobody says.
    pub at: Instant,
    /// Where that brought the parcel.
    pub milestone: Milestone,
    /// What was reported as wrong.
    pub exception: Option<Exception>,
    /// It says that nothing is wrong any more.
    pub clears: bool,
    /// The vendor's code.
    pub code: Option<Arc<str>>,
    /// A digest of the text.
    pub text: u64,
    /// Its words where something is wrong, masked ([`crate::core::parcel::evidence::masked`]).
    pub words: Option<Arc<str>>,
    /// The city or node.
    pub place: Option<Arc<str>>,
    /// Called signed, though it only lies in a locker or station.
    pub claimed: bool,
    /// Somebody else signed.
    pub proxy: bool,
    /// The locker or station is the sender's.
    pub sender_side: bool,
    /// It goes on under this number.
    pub forward_no: Option<Arc<str>>,
    /// Who says it.
    pub teller: Teller,
    /// When we first heard of it.
    pub seen_at: Instant,
    /// The vendor does not tell it any more (F10).
    pub withdrawn: bool,
}

impl Scan {
    /// A scan of which nothing more is known.
    pub fn new(at: Instant, milestone: Milestone) -> Scan {
        Scan {
            at,
            milestone,
            exception: None,
            clears: false,
            code: None,
            text: 0,
            words: None,
            place: None,
            claimed: false,
            proxy: false,
            sender_side: false,
            forward_no: None,
            teller: Teller::Aggregator,
            seen_at: at,
            withdrawn: false,
        }
    }

    /// Two scans of one key are one (F1). Not by the teller: the same may come from several.
    fn key(&self) -> Key<'_> {
        (self.at.as_secs(), self.code.as_deref(), self.text, self.milestone, self.exception)
    }

    /// Whether somebody had the parcel in their hands (F8): a note without a place and a code is none.
    pub fn is_physical(&self) -> bool {
        self.milestone.is_physical() && (self.place.is_some() || self.code.is_some())
    }

    /// Whether it names an instant: 1970, 2000-01-01 and the like stand for none (Q21).
    pub(super) fn has_time(&self) -> bool {
        self.at.is_plausible() && self.at.since(Instant::EARLIEST) > Span::DAY
    }

    /// Takes what another telling of the same says better.
    fn join(&mut self, other: Scan) {
        self.seen_at = self.seen_at.min(other.seen_at);
        self.teller = self.teller.max(other.teller);
        self.withdrawn &= other.withdrawn;
        self.place = self.place.take().max(other.place);
        self.words = self.words.take().max(other.words);
        self.forward_no = self.forward_no.take().max(other.forward_no);
        self.clears |= other.clears;
        self.claimed |= other.claimed;
        self.proxy |= other.proxy;
        self.sender_side |= other.sender_side;
    }
}

/// All that was said of one number, each thing once, in the order F2. The same whatever order it was told in and however
/// often; bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    scans: Vec<Scan>,
    /// Some were beyond what is kept.
    cut: bool,
}

impl Ledger {
    /// Nothing was said yet.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// What is kept.
    pub fn scans(&self) -> &[Scan] {
        &self.scans
    }

    /// Whether scans in the middle of the list were left out.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Adds what a source tells bit by bit (SF pushes, TMC): what was told before stays.
    pub fn merge(&mut self, scans: impl IntoIterator<Item = Scan>) {
        self.scans.extend(scans);
        self.tidy();
    }

    /// Takes the whole list of a source that always tells all of it (Kuaidi100, KDNiao, 17TRACK): what the same teller
    /// told before and tells no more is withdrawn, and kept (F10).
    pub fn replace(&mut self, teller: Teller, list: impl IntoIterator<Item = Scan>) {
        let list: Vec<Scan> = list.into_iter().map(|scan| Scan { teller, ..scan }).collect();
        for scan in self.scans.iter_mut().filter(|scan| scan.teller == teller) {
            scan.withdrawn = true;
        }
        self.merge(list);
    }

    fn tidy(&mut self) {
        self.scans.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
        let mut kept: Vec<Scan> = Vec::with_capacity(self.scans.len());
        for scan in self.scans.drain(..) {
            match kept.last_mut() {
                Some(last) if last.key() == scan.key() => last.join(scan),
                _ => kept.push(scan),
            }
        }
        if kept.len() > FIRST + LAST {
            let beyond = kept.len() - FIRST - LAST;
            kept.drain(FIRST..FIRST + beyond);
            self.cut = true;
        }
        self.scans = kept;
    }
}

/// By instant, then by milestone; never by arrival (F2). Equal keys stand together.
fn order(scan: &Scan) -> (i64, u8, Key<'_>) {
    (scan.at.as_secs(), scan.milestone.rank(), scan.key())
}
