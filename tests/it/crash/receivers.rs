//! Where messages arrive: an HTTP endpoint and a mail server, small but on real sockets. They count copies.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// By key: how often it was taken, and the text.
    pub(super) hooks: BTreeMap<String, (u32, String)>,
    /// By `Message-ID`: how often it was taken, and the text.
    pub(super) mails: BTreeMap<String, (u32, String)>,
    /// Requests that began.
    pub(super) begun: u32,
}

impl Arrived {
    /// Whether any text names this.
    pub(super) fn names(&self, what: &str) -> bool {
        self.hooks.values().chain(self.mails.values()).any(|(_, text)| text.contains(what))
    }
}

pub(super) type Shared = Arc<Mutex<Arrived>>;

/// Listens for webhooks; each is answered after `delay`. Answers the port.
pub(super) fn hooks(arrived: Shared, delay: Duration) -> u16 {
    listen(move |stream| drop(hook(stream, &arrived, delay)))
}

/// Listens for mail. Answers the port.
pub(super) fn mails(arrived: Shared) -> u16 {
    listen(move |stream| drop(mail(stream, &arrived)))
}

fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

fn hook(stream: TcpStream, arrived: &Shared, delay: Duration) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut key, mut length, mut line) = (String::new(), 0, String::new());
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        arrived.lock().unwrap().begun += 1;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => key = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        {
            let mut arrived = arrived.lock().unwrap();
            let entry = arrived.hooks.entry(key).or_insert((0, text));
            entry.0 += 1;
        }
        std::thread::sleep(delay);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
    }
}

fn mail(stream: TcpStream, arrived: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    stream.write_all(b"220 mail.test ESMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb: String = line.chars().take(4).collect::<String>().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => stream.write_all(b"250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")?,
            "DATA" => {
                arrived.lock().unwrap().begun += 1;
                stream.write_all(b"354 go on\r\n")?;
                let (mut text, mut id) = (String::new(), String::new());
                loop {
                    line.clear();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    if line.to_ascii_lowercase().starts_with("message-id:") {
                        id = line[11..].trim().to_owned();
                    }
                    text.push_str(&line);
                }
                {
                    let mut arrived = arrived.lock().unwrap();
                    let entry = arrived.mails.entry(id).or_insert((0, text));
                    entry.0 += 1;
                }
                stream.write_all(b"250 2.0.0 taken\r\n")?;
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => stream.write_all(b"250 2.0.0 ok\r\n")?,
        }
    }
}
