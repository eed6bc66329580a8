//! What is left to do for committed jobs: deliver their documents, settle their sources.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::transitions::{JOB_COLUMNS, job, json_error, now_ms, queue_again};
use super::{Job, JobId, Outcome, QueueError, Store};
use crate::files::path_to_bytes;
use crate::sandbox::{Document, ErrorType};

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
    /// The destinations that do not have the documents yet, with how often that was tried.
    pub outstanding: Vec<(String, u32)>,
}

impl Store {
    /// The committed jobs with something due, the oldest first; and when the next of the others is due.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn deliverable(&self, limit: usize) -> Result<(Vec<CommittedJob>, Option<i64>), QueueError> {
        self.run(move |connection| {
            let now = now_ms();
            let ids: Vec<String> = connection
                .prepare_cached("SELECT id FROM jobs WHERE state = 'committed' AND due_ms <= ?1 ORDER BY finished_ms LIMIT ?2")?
                .query_map(params![now, limit as i64], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let jobs = ids.iter().map(|id| committed_job(connection, id)).collect::<rusqlite::Result<_>>()?;
            let next = connection
                .prepare_cached("SELECT min(due_ms) FROM jobs WHERE state = 'committed' AND due_ms > ?1")?
                .query_row([now], |row| row.get(0))?;
            Ok((jobs, next))
        })
    }

    /// Records that a destination has all documents of a job.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn delivered(&self, id: &JobId, destination: &str) -> Result<(), QueueError> {
        let (id, destination) = (id.clone(), destination.to_string());
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 'delivered', ended_ms = ?3, error = NULL WHERE job = ?1 AND destination = ?2",
                )?
                .execute(params![id.as_str(), destination, now_ms()])
        })?;
        Ok(())
    }

    /// Records that a destination could not take the documents.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn delivery_failed(&self, id: &JobId, destination: &str, error: &str) -> Result<(), QueueError> {
        let (id, destination, error) = (id.clone(), destination.to_string(), error.to_string());
        self.run(move |connection| {
            connection
                .prepare_cached("UPDATE deliveries SET attempts = attempts + 1, error = ?3 WHERE job = ?1 AND destination = ?2")?
                .execute(params![id.as_str(), destination, error])
        })?;
        Ok(())
    }

    /// Records that the source is settled: moved to `location` or gone, or `kept` where it was (then the file is known until it changes).
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn source_settled(&self, id: &JobId, location: Option<&Path>, kept: bool) -> Result<(), QueueError> {
        let (id, location) = (id.clone(), location.map(path_to_bytes));
        self.run(move |connection| {
            connection
                .prepare_cached("UPDATE jobs SET source_settled = ?3, location = coalesce(?2, location) WHERE id = ?1")?
                .execute(params![id.as_str(), location, if kept { 2 } else { 1 }])
        })?;
        Ok(())
    }

    /// Puts off what is left to do for a committed job.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn postpone(&self, id: &JobId, due_ms: i64) -> Result<(), QueueError> {
        let id = id.clone();
        self.run(move |connection| {
            connection
                .prepare_cached("UPDATE jobs SET due_ms = ?2 WHERE id = ?1 AND state = 'committed'")?
                .execute(params![id.as_str(), due_ms])
        })?;
        Ok(())
    }

    /// Ends a job: delivered everywhere, source settled. One that no converter took while the plugins changed is queued again.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn settle(&self, id: &JobId) -> Result<(), QueueError> {
        let id = id.clone();
        let again = self.run(move |connection| {
            connection
                .prepare_cached("UPDATE jobs SET state = 'settled', settled_ms = ?2 WHERE id = ?1 AND state = 'committed'")?
                .execute(params![id.as_str(), now_ms()])?;
            let again = connection
                .prepare_cached("SELECT waiting IS NOT NULL FROM jobs WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get(0))
                .optional()?
                .unwrap_or(false);
            if again {
                queue_again(connection, id.as_str())?;
            }
            Ok(again)
        })?;
        if again {
            self.work().notify();
        }
        Ok(())
    }

    /// The ids of the jobs whose documents are in the spool.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn committed_ids(&self) -> Result<HashSet<String>, QueueError> {
        self.run(|connection| {
            connection.prepare_cached("SELECT id FROM jobs WHERE state = 'committed'")?.query_map([], |row| row.get(0))?.collect()
        })
    }
}

fn committed_job(connection: &Connection, id: &str) -> rusqlite::Result<CommittedJob> {
    let documents = connection
        .prepare_cached("SELECT number, media_type, name, attributes, key, bytes, digest FROM documents WHERE job = ?1 ORDER BY number")?
        .query_map([id], |row| {
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
    let outstanding = connection
        .prepare_cached("SELECT destination, attempts FROM deliveries WHERE job = ?1 AND state = 'pending' ORDER BY destination")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(&format!(
            "SELECT {JOB_COLUMNS}, outcome, error_type, converter, plugin_version, plugin_digest, detail, finished_ms, source_settled
             FROM jobs WHERE id = ?1"
        ))?
        .query_row([id], |row| {
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
                outstanding,
            })
        })
}
