//! Which names in a folder are intake. It knows names only; what is behind a name is for `folder` to see.

use std::path::{Component, Path, PathBuf};

use super::kin::Kin;
use crate::config::{self, Destination, PatternError, Patterns, Route};

/// How the names begin under which Dropforge itself keeps files in an intake's folder for a moment. They are never taken.
pub const PRIVATE_PREFIX: &str = ".dropforge-";

/// The patterns of an intake, compiled.
pub(super) struct Globs {
    include: Patterns,
    exclude: Patterns,
    temporary: Patterns,
    /// How files belong to each other.
    pub(super) kin: Kin,
}

impl Globs {
    pub(super) fn new(intake: &config::Intake) -> Result<Globs, PatternError> {
        Ok(Globs {
            include: Patterns::new(&intake.include)?,
            exclude: Patterns::new(&intake.exclude)?,
            temporary: Patterns::new(&intake.temporary_names)?,
            kin: Kin::new(intake)?,
        })
    }

    /// The number of the first pattern of `include` that the file matches.
    pub(super) fn pattern(&self, relative: &Path) -> Option<usize> {
        self.include.first(relative)
    }

    /// Whether `exclude` leaves the file out.
    pub(super) fn excluded(&self, relative: &Path) -> bool {
        self.exclude.matches(relative)
    }

    /// Whether `include` and `exclude` admit the file.
    pub(super) fn admit(&self, relative: &Path) -> bool {
        self.include.matches(relative) && !self.exclude.matches(relative)
    }
}

/// Where an intake's folder is, and what below it is the host's own. Made anew whenever the folder is, because symlinks may then lead elsewhere.
pub(super) struct Places {
    /// The folder as configured, absolute.
    pub(super) root: PathBuf,
    /// The same without symlinks.
    pub(super) real_root: PathBuf,
    /// Folders below it whose files are never taken, relative to it: what was settled, and the route's own documents.
    own: Vec<PathBuf>,
}

impl Places {
    pub(super) fn new(route: &Route, root: &Path) -> std::io::Result<Places> {
        let real_root = root.canonicalize()?;
        let documents = route.destinations.iter().filter_map(|destination| match destination {
            Destination::Folder(folder) => Some(folder.path.clone()),
            Destination::Http(_) | Destination::ObjectStore(_) => None,
        });
        let mut own = Vec::new();
        for dir in [route.intake.done_dir(), route.intake.failed_dir()].into_iter().chain(documents) {
            let dir = std::path::absolute(dir)?;
            own.extend(dir.strip_prefix(root).ok().map(Path::to_owned));
            own.extend(resolve(&dir).strip_prefix(&real_root).ok().map(Path::to_owned));
        }
        own.retain(|dir| dir.as_os_str() != "");
        own.sort();
        own.dedup();
        Ok(Places { root: root.to_owned(), real_root, own })
    }

    /// The path below the folder; none for what is not in it.
    pub(super) fn relative<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).or_else(|_| path.strip_prefix(&self.real_root)).ok()
    }

    /// Whether a file or folder is never intake, and not even worth a remark: the host's own, or under a temporary name, itself or a
    /// folder above it.
    pub(super) fn never(&self, globs: &Globs, relative: &Path) -> bool {
        let temporary = |part: Component<'_>| {
            let name = part.as_os_str();
            name.to_string_lossy().starts_with(PRIVATE_PREFIX) || globs.temporary.matches(Path::new(name))
        };
        self.own.iter().any(|own| relative.starts_with(own)) || relative.components().any(temporary)
    }
}

/// `path` without symlinks, as far as it exists.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return path.strip_prefix(ancestor).map(|rest| real.join(rest)).unwrap_or(real);
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn route(root: &Path) -> Route {
        Route::new("r", root, root.join("out"))
    }

    #[test]
    fn patterns_match_the_name_or_the_path() {
        let cases: [(&[&str], &[&str], &str, bool); 12] = [
            (&["**"], &[], "a.csv", true),
            (&["**"], &[], "a/b/c.csv", true),
            (&["*.csv"], &[], "a/b/c.csv", true),
            (&["*.csv"], &[], "a/b/C.CSV", true),
            (&["*.csv"], &[], "a.csv/b.txt", false),
            (&["**/*.csv"], &[], "a.csv", true),
            (&["a/*.csv"], &[], "a/b.csv", true),
            (&["a/*.csv"], &[], "a/b/c.csv", false),
            (&["a/**"], &[], "a/b/c.csv", true),
            (&["*.{csv,tsv}"], &["old/**"], "old/a.csv", false),
            (&["*.{csv,tsv}"], &["*_raw*"], "a_raw.csv", false),
            (&[], &[], "a.csv", false),
        ];
        for (include, exclude, path, admitted) in cases {
            let mut intake = config::Intake::new("in");
            intake.include = include.iter().map(|&glob| glob.into()).collect();
            intake.exclude = exclude.iter().map(|&glob| glob.into()).collect();
            assert_eq!(Globs::new(&intake).unwrap().admit(Path::new(path)), admitted, "{include:?} {exclude:?} {path}");
        }
    }

    #[test]
    fn temporary_private_and_own_names_are_never_taken() {
        let dir = tempfile::tempdir().unwrap();
        let route = route(dir.path());
        let globs = Globs::new(&route.intake).unwrap();
        let places = Places::new(&route, dir.path()).unwrap();
        for never in [".x", "~x", "x~", "x.tmp", "X.PART", ".git/a", "up.part/a", ".dropforge-1", "done/a", "failed/2026/a", "out/a"] {
            assert!(places.never(&globs, Path::new(never)), "{never}");
        }
        for other in ["x", "x.csv", "done.csv", "a/done/b", "undone/a"] {
            assert!(!places.never(&globs, Path::new(other)), "{other}");
        }
    }

    #[test]
    fn private_names_are_not_taken_whatever_is_configured() {
        let dir = tempfile::tempdir().unwrap();
        let mut route = route(dir.path());
        route.intake.temporary_names.clear();
        let globs = Globs::new(&route.intake).unwrap();
        let places = Places::new(&route, dir.path()).unwrap();
        assert!(places.never(&globs, Path::new("a/.dropforge-1")));
        assert!(!places.never(&globs, Path::new(".x")));
    }

    #[cfg(unix)]
    #[test]
    fn own_folders_are_found_through_symlinks_and_before_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("in");
        std::fs::create_dir(&inbox).unwrap();
        std::os::unix::fs::symlink(&inbox, dir.path().join("link")).unwrap();
        let mut route = route(&inbox);
        route.intake.done = Some(dir.path().join("link/old/done"));
        let globs = Globs::new(&route.intake).unwrap();
        let places = Places::new(&route, &inbox).unwrap();
        assert!(places.never(&globs, Path::new("old/done/a")));
        assert!(!places.never(&globs, Path::new("old/a")));
    }
}
