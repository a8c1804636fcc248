//! What a desk of the simulation is made of: people, teams, shifts, promises, channels. It can be changed, as by a
//! reload.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::alerting::config::RateConfig;
use crate::core::alerting::{AlertingConfig, RuleText, Setup};
use crate::core::clock::{ClockConfig, MarksConfig, Names, Pick, PolicyConfig, RingConfig};
use crate::core::duty::{
    ContactConfig, DeskConfig, PersonConfig, Role, Roster, ShiftConfig, StretchConfig, TeamConfig,
};
use crate::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, Language, LinkRule, Rate, ReceiptPath, ReplyPath,
};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

use super::random::Dice;

/// The desk's id.
pub const DESK: &str = "desk";
/// The key of the installation.
pub const KEY: [u8; 32] = [7; 32];

/// Everything that a configuration says.
#[derive(Clone, Debug)]
pub struct Land {
    /// The parameters.
    pub config: AlertingConfig,
    /// The people.
    pub people: BTreeMap<String, PersonConfig>,
    /// The teams.
    pub teams: BTreeMap<String, TeamConfig>,
    shifts: Vec<ShiftConfig>,
    /// The promises.
    pub policy: PolicyConfig,
    /// The channels.
    pub channels: BTreeMap<Arc<str>, ChannelCard>,
    /// Rises with every change.
    pub revision: u64,
}

fn names(names: &[&str]) -> Names {
    Names(names.iter().map(|n| (*n).to_owned()).collect())
}

fn rings(at: &[&str]) -> Vec<RingConfig> {
    at.iter().map(|at| RingConfig { at: (*at).to_owned(), hold: false }).collect()
}

fn promises() -> PolicyConfig {
    let clock = |name: &str, on: &str| ClockConfig {
        name: name.to_owned(),
        on: on.to_owned(),
        ..ClockConfig::default()
    };
    let ticket = ClockConfig {
        family: Some("ticket.reply".to_owned()),
        start: names(&["customer_message"]),
        pick: Some(Pick::OldestOpen),
        stop: names(&["agent_reply"]),
        target: Some("20m".to_owned()),
        ring: rings(&["5m before", "due"]),
        progress: names(&["carrier_inquiry"]),
        hard_deadline: names(&["answer_by"]),
        ..clock("ticket_reply", "ticket")
    };
    let parcel = ClockConfig {
        family: Some("parcel.stalled".to_owned()),
        start: names(&["scan"]),
        pick: Some(Pick::Last),
        stop: names(&["delivered"]),
        target: Some("48h".to_owned()),
        ring: rings(&["due"]),
        hard_deadline: names(&["deliver_by"]),
        ..clock("parcel_stalled", "parcel")
    };
    PolicyConfig {
        marks: MarksConfig { single: Vec::new(), repeated: vec!["carrier_inquiry".to_owned()] },
        clock: vec![ticket, parcel],
        ..PolicyConfig::default()
    }
}

fn card(name: &str, class: ChannelClass, duplicate_key: DuplicateKey) -> ChannelCard {
    let receipts = match class {
        ChannelClass::Sms | ChannelClass::Voice => ReceiptPath::Pushed,
        _ => ReceiptPath::None,
    };
    ChannelCard {
        name: name.into(),
        adapter: name.into(),
        class,
        duplicate_key,
        receipts,
        reply: ReplyPath::Button,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 16,
    }
}

fn channels(dice: &mut Dice) -> BTreeMap<Arc<str>, ChannelCard> {
    let hour = Span::HOUR;
    let mut cards = vec![
        card("app", ChannelClass::ChatApp, DuplicateKey::Strong { horizon: hour }),
        card("wecom", ChannelClass::ChatApp, DuplicateKey::ContentWindow { horizon: Span::from_minutes(30) }),
        card("robot", ChannelClass::ChatRobot, DuplicateKey::None),
        card("sms", ChannelClass::Sms, DuplicateKey::Query),
        card("voice", ChannelClass::Voice, DuplicateKey::Query),
        card("mail", ChannelClass::Email, DuplicateKey::None),
        card("hook", ChannelClass::Webhook, DuplicateKey::Strong { horizon: hour }),
    ];
    for card in &mut cards {
        if dice.chance(20) {
            card.max_inflight = 2;
        }
        if dice.chance(20) {
            card.account_caps = vec![Rate { count: 30, per: Span::MINUTE }];
        }
    }
    cards.into_iter().map(|card| (card.name.clone(), card)).collect()
}

/// The address of a person on a channel, in clear: what no audit and no body may show.
fn address(n: usize, id: &str, channel: &str) -> String {
    match channel {
        "sms" | "voice" => format!("1380013{:04}", 1000 + n),
        "mail" => format!("{id}.private@example.com"),
        "robot" => "group-ops-secret".to_owned(),
        "hook" => String::new(),
        _ => format!("acct-{id}-{channel}"),
    }
}

impl Land {
    /// The land of a seed.
    pub fn new(dice: &mut Dice) -> Land {
        let channels = channels(dice);
        let mut people = BTreeMap::new();
        let table: &[(&str, Role, &str, &[&str])] = &[
            ("lin", Role::Handler, "a", &["day"]),
            ("luo", Role::Handler, "a", &["day", "late"]),
            ("chen", Role::Handler, "a", &["late"]),
            ("wang", Role::Handler, "a", &["night"]),
            ("he", Role::Handler, "b", &["day"]),
            ("hua", Role::Handler, "b", &["late"]),
            ("min", Role::Senior, "a", &["day", "late"]),
            ("rou", Role::Senior, "b", &["day"]),
            ("zhou", Role::Manager, "a", &["day"]),
            ("wu", Role::Manager, "b", &["late", "night"]),
            ("zhan", Role::Manager, "a", &[]),
            ("ku", Role::Manager, "b", &[]),
            ("yun", Role::Admin, "a", &[]),
        ];
        for (n, (id, role, team, shifts)) in table.iter().enumerate() {
            // In some lands the night is a gap.
            if *id == "wang" && dice.chance(50) {
                continue;
            }
            let app = *dice.pick(&["app", "wecom", "robot", "app"]).unwrap_or(&"app");
            let mut ways: Vec<&str> = match *id {
                "zhan" => vec!["sms", "voice"],
                "ku" => vec!["mail", "app"],
                "yun" => vec!["mail", "app"],
                _ => vec![app, "sms", "voice", "mail"],
            };
            if *role == Role::Handler && dice.chance(15) {
                ways.truncate(1);
            }
            if *role == Role::Handler && dice.chance(5) {
                ways.clear();
            }
            if dice.chance(10) {
                ways.push("hook");
            }
            let contact = ways
                .iter()
                .map(|c| ContactConfig { channel: (*c).to_owned(), address: address(n, id, c) })
                .collect();
            let person = PersonConfig {
                name: format!("name of {id}"),
                role: *role,
                team: Some((*team).to_owned()),
                shifts: shifts.iter().map(|s| (*s).to_owned()).collect(),
                days: Vec::new(),
                leave: Vec::new(),
                extra: Vec::new(),
                accounts: vec![format!("acc-{id}")],
                contact,
                language: None,
            };
            people.insert((*id).to_owned(), person);
        }
        let team = |sister: &str, shops: &[&str]| TeamConfig {
            title: None,
            sister: Some(sister.to_owned()),
            shops: shops.iter().map(|s| (*s).to_owned()).collect(),
        };
        let shift = |name: &str, from: &str, to: &str| ShiftConfig {
            name: name.to_owned(),
            title: None,
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let mut config = AlertingConfig {
            fallback: vec!["zhan".to_owned(), "ku".to_owned()],
            admins: vec!["yun".to_owned()],
            ..AlertingConfig::default()
        };
        if dice.chance(20) {
            config.budget.sms = vec![RateConfig { count: 2, per: Span::HOUR }];
        }
        if dice.chance(30) {
            // Parcels that rise within the hours of a run.
            let parcel = config.family.get_mut("parcel");
            if let Some(parcel) = parcel {
                parcel.levels = [Span::ZERO, Span::from_minutes(20), Span::from_minutes(60)];
            }
        }
        Land {
            config,
            people,
            teams: [("a", team("b", &[])), ("b", team("a", &["shop2"]))]
                .into_iter()
                .map(|(name, team)| (name.to_owned(), team))
                .collect(),
            shifts: vec![
                shift("day", "08:00", "18:00"),
                shift("late", "18:00", "02:00"),
                shift("night", "02:00", "08:00"),
            ],
            policy: promises(),
            channels,
            revision: 1,
        }
    }

    /// What alerting goes by.
    ///
    /// # Errors
    /// The land is wrong: what and where.
    pub fn setup(&self) -> Result<Setup, String> {
        let mut problems = Problems::new();
        let desk = DeskConfig {
            id: DESK.to_owned(),
            zone: "Asia/Shanghai".to_owned(),
            shift: self.shifts.clone(),
            ..DeskConfig::default()
        };
        let shifts = desk.compile(&mut problems).ok_or("the shifts are wrong")?;
        let classes: BTreeMap<Arc<str>, ChannelClass> =
            self.channels.iter().map(|(name, card)| (name.clone(), card.class)).collect();
        let roster = Roster::compile(&self.people, &self.teams, DESK, &shifts, &classes, &mut problems);
        let mut roster = roster.ok_or_else(|| format!("the roster is wrong: {:?}", problems.into_vec()))?;
        roster.revision = self.revision;
        Ok(Setup {
            desk: DESK.into(),
            title: "售后".to_owned(),
            language: Language::Zh,
            zone: shifts.zone().clone(),
            config: Arc::new(self.config.clone()),
            roster: Arc::new(roster),
            channels: self.channels.clone(),
            rules: RuleText::of(&self.policy),
            revision: self.revision,
        })
    }

    /// Every address in clear.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let contacts = self.people.values().flat_map(|p| p.contact.iter());
        contacts.map(|c| c.address.as_str()).filter(|a| !a.is_empty())
    }

    /// Changes something, as a person edits the files. Answers what.
    pub fn change(&mut self, dice: &mut Dice, now: Instant) -> String {
        self.revision += 1;
        let movable = ["lin", "luo", "chen", "wang", "he", "hua", "min", "rou"];
        match dice.below(7) {
            0 => {
                let gone = *dice.pick(&["wecom", "robot", "voice", "hook", "mail", "sms"]).unwrap_or(&"hook");
                self.channels.remove(gone);
                for person in self.people.values_mut() {
                    person.contact.retain(|c| c.channel != gone);
                }
                format!("channel {gone} removed")
            }
            1 => {
                let gone = *dice.pick(&movable).unwrap_or(&"lin");
                self.people.remove(gone);
                format!("person {gone} removed")
            }
            2 => {
                let away = *dice.pick(&movable).unwrap_or(&"lin");
                let local = |at: Instant| {
                    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap_or(jiff::tz::TimeZone::UTC);
                    at.to_timestamp().to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string()
                };
                let from = now + dice.span(-600, 1800);
                let to = from + dice.span(1800, 14_400);
                let stretch = StretchConfig { from: local(from), to: local(to) };
                let Some(person) = self.people.get_mut(away) else { return "nothing".to_owned() };
                if dice.chance(60) {
                    person.leave.push(stretch);
                    format!("{away} on leave")
                } else {
                    person.extra.push(stretch);
                    format!("{away} works extra")
                }
            }
            3 if self.policy.clock.len() > 1 => {
                let gone = self.policy.clock.remove(dice.below(self.policy.clock.len()));
                format!("rule {} removed", gone.name)
            }
            4 => {
                let target = *dice.pick(&["10m", "15m", "30m"]).unwrap_or(&"30m");
                for clock in self.policy.clock.iter_mut().filter(|c| c.on == "ticket") {
                    clock.target = Some(target.to_owned());
                }
                format!("tickets within {target}")
            }
            5 if self.teams.len() > 1 => {
                self.teams.remove("b");
                for team in self.teams.values_mut() {
                    team.sister = None;
                }
                for person in self.people.values_mut() {
                    person.team = Some("a".to_owned());
                }
                "team b dissolved".to_owned()
            }
            _ => {
                self.policy = promises();
                "every rule back".to_owned()
            }
        }
    }
}
