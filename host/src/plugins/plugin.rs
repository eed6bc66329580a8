//! A loaded plugin: what the rest of the host holds while it uses a converter.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::sandbox::{Converter, Descriptor};

use super::compiled::Report;
use super::options::{OptionInfo, Options, OptionsError};
use super::patterns::Patterns;

/// One version of a converter, checked, compiled and described. A job that holds it in an `Arc` finishes on it, whatever happens in the
/// plugins folder.
pub struct Plugin {
    /// What the converter says about itself.
    pub descriptor: Descriptor,
    /// The file's SHA-256 in lower hex: the plugin's identity.
    pub digest: String,
    /// The file that it was loaded from.
    pub path: PathBuf,
    /// The file's size in bytes.
    pub size: u64,
    /// The name of the trusted key that signed it; none where none did, or signatures are not asked for.
    pub signed_by: Option<String>,
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// What runs it.
    pub converter: Converter,
    /// What wrapping and checking found.
    pub report: Report,
    pub(super) options: Options,
    pub(super) patterns: Patterns,
}

impl Plugin {
    /// The options for a conversion: what is configured, checked against the converter's schema, with its defaults filled in, as JSON
    /// text.
    ///
    /// # Errors
    /// What is wrong, by option, and what to do.
    pub fn options(&self, configured: &Map<String, Value>) -> Result<String, OptionsError> {
        self.options.complete(&self.descriptor.name, configured)
    }

    /// Every option, in the order of the names.
    pub fn list_options(&self) -> Vec<OptionInfo> {
        self.options.list()
    }

    /// The value that a person means who writes `text` for the option `name` on a command line.
    pub fn option_from_text(&self, name: &str, text: &str) -> Value {
        self.options.value_of_text(name, text)
    }

    /// How many literal characters the most specific pattern has that matches a file, by its name or its path below the intake; none
    /// where no pattern matches.
    pub fn specificity(&self, name: &str, path: &str) -> Option<usize> {
        self.patterns.specificity(name, path)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.descriptor.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}
