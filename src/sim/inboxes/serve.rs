//! All inboxes behind one socket: each at `/NAME/…`, and what they show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Answer, KINDS, Kind, Service, Trouble};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;

/// What time it is for the providers.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Every provider, held by the server and by whoever looks at what they show.
#[derive(Clone)]
pub struct Inboxes {
    services: Arc<BTreeMap<&'static str, Mutex<Service>>>,
    clock: Clock,
}

impl std::fmt::Debug for Inboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.services.keys()).finish()
    }
}

impl Inboxes {
    /// All of them, in fine weather; `more` stand beside them under names of their own.
    pub fn new(clock: Clock, more: &[(&'static str, &'static Kind)]) -> Inboxes {
        let all = KINDS.iter().map(|kind| (kind.name, kind)).chain(more.iter().copied());
        let services = all.map(|(name, kind)| (name, Mutex::new(Service::new(kind)))).collect();
        Inboxes { services: Arc::new(services), clock }
    }

    /// One of them.
    pub fn of(&self, name: &str) -> Option<MutexGuard<'_, Service>> {
        let service = self.services.get(name)?;
        Some(service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves them until it is stopped.
    ///
    /// # Errors
    /// The socket broke.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    /// Their routes: `/NAME/…`.
    pub fn router(self) -> Router {
        const LONGEST: usize = 1 << 20;
        Router::new().fallback(any(handle)).layer(DefaultBodyLimit::max(LONGEST)).with_state(self)
    }

    /// Answers a request to `/NAME/…`; `None` when nothing comes back.
    fn ask(&self, mut asked: Asked) -> Option<(Answer, Trouble)> {
        let path = asked.path.trim_start_matches('/').to_owned();
        let (name, rest) = path.split_once('/').unwrap_or((&path, ""));
        asked.path = format!("/{rest}");
        match self.of(name) {
            Some(mut service) => {
                let answer = service.ask(&asked, (self.clock)())?;
                Some((answer, service.trouble))
            }
            None => Some((Answer::text(404, "no such provider is simulated"), Trouble::None)),
        }
    }
}

/// How late a provider answers that is.
const LATE: Duration = Duration::from_millis(1500);

async fn handle(
    State(inboxes): State<Inboxes>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::arrived(&method, &uri, &headers, &body);
    match inboxes.ask(asked) {
        Some((answer, trouble)) => {
            if trouble == Trouble::Late {
                tokio::time::sleep(LATE).await;
            }
            let mut response = (answer.body).into_response();
            *response.status_mut() = axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
            let kind = HeaderValue::from_static(answer.content_type);
            response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
            for (name, value) in answer.headers {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        // Whoever asks gives up first, or the server is stopped.
        None => std::future::pending().await,
    }
}
