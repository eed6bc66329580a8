//! What the intake of a route tells those who look at it: how many files wait, and why the last one that could not be taken was not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

/// The board on which an intake writes, and from which others read.
#[derive(Debug, Default)]
pub struct Report(Mutex<Sight>);

/// What is to be seen of an intake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sight {
    /// Files that are there and not taken yet: still being written, about to be taken, or not to be had.
    pub waiting: usize,
    /// Of those, as of the last look at the whole folder, how many could not be taken when that was tried.
    pub failing: usize,
    /// The last file that could not be taken, if any.
    pub last_error: Option<Trouble>,
    /// Why nothing, or little, is taken now; none if everything is.
    pub held_back: Option<String>,
}

/// A file that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// Its path below the intake; what is not UTF-8 in it is replaced by U+FFFD.
    pub path: String,
    /// Why it could not be taken.
    pub reason: String,
    /// When, as RFC 3339 in UTC.
    pub at: String,
}

impl Report {
    /// What is to be seen now.
    pub fn sight(&self) -> Sight {
        self.lock().clone()
    }

    pub(super) fn waiting(&self, files: usize) {
        self.lock().waiting = files;
    }

    pub(super) fn failing(&self, files: usize) {
        self.lock().failing = files;
    }

    pub(super) fn trouble(&self, path: &str, reason: &str) {
        let at = format!("{:.3}", jiff::Timestamp::now());
        self.lock().last_error = Some(Trouble { path: path.to_owned(), reason: reason.to_owned(), at });
    }

    pub(super) fn held_back(&self, reason: Option<&str>) {
        let mut sight = self.lock();
        if sight.held_back.as_deref() != reason {
            sight.held_back = reason.map(str::to_owned);
        }
    }

    /// Nothing that holds this lock can panic.
    fn lock(&self) -> MutexGuard<'_, Sight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
