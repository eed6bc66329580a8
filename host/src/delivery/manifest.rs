//! What a folder in the spool is: a file in it that says which job it belongs to and what is to become of its documents. It is read only
//! if the queue's database is lost, so it is not synced: it costs next to nothing, and need not survive both at once.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::queue::{Committed, Job};

const NAME: &str = "job.json";

/// A job and what was made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub job: Job,
    pub committed: Committed,
}

/// Writes it into a folder of the spool.
///
/// # Errors
/// What the file system says.
pub(super) fn write(folder: &Path, job: &Job, committed: &Committed) -> io::Result<()> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        job: &'a Job,
        committed: &'a Committed,
    }
    fs::write(folder.join(NAME), serde_json::to_vec(&Borrowed { job, committed })?)
}

/// Reads it, and makes sure that every document is there in its size.
///
/// # Errors
/// Where there is none, or it is damaged, or a document is not as it says.
pub(super) fn read(folder: &Path) -> io::Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(folder.join(NAME))?)?;
    for document in &manifest.committed.documents {
        let path = folder.join(document.number.to_string());
        if fs::metadata(&path)?.len() != document.bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} has not the size that it had", path.display())));
        }
    }
    Ok(manifest)
}
