//! A point in time that a clock which is set cannot move back.

use std::time::{Duration, Instant, SystemTime};

/// A point in time, by both clocks: one stands still while the machine sleeps, the other can be set.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How long `earlier` is ago, by the clock that says more: what is kept is never used for longer than it may be.
    pub fn since(&self, earlier: Moment) -> Duration {
        let steady = self.steady.saturating_duration_since(earlier.steady);
        self.wall.duration_since(earlier.wall).map_or(steady, |wall| wall.max(steady))
    }

    /// Later by both clocks.
    #[cfg(test)]
    pub fn plus(self, seconds: u64) -> Moment {
        let later = Duration::from_secs(seconds);
        Moment { steady: self.steady + later, wall: self.wall + later }
    }

    /// The same with the clock of the wall set to another time.
    #[cfg(test)]
    pub fn with_wall(self, wall: SystemTime) -> Moment {
        Moment { wall, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_more_time() {
        let began = Moment::now();
        assert_eq!(began.plus(10).since(began), Duration::from_secs(10));
        assert_eq!(began.plus(10).with_wall(SystemTime::UNIX_EPOCH).since(began), Duration::from_secs(10));
        // The machine slept, or the clock was set forward.
        assert!(began.with_wall(SystemTime::now() + Duration::from_secs(99)).since(began) >= Duration::from_secs(98));
        assert_eq!(began.since(began.plus(10)), Duration::ZERO);
    }
}
