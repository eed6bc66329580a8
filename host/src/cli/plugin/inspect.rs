//! `dropforge plugin inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::plugins::{LoadLimits, LoadSettings, OptionInfo, Plugin, Report, bundled, load_bundled, load_file};
use crate::sandbox::{Capability, Descriptor, Sandbox};

use super::super::Usage;
use super::super::print;
use super::super::table::{align, printable, thousands};
use super::CompiledDir;

/// Show what a plugin is: its converter, options, capabilities and origin
///
/// The file is wrapped, checked, compiled and asked for its descriptor, exactly as the daemon does it; nothing is installed. The configuration
/// says what of the capabilities that it asks for is granted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dropforge plugin inspect plugins/csv.wasm\n  dropforge plugin inspect csv    # the bundled one")]
pub(super) struct InspectArgs {
    /// The plugin's file, or the name of a bundled converter
    file: PathBuf,
    /// The configuration; `dropforge.toml` in the working directory if it is there
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    capabilities: Vec<Asked>,
    #[serde(flatten)]
    report: &'a Report,
}

/// A capability that the plugin has a use for.
#[derive(Serialize)]
struct Asked {
    name: Capability,
    /// It is refused without.
    required: bool,
    /// By `[plugins.NAME]`: on every route.
    granted: bool,
    /// The routes that grant it themselves.
    granted_on_routes: Vec<String>,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let config = match &args.config {
        Some(_) => Some(super::configuration(args.config.clone(), None)?),
        // One that nobody named and that is broken is no reason not to look at a plugin.
        None => super::configuration(None, None).ok(),
    };
    let compiled = CompiledDir::choose(config.as_ref())?;
    let config = config.unwrap_or_default();
    let settings = LoadSettings { limits: LoadLimits::of(&config), ..LoadSettings::from(&compiled.path) };
    let named = bundled::all().iter().find(|bundled| args.file == std::path::Path::new(bundled.name()) && !args.file.exists());
    if named.is_none() && !args.file.exists() && args.file.extension().is_none() {
        let inside: Vec<&str> = bundled::all().iter().map(|bundled| bundled.name()).collect();
        let inside =
            if inside.is_empty() { "it was built without converters inside".to_owned() } else { format!("there: {}", inside.join(", ")) };
        bail!(Usage(format!(
            "there is no file {0}, nor is a converter `{0}` inside of Dropforge ({inside}); name the plugin's file",
            args.file.display()
        )));
    }
    let plugin = match named {
        Some(bundled) => load_bundled(*bundled, &Sandbox::new()?, settings)?,
        None => load_file(&args.file, &Sandbox::new()?, settings)?,
    };
    if args.json {
        let inspection = Inspection {
            file: plugin.path.display().to_string(),
            size_bytes: plugin.size,
            sha256: &plugin.digest,
            descriptor: &plugin.descriptor,
            options: plugin.list_options(),
            capabilities: asked(&plugin, &config),
            report: &plugin.report,
        };
        print(&(serde_json::to_string_pretty(&inspection)? + "\n"))?;
    } else {
        print(&describe(&plugin, &config))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(plugin: &Plugin, config: &Config) -> Vec<Asked> {
    let name = plugin.descriptor.name.as_str();
    let about = |capability: &Capability| {
        let routes = config.routes.iter().filter(|route| route.converter.admits(name) && route.allow.contains(capability));
        Asked {
            name: *capability,
            required: capability.is_required(),
            granted: config.granted(None, name).contains(capability),
            granted_on_routes: routes.map(|route| route.name.clone()).collect(),
        }
    };
    plugin.converter.asked().iter().map(about).collect()
}

/// What is asked for, and what of it is granted.
fn capabilities(asked: &[Asked]) -> String {
    let about = |asked: &Asked| {
        let granted = match (asked.granted, asked.granted_on_routes.as_slice()) {
            (true, _) => "granted".to_owned(),
            (false, []) if asked.required => "not granted".to_owned(),
            (false, []) => "not granted: the same in every conversion".to_owned(),
            (false, routes) => format!("granted on {}", routes.join(", ")),
        };
        format!("{} ({granted})", asked.name)
    };
    if asked.is_empty() { "none".to_owned() } else { asked.iter().map(about).collect::<Vec<_>>().join(", ") }
}

fn describe(plugin: &Plugin, config: &Config) -> String {
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
        ("capabilities", capabilities(&asked(plugin, config))),
        ("imports", list(&report.interfaces.imports)),
        ("exports", list(&report.interfaces.exports)),
        ("producers", list(&producers)),
    ];
    let mut text = align(&facts.map(|(name, value)| [name.to_owned(), value]));
    if let Err(error) = plugin.check_grants(&config.grants().of(&descriptor.name), None) {
        text.push_str(&format!("\nThe daemon will not load it: {error}.\n"));
    }
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
