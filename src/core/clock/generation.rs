//! What tells one occurrence of trouble from the next on the same case (`delivery_semantics` §4): the generation of a
//! cycle. It is anchored on what ended before the cycle began, not on what began it: a late-arriving older question
//! that takes the place of the start entry is the same occurrence.

use crate::core::clock::config::Pick;
use crate::core::clock::due::Cycle;
use crate::core::clock::history::ClockHistory;
use crate::core::clock::policy::Roles;
use crate::core::model::{Content, Entry, Timeline};
use crate::core::time::Instant;

impl ClockHistory {
    /// The generation of a cycle: `after:` and the platform's id (or the instant) of the last stop before it, or
    /// `after:start`. Where every start is an occurrence of its own, it is the start itself. `previous` is the cycle of
    /// the same clock before it.
    pub fn generation(
        &self,
        timeline: &Timeline,
        cycle: &Cycle<'_>,
        previous: Option<&Cycle<'_>>,
        now: Instant,
    ) -> String {
        let clock = self.versions.get(self.version_at(cycle.start)).and_then(|v| v.clock.as_deref());
        let start = timeline.all_entries().get(cycle.start_entry);
        let name = |entry: &Entry| match timeline.reference(entry) {
            Some(reference) => reference.to_owned(),
            None => entry.at.as_millis().to_string(),
        };
        let Some(clock) = clock.or_else(|| self.newest().map(|c| &**c)) else {
            return "after:start".to_owned();
        };
        let roles = |entry: &Entry| {
            let found = clock.marks().filter(|(mark, _)| *mark == entry.name);
            found.fold(Roles::default(), |all, (_, roles)| Roles(all.0 | roles.0))
        };
        let rule = clock.rule_at(timeline, cycle.start, now);
        if let Some(start) = start {
            if rule.is_some_and(|r| r.pick == Pick::Last) && roles(start).has(Roles::START) {
                return format!(
                    "at:{}+{}",
                    start.at.as_millis(),
                    timeline.reference(start).unwrap_or_default()
                );
            }
            // Begun by a reset, a reopening, or the stop of the one before.
            if timeline.content(start) == Content::Mark && !roles(start).has(Roles::START) {
                return format!("after:{}", name(start));
            }
        }
        let is_stop = |entry: &&Entry| {
            let role = roles(entry);
            entry.at < cycle.start
                && timeline.content(entry) == Content::Mark
                && (role.has(Roles::STOP) || role.has(Roles::RESET) || role.has(Roles::CANCEL))
        };
        let stop = timeline.entries().rev().find(is_stop);
        let ended = previous.and_then(|p| p.end).filter(|end| *end <= cycle.start);
        match (stop, ended) {
            // By an attribute, later than any mark.
            (stop, Some(end)) if stop.is_none_or(|stop| stop.at < end) => {
                format!("after:{}", end.as_millis())
            }
            (Some(stop), _) => format!("after:{}", name(stop)),
            (None, _) => "after:start".to_owned(),
        }
    }
}
