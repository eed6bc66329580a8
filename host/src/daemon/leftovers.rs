//! Folders that hold files for jobs, each named by its job: those of jobs that nobody knows any more go.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::queue::{JobId, POSTED_FILE, Store};

/// While the daemon runs, a folder that is younger may be one whose job is about to be queued.
pub(super) const WHILE_RUNNING: Duration = Duration::from_secs(3_600);

/// Removes the folders in `folder` whose jobs the queue does not know, not even in its history, and that are at least so old: a crash left
/// them, or the history has forgotten them. Those that say which job they are for stay, whatever the queue knows.
///
/// # Errors
/// What the file system or the queue says.
pub(super) fn remove(folder: &Path, store: &Store, at_least: Duration) -> anyhow::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.path().join(POSTED_FILE).exists() {
            continue;
        }
        let id = entry.file_name().to_str().map(|name| JobId::from_stored(name.into()));
        if id.map(|id| store.digest_of(&id)).transpose()?.flatten().is_some() {
            continue;
        }
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|modified| SystemTime::now().duration_since(modified));
        // A time in the future says nothing; then the next start decides.
        if at_least.is_zero() || age.is_ok_and(|age| age.is_ok_and(|age| age >= at_least)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn young_folders_stay_while_the_daemon_runs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("queue.db")).unwrap().store;
        let folder = dir.path().join("uploads");
        remove(&folder, &store, Duration::ZERO).unwrap();
        fs::create_dir_all(folder.join("coming-1")).unwrap();
        remove(&folder, &store, WHILE_RUNNING).unwrap();
        assert!(folder.join("coming-1").exists());
        remove(&folder, &store, Duration::ZERO).unwrap();
        assert!(!folder.join("coming-1").exists());
    }
}
