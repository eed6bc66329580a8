//! When a converter that fails again and again is left alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a converter is suspended that fails again and again. Only traps and limits count (`trap`, `timeout`, `memory_limit`,
/// `output_limit`): they are defects of the converter, whatever the file. While it is suspended, its files wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuspensionConfig {
    /// How many conversions in a row must end so; 0 for never. Five files that each break a good converter, one right after the other, are
    /// less likely than one converter that is broken; and with the default time limit they have cost a worker 25 minutes.
    pub after_failures: u32,
    /// How many seconds the first suspension lasts; then one file is tried. Each suspension that follows is twice as long.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub first_seconds: f64,
    /// How many seconds a suspension lasts at most.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub longest_seconds: f64,
}

impl Default for SuspensionConfig {
    fn default() -> Self {
        SuspensionConfig { after_failures: 5, first_seconds: 30.0, longest_seconds: 3600.0 }
    }
}
