//! `dropforge convert`: files through the sandbox once, without the daemon.

mod behind;
mod converters;
mod id;
mod interrupt;
mod output;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;

use super::progress::{Watched, bar};
use super::table::thousands;
use super::{Usage, is_broken_pipe, sentence};
use crate::config::{Config, ConverterChoice, Need, Overrides, Route, Sources, load};
use crate::identity::FileIdentity;
use crate::metrics::{Instance, Metrics};
use crate::plugins::{OptionsError, Plugin, ask};
use crate::sandbox::{Conversion, ConversionError, ErrorType, FileSource, Input, Lookup, Outcome, Severity, THREAD_STACK};
use crate::upstream::Lookups;
use crate::validation;
use converters::Converters;
use id::LazyId;
use output::{Names, Output, Written};

/// Problems of a file that are printed one by one.
const PROBLEMS: usize = 20;
/// Lines of a converter's log that are printed where it fails.
const LOG_LINES: usize = 5;

/// Arguments of `dropforge convert`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge convert panel.csv      # whichever converter takes it; panel.jsonl
  dropforge convert *.csv --converter csv -o converted
  dropforge convert panel.csv --converter my.wasm -o - | head
  dropforge convert panel.csv --converter csv --option delimiter=';'
  dropforge convert panel.csv --route ict      # as the daemon; delivers nothing

Exit codes: 0 everything was converted, 1 a file was not (or only in part), 2 wrong usage.")]
pub(super) struct ConvertArgs {
    /// The files to convert.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A converter's name, or a plugin file; without it, the converters of the plugins folder and the bundled ones are asked.
    #[arg(long, value_name = "NAME|FILE.wasm")]
    converter: Option<String>,
    /// As this route of the configuration would: with its converter, options, context, limits and what it allows. Nothing is delivered, the
    /// file stays, and what belongs to it as a bundle is not looked for.
    #[arg(long, value_name = "NAME", conflicts_with = "converter")]
    route: Option<String>,
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
    interrupt::watch().context("cannot listen for signals")?;
    // The sandbox wants a stack of its own size, which the main thread may not have.
    let worker = std::thread::Builder::new().name("convert".into()).stack_size(THREAD_STACK).spawn(move || convert_all(&args))?;
    worker.join().unwrap_or_else(|_| bail!("a defect of Dropforge interrupted the conversion; please report it"))
}

fn convert_all(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { plugins: args.plugins.clone(), ..Overrides::default() };
    let config = load(&Sources::of_process(args.config.clone(), overrides, Need::Nothing)?)?.config;
    let route = args.route.as_deref().map(|name| route(&config, name)).transpose()?;
    let options = parse_options(&args.options)?;
    let converters = Converters::load(args, &config, route)?;
    let plugins = converters.plugins.as_slice();
    if let [only] = plugins {
        // What is wrong with the options is wrong for every file.
        complete_options(only, route, &options).map_err(|error| Usage(error.to_string()))?;
    }
    let output = Output::of(args.output.as_deref())?;
    let reach = Reach::of(&config, route)?;
    let mut names = Names::of_inputs(&args.inputs);
    let (mut failed, mut wrong_usage) = (0, false);
    for input in &args.inputs {
        match convert_one(input, plugins, &options, &output, &mut names, &reach) {
            Ok(true) => {}
            Ok(false) => failed += 1,
            Err(error) => {
                if is_broken_pipe(&error) {
                    return Err(error);
                }
                eprintln!("{}: {}", input.display(), sentence(&error));
                wrong_usage |= error.is::<OptionsError>();
                failed += 1;
            }
        }
    }
    if args.inputs.len() > 1 {
        eprintln!("{} of {} files converted", args.inputs.len() - failed, args.inputs.len());
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ if wrong_usage => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
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

fn route<'a>(config: &'a Config, name: &str) -> Result<&'a Route, Usage> {
    config.routes.iter().find(|route| route.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
        let there_are = if names.is_empty() { "the configuration has none; name one with -c".to_owned() } else { names.join(", ") };
        Usage(format!("there is no route `{name}` (there: {there_are})"))
    })
}

/// The options of the route, with those of the command line in their places, as a converter gets them.
fn complete_options(plugin: &Plugin, route: Option<&Route>, options: &[(String, String)]) -> Result<String, OptionsError> {
    let mut values = route.map(|route| route.options_for(&plugin.descriptor.name)).unwrap_or_default();
    values.extend(options.iter().map(|(key, text)| (key.clone(), plugin.option_from_text(key, text))));
    plugin.options(&values)
}

/// A file's path below the intake of its route, as the daemon would see it; its name where it is not there.
fn below_intake(path: &Path, name: &str, route: Option<&Route>) -> String {
    let below = route.and_then(|route| {
        let (path, intake) = (path.canonicalize().ok()?, route.intake.path.canonicalize().ok()?);
        let below = path.strip_prefix(intake).ok()?;
        Some(below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"))
    });
    below.unwrap_or_else(|| name.to_owned())
}

/// What converters may reach beyond their input.
struct Reach<'a> {
    config: &'a Config,
    route: Option<&'a Route>,
    lookups: Option<Arc<dyn Lookup>>,
}

impl Reach<'_> {
    fn of<'a>(config: &'a Config, route: Option<&'a Route>) -> anyhow::Result<Reach<'a>> {
        let instance = Instance { instance_id: String::new(), station: String::new(), location: String::new() };
        let lookups = Lookups::alone(config, Arc::new(Metrics::new(&instance)))?;
        Ok(Reach { config, route, lookups: lookups.map(|lookups| Arc::new(lookups) as _) })
    }
}

impl Reach<'_> {
    fn route_name(&self) -> Option<&str> {
        self.route.map(|route| route.name.as_str())
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
    let file = File::open(path).context("cannot open the file")?;
    let metadata = file.metadata().context("cannot read the file")?;
    if !metadata.is_file() {
        bail!(if metadata.is_dir() { "this is a folder; name the files in it" } else { "this is no file" });
    }
    let identity = FileIdentity::of(&metadata);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = LazyId::new(&file, &name, identity.modified_ns);
    let relative = below_intake(path, &name, reach.route);
    let attributes = reach.route.map(|route| reach.config.attributes_for(route, &relative)).unwrap_or_default();
    let bar = bar(&name, identity.size);
    let input = |bar: &ProgressBar| -> io::Result<Input> {
        Ok(Input {
            id: id.for_input(),
            name: name.clone(),
            path: relative.clone(),
            media_type: None,
            modified: Some((identity.modified_ns.div_euclid(1_000_000_000), identity.modified_ns.rem_euclid(1_000_000_000) as u32)),
            attributes: attributes.clone(),
            source: Box::new(Watched { source: FileSource::new(file.try_clone()?)?, bar: bar.clone() }),
            members: Vec::new(),
        })
    };
    for plugin in willing(plugins, reach, &name, &relative, &|| input(&ProgressBar::hidden()))? {
        let descriptor = &plugin.descriptor;
        let limits = reach.config.limits_for(reach.route, Some(&descriptor.name)).to_limits();
        let completed = complete_options(&plugin, reach.route, options)?;
        let (sink, written) = output.begin(path)?;
        let granted = reach.config.granted(reach.route, &descriptor.name);
        let converter = plugin.granted(&granted, reach.route_name(), reach.lookups.clone())?;
        let mut conversion = converter.convert(input(&bar)?, &completed, &descriptor.metrics, sink, &limits);
        let on_invalid = reach.route.map(|route| route.on_invalid).unwrap_or_default();
        validation::check(&mut conversion, on_invalid, |number| File::open(written.document(number)));
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
fn willing(
    plugins: &[Arc<Plugin>],
    reach: &Reach<'_>,
    name: &str,
    path: &str,
    input: &dyn Fn() -> io::Result<Input>,
) -> io::Result<Vec<Arc<Plugin>>> {
    // The daemon asks even a single one where a route does not name it.
    let asks = reach.route.is_some_and(|route| route.converter == ConverterChoice::Auto);
    if let ([only], false) = (plugins, asks) {
        return Ok(vec![Arc::clone(only)]);
    }
    let granted = |plugin: &Plugin| plugin.check_grants(&reach.config.granted(reach.route, &plugin.descriptor.name), reach.route_name());
    let limits = |converter: &str| reach.config.limits_for(reach.route, Some(converter)).to_probe_limits();
    let answers = ask(plugins.to_vec(), &granted, name, path, input, &limits)?;
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
    id: &LazyId,
) -> anyhow::Result<bool> {
    let file = path.display();
    for problem in conversion.problems.iter().take(PROBLEMS) {
        let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
        eprintln!("{file}: {severity}: {}", problem.error);
    }
    let more = conversion.problems.len().saturating_sub(PROBLEMS) as u64 + conversion.problems_dropped;
    if more > 0 {
        eprintln!("{file}: and {} more problems", thousands(more));
    }
    if lacks_something(conversion) {
        eprintln!(
            "{file}: hint: what the file does not say can be said by options, such as --option timezone=Europe/Oslo; \
             `dropforge plugin inspect` shows those of a converter"
        );
    }
    match &conversion.result {
        Ok(Outcome::Converted) => {}
        Ok(Outcome::Skipped(reason)) => bail!("converter `{}` says that this file is not for it: {reason}", plugin.descriptor.name),
        Ok(Outcome::Suspended { reason, awaits, .. }) => bail!("not yet: {reason}{}", waiting_for(awaits)),
        Ok(Outcome::Rejected(error)) => bail!("rejected: {error}"),
        Err(error) => {
            // What the converter thought of its input does not explain a full disk.
            let told = if error.error_type == ErrorType::Io { 0 } else { LOG_LINES };
            for line in conversion.log_tail.iter().rev().take(told).rev() {
                eprintln!("{file}: log ({}): {}", line.level, line.message);
            }
            if conversion.asked.members {
                eprintln!(
                    "{file}: hint: converter `{}` looks for files that belong to this one, and `convert` gives it none; a route of the daemon does, \
                     by `include` and `members` of its `intake`",
                    plugin.descriptor.name
                );
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

/// Whether something is missing that an option could give.
fn lacks_something(conversion: &Conversion) -> bool {
    let lacks = |error: &ConversionError| error.error_type == ErrorType::MissingField && !conversion.asked.members;
    conversion.problems.iter().any(|problem| lacks(&problem.error)) || conversion.result.as_ref().is_err_and(lacks)
}

fn waiting_for(awaits: &[String]) -> String {
    if awaits.is_empty() { String::new() } else { format!(" (waiting for {})", awaits.join(", ")) }
}
