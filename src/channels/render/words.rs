//! The words of a language: what things are called in messages. `words.toml` beside the templates.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::channels::render::builtin;

/// The words of one language.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// Families of trouble: `ticket.reply`.
    family: BTreeMap<String, String>,
    /// Kinds of subjects: `ticket`.
    kind: BTreeMap<String, String>,
    /// Values that incidents share: `carrier`.
    dimension: BTreeMap<String, String>,
    /// Facts: `buyer`.
    fact: BTreeMap<String, String>,
    /// Links: `ack`.
    link: BTreeMap<String, String>,
    /// Buttons: `snooze`. One without an entry is called as its link.
    button: BTreeMap<String, String>,
    /// Sentences; `{}` is where a value goes.
    phrase: BTreeMap<String, String>,
}

impl Words {
    /// Those inside the program.
    pub(super) fn builtin(language: &str) -> Words {
        // A test reads them; without them keys would be shown.
        toml::from_str(builtin::words(language)).unwrap_or_default()
    }

    /// Lays a user's own words over these. The error has its line.
    pub(super) fn overlay(&mut self, text: &str) -> Result<(), (usize, String)> {
        let own: Words = toml::from_str(text).map_err(|e| {
            let line =
                e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            (line, e.message().to_owned())
        })?;
        for (mine, own) in [
            (&mut self.family, own.family),
            (&mut self.kind, own.kind),
            (&mut self.dimension, own.dimension),
            (&mut self.fact, own.fact),
            (&mut self.link, own.link),
            (&mut self.button, own.button),
            (&mut self.phrase, own.phrase),
        ] {
            mine.extend(own);
        }
        Ok(())
    }

    /// A family in words: its own, those of its kind, or as it is.
    pub fn family(&self, family: &str) -> String {
        let kind = family.split('.').next().unwrap_or_default();
        self.family.get(family).or_else(|| self.kind.get(kind)).map_or(family, String::as_str).to_owned()
    }

    /// A kind of subject.
    pub fn kind(&self, kind: &str) -> String {
        look(&self.kind, kind)
    }

    pub(super) fn dimension(&self, dimension: &str) -> String {
        dimension.split('+').map(|part| look(&self.dimension, part)).collect::<Vec<_>>().join("+")
    }

    /// The name of a fact.
    pub fn fact(&self, key: &str) -> String {
        look(&self.fact, key)
    }

    /// What a link says.
    pub fn link(&self, purpose: &str) -> String {
        look(&self.link, purpose)
    }

    /// What a button says.
    pub(super) fn button(&self, purpose: &str) -> String {
        self.button.get(purpose).cloned().unwrap_or_else(|| self.link(purpose))
    }

    /// A sentence with `value` in it.
    pub(super) fn phrase(&self, name: &str, value: &str) -> String {
        look(&self.phrase, name).replace("{}", value)
    }

    #[cfg(test)]
    pub(super) fn phrases(&self) -> Vec<&str> {
        self.phrase.keys().map(String::as_str).collect()
    }
}

fn look(words: &BTreeMap<String, String>, key: &str) -> String {
    words.get(key).map_or(key, String::as_str).to_owned()
}
