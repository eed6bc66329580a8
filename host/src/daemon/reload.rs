//! Taking the configuration anew while the daemon runs. One that can be used is taken by an orderly stop and a new start in the same process:
//! everything is durable, so nothing is lost by it, and every part starts from its configuration in the one way that there is. One that cannot
//! be used changes nothing.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::status::RegistryCell;
use crate::config::Config;
use crate::delivery::{Deliverer, Spool};
use crate::files;
use crate::intake::Intake;
use crate::logging;
use crate::metrics::{Instance, Metrics};
use crate::plugins::{OptionsVerdict, check_options};
use crate::server::{Certificate, Declined, Settings};
use crate::spans::Exporter;
use crate::tls::Identity;
use crate::upstream::{Client, Lookups};

/// Reads the configuration again, as it was read at the start: what is wrong with it is said in words.
pub type Reread = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// Decides whether the daemon starts anew.
pub(super) struct Reload {
    config: Arc<Config>,
    reread: Reread,
    spool: Spool,
    runtime: Handle,
    registry: RegistryCell,
    certificate: Option<Arc<Certificate>>,
    /// What the daemon is to start anew with.
    next: Mutex<Option<Arc<Config>>>,
    /// Notified when it is.
    wanted: Notify,
}

impl Reload {
    pub(super) fn new(
        config: Arc<Config>,
        reread: Reread,
        spool: Spool,
        runtime: Handle,
        registry: RegistryCell,
        certificate: Option<Arc<Certificate>>,
    ) -> Reload {
        Reload { config, reread, spool, runtime, registry, certificate, next: Mutex::default(), wanted: Notify::new() }
    }

    /// Returns when the daemon is to start anew, with what.
    pub(super) async fn wanted(&self) -> Arc<Config> {
        loop {
            self.wanted.notified().await;
            // It stays: from here on the daemon is on its way to it.
            if let Some(config) = self.next.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return config;
            }
        }
    }

    /// Does something unless the daemon is to start anew; until that is done, it is not.
    pub(super) fn unless_wanted(&self, then: impl FnOnce()) {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none() {
            then();
        }
    }

    /// Reads the configuration, says what differs, and has the daemon start anew where something does.
    ///
    /// # Errors
    /// Why it is not taken, in words.
    pub(super) fn take(&self) -> Result<Vec<String>, String> {
        // Its files may have changed, whatever the configuration says.
        if let Some(certificate) = &self.certificate {
            certificate.refresh(true);
        }
        let checked = (self.reread)().and_then(|new| {
            let (changes, new) = (self.config.changes(&new), Arc::new(new));
            if !changes.is_empty() {
                self.check(Arc::clone(&new))?;
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
            }
            Ok(changes)
        });
        match &checked {
            Err(reason) => tracing::error!(reason, "the configuration is not taken anew: everything stays as it is"),
            Ok(changes) if changes.is_empty() => tracing::info!("the configuration is as it was"),
            Ok(changes) => {
                for change in changes {
                    tracing::info!(change, "the configuration has changed");
                }
                self.wanted.notify_one();
            }
        }
        checked
    }

    /// Tries all of it that a start could fail at.
    fn check(&self, new: Arc<Config>) -> Result<(), String> {
        if !cfg!(unix) {
            return Err("this system cannot start a program anew in its process: restart the daemon".to_owned());
        }
        if new.state_dir != self.config.state_dir {
            return Err("`state_dir` cannot change while the daemon runs: restart it".to_owned());
        }
        let place = |config: &Config| SocketAddr::new(config.bind_address, config.health_port);
        if place(&new) != place(&self.config)
            && let Err(error) = TcpListener::bind(place(&new))
            // A port that is in use may be ours until the daemon stops.
            && !(error.kind() == ErrorKind::AddrInUse && [self.config.health_port, self.config.metrics_port].contains(&new.health_port))
        {
            return Err(format!("health_port {} cannot be opened on {}: {error}", new.health_port, new.bind_address));
        }
        if let Some(tls) = &new.server.tls {
            Identity::read(&tls.certificate_file, &tls.key_file).map_err(|error| error.to_string())?;
        }
        files::create_folder(&new.plugins_dir)
            .map_err(|error| format!("cannot create plugins_dir {}: {error}", new.plugins_dir.display()))?;
        for route in new.routes.iter().filter(|route| route.intake.has_folder()) {
            Intake::check(route).map_err(|error| error.to_string())?;
        }
        let metrics = Arc::new(Metrics::new(&Instance::default()));
        let client = Client::new(&new, Arc::clone(&metrics), self.runtime.clone()).map_err(|error| error.to_string())?;
        if let Some(upstream) = &new.upstream {
            Lookups::new(Arc::clone(&client), upstream).map_err(|error| format!("{error:#}"))?;
        }
        // Of plugins in another folder nothing is known yet.
        if new.plugins_dir == self.config.plugins_dir
            && let Some(registry) = self.registry.get()
        {
            for options in check_options(&new, registry) {
                if let OptionsVerdict::Wrong(reason) = options.verdict {
                    return Err(format!("routes[{}].options: {reason}", options.route));
                }
            }
        }
        Exporter::check(&new).map_err(|error| format!("{error:#}"))?;
        Deliverer::check(&new, &self.spool, &client, &metrics).map_err(|error| format!("{error:#}"))
    }
}

impl Settings for Reload {
    fn reload(&self) -> Result<Vec<String>, Declined> {
        self.take().map_err(|reason| Declined::BadRequest(format!("The configuration is not taken: {reason}")))
    }

    fn log_level(&self, filter: &str) -> Result<(), Declined> {
        logging::set_level(filter).map_err(|error| Declined::BadRequest(format!("{error}.")))?;
        tracing::info!(filter, "the log has another filter, until the next start");
        Ok(())
    }
}
