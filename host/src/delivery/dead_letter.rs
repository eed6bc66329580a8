//! The end of a dead letter: its file and its sidecar are deleted. Nothing does this but a person.

use std::fs;
use std::io;

use anyhow::Context as _;
use utoipa::ToSchema;

use super::{archive, sidecar};
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::{Filter, Job, Store};

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, ToSchema)]
pub struct Purged {
    /// Sources that were deleted, with their sidecars and their history.
    pub dead_letters: u64,
    /// Deliveries that a destination had refused; their documents go from the spool.
    pub deliveries: u64,
}

/// Gives up the dead letters that a filter means.
///
/// # Errors
/// Where a file cannot be deleted or the queue not be written: what was deleted before is gone.
pub fn purge(store: &Store, filter: &Filter) -> anyhow::Result<Purged> {
    let filter = Filter { dead: true, ..filter.clone() };
    let mut purged = Purged::default();
    for job in store.settled(&filter) {
        let job = job?;
        remove(&job).with_context(|| format!("cannot delete {}", job.location.display()))?;
        purged.dead_letters += u64::from(store.forget(&job.id)?);
    }
    purged.deliveries = store.give_up_deliveries(&filter)?;
    Ok(purged)
}

/// Deletes the source of a job that nobody wants to convert any more, and its sidecar, durably. A file that has taken its place stays.
///
/// # Errors
/// What the file system says.
fn remove(job: &Job) -> io::Result<()> {
    let same = match FileIdentity::at(&job.location) {
        Ok(found) => found == job.identity || archive::is_of(&job.location, &job.id),
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
