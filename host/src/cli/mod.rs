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
    /// How log lines look: `auto` (for people, in colours on a terminal), `human`, or `json`.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto, env = "DROPFORGE_LOG_FORMAT", help_heading = LOG, hide_possible_values = true)]
    log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,dropforge::intake=debug`.
    #[arg(long, global = true, default_value = "info", env = "DROPFORGE_LOG", value_name = "FILTER", help_heading = LOG)]
    log_level: String,
}

/// What every command takes stands below what is its own.
const LOG: &str = "Log";

const EXAMPLES: &str = "Examples:
  dropforge convert report.csv -o -       # one file, once
  dropforge run --inbox in --outbox out --plugins plugins
  dropforge run -c dropforge.toml
  dropforge status                        # how a running daemon is doing
  dropforge doctor -c dropforge.toml      # what is not right, and what to do
  dropforge plugin new my-converter

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
        Command::Run(args) if args.service.is_some() => service::windows::dispatch(args, log),
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

/// Why a command failed: a line for each thing that is wrong with a configuration, a sentence for anything else.
fn explained(error: &anyhow::Error) -> String {
    error.downcast_ref::<ConfigErrors>().map_or_else(|| sentence(error), ToString::to_string)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::{Command, CommandFactory as _};

    use super::*;

    /// Every command with the words that call it, `dropforge` among them.
    fn commands() -> Vec<(String, Command)> {
        let mut all = vec![("dropforge".to_owned(), Cli::command())];
        let mut next = 0;
        while let Some((words, command)) = all.get(next).cloned() {
            all.extend(command.get_subcommands().map(|command| (format!("{words} {}", command.get_name()), command.clone())));
            next += 1;
        }
        all
    }

    fn help(command: &Command) -> String {
        command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default()
    }

    /// The examples of a help: each from `dropforge` to what the shell takes for itself.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let mut examples = Vec::new();
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            let (mut words, mut quoted) = (vec![String::new()], false);
            for character in line.trim().chars() {
                match character {
                    '\'' => quoted = !quoted,
                    ' ' if !quoted => words.push(String::new()),
                    _ => words.last_mut().unwrap().push(character),
                }
            }
            let of_shell = |word: &String| ["|", ">", ">>", "&&", "#"].contains(&word.as_str());
            examples.extend(words.split(of_shell).filter_map(|words| {
                let words: Vec<String> = words.iter().filter(|word| !word.is_empty()).cloned().collect();
                words.iter().position(|word| word == "dropforge").map(|first| words.get(first..).unwrap().to_vec())
            }));
        }
        examples
    }

    #[test]
    fn every_command_has_an_example_that_is_one_and_a_page_that_names_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let pages = fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path()).filter(|page| page.is_file());
        let pages: String = pages.chain([root.join("README.md")]).map(|page| fs::read_to_string(page).unwrap()).collect();
        for (words, command) in commands() {
            let help = help(&command);
            let examples = examples(&help);
            let is_its_own = |example: &Vec<String>| format!("{} ", example.join(" ")).starts_with(&format!("{words} "));
            assert!(examples.iter().any(is_its_own), "`{words} --help` has no example of it: {help}");
            for example in examples {
                let parsed = Cli::try_parse_from(&example);
                assert!(parsed.is_ok(), "{example:?}, in `{words} --help`: {}", parsed.unwrap_err());
            }
            // A terminal of the usual width breaks none of them.
            for line in help.lines().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 80, "`{words} --help`: {line}");
            }
            assert!(pages.contains(&words), "no page of docs/ says anything of `{words}`");
        }
    }
}
