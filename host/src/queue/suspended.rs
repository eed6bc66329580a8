//! Jobs that wait for a plugin which has failed again and again. When it may be tried is for others to know.

use rusqlite::params;

use super::{QueueError, Store, Waiting};

impl Store {
    /// Sets aside the queued jobs of these routes, whose converter is suspended: none of them needs to be claimed to find that out.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn hold_for_plugin(&self, converter: &str, routes: &[&str]) -> Result<usize, QueueError> {
        let (converter, routes) = (converter.to_owned(), serde_json::json!(routes).to_string());
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE jobs SET waiting = 'plugin_suspended', converter = ?1, due_ms = ?3
                     WHERE state = 'queued' AND waiting IS NULL AND route IN (SELECT value FROM json_each(?2))",
                )?
                .execute(params![converter, routes, Waiting::NEVER_DUE_MS])
        })
    }

    /// Makes jobs due that wait for a suspended plugin: those that come first, at most this many, or all. Gives how many.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn release_for_plugin(&self, converter: &str, at_most: Option<u32>) -> Result<usize, QueueError> {
        let converter = converter.to_owned();
        let released = self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE seq IN
                         (SELECT seq FROM jobs WHERE state = 'queued' AND waiting = 'plugin_suspended' AND converter = ?1
                          ORDER BY rank, seq LIMIT ?2)",
                )?
                .execute(params![converter, at_most.map_or(-1, i64::from)])
        })?;
        self.work().notify();
        Ok(released)
    }
}
