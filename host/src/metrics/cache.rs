//! What a cache counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{Gauge, IntCounter, IntGauge};

/// The metrics of one cache.
#[derive(Clone)]
pub struct CacheMetrics {
    pub(super) hits: IntCounter,
    pub(super) misses: IntCounter,
    pub(super) evictions: IntCounter,
    pub(super) entries: IntGauge,
    pub(super) size: IntGauge,
    pub(super) hit_rate: Gauge,
    pub(super) bytes: Arc<AtomicU64>,
}

impl CacheMetrics {
    /// A question that the cache answered.
    pub fn hit(&self) {
        self.hits.inc();
        self.rate();
    }

    /// A question that it could not answer.
    pub fn miss(&self) {
        self.misses.inc();
        self.rate();
    }

    fn rate(&self) {
        let (hits, misses) = (self.hits.get() as f64, self.misses.get() as f64);
        self.hit_rate.set(hits / (hits + misses));
    }

    /// An entry came.
    pub fn added(&self, bytes: u64) {
        self.set_size(self.bytes.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes));
    }

    /// An entry went; `evicted` where it gave way to others or was too old, not where a newer one has its key.
    pub fn removed(&self, bytes: u64, evicted: bool) {
        if evicted {
            self.evictions.inc();
        }
        self.set_size(self.bytes.fetch_sub(bytes, Ordering::Relaxed).wrapping_sub(bytes));
    }

    /// How many entries there are.
    pub fn entries(&self, entries: u64) {
        self.entries.set(entries.cast_signed());
    }

    fn set_size(&self, bytes: u64) {
        self.size.set(bytes.cast_signed());
    }
}
