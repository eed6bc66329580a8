//! What documents in the spool are: a file beside them that says which job they belong to and what is to become of them. It is read only
//! if the queue's database is lost, so it is not synced: it costs next to nothing, and need not survive both at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::queue::{Committed, Job, JobId};

/// A job and what was made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub job: Job,
    pub committed: Committed,
}

/// Writes it.
///
/// # Errors
/// What the file system says.
pub(super) fn write(path: &Path, job: &Job, committed: &Committed) -> io::Result<()> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        job: &'a Job,
        committed: &'a Committed,
    }
    fs::write(path, serde_json::to_vec(&Borrowed { job, committed })?)
}

/// Reads it, and makes sure that every document is there in its size.
///
/// # Errors
/// Where there is none, or it is damaged, or a document is not as it says.
pub(super) fn read(path: &Path, document: impl Fn(&JobId, u32) -> PathBuf) -> io::Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path)?)?;
    for made in &manifest.committed.documents {
        let path = document(&manifest.job.id, made.number);
        if fs::metadata(&path)?.len() != made.bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} has not the size that it had", path.display())));
        }
    }
    Ok(manifest)
}
