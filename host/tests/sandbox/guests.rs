//! Builds the guests under `tests/guests`, once in a run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dropforge::toolchain::{TARGET, Toolchain};
use wit_component::ComponentEncoder;

static BUILDING: Mutex<()> = Mutex::new(());

/// The component of the guest crate `tests/guests/<name>`, with some of its features.
pub fn component(name: &str, features: &[&str]) -> Vec<u8> {
    // One build at a time: the features of a crate replace each other's file.
    let _guard = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let module = std::fs::read(build(name, features)).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// The core module. `DROPFORGE_GUEST_TARGET_DIR` shares a folder of built guests between checkouts.
fn build(name: &str, features: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests").join(name);
    let own = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let target = std::env::var_os("DROPFORGE_GUEST_TARGET_DIR").map_or_else(own, PathBuf::from);
    let toolchain = Toolchain::find(&folder).unwrap();
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--release", "--target", TARGET, "--features", &features.join(",")]).args(toolchain.build_arguments());
    let status = cargo.current_dir(folder).env("CARGO_TARGET_DIR", &target).status();
    assert!(status.unwrap().success(), "the guest `{name}` does not build");
    target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")))
}
