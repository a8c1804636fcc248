//! Bad input against the real program: each is refused with a reason, and nothing else waits for it (I32, I42, S38).

mod sources;
pub(crate) mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shiftbell::core::alerting::{LinkKeys, LinkPurpose, LinkTarget, LinkToken};
use shiftbell::core::ids::InstallationKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use world::{ERP, OPS, World, wait_for};

/// The largest body, as the program has it when nothing is configured.
const BODY: usize = 8 << 20;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A link token about something, signed with `key`, that is good until then.
fn link(key: InstallationKey, expires: jiff::Timestamp) -> String {
    let token = LinkToken {
        purpose: LinkPurpose::Ack,
        target: LinkTarget::Incident(shiftbell::core::ids::Id::from_bytes([9; 16])),
        episode: 1,
        level: 1,
        person: "lin".into(),
        expires_at: shiftbell::core::time::Instant::from_secs(expires.as_second()),
        nonce: [3; 8],
    };
    LinkKeys::new(&key, &"hostile".into(), 0).sign(&token)
}

/// Names and values, or texts and what takes their place.
type Pairs<'a> = &'a [(&'a str, &'a str)];
/// A request: what it is, method, path, headers, body, and the status and words of its answer.
type Row<'a> = (&'a str, &'a str, &'a str, Pairs<'a>, &'a [u8], u16, &'a str);
/// A change of the configuration: what it is, the changes, what is added, and a word of the refusal.
type Change<'a> = (&'a str, Pairs<'a>, &'a str, &'a str);

/// I42 and the bounds of the door: what each bad request is answered.
#[test]
fn every_bad_request_is_refused_with_a_reason() {
    let world = World::new();
    let _program = world.start();
    let (erp, ops) = (bearer(ERP), bearer(OPS));
    let (erp, ops): (Pairs<'_>, Pairs<'_>) = (&[("authorization", &erp)], &[("authorization", &ops)]);
    let deep = [b"[".repeat(300_000), b"]".repeat(300_000)].concat();
    let nested = format!("{{\"at\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let many = format!("[{}]", vec!["{}"; 1001].join(","));
    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    let own = || shiftbell::daemon::key::read_or_make(&world.path("data/installation.key"), false);
    let (old, foreign) =
        (link(own().expect("its key"), now - hour), link(InstallationKey::new([1; 32]), now + hour));
    let (old, foreign) = (format!("/a/{old}"), format!("/a/{foreign}"));
    let good = world.ticket().1;
    let rows: &[Row<'_>] = &[
        ("no token", "POST", "/v1/observations", &[], good.as_bytes(), 401, "token"),
        (
            "a wrong token",
            "POST",
            "/v1/observations",
            &[("authorization", "Bearer nonsense")],
            b"[]",
            401,
            "token",
        ),
        ("a token of another role", "POST", "/v1/observations", ops, good.as_bytes(), 403, "something else"),
        ("a source that operates", "GET", "/v1/incidents", erp, b"", 403, "something else"),
        ("garbage", "POST", "/v1/observations", erp, b"\x00\xff{{{", 422, "not UTF-8"),
        ("an array that breaks off", "POST", "/v1/observations", erp, b"[{\"at\":", 422, "error"),
        ("nothing", "POST", "/v1/observations", erp, b"", 422, "error"),
        ("deep arrays", "POST", "/v1/observations", erp, &deep, 422, ""),
        ("a deep value", "POST", "/v1/observations", erp, nested.as_bytes(), 422, ""),
        (
            "an instant that is none",
            "POST",
            "/v1/observations",
            erp,
            b"[{\"at\":\"noon\",\"source\":\"s\",\"kind\":\"ticket\",\"id\":\"1\",\"event\":\"x\"}]",
            422,
            "noon",
        ),
        ("too many items", "POST", "/v1/observations", erp, many.as_bytes(), 413, "1000"),
        (
            "a packed body",
            "POST",
            "/v1/observations",
            &[erp[0], ("content-encoding", "gzip")],
            b"x",
            415,
            "packed",
        ),
        ("a foreign link", "GET", &foreign, &[], b"", 404, ""),
        ("a foreign link, pressed", "POST", &foreign, &[], b"do=ack&once=x", 404, ""),
        ("an old link", "GET", &old, &[], b"", 410, ""),
        ("an old link, pressed", "POST", &old, &[], b"do=ack&once=x", 410, ""),
        ("a broken link", "GET", "/a/AAAA", &[], b"", 404, ""),
        ("a link of bytes", "GET", "/a/%00%ff%2e%2e%2f", &[], b"", 400, ""),
        (
            "a form of another site",
            "POST",
            &old,
            &[("origin", "https://evil.test")],
            b"do=ack",
            403,
            "another site",
        ),
        ("another method", "DELETE", "/v1/observations", erp, b"", 405, "method"),
        ("nothing there", "GET", "/admin.php", &[], b"", 404, "nothing"),
        (
            "an act on nothing",
            "POST",
            "/v1/incidents/ZZZZ/ack",
            ops,
            b"{\"person\":\"lin\"}",
            404,
            "no incident",
        ),
        ("an act in nobody's name", "POST", "/v1/incidents/ZZZZ/ack", ops, b"{}", 422, "person"),
        (
            "a silence of everything",
            "POST",
            "/v1/silences",
            ops,
            b"{\"person\":\"zhou\",\"matchers\":{},\"reason\":\"x\",\"span\":\"1h\"}",
            422,
            "matcher",
        ),
        (
            "a span that is none",
            "POST",
            "/v1/silences",
            ops,
            b"{\"person\":\"zhou\",\"matchers\":{\"team\":[\"a\"]},\"reason\":\"x\",\"span\":\"soon\"}",
            422,
            "soon",
        ),
    ];
    for (name, method, path, headers, body, status, reason) in rows {
        let reply = world.net("127.0.0.1", method, path, headers, body);
        let reply = reply.unwrap_or_else(|| panic!("{name}: no answer\n{}", world.log()));
        assert!(
            reply.status == *status && reply.body.contains(reason),
            "{name}: expected {status} `{reason}`, found {} {}",
            reply.status,
            reply.body.chars().take(300).collect::<String>()
        );
        assert!(!reply.body.contains(ERP) && !reply.body.contains(OPS), "{name}: I45");
    }

    // What is no request at all, or one that has no end.
    let huge = format!("GET /-/healthy HTTP/1.1\r\nhost: b\r\nx-big: {}\r\n\r\n", "x".repeat(200_000));
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = format!("GET /-/healthy HTTP/1.1\r\nhost: b\r\n{many}\r\n");
    let long = format!("GET /{} HTTP/1.1\r\nhost: b\r\n\r\n", "a".repeat(200_000));
    for (name, bytes) in [
        ("a huge header", huge.as_bytes()),
        ("hundreds of headers", many.as_bytes()),
        ("a long address", long.as_bytes()),
        (
            "a token of bytes",
            b"GET /v1/incidents HTTP/1.1\r\nhost: b\r\nauthorization: Bearer \x7f\xe9\r\n\r\n",
        ),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (
            "two lengths",
            b"POST /v1/observations HTTP/1.1\r\nhost: b\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        ),
    ] {
        // Some are answered, some are only closed; none is served.
        let status = world.raw("127.0.0.1", bytes).map(|reply| reply.status);
        assert!(status.is_none_or(|s| (400..500).contains(&s)), "{name}: {status:?}");
    }

    // 100 MB, announced and not.
    let announced = [erp[0], ("content-length", "104857600")];
    let reply = world.net("127.0.0.1", "POST", "/v1/observations", &announced, b"[").expect("an answer");
    assert_eq!((reply.status, reply.body.contains(&BODY.to_string())), (413, true), "{}", reply.body);
    let chunk = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    let chunked = [erp[0], ("transfer-encoding", "chunked")];
    let reply = world.net("127.0.0.1", "POST", "/v1/observations", &chunked, &chunk.repeat(100));
    // It stops reading; whether the answer outlives the reset is the network's.
    assert!(reply.as_ref().is_none_or(|r| r.status == 413), "{reply:?}");
    assert_eq!(world.push(&world.ticket().1).0, 200, "and it works as before");
}

/// Configurations that would tell nobody, and templates that never end: refused by `check` and by a reload, and the one
/// in use stays (I49). Then it is told (`config.rejected`), until one is taken.
#[test]
fn every_bad_configuration_is_refused_with_a_reason() {
    let world = World::new();
    let _program = world.start();
    let loops: String = (0..12).map(|n| format!("{{% for a{n} in items %}}")).collect();
    let bomb = format!("{loops}x{}", "{% endfor %}".repeat(12));
    let contact = "contact = [{ channel = \"hook\" }, { channel = \"mail\", address = \"lin@mail.test\" }]";
    let rows: &[Change<'_>] = &[
        ("an empty fallback list", &[("fallback = [\"zhou\"]", "fallback = []")], "", "fallback"),
        ("nobody on the fallback list", &[("fallback = [\"zhou\"]", "fallback = [\"wang\"]")], "", "wang"),
        ("a person without contacts", &[(contact, "contact = []")], "", "contact"),
        ("an unknown key", &[("[watch]", "[watch]\nfoldr = \"x\"")], "", "foldr"),
        ("no TOML", &[("[watch]", "[watch")], "", "shiftbell.toml"),
        ("a bomb of a template", &[], &bomb, "digest/chat.txt"),
        ("a template of a name that there is not", &[], "{{ nonsense.x }}", "digest/chat.txt"),
    ];
    for (name, changes, template, reason) in rows {
        world.configure(changes);
        let own = world.path("templates/zh-CN/digest/chat.txt");
        if template.is_empty() {
            drop(std::fs::remove_file(&own));
        } else {
            world.put("templates/zh-CN/digest/chat.txt", template);
        }
        let (taken, said) = world.check();
        assert!(!taken && said.contains(reason), "{name}: check took it, or gave no reason: {said}");
        let (status, said) = world.reload(false);
        assert!(status == 422 && said.contains(reason), "{name}: {status} {said}");
    }
    wait_for("config.rejected", Duration::from_secs(20), || {
        world.open("config.rejected").first().map(|_| ())
    });
    drop(std::fs::remove_file(world.path("templates/zh-CN/digest/chat.txt")));
    world.configure(&[]);
    let (status, said) = world.reload(false);
    assert_eq!(status, 200, "{said}");
    wait_for("it to be over", Duration::from_secs(20), || {
        world.open("config.rejected").is_empty().then_some(())
    });
    let (id, event) = world.ticket();
    assert_eq!(world.push(&event).0, 200);
    wait_for("a message", Duration::from_secs(30), || {
        world.told(std::slice::from_ref(&id)).get(&id).map(|_| ())
    });
}

/// S38, I42: guesses act on nothing, and the sysadmin hears of them.
#[test]
fn s38_guessing_acts_on_nothing_and_is_told() {
    let world = World::new();
    let _program = world.start();
    let (id, event) = world.ticket();
    assert_eq!(world.push(&event).0, 200);
    let before = wait_for("the incident", Duration::from_secs(30), || {
        let reply = world.machine("GET", "/v1/incidents", "")?;
        reply.json()["incidents"].as_array()?.iter().find(|i| i["subject"]["id"] == id.as_str()).cloned()
    });
    let mut slowed = 0;
    for n in 0..140_u32 {
        // From many addresses: each is slowed down for itself, all are counted together.
        let from = format!("127.0.1.{}", 1 + n % 20);
        let path = format!("/a/k1{n:08x}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let reply = match n % 3 {
            0 => world.net(&from, "POST", "/v1/observations", &[("authorization", &bearer(&path))], b"[]"),
            1 => world.net(&from, "GET", &path, &[], b""),
            _ => world.net(&from, "POST", &path, &[], b"do=ack&once=x"),
        };
        let status = reply.expect("an answer").status;
        assert!([401, 404, 429].contains(&status), "guess {n}: {status}");
    }
    for _ in 0..20 {
        let reply = world.net("127.0.2.1", "GET", "/a/AAAA", &[], b"").expect("an answer");
        slowed += usize::from(reply.status == 429);
    }
    assert!(slowed >= 8, "one address is slowed down after ten a minute, found {slowed} of 20");
    wait_for("system.code_guessing", Duration::from_secs(30), || {
        world.open("system.code_guessing").first().map(|_| ())
    });
    let after = world.machine("GET", &format!("/v1/incidents/{}", before["id"].as_str().expect("an id")), "");
    let after = after.expect("it answers").json();
    assert_eq!((&after["status"], &after["acked_by"]), (&before["status"], &before["acked_by"]), "no act");
}

/// What a quiet run, or one under attack, took at most.
#[derive(Clone, Copy, Debug, Default)]
struct Slowest {
    request: Duration,
    delivery: Duration,
}

/// Pushes a ticket every so often for so long, and waits until each was told.
fn load(world: &World, span: Duration) -> Slowest {
    let mut slowest = Slowest::default();
    let mut pushed = Vec::new();
    let until = Instant::now() + span;
    while Instant::now() < until {
        let (id, event) = world.ticket();
        let begun = Instant::now();
        let (status, took) = world.push(&event);
        assert_eq!(status, 200, "a good request was not taken\n{}", world.log());
        slowest.request = slowest.request.max(took);
        pushed.push((id, begun));
        std::thread::sleep(Duration::from_millis(120));
    }
    let ids: Vec<String> = pushed.iter().map(|(id, _)| id.clone()).collect();
    let told = wait_for("every ticket to be told", Duration::from_secs(60), || {
        let told = world.told(&ids);
        (told.len() == ids.len()).then_some(told)
    });
    for (id, begun) in pushed {
        slowest.delivery = slowest.delivery.max(told[&id].saturating_duration_since(begun));
    }
    slowest
}

/// Hundreds of clients that send a byte now and then, from two addresses. Answers how many were shut out.
fn lorises(port: u16, over: &AtomicBool) -> usize {
    let shut = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for n in 0..600_u32 {
            let shut = shut.clone();
            all.spawn(async move {
                let socket = tokio::net::TcpSocket::new_v4().ok()?;
                socket.bind(format!("127.0.3.{}:0", 1 + n % 2).parse().ok()?).ok()?;
                let mut stream = socket.connect(format!("127.0.0.1:{port}").parse().ok()?).await.ok()?;
                // A third has a token, and a body that never comes.
                let head = match n % 3 {
                    0 => format!(
                        "POST /v1/observations HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {ERP}\r\ncontent-length: 1000000\r\n\r\n["
                    ),
                    _ => "GET /-/healthy HTTP/1.1\r\nx-a: ".to_owned(),
                };
                stream.write_all(head.as_bytes()).await.ok()?;
                let mut answer = [0; 512];
                for _ in 0..60 {
                    match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut answer)).await {
                        Ok(_) => {
                            shut.fetch_add(1, Ordering::Relaxed);
                            return Some(());
                        }
                        Err(_) => stream.write_all(b" ").await.ok()?,
                    }
                }
                Some(())
            });
        }
        while !over.load(Ordering::Relaxed) && !all.is_empty() {
            drop(tokio::time::timeout(Duration::from_millis(100), all.join_next()).await);
        }
        all.shutdown().await;
    });
    shut.load(Ordering::Relaxed)
}

/// I32: while all of it comes at once, other requests and deliveries take at most a second longer than without. A
/// machine that stands still for a second spoils a round; three spoilt rounds are ours.
#[test]
fn i32_bad_input_delays_others_by_at_most_a_second() {
    let world = World::new();
    let _program = world.start();
    load(&world, Duration::from_secs(1));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let quiet = load(&world, Duration::from_secs(4));
        let over = AtomicBool::new(false);
        let attacked = std::thread::scope(|scope| {
            let (world, over) = (&world, &over);
            let shut = scope.spawn(move || lorises(world.port, over));
            scope.spawn(move || flood(world, over));
            scope.spawn(move || rubbish(world, over));
            scope.spawn(move || reloads(world, over));
            let attacked = load(world, Duration::from_secs(8));
            over.store(true, Ordering::Relaxed);
            assert!(shut.join().expect("it ends") > 100, "slow clients are shut out");
            attacked
        });
        world.configure(&[]);
        seen.push((quiet, attacked));
        let second = Duration::from_secs(1);
        if attacked.request <= quiet.request + second && attacked.delivery <= quiet.delivery + second {
            println!("quiet {quiet:?}, attacked {attacked:?}");
            return;
        }
    }
    panic!("more than a second longer than without, three times: {seen:?}\n{}", world.log());
}

/// Large bodies, garbage, and guesses, as fast as they go.
fn flood(world: &World, over: &AtomicBool) {
    let erp = bearer(ERP);
    let chunk = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b'['; 1 << 20], b"\r\n".to_vec()].concat();
    let large = chunk.repeat(100);
    let deep = b"[".repeat(1_000_000);
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        n += 1;
        let erp: (&str, &str) = ("authorization", &erp);
        drop(match n % 4 {
            0 => world.net(
                "127.0.4.1",
                "POST",
                "/v1/observations",
                &[erp, ("transfer-encoding", "chunked")],
                &large,
            ),
            1 => world.net("127.0.4.1", "POST", "/v1/observations", &[erp], &deep),
            2 => {
                world.net("127.0.4.1", "POST", "/v1/observations", &[("authorization", "Bearer guess")], b"{")
            }
            _ => world.raw("127.0.4.1", &b"x".repeat(100_000)),
        });
    }
}

/// Files of rubbish in the watched folder.
fn rubbish(world: &World, over: &AtomicBool) {
    let lines = "this is no event\n{\"at\":1}\n".repeat(1500);
    let long = b"[".repeat(30 << 20);
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        n += 1;
        world.drop_file(&format!("lines-{n}.jsonl"), lines.as_bytes());
        world.drop_file(&format!("long-{n}.jsonl"), &long);
        world.drop_file(&format!("packed-{n}.jsonl.gz"), b"this is not packed");
        std::thread::sleep(Duration::from_millis(1500));
    }
    wait_for("a refused file with its reasons", Duration::from_secs(60), || {
        std::fs::read_to_string(world.path("inbox/failed/lines-1.jsonl.errors")).ok()
    });
}

/// Configurations that are refused.
fn reloads(world: &World, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        world.configure(&[("fallback = [\"zhou\"]", "fallback = []")]);
        let (status, said) = world.reload(false);
        assert_eq!(status, 422, "{said}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What the watched folder cannot use is found beside its reasons, and told when it is much (5.8).
#[test]
fn files_of_rubbish_are_refused_with_their_lines() {
    let world = World::new();
    let _program = world.start();
    let (id, event) = world.ticket();
    let text = format!("{event}\n{}", "not an event\n".repeat(40));
    world.drop_file("mixed.jsonl", text.as_bytes());
    world.drop_file("long.jsonl", &b"x".repeat(20 << 20));
    for (name, reason) in [("mixed.jsonl", "1 lines taken, 40 not"), ("long.jsonl", "longer than")] {
        let told = wait_for(name, Duration::from_secs(30), || {
            std::fs::read_to_string(world.path("inbox/failed").join(format!("{name}.errors"))).ok()
        });
        assert!(told.contains(reason), "{name}: {told}");
    }
    wait_for("the good line to be told", Duration::from_secs(30), || {
        world.told(std::slice::from_ref(&id)).get(&id).map(|_| ())
    });
    let open = wait_for("source.malformed", Duration::from_secs(30), || world.open("source.malformed").pop());
    assert_eq!(open["subject"]["id"], "watch");
}

/// A table in the watched folder: its rows become cases, and a row that cannot be used is told by its number.
#[test]
fn a_table_in_the_watched_folder_is_taken_in() {
    let world = World::new();
    let columns = "[import.csv]\nkind = \"ticket\"\nsource = \"sheet\"\nid = \"单号\"\nmarks = { customer_message = \"提问\" }";
    world.configure(&[("[watch]", &format!("{columns}\n\n[watch]"))]);
    let _program = world.start();
    let (id, at) = (world.ticket().0, jiff::Timestamp::now());
    world.drop_file("bad.csv", format!("单号,提问\n{id},{at}\nX-1,soon\n").as_bytes());
    wait_for("the good row to be told", Duration::from_secs(30), || {
        world.told(std::slice::from_ref(&id)).get(&id).map(|_| ())
    });
    let read = |name: &str| std::fs::read_to_string(world.path("inbox").join(name)).ok();
    let told = wait_for("its reasons", Duration::from_secs(30), || read("failed/bad.csv.errors"));
    assert!(told.starts_with("bad.csv: 1 lines taken, 1 not\n3: "), "{told}");
    world.drop_file("good.csv", format!("单号,提问\n{},{at}\n", world.ticket().0).as_bytes());
    wait_for("the good one", Duration::from_secs(30), || read("done/good.csv"));
}

/// RC4: a receipt is taken from whoever may speak of the channel, and answered only when it is kept.
#[test]
fn rc4_receipts_are_pushed_by_whoever_may() {
    let world = World::new();
    let (provider, erp) = (bearer("provider-token-0123456789"), bearer(ERP));
    world.put("provider.token", "provider-token-0123456789");
    let token =
        "[server.tokens.sms]\ntoken_file = \"./provider.token\"\nrole = \"provider\"\nsources = [\"h*\"]";
    world.configure(&[("[server.limits]", &format!("{token}\n\n[server.limits]"))]);
    let _program = world.start();
    let good = b"{\"provider_id\":\"biz-1\",\"what\":\"delivered\"}".as_slice();
    for (name, token, channel, body, status) in [
        ("one that is not known yet is kept for later", &provider, "hook", good, 200),
        ("the same again", &provider, "hook", good, 200),
        ("another role", &erp, "hook", good, 403),
        ("another channel", &provider, "mail", good, 403),
        ("no channel", &provider, "hooks", good, 404),
        ("garbage", &provider, "hook", b"{", 422),
    ] {
        let path = format!("/v1/receipts/{channel}");
        let reply = world.net("127.0.0.1", "POST", &path, &[("authorization", token)], body);
        let reply = reply.expect("an answer");
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
    }
}

/// `incidents --all` shows more than one page, the most urgent first, and `explain --store` tells how each came about.
#[test]
fn everything_open_is_listed_and_explained() {
    const COUNT: usize = 1100;
    let world = World::new();
    let program = world.start();
    let tickets: Vec<(String, String)> = (0..COUNT).map(|_| world.ticket()).collect();
    let lines: String = tickets.iter().map(|(_, event)| format!("{event}\n")).collect();
    world.drop_file("many.jsonl", lines.as_bytes());
    let last = &tickets[COUNT - 1].0;
    wait_for("all of them", Duration::from_secs(60), || {
        let said = world.shiftbell(&["incidents", "--all", "--format", "json"]);
        (0..COUNT).all(|n| said.contains(&tickets[n].0)).then_some(())
    });
    let said = world.shiftbell(&["incidents", "--all", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let listed = listed.as_array().or_else(|| listed["incidents"].as_array()).expect("a list").clone();
    let levels: Vec<u64> = listed.iter().filter_map(|i| i["level"].as_u64()).collect();
    assert!(levels.len() >= COUNT && levels.windows(2).all(|w| w[0] >= w[1]), "{} in order", levels.len());
    let id = listed.iter().find(|i| i["subject"]["id"] == last.as_str()).and_then(|i| i["id"].as_str());
    let id = id.expect("its incident").to_owned();
    wait_for("it to be told", Duration::from_secs(60), || {
        world.told(std::slice::from_ref(last)).get(last).map(|_| ())
    });
    program.stop();
    let told = world.shiftbell(&["explain", "--store", "data/shiftbell.db", &id]);
    for part in [last.as_str(), "lin", "hook", "incident"] {
        assert!(told.contains(part), "`{part}` is not in\n{told}");
    }
}
