//! Mail against a real MTA (exim4: STARTTLS, implicit TLS, AUTH, greylisting, refusals), and against a small server that
//! does what no MTA does on request: it stops in the middle.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shiftbell::channels::Channel;
use shiftbell::core::model::{Outcome, OutcomeClass};
use shiftbell::core::time::Span;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::channels::{Overheard, channel, claim};
use crate::exim::{Exim, free_port};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

impl Exim {
    /// The settings of a channel to it.
    fn settings(&self, security: &str, port: u16, more: &str) -> String {
        format!(
            "[smtp]\nhost = \"localhost\"\nport = {port}\nsecurity = \"{security}\"\n\
             from = \"售后值班 <alerts@shiftbell.test>\"\nca_file = {:?}\n{more}",
            self.ca().display().to_string()
        )
    }

    fn channel(&self, security: &str, total: Duration) -> Arc<dyn Channel> {
        let port = if security == "tls" { self.tls } else { self.starttls };
        let login = "username = \"alerts\"\npassword_env = \"PW\"";
        channel(&self.settings(security, port, login), &[("PW", "secret1")], total)
    }

    /// The mail that holds `sign`, once it is there.
    async fn mail(&self, sign: &str) -> String {
        let folder = self.mails();
        let found = || {
            std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
                .find(|mail| mail.contains(sign))
        };
        until("the mail arrives", || async { found().is_some() }).await;
        found().unwrap()
    }
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let asking = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in 30 s"));
}

fn class(outcome: &Outcome) -> (OutcomeClass, Option<&str>) {
    (outcome.class, outcome.code.as_deref())
}

#[tokio::test]
async fn a_real_relay_takes_mails_over_tls_and_refuses_what_it_must() {
    let exim = Exim::start();
    // Both kinds of TLS, with a login.
    for (n, security) in [(1, "starttls"), (2, "tls")] {
        let channel = exim.channel(security, LONG);
        let claim = claim(n, "ops@shiftbell.test");
        let outcome = channel.send(&claim).await;
        assert_eq!(class(&outcome), (OutcomeClass::Accepted, Some("250")), "{security}: {outcome:?}");
        assert!(outcome.provider_id.is_some(), "exim tells its id: {outcome:?}");
        let mail = exim.mail(&format!("<msg-{}@shiftbell.test>", claim.message)).await;
        for line in [
            &format!("In-Reply-To: <inc-{}.0@shiftbell.test>", claim.thread),
            &format!("References: <inc-{}.0@shiftbell.test>", claim.thread),
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "To: ops@shiftbell.test",
        ] {
            assert!(mail.lines().any(|l| l == line), "{line} in {mail}");
        }
        assert!(mail.contains("esmtpsa") || mail.contains("with esmtpsa"), "over TLS, logged in: {mail}");
        // The same message once more, over the connection that was kept.
        let again = channel.send(&claim).await;
        assert_eq!(again.class, OutcomeClass::Accepted, "{again:?}");
    }
    // What it refuses.
    let channel = exim.channel("starttls", LONG);
    let outcome = channel.send(&claim(3, "greylist@shiftbell.test")).await;
    assert_eq!(outcome.class, OutcomeClass::Transient, "{outcome:?}");
    assert!(outcome.wait >= Some(Span::MINUTE), "{outcome:?}");
    let outcome = channel.send(&claim(4, "reject@shiftbell.test")).await;
    assert_eq!(class(&outcome), (OutcomeClass::RecipientPermanent, Some("550 5.1.1")), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("reject@"), "no clear address: {outcome:?}");
    let outcome = channel.send(&claim(5, "no address")).await;
    assert_eq!(outcome.class, OutcomeClass::RecipientPermanent, "{outcome:?}");
    let hasty = exim.channel("starttls", SHORT);
    let outcome = hasty.send(&claim(6, "slow@shiftbell.test")).await;
    assert_eq!(class(&outcome), (OutcomeClass::Transient, Some("timeout")), "before the text: {outcome:?}");
}

#[tokio::test]
async fn what_is_set_up_wrongly_is_told_apart_from_what_is_down() {
    let exim = Exim::start();
    let login = "username = \"alerts\"\npassword_env = \"PW\"";
    let send = async |text: &str, password: &str| {
        let channel = channel(text, &[("PW", password)], LONG);
        let outcome = channel.send(&claim(1, "ops@shiftbell.test")).await;
        let shown = format!("{outcome:?}");
        assert!(!shown.contains(password), "no password in an outcome: {shown}");
        outcome
    };
    let outcome = send(&exim.settings("starttls", exim.starttls, login), "wrong-password").await;
    assert_eq!(outcome.class, OutcomeClass::Credential, "{outcome:?}");
    assert!(outcome.code.as_deref().is_some_and(|c| c.starts_with("535")), "{outcome:?}");
    // Without TLS it offers no login; `localhost` may be spoken to so.
    let outcome = send(&exim.settings("plain", exim.starttls, login), "secret1").await;
    assert_eq!(outcome.class, OutcomeClass::Config, "{outcome:?}");
    // TLS from the first byte on a port that begins in clear.
    let outcome = send(&exim.settings("tls", exim.starttls, login), "secret1").await;
    assert_eq!(outcome.class, OutcomeClass::Config, "{outcome:?}");
    // A certificate that nobody vouches for.
    let strange = exim
        .settings("tls", exim.tls, login)
        .lines()
        .filter(|l| !l.starts_with("ca_file"))
        .fold(String::new(), |all, line| all + line + "\n");
    let outcome = send(&strange, "secret1").await;
    assert_eq!(class(&outcome), (OutcomeClass::Config, Some("tls")), "{outcome:?}");
    // A certificate of another name.
    let other = exim.settings("tls", exim.tls, login).replace("\"localhost\"", "\"127.0.0.2\"");
    let outcome = send(&other, "secret1").await;
    assert_eq!(outcome.class, OutcomeClass::Transient, "nobody listens there: {outcome:?}");
    // Nobody there.
    let outcome = send(&exim.settings("tls", free_port(), login), "secret1").await;
    assert_eq!(class(&outcome), (OutcomeClass::Transient, Some("connection")), "{outcome:?}");
    let outcome = send(&exim.settings("starttls", exim.starttls, ""), "secret1").await;
    assert_eq!(outcome.class, OutcomeClass::RecipientPermanent, "without login it refuses RCPT: {outcome:?}");
}

/// What the small server does, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trick {
    None,
    /// Says this instead of its good answer.
    Say(&'static str, &'static str),
    /// Closes when it has read this.
    Close(&'static str),
    /// Never answers again when it has read this.
    Stall(&'static str),
    /// Closes each connection after one mail, without a word.
    CloseAfterMail,
    /// Offers only AUTH LOGIN.
    LoginOnly,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    lines: Vec<String>,
    mails: Vec<String>,
}

/// A server that knows tricks; ended with the test.
struct Small {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Small {
    async fn start(trick: Trick) -> Small {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let all = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut children = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                all.lock().unwrap().connections += 1;
                children.spawn(serve(stream, trick, Arc::clone(&all)));
            }
        });
        Small { port, seen, _tasks: tasks }
    }

    fn channel(&self, more: &str, total: Duration) -> Arc<dyn Channel> {
        let port = self.port;
        let text = format!(
            "[smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"plain\"\nfrom = \"a@shiftbell.test\"\n{more}"
        );
        channel(&text, &[("PW", "p@ss word+1"), ("PW2", "authcode16chars0")], total)
    }

    fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

async fn serve(stream: TcpStream, trick: Trick, seen: Arc<Mutex<Seen>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let login = if trick == Trick::LoginOnly { "AUTH LOGIN" } else { "AUTH LOGIN PLAIN" };
    let hello = format!("250-small\r\n250-{login}\r\n250 8BITMIME");
    let mut say = "220 small ESMTP".to_owned();
    loop {
        if writer.write_all(format!("{say}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(line)) = lines.next_line().await else { return };
        seen.lock().unwrap().lines.push(line.clone());
        let mut word = line.split([' ', ':']).next().unwrap().to_uppercase();
        say = match word.as_str() {
            "EHLO" => hello.clone(),
            "AUTH" if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6".to_owned(),
            "AUTH" if trick == Trick::LoginOnly => "334 UGFzc3dvcmQ6".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 2.0.0 fine".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            "DATA" if trick != Trick::Close("DATA") && trick != Trick::Stall("DATA") => {
                if let Trick::Say("DATA", answer) = trick {
                    say = answer.to_owned();
                    continue;
                }
                if writer.write_all(b"354 go on\r\n").await.is_err() {
                    return;
                }
                let mut mail = String::new();
                loop {
                    match lines.next_line().await {
                        Ok(Some(line)) if line == "." => break,
                        Ok(Some(line)) => mail += &(line + "\n"),
                        _ => return,
                    }
                    if trick == Trick::Close("TEXT") {
                        return;
                    }
                }
                seen.lock().unwrap().mails.push(mail);
                word = ".".to_owned();
                "250 2.0.0 queued as 4F2A91C3".to_owned()
            }
            // The lines of a login, and what nobody knows.
            _ if line.ends_with('=') || !line.contains(' ') => "235 welcome".to_owned(),
            _ => "500 5.5.1 what?".to_owned(),
        };
        if word == "YWXLCNRAC2IUZXHHBXBSZQ==" {
            say = "334 UGFzc3dvcmQ6".to_owned();
        }
        match trick {
            Trick::Say(at, answer) if at == word => say = answer.to_owned(),
            Trick::Close(at) if at == word => return,
            Trick::Stall(at) if at == word => std::future::pending().await,
            Trick::CloseAfterMail if word == "." => {
                drop(writer.write_all(format!("{say}\r\n").as_bytes()).await);
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn only_what_was_cut_off_after_the_final_dot_is_unknown() {
    use OutcomeClass::*;
    for (trick, want, why) in [
        (Trick::None, Accepted, "250 2.0.0"),
        (Trick::Close("EHLO"), Transient, "connection"),
        (Trick::Close("MAIL"), Transient, "connection"),
        (Trick::Close("RCPT"), Transient, "connection"),
        (Trick::Close("DATA"), Transient, "connection"),
        (Trick::Close("TEXT"), Transient, "connection"),
        (Trick::Close("."), Unknown, "connection"),
        (Trick::Stall("EHLO"), Transient, "timeout"),
        (Trick::Stall("RCPT"), Transient, "timeout"),
        (Trick::Stall("DATA"), Transient, "timeout"),
        (Trick::Stall("."), Unknown, "timeout"),
        (Trick::Say(".", "what is this"), Unknown, "connection"),
        (Trick::Say("EHLO", "554 5.7.0 go away"), Config, "554 5.7.0"),
        (Trick::Say("MAIL", "553 Mail from must equal authorized user"), Config, "553"),
        (Trick::Say("RCPT", "550 5.1.1 no such user"), RecipientPermanent, "550 5.1.1"),
        (Trick::Say("RCPT", "450 4.2.0 Greylisting in action"), Transient, "450 4.2.0"),
        (Trick::Say("DATA", "451 4.3.0 busy"), Transient, "451 4.3.0"),
        (Trick::Say(".", "550 Connection frequency limited"), Throttled, "550"),
        (Trick::Say(".", "554 5.7.1 spam"), ContentPermanent, "554 5.7.1"),
        (Trick::Say(".", "421 4.3.2 shutting down"), Transient, "421 4.3.2"),
        (Trick::Say(".", "552 Daily quota exceeded"), Config, "552"),
    ] {
        let server = Small::start(trick).await;
        let total = if matches!(trick, Trick::Stall(_)) { SHORT } else { LONG };
        let mut claim = claim(1, "ops@shiftbell.test");
        if trick == Trick::Close("TEXT") {
            // More than the sockets hold: a short text has left, dot and all, before anybody sees that nobody reads.
            claim.body.text = "x\n".repeat(8 << 20);
        }
        let outcome = server.channel("", total).send(&claim).await;
        assert_eq!(class(&outcome), (want, Some(why)), "{trick:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_text_arrives_as_it_is() {
    let server = Small::start(Trick::None).await;
    let outcome = server.channel("", LONG).send(&claim(1, "ops@shiftbell.test")).await;
    assert_eq!(outcome.provider_id.as_deref(), Some("4F2A91C3"));
    server.seen(|seen| {
        assert!(seen.lines.contains(&"MAIL FROM:<a@shiftbell.test>".to_owned()), "{seen:?}");
        assert!(seen.lines.contains(&"RCPT TO:<ops@shiftbell.test>".to_owned()), "{seen:?}");
        assert!(seen.mails[0].contains("Subject: =?utf-8?b?"), "{seen:?}");
    });
}

#[tokio::test]
async fn connections_are_kept_within_bounds() {
    let server = Small::start(Trick::None).await;
    let channel = server.channel("mails_per_connection = 3", LONG);
    for n in 1..=7 {
        assert_eq!(channel.send(&claim(n, "ops@shiftbell.test")).await.class, OutcomeClass::Accepted);
    }
    assert_eq!(server.seen(|s| (s.connections, s.mails.len())), (3, 7), "3, 3 and 1");
    let server = Small::start(Trick::None).await;
    let channel = server.channel("idle_connections = 0", LONG);
    for n in 1..=2 {
        channel.send(&claim(n, "ops@shiftbell.test")).await;
    }
    assert_eq!(server.seen(|s| s.connections), 2);
    // A connection that the relay has closed is no failure.
    let server = Small::start(Trick::CloseAfterMail).await;
    let channel = server.channel("", LONG);
    for n in 1..=3 {
        let outcome = channel.send(&claim(n, "ops@shiftbell.test")).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    }
    assert_eq!(server.seen(|s| (s.connections, s.mails.len())), (3, 3));
}

#[tokio::test]
async fn logins_are_spoken_as_published() {
    let vectors: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../fixtures/channels/smtp_auth.json")).unwrap();
    for (trick, mechanism, variable) in [(Trick::None, "PLAIN", "PW"), (Trick::LoginOnly, "LOGIN", "PW2")] {
        let vector = vectors.iter().find(|v| v["inputs"]["mechanism"] == mechanism).unwrap();
        let server = Small::start(trick).await;
        let more = format!("username = {}\npassword_env = \"{variable}\"", vector["inputs"]["username"]);
        let channel = server.channel(&more, LONG);
        assert_eq!(channel.send(&claim(1, "ops@shiftbell.test")).await.class, OutcomeClass::Accepted);
        for line in vector["expected"]["client_lines"].as_array().unwrap() {
            // The client of the vectors puts the user beside AUTH LOGIN, lettre waits to be asked; RFC 4954 has both.
            let line = line.as_str().unwrap();
            let line = line.strip_prefix("AUTH LOGIN ").unwrap_or(line).to_owned();
            server.seen(|seen| assert!(seen.lines.contains(&line), "{line}: {:?}", seen.lines));
        }
    }
}

#[tokio::test]
async fn nobody_overhears_a_password() {
    let heard = Overheard::begin();
    tracing::info!("listening");
    let server = Small::start(Trick::Say("AUTH", "535 5.7.8 not p@ss word+1")).await;
    let channel = server.channel("username = \"alert@sb.example\"\npassword_env = \"PW\"", LONG);
    let outcome = channel.send(&claim(1, "ops@shiftbell.test")).await;
    assert_eq!(outcome.class, OutcomeClass::Credential, "{outcome:?}");
    let all = format!("{}{outcome:?}{:?}", heard.text(), channel.card());
    assert!(all.contains("listening"));
    for secret in ["p@ss", "AGFsZXJ0QHNiLmV4YW1wbGUAcEBzcyB3b3JkKzE="] {
        assert!(!all.contains(secret), "{all}");
    }
}
