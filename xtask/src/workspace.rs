//! Where things are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// The folders of the project and of what is built from it.
pub(crate) struct Workspace {
    /// The root of the repository.
    pub root: PathBuf,
    /// Cargo's target folder: the one that this very program was built into.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds both.
    ///
    /// # Errors
    /// Where this program was moved out of the target folder.
    pub(crate) fn find() -> Result<Self> {
        // Cargo's word of now: the folder may have been moved since this program was built.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("xtask stands in no workspace")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let target = program.ancestors().nth(2).context("this program is in no target folder: run it with `cargo xtask`")?;
        Ok(Workspace { root: root.to_owned(), target: target.to_owned() })
    }

    /// `cargo` for the workspace, with the same toolchain and target folder as this program.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // What cargo has told this program of itself. Some build scripts ask to be run again where that changes, so everything above them would be
        // built anew whenever `cargo xtask` and `cargo` take turns.
        let told = std::env::vars_os().map(|(name, _)| name);
        for name in
            told.filter(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes())))
        {
            command.env_remove(name);
        }
        command
    }

    /// The binary of a profile.
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(format!("dropforge{}", std::env::consts::EXE_SUFFIX))
    }

    /// Plugins and guests, built.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The Python environment of the tests that compare.
    pub(crate) fn python(&self) -> PathBuf {
        let venv = self.target.join("venv");
        if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
    }

    /// Programs that were unpacked for this project alone.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// `PATH` with those programs behind everybody's.
    pub(crate) fn path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([self.tools().join("usr").join("bin")]);
        std::env::join_paths(folders).unwrap_or(path)
    }

    /// A program on that `PATH`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        std::env::split_paths(&self.path()).map(|folder| folder.join(&name)).find(|file| file.is_file())
    }
}
