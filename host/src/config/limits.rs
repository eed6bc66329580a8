//! What one conversion may use, and what loading a plugin may use. The descriptions of the keys hold the reasons for their defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sandbox::Limits;

/// Makes the limits, and the same with every key optional: what a converter or a route sets for itself.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ #[schemars($($range:tt)*)] $name:ident: $type:ty,)*) => {
        /// What one conversion may use. A conversion that hits a limit fails with an error type that names it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct LimitsConfig {
            $($(#[doc = $doc])+ #[schemars($($range)*)] pub $name: $type,)*
        }

        /// Limits of a converter's or a route's own. A limit that is absent is the general one.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct LimitsOverrides {
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars($($range)*)]
                pub $name: Option<$type>,
            )*
        }

        impl LimitsOverrides {
            /// `base` with what is set here in its place.
            pub fn apply(&self, base: &LimitsConfig) -> LimitsConfig {
                LimitsConfig { $($name: self.$name.unwrap_or(base.$name),)* }
            }
        }
    };
}

limits! {
    /// Seconds from the start of a conversion to its end, waiting for the disk included. 300 because the largest files that stations
    /// write convert in a tenth of it, and because a worker that spins is lost to others for no longer.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    wall_seconds: f64,
    /// Bytes of memory, all linear memories of a converter together. 256 MiB because converters stream: they need a few buffers, and those in
    /// Python or JavaScript some 30 MiB of runtime. Multiplied by `workers` it is what conversions may take of the machine.
    #[schemars(range(min = 65_536))]
    memory_bytes: u64,
    /// Core instances of one converter. 256 because one from Rust has 4, and one from Python, which links every native library as a module of
    /// its own, about 40.
    #[schemars(range(min = 1))]
    instances: u32,
    /// Linear memories of one converter. 16 because a converter has one, and a composition one for each of its parts; each reserves
    /// address space.
    #[schemars(range(min = 1))]
    memories: u32,
    /// Tables of one converter. 256 because each core instance may have one.
    #[schemars(range(min = 1))]
    tables: u32,
    /// Elements of all tables of a converter together. 262,144 because the function table of an interpreter has some ten thousand; one takes 8
    /// bytes outside of `memory_bytes`.
    #[schemars(range(min = 1))]
    table_elements: u64,
    /// Bytes of all documents together. 4 GiB because documents are seldom larger than their file, and because they wait on the disk of
    /// `state_dir`.
    #[schemars(range(min = 1))]
    output_bytes: u64,
    /// Number of documents. 10,000 because one file holds one test report, or a day of them; each costs a file and its sync.
    #[schemars(range(min = 1))]
    documents: u32,
    /// Documents and inputs that are open at the same time. 10,000 because converters in JavaScript never close one, so that it must not
    /// be less than `documents`.
    #[schemars(range(min = 1))]
    handles: u32,
    /// Lines of log that are kept; the others are counted. 10,000 because nobody reads more about one file.
    #[schemars(range(min = 0))]
    log_lines: u32,
    /// Bytes of log that are kept. 1 MiB because the log of the daemon has all of them.
    #[schemars(range(min = 0))]
    log_bytes: u64,
    /// Series of the converter's own metrics that one conversion may touch; the others are ignored. 1,000 because more means that a label
    /// holds data, such as a serial number.
    #[schemars(range(min = 0))]
    metric_series: u32,
    /// Problems that are kept; the others are counted. 1,000 because they are in the sidecar, which people read.
    #[schemars(range(min = 1))]
    problems: u32,
    /// Bytes of the input. A larger file is not converted. 16 GiB because reading it takes a minute or two from a fast disk.
    #[schemars(range(min = 1))]
    input_bytes: u64,
    /// Questions to the upstream server, where they are granted. 100 because a report has one part number and one operation code to be checked,
    /// and a panel some dozens of them.
    #[schemars(range(min = 0))]
    lookups: u32,
    /// Bytes of the answers to them. 16 MiB because an answer is a record and no file.
    #[schemars(range(min = 0))]
    lookup_bytes: u64,
    /// Seconds of waiting for those answers. 60 because a server that needs longer holds up a worker and is asked again later.
    #[schemars(extend("minimum" = 0, "maximum" = 31_536_000))]
    lookup_seconds: f64,
    /// Bytes that may go from the converter to the host in one call. 128 MiB because converters that know nothing of streaming write a
    /// document in one piece; for a moment the host may hold three times as much outside of `memory_bytes`.
    #[schemars(range(min = 65_536))]
    call_bytes: u64,
    /// Seconds that a converter may take to say whether a file is its own. 2 because it sees 64 KiB, and every converter of an `auto` route is
    /// asked for every file.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3_600))]
    probe_seconds: f64,
    /// Bytes of memory while it does. 256 MiB because an interpreter needs no less to answer than to convert.
    #[schemars(range(min = 65_536))]
    probe_memory_bytes: u64,
}

/// What loading one plugin may use. A plugin that hits a limit is refused, and the version that ran goes on running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoadingConfig {
    /// Bytes of a plugin's file. 128 MiB because a whole Python runtime has 18 MB, and because the compiler holds the file in memory.
    #[schemars(range(min = 1))]
    pub file_bytes: u64,
    /// Seconds that compiling may take. 60 because 18 MB of Python take 5 on two cores, and because a file of 40 kB can be made that would
    /// take hours.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 86_400))]
    pub compile_seconds: f64,
    /// Bytes of address space of the process that compiles. 4 GiB because 18 MB of Python take a fraction of it, threads and allocator
    /// included. On Windows there is no such limit.
    #[schemars(range(min = 268_435_456))]
    pub compile_memory_bytes: u64,
    /// Bytes of the compiled code of one plugin. 1 GiB because code is four to eight times as large as the plugin, which has 128 MiB.
    #[schemars(range(min = 1))]
    pub compiled_bytes: u64,
    /// Seconds that a converter may take to say what it is. 1 because it answers from constants, and because it is asked at every start.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3_600))]
    pub describe_seconds: f64,
    /// Bytes of memory while it does. 64 MiB because an interpreter starts with some 30.
    #[schemars(range(min = 65_536))]
    pub describe_memory_bytes: u64,
}

impl Default for LimitsConfig {
    /// The sandbox's own defaults, which `wit/` promises to authors of converters.
    fn default() -> Self {
        let (limits, probe) = (Limits::default(), Limits::for_probe());
        LimitsConfig {
            wall_seconds: limits.wall_time.as_secs_f64(),
            memory_bytes: limits.memory_bytes,
            instances: limits.instances,
            memories: limits.memories,
            tables: limits.tables,
            table_elements: limits.table_elements,
            output_bytes: limits.output_bytes,
            documents: limits.documents,
            handles: limits.handles,
            log_lines: limits.log_lines,
            log_bytes: limits.log_bytes,
            metric_series: limits.metric_series,
            problems: limits.problems,
            input_bytes: limits.input_bytes,
            lookups: limits.lookups,
            lookup_bytes: limits.lookup_bytes,
            lookup_seconds: limits.lookup_time.as_secs_f64(),
            call_bytes: limits.call_bytes,
            probe_seconds: probe.wall_time.as_secs_f64(),
            probe_memory_bytes: probe.memory_bytes,
        }
    }
}

impl Default for LoadingConfig {
    fn default() -> Self {
        let describe = Limits::for_describe();
        LoadingConfig {
            file_bytes: 128 << 20,
            compile_seconds: 60.0,
            compile_memory_bytes: 4 << 30,
            compiled_bytes: 1 << 30,
            describe_seconds: describe.wall_time.as_secs_f64(),
            describe_memory_bytes: describe.memory_bytes,
        }
    }
}

impl LimitsConfig {
    /// The limits of `convert` as the sandbox takes them.
    pub fn to_limits(&self) -> Limits {
        Limits {
            wall_time: time(self.wall_seconds, Limits::default().wall_time),
            memory_bytes: self.memory_bytes,
            instances: self.instances,
            memories: self.memories,
            tables: self.tables,
            table_elements: self.table_elements,
            output_bytes: self.output_bytes,
            documents: self.documents,
            handles: self.handles,
            log_lines: self.log_lines,
            log_bytes: self.log_bytes,
            metric_series: self.metric_series,
            problems: self.problems,
            input_bytes: self.input_bytes,
            lookups: self.lookups,
            lookup_bytes: self.lookup_bytes,
            lookup_time: time(self.lookup_seconds, Limits::default().lookup_time),
            call_bytes: self.call_bytes,
        }
    }

    /// The limits of `probe`: time and memory of its own, and the shape that the component may have in any case.
    pub fn to_probe_limits(&self) -> Limits {
        let probe = Limits::for_probe();
        Limits {
            wall_time: time(self.probe_seconds, probe.wall_time),
            memory_bytes: self.probe_memory_bytes,
            instances: self.instances,
            memories: self.memories,
            tables: self.tables,
            table_elements: self.table_elements,
            ..probe
        }
    }
}

impl LoadingConfig {
    /// How long compiling may take.
    pub fn compile_time(&self) -> Duration {
        time(self.compile_seconds, Duration::from_secs(60))
    }

    /// The limits of `describe`. Which converter it is and which limits it has is known only afterwards, so that it may have the shape that
    /// any converter may.
    pub fn to_describe_limits(&self, conversions: &[LimitsConfig]) -> Limits {
        let describe = Limits::for_describe();
        let mut limits =
            Limits { wall_time: time(self.describe_seconds, describe.wall_time), memory_bytes: self.describe_memory_bytes, ..describe };
        for one in conversions {
            limits.instances = limits.instances.max(one.instances);
            limits.memories = limits.memories.max(one.memories);
            limits.tables = limits.tables.max(one.tables);
            limits.table_elements = limits.table_elements.max(one.table_elements);
        }
        limits
    }
}

/// A configuration that was loaded is valid here; one made by hand may not be, and must not panic.
fn time(seconds: f64, default: Duration) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_sandboxs() {
        assert_eq!(LimitsConfig::default().to_limits(), Limits::default());
        assert_eq!(LimitsConfig::default().to_probe_limits(), Limits::for_probe());
        assert_eq!(LoadingConfig::default().to_describe_limits(&[LimitsConfig::default()]), Limits::for_describe());
    }

    #[test]
    fn only_what_is_set_is_overridden() {
        let overrides = LimitsOverrides { wall_seconds: Some(1.5), documents: Some(3), ..LimitsOverrides::default() };
        let limits = overrides.apply(&LimitsConfig::default()).to_limits();
        assert_eq!(limits, Limits { wall_time: Duration::from_millis(1500), documents: 3, ..Limits::default() });
    }

    #[test]
    fn a_converter_may_be_described_in_the_shape_that_its_own_limits_allow() {
        let wide = LimitsConfig { memories: 40, ..LimitsConfig::default() };
        let limits = LoadingConfig::default().to_describe_limits(&[LimitsConfig::default(), wide]);
        assert_eq!(limits, Limits { memories: 40, ..Limits::for_describe() });
    }
}
