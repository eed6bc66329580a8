//! The spool: documents of committed jobs, each a file named by its job and its number, beside manifests that say what they are.
//! What is there counts only once the queue says that its job is committed, so a document needs no temporary name; and it goes when its job
//! ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::manifest::{self, Manifests};
use crate::crash;
use crate::digest::Hasher;
use crate::files;
use crate::queue::{Committed, InSpool, Job, JobId, Store};
use crate::sandbox::{DocumentSink, DocumentWriter};

/// The spool's name in the state folder.
pub const SPOOL_FOLDER: &str = "spool";

/// The folder that holds the documents of committed jobs.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Jobs that end, and whose documents are to be removed. A job that begins anew is taken out: the documents are the new one's.
    ending: Mutex<HashSet<JobId>>,
    /// How many documents the conversions that run have begun.
    numbers: Mutex<HashMap<JobId, u32>>,
    /// Documents that are finished and not synced yet.
    unsynced: Mutex<HashMap<JobId, Vec<File>>>,
    manifests: Manifests,
}

/// Documents of one conversion that stay open until they are synced; further ones are synced as they are finished.
const MOST_UNSYNCED: usize = 16;

impl Spool {
    /// Opens or creates the spool.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: PathBuf) -> io::Result<Spool> {
        files::create_folder(&folder)?;
        let manifests = Manifests::new(folder.clone());
        let (ending, numbers, unsynced) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Spool { shared: Arc::new(Shared { folder, ending, numbers, unsynced, manifests }) })
    }

    /// A sink for the documents of a job; they replace what an earlier attempt left.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin(&self, job: &JobId) -> io::Result<Box<dyn DocumentSink>> {
        lock(&self.shared.ending).remove(job);
        lock(&self.shared.numbers).insert(job.clone(), 0);
        lock(&self.shared.unsynced).remove(job);
        Ok(Box::new(Sink { spool: self.clone(), job: job.clone() }))
    }

    /// Gives the jobs whose documents are here to a queue that has lost them, and says how many. What does not belong to a job that is here whole
    /// goes to `lost` beside the spool: it is not deleted.
    ///
    /// # Errors
    /// Where the spool cannot be read, or the queue not be written.
    pub fn restore(&self, store: &Store) -> anyhow::Result<u64> {
        let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for entry in fs::read_dir(&self.shared.folder)? {
            let path = entry?.path();
            if manifest::number_of(&path).is_none() {
                let job = job_of(&path).map_or_else(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned(), str::to_string);
                files.entry(job).or_default().push(path);
            }
        }
        let jobs: Vec<String> = files.keys().cloned().collect();
        let put_aside = |job: &str, error: &dyn std::fmt::Display| {
            tracing::error!(job, %error, "it is not known what these documents are; they are put into `lost` beside the spool");
            files.get(job).into_iter().flatten().try_for_each(|path| self.put_aside(path))
        };
        let mut restored = 0;
        let unknown = self.shared.manifests.read(store.unknown(&jobs)?, |manifest| {
            match manifest.check(|job, number| self.document(job, number)) {
                Ok(()) => {
                    store.restore(manifest.job, manifest.committed)?;
                    restored += 1;
                }
                Err(error) => put_aside(manifest.job.id.as_str(), &error)?,
            }
            Ok(())
        })?;
        unknown.iter().try_for_each(|job| put_aside(job, &"no manifest has them"))?;
        Ok(restored)
    }

    /// Puts a file aside that nobody knows.
    fn put_aside(&self, path: &Path) -> io::Result<()> {
        let lost = self.shared.folder.with_file_name("lost").join(path.file_name().unwrap_or_default());
        files::create_folder(lost.parent().unwrap_or(&lost))?;
        fs::rename(path, &lost)?;
        files::sync_parent(&lost)
    }

    /// Makes the documents that a sink of [`Spool::begin`] took durable, but for their names.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sync_documents(&self, job: &JobId) -> io::Result<()> {
        let unsynced = lock(&self.shared.unsynced).remove(job).unwrap_or_default();
        unsynced.iter().try_for_each(File::sync_all)
    }

    /// Makes the documents of jobs durable, and says in the spool itself what is to become of them. They are the jobs' own as soon as the queue
    /// has them committed. What happens for many at once costs little more than for one.
    ///
    /// # Errors
    /// For each job, what the file system says.
    pub fn complete(&self, jobs: &[(Job, Box<Committed>)]) -> Vec<io::Result<()>> {
        let unsynced = lock(&self.shared.unsynced);
        jobs.iter().filter_map(|(job, _)| unsynced.get(&job.id)).flatten().for_each(files::begin_sync);
        drop(unsynced);
        let mut results: Vec<io::Result<()>> = jobs
            .iter()
            .map(|(job, committed)| {
                self.sync_documents(&job.id)?;
                if committed.documents.is_empty() {
                    return Ok(());
                }
                self.shared.manifests.add(job, committed, |job, number| self.document(job, number))
            })
            .collect();
        let some = jobs.iter().any(|(_, committed)| !committed.documents.is_empty());
        if some && let Err(error) = files::sync_folder(&self.shared.folder) {
            for result in &mut results {
                *result = Err(io::Error::new(error.kind(), error.to_string()));
            }
        }
        for ((job, _), _) in jobs.iter().zip(&results).filter(|(_, result)| result.is_ok()) {
            lock(&self.shared.numbers).remove(&job.id);
        }
        results
    }

    /// Discards what a sink of [`Spool::begin`] took.
    pub fn discard(&self, job: &JobId) {
        let numbers = lock(&self.shared.numbers).remove(job).unwrap_or(0);
        lock(&self.shared.unsynced).remove(job);
        self.remove_all(job, numbers);
    }

    /// Discards what a sink took in a process that has ended.
    pub fn discard_from_outside(&self, job: &JobId) {
        let entries = fs::read_dir(&self.shared.folder).into_iter().flatten().flatten();
        let number = |path: &Path| document_of(path).filter(|(of, _)| *of == job.as_str()).map(|(_, number)| number);
        if let Some(last) = entries.filter_map(|entry| number(&entry.path())).max() {
            self.remove_all(job, last.saturating_add(1));
        }
    }

    /// Puts second links to the documents of jobs, and to what says what they are, into `to`, or copies where there are no links.
    ///
    /// # Errors
    /// What the file system says.
    pub fn link_to(&self, jobs: &[InSpool], to: &Path) -> io::Result<()> {
        let documents = jobs.iter().flat_map(|job| (0..job.documents).map(|number| self.document(&job.job, number)));
        let manifests = self.shared.manifests.files()?.into_iter().map(|(_, path)| path);
        for path in documents.chain(manifests) {
            let target = to.join(path.file_name().unwrap_or_default());
            match fs::hard_link(&path, &target).or_else(|_| fs::copy(&path, &target).map(drop)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where a document is.
    pub fn document(&self, job: &JobId, number: u32) -> PathBuf {
        self.shared.folder.join(format!("{job}.{number}"))
    }

    /// Says that jobs are about to end. From the moment in which that is durable, their ids can be those of new jobs.
    pub fn ending(&self, jobs: &[InSpool]) {
        lock(&self.shared.ending).extend(jobs.iter().map(|ended| ended.job.clone()));
    }

    /// Removes the documents of jobs that have ended, unless they have begun anew.
    pub fn remove(&self, jobs: &[InSpool]) {
        for InSpool { job, documents } in jobs {
            // Held while they are removed, so that a new one begins after that.
            let mut ending = lock(&self.shared.ending);
            if ending.remove(job) {
                self.remove_all(job, *documents);
            }
        }
    }

    /// Removes what belongs to no committed job, or has a number above those of its documents: a crash left it, or a power cut brought back what
    /// was discarded. Lower numbers go with the job.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clean(&self, committed: &[InSpool]) -> io::Result<()> {
        let committed: HashMap<&str, u32> = committed.iter().map(|InSpool { job, documents }| (job.as_str(), *documents)).collect();
        for entry in fs::read_dir(&self.shared.folder)? {
            let path = entry?.path();
            let needed = match document_of(&path) {
                Some((job, number)) => committed.get(job).is_some_and(|documents| number < *documents),
                None => manifest::number_of(&path).is_some(),
            };
            if !needed {
                fs::remove_file(path)?;
            }
        }
        self.shared.manifests.clean(|job| committed.contains_key(job))
    }

    /// Removes everything of a job that nobody will commit, whose documents have numbers below one.
    pub fn remove_all(&self, job: &JobId, numbers: u32) {
        for path in (0..numbers).map(|number| self.document(job, number)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(document = %path.display(), %error, "cannot remove a document that nobody needs; it goes at the next start");
                }
                _ => {}
            }
        }
    }
}

/// The job that a file of the spool belongs to.
fn job_of(path: &Path) -> Option<&str> {
    document_of(path).map(|(job, _)| job)
}

/// The job that a file of the spool belongs to, and the document's number.
fn document_of(path: &Path) -> Option<(&str, u32)> {
    let (job, number) = path.file_name()?.to_str()?.split_once('.')?;
    Some((job, number.parse().ok()?))
}

/// Locks what no panic can leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The documents of a conversion that runs.
struct Sink {
    spool: Spool,
    job: JobId,
}

impl DocumentSink for Sink {
    fn create(&mut self, number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        let path = self.spool.document(&self.job, number);
        lock(&self.spool.shared.numbers).insert(self.job.clone(), number.saturating_add(1));
        let file = match File::create_new(&path) {
            // Not over what is there: that may be linked to from a folder that it was delivered to.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                File::create_new(&path)?
            }
            // Somebody has deleted the spool: what goes through it from now on need not be lost.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::create_folder(&self.spool.shared.folder)?;
                self.spool.shared.manifests.begin_anew();
                File::create_new(&path)?
            }
            other => other?,
        };
        let (spool, job) = (self.spool.clone(), self.job.clone());
        Ok(Box::new(Spooled { spool, job, file: Some(file), path, hasher: Hasher::default() }))
    }
}

struct Spooled {
    spool: Spool,
    job: JobId,
    /// None once it is finished.
    file: Option<File>,
    path: PathBuf,
    hasher: Hasher,
}

impl DocumentWriter for Spooled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn finish(mut self: Box<Self>) -> io::Result<Option<String>> {
        if let Some(file) = &self.file {
            let mut unsynced = lock(&self.spool.shared.unsynced);
            let files = unsynced.entry(self.job.clone()).or_default();
            if files.len() < MOST_UNSYNCED {
                files.extend(self.file.take());
            } else {
                drop(unsynced);
                file.sync_all()?;
                self.file = None;
            }
        }
        crash::point("after_first_document");
        Ok(Some(std::mem::take(&mut self.hasher).finish()))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(spool: &Spool, job: &JobId, content: &[u8]) {
        let mut sink = spool.begin(job).unwrap();
        let mut document = sink.create(0, "text/plain", "x").unwrap();
        document.write(content).unwrap();
        document.finish().unwrap();
        spool.sync_documents(job).unwrap();
    }

    #[test]
    fn only_finished_documents_of_committed_jobs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("spool")).unwrap();
        let (job, other) = (JobId::from_stored("a".into()), JobId::from_stored("b".into()));
        write(&spool, &job, b"first");
        drop(spool.begin(&job).unwrap().create(1, "text/plain", "y").unwrap());
        assert_eq!(fs::read(spool.document(&job, 0)).unwrap(), b"first");
        assert!(!spool.document(&job, 1).exists());
        write(&spool, &other, b"not committed");
        fs::write(spool.document(&job, 1), "removed before a power cut, and there again").unwrap();
        spool.clean(&[InSpool { job: job.clone(), documents: 1 }]).unwrap();
        assert!(spool.document(&job, 0).exists());
        assert_eq!(fs::read_dir(folder.path().join("spool")).unwrap().count(), 1);
        spool.clean(&[]).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
        fs::remove_dir(folder.path().join("spool")).unwrap();
        write(&spool, &job, b"again");
        assert!(spool.document(&job, 0).exists());
    }

    #[test]
    fn what_begins_anew_is_not_removed_with_what_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("spool")).unwrap();
        let (ended, again) = (JobId::from_stored("a".into()), JobId::from_stored("b".into()));
        write(&spool, &ended, b"first");
        write(&spool, &again, b"first");
        let both = [&ended, &again].map(|job| InSpool { job: job.clone(), documents: 1 });
        spool.ending(&both);
        write(&spool, &again, b"second");
        spool.remove(&both);
        assert!(!spool.document(&ended, 0).exists());
        assert_eq!(fs::read(spool.document(&again, 0)).unwrap(), b"second");
    }

    #[test]
    fn what_another_process_wrote_is_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Spool::open(folder.path().join("spool")).unwrap();
        let (job, other) = (JobId::from_stored("a".into()), JobId::from_stored("b".into()));
        for id in [&job, &other] {
            write(&open(), id, b"first");
        }
        let spool = open();
        spool.discard_from_outside(&job);
        assert!(!spool.document(&job, 0).exists());
        assert!(spool.document(&other, 0).exists());
    }
}
