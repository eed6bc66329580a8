//! What the two ports answer. It knows the paths, the bodies and who may ask; what there is to say it asks of [`Status`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time;

use super::caches::{self, Caches};
use super::events;
use super::inlet::Inlet;
use super::listener::Stopping;
use super::operator::{self, Operator};
use super::pauses::{self, Pauses};
use super::posts;
use super::problem::Problem;
use super::settings::{self, Settings};
use super::token::Token;
use super::{ApiStatus, ServerConfig, Service, Status};
use crate::events::Event;
use crate::metrics::{EXPOSITION_TYPE, Metrics};

/// The label `endpoint` of paths that are not there.
const UNMATCHED: &str = "unmatched";

const API_ENDPOINTS: [&str; 7] =
    ["/api/v1/status", operator::JOBS, operator::JOB, operator::QUEUE, caches::CACHE, "/api/v1/plugins", "/api/v1/routes"];

const POST_ENDPOINTS: [&str; 10] = [
    posts::JOBS,
    posts::CONVERT,
    operator::ACTION,
    caches::ACTION,
    pauses::ROUTE_PAUSE,
    pauses::ROUTE_RESUME,
    pauses::CONVERTER_PAUSE,
    pauses::CONVERTER_RESUME,
    settings::RELOAD,
    settings::LOG_LEVEL,
];

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

/// The health port.
pub(super) fn health(app: App) -> Router {
    for endpoint in ["/health", "/health/ready", "/health/live", "/metrics", "/", events::EVENTS] {
        app.metrics.http_probe_endpoint(endpoint, "200");
    }
    app.metrics.http_probe_endpoint("/health/ready", "503");
    for endpoint in API_ENDPOINTS {
        app.metrics.http_endpoint("GET", endpoint);
    }
    let guarded = Router::new()
        .route("/", get(page))
        .route(operator::JOBS, get(operator::jobs))
        .route(operator::JOB, get(operator::job))
        .route(operator::QUEUE, get(operator::queue))
        .route(caches::CACHE, get(caches::stats))
        .route("/api/v1/status", get(overview))
        .route("/api/v1/plugins", get(plugins))
        .route("/api/v1/routes", get(routes))
        .route(events::EVENTS, get(events::stream))
        .layer(middleware::from_fn_with_state(app.clone(), authorize_read));
    for endpoint in POST_ENDPOINTS {
        app.metrics.http_endpoint("POST", endpoint);
    }
    let writing = Router::new()
        .route(posts::JOBS, post(posts::job))
        .route(posts::CONVERT, post(posts::convert))
        .route(operator::ACTION, post(operator::act))
        .route(caches::ACTION, post(caches::act))
        .route(pauses::ROUTE_PAUSE, post(pauses::pause_route))
        .route(pauses::ROUTE_RESUME, post(pauses::resume_route))
        .route(pauses::CONVERTER_PAUSE, post(pauses::pause_converter))
        .route(pauses::CONVERTER_RESUME, post(pauses::resume_converter))
        .route(settings::RELOAD, post(settings::reload))
        .route(settings::LOG_LEVEL, post(settings::log_level))
        .layer(middleware::from_fn_with_state(app.clone(), authorize));
    let open = Router::new()
        .route("/health", get(healthy))
        .route("/health/ready", get(ready))
        .route("/health/live", get(live))
        .route("/metrics", get(exposition));
    finish(open.merge(guarded).merge(writing), app)
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

/// Counts every request, and bounds the time that its answer takes.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let endpoint = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    // A stream of events lasts as long as somebody watches: that is no duration of an answer.
    let is_api = request.uri().path().starts_with("/api/") && endpoint != events::EVENTS;
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

async fn page() -> Html<String> {
    // A browser has to be told which kinds of events to listen to.
    Html(include_str!("page.html").replace("[KINDS]", &json!(Event::KINDS).to_string()))
}

#[derive(Serialize)]
struct Healthy {
    status: &'static str,
    timestamp: String,
}

async fn healthy() -> Json<Healthy> {
    Json(Healthy { status: "healthy", timestamp: now() })
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
    uptime_seconds: u64,
    timestamp: String,
}

async fn live(State(app): State<App>) -> Json<Live> {
    Json(Live { status: "alive", uptime_seconds: app.started.elapsed().as_secs(), timestamp: now() })
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    api_status: ApiStatus,
    timestamp: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    let (reasons, api_status) = app.blocking(|app| (app.status.reasons_not_ready(), app.status.api_status())).await?;
    let (code, status) = if reasons.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    Ok((code, Json(Ready { status, api_status, timestamp: now(), reasons })).into_response())
}

async fn exposition(State(app): State<App>) -> Result<Response, Problem> {
    if app.enable_metrics {
        let text = app.blocking(|app| app.metrics.scrape()).await?;
        Ok(([(header::CONTENT_TYPE, EXPOSITION_TYPE)], text).into_response())
    } else {
        Ok(Json(app.blocking(|app| app.metrics.json_form()).await?).into_response())
    }
}

async fn overview(State(app): State<App>) -> Result<Response, Problem> {
    let overview = app.blocking(|app| {
        let (reasons, mut overview) = (app.status.reasons_not_ready(), app.status.overview());
        overview.insert("version".into(), env!("CARGO_PKG_VERSION").into());
        overview.insert("uptime_seconds".into(), app.started.elapsed().as_secs().into());
        overview.insert("status".into(), if reasons.is_empty() { "ready" } else { "not_ready" }.into());
        overview.insert("reasons".into(), reasons.into());
        overview.insert("api_status".into(), json!(app.status.api_status()));
        overview
    });
    Ok(Json(overview.await?).into_response())
}

async fn plugins(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.status.plugins()).await?).into_response())
}

async fn routes(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.status.routes()).await?).into_response())
}

/// This moment as RFC 3339 has it, in UTC, to the millisecond.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
