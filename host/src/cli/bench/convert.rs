//! `dropforge bench convert`: how fast a converter is on one file in the sandbox, beside another (one that only copies, say) on the same file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Map, Value};
use walkdir::WalkDir;

use crate::plugins::{Plugin, load_file};
use crate::sandbox::{DocumentSink, DocumentWriter, Input, InputId, Limits, Member, MemorySource, Outcome, Sandbox, Source, THREAD_STACK};

use super::super::print;

#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    /// The converter
    #[arg(long, value_name = "FILE.wasm")]
    converter: PathBuf,
    /// The file to convert, which is read into memory first
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// A folder beside the file, whose files are its members
    #[arg(long, value_name = "FOLDER")]
    members: Option<PathBuf>,
    /// The converter's options, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    options: String,
    /// What it is measured beside, on the same file with its own defaults
    #[arg(long, value_name = "FILE.wasm")]
    beside: Option<PathBuf>,
    /// How often each of the two converts, in turns; the best of each counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(super) fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    // The guest runs on the stack of the thread that calls it.
    thread::scope(|scope| {
        let measuring = thread::Builder::new().stack_size(THREAD_STACK).spawn_scoped(scope, || measure(args))?;
        measuring.join().unwrap_or_else(|_| anyhow::bail!("the measurement panicked"))
    })
}

/// A file and its members, in memory.
struct Job {
    name: String,
    bytes: Arc<[u8]>,
    members: Vec<(String, Arc<[u8]>)>,
}

/// One converter, ready.
struct Side {
    plugin: Plugin,
    options: String,
    best: Duration,
    made: Made,
}

fn measure(args: &ConvertArgs) -> anyhow::Result<()> {
    let job = Job::read(args)?;
    let folder = tempfile::tempdir()?;
    let sandbox = Sandbox::new()?;
    let side = |path: &Path, options: &Map<String, Value>| -> anyhow::Result<Side> {
        let plugin = load_file(path, &sandbox, folder.path().join("compiled"))?;
        let options = plugin.options(options)?;
        Ok(Side { plugin, options, best: Duration::MAX, made: Made::default() })
    };
    let options = serde_json::from_str(&args.options).context("`--options` is no JSON object")?;
    let mut sides = vec![side(&args.converter, &options)?];
    if let Some(beside) = &args.beside {
        sides.push(side(beside, &Map::new())?);
    }
    for _ in 0..args.runs.max(1) {
        for side in &mut sides {
            side.convert(&job)?;
        }
    }
    let bytes = job.bytes.len() + job.members.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let speed = |side: &Side| bytes as f64 / 1e6 / side.best.as_secs_f64();
    let mut text = String::new();
    for side in &sides {
        let (documents, made) = (side.made.0.documents.load(Ordering::Relaxed), side.made.0.bytes.load(Ordering::Relaxed));
        let ratio = sides.first().filter(|first| sides.len() > 1 && !std::ptr::eq(*first, side)).map(|first| speed(side) / speed(first));
        let ratio = ratio.map_or(String::new(), |ratio| format!("   {ratio:.1} times as fast"));
        text.push_str(&format!(
            "{:<12}{:>9.0} MB/s   {:.1} MB into {documents} documents of {:.1} MB{ratio}\n",
            side.plugin.descriptor.name,
            speed(side),
            bytes as f64 / 1e6,
            made as f64 / 1e6
        ));
    }
    Ok(print(&text)?)
}

impl Job {
    fn read(args: &ConvertArgs) -> anyhow::Result<Job> {
        let read = |path: &Path| -> anyhow::Result<Arc<[u8]>> {
            Ok(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.into())
        };
        let mut members = Vec::new();
        if let Some(folder) = &args.members {
            let parent = folder.parent().unwrap_or(folder);
            for entry in WalkDir::new(folder).sort_by_file_name() {
                let entry = entry?;
                if entry.file_type().is_file() {
                    let name = entry.path().strip_prefix(parent).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
                    members.push((name, read(entry.path())?));
                }
            }
        }
        let name = args.input.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Job { name, bytes: read(&args.input)?, members })
    }

    fn input(&self) -> Input {
        let member = |(name, bytes): &(String, Arc<[u8]>)| {
            let bytes = Arc::clone(bytes);
            let open = move || -> io::Result<Box<dyn Source>> { Ok(Box::new(MemorySource(Arc::clone(&bytes)))) };
            Member { name: name.clone(), open: Box::new(open) }
        };
        Input {
            id: InputId::Known("bench".to_owned()),
            name: self.name.clone(),
            path: self.name.clone(),
            media_type: None,
            modified: None,
            attributes: Vec::new(),
            source: Box::new(MemorySource(Arc::clone(&self.bytes))),
            members: self.members.iter().map(member).collect(),
        }
    }
}

impl Side {
    fn convert(&mut self, job: &Job) -> anyhow::Result<()> {
        // Made longer, a file of many units has more documents than one that a station writes.
        let limits = Limits { documents: u32::MAX, output_bytes: u64::MAX, ..Limits::default() };
        self.made = Made::default();
        let (input, made) = (job.input(), Box::new(self.made.clone()));
        let start = Instant::now();
        let conversion = self.plugin.converter.convert(input, &self.options, &self.plugin.descriptor.metrics, made, &limits);
        let took = start.elapsed();
        let name = &self.plugin.descriptor.name;
        ensure!(matches!(conversion.result, Ok(Outcome::Converted)), "`{name}` did not convert: {:?}", conversion.result);
        self.best = self.best.min(took);
        Ok(())
    }
}

/// Counts what is made, and keeps nothing of it.
#[derive(Clone, Default)]
struct Made(Arc<Counts>);

#[derive(Default)]
struct Counts {
    documents: AtomicU64,
    bytes: AtomicU64,
}

impl DocumentSink for Made {
    fn create(&mut self, _number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        self.0.documents.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(self.clone()))
    }
}

impl DocumentWriter for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}
