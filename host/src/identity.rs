//! Which file it is, and in which state.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Tells a file from every other one and from its own earlier states, without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FileIdentity {
    /// The file system that it is on; 0 where the platform does not say.
    pub device: u64,
    /// Its number on that file system. On Windows the time of its creation stands in for it.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// When it was modified last, in nanoseconds since 1970-01-01T00:00:00Z; 0 where the file system does not say.
    pub modified_ns: i64,
}

impl FileIdentity {
    /// The identity that `metadata` describes.
    pub fn of(metadata: &Metadata) -> Self {
        let (device, inode) = device_and_inode(metadata);
        FileIdentity { device, inode, size: metadata.len(), modified_ns: modified_ns(metadata) }
    }

    /// The identity of what is at `path` now; of the link itself where that is a symlink.
    ///
    /// # Errors
    /// What the file system says.
    pub fn at(path: &Path) -> io::Result<Self> {
        path.symlink_metadata().map(|metadata| FileIdentity::of(&metadata))
    }
}

fn modified_ns(metadata: &Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    let signed = |nanoseconds: u128| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
    match modified.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => signed(after.as_nanos()),
        Err(before) => -signed(before.duration().as_nanos()),
    }
}

#[cfg(unix)]
fn device_and_inode(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(windows)]
fn device_and_inode(metadata: &Metadata) -> (u64, u64) {
    use std::os::windows::fs::MetadataExt;
    (0, metadata.creation_time())
}

#[cfg(not(any(unix, windows)))]
fn device_and_inode(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}
