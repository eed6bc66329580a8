//! Whose plugins are loaded.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of a plugin's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignaturePolicy {
    /// Nothing: signatures are not looked at.
    #[default]
    Off,
    /// A plugin without a good signature is loaded, and that is said.
    Warn,
    /// A plugin without a good signature is not loaded.
    Require,
}

/// Signatures of plugins. Beside `NAME.wasm` lies `NAME.wasm.sig`, which `dropforge plugin sign` makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignaturesConfig {
    /// What is asked of a plugin's signature.
    pub policy: SignaturePolicy,
    /// The folder of the public keys that are trusted: its files that end in `.pub`, as `dropforge plugin keygen` makes them. Whoever can
    /// write there decides which plugins run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_keys: Option<PathBuf>,
}
