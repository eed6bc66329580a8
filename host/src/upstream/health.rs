//! How the upstream server is doing, by what became of the latest requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that count, and for how long.
const MOST: usize = 20;
const LONGEST: Duration = Duration::from_secs(300);
/// Requests without an answer in a row after which it is offline.
const OFFLINE: usize = 3;

/// How the upstream server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Online,
    /// It answers, but not always, or says that it fails.
    Degraded,
    /// It does not answer, or nobody has asked it yet.
    Offline,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Answer,
    ServerError,
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    latest: Mutex<VecDeque<(Instant, Seen)>>,
}

impl Record {
    pub fn add(&self, seen: Seen) {
        let mut latest = self.lock();
        if latest.len() >= MOST {
            latest.pop_front();
        }
        latest.push_back((Instant::now(), seen));
    }

    /// How long ago the last request was.
    pub fn idle(&self) -> Duration {
        self.lock().back().map_or(Duration::MAX, |(when, _)| when.elapsed())
    }

    pub fn health(&self) -> Health {
        let latest = self.lock();
        let in_a_row = latest.iter().rev().take(OFFLINE).all(|(_, seen)| *seen == Seen::Nothing);
        if in_a_row {
            return Health::Offline;
        }
        let bad = latest.iter().any(|(when, seen)| *seen != Seen::Answer && when.elapsed() < LONGEST);
        if bad { Health::Degraded } else { Health::Online }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Seen)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_latest_requests_say() {
        let record = Record::default();
        assert_eq!(record.health(), Health::Offline);
        let after = |seen| {
            record.add(seen);
            record.health()
        };
        assert_eq!(after(Seen::Answer), Health::Online);
        assert_eq!(after(Seen::Nothing), Health::Degraded);
        assert_eq!(after(Seen::Nothing), Health::Degraded);
        assert_eq!(after(Seen::Nothing), Health::Offline);
        assert_eq!(after(Seen::ServerError), Health::Degraded);
        for _ in 0..MOST - 1 {
            assert_eq!(after(Seen::Answer), Health::Degraded);
        }
        assert_eq!(after(Seen::Answer), Health::Online);
    }
}
