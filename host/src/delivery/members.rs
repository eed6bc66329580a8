//! What belongs to a source and goes with it when it is settled: the folder that was made for a posted file.

use std::fs;

use super::settle::Settled;
use crate::queue::{Job, Origin};

/// Settles what belongs to a source that has gone where `settled` says. Safe to repeat.
pub(super) fn follow(job: &Job, settled: &Settled) {
    if job.origin == Origin::Http
        && *settled != Settled::Kept
        && let Some(folder) = job.location.parent()
    {
        // Only an empty folder goes: of a file that waits in `failed/` it is not the one that was made for it.
        let _ = fs::remove_dir(folder);
    }
}
