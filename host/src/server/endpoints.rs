//! What the two ports answer. It knows the paths, the bodies and who may ask; what there is to say it asks of [`Status`].

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time;
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caches::{self, Caches};
use super::certificate::Certificate;
use super::events;
use super::inlet::Inlet;
use super::listener::Stopping;
use super::openapi::{Document, Failing, Guarded, Open};
use super::operator::{self, Operator};
use super::pauses::{self, Pauses};
use super::posts;
use super::problem::Problem;
use super::settings::{self, Settings};
use super::shapes::{RouteStatus, StatusPage};
use super::token::Token;
use super::{ApiStatus, ServerConfig, Service, Status};
use crate::events::Event;
use crate::metrics::{EXPOSITION_TYPE, JsonForm, Metrics};
use crate::plugins::PluginStatus;

/// The label `endpoint` of paths that are not there.
const UNMATCHED: &str = "unmatched";

/// How long an answer may take to be made.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How long a file may take to be posted.
const POST_TIME: Duration = Duration::from_secs(24 * 3600);

/// Answers that are made at a time. Each may block a thread, on a disk that hangs for instance; those that find no room wait.
const MAX_BLOCKING: usize = 8;

/// Files that are posted at a time; each has a thread, and an open file.
const MAX_POSTS: usize = 32;

/// What every answer is made from.
#[derive(Clone)]
pub(super) struct App {
    pub(super) status: Arc<dyn Status>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) enable_metrics: bool,
    pub(super) inlet: Arc<dyn Inlet>,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) caches: Arc<dyn Caches>,
    pub(super) pauses: Arc<dyn Pauses>,
    pub(super) settings: Arc<dyn Settings>,
    /// What changes something asks for.
    token: Token,
    /// Whether reading `/api` and the page asks for it, too: not on loopback.
    guard_reads: bool,
    started: Instant,
    blocking: Arc<Semaphore>,
    /// One for each file that is being posted.
    pub(super) posts: Arc<Semaphore>,
    /// One for each stream of events.
    pub(super) streams: Arc<Semaphore>,
    pub(super) stopping: Stopping,
    /// How long nothing of a body may come.
    pub(super) idle: Duration,
    /// How long a stream of events lasts.
    pub(super) stream_time: Duration,
    certificate: Option<Arc<Certificate>>,
    /// The document of the API, as JSON.
    document: Arc<OnceLock<Bytes>>,
}

impl App {
    pub(super) fn new(service: Service, metrics: Arc<Metrics>, config: &ServerConfig, stopping: Stopping) -> App {
        App {
            status: service.status,
            inlet: service.inlet,
            operator: service.operator,
            caches: service.caches,
            pauses: service.pauses,
            settings: service.settings,
            metrics,
            enable_metrics: config.enable_metrics,
            token: config.token.clone(),
            guard_reads: !config.bind_address.is_loopback(),
            started: Instant::now(),
            blocking: Arc::new(Semaphore::new(MAX_BLOCKING)),
            posts: Arc::new(Semaphore::new(MAX_POSTS)),
            streams: Arc::new(Semaphore::new(events::MOST_STREAMS)),
            stopping,
            idle: config.bounds.idle,
            stream_time: config.bounds.stream,
            certificate: config.tls.clone(),
            document: Arc::default(),
        }
    }

    /// Calls `work` where it may block.
    pub(super) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&App) -> T + Send + 'static) -> Result<T, Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "An HTTP answer failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be made; the log says why.")
        };
        let permit = Arc::clone(&self.blocking).acquire_owned().await.map_err(|error| failed(&error))?;
        let app = self.clone();
        let work = move || {
            let _permit = permit;
            work(&app)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
    }
}

/// The health port, and what it answers. Routes are added with their description, or not at all.
pub(super) fn health(app: App) -> Router {
    let guarded = OpenApiRouter::new()
        .routes(routes!(page))
        .routes(routes!(operator::jobs))
        .routes(routes!(operator::job))
        .routes(routes!(operator::queue))
        .routes(routes!(caches::stats))
        .routes(routes!(overview))
        .routes(routes!(plugins))
        .routes(routes!(routes))
        .routes(routes!(document))
        .routes(routes!(events::stream))
        .layer(middleware::from_fn_with_state(app.clone(), authorize_read));
    let writing = OpenApiRouter::new()
        .routes(routes!(posts::job))
        .routes(routes!(posts::convert))
        .routes(routes!(operator::act))
        .routes(routes!(caches::act))
        .routes(routes!(pauses::pause_route))
        .routes(routes!(pauses::resume_route))
        .routes(routes!(pauses::pause_converter))
        .routes(routes!(pauses::resume_converter))
        .routes(routes!(settings::reload))
        .routes(routes!(settings::log_level))
        .layer(middleware::from_fn_with_state(app.clone(), authorize));
    let open = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(healthy))
        .routes(routes!(ready))
        .routes(routes!(live))
        .routes(routes!(exposition));
    let (router, document) = open.merge(guarded).merge(writing).split_for_parts();
    for (path, item) in &document.paths.paths {
        let methods = [("GET", &item.get), ("POST", &item.post)];
        for (method, _) in methods.into_iter().filter(|(_, operation)| operation.is_some()) {
            if is_counted_as_api(path) {
                app.metrics.http_endpoint(method, path);
            } else {
                app.metrics.http_probe_endpoint(path, "200");
            }
        }
    }
    app.metrics.http_probe_endpoint("/health/ready", "503");
    // Strings and numbers alone are in it.
    _ = app.document.set(Bytes::from(serde_json::to_vec(&document).unwrap_or_default()));
    finish(router, app)
}

/// The metrics port.
pub(super) fn metrics(app: App) -> Router {
    finish(Router::new().route("/metrics", get(exposition)), app)
}

fn finish(router: Router<App>, app: App) -> Router {
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// Whether a path counts as the API. A stream of events lasts as long as somebody watches: that is no duration of an answer.
fn is_counted_as_api(path: &str) -> bool {
    path.starts_with("/api/") && path != events::EVENTS
}

/// Counts every request, and bounds the time that its answer takes.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let endpoint = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let is_api = is_counted_as_api(request.uri().path());
    let active = is_api.then(|| app.metrics.http_active(method, &endpoint));
    // A file takes the time that it takes to come; that something comes is seen to there.
    let bound = if [posts::JOBS, posts::CONVERT].contains(&endpoint.as_str()) { POST_TIME } else { ANSWER_TIME };
    let mut response = match time::timeout(bound, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("The answer took longer than {} s.", bound.as_secs())).into_response()
        }
    };
    drop(active);
    let status = response.status();
    if is_api {
        app.metrics.http_request(method, &endpoint, status.as_str(), started.elapsed());
    } else {
        app.metrics.http_probe(&endpoint, status.as_str());
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The label `method`: a client may send any word.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

async fn authorize_read(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.guard_reads { authorize(State(app), request, next).await } else { next.run(request).await }
}

async fn authorize(State(app): State<App>, request: Request, next: Next) -> Response {
    let offered = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let offered = offered.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if offered.is_some_and(|(_, secret)| app.token.matches(secret.trim())) {
        return next.run(request).await;
    }
    let why = if app.guard_reads { "This service listens beyond this machine, so this needs" } else { "What changes something needs" };
    let detail = format!("{why} `Authorization: Bearer` with what is in the file `token` of its state folder.");
    Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
}

async fn not_found(request: Request) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("There is nothing at {}.", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not answer {method}."))
}

/// The web page.
#[utoipa::path(
    get, path = "/", tag = "operation", operation_id = "page", security((), ("token" = [])),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8"), Guarded)
)]
async fn page() -> Html<String> {
    // A browser has to be told which kinds of events to listen to.
    Html(include_str!("page.html").replace("[KINDS]", &json!(Event::KINDS).to_string()))
}

/// That the service answers.
#[derive(Serialize, ToSchema)]
struct Healthy {
    /// `healthy`.
    status: &'static str,
    /// Now, as RFC 3339 in UTC.
    timestamp: String,
}

/// Says that the service answers.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health",
    responses((status = 200, description = "It answers.", body = Healthy, example = json!({
        "status": "healthy", "timestamp": "2026-11-23T08:08:56.600Z"
    })), Open)
)]
async fn healthy() -> Json<Healthy> {
    Json(Healthy { status: "healthy", timestamp: now() })
}

/// That the service lives, and since when.
#[derive(Serialize, ToSchema)]
struct Live {
    /// `alive`.
    status: &'static str,
    /// How long it has run.
    uptime_seconds: u64,
    /// Now, as RFC 3339 in UTC.
    timestamp: String,
}

/// Says for how long the service has run.
#[utoipa::path(
    get, path = "/health/live", tag = "health", operation_id = "live",
    responses((status = 200, description = "It lives.", body = Live, example = json!({
        "status": "alive", "uptime_seconds": 86400, "timestamp": "2026-11-23T08:08:56.600Z"
    })), Open)
)]
async fn live(State(app): State<App>) -> Json<Live> {
    Json(Live { status: "alive", uptime_seconds: app.started.elapsed().as_secs(), timestamp: now() })
}

/// Whether the service can do its work.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// How the upstream server is doing.
    api_status: ApiStatus,
    /// Now, as RFC 3339 in UTC.
    timestamp: String,
    /// Why it is not ready, each reason a sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<String>,
}

/// Says whether the service can do its work.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "ready",
    responses(
        (status = 200, description = "It can.", body = Ready, example = json!({
            "status": "ready", "api_status": "not_configured", "timestamp": "2026-11-23T08:08:56.600Z"
        })),
        (status = 503, description = "It cannot, for these reasons; or the answer took too long.",
            content(
                (Ready = "application/json", example = json!({
                    "status": "not_ready", "api_status": "offline", "timestamp": "2026-11-23T08:08:56.600Z", "reasons": ["draining: the daemon is stopping"]
                })),
                (Problem = "application/problem+json")
            )),
        Failing
    )
)]
async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    let (reasons, api_status) = app.blocking(|app| (app.status.reasons_not_ready(), app.status.api_status())).await?;
    let (code, status) = if reasons.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    Ok((code, Json(Ready { status, api_status, timestamp: now(), reasons })).into_response())
}

/// Everything that is counted and measured, for Prometheus.
///
/// Where metrics are switched off, a short JSON form. The metrics port has the same.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses(
        (status = 200, description = "The metrics.", content((String = "text/plain; version=0.0.4; charset=utf-8"), (JsonForm = "application/json"))),
        Open
    )
)]
async fn exposition(State(app): State<App>) -> Result<Response, Problem> {
    if app.enable_metrics {
        let text = app.blocking(|app| app.metrics.scrape()).await?;
        Ok(([(header::CONTENT_TYPE, EXPOSITION_TYPE)], text).into_response())
    } else {
        Ok(Json(app.blocking(|app| app.metrics.json_form()).await?).into_response())
    }
}

/// Shows all of it on one page.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "operation", operation_id = "status", security((), ("token" = [])),
    responses((status = 200, description = "The service.", body = StatusPage), Guarded)
)]
async fn overview(State(app): State<App>) -> Result<Response, Problem> {
    let page = app.blocking(|app| {
        let (reasons, overview) = (app.status.reasons_not_ready(), app.status.overview());
        StatusPage {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: app.started.elapsed().as_secs(),
            status: if reasons.is_empty() { "ready" } else { "not_ready" },
            reasons,
            api_status: app.status.api_status(),
            certificate: app.certificate.as_ref().map(|certificate| certificate.status()),
            overview,
        }
    });
    Ok(Json(page.await?).into_response())
}

/// Shows the files of the plugins folder: what runs from each, and why it does not.
#[utoipa::path(
    get, path = "/api/v1/plugins", tag = "parts", operation_id = "plugins", security((), ("token" = [])),
    responses((status = 200, description = "The files.", body = Vec<PluginStatus>), Guarded)
)]
async fn plugins(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.status.plugins()).await?).into_response())
}

/// Shows the routes.
#[utoipa::path(
    get, path = "/api/v1/routes", tag = "parts", operation_id = "routes", security((), ("token" = [])),
    responses((status = 200, description = "The routes, in the order of the configuration.", body = Vec<RouteStatus>), Guarded)
)]
async fn routes(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.status.routes()).await?).into_response())
}

/// Shows the document that describes the API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operation", operation_id = "openapi", security((), ("token" = [])),
    responses((status = 200, description = "This document, OpenAPI 3.1.", body = Object, content_type = "application/json"), Guarded)
)]
async fn document(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.document.get().cloned().unwrap_or_default()).into_response()
}

/// This moment as RFC 3339 has it, in UTC, to the millisecond.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
