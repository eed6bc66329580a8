//! The panel's head, and its boards: each a report.

use dropforge_sdk::report::{Reporter, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, DecimalSign, Line, Lines, number};
use dropforge_sdk::{Error, Output, Result};

use crate::row::{self, place};

/// What the head of a panel says, between two `@`.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    model: String,
    /// Its serial number, which holds for boards without one of their own.
    serial: Option<String>,
    at: String,
    /// Where the date stands.
    at_line: Line,
    seconds: Option<f64>,
    tester: Option<String>,
    operator: Option<String>,
}

/// Whether a line begins a board.
pub(crate) fn begins_board(text: &str) -> bool {
    text.starts_with("* GROUP")
}

fn is_mark(text: &str) -> bool {
    text.trim() == "@"
}

impl Panel {
    /// Reads the head behind its first `@`; none at the end of the file.
    ///
    /// # Errors
    /// `Malformed` where the file ends inside it; `MissingField` for one without model or date.
    pub fn read(lines: &mut Lines<'_, '_>) -> Result<Option<Panel>> {
        let (mut model, mut serial, mut date, mut seconds, mut tester, mut operator) = (None, None, None, None, None, None);
        let mut empty = true;
        loop {
            let Some(line) = lines.next_line()? else {
                // After the last board there is one `@`, and nothing.
                return if empty && lines.number() > 1 { Ok(None) } else { Err(truncated(lines, "a panel's head")) };
            };
            let text = line.text.trim();
            if text == "@" {
                // The mark that closes a panel, and the one that opens the next.
                if empty {
                    continue;
                }
                let model = model.ok_or_else(|| line.place(Error::missing_field("the head names no model").code("model")))?;
                let (at, at_line) = date.ok_or_else(|| line.place(Error::missing_field("the head has no DATE").code("date")))?;
                return Ok(Some(Panel { model, serial, at, at_line, seconds, tester, operator }));
            }
            empty &= text.is_empty();
            if let Some(found) = text.strip_prefix("Model:") {
                model = Some(found.trim().to_owned());
            } else if let Some(found) = text.strip_prefix("Serial No.:") {
                serial = Some(found.trim().to_owned()).filter(|found| !found.is_empty());
            } else if let Some(found) = text.strip_prefix("DATE ") {
                date = Some((found.trim().to_owned(), line.clone()));
            } else if let Some(found) = text.strip_prefix("Test time:") {
                seconds = number(found.trim().trim_end_matches('s'), DecimalSign::Point);
            } else if let Some(found) = text.strip_prefix("Test ID :") {
                tester = Some(found.trim().to_owned());
            } else if let Some(found) = text.strip_prefix("User name :") {
                operator = Some(found.trim().to_owned());
            }
        }
    }
}

/// The next line that says something. Lines that are no text are set aside.
///
/// # Errors
/// What reading gives.
pub(crate) fn next(lines: &mut Lines<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<Option<Line>> {
    loop {
        match lines.next_line() {
            Ok(Some(line)) if line.text.trim().is_empty() => {}
            Ok(Some(line)) if begins_board(&line.text) || is_mark(&line.text) => return Ok(Some(line)),
            Ok(Some(line)) => {
                let error = line.malformed("this line stands outside of a board, which begins with `* GROUP No.`").code("outside");
                reports.set_aside(output, Err(error))?;
                skip(lines)?;
            }
            Ok(None) => {
                // A panel ends with `@`.
                let error = truncated(lines, "a panel");
                reports.set_aside(output, Err(error))?;
                return Ok(None);
            }
            Err(error) => reports.set_aside(output, Err(error))?,
        }
    }
}

/// Reads one board behind its first line, and writes its report.
///
/// # Errors
/// What is wrong with it; the place is that of the line that shows it.
pub(crate) fn one(
    line: &Line,
    panel: &Panel,
    dates: &DateFormat,
    named: Option<&str>,
    lines: &mut Lines<'_, '_>,
    reports: &mut Reporter,
    output: &mut Output,
) -> Result<()> {
    let index = line.text.trim_start_matches("* GROUP No.").trim_end_matches(['*', ' ']).trim().parse::<i32>();
    let index = index.map_err(|_| line.malformed("the board has no number: `* GROUP No.1 *` was expected").code("record"))?;
    let (start, warning) = reports.clock().read(&panel.at, dates).map_err(|error| panel.at_line.place(error))?;
    let sign = reports.decimal_sign();
    let program = panel.model.rsplit_once('.').map_or(panel.model.as_str(), |(name, _)| name);
    // A name may begin with the program's instead.
    let serial = panel.serial.as_deref().or(named.filter(|named| *named != program)).unwrap_or_default();
    let mut unit = Unit {
        serial: serial.into(),
        start: Some(start),
        station: panel.tester.clone(),
        operator: panel.operator.clone(),
        sequence_name: Some(program.to_owned()),
        sequence_path: Some(panel.model.clone()),
        execution_time: panel.seconds,
        socket_index: Some(index),
        ..Unit::default()
    };
    if !head(&mut unit, lines)? {
        skip(lines)?;
        let warning = Error::validation(format!("board {index} was not tested: it has no report")).code("no_test");
        return output.warn(line.place(warning));
    }
    let written = reports.test(output, |steps| {
        if let Some(warning) = warning {
            steps.warn(panel.at_line.place(warning));
        }
        loop {
            let Some(next) = lines.peek()? else { return Err(truncated(lines, "a board")) };
            if begins_board(&next.text) || is_mark(&next.text) {
                return Ok(unit);
            }
            let Some(next) = lines.next_line()? else { continue };
            if next.text.starts_with(|first: char| first.is_ascii_digit()) {
                row::write(&next, steps, sign)?;
            } else if !next.text.trim().is_empty() {
                return Err(next.malformed("this is no row of a board's table").code("record"));
            }
        }
    });
    written.map_err(|error| place(line, error))
}

/// Reads the head of a board, with the names of the columns, and says whether it was tested.
fn head(unit: &mut Unit, lines: &mut Lines<'_, '_>) -> Result<bool> {
    loop {
        let Some(next) = lines.peek()? else { return Err(truncated(lines, "a board's head")) };
        if begins_board(&next.text) || is_mark(&next.text) {
            return Err(next.place(Error::malformed("the board has no table").code("record")));
        }
        let Some(next) = lines.next_line()? else { continue };
        let text = next.text.trim();
        if text.starts_with('*') {
            match text.trim_matches(['*', ' ']) {
                "PASS" => unit.verdict = Some(Verdict::Passed),
                "FAIL" => unit.verdict = Some(Verdict::Failed),
                "NO-TEST" => return Ok(false),
                other => {
                    let message = format!("`{other}` is no result: PASS, FAIL or NO-TEST were expected");
                    return Err(next.place(Error::validation(message).code("result")));
                }
            }
        } else if let Some(serial) = text.strip_prefix("Serial No.:") {
            if !serial.trim().is_empty() {
                unit.serial = serial.trim().into();
            }
        } else if text.starts_with("Group_No.\t") {
            if unit.serial.is_empty() {
                return Err(next.place(Error::missing_field("the board has no serial number").code("serial")));
            }
            return Ok(true);
        } else if !text.is_empty() && !text.starts_with("D.T:") {
            return Err(next.malformed("this is no line of a board's head").code("record"));
        }
    }
}

fn truncated(lines: &Lines<'_, '_>, inside: &str) -> Error {
    lines.place(Error::malformed(format!("the file ends inside {inside}")).code("truncated"))
}

/// Goes to the next board, or to the end of the panel.
///
/// # Errors
/// What reading gives, but for lines that are no text.
pub(crate) fn skip(lines: &mut Lines<'_, '_>) -> Result<()> {
    lines.skip_to(|line| begins_board(&line.text) || is_mark(&line.text))
}
