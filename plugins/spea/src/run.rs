//! One run: from START to END, a report.

use dropforge_sdk::report::{Limits, Moment, Numeric, ReportOptions, Reporter, SequenceCall, Status, Step, Steps, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, DecimalSign, Line, Lines, number};
use dropforge_sdk::{Error, Output, Result};

use crate::record::{Record, Start, Test};

/// What holds for the runs of a file.
pub(crate) struct Runs {
    dates: Option<DateFormat>,
    /// The option goes before what the file says.
    given: bool,
    sign: DecimalSign,
}

/// What is learnt of a unit while its run is read.
struct Found {
    unit: Unit,
    ended: bool,
}

impl Runs {
    /// Before the first line.
    ///
    /// # Errors
    /// `Validation` for an option `date_format` that is none.
    pub fn new(options: &ReportOptions) -> Result<Self> {
        let given = options.date_format.is_some();
        let dates = if given { Some(options.dates("")?) } else { None };
        Ok(Runs { dates, given, sign: options.decimal_sign })
    }

    /// Takes what `FORMAT` says.
    ///
    /// # Errors
    /// `Unsupported` for a format that is not known.
    pub fn format(&mut self, line: &Line, format: &str) -> Result<()> {
        if self.given {
            return Ok(());
        }
        let dates = match format.to_ascii_lowercase().as_str() {
            "mmdd" => "MM/dd/yyyy HH:mm:ss",
            "ddmm" => "dd/MM/yyyy HH:mm:ss",
            _ => {
                let message = format!("the date format `{format}` is not known: say how dates are written with the option `date_format`");
                return Err(line.place(Error::unsupported(message).code("date_format")));
            }
        };
        self.dates = DateFormat::new(dates).ok();
        Ok(())
    }

    fn moment(&self, line: &Line, text: &str, reports: &Reporter) -> Result<(Moment, Option<Error>)> {
        let Some(dates) = &self.dates else {
            let message = "no record FORMAT says whether the day or the month comes first: say so with the option `date_format`";
            return Err(line.place(Error::missing_field(message).code("date_format")));
        };
        let (moment, warning) = reports.clock().read(text, dates).map_err(|error| line.place(error))?;
        Ok((moment, warning.map(|warning| line.place(warning))))
    }

    /// Reads one run behind its START, and writes its report.
    ///
    /// # Errors
    /// What is wrong with the run; the place is that of the line that shows it.
    pub fn one(
        &mut self,
        line: &Line,
        start: &Start,
        lines: &mut Lines<'_, '_>,
        reports: &mut Reporter,
        output: &mut Output,
    ) -> Result<()> {
        let (began, warning) = self.moment(line, &start.at, reports)?;
        let clock = reports.clock().clone();
        let unit = Unit {
            start: Some(began),
            operator: Some(start.operator.clone()),
            sequence_name: Some(start.program.clone()),
            sequence_version: Some(start.version.clone()),
            ..Unit::default()
        };
        let mut found = Found { unit, ended: false };
        let (dates, sign) = (self.dates.clone(), self.sign);
        let written = reports.test(output, |steps| {
            if let Some(warning) = warning {
                steps.warn(warning);
            }
            while !found.ended {
                let Some(next) = lines.peek()? else {
                    return Err(lines.place(Error::malformed("the file ends inside a run: there is no END").code("truncated")));
                };
                if let Record::Test(test) = Record::of(next) {
                    let group = Group { task: test.task.into(), number: test.task_number.into() };
                    let step = Step::named(if test.task.is_empty() { "Task" } else { test.task });
                    steps.sequence(&step, &SequenceCall::default(), |steps| tests(&group, lines, steps, sign).map(|()| None))?;
                    continue;
                }
                if matches!(Record::of(next), Record::Start(_)) {
                    return Err(next.malformed("another START before the END of this run").code("no_end"));
                }
                let Some(next) = lines.next_line()? else { continue };
                match Record::of(&next) {
                    Record::Empty | Record::BoardResult | Record::Format(_) => {}
                    Record::Lot(lot) => found.unit.batch = Some(lot.into()),
                    Record::Serial(serial) if found.unit.serial.is_empty() => found.unit.serial = serial.into(),
                    Record::Serial(_) => return Err(next.place(Error::unsupported("a run with several SN").code("panel"))),
                    Record::End { result, at } => {
                        found.unit.verdict = Some(Verdict::from(status(&next, result)?));
                        let Some(dates) = &dates else { return Err(next.malformed("no date format")) };
                        let (ended, warning) = clock.read(&at, dates).map_err(|error| next.place(error))?;
                        if let Some(warning) = warning {
                            steps.warn(next.place(warning));
                        }
                        found.unit.execution_time = Some(ended.seconds_since(&began)).filter(|seconds| *seconds >= 0.0);
                        found.ended = true;
                        if found.unit.serial.is_empty() {
                            return Err(next.place(Error::missing_field("the run has no serial number (SN)").code("serial")));
                        }
                    }
                    other => {
                        let message = format!("a record `{}` that is not known, or has not the fields that it should", other.name());
                        return Err(next.malformed(message).code("record"));
                    }
                }
            }
            Ok(found.unit)
        });
        written.map_err(|error| if error.at.is_some() { error } else { line.place(error) })
    }
}

/// The tests of one component or task follow one another.
#[derive(PartialEq, Eq)]
struct Group {
    task: String,
    number: String,
}

/// Writes the tests of one group.
fn tests(group: &Group, lines: &mut Lines<'_, '_>, steps: &mut Steps<'_>, sign: DecimalSign) -> Result<()> {
    while let Some(next) = lines.peek()? {
        match Record::of(next) {
            Record::Test(test) if test.task == group.task && test.task_number == group.number => one_test(next, &test, steps, sign)?,
            _ => break,
        }
        lines.next_line()?;
    }
    Ok(())
}

fn one_test(line: &Line, test: &Test<'_>, steps: &mut Steps<'_>, sign: DecimalSign) -> Result<()> {
    if !matches!(test.site, "" | "1") {
        let message = format!("a test of board {}: runs over several boards are not read", test.site);
        return Err(line.place(Error::unsupported(message).code("panel")));
    }
    let status = status(line, test.result)?;
    let read = |name: &str, text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        number(text, sign).map(Some).ok_or_else(|| line.malformed(format!("the {name} `{text}` is no number")).code("number"))
    };
    let (value, low, high) = (read("value", test.value)?, read("low limit", test.low)?, read("high limit", test.high)?);
    let step = Step {
        status: Some(status),
        error_message: status.is_bad().then(|| test.result.to_owned()),
        report_text: (!test.points.is_empty()).then(|| format!("points {}", test.points)),
        ..Step::named(if test.name.is_empty() { test.task } else { test.name })
    };
    let judged_only = value.is_none() || (value, low, high) == (Some(0.0), Some(0.0), Some(0.0)) && test.unit.is_empty();
    let written = match value {
        Some(value) if !judged_only => {
            let unit = (!test.unit.is_empty()).then(|| test.unit.to_owned());
            let numeric = Numeric { value, unit, limits: limits(low, high), status: Some(status), ..Numeric::default() };
            steps.numeric(&step, &numeric)
        }
        _ => steps.pass_fail(&step, status),
    };
    written.map(drop).map_err(|error| if error.at.is_some() { error } else { line.place(error) })
}

/// Both limits zero are none; a high limit of zero below the low one is none either.
fn limits(low: Option<f64>, high: Option<f64>) -> Limits {
    match (low, high) {
        (Some(0.0), Some(0.0)) => Limits::Log,
        (Some(low), Some(0.0)) if low > 0.0 => Limits::Ge(low),
        _ => Limits::within(low, high),
    }
}

/// `PASS`, or `FAIL` with what was wrong: `FAIL(+)`, `FAIL(-)`, `FAIL(+/-)`.
fn status(line: &Line, word: &str) -> Result<Status> {
    match word.split('(').next().unwrap_or_default() {
        "PASS" => Ok(Status::Passed),
        "FAIL" => Ok(Status::Failed),
        _ => Err(line.place(Error::validation(format!("`{word}` is neither PASS nor FAIL")).code("result"))),
    }
}

/// Whether a run begins here, or the format of the next ones.
pub(crate) fn begins(line: &Line) -> bool {
    matches!(Record::of(line), Record::Start(_) | Record::Format(_))
}
