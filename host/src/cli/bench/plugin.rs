//! `dropforge bench plugin`: from a plugin's file to its first conversion, beside a bare compilation of the same file; and how long a start
//! with twenty plugins takes, with their compiled code in the cache and without.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use clap::Args;
use wasmtime::component::Component;

use crate::metrics::{Instance, Metrics};
use crate::plugins::{COMPILED_FOLDER, LoadSettings, PluginFolder, VERSIONS_FOLDER, load_folder};
use crate::sandbox::{Sandbox, THREAD_STACK};

use super::super::print;
use super::{bare, sandbox};

/// The plugins of a start.
const PLUGINS: usize = 20;
/// How long a plugin may take to run.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    /// The plugin
    #[arg(long, value_name = "FILE.wasm")]
    converter: PathBuf,
    /// The file to convert
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// How often each is measured, in turns; the best of each counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(super) fn run(args: &PluginArgs) -> anyhow::Result<()> {
    // The guest runs on the stack of the thread that calls it.
    thread::scope(|scope| {
        let measuring = thread::Builder::new().stack_size(THREAD_STACK).spawn_scoped(scope, || measure(args))?;
        measuring.join().unwrap_or_else(|_| bail!("the measurement panicked"))
    })
}

fn measure(args: &PluginArgs) -> anyhow::Result<()> {
    let plugin = fs::read(&args.converter).with_context(|| format!("cannot read {}", args.converter.display()))?;
    let component = sandbox::component(&args.converter)?;
    let input: Arc<[u8]> = fs::read(&args.input).with_context(|| format!("cannot read {}", args.input.display()))?.into();
    let (mut bare, mut settle, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..args.runs.max(1) {
        let start = Instant::now();
        Component::new(&bare::engine()?, &component).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        bare.push(start.elapsed());
        // Another file each time, so that nothing of it is in the cache.
        let (settled, converted) = first_conversion(&variant(&plugin, run), &input)?;
        settle.push(settled);
        first.push(converted);
    }
    let milliseconds = |times: &[Duration]| times.iter().min().copied().unwrap_or_default().as_secs_f64() * 1e3;
    let (bare, settle, first) = (milliseconds(&bare), milliseconds(&settle), milliseconds(&first));
    print(&format!(
        "from the close of {} ({} bytes) to its first conversion, best of {}:\n  Component::new  {bare:>8.1} ms\n  settling        {settle:>8.1} ms   \
         until the closed file is taken up\n  the rest        {:>8.1} ms   digest, compile in a process of its own, keep, load, describe, convert\n  \
         ratio           {:>8.2}   of the rest\n",
        args.converter.display(),
        plugin.len(),
        args.runs.max(1),
        first - settle,
        (first - settle) / bare
    ))?;

    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.clamp(1, 3) {
        let (without, with) = starts(&plugin)?;
        cold.push(without);
        warm.push(with);
    }
    let (cold, warm) = (milliseconds(&cold), milliseconds(&warm));
    Ok(print(&format!(
        "start with {PLUGINS} plugins:\n  without cache   {cold:>8.1} ms\n  with cache      {warm:>8.1} ms\n  ratio           {:>8.3}\n",
        warm / cold
    ))?)
}

/// The same plugin with another digest: a custom section more.
fn variant(plugin: &[u8], number: usize) -> Vec<u8> {
    let name = format!("bench-{number:04}");
    let length = u8::try_from(name.len()).unwrap_or_default();
    [plugin, &[0, length + 1, length], name.as_bytes()].concat()
}

/// Puts a plugin into a watched folder. Gives how long it took until it was taken up, and until it had converted a file.
fn first_conversion(plugin: &[u8], input: &Arc<[u8]>) -> anyhow::Result<(Duration, Duration)> {
    let folder = tempfile::tempdir()?;
    let plugins = folder.path().join("plugins");
    let metrics = Arc::new(Metrics::new(&Instance { instance_id: String::new(), station: String::new(), location: String::new() }));
    let (changed, change) = crossbeam_channel::bounded(1);
    // Full: it was told already.
    let on_change = Box::new(move || _ = changed.try_send(()));
    // Everything that the daemon has: its history too.
    let settings =
        LoadSettings { versions_dir: Some(folder.path().join(VERSIONS_FOLDER)), ..LoadSettings::from(folder.path().join(COMPILED_FOLDER)) };
    let watched = PluginFolder::start(plugins.clone(), Arc::new(Sandbox::new()?), settings, Arc::clone(&metrics), on_change)?;
    let temporary = folder.path().join("new");
    fs::write(&temporary, plugin)?;
    let start = Instant::now();
    fs::rename(&temporary, plugins.join("plugin.wasm"))?;
    change.recv_timeout(PATIENCE).ok().with_context(|| format!("the plugin was not loaded within {} s", PATIENCE.as_secs()))?;
    let loaded = start.elapsed();
    let registry = watched.registry();
    let plugin = registry.all().into_iter().next().context("no plugin runs")?;
    let options = plugin.options(&serde_json::Map::new())?;
    sandbox::convert(&plugin, &options, input)?;
    let converted = start.elapsed();
    // What the load itself took is measured where it happens; the rest of the time it waited to be taken up.
    let series = "plugin_load_duration_seconds_sum ";
    let text = metrics.exposition();
    let took = text.lines().find_map(|line| line.strip_prefix(series)?.parse::<f64>().ok()).context("the load was not measured")?;
    watched.stop();
    Ok((loaded.saturating_sub(Duration::from_secs_f64(took)), converted))
}

/// How long it takes to load a folder of plugins, none of which was compiled before, and once more.
fn starts(plugin: &[u8]) -> anyhow::Result<(Duration, Duration)> {
    let folder = tempfile::tempdir()?;
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins)?;
    for number in 0..PLUGINS {
        // One that was there for long is taken at the first look.
        let path = plugins.join(format!("{number}.wasm"));
        fs::write(&path, variant(plugin, number))?;
        File::options().append(true).open(path)?.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
    }
    let start = || -> anyhow::Result<Duration> {
        let start = Instant::now();
        load(&plugins, folder.path())?;
        Ok(start.elapsed())
    };
    Ok((start()?, start()?))
}

/// Loads a folder. All of its plugins have one name, so that all but the first are refused for that, after everything else.
fn load(plugins: &Path, state: &Path) -> anyhow::Result<()> {
    let registry = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        load_folder(plugins, Arc::new(Sandbox::new()?), state.join("compiled")).map_err(anyhow::Error::from)
    })?;
    let refused = |reason: &str| reason.contains("the name `");
    let loaded = registry.status().iter().filter(|file| file.refused.as_ref().is_none_or(|refusal| refused(&refusal.reason))).count();
    ensure!(loaded == PLUGINS && registry.all().len() == 1, "{loaded} of {PLUGINS} plugins were loaded: {:?}", registry.status());
    Ok(())
}
