//! The durable queue: what is to be converted, what was made of it, and what became of both.
//!
//! A job goes `queued` → `running` → `committed` → `settled`. Nothing follows from a step before its transaction is synced, but for claims, which
//! harm nobody if a power cut undoes them. So after a crash every job is where it was: what ran is queued again, what was committed is delivered
//! and settled. This module knows neither folders nor
//! converters.

mod arriving;
mod claim;
mod clock;
mod committed;
mod damage;
mod dry_run;
mod forget;
mod history;
mod ids;
mod job;
mod listing;
mod operate;
mod pauses;
mod schema;
mod store;
mod suspended;
mod transitions;
mod wakeup;
mod writer;

pub use arriving::Fill;
pub use claim::Lane;
pub use committed::{CommittedJob, Delivery, InSpool, Progress};
pub use history::{DeliveryRecord, DocumentRecord, Filter, JobRecord, JobSummary};
pub use ids::{DocumentId, JobId};
pub use job::{COMING, Committed, Enqueued, Job, MEMBERS_FOLDER, Member, NewJob, Origin, Outcome, POSTED_FILE, UPLOADS_FOLDER, Waiting};
pub use listing::{Sizes, SizesForm, time};
pub use operate::{Place, Retried, SettledJobs};
pub use pauses::{Pausable, Pause, Pauses};
pub use store::{Opened, QUEUE_FILE, QueueError, Store};
pub use transitions::{AskedPlugin, now_ms};
pub use wakeup::Wakeup;

use std::sync::Arc;

/// What intake and workers need of a queue. The embedded [`Store`] has it; a broker with acknowledgements (claim with lease, acknowledge, negative
/// acknowledge with delay) can have it too.
pub trait Queue: Send + Sync {
    /// Adds jobs together, durably, and says of each what that did, in their order; they are claimed in that order, too, where their priorities
    /// are equal. A job that is on its way already stays as it is, but for where its source is; one that was settled runs again.
    ///
    /// # Errors
    /// Where the queue cannot write: then none was added.
    fn enqueue_all(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError>;

    /// Takes the most urgent job that is due and has room in its lane, the oldest among equals, and counts the attempt.
    ///
    /// # Errors
    /// Where the queue cannot write.
    fn claim(&self, lanes: &Arc<[Lane]>) -> Result<Option<Job>, QueueError>;

    /// Gives a claimed job back, to be claimed again not before `due_ms` (milliseconds since the epoch). As with [`Queue::commit`], whoever
    /// gives it back does not wait for that, and `durable` is called when it is durable.
    ///
    /// # Errors
    /// Where the queue is closed.
    fn defer(&self, id: &JobId, due_ms: i64, waiting: Waiting, durable: impl FnOnce() + Send + 'static) -> Result<(), QueueError>
    where
        Self: Sized;

    /// Records what became of a claimed job: from then on its documents are to be delivered and its source settled. Whoever hands it over does
    /// not wait for that, and may claim the next job: it is tried until it is durable, and `durable` is called then. A process that ends before
    /// converts the job again.
    ///
    /// # Errors
    /// Where the queue is closed.
    fn commit(&self, id: &JobId, committed: Committed, durable: impl FnOnce() + Send + 'static) -> Result<(), QueueError>
    where
        Self: Sized;
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
