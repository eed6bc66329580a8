//! The converter `gr228x`: logs of Teradyne GR228x in-circuit testers, one report for each board. `docs/converters/gr228x.md` says what goes where.

mod record;
mod unit;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_sdk::text::{DateFormat, Lines};

use record::Record;
use unit::Program;

/// The converter.
pub struct Gr228x;

/// How these testers write dates; spaces are one or more.
const DATES: &str = "dd-MMM-yy HH:mm:ss";
/// How far into a file its first board is looked for.
const PROBED_LINES: usize = 50;

impl Converter for Gr228x {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("gr228x", env!("CARGO_PKG_VERSION"), "Logs of Teradyne GR228x in-circuit testers to one test report for each board")
            .patterns(["*.log"])
            .reads(["text/plain"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let (Ok(mut lines), Ok(dates)) = (Lines::open(input, ReportOptions::default().encoding), DateFormat::new(DATES)) else {
            return Probe::no("no text");
        };
        for _ in 0..PROBED_LINES {
            let Ok(Some(line)) = lines.next_line() else { break };
            if let Record::Begin { at, .. } = Record::of(&line.text)
                && dates.parse(at).is_some()
            {
                return Probe::new(95, "a board begins as GR228x logs have it");
            }
        }
        Probe::no("no board begins as GR228x logs have it")
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let dates = options.dates(DATES)?;
        let mut lines = Lines::open(input, options.encoding)?;
        let mut program = Program::default();
        let mut seen = false;
        reports.units(&mut lines, output, unit::begins, |reports, line, lines, output| match Record::of(&line.text) {
            Record::Program { file } => {
                program = Program { file: file.into() };
                Ok(())
            }
            Record::Begin { at, serial } => {
                seen = true;
                unit::one(line, at, serial, &program, &dates, options.decimal_sign, lines, reports, output)
            }
            Record::Empty | Record::Diagnose => Ok(()),
            _ => Err(line.malformed("this line stands outside of a board, which begins with `@` and a date").code("outside")),
        })?;
        if !seen && reports.nothing_yet() {
            return Err(Error::unsupported("no board begins with `@`: this is no log of a GR228x").code("not_gr228x").line(1));
        }
        reports.conclude(output)
    }
}

dropforge_sdk::export!(Gr228x);
