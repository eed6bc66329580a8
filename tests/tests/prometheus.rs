//! The real Prometheus, scraping a daemon under a mixed load: every query of the guide, word for word, says what this test did.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use dropforge_tests::prometheus::Prometheus;
use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, PATIENCE, Setup, wait_for};

/// A series of an answer: its labels, and its value.
type Series = (BTreeMap<String, String>, f64);

/// One that scrapes a daemon each second.
struct Scraper(Prometheus);

impl Scraper {
    /// None where it is not installed, which is said.
    fn start(daemon: &Daemon) -> Option<Scraper> {
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: dropforge\n    static_configs:\n      - targets: \
             ['127.0.0.1:{}']\n",
            daemon.metrics_port()
        );
        Prometheus::start(&config, |_| ()).map(Scraper)
    }

    /// What it answers to a query at this moment; none while it does not answer.
    fn ask(&self, query: &str) -> Option<Vec<Series>> {
        let series = self.0.query(query)?.unwrap_or_else(|error| panic!("{query}: {error}"));
        let series = series.iter().map(|series| {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            (labels, series["value"][1].as_str().unwrap().parse().unwrap())
        });
        Some(series.collect())
    }

    fn query(&self, query: &str) -> Vec<Series> {
        self.ask(query).unwrap_or_else(|| panic!("no answer to {query}"))
    }

    /// The value of the only series of an answer that has these labels.
    #[track_caller]
    fn value(&self, query: &str, labels: &[(&str, &str)]) -> f64 {
        let found = with(&self.query(query), labels);
        assert_eq!(found.len(), 1, "{query} {labels:?}: {found:?}");
        found[0]
    }

    /// Waits until it has scraped that a query has a value.
    fn wait_for(&self, query: &str, expected: f64) {
        let mut last = None;
        let end = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < end {
            last = self.ask(query);
            if last.as_ref().is_some_and(|series| series.iter().map(|(_, value)| value).sum::<f64>() == expected && !series.is_empty()) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{query} is {last:?}, not {expected}");
    }
}

/// The values of those series that have these labels.
fn with(series: &[Series], labels: &[(&str, &str)]) -> Vec<f64> {
    let has = |found: &BTreeMap<String, String>| labels.iter().all(|(name, value)| found.get(*name).is_some_and(|known| known == value));
    series.iter().filter(|(found, _)| has(found)).map(|(_, value)| *value).collect()
}

/// A rate over five minutes, of which the daemon lived some, is what happened in them, but for what Prometheus adds at the edges.
#[track_caller]
fn assert_happened(rate: f64, count: f64, what: &str) {
    let happened = rate * 300.0;
    assert!((happened - count).abs() <= count.mul_add(0.25, 0.01), "{what}: a rate of {rate} is {happened} in five minutes, not {count}");
}

fn table(serial: usize) -> String {
    format!("serial,value\nSN{serial},1\n")
}

fn report(code: u32) -> String {
    format!("{{\"operation_code\": {code}, \"serial\": \"SN1\"}}")
}

fn config(server: &Receiver) -> String {
    format!(
        "
workers = 1
[upstream]
url = '{}'
ping_seconds = 3600
lookup_paths = ['/api/operations/*']
[plugins.opcheck]
allow = ['lookup']
[suspension]
after_failures = 100
[[routes]]
name = 'main'
intake = {{ path = '{{dir}}/in' }}
destinations = [{{ type = 'folder', path = '{{dir}}/out', name = 'out' }}]
limits = {{ wall_seconds = 8 }}
[[routes]]
name = 'sent'
converter = 'csv'
intake = {{ path = '{{dir}}/sent' }}
destinations = [{{ type = 'http', url = '/reports/{{id}}', method = 'PUT', name = 'server' }}]
",
        server.url()
    )
}

/// What the server has answered to documents, by status.
type Answered = Arc<Mutex<BTreeMap<u16, u32>>>;

/// A server that takes 60 ms for each document, fails once for some, and holds one back until it is told to go on.
fn server() -> (Receiver, Answered, mpsc::Sender<()>) {
    let server = Receiver::up();
    let (release, released) = mpsc::channel::<()>();
    let answered = Answered::default();
    let seen = Arc::clone(&answered);
    let mut failed: Vec<String> = Vec::new();
    server.behave(move |received| {
        thread::sleep(Duration::from_millis(60));
        if received.body.contains("SN900") {
            let _ = released.recv_timeout(PATIENCE);
        }
        let fails = ["SN501", "SN502", "SN503"].iter().any(|serial| received.body.contains(serial)) && !failed.contains(&received.body);
        let status = if fails { 503 } else { 201 };
        *seen.lock().unwrap().entry(status).or_default() += 1;
        if fails {
            failed.push(received.body.clone());
            return Answer::status(503);
        }
        Answer::Kept
    });
    server.know(|asked| if asked.path == "/api/operations/10" { Answer::status(200) } else { Answer::status(404) });
    (server, answered, release)
}

/// Sends a document, and waits until it has arrived.
fn send(daemon: &Daemon, serial: usize) {
    daemon.drop_into("sent", &format!("{serial}.csv"), table(serial));
    daemon.wait_for_job(&format!("{serial}.csv"), "settled");
}

fn settle(daemon: &Daemon, name: &str, content: &str) {
    daemon.drop_file(name, content);
    daemon.wait_for_job(name, "settled");
}

const ERROR_RATIO: &str = r#"sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))"#;
const OUR_ERROR_RATIO: &str = r#"(sum(rate(http_requests_total{status=~"5.."}[5m])) or vector(0)) / sum(rate(http_requests_total[5m]))"#;

#[test]
fn every_query_of_the_guide_says_what_happened() {
    let (server, answered, release) = server();
    let setup = Setup::new().plugins(&["csv", "misbehave", "opcheck"]).config(&config(&server));
    fs::create_dir(setup.path("sent")).unwrap();
    let daemon = setup.start();
    let Some(prometheus) = Scraper::start(&daemon) else { return };
    wait_for("two scrapes", || prometheus.ask("count_over_time(up[5m]) >= 2")?.first().map(drop));

    // Before the first failure the guide's error ratio is empty; ours is 0.
    assert_eq!(prometheus.query(ERROR_RATIO), []);
    daemon.get("/api/v1/routes");
    prometheus.wait_for(r#"http_requests_total{method="GET",endpoint="/api/v1/routes",status="200"}"#, 1.0);
    assert_eq!(prometheus.value(OUR_ERROR_RATIO, &[]), 0.0);
    // A status that was never seen has no series at 0: a rate begins with the second.
    send(&daemon, 501);
    prometheus.wait_for(r#"http_requests_total{method="PUT",status="503"}"#, 1.0);

    for _ in 1..12 {
        assert_eq!(daemon.get("/api/v1/routes").0, 200);
    }
    for serial in [1, 2, 3, 4, 502, 5, 6, 503] {
        send(&daemon, serial);
    }
    for name in ["missing-field.1.mis", "missing-field.2.mis", "panic.mis", "reject.mis", "partial.mis", "nobodys.bin"] {
        settle(&daemon, name, "x");
    }
    for name in ["a.csv", "b.csv"] {
        settle(&daemon, name, &table(if name == "a.csv" { 601 } else { 602 }));
    }
    // Four look-ups of one code, of which the server sees one, and one of a code that it does not know.
    for name in ["1.report.json", "2.report.json", "3.report.json", "4.report.json"] {
        settle(&daemon, name, &report(10));
    }
    settle(&daemon, "5.report.json", &report(99));
    check_with_promtool(&daemon);

    // A request that is under way, and a worker that is busy while others wait.
    daemon.drop_into("sent", "900.csv", table(900));
    prometheus.wait_for("sum(http_requests_active)", 1.0);
    release.send(()).unwrap();
    daemon.wait_for_job("900.csv", "settled");
    daemon.drop_file("spin.mis", "x");
    daemon.assert_metric(r#"queue_active_workers{queue_name="converter_queue"}"#, 1.0);
    for serial in 701..=703 {
        daemon.drop_file(&format!("{serial}.csv"), table(serial));
    }
    prometheus.wait_for(r#"queue_depth{queue_name="converter_queue"}"#, 3.0);
    let converter = [("queue_name", "converter_queue")];
    assert_eq!(prometheus.value("queue_active_workers / 5", &converter), 0.2);
    assert_eq!(prometheus.value("queue_active_workers / queue_workers", &converter), 1.0);
    for serial in 701..=703 {
        daemon.wait_for_job(&format!("{serial}.csv"), "settled");
    }
    daemon.wait_for_job("spin.mis", "settled");

    // Everything has ended. Of jobs there are 10 to the server and 17 others.
    prometheus.wait_for(r#"queue_items_processed_total{queue_name="converter_queue"}"#, 27.0);
    prometheus.wait_for(r#"queue_items_processed_total{queue_name="delivery_queue"}"#, 27.0);
    prometheus.wait_for(r#"queue_depth"#, 0.0);
    prometheus.wait_for("sum(http_requests_active)", 0.0);
    http_queries(&prometheus, &answered.lock().unwrap());
    cache_queries(&prometheus, server.looked_up().len());
    queue_queries(&prometheus);
    conversion_queries(&prometheus);
}

fn http_queries(prometheus: &Scraper, answered: &BTreeMap<u16, u32>) {
    let routes = r#"http_requests_total{method="GET",endpoint="/api/v1/routes",status="200"}"#;
    assert_eq!(prometheus.value(routes, &[]), 12.0);
    // What the server saw.
    assert_eq!(answered, &BTreeMap::from([(201, 10), (503, 3)]));
    let puts = r#"http_requests_total{method="PUT"}"#;
    for (status, count) in answered {
        assert_eq!(prometheus.value(puts, &[("status", &status.to_string())]), f64::from(*count), "{status}");
    }
    let endpoint = prometheus.query(puts)[0].0["endpoint"].clone();

    let rates = prometheus.query("rate(http_requests_total[5m])");
    assert_happened(with(&rates, &[("endpoint", "/api/v1/routes")])[0], 12.0, "requests for routes");
    assert_happened(with(&rates, &[("method", "PUT"), ("status", "201")])[0], 10.0, "documents");
    // It began with the first.
    assert_happened(with(&rates, &[("method", "PUT"), ("status", "503")])[0], 2.0, "failures");
    let by_endpoint = "sum(rate(http_requests_total[5m])) by (endpoint)";
    assert_happened(prometheus.value(by_endpoint, &[("endpoint", "/api/v1/routes")]), 12.0, by_endpoint);
    assert_happened(prometheus.value(by_endpoint, &[("endpoint", &endpoint)]), 12.0, by_endpoint);
    let (failures, all) = (with(&rates, &[("status", "503")])[0], rates.iter().map(|(_, rate)| rate).sum::<f64>());
    for query in [ERROR_RATIO, OUR_ERROR_RATIO] {
        let ratio = prometheus.value(query, &[]);
        assert!(ratio > 0.0 && (ratio / (failures / all) - 1.0).abs() < 0.2, "{query}: {ratio}, {failures} of {all}");
    }

    // The server takes 60 ms for each document, and held one back.
    for query in [
        "histogram_quantile(0.95, http_request_duration_seconds_bucket)",
        "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m]))",
    ] {
        let put = prometheus.value(query, &[("endpoint", &endpoint), ("method", "PUT")]);
        assert!((0.05..=100.0).contains(&put), "{query}: {put}");
        let routes = prometheus.value(query, &[("endpoint", "/api/v1/routes")]);
        assert!(routes > 0.0 && routes < 10.0, "{query}: {routes}");
    }
}

fn cache_queries(prometheus: &Scraper, asked: usize) {
    // Five look-ups, of which the server saw two.
    assert_eq!(asked, 2);
    assert_eq!(prometheus.value(r#"cache_hit_rate{cache_name="http_response"}"#, &[]), 0.6);
    let rates = prometheus.query("cache_hit_rate");
    assert_eq!((with(&rates, &[("cache_name", "http_response")]), with(&rates, &[("cache_name", "conversion")])), (vec![0.6], vec![0.0]));
    let size = prometheus.value(r#"cache_size_bytes{cache_name="http_response"}"#, &[]);
    assert!((1.0..100_000.0).contains(&size), "{size}");
    let answers = [("cache_name", "http_response")];
    assert_happened(prometheus.value("rate(cache_hits_total[5m])", &answers), 3.0, "hits");
    assert_happened(prometheus.value("rate(cache_misses_total[5m])", &answers), 2.0, "misses");
    assert_eq!(prometheus.value("rate(cache_evictions_total[5m])", &answers), 0.0);
}

fn queue_queries(prometheus: &Scraper) {
    let depths = prometheus.query("queue_depth");
    for queue in ["converter_queue", "delivery_queue"] {
        assert_eq!(with(&depths, &[("queue_name", queue)]), [0.0], "{queue}");
        assert_happened(prometheus.value("rate(queue_items_processed_total[5m])", &[("queue_name", queue)]), 27.0, queue);
        let slowest = "histogram_quantile(0.95, rate(queue_processing_duration_seconds_bucket[5m]))";
        let duration = prometheus.value(slowest, &[("queue_name", queue)]);
        assert!(duration > 0.0 && duration <= 300.0, "{slowest}: {duration}");
    }
    assert_eq!(prometheus.value(r#"queue_depth{queue_name="converter_queue"}"#, &[]), 0.0);
    assert_eq!(prometheus.value("queue_active_workers / 5", &[("queue_name", "converter_queue")]), 0.0);
}

fn conversion_queries(prometheus: &Scraper) {
    let conversions = prometheus.query("conversions_total");
    for (converter, status, count) in [
        ("csv", "success", 15.0),
        ("csv", "error", 0.0),
        ("opcheck", "success", 4.0),
        ("opcheck", "rejected", 1.0),
        ("misbehave", "error", 4.0),
        ("misbehave", "rejected", 1.0),
        ("misbehave", "partial", 1.0),
        ("none", "error", 1.0),
    ] {
        let labels = [("converter", converter), ("status", status)];
        assert_eq!(with(&conversions, &labels), [count], "{labels:?}");
        assert_eq!(prometheus.value("sum(conversions_total) by (converter, status)", &labels), count);
    }
    let errors = prometheus.query("sum(conversion_errors_total) by (error_type)");
    let happened: BTreeMap<&str, f64> =
        errors.iter().filter(|(_, count)| *count > 0.0).map(|(labels, count)| (labels["error_type"].as_str(), *count)).collect();
    assert_eq!(happened, BTreeMap::from([("missing_field", 2.0), ("no_converter", 1.0), ("timeout", 1.0), ("trap", 1.0)]));
    assert_eq!(with(&prometheus.query("conversion_errors_total"), &[("converter", "misbehave"), ("error_type", "missing_field")]), [2.0]);
    // The errors are the share of `status="error"`.
    let difference = r#"sum(conversions_total{status="error"}) - sum(conversion_errors_total)"#;
    assert_eq!(prometheus.value(difference, &[]), 0.0);
}

/// Prometheus's own linter finds nothing.
fn check_with_promtool(daemon: &Daemon) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool comes with Prometheus");
    let exposition = daemon.get("/metrics").1;
    promtool.stdin.take().unwrap().write_all(exposition.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{exposition}");
}
