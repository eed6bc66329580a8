//! What loading one plugin may use. It knows nothing of how loading is done.

use std::time::Duration;

use crate::config::Config;
use crate::sandbox::Limits;

/// What loading one plugin may use. The configuration's `loading` has the reasons for the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The life of the process that compiles.
    pub compile_time: Duration,
    /// Bytes of that process's address space.
    pub compile_memory_bytes: u64,
    /// Bytes of the compiled code.
    pub compiled_bytes: u64,
    /// What `describe` may use.
    pub describe: Limits,
}

impl LoadLimits {
    /// What a configuration says.
    pub fn of(config: &Config) -> LoadLimits {
        let loading = &config.loading;
        LoadLimits {
            file_bytes: loading.file_bytes,
            compile_time: loading.compile_time(),
            compile_memory_bytes: loading.compile_memory_bytes,
            compiled_bytes: loading.compiled_bytes,
            describe: config.describe_limits(),
        }
    }
}

impl Default for LoadLimits {
    fn default() -> Self {
        LoadLimits::of(&Config::default())
    }
}
