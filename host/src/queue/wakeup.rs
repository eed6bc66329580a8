//! How threads learn that something changed, without asking again and again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A counter that threads wait on. Reading it before looking for work and waiting for it to change afterwards misses nothing.
#[derive(Debug, Default)]
pub struct Wakeup {
    generation: Mutex<u64>,
    changed: Condvar,
}

impl Wakeup {
    /// The state to compare with later.
    pub fn generation(&self) -> u64 {
        *self.lock()
    }

    /// Says that something changed.
    pub fn notify(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until something has changed since `seen`, or the time is over.
    pub fn wait(&self, seen: u64, at_most: Duration) {
        let end = Instant::now() + at_most;
        let mut generation = self.lock();
        while *generation == seen {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (generation, _) = self.changed.wait_timeout(generation, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing that holds this lock can panic, and the counter is right whatever happened.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
