//! The parameters of alerting (`delivery_semantics` §2), each with its default. Spans are wall time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::alerting::maintenance::MaintenanceConfig;
use crate::core::duty::{Role, Roster};
use crate::core::model::{ChannelClass, Class};
use crate::core::problem::Problems;
use crate::core::time::Span;

/// `[alerting]`: how incidents live, who is told, and how messages are bundled, sent and tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertingConfig {
    /// By family of trouble (`ticket.reply`, `parcel.stalled`, …): levels and leases of its own. A family without an
    /// entry goes by the kind's (`ticket`), then by `default`.
    pub family: BTreeMap<String, FamilyConfig>,
    /// Reminders of the highest level: every so often, so many times.
    pub reminder_every: Span,
    /// See `reminder_every`; then the incident is `unhandled`.
    pub reminders: u32,
    /// No ack and no snooze runs past the hard deadline less this, or less half of the time left if that is shorter.
    pub deadline_guard: Span,
    /// With so little time left before the hard deadline, a fired incident is at level 2, and at level 3, at least.
    pub hard_levels: [Span; 2],
    /// Clear and return inside this window is the same episode.
    pub flap_window: Span,
    /// After a manual resolve the source has this long to agree.
    pub manual_grace: Span,
    /// Who is told when nobody else can be reached, in order; never empty.
    pub fallback: Vec<String>,
    /// Who is told of the system's own trouble (运维).
    pub admins: Vec<String>,
    /// Bundling.
    pub group: GroupConfig,
    /// Storms.
    pub storm: StormConfig,
    /// Windows of maintenance that are known ahead: nothing is said of what they match.
    pub maintenance: Vec<MaintenanceConfig>,
    /// How much each kind of lane takes.
    pub budget: BudgetConfig,
    /// Sending.
    pub send: SendConfig,
    /// A downtime longer than this is caught up with digests (§16.2).
    pub catch_up_after: Span,
    /// Where people reach the pages of this installation: links in messages begin with it.
    pub base_url: Option<String>,
    /// Raise it by one to sign links with a new key; links signed with the key before stay good, older ones do not
    /// (§12.1). A reload is enough.
    pub link_revision: u8,
}

/// `[alerting.family.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FamilyConfig {
    /// When levels 1, 2 and 3 are reached, counted from the breach; the first is usually `0s`.
    pub levels: [Span; 3],
    /// How long an ack holds without progress at the source.
    pub ack_lease: Span,
    /// The longest snooze.
    pub snooze_max: Span,
    /// The class at level 1; level 0 is P2, level 2 and up P0.
    pub class: Class,
    /// So many new incidents of the family in so long are a storm, in place of `[alerting.storm]`: what comes one by one
    /// over hours is one disaster all the same. It is over when fewer than `exit_count` come in that time.
    pub storm: Option<RateConfig>,
}

impl Default for FamilyConfig {
    fn default() -> FamilyConfig {
        FamilyConfig {
            levels: [Span::ZERO, Span::from_minutes(5), Span::from_minutes(10)],
            ack_lease: Span::from_minutes(10),
            snooze_max: Span::from_minutes(120),
            class: Class::P1,
            storm: None,
        }
    }
}

/// A message that listed more could not be kept or shown.
const MOST: u16 = 500;

/// A value for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerClass<T> {
    /// P0.
    pub p0: T,
    /// P1.
    pub p1: T,
    /// P2.
    pub p2: T,
    /// P3.
    pub p3: T,
}

impl<T: Copy> PerClass<T> {
    /// The value for `class`.
    pub fn of(&self, class: Class) -> T {
        match class {
            Class::P0 => self.p0,
            Class::P1 => self.p1,
            Class::P2 => self.p2,
            Class::P3 => self.p3,
        }
    }
}

/// `[alerting.group]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// How long a first message waits for others; later ones never lengthen it.
    pub wait: PerClass<Span>,
    /// How many items a digest lists; the rest is counted.
    pub digest_lines: u32,
    /// How many notices one message serves at most, 1 to 500; with 1 each is told by a message of its own.
    pub most: u16,
}

/// `[alerting.storm]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StormConfig {
    /// So many new incidents of one family and team; 0: there are no storms …
    pub count: u32,
    /// … in so long are a storm.
    pub window: Span,
    /// Percent of them that must share a value.
    pub cover_percent: u8,
    /// The dimensions looked at, the most specific first; `+` joins two.
    pub dimensions: Vec<String>,
    /// When changes are told after the opening; the last one repeats.
    pub updates: Vec<Span>,
    /// Fewer new ones than this …
    pub exit_count: u32,
    /// … in so long, and the storm is over.
    pub exit_window: Span,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Span,
}

/// `[alerting.budget]`: lists hold together. A provider's own caps hold as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// SMS of one person.
    pub sms: Vec<RateConfig>,
    /// Calls of one person.
    pub voice: Vec<RateConfig>,
    /// One robot.
    pub chat_robot: Vec<RateConfig>,
    /// One account in an IM.
    pub chat_app: Vec<RateConfig>,
    /// One mailbox.
    pub email: Vec<RateConfig>,
    /// One endpoint.
    pub webhook: Vec<RateConfig>,
    /// Percent of each that only P0 and P1 may use.
    pub reserve_percent: u8,
    /// A waiting message gains one class per this long, up to P1.
    pub aging: Span,
}

/// `[alerting.send]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendConfig {
    /// To connect.
    pub connect_timeout: Span,
    /// For one attempt in all.
    pub timeout: Span,
    /// Before the first retry, at least.
    pub retry_base: Span,
    /// Between retries, at most.
    pub retry_cap: Span,
    /// When a message is given up.
    pub expire: PerClass<Span>,
    /// When the next wave of a plan starts without proof; P3 never has one.
    pub fallback_after: PerClass<Span>,
    /// When a notice without proof is dead; P3 never is.
    pub discharge_bound: PerClass<Span>,
    /// How long a receipt is awaited.
    pub receipt_window_sms: Span,
    /// How long an answer to a call is awaited.
    pub receipt_window_voice: Span,
    /// How long an uncertain attempt waits for a sign before the one marked retry; P3 is not tried again.
    pub uncertain_hold: PerClass<Span>,
    /// So many failures in a row open the breaker of a channel.
    pub breaker_failures: u32,
    /// Its first cool-down; it doubles up to `breaker_cap`.
    pub breaker_cool_down: Span,
    /// See `breaker_cool_down`.
    pub breaker_cap: Span,
    /// So many process deaths during one message, and it is put aside.
    pub crash_attempts: u32,
}

const fn seconds(s: i64) -> Span {
    Span::from_secs(s)
}

const fn minutes(m: i64) -> Span {
    Span::from_minutes(m)
}

impl Default for AlertingConfig {
    fn default() -> AlertingConfig {
        let family = |levels, ack_lease, snooze_max, class| FamilyConfig {
            levels,
            ack_lease,
            snooze_max,
            class,
            storm: None,
        };
        let families = [
            ("ticket", family([Span::ZERO, minutes(5), minutes(10)], minutes(10), minutes(120), Class::P1)),
            (
                "parcel",
                family([Span::ZERO, minutes(240), minutes(1440)], minutes(240), minutes(1440), Class::P2),
            ),
            (
                "handover",
                family([Span::ZERO, minutes(10), minutes(20)], minutes(10), minutes(120), Class::P1),
            ),
            (
                "default",
                family([Span::ZERO, minutes(60), minutes(240)], minutes(60), minutes(480), Class::P2),
            ),
        ];
        AlertingConfig {
            family: families.into_iter().map(|(name, f)| (name.to_owned(), f)).collect(),
            reminder_every: minutes(10),
            reminders: 3,
            deadline_guard: minutes(15),
            hard_levels: [minutes(60), minutes(15)],
            flap_window: minutes(2),
            manual_grace: minutes(5),
            fallback: Vec::new(),
            maintenance: Vec::new(),
            admins: Vec::new(),
            group: GroupConfig::default(),
            storm: StormConfig::default(),
            budget: BudgetConfig::default(),
            send: SendConfig::default(),
            catch_up_after: minutes(5),
            base_url: None,
            link_revision: 0,
        }
    }
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            wait: PerClass { p0: Span::ZERO, p1: seconds(5), p2: seconds(60), p3: seconds(60) },
            digest_lines: 10,
            most: MOST,
        }
    }
}

impl Default for StormConfig {
    fn default() -> StormConfig {
        let dimensions = [
            "carrier+node",
            "carrier+lane",
            "carrier+province",
            // Of several carriers: what stands still is the node.
            "node",
            "carrier",
            "warehouse",
            "shop",
            "product",
            "team",
        ];
        StormConfig {
            count: 20,
            window: minutes(5),
            cover_percent: 80,
            dimensions: dimensions.map(str::to_owned).to_vec(),
            updates: vec![minutes(5), minutes(15), minutes(30), minutes(60)],
            exit_count: 5,
            exit_window: minutes(10),
        }
    }
}

impl Default for BudgetConfig {
    fn default() -> BudgetConfig {
        let rate = |count, per| RateConfig { count, per };
        BudgetConfig {
            sms: vec![rate(1, minutes(1)), rate(8, minutes(60)), rate(30, Span::DAY)],
            voice: vec![rate(1, minutes(2)), rate(4, minutes(60))],
            chat_robot: vec![rate(18, minutes(1))],
            chat_app: vec![rate(20, minutes(1)), rate(600, minutes(60))],
            email: vec![rate(30, minutes(1)), rate(300, minutes(60))],
            webhook: Vec::new(),
            reserve_percent: 20,
            aging: seconds(60),
        }
    }
}

impl Default for SendConfig {
    fn default() -> SendConfig {
        SendConfig {
            connect_timeout: seconds(3),
            timeout: seconds(10),
            retry_base: seconds(1),
            retry_cap: seconds(60),
            expire: PerClass { p0: minutes(120), p1: minutes(120), p2: minutes(480), p3: minutes(30) },
            fallback_after: PerClass { p0: seconds(20), p1: seconds(60), p2: minutes(10), p3: Span::DAY },
            discharge_bound: PerClass { p0: minutes(3), p1: minutes(6), p2: minutes(30), p3: Span::DAY },
            receipt_window_sms: seconds(60),
            receipt_window_voice: seconds(90),
            uncertain_hold: PerClass { p0: Span::ZERO, p1: seconds(15), p2: seconds(60), p3: Span::DAY },
            breaker_failures: 5,
            breaker_cool_down: seconds(10),
            breaker_cap: seconds(60),
            crash_attempts: 3,
        }
    }
}

static PLAIN: LazyLock<FamilyConfig> = LazyLock::new(FamilyConfig::default);

impl AlertingConfig {
    /// What a family goes by: its own entry, that of its kind (the part before the first dot), or `default`.
    pub fn of_family(&self, family: &str) -> &FamilyConfig {
        let kind = family.split('.').next().unwrap_or(family);
        [family, kind, "default"].into_iter().find_map(|name| self.family.get(name)).unwrap_or(&PLAIN)
    }

    /// So many incidents of a family, in so long, are a storm.
    pub fn storm_of(&self, family: &str) -> RateConfig {
        let usual = RateConfig { count: self.storm.count, per: self.storm.window };
        self.of_family(family).storm.unwrap_or(usual)
    }

    /// How long fewer than `exit_count` come before a storm of a family is over.
    pub fn storm_exit_of(&self, family: &str) -> Span {
        self.of_family(family)
            .storm
            .map_or(self.storm.exit_window, |rate| rate.per.max(self.storm.exit_window))
    }

    /// Notes every relation of `delivery_semantics` §2.4 that one node can break. `roster` is the compiled one, where
    /// it compiled.
    pub fn check(
        &self,
        roster: Option<&Roster>,
        channels: &BTreeMap<Arc<str>, ChannelClass>,
        problems: &mut Problems,
    ) {
        self.check_families(problems);
        self.check_times(problems);
        self.check_bundling(problems);
        if let Some(roster) = roster {
            self.check_people(roster, channels, problems);
            check_levels(roster, problems);
        }
        problems.within("base_url", |problems| {
            let Some(url) = &self.base_url else { return };
            if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(['?', '#', ' ']) {
                problems
                    .error(format!("found `{url}`, expected a URL such as https://shiftbell.example.com"));
            }
        });
    }

    fn check_families(&self, problems: &mut Problems) {
        problems.within("family", |problems| {
            for (name, family) in &self.family {
                problems.within(name.as_str(), |problems| {
                    let [first, second, third] = family.levels;
                    if first > second || second > third {
                        problems.within("levels", |p| {
                            p.error(format!("found {first}, {second}, {third}, expected them to rise"));
                        });
                    }
                    positive("ack_lease", family.ack_lease, problems);
                    positive("snooze_max", family.snooze_max, problems);
                    if family.class == Class::P3 {
                        problems.within("class", |p| {
                            p.error("found p3, expected p0, p1 or p2: a p3 message is never followed up");
                        });
                    }
                });
            }
        });
        positive("reminder_every", self.reminder_every, problems);
        if self.reminders > 100 {
            problems
                .within("reminders", |p| p.error(format!("found {}, expected at most 100", self.reminders)));
        }
        let [second, third] = self.hard_levels;
        if third > second {
            problems.within("hard_levels", |p| {
                p.error(format!(
                    "found {second}, {third}, expected the second not to be longer than the first"
                ));
            });
        }
    }

    fn check_times(&self, problems: &mut Problems) {
        problems.within("send", |problems| {
            for class in [Class::P0, Class::P1, Class::P2] {
                let word = class.word();
                let (after, bound, expire) = (
                    self.send.fallback_after.of(class),
                    self.send.discharge_bound.of(class),
                    self.send.expire.of(class),
                );
                if after >= bound {
                    problems.within("fallback_after", |p| {
                        p.within(word, |p| {
                            p.error(format!(
                                "found {after}, expected less than discharge_bound.{word}, {bound}"
                            ));
                        });
                    });
                }
                if bound >= expire {
                    problems.within("discharge_bound", |p| {
                        p.within(word, |p| {
                            p.error(format!("found {bound}, expected less than expire.{word}, {expire}"));
                        });
                    });
                }
            }
            positive("connect_timeout", self.send.connect_timeout, problems);
            positive("timeout", self.send.timeout, problems);
            positive("retry_base", self.send.retry_base, problems);
            if self.send.retry_cap < self.send.retry_base {
                problems.within("retry_cap", |p| {
                    let (cap, base) = (self.send.retry_cap, self.send.retry_base);
                    p.error(format!("found {cap}, expected at least retry_base, {base}"));
                });
            }
            positive("breaker_cool_down", self.send.breaker_cool_down, problems);
            if self.send.breaker_failures == 0 {
                problems.within("breaker_failures", |p| p.error("found 0, expected at least 1"));
            }
            if self.send.crash_attempts == 0 {
                problems.within("crash_attempts", |p| p.error("found 0, expected at least 1"));
            }
        });
        problems.within("group", |problems| {
            for class in [Class::P0, Class::P1] {
                let (wait, after) = (self.group.wait.of(class), self.send.fallback_after.of(class));
                if wait >= after {
                    problems.within("wait", |p| {
                        p.within(class.word(), |p| {
                            let word = class.word();
                            p.error(format!(
                                "found {wait}, expected less than send.fallback_after.{word}, {after}"
                            ));
                        });
                    });
                }
            }
            if self.group.digest_lines == 0 || self.group.digest_lines > 100 {
                problems.within("digest_lines", |p| {
                    p.error(format!("found {}, expected 1 to 100", self.group.digest_lines));
                });
            }
        });
    }

    fn check_bundling(&self, problems: &mut Problems) {
        problems.within("group", |problems| {
            if self.group.most == 0 || self.group.most > MOST {
                problems.within("most", |p| {
                    p.error(format!("found {}, expected 1 to {MOST}", self.group.most));
                });
            }
        });
        problems.within("storm", |problems| {
            if self.storm.count == 1 {
                problems.within("count", |p| p.error("found 1, expected at least 2, or 0 for no storms"));
            }
            positive("window", self.storm.window, problems);
            positive("exit_window", self.storm.exit_window, problems);
            if self.storm.cover_percent == 0 || self.storm.cover_percent > 100 {
                problems.within("cover_percent", |p| {
                    p.error(format!("found {}, expected 1 to 100", self.storm.cover_percent));
                });
            }
            if self.storm.updates.is_empty() || !self.storm.updates.is_sorted_by(|a, b| a < b) {
                problems
                    .within("updates", |p| p.error("expected at least one span, each longer than the last"));
            }
        });
        problems.within("budget", |problems| {
            if self.budget.reserve_percent > 90 {
                problems.within("reserve_percent", |p| {
                    p.error(format!("found {}, expected at most 90", self.budget.reserve_percent));
                });
            }
            positive("aging", self.budget.aging, problems);
            let kinds = [
                ("sms", &self.budget.sms),
                ("voice", &self.budget.voice),
                ("chat_robot", &self.budget.chat_robot),
                ("chat_app", &self.budget.chat_app),
                ("email", &self.budget.email),
                ("webhook", &self.budget.webhook),
            ];
            for (name, rates) in kinds {
                for (i, rate) in rates.iter().enumerate() {
                    if rate.count == 0 || rate.per <= Span::ZERO {
                        problems.within(name, |p| {
                            p.within(i, |p| p.error("expected a count and a time above zero"));
                        });
                    }
                }
            }
        });
    }

    fn check_people(
        &self,
        roster: &Roster,
        channels: &BTreeMap<Arc<str>, ChannelClass>,
        problems: &mut Problems,
    ) {
        for (key, names) in [("fallback", &self.fallback), ("admins", &self.admins)] {
            problems.within(key, |problems| {
                for (i, name) in names.iter().enumerate() {
                    if !roster.people.contains_key(name.as_str()) {
                        problems.within(i, |p| {
                            p.error(format!("found `{name}`, expected somebody of `people`"));
                        });
                    }
                }
            });
        }
        problems.within("maintenance", |problems| {
            for (i, window) in self.maintenance.iter().enumerate() {
                problems.within(i, |problems| {
                    window.check(problems);
                    if !roster.people.contains_key(window.owner.as_str()) {
                        problems.within("owner", |p| {
                            p.error(format!("found `{}`, expected somebody of `people`", window.owner));
                        });
                    }
                });
            }
        });
        let has_admin = roster.people.values().any(|p| p.role == Role::Admin);
        if self.admins.is_empty() && !has_admin {
            problems.within("admins", |p| {
                p.warn("is empty, and nobody has the role admin: the system's own trouble goes to `fallback` alone");
            });
        }
        problems.within("fallback", |problems| {
            if self.fallback.is_empty() {
                problems.error(
                    "is empty, expected at least one person who is told when nobody else can be reached",
                );
                return;
            }
            if self.fallback.iter().any(|name| !roster.people.contains_key(name.as_str())) {
                return;
            }
            let mut lanes = BTreeSet::new();
            let mut classes: BTreeSet<ChannelClass> = BTreeSet::new();
            for person in self.fallback.iter().filter_map(|name| roster.people.get(name.as_str())) {
                for (channel, address) in &person.contacts {
                    lanes.insert((channel, address));
                    classes.extend(channels.get(channel));
                }
            }
            if lanes.is_empty() {
                problems.error("nobody on it has a contact, expected at least one who can be reached");
            } else if lanes.len() < 2 || classes.len() < 2 {
                problems.warn(format!(
                    "reaches people by {} address(es) on {} kind(s) of channel, expected 2 of each: when the only                      channel fails, nobody is told. Add a second channel, such as mail beside a webhook",
                    lanes.len(),
                    classes.len()
                ));
            }
        });
    }
}

/// Every team has somebody for each level, or inherits: a sister team, the desk's other teams, the fallback list.
fn check_levels(roster: &Roster, problems: &mut Problems) {
    for (name, team) in &roster.teams {
        for (level, role) in [(1, Role::Handler), (2, Role::Senior), (3, Role::Manager)] {
            let own = roster.people_of(role, Some(name)).next().is_some();
            let sister =
                team.sister.as_deref().is_some_and(|s| roster.people_of(role, Some(s)).next().is_some());
            let any = role == Role::Manager && roster.people_of(role, None).next().is_some();
            if !own && !sister && !any {
                problems.within("fallback", |p| {
                    p.warn(format!(
                        "team {name} has no {} and no sister team with one: what reaches level {level} goes on to the                          next level at once, and at last to this list",
                        role.word()
                    ));
                });
            }
        }
    }
}

fn positive(key: &str, span: Span, problems: &mut Problems) {
    if span <= Span::ZERO {
        problems.within(key, |p| p.error(format!("found {span}, expected more than zero")));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::duty::{ContactConfig, DeskConfig, PersonConfig, TeamConfig};
    use crate::core::problem::Severity;

    fn classes() -> BTreeMap<Arc<str>, ChannelClass> {
        [("mail", ChannelClass::Email), ("hook", ChannelClass::Webhook)].map(|(n, c)| (n.into(), c)).into()
    }

    fn person(role: Role, contacts: &[(&str, &str)]) -> PersonConfig {
        let contact = |(channel, address): &(&str, &str)| ContactConfig {
            channel: (*channel).to_owned(),
            address: (*address).to_owned(),
        };
        PersonConfig {
            name: "x".to_owned(),
            role,
            team: None,
            shifts: Vec::new(),
            days: Vec::new(),
            leave: Vec::new(),
            extra: Vec::new(),
            accounts: Vec::new(),
            contact: contacts.iter().map(contact).collect(),
            language: None,
        }
    }

    fn roster(people: &[(&str, PersonConfig)]) -> Roster {
        let desk =
            DeskConfig { id: "d".to_owned(), zone: "Asia/Shanghai".to_owned(), ..DeskConfig::default() };
        let shifts = desk.compile(&mut Problems::new()).expect("the desk is right");
        let people: BTreeMap<String, PersonConfig> =
            people.iter().map(|(id, p)| ((*id).to_owned(), p.clone())).collect();
        let teams = BTreeMap::<String, TeamConfig>::new();
        let mut problems = Problems::new();
        let roster = Roster::compile(&people, &teams, "d", &shifts, &classes(), &mut problems);
        roster.unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
    }

    fn found(config: &AlertingConfig, roster: &Roster) -> Vec<(bool, String)> {
        let mut problems = Problems::new();
        config.check(Some(roster), &classes(), &mut problems);
        problems.into_vec().iter().map(|p| (p.severity == Severity::Error, p.path.to_string())).collect()
    }

    fn sound() -> (AlertingConfig, Roster) {
        let both = &[("mail", "a@example.com"), ("hook", "")][..];
        let roster = roster(&[
            ("lin", person(Role::Handler, both)),
            ("min", person(Role::Senior, both)),
            ("zhou", person(Role::Manager, both)),
            ("yun", person(Role::Admin, both)),
        ]);
        (AlertingConfig { fallback: vec!["zhou".to_owned()], ..AlertingConfig::default() }, roster)
    }

    #[test]
    fn the_defaults_are_sound() {
        let (config, roster) = sound();
        assert_eq!(found(&config, &roster), []);
    }

    #[test]
    fn every_relation_that_is_broken_is_told() {
        let (_, roster) = sound();
        type Change = fn(&mut AlertingConfig);
        let table: [(&str, Change); 17] = [
            ("fallback", |c| c.fallback.clear()),
            ("fallback[0]", |c| c.fallback = vec!["nobody".to_owned()]),
            ("admins[0]", |c| c.admins = vec!["nobody".to_owned()]),
            ("send.fallback_after.p0", |c| c.send.fallback_after.p0 = c.send.discharge_bound.p0),
            ("send.fallback_after.p2", |c| c.send.fallback_after.p2 = c.send.discharge_bound.p2),
            ("send.discharge_bound.p1", |c| c.send.discharge_bound.p1 = c.send.expire.p1),
            ("group.wait.p1", |c| c.group.wait.p1 = c.send.fallback_after.p1),
            ("group.digest_lines", |c| c.group.digest_lines = 0),
            ("family.ticket.levels", |c| {
                c.family.entry("ticket".to_owned()).or_default().levels[2] = Span::ZERO;
            }),
            ("family.ticket.ack_lease", |c| {
                c.family.entry("ticket".to_owned()).or_default().ack_lease = Span::ZERO;
            }),
            ("family.ticket.class", |c| c.family.entry("ticket".to_owned()).or_default().class = Class::P3),
            ("reminder_every", |c| c.reminder_every = Span::ZERO),
            ("hard_levels", |c| c.hard_levels.reverse()),
            ("storm.count", |c| c.storm.count = 1),
            ("group.most", |c| c.group.most = 501),
            ("budget.sms[0]", |c| c.budget.sms[0].count = 0),
            ("base_url", |c| c.base_url = Some("shiftbell.example.com".to_owned())),
        ];
        for (path, change) in table {
            let (mut config, _) = sound();
            change(&mut config);
            let errors: Vec<String> =
                found(&config, &roster).into_iter().filter(|(e, _)| *e).map(|(_, p)| p).collect();
            assert_eq!(errors, [path], "{path}");
        }
    }

    #[test]
    fn one_channel_runs_with_a_warning_and_none_does_not() {
        let mail = &[("mail", "a@example.com")][..];
        let config = AlertingConfig { fallback: vec!["lin".to_owned()], ..AlertingConfig::default() };
        let alone = roster(&[("lin", person(Role::Handler, mail))]);
        let told = found(&config, &alone);
        assert!(told.iter().all(|(is_error, _)| !is_error), "{told:?}");
        assert!(told.contains(&(false, "fallback".to_owned())));
        let mute = roster(&[("lin", person(Role::Handler, &[]))]);
        assert!(found(&config, &mute).contains(&(true, "fallback".to_owned())));
    }

    #[test]
    fn a_family_goes_by_its_own_entry_or_that_of_its_kind() {
        let mut config = AlertingConfig::default();
        let own = FamilyConfig { ack_lease: Span::MINUTE, ..FamilyConfig::default() };
        config.family.insert("ticket.reply".to_owned(), own);
        assert_eq!(config.of_family("ticket.reply").ack_lease, Span::MINUTE);
        assert_eq!(config.of_family("ticket.solution").ack_lease, Span::from_minutes(10));
        assert_eq!(config.of_family("order.ship").ack_lease, Span::from_minutes(60));
        config.family.clear();
        assert_eq!(config.of_family("order.ship"), &FamilyConfig::default());
    }
}
