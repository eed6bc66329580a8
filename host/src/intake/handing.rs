//! Looks at files whose time has come, and hands those over that are complete: what is due together goes together.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::complete::{Rule, Stillness, Verdict, verdict};
use super::examine::{Candidate, Found, look_at};
use super::folder::Folder;
use super::kin::Part;
use super::large::{Answer, LARGE_BYTES, Large};
use super::tracker::{Failure, Pending, Version};
use super::writer::{Writer, writer};
use super::{Arrival, ArrivalError, ArrivedMember, Room};
use crate::events::{Event, short};

/// Between the first failure to hand a file over and the next try; it doubles from failure to failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest time between two tries.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How many files are handed over together at most, so that what is heard meanwhile does not wait for long.
const BATCH: usize = 256;

/// How many bytes are handed over together at most; a file that passes this is the last of its batch.
const BATCH_BYTES: u64 = 32 << 20;

/// How many files are looked at for a batch at most: not every one is complete.
const LOOKS: usize = 4 * BATCH;

/// How many files are handed over together while room is scarce, and the pause after them: about a tenth of what goes otherwise.
const SCARCE_BATCH: usize = 16;
const SCARCE_PAUSE: Duration = Duration::from_millis(250);

/// The pause before it is asked again whether there is room.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(500);

/// The pause of a large file that waits until the one before it was read.
const LARGE_PAUSE: Duration = Duration::from_millis(200);

/// A file that is complete, on its way.
pub(super) struct Ready {
    relative: Arc<Path>,
    pending: Box<Pending>,
    version: Version,
    pub(super) arrival: Arrival,
}

impl Folder {
    /// Looks at the files that are due, at most a batch of them, and hands over those that are complete.
    pub(super) fn look_at_due(&mut self, now: Instant) {
        if self.hold_until > now || self.tracker.next_due().is_none_or(|due| due > now) {
            return;
        }
        let batch = match self.arrivals.room(&self.route.name) {
            Room::Free => BATCH,
            Room::Scarce(reason) => {
                self.hold(now + SCARCE_PAUSE, Some(reason));
                SCARCE_BATCH
            }
            Room::None(reason) => return self.hold(now + NO_ROOM_PAUSE, Some(reason)),
        };
        if batch == BATCH {
            self.hold(now, None);
        }
        let (mut ready, mut bytes, mut looks) = (Vec::new(), 0, 0);
        while ready.len() < batch
            && bytes < BATCH_BYTES
            && looks < LOOKS
            && let Some((relative, pending)) = self.tracker.take_due(now)
        {
            looks += 1;
            let Some(complete) = self.look(relative, pending) else { continue };
            let size = complete.arrival.bytes();
            if size > LARGE_BYTES {
                self.hand_over_large(complete);
            } else {
                bytes += size;
                ready.push(complete);
            }
        }
        self.hand_over(ready);
    }

    /// Looks at no file before this time.
    fn hold(&mut self, until: Instant, reason: Option<String>) {
        self.hold_until = until;
        let (route, path) = (&self.route.name, self.root.display());
        match (&self.held, &reason) {
            (None, Some(reason)) => {
                warn!(route, %path, reason, "the intake is held back; its files wait where they are");
                self.metrics.tell(|| Event::IntakeHeldBack { route: route.clone(), reason: short(reason) });
            }
            (Some(_), None) => {
                info!(route, %path, "the intake is held back no longer");
                self.metrics.tell(|| Event::IntakeGoesOn { route: route.clone() });
            }
            _ => {}
        }
        self.report.held_back(reason.as_deref());
        self.held = reason;
    }

    /// Looks at a file whose time has come. Gives it if it is complete.
    fn look(&mut self, relative: Arc<Path>, mut pending: Box<Pending>) -> Option<Ready> {
        match self.judge(&relative, &mut pending) {
            Ok((Found::File(file), Verdict::Complete)) => return Some(self.ready(relative, pending, &file)),
            Ok((Found::File(_), Verdict::Wait(until))) => self.tracker.put_back(relative, pending, until),
            // Something else took its place.
            Ok((Found::Folder, _)) => self.scan_soon(Instant::now()),
            Ok((other, _)) => drop(self.notice(&relative, &other, Instant::now())),
            Err(error) => self.lost_sight(relative, pending, &error),
        }
        None
    }

    fn ready(&self, relative: Arc<Path>, pending: Box<Pending>, file: &Candidate) -> Ready {
        let arrival = Arrival {
            route: Arc::clone(&self.route),
            path: self.root.join(&relative),
            relative: with_slashes(&relative),
            identity: file.identity,
            members: file.parts.iter().map(|part| self.member(&relative, part)).collect(),
        };
        Ready { relative, pending, version: file.version, arrival }
    }

    fn member(&self, relative: &Path, part: &Part) -> ArrivedMember {
        let path = self.root.join(relative).with_file_name(&part.name);
        ArrivedMember { name: with_slashes(&part.name), path, identity: part.identity }
    }

    /// Whether someone writes to a file or to one that belongs to it.
    fn writer(&self, path: &Path, parts: &[Part]) -> Writer {
        let mut found = writer(path);
        for part in parts {
            match (found, writer(&path.with_file_name(&part.name))) {
                (Writer::Present, _) => break,
                (_, Writer::Present) => found = Writer::Present,
                (Writer::None, Writer::Unknown) => found = Writer::Unknown,
                _ => {}
            }
        }
        found
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
            Rule::Closed => self.writer(&path, &before.parts),
            Rule::Quiet => Writer::Unknown,
        };
        if open.remote {
            // NFS may answer with what it knew seconds ago, but asks the server when a file is opened.
            drop(File::open(&path));
        }
        let after = match look_at(&open.places, &self.globs, relative)? {
            Found::File(file) => file,
            other => return Ok((other, Verdict::Wait(None))),
        };
        let now = Instant::now();
        pending.looked(after.version, now);
        let quiet_at = pending.since + self.still_for(relative, &after, pending);
        let still = Stillness { unchanged: before.version == after.version, quiet_at };
        let verdict = match verdict(rule, writer, pending.writing, &still, now) {
            Verdict::Complete if self.globs.kin.must_be_quiet() && now < quiet_at => Verdict::Wait(Some(quiet_at)),
            other => other,
        };
        Ok((Found::File(after), verdict))
    }

    fn hand_over(&mut self, ready: Vec<Ready>) {
        if ready.is_empty() {
            return;
        }
        let arrivals: Vec<Arrival> = ready.iter().map(|ready| ready.arrival.clone()).collect();
        let mut answers = self.arrivals.arrived(&arrivals).into_iter();
        for ready in ready {
            let answer = answers.next().unwrap_or(Err(ArrivalError::Later));
            self.answered(ready, answer);
        }
    }

    /// Has a large file handed over by the thread for such. Until that answers, the file counts as handed over.
    fn hand_over_large(&mut self, ready: Ready) {
        if self.large.is_none() {
            match Large::start(&self.route.name, Arc::clone(&self.arrivals), Arc::clone(&self.signals)) {
                Ok(large) => self.large = Some(large),
                Err(error) => {
                    warn!(route = self.route.name, %error, "cannot start a thread for a large file; other files wait until it was read");
                    return self.hand_over(vec![ready]);
                }
            }
        }
        let (relative, version) = (Arc::clone(&ready.relative), ready.version);
        match self.large.as_ref().and_then(|large| large.hand_over(ready)) {
            Some(ready) => self.tracker.put_back(ready.relative, ready.pending, Some(Instant::now() + LARGE_PAUSE)),
            None => self.tracker.taken(relative, version),
        }
    }

    /// What became of a large file. If it changed or went meanwhile, the answer is of the past.
    pub(super) fn answered_large(&mut self, (ready, answer): Answer) {
        if self.tracker.is_taken(&ready.relative, ready.version) {
            self.answered(ready, answer);
        }
    }

    fn answered(&mut self, ready: Ready, answer: Result<(), ArrivalError>) {
        let Ready { relative, mut pending, version, arrival } = ready;
        let (reason, again) = match answer {
            Ok(()) => {
                self.reason = None;
                self.aliases.taken(&relative);
                if pending.taken.is_some_and(|taken| taken.same_file(version)) {
                    self.warn_of_growth(&arrival.path);
                }
                return self.tracker.taken(relative, version);
            }
            Err(ArrivalError::Later) => return self.tracker.put_back(relative, pending, Some(Instant::now() + FIRST_RETRY)),
            Err(ArrivalError::Retry(reason)) => (reason, true),
            Err(ArrivalError::Refused(reason)) => (reason, false),
        };
        if let Err(error) = arrival.path.symlink_metadata() {
            return self.lost_sight(relative, pending, &error);
        }
        let (route, path) = (&self.route.name, arrival.path.display());
        let known = pending.failure.as_ref().is_some_and(|failure| failure.reason == reason);
        if !known {
            self.metrics.intake_file(route, "error");
            self.report.trouble(&arrival.relative, &reason);
            let (route, file) = (route.clone(), arrival.relative.clone());
            self.metrics.tell(|| Event::IntakeTrouble { route, file, reason: short(&reason) });
        }
        if !again {
            error!(route, %path, reason, "a file was not taken, and will not be unless it changes");
            return self.tracker.taken(relative, version);
        }
        if !known && self.reason.as_ref() != Some(&reason) {
            warn!(route, %path, reason, "a file could not be taken; trying again");
            // What keeps all files from being taken is said once.
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
        } else {
            self.tracker.forget(&relative);
        }
    }

    fn warn_of_growth(&self, path: &Path) {
        let (route, path) = (&self.route.name, path.display());
        match self.rule() {
            Rule::Closed => warn!(
                route,
                %path,
                "a file changed after it was taken, and was taken again; if its writer closes it in between, set `take = \"quiet\"` and \
                 `quiet_seconds` above its pauses, or `take = \"superseded\"` if it is appended to all day"
            ),
            Rule::Quiet => warn!(
                route,
                %path,
                "a file changed after it was taken, and was taken again; set `quiet_seconds` above the pauses of its writer, or \
                 `take = \"superseded\"` if it is appended to all day"
            ),
        }
    }
}

fn with_slashes(relative: &Path) -> String {
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
