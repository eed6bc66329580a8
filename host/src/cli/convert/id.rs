//! The id of a file that is converted once: the digest in it takes reading all of the file, so it waits until somebody asks.

use std::fs::File;
use std::io::{self, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::sha256_reader;
use crate::queue::JobId;
use crate::sandbox::InputId;

/// An id that is found when it is first asked for.
#[derive(Clone)]
pub(super) struct LazyId(Arc<Parts>);

struct Parts {
    file: io::Result<File>,
    name: String,
    modified_ns: i64,
    found: Mutex<Option<JobId>>,
}

impl LazyId {
    /// The id of an open file.
    pub(super) fn new(file: &File, name: &str, modified_ns: i64) -> LazyId {
        LazyId(Arc::new(Parts { file: file.try_clone(), name: name.to_owned(), modified_ns, found: Mutex::new(None) }))
    }

    /// The id.
    ///
    /// # Errors
    /// What the system says where the file cannot be read.
    pub(super) fn get(&self) -> io::Result<JobId> {
        let parts = &*self.0;
        let mut found = parts.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = &*found {
            return Ok(id.clone());
        }
        let mut file = parts.file.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        // Whoever converts the file reads it at places, and does not mind where this one is.
        file.rewind()?;
        let (digest, _) = sha256_reader(&mut file)?;
        Ok(found.insert(JobId::new("convert", parts.name.as_bytes(), parts.modified_ns, &digest)).clone())
    }

    /// The same for a conversion.
    pub(super) fn for_input(&self) -> InputId {
        let id = self.clone();
        InputId::Lazy(Arc::new(move || id.get().map(|id| id.to_string())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_id_of_all_bytes_wherever_the_file_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "abc").unwrap();
        let mut file = File::open(&path).unwrap();
        let id = LazyId::new(&file, "a.csv", 7);
        file.seek(io::SeekFrom::End(0)).unwrap();
        let expected = JobId::new("convert", b"a.csv", 7, &crate::digest::sha256_hex(b"abc"));
        assert_eq!((id.get().unwrap(), id.for_input().get().unwrap()), (expected.clone(), expected.to_string()));
    }
}
