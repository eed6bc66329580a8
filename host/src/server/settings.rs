//! The part of the API that has a running daemon take its configuration anew, or log more or less. What that takes it leaves to [`Settings`].

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::endpoints::App;
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

/// The body of a change of the log's filter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    level: String,
}

pub(super) async fn reload(State(app): State<App>) -> Result<Response, Problem> {
    let changes = app.blocking(|app| app.settings.reload()).await?;
    let changes = changes.map_err(|declined| problem(declined, "The configuration cannot be taken anew"))?;
    let status = if changes.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(json!({ "changes": changes }))).into_response())
}

pub(super) async fn log_level(State(app): State<App>, level: Result<Json<Level>, JsonRejection>) -> Result<Response, Problem> {
    let Json(Level { level }) = level.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let set = level.clone();
    let done = app.blocking(move |app| app.settings.log_level(&set)).await?;
    done.map_err(|declined| problem(declined, "The log cannot be changed"))?;
    Ok(Json(json!({ "level": level })).into_response())
}
