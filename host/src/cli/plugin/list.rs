//! `dropforge plugin list`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::plugins::{LoadSettings, PluginStatus, bundled, load_folder};
use crate::sandbox::Sandbox;

use super::super::api::{Api, Asked, DaemonArgs};
use super::super::print;
use super::super::table::{align, printable};
use super::CompiledDir;

/// Where a daemon lists its plugins.
const PLUGINS: &str = "/api/v1/plugins";

/// How long the daemon, on the same machine, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// List the plugins, and say why a file is not loaded
///
/// Asks the daemon, which knows what runs. Where none answers, or with --plugins, the plugins folder and the bundled converters are loaded for
/// this list alone.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin list\n  dropforge plugin list --plugins ./plugins --json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Look into this folder, and ask no daemon
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON form.
#[derive(Serialize)]
struct List {
    /// `daemon` or `folder`.
    source: &'static str,
    /// The daemon's address, or the folder.
    from: String,
    plugins: Vec<PluginStatus>,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.daemon.located()?;
    if let Some(plugins) = &args.plugins {
        config.plugins_dir = std::path::absolute(plugins)?;
    }
    let list = match &args.plugins {
        Some(_) => load(&config)?,
        None => {
            let daemon = args.daemon.base_url(&config);
            let url = plugins_url(&daemon);
            match ask(&config, &daemon) {
                Ok(plugins) => List { source: "daemon", from: url, plugins },
                Err(Silence::NoDaemon) => load(&config).with_context(|| format!("no daemon answers at {url}"))?,
                Err(Silence::Other(error)) => return Err(error.context(format!("cannot read {url}"))),
            }
        }
    };
    if args.json {
        print(&(serde_json::to_string_pretty(&list)? + "\n"))?;
    } else {
        match list.source {
            "daemon" => eprintln!("As the daemon at {} says:", list.from),
            _ if args.plugins.is_some() => eprintln!("In {}, without asking a daemon:", list.from),
            _ => eprintln!("No daemon answers at {}; in {}:", plugins_url(&args.daemon.base_url(&config)), list.from),
        }
        if list.source != "daemon" && bundled::all().is_empty() {
            eprintln!("(This program was built without bundled converters.)");
        }
        print(&table(&list.plugins))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(config: &Config) -> anyhow::Result<List> {
    let compiled = CompiledDir::choose(Some(config))?;
    let settings = LoadSettings::of(config);
    let versions_dir = settings.versions_dir.clone().filter(|_| compiled.is_shared());
    let settings = LoadSettings { compiled_dir: compiled.path.clone(), versions_dir, ..settings };
    let registry = load_folder(&config.plugins_dir, Arc::new(Sandbox::new()?), settings)?;
    Ok(List { source: "folder", from: config.plugins_dir.display().to_string(), plugins: registry.status() })
}

/// Why the daemon says nothing.
pub(super) enum Silence {
    /// Nobody is there, or somebody else is.
    NoDaemon,
    /// It is there, and answers something else than plugins.
    Other(anyhow::Error),
}

pub(super) fn plugins_url(daemon: &str) -> String {
    format!("{daemon}{PLUGINS}")
}

pub(super) fn ask(config: &Config, daemon: &str) -> Result<Vec<PluginStatus>, Silence> {
    let other = |error: anyhow::Error| Silence::Other(error);
    match Api::of(config, daemon, PATIENCE).map_err(other)?.ask(PLUGINS) {
        Asked::Answer(200, text) => {
            serde_json::from_str(&text).context("the answer is no list of plugins: is it another version of Dropforge?").map_err(other)
        }
        Asked::Answer(404, _) | Asked::Silence(_) => Err(Silence::NoDaemon),
        Asked::Answer(code, _) => Err(other(anyhow::anyhow!("the answer has status {code}"))),
    }
}

fn table(plugins: &[PluginStatus]) -> String {
    if plugins.is_empty() {
        return "There are no plugins.\n".to_owned();
    }
    let mut rows = vec![["PLUGIN", "VERSION", "DIGEST", "FILE", "STATE"].map(str::to_owned)];
    rows.extend(plugins.iter().map(|plugin| {
        let (name, version, digest) = match &plugin.running {
            Some(running) => (running.name.clone(), running.version.clone(), running.digest.chars().take(12).collect()),
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        let state = match (&plugin.running, &plugin.refused) {
            (Some(_), None) if let Some(paused) = &plugin.paused => format!("{paused}; its files wait"),
            (Some(_), None) => match &plugin.suspended {
                None => match &plugin.rolled_back {
                    None => "running".to_owned(),
                    Some(_) => "running, rolled back; the file holds another version".to_owned(),
                },
                Some(suspended) => format!(
                    "suspended until {}: its last {} conversions failed ({}: {}); its files wait",
                    suspended.until, suspended.failures, suspended.error_type, suspended.error
                ),
            },
            (Some(running), Some(refused)) => {
                format!("running version {}; the file as it is now is refused: {}", running.version, refused.reason)
            }
            (None, Some(refused)) => format!("refused: {}", refused.reason),
            (None, None) => "-".to_owned(),
        };
        let file = if plugin.bundled { "(bundled)".to_owned() } else { plugin.file.clone() };
        [name, version, digest, file, state]
    }));
    let mut text = align(&rows);
    let picks: Vec<&String> = plugins.iter().flat_map(|plugin| &plugin.picks).collect();
    if !picks.is_empty() {
        text.push_str("\nSince they were loaded:\n");
    }
    for pick in picks {
        text.push_str(&format!("  {}\n", printable(pick)));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::plugins::{Refusal, Running, Suspended};
    use crate::sandbox::Capabilities;

    use super::*;

    #[test]
    fn the_table_says_what_runs_and_what_is_refused() {
        let running = Running {
            name: "csv".to_owned(),
            version: "1.2.0".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            size: 5,
            loaded_at: String::new(),
            capabilities: Capabilities::new(),
            description: String::new(),
            signed_by: None,
        };
        let refused = Refusal { reason: "the file is empty".to_owned(), at: String::new() };
        let suspended = Suspended {
            failures: 5,
            error_type: "trap".to_owned(),
            error: "unreachable".to_owned(),
            until: "2026-11-22T10:00:00Z".to_owned(),
        };
        let status = |file: &str, running: Option<&Running>, refused: Option<&Refusal>| PluginStatus {
            file: file.to_owned(),
            bundled: false,
            running: running.cloned(),
            refused: refused.cloned(),
            suspended: None,
            paused: None,
            rolled_back: None,
            picks: Vec::new(),
        };
        let plugins = [
            status("csv.wasm", Some(&running), None),
            status("new.wasm", Some(&running), Some(&refused)),
            PluginStatus { suspended: Some(suspended), ..status("sick.wasm", Some(&running), None) },
            PluginStatus { paused: Some("converter `csv` is paused since 2026".to_owned()), ..status("idle.wasm", Some(&running), None) },
            status("x.wasm", None, Some(&refused)),
            PluginStatus { bundled: true, ..status("spea.wasm", Some(&running), None) },
        ];
        let expected = "\
PLUGIN  VERSION  DIGEST        FILE       STATE
csv     1.2.0    0123456789ab  csv.wasm   running
csv     1.2.0    0123456789ab  new.wasm   running version 1.2.0; the file as it is now is refused: the file is empty
csv     1.2.0    0123456789ab  sick.wasm  suspended until 2026-11-22T10:00:00Z: its last 5 conversions failed (trap: unreachable); its files wait
csv     1.2.0    0123456789ab  idle.wasm  converter `csv` is paused since 2026; its files wait
-       -        -             x.wasm     refused: the file is empty
csv     1.2.0    0123456789ab  (bundled)  running
";
        assert_eq!(table(&plugins), expected);
    }
}
