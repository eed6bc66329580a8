//! The tables. `user_version` holds the version; a newer database than this program is refused.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::QueueError;

/// The version of the tables below.
const VERSION: i64 = 1;

/// Opens the database for writing, and creates or checks its tables.
pub(super) fn open(path: &Path) -> Result<Connection, QueueError> {
    let failed = |source| QueueError::Open { path: path.to_path_buf(), source };
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    match version {
        0 => connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")).map_err(failed)?,
        VERSION => {}
        newer => return Err(QueueError::Newer { path: path.to_path_buf(), found: newer, known: VERSION }),
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

const TABLES: &str = "
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
    waiting        TEXT,              -- why it is not due: retry, suspended, converter, route; plugins: they changed since it was claimed
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
