//! A run: a report, with a sequence for each group of test functions. What is known of the unit stands behind them.

use std::io::BufRead;

use dropforge_sdk::report::{Misc, Moment, Reporter, SequenceCall, Step, Steps, Unit, Verdict};
use dropforge_sdk::text::DateFormat;
use dropforge_sdk::{Error, Output, Result};
use dropforge_xml::{Element, Place, Text, Token, Xml};

use crate::function;

/// The most bytes that are kept of a fact.
const MAX_FACT_BYTES: usize = 32 << 10;
/// The most bytes of notes, which stand between the groups.
const MAX_NOTES_BYTES: usize = 20_000;

/// Reads a run to the end of its file, and writes its report. `project` is the path of the test program.
///
/// # Errors
/// What is wrong with it, with a place.
pub(crate) fn one<R: BufRead>(
    mut xml: Xml<R>,
    project: Option<&str>,
    dates: &DateFormat,
    reports: &mut Reporter,
    output: &mut Output,
) -> Result<()> {
    let root = match xml.next(&mut Text::ignored())? {
        Token::Start(root) => root,
        Token::End | Token::Eof => return Err(Error::malformed("there is no XML element").code("xml").line(1)),
    };
    if root.name != "testrun" {
        let message = format!("the root element is <{}>: <testrun> was expected", short(&root.name));
        return Err(root.place.of(Error::unsupported(message).code("not_xjtag")));
    }
    let place = root.place;
    let at = |error: Error| if error.at.is_some() { error } else { place.of(error) };
    let (start, warning) = start(root, dates, reports).map_err(at)?;
    let written = reports.test(output, |steps| {
        if let Some(warning) = warning {
            steps.warn(place.of(warning));
        }
        let mut unit =
            read(&mut xml, steps)?.ok_or_else(|| place.of(Error::missing_field("the run has no <testruninfo>").code("header")))?;
        unit.start = Some(start);
        unit.sequence_path = project.map(str::to_owned);
        Ok(unit)
    });
    written.map_err(at)
}

fn start(mut root: Element, dates: &DateFormat, reports: &Reporter) -> Result<(Moment, Option<Error>)> {
    let text = root.take("datetime").ok_or_else(|| Error::missing_field("the run has no `datetime`").code("date"))?;
    reports.clock().read(&text, dates)
}

/// Reads what is in the run, to the end of the file: only then it is known that all of it was unpacked as it was packed.
fn read<R: BufRead>(xml: &mut Xml<R>, steps: &mut Steps<'_>) -> Result<Option<Unit>> {
    let (mut unit, mut notes) = (None, Text::new(MAX_NOTES_BYTES));
    loop {
        match xml.next(&mut Text::ignored())? {
            Token::Start(group) if group.name == "testgroup" => sequence(xml, group, steps)?,
            Token::Start(element) if element.name == "testruninfo" => unit = Some(facts(xml, element.place)?),
            // What the runner said between the groups, such as which functions it left out.
            Token::Start(element) if element.name == "text-output" => {
                if let Some(note) = text(xml, MAX_NOTES_BYTES)? {
                    notes.push(&note);
                    notes.push("\n");
                }
            }
            Token::Start(_) => xml.skip()?,
            Token::End => {}
            Token::Eof => {
                let notes = notes.into_value().map(|notes| notes.trim_end().to_owned());
                return Ok(unit.map(|unit| Unit { comment: notes, ..unit }));
            }
        }
    }
}

fn sequence<R: BufRead>(xml: &mut Xml<R>, mut group: Element, steps: &mut Steps<'_>) -> Result<()> {
    let step = Step::named(group.take("name").unwrap_or_default());
    let written = steps.sequence(&step, &SequenceCall::default(), |steps| {
        loop {
            match xml.next(&mut Text::ignored())? {
                Token::Start(element) if element.name == "testfunction" => function::one(xml, element, steps)?,
                Token::Start(_) => xml.skip()?,
                Token::End | Token::Eof => return Ok(None),
            }
        }
    });
    written.map(drop).map_err(|error| if error.at.is_some() { error } else { group.place.of(error) })
}

/// What `<testruninfo>` says of the unit.
fn facts<R: BufRead>(xml: &mut Xml<R>, place: Place) -> Result<Unit> {
    let mut unit = Unit::default();
    loop {
        let element = match xml.next(&mut Text::ignored())? {
            Token::Start(element) => element,
            Token::End | Token::Eof if unit.verdict.is_none() => {
                return Err(place.of(Error::missing_field("the run has no result").code("result")));
            }
            Token::End | Token::Eof => return Ok(unit),
        };
        if element.name == "time-taken" {
            unit.execution_time = function::milliseconds(xml, element.place)?;
            continue;
        }
        let Some(fact) = text(xml, MAX_FACT_BYTES)? else { continue };
        match element.name.as_str() {
            "serial" => unit.serial = fact,
            "user" => unit.operator = Some(fact),
            "project-description" => unit.sequence_name = Some(fact),
            "result" => {
                let status = function::status(&fact).map_err(|error| element.place.of(error))?;
                unit.verdict = Some(Verdict::from(status));
            }
            "xjlink-serial" => unit.misc.push(Misc::text("XJLink serial number", fact)),
            "xjlink-name" => unit.misc.push(Misc::text("XJLink", fact)),
            "xjtag-version" => unit.misc.push(Misc::text("XJTAG version", fact)),
            _ => {}
        }
    }
}

/// The text of an element, which was begun, without white space around it; none where there is no other.
///
/// # Errors
/// What breaks the XML.
pub(crate) fn text<R: BufRead>(xml: &mut Xml<R>, most_bytes: usize) -> Result<Option<String>> {
    let mut text = Text::new(most_bytes);
    while let Token::Start(_) = xml.next(&mut text)? {
        xml.skip()?;
    }
    Ok(text.into_value().map(|text| text.trim().to_owned()))
}

/// The beginning of a text, for messages.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}
