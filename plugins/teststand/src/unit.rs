//! What a report says of the unit, and the report.

use dropforge_sdk::report::{Clock, Moment, Reporter, Status, Steps, Unit, Verdict};
use dropforge_sdk::text::DateFormat;
use dropforge_sdk::{Error, Output, Result};
use dropforge_xml::Element;

use crate::outcome::called;
use crate::prop::{self, Prop, Reader, Report};

/// How the facts of `<ReportInfo>` have times: with a fraction or not, with a zone or not.
const INFO_DATES: [&str; 4] =
    ["yyyy-MM-ddTHH:mm:ss.fffffffffzzz", "yyyy-MM-ddTHH:mm:sszzz", "yyyy-MM-ddTHH:mm:ss.fffffffff", "yyyy-MM-ddTHH:mm:ss"];

impl Report {
    fn text(&self, path: &[&str]) -> Option<String> {
        prop::find(&self.props, path)?.value.clone()
    }

    fn fact(&self, key: &str) -> Option<String> {
        self.info.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.clone())
    }

    /// The result of the main sequence: it alone has no name in one form, and one of its own in the other.
    fn main(&self) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.get(&["TS", "SequenceCall"]).is_some())
    }

    /// When the test began.
    fn start(&self, clock: &Clock) -> Result<(Moment, Option<Error>)> {
        if let Some(text) = self.fact("Start") {
            for format in INFO_DATES {
                if let Ok(format) = DateFormat::new(format)
                    && format.parse(&text).is_some()
                {
                    return clock.read(&text, &format);
                }
            }
            return Err(Error::malformed(format!("`{}` is no start", prop::short(&text))).code("date"));
        }
        let part = |from: &str, name: &str, most: i64| -> Result<i64> {
            let missing = || Error::missing_field(format!("{from} has no {name}")).code("date");
            let from = prop::find(&self.props, &[from]).ok_or_else(missing)?;
            let value = from.whole(&[name])?.ok_or_else(missing)?;
            let wrong = || from.place.of(Error::malformed(format!("{name} is {value}")).code("date"));
            (0..=most).contains(&value).then_some(value).ok_or_else(wrong)
        };
        let (year, month, day) = (part("StartDate", "Year", 9999)?, part("StartDate", "Month", 12)?, part("StartDate", "MonthDay", 31)?);
        let (hours, minutes, seconds) =
            (part("StartTime", "Hours", 23)?, part("StartTime", "Minutes", 59)?, part("StartTime", "Seconds", 59)?);
        // Older versions have no milliseconds.
        let milliseconds = part("StartTime", "Milliseconds", 999).unwrap_or_default();
        let format = DateFormat::new("yyyy-MM-dd HH:mm:ss.fff").map_err(Error::internal)?;
        let text = format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}");
        clock.read(&text, &format)
    }

    fn unit(&self, main: &Prop, start: Moment) -> Result<Unit> {
        let said = match &self.result {
            Some(result) => prop::status(result)?,
            None => main.status(&["Status"])?,
        };
        let call = main.get(&["TS", "SequenceCall"]).map(called).unwrap_or_default();
        let failed = main.is_true(&["Error", "Occurred"]);
        let uut = prop::find(&self.props, &["UUT"]);
        let whole = |name: &str| -> Result<Option<i64>> { uut.map_or(Ok(None), |uut| uut.whole(&[name])) };
        let operation_code = match self.fact("PCode").and_then(|code| code.trim().parse().ok()) {
            Some(code) => Some(code),
            None => whole("UUTOperationType")?.and_then(|code| u32::try_from(code).ok()),
        };
        Ok(Unit {
            serial: self.text(&["UUT", "SerialNumber"]).or_else(|| self.fact("SN")).unwrap_or_default(),
            part_number: self.text(&["UUT", "UUTPartNumber"]).or_else(|| self.text(&["UUT", "PartNumber"])).or_else(|| self.fact("PN")),
            revision: self.text(&["UUT", "UUTPartRevisionNumber"]).or_else(|| self.fact("Rev")),
            operation_code: operation_code.filter(|code| *code > 0),
            start: Some(start),
            verdict: said.map(Verdict::from),
            station: self.text(&["StationInfo", "StationID"]),
            location: self.text(&["StationInfo", "Location"]),
            purpose: self.text(&["StationInfo", "Purpose"]),
            operator: self.text(&["StationInfo", "LoginName"]),
            sequence_name: call.name,
            sequence_path: call.path,
            sequence_version: call.version,
            execution_time: main.number(&["TS", "TotalTime"])?,
            socket_index: whole("TestSocketIndex")?.and_then(|index| i32::try_from(index).ok()).filter(|index| *index >= 0),
            batch: self.text(&["UUT", "BatchSerialNumber"]),
            fixture: self.text(&["UUT", "UUT_Fixture_ID"]),
            comment: self.text(&["UUT", "Comment"]),
            error_code: if failed { main.whole(&["Error", "Code"])? } else { None },
            error_message: main.text(&["Error", "Msg"]).filter(|_| failed).map(str::to_owned),
            ..Unit::default()
        })
    }
}

/// Reads a unit, whose element was begun, and writes its report.
///
/// # Errors
/// Outside, what breaks the XML; inside, what is wrong with the unit, with a place.
pub(crate) fn one(reader: &mut Reader<'_, '_>, element: Element, reports: &mut Reporter, output: &mut Output) -> Result<Result<()>> {
    let (place, clock) = (element.place, reports.clock().clone());
    let mut broken = None;
    let written = reports.test(output, |steps| match reader.report(element, &mut |result| result.write(steps)) {
        Ok(report) => report.and_then(|report| rest(&report, &clock, steps)),
        Err(error) => {
            broken = Some(error.clone());
            Err(error)
        }
    });
    match broken {
        Some(error) => Err(error),
        None => Ok(written.map_err(|error| if error.at.is_some() { error } else { place.of(error) })),
    }
}

/// What there is to say of a unit whose steps are written.
fn rest(report: &Report, clock: &Clock, steps: &mut Steps<'_>) -> Result<Unit> {
    let missing = || report.place.of(Error::missing_field("the unit has no result of a main sequence").code("no_sequence"));
    let main = report.main().ok_or_else(missing)?;
    let (start, warning) = report.start(clock)?;
    if let Some(warning) = warning {
        steps.warn(report.place.of(warning));
    }
    let unit = report.unit(main, start)?;
    // Where the unit has no result of its own, that of its main sequence is one.
    let own = main.status(&["TS", "SequenceCall", "Status"])?;
    Ok(Unit { verdict: unit.verdict.or(own.map(Status::into)), ..unit })
}
