//! A zip file as a bundle: its entries are members, unpacked when a converter opens them. Whatever is in the file, what it costs is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;

use crate::queue::Job;
use crate::sandbox::{FileSource, Member, MemorySource, Source};

/// Entries of a zip file.
const MAX_ENTRIES: usize = 10_000;
/// Bytes of all entries together, unpacked.
const MAX_TOTAL: u64 = 4 << 30;
/// Bytes of an entry by bytes of what it is packed in; text reaches 50, a bomb 1000.
const MAX_RATIO: u64 = 250;
/// Entries up to this size may have any ratio, and are unpacked in memory.
const SMALL: u64 = 1 << 20;

type Archive = ZipArchive<io::BufReader<File>>;

/// The entries of a zip file that are files and have safe names. None, with a warning, where it is damaged or out of bounds: the converter
/// still gets the file itself.
pub(super) fn members(job: &Job, source: &File, unpack_in: &Path) -> io::Result<Vec<Member>> {
    let listed = ZipArchive::new(io::BufReader::new(reopen(source, job)?)).map_err(|error| error.to_string()).and_then(list);
    let (archive, mut names) = match listed {
        Ok(listed) => listed,
        Err(reason) => {
            tracing::warn!(job = %job.id, file = job.path, reason, "the zip file is not offered as a bundle");
            return Ok(Vec::new());
        }
    };
    names.sort();
    names.dedup_by(|a, b| a.0 == b.0);
    let archive = Arc::new(Mutex::new(archive));
    let unpack_in: Arc<Path> = unpack_in.into();
    let member = |(name, index): (String, usize)| {
        let (archive, unpack_in) = (Arc::clone(&archive), Arc::clone(&unpack_in));
        let open = move || unpack(&mut archive.lock().unwrap_or_else(PoisonError::into_inner), index, &unpack_in);
        Member { name, open: Box::new(open) }
    };
    Ok(names.into_iter().map(member).collect())
}

/// The job's file once more, with a position of its own.
fn reopen(source: &File, job: &Job) -> io::Result<File> {
    let file = File::open(&job.location)?;
    // Should another have taken its name: a second descriptor shares its position only with its like, and everybody else reads at positions.
    let same = crate::identity::FileIdentity::of(&file.metadata()?) == crate::identity::FileIdentity::of(&source.metadata()?);
    if same { Ok(file) } else { source.try_clone() }
}

/// The archive with the names and numbers of its files.
fn list(mut archive: Archive) -> Result<(Archive, Vec<(String, usize)>), String> {
    if archive.len() > MAX_ENTRIES {
        return Err(format!("it has {} entries, and may have {MAX_ENTRIES}", archive.len()));
    }
    let (mut names, mut total) = (Vec::new(), 0_u64);
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        total = total.saturating_add(entry.size());
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        if entry.is_dir() {
            continue;
        }
        if !is_safe(&name) {
            return Err(format!("its entry {name:?} leads out of it"));
        }
        names.push((name, index));
    }
    if total > MAX_TOTAL {
        return Err(format!("its entries have {total} bytes together, and may have {MAX_TOTAL}"));
    }
    Ok((archive, names))
}

/// A name stays below the archive, on every platform.
fn is_safe(name: &str) -> bool {
    let plain = !name.is_empty() && !name.contains(['\\', '\0', ':']) && !name.starts_with('/');
    plain && PathBuf::from(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn unpack(archive: &mut Archive, index: usize, folder: &Path) -> io::Result<Box<dyn Source>> {
    let entry = archive.by_index(index).map_err(io::Error::other)?;
    let (size, packed) = (entry.size(), entry.compressed_size());
    if size > SMALL && size / packed.max(1) > MAX_RATIO {
        return Err(io::Error::other(format!(
            "it is packed {} times smaller than it is, and may be {MAX_RATIO} times",
            size / packed.max(1)
        )));
    }
    // One byte more than it says tells that it does not tell the truth.
    let mut content = entry.take(size.saturating_add(1));
    let lies = || io::Error::new(io::ErrorKind::InvalidData, "it has not the size that the archive says");
    if size <= SMALL {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        return if bytes.len() as u64 == size { Ok(Box::new(MemorySource(bytes.into()))) } else { Err(lies()) };
    }
    // It has no name, and goes when it is closed.
    let mut file = tempfile::tempfile_in(folder)?;
    if io::copy(&mut content, &mut file)? != size {
        return Err(lies());
    }
    Ok(Box::new(FileSource::new(file)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> (tempfile::TempDir, Archive) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        (dir, ZipArchive::new(io::BufReader::new(File::open(path).unwrap())).unwrap())
    }

    fn read(mut source: Box<dyn Source>) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(source.size()).unwrap()];
        let mut at = 0;
        while at < content.len() {
            at += source.read_at(at as u64, content.get_mut(at..).unwrap()).unwrap();
        }
        content
    }

    #[test]
    fn entries_come_out_as_they_went_in() {
        let large: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(3 << 20).collect();
        let (dir, archive) = archive(&[("b/two.txt", b"two"), ("a.bin", &large), ("empty", b"")]);
        let (mut archive, names) = list(archive).unwrap();
        assert_eq!(names, [("b/two.txt".to_owned(), 0), ("a.bin".to_owned(), 1), ("empty".to_owned(), 2)]);
        assert_eq!(read(unpack(&mut archive, 0, dir.path()).unwrap()), b"two");
        assert_eq!(read(unpack(&mut archive, 1, dir.path()).unwrap()), large);
        assert_eq!(read(unpack(&mut archive, 2, dir.path()).unwrap()), b"");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let (dir, archive) = archive(&[("zeros", &vec![0; 8 << 20])]);
        let (mut archive, _) = list(archive).unwrap();
        let error = unpack(&mut archive, 0, dir.path()).err().unwrap().to_string();
        assert!(error.contains("times smaller"), "{error}");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../a", "a/../../b", "/etc/passwd", "C:/x", "a\\..\\b", ""] {
            assert!(!is_safe(name), "{name}");
        }
        assert!(is_safe("a/b.txt") && is_safe("..a"));
        let (_dir, archive) = archive(&[("fine", b"x"), ("../out", b"x")]);
        assert!(list(archive).unwrap_err().contains("leads out"));
    }
}
