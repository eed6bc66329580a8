//! `cargo xtask dist`: what is released. For each target one binary with the converters inside, packed for those who install it, with a list of all
//! that is in it, the licences, and check sums. The same sources are to make the same bytes: times come from the commit, paths are taken
//! out, and archives are sorted.

mod archive;
mod contents;
mod deb;
mod linker;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::setup::quietly;
use crate::term::{self, say, section};
use crate::workspace::Workspace;
use crate::{build, setup};

/// Plugins that are no part of the binary: they need something that has to be granted first.
const NOT_BUNDLED: [&str; 1] = ["opcheck"];
/// Windows, by mingw's linker and tools, which have other names where they do not run on Windows.
const MINGW: &str = "x86_64-pc-windows-gnu";
/// The version of everything here.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the command line asks for.
struct Order {
    /// `dev` or `release`.
    profile: String,
    /// None: this machine's own.
    targets: Vec<String>,
    /// Pack everything a second time, and compare.
    twice: bool,
}

/// What is packed.
struct Release {
    target: String,
    binary: PathBuf,
    /// The plugins inside of it.
    bundle: PathBuf,
    /// When the sources were committed, in seconds since 1970.
    epoch: String,
    /// How hard the packers try: 9 for a release, 1 for a test of the packing.
    level: u8,
}

/// Runs it.
///
/// # Errors
/// Where anything does not build, or cannot be packed.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let order = Order::parse(arguments)?;
    setup::wasm_section(workspace)?;
    section("converters");
    let bundle = bundle(workspace)?;
    let host = host_target()?;
    let targets = if order.targets.is_empty() { vec![host.clone()] } else { order.targets.clone() };
    let output = workspace.target.join("dist").join("out");
    // What an earlier run left would have no check sum.
    let _ = fs::remove_dir_all(&output);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    for target in targets {
        section(&target);
        let binary = binary(workspace, &order.profile, &bundle, &target, target == host)?;
        let level = if order.profile == "release" { 9 } else { 1 };
        let release = Release { target, binary, bundle: bundle.clone(), epoch: epoch(workspace)?, level };
        pack(workspace, &release, &output)?;
        if order.twice {
            let again = workspace.target.join("dist").join("again");
            let _ = fs::remove_dir_all(&again);
            fs::create_dir_all(&again)?;
            pack(workspace, &release, &again)?;
            compare(&output, &again)?;
        }
    }
    section("released");
    let sums = check_sums(&output)?;
    fs::write(output.join("SHA256SUMS"), &sums)?;
    say(format!("in {}:", output.display()));
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap_or_default();
        let bytes = fs::metadata(output.join(name))?.len();
        say(format!("{:>12} bytes  {}…  {name}", bytes, sum.get(..12).unwrap_or_default()));
    }
    Ok(())
}

/// Builds the development binary for another system, with the converters inside, and gives where it is.
///
/// # Errors
/// What does not build.
pub(crate) fn foreign(workspace: &Workspace, target: &str) -> Result<PathBuf> {
    binary(workspace, "dev", &bundle(workspace)?, target, false)
}

impl Order {
    fn parse(arguments: &[&str]) -> Result<Order> {
        let mut order = Order { profile: "release".to_owned(), targets: Vec::new(), twice: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match (*argument, arguments.as_slice().first()) {
                ("--twice", _) => order.twice = true,
                ("--profile", Some(profile @ (&"dev" | &"release"))) => order.profile = (*profile).to_owned(),
                ("--targets", Some(targets)) => order.targets = targets.split(',').map(str::to_owned).collect(),
                (other, _) => {
                    bail!("`dist {other}` makes no sense: it takes --profile dev|release, --targets TARGET,… and --twice")
                }
            }
            if *argument != "--twice" {
                arguments.next();
            }
        }
        Ok(order)
    }
}

/// This machine's own target.
fn host_target() -> Result<String> {
    let output = quietly(Command::new("rustc").arg("-vV"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let target = text.lines().find_map(|line| line.strip_prefix("host: "));
    target.map(str::to_owned).context("rustc does not say which machine this is")
}

/// Builds the plugins that are to be in the binary, and puts them into a folder of their own.
fn bundle(workspace: &Workspace) -> Result<PathBuf> {
    build::host(workspace)?;
    let folder = workspace.target.join("dist").join("bundle");
    fs::create_dir_all(&folder)?;
    let mut names = Vec::new();
    for krate in build::crates(&workspace.root.join("plugins"))? {
        let name = krate.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if NOT_BUNDLED.contains(&name.as_str()) {
            continue;
        }
        build::plugin(workspace, "debug", &krate)?;
        let file = format!("{name}.wasm");
        copy_if_other(&workspace.plugins().join(&file), &folder.join(&file))?;
        names.push(file);
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if !names.iter().any(|name| *name == entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(folder)
}

/// A file that has not changed keeps its time: else the binary would be built again.
fn copy_if_other(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_deref() != Some(bytes.as_slice()) {
        fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// Builds the binary with the plugins inside.
fn binary(workspace: &Workspace, profile: &str, bundle: &Path, target: &str, is_host: bool) -> Result<PathBuf> {
    // For tests, from the dependencies that are there already; see `build::host`.
    let package: &[&str] = if profile == "release" || !is_host { &["-p", "dropforge"] } else { &["--workspace", "--bin", "dropforge"] };
    let mut cargo = workspace.cargo(&["build", "--locked", "--features", "dropforge/bundled"]);
    cargo.args(package).env("DROPFORGE_BUNDLE", bundle);
    let mut folder = workspace.target.clone();
    if profile == "release" {
        // In a folder of its own: other flags make everything be built again.
        folder = folder.join("dist").join("build");
        cargo.arg("--release").env("CARGO_TARGET_DIR", &folder);
        without_paths(&mut cargo, workspace, &folder);
        if target == MINGW && !is_host {
            linker::relative(&mut cargo, &folder, &workspace.target.join("dist").join("link"))?;
        }
    }
    if !is_host {
        cargo.args(["--target", target]);
    }
    term::command("binary", &mut cargo)?;
    let built = if is_host { folder } else { folder.join(target) };
    let name = if target.contains("windows") { "dropforge.exe" } else { "dropforge" };
    let built = built.join(if profile == "release" { "release" } else { "debug" }).join(name);
    // A build without the feature takes its place as soon as somebody runs one.
    let kept = workspace.target.join("dist").join("bin").join(target).join(name);
    fs::create_dir_all(kept.parent().unwrap_or(&kept))?;
    fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    if profile == "release" {
        without_symbols(workspace, &kept, target, is_host)?;
    }
    if profile != "release" && is_host {
        // What only a debugger reads; a release has none of it.
        let _ = quietly(Command::new("strip").arg("--strip-debug").arg(&kept));
        // Everybody else wants the one without converters inside in its place.
        build::host(workspace)?;
    }
    Ok(kept)
}

/// Names of functions that the optimiser has copied into other modules get a number at their end that depends on the folder of the build; and the linker's
/// note is a sum of them too, or for Windows the time. All else is the same wherever it is built.
fn without_symbols(workspace: &Workspace, binary: &Path, target: &str, is_host: bool) -> Result<()> {
    let mut strip = match target {
        MINGW if !is_host => Command::new("x86_64-w64-mingw32-strip"),
        linux if linux.contains("linux") && is_host => Command::new("strip"),
        // For others there is no such program here.
        _ => return Ok(()),
    };
    strip.args(["--strip-all", "--remove-section=.note.gnu.build-id"]).arg(binary);
    let stripped = quietly(strip.env("SOURCE_DATE_EPOCH", epoch(workspace)?))?;
    if !stripped.status.success() {
        bail!("strip {}: {}", binary.display(), String::from_utf8_lossy(&stripped.stderr).trim());
    }
    Ok(())
}

/// Where it was built is nobody's business, and must not make a difference.
fn without_paths(cargo: &mut Command, workspace: &Workspace, target: &Path) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let places = [(Some(target.to_owned()), "/target"), (home, "/cargo"), (Some(workspace.root.clone()), "/dropforge")];
    let (mut rust, mut c) = (Vec::new(), Vec::new());
    for (from, to) in places.iter().filter_map(|(from, to)| Some((from.as_ref()?.display(), to))) {
        rust.push(format!("--remap-path-prefix={from}={to}"));
        c.push(format!("-ffile-prefix-map={from}={to}"));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}")).env("CFLAGS", c.join(" ")).env_remove("RUSTFLAGS");
}

/// When the sources were committed; `SOURCE_DATE_EPOCH` goes before.
fn epoch(workspace: &Workspace) -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let output = quietly(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(&workspace.root))?;
    let epoch = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if epoch.is_empty() {
        bail!("this is no clone of a repository: say with SOURCE_DATE_EPOCH, in seconds since 1970, what time the files get");
    }
    Ok(epoch)
}

/// Makes every file of a release.
fn pack(workspace: &Workspace, release: &Release, output: &Path) -> Result<()> {
    let list = sbom::make(workspace, release)?;
    let name = format!("dropforge-{VERSION}-{}", release.target);
    let list_file = output.join(format!("{name}.cdx.json"));
    fs::write(&list_file, &list.text)?;
    let stage = workspace.target.join("dist").join("stage").join(&release.target);
    let _ = fs::remove_dir_all(&stage);
    let folder = stage.join(&name);
    contents::portable(workspace, release, &list, &folder)?;
    if release.target.contains("windows") {
        return term::step("zip", || archive::zip(&folder, &output.join(format!("{name}.zip"))));
    }
    term::step("tar.gz", || archive::tar_gz(&folder, &output.join(format!("{name}.tar.gz")), release))?;
    term::step("deb", || deb::make(workspace, release, &folder, &stage.join("deb"), output))
}

fn compare(one: &Path, other: &Path) -> Result<()> {
    for entry in fs::read_dir(other)? {
        let name = entry?.file_name();
        if fs::read(one.join(&name))? != fs::read(other.join(&name))? {
            bail!("{} is not the same when it is packed twice", name.display());
        }
    }
    say("packed twice, and the same both times");
    Ok(())
}

fn check_sums(folder: &Path) -> Result<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    names.iter().map(|name| Ok(format!("{}  {name}\n", sha256(&folder.join(name))?))).collect()
}

/// The SHA-256 of a file in lower hex.
fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
