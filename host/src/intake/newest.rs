//! Which file is the newest of its kind: what is older is superseded. It must not touch the file system.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How many kinds are remembered: folders times patterns. Beyond it, all are forgotten, and the next scan finds those that count.
const MAX_KINDS: usize = 100_000;

/// The kind of a file: the folder that it is in, and the number of the first pattern that admits it.
type Kind = (PathBuf, usize);

/// The newest files, by kind. The times of two files are compared with each other, never with a clock of ours.
#[derive(Debug, Default)]
pub(super) struct Newest {
    files: HashMap<Kind, (i64, PathBuf)>,
}

impl Newest {
    /// Forgets everything: a scan is about to see every file.
    pub(super) fn clear(&mut self) {
        self.files.clear();
    }

    /// Notes a file. Gives the file that was the newest of its kind until then, if this one supersedes it.
    pub(super) fn note(&mut self, relative: &Path, pattern: usize, modified_ns: i64) -> Option<PathBuf> {
        let kind = kind(relative, pattern);
        match self.files.get_mut(&kind) {
            None => {
                if self.files.len() >= MAX_KINDS {
                    self.files.clear();
                }
                self.files.insert(kind, (modified_ns, relative.to_owned()));
                None
            }
            Some((time, path)) if path == relative => {
                *time = modified_ns;
                None
            }
            Some((time, path)) if (*time, path.as_path()) < (modified_ns, relative) => {
                *time = modified_ns;
                Some(std::mem::replace(path, relative.to_owned()))
            }
            Some(_) => None,
        }
    }

    /// Whether a newer file of its kind was noted.
    pub(super) fn supersedes(&self, relative: &Path, pattern: usize, modified_ns: i64) -> bool {
        let newest = self.files.get(&kind(relative, pattern));
        newest.is_some_and(|(time, path)| path != relative && (*time, path.as_path()) > (modified_ns, relative))
    }
}

fn kind(relative: &Path, pattern: usize) -> Kind {
    (relative.parent().unwrap_or(Path::new("")).to_owned(), pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_of_the_same_folder_and_pattern_supersedes() {
        let mut newest = Newest::default();
        let note = |newest: &mut Newest, path: &str, pattern, time| newest.note(Path::new(path), pattern, time);
        assert_eq!(note(&mut newest, "line/monday.log", 0, 10), None);
        for (path, pattern) in [("line/monday.csv", 1), ("other/tuesday.log", 0), ("tuesday.log", 0)] {
            assert_eq!(note(&mut newest, path, pattern, 20), None);
        }
        let superseded = |newest: &Newest, time| newest.supersedes(Path::new("line/monday.log"), 0, time);
        assert!(!superseded(&newest, 10));
        assert_eq!(note(&mut newest, "line/sunday.log", 0, 5), None, "older");
        assert_eq!(note(&mut newest, "line/tuesday.log", 0, 11), Some("line/monday.log".into()));
        assert!(superseded(&newest, 10));
        // Written to after all.
        assert!(!superseded(&newest, 12));
        assert!(newest.supersedes(Path::new("line/sunday.log"), 0, 5));
        newest.clear();
        assert!(!superseded(&newest, 10));
    }

    #[test]
    fn of_two_files_of_one_moment_one_is_the_newest() {
        let mut newest = Newest::default();
        newest.note(Path::new("b"), 0, 1);
        newest.note(Path::new("a"), 0, 1);
        assert!(newest.supersedes(Path::new("a"), 0, 1));
        assert!(!newest.supersedes(Path::new("b"), 0, 1));
    }
}
