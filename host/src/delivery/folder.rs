//! The destination `folder`: one file per document. Files appear whole. A file of another document is never replaced; a repeated delivery
//! replaces its own.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::courier::{Attempt, Courier, DocumentError, Failure, each_document};
use super::landing::Landing;
use super::pace::Trouble;
use super::parts::Parts;
use super::{Spool, courier};
use crate::config::{Address, Config, Destination, Part};
use crate::digest::{sha256_hex, sha256_reader};
use crate::files;
use crate::queue::{Delivery, DocumentId};
use crate::sandbox::Document;

/// File systems take 255 bytes; this leaves room for id, extension and the temporary prefix.
const LONGEST_STEM: usize = 180;
const LONGEST_EXTENSION: usize = 24;
const LONGEST_NAME: usize = LONGEST_STEM + LONGEST_EXTENSION + 18;
/// Deliveries whose files are made durable together.
const AT_ONCE: usize = 64;

/// Puts documents into one folder.
pub(super) struct FolderCourier {
    config: Arc<Config>,
    spool: Spool,
    landing: Arc<Landing>,
    folder: PathBuf,
    /// The names of files, by route.
    names: HashMap<String, Address>,
}

impl FolderCourier {
    /// The courier for the folder that is called `label` in some routes.
    pub fn new(config: Arc<Config>, spool: Spool, landing: Arc<Landing>, folder: PathBuf, label: &str) -> Self {
        let names = config
            .routes
            .iter()
            .flat_map(|route| route.destinations.iter().map(move |destination| (route, destination)))
            .filter_map(|(route, destination)| match destination {
                // A loaded configuration has no name that does not parse.
                Destination::Folder(folder) if destination.label() == label => {
                    Some((route.name.clone(), Address::parse(&folder.file_name).ok()?))
                }
                _ => None,
            })
            .collect();
        FolderCourier { config, spool, landing, folder, names }
    }

    /// Puts the documents of one job there. `touched` are the folders that are to be synced then.
    fn put_all(&self, delivery: &Delivery, touched: &mut BTreeSet<PathBuf>) -> Attempt {
        let job = &delivery.committed.job;
        let route = self.config.routes.iter().find(|route| route.name == job.route);
        let (Some(route), Some(name)) = (route, self.names.get(&job.route)) else {
            return Attempt::failed(delivery, Failure::not_configured());
        };
        let parts = Parts::new(&self.config, route, &delivery.committed);
        each_document(delivery, |document| {
            let path = self.path_of(name, &parts, document)?;
            let spooled = self.spool.document(&job.id, document.number);
            let id = parts.id(document);
            let placed = Placed { spooled: &spooled, document, id, linked: delivery.alone };
            placed
                .put(&path, name.tells_documents_apart(), touched)
                .map_err(|error| DocumentError::Failed(self.failure(&spooled, &path, &error)))
        })
    }

    fn path_of(&self, name: &Address, parts: &Parts<'_>, document: &Document) -> Result<PathBuf, DocumentError> {
        let value = |part: &Part| parts.value(document, part);
        let filled =
            name.fill(value, safe_part).map_err(|error| DocumentError::Refused { reason: error.to_string(), answer: String::new() })?;
        Ok(filled.split('/').fold(self.folder.clone(), |path, part| path.join(shortened(part))))
    }

    fn failure(&self, spooled: &Path, path: &Path, error: &io::Error) -> Failure {
        if !spooled.exists() {
            let message = format!("the document {} is not in the spool any more, so it cannot be delivered", spooled.display());
            return Failure::new(Trouble::Document, message);
        }
        // A name that the file system does not take says nothing about other names.
        let trouble = match error.kind() {
            io::ErrorKind::InvalidFilename | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Trouble::Document,
            io::ErrorKind::InvalidInput => Trouble::Unclear,
            _ => Trouble::Destination,
        };
        Failure::new(trouble, format!("cannot write {}: {error}; check that the folder is there, writable, and has space", path.display()))
    }
}

impl Courier for FolderCourier {
    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn in_flight(&self) -> usize {
        1
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn carry(&self, deliveries: &[Delivery]) -> Vec<courier::Attempt> {
        if let Err(error) = self.landing.check(&self.folder) {
            let failure = Failure::new(Trouble::Destination, error.to_string());
            return deliveries.iter().map(|delivery| Attempt::failed(delivery, failure.clone())).collect();
        }
        let mut touched = BTreeSet::new();
        let mut attempts: Vec<Attempt> = deliveries.iter().map(|delivery| self.put_all(delivery, &mut touched)).collect();
        let synced = touched.iter().try_for_each(|folder| files::sync_folder(folder).map_err(|error| (folder, error)));
        if let Err((folder, error)) = synced {
            let message = format!("cannot make the files in {} durable: {error}; check its disk", folder.display());
            // What is there may not stay there.
            attempts =
                deliveries.iter().map(|delivery| Attempt::failed(delivery, Failure::new(Trouble::Destination, message.clone()))).collect();
        }
        attempts
    }
}

/// A document on its way to a path.
struct Placed<'a> {
    spooled: &'a Path,
    document: &'a Document,
    id: DocumentId,
    /// It may be a second link to the spooled bytes: nobody else needs them, so it does no harm if the reader changes them.
    linked: bool,
}

impl Placed<'_> {
    /// Puts it there; `replacing` what is there, which is an earlier version, or else beside it.
    fn put(&self, path: &Path, replacing: bool, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        if !touched.contains(folder) {
            if !folder.is_dir() {
                files::create_folder(folder)?;
            }
            touched.insert(folder.to_path_buf());
        }
        match self.add(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
        if self.is_there(path)? {
            return Ok(());
        }
        if replacing {
            return self.replace(path);
        }
        // The name is another document's; with the id in it, it is nobody else's.
        let beside =
            path.with_file_name(with_suffix(&path.file_name().unwrap_or_default().to_string_lossy(), &format!("-{}", self.id.short())));
        match self.add(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.replace(&beside),
            other => other,
        }
    }

    /// Puts it there unless something is.
    fn add(&self, path: &Path) -> io::Result<()> {
        if self.linked && has_one_name(self.spooled)? {
            match fs::hard_link(self.spooled, path) {
                // Whatever else is wrong: a copy finds it out, or does not have it.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
        if fs::symlink_metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let temporary = files::temporary_beside(path);
        files::copy_synced(self.spooled, &temporary)?;
        files::rename_new(&temporary, path).inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        if self.linked && has_one_name(self.spooled)? {
            return files::publish(self.spooled, path);
        }
        let temporary = files::temporary_beside(path);
        files::copy_synced(self.spooled, &temporary)?;
        fs::rename(&temporary, path)
    }

    /// Whether the file there is this very document, from an attempt that was not recorded: a link to the same bytes, or a copy of them, which
    /// has their time.
    fn is_there(&self, path: &Path) -> io::Result<bool> {
        let (spooled, there) = (fs::metadata(self.spooled)?, fs::symlink_metadata(path)?);
        if same_file(&spooled, &there) {
            return Ok(true);
        }
        let times = |metadata: &fs::Metadata| metadata.modified().ok();
        if !there.is_file() || there.len() != spooled.len() || times(&there) != times(&spooled) {
            return Ok(false);
        }
        let digest = match &self.document.digest {
            Some(digest) => digest.clone(),
            None => sha256_reader(&mut File::open(self.spooled)?)?.0,
        };
        Ok(sha256_reader(&mut File::open(path)?)?.0 == digest)
    }
}

/// Whether nobody else, the result cache or a backup, has the same bytes under another name.
#[cfg(unix)]
fn has_one_name(path: &Path) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(path)?) == 1)
}

/// Windows does not say it here.
#[cfg(not(unix))]
fn has_one_name(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Windows does not say it here; the digest does.
#[cfg(not(unix))]
fn same_file(_one: &fs::Metadata, _other: &fs::Metadata) -> bool {
    false
}

/// A file name that collides with no other document's: the converter's suggestion and the document's id, `panel-7-3f09c2a1b4d5e6f7.jsonl`.
pub fn unique_file_name(document: &Document, id: DocumentId) -> String {
    named(document, &format!("-{}", id.short()))
}

/// A file name from the converter's suggestion alone, `panel-7.jsonl`. Another document may have the same.
pub fn plain_file_name(document: &Document) -> String {
    named(document, "")
}

/// What some file system does not take is replaced by `_`.
fn named(document: &Document, suffix: &str) -> String {
    let safe: String = document.name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    no_device(with_suffix(safe.trim_matches(|c: char| c == '.' || c.is_whitespace()), suffix))
}

/// The name, changed where Windows would take it for a device.
fn no_device(name: String) -> String {
    if files::is_device_name(&name) { format!("_{name}") } else { name }
}

/// A name with something before its extension, short enough for every file system.
fn with_suffix(name: &str, suffix: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty() && extension.len() <= LONGEST_EXTENSION && extension.chars().all(char::is_alphanumeric) =>
        {
            (stem, Some(extension))
        }
        _ => (name, None),
    };
    let stem = match stem.get(..stem.floor_char_boundary(LONGEST_STEM)) {
        None | Some("") => "document",
        Some(stem) => stem,
    };
    match extension {
        Some(extension) => format!("{stem}{suffix}.{extension}"),
        None => format!("{stem}{suffix}"),
    }
}

/// The value of a part as a piece of a file's name: it cannot leave its folder.
fn safe_part(value: &str) -> String {
    let safe: String = value.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    if safe.trim_matches('.').is_empty() { safe.replace('.', "_") } else { safe }
}

/// A part of a path that file systems take: not hidden, not empty, not too long. What is cut off still counts.
fn shortened(part: &str) -> String {
    let part = part.trim_start_matches('.').trim_end_matches(['.', ' ']).trim_start();
    no_device(match part.len() {
        0 => "document".into(),
        1..=LONGEST_NAME => part.into(),
        _ => with_suffix(part, &format!("-{}", sha256_hex(part.as_bytes()).get(..16).unwrap_or_default())),
    })
}

fn is_safe(c: char) -> bool {
    !c.is_control() && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Removes what an interrupted delivery left: temporary names that nothing will complete.
///
/// # Errors
/// What the file system says.
pub(super) fn remove_temporaries(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(files::TEMPORARY_PREFIX));
        // A folder of that name belongs to a `dropforge convert` that runs.
        if ours && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::queue::JobId;

    #[test]
    fn names_are_safe_and_do_not_collide() {
        let job = JobId::from_stored("0".into());
        let name = |name: &str, number| {
            let document = Document {
                number,
                media_type: String::new(),
                name: name.into(),
                attributes: Vec::new(),
                key: None,
                bytes: 0,
                digest: None,
            };
            unique_file_name(&document, DocumentId::new(&job, number))
        };
        let id = DocumentId::new(&job, 0).short();
        let table = [
            ("a.jsonl", format!("a-{id}.jsonl")),
            ("a", format!("a-{id}")),
            ("../../etc/passwd", format!("_.._etc_passwd-{id}")),
            ("C:\\x|y?.json", format!("C__x_y_-{id}.json")),
            ("line\nbreak\0.txt", format!("line_break_-{id}.txt")),
            ("...", format!("document-{id}")),
            (".hidden", format!("hidden-{id}")),
            ("CON", format!("CON-{id}")),
        ];
        for (suggested, expected) in table {
            assert_eq!(name(suggested, 0), expected, "{suggested:?}");
        }
        assert_ne!(name("a.jsonl", 0), name("a.jsonl", 1));
        assert!(name(&"ä".repeat(600), 0).len() < 255 - 32);
    }

    /// A spool with one document of each of two jobs, and a folder.
    struct Case {
        folder: tempfile::TempDir,
        spool: Spool,
    }

    impl Case {
        fn new(documents: &[(&str, &[u8])]) -> (Case, Vec<Delivery>) {
            let folder = tempfile::tempdir().unwrap();
            let spool = Spool::open(folder.path().join("spool")).unwrap();
            let deliveries = documents
                .iter()
                .enumerate()
                .map(|(number, (name, content))| {
                    let mut delivery = super::super::testing::delivery(1);
                    let job = JobId::from_stored(format!("job{number}"));
                    let document = &mut delivery.committed.documents[0];
                    document.name = (*name).into();
                    let mut sink = spool.begin(&job).unwrap();
                    let mut writer = sink.create(0, "", "").unwrap();
                    writer.write(content).unwrap();
                    document.digest = writer.finish().unwrap();
                    spool.sync_documents(&job).unwrap();
                    delivery.committed.job.id = job;
                    delivery
                })
                .collect();
            (Case { folder, spool }, deliveries)
        }

        fn courier(&self, file_name: &str) -> FolderCourier {
            let path = self.folder.path().join("out");
            let mut route = crate::config::Route::new("r", "in", &path);
            if let Some(Destination::Folder(folder)) = route.destinations.first_mut() {
                folder.file_name = file_name.into();
            }
            let label = route.destinations[0].label();
            let config = Arc::new(Config { routes: vec![route], ..Config::default() });
            let landing = Arc::new(Landing::open(self.folder.path()).unwrap());
            FolderCourier::new(config, self.spool.clone(), landing, path, &label)
        }

        fn carry(&self, file_name: &str, deliveries: &[Delivery]) {
            for attempt in self.courier(file_name).carry(deliveries) {
                assert!(attempt.end.is_ok() && attempt.refused.is_empty(), "{attempt:?}");
            }
        }

        fn files(&self) -> Vec<(String, Vec<u8>)> {
            let mut files: Vec<_> = walkdir::WalkDir::new(self.folder.path().join("out"))
                .into_iter()
                .map(Result::unwrap)
                .filter(|entry| entry.file_type().is_file())
                .map(|entry| {
                    let name = entry.path().strip_prefix(self.folder.path().join("out")).unwrap().to_string_lossy().into_owned();
                    (name, fs::read(entry.path()).unwrap())
                })
                .collect();
            files.sort();
            files
        }
    }

    #[test]
    fn a_repeated_delivery_replaces_its_own_file_and_no_other() {
        for alone in [true, false] {
            let (case, mut deliveries) = Case::new(&[("a.txt", b"one"), ("a.txt", b"two"), ("a.txt", b"two")]);
            deliveries.iter_mut().for_each(|delivery| delivery.alone = alone);
            for _ in 0..2 {
                case.carry("{name}", &deliveries);
            }
            let ids: Vec<String> = deliveries.iter().map(|delivery| DocumentId::new(&delivery.committed.job.id, 0).short()).collect();
            let found = case.files();
            assert!(found.contains(&("a.txt".into(), b"one".to_vec())), "{found:?}");
            assert!(found.contains(&(format!("a-{}.txt", ids[1]), b"two".to_vec())), "{found:?}");
            assert_eq!(found.len(), 3, "{found:?}");
        }
    }

    #[test]
    fn what_the_reader_changes_stays_its_own_where_another_destination_needs_the_document() {
        let (case, mut deliveries) = Case::new(&[("a.txt", b"one")]);
        deliveries[0].alone = false;
        case.carry("{name}", &deliveries);
        fs::write(case.folder.path().join("out/a.txt"), "changed").unwrap();
        assert_eq!(fs::read(case.spool.document(&deliveries[0].committed.job.id, 0)).unwrap(), b"one");

        // Nor where the cache has it.
        let (case, deliveries) = Case::new(&[("a.txt", b"one")]);
        let cached = case.folder.path().join("cached");
        fs::hard_link(case.spool.document(&deliveries[0].committed.job.id, 0), &cached).unwrap();
        case.carry("{name}", &deliveries);
        fs::write(case.folder.path().join("out/a.txt"), "changed").unwrap();
        assert_eq!(fs::read(cached).unwrap(), b"one");
    }

    #[test]
    fn names_make_folders_and_do_not_leave_theirs() {
        let (case, mut deliveries) = Case::new(&[("../../a.txt", b"one"), ("b.txt", b"two")]);
        deliveries[0].committed.documents[0].attributes = vec![("serial".into(), "..".into())];
        deliveries[1].committed.documents[0].attributes = vec![("serial".into(), "x/../y".into())];
        case.carry("{attribute.serial}/{number}/{name}", &deliveries);
        let names: Vec<String> = case.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["__/0/_.._a.txt", "x_.._y/0/b.txt"]);
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_still_tells_documents_apart() {
        let (one, other) = (shortened(&format!("{}1.json", "x".repeat(400))), shortened(&format!("{}2.json", "x".repeat(400))));
        assert!(one != other && one.len() <= LONGEST_NAME && one.ends_with(".json"), "{one}");
    }

    #[test]
    fn no_name_is_that_of_a_device() {
        let (case, mut deliveries) = Case::new(&[("CON.json", b"one"), ("nul", b"two")]);
        deliveries.iter_mut().for_each(|delivery| delivery.committed.documents[0].attributes = vec![("serial".into(), "aux".into())]);
        case.carry("{attribute.serial}/{name}", &deliveries);
        let names: Vec<String> = case.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["_aux/_CON.json", "_aux/_nul"]);
    }

    #[test]
    fn a_document_without_a_part_of_its_name_is_refused_and_says_which() {
        let (case, deliveries) = Case::new(&[("a.txt", b"one")]);
        let attempts = case.courier("{attribute.serial}").carry(&deliveries);
        assert!(attempts[0].end.is_ok());
        assert!(attempts[0].refused[0].reason.contains("{attribute.serial}"), "{attempts:?}");
    }
}
