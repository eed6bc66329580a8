//! What is left to do for committed jobs: deliver their documents, settle their sources.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};

use super::transitions::{JOB_COLUMNS, job, json_error, now_ms, queue_again};
use super::{Job, JobId, Outcome, QueueError, Store};
use crate::files::path_to_bytes;
use crate::sandbox::{Document, ErrorType};
use crate::trace_context::TraceParent;

/// Of jobs whose sources are to be settled.
const UNSETTLED: &str = "state = 'committed' AND source_settled = 0";

/// A committed job, with what is left to do for it.
#[derive(Debug, Clone)]
pub struct CommittedJob {
    /// The job.
    pub job: Job,
    /// How the conversion ended.
    pub outcome: Outcome,
    /// With [`Outcome::Failed`].
    pub error_type: Option<ErrorType>,
    /// The converter's name; `none` where none took it.
    pub converter: String,
    /// The plugin's version and digest; empty where there was none.
    pub plugin: (String, String),
    /// What the sidecar says besides.
    pub detail: serde_json::Value,
    /// When the conversion ended, in milliseconds since the epoch.
    pub finished_ms: i64,
    /// The source is where it belongs.
    pub source_settled: bool,
    /// What was made, in order.
    pub documents: Vec<Document>,
}

/// The documents of one job, on their way to one destination.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The job, with all its documents.
    pub committed: CommittedJob,
    /// The destination's name.
    pub destination: String,
    /// How often it was tried and failed.
    pub attempts: u32,
    /// The documents before this number are there, or were refused.
    pub next_document: u32,
    /// What the destination refused so far, and its answers, as the one who delivered recorded it.
    pub refused: Option<String>,
    /// The span that the receiver is told of: at first the one that the source was posted in.
    pub trace: Option<TraceParent>,
    /// No other destination still needs these documents.
    pub alone: bool,
}

/// What a job has in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSpool {
    /// The job.
    pub job: JobId,
    /// All its documents have lower numbers.
    pub documents: u32,
}

/// One step of the way out, to be recorded.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A destination has all documents.
    Delivered {
        /// The job.
        job: JobId,
        /// The destination's name.
        destination: String,
    },
    /// A destination did not take the documents, and is tried again.
    Failed {
        /// The job.
        job: JobId,
        /// The destination's name.
        destination: String,
        /// Why.
        error: String,
        /// Not before this moment, in milliseconds since the epoch.
        due_ms: i64,
        /// The documents before this number are there, or were refused.
        next_document: u32,
        /// What was refused so far.
        refused: Option<String>,
    },
    /// A destination refused documents for good: it is not tried again until somebody asks for that.
    Dead {
        /// The job.
        job: JobId,
        /// The destination's name.
        destination: String,
        /// Why.
        error: String,
        /// The documents before this number are there, or were refused.
        next_document: u32,
        /// What was refused, and the answers.
        refused: Option<String>,
    },
    /// The source is settled: it is at `location`, gone, or `kept` where it was (then the file is known until it changes).
    SourceSettled {
        /// The job.
        job: JobId,
        /// Where it is, if it was moved.
        location: Option<PathBuf>,
        /// Its device and number there, if it is the same file still: on another file system they are others.
        number: Option<(u64, u64)>,
        /// It stays where it was.
        kept: bool,
    },
    /// The source could not be settled, and is tried again.
    SourcePostponed {
        /// The job.
        job: JobId,
        /// Not before this moment, in milliseconds since the epoch.
        due_ms: i64,
    },
}

/// What is left of a job's way out once its last step is recorded: nothing. A delivery that was purged was given up by somebody.
const NOTHING_LEFT: &str = "state = 'committed' AND source_settled <> 0
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE job = jobs.seq AND deliveries.state IN ('pending', 'dead'))";

impl Store {
    /// Deliveries to a destination that are due, the oldest first; and when the next of the others is due.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn due_deliveries(&self, destination: &str, limit: usize) -> Result<(Vec<Delivery>, Option<i64>), QueueError> {
        let destination = destination.to_string();
        self.read_durable(|connection| {
            let now = now_ms();
            let rows: Vec<(i64, u32, u32, Option<String>, bool)> = connection
                .prepare_cached(
                    "SELECT job, attempts, next_document, response, NOT EXISTS (
                         SELECT 1 FROM deliveries AS other
                         WHERE other.job = deliveries.job AND other.destination <> ?1 AND other.state IN ('pending', 'dead'))
                     FROM deliveries WHERE state = 'pending' AND destination = ?1 AND due_ms <= ?2 ORDER BY committed_ms, job LIMIT ?3",
                )?
                .query_map(params![destination, now, limit as i64], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let deliveries = rows
                .into_iter()
                .map(|(job, attempts, next_document, refused, alone)| {
                    let committed = committed_job(connection, job)?;
                    let trace = committed.job.trace;
                    Ok(Delivery { committed, destination: destination.clone(), attempts, next_document, refused, trace, alone })
                })
                .collect::<rusqlite::Result<_>>()?;
            let next = connection
                .prepare_cached("SELECT min(due_ms) FROM deliveries WHERE state = 'pending' AND destination = ?1 AND due_ms > ?2")?
                .query_row(params![destination, now], |row| row.get(0))?;
            Ok((deliveries, next))
        })
    }

    /// The routes of which sources are due to be settled; and when the next of the others is.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn routes_to_settle(&self) -> Result<(Vec<String>, Option<i64>), QueueError> {
        self.read(|connection| {
            let now = now_ms();
            // A few steps in the index for each route, however many sources it has.
            let routes: Vec<(String, bool, Option<i64>)> = connection
                .prepare_cached(&format!(
                    "WITH RECURSIVE routes (name) AS (
                         SELECT min(route) FROM jobs WHERE {UNSETTLED}
                         UNION ALL SELECT (SELECT min(route) FROM jobs WHERE {UNSETTLED} AND route > name) FROM routes WHERE name IS NOT NULL)
                     SELECT name, (SELECT min(due_ms) FROM jobs WHERE {UNSETTLED} AND route = name) <= ?1,
                         (SELECT min(due_ms) FROM jobs WHERE {UNSETTLED} AND route = name AND due_ms > ?1)
                     FROM routes WHERE name IS NOT NULL"
                ))?
                .query_map([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let next = routes.iter().filter_map(|(_, _, later)| *later).min();
            Ok((routes.into_iter().filter(|(_, due, _)| *due).map(|(route, ..)| route).collect(), next))
        })
    }

    /// Committed jobs of a route whose sources are due to be settled.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn due_sources(&self, route: &str, limit: usize) -> Result<Vec<CommittedJob>, QueueError> {
        self.read_durable(|connection| {
            let jobs: Vec<i64> = connection
                .prepare_cached(&format!(
                    "SELECT seq FROM jobs WHERE {UNSETTLED} AND route = ?1 AND due_ms <= ?2 ORDER BY due_ms LIMIT ?3"
                ))?
                .query_map(params![route, now_ms(), limit as i64], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            jobs.into_iter().map(|job| committed_job(connection, job)).collect()
        })
    }

    /// Records steps, together, and ends the jobs that have nothing left. One that no converter took while the plugins changed is queued again.
    ///
    /// `ending` gets the jobs that end before that is durable: from then on, a job of that id can be a new one. They are returned, too.
    ///
    /// # Errors
    /// Where the queue cannot write: nothing is recorded.
    pub fn record(&self, steps: Vec<Progress>, ending: impl FnOnce(&[InSpool]) + Send + 'static) -> Result<Vec<InSpool>, QueueError> {
        let (ended, again) = self.run(move |connection| {
            let now = now_ms();
            let mut jobs = Vec::new();
            for step in &steps {
                jobs.extend(record(connection, step, now)?);
            }
            let (mut ended, mut again) = (Vec::new(), false);
            for job in jobs {
                if let Some((documents, is_queued)) = end(connection, job.as_str(), now)? {
                    again |= is_queued;
                    ended.push(InSpool { job, documents });
                }
            }
            ending(&ended);
            Ok((ended, again))
        })?;
        if again {
            self.work().notify();
        }
        Ok(ended)
    }

    /// Ends the jobs that have nothing left since somebody gave up deliveries of theirs. `ending` is as with [`Store::record`].
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn end_given_up(&self, ending: impl FnOnce(&[InSpool]) + Send + 'static) -> Result<Vec<InSpool>, QueueError> {
        self.end_all(
            "SELECT DISTINCT id FROM deliveries JOIN jobs ON jobs.seq = job WHERE deliveries.state = 'purged' AND jobs.state = 'committed'",
            ending,
        )
    }

    /// Ends the jobs that have nothing left and were not ended: an earlier version of Dropforge recorded the steps one by one.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn end_finished(&self) -> Result<(), QueueError> {
        self.end_all("SELECT id FROM jobs WHERE state = 'committed' AND source_settled <> 0", |_| {}).map(drop)
    }

    fn end_all(&self, jobs: &'static str, ending: impl FnOnce(&[InSpool]) + Send + 'static) -> Result<Vec<InSpool>, QueueError> {
        let (ended, again) = self.run(move |connection| {
            let ids: Vec<String> = connection.prepare_cached(jobs)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let (mut ended, mut again) = (Vec::new(), false);
            for id in ids {
                if let Some((documents, is_queued)) = end(connection, &id, now_ms())? {
                    again |= is_queued;
                    ended.push(InSpool { job: JobId::from_stored(id), documents });
                }
            }
            ending(&ended);
            Ok((ended, again))
        })?;
        if again {
            self.work().notify();
        }
        Ok(ended)
    }

    /// The destinations that documents wait for, each with how many jobs have some for it.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn awaited_destinations(&self) -> Result<Vec<(String, u64)>, QueueError> {
        self.run(|connection| {
            connection
                .prepare_cached("SELECT destination, count(*) FROM deliveries WHERE state = 'pending' GROUP BY destination")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect()
        })
    }

    /// What belongs into the spool: the documents of committed jobs, in the order of their ids.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn in_spool(&self) -> Result<Vec<InSpool>, QueueError> {
        self.run(in_spool)
    }
}

/// What belongs into the spool, in the order of the jobs' ids.
pub(super) fn in_spool(connection: &Connection) -> rusqlite::Result<Vec<InSpool>> {
    connection
        .prepare("SELECT id, (SELECT coalesce(max(number) + 1, 0) FROM documents WHERE job = jobs.seq) FROM jobs WHERE state = 'committed' ORDER BY id")?
        .query_map([], |row| Ok(InSpool { job: JobId::from_stored(row.get(0)?), documents: row.get(1)? }))?
        .collect()
}

/// Records one step, and gives its job where that may have been the last.
fn record(connection: &Connection, step: &Progress, now: i64) -> rusqlite::Result<Option<JobId>> {
    match step {
        Progress::Delivered { job, destination } => {
            connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 'delivered', ended_ms = ?3, error = NULL, response = NULL WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND destination = ?2",
                )?
                .execute(params![job.as_str(), destination, now])?;
            Ok(Some(job.clone()))
        }
        Progress::Failed { job, destination, error, due_ms, next_document, refused } => {
            connection
                .prepare_cached(
                    "UPDATE deliveries SET attempts = attempts + 1, error = ?3, due_ms = ?4, next_document = ?5, response = ?6
                     WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND destination = ?2 AND state = 'pending'",
                )?
                .execute(params![job.as_str(), destination, error, due_ms, next_document, refused])?;
            Ok(None)
        }
        Progress::Dead { job, destination, error, next_document, refused } => {
            connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 'dead', attempts = attempts + 1, error = ?3, ended_ms = ?4, next_document = ?5, response = ?6
                     WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND destination = ?2 AND state = 'pending'",
                )?
                .execute(params![job.as_str(), destination, error, now, next_document, refused])?;
            Ok(None)
        }
        Progress::SourceSettled { job, location, number, kept } => {
            connection
                .prepare_cached(
                    "UPDATE jobs SET source_settled = ?3, location = coalesce(?2, location), device = coalesce(?4, device),
                            inode = coalesce(?5, inode) WHERE id = ?1",
                )?
                .execute(params![
                    job.as_str(),
                    location.as_deref().map(path_to_bytes),
                    if *kept { 2 } else { 1 },
                    number.map(|(device, _)| device.cast_signed()),
                    number.map(|(_, inode)| inode.cast_signed()),
                ])?;
            Ok(Some(job.clone()))
        }
        Progress::SourcePostponed { job, due_ms } => {
            connection
                .prepare_cached("UPDATE jobs SET due_ms = ?2 WHERE id = ?1 AND state = 'committed'")?
                .execute(params![job.as_str(), due_ms])?;
            Ok(None)
        }
    }
}

/// Ends a job that has nothing left. Gives a number above those of its documents, and whether it was queued again.
fn end(connection: &Connection, id: &str, now: i64) -> rusqlite::Result<Option<(u32, bool)>> {
    let ended: Option<(u32, bool)> = connection
        .prepare_cached(&format!(
            "UPDATE jobs SET state = 'settled', settled_ms = ?2 WHERE id = ?1 AND {NOTHING_LEFT}
             RETURNING (SELECT coalesce(max(number) + 1, 0) FROM documents WHERE job = jobs.seq), waiting IS NOT NULL"
        ))?
        .query_row(params![id, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((_, true)) = ended {
        queue_again(connection, id)?;
    }
    Ok(ended)
}

fn committed_job(connection: &Connection, seq: i64) -> rusqlite::Result<CommittedJob> {
    let documents = connection
        .prepare_cached("SELECT number, media_type, name, attributes, key, bytes, digest FROM documents WHERE job = ?1 ORDER BY number")?
        .query_map([seq], |row| {
            Ok(Document {
                number: row.get(0)?,
                media_type: row.get(1)?,
                name: row.get(2)?,
                attributes: serde_json::from_str(&row.get::<_, String>(3)?).map_err(json_error)?,
                key: row.get(4)?,
                bytes: row.get::<_, i64>(5)?.cast_unsigned(),
                digest: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(&format!(
            "SELECT {JOB_COLUMNS}, outcome, error_type, converter, plugin_version, plugin_digest, detail, finished_ms, source_settled
             FROM jobs WHERE seq = ?1"
        ))?
        .query_row([seq], |row| {
            let error_type: Option<String> = row.get("error_type")?;
            Ok(CommittedJob {
                job: job(row)?,
                outcome: Outcome::from_stored(&row.get::<_, String>("outcome")?).unwrap_or(Outcome::Failed),
                error_type: error_type.and_then(|text| ErrorType::ALL.into_iter().find(|kind| kind.as_str() == text)),
                converter: row.get("converter")?,
                plugin: (row.get("plugin_version")?, row.get("plugin_digest")?),
                detail: serde_json::from_str(&row.get::<_, String>("detail")?).map_err(json_error)?,
                finished_ms: row.get("finished_ms")?,
                source_settled: row.get::<_, i64>("source_settled")? != 0,
                documents,
            })
        })
}
