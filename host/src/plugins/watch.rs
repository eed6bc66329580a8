//! Keeps a plugins folder up to date on a thread of its own: events make it quick, a rescan makes it certain.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::metrics::Metrics;
use crate::sandbox::Sandbox;

use super::folder::Folder;
use super::private::PrivateFolderError;
use super::registry::Registry;
use super::settings::LoadSettings;

/// How often the folder is looked at where no event came: network shares send none, and any queue of events can overflow.
const RESCAN: Duration = Duration::from_secs(2);

/// How soon a file is looked at again that was not settled.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Events that come within this time are handled together: a file that is being written sends one with every write.
const GATHER: Duration = Duration::from_millis(50);

/// Events that wait. More are dropped: any of them makes the whole folder be looked at.
const MAX_EVENTS: usize = 1024;

/// Why plugins cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// The file system said no.
    #[error("cannot {doing} the plugins folder {}: {error}; check `plugins_dir` or `--plugins`", path.display())]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the file system said.
        error: io::Error,
    },
    /// No place for compiled code.
    #[error(transparent)]
    Compiled(#[from] PrivateFolderError),
    /// No thread.
    #[error("cannot start the thread that watches plugins: {0}")]
    Thread(io::Error),
}

/// A plugins folder that is kept up to date until it is stopped.
pub struct PluginFolder {
    registry: Arc<Registry>,
    stop: Arc<AtomicBool>,
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
}

/// Something happened in the folder, or the thread shall look up.
struct Event {
    /// Files whose writers have finished.
    closed: Vec<OsString>,
}

impl PluginFolder {
    /// Creates the folder where it is missing, loads everything that is there, and watches it from then on. It returns when each file is
    /// loaded or refused. `on_change` is called, on the folder's thread, after
    /// the set of running plugins has changed.
    ///
    /// # Errors
    /// Where the folder or the cache cannot be used. A plugin that does not load is no error: it is logged, counted, and in
    /// [`Registry::status`].
    pub fn start(
        folder: PathBuf,
        sandbox: Arc<Sandbox>,
        settings: impl Into<LoadSettings>,
        metrics: Arc<Metrics>,
        on_change: Box<dyn Fn() + Send + Sync>,
    ) -> Result<PluginFolder, PluginsError> {
        let failed = |doing| {
            let path = folder.clone();
            move |error| PluginsError::Folder { doing, path, error }
        };
        std::fs::create_dir_all(&folder).map_err(failed("create"))?;
        let (events, received) = crossbeam_channel::bounded(MAX_EVENTS);
        // It watches before the first look, so that nothing falls between the two.
        let mut watch = Watch { folder: folder.clone(), events: events.clone(), watched: None, failing: false };
        watch.renew();
        let mut state = Folder::new(&folder, sandbox, settings.into(), Some(metrics))?;
        state.load_all().map_err(failed("list"))?;
        state.remember_all();
        let (registry, stop) = (state.registry(), state.stopper());
        let run = move || run(state, watch, &received, on_change.as_ref());
        let thread = thread::Builder::new().name("plugins".to_owned()).spawn(run).map_err(PluginsError::Thread)?;
        Ok(PluginFolder { registry, stop, events, thread: Some(thread) })
    }

    /// What runs.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Ends the watching, and a load that is under way. What is loaded stays in the registry.
    pub fn stop(self) {}
}

impl Drop for PluginFolder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full queue wakes the thread too.
        let _ = self.events.try_send(Event { closed: Vec::new() });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut folder: Folder, mut watch: Watch, events: &Receiver<Event>, on_change: &(dyn Fn() + Send + Sync)) {
    let stop = folder.stopper();
    let mut wait = RESCAN;
    let mut unreadable = false;
    loop {
        let mut closed = BTreeSet::new();
        // `watch` holds a sender, so there is no other error than time.
        if let Ok(event) = events.recv_timeout(wait) {
            closed.extend(event.closed);
            if !stop.load(Ordering::Relaxed) {
                thread::sleep(GATHER);
            }
            closed.extend(events.try_iter().flat_map(|event| event.closed));
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        watch.renew();
        match folder.update(&closed) {
            Ok(update) => {
                unreadable = false;
                wait = if update.unsettled { LOOK_AGAIN } else { RESCAN };
                if update.changed {
                    on_change();
                }
                folder.remember_all();
            }
            Err(error) => {
                wait = RESCAN;
                if !unreadable {
                    tracing::warn!(
                        folder = %watch.folder.display(),
                        "the plugins folder cannot be listed ({error}): what is loaded goes on running, and the folder is tried again"
                    );
                }
                unreadable = true;
            }
        }
    }
}

/// The subscription to events. It is renewed when the folder was replaced by another of its name.
struct Watch {
    folder: PathBuf,
    events: Sender<Event>,
    watched: Option<(FolderId, RecommendedWatcher)>,
    /// Watching failed before, and was reported.
    failing: bool,
}

/// Device and inode, where the platform has them.
type FolderId = (u64, u64);

impl Watch {
    fn renew(&mut self) {
        let id = folder_id(&self.folder);
        if id.is_some() && self.watched.as_ref().map(|(id, _)| *id) == id {
            return;
        }
        self.watched = None;
        let Some(id) = id else { return };
        match self.subscribe() {
            Ok(watcher) => {
                self.watched = Some((id, watcher));
                self.failing = false;
            }
            Err(error) => {
                if !self.failing {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        "the plugins folder sends no events ({error}): it is looked at every {} s instead", RESCAN.as_secs()
                    );
                }
                self.failing = true;
            }
        }
    }

    fn subscribe(&self) -> notify::Result<RecommendedWatcher> {
        let events = self.events.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let closed = match event {
                Ok(event) if !is_change(&event.kind) => return,
                Ok(event) => closed(&event),
                Err(_) => Vec::new(),
            };
            // When the queue is full, whoever reads it looks at the whole folder anyway; what was closed settles by itself.
            let _ = events.try_send(Event { closed });
        })?;
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

/// Whether the folder may hold something else now. Every look at the folder opens it, and that is an event too.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

/// The names of files that are complete after this event: closed by who wrote them, or moved here.
fn closed(event: &notify::Event) -> Vec<OsString> {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            event.paths.iter().filter_map(|path| path.file_name().map(OsString::from)).collect()
        }
        _ => Vec::new(),
    }
}

fn folder_id(folder: &Path) -> Option<FolderId> {
    let metadata = std::fs::metadata(folder).ok()?;
    #[cfg(unix)]
    let id = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let id = {
        let _ = metadata;
        (0, 0)
    };
    Some(id)
}

#[cfg(test)]
mod tests {
    use notify::event::CreateKind;

    use super::*;

    #[test]
    fn a_look_at_the_folder_is_no_change() {
        assert!(!is_change(&EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(&EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_change(&EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(&EventKind::Create(CreateKind::File)));
    }
}
