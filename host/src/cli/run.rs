//! `dropforge run`: the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::config::ConfigArgs;
use super::{Log, Usage};
use crate::config::{Config, Need};
use crate::daemon::{self, Ended};
use crate::logging;

/// Names the file with the configuration that was checked, for the start that follows.
const CHECKED: &str = "DROPFORGE_RELOADED";

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
    /// Run under the service manager, which `dropforge service install` tells to give this: the folder of the service
    #[cfg(windows)]
    #[arg(long, hide = true, value_name = "DIR")]
    pub(super) service: Option<PathBuf>,
}

pub(super) fn run(args: RunArgs, log: &Log) -> anyhow::Result<ExitCode> {
    let ended = begin(args, log);
    // Standard error is told by whoever called this, and for a service nobody reads it.
    if let Err(error) = &ended
        && logging::has_file()
    {
        for line in super::explained(error).lines() {
            tracing::error!("the daemon cannot go on: {line}");
        }
    }
    ended
}

fn begin(args: RunArgs, log: &Log) -> anyhow::Result<ExitCode> {
    #[cfg(unix)]
    daemon::hangups::hold();
    let (loaded, checked) = (args.config.load(Need::Routes), checked());
    let file = match (&loaded, &checked) {
        (Ok(loaded), _) => Some(loaded.config.log.clone()),
        (Err(_), Some(checked)) => Some(checked.log.clone()),
        (Err(errors), None) => args.config.log(errors),
    };
    logging::init(log.format, &log.level, &file.unwrap_or_default()).map_err(|error| Usage(error.to_string()))?;
    let config = match (loaded, checked) {
        (Ok(loaded), _) => {
            for warning in &loaded.warnings {
                tracing::warn!("configuration: {warning}");
            }
            loaded.config
        }
        (Err(errors), Some(checked)) => {
            for error in errors.iter() {
                tracing::error!(%error, "the configuration was broken since it was taken anew: the daemon runs with what it was then");
            }
            checked
        }
        (Err(errors), None) => return Err(errors.into()),
    };
    // Before it can be replaced: then the system would name a file that is gone.
    let program = program();
    let sources = args.config.clone();
    let reread = Box::new(move || {
        let in_words = |errors: crate::config::ConfigErrors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        sources.load(Need::Routes).map(|loaded| loaded.config).map_err(in_words)
    });
    match daemon::run(config, reread)? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::Reload(config) => start_anew(&program?, &config),
    }
}

/// The configuration that was checked before this start, where the daemon has taken it anew. It counts only if what it was read from is broken now.
fn checked() -> Option<Config> {
    let kept = std::env::var_os(CHECKED).map(PathBuf::from)?;
    let text = fs::read(&kept).ok()?;
    let _ = fs::remove_file(&kept);
    serde_json::from_slice(&text).ok()
}

/// Where this program is: by the path that it was started by, where it has one, so that one that was replaced since is the new one.
pub(super) fn program() -> std::io::Result<PathBuf> {
    let named = std::env::args_os().next().map(PathBuf::from).filter(|program| program.is_absolute());
    named.map_or_else(std::env::current_exe, Ok)
}

/// Starts this program anew in the same process, with the same arguments. It does not return where that goes well.
#[cfg(unix)]
fn start_anew(program: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let mut anew = std::process::Command::new(program);
    anew.args(std::env::args_os().skip(1));
    let kept = config.state_dir.join("reload.json");
    // `tempfile` makes files that only their owner may read.
    let written = tempfile::NamedTempFile::new_in(&config.state_dir).and_then(|mut file| {
        serde_json::to_writer(&mut file, config)?;
        file.persist(&kept).map_err(|error| error.error)
    });
    match written {
        Ok(_) => drop(anew.env(CHECKED, &kept)),
        Err(error) => tracing::warn!(%error, "cannot keep the configuration that was checked; it is read once more"),
    }
    logging::flush();
    daemon::hangups::hold();
    let error = anew.exec();
    Err(anyhow::Error::from(error).context(format!("cannot start {} anew", program.display())))
}

#[cfg(not(unix))]
fn start_anew(_program: &Path, _config: &Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this system cannot start a program anew in its process")
}
