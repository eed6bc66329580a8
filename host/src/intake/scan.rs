//! Looks at the whole folder: opens it, sees every file in it, and notes those that are gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};
use walkdir::WalkDir;

use super::examine::examine;
use super::filter::Places;
use super::folder::{Folder, Open};
use super::watch::{Watch, is_remote};
use crate::config;
use crate::events::{Event, short};
use crate::identity::FileIdentity;

/// A scan takes at most this part of the time: on a slow share they are further apart.
const SCAN_SHARE: u32 = 20;

/// How many unreadable places a scan remembers. Beyond it, it takes nothing for gone.
const MAX_HIDDEN: usize = 1_000;

/// From the end of a scan that took so long to the next one, where they are to be `every` apart.
fn pause(every: Duration, took: Duration) -> Duration {
    every.max(took.saturating_mul(SCAN_SHARE))
}

impl Folder {
    /// Opens the folder if need be, and scans it.
    pub(super) fn rescan(&mut self) {
        let started = Instant::now();
        match self.reopen().and_then(|()| self.scan(Path::new(""), started)) {
            Ok(()) => self.report_up(),
            Err(error) => {
                self.open = None;
                self.report_down(&error);
            }
        }
        let took = started.elapsed();
        self.may_scan = Instant::now() + took;
        self.next_scan = Instant::now() + pause(self.rescan_every, took);
    }

    /// Makes sure that the folder is there, and that it is the one that is watched.
    fn reopen(&mut self) -> io::Result<()> {
        let metadata = match self.root.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.route.intake.create => {
                std::fs::create_dir_all(&self.root)?;
                self.root.metadata()?
            }
            other => other?,
        };
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let FileIdentity { device, inode, .. } = FileIdentity::of(&metadata);
        if self.open.as_ref().is_some_and(|open| open.identity == (device, inode)) {
            return Ok(());
        }
        // Whatever was heard came from another folder.
        self.tracker.distrust();
        let places = Arc::new(Places::new(&self.route, &self.root)?);
        let remote = is_remote(&self.root);
        let native = match self.route.intake.watch {
            config::Watch::Auto => !remote,
            config::Watch::Native => true,
            config::Watch::Poll => false,
        };
        let watch = if native { self.watch(&places) } else { None };
        info!(route = self.route.name, path = %self.root.display(), notices = watch.is_some(), remote, "watching the folder");
        self.open = Some(Open { places, identity: (device, inode), remote, _watch: watch });
        Ok(())
    }

    fn watch(&self, places: &Arc<Places>) -> Option<Watch> {
        let route = &self.route;
        Watch::start(&route.name, Arc::clone(places), Arc::clone(&self.globs), route.intake.recursive, Arc::clone(&self.signals))
            .inspect_err(|error| {
                warn!(
                    route = route.name,
                    path = %self.root.display(),
                    %error,
                    "the file system gives no notices of new files: they are noticed by the rescan only; `watch = \"poll\"` silences this"
                );
            })
            .ok()
    }

    /// Looks at every file at or below `below`. A scan of everything forgets the files that are gone.
    pub(super) fn scan(&mut self, below: &Path, started: Instant) -> io::Result<()> {
        let Some(places) = self.open.as_ref().map(|open| Arc::clone(&open.places)) else { return Ok(()) };
        let globs = Arc::clone(&self.globs);
        let everything = below.as_os_str().is_empty();
        let base = if everything { places.root.clone() } else { places.root.join(below) };
        if everything {
            self.tracker.begin_scan();
            self.newest.clear();
        }
        let depth = if self.route.intake.recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(base).min_depth(1).max_depth(depth).into_iter();
        let mut hidden = Vec::new();
        for entry in walk.filter_entry(|entry| places.relative(entry.path()).is_some_and(|relative| !places.never(&globs, relative))) {
            if self.signals.stopping() {
                return Ok(());
            }
            let seen = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
            let (metadata, entry) = match seen {
                Ok(seen) => seen,
                Err(error) if error.depth() == 0 => return Err(error.into()),
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => {
                    self.hide(&places, &mut hidden, &error);
                    continue;
                }
            };
            if let Some(relative) = places.relative(entry.path()) {
                let found = examine(&places, &globs, relative, &metadata);
                if self.notice(relative, &found, started).is_some() {
                    self.plan(relative, started);
                }
            }
        }
        if everything {
            self.tracker.sweep(|path| hidden.iter().any(|hidden| path.starts_with(hidden)));
            self.hidden = hidden;
            self.report.failing(self.tracker.failing());
            self.report_full();
        }
        Ok(())
    }

    /// Notes a place that cannot be read: its files are not gone.
    fn hide(&self, places: &Places, hidden: &mut Vec<PathBuf>, error: &walkdir::Error) {
        let place = error.path().and_then(|path| places.relative(path)).unwrap_or(Path::new(""));
        // The empty path is above everything.
        let place = if hidden.len() < MAX_HIDDEN { place } else { Path::new("") };
        if hidden.iter().any(|known| place == known) {
            return;
        }
        if !self.hidden.iter().any(|known| place == known) {
            let path = places.root.join(place);
            warn!(route = self.route.name, path = %path.display(), %error, "cannot read a part of the intake; its files wait");
        }
        hidden.push(place.to_owned());
    }

    fn report_up(&mut self) {
        if self.up == Some(false) {
            info!(route = self.route.name, path = %self.root.display(), "the intake's folder is back");
        }
        if self.up != Some(true) {
            self.up = Some(true);
            self.metrics.intake_up(&self.route.name, true);
            self.metrics.tell(|| Event::IntakeUp { route: self.route.name.clone() });
        }
    }

    fn report_down(&mut self, error: &io::Error) {
        let (route, path) = (&self.route.name, self.root.display());
        if self.up == Some(false) {
            debug!(route, %path, %error, "the intake's folder is still not there or not readable");
            return;
        }
        let every = Duration::as_secs_f64(&self.rescan_every);
        warn!(route, %path, %error, "cannot read the intake's folder; trying again every {every} s: mend the path or the share, or set `create = true`");
        self.up = Some(false);
        self.metrics.intake_up(route, false);
        self.metrics.tell(|| Event::IntakeDown { route: route.clone(), reason: short(&error.to_string()) });
    }

    fn report_full(&mut self) {
        let full = self.tracker.full();
        if full && !self.full {
            warn!(
                route = self.route.name,
                path = %self.root.display(),
                "there are more files in the intake than are watched at a time; the others wait until some have gone"
            );
        }
        self.full = full;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_takes_long_stretches_the_pause_to_twenty_times_that() {
        let seconds = Duration::from_secs;
        for (took, expected) in [
            (Duration::ZERO, seconds(5)),
            (Duration::from_millis(250), seconds(5)),
            (Duration::from_millis(251), Duration::from_millis(5_020)),
            (seconds(60), seconds(1_200)),
            (Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(pause(seconds(5), took), expected, "{took:?}");
        }
    }
}
