//! Remembers small documents while they are written, so that the cache need not read them again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::{DocumentSink, DocumentWriter};

/// Documents of a result up to this size together are kept in memory; in bytes.
const IN_MEMORY: usize = 64 << 10;

/// What a document takes in memory besides its bytes, roughly; so that a million empty ones are not kept.
const OVERHEAD: usize = 256;

/// The finished documents of a conversion, as long as they are small together.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Documents>>);

#[derive(Default)]
struct Documents {
    by_number: BTreeMap<u32, Vec<u8>>,
    bytes: usize,
}

impl Kept {
    /// The bytes of these documents; none where not all of them were kept.
    pub fn take(&self, numbers: impl Iterator<Item = u32>) -> Option<Vec<Vec<u8>>> {
        let mut documents = self.lock();
        numbers.map(|number| documents.by_number.remove(&number)).collect()
    }

    /// Gives documents to `sink`, and remembers those that are finished.
    pub fn beside(&self, sink: Box<dyn DocumentSink>) -> Box<dyn DocumentSink> {
        Box::new(Sink { sink, kept: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Documents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, number: u32, bytes: Vec<u8>) {
        let mut documents = self.lock();
        documents.bytes = documents.bytes.saturating_add(bytes.len() + OVERHEAD);
        if documents.bytes <= IN_MEMORY {
            documents.by_number.insert(number, bytes);
        } else {
            documents.by_number.clear();
        }
    }
}

struct Sink {
    sink: Box<dyn DocumentSink>,
    kept: Kept,
}

impl DocumentSink for Sink {
    fn create(&mut self, number: u32, media_type: &str, name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        let writer = self.sink.create(number, media_type, name)?;
        Ok(Box::new(Writer { writer, number, bytes: Vec::new(), kept: self.kept.clone() }))
    }
}

struct Writer {
    writer: Box<dyn DocumentWriter>,
    number: u32,
    /// What was written so far, or one byte more than is ever kept.
    bytes: Vec<u8>,
    kept: Kept,
}

impl DocumentWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = (IN_MEMORY + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.writer.write(bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        let digest = self.writer.finish()?;
        self.kept.add(self.number, self.bytes);
        Ok(digest)
    }
}
