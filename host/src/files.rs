//! Durable file operations: what is done here survives a power cut once the function has returned. It knows nothing of jobs.

#[cfg(unix)]
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::sha256_hex;

/// Makes the entries of a folder durable. A rename or a new file is lost in a power cut until its folder is synced.
///
/// # Errors
/// What the file system says. Windows has no such operation and journals renames itself.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Has the system begin to write a file out, where it can be told to. The syncs of many files cost half and take a tenth of the time if all
/// of them were begun before.
pub fn begin_sync(file: &File) {
    // Linux starts to write what is dirty, and forgets only what is written already: mm/fadvise.c.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Makes the folder that holds `path` durable.
///
/// # Errors
/// As [`sync_folder`].
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Creates a folder and those above it, durably.
///
/// # Errors
/// What the file system says.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists()).collect();
    fs::create_dir_all(folder)?;
    missing.iter().try_for_each(|created| sync_parent(created))
}

/// Whether others than its owner may read a file, where the platform says that by modes.
#[cfg(unix)]
pub fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// Whether others than its owner may read a file, where the platform says that by modes.
#[cfg(not(unix))]
pub fn others_may_read(_path: &Path) -> bool {
    false
}

/// Writes a file so that it is either there whole or not at all: temporary name, sync, rename, sync the folder.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// What the names of incomplete files begin with. Intake never takes them.
pub const TEMPORARY_PREFIX: &str = ".dropforge-tmp-";

/// A hidden name in the same folder, for what is not complete yet; always the same for the same path, and short whatever the path.
pub fn temporary_beside(path: &Path) -> PathBuf {
    let mut digest = sha256_hex(path.file_name().unwrap_or_default().as_encoded_bytes());
    digest.truncate(32);
    path.with_file_name(format!("{TEMPORARY_PREFIX}{digest}"))
}

/// Renames, but never over something that is there.
///
/// # Errors
/// `AlreadyExists`, `CrossesDevices`, and what else the file system says.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // File systems without the flag (some network ones) say so with EINVAL.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            other => return Ok(other?),
        }
    }
    // A link fails where the name is taken, which a plain rename on unix does not.
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists || error.kind() == io::ErrorKind::CrossesDevices => Err(error),
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Moves a file to a new name, to another file system too (copied, synced, then deleted), durably.
///
/// # Errors
/// `AlreadyExists` where the name is taken, and what else the file system says; the source is still there then.
pub fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let temporary = temporary_beside(to);
            copy_synced(from, &temporary)?;
            rename_new(&temporary, to).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
            sync_parent(to)?;
            fs::remove_file(from)?;
        }
        other => {
            other?;
            sync_parent(to)?;
        }
    }
    sync_parent(from)
}

/// Puts a copy of a file under another name, replacing what is there. On one file system it is a second link to the same bytes, which
/// costs no copy; the caller has synced those bytes. The target's folder is left for the caller to sync, once for many files.
///
/// # Errors
/// What the file system says.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = temporary_beside(to);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if fs::hard_link(from, &temporary).is_err() {
        copy_synced(from, &temporary)?;
    }
    fs::rename(&temporary, to)?;
    // A rename onto another link of the same file does nothing and leaves the temporary name.
    let _ = fs::remove_file(&temporary);
    Ok(())
}

/// Whether Windows takes a name of a file for one of its devices (`CON`, `nul.txt`, `Com1.csv`), also on a share that it reads.
pub fn is_device_name(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end();
    if ["con", "prn", "aux", "nul", "conin$", "conout$"].iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let numbered = stem.get(..3).filter(|kind| kind.eq_ignore_ascii_case("com") || kind.eq_ignore_ascii_case("lpt"));
    let digit = numbered.and_then(|_| stem.get(3..)).and_then(|rest| rest.parse::<char>().ok());
    digit.is_some_and(|digit| matches!(digit, '0'..='9' | '¹' | '²' | '³'))
}

/// Copies a file with its modified time, durably but for its folder's entry.
///
/// # Errors
/// What the file system says.
pub fn copy_synced(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    let mut target = OpenOptions::new().write(true).create(true).truncate(true).open(to)?;
    io::copy(&mut source, &mut target)?;
    if let Ok(modified) = metadata.modified() {
        let _ = target.set_modified(modified);
    }
    target.sync_all()
}

/// A path as bytes for the database, whatever its encoding.
pub fn path_to_bytes(path: &Path) -> Vec<u8> {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec();
    #[cfg(not(unix))]
    return path.to_string_lossy().into_owned().into_bytes();
}

/// The path that [`path_to_bytes`] was given.
pub fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    #[cfg(unix)]
    return PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes));
    #[cfg(not(unix))]
    return PathBuf::from(String::from_utf8_lossy(&bytes).into_owned());
}

/// For serde: a path as a list of bytes, because a name need not be text.
pub mod path_as_bytes {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a path.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        super::path_to_bytes(path).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// What the deserializer says.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Vec::deserialize(deserializer).map(super::path_from_bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        assert_eq!(move_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&b).unwrap(), "b");
        move_new(&a, &folder.path().join("c")).unwrap();
        assert!(!a.exists());
    }

    #[test]
    fn names_of_devices_are_told() {
        for name in ["CON", "con.json", "Nul", "aux .csv", "com1.csv", "LPT9", "com\u{b9}.txt", "prn.tar.gz", "CONIN$"] {
            assert!(is_device_name(name), "{name}");
        }
        for name in ["", "console.csv", "com.csv", "com10.csv", "comb", "l\u{f8}1.csv", "a.con", "nul-1.csv", "_con"] {
            assert!(!is_device_name(name), "{name}");
        }
    }

    #[test]
    fn publishing_twice_leaves_one_file_and_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("spooled"), folder.path().join("out"));
        fs::write(&from, "document").unwrap();
        publish(&from, &to).unwrap();
        publish(&from, &to).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["out", "spooled"]);
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_no_text_survive() {
        let path = path_from_bytes(vec![b'/', 0xff, b'\n']);
        assert_eq!(path_to_bytes(&path), [b'/', 0xff, b'\n']);
    }
}
