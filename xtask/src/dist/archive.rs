//! Archives whose bytes depend on nothing but what is in them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;

use super::Release;
use crate::setup::quietly;

/// Packs a folder, under its own name, with GNU tar: it sorts, and takes times, owners and the header of gzip as told.
///
/// # Errors
/// Where there is no GNU tar, or it fails.
pub(super) fn tar_gz(folder: &Path, archive: &Path, release: &Release) -> Result<String> {
    let (parent, name) = folder.parent().zip(folder.file_name()).context("a folder has a name")?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--use-compress-program=gzip -{}n", release.level));
    tar.arg(format!("--mtime=@{}", release.epoch)).arg("--file").arg(archive).arg("--directory").arg(parent).arg(name);
    let output = quietly(&mut tar)?;
    if !output.status.success() {
        bail!("tar (GNU's is needed): {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(archive.display().to_string())
}

/// Packs a folder, under its own name. Files have the earliest time that the format knows.
///
/// # Errors
/// What the file system says.
pub(super) fn zip(folder: &Path, archive: &Path) -> Result<String> {
    let parent = folder.parent().context("a folder has a name")?;
    let mut zip = zip::ZipWriter::new(File::create(archive)?);
    for path in files(folder)? {
        let name = path.strip_prefix(parent)?.to_string_lossy().replace('\\', "/");
        let mode = if name.ends_with(".exe") { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).compression_level(Some(9));
        zip.start_file(name, options.last_modified_time(zip::DateTime::default()).unix_permissions(mode))?;
        zip.write_all(&fs::read(&path)?)?;
    }
    zip.finish()?;
    Ok(archive.display().to_string())
}

/// Every file below a folder, sorted.
///
/// # Errors
/// What the file system says.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
