//! What the timeline of a case says of its parcel: a function of the timeline, so that nothing of it is kept beside.

use smallvec::SmallVec;

use crate::core::model::{Content, Scalar, Sym, Symbols, Timeline};
use crate::core::parcel::lateness::{Facts, LatenessConfig};
use crate::core::parcel::stall::{Stage, StallConfig};
use crate::core::parcel::{Exception, Milestone, Route};
use crate::core::time::Instant;

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
const EXCEPTION: &str = "exception";

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
        let mut silence = Silence::default();
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
                        _ => {}
                    }
                }
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

    fn reach(&mut self, at: Instant) {
        if self.now.is_some_and(|(_, since)| since < at) {
            self.before = self.now;
        }
    }

    fn settle(self) -> (SmallVec<[Closed; 8]>, Option<Waits>) {
        let waits = self.open.map(|since| {
            let stage = self.now.and_then(|(milestone, _)| Stage::of(milestone));
            Waits { stage, since, stage_since: self.now.map_or(since, |(_, at)| at.max(since)) }
        });
        (self.gaps, waits)
    }
}
