//! What a scan text says (扫描文本): where it brings the parcel, and what is wrong with it (`logistics` 4).
//!
//! Texts are typed by systems, couriers and outlets, in Chinese and English. A [`Lexicon`] is made of tables that are
//! read from top to bottom; they are data (`config/parcels/lexicon.toml`), and nothing of the language is in the code.
//! [`Lexicon::read`] goes by the steps of `logistics` 4.1:
//!
//! 1. one writing for all (`normal.rs`);
//! 2. what lies inside a negation, a condition, a forecast or an advertisement is not heard (`hear.rs`);
//! 3. what says that a problem is over leaves no exception;
//! 4. and 5. the first block of each table that is there is the exception, and the milestone;
//! 6. without one, two ideas in one clause may be enough (a pair);
//! 7. both together are made one sense of (`judge.rs`); 8. or nothing is known.
//!
//! Every answer says what it was heard by. Evidence is made of words of the tables, never of what stands between them:
//! people are called by name and number there.

mod config;
mod hear;
mod judge;
mod normal;
mod phrase;
mod table;
#[cfg(test)]
mod tests;

pub use self::config::{Flag, LexiconConfig};
pub use self::judge::{By, Evidence, Of, Reading};
use self::table::Table;
use crate::core::problem::Problems;

/// The tables, made ready. Immutable; share it.
#[derive(Debug)]
pub struct Lexicon(Table);

impl Lexicon {
    /// Makes the tables ready. Every problem is noted with its key; `None` when one of them is an error.
    pub fn compile(config: &LexiconConfig, problems: &mut Problems) -> Option<Lexicon> {
        table::compile(config, problems).map(Lexicon)
    }

    /// What a text says. Never panics; takes time in proportion to the length of the text.
    pub fn read(&self, text: &str) -> Reading {
        let text = normal::normalise(text, &self.0.characters);
        let text = format!("{}{text}{}", phrase::BEGIN, phrase::END);
        judge::judge(&self.0, &text, &hear::hear(&self.0, &text))
    }
}
