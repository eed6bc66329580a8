//! Finds what building and testing need, and installs what is missing where that is possible.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{dependencies, emulators, languages, linters, term, windows};

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler, the source of its standard library, and a linker for WebAssembly.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
/// What those packages bring.
const DEBIAN_FILES: [&str; 4] =
    ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml", "/usr/bin/wasm-ld-19"];
/// Longer than this, a download is not going to happen.
const DOWNLOAD: Duration = Duration::from_secs(300);

/// Everything, for every command.
///
/// # Errors
/// Where the compiler for plugins is missing and cannot be installed.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    term::section("setup");
    wasm_toolchain(workspace)?;
    rust_components(workspace)?;
    python(workspace)?;
    languages::setup(workspace)?;
    emulators::setup(workspace)?;
    linters::setup(workspace)?;
    dependencies::setup(workspace)?;
    windows::setup(workspace)?;
    #[cfg(target_os = "linux")]
    fault_tools(workspace)?;
    // One package, which has both.
    tool(workspace, "prometheus", "prometheus", "the tests that have the real Prometheus scrape a daemon")?;
    tool(workspace, "promtool", "prometheus", "the tests that have Prometheus's own tool read metrics, rules and dashboards")?;
    tool(workspace, "mlr", "miller", "the comparison in `cargo xtask bench`")
}

/// What the tests of power cuts, clocks, shares and the terminal need. Without it, setting up goes on: those tests say what is missing.
#[cfg(target_os = "linux")]
fn fault_tools(workspace: &Workspace) -> Result<()> {
    term::step("strace, libfaketime, bindfs, tmux", || {
        let library = |folder: &Path| folder.join("faketime/libfaketime.so.1").exists();
        let folders = || std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let there = || {
            let programs = ["strace", "bindfs", "tmux"].iter().all(|program| workspace.program(program).is_some());
            programs && folders().any(|folder| library(&folder))
        };
        if there() {
            return Ok("found".into());
        }
        if is_root() && workspace.program("apt-get").is_some() {
            term::progress("installing strace, libfaketime, bindfs and tmux with apt-get");
            let _ = apt_get(&["update"])
                .and_then(|()| apt_get(&["install", "-y", "--no-install-recommends", "strace", "libfaketime", "bindfs", "tmux"]));
        }
        Ok(if there() {
            "installed now".into()
        } else {
            "missing: the tests of power cuts, of the clock, of shares and of the terminal will say so".into()
        })
    })
}

/// Only what building plugins needs.
///
/// # Errors
/// As [`all`].
pub(crate) fn wasm_section(workspace: &Workspace) -> Result<()> {
    term::section("setup");
    wasm_toolchain(workspace)
}

/// A Rust compiler that can build plugins.
fn wasm_toolchain(workspace: &Workspace) -> Result<()> {
    term::step("Rust for WebAssembly", || {
        if let Some(found) = find_wasm_toolchain(workspace) {
            return Ok(found);
        }
        if workspace.program("rustup").is_some() {
            term::progress("installing the target with rustup");
            let added = quietly(Command::new("rustup").args(["target", "add", TARGET]).current_dir(&workspace.root));
            if added.is_ok_and(|output| output.status.success())
                && let Some(found) = find_wasm_toolchain(workspace)
            {
                return Ok(format!("{found}, installed now"));
            }
        }
        if workspace.program("apt-get").is_some() && is_root() {
            term::progress(&format!("installing {} with apt-get", DEBIAN_PACKAGES.join(", ")));
            let installed = apt_get(&["update"]).and_then(|()| {
                let options = ["install", "-y", "--no-install-recommends"];
                apt_get(&[options.as_slice(), DEBIAN_PACKAGES.as_slice()].concat())
            });
            installed.with_context(missing_toolchain)?;
            return find_wasm_toolchain(workspace).map(|found| format!("{found}, installed now")).with_context(missing_toolchain);
        }
        bail!(missing_toolchain())
    })
}

fn missing_toolchain() -> String {
    let packages = DEBIAN_PACKAGES.join(" ");
    format!("no Rust compiler here can build plugins: run `rustup target add {TARGET}`, or on Debian `apt-get install {packages}` as root")
}

/// Whether the active toolchain has the standard library of a target.
pub(crate) fn has_target(workspace: &Workspace, target: &str) -> bool {
    let sysroot = quietly(Command::new("rustc").args(["--print", "sysroot"]).current_dir(&workspace.root));
    sysroot.is_ok_and(|sysroot| {
        let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
        Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir()
    })
}

/// Installs a package of Debian's, where that is possible.
pub(crate) fn install(workspace: &Workspace, package: &str) {
    if workspace.program("apt-get").is_some() && is_root() {
        term::progress(&format!("installing {package} with apt-get"));
        let _ = apt_get(&["update"]).and_then(|()| apt_get(&["install", "-y", "--no-install-recommends", package]));
    }
}

fn find_wasm_toolchain(workspace: &Workspace) -> Option<String> {
    if has_target(workspace, TARGET) {
        return Some(format!("target {TARGET} of the active toolchain"));
    }
    DEBIAN_FILES.iter().all(|file| Path::new(file).exists()).then(|| "Debian's rustc-web".into())
}

/// The formatter and the lints.
fn rust_components(workspace: &Workspace) -> Result<()> {
    term::step("rustfmt and clippy", || {
        let there = |name| quietly(&mut workspace.cargo(&[name, "--version"])).is_ok_and(|output| output.status.success());
        if there("fmt") && there("clippy") {
            return Ok("found".into());
        }
        let added = quietly(Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]).current_dir(&workspace.root));
        match added {
            Ok(output) if output.status.success() => Ok("installed now".into()),
            _ => bail!("`cargo fmt` or `cargo clippy` is missing: run `rustup component add rustfmt clippy`"),
        }
    })
}

/// A Python with what `requirements.txt` says, for the tests that compare with it. Without one, setting up goes on: those tests say what is missing.
fn python(workspace: &Workspace) -> Result<()> {
    term::step("Python with packages to compare with", || {
        let requirements = workspace.root.join("tests/compare/requirements.txt");
        let required = std::fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let packages: Vec<(&str, &str)> = required.lines().filter_map(|line| line.trim().split_once("==")).collect();
        let named = packages.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ");
        let checks = packages.iter().map(|(name, version)| format!("assert m.version('{name}') == '{version}'"));
        let check = format!("import importlib.metadata as m; {}", checks.collect::<Vec<_>>().join("; "));
        let ready = || quietly(Command::new(workspace.python()).args(["-c", &check])).is_ok_and(|output| output.status.success());
        if ready() {
            return Ok(format!("{named} in {}", workspace.target.join("venv").display()));
        }
        let without = "the tests that compare with it will say that it is missing";
        let Some(python) = workspace.program("python3") else { return Ok(format!("no python3 here: {without}")) };
        let venv = workspace.target.join("venv");
        let create =
            || quietly(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&venv)).is_ok_and(|output| output.status.success());
        if !create() {
            // Debian has it in a package of its own.
            let installed = is_root() && workspace.program("apt-get").is_some() && {
                term::progress("installing python3-venv with apt-get");
                apt_get(&["update"]).and_then(|()| apt_get(&["install", "-y", "--no-install-recommends", "python3-venv"])).is_ok()
            };
            if !installed || !create() {
                return Ok(format!("`python3 -m venv` does not work here (on Debian: install python3-venv): {without}"));
            }
        }
        // What pystdf needs for spreadsheets is large, and not for reading.
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        let _ = quietly(Command::new(workspace.python()).args(options).arg(&requirements));
        Ok(if ready() { format!("{named} installed now") } else { format!("PyPI cannot be had from here: {without}") })
    })
}

/// A program that a test or the benchmark compares with. Where Debian has it, it is unpacked into the target folder: installing it would
/// start services that nobody asked for.
pub(crate) fn tool(workspace: &Workspace, program: &str, package: &str, what_for: &str) -> Result<()> {
    term::step(program, || {
        if let Some(found) = workspace.program(program) {
            return Ok(found.display().to_string());
        }
        let tools = workspace.tools();
        std::fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
        let unpacked = workspace.program("apt-get").is_some() && {
            term::progress(&format!("unpacking Debian's {package}"));
            unpack(&tools, package) || (is_root() && apt_get(&["update"]).is_ok() && unpack(&tools, package))
        };
        match workspace.program(program) {
            Some(_) if unpacked => Ok(format!("Debian's {package}, unpacked into {}", tools.display())),
            _ => Ok(format!("missing (Debian's package {package}): {what_for} will say so")),
        }
    })
}

fn unpack(tools: &Path, package: &str) -> bool {
    let succeeded = |command: &mut Command| quietly(command.current_dir(tools)).is_ok_and(|output| output.status.success());
    if !succeeded(Command::new("apt-get").args(["download", package])) {
        return false;
    }
    let archives = std::fs::read_dir(tools).into_iter().flatten().flatten().map(|entry| entry.path());
    archives.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).all(|archive| {
        let unpacked = succeeded(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg("."));
        std::fs::remove_file(&archive).is_ok() && unpacked
    })
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-q").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let output = quietly(&mut command)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", term::shown(&command), output.status, errors.trim());
    }
    Ok(())
}

fn is_root() -> bool {
    quietly(Command::new("id").arg("-u")).is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Runs a command without its output on the screen, for at most [`DOWNLOAD`].
pub(crate) fn quietly(command: &mut Command) -> Result<Output> {
    quietly_within(DOWNLOAD, command)
}

/// The same, for at most this long.
pub(crate) fn quietly_within(at_most: Duration, command: &mut Command) -> Result<Output> {
    let line = term::shown(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    // Read on other threads: a full pipe would stop the command.
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            bytes
        })
    };
    let stdout = child.stdout.take().map(|from| read(Box::new(from)));
    let stderr = child.stderr.take().map(|from| read(Box::new(from)));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > at_most {
            child.kill()?;
            child.wait()?;
            bail!("`{line}` did not end within {}", term::seconds(DOWNLOAD));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let joined = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
    Ok(Output { status, stdout: joined(stdout), stderr: joined(stderr) })
}
