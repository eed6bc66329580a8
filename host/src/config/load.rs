//! From a file, the environment and the command line to one valid configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::error::{ConfigError, ConfigErrors, Place};
use super::shape::{self, Finding};
use super::text::{self, Document};
use super::{Config, LogConfig, env, paths, pywats, schema, validate};

/// The file that is read from the working directory if the command line names none.
pub const DEFAULT_FILE: &str = "dropforge.toml";

/// The route that `--inbox` and `--outbox` make or change.
pub const DEFAULT_ROUTE: &str = "default";

/// What the command line says. Flags go before the environment, which goes before the file.
///
/// `inbox` and `outbox` together add a route called [`DEFAULT_ROUTE`], whose inbox is made if it is not there. If the file has a route of
/// that name, each of them replaces that route's folder, and everything else that the file says of the route holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The folder that the default route takes files from.
    pub inbox: Option<PathBuf>,
    /// The folder that the default route writes documents to.
    pub outbox: Option<PathBuf>,
    /// `plugins_dir`.
    pub plugins: Option<PathBuf>,
    /// `state_dir`.
    pub state: Option<PathBuf>,
    /// `bind_address`.
    pub bind_address: Option<IpAddr>,
    /// `health_port`.
    pub health_port: Option<u16>,
    /// `metrics_port`.
    pub metrics_port: Option<u16>,
}

/// What a configuration is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To run the daemon: there must be a route.
    Routes,
    /// To look at something, such as the plugins: the defaults will do.
    Nothing,
}

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The file that the command line names. If it names none, nor an inbox or outbox, [`DEFAULT_FILE`] is read if it is there.
    pub file: Option<PathBuf>,
    /// What else the command line says.
    pub overrides: Overrides,
    /// The variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory, an absolute path.
    pub directory: PathBuf,
    /// What the configuration is wanted for.
    pub need: Need,
}

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration; its paths are absolute.
    pub config: Config,
    /// The file that was read, as the user named it.
    pub file: Option<PathBuf>,
    /// What is allowed and probably not meant: one sentence each, for the log.
    pub warnings: Vec<String>,
}

impl Sources {
    /// The command line, with this process's environment and working directory.
    ///
    /// # Errors
    /// There is no working directory.
    pub fn of_process(file: Option<PathBuf>, overrides: Overrides, need: Need) -> io::Result<Self> {
        Ok(Sources { file, overrides, environment: std::env::vars_os().collect(), directory: std::env::current_dir()?, need })
    }

    /// The file to read, if any.
    fn file(&self) -> Result<Option<PathBuf>, ConfigError> {
        if self.file.is_some() || self.overrides.inbox.is_some() || self.overrides.outbox.is_some() {
            return Ok(self.file.clone());
        }
        if self.directory.join(DEFAULT_FILE).exists() {
            return Ok(Some(DEFAULT_FILE.into()));
        }
        match self.need {
            Need::Nothing => Ok(None),
            Need::Routes => Err(ConfigError::Usage(format!(
                "there is no configuration: name a file with -c FILE, put a {DEFAULT_FILE} into the working directory, or give --inbox DIR and \
                 --outbox DIR"
            ))),
        }
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// Everything that is wrong with it, as far as it can be found at once: a file that cannot be read hides what is wrong inside, and a value of
/// a wrong type hides which values do not fit each other.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let file = sources.file()?;
    let (document, pywats) = match &file {
        Some(file) => read(file, &sources.directory)?,
        None => Default::default(),
    };
    complete(sources, file, document, pywats.unwrap_or_default())
}

/// The keys that say where a daemon is.
const PLACE: [&str; 4] = ["bind_address", "health_port", "plugins_dir", "state_dir"];

/// Reads a configuration for a command that has to know where a daemon is, and no more: a daemon that runs does so whatever somebody has written
/// into its file since. Where the file is wrong, only what says where the daemon is is taken of it, and the text says so.
///
/// # Errors
/// As [`load`], where the file is wrong and nothing says which daemon is meant, or something else is wrong.
pub fn locate(sources: &Sources) -> Result<(Config, Option<String>), ConfigErrors> {
    let errors = match load(sources) {
        Ok(loaded) => return Ok((loaded.config, None)),
        Err(errors) => errors,
    };
    let Some(file) = sources.file()? else { return Err(errors) };
    let Ok(text) = std::fs::read_to_string(sources.directory.join(&file)) else { return Err(errors) };
    let value = right_keys(&file, &text, &PLACE);
    // Nobody knows what a wrong file that names no state folder was to say: at the default's, there may be another daemon.
    let is_named = sources.overrides.state.is_some() || sources.overrides.health_port.is_some();
    let in_environment = || env::read(&schema(), &sources.environment).settings.contains_key("state_dir");
    if !value.contains_key("state_dir") && !is_named && !in_environment() {
        let said = "so nobody knows which daemon is meant: mend the file, or name the daemon's state folder with --state DIR";
        return Err(errors.and(ConfigError::Usage(format!("{} is wrong and has no `state_dir` that can be read, {said}", file.display()))));
    }
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let Ok(loaded) = complete(sources, Some(file), Document { value, ..Document::default() }, Vec::new()) else { return Err(errors) };
    let more = if said.len() > 1 { format!(" (and {} more)", said.len() - 1) } else { String::new() };
    let first = said.into_iter().next().unwrap_or_default();
    Ok((loaded.config, Some(format!("{first}{more}; of this file, only where the daemon is counts here"))))
}

/// Where a wrong configuration has its log: a service that does not start can only say there why. None where it has none, or that is what is wrong.
pub fn log_of(sources: &Sources, errors: &ConfigErrors) -> Option<LogConfig> {
    if errors.iter().any(|error| matches!(error, ConfigError::Key { key, .. } if key.starts_with("log"))) {
        return None;
    }
    let file = sources.file().ok()??;
    let text = std::fs::read_to_string(sources.directory.join(&file)).ok()?;
    let mut log: LogConfig = serde_json::from_value(right_keys(&file, &text, &["log"]).remove("log")?).ok()?;
    let file = paths::absolute(&sources.directory, &file);
    log.file = log.file.map(|path| paths::absolute(file.parent().unwrap_or(&sources.directory), &path));
    Some(log)
}

/// Those of some keys that a file has, and that are right by themselves, whatever the rest of it is like.
fn right_keys(file: &Path, text: &str, keys: &[&str]) -> Map<String, Value> {
    let schema = schema();
    let is_right = |key: &str, value: &Value| shape::check(&schema, &Map::from_iter([(key.to_owned(), value.clone())])).is_empty();
    let mut value = text::readable(file, text);
    value.retain(|key, value| keys.contains(&key.as_str()) && is_right(key, value));
    value
}

/// Adds environment and flags to what a file says, and checks the whole.
fn complete(sources: &Sources, file: Option<PathBuf>, document: Document, said: Vec<String>) -> Result<Loaded, ConfigErrors> {
    let schema = schema();
    let mut settings = Settings { value: document.value, lines: document.lines, file: file.clone(), places: BTreeMap::new() };
    let environment = env::read(&schema, &sources.environment);
    if let Some(errors) = ConfigErrors::from_vec(environment.errors.into_iter().map(ConfigError::Usage).collect()) {
        return Err(errors);
    }
    for (key, (name, value)) in environment.settings {
        settings.set_from_environment(&key, name, value, &sources.directory);
    }
    settings.apply(&sources.overrides, &sources.directory)?;
    if !settings.value.contains_key("state_dir") {
        let folder = paths::default_state_dir(&sources.environment).map_err(ConfigError::Usage)?;
        settings.value.insert("state_dir".into(), Value::String(utf8(&folder)?));
    }

    settings.fail_with(shape::check(&schema, &settings.value))?;
    let mut config = settings.typed()?;
    let base = match &file {
        Some(file) => paths::absolute(&sources.directory, file).parent().map(Path::to_path_buf),
        None => None,
    };
    paths::make_absolute(&mut config, base.as_deref().unwrap_or(&sources.directory));
    paths::fill_in_settled(&mut config);
    let report = validate::validate(&config, sources.need);
    settings.fail_with(report.errors)?;

    let mut warnings = environment.warnings;
    warnings.extend(env::collector_elsewhere(&sources.environment).filter(|_| config.tracing.is_none()));
    warnings.extend(said);
    warnings.extend(report.warnings.into_iter().map(|finding| settings.error(finding).to_string()));
    Ok(Loaded { config, file, warnings })
}

/// Reads a file, and what is not taken over of one that is a pyWATS client's.
fn read(file: &Path, directory: &Path) -> Result<(Document, Option<Vec<String>>), ConfigError> {
    let text = std::fs::read_to_string(directory.join(file)).map_err(|source| ConfigError::Read { path: file.into(), source })?;
    let document = text::parse(file, &text)?;
    if !pywats::is_theirs(&document.value) {
        return Ok((document, None));
    }
    let path = paths::absolute(directory, file);
    let translated = pywats::translate(&document, path.parent().unwrap_or(directory));
    let place = |key: &str| {
        let line = std::iter::successors(Some(key), |key| text::parent(key)).find_map(|key| document.lines.get(key)).copied();
        Place::File { path: file.into(), line }
    };
    let said = translated.warnings.into_iter();
    let said = said.map(|found| ConfigError::Key { place: place(&found.path), key: found.path, message: found.message }.to_string());
    let warnings = said.collect();
    Ok((Document { value: translated.value, lines: translated.lines }, Some(warnings)))
}

/// What a pyWATS client's file says, as TOML in our form; whoever reads that has the same configuration. Comments at its top, which are given
/// besides, say what is not taken over.
///
/// # Errors
/// Where it is no such file, and whatever is wrong with it; see [`load`].
pub fn import(file: &Path) -> Result<(String, Vec<String>), ConfigErrors> {
    let failed = |error: &dyn std::fmt::Display| ConfigError::Usage(format!("cannot import {}: {error}", file.display()));
    // Neither flags nor the environment: they hold for whoever reads the result as well.
    let mut sources = Sources::of_process(Some(file.into()), Overrides::default(), Need::Nothing).map_err(|error| failed(&error))?;
    sources.environment.retain(|(name, _)| !env::concerns_us(&name.to_string_lossy()));
    let (document, theirs) = read(file, &sources.directory)?;
    if theirs.is_none() {
        let said =
            format!("{0} is not a pyWATS client's configuration; `dropforge config show -c {0}` prints ours as TOML", file.display());
        return Err(ConfigError::Usage(said).into());
    }
    let warnings = load(&sources)?.warnings;
    let mut text = format!("# From {}, by `dropforge config import`.\n", file.display());
    for warning in &warnings {
        let warning: String = warning.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        text.push_str(&format!("# {warning}\n"));
    }
    text.push('\n');
    text.push_str(&toml::to_string(&document.value).map_err(|error| failed(&error))?);
    Ok((text, warnings))
}

fn utf8(path: &Path) -> Result<String, ConfigError> {
    let text = path.to_str().map(String::from);
    text.ok_or_else(|| ConfigError::Usage(format!("the path {} is not UTF-8; give the folder a name that is", path.display())))
}

/// Values that are not typed yet, and who set them.
struct Settings {
    value: Map<String, Value>,
    lines: BTreeMap<String, usize>,
    file: Option<PathBuf>,
    /// Who set a key, where it was not the file.
    places: BTreeMap<String, Place>,
}

impl Settings {
    fn set(&mut self, key: &str, value: Value, place: Place) {
        self.value.insert(key.into(), value);
        self.places.insert(key.into(), place);
    }

    fn set_from_environment(&mut self, key: &str, name: String, value: Value, directory: &Path) {
        // Paths in a file are relative to the file; these are not.
        let value = match value {
            Value::String(path) if key.ends_with("_dir") => {
                Value::String(paths::absolute(directory, Path::new(&path)).to_string_lossy().into_owned())
            }
            other => other,
        };
        self.set(key, value, Place::Environment(name));
    }

    fn apply(&mut self, overrides: &Overrides, directory: &Path) -> Result<(), ConfigError> {
        let path = |path: &PathBuf| utf8(&paths::absolute(directory, path)).map(Value::String);
        let flags = [
            ("plugins_dir", "--plugins", overrides.plugins.as_ref().map(path).transpose()?),
            ("state_dir", "--state", overrides.state.as_ref().map(path).transpose()?),
            ("bind_address", "--bind-address", overrides.bind_address.map(|address| json!(address))),
            ("health_port", "--health-port", overrides.health_port.map(Value::from)),
            ("metrics_port", "--metrics-port", overrides.metrics_port.map(Value::from)),
        ];
        for (key, flag, value) in flags {
            if let Some(value) = value {
                self.set(key, value, Place::Flag(flag));
            }
        }
        let inbox = overrides.inbox.as_ref().map(path).transpose()?;
        let outbox = overrides.outbox.as_ref().map(path).transpose()?;
        if inbox.is_some() || outbox.is_some() { self.apply_route(inbox, outbox) } else { Ok(()) }
    }

    /// Adds or changes the default route.
    fn apply_route(&mut self, inbox: Option<Value>, outbox: Option<Value>) -> Result<(), ConfigError> {
        let Value::Array(routes) = self.value.entry("routes").or_insert_with(|| json!([])) else {
            return Ok(()); // The check of the shape will say it.
        };
        let existing = routes.iter().position(|route| route.get("name").is_some_and(|name| name == DEFAULT_ROUTE));
        let index = existing.unwrap_or(routes.len());
        if existing.is_none() {
            if inbox.is_none() || outbox.is_none() {
                let (given, other) = if inbox.is_some() { ("--inbox", "--outbox") } else { ("--outbox", "--inbox") };
                return Err(ConfigError::Usage(format!(
                    "{given} needs {other} beside it: the two make a route; alone, it changes a route called `{DEFAULT_ROUTE}`, and there is none"
                )));
            }
            routes.push(json!({ "name": DEFAULT_ROUTE, "intake": { "create": true } }));
        }
        let Some(Value::Object(route)) = routes.get_mut(index) else {
            return Ok(());
        };
        let path = text::join_index("routes", index);
        if existing.is_none() {
            self.places.insert(path.clone(), Place::Flag("--inbox"));
        }
        if let Some(inbox) = inbox {
            if let Value::Object(intake) = route.entry("intake").or_insert_with(|| json!({})) {
                intake.insert("path".into(), inbox);
            }
            self.places.insert(format!("{path}.intake.path"), Place::Flag("--inbox"));
        }
        if let Some(outbox) = outbox {
            route.insert("destinations".into(), json!([{ "type": "folder", "path": outbox }]));
            self.places.insert(format!("{path}.destinations"), Place::Flag("--outbox"));
        }
        Ok(())
    }

    /// Who set the value at `path`, or what holds it.
    fn place(&self, path: &str) -> Place {
        let mut at = Some(path);
        while let Some(path) = at {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            if let (Some(line), Some(file)) = (self.lines.get(path), &self.file) {
                return Place::File { path: file.clone(), line: Some(*line) };
            }
            at = text::parent(path);
        }
        match &self.file {
            Some(file) => Place::File { path: file.clone(), line: None },
            None => Place::Nowhere,
        }
    }

    fn error(&self, finding: Finding) -> ConfigError {
        ConfigError::Key { place: self.place(&finding.path), key: finding.path, message: finding.message }
    }

    fn fail_with(&self, findings: Vec<Finding>) -> Result<(), ConfigErrors> {
        let errors = findings.into_iter().map(|finding| self.error(finding)).collect();
        ConfigErrors::from_vec(errors).map_or(Ok(()), Err)
    }

    /// The values as our types. What the schema cannot say is found here: the converter's name, numbers beyond their type.
    fn typed(&self) -> Result<Config, ConfigErrors> {
        serde_path_to_error::deserialize(Value::Object(self.value.clone()))
            .map_err(|error| self.error(Finding { path: error.path().to_string(), message: error.inner().to_string() }).into())
    }
}
