//! Finds workers that do not come back. Limits end what a converter does, but nothing can interrupt a call of the system's that hangs, as on a
//! share whose server is gone. It knows when a job began and how long it may take; what a worker does is its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the workers do at this moment, and which of them are given up.
pub struct Watchdog {
    /// How many there should be.
    workers: usize,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next: u64,
    by_number: BTreeMap<u64, Run>,
}

struct Run {
    /// What is converted, for people.
    file: String,
    until: Instant,
    lost: bool,
}

/// A job that runs, until this is dropped.
pub(super) struct Watched<'a> {
    watchdog: &'a Watchdog,
    number: u64,
}

impl Watchdog {
    pub(super) fn new(workers: usize) -> Watchdog {
        Watchdog { workers, running: Mutex::default() }
    }

    /// A worker begins with a file, and should have ended after this time.
    pub(super) fn begin(&self, file: &str, within: Duration) -> Watched<'_> {
        let mut running = self.lock();
        let number = running.next;
        running.next += 1;
        running.by_number.insert(number, Run { file: file.to_string(), until: Instant::now() + within, lost: false });
        Watched { watchdog: self, number }
    }

    /// Gives up those that should have ended, and says what they were to convert. As many are replaced as there should be, and no more: whatever
    /// holds up all of these would hold up others, too.
    pub(super) fn give_up_overdue(&self) -> Vec<String> {
        let mut running = self.lock();
        let now = Instant::now();
        let room = self.workers.saturating_sub(running.lost().count());
        let overdue = running.by_number.values_mut().filter(|run| !run.lost && run.until <= now).take(room);
        let give_up = |run: &mut Run| {
            run.lost = true;
            run.file.clone()
        };
        overdue.map(give_up).collect()
    }

    /// Why the daemon is not ready, where as many workers are lost as there should be.
    pub fn reason(&self) -> Option<String> {
        let running = self.lock();
        let lost = running.lost().count();
        let file = &running.lost().next()?.file;
        (lost >= self.workers).then(|| {
            format!(
                "{lost} workers do not come back, one of them from `{file}`: a call of the system's hangs; check the disk or share that the file \
                 is on, and restart the daemon if they stay away"
            )
        })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn lost(&self) -> impl Iterator<Item = &Run> {
        self.by_number.values().filter(|run| run.lost)
    }
}

impl Watched<'_> {
    /// The job has ended. True where the worker was given up meanwhile: another one works in its place.
    pub fn end(self) -> bool {
        self.watchdog.lock().by_number.get(&self.number).is_some_and(|run| run.lost)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.watchdog.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_given_up_as_there_should_be() {
        let watchdog = Watchdog::new(2);
        let in_time = watchdog.begin("in time", Duration::from_secs(3600));
        let runs: Vec<Watched<'_>> = ["a", "b", "c"].map(|file| watchdog.begin(file, Duration::ZERO)).into();
        assert_eq!(watchdog.reason(), None);
        assert_eq!(watchdog.give_up_overdue(), ["a", "b"]);
        assert!(watchdog.reason().is_some_and(|reason| reason.starts_with("2 workers") && reason.contains("`a`")));
        assert_eq!(watchdog.give_up_overdue(), [""; 0]);
        assert_eq!(runs.into_iter().map(Watched::end).collect::<Vec<_>>(), [true, true, false]);
        assert!(!in_time.end());
        assert_eq!(watchdog.reason(), None);
    }
}
