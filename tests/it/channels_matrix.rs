//! A room of a real Synapse, which `bash tests/real/run.sh matrix` starts: what its transactions and limits really do.

use std::time::Duration;

use shiftbell::channels::Channel;
use shiftbell::core::model::{DuplicateKey, OutcomeClass};

use crate::channels::{channel, claim};

const LONG: Duration = Duration::from_secs(20);

/// Where the server is, a token of a member, and their room.
fn server() -> [String; 3] {
    #[expect(clippy::disallowed_methods, reason = "the script that starts the server says where it is")]
    ["MATRIX_SERVER", "MATRIX_TOKEN", "MATRIX_ROOM"].map(|name| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bash tests/real/run.sh matrix"))
    })
}

fn matrix(server: &str, token: &str) -> std::sync::Arc<dyn Channel> {
    let text = format!("[matrix]\nserver = {server:?}\ntoken.env = \"T\"\nhttp.allow_private = true");
    channel(&text, &[("T", token)], LONG)
}

#[tokio::test]
#[ignore = "wants a real server: bash tests/real/run.sh matrix"]
async fn a_real_synapse_drops_second_copies_and_says_how_long_to_wait() {
    let [server, token, room] = server();
    let channel = matrix(&server, &token);
    assert!(matches!(channel.card().duplicate_key, DuplicateKey::Strong { .. }));
    let mut first = claim(1, &room);
    first.body.text = "工单 8821 <b>超时</b> & ~!*'()".to_owned();
    let outcome = channel.send(&first).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    let again = channel.send(&first).await;
    assert_eq!(
        (again.class, &again.provider_id),
        (OutcomeClass::Accepted, &outcome.provider_id),
        "one message"
    );
    // Another client, as after a restart.
    let again = matrix(&server, &token).send(&first).await;
    assert_eq!(again.provider_id, outcome.provider_id, "{again:?}");
    // Faster than it likes: it says for how long.
    let mut throttled = None;
    for n in 2..40 {
        let outcome = channel.send(&claim(n, &room)).await;
        if outcome.class == OutcomeClass::Throttled {
            throttled = outcome.wait;
            break;
        }
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    }
    assert!(throttled.is_some_and(|wait| !wait.is_zero()), "{throttled:?}");
    let refused = matrix(&server, "syt_nobody").send(&claim(50, &room)).await;
    assert_eq!(refused.class, OutcomeClass::Credential, "{refused:?}");
    assert!(!format!("{refused:?}").contains("syt_nobody"), "{refused:?}");
    let elsewhere = channel.send(&claim(51, "!nobody:localhost")).await;
    assert!(
        [OutcomeClass::Config, OutcomeClass::Throttled].contains(&elsewhere.class),
        "not in that room: {elsewhere:?}"
    );
    assert_eq!(channel.send(&claim(52, "@lin:localhost")).await.class, OutcomeClass::RecipientPermanent);
}

/// A thousand messages through kills: the program sends them by a real Synapse that throttles, is killed with -9 again and
/// again, and every message stands in the room exactly once.
#[cfg(feature = "fail-points")]
#[test]
#[ignore = "wants a real server: bash tests/real/run.sh matrix"]
#[expect(clippy::disallowed_methods, reason = "it watches a process from outside, by the wall clock")]
fn a_thousand_messages_through_kills_stand_in_the_room_once() {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use crate::crash::{Program, Way, now, said, wait_for};

    const MANY: usize = 1_000;
    let [server, token, room] = server();
    let folder = tempfile::tempdir().unwrap();
    let config = KILLED.replace("SERVER", &server).replace("ROOM", &room);
    std::fs::write(folder.path().join("shiftbell.toml"), config).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let way = Way::by(folder.path().join("data/control.sock"));
    let env = [("MATRIX", token.clone())];
    let ready = || {
        let program = Program::start(folder.path(), &env, None);
        wait_for("the desk to answer", LONG * 3, || way.ask("GET", "/v1/incidents?limit=1", "").is_some());
        program
    };
    let mut program = ready();
    let ids = way.fresh(MANY);
    for part in ids.chunks(200) {
        let lines: Vec<String> = part.iter().map(|id| said(id, now())).collect();
        let body = format!("[{}]", lines.join(","));
        wait_for("the tickets to be kept", LONG, || way.ask("POST", "/v1/observations", &body).is_some());
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = shiftbell::wire::http::Limits { connect: LONG, total: LONG };
    let client = shiftbell::wire::http::client(&Default::default(), &limits).unwrap();
    // Everything that stands in the room, page by page.
    let in_room = || -> Vec<String> {
        let (mut all, mut from) = (Vec::new(), String::new());
        loop {
            let url = format!(
                "{server}/_matrix/client/v3/rooms/{}/messages?dir=b&limit=500{from}",
                room.replace('!', "%21").replace(':', "%3A")
            );
            let page: serde_json::Value = runtime.block_on(async {
                let got = client.get(url).bearer_auth(&token).send().await.unwrap();
                serde_json::from_str(&got.text().await.unwrap()).unwrap()
            });
            let chunk = page["chunk"].as_array().cloned().unwrap_or_default();
            let bodies =
                chunk.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned));
            all.extend(bodies);
            match page["end"].as_str().filter(|_| !chunk.is_empty()) {
                Some(end) => from = format!("&from={end}"),
                None => return all,
            }
        }
    };
    let (begun, mut kills) = (Instant::now(), 0);
    let missing = loop {
        std::thread::sleep(Duration::from_millis(2_500 + 700 * (kills % 5)));
        let bodies = in_room();
        let missing = ids.iter().filter(|id| !bodies.iter().any(|body| body.contains(&***id))).count();
        if missing == 0 || begun.elapsed() > Duration::from_secs(400) {
            break missing;
        }
        program.kill();
        kills += 1;
        program = ready();
    };
    std::thread::sleep(Duration::from_secs(5));
    let metrics = way.exchange("GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
    let throttled = metrics
        .lines()
        .filter(|l| l.contains("throttled") && l.contains("attempts") && !l.ends_with(" 0"))
        .collect::<Vec<_>>();
    println!("{kills} kills, {:?}, throttled by the last process: {throttled:?}", begun.elapsed());
    program.stop();
    assert_eq!(missing, 0, "messages that never arrived");
    assert!(kills >= 5, "{kills} kills: that is too quick to mean anything");
    let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
    for body in in_room() {
        for id in ids.iter().filter(|id| body.contains(&***id)) {
            *copies.entry(id).or_default() += 1;
        }
    }
    let twice: Vec<_> = copies.iter().filter(|(_, n)| **n != 1).collect();
    assert!(twice.is_empty() && copies.len() == MANY, "{} in all, more than once: {twice:?}", copies.len());
}

#[cfg(feature = "fail-points")]
const KILLED: &str = r#"
[desk]
id   = "matrix"
zone = "UTC"

[[desk.shift]]
name = "all"
from = "00:00"
to   = "24:00"

[kinds.ticket]
final = ["closed"]

[[clock]]
name   = "ticket_reply"
on     = "ticket"
start  = "customer_message"
stop   = "agent_reply"
target = "1s"
ring   = ["due"]

[people.lin]
name    = "林"
role    = "handler"
shifts  = ["all"]
contact = [{ channel = "room", address = "ROOM" }]

[people.min]
name    = "敏"
role    = "senior"
shifts  = ["all"]
contact = [{ channel = "room", address = "ROOM" }]

[people.zhou]
name    = "周"
role    = "manager"
shifts  = ["all"]
contact = [{ channel = "room", address = "ROOM" }]

[channels.room.matrix]
server = "SERVER"
token.env = "MATRIX"
http = { allow_private = true, allow_plain = true }

[alerting]
fallback = ["zhou"]
admins   = ["zhou"]

[alerting.family.ticket]
levels = ["0s", "12h", "24h"]

[alerting.group]
wait = { p0 = "0s", p1 = "200ms", p2 = "1s", p3 = "1s" }
most = 1

[alerting.storm]
count = 100000

[alerting.budget]
chat_app = [{ count = 100000, per = "1m" }]

[alerting.send]
fallback_after  = { p0 = "20s", p1 = "20m", p2 = "40m", p3 = "1d" }
discharge_bound = { p0 = "3m", p1 = "40m", p2 = "50m", p3 = "1d" }

[store.sqlite]
path    = "./data/shiftbell.db"
ballast = "0B"

[server]
listen = "127.0.0.1:0"

[log]
level = "info"
"#;
