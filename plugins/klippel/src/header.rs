//! The header: a name and a value in each line that is no comment.

use std::collections::BTreeMap;

use dropforge_sdk::report::{Misc, Reporter, Unit, Verdict};
use dropforge_sdk::text::{DateFormat, Encoding, Line, Lines};
use dropforge_sdk::{Error, Input, Result};

use crate::results::Results;

/// What the line with the start begins with.
pub(crate) const START: &str = "Cfg_DutStartTime=";
/// The last line of a header. Without it, others may be missing.
const LAST: &str = "Results_Invalid";
/// The most lines of a header.
const MAX_LINES: u64 = 10_000;

/// What a header says.
pub(crate) struct Header {
    /// How results were judged.
    pub results: Results,
    values: BTreeMap<String, (String, Line)>,
}

impl Header {
    /// Reads all of a file.
    ///
    /// # Errors
    /// `Unsupported` for a file without a start; `Malformed` where the end is missing; what reading gives.
    pub fn read(input: &mut Input, encoding: Encoding) -> Result<Header> {
        let mut lines = Lines::open(input, encoding)?;
        let mut values = BTreeMap::new();
        while let Some(line) = lines.next_line()? {
            let text = line.text.trim();
            if line.number > MAX_LINES {
                return Err(line.place(Error::unsupported(format!("a header of more than {MAX_LINES} lines")).code("too_large")));
            }
            if text.is_empty() || text.starts_with("//") || lines.is_cut() {
                continue;
            }
            let (name, value) = text.split_once('=').ok_or_else(|| line.malformed("a line without `=`").code("record"))?;
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            values.insert(name, (value, line));
        }
        if !values.contains_key(START.trim_end_matches('=')) && !lines.is_cut() {
            let message = "there is no line `Cfg_DutStartTime=`: this is no header of Klippel's QC";
            return Err(Error::unsupported(message).code("not_klippel").line(1));
        }
        if !values.contains_key(LAST) {
            return Err(lines.place(Error::malformed(format!("the file ends before the line `{LAST}=`")).code("truncated")));
        }
        let mut results = Results::default();
        for (kind, status) in crate::results::KINDS {
            if let Some((names, _)) = values.get(&format!("Results_{kind}")) {
                results.add(names, status);
            }
        }
        Ok(Header { results, values })
    }

    fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|(value, _)| value.clone()).filter(|value| !value.is_empty())
    }

    /// What there is to say of the unit, and a warning about its start.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn unit(&self, reports: &Reporter) -> Result<(Unit, Option<Error>)> {
        let missing = |name: &str| Error::missing_field(format!("the header has no `{name}`")).code("header").line(1);
        let (text, line) = self.values.get(START.trim_end_matches('=')).ok_or_else(|| missing(START))?;
        let wrong = || line.malformed(format!("`{text}` is no start as SciLab's getdate() has them")).code("date");
        let (local, format) = local(text).ok_or_else(wrong)?;
        let format = DateFormat::new(format).map_err(Error::internal)?;
        let (start, warning) = reports.clock().read(&local, &format).map_err(|error| line.place(error))?;
        let (verdict, verdict_line) = self.values.get("Ctrl_OverallVerdict").ok_or_else(|| missing("Ctrl_OverallVerdict"))?;
        let verdict = match verdict.as_str() {
            "0" => Verdict::Failed,
            // With a warning, but passed.
            "1" | "2" => Verdict::Passed,
            // Void, disturbed by noise, and invalid: nothing is known of the unit.
            "-1" | "3" | "4" => Verdict::Error,
            other => {
                let message = format!("the overall verdict is `{other}`, and may be -1, 0, 1, 2, 3 or 4");
                return Err(verdict_line.place(Error::validation(message).code("result")));
            }
        };
        let database = self.get("Cfg_DatabasePath");
        let name =
            database.as_deref().and_then(|path| path.rsplit(['\\', '/']).next()).map(|name| name.trim_end_matches(".kdbx").to_owned());
        let facts = [("Cfg_LoginMode", "Login mode"), ("Cfg_Speaker", "Speaker channel"), ("Cfg_MonitorID", "I/O monitor")];
        let misc = facts.into_iter().filter_map(|(key, name)| Some(Misc::text(name, self.get(key)?))).collect();
        let unit = Unit {
            serial: self.get("Cfg_SerialNumber").unwrap_or_default(),
            start: Some(start),
            verdict: Some(verdict),
            station: self.get("Cfg_PCName"),
            operator: self.get("Cfg_UserName"),
            sequence_name: name,
            sequence_path: database,
            error_message: self.get("Ctrl_ErrorGeneral"),
            misc,
            ..Unit::default()
        };
        Ok((unit, warning.map(|warning| line.place(warning))))
    }
}

/// A date of SciLab's getdate(), written otherwise, and its format: year, month, week, day of the year, day of the week, day of the month, hour,
/// minute, second, millisecond, minutes from UTC, and seconds since 1970, each after a `-`. A week and an offset may be negative.
fn local(text: &str) -> Option<(String, &'static str)> {
    let mut numbers = Vec::new();
    let mut negative = false;
    for part in text.split('-') {
        if part.is_empty() {
            negative = true;
            continue;
        }
        let Ok(number) = part.parse::<i32>() else { break };
        numbers.push(if std::mem::take(&mut negative) { -number } else { number });
    }
    let [year, month, _, _, _, day, hour, minute, second, millisecond, rest @ ..] = numbers.as_slice() else { return None };
    let local = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03}");
    Some(match rest {
        [offset, ..] => {
            let (sign, offset) = (if *offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
            (format!("{local} {sign}{:02}:{:02}", offset / 60, offset % 60), "yyyy-MM-dd HH:mm:ss.fff zzz")
        }
        // Without it, the time is local to where the file comes from.
        [] => (local, "yyyy-MM-dd HH:mm:ss.fff"),
    })
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn starts_as_scilab_has_them() {
        for (text, expected) in [
            ("2020-5-20-135-5-14-10-1-37-563-120-1.589E+09", Some("2020-05-14 10:01:37.563 +02:00")),
            ("2020-12-53-366-5-31-23-59-59-0--210-1.6E+09", Some("2020-12-31 23:59:59.000 -03:30")),
            ("2021-1--1-1-6-1-0-0-0-7-0-1.6E+09", Some("2021-01-01 00:00:00.007 +00:00")),
            ("2020-5-20-135-5-14-10-1-37-563", Some("2020-05-14 10:01:37.563")),
            ("2020-5-20-135-5-14-10-1-37", None),
            ("", None),
        ] {
            assert_eq!(local(text).map(|(local, _)| local).as_deref(), expected, "{text}");
        }
    }
}
