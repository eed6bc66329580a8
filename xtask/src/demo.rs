//! `cargo xtask demo`: Dropforge on real files, from an empty folder to documents, in front of the reader's eyes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::daemon::{Daemon, drop_file};
use crate::term::{self, bold, say, section, step};
use crate::workspace::Workspace;
use crate::{build, http, setup};

/// Real files, from `tests/data` (its `SOURCES.md` says whose).
const TABLE: &str = "csv/smallpop.csv";
const REPORT: &str = "junit/pytest-junit.fail.xml";
const BROKEN: &str = "junit/pytest-corrupt-xml.xml";

/// Shows all of it. `stay` leaves the daemon running.
///
/// # Errors
/// Where anything does not come out as it should.
pub(crate) fn run(workspace: &Workspace, stay: bool) -> Result<()> {
    setup::wasm_section(workspace)?;
    section("build");
    build::host(workspace)?;
    build::plugins(workspace, "debug")?;

    section("start on an empty folder");
    let folder = fresh_folder(workspace)?;
    let data = workspace.root.join("tests").join("data");
    let plugins = workspace.plugins();
    drop_file(&plugins.join("csv.wasm"), &folder.join("plugins"))?;
    drop_file(&data.join(TABLE), &folder.join("in"))?;
    say(format!("{}: in/ holds {}, plugins/ holds csv.wasm", folder.display(), name_of(TABLE)));
    say(term::dim("$ dropforge run --inbox in --outbox out --plugins plugins --state state"));
    let mut daemon = None;
    step("the daemon", || {
        let started = Daemon::start(workspace, &folder)?;
        let port = started.port;
        daemon = Some(started);
        Ok(format!("ready: http://127.0.0.1:{port}/health/ready"))
    })?;
    let mut daemon = daemon.context("the daemon is not there")?;

    section("a CSV file becomes documents");
    step("waiting for what comes of it", || {
        let out = daemon.path("out");
        daemon.wait("a document in out/", || files(&out).iter().any(|file| is_document(file, "jsonl")))?;
        Ok("done".into())
    })?;
    show_documents(&daemon.path("out"), "jsonl", 3)?;

    section("a file that no converter takes");
    daemon.drop_file(&data.join(REPORT), "in")?;
    let failed = daemon.path("in").join("failed");
    step(&format!("dropped {} into in/", name_of(REPORT)), || {
        daemon.wait("the file in in/failed/", || sidecar_of(&failed, REPORT).is_some())?;
        Ok("it went to in/failed/, with a sidecar that says why".into())
    })?;
    show_sidecar(&failed, REPORT, "no_converter")?;

    section("hot drop: the converter for it arrives, nothing restarts");
    let start = Instant::now();
    daemon.drop_file(&plugins.join("junit.wasm"), "plugins")?;
    step("dropped junit.wasm into plugins/", || {
        let port = daemon.port;
        daemon.wait("the plugin to be loaded", || {
            http::get(port, "/metrics").is_ok_and(|(_, body)| body.lines().any(|line| line.starts_with("plugin_info{converter=\"junit\"")))
        })?;
        Ok(format!("live after {}", term::seconds(start.elapsed())))
    })?;
    step("the file that waited for it", || {
        let (out, port) = (daemon.path("out"), daemon.port);
        daemon.wait("a document of the report", || files(&out).iter().any(|file| is_document(file, "json")))?;
        daemon.wait("the job to be settled", || {
            http::get(port, "/metrics").is_ok_and(|(_, body)| body.contains("conversions_total{converter=\"junit\",status=\"success\"} 1"))
        })?;
        Ok("converted without being dropped again".into())
    })?;
    show_documents(&daemon.path("out"), "json", 4)?;

    section("a broken file says what is wrong with it");
    daemon.drop_file(&data.join(BROKEN), "in")?;
    step(&format!("dropped {} into in/", name_of(BROKEN)), || {
        daemon.wait("the file in in/failed/", || sidecar_of(&failed, BROKEN).is_some())?;
        let port = daemon.port;
        daemon.wait("the error in /metrics", || {
            http::get(port, "/metrics")
                .is_ok_and(|(_, body)| body.contains("conversion_errors_total{converter=\"junit\",error_type=\"malformed\"} 1"))
        })?;
        Ok("it went to in/failed/".into())
    })?;
    show_sidecar(&failed, BROKEN, "malformed")?;

    section("what the daemon says of itself");
    show_endpoints(daemon.port)?;

    section("where everything is");
    show_tree(&daemon.folder)?;
    say(format!("all of it in {}, the log in daemon.log", bold(daemon.folder.display())));

    if stay {
        section("it stays up: Ctrl-C ends it");
        say(format!("drop files into {}", bold(daemon.path("in").display())));
        say(format!("health and metrics: http://127.0.0.1:{}/health and /metrics", daemon.port));
        let status = daemon.wait_for_end()?;
        return if status.success() { Ok(()) } else { bail!("the daemon ended with {status}") };
    }
    section("end");
    step("SIGTERM: nothing new is taken, running jobs end", || {
        let status = daemon.stop()?;
        if status.success() { Ok("the daemon ended cleanly".into()) } else { bail!("the daemon ended with {status}") }
    })?;
    say("`cargo xtask demo --stay` keeps it running.");
    Ok(())
}

/// An empty folder of a fixed name, so that people can look into it afterwards.
fn fresh_folder(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for name in ["in", "out", "plugins"] {
        fs::create_dir_all(folder.join(name))?;
    }
    Ok(folder)
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every file below a folder, in the order of their paths.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file with an extension that is not being written any more.
fn is_document(path: &Path, extension: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.extension().is_some_and(|other| other == extension) && !name.starts_with('.')
}

fn show_documents(out: &Path, extension: &str, lines: usize) -> Result<()> {
    for path in files(out).iter().filter(|path| is_document(path, extension)) {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        if text.trim().is_empty() {
            bail!("{} is empty", path.display());
        }
        say(bold(format!("out/{}", path.strip_prefix(out).unwrap_or(path).display())));
        for line in text.lines().take(lines) {
            say(format!("  {}", cut(line)));
        }
        let more = text.lines().count().saturating_sub(lines);
        if more > 0 {
            say(term::dim(format!("  ... and {more} more lines")));
        }
    }
    Ok(())
}

/// The sidecar of a file, once the file is beside it.
fn sidecar_of(failed: &Path, file: &str) -> Option<PathBuf> {
    let all = files(failed);
    let named = |suffix: &str| all.iter().find(|path| path.to_string_lossy().ends_with(&format!("{}{suffix}", name_of(file))));
    named("")?;
    named(".dropforge.json").cloned()
}

fn show_sidecar(failed: &Path, file: &str, error_type: &str) -> Result<()> {
    let path = sidecar_of(failed, file).with_context(|| format!("{file} has no sidecar"))?;
    let text = fs::read_to_string(&path)?;
    if !text.contains(&format!("\"error_type\": \"{error_type}\"")) {
        bail!("{} does not say {error_type}:\n{text}", path.display());
    }
    say(bold(name_of(&path.to_string_lossy())));
    for line in text.lines() {
        say(format!("  {}", cut(line)));
    }
    Ok(())
}

fn show_endpoints(port: u16) -> Result<()> {
    for path in ["/health", "/health/ready", "/health/live"] {
        let (status, body) = http::get(port, path)?;
        if status != 200 {
            bail!("{path} answers {status}: {body}");
        }
        say(format!("{:<14} {status} {}", path, body.trim()));
    }
    let (_, metrics) = http::get(port, "/metrics")?;
    let shown = ["conversions_total", "conversion_errors_total", "junit_cases_total", "queue_depth", "plugin_info", "intake_files_total"];
    say(format!("/metrics       {} lines, of which", metrics.lines().count()));
    for line in metrics.lines().filter(|line| shown.iter().any(|name| line.starts_with(name)) && !line.ends_with(" 0")) {
        say(format!("  {}", cut(line)));
    }
    Ok(())
}

fn show_tree(folder: &Path) -> Result<()> {
    for path in files(folder) {
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        if !relative.starts_with("state") {
            say(format!("  {:<60} {:>9} bytes", relative.display(), fs::metadata(&path)?.len()));
        }
    }
    Ok(())
}

/// A line that fits on most screens.
fn cut(line: &str) -> String {
    const WIDTH: usize = 150;
    if line.chars().count() <= WIDTH { line.to_owned() } else { line.chars().take(WIDTH).chain(" ...".chars()).collect() }
}
