//! Metrics that whoever has the collector declares and records: a program that embeds this crate, and the host itself for each converter. It
//! knows nothing of either.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use prometheus::TextEncoder;
use prometheus::proto::{LabelPair, MetricFamily};

use super::declared::{Family, Value, difference, label, same_series};
use super::{MetricsError, names};
use crate::sandbox::{MetricDeclaration, MetricKind, Observation};

/// Series that a collector of an embedding program keeps. A summary uses up eight, for the size of its sketch.
const MAX_SERIES: usize = 10_000;
/// The label in front of those series.
const INSTANCE: &str = "instance_id";
/// Characters of a label's value that are kept.
const MAX_VALUE: usize = 128;

/// A set of metrics with names, labels and values of the caller's own, in Prometheus's sense. Clones share the set.
///
/// Every series has the label `instance_id` in front, so that those of several instances can stand beside each other. Recording is a few atomic
/// operations (a summary takes a short lock of its own, and the microseconds that its quantiles need), and [`MetricsCollector::exposition`]
/// waits for nobody who records. A collector that is not enabled registers nothing: recording is one comparison, and its exposition is empty.
///
/// At most 10,000 series are kept, of which a summary takes up eight each; more are dropped, which the log says once. A value that is not
/// finite, or that would lower a counter, is ignored.
///
/// ```
/// use dropforge::MetricsCollector;
///
/// let metrics = MetricsCollector::new("line-3", true);
/// let boards = metrics.counter("boards_total", "Boards that were tested.", &["result"])?;
/// let queue = metrics.gauge("queued_boards", "Boards that wait for a test.", &[])?;
/// let test = metrics.histogram("test_duration_seconds", "Duration of tests.", &[], &[1.0, 10.0, 60.0])?;
/// let size = metrics.summary("report_size_bytes", "Sizes of reports.", &["format"])?;
///
/// boards.inc(&["pass"]);
/// boards.add(2.0, &["fail"]);
/// queue.set(5.0, &[]);
/// queue.add(-1.0, &[]);
/// test.observe(12.5, &[]);
/// size.observe(2048.0, &["json"]);
///
/// let text = metrics.exposition();
/// assert!(text.contains(r#"boards_total{instance_id="line-3",result="fail"} 2"#));
/// assert!(text.contains(r#"queued_boards{instance_id="line-3"} 4"#));
/// assert!(text.contains(r#"test_duration_seconds_bucket{instance_id="line-3",le="10"} 0"#));
/// assert!(text.contains(r#"test_duration_seconds_bucket{instance_id="line-3",le="60"} 1"#));
/// assert!(text.contains(r#"report_size_bytes{instance_id="line-3",format="json",quantile="0.99"} 2048"#));
///
/// // A name that Prometheus would not take, or its linter would complain about, is refused.
/// let refused = metrics.counter("boards", "Boards that were tested.", &[]);
/// assert!(refused.unwrap_err().to_string().contains("ends in `_total`"));
///
/// // Switched off, the same code does nothing.
/// let inert = MetricsCollector::new("line-3", false);
/// inert.counter("boards_total", "Boards that were tested.", &["result"])?.inc(&["pass"]);
/// assert_eq!(inert.exposition(), "");
/// # Ok::<(), dropforge::metrics::MetricsError>(())
/// ```
#[derive(Clone, Default)]
pub struct MetricsCollector {
    /// None where it is inert.
    shared: Option<Arc<Shared>>,
}

struct Shared {
    /// The label in front of every series.
    owner: LabelPair,
    max_series: usize,
    families: ArcSwap<Vec<Arc<Family>>>,
    /// Whoever adds metrics or series has this.
    adding: Mutex<Adding>,
}

#[derive(Default)]
struct Adding {
    /// What the series use up of the bound.
    used: usize,
    /// Whether the log has said that series are dropped.
    overflowed: bool,
    /// Whether the log has said that a metric was recorded with a wrong number of labels.
    mislabelled: bool,
}

/// A sum that only grows. See [`MetricsCollector`].
#[derive(Debug, Clone)]
pub struct Counter(Handle);

/// A value that may go either way; the last one set counts. See [`MetricsCollector`].
#[derive(Debug, Clone)]
pub struct Gauge(Handle);

/// Values counted into buckets. See [`MetricsCollector`].
#[derive(Debug, Clone)]
pub struct Histogram(Handle);

/// Values summed and counted, with the quantiles 0.5, 0.9, 0.95 and 0.99 of all since the start, each right to 1 %. See [`MetricsCollector`].
#[derive(Debug, Clone)]
pub struct Summary(Handle);

impl Counter {
    /// Adds 1. `labels` are the values in the declared order.
    pub fn inc(&self, labels: &[&str]) {
        self.add(1.0, labels);
    }

    /// Adds something.
    pub fn add(&self, value: f64, labels: &[&str]) {
        self.0.record(value, labels);
    }
}

impl Gauge {
    /// Sets it. `labels` are the values in the declared order.
    pub fn set(&self, value: f64, labels: &[&str]) {
        self.0.record(value, labels);
    }

    /// Adds to it, or takes from it what is below 0.
    pub fn add(&self, value: f64, labels: &[&str]) {
        if let Some((_, series)) = self.0.series(labels) {
            series.raise(value);
        }
    }
}

impl Histogram {
    /// Counts a value. `labels` are the values in the declared order.
    pub fn observe(&self, value: f64, labels: &[&str]) {
        self.0.record(value, labels);
    }
}

impl Summary {
    /// Takes a value. `labels` are the values in the declared order.
    pub fn observe(&self, value: f64, labels: &[&str]) {
        self.0.record(value, labels);
    }
}

/// A declared metric of a collector; none where that is inert.
#[derive(Clone)]
struct Handle(Option<(Arc<Shared>, Arc<Family>)>);

impl Handle {
    fn record(&self, value: f64, labels: &[&str]) {
        if let Some((declaration, series)) = self.series(labels)
            && series.record(declaration, value)
        {
            series.publish();
        }
    }

    /// The series with these label values, if there is one or there is room for it.
    fn series(&self, labels: &[&str]) -> Option<(&MetricDeclaration, Arc<Value>)> {
        let (shared, family) = self.0.as_ref()?;
        let labels: Vec<String> = labels.iter().map(|label| label.chars().take(MAX_VALUE).collect()).collect();
        Some((&family.declaration, shared.series(family, &labels)?))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("inert", |(_, family)| &family.declaration.name))
    }
}

impl fmt::Debug for MetricsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsCollector").field("owner", &self.shared.as_ref().map(|shared| shared.owner.value())).finish_non_exhaustive()
    }
}

impl MetricsCollector {
    /// A collector without metrics; an inert one where it is not `enabled`.
    pub fn new(instance_id: &str, enabled: bool) -> MetricsCollector {
        if enabled { MetricsCollector::owned(INSTANCE, instance_id, MAX_SERIES) } else { MetricsCollector::default() }
    }

    /// A collector whose series have another label in front.
    pub(super) fn owned(name: &str, value: &str, max_series: usize) -> MetricsCollector {
        let shared = Shared { owner: label(name, value), max_series, families: ArcSwap::default(), adding: Mutex::default() };
        MetricsCollector { shared: Some(Arc::new(shared)) }
    }

    /// Whether it registers anything.
    pub fn is_enabled(&self) -> bool {
        self.shared.is_some()
    }

    /// Declares a counter. Its name ends in `_total`; the names of `labels` are in the order in which values are given. To declare a metric
    /// again, with nothing changed but its help, gives the same metric.
    ///
    /// # Errors
    /// A name, label or unit that Prometheus or its linter does not take, or that another metric of this collector has.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<Counter, MetricsError> {
        self.declare(MetricKind::Counter, name, help, labels, &[]).map(Counter)
    }

    /// Declares a gauge.
    ///
    /// # Errors
    /// As [`MetricsCollector::counter`].
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<Gauge, MetricsError> {
        self.declare(MetricKind::Gauge, name, help, labels, &[]).map(Gauge)
    }

    /// Declares a histogram. `buckets` are the upper bounds of its buckets, ascending, at most 64; without any, it has those of the host's
    /// durations, from 100 µs to 300 s.
    ///
    /// # Errors
    /// As [`MetricsCollector::counter`], and where the bounds do not ascend or are not finite.
    pub fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Histogram, MetricsError> {
        self.declare(MetricKind::Histogram, name, help, labels, buckets).map(Histogram)
    }

    /// Declares a summary.
    ///
    /// # Errors
    /// As [`MetricsCollector::counter`].
    pub fn summary(&self, name: &str, help: &str, labels: &[&str]) -> Result<Summary, MetricsError> {
        self.declare(MetricKind::Summary, name, help, labels, &[]).map(Summary)
    }

    /// Everything in Prometheus's text format 0.0.4, by name; without metrics that have no series yet.
    pub fn exposition(&self) -> String {
        let mut families = BTreeMap::new();
        self.gather(&mut families);
        encode(&families.into_values().collect::<Vec<_>>())
    }

    fn declare(&self, kind: MetricKind, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Handle, MetricsError> {
        let declaration = MetricDeclaration {
            name: name.to_owned(),
            kind,
            help: help.to_owned(),
            unit: String::new(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            buckets: buckets.to_vec(),
        };
        names::check(&declaration, INSTANCE).map_err(|reason| MetricsError::malformed(&declaration, reason))?;
        let Some(shared) = &self.shared else { return Ok(Handle(None)) };
        let mut adding = shared.lock();
        let families = shared.families.load();
        for family in families.iter() {
            if same_series(&family.declaration, &declaration) {
                return Ok(Handle(Some((Arc::clone(shared), Arc::clone(family)))));
            }
            if let Some(difference) = difference(&declaration, &family.declaration) {
                return Err(MetricsError::Declared { metric: declaration.name, difference });
            }
        }
        let family = Arc::new(Family::new(&declaration));
        adding.used += family.weights();
        shared.families.store(Arc::new(families.iter().cloned().chain([Arc::clone(&family)]).collect()));
        Ok(Handle(Some((Arc::clone(shared), family))))
    }

    /// Takes these metrics in place of those that it has. One that is declared as before keeps its values.
    pub(super) fn replace(&self, declarations: &[MetricDeclaration]) {
        let Some(shared) = &self.shared else { return };
        let mut adding = shared.lock();
        let before = shared.families.load();
        let family = |declaration: &MetricDeclaration| {
            let kept = before.iter().find(|family| same_series(&family.declaration, declaration));
            Arc::new(kept.map_or_else(|| Family::new(declaration), |family| family.redeclared(declaration)))
        };
        shared.put(&mut adding, declarations.iter().map(family).collect());
    }

    /// Forgets metrics.
    pub(super) fn retain(&self, keep: impl Fn(&MetricDeclaration) -> bool) {
        let Some(shared) = &self.shared else { return };
        let mut adding = shared.lock();
        let before = shared.families.load();
        shared.put(&mut adding, before.iter().filter(|family| keep(&family.declaration)).cloned().collect());
    }

    /// The metrics that it has.
    pub(super) fn declarations(&self) -> Vec<MetricDeclaration> {
        let families = self.shared.iter().flat_map(|shared| shared.families.load().iter().cloned().collect::<Vec<_>>());
        families.map(|family| family.declaration.clone()).collect()
    }

    /// Records values of `declarations`. One of a metric that is declared in another way by now, or not at all, is dropped.
    pub(super) fn record(&self, declarations: &[MetricDeclaration], observations: &[Observation]) {
        let Some(shared) = self.shared.as_ref().filter(|_| !observations.is_empty()) else { return };
        let families = shared.families.load();
        let find = |declaration| families.iter().find(|family| same_series(&family.declaration, declaration));
        let targets: Vec<Option<&Arc<Family>>> = declarations.iter().map(find).collect();
        let mut unpublished = Vec::new();
        for observation in observations {
            let Some(family) = targets.get(observation.metric).copied().flatten() else { continue };
            let Some(series) = shared.series(family, &observation.labels) else { continue };
            if series.record(&family.declaration, observation.value) {
                unpublished.push(series);
            }
        }
        unpublished.iter().for_each(|series| series.publish());
    }

    /// Adds everything to what is being exposed, by name.
    pub(super) fn gather(&self, families: &mut BTreeMap<String, MetricFamily>) {
        let Some(shared) = &self.shared else { return };
        for family in shared.families.load().iter() {
            family.gather(&shared.owner, families);
        }
    }
}

impl Shared {
    /// The series with these label values: a new one where there is none and room is left.
    fn series(&self, family: &Family, labels: &[String]) -> Option<Arc<Value>> {
        if let Some(series) = family.get(labels) {
            return Some(series);
        }
        let mut adding = self.lock();
        let metric = &family.declaration.name;
        if labels.len() != family.declaration.labels.len() {
            if !std::mem::replace(&mut adding.mislabelled, true) {
                let declared = family.declaration.labels.len();
                tracing::warn!(
                    metric,
                    given = labels.len(),
                    declared,
                    "A metric was recorded with a wrong number of labels; that is ignored"
                );
            }
            return None;
        }
        // Somebody else may have been quicker.
        if let Some(series) = family.get(labels) {
            return Some(series);
        }
        if adding.used + family.weight() > self.max_series {
            if !std::mem::replace(&mut adding.overflowed, true) {
                tracing::warn!(
                    metric,
                    owner = self.owner.value(),
                    most = self.max_series,
                    "There are as many series of these metrics as are kept (a summary counts as eight); values with new labels are dropped"
                );
            }
            return None;
        }
        adding.used += family.weight();
        Some(family.add(labels))
    }

    fn put(&self, adding: &mut Adding, families: Vec<Arc<Family>>) {
        adding.used = families.iter().map(|family| family.weights()).sum();
        self.families.store(Arc::new(families));
    }

    fn lock(&self) -> MutexGuard<'_, Adding> {
        // Nothing that is done with it can panic half way.
        self.adding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text format.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut text = String::with_capacity(64 * 1024);
    if let Err(error) = TextEncoder::new().encode_utf8(families, &mut text) {
        // It fails only for a family without a name or without series, which nothing here gives.
        tracing::error!(%error, "The metrics could not be written out completely");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_declared_once_and_means_one_thing() {
        let metrics = MetricsCollector::new("i", true);
        let first = metrics.counter("rows_total", "Rows.", &["kind"]).unwrap();
        metrics.counter("rows_total", "In other words.", &["kind"]).unwrap().inc(&["a"]);
        first.inc(&["a"]);
        assert!(metrics.exposition().contains("rows_total{instance_id=\"i\",kind=\"a\"} 2\n"));
        metrics.summary("step_seconds", "Steps.", &[]).unwrap();
        for (result, difference) in [
            (metrics.counter("rows_total", "Rows.", &["sort"]).err(), "labels"),
            (metrics.gauge("step_seconds", "Steps.", &[]).err(), "kind"),
            (metrics.histogram("step_seconds", "Steps.", &[], &[]).err(), "kind"),
        ] {
            assert!(matches!(result, Some(MetricsError::Declared { difference: found, .. }) if found == difference));
        }
    }

    #[test]
    fn nonsense_is_ignored() {
        let metrics = MetricsCollector::new("i", true);
        let sum = metrics.counter("sum_total", "A sum.", &[]).unwrap();
        let level = metrics.gauge("level", "A level.", &[]).unwrap();
        let sizes = metrics.histogram("size_bytes", "Sizes.", &[], &[1.0]).unwrap();
        let steps = metrics.summary("step_seconds", "Steps.", &[]).unwrap();
        level.set(1.5, &[]);
        let before = metrics.exposition();
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            sum.add(nonsense, &[]);
            level.set(nonsense, &[]);
            sizes.observe(nonsense, &[]);
            steps.observe(nonsense, &[]);
        }
        sum.add(-1.0, &[]);
        sum.inc(&["a label that was not declared"]);
        assert_eq!(metrics.exposition(), before);
        level.add(2.0, &[]);
        level.add(-3.0, &[]);
        level.add(f64::NAN, &[]);
        assert!(metrics.exposition().contains("level{instance_id=\"i\"} 0.5\n"));
        sizes.observe(1.0, &[]);
        sizes.observe(1.5, &[]);
        let text = metrics.exposition();
        assert!(text.contains("size_bytes_bucket{instance_id=\"i\",le=\"1\"} 1\n"), "{text}");
        assert!(text.contains("size_bytes_count{instance_id=\"i\"} 2\n"), "{text}");
    }

    #[test]
    fn its_series_are_bounded_and_a_summary_counts_as_eight() {
        let metrics = MetricsCollector::owned("instance_id", "i", 20);
        let steps = metrics.summary("step_seconds", "Steps.", &["n"]).unwrap();
        let rows = metrics.counter("rows_total", "Rows.", &["n"]).unwrap();
        for n in 0..10 {
            steps.observe(1.0, &[&n.to_string()]);
        }
        for n in 0..10 {
            rows.inc(&[&n.to_string()]);
        }
        rows.inc(&["0"]);
        let text = metrics.exposition();
        assert_eq!(text.matches("step_seconds_count{").count(), 2);
        assert_eq!(text.matches("rows_total{").count(), 4);
        assert!(text.contains("rows_total{instance_id=\"i\",n=\"0\"} 2\n"), "{text}");
    }

    #[test]
    fn what_many_threads_record_is_all_there() {
        let metrics = MetricsCollector::new("i", true);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let metrics = &metrics;
                scope.spawn(move || {
                    let rows = metrics.counter("rows_total", "Rows.", &["n"]).unwrap();
                    let steps = metrics.summary("step_seconds", "Steps.", &[]).unwrap();
                    for n in 0..500 {
                        rows.inc(&[&(n % 50).to_string()]);
                        steps.observe(f64::from(thread), &[]);
                        if n % 100 == 0 {
                            metrics.exposition();
                        }
                    }
                });
            }
        });
        let text = metrics.exposition();
        assert_eq!(text.matches("} 40\n").count(), 50, "{text}");
        assert!(text.contains("step_seconds_count{instance_id=\"i\"} 2000\n"), "{text}");
    }
}
