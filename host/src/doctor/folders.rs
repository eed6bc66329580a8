//! The folders: are they there, may they be read and written, and what kind of disk are they on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::Findings;
use crate::config::{AfterAction, Config, Destination, Route};
use crate::daemon::StateLock;
use crate::files;
use crate::intake::is_remote;
use crate::metrics::disk_free_bytes;
use crate::queue::{QUEUE_FILE, QueueError, Store};
use crate::shown::bytes;

/// The entries of an inbox that are read to see whether it can be read.
const SOME_ENTRIES: usize = 1000;

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    state(config, findings);
    log(config, findings);
    for route in &config.routes {
        if route.intake.has_folder() {
            inbox(route, findings);
        }
        for destination in &route.destinations {
            if let Destination::Folder(folder) = destination {
                outbox(route, &folder.path, findings);
            }
        }
    }
}

fn state(config: &Config, findings: &mut Findings) {
    let (subject, folder) = ("state_dir", config.state_dir.as_path());
    let at = folder.display();
    if !folder.exists() {
        return match nearest(folder).map(writable) {
            Some(Ok(())) => findings.ok(subject, format!("{at} is not there yet; the daemon will create it")),
            _ => findings.problem(
                subject,
                format!("{at} is not there and cannot be created"),
                "create it for the daemon's user, or set `state_dir`",
            ),
        };
    }
    if let Err(error) = writable(folder) {
        let remedy = "run this as the daemon's user; if that user it is, give it the folder, or set another `state_dir`";
        return findings.problem(subject, format!("{at} cannot be written: {error}"), remedy);
    }
    if is_remote(folder) {
        let text = format!("{at} is on a network share or in user space, where the queue's database is not safe");
        findings.problem(subject, text, "set `state_dir` to a folder on a local disk");
    }
    match StateLock::holder(folder) {
        Ok(Some(holder)) => findings.ok(subject, format!("{at} can be written; a daemon runs with it, process {holder}")),
        Ok(None) => findings.ok(subject, format!("{at} can be written; no daemon runs with it")),
        Err(error) => findings.problem(subject, error.to_string(), "give the daemon's user the folder"),
    }
    match Store::beside(&folder.join(QUEUE_FILE)) {
        Ok(_) => findings.ok("queue", "its database can be read"),
        Err(QueueError::Absent { .. }) => findings.ok("queue", "there is none yet; the daemon will make it"),
        Err(error @ QueueError::Older { .. }) => {
            findings.warning("queue", error.to_string(), "nothing, unless this is to be the older program")
        }
        Err(error) => findings.problem("queue", error.to_string(), "see `docs/queue.md`, When the database is lost"),
    }
    #[cfg(unix)]
    token(&folder.join("token"), findings);
    match disk_free_bytes(folder) {
        Ok(free) => disk(config, free, findings),
        Err(error) => findings.warning("disk", format!("how much is free cannot be asked: {error}"), "see to it that it does not fill"),
    }
}

fn log(config: &Config, findings: &mut Findings) {
    let Some(file) = &config.log.file else { return };
    let at = file.display();
    match nearest(file.parent().unwrap_or(file)).map(writable) {
        Some(Ok(())) => findings.ok("log", format!("{at} can be written")),
        Some(Err(error)) => findings.problem("log", format!("{at} cannot be written: {error}"), "give the daemon's user its folder"),
        None => findings.problem("log", format!("{at} is nowhere"), "name a file whose disk is there"),
    }
}

fn disk(config: &Config, free: u64, findings: &mut Findings) {
    let floor = config.min_free_bytes;
    let text = format!("{} free; intake stops below `min_free_bytes`, {}", bytes(free), bytes(floor));
    if free < floor {
        findings.problem("disk", text, "free some, or set `min_free_bytes` lower");
    } else if free < floor.saturating_mul(2) {
        findings.warning("disk", text, "free some before it does");
    } else {
        findings.ok("disk", text);
    }
}

/// Whoever reads the token may change what the daemon does.
#[cfg(unix)]
fn token(path: &Path, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt as _;
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let text = format!("others than its owner may read {}", path.display());
            findings.problem(
                "token",
                text,
                format!("chmod 600 {}, and delete it if somebody has read it: a new one is made", path.display()),
            );
        }
        Ok(_) => findings.ok("token", "only its owner may read it"),
        Err(_) => {}
    }
}

fn inbox(route: &Route, findings: &mut Findings) {
    let (subject, folder) = (format!("route {}", route.name), route.intake.path.as_path());
    let at = format!("its inbox {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.take(SOME_ENTRIES).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound && route.intake.create => {
            return findings.ok(&subject, format!("{at} is not there yet; the daemon will create it"));
        }
        Err(error) => Err(error),
    };
    if let Err(error) = entries {
        let remedy = "create it, mount it, or give it to the daemon's user; until then the route waits for it";
        return findings.problem(&subject, format!("{at} cannot be read: {error}"), remedy);
    }
    let moves = [route.after.success, route.after.error].iter().any(|action| *action != AfterAction::Keep);
    if let Some(error) = moves.then(|| writable(folder)).and_then(Result::err) {
        let remedy = "give the daemon's user the folder, or leave files where they are: `after = { success = \"keep\", error = \"keep\" }`";
        return findings.problem(&subject, format!("{at} can be read, but nothing can be moved out of it: {error}"), remedy);
    }
    findings.ok(
        &subject,
        if is_remote(folder) { format!("{at} is on a share, and is looked through every few seconds") } else { at + " is in order" },
    );
}

fn outbox(route: &Route, folder: &Path, findings: &mut Findings) {
    let (subject, at) = (format!("route {}", route.name), format!("its destination {}", folder.display()));
    match nearest(folder).map(writable) {
        Some(Ok(())) if folder.exists() => findings.ok(&subject, format!("{at} can be written")),
        Some(Ok(())) => findings.ok(&subject, format!("{at} is not there yet; the daemon will create it")),
        Some(Err(error)) => findings.problem(&subject, format!("{at} cannot be written: {error}"), "give the daemon's user the folder"),
        None => findings.problem(&subject, format!("{at} is nowhere"), "name a folder whose disk is there"),
    }
}

/// The folder itself, or the one in which it would be created.
fn nearest(folder: &Path) -> Option<&Path> {
    folder.ancestors().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).find(|folder| folder.is_dir())
}

/// Writes a file, durably, and removes it.
fn writable(folder: &Path) -> io::Result<()> {
    // Under a name that no intake takes.
    let path = folder.join(format!("{}doctor-{}", files::TEMPORARY_PREFIX, std::process::id()));
    let written =
        File::create_new(&path).and_then(|mut file| file.write_all(b"written to see whether it can be").and_then(|()| file.sync_all()));
    let removed = match &written {
        Ok(()) => fs::remove_file(&path),
        Err(_) => {
            let _ = fs::remove_file(&path);
            Ok(())
        }
    };
    written.and(removed)
}
