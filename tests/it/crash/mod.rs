//! The real program is killed, at every window of `delivery_semantics` §9.5 and at random instants, and started again:
//! nothing is lost, copies stay within I8, the audit and the store are whole.
//!
//! `SHIFTBELL_KILLS=200 cargo test --features fail-points --test it crash::random` kills more often.

mod receivers;
mod world;

use std::time::{Duration, Instant};

use world::{Ack, World, wait_for};

/// How a window is reached beyond tickets that come in and are late.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// Tickets are enough.
    Load,
    /// Somebody acks.
    Ack,
    /// A reload.
    Reload,
    /// A stop while a message is on its way.
    Stop,
}

/// Dies at `point`, starts again, and holds the promises.
fn window(point: &str, by: By) {
    let mut world = World::new(if by == By::Stop { Duration::from_millis(1500) } else { Duration::ZERO });
    let mut program = world.start(Some(point));
    let first = world.tickets(3);
    match by {
        By::Load => {}
        By::Ack => {
            world.wait_seen(&first);
            // Whether it is answered is the point: a confirmed one must hold, an unconfirmed one may not have happened.
            world.ack_one();
        }
        By::Reload => {
            world.wait_seen(&first);
            world.reload();
        }
        By::Stop => {
            world.wait_begun();
            program.terminate();
        }
    }
    assert!(program.died_within(Duration::from_secs(30)), "{point} was never reached\n{}", world.log());
    world.faults += 1;
    let program = world.start(None);
    let second = world.tickets(2);
    world.wait_seen(&first);
    world.wait_seen(&second);
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
    w02_in_the_middle_of_a_commit: "commit_begun", Load;
    w02_in_the_middle_of_a_later_commit: "commit_begun:3", Load;
    w03_observations_kept: "observations_kept", Load;
    w03_file_moved_before_its_cursor_goes: "file_moved", Load;
    w04_timer_due: "timer_due", Load;
    w05_step_kept: "step_kept:2", Load;
    w06_message_held: "step_kept:3", Load;
    w08_claimed_before_the_first_byte: "after_commit_before_send", Load;
    w08_claimed_later: "after_commit_before_send:2", Load;
    w09_bytes_under_way: "during_send", Load;
    w09_bytes_of_a_later_message_under_way: "during_send:2", Load;
    w10_answered_before_the_outcome_is_kept: "answered", Load;
    w11_outcome_kept: "outcome_kept", Load;
    w14_response_read: "response_read", Ack;
    w15_response_kept_before_it_is_answered: "response_kept", Ack;
    w16_reload_before_its_commit: "swap_begun", Reload;
    w16_reload_kept: "swap_kept", Reload;
    w20_an_orderly_stop_during_sends: "stopping", Stop;
}

/// W18: a message that kills the process is put aside after the third death, and the others still go.
#[test]
fn w18_a_message_that_kills_the_process_is_survived() {
    let mut world = World::new(Duration::ZERO);
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
    let mut world = World::new(Duration::ZERO);
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
    world.put_store_back(&kept);
    world.tickets_again(&second);
    let program = world.start(None);
    let third = world.tickets(1);
    world.wait_seen(&third);
    world.check_quiet(program);
}

/// Random instants under load, with people who answer.
#[test]
fn random_instants() {
    let kills: u32 = std::env::var("SHIFTBELL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let seed: u64 = std::env::var("SHIFTBELL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0x5eed);
    println!("SHIFTBELL_KILLS={kills} SHIFTBELL_SEED={seed}");
    let mut random = seed | 1;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut world = World::new(Duration::from_millis(20));
    let mut all = Vec::new();
    let mut acked: Vec<Ack> = Vec::new();
    for _ in 0..kills {
        let program = world.start(None);
        let until = Instant::now() + Duration::from_millis(200 + draw(1800));
        while Instant::now() < until {
            all.extend(world.tickets(1 + draw(3) as usize));
            acked.extend(world.ack_one());
            std::thread::sleep(Duration::from_millis(20 + draw(120)));
        }
        program.kill();
        world.faults += 1;
    }
    let program = world.start(None);
    // Whoever acked before the first message left spared it: nobody needs to be told then (R8).
    let missing = || -> Vec<&String> {
        let spared = world.acked_tickets();
        all.iter().filter(|id| !world.is_seen(id) && !spared.contains(*id)).collect()
    };
    let until = Instant::now() + Duration::from_secs(90);
    while !missing().is_empty() {
        assert!(Instant::now() < until, "never told of {:?} (I1, I2)\n{}", missing(), world.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    for ack in &acked {
        assert!(world.is_acked(ack), "the confirmed ack of {ack:?} is lost (I13)\n{}", world.log());
    }
    wait_for("the load to be over", Duration::from_secs(60), || world.is_settled());
    world.check_quiet(program);
}
