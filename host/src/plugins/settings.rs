//! What loading plugins depends on besides the plugins.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use crate::config::{Config, Grants, SignaturePolicy};

use super::bundled::{self, Bundled};
use super::compiled::COMPILED_FOLDER;
use super::limits::LoadLimits;
use super::versions::VERSIONS_FOLDER;

/// Where plugins are kept, and what is asked of them.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// The private cache of compiled plugins.
    pub compiled_dir: PathBuf,
    /// The folder of earlier versions and rollbacks; none where there are none.
    pub versions_dir: Option<PathBuf>,
    /// The plugins inside this program that are loaded as well.
    pub bundled: Vec<Bundled>,
    /// What is asked of signatures.
    pub signatures: SignaturePolicy,
    /// The folder of trusted keys.
    pub trusted_keys: Option<PathBuf>,
    /// What the configuration lets converters reach.
    pub grants: Grants,
    /// What loading one may use.
    pub limits: LoadLimits,
    /// How many files are loaded at a time.
    pub parallel: usize,
}

/// Files loaded at a time where the machine has other work.
const BESIDE_WORK: usize = 2;

/// The most at a time where somebody waits for it.
const MOST_AT_ONCE: usize = 8;

impl LoadSettings {
    /// What a configuration says, for somebody who waits.
    pub fn of(config: &Config) -> LoadSettings {
        LoadSettings {
            compiled_dir: config.state_dir.join(COMPILED_FOLDER),
            versions_dir: Some(config.state_dir.join(VERSIONS_FOLDER)),
            bundled: if config.bundled_plugins { bundled::all().to_vec() } else { Vec::new() },
            signatures: config.signatures.policy,
            trusted_keys: config.signatures.trusted_keys.clone(),
            grants: config.grants(),
            limits: LoadLimits::of(config),
            parallel: thread::available_parallelism().map_or(BESIDE_WORK, NonZeroUsize::get).min(MOST_AT_ONCE),
        }
    }

    /// The same for a daemon, which works meanwhile.
    pub fn of_daemon(config: &Config) -> LoadSettings {
        LoadSettings { parallel: BESIDE_WORK, ..LoadSettings::of(config) }
    }
}

/// A place for compiled code, and nothing else: no earlier versions, nothing bundled, no signatures, and nothing granted; as many at a time as
/// in a daemon.
impl From<&Path> for LoadSettings {
    fn from(compiled_dir: &Path) -> LoadSettings {
        LoadSettings {
            compiled_dir: compiled_dir.to_owned(),
            versions_dir: None,
            bundled: Vec::new(),
            signatures: SignaturePolicy::Off,
            trusted_keys: None,
            grants: Grants::default(),
            limits: LoadLimits::default(),
            parallel: BESIDE_WORK,
        }
    }
}

impl From<&PathBuf> for LoadSettings {
    fn from(compiled_dir: &PathBuf) -> LoadSettings {
        compiled_dir.as_path().into()
    }
}

impl From<PathBuf> for LoadSettings {
    fn from(compiled_dir: PathBuf) -> LoadSettings {
        compiled_dir.as_path().into()
    }
}
