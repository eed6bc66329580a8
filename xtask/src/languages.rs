//! The guests of the tests that are not written in Rust: the tools that build them, and their builds. Without a tool, everything else goes on:
//! the tests of that guest say what is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::setup::quietly;
use crate::term;
use crate::workspace::Workspace;

/// Runs what pip installs, in whichever folder the environment was made: its own script knows only one.
const COMPONENTIZE_PY: &str = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()";

const JS_PACKAGE: &str = "@bytecodealliance/componentize-js";

/// Installs the tools where that is possible.
///
/// # Errors
/// Where the guests' folders cannot be read.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    term::step("componentize-py", || {
        let requirements = guest(workspace, "python-guest").join("requirements.txt");
        let version = last_part(&read(&requirements)?, "==");
        if has_py(workspace, &version) {
            return Ok(version);
        }
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        let _ = quietly(Command::new(workspace.python()).args(options).arg(&requirements));
        Ok(if has_py(workspace, &version) {
            format!("{version} installed now")
        } else {
            "PyPI cannot be had from here: the test of a guest in Python will say so".into()
        })
    })?;
    term::step("componentize-js", || {
        let version = js_version(workspace)?;
        if has_js(workspace, &version) {
            return Ok(version);
        }
        let Some(npm) = workspace.program("npm") else { return Ok("no npm here: the test of a guest in JavaScript will say so".into()) };
        let mut install = Command::new(npm);
        install.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(node(workspace));
        fs::create_dir_all(node(workspace)).context("cannot create the folder for packages from npm")?;
        let _ = quietly(install.arg(format!("{JS_PACKAGE}@{version}")));
        Ok(if has_js(workspace, &version) {
            format!("{version} installed now")
        } else {
            "npm cannot install it here: the test of a guest in JavaScript will say so".into()
        })
    })
}

/// Builds the guests whose tools are there, where their sources are newer.
///
/// # Errors
/// Where a tool that is there fails.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let wit = workspace.root.join("wit").join("0.1.0");
    let contract = wit.join("dropforge.wit");

    let folder = guest(workspace, "python-guest");
    let output = workspace.plugins().join("python-guest.wasm");
    if has_py(workspace, &last_part(&read(&folder.join("requirements.txt"))?, "=="))
        && is_old(&output, &[&folder.join("app.py"), &contract])
    {
        // The Python inside the component leaves its `__pycache__` beside the source.
        let copy = workspace.target.join("python-guest");
        fs::create_dir_all(&copy).context("cannot create the folder for the guest in Python")?;
        fs::copy(folder.join("app.py"), copy.join("app.py")).context("cannot copy the guest in Python")?;
        let mut command = Command::new(workspace.python());
        command.args(["-c", COMPONENTIZE_PY, "-q", "-d"]).arg(&wit).args(["-w", "plugin", "componentize", "-p"]).arg(&copy);
        command.args(["app", "-o"]).arg(&output);
        term::command("plugin python-guest", &mut command)?;
    }

    let folder = guest(workspace, "js-guest");
    let output = workspace.plugins().join("js-guest.wasm");
    if has_js(workspace, &js_version(workspace)?) && is_old(&output, &[&folder.join("app.js"), &contract]) {
        let mut command = Command::new("node");
        command.arg(package(workspace).join("src").join("cli.js")).arg(folder.join("app.js")).arg("--wit").arg(&wit);
        command.args(["-n", "plugin", "--disable", "http", "fetch-event", "-o"]).arg(&output);
        term::command("plugin js-guest", &mut command)?;
    }
    Ok(())
}

fn guest(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("tests").join("guests").join(name)
}

fn node(workspace: &Workspace) -> PathBuf {
    workspace.target.join("node")
}

fn package(workspace: &Workspace) -> PathBuf {
    node(workspace).join("node_modules").join(JS_PACKAGE)
}

fn has_py(workspace: &Workspace, version: &str) -> bool {
    let check = format!("import importlib.metadata as m; assert m.version('componentize-py') == '{version}'");
    quietly(Command::new(workspace.python()).args(["-c", &check])).is_ok_and(|output| output.status.success())
}

fn has_js(workspace: &Workspace, version: &str) -> bool {
    let installed = fs::read_to_string(package(workspace).join("package.json"));
    installed.is_ok_and(|text| text.lines().any(|line| line.trim() == format!("\"version\": \"{version}\",")))
}

/// The version that the guest's `package.json` names.
fn js_version(workspace: &Workspace) -> Result<String> {
    let manifest = read(&guest(workspace, "js-guest").join("package.json"))?;
    let line = manifest.lines().find(|line| line.contains(JS_PACKAGE)).context("js-guest/package.json does not name componentize-js")?;
    Ok(last_part(line, ":").trim_matches([' ', '"', ',']).to_owned())
}

fn last_part(text: &str, separator: &str) -> String {
    text.trim().rsplit(separator).next().unwrap_or_default().to_owned()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a file is missing, or older than one of those that it is made of.
fn is_old(file: &Path, sources: &[&Path]) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    sources.iter().any(|source| modified(source) >= modified(file))
}
