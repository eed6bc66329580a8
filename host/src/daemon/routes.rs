//! What the metrics say of routes and queues besides what happens to their files: what is known at a start, and what is counted for a scrape.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::config::Config;
use crate::metrics::{Metrics, QueueName};
use crate::queue::{Pausable, Store};

/// What is known of the routes before their intakes have started.
pub(super) fn report_routes(config: &Config, metrics: &Metrics, store: &Store) -> anyhow::Result<()> {
    for route in &config.routes {
        if let Some(seconds) = route.expected_interval_seconds {
            metrics.route_expected_interval(&route.name, seconds);
        }
        // A station that was silent before a restart is silent after it.
        let last = store.last_arrival_ms(&route.name).context("cannot read from the queue when files arrived last")?;
        metrics.intake_last_file(&route.name, last.unwrap_or_default() as f64 / 1e3);
    }
    Ok(())
}

/// How old the depth of the queues may be that a scrape is told: the jobs are counted for it, and whoever asks all the time must not keep the
/// daemon counting.
const DEPTH_AGE: Duration = Duration::from_secs(1);

/// The depth of the queues is asked for when it is scraped.
pub(super) fn report_queue_at_scrape(config: &Arc<Config>, metrics: &Metrics, store: &Arc<Store>) {
    let (config, store) = (Arc::clone(config), Arc::clone(store));
    let counted = Mutex::new(None::<Instant>);
    let is_due = move || {
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let due = counted.is_none_or(|counted| counted.elapsed() >= DEPTH_AGE);
        if due {
            *counted = Some(Instant::now());
        }
        due
    };
    metrics.on_scrape(Box::new(move |metrics| match is_due().then(|| store.sizes_while_down(&metrics.destinations_down())).transpose() {
        Ok(None) => {}
        Ok(Some(sizes)) => {
            metrics.queue_sizes(QueueName::Converter, sizes.due, &sizes.waiting, Duration::from_millis(sizes.oldest_ms));
            let waiting = [("retry", sizes.backing_off), ("destination", sizes.held_up), ("refused", sizes.refused)];
            metrics.queue_sizes(QueueName::Delivery, sizes.deliverable, &waiting, Duration::from_millis(sizes.oldest_undelivered_ms));
            metrics.spool_bytes(sizes.spool_bytes);
            let pauses = store.pauses();
            for route in &config.routes {
                metrics.route_paused(&route.name, pauses.of(Pausable::Route, &route.name).is_some());
                metrics.dead_letters(&route.name, sizes.dead_letters.get(&route.name).copied().unwrap_or(0));
            }
        }
        Err(error) => tracing::error!(%error, "cannot read the queue for its metrics; they keep their last values"),
    }));
}
