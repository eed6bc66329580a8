//! The contract's `metrics`: observations, checked against the converter's declarations.

use std::collections::HashMap;

use super::bindings::dropforge::converter::metrics::Host;
use super::state::State;
use super::text::cut;
use super::types::{MetricDeclaration, MetricKind, Observation};

const MAX_LABEL: usize = 128;
/// Values of histograms and summaries that one conversion may record; counters and gauges are folded into one value for each series.
const MAX_OBSERVATIONS: usize = 10_000;

/// What one call observed.
pub struct Observed {
    declarations: Vec<MetricDeclaration>,
    /// The most series.
    limit: usize,
    /// For each metric and its label values: where its value is in `observations`, if it is folded.
    series: HashMap<(usize, Vec<String>), usize>,
    observations: Vec<Observation>,
    ignored: u64,
    /// Why the first observation was ignored.
    first_reason: Option<String>,
}

impl Observed {
    /// Nothing yet, for a converter with these declarations. At most `limit` series are kept, of all its metrics together.
    pub fn new(declarations: Vec<MetricDeclaration>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Observed { declarations, limit, series: HashMap::new(), observations: Vec::new(), ignored: 0, first_reason: None }
    }

    /// Takes one value, or counts it as ignored.
    pub fn observe(&mut self, name: &str, value: f64, labels: Vec<String>) {
        if let Err(reason) = self.record(name, value, labels) {
            self.ignored += 1;
            self.first_reason.get_or_insert_with(|| format!("`{}` {reason}", cut(name.to_owned(), MAX_LABEL)));
        }
    }

    /// One sentence about what was ignored, if anything was.
    pub fn complaint(&self) -> Option<String> {
        let reason = self.first_reason.as_ref()?;
        Some(format!("{} metric observations were ignored; the first: {reason}", self.ignored))
    }

    /// What counts.
    pub fn into_observations(self) -> Vec<Observation> {
        self.observations
    }

    fn record(&mut self, name: &str, value: f64, labels: Vec<String>) -> Result<(), String> {
        let found = self.declarations.iter().enumerate().find(|(_, declaration)| declaration.name == name);
        let Some((metric, declaration)) = found else { return Err("is not declared in the descriptor".to_owned()) };
        let kind = declaration.kind;
        if labels.len() != declaration.labels.len() {
            return Err(format!("has {} labels, and {} values were given", declaration.labels.len(), labels.len()));
        }
        if !value.is_finite() {
            return Err(format!("was given {value}"));
        }
        if kind == MetricKind::Counter && value < 0.0 {
            return Err(format!("is a counter, and {value} would lower it"));
        }
        let labels: Vec<String> = labels.into_iter().map(|label| cut(label, MAX_LABEL)).collect();
        let folded = matches!(kind, MetricKind::Counter | MetricKind::Gauge);
        let series = (metric, labels);
        let known = self.series.get(&series).copied();
        if folded && let Some(observation) = known.and_then(|index| self.observations.get_mut(index)) {
            observation.value = if kind == MetricKind::Counter { observation.value + value } else { value };
            return Ok(());
        }
        if known.is_none() && self.series.len() >= self.limit {
            return Err(format!("would be one more than {} series in this conversion, its limit `metric_series`", self.limit));
        }
        if self.observations.len() >= MAX_OBSERVATIONS {
            return Err(format!("would be one more than {MAX_OBSERVATIONS} observations in this conversion"));
        }
        self.observations.push(Observation { metric, value, labels: series.1.clone() });
        self.series.entry(series).or_insert(self.observations.len() - 1);
        Ok(())
    }
}

impl Host for State {
    fn observe(&mut self, name: String, value: f64, labels: Vec<String>) -> wasmtime::Result<()> {
        self.deadline.check()?;
        self.observed.observe(&name, value, labels);
        Ok(())
    }
}
