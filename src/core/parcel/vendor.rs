//! What the statuses of a vendor mean (`logistics` 3): tables that are data (`config/parcels/vendors/`), one a vendor.
//!
//! A code that no table knows means nothing here: whoever asks counts it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::parcel::{Exception, Milestone};
use crate::core::problem::Problems;

/// A vendor's table as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorConfig {
    /// The vendor.
    pub vendor: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// The rows; the first of a field and a code counts.
    pub status: Vec<StatusConfig>,
}

/// A row of a vendor's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// The field the code stands in, where the vendor has several.
    pub field: String,
    /// The codes that mean this.
    pub code: Vec<String>,
    /// What the vendor calls it.
    pub name: String,
    /// Where that brings the parcel.
    pub milestone: Option<Milestone>,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// What is said beside it.
    pub flags: Vec<StatusFlag>,
    /// A timer of the vendor's that ran out, by our rule: `r05`.
    pub hint: Option<String>,
    /// Milestones that events may say more exactly.
    pub covers: Vec<Milestone>,
    /// The text says more than the code.
    pub text: bool,
    /// Nothing is wrong any more.
    pub clears: bool,
}

/// What is said beside the milestone of a status (`logistics` 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusFlag {
    /// Called signed, though it only lies in a locker or station.
    ClaimedDelivered,
    /// Somebody else signed.
    Proxy,
    /// The locker or station is the sender's.
    SenderSide,
    /// The vendor follows it no more.
    VendorTerminal,
}

/// What a status means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Where that brings the parcel; `None` where it only says what is wrong, [`Milestone::Unknown`] where it stays.
    pub milestone: Option<Milestone>,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// What is said beside it.
    pub flags: Vec<StatusFlag>,
    /// A timer of the vendor's that ran out: `r05`, `r07` (`logistics` 6).
    pub hint: Option<Arc<str>>,
    /// Milestones that events may say more exactly.
    pub covers: Vec<Milestone>,
    /// The text says more than the code.
    pub text: bool,
    /// Nothing is wrong any more.
    pub clears: bool,
}

impl Meaning {
    /// Whether it says this beside its milestone.
    pub fn has(&self, flag: StatusFlag) -> bool {
        self.flags.contains(&flag)
    }
}

/// A vendor's table, made ready.
#[derive(Clone, Debug)]
pub struct Vendor {
    name: String,
    rows: BTreeMap<(String, String), Arc<Meaning>>,
}

impl Vendor {
    /// Makes a table ready. Every problem is noted with its key; `None` when one of them is an error.
    pub fn compile(config: &VendorConfig, problems: &mut Problems) -> Option<Vendor> {
        let before = problems.error_count();
        let mut rows = BTreeMap::new();
        if config.vendor.is_empty() {
            problems.within("vendor", |p| p.error("is empty, expected the vendor's name"));
        }
        problems.within("status", |problems| {
            for (i, row) in config.status.iter().enumerate() {
                problems.within(i, |problems| {
                    row.check(problems);
                    let meaning = Arc::new(row.meaning());
                    for code in &row.code {
                        rows.entry((row.field.clone(), code.clone())).or_insert_with(|| meaning.clone());
                    }
                });
            }
        });
        (problems.error_count() == before).then(|| Vendor { name: config.vendor.clone(), rows })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a code of a field means; the field is empty where the vendor has one only.
    pub fn meaning(&self, field: &str, code: &str) -> Option<&Arc<Meaning>> {
        self.rows.get(&(field.to_owned(), code.to_owned()))
    }
}

impl StatusConfig {
    fn meaning(&self) -> Meaning {
        Meaning {
            milestone: self.milestone,
            exception: self.exception,
            flags: self.flags.clone(),
            hint: self.hint.as_deref().map(Arc::from),
            covers: self.covers.clone(),
            text: self.text,
            clears: self.clears,
        }
    }

    fn check(&self, problems: &mut Problems) {
        if self.code.is_empty() || self.code.iter().any(String::is_empty) {
            problems.within("code", |p| p.error("is empty, expected the vendor's codes"));
        }
        if let Some(hint) = &self.hint {
            let number = hint.strip_prefix('r').filter(|n| n.len() == 2).and_then(|n| n.parse::<u8>().ok());
            if !number.is_some_and(|n| (1..=40).contains(&n)) {
                problems
                    .within("hint", |p| p.error(format!("found `{hint}`, expected a rule from r01 to r40")));
            }
        }
        // What lies in a locker is not delivered, whatever the vendor calls it (`logistics` 1.1).
        if self.flags.contains(&StatusFlag::ClaimedDelivered)
            && self.milestone != Some(Milestone::AtPickupPoint)
        {
            problems.within("milestone", |p| {
                p.error("is not at_pickup_point, expected that beside the flag claimed_delivered");
            });
        }
        if self.clears && self.exception.is_some() {
            problems.within("clears", |p| p.error("stands beside an exception, expected one of the two"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vendor, Vec<String>> {
        let config: VendorConfig = toml::from_str(text).map_err(|e| vec![e.message().to_owned()])?;
        let mut problems = Problems::new();
        let vendor = Vendor::compile(&config, &mut problems);
        let told = problems.into_vec();
        vendor.ok_or_else(|| told.iter().map(|p| format!("{}: {}", p.path, p.text)).collect())
    }

    #[test]
    fn the_first_row_of_a_code_counts_and_an_unknown_code_means_nothing() {
        let vendor = read(
            "vendor = 'v'\nstatus = [\n{ code = ['7'], milestone = 'in_transit' },\n\
             { code = ['6', '7'], milestone = 'delivered', flags = ['proxy'], hint = 'r07' },\n\
             { field = 'reason', code = ['7'], exception = 'lost' } ]",
        )
        .unwrap();
        let of = |field: &str, code: &str| {
            vendor.meaning(field, code).map(|m| (m.milestone, m.exception, m.has(StatusFlag::Proxy)))
        };
        assert_eq!(vendor.name(), "v");
        assert_eq!(of("", "7"), Some((Some(Milestone::InTransit), None, false)));
        assert_eq!(of("", "6"), Some((Some(Milestone::Delivered), None, true)));
        assert_eq!(of("reason", "7"), Some((None, Some(Exception::Lost), false)));
        assert_eq!((of("", "8"), of("reason", "6")), (None, None));
    }

    #[test]
    fn mistakes_are_told_with_their_keys() {
        for (row, want) in [
            ("{ milestone = 'delivered' }", "status[0].code: is empty, expected the vendor's codes"),
            ("{ code = [''] }", "status[0].code: is empty, expected the vendor's codes"),
            ("{ code = ['1'], hint = 'r5' }", "status[0].hint: found `r5`, expected a rule from r01 to r40"),
            (
                "{ code = ['1'], milestone = 'delivered', flags = ['claimed_delivered'] }",
                "status[0].milestone: is not at_pickup_point, expected that beside the flag claimed_delivered",
            ),
            (
                "{ code = ['1'], clears = true, exception = 'lost' }",
                "status[0].clears: stands beside an exception, expected one of the two",
            ),
        ] {
            let told = read(&format!("vendor = 'v'\nstatus = [{row}]")).unwrap_err();
            assert_eq!(told, [want], "{row}");
        }
        assert!(read("vendor = 'v'\nstatus = [{ code = ['1'], milestone = 'late' }]").is_err());
    }
}
