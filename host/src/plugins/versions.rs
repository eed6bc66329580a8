//! The last versions of every plugin, and which of them a plugin was rolled back to. It knows files and digests, and nothing of loading.
//!
//! In the folder are `DIGEST.wasm` (with `DIGEST.wasm.sig` where it was signed), `NAME.json` with the history of a plugin, the newest version
//! first, and `NAME.rollback.json` while a rollback holds. The daemon writes histories, the command line writes rollbacks, and a lock keeps
//! them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Seek, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use utoipa::ToSchema;

use crate::digest::sha256_reader;
use crate::files;

use super::private::{self, PrivateFolderError};
use super::signing::signature_path;

/// The folder, in the state folder.
pub const VERSIONS_FOLDER: &str = "plugin-versions";

/// Versions kept of each plugin, the one that runs included.
pub const KEPT: usize = 5;
/// Plugins that have a history; the one that was loaded longest ago goes first.
const MAX_PLUGINS: usize = 256;
/// The bytes of all versions together, but for the newest of each plugin.
const MAX_BYTES: u64 = 2 << 30;

/// A version of a plugin that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The converter's own version.
    pub version: String,
    /// The SHA-256 of its file, in lower hex.
    pub digest: String,
    /// The size of its file in bytes.
    pub size: u64,
    /// The name that its file had in the plugins folder.
    pub file: String,
    /// When it was last loaded as a new version, as RFC 3339 in UTC.
    pub loaded_at: String,
}

/// A plugin runs another version than its file holds, as long as the file stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollback {
    /// The converter's name.
    pub name: String,
    /// The digest of the version that runs.
    pub digest: String,
    /// The digest that the file has.
    pub file_digest: String,
    /// Since when, as RFC 3339 in UTC.
    pub since: String,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Versions {
    folder: PathBuf,
}

/// A change under way; nobody else changes the folder until it is dropped.
struct Locked(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl Versions {
    /// Opens the folder, creating it for this user alone.
    ///
    /// # Errors
    /// [`PrivateFolderError`].
    pub fn open(folder: &Path) -> Result<Versions, PrivateFolderError> {
        private::open(folder)?;
        Ok(Versions { folder: folder.to_owned() })
    }

    /// The versions of a plugin, the newest first.
    pub fn history(&self, name: &str) -> Vec<Version> {
        self.read(&format!("{name}.json")).unwrap_or_default()
    }

    /// Where the bytes of a version are. None where the digest is no digest: it comes from a file and must not lead out of the folder.
    pub fn path(&self, digest: &str) -> Option<PathBuf> {
        is_digest(digest).then(|| self.folder.join(format!("{digest}.wasm")))
    }

    /// Adds a version as the newest of a plugin. `source` holds its bytes, and is read from its start.
    ///
    /// # Errors
    /// What the file system says; also where the bytes are not those of the digest any more.
    pub fn add(&self, name: &str, version: Version, source: &mut File, signature: Option<&[u8]>) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut history = self.history(name);
        let path = self.path(&version.digest).ok_or_else(|| io::Error::other("its digest is malformed"))?;
        if history.first().is_some_and(|newest| newest.digest == version.digest) && path.exists() {
            return Ok(());
        }
        if !path.exists() {
            source.rewind()?;
            let mut copy = self.temporary()?;
            io::copy(source, &mut copy)?;
            // What is kept is what was loaded, and not what somebody has written to the file since.
            copy.rewind()?;
            if sha256_reader(&mut copy)?.0 != version.digest {
                return Err(io::Error::other("the file has changed since it was loaded"));
            }
            self.put(copy, &path)?;
        }
        if let Some(signature) = signature {
            self.write(&signature_path(&path), signature)?;
        }
        history.retain(|other| other.digest != version.digest);
        history.insert(0, version);
        history.truncate(KEPT);
        self.write_json(&format!("{name}.json"), &history)?;
        self.prune()
    }

    /// The rollback of a plugin, while it has one.
    pub fn rollback(&self, name: &str) -> Option<Rollback> {
        self.read(&format!("{name}{ROLLBACK}"))
    }

    /// Every rollback, by the digest of the file that it is about.
    pub fn rollbacks(&self) -> BTreeMap<String, Rollback> {
        let names = self.names(ROLLBACK);
        names.iter().filter_map(|name| self.rollback(name)).map(|rollback| (rollback.file_digest.clone(), rollback)).collect()
    }

    /// Begins a rollback, in place of one that the plugin may have.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin_rollback(&self, rollback: &Rollback) -> io::Result<()> {
        let _lock = self.lock()?;
        self.write_json(&format!("{}{ROLLBACK}", rollback.name), rollback)
    }

    /// Ends a plugin's rollback, unless it is about a file with this digest. Says whether there was one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn end_rollback(&self, name: &str, unless_about: Option<&str>) -> io::Result<bool> {
        let _lock = self.lock()?;
        match self.rollback(name) {
            Some(rollback) if unless_about != Some(rollback.file_digest.as_str()) => {
                fs::remove_file(self.folder.join(format!("{name}{ROLLBACK}")))?;
                files::sync_folder(&self.folder)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn lock(&self) -> io::Result<Locked> {
        let file = File::options().create(true).append(true).open(self.folder.join(".lock"))?;
        file.lock()?;
        Ok(Locked(file))
    }

    /// What a file holds; none where it is not there or makes no sense: then there is no history, and no rollback.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).ok().filter(|_| private::is_ours(&path))?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(file = %path.display(), %error, "this file is damaged and ignored"))
            .ok()
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        self.write(&self.folder.join(name), &serde_json::to_vec_pretty(value)?)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        self.put(file, path)
    }

    /// A file without a name yet, which only this user can read and write, whatever the process's mask.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)
    }

    /// Gives it its name, durably.
    fn put(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        files::sync_folder(&self.folder)
    }

    /// The names of plugins that have a file with this ending.
    fn names(&self, ending: &str) -> Vec<String> {
        let Ok(listing) = fs::read_dir(&self.folder) else { return Vec::new() };
        let name = |file: std::ffi::OsString| file.to_str()?.strip_suffix(ending).filter(|name| !name.contains('.')).map(str::to_owned);
        listing.flatten().filter_map(|entry| name(entry.file_name())).collect()
    }

    /// Removes what is beyond the bounds, and bytes that no history names.
    fn prune(&self) -> io::Result<()> {
        let mut histories: Vec<(String, Vec<Version>)> =
            self.names(".json").into_iter().map(|name| (name.clone(), self.history(&name))).collect();
        // The newest first.
        histories.sort_by(|(_, a), (_, b)| b.first().map(|v| &v.loaded_at).cmp(&a.first().map(|v| &v.loaded_at)));
        for (name, _) in histories.split_off(histories.len().min(MAX_PLUGINS)) {
            fs::remove_file(self.folder.join(format!("{name}.json")))?;
        }
        let needed: BTreeSet<String> = self.rollbacks().into_values().map(|rollback| rollback.digest).collect();
        let mut older: Vec<(String, String, u64, String)> = histories
            .iter()
            .flat_map(|(name, history)| history.iter().skip(1).map(move |v| (v.loaded_at.clone(), name.clone(), v.size, v.digest.clone())))
            .filter(|(_, _, _, digest)| !needed.contains(digest))
            .collect();
        older.sort();
        let mut bytes: u64 = older.iter().map(|(_, _, size, _)| size).sum();
        for (_, name, size, digest) in older {
            if bytes <= MAX_BYTES {
                break;
            }
            bytes -= size;
            if let Some((_, history)) = histories.iter_mut().find(|(other, _)| *other == name) {
                history.retain(|version| version.digest != digest);
                self.write_json(&format!("{name}.json"), history)?;
            }
        }
        let kept: BTreeSet<&str> = histories
            .iter()
            .flat_map(|(_, history)| history)
            .map(|version| version.digest.as_str())
            .chain(needed.iter().map(String::as_str))
            .collect();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            let forgotten = match file.split_once('.') {
                Some((digest, "wasm" | "wasm.sig")) => is_digest(digest) && !kept.contains(digest),
                // What a crashed process left: nobody else writes while this one has the lock.
                _ => file.starts_with(TEMPORARY),
            };
            if forgotten {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What the name of a rollback's file has after the plugin's.
const ROLLBACK: &str = ".rollback.json";
/// How the names of unfinished files begin.
const TEMPORARY: &str = ".tmp-";

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::digest::sha256_hex;

    use super::*;

    fn version(text: &str, number: usize) -> Version {
        Version {
            version: text.to_owned(),
            digest: sha256_hex(text.as_bytes()),
            size: text.len() as u64,
            file: "csv.wasm".to_owned(),
            loaded_at: format!("2026-11-22T10:00:{number:02}Z"),
        }
    }

    fn source(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn folder() -> (tempfile::TempDir, Versions) {
        let root = tempfile::tempdir().unwrap();
        let versions = Versions::open(&root.path().join(VERSIONS_FOLDER)).unwrap();
        (root, versions)
    }

    #[test]
    fn the_last_versions_are_kept_with_their_bytes() {
        let (_root, versions) = folder();
        assert_eq!(versions.history("csv"), []);
        let texts: Vec<String> = (0..7).map(|number| format!("v{number}")).collect();
        for (number, text) in texts.iter().enumerate() {
            versions.add("csv", version(text, number), &mut source(text), Some(b"signature")).unwrap();
            versions.add("csv", version(text, number), &mut source(text), None).unwrap();
        }
        let kept = |versions: &Versions| versions.history("csv").iter().map(|version| version.version.clone()).collect::<Vec<_>>();
        assert_eq!(kept(&versions), ["v6", "v5", "v4", "v3", "v2"]);
        for text in &texts {
            let path = versions.path(&sha256_hex(text.as_bytes())).unwrap();
            let expected = kept(&versions).contains(text);
            assert_eq!(
                (fs::read_to_string(&path).ok(), signature_path(&path).exists()),
                (expected.then(|| text.clone()), expected),
                "{text}"
            );
        }
        // One that comes back is the newest again, and there once.
        versions.add("csv", version("v3", 8), &mut source("v3"), None).unwrap();
        assert_eq!(kept(&versions), ["v3", "v6", "v5", "v4", "v2"]);
        assert_eq!(versions.history("junit"), []);
    }

    #[test]
    fn bytes_that_are_not_what_was_loaded_are_not_kept() {
        let (_root, versions) = folder();
        let error = versions.add("csv", version("v1", 1), &mut source("v2"), None).unwrap_err();
        assert!(error.to_string().contains("has changed since"));
        assert_eq!(versions.history("csv"), []);
        assert_eq!(versions.path("../../etc/passwd"), None);
    }

    #[test]
    fn a_rollback_holds_until_its_file_is_another_one() {
        let (_root, versions) = folder();
        for (number, text) in ["v1", "v2"].iter().enumerate() {
            versions.add("csv", version(text, number), &mut source(text), None).unwrap();
        }
        let [from, to] = ["v2", "v1"].map(|text| sha256_hex(text.as_bytes()));
        let rollback = Rollback { name: "csv".to_owned(), digest: to.clone(), file_digest: from.clone(), since: String::new() };
        versions.begin_rollback(&rollback).unwrap();
        assert_eq!(versions.rollbacks(), BTreeMap::from([(from.clone(), rollback)]));
        // What it needs stays, however many versions come after it.
        for number in 3..20 {
            let text = format!("v{number}");
            versions.add("csv", version(&text, number), &mut source(&text), None).unwrap();
        }
        assert!(versions.path(&to).unwrap().exists());
        assert!(!versions.end_rollback("csv", Some(&from)).unwrap());
        assert!(!versions.end_rollback("junit", None).unwrap());
        fs::write(versions.folder.join(".tmp-left"), "by a crash").unwrap();
        versions.add("csv", version("v20", 20), &mut source("v20"), None).unwrap();
        assert!(!versions.folder.join(".tmp-left").exists());
        assert!(versions.end_rollback("csv", Some(&to)).unwrap());
        assert!(versions.rollback("csv").is_none());
    }

    #[test]
    fn damage_is_no_history_and_no_rollback() {
        let (root, versions) = folder();
        fs::write(root.path().join(VERSIONS_FOLDER).join("csv.json"), "[{").unwrap();
        fs::write(root.path().join(VERSIONS_FOLDER).join("csv.rollback.json"), "").unwrap();
        assert_eq!((versions.history("csv"), versions.rollback("csv"), versions.rollbacks()), (vec![], None, BTreeMap::new()));
        versions.add("csv", version("v1", 1), &mut source("v1"), None).unwrap();
        assert_eq!(versions.history("csv").len(), 1);
    }
}
