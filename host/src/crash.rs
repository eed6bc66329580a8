//! Named points at which tests kill the process, or hold it up, to prove that a restart loses and repeats nothing, and neither does what somebody
//! does at that moment. Only builds with debug assertions have them; in a release they are nothing.

use std::path::Path;
use std::time::Duration;

/// Takes the points of the daemon from a child's environment: the daemon is to die at them, and not what it starts. Those of one file stay.
pub fn spare(child: &mut std::process::Command) {
    if cfg!(debug_assertions) && std::env::var("DROPFORGE_CRASH_AT").is_ok_and(|at| !at.contains(':')) {
        child.env_remove("DROPFORGE_CRASH_AT");
    }
}

/// Ends the process at once, as a kill would, if the environment variable `DROPFORGE_CRASH_AT` names this point. If `DROPFORGE_HOLD_AT` names
/// it, whoever comes here waits as long as there is the file that `DROPFORGE_HOLD_FILE` names, and says so by a file of that name and
/// `.reached`.
pub fn point(name: &str) {
    point_of(name, "");
}

/// The same for one file: `DROPFORGE_CRASH_AT` names the point and the file, as in `convert:bad.csv`.
pub fn point_of(name: &str, file: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let is = |variable| std::env::var(variable).is_ok_and(|at| at.split_once(':').unwrap_or((&at, "")) == (name, file));
    if is("DROPFORGE_CRASH_AT") {
        std::process::abort();
    }
    if is("DROPFORGE_HOLD_AT")
        && let Ok(file) = std::env::var("DROPFORGE_HOLD_FILE")
    {
        while Path::new(&file).exists() {
            let _ = std::fs::write(format!("{file}.reached"), "");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
