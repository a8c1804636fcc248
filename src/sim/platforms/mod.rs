//! Simulated platforms. Written from the platforms' published documents, not by them: whatever is measured against one is
//! labelled as simulated.
//!
//! Each is a value that answers requests at a given time, so that a day passes in seconds; [`serve`] puts one behind a
//! socket. They are strict where the real ones are (signature, time, token, windows), and page as badly.

pub mod pinduoduo;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::time::Instant;
use crate::sources::http::Answer;

/// A platform that answers.
pub trait Simulated: Send + 'static {
    /// Answers a request's body at `now`, the platform's own time.
    fn answer(&mut self, body: &[u8], now: Instant) -> Reply;
}

/// What a simulated platform answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What it says the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Its time, as the `Date` header says it: whole seconds.
    pub date: Instant,
    /// Nothing comes back at all.
    pub dropped: bool,
}

impl Reply {
    /// The answer that a client reads, as if it had come over the wire; `None` when none came.
    pub fn into_answer(self) -> Option<Answer> {
        (!self.dropped).then(|| Answer {
            status: self.status,
            date: Some(Instant::from_secs(self.date.as_secs())),
            retry_after: None,
            content_type: self.content_type.to_owned(),
            body: self.body,
            ..Answer::default()
        })
    }

    fn into_response(self) -> Response {
        if self.dropped {
            // The nearest thing that axum offers to a connection that breaks.
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let date = self.date.to_timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.extend(HeaderValue::from_str(&date).ok().map(|date| (header::DATE, date)));
        (status, headers, self.body).into_response()
    }
}

/// A platform that several hold: the server, and whoever moves its world.
pub type Shared<P> = Arc<Mutex<P>>;

/// Serves a platform on a socket until it is stopped. `clock` is the platform's own.
///
/// # Errors
/// The socket broke.
pub async fn serve<P: Simulated>(
    listener: TcpListener,
    platform: Shared<P>,
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    type Held<P> = (Shared<P>, Arc<dyn Fn() -> Instant + Send + Sync>);
    async fn handle<P: Simulated>(State((platform, clock)): State<Held<P>>, body: Bytes) -> Response {
        let mut platform = platform.lock().unwrap_or_else(PoisonError::into_inner);
        platform.answer(&body, clock()).into_response()
    }
    let app = Router::new().fallback(any(handle::<P>)).with_state((platform, clock));
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}
