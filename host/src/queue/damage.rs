//! A database that SQLite cannot read: it is set aside, never deleted, and the queue begins anew. What it knew comes back from the intake
//! and the spool.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::QueueError;
use crate::files;

/// What SQLite keeps beside the database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Moves a damaged database aside, with what belongs to it, and says where it is now.
pub(super) fn set_aside_if_damaged(path: &Path) -> Result<Option<PathBuf>, QueueError> {
    if !path.exists() || !is_damaged(path) {
        return Ok(None);
    }
    let moved = |source| QueueError::Damaged { path: path.to_path_buf(), source };
    let aside = free_name(path).map_err(moved)?;
    // The companions first: a database that comes back without its log would look whole and be old.
    for companion in COMPANIONS {
        match fs::rename(with_suffix(path, companion), with_suffix(&aside, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(moved(error)),
            _ => {}
        }
    }
    fs::rename(path, &aside).map_err(moved)?;
    files::sync_parent(path).map_err(moved)?;
    Ok(Some(aside))
}

/// Whether SQLite finds the file to be no database, or one that contradicts itself. Anything else that is wrong is for `open` to say.
fn is_damaged(path: &Path) -> bool {
    let check = || -> rusqlite::Result<bool> {
        let connection = Connection::open(path)?;
        let mut whole = true;
        connection.pragma_query(None, "quick_check", |row| {
            whole &= row.get::<_, String>(0)? == "ok";
            Ok(())
        })?;
        Ok(whole)
    };
    match check() {
        Ok(whole) => !whole,
        Err(error) => matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)),
    }
}

fn free_name(path: &Path) -> io::Result<PathBuf> {
    (1..1_000)
        .map(|number| with_suffix(path, &format!(".damaged-{number}")))
        .find(|name| !name.exists())
        .ok_or_else(|| io::Error::other("there are a thousand damaged ones already"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}
