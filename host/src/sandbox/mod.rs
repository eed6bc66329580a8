//! Runs converters: engine, limits, host functions, WASI stand-ins. It knows nothing of queues, folders or configuration.

mod types;

pub use types::*;
