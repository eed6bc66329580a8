//! The converter `stdf`: datalogs of semiconductor testers in STDF V4, one report for each part, or every record as a line of JSON.
//! `docs/converters/stdf.md` says what goes where.

mod fields;
mod layout;
mod lot;
mod parts;
mod records;
mod serial;
mod source;
mod tests_of;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions};

use source::Records;

/// The converter.
pub struct Stdf;

/// What comes out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Target {
    /// A report for each part.
    #[default]
    Reports,
    /// One document with every record as a line of JSON.
    Jsonl,
}

/// What a file may not say, and what becomes of it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StdfOptions {
    #[serde(flatten)]
    report: ReportOptions,
    /// What comes out: `reports`, one for each part; `jsonl`, one document with every record.
    output: Target,
    /// How the serial number is made, of `{part}`, `{lot}`, `{sublot}`, `{wafer}`, `{x}` and `{y}`; `{part}`, the part's own identification, where
    /// nothing is said.
    serial: Option<String>,
}

impl Converter for Stdf {
    type Options = StdfOptions;

    fn describe() -> Descriptor {
        Descriptor::new(
            "stdf",
            env!("CARGO_PKG_VERSION"),
            "STDF V4 of semiconductor testers to one test report for each part, or to JSON Lines",
        )
        .patterns(["*.stdf", "*.std", "*.stdf.gz", "*.std.gz", "*.stdf.bz2", "*.std.bz2"])
        .reads(["application/x-stdf"])
        .writes([MEDIA_TYPE, records::JSON_LINES])
    }

    fn probe(input: &mut Input) -> Probe {
        let by_name = Probe::by_name(&Self::describe(), input);
        match Records::open(input) {
            Ok(_) => return Probe::new(98, "an STDF record FAR of version 4"),
            Err(error) if matches!(error.code.as_str(), "version" | "cpu_type") => return Probe::new(60, error.message),
            // A compressed block may be longer than what is seen of the file here.
            Err(error) if error.code == "truncated" && by_name.confidence > 0 => {}
            Err(_) => return Probe::no("no STDF record FAR"),
        }
        by_name
    }

    fn convert(input: &mut Input, options: StdfOptions, output: &mut Output) -> Result<Outcome> {
        match options.output {
            Target::Jsonl => records::convert(input, options.report.encoding, output),
            Target::Reports => parts::convert(input, &options.report, &serial::Template::new(options.serial.as_deref())?, output),
        }
    }
}

dropforge_sdk::export!(Stdf);
