//! What the server bears: callers that stall, flood, guess and never end.

use std::time::Duration;

use shiftbell::console::LimitsConfig;
use shiftbell::core::time::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::observations::{event, push};
use super::{Console, ERP, Mode};

/// Far longer than anything here takes, far shorter than the limits that would end a stalled connection by themselves.
const SOON: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_stalled_callers_delay_nobody() {
    let limits =
        LimitsConfig { header_timeout: Span::MINUTE, body_timeout: Span::MINUTE, ..LimitsConfig::default() };
    let console = Console::with(limits, "").await;
    let body_begun = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ERP}\r\nContent-Length: 50\r\n\r\n["
    );
    let large_begun = body_begun.replace("Content-Length: 50", "Content-Length: 5000000");
    let mut stalled = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(console.address).await.expect("somebody listens");
        let begun = match n % 3 {
            0 => "",
            1 => "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            _ if n < 100 => &body_begun,
            // Of one token's large bodies only a few are let in at a time; the others wait for them, small ones do not.
            _ if n < 110 => &large_begun,
            _ => "P",
        };
        stream.write_all(begun.as_bytes()).await.expect("sent");
        stalled.push(stream);
    }
    for path in ["/-/healthy", "/metrics", "/a/x"] {
        let reply = timeout(SOON, console.get(path)).await.expect("nobody waits for those that stall");
        assert_ne!(reply.status, 0, "{path}");
    }
    let reply = timeout(SOON, push(&console, "", &event("s", "T1", "opened"))).await.expect("nobody waits");
    reply.says(200, &["kept"]);
}

async fn ends(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_and_a_body_have_to_come() {
    let second = Span::from_secs(1);
    let limits = LimitsConfig { header_timeout: second, body_timeout: second, ..LimitsConfig::default() };
    let console = Console::with(limits, "").await;
    let mut slow = TcpStream::connect(console.address).await.expect("somebody listens");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("sent");
    let mut idle = TcpStream::connect(console.address).await.expect("somebody listens");
    let mut body = TcpStream::connect(console.address).await.expect("somebody listens");
    let head = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ERP}\r\nContent-Length: 9\r\n\r\n["
    );
    body.write_all(head.as_bytes()).await.expect("sent");
    let (_, _, told) = tokio::join!(ends(&mut slow), ends(&mut idle), ends(&mut body));
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    // A connection that is kept open does not stay open for ever either.
    let mut kept = TcpStream::connect(console.address).await.expect("somebody listens");
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(ends(&mut kept).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let limits = LimitsConfig {
        body_bytes_per_second: 1 << 20,
        request_timeout: Span::MINUTE,
        ..LimitsConfig::default()
    };
    let console = Console::with(limits, "").await;
    let mut stream = TcpStream::connect(console.address).await.expect("somebody listens");
    let head = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ERP}\r\nContent-Length: 99999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (mut read, mut write) = stream.split();
    let drip = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            if write.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut start = [0; 12];
    tokio::select! {
        () = drip => unreachable!("it never ends"),
        read = timeout(PATIENCE, read.read_exact(&mut start)) => drop(read.expect("it is given up").expect("an answer")),
    }
    assert_eq!(&start, b"HTTP/1.1 408");
}

#[tokio::test]
async fn heads_have_a_size() {
    let console = Console::start().await;
    let with =
        |headers: String| format!("GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let many: String = (0..500).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    for bomb in [many, long] {
        let reply = console.raw(with(bomb).as_bytes()).await;
        assert!([0, 400, 431].contains(&reply.status), "{reply:?}");
    }
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(1 << 20));
    assert!([0, 400, 414, 431].contains(&console.raw(path.as_bytes()).await.status));
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let reply = console.raw(&[garbage, b"\r\n\r\n"].concat()).await;
        assert!([0, 400, 404, 405, 505].contains(&reply.status), "{reply:?}");
    }
    assert_eq!(console.get("/-/healthy").await.status, 503, "it still serves");
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let limits = LimitsConfig { connections_per_address: 2, ..LimitsConfig::default() };
    let console = Console::with(limits, "").await;
    let mut first = TcpStream::connect(console.address).await.expect("somebody listens");
    let mut second = TcpStream::connect(console.address).await.expect("somebody listens");
    for stream in [&mut first, &mut second] {
        stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut start = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut start)).await.expect("an answer").expect("an answer");
    }
    let mut third = TcpStream::connect(console.address).await.expect("somebody listens");
    assert_eq!(ends(&mut third).await, "", "turned away at once");
    assert_eq!(console.metric("shiftbell_http_refused_total{reason=\"connections\"}"), "1");
    // The machine's own way in is counted apart.
    let client = shiftbell::console::client::Client::new(&console.socket);
    client.get("/v1/health").await.expect("an answer");
    drop(first);
    drop(second);
    // The places come back once the server has seen the ends.
    let served = async {
        loop {
            if console.get("/-/ready").await.status == 503 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served).await.expect("a place is free again");
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_then_cuts() {
    let console = Console::start().await;
    // Idle ones are closed at once.
    let mut idle = TcpStream::connect(console.address).await.expect("somebody listens");
    idle.write_all(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.expect("an answer");
    let socket = console.socket.clone();
    assert_eq!(console.stopped().await.cut, 0);
    ends(&mut idle).await;
    assert!(!socket.exists(), "its socket is gone");

    let limits = LimitsConfig { stop_timeout: Span::from_millis(200), ..LimitsConfig::default() };
    let console = Console::with(limits, "").await;
    console.owner().mode = Mode::Silent;
    let mut waiting = TcpStream::connect(console.address).await.expect("somebody listens");
    let body = event("s", "T1", "opened");
    let request = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ERP}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    waiting.write_all(request.as_bytes()).await.expect("sent");
    // Its turn has come once another caller, that came later, was served.
    console.get("/-/ready").await;
    assert_eq!(console.stopped().await.cut, 1);
    assert_eq!(ends(&mut waiting).await, "");
}

#[tokio::test]
async fn monitors_are_told_the_truth() {
    let console = Console::start().await;
    console.get("/-/healthy").await.says(503, &["not turned"]);
    console.get("/-/ready").await.says(503, &["the start is not over", "no channel"]);
    console.health.send_modify(|health| {
        health.last_turn = Some(tokio::time::Instant::now());
        health.booted = true;
        health.store_writable = true;
        health.desk_owned = true;
        health.channels = [(shiftbell::core::model::ChannelClass::Email, true)].into();
    });
    console.get("/-/healthy").await.says(200, &["alive"]);
    console.get("/-/ready").await.says(200, &["ready"]);
    console.health.send_modify(|health| health.store_writable = false);
    console.get("/-/healthy").await.says(200, &[]);
    console.get("/-/ready").await.says(503, &["the store takes no writes"]);
    let page = console.get("/metrics").await;
    page.says(200, &["shiftbell_build_info{", "process_resident_memory_bytes"]);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    console.owner().mode = Mode::Silent;
    assert_eq!(console.get("/metrics").await.status, 200, "figures wait for no desk");
    console.get("/nothing").await.says(404, &[]);
}

/// What Prometheus' own tool says of the page; where it is not installed there is nobody to ask.
#[tokio::test]
async fn the_page_of_figures_is_as_prometheus_wants_it() {
    let Ok(version) = std::process::Command::new("promtool").arg("--version").output() else {
        eprintln!("promtool is not installed: skipped");
        return;
    };
    assert!(version.status.success());
    let console = Console::start().await;
    let page = console.get("/metrics").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("metrics");
    std::fs::write(&file, &page.body).expect("written");
    let ran = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file).expect("just written"))
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}");
}
