//! What types cannot say: names that must differ, folders that must not contain each other, texts with a syntax of their own.

mod destinations;
mod grants;

use std::collections::BTreeMap;
use std::path::Path;

use super::load::Need;
use super::patterns::{self, Patterns};
use super::shape::{Finding, nearest};
use super::{
    AfterAction, Config, ConverterChoice, Destination, FolderDestination, Intake, Route, SignaturePolicy, SignaturesConfig, Template, paths,
};

/// The longest text that becomes the label of a metric or an attribute's name, in bytes.
const MAX_LABEL_BYTES: usize = 128;

/// What is wrong, and what is allowed and probably not meant.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub errors: Vec<Finding>,
    pub warnings: Vec<Finding>,
}

/// Checks a configuration whose paths are absolute.
pub(super) fn validate(config: &Config, need: Need) -> Report {
    let mut report = Report::default();
    report.root(config);
    if config.routes.is_empty() && need == Need::Routes {
        report.error("routes", "there is no route; add a [[routes]] table, or give --inbox DIR and --outbox DIR");
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, route) in config.routes.iter().enumerate() {
        let path = format!("routes[{index}]");
        if let Some(first) = names.insert(&route.name, index) {
            report.error(format!("{path}.name"), format!("routes[{first}] is called `{}` too; give each route its own name", route.name));
        }
        report.route(&path, route);
        report.folders(&path, route, config);
        report.destinations(&path, route, config);
        report.route_grants(&path, route, config);
        for (other_index, other) in config.routes.iter().enumerate().take(index) {
            report.shared_intake(&path, route, other_index, other);
        }
    }
    report
}

impl Report {
    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Finding { path: path.into(), message: message.into() });
    }

    fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Finding { path: path.into(), message: message.into() });
    }

    fn root(&mut self, config: &Config) {
        for (key, text) in [("instance_id", &config.instance_id), ("station", &config.station), ("location", &config.location)] {
            if text.len() > MAX_LABEL_BYTES || text.contains(char::is_control) {
                self.error(
                    key,
                    format!("it is longer than {MAX_LABEL_BYTES} bytes or has control characters; it becomes the label of a metric"),
                );
            }
        }
        if config.enable_metrics && config.health_port == config.metrics_port && config.health_port != 0 {
            self.error("metrics_port", format!("it is {} like health_port; give it another, or 0 for any free one", config.metrics_port));
        }
        self.servers(config);
        if config.suspension.longest_seconds < config.suspension.first_seconds {
            let message = format!("it is less than `first_seconds`, which is {}; make it that or more", config.suspension.first_seconds);
            self.error("suspension.longest_seconds", message);
        }
        self.signatures(config);
        self.log(config);
        if let Some(tls) = &config.server.tls {
            for (key, path) in [("certificate_file", &tls.certificate_file), ("key_file", &tls.key_file)] {
                if path.as_os_str().is_empty() {
                    self.error(format!("server.tls.{key}"), "it is empty; write the path of a PEM file");
                }
            }
        }
        for (name, plugin) in &config.plugins {
            self.grants(&format!("plugins.{name}.allow"), &plugin.allow, config);
            if !matches!(name.parse(), Ok(ConverterChoice::Named { digest: None, .. })) {
                self.error(
                    format!("plugins.{name}"),
                    format!("{name:?} cannot be the name of a converter: it has 1 to 64 of a-z, 0-9, - and _, and starts with a letter"),
                );
            }
        }
        self.not_empty("state_dir", &config.state_dir);
        self.not_empty("plugins_dir", &config.plugins_dir);
    }

    fn signatures(&mut self, config: &Config) {
        let SignaturesConfig { policy, trusted_keys } = &config.signatures;
        match trusted_keys {
            None if *policy != SignaturePolicy::Off => {
                self.error("signatures.trusted_keys", "it is missing; write the folder of the public keys whose signatures are good");
            }
            Some(folder) if paths::below(&config.plugins_dir, folder).is_some() => {
                let message = "it is in `plugins_dir`: whoever may put a plugin there could add a key for it; write another folder";
                self.error("signatures.trusted_keys", message);
            }
            _ => {}
        }
    }

    fn log(&mut self, config: &Config) {
        let Some(file) = &config.log.file else { return };
        if file.as_os_str().is_empty() {
            return self.error("log.file", "it is empty; write the path of a file");
        }
        let folder = file.parent().unwrap_or(file);
        if let Some(index) = config.routes.iter().position(|route| takes_from(&route.intake, folder)) {
            self.error("log.file", format!("routes[{index}] takes files from there, and would convert the log; write another folder"));
        }
    }

    fn not_empty(&mut self, key: impl Into<String>, path: &Path) {
        if path.as_os_str().is_empty() {
            self.error(key, "it is empty; write the path of a folder");
        }
    }

    fn route(&mut self, path: &str, route: &Route) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if route.name.is_empty() || route.name.len() > 64 || !route.name.chars().all(allowed) {
            self.error(
                format!("{path}.name"),
                format!("{:?} cannot be the name of a route: it has 1 to 64 of a-z, 0-9, _ and -", route.name),
            );
        }
        if let Some(zone) = &route.timezone {
            self.time_zone(format!("{path}.timezone"), zone);
        }
        for (name, text) in &route.context {
            self.context(format!("{path}.context.{name}"), name, text);
        }
        self.patterns(&format!("{path}.intake"), &route.intake);
        self.belongings(&format!("{path}.intake"), &route.intake);
        if route.after.error == AfterAction::Delete {
            self.warn(format!("{path}.after.error"), "files that fail are deleted: nothing of them remains, not even to try again");
        }
    }

    fn time_zone(&mut self, path: String, zone: &str) {
        let zones = jiff::tz::db();
        if zones.get(zone).is_err() {
            let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
            let meant = nearest(zone, names.iter().map(String::as_str)).map(|name| format!("; did you mean {name:?}?"));
            self.error(
                path,
                format!("there is no time zone {zone:?}{}", meant.as_deref().unwrap_or("; write one such as \"Europe/Oslo\"")),
            );
        }
    }

    fn context(&mut self, path: String, name: &str, text: &str) {
        if name.is_empty() || name.len() > MAX_LABEL_BYTES || name.contains(char::is_control) {
            self.error(&path, format!("the name of an attribute has 1 to {MAX_LABEL_BYTES} bytes and no control characters"));
        }
        match name {
            "route" => self.error(&path, "this attribute is the route's name, and set by Dropforge; use another name"),
            "timezone" => self.error(&path, "this attribute comes from the route's key `timezone`; set that"),
            _ => {}
        }
        if let Err(error) = Template::parse(text) {
            self.error(path, error.to_string());
        }
    }

    fn patterns(&mut self, path: &str, intake: &Intake) {
        let lists = [("include", &intake.include), ("exclude", &intake.exclude), ("temporary_names", &intake.temporary_names)];
        for (key, list) in lists {
            for (index, pattern) in list.iter().enumerate() {
                let at = format!("{path}.{key}[{index}]");
                if key == "temporary_names" && pattern.contains('/') {
                    self.error(at, format!("`{pattern}` is matched against names, which have no /; use `exclude` for folders"));
                } else if let Err(error) = Patterns::new(std::slice::from_ref(pattern)) {
                    self.error(at, error.to_string());
                }
            }
        }
    }

    /// Members and bundles must be able to match.
    fn belongings(&mut self, path: &str, intake: &Intake) {
        for (index, template) in intake.members.iter().enumerate() {
            let at = format!("{path}.members[{index}]");
            let pattern = template.replace("{stem}", "x").replace("{file}", "x.y");
            if !template.contains("{stem}") && !template.contains("{file}") {
                self.error(at, format!("`{template}` would make the same files members of every file; it needs `{{stem}}` or `{{file}}`"));
            } else if let Err(error) = Patterns::new(&[pattern]) {
                self.error(at, error.to_string());
            }
        }
        if !intake.members.is_empty() && intake.include.iter().any(|pattern| matches!(pattern.as_str(), "*" | "**" | "**/*")) {
            let message =
                "`include` admits every file, so that each is taken for itself and none is a member; name only the main files there";
            self.error(format!("{path}.members"), message);
        }
        let Some(bundle) = &intake.bundle else { return };
        let at = format!("{path}.bundle");
        match (&bundle.marker, bundle.expect.as_slice()) {
            (Some(marker), []) if marker.is_empty() || marker.contains(['/', '\\']) => {
                self.error(format!("{at}.marker"), format!("{marker:?} is not the name of a file; write one such as \"done.txt\""));
            }
            (Some(_), []) => {}
            (None, [_, ..]) => {
                for (index, pattern) in bundle.expect.iter().enumerate() {
                    let key = format!("{at}.expect[{index}]");
                    if pattern.contains('/') {
                        self.error(key, format!("`{pattern}` is matched against the names of the folder's files, which have no /"));
                    } else if let Err(error) = Patterns::new(std::slice::from_ref(pattern)) {
                        self.error(key, error.to_string());
                    }
                }
            }
            _ => self.error(&at, "a folder is complete by its `marker` or by what it is to `expect`; write one of the two"),
        }
        if !intake.members.is_empty() {
            self.error(&at, "all files of the folder belong to the job already; leave `members` out");
        }
        if !intake.recursive {
            self.error(at, "bundles are folders below the intake's, which `recursive = false` leaves out");
        }
    }

    /// Folders that files are written to must not be taken from.
    fn folders(&mut self, path: &str, route: &Route, config: &Config) {
        let intake = &route.intake;
        if !intake.has_folder() && intake.http != Some(true) {
            let message =
                "it is empty; write the path of a folder, or `http = true` beside it for a route that only takes what is posted to it";
            self.error(format!("{path}.intake.path"), message);
        }
        let (done, failed) = (intake.done_dir(), intake.failed_dir());
        for (key, folder, set) in [("done", &done, &intake.done), ("failed", &failed, &intake.failed)] {
            let key = format!("{path}.intake.{key}");
            if let Some(set) = set {
                self.not_empty(&key, set);
            }
            if is_same(folder, &intake.path) {
                self.error(key, "it is the intake's own folder, so that its files would be taken again; name another");
            }
        }
        if is_same(&done, &failed) {
            self.error(format!("{path}.intake.failed"), "it is the same folder as `done`; name another");
        }
        for (index, destination) in route.destinations.iter().enumerate() {
            let Destination::Folder(FolderDestination { path: folder, .. }) = destination else { continue };
            let key = format!("{path}.destinations[{index}].path");
            self.not_empty(&key, folder);
            if is_same(folder, &done) || is_same(folder, &failed) {
                self.error(&key, "documents would mix with the files that were converted; name another folder");
            }
            self.not_taken(key, folder, intake, "its documents would be taken as new files");
        }
        self.not_taken(format!("{path}.intake.path"), &config.state_dir, intake, "`state_dir` is inside, and its files would be taken");
        self.not_taken(
            format!("{path}.intake.path"),
            &config.plugins_dir,
            intake,
            "`plugins_dir` is inside, and its plugins would be taken",
        );
    }

    /// Says an error if files in `folder` may be taken by `intake`.
    fn not_taken(&mut self, key: impl Into<String>, folder: &Path, intake: &Intake, consequence: &str) {
        if !takes_from(intake, folder) {
            return;
        }
        let remedy = match paths::below(&intake.path, folder).filter(|inner| !inner.is_empty()) {
            Some(inner) => format!("; move it out of the intake's folder, or add \"{inner}/**\" to the intake's `exclude`"),
            None => "; name another folder".into(),
        };
        self.error(key, format!("{consequence}{remedy}"));
    }

    /// Two routes must not take the same files: the first to settle one would take it from the other.
    fn shared_intake(&mut self, path: &str, route: &Route, other_index: usize, other: &Route) {
        let (mine, its) = (&route.intake, &other.intake);
        let same = is_same(&mine.path, &its.path);
        if !same && !takes_from(its, &mine.path) && !takes_from(mine, &its.path) {
            return;
        }
        let key = format!("{path}.intake.path");
        let excluding = !mine.exclude.is_empty() || !its.exclude.is_empty();
        match patterns::overlap(&mine.include, &its.include) {
            Some(false) => {}
            Some(true) if same && !excluding => self.error(
                key,
                format!(
                    "routes[{other_index}] takes the same files from this folder; give the two different folders or different `include`s"
                ),
            ),
            _ => self.warn(
                key,
                format!("routes[{other_index}] may take files from this folder too; a file that both take goes to either of them"),
            ),
        }
    }
}

fn is_same(left: &Path, right: &Path) -> bool {
    let is_empty = |path: &Path| path.as_os_str().is_empty();
    if is_empty(left) || is_empty(right) {
        return false;
    }
    paths::below(left, right).is_some_and(|inner| inner.is_empty())
}

/// Whether `intake` takes files that are in `folder`, as far as that does not depend on their names.
fn takes_from(intake: &Intake, folder: &Path) -> bool {
    if folder.as_os_str().is_empty() || intake.path.as_os_str().is_empty() {
        return false;
    }
    let Some(inner) = paths::below(&intake.path, folder) else { return false };
    if inner.is_empty() {
        return true;
    }
    let settled = [intake.done_dir(), intake.failed_dir()].iter().any(|settled| paths::below(settled, folder).is_some());
    // A pattern that is wrong is said elsewhere.
    let excluded = || Patterns::new(&intake.exclude).is_ok_and(|exclude| exclude.matches(&Path::new(&inner).join("document")));
    intake.recursive && !settled && !excluded()
}

fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if authority.is_empty() || url.contains(char::is_whitespace) {
        return Err(format!("{url:?} is no address of a server; write one such as \"https://server\""));
    }
    // The URL is left out of the message: it holds a secret.
    if authority.contains('@') {
        return Err("the address holds a user name or password; put a token into a file and name that as `token_file`".into());
    }
    Ok(())
}
