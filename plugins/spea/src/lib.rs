//! The converter `spea`: result files of SPEA in-circuit testers, one report for each run. `docs/converters/spea.md` says what goes where.

mod record;
mod run;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_sdk::text::Lines;

use record::{Record, fields};

/// The converter.
pub struct Spea;

/// How far into a file its first record is looked for.
const PROBED_LINES: usize = 20;

impl Converter for Spea {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("spea", env!("CARGO_PKG_VERSION"), "Results of SPEA in-circuit testers to one test report for each run")
            .patterns(["*.csv", "*.txt"])
            .reads(["text/csv", "text/plain"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let Ok(mut lines) = Lines::open(input, ReportOptions::default().encoding) else { return Probe::no("no text") };
        for _ in 0..PROBED_LINES {
            let Ok(Some(line)) = lines.next_line() else { break };
            let fields = fields(&line.text);
            match fields.as_slice() {
                ["START", _, _, _, _, _, date, time] if date.contains('/') && time.contains(':') => {
                    return Probe::new(95, "a SPEA record START");
                }
                ["FORMAT" | "LOT", ..] | [""] => {}
                _ => break,
            }
        }
        Probe::no("no SPEA record START")
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let mut lines = Lines::open(input, options.encoding)?;
        let mut runs = run::Runs::new(&options)?;
        let mut seen = false;
        reports.units(&mut lines, output, run::begins, |reports, line, lines, output| {
            let record = Record::of(line);
            seen |= matches!(record, Record::Start(_));
            match record {
                Record::Empty => Ok(()),
                Record::Format(format) => runs.format(line, format),
                Record::Start(start) => runs.one(line, &start, lines, reports, output),
                _ => Err(line.malformed(format!("`{}` stands outside of a run, which begins with START", record.name())).code("outside")),
            }
        })?;
        if !seen && reports.nothing_yet() {
            return Err(Error::unsupported("there is no record START: this is no result file of a SPEA tester").code("not_spea").line(1));
        }
        reports.conclude(output)
    }
}

dropforge_sdk::export!(Spea);
