//! What is asked of a plugin's file before anyone reads sense into it: what it is, whether it changes, its digest.

use std::fs::Metadata;
use std::io::{self, Read};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The largest plugin. A whole Python runtime is 18 MB; seven times that leaves room, and keeps what the compiler must hold in memory bounded.
pub const MAX_BYTES: u64 = 128 << 20;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// Device and inode, where the platform has them: a file that replaced another by rename may have its size and time.
    identity: (u64, u64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Stamp { size: metadata.len(), modified: metadata.modified().ok(), identity }
    }

    /// When the file was last modified, where the file system says.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }
}

/// The SHA-256 of everything that is left to read, in lower hex, and its size in bytes.
///
/// # Errors
/// What reading gives.
pub fn digest(reader: &mut impl Read) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hash.finalize()), size)),
            Ok(count) => {
                hash.update(buffer.get(..count).unwrap_or_default());
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes as lower hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first digits of a digest: enough to tell plugins apart, short enough to read.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&mut &b"abc"[..]).unwrap(), (expected.to_owned(), 3));
        assert_eq!(short(expected), "ba7816bf8f01");
    }
}
