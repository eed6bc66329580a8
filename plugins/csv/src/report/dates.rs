//! How a table writes dates, found out from all of them.

use dropforge_sdk::text::DateFormat;
use dropforge_sdk::{Error, Result};

/// Dates, the first that fits being taken: the year first; the day first with dots; with slashes either, which the dates have to tell.
const DATES: [&str; 8] = ["yyyy-MM-dd", "yyyy/MM/dd", "yyyyMMdd", "d.M.yyyy", "M/d/yyyy", "d/M/yyyy", "d-MMM-yyyy", "d MMM yyyy"];
const TIMES: [&str; 6] = ["", "H:mm:ss", "H:mm", "H:mm:ss.fffffffff", "h:mm:ss tt", "h:mm tt"];
/// How many dates are read in every format; from then on in the best ones only.
const TRIED: u64 = 200;

/// Counts which format reads how many of a table's dates.
#[derive(Debug)]
pub struct Dates {
    given: Option<DateFormat>,
    counted: Vec<(DateFormat, u64)>,
    seen: u64,
}

impl Dates {
    /// With the format of the options, or with all that are known.
    ///
    /// # Errors
    /// `Validation` for an option that is no format.
    pub fn new(option: Option<&str>) -> Result<Dates> {
        let read = |format: &str| {
            DateFormat::new(format).map_err(|message| Error::validation(format!("option `date_format`: {message}")).code("options"))
        };
        if let Some(option) = option {
            return Ok(Dates { given: Some(read(option)?), counted: Vec::new(), seen: 0 });
        }
        let mut counted = Vec::new();
        for date in DATES {
            for time in TIMES {
                for separator in if time.is_empty() { ["", ""] } else { [" ", "T"] } {
                    for zone in if time.is_empty() { ["", "", ""] } else { ["", "zzz", " zzz"] } {
                        let format = read(&format!("{date}{separator}{time}{zone}"))?;
                        if !counted.iter().any(|(known, _)| *known == format) {
                            counted.push((format, 0));
                        }
                    }
                }
            }
        }
        Ok(Dates { given: None, counted, seen: 0 })
    }

    /// Takes a date of the table.
    pub fn see(&mut self, text: &str) {
        if self.given.is_some() || text.is_empty() {
            return;
        }
        for (format, count) in &mut self.counted {
            *count += u64::from(format.parse(text).is_some());
        }
        self.seen += 1;
        if self.seen == TRIED {
            self.counted.retain(|(_, count)| *count > 0);
        }
    }

    /// The format that reads the most of them; where none reads any, the first, which will say so.
    ///
    /// # Errors
    /// `Validation` where day and month cannot be told apart.
    pub fn format(mut self) -> Result<DateFormat> {
        if let Some(given) = self.given.take() {
            return Ok(given);
        }
        let most = self.counted.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let best: Vec<DateFormat> = self.counted.into_iter().filter(|(_, count)| *count == most).map(|(format, _)| format).collect();
        let reads = |start: &str| best.iter().any(|format| format.to_string().starts_with(start));
        if most > 0 && reads("M/d") && reads("d/M") {
            let message = "the dates do not tell whether the day or the month comes first: set the option `date_format`, \
                           such as `dd/MM/yyyy HH:mm:ss`";
            return Err(Error::validation(message).code("date_format"));
        }
        best.into_iter().next().ok_or_else(|| Error::internal("no date format"))
    }
}
