//! The guest's values as the host's types: texts cut to the contract's lengths, numbers brought into their ranges.

use std::time::Duration;

use super::bindings::dropforge::converter::types as guest;
use super::text::cut;
use super::types::{ConversionError, Descriptor, ErrorType, Location, MetricDeclaration, MetricKind, Outcome, Probe, Severity};

const MAX_REASON: usize = 1_024;
const MAX_CODE: usize = 64;
const MAX_MESSAGE: usize = 8_192;
const MAX_DESCRIPTION: usize = 1_024;
const MAX_HELP: usize = 512;
const MAX_AWAITS: usize = 64;
/// The longest file name that the file systems of our platforms take.
const MAX_FILE_NAME: usize = 255;
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// The severity of a problem.
pub fn severity(severity: guest::Severity) -> Severity {
    match severity {
        guest::Severity::Warning => Severity::Warning,
        guest::Severity::Error => Severity::Error,
    }
}

/// An error or a problem.
pub fn conversion_error(error: guest::ConversionError) -> ConversionError {
    let error_type = match error.kind {
        guest::ErrorType::Malformed => ErrorType::Malformed,
        guest::ErrorType::Encoding => ErrorType::Encoding,
        guest::ErrorType::Validation => ErrorType::Validation,
        guest::ErrorType::MissingField => ErrorType::MissingField,
        guest::ErrorType::Unsupported => ErrorType::Unsupported,
        guest::ErrorType::Upstream => ErrorType::Upstream,
        guest::ErrorType::Internal => ErrorType::Internal,
    };
    ConversionError {
        error_type,
        code: cut(error.code, MAX_CODE),
        message: cut(error.message, MAX_MESSAGE),
        at: error.at.map(|at| Location { line: at.line, column: at.column, offset: at.offset }),
    }
}

/// How a conversion ended.
pub fn outcome(outcome: guest::Outcome) -> Outcome {
    match outcome {
        guest::Outcome::Converted => Outcome::Converted,
        guest::Outcome::Skipped(reason) => Outcome::Skipped(cut(reason, MAX_REASON)),
        guest::Outcome::Suspended(suspension) => Outcome::Suspended {
            reason: cut(suspension.reason, MAX_REASON),
            retry_after: Duration::from_millis(suspension.retry_after_ms).clamp(MIN_RETRY, MAX_RETRY),
            awaits: suspension.awaits.into_iter().filter(|name| is_file_name(name)).take(MAX_AWAITS).collect(),
        },
        guest::Outcome::Rejected(error) => Outcome::Rejected(conversion_error(error)),
    }
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= MAX_FILE_NAME && !name.contains(['/', '\\']) && !name.contains(char::is_control)
}

/// The answer to `probe`.
pub fn probe(probe: guest::ProbeResult) -> Probe {
    Probe { confidence: probe.confidence.min(100), reason: cut(probe.reason, MAX_REASON) }
}

/// What the converter says about itself, not yet checked.
pub fn descriptor(descriptor: guest::Descriptor) -> Descriptor {
    Descriptor {
        name: descriptor.name,
        version: descriptor.version,
        description: cut(descriptor.description, MAX_DESCRIPTION),
        patterns: descriptor.patterns,
        media_types_in: descriptor.media_types_in,
        media_types_out: descriptor.media_types_out,
        options_schema: descriptor.options_schema,
        metrics: descriptor.metrics.into_iter().map(metric).collect(),
    }
}

fn metric(metric: guest::Metric) -> MetricDeclaration {
    let kind = match metric.kind {
        guest::MetricKind::Counter => MetricKind::Counter,
        guest::MetricKind::Gauge => MetricKind::Gauge,
        guest::MetricKind::Histogram => MetricKind::Histogram,
        guest::MetricKind::Summary => MetricKind::Summary,
    };
    MetricDeclaration {
        name: metric.name,
        kind,
        help: cut(metric.help, MAX_HELP),
        unit: metric.unit,
        labels: metric.labels,
        buckets: if kind == MetricKind::Histogram { metric.buckets } else { Vec::new() },
    }
}
