//! `output = "jsonl"`: every record as a line of JSON.

use std::io::Write;

use dropforge_sdk::text::Encoding;
use dropforge_sdk::{Error, ErrorType, Input, Outcome, Output, Result, Severity};

use crate::fields::Fields;
use crate::layout::layout;
use crate::source::{Record, Records};

/// The media type.
pub(crate) const JSON_LINES: &str = "application/x-ndjson";
/// How many broken records are told of one by one.
const MAX_PROBLEMS: u64 = 100;

/// Writes all records of a file into one document. A broken one has no line, and is a problem.
///
/// # Errors
/// What opening the file gives; `Internal` where the host fails.
pub(crate) fn convert(input: &mut Input<'_>, encoding: Encoding, output: &mut Output) -> Result<Outcome> {
    let name = input.name_with_extension("jsonl");
    let mut records = Records::open(input)?;
    let mut document = output.document(JSON_LINES, &name)?;
    let mut text = Vec::new();
    let (mut count, mut broken) = (0_u64, 0_u64);
    loop {
        let result = match records.next_record() {
            Ok(None) => break,
            Ok(Some(record)) => line(&record, encoding, &mut text),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                document.write_all(&text)?;
                count += 1;
            }
            Err(error) if error.kind == ErrorType::Internal => return Err(error),
            Err(error) => {
                broken += 1;
                if broken <= MAX_PROBLEMS {
                    output.problem(Severity::Error, error)?;
                }
            }
        }
    }
    if broken > MAX_PROBLEMS {
        let message = format!("{} more records are broken", broken - MAX_PROBLEMS);
        output.problem(Severity::Error, Error::malformed(message).code("record"))?;
    }
    document.set_attribute("stdf.records", &count.to_string())?;
    document.finish()?;
    Ok(Outcome::Converted)
}

/// Makes the line of a record.
fn line(record: &Record<'_>, encoding: Encoding, text: &mut Vec<u8>) -> Result<()> {
    text.clear();
    let Some(layout) = layout(record.kind) else {
        let (kind, sub) = record.kind;
        write!(text, r#"{{"record":"{kind}.{sub}","offset":{},"bytes":"#, record.offset)?;
        serde_json::to_writer(&mut *text, record.body)?;
        return Ok(text.write_all(b"}\n")?);
    };
    let fields = Fields::of(record, layout, encoding)?;
    write!(text, r#"{{"record":"{}","offset":{}"#, layout.name, record.offset)?;
    for (name, value) in &fields.0 {
        write!(text, r#","{name}":"#)?;
        serde_json::to_writer(&mut *text, value)?;
    }
    Ok(text.write_all(b"}\n")?)
}
