//! What one conversion may use.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sandbox::Limits;

/// What one conversion may use. A conversion that hits a limit fails with an error type that names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Seconds from the start of a conversion to its end, waiting included.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub wall_seconds: f64,
    /// Bytes of memory.
    #[schemars(range(min = 65_536))]
    pub memory_bytes: u64,
    /// Bytes of all documents together.
    #[schemars(range(min = 1))]
    pub output_bytes: u64,
    /// Number of documents.
    #[schemars(range(min = 1))]
    pub documents: u32,
    /// Documents and inputs that are open at the same time.
    #[schemars(range(min = 1))]
    pub handles: u32,
    /// Lines of log that are kept; the others are counted.
    pub log_lines: u32,
    /// Bytes of log that are kept.
    pub log_bytes: u64,
    /// Problems that are kept; the others are counted.
    #[schemars(range(min = 1))]
    pub problems: u32,
    /// Bytes of the input. A larger file is not converted.
    #[schemars(range(min = 1))]
    pub input_bytes: u64,
    /// Questions to the upstream server, where they are granted.
    pub lookups: u32,
    /// Bytes of the answers to them.
    pub lookup_bytes: u64,
    /// Seconds of waiting for those answers.
    #[schemars(extend("minimum" = 0, "maximum" = 31_536_000))]
    pub lookup_seconds: f64,
}

/// A route's own limits. A limit that is absent is the general one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsOverrides {
    /// Seconds from the start of a conversion to its end, waiting included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub wall_seconds: Option<f64>,
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536))]
    pub memory_bytes: Option<u64>,
    /// Bytes of all documents together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub output_bytes: Option<u64>,
    /// Number of documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub documents: Option<u32>,
    /// Documents and inputs that are open at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub handles: Option<u32>,
    /// Lines of log that are kept; the others are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u32>,
    /// Bytes of log that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Problems that are kept; the others are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub problems: Option<u32>,
    /// Bytes of the input. A larger file is not converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub input_bytes: Option<u64>,
    /// Questions to the upstream server, where they are granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookups: Option<u32>,
    /// Bytes of the answers to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_bytes: Option<u64>,
    /// Seconds of waiting for those answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 31_536_000))]
    pub lookup_seconds: Option<f64>,
}

impl Default for LimitsConfig {
    /// The sandbox's own defaults, which `wit/` promises to authors of converters.
    fn default() -> Self {
        let limits = Limits::default();
        LimitsConfig {
            wall_seconds: limits.wall_time.as_secs_f64(),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
            documents: limits.documents,
            handles: limits.handles,
            log_lines: limits.log_lines,
            log_bytes: limits.log_bytes,
            problems: limits.problems,
            input_bytes: limits.input_bytes,
            lookups: limits.lookups,
            lookup_bytes: limits.lookup_bytes,
            lookup_seconds: limits.lookup_time.as_secs_f64(),
        }
    }
}

impl LimitsConfig {
    /// The limits as the sandbox takes them. What is not configurable has the sandbox's default.
    pub fn to_limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            // A configuration that was loaded is valid here; one made by hand may not be, and must not panic.
            wall_time: Duration::try_from_secs_f64(self.wall_seconds).unwrap_or(default.wall_time),
            memory_bytes: self.memory_bytes,
            output_bytes: self.output_bytes,
            documents: self.documents,
            handles: self.handles,
            log_lines: self.log_lines,
            log_bytes: self.log_bytes,
            problems: self.problems,
            input_bytes: self.input_bytes,
            lookups: self.lookups,
            lookup_bytes: self.lookup_bytes,
            lookup_time: Duration::try_from_secs_f64(self.lookup_seconds).unwrap_or(default.lookup_time),
            ..default
        }
    }
}

impl LimitsOverrides {
    /// `base` with what is set here in its place.
    pub fn apply(&self, base: &LimitsConfig) -> LimitsConfig {
        LimitsConfig {
            wall_seconds: self.wall_seconds.unwrap_or(base.wall_seconds),
            memory_bytes: self.memory_bytes.unwrap_or(base.memory_bytes),
            output_bytes: self.output_bytes.unwrap_or(base.output_bytes),
            documents: self.documents.unwrap_or(base.documents),
            handles: self.handles.unwrap_or(base.handles),
            log_lines: self.log_lines.unwrap_or(base.log_lines),
            log_bytes: self.log_bytes.unwrap_or(base.log_bytes),
            problems: self.problems.unwrap_or(base.problems),
            input_bytes: self.input_bytes.unwrap_or(base.input_bytes),
            lookups: self.lookups.unwrap_or(base.lookups),
            lookup_bytes: self.lookup_bytes.unwrap_or(base.lookup_bytes),
            lookup_seconds: self.lookup_seconds.unwrap_or(base.lookup_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_sandboxs() {
        assert_eq!(LimitsConfig::default().to_limits(), Limits::default());
    }

    #[test]
    fn a_route_overrides_only_what_it_sets() {
        let overrides = LimitsOverrides { wall_seconds: Some(1.5), documents: Some(3), ..LimitsOverrides::default() };
        let limits = overrides.apply(&LimitsConfig::default()).to_limits();
        assert_eq!(limits, Limits { wall_time: Duration::from_millis(1500), documents: 3, ..Limits::default() });
    }
}
