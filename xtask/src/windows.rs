//! Most stations run Windows: whatever changes, the host must compile for it, without a warning. Whether it runs there is another matter; see
//! `docs/windows.md`.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{self, quietly};
use crate::workspace::Workspace;
use crate::{dist, term};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// SQLite and the cryptography have parts in C.
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// Debian's package of it.
const PACKAGE: &str = "gcc-mingw-w64-x86-64";
/// Asks for the tests under Wine, which take a build of their own.
const ASKED: &str = "DROPFORGE_TEST_WINE";

/// Installs what compiling for Windows needs, where that is possible. Without it, everything else goes on.
///
/// # Errors
/// None.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    term::step("Rust for Windows", || {
        if !has_target(workspace) && workspace.program("rustup").is_some() {
            term::progress("installing the target with rustup");
            let _ = quietly(Command::new("rustup").args(["target", "add", TARGET]).current_dir(&workspace.root));
        }
        if workspace.program(COMPILER).is_none() {
            setup::install(workspace, PACKAGE);
        }
        Ok(match is_ready(workspace) {
            true => format!("target {TARGET} of the active toolchain, {COMPILER}"),
            false => "missing: it will not be checked that the host compiles for Windows".into(),
        })
    })
}

/// Compiles the host for Windows, as far as finding every error and warning takes.
///
/// # Errors
/// What does not compile.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    term::section("Windows");
    if !is_ready(workspace) {
        term::say(format!("the target {TARGET} or {COMPILER} is missing: not checked"));
        return Ok(());
    }
    term::command("clippy", &mut workspace.cargo(&["clippy", "-p", "dropforge", "--target", TARGET, "--", "-D", "warnings"]))
}

/// Builds the program for Windows, and has the end-to-end test run it under Wine.
///
/// # Errors
/// What is missing here, does not build, or fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::wasm_section(workspace)?;
    setup(workspace)?;
    prepare(workspace)?;
    let mut tests = workspace.cargo(&["test", "-p", "dropforge-tests", "--test", "wine"]);
    term::command("tests", tests.env(ASKED, "1").env("PATH", workspace.path()))
}

/// Builds what the tests under Wine run, where they are asked for.
///
/// # Errors
/// As [`run`].
pub(crate) fn prepare_if_asked(workspace: &Workspace) -> Result<()> {
    if std::env::var_os(ASKED).is_some_and(|value| !value.is_empty() && value != "0") {
        return prepare(workspace);
    }
    term::say(format!("the tests under Wine are left out: {ASKED}=1 asks for them, and `cargo xtask windows` runs them alone"));
    Ok(())
}

fn prepare(workspace: &Workspace) -> Result<()> {
    term::section("Windows, under Wine");
    term::step("Wine", || {
        let found = || ["wine64", "wine"].iter().find_map(|name| workspace.program(name));
        if found().is_none() {
            setup::install(workspace, "wine64");
            setup::install(workspace, "wine");
        }
        found()
            .map(|program| program.display().to_string())
            .context("it is not here, and cannot be installed: on Debian, `apt-get install wine wine64`")
    })?;
    if !is_ready(workspace) {
        bail!("the target {TARGET} or {COMPILER} is missing: `cargo xtask setup` says why");
    }
    let built = dist::foreign(workspace, TARGET)?;
    let library = built.with_file_name("bcryptprimitives.dll");
    let mut compile = Command::new(COMPILER);
    compile.args(["-shared", "-s", "-O", "-o"]).arg(&library).arg(workspace.root.join("tests/wine/process_prng.c")).arg("-ladvapi32");
    term::command("a library that Wine lacks", &mut compile)
}

fn is_ready(workspace: &Workspace) -> bool {
    has_target(workspace) && workspace.program(COMPILER).is_some()
}

fn has_target(workspace: &Workspace) -> bool {
    setup::has_target(workspace, TARGET)
}
