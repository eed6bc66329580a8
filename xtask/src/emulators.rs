//! Servers that object stores are tested against: emulators from PyPI and npm. Without them, setting up goes on: the tests say what is missing.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::quietly;
use crate::term;
use crate::workspace::Workspace;

/// What of the Python packages tells that they are there.
const PYTHON_CHECK: &str = "import importlib.metadata as m, sys
for line in open(sys.argv[1]):
    name, version = line.strip().split('==')
    assert m.version(name.split('[')[0]) == version";

/// Installs them where that is possible.
///
/// # Errors
/// Where the lists of what is needed cannot be read.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("tests").join("emulators");
    let requirements = folder.join("requirements.txt");
    term::step("moto", || {
        let there = || {
            let mut check = Command::new(workspace.python());
            quietly(check.args(["-c", PYTHON_CHECK]).arg(&requirements)).is_ok_and(|output| output.status.success())
        };
        if there() {
            return Ok("found".into());
        }
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        let _ = quietly(Command::new(workspace.python()).args(options).arg(&requirements));
        Ok(if there() { "installed now".into() } else { "PyPI cannot be had from here: the test of S3 will say so".into() })
    })?;
    term::step("azurite", || {
        let wanted = folder.join("package.json");
        let text = fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
        let home = workspace.target.join("emulators");
        let installed = home.join("package.json");
        let there = || {
            fs::read_to_string(&installed).is_ok_and(|installed| installed == text)
                && home.join("node_modules/azurite/package.json").exists()
        };
        if there() {
            return Ok("found".into());
        }
        let Some(npm) = workspace.program("npm") else { return Ok("no npm here: the test of Azure's store will say so".into()) };
        fs::create_dir_all(&home).context("cannot create the folder for emulators")?;
        fs::write(&installed, &text).context("cannot write to the folder for emulators")?;
        let _ = quietly(Command::new(npm).args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&home));
        // npm may have written to its list.
        fs::write(&installed, &text).context("cannot write to the folder for emulators")?;
        Ok(if there() { "installed now".into() } else { "npm cannot install it here: the test of Azure's store will say so".into() })
    })
}
