//! The query of a request, where a key may come more than once.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};

use super::problem::Problem;

/// All keys with their values, in their order.
///
/// # Errors
/// Where it is not well formed.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = Query::try_from_uri(uri).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    Ok(pairs)
}
