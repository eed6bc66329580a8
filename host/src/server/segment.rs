//! A part of the path that names something.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::problem::Problem;

/// The one part of the path that the route leaves open. What is no text is a problem like any other.
pub(super) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(segment) = path.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("{}.", error.body_text())))?;
        Ok(Segment(segment))
    }
}
