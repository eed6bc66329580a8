//! What happens after a conversion: documents wait in the spool until every destination has them, and the source goes where it belongs.
//! This module knows no converters.

mod archive;
mod courier;
mod dead_letter;
mod deliverer;
mod folder;
mod http;
mod landing;
mod lane;
mod looks;
mod manifest;
mod members;
mod object_store;
mod pace;
mod parts;
mod replay;
mod retention;
mod settle;
mod settler;
mod sidecar;
mod spool;
#[cfg(test)]
mod testing;
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::metrics::{Metrics, QueueName};
use crate::queue::{Progress, Store};
use crate::spans::Tracer;

pub use dead_letter::{Purged, purge};
pub use deliverer::Deliverer;
pub use folder::{plain_file_name, unique_file_name};
pub use replay::{Replayed, replay, take};
pub use retention::remove_surplus;
pub use settle::remove_expired;
pub use spool::{SPOOL_FOLDER, Spool};

/// The pause after the queue could not be written.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// What all lanes work with.
struct Shared {
    store: Arc<Store>,
    spool: Spool,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    stopping: AtomicBool,
}

impl Shared {
    /// Ends jobs whose last deliveries an operator has given up, and removes their documents.
    fn end_given_up(&self) {
        let spool = self.spool.clone();
        match self.store.end_given_up(move |ended| spool.ending(ended)) {
            Ok(ended) => self.spool.remove(&ended),
            Err(error) => tracing::error!(%error, "cannot end jobs that were given up; trying again"),
        }
    }

    /// Records steps that took a time, and removes the documents of jobs that end with them. Nothing is forgotten while the queue cannot be
    /// written: the lane waits.
    fn record(&self, steps: Vec<Progress>, took: Duration) {
        loop {
            let spool = self.spool.clone();
            match self.store.record(steps.clone(), move |ended| spool.ending(ended)) {
                Ok(ended) => {
                    self.spool.remove(&ended);
                    ended.iter().for_each(|_| self.metrics.queue_processed(QueueName::Delivery, took));
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot record what was delivered and settled; trying again");
                    if self.stopping.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(QUEUE_RETRY);
                }
            }
        }
    }
}
