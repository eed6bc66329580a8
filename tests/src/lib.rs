//! What the end-to-end tests share: the real binary, started on a temporary folder and free ports, and ways to wait for what it does.
//!
//! `cargo xtask test` builds the binary and the plugins first. A test waits for a condition, never for a time; the time limits here only
//! end a test that would otherwise hang.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

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

/// A plugin that `cargo xtask test` has built: `csv`, `junit`, or a guest of the tests.
pub fn plugin(name: &str) -> PathBuf {
    let target = profile_folder().parent().expect("a profile folder is in a target folder").to_path_buf();
    let path = target.join("plugins").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is not built: run `cargo xtask test`", path.display());
    path
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
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}

impl Setup {
    /// The three flags alone, and no plugin.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dropforge-test-").tempdir().unwrap();
        for name in ["in", "plugins"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Setup { folder, arguments: Vec::new(), environment: Vec::new(), config: None }
    }

    /// Puts built plugins into the plugins folder.
    pub fn plugins(self, names: &[&str]) -> Self {
        for name in names {
            fs::copy(plugin(name), self.path("plugins").join(format!("{name}.wasm"))).unwrap();
        }
        self
    }

    /// Runs with a configuration file (TOML) instead of the flags; `{dir}` in it stands for the temporary folder.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.replace("{dir}", &self.folder.path().display().to_string()));
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
        let mut command = Command::new(dropforge());
        command.arg("run").current_dir(self.folder.path());
        match &self.config {
            Some(config) => {
                fs::write(self.path("dropforge.toml"), config).unwrap();
                command.args(["-c", "dropforge.toml"]);
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
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self.command().stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Daemon { child, setup: self, log, log_from: 0 }
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
        }
    }
}

impl Daemon {
    /// A path in its folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.setup.path(relative)
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
            let (_, rest) = log.split_once(line)?;
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

    /// The value of one series, such as `conversions_total{converter="csv",status="success"}`, with the labels in the exposition's order.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Puts a file into the inbox as a careful writer does: under a temporary name, then renamed.
    pub fn drop_file(&self, name: &str, content: impl AsRef<[u8]>) {
        let target = self.path("in").join(name);
        let temporary = target.with_file_name(format!(".{}.tmp", target.file_name().unwrap().to_string_lossy()));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, target).unwrap();
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

    /// Waits until a source is settled in `done` or `failed` (with its date in between), and gives where.
    pub fn wait_for_settled(&self, folder: &str, name: &str) -> PathBuf {
        wait_for(&format!("{name} in {folder}"), || {
            let suffix = format!("/{name}");
            files(&self.path("in").join(folder)).into_iter().find(|(path, _)| path.ends_with(&suffix)).map(|(_, path)| path)
        })
    }

    /// Waits until a source has failed, and gives its sidecar.
    pub fn wait_for_sidecar(&self, name: &str) -> Value {
        let source = self.wait_for_settled("failed", name);
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
        wait_for("the daemon to end", || self.child.try_wait().unwrap())
    }

    /// Starts it again on the same folders, with changes to its set-up.
    pub fn restart(mut self, change: impl FnOnce(Setup) -> Setup) -> Daemon {
        self.kill();
        let log_from = fs::metadata(&self.log).map_or(0, |metadata| metadata.len() as usize);
        let setup = change(std::mem::take(&mut self.setup));
        let mut daemon = setup.spawn();
        daemon.log_from = log_from;
        daemon
    }
}

/// Gets a path from a port of this machine: status and body.
pub fn get(port: u16, path: &str) -> (u16, String) {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build());
    let mut response = agent.get(format!("http://127.0.0.1:{port}{path}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(dropforge()).args(arguments).current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
