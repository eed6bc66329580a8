//! Every metric of the daemon: each is caused here, and read back with its value. No family is exposed that is not in the table below, and
//! none is in the table that is not exposed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod expected;
mod exposition;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc;

use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, PATIENCE, Setup, plugin, wait_for};
use serde_json::Value;

use expected::{Expected, expected};
use exposition::{BOUNDS, Exposition, FAMILIES, family_of};

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
