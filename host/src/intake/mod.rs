//! Watched folders: finds the files of a route, waits until each is complete, and hands it over. It must not know what becomes of a file: not
//! the queue, not the converters, and it never moves, changes or deletes one, but for a symlink whose file is settled.
//!
//! One thread per route does everything but listen to the file system and wait for large files to be read:
//!
//! ```text
//! watch ──changes──▶ Signals ──▶ Folder (the thread) ──Arrivals──▶ queue
//!                       ▲          │ scan: every file, every few seconds
//!                       │          │ look: the files whose time has come: which are complete?
//!                       │          │ Tracker: what is known of each file, and when to look at it next
//!                       └─answers──┴ Large: reads one large file at a time
//! ```
//!
//! What the file system tells is a hint about where to look at once. What a scan finds counts as well, so that nothing is lost with a hint.

mod alias;
mod complete;
mod examine;
mod filter;
mod folder;
mod handing;
mod kin;
mod large;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod lease;
mod newest;
mod report;
mod scan;
mod signals;
mod tracker;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::config::{PatternError, Route};
use crate::metrics::Metrics;

pub use crate::identity::FileIdentity;
pub use filter::PRIVATE_PREFIX;
pub use report::{Report, Sight, Trouble};
pub use watch::is_remote;

use filter::Globs;
use folder::Folder;
use signals::Signals;

/// A file that is complete.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The route whose intake it is in.
    pub route: Arc<Route>,
    /// Where it is: an absolute path.
    pub path: PathBuf,
    /// The same below the intake's folder, with `/`; what is not UTF-8 in it is replaced by U+FFFD.
    pub relative: String,
    /// Which file, in which state, was found complete. What is opened under `path` and is not this has taken its place meanwhile, and may not
    /// even be in the intake's folder.
    pub identity: FileIdentity,
    /// The files that belong to it, complete as well, in the order of their names.
    pub members: Vec<ArrivedMember>,
}

/// A file that belongs to one that is complete.
#[derive(Debug, Clone)]
pub struct ArrivedMember {
    /// Its path below the file's folder, with `/`; what is not UTF-8 in it is replaced by U+FFFD.
    pub name: String,
    /// Where it is: an absolute path.
    pub path: PathBuf,
    /// Which file, in which state.
    pub identity: FileIdentity,
}

impl Arrival {
    /// The bytes of the file and of those that belong to it.
    pub fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.identity.size).sum::<u64>().saturating_add(self.identity.size)
    }
}

/// Takes complete files.
pub trait Arrivals: Send + Sync {
    /// Takes `arrivals`, files of one route in the order in which they are to be converted, and gives an answer for each, in their order. Those
    /// that were taken are durable when this returns; it may take its time. It is not called again for a file that was taken while that stays
    /// as it is. Counts files as `queued` or `duplicate`; the intake counts `ignored` and `error`.
    ///
    /// An error says why a file was not taken, and whether it is to be offered again. A file that is gone by then is forgotten, whatever the
    /// error.
    fn arrived(&self, arrivals: &[Arrival]) -> Vec<Result<(), ArrivalError>>;

    /// Whether there is room for more files of a route. Asked before every batch, so it is quick.
    fn room(&self, _route: &str) -> Room {
        Room::Free
    }
}

/// Whether there is room for more files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// For all that come.
    Free,
    /// Take them slowly; why.
    Scarce(String),
    /// Take none for now; why.
    None(String),
}

/// Why a file was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalError {
    /// It may go better later: the file is offered again, after 1 s at first and every 60 s in the end.
    #[error("{0}")]
    Retry(String),
    /// The file was taken before and is about to be moved away; whoever puts it back in that moment means it to be taken again. It is
    /// offered again after 1 s, if it is still there, and nothing is said.
    #[error("an earlier job of this file is about to end")]
    Later,
    /// The file will not be taken as it is: it is offered again when it has changed.
    #[error("{0}")]
    Refused(String),
}

/// Why an intake could not start. A folder that is missing is no such reason: it is waited for.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A pattern of the configuration is malformed.
    #[error("route `{route}`: the intake's pattern is not one: {source}; mend it in `include`, `exclude` or `temporary_names`")]
    Pattern {
        /// The route's name.
        route: String,
        /// What is wrong with which pattern.
        source: PatternError,
    },
    /// Files would come back as soon as they are settled.
    #[error("route `{route}`: `{key}` is the intake's own folder {path}, so that nothing in it could ever be taken; name another folder")]
    OwnFolder {
        /// The route's name.
        route: String,
        /// The key of the configuration.
        key: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// The system did not give what a watcher needs.
    #[error("route `{route}`: cannot start to watch {path}: {source}")]
    Start {
        /// The route's name.
        route: String,
        /// The intake's folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The intake of one route, running. Dropping it stops it.
pub struct Intake {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

impl Intake {
    /// Tries whether the intake of a route could start.
    ///
    /// # Errors
    /// As [`Intake::start`].
    pub fn check(route: &Route) -> Result<(), IntakeError> {
        Globs::new(&route.intake).map_err(|source| IntakeError::Pattern { route: route.name.clone(), source })?;
        root(route).map(drop)
    }

    /// Begins to watch the folder of `route`. Files that are in it already count, the oldest first.
    ///
    /// # Errors
    /// [`IntakeError`]; not for a folder that is missing or cannot be read, which is reported and waited for.
    pub fn start(
        route: Arc<Route>,
        arrivals: Arc<dyn Arrivals>,
        metrics: Arc<Metrics>,
        report: Arc<Report>,
    ) -> Result<Intake, IntakeError> {
        let globs = Globs::new(&route.intake).map_err(|source| IntakeError::Pattern { route: route.name.clone(), source })?;
        let failed = |source| IntakeError::Start { route: route.name.clone(), path: route.intake.path.clone(), source };
        let root = root(&route)?;
        let signals = Arc::new(Signals::default());
        let name = format!("intake {}", route.name);
        let folder = Folder::new(Arc::clone(&route), root, globs, arrivals, metrics, Arc::clone(&signals), report);
        let thread = thread::Builder::new().name(name).spawn(move || folder.run()).map_err(failed)?;
        Ok(Intake { signals, thread: Some(thread) })
    }

    /// Takes nothing new, and returns when the thread has ended: at once, or when the [`Arrivals::arrived`] that is running returns.
    pub fn stop(self) {}
}

/// Makes the folders of routes whose folders are to be made, so that files can be put there before anything is taken. On a thread of its own,
/// since a share may hang; what cannot be made, its intake says.
pub fn make_folders(routes: &[Route]) {
    let folders: Vec<PathBuf> =
        routes.iter().filter(|route| route.intake.has_folder() && route.intake.create).map(|route| route.intake.path.clone()).collect();
    let make = move || folders.iter().for_each(|folder| _ = std::fs::create_dir_all(folder));
    _ = thread::Builder::new().name("make inboxes".to_owned()).spawn(make);
}

/// The folder of a route, as an absolute path.
fn root(route: &Route) -> Result<PathBuf, IntakeError> {
    let failed = |source| IntakeError::Start { route: route.name.clone(), path: route.intake.path.clone(), source };
    let root = std::path::absolute(&route.intake.path).map_err(failed)?;
    for (key, dir) in [("done", route.intake.done_dir()), ("failed", route.intake.failed_dir())] {
        if std::path::absolute(dir).map_err(failed)? == root {
            return Err(IntakeError::OwnFolder { route: route.name.clone(), key, path: root });
        }
    }
    Ok(root)
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.signals.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("an intake's thread panicked; its folder is no longer watched");
        }
    }
}
