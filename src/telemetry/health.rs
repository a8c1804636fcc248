//! Whether the program is alive, and whether it can do its work (`delivery_semantics` §18, I46). Workers write what they
//! know, the pages of the console read it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::core::model::ChannelClass;

/// Alive is: the decision loop turned in the last so long.
pub const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// What is known of the program's health. Nothing of it is true before a worker has said so.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// When the decision loop last turned, on the clock that no one sets.
    pub last_turn: Option<Instant>,
    /// The store takes writes (§16.4).
    pub store_writable: bool,
    /// Boot step 5 is done: attempts of older epochs are uncertain (§16.1).
    pub booted: bool,
    /// By class that the configuration asks for: whether at least one channel of it is healthy.
    pub channels: BTreeMap<ChannelClass, bool>,
    /// The desk is this node's to decide for.
    pub desk_owned: bool,
    /// The program is stopping: no new work.
    pub stopping: bool,
    /// What the local alarm surfaces show (§7.4), newest last; bounded by who writes it.
    pub alarms: Vec<Arc<str>>,
}

/// The writing end. Keep it, and say what changes with `send_modify`.
pub type HealthSender = watch::Sender<Health>;

/// One reason not to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unready {
    /// The decision loop does not turn.
    NotTurning,
    /// The store refuses writes.
    Store,
    /// Boot is not over.
    Booting,
    /// No channel of this class works.
    Channel(ChannelClass),
    /// No channel at all is configured: nobody could be told.
    NoChannel,
    /// The desk is another node's.
    NotOwned,
    /// The program is stopping.
    Stopping,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unready::NotTurning => f.write_str("the decision loop has not turned in the last 10 s"),
            Unready::Store => f.write_str("the store takes no writes"),
            Unready::Booting => f.write_str("the start is not over"),
            Unready::Channel(class) => write!(f, "no {} channel is healthy", class.word()),
            Unready::NoChannel => f.write_str("no channel is configured"),
            Unready::NotOwned => f.write_str("the desk is not owned here"),
            Unready::Stopping => f.write_str("the program is stopping"),
        }
    }
}

impl Health {
    /// Health of which nothing is known yet, and where to read it.
    pub fn channel() -> (HealthSender, watch::Receiver<Health>) {
        watch::channel(Health::default())
    }

    /// Whether the decision loop turned in the last [`ALIVE_WITHIN`].
    pub fn is_alive(&self, now: Instant) -> bool {
        self.last_turn.is_some_and(|turn| now.saturating_duration_since(turn) <= ALIVE_WITHIN)
    }

    /// Every reason not to be ready; none of them is ready.
    pub fn unready(&self, now: Instant) -> Vec<Unready> {
        let mut reasons = Vec::new();
        let mut note = |is: bool, reason| {
            if is {
                reasons.push(reason);
            }
        };
        note(self.stopping, Unready::Stopping);
        note(!self.is_alive(now), Unready::NotTurning);
        note(!self.booted, Unready::Booting);
        note(!self.store_writable, Unready::Store);
        note(!self.desk_owned, Unready::NotOwned);
        note(self.channels.is_empty(), Unready::NoChannel);
        for (class, healthy) in &self.channels {
            note(!healthy, Unready::Channel(*class));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_is_a_turn_not_a_process() {
        let now = Instant::now();
        let at = |secs| {
            Health { last_turn: Some(now), ..Health::default() }.is_alive(now + Duration::from_secs(secs))
        };
        assert!(!Health::default().is_alive(now), "before the first turn");
        assert!(at(0) && at(10) && !at(11));
    }

    #[test]
    fn ready_needs_everything() {
        let now = Instant::now();
        let well = Health {
            last_turn: Some(now),
            store_writable: true,
            booted: true,
            channels: [(ChannelClass::Email, true), (ChannelClass::Sms, true)].into(),
            desk_owned: true,
            ..Health::default()
        };
        assert_eq!(well.unready(now), []);
        let spoilt = |spoil: &dyn Fn(&mut Health)| {
            let mut health = well.clone();
            spoil(&mut health);
            health.unready(now)
        };
        assert_eq!(spoilt(&|h| h.store_writable = false), [Unready::Store]);
        assert_eq!(spoilt(&|h| h.booted = false), [Unready::Booting]);
        assert_eq!(spoilt(&|h| h.desk_owned = false), [Unready::NotOwned]);
        assert_eq!(spoilt(&|h| h.stopping = true), [Unready::Stopping]);
        assert_eq!(spoilt(&|h| h.last_turn = None), [Unready::NotTurning]);
        assert_eq!(spoilt(&|h| h.channels.clear()), [Unready::NoChannel]);
        let sms_down: &dyn Fn(&mut Health) = &|h| h.channels.extend([(ChannelClass::Sms, false)]);
        assert_eq!(spoilt(sms_down), [Unready::Channel(ChannelClass::Sms)]);
        assert_eq!(Health::default().unready(now).len(), 5);
    }
}
