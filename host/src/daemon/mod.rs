//! Wires the parts together: start, drain, stop. It decides nothing about files and converters itself.

mod arrivals;
mod caches;
mod clock;
mod convert_now;
mod copies;
mod depths;
#[cfg(unix)]
pub mod hangups;
mod inlet;
mod leftovers;
mod lock;
mod operator;
mod pauses;
mod picks;
mod pressure;
mod reload;
mod routes;
mod running;
mod signals;
mod status;
mod supervisor;
mod upkeep;
mod uploads;

use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::cache::ResultCache;
use crate::config::{Config, ConverterChoice, Route};
use crate::delivery::{Deliverer, SPOOL_FOLDER, Spool};
use crate::events::Event;
use crate::files;
use crate::intake::{self, Intake};
use crate::metrics::{Instance, Metrics};
use crate::plugins::{LoadSettings, OptionsVerdict, PluginFolder, Registry, check_options};
use crate::queue::{Lane, MEMBERS_FOLDER, QUEUE_FILE, Store};
use crate::sandbox::{Lookup, Sandbox};
use crate::server::{Bounds, Certificate, STREAM_TIME, Server, ServerConfig, Service, TOKEN_VARIABLE, Token};
use crate::spans::{Exporter, Tracer};
use crate::tls;
use crate::upstream::{Client, Lookups};
use crate::worker::{Context, Workers};

pub use lock::{LockError, StateLock};
pub use reload::Reread;
pub use running::{running_at, url};
#[cfg(windows)]
pub use signals::stop_soon;

use arrivals::QueueArrivals;
use caches::DaemonCaches;
use convert_now::ConvertNow;
use inlet::DaemonInlet;
use operator::QueueOperator;
use pauses::DaemonPauses;
use picks::Picks;
use pressure::Pressure;
use reload::Reload;
use routes::{report_queue_at_scrape, report_routes};
use running::Running;
use signals::{Request, note_stops, signals};
use status::DaemonStatus;
#[cfg(not(windows))]
use supervisor::Moment;
#[cfg(windows)]
pub use supervisor::{Moment, listen};
use upkeep::Upkeep;
use uploads::Uploads;

/// How long an end waits for threads that read files for somebody who has gone.
const HANGING: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop by SIGTERM or Ctrl-C, then drains it: nothing new is taken, running jobs end (at most
/// `drain_seconds`), and the queue stays. A second signal ends it at once.
///
/// SIGHUP, and a request of the API's, have it take its configuration anew, by `reread`.
///
/// # Errors
/// What keeps it from starting: a state folder in use, a health port that is taken, a folder that cannot be used.
pub fn run(config: Config, reread: Reread) -> anyhow::Result<Ended> {
    let config = Arc::new(config);
    files::create_folder(&config.state_dir).with_context(|| format!("cannot create state_dir {}", config.state_dir.display()))?;
    let lock = StateLock::acquire(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the HTTP threads")?;
    // The handlers are in place before anything is taken, so that an early signal stops cleanly too.
    let mut signals = runtime.block_on(async { signals() })?;
    #[cfg(unix)]
    hangups::release();
    supervisor::keep_alive(&runtime);
    let daemon = Daemon::start(config, reread, &runtime)?;
    tracing::info!("Dropforge {} is ready: drop files into the inboxes, plugins into the plugins folder", env!("CARGO_PKG_VERSION"));
    let ready = Moment::Ready { converters: daemon.plugins.registry().all().len(), routes: daemon.config.routes.len() };
    supervisor::tell(ready);
    let (ended, stops) = runtime.block_on(async {
        loop {
            tokio::select! {
                signal = signals.any() => match signal {
                    Request::Stop => {
                        return (Ended::Stopped, note_stops(true));
                    }
                    Request::Reload => {
                        // What is wrong with it is said in the log, and what is right comes as a wish.
                        let reload = Arc::clone(&daemon.reload);
                        tokio::task::spawn_blocking(move || {
                            supervisor::tell(Moment::Reloading);
                            _ = reload.take();
                            // It may be that an earlier one was taken, for which the daemon drains.
                            reload.unless_wanted(|| supervisor::tell(ready));
                        });
                    }
                },
                config = daemon.reload.wanted() => return (Ended::Reload(config), note_stops(false)),
            }
        }
    });
    supervisor::tell(if ended == Ended::Stopped { Moment::Stopping } else { Moment::Reloading });
    daemon.stop(&runtime);
    // What still reads from a share that hangs keeps nobody from an end.
    runtime.shutdown_timeout(HANGING);
    drop(lock);
    // Whoever told it to stop while it drained to start anew means that it is not to start.
    Ok(if stops.load(Ordering::Relaxed) { Ended::Stopped } else { ended })
}

/// Why a daemon has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It is to be started anew, in the same process, with this configuration, which was checked.
    Reload(Arc<Config>),
}

/// The running parts, in the order in which they were started.
struct Daemon {
    config: Arc<Config>,
    draining: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    reload: Arc<Reload>,
    server: Server,
    plugins: PluginFolder,
    deliverer: Deliverer,
    workers: Workers,
    upkeep: Upkeep,
    intakes: Vec<Intake>,
    exporter: Option<Exporter>,
    _running: Option<Running>,
}

impl Daemon {
    fn start(config: Arc<Config>, reread: Reread, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Daemon> {
        let instance =
            Instance { instance_id: config.instance_id.clone(), station: config.station.clone(), location: config.location.clone() };
        let metrics = Arc::new(Metrics::new(&instance).with_custom(config.enable_metrics));
        let opened = Store::open(&config.state_dir.join(QUEUE_FILE))?;
        let store = Arc::new(opened.store);
        let spool = Spool::open(config.state_dir.join(SPOOL_FOLDER)).context("cannot open the spool in state_dir")?;
        let restored = spool.restore(&store).context("cannot complete the queue from the spool")?;
        if let Some(damaged) = opened.set_aside {
            tracing::error!(
                damaged = %damaged.display(),
                restored,
                "THE QUEUE WAS DAMAGED and has been set aside; a new one was made. Jobs whose documents were in the spool are back, files in the \
                 inboxes are taken again; what was paused runs; the history of earlier jobs is only in the damaged file"
            );
        } else if restored > 0 {
            tracing::error!(
                restored,
                "THE QUEUE IS OLDER THAN THE SPOOL: it, or its log, was lost or put back. Jobs whose documents were in the spool are back"
            );
        }
        let on_trial: Vec<&str> = config.routes.iter().filter(|route| route.dry_run).map(|route| route.name.as_str()).collect();
        match store.end_dry_runs(&on_trial)? {
            0 => {}
            jobs => tracing::info!(jobs, "files that were only tried are taken anew: their routes are no longer `dry_run`"),
        }
        clock::watch(&store).context("cannot watch the clock")?;
        let sandbox = Arc::new(Sandbox::new()?);
        let draining = Arc::new(AtomicBool::new(false));

        // The health port opens first: while plugins compile, it says that the daemon lives and is not ready yet.
        let pressure = Arc::new(Pressure::new(Arc::clone(&config), Arc::clone(&store), Arc::clone(&metrics)));
        let status = Arc::new(DaemonStatus::new(
            Arc::clone(&config),
            Arc::clone(&store),
            Arc::clone(&metrics),
            Arc::clone(&draining),
            Arc::clone(&pressure),
        ));
        let certificate = config.server.tls.as_ref();
        let certificate = certificate.map(|tls| Certificate::open(&tls.certificate_file, &tls.key_file, &config.state_dir)).transpose()?;
        if certificate.is_none() && tls::is_spoken(&config.state_dir) {
            // Of an earlier start: the commands would take it for this one's.
            fs::remove_file(config.state_dir.join(tls::SHOWN_FILE))
                .context("cannot take the certificate of an earlier start out of state_dir")?;
        }
        let server_config = ServerConfig {
            bind_address: config.bind_address,
            health_port: config.health_port,
            metrics_port: config.metrics_port,
            enable_metrics: config.enable_metrics,
            token: Token::given_or_kept(std::env::var(TOKEN_VARIABLE).ok().as_deref(), &config.state_dir)?,
            bounds: Bounds {
                connections: usize::try_from(config.server.max_connections.get()).unwrap_or(usize::MAX),
                head: Duration::from_secs_f64(config.server.head_seconds),
                idle: Duration::from_secs_f64(config.server.idle_seconds),
                stream: STREAM_TIME,
            },
            tls: certificate.clone(),
        };
        leftovers::remove(&config.state_dir.join(MEMBERS_FOLDER), &store, Duration::ZERO)
            .context("cannot clean the copies in state_dir")?;
        let uploads = Uploads::open(Arc::clone(&config), Arc::clone(&store), Arc::clone(&metrics), Arc::clone(&pressure))
            .context("cannot open the folder of posted files in state_dir")?;
        let client = Client::new(&config, Arc::clone(&metrics), runtime.handle().clone())?;
        let (tracer, exporter) = match Exporter::start(&config, &client, Arc::clone(&metrics))? {
            Some((tracer, exporter)) => (tracer, Some(exporter)),
            None => (Tracer::off(), None),
        };
        let lookups = config.upstream.as_ref().map(|upstream| Lookups::new(Arc::clone(&client), upstream)).transpose()?;
        let lookups: Option<Arc<dyn Lookup>> = lookups.map(|lookups| Arc::new(lookups) as _);
        let convert_now = ConvertNow::new(
            Arc::clone(&config),
            Arc::clone(&store),
            Arc::clone(&metrics),
            status.registry_cell(),
            lookups.clone(),
            tracer.clone(),
            worker_count(&config),
        );
        let cache = ResultCache::new(&config.result_cache, config.state_dir.join("result-cache"), &metrics)
            .context("cannot make the folder of the result cache in state_dir")?
            .map(Arc::new);
        if let Some(cache) = cache.clone() {
            metrics.on_scrape(Box::new(move |_| cache.report()));
        }
        let inlet = Arc::new(DaemonInlet::new(Arc::new(uploads), convert_now, Arc::clone(&draining)));
        let (handle, registry) = (runtime.handle().clone(), status.registry_cell());
        let reload = Arc::new(Reload::new(Arc::clone(&config), reread, spool.clone(), handle, registry, certificate));
        let service = Service {
            settings: Arc::clone(&reload) as _,
            status: Arc::clone(&status) as _,
            inlet,
            operator: Arc::new(QueueOperator(Arc::clone(&store))),
            pauses: Arc::new(DaemonPauses {
                config: Arc::clone(&config),
                store: Arc::clone(&store),
                registry: status.registry_cell(),
                metrics: Arc::clone(&metrics),
            }),
            caches: Arc::new(DaemonCaches { responses: client.cache().cloned(), conversions: cache.clone() }),
        };
        let server = runtime.block_on(Server::start(server_config, service, Arc::clone(&metrics)))?;
        let running = Running::note(&config.state_dir, server.health_addr(), config.server.tls.is_some())
            .inspect_err(
                |error| tracing::warn!(%error, "cannot write into state_dir where this daemon answers; commands have to be told its port"),
            )
            .ok();
        report_queue_at_scrape(&config, &metrics, &store);
        report_routes(&config, &metrics, &store)?;
        // Not those of the destinations: one on a share that hangs would hold up every scrape.
        metrics.watch_disks(vec![config.state_dir.clone()]);

        let picks: Arc<OnceLock<Arc<Picks>>> = Arc::default();
        let on_change = {
            let (config, store, registry, picks) = (Arc::clone(&config), Arc::clone(&store), status.registry_cell(), Arc::clone(&picks));
            Box::new(move || {
                upkeep::plugins_changed(&config, &store, &registry);
                if let Some(picks) = picks.get() {
                    picks.plugins_changed();
                }
            })
        };
        intake::make_folders(&config.routes);
        tracing::info!(
            folder = %config.plugins_dir.display(),
            "loading the plugins; those that are new to this state folder are compiled first, which takes a while"
        );
        let plugins =
            PluginFolder::start(config.plugins_dir.clone(), sandbox, LoadSettings::of_daemon(&config), Arc::clone(&metrics), on_change)?;
        plugins.registry().suspensions().set_policy((&config.suspension).into());
        let _ = picks.set(Picks::new(Arc::clone(&config), Arc::clone(&store), plugins.registry()));
        status.plugins_are_loaded(plugins.registry());
        say_wrong_options(&config, &plugins.registry());

        if let Some(upstream) = &config.upstream {
            client.watch(upstream);
        }
        status.upstream_is_watched(Arc::clone(&client));
        let deliverer =
            Deliverer::start(Arc::clone(&config), Arc::clone(&store), spool.clone(), client, Arc::clone(&metrics), tracer.clone())?;
        let lanes = lanes(&config);
        store.wait_for_routes(&lanes)?;
        let context = Context {
            config: Arc::clone(&config),
            store: Arc::clone(&store),
            lanes,
            cache,
            spool,
            registry: plugins.registry(),
            lookups,
            metrics: Arc::clone(&metrics),
            tracer,
        };
        let workers = Workers::start(context, worker_count(&config)).context("cannot start the workers")?;
        status.workers_are_watched(workers.watchdog());
        upkeep::plugins_changed(&config, &store, &status.registry_cell());
        let upkeep = Upkeep::start(Arc::clone(&config), Arc::clone(&store)).context("cannot start the upkeep")?;
        let arrivals = Arc::new(QueueArrivals::new(
            Arc::clone(&store),
            Arc::clone(&metrics),
            pressure,
            Arc::clone(&draining),
            config.state_dir.clone(),
        ));
        let intakes = config
            .routes
            .iter()
            .zip(status.intake_reports())
            .filter(|(route, _)| route.intake.has_folder())
            .map(|(route, report)| {
                Intake::start(Arc::new(route.clone()), Arc::clone(&arrivals) as _, Arc::clone(&metrics), Arc::clone(report))
            })
            .collect::<Result<_, _>>()?;
        metrics.tell(|| Event::Ready { version: env!("CARGO_PKG_VERSION") });
        Ok(Daemon {
            config,
            draining,
            metrics,
            store,
            reload,
            server,
            plugins,
            deliverer,
            workers,
            upkeep,
            intakes,
            exporter,
            _running: running,
        })
    }

    fn stop(self, runtime: &tokio::runtime::Runtime) {
        tracing::info!(at_most_seconds = self.config.drain_seconds, "stopping: nothing new is taken, running jobs end");
        self.draining.store(true, Ordering::Relaxed);
        self.metrics.tell(|| Event::Stopping);
        self.intakes.into_iter().for_each(Intake::stop);
        self.upkeep.stop();
        self.plugins.stop();
        if !self.workers.stop(Duration::from_secs_f64(self.config.drain_seconds)) {
            tracing::warn!("jobs that still run are abandoned; they are converted again after the next start");
            if let Err(error) = self.store.release_running() {
                tracing::error!(%error, "cannot give back the jobs that still run");
            }
        }
        if let Err(error) = self.store.flush() {
            tracing::error!(%error, "what became of the last jobs is not recorded; they are converted again after the next start");
        }
        self.deliverer.stop();
        runtime.block_on(self.server.stop());
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
        tracing::info!("stopped");
    }
}

/// Options that a converter does not take fail every file of their route: that is said before the first does.
fn say_wrong_options(config: &Config, registry: &Registry) {
    for options in check_options(config, registry) {
        if let OptionsVerdict::Wrong(reason) = options.verdict
            && let Some(route) = config.routes.get(options.route)
        {
            tracing::error!(route = route.name, reason, "the `options` of a route are wrong: its files will fail");
        }
    }
}

/// One lane per route, with the bounds that the configuration sets.
fn lanes(config: &Config) -> Arc<[Lane]> {
    let lane = |route: &Route| {
        let converter = match &route.converter {
            ConverterChoice::Named { name, .. } => Some(name.clone()),
            ConverterChoice::Auto => None,
        };
        Lane {
            route: route.name.clone(),
            at_most: route.concurrency.map(NonZeroU32::get),
            converter_at_most: converter.as_deref().and_then(|name| config.concurrency_of(name)),
            converter,
        }
    };
    config.routes.iter().map(lane).collect()
}

fn worker_count(config: &Config) -> usize {
    config.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}
