//! Header and footer of a unit: a name and a value in each line. What has no place of its own in a report is a misc info.

use std::collections::BTreeMap;

use dropforge_sdk::report::{Clock, Misc, Moment, ReportOptions, SubUnit, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, Line, number};
use dropforge_sdk::{Error, Result};

use super::row::status;
use super::{Mark, short};

/// How WSTF has dates, unless the options say otherwise.
const DATES: &str = "yyyy-MM-ddTHH:mm:ss";
/// The names that have a place in a report.
const KNOWN: [&str; 20] = [
    "SerialNumber",
    "PartNumber",
    "Revision",
    "OperationTypeName",
    "OperationTypeCode",
    "UUTStatus",
    "ErrorCode",
    "ErrorMessage",
    "StartDateTime",
    "UTCStartDateTime",
    "ExecutionTime",
    "StationName",
    "OperatorName",
    "TestSocketIndex",
    "FixtureId",
    "SoftwareName",
    "SoftwareVersion",
    "BatchSerialNumber",
    "Comment",
    "ConverterMode",
];
/// The most misc infos and sub-units of a unit.
const MAX_FACTS: usize = 10_000;

/// What header and footer of a unit say.
pub(super) struct Header<'o> {
    options: &'o ReportOptions,
    dates: DateFormat,
    /// Values with their lines; the last of a name counts.
    values: BTreeMap<&'static str, (String, Line)>,
    misc: Vec<Misc>,
    sub_units: Vec<SubUnit>,
}

impl<'o> Header<'o> {
    pub fn new(options: &'o ReportOptions) -> Result<Self> {
        Ok(Header { options, dates: options.dates(DATES)?, values: BTreeMap::new(), misc: Vec::new(), sub_units: Vec::new() })
    }

    /// Takes a line; false for the mark that ends this part.
    ///
    /// # Errors
    /// `Malformed` for another mark, and for a line without a value.
    pub fn takes(&mut self, line: Line, end: Mark) -> Result<bool> {
        match Mark::of(&line) {
            Some(mark) if mark == end => return Ok(false),
            Some(_) => return Err(line.malformed("a mark out of its order").code("record")),
            None => {}
        }
        let mut cells = line.text.split('\t').map(str::trim);
        let (name, value) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if name.is_empty() || !line.text.contains('\t') {
            return Err(line.malformed(format!("`{}` is no name with a value behind a tab", short(line.text.trim()))).code("record"));
        }
        if self.misc.len() + self.sub_units.len() >= MAX_FACTS {
            return Err(line.place(Error::unsupported(format!("a unit with more than {MAX_FACTS} facts")).code("too_large")));
        }
        if name == "Subunit" {
            let mut next = || cells.next().unwrap_or_default().to_owned();
            let (part_number, serial, revision) = (next(), next(), next());
            self.sub_units.push(SubUnit { part_type: value.into(), part_number, serial, revision });
        } else if let Some(known) = KNOWN.iter().find(|known| **known == name) {
            if !value.is_empty() {
                let value = value.to_owned();
                self.values.insert(known, (value, line));
            }
        } else if !value.is_empty() {
            self.misc.push(Misc::text(name, value));
        }
        Ok(true)
    }

    fn get(&self, name: &str) -> Option<(&str, &Line)> {
        self.values.get(name).map(|(value, line)| (value.as_str(), line))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|(value, _)| value.to_owned())
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some((text, line)) = self.get(name) else { return Ok(None) };
        let wrong = || line.malformed(format!("{name} `{}` is no number", short(text))).code("number");
        number(text, self.options.decimal_sign).map(Some).ok_or_else(wrong)
    }

    fn whole<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some((text, line)) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| line.malformed(format!("{name} `{}` is no whole number", short(text))).code("number"))
    }

    /// When the test began. Where the file says it in UTC too, the distance of the two is that of the clock.
    ///
    /// # Errors
    /// `MissingField` for a unit without either; `Malformed` for what is no date.
    pub fn start(&self, clock: &Clock) -> Result<(Moment, Option<Error>)> {
        let as_utc = |text: &str, line: &Line| {
            let format = DateFormat::new(&format!("{} zzz", self.dates)).map_err(Error::internal)?;
            clock.read(&format!("{text} Z"), &format).map(|(moment, _)| moment).map_err(|error| line.place(error))
        };
        match (self.get("StartDateTime"), self.get("UTCStartDateTime")) {
            (None, None) => Err(Error::missing_field("the header has no StartDateTime").code("date")),
            (Some((local, line)), None) => clock.read(local, &self.dates).map_err(|error| line.place(error)),
            (None, Some((utc, line))) => Ok((as_utc(utc, line)?, None)),
            (Some((local, local_line)), Some((utc, line))) => {
                let (shown, at) = (as_utc(local, local_line)?, as_utc(utc, line)?);
                let minutes = (shown.seconds_since(&at) / 60.0).round() as i64;
                if minutes.abs() > 26 * 60 {
                    let message = format!("StartDateTime and UTCStartDateTime are {minutes} minutes apart");
                    return Err(line.place(Error::validation(message).code("date")));
                }
                let sign = if minutes < 0 { '-' } else { '+' };
                let format = DateFormat::new(&format!("{} zzz", self.dates)).map_err(Error::internal)?;
                let offset = minutes.abs();
                clock.read(&format!("{local} {sign}{:02}:{:02}", offset / 60, offset % 60), &format).map_err(|error| line.place(error))
            }
        }
    }

    /// What there is to say of the unit, but for its start.
    ///
    /// # Errors
    /// `Malformed` for what is no number; `Validation` for what is no status.
    pub fn unit(self) -> Result<Unit> {
        let verdict = match self.get("UUTStatus") {
            Some((text, line)) => Some(Verdict::from(status(text).map_err(|error| line.place(error))?)),
            None => None,
        };
        let mut unit = Unit {
            serial: self.text("SerialNumber").unwrap_or_default(),
            part_number: self.text("PartNumber"),
            revision: self.text("Revision"),
            operation_code: self.whole("OperationTypeCode")?,
            verdict,
            station: self.text("StationName"),
            operator: self.text("OperatorName"),
            sequence_name: self.text("SoftwareName"),
            sequence_version: self.text("SoftwareVersion"),
            execution_time: self.number("ExecutionTime")?,
            socket_index: self.whole("TestSocketIndex")?,
            batch: self.text("BatchSerialNumber"),
            fixture: self.text("FixtureId"),
            error_code: self.whole("ErrorCode")?,
            error_message: self.text("ErrorMessage"),
            comment: self.text("Comment"),
            ..Unit::default()
        };
        // The server knows operations by their codes; of a name alone it has to be told.
        let named = self.text("OperationTypeName").map(|name| Misc::text("OperationTypeName", name));
        unit.misc = self.misc.into_iter().chain(named).collect();
        unit.sub_units = self.sub_units;
        Ok(unit)
    }
}
