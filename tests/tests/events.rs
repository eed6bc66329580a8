//! What happens, told while it happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use dropforge_tests::{Daemon, PATIENCE, Setup, plugin};
use serde_json::Value;

/// A client that watches, as `curl -N` does.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(daemon: &Daemon, query: &str) -> Stream {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.health_port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET /api/v1/events{query} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        let (mut stream, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        Stream(stream)
    }

    /// The next event; none at the end.
    fn next(&mut self) -> Option<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            // The comments that keep a stream alive would keep a test waiting for ever.
            assert!(Instant::now() < end, "no event came");
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Reads on to the first event of a kind, and gives it with the kinds of those before it.
    fn until(&mut self, kind: &str) -> (Value, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {kind}, after {before:?}"));
            let this = event["kind"].as_str().unwrap().to_owned();
            if this == kind {
                return (event, before);
            }
            before.push(this);
        }
    }
}

#[test]
fn everything_that_happens_is_told_to_who_watches() {
    let mut daemon = Setup::new().start();
    let mut all = Stream::open(&daemon, "");
    let mut settled = Stream::open(&daemon, "?kind=job_settled&route=default");
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    let (loaded, _) = all.until("plugin_loaded");
    assert_eq!((&loaded["converter"], &loaded["file"]), (&"csv".into(), &"csv.wasm".into()));
    daemon.drop_plugin("broken.wasm", "no plugin");
    let (refused, _) = all.until("plugin_refused");
    assert!(refused["file"] == "broken.wasm" && refused["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{refused}");

    daemon.drop_file("a.csv", "x\n1\n");
    // A worker that is free may begin with a job before the intake has said that it queued it; documents go out and sources are settled side by side.
    let mut told: Vec<Value> = Vec::new();
    let of_a_job = ["delivered", "job_queued", "job_settled", "job_started", "source_settled"];
    while told.len() < of_a_job.len() {
        told.push(all.next().unwrap());
    }
    told.sort_by_key(|event| event["kind"].as_str().unwrap().to_owned());
    assert_eq!(told.iter().map(|event| &event["kind"]).collect::<Vec<_>>(), of_a_job, "{told:?}");
    let [_, queued, event, started, _] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.iter().all(|event| event["job"] == queued["job"]), "{told:?}");
    assert_eq!((&queued["file"], &queued["origin"], &queued["bytes"]), (&"a.csv".into(), &"folder".into(), &4.into()));
    assert_eq!(started["attempt"], 1);
    assert_eq!((&event["outcome"], &event["converter"]), (&"converted".into(), &"csv".into()));
    assert_eq!((&event["documents"], &event["error_type"], &event["reason"]), (&1.into(), &Value::Null, &Value::Null));
    assert!(event["duration_ms"].as_f64().unwrap() > 0.0 && event["output_bytes"].as_u64().unwrap() > 0, "{event}");

    daemon.drop_file("b.txt", "for nobody");
    let (event, _) = all.until("job_settled");
    assert_eq!((&event["file"], &event["outcome"], &event["error_type"]), (&"b.txt".into(), &"failed".into(), &"no_converter".into()));
    assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event}");
    let files: Vec<Value> = (0..2).map(|_| settled.next().unwrap()["file"].clone()).collect();
    assert_eq!(files, ["a.csv", "b.txt"]);

    let (code, _, errors) = daemon.command(&["route", "pause", "default", "--reason", "cleaning"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(all.until("route_paused").0["reason"], "cleaning");
    daemon.drop_file("c.csv", "x\n3\n");
    assert!(all.until("intake_held_back").0["reason"].as_str().unwrap().contains("cleaning"));
    daemon.command(&["route", "resume", "default"]);
    all.until("route_resumed");
    all.until("intake_goes_on");
    assert_eq!(all.until("job_settled").0["file"], "c.csv");
    fs::remove_file(daemon.path("plugins/csv.wasm")).unwrap();
    assert_eq!(all.until("plugin_removed").0["converter"], "csv");

    daemon.assert_metric("http_probe_requests_total{endpoint=\"/api/v1/events\",status=\"200\"}", 2.0);
    // Watching does not keep the daemon from stopping.
    assert!(daemon.terminate().success());
    all.until("stopping");
    while all.next().is_some() {}
    assert_eq!(settled.next().unwrap()["file"], "c.csv");
    assert_eq!(settled.next(), None);
}
