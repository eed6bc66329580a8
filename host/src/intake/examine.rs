//! Looks at one name in the folder and says what is behind it.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::filter::{Globs, Places};
use super::tracker::Version;
use crate::identity::FileIdentity;

/// What is behind a name.
pub(super) enum Found {
    File(Candidate),
    Folder,
    /// Something that is left alone, and why.
    Left(&'static str),
}

impl Found {
    /// The size of the file in bytes; 0 if it is none.
    pub(super) fn size(&self) -> u64 {
        match self {
            Found::File(file) => file.identity.size,
            Found::Folder | Found::Left(_) => 0,
        }
    }
}

/// A file that is intake.
pub(super) struct Candidate {
    /// Of the content: of what a symlink leads to.
    pub(super) identity: FileIdentity,
    pub(super) version: Version,
    /// What the symlink leads to, if it is one.
    target: Option<PathBuf>,
}

impl Candidate {
    /// The file that is read, given the path under which it was found.
    pub(super) fn content<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.target.as_deref().unwrap_or(path)
    }
}

/// Looks at `relative`, which is not a name that is never taken.
///
/// # Errors
/// What the file system says.
pub(super) fn look_at(places: &Places, globs: &Globs, relative: &Path) -> io::Result<Found> {
    let metadata = places.root.join(relative).symlink_metadata()?;
    Ok(examine(places, globs, relative, &metadata))
}

/// The same, when the metadata are known; those of the link itself, if it is a symlink.
pub(super) fn examine(places: &Places, globs: &Globs, relative: &Path, metadata: &Metadata) -> Found {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Found::Folder;
    }
    if !globs.admit(relative) {
        return Found::Left("the intake's patterns do not admit it");
    }
    let identity = FileIdentity::of(metadata);
    if kind.is_file() {
        return Found::File(Candidate { identity, version: Version::of(&[identity]), target: None });
    }
    if !kind.is_symlink() {
        return Found::Left("it is a pipe, a socket or a device");
    }
    match follow(places, globs, relative) {
        Some((target, content)) => {
            Found::File(Candidate { identity: content, version: Version::of(&[identity, content]), target: Some(target) })
        }
        None => Found::Left("it is a symlink that does not lead to an intake file of this folder"),
    }
}

/// The file that a symlink leads to, if that is in the folder and could be intake itself.
fn follow(places: &Places, globs: &Globs, relative: &Path) -> Option<(PathBuf, FileIdentity)> {
    let target = places.root.join(relative).canonicalize().ok()?;
    let inside = target.strip_prefix(&places.real_root).ok()?;
    let metadata = target.symlink_metadata().ok()?;
    (metadata.is_file() && !places.never(globs, inside)).then(|| (target, FileIdentity::of(&metadata)))
}
