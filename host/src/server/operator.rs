//! The part of the API that looks into the queue and acts on it. The server knows how requests look; what they mean it asks of an
//! [`Operator`].

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::body::Incoming;
use super::endpoints::App;
use super::openapi::{Absent, Bad, Bounded, Guarded};
use super::problem::Problem;
use super::query;
use super::segment::Segment;
use super::shapes::{Done, Which};
use crate::queue::{Filter, JobRecord, JobSummary, SizesForm};

/// Where jobs are listed, shown, and acted upon.
pub(super) const JOBS: &str = "/api/v1/jobs";
pub(super) const JOB: &str = "/api/v1/jobs/{id}";
pub(super) const QUEUE: &str = "/api/v1/queue";
pub(super) const ACTION: &str = "/api/v1/queue/{action}";

const DEFAULT_JOBS: usize = 100;
const MAX_JOBS: usize = 1_000;

/// What the server needs of the service to look into the queue and act on it. Calls come from threads that may block. A filter is a JSON
/// object whose keys are those of `dropforge queue list`, with `_` for `-`.
pub trait Operator: Send + Sync {
    /// The newest jobs that a filter means.
    ///
    /// # Errors
    /// [`Declined`].
    fn jobs(&self, filter: Value, limit: usize) -> Result<Value, Declined>;
    /// Everything about one job, by its id or the beginning of it; none where there is none, or several.
    ///
    /// # Errors
    /// [`Declined`].
    fn job(&self, id: &str) -> Result<Option<Value>, Declined>;
    /// How full the queue is.
    ///
    /// # Errors
    /// [`Declined`].
    fn queue(&self) -> Result<Value, Declined>;
    /// Acts on the jobs that a filter means, and says what that did.
    ///
    /// # Errors
    /// [`Declined`].
    fn act(&self, action: Action, filter: Value) -> Result<Value, Declined>;
}

/// What can be done to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set going what failed or waits.
    Retry,
    /// Give up dead letters.
    Purge,
    /// Convert settled jobs again.
    Replay,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Declined {
    /// There is nothing of that name; a sentence.
    NotFound(String),
    /// The request makes no sense; a sentence.
    BadRequest(String),
    /// The service could not.
    Failed(anyhow::Error),
}

pub(super) fn problem(declined: Declined, what: &str) -> Problem {
    match declined {
        Declined::NotFound(detail) => Problem::new(StatusCode::NOT_FOUND, detail),
        Declined::BadRequest(detail) => Problem::new(StatusCode::BAD_REQUEST, detail),
        Declined::Failed(error) => {
            tracing::error!(error = format!("{error:#}"), what, "The API cannot answer");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}: {error:#}"))
        }
    }
}

/// Lists jobs, the newest first.
///
/// Conditions are joined by `and`.
#[utoipa::path(
    get, path = JOBS, tag = "jobs", operation_id = "list_jobs", security((), ("token" = [])),
    params(Filter, ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 if absent.", example = 20)),
    responses(
        (status = 200, description = "The jobs.", body = Vec<JobSummary>, example = json!([{
            "id": "4f6239aab1b2b17f0e2392afa9191e45", "route": "ict", "path": "panel7.csv", "size": 812, "digest": "9c41…", "state": "settled",
            "waiting": null, "priority": 5, "attempts": 1, "queued_at": "2026-11-23T08:08:56.600Z", "finished_at": "2026-11-23T08:08:56.620Z",
            "outcome": "converted", "error_type": null, "converter": "csv", "plugin_version": "0.1.0", "plugin_digest": "268f…",
            "documents": 1, "dead_deliveries": 0
        }])),
        Bad, Guarded
    )
)]
pub(super) async fn jobs(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let mut limit = DEFAULT_JOBS;
    let mut filter = Map::new();
    for (key, text) in query::pairs(&uri)? {
        let value = match key.as_str() {
            "limit" => {
                limit = text.parse().map_err(|error| bad(format!("`limit`: {error}.")))?;
                if !(1..=MAX_JOBS).contains(&limit) {
                    return Err(bad(format!("`limit` is {limit}; it may be 1 to {MAX_JOBS}.")));
                }
                continue;
            }
            // In a query everything is text. What is none of these, the filter refuses by its name.
            "attention" | "dead" => text.parse::<bool>().map_or(Value::String(text), Value::from),
            "since_ms" | "before_ms" => text.parse::<i64>().map_or(Value::String(text), Value::from),
            _ => Value::String(text),
        };
        if filter.insert(key.clone(), value).is_some() {
            return Err(bad(format!("`{key}` is there twice.")));
        }
    }
    let jobs = app.blocking(move |app| app.operator.jobs(Value::Object(filter), limit)).await?;
    Ok(Json(jobs.map_err(|declined| problem(declined, "The jobs cannot be listed"))?).into_response())
}

/// Shows everything about a job.
#[utoipa::path(
    get, path = JOB, tag = "jobs", operation_id = "show_job", security((), ("token" = [])),
    params(("id" = String, Path, description = "The job's id, or as much of its beginning as no other job has.", example = "4f6239aa")),
    responses((status = 200, description = "The job.", body = JobRecord), Bad, Absent, Guarded)
)]
pub(super) async fn job(State(app): State<App>, Segment(id): Segment) -> Result<Response, Problem> {
    let asked = id.clone();
    match app.blocking(move |app| app.operator.job(&asked)).await?.map_err(|declined| problem(declined, "The job cannot be shown"))? {
        Some(job) => Ok(Json(job).into_response()),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("No job, or more than one, has an id that begins with {id:?}."))),
    }
}

/// Says how full the queue is.
#[utoipa::path(
    get, path = QUEUE, tag = "jobs", operation_id = "queue_sizes", security((), ("token" = [])),
    responses(
        (status = 200, description = "How full it is.", body = SizesForm, example = json!({
            "due": 2, "oldest_seconds": 0.4, "waiting": { "retry": 1 }, "deliverable": 0, "delivery_backing_off": 0, "delivery_refused": 0,
            "oldest_undelivered_seconds": 0.0, "spool_bytes": 0, "dead_letters": { "ict": 1 }
        })),
        Guarded
    )
)]
pub(super) async fn queue(State(app): State<App>) -> Result<Response, Problem> {
    let sizes = app.blocking(|app| app.operator.queue()).await?;
    Ok(Json(sizes.map_err(|declined| problem(declined, "The queue cannot be read"))?).into_response())
}

/// Acts on the jobs that a filter means.
///
/// `retry` sets going what failed or waits, `purge` gives up dead letters, `replay` converts settled jobs again.
#[utoipa::path(
    post, path = ACTION, tag = "jobs", operation_id = "act_on_jobs", security(("token" = [])),
    params(("action" = String, Path, description = "`retry`, `purge` or `replay`.", example = "retry")),
    request_body(content = Which, description = "Which jobs: a filter with a condition, or `all`.", example = json!({ "path": "panel7.csv" })),
    responses(
        (status = 200, description = "How many jobs that concerned.", body = Done, example = json!({
            "converted_again": 1, "due_now": 0, "delivered_again": 0
        })),
        Bad, Absent, Bounded, Guarded
    )
)]
pub(super) async fn act(State(app): State<App>, Segment(action): Segment, request: Request) -> Result<Response, Problem> {
    let action = match action.as_str() {
        "retry" => Action::Retry,
        "purge" => Action::Purge,
        "replay" => Action::Replay,
        other => {
            return Err(Problem::new(StatusCode::NOT_FOUND, format!("There is no action {other:?}; there are retry, purge and replay.")));
        }
    };
    let mut filter: Map<String, Value> = Incoming::new(request.into_body(), app.idle).json().await?.unwrap_or_default();
    let all = match filter.remove("all") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(all)) => all,
        Some(_) => return Err(Problem::new(StatusCode::BAD_REQUEST, "`all` is true or false.")),
    };
    // What says nothing is no condition: it must not come to mean every job.
    let says_nothing = |key: &str, value: &Value| value.is_null() || (["attention", "dead"].contains(&key) && *value == Value::Bool(false));
    filter.retain(|key, value| !says_nothing(key, value));
    if filter.is_empty() && !all {
        let detail = "Say which jobs are meant, such as {\"path\": \"panel7.csv\"}, or {\"all\": true}.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let done = app.blocking(move |app| app.operator.act(action, Value::Object(filter))).await?;
    Ok(Json(done.map_err(|declined| problem(declined, "The action failed"))?).into_response())
}
