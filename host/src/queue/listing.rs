//! What the API and the metrics show of the queue.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension as _, ToSql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// Committed jobs with documents for a destination that is left alone, but for those that wait for a try of their own.
    pub held_up: u64,
    /// Committed jobs of which nothing is left to do but what destinations have refused: they wait for a person.
    pub refused: u64,
    /// Milliseconds since the oldest undelivered job was committed, one that waits for another try too, and none that waits for a person.
    pub oldest_undelivered_ms: u64,
    /// Bytes of documents in the spool.
    pub spool_bytes: u64,
    /// Sources that failed, were rejected or skipped, and jobs with refused documents, by route.
    pub dead_letters: HashMap<String, u64>,
}

impl Sizes {
    /// As the API and the command line give it.
    pub fn form(&self) -> SizesForm {
        SizesForm {
            due: self.due,
            oldest_seconds: self.oldest_ms as f64 / 1e3,
            waiting: self.waiting.iter().map(|(reason, count)| ((*reason).to_string(), *count)).collect(),
            deliverable: self.deliverable,
            delivery_backing_off: self.backing_off,
            delivery_refused: self.refused,
            oldest_undelivered_seconds: self.oldest_undelivered_ms as f64 / 1e3,
            spool_bytes: self.spool_bytes,
            dead_letters: self.dead_letters.iter().map(|(route, count)| (route.clone(), *count)).collect(),
        }
    }
}

/// How full the queues are, as the API and the command line give it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SizesForm {
    /// Jobs that are due, and that no worker has taken yet.
    pub due: u64,
    /// For how long the oldest of them has been queued.
    pub oldest_seconds: f64,
    /// Jobs that wait, by what they wait for.
    pub waiting: BTreeMap<String, u64>,
    /// Jobs whose documents are due for delivery.
    pub deliverable: u64,
    /// Jobs whose delivery waits for another try.
    pub delivery_backing_off: u64,
    /// Jobs of which nothing is left to do but what destinations have refused: they wait for a person.
    pub delivery_refused: u64,
    /// For how long the oldest job has waited for its delivery.
    pub oldest_undelivered_seconds: f64,
    /// Bytes of documents that are not delivered yet.
    pub spool_bytes: u64,
    /// Sources that failed, were rejected or skipped, and jobs with refused documents, by route.
    pub dead_letters: BTreeMap<String, u64>,
}

/// Committed jobs that wait for another try. The index of what waits holds only what has a time.
const BACKING_OFF: &str = "SELECT job FROM deliveries WHERE state = 'pending' AND due_ms > 0 AND due_ms > ?1
    UNION SELECT seq FROM jobs WHERE state = 'committed' AND source_settled = 0 AND due_ms > ?1";

/// Committed jobs of which nothing is left to do but what destinations have refused.
const REFUSED_ONLY: &str = "SELECT DISTINCT job FROM deliveries WHERE state = 'dead'
    AND NOT EXISTS (SELECT 1 FROM deliveries AS other WHERE other.job = deliveries.job AND other.state = 'pending')
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.seq = deliveries.job AND jobs.state = 'committed' AND jobs.source_settled <> 0)";

/// Dead letters by route: sources, and jobs that are not settled because documents were refused.
const DEAD_BY_ROUTE: [&str; 2] = [
    "SELECT route, count(*) FROM jobs WHERE state = 'settled' AND outcome IN ('failed', 'rejected', 'skipped') GROUP BY route",
    "SELECT route, count(*) FROM jobs WHERE state = 'committed' AND seq IN (SELECT job FROM deliveries WHERE state = 'dead') GROUP BY route",
];

impl Store {
    /// How full the queues are now.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn sizes(&self) -> Result<Sizes, QueueError> {
        self.sizes_while_down(&[])
    }

    /// The same, where nothing is due that waits for one of the destinations `down`: they are left alone for a while.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn sizes_while_down(&self, down: &[String]) -> Result<Sizes, QueueError> {
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
            let count = |sql: &str, values: &[&dyn ToSql]| -> rusqlite::Result<u64> {
                connection.prepare_cached(sql)?.query_row(values, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
            };
            let committed = count("SELECT count(*) FROM jobs WHERE state = 'committed'", &[])?;
            let oldest_committed: Option<i64> = connection
                .prepare_cached(&format!("SELECT min(finished_ms) FROM jobs WHERE state = 'committed' AND seq NOT IN ({REFUSED_ONLY})"))?
                .query_row([], |row| row.get(0))?;
            let backing_off = count(&format!("SELECT count(*) FROM ({BACKING_OFF})"), &[&now])?;
            let held_up = if down.is_empty() {
                0
            } else {
                let down = serde_json::json!(down).to_string();
                let sql = format!(
                    "SELECT count(*) FROM ({BACKING_OFF} UNION SELECT job FROM deliveries
                     WHERE state = 'pending' AND destination IN (SELECT value FROM json_each(?2)))"
                );
                count(&sql, &[&now, &down])?.saturating_sub(backing_off)
            };
            let refused = count(&format!("SELECT count(*) FROM ({REFUSED_ONLY})"), &[])?;
            let spool_bytes: i64 = connection
                .prepare_cached("SELECT coalesce(sum(spool_bytes), 0) FROM jobs WHERE state = 'committed'")?
                .query_row([], |row| row.get(0))?;
            let mut dead_letters = HashMap::new();
            for sql in DEAD_BY_ROUTE {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    *dead_letters.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.cast_unsigned();
                }
            }
            Ok(Sizes {
                due,
                waiting,
                oldest_ms: age(oldest),
                deliverable: committed.saturating_sub(backing_off + held_up + refused),
                backing_off,
                held_up,
                refused,
                oldest_undelivered_ms: age(oldest_committed),
                spool_bytes: spool_bytes.cast_unsigned(),
                dead_letters,
            })
        })
    }

    /// When the file of the job that was settled last arrived, in milliseconds since the epoch; none where a route has no such job.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn last_arrival_ms(&self, route: &str) -> Result<Option<i64>, QueueError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT created_ms FROM jobs WHERE state = 'settled' AND route = ?1 ORDER BY finished_ms DESC LIMIT 1")?
                .query_row([route], |row| row.get(0))
                .optional()
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
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
}
