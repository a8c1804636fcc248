//! What the system notices of itself becomes signals of the desk: `system.disk`, `system.clock`, `config.rejected`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::alerting::{Edge, Facts, Signal};
use crate::core::engine::Remark;
use crate::core::model::Subject;
use crate::core::time::Instant;
use crate::store::StoreHealth;

/// The troubles that are open, each with the instant it began: its generation.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    open: BTreeMap<&'static str, Instant>,
}

impl Trouble {
    /// Whether this one is open.
    pub fn is_open(&self, family: &str) -> bool {
        self.open.contains_key(family)
    }

    /// Forgets a trouble without a word: the desk that knew of it is gone.
    pub fn forget(&mut self, family: &'static str) {
        self.open.remove(family);
    }

    /// The trouble is there, with these words, or is not: the signal that follows, if any does.
    pub fn set(&mut self, family: &'static str, text: Option<&str>, now: Instant) -> Option<Signal> {
        match (text, self.open.get(family).copied()) {
            (Some(_), Some(_)) | (None, None) => None,
            (Some(text), None) => {
                self.open.insert(family, now);
                Some(signal(family, now, Edge::Firing, Some(text), now))
            }
            (None, Some(began)) => {
                self.open.remove(family);
                Some(signal(family, began, Edge::Clear, None, now))
            }
        }
    }
}

fn signal(family: &str, began: Instant, edge: Edge, text: Option<&str>, now: Instant) -> Signal {
    let subject = Subject { kind: "system".into(), source: "shiftbell".into(), id: family.into() };
    let generation: Arc<str> = format!("since:{}", began.as_millis()).into();
    let mut facts = Facts { since: Some(began), ..Facts::default() };
    facts.texts.extend(text.map(|text| ("what".into(), text.to_owned())));
    Signal {
        family: family.into(),
        rule: family.into(),
        subject,
        generation,
        cycle: None,
        edge,
        at: now,
        facts,
    }
}

/// A remark of the engine as trouble of the configuration, where the desk does not tell it itself. The engine says each
/// once.
pub fn of_remark(remark: &Remark, now: Instant) -> Option<Signal> {
    let Remark::CalendarCoverage { calendar, year } = remark else { return None };
    let what = format!("calendar:{calendar}:{year}");
    let text =
        format!("日历 {calendar} 的节假日没有 {year} 年 / calendar {calendar} has no holidays for {year}");
    let mut signal = signal("system.config", now, Edge::Firing, Some(&text), now);
    signal.subject.id = what.clone().into();
    signal.generation = what.into();
    Some(signal)
}

const GIB: u64 = 1 << 30;

/// Why there is too little room where the store is (§16.4), if there is; `already` makes the line a little higher, so that
/// it does not flicker.
pub fn low_disk(health: &StoreHealth, already: bool) -> Option<String> {
    let free = health.free_bytes?;
    let total = health.total_bytes.unwrap_or(u64::MAX).max(1);
    let margin = if already { 12 } else { 10 };
    // On a large disk ten percent are plenty; what counts is that both lines are crossed from the absolute side.
    let low = free < GIB * margin / 10 || (free < total / 100 * margin && free < 10 * GIB);
    low.then(|| {
        let mib = free >> 20;
        let percent = u128::from(free) * 100 / u128::from(total);
        format!("磁盘剩余 {mib} MiB({percent} %) / {mib} MiB of disk left ({percent} %)")
    })
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
    fn the_disk_is_low_in_bytes_or_in_percent() {
        let health = |free, total| StoreHealth {
            free_bytes: Some(free),
            total_bytes: Some(total),
            ..StoreHealth::default()
        };
        for (free, total, already, want) in [
            (GIB - 1, 20 * GIB, false, true),
            (2 * GIB, 10 * GIB, false, false),
            (2 * GIB, 40 * GIB, false, true),
            (50 * GIB, 1000 * GIB, false, false),
            (GIB + 1, 5 * GIB, false, false),
            (GIB + 1, 5 * GIB, true, true),
        ] {
            assert_eq!(low_disk(&health(free, total), already).is_some(), want, "{free} of {total}");
        }
        assert_eq!(low_disk(&StoreHealth::default(), false), None);
    }
}
