//! The options that every converter of reports has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClockChange, Mode, OnLength};
use crate::text::{DateFormat, DecimalSign, Encoding};
use crate::{Error, Result};

/// What a file may not say, and how it is read. A converter takes these into its own options with `#[serde(flatten)]`.
///
/// What the file says goes before the option, the option before the attribute of the route's context.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReportOptions {
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
    /// How the text is written as bytes. A byte-order mark in the file goes before it.
    pub encoding: Encoding,
    /// What parts the whole number from its fraction.
    pub decimal_sign: DecimalSign,
    /// How dates are written, such as `dd/MM/yyyy HH:mm:ss`; else as the format has it.
    pub date_format: Option<String>,
    /// The zone of times without one, such as `Europe/Oslo`, `UTC` or `+02:00`; else the attribute `timezone`, which a route's key `timezone` sets.
    pub timezone: Option<String>,
    /// Which time a time means that does not exist or exists twice, because clocks were changed; `reject`: no report.
    pub clock_change: ClockChange,
    /// Where statuses come from: `import` takes them from the file, `active` computes them from the limits.
    pub mode: Mode,
    /// What becomes of texts that are longer than a report allows.
    pub on_length: OnLength,
}

impl ReportOptions {
    /// The format of dates: the option's, or the given one.
    ///
    /// # Errors
    /// `Validation` for an option that is no format.
    pub fn dates(&self, default: &str) -> Result<DateFormat> {
        let format = self.date_format.as_deref().unwrap_or(default);
        DateFormat::new(format).map_err(|message| Error::validation(format!("option `date_format`: {message}")).code("options"))
    }
}
