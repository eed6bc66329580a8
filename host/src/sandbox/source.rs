//! Sources of bytes: a file, and memory.

use std::fs::File;
use std::io;

use super::types::Source;

/// A file, read at positions so that its own cursor does not matter. The size is taken once, when it is opened.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Wraps an open file.
    ///
    /// # Errors
    /// What the file system says when asked for the size.
    pub fn new(file: File) -> io::Result<FileSource> {
        let size = file.metadata()?.len();
        Ok(FileSource { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset);
    }
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct MemorySource(pub std::sync::Arc<[u8]>);

impl Source for MemorySource {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        if let (Some(target), Some(bytes)) = (buffer.get_mut(..taken), rest.get(..taken)) {
            target.copy_from_slice(bytes);
        }
        Ok(taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use super::{FileSource, MemorySource};
    use crate::sandbox::Source;

    #[test]
    fn both_read_at_any_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let file = FileSource::new(File::open(&path).unwrap()).unwrap();
        let sources: [Box<dyn Source>; 2] = [Box::new(file), Box::new(MemorySource(b"0123456789".as_slice().into()))];
        for mut source in sources {
            assert_eq!(source.size(), 10);
            let mut buffer = [0; 4];
            for (offset, expected) in [(8, "89"), (2, "2345"), (10, ""), (u64::from(u32::MAX), "")] {
                let read = source.read_at(offset, &mut buffer).unwrap();
                assert_eq!(buffer.get(..read).unwrap(), expected.as_bytes());
            }
        }
    }
}
