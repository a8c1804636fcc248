//! Sources that answer badly, over real sockets, against the real program: each answer is a failure of the right class,
//! the memory stays in bounds, and what the same source says next is read.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};

use super::world::{World, wait_for};

/// What the program may take at the most: what is packed into the bombs alone is a gigabyte each.
const MEMORY: u64 = 300 << 20;

/// What a door does once it has said its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It closes.
    Close,
    /// It goes on with this, as fast as it is taken.
    Flood(&'static [u8]),
    /// It goes on with this, again and again, slowly.
    Drip(&'static [u8]),
}

/// What a source says first, and the failure that it is; `None` where it is none.
struct Bad {
    name: &'static str,
    text: Vec<u8>,
    then: Then,
    want: Option<&'static str>,
}

fn with(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\n").as_bytes(), body].concat()
}

fn json(more: &str, body: &[u8]) -> Vec<u8> {
    with(&format!("Content-Type: application/json\r\n{more}Content-Length: {}", body.len()), body)
}

/// A page with the one ticket of a source.
fn page(name: &str, at: &str, more: &str) -> String {
    format!("{{\"tickets\":[{{\"id\":\"GOOD-{name}\",\"at\":\"{at}\",\"title\":\"催发货\"}}]{more}}}")
}

/// A gigabyte of spaces, packed without a header: a part of it that stands alone, again and again.
fn packed() -> Vec<u8> {
    let (plain, mut part) = (vec![b' '; 16 << 20], Vec::with_capacity(1 << 20));
    let mut compress = Compress::new(Compression::fast(), false);
    compress.compress_vec(&plain, &mut part, FlushCompress::Full).expect("it can be packed");
    assert_eq!(compress.total_in(), plain.len() as u64, "all of it was taken");
    // An empty block ends it.
    let whole = [part.repeat(64), vec![3, 0]].concat();
    let length = std::io::copy(&mut DeflateDecoder::new(&whole[..]), &mut std::io::sink());
    assert_eq!(length.expect("it can be unpacked"), 1 << 30);
    whole
}

fn gzip(deflated: &[u8]) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], deflated, &[0; 8]].concat()
}

fn bad_ones(at: &str) -> Vec<Bad> {
    let bomb = packed();
    let (zipped, html) = (gzip(&bomb), b"<html><body>\xe7\xb9\x81\xe5\xbf\x99</body></html>");
    // Ten megabytes that nobody asks for, in texts of a thousand letters.
    let wide =
        page("wide", at, &format!(",\"more\":[{}0]", format!("\"{}\",", "催".repeat(333)).repeat(10_000)));
    assert!(wide.len() > 10_000_000);
    let plain = page("gbk", at, "");
    let (gbk, _, lossy) = encoding_rs::GBK.encode(&plain);
    assert!(!lossy);
    let utf8 = page("klingon", at, "");
    let headers: String = (0..100_000).fold(String::new(), |mut text, n| {
        _ = write!(text, "X-{n}: 1\r\n");
        text
    });
    let bad = |name, text, want| Bad { name, text, then: Then::Close, want };
    let charset = |charset: &str, body: &[u8]| {
        with(
            &format!("Content-Type: application/json; charset={charset}\r\nContent-Length: {}", body.len()),
            body,
        )
    };
    vec![
        bad("bomb", json("Content-Encoding: gzip\r\n", &zipped), Some("malformed (too_large)")),
        // Nobody asked for these: they are not unpacked at all.
        bad("deflate", json("Content-Encoding: deflate\r\n", &bomb), Some("malformed (not_json)")),
        bad("brotli", json("Content-Encoding: br\r\n", &bomb), Some("malformed (not_json)")),
        bad("nogzip", json("Content-Encoding: gzip\r\n", b"{\"tickets\":[]}"), Some("transient (broke_off)")),
        bad("halfgzip", json("Content-Encoding: gzip\r\n", &zipped[..30]), Some("transient (broke_off)")),
        bad("wide", json("", wide.as_bytes()), None),
        bad("toolarge", json("", &vec![b' '; (16 << 20) + 1]), Some("malformed (too_large)")),
        Bad {
            name: "endless",
            text: with("Content-Type: application/json", b"{"),
            then: Then::Flood(&[b' '; 65_536]),
            want: Some("malformed (too_large)"),
        },
        bad("html", with("Content-Type: text/html", html), Some("malformed (html)")),
        bad("gbk", charset("utf-8", &gbk), None),
        bad("klingon", charset("x-klingon", utf8.as_bytes()), None),
        bad("lengthlong", with("Content-Length: 5000", b"{\"tickets\":[]}"), Some("transient (broke_off)")),
        bad("lengthhuge", with("Content-Length: 9000000000000000000", b"{"), Some("transient (broke_off)")),
        bad("lengthshort", with("Content-Length: 5", b"{\"tickets\":[]}"), Some("malformed (not_json)")),
        bad("lengthnone", with("Content-Length: many", b"{\"tickets\":[]}"), Some("transient (no_answer)")),
        bad(
            "chunk",
            with("Transfer-Encoding: chunked", b"fffffffffffffff0\r\n{\"tickets\":"),
            Some("transient (broke_off)"),
        ),
        bad("headers", with(headers.trim_end(), b"{}"), Some("transient (no_answer)")),
        bad(
            "longheader",
            with(&format!("X-Long: {}", "a".repeat(10 << 20)), b"{}"),
            Some("transient (no_answer)"),
        ),
        bad("nohttp", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Some("transient (no_answer)")),
        bad("closed", Vec::new(), Some("transient (no_answer)")),
        Bad {
            name: "drip",
            text: with("Content-Type: application/json\r\nContent-Length: 100000", b"{"),
            then: Then::Drip(b" "),
            want: Some("transient (timeout)"),
        },
        Bad { name: "silent", text: Vec::new(), then: Then::Drip(b""), want: Some("transient (timeout)") },
        Bad {
            name: "wait",
            text: Vec::new(),
            then: Then::Drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
            want: Some("transient (timeout)"),
        },
    ]
}

/// What a door was asked: the first line of each request.
type Asked = Arc<Mutex<Vec<String>>>;

/// Opens a door. Its answers are made by how many requests came before. Answers the port.
fn open(asked: Asked, answer: impl Fn(usize) -> (Vec<u8>, Then) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (asked, answer) = (asked.clone(), answer.clone());
            std::thread::spawn(move || drop(serve(stream, &asked, &*answer)));
        }
    });
    port
}

fn serve(
    mut stream: TcpStream,
    asked: &Asked,
    answer: &dyn Fn(usize) -> (Vec<u8>, Then),
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let nth = {
        let mut asked = asked.lock().expect("nobody panics with it");
        asked.push(first);
        asked.len() - 1
    };
    let (text, then) = answer(nth);
    stream.write_all(&text)?;
    match then {
        Then::Close => Ok(()),
        Then::Flood(more) => loop {
            stream.write_all(more)?;
        },
        Then::Drip(more) => loop {
            stream.write_all(more)?;
            // Whoever asked has gone: his side is closed.
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            if matches!(stream.peek(&mut [0]), Ok(0)) {
                return Ok(());
            }
        },
    }
}

fn source(name: &str, port: u16) -> String {
    format!(
        "[sources.{name}]\nevery = \"15s\"\nquiet = [0, 0]\nlook_back = \"10m\"\n[sources.{name}.http]\n\
         base = \"http://127.0.0.1:{port}/\"\n[sources.{name}.http.lists.tickets]\nitems = \"tickets\"\nlag = \"1s\"\n\
         request = {{ url = \"tickets\", query = {{ after = \"{{{{ from }}}}\", now = \"{{{{ now | epoch }}}}\" }} }}\n\
         [sources.{name}.http.lists.tickets.map]\nkind = \"ticket\"\nid = \"row.id\"\nmodified = \"row.at\"\n\
         marks = {{ customer_message = \"row.at\" }}\nattributes = {{ title = \"row.title\" }}\n\n"
    )
}

/// The most memory that a process ever took, in bytes.
fn peak(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system says it");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

/// Issue 4: packed bombs, large pages, pages that drip, lies about lengths and charsets, HTML, heads without end.
#[test]
fn what_sources_answer_badly_is_told_and_the_next_answer_is_read() {
    let world = World::new();
    let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1)).to_string();
    let (mut lines, mut ids, mut wants) = (String::new(), Vec::new(), Vec::new());
    for Bad { name, text, then, want } in bad_ones(&at) {
        let good = json("", page(name, &at, "").as_bytes());
        let first = (text, then);
        let port = open(Asked::default(), move |nth| match nth {
            0 => first.clone(),
            _ => (good.clone(), Then::Close),
        });
        lines += &source(name, port);
        ids.push(format!("GOOD-{name}"));
        wants.push((name, want));
    }
    world.configure(&[("level = \"info\"\n", &format!("level = \"debug\"\n\n{lines}"))]);
    let program = world.start();
    wait_for("every source to be read", Duration::from_secs(180), || {
        (world.told(&ids).len() == ids.len()).then_some(())
    });
    let most = peak(program.pid());
    assert!(most < MEMORY, "it took {} MiB", most >> 20);
    program.stop();
    let log = fs::read_to_string(world.path("log")).expect("a log");
    let failures: Vec<&str> = log.lines().filter(|line| line.contains("a request failed")).collect();
    let wrong: Vec<String> = wants
        .iter()
        .filter_map(|(name, want)| {
            let told = |line: &&&str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == *name);
            let found: Vec<&&str> = failures.iter().filter(told).collect();
            let right = match want {
                Some(want) => found.len() == 1 && found[0].contains(want),
                None => found.is_empty(),
            };
            (!right).then(|| format!("{name}: expected {want:?}, found {found:#?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// T4: a platform whose clock is ten minutes ahead of ours is asked with its own time, and that is told.
#[test]
fn a_clock_that_is_wrong_is_believed_and_told() {
    for minutes in [-10, 10] {
        clock_is_off(minutes);
    }
}

fn clock_is_off(minutes: i64) {
    let world = World::new();
    let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1)).to_string();
    let asked = Asked::default();
    let port = open(asked.clone(), move |nth| {
        let theirs = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let date = theirs.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        // Three answers are enough to believe it; what is in them does not matter.
        let body = if nth < 2 { "<html>".to_owned() } else { page("clock", &at, "") };
        (json(&date, body.as_bytes()), Then::Close)
    });
    world.configure(&[("level = \"info\"\n", &format!("level = \"debug\"\n\n{}", source("clock", port)))]);
    let program = world.start();
    let told = wait_for("the clock to be told", Duration::from_secs(60), || world.open("source.skew").pop());
    assert!(told.to_string().contains("clock"), "{told}");
    // What it is asked with from then on.
    let before = asked.lock().expect("nobody panics with it").len();
    let line = wait_for("the next request", Duration::from_secs(60), || {
        asked.lock().expect("nobody panics with it").get(before).cloned()
    });
    let said =
        line.split("now=").nth(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    let said: i64 = said.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let off = said - jiff::Timestamp::now().as_second();
    assert!((off - 60 * minutes).abs() <= 60, "asked with a time that is {off} s ahead of ours");
    program.stop();
}
