//! Dropforge turns files into documents with sandboxed WebAssembly converters.
//!
//! This crate is the host: the library behind the `dropforge` binary. Imports point one way: `cli` → `doctor` → `daemon` → {`intake`, `worker`,
//! `server`} → {`plugins`, `cache`, `delivery`} → `spans` → {`queue`, `upstream`} → {`sandbox`, `metrics`, `events`,
//! `config`}.

pub mod cache;
pub mod cli;
pub mod config;
mod crash;
pub mod daemon;
pub mod delivery;
pub mod digest;
pub mod doctor;
pub mod events;
pub mod files;
pub mod identity;
pub mod intake;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod plugins;
pub mod queue;
pub mod sandbox;
pub mod server;
mod shown;
pub mod spans;
pub mod tls;
pub mod toolchain;
pub mod trace_context;
pub mod upstream;
pub mod validation;
pub mod worker;

pub use metrics::MetricsCollector;
