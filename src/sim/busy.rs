//! A day of a busy desk against all limits at once: the same world, whose channels are the real adapters, and behind them
//! the providers that count and punish (`inboxes/`). Nobody is offline for long, nothing crashes: what is tried here is
//! whether so much trouble can be told without a robot that is muted, a number that has had enough, or an urgent message
//! that nobody gets in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::inboxes::here::Here;
use super::inboxes::{Kind, Strike, Trouble, kind};
use super::invariants::Found;
use super::land::Land;
use super::profile::Profile;
use super::provider::Handed;
use super::random::Dice;
use super::trace::{Trace, What};
use crate::channels::{Channels, Limits};
use crate::core::alerting::Claim;
use crate::core::duty::ContactConfig;
use crate::core::ids::Id;
use crate::core::model::{
    ChannelCard, Class, Notice, NoticeState, Outcome, OutcomeClass, PersonId, ReceiptPath, StatementKind,
};
use crate::core::time::{Instant, Span};

/// How many minutes of virtual time a busy day takes where nothing else is said: ten hours.
pub const MINUTES: i64 = 600;

/// What is urgent is out by some channel within so long (B6).
const URGENT_WITHIN: Span = Span::from_secs(22);

/// How requests are bounded, as `[alerting.send]` has it.
const LIMITS: Limits = Limits { connect: Duration::from_secs(3), total: Duration::from_secs(10) };

/// The channels of a busy desk: their name and the provider behind them.
const CHANNELS: &[&str] = &[
    "dingtalk_robot",
    "dingtalk_app",
    "wecom_robot",
    "wecom_app",
    "feishu_robot",
    "feishu_app",
    "telegram",
    "slack",
    "aliyun_sms",
    "tencent_sms",
    "huawei_sms",
    "aliyun_voice",
    "twilio_voice",
];

/// The real channels of a desk, and the providers behind them.
pub(super) struct Phones {
    here: Arc<Here>,
    channels: Channels,
    runtime: tokio::runtime::Runtime,
    dice: Dice,
}

impl Phones {
    pub(super) fn new(dice: Dice) -> Result<Phones, String> {
        let known: Vec<(&str, &'static Kind)> =
            CHANNELS.iter().filter_map(|name| Some((*name, kind(name)?))).collect();
        let here = Here::new(&known);
        let made = |name: &&str| Ok(((*name).into(), here.right(name, LIMITS)?));
        let channels: Result<Channels, String> = CHANNELS.iter().map(made).collect();
        // Adapters bound what they do by real time, of which nothing passes here.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        Ok(Phones { channels: channels?, here, runtime, dice })
    }

    pub(super) fn cards(&self) -> BTreeMap<Arc<str>, ChannelCard> {
        self.channels.iter().map(|(name, channel)| (name.clone(), channel.card().clone())).collect()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.channels.keys().cloned()
    }

    /// A provider is in trouble, or out of it.
    pub(super) fn trouble(&self, channel: &str, trouble: Trouble) {
        if let Some(mut service) = self.here.of(channel) {
            service.trouble = trouble;
        }
    }

    /// A claim is handed over at `now`; it is over after `timeout`, whatever is known then.
    pub(super) fn hand(&mut self, claim: &Claim, now: Instant, timeout: Span) -> Handed {
        let Some(channel) = self.channels.get(&claim.to.lane.channel) else {
            let outcome = Outcome::of(OutcomeClass::Config);
            return Handed { seen: false, taken: false, outcome, after: Span::ZERO, receipts: Vec::new() };
        };
        // Requests overtake each other on their way.
        let way = Span::from_millis(self.dice.between(5, 900));
        let seen = |here: &Here| {
            here.of(&claim.to.lane.channel).map_or((0, 0), |s| (s.seen.len(), s.struck(Strike::Known)))
        };
        let before = seen(&self.here);
        self.here.at(now, now + way);
        let outcome = self.runtime.block_on(channel.send(claim));
        let after = seen(&self.here);
        let (shown, known) = (after.0 > before.0, after.1 > before.1);
        let mut receipts = Vec::new();
        if shown && channel.card().receipts != ReceiptPath::None {
            let soon = way + Span::from_millis(self.dice.between(1_000, 15_000));
            match self.dice.below(20) {
                // Never, or twice.
                0 => {}
                1 => receipts
                    .extend([(StatementKind::Delivered, soon), (StatementKind::Delivered, soon + soon)]),
                _ => receipts.push((StatementKind::Delivered, soon)),
            }
        }
        let over = match outcome.class {
            OutcomeClass::Unknown => timeout,
            _ => way + Span::from_millis(self.dice.between(20, 600)),
        };
        Handed { seen: shown, taken: shown || known, outcome, after: over, receipts }
    }

    /// What the providers did to us that they never must.
    pub(super) fn strikes(&self, trace: &Trace, found: &mut Vec<Found>) {
        for name in self.channels.keys() {
            let Some(service) = self.here.of(name) else { continue };
            for (strike, invariant) in [
                (Strike::Muted, "no robot is muted"),
                (Strike::TooFast, "no provider finds us too fast"),
                (Strike::OverCap, "no number is over its cap"),
                (Strike::Dropped, "nothing is dropped without a word"),
            ] {
                let Some((at, _)) = service.strikes.iter().find(|(_, known)| *known == strike) else {
                    continue;
                };
                let words = format!("{name}: {strike:?}, {} times, first at {at}", service.struck(strike));
                let event = trace.events.partition_point(|event| event.at < *at).saturating_sub(1);
                found.push(Found { invariant, event, words });
            }
        }
    }
}

/// How a busy day is.
pub(super) fn profile(dice: &mut Dice) -> Profile {
    Profile {
        tickets: *dice.pick(&[120, 240]).unwrap_or(&240),
        people: 240,
        storms: true,
        storm: *dice.pick(&[40, 80]).unwrap_or(&40),
        weather: *dice.pick(&[0, 0, 3600]).unwrap_or(&0),
        deaths: 0,
        downtimes: false,
        jumps: false,
        reloads: false,
        blindness: false,
        silences: false,
        rushes: *dice.pick(&[1800, 3600]).unwrap_or(&3600),
    }
}

/// A desk whose people are reached as such people are: by the application or the robot of their company, and by phone.
pub(super) fn land(dice: &mut Dice, cards: BTreeMap<Arc<str>, ChannelCard>) -> Land {
    let mut land = Land::new(dice);
    land.channels = cards;
    land.config.base_url = Some("https://desk.example".to_owned());
    land.config.budget = Default::default();
    let groups = ["dingtalk_robot", "wecom_robot", "feishu_robot", "telegram", "slack"];
    // Most of a team is in one group.
    let group = *dice.pick(&groups).unwrap_or(&"dingtalk_robot");
    for (nth, (id, person)) in land.people.iter_mut().enumerate() {
        let own = *dice.pick(&["dingtalk_app", "wecom_app", "feishu_app"]).unwrap_or(&"wecom_app");
        let sms = *dice.pick(&["aliyun_sms", "tencent_sms", "huawei_sms"]).unwrap_or(&"aliyun_sms");
        let voice = *dice.pick(&["aliyun_voice", "twilio_voice"]).unwrap_or(&"aliyun_voice");
        let ways = match (id.as_str(), dice.below(10)) {
            ("zhan", _) => vec![sms, voice],
            ("ku" | "yun", _) => vec![own, sms],
            (_, 0..=4) => vec![group, sms, voice],
            (_, 5) => vec![*dice.pick(&groups).unwrap_or(&group), sms, voice],
            _ => vec![own, sms, voice],
        };
        let contact = |way: &&str| ContactConfig {
            channel: (*way).to_owned(),
            address: kind(way).map(|kind| kind.address(nth)).unwrap_or_default(),
        };
        person.contact = ways.iter().map(contact).collect();
    }
    land
}

/// A notice of the most urgent kind that waits to be told.
struct Waiting {
    incident: Id,
    level: u8,
    audience: Vec<PersonId>,
    since: Instant,
    /// Where in the trace it was planned.
    at: usize,
}

/// Every incident of the most urgent kind is with some provider within 22 s of each level that it reaches, unless nobody
/// needs it any more by then. Who was told of something urgent in the last minute and is at the limit of their lanes gets
/// the next with the next message (§8.5): that is no breach, and is counted. Answers how often it was so.
pub(super) fn urgent(trace: &Trace, found: &mut Vec<Found>) -> usize {
    let mut waiting: BTreeMap<Id, Waiting> = BTreeMap::new();
    let mut of: BTreeMap<Id, (Id, u8)> = BTreeMap::new();
    let mut serves: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    let mut told: BTreeMap<PersonId, Instant> = BTreeMap::new();
    let mut gathered = 0;
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                for message in commit.messages.iter().filter_map(|change| change.after.as_ref()) {
                    serves.insert(message.id, message.notices.clone());
                }
                for change in &commit.notices {
                    let Some(notice) = &change.after else { continue };
                    of.insert(notice.id, (notice.incident, notice.level));
                    let is =
                        |notice: &Notice| notice.state == NoticeState::Open && notice.priority == Class::P0;
                    if !is(notice) {
                        waiting.remove(&notice.id);
                    } else if !change.before.as_ref().is_some_and(|before| is(before)) {
                        let (incident, level) = (notice.incident, notice.level);
                        let audience = notice.audience.clone();
                        waiting
                            .insert(notice.id, Waiting { incident, level, audience, since: event.at, at: n });
                    }
                }
            }
            What::Sent { claim, taken: true, .. } => {
                let notices = serves.get(&claim.message).into_iter().flatten();
                let said: Vec<(Id, u8)> = notices.filter_map(|notice| of.get(notice).copied()).collect();
                waiting.retain(|_, w| {
                    !said.iter().any(|(incident, level)| *incident == w.incident && *level >= w.level)
                });
                if claim.priority <= Class::P1 {
                    told.insert(claim.to.person.clone(), event.at);
                }
            }
            _ => {}
        }
        waiting.retain(|notice, w| {
            if event.at.since(w.since) <= URGENT_WITHIN {
                return true;
            }
            let lately =
                |person: &PersonId| told.get(person).is_some_and(|at| event.at.since(*at) <= Span::MINUTE);
            if w.audience.iter().any(lately) {
                gathered += 1;
            } else {
                let words = format!("notice {} is planned, and 22 s later no channel has it", notice.short());
                found.push(Found { invariant: "P0 is out in 22 s", event: w.at, words });
            }
            false
        });
    }
    gathered
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::sim::{World, run_busy};
    use crate::store::MemoryStore;

    /// Its busiest hour: days of ten are `shiftbell sim --busy`.
    const SHORT: Span = Span::from_minutes(60);

    /// The same of a hundred, which takes minutes where nothing is optimised; `shiftbell sim --busy --seeds 100` is whole days.
    #[test]
    #[ignore = "takes minutes"]
    fn no_robot_is_muted_no_number_over_its_cap_and_all_that_is_urgent_is_out_in_time_on_100_days() {
        hold(100);
    }

    #[test]
    fn no_robot_is_muted_no_number_over_its_cap_and_all_that_is_urgent_is_out_in_time() {
        hold(4);
    }

    /// Runs so many days.
    #[track_caller]
    fn hold(seeds: u64) {
        let (next, failed) = (AtomicU64::new(1), Mutex::new(Vec::new()));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed > seeds {
                            return;
                        }
                        let run = run_busy(seed, SHORT).unwrap();
                        if run.failed() {
                            failed.lock().unwrap().push((seed, run.story()));
                        }
                    }
                });
            }
        });
        let mut failed = failed.into_inner().unwrap();
        failed.sort();
        let told: Vec<String> = failed
            .iter()
            .map(|(seed, story)| {
                format!("shiftbell sim --busy --from {seed} --seeds 1 --minutes 60\n{story}")
            })
            .collect();
        assert!(failed.is_empty(), "{} of {seeds} seeds failed:\n{}", failed.len(), told.join("\n"));
    }

    fn violated(
        length: Span,
        mend: impl Fn(&mut Land) + Copy,
        spoil: impl Fn(&mut World),
    ) -> BTreeSet<&'static str> {
        let mut all = BTreeSet::new();
        for seed in 1..=3 {
            let mut world = World::busy(seed, length, Arc::new(MemoryStore::new()), mend).unwrap();
            spoil(&mut world);
            world.run(length);
            all.extend(world.found.iter().map(|found| found.invariant));
        }
        all
    }

    /// What is sent without regard to any limit is punished, and that is seen.
    #[test]
    fn without_budgets_providers_strike() {
        let none = |land: &mut Land| {
            let budget = &mut land.config.budget;
            for rates in [&mut budget.sms, &mut budget.voice, &mut budget.chat_robot, &mut budget.chat_app] {
                rates.clear();
            }
            for card in land.channels.values_mut() {
                card.account_caps.clear();
                card.lane_caps.clear();
            }
            land.config.group.most = 1;
            land.config.storm.count = 0;
            // Everybody in one group.
            let chats = ["_robot", "_app", "telegram", "slack"];
            for contact in land.people.values_mut().flat_map(|person| &mut person.contact) {
                if chats.iter().any(|chat| contact.channel.contains(chat)) {
                    contact.channel = "dingtalk_robot".to_owned();
                }
            }
        };
        let found = violated(Span::from_minutes(60), none, |_| {});
        for invariant in ["no robot is muted", "no number is over its cap"] {
            assert!(found.contains(invariant), "{invariant}: {found:?}");
        }
    }

    /// With every channel deaf nothing urgent is out, and that is seen.
    #[test]
    fn what_no_channel_takes_is_late() {
        let deaf = |world: &mut World| {
            for name in CHANNELS {
                world.phones.as_ref().unwrap().trouble(name, Trouble::Deaf);
            }
        };
        let found = violated(Span::from_minutes(60), |_| {}, deaf);
        assert!(found.contains("P0 is out in 22 s"), "{found:?}");
    }
}
