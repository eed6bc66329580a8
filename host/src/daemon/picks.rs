//! Says which routes a change of plugins sends to another converter: an operator who drops a plugin for one line wants to know that it takes
//! over another. For a route that asks all converters, the recent files of its history are asked about again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Deserialize;

use crate::config::{Config, ConverterChoice, Route};
use crate::digest::sha256_reader;
use crate::plugins::{Plugin, Registry};
use crate::queue::{Filter, JobRecord, JobSummary, QueueError, Store};
use crate::sandbox::{FileSource, Input, InputId, Limits, THREAD_STACK};

/// Jobs of a route that are looked at, the newest first.
const JOBS: usize = 50;
/// Kinds of files (by their extensions) that converters are asked about again.
const KINDS: usize = 8;
/// Larger files are not read again for this, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Compares what routes pick now with what they picked before.
pub(super) struct Picks {
    config: Arc<Config>,
    store: Arc<Store>,
    registry: Arc<Registry>,
    /// What ran when it was last compared: versions and digests, by name.
    before: Mutex<Ran>,
    /// Changes that were not compared yet; one thread does so while there are any.
    changes: AtomicUsize,
}

type Ran = BTreeMap<String, (String, String)>;

/// What history holds of a converter's answer.
#[derive(Deserialize)]
struct Answered {
    converter: String,
    confidence: u8,
}

/// A route picks another converter.
struct Pick {
    /// None picks it now: its files wait, or fail.
    converter: Option<String>,
    said: String,
}

impl Picks {
    pub(super) fn new(config: Arc<Config>, store: Arc<Store>, registry: Arc<Registry>) -> Arc<Picks> {
        let before = Mutex::new(ran(&registry));
        Arc::new(Picks { config, store, registry, before, changes: AtomicUsize::new(0) })
    }

    /// Other plugins run now. What that means for the routes is found out on a thread of its own: converters are asked for it.
    pub(super) fn plugins_changed(self: &Arc<Self>) {
        if self.changes.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let this = Arc::clone(self);
        let comparing = thread::Builder::new().name("picks".into()).stack_size(THREAD_STACK).spawn(move || {
            loop {
                let seen = this.changes.load(Ordering::Acquire);
                this.compare();
                if this.changes.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
            }
        });
        if let Err(error) = comparing {
            tracing::warn!(%error, "cannot find out what the change of plugins means for the routes");
            self.changes.store(0, Ordering::Release);
        }
    }

    fn compare(&self) {
        let now = ran(&self.registry);
        let before = std::mem::replace(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let changed: BTreeSet<&str> = names.into_iter().filter(|name| before.get(*name) != now.get(*name)).map(String::as_str).collect();
        let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for route in &self.config.routes {
            let picks = match &route.converter {
                ConverterChoice::Named { name, digest } if changed.contains(name.as_str()) => {
                    vec![named(route, name, digest.as_deref(), before.get(name), now.get(name))]
                }
                ConverterChoice::Named { .. } => Vec::new(),
                ConverterChoice::Auto => self.asked(route, &changed).unwrap_or_else(|error| {
                    tracing::warn!(route = route.name, %error, "cannot find out what the change of plugins means for this route");
                    Vec::new()
                }),
            };
            for Pick { converter, said } in picks {
                tracing::info!(route = route.name, "a change of plugins changes what a route picks: {said}");
                if let Some(converter) = converter {
                    listed.entry(converter).or_default().push(said);
                }
            }
        }
        self.registry.note_picks(&changed, listed);
    }

    /// What has changed for a route that asks all converters, by one recent file of each kind.
    fn asked(&self, route: &Route, changed: &BTreeSet<&str>) -> Result<Vec<Pick>, QueueError> {
        let filter = Filter { route: Some(route.name.clone()), state: Some("settled".to_owned()), ..Filter::default() };
        let mut kinds: BTreeSet<String> = BTreeSet::new();
        let mut picks = Vec::new();
        for job in self.store.jobs(&filter, JOBS)? {
            if kinds.len() >= KINDS || !kinds.insert(kind(&job.path)) {
                continue;
            }
            let Some(record) = self.store.job(&job.id)? else { continue };
            let answers: Vec<Answered> = record
                .detail
                .as_ref()
                .and_then(|detail| serde_json::from_value(detail.get("candidates")?.clone()).ok())
                .unwrap_or_default();
            // They are in their order.
            let before = answers.iter().find(|answer| answer.confidence > 0).map(|answer| answer.converter.as_str());
            // A source that is gone, or not as it was, can tell nothing.
            let Ok(now) = self.first_choice(route, &record, &answers, changed) else { continue };
            let (Some(before), true) = (before, now.as_deref() != before) else { continue };
            let said = match &now {
                Some(now) => format!("files like {} of route `{}` go to `{now}` now, to `{before}` before", job.path, route.name),
                None => format!("files like {} of route `{}` are for no converter now, for `{before}` before", job.path, route.name),
            };
            picks.push(Pick { converter: now, said });
        }
        Ok(picks)
    }

    /// Who would get the file of a settled job now. Only those are asked that have changed; the others have answered.
    fn first_choice(
        &self,
        route: &Route,
        record: &JobRecord,
        answers: &[Answered],
        changed: &BTreeSet<&str>,
    ) -> io::Result<Option<String>> {
        let JobSummary { path, .. } = &record.summary;
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut willing: Vec<(u8, usize, Arc<Plugin>)> = Vec::new();
        for plugin in self.registry.all() {
            let converter = plugin.descriptor.name.as_str();
            let answered = answers.iter().find(|answer| answer.converter == converter && !changed.contains(converter));
            let confidence = match answered {
                Some(answer) => answer.confidence,
                None => plugin.converter.probe(input(route, record, name)?, &Limits::for_probe()).map_or(0, |probe| probe.confidence),
            };
            if confidence > 0 {
                willing.push((confidence, plugin.specificity(name, path).unwrap_or(0), plugin));
            }
        }
        // As converters are asked for a job: the sort keeps the order of the names.
        willing.sort_by_key(|(confidence, specificity, _)| Reverse((*confidence, *specificity)));
        Ok(willing.first().map(|(_, _, plugin)| plugin.descriptor.name.clone()))
    }
}

fn ran(registry: &Registry) -> Ran {
    registry
        .all()
        .into_iter()
        .map(|plugin| (plugin.descriptor.name.clone(), (plugin.descriptor.version.clone(), plugin.digest.clone())))
        .collect()
}

/// What has changed for a route that names its converter.
fn named(route: &Route, name: &str, pinned: Option<&str>, before: Option<&(String, String)>, now: Option<&(String, String)>) -> Pick {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let fits = |ran: &&(String, String)| pinned.is_none_or(|pinned| pinned == ran.1);
    let route = &route.name;
    let before = match before.filter(fits) {
        Some((version, digest)) => format!("version {version} ({}) before", short(digest)),
        None => "none before".to_owned(),
    };
    match (now.filter(fits), now) {
        (Some((version, digest)), _) => Pick {
            converter: Some(name.to_owned()),
            said: format!("route `{route}` picks `{name}` version {version} ({}) now, {before}", short(digest)),
        },
        (None, Some((_, digest))) => Pick {
            converter: Some(name.to_owned()),
            said: format!("route `{route}` waits: it pins another digest of `{name}` than {}, which runs now", short(digest)),
        },
        (None, None) => Pick { converter: None, said: format!("route `{route}` waits: `{name}` is gone, {before}") },
    }
}

/// What tells files of one kind from others.
fn kind(path: &str) -> String {
    Path::new(path).extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The source of a settled job, if it is still what it was.
fn input(route: &Route, record: &JobRecord, name: &str) -> io::Result<Input> {
    let JobSummary { id, path, size, digest, .. } = &record.summary;
    let changed = || io::Error::other("it is not the file that was converted");
    let mut file = File::open(&record.location)?;
    if *size > MAX_BYTES || file.metadata()?.len() != *size || sha256_reader(&mut file)?.0 != *digest {
        return Err(changed());
    }
    Ok(Input {
        id: InputId::Known(id.clone()),
        name: name.to_owned(),
        path: path.clone(),
        media_type: record.media_type.clone(),
        modified: None,
        attributes: route.context_for(path).into_iter().collect(),
        source: Box::new(FileSource::new(file)?),
        members: Vec::new(),
    })
}
