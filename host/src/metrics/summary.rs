//! A series of a summary: its sum, its count, and quantiles of all values since it began, from a sketch of bounded size.
//!
//! The sketch is a DDSketch: a quantile is off by at most 1 % of its value. Where values lie more than eight orders of magnitude apart, that
//! holds for the greater ones only. Whoever records works out the quantiles too, so that a scrape finds them ready and waits for nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use prometheus::proto;
use sketches_ddsketch::{Config, DDSketch};

/// The quantiles that are exposed.
pub(super) const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// How far a quantile may be off, as a share of its value.
const ACCURACY: f64 = 0.01;
/// The most bins for values above zero, and as many for those below: 8 KiB each. They grow with the range that the values have.
const MAX_BINS: u32 = 1024;
/// Values that are nearer to zero count as zero.
const SMALLEST: f64 = 1e-9;

/// One series.
pub(super) struct Summary {
    sketch: Mutex<Sketch>,
    /// What a scrape reads.
    seen: ArcSwap<Seen>,
}

struct Sketch {
    values: DDSketch,
    count: u64,
    sum: f64,
    /// Whether somebody has taken it on himself to publish.
    unpublished: bool,
}

struct Seen {
    count: u64,
    sum: f64,
    /// NaN before the first value, as Prometheus's own libraries have it.
    quantiles: [f64; QUANTILES.len()],
}

impl Summary {
    pub(super) fn new() -> Summary {
        let values = DDSketch::new(Config::new(ACCURACY, MAX_BINS, SMALLEST));
        Summary {
            sketch: Mutex::new(Sketch { values, count: 0, sum: 0.0, unpublished: false }),
            seen: ArcSwap::from_pointee(Seen { count: 0, sum: 0.0, quantiles: [f64::NAN; QUANTILES.len()] }),
        }
    }

    /// Takes a value, which must be finite. It is visible after [`Summary::publish`], which the caller has to call if this is true; else
    /// somebody else is going to.
    #[must_use]
    pub(super) fn add(&self, value: f64) -> bool {
        let mut sketch = self.lock();
        sketch.values.add(value);
        sketch.count += 1;
        sketch.sum += value;
        !std::mem::replace(&mut sketch.unpublished, true)
    }

    /// Works out what a scrape shows.
    pub(super) fn publish(&self) {
        let mut sketch = self.lock();
        sketch.unpublished = false;
        let (least, most) = (sketch.values.min().unwrap_or(f64::NAN), sketch.values.max().unwrap_or(f64::NAN));
        // An estimate beyond what there was would only confuse.
        let quantile = |q| sketch.values.quantile(q).ok().flatten().map_or(f64::NAN, |value| value.max(least).min(most));
        self.seen.store(Seen { count: sketch.count, sum: sketch.sum, quantiles: QUANTILES.map(quantile) }.into());
    }

    pub(super) fn gather(&self) -> proto::Summary {
        let seen = self.seen.load();
        let mut summary = proto::Summary::default();
        summary.set_sample_count(seen.count);
        summary.set_sample_sum(seen.sum);
        let pairs = QUANTILES.iter().zip(seen.quantiles).map(|(q, value)| {
            let mut quantile = proto::Quantile::default();
            quantile.set_quantile(*q);
            quantile.set_value(value);
            quantile
        });
        summary.set_quantile(pairs.collect());
        summary
    }

    fn lock(&self) -> MutexGuard<'_, Sketch> {
        // At worst a value is missing after a panic.
        self.sketch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Summary {
        let summary = Summary::new();
        values.into_iter().for_each(|value| _ = summary.add(value));
        summary.publish();
        summary
    }

    fn quantiles(summary: &Summary) -> Vec<f64> {
        summary.gather().get_quantile().iter().map(proto::Quantile::value).collect()
    }

    #[test]
    fn quantiles_are_right_to_one_in_a_hundred() {
        for scale in [1e-6, 1.0, 1e12] {
            let summary = of((1..=10_000).map(|n| f64::from(n) * scale));
            for (quantile, exact) in quantiles(&summary).into_iter().zip(QUANTILES.map(|q| q * 10_000.0 * scale)) {
                assert!((quantile / exact - 1.0).abs() < 0.011, "{quantile} for {exact}");
            }
        }
        let summary = of((1..=1000).map(|n| -f64::from(n)));
        assert!((quantiles(&summary)[0] / -500.0 - 1.0).abs() < 0.011);
        assert_eq!(quantiles(&of([7.0])), [7.0; 4]);
        assert_eq!(quantiles(&of([0.0, 0.0])), [0.0; 4]);
    }

    #[test]
    fn nothing_seen_is_no_number() {
        let summary = Summary::new();
        assert!(quantiles(&summary).iter().all(|value| value.is_nan()));
        assert_eq!((summary.gather().sample_count(), summary.gather().sample_sum()), (0, 0.0));
    }

    #[test]
    fn its_size_does_not_follow_its_values() {
        let summary = of((0..600).flat_map(|exponent| {
            let value = 10_f64.powi(exponent - 300);
            [value, -value]
        }));
        assert!(summary.lock().values.length() <= 2 * MAX_BINS as usize);
        assert_eq!(summary.gather().sample_count(), 1200);
        // The greatest are still told apart.
        assert!((quantiles(&of((0..100).map(|n| 10_f64.powi(n))))[3] / 1e98 - 1.0).abs() < 0.02);
    }

    #[test]
    fn one_of_those_who_add_is_to_publish() {
        let summary = Summary::new();
        assert!(summary.add(1.0));
        assert!(!summary.add(2.0));
        assert_eq!(summary.gather().sample_count(), 0);
        summary.publish();
        assert_eq!(summary.gather().sample_count(), 2);
        assert!(summary.add(3.0));
    }
}
