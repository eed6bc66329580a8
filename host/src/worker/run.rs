//! One attempt at a job: open the very file, choose a converter, run it, and decide.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Context;
use super::choose::{Choice, choose};
use super::members;
use super::suspension;
use super::traced;
use super::verdict::{Decision, Detail, due_in, failed, host_error};
use crate::cache::{Answer, Question};
use crate::config::{Config, ConverterChoice, OnProblem, Route};
use crate::crash;
use crate::identity::FileIdentity;
use crate::metrics::{ConversionStatus, NO_CONVERTER};
use crate::plugins::{Admission, Plugin};
use crate::queue::{Job, Outcome, Pausable, Waiting};
use crate::sandbox::{self, Conversion, ErrorType, Input, Severity};
use crate::spans::JobTrace;
use crate::validation;

/// Tries to convert a job's source.
pub(super) fn convert(context: &Context, job: &Job, trace: &JobTrace) -> Decision {
    let Some(route) = context.config.routes.iter().find(|route| route.name == job.route) else {
        tracing::warn!(job = %job.id, route = job.route, file = job.path, "the route is no longer configured; the job waits until it is again");
        return Decision::Defer { due_ms: Waiting::NEVER_DUE_MS, waiting: Waiting::Route };
    };
    crash::point_of("convert", &job.path);
    match attempt(context, job, route, trace) {
        Ok(decision) => decision,
        Err(error) => {
            context.spool.discard(&job.id);
            let message = format!("cannot read {}: {error}; check its permissions and its disk", job.location.display());
            context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::Io));
            failed(job, None, &host_error(ErrorType::Io, "source", message), Detail::default())
        }
    }
}

/// What a job of a route takes at most, whichever converter has it: one that skips the file may have had it before.
pub(super) fn longest(config: &Config, route: &str) -> Duration {
    let route = config.routes.iter().find(|other| other.name == route);
    config.all_limits_for(route).map(|limits| limits.to_limits().wall_time).max().unwrap_or_default().saturating_mul(2)
}

fn attempt(context: &Context, job: &Job, route: &Route, trace: &JobTrace) -> io::Result<Decision> {
    let source = match File::open(&job.location) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(source_lost(context, NO_CONVERTER, job, "is gone")),
        other => other?,
    };
    if FileIdentity::of(&source.metadata()?) != job.identity {
        return Ok(source_lost(context, NO_CONVERTER, job, "was replaced by another file"));
    }
    let attributes = context.config.attributes_for(route, &job.path);
    let name = job.path.rsplit('/').next().unwrap_or(&job.path).to_string();
    let input = || -> io::Result<Input> {
        Ok(Input {
            id: sandbox::InputId::Known(job.id.to_string()),
            name: name.clone(),
            path: job.path.clone(),
            media_type: job.media_type.clone(),
            modified: Some(modified(job.identity.modified_ns)),
            attributes: attributes.clone(),
            source: Box::new(sandbox::FileSource::new(source.try_clone()?)?),
            members: members::of(context, job, &source)?,
        })
    };
    let choosing = traced::choosing(trace, route);
    let (plugins, candidates) = match choose(&context.config, route, &context.registry, &name, &job.path, &input)? {
        Choice::Offer(plugins, candidates) => (plugins, candidates),
        Choice::Missing(reason) => {
            tracing::warn!(job = %job.id, route = route.name, file = job.path, reason, "the job waits for its converter");
            return Ok(Decision::Defer { due_ms: Waiting::NEVER_DUE_MS, waiting: Waiting::Converter });
        }
    };
    drop(choosing);
    let mut skipped = Vec::new();
    let mut detail = Detail::default();
    detail.candidates(&candidates);
    for plugin in &plugins {
        let converter = plugin.descriptor.name.as_str();
        if context.store.pauses().of(Pausable::Converter, converter).is_some() {
            let waiting = Waiting::Paused { converter: converter.to_owned() };
            return Ok(Decision::Defer { due_ms: Waiting::NEVER_DUE_MS, waiting });
        }
        let options = match plugin.options(&route.options_for(converter)) {
            Ok(options) => options,
            Err(error) => {
                context.metrics.conversion(converter, ConversionStatus::Error, Some(ErrorType::Validation));
                let message = format!("route `{}`: {error}", route.name);
                return Ok(failed(job, Some(plugin), &host_error(ErrorType::Validation, "options", message), detail));
            }
        };
        let granted = context.config.granted(Some(route), converter);
        let sandboxed = match plugin.granted(&granted, Some(&route.name), context.lookups.clone()) {
            Ok(sandboxed) => sandboxed,
            Err(error) => {
                context.metrics.conversion(converter, ConversionStatus::Error, Some(ErrorType::Validation));
                return Ok(failed(job, Some(plugin), &host_error(ErrorType::Validation, "not_granted", error.to_string()), detail));
            }
        };
        if let (ConverterChoice::Auto, Some(at_most)) = (&route.converter, context.config.concurrency_of(converter))
            && !context.store.reserve(&job.id, converter, at_most).map_err(io::Error::other)?
        {
            return Ok(Decision::GivenBack);
        }
        let pass = match context.registry.suspensions().admit(converter, &plugin.digest) {
            Admission::Go(pass) => pass,
            Admission::Wait => return Ok(suspension::wait(converter, false)),
        };
        detail.options(&options);
        let sink = context.spool.begin(&job.id)?;
        let limits = context.config.limits_for(Some(route), Some(converter)).to_limits();
        let question = Question {
            plugin: &plugin.digest,
            options: &options,
            limits: &limits,
            on_invalid: route.on_invalid,
            input: &job.digest,
            id: job.id.as_str(),
            name: &name,
            path: &job.path,
            media_type: job.media_type.as_deref(),
            modified_ns: job.identity.modified_ns,
            attributes: &attributes,
            members: &members::digests(job),
        };
        // What a converter that can reach beyond its input would make of it now, nobody knows.
        let cache = context.cache.as_ref().filter(|_| sandboxed.capabilities().is_empty());
        let run = |sink| -> io::Result<Conversion> { Ok(sandboxed.convert(input()?, &options, &plugin.descriptor.metrics, sink, &limits)) };
        let answer = cache.map(|cache| traced::cache(trace, || cache.ask(&question)));
        let began = SystemTime::now();
        let (mut conversion, flight, ran) = match answer {
            Some(Answer::Known(stored)) => {
                detail.set("cached", json!(true));
                (stored.replay(sink)?, None, false)
            }
            Some(Answer::Unknown(flight)) => (run(flight.keep(sink))?, Some(flight), true),
            None => (run(sink)?, None, true),
        };
        if ran {
            validation::check(&mut conversion, route.on_invalid, |number| File::open(context.spool.document(&job.id, number)));
            traced::ran(trace, began, plugin, &conversion);
        }
        // The file could be written to while it was read; then nothing of what was read counts.
        let changed = FileIdentity::of(&source.metadata()?) != job.identity;
        if !changed {
            count(context, plugin, &conversion, ran);
        }
        if ran && let Some(wait) = suspension::ended(context, job, plugin, pass, &conversion) {
            return Ok(wait);
        }
        if changed {
            context.spool.discard(&job.id);
            return Ok(source_lost(context, converter, job, "changed while it was converted"));
        }
        let whole = matches!(conversion.result, Ok(sandbox::Outcome::Converted)) && conversion.problems.is_empty();
        if !whole {
            // For the sidecar: whoever reads it wonders which limit held.
            detail.limits(&limits);
        }
        if let Ok(sandbox::Outcome::Skipped(reason)) = &conversion.result {
            context.spool.discard(&job.id);
            skipped.push(json!({ "converter": converter, "reason": reason }));
            continue;
        }
        detail.set("skipped", Value::Array(skipped));
        detail.set("capabilities", json!(sandboxed.capabilities()));
        let keep = |conversion: &Conversion| {
            if let Some(flight) = flight {
                flight.land(&question, conversion, |number| context.spool.document(&job.id, number));
            }
        };
        return Ok(decide(context, job, route, plugin, conversion, detail, keep));
    }
    detail.set("skipped", Value::Array(skipped));
    Ok(not_taken(context, route, &plugins, detail))
}

/// What became of a conversion that was not skipped.
///
/// `keep` is called with what is worth keeping, once its documents are in the spool.
fn decide(
    context: &Context,
    job: &Job,
    route: &Route,
    plugin: &Plugin,
    conversion: Conversion,
    mut detail: Detail,
    keep: impl FnOnce(&Conversion),
) -> Decision {
    detail.conversion(&conversion);
    match conversion.result.clone() {
        Ok(sandbox::Outcome::Converted) => {
            let partial = conversion.problems.iter().any(|problem| problem.severity == Severity::Error) || conversion.problems_dropped > 0;
            let outcome = if partial { Outcome::Partial } else { Outcome::Converted };
            if partial && route.on_problem == OnProblem::Hold {
                context.spool.discard(&job.id);
                detail.set("documents_held_back", json!(conversion.documents.len()));
                return detail.end(outcome, None, Some(plugin));
            }
            let mut committed = detail.committed(outcome, None, Some(plugin));
            committed.documents = conversion.documents.clone();
            committed.destinations = route.destinations.iter().map(|destination| destination.label()).collect();
            if !partial {
                keep(&conversion);
            }
            Decision::Commit(Box::new(committed))
        }
        Ok(sandbox::Outcome::Suspended { reason, retry_after, awaits }) => {
            context.spool.discard(&job.id);
            tracing::info!(job = %job.id, route = route.name, file = job.path, converter = plugin.descriptor.name, reason,
                retry_seconds = retry_after.as_secs(), "suspended");
            Decision::Defer { due_ms: due_in(retry_after), waiting: Waiting::Suspended { awaits } }
        }
        Ok(sandbox::Outcome::Rejected(error)) => {
            context.spool.discard(&job.id);
            detail.error(&error);
            detail.end(Outcome::Rejected, None, Some(plugin))
        }
        // Skipped ones went to the next candidate.
        Ok(sandbox::Outcome::Skipped(reason)) => {
            context.spool.discard(&job.id);
            detail.set("error", json!({ "message": reason }));
            detail.end(Outcome::Skipped, None, Some(plugin))
        }
        Err(error) => {
            context.spool.discard(&job.id);
            failed(job, Some(plugin), &error, detail)
        }
    }
}

/// Nobody took the file: nobody wanted it, or all that did skipped it.
fn not_taken(context: &Context, route: &Route, offered: &[std::sync::Arc<Plugin>], mut detail: Detail) -> Decision {
    if let (ConverterChoice::Named { name, .. }, Some(plugin)) = (&route.converter, offered.first()) {
        let message = format!("converter `{name}`, which the route names, says that this file is not for it");
        detail.set("error", json!({ "message": message }));
        return detail.end(Outcome::Skipped, None, Some(plugin));
    }
    context.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::NoConverter));
    let asked: Vec<String> = context.registry.all().iter().map(|plugin| plugin.descriptor.name.clone()).collect();
    let message = if asked.is_empty() {
        "no converter is loaded; put one into the plugins folder, and this file is converted".to_string()
    } else {
        format!("no converter took this file (asked: {}); put one for it into the plugins folder, and it is converted", asked.join(", "))
    };
    detail.error(&host_error(ErrorType::NoConverter, "", message));
    detail.end(Outcome::Failed, Some(ErrorType::NoConverter), None)
}

/// The job's file is not there any more. It may be between two names for an instant, so it is looked for again before that is final.
fn source_lost(context: &Context, converter: &str, job: &Job, what: &str) -> Decision {
    context.metrics.conversion(converter, ConversionStatus::Error, Some(ErrorType::Io));
    let error = host_error(
        ErrorType::Io,
        "source_lost",
        format!("{} {what} before it was converted; if a new file is in its place, that one is a job of its own", job.location.display()),
    );
    failed(job, None, &error, Detail::default())
}

/// Counts a conversion; what it used only if it `ran`, and was not in the cache.
fn count(context: &Context, plugin: &Plugin, conversion: &Conversion, ran: bool) {
    let converter = plugin.descriptor.name.as_str();
    let partial = conversion.problems.iter().any(|problem| problem.severity == Severity::Error) || conversion.problems_dropped > 0;
    let (status, error_type) = match &conversion.result {
        Ok(sandbox::Outcome::Converted) if partial => (ConversionStatus::Partial, None),
        Ok(sandbox::Outcome::Converted) => (ConversionStatus::Success, None),
        Ok(sandbox::Outcome::Skipped(_)) => (ConversionStatus::Skipped, None),
        Ok(sandbox::Outcome::Suspended { .. }) => (ConversionStatus::Suspended, None),
        Ok(sandbox::Outcome::Rejected(_)) => (ConversionStatus::Rejected, None),
        Err(error) => (ConversionStatus::Error, Some(error.error_type)),
    };
    context.metrics.conversion(converter, status, error_type);
    if ran {
        context.metrics.conversion_run(converter, &conversion.usage, conversion.documents.len() as u64);
    }
    context.metrics.custom(converter, &plugin.descriptor.metrics, &conversion.observations);
}

fn modified(nanoseconds: i64) -> (i64, u32) {
    (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000).try_into().unwrap_or(0))
}
