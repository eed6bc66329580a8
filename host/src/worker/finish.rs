//! The end of a job's conversion: its documents are made durable, those of many jobs together, and what became of it is recorded. Workers do
//! not wait for the disk meanwhile.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Shared;
use super::verdict::{Decision, Detail, failed, host_error};
use crate::delivery::Spool;
use crate::queue::{Committed, Job};
use crate::sandbox::ErrorType;

/// Jobs whose documents are made durable together, and that wait for it at most.
pub(super) const AT_ONCE: usize = 64;

/// Jobs that end within this time of each other share what making them durable costs. Whoever ends alone does not wait.
const PACE: Duration = Duration::from_millis(5);

/// Finishes what workers hand over, until there are none any more.
pub(super) fn run(shared: &Shared, ended: &Receiver<(Job, Box<Committed>)>) {
    let mut next = Instant::now();
    while let Ok(first) = ended.recv() {
        let others = std::iter::from_fn(|| ended.recv_deadline(next).ok());
        let jobs = std::iter::once(first).chain(others.take(AT_ONCE - 1)).collect();
        next = Instant::now() + PACE;
        for (job, decision) in complete(&shared.context.spool, jobs) {
            shared.record(&job, decision);
        }
    }
}

/// Makes the documents of jobs durable, and gives what is to be recorded of each then.
pub(super) fn complete(spool: &Spool, jobs: Vec<(Job, Box<Committed>)>) -> Vec<(Job, Decision)> {
    // A defect must not end the thread: what workers hand over after that would be lost with nobody to say so.
    let results = catch_unwind(AssertUnwindSafe(|| spool.complete(&jobs))).unwrap_or_else(|_| {
        let defect = || io::Error::other("a defect of Dropforge; its log has the place, please report it");
        jobs.iter().map(|_| Err(defect())).collect()
    });
    let decide = |((job, committed), result): ((Job, Box<Committed>), io::Result<()>)| match result {
        Ok(()) => (job, Decision::Commit(committed)),
        Err(error) => {
            spool.discard(&job.id);
            let message = format!("cannot write the documents to the spool: {error}; check the disk of state_dir");
            let decision = failed(&job, None, &host_error(ErrorType::Io, "spool", message), Detail::default());
            (job, decision)
        }
    };
    jobs.into_iter().zip(results).map(decide).collect()
}
