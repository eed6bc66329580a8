//! Every way from one state of a job to another, each one transaction.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arriving::next_turn;
use super::claim::{claim, release_busy};
use super::pauses::converter_is_paused;
use super::writer::Owed;
use super::{Committed, Enqueued, Job, JobId, Lane, NewJob, Origin, Queue, QueueError, Store, Waiting};
use crate::files::{path_from_bytes, path_to_bytes};
use crate::identity::FileIdentity;
use crate::sandbox::ErrorType;
use crate::trace_context::TraceParent;

/// Milliseconds since the epoch, now.
pub fn now_ms() -> i64 {
    let now = jiff::Timestamp::now().as_millisecond();
    #[cfg(test)]
    let now = now + CLOCK_SKEW_MS.get();
    now
}

#[cfg(test)]
thread_local! {
    /// What a test adds to the clock of a store's thread, to have it jump.
    pub(super) static CLOCK_SKEW_MS: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// How much later a job would have to come to be as urgent with the next higher priority. So an urgent job overtakes what came in the hours
/// before it, and nothing waits for ever.
const PRIORITY_STEP_MS: i64 = 3_600_000;

/// Longer values of attributes are no names that anybody looks for; in bytes.
const MAX_INDEXED_VALUE: usize = 256;

pub(super) const JOB_COLUMNS: &str = "id, route, path, location, device, inode, size, modified_ns, digest, attempts, created_ms, crashes, origin, members, media_type, trace, again_ms";

pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: JobId::from_stored(row.get(0)?),
        route: row.get(1)?,
        path: row.get(2)?,
        location: path_from_bytes(row.get(3)?),
        identity: FileIdentity {
            device: row.get::<_, i64>(4)?.cast_unsigned(),
            inode: row.get::<_, i64>(5)?.cast_unsigned(),
            size: row.get::<_, i64>(6)?.cast_unsigned(),
            modified_ns: row.get(7)?,
        },
        digest: row.get(8)?,
        attempts: row.get(9)?,
        created_ms: row.get(10)?,
        crashes: row.get(11)?,
        origin: Origin::from_stored(&row.get::<_, String>(12)?),
        members: match row.get::<_, Option<String>>(13)? {
            Some(members) => serde_json::from_str(&members).map_err(json_error)?,
            None => Vec::new(),
        },
        media_type: row.get(14)?,
        trace: row.get::<_, Option<String>>(15)?.as_deref().and_then(TraceParent::parse),
        again_ms: row.get(16)?,
    })
}

pub(super) fn json_error(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

impl Queue for Store {
    fn enqueue_all(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        let last = Arc::clone(&self.last_turn);
        let enqueued: Vec<Enqueued> =
            self.run(move |connection| jobs.iter().map(|job| enqueue(connection, job, next_turn(&last))).collect())?;
        if enqueued.iter().any(|enqueued| *enqueued != Enqueued::Known) {
            self.work().notify();
        }
        Ok(enqueued)
    }

    fn claim(&self, lanes: &Arc<[Lane]>) -> Result<Option<Job>, QueueError> {
        let lanes = Arc::clone(lanes);
        // A claim that a power cut undoes has harmed nothing: nobody has seen what came of it. A crash that it caused is counted.
        self.run_first(move |connection| claim(connection, &lanes))
    }

    fn defer(&self, id: &JobId, due_ms: i64, waiting: Waiting, durable: impl FnOnce() + Send + 'static) -> Result<(), QueueError> {
        let (id, work) = (id.clone(), self.work());
        self.owe(Owed {
            record: Box::new(move |connection| {
                release_busy(connection, &id)?;
                defer(connection, &id, due_ms, &waiting)
            }),
            synced: Box::new(move || {
                durable();
                work.notify();
            }),
        })
    }

    fn commit(&self, id: &JobId, committed: Committed, durable: impl FnOnce() + Send + 'static) -> Result<(), QueueError> {
        let (id, deliverable, work) = (id.clone(), self.committed(), self.work());
        self.owe(Owed {
            record: Box::new(move |connection| {
                release_busy(connection, &id)?;
                commit(connection, &id, &committed)
            }),
            synced: Box::new(move || {
                durable();
                deliverable.notify();
                // Room in a lane is work for the others.
                work.notify();
            }),
        })
    }
}

fn defer(connection: &Connection, id: &JobId, due_ms: i64, waiting: &Waiting) -> rusqlite::Result<()> {
    // The pause may have ended since the job was claimed; then nothing would release it any more.
    let (due_ms, reason) = match waiting {
        Waiting::Paused { converter } if !converter_is_paused(connection, converter)? => (0, None),
        waiting => (due_ms, Some(waiting.as_str())),
    };
    let awaits = match waiting {
        Waiting::Suspended { awaits } if !awaits.is_empty() => Some(serde_json::to_string(awaits).map_err(json_error)?),
        _ => None,
    };
    // Only what failed counts as an attempt: whoever waits for a file or a plugin has not used one up.
    let counted = matches!(waiting, Waiting::Retry | Waiting::PluginSuspended { tried: true, .. });
    let converter = match waiting {
        Waiting::PluginSuspended { converter, .. } | Waiting::Paused { converter } => Some(converter),
        _ => None,
    };
    // A job that was resumed because its files had come, and awaits the same files again, waits for its time: else it would be resumed for
    // them for ever.
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', awaits = CASE WHEN awaits = ?3 THEN NULL ELSE ?3 END, due_ms = ?4, attempts = attempts - ?5,
                    waiting = CASE WHEN waiting = 'plugins' AND ?2 = 'converter' THEN NULL ELSE ?2 END, converter = coalesce(?6, converter)
             WHERE id = ?1 AND state = 'running'",
        )?
        .execute(params![id.as_str(), reason, awaits, due_ms, u8::from(!counted), converter])?;
    Ok(())
}

/// Adds a job, to be claimed in its turn.
pub(super) fn enqueue(connection: &Connection, new: &NewJob, turn: i64) -> rusqlite::Result<Enqueued> {
    let known: Option<(String, bool)> = connection
        .prepare_cached("SELECT state, source_settled = 2 FROM jobs WHERE id = ?1")?
        .query_row([new.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let enqueued = match known.as_ref().map(|(state, kept)| (state.as_str(), kept)) {
        None => Enqueued::New,
        Some((_, true)) => return Ok(Enqueued::Known),
        Some(("settled", _)) => Enqueued::Again,
        Some(("committed", _)) => return Ok(Enqueued::Settling),
        Some(_) => {
            // Somebody may have brought it from `failed/`, where a new plugin was to find it.
            connection.prepare_cached("UPDATE jobs SET location = ?2, device = ?3, inode = ?4 WHERE id = ?1")?.execute(params![
                new.id.as_str(),
                path_to_bytes(&new.location),
                new.identity.device.cast_signed(),
                new.identity.inode.cast_signed()
            ])?;
            return Ok(Enqueued::Known);
        }
    };
    if enqueued == Enqueued::Again {
        connection.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([new.id.as_str()])?;
    }
    insert(connection, new, now_ms(), turn)?;
    Ok(enqueued)
}

/// Adds a job that is not there. Its turn is a time in milliseconds: the lowest is claimed first.
pub(super) fn insert(connection: &Connection, new: &NewJob, created_ms: i64, turn: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, route, path, location, device, inode, size, modified_ns, digest, priority, state, due_ms, created_ms, rank,
                               origin, members, media_type, trace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'queued', 0, ?11, ?13 + (?10 - 1) * ?12, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            new.id.as_str(),
            new.route,
            new.path,
            path_to_bytes(&new.location),
            new.identity.device.cast_signed(),
            new.identity.inode.cast_signed(),
            new.identity.size.cast_signed(),
            new.identity.modified_ns,
            new.digest,
            new.priority,
            created_ms,
            PRIORITY_STEP_MS,
            turn,
            new.origin.as_str(),
            if new.members.is_empty() { None } else { Some(serde_json::to_string(&new.members).map_err(json_error)?) },
            new.media_type,
            new.trace.map(String::from),
        ])
}

/// Queues a job again that no converter took.
pub(super) fn queue_again(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    for table in ["deliveries", "documents", "attributes"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE job = (SELECT seq FROM jobs WHERE id = ?1)"))?.execute([id])?;
    }
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', waiting = NULL, due_ms = 0, attempts = 0, outcome = NULL, error_type = NULL, source_settled = 0,
                    again_ms = ?2
             WHERE id = ?1",
        )?
        .execute(params![id, now_ms()])
}

pub(super) fn commit(connection: &Connection, id: &JobId, committed: &Committed) -> rusqlite::Result<()> {
    let now = now_ms();
    let seq: Option<i64> = connection
        .prepare_cached(
            "UPDATE jobs SET state = 'committed', due_ms = 0, finished_ms = ?2, outcome = ?3, error_type = ?4, converter = ?5, plugin_version = ?6,
             plugin_digest = ?7, detail = ?8, spool_bytes = ?9, options = ?10, source_settled = 0, dry_run = ?11,
             waiting = CASE WHEN ?4 = 'no_converter' THEN waiting END
             WHERE id = ?1 AND state = 'running' RETURNING seq",
        )?
        .query_row(
            params![
            id.as_str(),
            now,
            committed.outcome.as_str(),
            committed.error_type.map(ErrorType::as_str),
            committed.converter,
            committed.plugin.0,
            committed.plugin.1,
            committed.detail.to_string(),
            committed.documents.iter().map(|document| document.bytes).sum::<u64>().cast_signed(),
            committed.options,
            committed.is_dry_run(),
        ],
            |row| row.get(0),
        )
        .optional()?;
    // Given back meanwhile, because the process was to end: it runs again.
    let Some(seq) = seq else { return Ok(()) };
    let mut insert = connection.prepare_cached(
        "INSERT INTO documents (job, number, name, media_type, attributes, key, bytes, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut index = connection.prepare_cached("INSERT OR IGNORE INTO attributes (name, value, job) VALUES (?1, ?2, ?3)")?;
    for document in &committed.documents {
        insert.execute(params![
            seq,
            document.number,
            document.name,
            document.media_type,
            serde_json::to_string(&document.attributes).map_err(json_error)?,
            document.key,
            document.bytes.cast_signed(),
            document.digest,
        ])?;
        for (name, value) in document.attributes.iter().filter(|(_, value)| value.len() <= MAX_INDEXED_VALUE) {
            index.execute(params![name, value, seq])?;
        }
    }
    let mut insert = connection
        .prepare_cached("INSERT INTO deliveries (job, destination, state, due_ms, committed_ms) VALUES (?1, ?2, 'pending', 0, ?3)")?;
    for destination in &committed.destinations {
        insert.execute(params![seq, destination, now])?;
    }
    Ok(())
}

/// What earlier versions of Dropforge recorded counts as an answer.
fn yes() -> bool {
    true
}

/// A plugin that was asked whether a file is its own, as the job's history has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct AskedPlugin {
    /// The converter's name.
    pub converter: String,
    /// Its version.
    pub version: String,
    /// The plugin's digest; none in what earlier versions of Dropforge recorded.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether it has answered: not where it was not granted what it needs, or its probe failed.
    #[serde(default = "yes")]
    pub asked: bool,
}

impl Store {
    /// Makes jobs due that wait for a converter, because the loaded plugins have changed; and queues again what no converter took, where
    /// `wants` says, of its route, its path and the plugins that were asked for it, that one does now. Gives how many.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn plugins_changed(&self, wants: impl Fn(&str, &str, &[AskedPlugin]) -> bool + Send + 'static) -> Result<usize, QueueError> {
        let released = self.run(move |connection| {
            let waiting = connection
                .prepare_cached("UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE state = 'queued' AND waiting = 'converter'")?
                .execute([])?;
            let refused: Vec<(String, String, String, bool, Option<String>)> = connection
                .prepare_cached("SELECT id, route, path, state = 'settled', detail -> '$.candidates' FROM jobs WHERE state IN ('committed', 'settled') AND error_type = 'no_converter'")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let asked = |candidates: &Option<String>| -> Vec<AskedPlugin> {
                candidates.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
            };
            // Those that run may have been refused already by the plugins that were loaded before: they ask once more.
            let mut ask_again = connection.prepare_cached("UPDATE jobs SET waiting = 'plugins' WHERE state = 'running' OR id = ?1")?;
            ask_again.execute([""])?;
            let mut count = waiting;
            let wanted = refused.iter().filter(|(_, route, path, _, candidates)| wants(route, path, &asked(candidates)));
            for (id, _, _, is_settled, _) in wanted {
                // One that is on its way out is queued when it has ended.
                if *is_settled { count += queue_again(connection, id)? } else { _ = ask_again.execute([id])? }
            }
            Ok(count)
        })?;
        self.work().notify();
        Ok(released)
    }

    /// Suspended jobs that await files: id, where the source is, and the names.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn awaiting(&self) -> Result<Vec<(JobId, std::path::PathBuf, Vec<String>)>, QueueError> {
        let rows = self.run(|connection| {
            connection
                .prepare_cached("SELECT id, location, awaits FROM jobs WHERE state = 'queued' AND waiting = 'suspended' AND awaits IS NOT NULL LIMIT 1000")?
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(rows
            .into_iter()
            .map(|(id, location, awaits)| {
                (JobId::from_stored(id), path_from_bytes(location), serde_json::from_str(&awaits).unwrap_or_default())
            })
            .collect())
    }

    /// Makes a suspended job due now, because the files that it awaits have come.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn resume(&self, id: &JobId) -> Result<(), QueueError> {
        let id = id.clone();
        self.run(move |connection| {
            connection
                .prepare_cached("UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE id = ?1 AND state = 'queued'")?
                .execute([id.as_str()])
        })?;
        self.work().notify();
        Ok(())
    }

    /// Proves that the queue can be written, by writing.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn check_writable(&self) -> Result<(), QueueError> {
        self.run(|connection| {
            connection
                .prepare_cached("INSERT INTO heartbeat (id, at_ms) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at_ms = ?1")?
                .execute([now_ms()])
        })?;
        Ok(())
    }
}
