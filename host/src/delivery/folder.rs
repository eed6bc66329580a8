//! The destination `folder`: one file per document. Files appear whole; the name holds the document's id, so that names never collide and a
//! repeated delivery replaces its own file.

use std::fs;
use std::io;
use std::path::Path;

use super::Spool;
use crate::files;
use crate::queue::{CommittedJob, DocumentId};
use crate::sandbox::Document;

/// File systems take 255 bytes; this leaves room for id, extension and the temporary prefix.
const LONGEST_STEM: usize = 180;
const LONGEST_EXTENSION: usize = 24;

/// Puts all documents of a job into a folder, durably.
///
/// # Errors
/// What the file system says.
pub(super) fn deliver(folder: &Path, spool: &Spool, job: &CommittedJob) -> io::Result<()> {
    if !folder.is_dir() {
        files::create_folder(folder)?;
    }
    for document in &job.documents {
        let target = folder.join(unique_file_name(document, DocumentId::new(&job.job.id, document.number)));
        files::publish(&spool.document(&job.job.id, document.number), &target)?;
    }
    if job.documents.is_empty() { Ok(()) } else { files::sync_folder(folder) }
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
    let safe = safe.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let (stem, extension) = match safe.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty() && extension.len() <= LONGEST_EXTENSION && extension.chars().all(char::is_alphanumeric) =>
        {
            (stem, Some(extension))
        }
        _ => (safe, None),
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
}
