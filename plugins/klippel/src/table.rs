//! A table: values with their limits, or a curve with its limits at each point.

use dropforge_sdk::report::{Chart, Limits, Numeric, ReportOptions, Scale, Series, Status, Step, Steps};
use dropforge_sdk::text::{DecimalSign, Line, Lines, number};
use dropforge_sdk::{Error, Input, Result};

use crate::results::Results;

/// The most points of a curve.
const MAX_POINTS: usize = 100_000;

/// Reads a table of a result, and writes its steps.
///
/// # Errors
/// What is wrong with the table, with its line; what writing gives.
pub(crate) fn write(input: &mut Input, result: &str, options: &ReportOptions, results: &mut Results, steps: &mut Steps<'_>) -> Result<()> {
    let mut lines = Lines::open(input, options.encoding)?;
    let head = next(&mut lines)?.ok_or_else(|| Error::malformed("the table is empty").code("truncated").line(1))?;
    let columns: Vec<&str> = head.text.split('\t').map(str::trim).collect();
    let place = |error: Error| if error.at.is_some() { error } else { head.place(error) };
    match columns.as_slice() {
        ["name", "value", "max", "min"] => values(&mut lines, options.decimal_sign, results, steps),
        [x, y, "max"] | [x, y, "max", "min"] => curve(&mut lines, result, (x, y, columns.len()), options.decimal_sign, results, steps),
        _ => Err(Error::unsupported("the columns are neither name, value, max, min nor x, y, max and perhaps min").code("head")),
    }
    .map_err(place)
}

/// The next line that says something.
fn next(lines: &mut Lines<'_, '_>) -> Result<Option<Line>> {
    loop {
        match lines.next_line()? {
            Some(line) if lines.is_cut() => return Err(line.malformed("the file ends inside this line").code("truncated")),
            Some(line) if line.text.trim().is_empty() => {}
            other => return Ok(other),
        }
    }
}

/// The cells of a row.
fn cells(line: &Line, columns: usize) -> Result<Vec<&str>> {
    let cells: Vec<&str> = line.text.split('\t').map(str::trim).collect();
    if cells.len() != columns {
        let message = format!("a row of {} columns, where the table has {columns}", cells.len());
        return Err(line.malformed(message).code("record"));
    }
    Ok(cells)
}

/// A number, where there is one: `-` and an empty cell are none.
fn cell(line: &Line, cells: &[&str], index: usize, sign: DecimalSign) -> Result<Option<f64>> {
    match cells.get(index).copied().unwrap_or_default() {
        "" | "-" => Ok(None),
        text => number(text, sign).map(Some).ok_or_else(|| line.malformed(format!("`{text}` is no number")).code("number")),
    }
}

fn values(lines: &mut Lines<'_, '_>, sign: DecimalSign, results: &mut Results, steps: &mut Steps<'_>) -> Result<()> {
    while let Some(line) = next(lines)? {
        let row = cells(&line, 4)?;
        let name = row.first().copied().unwrap_or_default();
        let (value, max, min) = (cell(&line, &row, 1, sign)?, cell(&line, &row, 2, sign)?, cell(&line, &row, 3, sign)?);
        let said = results.take(name);
        let limits = Limits::within(min, max);
        let written = match (value, said) {
            // Neither measured nor judged.
            (None, None) | (_, Some(Status::Skipped)) => steps.generic("Action", &Step::named(name).status(Status::Skipped)),
            // It could not be measured, and the limits say what it should have been.
            _ => {
                let measured = Numeric { value: value.unwrap_or(f64::NAN), limits, status: said, ..Numeric::default() };
                steps.numeric(&Step { status: said, ..Step::named(name) }, &measured)
            }
        };
        written.map_err(|error| if error.at.is_some() { error } else { line.place(error) })?;
    }
    Ok(())
}

fn curve(
    lines: &mut Lines<'_, '_>,
    result: &str,
    (x, y, columns): (&str, &str, usize),
    sign: DecimalSign,
    results: &mut Results,
    steps: &mut Steps<'_>,
) -> Result<()> {
    // The curve itself, the highest values and the lowest.
    let mut series = ["", "max", "min"].map(|name| Series { name: name.into(), points: Vec::new() });
    let mut outside = 0_u32;
    let mut rows = 0_usize;
    while let Some(line) = next(lines)? {
        rows += 1;
        if rows > MAX_POINTS {
            return Err(line.place(Error::unsupported(format!("a curve of more than {MAX_POINTS} points")).code("too_large")));
        }
        let row = cells(&line, columns)?;
        let Some(at) = cell(&line, &row, 0, sign)? else { return Err(line.malformed(format!("a point without {x}")).code("number")) };
        let found = [cell(&line, &row, 1, sign)?, cell(&line, &row, 2, sign)?, cell(&line, &row, 3, sign)?];
        for (series, value) in series.iter_mut().zip(found) {
            series.points.extend(value.map(|value| (at, value)));
        }
        let [value, max, min] = found;
        outside += u32::from(value.is_some_and(|value| !Limits::within(min, max).passes(value)));
    }
    let [mut curve, max, min] = series;
    curve.name = y.into();
    let limited = !max.points.is_empty() || !min.points.is_empty();
    let said = results.take(result);
    let measured = Numeric {
        name: Some("points outside the limits".into()),
        value: f64::from(outside),
        limits: Limits::Le(0.0),
        status: said.filter(|status| matches!(status, Status::Passed | Status::Failed)),
        ..Numeric::default()
    };
    let frequency = x == "frq";
    let chart = Chart {
        scale: if frequency { Scale::LineLogX } else { Scale::Line },
        label: result.into(),
        x_label: if frequency { "Frequency".into() } else { x.into() },
        x_unit: frequency.then(|| "Hz".into()),
        y_label: y.into(),
        y_unit: None,
        series: std::iter::once(curve).chain([max, min].into_iter().filter(|series| !series.points.is_empty())).collect(),
    };
    let step = Step { status: said, chart: Some(chart), ..Step::named(result) };
    // A curve without limits is judged by nothing but the header.
    steps.chart(&step, if limited { std::slice::from_ref(&measured) } else { &[] }).map(drop)
}
