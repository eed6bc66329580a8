//! The part of the API that looks into the caches and empties them. The server knows how requests look; which caches there are it asks of
//! [`Caches`].

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Incoming;
use super::endpoints::App;
use super::openapi::{Absent, Bad, Bounded, Guarded};
use super::operator::{Declined, problem};
use super::problem::Problem;
use super::segment::Segment;
use crate::cache::CacheStats;

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
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = CacheWanted)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The cache's name.
    cache: Option<String>,
    /// Which paths are meant: `*` stands for any part between two `/`, `**` for any number of them.
    pattern: Option<String>,
}

/// What emptying a cache did.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    /// Entries that there were.
    removed: u64,
}

/// Says how the caches are doing.
#[utoipa::path(
    get, path = CACHE, tag = "parts", operation_id = "cache_stats", security((), ("token" = [])),
    responses(
        (status = 200, description = "The caches that are switched on.", body = Vec<CacheStats>, example = json!([{
            "name": "conversion", "entries": 12, "max_entries": 10000, "bytes": 40960, "max_bytes": 67108864, "hits": 3, "misses": 12,
            "evictions": 0, "hit_rate": 0.2
        }])),
        Guarded
    )
)]
pub(super) async fn stats(State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.blocking(|app| app.caches.stats()).await?).into_response())
}

/// Empties caches.
///
/// `clear` empties the cache that is named, or all; `invalidate` forgets the answers of the upstream server whose path a pattern matches.
#[utoipa::path(
    post, path = ACTION, tag = "parts", operation_id = "act_on_caches", security(("token" = [])),
    params(("action" = String, Path, description = "`clear` or `invalidate`.", example = "clear")),
    request_body(content = Option<Wanted>, description = "For `clear` a name or nothing, for `invalidate` a pattern.", example = json!({ "cache": "conversion" })),
    responses((status = 200, description = "What that did.", body = Removed, example = json!({ "removed": 12 })), Bad, Absent, Bounded, Guarded)
)]
pub(super) async fn act(State(app): State<App>, Segment(action): Segment, request: Request) -> Result<Response, Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    if !["clear", "invalidate"].contains(&action.as_str()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("There is no action {action:?}; there are clear and invalidate.")));
    }
    let wanted: Wanted = Incoming::new(request.into_body(), app.idle).json().await?.unwrap_or_default();
    let removed = match (action.as_str(), wanted) {
        ("clear", Wanted { cache, pattern: None }) => app.blocking(move |app| app.caches.clear(cache.as_deref())).await?,
        ("invalidate", Wanted { cache: None, pattern: Some(pattern) }) => app.blocking(move |app| app.caches.invalidate(&pattern)).await?,
        ("clear", _) => return Err(bad("`clear` takes {\"cache\": NAME}, or {} for all caches.")),
        _ => return Err(bad("`invalidate` takes {\"pattern\": \"/api/operations/*\"}.")),
    };
    let removed = removed.map_err(|declined| problem(declined, "The cache cannot be emptied"))?;
    Ok(Json(Removed { removed }).into_response())
}
