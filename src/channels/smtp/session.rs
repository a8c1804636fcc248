//! One mail over one connection, and the few idle connections that are kept.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;
use tokio::time::{Instant as Moment, timeout};

use super::login::cram_md5;
use crate::channels::http::{detail, detail_without};
use crate::channels::smtp::answer::{Reply, Stage, classify, enhanced};
use crate::channels::smtp::{Security, SmtpConfig};
use crate::channels::{BuildFault, Making};
use crate::core::ids::Secret;
use crate::core::model::{Outcome, OutcomeClass};
use crate::wire::http::{TlsFault, choose_tls, is_tls_refusal, read_ca, told};

/// A relay as it is configured.
pub(super) struct Relay {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    tls: Option<TlsParameters>,
    login: Option<(String, Secret)>,
    /// The password in every form in which it leaves: no answer may repeat it.
    forms: Vec<String>,
    connect: Duration,
    idle: Mutex<VecDeque<Idle>>,
    keep: usize,
    idle_for: Duration,
    mails_per_connection: u32,
}

/// A connection that waits for its next mail.
struct Idle {
    connection: AsyncSmtpConnection,
    mails: u32,
    since: Moment,
}

/// How far the attempt came; kept outside of it, so that it survives when the attempt is cut off.
struct Progress(AtomicU8);

const STAGES: [Stage; 6] =
    [Stage::Hello, Stage::Auth, Stage::Sender, Stage::Recipient, Stage::Data, Stage::Dot];

impl Progress {
    fn new() -> Progress {
        Progress(AtomicU8::new(0))
    }

    fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        STAGES[usize::from(self.0.load(Ordering::Relaxed)).min(STAGES.len() - 1)]
    }
}

/// How long a relay may take to say good-bye.
const LEAVE: Duration = Duration::from_millis(250);

/// Why an attempt did not end in a positive answer.
enum Failure {
    /// lettre's error, at the stage that the progress shows.
    Smtp(Error),
    /// The relay cannot do what is configured.
    Unable(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Smtp(error)
    }
}

impl Relay {
    pub(super) fn new(config: &SmtpConfig, domain: &str, making: &Making<'_>) -> Result<Relay, BuildFault> {
        choose_tls();
        let host = config.host.trim().trim_matches(['[', ']']).to_owned();
        let tls = match config.security {
            Security::Plain => None,
            Security::Tls | Security::Starttls => Some(tls(&host, config)?),
        };
        let password = config.password().read(making.env)?;
        let login = match (&config.username, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            _ => return Err(BuildFault::Setting("has only one of username and password".to_owned())),
        };
        let forms = login.iter().flat_map(|(user, password)| {
            let text = password.reveal();
            [text.to_owned(), STANDARD.encode(text), STANDARD.encode(format!("\0{user}\0{text}"))]
        });
        let forms = forms.collect();
        let hello = config.hello.clone().unwrap_or_else(|| domain.to_owned());
        Ok(Relay {
            host,
            port: config.port(),
            security: config.security,
            hello: match hello.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
                Ok(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
                Err(_) => ClientId::Domain(hello),
            },
            tls,
            login,
            forms,
            connect: making.limits.connect,
            idle: Mutex::new(VecDeque::new()),
            keep: usize::from(config.idle_connections),
            idle_for: Duration::from_millis(u64::try_from(config.idle_for.as_millis()).unwrap_or(0)),
            mails_per_connection: config.mails_per_connection.max(1),
        })
    }

    /// Hands one mail over, within `budget`.
    pub(super) async fn deliver(
        &self,
        from: &Address,
        to: &Address,
        mail: &[u8],
        attempt: u32,
        budget: Duration,
    ) -> Outcome {
        let progress = Progress::new();
        match timeout(budget, self.attempt(from, to, mail, &progress)).await {
            Ok(Ok(response)) => accepted(&response, &self.forms),
            Ok(Err(failure)) => failed(failure, progress.stage(), attempt, &self.forms),
            Err(_) => cut_off(progress.stage(), "timeout", "no answer in time"),
        }
    }

    /// Connects, logs in and takes leave: nobody is told anything.
    pub(super) async fn knock(&self, budget: Duration) -> Outcome {
        let progress = Progress::new();
        let trying = async {
            progress.enter(Stage::Hello);
            let mut connection = self.open().await?;
            progress.enter(Stage::Auth);
            self.log_in(&mut connection).await?;
            drop(timeout(LEAVE, connection.quit()).await);
            Ok(())
        };
        match timeout(budget, trying).await {
            Ok(Ok(())) => Outcome::of(OutcomeClass::Accepted),
            Ok(Err(failure)) => failed(failure, progress.stage(), 1, &self.forms),
            Err(_) => cut_off(progress.stage(), "timeout", "no answer in time"),
        }
    }

    async fn attempt(
        &self,
        from: &Address,
        to: &Address,
        mail: &[u8],
        progress: &Progress,
    ) -> Result<Response, Failure> {
        // An idle connection may have been closed by the relay meanwhile. Nothing is lost by trying it: that shows at
        // the first command, and a new connection takes its place.
        if let Some(mut idle) = self.take_idle() {
            progress.enter(Stage::Sender);
            match self.sender(&mut idle.connection, from, to).await {
                Ok(_) => return self.transmit(idle, to, mail, progress).await,
                Err(Failure::Smtp(error)) if error.status().is_none_or(|code| u16::from(code) == 421) => {}
                Err(failure) => return Err(failure),
            }
        }
        progress.enter(Stage::Hello);
        let mut connection = self.open().await?;
        progress.enter(Stage::Auth);
        self.log_in(&mut connection).await?;
        progress.enter(Stage::Sender);
        self.sender(&mut connection, from, to).await?;
        let fresh = Idle { connection, mails: 0, since: Moment::now() };
        self.transmit(fresh, to, mail, progress).await
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, Failure> {
        let server = (self.host.as_str(), self.port);
        let wrapper = self.tls.clone().filter(|_| self.security == Security::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.connect), &self.hello, wrapper, None)
                .await?;
        if self.security == Security::Starttls {
            let Some(tls) = self.tls.clone().filter(|_| connection.can_starttls()) else {
                connection.abort().await;
                return Err(Failure::Unable(
                    "the relay does not offer STARTTLS, expected it; for port 465 use security = \"tls\"",
                ));
            };
            connection.starttls(tls, &self.hello).await?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        const WAYS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
        if connection.server_info().get_auth_mechanism(&WAYS).is_none() {
            // What else it offers, lettre does not tell: the one other way that needs no password in clear is tried.
            if let Ok(asked) = connection.command("AUTH CRAM-MD5\r\n").await
                && let Some(answer) = asked.first_line().and_then(|c| cram_md5(user, password.reveal(), c))
            {
                connection.command(format!("{answer}\r\n")).await?;
                return Ok(());
            }
            connection.abort().await;
            return Err(Failure::Unable("the relay offers none of AUTH PLAIN, LOGIN and CRAM-MD5 here"));
        }
        let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
        connection.auth(&WAYS, &credentials).await?;
        Ok(())
    }

    async fn sender(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        to: &Address,
    ) -> Result<Response, Failure> {
        use lettre::transport::smtp::extension::MailParameter;
        let mut parameters = Vec::new();
        if [from, to].iter().any(|a| !AsRef::<str>::as_ref(a).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure::Unable(
                    "the relay takes no addresses with letters beyond ASCII (SMTPUTF8)",
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        Ok(connection.command(Mail::new(Some(from.clone()), parameters)).await?)
    }

    /// From the recipient to the final dot.
    async fn transmit(
        &self,
        mut idle: Idle,
        to: &Address,
        mail: &[u8],
        progress: &Progress,
    ) -> Result<Response, Failure> {
        let connection = &mut idle.connection;
        progress.enter(Stage::Recipient);
        if let Err(error) = connection.command(Rcpt::new(to.clone(), Vec::new())).await {
            if error.status().is_some() {
                // Refused in good order: take leave in good order too, but do not wait long for it.
                drop(timeout(LEAVE, connection.quit()).await);
            }
            return Err(error.into());
        }
        progress.enter(Stage::Data);
        connection.command(Data).await?;
        // lettre asks for the next piece when the one before has left, and sends the final dot when there is none: so
        // the mark below stands exactly between the text and the dot.
        let mut pieces = std::iter::once(mail);
        let pieces = std::iter::from_fn(|| {
            let piece = pieces.next();
            if piece.is_none() {
                progress.enter(Stage::Dot);
            }
            piece
        });
        let response = connection.message_iter(pieces).await?;
        idle.mails += 1;
        self.give_back(idle);
        Ok(response)
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The oldest are at the front; those that waited too long are dropped, which closes them.
        while idle.front().is_some_and(|i| i.since.elapsed() >= self.idle_for) {
            idle.pop_front();
        }
        idle.pop_back()
    }

    fn give_back(&self, mut idle: Idle) {
        if idle.mails >= self.mails_per_connection || idle.connection.has_broken() {
            return;
        }
        idle.since = Moment::now();
        let mut kept = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.push_back(idle);
        while kept.len() > self.keep {
            kept.pop_front();
        }
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Relay({}:{}, {:?})", self.host, self.port, self.security)
    }
}

fn tls(host: &str, config: &SmtpConfig) -> Result<TlsParameters, TlsFault> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let pem = read_ca(path.as_ref())?;
        let not_pem = |reason: String| TlsFault::NotPem { path: path.into(), reason };
        let certificate = Certificate::from_pem(&pem).map_err(|e| not_pem(told(&e)))?;
        if !pem.windows(27).any(|w| w == b"-----BEGIN CERTIFICATE-----") {
            return Err(not_pem("nothing found".to_owned()));
        }
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|e| TlsFault::Client(told(&e)))
}

fn accepted(response: &Response, secrets: &[String]) -> Outcome {
    let text = response.message().collect::<Vec<_>>().join(" ");
    let code: u16 = response.code().into();
    let code = match enhanced(code, &text) {
        Some([a, b, c]) => format!("{code} {a}.{b}.{c}"),
        None => code.to_string(),
    };
    Outcome {
        class: OutcomeClass::Accepted,
        code: Some(code),
        detail: Some(detail_without(&text, secrets)),
        wait: None,
        provider_id: queue_id(&text),
    }
}

/// The relay's own id of the mail, as exim, postfix and others tell it.
fn queue_id(text: &str) -> Option<String> {
    let after =
        ["queued as ", "id="].iter().find_map(|sign| text.split_once(sign).map(|(_, after)| after))?;
    let id: String = after
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect();
    (!id.is_empty()).then_some(id)
}

fn failed(failure: Failure, stage: Stage, attempt: u32, secrets: &[String]) -> Outcome {
    let error = match failure {
        Failure::Unable(what) => {
            return Outcome { detail: Some(what.to_owned()), ..Outcome::of(OutcomeClass::Config) };
        }
        Failure::Smtp(error) => error,
    };
    if let Some(code) = error.status() {
        let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let reply = Reply::new(stage, code.into(), &text);
        let (class, wait) = classify(&reply, attempt);
        return Outcome {
            class,
            code: Some(reply.code_text()),
            detail: Some(detail_without(&format!("{}: {text}", stage.word()), secrets)),
            wait,
            provider_id: None,
        };
    }
    if stage <= Stage::Hello && is_tls_refusal(&error) {
        return Outcome {
            code: Some("tls".to_owned()),
            detail: Some(detail(&told(&error))),
            ..Outcome::of(OutcomeClass::Config)
        };
    }
    cut_off(stage, "connection", &told(&error))
}

/// The connection ended without an answer.
fn cut_off(stage: Stage, code: &str, what: &str) -> Outcome {
    let class = if stage == Stage::Dot { OutcomeClass::Unknown } else { OutcomeClass::Transient };
    Outcome {
        class,
        code: Some(code.to_owned()),
        detail: Some(detail(&format!("{}: {what}", stage.word()))),
        wait: None,
        provider_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relays_own_id_is_found() {
        for (text, want) in [
            ("OK id=1sTu6Z-0001-AB", Some("1sTu6Z-0001-AB")),
            ("2.0.0 Ok: queued as 4F2A91C3", Some("4F2A91C3")),
            ("OK", None),
            ("OK id=", None),
        ] {
            assert_eq!(queue_id(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn only_after_the_dot_nobody_can_know() {
        for stage in STAGES {
            let want = if stage == Stage::Dot { OutcomeClass::Unknown } else { OutcomeClass::Transient };
            assert_eq!(cut_off(stage, "timeout", "x").class, want, "{stage:?}");
        }
    }
}
