//! A collector of OpenTelemetry that a test runs in its own process: it takes OTLP over HTTP, and reads it with OpenTelemetry's own messages.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A span as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it is called.
    pub name: String,
    /// The trace, its own id and that of its parent (empty where there is none), in hexadecimal.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent's.
    pub parent: String,
    /// Nanoseconds since the epoch.
    pub began: u64,
    /// Nanoseconds since the epoch.
    pub ended: u64,
    /// The kind's number: 1 internal, 2 server, 3 client, 5 consumer.
    pub kind: i32,
    /// The message of a status that is an error.
    pub error: Option<String>,
    /// As texts, by name.
    pub attributes: BTreeMap<String, String>,
    /// Those of whoever sent it.
    pub resource: BTreeMap<String, String>,
    /// The headers of the request that brought it.
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct Shared {
    spans: Mutex<Vec<Seen>>,
    requests: Mutex<usize>,
    stalls: bool,
    /// Why it takes no span, where it does not.
    refuses: Option<&'static str>,
}

/// The collector. It is down until it is started.
pub struct Collector {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Collector {
    /// One that is down, on a port that nothing else has.
    pub fn down() -> Collector {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Collector { port, shared: Arc::default(), runtime: None }
    }

    /// One that takes everything.
    pub fn up() -> Collector {
        let mut collector = Collector::down();
        collector.start();
        collector
    }

    /// One that takes connections and never answers.
    pub fn stalling() -> Collector {
        let mut collector = Collector::down();
        collector.shared = Arc::new(Shared { stalls: true, ..Shared::default() });
        collector.start();
        collector
    }

    /// One that answers, takes nothing, and says this.
    pub fn refusing(reason: &'static str) -> Collector {
        let mut collector = Collector::down();
        collector.shared = Arc::new(Shared { refuses: Some(reason), ..Shared::default() });
        collector.start();
        collector
    }

    /// Brings it up.
    pub fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))).unwrap();
        let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&self.shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
        self.runtime = Some(runtime);
    }

    /// Its address, as the configuration has it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The spans that it was sent.
    pub fn spans(&self) -> Vec<Seen> {
        self.shared.spans.lock().unwrap().clone()
    }

    /// Those of one name.
    pub fn named(&self, name: &str) -> Vec<Seen> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        *self.shared.requests.lock().unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    *shared.requests.lock().unwrap() += 1;
    if shared.stalls {
        return std::future::pending().await;
    }
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    if headers.get("content-type").map(String::as_str) != Some("application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST.into_response() };
    if let Some(reason) = shared.refuses {
        let spans = request.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
        let rejected_spans = spans.map(|of_scope| of_scope.spans.len() as i64).sum();
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: reason.into() });
        return ExportTraceServiceResponse { partial_success }.encode_to_vec().into_response();
    }
    for of_resource in request.resource_spans {
        let resource = texts(&of_resource.resource.unwrap_or_default().attributes);
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        shared.spans.lock().unwrap().extend(spans.map(|span| seen(&span, &resource, &headers)));
    }
    ([("content-type", "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec()).into_response()
}

fn seen(span: &Span, resource: &BTreeMap<String, String>, headers: &BTreeMap<String, String>) -> Seen {
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:?}");
    Seen {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        kind: span.kind,
        error: span.status.as_ref().filter(|status| status.code == 2).map(|status| status.message.clone()),
        attributes: texts(&span.attributes),
        resource: resource.clone(),
        headers: headers.clone(),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
