//! The converter `takaya`: results of Takaya flying probe testers (ATD, ATDX), one report for each board of a panel. `docs/converters/takaya.md` says
//! what goes where.

mod atdx;
mod board;
mod row;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_sdk::text::{Line, Lines};

use atdx::Boards;
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
            "Results of Takaya flying probe testers (ATD, ATDX) to one test report for each board",
        )
        .patterns(["*.atd", "*.atdx"])
        .reads(["text/plain"])
        .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let Ok(mut lines) = Lines::open(input, ReportOptions::default().encoding) else { return Probe::no("no text") };
        let (mut marked, mut model) = (false, false);
        for _ in 0..20 {
            let Ok(Some(line)) = lines.next_line() else { break };
            if atdx::begins_head(&line.text) {
                return Probe::new(93, "a main header, as ATDX files begin");
            }
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
        let name = serial_in_name(&input.name()).map(str::to_owned);
        let mut lines = Lines::open(input, options.encoding)?;
        let named = name.as_deref();
        if lines.peek()?.is_some_and(|line| atdx::begins_head(&line.text)) {
            Boards::new(&dates, named).all(&mut lines, &mut reports, output)?;
            return reports.conclude(output);
        }
        let first = lines.next_line()?.unwrap_or(Line { number: 1, ..Line::default() });
        if first.text.trim() != "@" {
            return Err(first.place(
                Error::unsupported("the first line is neither `@` nor a main header: this is no ATD or ATDX file").code("not_atd"),
            ));
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
                let result = board::one(&line, &panel, &dates, named, &mut lines, &mut reports, output);
                if result.is_err() {
                    reports.set_aside(output, result)?;
                    board::skip(&mut lines)?;
                }
            }
        }
        reports.conclude(output)
    }
}

/// The serial number in a file's name, which stands before the time of the test: `WO250319-0162__20250525_122655.atdx`.
fn serial_in_name(name: &str) -> Option<&str> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let digits = |text: &str, count: usize| -> Option<usize> {
        let at = text.len().checked_sub(count)?;
        text.get(at..)?.bytes().all(|byte| byte.is_ascii_digit()).then_some(at)
    };
    let before_time = stem.get(..digits(stem, 6)?)?.trim_end_matches(['_', '-']);
    let before_date = before_time.get(..digits(before_time, 8)?)?;
    let serial = before_date.trim_end_matches(['_', '-']);
    (!serial.is_empty() && serial.len() < before_date.len()).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::serial_in_name;

    #[test]
    fn serials_in_names_stand_before_the_time() {
        for (name, serial) in [
            ("WO250319-0162__20250525_122655.atdx", Some("WO250319-0162")),
            ("43393848.1023_20141227_152724.ATD", Some("43393848.1023")),
            ("PB2939800_E_BOT-20230420130239.ATD", Some("PB2939800_E_BOT")),
            ("_20250525_122655.atdx", None),
            ("20250525_122655.atdx", None),
            ("1234520250525122655.atd", None),
            ("panel.ATD", None),
            ("", None),
        ] {
            assert_eq!(serial_in_name(name), serial, "{name}");
        }
    }
}

dropforge_sdk::export!(Takaya);
