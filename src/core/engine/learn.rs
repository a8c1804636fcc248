//! What is learned of parcels, in the engine: before a case is judged, what is expected of it is said on its timeline.

use crate::core::engine::Engine;
use crate::core::engine::case::Case;
use crate::core::engine::changes::{CaseNumber, Changes, Refused, RetractionReason};
use crate::core::engine::judge::{News, Step, outrank};
use crate::core::parcel::lateness::LearnedRow;
use crate::core::parcel::learned::{Before, Learned, LearnedSetup, Said};
use crate::core::time::{Instant, Span};

impl Engine {
    /// Learns of parcels from now on, or goes by another setup.
    pub fn learn(&mut self, setup: LearnedSetup) {
        match &mut self.learned {
            Some(learned) if *learned.setup() == setup => {}
            Some(learned) => learned.set_up(setup, &mut self.symbols),
            None => self.learned = Some(Box::new(Learned::new(setup, &mut self.symbols))),
        }
    }

    /// What is learned of parcels.
    pub fn learned(&self) -> Option<&Learned> {
        self.learned.as_deref()
    }

    /// From now on [`Engine::learned_rows`] is asked after every step.
    pub fn keep_learned(&mut self) {
        if let Some(learned) = &mut self.learned {
            learned.keep();
        }
    }

    /// The rows of what was learned, to be kept in the commit of this step.
    pub fn learned_rows(&mut self) -> Vec<LearnedRow> {
        self.learned.as_mut().map_or_else(Vec::new, |learned| learned.rows())
    }

    /// Takes one of them back. After the last one: [`Engine::learned_restored`].
    ///
    /// # Errors
    /// It cannot be read: what it held is learned anew.
    pub fn restore_learned(&mut self, id: &str, body: &[u8]) -> Result<(), Refused> {
        let Some(learned) = &mut self.learned else { return Ok(()) };
        learned.restore(id, body).map_err(|why| Refused::Unreadable(format!("learned {id}: {why}")))
    }

    /// All rows are there.
    ///
    /// # Errors
    /// They do not make a model, which is learned anew.
    pub fn learned_restored(&mut self) -> Result<(), Refused> {
        self.learned.as_mut().map_or(Ok(()), |learned| learned.restored().map_err(Refused::Unreadable))
    }

    /// The table of names is another one.
    pub(super) fn name_learned(&mut self) {
        if let Some(learned) = &mut self.learned {
            let setup = learned.setup().clone();
            learned.set_up(setup, &mut self.symbols);
        }
    }

    /// Learns the days that were over before `now`. A day that is followed by another one is gone through whole.
    pub(super) fn learn_before(&mut self, now: Instant, changes: &mut Changes) {
        let before = now - Span::MILLISECOND;
        while let Some(learned) = &mut self.learned
            && learned.lateness().next_change().is_some_and(|next| next <= before)
        {
            if !learned.learn_day(before) {
                self.look_at_slice(before, changes);
            }
        }
    }

    /// Does what is to be done by `at`, once a step of what may take several. Answers whether there was anything.
    pub(super) fn learn_by(&mut self, at: Instant, has_looked: &mut bool, changes: &mut Changes) -> bool {
        let Some(learned) = &mut self.learned else { return false };
        if learned.is_sweeping() {
            if !std::mem::replace(has_looked, true) {
                self.look_at_slice(self.now, changes);
                return true;
            }
            return false;
        }
        learned.learn_day(at)
    }

    fn look_at_slice(&mut self, until: Instant, changes: &mut Changes) {
        let Some(learned) = &mut self.learned else { return };
        for number in learned.slice(self.cases.numbers()) {
            // Where every promise is over there is nobody to tell.
            if !self.cases.get(number).is_some_and(|case| case.is_open) {
                continue;
            }
            let Some(mut case) = self.take(number) else { return };
            let Some(learned) = &self.learned else { return };
            let (history, kind, wake) = (&self.history, case.kind, case.wake);
            let watched = |name| history.is_watched(kind, name);
            let said = learned.look_at(kind, &mut case.timeline, &watched, self.now);
            let Some(changed_from) = said.from else {
                self.at_work = Some(case);
                continue;
            };
            changes.cases.push(CaseNumber(number));
            let first = changes.crossings.len();
            let is_restored = self.restored_at.is_some_and(|at| at <= wake);
            let news = if is_restored { News::Any } else { News::Of(&said.names) };
            let reason = RetractionReason::LateEntry;
            let judged = Step { news, now: self.now, until, changed_from, reason };
            self.judge(&mut case, judged, changes);
            self.keep(number, case);
            outrank(&mut changes.crossings[first..]);
        }
    }

    /// A case has changed: what follows for its parcel.
    pub(super) fn learn_of(&mut self, case: &mut Case, known: Option<&Before>, now: Instant) -> Said {
        let Some((learned, known)) = self.learned.as_mut().zip(known) else { return Said::default() };
        let (history, kind) = (&self.history, case.kind);
        learned.changed(kind, known, &mut case.timeline, &|name| history.is_watched(kind, name), now)
    }

    /// A case wakes: what was expected by then is looked at again.
    pub(super) fn learn_at(&mut self, case: &mut Case, at: Instant) -> Said {
        let Some(learned) = &mut self.learned else { return Said::default() };
        let (history, kind) = (&self.history, case.kind);
        learned.wakes(kind, &mut case.timeline, &|name| history.is_watched(kind, name), at)
    }
}
