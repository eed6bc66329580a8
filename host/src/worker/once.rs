//! One conversion of one job, for a command that wants to see what would come of it.

use super::verdict::Decision;
use super::{Context, finish, run};
use crate::queue::{Committed, Job, Queue, QueueError, Waiting};
use crate::spans::JobTrace;

/// What came of a conversion.
pub enum Once {
    /// It ended: its documents are in the context's spool, and nothing is recorded.
    Ended(Box<Committed>),
    /// It would be tried again later, for this reason.
    Later(Waiting),
}

impl Context {
    /// Converts a job's source once. The caller has the job for itself.
    pub fn convert_once(&self, job: &Job) -> Once {
        match self.durable(job, run::convert(self, job, &JobTrace::off())) {
            Decision::Commit(committed) => Once::Ended(committed),
            Decision::Defer { waiting, .. } => Once::Later(waiting),
            Decision::GivenBack => Once::Later(Waiting::Busy),
        }
    }

    /// Converts a job that is claimed, and records what became of it: it is delivered by the daemon.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn convert_and_record(&self, job: &Job) -> Result<Once, QueueError> {
        Ok(match self.durable(job, run::convert(self, job, &JobTrace::off())) {
            Decision::Commit(committed) => {
                self.store.commit(&job.id, (*committed).clone(), || ())?;
                self.store.flush()?;
                Once::Ended(committed)
            }
            Decision::Defer { due_ms, waiting } => {
                self.store.defer(&job.id, due_ms, waiting.clone(), || ())?;
                self.store.flush()?;
                Once::Later(waiting)
            }
            Decision::GivenBack => Once::Later(Waiting::Busy),
        })
    }

    /// What is to be recorded, once its documents are durable.
    fn durable(&self, job: &Job, decision: Decision) -> Decision {
        match decision.of_route(self, job) {
            Decision::Commit(committed) => {
                let completed = finish::complete(&self.spool, vec![(job.clone(), committed)]).into_iter().next();
                completed.map_or(Decision::GivenBack, |(_, end)| end.of_route(self, job))
            }
            other => other,
        }
    }
}
