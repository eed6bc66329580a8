//! What the service counts and measures, and how Prometheus reads it. It knows the names and labels of the metrics; when to record them is
//! everybody else's to know.

mod cache;
mod collector;
mod converters;
mod custom;
mod declared;
mod disk;
mod families;
mod json;
mod labels;
mod names;
mod process;
mod queues;
mod scrape;
mod summary;
mod totals;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use prometheus::{IntGauge, Registry};

pub use cache::CacheMetrics;
pub use collector::{Counter, Gauge, Histogram, MetricsCollector, Summary};
pub use custom::{MetricsError, check_declarations};
pub use disk::disk_free_bytes;
pub use json::{CacheForm, JsonForm, QueueForm};
pub use labels::{ConversionStatus, Instance, NO_CONVERTER, QueueName};
pub use totals::{ConverterTotals, DestinationTotals, Totals};

use crate::events::{Event, Events};
use crate::sandbox::{ErrorType, MetricDeclaration, Observation, Usage};
use converters::{Converters, MAX_CONVERTERS};
use custom::CustomMetrics;
use families::Families;
use labels::{DELIVERY_STATUSES, INTAKE_RESULTS, LOAD_RESULTS, OTHER_CONVERTERS, SPAN_RESULTS};
use process::ProcessCollector;
use queues::Queues;
use scrape::Scrapes;

/// The cache that [`Metrics::json_form`] speaks of.
const HTTP_RESPONSES: &str = "http_response";

/// The media type of [`Metrics::exposition`].
pub const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Something is under way: its gauge goes down again when this is dropped.
#[must_use = "what it counts is over as soon as it is dropped"]
#[derive(Debug)]
pub struct BusyGuard {
    gauge: IntGauge,
}

impl BusyGuard {
    fn new(gauge: IntGauge) -> BusyGuard {
        gauge.inc();
        BusyGuard { gauge }
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Brings gauges up to date at the moment of a scrape.
pub type ScrapeHook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of the process. What workers record is a few atomic operations on series that are held ready, so that they and a scrape do not
/// wait for each other. (The first request or delivery of its kind makes a series, and waits for a scrape that is copying that very family.)
///
/// Series whose labels are known when a part starts are there from then on, at 0.
pub struct Metrics {
    registry: Registry,
    families: Families,
    custom: CustomMetrics,
    converters: Converters,
    queues: Queues,
    scrapes: Scrapes,
    disks: Mutex<Vec<PathBuf>>,
    destinations_down: ArcSwap<BTreeSet<String>>,
    /// What is told to those who watch.
    events: Arc<Events>,
    /// What the cache of answers of servers counts, where there is one.
    http_responses: OnceLock<CacheMetrics>,
    /// Held during a scrape, so that two at once do not set the same gauges by turns.
    hooks: Mutex<Vec<ScrapeHook>>,
}

impl Metrics {
    /// A registry of its own, with everything that is known before any part has started.
    pub fn new(instance: &Instance) -> Metrics {
        let registry = Registry::new();
        let families = Families::register(&registry);
        if let Some(process) = ProcessCollector::new()
            && let Err(error) = registry.register(Box::new(process))
        {
            tracing::error!(%error, "The metrics of the process cannot be exposed");
        }
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        families.instance_info.with_label_values(&[&instance.instance_id, &instance.station, &instance.location]).set(1);
        for result in LOAD_RESULTS {
            families.plugin_loads.with_label_values(&[result]);
        }
        families.plugin_load_duration.with_label_values::<&str>(&[]);
        let metrics = Metrics {
            registry,
            converters: Converters::new(&families),
            queues: Queues::default(),
            families,
            custom: CustomMetrics::new(true),
            scrapes: Scrapes::new(),
            disks: Mutex::default(),
            destinations_down: ArcSwap::default(),
            events: Arc::default(),
            http_responses: OnceLock::new(),
            hooks: Mutex::default(),
        };
        metrics.queues.of(&metrics.families, QueueName::Converter);
        metrics
    }

    /// Where metrics are switched off, those that converters declare for themselves are not kept: nobody could read them.
    pub fn with_custom(self, enabled: bool) -> Metrics {
        Metrics { custom: CustomMetrics::new(enabled), ..self }
    }

    /// What happens, for those who watch: whoever counts something tells it, too.
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Tells an event to those who watch.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        self.events.tell(event);
    }

    /// What the cache of this name counts, from 0.
    pub fn cache(&self, name: &str, max_entries: u64) -> CacheMetrics {
        let families = &self.families;
        families.cache_max_entries.with_label_values(&[name]).set(max_entries.cast_signed());
        let metrics = CacheMetrics {
            hits: families.cache_hits.with_label_values(&[name]),
            misses: families.cache_misses.with_label_values(&[name]),
            evictions: families.cache_evictions.with_label_values(&[name]),
            entries: families.cache_entries.with_label_values(&[name]),
            size: families.cache_size.with_label_values(&[name]),
            hit_rate: families.cache_hit_rate.with_label_values(&[name]),
            bytes: Arc::default(),
            max_entries,
            counting: Arc::default(),
        };
        if name == HTTP_RESPONSES {
            let _ = self.http_responses.set(metrics.clone());
        }
        metrics
    }

    /// Registers something that brings gauges up to date: it is called at the beginning of every scrape, on the thread of the scrape,
    /// and must not call [`Metrics::exposition`], [`Metrics::json_form`] or this again.
    pub fn on_scrape(&self, hook: ScrapeHook) {
        lock(&self.hooks).push(hook);
    }

    /// Everything in Prometheus's text format 0.0.4. It runs the hooks of [`Metrics::on_scrape`], so it may block.
    pub fn exposition(&self) -> String {
        let hooks = self.refresh();
        let mut families = self.registry.gather();
        families.extend(self.custom.gather());
        drop(hooks);
        collector::encode(&families)
    }

    /// The same for whoever scrapes: beyond 20 a second it is the last text again, which is at most about 50 ms old.
    pub fn scrape(&self) -> Bytes {
        self.scrapes.text(|| self.exposition())
    }

    /// What `/metrics` answers where metrics are switched off. It runs the hooks, so it may block.
    pub fn json_form(&self) -> JsonForm {
        drop(self.refresh());
        let queue = [QueueName::Converter.as_str()];
        JsonForm {
            // It is switched off where nobody has asked for its metrics.
            cache: self.http_responses.get().map(CacheMetrics::counted).unwrap_or_default(),
            queue: QueueForm {
                size: self.families.queue_depth.with_label_values(&queue).get(),
                active_workers: self.families.queue_active_workers.with_label_values(&queue).get(),
                total_processed: self.families.queue_processed.with_label_values(&queue).get(),
            },
        }
    }

    fn refresh(&self) -> MutexGuard<'_, Vec<ScrapeHook>> {
        let hooks = lock(&self.hooks);
        for hook in hooks.iter() {
            hook(self);
        }
        for path in lock(&self.disks).iter() {
            let gauge = [path.to_string_lossy()];
            match disk_free_bytes(path) {
                Ok(free) => self.families.disk_free.with_label_values(&gauge).set(signed(free)),
                // A value that is not known any more must not stay.
                Err(_) => _ = self.families.disk_free.remove_label_values(&gauge),
            }
        }
        hooks
    }

    /// Exposes the free space of these paths as `disk_free_bytes`, asked for at every scrape. Give local paths: a network share that
    /// hangs would hang the scrape.
    pub fn watch_disks(&self, paths: Vec<PathBuf>) {
        *lock(&self.disks) = paths;
    }
}

/// Intake.
impl Metrics {
    /// Counts a file that was seen in a route's intake: `queued`, `duplicate`, `ignored` or `error`. All but `ignored` are arrivals, which
    /// `intake_last_file_timestamp_seconds` tells the time of.
    pub fn intake_file(&self, route: &str, result: &str) {
        self.families.intake_files.with_label_values(&[route, result]).inc();
        if result != "ignored" {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.families.intake_last_file.with_label_values(&[route]).set(now.as_secs_f64());
        }
    }

    /// Tells when the last file of a route arrived before this process was started, in seconds since 1970.
    pub fn intake_last_file(&self, route: &str, seconds: f64) {
        self.families.intake_last_file.with_label_values(&[route]).set(seconds);
    }

    /// Tells how long a route is expected to be without a new file at most.
    pub fn route_expected_interval(&self, route: &str, seconds: f64) {
        self.families.route_expected_interval.with_label_values(&[route]).set(seconds);
    }

    /// Says whether an operator has paused a route.
    pub fn route_paused(&self, route: &str, paused: bool) {
        self.families.route_paused.with_label_values(&[route]).set(paused.into());
    }

    /// Says whether a route's intake can be watched and read. The first call for a route makes its other series known.
    pub fn intake_up(&self, route: &str, up: bool) {
        for result in INTAKE_RESULTS {
            self.families.intake_files.with_label_values(&[route, result]);
        }
        self.families.intake_last_file.with_label_values(&[route]);
        self.families.intake_up.with_label_values(&[route]).set(up.into());
    }

    /// What [`Metrics::intake_up`] was last told; false before.
    pub fn intake_is_up(&self, route: &str) -> bool {
        self.families.intake_up.with_label_values(&[route]).get() != 0
    }
}

/// Spans.
impl Metrics {
    /// Makes the counts of spans known, because some will be sent.
    pub fn tracing(&self) {
        SPAN_RESULTS.into_iter().for_each(|result| self.trace_spans(result, 0));
    }

    /// Counts spans that were `exported`, or `dropped`.
    pub fn trace_spans(&self, result: &'static str, spans: u64) {
        self.families.trace_spans.with_label_values(&[result]).inc_by(spans);
    }
}

/// Queues.
impl Metrics {
    /// Sets what a queue holds: `depth` items are due and unclaimed, the oldest of them for `oldest_age`; `waiting` has the others by reason.
    /// Give every reason that the queue knows each time, those without items too: one that is left out keeps its last value.
    pub fn queue_sizes(&self, queue: QueueName, depth: u64, waiting: &[(&str, u64)], oldest_age: Duration) {
        let name = queue.as_str();
        self.families.queue_depth.with_label_values(&[name]).set(signed(depth));
        self.families.queue_oldest_age.with_label_values(&[name]).set(oldest_age.as_secs_f64());
        for (reason, items) in waiting {
            self.families.queue_waiting.with_label_values(&[name, reason]).set(signed(*items));
        }
    }

    /// Sets how many workers take items from a queue. The first call for a queue makes its other series known.
    pub fn queue_workers(&self, queue: QueueName, workers: usize) {
        self.queues.of(&self.families, queue);
        self.families.queue_workers.with_label_values(&[queue.as_str()]).set(signed(workers as u64));
    }

    /// Counts a worker as active until the guard is dropped.
    pub fn worker_busy(&self, queue: QueueName) -> BusyGuard {
        BusyGuard::new(self.queues.of(&self.families, queue).active_workers.clone())
    }

    /// Counts a worker that does not come back, and was replaced: those of deliveries are not.
    pub fn converter_worker_lost(&self) {
        self.families.queue_workers_lost.with_label_values(&[QueueName::Converter.as_str()]).inc();
    }

    /// Counts an item as settled, `duration` after a worker claimed it.
    pub fn queue_processed(&self, queue: QueueName, duration: Duration) {
        let series = self.queues.of(&self.families, queue);
        series.processed.inc();
        series.duration.observe(duration.as_secs_f64());
    }
}

/// Conversions.
impl Metrics {
    /// Counts how a conversion ended. `error_type` is given with [`ConversionStatus::Error`] and only then; where no converter took the
    /// file, `converter` is [`NO_CONVERTER`].
    pub fn conversion(&self, converter: &str, status: ConversionStatus, error_type: Option<ErrorType>) {
        if converter == NO_CONVERTER {
            self.converters.none.count(status, error_type);
        } else {
            self.converters.of(&self.families, converter).outcomes.count(status, error_type);
        }
    }

    /// Records what one run of `convert` in the sandbox used, and how many documents it finished.
    pub fn conversion_run(&self, converter: &str, usage: &Usage, documents: u64) {
        self.converters.of(&self.families, converter).ran(usage, documents);
    }

    /// Records what a conversion observed of the converter's own metrics; `declarations` are those of the version that ran.
    pub fn custom(&self, converter: &str, declarations: &[MetricDeclaration], observations: &[Observation]) {
        self.custom.record(converter, declarations, observations);
    }
}

/// Plugins.
impl Metrics {
    /// Makes a plugin's series known before it goes live, in place of those of an earlier version of the same converter. The order of this and
    /// of [`Metrics::plugin_unloaded`] for the earlier version does not matter.
    ///
    /// # Errors
    /// Where the metrics that it declares cannot be exposed: the plugin must then be refused. Nothing has changed.
    pub fn plugin_loaded(&self, name: &str, version: &str, digest: &str, declarations: &[MetricDeclaration]) -> Result<(), MetricsError> {
        if [NO_CONVERTER, OTHER_CONVERTERS].contains(&name) {
            return Err(MetricsError::ReservedConverter(name.to_owned()));
        }
        if !self.converters.has_room(name) {
            tracing::warn!(
                converter = name,
                "The metrics have had {MAX_CONVERTERS} converters since start, the most that they tell apart: this one counts as \
                 `{OTHER_CONVERTERS}`, and its own metrics are dropped"
            );
            return Ok(());
        }
        self.custom.declare(name, digest, declarations)?;
        self.converters.of(&self.families, name);
        self.families.plugin_info.with_label_values(&[name, version, digest]).set(1);
        self.plugin_suspended(name, false);
        Ok(())
    }

    /// Says that a plugin is not loaded any more. What its conversions counted stays.
    pub fn plugin_unloaded(&self, name: &str, version: &str, digest: &str) {
        // It is not there where the plugin counted as one of the others.
        _ = self.families.plugin_info.remove_label_values(&[name, version, digest]);
        self.custom.unload(name, digest);
        self.plugin_suspended(name, false);
    }

    /// Says whether a plugin is suspended. A plugin that is loaded or unloaded is not.
    pub fn plugin_suspended(&self, name: &str, suspended: bool) {
        let series = self.converters.of(&self.families, name);
        self.families.plugin_suspended.with_label_values(&[&series.label]).set(suspended.into());
    }

    /// Counts a change in the plugins folder: `loaded`, `unchanged`, `refused` or `unloaded`. The first three took `duration`.
    pub fn plugin_load(&self, result: &str, duration: Duration) {
        self.families.plugin_loads.with_label_values(&[result]).inc();
        if result != "unloaded" {
            self.families.plugin_load_duration.with_label_values::<&str>(&[]).observe(duration.as_secs_f64());
        }
    }
}

/// Delivery.
impl Metrics {
    /// Makes the series of a destination known.
    pub fn destination(&self, destination: &str) {
        for status in DELIVERY_STATUSES {
            self.families.delivery_documents.with_label_values(&[destination, status]);
        }
        self.families.delivery_duration.with_label_values(&[destination]);
        self.families.delivery_breaker.with_label_values(&[destination]);
    }

    /// Counts documents without an attempt of their own.
    pub fn delivery_documents(&self, destination: &str, status: &str, documents: u64) {
        self.families.delivery_documents.with_label_values(&[destination, status]).inc_by(documents);
    }

    /// Says whether a destination has failed for some time.
    pub fn delivery_breaker(&self, destination: &str, open: bool) {
        self.families.delivery_breaker.with_label_values(&[destination]).set(open.into());
        if self.destinations_down.load().contains(destination) != open {
            self.destinations_down.rcu(|down| {
                let mut down = BTreeSet::clone(down);
                if open {
                    down.insert(destination.to_owned());
                } else {
                    down.remove(destination);
                }
                down
            });
        }
    }

    /// The destinations that [`Metrics::delivery_breaker`] was told have failed for some time.
    pub fn destinations_down(&self) -> Vec<String> {
        self.destinations_down.load().iter().cloned().collect()
    }

    /// Says whether the upstream server answers. Not called where there is none.
    pub fn upstream_up(&self, up: bool) {
        self.families.upstream_up.with_label_values::<&str>(&[]).set(up.into());
    }

    /// Counts an attempt to deliver the `documents` of a job: `success` or `error`.
    pub fn delivery(&self, destination: &str, status: &str, documents: u64, duration: Duration) {
        self.families.delivery_documents.with_label_values(&[destination, status]).inc_by(documents);
        self.families.delivery_duration.with_label_values(&[destination]).observe(duration.as_secs_f64());
    }

    /// Sets how many jobs of a route wait for a person.
    pub fn dead_letters(&self, route: &str, letters: u64) {
        self.families.dead_letters.with_label_values(&[route]).set(signed(letters));
    }

    /// Sets the bytes of documents that wait for delivery.
    pub fn spool_bytes(&self, bytes: u64) {
        self.families.spool_bytes.with_label_values::<&str>(&[]).set(signed(bytes));
    }

    /// Sets how many bytes of documents may wait for delivery before intake stops.
    pub fn spool_limit_bytes(&self, bytes: u64) {
        self.families.spool_limit_bytes.with_label_values::<&str>(&[]).set(signed(bytes));
    }
}

/// HTTP. Methods and endpoints come from closed sets: the caller gives route templates, never paths.
impl Metrics {
    /// Makes the series of an endpoint known: one under `/api`, or one that the upstream client is going to ask.
    pub fn http_endpoint(&self, method: &str, endpoint: &str) {
        self.families.http_requests.with_label_values(&[method, endpoint, "200"]);
        self.families.http_duration.with_label_values(&[method, endpoint]);
        self.families.http_active.with_label_values(&[method, endpoint]);
    }

    /// Counts a request as active until the guard is dropped.
    pub fn http_active(&self, method: &str, endpoint: &str) -> BusyGuard {
        BusyGuard::new(self.families.http_active.with_label_values(&[method, endpoint]))
    }

    /// Counts a request that was answered.
    pub fn http_request(&self, method: &str, endpoint: &str, status: &str, duration: Duration) {
        self.families.http_requests.with_label_values(&[method, endpoint, status]).inc();
        self.families.http_duration.with_label_values(&[method, endpoint]).observe(duration.as_secs_f64());
    }

    /// Makes the series of an endpoint outside `/api` known.
    pub fn http_probe_endpoint(&self, endpoint: &str, status: &str) {
        self.families.http_probes.with_label_values(&[endpoint, status]);
    }

    /// Counts a request outside `/api`.
    pub fn http_probe(&self, endpoint: &str, status: &str) {
        self.families.http_probes.with_label_values(&[endpoint, status]).inc();
    }
}

/// Locks a map that no panic can leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
