//! One cell that was measured, with its limits and status, as a step of a report.

use dropforge_sdk::report::{Limits, Numeric, Status, Step, Steps, Text, TextLimit};
use dropforge_sdk::text::{DecimalSign, number};
use dropforge_sdk::{Error, Result};

use super::fields::plain;
use super::options::{self, ReportFields};

/// What a table says of a measurement, as it stands.
#[derive(Debug, Default)]
pub struct Measured<'r> {
    /// What kind it is.
    pub kind: &'r str,
    /// What was measured.
    pub value: &'r str,
    /// Its unit.
    pub unit: &'r str,
    /// The low limit.
    pub low: &'r str,
    /// The high limit.
    pub high: &'r str,
    /// How they are compared.
    pub comparator: &'r str,
    /// What a text is compared with.
    pub expected: &'r str,
    /// How it ended, in the table's word.
    pub status: &'r str,
}

/// Writes a step.
///
/// # Errors
/// `Malformed` for a number, limit or result that is none; what writing gives.
pub fn write(steps: &mut Steps<'_>, mut step: Step, measured: &Measured, sign: DecimalSign, options: &ReportFields) -> Result<()> {
    let status = options.status(measured.status)?;
    step.status = status;
    let kind = plain(measured.kind);
    let is_kind = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    let value = measured.value;
    if value.is_empty() {
        return match status {
            Some(Status::Skipped | Status::Done) | None => steps.generic("Action", &step),
            Some(_) if is_kind(&["action", "label", "wait", "sequence"]) => steps.generic("Action", &step),
            Some(status) => steps.pass_fail(&step, status),
        }
        .map(drop);
    }
    let read = number(value, sign).filter(|_| !is_kind(&["string", "text", "svt", "passfail", "pft", "boolean"]));
    if let Some(value) = read {
        let (unit, limits) = limits_of(&step.name, measured, sign, options)?;
        // What was not judged passed nothing and failed nothing.
        let said = status.filter(|status| *status != Status::Done);
        let numeric = Numeric { value, unit, limits, status: said, ..Numeric::default() };
        return steps.numeric(&step, &numeric).map(drop);
    }
    let is_number = |text: &str| number(text, sign).is_some();
    if is_kind(&["numeric", "nlt", "number"]) || is_number(measured.low) || is_number(measured.high) {
        return Err(Error::malformed(format!("the value `{value}` of `{}` is no number", step.name)).code("number"));
    }
    let word = matches!(plain(value).as_str(), "pass" | "passed" | "fail" | "failed") || is_kind(&["passfail", "pft", "boolean"]);
    if word {
        let judged = status.or(options.status(value)?).unwrap_or(Status::Done);
        step.status = Some(judged);
        return steps.pass_fail(&step, judged).map(drop);
    }
    let expected = [measured.expected, measured.low].into_iter().find(|text| !text.is_empty());
    let limit = expected.map_or(TextLimit::Log, |text| TextLimit::CaseSensitive(text.into()));
    let said = status.filter(|status| *status != Status::Done);
    steps.text(&step, &Text { value: value.into(), limit, status: said, ..Text::default() }).map(drop)
}

/// The unit and the limits: the table's, else the options'.
fn limits_of(name: &str, measured: &Measured, sign: DecimalSign, options: &ReportFields) -> Result<(Option<String>, Limits)> {
    let limit = |what: &str, text: &str| {
        let read = (!text.is_empty()).then(|| number(text, sign).ok_or(text)).transpose();
        read.map_err(|text| Error::malformed(format!("the {what} limit `{text}` of `{name}` is no number")).code("number"))
    };
    let (low, high) = (limit("low", measured.low)?, limit("high", measured.high)?);
    let given = options.measurement(name);
    let unit = Some(measured.unit).filter(|unit| !unit.is_empty()).map(str::to_owned).or_else(|| given?.unit.clone());
    let limits = match given.filter(|_| low.is_none() && high.is_none()) {
        Some(given) => options::limits(given.comparator.as_deref().unwrap_or_default(), given.low, given.high)?,
        None => options::limits(measured.comparator, low, high)?,
    };
    Ok((unit, limits))
}
