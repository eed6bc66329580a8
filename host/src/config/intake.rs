//! The watched folder of a route.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A watched folder, and which of its files are taken when.
///
/// Patterns are globs: `*`, `?`, `[a-z]`, `{csv,tsv}`, and `**` across folders. One without `/` is matched against the file name, one with
/// `/` against the path below the folder; both without regard to case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// The folder. A route may do without one if `http = true` is written: then it takes what is posted to it, and nothing else.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub path: PathBuf,
    /// Whether files may be posted to `/api/v1/routes/NAME/jobs`, with the token. If absent, they may, but the route needs a `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<bool>,
    /// Files that match one of these patterns are taken.
    #[serde(default = "everything")]
    #[schemars(length(min = 1))]
    pub include: Vec<String>,
    /// Files that match one of these patterns are never taken, whatever `include` says.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether files in folders below are taken too.
    #[serde(default = "yes")]
    pub recursive: bool,
    /// How new files are noticed.
    #[serde(default)]
    pub watch: Watch,
    /// When a file is complete.
    #[serde(default)]
    pub take: Take,
    /// For how many seconds a file must not change to count as complete, where its closing cannot be seen or does not count.
    #[serde(default = "two_seconds")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub quiet_seconds: f64,
    /// With `take = "superseded"`: after how many hours without a change a file is taken that no newer one has superseded.
    #[serde(default = "twelve_hours")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 8_760))]
    pub superseded_hours: f64,
    /// Seconds between two looks at the whole folder. They find what the notices of the file system missed.
    #[serde(default = "five_seconds")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub rescan_seconds: f64,
    /// Patterns that name the other files that belong to a file, below its folder: `{stem}` stands for the file's name without its extension,
    /// `{file}` for the name, such as `{stem}.tdms_index` or `{stem}/**`. A converter sees them as the file's members. Files that `include`
    /// admits are taken for themselves and are never members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Makes each folder below the intake's one job, as soon as it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// Whether the folder is made if it is not there. If false, a missing folder is waited for and reported: it may be a share.
    #[serde(default)]
    pub create: bool,
    /// Names that are never taken, because programs write under them before they give a file its real name.
    #[serde(default = "temporary_names")]
    pub temporary_names: Vec<String>,
    /// Where converted files go, below a folder of the day; `done` in the intake's folder if absent, and without one
    /// `routes/NAME/done` in `state_dir`. It is never intake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<PathBuf>,
    /// Where files that failed go, with a description of what failed; `failed` in the intake's folder if absent, and without one
    /// `routes/NAME/failed` in `state_dir`. It is never intake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<PathBuf>,
}

/// When a folder is complete, and is one job: by `marker` or by `expect`. One file of it is the input of the job, the others are its members;
/// `exclude` leaves files out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The name of a file that is written last. It is the input of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Patterns of file names, each of which must match a file. The first file by name that matches the first of them is the input of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
}

/// How new files are noticed. Every way looks at the whole folder from time to time too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Watch {
    /// By the notices of the file system, and by looking only where it gives none, as on network shares.
    #[default]
    Auto,
    /// By the notices of the file system.
    Native,
    /// By looking only.
    Poll,
}

/// When a file is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// When its writer has closed it, or, where that cannot be seen, when it has not changed for `quiet_seconds`.
    #[default]
    Closed,
    /// When it has not changed for `quiet_seconds`.
    Quiet,
    /// When a newer file has appeared that is in the same folder and matches the same pattern of `include`, and it has not changed for
    /// `quiet_seconds`; or when it has not changed for `superseded_hours`. For files that are appended to all day.
    Superseded,
}

impl Intake {
    /// A folder with every default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Intake {
            path: path.into(),
            http: None,
            include: everything(),
            exclude: Vec::new(),
            recursive: true,
            watch: Watch::default(),
            take: Take::default(),
            quiet_seconds: two_seconds(),
            superseded_hours: twelve_hours(),
            rescan_seconds: five_seconds(),
            members: Vec::new(),
            bundle: None,
            create: false,
            temporary_names: temporary_names(),
            done: None,
            failed: None,
        }
    }

    /// Whether there is a folder to watch.
    pub fn has_folder(&self) -> bool {
        !is_empty(&self.path)
    }

    /// Whether files may be posted.
    pub fn takes_posts(&self) -> bool {
        self.http.unwrap_or(true)
    }

    /// Where converted files go.
    pub fn done_dir(&self) -> PathBuf {
        self.done.clone().unwrap_or_else(|| self.path.join("done"))
    }

    /// Where files that failed go.
    pub fn failed_dir(&self) -> PathBuf {
        self.failed.clone().unwrap_or_else(|| self.path.join("failed"))
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn everything() -> Vec<String> {
    vec!["**".into()]
}

fn temporary_names() -> Vec<String> {
    [".*", "~*", "*~", "*.tmp", "*.part"].map(String::from).to_vec()
}

fn yes() -> bool {
    true
}

fn two_seconds() -> f64 {
    2.0
}

fn twelve_hours() -> f64 {
    12.0
}

fn five_seconds() -> f64 {
    5.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn new_is_what_a_file_with_only_a_path_gives() {
        let read: Intake = serde_json::from_str(r#"{"path": "drop"}"#).unwrap();
        assert_eq!(read, Intake::new("drop"));
    }

    #[test]
    fn done_and_failed_are_in_the_folder_unless_set() {
        let mut intake = Intake::new("/in");
        assert_eq!((intake.done_dir(), intake.failed_dir()), ("/in/done".into(), "/in/failed".into()));
        intake.done = Some("/old".into());
        assert_eq!(intake.done_dir(), PathBuf::from("/old"));
    }
}
