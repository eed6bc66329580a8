//! The metrics that converters declare for themselves. It knows how to check, count and expose them, and nothing of the host's families but
//! their names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Summary};

use super::families::{DURATION_BUCKETS, RESERVED};
use crate::sandbox::{MetricDeclaration, MetricKind, Observation};

/// Combinations of label values that one converter may have, over all of its metrics. More are dropped.
const MAX_SERIES: usize = 1_000;

/// Why the metrics that a converter declares cannot be exposed. The plugin is then refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsError {
    /// The converter's name is one that the host itself uses as the label `converter`.
    #[error("a converter cannot be called `{0}`: the metrics use that name for conversions that belong to no converter; rename it")]
    ReservedConverter(String),
    /// A name that Prometheus does not take, or that the contract does not allow.
    #[error("the metric `{metric}` cannot be declared: {reason}")]
    Malformed {
        /// The metric's name.
        metric: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sample of the metric would have the name of one of the host's.
    #[error(
        "the metric `{metric}` would expose `{sample}`, which is a metric of the host's: rename it, for instance `{converter}_{metric}`"
    )]
    HostName {
        /// The converter's name.
        converter: String,
        /// The metric's name.
        metric: String,
        /// The name that both would expose.
        sample: String,
    },
    /// Another converter declares the same name in another way.
    #[error(
        "the metric `{metric}` is declared by the converter `{other}` too, with another {difference}: rename one, or declare both alike"
    )]
    OtherConverter {
        /// The metric's name.
        metric: String,
        /// The converter that had it first.
        other: String,
        /// What is not the same: `kind`, `labels`, `buckets` or `name`.
        difference: &'static str,
    },
}

/// The metrics of all converters.
#[derive(Default)]
pub(super) struct CustomMetrics {
    converters: Mutex<BTreeMap<String, Converter>>,
}

/// The metrics of one converter. They outlive its plugin, so that the last conversions of a version that was replaced or removed count.
struct Converter {
    /// The digest of the plugin that is loaded; none when it was unloaded.
    digest: Option<String>,
    families: Vec<Family>,
    series: usize,
    /// Whether the log has said that series are dropped.
    overflowed: bool,
}

struct Family {
    declaration: MetricDeclaration,
    /// By the values of the declared labels.
    series: HashMap<Vec<String>, Value>,
}

/// What a series holds.
enum Value {
    Number(f64),
    /// `counts` has one element per bucket, not cumulated; values above the last bound are in `count` alone.
    Distribution {
        counts: Vec<u64>,
        count: u64,
        sum: f64,
    },
}

impl CustomMetrics {
    /// Takes the declarations of a plugin, in place of those of an earlier version. A metric that is declared as before keeps its values.
    pub(super) fn declare(&self, converter: &str, digest: &str, declarations: &[MetricDeclaration]) -> Result<(), MetricsError> {
        check_declarations(converter, declarations)?;
        let mut converters = self.lock();
        for (other, theirs) in converters.iter().filter(|(other, theirs)| *other != converter && theirs.digest.is_some()) {
            for family in &theirs.families {
                for declaration in declarations {
                    if let Some(difference) = difference(declaration, &family.declaration) {
                        return Err(MetricsError::OtherConverter { metric: declaration.name.clone(), other: other.clone(), difference });
                    }
                }
            }
        }
        // What is left of plugins that are gone gives way.
        for (_, theirs) in converters.iter_mut().filter(|(other, theirs)| *other != converter && theirs.digest.is_none()) {
            theirs.retain(|family| declarations.iter().all(|declaration| difference(declaration, &family.declaration).is_none()));
        }
        let entry = converters.entry(converter.to_owned()).or_insert(Converter {
            digest: None,
            families: Vec::new(),
            series: 0,
            overflowed: false,
        });
        entry.digest = Some(digest.to_owned());
        let mut before = std::mem::take(&mut entry.families);
        for declaration in declarations {
            let kept = before.iter().position(|family| same_series(&family.declaration, declaration)).map(|at| before.swap_remove(at));
            let mut series = kept.map(|family| family.series).unwrap_or_default();
            if declaration.labels.is_empty() {
                series.entry(Vec::new()).or_insert_with(|| Value::new(declaration));
            }
            entry.families.push(Family { declaration: declaration.clone(), series });
        }
        entry.retain(|_| true);
        Ok(())
    }

    /// Marks the metrics of a plugin as those of one that is gone, unless another version has taken its place.
    pub(super) fn unload(&self, converter: &str, digest: &str) {
        if let Some(entry) = self.lock().get_mut(converter).filter(|entry| entry.digest.as_deref() == Some(digest)) {
            entry.digest = None;
        }
    }

    /// Records what a conversion observed. An observation of a metric that a newer version declares in another way is dropped.
    pub(super) fn record(&self, converter: &str, declarations: &[MetricDeclaration], observations: &[Observation]) {
        if observations.is_empty() {
            return;
        }
        let mut converters = self.lock();
        let Some(entry) = converters.get_mut(converter) else { return };
        for observation in observations {
            let Some(declaration) = declarations.get(observation.metric) else { continue };
            let Some(family) = entry.families.iter_mut().find(|family| same_series(&family.declaration, declaration)) else { continue };
            if observation.labels.len() != declaration.labels.len() {
                continue;
            }
            if let Some(value) = family.series.get_mut(&observation.labels) {
                value.record(declaration, observation.value);
            } else if entry.series < MAX_SERIES {
                let mut value = Value::new(declaration);
                value.record(declaration, observation.value);
                family.series.insert(observation.labels.clone(), value);
                entry.series += 1;
            } else if !entry.overflowed {
                entry.overflowed = true;
                tracing::warn!(
                    converter,
                    metric = declaration.name,
                    "The converter has {MAX_SERIES} series of its own metrics, the most that are kept; observations with new label values are dropped"
                );
            }
        }
    }

    /// Everything as the text format's encoder takes it, by name; without families that have no series yet.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        for (converter, entry) in self.lock().iter() {
            for family in entry.families.iter().filter(|family| !family.series.is_empty()) {
                let declaration = &family.declaration;
                let gathered = families.entry(declaration.name.clone()).or_insert_with(|| {
                    let mut gathered = MetricFamily::default();
                    gathered.set_name(declaration.name.clone());
                    gathered.set_help(declaration.help.clone());
                    gathered.set_field_type(match declaration.kind {
                        MetricKind::Counter => MetricType::COUNTER,
                        MetricKind::Gauge => MetricType::GAUGE,
                        MetricKind::Histogram => MetricType::HISTOGRAM,
                        MetricKind::Summary => MetricType::SUMMARY,
                    });
                    gathered
                });
                let mut series: Vec<_> = family.series.iter().collect();
                series.sort_by_key(|(labels, _)| *labels);
                gathered.mut_metric().extend(series.into_iter().map(|(labels, value)| value.gather(converter, declaration, labels)));
            }
        }
        families.into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Converter>> {
        // Nothing here leaves the map half changed when it panics: at worst an observation is missing.
        self.converters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Converter {
    fn retain(&mut self, keep: impl Fn(&Family) -> bool) {
        self.families.retain(keep);
        self.series = self.families.iter().map(|family| family.series.len()).sum();
    }
}

impl Value {
    fn new(declaration: &MetricDeclaration) -> Value {
        match declaration.kind {
            MetricKind::Counter | MetricKind::Gauge => Value::Number(0.0),
            MetricKind::Histogram => Value::Distribution { counts: vec![0; bounds(declaration).len()], count: 0, sum: 0.0 },
            MetricKind::Summary => Value::Distribution { counts: Vec::new(), count: 0, sum: 0.0 },
        }
    }

    fn record(&mut self, declaration: &MetricDeclaration, observed: f64) {
        match self {
            Value::Number(number) if declaration.kind == MetricKind::Counter => *number += observed,
            Value::Number(number) => *number = observed,
            Value::Distribution { counts, count, sum } => {
                if let Some(bucket) = bounds(declaration).iter().zip(counts).find_map(|(bound, n)| (observed <= *bound).then_some(n)) {
                    *bucket += 1;
                }
                *count += 1;
                *sum += observed;
            }
        }
    }

    fn gather(&self, converter: &str, declaration: &MetricDeclaration, labels: &[String]) -> Metric {
        let mut pairs = vec![label("converter", converter)];
        pairs.extend(declaration.labels.iter().zip(labels).map(|(name, value)| label(name, value)));
        let mut metric = Metric::from_label(pairs);
        match self {
            Value::Number(number) if declaration.kind == MetricKind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(*number);
                metric.set_counter(counter);
            }
            Value::Number(number) => {
                let mut gauge = Gauge::default();
                gauge.set_value(*number);
                metric.set_gauge(gauge);
            }
            Value::Distribution { count, sum, .. } if declaration.kind == MetricKind::Summary => {
                let mut summary = Summary::default();
                summary.set_sample_count(*count);
                summary.set_sample_sum(*sum);
                metric.set_summary(summary);
            }
            Value::Distribution { counts, count, sum } => {
                let mut histogram = Histogram::default();
                histogram.set_sample_count(*count);
                histogram.set_sample_sum(*sum);
                let mut cumulated = 0;
                histogram.set_bucket(
                    bounds(declaration)
                        .iter()
                        .zip(counts)
                        .map(|(bound, n)| {
                            cumulated += n;
                            let mut bucket = Bucket::default();
                            bucket.set_upper_bound(*bound);
                            bucket.set_cumulative_count(cumulated);
                            bucket
                        })
                        .collect(),
                );
                metric.set_histogram(histogram);
            }
        }
        metric
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
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
fn samples(declaration: &MetricDeclaration) -> Vec<String> {
    let suffixes: &[&str] = match declaration.kind {
        MetricKind::Counter | MetricKind::Gauge => &[""],
        MetricKind::Summary => &["", "_sum", "_count"],
        MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", declaration.name)).collect()
}

/// Whether a sample has the name of one of the host's families, or of a part of one of its histograms.
fn is_host_name(sample: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix).filter(|base| base.ends_with("_duration_seconds")));
    RESERVED.contains(&sample) || base.is_some_and(|base| RESERVED.contains(&base))
}

/// What keeps two converters' metrics from standing in one exposition; help and unit do not.
fn difference(a: &MetricDeclaration, b: &MetricDeclaration) -> Option<&'static str> {
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
fn same_series(a: &MetricDeclaration, b: &MetricDeclaration) -> bool {
    a.name == b.name && difference(a, b).is_none()
}

fn malformed(declaration: &MetricDeclaration, reason: &str) -> MetricsError {
    MetricsError::Malformed { metric: declaration.name.chars().take(128).collect(), reason: reason.to_owned() }
}

/// Checks what one converter declares, by itself: not against what other converters declare.
///
/// # Errors
/// Why the plugin is to be refused.
pub fn check_declarations(converter: &str, declarations: &[MetricDeclaration]) -> Result<(), MetricsError> {
    let mut names = BTreeSet::new();
    for declaration in declarations {
        check(converter, declaration)?;
        for sample in samples(declaration) {
            if !names.insert(sample) {
                return Err(malformed(declaration, "another metric of this converter exposes the same name"));
            }
        }
    }
    Ok(())
}

/// Checks what the exposition depends on: names and buckets as the contract has them.
fn check(converter: &str, declaration: &MetricDeclaration) -> Result<(), MetricsError> {
    if !is_name(&declaration.name) {
        return Err(malformed(declaration, "a name is of letters, digits and `_`, does not start with a digit, and has at most 128 bytes"));
    }
    if declaration.kind == MetricKind::Counter && !declaration.name.ends_with("_total") {
        return Err(malformed(declaration, "a counter's name ends in `_total`"));
    }
    let mut seen = BTreeSet::new();
    for label in &declaration.labels {
        if !is_name(label) || label.starts_with("__") || matches!(label.as_str(), "converter" | "le" | "quantile") {
            return Err(malformed(declaration, &format!("`{}` cannot be a label", label.escape_debug())));
        }
        if !seen.insert(label) {
            return Err(malformed(declaration, &format!("the label `{label}` is there twice")));
        }
    }
    let ascending = declaration.buckets.is_sorted_by(|a, b| a < b);
    if declaration.kind == MetricKind::Histogram && !(ascending && declaration.buckets.iter().all(|bound| bound.is_finite())) {
        return Err(malformed(declaration, "the bounds of its buckets are finite and ascend"));
    }
    if let Some(sample) = samples(declaration).into_iter().find(|sample| is_host_name(sample)) {
        return Err(MetricsError::HostName { converter: converter.to_owned(), metric: declaration.name.clone(), sample });
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
