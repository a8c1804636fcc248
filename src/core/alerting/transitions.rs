//! What may happen to an incident: one table, its rows named as in `delivery_semantics` §6.2.
//!
//! The table decides from the state alone; what is written beside a transition (notices, timers, audit) is done where
//! it is applied, in `incidents.rs`.

use crate::core::model::{Resolution, Status};

use Event as E;
use Guard as G;
use Lift as L;
use Origin as F;
use To as T;

/// The rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rule {
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    R16,
    R17,
    R18,
    R19,
    R20,
    R21,
    R22,
    R23,
    R24,
    R25,
    R26,
    R27,
    R28,
    /// §16.3: its rule is no longer configured.
    Removed,
}

impl Rule {
    /// The kind of its audit records.
    pub(super) fn kind(self) -> String {
        match self {
            Rule::Removed => "incident.rule_removed".to_owned(),
            rule => format!("incident.{rule:?}"),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    /// A pre-warning threshold was crossed.
    Prewarned,
    /// The signal fires.
    Fired,
    /// The instant of the next level has come.
    LevelDue,
    /// The instant of the next reminder has come.
    ReminderDue,
    /// Nobody of the audience can be reached, or there is none.
    Unreachable,
    /// An entitled person works on it.
    AckAsked,
    /// The ack has run out.
    LeaseOver,
    /// The source shows progress that is not the end.
    Progressed,
    /// The shift of the one who has it is over.
    ShiftOver,
    /// Somebody else took it over.
    HandedOver,
    /// An entitled person puts it off.
    SnoozeAsked,
    /// The time it was put off for is over.
    SnoozeOver,
    /// The facts have become worse (5.4).
    Worsened,
    /// An entitled person calls the next level.
    EscalateAsked,
    /// The source names another owner or team.
    Reassigned,
    /// It no longer holds.
    Cleared,
    /// An entitled person says that it is done.
    ResolveAsked,
    /// A silence covers it.
    SilenceBegan,
    /// No silence covers it any more.
    SilenceEnded,
    /// A parent covers it.
    FoldAsked,
    /// It breaks out, or its parent is over.
    BrokeOut,
    /// An entitled person takes an ack or a snooze back.
    ReleaseAsked,
    /// It never held.
    Retracted,
    /// Its rule is gone.
    RuleGone,
}

/// Where a row starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// There is no incident.
    Nothing,
    /// Open, at a level from the first to the second.
    Open(u8, u8),
    /// Somebody has it.
    Acked,
    /// It is put off.
    Snoozed,
    /// Any of the three.
    Unresolved,
    /// It is over.
    Resolved,
}

/// What must hold beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing.
    Always,
    /// An earlier occurrence on the subject is known.
    Follows,
    /// None is.
    IsFirst,
    /// Reminders are left.
    RoundsLeft,
    /// None is.
    NoRoundsLeft,
    /// The ack was not extended yet.
    NotExtended,
    /// It returned inside the flap window, and "cleared" has not started.
    InFlapWindow,
    /// It did not, and a manual resolve is out of its grace.
    OutOfFlapWindow,
    /// The one who has it is of the team that it went to, or nobody has it.
    HolderStays,
    /// The one who has it is of the team that it left.
    HolderLeft,
    /// Neither VIP nor legal, and the hard deadline is more than an hour away.
    Foldable,
    /// A parent covers it.
    IsFolded,
    /// A silence covers it.
    IsSilenced,
    /// The buyer has complained since (5.4).
    Complained,
}

/// Where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The status stays.
    Same,
    /// Open.
    Open,
    /// Somebody has it.
    Acked,
    /// Put off.
    Snoozed,
    /// Over.
    Resolved(Resolution),
    /// What it was before it was resolved.
    AsBefore,
}

/// What becomes of the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lift {
    /// It stays.
    Stay,
    /// It is this one.
    To(u8),
    /// The next one, up to 3.
    Up,
    /// The first one of a new episode.
    Anew,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transition {
    pub(super) rule: Rule,
    pub(super) from: &'static [Origin],
    pub(super) event: Event,
    pub(super) guard: Guard,
    pub(super) to: To,
    pub(super) level: Lift,
}

const fn row(
    rule: Rule,
    from: &'static [Origin],
    event: Event,
    guard: Guard,
    to: To,
    level: Lift,
) -> Transition {
    Transition { rule, from, event, guard, to, level }
}

const ANY: &[Origin] = &[F::Unresolved, F::Resolved];

/// The table. The first row that fits is taken.
#[rustfmt::skip]
pub(super) static TABLE: &[Transition] = &[
    row(Rule::R1,  &[F::Nothing],                      E::Prewarned,     G::Always,          T::Open,     L::To(0)),
    row(Rule::R22, &[F::Nothing],                      E::Fired,         G::Follows,         T::Open,     L::To(1)),
    row(Rule::R2,  &[F::Nothing],                      E::Fired,         G::IsFirst,         T::Open,     L::To(1)),
    row(Rule::R3,  &[F::Open(0, 0)],                   E::Fired,         G::Always,          T::Open,     L::To(1)),
    row(Rule::R3,  &[F::Open(0, 0)],                   E::LevelDue,      G::Always,          T::Open,     L::To(1)),
    row(Rule::R4,  &[F::Open(1, 2)],                   E::LevelDue,      G::Always,          T::Open,     L::Up),
    row(Rule::R5,  &[F::Open(3, 3)],                   E::ReminderDue,   G::RoundsLeft,      T::Same,     L::Stay),
    row(Rule::R6,  &[F::Open(3, 3)],                   E::ReminderDue,   G::NoRoundsLeft,    T::Same,     L::Stay),
    row(Rule::R7,  &[F::Open(1, 3)],                   E::Unreachable,   G::Always,          T::Same,     L::Up),
    row(Rule::R8,  &[F::Open(0, 3)],                   E::AckAsked,      G::Always,          T::Acked,    L::Stay),
    row(Rule::R9,  &[F::Acked],                        E::LeaseOver,     G::Always,          T::Open,     L::Up),
    row(Rule::R10, &[F::Acked],                        E::Progressed,    G::NotExtended,     T::Same,     L::Stay),
    row(Rule::R11, &[F::Acked],                        E::ShiftOver,     G::Always,          T::Open,     L::Stay),
    row(Rule::R12, &[F::Acked],                        E::HandedOver,    G::Always,          T::Acked,    L::Stay),
    row(Rule::R13, &[F::Open(0, 3), F::Acked],         E::SnoozeAsked,   G::Always,          T::Snoozed,  L::Stay),
    row(Rule::R14, &[F::Snoozed],                      E::SnoozeOver,    G::Always,          T::Open,     L::Stay),
    row(Rule::R15, &[F::Snoozed],                      E::Worsened,      G::Always,          T::Open,     L::Stay),
    row(Rule::R15, &[F::Acked],                        E::Worsened,      G::Complained,      T::Open,     L::Stay),
    row(Rule::R16, &[F::Unresolved],                   E::EscalateAsked, G::Always,          T::Open,     L::Up),
    row(Rule::R17, &[F::Acked],                        E::Reassigned,    G::HolderLeft,      T::Open,     L::Stay),
    row(Rule::R17, &[F::Unresolved],                   E::Reassigned,    G::HolderStays,     T::Same,     L::Stay),
    row(Rule::R18, &[F::Unresolved],                   E::Cleared,       G::Always,          T::Resolved(Resolution::Source), L::Stay),
    row(Rule::R19, &[F::Unresolved],                   E::ResolveAsked,  G::Always,          T::Resolved(Resolution::Manual), L::Stay),
    row(Rule::R20, &[F::Resolved],                     E::Fired,         G::InFlapWindow,    T::AsBefore, L::Stay),
    row(Rule::R21, &[F::Resolved],                     E::Fired,         G::OutOfFlapWindow, T::Open,     L::Anew),
    row(Rule::R23, &[F::Unresolved],                   E::SilenceBegan,  G::Always,          T::Same,     L::Stay),
    row(Rule::R24, &[F::Unresolved],                   E::SilenceEnded,  G::IsSilenced,      T::Same,     L::Stay),
    row(Rule::R25, &[F::Unresolved],                   E::FoldAsked,     G::Foldable,        T::Same,     L::Stay),
    row(Rule::R26, &[F::Unresolved],                   E::BrokeOut,      G::IsFolded,        T::Same,     L::Stay),
    row(Rule::R27, &[F::Acked, F::Snoozed],            E::ReleaseAsked,  G::Always,          T::Open,     L::Stay),
    row(Rule::R28, ANY,                                E::Retracted,     G::Always,          T::Resolved(Resolution::Retracted), L::Stay),
    row(Rule::Removed, &[F::Unresolved],               E::RuleGone,      G::Always,          T::Resolved(Resolution::RuleRemoved), L::Stay),
];

/// What the table looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// `None`: there is no incident.
    pub(super) status: Option<Status>,
    pub(super) level: u8,
    pub(super) follows: bool,
    pub(super) rounds_left: bool,
    pub(super) extended: bool,
    pub(super) in_flap_window: bool,
    pub(super) in_grace: bool,
    pub(super) holder_left: bool,
    pub(super) foldable: bool,
    pub(super) folded: bool,
    pub(super) silenced: bool,
    pub(super) complained: bool,
}

impl Standing {
    fn is_from(&self, from: Origin) -> bool {
        match (from, self.status) {
            (Origin::Nothing, None)
            | (Origin::Acked, Some(Status::Acked))
            | (Origin::Snoozed, Some(Status::Snoozed))
            | (Origin::Resolved, Some(Status::Resolved))
            | (Origin::Unresolved, Some(Status::Open | Status::Acked | Status::Snoozed)) => true,
            (Origin::Open(low, high), Some(Status::Open)) => (low..=high).contains(&self.level),
            _ => false,
        }
    }

    fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::Always => true,
            Guard::Follows => self.follows,
            Guard::IsFirst => !self.follows,
            Guard::RoundsLeft => self.rounds_left,
            Guard::NoRoundsLeft => !self.rounds_left,
            Guard::NotExtended => !self.extended,
            Guard::InFlapWindow => self.in_flap_window,
            Guard::OutOfFlapWindow => !self.in_flap_window && !self.in_grace,
            Guard::HolderStays => !self.holder_left,
            Guard::HolderLeft => self.holder_left,
            Guard::Foldable => self.foldable && !self.folded,
            Guard::IsFolded => self.folded,
            Guard::IsSilenced => self.silenced,
            Guard::Complained => self.complained,
        }
    }
}

/// The row that an event takes from a standing; `None`: it changes nothing.
pub(super) fn find(standing: &Standing, event: Event) -> Option<&'static Transition> {
    TABLE.iter().find(|row| {
        row.event == event && row.from.iter().any(|from| standing.is_from(*from)) && standing.holds(row.guard)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(status: Status, level: u8) -> Standing {
        Standing { status: Some(status), level, rounds_left: true, foldable: true, ..Standing::default() }
    }

    #[test]
    fn every_row_of_the_specification_is_there_and_can_be_taken() {
        for n in 1..=28 {
            let name = format!("R{n}");
            let rows: Vec<_> = TABLE.iter().filter(|row| format!("{:?}", row.rule) == name).collect();
            assert!(!rows.is_empty(), "{name} is missing");
            for row in rows {
                assert!(
                    standings().any(|s| find(&s, row.event).is_some_and(|r| std::ptr::eq(r, row))),
                    "{row:?}"
                );
            }
        }
    }

    /// Every standing there can be.
    fn standings() -> impl Iterator<Item = Standing> {
        let statuses =
            [None, Some(Status::Open), Some(Status::Acked), Some(Status::Snoozed), Some(Status::Resolved)];
        (0..5 * 4 * 1024_usize).map(move |n| {
            let bit = |place: usize| (n / 20) >> place & 1 == 1;
            Standing {
                status: statuses[n % 5],
                level: (n / 5 % 4) as u8,
                follows: bit(0),
                rounds_left: bit(1),
                extended: bit(2),
                in_flap_window: bit(3),
                in_grace: bit(4),
                holder_left: bit(5),
                foldable: bit(6),
                folded: bit(7),
                silenced: bit(8),
                complained: bit(9),
            }
        })
    }

    #[test]
    fn levels_only_rise_and_the_resolved_stay_so_but_for_the_source() {
        let events: Vec<Event> = TABLE.iter().map(|row| row.event).collect();
        for standing in standings() {
            for event in &events {
                let Some(row) = find(&standing, *event) else { continue };
                if let (Some(_), Lift::To(level)) = (standing.status, row.level) {
                    assert!(level > standing.level, "{standing:?} {row:?}");
                }
                if standing.status == Some(Status::Resolved) {
                    assert!(matches!(row.event, Event::Fired | Event::Retracted), "{standing:?} {row:?}");
                }
            }
        }
    }

    #[test]
    fn the_table_by_example() {
        let with = |change: fn(&mut Standing), mut standing: Standing| {
            change(&mut standing);
            Some(standing)
        };
        let nothing = Some(Standing::default());
        for (from, event, want) in [
            (nothing, E::Prewarned, Some(Rule::R1)),
            (nothing, E::Fired, Some(Rule::R2)),
            (with(|s| s.follows = true, Standing::default()), E::Fired, Some(Rule::R22)),
            (nothing, E::Cleared, None),
            (Some(at(Status::Open, 0)), E::Fired, Some(Rule::R3)),
            (Some(at(Status::Open, 0)), E::Prewarned, None),
            (Some(at(Status::Open, 0)), E::Unreachable, None),
            (Some(at(Status::Open, 1)), E::Fired, None),
            (Some(at(Status::Open, 1)), E::LevelDue, Some(Rule::R4)),
            (Some(at(Status::Open, 2)), E::LevelDue, Some(Rule::R4)),
            (Some(at(Status::Open, 3)), E::LevelDue, None),
            (Some(at(Status::Open, 3)), E::ReminderDue, Some(Rule::R5)),
            (with(|s| s.rounds_left = false, at(Status::Open, 3)), E::ReminderDue, Some(Rule::R6)),
            (Some(at(Status::Open, 3)), E::Unreachable, Some(Rule::R7)),
            (Some(at(Status::Open, 0)), E::AckAsked, Some(Rule::R8)),
            (Some(at(Status::Acked, 1)), E::AckAsked, None),
            (Some(at(Status::Acked, 1)), E::LevelDue, None),
            (Some(at(Status::Acked, 1)), E::LeaseOver, Some(Rule::R9)),
            (Some(at(Status::Acked, 1)), E::Progressed, Some(Rule::R10)),
            (with(|s| s.extended = true, at(Status::Acked, 1)), E::Progressed, None),
            (Some(at(Status::Acked, 1)), E::ShiftOver, Some(Rule::R11)),
            (Some(at(Status::Acked, 1)), E::HandedOver, Some(Rule::R12)),
            (Some(at(Status::Acked, 1)), E::SnoozeAsked, Some(Rule::R13)),
            (Some(at(Status::Snoozed, 1)), E::SnoozeAsked, None),
            (Some(at(Status::Snoozed, 1)), E::SnoozeOver, Some(Rule::R14)),
            (Some(at(Status::Snoozed, 1)), E::Worsened, Some(Rule::R15)),
            (Some(at(Status::Acked, 1)), E::Worsened, None),
            (Some(at(Status::Snoozed, 1)), E::EscalateAsked, Some(Rule::R16)),
            (Some(at(Status::Acked, 1)), E::Reassigned, Some(Rule::R17)),
            (Some(at(Status::Snoozed, 2)), E::Cleared, Some(Rule::R18)),
            (Some(at(Status::Acked, 2)), E::ResolveAsked, Some(Rule::R19)),
            (with(|s| s.in_flap_window = true, at(Status::Resolved, 2)), E::Fired, Some(Rule::R20)),
            (Some(at(Status::Resolved, 2)), E::Fired, Some(Rule::R21)),
            (with(|s| s.in_grace = true, at(Status::Resolved, 2)), E::Fired, None),
            (Some(at(Status::Resolved, 2)), E::AckAsked, None),
            (Some(at(Status::Open, 2)), E::SilenceBegan, Some(Rule::R23)),
            (with(|s| s.silenced = true, at(Status::Open, 2)), E::SilenceEnded, Some(Rule::R24)),
            (Some(at(Status::Open, 2)), E::SilenceEnded, None),
            (Some(at(Status::Open, 2)), E::FoldAsked, Some(Rule::R25)),
            (with(|s| s.foldable = false, at(Status::Open, 2)), E::FoldAsked, None),
            (with(|s| s.folded = true, at(Status::Open, 2)), E::BrokeOut, Some(Rule::R26)),
            (Some(at(Status::Open, 2)), E::ReleaseAsked, None),
            (Some(at(Status::Acked, 2)), E::ReleaseAsked, Some(Rule::R27)),
            (Some(at(Status::Open, 2)), E::Retracted, Some(Rule::R28)),
            (Some(at(Status::Resolved, 2)), E::Retracted, Some(Rule::R28)),
            (Some(at(Status::Snoozed, 2)), E::RuleGone, Some(Rule::Removed)),
        ] {
            let from = from.unwrap_or_default();
            assert_eq!(find(&from, event).map(|row| row.rule), want, "{event:?} from {from:?}");
        }
    }
}
