//! The sidecar: a JSON file beside a source that failed, for the person who has to mend it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::queue::{CommittedJob, Outcome, time};
use crate::sandbox::ErrorType;

/// What a sidecar's name ends in.
const SUFFIX: &str = ".dropforge.json";

/// What failed, where, and with which plugin.
#[derive(Debug, Serialize)]
struct Sidecar<'a> {
    job: &'a str,
    route: &'a str,
    source: Source<'a>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<ErrorType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    converter: Option<Converter<'a>>,
    attempts: u32,
    queued_at: String,
    finished_at: String,
    documents: usize,
    /// The error, problems, candidates and last log lines.
    #[serde(flatten)]
    detail: &'a serde_json::Value,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    path: &'a str,
    bytes: u64,
    sha256: &'a str,
}

#[derive(Debug, Serialize)]
struct Converter<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a str,
}

/// Whether a file is a sidecar, by its name.
pub(super) fn is_one(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
}

/// Where the sidecar of a source is.
pub(super) fn path(source: &Path) -> PathBuf {
    let mut name = source.file_name().unwrap_or_default().to_os_string();
    name.push(SUFFIX);
    // A name near the file system's limit gives up its end for the suffix.
    if name.len() > 255 {
        let digest = crate::digest::sha256_hex(name.as_encoded_bytes());
        name = format!("{}{SUFFIX}", digest.get(..32).unwrap_or_default()).into();
    }
    source.with_file_name(name)
}

/// The sidecar of a job, as pretty JSON.
pub(super) fn content(job: &CommittedJob) -> Vec<u8> {
    let sidecar = Sidecar {
        job: job.job.id.as_str(),
        route: &job.job.route,
        source: Source { path: &job.job.path, bytes: job.job.identity.size, sha256: &job.job.digest },
        outcome: job.outcome,
        error_type: job.error_type,
        converter: (!job.plugin.1.is_empty()).then(|| Converter { name: &job.converter, version: &job.plugin.0, digest: &job.plugin.1 }),
        attempts: job.job.attempts,
        queued_at: time(job.job.created_ms),
        finished_at: time(job.finished_ms),
        documents: job.documents.len(),
        detail: &job.detail,
    };
    // Strings, numbers and maps with string keys always serialise.
    serde_json::to_vec_pretty(&sidecar).unwrap_or_default()
}
