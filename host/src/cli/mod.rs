//! The command line: one file per subcommand.

mod api;
mod backup;
mod bench;
mod cache;
mod completions;
mod config;
mod convert;
mod converter;
mod doctor;
mod log_level;
mod overview;
mod pause;
mod plugin;
mod progress;
mod queue;
mod replay;
mod route;
mod run;
mod service;
mod status;
mod table;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigErrors, LogConfig};
use crate::logging::{self, LogFormat};

/// Turns files into documents with sandboxed WebAssembly converters.
#[derive(Debug, Parser)]
#[command(name = "dropforge", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto, env = "DROPFORGE_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,dropforge::intake=debug`.
    #[arg(long, global = true, default_value = "info", env = "DROPFORGE_LOG", value_name = "FILTER")]
    log_level: String,
}

const EXAMPLES: &str = "Examples:
  dropforge run --inbox in --outbox out --plugins plugins
  dropforge run -c dropforge.toml
  dropforge convert report.csv --converter csv -o -
  dropforge plugin build my-converter

Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: watch inboxes, convert, deliver.
    Run(run::RunArgs),
    Service(service::ServiceArgs),
    /// Convert files once, without the daemon.
    Convert(convert::ConvertArgs),
    /// Make, build and look at plugins.
    Plugin(plugin::PluginArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    LogLevel(log_level::LogLevelArgs),
    Top(top::TopArgs),
    Converter(converter::ConverterArgs),
    Route(route::RouteArgs),
    Queue(queue::QueueArgs),
    Replay(replay::ReplayArgs),
    Cache(cache::CacheArgs),
    Backup(backup::BackupArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Parses the process's arguments, runs the subcommand, and says how the process ends: 0 ok, 1 failed, 2 usage or configuration.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = Log { format: cli.log_format, level: cli.log_level };
    // One-shot commands print their results themselves; of the log they show what needs attention, unless more is asked for. The daemon
    // begins its log when it knows its configuration.
    let quiet = log.level == "info";
    if !matches!(cli.command, Command::Run(_))
        && let Err(error) = logging::init(log.format, if quiet { "warn" } else { &log.level }, &LogConfig::default())
    {
        eprintln!("dropforge: {error}");
        return ExitCode::from(2);
    }
    let result = match cli.command {
        #[cfg(windows)]
        Command::Run(args) if args.service => service::windows::dispatch(args, log),
        Command::Run(args) => run::run(args, &log),
        Command::Service(args) => service::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Plugin(args) => plugin::run(args),
        Command::Status(args) => status::run(&args),
        Command::LogLevel(args) => log_level::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Converter(args) => converter::run(args),
        Command::Route(args) => route::run(args),
        Command::Queue(args) => queue::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Config(command) => return config::run(&command),
    };
    let code = result.unwrap_or_else(|error| report(&error));
    logging::flush();
    code
}

/// What the command line says of the log.
struct Log {
    format: LogFormat,
    level: String,
}

/// A command was given what it cannot work with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Says on standard error why a command failed, and gives the exit code for it.
fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        return config::report(errors);
    }
    eprintln!("dropforge: {}", sentence(error));
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// An error with its causes, less those that it names already.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Whether a reader of standard output has gone: one that has seen enough (`| head`) is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard output. (`println!` panics where its reader has gone.)
///
/// # Errors
/// What the system says.
fn print(text: &str) -> io::Result<()> {
    let mut standard = io::stdout().lock();
    standard.write_all(text.as_bytes())?;
    standard.flush()
}
