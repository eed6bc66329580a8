//! Takes committed jobs to their destinations and settles their sources: a coordinator fetches what is due, a few threads do it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Spool, folder, settle};
use crate::config::{Config, Destination, Route};
use crate::crash;
use crate::metrics::{Metrics, QueueName};
use crate::queue::{CommittedJob, Outcome, QueueError, Store, now_ms};

/// Jobs that are fetched at once.
const BATCH: usize = 64;
/// Threads that deliver. Delivery waits for disks, and what waits together is synced together.
const THREADS: usize = 4;
/// How long a destination that failed is left alone, doubled with every failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// The running delivery.
pub struct Deliverer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: Arc<Config>,
    store: Arc<Store>,
    spool: Spool,
    metrics: Arc<Metrics>,
    stopping: AtomicBool,
}

impl Deliverer {
    /// Starts delivering what is committed, beginning with what an earlier process left.
    ///
    /// # Errors
    /// Where the spool cannot be cleaned of what a crash left, or no thread can be started.
    pub fn start(config: Arc<Config>, store: Arc<Store>, spool: Spool, metrics: Arc<Metrics>) -> anyhow::Result<Deliverer> {
        spool.clean(&store.committed_ids()?)?;
        for destination in config.routes.iter().flat_map(|route| &route.destinations) {
            metrics.destination(&destination.label());
            if let Destination::Folder { path } = destination
                && path.is_dir()
            {
                folder::remove_temporaries(path)?;
            }
        }
        metrics.queue_workers(QueueName::Delivery, THREADS);
        let shared = Arc::new(Shared { config, store, spool, metrics, stopping: AtomicBool::new(false) });
        let running = Arc::clone(&shared);
        let thread = thread::Builder::new().name("delivery".into()).spawn(move || running.run())?;
        Ok(Deliverer { shared, thread: Some(thread) })
    }

    /// Finishes what is in hand and stops. What is left is delivered after the next start.
    pub fn stop(mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.store.committed().notify();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let committed = self.store.committed();
        while !self.stopping.load(Ordering::Relaxed) {
            let seen = committed.generation();
            match self.store.deliverable(BATCH) {
                Ok((jobs, _)) if !jobs.is_empty() => self.deliver_batch(&jobs),
                Ok((_, next)) => committed.wait(seen, until(next)),
                Err(error) => {
                    tracing::error!(%error, "cannot read what is to be delivered; trying again");
                    committed.wait(seen, FIRST_DELAY);
                }
            }
        }
    }

    fn deliver_batch(&self, jobs: &[CommittedJob]) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        for job in jobs {
            let _ = sender.send(job);
        }
        drop(sender);
        thread::scope(|scope| {
            for _ in 0..THREADS.min(jobs.len()) {
                scope.spawn(|| {
                    for job in &receiver {
                        self.finish(job);
                    }
                });
            }
        });
    }

    /// One job: deliver, settle, end. Whatever cannot be done now is tried again later; a defect costs this job's turn and no thread.
    fn finish(&self, job: &CommittedJob) {
        let _busy = self.metrics.worker_busy(QueueName::Delivery);
        let began = Instant::now();
        let delay = match catch_unwind(AssertUnwindSafe(|| self.try_finish(job))) {
            Ok(Ok(None)) => {
                self.metrics.queue_processed(QueueName::Delivery, began.elapsed());
                return;
            }
            Ok(Ok(Some(delay))) => delay,
            Ok(Err(error)) => {
                tracing::error!(job = %job.job.id, %error, "cannot record the delivery; trying again");
                FIRST_DELAY
            }
            Err(_) => {
                tracing::error!(job = %job.job.id, "a defect interrupted the delivery; trying again");
                LONGEST_DELAY
            }
        };
        if let Err(error) = self.store.postpone(&job.job.id, now_ms() + delay.as_millis() as i64) {
            tracing::error!(job = %job.job.id, %error, "cannot postpone the delivery");
            thread::sleep(FIRST_DELAY);
        }
    }

    /// None when the job is settled, else how long to wait before the next try.
    fn try_finish(&self, job: &CommittedJob) -> Result<Option<Duration>, QueueError> {
        let mut delay = None;
        let route = self.config.routes.iter().find(|route| route.name == job.job.route);
        for (label, attempts) in &job.outstanding {
            if let Err(error) = self.deliver(job, route, label) {
                self.store.delivery_failed(&job.job.id, label, &error.to_string())?;
                let wait = backoff(*attempts);
                tracing::warn!(job = %job.job.id, destination = label, %error, retry_seconds = wait.as_secs(),
                    "cannot deliver; the documents stay in the spool");
                delay = delay.max(Some(wait));
            }
        }
        if !job.source_settled {
            match self.settle_source(job, route) {
                Ok(()) => {}
                Err(SettleError::Queue(error)) => return Err(error),
                Err(SettleError::Io(error)) => {
                    tracing::warn!(job = %job.job.id, source = %job.job.location.display(), %error,
                        "cannot move the source away; trying again. Check the folder's permissions");
                    delay = delay.max(Some(backoff(5)));
                }
            }
        }
        if delay.is_none() {
            // In this order: once it is settled, the job may be queued and run again, and then the folder is the new run's.
            self.spool.remove(&job.job.id);
            self.store.settle(&job.job.id)?;
        }
        Ok(delay)
    }

    fn deliver(&self, job: &CommittedJob, route: Option<&Route>, label: &str) -> Result<(), DeliverError> {
        let destination = route.and_then(|route| route.destinations.iter().find(|destination| destination.label() == label));
        let began = Instant::now();
        let result = match destination {
            Some(Destination::Folder { path }) => deliver_to_folder(path, &self.spool, job),
            // The configuration refuses destinations that this version cannot serve.
            Some(Destination::Http { .. } | Destination::ObjectStore { .. }) | None => Err(DeliverError::NotConfigured),
        };
        self.metrics.delivery(label, if result.is_ok() { "success" } else { "error" }, job.documents.len() as u64, began.elapsed());
        result?;
        Ok(self.store.delivered(&job.job.id, label)?)
    }

    fn settle_source(&self, job: &CommittedJob, route: Option<&Route>) -> Result<(), SettleError> {
        let Some(route) = route else {
            tracing::warn!(job = %job.job.id, route = job.job.route, source = %job.job.location.display(),
                "the route is no longer configured; the source stays where it is");
            return Ok(self.store.source_settled(&job.job.id, None, false)?);
        };
        let settled = settle::settle(job, route)?;
        match &settled {
            settle::Settled::Moved(location) => self.store.source_settled(&job.job.id, Some(location), false)?,
            settle::Settled::Kept => self.store.source_settled(&job.job.id, None, true)?,
            settle::Settled::Deleted | settle::Settled::Gone | settle::Settled::Replaced => {
                self.store.source_settled(&job.job.id, None, false)?;
            }
        }
        log_job(job, &settled);
        Ok(())
    }
}

fn deliver_to_folder(path: &Path, spool: &Spool, job: &CommittedJob) -> Result<(), DeliverError> {
    folder::deliver(path, spool, job).map_err(|source| DeliverError::Folder { path: path.display().to_string(), source })
}

/// The one line that every job has at info.
fn log_job(job: &CommittedJob, settled: &settle::Settled) {
    let (id, route, file, converter) = (job.job.id.as_str(), &job.job.route, &job.job.path, &job.converter);
    let source = match settled {
        settle::Settled::Moved(path) => path.display().to_string(),
        settle::Settled::Kept => "kept".into(),
        settle::Settled::Deleted => "deleted".into(),
        settle::Settled::Gone => "gone".into(),
        settle::Settled::Replaced => "replaced by another file, which was left".into(),
    };
    let documents = job.documents.len();
    let milliseconds = job.detail.get("milliseconds").and_then(serde_json::Value::as_f64).unwrap_or_default();
    let outcome = job.outcome.as_str();
    match (job.outcome, job.detail.get("error").and_then(|error| error.get("message")).and_then(|message| message.as_str())) {
        (Outcome::Converted, _) => tracing::info!(id, route, file, converter, documents, milliseconds, source, "converted"),
        (_, Some(reason)) => {
            let error_type = job.error_type.map(|kind| kind.as_str()).unwrap_or_default();
            tracing::info!(id, route, file, converter, documents, milliseconds, source, error_type, reason, "{outcome}");
        }
        (_, None) => tracing::info!(id, route, file, converter, documents, milliseconds, source, "{outcome}"),
    }
    crash::point("after_settle");
}

fn backoff(attempts: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << attempts.min(10)).min(LONGEST_DELAY)
}

/// How long until a moment, at most a minute: a clock that was set back must not stop the delivery.
fn until(due_ms: Option<i64>) -> Duration {
    let minute = Duration::from_secs(60);
    due_ms.map_or(minute, |due| Duration::from_millis((due - now_ms()).max(1).cast_unsigned()).min(minute))
}

#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error("cannot write to {path}: {source}; check that the folder is there, writable, and has space")]
    Folder { path: String, source: io::Error },
    #[error("this destination is no longer in the route's configuration; put it back, or the documents stay in the spool")]
    NotConfigured,
    #[error(transparent)]
    Queue(#[from] QueueError),
}

#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}
