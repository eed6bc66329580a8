//! Symlinks in the folder that lead to files which are taken: a link is never taken itself, and goes when its file has gone to be settled, so
//! that it does not dangle. This is the only thing that an intake ever removes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::PRIVATE_PREFIX;
use crate::digest::sha256_hex;
use crate::files::{path_to_bytes, rename_new};

/// How many links are remembered. One that is not dangles once its file has gone.
const MAX_LINKS: usize = 10_000;

/// The links that are known to lead to files of the folder.
#[derive(Debug, Default)]
pub(super) struct Aliases(HashMap<PathBuf, Alias>);

#[derive(Debug)]
struct Alias {
    /// The file that it leads to, below the folder.
    file: PathBuf,
    /// That file was handed over.
    taken: bool,
}

impl Aliases {
    /// A link leads to a file of the folder; both by their paths below it.
    pub(super) fn leads(&mut self, link: &Path, file: PathBuf, taken: bool) {
        let full = self.0.len() >= MAX_LINKS;
        match self.0.get_mut(link) {
            Some(alias) if alias.file == file => alias.taken |= taken,
            Some(alias) => *alias = Alias { file, taken },
            None if full => {}
            None => drop(self.0.insert(link.to_owned(), Alias { file, taken })),
        }
    }

    /// A file was handed over.
    pub(super) fn taken(&mut self, file: &Path) {
        for alias in self.0.values_mut().filter(|alias| alias.file == file) {
            alias.taken = true;
        }
    }

    /// A link leads nowhere now. Says whether it led to a file that was handed over.
    pub(super) fn dangles(&mut self, link: &Path) -> bool {
        self.0.remove(link).is_some_and(|alias| alias.taken)
    }
}

/// Removes a symlink, and nothing else that takes its name in this instant: it is renamed first, and looked at under that name.
///
/// # Errors
/// What the file system says.
pub(super) fn remove_link(link: &Path) -> io::Result<()> {
    let mut digest = sha256_hex(&path_to_bytes(link));
    digest.truncate(32);
    let private = link.with_file_name(format!("{PRIVATE_PREFIX}link-{digest}"));
    rename_new(link, &private)?;
    if private.is_symlink() { std::fs::remove_file(&private) } else { rename_new(&private, link) }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_links_to_files_that_were_taken_go() {
        let mut aliases = Aliases::default();
        for (link, file) in [("a", "x"), ("b", "y"), ("c", "x")] {
            aliases.leads(Path::new(link), file.into(), false);
        }
        aliases.taken(Path::new("x"));
        // It leads elsewhere since.
        aliases.leads(Path::new("c"), "z".into(), false);
        assert_eq!(["a", "b", "c", "a"].map(|link| aliases.dangles(Path::new(link))), [true, false, false, false]);
    }

    #[test]
    fn a_file_in_the_place_of_the_link_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        symlink("nowhere", &path).unwrap();
        remove_link(&path).unwrap();
        assert!(!path.is_symlink());
        fs::write(&path, "data").unwrap();
        remove_link(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"data");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
