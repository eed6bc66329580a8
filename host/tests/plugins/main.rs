//! Plugins with real components, the real sandbox and the real compiling process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod compatibility;
mod folder;
mod guest;
mod load;

use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use dropforge::sandbox::Sandbox;

/// A sandbox, whose plugins the real binary compiles.
fn sandbox() -> Arc<Sandbox> {
    static COMPILER: Once = Once::new();
    COMPILER.call_once(|| dropforge::plugins::set_compiler(PathBuf::from(env!("CARGO_BIN_EXE_dropforge"))));
    Arc::new(Sandbox::new().unwrap())
}

/// Waits for a condition; the time only ends a test that has failed.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for ever until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
