//! How the command line speaks to the running program: HTTP over the socket of the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// The longest that an answer is awaited.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the socket.
    #[error(
        "nobody answers at {}: {cause}; is the program running, by this user, and is server.socket the same?",
        path.display()
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system answered.
        cause: std::io::Error,
    },
    /// The connection broke off.
    #[error("the connection to the program broke off: {0}")]
    Broken(String),
    /// It takes too long.
    #[error("the program did not answer within 30 s")]
    Slow,
    /// The program said no.
    #[error("{text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
}

/// A way to the running program.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// A client of the socket at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Client {
        Client { path: path.into() }
    }

    /// Asks `GET path`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks `POST path` with a body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Asks `DELETE path`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let asked = exchange(&self.path, method, path, body);
        let (status, bytes) =
            tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| ClientError::Slow)??;
        let value = serde_json::from_slice::<Value>(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).trim().to_owned()));
        if status.is_success() {
            return Ok(value);
        }
        let text =
            value.get("error").and_then(Value::as_str).map_or_else(|| status.to_string(), str::to_owned);
        Err(ClientError::Refused { status: status.as_u16(), text })
    }
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|cause| ClientError::Connect { path: socket.to_owned(), cause })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    let bytes = body.map(ToString::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "shiftbell")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(bytes)))
        .map_err(|e| broken(&e))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|e| broken(&e))?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves only while it is asked to: it lives in this very task, beside the talk.
    let mut connection = std::pin::pin!(connection);
    let mut talk = std::pin::pin!(talk);
    let mut open = true;
    loop {
        tokio::select! {
            answer = talk.as_mut() => return answer,
            ended = connection.as_mut(), if open => {
                open = false;
                if let Err(error) = ended {
                    tracing::debug!(%error, "the connection ended");
                }
            }
        }
    }
}
