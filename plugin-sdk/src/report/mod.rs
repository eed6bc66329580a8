//! Test reports: a unit under test with its steps, or the repair of a unit, written as WATS Standard JSON (WSJF).
//!
//! ```
//! # use dropforge_sdk::prelude::*;
//! # use dropforge_sdk::report::*;
//! # use dropforge_sdk::text::DateFormat;
//! # struct One;
//! # impl Converter for One {
//! #     type Options = ReportOptions;
//! #     fn describe() -> Descriptor { Descriptor::new("one", "1.0.0", "One report").writes([MEDIA_TYPE]) }
//! #     fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
//! let mut reports = Reporter::open(input, &options)?;
//! let (start, _) = reports.clock().read("2026-11-23 10:15:00", &DateFormat::new("yyyy-MM-dd HH:mm:ss").unwrap())?;
//! reports.test(output, |steps| {
//!     steps.sequence(&Step::named("Supply"), &SequenceCall::default(), |steps| {
//!         let volts = Numeric { value: 5.31, unit: Some("V".into()), limits: Limits::GeLe(4.9, 5.2), ..Numeric::default() };
//!         steps.numeric(&Step::named("5 V"), &volts)?;
//!         Ok(None)
//!     })?;
//!     Ok(Unit { serial: "A7".into(), start: Some(start), ..Unit::default() })
//! })?;
//! #         Ok(Outcome::Converted)
//! #     }
//! # }
//! # let options = serde_json::json!({"part_number": "P", "revision": "1", "operation_code": 10, "station": "S", "location": "L", "purpose": "T", "timezone": "UTC"});
//! # let run = dropforge_sdk::testkit::convert::<One>(dropforge_sdk::testkit::TestInput::new("a.txt", ""), options);
//! # let report = run.documents[0].json();
//! # assert_eq!((&report["result"], &report["root"]["steps"][0]["status"], &report["uut"]["stepIdCausedUUTFailure"]), (&"F".into(), &"F".into(), &3.into()));
//! ```
//!
//! An invalid report cannot be written: sequences nest because they are closures; a report without what it needs is an error that names it; texts
//! keep their lengths; every comparator has its limits. Steps are written as they close, so that memory does not grow with their number. Knows
//! nothing of any station's format.

mod aside;
mod base64;
mod compare;
mod id;
mod json;
mod lengths;
mod options;
mod read;
mod reporter;
mod status;
mod step;
mod steps;
mod time;
mod unit;

#[cfg(test)]
mod tests;

pub use aside::Aside;
pub use compare::{Limits, TextLimit};
pub use lengths::OnLength;
pub use options::ReportOptions;
pub use read::{Facts, transcode};
pub use reporter::Reporter;
pub use status::{Mode, Status, Verdict};
pub use step::{Attachment, Chart, Group, Numeric, PassFail, Repetition, Scale, SequenceCall, Series, Step, Text};
pub use steps::Steps;
pub use time::{Clock, ClockChange, Moment};
pub use unit::{Asset, Failure, Misc, Repair, SubUnit, Unit};

/// The media type of a report.
pub const MEDIA_TYPE: &str = "application/vnd.wats.wsjf+json";
