//! What an operator has paused. It outlasts restarts, and nothing but the operator ends it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::transitions::now_ms;
use super::{Lane, QueueError, Store, Waiting, time};

/// What can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pausable {
    /// Nothing of a route is taken in or converted; what is converted already goes out.
    Route,
    /// Nothing is converted with a converter, whatever the route.
    Converter,
}

impl Pausable {
    /// As stored, and as people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Pausable::Route => "route",
            Pausable::Converter => "converter",
        }
    }

    fn from_stored(text: &str) -> Option<Self> {
        [Pausable::Route, Pausable::Converter].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A route or a converter that is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Which of the two.
    pub kind: Pausable,
    /// Its name.
    pub name: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// What the operator said to it.
    pub reason: Option<String>,
}

impl Pause {
    /// Says that it is paused, since when, and what the operator said to it.
    pub fn in_words(&self) -> String {
        let (kind, name, since) = (self.kind.as_str(), &self.name, time(self.since_ms));
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{kind} `{name}` is paused since {since}{reason}")
    }
}

/// All that is paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(Vec<Pause>);

impl Pauses {
    /// The pause of a route or a converter, if it is paused.
    pub fn of(&self, kind: Pausable, name: &str) -> Option<&Pause> {
        self.0.iter().find(|pause| pause.kind == kind && pause.name == name)
    }
}

/// All that is paused, as the database has it.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Pauses> {
    let mut statement = connection.prepare_cached("SELECT kind, name, since_ms, reason FROM pauses ORDER BY kind, name")?;
    let rows = statement.query_map([], |row| {
        let kind = Pausable::from_stored(&row.get::<_, String>(0)?);
        Ok(kind.map(|kind| Ok(Pause { kind, name: row.get(1)?, since_ms: row.get(2)?, reason: row.get(3)? })))
    })?;
    rows.filter_map(Result::transpose).map(|row| row?).collect::<rusqlite::Result<_>>().map(Pauses)
}

/// Sets aside what is queued in lanes that are paused. What was set aside already costs nothing.
pub(super) fn hold(connection: &Connection, lanes: &[Lane]) -> rusqlite::Result<()> {
    let pauses = read(connection)?;
    let converter_is_paused = |name: &String| pauses.of(Pausable::Converter, name).is_some();
    for lane in lanes {
        if pauses.of(Pausable::Route, &lane.route).is_some() || lane.converter.as_ref().is_some_and(converter_is_paused) {
            connection
                .prepare_cached(
                    "UPDATE jobs SET waiting = 'paused', due_ms = ?2 WHERE route = ?1 AND state = 'queued' AND waiting IS NULL",
                )?
                .execute(params![lane.route, Waiting::NEVER_DUE_MS])?;
        }
    }
    Ok(())
}

/// Whether a converter is paused, for a job that is about to wait for it.
pub(super) fn converter_is_paused(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM pauses WHERE kind = 'converter' AND name = ?1")?.exists([name])
}

impl Store {
    /// All that is paused now.
    pub fn pauses(&self) -> Arc<Pauses> {
        self.paused.load_full()
    }

    /// Pauses a route or a converter until it is resumed. What runs ends. One that is paused already stays so from when it was, with
    /// the new reason if there is one. False where it was paused before.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn pause(&self, kind: Pausable, name: &str, reason: Option<&str>) -> Result<bool, QueueError> {
        let (owned, reason) = (name.to_owned(), reason.map(str::to_owned));
        let now = now_ms();
        self.change_pauses(move |connection| {
            let before: Option<i64> = connection
                .prepare_cached("SELECT since_ms FROM pauses WHERE kind = ?1 AND name = ?2")?
                .query_row([kind.as_str(), &owned], |row| row.get(0))
                .optional()?;
            connection
                .prepare_cached(
                    "INSERT INTO pauses (kind, name, since_ms, reason) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET reason = coalesce(excluded.reason, reason)",
                )?
                .execute(params![kind.as_str(), owned, before.unwrap_or(now), reason])?;
            Ok(before.is_none())
        })
    }

    /// Ends a pause. False where there was none.
    ///
    /// # Errors
    /// Where the queue cannot write.
    pub fn end_pause(&self, kind: Pausable, name: &str) -> Result<bool, QueueError> {
        let owned = name.to_owned();
        let ended = self.change_pauses(move |connection| {
            let ended =
                connection.prepare_cached("DELETE FROM pauses WHERE kind = ?1 AND name = ?2")?.execute([kind.as_str(), &owned])? > 0;
            // Where something else holds one up still, it is set aside again when it would be claimed.
            let of_route = kind == Pausable::Route;
            connection
                .prepare_cached(
                    "UPDATE jobs SET waiting = NULL, due_ms = 0 WHERE state = 'queued' AND waiting = 'paused' AND (NOT ?1 OR route = ?2)",
                )?
                .execute(params![of_route, owned])?;
            Ok(ended)
        })?;
        self.work().notify();
        Ok(ended)
    }

    fn change_pauses<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let paused = Arc::clone(&self.paused);
        let changed = self.run(move |connection| {
            let result = change(connection)?;
            // With the change itself: whoever sees it in the database must not be told otherwise here.
            paused.store(Arc::new(read(connection)?));
            Ok(result)
        });
        if changed.is_err() {
            // It may be there, and only not be durable.
            if let Ok(pauses) = self.read(read) {
                self.paused.store(Arc::new(pauses));
            }
            self.work().notify();
        }
        changed
    }
}
