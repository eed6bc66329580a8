//! A unit: the rows with the same serial number and time that follow one another.

use dropforge_sdk::report::{Chart, Limits, Numeric, Reporter, Series, Status, Step, Steps, Unit};
use dropforge_sdk::text::{DateFormat, DecimalSign, number};
use dropforge_sdk::{Error, Output, Result};

use crate::row::{Key, Row, Rows, short};

/// Makes reports of units, and knows what the first one had.
pub(crate) struct Units {
    dates: DateFormat,
    sign: DecimalSign,
    /// The names of the first unit's values and curves.
    first: Option<Vec<String>>,
}

impl Units {
    /// With what the options say.
    pub fn new(dates: DateFormat, sign: DecimalSign) -> Self {
        Units { dates, sign, first: None }
    }

    /// Reads the rows of one unit, and writes its report.
    ///
    /// # Errors
    /// What is wrong with it, with a place.
    pub fn one(&mut self, key: &Key, rows: &mut Rows<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<()> {
        let missing = || Error::internal("a unit without a row was begun");
        let (line, lot, operator) = rows.peek()?.map(|row| (row.line.clone(), row.lot(), row.operator())).ok_or_else(missing)?;
        let (start, warning) = reports.clock().read(&key.time, &self.dates).map_err(|error| line.place(error))?;
        let unit = Unit { serial: key.serial.clone(), start: Some(start), batch: lot, operator, ..Unit::default() };
        let mut names = Vec::new();
        let written = reports.test(output, |steps| {
            if let Some(warning) = warning {
                steps.warn(line.place(warning));
            }
            while rows.peek()?.is_some_and(|row| row.key() == *key) {
                if let Some(row) = rows.take()? {
                    names.push(self.step(&row, key, rows, steps)?);
                }
            }
            if rows.peek()?.is_none() && self.is_cut(&names, rows.cut().is_some()) {
                return Err(rows.place(Error::malformed("the file ends inside a unit").code("truncated")));
            }
            Ok(unit)
        });
        written.map_err(|error| if error.at.is_some() { error } else { line.place(error) })?;
        self.first.get_or_insert(names);
        Ok(())
    }

    /// Whether the last unit of the file has less than the first, and no more than that. Nothing in the file says where a unit ends.
    fn is_cut(&self, names: &[String], line_cut: bool) -> bool {
        match &self.first {
            Some(first) => names.len() < first.len() && first.starts_with(names),
            None => line_cut,
        }
    }

    /// Writes what a row says, or a curve's two rows, and gives its name.
    fn step(&self, row: &Row, key: &Key, rows: &mut Rows<'_, '_>, steps: &mut Steps<'_>) -> Result<String> {
        let name = match &row.curve {
            None => self.value(row, steps)?,
            Some(curve) => {
                let no_y = || row.line.malformed(format!("the curve `{}` has no row of y", short(&curve.name))).code("curve");
                if !rows.peek()?.is_some_and(|next| next.curve.is_some() && next.key() == *key) {
                    // At the end of the file the rest is missing; in its middle it never was there.
                    return Err(if rows.peek()?.is_none() { no_y().code("truncated") } else { no_y() });
                }
                let values = rows.take()?.ok_or_else(no_y)?;
                let (x, y) = (row.numbers(self.sign)?, values.numbers(self.sign)?);
                if x.len() != y.len() {
                    let message = format!("the curve `{}` has {} x and {} y", short(&curve.name), x.len(), y.len());
                    return Err(values.line.malformed(message).code("curve"));
                }
                let chart = Chart {
                    scale: curve.scale,
                    label: curve.name.clone(),
                    x_label: "x".into(),
                    x_unit: Some(curve.x_unit.clone()),
                    y_label: "y".into(),
                    y_unit: Some(curve.y_unit.clone()),
                    series: vec![Series { name: curve.name.clone(), points: x.into_iter().zip(y).collect() }],
                };
                // A curve is not judged: values are that come of it.
                let step = Step { chart: Some(chart), ..Step::named(curve.name.clone()).status(Status::Done) };
                steps.chart(&step, &[]).map_err(|error| place(row, error))?;
                curve.name.clone()
            }
        };
        Ok(name)
    }

    fn value(&self, row: &Row, steps: &mut Steps<'_>) -> Result<String> {
        let read = |text: &str| {
            let wrong = || row.line.malformed(format!("`{}` is no number", short(text))).code("number");
            number(text, self.sign).ok_or_else(wrong)
        };
        let status = match row.own(3) {
            "PASS" => Status::Passed,
            "FAIL" => Status::Failed,
            other => {
                let message = format!("`{}` is no result: PASS or FAIL was expected", short(other));
                return Err(row.line.place(Error::validation(message).code("result")));
            }
        };
        let (tolerance, limits) = (row.own(4), row.own(5));
        let mut step = Step::named(row.own(0)).status(status);
        let limits = if tolerance == "Max/Min" {
            let wrong = || row.line.malformed(format!("`{}` are no limits, the highest and the lowest", short(limits))).code("limits");
            let (high, low) = limits.split_once('/').ok_or_else(wrong)?;
            let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { read(text).map(Some) };
            Limits::within(bound(low)?, bound(high)?)
        } else {
            // How far the curve is from its limits, which are a curve themselves.
            step.report_text = Some(format!("{tolerance}: {limits}"));
            Limits::Log
        };
        let unit = Some(row.own(2).to_owned());
        let numeric = Numeric { value: read(row.own(1))?, unit, limits, status: Some(status), ..Numeric::default() };
        steps.numeric(&step, &numeric).map_err(|error| place(row, error))?;
        Ok(step.name)
    }
}

fn place(row: &Row, error: Error) -> Error {
    if error.at.is_some() { error } else { row.line.place(error) }
}
