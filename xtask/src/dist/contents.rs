//! What is in a release, for every kind of archive.

#![expect(clippy::indexing_slicing, reason = "a JSON value that lacks a key gives null")]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::archive::files;
use super::sbom::List;
use super::{Release, sha256};
use crate::setup::quietly;
use crate::workspace::Workspace;

/// The shells, with the names that their completions have.
pub(super) const SHELLS: [(&str, &str); 4] =
    [("bash", "dropforge.bash"), ("zsh", "_dropforge"), ("fish", "dropforge.fish"), ("powershell", "dropforge.ps1")];

/// Fills the folder of the archives that are unpacked anywhere.
///
/// # Errors
/// What the file system says; where the binary is not what it should be.
pub(super) fn portable(workspace: &Workspace, release: &Release, list: &List, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let name = release.binary.file_name().unwrap_or_default();
    put(&release.binary, &folder.join(name), 0o755)?;
    for file in ["LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"] {
        put(&workspace.root.join(file), &folder.join(file), 0o644)?;
    }
    write(&folder.join("THIRD-PARTY-LICENSES.txt"), &list.licences)?;
    write(&folder.join("dropforge.cdx.json"), &list.text)?;
    let docs = workspace.root.join("docs");
    for file in files(&docs)? {
        put(&file, &folder.join("docs").join(file.strip_prefix(&docs)?), 0o644)?;
    }
    if !release.target.contains("windows") {
        for file in ["dropforge.service", "dropforge.toml"] {
            put(&workspace.root.join("deploy/systemd").join(file), &folder.join("systemd").join(file), 0o644)?;
        }
    }
    // A binary for another system cannot be asked; this machine's own says the same.
    let own = workspace.target.join("debug").join(format!("dropforge{}", std::env::consts::EXE_SUFFIX));
    for (shell, name) in SHELLS {
        write(&folder.join("completions").join(name), &ask(&own, &["completions", shell])?)?;
    }
    if release.target.contains("windows") { Ok(()) } else { inspect(release) }
}

/// Asks the binary for each plugin that should be inside of it.
fn inspect(release: &Release) -> Result<()> {
    for file in files(&release.bundle)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let said = ask(&release.binary, &["plugin", "inspect", &name, "--json"])?;
        let said: serde_json::Value = serde_json::from_str(&said).context("`plugin inspect --json` is no JSON")?;
        if said["name"] != name.as_str() || said["sha256"] != sha256(&file)?.as_str() {
            bail!(
                "the converter in {} is called {}, or is another one: a bundled plugin has the name of its converter",
                file.display(),
                said["name"]
            );
        }
    }
    Ok(())
}

fn ask(program: &Path, arguments: &[&str]) -> Result<String> {
    // In a folder without a configuration.
    let folder = program.parent().unwrap_or(program);
    let output = quietly(Command::new(program).args(arguments).current_dir(folder))?;
    if !output.status.success() {
        bail!("{} {}: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("it says something that is no text")
}

/// Copies a file, with its folder, and gives it rights.
///
/// # Errors
/// What the file system says.
pub(super) fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_bytes(to, &bytes, mode)
}

/// Writes a text, with its folder.
///
/// # Errors
/// What the file system says.
pub(super) fn write(to: &Path, text: &str) -> Result<()> {
    write_bytes(to, text.as_bytes(), 0o644)
}

fn write_bytes(to: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Whatever the mask is here.
        fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
        for folder in to.ancestors().skip(1).take_while(|folder| !folder.ends_with("stage")) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
    }
    let _ = mode;
    Ok(())
}
