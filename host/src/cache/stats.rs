//! What an operator is told of a cache.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::metrics::CacheMetrics;

/// How a cache is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CacheStats {
    /// Its name, as in metrics.
    pub name: String,
    /// Entries.
    pub entries: u64,
    /// The most entries that it holds.
    pub max_entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// The most bytes that they may take.
    pub max_bytes: u64,
    /// Questions since start that it answered.
    pub hits: u64,
    /// Questions since start that it could not answer.
    pub misses: u64,
    /// Entries since start that gave way to others, or were too old.
    pub evictions: u64,
    /// `hits` / (`hits` + `misses`); 0 before the first question.
    pub hit_rate: f64,
}

impl CacheStats {
    pub(super) fn new(name: &str, metrics: &CacheMetrics, max_entries: u64, max_bytes: u64) -> CacheStats {
        let counted = metrics.counted();
        CacheStats {
            name: name.to_owned(),
            entries: counted.size,
            max_entries,
            bytes: metrics.bytes(),
            max_bytes,
            hits: counted.hits,
            misses: counted.misses,
            evictions: counted.evictions,
            hit_rate: counted.hit_rate,
        }
    }
}
