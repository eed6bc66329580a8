//! The circuit breaker of a server: after some failures in a row nothing is sent for a while, then one request finds out whether it is back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open; doubled every time that the one request fails.
const FIRST_OPEN: Duration = Duration::from_secs(1);
const LONGEST_OPEN: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Why the last request failed.
    last: Mutex<String>,
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        times: u32,
    },
    /// One request is under way to find out.
    HalfOpen {
        times: u32,
    },
}

impl Default for State {
    fn default() -> Self {
        State::Closed { failures: 0 }
    }
}

/// The right to make one request. What came of it must be said; one that is dropped has found out nothing.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    said: bool,
}

impl Breaker {
    /// Admits a request, or says how long none will be.
    pub fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => {}
            State::Open { until, times } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::HalfOpen { times };
            }
            State::HalfOpen { .. } => return Err(FIRST_OPEN),
        }
        Ok(Permit { breaker: self, said: false })
    }

    /// Whether it keeps requests back.
    #[cfg(test)]
    fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    /// Why the last request failed that did.
    pub fn last_failure(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The server answered, and was not the one to blame.
    pub fn succeeded(mut self) {
        self.said = true;
        *self.breaker.lock() = State::default();
    }

    /// It could not be reached, did not answer in time, or failed: why.
    pub fn failed(mut self, why: &str) {
        self.said = true;
        *self.breaker.last.lock().unwrap_or_else(PoisonError::into_inner) = why.into();
        let mut state = self.breaker.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed { failures: failures + 1 },
            State::Closed { .. } => open(0),
            State::HalfOpen { times } => open(times + 1),
            // A request that was under way when it opened.
            State::Open { until, times } => State::Open { until, times },
        };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if let State::HalfOpen { times } = *state
            && !self.said
        {
            *state = State::Open { until: Instant::now(), times };
        }
    }
}

fn open(times: u32) -> State {
    let longest = FIRST_OPEN.saturating_mul(1 << times.min(10)).min(LONGEST_OPEN);
    // Somewhere in the upper half: many stations that lost a server must not all come back at once.
    State::Open { until: Instant::now() + longest.mul_f64(0.5 + fastrand::f64() / 2.0), times }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn elapse(breaker: &Breaker) {
        let mut state = breaker.lock();
        if let State::Open { until, .. } = &mut *state {
            *until = Instant::now();
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_one_success() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.admit().unwrap().failed("down");
        }
        breaker.admit().unwrap().succeeded();
        for _ in 0..FAILURES {
            assert!(!breaker.is_open());
            breaker.admit().unwrap().failed("down");
        }
        assert!(breaker.is_open());
        assert!(breaker.admit().unwrap_err() <= FIRST_OPEN);
        assert_eq!(breaker.last_failure(), "down");
        elapse(&breaker);
        let permit = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "one is let through");
        permit.failed("down");
        assert!(breaker.admit().is_err());
        elapse(&breaker);
        // One that finds out nothing does not keep the next back.
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().succeeded();
        assert!(!breaker.is_open());
    }
}
