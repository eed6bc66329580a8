//! From a complete file to a durable job: read it once for its digest, make sure that it did not change meanwhile, queue it.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::digest::sha256_reader;
use crate::files::path_to_bytes;
use crate::identity::FileIdentity;
use crate::intake::{Arrival, ArrivalError, Arrivals};
use crate::metrics::{Metrics, disk_free_bytes};
use crate::queue::{Enqueued, JobId, NewJob, Queue, Store};

/// Queues what the intakes find.
pub(super) struct QueueArrivals {
    config: Arc<Config>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

impl QueueArrivals {
    pub(super) fn new(config: Arc<Config>, store: Arc<Store>, metrics: Arc<Metrics>) -> Self {
        QueueArrivals { config, store, metrics }
    }
}

impl Arrivals for QueueArrivals {
    fn arrived(&self, arrival: Arrival) -> Result<(), ArrivalError> {
        let retry = |reason: String| ArrivalError::Retry(reason);
        if let Ok(free) = disk_free_bytes(&self.config.state_dir)
            && free < self.config.min_free_bytes
        {
            // Without the number of free bytes: a reason that stays the same is said once.
            return Err(retry(format!(
                "the disk of state_dir has less than min_free_bytes ({}) free; free some",
                self.config.min_free_bytes
            )));
        }
        let unreadable = |error: io::Error| retry(format!("cannot read {}: {error}", arrival.path.display()));
        let mut file = File::open(&arrival.path).map_err(unreadable)?;
        let identity = FileIdentity::of(&file.metadata().map_err(unreadable)?);
        // What is opened must be what was found complete: in between, a name can come to stand for another file, even outside the intake.
        if identity != arrival.identity {
            return Err(retry(format!("{} was replaced before it was read", arrival.path.display())));
        }
        let closed = |error: crate::queue::QueueError| retry(error.to_string());
        match self.store.known(&arrival.path, identity).map_err(closed)? {
            None => {}
            Some(Enqueued::Settling) => return Err(ArrivalError::Later),
            Some(_) => {
                self.metrics.intake_file(&arrival.route.name, "duplicate");
                return Ok(());
            }
        }
        let (digest, read) = sha256_reader(&mut file).map_err(unreadable)?;
        // By its name and not by the open file: a job that the queue had a moment ago may have been settled since, and the file moved away.
        if FileIdentity::of(&fs::metadata(&arrival.path).map_err(unreadable)?) != identity || read != identity.size {
            return Err(retry(format!("{} changed while it was read", arrival.path.display())));
        }
        let path = arrival.path.strip_prefix(&arrival.route.intake.path).unwrap_or(&arrival.path);
        let job = NewJob {
            id: JobId::new(&arrival.route.name, &path_to_bytes(path), identity.modified_ns, &digest),
            route: arrival.route.name.clone(),
            path: arrival.relative,
            location: arrival.path,
            identity,
            digest,
            priority: arrival.route.priority,
        };
        let (id, path) = (job.id.clone(), job.path.clone());
        let enqueued = self.store.enqueue(job).map_err(closed)?;
        if enqueued == Enqueued::Settling {
            return Err(ArrivalError::Later);
        }
        self.metrics.intake_file(&arrival.route.name, if enqueued == Enqueued::Known { "duplicate" } else { "queued" });
        tracing::debug!(job = %id, route = arrival.route.name, file = path, ?enqueued, "arrived");
        Ok(())
    }
}
