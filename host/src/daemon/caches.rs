//! The caches as the API sees them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cache::responses::ResponseCache;
use crate::cache::{CacheStats, ResultCache};
use crate::config::path_pattern;
use crate::server::{Caches, Declined};

/// The caches that are switched on.
pub(super) struct DaemonCaches {
    pub responses: Option<Arc<ResponseCache>>,
    pub conversions: Option<Arc<ResultCache>>,
}

impl DaemonCaches {
    fn all(&self) -> Vec<CacheStats> {
        let responses = self.responses.iter().map(|cache| cache.stats());
        responses.chain(self.conversions.iter().map(|cache| cache.stats())).collect()
    }
}

impl Caches for DaemonCaches {
    fn stats(&self) -> Value {
        json!(self.all())
    }

    fn clear(&self, name: Option<&str>) -> Result<u64, Declined> {
        let (mut known, mut removed) = (name.is_none(), 0);
        if let Some(cache) = self.responses.as_ref().filter(|_| name.is_none_or(|name| name == ResponseCache::NAME)) {
            (known, removed) = (true, removed + cache.clear());
        }
        if let Some(cache) = self.conversions.as_ref().filter(|_| name.is_none_or(|name| name == ResultCache::NAME)) {
            (known, removed) = (true, removed + cache.clear());
        }
        if !known {
            let names: Vec<String> = self.all().into_iter().map(|cache| format!("`{}`", cache.name)).collect();
            let name = name.unwrap_or_default();
            let there_are = if names.is_empty() { "all are switched off".to_owned() } else { format!("there is {}", names.join(" and ")) };
            return Err(Declined::BadRequest(format!("No cache {name:?} is at work; {there_are}.")));
        }
        tracing::info!(cache = name.unwrap_or("all"), removed, "a cache was emptied");
        Ok(removed)
    }

    fn invalidate(&self, pattern: &str) -> Result<u64, Declined> {
        let glob = path_pattern(pattern).map_err(|reason| Declined::BadRequest(format!("{reason}.")))?;
        let Some(cache) = &self.responses else {
            return Err(Declined::BadRequest("No answers of the upstream server are kept: `enable_cache` is false.".to_owned()));
        };
        let removed = cache.invalidate(&glob.compile_matcher());
        tracing::info!(pattern, removed, "answers of the upstream server were forgotten");
        Ok(removed)
    }
}
