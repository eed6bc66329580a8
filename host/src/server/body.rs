//! Reads the bodies of requests, within bounds of size and time. It knows nothing of what is in them.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time;

use super::problem::Problem;

/// How slow a body may be that takes longer than [`GRACE`], in bytes a second: a body that drips must not hold its place for a day.
const MIN_RATE: u64 = 100;

/// For so long a body may be as slow as it likes.
const GRACE: Duration = Duration::from_secs(60);

/// The bytes of a refused body that are read nevertheless.
const DRAINED: usize = 64 << 20;

/// Bytes of a body that says what is wanted.
const MAX_JSON: u64 = 256 * 1024;

/// A body on its way.
pub(super) struct Incoming {
    body: Body,
    /// How long the next bytes may take.
    idle: Duration,
    began: Instant,
    bytes: u64,
}

impl Incoming {
    /// A body of which the next bytes may take so long.
    pub(super) fn new(body: Body, idle: Duration) -> Incoming {
        Incoming { body, idle, began: Instant::now(), bytes: 0 }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// Where it breaks off, or is too slow.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let slow = |detail: String| Problem::new(StatusCode::REQUEST_TIMEOUT, detail);
        loop {
            let frame = time::timeout(self.idle, poll_fn(|context| Pin::new(&mut self.body).poll_frame(context))).await;
            let frame = frame.map_err(|_| slow(format!("Nothing came for {} s.", self.idle.as_secs_f64())))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("The body broke off: {error}."))),
                // Trailers are no part of the file.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => {
                        self.bytes += bytes.len() as u64;
                        let taken = self.began.elapsed();
                        if taken > GRACE && self.bytes / taken.as_secs() < MIN_RATE {
                            return Err(slow(format!("The body comes with fewer than {MIN_RATE} bytes a second.")));
                        }
                        return Ok(Some(bytes));
                    }
                    _ => {}
                },
            }
        }
    }

    /// Reads what is left and nobody wants, up to a bound: many clients read the answer only once they have sent everything.
    pub(super) async fn drain(mut self) {
        let mut left = DRAINED;
        while let Ok(Some(bytes)) = self.next().await
            && left > bytes.len()
        {
            left -= bytes.len();
        }
    }

    /// All of it in memory, at most `limit` bytes; `announced` is what the client says that it has.
    ///
    /// # Errors
    /// Where it is larger, breaks off, or is too slow.
    pub(super) async fn collect(mut self, announced: u64, limit: u64, too_large: impl Fn() -> Problem) -> Result<Vec<u8>, Problem> {
        let mut content = Vec::new();
        if announced > limit {
            self.drain().await;
            return Err(too_large());
        }
        while let Some(bytes) = self.next().await? {
            if (content.len() + bytes.len()) as u64 > limit {
                self.drain().await;
                return Err(too_large());
            }
            content.extend_from_slice(&bytes);
        }
        Ok(content)
    }

    /// What it says, which is JSON; none where it is empty.
    ///
    /// # Errors
    /// Where it is too large, too slow, or not what is expected.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<Option<T>, Problem> {
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The body may have {MAX_JSON} bytes."));
        let content = self.collect(0, MAX_JSON, too_large).await?;
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
}
