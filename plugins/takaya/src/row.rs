//! A row of a board's table: one test.

use dropforge_sdk::report::{Limits, Numeric, Status, Step, Steps};
use dropforge_sdk::text::{DecimalSign, Line, number};
use dropforge_sdk::{Error, Result};

/// How many columns a row has at least, up to the test's function.
const COLUMNS: usize = 56;

/// The columns that go into a report, by their place.
#[derive(Debug, Clone, Copy)]
enum Column {
    Number = 1,
    Parts = 2,
    Value = 3,
    Unit = 4,
    Comment = 5,
    HighPin = 7,
    HighNet = 8,
    LowPin = 9,
    LowNet = 10,
    Judgement = 15,
    Reference = 17,
    First = 21,
    FirstShown = 22,
    FirstUnit = 23,
    Second = 25,
    SecondShown = 26,
    SecondUnit = 27,
    TolerancePlus = 33,
    ToleranceMinus = 34,
    Function = 55,
}

/// A row's cells.
struct Row<'l> {
    line: &'l Line,
    cells: Vec<&'l str>,
    sign: DecimalSign,
}

impl<'l> Row<'l> {
    fn of(line: &'l Line, sign: DecimalSign) -> Result<Self> {
        let cells: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        if cells.len() < COLUMNS {
            let message = format!("a row of {} columns, where a test has at least {COLUMNS}", cells.len());
            return Err(line.malformed(message).code("record"));
        }
        Ok(Row { line, cells, sign })
    }

    fn get(&self, column: Column) -> &'l str {
        match self.cells.get(column as usize).copied().unwrap_or_default() {
            "*" => "",
            text => text,
        }
    }

    fn number(&self, column: Column) -> Result<f64> {
        let text = self.get(column);
        number(text, self.sign).ok_or_else(|| self.line.malformed(format!("{column:?} `{text}` is no number")).code("number"))
    }

    /// The value that was judged last: the second measurement where there is one.
    fn measured(&self) -> Result<Option<(f64, &'l str)>> {
        let shown = |column| !self.get(column).trim_matches('.').is_empty();
        if shown(Column::SecondShown) {
            return Ok(Some((self.number(Column::Second)?, self.get(Column::SecondUnit))));
        }
        if shown(Column::FirstShown) {
            return Ok(Some((self.number(Column::First)?, self.get(Column::FirstUnit))));
        }
        Ok(None)
    }

    /// Limits where the row has them: tolerances around the reference. Those of open and short tests are the program's, and not in the file.
    fn limits(&self) -> Result<Limits> {
        match self.get(Column::Function) {
            "**" => {
                let reference = self.number(Column::Reference)?;
                let percent = |column| {
                    let text = self.get(column).trim_end_matches('%');
                    number(text, self.sign).ok_or_else(|| self.line.malformed(format!("`{text}` is no tolerance in %")).code("number"))
                };
                let limit = |percent: f64| reference * (100.0 + percent) / 100.0;
                let (one, other) = (limit(percent(Column::ToleranceMinus)?), limit(percent(Column::TolerancePlus)?));
                // A negative reference turns them round.
                Ok(Limits::GeLe(one.min(other), one.max(other)))
            }
            _ => Ok(Limits::Log),
        }
    }

    fn name(&self) -> String {
        let parts = [Column::Parts, Column::Value, Column::Unit].map(|column| self.get(column));
        let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        match (name.is_empty(), self.get(Column::Comment)) {
            (false, _) => name,
            (true, "") => format!("Step {}", self.get(Column::Number)),
            (true, comment) => comment.to_owned(),
        }
    }

    fn text(&self) -> String {
        let pins = [(Column::HighPin, Column::HighNet), (Column::LowPin, Column::LowNet)].map(|(pin, net)| (self.get(pin), self.get(net)));
        about(self.get(Column::Number), self.get(Column::Comment), pins)
    }
}

/// What a report says of a test besides its result: its number, the comment, and the pins with their nets.
pub(crate) fn about(number: &str, comment: &str, pins: [(&str, &str); 2]) -> String {
    let pins = pins.map(|pin| match pin {
        ("0" | "", _) => String::new(),
        (pin, "") => format!(", pin {pin}"),
        (pin, net) => format!(", pin {pin} ({net})"),
    });
    let space = if comment.is_empty() { "" } else { " " };
    format!("#{number}{space}{comment}{}", pins.concat())
}

/// Writes the test of a row.
///
/// # Errors
/// `Malformed` at the row's line; what writing gives.
pub(crate) fn write(line: &Line, steps: &mut Steps<'_>, sign: DecimalSign) -> Result<()> {
    let row = Row::of(line, sign)?;
    let judged = row.get(Column::Judgement);
    let status = match judged {
        _ if row.get(Column::Function) == "JP" => Status::Skipped,
        "PASS" => Status::Passed,
        text if text.trim_matches('.').is_empty() => Status::Skipped,
        _ => Status::Failed,
    };
    let step = Step {
        status: Some(status),
        error_message: status.is_bad().then(|| judged.to_owned()),
        report_text: Some(row.text()),
        ..Step::named(row.name())
    };
    let written = match row.measured()? {
        Some((value, unit)) if status != Status::Skipped => {
            let numeric = Numeric { value, unit: base_unit(unit), limits: row.limits()?, status: Some(status), ..Numeric::default() };
            steps.numeric(&step, &numeric)
        }
        _ if status == Status::Skipped => steps.generic("Action", &step),
        _ => steps.pass_fail(&step, status),
    };
    written.map(drop).map_err(|error| place(line, error))
}

/// The unit without its prefix: values are in base units.
pub(crate) fn base_unit(shown: &str) -> Option<String> {
    let unit = match shown.chars().next_back()? {
        'O' => "ohm",
        'H' => "H",
        'F' => "F",
        'V' => "V",
        'A' => "A",
        _ => shown,
    };
    Some(unit.into())
}

/// Puts the line into an error that has no place yet.
pub(crate) fn place(line: &Line, error: Error) -> Error {
    if error.at.is_some() { error } else { line.place(error) }
}
