//! What the watcher tells the intake's thread: which files changed, merged per file, so that a busy writer or a busy thread costs no memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::large::Answer;

/// How many files may have changed between two looks of the thread. Beyond it, a scan finds out.
const MAX_CHANGES: usize = 16_384;

/// The last that was heard of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something else than its content changed: look at it.
    Touched,
    /// It was made.
    Made,
    /// It was written to; no writer has closed it since.
    Written,
    /// A writer closed it, or it was renamed to this name.
    Complete,
}

/// What was heard of one file since the thread last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// At some moment there was nothing under this name.
    pub(super) gone: bool,
    /// What was heard since then.
    pub(super) heard: Option<Heard>,
}

/// Everything that was heard since the thread last asked.
#[derive(Default)]
pub(super) struct Heap {
    /// By the path below the intake's folder.
    pub(super) changes: HashMap<PathBuf, Change>,
    /// Some changes were not heard: look at everything.
    pub(super) lost: bool,
    /// The intake's folder itself changed: it may be another one now.
    pub(super) root: bool,
    /// What became of large files: at most one that is in hand, and one before it.
    pub(super) answers: Vec<Answer>,
}

/// The place where the watcher leaves what it hears, and the thread waits for it.
#[derive(Default)]
pub(super) struct Signals {
    heap: Mutex<Heap>,
    wake: Condvar,
    stopping: AtomicBool,
}

impl Signals {
    /// Something under this name was removed or renamed.
    pub(super) fn gone(&self, relative: &Path) {
        self.change(relative, |change| *change = Change { gone: true, heard: None });
    }

    /// Something about this file changed.
    pub(super) fn heard(&self, relative: &Path, heard: Heard) {
        self.change(relative, |change| match (heard, change.heard) {
            (Heard::Touched, Some(_)) => {}
            _ => change.heard = Some(heard),
        });
    }

    /// Some changes were not heard.
    pub(super) fn lost(&self) {
        self.lock().lost = true;
        self.wake.notify_all();
    }

    /// The intake's folder itself was removed, renamed or changed.
    pub(super) fn root(&self) {
        self.lock().root = true;
        self.wake.notify_all();
    }

    /// A large file was handed over, or not.
    pub(super) fn answered(&self, answer: Answer) {
        self.lock().answers.push(answer);
        self.wake.notify_all();
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        // Under the lock, so that the thread is either before its check or already waiting.
        let _heap = self.lock();
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_all();
    }

    /// Whether the thread is to end.
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// What was heard, as soon as there is something, at the latest at `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Heap {
        let mut heap = self.lock();
        loop {
            if self.stopping() || heap.lost || heap.root || !heap.changes.is_empty() || !heap.answers.is_empty() {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            heap = self.wake.wait_timeout(heap, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *heap)
    }

    fn change(&self, relative: &Path, merge: impl FnOnce(&mut Change)) {
        let mut heap = self.lock();
        if let Some(change) = heap.changes.get_mut(relative) {
            merge(change);
        } else if heap.changes.len() < MAX_CHANGES {
            let mut change = Change::default();
            merge(&mut change);
            heap.changes.insert(relative.to_owned(), change);
        } else {
            heap.lost = true;
        }
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn heard(tell: impl FnOnce(&Signals)) -> Heap {
        let signals = Signals::default();
        tell(&signals);
        signals.wait(Instant::now())
    }

    #[test]
    fn the_last_word_on_the_content_counts() {
        use Heard::{Complete, Made, Touched, Written};
        let cases: [(&[Heard], Heard); 6] = [
            (&[Made, Touched], Made),
            (&[Made, Written, Complete], Complete),
            (&[Complete, Written], Written),
            (&[Written, Touched], Written),
            (&[Complete, Touched], Complete),
            (&[Touched, Written], Written),
        ];
        for (told, expected) in cases {
            let heap = heard(|signals| told.iter().for_each(|&heard| signals.heard(Path::new("a"), heard)));
            assert_eq!(heap.changes[Path::new("a")], Change { gone: false, heard: Some(expected) }, "{told:?}");
        }
    }

    #[test]
    fn that_a_name_was_free_in_between_is_kept() {
        let heap = heard(|signals| {
            signals.heard(Path::new("a"), Heard::Written);
            signals.gone(Path::new("a"));
            signals.heard(Path::new("a"), Heard::Complete);
        });
        assert_eq!(heap.changes[Path::new("a")], Change { gone: true, heard: Some(Heard::Complete) });
    }

    #[test]
    fn more_changes_than_there_is_room_for_ask_for_a_scan() {
        let heap = heard(|signals| {
            for number in 0..=MAX_CHANGES {
                signals.heard(Path::new(&number.to_string()), Heard::Complete);
            }
        });
        assert!(heap.lost);
        assert_eq!(heap.changes.len(), MAX_CHANGES);
    }
}
