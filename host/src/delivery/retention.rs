//! How much of what is settled is kept: the oldest goes first. Only files in the dated folders of `done/` and `failed/` are ever deleted here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::sidecar;
use crate::config::Route;

/// A settled file.
struct Kept {
    /// Of its dated folder; then its own time.
    age: (String, std::time::SystemTime),
    path: PathBuf,
    bytes: u64,
}

/// Deletes the oldest settled files of a route until what is left has no more than `after.keep_bytes`. Gives how many were deleted.
///
/// # Errors
/// What the file system says; what was deleted until then is gone.
pub fn remove_surplus(route: &Route) -> io::Result<u64> {
    let Some(most) = route.after.keep_bytes else { return Ok(0) };
    let mut kept = Vec::new();
    for base in [route.intake.done_dir(), route.intake.failed_dir()] {
        collect(&base, &mut kept)?;
    }
    let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
    kept.sort_by(|a, b| a.age.cmp(&b.age));
    let mut removed = 0;
    for file in kept {
        if total <= most {
            break;
        }
        remove(&file.path)?;
        // With its reason, which has no use without it.
        remove(&sidecar::path(&file.path))?;
        total -= file.bytes;
        removed += 1;
        if let Some(folder) = file.path.parent() {
            // Only an empty one goes.
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(removed)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn collect(base: &Path, kept: &mut Vec<Kept>) -> io::Result<()> {
    let entries = match fs::read_dir(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(day) = entry.file_name().to_str().filter(|name| name.parse::<jiff::civil::Date>().is_ok()).map(str::to_owned) else {
            continue;
        };
        for file in WalkDir::new(entry.path()).min_depth(1) {
            let file = file?;
            let metadata = file.metadata()?;
            if !metadata.is_file() || sidecar::is_one(file.path()) {
                continue;
            }
            let modified = metadata.modified().unwrap_or(std::time::UNIX_EPOCH);
            kept.push(Kept { age: (day.clone(), modified), path: file.path().to_path_buf(), bytes: metadata.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let mut route = Route::new("r", folder.path(), folder.path().join("out"));
        let put = |path: &str, bytes: usize| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, vec![b'x'; bytes]).unwrap();
        };
        put("done/2026-01-02/line/a", 100);
        put("failed/2026-01-01/b", 100);
        put("failed/2026-01-01/b.dropforge.json", 5_000);
        put("done/2026-01-03/c", 100);
        put("done/mine/d", 1_000);
        put("e", 1_000);
        assert_eq!(remove_surplus(&route).unwrap(), 0, "nothing is deleted unless it is asked for");
        route.after.keep_bytes = Some(150);
        assert_eq!(remove_surplus(&route).unwrap(), 2);
        let mut left: Vec<String> = WalkDir::new(folder.path())
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["c", "d", "e"]);
        assert!(!folder.path().join("done/2026-01-02/line").exists());
    }
}
