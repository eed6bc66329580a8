//! Takes committed jobs on their way out: a lane for each destination, and one for the sources of each route. It wires them; how documents get to a
//! destination is the couriers' to know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use super::courier::Courier;
use super::folder::{self, FolderCourier};
use super::http::HttpCourier;
use super::landing::Landing;
use super::lane::Lane;
use super::object_store::StoreCourier;
use super::settler::Settler;
use super::{Shared, Spool};
use crate::config::{Config, Destination};
use crate::metrics::{Metrics, QueueName};
use crate::queue::{Store, Wakeup};
use crate::spans::Tracer;
use crate::upstream::Client;

/// The longest time without passing on a sign that something came, so that the end is not missed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The running delivery.
pub struct Deliverer {
    shared: Arc<Shared>,
    wakeups: Vec<Arc<Wakeup>>,
    lanes: Vec<JoinHandle<()>>,
    messenger: JoinHandle<()>,
}

impl Deliverer {
    /// Tries whether the destinations of a configuration can be used.
    ///
    /// # Errors
    /// Where the settings of one cannot.
    pub fn check(config: &Arc<Config>, spool: &Spool, client: &Arc<Client>, metrics: &Arc<Metrics>) -> anyhow::Result<()> {
        for destination in config.routes.iter().flat_map(|route| &route.destinations) {
            let label = destination.label();
            match destination {
                Destination::Folder(_) => {}
                Destination::Http(_) => drop(HttpCourier::new(Arc::clone(config), spool.clone(), Arc::clone(client), &label)?),
                Destination::ObjectStore(settings) => {
                    drop(StoreCourier::new(Arc::clone(config), spool.clone(), client.handle(), metrics, &label, settings)?);
                }
            }
        }
        Ok(())
    }

    /// Starts delivering what is committed, beginning with what an earlier process left.
    ///
    /// # Errors
    /// Where the spool cannot be cleaned of what a crash left, a destination's settings cannot be used, or no thread can be started.
    pub fn start(
        config: Arc<Config>,
        store: Arc<Store>,
        spool: Spool,
        client: Arc<Client>,
        metrics: Arc<Metrics>,
        tracer: Tracer,
    ) -> anyhow::Result<Deliverer> {
        store.end_finished()?;
        spool.clean(&store.in_spool()?)?;
        let landing = Arc::new(Landing::open(&config.state_dir).context("cannot read what is known of destinations in state_dir")?);
        let couriers = couriers(&config, &spool, &client, &metrics, &landing)?;
        for (label, jobs) in store.awaited_destinations()?.into_iter().filter(|(label, _)| !couriers.contains_key(label)) {
            tracing::warn!(
                destination = label,
                jobs,
                "documents wait for a destination that the configuration does not have any more; put it back, or give them up with \
                 `dropforge queue purge --undelivered DESTINATION`"
            );
        }
        metrics
            .queue_workers(QueueName::Delivery, couriers.values().map(|courier| courier.in_flight()).sum::<usize>() + config.routes.len());
        let shared = Arc::new(Shared { store, spool, metrics, tracer, stopping: AtomicBool::new(false) });
        let mut wakeups = Vec::new();
        let mut lanes = Vec::new();
        for (label, courier) in couriers {
            shared.metrics.destination(&label);
            let wakeup = Arc::new(Wakeup::default());
            let lane = Lane::new(label, Arc::clone(&shared), Arc::clone(&wakeup), courier)?;
            lanes.push(thread::Builder::new().name("delivery lane".into()).spawn(move || lane.run())?);
            wakeups.push(wakeup);
        }
        let wakeup = Arc::new(Wakeup::default());
        let settler = Settler::new(&config, Arc::clone(&shared), Arc::clone(&wakeup))?;
        lanes.push(thread::Builder::new().name("sources".into()).spawn(move || settler.run())?);
        wakeups.push(wakeup);
        let messenger = messenger(Arc::clone(&shared), wakeups.clone())?;
        Ok(Deliverer { shared, wakeups, lanes, messenger })
    }

    /// Finishes what is in hand and stops. What is left is delivered after the next start.
    pub fn stop(self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.store.committed().notify();
        self.wakeups.iter().for_each(|wakeup| wakeup.notify());
        for thread in self.lanes.into_iter().chain([self.messenger]) {
            let _ = thread.join();
        }
    }
}

/// Passes the sign that something was committed on to every lane.
fn messenger(shared: Arc<Shared>, wakeups: Vec<Arc<Wakeup>>) -> std::io::Result<JoinHandle<()>> {
    let committed = shared.store.committed();
    thread::Builder::new().name("delivery signs".into()).spawn(move || {
        let mut passed_on = committed.generation();
        while !shared.stopping.load(Ordering::Relaxed) {
            committed.wait(passed_on, LONGEST_WAIT);
            passed_on = committed.generation();
            wakeups.iter().for_each(|wakeup| wakeup.notify());
        }
    })
}

/// A courier for each destination of the configuration, by its label.
fn couriers(
    config: &Arc<Config>,
    spool: &Spool,
    client: &Arc<Client>,
    metrics: &Arc<Metrics>,
    landing: &Arc<Landing>,
) -> anyhow::Result<BTreeMap<String, Arc<dyn Courier>>> {
    let mut couriers: BTreeMap<String, Arc<dyn Courier>> = BTreeMap::new();
    for destination in config.routes.iter().flat_map(|route| &route.destinations) {
        let label = destination.label();
        if couriers.contains_key(&label) {
            continue;
        }
        let courier: Arc<dyn Courier> = match destination {
            Destination::Folder(settings) => {
                let path: PathBuf = settings.path.clone();
                if path.is_dir() {
                    folder::remove_temporaries(&path)
                        .with_context(|| format!("cannot remove what an interrupted delivery left in {}", path.display()))?;
                }
                Arc::new(FolderCourier::new(Arc::clone(config), spool.clone(), Arc::clone(landing), path, &label))
            }
            Destination::Http(_) => Arc::new(HttpCourier::new(Arc::clone(config), spool.clone(), Arc::clone(client), &label)?),
            Destination::ObjectStore(settings) => {
                Arc::new(StoreCourier::new(Arc::clone(config), spool.clone(), client.handle(), metrics, &label, settings)?)
            }
        };
        couriers.insert(label, courier);
    }
    Ok(couriers)
}
