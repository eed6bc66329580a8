//! The plugins that run now, for everyone who asks: reads take no lock, and whoever holds a plugin keeps it. It knows nothing of files
//! that change; the folder tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sandbox::Capabilities;

use super::plugin::Plugin;
use super::suspension::{Suspended, Suspensions};
use super::versions::Rollback;

/// One file of the plugins folder, or one plugin inside this program: what runs from it, and why its present content does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginStatus {
    /// The file's name.
    pub file: String,
    /// It is inside this program, and not in the plugins folder.
    #[serde(default)]
    pub bundled: bool,
    /// What runs from this file.
    pub running: Option<Running>,
    /// Why the file, as it is now, is not what runs.
    pub refused: Option<Refusal>,
    /// What runs is suspended: it has failed again and again.
    #[serde(default)]
    pub suspended: Option<Suspended>,
    /// Somebody has paused what runs: since when, and why. The registry itself does not know.
    #[serde(default)]
    pub paused: Option<String>,
    /// What runs is not what the file holds: an earlier version, until the file changes.
    #[serde(default)]
    pub rolled_back: Option<Rollback>,
    /// What the load of what runs changed for routes: those that picked another converter, or another version, before.
    #[serde(default)]
    pub picks: Vec<String>,
}

/// A running version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Running {
    /// The converter's name.
    pub name: String,
    /// The converter's own version.
    pub version: String,
    /// The SHA-256 of its file when it was loaded, in lower hex.
    pub digest: String,
    /// The size of its file in bytes.
    pub size: u64,
    /// When it was loaded, as RFC 3339 in UTC.
    pub loaded_at: String,
    /// What it has a use for beyond its input, its output, its log and its metrics; whether it reaches that, the configuration says.
    pub capabilities: Capabilities,
    /// What the converter says it does.
    pub description: String,
    /// The name of the trusted key that signed its file.
    #[serde(default)]
    pub signed_by: Option<String>,
}

/// Why a file is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// What is wrong, and what to do.
    pub reason: String,
    /// When it was refused, as RFC 3339 in UTC.
    pub at: String,
}

impl From<&Plugin> for Running {
    fn from(plugin: &Plugin) -> Running {
        Running {
            name: plugin.descriptor.name.clone(),
            version: plugin.descriptor.version.clone(),
            digest: plugin.digest.clone(),
            size: plugin.size,
            loaded_at: plugin.loaded_at.to_string(),
            capabilities: plugin.converter.asked().clone(),
            description: plugin.descriptor.description.clone(),
            signed_by: plugin.signed_by.clone(),
        }
    }
}

/// The plugins that run now.
#[derive(Debug, Default)]
pub struct Registry {
    present: ArcSwap<Present>,
    suspensions: Suspensions,
    /// What is said of the loads of the plugins that run, by their names.
    picks: Mutex<BTreeMap<String, Vec<String>>>,
}

/// One state of the registry, replaced as a whole.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) by_name: BTreeMap<String, Arc<Plugin>>,
    pub(super) status: Vec<PluginStatus>,
}

impl Registry {
    /// A registry of one plugin, which never changes.
    pub fn of(plugin: Plugin) -> Registry {
        let registry = Registry::default();
        let by_name = BTreeMap::from([(plugin.descriptor.name.clone(), Arc::new(plugin))]);
        registry.replace(Present { by_name, status: Vec::new() });
        registry
    }

    /// The plugin of a name.
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.present.load().by_name.get(name).cloned()
    }

    /// All plugins, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Plugin>> {
        self.present.load().by_name.values().cloned().collect()
    }

    /// Whether no plugin runs.
    pub fn is_empty(&self) -> bool {
        self.present.load().by_name.is_empty()
    }

    /// Every file of the plugins folder, in the order of their names, with what runs from it and why it is refused.
    pub fn status(&self) -> Vec<PluginStatus> {
        let mut status = self.present.load().status.clone();
        let picks = self.picks.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &mut status {
            file.picks = file.running.as_ref().and_then(|running| picks.get(&running.name)).cloned().unwrap_or_default();
            file.suspended = file.running.as_ref().and_then(|running| self.suspensions.get(&running.name, &running.digest));
        }
        status
    }

    /// Notes what the change of some plugins changed for routes, by the plugin that is picked now. What was noted of those before is gone.
    pub fn note_picks(&self, changed: &BTreeSet<&str>, picks: BTreeMap<String, Vec<String>>) {
        let mut noted = self.picks.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|name, _| !changed.contains(name.as_str()) && self.get(name).is_some());
        noted.extend(picks);
    }

    /// Which of the plugins are suspended. None ever is, until a policy is set.
    pub fn suspensions(&self) -> &Suspensions {
        &self.suspensions
    }

    pub(super) fn replace(&self, present: Present) {
        self.suspensions.keep(|name| present.by_name.get(name).map(|plugin| plugin.digest.clone()));
        self.present.store(Arc::new(present));
    }
}
