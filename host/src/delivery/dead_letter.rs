//! The end of a dead letter: its file and its sidecar are deleted. Nothing does this but a person.

use std::fs;
use std::io;

use super::sidecar;
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::Job;

/// Deletes the source of a job that nobody wants to convert any more, and its sidecar, durably. A file that has taken its place stays.
///
/// # Errors
/// What the file system says.
pub fn remove_dead_letter(job: &Job) -> io::Result<()> {
    let same = match FileIdentity::at(&job.location) {
        Ok(found) => found == job.identity,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if !same {
        return Ok(());
    }
    fs::remove_file(&job.location)?;
    match fs::remove_file(sidecar::path(&job.location)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    files::sync_parent(&job.location)
}
