//! The converter `klippel`: logs of Klippel's QC software, one report of a header and the tables beside it. `docs/converters/klippel.md` says
//! what goes where.

mod header;
mod results;
mod table;

use std::collections::BTreeMap;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter, SequenceCall, Step, Steps};
use dropforge_sdk::text::Lines;

use header::Header;
use results::Results;

/// The converter.
pub struct Klippel;

/// How far into a file the start is looked for.
const PROBED_LINES: usize = 100;

impl Converter for Klippel {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new(
            "klippel",
            env!("CARGO_PKG_VERSION"),
            "Logs of Klippel's QC software, a header and a folder of tables, to a test report",
        )
        .patterns(["*.txt"])
        .reads(["text/plain"])
        .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let Ok(mut lines) = Lines::open(input, ReportOptions::default().encoding) else { return Probe::no("no text") };
        for _ in 0..PROBED_LINES {
            let Ok(Some(line)) = lines.next_line() else { break };
            if line.text.starts_with(header::START) {
                return Probe::new(93, "it has the start of a test as Klippel's QC writes it");
            }
        }
        Probe::no("no start of a test as Klippel's QC writes it")
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let header = Header::read(input, options.encoding)?;
        let members = input.members();
        let tasks = tasks(&members);
        if tasks.is_empty() && !header.results.is_empty() {
            let message = "the tables that belong to this file are not there: let the route's `intake` have include = [\"DUT *.txt\"] and members = [\"{stem}/**\"]";
            return Err(Error::missing_field(message).code("tables").line(1));
        }
        let (unit, warning) = header.unit(&reports)?;
        let written = reports.test(output, |steps| {
            if let Some(warning) = warning {
                steps.warn(warning);
            }
            let mut results = header.results;
            for (task, tables) in &tasks {
                steps.sequence(&Step::named(*task), &SequenceCall::default(), |steps| {
                    for (result, member) in tables {
                        one(input, result, member, &options, &mut results, steps)?;
                    }
                    Ok(None)
                })?;
            }
            // What was judged and has no table, such as a polarity.
            results.write_rest(steps)?;
            Ok(unit)
        });
        written.map_err(|error| if error.at.is_some() { error } else { error.line(1) })?;
        Ok(Outcome::Converted)
    }
}

/// The tables of each task, by the result that they are of: `Sound Pressure-thd.txt` is the result `thd` of the task `Sound Pressure`.
fn tasks(members: &[String]) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut tasks: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for member in members {
        let name = member.rsplit('/').next().unwrap_or(member);
        if let Some((task, result)) = name.strip_suffix(".txt").and_then(|stem| stem.rsplit_once('-')) {
            tasks.entry(task).or_default().push((result, member));
        }
    }
    tasks
}

/// Reads one table and writes its steps.
fn one(input: &Input, result: &str, member: &str, options: &ReportOptions, results: &mut Results, steps: &mut Steps<'_>) -> Result<()> {
    let mut table = input.open_member(member)?;
    table::write(&mut table, result, options, results, steps).map_err(|error| {
        // Lines are those of the table, and what the place of a problem is about is the file itself.
        let place = error.at.map_or(String::new(), |at| format!(" ({at})"));
        Error { message: format!("{member}{place}: {}", error.message), at: None, ..error }.line(1)
    })
}

dropforge_sdk::export!(Klippel);
