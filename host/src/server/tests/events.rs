//! Streams of events over real sockets.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;
use crate::events::Event;

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    id: String,
    kind: String,
    data: Value,
}

/// A client that watches.
struct Client {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Client {
    async fn connect(server: &Server, path: &str, headers: &str) -> Client {
        let mut stream = TcpStream::connect(server.health_addr()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes()).await.unwrap();
        let (mut stream, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        Client { stream, head }
    }

    /// The next event; none at the end of the stream. Comments, and what cuts the stream into chunks, are passed over.
    async fn next(&mut self) -> Option<Seen> {
        let mut seen = Seen::default();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.unwrap() == 0 || line == "0\r\n" {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => seen.id = id.to_owned(),
                Some(("event", kind)) => seen.kind = kind.to_owned(),
                Some(("data", data)) => seen.data = serde_json::from_str(data).unwrap(),
                _ if line == "\n" && !seen.kind.is_empty() => return Some(seen),
                _ => {}
            }
        }
    }

    async fn kinds(&mut self, many: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in 0..many {
            kinds.push(self.next().await.unwrap().kind);
        }
        kinds
    }
}

fn tell(metrics: &Metrics) {
    metrics.tell(|| Event::RoutePaused { route: "ict".into(), reason: Some("line\nbreak".into()) });
    metrics.tell(|| Event::IntakeUp { route: "fct".into() });
    metrics.tell(|| Event::DestinationWorks { destination: "out".into() });
}

#[tokio::test]
async fn events_are_told_as_they_happen_until_the_server_stops() {
    let metrics = metrics();
    let server = start(config(), service(), metrics.clone()).await;
    let mut client = Client::connect(&server, "/api/v1/events", "").await;
    assert!(client.head.starts_with("HTTP/1.1 200 OK") && client.head.contains("content-type: text/event-stream"), "{}", client.head);
    tell(&metrics);
    let first = client.next().await.unwrap();
    assert_eq!((first.kind.as_str(), &first.data["kind"]), ("route_paused", &json!("route_paused")));
    assert_eq!((&first.data["route"], &first.data["reason"]), (&json!("ict"), &json!("line\nbreak")));
    assert_eq!(client.kinds(2).await, ["intake_up", "destination_works"]);
    // Who comes back goes on after what it saw.
    let mut back = Client::connect(&server, "/api/v1/events", &format!("Last-Event-ID: {}\r\n", first.id)).await;
    assert_eq!(back.kinds(2).await, ["intake_up", "destination_works"]);
    let mut stranger = Client::connect(&server, "/api/v1/events", "Last-Event-ID: 1-5\r\n").await;
    let missed = stranger.next().await.unwrap();
    assert_eq!((missed.kind.as_str(), missed.data), ("missed", json!({ "events": null })));
    assert_eq!(stranger.kinds(3).await, ["route_paused", "intake_up", "destination_works"]);
    metrics.tell(|| Event::Stopping);
    server.stop().await;
    assert_eq!(client.next().await.unwrap().kind, "stopping");
    assert_eq!(client.next().await, None);
    let text = metrics.exposition();
    assert!(text.contains("http_probe_requests_total{endpoint=\"/api/v1/events\",status=\"200\"} 3\n"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("http_request") && line.contains("events")), "{text}");
}

#[tokio::test]
async fn a_client_is_told_what_it_asked_for() {
    let metrics = metrics();
    let server = start(config(), service(), metrics.clone()).await;
    let mut of_route = Client::connect(&server, "/api/v1/events?route=ict", "").await;
    let mut of_kinds = Client::connect(&server, "/api/v1/events?kind=intake_up&kind=destination_works", "").await;
    for _ in 0..2 {
        tell(&metrics);
    }
    assert_eq!(of_route.kinds(2).await, ["route_paused", "route_paused"]);
    assert_eq!(of_kinds.kinds(4).await, ["intake_up", "destination_works", "intake_up", "destination_works"]);
    for (path, headers, detail) in [
        ("?route=itc", "", "There is no route \"itc\"; there are: ict."),
        ("?kind=job_lost", "", "There is no kind \"job_lost\"; there are: ready, "),
        ("?knid=ready", "", "There is no parameter \"knid\""),
        ("", "Last-Event-ID: seven\r\n", "`Last-Event-ID` is to be"),
    ] {
        let answer = ask(server.health_addr(), "GET", &format!("/api/v1/events{path}"), headers).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(detail), "{}", answer.body);
    }
}

#[tokio::test]
async fn streams_are_bounded_and_need_the_token_beyond_loopback() {
    let server = start(config(), service(), metrics()).await;
    let mut clients = Vec::new();
    for _ in 0..crate::server::events::MOST_STREAMS {
        clients.push(Client::connect(&server, "/api/v1/events", "").await);
    }
    let refused = ask(server.health_addr(), "GET", "/api/v1/events", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    // One that goes makes room. The server sees it at its next event.
    drop(clients.pop());
    while ask(server.health_addr(), "HEAD", "/api/v1/events", "").await.status != 200 {
        tokio::task::yield_now().await;
    }
    let open = start(ServerConfig { bind_address: Ipv4Addr::UNSPECIFIED.into(), ..config() }, service(), metrics()).await;
    assert_eq!(ask(open.health_addr(), "GET", "/api/v1/events", "").await.status, 401);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_and_says_where_to_come_back() {
    let bounds = Bounds { stream: Duration::from_millis(50), ..config().bounds };
    let metrics = metrics();
    let server = start(ServerConfig { bounds, ..config() }, service(), metrics.clone()).await;
    let mut clients = Vec::new();
    while clients.len() < crate::server::events::MOST_STREAMS {
        clients.push(Client::connect(&server, "/api/v1/events", "").await);
    }
    // Their places are free again, although none of them has gone and nothing has happened.
    while ask(server.health_addr(), "HEAD", "/api/v1/events", "").await.status != 200 {
        tokio::task::yield_now().await;
    }
    let (mut client, mut told) = (clients.remove(0), String::new());
    while !told.ends_with("\r\n0\r\n") {
        assert_ne!(client.stream.read_line(&mut told).await.unwrap(), 0, "{told}");
    }
    let place = told.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_else(|| panic!("no place: {told}"));
    assert!(!told.contains("data"), "{told}");
    // What happens between two streams is told by the second.
    tell(&metrics);
    // Of a server that gives it the time to read them.
    let server = start(config(), service(), metrics.clone()).await;
    let mut back = Client::connect(&server, "/api/v1/events", &format!("Last-Event-ID: {place}\r\n")).await;
    assert_eq!(back.kinds(3).await, ["route_paused", "intake_up", "destination_works"]);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up_and_is_told_what_it_lost() {
    let metrics = metrics();
    let server = start(config(), service(), metrics.clone()).await;
    let mut slow = Client::connect(&server, "/api/v1/events", "").await;
    let mut fast = Client::connect(&server, "/api/v1/events?kind=destination_works", "").await;
    // More than the sockets' buffers and what is kept hold together.
    let reason = "x".repeat(1_000);
    for _ in 0..40_000 {
        metrics.tell(|| Event::IntakeDown { route: "ict".into(), reason: reason.clone() });
    }
    metrics.tell(|| Event::DestinationWorks { destination: "out".into() });
    while fast.next().await.unwrap().kind != "destination_works" {}
    let (mut seen, mut lost) = (0, 0);
    loop {
        let event = slow.next().await.unwrap();
        match event.kind.as_str() {
            "missed" => lost += event.data["events"].as_u64().unwrap(),
            "destination_works" => break,
            _ => seen += 1,
        }
    }
    assert_eq!(seen + lost, 40_000);
    assert!(lost > 1_000, "{lost}");
}
