//! Named points at which tests kill the process, to prove that a restart loses and repeats nothing. Only builds with debug assertions have
//! them; in a release they are nothing.

/// Ends the process at once, as a kill would, if the environment variable `DROPFORGE_CRASH_AT` names this point.
pub fn point(name: &str) {
    point_of(name, "");
}

/// The same for one file: `DROPFORGE_CRASH_AT` names the point and the file, as in `convert:bad.csv`.
pub fn point_of(name: &str, file: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let Ok(at) = std::env::var("DROPFORGE_CRASH_AT") else { return };
    if at.split_once(':').unwrap_or((&at, "")) == (name, file) {
        std::process::abort();
    }
}
