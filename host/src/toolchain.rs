//! Finds a Rust toolchain that can build plugins.
