//! The metrics that converters declare for themselves: for each converter a collector, whose label in front is `converter`. It knows which
//! declarations can stand beside each other and beside the host's own metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus::proto::MetricFamily;

use super::collector::MetricsCollector;
use super::declared::{difference, samples};
use super::families::RESERVED;
use super::names;
use crate::sandbox::{MetricDeclaration, Observation};

/// The label in front of those that a converter declares.
const CONVERTER: &str = "converter";

/// Combinations of label values that one converter may have, over all of its metrics; a summary counts as eight. More are dropped.
const MAX_SERIES: usize = 1_000;

/// Why metrics that are declared cannot be exposed. A plugin that declares them is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsError {
    /// The converter's name is one that the host itself uses as the label `converter`.
    #[error("a converter cannot be called `{0}`: the metrics use that name for conversions that belong to no converter; rename it")]
    ReservedConverter(String),
    /// A name, label or bucket that Prometheus does not take, that its linter complains about, or that the contract does not allow.
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
    /// The same collector has a metric of that name already, and it is another.
    #[error("the metric `{metric}` is declared already, with another {difference}: rename one, or declare both alike")]
    Declared {
        /// The metric's name.
        metric: String,
        /// What is not the same: `kind`, `labels`, `buckets` or `name`.
        difference: &'static str,
    },
}

impl MetricsError {
    pub(super) fn malformed(declaration: &MetricDeclaration, reason: impl Into<String>) -> MetricsError {
        MetricsError::Malformed { metric: declaration.name.chars().take(128).collect(), reason: reason.into() }
    }
}

/// The metrics of all converters.
pub(super) struct CustomMetrics {
    /// Without it, nothing is kept.
    enabled: bool,
    converters: ArcSwap<BTreeMap<String, Converter>>,
    /// Whoever changes the converters has this.
    changing: Mutex<()>,
}

/// The metrics of one converter. They outlive its plugin, so that the last conversions of a version that was replaced or removed count.
#[derive(Clone)]
struct Converter {
    /// The digest of the plugin that is loaded; none when it was unloaded.
    digest: Option<String>,
    metrics: MetricsCollector,
}

impl CustomMetrics {
    pub(super) fn new(enabled: bool) -> CustomMetrics {
        CustomMetrics { enabled, converters: ArcSwap::default(), changing: Mutex::default() }
    }

    /// Takes the declarations of a plugin, in place of those of an earlier version. A metric that is declared as before keeps its values.
    pub(super) fn declare(&self, converter: &str, digest: &str, declarations: &[MetricDeclaration]) -> Result<(), MetricsError> {
        check_declarations(converter, declarations)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut converters = BTreeMap::clone(&self.converters.load());
        let others = || converters.iter().filter(|(other, _)| *other != converter);
        for (other, theirs) in others().filter(|(_, theirs)| theirs.digest.is_some()) {
            for declared in theirs.metrics.declarations() {
                for declaration in declarations {
                    if let Some(difference) = difference(declaration, &declared) {
                        return Err(MetricsError::OtherConverter { metric: declaration.name.clone(), other: other.clone(), difference });
                    }
                }
            }
        }
        // What is left of plugins that are gone gives way.
        for (_, theirs) in others().filter(|(_, theirs)| theirs.digest.is_none()) {
            theirs.metrics.retain(|declared| declarations.iter().all(|declaration| difference(declaration, declared).is_none()));
        }
        let new = || Converter {
            digest: None,
            metrics: if self.enabled { MetricsCollector::owned(CONVERTER, converter, MAX_SERIES) } else { MetricsCollector::default() },
        };
        let entry = converters.entry(converter.to_owned()).or_insert_with(new);
        entry.digest = Some(digest.to_owned());
        entry.metrics.replace(declarations);
        self.converters.store(Arc::new(converters));
        Ok(())
    }

    /// Marks the metrics of a plugin as those of one that is gone, unless another version has taken its place.
    pub(super) fn unload(&self, converter: &str, digest: &str) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut converters = BTreeMap::clone(&self.converters.load());
        if let Some(entry) = converters.get_mut(converter).filter(|entry| entry.digest.as_deref() == Some(digest)) {
            entry.digest = None;
            self.converters.store(Arc::new(converters));
        }
    }

    /// Records what a conversion observed. An observation of a metric that a newer version declares in another way is dropped.
    pub(super) fn record(&self, converter: &str, declarations: &[MetricDeclaration], observations: &[Observation]) {
        if let Some(converter) = self.converters.load().get(converter) {
            converter.metrics.record(declarations, observations);
        }
    }

    /// Everything as the text format's encoder takes it, by name; without families that have no series yet.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let mut families = BTreeMap::new();
        self.converters.load().values().for_each(|converter| converter.metrics.gather(&mut families));
        families.into_values().collect()
    }
}

/// Whether a sample has the name of one of the host's families, or of a part of one of its histograms.
fn is_host_name(sample: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix).filter(|base| base.ends_with("_duration_seconds")));
    RESERVED.contains(&sample) || base.is_some_and(|base| RESERVED.contains(&base))
}

/// Checks what one converter declares, by itself: not against what other converters declare.
///
/// # Errors
/// Why the plugin is to be refused.
pub fn check_declarations(converter: &str, declarations: &[MetricDeclaration]) -> Result<(), MetricsError> {
    let mut taken = BTreeSet::new();
    for declaration in declarations {
        names::check(declaration, CONVERTER).map_err(|reason| MetricsError::malformed(declaration, reason))?;
        for sample in samples(declaration) {
            if is_host_name(&sample) {
                return Err(MetricsError::HostName { converter: converter.to_owned(), metric: declaration.name.clone(), sample });
            }
            if !taken.insert(sample) {
                return Err(MetricsError::malformed(declaration, "another metric of this converter exposes the same name"));
            }
        }
    }
    Ok(())
}
