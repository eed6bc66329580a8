//! Spans of conversions. It decides nothing.

use std::time::SystemTime;

use crate::cache::Answer;
use crate::config::{ConverterChoice, Route};
use crate::plugins::Plugin;
use crate::queue::{Committed, Job, Origin, Outcome};
use crate::sandbox::{self, Conversion, Severity};
use crate::spans::{JobTrace, Kind, Span, Tracer};

/// The job is claimed: the time since it was queued is over.
pub(super) fn queued(trace: &JobTrace, job: &Job) {
    let mut span = trace.begin_when_queued("queue");
    span.set("dropforge.attempt", u64::from(job.attempts));
}

/// Begins to ask the converters, where a route asks them.
pub(super) fn choosing(trace: &JobTrace, route: &Route) -> Option<Span> {
    matches!(route.converter, ConverterChoice::Auto).then(|| trace.begin("choose"))
}

/// Asks the cache of results.
pub(super) fn cache<'a>(trace: &JobTrace, ask: impl FnOnce() -> Answer<'a>) -> Answer<'a> {
    let mut span = trace.begin("cache");
    let answer = ask();
    span.set("dropforge.cache.hit", matches!(answer, Answer::Known(_)));
    answer
}

/// A conversion has run that began at this time: how long the instance took to be there, and the converter with it.
pub(crate) fn ran(trace: &JobTrace, began: SystemTime, plugin: &Plugin, conversion: &Conversion) {
    let usage = &conversion.usage;
    let mut span = trace.begin_at("convert", began + usage.instantiation);
    if !span.is_recorded() {
        return;
    }
    if !usage.instantiation.is_zero() {
        let mut instantiate = trace.begin_at("instantiate", began);
        of_plugin(&mut instantiate, &plugin.descriptor.name, &plugin.descriptor.version, &plugin.digest);
        instantiate.end_at(began + usage.instantiation);
    }
    of_plugin(&mut span, &plugin.descriptor.name, &plugin.descriptor.version, &plugin.digest);
    span.set("dropforge.input.bytes", usage.input_bytes);
    span.set("dropforge.output.bytes", usage.output_bytes);
    span.set("dropforge.documents", conversion.documents.len() as u64);
    span.set("dropforge.peak_memory.bytes", usage.peak_memory_bytes);
    let partial = conversion.problems.iter().any(|problem| problem.severity == Severity::Error) || conversion.problems_dropped > 0;
    let outcome = match &conversion.result {
        Ok(sandbox::Outcome::Converted) if partial => "partial",
        Ok(sandbox::Outcome::Converted) => "converted",
        Ok(sandbox::Outcome::Skipped(_)) => "skipped",
        Ok(sandbox::Outcome::Suspended { .. }) => "suspended",
        Ok(sandbox::Outcome::Rejected(error)) => {
            span.failed(error.error_type.as_str(), &error.to_string());
            "rejected"
        }
        Err(error) => {
            span.failed(error.error_type.as_str(), &error.to_string());
            "failed"
        }
    };
    span.set("dropforge.outcome", outcome);
    span.end_at(began + usage.duration);
}

/// What became of a job is about to be recorded: its span ends.
pub(super) fn ended(tracer: &Tracer, job: &Job, committed: &Committed) {
    if tracer.is_off() {
        return;
    }
    let kind = match job.origin {
        Origin::Http => Kind::Consumer,
        Origin::Folder => Kind::Internal,
    };
    let mut span = tracer.of_job(job).job(kind);
    if !span.is_recorded() {
        return;
    }
    let (version, digest) = &committed.plugin;
    of_plugin(&mut span, &committed.converter, version, digest);
    span.set("dropforge.outcome", committed.outcome.as_str());
    span.set("dropforge.attempt", u64::from(job.attempts));
    span.set("dropforge.origin", job.origin.as_str());
    span.set("dropforge.documents", committed.documents.len() as u64);
    span.set("dropforge.output.bytes", committed.documents.iter().map(|document| document.bytes).sum::<u64>());
    if matches!(committed.outcome, Outcome::Failed | Outcome::Rejected) {
        let error = committed.detail.get("error");
        let said = |name: &str| error.and_then(|error| error.get(name)?.as_str()).unwrap_or_default();
        let error_type = committed.error_type.map_or_else(|| said("error_type"), |error_type| error_type.as_str());
        span.failed(error_type, said("message"));
    }
}

fn of_plugin(span: &mut Span, converter: &str, version: &str, digest: &str) {
    span.set("dropforge.converter", converter);
    if !digest.is_empty() {
        span.set("dropforge.plugin.version", version);
        span.set("dropforge.plugin.digest", digest);
    }
}
