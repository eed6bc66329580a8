//! The tests of a part as steps.

use std::collections::HashMap;

use dropforge_sdk::report::{Limits, Numeric, Status, Step, Steps};
use dropforge_sdk::{Error, Result};

use crate::fields::{Fields, Value, decimal};
use crate::lot::Lot;
use crate::source::Kind;

/// Parametric test.
pub(crate) const PTR: Kind = (15, 10);
/// Parametric test with several results.
pub(crate) const MPR: Kind = (15, 15);
/// Functional test.
pub(crate) const FTR: Kind = (15, 20);

/// How many different tests a file may have.
const MAX_TESTS: usize = 100_000;

/// What the first record of a test says holds for those after it that do not say so.
#[derive(Default)]
pub(crate) struct Defaults(HashMap<(Kind, i64), First>);

#[derive(Clone, Default)]
struct First {
    name: Option<String>,
    low: Option<f32>,
    high: Option<f32>,
    unit: Option<String>,
    pins: Vec<Value>,
}

impl Defaults {
    /// Whether nothing is known of a test yet.
    pub fn lacks(&self, kind: Kind, number: i64) -> bool {
        !self.0.contains_key(&(kind, number))
    }

    /// Takes the first record of a test.
    ///
    /// # Errors
    /// `Unsupported` for more tests than a program has.
    pub fn take(&mut self, kind: Kind, number: i64, fields: &Fields) -> Result<()> {
        if self.0.len() >= MAX_TESTS {
            return Err(Error::unsupported(format!("more than {MAX_TESTS} different tests")).code("too_many_tests"));
        }
        self.0.insert((kind, number), own(kind, fields, &First::default()));
        Ok(())
    }
}

/// What a record says, or else the first of its test.
fn own(kind: Kind, fields: &Fields, first: &First) -> First {
    let name = fields.text("TEST_TXT").map(str::to_owned).or_else(|| first.name.clone());
    if kind == FTR {
        return First { name, ..First::default() };
    }
    let flags = fields.number("OPT_FLAG").and_then(|flags| u8::try_from(flags).ok());
    // A limit's flags: as in the first record, and none at all.
    let limit = |field: &str, as_first: u8, none: u8, first: Option<f32>| match flags {
        Some(flags) if flags & none != 0 => None,
        Some(flags) if flags & as_first == 0 => fields.real(field).or(first),
        _ => first,
    };
    let pins = fields.list("RTN_INDX");
    First {
        name,
        low: limit("LO_LIMIT", 0x10, 0x40, first.low),
        high: limit("HI_LIMIT", 0x20, 0x80, first.high),
        unit: fields.text("UNITS").map(str::to_owned).or_else(|| first.unit.clone()),
        pins: if pins.is_empty() { first.pins.clone() } else { pins.to_vec() },
    }
}

/// Writes the step of a test.
///
/// # Errors
/// As [`Steps::numeric`].
pub(crate) fn write(kind: Kind, fields: &Fields, defaults: &Defaults, lot: &Lot, steps: &mut Steps<'_>) -> Result<()> {
    let number = fields.number("TEST_NUM").unwrap_or_default();
    let nothing = First::default();
    let known = own(kind, fields, defaults.0.get(&(kind, number)).unwrap_or(&nothing));
    let flags = fields.flags("TEST_FLG");
    let said = match flags {
        _ if flags & 0x10 != 0 => Some(Status::Skipped),
        _ if flags & 0x20 != 0 => Some(Status::Terminated),
        _ if flags & 0x40 != 0 => None,
        _ => Some(Status::passed(flags & 0x80 == 0)),
    };
    let trouble = trouble(kind, fields);
    let mut step = Step {
        report_text: Some(format!("test {number}")),
        error_message: trouble.clone(),
        status: said,
        ..Step::named(known.name.clone().unwrap_or_else(|| format!("Test {number}")))
    };
    let numbers = if kind == FTR { Vec::new() } else { numbers(kind, fields, &known, lot, said) };
    if kind == FTR {
        functional(fields, &mut step);
    }
    if trouble.is_some() && !numbers.is_empty() {
        // By the specification these numbers are not to be used: they are shown, and not judged.
        let shown: Vec<String> = numbers.iter().take(20).map(|one| one.value.to_string()).collect();
        let unit = known.unit.unwrap_or_default();
        step.report_text = Some(format!("test {number}, read {} {unit}", shown.join(", ")).trim_end().to_owned());
    }
    let judged = said.is_some() || numbers.iter().any(|one| one.limits != Limits::Log);
    if trouble.is_none() && !judged {
        step.status = Some(Status::Done);
    }
    match (numbers.as_slice(), said) {
        ([one], _) if trouble.is_none() && kind == PTR => steps.numeric(&step, one),
        ([_, ..], _) if trouble.is_none() => steps.numerics(&step, &numbers),
        (_, Some(status)) => steps.pass_fail(&step, status),
        (_, None) => steps.generic("Action", &step.status(Status::Done)),
    }
    .map(drop)
}

/// What makes a test's numbers useless, in words.
fn trouble(kind: Kind, fields: &Fields) -> Option<String> {
    let (test, measure) = (fields.flags("TEST_FLG"), if kind == FTR { 0 } else { fields.flags("PARM_FLG") });
    let alarm = fields.text("ALARM_ID").map_or_else(|| "alarm".to_owned(), |id| format!("alarm {id}"));
    let found: Vec<&str> = [
        (test & 0x01, alarm.as_str()),
        // A functional test has no number that could be invalid.
        (if kind == FTR { 0 } else { test & 0x02 }, "result not valid"),
        (test & 0x04, "unreliable"),
        (test & 0x08, "timeout"),
        (test & 0x10, "not executed"),
        (test & 0x20, "aborted"),
        (measure & 0x01, "scale error"),
        (measure & 0x02, "drift error"),
        (measure & 0x04, "oscillation"),
    ]
    .into_iter()
    .filter_map(|(flag, what)| (flag != 0).then_some(what))
    .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn numbers(kind: Kind, fields: &Fields, known: &First, lot: &Lot, said: Option<Status>) -> Vec<Numeric> {
    let limits = limits(known.low, known.high, fields.flags("PARM_FLG"));
    let one = |name, value: f32, status| Numeric { name, value: decimal(value), unit: known.unit.clone(), limits, status };
    if kind == PTR {
        return fields.real("RESULT").map(|value| one(None, value, said)).into_iter().collect();
    }
    let site = fields.number("SITE_NUM").unwrap_or_default();
    let values = fields.list("RTN_RSLT").iter().filter_map(|value| if let Value::Real(value) = value { Some(*value) } else { None });
    let named = values.enumerate().map(|(index, value)| {
        let pin = match known.pins.get(index) {
            Some(Value::Number(pin)) => lot.pin_name(*pin, site).map_or_else(|| format!("pin {pin}"), str::to_owned),
            _ => (index + 1).to_string(),
        };
        // The record judges all of them at once; each by itself follows from the limits.
        one(Some(pin), value, None)
    });
    named.collect()
}

/// A limit that is NaN is none. Whether a value on a limit is within it, the record says.
fn limits(low: Option<f32>, high: Option<f32>, flags: u8) -> Limits {
    let low = low.filter(|low| !low.is_nan() && *low != f32::NEG_INFINITY).map(decimal);
    let high = high.filter(|high| !high.is_nan() && *high != f32::INFINITY).map(decimal);
    match (low, high, flags & 0x40 != 0, flags & 0x80 != 0) {
        (None, None, ..) => Limits::Log,
        (Some(low), None, true, _) => Limits::Ge(low),
        (Some(low), None, false, _) => Limits::Gt(low),
        (None, Some(high), _, true) => Limits::Le(high),
        (None, Some(high), _, false) => Limits::Lt(high),
        (Some(low), Some(high), true, true) => Limits::GeLe(low, high),
        (Some(low), Some(high), true, false) => Limits::GeLt(low, high),
        (Some(low), Some(high), false, true) => Limits::GtLe(low, high),
        (Some(low), Some(high), false, false) => Limits::GtLt(low, high),
    }
}

/// What a functional test says besides its judgement.
fn functional(fields: &Fields, step: &mut Step) {
    let mut said = step.report_text.take().unwrap_or_default();
    if let Some(vector) = fields.text("VECT_NAM") {
        said += &format!(", vector {vector}");
    }
    // Without the field nothing else is there either.
    let flags = fields.number("OPT_FLAG").and_then(|flags| u8::try_from(flags).ok()).unwrap_or(u8::MAX);
    for (flag, field, name) in [(0x01, "CYCL_CNT", "cycle"), (0x02, "REL_VADR", "vector address"), (0x08, "NUM_FAIL", "failing pins")] {
        if let Some(number) = fields.number(field).filter(|_| flags & flag == 0) {
            said += &format!(", {name} {number}");
        }
    }
    step.report_text = Some(said);
}
