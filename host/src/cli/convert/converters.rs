//! The converters that `dropforge convert` asks. They are loaded while somebody waits for it: who that takes longer than a moment is told why.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::super::Usage;
use super::super::progress::{Told, steps};
use super::ConvertArgs;
use super::interrupt::Folder;
use crate::config::{Config, ConverterChoice, Route};
use crate::plugins::{COMPILED_FOLDER, LoadSettings, Plugin, Registry, is_own_folder, load_file, load_folder_telling, open_private_folder};
use crate::sandbox::Sandbox;

/// Compiled plugins load in less; compiling one takes longer.
const MOMENT: Duration = Duration::from_millis(500);

/// The converters that may take the inputs.
pub(super) struct Converters {
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// Where they are compiled to, if that is for this command alone.
    _compiled: Option<Folder>,
}

impl Converters {
    /// Loads the one that is named, or all that there are.
    ///
    /// # Errors
    /// Where there is none of that name, or none at all, or the folder cannot be read.
    pub(super) fn load(args: &ConvertArgs, config: &Config, route: Option<&Route>) -> anyhow::Result<Converters> {
        let sandbox = Arc::new(Sandbox::new()?);
        let mut settings = LoadSettings::of(config);
        let compiled = temporary_if_needed(&mut settings.compiled_dir)?;
        let plugins = match args.converter.as_deref().filter(|converter| converter.ends_with(".wasm")) {
            Some(file) => {
                let load = |told: Told| {
                    told(0, 1);
                    load_file(Path::new(file), &sandbox, settings)
                };
                let plugin = while_told(load)?;
                vec![Arc::new(plugin)]
            }
            None => of_folder(args, config, route, sandbox, settings)?,
        };
        Ok(Converters { plugins, _compiled: compiled })
    }
}

/// Another user's state folder, such as that of the service, has no room for what this one compiles.
fn temporary_if_needed(compiled: &mut PathBuf) -> anyhow::Result<Option<Folder>> {
    // One of ours in a folder of theirs would keep their daemon from starting.
    let is_others = |state: &Path| state.canonicalize().is_ok_and(|state| !is_own_folder(&state));
    let is_writable = |folder: &Path| tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).is_ok();
    if !compiled.parent().is_some_and(is_others) && open_private_folder(compiled).is_ok() && is_writable(compiled) {
        return Ok(None);
    }
    let folder = Folder::make(|| tempfile::Builder::new().prefix("dropforge-").tempdir());
    let folder = folder.context("cannot create a temporary folder for compiled converters")?;
    *compiled = folder.path().join(COMPILED_FOLDER);
    Ok(Some(folder))
}

fn of_folder(
    args: &ConvertArgs,
    config: &Config,
    route: Option<&Route>,
    sandbox: Arc<Sandbox>,
    mut settings: LoadSettings,
) -> anyhow::Result<Vec<Arc<Plugin>>> {
    let (named, pinned) = match route.map(|route| &route.converter) {
        Some(ConverterChoice::Named { name, digest }) => (Some(name), digest.as_ref()),
        Some(ConverterChoice::Auto) | None => (args.converter.as_ref(), None),
    };
    let folder = &config.plugins_dir;
    let inside: Vec<&str> = settings.bundled.iter().map(|bundled| bundled.name()).collect();
    if let Some(named) = named {
        settings.bundled.retain(|bundled| bundled.name() == named);
        if settings.bundled.is_empty() && !inside.is_empty() && !folder.exists() {
            bail!(Usage(format!(
                "there is no converter `{named}`: there is no plugins folder {}, and inside of Dropforge there are {}",
                folder.display(),
                inside.join(", ")
            )));
        }
    }
    let is_new = fs::read_dir(&settings.compiled_dir).is_ok_and(|mut folder| folder.next().is_none());
    if settings.bundled.len() > 1 && is_new {
        eprintln!("The converters are compiled first, which takes a while; they are kept for the next time.");
    }
    let registry = while_told(|told| load_folder_telling(folder, sandbox, settings, told));
    let registry: Arc<Registry> = registry.with_context(|| format!("cannot load the plugins in {}", folder.display()))?;
    let all = registry.all();
    match named {
        None if all.is_empty() => {
            bail!(Usage(format!("there is no converter in {}; name a plugin with --converter FILE.wasm", folder.display())))
        }
        None => Ok(all),
        Some(name) => match registry.get(name) {
            Some(plugin) if pinned.is_none_or(|digest| *digest == plugin.digest) => Ok(vec![plugin]),
            Some(plugin) => bail!("the route pins another version of `{name}`; in {} is sha256:{}", folder.display(), plugin.digest),
            None => {
                let loaded = all.iter().map(|plugin| plugin.descriptor.name.as_str());
                let mut there: Vec<&str> = loaded.chain(inside).collect();
                there.sort_unstable();
                there.dedup();
                bail!(Usage(format!(
                    "there is no converter `{name}` in {} (there: {}); a plugin file is named with its .wasm",
                    folder.display(),
                    there.join(", ")
                )))
            }
        },
    }
}

/// Loads, and shows on a terminal what it waits for where that takes longer than a moment.
fn while_told<T>(load: impl FnOnce(Told) -> T) -> T {
    let (steps, told) = steps("compiling converters, once for this machine");
    let (done, waits) = channel::<()>();
    let patient = thread::spawn(move || {
        if waits.recv_timeout(MOMENT) == Err(RecvTimeoutError::Timeout) {
            steps.show();
            // Until it is done.
            _ = waits.recv();
        }
        steps.clear();
    });
    let loaded = load(told);
    drop(done);
    // It only prints.
    _ = patient.join();
    loaded
}
