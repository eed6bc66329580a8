//! What installing consists of, step by step: each can be printed instead of done, and done below another root than `/`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::super::print;
use crate::files;

/// One step. Paths are those of the system that is installed into.
#[derive(Debug)]
pub(super) enum Step {
    /// Writes a file; one that is there may be kept.
    Write { path: PathBuf, text: String, keep: bool },
    /// Makes a folder, if it is not there.
    Folder { path: PathBuf, mode: u32 },
    /// Removes a file.
    Remove(PathBuf),
    /// Runs a program. Below another root it is left out, unless there are other arguments for that.
    Run { line: Vec<String>, below_root: Option<Vec<String>> },
}

impl Step {
    /// A program that only the running system can run.
    pub(super) fn run<const N: usize>(line: [&str; N]) -> Step {
        Step::Run { line: line.map(str::to_owned).to_vec(), below_root: None }
    }
}

/// Does the steps, in their order, or prints them.
///
/// # Errors
/// The step that failed, and why; the steps before it are done.
pub(super) fn all(steps: &[Step], root: Option<&Path>, dry_run: bool) -> anyhow::Result<()> {
    for step in steps {
        if dry_run {
            print(&describe(step, root))?;
        } else {
            print(&format!("{}\n", describe(step, root).lines().next().unwrap_or_default()))?;
            perform(step, root)?;
        }
    }
    Ok(())
}

/// Where a path of the system is that is installed into.
fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    root.map_or_else(|| path.to_owned(), |root| root.join(path.strip_prefix("/").unwrap_or(path)))
}

fn describe(step: &Step, root: Option<&Path>) -> String {
    match step {
        Step::Write { path, keep: true, .. } if below(root, path).exists() => format!("keep {}\n", below(root, path).display()),
        Step::Write { path, text, .. } => format!("write {}\n{}", below(root, path).display(), indented(text)),
        Step::Folder { path, mode } => format!("folder {} ({mode:o})\n", below(root, path).display()),
        Step::Remove(path) => format!("remove {}\n", below(root, path).display()),
        Step::Run { line, below_root } => match (root, below_root) {
            (None, _) => format!("run {}\n", line.join(" ")),
            (Some(root), Some(other)) => format!("run {}\n", filled(other, root).join(" ")),
            (Some(_), None) => format!("left out below another root: {}\n", line.join(" ")),
        },
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

/// The arguments with the root in the place of `{}`.
fn filled(line: &[String], root: &Path) -> Vec<String> {
    line.iter().map(|part| part.replace("{}", &root.display().to_string())).collect()
}

fn perform(step: &Step, root: Option<&Path>) -> anyhow::Result<()> {
    match step {
        Step::Write { path, text, keep } => {
            let path = below(root, path);
            if *keep && path.exists() {
                return Ok(());
            }
            let failed = || format!("cannot write {}; run this as root", path.display());
            if let Some(folder) = path.parent() {
                files::create_folder(folder).with_context(failed)?;
            }
            files::write_whole(&path, text.as_bytes()).with_context(failed)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).with_context(failed)
        }
        Step::Folder { path, mode } => {
            let path = below(root, path);
            if path.exists() {
                return Ok(());
            }
            let failed = || format!("cannot make {}; run this as root", path.display());
            files::create_folder(&path).with_context(failed)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).with_context(failed)
        }
        Step::Remove(path) => {
            let path = below(root, path);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}; run this as root", path.display()))
        }
        Step::Run { line, below_root } => match (root, below_root) {
            (None, _) => run(line),
            (Some(root), Some(other)) => run(&filled(other, root)),
            (Some(_), None) => Ok(()),
        },
    }
}

fn run(line: &[String]) -> anyhow::Result<()> {
    let Some((program, arguments)) = line.split_first() else { return Ok(()) };
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line.join(" "));
    }
    Ok(())
}
