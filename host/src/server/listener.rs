//! Accepts connections and bounds them: how many, how large a request's head, how long each side may take. It knows nothing of what is asked.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::certificate::Certificate;
use super::connections::{Connections, Place, Working};
use super::stall::Impatient;

/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// How long a client may take to agree on TLS.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long requests that are under way may take to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The pause after an error of `accept`, most often that the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client is answered when every connection is at work.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Becomes true, or loses its sender, when the server stops.
pub(super) type Stopping = watch::Receiver<bool>;

/// What connections are held to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections that one port serves at a time. Beyond that, those that wait for their clients give way.
    pub connections: usize,
    /// How long a request's head may take to arrive. A connection that is kept for the next request ends after it, too.
    pub head: Duration,
    /// How long the next bytes of a body may take, and how long a client may take none of an answer.
    pub idle: Duration,
    /// How long a stream of events lasts: its client comes back.
    pub stream: Duration,
}

/// Resolves when the server stops.
pub(super) async fn stopped(stopping: &mut Stopping) {
    // An error means that the sender is gone, and the server with it.
    _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Serves `app` until the server stops; then takes no more connections, and lets requests that are under way end.
pub(super) async fn serve(listener: TcpListener, app: Router, bounds: Bounds, tls: Option<Arc<Certificate>>, mut stopping: Stopping) {
    let places = Connections::new(bounds.connections);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match places.admit() {
                Some(place) => {
                    let connection = Connection { place, bounds, app: app.clone(), stopping: stopping.clone() };
                    // Those who are connected keep the certificate that they were shown.
                    _ = connections.spawn(connection.serve(stream, tls.as_ref().map(|tls| tls.acceptor())));
                }
                None => refuse(stream, tls.is_some()).await,
            },
            Err(error) => {
                tracing::warn!(%error, "Cannot accept an HTTP connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Those that have not ended by then end with the set.
    _ = time::timeout(DRAIN_TIME, async { while connections.join_next().await.is_some() {} }).await;
}

/// Every connection is at work.
async fn refuse(mut stream: TcpStream, is_tls: bool) {
    if !is_tls {
        // The buffer of a new connection has room for it; whoever does not read it gets none.
        _ = time::timeout(Duration::from_millis(10), stream.write_all(FULL)).await;
    }
}

/// A connection and what it is held to.
struct Connection {
    place: Place,
    bounds: Bounds,
    app: Router,
    stopping: Stopping,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>) {
        let stream = Impatient::new(stream, self.bounds.idle);
        let Some(tls) = tls else { return self.speak(stream).await };
        let handshake = tokio::select! {
            handshake = time::timeout(HANDSHAKE_TIME, tls.accept(stream)) => handshake,
            () = self.place.activity.give_way.notified() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "A client did not agree on TLS"),
            Err(_) => tracing::debug!("A client took too long to agree on TLS"),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Connection { place, bounds, app, mut stopping } = self;
        let activity = Arc::clone(&place.activity);
        let app = TowerToHyperService::new(app);
        let answer = service_fn(move |request: Request<Incoming>| {
            let working = activity.work();
            let answer = app.call(request);
            async move {
                let response = answer.await?;
                Ok::<_, Infallible>(response.map(|body| Answer { body, _working: working }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = place.activity.give_way.notified() => return tracing::debug!("An HTTP connection that was idle gave way to another"),
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "An HTTP connection broke off");
        }
    }
}

/// An answer on its way: until all of it is handed over, its connection is at work.
struct Answer {
    body: Body,
    _working: Working,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
