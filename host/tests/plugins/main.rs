//! Plugins with real components, the real sandbox and the real compiling process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod compatibility;
mod folder;
mod guest;
mod load;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use dropforge::sandbox::Sandbox;

/// A sandbox, whose plugins the real binary compiles.
fn sandbox() -> Arc<Sandbox> {
    LazyLock::force(&COMPILER);
    Arc::new(Sandbox::new().unwrap())
}

/// The folder where every start of the compiling process leaves a line: the digest of what it compiled.
static COMPILER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_dropforge"));
    #[cfg(unix)]
    let binary = {
        use std::os::unix::fs::PermissionsExt;
        let script = folder.path().join("compiler");
        let log = folder.path().join("log");
        std::fs::write(&script, format!("#!/bin/sh\necho \"$2\" >> '{}'\nexec '{}' \"$@\"\n", log.display(), binary.display())).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script
    };
    dropforge::plugins::set_compiler(binary);
    folder
});

/// How often a plugin was compiled since these tests began.
#[cfg(unix)]
fn times_compiled(plugin: &[u8]) -> usize {
    let digest = dropforge::digest::sha256_hex(plugin);
    std::fs::read_to_string(COMPILER.path().join("log")).unwrap_or_default().lines().filter(|line| *line == digest).count()
}

/// Waits for a condition; the time only ends a test that has failed.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for ever until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
