//! A row of a board's table in ATDX: one test.

use dropforge_sdk::report::{Limits, Numeric, Status, Step, Steps};
use dropforge_sdk::text::{DecimalSign, Line, SI_SUFFIXES, engineering, number};
use dropforge_sdk::{Error, Result};

use crate::row::{about, base_unit, place};

/// What the names of the columns begin with.
const HEAD: &str = "Order;Aux;M.Aux;Parts;Value;Unit;Comment;Loc.;EL;Reference;Unit;Func;+%;Unit;-%;Unit;Test.Base(Test1);Unit;Test.Base(Test2);Unit;Judge;";
/// How many columns a row has at least: up to the nets.
const COLUMNS: usize = 25;

/// The columns that go into a report, by their place. Behind a value stands its unit.
#[derive(Debug, Clone, Copy)]
enum Column {
    Order = 0,
    Parts = 3,
    Value = 4,
    Unit = 5,
    Comment = 6,
    Reference = 9,
    Function = 11,
    Plus = 12,
    Minus = 14,
    First = 16,
    Second = 18,
    Judgement = 20,
    HighPin = 21,
    HighNet = 22,
    LowPin = 23,
    LowNet = 24,
}

/// Whether these are the names of the columns.
pub(crate) fn is_head(text: &str) -> bool {
    text.starts_with(HEAD)
}

struct Row<'l> {
    line: &'l Line,
    cells: Vec<&'l str>,
    sign: DecimalSign,
}

/// A value in base units; of an impedance, its magnitude and phase.
struct Value {
    value: f64,
    unit: Option<String>,
    /// In degrees.
    phase: Option<f64>,
}

impl<'l> Row<'l> {
    fn get(&self, column: Column) -> &'l str {
        self.at(column as usize)
    }

    fn at(&self, index: usize) -> &'l str {
        match self.cells.get(index).copied().unwrap_or_default() {
            "*" => "",
            text => text,
        }
    }

    /// A value with the unit behind it; none where the column is empty.
    fn value(&self, column: Column) -> Result<Option<Value>> {
        let (text, unit) = (self.get(column), self.at(column as usize + 1));
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || self.line.malformed(format!("{column:?} `{text} {unit}` is no value")).code("number");
        // An impedance is written `2.500[KO]|-1.9`, with a `<` behind the unit where that is beyond the range.
        let (magnitude, unit, phase) = match text.split_once('[') {
            Some((magnitude, rest)) => {
                let (unit, phase) = rest.split_once(']').ok_or_else(wrong)?;
                let phase = phase.trim_start_matches(['<', '>']).strip_prefix('|').ok_or_else(wrong)?;
                (magnitude, unit, Some(number(phase, self.sign).ok_or_else(wrong)?))
            }
            None => (text, unit, None),
        };
        let base = base_unit(unit);
        // What stands before the base unit is a prefix.
        let prefix = unit.strip_suffix(['O', 'F', 'H', 'V', 'A']).unwrap_or_default();
        let value = engineering(&format!("{magnitude}{prefix}"), self.sign, SI_SUFFIXES).ok_or_else(wrong)?;
        Ok(Some(Value { value, unit: base, phase }))
    }

    fn limits(&self) -> Result<Limits> {
        let Some(reference) = self.value(Column::Reference)?.map(|reference| reference.value) else { return Ok(Limits::Log) };
        let percent = |column| {
            let text = self.get(column).trim_end_matches('%').trim_start_matches(['+', '-']);
            number(text, self.sign).ok_or_else(|| self.line.malformed(format!("`{text}` is no tolerance in %")).code("number"))
        };
        Ok(match self.get(Column::Function) {
            "EQ" => {
                let (low, high) = (100.0 - percent(Column::Minus)?, 100.0 + percent(Column::Plus)?);
                let (one, other) = (reference * low / 100.0, reference * high / 100.0);
                // A negative reference turns them round.
                Limits::GeLe(one.min(other), one.max(other))
            }
            "LE" => Limits::Le(reference),
            "GE" => Limits::Ge(reference),
            // Not connected, or connected.
            "OP" => Limits::Gt(reference),
            "SH" => Limits::Lt(reference),
            _ => Limits::Log,
        })
    }

    /// Parts with their value; tests of shorts, which are many of the same name, with the points between which they are.
    fn name(&self) -> String {
        let (parts, value, comment) = (self.get(Column::Parts), self.get(Column::Value), self.get(Column::Comment));
        let words = if value == "P-AUTO" { [parts, comment, ""] } else { [parts, value, self.get(Column::Unit)] };
        let name = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if name.is_empty() { format!("Step {}", self.get(Column::Order)) } else { name }
    }

    fn text(&self) -> String {
        let pins = [(Column::HighPin, Column::HighNet), (Column::LowPin, Column::LowNet)].map(|(pin, net)| (self.get(pin), self.get(net)));
        about(self.get(Column::Order), self.get(Column::Comment), pins)
    }
}

/// Writes the test of a row.
///
/// # Errors
/// `Malformed` at the row's line; what writing gives.
pub(crate) fn write(line: &Line, steps: &mut Steps<'_>, sign: DecimalSign) -> Result<()> {
    let row = Row { line, cells: line.text.split(';').map(str::trim).collect(), sign };
    if row.cells.len() < COLUMNS || row.get(Column::Order).parse::<u32>().is_err() {
        let message = format!("this is no row of a board's table, which has a number and at least {COLUMNS} columns");
        return Err(line.malformed(message).code("record"));
    }
    let judged = row.get(Column::Judgement);
    let status = match judged {
        "PASS" => Status::Passed,
        "SKIP" | "UnTested" | "" => Status::Skipped,
        _ => Status::Failed,
    };
    let step = Step {
        status: Some(status),
        error_message: status.is_bad().then(|| judged.to_owned()),
        report_text: Some(row.text()),
        ..Step::named(row.name())
    };
    // Where a test was measured twice, the second counts.
    let measured = match row.value(Column::Second)? {
        None => row.value(Column::First)?,
        second => second,
    };
    let written = match measured {
        _ if status == Status::Skipped => steps.generic("Action", &step),
        None => steps.pass_fail(&step, status),
        Some(Value { value, unit, phase }) => {
            let numeric = Numeric { value, unit, limits: row.limits()?, status: Some(status), ..Numeric::default() };
            match phase {
                None => steps.numeric(&step, &numeric),
                Some(phase) => {
                    let magnitude = Numeric { name: Some("magnitude".into()), ..numeric };
                    // The tolerance is that of the magnitude.
                    let phase = Numeric { name: Some("phase".into()), value: phase, unit: Some("°".into()), ..Numeric::default() };
                    steps.numerics(&step, &[magnitude, phase])
                }
            }
        }
    };
    written.map(drop).map_err(|error: Error| place(line, error))
}
