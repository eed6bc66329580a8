//! The two requests that bring a file: to be queued, and to be converted at once. They always need the token.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::body::Incoming;
use super::endpoints::App;
use super::file_name;
use super::inlet::{ConvertRequest, Converted, ConvertedDocument, Inlet, Receipt, Refusal, Upload, UploadRequest};
use super::openapi::{Absent, Bad, Bounded, Conflict, Forbidden, Guarded, Unprocessable};
use super::problem::Problem;
use super::segment::Segment;
use crate::sandbox::is_media_type;
use crate::trace_context::{TRACEPARENT, TraceParent};

/// Where files are posted.
pub(super) const JOBS: &str = "/api/v1/routes/{name}/jobs";
pub(super) const CONVERT: &str = "/api/v1/convert";

/// Pieces of a body that wait to be written.
const PIECES: usize = 8;

/// The longest media type, in bytes.
const MAX_MEDIA_TYPE: usize = 255;

/// The longest `Idempotency-Key`, in bytes.
const MAX_KEY: usize = 255;

/// What a client is told to wait when too many files come at once, in seconds.
const BUSY_SECONDS: u64 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobQuery {
    name: Option<String>,
}

/// A piece of a body, or its end; a body that breaks off has none.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Takes a file for a route.
///
/// Its job is durable before the answer is given. A request with the same `Idempotency-Key` and the same bytes is the same job.
#[utoipa::path(
    post, path = JOBS, tag = "files", operation_id = "post_file", security(("token" = [])),
    params(
        ("name" = String, Path, description = "The route's name.", example = "ict"),
        ("name" = Option<String>, Query, description = "The file's name; the file name of `Content-Disposition` if absent.", example = "results.csv"),
        ("Idempotency-Key" = Option<String>, Header, description = "What the client calls this request, so that it may repeat it.",
            min_length = 1, max_length = 255, pattern = "^[\\x21-\\x7E]+$"),
        ("traceparent" = Option<String>, Header, description = "The span of the client that this is a part of, as the W3C has it; one that is malformed counts as none.",
            example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ),
    request_body(content = Option<String>, content_type = "application/octet-stream", description = "The file. Its media type may be said by `Content-Type`."),
    responses(
        (status = 202, description = "It is queued.", body = ReceiptForm, example = json!({
            "job": "4f6239aab1b2b17f0e2392afa9191e45", "new": true, "bytes": 4, "sha256": "9c41…"
        })),
        (status = 200, description = "An earlier request with this key has brought it.", body = ReceiptForm),
        Bad, Absent, Bounded, Forbidden, Conflict, Guarded
    )
)]
pub(super) async fn job(
    State(app): State<App>,
    Segment(route): Segment,
    query: Result<Query<JobQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let permit = room(&app)?;
    let headers = request.headers();
    let name = file_name::checked(&name(query.name, headers)).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    let upload =
        UploadRequest { route, name, key: key(headers)?, length: length(headers), media_type: media_type(headers), trace: trace(headers) };
    let inlet = Arc::clone(&app.inlet);
    let (pieces, inbox) = mpsc::channel(PIECES);
    let taking = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        take(&*inlet, upload, inbox)
    });
    let sent = send(Incoming::new(request.into_body(), app.idle), pieces).await;
    let taken = taking.await.map_err(|error| failed(&error))?;
    match (taken, sent) {
        // What was refused says why; the rest of the body was not wanted any more.
        (Err(Some(refusal)), _) => Err(problem(refusal)),
        (_, Err(problem)) => Err(problem),
        (Err(None), Ok(())) => Err(Problem::new(StatusCode::BAD_REQUEST, "The body broke off.")),
        (Ok(receipt), Ok(())) => {
            let status = if receipt.new { StatusCode::ACCEPTED } else { StatusCode::OK };
            let Receipt { job, new, bytes, digest } = receipt;
            Ok((status, Json(ReceiptForm { job, new, bytes, sha256: digest })).into_response())
        }
    }
}

/// Writes what comes. None as an error: the body broke off.
fn take(inlet: &dyn Inlet, request: UploadRequest, mut inbox: mpsc::Receiver<Piece>) -> Result<Receipt, Option<Refusal>> {
    let mut upload: Box<dyn Upload> = inlet.begin(request)?;
    loop {
        match inbox.blocking_recv() {
            Some(Piece::Bytes(bytes)) => upload.write(&bytes)?,
            Some(Piece::End) => return Ok(upload.finish()?),
            None => return Err(None),
        }
    }
}

/// Passes a body on, piece by piece, as fast as they are written. It ends early, and well, when nobody takes them any more.
async fn send(mut body: Incoming, pieces: mpsc::Sender<Piece>) -> Result<(), Problem> {
    loop {
        let next = match body.next().await? {
            Some(bytes) => Piece::Bytes(bytes),
            None => Piece::End,
        };
        let ended = matches!(next, Piece::End);
        if pieces.send(next).await.is_err() {
            body.drain().await;
            return Ok(());
        }
        if ended {
            return Ok(());
        }
    }
}

/// What became of a posted file.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
struct ReceiptForm {
    /// The id of its job.
    job: String,
    /// False where an earlier request with the same key had brought it.
    new: bool,
    /// Its size.
    bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal.
    sha256: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ConvertQuery {
    /// The converter's name; `auto`, or nothing, asks all of them.
    converter: Option<String>,
    /// The route whose converter, options, context and limits hold.
    route: Option<String>,
    /// The converter's options, as the text of a JSON object; they go before those of the route.
    options: Option<String>,
    /// The file's name; the file name of `Content-Disposition` if absent.
    #[param(example = "results.csv")]
    name: Option<String>,
    /// How documents are answered: `json`, or, if absent, one document as it is and everything else as JSON.
    #[serde(default)]
    #[param(required = false, inline)]
    form: Form,
}

/// What a file was converted to.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversion)]
struct ConvertedForm {
    /// `converted`, or `partial` where parts of the file could not be converted.
    outcome: &'static str,
    /// Who converted it.
    converter: String,
    /// That one's version.
    version: String,
    /// In their order.
    documents: Vec<DocumentForm>,
    /// What could not be converted, and what was noticed.
    #[schema(value_type = Vec<Object>)]
    problems: Value,
}

/// A document: `text`, or `base64` where its bytes are no text.
#[derive(Serialize, ToSchema)]
#[schema(as = ConvertedDocument)]
struct DocumentForm {
    /// As the converter suggested it.
    name: String,
    /// As the converter said.
    media_type: String,
    /// In the order of their names.
    #[schema(value_type = HashMap<String, String>)]
    attributes: Map<String, Value>,
    /// What it is about.
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// How documents are answered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// One document of a whole conversion as it is; everything else as JSON.
    #[default]
    Auto,
    /// As JSON.
    Json,
}

/// Converts a file at once, and answers its documents.
///
/// Nothing is queued or kept.
#[utoipa::path(
    post, path = CONVERT, tag = "files", operation_id = "convert", security(("token" = [])),
    params(
        ConvertQuery,
        ("traceparent" = Option<String>, Header, description = "The span of the client that this is a part of, as the W3C has it; one that is malformed counts as none.",
            example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ),
    request_body(content = Option<String>, content_type = "application/octet-stream", description = "The file. Its media type may be said by `Content-Type`."),
    responses(
        (status = 200, description = "All documents as JSON; or, unless `form` is `json`, the one document that came of the whole file, as it is.",
            content((ConvertedForm = "application/json"), (String = "*/*")),
            headers(("Dropforge-Converter" = String, description = "Who converted it, and its version."))),
        Bad, Absent, Bounded, Unprocessable, Guarded
    )
)]
pub(super) async fn convert(
    State(app): State<App>,
    query: Result<Query<ConvertQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let permit = room(&app)?;
    let headers = request.headers();
    let name = file_name::checked(&name(query.name, headers)).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    let media_type = media_type(headers);
    let trace = trace(headers);
    let limit = app.inlet.convert_limit();
    let announced = length(headers).unwrap_or_default();
    let too_large = || {
        let detail = format!("A file to be converted at once has at most {limit} bytes; post a larger one to {JOBS}.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let content = Incoming::new(request.into_body(), app.idle).collect(announced, limit, too_large).await?;
    let wanted = ConvertRequest {
        // `auto` is no converter's name.
        converter: query.converter.filter(|name| name != "auto"),
        route: query.route,
        options: query.options,
        name,
        media_type,
        trace,
    };
    let inlet = Arc::clone(&app.inlet);
    let converting = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        inlet.convert(wanted, content)
    });
    let converted = converting.await.map_err(|error| failed(&error))?.map_err(problem)?;
    Ok(answer(converted, query.form))
}

fn answer(mut converted: Converted, form: Form) -> Response {
    let single = form == Form::Auto && converted.whole && converted.documents.len() == 1;
    let mut response = match converted.documents.pop() {
        Some(document) if single => {
            let mut response = Response::new(Body::from(document.content));
            let media_type = HeaderValue::from_str(&document.media_type);
            response.headers_mut().insert(header::CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
            response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition(&document.name));
            response
        }
        last => {
            converted.documents.extend(last);
            Json(ConvertedForm {
                outcome: if converted.whole { "converted" } else { "partial" },
                converter: converted.converter.clone(),
                version: converted.version.clone(),
                documents: converted.documents.into_iter().map(document_form).collect(),
                // None is no problem, and no `null`.
                problems: if converted.problems.is_null() { Value::Array(Vec::new()) } else { converted.problems },
            })
            .into_response()
        }
    };
    if let Ok(converter) = HeaderValue::from_str(&format!("{} {}", converted.converter, converted.version)) {
        response.headers_mut().insert("dropforge-converter", converter);
    }
    response
}

fn document_form(document: ConvertedDocument) -> DocumentForm {
    let (text, base64) = match String::from_utf8(document.content) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(base64(error.as_bytes()))),
    };
    let attributes = document.attributes.into_iter().map(|(name, value)| (name, value.into())).collect();
    DocumentForm { name: document.name, media_type: document.media_type, attributes, key: document.key, text, base64 }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The document's name, as RFC 6266 has it.
fn disposition(name: &str) -> HeaderValue {
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}")).unwrap_or(HeaderValue::from_static("attachment"))
}

/// One of the few that come at a time.
fn room(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&app.posts)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("As many files as are taken at a time are coming in already.", BUSY_SECONDS))
}

fn name(query: Option<String>, headers: &HeaderMap) -> String {
    let disposition = headers.get(header::CONTENT_DISPOSITION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    query.or_else(|| disposition.as_deref().and_then(file_name::from_disposition)).unwrap_or_else(|| "upload".into())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What the client says that the body is, in lower case and without parameters. What clients send that were told nothing says nothing.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let says_nothing = matches!(media_type.as_str(), "application/octet-stream" | "application/x-www-form-urlencoded");
    (media_type.len() <= MAX_MEDIA_TYPE && is_media_type(&media_type) && !says_nothing).then_some(media_type)
}

/// The client's span. One that is malformed, or there twice, counts as none, as the recommendation says.
fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (values.next()?, values.next());
    TraceParent::parse(first.to_str().ok()?).filter(|_| second.is_none())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, format!("`Idempotency-Key` has 1 to {MAX_KEY} visible ASCII characters."))),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "A posted file was not taken");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The file was not taken; the log says why.")
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Bad(detail) => Problem::new(StatusCode::BAD_REQUEST, detail),
        Refusal::Forbidden(detail) => Problem::new(StatusCode::FORBIDDEN, detail),
        Refusal::NotFound(detail) => Problem::new(StatusCode::NOT_FOUND, detail),
        Refusal::Conflict(detail) => Problem::new(StatusCode::CONFLICT, detail),
        Refusal::TooLarge(detail) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail),
        Refusal::Unprocessable(detail, fields) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with(fields),
        Refusal::Busy(detail, seconds) => Problem::busy(detail, seconds),
        Refusal::Failed(detail) => {
            tracing::error!(error = detail, "A posted file was not taken");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
