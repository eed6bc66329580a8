//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Gauge, IntCounter, IntGauge};

use super::CacheForm;

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
    pub(super) max_entries: u64,
    /// Held while a question is counted, so that the rate is that of the last one.
    pub(super) counting: Arc<Mutex<()>>,
}

impl CacheMetrics {
    /// A question that the cache answered.
    pub fn hit(&self) {
        self.count(&self.hits);
    }

    /// A question that it could not answer.
    pub fn miss(&self) {
        self.count(&self.misses);
    }

    fn count(&self, counter: &IntCounter) {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        counter.inc();
        let (hits, misses) = (self.hits.get() as f64, self.misses.get() as f64);
        self.hit_rate.set(hits / (hits + misses));
    }

    /// Entries that gave way to others or were too old; for a cache that says what it holds by [`CacheMetrics::holds`].
    pub fn evicted(&self, entries: u64) {
        self.evictions.inc_by(entries);
    }

    /// What there is now: entries, and their bytes.
    pub fn holds(&self, entries: u64, bytes: u64) {
        self.entries(entries);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.set_size(bytes);
    }

    /// What the entries take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was counted.
    pub fn counted(&self) -> CacheForm {
        CacheForm {
            enabled: true,
            size: self.entries.get().cast_unsigned(),
            max_size: self.max_entries,
            hit_rate: self.hit_rate.get(),
            total_requests: self.hits.get() + self.misses.get(),
            hits: self.hits.get(),
            misses: self.misses.get(),
            evictions: self.evictions.get(),
        }
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
