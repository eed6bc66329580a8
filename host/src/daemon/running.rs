//! Where a running daemon answers: a note in its state folder, for commands that know no more than that folder.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lock::StateLock;
use crate::files;

/// The note's name in the state folder.
const FILE: &str = "daemon.json";

#[derive(Serialize, Deserialize)]
struct Note {
    process: u32,
    url: String,
}

/// The note of this process. It is gone when this is dropped.
pub(super) struct Running(PathBuf);

impl Running {
    /// Writes down where this process answers.
    ///
    /// # Errors
    /// What the file system says.
    pub fn note(state_dir: &Path, address: SocketAddr, tls: bool) -> io::Result<Running> {
        let path = state_dir.join(FILE);
        let note = Note { process: std::process::id(), url: url(address.ip(), address.port(), tls) };
        files::write_whole(&path, &serde_json::to_vec(&note)?)?;
        Ok(Running(path))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where the daemon answers that runs on this state folder. What one that was killed has left counts for nothing.
pub fn running_at(state_dir: &Path) -> Option<String> {
    let note: Note = serde_json::from_slice(&std::fs::read(state_dir.join(FILE)).ok()?).ok()?;
    let is_its = |holder: String| holder == "unknown" || holder == note.process.to_string();
    // Who may not look at the lock takes the note for true, and hears it from the port if nobody is there.
    let alive = StateLock::holder(state_dir).map_or(true, |holder| holder.is_some_and(is_its));
    alive.then_some(note.url)
}

/// The address at which to ask a daemon that listens on this one: one that means every interface is no address to connect to.
pub fn url(address: IpAddr, port: u16, tls: bool) -> String {
    let address = match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    format!("{}://{}", if tls { "https" } else { "http" }, SocketAddr::new(address, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_on_loopback() {
        let url = |bind: &str| url(bind.parse().unwrap(), 8080, false);
        assert_eq!(url("0.0.0.0"), "http://127.0.0.1:8080");
        assert_eq!(url("::"), "http://[::1]:8080");
        assert_eq!(url("10.0.0.5"), "http://10.0.0.5:8080");
    }

    #[test]
    fn a_note_counts_as_long_as_its_process_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let address: SocketAddr = "127.0.0.1:8081".parse().unwrap();
        assert_eq!(running_at(folder.path()), None);
        let lock = StateLock::acquire(folder.path()).unwrap();
        let running = Running::note(folder.path(), address, false).unwrap();
        assert_eq!(running_at(folder.path()).unwrap(), "http://127.0.0.1:8081");
        drop(lock);
        assert_eq!(running_at(folder.path()), None, "nobody has the folder");
        let _lock = StateLock::acquire(folder.path()).unwrap();
        let other = Note { process: std::process::id() + 1, url: "http://127.0.0.1:1".into() };
        std::fs::write(folder.path().join(FILE), serde_json::to_vec(&other).unwrap()).unwrap();
        assert_eq!(running_at(folder.path()), None, "another process has it");
        drop(running);
        assert!(!folder.path().join(FILE).exists());
    }
}
