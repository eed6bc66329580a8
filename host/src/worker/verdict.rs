//! What is to be done with a job once its conversion has ended: which errors are tried again is part of the contract.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Context;
use super::choose::Candidate;
use crate::plugins::Plugin;
use crate::queue::{Committed, Job, Outcome, Waiting, now_ms};
use crate::sandbox::{Conversion, ConversionError, ErrorType, Limits};

/// How often a job is tried whose upstream failed: with the delays below, over about an hour.
const UPSTREAM_ATTEMPTS: u32 = 10;
/// A defect of a converter may be one of the moment; once is enough to find out.
const INTERNAL_ATTEMPTS: u32 = 2;
/// How often a job is tried whose source or spool could not be read or written.
const IO_ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// What is to be done with a claimed job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Decision {
    /// It has ended.
    Commit(Box<Committed>),
    /// It is to be claimed again, not before this time in milliseconds since the epoch.
    Defer { due_ms: i64, waiting: Waiting },
    /// It waits already.
    GivenBack,
}

impl Decision {
    /// As the job's route wants it: nothing of a route that is only tried is delivered or moved.
    pub fn of_route(mut self, context: &Context, job: &Job) -> Decision {
        if let Decision::Commit(committed) = &mut self
            && context.config.routes.iter().any(|route| route.name == job.route && route.dry_run)
        {
            committed.set_dry_run();
        }
        self
    }
}

/// What the job's history and sidecar say besides its columns.
#[derive(Default)]
pub(super) struct Detail {
    values: Map<String, Value>,
    /// Those that the converter was given.
    options: Option<String>,
}

impl Detail {
    pub fn set(&mut self, name: &str, value: Value) {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            self.values.insert(name.into(), value);
        }
    }

    pub fn options(&mut self, options: &str) {
        self.options = Some(options.into());
    }

    pub fn limits(&mut self, limits: &Limits) {
        self.set(
            "limits",
            json!({
                "wall_seconds": limits.wall_time.as_secs_f64(),
                "memory_bytes": limits.memory_bytes,
                "instances": limits.instances,
                "memories": limits.memories,
                "tables": limits.tables,
                "table_elements": limits.table_elements,
                "output_bytes": limits.output_bytes,
                "documents": limits.documents,
                "handles": limits.handles,
                "log_lines": limits.log_lines,
                "log_bytes": limits.log_bytes,
                "metric_series": limits.metric_series,
                "problems": limits.problems,
                "input_bytes": limits.input_bytes,
                "lookups": limits.lookups,
                "lookup_bytes": limits.lookup_bytes,
                "lookup_seconds": limits.lookup_time.as_secs_f64(),
                "call_bytes": limits.call_bytes,
            }),
        );
    }

    pub fn candidates(&mut self, candidates: &[Candidate]) {
        self.set("candidates", json!(candidates));
    }

    pub fn error(&mut self, error: &ConversionError) {
        self.set("error", json!(error));
    }

    pub fn conversion(&mut self, conversion: &Conversion) {
        self.set("problems", json!(conversion.problems));
        if conversion.problems_dropped > 0 {
            self.set("problems_not_listed", json!(conversion.problems_dropped));
        }
        self.set("log", json!(conversion.log_tail));
        let milliseconds = (conversion.usage.duration.as_secs_f64() * 1e6).round() / 1e3;
        self.set("milliseconds", json!(milliseconds));
        self.set("peak_memory_bytes", json!(conversion.usage.peak_memory_bytes));
    }

    /// The end of a job that failed before anything was known of it.
    pub fn ended_by(error: &ConversionError) -> Decision {
        let mut detail = Detail::default();
        detail.error(error);
        detail.end(Outcome::Failed, Some(error.error_type), None)
    }

    /// The end of a job without documents.
    pub fn end(self, outcome: Outcome, error_type: Option<ErrorType>, plugin: Option<&Plugin>) -> Decision {
        Decision::Commit(Box::new(self.committed(outcome, error_type, plugin)))
    }

    pub fn committed(self, outcome: Outcome, error_type: Option<ErrorType>, plugin: Option<&Plugin>) -> Committed {
        Committed {
            outcome,
            error_type,
            converter: plugin.map_or_else(|| "none".into(), |plugin| plugin.descriptor.name.clone()),
            plugin: plugin.map(|plugin| (plugin.descriptor.version.clone(), plugin.digest.clone())).unwrap_or_default(),
            options: self.options,
            detail: Value::Object(self.values),
            documents: Vec::new(),
            destinations: Vec::new(),
        }
    }
}

/// A conversion that failed: tried again where that can help, else the end.
pub(super) fn failed(job: &Job, plugin: Option<&Plugin>, error: &ConversionError, mut detail: Detail) -> Decision {
    let attempts = match error.error_type {
        ErrorType::Upstream => UPSTREAM_ATTEMPTS,
        ErrorType::Internal => INTERNAL_ATTEMPTS,
        ErrorType::Io => IO_ATTEMPTS,
        _ => 1,
    };
    if job.attempts < attempts {
        let delay = retry_delay(job.attempts);
        tracing::warn!(job = %job.id, file = job.path, converter = plugin.map(|plugin| plugin.descriptor.name.as_str()), %error,
            retry_seconds = delay.as_secs(), "conversion failed; trying again");
        return Decision::Defer { due_ms: due_in(delay), waiting: Waiting::Retry };
    }
    detail.error(error);
    detail.end(Outcome::Failed, Some(error.error_type), plugin)
}

/// Doubled with every attempt. The later half is chance, so that jobs which failed together do not come back together.
fn retry_delay(attempts: u32) -> Duration {
    let longest = FIRST_DELAY.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_DELAY);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// The moment after a delay, in milliseconds since the epoch.
pub(super) fn due_in(delay: Duration) -> i64 {
    now_ms().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)).min(Waiting::NEVER_DUE_MS)
}

/// An error that the host found, without a place in the input.
pub(super) fn host_error(error_type: ErrorType, code: &str, message: String) -> ConversionError {
    ConversionError { error_type, code: code.into(), message, at: None }
}

/// The host itself panicked over this job.
pub(super) fn host_defect(job: &Job) -> Decision {
    let error = host_error(
        ErrorType::Internal,
        "host_defect",
        "a defect of Dropforge interrupted this job; its log has the place, please report it".into(),
    );
    failed(job, None, &error, Detail::default())
}
