//! Looks at one name in the folder and says what is behind it.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::filter::{Globs, Places};
use super::kin::{Kin, Part};
use super::tracker::Version;
use crate::identity::FileIdentity;

const NOT_ADMITTED: &str = "the intake's patterns do not admit it";

/// What is behind a name.
pub(super) enum Found {
    File(Candidate),
    Folder,
    /// A file that belongs to another, or will.
    Part,
    /// A symlink to a file of the folder: that is taken, and the link is not. The file's path below the folder.
    Alias(PathBuf),
    /// A symlink that leads nowhere.
    Dangling,
    /// Something that is left alone, and why.
    Left(&'static str),
}

impl Found {
    /// The size of the file in bytes; 0 if it is none.
    pub(super) fn size(&self) -> u64 {
        match self {
            Found::File(file) => file.identity.size,
            Found::Folder | Found::Part | Found::Alias(_) | Found::Dangling | Found::Left(_) => 0,
        }
    }
}

/// A file that is intake.
pub(super) struct Candidate {
    pub(super) identity: FileIdentity,
    /// Of it and its parts.
    pub(super) version: Version,
    /// The files that belong to it.
    pub(super) parts: Vec<Part>,
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
    if kind.is_file() {
        return file(places, globs, relative, FileIdentity::of(metadata));
    }
    if !globs.admit(relative) {
        return Found::Left(NOT_ADMITTED);
    }
    if kind.is_symlink() { follow(places, globs, relative) } else { Found::Left("it is a pipe, a socket or a device") }
}

fn file(places: &Places, globs: &Globs, relative: &Path, identity: FileIdentity) -> Found {
    match globs.kin.is_main(places, globs, relative) {
        Ok(true) => {}
        Ok(false) if matches!(globs.kin, Kin::None) || globs.excluded(relative) => return Found::Left(NOT_ADMITTED),
        Ok(false) => return Found::Part,
        Err(_) => return Found::Left("the files of its folder cannot be read"),
    }
    match globs.kin.parts(places, globs, relative) {
        Ok(parts) => {
            let identities: Vec<FileIdentity> = std::iter::once(identity).chain(parts.iter().map(|part| part.identity)).collect();
            Found::File(Candidate { identity, version: Version::of(&identities), parts })
        }
        Err(_) => Found::Left("the files that belong to it cannot be read, or are too many"),
    }
}

/// What a symlink leads to.
fn follow(places: &Places, globs: &Globs, relative: &Path) -> Found {
    let target = match places.root.join(relative).canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Dangling,
        Err(_) => return Found::Left("it is a symlink that cannot be followed"),
    };
    match target.strip_prefix(&places.real_root) {
        Ok(file) if target.is_file() && !places.never(globs, file) && globs.admit(file) => Found::Alias(file.to_owned()),
        _ => Found::Left("it is a symlink that does not lead to an intake file of this folder"),
    }
}
