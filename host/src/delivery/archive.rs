//! Compressed sources: one gzip file each, which says of which job it is.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::settle::{MOST_NAMES, with_suffix};
use crate::digest::Hasher;
use crate::files;
use crate::identity::FileIdentity;
use crate::queue::{Job, JobId};

/// What the names of compressed sources end in.
const EXTENSION: &str = ".gz";

/// The name of a source, once it is compressed.
pub(super) fn name_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(EXTENSION);
    path.with_file_name(name)
}

/// Compresses a file under another name, durably but for its folder, and gives the SHA-256 of what was compressed.
///
/// # Errors
/// What the file system says.
pub(super) fn compress(from: &Path, to: &Path, job: &JobId) -> io::Result<String> {
    let mut source = File::open(from)?;
    let target = File::create(to)?;
    let modified = source.metadata()?.modified();
    let mut compressed = GzBuilder::new().comment(job.as_str()).write(target, Compression::default());
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let read = buffer.get(..count).unwrap_or_default();
        hasher.update(read);
        compressed.write_all(read)?;
    }
    let target = compressed.finish()?;
    if let Ok(modified) = modified {
        let _ = target.set_modified(modified);
    }
    target.sync_all()?;
    Ok(hasher.finish())
}

/// Whether a file is the compressed source of a job. One that is there is whole: it had another name until it was.
pub(super) fn is_of(path: &Path, job: &JobId) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return false };
    GzDecoder::new(file).header().and_then(|header| header.comment()).is_some_and(|comment| comment == job.as_str().as_bytes())
}

/// Unpacks the source of a job beside its archive, under a name that nothing has, durably, and gives where it is. None where the archive is not
/// of that job, or holds other bytes.
///
/// # Errors
/// What the file system says.
pub(super) fn unpack(archive: &Path, job: &Job) -> io::Result<Option<PathBuf>> {
    if archive.extension() != Some(EXTENSION.trim_start_matches('.').as_ref()) || !is_of(archive, &job.id) {
        return Ok(None);
    }
    let temporary = files::temporary_beside(archive);
    let written = unpack_to(archive, &temporary).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    if written != job.digest || FileIdentity::at(&temporary)?.modified_ns != job.identity.modified_ns {
        fs::remove_file(&temporary)?;
        return Ok(None);
    }
    let wanted = archive.with_extension("");
    let short_id: String = job.id.as_str().chars().take(8).collect();
    for n in 0..=MOST_NAMES {
        let name = match n {
            0 => wanted.clone(),
            1 => with_suffix(&wanted, &format!("-{short_id}")),
            n => with_suffix(&wanted, &format!("-{short_id}-{n}")),
        };
        match files::rename_new(&temporary, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                files::sync_parent(&name)?;
                return Ok(Some(name));
            }
        }
    }
    fs::remove_file(&temporary)?;
    Err(io::Error::other(format!("no free name for {}", wanted.display())))
}

/// Gives the SHA-256 of what was unpacked. The file has the archive's time, which is that of the source.
fn unpack_to(archive: &Path, to: &Path) -> io::Result<String> {
    let modified = fs::metadata(archive)?.modified();
    let mut target = File::create(to)?;
    let mut source = GzDecoder::new(File::open(archive)?);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let read = buffer.get(..count).unwrap_or_default();
        hasher.update(read);
        target.write_all(read)?;
    }
    if let Ok(modified) = modified {
        target.set_modified(modified)?;
    }
    target.sync_all()?;
    Ok(hasher.finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;

    #[test]
    fn an_archive_holds_the_source_and_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.csv"), folder.path().join("a.csv.gz"));
        let content = b"serial,value\n".repeat(50_000);
        fs::write(&from, &content).unwrap();
        let (job, other) = (JobId::from_stored("1".into()), JobId::from_stored("2".into()));
        assert_eq!(name_of(&from), to);
        assert_eq!(compress(&from, &to, &job).unwrap(), sha256_hex(&content));
        let mut read = Vec::new();
        GzDecoder::new(File::open(&to).unwrap()).read_to_end(&mut read).unwrap();
        assert!(read == content);
        assert!(fs::metadata(&to).unwrap().len() < content.len() as u64 / 10);
        assert!(is_of(&to, &job) && !is_of(&to, &other) && !is_of(&from, &job));
    }
}
