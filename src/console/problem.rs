//! What a caller is told when something is not done: JSON with a sentence, never with a secret.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

use crate::core::alerting::Refusal;
use crate::daemon::handle::AskError;

/// An answer that is not the one hoped for.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    text: String,
    retry_after: Option<u64>,
    closing: bool,
    challenge: bool,
}

impl Problem {
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Problem {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { status, text: text.into(), retry_after: None, closing: false, challenge: false }
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Problem {
        Problem::new(404, text)
    }

    /// Come again after so long, in whole seconds rounded up, at least one.
    pub(crate) fn after(mut self, wait: Duration) -> Problem {
        self.retry_after = Some(wait.as_millis().div_ceil(1000).clamp(1, 3600) as u64);
        self
    }

    /// The connection is of no use any more: what is left of the body is not read.
    pub(crate) fn closing(mut self) -> Problem {
        self.closing = true;
        self
    }

    /// A token is wanted.
    pub(crate) fn challenge() -> Problem {
        let mut problem = Problem::new(401, "a valid token is needed: Authorization: Bearer …");
        problem.challenge = true;
        problem
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.text }).to_string();
        body.push('\n');
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(secs) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.closing {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Problem {
        let text = error.to_string();
        match error {
            AskError::Refused(refusal) => Problem::from(&refusal),
            AskError::Storage(_) => Problem::new(503, text).after(Duration::from_secs(5)),
            AskError::Slow => Problem::new(503, text).after(Duration::from_secs(2)),
            AskError::Gone => Problem::new(503, text).after(Duration::from_secs(5)),
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Problem {
        let status = match refusal {
            Refusal::NoSuchIncident(_) | Refusal::NoSuchSilence(_) => 404,
            Refusal::NotEntitled { .. } => 403,
            Refusal::OtherEpisode { .. } | Refusal::WrongStatus(_) => 409,
            Refusal::Unknown(_) | Refusal::OutOfBounds { .. } => 422,
        };
        Problem::new(status, refusal.to_string())
    }
}
