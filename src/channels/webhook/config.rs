//! `[channels.NAME.webhook]`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::config::rebase;
use crate::channels::provider::ReachConfig;
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::wire::secret::Pick;

/// The form of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Our own, as `docs/webhook.md` has it.
    #[default]
    Shiftbell,
    /// As Alertmanager sends (version 4), for receivers that exist already.
    Alertmanager,
}

/// How it is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookSignature {
    /// As Standard Webhooks has it: `webhook-signature`, over id, time and body.
    #[default]
    Standard,
    /// As GitHub has it: `X-Hub-Signature-256`, over the body alone; whoever overhears a message can send it again.
    Github,
}

/// `[channels.NAME.webhook]`: somebody's HTTP endpoint. Without a `url` the address of each person is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// The endpoint of everybody; `https`, or `http` on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file that holds the url, where it has a token in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<String>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_credential: Option<String>,
    /// `shiftbell` or `alertmanager`.
    pub format: WebhookFormat,
    /// `standard` or `github`; for the latter the key is any text.
    pub signature: WebhookSignature,
    /// The file that holds the signing key, `whsec_…`. Two lines while a key is changed, the new one first: both sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// The variable of the environment that holds it; two keys parted by a space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_credential: Option<String>,
    /// The file that holds a token for `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<String>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_credential: Option<String>,
    /// How long the receiver remembers `webhook-id` and drops a second copy; `0s` when it does not.
    pub duplicate_horizon: Span,
    /// Certificates (PEM) that are trusted beside those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The proxy to go through: `http://HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Plain http to another machine.
    pub allow_plain: bool,
    /// An endpoint on this machine or in a private network.
    pub allow_private: bool,
    /// Where people reach the pages of this installation; told in the Alertmanager form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
}

impl Default for WebhookConfig {
    fn default() -> WebhookConfig {
        WebhookConfig {
            url: None,
            url_file: None,
            url_env: None,
            url_credential: None,
            format: WebhookFormat::default(),
            signature: WebhookSignature::default(),
            secret_file: None,
            secret_env: None,
            secret_credential: None,
            bearer_file: None,
            bearer_env: None,
            bearer_credential: None,
            duplicate_horizon: Span::DAY,
            ca_file: None,
            proxy: None,
            allow_plain: false,
            allow_private: false,
            external_url: None,
        }
    }
}

impl WebhookConfig {
    pub(super) fn url_secret(&self) -> Pick<'_> {
        Pick {
            base: "url",
            file: &self.url_file,
            env: &self.url_env,
            credential: &self.url_credential,
            inline: None,
        }
    }

    pub(super) fn secret(&self) -> Pick<'_> {
        Pick {
            base: "secret",
            file: &self.secret_file,
            env: &self.secret_env,
            credential: &self.secret_credential,
            inline: None,
        }
    }

    pub(super) fn bearer(&self) -> Pick<'_> {
        Pick {
            base: "bearer",
            file: &self.bearer_file,
            env: &self.bearer_env,
            credential: &self.bearer_credential,
            inline: None,
        }
    }

    /// Where it may lead.
    pub(super) fn reach(&self) -> ReachConfig {
        ReachConfig {
            base: None,
            ca_file: self.ca_file.clone(),
            proxy: self.proxy.clone(),
            allow_private: self.allow_private,
            allow_plain: self.allow_plain,
        }
    }

    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        for path in [&mut self.url_file, &mut self.secret_file, &mut self.bearer_file, &mut self.ca_file] {
            rebase(path, folder);
        }
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(url) = &self.url {
            if self.url_secret().is_given() {
                problems.error("has a url twice, expected one of url, url_file, url_env, url_credential");
            }
            if let Err(reason) = self.reach().target(url) {
                problems.within("url", |p| p.error(reason));
            }
        }
        for pick in [self.url_secret(), self.secret(), self.bearer()] {
            pick.check(problems);
        }
        if !self.secret().is_given() {
            problems.warn(
                "has no signing key: the receiver cannot tell our messages from others'; \
                 expected secret_file, secret_env or secret_credential",
            );
        }
        self.reach().check_here(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_key() {
        let told = |text: &str| -> Vec<String> {
            let config: WebhookConfig = toml::from_str(text).unwrap();
            let mut problems = Problems::new();
            config.check(&mut problems);
            problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
        };
        for (text, want) in [
            ("url = \"https://a.example/b\"", None),
            ("", None),
            ("url = \"http://a.example/b\"", Some("url: is http to another machine")),
            ("url = \"http://a.example/b\"\nallow_plain = true", None),
            ("url = \"http://127.0.0.1:9000/b\"", Some("url: leads to this machine or a private network")),
            ("url = \"http://127.0.0.1:9000/b\"\nallow_private = true", None),
            ("url = \"https://a.example/b\"\nurl_env = \"U\"", Some(": has a url twice")),
            ("secret_credential = \"k\"", Some(": has secret_env and secret_credential")),
            ("ca_file = \"/nonexistent\"", Some("ca_file: failed to read")),
            ("proxy = \"::\"", Some("proxy: is no URL of a proxy")),
        ] {
            let told = told(&format!("secret_env = \"K\"\n{text}"));
            match want {
                None => assert_eq!(told, [""; 0], "{text}"),
                Some(want) => assert!(told.len() == 1 && told[0].starts_with(want), "{text}: {told:?}"),
            }
        }
        let told = told("");
        assert!(told.len() == 1 && told[0].contains("has no signing key"), "{told:?}");
    }
}
