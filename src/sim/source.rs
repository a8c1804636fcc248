//! A simulated platform: its cases, and the log of what it says of them. It is read page by page from a cursor; it
//! repeats itself, tells things in another order, corrects and withdraws what it said.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::core::model::{Mark, Observation, Value};
use crate::core::time::{Instant, Span};

use super::random::Dice;

/// A platform.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// What it has said, in the order in which it is read.
    pub log: Vec<Observation<'static>>,
    /// It cannot be read.
    pub blind: bool,
    revisions: BTreeMap<String, i64>,
    entries: u64,
    cases: u64,
}

/// What happens to a case next.
#[derive(Clone, Debug)]
pub enum Turn {
    /// The buyer writes.
    Question,
    /// The staff answers.
    Reply,
    /// The last answer is withdrawn.
    Withdraw(String, Instant),
    /// The question was asked at another time than was said.
    Correct(String, Instant),
    /// Somebody is at work.
    Progress,
    /// The parcel moved.
    Scan,
    /// The parcel arrived.
    Delivered,
    /// An attribute changes.
    Becomes(&'static str, &'static str),
    /// A flag changes.
    Is(&'static str, bool),
}

/// A case of a platform.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its kind.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
}

fn text(text: &str) -> Value<'static> {
    Value::Text(Cow::Owned(text.to_owned()))
}

impl Source {
    /// A platform that has said nothing yet.
    pub fn new(name: &'static str) -> Source {
        Source { name, log: Vec::new(), blind: false, revisions: BTreeMap::new(), entries: 0, cases: 0 }
    }

    fn say(
        &mut self,
        case: &Case,
        now: Instant,
        marks: Vec<Mark<'static>>,
        attributes: Vec<(&'static str, Value<'static>)>,
    ) {
        let revision = self.revisions.entry(case.id.clone()).or_default();
        *revision += 1;
        self.log.push(Observation {
            source: self.name.into(),
            kind: case.kind.into(),
            id: case.id.clone().into(),
            as_of: now,
            revision: *revision,
            marks,
            attributes: attributes.into_iter().map(|(n, v)| (n.into(), v)).collect(),
        });
    }

    fn mark(&mut self, name: &'static str, at: Instant) -> (String, Mark<'static>) {
        self.entries += 1;
        let reference = format!("r{}", self.entries);
        let mark = Mark { name: name.into(), reference: Some(reference.clone().into()), at, removed: false };
        (reference, mark)
    }

    /// A new ticket: its case, and what will happen to it after so long.
    pub fn ticket(&mut self, dice: &mut Dice, now: Instant) -> (Case, Vec<(Span, Turn)>) {
        self.cases += 1;
        let case = Case { kind: "ticket", id: format!("T{}", self.cases) };
        let longest = if dice.chance(15) { 2400 } else { 120 };
        let asked = now - dice.span(0, longest);
        let (reference, mark) = self.mark("customer_message", asked);
        let mut marks = vec![mark];
        if dice.chance(25) {
            let by = asked + dice.span(600, 5400);
            marks.push(Mark { name: "answer_by".into(), reference: None, at: by, removed: false });
        }
        let mut attributes = vec![
            ("shop", text(dice.pick(&["shop1", "shop2", "shop3"]).unwrap_or(&"shop1"))),
            ("buyer", text("欧阳锋之")),
            ("phone", text("13912345678")),
        ];
        if dice.chance(40) {
            let who = dice.pick(&["acc-lin", "acc-luo", "acc-he", "acc-hua", "acc-gone"]);
            attributes.push(("owner", text(who.unwrap_or(&"acc-lin"))));
        }
        for (name, percent) in [("vip", 8), ("legal", 4), ("complaint", 3)] {
            if dice.chance(percent) {
                attributes.push((name, Value::Bool(true)));
            }
        }
        self.say(&case, now, marks, attributes);
        let mut turns = Vec::new();
        if dice.chance(10) {
            turns.push((dice.span(30, 900), Turn::Correct(reference, asked + dice.span(-600, 600))));
        }
        if dice.chance(75) {
            let after = if dice.chance(50) { dice.span(60, 1500) } else { dice.span(1200, 7200) };
            turns.push((after, Turn::Reply));
            if dice.chance(30) {
                turns.push((after + dice.span(20, 900), Turn::Question));
                turns.push((after + dice.span(900, 3600), Turn::Reply));
            }
        }
        for (percent, turn) in [
            (10, Turn::Progress),
            (6, Turn::Is("vip", true)),
            (4, Turn::Is("vip", false)),
            (6, Turn::Is("complaint", true)),
            (5, Turn::Becomes("owner", "acc-chen")),
            (5, Turn::Becomes("shop", "shop2")),
            (5, Turn::Becomes("shop", "shop1")),
        ] {
            if dice.chance(percent) {
                turns.push((dice.span(60, 3600), turn));
            }
        }
        (case, turns)
    }

    /// A parcel whose promise will soon be broken.
    pub fn parcel(
        &mut self,
        dice: &mut Dice,
        now: Instant,
        carrier: &str,
        lane: &str,
    ) -> (Case, Vec<(Span, Turn)>) {
        self.cases += 1;
        let case = Case { kind: "parcel", id: format!("P{}", self.cases) };
        let scanned = now - Span::from_minutes(48 * 60) + dice.span(-60, 400);
        let (_, mark) = self.mark("scan", scanned);
        let mut marks = vec![mark];
        if dice.chance(10) {
            let by = now + dice.span(600, 10_000);
            marks.push(Mark { name: "deliver_by".into(), reference: None, at: by, removed: false });
        }
        let mut attributes = vec![
            ("shop", text(dice.pick(&["shop1", "shop1", "shop2"]).unwrap_or(&"shop1"))),
            ("carrier", text(carrier)),
            ("lane", text(lane)),
            ("province", text("bj")),
            ("phone", text("13912345678")),
            ("penalty_cents", Value::Int(dice.between(0, 5000))),
        ];
        for (name, percent) in [("vip", 3), ("legal", 2)] {
            if dice.chance(percent) {
                attributes.push((name, Value::Bool(true)));
            }
        }
        self.say(&case, now, marks, attributes);
        let mut turns = Vec::new();
        if dice.chance(60) {
            let what = if dice.chance(50) { Turn::Scan } else { Turn::Delivered };
            turns.push((dice.span(300, 9000), what));
        }
        for (percent, turn) in [(3, Turn::Is("vip", true)), (3, Turn::Is("complaint", true))] {
            if dice.chance(percent) {
                turns.push((dice.span(60, 3600), turn));
            }
        }
        (case, turns)
    }

    /// Something happens to a case. Answers what may follow of it.
    pub fn turn(&mut self, dice: &mut Dice, now: Instant, case: &Case, turn: Turn) -> Option<(Span, Turn)> {
        let happened = |source: &mut Source, name| {
            let (reference, mark) = source.mark(name, now);
            source.say(case, now, vec![mark], Vec::new());
            reference
        };
        match turn {
            Turn::Question => drop(happened(self, "customer_message")),
            Turn::Reply => {
                let reference = happened(self, "agent_reply");
                if dice.chance(10) {
                    return Some((dice.span(10, 600), Turn::Withdraw(reference, now)));
                }
            }
            Turn::Progress => drop(happened(self, "carrier_inquiry")),
            Turn::Scan => drop(happened(self, "scan")),
            Turn::Delivered => drop(happened(self, "delivered")),
            Turn::Withdraw(reference, at) => {
                let name = "agent_reply";
                let mark = Mark { name: name.into(), reference: Some(reference.into()), at, removed: true };
                self.say(case, now, vec![mark], Vec::new());
                if dice.chance(60) {
                    return Some((dice.span(30, 1200), Turn::Reply));
                }
            }
            Turn::Correct(reference, at) => {
                let removed = dice.chance(40);
                let name = "customer_message";
                let mark = Mark { name: name.into(), reference: Some(reference.into()), at, removed };
                self.say(case, now, vec![mark], Vec::new());
            }
            Turn::Becomes(name, value) => self.say(case, now, Vec::new(), vec![(name, text(value))]),
            Turn::Is(name, yes) => self.say(case, now, Vec::new(), vec![(name, Value::Bool(yes))]),
        }
        None
    }

    /// A page from a cursor on, as the platform gives it today: where it ends, and what is on it.
    pub fn page(&self, dice: &mut Dice, cursor: usize) -> (usize, Vec<Observation<'static>>) {
        const MOST: usize = 500;
        let to = self.log.len().min(cursor + MOST);
        let overlap = if dice.chance(30) { dice.below(8) } else { 0 };
        let mut page: Vec<Observation<'static>> =
            self.log[cursor.saturating_sub(overlap).min(to)..to].to_vec();
        if dice.chance(25) {
            dice.shuffle(&mut page);
        }
        (to, page)
    }
}
