//! What is kept of a step: its result, ready to be written.

use dropforge_sdk::report::{Group, Limits, Numeric, Repetition, SequenceCall, Status, Step, Steps, Text as Reading, TextLimit};
use dropforge_sdk::{Error, Result};
use dropforge_xml::Place;

use crate::prop::{Prop, short};

/// The result of a step.
#[derive(Debug)]
pub(crate) struct StepResult {
    step: Step,
    place: Place,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sequence {
        call: SequenceCall,
        status: Option<Status>,
        inside: Vec<StepResult>,
    },
    Number(Numeric),
    Numbers(Vec<Numeric>),
    Text(Reading),
    Judged(Status),
    Message {
        response: String,
        button: i32,
    },
    Executable(i64),
    /// By its type, with nothing measured.
    Other(String),
}

impl StepResult {
    /// What the properties of a result say.
    ///
    /// # Errors
    /// What is wrong with them, with the place.
    pub fn of(mut result: Prop) -> Result<StepResult> {
        let place = result.place;
        StepResult::read(&mut result).map_err(|error| if error.at.is_some() { error } else { place.of(error) })
    }

    fn read(result: &mut Prop) -> Result<StepResult> {
        let name = result.text(&["TS", "StepName"]).ok_or_else(|| Error::missing_field("a step has no name").code("step_name"))?;
        let status = result.status(&["Status"])?;
        let failed = result.is_true(&["Error", "Occurred"]);
        let step = Step {
            group: match result.text(&["TS", "StepGroup"]) {
                Some("Setup") => Group::Setup,
                Some("Cleanup") => Group::Cleanup,
                _ => Group::Main,
            },
            status,
            total_time: result.number(&["TS", "TotalTime"])?,
            error_code: if failed { result.whole(&["Error", "Code"])? } else { None },
            error_message: result.text(&["Error", "Msg"]).filter(|_| failed).map(str::to_owned),
            report_text: result.text(&["ReportText"]).map(str::to_owned),
            repetition: repetition(result)?,
            ..Step::named(name)
        };
        Ok(StepResult { step, place: result.place, kind: kind(result, status)? })
    }

    /// Writes the step.
    ///
    /// # Errors
    /// What writing gives, with the place of the step.
    pub fn write(&self, steps: &mut Steps<'_>) -> Result<()> {
        let step = &self.step;
        let written = match &self.kind {
            Kind::Sequence { call, status, inside } => steps.sequence(step, call, |steps| {
                for one in inside {
                    one.write(steps)?;
                }
                Ok(*status)
            }),
            Kind::Number(number) => steps.numeric(step, number),
            Kind::Numbers(numbers) => steps.numerics(step, numbers),
            Kind::Text(text) => steps.text(step, text),
            Kind::Judged(status) => steps.pass_fail(step, *status),
            Kind::Message { response, button } => steps.message(step, response, *button),
            Kind::Executable(code) => steps.executable(step, *code),
            Kind::Other(kind) => steps.generic(kind, step),
        };
        written.map(drop).map_err(|error| if error.at.is_some() { error } else { self.place.of(error) })
    }
}

/// The place of a step in a loop.
fn repetition(result: &Prop) -> Result<Option<Repetition>> {
    let small = |name: &str| -> Result<Option<i32>> { Ok(result.whole(&["TS", name])?.and_then(|value| i32::try_from(value).ok())) };
    let count = |name: &str| -> Result<u32> { Ok(small(name)?.and_then(|value| u32::try_from(value).ok()).unwrap_or_default()) };
    if result.get(&["TS", "NumLoops"]).is_some() {
        return Ok(Some(Repetition::Summary {
            count: count("NumLoops")?,
            ending_index: small("EndingLoopIndex")?.unwrap_or_default(),
            passed: count("NumPassed")?,
            failed: count("NumFailed")?,
        }));
    }
    Ok(small("LoopIndex")?.map(Repetition::Index))
}

/// What a step measured. That goes by what its result has: types of one's own are common, and have what those have that they were made of.
fn kind(result: &mut Prop, status: Option<Status>) -> Result<Kind> {
    let step_type = result.text(&["TS", "StepType"]).unwrap_or_default().to_owned();
    if let Some(call) = take(result, &["TS", "SequenceCall"]) {
        return sequence(call);
    }
    let measured = !matches!(status, Some(Status::Skipped | Status::Terminated));
    if measured && let Some(array) = result.get(&["Measurement"]) {
        return array.props.iter().map(|one| numeric(one, "Data", status_of(one)?)).collect::<Result<_>>().map(Kind::Numbers);
    }
    // A step that was not run has the values of the run before, or none.
    if measured && result.text(&["Numeric"]).is_some() {
        let said = status.filter(|status| matches!(status, Status::Passed | Status::Failed));
        return numeric(result, "Numeric", said).map(Kind::Number);
    }
    if measured && let Some(value) = result.get(&["String"]) {
        let limit = result.text(&["Limits", "String"]).unwrap_or_default().to_owned();
        let limit = match result.text(&["Comp"]).unwrap_or_default().to_ascii_uppercase().as_str() {
            "CASESENSITIVE" | "CASESENSIT" => TextLimit::CaseSensitive(limit),
            "IGNORECASE" => TextLimit::IgnoreCase(limit),
            "" | "LOG" => TextLimit::Log,
            other => {
                return Err(result.place.of(Error::validation(format!("there is no comparator `{}`", short(other))).code("comparator")));
            }
        };
        let said = status.filter(|status| matches!(status, Status::Passed | Status::Failed));
        return Ok(Kind::Text(Reading { value: value.value.clone().unwrap_or_default(), limit, status: said, ..Reading::default() }));
    }
    if measured && result.text(&["PassFail"]).is_some() {
        return Ok(Kind::Judged(Status::passed(result.is_true(&["PassFail"]))));
    }
    Ok(match step_type.as_str() {
        "MessagePopup" => Kind::Message {
            response: result.text(&["Response"]).unwrap_or_default().to_owned(),
            button: result.whole(&["ButtonHit"])?.and_then(|button| i32::try_from(button).ok()).unwrap_or_default(),
        },
        "CallExecutable" => match result.whole(&["ExitCode"])? {
            Some(code) => Kind::Executable(code),
            None => Kind::Other(step_type),
        },
        // A sequence that was called but not run, and a test that measured nothing, are no sequence and no test in a report.
        "" | "SequenceCall" => Kind::Other("Action".into()),
        known if known.starts_with("ET_") => Kind::Other("Action".into()),
        _ => Kind::Other(step_type),
    })
}

fn status_of(measurement: &Prop) -> Result<Option<Status>> {
    Ok(measurement.status(&["Status"])?.filter(|status| matches!(status, Status::Passed | Status::Failed)))
}

fn sequence(mut call: Prop) -> Result<Kind> {
    let inside = take(&mut call, &["ResultList"]).map(|list| list.results).unwrap_or_default();
    Ok(Kind::Sequence { status: call.status(&["Status"])?, call: called(&call), inside })
}

/// What a call called.
pub(crate) fn called(call: &Prop) -> SequenceCall {
    let text = |name: &str| call.text(&[name]).map(str::to_owned);
    SequenceCall { name: text("Sequence"), path: text("SequenceFile"), version: text("SequenceFileVersion") }
}

/// Takes a property out of another.
fn take(from: &mut Prop, path: &[&str]) -> Option<Prop> {
    let (first, rest) = path.split_first()?;
    let index = from.props.iter().position(|prop| prop.name == *first)?;
    match rest {
        [] => Some(from.props.remove(index)),
        rest => take(from.props.get_mut(index)?, rest),
    }
}

fn numeric(measured: &Prop, value: &str, status: Option<Status>) -> Result<Numeric> {
    let missing = || measured.place.of(Error::missing_field(format!("`{}` has no {value}", short(&measured.name))).code("measurement"));
    let read = measured.number(&[value])?.ok_or_else(missing)?;
    Ok(Numeric {
        // The result of a step is no measurement with a name of its own.
        name: (value == "Data").then(|| measured.name.clone()),
        value: read,
        unit: measured.text(&["Units"]).map(str::to_owned),
        limits: limits(measured)?,
        status,
    })
}

fn limits(measured: &Prop) -> Result<Limits> {
    let limit = |name: &str| measured.number(&["Limits", name]);
    let (mut low, mut high) = (limit("Low")?, limit("High")?);
    let Some(comparator) = measured.text(&["Comp"]) else { return Ok(Limits::Log) };
    let wrong = |message: String| measured.place.of(Error::validation(message).code("comparator"));
    if comparator == "EQT"
        && let Some(nominal) = limit("Nominal")?
    {
        // What is written as limits is how far the value may be from the nominal one.
        let scale = match measured.text(&["Limits", "ThresholdType"]).unwrap_or("DELTA").to_ascii_uppercase().as_str() {
            "PERCENTAGE" => nominal.abs() / 100.0,
            "PPM" => nominal.abs() / 1e6,
            "DELTA" => 1.0,
            other => return Err(wrong(format!("there is no threshold type `{}`", short(other)))),
        };
        low = low.map(|low| nominal - scale * low);
        high = high.map(|high| nominal + scale * high);
    }
    Limits::named(comparator.trim(), low, high).map_err(wrong)
}
