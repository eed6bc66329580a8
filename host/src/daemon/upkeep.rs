//! What has to be done now and then: old settled files and history go, and jobs are queued again for new plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::leftovers;
use super::status::RegistryCell;
use crate::config::Config;
use crate::delivery::{remove_expired, remove_surplus};
use crate::plugins::Plugin;
use crate::queue::{AskedPlugin, MEMBERS_FOLDER, QueueError, Store, UPLOADS_FOLDER, Wakeup, now_ms};

const INTERVAL: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 86_400_000;

/// The thread that keeps house.
pub(super) struct Upkeep {
    stopping: Arc<(AtomicBool, Wakeup)>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    pub(super) fn start(config: Arc<Config>, store: Arc<Store>) -> std::io::Result<Upkeep> {
        let stopping: Arc<(AtomicBool, Wakeup)> = Arc::default();
        let signal = Arc::clone(&stopping);
        let thread = thread::Builder::new().name("upkeep".into()).spawn(move || {
            let (stopping, wakeup) = &*signal;
            while !stopping.load(Ordering::Relaxed) {
                let seen = wakeup.generation();
                keep_house(&config, &store);
                wakeup.wait(seen, INTERVAL);
            }
        })?;
        Ok(Upkeep { stopping, thread })
    }

    pub(super) fn stop(self) {
        self.stopping.0.store(true, Ordering::Relaxed);
        self.stopping.1.notify();
        let _ = self.thread.join();
    }
}

fn keep_house(config: &Config, store: &Store) {
    for folder in [MEMBERS_FOLDER, UPLOADS_FOLDER] {
        if let Err(error) = leftovers::remove(&config.state_dir.join(folder), store, leftovers::WHILE_RUNNING) {
            tracing::warn!(folder, %error, "cannot remove what belongs to forgotten jobs; trying again in an hour");
        }
    }
    for route in &config.routes {
        if let Err(error) = remove_expired(route, now_ms()) {
            tracing::warn!(route = route.name, %error, "cannot remove old settled files; trying again in an hour");
        }
        match remove_surplus(route) {
            Ok(0) => {}
            Ok(files) => tracing::info!(route = route.name, files, keep_bytes = route.after.keep_bytes, "removed the oldest settled files"),
            Err(error) => {
                tracing::warn!(route = route.name, %error, "cannot remove settled files beyond keep_bytes; trying again in an hour")
            }
        }
        if route.after.keep_days > 0 {
            said(store.forget_before(&route.name, now_ms() - i64::from(route.after.keep_days) * DAY_MS));
        }
    }
    said(store.forget_beyond(config.history_max_jobs));
}

fn said(forgotten: Result<u64, QueueError>) {
    match forgotten {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "forgot old history"),
        Err(error) => tracing::warn!(%error, "cannot forget old history; trying again in an hour"),
    }
}

/// Releases what waited for a plugin: jobs of routes that name it, and files that no converter had taken and whose name one now matches.
pub(super) fn plugins_changed(config: &Arc<Config>, store: &Store, registry: &RegistryCell) {
    let Some(registry) = registry.get() else { return };
    let plugins = registry.all();
    let config = Arc::clone(config);
    let wants = move |route: &str, path: &str, asked: &[AskedPlugin]| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let route = config.routes.iter().find(|known| known.name == route);
        let granted = |plugin: &Plugin| plugin.check_grants(&config.granted(route, &plugin.descriptor.name), None).is_ok();
        // One that has said that the file is not its own would say so again: else every start would convert all of them once more. One that
        // could not say it may do so now, by other grants and limits.
        let was_asked = |plugin: &Plugin| {
            asked.iter().filter(|asked| asked.asked).any(|asked| match &asked.digest {
                Some(digest) => *digest == plugin.digest,
                None => asked.converter == plugin.descriptor.name && asked.version == plugin.descriptor.version,
            })
        };
        plugins.iter().any(|plugin| plugin.specificity(name, path).is_some() && !was_asked(plugin) && granted(plugin))
    };
    match store.plugins_changed(wants) {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "queued again for the plugins that are loaded now"),
        Err(error) => tracing::error!(%error, "cannot queue again what waits for a plugin; the next change of plugins tries again"),
    }
}
