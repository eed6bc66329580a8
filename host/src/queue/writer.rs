//! The threads that write to the database. One owns the connection: all that waits for it shares a transaction (group commit). The other makes
//! durable what was committed, while the first goes on with the next transaction: a sync takes longer than all statements of a job. It
//! knows no tables.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, bounded, never, select};
use rusqlite::Connection;

use super::{QueueError, schema};
use crate::files;

/// Tasks that share a transaction at most, that wait for the thread at most, and transactions that wait for a sync at most.
const BATCH: usize = 256;
/// Tasks that are done before whoever waits for something urgent is answered: a transaction costs more than what one of them does.
const BESIDE_URGENT: usize = 8;
/// What is committed within this time of each other is synced together. Whoever writes alone does not wait.
const PACE: Duration = Duration::from_millis(5);
/// The pause before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often what could not be written is tried when the program ends.
const LAST_TRIES: u32 = 3;

/// Answers whoever asked: within a transaction that was committed, or that has failed.
type Reply = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;
/// Gets the connection within a transaction, or why there is none.
type Statements = Box<dyn FnOnce(Result<&Connection, &rusqlite::Error>) -> Reply + Send>;

type Record = Box<dyn Fn(&Connection) -> rusqlite::Result<()> + Send>;

/// Something to be written whose sender does not wait for it: it is tried until it is there.
pub(super) struct Owed {
    /// Writes it. It may be called again after a failure.
    pub record: Record,
    /// Called when it is synced.
    pub synced: Box<dyn FnOnce() + Send>,
}

enum Task {
    Run(Statements),
    Record(Owed),
}

/// What a committed transaction still needs.
struct Unsynced {
    /// It changed something.
    dirty: bool,
    replies: Vec<Reply>,
    recorded: Vec<Owed>,
}

/// The two threads, until this is dropped: then they finish what they were given.
pub(super) struct Writer {
    tasks: Option<(Sender<Statements>, Sender<Task>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the database's log cannot be opened, or no thread be started.
    pub fn start(path: &Path, connection: Connection) -> Result<Writer, QueueError> {
        let failed = |error: io::Error| QueueError::Open {
            path: path.to_path_buf(),
            source: rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
        };
        let log = Log::open(path)?;
        let (urgent, first) = bounded(BATCH);
        let (tasks, inbox) = bounded(BATCH);
        let (to_sync, committed) = bounded(BATCH);
        let writing = std::thread::Builder::new()
            .name("queue".into())
            .spawn(move || Transactions { connection, urgent: first, inbox, to_sync, owed: Vec::new() }.serve())
            .map_err(failed)?;
        let syncing = std::thread::Builder::new().name("queue sync".into()).spawn(move || sync_all(log, &committed)).map_err(failed)?;
        Ok(Writer { tasks: Some((urgent, tasks)), threads: vec![writing, syncing] })
    }

    /// Runs statements in the next transaction and waits until it is synced.
    pub fn run<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.wait_for(|connection| within_savepoint(connection, statements), |statements| self.give(Task::Run(statements)))
    }

    /// Runs statements as soon as the connection is free, and waits until they are committed: a crash of this process changes nothing of them any
    /// more, but a power cut may. Of statements that fail, those before the failure stay.
    pub fn run_first<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.wait_for(statements, |statements| {
            self.tasks.as_ref().ok_or(QueueError::Closed)?.0.send(statements).map_err(|_| QueueError::Closed)
        })
    }

    fn wait_for<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        give: impl FnOnce(Statements) -> Result<(), QueueError>,
    ) -> Result<T, QueueError> {
        let (answer, wait) = bounded(1);
        let statements: Statements = Box::new(move |connection| {
            let result =
                connection.map_err(|error| QueueError::Commit(error.to_string())).and_then(|connection| Ok(statements(connection)?));
            Box::new(move |commit| {
                let result = match commit {
                    Ok(()) => result,
                    Err(error) => Err(QueueError::Commit(error.to_string())),
                };
                let _ = answer.send(result);
            })
        });
        give(statements)?;
        wait.recv().map_err(|_| QueueError::Closed)?
    }

    /// Takes over something to be written.
    pub fn record(&self, owed: Owed) -> Result<(), QueueError> {
        self.give(Task::Record(owed))
    }

    fn give(&self, task: Task) -> Result<(), QueueError> {
        self.tasks.as_ref().ok_or(QueueError::Closed)?.1.send(task).map_err(|_| QueueError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A failed task takes back its own statements and leaves those of the others.
fn within_savepoint<T>(connection: &Connection, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT command")?.execute([])?;
    let result = statements(connection);
    if connection.is_autocommit() {
        // The error has taken back everything.
        return result;
    }
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO command")?.execute([])?;
    }
    connection.prepare_cached("RELEASE command")?.execute([])?;
    result
}

/// The thread that owns the connection.
struct Transactions {
    connection: Connection,
    /// What workers wait for with nothing else to do.
    urgent: Receiver<Statements>,
    inbox: Receiver<Task>,
    to_sync: Sender<Unsynced>,
    /// What could not be written yet.
    owed: Vec<Owed>,
}

impl Transactions {
    fn serve(mut self) {
        loop {
            // Whoever gave what is owed does not wait for it, so nobody else would try it again.
            let patience = if self.owed.is_empty() { never() } else { after(RETRY) };
            select! {
                recv(self.urgent) -> first => match first {
                    Ok(first) => self.transaction(Some(first), None),
                    Err(_) => break,
                },
                recv(self.inbox) -> first => match first {
                    Ok(first) => self.transaction(None, Some(first)),
                    Err(_) => break,
                },
                recv(patience) -> _ => self.transaction(None, None),
            }
        }
        // Both are closed together, and what one holds still counts.
        while let Ok(task) = self.inbox.try_recv() {
            self.transaction(None, Some(task));
        }
        for _ in 0..LAST_TRIES {
            if self.owed.is_empty() {
                return;
            }
            std::thread::sleep(RETRY);
            self.transaction(None, None);
        }
        tracing::error!(jobs = self.owed.len(), "cannot record what became of jobs; they are converted again after the next start");
    }

    /// One transaction for everything that waits, or until something urgent is done.
    fn transaction(&mut self, urgent: Option<Statements>, first: Option<Task>) {
        let changes = self.connection.total_changes();
        let begun = self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        let taken_back = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
            Some("an error before has taken back the transaction".into()),
        );
        // SQLite itself takes a transaction back after some errors. What came now would be committed alone, and be reported as failed.
        let connection = || match &begun {
            Ok(_) if self.connection.is_autocommit() => Err(&taken_back),
            begun => begun.as_ref().map(|_| &self.connection),
        };
        let mut failed = Vec::new();
        let mut at_once: Vec<Reply> = urgent.into_iter().map(|urgent| urgent(connection())).collect();
        let mut unsynced = Unsynced { dirty: false, replies: Vec::new(), recorded: Vec::new() };
        let mut given = std::mem::take(&mut self.owed).into_iter().map(Task::Record).chain(first);
        let mut taken = 0;
        loop {
            at_once.extend(self.urgent.try_iter().map(|urgent| urgent(connection())));
            let task = match given.next() {
                Some(task) => task,
                // Whoever waits for something urgent does not wait for all that others want besides.
                None if taken < if at_once.is_empty() { BATCH } else { BESIDE_URGENT } => match self.inbox.try_recv() {
                    Ok(task) => task,
                    Err(_) => break,
                },
                None => break,
            };
            taken += 1;
            match task {
                Task::Run(statements) => unsynced.replies.push(statements(connection())),
                Task::Record(owed) => {
                    let recorded = connection().map_err(ToString::to_string).and_then(|connection| {
                        within_savepoint(connection, |connection| (owed.record)(connection)).map_err(|error| error.to_string())
                    });
                    match recorded {
                        Ok(()) => unsynced.recorded.push(owed),
                        Err(error) => {
                            tracing::error!(error, "cannot record what became of a job; trying again");
                            failed.push(owed);
                        }
                    }
                }
            }
        }
        let committed = begun.and_then(|_| self.connection.prepare_cached("COMMIT")?.execute([]));
        if committed.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let result = committed.as_ref().map(|_| ());
        for reply in at_once {
            reply(result);
        }
        self.owed = failed;
        if let Err(error) = &committed {
            for reply in unsynced.replies {
                reply(Err(error));
            }
            if !unsynced.recorded.is_empty() {
                tracing::error!(%error, jobs = unsynced.recorded.len(), "cannot record what became of jobs; trying again");
            }
            self.owed.append(&mut unsynced.recorded);
            return;
        }
        unsynced.dirty = self.connection.total_changes() != changes;
        // Where too much waits to be synced, this waits, too.
        let _ = self.to_sync.send(unsynced);
    }
}

/// The thread that syncs: once for all that was committed meanwhile.
fn sync_all(mut log: Log, committed: &Receiver<Unsynced>) {
    let mut recorded: Vec<Owed> = Vec::new();
    let mut next = Instant::now();
    loop {
        let first = if recorded.is_empty() { committed.recv().map_err(RecvTimeoutError::from) } else { committed.recv_timeout(RETRY) };
        let first = match first {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            // What could not be synced is in the log, but for a power cut.
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut dirty = log.failed || !recorded.is_empty();
        let mut replies = Vec::new();
        for mut transaction in first.into_iter().chain(std::iter::from_fn(|| committed.recv_deadline(next).ok()).take(BATCH)) {
            dirty |= transaction.dirty;
            replies.append(&mut transaction.replies);
            recorded.append(&mut transaction.recorded);
        }
        let synced = if dirty { log.sync() } else { Ok(()) };
        next = Instant::now() + PACE;
        for reply in replies {
            reply(synced.as_ref().copied());
        }
        match synced {
            Ok(()) => recorded.drain(..).for_each(|owed| (owed.synced)()),
            Err(error) => tracing::error!(%error, "cannot make the queue durable; check its disk. Trying again"),
        }
    }
}

/// SQLite's log of what was committed and is not in the database file yet.
struct Log {
    file: File,
    /// To write what the log holds into the database file.
    connection: Connection,
    /// A sync has failed. What it was to make durable may be lost to the disk although it can still be read, and a later sync would say nothing
    /// of it.
    failed: bool,
}

impl Log {
    fn open(path: &Path) -> Result<Log, QueueError> {
        let connection = schema::open_beside(path)?;
        let failed = |error: io::Error| QueueError::Open {
            path: path.to_path_buf(),
            source: rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
        };
        let mut name = path.as_os_str().to_os_string();
        name.push("-wal");
        // Windows syncs only what may be written to.
        let file = File::options().write(true).open(&name).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        files::sync_parent(path).map_err(failed)?;
        Ok(Log { file, connection, failed: false })
    }

    /// Makes everything durable that was committed before.
    fn sync(&mut self) -> rusqlite::Result<()> {
        if self.failed {
            // Written anew and synced, all of it.
            let (log, written): (i64, i64) =
                self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
            if written < log {
                return Err(failure(&io::Error::other("not all of the log could be written into the database")));
            }
            self.failed = false;
            return Ok(());
        }
        let synced = self.file.sync_data();
        self.failed = synced.is_err();
        synced.map_err(|error| failure(&error))
    }
}

fn failure(error: &io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), Some(error.to_string()))
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::queue::Store;

    /// A device that cannot be synced stands in for a log on a disk that fails.
    #[test]
    fn nobody_is_answered_well_before_the_log_is_durable_and_a_failed_sync_is_made_good_by_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let store = Store::open(&path).unwrap().store;
        store.check_writable().unwrap();
        let mut log = Log::open(&path).unwrap();
        log.file = File::open("/dev/null").unwrap();

        let (sender, committed) = crossbeam_channel::unbounded();
        let (answer, answers) = mpsc::channel();
        let (told, tells) = (answer.clone(), answer);
        let reply: Reply = Box::new(move |result| told.send(("command", result.is_ok())).unwrap());
        let owed = Owed { record: Box::new(|_| Ok(())), synced: Box::new(move || tells.send(("worker", true)).unwrap()) };
        sender.send(Unsynced { dirty: true, replies: vec![reply], recorded: vec![owed] }).unwrap();
        let thread = std::thread::spawn(move || sync_all(log, &committed));
        // The command fails, and is not tried again; what a worker gave is durable at the second try, when all of the log is in the database.
        assert_eq!(answers.recv().unwrap(), ("command", false));
        assert_eq!(answers.recv().unwrap(), ("worker", true));
        // What was in the log alone is in the database file, without its log.
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        let written = |connection: &Connection| connection.query_row("SELECT count(*) FROM heartbeat", [], |row| row.get::<_, i64>(0));
        assert_eq!(written(&Connection::open(&copy).unwrap()).unwrap(), 1);
        drop(sender);
        thread.join().unwrap();
    }
}
