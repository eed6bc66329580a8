//! The converter `opcheck`: lets a test report in JSON pass if the server knows its operation code. `docs/converters/opcheck.md` says more.

use dropforge_sdk::lookup::{self, Response};
use dropforge_sdk::prelude::*;
use serde_json::{Map, Value};

/// Reports are read as a whole; larger ones are no reports.
const MAX_BYTES: u64 = 32 << 20;

/// What stands for the code in a path.
const PLACE: &str = "{code}";

/// The converter.
pub struct OpCheck;

/// What may be set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Options {
    /// The report's key that holds the operation code, a text or a whole number.
    #[serde(default = "operation_code")]
    pub field: String,
    /// The path on the server that knows operation codes: it answers 404 for one that it does not know. `{code}` stands for the code.
    #[serde(default = "operations")]
    pub path: String,
}

fn operation_code() -> String {
    "operation_code".into()
}

fn operations() -> String {
    format!("/api/operations/{PLACE}")
}

impl Converter for OpCheck {
    type Options = Options;

    fn describe() -> Descriptor {
        Descriptor::new("opcheck", env!("CARGO_PKG_VERSION"), "Test reports in JSON whose operation code the server knows")
            .patterns(["*.report.json"])
            .reads(["application/json"])
            .writes(["application/json"])
    }

    fn convert(input: &mut Input, options: Options, output: &mut Output) -> Result<Outcome> {
        if input.size() > MAX_BYTES {
            return Err(Error::unsupported(format!("the file has {} bytes; a report has at most {MAX_BYTES}", input.size())));
        }
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let report: Map<String, Value> = serde_json::from_slice(&bytes)?;
        let code = code(&report, &options.field)?;
        let response = lookup::get(&options.path.replace(PLACE, &lookup::segment(&code)), &[])?;
        if !response.found()? {
            let message =
                format!("the server knows no operation `{code}`: correct `{}`, or add the operation to the server", options.field);
            return Ok(Outcome::Rejected(Error::validation(message).code("unknown_operation")));
        }
        let mut document = output.document("application/json", &input.name())?;
        document.set_attribute("operation_code", &code)?;
        if let Some(name) = name(&response) {
            document.set_attribute("operation_name", &name)?;
        }
        document.write_all(&bytes)?;
        document.finish()?;
        Ok(Outcome::Converted)
    }
}

/// The operation code of a report.
fn code(report: &Map<String, Value>, field: &str) -> Result<String> {
    match report.get(field) {
        Some(Value::String(code)) if !code.is_empty() => Ok(code.clone()),
        Some(Value::Number(code)) if code.is_u64() => Ok(code.to_string()),
        Some(other) => Err(Error::validation(format!("`{field}` is {other}, which is no operation code: a text or a whole number"))),
        None => Err(Error::missing_field(format!("the report has no `{field}`"))),
    }
}

/// What the server calls the operation, where it says so.
fn name(response: &Response) -> Option<String> {
    let answer: Value = serde_json::from_slice(&response.body).ok()?;
    Some(answer.get("name")?.as_str()?.to_owned())
}

dropforge_sdk::export!(OpCheck);
