//! The thread of an intake: hears, scans, and plans when to look at which file.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::Arrivals;
use super::alias::{Aliases, remove_link};
use super::complete::{GRACE, Rule};
use super::examine::{Candidate, Found, look_at};
use super::filter::{Globs, Places};
use super::large::Large;
use super::newest::Newest;
use super::report::Report;
use super::signals::{Change, Heap, Heard, Signals};
use super::tracker::{Pending, Tracker};
use super::watch::{TELLS_CLOSING, Watch};
use crate::config::{Route, Take};
use crate::metrics::Metrics;

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
    pub(super) arrivals: Arc<dyn Arrivals>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) signals: Arc<Signals>,
    pub(super) report: Arc<Report>,
    pub(super) quiet: Duration,
    /// With `take = "superseded"`: how long the newest file must not have changed.
    idle: Duration,
    /// With `take = "superseded"`.
    pub(super) newest: Newest,
    pub(super) aliases: Aliases,
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
    pub(super) reason: Option<String>,
    /// Started for the first large file.
    pub(super) large: Option<Large>,
    /// No file is looked at before this time.
    pub(super) hold_until: Instant,
    /// Why nothing, or little, is taken.
    pub(super) held: Option<String>,
}

impl Folder {
    pub(super) fn new(
        route: Arc<Route>,
        root: PathBuf,
        globs: Globs,
        arrivals: Arc<dyn Arrivals>,
        metrics: Arc<Metrics>,
        signals: Arc<Signals>,
        report: Arc<Report>,
    ) -> Folder {
        let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO);
        let now = Instant::now();
        Folder {
            quiet: seconds(route.intake.quiet_seconds),
            idle: seconds(route.intake.superseded_hours * 3_600.0),
            newest: Newest::default(),
            aliases: Aliases::default(),
            rescan_every: seconds(route.intake.rescan_seconds),
            route,
            root,
            globs: Arc::new(globs),
            arrivals,
            metrics,
            signals,
            report,
            tracker: Tracker::default(),
            open: None,
            appeared: VecDeque::new(),
            next_scan: now,
            may_scan: now,
            up: None,
            hidden: Vec::new(),
            full: false,
            reason: None,
            large: None,
            hold_until: now,
            held: None,
        }
    }

    /// Works until it is stopped. Between two batches that it hands over, it hears what has changed.
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
            if self.open.is_some() {
                self.look_at_due(now);
            }
            self.report.waiting(self.tracker.waiting());
        }
    }

    /// When there is something to do, if nothing is heard before.
    fn next_time(&self) -> Instant {
        let due = if self.open.is_some() { self.tracker.next_due().map(|due| due.max(self.hold_until)) } else { None };
        let appeared = self.appeared.front().map(|(at, _)| *at);
        due.into_iter().chain(appeared).fold(self.next_scan, Instant::min)
    }

    fn apply(&mut self, heap: Heap) {
        let now = Instant::now();
        for answer in heap.answers {
            self.answered_large(answer);
        }
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

    pub(super) fn scan_soon(&mut self, now: Instant) {
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
            Found::Part => {
                self.tracker.forget(relative);
                None
            }
            Found::Alias(file) => {
                let taken = self.tracker.was_taken(file);
                self.aliases.leads(relative, file.clone(), taken);
                self.ignore(relative, "it is a symlink; the file that it leads to is taken itself");
                None
            }
            Found::Dangling => {
                self.dangling(relative);
                None
            }
            Found::Left(reason) => {
                self.ignore(relative, reason);
                None
            }
            Found::File(Candidate { identity, version, .. }) => {
                if self.route.intake.take == Take::Superseded
                    && let Some(pattern) = self.globs.pattern(relative)
                    && let Some(superseded) = self.newest.note(relative, pattern, identity.modified_ns)
                {
                    self.tracker.arm(&superseded, now + self.quiet);
                }
                self.tracker.pending(relative, *version, identity.modified_ns, now)
            }
        }
    }

    /// A symlink leads nowhere: its file was taken and is settled, or it never led anywhere.
    fn dangling(&mut self, relative: &Path) {
        if !self.aliases.dangles(relative) {
            return self.ignore(relative, "it is a symlink that leads nowhere");
        }
        let (route, path) = (&self.route.name, self.root.join(relative));
        match remove_link(&path) {
            Ok(()) => info!(route, path = %path.display(), "removed a symlink: the file that it led to was taken and is settled"),
            Err(error) => info!(route, path = %path.display(), %error, "a symlink leads nowhere: its file was taken and is settled"),
        }
    }

    /// How long a file must not have changed to be complete.
    pub(super) fn still_for(&self, relative: &Path, file: &Candidate, pending: &mut Pending) -> Duration {
        if self.route.intake.take != Take::Superseded {
            return self.quiet;
        }
        let newer = |pattern| self.newest.supersedes(relative, pattern, file.identity.modified_ns);
        pending.superseded |= self.globs.pattern(relative).is_some_and(newer);
        if pending.superseded { self.quiet } else { self.idle }
    }

    fn ignore(&mut self, relative: &Path, reason: &str) {
        if self.tracker.ignored(relative) {
            info!(route = self.route.name, path = %self.root.join(relative).display(), reason, "a file in the intake is left alone");
            self.metrics.intake_file(&self.route.name, "ignored");
        }
    }

    /// Plans when to look at a pending file that a scan came upon, unless that is planned.
    pub(super) fn plan(&mut self, relative: &Path, now: Instant) {
        match self.rule() {
            Rule::Closed => self.tracker.arm_idle(relative, now),
            // What supersedes it may have come since it was looked at.
            Rule::Quiet if self.route.intake.take == Take::Superseded => self.tracker.arm(relative, now + self.quiet),
            Rule::Quiet => self.tracker.arm_idle(relative, now + self.quiet),
        }
    }

    pub(super) fn rule(&self) -> Rule {
        let local = self.open.as_ref().is_some_and(|open| !open.remote);
        // On a share, writers on other machines cannot be seen. Who waits to be superseded may be kept open for long after that.
        if self.route.intake.take == Take::Closed && local { Rule::Closed } else { Rule::Quiet }
    }
}
