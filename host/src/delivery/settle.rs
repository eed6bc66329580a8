//! Settling the source: the very file that was converted goes to `done/` or `failed/`, or is deleted, or stays. A file that took its place
//! meanwhile is left alone.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{members, sidecar};
use crate::config::{AfterAction, Route};
use crate::crash;
use crate::digest::sha256_reader;
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::{CommittedJob, Outcome};

/// Names that are tried for a source whose name is taken in `done/` or `failed/`.
const MOST_NAMES: u32 = 10_000;

/// What became of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is here now.
    Moved(PathBuf),
    /// It stays where it was.
    Kept,
    /// It is deleted.
    Deleted,
    /// It was gone already: an earlier attempt moved it, or somebody else did.
    Gone,
    /// Another file is in its place, and was left there as a new arrival.
    Replaced,
}

/// Settles the source of a committed job, durably. Safe to repeat.
///
/// # Errors
/// What the file system says; the source is where it was, or under its private name, which a repetition finds.
pub(super) fn settle(job: &CommittedJob, route: &Route) -> io::Result<Settled> {
    let action = if job.outcome == Outcome::Converted { route.after.success } else { route.after.error };
    let settled = settle_source(job, route)?;
    members::follow(&job.job, route, action, &settled)?;
    Ok(settled)
}

fn settle_source(job: &CommittedJob, route: &Route) -> io::Result<Settled> {
    let success = job.outcome == Outcome::Converted;
    let action = if success { route.after.success } else { route.after.error };
    if action == AfterAction::Keep {
        return Ok(if job.job.location.exists() { Settled::Kept } else { Settled::Gone });
    }
    let private = private_name(job);
    let base = if success { route.intake.done_dir() } else { route.intake.failed_dir() };
    let Some(held) = take(job, &private)? else {
        if let Some(target) = moved_already(job, route, &base)? {
            remove_old_sidecar(job, route, &target);
            return Ok(Settled::Moved(target));
        }
        return Ok(if identity_at(&job.job.location)?.is_none() { Settled::Gone } else { Settled::Replaced });
    };
    if held != job.job.identity {
        put_back(&private, &job.job.location)?;
        return Ok(Settled::Replaced);
    }
    crash::point("before_move");
    let settled = match action {
        AfterAction::Delete => {
            fs::remove_file(&private)?;
            files::sync_parent(&private)?;
            Settled::Deleted
        }
        AfterAction::Move | AfterAction::Archive | AfterAction::Keep => Settled::Moved(move_away(job, route, &private, &base, !success)?),
    };
    crash::point("after_move");
    Ok(settled)
}

/// Renames the source to its private name, unless that has happened already, and gives the identity of what is under that name. None
/// where the source is gone or plainly another file.
fn take(job: &CommittedJob, private: &Path) -> io::Result<Option<FileIdentity>> {
    if let Some(held) = identity_at(private)? {
        return Ok(Some(held));
    }
    // A file that differs already is not even touched; one that takes the place in the next instant is caught by the second look.
    if identity_at(&job.job.location)? != Some(job.job.identity) {
        return Ok(None);
    }
    match files::rename_new(&job.job.location, private) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    }
    identity_at(private)
}

/// The private name is in the source's folder, hidden, and derived from the job, so that a restart finds it.
fn private_name(job: &CommittedJob) -> PathBuf {
    job.job.location.with_file_name(format!("{}{}", crate::intake::PRIVATE_PREFIX, job.job.id))
}

fn put_back(private: &Path, location: &Path) -> io::Result<()> {
    match files::rename_new(private, location) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            (1..)
                .map(|n| with_suffix(location, &format!("~{n}")))
                .find_map(|name| match files::rename_new(private, &name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    other => Some(other),
                })
                .unwrap_or(Err(error))?;
        }
        other => other?,
    }
    files::sync_parent(location)
}

/// Moves the source to `base/<date>/<its folders>/<its name>`, with its sidecar where it failed. The sidecar is there first: a source is
/// never in `failed/` without its reason.
fn move_away(job: &CommittedJob, route: &Route, private: &Path, base: &Path, failed: bool) -> io::Result<PathBuf> {
    for target in targets(job, route, base) {
        if let Some(folder) = target.parent() {
            files::create_folder(folder)?;
        }
        match identity_at(&target)? {
            Some(found) if is_the_source(job, found, &target) => {
                // A power cut or a kill came between the two halves of the move: the new name is there, and the old one still.
                remove_old_sidecar(job, route, &target);
                files::sync_parent(&target)?;
                fs::remove_file(private)?;
                files::sync_parent(private)?;
                return Ok(target);
            }
            Some(_) => continue,
            None => {}
        }
        if failed {
            files::write_whole(&sidecar::path(&target), &sidecar::content(job))?;
        }
        // Before the move: a file that is in `done/` has no reason left in `failed/`.
        remove_old_sidecar(job, route, &target);
        match files::move_new(private, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            other => other?,
        }
        return Ok(target);
    }
    Err(io::Error::other(format!("no free name for {} in {}", job.job.path, base.display())))
}

/// Where the source may go, the first choice first: `base/<date>/<its folders>/<its name>`, and names like it. Always the same for a job.
fn targets(job: &CommittedJob, route: &Route, base: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let wanted = base.join(date_of(job.finished_ms)).join(relative(job, route));
    let short_id: String = job.job.id.as_str().chars().take(8).collect();
    (0..=MOST_NAMES).map(move |n| match n {
        0 => wanted.clone(),
        1 => with_suffix(&wanted, &format!("-{short_id}")),
        n => with_suffix(&wanted, &format!("-{short_id}-{n}")),
    })
}

/// Whether what is at `target` is the source itself under a second name, or a whole copy of it on another file system.
fn is_the_source(job: &CommittedJob, found: FileIdentity, target: &Path) -> bool {
    let wanted = job.job.identity;
    if found.device == wanted.device {
        // Other platforms' numbers do not tell two files apart for certain, and their renames have no halves.
        return cfg!(unix) && found == wanted;
    }
    let alike = (found.size, found.modified_ns) == (wanted.size, wanted.modified_ns);
    let digest = || sha256_reader(&mut fs::File::open(target).ok()?).ok();
    alike && digest().is_some_and(|(digest, _)| digest == job.job.digest)
}

/// Where the source is, if it was moved before a crash that came ahead of the record of it. A file that was copied from another file system
/// has its size and time, and not its number.
fn moved_already(job: &CommittedJob, route: &Route, base: &Path) -> io::Result<Option<PathBuf>> {
    let wanted = job.job.identity;
    for target in targets(job, route, base) {
        let Some(found) = identity_at(&target)? else { break };
        let copied = found.device != wanted.device && (found.size, found.modified_ns) == (wanted.size, wanted.modified_ns);
        if found == wanted || copied {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

/// A source that failed once and now left `failed/` leaves its old sidecar behind, unless it failed again and has a new one in its place.
fn remove_old_sidecar(job: &CommittedJob, route: &Route, target: &Path) {
    if job.job.location != target && job.job.location.starts_with(route.intake.failed_dir()) {
        let _ = fs::remove_file(sidecar::path(&job.job.location));
    }
}

/// The source's path below the intake, or below the dated folder of `failed/` where it was converted from there.
fn relative(job: &CommittedJob, route: &Route) -> PathBuf {
    let location = &job.job.location;
    let below_failed = location.strip_prefix(route.intake.failed_dir()).ok().map(|path| path.components().skip(1).collect::<PathBuf>());
    let below = below_failed.or_else(|| location.strip_prefix(&route.intake.path).ok().map(Path::to_path_buf));
    // A route without a folder has the empty path, which everything is below of.
    let below = below.filter(|path| path.is_relative());
    match below {
        Some(path) if !path.as_os_str().is_empty() => path,
        _ => location.file_name().map(PathBuf::from).unwrap_or_else(|| PathBuf::from(job.job.id.as_str())),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn identity_at(path: &Path) -> io::Result<Option<FileIdentity>> {
    match FileIdentity::at(path) {
        Ok(identity) => Ok(Some(identity)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The UTC day, as `2026-11-22`.
fn date_of(ms: i64) -> String {
    let day = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    day.to_string()
}

/// Deletes the dated folders of `done/` and `failed/` that are older than the route keeps them.
///
/// # Errors
/// What the file system says.
pub fn remove_expired(route: &Route, now_ms: i64) -> io::Result<()> {
    if route.after.keep_days == 0 {
        return Ok(());
    }
    let oldest = date_of(now_ms - i64::from(route.after.keep_days) * 86_400_000);
    for base in [route.intake.done_dir(), route.intake.failed_dir()] {
        let entries = match fs::read_dir(&base) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let dated = name.to_str().filter(|name| name.parse::<jiff::civil::Date>().is_ok());
            if dated.is_some_and(|day| *day < *oldest) && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
                tracing::info!(folder = %entry.path().display(), keep_days = route.after.keep_days, "removed settled files that are older than the route keeps them");
            }
        }
    }
    Ok(())
}
