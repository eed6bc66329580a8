//! Which job is next: the lowest rank among the routes that may have another one run.

use rusqlite::{Connection, OptionalExtension, params};

use super::transitions::{JOB_COLUMNS, job, now_ms};
use super::{Job, JobId, QueueError, Store, Waiting, pauses};

/// A route whose jobs may be claimed, and how many of them may run at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The route's name.
    pub route: String,
    /// Jobs of this route that run at the same time; none for no bound of its own.
    pub at_most: Option<u32>,
    /// The converter that the route names; none where every job finds its own.
    pub converter: Option<String>,
    /// Jobs with that converter, of whatever route, that run at the same time.
    pub converter_at_most: Option<u32>,
}

/// Claims the next job of these lanes. What runs is counted in the same transaction, so that no bound is ever exceeded.
pub(super) fn claim(connection: &Connection, lanes: &[Lane]) -> rusqlite::Result<Option<Job>> {
    let now = now_ms();
    // What has waited long enough is due like everything else.
    connection
        .prepare_cached("UPDATE jobs SET waiting = NULL, awaits = NULL WHERE state = 'queued' AND waiting IS NOT NULL AND due_ms <= ?1")?
        .execute([now])?;
    pauses::hold(connection, lanes)?;
    let mut best: Option<(i64, i64, &Lane)> = None;
    for lane in lanes {
        let first: Option<(i64, i64)> = connection
            .prepare_cached(
                "SELECT rank, seq FROM jobs WHERE route = ?1 AND state = 'queued' AND waiting IS NULL ORDER BY rank, seq LIMIT 1",
            )?
            .query_row([&lane.route], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((rank, seq)) = first else { continue };
        let better = best.as_ref().is_none_or(|(other_rank, other_seq, _)| (rank, seq) < (*other_rank, *other_seq));
        if better && has_room(connection, lane)? {
            best = Some((rank, seq, lane));
        }
    }
    let Some((_, seq, lane)) = best else {
        // What a command or a new plugin has queued of routes that are gone is for nobody to claim.
        set_aside_others(connection, &names(lanes))?;
        return Ok(None);
    };
    connection
        .prepare_cached(&format!(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, claimed_ms = ?2, converter = ?3 WHERE seq = ?1 RETURNING {JOB_COLUMNS}"
        ))?
        .query_row(params![seq, now, lane.converter], job)
        .optional()
}

/// The routes of these lanes, as JSON.
fn names(lanes: &[Lane]) -> String {
    serde_json::json!(lanes.iter().map(|lane| &lane.route).collect::<Vec<_>>()).to_string()
}

/// Sets aside what is due of other routes than these.
fn set_aside_others(connection: &Connection, routes: &str) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE jobs SET waiting = 'route', due_ms = ?2
             WHERE state = 'queued' AND waiting IS NULL AND route NOT IN (SELECT value FROM json_each(?1))",
        )?
        .execute(params![routes, Waiting::NEVER_DUE_MS])
}

fn has_room(connection: &Connection, lane: &Lane) -> rusqlite::Result<bool> {
    if let Some(at_most) = lane.at_most {
        let running: u32 = connection
            .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'running' AND route = ?1")?
            .query_row([&lane.route], |row| row.get(0))?;
        if running >= at_most {
            return Ok(false);
        }
    }
    match (&lane.converter, lane.converter_at_most) {
        (Some(converter), Some(at_most)) => Ok(running_with(connection, converter)? < at_most),
        _ => Ok(true),
    }
}

/// Few jobs run at a time, so no index by converter is needed.
fn running_with(connection: &Connection, converter: &str) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'running' AND converter = ?1")?
        .query_row([converter], |row| row.get(0))
}

/// A job is about to give up the converter that it runs with: the first of those that wait for it may try again.
pub(super) fn release_busy(connection: &Connection, ending: &JobId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE id =
                 (SELECT id FROM jobs WHERE state = 'queued' AND waiting = 'busy' AND converter = (SELECT converter FROM jobs WHERE id = ?1)
                  ORDER BY rank, seq LIMIT 1)",
        )?
        .execute([ending.as_str()])
}

impl Store {
    /// Notes the converter that a claimed job has chosen. Where that many jobs run with it already, the job is given back instead, to wait
    /// until one of them has ended, and false is the answer.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn reserve(&self, id: &JobId, converter: &str, at_most: u32) -> Result<bool, QueueError> {
        let (id, converter) = (id.clone(), converter.to_string());
        self.run_first(move |connection| {
            let room = running_with(connection, &converter)? < at_most;
            // A candidate before this one may have skipped the file.
            release_busy(connection, &id)?;
            if room {
                let mut note = connection.prepare_cached("UPDATE jobs SET converter = ?2 WHERE id = ?1 AND state = 'running'")?;
                note.execute(params![id.as_str(), converter])?;
            } else {
                let mut give_back = connection.prepare_cached(
                    "UPDATE jobs SET converter = ?2, state = 'queued', waiting = 'busy', due_ms = ?3, attempts = attempts - 1
                     WHERE id = ?1 AND state = 'running'",
                )?;
                give_back.execute(params![id.as_str(), converter, Waiting::NEVER_DUE_MS])?;
            }
            Ok(room)
        })
    }

    /// Sets aside the queued jobs of routes that are not among these, until a start with a configuration that has them.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn wait_for_routes(&self, configured: &[Lane]) -> Result<usize, QueueError> {
        let names = names(configured);
        self.run(move |connection| set_aside_others(connection, &names))
    }

    /// Gives back what is claimed, because the process ends in good order: it counts neither as an attempt nor as a crash.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn release_running(&self) -> Result<usize, QueueError> {
        self.run(|connection| {
            connection
                .prepare_cached(
                    "UPDATE jobs SET state = 'queued', waiting = NULL, due_ms = 0, attempts = attempts - 1 WHERE state = 'running'",
                )?
                .execute([])
        })
    }
}
