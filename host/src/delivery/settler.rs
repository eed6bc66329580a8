//! The lane of the sources: settles those of committed jobs, many at once, and records it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::looks::{FETCH, Looks};
use super::pace::backoff;
use super::settle::{Settled, settle_all};
use crate::config::Config;
use crate::crash;
use crate::identity::FileIdentity;
use crate::metrics::QueueName;
use crate::queue::{CommittedJob, JobId, Outcome, Progress, Wakeup, now_ms};

/// The longest time that a source is left alone that could not be settled.
const LONGEST_DELAY: Duration = Duration::from_secs(120);
/// Sources whose failures are counted; the delay of others begins anew.
const MOST_COUNTED: usize = 10_000;
/// The pause after the queue could not be read.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// The lane of the sources.
pub(super) struct Settler {
    config: Arc<Config>,
    shared: Arc<Shared>,
    wakeup: Arc<Wakeup>,
    looks: Looks,
    /// How often a source could not be settled.
    failures: HashMap<JobId, u32>,
}

impl Settler {
    pub fn new(config: Arc<Config>, shared: Arc<Shared>, wakeup: Arc<Wakeup>) -> Self {
        Settler { config, shared, wakeup, looks: Looks::default(), failures: HashMap::new() }
    }

    /// Settles until told to stop.
    pub fn run(mut self) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let seen = self.wakeup.generation();
            if self.looks.are_due(seen) {
                match self.shared.store.due_sources(FETCH) {
                    Ok((jobs, next_due_ms)) => {
                        self.looks.looked(seen, jobs.len() >= FETCH, next_due_ms);
                        if jobs.is_empty() {
                            self.shared.end_given_up();
                        } else {
                            self.settle(&jobs);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot read which sources are to be settled; trying again");
                        self.wakeup.wait(seen, QUEUE_RETRY);
                        continue;
                    }
                }
            }
            self.wakeup.wait(seen, self.looks.patience(seen));
        }
    }

    fn settle(&mut self, jobs: &[CommittedJob]) {
        let _busy = self.shared.metrics.worker_busy(QueueName::Delivery);
        let began = Instant::now();
        let results = catch_unwind(AssertUnwindSafe(|| settle_all(jobs, &self.config))).unwrap_or_else(|_| {
            let defect = || std::io::Error::other("a defect of Dropforge; its log has the place, please report it");
            jobs.iter().map(|_| Err(defect())).collect()
        });
        let mut failed = None;
        let mut failures = 0;
        let mut steps = Vec::new();
        for (job, result) in jobs.iter().zip(&results) {
            let id = &job.job.id;
            steps.push(match result {
                Ok(settled) => {
                    self.failures.remove(id);
                    let location = if let Settled::Moved(path) = settled { Some(path.clone()) } else { None };
                    let number = location.as_deref().and_then(|location| number_there(location, job));
                    Progress::SourceSettled { job: id.clone(), location, number, kept: *settled == Settled::Kept }
                }
                Err(error) => {
                    let delay = self.delay(id);
                    failed.get_or_insert((job, error, delay));
                    failures += 1;
                    Progress::SourcePostponed { job: id.clone(), due_ms: now_ms() + delay.as_millis() as i64 }
                }
            });
        }
        if let Some((job, error, delay)) = failed {
            tracing::warn!(job = %job.job.id, source = %job.job.location.display(), %error, others = failures - 1, retry_seconds = delay.as_secs_f32(),
                "cannot settle a source; its documents are delivered all the same, and this is tried again. Check the folder's permissions and its disk");
        }
        self.shared.record(steps, began.elapsed());
        for (job, settled) in jobs.iter().zip(&results).filter_map(|(job, result)| Some((job, result.as_ref().ok()?))) {
            log_job(job, settled);
            crash::point("after_settle");
        }
    }

    fn delay(&mut self, id: &JobId) -> Duration {
        if self.failures.len() >= MOST_COUNTED {
            self.failures.clear();
        }
        let failures = self.failures.entry(id.clone()).or_default();
        *failures += 1;
        backoff(*failures, LONGEST_DELAY)
    }
}

/// The one line that every job has at info.
fn log_job(job: &CommittedJob, settled: &Settled) {
    let (id, route, file, converter) = (job.job.id.as_str(), &job.job.route, &job.job.path, &job.converter);
    let source = match settled {
        Settled::Moved(path) => path.display().to_string(),
        Settled::Kept => "kept".into(),
        Settled::Deleted => "deleted".into(),
        Settled::Gone => "gone".into(),
        Settled::Replaced => "replaced by another file, which was left".into(),
        Settled::NoRoute => "left where it is: its route is not configured any more".into(),
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
}

/// The device and number of a source where it was moved to, unless it was compressed on the way and is another file now.
fn number_there(location: &Path, job: &CommittedJob) -> Option<(u64, u64)> {
    let found = FileIdentity::at(location).ok()?;
    let same = (found.size, found.modified_ns) == (job.job.identity.size, job.job.identity.modified_ns);
    same.then_some((found.device, found.inode))
}
