//! Which files belong to which: the members of a file, or all files of a folder that is one job.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::filter::{Globs, Places};
use crate::config::{self, PatternError, Patterns};
use crate::identity::FileIdentity;

/// How many members a file may have.
const MAX_MEMBERS: usize = 10_000;

/// A file that belongs to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its path below the folder of the file that it belongs to.
    pub(super) name: PathBuf,
    pub(super) identity: FileIdentity,
}

/// How files belong to each other in an intake.
pub(super) enum Kin {
    /// Every file stands alone.
    None,
    /// Files have members, which these patterns name.
    Members(Vec<String>),
    /// A folder is one job once it has a file of this name.
    Marker(String),
    /// A folder is one job once each of these matches one of its files.
    Expect(Vec<Patterns>),
}

impl Kin {
    pub(super) fn new(intake: &config::Intake) -> Result<Kin, PatternError> {
        match &intake.bundle {
            Some(config::Bundle { marker: Some(marker), .. }) => Ok(Kin::Marker(marker.clone())),
            Some(config::Bundle { expect, .. }) => {
                let each = expect.iter().map(|pattern| Patterns::new(std::slice::from_ref(pattern)));
                Ok(Kin::Expect(each.collect::<Result<_, _>>()?))
            }
            None if intake.members.is_empty() => Ok(Kin::None),
            None => Ok(Kin::Members(intake.members.clone())),
        }
    }

    /// Whether a file's members may come after it, so that its closing alone says nothing.
    pub(super) fn must_be_quiet(&self) -> bool {
        matches!(self, Kin::Members(_) | Kin::Expect(_))
    }

    /// Whether a file is the input of a job, and not a part of one.
    pub(super) fn is_main(&self, places: &Places, globs: &Globs, relative: &Path) -> io::Result<bool> {
        let folder = relative.parent().filter(|folder| !folder.as_os_str().is_empty());
        match (self, folder) {
            (Kin::None | Kin::Members(_), _) => Ok(globs.admit(relative)),
            // Files of the intake's own folder are in no bundle.
            (_, None) => Ok(false),
            (Kin::Marker(marker), Some(_)) => Ok(relative.file_name().is_some_and(|name| name == marker.as_str())),
            (Kin::Expect(expected), Some(folder)) => {
                let Some(name) = relative.file_name() else { return Ok(false) };
                if !expected.first().is_some_and(|first| first.matches(Path::new(name))) {
                    return Ok(false);
                }
                Ok(first_if_complete(expected, &places.root.join(folder), |file| places.never(globs, &folder.join(file)))?
                    .is_some_and(|first| first == name))
            }
        }
    }

    /// The files that belong to a file, in the order of their names.
    pub(super) fn parts(&self, places: &Places, globs: &Globs, relative: &Path) -> io::Result<Vec<Part>> {
        let folder = relative.parent().unwrap_or(Path::new(""));
        let mut parts = Vec::new();
        match self {
            Kin::None => {}
            Kin::Members(templates) => {
                for template in templates {
                    collect_members(places, globs, relative, folder, template, &mut parts)?;
                }
            }
            Kin::Marker(_) | Kin::Expect(_) => {
                let is_other_bundle = |path: &Path| matches!(self, Kin::Marker(marker) if path.join(marker).is_file());
                let keep = |name: &Path| folder.join(name) != relative && !globs.excluded(&folder.join(name));
                collect(places, globs, folder, Path::new(""), usize::MAX, &is_other_bundle, &keep, &mut parts)?;
            }
        }
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        parts.dedup_by(|a, b| a.name == b.name);
        Ok(parts)
    }
}

/// The first file by name that matches the first pattern, if each pattern matches a file.
fn first_if_complete(expected: &[Patterns], folder: &Path, never: impl Fn(&Path) -> bool) -> io::Result<Option<std::ffi::OsString>> {
    let mut missing: Vec<&Patterns> = expected.iter().collect();
    let mut first: Option<std::ffi::OsString> = None;
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        if !entry.file_type()?.is_file() || never(Path::new(&name)) {
            continue;
        }
        missing.retain(|pattern| !pattern.matches(Path::new(&name)));
        let matches_first = expected.first().is_some_and(|pattern| pattern.matches(Path::new(&name)));
        if matches_first && first.as_ref().is_none_or(|first| name < *first) {
            first = Some(name);
        }
    }
    Ok(first.filter(|_| missing.is_empty()))
}

/// The files that one pattern names for a file.
fn collect_members(places: &Places, globs: &Globs, main: &Path, folder: &Path, template: &str, parts: &mut Vec<Part>) -> io::Result<()> {
    let text = |part: Option<&std::ffi::OsStr>| globset::escape(&part.unwrap_or_default().to_string_lossy());
    let pattern = template.replace("{stem}", &text(main.file_stem())).replace("{file}", &text(main.file_name()));
    let matcher = Patterns::new(std::slice::from_ref(&pattern)).map_err(io::Error::other)?;
    // Only what the pattern can match is looked at.
    let plain: Vec<&str> = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect();
    let depth = pattern.split('/').count();
    let base: PathBuf = plain.iter().take(depth.saturating_sub(1)).collect();
    let base_depth = plain.len().min(depth.saturating_sub(1));
    let depth = if pattern.contains("**") { usize::MAX } else { depth - base_depth };
    // What `include` admits is taken for itself.
    let keep = |name: &Path| matcher.matches(name) && !globs.admit(&folder.join(name)) && folder.join(name) != main;
    collect(places, globs, folder, &base, depth, &|_| false, &keep, parts)
}

/// Adds the files below `folder/base` that are to be kept.
#[allow(clippy::too_many_arguments, reason = "one walk, with what it may see and what it keeps")]
fn collect(
    places: &Places,
    globs: &Globs,
    folder: &Path,
    base: &Path,
    depth: usize,
    skip: &dyn Fn(&Path) -> bool,
    keep: &dyn Fn(&Path) -> bool,
    parts: &mut Vec<Part>,
) -> io::Result<()> {
    let top = places.root.join(folder);
    let walk = WalkDir::new(top.join(base)).min_depth(1).max_depth(depth).into_iter();
    let wanted = |entry: &walkdir::DirEntry| {
        let below = places.relative(entry.path()).is_some_and(|relative| !places.never(globs, relative));
        below && !(entry.depth() > 0 && entry.file_type().is_dir() && skip(entry.path()))
    };
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || wanted(entry)) {
        let entry = match entry {
            // Nothing is there, or no longer.
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
            other => other?,
        };
        let Ok(name) = entry.path().strip_prefix(&top) else { continue };
        if !entry.file_type().is_file() || !keep(name) {
            continue;
        }
        if parts.len() >= MAX_MEMBERS {
            return Err(io::Error::other(format!("more than {MAX_MEMBERS} files belong to it")));
        }
        let metadata = match entry.metadata() {
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
            other => other?,
        };
        parts.push(Part { name: name.to_owned(), identity: FileIdentity::of(&metadata) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::config::Route;

    /// The mains in a folder of these files, each with its parts.
    fn kin(files: &[&str], configure: impl FnOnce(&mut config::Intake)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut route = Route::new("r", dir.path(), dir.path().join("out"));
        configure(&mut route.intake);
        let (globs, places) = (Globs::new(&route.intake).unwrap(), Places::new(&route, dir.path()).unwrap());
        for file in files {
            fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs::write(dir.path().join(file), file).unwrap();
        }
        let mains = files.iter().filter(|file| globs.kin.is_main(&places, &globs, Path::new(file)).unwrap());
        let described = mains.map(|file| {
            let parts = globs.kin.parts(&places, &globs, Path::new(file)).unwrap();
            let names: Vec<String> = parts.iter().map(|part| part.name.to_string_lossy().replace('\\', "/")).collect();
            format!("{file}: {}", names.join(" "))
        });
        described.collect()
    }

    #[test]
    fn members_are_named_by_the_file() {
        let files = [
            "a.tdms",
            "a.tdms_index",
            "A.TDMS_INDEX2",
            "b.tdms",
            "a/x.bin",
            "a/deep/y.bin",
            "a/z.tdms",
            "a/.tmp",
            "line/c.tdms",
            "line/c.tdms_index",
            "line/c_1.raw",
            "line/deep/c_2.raw",
            "d[1].tdms",
            "d[1].tdms_index",
            "d1.tdms_index",
        ];
        let with = kin(&files, |intake| {
            intake.include = vec!["*.tdms".into()];
            intake.members = ["{stem}.tdms_index", "{stem}/**", "{stem}_?.raw"].map(String::from).into();
        });
        assert_eq!(
            with,
            [
                "a.tdms: a/deep/y.bin a/x.bin a.tdms_index",
                "b.tdms: ",
                "a/z.tdms: ",
                "line/c.tdms: c.tdms_index c_1.raw",
                "d[1].tdms: d[1].tdms_index",
            ]
        );
        let by_file = kin(&["a.dat", "a.dat.md5", "a.hdr"], |intake| {
            intake.include = vec!["*.dat".into()];
            intake.members = ["{file}.md5", "{stem}.*"].map(String::from).into();
        });
        assert_eq!(by_file, ["a.dat: a.dat.md5 a.hdr"]);
    }

    #[test]
    fn a_folder_is_one_job_once_it_has_its_marker() {
        let files =
            ["done.txt", "one/a.dat", "one/sub/b.dat", "one/done.txt", "one/x.bak", "two/a.dat", "one/inner/done.txt", "one/inner/c.dat"];
        let bundles = kin(&files, |intake| {
            intake.exclude = vec!["*.bak".into()];
            intake.bundle = Some(config::Bundle { marker: Some("done.txt".into()), expect: Vec::new() });
        });
        assert_eq!(bundles, ["one/done.txt: a.dat sub/b.dat", "one/inner/done.txt: c.dat"]);
    }

    #[test]
    fn a_folder_is_one_job_once_all_that_is_expected_is_there() {
        let files = ["one/b.dat", "one/a.dat", "one/a.hdr", "one/sub/x", "two/a.dat", "a.dat", "a.hdr"];
        let bundles = kin(&files, |intake| {
            intake.bundle = Some(config::Bundle { marker: None, expect: ["*.dat", "*.hdr"].map(String::from).into() });
        });
        assert_eq!(bundles, ["one/a.dat: a.hdr b.dat sub/x"]);
    }
}
