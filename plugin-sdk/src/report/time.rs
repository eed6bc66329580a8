//! Points in time, and the zone of those that come without one.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReportOptions;
use crate::text::{DateFormat, Parsed};
use crate::{Error, Input, Result};

/// Which time a time means that a change of the clocks left out, or brought twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockChange {
    /// The earlier of the two, with a warning.
    #[default]
    Earlier,
    /// The later of the two, with a warning.
    Later,
    /// Neither: the unit has no report.
    Reject,
}

/// A point in time, and how far the clock that showed it was from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The point in time.
    pub at: Timestamp,
    /// The clock's distance from UTC.
    pub offset: Offset,
}

impl Moment {
    /// As ISO 8601 with its offset: `2026-01-30T22:01:41.47+01:00`.
    pub fn local(&self) -> String {
        self.at.display_with_offset(self.offset).to_string()
    }

    /// As ISO 8601 in UTC: `2026-01-30T21:01:41.47Z`.
    pub fn utc(&self) -> String {
        self.at.to_string()
    }

    /// Seconds from `earlier` to this.
    pub fn seconds_since(&self, earlier: &Moment) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }
}

/// Makes points in time of what files say.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: Option<TimeZone>,
    change: ClockChange,
}

impl Clock {
    /// With the zone that the option or else the attribute `timezone` names, if any.
    ///
    /// # Errors
    /// `Validation` for a zone that there is not.
    pub fn open(input: &Input, options: &ReportOptions) -> Result<Self> {
        let name = options.timezone.clone().filter(|name| !name.is_empty()).or_else(|| input.attribute("timezone"));
        Ok(Clock { zone: name.as_deref().map(zone).transpose()?, change: options.clock_change })
    }

    /// A point in time that does not come from a clock on a wall, such as when a file was modified: as the clock of the zone shows it, or else in UTC.
    ///
    /// # Errors
    /// `Validation` for one beyond the calendar.
    pub fn instant(&self, time: SystemTime) -> Result<Moment> {
        let at = Timestamp::try_from(time).map_err(|_| Error::validation("a time beyond the calendar").code("date"))?;
        Ok(Moment { at, offset: self.zone.as_ref().map_or(Offset::UTC, |zone| zone.to_offset(at)) })
    }

    /// A time as a file has it, in a format. A warning comes with it where a change of the clocks makes it mean two times, or none.
    ///
    /// # Errors
    /// `Malformed` for a text that is not in this format; as [`Clock::moment`].
    pub fn read(&self, text: &str, format: &DateFormat) -> Result<(Moment, Option<Error>)> {
        let parsed = format.parse(text).ok_or_else(|| {
            Error::malformed(format!("`{text}` is no date written as `{format}`: see the option `date_format`")).code("date")
        })?;
        self.moment(parsed)
    }

    /// The point in time that a local time means.
    ///
    /// # Errors
    /// `MissingField` where no zone is known; `Validation` for a time that a change of the clocks makes ambiguous, where those are refused,
    /// and for one beyond the calendar.
    pub fn moment(&self, parsed: Parsed) -> Result<(Moment, Option<Error>)> {
        if let Some(offset) = parsed.offset {
            return Ok((moment(offset, parsed.local)?, None));
        }
        let Some(zone) = &self.zone else {
            let message = format!("{} has no time zone: set the route's `timezone` or the option `timezone`", parsed.local);
            return Err(Error::missing_field(message).code("timezone"));
        };
        let (before, after, what) = match zone.to_ambiguous_timestamp(parsed.local).offset() {
            AmbiguousOffset::Unambiguous { offset } => return Ok((moment(offset, parsed.local)?, None)),
            AmbiguousOffset::Gap { before, after } => (before, after, "does not exist: the clocks were put forward over it"),
            AmbiguousOffset::Fold { before, after } => (before, after, "exists twice: the clocks were put back over it"),
        };
        let (first, second) = (moment(before, parsed.local)?, moment(after, parsed.local)?);
        let (earlier, later) = if first.at <= second.at { (first, second) } else { (second, first) };
        let (chosen, word) = match self.change {
            ClockChange::Earlier => (earlier, "earlier"),
            ClockChange::Later => (later, "later"),
            ClockChange::Reject => {
                return Err(Error::validation(format!("the local time {} {what}", parsed.local)).code("clock_change"));
            }
        };
        // In a gap the clock never showed the time: what is written is what it showed at that instant.
        let chosen = Moment { offset: zone.to_offset(chosen.at), ..chosen };
        let message = format!("the local time {} {what}; the {word} of its meanings was taken, {}", parsed.local, chosen.local());
        Ok((chosen, Some(Error::validation(message).code("clock_change"))))
    }
}

fn moment(offset: Offset, local: DateTime) -> Result<Moment> {
    let at = offset.to_timestamp(local).map_err(|_| Error::validation(format!("{local} is beyond the calendar")).code("date"))?;
    Ok(Moment { at, offset })
}

/// A zone by its name in the time zone database that comes with the SDK, or by its distance from UTC.
fn zone(name: &str) -> Result<TimeZone> {
    if name.starts_with(['+', '-']) {
        let dated = DateFormat::new("yyyy-MM-dd zzz").ok().and_then(|format| format.parse(&format!("2000-01-01 {name}")));
        if let Some(offset) = dated.and_then(|dated| dated.offset) {
            return Ok(TimeZone::fixed(offset));
        }
    }
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| Error::validation(format!("there is no time zone `{name}`: write one such as `Europe/Oslo`")).code("timezone"))
}
