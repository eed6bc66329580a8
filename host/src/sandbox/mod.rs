//! Runs converters: engine, limits, host functions, WASI stand-ins. It knows nothing of queues, folders or configuration.

// In these private modules `pub` means: for the rest of the sandbox. What others see is re-exported here.
#![allow(unreachable_pub)]

mod bindings;
mod call;
mod capability;
mod documents;
mod engine;
mod error;
mod from_guest;
mod host;
mod input;
mod limits;
mod link;
mod log;
mod lookup;
mod media_type;
mod metrics;
mod problems;
mod source;
mod state;
mod text;
mod types;
mod wasi;
mod wasi_clocks;
mod wasi_random;

pub use call::Converter;
pub use capability::{Access, Capabilities, Capability, Lookup, LookupError, LookupResponse};
pub use engine::{MAX_WASM_STACK, Sandbox, THREAD_STACK, compile, engine_config};
pub use error::SandboxError;
pub use limits::MemoryLimitExceeded;
pub use media_type::is_valid as is_media_type;
pub use source::{FileSource, MemorySource};
pub use types::*;
pub use wasi::INTERFACES as WASI_INTERFACES;
