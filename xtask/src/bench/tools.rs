//! What is measured: the converter in its sandbox, the same code compiled natively, and other programs that make JSON Lines of CSV.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::setup::quietly;
use crate::term;
use crate::workspace::Workspace;

/// A program, and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// `dropforge convert`, to a folder, with every limit on.
    Dropforge,
    /// The converter's code without a sandbox.
    Native,
    /// `xan to ndjson`.
    Xan,
    /// `COPY … (FORMAT json)`.
    DuckDb,
    /// `write_ndjson`.
    Polars,
    /// `mlr --icsv --ojsonl cat`.
    Miller,
}

const DUCKDB: &str = "import duckdb, sys; duckdb.sql(f\"COPY (FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT json)\")";
const POLARS: &str = "import polars, sys; polars.read_csv(sys.argv[1]).write_ndjson(sys.argv[2])";

impl Tool {
    pub(super) const ALL: [Tool; 6] = [Tool::Dropforge, Tool::Native, Tool::Xan, Tool::DuckDb, Tool::Polars, Tool::Miller];

    /// What it is called in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Dropforge => "dropforge convert",
            Tool::Native => "the same code natively",
            Tool::Xan => "xan to ndjson",
            Tool::DuckDb => "DuckDB COPY",
            Tool::Polars => "Polars write_ndjson",
            Tool::Miller => "mlr cat",
        }
    }

    /// Whether it is somebody else's.
    pub(super) fn is_other(self) -> bool {
        !matches!(self, Tool::Dropforge | Tool::Native)
    }

    /// Whether it is here; where not, how it would come.
    pub(super) fn missing(self, workspace: &Workspace) -> Option<&'static str> {
        let has = |module: &str| {
            quietly(Command::new(python(workspace)).args(["-c", &format!("import {module}")])).is_ok_and(|out| out.status.success())
        };
        match self {
            Tool::Dropforge | Tool::Native => None,
            Tool::Xan => workspace.program("xan").is_none().then_some("`cargo install xan` brings it"),
            Tool::Miller => workspace.program("mlr").is_none().then_some("the package `miller` brings it"),
            Tool::DuckDb => (!has("duckdb")).then_some("`pip install duckdb` could not bring it"),
            Tool::Polars => (!has("polars")).then_some("`pip install polars` could not bring it"),
        }
    }

    /// Converts a file.
    pub(super) fn run(self, workspace: &Workspace, input: &Path, folder: &Path) -> Result<Run> {
        let output = folder.join(format!("{self:?}.jsonl"));
        // A file that is there already would be written without new pages.
        _ = fs::remove_file(&output);
        let program = |name: &str| workspace.program(name).map(Command::new).with_context(|| format!("{name} is gone"));
        let python = || Command::new(python(workspace));
        let mut standard = Stdio::null();
        let mut command = match self {
            Tool::Dropforge => {
                let into = folder.join("dropforge");
                _ = fs::remove_dir_all(&into);
                let mut command = Command::new(workspace.binary("release"));
                command.arg("convert").arg(input).arg("--converter").arg(workspace.plugins().join("csv.wasm")).arg("-o").arg(&into);
                command
            }
            Tool::Native => {
                let mut command = Command::new(native(workspace));
                command.arg(input).arg(&output);
                command
            }
            Tool::Xan | Tool::Miller => {
                standard = File::create(&output)?.into();
                let mut command = program(if self == Tool::Xan { "xan" } else { "mlr" })?;
                command.args(if self == Tool::Xan { ["to", "ndjson"].as_slice() } else { &["--icsv", "--ojsonl", "cat"] }).arg(input);
                command
            }
            Tool::DuckDb | Tool::Polars => {
                let mut command = python();
                command.args(["-c", if self == Tool::DuckDb { DUCKDB } else { POLARS }]).arg(input).arg(&output);
                command
            }
        };
        measure(command.stdin(Stdio::null()).stdout(standard))
    }

    /// Where the last run left its rows.
    pub(super) fn output(self, input: &Path, folder: &Path) -> PathBuf {
        match self {
            Tool::Dropforge => folder.join("dropforge").join(input.with_extension("jsonl").file_name().unwrap_or_default()),
            _ => folder.join(format!("{self:?}.jsonl")),
        }
    }
}

/// Builds the converter natively, and gets what can be had with pip into an environment of its own.
///
/// # Errors
/// Where the converter does not build.
pub(super) fn prepare(workspace: &Workspace) -> Result<()> {
    let build = ["build", "--release", "-p", "dropforge-plugin-csv", "--example", "native"];
    term::command("converter, native", &mut workspace.cargo(&build))?;
    term::step("DuckDB and Polars", || {
        if !python(workspace).is_file() {
            quietly(Command::new("python3").args(["-m", "venv"]).arg(venv(workspace)))?;
        }
        let installed = quietly(Command::new(python(workspace)).args(["-m", "pip", "install", "-q", "duckdb", "polars"]))?;
        Ok(if installed.status.success() { "from pip".into() } else { "pip could not bring them".into() })
    })
}

fn native(workspace: &Workspace) -> PathBuf {
    workspace.target.join("release").join("examples").join(format!("native{}", std::env::consts::EXE_SUFFIX))
}

fn venv(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bench").join("venv")
}

fn python(workspace: &Workspace) -> PathBuf {
    let venv = venv(workspace);
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}

/// What one run took.
pub(super) struct Run {
    /// From its start to its end.
    pub wall_time: Duration,
    /// Of the process itself, without children; only Linux tells.
    pub peak_memory_bytes: Option<u64>,
}

fn measure(command: &mut Command) -> Result<Run> {
    let line = term::shown(command);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_memory_bytes = None;
    loop {
        // The high-water mark only grows, so the last look before the end counts.
        peak_memory_bytes = fs::read_to_string(&status).ok().as_deref().and_then(high_water_mark).max(peak_memory_bytes);
        if let Some(ended) = child.try_wait()? {
            if !ended.success() {
                bail!("`{line}` ended with {ended}");
            }
            return Ok(Run { wall_time: start.elapsed(), peak_memory_bytes });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::high_water_mark;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(high_water_mark("Name:\tdropforge\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12345 * 1024));
        assert_eq!(high_water_mark("Name:\tdropforge\n"), None);
    }
}
