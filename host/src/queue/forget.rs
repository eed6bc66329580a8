//! How long history is. Jobs are forgotten a few at a time, so that no worker waits for long.

use rusqlite::{Connection, params};

use super::{QueueError, Store};

/// Jobs that are forgotten in one transaction.
const AT_ONCE: i64 = 500;

impl Store {
    /// Forgets what a route settled before a moment, in milliseconds since the epoch. Gives how many jobs that were.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn forget_before(&self, route: &str, finished_ms: i64) -> Result<u64, QueueError> {
        self.in_steps(|| {
            let route = route.to_string();
            move |connection: &Connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM jobs WHERE id IN
                             (SELECT id FROM jobs WHERE state = 'settled' AND route = ?1 AND finished_ms < ?2 ORDER BY finished_ms LIMIT ?3)",
                    )?
                    .execute(params![route, finished_ms, AT_ONCE])
            }
        })
    }

    /// Forgets the oldest settled jobs beyond `most`. Gives how many.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn forget_beyond(&self, most: u64) -> Result<u64, QueueError> {
        let settled: i64 = self.read(|connection| {
            connection.prepare_cached("SELECT count(*) FROM jobs WHERE state = 'settled'")?.query_row([], |row| row.get(0))
        })?;
        let mut surplus = settled.saturating_sub_unsigned(most);
        self.in_steps(|| {
            let step = surplus.clamp(0, AT_ONCE);
            surplus -= step;
            move |connection: &Connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'settled' ORDER BY finished_ms LIMIT ?1)",
                    )?
                    .execute([step])
            }
        })
    }

    /// Runs deletions until one finds nothing.
    fn in_steps<S>(&self, mut step: impl FnMut() -> S) -> Result<u64, QueueError>
    where
        S: FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static,
    {
        let mut forgotten = 0;
        loop {
            match self.run(step())? {
                0 => return Ok(forgotten),
                jobs => forgotten += jobs as u64,
            }
        }
    }
}
