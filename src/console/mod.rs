//! What people and other systems see over HTTP: observations in, the pages behind links, health and metrics; and the
//! same over a socket of the machine for the command line (RS7).
//!
//! Invariants of this room:
//! - no `GET` changes anything (I42); what a person wants goes to the desk's owner, and they are told after the commit
//!   (RS1), never "已认领" before it;
//! - one bad client delays nobody: connections, heads, bodies, waits and rates all have limits (I32);
//! - no token, whole or in part, reaches a log, a metric or an error (I45).

mod callbacks;
pub mod client;
mod config;
mod door;
mod incidents;
mod limit;
mod links;
mod listen;
mod observations;
mod pages;
mod problem;
mod receipts;
mod serve;
mod status;
mod traces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tokio::sync::{Semaphore, watch};
use tracing::Instrument as _;

use crate::channels::render::Words;
use crate::core::alerting::{LinkKeys, Setup};
use crate::core::ids::InstallationKey;
use crate::core::model::Language;
use crate::core::time::Instant;
use crate::daemon::after::After;
use crate::daemon::dispatch::Channels;
use crate::daemon::handle::Handle;
use crate::daemon::parcels::Doors;
use crate::sources::history::import::ImportConfig;
use crate::telemetry::{Health, Metrics};

pub use config::{ClientConfig, ClientRole, LimitsConfig, ServerConfig};
pub use door::Clients;
pub use listen::{ListenError, Listeners};
pub use pages::PageError;
pub use serve::{Server, Serving, Stopped};

use callbacks::Calls;
use door::Misses;
use pages::Pages;
use problem::Problem;

/// Who is asked what time it is by people: the business clock (§3).
pub type Now = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What the console is made of.
pub struct Parts {
    /// The way to the desk's owner.
    pub handle: Handle,
    /// What the desk goes by now: people, titles, zone; a reload changes it.
    pub setup: watch::Receiver<Arc<Setup>>,
    /// The key of the installation.
    pub key: InstallationKey,
    /// The program's health.
    pub health: watch::Receiver<Health>,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// How pushed events become observations, as with histories.
    pub import: Arc<ImportConfig>,
    /// Who may push and operate over the network.
    pub clients: Clients,
    /// The limits.
    pub limits: LimitsConfig,
    /// What things are called on the pages, by language: the same as in messages.
    pub words: BTreeMap<Language, Words>,
    /// The business clock.
    pub now: Now,
    /// Where pushes of couriers go in.
    pub doors: Doors,
    /// The channels, whose providers call back.
    pub channels: watch::Receiver<Channels>,
    /// Where what follows an answer is left.
    pub after: After,
}

/// What every request is served with.
pub(crate) struct Shared {
    handle: Handle,
    setup: watch::Receiver<Arc<Setup>>,
    key: InstallationKey,
    health: watch::Receiver<Health>,
    metrics: Arc<Metrics>,
    import: Arc<ImportConfig>,
    clients: Clients,
    limits: LimitsConfig,
    now: Now,
    doors: Doors,
    channels: watch::Receiver<Channels>,
    after: After,
    words: BTreeMap<Language, Words>,
    pages: Pages,
    misses: Misses,
    calls: Calls,
    /// Batches of observations in memory at a time.
    batches: Semaphore,
}

impl Shared {
    fn setup(&self) -> Arc<Setup> {
        self.setup.borrow().clone()
    }

    /// The keys of links as the configuration has them now.
    fn link_keys(&self, setup: &Setup) -> LinkKeys {
        LinkKeys::new(&self.key, &setup.desk, setup.config.link_revision)
    }
}

/// How many large batches of observations are held in memory at a time; more of them wait, then are told to come
/// again.
const BATCHES: usize = 8;
/// The longest that people are made to wait for the desk (§12.2).
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);

/// Everything that is served, the same over the network and the machine's socket; who may do what is decided by who
/// asks.
///
/// # Errors
/// A page inside the program that is broken: a bug, which the test of this room finds.
pub fn router(parts: Parts) -> Result<Router, PageError> {
    let Parts {
        handle,
        setup,
        key,
        health,
        metrics,
        import,
        clients,
        limits,
        words,
        now,
        doors,
        channels,
        after,
    } = parts;
    let shared = Arc::new(Shared {
        handle,
        setup,
        key,
        health,
        metrics,
        import,
        clients,
        limits,
        now,
        doors,
        channels,
        after,
        pages: Pages::new(words.clone())?,
        words,
        misses: Misses::default(),
        calls: Calls::default(),
        batches: Semaphore::new(BATCHES),
    });
    Ok(Router::new()
        .route("/v1/observations", post(observations::take))
        .route("/v1/receipts/{channel}", post(receipts::take))
        .route("/v1/callbacks/{channel}", get(callbacks::take).post(callbacks::take))
        .route(
            "/v1/callbacks/{channel}/{secret}",
            get(callbacks::take_by_secret).post(callbacks::take_by_secret),
        )
        .route("/v1/traces/{source}/{carrier}/{number}/{token}", post(traces::take))
        .route("/v1/incidents", get(incidents::list))
        .route("/v1/incidents/{id}", get(incidents::show))
        .route("/v1/incidents/{id}/{act}", post(incidents::act))
        .route("/v1/silences", post(incidents::silence))
        .route("/v1/silences/{id}", delete(incidents::end_silence))
        .route("/v1/reload", post(incidents::reload))
        .route("/v1/health", get(status::health))
        .route("/a/{token}", get(links::show).post(links::press))
        .route("/metrics", get(status::metrics))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are read by `door::body`, which knows more than a size.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(shared.clone(), bounded))
        .with_state(shared))
}

async fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this address")
}

async fn wrong_method() -> Problem {
    Problem::new(405, "this address does not take that method")
}

/// Bounds the whole of a request, and tells what became of it. The path is told as its pattern: the path itself may
/// hold a token.
async fn bounded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<axum::extract::MatchedPath>().map(|p| p.as_str().to_owned());
    let method = request.method().clone();
    let limit = shared.limits.request_timeout();
    let span = tracing::debug_span!("console.request", %method, route = route.as_deref().unwrap_or("-"));
    async {
        let answer = match tokio::time::timeout(limit, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => Problem::new(408, "the request took too long").closing().into_response(),
        };
        tracing::debug!(status = answer.status().as_u16(), "answered");
        answer
    }
    .instrument(span)
    .await
}
