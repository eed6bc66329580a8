//! The embedded store: a SQLite file, which one thread writes to and all may read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rusqlite::Connection;

use super::writer::{Owed, Writer};
use super::{Pauses, Wakeup, damage, pauses, schema};
use crate::identity::FileIdentity;

/// The database's name in the state folder.
pub const QUEUE_FILE: &str = "queue.db";

/// What went wrong with the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database cannot be opened.
    #[error("cannot open the queue {path}: {source}; check that the folder is on a local disk and writable")]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A later version of Dropforge wrote it.
    #[error("the queue {path} has version {found}, this program knows up to {known}; run the newer Dropforge, or give another state_dir")]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// There is no database.
    #[error("there is no queue at {path}; no daemon has run with this state_dir yet, so check `state_dir` or --state")]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// Whether there is one cannot be seen.
    #[error("cannot look for the queue {path}: {source}; run this as the daemon's user, or check `state_dir` or --state")]
    OutOfReach {
        /// Where it would be.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// An earlier version of Dropforge wrote it, and only the daemon migrates it.
    #[error("the queue {path} has version {found}, this program works with {known}; start the daemon once, which migrates it")]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// A damaged database could not be put aside.
    #[error("the queue {path} is damaged and cannot be moved aside: {source}; move it away yourself, and start again")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// A statement or the commit failed: nothing of it is in the database.
    #[error("the queue could not be read or written: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The commit of a shared transaction failed.
    #[error("the queue could not be written: {0}")]
    Commit(String),
    /// Somebody deleted or replaced the database while this program uses it.
    #[error(
        "the queue {path} was deleted or replaced while this program uses it: stop the program, put it back if you can, and start again"
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// What belongs to the queue could not be copied with it.
    #[error("the spool could not be copied: {0}")]
    Copy(std::io::Error),
    /// The store was closed.
    #[error("the queue is closed")]
    Closed,
}

/// The queue in a SQLite file.
pub struct Store {
    writer: Writer,
    /// The database.
    pub(super) path: PathBuf,
    /// Its device and number.
    file: (u64, u64),
    /// For what may take long: it holds up no worker.
    reader: Mutex<Connection>,
    /// For those who deliver and settle.
    outgoing: Mutex<Connection>,
    /// What SQLite counts up when others than this store's thread write.
    outside: AtomicI64,
    /// The turn of the job that was queued last; see [`next_turn`](super::arriving::next_turn).
    pub(super) last_turn: Arc<AtomicI64>,
    /// What an operator has paused, as the database has it.
    pub(super) paused: Arc<ArcSwap<Pauses>>,
    /// Notified when a job may have become due.
    work: Arc<Wakeup>,
    /// Notified when something may have become deliverable.
    committed: Arc<Wakeup>,
}

/// A store that was opened, and what was found.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a damaged database was put.
    pub set_aside: Option<PathBuf>,
}

impl Store {
    /// Opens or creates the database, and queues again what ran when the last process ended, and what waited for another configuration. A
    /// damaged database is set aside, and an empty one begun.
    ///
    /// # Errors
    /// Where the file cannot be opened or is of a newer version.
    pub fn open(path: &Path) -> Result<Opened, QueueError> {
        let set_aside = damage::set_aside_if_damaged(path)?;
        let connection = schema::open(path)?;
        connection
            .execute("UPDATE jobs SET state = 'queued', waiting = NULL, due_ms = 0, crashes = crashes + 1 WHERE state = 'running'", [])?;
        connection.execute(
            "UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE state = 'queued' AND waiting IN ('converter', 'plugin_suspended', 'busy', 'route', 'paused')",
            [],
        )?;
        Ok(Opened { store: Store::start(path, connection)?, set_aside })
    }

    /// Opens the database that a daemon has made, whether the daemon runs or not, and changes nothing of what it is doing.
    ///
    /// # Errors
    /// Where there is none, or it is of another version.
    pub fn beside(path: &Path) -> Result<Store, QueueError> {
        Store::start(path, schema::open_beside(path)?)
    }

    fn start(path: &Path, connection: Connection) -> Result<Store, QueueError> {
        let reader = schema::open_beside(path)?;
        let outgoing = schema::open_beside(path)?;
        for reading in [&reader, &outgoing] {
            reading.pragma_update(None, "query_only", true)?;
        }
        let paused = pauses::read(&reader)?;
        let file = device_and_number(path).ok_or_else(|| QueueError::Gone { path: path.to_path_buf() })?;
        Ok(Store {
            writer: Writer::start(path, connection)?,
            path: path.to_path_buf(),
            file,
            reader: Mutex::new(reader),
            outgoing: Mutex::new(outgoing),
            outside: AtomicI64::new(0),
            last_turn: Arc::default(),
            paused: Arc::new(ArcSwap::from_pointee(paused)),
            work: Arc::default(),
            committed: Arc::default(),
        })
    }

    /// Makes sure that the database still has its name: what is written to a file without one is lost with this process.
    fn check_in_place(&self) -> Result<(), QueueError> {
        if device_and_number(&self.path) == Some(self.file) { Ok(()) } else { Err(QueueError::Gone { path: self.path.clone() }) }
    }

    /// Wakes whoever waits for work where another process, a command of an operator's, has written to the database.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn notice_outside_changes(&self) -> Result<(), QueueError> {
        let version: i64 = self.run(|connection| connection.pragma_query_value(None, "data_version", |row| row.get(0)))?;
        if self.outside.swap(version, Ordering::Relaxed) != version {
            self.work.notify();
            self.committed.notify();
        }
        Ok(())
    }

    /// Reads without holding up whoever writes.
    pub(super) fn read<T>(&self, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        read(&self.reader, statements)
    }

    /// Reads what is to be acted upon, and makes sure that it is synced.
    pub(super) fn read_durable<T>(&self, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        self.check_in_place()?;
        let result = read(&self.outgoing, statements)?;
        self.flush()?;
        Ok(result)
    }

    /// Notified when a job may have become due.
    pub fn work(&self) -> Arc<Wakeup> {
        Arc::clone(&self.work)
    }

    /// Notified when something may have become deliverable.
    pub fn committed(&self) -> Arc<Wakeup> {
        Arc::clone(&self.committed)
    }

    /// Runs statements in the next shared transaction and waits until it is synced.
    pub(super) fn run<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.check_in_place()?;
        self.writer.run(statements)
    }

    /// Runs statements before all others that wait, until they are committed: a power cut may undo them, a crash of this process does not. Of
    /// statements that fail, those before the failure stay.
    pub(super) fn run_first<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.check_in_place()?;
        self.writer.run_first(statements)
    }

    /// Has something written, without waiting for it: it is tried until it is there.
    pub(super) fn owe(&self, owed: Owed) -> Result<(), QueueError> {
        self.writer.record(owed)
    }

    /// Waits until everything that was given to the queue before is synced.
    ///
    /// # Errors
    /// Where it cannot be.
    pub fn flush(&self) -> Result<(), QueueError> {
        self.run(|_| Ok(()))
    }
}

fn read<T>(reader: &Mutex<Connection>, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
    let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    // One transaction, so that all statements see the same moment.
    let transaction = reader.unchecked_transaction()?;
    let result = statements(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

fn device_and_number(path: &Path) -> Option<(u64, u64)> {
    FileIdentity::at(path).ok().map(|identity| (identity.device, identity.inode))
}
