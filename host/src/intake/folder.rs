//! The thread of an intake: hears, scans, looks at the files whose time has come, and hands over those that are complete.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::complete::{GRACE, Rule, Stillness, Verdict, verdict};
use super::examine::{Candidate, Found, look_at};
use super::filter::{Globs, Places};
use super::signals::{Change, Heap, Heard, Signals};
use super::tracker::{Failure, Pending, Tracker};
use super::watch::{TELLS_CLOSING, Watch};
use super::writer::{Writer, writer};
use super::{Arrival, ArrivalError, Arrivals};
use crate::config::{Route, Take};
use crate::metrics::Metrics;

/// Between the first failure to hand a file over and the next try; it doubles from failure to failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest time between two tries.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How many new folders wait to be scanned. Beyond it, everything is.
const MAX_APPEARED: usize = 1_024;

/// A folder that is there.
pub(super) struct Open {
    pub(super) places: Arc<Places>,
    /// Its device and inode.
    pub(super) identity: (u64, u64),
    /// Whether others write to it without this machine being told.
    pub(super) remote: bool,
    /// None where it is only scanned.
    pub(super) _watch: Option<Watch>,
}

/// An intake's folder and everything that is known of it.
pub(super) struct Folder {
    pub(super) route: Arc<Route>,
    pub(super) root: PathBuf,
    pub(super) globs: Arc<Globs>,
    arrivals: Arc<dyn Arrivals>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) signals: Arc<Signals>,
    quiet: Duration,
    pub(super) rescan_every: Duration,
    pub(super) tracker: Tracker,
    /// None while the folder is missing or cannot be read.
    pub(super) open: Option<Open>,
    /// Folders that appeared in it, with the time to scan them, in the order of time.
    appeared: VecDeque<(Instant, PathBuf)>,
    pub(super) next_scan: Instant,
    /// Before this time no scan begins, whatever is heard.
    pub(super) may_scan: Instant,
    /// What was last reported.
    pub(super) up: Option<bool>,
    pub(super) hidden: Vec<PathBuf>,
    pub(super) full: bool,
    /// Why the last file that could not be taken was not; none if one was taken since.
    reason: Option<String>,
}

impl Folder {
    pub(super) fn new(
        route: Arc<Route>,
        root: PathBuf,
        globs: Globs,
        arrivals: Arc<dyn Arrivals>,
        metrics: Arc<Metrics>,
        signals: Arc<Signals>,
    ) -> Folder {
        let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO);
        let now = Instant::now();
        Folder {
            quiet: seconds(route.intake.quiet_seconds),
            rescan_every: seconds(route.intake.rescan_seconds),
            route,
            root,
            globs: Arc::new(globs),
            arrivals,
            metrics,
            signals,
            tracker: Tracker::default(),
            open: None,
            appeared: VecDeque::new(),
            next_scan: now,
            may_scan: now,
            up: None,
            hidden: Vec::new(),
            full: false,
            reason: None,
        }
    }

    /// Works until it is stopped. Between two files that it hands over, it hears what has changed.
    pub(super) fn run(mut self) {
        while !self.signals.stopping() {
            let heap = self.signals.wait(self.next_time());
            self.apply(heap);
            let now = Instant::now();
            if now >= self.next_scan {
                self.rescan();
            } else if self.appeared.front().is_some_and(|(at, _)| *at <= now)
                && let Some((_, folder)) = self.appeared.pop_front()
                && let Err(error) = self.scan(&folder, now)
            {
                debug!(route = self.route.name, path = %self.root.join(folder).display(), %error, "a new folder is gone again");
            }
            // Files of a folder that is missing would look as if they were gone.
            if self.open.is_some()
                && let Some((path, pending)) = self.tracker.take_due(now)
            {
                self.look(path, pending);
            }
        }
    }

    /// When there is something to do, if nothing is heard before.
    fn next_time(&self) -> Instant {
        let due = if self.open.is_some() { self.tracker.next_due() } else { None };
        let appeared = self.appeared.front().map(|(at, _)| *at);
        due.into_iter().chain(appeared).fold(self.next_scan, Instant::min)
    }

    fn apply(&mut self, heap: Heap) {
        let now = Instant::now();
        if heap.root {
            self.open = None;
            self.scan_soon(now);
        }
        if heap.lost {
            self.tracker.distrust();
            self.scan_soon(now);
        }
        let mut folders_gone = HashSet::new();
        for (relative, change) in &heap.changes {
            if change.gone && !self.tracker.forget(relative) {
                folders_gone.insert(relative.clone());
            }
        }
        self.tracker.forget_below(&folders_gone);
        for (relative, change) in heap.changes {
            self.change(&relative, change, now);
        }
    }

    fn scan_soon(&mut self, now: Instant) {
        self.next_scan = self.next_scan.min(self.may_scan.max(now));
    }

    /// Something was heard of a file.
    fn change(&mut self, relative: &Path, change: Change, now: Instant) {
        let (Some(heard), Some(open)) = (change.heard, &self.open) else { return };
        // What cannot be looked at now is looked at by the next scan.
        let Ok(found) = look_at(&open.places, &self.globs, relative) else { return };
        if let Found::Folder = found {
            return self.appeared(relative, heard, now);
        }
        let rule = self.rule();
        let size = found.size();
        let Some(pending) = self.notice(relative, &found, now) else { return };
        pending.writing = pending.writing.after(heard, size);
        if heard != Heard::Touched {
            pending.since = now;
        }
        match (rule, heard) {
            (Rule::Closed, Heard::Complete | Heard::Touched) => self.tracker.arm(relative, now + GRACE),
            // Its closing will be heard.
            (Rule::Closed, Heard::Written) if TELLS_CLOSING => {}
            (Rule::Closed | Rule::Quiet, _) => self.tracker.arm_idle(relative, now + self.quiet),
        }
    }

    /// A folder appeared. It is scanned when the watcher has had the time to listen to it too, so that nothing falls in between.
    fn appeared(&mut self, relative: &Path, heard: Heard, now: Instant) {
        if !self.route.intake.recursive || heard == Heard::Touched {
            return;
        }
        if self.appeared.len() < MAX_APPEARED {
            self.appeared.push_back((now + GRACE, relative.to_owned()));
        } else {
            self.scan_soon(now);
        }
    }

    /// Notes what is behind a name. Gives the file if it is still to be handed over.
    pub(super) fn notice(&mut self, relative: &Path, found: &Found, now: Instant) -> Option<&mut Pending> {
        match found {
            Found::Folder => None,
            Found::Left(reason) => {
                self.ignore(relative, reason);
                None
            }
            Found::File(Candidate { identity, version, .. }) => self.tracker.pending(relative, *version, identity.modified_ns, now),
        }
    }

    fn ignore(&mut self, relative: &Path, reason: &str) {
        if self.tracker.ignored(relative) {
            info!(route = self.route.name, path = %self.root.join(relative).display(), reason, "a file in the intake is left alone");
            self.metrics.intake_file(&self.route.name, "ignored");
        }
    }

    /// Plans when to look at a pending file that a scan came upon, unless that is planned.
    pub(super) fn plan(&mut self, relative: &Path, now: Instant) {
        let wait = match self.rule() {
            Rule::Closed => Duration::ZERO,
            Rule::Quiet => self.quiet,
        };
        self.tracker.arm_idle(relative, now + wait);
    }

    fn rule(&self) -> Rule {
        let local = self.open.as_ref().is_some_and(|open| !open.remote);
        // `superseded` is not built yet, as start-up says; on a share, writers on other machines cannot be seen.
        if self.route.intake.take == Take::Closed && local { Rule::Closed } else { Rule::Quiet }
    }

    /// Looks at a file whose time has come, and hands it over if it is complete.
    fn look(&mut self, relative: Arc<Path>, mut pending: Box<Pending>) {
        match self.judge(&relative, &mut pending) {
            Ok((Found::File(file), Verdict::Complete)) => self.hand_over(relative, pending, &file),
            Ok((Found::File(_), Verdict::Wait(until))) => self.tracker.put_back(relative, pending, until),
            Ok((Found::Left(reason), _)) => self.ignore(&relative, reason),
            // A folder took its place.
            Ok((Found::Folder, _)) => self.scan_soon(Instant::now()),
            Err(error) => self.lost_sight(relative, pending, &error),
        }
    }

    /// Whether a file is complete.
    fn judge(&self, relative: &Path, pending: &mut Pending) -> io::Result<(Found, Verdict)> {
        let Some(open) = &self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let path = open.places.root.join(relative);
        let before = match look_at(&open.places, &self.globs, relative)? {
            Found::File(file) => file,
            other => return Ok((other, Verdict::Wait(None))),
        };
        let rule = self.rule();
        let writer = match rule {
            Rule::Closed => writer(before.content(&path)),
            Rule::Quiet => Writer::Unknown,
        };
        if open.remote {
            // NFS may answer with what it knew seconds ago, but asks the server when a file is opened.
            drop(File::open(before.content(&path)));
        }
        let after = match look_at(&open.places, &self.globs, relative)? {
            Found::File(file) => file,
            other => return Ok((other, Verdict::Wait(None))),
        };
        let now = Instant::now();
        pending.looked(after.version, now);
        let still = Stillness { unchanged: before.version == after.version, quiet_at: pending.since + self.quiet };
        Ok((Found::File(after), verdict(rule, writer, pending.writing, &still, now)))
    }

    fn hand_over(&mut self, relative: Arc<Path>, mut pending: Box<Pending>, file: &Candidate) {
        let path = self.root.join(&relative);
        let arrival =
            Arrival { route: Arc::clone(&self.route), path: path.clone(), relative: with_slashes(&relative), identity: file.identity };
        let (reason, again) = match self.arrivals.arrived(arrival) {
            Ok(()) => {
                self.reason = None;
                if pending.taken.is_some_and(|taken| taken.same_file(file.version)) {
                    self.warn_of_growth(&path);
                }
                return self.tracker.taken(relative, file.version);
            }
            Err(ArrivalError::Later) => return self.tracker.put_back(relative, pending, Some(Instant::now() + FIRST_RETRY)),
            Err(ArrivalError::Retry(reason)) => (reason, true),
            Err(ArrivalError::Refused(reason)) => (reason, false),
        };
        if let Err(error) = path.symlink_metadata() {
            return self.lost_sight(relative, pending, &error);
        }
        let route = &self.route.name;
        let known = pending.failure.as_ref().is_some_and(|failure| failure.reason == reason);
        if !known {
            self.metrics.intake_file(route, "error");
        }
        if !again {
            error!(route, path = %path.display(), reason, "a file was not taken, and will not be unless it changes");
            return self.tracker.taken(relative, file.version);
        }
        if !known && self.reason.as_ref() != Some(&reason) {
            warn!(route, path = %path.display(), reason, "a file could not be taken; trying again");
            // What keeps all files from being taken, a full disk say, is said once.
            self.reason = Some(reason.clone());
        }
        let delay = pending.failure.as_ref().map_or(FIRST_RETRY, |failure| failure.delay);
        pending.failure = Some(Box::new(Failure { reason, delay: delay.saturating_mul(2).min(LAST_RETRY) }));
        self.tracker.put_back(relative, pending, Some(Instant::now() + delay));
    }

    /// A file cannot be seen any more: it is gone, or the folder is, or it cannot be read for now.
    fn lost_sight(&mut self, relative: Arc<Path>, pending: Box<Pending>, error: &io::Error) {
        let path = self.root.join(&relative);
        debug!(route = self.route.name, path = %path.display(), %error, "a file is gone before it was taken");
        if error.kind() != io::ErrorKind::NotFound || !self.root.is_dir() {
            self.tracker.put_back(relative, pending, None);
            self.scan_soon(Instant::now());
        }
    }

    fn warn_of_growth(&self, path: &Path) {
        let (route, path) = (&self.route.name, path.display());
        match self.rule() {
            Rule::Closed => warn!(
                route,
                %path,
                "a file changed after it was taken, and was taken again; if its writer closes it in between, set `take = \"quiet\"` and \
                 `quiet_seconds` above its pauses"
            ),
            Rule::Quiet => warn!(
                route,
                %path,
                "a file changed after it was taken, and was taken again; set `quiet_seconds` above the pauses of its writer"
            ),
        }
    }
}

fn with_slashes(relative: &Path) -> String {
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
