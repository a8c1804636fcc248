//! Reloads of the real program (`delivery_semantics` §16.3): what a dry run says, and what a reload does.

use std::time::Duration;

use crate::hostile::world::{ERP, World, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// The dry run names the incidents that would go to others and those that would be closed, and changes nothing; the
/// reload does it (§16.3, I50).
#[test]
fn a_dry_run_says_what_the_reload_then_does() {
    let world = World::new();
    let _program = world.start();
    let (id, event) = world.ticket();
    assert_eq!(world.push(&event).0, 200);
    let incident = |id: &str| {
        let reply = world.machine("GET", "/v1/incidents?limit=1000", "")?;
        reply.json()["incidents"].as_array()?.iter().find(|i| i["subject"]["id"] == id).cloned()
    };
    let found = wait_for("the incident", LIMIT, || incident(&id).filter(|i| i["level"] == 1));
    let full = found["id"].as_str().expect("an id").to_owned();
    let short = &full[..4];

    let roles = [
        ("role    = \"handler\"", "role    = \"x\""),
        ("role    = \"senior\"", "role    = \"handler\""),
        ("role    = \"x\"", "role    = \"senior\""),
    ];
    world.configure(&roles);
    let (status, said) = world.reload(true);
    assert_eq!(status, 200, "{said}");
    let route = format!("#{short} L1: lin(hook,mail) → chen(hook,mail)");
    assert!(said.contains("routes of 1 open incidents change") && said.contains(&route), "{said}");
    assert_eq!(incident(&id).expect("it is open")["audience"], found["audience"], "nothing has changed");

    let gone = [("name   = \"ticket_reply\"", "name   = \"ticket_answer\"")];
    world.configure(&gone);
    let (status, said) = world.reload(true);
    assert!(status == 200 && said.contains("clock ticket_reply goes: 1 open incidents"), "{said}");
    assert!(said.contains(&format!("#{short}")), "which one: {said}");
    assert!(incident(&id).is_some(), "nothing has changed");
    let (status, said) = world.reload(false);
    assert_eq!(status, 200, "{said}");
    let by_id = || world.machine("GET", &format!("/v1/incidents/{full}"), "").map(|reply| reply.json());
    // Under its new name the clock begins anew, with an incident of its own.
    let closed = wait_for("it to be closed", LIMIT, || by_id().filter(|i| i["status"] == "resolved"));
    assert_eq!(closed["resolution"], "rule_removed");
}

/// What lies beside the desk is applied too, and what waits for a restart is said.
#[test]
fn a_reload_applies_server_folder_import_and_log() {
    let world = World::new();
    let _program = world.start();
    let push = |token: &str, event: &str| {
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str())];
        let reply = world.net("127.0.0.1", "POST", "/v1/observations", &headers, event.as_bytes());
        reply.expect("an answer").status
    };
    let event = || world.ticket().1;
    assert_eq!(push(ERP, &event()), 200);
    world.put("erp.token", "another-token-0123456789");
    world.configure(&[
        ("[watch]\nfolder = \"./inbox\"", "[watch]\nfolder = \"./other\""),
        ("level = \"info\"", "level = \"debug\""),
        ("body_timeout   = \"2s\"", "body_timeout   = \"2s\"\nbatch          = 2"),
        (&format!("listen = \"127.0.0.1:{}\"", world.port), "listen = \"127.0.0.1:1\""),
    ]);
    let (status, said) = world.reload(true);
    assert!(status == 200 && said.contains("takes effect with a restart"), "{said}");
    assert_eq!(push(ERP, &event()), 200, "a dry run changes nothing");
    let (status, said) = world.reload(false);
    assert!(status == 200 && said.contains("info → debug"), "{said}");
    assert_eq!(push(ERP, &event()), 401, "the old token is no more");
    let token = "another-token-0123456789";
    assert_eq!(push(token, &event()), 200);
    assert_eq!(push(token, &format!("[{},{},{}]", event(), event(), event())), 413, "the new limit");
    let (id, line) = world.ticket();
    let other = world.path("other");
    wait_for("the new folder", LIMIT, || other.join("done").exists().then_some(()));
    std::fs::write(other.join(".a"), line + "\n").expect("it can be written");
    std::fs::rename(other.join(".a"), other.join("a.jsonl")).expect("it can be renamed");
    wait_for("its file", LIMIT, || world.told(std::slice::from_ref(&id)).get(&id).map(|_| ()));
    wait_for("lines of the new level", LIMIT, || {
        std::fs::read_to_string(world.path("log")).ok()?.contains("\"DEBUG\"").then_some(())
    });

    // A token that cannot be read refuses the whole: nothing of it is used.
    std::fs::remove_file(world.path("erp.token")).expect("it is there");
    world.configure(&[("level = \"info\"", "level = \"warn\"")]);
    let (status, said) = world.reload(false);
    assert!(status == 422 && said.contains("tokens.erp"), "{status} {said}");
    assert_eq!(push(token, &event()), 200, "what was in use stays in use (I49)");
}
