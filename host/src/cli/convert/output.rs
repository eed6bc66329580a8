//! Where the documents of `dropforge convert` go, and under which names.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::print;
use super::behind::Behind;
use super::id::LazyId;
use super::interrupt::Folder;
use crate::delivery::{plain_file_name, unique_file_name};
use crate::files;
use crate::queue::DocumentId;
use crate::sandbox::{Document, DocumentSink, DocumentWriter};

/// Where documents go.
pub(super) enum Output {
    /// Standard output, one document after the other. True where the last one needs a new line before the next.
    Standard(Cell<bool>),
    /// A folder.
    Folder(PathBuf),
    /// The folder of each input.
    Beside,
}

/// Where the documents of one conversion are until it has succeeded: nothing shows before.
pub(super) struct Written(Folder);

impl Written {
    pub(super) fn document(&self, number: u32) -> PathBuf {
        self.0.path().join(number.to_string())
    }
}

impl Output {
    pub(super) fn of(argument: Option<&Path>) -> anyhow::Result<Output> {
        match argument {
            Some(path) if path == Path::new("-") => Ok(Output::Standard(Cell::default())),
            Some(path) => {
                files::create_folder(path).with_context(|| format!("cannot create the output folder {}", path.display()))?;
                Ok(Output::Folder(path.to_path_buf()))
            }
            None => Ok(Output::Beside),
        }
    }

    pub(super) fn is_standard(&self) -> bool {
        matches!(self, Output::Standard(_))
    }

    /// Documents are collected beside their target, so that publishing them is a rename.
    pub(super) fn begin(&self, input: &Path) -> anyhow::Result<(Box<dyn DocumentSink>, Written)> {
        let folder = Folder::make(|| match self {
            Output::Standard(_) => tempfile::Builder::new().prefix("dropforge-").tempdir(),
            Output::Folder(_) | Output::Beside => tempfile::Builder::new().prefix(files::TEMPORARY_PREFIX).tempdir_in(self.folder(input)),
        });
        let folder = folder.context("cannot create a temporary folder for the documents")?;
        Ok((Box::new(Collected { folder: folder.path().to_path_buf() }), Written(folder)))
    }

    fn folder(&self, input: &Path) -> PathBuf {
        match self {
            Output::Folder(folder) => folder.clone(),
            Output::Standard(_) | Output::Beside => match input.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
                _ => PathBuf::from("."),
            },
        }
    }

    pub(super) fn publish(
        &self,
        input: &Path,
        document: &Document,
        written: &Written,
        names: &mut Names,
        id: &LazyId,
    ) -> anyhow::Result<()> {
        let from = written.document(document.number);
        if let Output::Standard(unended) = self {
            let (mut standard, mut content) = (io::stdout().lock(), File::open(&from)?);
            if unended.get() {
                standard.write_all(b"\n")?;
            }
            io::copy(&mut content, &mut standard)?;
            unended.set(is_json(&document.media_type) && !ends_a_line(&mut content)?);
            return Ok(standard.flush()?);
        }
        let folder = self.folder(input);
        let unique = || Ok(folder.join(unique_file_name(document, DocumentId::new(&id.get()?, document.number))));
        let target = names.free(folder.join(plain_file_name(document)), unique).context("cannot read the file once more")?;
        fs::rename(&from, &target).with_context(|| format!("cannot write {}", target.display()))?;
        // The documents count, and not whether somebody reads their names.
        let _ = print(&format!("{}\n", target.display()));
        Ok(())
    }
}

/// Whether documents of this kind are told apart by lines: readers of JSON take several texts, but not run together.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

fn ends_a_line(content: &mut File) -> io::Result<bool> {
    if content.metadata()?.len() == 0 {
        return Ok(true);
    }
    content.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    content.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The names that documents must not have: those of the inputs, and of documents of this run. What an earlier run left is replaced.
pub(super) struct Names(HashSet<PathBuf>);

impl Names {
    pub(super) fn of_inputs(inputs: &[PathBuf]) -> Names {
        Names(inputs.iter().filter_map(|input| input.canonicalize().ok()).collect())
    }

    /// The plain name, unless it is taken.
    fn free(&mut self, plain: PathBuf, unique: impl FnOnce() -> io::Result<PathBuf>) -> io::Result<PathBuf> {
        let absolute = |path: &Path| match (path.parent().map(Path::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path.to_path_buf(),
        };
        if self.0.insert(absolute(&plain)) { Ok(plain) } else { unique() }
    }
}

/// Writes documents into a temporary folder, by number.
struct Collected {
    folder: PathBuf,
}

impl DocumentSink for Collected {
    fn create(&mut self, number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        Ok(Box::new(Behind::new(File::create_new(self.folder.join(number.to_string()))?)))
    }
}

impl DocumentWriter for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Behind::write(self, bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Behind::finish(*self).map(|()| None)
    }
}
