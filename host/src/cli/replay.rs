//! `dropforge replay`: convert again what history holds, to see what would differ or to have it so.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use flate2::read::MultiGzDecoder;

use super::config::ConfigArgs;
use super::queue::{FilterArgs, chosen};
use super::{Usage, print};
use crate::config::{Config, ConverterChoice, Need};
use crate::delivery::{self, SPOOL_FOLDER, Spool};
use crate::digest::sha256_reader;
use crate::identity::FileIdentity;
use crate::metrics::{Instance, Metrics};
use crate::plugins::{LoadSettings, Registry, load_file, load_folder};
use crate::queue::{Committed, DocumentRecord, Filter, Job, JobRecord, QUEUE_FILE, Store};
use crate::sandbox::{Sandbox, THREAD_STACK};
use crate::spans::Tracer;
use crate::upstream::Lookups;
use crate::worker::{Context, Once};

/// Convert again what history holds: see what would differ, or deliver it
///
/// Sources are taken from where they were left, such as `done/`. Without --deliver nothing is changed or delivered: for every job it is said
/// what the present plugins and the present configuration would make of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge replay --route ict --since 2d             # what would differ today
  dropforge replay --path panel7.csv --with new.wasm  # by another plugin
  dropforge replay --attribute serial=SN0042 --deliver  # and deliver

Exit codes: 0 everything is as it was (or is on its way), 1 something differs or could not be converted.")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every settled job, where nothing says which
    #[arg(long)]
    all: bool,
    /// The plugin to convert with, instead of those in the plugins folder
    #[arg(long, value_name = "FILE.wasm")]
    with: Option<PathBuf>,
    /// Do it: convert again and deliver
    #[arg(long)]
    deliver: bool,
}

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    // The sandbox wants a stack of its own size, which the main thread may not have.
    let worker = std::thread::Builder::new().name("replay".into()).stack_size(THREAD_STACK).spawn(move || replay(&args))?;
    worker.join().unwrap_or_else(|_| bail!("a defect of Dropforge interrupted the replay; please report it"))
}

fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let filter = chosen(&args.filter, args.all)?;
    let config = args.config.load(Need::Nothing)?.config;
    let store = Store::beside(&config.state_dir.join(QUEUE_FILE))?;
    let store = Arc::new(store);
    let mut jobs = store.settled(&filter).peekable();
    if jobs.peek().is_none() {
        print("No settled job matches.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    if config.routes.is_empty() {
        bail!(Usage("there is no route; give the daemon's configuration with --config FILE, or its --inbox and --outbox".into()));
    }
    if args.deliver && args.with.is_none() {
        return queue_again(&store, &filter);
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let spool = if args.deliver { config.state_dir.join(SPOOL_FOLDER) } else { folder.path().join(SPOOL_FOLDER) };
    let context = context(config, &store, Spool::open(spool)?, args.with.as_deref())?;
    let mut unlike = 0;
    for job in jobs {
        let job = &job?;
        let line = match source(job, folder.path()) {
            Err(error) => Line::failed(format!("cannot be converted again: {error}")),
            Ok(_) if args.deliver => deliver(&context, job)?,
            Ok(Source::Present) => dry(&context, job)?,
            Ok(Source::Archived(unpacked)) => {
                let identity = FileIdentity::at(&unpacked)?;
                dry(&context, &Job { location: unpacked, identity, ..job.clone() })?
            }
        };
        unlike += u64::from(!line.same);
        print(&format!("{}  {}  {}\n", short(job), job.path, line.text))?;
    }
    Ok(if unlike == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said of a job.
struct Line {
    text: String,
    same: bool,
}

impl Line {
    fn failed(text: String) -> Line {
        Line { text, same: false }
    }
}

fn short(job: &Job) -> String {
    job.id.as_str().chars().take(12).collect()
}

/// The daemon converts them: with the present plugins, in their turn.
fn queue_again(store: &Store, filter: &Filter) -> anyhow::Result<ExitCode> {
    let replayed = delivery::replay(store, filter)?;
    for missing in &replayed.missing {
        print(&format!("cannot be converted again: {missing} is gone, or another file\n"))?;
    }
    let unnamed = replayed.gone.saturating_sub(replayed.missing.len() as u64);
    if unnamed > 0 {
        print(&format!("cannot be converted again: {unnamed} others\n"))?;
    }
    print(&format!("{} jobs queued again\n", replayed.queued))?;
    Ok(if replayed.gone == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a worker of this process works with: the named plugin alone, on every route, or those of the plugins folder.
fn context(mut config: Config, store: &Arc<Store>, spool: Spool, with: Option<&Path>) -> anyhow::Result<Context> {
    let sandbox = Arc::new(Sandbox::new()?);
    let settings = LoadSettings::of(&config);
    // It runs one job at a time, beside whatever the daemon does.
    config.plugins.values_mut().for_each(|plugin| plugin.concurrency = None);
    let registry = match with {
        Some(file) => {
            let plugin = load_file(file, &sandbox, settings)?;
            for route in &mut config.routes {
                let name = plugin.descriptor.name.clone();
                if let ConverterChoice::Auto = route.converter {
                    route.options = route.options.get(&name).and_then(|options| options.as_object().cloned()).unwrap_or_default();
                }
                // What a route grants to the converter that it names is not for another.
                if !route.converter.admits(&name) {
                    route.allow.clear();
                }
                route.converter = ConverterChoice::Named { name, digest: None };
            }
            Arc::new(Registry::of(plugin))
        }
        None => load_folder(&config.plugins_dir, sandbox, settings)
            .with_context(|| format!("cannot load the plugins in {}", config.plugins_dir.display()))?,
    };
    let metrics = Arc::new(Metrics::new(&Instance {
        instance_id: config.instance_id.clone(),
        station: config.station.clone(),
        location: config.location.clone(),
    }));
    let lookups = Lookups::alone(&config, Arc::clone(&metrics))?.map(|lookups| Arc::new(lookups) as _);
    Ok(Context {
        config: Arc::new(config),
        store: Arc::clone(store),
        lanes: Arc::from([]),
        cache: None,
        spool,
        registry,
        lookups,
        metrics,
        tracer: Tracer::off(),
    })
}

/// Where the bytes of a settled job are.
enum Source {
    /// Where the source was left.
    Present,
    /// It was compressed; this is a copy as it was.
    Archived(PathBuf),
}

/// Finds the bytes that the job had.
fn source(job: &Job, folder: &Path) -> anyhow::Result<Source> {
    let mut file = File::open(&job.location).with_context(|| job.location.display().to_string())?;
    if sha256_reader(&mut file)?.0 == job.digest {
        return Ok(Source::Present);
    }
    if job.location.extension().is_some_and(|extension| extension == "gz") {
        let unpacked = folder.join(job.id.as_str());
        let mut decoder = MultiGzDecoder::new(File::open(&job.location)?);
        io::copy(&mut decoder, &mut File::create(&unpacked)?)?;
        if sha256_reader(&mut File::open(&unpacked)?)?.0 == job.digest {
            return Ok(Source::Archived(unpacked));
        }
    }
    bail!("{} is not the file that was converted: its SHA-256 is another", job.location.display())
}

fn dry(context: &Context, job: &Job) -> anyhow::Result<Line> {
    let Some(before) = context.store.job(job.id.as_str())? else { return Ok(Line::failed("is no longer in the history".into())) };
    let once = context.convert_once(job);
    Ok(match once {
        Once::Later(waiting) => Line::failed(format!("would be tried again later ({})", waiting.as_str())),
        Once::Ended(committed) => {
            let numbers = committed.documents.last().map_or(0, |document| document.number.saturating_add(1));
            context.spool.remove_all(&job.id, numbers);
            compare(&before, &committed)
        }
    })
}

fn deliver(context: &Context, job: &Job) -> anyhow::Result<Line> {
    let Some(job) = delivery::take(&context.store, job)? else {
        return Ok(Line::failed("is under way already, or its source is gone".into()));
    };
    Ok(match context.convert_and_record(&job)? {
        Once::Later(waiting) => Line::failed(format!("is tried again later by the daemon ({})", waiting.as_str())),
        Once::Ended(committed) => {
            Line { text: format!("{}, {} documents to deliver", committed.outcome.as_str(), committed.documents.len()), same: true }
        }
    })
}

/// What differs between what history holds and what came of it now.
fn compare(before: &JobRecord, now: &Committed) -> Line {
    let mut differences = Vec::new();
    let was = before.summary.outcome.as_deref().unwrap_or_default();
    if was != now.outcome.as_str() {
        let error = now.detail.get("error").and_then(|error| error.get("message")).and_then(|message| message.as_str());
        differences.push(format!(
            "{was} before, {} now{}",
            now.outcome.as_str(),
            error.map(|error| format!(": {error}")).unwrap_or_default()
        ));
    }
    if before.summary.plugin_digest.as_deref().unwrap_or_default() != now.plugin.1
        && before.summary.converter.as_deref() != Some(&now.converter)
    {
        differences.push(format!("{} before, {} now", before.summary.converter.as_deref().unwrap_or("none"), now.converter));
    }
    for old in &before.made {
        match now.documents.iter().find(|document| document.number == old.number) {
            None => differences.push(format!("document {} ({}) is gone", old.number, old.name)),
            Some(document) => {
                let new = DocumentRecord {
                    number: document.number,
                    name: document.name.clone(),
                    media_type: document.media_type.clone(),
                    attributes: serde_json::json!(document.attributes),
                    key: document.key.clone(),
                    bytes: document.bytes,
                    digest: document.digest.clone(),
                };
                differences.extend(differing(old, &new));
            }
        }
    }
    for document in now.documents.iter().filter(|document| before.made.iter().all(|old| old.number != document.number)) {
        differences.push(format!("document {} ({}, {} bytes) is new", document.number, document.name, document.bytes));
    }
    if differences.is_empty() { Line { text: "same".into(), same: true } } else { Line::failed(differences.join("; ")) }
}

/// In which parts a document differs, if it does.
fn differing(old: &DocumentRecord, new: &DocumentRecord) -> Option<String> {
    let mut parts = Vec::new();
    for (part, differs) in [
        ("name", old.name != new.name),
        ("media type", old.media_type != new.media_type),
        ("attributes", old.attributes != new.attributes),
        ("key", old.key != new.key),
    ] {
        if differs {
            parts.push(part.to_string());
        }
    }
    if old.bytes != new.bytes {
        parts.push(format!("{} bytes before, {} now", old.bytes, new.bytes));
    } else if old.digest.is_some() && old.digest != new.digest {
        parts.push("content".into());
    }
    (!parts.is_empty()).then(|| format!("document {} ({}) differs: {}", old.number, old.name, parts.join(", ")))
}
