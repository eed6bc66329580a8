//! Most stations run Windows: whatever changes, the host must compile for it, without a warning. Whether it runs there is another matter; see
//! `docs/windows.md`.

use std::process::Command;

use anyhow::Result;

use crate::setup::{self, quietly};
use crate::term;
use crate::workspace::Workspace;

const TARGET: &str = "x86_64-pc-windows-gnu";
/// SQLite and the cryptography have parts in C.
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// Debian's package of it.
const PACKAGE: &str = "gcc-mingw-w64-x86-64";

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

fn is_ready(workspace: &Workspace) -> bool {
    has_target(workspace) && workspace.program(COMPILER).is_some()
}

fn has_target(workspace: &Workspace) -> bool {
    setup::has_target(workspace, TARGET)
}
