//! `dropforge plugin list`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::plugins::{LoadLimits, PluginStatus, load_folder};
use crate::sandbox::Sandbox;

use super::super::print;
use super::super::table::align;
use super::CompiledDir;

/// How long the daemon, on the same machine, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// List the plugins, and say why a file is not loaded
///
/// Asks the daemon, which knows what runs. Where none answers, or with --plugins, the plugins folder is loaded for this list alone.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin list\n  dropforge plugin list --plugins ./plugins --json")]
pub(super) struct ListArgs {
    /// The configuration: it says where the daemon listens and where the plugins are
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    let config = super::configuration(args.config.clone(), args.plugins.clone())?;
    let list = match &args.plugins {
        Some(_) => load(&config)?,
        None => {
            let url = plugins_url(&config);
            match ask(&url) {
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
            _ => eprintln!("No daemon answers at {}; in {}:", plugins_url(&config), list.from),
        }
        print(&table(&list.plugins))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(config: &Config) -> anyhow::Result<List> {
    let compiled = CompiledDir::choose(Some(config))?;
    let registry = load_folder(&config.plugins_dir, Arc::new(Sandbox::new()?), &compiled.path, &LoadLimits::of(config))?;
    Ok(List { source: "folder", from: config.plugins_dir.display().to_string(), plugins: registry.status() })
}

/// Why the daemon says nothing.
enum Silence {
    /// Nobody is there, or somebody else is.
    NoDaemon,
    /// It is there, and answers something else than plugins.
    Other(anyhow::Error),
}

fn plugins_url(config: &Config) -> String {
    // An address that means every interface is no address to connect to.
    let address = match config.bind_address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    format!("http://{}/api/v1/plugins", SocketAddr::new(address, config.health_port))
}

fn ask(url: &str) -> Result<Vec<PluginStatus>, Silence> {
    // A proxy, which the environment may name, cannot reach this machine's loopback.
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build());
    let other = |error: anyhow::Error| Silence::Other(error);
    match agent.get(url).call() {
        Ok(mut response) => {
            let text = response.body_mut().read_to_string().context("cannot read the answer").map_err(other)?;
            serde_json::from_str(&text).context("the answer is no list of plugins: is it another version of Dropforge?").map_err(other)
        }
        Err(ureq::Error::StatusCode(404)) => Err(Silence::NoDaemon),
        Err(ureq::Error::StatusCode(code)) => Err(other(anyhow::anyhow!("the answer has status {code}"))),
        Err(_) => Err(Silence::NoDaemon),
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
            (Some(_), None) => "running".to_owned(),
            (Some(running), Some(refused)) => {
                format!("running version {}; the file as it is now is refused: {}", running.version, refused.reason)
            }
            (None, Some(refused)) => format!("refused: {}", refused.reason),
            (None, None) => "-".to_owned(),
        };
        [name, version, digest, plugin.file.clone(), state]
    }));
    align(&rows)
}

#[cfg(test)]
mod tests {
    use crate::plugins::{Refusal, Running};

    use super::*;

    #[test]
    fn the_table_says_what_runs_and_what_is_refused() {
        let running = Running {
            name: "csv".to_owned(),
            version: "1.2.0".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            size: 5,
            loaded_at: String::new(),
            capabilities: false,
            description: String::new(),
        };
        let refused = Refusal { reason: "the file is empty".to_owned(), at: String::new() };
        let plugins = [
            PluginStatus { file: "csv.wasm".to_owned(), running: Some(running.clone()), refused: None },
            PluginStatus { file: "new.wasm".to_owned(), running: Some(running), refused: Some(refused.clone()) },
            PluginStatus { file: "x.wasm".to_owned(), running: None, refused: Some(refused) },
        ];
        let expected = "\
PLUGIN  VERSION  DIGEST        FILE      STATE
csv     1.2.0    0123456789ab  csv.wasm  running
csv     1.2.0    0123456789ab  new.wasm  running version 1.2.0; the file as it is now is refused: the file is empty
-       -        -             x.wasm    refused: the file is empty
";
        assert_eq!(table(&plugins), expected);
    }

    #[test]
    fn every_interface_is_asked_on_loopback() {
        let config = |bind: &str| Config { bind_address: bind.parse().unwrap_or(IpAddr::V4(Ipv4Addr::BROADCAST)), ..Config::default() };
        assert_eq!(plugins_url(&config("0.0.0.0")), "http://127.0.0.1:8080/api/v1/plugins");
        assert_eq!(plugins_url(&config("::")), "http://[::1]:8080/api/v1/plugins");
        assert_eq!(plugins_url(&config("10.0.0.5")), "http://10.0.0.5:8080/api/v1/plugins");
    }
}
