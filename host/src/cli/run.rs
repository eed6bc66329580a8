//! `dropforge run`: the daemon.

use std::process::ExitCode;

use clap::Args;

use super::config::{self, ConfigArgs};
use crate::config::Need;
use crate::daemon::{self, Ended};

/// Arguments of `dropforge run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge run --inbox in --outbox out --plugins plugins
  dropforge run -c dropforge.toml --log-format json

SIGTERM or Ctrl-C drains: nothing new is taken, running jobs end, the queue stays for the next start. A second one ends at once. SIGHUP, or
`dropforge config reload`, takes the configuration anew.")]
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
    let sources = args.config.clone();
    let reread = Box::new(move || {
        let in_words = |errors: crate::config::ConfigErrors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        sources.load(Need::Routes).map(|loaded| loaded.config).map_err(in_words)
    });
    match daemon::run(loaded.config, reread)? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::Reload => start_anew(),
    }
}

/// Starts this program anew in the same process, with the same arguments. It does not return where that goes well.
#[cfg(unix)]
fn start_anew() -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let mut arguments = std::env::args_os();
    // By its name, where it has a path: a program that was replaced since is to be the new one.
    let program = arguments.next().filter(|program| std::path::Path::new(program).is_absolute());
    let program = program.map_or_else(std::env::current_exe, |program| Ok(program.into()))?;
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(anyhow::Error::from(error).context(format!("cannot start {} anew", program.display())))
}

#[cfg(not(unix))]
fn start_anew() -> anyhow::Result<ExitCode> {
    anyhow::bail!("this system cannot start a program anew in its process")
}
