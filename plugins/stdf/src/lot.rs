//! What holds for many parts: the lot, the wafers, the names of pins.

use std::collections::BTreeMap;

use dropforge_sdk::report::{Clock, Misc, Moment, Unit, Verdict};
use dropforge_sdk::text::Parsed;
use dropforge_sdk::{Error, Result};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::fields::Fields;
use crate::serial::Template;

/// What is known besides the parts.
#[derive(Default)]
pub(crate) struct Lot {
    /// The header that every part begins with.
    unit: Unit,
    lot: Option<String>,
    sublot: Option<String>,
    start: Option<i64>,
    /// The wafer in each test head.
    wafers: BTreeMap<i64, Wafer>,
    /// The names of pins, by their index and site.
    pins: BTreeMap<(i64, i64), String>,
}

struct Wafer {
    id: Option<String>,
    start: Option<i64>,
}

/// Fields of the master information that a report has no place for, and what they are called there.
const MISC: [(&str, &str); 12] = [
    ("SBLOT_ID", "Sublot"),
    ("TSTR_TYP", "Tester type"),
    ("TEST_COD", "Test code"),
    ("TST_TEMP", "Test temperature"),
    ("FLOW_ID", "Flow"),
    ("PROC_ID", "Process"),
    ("FAMLY_ID", "Product family"),
    ("PKG_TYP", "Package type"),
    ("DATE_COD", "Date code"),
    ("FACIL_ID", "Facility"),
    ("FLOOR_ID", "Floor"),
    ("SPEC_NAM", "Test specification"),
];
/// What a coordinate is that is not known.
const NO_COORDINATE: i64 = -32_768;
/// How many names of pins are kept; those beyond go by their index.
const MAX_PINS: usize = 65_536;
/// What a software bin is that is not known.
const NO_BIN: i64 = 65_535;

impl Lot {
    /// The master information record.
    pub fn master(&mut self, fields: &Fields) {
        let text = |name: &str| fields.text(name).map(str::to_owned);
        self.lot = text("LOT_ID");
        self.sublot = text("SBLOT_ID");
        self.start = fields.number("START_T").filter(|start| *start > 0);
        let misc = MISC.iter().filter_map(|(field, name)| Some(Misc::text(*name, fields.text(field)?))).collect();
        self.unit = Unit {
            part_number: text("PART_TYP"),
            revision: text("DSGN_REV"),
            station: text("NODE_NAM"),
            operator: text("OPER_NAM"),
            sequence_name: text("JOB_NAM"),
            sequence_version: text("JOB_REV"),
            batch: text("LOT_ID"),
            misc,
            ..Unit::default()
        };
    }

    /// A wafer begins.
    pub fn wafer(&mut self, fields: &Fields) {
        let start = fields.number("START_T").filter(|start| *start > 0);
        let wafer = Wafer { id: fields.text("WAFER_ID").map(str::to_owned), start };
        self.wafers.insert(fields.number("HEAD_NUM").unwrap_or_default(), wafer);
    }

    /// A wafer ends.
    pub fn wafer_ends(&mut self, fields: &Fields) {
        self.wafers.remove(&fields.number("HEAD_NUM").unwrap_or_default());
    }

    /// A pin's name.
    pub fn pin(&mut self, fields: &Fields) {
        let name = ["LOG_NAM", "PHY_NAM", "CHAN_NAM"].into_iter().find_map(|name| fields.text(name));
        if let (Some(index), Some(name), true) = (fields.number("PMR_INDX"), name, self.pins.len() < MAX_PINS) {
            self.pins.insert((index, fields.number("SITE_NUM").unwrap_or(1)), name.to_owned());
        }
    }

    /// The name of a pin at a site; pins that are the same at all sites may be named for one of them.
    pub fn pin_name(&self, index: i64, site: i64) -> Option<&str> {
        let at_site = self.pins.get(&(index, site));
        at_site.or_else(|| self.pins.range((index, i64::MIN)..=(index, i64::MAX)).next().map(|(_, name)| name)).map(String::as_str)
    }

    /// What there is to say of a part, by the record that ends it, and a warning about its start.
    ///
    /// # Errors
    /// As [`Clock::moment`]; `MissingField` for a serial number that cannot be made.
    pub fn unit(&self, part: &Fields, serial: &Template, clock: &Clock) -> Result<(Unit, Option<Error>)> {
        let number = |name: &str| part.number(name);
        let coordinate = |name: &str| number(name).filter(|at| *at != NO_COORDINATE);
        let wafer = number("HEAD_NUM").and_then(|head| self.wafers.get(&head));
        let wafer_id = wafer.and_then(|wafer| wafer.id.clone());
        let serial = serial.fill(|fact| match fact {
            "part" => part.text("PART_ID").map(str::to_owned),
            "lot" => self.lot.clone(),
            "sublot" => self.sublot.clone(),
            "wafer" => wafer_id.clone(),
            "x" => coordinate("X_COORD").map(|at| at.to_string()),
            "y" => coordinate("Y_COORD").map(|at| at.to_string()),
            _ => None,
        })?;
        let start = wafer.and_then(|wafer| wafer.start).or(self.start).map(|start| moment(start, clock)).transpose()?;
        let flags = part.flags("PART_FLG");
        let verdict = match flags {
            _ if flags & 0x10 != 0 => None,
            _ if flags & 0x04 != 0 => Some(Verdict::Error),
            _ if flags & 0x08 != 0 => Some(Verdict::Failed),
            _ => Some(Verdict::Passed),
        };
        let mut unit = Unit { serial, verdict, comment: part.text("PART_TXT").map(str::to_owned), ..self.unit.clone() };
        let warning = start.and_then(|(start, warning)| {
            unit.start = Some(start);
            warning
        });
        unit.socket_index = number("SITE_NUM").and_then(|site| i32::try_from(site).ok());
        unit.execution_time = number("TEST_T").filter(|time| *time > 0).map(|time| time as f64 / 1000.0);
        unit.misc.extend(wafer_id.map(|id| Misc::text("Wafer", id)));
        let numbers = [
            ("X", coordinate("X_COORD")),
            ("Y", coordinate("Y_COORD")),
            ("Hard bin", number("HARD_BIN")),
            ("Soft bin", number("SOFT_BIN").filter(|bin| *bin != NO_BIN)),
            ("Head", number("HEAD_NUM")),
        ];
        let numbers = numbers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        unit.misc.extend(numbers.map(|(name, value)| Misc { numeric: Some(value), ..Misc::text(name, value.to_string()) }));
        if flags & 0x03 != 0 {
            unit.misc.push(Misc::text("Retest", if flags & 0x01 != 0 { "same part" } else { "same place on the wafer" }));
        }
        Ok((unit, warning))
    }
}

/// STDF counts seconds from 1970 on the clock of the tester, in its zone.
fn moment(seconds: i64, clock: &Clock) -> Result<(Moment, Option<Error>)> {
    let at = Timestamp::from_second(seconds).map_err(|_| Error::validation(format!("{seconds} s are beyond the calendar")).code("date"))?;
    clock.moment(Parsed { local: Offset::UTC.to_datetime(at), offset: None })
}
