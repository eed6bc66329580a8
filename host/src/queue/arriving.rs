//! What intake asks of the queue: whose turn a new job has, what of a file is known already, and how much there is to do.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, OptionalExtension, params};

use super::transitions::now_ms;
use super::{Enqueued, JobId, QueueError, Store};
use crate::files::path_to_bytes;
use crate::identity::FileIdentity;

/// How far turns may be ahead of the clock: as many files as can be queued at once, by a millisecond each.
const MOST_AHEAD_MS: i64 = 300_000;

/// What the bounds of intake are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Jobs that are queued or running.
    pub jobs: u64,
    /// Bytes of documents in the spool.
    pub spool_bytes: u64,
}

impl Store {
    /// What is known of these very files at these places, in their order, without reading them: none where one is new, or was settled and put
    /// back.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn known(&self, files: Vec<(PathBuf, FileIdentity)>) -> Result<Vec<Option<Enqueued>>, QueueError> {
        self.run(move |connection| files.iter().map(|(location, identity)| known(connection, location, *identity)).collect())
    }

    /// The digest of a job's source, if there is a job of this id.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn digest_of(&self, id: &JobId) -> Result<Option<String>, QueueError> {
        let id = id.clone();
        self.run(move |connection| {
            connection.prepare_cached("SELECT digest FROM jobs WHERE id = ?1")?.query_row([id.as_str()], |row| row.get(0)).optional()
        })
    }

    /// How much is to be done.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn fill(&self) -> Result<Fill, QueueError> {
        self.read(|connection| {
            let count = |sql: &str| -> rusqlite::Result<u64> {
                connection.prepare_cached(sql)?.query_row([], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
            };
            let due = count("SELECT count(*) FROM jobs WHERE state = 'queued' AND waiting IS NULL")?;
            let waiting = count("SELECT count(*) FROM jobs WHERE state = 'queued' AND waiting IS NOT NULL")?;
            let running = count("SELECT count(*) FROM jobs WHERE state = 'running'")?;
            let spool_bytes = count("SELECT coalesce(sum(spool_bytes), 0) FROM jobs WHERE state = 'committed'")?;
            Ok(Fill { jobs: due + waiting + running, spool_bytes })
        })
    }
}

/// The turn after the last one: those jobs whose priorities are equal are claimed in their turns. A turn is the millisecond in which a job was
/// queued, or, where several are queued in one, one more than the turn before. Turns that are far ahead are of a clock that was set back.
pub(super) fn next_turn(last: &AtomicI64) -> i64 {
    let now = now_ms();
    let following = last.load(Ordering::Relaxed).saturating_add(1);
    let turn = if following - now > MOST_AHEAD_MS { now } else { following.max(now) };
    // Only the thread of the store takes turns.
    last.store(turn, Ordering::Relaxed);
    turn
}

fn known(connection: &Connection, location: &Path, identity: FileIdentity) -> rusqlite::Result<Option<Enqueued>> {
    let settling: Option<bool> = connection
        .prepare_cached(
            "SELECT state = 'committed' AND source_settled <> 2 FROM jobs
             WHERE location = ?1 AND device = ?2 AND inode = ?3 AND size = ?4 AND modified_ns = ?5
             AND (state <> 'settled' OR source_settled = 2)",
        )?
        .query_row(
            params![
                path_to_bytes(location),
                identity.device.cast_signed(),
                identity.inode.cast_signed(),
                identity.size.cast_signed(),
                identity.modified_ns
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(settling.map(|settling| if settling { Enqueued::Settling } else { Enqueued::Known }))
}
