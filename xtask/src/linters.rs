//! The tools that read what is in `deploy/`, in the Python environment of the tests. Without them, everything else goes on: the tests of
//! `deploy/` say what is missing.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::quietly;
use crate::term;
use crate::workspace::Workspace;

/// Tells whether just the versions of a file of requirements are installed.
const CHECK: &str = "import importlib.metadata as m, sys
for line in open(sys.argv[1]): name, version = line.strip().split('=='); assert m.version(name) == version";

/// Installs them where that is possible.
///
/// # Errors
/// Where the list of them cannot be read.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    term::step("linters for deploy/", || {
        let requirements = workspace.root.join("tests").join("compare").join("deploy-requirements.txt");
        let required = fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let ready = || {
            let mut check = Command::new(workspace.python());
            quietly(check.args(["-c", CHECK]).arg(&requirements)).is_ok_and(|output| output.status.success())
        };
        let names = required.split_whitespace().collect::<Vec<_>>().join(", ");
        if ready() {
            return Ok(names);
        }
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        let _ = quietly(Command::new(workspace.python()).args(options).arg(&requirements));
        Ok(if ready() { format!("{names} installed now") } else { "PyPI cannot be had from here: the tests of deploy/ will say so".into() })
    })
}
