//! Accepts connections and bounds them: how many, how large a request's head, how long it may take. It knows nothing of what is asked.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;

/// Connections that one listener serves at a time; more wait in the operating system's queue.
const MAX_CONNECTIONS: usize = 256;

/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// How long a request's head may take to arrive. A connection that is kept for the next request ends after it too, so it is longer than
/// the usual interval between two scrapes.
const HEAD_TIME: Duration = Duration::from_secs(75);

/// How long requests that are under way may take to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The pause after an error of `accept`, most often that the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Becomes true, or loses its sender, when the server stops.
pub(super) type Stopping = watch::Receiver<bool>;

/// Resolves when the server stops.
pub(super) async fn stopped(stopping: &mut Stopping) {
    // An error means that the sender is gone, and the server with it.
    _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Serves `app` until the server stops; then takes no more connections, and lets requests that are under way end.
pub(super) async fn serve(listener: TcpListener, app: Router, mut stopping: Stopping) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => _ = connections.spawn(connection(stream, permit, app.clone(), stopping.clone())),
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

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, _permit: OwnedSemaphorePermit, app: Router, mut stopping: Stopping) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "An HTTP connection broke off");
    }
}
