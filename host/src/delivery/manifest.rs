//! What the documents in the spool are: files beside them, with a line for each job whose documents were put there. They are read only if the
//! queue's database is lost, so they are not synced: a line costs next to nothing, and need not survive both at once.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::queue::{Committed, Job, JobId};

/// What the names of the files are made of, around their number.
const NAME: (&str, &str) = ("manifest-", ".jsonl");
/// Lines of one file.
const LINES: u32 = 10_000;

/// A job and what was made of it.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub job: Job,
    pub committed: Committed,
}

/// As much of a line as says whether it is still needed.
#[derive(Deserialize)]
struct Made {
    job: Id,
    committed: Numbers,
}

#[derive(Deserialize)]
struct Id {
    id: JobId,
}

#[derive(Deserialize)]
struct Numbers {
    documents: Vec<Number>,
}

#[derive(Deserialize)]
struct Number {
    number: u32,
}

/// The files in one folder.
#[derive(Debug)]
pub(super) struct Manifests {
    folder: PathBuf,
    current: Mutex<Option<Current>>,
}

/// The file that lines are added to. It is of this process: a line that an earlier one left unfinished stays alone in its file.
#[derive(Debug)]
struct Current {
    number: u64,
    file: File,
    lines: u32,
}

impl Manifests {
    pub fn new(folder: PathBuf) -> Manifests {
        Manifests { folder, current: Mutex::default() }
    }

    /// Adds a line. `document` says where a document is: files none of whose documents are there any more go now and then.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&self, job: &Job, committed: &Committed, document: impl Fn(&JobId, u32) -> PathBuf) -> io::Result<()> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            job: &'a Job,
            committed: &'a Committed,
        }
        let mut line = serde_json::to_vec(&Borrowed { job, committed })?;
        line.push(b'\n');
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|current| current.lines >= LINES) {
            let is_needed = |made: &Made| made.committed.documents.iter().any(|made_one| document(&made.job.id, made_one.number).exists());
            self.remove_unless(current.as_ref().map(|current| current.number), is_needed)?;
            let number = self.files()?.last().map_or(1, |(number, _)| number + 1);
            let file = File::options().append(true).create_new(true).open(self.path(number))?;
            *current = Some(Current { number, file, lines: 0 });
        }
        if let Some(current) = current.as_mut() {
            current.lines += 1;
            current.file.write_all(&line)?;
        }
        Ok(())
    }

    /// Begins a new file with the next line, because somebody has deleted the folder.
    pub fn begin_anew(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The files in their order, with their numbers.
    pub fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some(number) = number_of(&path) {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Removes the files that say nothing of any committed job.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clean(&self, is_committed: impl Fn(&str) -> bool) -> io::Result<()> {
        self.remove_unless(None, |made| is_committed(made.job.id.as_str()))
    }

    /// Gives what is known of jobs, the last that was said of each, to `found`, as long as that asks for it: `wanted` says of which.
    ///
    /// # Errors
    /// What the file system says, or `found`.
    pub fn read(
        &self,
        mut wanted: HashSet<String>,
        mut found: impl FnMut(Manifest) -> anyhow::Result<()>,
    ) -> anyhow::Result<HashSet<String>> {
        for (_, path) in self.files()?.into_iter().rev() {
            // One that a crash has left unfinished is not JSON.
            let lines: Vec<Vec<u8>> = BufReader::new(File::open(path)?).split(b'\n').collect::<io::Result<_>>()?;
            for manifest in lines.iter().rev().filter_map(|line| serde_json::from_slice::<Manifest>(line).ok()) {
                if wanted.remove(manifest.job.id.as_str()) {
                    found(manifest)?;
                }
            }
        }
        Ok(wanted)
    }

    /// Removes the files but one that have no line which is needed.
    fn remove_unless(&self, but: Option<u64>, is_needed: impl Fn(&Made) -> bool) -> io::Result<()> {
        for (number, path) in self.files()? {
            let needed = || -> io::Result<bool> {
                for line in BufReader::new(File::open(&path)?).split(b'\n') {
                    if serde_json::from_slice::<Made>(&line?).is_ok_and(|made| is_needed(&made)) {
                        return Ok(true);
                    }
                }
                Ok(false)
            };
            if Some(number) != but && !needed()? {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{}{number:010}{}", NAME.0, NAME.1))
    }
}

impl Manifest {
    /// Makes sure that every document is there in its size.
    ///
    /// # Errors
    /// Where one is not.
    pub fn check(&self, document: impl Fn(&JobId, u32) -> PathBuf) -> io::Result<()> {
        for made in &self.committed.documents {
            let path = document(&self.job.id, made.number);
            if fs::metadata(&path)?.len() != made.bytes {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} has not the size that it had", path.display())));
            }
        }
        Ok(())
    }
}

/// The number in the name of such a file.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::FileIdentity;
    use crate::queue::{Origin, Outcome};
    use crate::sandbox::Document;

    fn job(id: &str) -> Job {
        Job {
            id: JobId::from_stored(id.into()),
            route: "r".into(),
            path: format!("{id}.csv"),
            location: PathBuf::from("/in"),
            identity: FileIdentity { device: 1, inode: 2, size: 3, modified_ns: 4 },
            digest: "d".into(),
            attempts: 1,
            created_ms: 0,
            crashes: 0,
            origin: Origin::Folder,
            members: Vec::new(),
            media_type: None,
            trace: None,
            again_ms: 0,
        }
    }

    fn made(name: &str) -> Committed {
        let document = Document {
            number: 0,
            media_type: "text/plain".into(),
            name: name.into(),
            attributes: Vec::new(),
            key: None,
            bytes: 1,
            digest: None,
        };
        Committed {
            outcome: Outcome::Converted,
            error_type: None,
            converter: "csv".into(),
            plugin: (String::new(), String::new()),
            options: None,
            detail: serde_json::json!({}),
            documents: vec![document],
            destinations: Vec::new(),
        }
    }

    #[test]
    fn the_last_line_of_a_job_counts_and_one_that_was_cut_off_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = |_: &JobId, _| PathBuf::from("/nowhere");
        let manifests = || Manifests::new(folder.path().to_path_buf());
        let first = manifests();
        for (id, name) in [("a", "old"), ("b", "b"), ("a", "new")] {
            first.add(&job(id), &made(name), nowhere).unwrap();
        }
        let (_, path) = first.files().unwrap().pop().unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{\"job\":{\"id\":\"b\xff").unwrap();
        let mut names = Vec::new();
        let wanted = HashSet::from(["a", "b", "c"].map(String::from));
        let unknown = manifests()
            .read(wanted, |manifest| {
                names.push(manifest.committed.documents.first().unwrap().name.clone());
                Ok(())
            })
            .unwrap();
        assert_eq!((names, unknown), (vec!["new".into(), "b".into()], HashSet::from(["c".to_string()])));
    }

    #[test]
    fn a_file_goes_when_none_of_its_documents_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let document = |job: &JobId, number: u32| folder.path().join(format!("{job}.{number}"));
        let manifests = Manifests::new(folder.path().to_path_buf());
        let numbers = || manifests.files().unwrap().into_iter().map(|(number, _)| number).collect::<Vec<_>>();
        for id in ["a", "b", "c"] {
            fs::write(document(&JobId::from_stored(id.into()), 0), "x").unwrap();
            manifests.add(&job(id), &made(id), document).unwrap();
            manifests.begin_anew();
        }
        assert_eq!(numbers(), [1, 2, 3]);
        fs::remove_file(document(&JobId::from_stored("b".into()), 0)).unwrap();
        manifests.add(&job("d"), &made("d"), document).unwrap();
        assert_eq!(numbers(), [1, 3, 4]);
        manifests.clean(|job| job == "c").unwrap();
        assert_eq!(numbers(), [3]);
    }
}
