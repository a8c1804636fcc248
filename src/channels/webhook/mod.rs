//! Somebody's HTTP endpoint (`apis/channels` §12): JSON, signed as Standard Webhooks has it, with a key that lets the
//! receiver drop the second copy. `docs/webhook.md` describes it for whoever writes a receiver.

mod alertmanager;
mod config;
pub mod sign;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use tokio::time::timeout;

use crate::channels::http::{LONGEST_ANSWER, detail_without, failed};
use crate::channels::{
    Adapter, BuildError, BuildFault, Channel, ChannelConfig, Clock, Limits, Making, Markup, ReachConfig,
};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, ReceiptPath, ReplyPath,
};
use crate::core::time::{Instant, Span};
use crate::wire::http::{ClientConfig, client, http_date, retry_after};

pub use config::{WebhookConfig, WebhookFormat, WebhookSignature};

use sign::SigningKeys;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "webhook",
    about: "Webhook / JSON to an HTTP endpoint of yours, signed (Standard Webhooks, Alertmanager)",
    class: ChannelClass::Webhook,
    markup: Markup::Plain,
    chosen: |config| config.webhook.is_some(),
    check: |config, problems| config.webhook.iter().for_each(|webhook| webhook.check(problems)),
    build: |config, making| {
        let webhook = config.webhook.clone().unwrap_or_default();
        match Webhook::new(&webhook, config, making) {
            Ok(webhook) => Ok(Arc::new(webhook)),
            Err(fault) => Err(BuildError { name: Arc::clone(&making.name), fault }),
        }
    },
};

/// Bodies are cut here.
const BODY_LIMIT: usize = 65_536;

/// How long the rest of an answer is waited for, once its status is there.
const REST: Duration = Duration::from_secs(1);

/// A configured endpoint.
pub struct Webhook {
    card: ChannelCard,
    client: reqwest::Client,
    url: Option<Url>,
    keys: Option<SigningKeys>,
    bearer: Option<Secret>,
    format: WebhookFormat,
    signature: WebhookSignature,
    reach: ReachConfig,
    external_url: Option<String>,
    limits: Limits,
    clock: Clock,
    /// Who said last what time it is.
    date: Mutex<Option<(Arc<str>, Instant)>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("card", &self.card)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    fn new(
        webhook: &WebhookConfig,
        config: &ChannelConfig,
        making: &Making<'_>,
    ) -> Result<Webhook, BuildFault> {
        let url = match (&webhook.url, webhook.url_secret().read(making.env)?) {
            (Some(url), None) => Some(url.clone()),
            (None, Some(url)) => Some(url.reveal().trim().to_owned()),
            (None, None) => None,
            (Some(_), Some(_)) => return Err(BuildFault::Setting("has two urls, expected one".to_owned())),
        };
        let url = match url {
            Some(url) => {
                Some(webhook.reach().target(&url).map_err(|e| BuildFault::Setting(format!("url: {e}")))?)
            }
            None => None,
        };
        let keys = match webhook.secret().read(making.env)? {
            Some(text) if webhook.signature == WebhookSignature::Github => Some(SigningKeys::plain(&text)),
            Some(text) => {
                Some(SigningKeys::parse(&text).map_err(|e| BuildFault::Setting(format!("secret: {e}")))?)
            }
            None => None,
        };
        let http = ClientConfig {
            ca_file: webhook.ca_file.clone().map(Into::into),
            proxy: webhook.proxy.clone(),
            connections: config.max_inflight,
            public_only: !webhook.allow_private,
        };
        Ok(Webhook {
            card: ChannelCard {
                name: Arc::clone(&making.name),
                adapter: ADAPTER.name.into(),
                class: ChannelClass::Webhook,
                duplicate_key: match webhook.duplicate_horizon {
                    Span::ZERO => DuplicateKey::None,
                    horizon => DuplicateKey::Strong { horizon },
                },
                receipts: ReceiptPath::None,
                reply: ReplyPath::None,
                body_limit: Some(BODY_LIMIT),
                links: LinkRule::Any,
                lane_caps: Vec::new(),
                account_caps: Vec::new(),
                max_inflight: config.max_inflight,
            },
            client: client(&http, &making.limits)?,
            url,
            keys,
            bearer: webhook.bearer().read(making.env)?,
            format: webhook.format,
            signature: webhook.signature,
            reach: webhook.reach(),
            external_url: webhook.external_url.clone(),
            limits: making.limits,
            clock: Arc::clone(&making.clock),
            date: Mutex::new(None),
        })
    }

    fn body(&self, claim: &Claim) -> Vec<u8> {
        let own = claim.body.data.clone().unwrap_or_else(|| {
            serde_json::json!({ "version": 1, "message": claim.message, "text": claim.body.text }).to_string()
        });
        match self.format {
            WebhookFormat::Shiftbell => own.into_bytes(),
            WebhookFormat::Alertmanager => {
                alertmanager::convert(&own, claim, &self.card.name, self.external_url.as_deref())
            }
        }
    }

    fn headers(&self, claim: &Claim, body: &[u8]) -> Option<HeaderMap> {
        let now = (self.clock)().as_secs();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut put = |name: &'static str, value: &str| -> Option<()> {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
            Some(())
        };
        put("idempotency-key", &claim.key)?;
        put("webhook-id", &claim.key)?;
        put("webhook-timestamp", &now.to_string())?;
        if let Some(keys) = &self.keys {
            match self.signature {
                WebhookSignature::Standard => {
                    put("webhook-signature", &keys.sign(&claim.key, now, body))?;
                }
                WebhookSignature::Github => put("x-hub-signature-256", &keys.sign_as_github(body))?,
            }
        }
        if let Some(bearer) = &self.bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.reveal())).ok()?;
            value.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        Some(headers)
    }

    async fn post(&self, claim: &Claim) -> Outcome {
        let url = match (&self.url, claim.address.trim()) {
            (Some(url), _) => url.clone(),
            (None, "") => {
                return config_fault(
                    "neither the channel has a url nor the person an address on it".to_owned(),
                );
            }
            (None, address) => match self.reach.target(address) {
                Ok(url) => url,
                Err(reason) => {
                    return Outcome { detail: Some(reason), ..Outcome::of(OutcomeClass::RecipientPermanent) };
                }
            },
        };
        let body = self.body(claim);
        let Some(headers) = self.headers(claim, &body) else {
            return config_fault("bearer: found characters that no header may have".to_owned());
        };
        let budget = self.limits.budget(claim, &self.clock);
        let request = self.client.post(url).headers(headers).body(body).timeout(budget);
        match request.send().await {
            Ok(answer) => {
                self.note_date(&answer);
                let secrets = self.secrets(answer.url());
                self.read(answer, &secrets).await
            }
            Err(error) => failed(error),
        }
    }

    /// Asks for the head only: nobody is told anything.
    async fn knock(&self, url: Url) -> Outcome {
        let mut request = self.client.head(url).timeout(self.limits.total);
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer.reveal());
        }
        match request.send().await {
            Ok(answer) => {
                self.note_date(&answer);
                let class = match answer.status().as_u16() {
                    401 | 403 | 404 | 410 => OutcomeClass::Config,
                    408 | 425 | 429 | 500..=599 => OutcomeClass::Transient,
                    // Many take no HEAD (405), and are there.
                    _ => OutcomeClass::Accepted,
                };
                let code = Some(format!("HTTP {}", answer.status().as_u16()));
                Outcome { code, ..Outcome::of(class) }
            }
            // Nothing that could have been taken was sent.
            Err(error) => match failed(error) {
                Outcome { class: OutcomeClass::Unknown, code, detail, .. } => {
                    Outcome { code, detail, ..Outcome::of(OutcomeClass::Transient) }
                }
                outcome => outcome,
            },
        }
    }

    fn note_date(&self, answer: &Response) {
        let url = answer.url();
        let Some(host) = url.host_str().filter(|_| !is_local(url)) else { return };
        let said = answer.headers().get(DATE).and_then(|v| v.to_str().ok()).and_then(http_date);
        if let Some(said) = said {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((host.into(), said));
        }
    }

    /// What no answer may repeat: the token, and what of the url may be one.
    fn secrets(&self, url: &Url) -> Vec<String> {
        const LONG: usize = 8;
        let bearer = self.bearer.iter().map(|b| b.reveal().to_owned());
        let query = url.query_pairs().map(|(_, value)| value.into_owned());
        let path = url.path_segments().into_iter().flatten().map(str::to_owned).filter(|s| s.len() >= LONG);
        [url.as_str().to_owned()].into_iter().chain(bearer).chain(query).chain(path).collect()
    }

    /// The status decides; the body is read for people, in bounds.
    async fn read(&self, mut answer: Response, secrets: &[String]) -> Outcome {
        let status = answer.status();
        let wait = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| retry_after(v, (self.clock)()));
        let mut said = Vec::new();
        let reading = async {
            while said.len() < LONGEST_ANSWER {
                match answer.chunk().await {
                    Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                    Ok(None) => return true,
                    Err(error) => return error.is_timeout(),
                }
            }
            true
        };
        // A slow body changes nothing: the status was said. One that breaks off does: whoever said it may have fallen
        // over while doing what it said.
        let whole = timeout(REST, reading).await.unwrap_or(true);
        let class = match class_of(status) {
            OutcomeClass::Accepted if !whole => OutcomeClass::Unknown,
            class => class,
        };
        said.truncate(LONGEST_ANSWER);
        let said = detail_without(&String::from_utf8_lossy(&said), secrets);
        Outcome {
            class,
            code: Some(format!("HTTP {}", status.as_u16())),
            detail: match class {
                OutcomeClass::Config if status.is_redirection() => {
                    Some("redirects are not followed: give the final url".to_owned())
                }
                _ => (!said.is_empty()).then_some(said),
            },
            wait: wait.filter(|_| matches!(class, OutcomeClass::Transient | OutcomeClass::Throttled)),
            provider_id: None,
        }
    }
}

/// What a status means (§10.2).
fn class_of(status: StatusCode) -> OutcomeClass {
    match status.as_u16() {
        200..=299 => OutcomeClass::Accepted,
        429 => OutcomeClass::Throttled,
        408 | 425 | 500..=599 => OutcomeClass::Transient,
        // 3xx are not followed; 410 and all other 4xx want somebody to change something.
        _ => OutcomeClass::Config,
    }
}

fn config_fault(reason: String) -> Outcome {
    Outcome { detail: Some(reason), ..Outcome::of(OutcomeClass::Config) }
}

/// Whether it is this machine.
fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

impl Channel for Webhook {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(self.post(claim))
    }

    fn probe(&self) -> Option<Pin<Box<dyn Future<Output = Outcome> + Send + '_>>> {
        let url = self.url.clone()?;
        Some(Box::pin(self.knock(url)))
    }

    fn date(&self) -> Option<(Arc<str>, Instant)> {
        self.date.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        use OutcomeClass::*;
        for (status, want) in [
            (200, Accepted),
            (202, Accepted),
            (204, Accepted),
            (301, Config),
            (302, Config),
            (307, Config),
            (400, Config),
            (401, Config),
            (403, Config),
            (404, Config),
            (408, Transient),
            (410, Config),
            (413, Config),
            (422, Config),
            (425, Transient),
            (429, Throttled),
            (500, Transient),
            (502, Transient),
            (503, Transient),
            (504, Transient),
            (599, Transient),
        ] {
            assert_eq!(class_of(StatusCode::from_u16(status).unwrap()), want, "{status}");
        }
    }
}
