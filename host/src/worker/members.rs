//! The members that a converter sees: the copies that were made when the job was queued, or the entries of a zip file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Context;
use super::archive;
use crate::queue::Job;
use crate::sandbox::{FileSource, Member, Source};

/// The names of a job's members with the SHA-256 of each, for the cache. What is in a zip file follows from the file's own bytes; that it
/// is taken for one does not.
pub(super) fn digests(job: &Job) -> Vec<(String, String)> {
    if is_zip(job) {
        return vec![("the entries of a zip file".into(), String::new())];
    }
    job.members.iter().map(|member| (member.name.clone(), member.digest.clone())).collect()
}

fn is_zip(job: &Job) -> bool {
    job.members.is_empty() && Path::new(&job.path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// The members of a job, in the order of their names.
///
/// # Errors
/// Where a zip file cannot be read from the disk; one that is damaged or out of bounds has no members.
pub(super) fn of(context: &Context, job: &Job, source: &File) -> io::Result<Vec<Member>> {
    if is_zip(job) {
        return archive::members(job, source, &context.config.state_dir);
    }
    let mut members: Vec<Member> =
        job.members.iter().map(|member| copied(member.name.clone(), context.config.state_dir.join(&member.location))).collect();
    // Paths are sorted by their parts, names by their bytes.
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn copied(name: String, path: PathBuf) -> Member {
    let open = move || -> io::Result<Box<dyn Source>> { Ok(Box::new(FileSource::new(File::open(&path)?)?)) };
    Member { name, open: Box::new(open) }
}
