//! Folders for what is run or decides what is run: they belong to this user, and to nobody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no private folder.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFolderError {
    /// The file system said no.
    #[error("cannot {doing} {}: {error}; the state folder must be a writable local folder", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the file system said.
        error: io::Error,
    },
    /// Somebody else could put code there.
    #[error("{0} belongs to another user (or is no folder), who could put code into it: remove it, or choose another state folder")]
    Foreign(PathBuf),
}

/// Creates a folder for this user alone, or makes sure that it is one. What stood open to others is emptied: they may have put code there.
///
/// # Errors
/// [`PrivateFolderError`].
#[cfg(unix)]
pub fn open(folder: &Path) -> Result<(), PrivateFolderError> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

    let failed = |doing| move |error| PrivateFolderError::Io { doing, path: folder.to_owned(), error };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(failed("create the parent of"))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create")(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(failed("examine"))?;
    if !is_own_folder(folder) {
        return Err(PrivateFolderError::Foreign(folder.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed("make private"))?;
    }
    if metadata.mode() & 0o022 != 0 {
        for entry in fs::read_dir(folder).map_err(failed("list"))?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        tracing::warn!(folder = %folder.display(), "other users could write to this folder: it was emptied and made private");
    }
    Ok(())
}

/// Elsewhere the state folder is in the user's profile, whose access list the folder inherits.
///
/// # Errors
/// [`PrivateFolderError::Io`].
#[cfg(not(unix))]
pub fn open(folder: &Path) -> Result<(), PrivateFolderError> {
    fs::create_dir_all(folder).map_err(|error| PrivateFolderError::Io { doing: "create", path: folder.to_owned(), error })
}

/// Whether it is a folder of this user's, which [`open`] takes: root can write to those of others too.
pub fn is_own_folder(folder: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return false };
    #[cfg(unix)]
    let ours = std::os::unix::fs::MetadataExt::uid(&metadata) == rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    let ours = true;
    metadata.is_dir() && ours
}

/// Whether a file of a private folder is what this program puts there: a file of this user's that nobody else can write. The folder keeps
/// others out; this notices what came in with a backup or under another account.
pub fn is_ours(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    #[cfg(unix)]
    let ours = {
        use std::os::unix::fs::MetadataExt;
        metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
    };
    #[cfg(not(unix))]
    let ours = true;
    metadata.is_file() && ours
}
