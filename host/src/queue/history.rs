//! What became of every job: found by path, digest, attribute of a document, and more. Settled jobs stay as long as their route keeps them.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::listing::time;
use super::{QueueError, Store};

/// Which jobs are meant: those that have all that is given here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// The route's name.
    pub route: Option<String>,
    /// The source's path below the intake, or its file name; `*` and `?` stand for anything.
    pub path: Option<String>,
    /// The beginning of the SHA-256 of the source, or of a document.
    pub digest: Option<String>,
    /// An attribute of a document, as `name=value`.
    pub attribute: Option<String>,
    /// `queued`, `running`, `committed` or `settled`.
    pub state: Option<String>,
    /// `converted`, `partial`, `skipped`, `rejected` or `failed`.
    pub outcome: Option<String>,
    /// An error type.
    pub error_type: Option<String>,
    /// The converter's name.
    pub converter: Option<String>,
    /// The beginning of the digest of the plugin.
    pub plugin: Option<String>,
    /// Jobs that wait for somebody: failed, rejected or skipped sources, and deliveries that a destination has refused.
    #[param(required = false)]
    #[schema(required = false)]
    pub dead: bool,
    /// Those, and sources that were converted only in part.
    pub attention: bool,
    /// Queued at this time or later, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Queued before this time, in milliseconds since the epoch.
    pub before_ms: Option<i64>,
}

/// One job, as a list shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Names it.
    pub id: String,
    /// The route's name.
    pub route: String,
    /// Relative to the intake.
    pub path: String,
    /// Bytes of the source.
    pub size: u64,
    /// SHA-256 of the source.
    pub digest: String,
    /// `queued`, `running`, `committed` or `settled`.
    pub state: String,
    /// Why it is not due.
    pub waiting: Option<String>,
    /// 1 (first) to 10.
    pub priority: u8,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: String,
    /// When its conversion ended.
    pub finished_at: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// With `failed`.
    pub error_type: Option<String>,
    /// The converter's name.
    pub converter: Option<String>,
    /// The plugin's version.
    pub plugin_version: Option<String>,
    /// The plugin's digest.
    pub plugin_digest: Option<String>,
    /// How many documents it made.
    pub documents: u64,
    /// Destinations that have refused them.
    pub dead_deliveries: u64,
}

/// Everything that is known of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobRecord {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// Where the source is, as far as that is text.
    pub location: String,
    /// How it came: `folder`, `http` or `replay`.
    pub origin: String,
    /// When a worker took it last.
    pub claimed_at: Option<String>,
    /// When it was delivered everywhere and its source settled.
    pub settled_at: Option<String>,
    /// When it is due, if it waits.
    pub due_at: Option<String>,
    /// How often the process ended while it ran.
    pub crashes: u32,
    /// What it was said to be when it was posted.
    pub media_type: Option<String>,
    /// The options that the converter was given.
    pub options: Option<Value>,
    /// Error, problems, candidates, log lines, duration.
    pub detail: Option<Value>,
    /// What was made.
    pub made: Vec<DocumentRecord>,
    /// Where it went.
    pub deliveries: Vec<DeliveryRecord>,
}

/// A document that a job made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentRecord {
    /// Its number in the conversion.
    pub number: u32,
    /// As the converter suggested it.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// Name and value.
    pub attributes: Value,
    /// What it is about.
    pub key: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// SHA-256; none in what the first version of the queue recorded.
    pub digest: Option<String>,
}

/// The way of a job's documents to one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryRecord {
    /// The destination.
    pub destination: String,
    /// `pending`, `delivered`, `dead` or `purged`.
    pub state: String,
    /// Failed attempts.
    pub attempts: u32,
    /// When it was delivered or given up.
    pub ended_at: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What a server answered to a document that it refused.
    pub response: Option<String>,
}

const SUMMARY: &str =
    "jobs.id, route, path, size, jobs.digest, state, waiting, priority, attempts, created_ms, finished_ms, outcome, error_type,
    converter, plugin_version, plugin_digest, (SELECT count(*) FROM documents WHERE job = jobs.seq),
    (SELECT count(*) FROM deliveries WHERE job = jobs.seq AND deliveries.state = 'dead')";

impl Filter {
    /// The condition on `jobs`, and its parameters.
    pub(super) fn sql(&self) -> (String, Vec<Sql>) {
        let mut conditions = vec!["TRUE".to_string()];
        let mut values: Vec<Sql> = Vec::new();
        let mut equal = |column: &str, value: &Option<String>| {
            if let Some(value) = value {
                conditions.push(format!("{column} = ?"));
                values.push(value.clone().into());
            }
        };
        for (column, value) in [
            ("route", &self.route),
            ("state", &self.state),
            ("outcome", &self.outcome),
            ("error_type", &self.error_type),
            ("converter", &self.converter),
        ] {
            equal(column, value);
        }
        if let Some(path) = &self.path {
            // In a GLOB, brackets would be a pattern; in names they are meant as they stand.
            let pattern: String = path.chars().map(|c| if c == '[' { "[[]".into() } else { c.to_string() }).collect();
            if path.contains(['*', '?']) {
                conditions.push("(path GLOB ? OR path GLOB '*/' || ?)".into());
                values.extend([pattern.clone().into(), pattern.into()]);
            } else {
                conditions.push("(path = ? OR path GLOB '*/' || ?)".into());
                values.extend([path.clone().into(), pattern.into()]);
            }
        }
        if let Some(digest) = &self.digest {
            let (from, to) = prefix_range(digest);
            conditions.push(
                "(jobs.digest BETWEEN ? AND ? OR jobs.seq IN (SELECT job FROM documents WHERE documents.digest BETWEEN ? AND ?))".into(),
            );
            values.extend([from.clone().into(), to.clone().into(), from.into(), to.into()]);
        }
        if let Some(plugin) = &self.plugin {
            let (from, to) = prefix_range(plugin);
            conditions.push("plugin_digest BETWEEN ? AND ?".into());
            values.extend([from.into(), to.into()]);
        }
        if let Some(attribute) = &self.attribute {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            conditions.push("jobs.seq IN (SELECT job FROM attributes WHERE name = ? AND value = ?)".into());
            values.extend([name.to_string().into(), value.to_string().into()]);
        }
        if self.dead {
            conditions.push(format!("({DEAD})"));
        }
        if self.attention {
            conditions.push(format!("({DEAD} OR outcome = 'partial')"));
        }
        for (condition, moment) in [("created_ms >= ?", self.since_ms), ("created_ms < ?", self.before_ms)] {
            if let Some(moment) = moment {
                conditions.push(condition.into());
                values.push(moment.into());
            }
        }
        (conditions.join(" AND "), values)
    }
}

/// A dead letter: a source that nobody converts any more, or documents that a destination has refused.
pub(super) const DEAD: &str = "(state = 'settled' AND outcome IN ('failed', 'rejected', 'skipped'))
    OR jobs.seq IN (SELECT job FROM deliveries WHERE deliveries.state = 'dead')";

/// What begins with this, as a range that an index can serve.
fn prefix_range(prefix: &str) -> (String, String) {
    let prefix = prefix.trim_start_matches("sha256:").to_ascii_lowercase();
    let end = format!("{prefix}~");
    (prefix, end)
}

impl Store {
    /// The jobs that a filter means, the newest first, at most `limit`.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn jobs(&self, filter: &Filter, limit: usize) -> Result<Vec<JobSummary>, QueueError> {
        let (condition, mut values) = filter.sql();
        values.push((limit as i64).into());
        self.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {SUMMARY} FROM jobs WHERE {condition} ORDER BY seq DESC LIMIT ?"))?
                .query_map(params_from_iter(values), summary)?
                .collect()
        })
    }

    /// Everything about one job, by its id or the beginning of it that no other id has. None where there is none, or several.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub fn job(&self, id: &str) -> Result<Option<JobRecord>, QueueError> {
        let (from, to) = prefix_range(id);
        self.read(|connection| {
            let ids: Vec<String> = connection
                .prepare_cached("SELECT id FROM jobs WHERE id BETWEEN ?1 AND ?2 LIMIT 2")?
                .query_map([&from, &to], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            match ids.as_slice() {
                [id] => record(connection, id),
                _ => Ok(None),
            }
        })
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    Ok(JobSummary {
        id: row.get(0)?,
        route: row.get(1)?,
        path: row.get(2)?,
        size: row.get::<_, i64>(3)?.cast_unsigned(),
        digest: row.get(4)?,
        state: row.get(5)?,
        waiting: row.get(6)?,
        priority: row.get(7)?,
        attempts: row.get(8)?,
        queued_at: time(row.get(9)?),
        finished_at: row.get::<_, Option<i64>>(10)?.map(time),
        outcome: row.get(11)?,
        error_type: row.get(12)?,
        converter: row.get(13)?,
        plugin_version: row.get(14)?,
        plugin_digest: row.get(15)?,
        documents: row.get::<_, i64>(16)?.cast_unsigned(),
        dead_deliveries: row.get::<_, i64>(17)?.cast_unsigned(),
    })
}

fn record(connection: &Connection, id: &str) -> rusqlite::Result<Option<JobRecord>> {
    let made = connection
        .prepare_cached("SELECT number, name, media_type, attributes, key, bytes, digest FROM documents WHERE job = (SELECT seq FROM jobs WHERE id = ?1) ORDER BY number")?
        .query_map([id], |row| {
            Ok(DocumentRecord {
                number: row.get(0)?,
                name: row.get(1)?,
                media_type: row.get(2)?,
                attributes: json(Some(row.get(3)?)).unwrap_or_default(),
                key: row.get(4)?,
                bytes: row.get::<_, i64>(5)?.cast_unsigned(),
                digest: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let deliveries = connection
        .prepare_cached(
            "SELECT destination, state, attempts, ended_ms, error, response FROM deliveries WHERE job = (SELECT seq FROM jobs WHERE id = ?1) ORDER BY destination",
        )?
        .query_map([id], |row| {
            Ok(DeliveryRecord {
                destination: row.get(0)?,
                state: row.get(1)?,
                attempts: row.get(2)?,
                ended_at: row.get::<_, Option<i64>>(3)?.map(time),
                error: row.get(4)?,
                response: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(&format!(
            "SELECT {SUMMARY}, location, origin, claimed_ms, settled_ms, iif(waiting IS NULL, NULL, due_ms), crashes, options, detail, media_type
             FROM jobs WHERE jobs.id = ?1"
        ))?
        .query_row([id], |row| {
            Ok(JobRecord {
                summary: summary(row)?,
                location: crate::files::path_from_bytes(row.get(18)?).display().to_string(),
                origin: row.get(19)?,
                claimed_at: row.get::<_, Option<i64>>(20)?.map(time),
                settled_at: row.get::<_, Option<i64>>(21)?.map(time),
                due_at: row.get::<_, Option<i64>>(22)?.map(time),
                crashes: row.get(23)?,
                options: json(row.get(24)?),
                detail: json(row.get(25)?),
                media_type: row.get(26)?,
                made,
                deliveries,
            })
        })
        .optional()
}

fn json(text: Option<String>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(&text).ok())
}
