//! One file of a plugins folder: what was seen of it, what runs from it, why it was refused, and what is said about that.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{self, Stamp};
use super::plugin::Plugin;
use super::registry::Refusal;
use super::versions::Rollback;

/// One file.
pub(super) struct Entry {
    /// What the last look saw, and since when.
    pub(super) seen: (Seen, Instant),
    /// What was last loaded or refused.
    pub(super) handled: Option<Seen>,
    /// The digest of what the file held then.
    pub(super) content: Option<String>,
    pub(super) running: Option<Arc<Plugin>>,
    /// What runs is not what the file holds.
    pub(super) rolled_back: Option<Rollback>,
    pub(super) refused: Option<Refusal>,
    /// It is tried again although it has not changed.
    pub(super) again: Option<Again>,
}

/// What was seen of a plugin's file, and of its signature's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) file: Stamp,
    pub(super) signature: Option<Stamp>,
}

/// What an unchanged file waits for.
pub(super) enum Again {
    /// For other plugins to change: one of them has its name, or a metric of its.
    Plugins,
    /// For a point in time.
    At(Instant),
}

impl Entry {
    pub(super) fn new(seen: Seen, now: Instant) -> Entry {
        Entry { seen: (seen, now), handled: None, content: None, running: None, rolled_back: None, refused: None, again: None }
    }

    /// Notes what the file holds, and whether something else runs.
    pub(super) fn hold(&mut self, content: &str, rolled_back: Option<&Rollback>) {
        self.content = Some(content.to_owned());
        self.rolled_back = rolled_back.cloned();
    }

    /// Keeps the reason, and says it once: some files are tried again and again. True where it was said.
    pub(super) fn refuse(&mut self, name: &OsStr, reason: String, took: Duration) -> bool {
        let (file, duration_ms) = (name.display(), milliseconds(took));
        let is_new = self.refused.as_ref().is_none_or(|before| before.reason != reason);
        if is_new {
            match &self.running {
                Some(running) => tracing::warn!(
                    %file, duration_ms, running_version = running.descriptor.version, running_digest = file::short(&running.digest),
                    "plugin refused, the version that ran goes on: {reason}"
                ),
                None => tracing::warn!(%file, duration_ms, "plugin refused: {reason}"),
            }
        }
        self.refused = Some(Refusal { reason, at: jiff::Timestamp::now().to_string() });
        is_new
    }

    pub(super) fn say_loaded(&self, name: &OsStr, former: Option<&Plugin>, took: Duration) {
        let Some(plugin) = &self.running else { return };
        let descriptor = &plugin.descriptor;
        tracing::info!(
            converter = descriptor.name, version = descriptor.version, digest = file::short(&plugin.digest), file = %name.display(),
            duration_ms = milliseconds(took), replaces = former.map(|former| former.descriptor.version.as_str()), rolled_back = self.rolled_back.is_some(), "plugin loaded"
        );
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
