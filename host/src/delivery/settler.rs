//! The lanes of the sources, one for each route: they settle those of committed jobs, many at once, and record it.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Shared;
use super::looks::{FETCH, Looks};
use super::pace::backoff;
use super::settle::{Settled, settle_all};
use crate::config::Config;
use crate::crash;
use crate::events::Event;
use crate::identity::FileIdentity;
use crate::metrics::QueueName;
use crate::queue::{CommittedJob, JobId, Outcome, Progress, Wakeup, now_ms};

/// The longest time that a source is left alone that could not be settled.
const LONGEST_DELAY: Duration = Duration::from_secs(120);
/// Sources whose failures are counted; the delay of others begins anew.
const MOST_COUNTED: usize = 10_000;
/// The pause after the queue could not be read.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// Looks of which routes sources are due, and tells their lanes: a folder that is slow, or hangs, holds up its own route alone.
pub(super) struct Settler {
    shared: Arc<Shared>,
    wakeup: Arc<Wakeup>,
    looks: Looks,
    /// By the route's name.
    lanes: HashMap<String, Lane>,
    /// Of routes that are not configured any more: nothing is done with those, so it takes no time.
    others: Sources,
}

/// The lane of a route.
struct Lane {
    /// Holds one sign besides the one that is being followed: more would say nothing new.
    signs: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Settler {
    /// Starts the lanes.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn new(config: &Arc<Config>, shared: Arc<Shared>, wakeup: Arc<Wakeup>) -> io::Result<Self> {
        let sources =
            || Sources { config: Arc::clone(config), shared: Arc::clone(&shared), wakeup: Arc::clone(&wakeup), failures: HashMap::new() };
        let mut lanes = HashMap::new();
        for route in &config.routes {
            let (signs, received) = sync_channel(1);
            let (mut sources, name) = (sources(), route.name.clone());
            let work = move || received.iter().for_each(|()| sources.settle_due(&name));
            let thread = thread::Builder::new().name("sources lane".into()).spawn(work)?;
            lanes.insert(route.name.clone(), Lane { signs, thread });
        }
        let others = sources();
        Ok(Settler { shared, wakeup, looks: Looks::default(), lanes, others })
    }

    /// Works until told to stop; what is in hand is finished.
    pub fn run(mut self) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let seen = self.wakeup.generation();
            if self.looks.are_due(seen) {
                match self.shared.store.routes_to_settle() {
                    Ok((routes, next_due_ms)) => {
                        self.looks.looked(seen, false, next_due_ms);
                        if routes.is_empty() {
                            self.shared.end_given_up();
                        }
                        for route in routes {
                            match self.lanes.get(&route) {
                                Some(lane) => drop(lane.signs.try_send(())),
                                None => self.others.settle_due(&route),
                            }
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
        for (_, Lane { signs, thread }) in self.lanes {
            drop(signs);
            let _ = thread.join();
        }
    }
}

/// Settles sources.
struct Sources {
    config: Arc<Config>,
    shared: Arc<Shared>,
    /// That of the settler.
    wakeup: Arc<Wakeup>,
    /// How often a source could not be settled.
    failures: HashMap<JobId, u32>,
}

impl Sources {
    /// Settles those of a route that are due.
    fn settle_due(&mut self, route: &str) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            match self.shared.store.due_sources(route, FETCH) {
                Ok(jobs) if jobs.is_empty() => return,
                Ok(jobs) => {
                    self.settle(&jobs);
                    if jobs.len() < FETCH {
                        // Some may have been put off, and the settler does not know until when.
                        return self.wakeup.notify();
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read which sources are to be settled; trying again");
                    thread::sleep(QUEUE_RETRY);
                }
            }
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
            self.shared.metrics.tell(|| source_settled(job, settled));
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

/// What became of a source, as those who watch are told.
fn source_settled(job: &CommittedJob, settled: &Settled) -> Event {
    let (source, location) = match settled {
        Settled::Moved(path) => ("moved", Some(path.display().to_string())),
        Settled::Kept => ("kept", None),
        Settled::Deleted => ("deleted", None),
        Settled::Gone => ("gone", None),
        Settled::Replaced => ("replaced", None),
        Settled::NoRoute => ("no_route", None),
    };
    Event::SourceSettled { job: (&job.job).into(), source, location }
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
