//! Where `show` gets its calendars: TOML files given by name, or those that come with shiftbell.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::core::calendar::{Calendar, CalendarConfig, Era, HolidaySetConfig};
use crate::core::problem::{Problems, Severity};

const BUILT_IN: [(&str, &str); 2] = [
    ("config/calendars/cn_holidays.toml", include_str!("../../../config/calendars/cn_holidays.toml")),
    ("config/calendars/desks.toml", include_str!("../../../config/calendars/desks.toml")),
];

/// The tables we read; a whole configuration may hold others.
#[derive(Default, Deserialize)]
struct Tables {
    #[serde(default)]
    calendars: BTreeMap<String, CalendarConfig>,
    #[serde(default)]
    holidays: BTreeMap<String, HolidaySetConfig>,
}

/// One calendar out of the files, or of the built-in ones when there are none.
pub(super) fn calendar(name: &str, files: &[PathBuf]) -> anyhow::Result<Calendar> {
    let mut texts = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    if files.is_empty() {
        texts.extend(BUILT_IN.map(|(file, text)| (file.to_owned(), text.to_owned())));
    }
    let mut all = Tables::default();
    for (file, text) in texts {
        let tables: Tables = toml::from_str(&text).with_context(|| format!("failed to read {file}"))?;
        all.calendars.extend(tables.calendars);
        all.holidays.extend(tables.holidays);
    }
    let Some(config) = all.calendars.get(name) else {
        let known: Vec<&str> = all.calendars.keys().map(String::as_str).collect();
        bail!("there is no calendar `{name}`, expected one of: {}", known.join(", "));
    };
    let mut problems = Problems::new();
    for used in &config.holidays {
        if let Some(set) = all.holidays.get(used) {
            problems.within("holidays", |p| p.within(used.as_str(), |p| set.check(p)));
        }
    }
    let calendar = problems.within("calendars", |problems| {
        problems
            .within(name, |problems| Calendar::compile(name, config, &all.holidays, Era::DEFAULT, problems))
    });
    calendar.with_context(|| {
        let told = problems.into_vec().into_iter().filter(|problem| problem.severity == Severity::Error);
        let told: Vec<String> = told.map(|problem| format!("{}: {}", problem.path, problem.text)).collect();
        format!("the calendar is refused:\n{}", told.join("\n"))
    })
}
