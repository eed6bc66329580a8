//! The exposition, read as Prometheus reads it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::sandbox::MetricKind;

/// The families of this version, as the design has them: name, type, labels.
const FAMILIES: [(&str, &str, &[&str]); 39] = [
    ("build_info", "gauge", &["version"]),
    ("conversion_documents_total", "counter", &["converter"]),
    ("conversion_duration_seconds", "histogram", &["converter"]),
    ("conversion_errors_total", "counter", &["converter", "error_type"]),
    ("conversion_input_bytes_total", "counter", &["converter"]),
    ("conversion_output_bytes_total", "counter", &["converter"]),
    ("conversion_peak_memory_bytes", "gauge", &["converter"]),
    ("conversions_total", "counter", &["converter", "status"]),
    ("dead_letters", "gauge", &["route"]),
    ("delivery_breaker_open", "gauge", &["destination"]),
    ("delivery_documents_total", "counter", &["destination", "status"]),
    ("delivery_duration_seconds", "histogram", &["destination"]),
    ("disk_free_bytes", "gauge", &["path"]),
    ("http_probe_requests_total", "counter", &["endpoint", "status"]),
    ("http_request_duration_seconds", "histogram", &["endpoint", "method"]),
    ("http_requests_active", "gauge", &["endpoint", "method"]),
    ("http_requests_total", "counter", &["endpoint", "method", "status"]),
    ("instance_info", "gauge", &["instance_id", "location", "station"]),
    ("intake_files_total", "counter", &["result", "route"]),
    ("intake_last_file_timestamp_seconds", "gauge", &["route"]),
    ("intake_up", "gauge", &["route"]),
    ("plugin_info", "gauge", &["converter", "digest", "version"]),
    ("plugin_load_duration_seconds", "histogram", &[]),
    ("plugin_loads_total", "counter", &["result"]),
    ("plugin_suspended", "gauge", &["converter"]),
    ("queue_active_workers", "gauge", &["queue_name"]),
    ("queue_depth", "gauge", &["queue_name"]),
    ("queue_items_processed_total", "counter", &["queue_name"]),
    ("queue_oldest_age_seconds", "gauge", &["queue_name"]),
    ("queue_processing_duration_seconds", "histogram", &["queue_name"]),
    ("queue_waiting", "gauge", &["queue_name", "reason"]),
    ("queue_workers", "gauge", &["queue_name"]),
    ("queue_workers_lost_total", "counter", &["queue_name"]),
    ("route_expected_interval_seconds", "gauge", &["route"]),
    ("route_paused", "gauge", &["route"]),
    ("spool_bytes", "gauge", &[]),
    ("spool_limit_bytes", "gauge", &[]),
    ("trace_spans_total", "counter", &["result"]),
    ("upstream_up", "gauge", &[]),
];

const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn metrics() -> Metrics {
    Metrics::new(&Instance { instance_id: "default".to_owned(), station: "ict-3".to_owned(), location: "Line \"3\"".to_owned() })
}

fn declaration(name: &str, kind: MetricKind, labels: &[&str]) -> MetricDeclaration {
    MetricDeclaration {
        name: name.to_owned(),
        kind,
        help: format!("What {name} is."),
        unit: String::new(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        buckets: Vec::new(),
    }
}

fn observation(metric: usize, value: f64, labels: &[&str]) -> Observation {
    Observation { metric, value, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

/// Calls everything that records, with one value each.
fn record_everything(metrics: &Metrics) {
    metrics.intake_up("ict", true);
    metrics.intake_file("ict", "queued");
    metrics.route_expected_interval("ict", 60.0);
    metrics.route_paused("ict", false);
    for queue in [QueueName::Converter, QueueName::Delivery] {
        metrics.queue_workers(queue, 2);
        metrics.queue_sizes(queue, 3, &[("retry", 4), ("suspended", 0)], Duration::from_millis(1500));
        metrics.queue_processed(queue, Duration::from_millis(7));
    }
    metrics.plugin_loaded("csv", "0.1.0", DIGEST, &declarations()).unwrap();
    metrics.plugin_load("loaded", Duration::from_millis(80));
    metrics.conversion("csv", ConversionStatus::Success, None);
    metrics.conversion("csv", ConversionStatus::Error, Some(ErrorType::Trap));
    metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::NoConverter));
    let usage =
        Usage { duration: Duration::from_millis(3), input_bytes: 10, output_bytes: 20, peak_memory_bytes: 1 << 20, ..Usage::default() };
    metrics.conversion_run("csv", &usage, 2);
    metrics.custom(
        "csv",
        &declarations(),
        &[observation(0, 2.0, &["a\"b\\c\nd"]), observation(1, -1.5, &[]), observation(2, 0.3, &[]), observation(3, 5.0, &["x"])],
    );
    metrics.destination("folder:out");
    metrics.delivery("folder:out", "success", 2, Duration::from_millis(1));
    metrics.tracing();
    metrics.upstream_up(true);
    metrics.dead_letters("ict", 1);
    metrics.spool_bytes(4096);
    metrics.spool_limit_bytes(8192);
    metrics.watch_disks(vec![std::env::temp_dir()]);
    metrics.http_endpoint("GET", "/api/v1/jobs");
    metrics.http_request("GET", "/api/v1/jobs", "200", Duration::from_millis(1));
    metrics.http_probe("/health", "200");
}

fn declarations() -> Vec<MetricDeclaration> {
    vec![
        declaration("csv_rows_total", MetricKind::Counter, &["kind"]),
        declaration("csv_offset_celsius", MetricKind::Gauge, &[]),
        declaration("csv_row_duration_seconds", MetricKind::Histogram, &[]),
        declaration("csv_row_size_bytes", MetricKind::Summary, &["kind"]),
    ]
}

/// The value of a series, which must be there.
#[track_caller]
fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.exposition();
    let line = text.lines().find_map(|line| line.strip_prefix(series).filter(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().unwrap()
}

#[track_caller]
fn has(metrics: &Metrics, series: &str) -> bool {
    metrics.exposition().lines().any(|line| line.starts_with(series))
}

/// What the exposition says of its families: type, and the names of all labels but `le`.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new())).is_none(), "{name} is there twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix).filter(|base| families.contains_key(*base)));
            let (_, labels) = families.get_mut(family.unwrap_or_else(|| panic!("{name} has no type"))).unwrap();
            if let Some((_, rest)) = line.split_once('{') {
                labels.extend(
                    rest.split("=\"").filter_map(|part| part.rsplit(['{', ',', '"']).next()).filter(|l| is_label(l)).map(str::to_owned),
                );
            }
        }
    }
    families
}

fn is_label(text: &str) -> bool {
    text != "le" && !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn names_types_and_labels_are_exact() {
    let metrics = metrics();
    record_everything(&metrics);
    let mut found = families(&metrics.exposition());
    // Those of the process are tested where they are made.
    found.retain(|name, _| !name.starts_with("csv_") && !name.starts_with("process_"));
    let wanted: BTreeMap<_, _> = FAMILIES
        .iter()
        .map(|(name, kind, labels)| ((*name).to_owned(), ((*kind).to_owned(), labels.iter().map(|l| (*l).to_owned()).collect())))
        .collect();
    assert_eq!(found, wanted);
    let reserved: BTreeSet<_> = families::RESERVED.into_iter().collect();
    assert!(FAMILIES.iter().all(|(name, ..)| reserved.contains(name)));
}

#[test]
fn nothing_is_exposed_before_it_can_be_true() {
    let metrics = metrics();
    let families = families(&metrics.exposition());
    for absent in
        ["intake_up", "delivery_documents_total", "dead_letters", "spool_bytes", "disk_free_bytes", "plugin_info", "http_requests_total"]
    {
        assert!(!families.contains_key(absent), "{absent}");
    }
    assert!(!has(&metrics, "queue_depth{queue_name=\"delivery_queue\"}"));
}

#[test]
fn known_series_start_at_zero() {
    let metrics = metrics();
    metrics.plugin_loaded("csv", "0.1.0", DIGEST, &declarations()).unwrap();
    metrics.intake_up("ict", false);
    metrics.queue_workers(QueueName::Delivery, 0);
    metrics.destination("out");
    for converter in ["csv", "none"] {
        for status in ["success", "partial", "error", "skipped", "suspended", "rejected"] {
            assert_eq!(value(&metrics, &format!("conversions_total{{converter=\"{converter}\",status=\"{status}\"}}")), 0.0);
        }
        for error_type in ErrorType::ALL {
            assert_eq!(value(&metrics, &format!("conversion_errors_total{{converter=\"{converter}\",error_type=\"{error_type}\"}}")), 0.0);
        }
    }
    for series in [
        r#"conversion_duration_seconds_count{converter="csv"}"#,
        r#"conversion_input_bytes_total{converter="csv"}"#,
        r#"conversion_output_bytes_total{converter="csv"}"#,
        r#"conversion_documents_total{converter="csv"}"#,
        r#"conversion_peak_memory_bytes{converter="csv"}"#,
        r#"csv_offset_celsius{converter="csv"}"#,
        r#"csv_row_duration_seconds_count{converter="csv"}"#,
        r#"plugin_loads_total{result="loaded"}"#,
        r#"plugin_loads_total{result="unchanged"}"#,
        r#"plugin_loads_total{result="refused"}"#,
        r#"plugin_loads_total{result="unloaded"}"#,
        "plugin_load_duration_seconds_count",
        r#"intake_files_total{result="queued",route="ict"}"#,
        r#"intake_files_total{result="duplicate",route="ict"}"#,
        r#"intake_files_total{result="ignored",route="ict"}"#,
        r#"intake_files_total{result="error",route="ict"}"#,
        r#"intake_last_file_timestamp_seconds{route="ict"}"#,
        r#"intake_up{route="ict"}"#,
        r#"delivery_documents_total{destination="out",status="success"}"#,
        r#"delivery_documents_total{destination="out",status="error"}"#,
        r#"delivery_duration_seconds_count{destination="out"}"#,
    ] {
        assert_eq!(value(&metrics, series), 0.0, "{series}");
    }
    for queue in ["converter_queue", "delivery_queue"] {
        for family in
            ["depth", "active_workers", "workers", "items_processed_total", "oldest_age_seconds", "processing_duration_seconds_count"]
        {
            assert_eq!(value(&metrics, &format!("queue_{family}{{queue_name=\"{queue}\"}}")), 0.0);
        }
    }
}

#[test]
fn what_is_recorded_is_what_is_read() {
    let metrics = metrics();
    record_everything(&metrics);
    let busy = metrics.worker_busy(QueueName::Converter);
    metrics.conversion_run("csv", &Usage { peak_memory_bytes: 5, input_bytes: 1, ..Usage::default() }, 0);
    for (series, wanted) in [
        (r#"intake_files_total{result="queued",route="ict"}"#, 1.0),
        (r#"intake_up{route="ict"}"#, 1.0),
        (r#"queue_depth{queue_name="delivery_queue"}"#, 3.0),
        (r#"queue_waiting{queue_name="converter_queue",reason="retry"}"#, 4.0),
        (r#"queue_waiting{queue_name="converter_queue",reason="suspended"}"#, 0.0),
        (r#"queue_oldest_age_seconds{queue_name="converter_queue"}"#, 1.5),
        (r#"queue_workers{queue_name="converter_queue"}"#, 2.0),
        (r#"queue_active_workers{queue_name="converter_queue"}"#, 1.0),
        (r#"queue_items_processed_total{queue_name="converter_queue"}"#, 1.0),
        (r#"queue_processing_duration_seconds_bucket{queue_name="converter_queue",le="0.005"}"#, 0.0),
        (r#"queue_processing_duration_seconds_bucket{queue_name="converter_queue",le="0.01"}"#, 1.0),
        (r#"queue_processing_duration_seconds_bucket{queue_name="converter_queue",le="300"}"#, 1.0),
        (r#"conversions_total{converter="csv",status="success"}"#, 1.0),
        (r#"conversions_total{converter="csv",status="error"}"#, 1.0),
        (r#"conversion_errors_total{converter="csv",error_type="trap"}"#, 1.0),
        (r#"conversion_errors_total{converter="none",error_type="no_converter"}"#, 1.0),
        (r#"conversion_input_bytes_total{converter="csv"}"#, 11.0),
        (r#"conversion_output_bytes_total{converter="csv"}"#, 20.0),
        (r#"conversion_documents_total{converter="csv"}"#, 2.0),
        (r#"conversion_peak_memory_bytes{converter="csv"}"#, 1048576.0),
        (r#"plugin_loads_total{result="loaded"}"#, 1.0),
        ("plugin_load_duration_seconds_count", 1.0),
        (r#"delivery_documents_total{destination="folder:out",status="success"}"#, 2.0),
        (r#"delivery_duration_seconds_count{destination="folder:out"}"#, 1.0),
        (r#"dead_letters{route="ict"}"#, 1.0),
        ("spool_bytes", 4096.0),
        ("spool_limit_bytes", 8192.0),
        (r#"instance_info{instance_id="default",location="Line \"3\"",station="ict-3"}"#, 1.0),
        (r#"csv_rows_total{converter="csv",kind="a\"b\\c\nd"}"#, 2.0),
        (r#"csv_offset_celsius{converter="csv"}"#, -1.5),
        (r#"csv_row_duration_seconds_bucket{converter="csv",le="0.25"}"#, 0.0),
        (r#"csv_row_duration_seconds_bucket{converter="csv",le="0.5"}"#, 1.0),
        (r#"csv_row_duration_seconds_bucket{converter="csv",le="+Inf"}"#, 1.0),
        (r#"csv_row_size_bytes_sum{converter="csv",kind="x"}"#, 5.0),
        (r#"csv_row_size_bytes_count{converter="csv",kind="x"}"#, 1.0),
    ] {
        assert_eq!(value(&metrics, series), wanted, "{series}");
    }
    assert!(value(&metrics, r#"intake_last_file_timestamp_seconds{route="ict"}"#) > 1.7e9);
    assert!(value(&metrics, &format!("disk_free_bytes{{path=\"{}\"}}", std::env::temp_dir().display())) > 0.0);
    drop(busy);
    assert_eq!(value(&metrics, r#"queue_active_workers{queue_name="converter_queue"}"#), 0.0);
}

#[test]
fn an_unknown_disk_is_not_shown() {
    let metrics = metrics();
    metrics.watch_disks(vec![std::env::temp_dir().join("dropforge-no-such-folder")]);
    assert!(!has(&metrics, "disk_free_bytes"));
}

#[test]
fn hooks_run_at_every_scrape() {
    let metrics = metrics();
    let depth = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&depth);
    metrics.on_scrape(Box::new(move |metrics| {
        metrics.queue_sizes(QueueName::Converter, seen.fetch_add(1, Ordering::SeqCst), &[("retry", 2)], Duration::ZERO);
    }));
    assert_eq!(value(&metrics, r#"queue_depth{queue_name="converter_queue"}"#), 0.0);
    assert_eq!(value(&metrics, r#"queue_depth{queue_name="converter_queue"}"#), 1.0);
    assert_eq!(metrics.json_form().queue.size, 2);
}

/// What Prometheus's own linter says of an exposition; nothing where it finds nothing, none where it is not installed.
fn promtool(exposition: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        eprintln!("skipped: promtool is not installed (Debian: apt install prometheus)");
        return None;
    };
    promtool.stdin.take().unwrap().write_all(exposition.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(output.status.success(), said.is_empty());
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn promtool_finds_nothing() {
    let metrics = metrics();
    record_everything(&metrics);
    if let Some(said) = promtool(&metrics.exposition()) {
        assert_eq!(said, "", "{}", metrics.exposition());
    }
}

/// A converter's metrics are held to the rules that Prometheus's linter has, and the other way round, but for what its text format cannot say.
#[test]
fn names_are_judged_as_promtool_judges_them() {
    for (name, kind) in [
        ("rows_total", MetricKind::Counter),
        ("rows", MetricKind::Counter),
        ("rows_total", MetricKind::Gauge),
        ("wait_seconds", MetricKind::Gauge),
        ("wait_milliseconds", MetricKind::Gauge),
        ("wait_ms", MetricKind::Histogram),
        ("wait_ms_max", MetricKind::Gauge),
        ("size_kb", MetricKind::Summary),
        ("size_kilobytes", MetricKind::Gauge),
        ("size_bytes", MetricKind::Summary),
        ("size_bits", MetricKind::Gauge),
        ("uptime_hours", MetricKind::Gauge),
        ("length_millimeters", MetricKind::Gauge),
        ("length_meters", MetricKind::Gauge),
        ("thermometers", MetricKind::Gauge),
        ("oven_fahrenheit", MetricKind::Gauge),
        ("oven_celsius", MetricKind::Gauge),
        ("resistance_ohms", MetricKind::Gauge),
        ("supply_millivolts", MetricKind::Gauge),
        ("rowCount", MetricKind::Gauge),
        ("row_count", MetricKind::Gauge),
        ("rows_sum", MetricKind::Gauge),
        ("rows_bucket", MetricKind::Gauge),
        ("rows_counter_total", MetricKind::Counter),
        ("level_gauge", MetricKind::Gauge),
        ("gauge_level", MetricKind::Gauge),
        ("size_histogram_bytes", MetricKind::Histogram),
        ("d", MetricKind::Gauge),
        ("m_level", MetricKind::Gauge),
    ] {
        let metrics = Metrics::new(&Instance::default());
        let ours = metrics.plugin_loaded("csv", "1", DIGEST, &[declaration(name, kind, &[])]);
        let kind_name = format!("{kind:?}").to_lowercase();
        let samples = match kind {
            MetricKind::Counter | MetricKind::Gauge => format!("{name} 1\n"),
            MetricKind::Summary => format!("{name}_sum 1\n{name}_count 1\n"),
            MetricKind::Histogram => format!("{name}_bucket{{le=\"+Inf\"}} 1\n{name}_sum 1\n{name}_count 1\n"),
        };
        let Some(said) = promtool(&format!("# HELP {name} A metric.\n# TYPE {name} {kind_name}\n{samples}")) else { return };
        assert_eq!(ours.is_ok(), said.is_empty(), "{name} {kind_name}: {ours:?} {said}");
    }
}

/// See [`Families`]: `prometheus` would take ("ab", "c") and ("a", "bc") for one series.
#[test]
fn no_label_value_is_the_tail_of_another() {
    let sets: [Vec<&str>; 4] = [
        ConversionStatus::ALL.map(ConversionStatus::as_str).to_vec(),
        ErrorType::ALL.map(ErrorType::as_str).to_vec(),
        INTAKE_RESULTS.to_vec(),
        DELIVERY_STATUSES.to_vec(),
    ];
    for set in sets {
        for a in &set {
            assert!(set.iter().all(|b| a == b || !b.ends_with(a)), "{a} in {set:?}");
        }
    }
}

#[test]
fn converters_beyond_the_cap_are_counted_together() {
    let metrics = metrics();
    for n in 0..MAX_CONVERTERS + 3 {
        metrics.plugin_loaded(&format!("c{n}"), "1", &format!("{n:064}"), &[declaration("own_total", MetricKind::Counter, &[])]).unwrap();
        metrics.conversion(&format!("c{n}"), ConversionStatus::Success, None);
    }
    assert_eq!(value(&metrics, r#"conversions_total{converter="c255",status="success"}"#), 1.0);
    assert_eq!(value(&metrics, r#"conversions_total{converter="other",status="success"}"#), 3.0);
    let text = metrics.exposition();
    assert_eq!(text.lines().filter(|line| line.starts_with("plugin_info{")).count(), MAX_CONVERTERS);
    assert_eq!(text.lines().filter(|line| line.starts_with("own_total{")).count(), MAX_CONVERTERS);
    assert!(!text.contains("c256"));
    for name in ["none", "other"] {
        let error = metrics.plugin_loaded(name, "1", DIGEST, &[]).unwrap_err();
        assert_eq!(error, MetricsError::ReservedConverter(name.to_owned()));
    }
}

#[test]
fn plugin_info_has_what_is_loaded() {
    let metrics = metrics();
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    metrics.plugin_loaded("csv", "1", &old, &[]).unwrap();
    metrics.plugin_loaded("csv", "2", &new, &[]).unwrap();
    metrics.plugin_unloaded("csv", "1", &old);
    let infos = |metrics: &Metrics| {
        metrics.exposition().lines().filter(|line| line.starts_with("plugin_info{")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(infos(&metrics), [format!("plugin_info{{converter=\"csv\",digest=\"{new}\",version=\"2\"}} 1")]);
    metrics.plugin_unloaded("csv", "2", &new);
    assert_eq!(infos(&metrics), [""; 0]);
}

#[test]
fn declarations_that_cannot_stand_are_refused() {
    let with_buckets =
        |buckets: &[f64]| MetricDeclaration { buckets: buckets.to_vec(), ..declaration("x_seconds", MetricKind::Histogram, &[]) };
    for (refused, because) in [
        (vec![declaration("1st", MetricKind::Gauge, &[])], "does not start with a digit"),
        (vec![declaration("a:b", MetricKind::Gauge, &[])], "letters, digits"),
        (vec![declaration("", MetricKind::Gauge, &[])], "letters, digits"),
        (vec![declaration(&"a".repeat(129), MetricKind::Gauge, &[])], "128 bytes"),
        (vec![declaration("rows", MetricKind::Counter, &[])], "ends in `_total`"),
        (vec![declaration("x", MetricKind::Gauge, &["le"])], "`le` cannot be a label"),
        (vec![declaration("x", MetricKind::Gauge, &["converter"])], "`converter` cannot be a label"),
        (vec![declaration("x", MetricKind::Gauge, &["__name__"])], "`__name__` cannot be a label"),
        (vec![declaration("x", MetricKind::Gauge, &["a", "a"])], "the label `a` is there twice"),
        (vec![with_buckets(&[1.0, 1.0])], "ascend"),
        (vec![with_buckets(&[1.0, f64::INFINITY])], "finite"),
        (vec![with_buckets(&[f64::NAN])], "finite"),
        (vec![declaration("queue_depth", MetricKind::Gauge, &[])], "`queue_depth`, which is a metric of the host's"),
        (vec![declaration("upstream_up", MetricKind::Gauge, &[])], "which is a metric of the host's"),
        (vec![declaration("process_open_fds", MetricKind::Gauge, &[])], "which is a metric of the host's"),
        (vec![declaration("conversion_duration_seconds", MetricKind::Histogram, &[])], "which is a metric of the host's"),
        (vec![declaration("x", MetricKind::Gauge, &[]), declaration("x", MetricKind::Gauge, &[])], "the same name"),
        (vec![declaration("x", MetricKind::Summary, &[]), declaration("x", MetricKind::Gauge, &[])], "the same name"),
        (vec![with_buckets(&[1.0; 65])], "64 is the most"),
        (vec![declaration("x", MetricKind::Gauge, &["a", "b", "c", "d", "e", "f", "g", "h", "i"])], "8 is the most"),
    ] {
        let metrics = metrics();
        let without_process =
            || -> Vec<String> { metrics.exposition().lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect() };
        let before = without_process();
        let error = metrics.plugin_loaded("csv", "1", DIGEST, &refused).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
        assert_eq!(without_process(), before);
    }
}

#[test]
fn two_converters_share_a_metric_only_when_they_mean_the_same() {
    let metrics = metrics();
    let shared = declaration("units_total", MetricKind::Counter, &["result"]);
    let level = declaration("levels", MetricKind::Gauge, &[]);
    metrics.plugin_loaded("spea", "1", &"a".repeat(64), &[shared.clone(), level]).unwrap();
    for (declared, difference) in [
        (declaration("levels", MetricKind::Histogram, &[]), "kind"),
        (declaration("units_total", MetricKind::Counter, &["status"]), "labels"),
    ] {
        let metric = declared.name.clone();
        let error = metrics.plugin_loaded("takaya", "1", &"b".repeat(64), &[declared]).unwrap_err();
        assert_eq!(error, MetricsError::OtherConverter { metric, other: "spea".to_owned(), difference });
    }
    let other_help = MetricDeclaration { help: "Said in other words.".to_owned(), ..shared.clone() };
    metrics.plugin_loaded("takaya", "1", &"b".repeat(64), std::slice::from_ref(&other_help)).unwrap();
    metrics.custom("spea", std::slice::from_ref(&shared), &[observation(0, 1.0, &["pass"])]);
    metrics.custom("takaya", std::slice::from_ref(&other_help), &[observation(0, 2.0, &["pass"])]);
    assert_eq!(value(&metrics, r#"units_total{converter="spea",result="pass"}"#), 1.0);
    assert_eq!(value(&metrics, r#"units_total{converter="takaya",result="pass"}"#), 2.0);
    assert_eq!(metrics.exposition().matches("# TYPE units_total counter").count(), 1);
}

#[test]
fn a_new_version_keeps_the_series_that_it_declares_alike() {
    let metrics = metrics();
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let first = [declaration("rows_total", MetricKind::Counter, &["kind"]), declaration("depth", MetricKind::Gauge, &[])];
    metrics.plugin_loaded("csv", "1", &old, &first).unwrap();
    metrics.custom("csv", &first, &[observation(0, 5.0, &["a"]), observation(1, 9.0, &[])]);
    let second = [declaration("rows_total", MetricKind::Counter, &["kind"]), declaration("depth", MetricKind::Gauge, &["axis"])];
    metrics.plugin_loaded("csv", "2", &new, &second).unwrap();
    metrics.plugin_unloaded("csv", "1", &old);
    assert_eq!(value(&metrics, r#"rows_total{converter="csv",kind="a"}"#), 5.0);
    assert!(!has(&metrics, "depth"));
    // A conversion of the old version ends after the swap: what both understand counts.
    metrics.custom("csv", &first, &[observation(0, 1.0, &["a"]), observation(1, 9.0, &[])]);
    assert_eq!(value(&metrics, r#"rows_total{converter="csv",kind="a"}"#), 6.0);
    assert!(!has(&metrics, "depth"));
}

#[test]
fn the_metrics_of_a_removed_plugin_stay_until_another_needs_the_name() {
    let metrics = metrics();
    let declared = [declaration("rows_total", MetricKind::Counter, &[])];
    metrics.plugin_loaded("csv", "1", DIGEST, &declared).unwrap();
    metrics.plugin_unloaded("csv", "1", DIGEST);
    metrics.custom("csv", &declared, &[observation(0, 1.0, &[])]);
    assert_eq!(value(&metrics, r#"rows_total{converter="csv"}"#), 1.0);
    metrics.plugin_loaded("tsv", "1", DIGEST, &[declaration("rows_total", MetricKind::Counter, &["kind"])]).unwrap();
    assert!(!has(&metrics, "rows_total"));
    metrics.custom("csv", &declared, &[observation(0, 1.0, &[])]);
    assert!(!has(&metrics, "rows_total"));
}

#[test]
fn the_series_of_a_converter_are_bounded() {
    let metrics = metrics();
    let declared = [declaration("rows_total", MetricKind::Counter, &["n"]), declaration("others_total", MetricKind::Counter, &["n"])];
    metrics.plugin_loaded("csv", "1", DIGEST, &declared).unwrap();
    let observations: Vec<_> = (0..1_500).map(|n: usize| observation(n % 2, 1.0, &[&n.to_string()])).collect();
    metrics.custom("csv", &declared, &observations);
    metrics.custom("csv", &declared, &[observation(0, 1.0, &["0"])]);
    let text = metrics.exposition();
    assert_eq!(text.lines().filter(|line| line.contains("s_total{converter=\"csv\",n=")).count(), 1_000);
    assert_eq!(value(&metrics, r#"rows_total{converter="csv",n="0"}"#), 2.0);
}

#[test]
fn where_metrics_are_off_those_of_converters_are_checked_and_not_kept() {
    let metrics = Metrics::new(&Instance::default()).with_custom(false);
    let declared = [declaration("rows_total", MetricKind::Counter, &[])];
    metrics.plugin_loaded("csv", "1", DIGEST, &declared).unwrap();
    metrics.custom("csv", &declared, &[observation(0, 1.0, &[])]);
    assert!(!has(&metrics, "rows_total"));
    metrics.plugin_loaded("tsv", "1", DIGEST, &[declaration("rows", MetricKind::Counter, &[])]).unwrap_err();
}
