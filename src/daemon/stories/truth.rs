//! What the running desk says of itself, and when it says it: health (I46), answers (S43), the time (S27).

use tokio::time::Instant as Tick;

use super::*;
use crate::core::model::Incident;
use crate::telemetry::Unready;

fn unready(rig: &Rig) -> Vec<Unready> {
    rig.health.borrow().unready(Tick::now())
}

impl Rig {
    /// What the channels answer from now on.
    fn answer(&self, class: OutcomeClass) {
        for fake in self.fakes.values() {
            *fake.outcome.lock().unwrap() = class;
        }
    }

    async fn case(&self, id: &str) -> Option<Incident> {
        self.open().await.into_iter().find(|i| &*i.subject.id == id)
    }
}

/// I46: readiness is false whenever what is P0 could not be told within its bound: no channel of a class works, the store
/// takes nothing, the loop does not turn, the desk is going away. And true again when that is over.
#[tokio::test]
async fn i46_ready_is_only_who_can_tell_the_urgent() {
    let mut rig = Rig::new().await;
    rig.pass(1).await;
    rig.until("it is ready", |rig| unready(rig).is_empty()).await;

    // Every channel fails: the breakers shut, and nobody can be told.
    rig.answer(OutcomeClass::Transient);
    for n in 0..8 {
        rig.observe(&format!("D{n}"), Span::from_minutes(40)).await;
        rig.pass(8).await;
    }
    rig.pass(120).await;
    rig.until("the channels are known to be down", |rig| {
        let down = |reason: &Unready| matches!(reason, Unready::Channel(_));
        unready(rig).iter().any(down)
    })
    .await;
    rig.answer(OutcomeClass::Accepted);
    rig.pass(180).await;
    rig.until("the channels are back", |rig| unready(rig).is_empty()).await;

    // The store refuses writes.
    rig.fault(Some(Fault::Refused));
    let before = rig.case("D0").await.expect("it is late").level;
    rig.pass(330).await;
    rig.until("the store is known to refuse", |rig| unready(rig).contains(&Unready::Store)).await;
    rig.fault(None);
    rig.pass(30).await;
    rig.until("the store takes writes", |rig| unready(rig).is_empty()).await;
    assert!(rig.case("D0").await.expect("still late").level >= before);

    // The loop stands: its last turn is too long ago.
    let later = Tick::now() + Duration::from_secs(11);
    assert!(rig.health.borrow().unready(later).contains(&Unready::NotTurning));

    // It goes away.
    let supervisor = std::mem::take(&mut rig.supervisor);
    supervisor.stop().await;
    assert!(unready(&rig).contains(&Unready::Stopping));
}

/// S43: the answer waits for a slow disk. In time or not, nobody is told that they have it before it is kept; the event
/// that the platform repeats changes nothing.
#[tokio::test]
async fn s43_a_callback_that_is_slower_than_the_platform_waits() {
    let mut rig = Rig::new().await;
    rig.observe("T1", Span::from_minutes(21)).await;
    rig.pass(10).await;
    let id = rig.case("T1").await.expect("it is late").id;
    let press = || Response {
        inbox: Id::from_bytes([43; 16]),
        person: "lin".into(),
        via: "chat".into(),
        act: Act::Ack { incidents: vec![id] },
        episode: None,
        from: None,
    };
    *rig.store.pace.lock().unwrap() = Some((rig.time.clone(), Span::from_millis(3_100)));
    let limit = Duration::from_millis(100);
    let first = rig.handle.ask(limit, |to| Ask::Respond(Box::new(press()), to)).await;
    assert!(matches!(first, Err(AskError::Slow)), "处理中, never 已认领: {first:?}");
    rig.pass(4).await;
    *rig.store.pace.lock().unwrap() = None;
    rig.pass(2).await;
    let has = rig.case("T1").await.expect("it is still open");
    assert_eq!(has.acked_by.as_deref(), Some("lin"), "it was kept all the same");
    let commits = rig.store.commits.load(Ordering::SeqCst);
    let again = rig.handle.ask(LONG, |to| Ask::Respond(Box::new(press()), to)).await.unwrap().unwrap();
    assert!(again.repeated);
    assert_eq!(rig.case("T1").await.expect("it is still open"), has, "nothing has changed");
    assert_eq!(rig.store.commits.load(Ordering::SeqCst), commits, "and nothing was written");
}

/// S27, T3: the clock was an hour ahead, was believed, and is set right. The desk goes on at the true time.
#[tokio::test]
async fn s27_after_a_long_step_back_the_desk_goes_on() {
    let mut rig = Rig::new().await;
    rig.pass(2).await;
    rig.time.jump(3_600_000);
    rig.pass(40).await;
    rig.until("it is back", |rig| rig.health.borrow().booted).await;
    rig.observe("T1", Span::from_minutes(21)).await;
    rig.pass(10).await;
    assert!(rig.case("T1").await.is_some());
    rig.time.jump(-3_600_000);
    rig.pass(40).await;
    rig.until("it is back", |rig| rig.health.borrow().booted).await;
    let truth = rig.time.read().wall;
    rig.observe("T2", Span::from_secs(20 * 60 - 20)).await;
    rig.pass(30).await;
    let late = rig.case("T2").await.expect("its time came, and was noticed");
    assert!(late.opened_at <= truth + Span::from_secs(30), "{} against {truth}", late.opened_at);
    assert_eq!(rig.case("T1").await.map(|i| i.level), None, "what was late only in that hour is taken back");
}
