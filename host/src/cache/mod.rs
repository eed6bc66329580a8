//! What was made or asked for before: results of conversions, and in [`responses`] answers of servers.
//!
//! A conversion's result: what a converter made of the same input before is not made again. This knows neither queue nor folders; whether a
//! conversion may be cached at all, its caller knows.

mod keep;
mod key;
mod stats;
mod stored;

pub mod responses;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

pub use key::Question;
pub use stats::CacheStats;
pub use stored::Held;

use crate::config::ResultCacheConfig;
use crate::metrics::{CacheMetrics, Metrics};
use crate::sandbox::{Asked, Conversion, DocumentSink};
use keep::Kept;
use key::Key;
use stored::Stored;

/// What converters asked for of inputs of the same bytes differs seldom; sets beyond these are not remembered.
const MAX_ASKED: usize = 8;

/// Results of conversions, by everything that could have had an influence on them.
pub struct ResultCache {
    results: Cache<Key, Arc<Stored>>,
    /// By what is known before a conversion: what earlier ones asked for besides. It says which keys to look under.
    asked: Cache<Key, Arc<Vec<Asked>>>,
    /// Conversions that run, so that equal ones wait for them.
    flights: Mutex<HashSet<Key>>,
    landed: Condvar,
    folder: PathBuf,
    max_entries: u64,
    max_bytes: u64,
    metrics: CacheMetrics,
}

/// What the cache says.
pub enum Answer<'a> {
    /// What was made before.
    Known(Held),
    /// Nothing; the caller converts, while others that ask the same wait.
    Unknown(Flight<'a>),
}

/// A conversion that others may be waiting for, until this is dropped.
pub struct Flight<'a> {
    cache: &'a ResultCache,
    base: Key,
    waiting: Key,
    kept: Kept,
}

impl ResultCache {
    /// Its name in metrics and commands.
    pub const NAME: &str = "conversion";

    /// An empty cache, which keeps large documents in `folder`; none where it is switched off.
    ///
    /// # Errors
    /// Where the folder cannot be emptied or made.
    pub fn new(config: &ResultCacheConfig, folder: PathBuf, metrics: &Metrics) -> io::Result<Option<ResultCache>> {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if !config.enabled {
            return Ok(None);
        }
        std::fs::create_dir_all(&folder)?;
        let metrics = metrics.cache(Self::NAME, config.max_entries);
        let on_removal = metrics.clone();
        // Every entry weighs as much as its share, so that neither bound is exceeded.
        let share = u32::try_from(config.max_bytes / config.max_entries.max(1)).unwrap_or(u32::MAX).max(1);
        let weigh = move |_: &Key, stored: &Arc<Stored>| u32::try_from(stored.bytes()).unwrap_or(u32::MAX).max(share);
        let results = Cache::builder()
            .max_capacity(config.max_bytes)
            .weigher(weigh)
            .time_to_live(Duration::from_secs_f64(config.ttl_seconds))
            .eviction_listener(move |_, stored: Arc<Stored>, cause| {
                stored.give_up();
                on_removal.removed(stored.bytes(), cause.was_evicted());
            })
            .build();
        let asked = Cache::builder().max_capacity(config.max_entries).time_to_live(Duration::from_secs_f64(config.ttl_seconds)).build();
        let (flights, landed, max_entries, max_bytes) = (Mutex::default(), Condvar::new(), config.max_entries, config.max_bytes);
        Ok(Some(ResultCache { results, asked, flights, landed, folder, max_entries, max_bytes, metrics }))
    }

    /// Looks for a result. Where an equal conversion runs at this moment, waits for it first.
    pub fn ask(&self, question: &Question<'_>) -> Answer<'_> {
        let base = question.base();
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let asked = self.asked.get(&base);
            let keys: Vec<Key> = asked.iter().flat_map(|sets| sets.iter()).filter_map(|set| question.key(set)).collect();
            if let Some(stored) = keys.iter().find_map(|key| self.results.get(key)?.hold()) {
                self.metrics.hit();
                return Answer::Known(stored);
            }
            // Before it is known what such a conversion asks for, any of the same bytes may turn out to be equal.
            let waiting = keys.last().copied().unwrap_or(base);
            if flights.insert(waiting) {
                self.metrics.miss();
                return Answer::Unknown(Flight { cache: self, base, waiting, kept: Kept::default() });
            }
            flights = self.landed.wait(flights).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Forgets every result that is there; how many that were. Conversions that run are remembered when they end.
    pub fn clear(&self) -> u64 {
        let keys: Vec<Key> = self.results.iter().map(|(key, _)| *key).collect();
        keys.iter().map(|key| u64::from(self.results.remove(key).is_some())).sum()
    }

    /// How it is doing.
    pub fn stats(&self) -> CacheStats {
        self.report();
        CacheStats::new(Self::NAME, &self.metrics, self.max_entries, self.max_bytes)
    }

    /// Brings the metrics of its size up to date.
    pub fn report(&self) {
        self.results.run_pending_tasks();
        self.metrics.entries(self.results.entry_count());
    }
}

impl Flight<'_> {
    /// The sink that the conversion is to use for `sink`: what it writes need not be read again if it is small.
    pub fn keep(&self, sink: Box<dyn DocumentSink>) -> Box<dyn DocumentSink> {
        self.kept.beside(sink)
    }

    /// Remembers what a conversion made. Its documents are where `document` says. What cannot be kept is not: a cache loses nothing.
    pub fn land(self, question: &Question<'_>, conversion: &Conversion, document: impl Fn(u32) -> PathBuf) {
        let Some(key) = question.key(&conversion.asked) else { return };
        let folder: &Path = &self.cache.folder;
        match Stored::new(conversion, &self.kept, &folder.join(key.to_string()), document) {
            Ok(stored) => {
                let mut asked = self.cache.asked.get(&self.base).map(|sets| sets.to_vec()).unwrap_or_default();
                if !asked.contains(&conversion.asked) && asked.len() < MAX_ASKED {
                    asked.push(conversion.asked.clone());
                    self.cache.asked.insert(self.base, Arc::new(asked));
                }
                self.cache.metrics.added(stored.bytes());
                self.cache.results.insert(key, Arc::new(stored));
            }
            Err(error) => tracing::debug!(%error, "a result is not cached"),
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.cache.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.waiting);
        self.cache.landed.notify_all();
    }
}

#[cfg(test)]
mod tests;
