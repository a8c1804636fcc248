//! The real program is killed, at every window of `delivery_semantics` §9.5 and at random instants, and started again:
//! nothing is lost, copies stay within I8, the audit and the store are whole. Mail goes to exim4 over TLS with a login,
//! webhooks to an HTTP server that counts.
//!
//! `SHIFTBELL_KILLS=200 cargo test --features fail-points --test it crash::random -- --nocapture` kills more often.

mod load;
mod receivers;
mod storage;
mod way;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) use receivers::readable;
pub(crate) use way::{Way, now, said};
use world::{Make, World};
pub(crate) use world::{Program, wait_for};

/// How a window is reached beyond tickets that come in and are late.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// Tickets are enough.
    Load,
    /// More tickets than there is room for.
    Busy,
    /// Somebody acks.
    Ack,
    /// A reload.
    Reload,
    /// A stop while a message is on its way.
    Stop,
    /// The receiver says that it delivered what it has not answered yet.
    Receipt,
    /// The receiver refuses for good, so that the next lane is taken.
    Refusal,
}

/// Dies at `point`, starts again, and holds the promises.
fn window(point: &str, by: By) {
    let mut world = match by {
        // One slow lane for everything.
        By::Busy => World::with(Make { inflight: 1, mail: false, ..Make::default() }),
        _ => World::new(),
    };
    let script = world.receivers.script.clone();
    if matches!(by, By::Busy | By::Stop | By::Receipt) {
        script.delay_ms.store(1500, Ordering::SeqCst);
    }
    script.refuses.store(by == By::Refusal, Ordering::SeqCst);
    let mut program = world.start(Some(point));
    let mut first = world.tickets(3);
    let mut key = None;
    match by {
        By::Load | By::Refusal => {}
        By::Busy => {
            world.wait_begun();
            first.extend(world.tickets(2));
        }
        By::Ack => {
            world.wait_seen(&first);
            // Whether it is answered is the point: a confirmed one must hold, an unconfirmed one may not have happened.
            assert!(world.ack_one().is_none(), "answered, though it died over it");
        }
        By::Reload => {
            world.wait_seen(&first);
            world.reload();
        }
        By::Stop => {
            world.wait_begun();
            program.terminate();
        }
        By::Receipt => {
            world.wait_begun();
            let found = world.receivers.with(|arrived| arrived.hooks.keys().next().cloned());
            let found = found.expect("a request has begun");
            assert!(!world.delivered(&found), "answered, though it died over it");
            key = Some(found);
        }
    }
    assert!(program.died_within(Duration::from_secs(30)), "{point} was never reached\n{}", world.log());
    world.faults += 1;
    script.delay_ms.store(0, Ordering::SeqCst);
    script.refuses.store(false, Ordering::SeqCst);
    let program = world.start(None);
    if let Some(key) = &key {
        wait_for("the repeated receipt to be taken", Duration::from_secs(30), || world.delivered(key));
    }
    let second = world.tickets(2);
    world.wait_seen(&first);
    world.wait_seen(&second);
    if let Some(key) = key.filter(|_| point == "statement_kept") {
        let requests = world.receivers.with(|arrived| arrived.hooks[&key].0);
        assert_eq!(requests, 1, "its receipt was kept before its outcome, and it was sent again (W12)");
    }
    // §10.4: whoever drops a copy by its key is handed what the key stood for before.
    let altered = world.receivers.with(|arrived| arrived.altered);
    assert_eq!(altered, 0, "a request that was repeated had another text");
    world.check_quiet(program);
}

macro_rules! windows {
    ($($name:ident: $point:literal, $by:ident;)+) => {$(
        #[test]
        fn $name() {
            window($point, By::$by);
        }
    )+};
}

windows! {
    w01_lines_read_before_their_commit: "intake_read", Load;
    w02_in_the_middle_of_a_commit: "rows_put:3", Load;
    w02_a_commit_handed_over: "commit_begun", Load;
    w03_on_the_medium_before_anybody_knows: "commit_done:3", Load;
    w03_observations_kept: "observations_kept", Load;
    w03_file_moved_before_its_cursor_goes: "file_moved", Load;
    w04_timer_due: "timer_due", Load;
    w05_in_the_middle_of_a_step: "rows_put:5", Load;
    w05_step_kept: "step_kept:3", Load;
    w06_message_held: "held_kept", Load;
    w07_message_ready: "ready_kept", Busy;
    w08_claimed_before_the_first_byte: "after_commit_before_send", Load;
    w08_claimed_later: "after_commit_before_send:2", Load;
    w09_bytes_under_way: "during_send", Load;
    w09_bytes_of_a_later_message_under_way: "during_send:2", Load;
    w10_answered_before_the_outcome_is_kept: "answered", Load;
    w10_a_later_answer: "answered:3", Load;
    w11_outcome_kept: "outcome_kept", Load;
    w12_receipt_kept_before_the_outcome: "statement_kept", Receipt;
    w13_receipt_read_before_its_commit: "statement_read", Receipt;
    w14_response_read: "response_read", Ack;
    w15_response_kept_before_it_is_answered: "response_kept", Ack;
    w16_reload_before_its_commit: "swap_begun", Reload;
    w16_reload_kept: "swap_kept", Reload;
    w17_in_the_middle_of_a_change_of_the_schema: "schema_begun", Load;
    w19_in_the_commit_of_a_fallback: "outcome_put", Refusal;
    w19_a_fallback_on_the_medium: "outcome_done", Refusal;
    w20_an_orderly_stop_during_sends: "stopping", Stop;
}

/// W18: a message that kills the process is put aside after the third death, and the others still go.
#[test]
fn w18_a_message_that_kills_the_process_is_survived() {
    let mut world = World::new();
    let first = world.tickets(1);
    for _ in 0..3 {
        let mut program = world.start(Some("render"));
        assert!(program.died_within(Duration::from_secs(30)), "no message was rendered\n{}", world.log());
        world.faults += 1;
    }
    let program = world.start(None);
    world.wait_seen(&first);
    world.check_quiet(program);
}

/// W22: the medium gave back an older state. What was lost with it comes from the sources again.
#[test]
fn w22_an_older_store_is_caught_up_with() {
    let mut world = World::new();
    let program = world.start(None);
    let first = world.tickets(2);
    world.wait_seen(&first);
    program.stop();
    let kept = world.copy_store();
    let program = world.start(None);
    let second = world.tickets(2);
    world.wait_seen(&second);
    program.kill();
    world.faults += 1;
    world.lost_tail = true;
    world.put_store_back(&kept);
    world.tickets_again(&second);
    let program = world.start(None);
    let third = world.tickets(1);
    world.wait_seen(&third);
    world.check_quiet(program);
}

/// W22: the store is damaged. The newest backup takes its place, though the start dies in the middle of that; what came
/// after the backup is read again, the admins are told.
#[test]
fn w22_a_damaged_store_comes_back_as_its_backup() {
    let mut world = World::new();
    let program = world.start(None);
    let first = world.tickets(2);
    world.wait_seen(&first);
    let (well, said) = world.on_store(["store", "backup"]);
    assert!(well, "{said}");
    let second = world.tickets(2);
    world.wait_seen(&second);
    wait_for("the files to be put away", Duration::from_secs(30), || world.is_settled());
    program.kill();
    world.faults += 1;
    world.lost_tail = true;
    let store = world.path("data/shiftbell.db");
    let length = std::fs::metadata(&store).expect("it is there").len() as usize;
    std::fs::write(&store, vec![0x5a; length]).expect("it can be spoiled");
    // The log would heal it.
    drop(std::fs::remove_file(world.path("data/shiftbell.db-wal")));
    for point in ["restore_begun", "restore_told"] {
        let mut program = world.start(Some(point));
        assert!(program.died_within(Duration::from_secs(30)), "{point} was never reached\n{}", world.log());
        world.faults += 1;
    }
    let program = world.start_ready();
    wait_for("the admins to be told", Duration::from_secs(30), || world.has_open("system.restored"));
    for id in &second {
        wait_for("what came after the backup", Duration::from_secs(30), || {
            let open = world.ask("GET", "/v1/incidents?limit=1000", "");
            open.is_some_and(|open| open.to_string().contains(id.as_str()))
        });
    }
    let third = world.tickets(1);
    world.wait_seen(&third);
    world.check_quiet(program);
    let aside = std::fs::read_dir(world.path("data")).expect("it is there").flatten();
    let aside = aside.filter(|e| e.file_name().to_string_lossy().contains(".damaged-")).count();
    assert!(aside >= 1, "what was damaged is not there to be looked at");
}
