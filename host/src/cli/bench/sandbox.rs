//! `dropforge bench sandbox`: what the sandbox costs for each conversion, beside wasmtime alone with the same converter and the same file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::plugins::child::examine;
use crate::plugins::{Plugin, load_file};
use crate::sandbox::{DocumentSink, DocumentWriter, Input, InputId, Limits, MemorySource, Outcome, Sandbox, THREAD_STACK};

use super::super::print;
use super::bare::{self, Bare};

/// What is converted, if nothing else is named: about 1 KB.
const BYTES: usize = 1024;
/// Conversions in a row on one side, before it is the other's turn.
const IN_A_ROW: usize = 200;

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// The converter; one that only copies shows what the sandbox costs
    #[arg(long, value_name = "FILE.wasm")]
    converter: PathBuf,
    /// The file to convert [default: 1 KB of CSV]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// How often each of the two runs 200 conversions, in turns; the best of each counts
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

pub(super) fn run(args: &SandboxArgs) -> anyhow::Result<()> {
    // The guest runs on the stack of the thread that calls it.
    thread::scope(|scope| {
        let measuring = thread::Builder::new().stack_size(THREAD_STACK).spawn_scoped(scope, || measure(args))?;
        measuring.join().unwrap_or_else(|_| anyhow::bail!("the measurement panicked"))
    })
}

fn measure(args: &SandboxArgs) -> anyhow::Result<()> {
    let input: Arc<[u8]> = match &args.input {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.into(),
        None => b"serial,step,value\n".iter().chain(b"SN0042,voltage,5.01\n".repeat(BYTES / 20).iter()).copied().take(BYTES).collect(),
    };
    let folder = tempfile::tempdir()?;
    let plugin = load_file(&args.converter, &Sandbox::new()?, folder.path().join("compiled"))?;
    let options = plugin.options(&serde_json::Map::new())?;
    let bare = Bare::new(&bare::engine()?, &component(&args.converter)?)?;

    let by_hand = bare.convert(input.to_vec(), &options)?;
    let ours = convert(&plugin, &options, &input)?;
    ensure!(
        by_hand == ours,
        "the two made different documents ({} and {} bytes): their times cannot be compared",
        by_hand.len(),
        ours.len()
    );
    let (mut bare_times, mut times) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        bare_times.push(time(|| bare.convert(input.to_vec(), &options))?);
        times.push(time(|| convert(&plugin, &options, &input))?);
    }
    let best = |times: &[Duration]| times.iter().min().copied().unwrap_or_default().as_secs_f64() * 1e6 / IN_A_ROW as f64;
    let (bare, ours) = (best(&bare_times), best(&times));
    Ok(print(&format!(
        "one conversion of {} bytes into {} by `{}`, best of {} times {IN_A_ROW}:\n  wasmtime alone {bare:>8.1} µs   store, instance, call, teardown\n  \
         sandbox        {ours:>8.1} µs   the same, with limits, log, metrics and WASI\n  ratio          {:>8.2}\n",
        input.len(),
        by_hand.len(),
        plugin.descriptor.name,
        args.runs.max(1),
        ours / bare
    ))?)
}

/// A plugin's file as a component, however it was built.
pub(super) fn component(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let examined = examine(&bytes).map_err(|refusal| anyhow::anyhow!("{}: {refusal}", path.display()))?;
    Ok(examined.component)
}

fn time<T>(convert: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for _ in 0..IN_A_ROW {
        convert()?;
    }
    Ok(start.elapsed())
}

/// One conversion as the daemon makes it, with the documents in memory.
pub(super) fn convert(plugin: &Plugin, options: &str, content: &Arc<[u8]>) -> anyhow::Result<Vec<u8>> {
    let made = Made::default();
    let input = Input {
        id: InputId::Known("bench".to_owned()),
        name: "bench.csv".to_owned(),
        path: "bench.csv".to_owned(),
        media_type: None,
        modified: None,
        attributes: Vec::new(),
        source: Box::new(MemorySource(Arc::clone(content))),
        members: Vec::new(),
    };
    let conversion = plugin.converter.convert(input, options, &plugin.descriptor.metrics, Box::new(made.clone()), &Limits::default());
    ensure!(matches!(conversion.result, Ok(Outcome::Converted)), "the converter did not convert: {:?}", conversion.result);
    Ok(std::mem::take(&mut *made.0.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The bytes of all documents, one after the other.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl DocumentSink for Made {
    fn create(&mut self, _number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        Ok(Box::new(self.clone()))
    }
}

impl DocumentWriter for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}
