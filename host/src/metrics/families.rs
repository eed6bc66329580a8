//! The metric families of the host: their names, labels and help, in one place. It knows nothing of when they are recorded.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

/// Upper bounds of all durations, in seconds: 100 µs to 300 s in 1-2.5-5 steps. The last is the default wall time of a conversion.
pub(super) const DURATION_BUCKETS: [f64; 21] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 300.0,
];

/// Every family that the host has, whether it is exposed yet or not: a converter's own metric may take none of these names.
pub(super) const RESERVED: [&str; 58] = [
    "build_info",
    "cache_entries",
    "cache_evictions_total",
    "cache_hit_rate",
    "cache_hits_total",
    "cache_max_entries",
    "cache_misses_total",
    "cache_size_bytes",
    "conversion_documents_total",
    "conversion_duration_seconds",
    "conversion_errors_total",
    "conversion_input_bytes_total",
    "conversion_output_bytes_total",
    "conversion_peak_memory_bytes",
    "conversions_total",
    "dead_letters",
    "delivery_breaker_open",
    "delivery_documents_total",
    "delivery_duration_seconds",
    "disk_free_bytes",
    "http_probe_requests_total",
    "http_request_duration_seconds",
    "http_requests_active",
    "http_requests_total",
    "instance_info",
    "intake_files_total",
    "intake_last_file_timestamp_seconds",
    "intake_up",
    "plugin_info",
    "plugin_load_duration_seconds",
    "plugin_loads_total",
    "plugin_suspended",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "queue_active_workers",
    "queue_depth",
    "queue_items_processed_total",
    "queue_oldest_age_seconds",
    "queue_processing_duration_seconds",
    "queue_waiting",
    "queue_workers",
    "queue_workers_lost_total",
    "route_expected_interval_seconds",
    "route_paused",
    "scrape_duration_seconds",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "spool_bytes",
    "spool_limit_bytes",
    "trace_spans_total",
    "up",
    "upstream_up",
];

/// The families that this version records. One without labels is a vector too, so that it appears only once it has a value.
///
/// `prometheus` tells the series of a family apart by a hash of their label values written one after the other, with nothing between
/// them: ("ab", "c") and ("a", "bc") are one series to it. No family here can meet that: every label but one comes from a closed set in which
/// no value is the tail of another, or has a fixed length (digests). A test holds the sets to it.
pub(super) struct Families {
    pub(super) http_requests: IntCounterVec,
    pub(super) http_duration: HistogramVec,
    pub(super) http_active: IntGaugeVec,
    pub(super) http_probes: IntCounterVec,
    pub(super) queue_depth: IntGaugeVec,
    pub(super) queue_waiting: IntGaugeVec,
    pub(super) queue_oldest_age: GaugeVec,
    pub(super) queue_workers: IntGaugeVec,
    pub(super) queue_active_workers: IntGaugeVec,
    pub(super) queue_workers_lost: IntCounterVec,
    pub(super) queue_processed: IntCounterVec,
    pub(super) queue_duration: HistogramVec,
    pub(super) conversions: IntCounterVec,
    pub(super) conversion_errors: IntCounterVec,
    pub(super) conversion_duration: HistogramVec,
    pub(super) conversion_input_bytes: IntCounterVec,
    pub(super) conversion_output_bytes: IntCounterVec,
    pub(super) conversion_documents: IntCounterVec,
    pub(super) conversion_peak_memory: IntGaugeVec,
    pub(super) plugin_info: IntGaugeVec,
    pub(super) plugin_suspended: IntGaugeVec,
    pub(super) plugin_loads: IntCounterVec,
    pub(super) plugin_load_duration: HistogramVec,
    pub(super) intake_files: IntCounterVec,
    pub(super) intake_last_file: GaugeVec,
    pub(super) intake_up: IntGaugeVec,
    pub(super) route_expected_interval: GaugeVec,
    pub(super) route_paused: IntGaugeVec,
    pub(super) delivery_documents: IntCounterVec,
    pub(super) delivery_duration: HistogramVec,
    pub(super) delivery_breaker: IntGaugeVec,
    pub(super) upstream_up: IntGaugeVec,
    pub(super) trace_spans: IntCounterVec,
    pub(super) dead_letters: IntGaugeVec,
    pub(super) spool_bytes: IntGaugeVec,
    pub(super) cache_size: IntGaugeVec,
    pub(super) cache_entries: IntGaugeVec,
    pub(super) cache_max_entries: IntGaugeVec,
    pub(super) cache_hits: IntCounterVec,
    pub(super) cache_misses: IntCounterVec,
    pub(super) cache_evictions: IntCounterVec,
    pub(super) cache_hit_rate: GaugeVec,
    pub(super) spool_limit_bytes: IntGaugeVec,
    pub(super) disk_free: IntGaugeVec,
    pub(super) build_info: IntGaugeVec,
    pub(super) instance_info: IntGaugeVec,
}

impl Families {
    /// Registers every family in `registry`, which must be a new one.
    pub(super) fn register(registry: &Registry) -> Families {
        let r = registry;
        Families {
            http_requests: counter(
                r,
                "http_requests_total",
                "HTTP requests by method, route template and status.",
                &["method", "endpoint", "status"],
            ),
            http_duration: durations(r, "http_request_duration_seconds", "Duration of HTTP requests.", &["method", "endpoint"]),
            http_active: gauge(r, "http_requests_active", "HTTP requests under way.", &["method", "endpoint"]),
            http_probes: counter(
                r,
                "http_probe_requests_total",
                "Requests for health, metrics and everything else outside /api, by route template and status.",
                &["endpoint", "status"],
            ),
            queue_depth: gauge(r, "queue_depth", "Items that are due and that no worker has claimed.", &["queue_name"]),
            queue_waiting: gauge(r, "queue_waiting", "Items that are not due yet, by what they wait for.", &["queue_name", "reason"]),
            queue_oldest_age: seconds(
                r,
                "queue_oldest_age_seconds",
                "Age of the oldest item: in converter_queue of those that are due and unclaimed, in delivery_queue of those that are not \
                 delivered, also where a destination is down; 0 when there is none.",
                &["queue_name"],
            ),
            queue_workers: gauge(r, "queue_workers", "Workers that take items from this queue.", &["queue_name"]),
            queue_active_workers: gauge(r, "queue_active_workers", "Workers that have an item in hand.", &["queue_name"]),
            queue_workers_lost: counter(
                r,
                "queue_workers_lost_total",
                "Workers that did not come back from a call of the system's, and were replaced.",
                &["queue_name"],
            ),
            queue_processed: counter(r, "queue_items_processed_total", "Items that are settled, whatever came of them.", &["queue_name"]),
            queue_duration: durations(
                r,
                "queue_processing_duration_seconds",
                "Time from claiming an item until a worker is done with it.",
                &["queue_name"],
            ),
            conversions: counter(
                r,
                "conversions_total",
                "Conversions by how they ended; converter \"none\" where no converter took the file.",
                &["converter", "status"],
            ),
            conversion_errors: counter(
                r,
                "conversion_errors_total",
                "Conversions that ended as an error, by its type.",
                &["converter", "error_type"],
            ),
            conversion_duration: durations(
                r,
                "conversion_duration_seconds",
                "Duration of conversions in the sandbox, from instantiation to teardown.",
                &["converter"],
            ),
            conversion_input_bytes: counter(r, "conversion_input_bytes_total", "Bytes that converters read.", &["converter"]),
            conversion_output_bytes: counter(r, "conversion_output_bytes_total", "Bytes of finished documents.", &["converter"]),
            conversion_documents: counter(r, "conversion_documents_total", "Finished documents.", &["converter"]),
            conversion_peak_memory: gauge(
                r,
                "conversion_peak_memory_bytes",
                "The most linear memory that any conversion has used since start.",
                &["converter"],
            ),
            plugin_info: gauge(
                r,
                "plugin_info",
                "1 for every plugin that is loaded, with its version and SHA-256.",
                &["converter", "version", "digest"],
            ),
            plugin_suspended: gauge(
                r,
                "plugin_suspended",
                "1 while a plugin is suspended because its conversions ended in traps or at limits, one after the other.",
                &["converter"],
            ),
            plugin_loads: counter(r, "plugin_loads_total", "Changes in the plugins folder, by what came of them.", &["result"]),
            plugin_load_duration: durations(
                r,
                "plugin_load_duration_seconds",
                "Time from taking up a plugin file until it is live or refused.",
                &[],
            ),
            intake_files: counter(r, "intake_files_total", "Files seen in intakes, by what came of them.", &["route", "result"]),
            intake_last_file: seconds(
                r,
                "intake_last_file_timestamp_seconds",
                "When the last file arrived, in seconds since 1970, this start or an earlier one; 0 before the first.",
                &["route"],
            ),
            intake_up: gauge(r, "intake_up", "1 while the intake can be watched and read.", &["route"]),
            route_expected_interval: seconds(
                r,
                "route_expected_interval_seconds",
                "The longest that this route is expected to be without a new file, where the configuration says so.",
                &["route"],
            ),
            route_paused: gauge(r, "route_paused", "1 while an operator has paused the route.", &["route"]),
            delivery_documents: counter(
                r,
                "delivery_documents_total",
                "Documents by destination and result; one counts once per attempt.",
                &["destination", "status"],
            ),
            delivery_duration: durations(
                r,
                "delivery_duration_seconds",
                "Duration of attempts to deliver the documents of a job.",
                &["destination"],
            ),
            delivery_breaker: gauge(
                r,
                "delivery_breaker_open",
                "1 while a destination has failed for some time and is only tried now and then.",
                &["destination"],
            ),
            trace_spans: counter(r, "trace_spans_total", "Spans of jobs, sent to the collector or lost.", &["result"]),
            upstream_up: gauge(r, "upstream_up", "1 while the upstream server answers.", &[]),
            dead_letters: gauge(
                r,
                "dead_letters",
                "Jobs that wait for a person: their file was not converted, or a destination refused documents of theirs.",
                &["route"],
            ),
            spool_bytes: gauge(r, "spool_bytes", "Bytes of documents that wait for delivery.", &[]),
            cache_size: gauge(r, "cache_size_bytes", "Bytes that the entries of this cache take, in memory and on disk.", &["cache_name"]),
            cache_entries: gauge(r, "cache_entries", "Entries of this cache.", &["cache_name"]),
            cache_max_entries: gauge(r, "cache_max_entries", "Entries that this cache has room for.", &["cache_name"]),
            cache_hits: counter(r, "cache_hits_total", "Questions that this cache answered.", &["cache_name"]),
            cache_misses: counter(r, "cache_misses_total", "Questions that this cache could not answer.", &["cache_name"]),
            cache_evictions: counter(
                r,
                "cache_evictions_total",
                "Entries of this cache that gave way to others or became too old.",
                &["cache_name"],
            ),
            cache_hit_rate: seconds(
                r,
                "cache_hit_rate",
                "Hits of all questions to this cache since start; 0 before the first.",
                &["cache_name"],
            ),
            spool_limit_bytes: gauge(r, "spool_limit_bytes", "How many of them there may be before intake stops.", &[]),
            disk_free: gauge(r, "disk_free_bytes", "Bytes that the file system of this path has left for the service.", &["path"]),
            build_info: gauge(r, "build_info", "1, with the version of this program.", &["version"]),
            instance_info: gauge(
                r,
                "instance_info",
                "1, with the configured identity of this instance.",
                &["instance_id", "station", "location"],
            ),
        }
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn seconds(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    registered(registry, GaugeVec::new(Opts::new(name, help), labels))
}

fn durations(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
    registered(registry, HistogramVec::new(options, labels))
}

#[expect(
    clippy::expect_used,
    reason = "names, labels and buckets are the literals above; creating any `Metrics`, as every test does, proves them"
)]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: prometheus::Result<C>) -> C {
    let family = family.expect("a valid name and valid labels");
    registry.register(Box::new(family.clone())).expect("each name is used once");
    family
}
