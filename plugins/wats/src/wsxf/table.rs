//! What the attributes of WSXF's elements are called in WSJF.

use dropforge_sdk::{Error, Result};
use dropforge_xml::Element;
use serde_json::{Map, Number, Value};

/// What an attribute's value is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A GUID, which WSJF has in small letters.
    Id,
    Number,
    Flag,
    /// A word of which WSJF has the first letter: `Passed`.
    Letter(&'static [&'static str]),
    /// What only says at which place something stands, as its place does.
    Place,
}

use Kind::{Flag, Id, Letter, Place, Text};

/// Attributes with their keys.
pub(crate) type Table = &'static [(&'static str, &'static str, Kind)];

const RESULTS: Kind = Letter(&["Passed", "Failed", "Error", "Terminated"]);
const STATUSES: Kind = Letter(&["Passed", "Failed", "Skipped", "Done", "Error", "Terminated"]);

pub(crate) const REPORT: Table = &[
    ("type", "type", Text),
    ("ID", "id", Id),
    ("PN", "pn", Text),
    ("SN", "sn", Text),
    ("Rev", "rev", Text),
    ("ProductName", "productName", Text),
    ("Result", "result", RESULTS),
    ("MachineName", "machineName", Text),
    ("Location", "location", Text),
    ("Purpose", "purpose", Text),
    ("origin", "origin", Text),
    ("Start", "start", Text),
    ("Start_utc", "startUTC", Text),
];
pub(crate) const PROCESS: Table = &[("Code", "processCode", Kind::Number), ("Name", "processName", Text)];
pub(crate) const UUT: Table = &[
    ("UserLoginName", "user", Text),
    ("BatchSN", "batchSN", Text),
    ("TestSocketIndex", "testSocketIndex", Kind::Number),
    ("ExecutionTime", "execTime", Kind::Number),
    ("FixtureId", "fixtureId", Text),
    ("ErrorCode", "errorCode", Kind::Number),
    ("ErrorMessage", "errorMessage", Text),
    ("BatchFailCount", "batchFailCount", Kind::Number),
    ("BatchLoopIndex", "batchLoopIndex", Kind::Number),
    ("StepIdCausedUUTFailure", "stepIdCausedUUTFailure", Kind::Number),
];
pub(crate) const MISC: Table = &[
    ("Description", "description", Text),
    ("Typedef", "typedef", Text),
    ("Numeric", "numeric", Kind::Number),
    ("idx", "", Place),
    ("order_no", "", Place),
];
pub(crate) const SUB_UNIT: Table = &[
    ("PartType", "partType", Text),
    ("PN", "pn", Text),
    ("SN", "sn", Text),
    ("Rev", "rev", Text),
    ("Position", "position", Kind::Number),
    ("Idx", "idx", Kind::Number),
    ("ParentIDX", "parentIdx", Kind::Number),
    ("ReplacedIDX", "replacedIdx", Kind::Number),
];
pub(crate) const ASSET: Table = &[("AssetSN", "assetSN", Text), ("UsageCount", "usageCount", Kind::Number)];
pub(crate) const STEP: Table = &[
    ("Id", "id", Kind::Number),
    ("Group", "group", Letter(&["Setup", "Main", "Cleanup"])),
    ("StepType", "stepType", Text),
    ("Name", "name", Text),
    ("Status", "status", STATUSES),
    ("Start", "start", Text),
    ("total_time", "totTime", Kind::Number),
    ("StepCausedUUTFailure", "causedUUTFailure", Flag),
    ("StepErrorCode", "errorCode", Kind::Number),
    ("StepErrorMessage", "errorMessage", Text),
    ("StepIndex", "", Place),
];
pub(crate) const SEQUENCE_CALL: Table =
    &[("Name", "name", Text), ("Version", "version", Text), ("Filepath", "path", Text), ("Filename", "", Text), ("MeasIndex", "", Place)];
pub(crate) const NUMERIC: Table = &[
    ("CompOperator", "compOp", Text),
    ("Name", "name", Text),
    ("Status", "status", STATUSES),
    ("Units", "unit", Text),
    ("NumericValue", "value", Kind::Number),
    ("LowLimit", "lowLimit", Kind::Number),
    ("HighLimit", "highLimit", Kind::Number),
    ("MeasIndex", "", Place),
    ("MeasOrderNumber", "", Place),
];
pub(crate) const PASS_FAIL: Table =
    &[("Name", "name", Text), ("Status", "status", STATUSES), ("MeasIndex", "", Place), ("MeasOrderNumber", "", Place)];
pub(crate) const STRING: Table = &[
    ("CompOperator", "compOp", Text),
    ("Name", "name", Text),
    ("Status", "status", STATUSES),
    ("StringValue", "value", Text),
    ("StringLimit", "limit", Text),
    ("MeasIndex", "", Place),
    ("MeasOrderNumber", "", Place),
];
pub(crate) const CHART: Table = &[
    ("ChartType", "chartType", Text),
    ("Label", "label", Text),
    ("XLabel", "xLabel", Text),
    ("XUnit", "xUnit", Text),
    ("YLabel", "yLabel", Text),
    ("YUnit", "yUnit", Text),
    ("idx", "", Place),
];
pub(crate) const SERIES: Table = &[("DataType", "dataType", Text), ("Name", "name", Text)];
pub(crate) const LOOP: Table = &[
    ("index", "idx", Kind::Number),
    ("num", "num", Kind::Number),
    ("ending_index", "endingIndex", Kind::Number),
    ("passed", "passed", Kind::Number),
    ("failed", "failed", Kind::Number),
];
pub(crate) const MESSAGE: Table = &[("Response", "response", Text), ("Button", "button", Kind::Number), ("MeasIndex", "", Place)];
pub(crate) const CALL_EXE: Table = &[("ExitCode", "exitCode", Kind::Number), ("MeasIndex", "", Place)];
pub(crate) const ATTACHMENT: Table = &[("Name", "name", Text), ("ContentType", "contentType", Text)];

/// An element's attributes as WSJF has them, and the names of those that it has not.
///
/// # Errors
/// `Malformed` for a number or a flag that is none, `Validation` for another word.
pub(crate) fn fields(element: &Element, table: Table) -> Result<(Map<String, Value>, Vec<String>)> {
    let (mut fields, mut unknown) = (Map::new(), Vec::new());
    for (name, text) in &element.attributes {
        let Some((_, key, kind)) = table.iter().find(|(known, ..)| known == name) else {
            // How a number is to be shown stands beside it in both.
            match table.iter().find(|(known, key, _)| !key.is_empty() && name.strip_suffix("Format") == Some(known)) {
                Some((_, key, _)) if !text.is_empty() => drop(fields.insert(format!("{key}Format"), text.clone().into())),
                Some(_) => {}
                // What XML says of itself.
                None if name == "xsi" || name == "xsd" || name == "xmlns" => {}
                None => unknown.push(name.clone()),
            }
            continue;
        };
        let place = |error: Error| element.place.of(error);
        let value = match kind {
            Place => continue,
            // A value that is empty was read all the same.
            Text if text.is_empty() && *key != "value" => continue,
            Text if key.is_empty() => continue,
            Text => text.clone().into(),
            Id => text.to_ascii_lowercase().into(),
            Kind::Number => number(text).ok_or_else(|| place(wrong(name, text, "a number")))?,
            Flag => match text.as_str() {
                "true" | "1" => true.into(),
                "false" | "0" => false.into(),
                _ => return Err(place(wrong(name, text, "true or false"))),
            },
            Letter(words) => {
                let word = words.iter().find(|word| *word == text);
                let expected = || Error::validation(format!("{name} is `{text}`, and may be {}", words.join(", "))).code("value");
                word.and_then(|word| word.get(..1)).map(Value::from).ok_or_else(|| place(expected()))?
            }
        };
        fields.insert((*key).to_owned(), value);
    }
    Ok((fields, unknown))
}

/// A number as XML has it. JSON has neither NaN nor infinity: they are texts there.
fn number(text: &str) -> Option<Value> {
    Some(match text {
        "NaN" => "NaN".into(),
        "INF" => "Infinity".into(),
        "-INF" => "-Infinity".into(),
        _ => Value::Number(text.parse::<Number>().ok().or_else(|| text.parse().ok().and_then(Number::from_f64))?),
    })
}

fn wrong(name: &str, text: &str, expected: &str) -> Error {
    Error::malformed(format!("{name} is `{text}`, and should be {expected}")).code("number")
}
