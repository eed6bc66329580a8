//! `dropforge backup`: a copy of what a daemon knows and has not delivered yet, taken while it runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::print;
use super::queue::StateArgs;
use crate::delivery::{SPOOL_FOLDER, Spool};
use crate::files;
use crate::plugins::VERSIONS_FOLDER;
use crate::queue::{COMING, MEMBERS_FOLDER, QUEUE_FILE, UPLOADS_FOLDER};

/// Copy the queue, its history, the spool, posted files and earlier versions of plugins to a folder, while the daemon runs
///
/// The copy is a state folder: `dropforge run --state DIR` starts from it. Files that wait in the inboxes are not in it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge backup /backup/2026-11-22")]
pub(super) struct BackupArgs {
    #[command(flatten)]
    state: StateArgs,
    /// The folder to make; it must not be there, or be empty
    folder: PathBuf,
}

pub(super) fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let (config, store) = args.state.open()?;
    let to = &args.folder;
    if to.is_dir() && fs::read_dir(to)?.next().is_some() {
        bail!("{} is not empty; a backup goes to a folder of its own", to.display());
    }
    files::create_folder(to).with_context(|| format!("cannot create {}", to.display()))?;
    let spool = Spool::open(config.state_dir.join(SPOOL_FOLDER)).context("cannot open the spool")?;
    // On the spool's own file system these are links, so that the daemon is held up for moments only, whatever the documents' size.
    let held = tempfile::Builder::new().prefix("backup-").tempdir_in(&config.state_dir).context("cannot make a folder in state_dir")?;
    let mut jobs = 0;
    store
        .copy_to(&to.join(QUEUE_FILE), |undelivered| {
            jobs = undelivered.len();
            spool.link_to(undelivered, held.path())
        })
        .with_context(|| format!("cannot copy the queue to {}", to.display()))?;
    copy_files(held.path(), &to.join(SPOOL_FOLDER)).with_context(|| format!("cannot copy the spool to {}", to.display()))?;
    for folder in [UPLOADS_FOLDER, MEMBERS_FOLDER] {
        copy_of_jobs(&config.state_dir.join(folder), &to.join(folder))
            .with_context(|| format!("cannot copy {folder} to {}", to.display()))?;
    }
    let versions = config.state_dir.join(VERSIONS_FOLDER);
    if versions.is_dir() {
        copy_files(&versions, &to.join(VERSIONS_FOLDER))
            .with_context(|| format!("cannot copy the plugins' versions to {}", to.display()))?;
    }
    files::sync_folder(to)?;
    print(&format!("The queue and the documents of {jobs} jobs that are not delivered yet are in {}\n", to.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Copies the folders that hold files of jobs, durably. What goes meanwhile has been settled meanwhile.
fn copy_of_jobs(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    files::create_folder(to)?;
    for job in entries {
        let job = job?;
        if job.file_name().to_string_lossy().starts_with(COMING) {
            continue;
        }
        match copy_files(&job.path(), &to.join(job.file_name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    files::sync_folder(to)
}

/// Copies the files in a folder, durably.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    files::create_folder(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        files::copy_synced(&file.path(), &to.join(file.file_name()))?;
    }
    files::sync_folder(to)
}
