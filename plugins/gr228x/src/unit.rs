//! One board: from `@` to the line that says how it ended, a report.

use dropforge_sdk::report::{Limits, Misc, Numeric, Reporter, Status, Step, Steps, Unit};
use dropforge_sdk::text::{DateFormat, DecimalSign, ICT_SUFFIXES, Line, Lines, engineering};
use dropforge_sdk::{Error, Output, Result};

use crate::record::{Measure, Record};

/// The test program that was loaded last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    /// Its path, as the tester has it.
    pub file: String,
}

impl Program {
    fn name(&self) -> Option<String> {
        let file = self.file.rsplit(['\\', '/']).next()?;
        let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// Reads one board behind its first line, and writes its report.
///
/// # Errors
/// What is wrong with it; the place is that of the line that shows it.
#[allow(clippy::too_many_arguments, reason = "what is known at the first line of a board")]
pub(crate) fn one(
    line: &Line,
    at: &str,
    serial: &str,
    program: &Program,
    dates: &DateFormat,
    sign: DecimalSign,
    lines: &mut Lines<'_, '_>,
    reports: &mut Reporter,
    output: &mut Output,
) -> Result<()> {
    let (start, warning) = reports.clock().read(at, dates).map_err(|error| line.place(error))?;
    let clock = reports.clock().clone();
    let mut unit = Unit {
        serial: serial.into(),
        start: Some(start),
        sequence_name: program.name(),
        sequence_path: (!program.file.is_empty()).then(|| program.file.clone()),
        ..Unit::default()
    };
    let written = reports.test(output, |steps| {
        if let Some(warning) = warning {
            steps.warn(line.place(warning));
        }
        loop {
            if matches!(lines.peek()?.map(|next| Record::of(&next.text)), Some(Record::Begin { .. })) {
                return Err(lines.place(Error::malformed("another board begins before this one ended").code("no_end")));
            }
            let Some(next) = lines.next_line()? else {
                return Err(lines.place(Error::malformed("the file ends inside a board").code("truncated")));
            };
            match Record::of(&next.text) {
                Record::Empty | Record::Pins(_) => {}
                Record::Fact { name, value } => fact(&mut unit, name, value.trim()),
                Record::Failure { test, pins } => {
                    let mut pins = pins.to_owned();
                    // The list may go on in the next lines.
                    while let Some(Record::Pins(more)) = lines.peek()?.map(|next| Record::of(&next.text)) {
                        pins.push_str(more);
                        lines.next_line()?;
                    }
                    let text = (!pins.is_empty()).then(|| format!("pins {pins}"));
                    let step = Step { report_text: text, ..Step::named(test) };
                    steps.pass_fail(&step, Status::Failed).map_err(|error| next.place(error))?;
                }
                Record::Measure(measure) => write(&next, &measure, steps, sign)?,
                Record::End { verdict, at } => {
                    let (ended, warning) = clock.read(at, dates).map_err(|error| next.place(error))?;
                    if let Some(warning) = warning {
                        steps.warn(next.place(warning));
                    }
                    unit.verdict = Some(verdict);
                    unit.execution_time = Some(ended.seconds_since(&start)).filter(|seconds| *seconds >= 0.0);
                    return Ok(unit);
                }
                _ => return Err(next.malformed(format!("`{}` is no line of a board", short(&next.text))).code("record")),
            }
        }
    });
    written.map_err(|error| if error.at.is_some() { error } else { line.place(error) })
}

/// What somebody wrote into the log for the report.
fn fact(unit: &mut Unit, name: &str, value: &str) {
    let field = match name {
        "partNumber" => &mut unit.part_number,
        "partRevision" => &mut unit.revision,
        "sequenceName" => &mut unit.sequence_name,
        "sequenceVersion" => &mut unit.sequence_version,
        "operator" => &mut unit.operator,
        "stationName" => &mut unit.station,
        _ => {
            // A report has room for more of them than anybody writes by hand.
            if unit.misc.len() < 100 && !name.is_empty() {
                unit.misc.push(Misc::text(name, value));
            }
            return;
        }
    };
    *field = Some(value.into());
}

fn write(line: &Line, measure: &Measure<'_>, steps: &mut Steps<'_>, sign: DecimalSign) -> Result<()> {
    let status = match measure.judged {
        '=' => Status::Passed,
        '#' => Status::Done,
        _ => Status::Failed,
    };
    let name = if measure.kind.is_empty() { measure.name.to_owned() } else { format!("{} ({})", measure.name, measure.kind) };
    let wrong = match measure.judged {
        '<' => Some("below the low limit".to_owned()),
        '>' => Some("above the high limit".to_owned()),
        _ => None,
    };
    let report_text = (!measure.message.is_empty()).then(|| measure.message.to_owned());
    let step = Step { status: Some(status), error_message: wrong, report_text, ..Step::named(name) };
    let read = |what: &str, text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        let number = engineering(text, sign, ICT_SUFFIXES);
        number.map(Some).ok_or_else(|| line.malformed(format!("the {what} `{}` is no number", short(text))).code("number"))
    };
    let written = match read("value", measure.value)? {
        Some(value) => {
            let limits = Limits::within(read("low limit", measure.low)?, read("high limit", measure.high)?);
            // What was not judged passed nothing and failed nothing.
            let said = (status != Status::Done).then_some(status);
            let numeric = Numeric { value, unit: unit_of(measure.kind), limits, status: said, ..Numeric::default() };
            steps.numeric(&step, &numeric)
        }
        None if status == Status::Done => steps.generic("Action", &step),
        None => steps.pass_fail(&step, status),
    };
    written.map(drop).map_err(|error| if error.at.is_some() { error } else { line.place(error) })
}

/// The unit of what a kind of test measures.
fn unit_of(kind: &str) -> Option<String> {
    let unit = match kind {
        "R" | "RS" | "RP" | "XS" | "XP" | "ZM" => "ohm",
        "V" | "VS" | "DC" | "AC" | "AV" => "V",
        "I" | "IS" | "AI" => "A",
        "CP" | "CS" => "F",
        "LP" | "LS" => "H",
        "HZ" => "Hz",
        "S" => "s",
        _ => return None,
    };
    Some(unit.into())
}

fn short(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Whether a board begins here, or the program of the next ones.
pub(crate) fn begins(line: &Line) -> bool {
    matches!(Record::of(&line.text), Record::Begin { .. } | Record::Program { .. })
}
