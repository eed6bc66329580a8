//! The tables. `user_version` holds their version: an older database is migrated forwards, a newer one than this program is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::QueueError;

/// What makes a database of version n one of version n + 1. A released step never changes.
const STEPS: [&str; 7] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7];

/// The version of the tables that this program works with.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// How long SQLite's log becomes before it is copied into the database, in pages of 4 KiB. Every job changes the same few pages again and
/// again: in a long log, they are copied once for many jobs.
const LOG_PAGES: i64 = 16_384;

/// Opens the database for writing, and brings its tables to this program's version. An older database is copied aside first, and all
/// steps are one transaction.
pub(super) fn open(path: &Path) -> Result<Connection, QueueError> {
    let failed = |source| QueueError::Open { path: path.to_path_buf(), source };
    let connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // As FULL, but that SQLite does not wait for its log to be synced at every commit: `writer` syncs it, and answers nobody before.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(failed)?;
    match version(&connection, path)? {
        VERSION => {}
        older => migrate(&connection, path, older).map_err(failed)?,
    }
    Ok(connection)
}

/// Opens a database that is there and has this program's version, beside the daemon that may be using it.
pub(super) fn open_beside(path: &Path) -> Result<Connection, QueueError> {
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(QueueError::Absent { path: path.to_path_buf() }),
        Err(source) => return Err(QueueError::OutOfReach { path: path.to_path_buf(), source }),
    }
    let connection = connect(path)?;
    match version(&connection, path)? {
        VERSION => Ok(connection),
        found => Err(QueueError::Older { path: path.to_path_buf(), found, known: VERSION }),
    }
}

fn connect(path: &Path) -> Result<Connection, QueueError> {
    let failed = |source| QueueError::Open { path: path.to_path_buf(), source };
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    // What a failed command takes back is kept in memory: else every command would copy the pages that it changes to a temporary file.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// The version of the tables that are there, if this program knows it.
fn version(connection: &Connection, path: &Path) -> Result<i64, QueueError> {
    let version = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| QueueError::Open { path: path.to_path_buf(), source })?;
    if (0..=VERSION).contains(&version) {
        return Ok(version);
    }
    Err(QueueError::Newer { path: path.to_path_buf(), found: version, known: VERSION })
}

fn migrate(connection: &Connection, path: &Path, from: i64) -> rusqlite::Result<()> {
    if from > 0 {
        let copy = copy_name(path, from);
        // A copy that is there is of an earlier try; what it was made from is still as it was.
        if !copy.exists() {
            connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
        }
        tracing::info!(from, to = VERSION, copy = %copy.display(), "the queue is of an earlier version: it is migrated, and a copy kept");
    }
    let steps: String = STEPS.iter().skip(usize::try_from(from).unwrap_or_default()).copied().collect();
    connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;"))
        .inspect_err(|_| drop(connection.execute_batch("ROLLBACK")))
}

/// Where the copy of a database of an earlier version is.
fn copy_name(path: &Path, version: i64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".version-{version}"));
    path.with_file_name(name)
}

pub(super) const VERSION_1: &str = "
CREATE TABLE jobs (
    id             TEXT PRIMARY KEY,
    route          TEXT NOT NULL,
    path           TEXT NOT NULL,     -- relative to the intake, for people
    location       BLOB NOT NULL,     -- where the source is now
    device         INTEGER NOT NULL,
    inode          INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    modified_ns    INTEGER NOT NULL,
    digest         TEXT NOT NULL,
    priority       INTEGER NOT NULL,
    state          TEXT NOT NULL,     -- queued, running, committed, settled
    waiting        TEXT,              -- why it is not due: a reason of `Waiting`; plugins: they changed since it was claimed
    awaits         TEXT,              -- a JSON list of names, for suspended
    due_ms         INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    created_ms     INTEGER NOT NULL,
    finished_ms    INTEGER,           -- when the conversion ended
    source_settled INTEGER NOT NULL DEFAULT 0,   -- 1: moved or deleted, 2: left where it is, as the route says
    outcome        TEXT,
    error_type     TEXT,
    converter      TEXT,
    plugin_version TEXT,
    plugin_digest  TEXT,
    detail         TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (priority, created_ms, id) WHERE state = 'queued' AND waiting IS NULL;
CREATE INDEX jobs_waiting ON jobs (due_ms) WHERE state = 'queued' AND waiting IS NOT NULL;
CREATE INDEX jobs_committed ON jobs (due_ms) WHERE state = 'committed';
CREATE INDEX jobs_running ON jobs (id) WHERE state = 'running';
CREATE INDEX jobs_location ON jobs (location);
CREATE INDEX jobs_created ON jobs (created_ms);
CREATE INDEX jobs_unclaimed_by_any ON jobs (id) WHERE error_type = 'no_converter';
CREATE INDEX jobs_settled ON jobs (finished_ms) WHERE state = 'settled';
CREATE TABLE documents (
    job         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    attributes  TEXT NOT NULL,        -- a JSON list of pairs
    key         TEXT,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    job          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    destination  TEXT NOT NULL,
    delivered_ms INTEGER,             -- all documents of the job are there
    attempts     INTEGER NOT NULL DEFAULT 0,
    error        TEXT,
    PRIMARY KEY (job, destination)
) STRICT, WITHOUT ROWID;
CREATE TABLE heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL) STRICT;
";

/// Ranks in place of priorities; what the history needs; deliveries with a state of their own.
const VERSION_2: &str = "
DROP INDEX jobs_due;
DROP INDEX jobs_committed;
DROP INDEX jobs_running;
DROP INDEX jobs_settled;
ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;       -- the lowest is claimed first: when it was queued, later by priority
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;    -- how often the process ended while it ran
ALTER TABLE jobs ADD COLUMN claimed_ms INTEGER;
ALTER TABLE jobs ADD COLUMN settled_ms INTEGER;
ALTER TABLE jobs ADD COLUMN options TEXT;                          -- JSON: those that the converter was given
ALTER TABLE jobs ADD COLUMN members TEXT;                          -- a JSON list of the files that belong to the source
ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT 'folder'; -- folder, http, replay
ALTER TABLE jobs ADD COLUMN spool_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET rank = created_ms + (priority - 1) * 3600000,
    spool_bytes = (SELECT coalesce(sum(bytes), 0) FROM documents WHERE job = jobs.id);
CREATE INDEX jobs_due ON jobs (route, rank, id) WHERE state = 'queued' AND waiting IS NULL;
CREATE INDEX jobs_running ON jobs (route) WHERE state = 'running';
CREATE INDEX jobs_busy ON jobs (converter, rank, id) WHERE state = 'queued' AND waiting = 'busy';
CREATE INDEX jobs_unsettled_source ON jobs (due_ms) WHERE state = 'committed' AND source_settled = 0;
CREATE INDEX jobs_committed ON jobs (finished_ms, spool_bytes) WHERE state = 'committed';
CREATE INDEX jobs_settled ON jobs (route, finished_ms) WHERE state = 'settled';
CREATE INDEX jobs_dead ON jobs (route) WHERE state = 'settled' AND outcome IN ('failed', 'rejected', 'skipped');
CREATE INDEX jobs_path ON jobs (path);
CREATE INDEX jobs_digest ON jobs (digest);
ALTER TABLE documents ADD COLUMN digest TEXT;                      -- SHA-256; none in what version 1 made
CREATE TABLE attributes (             -- of documents, to find a job by: a serial number
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    job    TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (name, value, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_of_job ON attributes (job);
INSERT OR IGNORE INTO attributes (name, value, job)
    SELECT pair.value ->> 0, pair.value ->> 1, documents.job FROM documents, json_each(documents.attributes) AS pair;
ALTER TABLE deliveries RENAME TO old_deliveries;
CREATE TABLE deliveries (
    job           TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    destination   TEXT NOT NULL,
    state         TEXT NOT NULL,      -- pending, delivered, dead, purged (dead, and given up by somebody)
    due_ms        INTEGER NOT NULL,
    committed_ms  INTEGER NOT NULL,   -- when its job was: they go out in this order
    next_document INTEGER NOT NULL DEFAULT 0,   -- those before it are there
    attempts      INTEGER NOT NULL DEFAULT 0,   -- that failed
    ended_ms      INTEGER,            -- when it was delivered or given up
    error         TEXT,
    response      TEXT,               -- what a server answered to a document that it refused
    PRIMARY KEY (job, destination)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries (job, destination, state, due_ms, committed_ms, attempts, ended_ms, error)
    SELECT job, destination, iif(delivered_ms IS NULL, 'pending', 'delivered'), 0, coalesce(finished_ms, 0), old_deliveries.attempts, delivered_ms, error
    FROM old_deliveries JOIN jobs ON jobs.id = job;
DROP TABLE old_deliveries;
CREATE INDEX deliveries_pending ON deliveries (destination, committed_ms, job) WHERE state = 'pending';
CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state = 'pending';
CREATE INDEX deliveries_purged ON deliveries (job) WHERE state = 'purged';
CREATE INDEX deliveries_dead ON deliveries (destination) WHERE state = 'dead';
";

/// Jobs have a number in the order of their coming, and what belongs to them has it in place of the id. Ids are digests: what is kept in their
/// order lies scattered, so that every job would change pages of its own; now jobs that come together share most of them.
const VERSION_3: &str = "
ALTER TABLE jobs RENAME TO old_jobs;
ALTER TABLE documents RENAME TO old_documents;
ALTER TABLE deliveries RENAME TO old_deliveries;
ALTER TABLE attributes RENAME TO old_attributes;
CREATE TABLE jobs (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    route          TEXT NOT NULL,
    path           TEXT NOT NULL,     -- relative to the intake, for people
    location       BLOB NOT NULL,     -- where the source is now
    device         INTEGER NOT NULL,
    inode          INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    modified_ns    INTEGER NOT NULL,
    digest         TEXT NOT NULL,
    priority       INTEGER NOT NULL,
    rank           INTEGER NOT NULL,  -- the lowest is claimed first: when it was queued, later by priority
    state          TEXT NOT NULL,     -- queued, running, committed, settled
    waiting        TEXT,              -- why it is not due: a reason of `Waiting`; plugins: they changed since it was claimed
    awaits         TEXT,              -- a JSON list of names, for suspended
    due_ms         INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    crashes        INTEGER NOT NULL DEFAULT 0,   -- how often the process ended while it ran
    created_ms     INTEGER NOT NULL,
    claimed_ms     INTEGER,
    finished_ms    INTEGER,           -- when the conversion ended
    settled_ms     INTEGER,
    source_settled INTEGER NOT NULL DEFAULT 0,   -- 1: moved or deleted, 2: left where it is, as the route says
    spool_bytes    INTEGER NOT NULL DEFAULT 0,
    outcome        TEXT,
    error_type     TEXT,
    converter      TEXT,
    plugin_version TEXT,
    plugin_digest  TEXT,
    options        TEXT,              -- JSON: those that the converter was given
    detail         TEXT,
    members        TEXT,              -- a JSON list of the files that belong to the source
    origin         TEXT NOT NULL      -- folder, http, replay
) STRICT;
INSERT INTO jobs (id, route, path, location, device, inode, size, modified_ns, digest, priority, rank, state, waiting, awaits, due_ms, attempts,
        crashes, created_ms, claimed_ms, finished_ms, settled_ms, source_settled, spool_bytes, outcome, error_type, converter, plugin_version,
        plugin_digest, options, detail, members, origin)
    SELECT id, route, path, location, device, inode, size, modified_ns, digest, priority, rank, state, waiting, awaits, due_ms, attempts,
        crashes, created_ms, claimed_ms, finished_ms, settled_ms, source_settled, spool_bytes, outcome, error_type, converter, plugin_version,
        plugin_digest, options, detail, members, origin
    FROM old_jobs ORDER BY created_ms, id;
CREATE TABLE documents (
    job         INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    attributes  TEXT NOT NULL,        -- a JSON list of pairs
    key         TEXT,
    bytes       INTEGER NOT NULL,
    digest      TEXT,                 -- SHA-256; none in what version 1 made
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
INSERT INTO documents SELECT seq, number, name, media_type, attributes, key, bytes, old_documents.digest
    FROM old_documents JOIN jobs ON jobs.id = job;
CREATE TABLE attributes (             -- of documents, to find a job by: a serial number
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    job    INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    PRIMARY KEY (name, value, job)
) STRICT, WITHOUT ROWID;
INSERT INTO attributes SELECT name, value, seq FROM old_attributes JOIN jobs ON jobs.id = job;
CREATE TABLE deliveries (
    job           INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    destination   TEXT NOT NULL,
    state         TEXT NOT NULL,      -- pending, delivered, dead, purged (dead, and given up by somebody)
    due_ms        INTEGER NOT NULL,
    committed_ms  INTEGER NOT NULL,   -- when its job was: they go out in this order
    next_document INTEGER NOT NULL DEFAULT 0,   -- those before it are there
    attempts      INTEGER NOT NULL DEFAULT 0,   -- that failed
    ended_ms      INTEGER,            -- when it was delivered or given up
    error         TEXT,
    response      TEXT,               -- what a server answered to a document that it refused
    PRIMARY KEY (job, destination)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries SELECT seq, destination, old_deliveries.state, old_deliveries.due_ms, committed_ms, next_document, old_deliveries.attempts,
        ended_ms, error, response
    FROM old_deliveries JOIN jobs ON jobs.id = job;
DROP TABLE old_documents;
DROP TABLE old_attributes;
DROP TABLE old_deliveries;
DROP TABLE old_jobs;
CREATE INDEX jobs_due ON jobs (route, rank) WHERE state = 'queued' AND waiting IS NULL;
CREATE INDEX jobs_waiting ON jobs (due_ms) WHERE state = 'queued' AND waiting IS NOT NULL;
CREATE INDEX jobs_busy ON jobs (converter, rank) WHERE state = 'queued' AND waiting = 'busy';
CREATE INDEX jobs_running ON jobs (route) WHERE state = 'running';
CREATE INDEX jobs_unsettled_source ON jobs (due_ms) WHERE state = 'committed' AND source_settled = 0;
CREATE INDEX jobs_committed ON jobs (finished_ms, spool_bytes) WHERE state = 'committed';
CREATE INDEX jobs_settled ON jobs (route, finished_ms) WHERE state = 'settled';
CREATE INDEX jobs_dead ON jobs (route) WHERE state = 'settled' AND outcome IN ('failed', 'rejected', 'skipped');
CREATE INDEX jobs_unclaimed_by_any ON jobs (error_type) WHERE error_type = 'no_converter';
CREATE INDEX jobs_location ON jobs (location) WHERE state <> 'settled' OR source_settled = 2;
CREATE INDEX jobs_path ON jobs (path);
CREATE INDEX jobs_digest ON jobs (digest);
CREATE INDEX attributes_of_job ON attributes (job);
CREATE INDEX deliveries_pending ON deliveries (destination, committed_ms, job) WHERE state = 'pending';
CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state = 'pending' AND due_ms > 0;
CREATE INDEX deliveries_purged ON deliveries (job) WHERE state = 'purged';
CREATE INDEX deliveries_dead ON deliveries (destination) WHERE state = 'dead';
";

/// Posted files have a media type, and the sources of each route are settled for themselves.
const VERSION_4: &str = "
ALTER TABLE jobs ADD COLUMN media_type TEXT;  -- what a posted file was said to be
DROP INDEX jobs_unsettled_source;
CREATE INDEX jobs_unsettled_source ON jobs (route, due_ms) WHERE state = 'committed' AND source_settled = 0;
";

/// Routes and converters can be paused, and sources that stay are found without looking at all that was ever settled.
const VERSION_5: &str = "
CREATE INDEX jobs_kept ON jobs (route) WHERE source_settled = 2;
CREATE TABLE pauses (
    kind      TEXT NOT NULL,    -- route, converter
    name      TEXT NOT NULL,
    since_ms  INTEGER NOT NULL,
    reason    TEXT,             -- what the operator said to it
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// Posted files belong to traces of other systems, and it is known when a job was queued again.
const VERSION_6: &str = "
ALTER TABLE jobs ADD COLUMN trace TEXT;                          -- the W3C traceparent that a posted file came with
ALTER TABLE jobs ADD COLUMN again_ms INTEGER NOT NULL DEFAULT 0; -- when it was queued again, after it had been settled
";

/// What was only tried, and what was converted in part, is found without looking at all that is kept.
const VERSION_7: &str = "
ALTER TABLE jobs ADD COLUMN dry_run INTEGER NOT NULL DEFAULT 0;  -- 1: nothing of it is delivered, and its source stays
UPDATE jobs SET dry_run = 1 WHERE detail ->> 'dry_run' = 1;
CREATE INDEX jobs_tried ON jobs (route) WHERE dry_run = 1;
CREATE INDEX jobs_partial ON jobs (route) WHERE outcome = 'partial';
";
