//! A simulated provider behind a channel: it takes messages as its capability card says, or does not, as its weather is.
//! It lives outside of the process and outlives its deaths.

use std::collections::BTreeMap;

use crate::core::alerting::Claim;
use crate::core::ids::Id;
use crate::core::model::{ChannelCard, DuplicateKey, Outcome, OutcomeClass, ReceiptPath, StatementKind};
use crate::core::time::{Instant, Span};

use super::random::Dice;

/// What a provider does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Answers soon and well.
    Fine,
    /// Answers, but late.
    Slow,
    /// Refuses every connection.
    Down,
    /// Takes about half of the messages and answers nothing.
    Silent,
    /// Some attempts end in nobody knows what.
    Flaky,
    /// Says that we are too fast.
    Throttling,
    /// Says that this recipient has had enough.
    Full,
    /// Refuses recipients for good.
    NoSuchPerson,
    /// Refuses texts.
    Picky,
    /// Refuses our token.
    LockedOut,
    /// Says that the channel is set up wrongly.
    Misconfigured,
}

impl Weather {
    /// Every one that is not fine.
    pub const BAD: [Weather; 10] = [
        Weather::Slow,
        Weather::Down,
        Weather::Silent,
        Weather::Flaky,
        Weather::Throttling,
        Weather::Full,
        Weather::NoSuchPerson,
        Weather::Picky,
        Weather::LockedOut,
        Weather::Misconfigured,
    ];
}

/// What comes of handing a message over.
#[derive(Clone, Debug)]
pub struct Handed {
    /// A person can see a copy of it.
    pub seen: bool,
    /// The provider took it, seen or known already.
    pub taken: bool,
    /// What it answers.
    pub outcome: Outcome,
    /// After so long.
    pub after: Span,
    /// What it states later, after so long.
    pub receipts: Vec<(StatementKind, Span)>,
}

/// A provider.
#[derive(Debug)]
pub struct Provider {
    /// What it declares.
    pub card: ChannelCard,
    /// What it does now.
    pub weather: Weather,
    dice: Dice,
    /// When a key was first taken, by key.
    keys: BTreeMap<String, Instant>,
    /// When a text was first taken, by lane and text.
    texts: BTreeMap<(Id, String), Instant>,
}

impl Provider {
    /// A provider in fine weather.
    pub fn new(card: ChannelCard, dice: Dice) -> Provider {
        Provider { card, weather: Weather::Fine, dice, keys: BTreeMap::new(), texts: BTreeMap::new() }
    }

    /// It is handed a message at `now`, by its own clock.
    pub fn hand(&mut self, claim: &Claim, now: Instant, timeout: Span) -> Handed {
        let quick = self.dice.span(0, 1);
        let no = |class| Handed {
            seen: false,
            taken: false,
            outcome: Outcome::of(class),
            after: quick,
            receipts: Vec::new(),
        };
        match self.weather {
            Weather::Fine => self.take(claim, now, quick),
            Weather::Slow => {
                let slow = self.dice.span(2, 9);
                self.take(claim, now, slow)
            }
            Weather::Down => no(OutcomeClass::Transient),
            Weather::Silent => {
                let taken = self.dice.chance(50);
                self.unknown(claim, now, taken, timeout)
            }
            Weather::Flaky => match self.dice.below(6) {
                0 => self.unknown(claim, now, true, timeout),
                1 => self.unknown(claim, now, false, timeout),
                2 => no(OutcomeClass::Transient),
                3 => no(OutcomeClass::NotSent),
                _ => self.take(claim, now, quick),
            },
            Weather::Throttling => {
                let wait = self.dice.chance(50).then(|| self.dice.span(5, 600));
                let outcome = Outcome { wait, ..Outcome::of(OutcomeClass::Throttled) };
                Handed { outcome, ..no(OutcomeClass::Throttled) }
            }
            Weather::Full => no(OutcomeClass::RecipientThrottled),
            Weather::NoSuchPerson if self.dice.chance(60) => no(OutcomeClass::RecipientPermanent),
            Weather::Picky if self.dice.chance(60) => no(OutcomeClass::ContentPermanent),
            Weather::LockedOut => no(OutcomeClass::Credential),
            Weather::Misconfigured => no(OutcomeClass::Config),
            Weather::NoSuchPerson | Weather::Picky => self.take(claim, now, quick),
        }
    }

    /// Nothing comes back before the attempt is over.
    fn unknown(&mut self, claim: &Claim, now: Instant, taken: bool, timeout: Span) -> Handed {
        let handed = if taken { Some(self.take(claim, now, timeout)) } else { None };
        let (seen, receipts) = handed.map_or((false, Vec::new()), |h| (h.seen, h.receipts));
        Handed { seen, taken, outcome: Outcome::of(OutcomeClass::Unknown), after: timeout, receipts }
    }

    fn take(&mut self, claim: &Claim, now: Instant, after: Span) -> Handed {
        let known = |first: Option<&Instant>, horizon: Span| first.is_some_and(|at| now < *at + horizon);
        let text = (claim.to.lane.address, claim.body.text.clone());
        let seen = match self.card.duplicate_key {
            DuplicateKey::Strong { horizon } => !known(self.keys.get(&claim.key), horizon),
            DuplicateKey::ContentWindow { horizon } => !known(self.texts.get(&text), horizon),
            DuplicateKey::Query | DuplicateKey::None => true,
        };
        if seen {
            self.keys.insert(claim.key.clone(), now);
            self.texts.insert(text, now);
        }
        let mut receipts = Vec::new();
        if self.card.receipts != ReceiptPath::None {
            let what = if self.dice.chance(88) { StatementKind::Delivered } else { StatementKind::Negative };
            match self.dice.below(10) {
                // Never.
                0 => {}
                // Before the answer.
                1 => receipts.push((what, Span::ZERO)),
                // Late.
                2 => receipts.push((what, self.dice.span(60, 900))),
                // Twice, in another order.
                3 => {
                    receipts.push((StatementKind::Accepted, self.dice.span(1, 40)));
                    receipts.push((what, self.dice.span(1, 20)));
                    receipts.push((what, self.dice.span(20, 200)));
                }
                _ => receipts.push((what, after + self.dice.span(1, 30))),
            }
        }
        let provider_id = (self.card.receipts != ReceiptPath::None && self.dice.chance(70))
            .then(|| format!("p-{}", claim.key));
        let outcome = Outcome { provider_id, ..Outcome::of(OutcomeClass::Accepted) };
        Handed { seen, taken: true, outcome, after, receipts }
    }

    /// What it says of a key when it is asked; `None` when it does not answer.
    pub fn ask(&mut self, key: &str) -> Option<StatementKind> {
        match self.weather {
            Weather::Fine | Weather::Slow | Weather::Flaky if self.dice.chance(90) => {
                Some(if self.keys.contains_key(key) {
                    StatementKind::Accepted
                } else {
                    StatementKind::NotFound
                })
            }
            _ => None,
        }
    }
}
