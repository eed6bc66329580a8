//! The spool: documents of committed jobs, each job a folder, each document a file named by its number. A folder is complete before it gets
//! its name, and goes when the job is settled.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::manifest::{self, Manifest};
use crate::crash;
use crate::digest::Hasher;
use crate::files;
use crate::queue::{Committed, Job, JobId, Store};
use crate::sandbox::{DocumentSink, DocumentWriter};

/// The spool's name in the state folder.
pub const SPOOL_FOLDER: &str = "spool";

/// What the folder of a job is called until it is complete.
const INCOMPLETE: &str = "part";

/// The folder that holds the documents of committed jobs.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Opens or creates the spool.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: PathBuf) -> io::Result<Spool> {
        files::create_folder(&folder)?;
        Ok(Spool { folder })
    }

    /// A sink for the documents of a job; what an earlier attempt left is discarded.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin(&self, job: &JobId) -> io::Result<Box<dyn DocumentSink>> {
        let folder = self.incomplete(job);
        remove_folder(&folder)?;
        Ok(Box::new(Incomplete { folder }))
    }

    /// Says in the spool itself what is to become of the documents that a sink of [`Spool::begin`] took. Without documents there is nothing to
    /// say.
    ///
    /// # Errors
    /// What the file system says.
    pub fn describe(&self, job: &Job, committed: &Committed) -> io::Result<()> {
        if committed.documents.is_empty() { Ok(()) } else { manifest::write(&self.incomplete(&job.id), job, committed) }
    }

    /// Gives the jobs whose documents are here to a queue that has lost them, and says how many. A folder that does not say what it is goes
    /// to `lost` beside the spool: it is not deleted.
    ///
    /// # Errors
    /// Where the spool cannot be read, or the queue not be written.
    pub fn restore(&self, store: &Store) -> anyhow::Result<u64> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let complete: Vec<String> =
            names.filter(|name| !name.as_ref().is_ok_and(|name| name.ends_with(INCOMPLETE))).collect::<io::Result<_>>()?;
        let mut restored = 0;
        for name in store.unknown(&complete)? {
            let folder = self.folder.join(&name);
            match manifest::read(&folder) {
                Ok(Manifest { job, committed }) => {
                    store.restore(job, committed)?;
                    restored += 1;
                }
                Err(error) => {
                    let lost = self.folder.with_file_name("lost").join(&name);
                    files::create_folder(lost.parent().unwrap_or(&lost))?;
                    fs::rename(&folder, &lost)?;
                    files::sync_parent(&lost)?;
                    tracing::error!(folder = %lost.display(), %error, "these documents do not say which job they belong to; look at them yourself");
                }
            }
        }
        Ok(restored)
    }

    /// Makes the documents that a sink of [`Spool::begin`] took the job's own, durably. Without documents there is nothing to do.
    ///
    /// # Errors
    /// What the file system says.
    pub fn complete(&self, job: &JobId) -> io::Result<()> {
        let from = self.incomplete(job);
        if !from.exists() {
            return Ok(());
        }
        files::sync_folder(&from)?;
        let to = self.complete_folder(job);
        // A folder of that name is of an attempt whose commit failed.
        remove_folder(&to)?;
        fs::rename(&from, &to)?;
        files::sync_folder(&self.folder)
    }

    /// Discards what a sink of [`Spool::begin`] took.
    pub fn discard(&self, job: &JobId) {
        let folder = self.incomplete(job);
        if let Err(error) = remove_folder(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove discarded documents; they go at the next start");
        }
    }

    /// Puts a second link to every document of a job into a folder of its name in `to`, or a copy where there are no links. A job without
    /// documents has nothing to put there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn link_to(&self, job: &JobId, to: &Path) -> io::Result<()> {
        let (from, to) = (self.complete_folder(job), to.join(job.as_str()));
        let entries = match fs::read_dir(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        fs::create_dir(&to)?;
        for entry in entries {
            let entry = entry?;
            let target = to.join(entry.file_name());
            fs::hard_link(entry.path(), &target).or_else(|_| fs::copy(entry.path(), &target).map(drop))?;
        }
        Ok(())
    }

    /// Where a document is.
    pub fn document(&self, job: &JobId, number: u32) -> PathBuf {
        self.complete_folder(job).join(number.to_string())
    }

    /// Removes the documents of a settled job.
    pub fn remove(&self, job: &JobId) {
        let folder = self.complete_folder(job);
        if let Err(error) = remove_folder(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove delivered documents; they go at the next start");
        }
    }

    /// Removes whatever belongs to no committed job: a crash left it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clean(&self, committed: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| committed.contains(name)) {
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    fn complete_folder(&self, job: &JobId) -> PathBuf {
        self.folder.join(job.as_str())
    }

    fn incomplete(&self, job: &JobId) -> PathBuf {
        self.folder.join(format!("{job}.{INCOMPLETE}"))
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The documents of a conversion that runs.
struct Incomplete {
    folder: PathBuf,
}

impl DocumentSink for Incomplete {
    fn create(&mut self, number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        if number == 0 || !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
        }
        let path = self.folder.join(number.to_string());
        let file = File::create_new(&path)?;
        Ok(Box::new(Spooled { file, path, hasher: Hasher::default(), finished: false }))
    }
}

struct Spooled {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    finished: bool,
}

impl DocumentWriter for Spooled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Option<String>> {
        self.file.sync_all()?;
        self.finished = true;
        crash::point("after_first_document");
        Ok(Some(std::mem::take(&mut self.hasher).finish()))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_documents_of_complete_jobs_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("spool")).unwrap();
        let (job, other) = (JobId::from_stored("a".into()), JobId::from_stored("b".into()));
        let mut sink = spool.begin(&job).unwrap();
        let mut first = sink.create(0, "text/plain", "x").unwrap();
        first.write(b"first").unwrap();
        drop(sink.create(1, "text/plain", "y").unwrap());
        first.finish().unwrap();
        assert!(!spool.document(&job, 0).exists());
        spool.complete(&job).unwrap();
        assert_eq!(fs::read(spool.document(&job, 0)).unwrap(), b"first");
        assert!(!spool.document(&job, 1).exists());
        drop(spool.begin(&other).unwrap().create(0, "text/plain", "z").unwrap());
        spool.clean(&HashSet::from(["a".to_string()])).unwrap();
        assert!(spool.document(&job, 0).exists());
        spool.clean(&HashSet::new()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    }
}
