//! The program for Windows, as `cargo xtask windows` builds it, under Wine: converting, the daemon with plugins that come while it runs, kills, files
//! that fail, and the service. Wine is not Windows (`docs/windows.md` says what that leaves open).
//!
//! It takes a build of its own, so it is left out unless `DROPFORGE_TEST_WINE=1` asks for it; then nothing that is missing is passed over.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dropforge_tests::{Daemon, Setup, data, dropforge, files, plugin, target_folder, wait_for, without_id};
use tempfile::TempDir;

/// Where Debian has it, and where others do.
const WINE: [&str; 4] = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/local/bin/wine64", "/usr/bin/wine"];

/// A Windows of Wine's, which all tests of this file share: making one takes seconds, and 700 MB.
struct Wine {
    program: &'static Path,
    folder: TempDir,
    /// Without a program of a user's, Wine ends its services; and where several start at once, each may start service managers of its own.
    user: Option<Child>,
}

impl Wine {
    /// None where nobody has asked for it.
    fn get() -> Option<Arc<Wine>> {
        static SHARED: Mutex<Weak<Wine>> = Mutex::new(Weak::new());
        if std::env::var_os("DROPFORGE_TEST_WINE").is_none_or(|value| value.is_empty() || value == "0") {
            eprintln!(
                "SKIPPED: the program for Windows is tried under Wine by `cargo xtask windows`, or with DROPFORGE_TEST_WINE=1 where it is built"
            );
            return None;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let wine = shared.upgrade().unwrap_or_else(|| Arc::new(Wine::new()));
        *shared = Arc::downgrade(&wine);
        Some(wine)
    }

    fn new() -> Wine {
        let program =
            WINE.map(Path::new).into_iter().find(|program| program.is_file()).expect("Wine is not here (Debian's package wine64)");
        let built = target_folder().join("dist/bin/x86_64-pc-windows-gnu");
        let mut wine = Wine { program, folder: tempfile::tempdir().unwrap(), user: None };
        fs::create_dir(wine.path("bin")).unwrap();
        for file in ["dropforge.exe", "bcryptprimitives.dll"] {
            let from = built.join(file);
            fs::copy(&from, wine.path("bin").join(file))
                .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask windows`", from.display()));
        }
        let made = wine.command(&["wineboot", "--init"]).status().unwrap();
        assert!(made.success(), "wineboot ended with {made}");
        let ended = wine.server("-w");
        assert!(ended.success(), "wineserver ended with {ended}");
        let mut user = wine.command(&["cmd"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It says who it is, and waits for a command.
        user.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        wine.user = Some(user);
        wine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path on its drive C.
    fn drive_c(&self, name: &str) -> PathBuf {
        self.path("prefix").join("drive_c").join(name)
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        // Neither Mono nor Gecko is asked for, nor is everything told that Wine lacks.
        [
            ("WINEPREFIX", self.path("prefix").display().to_string()),
            ("WINEDEBUG", "-all".into()),
            ("WINEDLLOVERRIDES", "mscoree,mshtml=".into()),
        ]
    }

    /// Has the process that stands for the system wait for the end of all others (`-w`), or end them (`-k`).
    fn server(&self, order: &str) -> ExitStatus {
        let beside = self.program.with_file_name("wineserver");
        let server = if beside.is_file() { beside } else { "wineserver".into() };
        Command::new(server).arg(order).envs(self.environment()).status().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments).current_dir(self.folder.path()).envs(self.environment()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs the program: exit code, standard output, standard error.
    fn dropforge(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let exe = self.path("bin/dropforge.exe");
        let output = self.command(&[&[exe.to_str().unwrap()], arguments].concat()).output().unwrap();
        words(&output)
    }

    /// A daemon under Wine, with the route of a file and the plugins that come.
    fn daemon(&self) -> Setup {
        let config = "bundled_plugins = false\n[[routes]]\nname = 'line'\nintake = { path = 'in' }\n\
                      destinations = [{ type = 'folder', path = 'out' }]\n";
        let setup = Setup::new().through(vec![self.program.into()]).program(self.path("bin/dropforge.exe")).config(config);
        self.environment().into_iter().fold(setup, |setup, (name, value)| setup.environment(name, &value))
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Whatever runs in this Windows, and nothing else.
        self.server("-k");
        let _ = self.user.as_mut().map(Child::wait);
    }
}

fn words(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_converts_with_what_is_inside_as_linux_does() {
    let Some(wine) = Wine::get() else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = data("csv/smallpop.csv");
    let mut linux = Command::new(dropforge());
    linux.arg("convert").arg(&input).arg("--converter").arg(plugin("csv")).args(["-o", "-"]);
    let (code, linux, errors) =
        words(&linux.current_dir(folder.path()).env("DROPFORGE_STATE_DIR", folder.path().join("linux")).output().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    let exe = wine.path("bin/dropforge.exe");
    let windows_path = format!("Z:{}", input.display().to_string().replace('/', "\\"));
    let mut windows = wine.command(&[exe.to_str().unwrap(), "convert", &windows_path, "--converter", "csv", "-o", "-"]);
    let windows = words(&windows.current_dir(folder.path()).env("DROPFORGE_STATE_DIR", "state").output().unwrap());
    assert_eq!(windows.0, Some(0), "{}", windows.2);
    assert_eq!(windows.1, linux);
    assert_eq!(linux.lines().count(), 10);

    let mut list = wine.command(&[exe.to_str().unwrap(), "plugin", "list"]);
    let list = words(&list.current_dir(folder.path()).env("DROPFORGE_STATE_DIR", "state").output().unwrap());
    assert!(list.0 == Some(0) && list.1.contains("stdf"), "{list:?}");
    // What is wrong with a command line says so there too.
    let (code, _, said) = wine.dropforge(&["convert", "C:\\none.csv"]);
    assert!(code == Some(1) && said.contains("none.csv"), "{said}");
}

#[test]
fn a_daemon_takes_a_plugin_while_it_runs_delivers_through_kills_and_sets_aside_what_fails() {
    const FILES: usize = 60;
    let Some(wine) = Wine::get() else { return };
    let daemon = wine.daemon().start();
    assert_eq!(daemon.get("/health/ready").0, 503, "there is no converter yet");
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    wait_for("the converter to run", || daemon.plugin_status("csv.wasm").filter(|plugin| plugin["running"]["name"] == "csv"));
    wait_for("the daemon to be ready", || (daemon.get("/health/ready").0 == 200).then_some(()));

    let content = |number: usize| format!("serial,volts\nS{number},{number}.5\n");
    let drop_files = |daemon: &Daemon, numbers: std::ops::Range<usize>| {
        numbers.for_each(|number| daemon.drop_file(&format!("{number}.csv"), content(number)));
    };
    drop_files(&daemon, 0..FILES / 2);
    // Killed while it works, with more to come; and once more while it starts.
    let mut daemon = daemon;
    daemon.wait_for_documents(5);
    drop_files(&daemon, FILES / 2..FILES);
    daemon.kill();
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("Health server started");
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    daemon.drop_file("foreign.xyz", [0_u8, 255, 1, 2]);
    for number in 0..FILES {
        daemon.wait_for_settled("done", &format!("{number}.csv"));
    }
    let foreign = daemon.wait_for_sidecar("foreign.xyz");
    assert_eq!((&foreign["outcome"], &foreign["error_type"]), (&"failed".into(), &"no_converter".into()), "{foreign:#}");
    assert_each_once(&daemon, FILES, content);
    let (_, metrics) = daemon.get("/metrics");
    assert!(metrics.contains("conversions_total{converter=\"none\",status=\"error\"} 1"), "{metrics}");

    // A second one on the same folder is refused, and a plugin that goes is let go.
    let (code, _, said) = second(&wine, &daemon);
    assert!(code == Some(1) && said.contains("state"), "{said}");
    fs::remove_file(daemon.path("plugins/csv.wasm")).unwrap();
    wait_for("the converter to be gone", || {
        daemon.plugin_status("csv.wasm").is_none_or(|plugin| plugin["running"].is_null()).then_some(())
    });
}

/// Each file has its one document, with its own content, and was settled once.
fn assert_each_once(daemon: &Daemon, count: usize, content: impl Fn(usize) -> String) {
    let mut documents: BTreeMap<String, usize> = BTreeMap::new();
    for (name, path) in daemon.documents() {
        let name = without_id(&name);
        let number: usize = name.strip_suffix(".jsonl").unwrap().parse().unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("\"S{number}\"")), "{name}: {text}");
        *documents.entry(name).or_default() += 1;
    }
    assert!(documents.len() == count && documents.values().all(|times| *times == 1), "{documents:?}");
    let settled = files(&daemon.path("in"));
    let settled: Vec<_> = settled.iter().filter(|(name, _)| name.ends_with(".csv")).collect();
    assert_eq!(settled.len(), count, "{settled:?}");
    for (name, path) in settled {
        let number = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert!(name.starts_with("done/") && fs::read_to_string(path).unwrap() == content(number), "{name}");
    }
}

fn second(wine: &Wine, daemon: &Daemon) -> (Option<i32>, String, String) {
    let exe = wine.path("bin/dropforge.exe");
    let mut command = wine.command(&[exe.to_str().unwrap(), "run", "-c", "dropforge.toml", "--state", "state", "--health-port", "0"]);
    words(&command.args(["--metrics-port", "0"]).current_dir(daemon.path("")).output().unwrap())
}

#[test]
fn the_service_is_installed_runs_says_why_not_and_goes() {
    let Some(wine) = Wine::get() else { return };
    let (code, said, _) = wine.dropforge(&["service", "status"]);
    assert_eq!((code, said.as_str()), (Some(1), "The service is not installed.\n"));
    // Somebody was there first.
    let folder = wine.drive_c("ProgramData/Dropforge");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("dropforge.toml"), "").unwrap();
    let (code, _, said) = wine.dropforge(&["service", "install"]);
    assert!(code == Some(1) && said.contains("--take-over"), "{said}");
    assert_eq!(wine.dropforge(&["service", "status"]).0, Some(1));
    fs::remove_dir_all(&folder).unwrap();

    let line = wine.drive_c("line3");
    fs::create_dir_all(line.join("plugins")).unwrap();
    fs::copy(plugin("csv"), line.join("plugins/csv.wasm")).unwrap();
    let config = line.join("dropforge.toml");
    let right = "bundled_plugins = false\nhealth_port = 0\nmetrics_port = 0\nstate_dir = 'state'\nplugins_dir = 'plugins'\nlog = { file = 'log/dropforge.log' }\n\
                 [[routes]]\nname = 'line'\nintake = { path = 'in', create = true }\ndestinations = [{ type = 'folder', path = 'out' }]\n";
    fs::write(&config, right).unwrap();
    let install = || wine.dropforge(&["service", "install", "-c", "C:\\line3\\dropforge.toml"]);
    let (code, said, errors) = install();
    assert_eq!(code, Some(0), "{said}{errors}");
    let (code, said, _) = wine.dropforge(&["service", "status"]);
    assert!(code == Some(0) && said.starts_with("Running, process "), "{said}");
    fs::write(line.join("in/.a.tmp"), "serial\nS1\n").unwrap();
    fs::rename(line.join("in/.a.tmp"), line.join("in/a.csv")).unwrap();
    wait_for("the document", || (!files(&line.join("out")).is_empty()).then_some(()));

    // Installed again, with a configuration that is wrong: it says why, and so do the log, the folder and `status`.
    fs::write(&config, format!("enable_cash = true\n{right}")).unwrap();
    let (code, _, errors) = install();
    assert!(code == Some(1) && errors.contains("has stopped again") && errors.contains("enable_cash"), "{errors}");
    let (code, said, _) = wine.dropforge(&["service", "status"]);
    assert!(code == Some(1) && said.starts_with("Stopped") && said.contains("enable_cash"), "{said}");
    assert!(fs::read_to_string(folder.join("start-error.txt")).unwrap().contains("enable_cash"));
    assert!(fs::read_to_string(line.join("log/dropforge.log")).unwrap().lines().last().unwrap().contains("enable_cash"));

    // Mended, it runs; then it goes, and its folder is nobody's that it would trust.
    fs::write(&config, right).unwrap();
    let (code, said, errors) = install();
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(!folder.join("start-error.txt").exists());
    let (code, said, errors) = wine.dropforge(&["service", "uninstall"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(
        fs::read_to_string(line.join("log/dropforge.log")).unwrap().trim_end().ends_with("stopped"),
        "it was asked to stop, and not ended"
    );
    assert_eq!(wine.dropforge(&["service", "status"]).1, "The service is not installed.\n");
    let (code, _, said) = install();
    assert!(code == Some(1) && said.contains("--take-over"), "{said}");
    let (code, said, errors) = wine.dropforge(&["service", "install", "--take-over", "-c", "C:\\line3\\dropforge.toml"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert_eq!(wine.dropforge(&["service", "uninstall"]).0, Some(0));
}
