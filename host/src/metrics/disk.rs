//! How much room a file system has left.

use std::io;
use std::path::Path;

/// The bytes that the file system of `path` has left for this process: what is kept back for root does not count.
///
/// # Errors
/// What the operating system says; `Unsupported` where this build cannot ask.
#[cfg(unix)]
pub fn disk_free_bytes(path: &Path) -> io::Result<u64> {
    let answer = rustix::fs::statvfs(path)?;
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// The bytes that the file system of `path` has left for this process: its quota counts.
///
/// # Errors
/// What the operating system says.
#[cfg(windows)]
pub fn disk_free_bytes(path: &Path) -> io::Result<u64> {
    fs4::available_space(path)
}

/// The bytes that the file system of `path` has left for this process.
///
/// # Errors
/// Always `Unsupported`: this build cannot ask.
#[cfg(not(any(unix, windows)))]
pub fn disk_free_bytes(_path: &Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}
