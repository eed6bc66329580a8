//! `dropforge run`: the daemon.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{ConfigSource, USAGE};
use crate::config::{Need, Overrides, Sources, load};
use crate::daemon;

/// Arguments of `dropforge run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge run --inbox in --outbox out --plugins plugins
  dropforge run -c dropforge.toml --log-format json

SIGTERM or Ctrl-C drains: nothing new is taken, running jobs end, the queue stays for the next start. A second one ends at once.")]
pub(super) struct RunArgs {
    #[command(flatten)]
    source: ConfigSource,
    /// Take files from this folder (with --outbox: a route called `default`, any converter).
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
    /// Write documents to this folder.
    #[arg(long, value_name = "DIR")]
    outbox: Option<PathBuf>,
    /// The address of the health and metrics ports.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The port of health endpoints and API.
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// The port of /metrics.
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides {
        inbox: args.inbox,
        outbox: args.outbox,
        bind_address: args.bind,
        health_port: args.health_port,
        metrics_port: args.metrics_port,
        ..args.source.overrides()
    };
    let loaded = match load(&Sources::of_process(args.source.config, overrides, Need::Routes)?) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    for warning in loaded.warnings.iter().chain(&loaded.config.not_yet_effective(&loaded.explicit)) {
        tracing::warn!("configuration: {warning}");
    }
    daemon::run(loaded.config)?;
    Ok(ExitCode::SUCCESS)
}
