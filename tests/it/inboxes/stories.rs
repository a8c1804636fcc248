//! What is told of each channel.

use std::time::Duration;

use shiftbell::sim::inboxes::{FORBIDDEN, KINDS, Kind, Trouble, kind};

use super::world::{Make, World};

/// Providers that tell a second copy by its key, or by its text.
const KEYED: &[&str] = &["dingtalk_robot", "wecom_app", "feishu_app", "matrix"];
/// Those that fill templates in: what they show cannot be marked.
const TEMPLATES: &[&str] = &["aliyun_sms", "tencent_sms", "huawei_sms", "aliyun_voice"];

fn all() -> Vec<&'static Kind> {
    KINDS.iter().collect()
}

fn some(names: &[&str]) -> Vec<&'static Kind> {
    names.iter().map(|name| kind(name).expect("there is one")).collect()
}

fn but(names: &[&str]) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| !names.contains(&kind.name)).collect()
}

/// Short messages and calls.
fn phones() -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| kind.name.contains("sms") || kind.name.contains("voice")).collect()
}

/// How many mails hold a word.
fn of(mails: &[String], word: &str) -> usize {
    mails.iter().filter(|mail| mail.contains(word)).count()
}

/// Copies of the one message that a channel was to show: once where they are told apart, else twice at most, and the
/// second says that it may be one.
#[track_caller]
fn check_copies(world: &World, kind: &Kind) {
    let shown = world.primary(kind);
    let most = if KEYED.contains(&kind.name) { 1 } else { 2 };
    assert!(shown.len() <= most, "{}: {} copies: {shown:#?}", kind.name, shown.len());
    if let [_, second] = &shown[..]
        && !TEMPLATES.contains(&kind.name)
    {
        let marked = format!("{second:?}");
        assert!(marked.contains("可能重复"), "{}: the second copy does not say so: {marked}", kind.name);
    }
}

#[test]
fn s12_a_provider_that_is_down_is_gone_round_and_comes_back() {
    let world = World::new(&Make::with(
        "fallback_after = { p0 = \"1s\", p1 = \"3s\", p2 = \"10m\", p3 = \"1d\" }\nbreaker_cool_down = \"1s\"\nbreaker_cap = \"2s\"",
    ));
    world.trouble(&all(), Trouble::Busy);
    let program = world.start_ready();
    world.tickets("DOWN", &all());
    world.wait_all("told by the second channel", &all(), 20, |kind| of(&world.backup(kind), "DOWN") == 1);
    for kind in all() {
        assert!(world.primary(kind).is_empty(), "{}", kind.name);
    }
    world.trouble(&all(), Trouble::None);
    world.tickets("UP", &all());
    let phones: Vec<&str> = phones().iter().map(|kind| kind.name).collect();
    let back = |kind: &Kind| !world.primary(kind).is_empty();
    world.wait_all("told by the first channel again", &but(&phones), 30, back);
    // A phone gets one message a minute, and the tries count; calls are few an hour.
    let phones: Vec<&str> = phones.into_iter().filter(|name| !name.contains("voice")).collect();
    world.wait_all("told by phone again", &some(&phones), 100, back);
    program.stop();
    for kind in all() {
        // What was told by another way is not told late (covered). Who proves nothing about a person may say it.
        assert!(world.primary(kind).len() <= 2, "{}: {:#?}", kind.name, world.primary(kind));
    }
}

#[test]
fn s13_an_error_inside_of_a_200_is_no_success() {
    let world =
        World::new(&Make::with("fallback_after = { p0 = \"5s\", p1 = \"20s\", p2 = \"10m\", p3 = \"1d\" }"));
    let crowded = but(&["wecom_app", "sms_gateway", "matrix"]);
    world.crowd(&crowded);
    let program = world.start_ready();
    world.tickets("FULL", &crowded);
    // These say that it takes a minute at least: the next channel goes at once, long before the 20 s.
    let long = some(&[
        "dingtalk_robot",
        "dingtalk_app",
        "wecom_robot",
        "feishu_robot",
        "aliyun_sms",
        "tencent_sms",
        "aliyun_voice",
    ]);
    world.wait_all("told by the second channel at once", &long, 10, |kind| {
        of(&world.backup(kind), "FULL") == 1
    });
    world.wait_all("told by the second channel", &crowded, 40, |kind| of(&world.backup(kind), "FULL") == 1);
    for kind in crowded {
        assert!(world.primary(kind).is_empty(), "{}: {:#?}", kind.name, world.primary(kind));
    }
    program.stop();
}

#[test]
fn s14_a_time_out_is_tried_once_more_and_says_so() {
    let world = World::new(&Make::with(
        "timeout = \"1s\"\nconnect_timeout = \"500ms\"\nfallback_after = { p0 = \"2s\", p1 = \"8s\", p2 = \"10m\", p3 = \"1d\" }\n\
               uncertain_hold = { p0 = \"0s\", p1 = \"300ms\", p2 = \"1m\", p3 = \"1d\" }",
    ));
    world.trouble(&all(), Trouble::Silent);
    let program = world.start_ready();
    world.tickets("SILENT", &all());
    world.wait_all("told by the second channel", &all(), 40, |kind| of(&world.backup(kind), "SILENT") >= 1);
    std::thread::sleep(Duration::from_secs(2));
    program.stop();
    for kind in all() {
        check_copies(&world, kind);
    }
}

/// The program dies at a place while messages of every channel are on their way, and comes back.
fn killed_at(point: &str) {
    let world = World::new(&Make::with(
        "fallback_after = { p0 = \"20s\", p1 = \"60s\", p2 = \"10m\", p3 = \"1d\" }\n\
               uncertain_hold = { p0 = \"0s\", p1 = \"300ms\", p2 = \"1m\", p3 = \"1d\" }",
    ));
    let mut program = world.start(Some(point));
    wait_ready(&world);
    world.tickets("KILLED", &all());
    assert!(program.died_within(Duration::from_secs(30)), "{point} was never reached\n{}", world.log());
    let program = world.start_ready();
    // Whether a call went out is known to nobody, and another may only follow when its minute is over.
    let told = |kind: &Kind| !world.primary(kind).is_empty() || kind.name.contains("voice");
    world.wait_all("told by the first channel", &all(), 60, told);
    std::thread::sleep(Duration::from_secs(2));
    program.stop();
    for kind in all() {
        check_copies(&world, kind);
    }
}

fn wait_ready(world: &World) {
    crate::crash::wait_for("the desk to answer", Duration::from_secs(60), || {
        world.way.ask("GET", "/v1/incidents?limit=1", "").is_some()
    });
}

#[test]
fn s15_killed_after_the_claim_before_the_first_byte() {
    killed_at("after_commit_before_send");
}

#[test]
fn s16_killed_after_the_answer_before_it_is_kept() {
    killed_at("answered");
}

#[test]
fn s17_a_receipt_before_the_outcome_proves_it() {
    let world = World::new(&Make::with("receipt_window_sms = \"3s\""));
    let sms = some(&["aliyun_sms", "tencent_sms", "sms_gateway"]);
    world.trouble(&sms, Trouble::Late);
    let program = world.start_ready();
    world.tickets("EARLY", &sms);
    world.wait_all("taken", &sms, 20, |kind| !world.keys(kind).is_empty());
    for kind in &sms {
        assert!(world.delivered(kind, &world.keys(kind)[0]), "{}", kind.name);
    }
    // The answer comes 1.5 s late, and nothing follows when the window for receipts is over.
    std::thread::sleep(Duration::from_secs(7));
    for kind in &sms {
        assert_eq!((world.primary(kind).len(), world.backup(kind).len()), (1, 0), "{}", kind.name);
    }
    program.stop();
}

#[test]
fn s18_without_a_receipt_the_next_channel_goes_and_a_late_one_changes_nothing() {
    let world = World::new(&Make::with("receipt_window_sms = \"2s\"\nreceipt_window_voice = \"2s\""));
    let program = world.start_ready();
    world.tickets("UNHEARD", &phones());
    world.wait_all("told by the second channel", &phones(), 60, |kind| {
        of(&world.backup(kind), "UNHEARD") == 1
    });
    let before: Vec<usize> = phones().iter().map(|kind| world.primary(kind).len()).collect();
    for kind in phones() {
        for key in world.keys(kind).iter().filter(|key| !key.is_empty()) {
            assert!(world.delivered(kind, key), "{}", kind.name);
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    for (kind, before) in phones().iter().zip(before) {
        assert_eq!((world.primary(kind).len(), world.backup(kind).len()), (before, 1), "{}", kind.name);
    }
    program.stop();
}

#[test]
fn s19_a_message_that_kills_the_process_keeps_nobody_waiting() {
    let world = World::new(&Make::with(""));
    for death in 1..=3 {
        let mut program = world.start(Some("render"));
        if death == 1 {
            wait_ready(&world);
            world.tickets("POISON", &all());
        }
        assert!(program.died_within(Duration::from_secs(30)), "death {death} never came\n{}", world.log());
    }
    let program = world.start_ready();
    world.wait_all("told at last", &all(), 60, |kind| {
        !world.primary(kind).is_empty() || !world.backup(kind).is_empty()
    });
    program.stop();
}

#[test]
fn s20_a_text_that_is_refused_is_said_in_fewer_words() {
    // A gateway of one's own reads nothing, and what Twilio's carriers filter it tells later.
    let reads = but(&["sms_gateway", "twilio_sms", "twilio_voice"]);
    let world = World::new(&Make::with(""));
    let program = world.start_ready();
    world.tickets(FORBIDDEN, &reads);
    world.wait_all("told in other words", &reads, 60, |kind| !world.primary(kind).is_empty());
    for kind in reads {
        let said = format!("{:?}", world.primary(kind));
        assert!(!said.contains(FORBIDDEN), "{}: {said}", kind.name);
    }
    program.stop();
}

#[test]
fn s21_a_person_who_had_enough_messages_is_told_by_the_next_channel() {
    let one = "[{ count = 1, per = \"1d\" }]";
    let more = format!("\n[alerting.budget]\nsms = {one}\nvoice = {one}\n\n");
    let world = World::new(&Make {
        send: "receipt_window_sms = \"2s\"\nreceipt_window_voice = \"2s\"",
        more,
        untrusted: Vec::new(),
    });
    let program = world.start_ready();
    world.tickets("FIRST", &phones());
    world.wait_all("told by phone", &phones(), 30, |kind| world.primary(kind).len() == 1);
    world.tickets("SECOND", &phones());
    world.wait_all("told by the next channel", &phones(), 90, |kind| of(&world.backup(kind), "SECOND") == 1);
    for kind in phones() {
        assert_eq!(world.primary(kind).len(), 1, "{}", kind.name);
    }
    program.stop();
}

/// I32, over real TLS: whose certificate nobody vouches for is not written to, is gone round at once, and keeps nobody else
/// waiting. Every adapter is on both sides once.
#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_and_delays_nobody() {
    let (even, odd): (Vec<_>, Vec<_>) = KINDS.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let kinds = |all: Vec<(usize, &'static Kind)>| all.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
    let (even, odd) = (kinds(even), kinds(odd));
    for (bad, good) in [(&even, &odd), (&odd, &even)] {
        let world = World::new(&Make {
            send: "fallback_after = { p0 = \"5s\", p1 = \"10s\", p2 = \"10m\", p3 = \"1d\" }",
            more: String::new(),
            untrusted: bad.clone(),
        });
        let program = world.start_ready();
        world.tickets("CERT", &all());
        // A second for the promise, 0.2 s for the group, and the rest is the machine's.
        world.wait_all("told by the first channel, undelayed", good, 8, |kind| {
            !world.primary(kind).is_empty()
        });
        world.wait_all("gone round", bad, 25, |kind| of(&world.backup(kind), "CERT") == 1);
        for kind in bad {
            assert!(world.primary(kind).is_empty(), "{}", kind.name);
        }
        program.stop();
    }
}
