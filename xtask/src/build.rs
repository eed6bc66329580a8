//! Builds the host, the bundled plugins, and the guests of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{languages, term};

/// Builds all that end-to-end tests run.
///
/// # Errors
/// Where any of it does not build.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    term::section("build");
    host(workspace)?;
    plugins(workspace, "debug")?;
    guests(workspace)
}

/// Builds the host as the tests run it. The same command builds for the demo and for what is released, so that one cold build serves all: with
/// `-p dropforge` cargo would choose other features of the dependencies, and build many of them a second time.
///
/// # Errors
/// Where cargo fails.
pub(crate) fn host(workspace: &Workspace) -> Result<()> {
    term::command("host", &mut workspace.cargo(&["build", "--workspace", "--bin", "dropforge"]))
}

/// Builds every crate in `plugins/`, with the binary of a profile.
///
/// # Errors
/// Where `dropforge plugin build` fails.
pub(crate) fn plugins(workspace: &Workspace, profile: &str) -> Result<()> {
    for folder in crates(&workspace.root.join("plugins"))? {
        plugin(workspace, profile, &folder)?;
    }
    Ok(())
}

/// Builds the guests that end-to-end tests run; tests of the host build the others, some of which are no converters on purpose.
///
/// # Errors
/// Where `dropforge plugin build` fails.
pub(crate) fn guests(workspace: &Workspace) -> Result<()> {
    let guests = workspace.root.join("tests").join("guests");
    ["copy", "lookup-guest", "misbehave", "probe-guest"].iter().try_for_each(|name| plugin(workspace, "debug", &guests.join(name)))?;
    languages::build(workspace)
}

/// Builds one guest of the tests, with the binary of a profile.
///
/// # Errors
/// Where `dropforge plugin build` fails.
pub(crate) fn guest(workspace: &Workspace, profile: &str, name: &str) -> Result<()> {
    plugin(workspace, profile, &workspace.root.join("tests").join("guests").join(name))
}

/// Builds one plugin.
///
/// # Errors
/// Where `dropforge plugin build` fails.
pub(crate) fn plugin(workspace: &Workspace, profile: &str, folder: &Path) -> Result<()> {
    let into = workspace.plugins();
    fs::create_dir_all(&into).with_context(|| format!("cannot create {}", into.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut command = Command::new(workspace.binary(profile));
    command.args(["plugin", "build"]).arg(folder).arg("-o").arg(into.join(format!("{name}.wasm")));
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    // A guest is a workspace of its own: with the same profile as the bundled plugins, it shares their standard library and dependencies.
    command.env("CARGO_PROFILE_RELEASE_LTO", "thin").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "4");
    term::command(&format!("plugin {name}"), &mut command)
}

/// The crates in a folder that may not be there, in the order of their names.
pub(crate) fn crates(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.join("Cargo.toml").is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
