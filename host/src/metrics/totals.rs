//! The counters as a person is shown them: sums since the start, by what they are about.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::proto::Metric;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Metrics, QueueName};

/// Sums since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// By converter; `none` has the files that nobody took.
    pub converters: BTreeMap<String, ConverterTotals>,
    /// Files seen, by route and result.
    pub routes: BTreeMap<String, BTreeMap<String, u64>>,
    /// By destination.
    pub destinations: BTreeMap<String, DestinationTotals>,
    /// Workers that there are.
    pub workers: u64,
    /// Workers that have a file in hand.
    pub active_workers: u64,
}

/// What a converter has done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConverterTotals {
    /// Conversions by status.
    pub conversions: BTreeMap<String, u64>,
    /// Those that ran, and were not answered from the cache.
    pub runs: u64,
    /// The time that they took, in seconds.
    pub seconds: f64,
}

/// What a destination was given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationTotals {
    /// Documents by status, one for each attempt.
    pub documents: BTreeMap<String, u64>,
    /// It is left alone for a while, because it failed several times.
    pub is_down: bool,
}

impl Metrics {
    /// The sums of this moment. It takes no lock that a worker holds.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for_each(&self.families.conversions, |metric| {
            let converter = totals.converters.entry(label(metric, "converter")).or_default();
            converter.conversions.insert(label(metric, "status"), counted(metric));
        });
        for_each(&self.families.conversion_duration, |metric| {
            let converter = totals.converters.entry(label(metric, "converter")).or_default();
            converter.runs = metric.get_histogram().get_sample_count();
            converter.seconds = metric.get_histogram().get_sample_sum();
        });
        for_each(&self.families.intake_files, |metric| {
            totals.routes.entry(label(metric, "route")).or_default().insert(label(metric, "result"), counted(metric));
        });
        for_each(&self.families.delivery_documents, |metric| {
            let destination = totals.destinations.entry(label(metric, "destination")).or_default();
            destination.documents.insert(label(metric, "status"), counted(metric));
        });
        for name in self.destinations_down() {
            totals.destinations.entry(name).or_default().is_down = true;
        }
        let queue = [QueueName::Converter.as_str()];
        let count = |gauge: i64| u64::try_from(gauge).unwrap_or_default();
        totals.workers = count(self.families.queue_workers.with_label_values(&queue).get());
        totals.active_workers = count(self.families.queue_active_workers.with_label_values(&queue).get());
        totals
    }
}

fn for_each(family: &impl Collector, mut each: impl FnMut(&Metric)) {
    family.collect().iter().flat_map(|family| family.get_metric()).for_each(&mut each);
}

fn label(metric: &Metric, name: &str) -> String {
    metric.get_label().iter().find(|label| label.name() == name).map(|label| label.value().to_owned()).unwrap_or_default()
}

/// Counters of whole numbers are floats to Prometheus.
fn counted(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}
