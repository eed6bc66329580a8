//! What a converter reads.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime};

use crate::{Error, Result};

/// How much is asked of the host at once. Larger chunks touch more fresh pages, which costs more than the calls that they save.
const CHUNK: u32 = 64 * 1024;

/// What stands behind an [`Input`]: the host, or memory in tests.
pub(crate) trait RawInput {
    fn id(&self) -> String;
    fn name(&self) -> String;
    fn path(&self) -> String;
    fn size(&self) -> u64;
    fn media_type(&self) -> Option<String>;
    /// Seconds since the epoch, and nanoseconds.
    fn modified(&self) -> Option<(i64, u32)>;
    fn attributes(&self) -> Vec<(String, String)>;
    fn read(&self, max: u32) -> Result<Vec<u8>>;
    fn seek(&self, offset: u64) -> Result<()>;
    fn members(&self) -> Vec<String>;
    fn open_member(&self, name: &str) -> Result<Box<dyn RawInput>>;
}

/// The input of a job, or one of its members: bytes through [`Read`], [`BufRead`] and [`Seek`], and what is known about them.
///
/// It is buffered already; wrapping it in a `BufReader` only copies. Ask only for what the documents depend on: the host remembers what was
/// asked, and answers a file from its cache only where all of that is the same.
pub struct Input<'a> {
    raw: Box<dyn RawInput + 'a>,
    /// What the host gave last, read up to `at`.
    chunk: Vec<u8>,
    at: usize,
    /// Where in the input the chunk ends.
    end: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn new(raw: Box<dyn RawInput + 'a>) -> Self {
        Input { raw, chunk: Vec::new(), at: 0, end: 0 }
    }

    /// The same through retries, restarts and replays; another for every other file, even with equal bytes.
    pub fn id(&self) -> String {
        self.raw.id()
    }

    /// The file name without folders.
    pub fn name(&self) -> String {
        self.raw.name()
    }

    /// The file name with another extension: what a document is usually called. `panel.7.csv` becomes `panel.7.jsonl`.
    pub fn name_with_extension(&self, extension: &str) -> String {
        let name = self.raw.name();
        match name.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => format!("{stem}.{extension}"),
            _ => format!("{name}.{extension}"),
        }
    }

    /// The path below the intake, with `/`.
    pub fn path(&self) -> String {
        self.raw.path()
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.raw.size()
    }

    /// The media type that came with the input, if any.
    pub fn media_type(&self) -> Option<String> {
        self.raw.media_type()
    }

    /// When the file was last modified, where that is known.
    pub fn modified(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.raw.modified()?;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(whole) } else { SystemTime::UNIX_EPOCH.checked_add(whole) };
        time?.checked_add(Duration::from_nanos(nanoseconds.into()))
    }

    /// All attributes: `route`, `station`, `timezone`, and what else the route's context says.
    pub fn attributes(&self) -> Vec<(String, String)> {
        self.raw.attributes()
    }

    /// One attribute.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.raw.attributes().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The names of the other files of this job.
    pub fn members(&self) -> Vec<String> {
        self.raw.members()
    }

    /// Opens one of the [`Input::members`].
    ///
    /// # Errors
    /// [`crate::ErrorType::MissingField`] where there is none of that name; `Internal` where the host cannot read it.
    pub fn open_member(&self, name: &str) -> Result<Input<'static>> {
        Ok(Input::new(self.raw.open_member(name)?))
    }

    /// Fills the buffer with the next chunk, once all of the last is used.
    fn refill(&mut self) -> Result<()> {
        self.chunk = self.raw.read(CHUNK)?;
        self.at = 0;
        self.end += self.chunk.len() as u64;
        Ok(())
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        for (to, from) in buffer.chunks_mut(count.max(1)).zip(available.chunks(count.max(1))).take(1) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.chunk.len() {
            self.refill()?;
        }
        Ok(self.chunk.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.chunk.len());
    }
}

impl Seek for Input<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let here = self.end - (self.chunk.len() - self.at) as u64;
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => here.checked_add_signed(by),
            SeekFrom::End(by) => self.raw.size().checked_add_signed(by),
        };
        let target = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek to before the beginning of the input"))?;
        let start = self.end - self.chunk.len() as u64;
        if (start..=self.end).contains(&target) {
            self.at = (target - start) as usize;
        } else {
            self.raw.seek(target)?;
            (self.chunk, self.at, self.end) = (Vec::new(), 0, target);
        }
        Ok(target)
    }
}

impl Error {
    /// A host function's refusal, as the error that a converter may pass on.
    pub(crate) fn from_host(kind: HostError, message: String) -> Self {
        match kind {
            HostError::NotFound => Error::missing_field(message).code("not_found"),
            HostError::Limit => Error::internal(message).code("limit"),
            HostError::Failed => Error::internal(message).code("host"),
        }
    }
}

/// The cases of the contract's `io-error`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HostError {
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "memory has no limits"))]
    Limit,
    NotFound,
    Failed,
}
