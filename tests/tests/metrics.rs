//! Every metric of the daemon: each is caused here, and read back with its value. No family is exposed that is not in the table below, and
//! none is in the table that is not exposed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc;

use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, PATIENCE, Setup, plugin, run, wait_for};
use serde_json::Value;

/// The families: name, type, labels.
const FAMILIES: [(&str, &str, &str); 56] = [
    ("build_info", "gauge", "version"),
    ("cache_entries", "gauge", "cache_name"),
    ("cache_evictions_total", "counter", "cache_name"),
    ("cache_hit_rate", "gauge", "cache_name"),
    ("cache_hits_total", "counter", "cache_name"),
    ("cache_max_entries", "gauge", "cache_name"),
    ("cache_misses_total", "counter", "cache_name"),
    ("cache_size_bytes", "gauge", "cache_name"),
    ("conversion_documents_total", "counter", "converter"),
    ("conversion_duration_seconds", "histogram", "converter"),
    ("conversion_errors_total", "counter", "converter error_type"),
    ("conversion_input_bytes_total", "counter", "converter"),
    ("conversion_output_bytes_total", "counter", "converter"),
    ("conversion_peak_memory_bytes", "gauge", "converter"),
    ("conversions_total", "counter", "converter status"),
    ("dead_letters", "gauge", "route"),
    ("delivery_breaker_open", "gauge", "destination"),
    ("delivery_documents_total", "counter", "destination status"),
    ("delivery_duration_seconds", "histogram", "destination"),
    ("disk_free_bytes", "gauge", "path"),
    ("http_probe_requests_total", "counter", "endpoint status"),
    ("http_request_duration_seconds", "histogram", "endpoint method"),
    ("http_requests_active", "gauge", "endpoint method"),
    ("http_requests_total", "counter", "endpoint method status"),
    ("instance_info", "gauge", "instance_id location station"),
    ("intake_files_total", "counter", "result route"),
    ("intake_last_file_timestamp_seconds", "gauge", "route"),
    ("intake_up", "gauge", "route"),
    ("misbehave_level", "gauge", "converter"),
    ("misbehave_rows_total", "counter", "converter kind"),
    ("misbehave_size_bytes", "histogram", "converter"),
    ("misbehave_step_seconds", "summary", "converter kind"),
    ("plugin_info", "gauge", "converter digest version"),
    ("plugin_load_duration_seconds", "histogram", ""),
    ("plugin_loads_total", "counter", "result"),
    ("plugin_suspended", "gauge", "converter"),
    ("process_cpu_seconds_total", "counter", ""),
    ("process_max_fds", "gauge", ""),
    ("process_open_fds", "gauge", ""),
    ("process_resident_memory_bytes", "gauge", ""),
    ("process_start_time_seconds", "gauge", ""),
    ("process_threads", "gauge", ""),
    ("process_virtual_memory_bytes", "gauge", ""),
    ("queue_active_workers", "gauge", "queue_name"),
    ("queue_depth", "gauge", "queue_name"),
    ("queue_items_processed_total", "counter", "queue_name"),
    ("queue_oldest_age_seconds", "gauge", "queue_name"),
    ("queue_processing_duration_seconds", "histogram", "queue_name"),
    ("queue_waiting", "gauge", "queue_name reason"),
    ("queue_workers", "gauge", "queue_name"),
    ("queue_workers_lost_total", "counter", "queue_name"),
    ("route_expected_interval_seconds", "gauge", "route"),
    ("route_paused", "gauge", "route"),
    ("spool_bytes", "gauge", ""),
    ("spool_limit_bytes", "gauge", ""),
    ("upstream_up", "gauge", ""),
];

/// Upper bounds of the durations' buckets.
const BOUNDS: [&str; 22] = [
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25",
    "50", "100", "250", "300", "+Inf",
];

/// What a series is to be.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Is(f64),
    /// What the test cannot know exactly.
    Between(f64, f64),
}

use Expected::{Between, Is};

impl Expected {
    fn holds(self, value: f64) -> bool {
        match self {
            Is(expected) => value == expected,
            Between(least, most) => (least..=most).contains(&value),
        }
    }
}

/// An exposition: the families with type and labels, and the samples.
struct Exposition {
    families: BTreeMap<String, (String, BTreeSet<String>)>,
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    fn of(daemon: &Daemon) -> Exposition {
        let (status, text) = daemon.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new())).is_none(), "{name} is there twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} is there twice");
                let family = family_of(series, |name| families.contains_key(name));
                families.get_mut(&family).unwrap().1.extend(label_names(series));
            }
        }
        Exposition { families, samples }
    }

    /// The sum over all series of a family with a text among their labels.
    fn sum(&self, family: &str, label: &str) -> f64 {
        let of_family = |series: &str| series.strip_prefix(family).is_some_and(|rest| rest.starts_with('{')) && series.contains(label);
        self.samples.iter().filter(|(series, _)| of_family(series)).map(|(_, value)| value).sum()
    }
}

/// The family that a series belongs to.
fn family_of(series: &str, exists: impl Fn(&str) -> bool) -> String {
    let name = series.split('{').next().unwrap();
    let found = ["", "_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix).filter(|base| exists(base)));
    found.unwrap_or_else(|| panic!("{series} has no type")).to_owned()
}

/// The names of a series' labels, but for those that its type brings.
fn label_names(series: &str) -> Vec<String> {
    let labels = series.split_once('{').map_or("", |(_, labels)| labels);
    let names = labels.split("=\"").filter_map(|part| part.rsplit(['{', ',', '"']).next());
    names.filter(|name| !matches!(*name, "" | "}" | "le" | "quantile")).map(str::to_owned).collect()
}

fn table(serial: usize) -> String {
    format!("serial,value\nSN{serial},1\n")
}

/// What is made of a table.
fn document(serial: usize) -> String {
    format!("{{\"serial\":\"SN{serial}\",\"value\":1}}\n")
}

fn config(server: &Receiver, dead: &Receiver) -> String {
    format!(
        "
instance_id = 'line-3'
station = 'ict-3'
location = 'Hall 2'
workers = 2
max_spool_bytes = 100000000
[upstream]
url = '{server}'
ping_seconds = 3600
lookup_paths = ['/api/operations/*']
[plugins.opcheck]
allow = ['lookup']
[suspension]
after_failures = 4
first_seconds = 3600
[result_cache]
max_entries = 5
[[routes]]
name = 'main'
intake = {{ path = '{{dir}}/in', http = true }}
destinations = [{{ type = 'folder', path = '{{dir}}/out', name = 'out' }}]
limits = {{ wall_seconds = 6 }}
expected_interval_seconds = 3600
[[routes]]
name = 'sent'
converter = 'csv'
intake = {{ path = '{{dir}}/sent' }}
destinations = [{{ type = 'http', url = '/reports/{{id}}', method = 'PUT', name = 'server' }}]
[[routes]]
name = 'down'
converter = 'csv'
intake = {{ path = '{{dir}}/down' }}
destinations = [{{ type = 'http', url = '{dead}/x', method = 'POST', name = 'down' }}]
[[routes]]
name = 'odd'
converter = 'csv'
intake = {{ path = '{{dir}}/odd', rescan_seconds = 0.1, bundle = {{ marker = 'done.csv' }} }}
destinations = [{{ type = 'folder', path = '{{dir}}/out', name = 'out' }}]
",
        server = server.url(),
        dead = dead.url()
    )
}

/// Posts a file, and gives the status.
fn post(daemon: &Daemon, name: &str, key: &str, content: &str) -> u16 {
    let token = fs::read_to_string(daemon.path("state/token")).unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let url = format!("http://127.0.0.1:{}/api/v1/routes/main/jobs?name={name}", daemon.health_port());
    let request = ureq::Agent::new_with_config(config).post(url).header("authorization", format!("Bearer {}", token.trim()));
    request.header("idempotency-key", key).send(content).unwrap().status().as_u16()
}

fn drop_and_settle(daemon: &Daemon, name: &str, content: &str) -> Value {
    daemon.drop_file(name, content);
    daemon.wait_for_job(name, "settled")
}

/// All counters that are known before anything has happened are there, and 0.
fn assert_everything_starts_at_zero(daemon: &Daemon, server: &Receiver) {
    let start = Exposition::of(daemon);
    let happened = ["plugin_loads_total", "http_probe_requests_total", "process_cpu_seconds_total"];
    for (series, value) in &start.samples {
        let name = series.split('{').next().unwrap();
        let ping = series.starts_with("http_requests_total") && series.contains(&format!("endpoint=\"{}\"", server.url()));
        // Plugins are looked at until the first plugins are loaded, by `wait_for_log` nobody.
        if name.ends_with("_total") && !happened.contains(&name) && !ping {
            assert_eq!(*value, 0.0, "{series}");
        }
    }
    for (name, kind, _) in FAMILIES {
        let later = ["misbehave_rows_total", "misbehave_step_seconds"].contains(&name);
        assert!(later || start.families.contains_key(name), "the {kind} {name} is not there at the start");
    }
}

#[test]
fn every_metric_says_what_happened() {
    let (server, dead) = (Receiver::up(), Receiver::down());
    let (release, released) = mpsc::channel::<()>();
    let mut failed = false;
    server.behave(move |received| {
        if received.body.contains("SN104") {
            let _ = released.recv_timeout(PATIENCE);
        }
        match &received.body {
            body if body.contains("SN102") && !std::mem::replace(&mut failed, true) => Answer::status(503),
            body if body.contains("SN103") => Answer::status(400),
            _ => Answer::Kept,
        }
    });
    server.know(|asked| if asked.path == "/api/operations/10" { Answer::status(200) } else { Answer::status(404) });
    let setup = Setup::new().plugins(&["csv", "misbehave", "opcheck"]).config(&config(&server, &dead));
    for folder in ["sent", "down", "odd"] {
        fs::create_dir(setup.path(folder)).unwrap();
    }
    let daemon = setup.start();
    let ping = format!(r#"http_requests_total{{endpoint="{}",method="GET",status="200"}}"#, server.url());
    daemon.assert_metric(&ping, 1.0);
    assert_everything_starts_at_zero(&daemon, &server);

    plugins_come_and_go(&daemon);
    files_arrive_that_make_no_job(&daemon);
    files_end_in_every_way(&daemon);
    documents_are_sent(&daemon, &release);
    workers_are_busy(&daemon);
    // After the two that were busy too long, these are the third and fourth failure in a row.
    drop_and_settle(&daemon, "panic.1.mis", "x");
    daemon.drop_file("panic.2.mis", "x");
    daemon.wait_for_job("panic.2.mis", "plugin_suspended");
    for _ in 0..3 {
        assert_eq!(daemon.get("/health").0, 200);
        assert_eq!(daemon.get("/api/v1/routes").0, 200);
    }
    assert_eq!(daemon.get("/api/v1/nothing").0, 404);

    let expected = expected(&daemon, &server, &dead);
    let wrong = || {
        let found = Exposition::of(&daemon);
        let wrong = |(series, expected): &(String, Expected)| {
            let value = found.samples.get(series).copied();
            (!value.is_some_and(|value| expected.holds(value))).then(|| format!("{series}: {value:?}, not {expected:?}"))
        };
        expected.iter().filter_map(wrong).collect::<Vec<_>>()
    };
    let mut last = Vec::new();
    let end = std::time::Instant::now() + PATIENCE / 4;
    while std::time::Instant::now() < end {
        last = wrong();
        if last.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(last.is_empty(), "{last:#?}");

    let found = Exposition::of(&daemon);
    assert_eq!(
        found.families,
        FAMILIES
            .iter()
            .map(|(name, kind, labels)| {
                ((*name).to_owned(), ((*kind).to_owned(), labels.split_whitespace().map(str::to_owned).collect()))
            })
            .collect()
    );
    let proved: BTreeSet<String> = expected.iter().map(|(series, _)| family_of(series, |name| found.families.contains_key(name))).collect();
    assert!(proved.iter().eq(found.families.keys()), "not proved: {:?}", found.families.keys().filter(|name| !proved.contains(*name)));
    // The error share of conversions is the sum over the error types, for each converter and for all.
    for converter in ["", r#"converter="csv""#, r#"converter="misbehave""#, r#"converter="none""#] {
        let errors: f64 = found
            .samples
            .iter()
            .filter(|(series, _)| {
                series.starts_with("conversions_total{") && series.contains(converter) && series.contains(r#"status="error""#)
            })
            .map(|(_, value)| value)
            .sum();
        assert_eq!(found.sum("conversion_errors_total", converter), errors, "{converter}");
    }
    durations_have_their_buckets(&found);
}

#[test]
fn a_file_that_is_lost_counts_and_the_last_arrival_survives_a_restart() {
    let setup = Setup::new().plugins(&["csv"]).config(
        "
[[routes]]
name = 'main'
converter = 'probe-guest'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'other'
converter = 'csv'
intake = { path = '{dir}/other', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
",
    );
    let daemon = setup.start();
    let last = |daemon: &Daemon, route: &str| daemon.metric(&format!(r#"intake_last_file_timestamp_seconds{{route="{route}"}}"#)).unwrap();
    assert_eq!(last(&daemon, "other"), 0.0);
    daemon.drop_into("other", "a.csv", table(1));
    daemon.wait_for_job("a.csv", "settled");
    // It waits for its converter, and is taken away meanwhile.
    daemon.drop_file("lost.script", "x");
    daemon.wait_for_job("lost.script", "converter");
    fs::remove_file(daemon.path("in/lost.script")).unwrap();
    daemon.drop_plugin("probe-guest.wasm", fs::read(plugin("probe-guest")).unwrap());
    let lost = r#"conversion_errors_total{converter="none",error_type="io"}"#;
    wait_for("the lost file to be counted", || daemon.metric(lost).filter(|count| *count >= 1.0));

    let before = last(&daemon, "other");
    assert!(before > 0.0);
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    // As the queue has it, which the file reached an instant before it was counted.
    assert!((last(&daemon, "other") - before).abs() < 60.0, "{before}");
    assert_eq!(last(&daemon, "main"), 0.0, "its only file is not settled");
}

fn durations_have_their_buckets(found: &Exposition) {
    for (name, kind, _) in FAMILIES {
        if kind != "histogram" || name == "misbehave_size_bytes" {
            continue;
        }
        let mut series: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (sample, value) in &found.samples {
            let Some((labels, rest)) = sample.strip_prefix(&format!("{name}_bucket{{")).and_then(|rest| rest.split_once("le=\"")) else {
                continue;
            };
            series.entry(labels.to_owned()).or_default().insert(rest.trim_end_matches("\"}").to_owned(), *value);
        }
        assert!(!series.is_empty(), "{name}");
        for (labels, buckets) in series {
            assert_eq!(buckets.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(BOUNDS), "{name}{{{labels}}}");
            assert!(BOUNDS.map(|bound| buckets[bound]).is_sorted(), "{name}{{{labels}}}: {buckets:?}");
            let labels = labels.trim_end_matches(',');
            let count = if labels.is_empty() { format!("{name}_count") } else { format!("{name}_count{{{labels}}}") };
            assert_eq!(buckets["+Inf"], found.samples[&count], "{count}");
        }
    }
}

fn plugins_come_and_go(daemon: &Daemon) {
    daemon.assert_metric(r#"plugin_loads_total{result="loaded"}"#, 3.0);
    daemon.drop_plugin("broken.wasm", "no plugin");
    daemon.assert_metric(r#"plugin_loads_total{result="refused"}"#, 1.0);
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    daemon.assert_metric(r#"plugin_loads_total{result="unchanged"}"#, 1.0);
    daemon.drop_plugin("probe-guest.wasm", fs::read(plugin("probe-guest")).unwrap());
    daemon.assert_metric(r#"plugin_loads_total{result="loaded"}"#, 4.0);
    fs::remove_file(daemon.path("plugins/probe-guest.wasm")).unwrap();
    daemon.assert_metric(r#"plugin_loads_total{result="unloaded"}"#, 1.0);
}

fn files_arrive_that_make_no_job(daemon: &Daemon) {
    rustix::fs::mkfifoat(rustix::fs::CWD, daemon.path("in/pipe.csv"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    daemon.assert_metric(r#"intake_files_total{result="ignored",route="main"}"#, 1.0);
    assert_eq!(post(daemon, "posted.csv", "key", &table(1)), 202);
    assert_eq!(post(daemon, "posted.csv", "key", &table(1)), 200);
    // A member's name must be UTF-8.
    fs::create_dir(daemon.path("odd/bundle")).unwrap();
    fs::write(daemon.path("odd/bundle").join(OsStr::from_bytes(b"\xff.csv")), "x").unwrap();
    fs::write(daemon.path("odd/bundle/done.csv"), table(0)).unwrap();
    daemon.assert_metric(r#"intake_files_total{result="error",route="odd"}"#, 1.0);
    fs::remove_dir_all(daemon.path("odd")).unwrap();
    daemon.assert_metric(r#"intake_up{route="odd"}"#, 0.0);
    let (code, _, errors) = daemon.command(&["route", "pause", "odd"]);
    assert_eq!(code, 0, "{errors}");
}

fn files_end_in_every_way(daemon: &Daemon) {
    for _ in 0..2 {
        daemon.drop_file("a.csv", table(2));
        daemon.wait_for_settled("done", "a.csv");
        wait_for("the job", || daemon.job("a.csv").is_some_and(|job| job["state"] == "settled").then_some(()));
        fs::remove_dir_all(daemon.path("in/done")).unwrap();
    }
    daemon.drop_file("suspend.mis", "sibling.txt");
    for name in ["partial.mis", "reject.mis", "skip.mis", "missing-field.mis", "metrics.mis", "nobodys.bin"] {
        drop_and_settle(daemon, name, "x");
    }
    daemon.wait_for_job("suspend.mis", "suspended");
    // The second of the known is answered from the cache.
    for (name, code) in [("known.report.json", 10), ("again.report.json", 10), ("unknown.report.json", 99)] {
        drop_and_settle(daemon, name, &report(code));
    }
}

fn report(code: u32) -> String {
    format!("{{\"operation_code\": {code}, \"serial\": \"SN1\"}}")
}

fn documents_are_sent(daemon: &Daemon, release: &mpsc::Sender<()>) {
    for serial in 101..=103 {
        daemon.drop_into("sent", &format!("{serial}.csv"), table(serial));
        let refused = r#"queue_waiting{queue_name="delivery_queue",reason="refused"}"#;
        if serial == 103 {
            daemon.assert_metric(refused, 1.0);
        } else {
            daemon.wait_for_job(&format!("{serial}.csv"), "settled");
        }
    }
    daemon.drop_into("sent", "104.csv", table(104));
    let active = format!(r#"http_requests_active{{endpoint="{}",method="PUT"}}"#, put_endpoint(daemon));
    daemon.assert_metric(&active, 1.0);
    release.send(()).unwrap();
    daemon.wait_for_job("104.csv", "settled");
    daemon.assert_metric(&active, 0.0);
    daemon.drop_into("down", "105.csv", table(105));
    daemon.assert_metric(r#"delivery_breaker_open{destination="down"}"#, 1.0);
}

/// As the metrics call it.
fn put_endpoint(daemon: &Daemon) -> String {
    let (_, text) = daemon.get("/metrics");
    let line = text.lines().find(|line| line.starts_with("http_requests_active{") && line.contains("reports/")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

fn workers_are_busy(daemon: &Daemon) {
    for number in 1..=2 {
        daemon.drop_file(&format!("spin.{number}.mis"), "x");
    }
    daemon.assert_metric(r#"queue_active_workers{queue_name="converter_queue"}"#, 2.0);
    daemon.drop_file("b.csv", table(3));
    daemon.assert_metric(r#"queue_depth{queue_name="converter_queue"}"#, 1.0);
    let age = r#"queue_oldest_age_seconds{queue_name="converter_queue"}"#;
    wait_for("the age of the oldest job", || daemon.metric(age).filter(|age| (0.001..600.0).contains(age)));
    for name in ["b.csv", "spin.1.mis", "spin.2.mis"] {
        daemon.wait_for_job(name, "settled");
    }
}

/// Every series whose value is known now.
fn expected(daemon: &Daemon, server: &Receiver, dead: &Receiver) -> Vec<(String, Expected)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let recent = Between(now - 600.0, now);
    let (_, version, _) = run(&daemon.path(""), &["--version"]);
    let version = version.trim().trim_start_matches("dropforge ").to_owned();
    let (url, put, post) = (server.url(), put_endpoint(daemon), format!("{}/x", dead.url()));
    let documents = |serials: &[usize]| serials.iter().map(|serial| document(*serial).len()).sum::<usize>() as f64;
    let mut expected: Vec<(String, Expected)> = vec![
        (format!(r#"build_info{{version="{version}"}}"#), Is(1.0)),
        (r#"instance_info{instance_id="line-3",location="Hall 2",station="ict-3"}"#.into(), Is(1.0)),
        (format!(r#"disk_free_bytes{{path="{}"}}"#, daemon.path("state").display()), Between(1.0, 1e18)),
        // HTTP: what the server saw, and what this test asked.
        (format!(r#"http_requests_total{{endpoint="{url}",method="GET",status="200"}}"#), Is(1.0)),
        (format!(r#"http_requests_total{{endpoint="{put}",method="PUT",status="201"}}"#), Is(3.0)),
        (format!(r#"http_requests_total{{endpoint="{put}",method="PUT",status="503"}}"#), Is(1.0)),
        (format!(r#"http_requests_total{{endpoint="{put}",method="PUT",status="400"}}"#), Is(1.0)),
        (format!(r#"http_request_duration_seconds_count{{endpoint="{put}",method="PUT"}}"#), Is(5.0)),
        (format!(r#"http_requests_active{{endpoint="{put}",method="PUT"}}"#), Is(0.0)),
        (format!(r#"http_requests_total{{endpoint="{post}",method="POST",status="200"}}"#), Is(0.0)),
        (format!(r#"http_requests_total{{endpoint="{post}",method="POST",status="connect"}}"#), Between(1.0, 1e6)),
    ];
    let plugins = daemon.json("/api/v1/plugins");
    for file in ["csv.wasm", "misbehave.wasm", "opcheck.wasm"] {
        let running = &plugins.as_array().unwrap().iter().find(|plugin| plugin["file"] == file).unwrap()["running"];
        let [name, version, digest] = ["name", "version", "digest"].map(|key| running[key].as_str().unwrap());
        expected.push((format!(r#"plugin_info{{converter="{name}",digest="{digest}",version="{version}"}}"#), Is(1.0)));
    }
    let of = |family: &str, labels: &str, value: Expected| {
        (if labels.is_empty() { family.to_owned() } else { format!("{family}{{{labels}}}") }, value)
    };
    let outcomes = |converter: &str, counts: [f64; 6]| {
        let statuses = ["success", "partial", "error", "skipped", "suspended", "rejected"];
        let series = |(status, count)| of("conversions_total", &format!(r#"converter="{converter}",status="{status}""#), Is(count));
        statuses.into_iter().zip(counts).map(series).collect::<Vec<_>>()
    };
    expected.extend(outcomes("csv", [9.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    expected.extend(outcomes("misbehave", [1.0, 1.0, 5.0, 1.0, 1.0, 1.0]));
    expected.extend(outcomes("opcheck", [2.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    expected.extend(outcomes("none", [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]));
    expected.extend(outcomes("probe-guest", [0.0; 6]));
    let queues = [("converter_queue", 21.0, 2.0), ("delivery_queue", 19.0, 0.0)];
    for (queue, processed, workers) in queues {
        let label = format!(r#"queue_name="{queue}""#);
        expected.push(of("queue_items_processed_total", &label, Is(processed)));
        expected.push(of("queue_processing_duration_seconds_count", &label, Is(processed)));
        if workers > 0.0 {
            expected.push(of("queue_workers", &label, Is(workers)));
            expected.push(of("queue_active_workers", &label, Is(0.0)));
        }
    }
    let table = [
        ("conversion_errors_total", r#"converter="misbehave",error_type="trap""#, Is(2.0)),
        ("conversion_errors_total", r#"converter="misbehave",error_type="timeout""#, Is(2.0)),
        ("conversion_errors_total", r#"converter="misbehave",error_type="missing_field""#, Is(1.0)),
        ("conversion_errors_total", r#"converter="misbehave",error_type="internal""#, Is(0.0)),
        ("conversion_errors_total", r#"converter="none",error_type="no_converter""#, Is(2.0)),
        // One of the nine came from the cache.
        ("conversion_duration_seconds_count", r#"converter="csv""#, Is(8.0)),
        ("conversion_duration_seconds_count", r#"converter="misbehave""#, Is(10.0)),
        ("conversion_duration_seconds_count", r#"converter="opcheck""#, Is(3.0)),
        ("conversion_documents_total", r#"converter="csv""#, Is(8.0)),
        ("conversion_output_bytes_total", r#"converter="csv""#, Is(documents(&[1, 2, 3, 101, 102, 103, 104, 105]))),
        ("conversion_input_bytes_total", r#"converter="opcheck""#, Is((2 * report(10).len() + report(99).len()) as f64)),
        ("conversion_peak_memory_bytes", r#"converter="csv""#, Between(65_536.0, 256e6)),
        ("plugin_loads_total", r#"result="loaded""#, Is(4.0)),
        ("plugin_loads_total", r#"result="refused""#, Is(1.0)),
        ("plugin_loads_total", r#"result="unchanged""#, Is(1.0)),
        ("plugin_loads_total", r#"result="unloaded""#, Is(1.0)),
        ("plugin_load_duration_seconds_count", "", Is(6.0)),
        ("plugin_suspended", r#"converter="misbehave""#, Is(1.0)),
        ("plugin_suspended", r#"converter="csv""#, Is(0.0)),
        ("intake_files_total", r#"result="queued",route="main""#, Is(18.0)),
        ("intake_files_total", r#"result="duplicate",route="main""#, Is(1.0)),
        ("intake_files_total", r#"result="ignored",route="main""#, Is(1.0)),
        ("intake_files_total", r#"result="error",route="odd""#, Is(1.0)),
        ("intake_files_total", r#"result="queued",route="sent""#, Is(4.0)),
        ("intake_last_file_timestamp_seconds", r#"route="main""#, recent),
        ("intake_up", r#"route="main""#, Is(1.0)),
        ("intake_up", r#"route="odd""#, Is(0.0)),
        ("route_expected_interval_seconds", r#"route="main""#, Is(3600.0)),
        ("route_paused", r#"route="main""#, Is(0.0)),
        ("route_paused", r#"route="odd""#, Is(1.0)),
        ("queue_depth", r#"queue_name="converter_queue""#, Is(0.0)),
        // A worker is lost in `watchdog.rs`.
        ("queue_workers_lost_total", r#"queue_name="converter_queue""#, Is(0.0)),
        ("queue_depth", r#"queue_name="delivery_queue""#, Is(0.0)),
        // What the server that is down has not taken.
        ("queue_waiting", r#"queue_name="delivery_queue",reason="destination""#, Is(1.0)),
        ("queue_oldest_age_seconds", r#"queue_name="converter_queue""#, Is(0.0)),
        ("queue_oldest_age_seconds", r#"queue_name="delivery_queue""#, Between(0.001, 600.0)),
        ("queue_waiting", r#"queue_name="converter_queue",reason="suspended""#, Is(1.0)),
        ("queue_waiting", r#"queue_name="converter_queue",reason="plugin_suspended""#, Is(1.0)),
        ("queue_waiting", r#"queue_name="converter_queue",reason="retry""#, Is(0.0)),
        ("queue_waiting", r#"queue_name="delivery_queue",reason="retry""#, Is(0.0)),
        ("queue_waiting", r#"queue_name="delivery_queue",reason="refused""#, Is(1.0)),
        ("dead_letters", r#"route="main""#, Is(8.0)),
        ("dead_letters", r#"route="sent""#, Is(1.0)),
        ("dead_letters", r#"route="down""#, Is(0.0)),
        ("spool_bytes", "", Is(documents(&[103, 105]))),
        ("spool_limit_bytes", "", Is(1e8)),
        ("delivery_documents_total", r#"destination="server",status="success""#, Is(3.0)),
        ("delivery_documents_total", r#"destination="server",status="error""#, Is(1.0)),
        ("delivery_documents_total", r#"destination="down",status="success""#, Is(0.0)),
        ("delivery_documents_total", r#"destination="down",status="error""#, Between(1.0, 1e6)),
        ("delivery_documents_total", r#"destination="out",status="success""#, Is(8.0)),
        ("delivery_documents_total", r#"destination="out",status="error""#, Is(0.0)),
        ("delivery_duration_seconds_count", r#"destination="server""#, Is(4.0)),
        ("delivery_breaker_open", r#"destination="down""#, Is(1.0)),
        ("delivery_breaker_open", r#"destination="server""#, Is(0.0)),
        ("upstream_up", "", Is(1.0)),
        ("http_requests_total", r#"endpoint="/api/operations/*",method="GET",status="200""#, Is(1.0)),
        ("http_requests_total", r#"endpoint="/api/operations/*",method="GET",status="404""#, Is(1.0)),
        ("http_requests_total", r#"endpoint="/api/v1/routes/{name}/jobs",method="POST",status="202""#, Is(1.0)),
        ("http_requests_total", r#"endpoint="/api/v1/routes/{name}/jobs",method="POST",status="200""#, Is(1.0)),
        ("http_requests_total", r#"endpoint="/api/v1/routes",method="GET",status="200""#, Is(3.0)),
        ("http_requests_total", r#"endpoint="unmatched",method="GET",status="404""#, Is(1.0)),
        ("http_request_duration_seconds_count", r#"endpoint="/api/v1/routes",method="GET""#, Is(3.0)),
        ("http_probe_requests_total", r#"endpoint="/health",status="200""#, Is(3.0)),
        ("http_probe_requests_total", r#"endpoint="/metrics",status="200""#, Between(10.0, 1e6)),
        ("cache_hits_total", r#"cache_name="conversion""#, Is(1.0)),
        ("cache_misses_total", r#"cache_name="conversion""#, Is(18.0)),
        ("cache_hit_rate", r#"cache_name="conversion""#, Is(1.0 / 19.0)),
        ("cache_max_entries", r#"cache_name="conversion""#, Is(5.0)),
        ("cache_entries", r#"cache_name="conversion""#, Is(5.0)),
        ("cache_evictions_total", r#"cache_name="conversion""#, Is(4.0)),
        ("cache_size_bytes", r#"cache_name="conversion""#, Between(5.0 * 20.0, 1e6)),
        ("cache_hits_total", r#"cache_name="http_response""#, Is(1.0)),
        ("cache_misses_total", r#"cache_name="http_response""#, Is(2.0)),
        ("cache_hit_rate", r#"cache_name="http_response""#, Is(1.0 / 3.0)),
        ("cache_max_entries", r#"cache_name="http_response""#, Is(1000.0)),
        ("cache_entries", r#"cache_name="http_response""#, Is(1.0)),
        ("cache_size_bytes", r#"cache_name="http_response""#, Between(10.0, 10_000.0)),
        ("cache_evictions_total", r#"cache_name="http_response""#, Is(0.0)),
        ("misbehave_rows_total", r#"converter="misbehave",kind="good""#, Is(5.0)),
        ("misbehave_rows_total", r#"converter="misbehave",kind="bad""#, Is(1.0)),
        ("misbehave_level", r#"converter="misbehave""#, Is(4.5)),
        ("misbehave_size_bytes_bucket", r#"converter="misbehave",le="10""#, Is(2.0)),
        ("misbehave_size_bytes_sum", r#"converter="misbehave""#, Is(555.5)),
        ("misbehave_step_seconds_count", r#"converter="misbehave",kind="good""#, Is(100.0)),
        ("misbehave_step_seconds_sum", r#"converter="misbehave",kind="good""#, Is(5050.0)),
        // The sketch is right to one in a hundred.
        ("misbehave_step_seconds", r#"converter="misbehave",kind="good",quantile="0.5""#, Between(49.0, 51.6)),
        ("misbehave_step_seconds", r#"converter="misbehave",kind="good",quantile="0.99""#, Between(97.0, 100.0)),
        ("process_cpu_seconds_total", "", Between(0.001, 1e6)),
        ("process_max_fds", "", Between(16.0, 1e12)),
        ("process_open_fds", "", Between(5.0, 1e5)),
        ("process_resident_memory_bytes", "", Between(1e6, 1e11)),
        ("process_start_time_seconds", "", Between(now - 600.0, now + 1.0)),
        ("process_threads", "", Between(5.0, 1e4)),
        ("process_virtual_memory_bytes", "", Between(1e6, 1e15)),
    ];
    expected.extend(table.map(|(family, labels, value)| of(family, labels, value)));
    expected
}
