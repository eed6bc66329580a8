//! Jobs, as they go into the queue and come out of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::events::JobFile;
use crate::identity::FileIdentity;
use crate::sandbox::{Document, ErrorType};
use crate::trace_context::TraceParent;

/// A job to add.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// From route, path, modified time and digest.
    pub id: JobId,
    /// The route's name.
    pub route: String,
    /// Relative to the intake, with `/`, for people and converters.
    pub path: String,
    /// Where the source is.
    pub location: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
    /// SHA-256 of the source, lower-case hexadecimal.
    pub digest: String,
    /// 1 (first) to 10.
    pub priority: u8,
    /// How it came.
    pub origin: Origin,
    /// The other files that belong to it, in the order of their names.
    pub members: Vec<Member>,
    /// What it was said to be when it was posted: lower case, without parameters.
    pub media_type: Option<String>,
    /// The span of another system that it was posted in.
    pub trace: Option<TraceParent>,
}

/// What describes a posted file, beside it in its folder, until it is settled: should the queue lose its job, this makes it anew.
pub const POSTED_FILE: &str = ".dropforge-posted.json";

/// The folder of posted files in the state folder: one folder for each job, named by its id.
pub const UPLOADS_FOLDER: &str = "uploads";

/// What the folders of posted files and of members' copies are called until their job is queued.
pub const COMING: &str = "coming-";

/// The folder of the members' copies in the state folder: one folder for each job that has any, named by its id.
pub const MEMBERS_FOLDER: &str = "members";

/// A file that belongs to a source. What is converted is a copy, which the source's retries and replays see unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As the converter names it: its path below the source's folder, with `/`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
    /// Where the copy is, below the state folder, with `/`.
    pub location: String,
    /// Which file it was copied from: device, inode, and the modified time in nanoseconds since the epoch.
    pub identity: (u64, u64, i64),
}

impl From<&Job> for JobFile {
    fn from(job: &Job) -> JobFile {
        JobFile { job: job.id.to_string(), route: job.route.clone(), file: job.path.clone() }
    }
}

/// How a source came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was found in the intake's folder.
    #[default]
    Folder,
    /// It was posted.
    Http,
}

impl Origin {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Folder => "folder",
            Origin::Http => "http",
        }
    }

    /// The origin that [`Origin::as_str`] gave.
    pub(super) fn from_stored(text: &str) -> Origin {
        if text == Origin::Http.as_str() { Origin::Http } else { Origin::Folder }
    }
}

/// What adding a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It is new.
    New,
    /// It was settled before and runs again: somebody put the file back.
    Again,
    /// It is on its way already, or was settled by leaving it where it is.
    Known,
    /// Its conversion has ended, and its source is about to be settled: if the file is still there after that, it was put back.
    Settling,
}

/// Why a queued job is not due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waiting {
    /// An error that may pass.
    Retry,
    /// The converter asked to be called later, or as soon as these files are beside the source.
    Suspended {
        /// Plain names in the source's folder.
        awaits: Vec<String>,
    },
    /// The converter that the route names is not loaded.
    Converter,
    /// Its converter is suspended because it has failed again and again.
    PluginSuspended {
        /// The converter's name.
        converter: String,
        /// This job was tried, and failed too.
        tried: bool,
    },
    /// As many jobs run with its converter as may.
    Busy,
    /// The route is not configured; looked at again at the next start.
    Route,
    /// An operator has paused its converter. Where its route is paused, or names the converter, it is not even claimed.
    Paused {
        /// The converter.
        converter: String,
    },
}

impl Waiting {
    /// The label value `reason` of `queue_waiting`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Waiting::Retry => "retry",
            Waiting::Suspended { .. } => "suspended",
            Waiting::Converter => "converter",
            Waiting::PluginSuspended { .. } => "plugin_suspended",
            Waiting::Busy => "busy",
            Waiting::Route => "route",
            Waiting::Paused { .. } => "paused",
        }
    }

    /// Every reason, for metrics.
    pub const REASONS: [&'static str; 7] = ["retry", "suspended", "converter", "plugin_suspended", "busy", "route", "paused"];

    /// When a job is due that waits until something releases it; in milliseconds since the epoch, in the year 9999.
    pub const NEVER_DUE_MS: i64 = 253_402_300_799_000;
}

/// A claimed or committed job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Names it.
    pub id: JobId,
    /// The route's name.
    pub route: String,
    /// Relative to the intake, with `/`.
    pub path: String,
    /// Where the source is.
    #[serde(with = "crate::files::path_as_bytes")]
    pub location: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
    /// SHA-256 of the source.
    pub digest: String,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// When it was queued, in milliseconds since the epoch.
    pub created_ms: i64,
    /// How often the process ended while it ran.
    pub crashes: u32,
    /// How it came.
    #[serde(default)]
    pub origin: Origin,
    /// The other files that belong to it, in the order of their names.
    #[serde(default)]
    pub members: Vec<Member>,
    /// What it was said to be when it was posted: lower case, without parameters.
    #[serde(default)]
    pub media_type: Option<String>,
    /// The span of another system that it was posted in.
    #[serde(default)]
    pub trace: Option<TraceParent>,
    /// When it was queued again, after it had been settled, in milliseconds since the epoch; 0 where it was not.
    #[serde(default)]
    pub again_ms: i64,
}

impl Job {
    /// When it was queued last, in milliseconds since the epoch.
    pub fn queued_ms(&self) -> i64 {
        self.created_ms.max(self.again_ms)
    }

    /// As it was when it was added, with the middle priority: of a job that runs, nobody needs to know it any more.
    pub(super) fn new_job(&self) -> NewJob {
        NewJob {
            id: self.id.clone(),
            route: self.route.clone(),
            path: self.path.clone(),
            location: self.location.clone(),
            identity: self.identity,
            digest: self.digest.clone(),
            priority: 5,
            origin: self.origin,
            members: self.members.clone(),
            media_type: self.media_type.clone(),
            trace: self.trace,
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every part of the input is in the documents.
    Converted,
    /// Parts of the input were reported as problems.
    Partial,
    /// The named converter said that the file is not for it.
    Skipped,
    /// It will never convert, and that is no defect.
    Rejected,
    /// An error, with its type.
    Failed,
}

impl Outcome {
    /// As stored, shown and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Converted => "converted",
            Outcome::Partial => "partial",
            Outcome::Skipped => "skipped",
            Outcome::Rejected => "rejected",
            Outcome::Failed => "failed",
        }
    }

    /// The outcome that [`Outcome::as_str`] gave.
    pub fn from_stored(text: &str) -> Option<Self> {
        [Outcome::Converted, Outcome::Partial, Outcome::Skipped, Outcome::Rejected, Outcome::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// What became of a job: the end of its conversion, and the beginning of its delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Committed {
    /// How it ended.
    pub outcome: Outcome,
    /// With [`Outcome::Failed`].
    pub error_type: Option<ErrorType>,
    /// The converter's name; `none` where none took it.
    pub converter: String,
    /// The plugin's version and digest; empty where there was none.
    pub plugin: (String, String),
    /// The options that the converter was given, as JSON; none where there was no converter.
    pub options: Option<String>,
    /// What the sidecar says besides: a JSON object.
    pub detail: serde_json::Value,
    /// In the spool, to be delivered to `destinations`.
    pub documents: Vec<Document>,
    /// The destinations' names; empty where nothing goes out.
    pub destinations: Vec<String>,
}
