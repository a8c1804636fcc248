//! Inboxes in this process, in virtual time: the real adapters write to them, with their tokens, signatures and tables of
//! answers, and no socket is between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::{HOOK, Kind, SECRET, Service};
use crate::channels::{BuildError, Channel, ChannelConfig, Limits, Local, Making, build_one};
use crate::core::model::{Outcome, OutcomeClass};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;

/// Providers by the channels that write to them.
#[derive(Debug)]
pub struct Here {
    services: BTreeMap<Arc<str>, Mutex<Service>>,
    /// When what is sent arrives, in ms: requests take their time.
    arrival: AtomicI64,
    /// What time it is for who sends, in ms.
    now: AtomicI64,
}

/// Where they all are.
const BASE: &str = "https://sim.invalid";

#[derive(Deserialize)]
struct Section {
    channels: BTreeMap<String, ChannelConfig>,
}

impl Here {
    /// A provider for each of these channels.
    pub fn new(channels: &[(&str, &'static Kind)]) -> Arc<Here> {
        let service = |(name, kind): &(&str, &'static Kind)| ((*name).into(), Mutex::new(Service::new(kind)));
        let services = channels.iter().map(service).collect();
        Arc::new(Here { services, arrival: AtomicI64::new(0), now: AtomicI64::new(0) })
    }

    /// The provider behind a channel.
    pub fn of(&self, channel: &str) -> Option<MutexGuard<'_, Service>> {
        self.services.get(channel).map(|service| service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who sends has this time, and what is sent arrives at that one.
    pub fn at(&self, now: Instant, arrival: Instant) {
        self.now.store(now.as_millis(), Ordering::Relaxed);
        self.arrival.store(arrival.as_millis(), Ordering::Relaxed);
    }

    /// The channel of that name, as it is configured for its provider; `secret` is what it signs and opens with.
    ///
    /// # Errors
    /// The section is wrong, which is a mistake of the table.
    pub fn channel(
        self: &Arc<Here>,
        name: &str,
        secret: &str,
        limits: Limits,
    ) -> Result<Arc<dyn Channel>, String> {
        let kind = self.of(name).ok_or_else(|| format!("no provider stands behind {name}"))?.kind;
        let section: Section = toml::from_str(&kind.section(name, BASE)).map_err(|e| e.to_string())?;
        let config = section.channels.get(name).ok_or("the section has no channel")?;
        let env = [("SIM_SECRET", secret), ("SIM_HOOK", HOOK)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let clock = Arc::clone(self);
        let making = Making {
            env: &env,
            limits,
            clock: Arc::new(move || Instant::from_millis(clock.now.load(Ordering::Relaxed))),
            name: name.into(),
            way: Some(Arc::clone(self) as Arc<dyn Local>),
        };
        build_one(name, config, &making).map_err(|e: BuildError| e.to_string())
    }

    /// The same, with the right secret.
    ///
    /// # Errors
    /// As [`Here::channel`].
    pub fn right(self: &Arc<Here>, name: &str, limits: Limits) -> Result<Arc<dyn Channel>, String> {
        self.channel(name, SECRET, limits)
    }
}

impl Local for Here {
    fn call(&self, channel: &str, mut request: reqwest::Request) -> Result<reqwest::Response, Outcome> {
        let url = request.url().clone();
        // The client says the host by itself, on the wire.
        let host = url.port().map_or_else(
            || url.host_str().unwrap_or_default().to_owned(),
            |port| format!("{}:{port}", url.host_str().unwrap_or_default()),
        );
        if let Ok(host) = host.parse() {
            request.headers_mut().insert(reqwest::header::HOST, host);
        }
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{}{query}", url.path()).parse::<axum::http::Uri>();
        let uri = uri.map_err(|_| Outcome::of(OutcomeClass::Config))?;
        let asked = Asked::arrived(request.method(), &uri, request.headers(), body);
        let arrival = Instant::from_millis(self.arrival.load(Ordering::Relaxed));
        let answer = self.of(channel).and_then(|mut service| service.ask(&asked, arrival));
        // Nothing came back: whether it was taken is known to nobody.
        let Some(answer) = answer else { return Err(Outcome::of(OutcomeClass::Unknown)) };
        let mut response = axum::http::Response::builder().status(answer.status);
        response = response.header("content-type", answer.content_type);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        let response = response.body(answer.body).map_err(|_| Outcome::of(OutcomeClass::Unknown))?;
        Ok(response.into())
    }
}
