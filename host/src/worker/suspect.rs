//! Jobs that ran when the process died without saying goodbye: they are converted in a process of their own, where only that can die. A job
//! that ends its process a second time is poison, and is given up. A kill from outside counts for nothing: it ends the daemon, and the
//! child with it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::verdict::{Decision, Detail, failed, host_error};
use super::{Context, run};
use crate::config::Config;
use crate::crash;
use crate::delivery::{SPOOL_FOLDER, Spool};
use crate::metrics::{ConversionStatus, Instance, Metrics, NO_CONVERTER};
use crate::plugins::{LoadSettings, load_folder};
use crate::queue::{Job, Outcome, QUEUE_FILE, Store};
use crate::sandbox::{ErrorType, Sandbox, THREAD_STACK};
use crate::spans::{JobTrace, Tracer};
use crate::upstream::Lookups;

/// The hidden subcommand.
const SUBCOMMAND: &str = "convert-suspect";
/// What the child may take beyond what a conversion may: it loads the plugins.
const GRACE: Duration = Duration::from_secs(60);
/// How often the child is looked after.
const INTERVAL: Duration = Duration::from_millis(5);
/// The most that a child may answer; in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// What the child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The process id of the daemon.
    daemon: u32,
    config: Config,
    job: Job,
}

/// Converts a job that may be what ended the process before.
pub(super) fn convert(context: &Context, job: &Job, trace: &JobTrace) -> Decision {
    tracing::warn!(job = %job.id, file = job.path, crashes = job.crashes,
        "this file was being converted when the process ended; it is converted in a process of its own now");
    let mut span = trace.begin("convert");
    span.set("dropforge.own_process", true);
    match in_child(context, job) {
        Ok(decision) => {
            count(context, &decision);
            decision
        }
        Err(Failure::Ended(status)) => {
            context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::Internal));
            let message = format!(
                "this file ended the process that converted it, and then a process of its own ({status}): it is not tried again. That is a defect of \
                 Dropforge, please report it with the file"
            );
            context.spool.discard_from_outside(&job.id);
            let buried = Job { attempts: u32::MAX, ..job.clone() };
            failed(&buried, None, &host_error(ErrorType::Internal, "poison", message), Detail::default())
        }
        Err(Failure::Overdue) => {
            context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::Timeout));
            context.spool.discard_from_outside(&job.id);
            let message =
                "this file was being converted when the process ended, and kept a process of its own busy beyond every limit".to_string();
            failed(job, None, &host_error(ErrorType::Timeout, "poison", message), Detail::default())
        }
        Err(Failure::Io(error)) => {
            context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::Io));
            let message = format!("cannot convert this file in a process of its own: {error}");
            failed(job, None, &host_error(ErrorType::Io, "suspect", message), Detail::default())
        }
    }
}

/// What the child counted is gone with it.
fn count(context: &Context, decision: &Decision) {
    let Decision::Commit(committed) = decision else { return };
    let status = match committed.outcome {
        Outcome::Converted => ConversionStatus::Success,
        Outcome::Partial => ConversionStatus::Partial,
        Outcome::Skipped => ConversionStatus::Skipped,
        Outcome::Rejected => ConversionStatus::Rejected,
        Outcome::Failed => ConversionStatus::Error,
    };
    context.metrics.conversion(&committed.converter, status, committed.error_type);
}

enum Failure {
    Ended(ExitStatus),
    Overdue,
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

fn in_child(context: &Context, job: &Job) -> Result<Decision, Failure> {
    let order = Order { daemon: std::process::id(), config: (*context.config).clone(), job: job.clone() };
    let mut command = Command::new(std::env::current_exe()?);
    crash::spare(&mut command);
    let mut child = command.arg(SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&serde_json::to_vec(&order).map_err(io::Error::from)?));
    // Read on a thread of its own, so that neither waits for the other.
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_ANSWER).read_to_end(&mut answer)?;
        }
        Ok(answer)
    });
    let status = wait(&mut child, longest(&context.config, &job.route))?;
    let answer = reader.join().map_err(|_| io::Error::other("the answer could not be read"))??;
    if !status.success() {
        return Err(Failure::Ended(status));
    }
    written?;
    serde_json::from_slice(&answer).map_err(|error| Failure::Io(error.into()))
}

/// What the child may take.
pub(super) fn longest(config: &Config, route: &str) -> Duration {
    run::longest(config, route) + GRACE
}

fn wait(child: &mut Child, at_most: Duration) -> Result<ExitStatus, Failure> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > at_most {
            child.kill()?;
            child.wait()?;
            return Err(Failure::Overdue);
        }
        thread::sleep(INTERVAL);
    }
}

/// Runs the child if the process's arguments (with the program's name first) ask for it; to be called before anything else in `main`.
pub fn requested(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let asked = arguments.into_iter().nth(1)? == SUBCOMMAND;
    asked.then(|| {
        // The sandbox wants a stack of its own size, which the main thread may not have.
        let worker = thread::Builder::new().name("convert".into()).stack_size(THREAD_STACK).spawn(main);
        match worker.map(thread::JoinHandle::join) {
            Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
            Ok(Ok(Err(error))) => {
                // The daemon tries again what it cannot read.
                eprintln!("dropforge: {error:#}");
                let _ = serde_json::to_writer(io::stdout(), &later(&error));
                ExitCode::SUCCESS
            }
            _ => ExitCode::FAILURE,
        }
    })
}

/// What is to be done where the child could not begin.
fn later(error: &anyhow::Error) -> Decision {
    let detail = host_error(ErrorType::Io, "suspect", format!("a process of its own could not be set up for this file: {error:#}"));
    Detail::ended_by(&detail)
}

fn main() -> anyhow::Result<()> {
    // A daemon that is killed takes its child with it: else both would write to one folder of the spool.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let order: Order = serde_json::from_reader(io::stdin().lock())?;
    let Order { daemon, mut config, job } = order;
    // One that was killed before it could be watched has taken nobody with it.
    #[cfg(unix)]
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_pid().cast_unsigned() != daemon) {
        anyhow::bail!("the daemon, process {daemon}, has ended");
    }
    #[cfg(not(unix))]
    let _ = daemon;
    // The daemon has counted this job already.
    config.plugins.values_mut().for_each(|plugin| plugin.concurrency = None);
    let sandbox = Arc::new(Sandbox::new()?);
    let metrics = Arc::new(Metrics::new(&Instance { instance_id: String::new(), station: String::new(), location: String::new() }));
    let context = Context {
        store: Arc::new(Store::beside(&config.state_dir.join(QUEUE_FILE))?),
        lanes: Arc::from([]),
        cache: None,
        spool: Spool::open(config.state_dir.join(SPOOL_FOLDER))?,
        registry: load_folder(&config.plugins_dir, sandbox, LoadSettings::of_daemon(&config))?,
        lookups: Lookups::alone(&config, Arc::clone(&metrics))?.map(|lookups| Arc::new(lookups) as _),
        metrics,
        tracer: Tracer::off(),
        config: Arc::new(config),
    };
    let decision = run::convert(&context, &job, &JobTrace::off());
    // The daemon does the rest, but the open files are here.
    context.spool.sync_documents(&job.id)?;
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &decision)?;
    Ok(stdout.flush()?)
}
