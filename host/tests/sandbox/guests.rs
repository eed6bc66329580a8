//! Builds the guests under `tests/guests` with whichever wasm-capable Rust toolchain is there, once in a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
/// One build at a time: they share a target folder.
static BUILDING: Mutex<()> = Mutex::new(());

/// The component of the guest crate `tests/guests/<name>`.
pub fn component(name: &str) -> Vec<u8> {
    let module = std::fs::read(build(name)).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

fn build(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests").join(name);
    let target =
        std::env::var_os("DROPFORGE_GUEST_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"), PathBuf::from);
    let _guard = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let status = cargo()
        .args(["build", "--release", "--target", TARGET])
        .args(extra_arguments())
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", &target)
        .status();
    assert!(status.unwrap().success(), "the guest `{name}` does not build");
    target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")))
}

/// Has the toolchain that runs this test the target?
fn has_target() -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn cargo() -> Command {
    if has_target() {
        return Command::new("cargo");
    }
    let linker = "/usr/bin/wasm-ld-19";
    assert!(
        Path::new(linker).exists(),
        "no Rust toolchain can build for {TARGET}: run `rustup target add {TARGET}`, or `cargo xtask test`, which sets one up"
    );
    // Debian's compiler can build the standard library for the target from its source package.
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    // What the cargo that runs this test set for itself.
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "RUSTC_WRAPPER"] {
        cargo.env_remove(variable);
    }
    cargo
}

fn extra_arguments() -> &'static [&'static str] {
    if has_target() { &[] } else { &["-Z", "build-std=std,panic_abort"] }
}
