//! The settings, assembled from what each room owns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::ChannelConfig;
use crate::channels::render::TemplatesConfig;
use crate::config::builtin;
use crate::config::ics::parse_holidays;
use crate::config::loaded::{Loaded, load};
use crate::config::report::ConfigReport;
use crate::console::ServerConfig;
use crate::core::alerting::AlertingConfig;
use crate::core::calendar::{CalendarConfig, CoversConfig, Era, HolidayConfig, HolidaySetConfig};
use crate::core::clock::{
    AttributeType, ClockConfig, KindConfig, MarksConfig, OverlayConfig, Policy, PolicyConfig, RuleConfig,
};
use crate::core::duty::{DeskConfig, PersonConfig, Roster, Shifts, TeamConfig};
use crate::core::model::{ChannelClass, Symbols};
use crate::core::parcel::lateness::LatenessConfig;
use crate::core::parcel::learned::LearnedSetup;
use crate::core::parcel::stall::StallConfig;
use crate::core::problem::{KeyPath, Problems, Step};
use crate::core::time::Instant;
use crate::daemon::claims::ClaimsConfig;
use crate::daemon::intake::WatchConfig;
use crate::sources::history::import::ImportConfig;
use crate::sources::{CourierConfig, SourceConfig};
use crate::store::StoreConfig;
use crate::telemetry::LogConfig;

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
    /// What is wrong while attributes of a case say so, such as a scan that says lost (异常条件).
    #[serde(default)]
    pub condition: Vec<RuleConfig>,
    /// What changes a promise for some cases, such as VIP.
    #[serde(default)]
    pub overlay: Vec<OverlayConfig>,
    /// How recorded histories are read.
    #[serde(default)]
    pub import: ImportConfig,
    /// When it is told that a parcel will be late (预计超时).
    #[serde(default)]
    pub lateness: LatenessConfig,
    /// When it is told that a parcel is stalled (自适应停滞).
    #[serde(default)]
    pub stall: StallConfig,
    /// The people who can be told (人员).
    #[serde(default)]
    pub people: BTreeMap<String, PersonConfig>,
    /// The teams of the desk (小组).
    #[serde(default)]
    pub teams: BTreeMap<String, TeamConfig>,
    /// The ways by which messages leave (渠道).
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelConfig>,
    /// Who is told when, and how messages are bundled, sent and tried again (告警).
    #[serde(default)]
    pub alerting: AlertingConfig,
    /// The texts of messages (消息模板).
    #[serde(default)]
    pub templates: TemplatesConfig,
    /// Shops whose platforms are polled (店铺).
    #[serde(default)]
    pub sources: BTreeMap<String, SourceConfig>,
    /// Where parcels are asked for (快递查询).
    #[serde(default)]
    pub couriers: BTreeMap<String, CourierConfig>,
    /// A folder whose files are read as they come.
    #[serde(default)]
    pub watch: WatchConfig,
    /// The lists of lost, damaged and wrong parcels (理赔清单).
    #[serde(default)]
    pub claims: ClaimsConfig,
    /// Where the desk is kept (存储).
    #[serde(default)]
    pub store: StoreConfig,
    /// Where the program can be reached (HTTP 服务).
    #[serde(default)]
    pub server: ServerConfig,
    /// What is logged (日志).
    #[serde(default)]
    pub log: LogConfig,
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
    /// The people, where any are configured.
    pub roster: Option<Roster>,
    /// Warnings.
    pub report: ConfigReport,
}

impl Ready {
    /// What is learned of parcels by.
    pub fn learned(&self) -> LearnedSetup {
        LearnedSetup {
            lateness: self.settings.lateness.clone(),
            stall: self.settings.stall.clone(),
            zone: self.shifts.zone().clone(),
        }
    }
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
    let Checked { loaded, policy, shifts, roster, .. } = check_settings(main, env, now);
    let folders = Folders::of(&loaded);
    let (mut settings, report) = loaded.finish()?;
    folders.rebase(&mut settings);
    match policy.zip(shifts) {
        Some((policy, shifts)) => Ok(Ready { settings, policy, shifts, roster, report }),
        // Without an error there is a policy.
        None => Err(report),
    }
}

/// Settings that were checked, whatever came of it.
#[derive(Debug)]
pub struct Checked {
    /// They, with their report, as they were written.
    pub loaded: Loaded<Settings>,
    /// They with every path seen from the file that names it, as far as they could be read.
    pub whole: Option<Settings>,
    /// The part that the engine goes by.
    pub policy: Option<PolicyConfig>,
    /// The shifts.
    pub shifts: Option<Shifts>,
    /// The people, where any are configured.
    pub roster: Option<Roster>,
}

/// The folders that relative paths are meant in: those of the files that name them.
struct Folders {
    holidays: BTreeMap<String, PathBuf>,
    channels: BTreeMap<String, PathBuf>,
    sources: BTreeMap<String, PathBuf>,
    couriers: BTreeMap<String, PathBuf>,
    watch: PathBuf,
    claims: PathBuf,
    store: PathBuf,
    templates: PathBuf,
    server: PathBuf,
    tokens: BTreeMap<String, PathBuf>,
}

impl Folders {
    fn of(loaded: &Loaded<Settings>) -> Folders {
        let folder = |steps: &[&str]| {
            let path = KeyPath(steps.iter().map(|s| Step::from(*s)).collect());
            let file = PathBuf::from(loaded.locate(&path).file);
            // What a file inside the program or a variable names is meant where the program runs.
            let name = file.to_string_lossy();
            if name.starts_with(builtin::PREFIX) || name.starts_with('$') {
                return PathBuf::new();
            }
            file.parent().map(Path::to_path_buf).unwrap_or_default()
        };
        let of_each = |section: &str, last: &str, names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| (name.clone(), folder(&[section, name, last]))).collect::<BTreeMap<_, _>>()
        };
        let settings = loaded.settings();
        Folders {
            holidays: of_each("holidays", "ics", &mut settings.iter().flat_map(|s| s.holidays.keys())),
            channels: of_each("channels", "", &mut settings.iter().flat_map(|s| s.channels.keys())),
            sources: of_each("sources", "", &mut settings.iter().flat_map(|s| s.sources.keys())),
            couriers: of_each("couriers", "", &mut settings.iter().flat_map(|s| s.couriers.keys())),
            watch: folder(&["watch", "folder"]),
            claims: folder(&["claims", "folder"]),
            store: folder(&["store", "sqlite", "path"]),
            templates: folder(&["templates", "folder"]),
            server: folder(&["server", "socket"]),
            tokens: settings
                .iter()
                .flat_map(|s| s.server.tokens.keys())
                .map(|name| (name.clone(), folder(&["server", "tokens", name, "token_file"])))
                .collect(),
        }
    }

    /// Makes paths whole.
    fn rebase(&self, settings: &mut Settings) {
        for (name, channel) in &mut settings.channels {
            channel.rebase(self.channels.get(name).map(PathBuf::as_path).unwrap_or(Path::new("")));
        }
        for (name, source) in &mut settings.sources {
            source.rebase(self.sources.get(name).map(PathBuf::as_path).unwrap_or(Path::new("")));
        }
        for (name, courier) in &mut settings.couriers {
            courier.rebase(self.couriers.get(name).map(PathBuf::as_path).unwrap_or(Path::new("")));
        }
        settings.watch.rebase(&self.watch);
        settings.claims.rebase(&self.claims);
        settings.store.rebase(&self.store);
        settings.templates.rebase(&self.templates);
        if let Some(socket) = &mut settings.server.socket {
            *socket = self.server.join(&*socket);
        }
        for (name, client) in &mut settings.server.tokens {
            if let (Some(file), Some(folder)) = (&mut client.token_file, self.tokens.get(name)) {
                *file = folder.join(&*file);
            }
        }
    }
}

/// As [`load_settings`], for whoever wants the report in any case.
pub fn check_settings(main: &Path, env: &BTreeMap<String, String>, now: Option<Instant>) -> Checked {
    let mut loaded = load::<Settings>(main, env);
    let folders = Folders::of(&loaded);
    let (mut policy, mut shifts, mut roster) = (None, None, None);
    loaded.check(|settings, problems| {
        shifts = problems.within("desk", |problems| settings.desk.compile(problems));
        problems.within("import", |problems| settings.import.check(problems));
        problems.within("lateness", |problems| settings.lateness.check(problems));
        problems.within("stall", |problems| settings.stall.check(problems));
        let config = settings.policy(&folders.holidays, problems);
        Policy::compile(&config, &mut Symbols::new(), now, Era::DEFAULT, problems);
        policy = Some(config);
        let mut whole = settings.clone();
        folders.rebase(&mut whole);
        roster = whole.check_alerting(shifts.as_ref(), problems);
    });
    let mut whole = loaded.settings().cloned();
    if let Some(settings) = &mut whole {
        folders.rebase(settings);
    }
    Checked { loaded, whole, policy, shifts, roster }
}

impl Settings {
    /// The classes of the channels that are enabled.
    pub fn channel_classes(&self) -> BTreeMap<Arc<str>, ChannelClass> {
        self.channels
            .iter()
            .filter(|(_, config)| config.enabled)
            .filter_map(|(name, config)| Some((name.as_str().into(), config.class()?)))
            .collect()
    }

    /// Checks what only the daemon reads. A configuration without people is good for `replay` and needs none of it.
    fn check_alerting(&self, shifts: Option<&Shifts>, problems: &mut Problems) -> Option<Roster> {
        problems.within("channels", |problems| {
            for (name, channel) in &self.channels {
                problems.within(name.as_str(), |problems| channel.check(problems));
            }
        });
        problems.within("sources", |problems| SourceConfig::check_all(&self.sources, problems));
        problems.within("couriers", |problems| {
            CourierConfig::check_all(&self.couriers, &self.sources, problems);
        });
        problems.within("watch", |problems| self.watch.check(problems));
        problems.within("claims", |problems| self.claims.check(problems));
        problems.within("store", |problems| self.store.check(problems));
        problems.within("templates", |problems| self.templates.check(problems));
        problems.within("server", |problems| self.server.check(problems));
        problems.within("log", |problems| self.log.check(problems));
        problems.within("channels", |problems| self.check_callback_people(problems));
        if self.people.is_empty() && self.channels.is_empty() {
            return None;
        }
        // The desk copes with somebody whose contacts all stopped working; nobody is put on a shift without any.
        problems.within("people", |problems| {
            for (name, _) in self.people.iter().filter(|(_, person)| person.contact.is_empty()) {
                problems.within(name.as_str(), |problems| {
                    problems.within("contact", |problems| {
                        problems.error(format!(
                            "is empty: {name} cannot be told anything, expected at least one contact"
                        ));
                    });
                });
            }
        });
        let channels = self.channel_classes();
        let roster = shifts.and_then(|shifts| {
            Roster::compile(&self.people, &self.teams, &self.desk.id, shifts, &channels, problems)
        });
        problems.within("alerting", |problems| self.alerting.check(roster.as_ref(), &channels, problems));
        roster
    }

    /// Whoever presses must be somebody.
    fn check_callback_people(&self, problems: &mut Problems) {
        for (name, channel) in &self.channels {
            let Some((adapter, people)) = channel.callback_people() else { continue };
            for (id, person) in people.iter().filter(|(_, person)| !self.people.contains_key(*person)) {
                let known: Vec<&str> = self.people.keys().map(String::as_str).collect();
                let steps = [name.as_str(), adapter, "callback", "people", id.as_str()];
                let text = format!("found `{person}`, expected one of the people: {}", known.join(", "));
                below(&steps, problems, &text);
            }
        }
    }

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
            condition: self.condition.clone(),
            overlay: self.overlay.clone(),
        }
    }
}

/// Notes an error at a path below the present one.
fn below(steps: &[&str], problems: &mut Problems, text: &str) {
    match steps {
        [] => problems.error(text.to_owned()),
        [first, rest @ ..] => problems.within(*first, |problems| below(rest, problems, text)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_meant_from_the_file_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("main.toml");
        std::fs::create_dir(folder.path().join("systems")).expect("a folder");
        let text = "include = [\"builtin:shiftbell.toml\", \"systems/erp.toml\"]\n[server]\nsocket = \"desk.sock\"\n";
        std::fs::write(&main, text).expect("a file");
        let text = "[server.tokens.erp]\ntoken_file = \"erp.token\"\n\
                    [server.tokens.crm]\ntoken_file = \"/run/crm.token\"\n";
        std::fs::write(folder.path().join("systems/erp.toml"), text).expect("a file");
        let checked = check_settings(&main, &BTreeMap::new(), None);
        let server = checked.whole.expect("settings that can be read").server;
        let token = |name: &str| server.tokens[name].token_file.clone();
        assert_eq!(token("erp"), Some(folder.path().join("systems/erp.token")));
        assert_eq!(token("crm"), Some(PathBuf::from("/run/crm.token")));
        assert_eq!(server.socket, Some(folder.path().join("desk.sock")));
    }
}
