//! `dropforge plugin history` and `dropforge plugin rollback`.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::digest::{sha256_hex, sha256_reader};
use crate::plugins::{KEPT, Rollback, VERSIONS_FOLDER, Version, Versions, bundled, is_name};

use super::super::api::base_url;
use super::super::config::ConfigArgs;
use super::super::print;
use super::super::table::{align, thousands};
use super::list::{ask, plugins_url};

/// How long a running daemon may take to run what it was told to: it may have to compile it first.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// Show the last versions of a plugin
///
/// The daemon keeps the last five versions of every plugin that it has loaded, in `state_dir`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin history csv")]
pub(super) struct HistoryArgs {
    /// The converter's name
    name: String,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Run an earlier version of a plugin, until its file changes
///
/// The plugins folder stays as it is: the daemon runs the earlier version in place of what the file holds. When another file comes in its
/// place, that one runs. A running daemon notices at once; else the next start does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge plugin rollback csv           # to the version before this one
  dropforge plugin rollback csv 3f2a9c    # to that whose digest begins so

The digest of what the file holds ends a rollback.")]
pub(super) struct RollbackArgs {
    /// The converter's name
    name: String,
    /// The version: the beginning of its digest, as `dropforge plugin history` shows it [default: the one before the one that runs]
    digest: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The configuration: it says where the daemon listens and where its state is
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The plugins folder, in place of the configured one
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The state folder, in place of the configured one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// The JSON form of one version.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    version: &'a Version,
    /// It is what the plugin runs.
    runs: bool,
    /// It is what was loaded from the plugin's file last.
    in_file: bool,
}

impl Place {
    fn open(self) -> anyhow::Result<(Config, Versions)> {
        let config = ConfigArgs { config: self.config, plugins: self.plugins, state: self.state, ..ConfigArgs::default() }.locate()?;
        let folder = config.state_dir.join(VERSIONS_FOLDER);
        ensure!(
            folder.is_dir(),
            "there are no versions of plugins in {}: has a daemon run with this state_dir?",
            config.state_dir.display()
        );
        let versions = Versions::open(&folder).context("cannot look at the versions; run this as the user that the daemon runs as")?;
        Ok((config, versions))
    }
}

pub(super) fn history(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let (_, versions) = args.place.open()?;
    let history = known(&versions, &args.name)?;
    let running = running(&versions, &args.name, &history);
    let rows: Vec<Row<'_>> =
        history.iter().enumerate().map(|(index, version)| Row { version, runs: version.digest == running, in_file: index == 0 }).collect();
    if args.json {
        print(&(serde_json::to_string_pretty(&rows)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = vec![["VERSION", "DIGEST", "LOADED", "SIZE", "FILE", ""].map(str::to_owned)];
    table.extend(rows.iter().map(|Row { version, runs, in_file }| {
        let state = match (runs, in_file) {
            (true, true) => "runs",
            (true, false) => "runs: rolled back to it",
            (false, true) => "in the file: rolled back from it",
            (false, false) => "",
        };
        let loaded: String = version.loaded_at.chars().take(19).collect();
        [
            version.version.clone(),
            version.digest.chars().take(12).collect(),
            loaded + "Z",
            thousands(version.size),
            version.file.clone(),
            state.to_owned(),
        ]
    }));
    print(&align(&table))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rollback(args: RollbackArgs) -> anyhow::Result<ExitCode> {
    let (config, versions) = args.place.open()?;
    let name = args.name;
    let history = known(&versions, &name)?;
    let running = running(&versions, &name, &history);
    let target = match &args.digest {
        Some(digest) => find(&history, digest, &name)?,
        None => {
            let before = history.iter().skip_while(|version| version.digest != running).nth(1);
            before.with_context(|| {
                format!(
                    "no version of `{name}` is older than the one that runs; `dropforge plugin history {name}` lists those that there are"
                )
            })?
        }
    };
    // The newest is what was loaded from the file last.
    let file = history.first().map(|version| config.plugins_dir.join(&version.file)).unwrap_or_default();
    let bundled = history.first().and_then(|version| bundled::at(&version.file));
    let file_digest = match bundled {
        Some(bundled) => sha256_hex(bundled.bytes),
        None => {
            let content = File::open(&file).and_then(|mut file| sha256_reader(&mut file));
            let unread =
                || format!("cannot read {}, which `{name}` was loaded from: a rollback holds until that file changes", file.display());
            content.with_context(unread)?.0
        }
    };
    if target.digest == file_digest {
        versions.end_rollback(&name, None)?;
    } else {
        let since = jiff::Timestamp::now().to_string();
        versions.begin_rollback(&Rollback {
            name: name.clone(),
            digest: target.digest.clone(),
            file_digest: file_digest.clone(),
            since,
        })?;
    }
    let short: String = target.digest.chars().take(12).collect();
    let what = format!("`{name}` version {} ({short})", target.version);
    let effect = match wait_for_daemon(&config, &name, &target.digest)? {
        Effect::Runs => format!("{what} runs now"),
        Effect::NoDaemon => format!("No daemon answers at {}: {what} runs after the next start", plugins_url(&base_url(&config, None))),
    };
    let until = if target.digest == file_digest { "It is what the file holds." } else { "It does so until the file changes." };
    print(&format!("{effect}. {until}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The versions of a plugin that has some.
fn known(versions: &Versions, name: &str) -> anyhow::Result<Vec<Version>> {
    let history = if is_name(name) { versions.history(name) } else { Vec::new() };
    ensure!(
        !history.is_empty(),
        "no plugin `{name}` has been loaded by a daemon with this state_dir; `dropforge plugin list` shows those that run"
    );
    Ok(history)
}

/// The digest of what a plugin runs, or will run when a daemon is there.
fn running(versions: &Versions, name: &str, history: &[Version]) -> String {
    let newest = history.first().map(|version| version.digest.clone()).unwrap_or_default();
    versions.rollback(name).map_or(newest, |rollback| rollback.digest)
}

fn find<'a>(history: &'a [Version], digest: &str, name: &str) -> anyhow::Result<&'a Version> {
    let digest = digest.trim_start_matches("sha256:").to_ascii_lowercase();
    let mut found = history.iter().filter(|version| !digest.is_empty() && version.digest.starts_with(&digest));
    match (found.next(), found.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => bail!(
            "`{name}` has no version whose digest begins with {digest:?} (the last {KEPT} are kept); `dropforge plugin history {name}` lists them"
        ),
        (Some(_), Some(_)) => bail!("more than one version of `{name}` has a digest that begins with {digest:?}; write more of it"),
    }
}

enum Effect {
    Runs,
    NoDaemon,
}

/// Waits until the daemon runs the version, if there is a daemon.
fn wait_for_daemon(config: &Config, name: &str, digest: &str) -> anyhow::Result<Effect> {
    let daemon = base_url(config, None);
    let url = plugins_url(&daemon);
    let started = Instant::now();
    loop {
        let Ok(plugins) = ask(config, &daemon) else { return Ok(Effect::NoDaemon) };
        if plugins.iter().any(|plugin| plugin.running.as_ref().is_some_and(|running| running.name == name && running.digest == digest)) {
            return Ok(Effect::Runs);
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "the daemon at {url} does not run it after {} s; `dropforge plugin list` and its log say why",
            PATIENCE.as_secs()
        );
        thread::sleep(INTERVAL);
    }
}
