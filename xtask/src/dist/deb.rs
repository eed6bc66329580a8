//! The package for Debian and Ubuntu, made with dpkg-deb.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::archive::files;
use super::contents::{put, write};
use super::{Release, VERSION};
use crate::setup::quietly;
use crate::workspace::Workspace;

/// Makes it of the folder of the portable archive.
///
/// # Errors
/// What dpkg-deb says; where it is missing, that is said and no error.
pub(super) fn make(workspace: &Workspace, release: &Release, portable: &Path, stage: &Path, output: &Path) -> Result<String> {
    if workspace.program("dpkg-deb").is_none() {
        return Ok("left out: dpkg-deb is not here".to_owned());
    }
    let architecture = match release.target.split('-').next() {
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        _ => return Ok(format!("left out: Debian's name for {} is not known here", release.target)),
    };
    lay_out(portable, stage)?;
    let control = workspace.root.join("deploy/debian");
    for script in ["postinst", "prerm", "postrm"] {
        put(&control.join(script), &stage.join("DEBIAN").join(script), 0o755)?;
    }
    write(&stage.join("DEBIAN/conffiles"), "/etc/dropforge/dropforge.toml\n")?;
    let bytes: u64 = files(stage)?.iter().map(|file| fs::metadata(file).map_or(0, |metadata| metadata.len())).sum();
    let description = "turns files into documents with sandboxed converters\n Dropforge watches folders, converts what comes with WebAssembly plugins that can be \
                       replaced\n while it runs, and delivers the documents to folders, HTTP servers and object stores.";
    let control = format!(
        "Package: dropforge\nVersion: {VERSION}\nArchitecture: {architecture}\nMaintainer: The Dropforge developers <dropforge@localhost>\n\
         Installed-Size: {}\nDepends: {}\nRecommends: ca-certificates\nSection: utils\nPriority: optional\nDescription: {description}\n",
        bytes.div_ceil(1024),
        libraries(&fs::read(&release.binary)?),
    );
    write(&stage.join("DEBIAN/control"), &control)?;
    let package = output.join(format!("dropforge_{VERSION}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", if release.level == 9 { "-Zxz" } else { "-Zgzip" }, &format!("-z{}", release.level), "--build"])
        .arg(stage)
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", &release.epoch);
    let built = quietly(&mut build)?;
    if !built.status.success() {
        bail!("dpkg-deb: {}", String::from_utf8_lossy(&built.stderr).trim());
    }
    Ok(package.display().to_string())
}

/// Puts everything where Debian wants it.
fn lay_out(portable: &Path, stage: &Path) -> Result<()> {
    put(&portable.join("dropforge"), &stage.join("usr/bin/dropforge"), 0o755)?;
    let places = [
        ("systemd/dropforge.service", "usr/lib/systemd/system/dropforge.service"),
        ("systemd/dropforge.toml", "etc/dropforge/dropforge.toml"),
        ("completions/dropforge.bash", "usr/share/bash-completion/completions/dropforge"),
        ("completions/_dropforge", "usr/share/zsh/vendor-completions/_dropforge"),
        ("completions/dropforge.fish", "usr/share/fish/vendor_completions.d/dropforge.fish"),
        ("CHANGELOG.md", "usr/share/doc/dropforge/CHANGELOG.md"),
        ("README.md", "usr/share/doc/dropforge/README.md"),
        ("SECURITY.md", "usr/share/doc/dropforge/SECURITY.md"),
        ("dropforge.cdx.json", "usr/share/doc/dropforge/dropforge.cdx.json"),
        ("THIRD-PARTY-LICENSES.txt", "usr/share/doc/dropforge/THIRD-PARTY-LICENSES.txt"),
    ];
    for (from, to) in places {
        put(&portable.join(from), &stage.join(to), 0o644)?;
    }
    let docs = portable.join("docs");
    for file in files(&docs)? {
        put(&file, &stage.join("usr/share/doc/dropforge/docs").join(file.strip_prefix(&docs)?), 0o644)?;
    }
    let licence = fs::read_to_string(portable.join("LICENSE")).context("cannot read the licence")?;
    let copyright = format!(
        "Dropforge is under the Apache License, version 2.0, which follows. What others have written and is part of the program, with its\n\
         licences, is in THIRD-PARTY-LICENSES.txt beside this file.\n\n{licence}"
    );
    write(&stage.join("usr/share/doc/dropforge/copyright"), &copyright)
}

/// The system's libraries that the binary needs, by the names that it holds.
fn libraries(binary: &[u8]) -> String {
    let text = String::from_utf8_lossy(binary);
    let version = |text: &str| -> Option<(u32, u32)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (major, minor) = text.get(..end)?.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    };
    let (major, minor) = text.split("GLIBC_").skip(1).filter_map(version).max().unwrap_or((2, 0));
    let gcc = if text.contains("libgcc_s.so.1") { ", libgcc-s1" } else { "" };
    // useradd and groupadd.
    format!("libc6 (>= {major}.{minor}){gcc}, passwd")
}
