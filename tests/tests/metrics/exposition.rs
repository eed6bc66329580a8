//! What the daemon exposes: which families there are to be, and which are there.

use std::collections::{BTreeMap, BTreeSet};

use dropforge_tests::Daemon;

/// The families: name, type, labels.
pub const FAMILIES: [(&str, &str, &str); 56] = [
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
pub const BOUNDS: [&str; 22] = [
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25",
    "50", "100", "250", "300", "+Inf",
];

/// An exposition: the families with type and labels, and the samples.
pub struct Exposition {
    pub families: BTreeMap<String, (String, BTreeSet<String>)>,
    pub samples: BTreeMap<String, f64>,
}

impl Exposition {
    pub fn of(daemon: &Daemon) -> Exposition {
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
    pub fn sum(&self, family: &str, label: &str) -> f64 {
        let of_family = |series: &str| series.strip_prefix(family).is_some_and(|rest| rest.starts_with('{')) && series.contains(label);
        self.samples.iter().filter(|(series, _)| of_family(series)).map(|(_, value)| value).sum()
    }
}

/// The family that a series belongs to.
pub fn family_of(series: &str, exists: impl Fn(&str) -> bool) -> String {
    let name = series.split('{').next().unwrap();
    let found = ["", "_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix).filter(|base| exists(base)));
    found.unwrap_or_else(|| panic!("{series} has no type")).to_owned()
}

/// The names of a series' labels, but for those that its type brings.
pub fn label_names(series: &str) -> Vec<String> {
    let labels = series.split_once('{').map_or("", |(_, labels)| labels);
    let names = labels.split("=\"").filter_map(|part| part.rsplit(['{', ',', '"']).next());
    names.filter(|name| !matches!(*name, "" | "}" | "le" | "quantile")).map(str::to_owned).collect()
}
