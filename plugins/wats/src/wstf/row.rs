//! A row of the table of steps.

use dropforge_sdk::report::{Limits, Numeric, PassFail, Status, Step, Text, TextLimit};
use dropforge_sdk::text::{DecimalSign, Line, number};
use dropforge_sdk::{Error, Result};

use super::short;

/// The columns, by their place. Those of charts and series have other meanings from the third on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Type = 0,
    Name = 1,
    Measure = 2,
    Value = 3,
    Low = 4,
    High = 5,
    Comparator = 6,
    Unit = 7,
    Status = 8,
    Time = 9,
    Text = 10,
    ErrorCode = 11,
    ErrorMessage = 12,
}

/// A row's cells.
pub(super) struct Row<'l> {
    pub line: &'l Line,
    cells: Vec<&'l str>,
    sign: DecimalSign,
}

impl<'l> Row<'l> {
    pub fn of(line: &'l Line, sign: DecimalSign) -> Self {
        Row { line, cells: line.text.split('\t').map(str::trim).collect(), sign }
    }

    pub fn get(&self, column: Column) -> &'l str {
        self.cells.get(column as usize).copied().unwrap_or_default()
    }

    /// A number, where there is one.
    pub fn number(&self, column: Column) -> Result<Option<f64>> {
        match self.get(column) {
            "" => Ok(None),
            text => {
                let wrong = || self.line.malformed(format!("{column:?} `{}` is no number", short(text))).code("number");
                number(text, self.sign).map(Some).ok_or_else(wrong)
            }
        }
    }

    /// How it ended, where the row says so.
    pub fn status(&self) -> Result<Option<Status>> {
        match self.get(Column::Status) {
            "" => Ok(None),
            text => status(text).map(Some).map_err(|error| self.line.place(error)),
        }
    }

    /// What every step has. The name may be that of the measurement.
    pub fn step(&self) -> Result<Step> {
        let text = |column| Some(self.get(column).to_owned()).filter(|text| !text.is_empty());
        let name = [Column::Name, Column::Measure].into_iter().find_map(text).unwrap_or_default();
        let code = match self.get(Column::ErrorCode) {
            "" => None,
            code => Some(code.parse().map_err(|_| self.line.malformed(format!("`{}` is no error code", short(code))).code("number"))?),
        };
        Ok(Step {
            status: self.status()?,
            total_time: self.number(Column::Time)?,
            report_text: text(Column::Text),
            error_code: code,
            error_message: text(Column::ErrorMessage),
            ..Step::named(name)
        })
    }

    fn measure(&self) -> Option<String> {
        Some(self.get(Column::Measure).to_owned()).filter(|name| !name.is_empty())
    }

    /// A judgement counts for a measurement only where it is one.
    fn judged(&self) -> Result<Option<Status>> {
        Ok(self.status()?.filter(|status| matches!(status, Status::Passed | Status::Failed)))
    }

    pub fn numeric(&self) -> Result<Numeric> {
        let missing = || self.line.place(Error::missing_field("the test has no value").code("measurement"));
        let (low, high) = (self.number(Column::Low)?, self.number(Column::High)?);
        let limits = match self.get(Column::Comparator) {
            "" => Limits::within(low, high),
            comparator => {
                Limits::named(comparator, low, high).map_err(|message| self.line.place(Error::validation(message).code("comparator")))?
            }
        };
        Ok(Numeric {
            name: self.measure(),
            value: self.number(Column::Value)?.ok_or_else(missing)?,
            unit: Some(self.get(Column::Unit).to_owned()),
            limits,
            status: self.judged()?,
        })
    }

    pub fn pass_fail(&self) -> Result<PassFail> {
        let text = self.get(Column::Value);
        let passed = match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "pass" | "passed" => true,
            "false" | "0" | "fail" | "failed" => false,
            _ => {
                let message = format!("the value of a test that passes or fails is `{}`, and may be TRUE or FALSE", short(text));
                return Err(self.line.malformed(message).code("measurement"));
            }
        };
        // What is said to have failed has, whatever was read.
        Ok(PassFail { name: self.measure(), status: self.judged()?.unwrap_or(Status::passed(passed)) })
    }

    pub fn text(&self) -> Result<Text> {
        let limit = self.get(Column::Low).to_owned();
        let limit = match self.get(Column::Comparator).to_ascii_uppercase().as_str() {
            "" if limit.is_empty() => TextLimit::Log,
            "LOG" => TextLimit::Log,
            "" | "EQ" | "CASESENSIT" => TextLimit::CaseSensitive(limit),
            "IGNORECASE" => TextLimit::IgnoreCase(limit),
            other => {
                let message = format!("texts are not compared by `{}`, but by CASESENSIT, IGNORECASE, EQ or LOG", short(other));
                return Err(self.line.place(Error::validation(message).code("comparator")));
            }
        };
        Ok(Text { name: self.measure(), value: self.get(Column::Value).into(), limit, status: self.judged()? })
    }

    /// The numbers of a series, parted by semicolons, with a decimal comma or point.
    pub fn points(&self, column: Column) -> Result<Vec<f64>> {
        let parts = self.get(column).split(';').map(str::trim).filter(|part| !part.is_empty());
        let read = |part: &str| {
            let wrong = || self.line.malformed(format!("`{}` is no number of a series", short(part))).code("number");
            number(&part.replace(',', "."), DecimalSign::Point).ok_or_else(wrong)
        };
        parts.map(read).collect()
    }
}

/// A status, in any case.
///
/// # Errors
/// `Validation` for another word.
pub(super) fn status(text: &str) -> Result<Status> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "passed" | "pass" | "p" => Status::Passed,
        "failed" | "fail" | "f" => Status::Failed,
        "skipped" | "s" => Status::Skipped,
        "done" | "d" => Status::Done,
        "error" | "e" => Status::Error,
        "terminated" | "t" => Status::Terminated,
        _ => {
            let message = format!("`{}` is no status: Passed, Failed, Skipped, Done, Error or Terminated were expected", short(text));
            return Err(Error::validation(message).code("status"));
        }
    })
}
