//! The settings, assembled from what each room owns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ics::parse_holidays;
use crate::config::loaded::{Loaded, load};
use crate::config::report::ConfigReport;
use crate::core::calendar::{CalendarConfig, CoversConfig, Era, HolidayConfig, HolidaySetConfig};
use crate::core::clock::{
    AttributeType, ClockConfig, KindConfig, MarksConfig, OverlayConfig, Policy, PolicyConfig,
};
use crate::core::duty::{DeskConfig, Shifts};
use crate::core::model::Symbols;
use crate::core::problem::{KeyPath, Problems, Step};
use crate::core::time::Instant;
use crate::sources::history::import::ImportConfig;

/// Everything that can be configured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The desk (客服组).
    pub desk: DeskConfig,
    /// Sets of days off and make-up workdays (法定节假日与调休).
    #[serde(default)]
    pub holidays: BTreeMap<String, HolidaySource>,
    /// Business hours (营业时间).
    #[serde(default)]
    pub calendars: BTreeMap<String, CalendarConfig>,
    /// Attributes of the shop's own.
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeType>,
    /// Which marks happen once, which again and again.
    #[serde(default)]
    pub marks: MarksConfig,
    /// The kinds of cases (工单, 订单, 退换货 …).
    #[serde(default)]
    pub kinds: BTreeMap<String, KindConfig>,
    /// The promises (时效承诺).
    #[serde(default)]
    pub clock: Vec<ClockConfig>,
    /// What changes a promise for some cases, such as VIP.
    #[serde(default)]
    pub overlay: Vec<OverlayConfig>,
    /// How recorded histories are read.
    #[serde(default)]
    pub import: ImportConfig,
}

/// `[holidays.NAME]`: the dates themselves, or an iCalendar file that has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidaySource {
    /// An `.ics` file, its path relative to the file that names it. Nothing else is given then but a title.
    pub ics: Option<String>,
    /// What people call it.
    pub title: Option<String>,
    /// The zone whose dates these are.
    pub zone: Option<String>,
    /// The first and the last date it speaks for, both included (C7).
    pub covers: Option<CoversConfig>,
    /// Dates and blocks that are closed, weekends included.
    #[serde(default)]
    pub days_off: Vec<HolidayConfig>,
    /// Dates that are worked instead (调休上班).
    #[serde(default)]
    pub makeup_days: Vec<HolidayConfig>,
}

/// Settings that passed every check, and what came of them.
#[derive(Debug)]
pub struct Ready {
    /// The settings.
    pub settings: Settings,
    /// The part of them that the engine goes by.
    pub policy: PolicyConfig,
    /// The shifts.
    pub shifts: Shifts,
    /// Warnings.
    pub report: ConfigReport,
}

/// Loads the settings that begin at `main`, with the variables `env` over them, and checks them as of `now`.
///
/// # Errors
/// Every problem, when any is an error.
pub fn load_settings(
    main: &Path,
    env: &BTreeMap<String, String>,
    now: Option<Instant>,
) -> Result<Ready, ConfigReport> {
    let (loaded, policy, shifts) = check_settings(main, env, now);
    let (settings, report) = loaded.finish()?;
    match policy.zip(shifts) {
        Some((policy, shifts)) => Ok(Ready { settings, policy, shifts, report }),
        // Without an error there is a policy.
        None => Err(report),
    }
}

/// As [`load_settings`], for whoever wants the report in any case.
pub fn check_settings(
    main: &Path,
    env: &BTreeMap<String, String>,
    now: Option<Instant>,
) -> (Loaded<Settings>, Option<PolicyConfig>, Option<Shifts>) {
    let mut loaded = load::<Settings>(main, env);
    let mut folders = BTreeMap::new();
    for name in loaded.settings().iter().flat_map(|s| s.holidays.keys()) {
        let path = KeyPath(vec![Step::from("holidays"), Step::from(name.as_str()), Step::from("ics")]);
        let file = PathBuf::from(loaded.locate(&path).file);
        folders.insert(name.clone(), file.parent().map(Path::to_path_buf).unwrap_or_default());
    }
    let (mut policy, mut shifts) = (None, None);
    loaded.check(|settings, problems| {
        shifts = problems.within("desk", |problems| settings.desk.compile(problems));
        problems.within("import", |problems| settings.import.check(problems));
        let config = settings.policy(&folders, problems);
        Policy::compile(&config, &mut Symbols::new(), now, Era::DEFAULT, problems);
        policy = Some(config);
    });
    (loaded, policy, shifts)
}

impl Settings {
    /// The part that the engine goes by. Holiday sets are read from their files; `folders` says where each was named.
    fn policy(&self, folders: &BTreeMap<String, PathBuf>, problems: &mut Problems) -> PolicyConfig {
        let mut holidays = BTreeMap::new();
        problems.within("holidays", |problems| {
            for (name, source) in &self.holidays {
                let folder = folders.get(name).cloned().unwrap_or_default();
                problems.within(name.as_str(), |problems| {
                    let set = source.read(&folder, problems);
                    if let Some(set) = set {
                        set.check(problems);
                        holidays.insert(name.clone(), set);
                    }
                });
            }
        });
        PolicyConfig {
            holidays,
            calendars: self.calendars.clone(),
            attributes: self.attributes.clone(),
            marks: self.marks.clone(),
            kinds: self.kinds.clone(),
            clock: self.clock.clone(),
            overlay: self.overlay.clone(),
        }
    }
}

impl HolidaySource {
    fn read(&self, folder: &Path, problems: &mut Problems) -> Option<HolidaySetConfig> {
        let Some(file) = &self.ics else {
            let Some(covers) = self.covers.clone() else {
                problems
                    .error("is missing `covers`, expected the first and last date it speaks for, or `ics`");
                return None;
            };
            return Some(HolidaySetConfig {
                title: self.title.clone(),
                zone: self.zone.clone(),
                covers,
                days_off: self.days_off.clone(),
                makeup_days: self.makeup_days.clone(),
            });
        };
        problems.within("ics", |problems| {
            if self.covers.is_some() || !self.days_off.is_empty() || !self.makeup_days.is_empty() {
                problems
                    .error("has dates beside it, expected them in the file alone, or in a set of their own");
            }
            let path = folder.join(file);
            let text = std::fs::metadata(&path)
                .and_then(|m| match m.len() {
                    0..=8_388_608 => std::fs::read(&path),
                    _ => Err(std::io::Error::other("is larger than 8 MiB")),
                })
                .map_err(|e| problems.error(format!("failed to read {}: {e}", path.display())))
                .ok()?;
            match parse_holidays(&String::from_utf8_lossy(&text)) {
                Ok((mut set, warnings)) => {
                    for warning in warnings {
                        problems.warn(format!("{}: {warning}", path.display()));
                    }
                    set.title = self.title.clone().or(set.title);
                    Some(set)
                }
                Err(e) => {
                    problems.error(format!("failed to read {}: {e}", path.display()));
                    None
                }
            }
        })
    }
}
