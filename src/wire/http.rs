//! What every adapter that speaks HTTP has in common: the one place where clients are built (time limits, no redirects, no
//! proxy but the configured one, one TLS stack: rustls with ring), and how errors, dates and waiting times are read.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::core::time::{Instant, Span};

/// Nobody may ask us to wait longer than this.
pub const LONGEST_WAIT: Span = Span::DAY;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To connect.
    pub connect: Duration,
    /// For one attempt in all.
    pub total: Duration,
}

/// A certificate file, or a client, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The file cannot be read.
    #[error("failed to read ca_file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in it.
    #[error("ca_file {} has no certificate, expected PEM (-----BEGIN CERTIFICATE-----): {reason}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was said of it.
        reason: String,
    },
    /// The client cannot be made.
    #[error("failed to set up TLS: {0}")]
    Client(String),
}

/// Chooses rustls with ring for the whole process, once. `main` may have done so already.
pub fn choose_tls() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // An error says that a provider has been chosen before: that one is used then.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// The bytes of a file of certificates.
pub(crate) fn read_ca(path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|source| TlsFault::Read { path: path.to_owned(), source })
}

/// What a client of one channel needs.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// Certificates that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The proxy to go through; the environment's is not looked at.
    pub proxy: Option<String>,
    /// How many requests may be under way at once: so many connections are kept.
    pub connections: u16,
    /// Only addresses of the public internet are connected to: what is written in a URL must not reach into this network.
    pub public_only: bool,
}

/// Whether an address is one of the public internet: not of this machine, this network, a private or shared one, the
/// metadata of a cloud, or one that stands for such an address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                // Shared by carriers; Aliyun's metadata is 100.100.100.200.
                || (a == 100 && (64..128).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(ip) => {
            let parts = ip.segments();
            let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
            match parts {
                [0, 0, 0, 0, 0, 0xffff | 0, high, low] if !ip.is_loopback() && !ip.is_unspecified() => {
                    is_public(v4(high, low))
                }
                // NAT64 and 6to4 hold an address of version 4.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public(v4(high, low)),
                [first, ..] => first & 0xe000 == 0x2000 && !(first == 0x2001 && parts[1] == 0xdb8),
            }
        }
    }
}

/// A name that leads to no public address.
#[derive(Debug, thiserror::Error)]
#[error("{name} leads to no address of the public internet; if that is meant, set allow_private = true")]
pub struct NotPublic {
    /// The name.
    name: String,
}

/// Looks names up and keeps what is public: at each connection, so that a name cannot change its mind after a check.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<_> = found.filter(|address| is_public(address.ip())).collect();
            if good.is_empty() {
                return Err(Box::new(NotPublic { name: name.as_str().to_owned() }) as _);
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Whether an error says that a name leads into a private network.
pub(crate) fn is_not_public(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A client with the limits of the house.
///
/// # Errors
/// A certificate file that cannot be used, a proxy that is no URL.
pub fn client(config: &ClientConfig, limits: &Limits) -> Result<reqwest::Client, TlsFault> {
    choose_tls();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("shiftbell/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(usize::from(config.connections.max(4)));
    if let Some(path) = &config.ca_file {
        let pem = read_ca(path)?;
        let not_pem = |reason: String| TlsFault::NotPem { path: path.clone(), reason };
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| not_pem(e.to_string()))?;
        if certificates.is_empty() {
            return Err(not_pem("nothing found".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    // A proxy looks names up by itself.
    if config.public_only && config.proxy.is_none() {
        builder = builder.dns_resolver(PublicOnly);
    }
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy).map_err(|e| TlsFault::Client(e.without_url().to_string()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| TlsFault::Client(told(&e.without_url())))
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

/// Whether the other side showed a certificate that is not to be trusted, or does not speak TLS at all: waiting does
/// not help.
pub(crate) fn is_tls_refusal(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(e) = error.downcast_ref::<rustls::Error>() {
            return is_lasting(e);
        }
        if let Some(e) = error.downcast_ref::<io::Error>()
            && let Some(e) = e.get_ref()
        {
            if let Some(e) = e.downcast_ref::<rustls::Error>() {
                return is_lasting(e);
            }
            if is_tls_refusal(e) {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

fn is_lasting(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
    )
}

/// What a `Retry-After` asks for: seconds, or an HTTP date in any of its three forms. At most [`LONGEST_WAIT`].
pub fn retry_after(value: &str, now: Instant) -> Option<Span> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Span::from_secs(value.parse().unwrap_or(i64::MAX / 1000).min(LONGEST_WAIT.as_secs()))
    } else {
        http_date(value)?.since(now)
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The instant of a `Date` header.
pub(crate) fn http_date(text: &str) -> Option<Instant> {
    // The date of today, the one of RFC 850, and the one of asctime (RFC 9110 §5.6.7). All are in GMT.
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())
        .and_then(|date| jiff::tz::TimeZone::UTC.to_timestamp(date).ok())
        .map(Instant::from_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for (ip, public) in [
            ("8.8.8.8", true),
            ("203.119.1.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.100.100.200", false),
            ("100.128.0.1", true),
            ("0.0.0.0", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2408:8000::1", true),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::10.0.0.1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    #[test]
    fn waiting_times_are_read_as_seconds_and_as_dates() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = Instant::from_secs(784_111_777);
        for (value, want) in [
            ("120", Some(Span::from_secs(120))),
            (" 7 ", Some(Span::from_secs(7))),
            ("0", Some(Span::ZERO)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(Span::from_secs(30))),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(Span::from_secs(30))),
            ("Sun Nov  6 08:50:07 1994", Some(Span::from_secs(30))),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(Span::ZERO)),
            ("Sat, 06 Nov 2094 08:49:07 GMT", Some(LONGEST_WAIT)),
            ("99999999999999999999", Some(LONGEST_WAIT)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), want, "{value}");
        }
    }
}
