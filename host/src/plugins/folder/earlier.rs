//! What a plugins folder does besides with what its files hold: earlier versions that are kept and rolled back to, and trust that is withdrawn.

use std::ffi::OsStr;
use std::fs;
use std::time::Instant;

use super::{Folder, Held};
use crate::config::SignaturePolicy;
use crate::plugins::entry::Again;
use crate::plugins::file::Stamp;
use crate::plugins::load::{Examined, LoadCause, Loader};
use crate::plugins::plugin::Plugin;
use crate::plugins::signing::SigningError;
use crate::plugins::versions::{Rollback, Version};

impl Folder {
    /// Sees whether somebody has rolled a plugin back, or taken that back: then its file is looked at again.
    pub(super) fn look_for_rollbacks(&mut self) {
        let Some(versions) = &self.versions else { return };
        let rollbacks = versions.rollbacks();
        if rollbacks == self.rollbacks {
            return;
        }
        self.rollbacks = rollbacks;
        for entry in self.files.values_mut() {
            let Some(content) = &entry.content else { continue };
            let wanted = self.rollbacks.get(content).map_or(content, |rollback| &rollback.digest);
            if entry.running.as_ref().is_none_or(|running| running.digest != *wanted) {
                entry.again = Some(Again::At(Instant::now()));
            }
        }
    }

    /// Sees whether trusted keys have changed: then everything that runs is asked for its signature again.
    pub(super) fn look_for_keys(&mut self) {
        let Some(folder) = self.settings.trusted_keys.as_deref().filter(|_| self.settings.signatures == SignaturePolicy::Require) else {
            return;
        };
        // A folder that cannot be read for now says nothing of its keys.
        let Ok(entries) = fs::read_dir(folder) else { return };
        let stamped = |entry: fs::DirEntry| Some((entry.file_name(), Stamp::of(&fs::metadata(entry.path()).ok()?)));
        let mut keys: Vec<_> = entries.flatten().filter_map(stamped).collect();
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        if keys == self.keys {
            return;
        }
        self.keys = keys;
        for entry in self.files.values_mut().filter(|entry| entry.running.is_some()) {
            entry.again = Some(Again::At(Instant::now()));
        }
    }

    /// Whether what runs of an examined file is still trusted. A signature that is being replaced, or is gone, is no reason to stop it: only
    /// a key that is not trusted any more is.
    ///
    /// # Errors
    /// [`LoadCause::Distrusted`].
    pub(super) fn check_trust(&self, loader: &Loader<'_>, examined: &Examined, rollback: Option<&Rollback>) -> Result<(), LoadCause> {
        let checked = match rollback {
            None => loader.check_signature(examined),
            Some(rollback) => {
                let path = self.versions.as_ref().and_then(|versions| versions.path(&rollback.digest));
                let Some(kept) = path.and_then(|path| loader.examine(&path).ok()) else { return Ok(()) };
                loader.check_signature(&kept)
            }
        };
        match checked {
            Err(LoadCause::Signature(error @ SigningError::Untrusted { .. })) => Err(LoadCause::Distrusted(error)),
            _ => Ok(()),
        }
    }

    /// Loads what a plugin was rolled back to.
    pub(super) fn load_earlier(&self, loader: &Loader<'_>, rollback: &Rollback) -> Result<Plugin, LoadCause> {
        let failed = |reason: String| LoadCause::Rollback { name: rollback.name.clone(), reason };
        let path = self.versions.as_ref().and_then(|versions| versions.path(&rollback.digest));
        let path = path.ok_or_else(|| failed("its digest is malformed".to_owned()))?;
        let examined = loader.examine(&path).map_err(|cause| failed(cause.to_string()))?;
        if examined.digest != rollback.digest {
            return Err(failed("its bytes are damaged".to_owned()));
        }
        let plugin = loader.load(&examined).map_err(|cause| failed(cause.to_string()))?;
        if plugin.descriptor.name != rollback.name {
            return Err(failed(format!("it is `{}`", plugin.descriptor.name)));
        }
        Ok(plugin)
    }

    /// Writes down what the last update has loaded. It takes time, so everybody who waits for a plugin is told of it first.
    pub(in crate::plugins) fn remember_all(&mut self) {
        for (name, held) in std::mem::take(&mut self.to_remember) {
            self.remember(&name, held);
        }
    }

    /// Keeps what runs as the newest version of its plugin, and ends a rollback that was about another file. Where that fails, it runs all
    /// the same.
    fn remember(&self, name: &OsStr, held: Held) {
        let Some(versions) = self.versions.as_ref().filter(|_| self.metrics.is_some() && held.rolled_back.is_none()) else { return };
        let Some(running) = self.files.get(name).and_then(|entry| entry.running.as_ref()) else { return };
        let converter = &running.descriptor.name;
        let version = Version {
            version: running.descriptor.version.clone(),
            digest: running.digest.clone(),
            size: running.size,
            file: name.to_string_lossy().into_owned(),
            loaded_at: running.loaded_at.to_string(),
        };
        let added = held.source.open().and_then(|mut file| versions.add(converter, version, &mut file, held.signature.as_deref()));
        if let Err(error) = added {
            tracing::warn!(converter, %error, "cannot keep this version of the plugin for `dropforge plugin rollback`; it runs all the same");
        }
        match versions.end_rollback(converter, Some(&running.digest)) {
            Ok(true) => tracing::info!(converter, file = %name.display(), "the file has changed: the rollback of its plugin ends"),
            Ok(false) => {}
            Err(error) => tracing::warn!(converter, %error, "cannot end the rollback of this plugin, whose file has changed"),
        }
    }
}
