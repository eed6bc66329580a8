//! What the API and the metrics show of the queue.

use std::collections::HashMap;

use super::transitions::now_ms;
use super::{QueueError, Store, Waiting};

/// How full the queues are at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Jobs that are due and unclaimed.
    pub due: u64,
    /// Jobs that wait, by reason, every reason of [`Waiting::REASONS`].
    pub waiting: Vec<(&'static str, u64)>,
    /// Milliseconds since the oldest due job was queued.
    pub oldest_ms: u64,
    /// Committed jobs that are due for delivery.
    pub deliverable: u64,
    /// Committed jobs whose delivery waits for another try.
    pub backing_off: u64,
    /// Milliseconds since the oldest undelivered job was committed.
    pub oldest_undelivered_ms: u64,
    /// Bytes of documents in the spool.
    pub spool_bytes: u64,
    /// Failed and rejected sources, by route.
    pub dead_letters: HashMap<String, u64>,
}

impl Sizes {
    /// As the API and the command line give it.
    pub fn to_json(&self) -> serde_json::Value {
        let waiting: serde_json::Map<_, _> = self.waiting.iter().map(|(reason, count)| ((*reason).to_string(), (*count).into())).collect();
        serde_json::json!({
            "due": self.due,
            "oldest_seconds": self.oldest_ms as f64 / 1e3,
            "waiting": waiting,
            "deliverable": self.deliverable,
            "delivery_backing_off": self.backing_off,
            "oldest_undelivered_seconds": self.oldest_undelivered_ms as f64 / 1e3,
            "spool_bytes": self.spool_bytes,
            "dead_letters": self.dead_letters,
        })
    }
}

impl Store {
    /// How full the queues are now.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn sizes(&self) -> Result<Sizes, QueueError> {
        self.read(|connection| {
            let now = now_ms();
            let age = |oldest: Option<i64>| oldest.map_or(0, |oldest| (now - oldest).max(0).cast_unsigned());
            let count_and_oldest = |sql: &str| -> rusqlite::Result<(u64, Option<i64>)> {
                connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))
            };
            let (due, oldest) = count_and_oldest("SELECT count(*), min(created_ms) FROM jobs WHERE state = 'queued' AND waiting IS NULL")?;
            let waiting = Waiting::REASONS
                .into_iter()
                .map(|reason| {
                    let count: i64 = connection
                        .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'queued' AND waiting = ?1")?
                        .query_row([reason], |row| row.get(0))?;
                    Ok((reason, count.cast_unsigned()))
                })
                .collect::<rusqlite::Result<_>>()?;
            let (committed, oldest_committed) = count_and_oldest("SELECT count(*), min(finished_ms) FROM jobs WHERE state = 'committed'")?;
            let backing_off: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT job FROM deliveries WHERE state = 'pending' AND due_ms > ?1
                     UNION SELECT seq FROM jobs WHERE state = 'committed' AND source_settled = 0 AND due_ms > ?1)",
                )?
                .query_row([now], |row| row.get(0))?;
            let spool_bytes: i64 = connection
                .prepare_cached("SELECT coalesce(sum(spool_bytes), 0) FROM jobs WHERE state = 'committed'")?
                .query_row([], |row| row.get(0))?;
            let dead_letters = connection
                .prepare_cached("SELECT route, count(*) FROM jobs WHERE state = 'settled' AND outcome IN ('failed', 'rejected', 'skipped') GROUP BY route")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Sizes {
                due,
                waiting,
                oldest_ms: age(oldest),
                deliverable: committed.saturating_sub(backing_off.cast_unsigned()),
                backing_off: backing_off.cast_unsigned(),
                oldest_undelivered_ms: age(oldest_committed),
                spool_bytes: spool_bytes.cast_unsigned(),
                dead_letters,
            })
        })
    }

    /// When the next waiting job is due, in milliseconds since the epoch.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn next_due_ms(&self) -> Result<Option<i64>, QueueError> {
        self.run(|connection| {
            connection
                .prepare_cached("SELECT min(due_ms) FROM jobs WHERE state = 'queued' AND waiting IS NOT NULL")?
                .query_row([], |row| row.get(0))
        })
    }
}

/// A moment as people and programs read it.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
