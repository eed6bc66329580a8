//! Decides whether there is room for more: the one place that knows the bounds of queue, spool and disk. Both ways in ask it, and readiness
//! says what it says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::intake::Room;
use crate::metrics::{Metrics, disk_free_bytes};
use crate::queue::{Pausable, Store};
use crate::shown::bytes;

/// At this part of a bound intake slows.
const SLOW_FROM: f64 = 0.8;
/// At this part of a bound it goes on as before.
const SLOW_UNTIL: f64 = 0.7;
/// Where a bound was reached, nothing is taken until this part of it.
const FULL_UNTIL: f64 = 0.9;
/// The same for the disk, whose part is `min_free_bytes` by free bytes: it has twice `min_free_bytes` free by then.
const DISK_FULL_UNTIL: f64 = 0.5;

/// How often it is measured at most; measuring takes at most a twentieth of the time.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
const MEASURE_SHARE: u32 = 20;

/// Room for more, by bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Free,
    Slow,
    Full,
}

impl Level {
    /// The level after this one, when a part of the bound is used. What is full stays so until `full_until`.
    fn next(self, part: f64, full_until: f64) -> Level {
        match self {
            _ if part >= 1.0 => Level::Full,
            Level::Full if part > full_until => Level::Full,
            Level::Full | Level::Slow if part > SLOW_UNTIL => Level::Slow,
            Level::Free if part >= SLOW_FROM => Level::Slow,
            _ => Level::Free,
        }
    }
}

/// Watches the bounds of queue, spool and disk.
pub(super) struct Pressure {
    config: Arc<Config>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

struct State {
    queue: Level,
    spool: Level,
    disk: Level,
    jobs: u64,
    spool_bytes: u64,
    free_bytes: Option<u64>,
    measure_at: Instant,
}

impl Pressure {
    pub(super) fn new(config: Arc<Config>, store: Arc<Store>, metrics: Arc<Metrics>) -> Pressure {
        metrics.spool_limit_bytes(config.max_spool_bytes);
        let state = State {
            queue: Level::Free,
            spool: Level::Free,
            disk: Level::Free,
            jobs: 0,
            spool_bytes: 0,
            free_bytes: None,
            measure_at: Instant::now(),
        };
        Pressure { config, store, metrics, state: Mutex::new(state) }
    }

    /// Whether more jobs of a route may come: there is room, and it is not paused.
    pub(super) fn room_for(&self, route: &str) -> Room {
        if let Some(pause) = self.store.pauses().of(Pausable::Route, route) {
            return Room::None(format!("{}; `dropforge route resume {route}` goes on", pause.in_words()));
        }
        self.room()
    }

    /// Whether there is room for more jobs.
    pub(super) fn room(&self) -> Room {
        let state = self.measured();
        let reasons = || self.reasons_in(&state).join("; ");
        match state.queue.max(state.spool).max(state.disk) {
            Level::Free => Room::Free,
            Level::Slow => Room::Scarce(reasons()),
            Level::Full => Room::None(reasons()),
        }
    }

    /// Why there is little or no room, each reason a sentence; none where there is enough.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.reasons_in(&self.measured())
    }

    /// So many jobs were queued. Until it is measured again, they count in advance.
    pub(super) fn took(&self, jobs: usize) {
        let mut state = self.lock();
        state.jobs = state.jobs.saturating_add(jobs as u64);
        self.judge(&mut state);
    }

    fn measured(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let began = Instant::now();
        if began < state.measure_at {
            return state;
        }
        match self.store.fill() {
            Ok(fill) => (state.jobs, state.spool_bytes) = (fill.jobs, fill.spool_bytes),
            // Whoever queues something is told so, too.
            Err(error) => tracing::error!(%error, "cannot measure the queue; what was measured last is taken for true"),
        }
        // Where the system cannot be asked, a full disk is found by writing.
        state.free_bytes = disk_free_bytes(&self.config.state_dir).ok();
        state.measure_at = Instant::now() + MEASURE_EVERY.max(began.elapsed().saturating_mul(MEASURE_SHARE));
        self.metrics.spool_bytes(state.spool_bytes);
        self.judge(&mut state);
        state
    }

    fn judge(&self, state: &mut State) {
        let part = |used: u64, bound: u64| used as f64 / bound.max(1) as f64;
        state.queue = state.queue.next(part(state.jobs, self.config.max_queued), FULL_UNTIL);
        state.spool = state.spool.next(part(state.spool_bytes, self.config.max_spool_bytes), FULL_UNTIL);
        if let Some(free) = state.free_bytes {
            state.disk = state.disk.next(part(self.config.min_free_bytes, free), DISK_FULL_UNTIL);
        }
    }

    fn reasons_in(&self, state: &State) -> Vec<String> {
        let config = &self.config;
        let taken = |level: Level| if level == Level::Full { "nothing is" } else { "files are slowly" };
        let mut reasons = Vec::new();
        if state.queue > Level::Free {
            reasons.push(format!(
                "the queue holds {} jobs of `max_queued` = {}, so that {} taken in; see `/api/v1/jobs` for what they wait for",
                state.jobs,
                config.max_queued,
                taken(state.queue)
            ));
        }
        if state.spool > Level::Free {
            reasons.push(format!(
                "the spool holds {} of `max_spool_bytes`, {}, so that {} taken in; a destination is down or slow",
                bytes(state.spool_bytes),
                bytes(config.max_spool_bytes),
                taken(state.spool)
            ));
        }
        if state.disk > Level::Free {
            reasons.push(format!(
                "the disk of state_dir has {} free and needs `min_free_bytes`, {}, so that {} taken in; free some",
                bytes(state.free_bytes.unwrap_or_default()),
                bytes(config.min_free_bytes),
                taken(state.disk)
            ));
        }
        reasons
    }

    /// Nothing that holds this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metrics::Instance;

    #[test]
    fn a_level_holds_until_there_is_clearly_room() {
        use Level::{Free, Full, Slow};
        let cases = [
            (Free, 0.79, Free),
            (Free, 0.8, Slow),
            (Slow, 0.71, Slow),
            (Slow, 0.7, Free),
            (Free, 1.0, Full),
            (Slow, 1.5, Full),
            (Full, 0.91, Full),
            (Full, 0.9, Slow),
            (Full, 0.6, Free),
        ];
        for (before, part, after) in cases {
            assert_eq!(before.next(part, FULL_UNTIL), after, "{before:?} {part}");
        }
        // 1 GiB is to be free; twice that frees.
        assert_eq!(Full.next(0.51, DISK_FULL_UNTIL), Full);
        assert_eq!(Full.next(0.5, DISK_FULL_UNTIL), Free);
    }

    #[test]
    fn each_bound_has_its_reason_and_says_whether_anything_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let pressure = |config: Config| {
            let store = Arc::new(Store::open(&folder.path().join("queue.db")).unwrap().store);
            let metrics = Arc::new(Metrics::new(&Instance { instance_id: "i".into(), station: String::new(), location: String::new() }));
            let config = Config { state_dir: folder.path().into(), ..config };
            Pressure::new(Arc::new(config), store, metrics)
        };
        let roomy = pressure(Config { min_free_bytes: 0, ..Config::default() });
        assert_eq!(roomy.room(), Room::Free);
        assert_eq!(roomy.reasons(), [""; 0]);
        assert!(roomy.metrics.exposition().contains("spool_limit_bytes 10737418240"));

        let small = pressure(Config { min_free_bytes: 0, max_queued: 10, ..Config::default() });
        assert_eq!(small.room(), Room::Free);
        small.took(8);
        assert!(matches!(small.room(), Room::Scarce(reason) if reason.contains("8 jobs of `max_queued` = 10, so that files are slowly")));
        small.took(2);
        assert!(matches!(small.room(), Room::None(reason) if reason.contains("nothing is taken in")));

        let full = pressure(Config { min_free_bytes: u64::MAX, ..Config::default() });
        assert!(matches!(full.room(), Room::None(reason) if reason.contains("min_free_bytes")));
        assert_eq!(full.reasons().len(), 1);
    }
}
