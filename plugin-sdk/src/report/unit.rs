//! What a report says of a unit besides its steps.

use super::{Moment, Verdict};

/// A unit and its test. What the file does not say comes from the options and the context; what is nowhere is an error that names it.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// The serial number. Needed.
    pub serial: String,
    /// The part number.
    pub part_number: Option<String>,
    /// The revision.
    pub revision: Option<String>,
    /// The operation code (process code).
    pub operation_code: Option<u32>,
    /// When the test began. Needed.
    pub start: Option<Moment>,
    /// How it ended, where the file says so.
    pub verdict: Option<Verdict>,
    /// The station.
    pub station: Option<String>,
    /// Where the station stands.
    pub location: Option<String>,
    /// What the station is for.
    pub purpose: Option<String>,
    /// The operator.
    pub operator: Option<String>,
    /// The test program's name.
    pub sequence_name: Option<String>,
    /// The test program's file.
    pub sequence_path: Option<String>,
    /// The test program's version.
    pub sequence_version: Option<String>,
    /// How long the test took, in seconds.
    pub execution_time: Option<f64>,
    /// The place of the unit in a panel or fixture.
    pub socket_index: Option<i32>,
    /// The batch (lot, panel) that it belongs to.
    pub batch: Option<String>,
    /// The fixture.
    pub fixture: Option<String>,
    /// The number of the error that ended the test.
    pub error_code: Option<i64>,
    /// That error in words.
    pub error_message: Option<String>,
    /// A comment; at most 5,000 characters.
    pub comment: Option<String>,
    /// What else is known.
    pub misc: Vec<Misc>,
    /// The units that are parts of it.
    pub sub_units: Vec<SubUnit>,
    /// The equipment that was used.
    pub assets: Vec<Asset>,
}

/// A named fact: a text, a number or both.
#[derive(Debug, Clone, Default)]
pub struct Misc {
    /// What it is about.
    pub description: String,
    /// The text.
    pub text: Option<String>,
    /// The number.
    pub numeric: Option<i64>,
}

impl Misc {
    /// A fact in words.
    pub fn text(description: impl Into<String>, text: impl Into<String>) -> Misc {
        Misc { description: description.into(), text: Some(text.into()), numeric: None }
    }
}

/// A unit that is a part of another.
#[derive(Debug, Clone, Default)]
pub struct SubUnit {
    /// What kind of part; at most 50 characters.
    pub part_type: String,
    /// The part number.
    pub part_number: String,
    /// The serial number.
    pub serial: String,
    /// The revision.
    pub revision: String,
}

/// Equipment that was used.
#[derive(Debug, Clone, Default)]
pub struct Asset {
    /// Its serial number.
    pub serial: String,
    /// How often it was used in this test.
    pub usage_count: u32,
}

/// The repair of a unit. The header is that of a [`Unit`]; `Unit::operation_code` is the repair's own.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    /// The unit that was repaired; its execution time is the repair's.
    pub unit: Unit,
    /// The operation code of the test that it failed in.
    pub test_operation_code: Option<u32>,
    /// The id of the report of that test.
    pub test_report: Option<String>,
    /// When the repair was confirmed.
    pub confirmed: Option<Moment>,
    /// When it was finished.
    pub finalized: Option<Moment>,
    /// What was wrong with the unit itself.
    pub failures: Vec<Failure>,
    /// The parts of the unit, each with what was wrong with it.
    pub parts: Vec<(SubUnit, Vec<Failure>)>,
}

/// One thing that was wrong.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// The category of the code. Needed.
    pub category: String,
    /// The code. Needed.
    pub code: String,
    /// A comment; at most 5,000 characters.
    pub comment: Option<String>,
    /// The component, such as `C12`.
    pub component: Option<String>,
    /// The component's article number.
    pub article: Option<String>,
    /// The id of the step that found it, in the report of the test.
    pub step_id: Option<u32>,
}
