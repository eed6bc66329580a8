//! What an operator does to jobs: try again, give up, convert again. It works beside a running daemon, which notices.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params, params_from_iter};
use utoipa::ToSchema;

use super::committed::in_spool;
use super::history::DEAD;
use super::transitions::{JOB_COLUMNS, commit, insert, job, now_ms, queue_again};
use super::{Committed, Filter, InSpool, Job, JobId, QueueError, Store};
use crate::files::path_to_bytes;
use crate::identity::FileIdentity;

/// Jobs that are read or changed in one transaction.
const PAGE: usize = 500;

/// Settled jobs, read a page at a time.
pub struct SettledJobs<'a> {
    store: &'a Store,
    filter: Filter,
    page: std::vec::IntoIter<(i64, Job)>,
    last: i64,
}

impl Iterator for SettledJobs<'_> {
    type Item = Result<Job, QueueError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.next_page() {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        let (seq, job) = self.page.next()?;
        self.last = seq;
        Some(Ok(job))
    }
}

impl SettledJobs<'_> {
    fn next_page(&self) -> Result<Vec<(i64, Job)>, QueueError> {
        let (condition, mut values) = self.filter.sql();
        values.push(self.last.into());
        self.store.read(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {JOB_COLUMNS}, seq FROM jobs WHERE ({condition}) AND state = 'settled' AND seq > ? ORDER BY seq LIMIT {PAGE}"
                ))?
                .query_map(params_from_iter(values), |row| Ok((row.get("seq")?, job(row)?)))?
                .collect()
        })
    }
}

/// How many jobs were set going again, by what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, ToSchema)]
pub struct Retried {
    /// Dead letters that are converted again.
    pub converted_again: u64,
    /// Jobs that waited, and are due now.
    pub due_now: u64,
    /// Deliveries that are tried again.
    pub delivered_again: u64,
}

/// Where a source is now, and which file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub location: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
}

impl Store {
    /// Sets jobs going again: dead letters are converted anew, what waits is due now, refused deliveries are tried once more. Jobs that
    /// are under way or went well are left alone.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn retry(&self, filter: &Filter) -> Result<Retried, QueueError> {
        let affected = format!(
            "{DEAD} OR (state = 'queued' AND waiting IS NOT NULL)
                 OR jobs.seq IN (SELECT job FROM deliveries WHERE deliveries.state = 'pending' AND deliveries.due_ms > 0)"
        );
        let retried = self.in_pages(filter, &affected, |connection, id, state, retried: &mut Retried| {
            match state {
                "settled" => retried.converted_again += queue_again(connection, id)? as u64,
                "queued" => retried.due_now += due_now(connection, id)? as u64,
                _ => retried.delivered_again += deliver_again(connection, id)? as u64,
            }
            Ok(())
        })?;
        self.work().notify();
        self.committed().notify();
        Ok(retried)
    }

    /// Gives up what nobody wants any more: deliveries that a destination has refused. The daemon ends the jobs that have nothing left then, and
    /// their documents go from the spool. Gives how many.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn give_up_deliveries(&self, filter: &Filter) -> Result<u64, QueueError> {
        let given_up = self.in_pages(filter, "state = 'committed'", |connection, id, _, given_up: &mut u64| {
            let mut purge = connection.prepare_cached(
                "UPDATE deliveries SET state = 'purged' WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND state = 'dead'",
            )?;
            *given_up += purge.execute([id])? as u64;
            Ok(())
        })?;
        self.committed().notify();
        Ok(given_up)
    }

    /// Gives up what waits for a destination, refused by it or not: for one that will never take it. Otherwise as
    /// [`Store::give_up_deliveries`].
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn give_up_destination(&self, filter: &Filter, destination: &str) -> Result<u64, QueueError> {
        let destination = destination.to_owned();
        let given_up = self.in_pages(filter, "state = 'committed'", move |connection, id, _, given_up: &mut u64| {
            let mut purge = connection.prepare_cached(
                "UPDATE deliveries SET state = 'purged'
                 WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND destination = ?2 AND state IN ('pending', 'dead')",
            )?;
            *given_up += purge.execute([id, &destination])? as u64;
            Ok(())
        })?;
        self.committed().notify();
        Ok(given_up)
    }

    /// How many jobs that a filter means have documents that wait for a destination.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn count_undelivered(&self, filter: &Filter, destination: &str) -> Result<u64, QueueError> {
        let (condition, mut values) = filter.sql();
        values.push(destination.to_owned().into());
        self.read(|connection| {
            connection
                .prepare(&format!(
                    "SELECT count(*) FROM jobs WHERE ({condition}) AND state = 'committed' AND EXISTS
                         (SELECT 1 FROM deliveries WHERE job = jobs.seq AND destination = ? AND deliveries.state IN ('pending', 'dead'))"
                ))?
                .query_row(params_from_iter(values), |row| row.get::<_, i64>(0))
                .map(i64::cast_unsigned)
        })
    }

    /// Does something to all jobs that a filter means and of which a condition holds, a page at a time, so that no worker waits for long.
    fn in_pages<T: Default + Send + 'static>(
        &self,
        filter: &Filter,
        also: &str,
        step: impl Fn(&Connection, &str, &str, &mut T) -> rusqlite::Result<()> + Clone + Send + 'static,
    ) -> Result<T, QueueError> {
        let (condition, values) = filter.sql();
        let sql = format!(
            "SELECT jobs.seq, jobs.id, state FROM jobs WHERE ({condition}) AND ({also}) AND jobs.seq > ? ORDER BY jobs.seq LIMIT {PAGE}"
        );
        let (mut done, mut last) = (T::default(), 0);
        loop {
            let (sql, mut values, step) = (sql.clone(), values.clone(), step.clone());
            values.push(last.into());
            let (page_done, next) = self.run(move |connection| {
                let page: Vec<(i64, String, String)> = connection
                    .prepare_cached(&sql)?
                    .query_map(params_from_iter(&values), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect::<rusqlite::Result<_>>()?;
                for (_, id, state) in &page {
                    step(connection, id, state, &mut done)?;
                }
                Ok((done, page.last().map(|(seq, _, _)| *seq)))
            })?;
            let Some(next) = next else { return Ok(page_done) };
            (done, last) = (page_done, next);
        }
    }

    /// The settled jobs that a filter means, the oldest first. What may be done with each changes nothing of the others.
    pub fn settled(&self, filter: &Filter) -> SettledJobs<'_> {
        SettledJobs { store: self, filter: filter.clone(), page: Vec::new().into_iter(), last: 0 }
    }

    /// How many dead letters a filter means, and how many refused deliveries.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn count_dead(&self, filter: &Filter) -> Result<(u64, u64), QueueError> {
        let (condition, values) = filter.sql();
        self.read(|connection| {
            connection
                .prepare(&format!(
                    "SELECT count(*) FILTER (WHERE state = 'settled'),
                         coalesce(sum((SELECT count(*) FROM deliveries WHERE job = jobs.seq AND deliveries.state = 'dead')), 0)
                     FROM jobs WHERE ({condition}) AND ({DEAD})"
                ))?
                .query_row(params_from_iter(values), |row| {
                    Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
                })
        })
    }

    /// Takes a settled job to convert it again here and now, as a worker would that claims it; its source may have a new place. False where it
    /// is not settled any more.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn take_settled(&self, id: &JobId, place: Option<Place>) -> Result<bool, QueueError> {
        let id = id.clone();
        self.run(move |connection| {
            if !again(connection, &id, place.as_ref())? {
                return Ok(false);
            }
            connection
                .prepare_cached("UPDATE jobs SET state = 'running', attempts = 1, claimed_ms = ?2 WHERE id = ?1")?
                .execute(params![id.as_str(), now_ms()])?;
            Ok(true)
        })
    }

    /// Queues a settled job again, whatever became of it before; its source may have a new place. False where it is not settled any more.
    /// Workers learn of it when they look next, or are told.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn replay(&self, id: &JobId, place: Option<Place>) -> Result<bool, QueueError> {
        let id = id.clone();
        self.run(move |connection| again(connection, &id, place.as_ref()))
    }

    /// Which of these jobs the queue does not know, in whatever state.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn unknown(&self, ids: &[String]) -> Result<HashSet<String>, QueueError> {
        let ids = serde_json::json!(ids).to_string();
        self.run(move |connection| {
            let mut unknown = connection.prepare_cached("SELECT value FROM json_each(?1) WHERE value NOT IN (SELECT id FROM jobs)")?;
            unknown.query_map([&ids], |row| row.get(0))?.collect()
        })
    }

    /// Puts back a committed job that the queue has lost with its database.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn restore(&self, job: Job, committed: Committed) -> Result<(), QueueError> {
        self.run(move |connection| {
            insert(connection, &job.new_job(), job.created_ms, job.created_ms)?;
            connection
                .prepare_cached("UPDATE jobs SET state = 'running', attempts = ?2 WHERE id = ?1")?
                .execute(params![job.id.as_str(), job.attempts])?;
            commit(connection, &job.id, &committed)
        })
    }

    /// Forgets a settled job: its history goes.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn forget(&self, id: &JobId) -> Result<bool, QueueError> {
        let id = id.clone();
        self.run(move |connection| {
            let gone = connection.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND state = 'settled'")?.execute([id.as_str()])?;
            Ok(gone > 0)
        })
    }

    /// Writes a copy of the database as it is at one moment. At that moment `meanwhile` is called with the jobs that are not delivered yet:
    /// while it works, no delivery is recorded, so that their documents stay where they are. Workers wait with what they have to record.
    ///
    /// # Errors
    /// Where the queue cannot be read, the copy not be written, or `meanwhile` fails. A copy that is there is not replaced.
    pub fn copy_to(&self, path: &Path, meanwhile: impl FnOnce(&[InSpool]) -> io::Result<()>) -> Result<(), QueueError> {
        let mut lock = super::schema::open_beside(&self.path)?;
        let lock = lock.transaction_with_behavior(TransactionBehavior::Immediate)?;
        meanwhile(&in_spool(&lock)?).map_err(QueueError::Copy)?;
        super::schema::open_beside(&self.path)?.execute("VACUUM INTO ?1", [path.to_string_lossy()])?;
        lock.finish()?;
        Ok(())
    }
}

/// Queues a settled job again, whatever became of it before.
fn again(connection: &Connection, id: &JobId, place: Option<&Place>) -> rusqlite::Result<bool> {
    let settled =
        connection.prepare_cached("UPDATE jobs SET origin = 'replay' WHERE id = ?1 AND state = 'settled'")?.execute([id.as_str()])?;
    if settled == 0 {
        return Ok(false);
    }
    queue_again(connection, id.as_str())?;
    if let Some(Place { location, identity }) = place {
        connection.prepare_cached("UPDATE jobs SET location = ?2, device = ?3, inode = ?4 WHERE id = ?1")?.execute(params![
            id.as_str(),
            path_to_bytes(location),
            identity.device.cast_signed(),
            identity.inode.cast_signed()
        ])?;
    }
    Ok(true)
}

fn due_now(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE jobs SET waiting = NULL, awaits = NULL, due_ms = 0, attempts = 0 WHERE id = ?1 AND state = 'queued'")?
        .execute([id])
}

fn deliver_again(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached("UPDATE jobs SET due_ms = 0 WHERE id = ?1")?.execute([id])?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', due_ms = 0, attempts = 0, ended_ms = NULL
             WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND state IN ('dead', 'pending')",
        )?
        .execute([id])
}
