//! What a store holds while one call runs: the guest's view of the job, what it did so far, and the first limit that it hit.

use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::bindings::dropforge::converter::io::IoError;
use super::capability::Access;
use super::documents::Documents;
use super::limits::MemoryLimiter;
use super::log::SharedLog;
use super::lookup::LookupUsage;
use super::metrics::Observed;
use super::problems::Problems;
use super::types::{Asked, ConversionError, DocumentSink, ErrorType, Input, InputId, Limits, Member, MetricDeclaration};
use super::wasi;
use super::wasi_random::FixedStream;

/// As long as nobody waits.
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// Handles that the host itself holds or lends: the input, and WASI's standard streams with what comes of them.
const OWN_HANDLES: usize = 64;

/// Why a host function gives no result.
#[derive(Debug)]
pub enum HostError {
    /// The guest sees it.
    Guest(IoError),
    /// The call ends here.
    Trap(wasmtime::Error),
}

impl From<wasmtime::Error> for HostError {
    fn from(error: wasmtime::Error) -> Self {
        HostError::Trap(error)
    }
}

impl From<DeadlinePassed> for HostError {
    fn from(error: DeadlinePassed) -> Self {
        HostError::Trap(error.into())
    }
}

impl From<wasmtime::component::ResourceTableError> for HostError {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        HostError::Trap(error.into())
    }
}

/// Misuse, as the guest sees it.
pub fn failed<T>(text: impl Into<String>) -> Result<T, HostError> {
    Err(HostError::Guest(IoError::Failed(text.into())))
}

/// A call across the boundary carries more than it may.
#[derive(Debug, thiserror::Error)]
#[error("more bytes than may cross the boundary in one call")]
pub struct CallTooLarge;

/// The wall time ran out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the converter was stopped after {}, its limit of wall time", Seconds(*.0))]
pub struct DeadlinePassed(Duration);

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// When a call has to be over.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// `None`: so far away that this machine's clock cannot say it.
    at: Option<Instant>,
    wall_time: Duration,
}

impl Deadline {
    /// A deadline `wall_time` from now.
    pub fn after(wall_time: Duration) -> Self {
        Deadline { at: Instant::now().checked_add(wall_time), wall_time }
    }

    /// Has it passed?
    pub fn check(&self) -> Result<(), DeadlinePassed> {
        match self.at {
            Some(at) if Instant::now() >= at => Err(DeadlinePassed(self.wall_time)),
            _ => Ok(()),
        }
    }

    /// The end of something that begins now and may take `at_most`: no later than this.
    pub fn within(&self, now: Instant, at_most: Duration) -> Instant {
        let end = now.checked_add(at_most);
        match (end, self.at) {
            (Some(end), Some(at)) => end.min(at),
            // One of the two is so far away that the clock cannot say it.
            (end, at) => end.or(at).unwrap_or(now + FAR),
        }
    }
}

/// Which function of the converter runs. It decides what the guest may see and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Describe,
    Probe,
    Convert,
}

/// The part of an [`Input`] that belongs to the job rather than to one opened file.
#[derive(Default)]
pub struct Job {
    pub id: InputId,
    pub attributes: Vec<(String, String)>,
    /// Empty in `probe`, as the contract says.
    pub members: Vec<Member>,
}

/// The data of a store.
pub struct State {
    pub call: Call,
    pub limits: Limits,
    pub started: Instant,
    /// How long it took until the guest was there to be called.
    pub instantiation: Duration,
    pub deadline: Deadline,
    pub memory: MemoryLimiter,
    pub table: ResourceTable,
    pub wasi: WasiCtx,
    /// What it may reach beyond its input and output.
    pub access: Access,
    pub lookups: LookupUsage,
    pub random: FixedStream,
    pub insecure_random: FixedStream,
    pub job: Job,
    /// Handles that the guest opened and has not dropped.
    pub handles: u32,
    /// Bytes that the guest read.
    pub input_bytes: u64,
    pub documents: Documents,
    pub problems: Problems,
    pub observed: Observed,
    pub log: SharedLog,
    /// What the guest asked for besides bytes.
    pub asked: Asked,
    /// The first limit that was hit, or the first failure of the host: it decides how the call ended, whatever the guest says.
    pub failure: Option<ConversionError>,
}

impl State {
    /// The state of a fresh call, whose time starts to run now.
    pub fn new(call: Call, limits: &Limits, metrics: &[MetricDeclaration], sink: Option<Box<dyn DocumentSink>>, log: SharedLog) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.handles).unwrap_or(usize::MAX).saturating_add(OWN_HANDLES));
        State {
            call,
            limits: limits.clone(),
            started: Instant::now(),
            instantiation: Duration::ZERO,
            deadline: Deadline::after(limits.wall_time),
            memory: MemoryLimiter::new(limits),
            table,
            wasi: wasi::empty_context(),
            access: Access::default(),
            lookups: LookupUsage::default(),
            random: FixedStream::secure(),
            insecure_random: FixedStream::insecure(),
            job: Job::default(),
            handles: 0,
            input_bytes: 0,
            documents: Documents::new(sink),
            problems: Problems::new(limits.problems),
            observed: Observed::new(metrics.to_vec(), limits.metric_series),
            log,
            asked: Asked::default(),
            failure: None,
        }
    }

    /// Takes the job's part out of `input`.
    pub fn set_job(&mut self, input: &mut Input) {
        self.job =
            Job { id: input.id.clone(), attributes: std::mem::take(&mut input.attributes), members: std::mem::take(&mut input.members) };
        if self.call == Call::Probe {
            self.job.members.clear();
        }
    }

    /// Begins a host function that can fail: it does nothing once the time is over or the job has failed.
    pub fn begin(&self) -> Result<(), HostError> {
        self.deadline.check()?;
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(HostError::Guest(seen_by_guest(failure))),
        }
    }

    /// Remembers the first failure, and gives what the guest sees of it.
    pub fn fail(&mut self, error_type: ErrorType, code: &str, message: String) -> HostError {
        let failure = self.failure.get_or_insert_with(|| ConversionError { error_type, code: code.to_owned(), message, at: None });
        HostError::Guest(seen_by_guest(failure))
    }

    /// Counts one more open handle.
    pub fn open_handle(&mut self) -> Result<(), HostError> {
        let limit = self.limits.handles;
        if self.handles >= limit {
            let message =
                format!("the converter holds {limit} documents and inputs open, its limit `handles`; drop them when they are done");
            return Err(self.fail(ErrorType::MemoryLimit, "handles", message));
        }
        self.handles += 1;
        Ok(())
    }
}

/// The guest is told which limit it hit, but not what the host's file system said.
fn seen_by_guest(failure: &ConversionError) -> IoError {
    match failure.error_type {
        ErrorType::Io => IoError::Failed("the host could not read or write".to_owned()),
        _ => IoError::Limit(failure.message.clone()),
    }
}
