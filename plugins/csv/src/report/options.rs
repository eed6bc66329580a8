//! The options of reports: those of every converter of reports, and what the columns of a table are.

use std::collections::BTreeMap;

use dropforge_sdk::report::{ClockChange, Limits, Mode, OnLength, ReportOptions, Status};
use dropforge_sdk::text::DecimalSign;
use dropforge_sdk::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{Field, plain};

/// What a table may not say, and where it says what. All of it is for `output = "report"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReportFields {
    /// The part number of units whose file names none.
    pub part_number: Option<String>,
    /// The revision of units whose file names none.
    pub revision: Option<String>,
    /// The operation code (process code) of tests whose file names none.
    pub operation_code: Option<u32>,
    /// Who tested, where the file does not say; else the attribute `operator`.
    pub operator: Option<String>,
    /// The station (machine name), where the file does not say; else the attribute `station`.
    pub station: Option<String>,
    /// Where the station stands, where the file does not say; else the attribute `location`.
    pub location: Option<String>,
    /// What the station is for, where the file does not say; else the attribute `purpose`.
    pub purpose: Option<String>,
    /// The name of the test program, where the file does not say.
    pub sequence_name: Option<String>,
    /// The version of the test program, where the file does not say.
    pub sequence_version: Option<String>,
    /// What parts the whole number from its fraction: `point` or `comma`; else whatever the file shows.
    pub decimal_sign: Option<DecimalSign>,
    /// How dates are written, such as `dd/MM/yyyy HH:mm:ss`; else whatever the file shows.
    pub date_format: Option<String>,
    /// The zone of times without one, such as `Europe/Oslo`, `UTC` or `+02:00`; else the attribute `timezone`, which a route's key `timezone` sets.
    pub timezone: Option<String>,
    /// Which time a time means that does not exist or exists twice, because clocks were changed; `reject`: no report.
    pub clock_change: ClockChange,
    /// Where statuses come from: `import` takes them from the file, `active` computes them from the limits.
    pub mode: Mode,
    /// What becomes of texts that are longer than a report allows.
    pub on_length: OnLength,
    /// Whether a row is a test (`steps`) or a unit with a column for each measurement (`units`); `auto`: `steps` where a column names tests.
    pub layout: Layout,
    /// Which column holds what, where its name does not tell: a field, and the name of its column or a list of possible ones.
    pub columns: BTreeMap<Field, Names>,
    /// Which fields a unit's rows have in common; by default all that say something of the unit, serial number and start among them.
    pub group_by: Vec<Field>,
    /// Units and limits of measurements for which the file has none, by the name of the test or of the column.
    pub measurements: BTreeMap<String, Measurement>,
    /// What the rows right below the header hold, where their first cells do not tell: `low`, `high`, `unit` or `comparator`.
    pub header_rows: Vec<Field>,
    /// Columns that become facts of the unit (misc infos).
    pub misc: Vec<String>,
    /// Columns that become nothing.
    pub ignore: Vec<String>,
    /// The codes of operations that the file has by name.
    pub operations: BTreeMap<String, u32>,
    /// What further words for results mean.
    pub results: BTreeMap<String, Word>,
}

/// What a row is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Whatever the file shows.
    #[default]
    Auto,
    /// A test.
    Steps,
    /// A unit.
    Units,
}

/// One name or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several, the first that the file has being taken.
    Several(Vec<String>),
}

impl Names {
    /// The names.
    pub fn all(&self) -> &[String] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        }
    }
}

/// What the options say of a measurement.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Measurement {
    /// Its unit.
    pub unit: Option<String>,
    /// Its low limit.
    pub low: Option<f64>,
    /// Its high limit.
    pub high: Option<f64>,
    /// How they are compared; `GELE` unless said otherwise.
    pub comparator: Option<String>,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Within its limits.
    Passed,
    /// Outside of them.
    Failed,
    /// It could not be run.
    Error,
    /// Somebody stopped it.
    Terminated,
    /// Not run.
    Skipped,
    /// Run, with nothing to judge.
    Done,
}

impl Word {
    /// The status in a report.
    pub fn status(self) -> Status {
        match self {
            Word::Passed => Status::Passed,
            Word::Failed => Status::Failed,
            Word::Error => Status::Error,
            Word::Terminated => Status::Terminated,
            Word::Skipped => Status::Skipped,
            Word::Done => Status::Done,
        }
    }
}

impl ReportFields {
    /// The options that every converter of reports has.
    pub fn base(&self) -> ReportOptions {
        ReportOptions {
            part_number: self.part_number.clone(),
            revision: self.revision.clone(),
            operation_code: self.operation_code,
            operator: self.operator.clone(),
            station: self.station.clone(),
            location: self.location.clone(),
            purpose: self.purpose.clone(),
            sequence_name: self.sequence_name.clone(),
            sequence_version: self.sequence_version.clone(),
            date_format: self.date_format.clone(),
            timezone: self.timezone.clone(),
            clock_change: self.clock_change,
            mode: self.mode,
            on_length: self.on_length,
            ..ReportOptions::default()
        }
    }

    /// What the options say of a measurement of this name.
    pub fn measurement(&self, name: &str) -> Option<&Measurement> {
        let wanted = plain(name);
        self.measurements.get(name).or_else(|| self.measurements.iter().find(|(known, _)| plain(known) == wanted).map(|(_, found)| found))
    }

    /// What a word for a result means; none where there is no word.
    ///
    /// # Errors
    /// `Malformed` for a word that is not known.
    pub fn status(&self, word: &str) -> Result<Option<Status>> {
        if word.is_empty() {
            return Ok(None);
        }
        if let Some((_, known)) = self.results.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
            return Ok(Some(known.status()));
        }
        Ok(Some(match plain(word).as_str() {
            "pass" | "passed" | "p" | "ok" | "good" | "true" | "1" | "yes" | "y" => Status::Passed,
            "fail" | "failed" | "f" | "nok" | "notok" | "ng" | "bad" | "false" | "0" | "no" | "n" => Status::Failed,
            "error" | "err" | "e" => Status::Error,
            "terminated" | "terminate" | "aborted" | "abort" | "t" | "cancelled" | "canceled" | "stopped" => Status::Terminated,
            "skipped" | "skip" | "s" | "notrun" => Status::Skipped,
            "done" | "d" => Status::Done,
            _ => {
                let message = format!("`{word}` is no known result: the option `results` may say what it means");
                return Err(Error::malformed(message).code("result"));
            }
        }))
    }
}

/// Limits as a table has them: a comparator by name or sign, or none.
///
/// # Errors
/// `Malformed` for a comparator that there is not, or whose limits are missing.
pub fn limits(comparator: &str, low: Option<f64>, high: Option<f64>) -> Result<Limits> {
    let name = match comparator {
        "" => return Ok(Limits::within(low, high)),
        "=" | "==" => "EQ",
        "!=" | "<>" => "NE",
        "<" => "LT",
        "<=" => "LE",
        ">" => "GT",
        ">=" => "GE",
        other => other,
    };
    Limits::named(name, low, high).map_err(|message| Error::malformed(message).code("comparator"))
}
