//! What the end-to-end tests share: the real binary, started on a temporary folder and free ports, and ways to wait for what it does.
//!
//! `cargo xtask test` builds the binary and the plugins first. A test waits for a condition, never for a time; the time limits here only
//! end a test that would otherwise hang.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::missing_panics_doc)]

pub mod attack;
pub mod collector;
#[cfg(target_os = "linux")]
pub mod deploy;
pub mod disk;
#[cfg(unix)]
pub mod expressions;
pub mod mounts;
pub mod plot;
pub mod prometheus;
pub mod receiver;
#[cfg(target_os = "linux")]
pub mod record;
pub mod reports;
pub mod secure;
pub mod stream;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

/// How long a condition may take before the test fails: far more than it ever takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The folder that cargo builds into: tests run from `<target>/<profile>/deps`.
pub fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own program");
    test.ancestors().nth(2).expect("tests are in <target>/<profile>/deps").to_path_buf()
}

/// The binary under test.
pub fn dropforge() -> PathBuf {
    let path = profile_folder().join(format!("dropforge{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built: run `cargo xtask test`, or `cargo build` first", path.display());
    path
}

/// The folder of everything that is built.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a profile folder is in a target folder").to_path_buf()
}

/// A plugin that `cargo xtask test` has built: one of `plugins/`, or of `tests/guests/`, by the name of its folder.
pub fn plugin(name: &str) -> PathBuf {
    let path = target_folder().join("plugins").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is not built: run `cargo xtask test`", path.display());
    path
}

/// The same for a guest whose language needs a tool that may not be had here; where it is missing, that is said, and the test has nothing to do.
pub fn plugin_if_built(name: &str) -> Option<PathBuf> {
    let path = target_folder().join("plugins").join(format!("{name}.wasm"));
    if !path.exists() {
        eprintln!("SKIPPED: {name}.wasm is not built, because its tool cannot be had here: `cargo xtask setup` says why");
    }
    path.exists().then_some(path)
}

/// What `python3` prints, as JSON, that runs a script of `tests/compare` with the standard library alone.
pub fn python(script: &str, arguments: &[&Path]) -> Value {
    script_answer(Path::new("python3"), script, arguments)
}

/// The same in the environment that `cargo xtask setup` makes, which has junitparser.
pub fn python_with_packages(script: &str, arguments: &[&Path]) -> Value {
    let venv = target_folder().join("venv");
    let python = if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") };
    assert!(python.exists(), "{} is not there: run `cargo xtask setup`", python.display());
    script_answer(&python, script, arguments)
}

fn script_answer(python: &Path, script: &str, arguments: &[&Path]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compare").join(script);
    let output = Command::new(python).arg(&script).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").output();
    let output =
        output.unwrap_or_else(|error| panic!("this test compares with Python, and `{}` does not start: {error}", python.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed (if a package is missing, run `cargo xtask setup`):\n{errors}", script.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file of `tests/data`.
pub fn data(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(path);
    assert!(path.exists(), "{} is not there", path.display());
    path
}

/// Waits until `condition` gives something, and fails with `what` and the daemon's log where it never does.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited {} s in vain for: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything below a folder that is a file, by path relative to it, hidden ones too. A folder that is not there has none.
pub fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(path),
                Ok(_) => {
                    let relative = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                    found.insert(relative, path);
                }
                Err(_) => {}
            }
        }
    }
    found
}

/// A daemon to be started: folders `in`, `out`, `plugins` and `state` in a temporary folder, ports chosen by the system.
pub struct Setup {
    folder: TempDir,
    /// The program that starts the daemon, with its arguments; none for the daemon itself.
    starter: Vec<OsString>,
    /// The daemon's program, if it is another build of it.
    program: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The name of the configuration file, and its text.
    config: Option<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}

impl Setup {
    /// The three flags alone, and no plugin.
    pub fn new() -> Self {
        Setup::new_in(&std::env::temp_dir())
    }

    /// The same in a temporary folder that is in a given one.
    pub fn new_in(parent: &Path) -> Self {
        let setup = Setup::empty_in(parent);
        for name in ["in", "plugins"] {
            fs::create_dir(setup.path(name)).unwrap();
        }
        setup
    }

    /// The same without any folder in it.
    pub fn empty_in(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("dropforge-test-").tempdir_in(parent).unwrap();
        Setup { folder, starter: Vec::new(), program: None, arguments: Vec::new(), environment: Vec::new(), config: None }
    }

    /// Lets another program start the daemon: its command line is followed by the daemon's. It must become the daemon, with the same process id.
    pub fn through(mut self, starter: Vec<OsString>) -> Self {
        self.starter = starter;
        self
    }

    /// Runs another build of the daemon.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Puts built plugins into the plugins folder, as if they had been there for long: a start waits until new ones stop changing.
    pub fn plugins(self, names: &[&str]) -> Self {
        for name in names {
            let target = self.path("plugins").join(format!("{name}.wasm"));
            fs::copy(plugin(name), &target).unwrap();
            File::options().append(true).open(target).unwrap().set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        }
        self
    }

    /// Runs with a configuration file (TOML) instead of the flags; `{dir}` in it stands for the temporary folder.
    pub fn config(self, toml: &str) -> Self {
        let text = toml.replace("{dir}", &self.folder.path().display().to_string());
        self.config_file("dropforge.toml", &text)
    }

    /// Runs with a configuration file of this name and text.
    pub fn config_file(mut self, name: &str, text: &str) -> Self {
        self.config = Some((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds a command line argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A path in the temporary folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The command that starts this daemon.
    pub fn command(&self) -> Command {
        let mut line = self.starter.iter().cloned().chain([self.program.clone().unwrap_or_else(dropforge).into_os_string()]);
        let mut command = Command::new(line.next().unwrap());
        command.args(line).arg("run").current_dir(self.folder.path());
        match &self.config {
            Some((name, text)) => {
                fs::write(self.path(name), text).unwrap();
                command.args(["-c", name]);
            }
            None => {
                command.args(["--inbox", "in", "--outbox", "out"]);
            }
        }
        command.args(["--plugins", "plugins", "--state", "state"]);
        if !self.arguments.iter().any(|argument| argument.starts_with("--health-port")) {
            command.arg("--health-port=0");
        }
        if !self.arguments.iter().any(|argument| argument.starts_with("--metrics-port")) {
            command.arg("--metrics-port=0");
        }
        command.args(&self.arguments).env_remove("DROPFORGE_CRASH_AT").env("NO_COLOR", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the daemon and waits until it has taken up its work.
    pub fn start(self) -> Daemon {
        let daemon = self.spawn();
        daemon.wait_for_log("is ready: drop files");
        daemon
    }

    /// Starts the daemon, and waits for nothing.
    pub fn spawn(self) -> Daemon {
        let log = self.path("log");
        let log_from = fs::metadata(&log).map_or(0, |metadata| metadata.len() as usize);
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self.command().stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Daemon { child, setup: self, log, log_from }
    }
}

/// A daemon that was started. Dropping it kills it.
pub struct Daemon {
    child: Child,
    setup: Setup,
    log: PathBuf,
    /// Where the log of this start begins.
    log_from: usize,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
            eprintln!("--- its inbox ---\n{:#?}", files(&self.path("in")).keys().take(100).collect::<Vec<_>>());
        }
    }
}

impl Daemon {
    /// A path in its folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.setup.path(relative)
    }

    /// What is in the spool, by name: the documents of jobs that are not settled. What says whose they are is left out: it stays there longer.
    pub fn spooled(&self) -> BTreeMap<String, PathBuf> {
        let mut spooled = files(&self.path("state/spool"));
        spooled.retain(|name, _| !name.starts_with("manifest-"));
        spooled
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_from..).unwrap_or_default()).into_owned()
    }

    /// Waits until the log holds a text.
    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log to say `{text}`\n{}", self.log.display()), || self.log().contains(text).then_some(()));
    }

    /// The port of the health server.
    pub fn health_port(&self) -> u16 {
        self.port("Health server started on port ")
    }

    /// The port of the metrics server.
    pub fn metrics_port(&self) -> u16 {
        self.port("Metrics server started on port ")
    }

    fn port(&self, line: &str) -> u16 {
        wait_for(line, || {
            let log = self.log();
            // A daemon that took its configuration anew has begun once more.
            let (_, rest) = log.rsplit_once(line)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
    }

    /// Asks the health port: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.health_port(), path)
    }

    /// Asks the health port for JSON.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).1).unwrap()
    }

    /// Runs a command that asks this daemon: exit code, standard output, standard error.
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let (port, state) = (self.health_port().to_string(), self.path("state"));
        run(&self.path("in"), &[arguments, &["--health-port", &port, "--state", state.to_str().unwrap()]].concat())
    }

    /// The newest jobs, of the queue and of its history.
    pub fn jobs(&self) -> Vec<Value> {
        self.json("/api/v1/jobs?limit=1000").as_array().unwrap().clone()
    }

    /// The newest job of a file, by its path below the intake.
    pub fn job(&self, path: &str) -> Option<Value> {
        self.jobs().into_iter().find(|job| job["path"] == path)
    }

    /// Waits until a file's job is in a state, or waits for something, and gives it.
    pub fn wait_for_job(&self, path: &str, state: &str) -> Value {
        wait_for(&format!("{path} to be {state}"), || self.job(path).filter(|job| job["state"] == state || job["waiting"] == state))
    }

    /// Waits until a file has a job that fulfils a condition, and gives it.
    pub fn wait_for_job_that(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("the job of {path}"), || self.job(path).filter(|job| condition(job)))
    }

    /// Every job must have been settled as converted, but for those whose paths are listed.
    pub fn assert_all_converted(&self, but: &[&str]) {
        let failed = |job: &Value| job["outcome"] != "converted" && !but.iter().any(|path| job["path"] == *path);
        let failed: Vec<Value> = self.jobs().into_iter().filter(failed).collect();
        assert!(failed.is_empty(), "not converted: {failed:#?}");
    }

    /// What the daemon says of a file of its plugins folder.
    pub fn plugin_status(&self, file: &str) -> Option<Value> {
        self.json("/api/v1/plugins").as_array()?.iter().find(|plugin| plugin["file"] == file).cloned()
    }

    /// Waits until a version of a plugin runs, loaded from a file.
    pub fn wait_for_version(&self, file: &str, version: &str) {
        wait_for(&format!("version {version} of {file} to run"), || {
            self.plugin_status(file).filter(|plugin| plugin["running"]["version"] == version && plugin["refused"].is_null())
        });
    }

    /// The value of one series, such as `conversions_total{converter="csv",status="success"}`, with the labels in the exposition's order.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Puts a file into the inbox as a careful writer does: under a temporary name, then renamed.
    pub fn drop_file(&self, name: &str, content: impl AsRef<[u8]>) {
        self.drop_into("in", name, content);
    }

    /// The same for the inbox of another route, in a folder of that name.
    pub fn drop_into(&self, inbox: &str, name: &str, content: impl AsRef<[u8]>) {
        let target = self.path(inbox).join(name);
        let temporary = target.with_file_name(format!(".{}.tmp", target.file_name().unwrap().to_string_lossy()));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, target).unwrap();
    }

    /// Waits until a series has a value: what is counted when a job has ended is there an instant after the job's files are.
    pub fn assert_metric(&self, series: &str, expected: f64) {
        wait_for(&format!("{series} to be {expected}; it is {:?}", self.metric(series)), || {
            (self.metric(series) == Some(expected)).then_some(())
        });
    }

    /// The same for [`Daemon::metric_sum`].
    pub fn assert_metric_sum(&self, family: &str, label: &str, expected: f64) {
        wait_for(&format!("{family} to sum to {expected}; it is {}", self.metric_sum(family, label)), || {
            (self.metric_sum(family, label) == expected).then_some(())
        });
    }

    /// Adds up the values of all series of a family that have this text among their labels.
    pub fn metric_sum(&self, family: &str, label: &str) -> f64 {
        let (_, body) = self.get("/metrics");
        let of_family = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label);
        body.lines().filter(of_family).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Puts a plugin file into the plugins folder, replacing one of that name.
    pub fn drop_plugin(&self, name: &str, content: impl AsRef<[u8]>) {
        let target = self.path("plugins").join(name);
        let temporary = self.path("plugins").join(format!(".{name}.tmp"));
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, target).unwrap();
    }

    /// The complete documents in the outbox, by name.
    pub fn documents(&self) -> BTreeMap<String, PathBuf> {
        files(&self.path("out")).into_iter().filter(|(name, _)| !name.contains(".dropforge-")).collect()
    }

    /// Waits until the outbox holds this many documents.
    pub fn wait_for_documents(&self, count: usize) -> BTreeMap<String, PathBuf> {
        wait_for(&format!("{count} documents"), || Some(self.documents()).filter(|documents| documents.len() >= count))
    }

    /// Waits until the outbox holds a document of this name (its id left out), and gives where.
    pub fn wait_for_document(&self, name: &str) -> PathBuf {
        wait_for(&format!("the document {name}"), || {
            self.documents().into_iter().find(|(file, _)| without_id(file) == name).map(|(_, path)| path)
        })
    }

    /// Waits until a source is settled in `done` or `failed` (with its date in between) and its documents are delivered, and gives where it is.
    pub fn wait_for_settled(&self, folder: &str, name: &str) -> PathBuf {
        let source = self.wait_for_source(folder, name);
        self.wait_for_deliveries(name);
        source
    }

    fn wait_for_deliveries(&self, name: &str) {
        wait_for(&format!("the documents of {name}"), || {
            let jobs = self.jobs();
            jobs.iter().all(|job| job["state"] != "committed" || !job["path"].as_str().unwrap().ends_with(name)).then_some(())
        });
    }

    /// Waits until a source is in `done` or `failed`, wherever its documents are, and gives where it is.
    pub fn wait_for_source(&self, folder: &str, name: &str) -> PathBuf {
        self.wait_for_settled_in("in", folder, name)
    }

    fn wait_for_settled_in(&self, inbox: &str, folder: &str, name: &str) -> PathBuf {
        wait_for(&format!("{name} in {folder}"), || {
            let suffix = format!("/{name}");
            files(&self.path(inbox).join(folder)).into_iter().find(|(path, _)| path.ends_with(&suffix)).map(|(_, path)| path)
        })
    }

    /// Waits until a source has failed and what was made of it is delivered, and gives its sidecar.
    pub fn wait_for_sidecar(&self, name: &str) -> Value {
        self.wait_for_sidecar_in("in", name)
    }

    /// The same for the inbox of another route.
    pub fn wait_for_sidecar_in(&self, inbox: &str, name: &str) -> Value {
        let source = self.wait_for_settled_in(inbox, "failed", name);
        self.wait_for_deliveries(name);
        let mut sidecar = source.into_os_string();
        sidecar.push(".dropforge.json");
        serde_json::from_slice(&fs::read(&sidecar).unwrap()).unwrap()
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    #[cfg(unix)]
    pub fn interrupt(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::INT);
        self.wait()
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    #[cfg(unix)]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon to end", || self.ended())
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it was started from, with its folders, for another start.
    pub fn into_setup(mut self) -> Setup {
        self.kill();
        std::mem::take(&mut self.setup)
    }

    /// Starts it again on the same folders, with changes to its set-up.
    pub fn restart(self, change: impl FnOnce(Setup) -> Setup) -> Daemon {
        change(self.into_setup()).spawn()
    }
}

/// The name of a document in an outbox, without the id that keeps names from colliding: `a-3f09c2a1b4d5e6f7.jsonl` is `a.jsonl`.
pub fn without_id(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').map_or((name, String::new()), |(stem, extension)| (stem, format!(".{extension}")));
    let (stem, id) = stem.rsplit_once('-').unwrap_or_else(|| panic!("{name} has no id"));
    assert!(id.len() >= 16 && id.chars().all(|c| c.is_ascii_hexdigit()), "{name} has no id");
    format!("{stem}{extension}")
}

/// Gets a path from a port of this machine: status and body.
pub fn get(port: u16, path: &str) -> (u16, String) {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build());
    let mut response = agent.get(format!("http://127.0.0.1:{port}{path}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// The guest `misbehave` as another version of itself: `1.0.0-release.AAAA` with other letters at the end, as many and upper-case.
pub fn misbehave(letters: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"1.0.0-release.AAAA";
    assert_eq!(letters.len(), 4);
    let mut module = fs::read(plugin("misbehave")).unwrap();
    let places: Vec<usize> = module.windows(LETTERS.len()).enumerate().filter(|(_, window)| *window == LETTERS).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "misbehave.wasm does not hold its version");
    for at in places {
        module[at + LETTERS.len() - 4..at + LETTERS.len()].copy_from_slice(letters.as_bytes());
    }
    module
}

/// What `dropforge plugin inspect --json` says of a plugin file.
pub fn inspect(plugin: &Path) -> Value {
    let (code, answer, errors) = run(Path::new("."), &["plugin", "inspect", "--json", plugin.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&answer).unwrap()
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The binary, to be run in a folder. What it compiles is kept for all tests, as it is for a user.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(dropforge());
    command.current_dir(folder).env("NO_COLOR", "1").env("DROPFORGE_STATE_DIR", target_folder().join("tests-state")).stdin(Stdio::null());
    command
}
