//! The part of the API that pauses routes and converters, and ends that. What a pause means it leaves to [`Pauses`].

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::endpoints::App;
use super::operator::{Declined, problem};
use super::problem::Problem;

/// Where each is paused, and goes on.
pub(super) const ROUTE_PAUSE: &str = "/api/v1/routes/{name}/pause";
pub(super) const ROUTE_RESUME: &str = "/api/v1/routes/{name}/resume";
pub(super) const CONVERTER_PAUSE: &str = "/api/v1/converters/{name}/pause";
pub(super) const CONVERTER_RESUME: &str = "/api/v1/converters/{name}/resume";

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;

/// What can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing of a route is taken in or converted.
    Route,
    /// Nothing is converted with a converter.
    Converter,
}

/// What the server needs of the service to pause its parts. Calls come from threads that may block.
pub trait Pauses: Send + Sync {
    /// Pauses a part until [`Pauses::resume`], also through restarts. False where it was paused before.
    ///
    /// # Errors
    /// [`Declined`], where there is no such part.
    fn pause(&self, target: Target, name: &str, reason: Option<&str>) -> Result<bool, Declined>;
    /// Ends a pause. False where there was none.
    ///
    /// # Errors
    /// As [`Pauses::pause`].
    fn resume(&self, target: Target, name: &str) -> Result<bool, Declined>;
}

/// The body of a pause; it may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    reason: Option<String>,
}

pub(super) async fn pause_route(app: State<App>, name: Path<String>, body: Bytes) -> Result<Response, Problem> {
    pause(app, Target::Route, name, &body).await
}

pub(super) async fn pause_converter(app: State<App>, name: Path<String>, body: Bytes) -> Result<Response, Problem> {
    pause(app, Target::Converter, name, &body).await
}

pub(super) async fn resume_route(app: State<App>, name: Path<String>) -> Result<Response, Problem> {
    resume(app, Target::Route, name).await
}

pub(super) async fn resume_converter(app: State<App>, name: Path<String>) -> Result<Response, Problem> {
    resume(app, Target::Converter, name).await
}

async fn pause(State(app): State<App>, target: Target, Path(name): Path<String>, body: &[u8]) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let wanted: Wanted = match body.trim_ascii() {
        [] => Wanted::default(),
        body => serde_json::from_slice(body).map_err(|error| bad(format!("The body is to be like {{\"reason\": \"…\"}}: {error}.")))?,
    };
    if let Some(reason) = wanted.reason.as_ref().filter(|reason| reason.len() > LONGEST_REASON) {
        return Err(bad(format!("The reason has {} bytes; it may have {LONGEST_REASON}.", reason.len())));
    }
    let changed = app.blocking(move |app| app.pauses.pause(target, &name, wanted.reason.as_deref())).await?;
    answer(true, changed)
}

async fn resume(State(app): State<App>, target: Target, Path(name): Path<String>) -> Result<Response, Problem> {
    answer(false, app.blocking(move |app| app.pauses.resume(target, &name)).await?)
}

fn answer(paused: bool, changed: Result<bool, Declined>) -> Result<Response, Problem> {
    let changed = changed.map_err(|declined| problem(declined, "It cannot be paused or resumed"))?;
    Ok(Json(json!({ "paused": paused, "changed": changed })).into_response())
}
