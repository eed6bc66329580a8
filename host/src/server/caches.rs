//! The part of the API that looks into the caches and empties them. The server knows how requests look; which caches there are it asks of
//! [`Caches`].

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoints::App;
use super::operator::{Declined, problem};
use super::problem::Problem;

/// Where the caches are shown, and acted upon.
pub(super) const CACHE: &str = "/api/v1/cache";
pub(super) const ACTION: &str = "/api/v1/cache/{action}";

/// What the server needs of the service to look into its caches and empty them. Calls come from threads that may block.
pub trait Caches: Send + Sync {
    /// How each is doing.
    fn stats(&self) -> Value;
    /// Empties the cache of this name, or all; the number of entries that there were.
    ///
    /// # Errors
    /// [`Declined`], where there is no such cache.
    fn clear(&self, name: Option<&str>) -> Result<u64, Declined>;
    /// Forgets the answers of the upstream server whose path a pattern matches; their number.
    ///
    /// # Errors
    /// [`Declined`], where that is no pattern, or no answers are kept.
    fn invalidate(&self, pattern: &str) -> Result<u64, Declined>;
}

/// What is wanted of `clear` and `invalidate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    cache: Option<String>,
    pattern: Option<String>,
}

/// Says how the caches are doing.
pub(super) async fn stats(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.caches.stats()).await?).into_response())
}

/// Empties caches.
pub(super) async fn act(
    State(app): State<App>,
    Path(action): Path<String>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    if !["clear", "invalidate"].contains(&action.as_str()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("There is no action {action:?}; there are clear and invalidate.")));
    }
    let Json(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let removed = match (action.as_str(), wanted) {
        ("clear", Wanted { cache, pattern: None }) => app.blocking(move |app| app.caches.clear(cache.as_deref())).await?,
        ("invalidate", Wanted { cache: None, pattern: Some(pattern) }) => app.blocking(move |app| app.caches.invalidate(&pattern)).await?,
        ("clear", _) => return Err(bad("`clear` takes {\"cache\": NAME}, or {} for all caches.".to_owned())),
        _ => return Err(bad("`invalidate` takes {\"pattern\": \"/api/operations/*\"}.".to_owned())),
    };
    let removed = removed.map_err(|declined| problem(declined, "The cache cannot be emptied"))?;
    Ok(Json(json!({ "removed": removed })).into_response())
}
