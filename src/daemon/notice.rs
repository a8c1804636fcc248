//! What the system notices of itself becomes signals of the desk: `system.disk`, `system.slow_disk`, `system.clock`,
//! `system.backup`, `system.restored`, `config.rejected`, `source.malformed`, …

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::alerting::{Edge, Facts, Signal};
use crate::core::engine::{Desk, Remark};
use crate::core::model::Subject;
use crate::core::time::Instant;
use crate::store::StoreHealth;

/// The troubles that a desk may have been told of, and that are told again after a restart only if they last.
const FAMILIES: [&str; 12] = [
    "config.rejected",
    "source.authorise",
    "source.blind",
    "source.malformed",
    "source.method",
    "source.skew",
    "system.backup",
    "system.claims",
    "system.clock",
    "system.code_guessing",
    "system.disk",
    "system.slow_disk",
];

/// What a trouble is: its family, and the source it is about, if it is not of the system as a whole.
type Name = (&'static str, Option<Arc<str>>);

/// A trouble that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    /// Since when: its generation.
    began: Instant,
    edge: Edge,
    text: String,
}

/// The troubles that are open.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    open: BTreeMap<Name, Open>,
}

impl Trouble {
    /// The sources that this trouble is open of.
    pub fn sources(&self, family: &'static str) -> Vec<Arc<str>> {
        self.open.keys().filter(|(f, _)| *f == family).filter_map(|(_, about)| about.clone()).collect()
    }

    /// The trouble is there, with these words, or is not: the signal that follows, if any does.
    pub fn set(&mut self, family: &'static str, text: Option<&str>, now: Instant) -> Option<Signal> {
        self.set_as(family, text.map(|text| (Edge::Firing, text)), now)
    }

    /// As [`Trouble::set`], for one that begins as a warning. What was grave is not told again as a warning.
    pub fn set_as(&mut self, family: &'static str, is: Option<(Edge, &str)>, now: Instant) -> Option<Signal> {
        self.put((family, None), is, now)
    }

    /// As [`Trouble::set`], of one source.
    pub fn set_of(
        &mut self,
        family: &'static str,
        source: &Arc<str>,
        text: Option<&str>,
        now: Instant,
    ) -> Option<Signal> {
        self.set_of_as(family, source, text.map(|text| (Edge::Firing, text)), now)
    }

    /// As [`Trouble::set_as`], of one source.
    pub fn set_of_as(
        &mut self,
        family: &'static str,
        source: &Arc<str>,
        is: Option<(Edge, &str)>,
        now: Instant,
    ) -> Option<Signal> {
        self.put((family, Some(source.clone())), is, now)
    }

    fn put(&mut self, name: Name, is: Option<(Edge, &str)>, now: Instant) -> Option<Signal> {
        let was = self.open.get(&name).cloned();
        let Some((edge, text)) = is else {
            let was = was?;
            self.open.remove(&name);
            return Some(signal(&name, was.began, Edge::Clear, None, now));
        };
        let began = match was {
            Some(was) if was.edge == edge || was.edge == Edge::Firing => return None,
            Some(was) => was.began,
            None => now,
        };
        let told = signal(&name, began, edge, Some(text), now);
        self.open.insert(name, Open { began, edge, text: text.to_owned() });
        Some(told)
    }

    /// A desk came out of the store: troubles that it knows of are taken over, so that their end is told; those that it
    /// does not know of are what this answers, to be told to it.
    pub fn resume(&mut self, desk: &Desk, now: Instant) -> Vec<Signal> {
        let mut known: BTreeMap<Name, Instant> = BTreeMap::new();
        for incident in desk.incidents().filter(|i| !i.is_resolved()) {
            let Some(family) = FAMILIES.into_iter().find(|f| **f == *incident.family) else { continue };
            let name = match &*incident.subject.kind {
                "source" => (family, Some(incident.subject.id.clone())),
                _ => (family, None),
            };
            let began = incident.generation.strip_prefix("since:").and_then(|ms| ms.parse().ok());
            let Some(began) = began.map(Instant::from_millis) else { continue };
            if subject(&name) != incident.subject {
                continue;
            }
            known.insert(name.clone(), began);
            let text = String::new();
            self.open.entry(name).or_insert(Open { began, edge: Edge::Prewarning, text });
        }
        let unknown = self.open.iter().filter(|(name, open)| known.get(*name) != Some(&open.began));
        unknown.map(|(name, open)| signal(name, open.began, open.edge, Some(&open.text), now)).collect()
    }
}

fn subject((family, source): &Name) -> Subject {
    match source {
        Some(source) => Subject { kind: "source".into(), source: source.clone(), id: source.clone() },
        None => Subject { kind: "system".into(), source: "shiftbell".into(), id: (*family).into() },
    }
}

fn signal(name: &Name, began: Instant, edge: Edge, text: Option<&str>, now: Instant) -> Signal {
    let generation: Arc<str> = format!("since:{}", began.as_millis()).into();
    let mut facts = Facts { since: Some(began), ..Facts::default() };
    facts.texts.extend(text.map(|text| ("what".into(), text.to_owned())));
    Signal {
        family: name.0.into(),
        rule: name.0.into(),
        subject: subject(name),
        generation,
        cycle: None,
        edge,
        at: now,
        facts,
    }
}

/// The store is a backup (§16.1): told until somebody resolves it.
pub fn restored(backup: &str, now: Instant) -> Signal {
    let text = format!(
        "存储损坏,已换上备份 {backup};其后的记录须由各来源重新提供,推送的系统请重推 / \
         the store was damaged, the backup {backup} took its place: sources must say again what came later, systems \
         that push must push again"
    );
    Signal {
        generation: backup.into(),
        ..signal(&("system.restored", None), now, Edge::Firing, Some(&text), now)
    }
}

/// Rows were found altered on the medium and left out (§16.4).
pub fn altered(rows: u64, now: Instant) -> Signal {
    let text = format!(
        "存储中有 {rows} 条记录损坏,已隔离 / {rows} rows of the store were altered on the medium and are left out: \
         their cases come again from their sources; run `shiftbell store check`"
    );
    signal(&("system.altered", None), now, Edge::Firing, Some(&text), now)
}

/// A remark of the engine as trouble of the configuration, where the desk does not tell it itself. The engine says each
/// once.
pub fn of_remark(remark: &Remark, now: Instant) -> Option<Signal> {
    let Remark::CalendarCoverage { calendar, year } = remark else { return None };
    let what = format!("calendar:{calendar}:{year}");
    let text =
        format!("日历 {calendar} 的节假日没有 {year} 年 / calendar {calendar} has no holidays for {year}");
    let mut signal = signal(&("system.config", None), now, Edge::Firing, Some(&text), now);
    signal.subject.id = what.clone().into();
    signal.generation = what.into();
    Some(signal)
}

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// How much room there is where the store lies (§16.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Enough.
    #[default]
    Enough,
    /// Less than 10 % or 1 GiB.
    Low,
    /// Less than 5 % or 256 MiB.
    Scarce,
}

impl Space {
    /// How much there is; `was` makes the way back a little longer, so that it does not flicker.
    pub fn of(health: &StoreHealth, was: Space) -> Space {
        let Some(free) = health.free_bytes else { return Space::Enough };
        let total = health.total_bytes.unwrap_or(0);
        let below = |percent: u64, bytes: u64, already: bool| {
            // A fifth more to be out of it again.
            let (of, per) = if already { (6, 5) } else { (1, 1) };
            let share = u128::from(total) * u128::from(percent * of) / (100 * u128::from(per));
            free < bytes * of / per || u128::from(free) < share
        };
        if below(5, 256 * MIB, was == Space::Scarce) {
            Space::Scarce
        } else if below(10, GIB, was >= Space::Low) {
            Space::Low
        } else {
            Space::Enough
        }
    }

    /// What is told of it: a warning, then more.
    pub fn edge(self) -> Option<Edge> {
        match self {
            Space::Enough => None,
            Space::Low => Some(Edge::Prewarning),
            Space::Scarce => Some(Edge::Firing),
        }
    }
}

/// How much room there is, in words.
pub fn space_left(health: &StoreHealth) -> String {
    let (free, total) = (health.free_bytes.unwrap_or(0), health.total_bytes.unwrap_or(0).max(1));
    let (mib, percent) = (free / MIB, u128::from(free) * 100 / u128::from(total));
    format!("磁盘剩余 {mib} MiB({percent} %) / {mib} MiB of disk left ({percent} %)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_and_once_that_it_is_over() {
        let (at, later) = (Instant::from_secs(1000), Instant::from_secs(2000));
        let mut trouble = Trouble::default();
        let first = trouble.set("system.disk", Some("full"), at).unwrap();
        assert_eq!((first.edge, &*first.generation), (Edge::Firing, "since:1000000"));
        assert_eq!(trouble.set("system.disk", Some("fuller"), later), None);
        let over = trouble.set("system.disk", None, later).unwrap();
        assert_eq!((over.edge, &*over.generation), (Edge::Clear, "since:1000000"));
        assert_eq!(trouble.set("system.disk", None, later), None);
        let again = trouble.set("system.disk", Some("full"), later).unwrap();
        assert_eq!(&*again.generation, "since:2000000", "a new occurrence");
    }

    #[test]
    fn a_warning_may_become_grave_and_not_the_other_way() {
        let (at, later) = (Instant::from_secs(1000), Instant::from_secs(2000));
        let mut trouble = Trouble::default();
        let first = trouble.set_as("system.disk", Some((Edge::Prewarning, "low")), at).unwrap();
        assert_eq!(first.edge, Edge::Prewarning);
        let graver = trouble.set_as("system.disk", Some((Edge::Firing, "scarce")), later).unwrap();
        assert_eq!((graver.edge, &*graver.generation), (Edge::Firing, "since:1000000"), "the same one");
        assert_eq!(trouble.set_as("system.disk", Some((Edge::Prewarning, "low")), later), None);
        assert_eq!(trouble.set("system.disk", None, later).unwrap().edge, Edge::Clear);
    }

    #[test]
    fn the_disk_is_low_in_bytes_or_in_percent() {
        use Space::{Enough, Low, Scarce};
        for (free, total, was, want) in [
            (20 * GIB, 100 * GIB, Enough, Enough),
            (10 * GIB, 100 * GIB, Enough, Enough),
            (10 * GIB - 1, 100 * GIB, Enough, Low),
            (11 * GIB, 100 * GIB, Low, Low),
            (12 * GIB, 100 * GIB, Low, Enough),
            (5 * GIB - 1, 100 * GIB, Low, Scarce),
            (5 * GIB, 100 * GIB, Scarce, Scarce),
            (6 * GIB, 100 * GIB, Scarce, Low),
            (GIB, 5 * GIB, Enough, Enough),
            (GIB - 1, 5 * GIB, Enough, Low),
            (256 * MIB, 2 * GIB, Enough, Low),
            (256 * MIB - 1, 2 * GIB, Enough, Scarce),
            (300 * MIB, 2 * GIB, Scarce, Scarce),
            (308 * MIB, 2 * GIB, Scarce, Low),
            (4 * MIB, 8 * MIB, Enough, Scarce),
        ] {
            let health =
                StoreHealth { free_bytes: Some(free), total_bytes: Some(total), ..StoreHealth::default() };
            assert_eq!(Space::of(&health, was), want, "{free} of {total}, was {was:?}");
        }
        assert_eq!(Space::of(&StoreHealth::default(), Enough), Enough);
    }
}
