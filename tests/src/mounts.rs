//! Places for tests: folders that are mounted elsewhere, small disks, folders in memory. What is mounted is seen by one process and its children
//! alone, and gone with them. It knows nothing of daemons.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A folder for temporary files whose syncs cost nothing, where there is one.
pub fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if tempfile::tempfile_in(&memory).is_ok() { memory } else { std::env::temp_dir() }
}

/// The command line of `unshare` that may mount here; none where nothing may.
static UNSHARE: LazyLock<Option<Vec<&str>>> = LazyLock::new(|| {
    [vec!["unshare", "--mount"], vec!["unshare", "--user", "--map-root-user", "--mount"]].into_iter().find(|command| {
        let mut unshare = Command::new(command[0]);
        unshare.args(&command[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).stdout(Stdio::null()).stderr(Stdio::null());
        unshare.status().is_ok_and(|status| status.success())
    })
});

/// The command line that runs the program which follows it in a world of its own mounts, after the shell commands of `prepare`, in which `$1`, `$2`
/// and so on stand for `arguments`. None where mounting is not allowed; then it says so.
pub fn with_mounts(prepare: &str, arguments: &[&Path]) -> Option<Vec<OsString>> {
    let Some(unshare) = &*UNSHARE else {
        eprintln!(
            "skipped: `unshare --mount` and `mount` are not allowed here (they are for root, and in most containers with CAP_SYS_ADMIN)"
        );
        return None;
    };
    let script = format!("set -e; {prepare}; shift {}; exec \"$@\"", arguments.len());
    let mut command: Vec<OsString> = unshare.iter().map(OsString::from).collect();
    command.extend(["sh", "-c", &script, "sh"].map(OsString::from));
    command.extend(arguments.iter().map(OsString::from));
    Some(command)
}

/// The same where one folder is seen in the place of another, which is then the current one.
pub fn in_place_of(seen: &Path, place: &Path) -> Option<Vec<OsString>> {
    with_mounts("mount --bind \"$1\" \"$2\"; cd \"$2\"", &[seen, place])
}
