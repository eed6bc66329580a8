//! Metrics of the converter's own.

/// Records one value of a metric that the descriptor declares: adds to a counter, sets a gauge, observes into the others. `labels` are the
/// values in the declared order. What does not fit the declaration is ignored by the host and said in the job's log.
pub fn observe(name: &str, value: f64, labels: &[&str]) {
    #[cfg(target_family = "wasm")]
    crate::guest::observe(name, value, labels);
    #[cfg(not(target_family = "wasm"))]
    crate::testkit::record_observation(name, value, labels);
}
