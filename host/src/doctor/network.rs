//! The network: are the ports free, do the servers answer, and do their clocks agree with this one.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use super::Findings;
use crate::config::{Config, Destination};
use crate::daemon::StateLock;
use crate::files;
use crate::metrics::{Instance, Metrics};
use crate::tls::{Identity, SOON_DAYS};
use crate::upstream::{Body, Caching, Client, Request};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks that differ by more have reports sorted wrongly, and tokens refused.
const MOST_SKEW: Duration = Duration::from_secs(60);

pub(super) fn examine(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let runs = StateLock::holder(&config.state_dir).ok().flatten();
    port(config, "health_port", config.health_port, runs.as_deref(), findings);
    if config.enable_metrics && config.metrics_port != config.health_port {
        port(config, "metrics_port", config.metrics_port, runs.as_deref(), findings);
    }
    if !config.bind_address.is_loopback() {
        let tls = if config.server.tls.is_some() { "" } else { ", without TLS: the token can be read on its way" };
        let text = format!("the ports are open to other machines, on {}{tls}", config.bind_address);
        findings.warning(
            "bind_address",
            text,
            "nothing, if that is meant: changing something, and reading `/api`, takes the token; the rest is open",
        );
    }
    certificate(config, findings);
    servers(config, findings)
}

fn certificate(config: &Config, findings: &mut Findings) {
    let Some(tls) = &config.server.tls else { return };
    let remedy = "mend the files: a daemon that runs goes on showing the certificate that it had, and one that starts does not";
    match Identity::read(&tls.certificate_file, &tls.key_file) {
        Err(error) => findings.problem("server.tls", error.to_string(), remedy),
        Ok(identity) if identity.days_left() < 0 => {
            let text = format!("the certificate {} has expired, on {}", tls.certificate_file.display(), identity.expires);
            findings.problem("server.tls", text, "put a new one in its place; a daemon that runs takes it at once");
        }
        Ok(identity) if identity.days_left() < SOON_DAYS => {
            let text = format!(
                "the certificate {} expires in {} days, on {}",
                tls.certificate_file.display(),
                identity.days_left(),
                identity.expires
            );
            findings.warning("server.tls", text, "put a new one in its place; a daemon that runs takes it at once");
        }
        Ok(identity) => findings.ok("server.tls", format!("the certificate is good until {}", identity.expires)),
    }
    if files::others_may_read(&tls.key_file) {
        let text = format!("others than its owner may read the key {}", tls.key_file.display());
        findings.warning("server.tls", text, format!("chmod 600 {}", tls.key_file.display()));
    }
}

fn port(config: &Config, key: &str, port: u16, daemon: Option<&str>, findings: &mut Findings) {
    match (TcpListener::bind(SocketAddr::new(config.bind_address, port)), daemon) {
        (Ok(_), _) if port == 0 => findings.ok(key, "the system chooses a free one"),
        (Ok(_), None) => findings.ok(key, format!("{port} is free")),
        (Ok(_), Some(daemon)) => {
            let text = format!("{port} is free, although a daemon runs with this state_dir, process {daemon}");
            findings.warning(key, text, "if it runs with another configuration, look with that one; else restart it");
        }
        (Err(_), Some(_)) => findings.ok(key, format!("{port} is in use, as it should be while the daemon runs")),
        (Err(error), None) => {
            findings.problem(key, format!("{port} cannot be opened: {error}"), format!("stop what has it, or set `{key}`"))
        }
    }
}

fn servers(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let mut origins: BTreeSet<String> = BTreeSet::new();
    let urls = config.routes.iter().flat_map(|route| &route.destinations).filter_map(|destination| match destination {
        Destination::Http(http) => Some(http.url.as_str()),
        _ => None,
    });
    // The path of a destination may have parts of documents in it, and asking for one may have effects: its server is asked for nothing.
    for url in config.upstream.iter().map(|upstream| upstream.url.as_str()).chain(urls) {
        if let Ok(url) = Url::parse(&url.replace(['{', '}'], "")) {
            origins.insert(url.origin().ascii_serialization());
        }
    }
    if origins.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let metrics = Arc::new(Metrics::new(&Instance::default()));
    let client = match Client::new(config, metrics, runtime.handle().clone()) {
        Ok(client) => client,
        Err(error) => {
            findings.problem("servers", error.to_string(), "mend `[http]`");
            return Ok(());
        }
    };
    for origin in origins {
        let Ok(url) = Url::parse(&origin) else { continue };
        let request = Request {
            method: Method::HEAD,
            url,
            endpoint: &origin,
            headers: HeaderMap::new(),
            credentials: None,
            body: Body::Empty,
            repeatable: false,
            most_bytes: 0,
            until: Some(Instant::now() + PATIENCE),
            caching: Caching::Bypassed,
        };
        let asked = jiff::Timestamp::now();
        match client.send_blocking(&request) {
            Ok(response) => {
                // Any answer will do: without credentials and a path, a refusal is to be expected.
                findings.ok("server", format!("{origin} answers"));
                if let Some(skew) = response.date().map(|date| date.duration_since(asked)).filter(|skew| skew.unsigned_abs() > MOST_SKEW) {
                    let text = format!("the clock of {origin} and this machine's differ by {} s", skew.as_secs().abs());
                    findings.warning("clock", text, "have both set by NTP: times in reports, and certificates, depend on it");
                }
            }
            Err(error) => {
                let remedy = "until it answers, documents wait in the spool";
                findings.problem("server", format!("{origin} does not answer: {error}"), remedy);
            }
        }
    }
    Ok(())
}
