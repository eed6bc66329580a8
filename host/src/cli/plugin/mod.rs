//! `dropforge plugin`: begin, build, inspect, list, roll back and sign converters.

mod build;
mod history;
mod inspect;
mod list;
mod new;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::config::{self, Config, Need, Overrides, Sources};
use crate::plugins::{COMPILED_FOLDER, is_own_folder};

/// What `dropforge plugin` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge plugin new spea && dropforge plugin build spea -o plugins/spea.wasm
  dropforge plugin list
  dropforge plugin rollback spea")]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    Build(build::BuildArgs),
    History(history::HistoryArgs),
    Inspect(inspect::InspectArgs),
    Keygen(sign::KeygenArgs),
    List(list::ListArgs),
    New(new::NewArgs),
    Rollback(history::RollbackArgs),
    Sign(sign::SignArgs),
    Verify(sign::VerifyArgs),
}

/// Runs the subcommand.
///
/// # Errors
/// What went wrong, for the person at the terminal; the exit code is 1 then.
pub fn run(args: PluginArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        PluginCommand::Build(args) => build::run(&args),
        PluginCommand::History(args) => history::history(args),
        PluginCommand::Inspect(args) => inspect::run(&args),
        PluginCommand::List(args) => list::run(&args),
        PluginCommand::Keygen(args) => sign::keygen(&args),
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Rollback(args) => history::rollback(args),
        PluginCommand::Sign(args) => sign::sign(&args),
        PluginCommand::Verify(args) => sign::verify(args),
    }
}

/// The configuration, as far as a command needs it that only looks at something.
fn configuration(file: Option<PathBuf>, plugins: Option<PathBuf>) -> anyhow::Result<Config> {
    let overrides = Overrides { plugins, ..Overrides::default() };
    let sources = Sources::of_process(file, overrides, Need::Nothing).context("cannot find the working directory")?;
    Ok(config::load(&sources)?.config)
}

/// Where this command keeps compiled plugins: the daemon's cache where it is there and ours, else a folder that goes away with the
/// command.
pub(super) struct CompiledDir {
    pub(super) path: PathBuf,
    /// Removed when dropped.
    temporary: Option<tempfile::TempDir>,
}

impl CompiledDir {
    /// Whether it is the daemon's, so that the rest of its state is ours to look at too.
    fn is_shared(&self) -> bool {
        self.temporary.is_none()
    }

    pub(super) fn choose(config: Option<&Config>) -> anyhow::Result<CompiledDir> {
        let shared = config.map(|config| config.state_dir.join(COMPILED_FOLDER)).filter(|path| is_own_folder(path) && is_writable(path));
        if let Some(path) = shared {
            return Ok(CompiledDir { path, temporary: None });
        }
        let temporary = tempfile::tempdir().context("cannot create a temporary folder for the compiled plugin")?;
        Ok(CompiledDir { path: temporary.path().join(COMPILED_FOLDER), temporary: Some(temporary) })
    }
}

fn is_writable(folder: &std::path::Path) -> bool {
    tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_daemon_s_cache_is_used_where_it_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let shares = |state: &str| {
            let config = Config { state_dir: folder.path().join(state), ..Config::default() };
            CompiledDir::choose(Some(&config)).unwrap().is_shared()
        };
        assert!(!shares("own"), "there is none yet");
        let compiled = folder.path().join("own").join(COMPILED_FOLDER);
        std::fs::create_dir_all(&compiled).unwrap();
        assert!(shares("own"));
        // Root may write to either of these, but nobody takes compiled code from them.
        std::fs::create_dir(folder.path().join("linked")).unwrap();
        std::os::unix::fs::symlink(&compiled, folder.path().join("linked").join(COMPILED_FOLDER)).unwrap();
        assert!(!shares("linked"));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&compiled, Some(12_345), None).unwrap();
            assert!(!shares("own"), "it is another user's");
        }
    }
}
