//! The converter `listen`: tables of Listen's SoundCheck, one report for each unit. `docs/converters/listen.md` says what goes where.

mod row;
mod unit;

use std::io::{Read, Seek, SeekFrom};

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_sdk::text::Lines;

use row::{Rows, is_head};
use unit::Units;

/// The converter.
pub struct Listen;

/// How SoundCheck writes dates on American machines.
const DATES: &str = "M/d/yyyy h:mm:ss tt";

impl Converter for Listen {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("listen", env!("CARGO_PKG_VERSION"), "Tables of Listen's SoundCheck to one test report for each unit")
            .patterns(["*.txt"])
            .reads(["text/plain", "text/tab-separated-values"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let first = Lines::open(input, ReportOptions::default().encoding).and_then(|mut lines| lines.next_line());
        match first {
            Ok(Some(line)) if is_head(&line.text) => Probe::new(90, "the columns `Serial #:` and `Time:`, as SoundCheck has them"),
            _ => Probe::no("the first line is not the head of a SoundCheck table"),
        }
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let mut units = Units::new(options.dates(DATES)?, options.decimal_sign);
        let whole = ends_with_line(input)?;
        let mut lines = Lines::open(input, options.encoding)?;
        if !lines.peek()?.is_some_and(|line| is_head(&line.text)) {
            let message = "the first line does not have the columns `Serial #:` and `Time:`: this is no table of SoundCheck";
            return Err(Error::unsupported(message).code("not_listen").line(1));
        }
        let mut rows = Rows::new(lines, whole);
        loop {
            let key = match rows.peek() {
                Ok(Some(row)) => row.key(),
                Ok(None) => break,
                Err(error) => {
                    reports.set_aside(output, Err(error))?;
                    continue;
                }
            };
            let result = units.one(&key, &mut rows, &mut reports, output);
            if result.is_err() {
                reports.set_aside(output, result)?;
                rows.skip(&key)?;
            }
        }
        if let Some(cut) = rows.cut() {
            reports.set_aside(output, Err(cut))?;
        }
        if reports.nothing_yet() {
            return Err(Error::malformed("the tables have no rows").code("empty").line(1));
        }
        reports.conclude(output)
    }
}

/// Whether the last line has its end. Where it has not, nobody knows whether its last number is whole.
fn ends_with_line(input: &mut Input) -> Result<bool> {
    let length = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(length.saturating_sub(2)))?;
    let mut last = Vec::new();
    // In UTF-16 a line end has two bytes.
    input.read_to_end(&mut last)?;
    Ok(match last.as_slice() {
        [.., b'\n' | b'\r'] | [b'\n' | b'\r', 0] => true,
        other => other.is_empty(),
    })
}

dropforge_sdk::export!(Listen);
