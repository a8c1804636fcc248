//! A whole program under measurement: the real binary in a folder of its own, on free ports, and what the system says of
//! its use of the machine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// An instant as the events have it.
pub fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).expect("a year of ours").to_string()
}

/// A port that nobody has now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until `is` is true.
pub fn wait_for(what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is() {
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs; killed when it is dropped.
pub struct Program {
    child: Child,
    /// Where it listens.
    pub port: u16,
    /// From its start until it said that it is ready.
    pub ready: Duration,
    folder: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The token that may push.
const TOKEN: &str = "bench-bench-bench-bench";
/// The token that may operate.
const OPERATOR: &str = "operator-operator-operator";

impl Program {
    /// Starts shiftbell in `folder` and waits until it is ready. `PORT` in the configuration is where it listens.
    pub fn start(folder: &Path, config: &str) -> Program {
        let port = free_port();
        let config = config.replace("PORT", &port.to_string());
        fs::write(folder.join("shiftbell.toml"), config).expect("it can be written");
        fs::write(folder.join("token"), TOKEN).expect("it can be written");
        fs::write(folder.join("ops"), OPERATOR).expect("it can be written");
        let log = fs::File::create(folder.join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
        command
            .args(["run", "--config"])
            .arg(folder.join("shiftbell.toml"))
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        Program::begin(command, folder, port, "/-/ready")
    }

    /// Starts any program that answers 200 at `ready` on `port` when it can be used.
    pub fn begin(mut command: Command, folder: &Path, port: u16, ready: &str) -> Program {
        let began = Instant::now();
        let child = command.spawn().expect("the program is there");
        let mut program = Program { child, port, ready: Duration::ZERO, folder: folder.to_owned() };
        let until = began + Duration::from_secs(120);
        loop {
            if let Some(mut client) = Client::try_connect(port)
                && client.get(ready).is_some_and(|(status, _)| status == 200)
            {
                break;
            }
            if let Some(status) = program.child.try_wait().expect("it is ours") {
                panic!("it ended with {status}:\n{}", program.log());
            }
            assert!(Instant::now() < until, "not ready in time:\n{}", program.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        program.ready = began.elapsed();
        program
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said, the end of it.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Asks it to stop, and says how long that took.
    pub fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.signal("-TERM");
        let until = began + Duration::from_secs(60);
        while self.child.try_wait().expect("it is ours").is_none() {
            assert!(Instant::now() < until, "it does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        began.elapsed()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill is there").success());
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::try_connect(self.port).expect("it listens")
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time, of all its threads.
    pub cpu: Duration,
    /// Memory now, in bytes.
    pub rss: u64,
    /// Memory at its most.
    pub peak: u64,
    /// Bytes handed to the disk.
    pub written: u64,
    /// Calls that write, to anything.
    pub writes: u64,
}

impl Usage {
    /// Of a process.
    pub fn of(pid: u32) -> Usage {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let field = |text: &str, key: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let (status, io, stat) = (read("status"), read("io"), read("stat"));
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks =
            |i: usize| after.split_whitespace().nth(i).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
        Usage {
            // Fields 14 and 15 of the whole line, in hundredths of a second.
            cpu: Duration::from_millis((ticks(11) + ticks(12)) * 10),
            rss: field(&status, "VmRSS:") * 1024,
            peak: field(&status, "VmHWM:") * 1024,
            written: field(&io, "write_bytes:"),
            writes: field(&io, "syscw:"),
        }
    }
}

/// One connection that is kept.
pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    token: &'static str,
    port: u16,
}

impl Client {
    /// A connection, where somebody listens.
    pub fn try_connect(port: u16) -> Option<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone().ok()?);
        Some(Client { stream, reader, token: TOKEN, port })
    }

    /// The same with the token of an operator.
    pub fn into_operator(self) -> Client {
        Client { token: OPERATOR, ..self }
    }

    /// Reads a page.
    pub fn get(&mut self, path: &str) -> Option<(u16, Vec<u8>)> {
        self.exchange("GET", path, "", &[])
    }

    /// Sends a body; panics when nobody answers.
    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
        if let Some(answer) = self.exchange("POST", path, content_type, body) {
            return answer;
        }
        // A connection that was idle for long is closed: the next one is as good.
        let token = self.token;
        *self = Client { token, ..Client::try_connect(self.port).expect("it listens") };
        self.exchange("POST", path, content_type, body).expect("an answer")
    }

    /// Pushes events, one a line; panics unless all are taken.
    pub fn push(&mut self, lines: &str) {
        let (status, answer) = self.post("/v1/observations", "application/x-ndjson", lines.as_bytes());
        let head = &answer[..answer.len().min(300)];
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(head));
        assert!(answer.windows(11).any(|w| w == b"\"refused\":0"), "{}", String::from_utf8_lossy(head));
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Option<(u16, Vec<u8>)> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            self.token,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).ok()?;
        let (mut line, mut length, mut chunked) = (String::new(), None, false);
        self.reader.read_line(&mut line).ok()?;
        let status: u16 = line.split(' ').nth(1)?.parse().ok()?;
        loop {
            line.clear();
            self.reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse::<usize>().ok(),
                "transfer-encoding" => chunked = value.contains("chunked"),
                _ => {}
            }
        }
        let mut answer = Vec::new();
        if chunked {
            loop {
                line.clear();
                self.reader.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).ok()?;
                let from = answer.len();
                answer.resize(from + size, 0);
                self.reader.read_exact(&mut answer[from..]).ok()?;
                line.clear();
                self.reader.read_line(&mut line).ok()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            answer.resize(length.unwrap_or(0), 0);
            self.reader.read_exact(&mut answer).ok()?;
        }
        Some((status, answer))
    }
}
