//! What each column of a table is, from its name and the options.

use std::collections::BTreeMap;

use dropforge_sdk::{Error, Result};

use super::fields::{self, Field, part, plain};
use super::options::{Layout, ReportFields};
use super::rows::Row;

/// What the columns are.
#[derive(Debug, Default)]
pub struct Plan {
    /// The columns of fields.
    fields: BTreeMap<Field, usize>,
    /// Whether a row is a test; else it is a unit.
    pub is_steps: bool,
    /// Where a row is a unit: its measurements.
    pub measures: Vec<Measure>,
    /// Facts of the unit.
    pub misc: Vec<(usize, String)>,
    /// Where a row is a test: columns that are none of these, which go to the test's text.
    pub others: Vec<(usize, String)>,
    /// The columns that a unit's rows have in common.
    pub identity: Vec<usize>,
}

/// A column of measurements.
#[derive(Debug, Default)]
pub struct Measure {
    /// What it is called.
    pub name: String,
    /// Its column.
    pub column: usize,
    /// The columns of its unit, limits, comparator and status.
    pub parts: BTreeMap<Field, usize>,
    /// What rows below the header say of these.
    pub said: BTreeMap<Field, String>,
}

/// What says something of a unit, so that it is the same in all its rows.
const IDENTITY: [Field; 9] = [
    Field::Serial,
    Field::PartNumber,
    Field::Revision,
    Field::Operation,
    Field::Station,
    Field::Start,
    Field::Time,
    Field::Batch,
    Field::Socket,
];

/// Fields of a test. In a table of units, they are none of the unit.
const OF_STEPS: [Field; 11] = [
    Field::Step,
    Field::StepType,
    Field::Group,
    Field::Value,
    Field::Unit,
    Field::Low,
    Field::High,
    Field::Comparator,
    Field::Expected,
    Field::StepTime,
    Field::ErrorCode,
];

impl Plan {
    /// Of a table with these names.
    ///
    /// # Errors
    /// `MissingField` where no column has serial numbers; `Validation` for options that do not fit the table.
    pub fn new(names: &[String], options: &ReportFields) -> Result<Plan> {
        let plains: Vec<String> = names.iter().map(|name| plain(name)).collect();
        let find = |wanted: &str| names.iter().position(|name| name == wanted).or_else(|| find_plain(&plains, &plain(wanted)));
        let mut plan = Plan::default();
        let ignored: Vec<usize> = options.ignore.iter().filter_map(|name| find(name)).collect();
        let misc: Vec<usize> = options.misc.iter().filter_map(|name| find(name)).collect();
        let mut taken: Vec<usize> = ignored.iter().chain(&misc).copied().collect();
        for (field, wanted) in &options.columns {
            if let Some(column) = wanted.all().iter().find_map(|name| find(name)) {
                plan.fields.insert(*field, column);
                taken.push(column);
            }
        }
        for (field, known) in fields::all().filter(|(field, _)| !options.columns.contains_key(field)) {
            // The more usual names come first.
            let column = known
                .iter()
                .find_map(|known| (0..plains.len()).find(|at| plains.get(*at).is_some_and(|p| p == known) && !taken.contains(at)));
            if let Some(column) = column {
                plan.fields.insert(field, column);
                taken.push(column);
            }
        }
        plan.is_steps = match options.layout {
            Layout::Auto => plan.fields.contains_key(&Field::Step),
            Layout::Steps => true,
            Layout::Units => false,
        };
        plan.settle(&mut taken)?;
        plan.misc = misc.iter().filter_map(|column| Some((*column, names.get(*column)?.clone()))).collect();
        let rest: Vec<(usize, String)> = names
            .iter()
            .enumerate()
            .filter(|(column, _)| !taken.contains(column))
            .map(|(column, name)| (column, name.trim().to_owned()))
            .collect();
        if plan.is_steps {
            plan.others = rest;
        } else {
            plan.measures = measures(&rest);
        }
        let group_by: &[Field] = if options.group_by.is_empty() { &IDENTITY } else { &options.group_by };
        plan.identity = group_by.iter().filter_map(|field| plan.column(*field)).collect();
        Ok(plan)
    }

    /// Decides what depends on what a row is.
    fn settle(&mut self, taken: &mut Vec<usize>) -> Result<()> {
        if !self.fields.contains_key(&Field::Serial) {
            let message = "no column has serial numbers: the option `columns` may name it, as in columns = { serial = \"Barcode\" }";
            return Err(Error::missing_field(message).code("serial_column").line(1));
        }
        if self.is_steps {
            if !self.fields.contains_key(&Field::Step) {
                let message = "no column has the names of tests: the option `columns` may name it, as in columns = { step = \"Check\" }";
                return Err(Error::missing_field(message).code("step_column").line(1));
            }
            // The only result is that of the test in its row.
            if !self.fields.contains_key(&Field::Status)
                && let Some(column) = self.fields.remove(&Field::Result)
            {
                self.fields.insert(Field::Status, column);
            }
            return Ok(());
        }
        for field in OF_STEPS {
            if let Some(column) = self.fields.remove(&field) {
                taken.retain(|other| *other != column);
            }
        }
        match (self.fields.contains_key(&Field::Result), self.fields.remove(&Field::Status)) {
            (false, Some(column)) => _ = self.fields.insert(Field::Result, column),
            (_, Some(column)) => taken.retain(|other| *other != column),
            (_, None) => {}
        }
        Ok(())
    }

    /// The column of a field.
    pub fn column(&self, field: Field) -> Option<usize> {
        self.fields.get(&field).copied()
    }

    /// The cell of a field; empty where there is none.
    pub fn cell<'r>(&self, row: &'r Row, field: Field) -> &'r str {
        self.column(field).map_or("", |column| row.cell(column))
    }

    /// The same as an owned text, where there is one.
    pub fn text(&self, row: &Row, field: Field) -> Option<String> {
        Some(self.cell(row, field)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// When a unit's test began, as the file has it; empty where it does not say.
    pub fn start(&self, row: &Row) -> String {
        let (start, time) = (self.cell(row, Field::Start), self.cell(row, Field::Time));
        if time.is_empty() { start.into() } else { format!("{start} {time}").trim().into() }
    }

    /// Takes a row below the header that has units or limits of the measurements, and says whether it is one: where its cells outside of
    /// the measurements are such a word (`Low limit`) or empty.
    pub fn take_header_row(&mut self, row: &Row, given: Option<Field>) -> bool {
        let measured = |column: usize| self.measures.iter().any(|measure| measure.column == column);
        let mut words = (0..row.cells()).filter(|column| !measured(*column)).map(|column| row.cell(column)).filter(|cell| !cell.is_empty());
        let found = match (words.next().map(|word| part(&plain(word))), given) {
            (_, Some(field)) => Some(field),
            (Some(field), None) => field.filter(|_| words.next().is_none()),
            (None, None) => None,
        };
        let Some(field) = found else { return false };
        for measure in &mut self.measures {
            let cell = row.cell(measure.column);
            if !cell.is_empty() {
                measure.said.insert(field, cell.to_owned());
            }
        }
        true
    }
}

fn find_plain(plains: &[String], wanted: &str) -> Option<usize> {
    if wanted.is_empty() { None } else { plains.iter().position(|name| name == wanted) }
}

/// Columns of measurements, with those that belong to them: `Vout`, `Vout low limit`, `Vout unit`.
fn measures(rest: &[(usize, String)]) -> Vec<Measure> {
    let owner = |name: &str| {
        let name = plain(name);
        rest.iter().filter_map(|(column, other)| Some((*column, part(name.strip_prefix(&plain(other))?)?))).next()
    };
    let parts: Vec<Option<(usize, Field)>> = rest.iter().map(|(_, name)| owner(name)).collect();
    let mut measures: Vec<Measure> = Vec::new();
    for ((column, name), part) in rest.iter().zip(&parts) {
        if part.is_none() && !name.is_empty() {
            let (name, unit) = split_unit(name);
            let said = unit.map(|unit| (Field::Unit, unit.to_owned())).into_iter().collect();
            measures.push(Measure { name: name.to_owned(), column: *column, parts: BTreeMap::new(), said });
        }
    }
    for ((column, _), part) in rest.iter().zip(&parts) {
        if let Some((owner, field)) = part
            && let Some(measure) = measures.iter_mut().find(|measure| measure.column == *owner)
        {
            measure.parts.insert(*field, *column);
        }
    }
    measures
}

/// `Vout [V]` or `Vout (V)` as a name and its unit.
fn split_unit(name: &str) -> (&str, Option<&str>) {
    for (open, close) in [('[', ']'), ('(', ')')] {
        if let Some((before, unit)) = name.strip_suffix(close).and_then(|name| name.rsplit_once(open))
            && !before.trim().is_empty()
            && !unit.is_empty()
            && unit.chars().count() <= 8
            && !unit.contains(' ')
        {
            return (before.trim(), Some(unit));
        }
    }
    (name, None)
}
