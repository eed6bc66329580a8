//! Which converters a job is offered to, in which order.

use std::sync::Arc;

use serde::Serialize;

use crate::config::{Config, ConverterChoice, Route};
use crate::plugins::{Answer, Plugin, Registry, ask};
use crate::sandbox::Input;

/// What a converter that was asked has answered: part of the job's history.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Candidate {
    pub converter: String,
    pub version: String,
    pub digest: String,
    pub confidence: u8,
    pub reason: String,
    /// Whether it has answered at all: else it is asked again when it may do so.
    pub asked: bool,
}

impl From<&Answer> for Candidate {
    fn from(answer: &Answer) -> Self {
        let descriptor = &answer.plugin.descriptor;
        let (converter, version, digest) = (descriptor.name.clone(), descriptor.version.clone(), answer.plugin.digest.clone());
        Candidate { converter, version, digest, confidence: answer.confidence, reason: answer.reason.clone(), asked: answer.is_its_own }
    }
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
    config: &Config,
    route: &Route,
    registry: &Registry,
    name: &str,
    path: &str,
    input: &dyn Fn() -> std::io::Result<Input>,
) -> std::io::Result<Choice> {
    let ConverterChoice::Named { name: wanted, digest } = &route.converter else {
        let granted = |plugin: &Plugin| plugin.check_grants(&config.granted(Some(route), &plugin.descriptor.name), Some(&route.name));
        let limits = |converter: &str| config.limits_for(Some(route), Some(converter)).to_probe_limits();
        let answers = ask(registry.all(), &granted, name, path, input, &limits)?;
        let candidates = answers.iter().map(Candidate::from).collect();
        let willing = answers.into_iter().filter(|answer| answer.confidence > 0).map(|answer| answer.plugin).collect();
        return Ok(Choice::Offer(willing, candidates));
    };
    Ok(match registry.get(wanted) {
        Some(plugin) if digest.as_ref().is_none_or(|digest| *digest == plugin.digest) => Choice::Offer(vec![plugin], Vec::new()),
        Some(plugin) => Choice::Missing(format!("the route pins `{}`, loaded is sha256:{}", route.converter, plugin.digest)),
        None => Choice::Missing(format!("converter `{wanted}` is not loaded")),
    })
}
