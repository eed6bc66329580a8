//! What a converter writes.

use std::io::{self, Write};

use crate::{Error, Result};

/// How much is collected before it goes to the host. The buffer grows as it fills, so that small documents touch few pages.
const BUFFER: usize = 64 * 1024;

/// What stands behind an [`Output`].
pub(crate) trait RawOutput {
    fn create(&mut self, media_type: &str, name: &str) -> Result<Box<dyn RawDocument>>;
    fn problem(&mut self, severity: Severity, error: Error) -> Result<()>;
}

/// What stands behind a [`Document`].
pub(crate) trait RawDocument {
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    fn set_attribute(&mut self, name: &str, value: &str) -> Result<()>;
    fn set_key(&mut self, key: &str) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
}

/// What a problem means for the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing; nothing is missing from the documents.
    Warning,
    /// A part of the input has no document: the job ends as partial.
    Error,
}

/// Where documents and problems go.
pub struct Output {
    raw: Box<dyn RawOutput>,
}

impl Output {
    pub(crate) fn new(raw: Box<dyn RawOutput>) -> Self {
        Output { raw }
    }

    /// Begins a document of a media type, with a suggestion for its file name. Several may be open at once; they keep the order in which
    /// they were begun.
    ///
    /// # Errors
    /// [`crate::ErrorType::Internal`] for a malformed media type, an empty name, or a limit of the host.
    pub fn document(&mut self, media_type: &str, name: &str) -> Result<Document> {
        Ok(Document { raw: self.raw.create(media_type, name)?, buffer: Vec::new() })
    }

    /// Reports something in the input that did not become a (whole) document; the conversion goes on.
    ///
    /// # Errors
    /// [`crate::ErrorType::Internal`] for a limit of the host.
    pub fn problem(&mut self, severity: Severity, error: Error) -> Result<()> {
        self.raw.problem(severity, error)
    }

    /// [`Output::problem`] with [`Severity::Warning`].
    ///
    /// # Errors
    /// As `problem`.
    pub fn warn(&mut self, error: Error) -> Result<()> {
        self.problem(Severity::Warning, error)
    }
}

/// A document that is being written. It exists once [`Document::finish`] was called; one that is dropped without it is discarded.
#[must_use = "a document exists only once it is finished"]
pub struct Document {
    raw: Box<dyn RawDocument>,
    buffer: Vec<u8>,
}

impl Document {
    /// Sets an attribute, replacing an earlier value.
    ///
    /// # Errors
    /// [`crate::ErrorType::Internal`] beyond 256 attributes, names of 128 bytes or values of 64 KiB.
    pub fn set_attribute(&mut self, name: &str, value: &str) -> Result<()> {
        self.raw.set_attribute(name, value)
    }

    /// Says what this document is about (serial number and start of a test, say): from it comes an id that a corrected conversion of the
    /// same file keeps. Unique within a conversion.
    ///
    /// # Errors
    /// [`crate::ErrorType::Internal`] for an empty key or one of more than 1,024 bytes.
    pub fn set_key(&mut self, key: &str) -> Result<()> {
        self.raw.set_key(key)
    }

    /// Completes the document.
    ///
    /// # Errors
    /// [`crate::ErrorType::Internal`] for a limit of the host, a failed write, or a key that another document has.
    pub fn finish(mut self) -> Result<()> {
        self.flush_buffer()?;
        self.raw.finish()
    }

    fn flush_buffer(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.raw.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Write for Document {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush_buffer()?;
            if bytes.len() >= BUFFER {
                self.raw.write(bytes)?;
                return Ok(bytes.len());
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.flush_buffer()?)
    }
}
