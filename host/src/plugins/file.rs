//! What is asked of a plugin's file before anyone reads sense into it: how large it may be, whether it changes.

use std::fs::Metadata;
use std::time::SystemTime;

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

    /// The stamp of what cannot change.
    pub fn constant() -> Stamp {
        Stamp { size: 0, modified: None, identity: (0, 0) }
    }

    /// When the file was last modified, where the file system says.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }
}

/// The first digits of a digest: enough to tell plugins apart, short enough to read.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
