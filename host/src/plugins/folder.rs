//! The state of a plugins folder: which files there are, what runs from each, what was refused and why. One call of
//! [`Folder::update`] brings it up to date; when to call it is somebody else's business, and so are threads and events.

mod attempts;
mod bundled;
mod earlier;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::config::SignaturePolicy;
use crate::events::{Event, PluginFile, short};
use crate::metrics::Metrics;
use crate::sandbox::Sandbox;

use super::compiled::CompiledFolder;
use super::entry::{Again, Entry, Seen};
use super::file::{self, Stamp};
use super::plugin::Plugin;
use super::registry::{PluginStatus, Present, Registry, Running};
use super::settings::LoadSettings;
use super::signing::signature_path;
use super::versions::{Rollback, Versions};
use super::watch::PluginsError;
use attempts::{Attempt, Held};
use bundled::{file_of, is_bundled, stand_in};

/// A file that two looks see alike, this long apart, is taken; so is one whose writer was seen to close it.
const QUIET: Duration = Duration::from_secs(1);

/// A file that was last modified this long ago is taken at the first look. Long enough for clocks of file servers that are a little off.
const OLD: Duration = Duration::from_secs(10);

/// Files that are looked at. Each has a name in labels, logs and the status list.
const MAX_FILES: usize = 256;

/// A plugins folder, and the plugins inside this program, which stand in for what is not there.
pub(super) struct Folder {
    folder: PathBuf,
    /// It is looked at once, for somebody who is told how far it is, and may be missing where there are others.
    once: Option<Told>,
    sandbox: Arc<Sandbox>,
    settings: LoadSettings,
    cache: CompiledFolder,
    /// Earlier versions; none where there are none.
    versions: Option<Versions>,
    /// What the last look saw, by the digests of the files that they are about.
    rollbacks: BTreeMap<String, Rollback>,
    /// The trusted keys that the last look saw, if signatures are asked for.
    keys: Vec<(OsString, Stamp)>,
    /// Only the daemon has them, and only it writes histories.
    metrics: Option<Arc<Metrics>>,
    stop: Arc<AtomicBool>,
    registry: Arc<Registry>,
    files: BTreeMap<OsString, Entry>,
    /// A plugin went away or was replaced: its name or its metrics may be what another file waits for.
    freed: bool,
    /// Files beyond [`MAX_FILES`] were reported.
    overfull: bool,
    /// What runs and is not yet in the history; at most every file once for each of its versions since the last update.
    to_remember: Vec<(OsString, Held)>,
}

/// Called as files have been loaded: how many, of how many.
type Told = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What one update found.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Update {
    /// Another set of plugins runs now.
    pub(super) changed: bool,
    /// A file is still being written, or was just seen for the first time.
    pub(super) unsettled: bool,
}

impl Folder {
    /// A folder of which nothing is loaded yet.
    pub(super) fn new(
        folder: &Path,
        sandbox: Arc<Sandbox>,
        settings: LoadSettings,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Folder, PluginsError> {
        let cache = CompiledFolder::open(&settings.compiled_dir, &sandbox.compatibility())?;
        let versions = settings.versions_dir.as_deref().filter(|folder| metrics.is_some() || folder.exists());
        let versions = versions.map(Versions::open).transpose()?;
        Ok(Folder {
            folder: folder.to_owned(),
            once: None,
            sandbox,
            settings,
            cache,
            versions,
            rollbacks: BTreeMap::new(),
            keys: Vec::new(),
            metrics,
            stop: Arc::new(AtomicBool::new(false)),
            registry: Arc::default(),
            files: BTreeMap::new(),
            freed: false,
            overfull: false,
            to_remember: Vec::new(),
        })
    }

    /// What runs.
    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Set it to end a running update early.
    pub(super) fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Loads what is there now. A file that is being written keeps it for no longer than it takes to see that.
    pub(super) fn load_all(&mut self) -> io::Result<()> {
        let started = Instant::now();
        while self.update(&BTreeSet::new())?.unsettled && started.elapsed() < 2 * QUIET {
            thread::sleep(QUIET / 10);
        }
        Ok(())
    }

    /// Looks at the folder, loads what is new or has changed, unloads what is gone. `closed` names files whose writers were seen to
    /// finish.
    ///
    /// # Errors
    /// Where the folder cannot be listed; everything goes on running then.
    pub(super) fn update(&mut self, closed: &BTreeSet<OsString>) -> io::Result<Update> {
        let present = self.list()?;
        self.look_for_rollbacks();
        self.look_for_keys();
        let gone: BTreeSet<OsString> = self.files.keys().filter(|name| !present.contains_key(*name)).cloned().collect();
        let mut update = Update::default();
        let mut due = self.look(present, closed, &mut update);
        if !gone.is_empty() {
            // What stands in for a file that is gone runs before that ends.
            due.extend(self.waiting().filter(|(name, _)| is_bundled(name)));
        }
        // Files go before what is bundled.
        due.sort_by_key(|(name, _)| is_bundled(name));
        update.changed |= self.handle(&due, &gone);
        update.changed |= self.remove(&gone);
        while std::mem::take(&mut self.freed) {
            let mut due: Vec<_> = self.waiting().collect();
            due.sort_by_key(|(name, _)| is_bundled(name));
            update.changed |= self.handle(&due, &BTreeSet::new());
        }
        Ok(update)
    }

    /// What waits for other plugins to change.
    fn waiting(&self) -> impl Iterator<Item = (OsString, Seen)> {
        let waits = |(_, entry): &(&OsString, &Entry)| matches!(entry.again, Some(Again::Plugins));
        self.files.iter().filter(waits).map(|(name, entry)| (name.clone(), entry.seen.0))
    }

    /// The files that may be plugins, with what tells whether they change.
    fn list(&mut self) -> io::Result<BTreeMap<OsString, Seen>> {
        let mut present = BTreeMap::new();
        let mut beyond = 0;
        let listing = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.once.is_some() && !self.settings.bundled.is_empty() => None,
            listing => Some(listing?),
        };
        for entry in listing.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            if !is_candidate(&name) {
                continue;
            }
            // Follows links: a link to what cargo builds is a fine way to develop. What is no file, or a link that leads nowhere, is
            // refused by its name and not passed over.
            let Ok(metadata) = fs::metadata(entry.path()).or_else(|_| entry.metadata()) else { continue };
            let known = self.files.keys().filter(|name| !is_bundled(name)).count();
            let room = known + present.keys().filter(|name| !self.files.contains_key(*name)).count() < MAX_FILES;
            if room || self.files.contains_key(&name) {
                let signed = self.settings.signatures != SignaturePolicy::Off;
                let signature = signed.then(|| fs::metadata(signature_path(&entry.path())).ok()).flatten();
                present.insert(name, Seen { file: Stamp::of(&metadata), signature: signature.as_ref().map(Stamp::of) });
            } else {
                beyond += 1;
            }
        }
        if beyond > 0 && !self.overfull {
            tracing::warn!(folder = %self.folder.display(), "{beyond} plugins are ignored: the most is {MAX_FILES}");
        }
        self.overfull = beyond > 0;
        let constant = Seen { file: Stamp::constant(), signature: None };
        present.extend(self.settings.bundled.iter().map(|bundled| (stand_in(OsStr::new(bundled.file)), constant)));
        Ok(present)
    }

    /// Notes what is there, and gives what is to be loaded.
    fn look(&mut self, present: BTreeMap<OsString, Seen>, closed: &BTreeSet<OsString>, update: &mut Update) -> Vec<(OsString, Seen)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (name, stamp) in present {
            let entry = self.files.entry(name.clone()).or_insert_with(|| Entry::new(stamp, now));
            if entry.seen.0 != stamp {
                entry.seen = (stamp, now);
            }
            let again = matches!(entry.again, Some(Again::At(time)) if time <= now);
            let is_closed = closed.contains(&name);
            if entry.handled == Some(stamp) && !is_closed && !again {
                continue;
            }
            let old = stamp.file.modified().and_then(|time| SystemTime::now().duration_since(time).ok()).is_some_and(|age| age >= OLD);
            if is_closed || again || old || is_bundled(&name) || entry.seen.1 + QUIET <= now {
                due.push((name, stamp));
            } else {
                update.unsettled = true;
            }
        }
        due
    }

    /// Loads files, and lets those that loaded run. Names that files in `gone` hold are free. Says whether other plugins run now.
    fn handle(&mut self, due: &[(OsString, Seen)], gone: &BTreeSet<OsString>) -> bool {
        let mut changed = false;
        for ((name, stamp), (attempt, took)) in due.iter().zip(self.attempt_all(due)) {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let (is_new, held) = self.apply(name, *stamp, attempt, took, gone);
            changed |= is_new;
            self.publish();
            self.to_remember.extend(held.map(|held| (name.clone(), held)));
        }
        changed
    }

    /// Lets the result of one attempt count. Says whether other plugins run now,
    /// and what the file holds, if it was read as a plugin.
    fn apply(&mut self, name: &OsString, stamp: Seen, attempt: Attempt, took: Duration, gone: &BTreeSet<OsString>) -> (bool, Option<Held>) {
        let attempt = match attempt {
            Attempt::Loaded(plugin, held) => self.admit(name, plugin, held, gone),
            other => other,
        };
        let Some(entry) = self.files.get_mut(name) else { return (false, None) };
        entry.again = None;
        entry.handled = Some(stamp);
        let (result, held) = match attempt {
            Attempt::Moving => {
                entry.handled = None;
                entry.seen.1 = Instant::now();
                return (false, None);
            }
            Attempt::Yields { content } => {
                entry.content = Some(content);
                entry.refused = None;
                entry.again = Some(Again::Plugins);
                return (false, None);
            }
            Attempt::Unchanged(held) => {
                entry.refused = None;
                entry.hold(&held.content, held.rolled_back.as_ref());
                ("unchanged", Some(held))
            }
            Attempt::Refused { reason, again, content, stops } => {
                entry.content = content;
                entry.again = again;
                let told = short(&reason);
                if entry.refuse(name, reason, took)
                    && let Some(metrics) = &self.metrics
                {
                    metrics.tell(|| Event::PluginRefused { file: name.to_string_lossy().into_owned(), reason: told });
                }
                if stops && self.unload(name) {
                    if let Some(metrics) = &self.metrics {
                        metrics.plugin_load("refused", took);
                    }
                    return (true, None);
                }
                ("refused", None)
            }
            Attempt::Loaded(plugin, held) => {
                entry.refused = None;
                entry.hold(&held.content, held.rolled_back.as_ref());
                let former = entry.running.replace(Arc::new(*plugin));
                entry.say_loaded(name, former.as_deref(), took);
                self.freed |= former.is_some();
                if let (Some(metrics), Some(plugin)) = (&self.metrics, &entry.running) {
                    let replaces = former.as_ref().map(|former| former.descriptor.version.clone());
                    metrics.tell(|| Event::PluginLoaded { plugin: plugin_file(name, plugin), replaces });
                }
                if let (Some(metrics), Some(former)) = (&self.metrics, former) {
                    metrics.plugin_unloaded(&former.descriptor.name, &former.descriptor.version, &former.digest);
                }
                ("loaded", Some(held))
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.plugin_load(result, took);
        }
        (result == "loaded", held)
    }

    /// Decides whether a plugin may run beside the others: it must be granted what it asks for, its name must be free, and its metrics must
    /// fit theirs.
    fn admit(&mut self, name: &OsStr, plugin: Box<Plugin>, held: Held, gone: &BTreeSet<OsString>) -> Attempt {
        let descriptor = &plugin.descriptor;
        if let Err(error) = plugin.check_grants(&self.settings.grants.of(&descriptor.name), None) {
            return Attempt::Refused { reason: error.to_string(), again: None, content: Some(held.content), stops: false };
        }
        if self.has_to_yield(name, &descriptor.name, gone) {
            return Attempt::Yields { content: held.content };
        }
        match self.holder(&descriptor.name, name) {
            Some((holder, running)) if !gone.contains(&holder) && !is_bundled(&holder) => {
                let reason = format!(
                    "the name `{}` is taken by {} (version {}): remove one of the two files",
                    descriptor.name,
                    holder.display(),
                    running.descriptor.version
                );
                return Attempt::Refused { reason, again: Some(Again::Plugins), content: Some(held.content), stops: false };
            }
            // The file was renamed, or another takes its place.
            Some((holder, _)) => self.give_way(&holder),
            None => {}
        }
        self.give_way(&stand_in(name));
        let declared = self
            .metrics
            .as_ref()
            .map_or(Ok(()), |metrics| metrics.plugin_loaded(&descriptor.name, &descriptor.version, &plugin.digest, &descriptor.metrics));
        match declared {
            Ok(()) => Attempt::Loaded(plugin, held),
            Err(error) => {
                Attempt::Refused { reason: error.to_string(), again: Some(Again::Plugins), content: Some(held.content), stops: false }
            }
        }
    }

    /// Forgets files that are gone; what ran from them stops, unless another file has taken it over.
    fn remove(&mut self, gone: &BTreeSet<OsString>) -> bool {
        let mut changed = false;
        for name in gone {
            changed |= self.unload(name);
            self.files.remove(name);
        }
        if !gone.is_empty() {
            self.publish();
        }
        changed
    }

    fn unload(&mut self, name: &OsStr) -> bool {
        let Some(plugin) = self.files.get_mut(name).and_then(|entry| entry.running.take()) else { return false };
        self.freed = true;
        let descriptor = &plugin.descriptor;
        tracing::info!(
            converter = descriptor.name, version = descriptor.version, digest = file::short(&plugin.digest), file = %name.display(),
            "plugin unloaded"
        );
        if let Some(metrics) = &self.metrics {
            metrics.plugin_unloaded(&descriptor.name, &descriptor.version, &plugin.digest);
            metrics.plugin_load("unloaded", Duration::ZERO);
            metrics.tell(|| Event::PluginRemoved { plugin: plugin_file(name, &plugin) });
        }
        true
    }

    /// The file other than `except` from which a converter of this name runs.
    fn holder(&self, converter: &str, except: &OsStr) -> Option<(OsString, Arc<Plugin>)> {
        let holds = |(file, entry): (&OsString, &Entry)| {
            let running = entry.running.as_ref().filter(|running| running.descriptor.name == converter && file != except)?;
            Some((file.clone(), Arc::clone(running)))
        };
        self.files.iter().find_map(holds)
    }

    /// Everyone sees what runs now.
    fn publish(&self) {
        let running = self.files.values().filter_map(|entry| entry.running.clone());
        let by_name = running.map(|plugin| (plugin.descriptor.name.clone(), plugin)).collect();
        let status = self.files.iter().filter(|(_, entry)| entry.running.is_some() || entry.refused.is_some());
        let status = status.map(|(name, entry)| PluginStatus {
            file: file_of(name).to_string_lossy().into_owned(),
            bundled: is_bundled(name),
            running: entry.running.as_deref().map(Running::from),
            refused: entry.refused.clone(),
            suspended: None,
            paused: None,
            picks: Vec::new(),
            rolled_back: entry.rolled_back.clone().filter(|_| entry.running.is_some()),
        });
        self.registry.replace(Present { by_name, status: status.collect() });
    }
}

/// Loads a folder once, without watching it. What is refused is in the registry's status.
///
/// # Errors
/// Where the folder cannot be read, or there is no place for compiled code.
pub fn load_folder(folder: &Path, sandbox: Arc<Sandbox>, settings: impl Into<LoadSettings>) -> Result<Arc<Registry>, PluginsError> {
    load_folder_telling(folder, sandbox, settings, Arc::new(|_, _| ()))
}

/// The same, and tells how far it is: how many files are loaded, and how many there are.
///
/// # Errors
/// As [`load_folder`].
pub fn load_folder_telling(
    folder: &Path,
    sandbox: Arc<Sandbox>,
    settings: impl Into<LoadSettings>,
    told: Arc<dyn Fn(usize, usize) + Send + Sync>,
) -> Result<Arc<Registry>, PluginsError> {
    let mut folder = Folder::new(folder, sandbox, settings.into(), None)?;
    folder.once = Some(told);
    folder.load_all().map_err(|error| PluginsError::Folder { doing: "list", path: folder.folder.clone(), error })?;
    Ok(folder.registry())
}

/// A plugin, as those who watch are told of it.
fn plugin_file(name: &OsStr, plugin: &Plugin) -> PluginFile {
    let descriptor = &plugin.descriptor;
    PluginFile {
        converter: descriptor.name.clone(),
        version: descriptor.version.clone(),
        digest: plugin.digest.clone(),
        file: name.to_string_lossy().into_owned(),
    }
}

/// Whether a file of this name may be a plugin: `.wasm`, and none of the temporary names that begin with a dot.
fn is_candidate(name: &OsStr) -> bool {
    let path = Path::new(name);
    !name.as_encoded_bytes().starts_with(b".") && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wasm_files_without_a_leading_dot_are_candidates() {
        for (name, expected) in
            [("csv.wasm", true), ("CSV.WASM", true), (".csv.wasm", false), (".wasm", false), ("csv.wasm.tmp", false), ("csv", false)]
        {
            assert_eq!(is_candidate(OsStr::new(name)), expected, "{name}");
        }
    }
}
