//! Settling the source: the very file that was converted goes to `done/` or `failed/`, as it is or compressed, or is deleted, or stays. A file that took its place
//! meanwhile is left alone.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{archive, members, sidecar};
use crate::config::{AfterAction, Config, Route};
use crate::crash;
use crate::digest::sha256_reader;
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::{CommittedJob, Outcome};
use crate::sandbox::ErrorType;

/// Names that are tried for a source whose name is taken in `done/` or `failed/`.
pub(super) const MOST_NAMES: u32 = 10_000;

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
    /// Nobody knows where it belongs: its route is not configured any more.
    NoRoute,
}

/// What was done with one source, and what it takes until that is durable.
struct Step {
    settled: Settled,
    /// To be synced.
    touched: Vec<PathBuf>,
    /// This has a copy or a second name, and goes once that is durable.
    copied: Option<PathBuf>,
}

impl From<Settled> for Step {
    fn from(settled: Settled) -> Step {
        Step { settled, touched: Vec::new(), copied: None }
    }
}

/// Settles the sources of committed jobs, durably: each folder is synced once for all of them. Safe to repeat. An error is what the file
/// system says of one of them: it is where it was, or under its private name, which a repetition finds, or already where it belongs.
pub(super) fn settle_all(jobs: &[CommittedJob], config: &Config) -> Vec<io::Result<Settled>> {
    let mut folders = HashSet::new();
    let mut steps: Vec<io::Result<Step>> = jobs
        .iter()
        .map(|job| match config.routes.iter().find(|route| route.name == job.job.route) {
            Some(route) => settle(job, route, &mut folders),
            None => Ok(Settled::NoRoute.into()),
        })
        .collect();
    sync_touched(&mut steps);
    for result in &mut steps {
        let Ok(step) = result else { continue };
        if let Some(copied) = step.copied.take() {
            step.touched = copied.parent().map(Path::to_path_buf).into_iter().collect();
            if let Err(error) = fs::remove_file(&copied) {
                *result = Err(error);
            }
        } else {
            step.touched.clear();
        }
    }
    sync_touched(&mut steps);
    let routes = |job: &CommittedJob| config.routes.iter().find(|route| route.name == job.job.route);
    steps
        .into_iter()
        .zip(jobs)
        .map(|(step, job)| {
            let settled = step?.settled;
            if let Some(route) = routes(job) {
                members::follow(job, route, action(job, route), &settled)?;
            }
            Ok(settled)
        })
        .collect()
}

/// Syncs every folder that was touched. What touched one that cannot be synced has failed.
fn sync_touched(steps: &mut [io::Result<Step>]) {
    let touched: BTreeSet<PathBuf> = steps.iter().flatten().flat_map(|step| step.touched.iter().cloned()).collect();
    for folder in touched {
        let Err(error) = files::sync_folder(&folder) else { continue };
        for result in steps.iter_mut().filter(|result| result.as_ref().is_ok_and(|step| step.touched.contains(&folder))) {
            *result = Err(io::Error::new(error.kind(), format!("cannot make what is in {} durable: {error}", folder.display())));
        }
    }
}

/// What the route says is to become of the source.
fn action(job: &CommittedJob, route: &Route) -> AfterAction {
    if job.is_dry_run() {
        return AfterAction::Keep;
    }
    match if job.outcome == Outcome::Converted { route.after.success } else { route.after.error } {
        // A plugin that comes later converts it from where it is.
        AfterAction::Archive if job.error_type == Some(ErrorType::NoConverter) => AfterAction::Move,
        action => action,
    }
}

fn settle(job: &CommittedJob, route: &Route, folders: &mut HashSet<PathBuf>) -> io::Result<Step> {
    let success = job.outcome == Outcome::Converted;
    let action = action(job, route);
    if action == AfterAction::Keep {
        return Ok(if identity_at(&job.job.location)?.is_some() { Settled::Kept } else { Settled::Gone }.into());
    }
    let private = private_name(job);
    let way = Way { job, route, base: if success { route.intake.done_dir() } else { route.intake.failed_dir() }, failed: !success, action };
    let Some(held) = take(job, &private)? else {
        if let Some(target) = way.moved_already()? {
            remove_old_sidecar(job, route, &target);
            return Ok(Settled::Moved(target).into());
        }
        return Ok(if identity_at(&job.job.location)?.is_none() { Settled::Gone } else { Settled::Replaced }.into());
    };
    if held != job.job.identity {
        put_back(&private, &job.job.location)?;
        return Ok(Settled::Replaced.into());
    }
    crash::point("before_move");
    let step = if action == AfterAction::Delete {
        fs::remove_file(&private)?;
        Step { settled: Settled::Deleted, touched: private.parent().map(Path::to_path_buf).into_iter().collect(), copied: None }
    } else {
        way.move_away(&private, folders)?
    };
    crash::point("after_move");
    Ok(step)
}

/// Renames the source to its private name, unless that has happened already, and gives the identity of what is under that name. None
/// where the source is gone or plainly another file.
fn take(job: &CommittedJob, private: &Path) -> io::Result<Option<FileIdentity>> {
    // A file that differs already is not even touched; one that takes the place in the next instant is caught by the look at what was renamed.
    if identity_at(&job.job.location)? == Some(job.job.identity) {
        match files::rename_new(&job.job.location, private) {
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists].contains(&error.kind()) => {}
            other => other?,
        }
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

/// The way of one source to `done/` or `failed/`.
struct Way<'a> {
    job: &'a CommittedJob,
    route: &'a Route,
    base: PathBuf,
    failed: bool,
    action: AfterAction,
}

impl Way<'_> {
    /// Moves the source to `base/<date>/<its folders>/<its name>`, with its sidecar where it failed. The sidecar is there first: a source is
    /// never in `failed/` without its reason.
    fn move_away(&self, private: &Path, folders: &mut HashSet<PathBuf>) -> io::Result<Step> {
        for target in self.targets() {
            let folder = target.parent().unwrap_or(&self.base);
            if !folders.contains(folder) {
                files::create_folder(folder)?;
                folders.insert(folder.to_path_buf());
            }
            let touched = [folder, private.parent().unwrap_or(folder)].map(Path::to_path_buf).to_vec();
            if fs::symlink_metadata(&target).is_ok() {
                // A power cut or a kill came between the two halves of a move: the new name is there, and the old one still.
                if self.is_copy(&target) || self.is_second_name(&target) {
                    remove_old_sidecar(self.job, self.route, &target);
                    return Ok(Step { settled: Settled::Moved(target), touched, copied: Some(private.into()) });
                }
                continue;
            }
            if self.failed {
                files::write_whole(&sidecar::path(&target), &sidecar::content(self.job))?;
            }
            // Before the move: a file that is in `done/` has no reason left in `failed/`.
            remove_old_sidecar(self.job, self.route, &target);
            match self.put(private, &target) {
                Ok(Put::Moved) => return Ok(Step { settled: Settled::Moved(target), touched, copied: None }),
                Ok(Put::Copied) => return Ok(Step { settled: Settled::Moved(target), touched, copied: Some(private.into()) }),
                Ok(Put::Changed) => {
                    put_back(private, &self.job.job.location)?;
                    return Ok(Settled::Replaced.into());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("cannot bring it to {}: {error}", target.display()))),
            }
        }
        Err(io::Error::other(format!("no free name for {} in {}", self.job.job.path, self.base.display())))
    }

    /// Brings the source to a name that nothing has; the folder is not synced yet.
    fn put(&self, private: &Path, target: &Path) -> io::Result<Put> {
        let temporary = files::temporary_beside(target);
        let digest = if self.action == AfterAction::Archive {
            archive::compress(private, &temporary, &self.job.job.id)
        } else {
            match second_name(private, target) {
                Ok(true) => return Ok(Put::Copied),
                Ok(false) => match files::rename_new(private, target) {
                    Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
                    other => return other.map(|()| Put::Moved),
                },
                Err(error) => return Err(error),
            }
            files::copy_synced(private, &temporary).and_then(|()| digest_of(&temporary))
        };
        let discard = || drop(fs::remove_file(&temporary));
        let digest = digest.inspect_err(|_| discard())?;
        // Somebody may still be writing to it, under whatever name: then it is not what was converted.
        if digest != self.job.job.digest || FileIdentity::at(private)? != self.job.job.identity {
            discard();
            return Ok(Put::Changed);
        }
        files::rename_new(&temporary, target).inspect_err(|_| discard())?;
        Ok(Put::Copied)
    }

    /// Where the source may go, the first choice first: `base/<date>/<its folders>/<its name>`, and names like it. Always the same for a job.
    fn targets(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let wanted = self.base.join(date_of(self.job.finished_ms)).join(relative(self.job, self.route));
        let short_id: String = self.job.job.id.as_str().chars().take(8).collect();
        let archived = self.action == AfterAction::Archive;
        (0..=MOST_NAMES).map(move |n| {
            let name = match n {
                0 => wanted.clone(),
                1 => with_suffix(&wanted, &format!("-{short_id}")),
                n => with_suffix(&wanted, &format!("-{short_id}-{n}")),
            };
            if archived { archive::name_of(&name) } else { name }
        })
    }

    /// Where the source is, if it was moved before a crash that came ahead of the record of it.
    fn moved_already(&self) -> io::Result<Option<PathBuf>> {
        for target in self.targets() {
            if identity_at(&target)?.is_none() {
                break;
            }
            if self.is_second_name(&target) || self.is_copy(&target) {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }

    /// Whether a file is the source, under this name too or alone. Other platforms' numbers do not tell two files apart for certain: there,
    /// its bytes do.
    fn is_second_name(&self, path: &Path) -> bool {
        let job = &self.job.job;
        identity_at(path).is_ok_and(|found| found == Some(job.identity))
            && (cfg!(unix) || digest_of(path).is_ok_and(|digest| digest == job.digest))
    }

    /// Whether a file is the source, compressed, or copied from another file system: that has its size, time and bytes, and not its number.
    fn is_copy(&self, path: &Path) -> bool {
        let job = &self.job.job;
        if self.action == AfterAction::Archive {
            return archive::is_of(path, &job.id);
        }
        let like = |found: FileIdentity| {
            // Where devices have no numbers, a copy of equal bytes may be from anywhere.
            (found.device != job.identity.device || !cfg!(unix))
                && (found.size, found.modified_ns) == (job.identity.size, job.identity.modified_ns)
        };
        identity_at(path).is_ok_and(|found| found.is_some_and(like)) && digest_of(path).is_ok_and(|digest| digest == job.digest)
    }
}

/// How a source came to its new name.
enum Put {
    /// Under that name only.
    Moved,
    /// Under both, of which the old one is to go.
    Copied,
    /// Not at all: it is not what was converted.
    Changed,
}

/// Gives a file a second name, if the file system can. The two names of a rename from folder to folder need not become durable together,
/// and many sources share the syncs of their folders: the old name goes when the new one is durable, and not before.
fn second_name(path: &Path, second: &Path) -> io::Result<bool> {
    if !cfg!(unix) {
        return Ok(false);
    }
    match fs::hard_link(path, second) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // What else there is, a rename says too.
        Err(_) => Ok(false),
    }
}

fn digest_of(path: &Path) -> io::Result<String> {
    sha256_reader(&mut File::open(path)?).map(|(digest, _)| digest)
}

/// A source that failed once and now left `failed/` leaves its old sidecar behind, unless it failed again and has a new one in its place.
fn remove_old_sidecar(job: &CommittedJob, route: &Route, target: &Path) {
    if job.job.location != target && job.job.location.starts_with(route.intake.failed_dir()) {
        let _ = fs::remove_file(sidecar::path(&job.job.location));
    }
}

/// The source's path below the intake, or below the dated folder of `failed/` or `done/` where it was converted from there.
fn relative(job: &CommittedJob, route: &Route) -> PathBuf {
    let location = &job.job.location;
    let dated = |folder: PathBuf| location.strip_prefix(folder).ok().map(|path| path.components().skip(1).collect::<PathBuf>());
    let settled_before = dated(route.intake.failed_dir()).or_else(|| dated(route.intake.done_dir()));
    let below = settled_before.or_else(|| location.strip_prefix(&route.intake.path).ok().map(Path::to_path_buf));
    // A route without a folder has the empty path, which everything is below of.
    let below = below.filter(|path| path.is_relative());
    match below {
        Some(path) if !path.as_os_str().is_empty() => path,
        _ => location.file_name().map(PathBuf::from).unwrap_or_else(|| PathBuf::from(job.job.id.as_str())),
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
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
pub(super) fn date_of(ms: i64) -> String {
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
