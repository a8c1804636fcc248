//! `[channels.NAME.smtp]`.

use std::path::Path;

use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::config::rebase;
use crate::channels::mail::mailbox;
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::wire::http::read_ca;
use crate::wire::secret::{InlineSecret, Pick};

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte (465); preferred.
    #[default]
    Tls,
    /// STARTTLS, which must succeed (587).
    Starttls,
    /// No protection: to this machine only, unless `allow_plain`.
    Plain,
}

/// `[channels.NAME.smtp]`: mail by a relay (邮件). Chinese mailboxes want an authorization code (授权码) as password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// The relay.
    pub host: String,
    /// Its port; 465 for `tls`, 587 for `starttls`, 25 for `plain`.
    pub port: Option<u16>,
    /// `tls`, `starttls` or `plain`.
    #[serde(default)]
    pub security: Security,
    /// Who the mails are from: `售后值班 <alerts@example.com>`. Most relays want the address of the account.
    pub from: String,
    /// The account, where the relay wants one.
    pub username: Option<String>,
    /// The file that holds the password, or the authorization code (授权码).
    pub password_file: Option<String>,
    /// The variable of the environment that holds it.
    pub password_env: Option<String>,
    /// The systemd credential that holds it (`LoadCredential=`).
    pub password_credential: Option<String>,
    /// The password itself; wants `allow_inline_password` beside it.
    pub password: Option<InlineSecret>,
    /// The password may stand in the configuration: everybody who can read the file has it.
    #[serde(default)]
    pub allow_inline_password: bool,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<String>,
    /// Send without TLS to another machine. Mails and passwords can be read on the way.
    #[serde(default)]
    pub allow_plain: bool,
    /// The name to greet with; the domain of message ids when it is not given.
    pub hello: Option<String>,
    /// The domain of message ids; the one of `from` when it is not given.
    pub domain: Option<String>,
    /// How many idle connections are kept.
    #[serde(default = "connections")]
    pub idle_connections: u16,
    /// How long they are kept.
    #[serde(default = "idle_for")]
    pub idle_for: Span,
    /// After so many mails a connection is closed: relays dislike longer ones.
    #[serde(default = "mails")]
    pub mails_per_connection: u32,
}

fn connections() -> u16 {
    2
}

fn idle_for() -> Span {
    Span::from_secs(30)
}

fn mails() -> u32 {
    20
}

impl SmtpConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        rebase(&mut self.password_file, folder);
        rebase(&mut self.ca_file, folder);
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::Tls => 465,
            Security::Starttls => 587,
            Security::Plain => 25,
        })
    }

    pub(super) fn password(&self) -> Pick<'_> {
        Pick {
            base: "password",
            file: &self.password_file,
            env: &self.password_env,
            credential: &self.password_credential,
            inline: self.password.as_ref(),
        }
    }

    pub(super) fn message_domain(&self, from: &Mailbox) -> String {
        self.domain.clone().unwrap_or_else(|| from.email.domain().to_owned())
    }

    fn is_local(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if self.host.trim().is_empty()
            || self.host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@')
        {
            problems.within("host", |p| {
                p.error(format!("found `{}`, expected a host such as smtp.example.com", self.host));
            });
        }
        if mailbox(&self.from).is_err() {
            problems.within("from", |p| {
                p.error(format!(
                    "found `{}`, expected a mailbox such as `售后值班 <alerts@example.com>`",
                    self.from
                ));
            });
        }
        if self.security == Security::Plain && !self.is_local() && !self.allow_plain {
            problems.within("security", |p| {
                p.error(
                    "found plain to another machine: everybody on the way can read mails and password; \
                     expected tls or starttls, or allow_plain = true beside it",
                );
            });
        }
        if let (Some(user), Ok(from)) = (&self.username, mailbox(&self.from))
            && mailbox(user).is_ok_and(|user| user.email != from.email)
        {
            problems.within("from", |p| {
                p.warn("has another address than username: many relays refuse that (553, 436)");
            });
        }
        match (&self.username, self.password().is_given()) {
            (Some(_), false) => problems.error(
                "has a username without a password, expected one of password_file, password_env, password_credential",
            ),
            (None, true) => problems.error("has a password without a username, expected both or neither"),
            _ => {}
        }
        if self.password.is_some() && !self.allow_inline_password {
            problems.within("password", |p| {
                p.error(
                    "stands in the configuration, expected password_file, password_env or password_credential; \
                     or allow_inline_password = true beside it",
                );
            });
        }
        self.password().check(problems);
        if let Some(file) = &self.ca_file
            && let Err(e) = read_ca(file.as_ref())
        {
            problems.within("ca_file", |p| p.error(e.to_string()));
        }
        if let Some(domain) = &self.domain
            && mailbox(&format!("x@{domain}")).is_err()
        {
            problems.within("domain", |p| {
                p.error(format!("found `{domain}`, expected a domain such as example.com"))
            });
        }
        if self.mails_per_connection == 0 {
            problems.within("mails_per_connection", |p| p.error("found 0, expected at least 1"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_key() {
        let told = |text: &str| -> Vec<String> {
            let config: SmtpConfig = toml::from_str(text).unwrap();
            let mut problems = Problems::new();
            config.check(&mut problems);
            problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
        };
        let good = "host = \"smtp.example.com\"\nfrom = \"值班 <a@example.com>\"\n";
        for (more, want) in [
            ("", None),
            ("security = \"starttls\"", None),
            ("security = \"plain\"", Some("security: found plain to another machine")),
            ("security = \"plain\"\nallow_plain = true", None),
            ("username = \"a\"", Some(": has a username without a password")),
            ("password_env = \"P\"", Some(": has a password without a username")),
            ("username = \"a\"\npassword_env = \"P\"", None),
            ("username = \"a@example.com\"\npassword_env = \"P\"", None),
            (
                "username = \"b@example.com\"\npassword_env = \"P\"",
                Some("from: has another address than username"),
            ),
            ("username = \"a\"\npassword = \"P\"", Some("password: stands in the configuration")),
            ("username = \"a\"\npassword = \"P\"\nallow_inline_password = true", None),
            (
                "username = \"a\"\npassword_env = \"P\"\npassword_credential = \"p\"",
                Some(": has password_env and password_credential"),
            ),
            (
                "username = \"a\"\npassword_credential = \"/etc/p\"",
                Some("password_credential: found `/etc/p`"),
            ),
            ("username = \"a\"\npassword_file = \"/nonexistent\"", Some("password_file: cannot be read now")),
            ("ca_file = \"/nonexistent\"", Some("ca_file: failed to read ca_file /nonexistent")),
            ("domain = \"a b\"", Some("domain: found `a b`")),
            ("mails_per_connection = 0", Some("mails_per_connection: found 0")),
        ] {
            let told = told(&format!("{good}{more}"));
            match want {
                None => assert_eq!(told, [""; 0], "{more}"),
                Some(want) => assert!(told.len() == 1 && told[0].starts_with(want), "{more}: {told:?}"),
            }
        }
        assert_eq!(told("host = \"a b\"\nfrom = \"nobody\"").len(), 2);
        assert_eq!(told("host = \"127.0.0.1\"\nsecurity = \"plain\"\nfrom = \"a@b.c\""), [""; 0]);
    }

    #[test]
    fn the_port_follows_the_security() {
        for (security, port) in [(Security::Tls, 465), (Security::Starttls, 587), (Security::Plain, 25)] {
            assert_eq!(SmtpConfig { security, ..SmtpConfig::default() }.port(), port);
        }
    }

    #[test]
    fn no_password_is_in_what_is_printed() {
        let config = SmtpConfig { password: Some(InlineSecret::new("hunter2")), ..SmtpConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
