//! One daemon per state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The lock on a state folder. The operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Why the state folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error("state_dir {folder} is in use by process {holder}; stop that daemon, or give this one another state_dir (--state DIR)")]
    Held {
        /// The state folder.
        folder: PathBuf,
        /// The process id that the holder wrote down.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}; state_dir must be a local, writable folder")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

/// What the holder of a lock wrote into its file.
fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    // Windows does not let others read a locked file; then the holder stays unknown.
    let _ = file.read_to_string(&mut holder);
    if holder.trim().is_empty() { "unknown".to_owned() } else { holder.trim().to_owned() }
}

impl StateLock {
    /// The process that has a state folder, as it wrote itself down; none where nobody has it.
    ///
    /// # Errors
    /// Where the lock file cannot be used.
    pub fn holder(folder: &Path) -> Result<Option<String>, LockError> {
        let path = folder.join("lock");
        if !path.exists() {
            return Ok(None);
        }
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the lock and writes this process's id into its file.
    ///
    /// # Errors
    /// Where another process has it, or the file cannot be used.
    pub fn acquire(folder: &Path) -> Result<StateLock, LockError> {
        let path = folder.join("lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match try_for_a_moment(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { folder: folder.to_path_buf(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        file.flush().map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}

/// How long a lock may still be held by nobody.
const MOMENT: Duration = Duration::from_secs(1);

/// A daemon that is killed while it starts a child leaves its lock to that child, until the child becomes another program an instant later.
fn try_for_a_moment(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < MOMENT => thread::sleep(MOMENT / 50),
            other => return other,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(folder.path()).unwrap();
        let second = StateLock::acquire(folder.path()).unwrap_err();
        assert!(second.to_string().contains(&format!("in use by process {}", std::process::id())), "{second}");
        drop(first);
        StateLock::acquire(folder.path()).unwrap();
    }
}
