//! What the HTTP server says about the daemon.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::depths::Depths;
use super::pauses;
use super::pressure::Pressure;
use crate::config::Config;
use crate::intake::Report;
use crate::metrics::{Metrics, disk_free_bytes};
use crate::plugins::Registry;
use crate::queue::{Pausable, Pause, Store};
use crate::server::{ApiStatus, Overview, RouteStatus, Status};
use crate::upstream::{Client, Health};
use crate::worker::Watchdog;

/// The registry, once the plugins that were there at start are loaded or refused.
pub(super) type RegistryCell = Arc<OnceLock<Arc<Registry>>>;

pub(super) struct DaemonStatus {
    config: Arc<Config>,
    store: Arc<Store>,
    depths: Depths,
    metrics: Arc<Metrics>,
    draining: Arc<AtomicBool>,
    pressure: Arc<Pressure>,
    registry: RegistryCell,
    client: OnceLock<Arc<Client>>,
    watchdog: OnceLock<Arc<Watchdog>>,
    /// What each route's intake tells, in the order of the routes.
    intakes: Vec<Arc<Report>>,
}

impl DaemonStatus {
    pub(super) fn new(
        config: Arc<Config>,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        draining: Arc<AtomicBool>,
        pressure: Arc<Pressure>,
    ) -> Self {
        let intakes = config.routes.iter().map(|_| Arc::default()).collect();
        DaemonStatus {
            config,
            depths: Depths::new(Arc::clone(&store)),
            store,
            metrics,
            draining,
            pressure,
            registry: Arc::default(),
            client: OnceLock::new(),
            watchdog: OnceLock::new(),
            intakes,
        }
    }

    /// Where the intakes write what is to be seen of them, in the order of the routes.
    pub(super) fn intake_reports(&self) -> &[Arc<Report>] {
        &self.intakes
    }

    pub(super) fn registry_cell(&self) -> RegistryCell {
        Arc::clone(&self.registry)
    }

    pub(super) fn plugins_are_loaded(&self, registry: Arc<Registry>) {
        let _ = self.registry.set(registry);
    }

    /// From now on it is known whether workers come back.
    pub(super) fn workers_are_watched(&self, watchdog: Arc<Watchdog>) {
        let _ = self.watchdog.set(watchdog);
    }

    /// From now on it is known how the upstream server is doing, if there is one.
    pub(super) fn upstream_is_watched(&self, client: Arc<Client>) {
        if client.upstream_health().is_some() {
            let watched = Arc::clone(&client);
            let up = move || watched.upstream_health().is_some_and(|health| health != Health::Offline);
            self.metrics.on_scrape(Box::new(move |metrics| metrics.upstream_up(up())));
        }
        let _ = self.client.set(client);
    }
}

impl Status for DaemonStatus {
    fn reasons_not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining: the daemon is stopping".to_string());
        }
        match self.registry.get() {
            None => reasons.push("starting: plugins are being loaded".to_string()),
            Some(registry) if registry.is_empty() => {
                reasons.push(format!("no converter is loaded: put a .wasm file into {}", self.config.plugins_dir.display()));
            }
            Some(_) => {}
        }
        if let Err(error) = self.store.check_writable() {
            reasons.push(error.to_string());
        }
        reasons.extend(self.watchdog.get().and_then(|watchdog| watchdog.reason()));
        reasons.extend(self.pressure.reasons());
        reasons
    }

    fn api_status(&self) -> ApiStatus {
        match self.client.get().and_then(|client| client.upstream_health()) {
            // Before the client is there, nobody has asked.
            None if self.config.upstream.is_some() => ApiStatus::Offline,
            None => ApiStatus::NotConfigured,
            Some(Health::Online) => ApiStatus::Online,
            Some(Health::Degraded) => ApiStatus::Degraded,
            Some(Health::Offline) => ApiStatus::Offline,
        }
    }

    fn plugins(&self) -> Value {
        let pauses = self.store.pauses();
        let mut plugins = self.registry.get().map(|registry| registry.status()).unwrap_or_default();
        for plugin in &mut plugins {
            let pause = plugin.running.as_ref().and_then(|running| pauses.of(Pausable::Converter, &running.name));
            plugin.paused = pause.map(Pause::in_words);
        }
        json!(plugins)
    }

    fn overview(&self) -> Overview {
        Overview {
            instance_id: self.config.instance_id.clone(),
            // Where it cannot be read, readiness says so.
            queue: json!(self.depths.get().unwrap_or_default().form()),
            spool_limit_bytes: self.config.max_spool_bytes,
            disk_free_bytes: disk_free_bytes(&self.config.state_dir).ok(),
            routes: json!(self.routes()),
            plugins: self.plugins(),
            totals: json!(self.metrics.totals()),
        }
    }

    fn routes(&self) -> Vec<RouteStatus> {
        let pauses = self.store.pauses();
        let routes = self.config.routes.iter().zip(&self.intakes).map(|(route, intake)| {
            let sight = intake.sight();
            let shown = |path: &Path| path.display().to_string();
            let has_folder = route.intake.has_folder();
            RouteStatus {
                name: route.name.clone(),
                converter: route.converter.to_string(),
                intake: has_folder.then(|| shown(&route.intake.path)),
                // Asking makes the series known, and a route without a folder has none.
                // Nor is anything known before the plugins are loaded.
                up: (has_folder && self.registry.get().is_some()).then(|| self.metrics.intake_is_up(&route.name)),
                waiting: sight.waiting,
                failing: sight.failing,
                last_error: sight.last_error.map(|error| json!(error)),
                paused: pauses.of(Pausable::Route, &route.name).map(pauses::form),
                held_back: sight.held_back,
                destinations: route.destinations.iter().map(|destination| destination.label()).collect(),
                dry_run: route.dry_run,
                done: shown(&route.intake.done_dir()),
                failed: shown(&route.intake.failed_dir()),
            }
        });
        routes.collect()
    }
}
