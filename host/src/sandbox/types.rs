//! What goes into the sandbox and what comes out of it, in the host's own types: the generated bindings stay inside this module.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a converter says about itself; the meanings are those of `wit/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The converter's own.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Globs of file names.
    pub patterns: Vec<String>,
    /// What it reads.
    pub media_types_in: Vec<String>,
    /// What it makes.
    pub media_types_out: Vec<String>,
    /// A JSON Schema as text; empty where the converter has no options.
    pub options_schema: String,
    /// What it may observe.
    pub metrics: Vec<MetricDeclaration>,
}

/// A metric of the converter's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDeclaration {
    /// In base units.
    pub name: String,
    /// What is done with the values.
    pub kind: MetricKind,
    /// One sentence for people.
    pub help: String,
    /// The base unit; empty for a plain number.
    pub unit: String,
    /// The names of the labels.
    pub labels: Vec<String>,
    /// Upper bounds for a histogram; empty for the default.
    pub buckets: Vec<f64>,
}

/// The kinds of metric, with Prometheus's meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Adds up.
    Counter,
    /// The last value counts.
    Gauge,
    /// Counted into buckets.
    Histogram,
    /// Summed and counted.
    Summary,
}

/// How sure a converter is that an input is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// 0 to 100.
    pub confidence: u8,
    /// Why, for the history of the job.
    pub reason: String,
}

/// The closed set of error types: the contract's, and those that only the host gives. It is the label `error_type` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The input breaks its format.
    Malformed,
    /// The bytes are not text in the expected encoding.
    Encoding,
    /// A value is not allowed.
    Validation,
    /// Something needed is not there.
    MissingField,
    /// A variant of the format that is not read.
    Unsupported,
    /// A service failed; tried again.
    Upstream,
    /// A defect of the converter; tried again once.
    Internal,
    /// The guest trapped: a panic, `unreachable`, a stack overflow.
    Trap,
    /// The wall time ran out.
    Timeout,
    /// More linear memory, tables, instances or handles than allowed, or more bytes in one host call.
    MemoryLimit,
    /// More documents or document bytes than allowed. (Log over its limit is dropped and fails nothing.)
    OutputLimit,
    /// What the guest returned breaks the contract.
    BadOutput,
    /// No converter took the file.
    NoConverter,
    /// The host could not read or write.
    Io,
}

impl ErrorType {
    /// Every error type, in the order in which they are documented.
    pub const ALL: [ErrorType; 14] = [
        ErrorType::Malformed,
        ErrorType::Encoding,
        ErrorType::Validation,
        ErrorType::MissingField,
        ErrorType::Unsupported,
        ErrorType::Upstream,
        ErrorType::Internal,
        ErrorType::Trap,
        ErrorType::Timeout,
        ErrorType::MemoryLimit,
        ErrorType::OutputLimit,
        ErrorType::BadOutput,
        ErrorType::NoConverter,
        ErrorType::Io,
    ];

    /// The label value: snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Malformed => "malformed",
            ErrorType::Encoding => "encoding",
            ErrorType::Validation => "validation",
            ErrorType::MissingField => "missing_field",
            ErrorType::Unsupported => "unsupported",
            ErrorType::Upstream => "upstream",
            ErrorType::Internal => "internal",
            ErrorType::Trap => "trap",
            ErrorType::Timeout => "timeout",
            ErrorType::MemoryLimit => "memory_limit",
            ErrorType::OutputLimit => "output_limit",
            ErrorType::BadOutput => "bad_output",
            ErrorType::NoConverter => "no_converter",
            ErrorType::Io => "io",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in the input; each part where it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<u64>,
    /// Bytes from the beginning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
}

/// One thing that went wrong, as the guest or the host says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionError {
    /// What kind of error it is.
    pub error_type: ErrorType,
    /// The converter's own stable name for it; may be empty.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Where in the input.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Location>,
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)?;
        if let Some(at) = self.at {
            if let Some(line) = at.line {
                write!(f, " (line {line}")?;
                if let Some(column) = at.column {
                    write!(f, ", column {column}")?;
                }
                f.write_str(")")?;
            } else if let Some(offset) = at.offset {
                write!(f, " (byte {offset})")?;
            }
        }
        Ok(())
    }
}

/// What a problem means for the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is missing.
    Warning,
    /// A part of the input has no document.
    Error,
}

/// Something in the input that did not become a (whole) document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What it means for the documents.
    pub severity: Severity,
    /// What it is.
    #[serde(flatten)]
    pub error: ConversionError,
}

/// How a conversion ended, unless with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The documents are the result.
    Converted,
    /// Not for this converter; the reason.
    Skipped(String),
    /// Not yet.
    Suspended {
        /// A sentence for people.
        reason: String,
        /// Between 1 s and 24 h.
        retry_after: Duration,
        /// Plain file names, at most 64.
        awaits: Vec<String>,
    },
    /// Never, and that is no defect.
    Rejected(ConversionError),
}

/// Bytes that the guest may read, at any position. A fresh one is opened for every call.
pub trait Source: Send {
    /// The size in bytes, fixed for the life of the source.
    fn size(&self) -> u64;
    /// Reads at most `buffer.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The id of an input. Finding it may take reading all of the input, so it may wait until a guest asks for it.
#[derive(Clone)]
pub enum InputId {
    /// It is known.
    Known(String),
    /// It is found each time that it is asked for.
    Lazy(Arc<dyn Fn() -> io::Result<String> + Send + Sync>),
}

impl InputId {
    /// The id.
    ///
    /// # Errors
    /// What the system says where the input has to be read for it.
    pub fn get(&self) -> io::Result<String> {
        match self {
            InputId::Known(id) => Ok(id.clone()),
            InputId::Lazy(find) => find(),
        }
    }
}

impl Default for InputId {
    fn default() -> Self {
        InputId::Known(String::new())
    }
}

/// What a conversion reads: the input of a job.
pub struct Input {
    /// Opaque and stable; see `input.id` in `wit/`.
    pub id: InputId,
    /// The file name without folders.
    pub name: String,
    /// Relative to the intake, with `/`.
    pub path: String,
    /// What came with the input.
    pub media_type: Option<String>,
    /// Seconds since the epoch, and nanoseconds below one second.
    pub modified: Option<(i64, u32)>,
    /// Sorted by name, each name once.
    pub attributes: Vec<(String, String)>,
    /// The bytes.
    pub source: Box<dyn Source>,
    /// The other files of the job, sorted by name.
    pub members: Vec<Member>,
}

/// One of the other files of a job.
pub struct Member {
    /// As the guest names it.
    pub name: String,
    /// Opens it; called once per `open-member`.
    pub open: Box<dyn Fn() -> io::Result<Box<dyn Source>> + Send>,
}

/// Where the bytes of documents go while a conversion runs.
pub trait DocumentSink: Send {
    /// Begins document number `number` (0 for the first created).
    ///
    /// # Errors
    /// What the file system says; the job fails as `io`.
    fn create(&mut self, number: u32, media_type: &str, name: &str) -> io::Result<Box<dyn DocumentWriter>>;
}

/// One document on its way out.
pub trait DocumentWriter: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// What the file system says; the job fails as `io`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Completes the document, and gives the SHA-256 of its bytes where it was computed. A writer that is dropped without it discards what was
    /// written.
    ///
    /// # Errors
    /// What the file system says; the job fails as `io`.
    fn finish(self: Box<Self>) -> io::Result<Option<String>>;
}

/// A finished document, less its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The number that [`DocumentSink::create`] was called with. Unfinished documents leave gaps.
    pub number: u32,
    /// As the converter said.
    pub media_type: String,
    /// As the converter suggested it: not yet safe as a file name.
    pub name: String,
    /// In the order of their names.
    pub attributes: Vec<(String, String)>,
    /// What it is about.
    pub key: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal; none where nobody computed it.
    pub digest: Option<String>,
}

/// A line that the guest logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How important it is.
    pub level: LogLevel,
    /// What was logged.
    pub message: String,
    /// Besides the message.
    pub fields: Vec<(String, String)>,
}

/// The guest's log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What was decided, and why.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What went wrong.
    Error,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warning",
            LogLevel::Error => "error",
        })
    }
}

/// One value of a declared metric, checked against its declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The position of the metric in [`Descriptor::metrics`].
    pub metric: usize,
    /// What was observed.
    pub value: f64,
    /// In the declared order.
    pub labels: Vec<String>,
}

/// What one conversion used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// From instantiation to teardown.
    pub duration: Duration,
    /// How much of that passed before the guest was there to be called.
    pub instantiation: Duration,
    /// Bytes that the guest read, counted as often as it read them.
    pub input_bytes: u64,
    /// Bytes of finished documents.
    pub output_bytes: u64,
    /// The highest sum of linear memory at any moment.
    pub peak_memory_bytes: u64,
}

/// Everything that one run of `convert` gave.
#[derive(Debug)]
pub struct Conversion {
    /// How it ended.
    pub result: Result<Outcome, ConversionError>,
    /// In the order of creation; empty unless the result is [`Outcome::Converted`].
    pub documents: Vec<Document>,
    /// What was reported, oldest first.
    pub problems: Vec<Problem>,
    /// Problems beyond the limit, which are not in `problems`.
    pub problems_dropped: u64,
    /// Empty unless the result is [`Outcome::Converted`].
    pub observations: Vec<Observation>,
    /// The last lines logged, oldest first.
    pub log_tail: Vec<LogLine>,
    /// What the guest asked for besides the bytes of its input: all else cannot have had an influence.
    pub asked: Asked,
    /// What it used.
    pub usage: Usage,
}

/// The parts of an input, besides its bytes and its size, that a guest asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The job's id.
    pub id: bool,
    /// The file name.
    pub name: bool,
    /// The path below the intake.
    pub path: bool,
    /// The media type.
    pub media_type: bool,
    /// The modified time.
    pub modified: bool,
    /// The attributes: all, because they are given at once.
    pub attributes: bool,
    /// The names of the members; also where it tried to open one.
    pub members: bool,
    /// The members that were opened, by name.
    pub opened: BTreeSet<String>,
}

/// The limits of one call. See `config` for the reasons behind the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// From instantiation to return, host functions included.
    pub wall_time: Duration,
    /// Summed over all linear memories of the instance.
    pub memory_bytes: u64,
    /// Core instances of the component.
    pub instances: u32,
    /// Linear memories of the instance.
    pub memories: u32,
    /// Tables of the instance.
    pub tables: u32,
    /// Summed over all tables of the instance.
    pub table_elements: u64,
    /// Summed over all documents, finished or not.
    pub output_bytes: u64,
    /// Created, finished or not.
    pub documents: u32,
    /// Open handles: documents and inputs that the guest has not dropped.
    pub handles: u32,
    /// Lines kept; the others are dropped.
    pub log_lines: u32,
    /// Bytes kept.
    pub log_bytes: u64,
    /// Different label values of all metrics; observations of others are ignored.
    pub metric_series: u32,
    /// Problems kept; the others are counted.
    pub problems: u32,
    /// Size of the input.
    pub input_bytes: u64,
    /// Bytes that may cross the boundary in one host call.
    pub call_bytes: u64,
    /// Look-ups.
    pub lookups: u32,
    /// Bytes of the answers to all of them.
    pub lookup_bytes: u64,
    /// Time spent waiting for those answers; the wall time holds besides.
    pub lookup_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            wall_time: Duration::from_secs(300),
            memory_bytes: 256 << 20,
            instances: 256,
            memories: 16,
            tables: 256,
            table_elements: 1 << 18,
            output_bytes: 4 << 30,
            documents: 10_000,
            handles: 10_000,
            log_lines: 10_000,
            log_bytes: 1 << 20,
            metric_series: 1_000,
            problems: 1_000,
            input_bytes: 16 << 30,
            call_bytes: 128 << 20,
            lookups: 100,
            lookup_bytes: 16 << 20,
            lookup_time: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The limits of `describe`: it has nothing to read or write, and its longest text has 256 KiB.
    pub fn for_describe() -> Self {
        Limits { wall_time: Duration::from_secs(1), memory_bytes: 64 << 20, log_lines: 100, call_bytes: ANSWER_BYTES, ..Limits::default() }
    }

    /// The limits of `probe`: it reads at most 64 KiB.
    pub fn for_probe() -> Self {
        Limits { wall_time: Duration::from_secs(2), log_lines: 100, call_bytes: ANSWER_BYTES, ..Limits::default() }
    }
}

/// What `describe` and `probe` may say in one call: several times the longest descriptor that the contract admits. In the host, a list of
/// short texts takes three times what it took in the guest.
const ANSWER_BYTES: u64 = 4 << 20;
