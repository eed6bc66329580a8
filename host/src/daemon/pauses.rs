//! Pausing routes and converters: which there are, and what the API is told about a pause.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::status::RegistryCell;
use crate::config::{Config, ConverterChoice};
use crate::events::Event;
use crate::metrics::Metrics;
use crate::queue::{Pausable, Pause, Store, time};
use crate::server::{Declined, PauseForm, Pauses, Target};

/// The pauses as the API sees them.
pub(super) struct DaemonPauses {
    pub(super) config: Arc<Config>,
    pub(super) store: Arc<Store>,
    pub(super) registry: RegistryCell,
    pub(super) metrics: Arc<Metrics>,
}

impl DaemonPauses {
    /// Whoever mistypes a name must not believe that something is paused.
    fn check(&self, target: Target, name: &str) -> Result<Pausable, Declined> {
        let routes = &self.config.routes;
        let (kind, names): (_, BTreeSet<String>) = match target {
            Target::Route => (Pausable::Route, routes.iter().map(|route| route.name.clone()).collect()),
            Target::Converter => {
                let named = routes.iter().filter_map(|route| match &route.converter {
                    ConverterChoice::Named { name, .. } => Some(name.clone()),
                    ConverterChoice::Auto => None,
                });
                let loaded = self.registry.get().map(|registry| registry.all()).unwrap_or_default();
                (Pausable::Converter, named.chain(loaded.iter().map(|plugin| plugin.descriptor.name.clone())).collect())
            }
        };
        // One that is gone since can still be resumed.
        if names.contains(name) || self.store.pauses().of(kind, name).is_some() {
            return Ok(kind);
        }
        let names: Vec<String> = names.into_iter().collect();
        let there_are = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
        Err(Declined::NotFound(format!("There is no {} {name:?}; {there_are}.", kind.as_str())))
    }
}

impl Pauses for DaemonPauses {
    fn pause(&self, target: Target, name: &str, reason: Option<&str>) -> Result<bool, Declined> {
        let kind = self.check(target, name)?;
        let changed = self.store.pause(kind, name, reason).map_err(|error| Declined::Failed(error.into()))?;
        tracing::warn!(name, reason, "this {} is paused until somebody resumes it", kind.as_str());
        let (named, reason) = (name.to_owned(), reason.map(str::to_owned));
        self.metrics.tell(|| match target {
            Target::Route => Event::RoutePaused { route: named, reason },
            Target::Converter => Event::ConverterPaused { converter: named, reason },
        });
        Ok(changed)
    }

    fn resume(&self, target: Target, name: &str) -> Result<bool, Declined> {
        let kind = self.check(target, name)?;
        let changed = self.store.end_pause(kind, name).map_err(|error| Declined::Failed(error.into()))?;
        if changed {
            tracing::info!(name, "this {} goes on", kind.as_str());
            let named = name.to_owned();
            self.metrics.tell(|| match target {
                Target::Route => Event::RouteResumed { route: named },
                Target::Converter => Event::ConverterResumed { converter: named },
            });
        }
        Ok(changed)
    }
}

/// A pause as the API shows it.
pub(super) fn form(pause: &Pause) -> PauseForm {
    PauseForm { since: time(pause.since_ms), reason: pause.reason.clone() }
}
