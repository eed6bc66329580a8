//! The globs of an intake, and of paths on the upstream server.

use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// A list of globs: `*`, `?`, `[a-z]`, `{csv,tsv}`, and `**` across folders. One without `/` is matched against the file name, one with `/`
/// against the path below the intake; both without regard to case: stations write `.CSV` and `.csv`.
#[derive(Debug, Clone)]
pub struct Patterns {
    names: GlobSet,
    paths: GlobSet,
    /// Where each glob of the two sets is in the list.
    numbers: [Vec<usize>; 2],
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Folders are parted by `/` on every platform.
    #[error("`{0}` has a backslash; write / between folders, and [*] for the character *")]
    Backslash(String),
    /// It would match nothing.
    #[error("`{0}` begins with /; patterns are matched below the intake's folder, so leave out what leads there")]
    Absolute(String),
    /// It is not a glob.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
}

impl Patterns {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// The first text that is not a pattern.
    pub fn new(patterns: &[String]) -> Result<Self, PatternError> {
        let mut names = GlobSetBuilder::new();
        let mut paths = GlobSetBuilder::new();
        let (mut name_numbers, mut path_numbers) = (Vec::new(), Vec::new());
        for (number, pattern) in patterns.iter().enumerate() {
            let glob = compile(pattern)?;
            if pattern.contains('/') {
                paths.add(glob);
                path_numbers.push(number);
            } else {
                names.add(glob);
                name_numbers.push(number);
            }
        }
        // Each pattern was compiled, so what is left are sets that are too large.
        let build = |builder: GlobSetBuilder| {
            builder.build().map_err(|error| PatternError::Glob { pattern: patterns.join(", "), reason: error.kind().to_string() })
        };
        Ok(Patterns { names: build(names)?, paths: build(paths)?, numbers: [name_numbers, path_numbers] })
    }

    /// The number in the list of the first pattern that a file matches, by its path below the intake.
    pub fn first(&self, relative: &Path) -> Option<usize> {
        let [name_numbers, path_numbers] = &self.numbers;
        let by_name = relative.file_name().map(|name| self.names.matches(name)).unwrap_or_default();
        let by_path = self.paths.matches(relative);
        let names = by_name.into_iter().filter_map(|at| name_numbers.get(at));
        let paths = by_path.into_iter().filter_map(|at| path_numbers.get(at));
        names.chain(paths).min().copied()
    }

    /// Whether a file matches one of the patterns, by its path below the intake.
    pub fn matches(&self, relative: &Path) -> bool {
        self.paths.is_match(relative) || relative.file_name().is_some_and(|name| self.names.is_match(name))
    }
}

fn compile(pattern: &str) -> Result<Glob, PatternError> {
    if pattern.contains('\\') {
        return Err(PatternError::Backslash(pattern.into()));
    }
    if pattern.starts_with('/') {
        return Err(PatternError::Absolute(pattern.into()));
    }
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .case_insensitive(true)
        .build()
        .map_err(|error| PatternError::Glob { pattern: pattern.into(), reason: error.kind().to_string() })
}

/// Whether two lists of patterns can match the same file: `Some(false)` and `Some(true)` are certain, `None` is not.
///
/// Certain are only the cases that people write: everything, equal patterns, and different endings.
pub(super) fn overlap(left: &[String], right: &[String]) -> Option<bool> {
    let expand = |patterns: &[String]| patterns.iter().flat_map(|pattern| expand_braces(&pattern.to_lowercase())).collect::<Vec<_>>();
    let (left, right) = (expand(left), expand(right));
    let is_everything = |pattern: &String| matches!(pattern.as_str(), "*" | "**" | "**/*");
    if left.iter().any(is_everything) || right.iter().any(is_everything) || left.iter().any(|pattern| right.contains(pattern)) {
        return Some(true);
    }
    let ending = |pattern: &str| pattern.rsplit(['*', '?', ']', '}', '/']).next().unwrap_or_default().to_owned();
    let disjoint = |a: &str, b: &str| !a.ends_with(b) && !b.ends_with(a);
    let all_disjoint = left.iter().all(|a| right.iter().all(|b| disjoint(&ending(a), &ending(b))));
    all_disjoint.then_some(false)
}

/// `*.{csv,tsv}` as `*.csv` and `*.tsv`. Braces within braces stay as they are.
fn expand_braces(pattern: &str) -> Vec<String> {
    let parts = pattern.split_once('{').and_then(|(before, rest)| rest.split_once('}').map(|(inside, after)| (before, inside, after)));
    match parts {
        Some((before, inside, after)) if !inside.contains('{') && !after.contains('}') => {
            inside.split(',').flat_map(|word| expand_braces(&format!("{before}{word}{after}"))).collect()
        }
        _ => vec![pattern.into()],
    }
}

/// A pattern of paths that may be looked up.
///
/// # Errors
/// What is wrong with it, in words.
pub fn path_pattern(pattern: &str) -> Result<Glob, String> {
    if !pattern.starts_with('/') {
        return Err(format!("{pattern:?} does not begin with /; write a path on the server of `upstream`, such as \"/api/operations/*\""));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(false).build();
    glob.map_err(|error| format!("{pattern:?} is not a pattern: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|&pattern| pattern.into()).collect()
    }

    #[test]
    fn names_and_paths_are_matched() {
        let cases = [
            (&["**"][..], "a/b/c.csv", true),
            (&["*.csv"], "c.csv", true),
            (&["*.csv"], "a/b/C.CSV", true),
            (&["*.csv"], "a.csv/c.xml", false),
            (&["**/*.csv"], "c.csv", true),
            (&["**/*.csv"], "a/b/c.csv", true),
            (&["a/*.csv"], "a/c.csv", true),
            (&["a/*.csv"], "a/b/c.csv", false),
            (&["a/**"], "a/b/c.csv", true),
            (&["*.csv"], "Ä/C.csv", true),
            (&["*.{csv,tsv}", "x?[0-9]"], "xy7", true),
            (&[], "c.csv", false),
        ];
        for (patterns, path, expected) in cases {
            assert_eq!(Patterns::new(&list(patterns)).unwrap().matches(Path::new(path)), expected, "{patterns:?} for {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        let cases = [
            (r"a\*.csv", r"`a\*.csv` has a backslash; write / between folders, and [*] for the character *"),
            ("/data/*.csv", "`/data/*.csv` begins with /; patterns are matched below the intake's folder, so leave out what leads there"),
            ("[a", "`[a` is not a pattern: unclosed character class; missing ']'"),
            ("{a", "`{a` is not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(Patterns::new(&list(&["*", pattern])).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn overlaps_are_seen_where_they_are_plain() {
        let cases = [
            (&["**"][..], &["*.csv"][..], Some(true)),
            (&["*.csv"], &["*.CSV"], Some(true)),
            (&["*.csv"], &["*.xml"], Some(false)),
            (&["*.{csv,tsv}"], &["*.xml", "**/*.json"], Some(false)),
            (&["*.{csv,tsv}"], &["*.tsv"], Some(true)),
            (&["a*.csv"], &["b*.csv"], None),
            (&["*.csv"], &["**/*.csv"], None),
            (&["*.csv"], &["*.old.csv"], None),
            (&["*.log[0-9]"], &["*.csv"], None),
        ];
        for (left, right, expected) in cases {
            assert_eq!(overlap(&list(left), &list(right)), expected, "{left:?} and {right:?}");
            assert_eq!(overlap(&list(right), &list(left)), expected, "{right:?} and {left:?}");
        }
    }

    #[test]
    fn patterns_are_paths_on_the_server() {
        let matches = |pattern: &str, path: &str| path_pattern(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(path));
        for (pattern, path, expected) in [
            ("/api/operations/*", "/api/operations/10", true),
            ("/api/operations/*", "/api/operations/10/delete", false),
            ("/api/operations/*", "/api/users/10", false),
            ("/api/**", "/api/operations/10/name", true),
            ("/api/{a,b}", "/api/b", true),
            ("/API/x", "/api/x", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        for bad in ["api/*", "", "*", "/api/{a"] {
            assert!(path_pattern(bad).is_err(), "{bad}");
        }
    }
}
