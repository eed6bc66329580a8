//! The folders that documents go to: made when they are new, and missed when they are gone. A share that is not mounted leaves no folder, or
//! an empty one on the local disk, and neither must be filled in its place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::files;

/// The file in `state_dir` that remembers the folders.
const FILE: &str = "destinations.json";

/// The folders that documents have gone to, by path.
pub(super) struct Landing {
    file: PathBuf,
    state_device: u64,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What is remembered of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// It was on another file system than `state_dir`.
    elsewhere: bool,
}

/// Why a folder is not written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum LandingError {
    #[error("{0} was there and is gone; if it is a share, mount it; if it was removed, make it again")]
    Gone(String),
    #[error(
        "{0} was on another file system and is now on that of state_dir: a share that is not mounted? Mount it; if the folder is meant to be \
         there now, take its line out of {1}"
    )]
    NotMounted(String, String),
    #[error("cannot use the folder {0}: {1}; check that it is a folder, reachable and writable")]
    Io(String, io::Error),
}

impl Landing {
    /// Reads what is remembered.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(state_dir: &Path) -> io::Result<Landing> {
        let file = state_dir.join(FILE);
        let seen = match fs::read(&file) {
            // What cannot be read is remembered anew: it guards against a mistake, and is no record.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Landing { state_device: device(&fs::metadata(state_dir)?), file, seen: Mutex::new(seen) })
    }

    /// Makes sure that a folder is the one that it was before; one that is new is made.
    ///
    /// # Errors
    /// Where it is gone, or no longer where it was.
    pub fn check(&self, folder: &Path) -> Result<(), LandingError> {
        let name = folder.to_string_lossy().into_owned();
        let failed = |error| LandingError::Io(folder.display().to_string(), error);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.get(&name).copied();
        let metadata = match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if before.is_some() {
                    return Err(LandingError::Gone(name));
                }
                files::create_folder(folder).map_err(failed)?;
                fs::metadata(folder).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let now = Seen { elsewhere: device(&metadata) != self.state_device };
        if before.is_some_and(|before| before.elsewhere && !now.elsewhere) {
            return Err(LandingError::NotMounted(name, self.file.display().to_string()));
        }
        if before != Some(now) {
            seen.insert(name, now);
            let text = serde_json::to_vec_pretty(&*seen).unwrap_or_default();
            files::write_whole(&self.file, &text).map_err(|error| LandingError::Io(self.file.display().to_string(), error))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn device(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

/// Windows does not say; a share that is gone has no folder there.
#[cfg(not(unix))]
fn device(_metadata: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_made_and_one_that_is_gone_is_not() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("a/out");
        Landing::open(state.path()).unwrap().check(&folder).unwrap();
        assert!(folder.is_dir());
        fs::remove_dir(&folder).unwrap();
        // After a restart, too.
        let landing = Landing::open(state.path()).unwrap();
        assert!(matches!(landing.check(&folder), Err(LandingError::Gone(_))));
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        landing.check(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_was_on_another_file_system_is_not_taken_for_the_empty_one_below_it() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("mount point");
        fs::create_dir(&folder).unwrap();
        let remembered = format!("{{{:?}: {{\"elsewhere\": true}}}}", folder.display().to_string());
        fs::write(state.path().join(FILE), remembered).unwrap();
        let landing = Landing::open(state.path()).unwrap();
        assert!(matches!(landing.check(&folder), Err(LandingError::NotMounted(..))));
    }

    #[test]
    fn a_file_in_the_folders_place_is_said() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("out"), "").unwrap();
        let landing = Landing::open(state.path()).unwrap();
        assert!(matches!(landing.check(&state.path().join("out")), Err(LandingError::Io(..))));
    }
}
