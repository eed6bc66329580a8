//! One unit: its rows become a report.

use dropforge_sdk::report::{Clock, Misc, Moment, Reporter, SequenceCall, Status, Step, Steps, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, DecimalSign, number};
use dropforge_sdk::{Error, Output, Result};

use super::fields::Field;
use super::measure::{self, Measured};
use super::options::ReportFields;
use super::plan::{Measure, Plan};
use super::rows::{Row, Source};

/// What holds for every unit of a table.
pub struct Context<'c> {
    /// What the columns are.
    pub plan: &'c Plan,
    /// The options.
    pub options: &'c ReportFields,
    /// How dates are written.
    pub dates: &'c DateFormat,
    /// How numbers are written.
    pub decimal: DecimalSign,
    /// Makes points in time of dates.
    pub clock: Clock,
    /// The start of units for which the file has none.
    pub otherwise: Option<Moment>,
}

/// The rows of one unit, as they come.
pub enum Feed<'f, 'a, 'i> {
    /// So many rows that come next.
    Next(&'f mut Source<'a, 'i>, u64),
    /// Rows that were kept.
    Kept(std::vec::IntoIter<Row>),
}

impl Feed<'_, '_, '_> {
    fn next(&mut self) -> Result<Option<Row>> {
        match self {
            Feed::Next(_, 0) => Ok(None),
            Feed::Next(source, left) => {
                *left -= 1;
                source.next()
            }
            Feed::Kept(rows) => Ok(rows.next()),
        }
    }

    /// Passes over the rows that were not read.
    ///
    /// # Errors
    /// What reading gives.
    pub fn drain(&mut self) -> Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

impl Context<'_> {
    /// Writes the report of a unit that has its first row here and all others in `feed`.
    ///
    /// # Errors
    /// What is wrong with the unit, with the line that shows it.
    pub fn write(&self, first: Row, feed: &mut Feed, reports: &mut Reporter, output: &mut Output) -> Result<()> {
        let line = first.line;
        let written = reports.test(output, |steps| {
            check(&first)?;
            let mut unit = self.unit(&first, steps).map_err(|error| at(error, line))?;
            if self.plan.is_steps {
                self.steps(first, feed, steps, &mut unit)?;
            } else {
                self.measures(&first, steps).map_err(|error| at(error, line))?;
            }
            Ok(unit)
        });
        written.map_err(|error| at(error, line))
    }

    /// What its first row says of a unit.
    fn unit(&self, row: &Row, steps: &mut Steps<'_>) -> Result<Unit> {
        let plan = self.plan;
        let text = |field| plan.text(row, field);
        let mut misc: Vec<Misc> = Vec::new();
        let mut operation_code = None;
        if let Some(operation) = text(Field::Operation) {
            operation_code = operation
                .parse()
                .ok()
                .or_else(|| self.options.operations.iter().find(|(name, _)| name.eq_ignore_ascii_case(&operation)).map(|(_, code)| *code));
            if operation_code.is_none() {
                misc.push(Misc::text("Operation", operation));
            }
        }
        for (column, name) in &plan.misc {
            if !row.cell(*column).is_empty() {
                misc.push(Misc::text(name, row.cell(*column)));
            }
        }
        let start = plan.start(row);
        let start = if start.is_empty() { self.otherwise } else { Some(self.moment(&start, steps)?) };
        let mut unit = Unit {
            serial: text(Field::Serial).unwrap_or_default(),
            part_number: text(Field::PartNumber),
            revision: text(Field::Revision),
            operation_code,
            start,
            station: text(Field::Station),
            location: text(Field::Location),
            purpose: text(Field::Purpose),
            operator: text(Field::Operator),
            sequence_name: text(Field::Sequence),
            sequence_version: text(Field::SequenceVersion),
            batch: text(Field::Batch),
            fixture: text(Field::Fixture),
            comment: text(Field::Message).filter(|_| !plan.is_steps),
            misc,
            ..Unit::default()
        };
        if let Some(socket) = text(Field::Socket) {
            match socket.parse() {
                Ok(index) => unit.socket_index = Some(index),
                Err(_) => unit.misc.push(Misc::text("Socket", socket)),
            }
        }
        self.whole(row, &mut unit, steps)?;
        Ok(unit)
    }

    /// What each row says of its unit as a whole: the result (the worst counts), the end, the duration.
    fn whole(&self, row: &Row, unit: &mut Unit, steps: &mut Steps<'_>) -> Result<()> {
        if let Some(result) = self.options.status(self.plan.cell(row, Field::Result))? {
            let so_far = unit.verdict.map_or(Status::Passed, Status::from);
            unit.verdict = Some(Verdict::from(so_far.and(result)));
        }
        let (duration, end) = (self.plan.cell(row, Field::Duration), self.plan.cell(row, Field::End));
        if !duration.is_empty() {
            let seconds = number(duration, self.decimal).filter(|seconds| seconds.is_finite());
            let seconds =
                seconds.ok_or_else(|| Error::malformed(format!("the duration `{duration}` is no number of seconds")).code("number"));
            unit.execution_time = Some(seconds?);
        } else if !end.is_empty()
            && let Some(start) = unit.start
        {
            let end = self.moment(end, steps)?;
            unit.execution_time = Some(end.seconds_since(&start)).filter(|seconds| *seconds >= 0.0);
        }
        Ok(())
    }

    fn moment(&self, text: &str, steps: &mut Steps<'_>) -> Result<Moment> {
        let (moment, warning) = self.clock.read(text, self.dates)?;
        warning.into_iter().for_each(|warning| steps.warn(warning));
        Ok(moment)
    }

    /// A test for each row, those of a group inside a sequence.
    fn steps(&self, first: Row, feed: &mut Feed, steps: &mut Steps<'_>, unit: &mut Unit) -> Result<()> {
        let mut next = Some(first);
        while let Some(row) = next.take() {
            let group = self.plan.cell(&row, Field::Group).to_owned();
            if group.is_empty() {
                self.step(&row, steps)?;
                next = self.another(feed, steps, unit)?;
                continue;
            }
            let mut current = Some(row);
            steps.sequence(&Step::named(group.clone()), &SequenceCall::default(), |steps| {
                while let Some(row) = current.take() {
                    if self.plan.cell(&row, Field::Group) != group {
                        next = Some(row);
                        break;
                    }
                    self.step(&row, steps)?;
                    current = self.another(feed, steps, unit)?;
                }
                Ok(None)
            })?;
        }
        Ok(())
    }

    /// The unit's next row, after it said what it says of the whole.
    fn another(&self, feed: &mut Feed, steps: &mut Steps<'_>, unit: &mut Unit) -> Result<Option<Row>> {
        let Some(row) = feed.next()? else { return Ok(None) };
        check(&row)?;
        self.whole(&row, unit, steps).map_err(|error| at(error, row.line))?;
        Ok(Some(row))
    }

    fn step(&self, row: &Row, steps: &mut Steps<'_>) -> Result<()> {
        let plan = self.plan;
        let cell = |field| plan.cell(row, field);
        let mut write = || {
            let mut text: Vec<String> = plan.text(row, Field::Message).into_iter().collect();
            let others = plan.others.iter().filter(|(column, _)| !row.cell(*column).is_empty());
            text.extend(others.map(|(column, name)| format!("{name}: {}", row.cell(*column))));
            let time = cell(Field::StepTime);
            let total_time = if time.is_empty() { None } else { number(time, self.decimal) };
            let step = Step {
                total_time,
                error_code: cell(Field::ErrorCode).parse().ok(),
                report_text: (!text.is_empty()).then(|| text.join("\n")),
                ..Step::named(cell(Field::Step))
            };
            let measured = Measured {
                kind: cell(Field::StepType),
                value: cell(Field::Value),
                unit: cell(Field::Unit),
                low: cell(Field::Low),
                high: cell(Field::High),
                comparator: cell(Field::Comparator),
                expected: cell(Field::Expected),
                status: cell(Field::Status),
            };
            measure::write(steps, step, &measured, self.decimal, self.options)
        };
        write().map_err(|error| at(error, row.line))
    }

    /// A test for each column that measures.
    fn measures(&self, row: &Row, steps: &mut Steps<'_>) -> Result<()> {
        for measure in &self.plan.measures {
            let value = row.cell(measure.column);
            if value.is_empty() {
                continue;
            }
            let said = |field| part(measure, field, row);
            let measured = Measured {
                value,
                unit: said(Field::Unit),
                low: said(Field::Low),
                high: said(Field::High),
                comparator: said(Field::Comparator),
                status: said(Field::Status),
                ..Measured::default()
            };
            measure::write(steps, Step::named(&measure.name), &measured, self.decimal, self.options)?;
        }
        Ok(())
    }
}

/// What the row says of a part of a measurement, or else the rows below the header.
fn part<'r>(measure: &'r Measure, field: Field, row: &'r Row) -> &'r str {
    let own = measure.parts.get(&field).map_or("", |column| row.cell(*column));
    if own.is_empty() { measure.said.get(&field).map_or("", String::as_str) } else { own }
}

/// Refuses rows that are not whole: the unit would be another without them.
fn check(row: &Row) -> Result<()> {
    if row.is_broken {
        return Err(Error::malformed("a row of the unit is broken, so that the unit has no report").code("broken_row").line(row.line));
    }
    if row.is_cut {
        return Err(Error::malformed("the file ends inside a row").code("truncated").line(row.line));
    }
    Ok(())
}

fn at(error: Error, line: u64) -> Error {
    if error.at.is_some() { error } else { error.line(line) }
}
