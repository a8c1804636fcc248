//! Serving connections: each within its limits, none in the way of another, and all of them ended at a stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::config::LimitsConfig;
use super::door::{Peer, network_of};
use super::listen::Listeners;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Refused;

/// Connections at a time over the machine's socket. They are counted apart: the network cannot shut out the operator.
const MACHINE_CONNECTIONS: usize = 32;
/// The largest head of a request, in bytes, and the most headers in it.
const HEAD: usize = 32 << 10;
const HEADERS: usize = 64;
/// A connection that takes nothing of its answer for this long is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// After the system could not give a connection (too many open files), the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a router on open sockets.
pub struct Server {
    listeners: Listeners,
    serving: watch::Receiver<Serving>,
    metrics: Arc<Metrics>,
}

/// What connections are served with. One that is open keeps what it began with.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What is served.
    pub router: Router,
    /// Within which limits.
    pub limits: LimitsConfig,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had to be cut because their time was over.
    pub cut: usize,
}

enum Arrived {
    Net(TcpStream, SocketAddr),
    Machine(UnixStream, u32),
}

/// How many connections there are over the network, and how many each address has.
type Counts = Arc<Mutex<(usize, BTreeMap<IpAddr, usize>)>>;

/// One connection's place in the counts; dropping it gives it back.
struct Place(Counts, IpAddr);

impl Place {
    fn take(counts: &Counts, address: IpAddr, limits: &LimitsConfig) -> Option<Place> {
        let mut held = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, held) = &mut *held;
        let own = held.get(&address).copied().unwrap_or(0);
        if *all >= limits.connections || own >= limits.connections_per_address {
            return None;
        }
        *all += 1;
        held.insert(address, own + 1);
        Some(Place(counts.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, held) = &mut *held;
        *all -= 1;
        if let Some(count) = held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.1);
            }
        }
    }
}

impl Server {
    /// A server that has not begun.
    pub fn new(listeners: Listeners, router: Router, limits: LimitsConfig, metrics: Arc<Metrics>) -> Server {
        let (_, serving) = watch::channel(Serving { router, limits });
        Server { listeners, serving, metrics }
    }

    /// A server that goes by what is served now, as a reload changes it.
    pub fn following(
        listeners: Listeners,
        serving: watch::Receiver<Serving>,
        metrics: Arc<Metrics>,
    ) -> Server {
        Server { listeners, serving, metrics }
    }

    /// Serves until `stop`, then lets requests under way end, and cuts what is left after the limit. It starts no task
    /// outside itself.
    pub async fn run(self, stop: CancellationToken) -> Stopped {
        let mut connections: JoinSet<()> = JoinSet::new();
        let machine = Arc::new(Semaphore::new(MACHINE_CONNECTIONS));
        let counts = Counts::default();
        loop {
            let arrived = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                arrived = poll_fn(|cx| self.poll_accept(cx)) => arrived,
            };
            match arrived {
                Ok(Arrived::Net(stream, address)) => {
                    let address = network_of(address.ip());
                    // A caller beyond the limits is turned away at once: waiting would hold up those behind it.
                    let place = Place::take(&counts, address, &self.serving.borrow().limits);
                    let Some(place) = place else {
                        self.metrics.refused(Refused::Connections);
                        continue;
                    };
                    // Without it answers are only slower.
                    let _ = stream.set_nodelay(true);
                    let serving = self.serve(stream, Peer::Net(address), stop.clone());
                    connections.spawn(async move {
                        let _held = place;
                        serving.await;
                    });
                }
                Ok(Arrived::Machine(stream, owner)) => {
                    let user = stream.peer_cred().map(|peer| peer.uid());
                    let permit = machine.clone().try_acquire_owned();
                    let (true, Ok(permit)) = (user.is_ok_and(|user| user == owner || user == 0), permit)
                    else {
                        self.metrics.refused(Refused::Connections);
                        continue;
                    };
                    let serving = self.serve(stream, Peer::Machine, stop.clone());
                    connections.spawn(async move {
                        let _held = permit;
                        serving.await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let Server { listeners, serving, .. } = self;
        drop(listeners);
        let limit = serving.borrow().limits.stop_timeout();
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_ok() {
            return Stopped { cut: 0 };
        }
        let cut = connections.len();
        connections.shutdown().await;
        Stopped { cut }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrived>> {
        // The machine's first: there are few, and they are the operator's.
        for socket in &self.listeners.machine {
            if let Poll::Ready(arrived) = socket.listener.poll_accept(cx) {
                return Poll::Ready(arrived.map(|(stream, _)| Arrived::Machine(stream, socket.owner)));
            }
        }
        for socket in &self.listeners.net {
            if let Poll::Ready(arrived) = socket.poll_accept(cx) {
                return Poll::Ready(arrived.map(|(stream, address)| Arrived::Net(stream, address)));
            }
        }
        Poll::Pending
    }

    /// Serves one connection to its end.
    fn serve<S>(
        &self,
        stream: S,
        peer: Peer,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Serving { router, limits } = self.serving.borrow().clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                router.oneshot(request).await as Result<_, Infallible>
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout())
            .max_buf_size(HEAD)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(Patient::new(stream)), service);
        async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                // What callers do to their own connections is theirs; one line is enough to find a pattern.
                tracing::trace!(%error, "a connection broke off");
            }
        }
    }
}

/// A stream whose writes fail when the other side takes nothing for [`WRITE_TIMEOUT`].
struct Patient<S> {
    stream: S,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Patient<S> {
        Patient { stream, waiting: None }
    }

    fn bound<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.waiting = None;
            return wrote;
        }
        let sleep = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bound(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.bound(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, shut)
    }
}
