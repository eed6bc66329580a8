//! How steps, measurements and units ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Where statuses come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From the file; computed where the file has none.
    #[default]
    Import,
    /// Computed from the limits, whatever the file says; taken from the file where there is nothing to compute.
    Active,
}

/// How a step or a measurement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Within its limits.
    Passed,
    /// Outside of them.
    Failed,
    /// Not run.
    Skipped,
    /// Run, with nothing to judge.
    Done,
    /// It could not be run.
    Error,
    /// Somebody stopped it.
    Terminated,
}

impl Status {
    /// The letter in a report.
    pub fn letter(self) -> &'static str {
        match self {
            Status::Passed => "P",
            Status::Failed => "F",
            Status::Skipped => "S",
            Status::Done => "D",
            Status::Error => "E",
            Status::Terminated => "T",
        }
    }

    /// Passed or failed.
    pub fn passed(passed: bool) -> Status {
        if passed { Status::Passed } else { Status::Failed }
    }

    /// How bad it is, for what it is a part of. What passed, was skipped or is done is not.
    fn weight(self) -> u8 {
        match self {
            Status::Passed | Status::Skipped | Status::Done => 0,
            Status::Failed => 1,
            Status::Error => 2,
            Status::Terminated => 3,
        }
    }

    /// Whether it keeps what it is a part of from passing.
    pub fn is_bad(self) -> bool {
        self.weight() > 0
    }

    /// What a whole is that has this and `other` as its parts.
    #[must_use]
    pub fn and(self, other: Status) -> Status {
        if other.weight() > self.weight() { other } else { self }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.letter())
    }
}

/// How the test of a unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// The test could not be run to its end.
    Error,
    /// Somebody stopped it.
    Terminated,
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Status {
        match verdict {
            Verdict::Passed => Status::Passed,
            Verdict::Failed => Status::Failed,
            Verdict::Error => Status::Error,
            Verdict::Terminated => Status::Terminated,
        }
    }
}

impl From<Status> for Verdict {
    fn from(status: Status) -> Verdict {
        match status {
            Status::Passed | Status::Skipped | Status::Done => Verdict::Passed,
            Status::Failed => Verdict::Failed,
            Status::Error => Verdict::Error,
            Status::Terminated => Verdict::Terminated,
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Status::from(*self).serialize(serializer)
    }
}
