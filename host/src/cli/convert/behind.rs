//! Writes a document's file on a thread of its own, so that a conversion goes on while the operating system copies what it has written.

use std::fs::File;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

/// How many pieces may wait to be written: a converter that is faster than the disk waits then.
const WAITING: usize = 4;
/// A document that is smaller than this needs no thread.
const SMALL_BYTES: usize = 64 * 1024;
/// What is smaller than this is collected first: for each piece the threads have to meet.
const PIECE_BYTES: usize = 256 * 1024;

/// A file that is written behind the back of its writer. A write that fails is told by the next one, or by [`Behind::finish`].
pub(super) struct Behind {
    file: Option<File>,
    piece: Vec<u8>,
    thread: Option<Writing>,
}

/// The thread that writes.
struct Writing {
    pieces: Sender<Vec<u8>>,
    /// Pieces that are written, to be filled again: their memory is touched already.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Behind {
    /// Writes to `file`.
    pub(super) fn new(file: File) -> Behind {
        Behind { file: Some(file), piece: Vec::new(), thread: None }
    }

    /// Takes bytes to write.
    ///
    /// # Errors
    /// What an earlier write failed with.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(bytes);
        let enough = if self.file.is_some() { SMALL_BYTES } else { PIECE_BYTES };
        if self.piece.len() < enough { Ok(()) } else { self.pass_on() }
    }

    /// Writes what is left, and waits until all of it is written.
    ///
    /// # Errors
    /// What a write failed with.
    pub(super) fn finish(mut self) -> io::Result<()> {
        match self.file.as_mut() {
            Some(file) => file.write_all(&self.piece),
            None => self.pass_on().and_then(|()| self.join()),
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            self.thread = Some(Writing::start(file)?);
        }
        let piece = std::mem::take(&mut self.piece);
        let Some(writing) = &self.thread else { return Err(closed()) };
        if writing.pieces.send(piece).is_err() {
            // The thread is gone: it says why.
            return self.join().and(Err(closed()));
        }
        self.piece = writing.spare.try_recv().unwrap_or_default();
        Ok(())
    }

    fn join(&mut self) -> io::Result<()> {
        let Some(Writing { pieces, thread, .. }) = self.thread.take() else { return Ok(()) };
        drop(pieces);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes the document panicked")))
    }
}

impl Drop for Behind {
    /// Whoever removes the file must not find it open.
    fn drop(&mut self) {
        _ = self.join();
    }
}

impl Writing {
    fn start(mut file: File) -> io::Result<Writing> {
        let (pieces, waiting) = bounded::<Vec<u8>>(WAITING);
        let (written, spare) = bounded(WAITING);
        let thread = thread::Builder::new().name("write".to_owned()).spawn(move || {
            for mut piece in waiting {
                file.write_all(&piece)?;
                piece.clear();
                _ = written.try_send(piece);
            }
            Ok(())
        })?;
        Ok(Writing { pieces, spare, thread })
    }
}

fn closed() -> io::Error {
    io::Error::other("the document's file was closed")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_written_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (pieces, length) in [(0, 0), (3, 10), (1000, 7_001)] {
            let path = folder.path().join(pieces.to_string());
            let mut behind = Behind::new(File::create_new(&path).unwrap());
            let mut expected = Vec::new();
            for piece in 0..pieces {
                let bytes = vec![piece as u8; length];
                behind.write(&bytes).unwrap();
                expected.extend(bytes);
            }
            behind.finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), expected);
        }
    }

    #[test]
    fn a_failed_write_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        // A file that is only open for reading.
        let mut behind = Behind::new(File::open(&path).unwrap());
        let piece = vec![0; PIECE_BYTES];
        let told = (0..100).find_map(|_| behind.write(&piece).err());
        assert!(told.is_some_and(|error| error.kind() != io::ErrorKind::Other) || behind.finish().is_err());
        assert!(Behind::new(File::open(&path).unwrap()).finish().is_ok());
    }
}
