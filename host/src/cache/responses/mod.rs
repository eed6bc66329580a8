//! The cache of answers to GET requests. It knows what the rules of HTTP say of keeping them, and neither sends anything nor knows who asks.
//!
//! Everything is under one lock, which is held for look-ups in memory only; who asks for what is being asked for at this moment waits for
//! that without it.

mod freshness;
mod key;
mod moment;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use globset::GlobMatcher;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;

pub use key::{Key, Resource};

use super::CacheStats;
use crate::config::Config;
use crate::metrics::{CacheMetrics, Metrics};
use freshness::Freshness;
use moment::Moment;
use store::Store;

/// What an answer takes besides its text and headers, roughly; in bytes.
const OVERHEAD: u64 = 512;

/// Answers of servers.
pub struct ResponseCache {
    state: Mutex<State>,
    ttl: Duration,
    max_entries: u64,
    max_bytes: u64,
    /// The path of the configured server's address: what operators name begins behind it.
    base: String,
    metrics: CacheMetrics,
}

struct State {
    store: Store,
    /// Requests that are under way, whose answer others may wait for.
    flights: HashMap<Key, Arc<Landing>>,
}

/// Where the answer to a request will be said.
struct Landing {
    resource: Resource,
    landed: watch::Sender<Landed>,
}

#[derive(Clone)]
enum Landed {
    UnderWay,
    /// Others may use it.
    Kept(Arc<Kept>),
    /// It is not for others.
    Nothing,
}

/// An answer that is kept.
pub struct Kept {
    /// The code.
    pub status: u16,
    /// What kind of thing it says.
    pub media_type: String,
    /// What it says, all of it.
    pub body: Bytes,
    rules: HeaderMap,
    freshness: Freshness,
    asked: Moment,
    resource: Resource,
    /// What it takes, in bytes.
    size: u64,
}

/// What the cache says to a request.
pub enum Answer<'a> {
    /// What was answered before, and still holds.
    Fresh(Arc<Kept>),
    /// Somebody else is asking the same at this moment.
    UnderWay(Waiting),
    /// The server has to be asked, while others that ask the same wait.
    Unknown(Flight<'a>),
}

/// The wait for somebody else's answer.
pub struct Waiting(watch::Receiver<Landed>);

/// A request that others may be waiting for, until this is dropped.
pub struct Flight<'a> {
    cache: &'a ResponseCache,
    key: Key,
    landing: Arc<Landing>,
    /// What was answered before, and may hold no more.
    stale: Option<Arc<Kept>>,
    began: Moment,
}

impl ResponseCache {
    /// Its name in metrics and commands.
    pub const NAME: &str = "http_response";

    /// An empty cache; none where it is switched off.
    pub fn new(config: &Config, metrics: &Metrics) -> Option<ResponseCache> {
        if !config.enable_cache {
            return None;
        }
        let url = config.upstream.as_ref().and_then(|upstream| reqwest::Url::parse(&upstream.url).ok());
        Some(ResponseCache {
            state: Mutex::new(State { store: Store::new(config.cache_max_size, config.cache_max_bytes), flights: HashMap::new() }),
            ttl: Duration::try_from_secs_f64(config.cache_ttl_seconds).unwrap_or_default(),
            max_entries: config.cache_max_size,
            max_bytes: config.cache_max_bytes,
            base: url.map(|url| Resource::of(&url).path().trim_end_matches('/').to_owned()).unwrap_or_default(),
            metrics: metrics.cache(Self::NAME, config.cache_max_size),
        })
    }

    /// Looks for the answer to a request. The caller counts what comes of it.
    pub fn ask(&self, key: Key, resource: Resource) -> Answer<'_> {
        let mut state = self.lock();
        let now = Moment::now();
        let known = state.store.get(&key);
        if let Some(kept) = known.as_ref().filter(|kept| kept.is_fresh(now)) {
            return Answer::Fresh(Arc::clone(kept));
        }
        if let Some(landing) = state.flights.get(&key) {
            return Answer::UnderWay(Waiting(landing.landed.subscribe()));
        }
        let landing = Arc::new(Landing { resource, landed: watch::Sender::new(Landed::UnderWay) });
        state.flights.insert(key, Arc::clone(&landing));
        Answer::Unknown(Flight { cache: self, key, landing, stale: known.filter(|kept| kept.is_of_use(now)), began: now })
    }

    /// Counts a request that was answered from here.
    pub fn hit(&self, resource: &Resource, how: &'static str) {
        tracing::debug!(path = self.shown(resource), how, "HTTP cache: hit");
        self.metrics.hit();
    }

    /// Counts a request that was not.
    pub fn miss(&self, resource: &Resource) {
        tracing::debug!(path = self.shown(resource), "HTTP cache: miss");
        self.metrics.miss();
    }

    /// Something was written there: what is known of it, and what is being asked of it at this moment, holds no more.
    pub fn written(&self, resource: &Resource) {
        let mut state = self.lock();
        state.flights.retain(|_, landing| landing.resource != *resource);
        let removed = state.store.remove_resource(resource);
        self.changed(&state.store);
        drop(state);
        if removed > 0 {
            tracing::debug!(path = self.shown(resource), removed, "HTTP cache: written to, so forgotten");
        }
    }

    /// Forgets what is known of the paths that a pattern matches, below the address of the configured server; the number of answers.
    pub fn invalidate(&self, pattern: &GlobMatcher) -> u64 {
        self.forget(|resource| pattern.is_match(self.shown(resource)))
    }

    /// Forgets everything; the number of answers.
    pub fn clear(&self) -> u64 {
        self.forget(|_| true)
    }

    fn forget(&self, which: impl Fn(&Resource) -> bool) -> u64 {
        let mut state = self.lock();
        state.flights.retain(|_, landing| !which(&landing.resource));
        let removed = state.store.remove_where(|kept| which(&kept.resource));
        self.changed(&state.store);
        removed
    }

    /// Lets go of what is of no use any more, and brings the metrics up to date.
    pub fn report(&self) {
        let now = Moment::now();
        let mut state = self.lock();
        let gone = state.store.remove_where(|kept| !kept.is_of_use(now));
        self.metrics.evicted(gone);
        self.changed(&state.store);
    }

    /// How it is doing.
    pub fn stats(&self) -> CacheStats {
        self.report();
        CacheStats::new(Self::NAME, &self.metrics, self.max_entries, self.max_bytes)
    }

    /// The path as operators write it.
    fn shown<'a>(&self, resource: &'a Resource) -> &'a str {
        resource.path().strip_prefix(&self.base).filter(|path| path.starts_with('/')).unwrap_or(resource.path())
    }

    fn changed(&self, store: &Store) {
        self.metrics.holds(store.len(), store.bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn new(flight: &Flight<'_>, status: u16, media_type: String, rules: HeaderMap, freshness: Freshness, body: Bytes) -> Kept {
        let resource = flight.landing.resource.clone();
        let headers: usize = rules.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let size = body.len() + headers + media_type.len() + resource.path.len() + resource.origin.len();
        Kept { status, media_type, body, rules, freshness, asked: flight.began, resource, size: size as u64 + OVERHEAD }
    }

    fn is_fresh(&self, now: Moment) -> bool {
        now.since(self.asked) < self.freshness.fresh
    }

    /// Whether it can still be confirmed, or used while the server fails.
    fn is_of_use(&self, now: Moment) -> bool {
        now.since(self.asked) < self.freshness.fresh + self.freshness.if_error.max(self.freshness.confirmable)
    }

    fn serves_in_emergency(&self, now: Moment) -> bool {
        now.since(self.asked) < self.freshness.fresh + self.freshness.if_error
    }

    #[cfg(test)]
    fn empty(resource: Resource) -> Kept {
        let freshness = Freshness { fresh: Duration::MAX, if_error: Duration::ZERO, confirmable: Duration::ZERO };
        let (media_type, body, rules) = (String::new(), Bytes::new(), HeaderMap::new());
        Kept { status: 200, media_type, body, rules, freshness, asked: Moment::now(), resource, size: 0 }
    }
}

impl Waiting {
    /// The answer, once it is there; none where it is not for others.
    pub async fn landed(mut self) -> Option<Arc<Kept>> {
        let landed = self.0.wait_for(|landed| !matches!(landed, Landed::UnderWay)).await.ok()?;
        match &*landed {
            Landed::Kept(kept) => Some(Arc::clone(kept)),
            Landed::UnderWay | Landed::Nothing => None,
        }
    }
}

impl Flight<'_> {
    /// The headers that let the server say that what it answered before still holds; none where nothing is known.
    pub fn conditions(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.stale.iter().flat_map(|kept| freshness::conditions(&kept.rules)).collect()
    }

    /// The server says that what it answered before still holds; none where that cannot be what it means.
    pub fn confirmed(&self, headers: &HeaderMap) -> Option<Arc<Kept>> {
        let stale = self.stale.as_ref().filter(|stale| freshness::confirms(&stale.rules, headers))?;
        let rules = freshness::confirmed(&stale.rules, headers);
        let freshness = Freshness::of(stale.status, &rules, self.cache.ttl);
        let lasting = freshness.is_some();
        let freshness = freshness.unwrap_or(stale.freshness);
        let kept = Arc::new(Kept::new(self, stale.status, stale.media_type.clone(), rules, freshness, stale.body.clone()));
        if lasting {
            self.land(&kept)
        } else {
            self.forget()
        }
        Some(kept)
    }

    /// What may be answered although the server does not, or fails.
    pub fn in_emergency(&self) -> Option<Arc<Kept>> {
        let stale = self.stale.as_ref().filter(|stale| stale.serves_in_emergency(Moment::now()))?;
        self.landing.landed.send_replace(Landed::Kept(Arc::clone(stale)));
        Some(Arc::clone(stale))
    }

    /// The server has answered, and all of that was read: keeps it where that is allowed, in place of what was known.
    pub fn answered(&self, status: u16, media_type: &str, headers: &HeaderMap, body: &[u8]) {
        match Freshness::of(status, headers, self.cache.ttl) {
            Some(freshness) => {
                let body = Bytes::copy_from_slice(body);
                self.land(&Arc::new(Kept::new(self, status, media_type.to_owned(), freshness::rules(headers), freshness, body)));
            }
            None => self.forget(),
        }
    }

    /// What was known holds no more.
    pub fn forget(&self) {
        let mut state = self.cache.lock();
        if self.is_current(&state) {
            state.store.remove(&self.key);
            self.cache.changed(&state.store);
        }
    }

    fn land(&self, kept: &Arc<Kept>) {
        let mut state = self.cache.lock();
        // Else something was written there meanwhile, or somebody wants it forgotten: who has waited since before that may have it.
        if self.is_current(&state) {
            let evicted = state.store.insert(self.key, Arc::clone(kept));
            self.cache.metrics.evicted(evicted);
            self.cache.changed(&state.store);
        }
        drop(state);
        self.landing.landed.send_replace(Landed::Kept(Arc::clone(kept)));
    }

    fn is_current(&self, state: &State) -> bool {
        state.flights.get(&self.key).is_some_and(|landing| Arc::ptr_eq(landing, &self.landing))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if self.is_current(&state) {
            state.flights.remove(&self.key);
        }
        drop(state);
        self.landing.landed.send_if_modified(|landed| {
            let nothing = matches!(landed, Landed::UnderWay);
            if nothing {
                *landed = Landed::Nothing;
            }
            nothing
        });
    }
}

#[cfg(test)]
mod tests;
