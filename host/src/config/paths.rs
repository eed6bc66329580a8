//! Paths: made absolute, compared, and the default state folder.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::{Config, Destination};

/// `path` from `base`, which is absolute, with `.` and `..` taken out by name: so two spellings of one folder are equal.
pub(super) fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// `inner` below `outer` with `/` between its parts; empty if they are the same folder, nothing if it is not inside.
pub(super) fn below(outer: &Path, inner: &Path) -> Option<String> {
    let (outer, inner) = (folded(outer), folded(inner));
    let rest = inner.strip_prefix(&outer).ok()?;
    Some(rest.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/"))
}

/// As the platform compares names.
fn folded(path: &Path) -> PathBuf {
    if cfg!(windows) { path.to_string_lossy().to_lowercase().into() } else { path.into() }
}

/// Where state is kept if nobody says: what the platform's users expect.
///
/// # Errors
/// The sentence for the user where the environment names no home.
pub(super) fn default_state_dir(variables: &[(OsString, OsString)]) -> Result<PathBuf, String> {
    let variable = |name: &str| {
        let value = variables.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
        // The XDG specification says to ignore relative paths; an empty value is one.
        value.filter(|path| path.is_absolute())
    };
    let found = if cfg!(windows) {
        variable("LOCALAPPDATA").map(|folder| folder.join("dropforge"))
    } else if is_root() {
        Some("/var/lib/dropforge".into())
    } else {
        variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state"))).map(|folder| folder.join("dropforge"))
    };
    found
        .ok_or_else(|| "there is no home folder to keep state in: give one with --state DIR, or as `state_dir` in the configuration".into())
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Gives routes without a folder the folders that others have in theirs. The paths are absolute by now.
pub(super) fn fill_in_settled(config: &mut Config) {
    for route in config.routes.iter_mut().filter(|route| !route.intake.has_folder()) {
        let folder = config.state_dir.join("routes").join(&route.name);
        route.intake.done.get_or_insert_with(|| folder.join("done"));
        route.intake.failed.get_or_insert_with(|| folder.join("failed"));
    }
}

/// Makes every path of the configuration absolute, from `base`.
pub(super) fn make_absolute(config: &mut Config, base: &Path) {
    let paths = [&mut config.state_dir, &mut config.plugins_dir].into_iter();
    let upstream = config.upstream.iter_mut().flat_map(|upstream| upstream.token_file.iter_mut().chain(upstream.password_file.iter_mut()));
    let tracing = config.tracing.iter_mut().flat_map(|tracing| tracing.headers_file.iter_mut());
    let http = config.http.ca_file.iter_mut().chain(config.signatures.trusted_keys.iter_mut()).chain(config.log.file.iter_mut());
    let tls = config.server.tls.iter_mut();
    let tls = tls.flat_map(|tls| [&mut tls.certificate_file, &mut tls.key_file].into_iter().chain(tls.ca_file.iter_mut()));
    let routes = config.routes.iter_mut().flat_map(|route| {
        let intake = &mut route.intake;
        let settled = intake.done.iter_mut().chain(intake.failed.iter_mut());
        let destinations = route.destinations.iter_mut().flat_map(|destination| match destination {
            Destination::Folder(folder) => vec![&mut folder.path],
            Destination::Http(http) => http.token_file.iter_mut().chain(http.password_file.iter_mut()).collect(),
            Destination::ObjectStore(_) => Vec::new(),
        });
        std::iter::once(&mut intake.path).chain(settled).chain(destinations)
    });
    // An empty path is left for validation to find; it would become the base itself.
    for path in paths.chain(upstream).chain(tracing).chain(http).chain(tls).chain(routes).filter(|path| !path.as_os_str().is_empty()) {
        *path = absolute(base, path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[cfg(unix)]
    #[test]
    fn paths_are_absolute_and_clean() {
        let cases =
            [("a", "/base/a"), ("/a/b", "/a/b"), ("./a/./b/", "/base/a/b"), ("../a", "/a"), ("../../..", "/"), ("a/../b", "/base/b")];
        for (path, expected) in cases {
            assert_eq!(absolute(Path::new("/base"), Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_below_another_by_whole_names() {
        let cases = [("/a", "/a/b/c", Some("b/c")), ("/a", "/a", Some("")), ("/a", "/ab", None), ("/a/b", "/a", None)];
        for (outer, inner, expected) in cases {
            assert_eq!(below(Path::new(outer), Path::new(inner)).as_deref(), expected, "{inner} in {outer}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn state_is_where_the_platform_keeps_it() {
        let at = |variables: &[(&str, &str)]| {
            default_state_dir(&variables.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>())
        };
        if is_root() {
            assert_eq!(at(&[("HOME", "/root")]).unwrap(), Path::new("/var/lib/dropforge"));
        } else {
            assert_eq!(at(&[("HOME", "/h")]).unwrap(), Path::new("/h/.local/state/dropforge"));
            assert_eq!(at(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")]).unwrap(), Path::new("/x/dropforge"));
            assert_eq!(at(&[("HOME", "/h"), ("XDG_STATE_HOME", "x")]).unwrap(), Path::new("/h/.local/state/dropforge"));
            assert!(at(&[("HOME", "")]).unwrap_err().contains("--state DIR"));
        }
    }
}
