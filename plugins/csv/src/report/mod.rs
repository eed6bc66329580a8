//! Test reports from a table: a report for each unit, or for each run of one.
//!
//! The table is read twice. The first reading ([`survey`]) finds out which rows belong together and how dates and numbers are written; the
//! second writes the reports, row by row where a unit's rows are together. [`fields`] knows the names of columns, [`plan`] decides what each
//! is, [`unit`] and [`measure`] write.

mod dates;
mod fields;
mod measure;
mod options;
mod plan;
mod rows;
mod survey;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom};

use dropforge_sdk::report::Reporter;
use dropforge_sdk::{Error, Input, Outcome, Output, Result};

pub use fields::Field;
pub use options::{Layout, Measurement, Names, ReportFields, Word};

use crate::head::Head;
use crate::header::column_name;
use crate::options::Options;
use crate::rows::Rows;
use plan::Plan;
use rows::{Row, Source};
use survey::{Grouping, Id};
use unit::{Context, Feed};

/// How much of units may be kept whose rows are mixed with those of others.
const KEPT_BYTES: usize = 16 << 20;

/// Makes the reports of an input.
///
/// # Errors
/// What keeps all of it from being read, or the first error where no unit has a report.
pub fn convert(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<Outcome> {
    let fields = &options.report;
    let mut reports = Reporter::open(input, &fields.base())?;
    let modified = input.modified();
    let mut source = open(input, options, head)?;
    let mut plan = Plan::new(source.names(), fields)?;
    let survey = survey::survey(&mut source, &mut plan, fields)?;
    input.seek(SeekFrom::Start(0))?;

    let mut source = open(input, options, head)?;
    survey::header_rows(&mut source, &mut plan, fields)?;
    let clock = reports.clock().clone();
    let otherwise = modified.map(|modified| clock.instant(modified)).transpose()?;
    if survey.lacks_start && otherwise.is_some() {
        let message = "the file says not when the tests began; the time when it was last modified stands in its place";
        output.warn(Error::missing_field(message).code("start"))?;
    }
    let context = Context { plan: &plan, options: fields, dates: &survey.dates, decimal: survey.decimal, clock, otherwise };
    let mut mixed = Mixed::default();
    let (mut grouping, mut number) = (Grouping::default(), 0);
    while let Some(row) = source.next()? {
        let id = if plan.is_steps { grouping.of(&row, &plan) } else { Id::default() };
        match survey.units.get(&id).filter(|_| plan.is_steps) {
            Some(span) if !span.is_whole() => {
                let line = row.line;
                let whole = mixed.take(id, row, number == span.last);
                if let Some(result) = whole.transpose() {
                    let result = result.and_then(|rows| {
                        let mut rows = rows.into_iter();
                        let first = rows.next().ok_or_else(|| Error::internal("a unit without rows").line(line))?;
                        context.write(first, &mut Feed::Kept(rows), &mut reports, output)
                    });
                    reports.set_aside(output, result)?;
                }
                number += 1;
            }
            span => {
                let rows = span.map_or(1, |span| span.rows);
                let mut feed = Feed::Next(&mut source, rows - 1);
                let result = context.write(row, &mut feed, &mut reports, output);
                feed.drain()?;
                reports.set_aside(output, result)?;
                number += rows;
            }
        }
    }
    let rows = source.into_rows();
    rows.problems().tell(output)?;
    if reports.nothing_yet() {
        return Err(Error::malformed("the table has no rows below its header").code("empty").line(1));
    }
    reports.conclude(output)
}

/// The rows below the header.
fn open<'a, 'i>(input: &'a mut Input<'i>, options: &Options, head: &Head) -> Result<Source<'a, 'i>> {
    let mut rows = Rows::open(input, options, head)?;
    let has_header = head.layout.header > 0 && !head.empty;
    let names = if has_header {
        let names = rows.names()?;
        (0..names.count()).map(|column| names.text(column).into_owned()).collect()
    } else {
        let columns = if head.layout.is_cut { rows.width()? } else { head.layout.columns };
        (0..columns).map(column_name).collect()
    };
    Ok(Source::new(rows, names))
}

/// Units whose rows are mixed with those of others, until their last row.
#[derive(Default)]
struct Mixed {
    units: BTreeMap<Id, Vec<Row>>,
    bytes: usize,
    /// Units for which there was no room.
    lost: BTreeSet<Id>,
}

impl Mixed {
    /// Keeps a row; gives the rows of its unit once the last is there.
    fn take(&mut self, id: Id, row: Row, is_last: bool) -> Result<Option<Vec<Row>>> {
        if self.lost.contains(&id) {
            return Ok(None);
        }
        let (line, bytes) = (row.line, row.bytes());
        self.bytes += bytes;
        self.units.entry(id).or_default().push(row);
        let too_many = self.bytes > KEPT_BYTES;
        if !too_many && !is_last {
            return Ok(None);
        }
        let rows = self.units.remove(&id).unwrap_or_default();
        self.bytes -= rows.iter().map(Row::bytes).sum::<usize>();
        if too_many {
            self.lost.insert(id);
            let message = format!("the rows of so many units are mixed that they do not fit into {} MiB", KEPT_BYTES >> 20);
            return Err(Error::unsupported(message).code("mixed_units").line(line));
        }
        Ok(Some(rows))
    }
}
