//! What belongs to a source and goes with it when it is settled: its members, the folder of a bundle, the folder that was made for a posted file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::settle::Settled;
use crate::config::{AfterAction, Route};
use crate::files;
use crate::identity::FileIdentity;
use crate::intake::PRIVATE_PREFIX;
use crate::queue::{CommittedJob, Job, Member, Origin, POSTED_FILE};

/// Names that are tried for a member whose name is taken.
const MOST_NAMES: u32 = 1_000;

/// Settles what belongs to a source that has gone where `settled` says, by `action`. Safe to repeat.
///
/// # Errors
/// What the file system says; a repetition goes on from there.
pub(super) fn follow(committed: &CommittedJob, route: &Route, action: AfterAction, settled: &Settled) -> io::Result<()> {
    // Nothing has become of it yet: a posted file keeps the note by which it is queued again, should the queue forget it.
    if committed.is_dry_run() {
        return Ok(());
    }
    let job = &committed.job;
    let Some(from) = job.location.parent() else { return Ok(()) };
    if job.origin == Origin::Http && *settled != Settled::Replaced {
        // It is settled: it must not be queued again, should the queue forget it.
        match fs::remove_file(from.join(POSTED_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let to = match settled {
        Settled::Kept | Settled::Replaced | Settled::NoRoute => return Ok(()),
        Settled::Moved(target) => target.parent(),
        Settled::Deleted | Settled::Gone if action == AfterAction::Delete => None,
        // Somebody took the source; the members are that one's, too.
        Settled::Deleted | Settled::Gone => return Ok(()),
    };
    for (number, member) in job.members.iter().enumerate() {
        settle(job, member, number, from, to)?;
    }
    // Folders that are not empty stay.
    let above = |member: &Member| -> Vec<PathBuf> {
        from.join(&member.name).ancestors().skip(1).take_while(|folder| *folder != from).map(Path::to_owned).collect()
    };
    let mut folders: Vec<PathBuf> = job.members.iter().flat_map(above).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    folders.dedup();
    folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    if (route.intake.bundle.is_some() && from != route.intake.path) || job.origin == Origin::Http {
        let _ = fs::remove_dir(from);
    }
    Ok(())
}

/// Moves a member to a folder, or deletes it if there is none. One that changed since it was copied stays where it is.
fn settle(job: &Job, member: &Member, number: usize, from: &Path, to: Option<&Path>) -> io::Result<()> {
    let path = from.join(&member.name);
    let private = path.with_file_name(format!("{PRIVATE_PREFIX}{}-{number}", job.id));
    if !is_member(&private, member)? {
        if !is_member(&path, member)? {
            return Ok(());
        }
        files::rename_new(&path, &private)?;
        // What took its name in the instant before goes back.
        if !is_member(&private, member)? {
            return files::rename_new(&private, &path);
        }
    }
    let Some(to) = to else {
        fs::remove_file(&private)?;
        return files::sync_parent(&private);
    };
    let wanted = to.join(&member.name);
    if let Some(folder) = wanted.parent() {
        files::create_folder(folder)?;
    }
    for attempt in 0..MOST_NAMES {
        let target = if attempt == 0 { wanted.clone() } else { numbered(&wanted, attempt) };
        match files::move_new(&private, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::Error::other(format!("no free name for {} in {}", member.name, to.display())))
}

/// Whether this is the very file that was copied.
fn is_member(path: &Path, member: &Member) -> io::Result<bool> {
    let (device, inode, modified_ns) = member.identity;
    match FileIdentity::at(path) {
        Ok(found) => Ok(found == FileIdentity { device, inode, size: member.bytes, modified_ns }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!("~{number}"));
    path.with_file_name(name)
}
