//! `cargo xtask test`: everything that must pass, in the order in which it fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build, dependencies, dist, setup, term, windows};

/// Runs all of it, and stops at the first thing that fails.
///
/// # Errors
/// What failed.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let start = Instant::now();
    let mut took = Vec::new();
    let mut timed = |name: &'static str, work: &dyn Fn() -> Result<()>| {
        let start = Instant::now();
        let result = work();
        took.push((name, start.elapsed()));
        result
    };
    timed("setup", &|| setup::all(workspace))?;
    timed("format", &|| format(workspace))?;
    timed("lints", &|| {
        term::section("lints");
        term::command("clippy", &mut workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    timed("Windows", &|| windows::check(workspace))?;
    timed("dependencies", &|| dependencies::check(workspace))?;
    timed("build", &|| build::all(workspace))?;
    timed("packages", &|| dist::run(workspace, &["--profile", "dev", "--twice"]))?;
    timed("Wine", &|| windows::prepare_if_asked(workspace))?;
    timed("tests", &|| tests(workspace, arguments))?;

    term::section("everything passed");
    for (name, duration) in took {
        term::say(format!("{name:<13}{:>11}", term::seconds(duration)));
    }
    term::say(term::bold(format!("{:<10}{:>14}", "in all", term::seconds(start.elapsed()))));
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    term::section("format");
    term::command("workspace", &mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    // Guests are no members: they are built for WebAssembly alone.
    for folder in build::crates(&workspace.root.join("tests").join("guests"))? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let manifest = folder.join("Cargo.toml");
        term::command(&format!("guest {name}"), workspace.cargo(&["fmt", "--check", "--manifest-path"]).arg(manifest))?;
    }
    Ok(())
}

/// The tests find the binary, the plugins and Python in the target folder.
fn tests(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    term::section("unit, doc and end-to-end tests");
    let mut command = workspace.cargo(&["test", "--workspace"]);
    command.args(arguments).env("PATH", workspace.path());
    term::command("tests", &mut command)
}
