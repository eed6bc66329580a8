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
async fn a_health_port_that_is_taken_is_an_error_that_names_it() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = other.local_addr().unwrap().port();
    let config = ServerConfig { health_port: port, ..config() };
    let error = Server::start(config, with_inlet(service()), metrics()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("health port {port} on 127.0.0.1: it is taken")) && error.contains("DROPFORGE_HEALTH_PORT"), "{error}");
}

#[tokio::test]
async fn a_metrics_port_that_is_taken_is_tried_again() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = other.local_addr().unwrap().port();
    let mut server = start(ServerConfig { metrics_port: port, ..config() }, service(), metrics()).await;
    assert_eq!(server.metrics_addr(), None);
    assert_eq!(get(server.health_addr(), "/metrics").await.status, 200);
    drop(other);
    server.metrics_addr.wait_for(Option::is_some).await.unwrap();
    assert_eq!(server.metrics_addr().unwrap().port(), port);
    assert_eq!(get(server.metrics_addr().unwrap(), "/metrics").await.status, 200);
}

#[tokio::test]
async fn a_server_that_waits_for_its_metrics_port_stops_at_once() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let config = ServerConfig { metrics_port: other.local_addr().unwrap().port(), ..config() };
    Server::start(config, with_inlet(service()), metrics()).await.unwrap().stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_closes_the_ports() {
    let metrics = metrics();
    let (entered, mut has_entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    metrics.on_scrape(Box::new(move |_| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
    }));
    let server = start(config(), service(), metrics).await;
    let (health, metrics) = (server.health_addr(), server.metrics_addr().unwrap());
    // An idle connection must not hold the server up.
    let mut idle = TcpStream::connect(health).await.unwrap();
    let scrape = tokio::spawn(get(health, "/metrics"));
    has_entered.recv().await.unwrap();
    let stop = tokio::spawn(server.stop());
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    release.send(()).unwrap();
    assert_eq!(scrape.await.unwrap().status, 200);
    stop.await.unwrap();
    for address in [health, metrics] {
        TcpListener::bind(address).await.unwrap();
    }
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

#[tokio::test]
async fn files_are_posted_with_the_token_alone() {
    let server = start(config(), service(), metrics()).await;
    let post = async |path: &str, headers: &str, body: &str| {
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        ask_with(server.health_addr(), "POST", path, &headers, body).await
    };
    let token = format!("Authorization: Bearer {SECRET}\r\n");
    for path in ["/api/v1/routes/r/jobs", "/api/v1/convert"] {
        let refused = post(path, "", "x").await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert!(refused.json()["detail"].as_str().unwrap().starts_with("What changes something needs `Authorization: Bearer`"));
        assert_eq!(ask(server.health_addr(), "GET", path, &token).await.status, 405);
    }
    let headers = format!("{token}Idempotency-Key: k\r\nContent-Disposition: attachment; filename=\"../a.csv\"\r\n");
    let busy = post("/api/v1/routes/r/jobs", &headers, "x").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("7")));
    let expected =
        UploadRequest { route: "r".into(), name: "a.csv".into(), key: Some("k".into()), length: Some(1), media_type: None, trace: None };
    assert_eq!(busy.json()["detail"], format!("{expected:?}"));
    for (path, headers) in [
        ("/api/v1/routes/r/jobs?nam=a", token.clone()),
        ("/api/v1/routes/r/jobs?name=a%0Ab", token.clone()),
        ("/api/v1/routes/r/jobs", format!("{token}Idempotency-Key: {}\r\n", "k".repeat(256))),
        ("/api/v1/convert?form=xml", token.clone()),
    ] {
        let answer = post(path, &headers, "x").await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn one_document_is_answered_as_it_is_and_everything_else_as_json() {
    let server = start(config(), service(), metrics()).await;
    let post = async |path: &str, body: &str| {
        let headers = format!("Authorization: Bearer {SECRET}\r\nContent-Length: {}\r\n", body.len());
        ask_with(server.health_addr(), "POST", path, &headers, body).await
    };
    let one = post("/api/v1/convert?name=a%20b.csv", "row").await;
    assert_eq!((one.status, one.body.as_str(), one.header("content-type")), (200, "row", Some("text/plain")));
    assert_eq!(one.header("content-disposition"), Some("attachment; filename*=UTF-8''a%20b.csv"));
    assert_eq!(one.header("dropforge-converter"), Some("csv 1"));
    let document = json!([{ "name": "x", "media_type": "text/plain", "attributes": { "a": "1" }, "key": null, "text": "row" }]);
    for (query, outcome) in [("name=x&form=json", "converted"), ("name=x&converter=partly", "partial")] {
        let answer = post(&format!("/api/v1/convert?{query}"), "row").await.json();
        assert_eq!((&answer["outcome"], &answer["documents"]), (&json!(outcome), &document));
    }
    let large = post("/api/v1/convert", "01234567890").await;
    assert_eq!(large.status, 413);
    assert!(large.json()["detail"].as_str().unwrap().contains("at most 10 bytes"));
}

#[tokio::test]
async fn jobs_are_found_shown_and_acted_upon() {
    let server = start(config(), service(), metrics()).await;
    let at = server.health_addr();
    assert_eq!(
        get(at, "/api/v1/jobs?path=a%20b.csv&dead=true&since_ms=5").await.json(),
        json!([{ "path": "a b.csv", "dead": true, "since_ms": 5 }])
    );
    for query in ["rout=x", "path=a&path=b"] {
        assert_eq!(get(at, &format!("/api/v1/jobs?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(get(at, "/api/v1/jobs/3f09").await.json(), json!({ "id": "3f09" }));
    assert_eq!(get(at, "/api/v1/jobs/4").await.status, 404);
    assert_eq!(get(at, "/api/v1/queue").await.json(), json!({ "due": 1 }));
    let token = format!("Authorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n");
    let act = async |path: &str, body: &str| ask_with(at, "POST", path, &format!("{token}Content-Length: {}\r\n", body.len()), body).await;
    assert_eq!(act("/api/v1/queue/retry", r#"{"path":"a"}"#).await.json(), json!({ "action": "Retry", "filter": { "path": "a" } }));
    assert_eq!(act("/api/v1/queue/replay", r#"{"all":true}"#).await.json(), json!({ "action": "Replay", "filter": {} }));
    for (path, body, status) in [
        ("retry", "{}", 400),
        ("retry", "[]", 400),
        ("retry", "{", 400),
        ("retry", r#"{"all":"true"}"#, 400),
        // Nobody who says this means every job.
        ("purge", r#"{"path":null,"dead":false,"all":null}"#, 400),
        ("burn", r#"{"all":true}"#, 404),
    ] {
        assert_eq!(act(&format!("/api/v1/queue/{path}"), body).await.status, status, "{path} {body}");
    }
    // Without the token nothing is done, on loopback neither.
    assert_eq!(ask_with(at, "POST", "/api/v1/queue/purge", "Content-Type: application/json\r\n", r#"{"all":true}"#).await.status, 401);
}

#[tokio::test]
async fn caches_are_shown_and_emptied() {
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    assert_eq!(get(address, "/api/v1/cache").await.json(), json!([{ "name": "conversion" }]));
    let post = async |action: &str, body: &str, token: &str| {
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n{token}", body.len());
        ask_with(address, "POST", &format!("/api/v1/cache/{action}"), &headers, body).await
    };
    let token = format!("authorization: Bearer {SECRET}\r\n");
    assert_eq!(post("clear", "{}", "").await.status, 401);
    assert_eq!(post("clear", "{}", &token).await.json(), json!({ "removed": 2 }));
    assert_eq!(post("clear", r#"{"cache": "conversion"}"#, &token).await.json(), json!({ "removed": 1 }));
    assert_eq!(post("invalidate", r#"{"pattern": "/api"}"#, &token).await.json(), json!({ "removed": 4 }));
    for (action, body, status) in [
        ("clear", r#"{"cache": "other"}"#, 400),
        ("clear", r#"{"pattern": "/api"}"#, 400),
        ("invalidate", "{}", 400),
        ("invalidate", r#"{"patern": "/api"}"#, 400),
        ("empty", "{}", 404),
    ] {
        assert_eq!(post(action, body, &token).await.status, status, "{action} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn routes_and_converters_are_paused_and_go_on() {
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    let post = async |path: &str, body: &str, token: &str| {
        let headers = format!("content-length: {}\r\n{token}", body.len());
        ask_with(address, "POST", &format!("/api/v1/{path}"), &headers, body).await
    };
    let token = format!("authorization: Bearer {SECRET}\r\n");
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(501));
    for (path, body, paused, changed) in [
        ("routes/ict/pause", r#"{"reason": "why"}"#, true, true),
        ("routes/ict/pause", "", true, false),
        ("routes/ict/resume", "", false, true),
        ("converters/csv/pause", "{}", true, false),
        ("converters/csv/resume", "{}", false, false),
    ] {
        assert_eq!(post(path, body, "").await.status, 401, "{path}");
        assert_eq!(post(path, body, &token).await.json(), json!({ "paused": paused, "changed": changed }), "{path} {body}");
    }
    for (path, body, status) in [
        ("routes/ghost/pause", "", 404),
        ("converters/ghost/pause", "", 404),
        ("routes/ict/stop", "", 404),
        ("routes/ict/pause", "why", 400),
        ("routes/ict/pause", r#"{"resaon": "why"}"#, 400),
        ("routes/ict/pause", long.as_str(), 400),
    ] {
        assert_eq!(post(path, body, &token).await.status, status, "{path} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_configuration_is_taken_anew_and_the_log_changed() {
    let token = format!("authorization: Bearer {SECRET}\r\ncontent-type: application/json\r\n");
    let post = async |address, path: &str, body: &str| {
        ask_with(address, "POST", &format!("/api/v1/{path}"), &format!("{token}content-length: {}\r\n", body.len()), body).await
    };
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    let answer = post(address, "reload", "").await;
    assert_eq!((answer.status, answer.json()), (202, json!({ "changes": ["workers: 1 → 2"] })));
    assert_eq!(ask_with(address, "POST", "/api/v1/reload", "content-length: 0\r\n", "").await.status, 401);
    assert_eq!(post(address, "log-level", r#"{"level": "debug"}"#).await.json(), json!({ "level": "debug" }));
    for body in [r#"{"level": "loud"}"#, r#"{"lvl": "debug"}"#, ""] {
        assert_eq!(post(address, "log-level", body).await.status, 400, "{body}");
    }
    server.stop().await;
    let server = start(config(), Arc::new(Service { reasons: Mutex::default(), queue: false }), metrics()).await;
    assert_eq!(post(server.health_addr(), "reload", "").await.status, 400);
}
