//! The private cache of compiled plugins: native code beside a report that holds its SHA-256, both named by the plugin's digest and by
//! everything else that the code depends on. It knows nothing of how code is made.
//!
//! Compiled code runs outside the sandbox, so the folder belongs to this user and to nobody else; that, and the hash against damage,
//! is what makes loading from it sound.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::{sha256_hex, sha256_reader};

use super::contract::{self, Interfaces};
use super::private::{self, PrivateFolderError};
use super::wrap::Producer;

/// The cache's folder, in the state folder.
pub const COMPILED_FOLDER: &str = "compiled";

/// Entries kept. Plugins come and go while code is being written; 200 of them are a few hundred megabytes at most.
const MAX_ENTRIES: usize = 200;
/// The bytes of compiled code that are kept; the oldest goes first.
const MAX_BYTES: u64 = 4 << 30;
/// How long an entry is kept that nobody loads.
const MAX_AGE: Duration = Duration::from_secs(180 * 86_400);
/// How old the time of an entry may be that is in use: it is not written at every start.
const TIME_PRECISION: Duration = Duration::from_secs(86_400);

/// What the compiling child found out about a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the file was a core module.
    pub wrapped: bool,
    /// What it needs and offers.
    #[serde(flatten)]
    pub interfaces: Interfaces,
    /// The tools that made it.
    pub producers: Vec<Producer>,
    /// The SHA-256 of the compiled code, in lower hex.
    pub compiled_sha256: String,
}

/// A verified entry.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The native code, for [`crate::sandbox::Sandbox::load`].
    pub code: PathBuf,
    /// What is known of the plugin.
    pub report: Report,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct CompiledFolder {
    folder: PathBuf,
    /// Changes with the engine, the contract and this program: an entry was compiled and checked by exactly these.
    key: String,
    under_way: Arc<UnderWay>,
}

/// The plugins that are being compiled, by digest; each by one thread.
#[derive(Debug, Default)]
struct UnderWay {
    digests: Mutex<BTreeSet<String>>,
    ended: Condvar,
}

/// Leave to compile a plugin, which nobody else of this folder has at the same time.
#[must_use]
pub struct Turn<'a> {
    under_way: &'a UnderWay,
    digest: &'a str,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.under_way.digests.lock().unwrap_or_else(PoisonError::into_inner).remove(self.digest);
        self.under_way.ended.notify_all();
    }
}

/// The report's file. It says whose it is: under another plugin's name it is worth nothing.
#[derive(Serialize, Deserialize)]
struct Entry {
    plugin_sha256: String,
    key: String,
    #[serde(flatten)]
    report: Report,
}

impl CompiledFolder {
    /// Opens the folder, creating it for this user alone. `compatibility` is [`crate::sandbox::Sandbox::compatibility`].
    ///
    /// # Errors
    /// [`PrivateFolderError`].
    pub fn open(folder: &Path, compatibility: &str) -> Result<CompiledFolder, PrivateFolderError> {
        private::open(folder)?;
        let key = sha256_hex([compatibility, env!("CARGO_PKG_VERSION"), contract::WIT].join("\n").as_bytes()).chars().take(16).collect();
        Ok(CompiledFolder { folder: folder.to_owned(), key, under_way: Arc::default() })
    }

    /// Waits until nobody compiles this plugin, and then keeps it for the caller. What another has compiled meanwhile is in the cache.
    pub fn turn<'a>(&'a self, digest: &'a str) -> Turn<'a> {
        let mut digests = self.under_way.digests.lock().unwrap_or_else(PoisonError::into_inner);
        while !digests.insert(digest.to_owned()) {
            digests = self.under_way.ended.wait(digests).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { under_way: &self.under_way, digest }
    }

    /// The entry of a plugin, if it is there, ours, and undamaged.
    pub fn find(&self, digest: &str) -> Option<Compiled> {
        let path = self.report_path(digest);
        let Entry { plugin_sha256, key, report } = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let code = self.code_path(digest, &report.compiled_sha256)?;
        if plugin_sha256 != digest || key != self.key || !private::is_ours(&path) || !private::is_ours(&code) {
            return None;
        }
        let (sha256, _) = sha256_reader(&mut fs::File::open(&code).ok()?).ok()?;
        if sha256 != report.compiled_sha256 {
            return None;
        }
        for path in [&code, &path] {
            note_use(path);
        }
        Some(Compiled { code, report })
    }

    /// A new name in the folder for the child to write to; dropping the guard removes what is there.
    ///
    /// # Errors
    /// [`PrivateFolderError::Io`].
    pub fn temporary(&self) -> Result<tempfile::TempPath, PrivateFolderError> {
        let file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder);
        Ok(file.map_err(|source| self.io("create a file in", source))?.into_temp_path())
    }

    /// Makes what the child wrote an entry, verified against the report. Two processes may do so at once: the code's name holds its hash,
    /// and the report comes last.
    ///
    /// # Errors
    /// [`PrivateFolderError::Io`], also where the code is not what the report says.
    pub fn store(&self, digest: &str, code: tempfile::TempPath, report: Report) -> Result<Compiled, PrivateFolderError> {
        let failed = |doing, source| self.io(doing, source);
        // Windows syncs only what may be written to.
        let mut file =
            fs::File::options().read(true).write(true).open(&code).map_err(|source| failed("read the compiled code in", source))?;
        let (sha256, _) = sha256_reader(&mut file).map_err(|source| failed("read the compiled code in", source))?;
        let target = match self.code_path(digest, &report.compiled_sha256) {
            Some(target) if sha256 == report.compiled_sha256 => target,
            _ => return Err(failed("verify the compiled code in", io::Error::other("it is not what the compiler reported"))),
        };
        file.sync_all().map_err(|source| failed("sync the compiled code in", source))?;
        drop(file);
        code.persist(&target).map_err(|error| failed("rename the compiled code in", error.error))?;

        let entry = Entry { plugin_sha256: digest.to_owned(), key: self.key.clone(), report };
        let text = serde_json::to_vec_pretty(&entry).map_err(|error| failed("write a report in", error.into()))?;
        let written = self.temporary()?;
        fs::write(&written, text).map_err(|source| failed("write a report in", source))?;
        written.persist(self.report_path(digest)).map_err(|error| failed("rename a report in", error.error))?;
        self.prune();
        Ok(Compiled { code: target, report: entry.report })
    }

    /// Removes what crashed processes left, and the oldest entries beyond the limit. What another process has loaded stays mapped; what it
    /// looks for and does not find, it compiles again. So a failure here harms nothing and is ignored.
    fn prune(&self) {
        let Ok(listing) = fs::read_dir(&self.folder) else { return };
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        let mut entries = Vec::new();
        for entry in listing.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(modified) = metadata.modified() else { continue };
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(TEMPORARY) {
                if modified < hour_ago {
                    let _ = fs::remove_file(entry.path());
                }
            } else {
                entries.push((modified, entry.path(), metadata.len()));
            }
        }
        entries.sort();
        // An entry is two files.
        let mut surplus = entries.len().saturating_sub(2 * MAX_ENTRIES);
        let mut bytes: u64 = entries.iter().map(|(_, _, bytes)| bytes).sum();
        for (modified, path, size) in &entries {
            let old = modified.elapsed().is_ok_and(|age| age > MAX_AGE);
            if surplus == 0 && bytes <= MAX_BYTES && !old {
                break;
            }
            let _ = fs::remove_file(path);
            surplus = surplus.saturating_sub(1);
            bytes -= size;
        }
    }

    fn report_path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.json", self.key))
    }

    /// None where the hash is no hash: it comes from a file and must not lead out of the folder.
    fn code_path(&self, digest: &str, sha256: &str) -> Option<PathBuf> {
        let short = sha256.get(..16)?;
        short.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| self.folder.join(format!("{digest}-{}-{short}.cwasm", self.key)))
    }

    fn io(&self, doing: &'static str, error: io::Error) -> PrivateFolderError {
        PrivateFolderError::Io { doing, path: self.folder.clone(), error }
    }
}

/// How the names of unfinished files begin.
const TEMPORARY: &str = ".tmp-";

/// Makes an entry new again, so that one that is loaded is never the oldest. Where that cannot be, it is compiled again some day.
fn note_use(path: &Path) {
    let recent = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < TIME_PRECISION));
    if !recent && let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn stored(cache: &CompiledFolder) -> Compiled {
        let code = cache.temporary().unwrap();
        fs::write(&code, b"native").unwrap();
        let compiled_sha256 = sha256_hex(b"native");
        let report = Report { wrapped: true, interfaces: Interfaces::default(), producers: Vec::new(), compiled_sha256 };
        cache.store("d1", code, report).unwrap()
    }

    #[test]
    fn an_entry_is_found_until_it_is_damaged_or_the_engine_changes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledFolder::open(&folder.path().join("compiled"), "engine 1").unwrap();
        assert!(cache.find("d1").is_none());
        let entry = stored(&cache);
        assert_eq!(cache.find("d1").unwrap().code, entry.code);
        assert!(cache.find("d2").is_none());
        assert!(CompiledFolder::open(&folder.path().join("compiled"), "engine 2").unwrap().find("d1").is_none());
        fs::write(&entry.code, b"nativE").unwrap();
        assert!(cache.find("d1").is_none());
        fs::write(cache.report_path("d1"), b"{").unwrap();
        assert!(cache.find("d1").is_none());
    }

    #[test]
    fn code_that_is_not_what_was_reported_is_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledFolder::open(&folder.path().join("compiled"), "engine").unwrap();
        for claimed in ["0".repeat(64), "../../../../../../x".to_owned(), String::new()] {
            let code = cache.temporary().unwrap();
            fs::write(&code, b"other").unwrap();
            let report = Report { wrapped: false, interfaces: Interfaces::default(), producers: Vec::new(), compiled_sha256: claimed };
            assert!(cache.store("d1", code, report).unwrap_err().to_string().contains("not what the compiler reported"));
        }
    }

    #[test]
    fn an_entry_of_another_plugin_is_not_taken_for_this_ones() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledFolder::open(&folder.path().join("compiled"), "engine").unwrap();
        let entry = stored(&cache);
        // All of it, under the other's names: the code fits its report.
        fs::copy(cache.report_path("d1"), cache.report_path("d2")).unwrap();
        fs::copy(&entry.code, cache.code_path("d2", &entry.report.compiled_sha256).unwrap()).unwrap();
        assert!(cache.find("d2").is_none());
        assert!(cache.find("d1").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_or_a_link_leads_to_is_not_run() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledFolder::open(&folder.path().join("compiled"), "engine").unwrap();
        let entry = stored(&cache);
        for path in [&entry.code, &cache.report_path("d1")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
            assert!(cache.find("d1").is_none(), "{}", path.display());
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(cache.find("d1").is_some());
            // Only root can give a file away.
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(path, Some(12345), None).unwrap();
                assert!(cache.find("d1").is_none(), "{}", path.display());
                std::os::unix::fs::chown(path, Some(0), None).unwrap();
            }
            let elsewhere = folder.path().join("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, path).unwrap();
            assert!(cache.find("d1").is_none(), "{}", path.display());
            fs::rename(&elsewhere, path).unwrap();
        }
        assert!(cache.find("d1").is_some());
    }

    #[test]
    fn a_plugin_is_compiled_by_one_at_a_time_and_others_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledFolder::open(&folder.path().join("compiled"), "engine").unwrap();
        let at_once = std::sync::atomic::AtomicUsize::new(0);
        let other = cache.turn("d2");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = cache.turn("d1");
                    assert_eq!(at_once.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    at_once.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
        drop(other);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_stood_open_is_emptied_and_a_link_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compiled");
        let cache = CompiledFolder::open(&path, "engine").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        stored(&cache);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        let cache = CompiledFolder::open(&path, "engine").unwrap();
        assert!(cache.find("d1").is_none());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(CompiledFolder::open(&link, "engine"), Err(PrivateFolderError::Foreign(_))));
    }
}
