//! The part of the API that looks into the queue and acts on it. The server knows how requests look; what they mean it asks of an
//! [`Operator`].

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::endpoints::App;
use super::problem::Problem;

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

/// Lists jobs.
pub(super) async fn jobs(
    State(app): State<App>,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Query(mut query) = query.map_err(|error| bad(error.body_text()))?;
    let limit = match query.remove("limit").map(|text| text.parse::<usize>()) {
        None => DEFAULT_JOBS,
        Some(Ok(limit)) if (1..=MAX_JOBS).contains(&limit) => limit,
        Some(Ok(limit)) => return Err(bad(format!("`limit` is {limit}; it may be 1 to {MAX_JOBS}."))),
        Some(Err(error)) => return Err(bad(format!("`limit`: {error}"))),
    };
    // In a query everything is text.
    let value = |key: &str, text: String| match key {
        "dead" | "since_ms" | "before_ms" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        _ => Value::String(text),
    };
    let filter: Map<String, Value> = query.into_iter().map(|(key, text)| (key.clone(), value(&key, text))).collect();
    let jobs = app.blocking(move |app| app.operator.jobs(Value::Object(filter), limit)).await?;
    Ok(Json(jobs.map_err(|declined| problem(declined, "The jobs cannot be listed"))?).into_response())
}

/// Shows a job.
pub(super) async fn job(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let asked = id.clone();
    match app.blocking(move |app| app.operator.job(&asked)).await?.map_err(|declined| problem(declined, "The job cannot be shown"))? {
        Some(job) => Ok(Json(job).into_response()),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("No job, or more than one, has an id that begins with {id:?}."))),
    }
}

/// Says how full the queue is.
pub(super) async fn queue(State(app): State<App>) -> Result<Response, Problem> {
    let sizes = app.blocking(|app| app.operator.queue()).await?;
    Ok(Json(sizes.map_err(|declined| problem(declined, "The queue cannot be read"))?).into_response())
}

/// Acts on jobs. The filter is in the body; an empty one means nothing, unless it says `"all": true`.
pub(super) async fn act(
    State(app): State<App>,
    Path(action): Path<String>,
    filter: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Response, Problem> {
    let action = match action.as_str() {
        "retry" => Action::Retry,
        "purge" => Action::Purge,
        "replay" => Action::Replay,
        other => {
            return Err(Problem::new(StatusCode::NOT_FOUND, format!("There is no action {other:?}; there are retry, purge and replay.")));
        }
    };
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Json(mut filter) = filter.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let all = filter.remove("all");
    if filter.is_empty() && all != Some(Value::Bool(true)) {
        return Err(bad("Say which jobs are meant, such as {\"path\": \"panel7.csv\"}, or {\"all\": true}."));
    }
    let done = app.blocking(move |app| app.operator.act(action, Value::Object(filter))).await?;
    Ok(Json(done.map_err(|declined| problem(declined, "The action failed"))?).into_response())
}
