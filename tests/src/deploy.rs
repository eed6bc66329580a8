//! What is in `deploy/` and `docs/`, for those who read it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file or folder of `deploy/`.
pub fn deploy(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

/// The text of a file.
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs promtool, which must find nothing; false where there is none.
pub fn promtool(arguments: &[&str], folder: &Path) -> bool {
    let output = match Command::new("promtool").args(arguments).current_dir(folder).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: promtool is not here; `cargo xtask setup` installs it (Debian's package prometheus)");
            return false;
        }
        output => output.unwrap(),
    };
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", arguments.join(" "));
    true
}

/// The series of an exposition: name, labels in braces or nothing, value.
pub fn series(exposition: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    exposition.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        (name, labels.strip_suffix('}').unwrap(), value)
    })
}

/// A configuration with everything that the alerts and dashboards are about: an upstream server and a destination that are down.
pub const WITH_UPSTREAM: &str = r#"
[upstream]
url = "http://127.0.0.1:9"

[[routes]]
name = "ict"
expected_interval_seconds = 3600
intake = { path = "{dir}/in" }
destinations = [{ type = "folder", path = "{dir}/out" }, { type = "http", url = "/reports" }]
"#;
