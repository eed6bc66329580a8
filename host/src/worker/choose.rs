//! Which converters a job is offered to, in which order.

use std::sync::Arc;

use serde::Serialize;

use crate::config::{ConverterChoice, Route};
use crate::plugins::{Plugin, Registry};
use crate::sandbox::{Input, Limits};

/// What a converter that was asked has answered: part of the job's history.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Candidate {
    pub converter: String,
    pub version: String,
    pub confidence: u8,
    pub reason: String,
}

/// The converters for a job.
pub(super) enum Choice {
    /// In the order in which they get it, with what everybody answered. An empty list: nobody wants it.
    Offer(Vec<Arc<Plugin>>, Vec<Candidate>),
    /// The one that the route names is not loaded; in words.
    Missing(String),
}

/// Chooses by the route: the converter that it names, or by asking all of them.
pub(super) fn choose(
    route: &Route,
    registry: &Registry,
    name: &str,
    path: &str,
    input: &dyn Fn() -> std::io::Result<Input>,
) -> std::io::Result<Choice> {
    let ConverterChoice::Named { name: wanted, digest } = &route.converter else {
        return ask_all(registry, name, path, input);
    };
    Ok(match registry.get(wanted) {
        Some(plugin) if digest.as_ref().is_none_or(|digest| *digest == plugin.digest) => Choice::Offer(vec![plugin], Vec::new()),
        Some(plugin) => Choice::Missing(format!("the route pins `{}`, loaded is sha256:{}", route.converter, plugin.digest)),
        None => Choice::Missing(format!("converter `{wanted}` is not loaded")),
    })
}

/// Asks every converter. The highest confidence comes first, then the more specific pattern, then the name.
fn ask_all(registry: &Registry, name: &str, path: &str, input: &dyn Fn() -> std::io::Result<Input>) -> std::io::Result<Choice> {
    let mut candidates = Vec::new();
    let mut willing = Vec::new();
    for plugin in registry.all() {
        let (confidence, reason) = match plugin.converter.probe(input()?, &Limits::for_probe()) {
            Ok(probe) => (probe.confidence, probe.reason),
            Err(error) => {
                tracing::warn!(converter = plugin.descriptor.name, file = path, %error, "probe failed; the file is not offered to this converter");
                (0, error.to_string())
            }
        };
        let (converter, version) = (plugin.descriptor.name.clone(), plugin.descriptor.version.clone());
        candidates.push(Candidate { converter, version, confidence, reason });
        if confidence > 0 {
            willing.push((confidence, plugin.specificity(name, path).unwrap_or(0), plugin));
        }
    }
    // The registry lists by name, and the sort keeps the order of equals.
    willing.sort_by_key(|(confidence, specificity, _)| std::cmp::Reverse((*confidence, *specificity)));
    Ok(Choice::Offer(willing.into_iter().map(|(_, _, plugin)| plugin).collect(), candidates))
}
