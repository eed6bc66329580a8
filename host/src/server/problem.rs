//! Errors as RFC 9457 problem documents. It knows nothing of what went wrong.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The media type of problems.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// An answer that says what went wrong, as RFC 9457 has it. There may be more in it: where a conversion failed, `outcome`, `error_type`, `error`
/// and `problems`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// `about:blank`: the status is all there is to know of the problem's type.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the status means.
    title: &'static str,
    /// The status.
    status: u16,
    /// What went wrong, in a sentence for people.
    detail: String,
    /// What a program may read besides.
    #[serde(flatten)]
    #[schema(ignore)]
    more: Map<String, Value>,
    /// In seconds.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u64>,
}

impl Problem {
    /// `detail` is a sentence for the person who reads it.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        // "about:blank" says that the status is all there is to know of the problem's type.
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            more: Map::new(),
            retry_after: None,
        }
    }

    /// Not now: the client may try again after so many seconds.
    pub(super) fn busy(detail: impl Into<String>, seconds: u64) -> Problem {
        Problem { retry_after: Some(seconds), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// The same, with fields of its own.
    pub(super) fn with(self, more: Map<String, Value>) -> Problem {
        Problem { more, ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
