//! The part of the API that has a running daemon take its configuration anew, or log more or less. What that takes it leaves to [`Settings`].

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Incoming;
use super::endpoints::App;
use super::openapi::{Bad, Bounded, Guarded};
use super::operator::{Declined, problem};
use super::problem::Problem;

/// Where the configuration is taken anew, and where the filter of the log is set.
pub(super) const RELOAD: &str = "/api/v1/reload";
pub(super) const LOG_LEVEL: &str = "/api/v1/log-level";

/// What the server needs of the service to change how it runs. Calls come from threads that may block.
pub trait Settings: Send + Sync {
    /// Reads the configuration anew and, where it differs and can be used, has the service begin to work with it. Gives what differs; nothing
    /// where all is as it was.
    ///
    /// # Errors
    /// [`Declined`], where it cannot be used: then all stays as it is.
    fn reload(&self) -> Result<Vec<String>, Declined>;
    /// Logs by another filter, until the next start.
    ///
    /// # Errors
    /// [`Declined`], where that is no filter.
    fn log_level(&self, filter: &str) -> Result<(), Declined>;
}

/// Which filter the log has.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = LogLevel)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    /// As `--log-level` has it: a level, or levels by module.
    level: String,
}

/// What differs from the configuration that the service runs with.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// A line for each key; none where all is as it was.
    changes: Vec<String>,
}

/// Takes the configuration anew.
///
/// Where something differs, the service starts anew in the same process: it does not answer for a moment then.
#[utoipa::path(
    post, path = RELOAD, tag = "operation", operation_id = "reload", security(("token" = [])),
    responses(
        (status = 200, description = "All is as it was.", body = Reloaded, example = json!({ "changes": [] })),
        (status = 202, description = "The service begins to work with it.", body = Reloaded, example = json!({ "changes": ["workers: 1 → 2"] })),
        Bad, Guarded
    )
)]
pub(super) async fn reload(State(app): State<App>) -> Result<Response, Problem> {
    let changes = app.blocking(|app| app.settings.reload()).await?;
    let changes = changes.map_err(|declined| problem(declined, "The configuration cannot be taken anew"))?;
    let status = if changes.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Reloaded { changes })).into_response())
}

/// Logs by another filter, until the next start.
#[utoipa::path(
    post, path = LOG_LEVEL, tag = "operation", operation_id = "set_log_level", security(("token" = [])),
    request_body(content = Level, description = "The filter.", example = json!({ "level": "info" })),
    responses((status = 200, description = "The filter that it has now.", body = Level, example = json!({ "level": "info" })), Bad, Bounded, Guarded)
)]
pub(super) async fn log_level(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let wanted: Option<Level> = Incoming::new(request.into_body(), app.idle).json().await?;
    let Some(Level { level }) = wanted else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Say by which filter, such as {\"level\": \"debug\"}."));
    };
    let set = level.clone();
    let done = app.blocking(move |app| app.settings.log_level(&set)).await?;
    done.map_err(|declined| problem(declined, "The log cannot be changed"))?;
    Ok(Json(Level { level }).into_response())
}
