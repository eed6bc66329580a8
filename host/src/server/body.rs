//! Reads the bodies of requests, within bounds of size and time. It knows nothing of what is in them.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time;

use super::problem::Problem;

/// How long the next bytes of a body may take.
const IDLE: Duration = Duration::from_secs(30);

/// The bytes of a refused body that are read nevertheless.
const DRAINED: usize = 64 << 20;

/// Bytes of a body that says what is wanted.
const MAX_JSON: u64 = 256 * 1024;

/// What a body of JSON says; none where it is empty.
///
/// # Errors
/// Where it is too large, too slow, or not what is expected.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<Option<T>, Problem> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The body may have {MAX_JSON} bytes."));
    let content = collect(body, 0, MAX_JSON, too_large).await?;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let wrong = |error: serde_json::Error| bad(format!("The body is not the JSON that is expected: {error}."));
    match content.trim_ascii() {
        [] => Ok(None),
        content => match serde_json::from_slice(content).map_err(wrong)? {
            Value::Null => Ok(None),
            // serde would also take a list of the values.
            object @ Value::Object(_) => serde_json::from_value(object).map(Some).map_err(wrong),
            _ => Err(bad("The body is to be a JSON object.".to_owned())),
        },
    }
}

/// A body in memory, of at most `limit` bytes; `announced` is what the client says that it has.
///
/// # Errors
/// Where it is larger, breaks off, or nothing comes for too long.
pub(super) async fn collect(mut body: Body, announced: u64, limit: u64, too_large: impl Fn() -> Problem) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    if announced > limit {
        drain(body).await;
        return Err(too_large());
    }
    while let Some(bytes) = next_bytes(&mut body).await? {
        if (content.len() + bytes.len()) as u64 > limit {
            drain(body).await;
            return Err(too_large());
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

/// Reads what is left of a body that nobody wants, up to a bound: many clients read the answer only once they have sent everything.
pub(super) async fn drain(mut body: Body) {
    let mut left = DRAINED;
    while let Ok(Some(bytes)) = next_bytes(&mut body).await
        && left > bytes.len()
    {
        left -= bytes.len();
    }
}

/// The next bytes of a body; none at its end.
pub(super) async fn next_bytes(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = time::timeout(IDLE, poll_fn(|context| Pin::new(&mut *body).poll_frame(context))).await;
        let frame = frame.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, format!("Nothing came for {} s.", IDLE.as_secs())))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("The body broke off: {error}."))),
            // Trailers are no part of the file.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            },
        }
    }
}
