//! One file of a plugins folder: what was seen of it, what runs from it, why it was refused, and what is said about that.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{self, Stamp};
use super::plugin::Plugin;
use super::registry::Refusal;

/// One file.
pub(super) struct Entry {
    /// What the last look saw, and since when.
    pub(super) seen: (Stamp, Instant),
    /// What was last loaded or refused.
    pub(super) handled: Option<Stamp>,
    pub(super) running: Option<Arc<Plugin>>,
    pub(super) refused: Option<Refusal>,
    /// It is tried again although it has not changed.
    pub(super) again: Option<Again>,
}

/// What an unchanged file waits for.
pub(super) enum Again {
    /// For other plugins to change: one of them has its name, or a metric of its.
    Plugins,
    /// For a point in time.
    At(Instant),
}

impl Entry {
    pub(super) fn new(stamp: Stamp, now: Instant) -> Entry {
        Entry { seen: (stamp, now), handled: None, running: None, refused: None, again: None }
    }

    /// Keeps the reason, and says it once: some files are tried again and again.
    pub(super) fn refuse(&mut self, name: &OsStr, reason: String, took: Duration) {
        let (file, duration_ms) = (name.display(), milliseconds(took));
        if self.refused.as_ref().is_none_or(|before| before.reason != reason) {
            match &self.running {
                Some(running) => tracing::warn!(
                    %file, duration_ms, running_version = running.descriptor.version, running_digest = file::short(&running.digest),
                    "plugin refused, the version that ran goes on: {reason}"
                ),
                None => tracing::warn!(%file, duration_ms, "plugin refused: {reason}"),
            }
        }
        self.refused = Some(Refusal { reason, at: jiff::Timestamp::now().to_string() });
    }

    pub(super) fn say_loaded(&self, name: &OsStr, former: Option<&Plugin>, took: Duration) {
        let Some(plugin) = &self.running else { return };
        let descriptor = &plugin.descriptor;
        tracing::info!(
            converter = descriptor.name, version = descriptor.version, digest = file::short(&plugin.digest), file = %name.display(),
            duration_ms = milliseconds(took), replaces = former.map(|former| former.descriptor.version.as_str()), "plugin loaded"
        );
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
