//! The short JSON form of the metrics.

use serde::Serialize;
use utoipa::ToSchema;

/// What `/metrics` answers where metrics are switched off.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JsonForm {
    /// The cache `http_response`.
    pub cache: CacheForm,
    /// The queue `converter_queue`.
    pub queue: QueueForm,
}

/// A cache in [`JsonForm`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CacheForm {
    /// Whether there is a cache at work.
    pub enabled: bool,
    /// Entries.
    pub size: u64,
    /// The most entries that it holds.
    pub max_size: u64,
    /// `hits` / `total_requests`; 0 before the first request.
    pub hit_rate: f64,
    /// `hits` + `misses`.
    pub total_requests: u64,
    /// Requests that it answered.
    pub hits: u64,
    /// Requests that it could not answer.
    pub misses: u64,
    /// Entries that gave way to others.
    pub evictions: u64,
}

/// A queue in [`JsonForm`].
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueueForm {
    /// Items that are due and unclaimed.
    pub size: i64,
    /// Workers that have an item in hand.
    pub active_workers: i64,
    /// Items settled since start.
    pub total_processed: u64,
}
