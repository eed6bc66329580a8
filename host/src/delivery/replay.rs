//! Settled sources go back into the queue, from where they are now. One that was archived is unpacked first.

use std::fs;
use std::io;

use utoipa::ToSchema;

use super::archive;
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::{Filter, Job, Place, QueueError, Store};

/// Sources that are named where they are missing. There may be as many as there are jobs.
const MOST_NAMED: usize = 100;

/// What a replay set going.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, ToSchema)]
pub struct Replayed {
    /// Jobs that are queued again.
    pub queued: u64,
    /// Jobs whose sources are not there any more, or are other files now.
    pub gone: u64,
    /// Where the first of those should be.
    pub missing: Vec<String>,
}

/// Converts the settled jobs that a filter means again, from where their sources are now, whatever became of them before. Jobs that are under
/// way are left alone.
///
/// # Errors
/// Where the queue cannot be read or written: what was queued before is queued.
pub fn replay(store: &Store, filter: &Filter) -> Result<Replayed, QueueError> {
    let mut replayed = Replayed::default();
    for job in store.settled(filter) {
        let job = job?;
        match put_back(&job, |place| store.replay(&job.id, place))? {
            Some(queued) => replayed.queued += u64::from(queued),
            None => {
                replayed.gone += 1;
                if replayed.missing.len() < MOST_NAMED {
                    replayed.missing.push(job.location.display().to_string());
                }
            }
        }
    }
    store.work().notify();
    Ok(replayed)
}

/// Takes a settled job to convert it here and now, as a worker would that claims it; gives the job as it is then. None where its source is gone,
/// or it is not settled any more.
///
/// # Errors
/// Where the queue cannot be written.
pub fn take(store: &Store, job: &Job) -> Result<Option<Job>, QueueError> {
    let mut taken = job.clone();
    let is_taken = put_back(job, |place| {
        if let Some(Place { location, identity }) = &place {
            (taken.location, taken.identity) = (location.clone(), *identity);
        }
        store.take_settled(&job.id, place)
    })?;
    Ok(is_taken.unwrap_or_default().then_some(taken))
}

/// Has the source of a job as it was when it was converted, and calls `queue` with its new place, if it has one. None where there is no source.
fn put_back(job: &Job, queue: impl FnOnce(Option<Place>) -> Result<bool, QueueError>) -> Result<Option<bool>, QueueError> {
    if FileIdentity::at(&job.location).is_ok_and(|identity| identity == job.identity) {
        return queue(None).map(Some);
    }
    let unpacked = match archive::unpack(&job.location, job) {
        Ok(Some(unpacked)) => unpacked,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            tracing::error!(archive = %job.location.display(), %error, "cannot unpack an archived source");
            return Ok(None);
        }
    };
    let Ok(identity) = FileIdentity::at(&unpacked) else { return Ok(None) };
    let queued = queue(Some(Place { location: unpacked.clone(), identity }))?;
    // The queue knows the one or the other; that one is the source, and it is there once.
    let surplus = if queued { &job.location } else { &unpacked };
    if let Err(error) = fs::remove_file(surplus).and_then(|()| files::sync_parent(surplus)) {
        tracing::warn!(path = %surplus.display(), %error, "cannot remove what is there twice, packed and unpacked");
    }
    Ok(Some(queued))
}
