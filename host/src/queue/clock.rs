//! What a clock that is set back does to a queue whose jobs wait for moments.

use rusqlite::{OptionalExtension, params};

use super::transitions::now_ms;
use super::{QueueError, Store, Waiting};

impl Store {
    /// The latest time that was noted by [`Store::check_writable`]; none if none was.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn noted_time(&self) -> Result<Option<i64>, QueueError> {
        self.run(|connection| connection.prepare_cached("SELECT at_ms FROM heartbeat")?.query_row([], |row| row.get(0)).optional())
    }

    /// Moves all moments that jobs and deliveries wait for, because the clock now shows so much less.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn clock_was_set_back(&self, by_ms: i64) -> Result<(), QueueError> {
        self.run(move |connection| {
            let now = now_ms();
            connection
                .prepare_cached(
                    "UPDATE jobs SET due_ms = due_ms - ?1 WHERE state IN ('queued', 'committed') AND due_ms > ?2 AND due_ms < ?3",
                )?
                .execute(params![by_ms, now, Waiting::NEVER_DUE_MS])?;
            connection
                .prepare_cached("UPDATE deliveries SET due_ms = due_ms - ?1 WHERE state = 'pending' AND due_ms > ?2 AND due_ms < ?3")?
                .execute(params![by_ms, now, Waiting::NEVER_DUE_MS])
        })?;
        self.work().notify();
        self.committed().notify();
        Ok(())
    }
}
