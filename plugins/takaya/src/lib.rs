//! The converter `takaya`: results of Takaya flying probe testers (ATD), one report for each board of a panel. `docs/converters/takaya.md` says
//! what goes where.

mod board;
mod row;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_sdk::text::{Line, Lines};

use board::{Panel, begins_board};

/// The converter.
pub struct Takaya;

/// How these testers write dates.
const DATES: &str = "d/M/yyyy H:mm:ss";

impl Converter for Takaya {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new(
            "takaya",
            env!("CARGO_PKG_VERSION"),
            "Results of Takaya flying probe testers (ATD) to one test report for each board",
        )
        .patterns(["*.atd"])
        .reads(["text/plain"])
        .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let Ok(mut lines) = Lines::open(input, ReportOptions::default().encoding) else { return Probe::no("no text") };
        let (mut marked, mut model) = (false, false);
        for _ in 0..20 {
            let Ok(Some(line)) = lines.next_line() else { break };
            match line.text.trim() {
                "@" => marked = true,
                text => model |= text.starts_with("Model:"),
            }
            if marked && model {
                return Probe::new(90, "`@` and a model, as ATD files begin");
            }
        }
        Probe::no("it does not begin as an ATD file does")
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let dates = options.dates(DATES)?;
        let mut lines = Lines::open(input, options.encoding)?;
        let first = lines.next_line()?.unwrap_or(Line { number: 1, ..Line::default() });
        if first.text.trim() != "@" {
            return Err(first.place(Error::unsupported("the first line is not `@`: this is no ATD file").code("not_atd")));
        }
        loop {
            let panel = match Panel::read(&mut lines) {
                Ok(Some(panel)) => panel,
                Ok(None) => break,
                // Without the panel's head there is nothing to say of its boards.
                Err(error) => {
                    reports.set_aside(output, Err(error))?;
                    break;
                }
            };
            while let Some(line) = board::next(&mut lines, &mut reports, output)? {
                if !begins_board(&line.text) {
                    break;
                }
                let result = board::one(&line, &panel, &dates, &mut lines, &mut reports, output);
                if result.is_err() {
                    reports.set_aside(output, result)?;
                    board::skip(&mut lines)?;
                }
            }
        }
        reports.conclude(output)
    }
}

dropforge_sdk::export!(Takaya);
