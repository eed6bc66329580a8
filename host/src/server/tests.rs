//! The two ports over real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::net::Ipv4Addr;
use std::sync::Mutex;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::metrics::{Instance, QueueName};

mod document;
mod events;
mod operator;
mod ports;
mod posts;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A service that says what a test tells it to.
struct Service {
    reasons: Mutex<Vec<String>>,
    queue: bool,
}

impl Status for Service {
    fn reasons_not_ready(&self) -> Vec<String> {
        self.reasons.lock().unwrap().clone()
    }
    fn api_status(&self) -> ApiStatus {
        ApiStatus::NotConfigured
    }
    fn plugins(&self) -> Value {
        json!([{ "name": "csv" }])
    }
    fn routes(&self) -> Vec<RouteStatus> {
        vec![RouteStatus { name: "ict".into(), ..RouteStatus::default() }]
    }
    fn overview(&self) -> Overview {
        Overview { routes: json!(self.routes()), ..Overview::default() }
    }
}

impl Operator for Service {
    fn jobs(&self, filter: Value, limit: usize) -> Result<Value, Declined> {
        if !self.queue {
            return Err(Declined::Failed(anyhow::anyhow!("the queue is closed")));
        }
        if filter.as_object().is_some_and(|filter| filter.contains_key("rout")) {
            return Err(Declined::BadRequest("no `rout`".into()));
        }
        let asked = if filter == json!({}) { json!({ "limit": limit }) } else { filter };
        Ok(json!([asked]))
    }
    fn job(&self, id: &str) -> Result<Option<Value>, Declined> {
        Ok((id == "3f09").then(|| json!({ "id": id })))
    }
    fn queue(&self) -> Result<Value, Declined> {
        Ok(json!({ "due": 1 }))
    }
    fn act(&self, action: Action, filter: Value) -> Result<Value, Declined> {
        Ok(json!({ "action": format!("{action:?}"), "filter": filter }))
    }
}

impl Caches for Service {
    fn stats(&self) -> Value {
        json!([{ "name": "conversion" }])
    }
    fn clear(&self, name: Option<&str>) -> Result<u64, Declined> {
        if name == Some("other") { Err(Declined::BadRequest("no `other`".into())) } else { Ok(if name.is_some() { 1 } else { 2 }) }
    }
    fn invalidate(&self, pattern: &str) -> Result<u64, Declined> {
        Ok(pattern.len() as u64)
    }
}

impl Pauses for Service {
    fn pause(&self, target: Target, name: &str, reason: Option<&str>) -> Result<bool, Declined> {
        if name == "ghost" { Err(Declined::NotFound(format!("no {target:?} {name:?}"))) } else { Ok(reason == Some("why")) }
    }
    fn resume(&self, target: Target, _: &str) -> Result<bool, Declined> {
        Ok(target == Target::Route)
    }
}

impl Settings for Service {
    fn reload(&self) -> Result<Vec<String>, Declined> {
        if self.queue { Ok(vec!["workers: 1 → 2".into()]) } else { Err(Declined::BadRequest("no such key".into())) }
    }
    fn log_level(&self, filter: &str) -> Result<(), Declined> {
        if filter == "debug" { Ok(()) } else { Err(Declined::BadRequest("no level".into())) }
    }
}

/// Takes nothing.
struct Closed;

impl Inlet for Closed {
    fn begin(&self, request: UploadRequest) -> Result<Box<dyn Upload>, Refusal> {
        Err(Refusal::Busy(format!("{request:?}"), 7))
    }
    fn convert_limit(&self) -> u64 {
        10
    }
    fn convert(&self, request: ConvertRequest, content: Vec<u8>) -> Result<Converted, Refusal> {
        let document = ConvertedDocument {
            name: request.name,
            media_type: "text/plain".into(),
            attributes: vec![("a".into(), "1".into())],
            key: None,
            content,
        };
        let (whole, problems) = (request.converter.as_deref() != Some("partly"), json!([]));
        Ok(Converted { converter: "csv".into(), version: "1".into(), whole, problems, documents: vec![document] })
    }
}

fn with_inlet(status: Arc<Service>) -> super::Service {
    let (operator, caches, pauses) = (Arc::clone(&status) as _, Arc::clone(&status) as _, Arc::clone(&status) as _);
    let settings = Arc::clone(&status) as _;
    super::Service { inlet: Arc::new(Closed), operator, caches, pauses, settings, status }
}

fn service() -> Arc<Service> {
    Arc::new(Service { reasons: Mutex::default(), queue: true })
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&Instance::default()))
}

fn config() -> ServerConfig {
    ServerConfig {
        bind_address: Ipv4Addr::LOCALHOST.into(),
        health_port: 0,
        metrics_port: 0,
        enable_metrics: true,
        token: Token::from_secret(SECRET),
        bounds: Bounds { connections: 256, head: Duration::from_secs(75), idle: Duration::from_secs(30), stream: STREAM_TIME },
        tls: None,
    }
}

async fn start(config: ServerConfig, service: Arc<Service>, metrics: Arc<Metrics>) -> Server {
    Server::start_with(config, with_inlet(service), metrics, Duration::from_millis(5)).await.unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    ask_with(address, method, path, headers, "").await
}

async fn ask_with(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "").await
}

/// Replaces the one part of a body that no test can know.
fn without_timestamp(answer: &Answer) -> String {
    let timestamp = answer.json()["timestamp"].as_str().unwrap().to_owned();
    assert!(timestamp.ends_with('Z'), "{timestamp}");
    let age = jiff::Timestamp::now().duration_since(timestamp.parse().unwrap());
    assert!((-1.0..60.0).contains(&age.as_secs_f64()), "{timestamp}");
    answer.body.replace(&timestamp, "T")
}

#[tokio::test]
async fn health_bodies_are_exact() {
    let service = service();
    let server = start(config(), service.clone(), metrics()).await;
    let at = server.health_addr();

    let answer = get(at, "/health").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(without_timestamp(&answer), r#"{"status":"healthy","timestamp":"T"}"#);

    let answer = get(at, "/health/live").await;
    assert_eq!(answer.status, 200);
    let uptime = answer.json()["uptime_seconds"].as_u64().unwrap();
    assert!(uptime < 60);
    assert_eq!(without_timestamp(&answer), format!(r#"{{"status":"alive","uptime_seconds":{uptime},"timestamp":"T"}}"#));

    let answer = get(at, "/health/ready").await;
    assert_eq!(answer.status, 200);
    assert_eq!(without_timestamp(&answer), r#"{"status":"ready","api_status":"not_configured","timestamp":"T"}"#);

    *service.reasons.lock().unwrap() = vec!["no converter is loaded".to_owned()];
    let answer = get(at, "/health/ready").await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")));
    assert_eq!(
        without_timestamp(&answer),
        r#"{"status":"not_ready","api_status":"not_configured","timestamp":"T","reasons":["no converter is loaded"]}"#
    );
    server.stop().await;
}

#[tokio::test]
async fn the_api_answers_what_the_service_says() {
    let server = start(config(), service(), metrics()).await;
    let at = server.health_addr();
    assert_eq!(get(at, "/api/v1/plugins").await.json(), json!([{ "name": "csv" }]));
    assert_eq!(get(at, "/api/v1/routes").await.json()[0]["name"], "ict");
    assert_eq!(get(at, "/api/v1/jobs").await.json(), json!([{ "limit": 100 }]));
    assert_eq!(get(at, "/api/v1/jobs?limit=1000").await.json(), json!([{ "limit": 1000 }]));
    for (path, detail) in [
        ("/api/v1/jobs?limit=0", "`limit` is 0; it may be 1 to 1000."),
        ("/api/v1/jobs?limit=1001", "`limit` is 1001; it may be 1 to 1000."),
        ("/api/v1/jobs?limit=many", "invalid digit"),
    ] {
        let answer = get(at, path).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{}", answer.body);
    }
    let page = get(at, "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<h1>Dropforge") && !page.body.contains("[KINDS]"), "{}", page.body);
}

#[tokio::test]
async fn errors_are_problem_documents() {
    let service = Arc::new(Service { reasons: Mutex::default(), queue: false });
    let server = start(config(), service, metrics()).await;
    for (address, method, path, body) in [
        (
            server.health_addr(),
            "GET",
            "/nothing",
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at /nothing."}"#,
        ),
        (
            server.metrics_addr().unwrap(),
            "GET",
            "/health",
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at /health."}"#,
        ),
        (
            server.health_addr(),
            "POST",
            "/api/v1/jobs",
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"/api/v1/jobs does not answer POST."}"#,
        ),
        (
            server.health_addr(),
            "DELETE",
            "/health",
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"/health does not answer DELETE."}"#,
        ),
        (
            server.health_addr(),
            "GET",
            "/api/v1/jobs",
            r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"The jobs cannot be listed: the queue is closed"}"#,
        ),
    ] {
        let answer = ask(address, method, path, "").await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(answer.body, body);
        assert_eq!(answer.json()["status"], answer.status);
        if answer.status == 405 {
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{}", answer.head);
        }
    }
}

#[tokio::test]
async fn beyond_loopback_the_api_asks_for_the_token() {
    let config = ServerConfig { bind_address: Ipv4Addr::UNSPECIFIED.into(), ..config() };
    let server = start(config, service(), metrics()).await;
    let at = server.health_addr();
    for path in ["/", "/api/v1/jobs", "/api/v1/plugins", "/api/v1/routes"] {
        for wrong in
            ["", "authorization: Bearer wrong\r\n", &format!("authorization: Basic {SECRET}\r\n"), &format!("authorization: {SECRET}\r\n")]
        {
            let answer = ask(at, "GET", path, wrong).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path} {wrong}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(!answer.body.contains(SECRET));
        }
        assert_eq!(ask(at, "GET", path, &format!("Authorization: bearer {SECRET}\r\n")).await.status, 200, "{path}");
    }
    for path in ["/health", "/health/ready", "/health/live", "/metrics"] {
        assert_eq!(get(at, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn both_ports_give_the_same_metrics() {
    let metrics = metrics();
    let server = start(config(), service(), metrics.clone()).await;
    for address in [server.health_addr(), server.metrics_addr().unwrap()] {
        let answer = get(address, "/metrics").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
        assert!(answer.body.contains("\nqueue_depth{queue_name=\"converter_queue\"} 0\n"), "{}", answer.body);
    }
}

#[tokio::test]
async fn requests_are_counted_by_template() {
    let metrics = metrics();
    let server = start(config(), service(), metrics.clone()).await;
    let at = server.health_addr();
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/nothing/17"),
        ("GET", "/api/v1/jobs?limit=7"),
        ("GET", "/api/v1/jobs"),
        ("BREW", "/api/v1/jobs"),
        ("GET", "/api/v1/nothing"),
    ] {
        ask(at, method, path, "").await;
    }
    get(server.metrics_addr().unwrap(), "/metrics").await;
    let text = metrics.exposition();
    for line in [
        r#"http_probe_requests_total{endpoint="/health",status="200"} 1"#,
        r#"http_probe_requests_total{endpoint="/health/live",status="200"} 0"#,
        r#"http_probe_requests_total{endpoint="/health/ready",status="200"} 1"#,
        r#"http_probe_requests_total{endpoint="/health/ready",status="503"} 0"#,
        r#"http_probe_requests_total{endpoint="/metrics",status="200"} 2"#,
        r#"http_probe_requests_total{endpoint="unmatched",status="404"} 1"#,
        r#"http_requests_total{endpoint="/api/v1/jobs",method="GET",status="200"} 2"#,
        r#"http_requests_total{endpoint="/api/v1/jobs",method="other",status="405"} 1"#,
        r#"http_requests_total{endpoint="/api/v1/plugins",method="GET",status="200"} 0"#,
        r#"http_requests_total{endpoint="unmatched",method="GET",status="404"} 1"#,
        r#"http_request_duration_seconds_count{endpoint="/api/v1/jobs",method="GET"} 2"#,
        r#"http_requests_active{endpoint="/api/v1/jobs",method="GET"} 0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    let endpoints = |family: &str| text.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect::<Vec<_>>();
    assert!(endpoints("http_request").iter().all(|line| !line.contains("/health") && !line.contains("/metrics")), "{text}");
    assert!(endpoints("http_probe").iter().all(|line| !line.contains("/api") || line.contains("/api/v1/events")), "{text}");
}

#[tokio::test]
async fn with_metrics_off_there_is_the_json_form_and_no_port() {
    let metrics = metrics();
    let _busy = metrics.worker_busy(QueueName::Converter);
    metrics.queue_processed(QueueName::Converter, Duration::from_secs(1));
    metrics.on_scrape(Box::new(|metrics| metrics.queue_sizes(QueueName::Converter, 3, &[], Duration::ZERO)));
    let server = start(ServerConfig { enable_metrics: false, ..config() }, service(), metrics).await;
    assert_eq!(server.metrics_addr(), None);
    let answer = get(server.health_addr(), "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        answer.body,
        r#"{"cache":{"enabled":false,"size":0,"max_size":0,"hit_rate":0.0,"total_requests":0,"hits":0,"misses":0,"evictions":0},"queue":{"size":3,"active_workers":1,"total_processed":1}}"#
    );
}

#[tokio::test]
async fn a_service_that_panics_answers_500() {
    let metrics = metrics();
    metrics.on_scrape(Box::new(|_| panic!("on purpose")));
    let server = start(config(), service(), metrics).await;
    let answer = get(server.health_addr(), "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (500, Some("application/problem+json")));
    assert_eq!(get(server.health_addr(), "/health").await.status, 200);
}

/// The log of one test: tokio's test runtime runs everything on the thread that has the subscriber.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_what_monitoring_looks_for() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let taken = other.local_addr().unwrap().port();
    let server = start(ServerConfig { metrics_port: taken, ..config() }, service(), metrics()).await;
    let retried = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().contains("Cannot open the metrics port");
    while !retried() {
        tokio::task::yield_now().await;
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in ["Metrics collection enabled", &format!("Health server started on port {}", server.health_addr().port())] {
        assert!(text.lines().any(|l| l.starts_with(|c: char| c.is_ascii_digit()) && l.ends_with(line)), "{line}\n{text}");
    }
    assert!(text.contains(&format!("ERROR dropforge::server: Cannot open the metrics port {taken} on 127.0.0.1: it is taken")), "{text}");
}
