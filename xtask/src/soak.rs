//! `cargo xtask soak`: a daemon under a mixed load for minutes or hours, by the test of that name.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build, setup, term};

/// Builds what is needed, and runs it.
///
/// # Errors
/// What was lost, or grew.
pub(crate) fn run(workspace: &Workspace, minutes: &str) -> Result<()> {
    setup::wasm_section(workspace)?;
    build::all(workspace)?;
    term::section("soak");
    let mut soak = workspace.cargo(&["test", "-p", "dropforge-tests", "--test", "soak", "--", "--nocapture"]);
    term::command("soak", soak.env("SOAK_MINUTES", minutes))
}
