//! The converters inside this program, for a fresh machine that has no plugins folder. They are the files of the folder that the build was told
//! to bundle; it knows nothing of what they do.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

/// A plugin inside this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// The name of its file; the name of its converter and `.wasm`.
    pub file: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

#[cfg(feature = "bundled")]
include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

#[cfg(not(feature = "bundled"))]
static FILES: [Bundled; 0] = [];

/// All of them, in the order of their names; none in a program that was built without.
pub fn all() -> &'static [Bundled] {
    &FILES
}

/// How the places of such plugins begin where others have a file's name.
pub const BUNDLED: &str = "bundled/";

/// The plugin that stands at a place, as versions name it; none where that is a file of the plugins folder.
pub fn at(place: &str) -> Option<Bundled> {
    let file = place.strip_prefix(BUNDLED)?;
    all().iter().copied().find(|bundled| bundled.file == file)
}

impl Bundled {
    /// The name of its converter.
    pub fn name(&self) -> &'static str {
        Path::new(self.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(self.file)
    }

    /// Its bytes as a file without a name, at its start.
    ///
    /// # Errors
    /// What the file system says: it is in the system's temporary folder.
    pub(super) fn open(&self) -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(self.bytes)?;
        file.rewind()?;
        Ok(file)
    }
}
