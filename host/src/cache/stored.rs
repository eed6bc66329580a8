//! A result as it is kept: small documents in memory, large ones as second links to the spool's files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::keep::Kept;
use crate::sandbox::{Conversion, Document, DocumentSink, Observation, Outcome, Problem, Usage};

/// What a document costs besides its bytes, roughly.
const OVERHEAD: u64 = 256;
/// How much of a large document is copied at a time.
const CHUNK: usize = 256 << 10;

/// What a conversion made.
pub struct Stored {
    documents: Vec<Document>,
    /// None once the cache has given it up: the cache itself lets go of what it evicts only later.
    bytes: Mutex<Option<Bytes>>,
    problems: Vec<Problem>,
    observations: Vec<Observation>,
    size: u64,
}

#[derive(Clone)]
enum Bytes {
    Memory(Arc<Vec<Vec<u8>>>),
    Folder(Arc<Folder>),
}

/// A result in somebody's hands: it can be replayed even if the cache gives it up meanwhile.
pub struct Held {
    stored: Arc<Stored>,
    bytes: Bytes,
}

/// A folder that goes when nobody needs it any more.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Stored {
    /// Keeps what a conversion made: the documents that are in memory already, or else a link to each in `folder`. `document` says where each is.
    pub(super) fn new(conversion: &Conversion, kept: &Kept, folder: &Path, document: impl Fn(u32) -> PathBuf) -> io::Result<Stored> {
        let documents = conversion.documents.clone();
        let total: u64 = documents.iter().map(|document| document.bytes).sum();
        let bytes = if let Some(documents) = kept.take(documents.iter().map(|document| document.number)) {
            Bytes::Memory(Arc::new(documents))
        } else {
            fs::create_dir(folder)?;
            let folder = Folder(folder.to_path_buf());
            for kept in &documents {
                let (from, to) = (document(kept.number), folder.0.join(kept.number.to_string()));
                fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
            }
            Bytes::Folder(Arc::new(folder))
        };
        let metadata: usize = documents
            .iter()
            .map(|document| document.name.len() + document.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>())
            .sum();
        let problems: usize = conversion.problems.iter().map(|problem| problem.error.message.len() + problem.error.code.len()).sum();
        let pieces = documents.len() + conversion.problems.len() + conversion.observations.len();
        let size = total + metadata as u64 + problems as u64 + (pieces as u64 + 1) * OVERHEAD;
        Ok(Stored {
            documents,
            bytes: Mutex::new(Some(bytes)),
            problems: conversion.problems.clone(),
            observations: conversion.observations.clone(),
            size,
        })
    }

    /// What it takes, in bytes, in memory and on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.size
    }

    /// Takes it into somebody's hands; none where the cache has given it up.
    pub(super) fn hold(self: &Arc<Self>) -> Option<Held> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Held { stored: Arc::clone(self), bytes })
    }

    /// Gives up the documents: they go as soon as nobody holds them.
    pub(super) fn give_up(&self) {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Held {
    /// Gives the documents to a sink, and the rest as if the conversion had just run; only that it took no time.
    ///
    /// # Errors
    /// Where a document cannot be read or written, or is not what was kept: then the cache gives it up.
    pub fn replay(&self, mut sink: Box<dyn DocumentSink>) -> io::Result<Conversion> {
        let mut documents = self.stored.documents.clone();
        for (index, document) in documents.iter_mut().enumerate() {
            let mut writer = sink.create(document.number, &document.media_type, &document.name)?;
            match &self.bytes {
                Bytes::Memory(all) => writer.write(all.get(index).map(Vec::as_slice).unwrap_or_default())?,
                Bytes::Folder(folder) => {
                    let mut file = fs::File::open(folder.0.join(document.number.to_string()))?;
                    let mut chunk = vec![0; CHUNK];
                    loop {
                        let read = file.read(&mut chunk)?;
                        if read == 0 {
                            break;
                        }
                        writer.write(chunk.get(..read).unwrap_or_default())?;
                    }
                }
            }
            let digest = writer.finish()?;
            // It was kept before it was synced: on a disk that fails, it may read as something else later.
            if document.digest.is_some() && digest.is_some() && document.digest != digest {
                self.stored.give_up();
                return Err(io::Error::other("a result that was kept in the cache is damaged; the file is converted anew"));
            }
            document.digest = digest;
        }
        let output_bytes = documents.iter().map(|document| document.bytes).sum();
        Ok(Conversion {
            result: Ok(Outcome::Converted),
            documents,
            problems: self.stored.problems.clone(),
            problems_dropped: 0,
            observations: self.stored.observations.clone(),
            log_tail: Vec::new(),
            asked: crate::sandbox::Asked::default(),
            usage: Usage { output_bytes, ..Usage::default() },
        })
    }
}
