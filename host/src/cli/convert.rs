//! `dropforge convert`: files through the sandbox once, without the daemon.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use super::progress::{Watched, bar};
use super::{Usage, is_broken_pipe, print, sentence};
use crate::config::{Config, Need, OnInvalid, Overrides, Sources, load};
use crate::delivery::{plain_file_name, unique_file_name};
use crate::digest::sha256_reader;
use crate::files;
use crate::identity::FileIdentity;
use crate::metrics::{Instance, Metrics};
use crate::plugins::{LoadSettings, OptionsError, Plugin, ask, load_file, load_folder};
use crate::queue::{DocumentId, JobId};
use crate::sandbox::{
    Conversion, Document, DocumentSink, DocumentWriter, FileSource, Input, Lookup, Outcome, Sandbox, Severity, THREAD_STACK,
};
use crate::upstream::Lookups;
use crate::validation;

/// Arguments of `dropforge convert`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge convert panel.csv                                    any converter of the plugins folder; panel.jsonl beside the file
  dropforge convert *.csv --converter csv -o converted
  dropforge convert panel.csv --converter my.wasm -o - | head
  dropforge convert panel.csv --converter csv --option delimiter=';'

Exit codes: 0 everything was converted, 1 a file was not (or only in part), 2 wrong usage.")]
pub(super) struct ConvertArgs {
    /// The files to convert.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A converter's name, or a plugin file; without it, the converters of the plugins folder are asked.
    #[arg(long, value_name = "NAME|FILE.wasm")]
    converter: Option<String>,
    /// An option of the converter, with its value as JSON or plain text; repeatable.
    #[arg(long = "option", value_name = "K=V")]
    options: Vec<String>,
    /// Where documents go: a folder, or `-` for standard output; without it, beside each input.
    #[arg(short, long, value_name = "OUT|-")]
    output: Option<PathBuf>,
    /// A configuration whose limits, plugins folder and state folder hold; `dropforge.toml` in the working directory if it is there.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the plugins.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

pub(super) fn run(args: ConvertArgs) -> anyhow::Result<ExitCode> {
    // The sandbox wants a stack of its own size, which the main thread may not have.
    let worker = std::thread::Builder::new().name("convert".into()).stack_size(THREAD_STACK).spawn(move || convert_all(&args))?;
    worker.join().unwrap_or_else(|_| bail!("a defect of Dropforge interrupted the conversion; please report it"))
}

fn convert_all(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { plugins: args.plugins.clone(), ..Overrides::default() };
    let config = load(&Sources::of_process(args.config.clone(), overrides, Need::Nothing)?)?.config;
    let options = parse_options(&args.options)?;
    let plugins = plugins(args, &config)?;
    if let [only] = plugins.as_slice() {
        // What is wrong with the options is wrong for every file.
        complete_options(only, &options).map_err(|error| Usage(error.to_string()))?;
    }
    let output = Output::of(args.output.as_deref())?;
    let reach = Reach::of(&config)?;
    let mut names = Names::of_inputs(&args.inputs);
    let mut failed = 0;
    for input in &args.inputs {
        match convert_one(input, &plugins, &options, &output, &mut names, &reach) {
            Ok(true) => {}
            Ok(false) => failed += 1,
            Err(error) => {
                if is_broken_pipe(&error) {
                    return Err(error);
                }
                eprintln!("{}: {}", input.display(), sentence(&error));
                failed += 1;
            }
        }
    }
    if args.inputs.len() > 1 {
        eprintln!("{} of {} files converted", args.inputs.len() - failed, args.inputs.len());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_options(options: &[String]) -> Result<Vec<(String, String)>, Usage> {
    options
        .iter()
        .map(|option| match option.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
            _ => Err(Usage(format!("--option {option}: write it as NAME=VALUE"))),
        })
        .collect()
}

/// The options of the command line as a converter gets them.
fn complete_options(plugin: &Plugin, options: &[(String, String)]) -> Result<String, OptionsError> {
    let values: Map<String, Value> = options.iter().map(|(key, text)| (key.clone(), plugin.option_from_text(key, text))).collect();
    plugin.options(&values)
}

/// The converters that may take the inputs.
fn plugins(args: &ConvertArgs, config: &Config) -> anyhow::Result<Vec<Arc<Plugin>>> {
    let sandbox = Arc::new(Sandbox::new()?);
    let settings = LoadSettings::of(config);
    if let Some(file) = args.converter.as_deref().filter(|converter| converter.ends_with(".wasm")) {
        return Ok(vec![Arc::new(load_file(Path::new(file), &sandbox, settings)?)]);
    }
    let folder = &config.plugins_dir;
    let registry = load_folder(folder, sandbox, settings).with_context(|| format!("cannot load the plugins in {}", folder.display()))?;
    let all = registry.all();
    match &args.converter {
        None if all.is_empty() => {
            bail!(Usage(format!("there is no converter in {}; name a plugin with --converter FILE.wasm", folder.display())))
        }
        None => Ok(all),
        Some(name) => match registry.get(name) {
            Some(plugin) => Ok(vec![plugin]),
            None => {
                let loaded: Vec<&str> = all.iter().map(|plugin| plugin.descriptor.name.as_str()).collect();
                bail!(Usage(format!(
                    "there is no converter `{name}` in {} (there: {}); a plugin file is named with its .wasm",
                    folder.display(),
                    loaded.join(", ")
                )))
            }
        },
    }
}

/// What converters may reach beyond their input.
struct Reach<'a> {
    config: &'a Config,
    lookups: Option<Arc<dyn Lookup>>,
}

impl Reach<'_> {
    fn of(config: &Config) -> anyhow::Result<Reach<'_>> {
        let instance = Instance { instance_id: String::new(), station: String::new(), location: String::new() };
        let lookups = Lookups::alone(config, Arc::new(Metrics::new(&instance)))?;
        Ok(Reach { config, lookups: lookups.map(|lookups| Arc::new(lookups) as _) })
    }
}

/// Converts one file and says on standard error what became of it. False where it was not converted, or only in part.
fn convert_one(
    path: &Path,
    plugins: &[Arc<Plugin>],
    options: &[(String, String)],
    output: &Output,
    names: &mut Names,
    reach: &Reach<'_>,
) -> anyhow::Result<bool> {
    let mut file = File::open(path).context("cannot open the file")?;
    let metadata = file.metadata().context("cannot read the file")?;
    if !metadata.is_file() {
        bail!("this is no file");
    }
    let identity = FileIdentity::of(&metadata);
    let (digest, _) = sha256_reader(&mut file).context("cannot read the file")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = JobId::new("convert", name.as_bytes(), identity.modified_ns, &digest);
    let bar = bar(&name, identity.size);
    let input = |bar: &ProgressBar| -> io::Result<Input> {
        Ok(Input {
            id: id.to_string(),
            name: name.clone(),
            path: name.clone(),
            media_type: None,
            modified: Some((identity.modified_ns.div_euclid(1_000_000_000), identity.modified_ns.rem_euclid(1_000_000_000) as u32)),
            attributes: Vec::new(),
            source: Box::new(Watched { source: FileSource::new(file.try_clone()?)?, bar: bar.clone() }),
            members: Vec::new(),
        })
    };
    for plugin in willing(plugins, reach, &name, &|| input(&ProgressBar::hidden()))? {
        let descriptor = &plugin.descriptor;
        let limits = reach.config.limits_for(None, Some(&descriptor.name)).to_limits();
        let completed = complete_options(&plugin, options)?;
        let (sink, written) = output.begin(path)?;
        let granted = reach.config.granted(None, &descriptor.name);
        let converter = plugin.granted(&granted, None, reach.lookups.clone())?;
        let mut conversion = converter.convert(input(&bar)?, &completed, &descriptor.metrics, sink, &limits);
        validation::check(&mut conversion, OnInvalid::default(), |number| File::open(written.document(number)));
        if let (Ok(Outcome::Skipped(_)), true) = (&conversion.result, plugins.len() > 1) {
            continue;
        }
        bar.finish_and_clear();
        return report(path, &plugin, &conversion, output, &written, names, &id);
    }
    bar.finish_and_clear();
    let asked: Vec<&str> = plugins.iter().map(|plugin| plugin.descriptor.name.as_str()).collect();
    bail!("no converter takes this file (asked: {}); name one with --converter", asked.join(", "))
}

/// With one converter, that one; with several, those that want the file, the surest first.
fn willing(plugins: &[Arc<Plugin>], reach: &Reach<'_>, name: &str, input: &dyn Fn() -> io::Result<Input>) -> io::Result<Vec<Arc<Plugin>>> {
    if let [only] = plugins {
        return Ok(vec![Arc::clone(only)]);
    }
    let granted = |plugin: &Plugin| plugin.check_grants(&reach.config.granted(None, &plugin.descriptor.name), None);
    let limits = |converter: &str| reach.config.limits_for(None, Some(converter)).to_probe_limits();
    let answers = ask(plugins.to_vec(), &granted, name, name, input, &limits)?;
    Ok(answers.into_iter().filter(|answer| answer.confidence > 0).map(|answer| answer.plugin).collect())
}

/// Publishes what was made, and prints one line a file and one a problem.
fn report(
    path: &Path,
    plugin: &Plugin,
    conversion: &Conversion,
    output: &Output,
    written: &Written,
    names: &mut Names,
    id: &JobId,
) -> anyhow::Result<bool> {
    let file = path.display();
    for problem in &conversion.problems {
        let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
        eprintln!("{file}: {severity}: {}", problem.error);
    }
    if conversion.problems_dropped > 0 {
        eprintln!("{file}: and {} more problems", conversion.problems_dropped);
    }
    match &conversion.result {
        Ok(Outcome::Converted) => {}
        Ok(Outcome::Skipped(reason)) => bail!("converter `{}` says that this file is not for it: {reason}", plugin.descriptor.name),
        Ok(Outcome::Suspended { reason, awaits, .. }) => bail!("not yet: {reason}{}", waiting_for(awaits)),
        Ok(Outcome::Rejected(error)) => bail!("rejected: {error}"),
        Err(error) => {
            for line in conversion.log_tail.iter().rev().take(5).rev() {
                eprintln!("{file}: {:?}: {}", line.level, line.message);
            }
            bail!("{error}")
        }
    }
    for document in &conversion.documents {
        output.publish(path, document, written, names, id)?;
    }
    let partial = conversion.problems.iter().any(|problem| problem.severity == Severity::Error) || conversion.problems_dropped > 0;
    if !output.is_standard() {
        let count = conversion.documents.len();
        let what = if partial { "converted in part" } else { "converted" };
        eprintln!(
            "{file}: {what} by {} {}: {count} document{}, {:.1} ms",
            plugin.descriptor.name,
            plugin.descriptor.version,
            if count == 1 { "" } else { "s" },
            conversion.usage.duration.as_secs_f64() * 1e3
        );
    }
    Ok(!partial)
}

fn waiting_for(awaits: &[String]) -> String {
    if awaits.is_empty() { String::new() } else { format!(" (waiting for {})", awaits.join(", ")) }
}

/// Where documents go.
enum Output {
    /// Standard output, one document after the other.
    Standard,
    /// A folder.
    Folder(PathBuf),
    /// The folder of each input.
    Beside,
}

/// Where the documents of one conversion are until it has succeeded: nothing shows before.
struct Written(tempfile::TempDir);

impl Written {
    fn document(&self, number: u32) -> PathBuf {
        self.0.path().join(number.to_string())
    }
}

impl Output {
    fn of(argument: Option<&Path>) -> anyhow::Result<Output> {
        match argument {
            Some(path) if path == Path::new("-") => Ok(Output::Standard),
            Some(path) => {
                files::create_folder(path).with_context(|| format!("cannot create the output folder {}", path.display()))?;
                Ok(Output::Folder(path.to_path_buf()))
            }
            None => Ok(Output::Beside),
        }
    }

    fn is_standard(&self) -> bool {
        matches!(self, Output::Standard)
    }

    /// Documents are collected beside their target, so that publishing them is a rename.
    fn begin(&self, input: &Path) -> anyhow::Result<(Box<dyn DocumentSink>, Written)> {
        let folder = match self {
            Output::Standard => tempfile::Builder::new().prefix("dropforge-").tempdir(),
            Output::Folder(_) | Output::Beside => tempfile::Builder::new().prefix(files::TEMPORARY_PREFIX).tempdir_in(self.folder(input)),
        };
        let folder = folder.context("cannot create a temporary folder for the documents")?;
        Ok((Box::new(Collected { folder: folder.path().to_path_buf() }), Written(folder)))
    }

    fn folder(&self, input: &Path) -> PathBuf {
        match self {
            Output::Folder(folder) => folder.clone(),
            Output::Standard | Output::Beside => match input.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
                _ => PathBuf::from("."),
            },
        }
    }

    fn publish(&self, input: &Path, document: &Document, written: &Written, names: &mut Names, id: &JobId) -> anyhow::Result<()> {
        let from = written.document(document.number);
        if self.is_standard() {
            let mut standard = io::stdout().lock();
            io::copy(&mut File::open(&from)?, &mut standard)?;
            return Ok(standard.flush()?);
        }
        let folder = self.folder(input);
        let target = names
            .free(&folder.join(plain_file_name(document)), &folder.join(unique_file_name(document, DocumentId::new(id, document.number))));
        fs::rename(&from, &target).with_context(|| format!("cannot write {}", target.display()))?;
        // The documents count, and not whether somebody reads their names.
        let _ = print(&format!("{}\n", target.display()));
        Ok(())
    }
}

/// The names that documents must not have: those of the inputs, and of documents of this run. What an earlier run left is replaced.
struct Names(HashSet<PathBuf>);

impl Names {
    fn of_inputs(inputs: &[PathBuf]) -> Names {
        Names(inputs.iter().filter_map(|input| input.canonicalize().ok()).collect())
    }

    /// The plain name, unless it is taken.
    fn free(&mut self, plain: &Path, unique: &Path) -> PathBuf {
        let absolute = |path: &Path| match (path.parent().map(Path::canonicalize), path.file_name()) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => path.to_path_buf(),
        };
        if self.0.insert(absolute(plain)) { plain.to_path_buf() } else { unique.to_path_buf() }
    }
}

/// Writes documents into a temporary folder, by number.
struct Collected {
    folder: PathBuf,
}

struct CollectedDocument {
    file: File,
}

impl DocumentSink for Collected {
    fn create(&mut self, number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        Ok(Box::new(CollectedDocument { file: File::create_new(self.folder.join(number.to_string()))? }))
    }
}

impl DocumentWriter for CollectedDocument {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}
