//! The HTTP side of the service: health, metrics and the API. It knows how to answer; what the service is doing it asks of [`Status`], what is
//! posted it gives to [`Inlet`], what an operator asks for to [`Operator`], [`Pauses`],
//! [`Settings`] and [`Caches`], and it must not know of queues, plugins or routes.

mod body;
mod caches;
mod certificate;
mod connections;
mod endpoints;
mod events;
mod file_name;
mod inlet;
mod listener;
mod openapi;
mod operator;
mod pauses;
mod posts;
mod problem;
mod query;
mod segment;
mod settings;
mod shapes;
mod stall;
mod token;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;
use utoipa::ToSchema;

pub use caches::Caches;
pub use certificate::{Certificate, CertificateStatus};
pub use events::STREAM_TIME;
pub use inlet::{ConvertRequest, Converted, ConvertedDocument, Inlet, Receipt, Refusal, Upload, UploadRequest};
pub use listener::Bounds;
pub use operator::{Action, Declined, Operator};
pub use pauses::{Pauses, Target};
pub use settings::Settings;
pub use shapes::{Overview, PauseForm, RouteStatus};
pub use token::{TOKEN_VARIABLE, Token, TokenError};

use crate::metrics::Metrics;
use endpoints::App;
use listener::{Stopping, serve, stopped};

/// The pause between two attempts to open a metrics port that is taken.
const METRICS_RETRY: Duration = Duration::from_secs(10);

/// What the server asks of the service. Calls come from threads that may block, several at a time.
pub trait Status: Send + Sync {
    /// Why the service cannot do its work now, each reason a sentence; none when it is ready.
    fn reasons_not_ready(&self) -> Vec<String>;
    /// How the upstream server is doing.
    fn api_status(&self) -> ApiStatus;
    /// The body of `/api/v1/plugins`.
    fn plugins(&self) -> Value;
    /// The routes, in their order.
    fn routes(&self) -> Vec<RouteStatus>;
    /// All of it on one page, to which the server adds its version, its uptime and readiness.
    fn overview(&self) -> Overview;
}

/// What the server stands in front of.
#[derive(Clone)]
pub struct Service {
    /// Says how it is doing.
    pub status: Arc<dyn Status>,
    /// Takes what is posted.
    pub inlet: Arc<dyn Inlet>,
    /// Looks into the queue and acts on it.
    pub operator: Arc<dyn Operator>,
    /// Pauses its parts.
    pub pauses: Arc<dyn Pauses>,
    /// Changes how it runs.
    pub settings: Arc<dyn Settings>,
    /// Looks into the caches and empties them.
    pub caches: Arc<dyn Caches>,
}

/// How the upstream server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiStatus {
    /// It answers.
    Online,
    /// It answers, but not always.
    Degraded,
    /// It does not answer.
    Offline,
    /// The configuration names none.
    NotConfigured,
}

/// Where the server listens, and what it admits.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address of both ports. Beyond loopback, `/api` and the page ask for the token.
    pub bind_address: IpAddr,
    /// The port of everything; 0 lets the operating system choose.
    pub health_port: u16,
    /// The port of `/metrics` alone; 0 lets the operating system choose.
    pub metrics_port: u16,
    /// Whether there is a metrics port. Without it, `/metrics` on the health port answers a short JSON form.
    pub enable_metrics: bool,
    /// The secret that what changes something asks for, and off loopback reading `/api`, too.
    pub token: Token,
    /// What clients of each port are held to.
    pub bounds: Bounds,
    /// The certificate of both ports; none where they do not speak TLS.
    pub tls: Option<Arc<Certificate>>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The health port cannot be opened.
    #[error(
        "cannot open the health port {port} on {address}: {reason}. Stop what has it, or set `health_port` (DROPFORGE_HEALTH_PORT) to another"
    )]
    HealthPort {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// What the operating system says, in words where it is the usual thing.
        reason: String,
    },
}

/// A server that is running. It stops when it is dropped, too, but then without waiting for requests that are under way.
#[derive(Debug)]
pub struct Server {
    health_addr: SocketAddr,
    metrics_addr: watch::Receiver<Option<SocketAddr>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Opens the ports and serves them on tokio's current runtime. A metrics port that is taken is an error in the log and tried again every
    /// 10 s.
    ///
    /// # Errors
    /// Where the health port cannot be opened.
    pub async fn start(config: ServerConfig, service: Service, metrics: Arc<Metrics>) -> Result<Server, ServerError> {
        Server::start_with(config, service, metrics, METRICS_RETRY).await
    }

    async fn start_with(config: ServerConfig, service: Service, metrics: Arc<Metrics>, retry: Duration) -> Result<Server, ServerError> {
        let (address, port) = (config.bind_address, config.health_port);
        let health_error = |error: io::Error| ServerError::HealthPort { address, port, reason: reason(&error) };
        let (health_addr, listener) = bind(SocketAddr::new(address, port)).await.map_err(health_error)?;

        let (stop, stopping) = watch::channel(false);
        let app = App::new(service, metrics, &config, stopping.clone());
        let (opened, metrics_addr) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let (bounds, tls) = (config.bounds, config.tls.clone());
        tasks.spawn(serve(listener, endpoints::health(app.clone()), bounds, tls.clone(), stopping.clone()));
        if let Some(certificate) = tls.clone() {
            tasks.spawn(certificate::watch(certificate, stopping.clone()));
        }
        tracing::info!("Health server started on port {}", health_addr.port());
        warn_of_openness(address, tls.is_some());
        if config.enable_metrics {
            tracing::info!("Metrics collection enabled");
            let wanted = SocketAddr::new(address, config.metrics_port);
            if wanted == health_addr {
                tracing::info!("The metrics port is the health port, which has /metrics already");
            } else {
                // The first attempt is made here, so that a free port is open when this returns.
                let first = bind(wanted).await;
                opened.send_replace(first.as_ref().ok().map(|(address, _)| *address));
                let serving = move |listener, stopping| serve(listener, endpoints::metrics(app), bounds, tls, stopping);
                tasks.spawn(serve_metrics(first, wanted, retry, serving, opened, stopping));
            }
        }
        Ok(Server { health_addr, metrics_addr, stop, tasks })
    }

    /// Where the health port is.
    pub fn health_addr(&self) -> SocketAddr {
        self.health_addr
    }

    /// Where the metrics port is; none while it is taken by somebody else, or where metrics are off.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        *self.metrics_addr.borrow()
    }

    /// Takes no more requests, lets those that are under way end within 5 s, and closes the ports.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Whoever opens the ports to others is told what that means.
fn warn_of_openness(address: IpAddr, has_tls: bool) {
    if address.is_loopback() {
        return;
    }
    let reading = "health and metrics answer everybody, `/api` whoever has the token";
    if has_tls {
        tracing::warn!("THE PORTS ARE OPEN TO OTHER MACHINES, on {address}: {reading}");
    } else {
        tracing::warn!(
            "THE PORTS ARE OPEN TO OTHER MACHINES, on {address}, WITHOUT TLS: {reading}, and the token can be read on its way. Set `server.tls`, or \
             `bind_address` to a loopback address"
        );
    }
}

/// Serves the metrics port, however long it takes to get it.
async fn serve_metrics<S: Future<Output = ()>>(
    first: io::Result<(SocketAddr, TcpListener)>,
    wanted: SocketAddr,
    retry: Duration,
    serving: impl FnOnce(TcpListener, Stopping) -> S,
    opened: watch::Sender<Option<SocketAddr>>,
    mut stopping: Stopping,
) {
    let mut attempt = first;
    if let Err(error) = &attempt {
        tracing::error!(
            "Cannot open the metrics port {} on {}: {}. It is tried again every {} s; /metrics on the health port has the same. Set \
             `metrics_port` (DROPFORGE_METRICS_PORT) to another to be rid of this",
            wanted.port(),
            wanted.ip(),
            reason(error),
            retry.as_secs()
        );
    }
    let (address, listener) = loop {
        match attempt {
            Ok(listening) => break listening,
            Err(_) => tokio::select! {
                () = stopped(&mut stopping) => return,
                () = time::sleep(retry) => {}
            },
        }
        attempt = bind(wanted).await;
    };
    tracing::info!("Metrics server started on port {}", address.port());
    opened.send_replace(Some(address));
    serving(listener, stopping).await;
}

async fn bind(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address).await?;
    Ok((listener.local_addr()?, listener))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "it is taken by another program".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
