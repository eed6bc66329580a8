//! Whether someone has a file open for writing, as far as the platform can tell.

use std::path::Path;

/// What is known of a file's writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(any(target_os = "linux", target_os = "android", windows)), allow(dead_code, reason = "there is no way to know"))]
pub(super) enum Writer {
    /// Nobody has it open for writing.
    None,
    /// Someone has.
    Present,
    /// The platform, the file system or the rights do not let us know.
    Unknown,
}

/// Whether someone on this machine has the file open for writing. `path` is not a symlink.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn writer(path: &Path) -> Writer {
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;

    // Should something else have taken the file's place: a symlink is not followed, and a pipe does not block.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => super::lease::writer(&file),
        // Someone holds a lease of their own that reading would break: Samba for a client that writes, say.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writer::Present,
        Err(_) => Writer::Unknown,
    }
}

/// Whether someone has the file open for writing, on this machine or through the share that it is on.
#[cfg(windows)]
pub(super) fn writer(path: &Path) -> Writer {
    use std::os::windows::fs::OpenOptionsExt;

    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_DELETE: u32 = 4;
    const ERROR_SHARING_VIOLATION: i32 = 32;

    // An open that does not share writing fails while someone writes.
    match std::fs::OpenOptions::new().read(true).share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE).open(path) {
        Ok(_) => Writer::None,
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Writer::Present,
        Err(_) => Writer::Unknown,
    }
}

/// No way is known on this platform.
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
pub(super) fn writer(_path: &Path) -> Writer {
    Writer::Unknown
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::{File, OpenOptions};

    use super::*;

    #[test]
    fn a_writer_is_seen_until_it_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = File::create(&path).unwrap();
        assert_eq!(writer(&path), Writer::Present);
        drop(file);
        assert_eq!(writer(&path), Writer::None);
        let appending = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(writer(&path), Writer::Present);
        drop(appending);
        let reading = File::open(&path).unwrap();
        assert_eq!(writer(&path), Writer::None);
        drop(reading);
    }

    #[test]
    fn asking_harms_neither_a_writer_that_comes_in_that_instant_nor_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        File::create(&path).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    OpenOptions::new().append(true).open(&path).unwrap();
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                assert_ne!(writer(&path), Writer::Unknown);
            }
        });
    }

    #[test]
    fn what_is_no_file_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(writer(&dir.path().join("missing")), Writer::Unknown);
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("link")).unwrap();
        assert_eq!(writer(&dir.path().join("link")), Writer::Unknown);
    }
}
