//! `[claims]`: which trouble of parcels is a claim at the carrier, and where its daily lists go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::model::Language;
use crate::core::problem::Problems;

/// What is wrong with a parcel that a carrier has to answer for, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Declared lost (丢失).
    Lost,
    /// Damaged (破损).
    Damaged,
    /// Something is missing in it, or something else is in it (短少、不符).
    Mismatch,
    /// No trace for so long that it is taken for lost (疑似丢失).
    Missing,
    /// Sent the wrong way (错分).
    Misrouted,
    /// It weighs something else (重量异常).
    Weight,
    /// Signed for by somebody else, or somewhere else (错签).
    Missigned,
}

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Kind; 7] = [
        Kind::Lost,
        Kind::Damaged,
        Kind::Mismatch,
        Kind::Missing,
        Kind::Misrouted,
        Kind::Weight,
        Kind::Missigned,
    ];

    /// Its word in English, and in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Damaged => "damaged",
            Kind::Mismatch => "mismatch",
            Kind::Missing => "missing",
            Kind::Misrouted => "misrouted",
            Kind::Weight => "weight",
            Kind::Missigned => "missigned",
        }
    }

    /// What people call it.
    pub fn chinese(self) -> &'static str {
        match self {
            Kind::Lost => "丢失",
            Kind::Damaged => "破损",
            Kind::Mismatch => "短少或不符",
            Kind::Missing => "疑似丢失",
            Kind::Misrouted => "错分",
            Kind::Weight => "重量异常",
            Kind::Missigned => "错签",
        }
    }
}

/// `[claims]`: the list of lost, damaged and wrong parcels (理赔清单) as CSV, one file a day and one a month.
/// `shiftbell export claims` makes one of any days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsConfig {
    /// The folder of the files; none are written without it.
    pub folder: Option<String>,
    /// How many files of days stay in it.
    pub keep_days: u32,
    /// How many files of months stay in it.
    pub keep_months: u32,
    /// The language of headers and words; without it, the desk's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// For programs alone: no byte order mark, and no tab behind numbers of more than 11 digits, of which spreadsheets
    /// would show or keep only the first.
    pub plain: bool,
    /// Which families of incidents are claims, and what they are called; those of rules of your own come in addition.
    pub families: BTreeMap<String, Kind>,
}

impl Default for ClaimsConfig {
    fn default() -> ClaimsConfig {
        ClaimsConfig {
            folder: None,
            keep_days: 92,
            keep_months: 24,
            language: None,
            plain: false,
            families: BTreeMap::new(),
        }
    }
}

/// The families of `policies/parcels.toml` that are claims.
const FAMILIES: [(&str, Kind); 7] = [
    ("parcel.lost", Kind::Lost),
    ("parcel.damaged", Kind::Damaged),
    ("parcel.missing", Kind::Missing),
    ("parcel.missort", Kind::Misrouted),
    ("parcel.weight", Kind::Weight),
    ("parcel.signed_elsewhere", Kind::Missigned),
    ("parcel.not_received", Kind::Missigned),
];

/// More files are a mistake.
const MOST_FILES: u32 = 10_000;

impl ClaimsConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        if self.folder.as_deref() == Some("") {
            problems.within("folder", |p| p.error("is empty, expected a folder, or leave the key out"));
        }
        for (key, keep) in [("keep_days", self.keep_days), ("keep_months", self.keep_months)] {
            if keep == 0 || keep > MOST_FILES {
                problems.within(key, |p| p.error(format!("found {keep}, expected 1 to {MOST_FILES}")));
            }
        }
        problems.within("families", |problems| {
            for family in self.families.keys().filter(|family| !family.contains('.')) {
                problems.within(family.as_str(), |p| {
                    p.error("is no family of incidents, expected one such as parcel.lost");
                });
            }
        });
    }

    /// What incidents of a family are; `None` where they are no claims.
    pub fn kind(&self, family: &str) -> Option<Kind> {
        let own = self.families.get(family).copied();
        own.or_else(|| FAMILIES.iter().find(|(known, _)| *known == family).map(|(_, kind)| *kind))
    }

    /// The folder.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(PathBuf::from)
    }

    /// Takes a relative folder as seen from `base`, the one of the file that names it.
    pub fn rebase(&mut self, base: &Path) {
        if let Some(folder) = &mut self.folder {
            *folder = base.join(&*folder).display().to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_and_own_families_come_in_addition() {
        let told = |text: &str| -> Vec<String> {
            let config: ClaimsConfig = toml::from_str(text).unwrap();
            let mut problems = Problems::new();
            config.check(&mut problems);
            problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
        };
        assert_eq!(told(""), [""; 0]);
        assert_eq!(
            told("folder = \"\"\nkeep_days = 0\nkeep_months = 99999\nfamilies = { lost = \"lost\" }"),
            [
                "folder: is empty, expected a folder, or leave the key out",
                "keep_days: found 0, expected 1 to 10000",
                "keep_months: found 99999, expected 1 to 10000",
                "families.lost: is no family of incidents, expected one such as parcel.lost",
            ]
        );
        assert!(toml::from_str::<ClaimsConfig>("families = { \"parcel.x\" = \"stolen\" }").is_err());
        let config: ClaimsConfig =
            toml::from_str("families = { \"parcel.dear_and_damaged\" = \"damaged\" }").unwrap();
        assert_eq!(config.kind("parcel.dear_and_damaged"), Some(Kind::Damaged));
        assert_eq!((config.kind("parcel.lost"), config.kind("parcel.transit")), (Some(Kind::Lost), None));
    }

    /// What is a claim by itself is a family of the shipped rules.
    #[test]
    fn the_families_are_those_of_the_rules() {
        let text = crate::config::builtin::text("policies/parcels.toml").unwrap();
        for (family, _) in FAMILIES {
            assert!(text.contains(&format!("\"{family}\"")), "{family}");
        }
    }
}
