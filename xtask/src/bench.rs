//! `cargo xtask bench`: a large CSV through the sandbox, beside Miller on the same machine at the same time.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::term::{self, say, section};
use crate::workspace::Workspace;
use crate::{build, setup};

/// How many rows the file has unless the command line says otherwise.
pub(crate) const ROWS: u64 = 2_000_000;
/// Each tool runs this often, in turns; the fastest counts.
const RUNS: usize = 3;

/// Runs it and shows a table.
///
/// # Errors
/// Where a tool fails or loses a row.
pub(crate) fn run(workspace: &Workspace, rows: u64) -> Result<()> {
    setup::wasm_section(workspace)?;
    setup::tool(workspace, "mlr", "miller", "the comparison")?;
    section("build");
    term::command("host, optimised", &mut workspace.cargo(&["build", "--release", "-p", "dropforge"]))?;
    build::plugins(workspace, "release")?;

    section("input");
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder)?;
    // A tenth beside the whole: where memory is constant, both need the same.
    let (small, large) = (folder.join("tenth.csv"), folder.join("whole.csv"));
    for (path, rows) in [(&small, (rows / 10).max(1)), (&large, rows)] {
        term::step(&format!("{rows} rows"), || {
            generate(path, rows)?;
            Ok(format!("{:.0} MB in {}", megabytes(path)?, path.display()))
        })?;
    }

    section(&format!("best of {RUNS}, in turns"));
    let mut table = Table::default();
    for path in [&small, &large] {
        let (mut ours, mut miller) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(convert(workspace, path, &folder)?);
            if let Some(program) = workspace.program("mlr") {
                miller.push(measure(Command::new(program).args(["--icsv", "--ojsonl", "cat"]).arg(path), &folder.join("mlr.jsonl"))?);
            }
        }
        table.add(path, "dropforge convert", &ours)?;
        table.add(path, "mlr --icsv --ojsonl cat", &miller)?;
    }
    say(table.text());
    Ok(())
}

#[derive(Default)]
struct Table {
    rows: String,
    /// The speed of the first tool on the last input.
    reference: f64,
}

impl Table {
    fn add(&mut self, input: &Path, tool: &str, runs: &[Run]) -> Result<()> {
        let Some(best) = runs.iter().min_by_key(|run| run.wall_time) else { return Ok(()) };
        let size = megabytes(input)?;
        let speed = size / best.wall_time.as_secs_f64();
        let first = tool.starts_with("dropforge");
        let ratio = if first { String::new() } else { format!("{:.1} times slower", self.reference / speed) };
        if first {
            self.reference = speed;
        }
        // The worst run's memory: it is a bound that counts.
        let memory = runs.iter().filter_map(|run| run.peak_memory_bytes).max();
        let memory = memory.map_or_else(|| "not known here".into(), |bytes| format!("{:.0} MiB", bytes as f64 / 1048576.0));
        writeln!(self.rows, "{size:>6.0} MB  {tool:<24}{:>8.2} s{speed:>8.0} MB/s{memory:>15}   {ratio}", best.wall_time.as_secs_f64())?;
        Ok(())
    }

    fn text(&self) -> String {
        format!("{:>9}  {:<24}{:>10}{:>13}{:>15}\n{}", "input", "tool", "time", "speed", "peak memory", self.rows)
    }
}

/// What one run took.
struct Run {
    wall_time: Duration,
    /// Of the process itself, without children; only Linux tells.
    peak_memory_bytes: Option<u64>,
}

fn convert(workspace: &Workspace, input: &Path, folder: &Path) -> Result<Run> {
    let output = folder.join("dropforge.jsonl");
    let plugin = workspace.plugins().join("csv.wasm");
    let mut command = Command::new(workspace.binary("release"));
    command.arg("convert").arg(input).arg("--converter").arg(plugin).args(["-o", "-"]);
    let run = measure(&mut command, &output)?;
    let (rows, lines) = (lines(input)? - 1, lines(&output)?);
    if rows != lines {
        bail!("{} has {rows} rows, and {lines} came out", input.display());
    }
    Ok(run)
}

/// Runs a command with its output in a file.
fn measure(command: &mut Command, output: &Path) -> Result<Run> {
    let line = term::shown(command);
    command.stdin(Stdio::null()).stdout(File::create(output)?);
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

fn megabytes(path: &Path) -> Result<f64> {
    Ok(fs::metadata(path)?.len() as f64 / 1e6)
}

fn lines(path: &Path) -> Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
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

/// Writes measurements of a test station: the same for the same number of rows.
fn generate(path: &Path, rows: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(b"serial,time,station,step,value,low,high,unit,status,comment\n")?;
    let mut random = Random(0x5EED);
    for row in 0..rows {
        let second = row / 25;
        let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let (day, station, step) = (1 + second / 86_400 % 28, random.below(8), random.below(400));
        let value = random.below(2_000_000) as f64 / 1e4;
        let unit = match random.below(4) {
            0 => "V",
            1 => "mA",
            2 => "Ohm",
            _ => "nF",
        };
        let status = if random.below(50) == 0 { "FAIL" } else { "PASS" };
        let serial = 1_000_000 + row / 40;
        write!(file, "SN{serial},2026-03-{day:02}T{hours:02}:{minutes:02}:{seconds:02},ICT-{station},{step},{value:.3},")?;
        match random.below(10) {
            0 => file.write_all(b",,")?,
            _ => write!(file, "{:.1},{:.1},", value - 1.5, value + 1.5)?,
        }
        write!(file, "{unit},{status},")?;
        match random.below(20) {
            0 => file.write_all(b"\"probe moved, measured again\"")?,
            1 => file.write_all(b"\"limit \"\"B\"\"\"")?,
            2..5 => write!(file, "fixture {}", random.below(90) + 10)?,
            _ => {}
        }
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}

/// A linear congruential generator (Knuth's MMIX): no more is needed, and it is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_input_has_the_size_that_is_reported() {
        let path = std::env::temp_dir().join(format!("dropforge-bench-{}.csv", std::process::id()));
        generate(&path, 20_000).unwrap();
        let (size, lines) = (megabytes(&path).unwrap(), lines(&path).unwrap());
        let header = fs::read_to_string(&path).unwrap().lines().next().unwrap().split(',').count();
        fs::remove_file(&path).unwrap();
        assert_eq!((lines, header), (20_001, 10));
        assert!((1.385..1.395).contains(&size), "{size} MB for a hundredth of the rows");
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(high_water_mark("Name:\tdropforge\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12345 * 1024));
        assert_eq!(high_water_mark("Name:\tdropforge\n"), None);
    }
}
