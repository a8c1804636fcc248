//! `[server]`: where the program can be reached, by whom, and within which limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::problem::Problems;
use crate::core::time::Span;

/// `[server]` (HTTP 服务).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port. Sockets that systemd hands over take the place of it.
    pub listen: String,
    /// The socket of this machine that the command line speaks to, such as `/run/shiftbell/control.sock`. Only the
    /// user who runs the program can use it.
    pub socket: Option<PathBuf>,
    /// Who may push observations or operate over the network, by a name of yours.
    pub tokens: BTreeMap<String, ClientConfig>,
    /// Limits.
    pub limits: LimitsConfig,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: "127.0.0.1:8460".to_owned(),
            socket: None,
            tokens: BTreeMap::new(),
            limits: LimitsConfig::default(),
        }
    }
}

/// `[server.tokens.NAME]`: a system that may call.
///
/// ```toml
/// [server.tokens.erp]
/// token_file = "/etc/shiftbell/erp.token"   # or credential = "erp-token", handed over by systemd
/// rate       = "100/s"                      # observations, on average
/// sources    = ["erp-*"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// The file that holds its token: at least 16 characters, white space around them is not of it.
    pub token_file: Option<PathBuf>,
    /// The name of the systemd credential that holds it instead.
    pub credential: Option<String>,
    /// What it may do.
    pub role: ClientRole,
    /// How many observations it may push on average: `100/s`, `3000/m`.
    pub rate: Option<String>,
    /// The sources it may speak for; `*` stands for any letters. Empty: all.
    pub sources: Vec<String>,
}

/// What a calling system may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientRole {
    /// Push observations.
    #[default]
    Source,
    /// See incidents and act on them in the name of people; reload.
    Operator,
    /// Say what became of messages; its `sources` are the channels it may speak of.
    Provider,
}

/// `[server.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address.
    pub connections_per_address: usize,
    /// A connection that has not sent the head of a request in this time is closed.
    pub header_timeout: Span,
    /// A body of which nothing came for this long is given up.
    pub body_timeout: Span,
    /// From its fifth second on, a body must come at this many bytes a second at least.
    pub body_bytes_per_second: u64,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The most observations in one request.
    pub batch: usize,
    /// For a request in all.
    pub request_timeout: Span,
    /// At a stop, requests under way have this long to end.
    pub stop_timeout: Span,
    /// The address of a caller is the last one in `X-Forwarded-For`: set it when, and only when, every request comes
    /// through a proxy of yours on this machine.
    pub behind_proxy: bool,
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            connections: 1024,
            connections_per_address: 256,
            header_timeout: Span::from_secs(10),
            body_timeout: Span::from_secs(10),
            body_bytes_per_second: 1024,
            body_bytes: 8 << 20,
            batch: 1000,
            request_timeout: Span::from_secs(30),
            stop_timeout: Span::from_secs(10),
            behind_proxy: false,
        }
    }
}

impl LimitsConfig {
    /// See `header_timeout`.
    pub fn header_timeout(&self) -> Duration {
        duration(self.header_timeout)
    }

    /// See `body_timeout`.
    pub fn body_timeout(&self) -> Duration {
        duration(self.body_timeout)
    }

    /// See `request_timeout`.
    pub fn request_timeout(&self) -> Duration {
        duration(self.request_timeout)
    }

    /// See `stop_timeout`.
    pub fn stop_timeout(&self) -> Duration {
        duration(self.stop_timeout)
    }

    fn check(&self, problems: &mut Problems) {
        let mut at_least = |key: &str, value: usize, least: usize| {
            if value < least {
                problems.within(key, |p| p.error(format!("found {value}, expected at least {least}")));
            }
        };
        at_least("connections", self.connections, 8);
        at_least("connections_per_address", self.connections_per_address, 1);
        at_least("body_bytes", self.body_bytes, 1024);
        at_least("batch", self.batch, 1);
        if self.body_bytes > 256 << 20 {
            problems.within("body_bytes", |p| {
                p.error(format!(
                    "found {}, expected at most 268435456: bodies are held in memory",
                    self.body_bytes
                ));
            });
        }
        if self.batch > 100_000 {
            problems.within("batch", |p| p.error(format!("found {}, expected at most 100000", self.batch)));
        }
        for (key, span, longest) in [
            ("header_timeout", self.header_timeout, Span::MINUTE),
            ("body_timeout", self.body_timeout, Span::MINUTE),
            ("request_timeout", self.request_timeout, Span::from_minutes(5)),
            ("stop_timeout", self.stop_timeout, Span::MINUTE),
        ] {
            if span.is_zero() || span > longest {
                problems.within(key, |p| {
                    p.error(format!("found {span}, expected more than 0s and at most {longest}"))
                });
            }
        }
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or_default())
}

impl ServerConfig {
    /// Notes everything that is wrong with it. Files are not read here.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| match self.address() {
            Ok(address) if !address.ip().is_loopback() => problems.warn(format!(
                "{address} can be reached from other machines without encryption, expected a proxy with TLS in front \
                 of 127.0.0.1"
            )),
            Ok(_) => {}
            Err(text) => problems.error(text),
        });
        if let Some(socket) = &self.socket {
            problems.within("socket", |problems| {
                if !socket.is_absolute() {
                    problems.error(format!("found {}, expected an absolute path", socket.display()));
                } else if socket.as_os_str().len() > 100 {
                    problems.error("is longer than the 100 bytes that a socket's path may have");
                }
            });
        }
        problems.within("limits", |problems| self.limits.check(problems));
        problems.within("tokens", |problems| {
            for (name, client) in &self.tokens {
                problems.within(name.as_str(), |problems| client.check(problems));
            }
        });
    }

    /// The address to listen on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn address(&self) -> Result<SocketAddr, String> {
        self.listen.parse().map_err(|_| {
            format!("`{}` is not an address and port, expected such as 127.0.0.1:8460", self.listen)
        })
    }
}

impl ClientConfig {
    fn check(&self, problems: &mut Problems) {
        if self.token_file.is_some() == self.credential.is_some() {
            problems.error("names no token or two, expected either token_file or credential");
        }
        if let Some(credential) = &self.credential
            && (credential.is_empty() || credential.contains(['/', '\0']) || credential.starts_with('.'))
        {
            problems
                .within("credential", |p| p.error("is not the name of a credential, expected a plain name"));
        }
        if let Err(text) = self.rate() {
            problems.within("rate", |p| p.error(text));
        }
        for (i, source) in self.sources.iter().enumerate() {
            if source.is_empty() {
                problems.within("sources", |p| p.within(i, |p| p.error("is empty, expected such as erp-*")));
            }
        }
        if self.role == ClientRole::Operator && (self.rate.is_some() || !self.sources.is_empty()) {
            problems.warn("has a rate or sources, but an operator pushes nothing: role = \"source\" does");
        }
    }

    /// Its rate: so many, in so long.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn rate(&self) -> Result<Option<(NonZeroU32, Duration)>, String> {
        let Some(text) = &self.rate else { return Ok(None) };
        let read = || {
            let (count, unit) = text.split_once('/')?;
            let count = count.trim().parse().ok()?;
            let secs = match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            Some((count, Duration::from_secs(secs)))
        };
        match read() {
            Some(rate) => Ok(Some(rate)),
            None => Err(format!("`{text}` is not a rate, expected such as 100/s, 3000/m or 50000/h")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let config: ServerConfig = toml::from_str(text).expect("it has the right shape");
        let mut problems = Problems::new();
        config.check(&mut problems);
        problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
    }

    #[test]
    fn what_is_right_is_not_told() {
        assert_eq!(told(""), [""; 0]);
        let full = r#"
            listen = "[::1]:0"
            socket = "/run/shiftbell/control.sock"
            [tokens.erp]
            token_file = "/etc/shiftbell/erp.token"
            rate = "100/s"
            sources = ["erp-*"]
            [tokens.ops]
            credential = "ops-token"
            role = "operator"
            [limits]
            connections = 64
        "#;
        assert_eq!(told(full), [""; 0]);
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        for (text, want) in [
            ("listen = \"8460\"", "listen: `8460` is not an address and port"),
            ("listen = \"0.0.0.0:8460\"", "listen: 0.0.0.0:8460 can be reached from other machines"),
            ("socket = \"control.sock\"", "socket: found control.sock, expected an absolute path"),
            ("[tokens.erp]", "tokens.erp: names no token or two"),
            ("[tokens.erp]\ntoken_file=\"a\"\ncredential=\"b\"", "tokens.erp: names no token or two"),
            ("[tokens.erp]\ncredential=\"../b\"", "tokens.erp.credential: is not the name"),
            ("[tokens.erp]\ntoken_file=\"a\"\nrate=\"fast\"", "tokens.erp.rate: `fast` is not a rate"),
            ("[tokens.erp]\ntoken_file=\"a\"\nrate=\"0/s\"", "tokens.erp.rate: `0/s` is not a rate"),
            ("[tokens.erp]\ntoken_file=\"a\"\nsources=[\"\"]", "tokens.erp.sources[0]: is empty"),
            ("[tokens.o]\ntoken_file=\"a\"\nrole=\"operator\"\nrate=\"1/s\"", "tokens.o: has a rate"),
            ("[limits]\nconnections = 1", "limits.connections: found 1, expected at least 8"),
            ("[limits]\nbody_bytes = 999999999", "limits.body_bytes: found 999999999"),
            ("[limits]\nheader_timeout = \"0s\"", "limits.header_timeout: found 0s"),
            ("[limits]\nbatch = 0", "limits.batch: found 0"),
        ] {
            let told = told(text);
            assert!(told.len() == 1 && told[0].starts_with(want), "{text}\nfound {told:?}\nexpected {want}");
        }
    }
}
