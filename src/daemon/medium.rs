//! What the owner of a desk makes of its store's health (`delivery_semantics` §16.1, §16.4): how much room is left, how
//! slow the medium is, whether rows were altered, whether the store is an older copy.

use tracing::{error, warn};

use crate::core::alerting::Strain;
use crate::core::engine::Desk;
use crate::core::time::{Instant, Span};
use crate::daemon::blueprint::{Panicked, guarded};
use crate::daemon::desk::{DeskOwner, Memory};
use crate::daemon::jobs::Hint;
use crate::daemon::notice::{self, Space};
use crate::fail::fail_point;

/// The disk is looked at so often.
const LOOK: Span = Span::from_secs(10);
/// A commit longer than this is slow (§16.4) …
const SLOW: Span = Span::from_secs(2);
/// … and the medium is, when all of them are for so long.
const SLOW_FOR: Span = Span::from_secs(30);

/// What the owner knows of its store.
#[derive(Debug, Default)]
pub(super) struct Medium {
    looked: Option<Span>,
    space: Space,
    altered: u64,
    /// Since when commits take long.
    slow_since: Option<Span>,
    /// The commit under way began then.
    commit_since: Option<Span>,
    pub(super) slow: bool,
    /// What a restore means waits for its commit.
    restoring: bool,
    /// A desk has come out of the store before.
    met: bool,
}

impl Medium {
    /// A commit begins.
    pub(super) fn begins(&mut self, elapsed: Span) {
        self.commit_since = Some(elapsed);
    }

    /// It is over; `took` when it was kept.
    pub(super) fn ended(&mut self, took: Option<Span>, elapsed: Span) {
        self.commit_since = None;
        match took {
            Some(took) if took > SLOW => {
                let began = Span::from_millis((elapsed.as_millis() - took.as_millis()).max(0));
                self.slow_since.get_or_insert(began);
            }
            Some(_) => self.slow_since = None,
            None => {}
        }
    }

    fn is_slow(&self, elapsed: Span) -> bool {
        let for_long = |since: Span| elapsed.as_millis() - since.as_millis() >= SLOW_FOR.as_millis();
        self.slow_since.is_some_and(for_long) || self.commit_since.is_some_and(for_long)
    }

    fn strain(&self) -> Strain {
        Strain { scarce: self.space == Space::Scarce, slow: self.slow }
    }
}

impl DeskOwner {
    /// A desk came out of the store: it is told what is known of that.
    pub(super) fn meet(
        &mut self,
        memory: &mut Memory,
        desk: &mut Desk,
        now: Instant,
    ) -> Result<(), Panicked> {
        desk.strain(memory.medium.strain());
        let mut signals = memory.troubles.resume(desk, now);
        if !std::mem::replace(&mut memory.medium.met, true) && !memory.business.is_suspect() {
            // A new process knows of no jump of the clock: if it is wrong still, that is noticed anew.
            signals.extend(memory.troubles.set("system.clock", None, now));
        }
        guarded(|| {
            signals.iter().for_each(|signal| desk.signal(signal, now));
            if let Some(backup) = self.store.restored() {
                error!(backup, "the store is a backup: what it shows as waiting may have left since");
                desk.restored(&backup);
                desk.signal(&notice::restored(&backup, now), now);
                memory.medium.restoring = true;
            }
        })
    }

    /// What a restore means is kept: it is not said again.
    pub(super) async fn met(&mut self, memory: &mut Memory) {
        if !memory.medium.restoring {
            return;
        }
        fail_point("restore_told");
        memory.medium.restoring = false;
        if let Err(e) = self.store.forget_restored().await {
            warn!(error = %e, "that the store was restored is said once more after the next start");
        }
    }

    /// Looks at the store, now and then.
    pub(super) fn look(
        &mut self,
        memory: &mut Memory,
        desk: &mut Desk,
        now: Instant,
        elapsed: Span,
    ) -> Result<(), Panicked> {
        let mut signals = Vec::new();
        let slow = memory.medium.is_slow(elapsed);
        if slow != memory.medium.slow {
            memory.medium.slow = slow;
            self.publish.writable(!slow);
            let text = slow.then_some(
                "存储写入超过 2 秒已持续 30 秒,P2/P3 消息推迟 / writes take more than 2 s for 30 s: P2 and P3 messages wait",
            );
            warn!(slow, "the medium under the store has changed its pace");
            signals.extend(memory.troubles.set("system.slow_disk", text, now));
            desk.strain(memory.medium.strain());
        }
        if memory.medium.looked.is_none_or(|at| elapsed.as_millis() - at.as_millis() >= LOOK.as_millis()) {
            memory.medium.looked = Some(elapsed);
            // What was said before a jump is no evidence for it.
            if !memory.business.is_suspect() {
                memory.set_at = self.time.set_at();
            }
            let health = self.store.health();
            self.publish.store(health);
            let lag = desk.next_wake().map_or(Span::ZERO, |at| now.since(at));
            self.publish.figures(desk, &self.blueprint.setup, lag);
            let space = Space::of(&health, memory.medium.space);
            let text = notice::space_left(&health);
            signals.extend(memory.troubles.set_as("system.disk", space.edge().map(|e| (e, &*text)), now));
            if space > memory.medium.space {
                warn!(
                    free = health.free_bytes,
                    "little room is left where the store is: what is old is dropped"
                );
                // A hint that finds no room is one too many.
                _ = self.tidy.try_send(if space == Space::Scarce { Hint::PruneMost } else { Hint::Prune });
            }
            memory.medium.space = space;
            desk.strain(memory.medium.strain());
            if health.altered_rows > memory.medium.altered {
                signals.push(notice::altered(health.altered_rows, now));
            }
            memory.medium.altered = health.altered_rows;
            signals.extend(memory.watcher.look(&self.blueprint.expected, &mut memory.troubles, now, elapsed));
        }
        guarded(|| signals.iter().for_each(|signal| desk.signal(signal, now)))
    }
}
