//! WSTF: a text with a header, a table of steps and a footer for each unit, between marks.

mod header;
mod row;
mod steps;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{ReportOptions, Reporter, Steps};
use dropforge_sdk::text::{Line, Lines};

use header::Header;

/// How far into a file the first mark is looked for.
const PROBED_LINES: usize = 20;

/// What parts a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Header,
    Steps,
    Footer,
    End,
}

impl Mark {
    fn of(line: &Line) -> Option<Mark> {
        let text = line.text.trim();
        let inner = text.strip_prefix("--")?.strip_suffix("--")?;
        match inner.trim() {
            "Header-Start" => Some(Mark::Header),
            "Step-Data-Start" => Some(Mark::Steps),
            "Step-Data-End" => Some(Mark::Footer),
            "UUT-End" => Some(Mark::End),
            _ => None,
        }
    }
}

/// Whether a file begins a unit.
pub(crate) fn is_one(input: &mut Input) -> bool {
    let Ok(mut lines) = Lines::open(input, ReportOptions::default().encoding) else { return false };
    for _ in 0..PROBED_LINES {
        match lines.next_line() {
            Ok(Some(line)) if Mark::of(&line) == Some(Mark::Header) => return true,
            Ok(Some(line)) if line.text.trim().is_empty() => {}
            _ => return false,
        }
    }
    false
}

/// Reads all units of a file, and writes their reports.
///
/// # Errors
/// What the host fails with; the first error of a file without reports.
pub(crate) fn convert(input: &mut Input, options: &ReportOptions, output: &mut Output) -> Result<Outcome> {
    let mut reports = Reporter::open(input, options)?;
    let mut lines = Lines::open(input, options.encoding)?;
    let begins = |line: &Line| Mark::of(line) == Some(Mark::Header);
    reports.units(&mut lines, output, begins, |reports, line, lines, output| match line {
        line if line.text.trim().is_empty() => Ok(()),
        line if begins(line) => one(line, options, lines, reports, output),
        _ => Err(line.malformed("this line stands outside of a unit, which begins with --Header-Start--").code("outside")),
    })?;
    if reports.nothing_yet() {
        return Err(Error::unsupported("there is no --Header-Start--: this is none of WATS's standard formats").code("not_wats").line(1));
    }
    reports.conclude(output)
}

/// Reads a unit behind its first mark, and writes its report.
fn one(line: &Line, options: &ReportOptions, lines: &mut Lines<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<()> {
    let mut header = Header::new(options)?;
    while header.takes(next(lines)?, Mark::Steps)? {}
    let (start, warning) = header.start(reports.clock()).map_err(|error| place(line, error))?;
    let written = reports.test(output, |steps: &mut Steps<'_>| {
        if let Some(warning) = warning {
            steps.warn(place(line, warning));
        }
        steps::all(lines, options.decimal_sign, steps)?;
        while header.takes(next(lines)?, Mark::End)? {}
        let mut unit = header.unit()?;
        unit.start = Some(start);
        Ok(unit)
    });
    written.map_err(|error| place(line, error))
}

/// The next line that says something; there has to be one.
fn next(lines: &mut Lines<'_, '_>) -> Result<Line> {
    loop {
        if lines.peek()?.is_some_and(|line| Mark::of(line) == Some(Mark::Header)) {
            return Err(lines.place(Error::malformed("a unit begins before the one before it has ended with --UUT-End--").code("record")));
        }
        match lines.next_line()? {
            Some(line) if line.text.trim().is_empty() => {}
            Some(line) => return Ok(line),
            None => return Err(lines.place(Error::malformed("the file ends inside a unit, before --UUT-End--").code("truncated"))),
        }
    }
}

/// Puts the line into an error that has no place yet.
fn place(line: &Line, error: Error) -> Error {
    if error.at.is_some() { error } else { line.place(error) }
}

/// The beginning of a text, for messages.
fn short(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}
