//! What is known of each file in a folder, and when to look at it next. It must not touch the file system.
//!
//! It remembers every file that is there, in about 150 bytes: a file that was handed over must not be handed over again. Those that are
//! still to be handed over take as much again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::complete::Writing;
use crate::identity::FileIdentity;

/// How many files are remembered. Those beyond it wait until others have gone.
const MAX_FILES: usize = 1_000_000;

/// A state of a file, in little space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    digest: u64,
}

impl Version {
    /// The version of a file with this identity, and with those of the files that belong to it after that.
    pub(super) fn of(identities: &[FileIdentity]) -> Self {
        let mut hasher = DefaultHasher::new();
        identities.hash(&mut hasher);
        Version { inode: identities.first().map_or(0, |identity| identity.inode), digest: hasher.finish() }
    }

    /// Whether both are states of one file, which was changed in place and not replaced.
    pub(super) fn same_file(self, other: Version) -> bool {
        self.inode == other.inode
    }
}

/// What went wrong when the file was handed over, and how long to wait after the next failure.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) delay: Duration,
}

/// A file that is still to be handed over.
#[derive(Debug)]
pub(super) struct Pending {
    /// When to look at it; none: at the next scan, or when something is heard of it.
    due: Option<Instant>,
    /// The second key of the order in which files are looked at.
    modified_ns: i64,
    /// How it was at the last look, and since when, as far as we looked and heard.
    version: Version,
    pub(super) since: Instant,
    pub(super) writing: Writing,
    /// A newer file of its kind has come since then.
    pub(super) superseded: bool,
    /// What was handed over under this name before.
    pub(super) taken: Option<Version>,
    pub(super) failure: Option<Box<Failure>>,
}

impl Pending {
    fn new(version: Version, modified_ns: i64, now: Instant) -> Self {
        Pending { due: None, modified_ns, version, since: now, writing: Writing::Unknown, superseded: false, taken: None, failure: None }
    }

    /// Notes how the file is now.
    pub(super) fn looked(&mut self, version: Version, now: Instant) {
        if self.version != version {
            self.version = version;
            self.since = now;
            self.superseded = false;
            self.failure = None;
        }
    }
}

#[derive(Debug)]
enum State {
    /// Left alone.
    Ignored,
    /// Handed over in this version.
    Taken(Version),
    Pending(Box<Pending>),
}

#[derive(Debug)]
struct Entry {
    /// The number of the scan that saw it last.
    seen: u32,
    state: State,
}

/// The order in which files are looked at: when their time has come, the oldest first.
type Timer = (Instant, i64, Arc<Path>);

impl Entry {
    fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending(_))
    }
}

/// The files of a folder, by their paths below it.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    files: HashMap<Arc<Path>, Entry>,
    /// How many of them are still to be handed over.
    pending: usize,
    /// One for each pending file that has a time.
    timers: BTreeSet<Timer>,
    scan: u32,
}

impl Tracker {
    /// Whether no more files can be remembered.
    pub(super) fn full(&self) -> bool {
        self.files.len() >= MAX_FILES
    }

    /// The file as one that is still to be handed over: known as such, new, or changed since it was handed over; marked as seen. None if it was
    /// handed over as it is, or there is no room for it.
    pub(super) fn pending(&mut self, path: &Path, version: Version, modified_ns: i64, now: Instant) -> Option<&mut Pending> {
        let scan = self.scan;
        let new = || Box::new(Pending::new(version, modified_ns, now));
        if !self.files.contains_key(path) {
            if self.full() {
                return None;
            }
            self.insert(path.into(), State::Pending(new()));
        }
        let entry = self.files.get_mut(path)?;
        entry.seen = scan;
        match entry.state {
            State::Taken(taken) if taken == version => return None,
            State::Taken(taken) => {
                entry.state = State::Pending(Box::new(Pending { taken: Some(taken), ..*new() }));
                self.pending += 1;
            }
            State::Ignored => {
                entry.state = State::Pending(new());
                self.pending += 1;
            }
            State::Pending(ref mut pending) => pending.looked(version, now),
        }
        match &mut entry.state {
            State::Pending(pending) => Some(pending),
            State::Ignored | State::Taken(_) => None,
        }
    }

    /// Has a pending file looked at by `at`, or before if that was planned.
    pub(super) fn arm(&mut self, path: &Path, at: Instant) {
        let Some((key, _)) = self.files.get_key_value(path) else { return };
        let key = Arc::clone(key);
        let Some(Entry { state: State::Pending(pending), .. }) = self.files.get_mut(path) else { return };
        match pending.due {
            Some(due) if due <= at => return,
            Some(due) => drop(self.timers.remove(&(due, pending.modified_ns, Arc::clone(&key)))),
            None => {}
        }
        pending.due = Some(at);
        self.timers.insert((at, pending.modified_ns, key));
    }

    /// The same, for a file that is looked at no earlier than the next scan otherwise.
    pub(super) fn arm_idle(&mut self, path: &Path, at: Instant) {
        if let Some(Entry { state: State::Pending(pending), .. }) = self.files.get(path)
            && pending.due.is_none()
        {
            self.arm(path, at);
        }
    }

    /// When the next file is to be looked at.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _, _)| *due)
    }

    /// Takes out the next file that is to be looked at by `now`. It is forgotten unless it is put back.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Arc<Path>, Box<Pending>)> {
        while self.next_due().is_some_and(|due| due <= now) {
            let (_, _, path) = self.timers.pop_first()?;
            if let Some(Entry { state: State::Pending(mut pending), .. }) = self.files.remove(&path) {
                self.pending -= 1;
                pending.due = None;
                return Some((path, pending));
            }
        }
        None
    }

    /// Puts a pending file back, to be looked at by `at`; if none, when something is heard of it, at the latest at the next scan.
    pub(super) fn put_back(&mut self, path: Arc<Path>, pending: Box<Pending>, at: Option<Instant>) {
        self.insert(Arc::clone(&path), State::Pending(pending));
        if let Some(at) = at {
            self.arm(&path, at);
        }
    }

    /// Remembers that a file was handed over.
    pub(super) fn taken(&mut self, path: Arc<Path>, version: Version) {
        self.insert(path, State::Taken(version));
    }

    /// Whether the file is remembered as handed over in this version.
    pub(super) fn is_taken(&self, path: &Path, version: Version) -> bool {
        matches!(self.files.get(path), Some(Entry { state: State::Taken(taken), .. }) if *taken == version)
    }

    /// Whether the file is remembered as handed over, in whatever version.
    pub(super) fn was_taken(&self, path: &Path) -> bool {
        matches!(self.files.get(path), Some(Entry { state: State::Taken(_), .. }))
    }

    /// How many files are still to be handed over.
    pub(super) fn waiting(&self) -> usize {
        self.pending
    }

    /// Of those, how many could not be handed over when that was tried.
    pub(super) fn failing(&self) -> usize {
        let failing = |entry: &&Entry| matches!(&entry.state, State::Pending(pending) if pending.failure.is_some());
        self.files.values().filter(failing).count()
    }

    fn insert(&mut self, path: Arc<Path>, state: State) {
        let entry = Entry { seen: self.scan, state };
        self.pending += usize::from(entry.is_pending());
        if self.files.insert(path, entry).is_some_and(|before| before.is_pending()) {
            self.pending -= 1;
        }
    }

    /// Remembers that a file is left alone. Says whether that is new.
    pub(super) fn ignored(&mut self, path: &Path) -> bool {
        if let Some(entry) = self.files.get_mut(path) {
            entry.seen = self.scan;
            if matches!(entry.state, State::Ignored) {
                return false;
            }
        }
        self.forget(path);
        if self.full() {
            return false;
        }
        self.insert(path.into(), State::Ignored);
        true
    }

    /// Forgets a file. Says whether it was known.
    pub(super) fn forget(&mut self, path: &Path) -> bool {
        let Some((key, entry)) = self.files.remove_entry(path) else { return false };
        self.pending -= usize::from(entry.is_pending());
        forget_timer(&mut self.timers, &key, &entry);
        true
    }

    /// Forgets all files below these folders.
    pub(super) fn forget_below(&mut self, folders: &HashSet<PathBuf>) {
        if !folders.is_empty() {
            self.forget_all(|path, _| path.ancestors().skip(1).any(|folder| folders.contains(folder)));
        }
    }

    /// Begins a scan of all files: those that it does not see can be swept.
    pub(super) fn begin_scan(&mut self) {
        self.scan = self.scan.wrapping_add(1);
    }

    /// Forgets the files that the scan did not see, but for those that `hidden` says it could not see.
    pub(super) fn sweep(&mut self, hidden: impl Fn(&Path) -> bool) {
        let scan = self.scan;
        self.forget_all(|path, entry| entry.seen != scan && !hidden(path));
    }

    /// No longer trusts what was heard of the writers of pending files.
    pub(super) fn distrust(&mut self) {
        for entry in self.files.values_mut() {
            if let State::Pending(pending) = &mut entry.state {
                pending.writing = Writing::Unknown;
            }
        }
    }

    fn forget_all(&mut self, which: impl Fn(&Path, &Entry) -> bool) {
        let (timers, pending) = (&mut self.timers, &mut self.pending);
        self.files.retain(|path, entry| {
            let keep = !which(path, entry);
            if !keep {
                *pending -= usize::from(entry.is_pending());
                forget_timer(timers, path, entry);
            }
            keep
        });
    }
}

fn forget_timer(timers: &mut BTreeSet<Timer>, path: &Arc<Path>, entry: &Entry) {
    if let State::Pending(pending) = &entry.state
        && let Some(due) = pending.due
    {
        timers.remove(&(due, pending.modified_ns, Arc::clone(path)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(size: u64) -> Version {
        Version::of(&[FileIdentity { device: 1, inode: 2, size, modified_ns: 3 }])
    }

    fn path(name: &str) -> &Path {
        Path::new(name)
    }

    #[test]
    fn files_come_when_their_time_has_come_and_the_oldest_first() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut tracker = Tracker::default();
        for (name, modified, at) in [("new", 9, start), ("old", 1, start), ("late", 0, later)] {
            tracker.pending(path(name), version(1), modified, start).unwrap();
            tracker.arm(path(name), at);
        }
        let due = std::iter::from_fn(|| tracker.take_due(start)).map(|(path, _)| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(due, ["old", "new"]);
        assert_eq!(tracker.next_due(), Some(later));
    }

    #[test]
    fn an_earlier_time_replaces_a_later_one_and_not_the_other_way() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tracker = Tracker::default();
        tracker.pending(path("a"), version(1), 0, start).unwrap();
        for (armed, expected) in [(5, 5), (9, 5), (2, 2)] {
            tracker.arm(path("a"), at(armed));
            assert_eq!(tracker.next_due(), Some(at(expected)));
        }
        tracker.arm_idle(path("a"), at(1));
        assert_eq!(tracker.next_due(), Some(at(2)));
        assert!(tracker.forget(path("a")));
        assert_eq!(tracker.next_due(), None);
    }

    #[test]
    fn a_taken_file_is_pending_again_only_when_it_changed() {
        let now = Instant::now();
        let mut tracker = Tracker::default();
        tracker.taken(path("a").into(), version(1));
        assert!(tracker.pending(path("a"), version(1), 0, now).is_none());
        assert_eq!(tracker.pending(path("a"), version(2), 0, now).unwrap().taken, Some(version(1)));
    }

    #[test]
    fn a_sweep_forgets_what_the_scan_did_not_see_unless_it_was_hidden() {
        let now = Instant::now();
        let mut tracker = Tracker::default();
        for name in ["seen", "gone", "locked/a"] {
            tracker.taken(path(name).into(), version(1));
        }
        tracker.begin_scan();
        assert!(tracker.pending(path("seen"), version(1), 0, now).is_none());
        tracker.sweep(|path| path.starts_with("locked"));
        assert!(tracker.forget(path("seen")));
        assert!(tracker.forget(path("locked/a")));
        assert!(!tracker.forget(path("gone")));
    }

    #[test]
    fn what_waits_is_counted() {
        let now = Instant::now();
        let mut tracker = Tracker::default();
        for name in ["a", "b", "c", "d"] {
            tracker.pending(path(name), version(1), 0, now).unwrap();
            tracker.arm(path(name), now);
        }
        assert_eq!(tracker.waiting(), 4);
        let (taken, _) = tracker.take_due(now).unwrap();
        assert_eq!(tracker.waiting(), 3);
        tracker.taken(Arc::clone(&taken), version(1));
        assert!(tracker.is_taken(&taken, version(1)) && !tracker.is_taken(&taken, version(2)));
        let (failed, mut pending) = tracker.take_due(now).unwrap();
        pending.failure = Some(Box::new(Failure { reason: "full".into(), delay: Duration::from_secs(1) }));
        tracker.put_back(failed, pending, None);
        assert_eq!((tracker.waiting(), tracker.failing()), (3, 1));
        tracker.pending(&taken, version(2), 0, now).unwrap();
        assert_eq!(tracker.waiting(), 4);
        tracker.taken(path("c").into(), version(1));
        assert!(tracker.ignored(path("d")) && tracker.forget(&taken));
        assert_eq!(tracker.waiting(), 1);
        tracker.begin_scan();
        tracker.sweep(|_| false);
        assert_eq!((tracker.waiting(), tracker.failing()), (0, 0));
    }

    #[test]
    fn a_file_is_ignored_once() {
        let mut tracker = Tracker::default();
        assert!(tracker.ignored(path("a")));
        assert!(!tracker.ignored(path("a")));
        tracker.forget(path("a"));
        assert!(tracker.ignored(path("a")));
    }
}
