//! Who asks, what they may, and how much of a body is read: everything that is decided before a request is understood.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Shared;
use super::config::{ClientConfig, ClientRole, LimitsConfig, ServerConfig};
use super::limit::Limit;
use super::problem::Problem;
use crate::core::problem::Problems;
use crate::daemon::handle::Noticed;
use crate::telemetry::metrics::Refused;

/// The shortest token that is taken, in characters.
const SHORTEST_TOKEN: usize = 16;
const LONGEST_TOKEN: usize = 512;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over the network.
    Net(IpAddr),
    /// Over the socket of this machine, by the user who runs the program or by root.
    Machine,
}

impl Peer {
    /// The address that a request is counted under, as the proxy of ours tells it where there is one. A whole network
    /// of IPv6 counts as one address, because one caller has all of it.
    pub(crate) fn caller(self, headers: &HeaderMap, limits: &LimitsConfig) -> Option<IpAddr> {
        let Peer::Net(address) = self else { return None };
        let told = || {
            let last = headers.get_all("x-forwarded-for").into_iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let address = limits.behind_proxy.then(told).flatten().unwrap_or(address);
        Some(network_of(address))
    }
}

/// The address itself, or the first 64 bits of one of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        },
        v4 => v4,
    }
}

/// A system that may call.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: Arc<str>,
    /// Of the token; the token itself is forgotten once it is read.
    digest: [u8; 32],
    pub(crate) role: ClientRole,
    sources: Vec<String>,
    rate: Option<Mutex<Limit>>,
    /// Its places for large bodies.
    pub(crate) large: Semaphore,
}

impl Client {
    /// Whether it may speak for a source.
    pub(crate) fn speaks_for(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|pattern| fits(pattern, source))
    }

    /// Takes `n` of its rate, or says how long to wait.
    pub(crate) fn take(&self, n: usize, now: Instant) -> Result<(), Duration> {
        match &self.rate {
            Some(limit) => limit.lock().unwrap_or_else(PoisonError::into_inner).take(n, now),
            None => Ok(()),
        }
    }
}

/// Whether a pattern with `*` fits a text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The systems that may call, with the digests of their tokens.
#[derive(Debug, Default)]
pub struct Clients(Vec<Client>);

impl Clients {
    /// Reads the tokens of a configuration: paths are relative to `folder`, credentials are files in `credentials`.
    /// What is wrong is noted under the present key; the client is then left out.
    pub fn read(
        config: &ServerConfig,
        folder: &Path,
        credentials: Option<&Path>,
        problems: &mut Problems,
    ) -> Clients {
        let mut clients: Vec<Client> = Vec::new();
        for (name, client) in &config.tokens {
            problems.within("tokens", |problems| {
                problems.within(name.as_str(), |problems| {
                    let Some(token) = token_of(client, folder, credentials, problems) else { return };
                    let digest = Sha256::digest(token.as_bytes()).into();
                    if let Some(other) = clients.iter().find(|c| c.digest == digest) {
                        problems.error(format!(
                            "has the same token as `{}`, expected one of its own",
                            other.name
                        ));
                        return;
                    }
                    let rate = client.rate().ok().flatten().map(|(count, per)| {
                        // A whole batch must fit at once, else it could never be taken at full speed.
                        let batch = u32::try_from(config.limits.batch).unwrap_or(u32::MAX);
                        Mutex::new(Limit::new(count, per, batch.max(count.get())))
                    });
                    let (name, role, sources) = (name.as_str().into(), client.role, client.sources.clone());
                    let large = Semaphore::new(super::BATCHES / 2);
                    clients.push(Client { name, digest, role, sources, rate, large });
                });
            });
        }
        Clients(clients)
    }

    /// Who has this token. Every digest is compared, each in constant time.
    fn find(&self, token: &str) -> Option<&Client> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for client in &self.0 {
            if bool::from(client.digest.ct_eq(&digest)) {
                found = Some(client);
            }
        }
        found
    }

    fn has_operator(&self) -> bool {
        self.0.iter().any(|client| client.role == ClientRole::Operator)
    }
}

fn token_of(
    client: &ClientConfig,
    folder: &Path,
    credentials: Option<&Path>,
    problems: &mut Problems,
) -> Option<String> {
    let path = match (&client.token_file, &client.credential) {
        (Some(file), _) => folder.join(file),
        (None, Some(name)) => {
            match credentials {
                Some(folder) => folder.join(name),
                None => {
                    problems.error("names a credential, but systemd handed none over: expected LoadCredential= in the unit");
                    return None;
                }
            }
        }
        // `check` has told it.
        (None, None) => return None,
    };
    let told = |text: String| format!("the token in {}: {text}", path.display());
    let read = std::fs::metadata(&path).and_then(|meta| match meta.len() {
        0..=4096 => std::fs::read_to_string(&path),
        _ => Err(std::io::Error::other("is larger than 4 KiB")),
    });
    let token = match read {
        Ok(text) => text.trim().to_owned(),
        Err(error) => {
            problems.error(told(format!("cannot be read: {error}")));
            return None;
        }
    };
    if !(SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&token.len())
        || !token.bytes().all(|b| b.is_ascii_graphic())
    {
        problems.error(told(format!(
            "has {} bytes, expected {SHORTEST_TOKEN} to {LONGEST_TOKEN} visible ASCII characters on one line, such as \
             `openssl rand -hex 32` prints",
            token.len()
        )));
        return None;
    }
    Some(token)
}

/// Who is asking, once that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller<'a> {
    /// The command line on this machine.
    Machine,
    /// A system with a token.
    Client(&'a Client),
}

impl Caller<'_> {
    /// Its word for the audit.
    pub(crate) fn via(self) -> &'static str {
        match self {
            Caller::Machine => "cli",
            Caller::Client(_) => "api",
        }
    }

    /// Its name for the audit.
    pub(crate) fn name(self) -> Arc<str> {
        match self {
            Caller::Machine => "machine".into(),
            Caller::Client(client) => client.name.clone(),
        }
    }
}

/// Lets in who has the role: the machine always, others by their token.
pub(crate) fn admit<'a>(
    shared: &'a Shared,
    peer: Peer,
    headers: &HeaderMap,
    role: ClientRole,
) -> Result<Caller<'a>, Problem> {
    if peer == Peer::Machine {
        return Ok(Caller::Machine);
    }
    if role == ClientRole::Operator && !shared.clients.has_operator() {
        return Err(Problem::not_found("there is nothing at this address"));
    }
    let mut given = headers.get_all(header::AUTHORIZATION).into_iter();
    let token = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        }),
        _ => None,
    };
    let Some(token) = token else { return Err(Problem::challenge()) };
    match shared.clients.find(token).filter(|_| token.len() <= LONGEST_TOKEN) {
        Some(client) if client.role == role => Ok(Caller::Client(client)),
        Some(_) => Err(Problem::new(403, "this token is for something else")),
        None => {
            shared.metrics.refused(Refused::Token);
            missed(shared, peer, headers)?;
            Err(Problem::challenge())
        }
    }
}

/// Counts a guess; an address that guesses too often is told to wait.
pub(crate) fn missed(shared: &Shared, peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(address) = peer.caller(headers, &shared.limits) else { return Ok(()) };
    let now = Instant::now();
    if shared.misses.overall(now) {
        shared.handle.tell(Noticed::Guessing);
    }
    shared.misses.note(address, now).map_err(|wait| {
        shared.metrics.refused(Refused::Rate);
        Problem::new(429, "too many wrong tokens from this address").after(wait)
    })
}

/// Wrong guesses, by address. It holds so many addresses at most; those beyond it share one count.
#[derive(Debug, Default)]
pub(crate) struct Misses(Mutex<Guesses>);

#[derive(Debug, Default)]
struct Guesses {
    by_address: BTreeMap<IpAddr, Limit>,
    others: Option<Limit>,
    overall: Option<Limit>,
    told_at: Option<Instant>,
}

impl Misses {
    const ADDRESSES: usize = 4096;
    /// So many wrong ones a minute from one address are answered as wrong, more of them with "wait".
    const A_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();
    /// So many in ten minutes overall, and the sysadmin is told that somebody guesses (S38).
    const OVERALL: NonZeroU32 = NonZeroU32::new(100).unwrap();
    const TEN_MINUTES: Duration = Duration::from_secs(600);
    /// How often it is told while it goes on.
    const TOLD_EVERY: Duration = Duration::from_secs(60);

    /// Counts one more, from wherever. Answers whether that makes it guessing, once a minute while it goes on.
    fn overall(&self, now: Instant) -> bool {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let overall = guesses
            .overall
            .get_or_insert_with(|| Limit::new(Self::OVERALL, Self::TEN_MINUTES, Self::OVERALL.get()));
        let guessing = overall.take(1, now).is_err()
            && guesses.told_at.is_none_or(|at| now.saturating_duration_since(at) >= Self::TOLD_EVERY);
        if guessing {
            guesses.told_at = Some(now);
            tracing::warn!(alarm = "system.code_guessing", "somebody guesses links or tokens");
        }
        guessing
    }

    fn note(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let guesses = &mut *guesses;
        let new = || Limit::new(Self::A_MINUTE, Duration::from_secs(60), Self::A_MINUTE.get());
        if guesses.by_address.len() >= Self::ADDRESSES && !guesses.by_address.contains_key(&address) {
            guesses.by_address.retain(|_, limit| !limit.is_full(now));
        }
        let limit =
            match guesses.by_address.len() < Self::ADDRESSES || guesses.by_address.contains_key(&address) {
                true => guesses.by_address.entry(address).or_insert_with(new),
                false => guesses.others.get_or_insert_with(new),
            };
        limit.take(1, now)
    }
}

/// Reads a body of at most `most` bytes that comes fast enough. A larger one is refused by its announced length, before
/// a byte of it is read.
pub(crate) async fn body(
    limits: &LimitsConfig,
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(413, format!("the body is larger than {most} bytes")).closing();
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::new(415, "the body is packed; send it as it is").closing());
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    // What is announced is believed only so far.
    let expected = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut read: Vec<u8> = Vec::with_capacity(expected.min(256 << 10));
    let begun = Instant::now();
    loop {
        let frame = match tokio::time::timeout(limits.body_timeout(), body.frame()).await {
            Err(_) => return Err(Problem::new(408, "the body did not come in time").closing()),
            Ok(None) => return Ok(read.into()),
            Ok(Some(Err(_))) => return Err(Problem::new(400, "the body broke off").closing()),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > most {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
        let took = begun.elapsed().as_secs();
        if took >= 5 && (read.len() as u64) < took.saturating_mul(limits.body_bytes_per_second) {
            return Err(Problem::new(408, "the body comes too slowly").closing());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_people_expect() {
        for (pattern, text, want) in [
            ("erp", "erp", true),
            ("erp", "erp-1", false),
            ("erp-*", "erp-1", true),
            ("erp-*", "erp", false),
            ("*", "", true),
            ("*-erp", "shop-erp", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn tokens_are_read_and_their_mistakes_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        file("good", "0123456789abcdef0123\n");
        file("same", " 0123456789abcdef0123 ");
        file("short", "secret");
        file("two-lines", "0123456789abcdef\n0123456789abcdef\n");
        file("large", &"x".repeat(5000));
        let told = |text: &str| {
            let config: ServerConfig = toml::from_str(text).expect("the right shape");
            let mut problems = Problems::new();
            let clients = Clients::read(&config, folder.path(), Some(folder.path()), &mut problems);
            let told: Vec<String> =
                problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect();
            (clients, told)
        };
        let (clients, problems) =
            told("[tokens.a]\ntoken_file = \"good\"\n[tokens.b]\ncredential = \"two-lines\"");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(clients.find("0123456789abcdef0123").map(|c| &*c.name), Some("a"));
        for wrong in ["", "0123456789abcdef012", "0123456789abcdef0124", "0123456789abcdef01230"] {
            assert!(clients.find(wrong).is_none(), "{wrong}");
        }
        for (text, want) in [
            ("[tokens.a]\ntoken_file = \"good\"\n[tokens.b]\ntoken_file = \"same\"", "the same token as `a`"),
            ("[tokens.a]\ntoken_file = \"short\"", "has 6 bytes, expected 16"),
            ("[tokens.a]\ntoken_file = \"large\"", "larger than 4 KiB"),
            ("[tokens.a]\ntoken_file = \"missing\"", "cannot be read"),
        ] {
            let (_, problems) = told(text);
            assert!(problems.len() == 1 && problems[0].contains(want), "{problems:?} without {want}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn guesses_are_counted_by_address_and_bounded() {
        let misses = Misses::default();
        let now = Instant::now();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for _ in 0..10 {
            assert_eq!(misses.note(address(1), now), Ok(()));
        }
        assert_eq!(misses.note(address(1), now), Err(Duration::from_secs(6)));
        assert_eq!(misses.note(address(2), now), Ok(()), "another address is not held to it");
        for n in 0..20_000 {
            let _ = misses.note(address(n), now);
        }
        assert!(misses.0.lock().expect("not poisoned").by_address.len() <= Misses::ADDRESSES);
        assert!(misses.note(address(30_000), now).is_err(), "those beyond the bound share a count");
        assert_eq!(misses.note(address(1), now + Duration::from_secs(60)), Ok(()));
    }

    /// S38: 100 in ten minutes, from wherever they come.
    #[test]
    fn s38_more_than_a_hundred_misses_are_guessing() {
        let misses = Misses::default();
        let now = Instant::now();
        let at = |secs| now + Duration::from_secs(secs);
        assert!((0..100).all(|_| !misses.overall(at(0))), "people mistype");
        assert!(misses.overall(at(0)));
        assert!(!misses.overall(at(1)), "once");
        assert!((0..60).any(|_| misses.overall(at(61))), "and again while it goes on");
        assert!(!misses.overall(at(1300)), "two at night are none");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
