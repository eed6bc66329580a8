//! What the guest reported with `problem`: the first ones are kept, the others counted.

use super::types::{Problem, Severity};

/// The problems of one conversion.
pub struct Problems {
    limit: usize,
    pub kept: Vec<Problem>,
    pub dropped: u64,
    /// One of severity `error` was reported, kept or not: the job is `partial`.
    pub broken_part: bool,
}

impl Problems {
    /// No problems yet; `limit` of them will be kept.
    pub fn new(limit: u32) -> Self {
        Problems { limit: usize::try_from(limit).unwrap_or(usize::MAX), kept: Vec::new(), dropped: 0, broken_part: false }
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.broken_part |= problem.severity == Severity::Error;
        if self.kept.len() < self.limit {
            self.kept.push(problem);
        } else {
            self.dropped += 1;
        }
    }
}
