//! The table of steps: sequences with their ends, tests whose measurements may have a row each, and charts behind the step that they belong to.

use dropforge_sdk::report::{Chart, Numeric, PassFail, Scale, SequenceCall, Series, Status, Step, Steps, Text};
use dropforge_sdk::text::{DecimalSign, Line, Lines};
use dropforge_sdk::{Error, Result};

use super::row::{Column, Row};
use super::{Mark, next, place, short};

/// The most measurements of one step.
const MAX_MEASUREMENTS: usize = 100_000;

/// Writes all steps of a unit, to the mark that ends them.
///
/// # Errors
/// What is wrong with them, with the line.
pub(super) fn all(lines: &mut Lines<'_, '_>, sign: DecimalSign, steps: &mut Steps<'_>) -> Result<()> {
    sequence(lines, sign, None, steps).map(drop)
}

/// A step whose rows are being read.
struct Pending {
    step: Step,
    line: Line,
    measured: Measured,
    /// Whether the rows are of a step with several measurements.
    several: bool,
}

enum Measured {
    Numbers(Vec<Numeric>),
    Judgements(Vec<PassFail>),
    Texts(Vec<Text>),
    Nothing,
}

/// Reads rows to the end of the sequence that they are in, and gives what its last row says: of the sequence of that name, or to the mark that ends
/// the table.
fn sequence(
    lines: &mut Lines<'_, '_>,
    sign: DecimalSign,
    inside: Option<&str>,
    steps: &mut Steps<'_>,
) -> Result<(Option<Status>, Option<Step>)> {
    let mut pending: Option<Pending> = None;
    loop {
        // The mark that ends the table ends every sequence; only the outermost takes it.
        if inside.is_some() && lines.peek()?.is_some_and(|line| Mark::of(line) == Some(Mark::Footer)) {
            finish(pending, steps)?;
            return Ok((None, None));
        }
        let line = next(lines)?;
        if let Some(mark) = Mark::of(&line) {
            finish(pending, steps)?;
            return if mark == Mark::Footer { Ok((None, None)) } else { Err(line.malformed("a mark out of its order").code("record")) };
        }
        let row = Row::of(&line, sign);
        match row.get(Column::Type) {
            // The names of the columns.
            "StepType" => {}
            "SequenceCall" => {
                finish(pending.take(), steps)?;
                let step = row.step()?;
                let written = steps.sequence_that_ends(&step, &SequenceCall::default(), |steps| {
                    let (status, ending) = sequence(lines, sign, Some(&step.name), steps)?;
                    Ok((status.or(step.status), ending.map(|ending| or(ending, &step))))
                });
                written.map_err(|error| place(&line, error))?;
            }
            "EndSequenceCall" => {
                finish(pending, steps)?;
                let name = row.get(Column::Name);
                return match inside {
                    Some(sequence) if name.is_empty() || name == sequence => Ok((row.status()?, Some(row.step()?))),
                    Some(sequence) => {
                        Err(line.malformed(format!("the end of `{}` inside of `{}`", short(name), short(sequence))).code("sequence"))
                    }
                    None => Err(line.malformed("the end of a sequence outside of one").code("sequence")),
                };
            }
            "Chart" => {
                let pending = pending.as_mut().ok_or_else(|| line.malformed("a chart without a step before it").code("chart"))?;
                pending.chart(&row)?;
            }
            "Series" => {
                let chart = pending.as_mut().and_then(|pending| pending.step.chart.as_mut());
                series(&row, chart.ok_or_else(|| line.malformed("a series without a chart before it").code("chart"))?)?;
            }
            "EndMultipleNumericLimitTest" | "EndMultipleStringValueTest" => finish(pending.take(), steps)?,
            kind => {
                if !pending.as_mut().is_some_and(|pending| pending.is_of(kind, &row)) {
                    finish(pending.take(), steps)?;
                    pending = Some(Pending::new(kind, &row)?);
                } else if let Some(pending) = &mut pending {
                    pending.add(&row)?;
                }
            }
        }
    }
}

/// What the last row of a sequence says of it, and else its first.
fn or(ending: Step, first: &Step) -> Step {
    Step {
        name: first.name.clone(),
        status: ending.status.or(first.status),
        total_time: ending.total_time.or(first.total_time),
        report_text: ending.report_text.or_else(|| first.report_text.clone()),
        error_code: ending.error_code.or(first.error_code),
        error_message: ending.error_message.or_else(|| first.error_message.clone()),
        ..ending
    }
}

impl Pending {
    fn new(kind: &str, row: &Row<'_>) -> Result<Pending> {
        let measured = match kind {
            "NumericLimitTest" | "MultipleNumericLimitTest" => Measured::Numbers(Vec::new()),
            "PassFailTest" => Measured::Judgements(Vec::new()),
            "StringValueTest" | "MultipleStringValueTest" => Measured::Texts(Vec::new()),
            "ActionStep" => Measured::Nothing,
            other => {
                let message = format!("`{}` is no type of step that WSTF has", short(other));
                return Err(row.line.place(Error::unsupported(message).code("step_type")));
            }
        };
        let head = kind.starts_with("Multiple");
        let several = head || !row.get(Column::Measure).is_empty();
        let mut pending = Pending { step: row.step()?, line: row.line.clone(), measured, several };
        // The first row of several may be the step's alone.
        if !(head && row.get(Column::Value).is_empty()) {
            pending.add(row)?;
        }
        Ok(pending)
    }

    /// Whether a row has another measurement of this step: of the same kind and name, or of none, and named itself.
    fn is_of(&self, kind: &str, row: &Row<'_>) -> bool {
        let same = matches!(
            (&self.measured, kind),
            (Measured::Numbers(_), "NumericLimitTest")
                | (Measured::Judgements(_), "PassFailTest")
                | (Measured::Texts(_), "StringValueTest")
        );
        let name = row.get(Column::Name);
        same && self.several && !row.get(Column::Measure).is_empty() && (name.is_empty() || name == self.step.name)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let count = match &mut self.measured {
            Measured::Numbers(all) => {
                all.push(row.numeric()?);
                all.len()
            }
            Measured::Judgements(all) => {
                all.push(row.pass_fail()?);
                all.len()
            }
            Measured::Texts(all) => {
                all.push(row.text()?);
                all.len()
            }
            Measured::Nothing => 0,
        };
        // The rows of a step each say how their measurement ended: the step is as bad as the worst.
        if count > 1 {
            let status = row.status()?;
            self.step.status = self.step.status.zip(status).map(|(one, other)| one.and(other));
        }
        if count > MAX_MEASUREMENTS {
            let message = format!("a step with more than {MAX_MEASUREMENTS} measurements");
            return Err(row.line.place(Error::unsupported(message).code("too_large")));
        }
        Ok(())
    }

    /// `Chart`, its kind, its label, and units and labels of y and x.
    fn chart(&mut self, row: &Row<'_>) -> Result<()> {
        let kind = row.get(Column::Name);
        let scale = [Scale::Line, Scale::LineLogXy, Scale::LineLogX, Scale::LineLogY].into_iter().find(|scale| scale.name() == kind);
        let scale = scale.or(kind.is_empty().then_some(Scale::Line));
        let Some(scale) = scale.filter(|_| self.step.chart.is_none()) else {
            let message = format!("`{}` is no kind of chart, or the step's second one", short(kind));
            return Err(row.line.malformed(message).code("chart"));
        };
        let text = |column| row.get(column).to_owned();
        self.step.chart = Some(Chart {
            scale,
            label: text(Column::Measure),
            y_unit: Some(text(Column::Value)),
            y_label: text(Column::Low),
            x_unit: Some(text(Column::High)),
            x_label: text(Column::Comparator),
            series: Vec::new(),
        });
        Ok(())
    }
}

/// `Series`, its name, `XYG`, and y and x.
fn series(row: &Row<'_>, chart: &mut Chart) -> Result<()> {
    let (y, x) = (row.points(Column::Value)?, row.points(Column::Low)?);
    if row.get(Column::Measure) != "XYG" || chart.series.len() >= 10 || !(x.is_empty() || x.len() == y.len()) {
        let message = "a series is of type XYG, has as many x as y or none, and a chart has at most ten";
        return Err(row.line.malformed(message).code("chart"));
    }
    // Without an x of its own, a point has its place.
    let x: Vec<f64> = if x.is_empty() { (0..y.len()).map(|index| index as f64).collect() } else { x };
    chart.series.push(Series { name: row.get(Column::Name).into(), points: x.into_iter().zip(y).collect() });
    Ok(())
}

/// Writes the step whose rows were read.
fn finish(pending: Option<Pending>, steps: &mut Steps<'_>) -> Result<()> {
    let Some(Pending { step, line, measured, several }) = pending else { return Ok(()) };
    let written = match measured {
        Measured::Numbers(all) if step.chart.is_some() => steps.chart(&step, &all),
        Measured::Numbers(all) => match all.as_slice() {
            [one] if !several => steps.numeric(&step, one),
            all => steps.numerics(&step, all),
        },
        Measured::Judgements(all) => match all.as_slice() {
            [one] if !several => steps.pass_fail(&step, one.status),
            all => steps.pass_fails(&step, all),
        },
        Measured::Texts(all) => match all.as_slice() {
            [one] if !several => steps.text(&step, one),
            all => steps.several_texts(&step, all),
        },
        Measured::Nothing if step.chart.is_some() => steps.chart(&step, &[]),
        Measured::Nothing => steps.generic("Action", &step),
    };
    written.map(drop).map_err(|error| place(&line, error))
}
