//! Finds a Rust toolchain that can build converters for `wasm32-unknown-unknown`, and says what to install where there is none. It knows
//! nothing of plugins.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What converters are built for: no operating system, so the component imports nothing but the contract.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler has no standard library for WebAssembly; it comes as source, and is built with the converter.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-19";

/// Why nothing can be built.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// No toolchain has what it takes.
    #[error(
        "no Rust toolchain here can build WebAssembly: run `rustup target add {TARGET}`, or on Debian \
         `apt-get install rustc-web cargo-web rust-web-src lld-19`"
    )]
    Missing,
}

/// A toolchain that can build converters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that `cargo` and `rustc` stand for, with the target installed (by rustup, in most cases).
    Active {
        /// The `cargo` to run.
        cargo: OsString,
    },
    /// Debian's, with the standard library's source.
    Debian,
}

impl Toolchain {
    /// Finds a toolchain for a crate in `folder`, whose `rust-toolchain.toml` counts.
    ///
    /// # Errors
    /// [`ToolchainError::Missing`], which says what to install.
    pub fn find(folder: &Path) -> Result<Toolchain, ToolchainError> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if sysroot(&rustc, folder).is_ok_and(|sysroot| has_target(&sysroot)) {
            return Ok(Toolchain::Active { cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()) });
        }
        let installed = [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER].iter().all(|tool| Path::new(tool).exists());
        if installed && sysroot(DEBIAN_RUSTC.as_ref(), folder).is_ok_and(|sysroot| has_source(&sysroot)) {
            return Ok(Toolchain::Debian);
        }
        Err(ToolchainError::Missing)
    }

    /// `cargo`, with the environment that it needs to be this toolchain.
    pub fn cargo(&self) -> Command {
        match self {
            Toolchain::Active { cargo } => Command::new(cargo),
            Toolchain::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                let path = std::env::var_os("PATH").unwrap_or_default();
                let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
                command
                    .env("PATH", std::env::join_paths(folders).unwrap_or(path))
                    .env("RUSTC", DEBIAN_RUSTC)
                    // Building the standard library is an unstable feature of a stable compiler.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19")
                    // What a cargo of another toolchain set for the programs that it runs.
                    .env_remove("CARGO")
                    .env_remove("RUSTDOC")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("LD_LIBRARY_PATH");
                command
            }
        }
    }

    /// What `cargo build` needs besides the target.
    pub fn build_arguments(&self) -> &'static [&'static str] {
        match self {
            Toolchain::Active { .. } => &[],
            Toolchain::Debian => &["-Z", "build-std=std,panic_abort"],
        }
    }

    /// For people: which one it is.
    pub fn name(&self) -> &'static str {
        match self {
            Toolchain::Active { .. } => "the active Rust toolchain",
            Toolchain::Debian => "Debian's rustc-web",
        }
    }
}

/// Where `rustc`, run in `folder`, has its libraries.
fn sysroot(rustc: &std::ffi::OsStr, folder: &Path) -> io::Result<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(folder).output()?;
    if !output.status.success() {
        return Err(io::Error::other("rustc failed"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}

fn has_target(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sysroot_is_judged_by_what_is_in_it() {
        let sysroot = tempfile::tempdir().unwrap();
        assert!(!has_target(sysroot.path()) && !has_source(sysroot.path()));
        std::fs::create_dir_all(sysroot.path().join("lib/rustlib/wasm32-unknown-unknown/lib")).unwrap();
        assert!(has_target(sysroot.path()));
        let std = sysroot.path().join("lib/rustlib/src/rust/library/std");
        std::fs::create_dir_all(&std).unwrap();
        std::fs::write(std.join("Cargo.toml"), "").unwrap();
        assert!(has_source(sysroot.path()));
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_install() {
        let message = ToolchainError::Missing.to_string();
        assert!(
            message.contains("rustup target add wasm32-unknown-unknown") && message.contains("rustc-web cargo-web rust-web-src lld-19")
        );
    }
}
