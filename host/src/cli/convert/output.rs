//! Where the documents of `dropforge convert` go, and under which names.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::print;
use super::behind::Behind;
use super::id::LazyId;
use crate::delivery::{plain_file_name, unique_file_name};
use crate::files;
use crate::queue::DocumentId;
use crate::sandbox::{Document, DocumentSink, DocumentWriter};

/// Where documents go.
pub(super) enum Output {
    /// Standard output, one document after the other.
    Standard,
    /// A folder.
    Folder(PathBuf),
    /// The folder of each input.
    Beside,
}

/// Where the documents of one conversion are until it has succeeded: nothing shows before.
pub(super) struct Written(tempfile::TempDir);

impl Written {
    pub(super) fn document(&self, number: u32) -> PathBuf {
        self.0.path().join(number.to_string())
    }
}

impl Output {
    pub(super) fn of(argument: Option<&Path>) -> anyhow::Result<Output> {
        match argument {
            Some(path) if path == Path::new("-") => Ok(Output::Standard),
            Some(path) => {
                files::create_folder(path).with_context(|| format!("cannot create the output folder {}", path.display()))?;
                Ok(Output::Folder(path.to_path_buf()))
            }
            None => Ok(Output::Beside),
        }
    }

    pub(super) fn is_standard(&self) -> bool {
        matches!(self, Output::Standard)
    }

    /// Documents are collected beside their target, so that publishing them is a rename.
    pub(super) fn begin(&self, input: &Path) -> anyhow::Result<(Box<dyn DocumentSink>, Written)> {
        let folder = match self {
            Output::Standard => tempfile::Builder::new().prefix("dropforge-").tempdir(),
            Output::Folder(_) | Output::Beside => tempfile::Builder::new().prefix(files::TEMPORARY_PREFIX).tempdir_in(self.folder(input)),
        };
        let folder = folder.context("cannot create a temporary folder for the documents")?;
        Ok((Box::new(Collected { folder: folder.path().to_path_buf() }), Written(folder)))
    }

    fn folder(&self, input: &Path) -> PathBuf {
        match self {
            Output::Folder(folder) => folder.clone(),
            Output::Standard | Output::Beside => match input.parent() {
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
        if self.is_standard() {
            let mut standard = io::stdout().lock();
            io::copy(&mut File::open(&from)?, &mut standard)?;
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
