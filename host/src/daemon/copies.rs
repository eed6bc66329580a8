//! The members of a file, fixed: copied into the state folder and made durable before their job is queued, so that every attempt and every
//! replay sees the same bytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::Hasher;
use crate::files;
use crate::identity::FileIdentity;
use crate::intake::{Arrival, ArrivalError, ArrivedMember};
use crate::queue::{COMING, JobId, MEMBERS_FOLDER, Member};

/// The folder of the copies.
pub(super) struct Copies {
    state_dir: PathBuf,
}

/// The copies of a file's members that belong to no job yet. They go when this is dropped.
pub(super) struct Coming {
    folder: tempfile::TempDir,
    members: Vec<Member>,
}

impl Copies {
    pub(super) fn new(state_dir: PathBuf) -> Copies {
        Copies { state_dir }
    }

    fn folder(&self) -> PathBuf {
        self.state_dir.join(MEMBERS_FOLDER)
    }

    /// Copies the members of a file.
    pub(super) fn copy(&self, arrival: &Arrival, draining: &AtomicBool) -> Result<Coming, ArrivalError> {
        let cannot_write = |error: io::Error| {
            ArrivalError::Retry(format!("cannot copy the files that belong to {} to state_dir: {error}", arrival.path.display()))
        };
        files::create_folder(&self.folder()).map_err(cannot_write)?;
        let folder = tempfile::Builder::new().prefix(COMING).tempdir_in(self.folder()).map_err(cannot_write)?;
        let mut members = Vec::with_capacity(arrival.members.len());
        for (number, member) in arrival.members.iter().enumerate() {
            members.push(copy(member, &folder.path().join(number.to_string()), draining)?);
        }
        files::sync_folder(folder.path()).map_err(cannot_write)?;
        Ok(Coming { folder, members })
    }

    /// Gives the copies the place of their job, durably.
    pub(super) fn keep(&self, coming: Coming, id: &JobId) -> Result<Vec<Member>, ArrivalError> {
        let place = self.folder().join(id.as_str());
        let Coming { folder, mut members } = coming;
        // The id tells the bytes apart: what is there already is the same.
        if !place.is_dir() {
            let moved = fs::rename(folder.path(), &place).and_then(|()| files::sync_folder(&self.folder()));
            moved.map_err(|error| ArrivalError::Retry(format!("cannot keep copies as {}: {error}", place.display())))?;
        }
        for (number, member) in members.iter_mut().enumerate() {
            member.location = format!("{MEMBERS_FOLDER}/{id}/{number}");
        }
        Ok(members)
    }
}

impl Coming {
    /// The digest of a file and its members together.
    pub(super) fn digest(&self, of_file: &str) -> String {
        let mut hasher = Hasher::default();
        hasher.update(of_file.as_bytes());
        for member in &self.members {
            // The length keeps the name from running into the digest.
            hasher.update(&(member.name.len() as u64).to_le_bytes());
            hasher.update(member.name.as_bytes());
            hasher.update(member.digest.as_bytes());
        }
        hasher.finish()
    }
}

/// Copies one member, if it is and stays as it was found.
fn copy(member: &ArrivedMember, to: &Path, draining: &AtomicBool) -> Result<Member, ArrivalError> {
    let path = member.path.display();
    let retry = |what: &str, error: io::Error| ArrivalError::Retry(format!("cannot {what} {path}: {error}"));
    if member.path.to_str().is_none() {
        return Err(ArrivalError::Refused(format!("the name of {path} is not UTF-8, which the name of a member has to be; rename it")));
    }
    let mut file = File::open(&member.path).map_err(|error| retry("read", error))?;
    if FileIdentity::of(&file.metadata().map_err(|error| retry("read", error))?) != member.identity {
        return Err(ArrivalError::Retry(format!("{path} was replaced before it was read")));
    }
    let mut target = File::create_new(to).map_err(|error| retry("copy", error))?;
    let (mut hasher, mut bytes, mut buffer) = (Hasher::default(), 0, vec![0; 128 * 1024]);
    loop {
        if draining.load(Ordering::Relaxed) {
            return Err(ArrivalError::Later);
        }
        let read = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| retry("read", error))?,
        };
        let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        target.write_all(read).map_err(|error| retry("copy", error))?;
        bytes += read.len() as u64;
    }
    target.sync_all().map_err(|error| retry("copy", error))?;
    let now = FileIdentity::at(&member.path).map_err(|error| retry("read", error))?;
    if now != member.identity || bytes != member.identity.size {
        return Err(ArrivalError::Retry(format!("{path} changed while it was read")));
    }
    let FileIdentity { device, inode, modified_ns, .. } = member.identity;
    Ok(Member {
        name: member.name.clone(),
        bytes,
        digest: hasher.finish(),
        location: String::new(),
        identity: (device, inode, modified_ns),
    })
}
