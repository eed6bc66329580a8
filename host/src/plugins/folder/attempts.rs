//! Tries what a plugins folder found: several files at a time, on threads that are gone afterwards. What a result changes is its caller's business.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Folder;
use super::bundled::is_bundled;
use crate::plugins::compiler::CompileError;
use crate::plugins::entry::{Again, Seen};
use crate::plugins::load::{LoadCause, Loader, Source};
use crate::plugins::plugin::Plugin;
use crate::plugins::versions::Rollback;

/// How long until a file is tried again that failed through no fault of its own: it could not be read, say.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// How loading one file ended.
pub(super) enum Attempt {
    Loaded(Box<Plugin>, Held),
    /// What is to run of it runs already.
    Unchanged(Held),
    Refused {
        reason: String,
        again: Option<Again>,
        /// The digest of what it holds, as far as it could be read.
        content: Option<String>,
        /// What runs of it must not go on.
        stops: bool,
    },
    /// A plugin inside this program, and a file has its name.
    Yields {
        content: String,
    },
    /// It changed or went away meanwhile: the next look decides.
    Moving,
}

/// What a file holds.
pub(super) struct Held {
    /// Its digest.
    pub(super) content: String,
    /// Something else is to run.
    pub(super) rolled_back: Option<Rollback>,
    /// The very bytes.
    pub(super) source: Source,
    pub(super) signature: Option<Vec<u8>>,
}

impl Folder {
    /// Tries files, several at a time; the results are in the order of `due`.
    pub(super) fn attempt_all(&self, due: &[(OsString, Seen)]) -> Vec<(Attempt, Duration)> {
        let next = Mutex::new(due.iter().enumerate());
        let results = Mutex::new(BTreeMap::new());
        if let Some(told) = &self.once {
            told(0, due.len());
        }
        let work = || {
            // Taken in a statement of its own, so that the lock is free while the file loads.
            while let Some((index, (name, _))) = { next.lock().unwrap_or_else(PoisonError::into_inner).next() } {
                let started = Instant::now();
                let attempt = self.attempt(name);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(index, (attempt, started.elapsed()));
                if let Some(told) = &self.once {
                    told(results.len(), due.len());
                }
            }
        };
        thread::scope(|scope| {
            // This thread is one of them.
            for _ in 1..due.len().min(self.settings.parallel) {
                scope.spawn(work);
            }
            work();
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn attempt(&self, name: &OsStr) -> Attempt {
        let loader = Loader { sandbox: &self.sandbox, cache: &self.cache, stop: &self.stop, settings: &self.settings };
        let running = self.files.get(name).and_then(|entry| entry.running.as_ref());
        let mut content = None;
        let mut load = || {
            let examined = match self.bundled(name) {
                Some(bundled) => loader.examine_bundled(bundled)?,
                None => loader.examine(&self.folder.join(name))?,
            };
            let digest = examined.digest.clone();
            content = Some(digest.clone());
            let rollback = self.rollbacks.get(&digest);
            let wanted = rollback.map_or(&digest, |rollback| &rollback.digest);
            let plugin = match rollback {
                _ if running.is_some_and(|running| running.digest == *wanted) => {
                    self.check_trust(&loader, &examined, rollback)?;
                    None
                }
                Some(rollback) => Some(self.load_earlier(&loader, rollback)?),
                None => Some(loader.load(&examined)?),
            };
            let held = Held { content: digest, rolled_back: rollback.cloned(), source: examined.source, signature: examined.signature };
            Ok(match plugin {
                Some(plugin) => Attempt::Loaded(Box::new(plugin), held),
                None => Attempt::Unchanged(held),
            })
        };
        match load() {
            Ok(attempt) => attempt,
            Err(LoadCause::Changed | LoadCause::Compile(CompileError::Changed | CompileError::Stopped)) => Attempt::Moving,
            // Not a link that leads nowhere: that stays.
            Err(LoadCause::Io(error))
                if error.kind() == io::ErrorKind::NotFound
                    && !is_bundled(name)
                    && fs::symlink_metadata(self.folder.join(name)).is_err() =>
            {
                Attempt::Moving
            }
            Err(cause) => {
                let environment = match &cause {
                    // A key may come to be trusted.
                    LoadCause::Io(_) | LoadCause::Compiled(_) | LoadCause::Signature(_) | LoadCause::Distrusted(_) => true,
                    LoadCause::Compile(error) => error.is_passing(),
                    _ => false,
                };
                let again = environment.then(|| Again::At(Instant::now() + TRY_AGAIN));
                let stops = matches!(cause, LoadCause::Distrusted(_));
                Attempt::Refused { reason: cause.to_string(), again, content, stops }
            }
        }
    }
}
