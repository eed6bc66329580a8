//! `dropforge run`: the daemon.

use std::process::ExitCode;

use clap::Args;

use super::config::{self, ConfigArgs};
use crate::config::Need;
use crate::daemon;

/// Arguments of `dropforge run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge run --inbox in --outbox out --plugins plugins
  dropforge run -c dropforge.toml --log-format json

SIGTERM or Ctrl-C drains: nothing new is taken, running jobs end, the queue stays for the next start. A second one ends at once.")]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = match args.config.load(Need::Routes) {
        Ok(loaded) => loaded,
        Err(errors) => return Ok(config::report(&errors)),
    };
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    daemon::run(loaded.config)?;
    Ok(ExitCode::SUCCESS)
}
