//! ATDX: a head and a table for each board, and all of that again where the panel was tested again.

mod row;

use dropforge_sdk::report::{Misc, Moment, Reporter, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, Line, Lines};
use dropforge_sdk::{Error, Output, Result};

use crate::row::place;

/// Whether a line begins the head of a board.
pub(crate) fn begins_head(text: &str) -> bool {
    text.starts_with('#') && text.contains("\"Main header\"")
}

/// Reads the boards of a file.
pub(crate) struct Boards<'f> {
    dates: &'f DateFormat,
    /// The serial number that the file's name has.
    named: Option<&'f str>,
    /// How many rows the first board has.
    rows: Option<usize>,
    /// How often each board was begun, by its number.
    attempts: Vec<(i32, i64)>,
}

/// What the head of a board says.
#[derive(Default)]
struct Head {
    unit: Unit,
    /// When it was tested, and where that stands.
    date: Option<(String, Line)>,
    group: Option<i32>,
}

/// The most boards of a panel that are told apart.
const MAX_BOARDS: usize = 10_000;

impl<'f> Boards<'f> {
    /// With how dates are written.
    pub fn new(dates: &'f DateFormat, named: Option<&'f str>) -> Self {
        Boards { dates, named, rows: None, attempts: Vec::new() }
    }

    /// Reads all boards, and writes their reports.
    ///
    /// # Errors
    /// What reading gives.
    pub fn all(&mut self, lines: &mut Lines<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<()> {
        let begins = |line: &Line| begins_head(&line.text);
        reports.units(lines, output, begins, |reports, line, lines, output| match line.text.as_str() {
            text if text.trim().is_empty() => Ok(()),
            text if begins_head(text) => self.one(line, lines, reports, output),
            _ => Err(line.malformed("this line stands outside of a board, which begins with a main header").code("outside")),
        })
    }

    fn one(&mut self, line: &Line, lines: &mut Lines<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<()> {
        let head = head(lines)?;
        let group = head.group.ok_or_else(|| line.place(Error::missing_field("the board has no `Group No.:`").code("record")))?;
        let (date, date_line) = head.date.ok_or_else(|| line.place(Error::missing_field("the head has no `Test Date:`").code("date")))?;
        let (start, warning) = reports.clock().read(&date, self.dates).map_err(|error| date_line.place(error))?;
        let unit = self.unit(head.unit, group, start);
        if unit.serial.is_empty() {
            let message = "neither the head nor the file's name has a serial number";
            return Err(line.place(Error::missing_field(message).code("serial")));
        }
        let sign = reports.decimal_sign();
        let mut rows = 0;
        let written = reports.test(output, |steps| {
            if let Some(warning) = warning {
                steps.warn(date_line.place(warning));
            }
            while let Some(next) = lines.peek()? {
                if begins_head(&next.text) {
                    return Ok(unit);
                }
                let Some(next) = lines.next_line()? else { break };
                if !next.text.trim().is_empty() {
                    row::write(&next, steps, sign)?;
                    rows += 1;
                }
            }
            // Nothing in the file says where the last board ends: it has as many rows as the first, or is not whole.
            if lines.is_cut() || self.rows.is_some_and(|first| rows < first) {
                return Err(truncated(lines, "a board"));
            }
            Ok(unit)
        });
        written.map_err(|error| place(line, error))?;
        self.rows.get_or_insert(rows);
        Ok(())
    }

    fn unit(&mut self, mut unit: Unit, group: i32, start: Moment) -> Unit {
        if unit.serial.is_empty() {
            unit.serial = self.named.unwrap_or_default().to_owned();
        }
        let attempt = match self.attempts.iter_mut().find(|(known, _)| *known == group) {
            Some((_, attempts)) => {
                *attempts += 1;
                *attempts
            }
            None => {
                if self.attempts.len() < MAX_BOARDS {
                    self.attempts.push((group, 1));
                }
                1
            }
        };
        unit.misc.push(Misc { description: "Attempt".into(), text: None, numeric: Some(attempt) });
        Unit { start: Some(start), socket_index: Some(group), ..unit }
    }
}

/// Reads a board's head, with the names of the columns.
fn head(lines: &mut Lines<'_, '_>) -> Result<Head> {
    let mut head = Head::default();
    loop {
        let Some(next) = lines.peek()? else { return Err(truncated(lines, "a board's head")) };
        if begins_head(&next.text) {
            return Err(next.place(Error::malformed("the board has no table").code("record")));
        }
        let Some(next) = lines.next_line()? else { continue };
        let text = next.text.trim();
        if let Some(tester) = text.strip_prefix("Tester ID:") {
            head.unit.station = Some(tester.trim().to_owned());
        } else if let Some(model) = text.strip_prefix("Model:") {
            head.unit.sequence_name = Some(model.trim().to_owned());
        } else if let Some(serial) = text.strip_prefix("Serial number :") {
            head.unit.serial = serial.trim().into();
        } else if let Some(date) = text.strip_prefix("Test Date:") {
            head.date = Some((date.trim().to_owned(), next.clone()));
        } else if let Some(group) = text.strip_prefix("Group No.:") {
            head.group(group, &next)?;
        } else if text.starts_with("Order;") {
            return if row::is_head(text) {
                Ok(head)
            } else {
                Err(next.place(Error::unsupported("the columns are not those that ATDX files have").code("head")))
            };
        } else if !text.is_empty() && !text.starts_with('-') && !text.starts_with('#') {
            return Err(next.malformed("this is no line of a board's head").code("record"));
        }
    }
}

impl Head {
    /// `1 Side: A FAIL`
    fn group(&mut self, text: &str, line: &Line) -> Result<()> {
        let mut words = text.split_whitespace();
        let number = words.next().and_then(|number| number.parse().ok());
        self.group = Some(number.ok_or_else(|| line.malformed("the board has no number: `Group No.: 1` was expected").code("record"))?);
        if let (Some("Side:"), Some(side)) = (words.next(), words.next()) {
            self.unit.misc.push(Misc::text("Side", side));
        }
        self.unit.verdict = Some(match words.next() {
            Some("PASS") => Verdict::Passed,
            Some("FAIL") => Verdict::Failed,
            other => {
                let message = format!("`{}` is no result: PASS or FAIL was expected", other.unwrap_or_default());
                return Err(line.place(Error::validation(message).code("result")));
            }
        });
        Ok(())
    }
}

fn truncated(lines: &Lines<'_, '_>, inside: &str) -> Error {
    lines.place(Error::malformed(format!("the file ends inside {inside}")).code("truncated"))
}
