//! Where the log goes besides standard error.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log in a file, besides standard error: the same lines, in the format that `--log-format` names. The file is bounded, and so is how many
/// of them are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The file. When it is full, it becomes `NAME.1`, what was that becomes `NAME.2`, and so on. Without it, the log goes to standard error
    /// alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How many bytes it may have.
    #[schemars(range(min = 65536))]
    pub max_file_bytes: u64,
    /// How many files are kept, together with the one that is written.
    #[schemars(range(min = 1, max = 1000))]
    pub max_files: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { file: None, max_file_bytes: 10 << 20, max_files: 5 }
    }
}
