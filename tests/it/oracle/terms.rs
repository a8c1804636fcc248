//! The terms of a story: one clock, its calendars, and how a reload changes them.

use std::fmt::Write;
use std::ops::Range;
use std::sync::LazyLock;

use shiftbell::core::clock::ReloadMode;

use super::ticks::{DAY, MINUTE, Tick};

/// A calendar by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Around the clock; built in, and never edited.
    Always,
    Daily,
    Office,
    Night,
}

/// What a reload does to every calendar that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    None,
    Longer,
    Shorter,
    /// Nothing starts on Tuesday 2026-03-03.
    Closed,
}

/// The hours that count: C(u) at one instant. Two calendars that differ are never open at the same times, so that
/// equal means that nothing was retargeted (P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    named: Named,
    edit: Edit,
}

const NAMED: [Named; 4] = [Named::Always, Named::Daily, Named::Office, Named::Night];
const EDITS: [Edit; 4] = [Edit::None, Edit::Longer, Edit::Shorter, Edit::Closed];

/// The minutes of which it is written down whether they are open, since they are asked for so often.
const WRITTEN: Range<i64> = -5 * DAY..15 * DAY;

/// The day that [`Edit::Closed`] closes.
const CLOSED: i64 = 1;

impl Named {
    pub fn name(self) -> &'static str {
        match self {
            Named::Always => "always",
            Named::Daily => "daily",
            Named::Office => "office",
            Named::Night => "night",
        }
    }
}

impl Hours {
    pub fn new(named: Named, edit: Edit) -> Hours {
        Hours { named, edit: if named == Named::Always { Edit::None } else { edit } }
    }

    /// In minutes of the day on which they start (C2): what begins at 20:00 and ends at 26:00 ends at 02:00.
    fn intervals(self) -> &'static [(i64, i64)] {
        const H: i64 = 60;
        match (self.named, self.edit) {
            (Named::Always, _) => &[(0, 24 * H)],
            (Named::Daily, Edit::Longer) => &[(8 * H, 22 * H)],
            (Named::Daily, Edit::Shorter) => &[(9 * H + 30, 19 * H)],
            (Named::Daily, _) => &[(9 * H, 21 * H)],
            (Named::Office, Edit::Longer) => &[(9 * H, 18 * H)],
            (Named::Office, Edit::Shorter) => &[(9 * H, 12 * H), (14 * H, 17 * H + 45)],
            (Named::Office, _) => &[(9 * H, 12 * H), (13 * H, 18 * H)],
            (Named::Night, Edit::Longer) => &[(19 * H, 27 * H)],
            (Named::Night, Edit::Shorter) => &[(21 * H, 25 * H)],
            (Named::Night, _) => &[(20 * H, 26 * H)],
        }
    }

    /// Whether `[t, t + 1)` is open.
    pub fn open(self, t: Tick) -> bool {
        static MINUTES: LazyLock<Vec<Vec<bool>>> = LazyLock::new(|| {
            let all = NAMED.into_iter().flat_map(|named| EDITS.map(|edit| Hours { named, edit }));
            all.map(|hours| WRITTEN.map(|minute| hours.is_open_at(minute)).collect()).collect()
        });
        let minute = t.div_euclid(MINUTE);
        match usize::try_from(minute - WRITTEN.start) {
            Ok(place) if minute < WRITTEN.end => {
                MINUTES[self.named as usize * EDITS.len() + self.edit as usize][place]
            }
            _ => self.is_open_at(minute),
        }
    }

    fn is_open_at(self, minutes: i64) -> bool {
        let (day, minute) = (minutes.div_euclid(DAY), minutes.rem_euclid(DAY));
        let starts_on = |day: i64| {
            let closed = self.edit == Edit::Closed && day == CLOSED;
            !closed && (self.named != Named::Office || day.rem_euclid(7) < 5)
        };
        self.intervals().iter().any(|(from, to)| {
            let within = |minute: i64| (*from..*to).contains(&minute);
            (starts_on(day) && within(minute)) || (starts_on(day - 1) && within(minute + DAY))
        })
    }

    /// A2.
    pub fn elapsed(self, from: Tick, to: Tick) -> Tick {
        (from..to).filter(|t| self.open(*t)).count() as Tick
    }

    /// A3 and A4.
    pub fn add(self, from: Tick, mut length: Tick) -> Tick {
        let mut t = from;
        while length > 0 {
            length -= Tick::from(self.open(t));
            t += 1;
        }
        t
    }

    /// A5.
    pub fn back(self, from: Tick, mut length: Tick) -> Tick {
        let mut t = from;
        while length > 0 {
            t -= 1;
            length -= Tick::from(self.open(t));
        }
        t
    }

    /// A6.
    pub fn next_open(self, t: Tick) -> Tick {
        (t..).find(|t| self.open(*t)).expect("it opens")
    }

    /// K22: the first instant after `start` at this minute of the day up to which the calendar works.
    pub fn by(self, start: Tick, minute: i64) -> Tick {
        let first = start.div_euclid(DAY * MINUTE);
        let named = (first..).map(|day| (day * DAY + minute) * MINUTE);
        named.filter(|t| *t > start).find(|t| self.open(t - 1)).expect("it comes")
    }

    fn toml(named: Named, edit: Edit) -> String {
        let hours = Hours::new(named, edit);
        let time = |minute: &i64| format!("\"{:02}:{:02}\"", minute % DAY / 60, minute % 60);
        let list: Vec<String> =
            hours.intervals().iter().map(|(from, to)| format!("[{}, {}]", time(from), time(to))).collect();
        let days = if named == Named::Office { "mon-fri" } else { "daily" };
        let closed = if edit == Edit::Closed { "overrides = { 2026-03-03 = [] }\n" } else { "" };
        format!(
            "[calendars.{}]\ntz = \"Asia/Shanghai\"\nweekly = {{ {days} = [{}] }}\n{closed}",
            named.name(),
            list.join(", ")
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    First,
    Oldest,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    Continue,
    NewCycle,
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Any,
    /// `priority` is not `low`.
    NotLow,
    /// Two entries: shop a, and shop b with twice the target.
    Shops,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Minutes.
    Target(i64),
    /// A minute of the day; pauses extend it.
    By(i64, bool),
    /// The mark `answer_by`, or a target if that is earlier.
    Deadline(Option<i64>),
    /// So many days after the start, and again after every stop.
    Every(i64),
}

/// What a version of the policy may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub promise: Promise,
    pub hours: Named,
    pub edit: Edit,
    /// `min_left` of the entry itself.
    pub least: Option<i64>,
    /// Overlay `urgent`: another target or time.
    pub urgent: Option<Promise>,
    /// Overlay `vip`: another calendar, and `min_left`.
    pub vip: Option<(Named, Option<i64>)>,
    pub rings: Vec<&'static str>,
}

/// What no reload changes.
#[derive(Clone, Debug)]
pub struct Spec {
    pub pick: Pick,
    pub reopen: Reopen,
    pub within: Option<i64>,
    pub reopen_target: Option<i64>,
    pub restart: bool,
    pub pause: bool,
    pub when: When,
    pub cancel_on_mismatch: bool,
    pub cancel_on_removal: bool,
    pub reset: bool,
    pub closed: bool,
    pub fin: bool,
    pub stop_when: bool,
    pub cancel_when: bool,
}

#[derive(Clone, Debug)]
pub struct Epoch {
    pub from: Tick,
    pub mode: ReloadMode,
    pub since: Option<Tick>,
    /// `None`: the clock is not there.
    pub version: Option<Version>,
}

/// The epochs of a policy that stays as it is.
pub fn first(version: Version) -> Vec<Epoch> {
    vec![Epoch { from: Tick::MIN, mode: ReloadMode::FromNow, since: None, version: Some(version) }]
}

fn promise_toml(promise: Promise, times: i64) -> String {
    match promise {
        Promise::Target(minutes) => format!("target = \"{}m\"\n", minutes * times),
        Promise::By(minute, extends) => {
            format!("by = \"{:02}:{:02}\"\nby_extends = {extends}\n", minute / 60, minute % 60)
        }
        Promise::Deadline(target) => {
            let target = target.map(|m| format!("target = \"{}m\"\n", m * times)).unwrap_or_default();
            format!("deadline = \"answer_by\"\n{target}")
        }
        Promise::Every(days) if days % 7 == 0 => format!("every = \"{} weeks\"\n", days / 7),
        Promise::Every(days) => format!("every = \"{days} days\"\n"),
    }
}

/// The policy as a person would write it.
pub fn toml(spec: &Spec, version: Option<&Version>) -> String {
    let mut text = String::new();
    text.push_str("[kinds.ticket]\n");
    if spec.fin {
        text.push_str("final = [\"closed\"]\n");
    }
    if spec.closed {
        text.push_str("closed = { status = [\"resolved\"] }\n");
    }
    let calendars = |edit: Edit| {
        [Named::Daily, Named::Office, Named::Night].map(|named| Hours::toml(named, edit)).concat()
    };
    let Some(version) = version else {
        let other = "[[clock]]\nname = \"other\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"1h\"\n";
        return format!("{text}{other}{}", calendars(Edit::None));
    };
    let entries: &[(&str, i64)] = match spec.when {
        When::Any => &[("", 1)],
        When::NotLow => &[("when = { priority = { not = \"low\" } }\n", 1)],
        When::Shops => &[("when = { shop = \"a\" }\n", 1), ("when = { shop = \"b\" }\n", 2)],
    };
    for (when, times) in entries {
        text.push_str("[[clock]]\nname = \"c\"\non = \"ticket\"\n");
        text.push_str(when);
        text.push_str("start = \"customer_message\"\nstop = \"agent_reply\"\ncancel = \"merged\"\n");
        text.push_str(match spec.pick {
            Pick::First => "pick = \"first\"\n",
            Pick::Oldest => "pick = \"oldest_open\"\n",
            Pick::Last => "pick = \"last\"\n",
        });
        text.push_str(match spec.reopen {
            Reopen::Continue => "reopen = \"continue\"\n",
            Reopen::NewCycle => "reopen = \"new_cycle\"\n",
            Reopen::Ignore => "reopen = \"ignore\"\n",
        });
        let mut put = |yes: bool, line: &str| {
            if yes {
                writeln!(text, "{line}").expect("a string");
            }
        };
        let minutes = |m: Option<i64>| m.unwrap_or(0);
        put(spec.within.is_some(), &format!("reopen_within = \"{}m\"", minutes(spec.within)));
        put(spec.reopen_target.is_some(), &format!("reopen_target = \"{}m\"", minutes(spec.reopen_target)));
        put(version.least.is_some(), &format!("min_left = \"{}m\"", minutes(version.least)));
        put(spec.restart, "on_change = \"restart\"");
        put(spec.pause, "pause = { status = [\"waiting\"], category = \"x\" }");
        put(spec.cancel_on_mismatch, "on_mismatch = \"cancel\"");
        put(spec.cancel_on_removal, "on_removal = \"cancel\"");
        put(spec.reset, "reset = \"assigned\"");
        put(spec.stop_when, "stop_when = { status = \"resolved\" }");
        put(spec.cancel_when, "cancel_when = { category = \"spam\" }");
        put(true, &promise_toml(version.promise, *times));
        put(true, &format!("calendar = \"{}\"", version.hours.name()));
        put(true, &format!("ring = {:?}", version.rings));
    }
    if let Some(urgent) = version.urgent {
        let promise = match urgent {
            Promise::By(minute, _) => format!("by = \"{:02}:{:02}\"\n", minute / 60, minute % 60),
            other => promise_toml(other, 1),
        };
        write!(
            text,
            "[[overlay]]\nname = \"urgent\"\nclock = \"c\"\nwhen = {{ priority = \"urgent\" }}\n{promise}"
        )
        .expect("a string");
    }
    if let Some((hours, least)) = version.vip {
        let least = least.map(|m| format!("min_left = \"{m}m\"\n")).unwrap_or_default();
        write!(
            text,
            "[[overlay]]\nname = \"vip\"\nclock = \"c\"\nwhen = {{ vip = true }}\ncalendar = \"{}\"\n{least}",
            hours.name()
        )
        .expect("a string");
    }
    text + &calendars(version.edit)
}
