//! The path of one job: from the queue through a converter into the spool. Conversions are CPU work and run on threads of their own, never
//! on those that serve HTTP.

mod archive;
mod choose;
mod finish;
mod members;
mod once;
mod run;
pub mod suspect;
mod suspension;
pub(crate) mod traced;
mod verdict;
mod watchdog;

pub use once::Once;
pub use watchdog::Watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use serde_json::Value;

use crate::cache::ResultCache;
use crate::config::Config;
use crate::crash;
use crate::delivery::Spool;
use crate::events::{Event, JobFile, short};
use crate::metrics::{ConversionStatus, Metrics, NO_CONVERTER, QueueName};
use crate::plugins::Registry;
use crate::queue::{Committed, Job, Lane, Queue, Store, Waiting, Wakeup, now_ms, time};
use crate::sandbox::{ErrorType, Lookup, THREAD_STACK};
use crate::spans::Tracer;

/// How long a worker that cannot reach the queue waits before it tries again.
const QUEUE_RETRY: Duration = Duration::from_secs(1);
/// The longest time without looking whether a job is due: a clock that was set back must not stop the work.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// How often the files that suspended jobs await are looked for.
const AWAIT_INTERVAL: Duration = Duration::from_secs(1);
/// How often workers that do not come back are looked for.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker works with.
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where jobs come from and go to.
    pub store: Arc<Store>,
    /// Which jobs may run.
    pub lanes: Arc<[Lane]>,
    /// What was made before; none where that is switched off.
    pub cache: Option<Arc<ResultCache>>,
    /// Where documents go.
    pub spool: Spool,
    /// The loaded converters.
    pub registry: Arc<Registry>,
    /// Who answers the look-ups of converters that are granted some; none where no server is configured.
    pub lookups: Option<Arc<dyn Lookup>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is traced.
    pub tracer: Tracer,
}

/// The running workers.
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    context: Context,
    watchdog: Arc<Watchdog>,
    stopping: AtomicBool,
    running: AtomicUsize,
    ended: Wakeup,
    /// Wakes the threads that look for something now and then, to end.
    pause: Wakeup,
}

impl Workers {
    /// Starts the workers, the thread that makes durable what they have made, the one that looks for files which suspended jobs await, and the
    /// watchdog.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn start(context: Context, count: usize) -> std::io::Result<Workers> {
        context.metrics.queue_workers(QueueName::Converter, count);
        let shared = Arc::new(Shared {
            context,
            watchdog: Arc::new(Watchdog::new(count)),
            stopping: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            ended: Wakeup::default(),
            pause: Wakeup::default(),
        });
        let (ended, finished) = bounded(finish::AT_ONCE);
        for number in 0..count {
            spawn_worker(&shared, number, &ended)?;
        }
        spawn(&shared, "finishing", move |shared| finish::run(shared, &finished))?;
        spawn(&shared, "awaiting", |shared| shared.resume_awaiting())?;
        spawn(&shared, "watchdog", move |shared| shared.replace_lost(count, &ended))?;
        Ok(Workers { shared })
    }

    /// What tells whether workers are lost.
    pub fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.shared.watchdog)
    }

    /// Claims nothing new and waits, at most this long, until what runs has ended. False where something still runs: it is abandoned, and
    /// converted again after the next start.
    pub fn stop(self, at_most: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.context.store.work().notify();
        self.shared.pause.notify();
        let end = Instant::now() + at_most;
        loop {
            let seen = self.shared.ended.generation();
            let left = end.saturating_duration_since(Instant::now());
            if self.shared.running.load(Ordering::Acquire) == 0 || left.is_zero() {
                return self.shared.running.load(Ordering::Acquire) == 0;
            }
            self.shared.ended.wait(seen, left);
        }
    }
}

fn spawn_worker(shared: &Arc<Shared>, number: usize, ended: &Sender<(Job, Box<Committed>)>) -> std::io::Result<()> {
    let ended = ended.clone();
    spawn(shared, &format!("worker {number}"), move |shared| shared.work(&ended))
}

fn spawn(shared: &Arc<Shared>, name: &str, body: impl FnOnce(&Arc<Shared>) + Send + 'static) -> std::io::Result<()> {
    let running = Arc::clone(shared);
    shared.running.fetch_add(1, Ordering::AcqRel);
    let spawned = thread::Builder::new().name(name.into()).stack_size(THREAD_STACK).spawn(move || {
        body(&running);
        running.running.fetch_sub(1, Ordering::AcqRel);
        running.ended.notify();
    });
    if spawned.is_err() {
        shared.running.fetch_sub(1, Ordering::AcqRel);
    }
    spawned.map(drop)
}

fn convert(context: &Context, job: &Job) -> verdict::Decision {
    let trace = context.tracer.of_job(job);
    traced::queued(&trace, job);
    if job.crashes > 0 { suspect::convert(context, job, &trace) } else { run::convert(context, job, &trace) }
}

/// How a job has ended, as those who watch are told.
fn settled(job: &Job, committed: &Committed) -> Event {
    let detail = &committed.detail;
    Event::JobSettled {
        job: job.into(),
        outcome: committed.outcome.as_str(),
        converter: committed.converter.clone(),
        documents: committed.documents.len(),
        output_bytes: committed.documents.iter().map(|document| document.bytes).sum(),
        duration_ms: detail.get("milliseconds").and_then(Value::as_f64),
        error_type: committed.error_type.map(ErrorType::as_str),
        reason: detail.pointer("/error/message").and_then(Value::as_str).map(short),
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn work(&self, ended: &Sender<(Job, Box<Committed>)>) {
        let work = self.context.store.work();
        while !self.stopping() {
            let seen = work.generation();
            match self.context.store.claim(&self.context.lanes) {
                Ok(Some(job)) => {
                    let watched = self.watchdog.begin(&job.path, self.longest(&job));
                    self.process(job, ended);
                    if watched.end() {
                        tracing::info!("a worker that was given up has come back; the one in its place stays");
                        return;
                    }
                }
                Ok(None) => work.wait(seen, self.idle_time()),
                Err(error) => {
                    tracing::error!(%error, "cannot claim a job; trying again");
                    work.wait(seen, QUEUE_RETRY);
                }
            }
        }
    }

    /// When a job should have ended, whatever its converter does.
    fn longest(&self, job: &Job) -> Duration {
        let config = &self.context.config;
        let longest = if job.crashes > 0 { suspect::longest(config, &job.route) } else { run::longest(config, &job.route) };
        longest + Duration::from_secs_f64(config.overdue_seconds)
    }

    /// Starts workers in the place of those that do not come back.
    fn replace_lost(self: &Arc<Self>, count: usize, ended: &Sender<(Job, Box<Committed>)>) {
        let mut number = count;
        loop {
            let seen = self.pause.generation();
            if self.stopping() {
                return;
            }
            for file in self.watchdog.give_up_overdue() {
                tracing::error!(
                    file,
                    "a worker does not come back from this file, beyond every limit: a call of the system's hangs. Check the disk \
                    or share that the file is on. Another worker is started in its place; the file is converted again after the next start"
                );
                self.context.metrics.converter_worker_lost();
                if let Err(error) = spawn_worker(self, number, ended) {
                    tracing::error!(%error, "cannot start a worker in the place of the one that is lost");
                }
                number += 1;
            }
            self.pause.wait(seen, WATCH_INTERVAL);
        }
    }

    /// Until the next waiting job is due.
    fn idle_time(&self) -> Duration {
        match self.context.store.next_due_ms() {
            Ok(Some(due)) => Duration::from_millis((due - now_ms()).max(1).cast_unsigned()).min(LONGEST_IDLE),
            Ok(None) => LONGEST_IDLE,
            Err(_) => QUEUE_RETRY,
        }
    }

    /// Runs a job.
    fn process(&self, job: Job, ended: &Sender<(Job, Box<Committed>)>) {
        let _busy = self.context.metrics.worker_busy(QueueName::Converter);
        let began = Instant::now();
        self.context.metrics.tell(|| Event::JobStarted { job: (&job).into(), attempt: job.attempts });
        crash::point("after_claim");
        let decision = catch_unwind(AssertUnwindSafe(|| convert(&self.context, &job))).unwrap_or_else(|_| {
            tracing::error!(job = %job.id, file = job.path, "a defect of the host interrupted this job");
            self.context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::Internal));
            verdict::host_defect(&job)
        });
        match decision.of_route(&self.context, &job) {
            verdict::Decision::Commit(committed) => {
                // The thread that receives it outlives the workers.
                let _ = ended.send((job, committed));
                self.context.metrics.queue_processed(QueueName::Converter, began.elapsed());
            }
            other => self.record(&job, other),
        }
    }

    /// Nothing is lost while the queue cannot be written: the queue keeps what became of a job, or that it is given back, until it is durable.
    fn record(&self, job: &Job, decision: verdict::Decision) {
        let store = &self.context.store;
        // What could not be completed is another decision than before.
        let (due_ms, waiting) = match decision.of_route(&self.context, job) {
            verdict::Decision::Commit(committed) => {
                crash::point("before_commit");
                traced::ended(&self.context.tracer, job, &committed);
                let metrics = Arc::clone(&self.context.metrics);
                let settled = metrics.events().is_watched().then(|| settled(job, &committed));
                let durable = move || {
                    crash::point("after_commit");
                    if let Some(settled) = settled {
                        metrics.tell(|| settled);
                    }
                };
                if let Err(error) = store.commit(&job.id, *committed, durable) {
                    tracing::error!(job = %job.id, file = job.path, %error, "cannot record what became of a job; it is converted again after the next start");
                }
                return;
            }
            verdict::Decision::Defer { due_ms, waiting } => (due_ms, waiting),
            verdict::Decision::GivenBack => return,
        };
        let suspended = match &waiting {
            Waiting::PluginSuspended { converter, .. } => Some(converter.clone()),
            _ => None,
        };
        let registry = Arc::clone(&self.context.registry);
        let (metrics, job_file, reason) = (Arc::clone(&self.context.metrics), JobFile::from(job), waiting.as_str());
        // Not before it is set aside: what is not cannot be released.
        let durable = move || {
            let due = (due_ms != Waiting::NEVER_DUE_MS).then(|| time(due_ms));
            metrics.tell(|| Event::JobWaits { job: job_file, waiting: reason, due });
            if let Some(converter) = suspended {
                registry.suspensions().wait_for(&converter);
            }
        };
        if let Err(error) = store.defer(&job.id, due_ms, waiting, durable) {
            tracing::error!(job = %job.id, file = job.path, %error, "cannot give a job back; it is converted again after the next start");
        }
    }

    /// Suspended jobs go on as soon as the files that they await are there, or their plugin works again; and what an operator has changed is
    /// noticed.
    fn resume_awaiting(&self) {
        loop {
            let seen = self.pause.generation();
            if self.stopping() {
                return;
            }
            if let Err(error) = self.context.store.notice_outside_changes() {
                tracing::error!(%error, "cannot see whether a command has changed the queue; trying again");
            }
            self.resume_plugins();
            for (id, location, awaits) in self.context.store.awaiting().unwrap_or_default() {
                let all_there = awaits.iter().all(|name| location.with_file_name(name).exists());
                if all_there && let Err(error) = self.context.store.resume(&id) {
                    tracing::error!(job = %id, %error, "cannot resume a suspended job; trying again");
                }
            }
            self.pause.wait(seen, AWAIT_INTERVAL);
        }
    }
}
