//! Jobs that were only tried: nothing of them is delivered, and their sources stay.

use rusqlite::params;

use super::transitions::queue_again;
use super::{Committed, CommittedJob, QueueError, Store};

/// The field of a job's details that says so. It holds for that conversion, whatever the route says when the job is settled.
const DRY_RUN: &str = "dry_run";

impl Committed {
    /// Nothing of it is to be delivered, and its source stays.
    pub fn set_dry_run(&mut self) {
        self.destinations.clear();
        if let Some(detail) = self.detail.as_object_mut() {
            detail.insert(DRY_RUN.into(), true.into());
        }
    }
}

impl Committed {
    /// Whether it was only tried what would come of it.
    pub(super) fn is_dry_run(&self) -> bool {
        self.detail.get(DRY_RUN).is_some_and(|dry_run| *dry_run == true)
    }
}

impl CommittedJob {
    /// Whether it was only tried what would come of it.
    pub fn is_dry_run(&self) -> bool {
        self.detail.get(DRY_RUN).is_some_and(|dry_run| *dry_run == true)
    }
}

impl Store {
    /// Forgets what routes have tried that are not on trial any more: files in their intakes are new again, and what was posted, or was not
    /// settled yet, is queued. `on_trial` names the routes that still are. Gives how many jobs that concerns.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn end_dry_runs(&self, on_trial: &[&str]) -> Result<usize, QueueError> {
        let on_trial = serde_json::json!(on_trial).to_string();
        self.run(move |connection| {
            let tried = "dry_run = 1 AND route NOT IN (SELECT value FROM json_each(?1))";
            let again: Vec<String> = connection
                .prepare(&format!(
                    "SELECT id FROM jobs WHERE source_settled = 2 AND state = 'settled' AND origin = 'http' AND {tried}
                     UNION ALL SELECT id FROM jobs WHERE state = 'committed' AND {tried}"
                ))?
                .query_map(params![on_trial], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for id in &again {
                queue_again(connection, id)?;
            }
            let new_again = connection
                .prepare(&format!("UPDATE jobs SET source_settled = 1 WHERE source_settled = 2 AND state = 'settled' AND {tried}"))?
                .execute(params![on_trial])?;
            Ok(again.len() + new_again)
        })
    }
}
