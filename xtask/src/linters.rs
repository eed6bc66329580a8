//! The tools that read what is in `deploy/`, and the one that tries the API by its document, in the Python environment of the tests. Without
//! them, everything else goes on: their tests say what is missing.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::quietly;
use crate::term;
use crate::workspace::Workspace;

/// Tells whether just the versions of a file of requirements are installed.
const CHECK: &str = "import importlib.metadata as m, sys
for line in open(sys.argv[1]): name, version = line.strip().split('=='); assert m.version(name) == version";

/// What they are for, and the file of `tests/compare` that names them.
const TOOLS: [(&str, &str, &str); 2] = [
    ("linters for deploy/", "deploy-requirements.txt", "the tests of deploy/"),
    ("a tester for the API", "api-requirements.txt", "the test of the API by its document"),
];

/// Installs them where that is possible.
///
/// # Errors
/// Where the list of them cannot be read.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    TOOLS.iter().try_for_each(|(what, file, tests)| install(workspace, what, file, tests))
}

fn install(workspace: &Workspace, what: &str, file: &str, tests: &str) -> Result<()> {
    term::step(what, || {
        let requirements = workspace.root.join("tests").join("compare").join(file);
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
        Ok(if ready() { format!("{names} installed now") } else { format!("PyPI cannot be had from here: {tests} will say so") })
    })
}
