//! Orders, after-sales and parcels as they really are.

use crate::core::time::{Instant, Span};

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Until when it must be shipped.
    pub ship_by: Option<Instant>,
    /// When it was shipped, and in which parcel.
    pub shipped: Option<(Instant, u64)>,
    /// It was paid back before it was shipped.
    pub refunded: bool,
}

impl Line {
    /// Whether the merchant has still to ship it.
    pub fn waits(&self) -> bool {
        self.shipped.is_none() && !self.refunded
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// When it was made.
    pub created: Instant,
    /// When it was paid.
    pub paid: Option<Instant>,
    /// It must not be shipped now.
    pub held: bool,
    /// When the buyer asked where it stays.
    pub urged: Option<Instant>,
    /// Its lines, at least one.
    pub lines: Vec<Line>,
    /// When it was received.
    pub received: Option<Instant>,
    /// When it was called off.
    pub cancelled: Option<Instant>,
    /// When it was changed.
    pub updated: Instant,
    /// From when on it is shown as it is.
    pub visible: Instant,
}

impl Order {
    /// Its status in the program's own words (`platforms` 1.7).
    pub fn word(&self) -> &'static str {
        let (waiting, shipped) = (self.lines.iter().any(Line::waits), self.shipped_any());
        match () {
            () if self.cancelled.is_some() => "closed",
            () if self.paid.is_none() => "unpaid",
            () if self.held => "held",
            () if self.received.is_some() => "done",
            () if waiting && shipped => "part_shipped",
            () if waiting => "to_ship",
            () => "shipped",
        }
    }

    fn shipped_any(&self) -> bool {
        self.lines.iter().any(|line| line.shipped.is_some())
    }

    /// Until when it must be shipped: the earliest of what waits; once nothing does, the latest of all.
    pub fn ship_by(&self) -> Option<Instant> {
        let open = self.cancelled.is_none();
        let waiting =
            self.lines.iter().filter(|line| open && line.waits()).filter_map(|line| line.ship_by).min();
        waiting.or_else(|| self.lines.iter().filter_map(|line| line.ship_by).max())
    }

    /// When the last line was shipped, once nothing waits.
    pub fn shipped(&self) -> Option<Instant> {
        let last = self.lines.iter().filter_map(|line| line.shipped).map(|(at, _)| at).max();
        last.filter(|_| !self.lines.iter().any(Line::waits))
    }

    /// Until when the courier must have it.
    pub fn pickup_by(&self) -> Option<Instant> {
        self.ship_by().map(|at| at + Span::DAY)
    }

    /// Until when it must have arrived.
    pub fn deliver_by(&self) -> Option<Instant> {
        self.paid.map(|at| at + Span::DAY.times(7))
    }
}

/// How an after-sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The merchant has to decide.
    Asked,
    /// He agreed, the money is under way.
    Agreed,
    /// He refused; the buyer may go on.
    Refused,
    /// The buyer has to send the goods back.
    ReturnWanted,
    /// They are back: the merchant has to decide again.
    Returned,
    /// The platform decides: the merchant has to bring evidence.
    Disputed,
    /// The money is back.
    Refunded,
    /// The buyer does not want it any more.
    Withdrawn,
}

impl Stage {
    /// Whether the merchant has to act.
    pub fn is_ours(self) -> bool {
        matches!(self, Stage::Asked | Stage::Returned | Stage::Disputed)
    }

    /// Its word (`platforms` 4.5).
    pub fn word(self) -> &'static str {
        match self {
            Stage::Asked | Stage::Returned | Stage::Disputed => "to_handle",
            Stage::Agreed => "refunding",
            Stage::Refused | Stage::ReturnWanted => "waiting_buyer",
            Stage::Refunded | Stage::Withdrawn => "closed",
        }
    }
}

/// A time in which the merchant had to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From when on.
    pub from: Instant,
    /// Until when he must have acted.
    pub deadline: Instant,
    /// When it was over.
    pub over: Option<Instant>,
}

/// An after-sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterSale {
    /// Its order.
    pub order: u64,
    /// The goods come back as well.
    pub with_goods: bool,
    /// How it stands.
    pub stage: Stage,
    /// When it was made.
    pub created: Instant,
    /// When the merchant had to act.
    pub turns: Vec<Turn>,
    /// When it was first in a state that a review leads to.
    pub reviewed: Option<Instant>,
    /// When the money was back.
    pub refunded: Option<Instant>,
    /// When it was changed.
    pub updated: Instant,
    /// From when on it is shown as it is.
    pub visible: Instant,
}

impl AfterSale {
    /// Until when the merchant must act, while he must.
    pub fn expires(&self) -> Option<Instant> {
        self.turns.last().filter(|turn| turn.over.is_none()).map(|turn| turn.deadline)
    }
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its order.
    pub order: u64,
    /// Its waybill (运单号).
    pub waybill: String,
    /// When the courier had it.
    pub collected: Option<Instant>,
    /// When it was handed over.
    pub signed: Option<Instant>,
}
