//! What an interrupted conversion leaves: the documents that it has published, and nothing else. The folders of those that are not published yet
//! go with the process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The folders that are there now.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often it is tried to remove a folder in which somebody still makes files, and the pause in between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// A temporary folder that goes when this is dropped, and when the process is interrupted.
pub(super) struct Folder(TempDir);

impl Folder {
    /// Makes one.
    ///
    /// # Errors
    /// What `make` says.
    pub(super) fn make(make: impl FnOnce() -> io::Result<TempDir>) -> io::Result<Folder> {
        // Held while it is made: an interruption finds it, or comes before it.
        let mut folders = lock();
        let folder = make()?;
        folders.push(folder.path().to_path_buf());
        Ok(Folder(folder))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is on the list until it is gone: an interruption in between finds it.
        let _ = fs::remove_dir_all(self.0.path());
        lock().retain(|path| path != self.0.path());
    }
}

/// Has the process end cleanly when it is told to: by Ctrl-C with the code 130, by SIGTERM with 143, as shells have it.
///
/// # Errors
/// Where the system cannot tell.
pub(super) fn watch() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        let code = runtime.block_on(signals.any());
        // Nobody makes another folder from here on.
        let folders = lock();
        for folder in folders.iter() {
            for _ in 0..TRIES {
                match fs::remove_dir_all(folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(PAUSE),
                    _ => break,
                }
            }
        }
        std::process::exit(code)
    })?;
    Ok(())
}

struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn any(&mut self) -> i32 {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => 130,
            _ = self.terminate.recv() => 143,
        }
    }

    #[cfg(not(unix))]
    async fn any(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}

/// Nothing that holds this lock can panic.
fn lock() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}
