//! `cargo xtask bench`: large tables through the sandbox, beside the same code compiled natively and other programs, on the same machine, one
//! at a time; then small ones, beside a converter that only copies.

mod tables;
mod tools;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::term::{self, say, section};
use crate::workspace::Workspace;
use crate::{build, setup};
use tables::Table;
use tools::{Run, Tool};

/// How many rows the tables have unless the command line says otherwise.
pub(crate) const ROWS: u64 = 2_000_000;
/// Each tool runs this often, in turns; the fastest counts.
const RUNS: usize = 3;

/// Runs it and shows tables.
///
/// # Errors
/// Where a tool fails or loses a row.
pub(crate) fn run(workspace: &Workspace, rows: u64) -> Result<()> {
    setup::wasm_section(workspace)?;
    setup::tool(workspace, "mlr", "miller", "the comparison")?;
    section("build");
    term::command("host, optimised", &mut workspace.cargo(&["build", "--release", "-p", "dropforge"]))?;
    build::plugins(workspace, "release")?;
    build::plugin(workspace, "release", &workspace.root.join("tests").join("guests").join("copy"))?;
    tools::prepare(workspace)?;
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder)?;
    let mut here = Vec::new();
    for tool in Tool::ALL {
        match tool.missing(workspace) {
            None => here.push(tool),
            Some(how) => say(format!("   without {}: {how}", tool.name())),
        }
    }
    for table in Table::ALL {
        measure(workspace, table, rows, &here, &folder)?;
    }
    small(workspace)
}

/// One table with every tool.
fn measure(workspace: &Workspace, table: Table, rows: u64, tools: &[Tool], folder: &Path) -> Result<()> {
    section(&format!("table `{}`: best of {RUNS}, in turns", table.name()));
    let input = folder.join(format!("{}.csv", table.name()));
    term::step(&format!("{rows} rows"), || {
        table.write(&input, rows)?;
        Ok(format!("{:.0} MB in {}", megabytes(&input)?, input.display()))
    })?;
    let mut runs: Vec<(Tool, Vec<Run>)> = tools.iter().map(|tool| (*tool, Vec::new())).collect();
    for _ in 0..RUNS {
        for (tool, runs) in &mut runs {
            runs.push(tool.run(workspace, &input, folder)?);
            let output = tool.output(&input, folder);
            let lines = lines(&output)?;
            if lines != rows {
                bail!("{}: the table has {rows} rows, and {lines} came out of {}", output.display(), tool.name());
            }
            // What the next one writes should find the disk as this one did.
            fs::remove_file(&output).with_context(|| format!("cannot remove {}", output.display()))?;
        }
    }
    say(shown(megabytes(&input)?, &runs)?);
    Ok(())
}

/// The table of results, and how the converter stands to the fastest other program and to itself.
fn shown(megabytes: f64, runs: &[(Tool, Vec<Run>)]) -> Result<String> {
    let mut text = format!("{:<26}{:>10}{:>13}{:>15}\n", "tool", "time", "speed", "peak memory");
    let mut speeds = Vec::new();
    for (tool, runs) in runs {
        let Some(seconds) = runs.iter().map(|run| run.wall_time.as_secs_f64()).min_by(f64::total_cmp) else { continue };
        // The worst run's memory: it is a bound that counts.
        let memory = runs.iter().filter_map(|run| run.peak_memory_bytes).max();
        let memory = memory.map_or_else(|| "not known here".into(), |bytes| format!("{:.0} MiB", bytes as f64 / 1048576.0));
        writeln!(text, "{:<26}{seconds:>8.2} s{:>8.0} MB/s{memory:>15}", tool.name(), megabytes / seconds)?;
        speeds.push((*tool, megabytes / seconds));
    }
    let speed = |wanted: Tool| speeds.iter().find(|(tool, _)| *tool == wanted).map(|(_, speed)| *speed);
    let fastest = speeds.iter().filter(|(tool, _)| tool.is_other()).max_by(|(_, a), (_, b)| a.total_cmp(b));
    if let (Some(ours), Some((tool, fastest))) = (speed(Tool::Dropforge), fastest) {
        writeln!(text, "{:.2} times the fastest other program, {}", ours / fastest, tool.name())?;
    }
    if let (Some(ours), Some(native)) = (speed(Tool::Dropforge), speed(Tool::Native)) {
        writeln!(text, "{:.2} of the same code natively", ours / native)?;
    }
    Ok(text)
}

/// A file of 1 KB, beside the same through a converter that only copies.
fn small(workspace: &Workspace) -> Result<()> {
    section("a file of 1 KB in the sandbox");
    for plugin in ["csv", "copy"] {
        let mut command = Command::new(workspace.binary("release"));
        command.args(["bench", "sandbox", "--converter"]).arg(workspace.plugins().join(format!("{plugin}.wasm")));
        let output = setup::quietly(&mut command)?;
        say(String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

fn megabytes(path: &Path) -> Result<f64> {
    Ok(fs::metadata(path)?.len() as f64 / 1e6)
}

fn lines(path: &Path) -> Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).with_context(|| format!("cannot read {}", path.display()))?);
    let mut lines = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(lines);
        }
        lines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        let used = chunk.len();
        reader.consume(used);
    }
}
