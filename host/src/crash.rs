//! Named points at which tests kill the process, to prove that a restart loses and repeats nothing. Only builds with debug assertions have
//! them; in a release they are nothing.

/// Ends the process at once, as a kill would, if the environment variable `DROPFORGE_CRASH_AT` names this point.
pub fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var("DROPFORGE_CRASH_AT").is_ok_and(|at| at == name) {
        std::process::abort();
    }
}
