//! `cargo-deny` holds the dependencies to what `deny.toml` says.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::setup::{quietly, quietly_within};
use crate::term;
use crate::workspace::Workspace;

/// The version that this project works with.
const VERSION: &str = "0.20.2";

/// How long its build may take.
const PATIENCE: Duration = Duration::from_secs(1800);

fn program(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("cargo-deny").join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX))
}

/// Builds it, once for a target folder. Without it, everything else goes on.
///
/// # Errors
/// None.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    term::step("cargo-deny", || {
        let is_there = || {
            quietly(Command::new(program(workspace)).arg("--version"))
                .is_ok_and(|output| output.stdout.ends_with(format!(" {VERSION}\n").as_bytes()))
        };
        if is_there() {
            return Ok(VERSION.into());
        }
        term::progress("building it, which takes some minutes");
        let root = workspace.tools().join("cargo-deny");
        let build = workspace.target.join("cargo-deny-build");
        let mut install = workspace.cargo(&["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--root"]);
        let _ = quietly_within(PATIENCE, install.arg(&root).env("CARGO_TARGET_DIR", &build));
        let _ = std::fs::remove_dir_all(&build);
        Ok(if is_there() {
            format!("{VERSION}, built now")
        } else {
            "it cannot be built here: the dependencies will not be checked".into()
        })
    })
}

/// Checks licences, sources and duplicates; and, where the database of advisories can be had, advisories.
///
/// # Errors
/// Where a dependency is not what it may be.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    term::section("dependencies");
    let program = program(workspace);
    if !program.exists() {
        term::say("cargo-deny is missing: not checked");
        return Ok(());
    }
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&workspace.root).args(["--all-features", "--locked", "check", "--hide-inclusion-graph"]).args(arguments);
        command
    };
    term::command("licences, bans, sources", &mut deny(&["licenses", "bans", "sources"]))?;
    let advisories = quietly(&mut deny(&["advisories"]))?;
    // Without the database, nothing can be said.
    if String::from_utf8_lossy(&advisories.stderr).contains("failed to fetch advisory database") {
        term::say("advisories: the database of RustSec cannot be had from here; not checked");
        return Ok(());
    }
    term::command("advisories", &mut deny(&["advisories"]))
}
