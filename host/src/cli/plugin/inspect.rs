//! `dropforge plugin inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::plugins::{LoadLimits, OptionInfo, Plugin, Report, load_file};
use crate::sandbox::{Descriptor, Sandbox};

use super::super::print;
use super::super::table::{align, printable, thousands};
use super::CompiledDir;

/// Show what a plugin is: its converter, options, capabilities and origin
///
/// The file is wrapped, checked, compiled and asked for its descriptor, exactly as the daemon does it; nothing is installed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin inspect plugins/csv.wasm")]
pub(super) struct InspectArgs {
    /// The plugin
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON form.
#[derive(Serialize)]
struct Inspection<'a> {
    file: String,
    size_bytes: u64,
    sha256: &'a str,
    #[serde(flatten)]
    descriptor: &'a Descriptor,
    options: Vec<OptionInfo>,
    capabilities: Vec<String>,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    // The configuration only says where compiled code is kept and what loading may use; a broken one is no reason not to look at a plugin.
    let config = super::configuration(None, None).ok();
    let compiled = CompiledDir::choose(config.as_ref())?;
    let limits = config.as_ref().map(LoadLimits::of).unwrap_or_default();
    let plugin = load_file(&args.file, &Sandbox::new()?, &compiled.path, &limits)?;
    if args.json {
        let inspection = Inspection {
            file: args.file.display().to_string(),
            size_bytes: plugin.size,
            sha256: &plugin.digest,
            descriptor: &plugin.descriptor,
            options: plugin.list_options(),
            capabilities: plugin.report.interfaces.capabilities(),
            report: &plugin.report,
        };
        print(&(serde_json::to_string_pretty(&inspection)? + "\n"))?;
    } else {
        print(&describe(&plugin))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(plugin: &Plugin) -> String {
    let Plugin { descriptor, report, .. } = plugin;
    let list = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let producers: Vec<String> =
        report.producers.iter().map(|producer| format!("{} {}", producer.name, producer.version).trim_end().to_owned()).collect();
    let facts = [
        ("name", descriptor.name.clone()),
        ("version", descriptor.version.clone()),
        ("description", descriptor.description.clone()),
        ("file", plugin.path.display().to_string()),
        ("size", format!("{} bytes", thousands(plugin.size))),
        ("sha256", plugin.digest.clone()),
        ("form", if report.wrapped { "core module, made a component when it is loaded" } else { "component" }.to_owned()),
        ("contract", format!("dropforge:converter@{}", report.interfaces.contract)),
        ("patterns", list(&descriptor.patterns)),
        ("reads", list(&descriptor.media_types_in)),
        ("makes", list(&descriptor.media_types_out)),
        ("capabilities", list(&report.interfaces.capabilities())),
        ("imports", list(&report.interfaces.imports)),
        ("exports", list(&report.interfaces.exports)),
        ("producers", list(&producers)),
    ];
    let mut text = align(&facts.map(|(name, value)| [name.to_owned(), value]));
    text.push_str(&options(&plugin.list_options()));
    text.push_str(&metrics(descriptor));
    text
}

fn options(options: &[OptionInfo]) -> String {
    if options.is_empty() {
        return "\nIt has no options.\n".to_owned();
    }
    let mut rows = vec![["OPTION", "TYPE", "DEFAULT", "DESCRIPTION"].map(str::to_owned)];
    rows.extend(options.iter().map(|option| {
        let default = match &option.default {
            Some(default) => default.to_string(),
            None if option.required => "(must be set)".to_owned(),
            None => String::new(),
        };
        [option.name.clone(), option.kind.clone(), default, option.description.clone()]
    }));
    format!("\n{}", align(&rows))
}

fn metrics(descriptor: &Descriptor) -> String {
    if descriptor.metrics.is_empty() {
        return String::new();
    }
    let mut rows = vec![["METRIC", "KIND", "LABELS", "HELP"].map(str::to_owned)];
    rows.extend(descriptor.metrics.iter().map(|metric| {
        let kind = serde_json::to_value(metric.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        [metric.name.clone(), kind, metric.labels.join(", "), printable(&metric.help)]
    }));
    format!("\n{}", align(&rows))
}
