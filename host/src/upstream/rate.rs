//! At most so many requests a second to one server. Whoever has to wait is told how long, and no thread stands still.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Rate {
    /// Between two requests; none where there is no limit.
    interval: Option<Duration>,
    next: Mutex<Instant>,
}

impl Rate {
    /// A limit in requests a second; 0 is none.
    pub fn new(per_second: f64) -> Rate {
        let interval = (per_second > 0.0).then(|| Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::from_secs(3600)));
        Rate { interval, next: Mutex::new(Instant::now()) }
    }

    /// Takes a place, and says how long it is until it is its turn.
    pub fn take(&self) -> Duration {
        let Some(interval) = self.interval else { return Duration::ZERO };
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + interval;
        turn - now
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_apart_and_in_order() {
        let rate = Rate::new(0.1);
        let turns: Vec<Duration> = (0..3).map(|_| rate.take()).collect();
        assert!(turns[0] <= Duration::from_millis(1));
        assert!(turns[1] > Duration::from_secs(9) && turns[2] > Duration::from_secs(19), "{turns:?}");
        assert!((0..1000).all(|_| Rate::new(0.0).take().is_zero()));
    }
}
