//! The part of the API that pauses routes and converters, and ends that. What a pause means it leaves to [`Pauses`].

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Incoming;
use super::endpoints::App;
use super::openapi::{Absent, Bad, Bounded, Guarded};
use super::operator::{Declined, problem};
use super::problem::Problem;
use super::segment::Segment;

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
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = PauseWanted)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What others are to know about it.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// What a pause, or its end, did.
#[derive(Serialize, ToSchema)]
struct Paused {
    /// Whether it is paused now.
    paused: bool,
    /// Whether it was otherwise before.
    changed: bool,
}

/// Pauses a route until it is resumed, also through restarts.
#[utoipa::path(
    post, path = ROUTE_PAUSE, tag = "parts", operation_id = "pause_route", security(("token" = [])),
    params(("name" = String, Path, description = "Its name.", example = "ict")),
    request_body(content = Option<Wanted>, description = "Why; it may be left out.", example = json!({ "reason": "station 4 is moved" })),
    responses(
        (status = 200, description = "What that did.", body = Paused, example = json!({ "paused": true, "changed": true })),
        Bad, Absent, Bounded, Guarded
    )
)]
pub(super) async fn pause_route(app: State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    pause(app, Target::Route, name, request).await
}

/// Pauses a converter until it is resumed, also through restarts.
#[utoipa::path(
    post, path = CONVERTER_PAUSE, tag = "parts", operation_id = "pause_converter", security(("token" = [])),
    params(("name" = String, Path, description = "Its name.", example = "csv")),
    request_body(content = Option<Wanted>, description = "Why; it may be left out.", example = json!({ "reason": "station 4 is moved" })),
    responses(
        (status = 200, description = "What that did.", body = Paused, example = json!({ "paused": true, "changed": true })),
        Bad, Absent, Bounded, Guarded
    )
)]
pub(super) async fn pause_converter(app: State<App>, name: Segment, request: Request) -> Result<Response, Problem> {
    pause(app, Target::Converter, name, request).await
}

/// Ends the pause of a route.
#[utoipa::path(
    post, path = ROUTE_RESUME, tag = "parts", operation_id = "resume_route", security(("token" = [])),
    params(("name" = String, Path, description = "Its name.", example = "ict")),
    responses(
        (status = 200, description = "What that did.", body = Paused, example = json!({ "paused": false, "changed": true })),
        Bad, Absent, Guarded
    )
)]
pub(super) async fn resume_route(app: State<App>, name: Segment) -> Result<Response, Problem> {
    resume(app, Target::Route, name).await
}

/// Ends the pause of a converter.
#[utoipa::path(
    post, path = CONVERTER_RESUME, tag = "parts", operation_id = "resume_converter", security(("token" = [])),
    params(("name" = String, Path, description = "Its name.", example = "csv")),
    responses(
        (status = 200, description = "What that did.", body = Paused, example = json!({ "paused": false, "changed": true })),
        Bad, Absent, Guarded
    )
)]
pub(super) async fn resume_converter(app: State<App>, name: Segment) -> Result<Response, Problem> {
    resume(app, Target::Converter, name).await
}

async fn pause(State(app): State<App>, target: Target, Segment(name): Segment, request: Request) -> Result<Response, Problem> {
    let wanted: Wanted = Incoming::new(request.into_body(), app.idle).json().await?.unwrap_or_default();
    if let Some(reason) = wanted.reason.as_ref().filter(|reason| reason.len() > LONGEST_REASON) {
        let detail = format!("The reason has {} bytes; it may have {LONGEST_REASON}.", reason.len());
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let changed = app.blocking(move |app| app.pauses.pause(target, &name, wanted.reason.as_deref())).await?;
    answer(true, changed)
}

async fn resume(State(app): State<App>, target: Target, Segment(name): Segment) -> Result<Response, Problem> {
    answer(false, app.blocking(move |app| app.pauses.resume(target, &name)).await?)
}

fn answer(paused: bool, changed: Result<bool, Declined>) -> Result<Response, Problem> {
    let changed = changed.map_err(|declined| problem(declined, "It cannot be paused or resumed"))?;
    Ok(Json(Paused { paused, changed }).into_response())
}
