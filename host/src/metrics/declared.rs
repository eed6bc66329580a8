//! One metric that was declared while the program runs, with its series. It knows how to count and to expose; who may declare what is known
//! elsewhere.
//!
//! A scrape waits for nobody who records, and nobody who records waits for a scrape: values are atomic, and what cannot be is put forward
//! as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use prometheus::core::{Atomic, AtomicF64};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::families::DURATION_BUCKETS;
use super::summary::Summary;
use crate::sandbox::{MetricDeclaration, MetricKind};

/// How much of a bound on series a summary uses up: its sketch takes as much memory as many other series.
const SUMMARY_WEIGHT: usize = 8;

/// A metric and its series.
pub(super) struct Family {
    pub(super) declaration: MetricDeclaration,
    /// By the values of the declared labels.
    series: ArcSwap<Series>,
}

type Series = BTreeMap<Arc<[String]>, Arc<Value>>;

/// What a series holds.
pub(super) enum Value {
    Counter(AtomicF64),
    Gauge(AtomicF64),
    Histogram(Distribution),
    Summary(Summary),
}

/// One count for each bucket, not cumulated, and one more for what is above the last bound.
pub(super) struct Distribution {
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

impl Family {
    pub(super) fn new(declaration: &MetricDeclaration) -> Family {
        let family = Family { declaration: declaration.clone(), series: ArcSwap::default() };
        // Without labels there is one series, known from the start.
        if declaration.labels.is_empty() {
            family.add(&[]);
        }
        family
    }

    /// The same with another declaration that means the same.
    pub(super) fn redeclared(&self, declaration: &MetricDeclaration) -> Family {
        Family { declaration: declaration.clone(), series: ArcSwap::new(self.series.load_full()) }
    }

    /// The series with these label values, if there is one.
    pub(super) fn get(&self, labels: &[String]) -> Option<Arc<Value>> {
        self.series.load().get(labels).map(Arc::clone)
    }

    /// Adds a series. Only one thread may do so at a time, else one of two new series is lost.
    pub(super) fn add(&self, labels: &[String]) -> Arc<Value> {
        let value = Arc::new(Value::new(&self.declaration));
        let mut series = Series::clone(&self.series.load());
        series.insert(labels.into(), Arc::clone(&value));
        self.series.store(Arc::new(series));
        value
    }

    /// What a new series uses up of a bound on series.
    pub(super) fn weight(&self) -> usize {
        if self.declaration.kind == MetricKind::Summary { SUMMARY_WEIGHT } else { 1 }
    }

    /// What all its series use up.
    pub(super) fn weights(&self) -> usize {
        self.series.load().len() * self.weight()
    }

    /// Adds its series to the family of this name that is being exposed. `owner` is the label in front.
    pub(super) fn gather(&self, owner: &LabelPair, families: &mut BTreeMap<String, MetricFamily>) {
        let series = self.series.load();
        if series.is_empty() {
            return;
        }
        let declaration = &self.declaration;
        let gathered = families.entry(declaration.name.clone()).or_insert_with(|| {
            let mut gathered = MetricFamily::default();
            gathered.set_name(declaration.name.clone());
            gathered.set_help(help(declaration));
            gathered.set_field_type(match declaration.kind {
                MetricKind::Counter => MetricType::COUNTER,
                MetricKind::Gauge => MetricType::GAUGE,
                MetricKind::Histogram => MetricType::HISTOGRAM,
                MetricKind::Summary => MetricType::SUMMARY,
            });
            gathered
        });
        gathered.mut_metric().extend(series.iter().map(|(values, value)| {
            let mut pairs = Vec::with_capacity(values.len() + 1);
            pairs.push(owner.clone());
            pairs.extend(declaration.labels.iter().zip(values.iter()).map(|(name, value)| label(name, value)));
            let mut metric = Metric::from_label(pairs);
            value.gather(bounds(declaration), &mut metric);
            metric
        }));
    }
}

impl Value {
    fn new(declaration: &MetricDeclaration) -> Value {
        match declaration.kind {
            MetricKind::Counter => Value::Counter(AtomicF64::new(0.0)),
            MetricKind::Gauge => Value::Gauge(AtomicF64::new(0.0)),
            MetricKind::Histogram => Value::Histogram(Distribution {
                counts: (0..=bounds(declaration).len()).map(|_| AtomicU64::new(0)).collect(),
                sum: AtomicF64::new(0.0),
            }),
            MetricKind::Summary => Value::Summary(Summary::new()),
        }
    }

    /// Takes a value: adds to a counter, sets a gauge, counts it otherwise. What is not finite is ignored, and so is what would lower a counter.
    ///
    /// True where the value is to be published once all of its kind are taken.
    pub(super) fn record(&self, declaration: &MetricDeclaration, observed: f64) -> bool {
        if !observed.is_finite() {
            return false;
        }
        match self {
            Value::Counter(_) if observed < 0.0 => {}
            Value::Counter(sum) => sum.inc_by(observed),
            Value::Gauge(value) => value.set(observed),
            Value::Histogram(distribution) => {
                let at = bounds(declaration).partition_point(|bound| *bound < observed);
                if let Some(count) = distribution.counts.get(at) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                distribution.sum.inc_by(observed);
            }
            Value::Summary(summary) => return summary.add(observed),
        }
        false
    }

    /// Adds to a gauge; something that is not finite is ignored.
    pub(super) fn raise(&self, by: f64) {
        if let Value::Gauge(value) = self
            && by.is_finite()
        {
            value.inc_by(by);
        }
    }

    /// Makes what was recorded visible, where that is not so at once.
    pub(super) fn publish(&self) {
        if let Value::Summary(summary) = self {
            summary.publish();
        }
    }

    fn gather(&self, bounds: &[f64], metric: &mut Metric) {
        match self {
            Value::Counter(sum) => {
                let mut counter = Counter::default();
                counter.set_value(sum.get());
                metric.set_counter(counter);
            }
            Value::Gauge(value) => {
                let mut gauge = Gauge::default();
                gauge.set_value(value.get());
                metric.set_gauge(gauge);
            }
            Value::Summary(summary) => metric.set_summary(summary.gather()),
            Value::Histogram(distribution) => metric.set_histogram(distribution.gather(bounds)),
        }
    }
}

impl Distribution {
    fn gather(&self, bounds: &[f64]) -> Histogram {
        let mut cumulated = 0_u64;
        let mut sums = self.counts.iter().map(|count| {
            cumulated = cumulated.saturating_add(count.load(Ordering::Relaxed));
            cumulated
        });
        let buckets = bounds.iter().zip(sums.by_ref()).map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let buckets: Vec<Bucket> = buckets.collect();
        let count = sums.last().unwrap_or_default();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(self.sum.get());
        histogram
    }
}

pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Prometheus's linter wants a text.
fn help(declaration: &MetricDeclaration) -> String {
    if declaration.help.trim().is_empty() { "Declared without a description.".to_owned() } else { declaration.help.clone() }
}

/// The upper bounds of a histogram's buckets: none for the other kinds.
fn bounds(declaration: &MetricDeclaration) -> &[f64] {
    match declaration.kind {
        MetricKind::Histogram if declaration.buckets.is_empty() => &DURATION_BUCKETS,
        MetricKind::Histogram => &declaration.buckets,
        _ => &[],
    }
}

/// The names of the samples that a metric exposes.
pub(super) fn samples(declaration: &MetricDeclaration) -> Vec<String> {
    let suffixes: &[&str] = match declaration.kind {
        MetricKind::Counter | MetricKind::Gauge => &[""],
        MetricKind::Summary => &["", "_sum", "_count"],
        MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", declaration.name)).collect()
}

/// What keeps two metrics from standing in one exposition; help and unit do not.
pub(super) fn difference(a: &MetricDeclaration, b: &MetricDeclaration) -> Option<&'static str> {
    if a.name != b.name {
        let theirs = samples(b);
        return samples(a).iter().any(|sample| theirs.contains(sample)).then_some("name that gives the same samples");
    }
    if a.kind != b.kind {
        Some("kind")
    } else if a.labels != b.labels {
        Some("labels")
    } else if bounds(a) != bounds(b) {
        Some("buckets")
    } else {
        None
    }
}

/// Whether series of the one can go on as series of the other.
pub(super) fn same_series(a: &MetricDeclaration, b: &MetricDeclaration) -> bool {
    a.name == b.name && difference(a, b).is_none()
}
