//! The people of a desk and who of them is on duty (`delivery_semantics` §7.1). One revision of it is a value; asking
//! it is a pure function of the instant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::duty::rota::{self, Rota};
use crate::core::duty::shift::Shifts;
use crate::core::model::{ChannelClass, Language, PersonId};
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// `[people.NAME]`: somebody who can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonConfig {
    /// The name people know.
    pub name: String,
    /// What they may do, and at which level they are told.
    pub role: Role,
    /// Their team; the desk's id when it has only one.
    pub team: Option<String>,
    /// The shifts of the desk on which they are on duty. Empty: never by rota (a fallback, an admin).
    #[serde(default)]
    pub shifts: Vec<String>,
    /// The days on which those shifts are theirs: `mon` … `sun`. Empty: every day.
    #[serde(default)]
    pub days: Vec<String>,
    /// When they are away although the rota has them (请假).
    #[serde(default)]
    pub leave: Vec<StretchConfig>,
    /// When they are there although the rota has them not (加班, 换班).
    #[serde(default)]
    pub extra: Vec<StretchConfig>,
    /// Their names at the sources, so that the owner of a case can be told.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// How they are reached, in the order they prefer: channel and address.
    #[serde(default)]
    pub contact: Vec<ContactConfig>,
    /// The language of their messages; the desk's when it is not given.
    pub language: Option<Language>,
}

/// A stretch of local time: `2026-03-02 09:00`, the start included, the end not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StretchConfig {
    /// Its start.
    pub from: String,
    /// Its end.
    pub to: String,
}

/// `[[people.NAME.contact]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactConfig {
    /// A configured channel.
    pub channel: String,
    /// The address on it: mailbox, number, account; for a webhook or robot whose address is its own, empty.
    #[serde(default)]
    pub address: String,
}

/// What a person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// 一线客服: level 1.
    Handler,
    /// 组长/资深: level 2.
    Senior,
    /// 主管: level 3.
    Manager,
    /// 运维: told of the system's own trouble.
    Admin,
}

/// `[teams.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamConfig {
    /// The name people know.
    pub title: Option<String>,
    /// The team whose people help out (§7.2).
    pub sister: Option<String>,
    /// The shops whose cases are this team's; empty: those that no other team names.
    pub shops: Vec<String>,
}

/// One revision of the roster, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Its number: rises with every change.
    pub revision: u64,
    /// The people by name.
    pub people: BTreeMap<PersonId, Person>,
    /// The teams by name.
    pub teams: BTreeMap<Arc<str>, Team>,
    /// When each person is there.
    pub rota: Rota,
}

/// A person, ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name people know.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// Their team.
    pub team: Arc<str>,
    /// Their names at the sources.
    pub accounts: BTreeSet<String>,
    /// How they are reached, in the order they prefer: channel and address in clear.
    pub contacts: Vec<(Arc<str>, String)>,
    /// The language of their messages.
    pub language: Option<Language>,
}

/// A team, ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// The name people know.
    pub title: String,
    /// The team that helps out.
    pub sister: Option<Arc<str>>,
    /// Its shops.
    pub shops: BTreeSet<Arc<str>>,
}

impl Role {
    /// Its word in decisions and errors.
    pub fn word(self) -> &'static str {
        match self {
            Role::Handler => "handler",
            Role::Senior => "senior",
            Role::Manager => "manager",
            Role::Admin => "admin",
        }
    }

    /// The role that is told at `level`.
    pub fn of_level(level: u8) -> Role {
        match level {
            0 | 1 => Role::Handler,
            2 => Role::Senior,
            _ => Role::Manager,
        }
    }
}

impl Roster {
    /// Checks people and teams and makes a roster of them. Every problem is noted under `people` and `teams`.
    /// `channels` are the configured ones, with their classes.
    pub fn compile(
        people: &BTreeMap<String, PersonConfig>,
        teams: &BTreeMap<String, TeamConfig>,
        desk: &str,
        shifts: &Shifts,
        channels: &BTreeMap<Arc<str>, ChannelClass>,
        problems: &mut Problems,
    ) -> Option<Roster> {
        let before = problems.error_count();
        let mut roster = Roster { rota: Rota::new(shifts), ..Roster::default() };
        problems.within("teams", |problems| roster.add_teams(teams, desk, problems));
        problems.within("people", |problems| {
            if people.is_empty() {
                problems.error("is empty, expected at least one person who can be told");
            }
            for (name, config) in people {
                problems.within(name.as_str(), |problems| {
                    roster.add_person(name, config, shifts, channels, problems);
                });
            }
        });
        (problems.error_count() == before).then_some(roster)
    }

    fn add_teams(&mut self, teams: &BTreeMap<String, TeamConfig>, desk: &str, problems: &mut Problems) {
        let mut shops: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, config) in teams {
            problems.within(name.as_str(), |problems| {
                if let Some(sister) = &config.sister
                    && (sister == name || !teams.contains_key(sister))
                {
                    problems.within("sister", |p| {
                        p.error(format!("found `{sister}`, expected another team: {}", list(teams.keys())));
                    });
                }
                for (i, shop) in config.shops.iter().enumerate() {
                    if let Some(other) = shops.insert(shop, name) {
                        problems.within("shops", |p| {
                            p.within(i, |p| {
                                p.error(format!("found `{shop}`, which is team {other}'s, expected it once"));
                            });
                        });
                    }
                }
                let team = Team {
                    title: config.title.clone().unwrap_or_else(|| name.clone()),
                    sister: config.sister.as_deref().map(Arc::from),
                    shops: config.shops.iter().map(|s| Arc::from(s.as_str())).collect(),
                };
                self.teams.insert(name.as_str().into(), team);
            });
        }
        if self.teams.is_empty() {
            let team = Team { title: desk.to_owned(), ..Team::default() };
            self.teams.insert(desk.into(), team);
        }
    }

    fn add_person(
        &mut self,
        name: &str,
        config: &PersonConfig,
        shifts: &Shifts,
        channels: &BTreeMap<Arc<str>, ChannelClass>,
        problems: &mut Problems,
    ) {
        let team = problems.within("team", |problems| self.team_of(config.team.as_deref(), problems));
        let mut contacts = Vec::new();
        problems.within("contact", |problems| {
            for (i, contact) in config.contact.iter().enumerate() {
                problems.within(i, |problems| match channels.get_key_value(contact.channel.as_str()) {
                    None => problems.within("channel", |p| {
                        let known = list(channels.keys());
                        p.error(format!(
                            "found `{}`, expected a configured channel: {known}",
                            contact.channel
                        ));
                    }),
                    Some((channel, class)) => {
                        let needs = !matches!(class, ChannelClass::ChatRobot | ChannelClass::Webhook);
                        if needs && contact.address.trim().is_empty() {
                            problems.within("address", |p| {
                                p.error(format!("is empty, expected an address on channel {channel}"));
                            });
                        }
                        contacts.push((channel.clone(), contact.address.trim().to_owned()));
                    }
                });
            }
        });
        problems.within("accounts", |problems| {
            for (i, account) in config.accounts.iter().enumerate() {
                if let Some(other) = self.by_account(account) {
                    let text = format!("found `{account}`, which is also {other}'s, expected it once");
                    problems.within(i, |p| p.error(text));
                }
            }
        });
        let id: PersonId = name.into();
        if let Some(duty) = rota::duty_of(config, shifts, problems) {
            self.rota.insert(id.clone(), duty);
        }
        let person = Person {
            name: config.name.clone(),
            role: config.role,
            team: team.unwrap_or_else(|| "".into()),
            accounts: config.accounts.iter().cloned().collect(),
            contacts,
            language: config.language,
        };
        self.people.insert(id, person);
    }

    fn team_of(&self, team: Option<&str>, problems: &mut Problems) -> Option<Arc<str>> {
        let known = || list(self.teams.keys());
        match team {
            Some(team) => {
                let found = self.teams.get_key_value(team).map(|(name, _)| name.clone());
                if found.is_none() {
                    problems.error(format!("found `{team}`, expected a configured team: {}", known()));
                }
                found
            }
            None if self.teams.len() == 1 => self.teams.keys().next().cloned(),
            None => {
                problems.error(format!("is missing, expected one of the teams: {}", known()));
                None
            }
        }
    }

    /// Whether the person is on duty at `t`: shift starts count, ends do not.
    pub fn is_on_duty(&self, person: &str, t: Instant) -> bool {
        self.people.contains_key(person) && self.rota.is_on(person, t)
    }

    /// Until when the person, on duty at `t`, stays so; `None` when they are not, or for good.
    pub fn shift_end(&self, person: &str, t: Instant) -> Option<Instant> {
        self.rota.end(person, t)
    }

    /// Until when the person, now off duty, was on duty last, looking back one day.
    pub fn off_since(&self, person: &str, t: Instant) -> Option<Instant> {
        self.rota.off_since(person, t)
    }

    /// The people of a role, and of a team where one is given, in the order of their names.
    pub fn people_of(&self, role: Role, team: Option<&str>) -> impl Iterator<Item = (&PersonId, &Person)> {
        let team = team.map(Arc::<str>::from);
        self.people
            .iter()
            .filter(move |(_, p)| p.role == role && team.as_deref().is_none_or(|team| *p.team == *team))
    }

    /// Those of them who are on duty at `t`.
    pub fn on_duty(&self, role: Role, team: Option<&str>, t: Instant) -> impl Iterator<Item = &PersonId> {
        self.people_of(role, team).map(|(id, _)| id).filter(move |id| self.is_on_duty(id, t))
    }

    /// Whose name at a source this is.
    pub fn by_account(&self, account: &str) -> Option<&PersonId> {
        let by_account = self.people.iter().find(|(_, p)| p.accounts.contains(account));
        by_account.or_else(|| self.people.get_key_value(account)).map(|(id, _)| id)
    }

    /// The team of a shop: the one that names it, else one that names none, else the first.
    pub fn team_of_shop(&self, shop: Option<&str>) -> Option<&Arc<str>> {
        let names = shop.and_then(|shop| self.teams.iter().find(|(_, t)| t.shops.contains(shop)));
        let any = || self.teams.iter().find(|(_, t)| t.shops.is_empty());
        names.or_else(any).or_else(|| self.teams.iter().next()).map(|(name, _)| name)
    }
}

/// Names for an error text, a few of them.
fn list<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let mut names: Vec<String> = names.map(|n| n.as_ref().to_owned()).collect();
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    match (names.is_empty(), more) {
        (true, _) => "none is configured".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}
