//! Which values are to be there after all that the test has caused.

use dropforge_tests::receiver::Receiver;
use dropforge_tests::{Daemon, run};

use super::{document, put_endpoint, report};

/// What a series is to be.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    Is(f64),
    /// What the test cannot know exactly.
    Between(f64, f64),
}

use Expected::{Between, Is};

impl Expected {
    pub fn holds(self, value: f64) -> bool {
        match self {
            Is(expected) => value == expected,
            Between(least, most) => (least..=most).contains(&value),
        }
    }
}

/// Every series whose value is known now.
pub fn expected(daemon: &Daemon, server: &Receiver, dead: &Receiver) -> Vec<(String, Expected)> {
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
