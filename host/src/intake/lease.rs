//! The one question to the kernel that needs `unsafe`: does anyone have this file open for writing?

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::writer::Writer;

/// From `asm-generic/fcntl.h`; the `libc` crate does not have it for every target.
const F_SETSIG: libc::c_int = 10;

/// Asks the kernel for a read lease on `file`, which must be open for reading only, and gives it back at once. It is refused while anyone
/// has the file open or mapped for writing. Where leases are not ours to have (another owner's file, without `CAP_LEASE`) or the file
/// system has none, nothing is known.
///
/// Someone who opens the file for writing between the two calls makes the kernel signal us and waits until the lease is back. Its
/// usual signal, SIGIO, would end the process; SIGURG is ignored unless someone asks for it.
pub(super) fn writer(file: &File) -> Writer {
    // A lease that could not be set up to signal harmlessly is not asked for.
    if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
        return Writer::Unknown;
    }
    match fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // It cannot fail for a lease that we hold, and closing the descriptor gives it back too.
            let _ = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
            Writer::None
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writer::Present,
        Err(_) => Writer::Unknown,
    }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: `file` keeps its descriptor open for the whole call, and every command that this module passes takes an integer, so that the kernel
    // neither reads nor writes memory of ours.
    #[allow(unsafe_code)]
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
