//! One shop as it really is, whatever platform it is on: orders, after-sales, parcels, and what becomes of them. A seed
//! makes it; nobody who reads it changes it. How it is shown, and to whom, is the platform's own file.

mod case;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;

pub use case::{AfterSale, Line, Order, Parcel, Stage, Turn};

/// What a shop on a platform does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Orders may have several lines, each shipped in a parcel of its own.
    pub lines: bool,
    /// Goods that come back are looked at: the merchant decides a second time.
    pub returns: bool,
    /// A buyer who is refused may go to the platform: the merchant has to bring evidence.
    pub disputes: bool,
    /// In so many of a hundred changes the row is shown only after some minutes.
    pub late: u8,
}

/// What a change was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An order.
    Order,
    /// An after-sale.
    AfterSale,
}

/// A change that lists show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of what …
    pub kind: Kind,
    /// … and which.
    pub number: u64,
    /// When it happened.
    pub updated: Instant,
    /// From when on it is shown.
    pub visible: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Place(u64),
    Pay(u64),
    Ship(u64, usize),
    Drop(u64, usize),
    Collect(u64),
    Receive(u64),
    Cancel(u64),
    Review(u64),
    Extend(u64),
    Urge(u64),
    Touch(u64),
    Complain(u64),
    Judge(u64),
    Return(u64),
    Dispute(u64),
    Refund(u64),
    Withdraw(u64),
}

/// A shop. Orders, after-sales and parcels have numbers from one on; platforms make ids of them.
#[derive(Clone, Debug)]
pub struct Shop {
    habits: Habits,
    /// What the numbers of its parcels begin with: one carrier serves several shops.
    waybills: String,
    dice: Dice,
    /// The orders.
    pub orders: BTreeMap<u64, Order>,
    /// The after-sales.
    pub aftersales: BTreeMap<u64, AfterSale>,
    /// The parcels.
    pub parcels: BTreeMap<u64, Parcel>,
    by_change: [BTreeSet<(Instant, u64)>; 2],
    agenda: BTreeMap<(Instant, u64), Event>,
    planned: u64,
    /// Every change that was planned by itself or made by hand, in the order in which they happened.
    pub changes: Vec<Change>,
}

/// The promise to ship.
const SHIP: Span = Span::from_minutes(48 * 60);
/// The time to decide about an after-sale.
const DECIDE: Span = Span::from_minutes(48 * 60);

impl Shop {
    /// A shop with nothing in it.
    pub fn new(seed: u64, habits: Habits) -> Shop {
        Shop {
            habits,
            waybills: format!("75{}", seed % 10),
            dice: Dice::new(seed),
            orders: BTreeMap::new(),
            aftersales: BTreeMap::new(),
            parcels: BTreeMap::new(),
            by_change: [BTreeSet::new(), BTreeSet::new()],
            agenda: BTreeMap::new(),
            planned: 0,
            changes: Vec::new(),
        }
    }

    /// Plans `count` orders over `length` from `now` on, with what becomes of them.
    pub fn populate(&mut self, count: u64, now: Instant, length: Span) {
        for number in 1..=count {
            let at = now + Span::from_millis(self.dice.between(0, length.as_millis()));
            self.plan(at, Event::Place(number));
        }
    }

    /// Puts in an order by hand: to be shipped, paid at `paid`, changed last at `updated`.
    pub fn place(&mut self, number: u64, paid: Instant, updated: Instant) {
        let [paid, updated] = [paid, updated].map(|at| Instant::from_secs(at.as_secs()));
        let mut order = fresh(paid, 1);
        pay(&mut order, paid);
        self.orders.insert(number, order);
        self.touch(number, updated, |_| ());
    }

    /// Puts in an order by hand that was paid at `paid`, changed last at `updated`, and forgotten: it is shipped at
    /// `ships`.
    pub fn forget(&mut self, number: u64, paid: Instant, updated: Instant, ships: Instant) {
        self.place(number, paid, updated);
        self.plan(ships, Event::Ship(number, 0));
    }

    /// Puts in an order by hand that was shipped at `shipped`, changed last at `updated`, and is never received. Answers the
    /// number of its parcel.
    pub fn send_off(&mut self, number: u64, shipped: Instant, updated: Instant) -> String {
        let paid = shipped - Span::HOUR.times(4);
        self.place(number, paid, paid);
        self.ship(number, shipped);
        let updated = Instant::from_secs(updated.as_secs());
        self.touch(number, updated, |_| ());
        self.parcels.last_key_value().map(|(_, parcel)| parcel.waybill.clone()).unwrap_or_default()
    }

    /// Ships an order by hand.
    pub fn ship(&mut self, number: u64, at: Instant) {
        let at = Instant::from_secs(at.as_secs());
        let lines = self.orders.get(&number).map_or(0, |order| order.lines.len());
        for line in 0..lines {
            self.send(number, line, at);
        }
    }

    /// Puts in an after-sale by hand, which the merchant has to decide.
    pub fn complain(&mut self, order: u64, at: Instant) -> u64 {
        let at = Instant::from_secs(at.as_secs());
        let number = self.aftersales.len() as u64 + 1;
        let with_goods = self.dice.chance(50);
        let case = AfterSale {
            order,
            with_goods,
            stage: Stage::Withdrawn,
            created: at,
            turns: Vec::new(),
            reviewed: None,
            refunded: None,
            updated: at,
            visible: at,
        };
        self.aftersales.insert(number, case);
        self.judge(number, Stage::Asked, at);
        number
    }

    /// Agrees to an after-sale by hand.
    pub fn agree(&mut self, number: u64, at: Instant) {
        self.judge(number, Stage::Agreed, Instant::from_secs(at.as_secs()));
    }

    /// Lets it move on to `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            self.happen(event, at);
        }
    }

    /// The orders or after-sales that were changed from `from` to `to`, both included, and are shown at `now`: by the
    /// time of their last change, the earliest first.
    pub fn changed(
        &self,
        kind: Kind,
        (from, to): (Instant, Instant),
        now: Instant,
    ) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let found = self.by_change[kind as usize].range((from, 0)..=(to.max(from), u64::MAX));
        let shown = move |number: &u64| {
            let visible = match kind {
                Kind::Order => self.orders.get(number).map(|o| o.visible),
                Kind::AfterSale => self.aftersales.get(number).map(|a| a.visible),
            };
            visible.is_some_and(|at| at <= now)
        };
        found.map(|(_, number)| *number).filter(shown)
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.planned += 1;
        self.agenda.insert((Instant::from_secs(at.as_secs()), self.planned), event);
    }

    /// Plans an event between so many seconds from `at`.
    fn later(&mut self, at: Instant, (from, to): (i64, i64), event: Event) {
        let then = at + self.dice.span(from, to);
        self.plan(then, event);
    }

    /// As [`Shop::later`], in so many of a hundred cases.
    fn maybe(&mut self, percent: u8, at: Instant, between: (i64, i64), event: Event) {
        if self.dice.chance(percent) {
            self.later(at, between, event);
        }
    }

    fn happen(&mut self, event: Event, at: Instant) {
        match event {
            Event::Place(n) => {
                let lines = if self.habits.lines && self.dice.chance(15) { 2 } else { 1 };
                // One in ten is seen before it is paid.
                if self.dice.chance(10) {
                    self.orders.insert(n, fresh(at, lines));
                    self.touch(n, at, |_| ());
                    let next = if self.dice.chance(20) { Event::Cancel(n) } else { Event::Pay(n) };
                    return self.later(at, (30, 900), next);
                }
                self.orders.insert(n, fresh(at - Span::from_secs(60), lines));
                self.happen(Event::Pay(n), at);
            }
            Event::Pay(n) => {
                let held = self.dice.chance(2);
                self.touch(n, at, |order| {
                    pay(order, at);
                    order.held = held;
                });
                let lines = self.orders.get(&n).map_or(1, |order| order.lines.len());
                match self.dice.below(100) {
                    0..=4 => self.later(at, (1800, 30_000), Event::Cancel(n)),
                    _ => (0..lines).for_each(|line| self.later(at, (1800, 30_000), Event::Ship(n, line))),
                }
                if lines > 1 {
                    self.maybe(10, at, (600, 1700), Event::Drop(n, 1));
                }
                if held {
                    self.later(at, (300, 1500), Event::Review(n));
                }
                self.maybe(30, at, (5, 900), Event::Touch(n));
                self.maybe(2, at, (60, 1700), Event::Extend(n));
                self.maybe(3, at, (600, 1700), Event::Urge(n));
            }
            Event::Touch(n) => self.touch(n, at, |_| ()),
            Event::Review(n) => self.touch(n, at, |order| order.held = false),
            Event::Urge(n) => self.touch(n, at, |order| order.urged = Some(at)),
            Event::Extend(n) => self.touch(n, at, |order| {
                for line in &mut order.lines {
                    line.ship_by = line.ship_by.map(|by| by + Span::DAY);
                }
            }),
            Event::Drop(n, line) => self.touch(n, at, |order| {
                if let Some(line) = order.lines.get_mut(line) {
                    line.refunded = true;
                }
            }),
            Event::Cancel(n) => self.touch(n, at, |order| order.cancelled = Some(at)),
            Event::Ship(n, line) => {
                if self.send(n, line, at) {
                    self.later(at, (3600, 40_000), Event::Receive(n));
                    self.maybe(6, at, (600, 20_000), Event::Complain(n));
                }
            }
            Event::Collect(parcel) => {
                if let Some(parcel) = self.parcels.get_mut(&parcel) {
                    parcel.collected = Some(at);
                }
            }
            Event::Receive(n) => {
                self.touch(n, at, |order| order.received = Some(at));
                for parcel in self.parcels.values_mut().filter(|p| p.order == n) {
                    parcel.signed = Some(at);
                }
            }
            Event::Complain(order) => {
                let case = self.complain(order, at);
                self.later(at, (300, 20_000), Event::Judge(case));
            }
            Event::Judge(case) => {
                let with_goods = self.aftersales.get(&case).is_some_and(|a| a.with_goods);
                let agreed = if with_goods { Stage::ReturnWanted } else { Stage::Agreed };
                let stage = [agreed, agreed, Stage::Refused, Stage::Withdrawn];
                let stage = self.dice.pick(&stage).copied().unwrap_or(agreed);
                self.judge(case, stage, at);
                match stage {
                    Stage::Withdrawn => {}
                    Stage::ReturnWanted if self.habits.returns => {
                        self.later(at, (600, 20_000), Event::Return(case));
                    }
                    Stage::Refused if self.habits.disputes && self.dice.chance(50) => {
                        self.later(at, (300, 9000), Event::Dispute(case));
                    }
                    Stage::Refused if self.dice.chance(50) => {
                        self.later(at, (300, 9000), Event::Withdraw(case));
                    }
                    _ => self.later(at, (300, 9000), Event::Refund(case)),
                }
            }
            Event::Return(case) => {
                self.judge(case, Stage::Returned, at);
                self.later(at, (300, 20_000), Event::Refund(case));
            }
            Event::Dispute(case) => {
                self.judge(case, Stage::Disputed, at);
                self.later(at, (300, 20_000), Event::Refund(case));
            }
            Event::Refund(case) => self.judge(case, Stage::Refunded, at),
            Event::Withdraw(case) => self.judge(case, Stage::Withdrawn, at),
        }
    }

    /// Ships a line that waits. Answers whether it was the last one.
    fn send(&mut self, number: u64, line: usize, at: Instant) -> bool {
        let waits = |order: &Order| order.lines.get(line).is_some_and(Line::waits);
        if !self.orders.get(&number).is_some_and(waits) {
            return false;
        }
        let parcel = self.parcels.len() as u64 + 1;
        let waybill = format!("{}{parcel:011}", self.waybills);
        self.parcels.insert(parcel, Parcel { order: number, waybill, collected: None, signed: None });
        self.later(at, (600, 20_000), Event::Collect(parcel));
        self.touch(number, at, |order| {
            if let Some(line) = order.lines.get_mut(line) {
                line.shipped = Some((at, parcel));
            }
        });
        self.orders.get(&number).is_some_and(|order| order.shipped().is_some())
    }

    /// When a change is shown.
    fn shown(&mut self, at: Instant) -> Instant {
        match self.dice.chance(self.habits.late) {
            true => at + self.dice.span(1, 240),
            false => at,
        }
    }

    fn touch(&mut self, number: u64, at: Instant, change: impl FnOnce(&mut Order)) {
        let visible = self.shown(at);
        let Some(order) = self.orders.get_mut(&number) else { return };
        let before = order.updated;
        change(order);
        (order.updated, order.visible) = (at, visible);
        self.moved(Kind::Order, number, before, (at, visible));
    }

    fn judge(&mut self, number: u64, stage: Stage, at: Instant) {
        let visible = self.shown(at);
        let Some(case) = self.aftersales.get_mut(&number) else { return };
        let before = case.updated;
        (case.stage, case.updated, case.visible) = (stage, at, visible);
        if let Some(turn) = case.turns.last_mut() {
            turn.over.get_or_insert(at);
        }
        if stage.is_ours() {
            case.turns.push(Turn { from: at, deadline: at + DECIDE, over: None });
        } else if stage != Stage::Withdrawn {
            case.reviewed.get_or_insert(at);
        }
        if stage == Stage::Refunded {
            case.refunded = Some(at);
        }
        self.moved(Kind::AfterSale, number, before, (at, visible));
    }

    fn moved(&mut self, kind: Kind, number: u64, before: Instant, (updated, visible): (Instant, Instant)) {
        let by_change = &mut self.by_change[kind as usize];
        by_change.remove(&(before, number));
        by_change.insert((updated, number));
        self.changes.push(Change { kind, number, updated, visible });
    }
}

fn fresh(created: Instant, lines: usize) -> Order {
    Order {
        created,
        paid: None,
        held: false,
        urged: None,
        lines: vec![Line { ship_by: None, shipped: None, refunded: false }; lines.max(1)],
        received: None,
        cancelled: None,
        updated: created,
        visible: created,
    }
}

/// Later lines are promised for a day later.
fn pay(order: &mut Order, at: Instant) {
    order.paid = Some(at);
    let mut ship_by = at + SHIP;
    for line in &mut order.lines {
        line.ship_by = Some(ship_by);
        ship_by = ship_by + Span::DAY;
    }
}
