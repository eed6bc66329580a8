//! `dropforge config`: checks, describes, shows and imports the configuration. Also the flags that say where a configuration comes from, which
//! other subcommands share.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::api::DaemonArgs;
use super::plugin::CompiledDir;
use crate::config::{self, Config, ConfigError, ConfigErrors, Loaded, LogConfig, Need, Overrides, Sources};
use crate::plugins::{LoadSettings, OptionsVerdict, Registry, RouteOptions, check_options, load_folder};
use crate::sandbox::Sandbox;

/// Where the configuration comes from. Flags go before the environment (`DROPFORGE_<KEY>`), which goes before the file.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArgs {
    /// The configuration file, in TOML or JSON [default: dropforge.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder to take files from; it is made if it is not there. With --outbox: a route called `default`
    #[arg(long, value_name = "DIR")]
    pub inbox: Option<PathBuf>,
    /// The folder to write documents to
    #[arg(long, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// The folder of the plugins
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// The folder of the queue, the spool and the compiled converters [default: the platform's state folder]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The address that both ports listen on
    #[arg(long, value_name = "IP")]
    pub bind_address: Option<IpAddr>,
    /// The port of the health endpoints
    #[arg(long, value_name = "PORT")]
    pub health_port: Option<u16>,
    /// The port of /metrics
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
}

/// Check, describe or show the configuration
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  dropforge config show --inbox in --outbox out > dropforge.toml
  dropforge config check")]
pub enum ConfigCommand {
    /// Say everything that is wrong with a configuration; exit with 2 if anything is
    ///
    /// Where routes have options, the plugins are loaded and asked whether they take them.
    #[command(after_help = "Examples:
  dropforge config check                  # dropforge.toml in this directory
  dropforge config check -c line3.json    # another file
  DROPFORGE_HEALTH_PORT=8081 dropforge config check      # with a variable")]
    Check(ConfigArgs),
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Examples:
  dropforge config schema > dropforge.schema.json

An editor completes and checks by it; in TOML, most take as the first line
  #:schema ./dropforge.schema.json")]
    Schema,
    /// Print the configuration that holds, as TOML: file, environment, flags and defaults; secrets are masked
    #[command(after_help = "Examples:
  dropforge config show                             # what holds in this folder
  dropforge config show --inbox in --outbox out     # what the flags mean")]
    Show(ConfigArgs),
    /// Have a running daemon take its configuration anew, all of it or nothing, and print what has changed
    ///
    /// It reads the same file, environment and flags as at its start. What is wrong with them is said, and then nothing changes. Else
    /// running jobs end, and the daemon starts anew within its process; files that come meanwhile are taken then.
    #[command(after_help = "Example:\n  dropforge config reload -c dropforge.toml")]
    Reload(DaemonArgs),
    /// Print the configuration of a pyWATS client as TOML in our form
    ///
    /// Keys of its config.json that have a counterpart are taken over; a comment for each other says what to write instead. Paths
    /// are absolute, so that the result can be put anywhere.
    #[command(after_help = "Example:\n  dropforge config import config.json > dropforge.toml")]
    Import {
        /// The file to read; it stays as it is
        file: PathBuf,
    },
}

impl ConfigArgs {
    /// Loads the configuration with this process's environment and working directory.
    ///
    /// # Errors
    /// Everything that is wrong with it: for [`report`], and exit code 2.
    pub fn load(&self, need: Need) -> Result<Loaded, ConfigErrors> {
        config::load(&self.sources(need)?)
    }

    /// Loads as much of the configuration as says where a daemon is. What is wrong with the rest is one line on standard error.
    ///
    /// # Errors
    /// Where nothing of it can be used: for [`report`], and exit code 2.
    pub fn locate(&self) -> anyhow::Result<Config> {
        let (config, wrong) = config::locate(&self.sources(Need::Nothing)?)?;
        if let Some(wrong) = wrong {
            eprintln!("warning: {wrong}");
        }
        Ok(config)
    }

    /// Where the log goes of a configuration that is wrong.
    pub fn log(&self, errors: &ConfigErrors) -> Option<LogConfig> {
        config::log_of(&self.sources(Need::Nothing).ok()?, errors)
    }

    fn sources(&self, need: Need) -> Result<Sources, ConfigErrors> {
        let sources = Sources::of_process(self.config.clone(), self.overrides(), need);
        Ok(sources.map_err(|error| ConfigError::Usage(format!("there is no working directory to start from: {error}")))?)
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            inbox: self.inbox.clone(),
            outbox: self.outbox.clone(),
            plugins: self.plugins.clone(),
            state: self.state.clone(),
            bind_address: self.bind_address,
            health_port: self.health_port,
            metrics_port: self.metrics_port,
        }
    }
}

/// Says on standard error what is wrong with a configuration, one line each, and gives the exit code for it: 2.
pub fn report(errors: &ConfigErrors) -> ExitCode {
    // Where standard error is closed, the exit code remains to say it.
    let _ = write_errors(errors, &mut io::stderr());
    ExitCode::from(2)
}

/// Runs `dropforge config …`: 0 ok, 1 the answer could not be written, 2 the configuration is wrong.
pub fn run(command: &ConfigCommand) -> ExitCode {
    match execute(command, &mut io::stdout().lock(), &mut io::stderr().lock()) {
        Ok(code) => ExitCode::from(code),
        // `dropforge config schema | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn execute(command: &ConfigCommand, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let (args, need) = match command {
        ConfigCommand::Schema => {
            writeln!(out, "{:#}", config::schema())?;
            return Ok(0);
        }
        ConfigCommand::Import { file } => {
            return match config::import(file) {
                Ok((text, warnings)) => {
                    for warning in warnings {
                        writeln!(err, "warning: {warning}")?;
                    }
                    write!(out, "{text}")?;
                    Ok(0)
                }
                Err(errors) => {
                    write_errors(&errors, err)?;
                    Ok(2)
                }
            };
        }
        ConfigCommand::Reload(daemon) => return reload(daemon, out, err),
        ConfigCommand::Check(args) => (args, Need::Routes),
        ConfigCommand::Show(args) => (args, Need::Nothing),
    };
    let loaded = match args.load(need) {
        Ok(loaded) => loaded,
        Err(errors) => {
            write_errors(&errors, err)?;
            return Ok(2);
        }
    };
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    if matches!(command, ConfigCommand::Check(_)) && !options_are_taken(&loaded.config, err)? {
        return Ok(2);
    }
    match command {
        ConfigCommand::Show(_) => write!(out, "{}", loaded.config.to_toml().map_err(io::Error::other)?)?,
        _ => writeln!(out, "{}: ok", loaded.file.map_or("command line".into(), |file| file.display().to_string()))?,
    }
    Ok(0)
}

/// Asks the converters whether they take the options that routes have for them, where any has some. What cannot be asked is said.
fn options_are_taken(config: &Config, err: &mut dyn Write) -> io::Result<bool> {
    let has_some = |number: usize| config.routes.get(number).is_some_and(|route| !route.options.is_empty());
    if !(0..config.routes.len()).any(has_some) {
        return Ok(true);
    }
    let registry = match plugins(config) {
        Ok(registry) => registry,
        Err(error) => {
            writeln!(err, "warning: the `options` of routes are not checked, because the plugins cannot be loaded: {error:#}")?;
            return Ok(true);
        }
    };
    let mut all_taken = true;
    for RouteOptions { route, converter, verdict } in check_options(config, &registry) {
        match verdict {
            OptionsVerdict::Wrong(reason) => {
                writeln!(err, "error: routes[{route}].options: {reason}")?;
                all_taken = false;
            }
            OptionsVerdict::Nobody if has_some(route) => writeln!(
                err,
                "warning: routes[{route}].options: those for `{converter}` are not checked: there is no such converter in {}",
                config.plugins_dir.display()
            )?,
            OptionsVerdict::Nobody | OptionsVerdict::Taken => {}
        }
    }
    Ok(all_taken)
}

fn plugins(config: &Config) -> anyhow::Result<Arc<Registry>> {
    let compiled = CompiledDir::choose(Some(config))?;
    let settings = LoadSettings { compiled_dir: compiled.path.clone(), versions_dir: None, ..LoadSettings::of(config) };
    Ok(load_folder(&config.plugins_dir, Arc::new(Sandbox::new()?), settings)?)
}

fn reload(daemon: &DaemonArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let answer = match daemon.api().and_then(|api| api.post("/api/v1/reload", &serde_json::json!({}))) {
        Ok(answer) => answer,
        Err(error) => {
            writeln!(err, "dropforge: {error:#}")?;
            return Ok(1);
        }
    };
    let changes = answer.get("changes").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for change in changes.iter().filter_map(serde_json::Value::as_str) {
        writeln!(out, "{}", super::table::printable(change))?;
    }
    writeln!(out, "{}", if changes.is_empty() { "nothing has changed" } else { "the daemon starts anew with this" })?;
    Ok(0)
}

fn write_errors(errors: &ConfigErrors, err: &mut dyn Write) -> io::Result<()> {
    for error in errors.iter() {
        writeln!(err, "error: {error}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: ConfigCommand,
    }

    /// Exit code, standard output and standard error of `dropforge config ARGUMENTS`.
    fn run(arguments: &[&str]) -> (u8, String, String) {
        let cli = Cli::try_parse_from(["config"].iter().chain(arguments)).unwrap_or_else(|error| panic!("{error}"));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = execute(&cli.command, &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const GOOD: &str =
        "enable_cache = true\n[[routes]]\nname = 'a'\nintake = { path = 'in' }\ndestinations = [{ type = 'folder', path = 'out' }]\n";

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn check_says_ok() {
        let (_folder, path) = file(GOOD);
        assert_eq!(run(&["check", "-c", &path, "--state", "/s"]), (0, format!("{path}: ok\n"), String::new()));
        assert_eq!(run(&["check", "--inbox", "/in", "--outbox", "/out", "--state", "/s"]), (0, "command line: ok\n".into(), String::new()));
    }

    #[test]
    fn check_says_every_error_and_exits_with_2() {
        let (_folder, path) = file(&GOOD.replace("enable_cache", "enable_cash").replace("'in'", "3"));
        let (code, out, err) = run(&["check", "-c", &path, "--state", "/s"]);
        let expected = format!(
            "error: {path}:1: enable_cash: there is no such key; did you mean `enable_cache`?\n\
             error: {path}:4: routes[0].intake.path: expected text in quotes, found 3\n"
        );
        assert_eq!((code, out.as_str(), err), (2, "", expected));
    }

    #[test]
    fn show_prints_what_holds_and_can_be_loaded() {
        let (_folder, path) = file(GOOD);
        let (code, shown, _) = run(&["show", "-c", &path, "--state", "/s", "--health-port", "7"]);
        assert_eq!(code, 0);
        assert!(shown.contains("health_port = 7\n") && shown.contains("drain_seconds = 30.0\n"), "{shown}");
        let (_folder, copy) = file(&shown);
        let (code, out, err) = run(&["check", "-c", &copy]);
        assert_eq!((code, out), (0, format!("{copy}: ok\n")), "{err}");
    }

    #[test]
    fn schema_is_json() {
        let (code, out, _) = run(&["schema"]);
        assert_eq!(code, 0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), config::schema());
    }
}
