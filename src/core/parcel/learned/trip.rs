//! What the timeline of a case says of its parcel: a function of the timeline, so that nothing of it is kept beside.

use smallvec::SmallVec;

use crate::core::model::{Content, Scalar, Sym, Symbols, Timeline};
use crate::core::parcel::lateness::{Facts, LatenessConfig};
use crate::core::parcel::learned::habits::Shown;
use crate::core::parcel::stall::{Stage, StallConfig};
use crate::core::parcel::{Exception, Milestone, Route};
use crate::core::time::{Instant, Span};

/// Which names of a case mean what.
#[derive(Debug)]
pub(super) struct Names {
    late_kinds: Vec<Sym>,
    stall_kinds: Vec<Sym>,
    /// By the number of a name.
    roles: Vec<Role>,
    /// The marks and attributes that are said of a case.
    pub(super) late_by: Sym,
    pub(super) late_why: Sym,
    pub(super) stall_by: Sym,
    pub(super) stall_why: Sym,
    pub(super) stall_serious_by: Sym,
    pub(super) reports_delivery: Sym,
    pub(super) reports_collection: Sym,
}

/// What a name means; some mean several things.
#[derive(Clone, Copy, Debug, Default)]
struct Role {
    what: What,
    milestone: Option<Milestone>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    #[default]
    Nothing,
    Began,
    Delivered,
    Left,
    Promise,
    Carrier,
    From,
    To,
    Scan,
    Status,
    Exception,
    Waits,
    OrderOver,
}

/// The names of what is said of a case, beside those that are configured.
pub const LATE_BY: &str = "late_by";
/// Why.
pub const LATE_WHY: &str = "late_why";
/// The instant at which a silence becomes one of the longest.
pub const STALL_BY: &str = "stall_by";
/// The instant at which it becomes serious; known once the first has come.
pub const STALL_SERIOUS_BY: &str = "stall_serious_by";
/// Why.
pub const STALL_WHY: &str = "stall_why";
/// The carrier is known to tell that it carries a parcel to the recipient (`yes`, `no`); said of one that was delivered.
pub const REPORTS_DELIVERY: &str = "reports_delivery";
/// The carrier is known to tell that a parcel was fetched; said of one that lies ready.
pub const REPORTS_COLLECTION: &str = "reports_collection";
const EXCEPTION: &str = "exception";
const WAITS: &str = "waits";
const ORDER_OVER: &str = "order_over";
/// What makes a parcel wait without anybody's fault excuses its silence for so long (`logistics` 6.1).
const EXCUSED_FOR: Span = Span::from_minutes(48 * 60);

impl Names {
    /// The names as `symbols` number them; `None` where there is no room for them.
    pub(super) fn new(
        lateness: &LatenessConfig,
        stall: &StallConfig,
        symbols: &mut Symbols,
    ) -> Option<Names> {
        let mut kinds =
            |names: &[String]| names.iter().map(|name| symbols.intern(name)).collect::<Option<Vec<_>>>();
        let (late_kinds, stall_kinds) = (kinds(&lateness.on)?, kinds(&stall.on)?);
        let mut roles: Vec<Role> = Vec::new();
        let mut role = |symbols: &mut Symbols, name: &str, of: &dyn Fn(&mut Role)| {
            let sym = symbols.intern(name)?;
            if roles.len() <= sym.index() {
                roles.resize(sym.index() + 1, Role::default());
            }
            of(&mut roles[sym.index()]);
            Some(())
        };
        for milestone in Milestone::ALL {
            role(symbols, milestone.word(), &|role| role.milestone = Some(milestone))?;
        }
        for (name, what) in [
            (EXCEPTION, What::Exception),
            (WAITS, What::Waits),
            (ORDER_OVER, What::OrderOver),
            (&stall.status, What::Status),
            (&stall.scan, What::Scan),
            (&lateness.carrier, What::Carrier),
            (&lateness.from, What::From),
            (&lateness.to, What::To),
            (&lateness.promise, What::Promise),
            (&lateness.delivered, What::Delivered),
            (&lateness.began, What::Began),
        ] {
            role(symbols, name, &|role| role.what = what)?;
        }
        for name in &lateness.left {
            role(symbols, name, &|role| role.what = What::Left)?;
        }
        Some(Names {
            late_kinds,
            stall_kinds,
            roles,
            late_by: symbols.intern(LATE_BY)?,
            late_why: symbols.intern(LATE_WHY)?,
            stall_by: symbols.intern(STALL_BY)?,
            stall_why: symbols.intern(STALL_WHY)?,
            stall_serious_by: symbols.intern(STALL_SERIOUS_BY)?,
            reports_delivery: symbols.intern(REPORTS_DELIVERY)?,
            reports_collection: symbols.intern(REPORTS_COLLECTION)?,
        })
    }

    /// Whether cases of this kind may be late.
    pub(super) fn may_be_late(&self, kind: Sym) -> bool {
        self.late_kinds.contains(&kind)
    }

    /// Whether cases of this kind may be stalled.
    pub(super) fn may_stall(&self, kind: Sym) -> bool {
        self.stall_kinds.contains(&kind)
    }

    /// What `timeline` says.
    pub(super) fn read<'t>(&self, kind: Sym, timeline: &'t Timeline) -> Trip<'t> {
        let (may_be_late, may_stall) = (self.may_be_late(kind), self.may_stall(kind));
        let mut trip = Trip::default();
        if !may_be_late && !may_stall {
            return trip;
        }
        let (mut way, mut lane) = ([None; 3], [None; 3]);
        let (mut silence, mut end) = (Silence::default(), End::default());
        for entry in timeline.entries() {
            let Some(role) = self.roles.get(entry.name.index()) else { continue };
            let facts = &mut trip.facts;
            match (timeline.content(entry), role.what) {
                (Content::Deadline(at), What::Promise) => facts.promise = Some(at),
                (Content::Attribute(Scalar::Text(text)), what) => {
                    let place = match what {
                        What::Carrier => Some(0),
                        What::From => Some(1),
                        What::To => Some(2),
                        _ => None,
                    };
                    if let Some(place) = place {
                        lane[place] = Some(text);
                        // Which way it goes is settled when it sets out.
                        if facts.began.is_none() || way[place].is_none() {
                            way[place] = Some(text);
                        }
                    }
                    match what {
                        What::Status => {
                            let stands = Milestone::ALL.into_iter().find(|m| m.word() == text);
                            silence.stands(stands, entry.at);
                        }
                        What::Exception => silence.exception(text),
                        What::Waits => silence.waits(text, entry.at),
                        _ => {}
                    }
                }
                (Content::Attribute(Scalar::Bool(true)), What::OrderOver) => end.is_over = true,
                (Content::Mark, what) => {
                    match what {
                        What::Began => facts.began = Some(entry.at),
                        What::Delivered => facts.delivered = Some(entry.at),
                        What::Left => facts.left = Some(entry.at),
                        What::Promise => facts.promise = Some(entry.at),
                        What::Scan => silence.scan(entry.at),
                        _ => {}
                    }
                    silence.stands(role.milestone, entry.at);
                    end.reach(role.milestone, entry.at);
                }
                _ => {}
            }
        }
        let route = |names: [Option<&str>; 3]| {
            let [carrier, from, to] = names.map(Option::unwrap_or_default);
            Route::new(carrier, from, to)
        };
        if !may_be_late {
            trip.facts = Facts::default();
        } else if trip.facts.began.is_some() {
            trip.facts.route = Some(route(way));
        }
        if may_stall {
            (trip.gaps, trip.waits) = silence.settle();
            trip.carrier = lane[0].unwrap_or_default();
            (trip.delivered, trip.laid_ready) = (end.delivered, end.laid_ready);
            trip.shown = end.shown();
            if trip.waits.is_some() {
                trip.route = Some(route(lane));
            }
        }
        trip
    }
}

/// What is known of a parcel.
#[derive(Debug, Default)]
pub(super) struct Trip<'t> {
    /// As far as its being late goes.
    pub(super) facts: Facts,
    /// Its carrier, as the case calls it.
    pub(super) carrier: &'t str,
    /// Which way it goes, where it waits or has waited.
    pub(super) route: Option<Route>,
    /// The gaps that were ended by a scan, in their order.
    pub(super) gaps: SmallVec<[Closed; 8]>,
    /// Since when it waits for the next scan, and where; a scan is known, or that it is declared.
    pub(super) waits: Option<Waits>,
    /// When it was delivered first.
    pub(super) delivered: Option<Instant>,
    /// When it was laid ready last.
    pub(super) laid_ready: Option<Instant>,
    /// What it shows of its carrier.
    pub(super) shown: Shown,
}

/// How a parcel came to its end.
#[derive(Default)]
struct End {
    delivered: Option<Instant>,
    carried: Option<Instant>,
    laid_ready: Option<Instant>,
    is_returned: bool,
    is_over: bool,
}

impl End {
    fn reach(&mut self, milestone: Option<Milestone>, at: Instant) {
        match milestone {
            Some(Milestone::Delivered) => drop(self.delivered.get_or_insert(at)),
            Some(Milestone::OutForDelivery) => drop(self.carried.get_or_insert(at)),
            Some(Milestone::AtPickupPoint) => self.laid_ready = Some(at),
            Some(Milestone::Returning | Milestone::Returned | Milestone::Cancelled) => {
                self.is_returned = true;
            }
            _ => {}
        }
    }

    /// Of what came back, or was not settled yet, nothing can be told.
    fn shown(&self) -> Shown {
        let before = |at: Instant| {
            let mut told = self.carried.into_iter().chain(self.laid_ready);
            told.any(|earlier| earlier <= at)
        };
        let fetched = match (self.laid_ready, self.delivered) {
            (Some(laid), Some(at)) if at >= laid => Some(true),
            (Some(_), None) if self.is_over => Some(false),
            _ => None,
        };
        let delivered = self.delivered.map(before);
        if self.is_returned { Shown::default() } else { Shown { delivered, collected: fetched } }
    }
}

/// A gap that was ended by a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// In which stage; none where a silence means nothing.
    pub(super) stage: Option<Stage>,
    pub(super) from: Instant,
    pub(super) to: Instant,
    /// Somebody said that it would take longer.
    pub(super) is_excused: bool,
}

/// A gap that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// In which stage; none where a silence means nothing, or nothing more is to be expected.
    pub(super) stage: Option<Stage>,
    /// Since which scan.
    pub(super) since: Instant,
    /// Since when in that stage.
    pub(super) stage_since: Instant,
    /// So much of it does not count: the newest scan says that it waits without anybody's fault.
    pub(super) excused_for: Span,
}

/// Goes through the entries of a case in their order.
#[derive(Default)]
struct Silence {
    gaps: SmallVec<[Closed; 8]>,
    open: Option<Instant>,
    /// Where it stood before the instant that is being read, and where it stands by what was read of it.
    before: Option<(Milestone, Instant)>,
    now: Option<(Milestone, Instant)>,
    exception_now: bool,
    is_excused: bool,
    /// Since when, and until when, it waits without anybody's fault.
    rests: Option<(Instant, Option<Instant>)>,
}

impl Silence {
    fn stands(&mut self, milestone: Option<Milestone>, at: Instant) {
        let Some(milestone) = milestone.filter(|m| *m != Milestone::Unknown) else { return };
        self.reach(at);
        // Of one instant what is further counts.
        let is_nearer = |known: (Milestone, Instant)| known.1 == at && known.0.rank() > milestone.rank();
        if self.now.is_some_and(|known| known.0 == milestone || is_nearer(known)) {
            return;
        }
        self.now = Some((milestone, at));
        if milestone == Milestone::Registered && self.open.is_none() {
            self.open = Some(at);
        }
    }

    fn scan(&mut self, at: Instant) {
        self.reach(at);
        if let Some(from) = self.open.filter(|from| *from < at) {
            let stage = self.before.and_then(|(milestone, _)| Stage::of(milestone));
            self.gaps.push(Closed { stage, from, to: at, is_excused: self.is_excused });
            self.is_excused = self.exception_now;
        }
        self.open = Some(at);
    }

    fn exception(&mut self, text: &str) {
        const SLOW: [Exception; 7] = [
            Exception::ForceMajeure,
            Exception::CarrierDelay,
            Exception::Stranded,
            Exception::CustomsHold,
            Exception::BusinessClosed,
            Exception::Rescheduled,
            Exception::Intercepted,
        ];
        self.exception_now = SLOW.iter().any(|e| e.word() == text);
        self.is_excused |= self.exception_now;
    }

    fn waits(&mut self, text: &str, at: Instant) {
        const WITHOUT_FAULT: [Exception; 3] =
            [Exception::ForceMajeure, Exception::BusinessClosed, Exception::Rescheduled];
        let is_so = WITHOUT_FAULT.iter().any(|e| e.word() == text);
        self.rests = match self.rests {
            Some((since, None)) => Some((since, (!is_so).then_some(at))),
            _ if is_so => Some((at, None)),
            rests => rests,
        };
    }

    fn reach(&mut self, at: Instant) {
        if self.now.is_some_and(|(_, since)| since < at) {
            self.before = self.now;
        }
    }

    fn settle(self) -> (SmallVec<[Closed; 8]>, Option<Waits>) {
        let waits = self.open.map(|since| {
            let stage = self.now.and_then(|(milestone, _)| Stage::of(milestone));
            // Of an older scan it says nothing any more.
            let rests = self.rests.filter(|(from, until)| *from >= since && until.is_none_or(|t| t > since));
            let excused_for = rests.map_or(Span::ZERO, |(from, until)| {
                until.map_or(EXCUSED_FOR, |until| until.since(from).min(EXCUSED_FOR))
            });
            let stage_since = self.now.map_or(since, |(_, at)| at.max(since));
            Waits { stage, since, stage_since, excused_for }
        });
        (self.gaps, waits)
    }
}
