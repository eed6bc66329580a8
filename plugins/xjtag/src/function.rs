//! A test function: a step that passed or failed, with what it put out.

use std::io::BufRead;

use dropforge_sdk::report::{Attachment, Status, Step, Steps};
use dropforge_sdk::text::{DecimalSign, number};
use dropforge_sdk::{Error, Result};
use dropforge_xml::{Element, Place, Text, Token, Xml};

use crate::{html, run};

/// The most bytes that are kept of one piece of output, and of all of a function.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// The most characters of a step's text.
const MAX_TEXT: usize = 5000;

/// What was read of a function.
struct Function {
    name: String,
    place: Place,
    /// The output as the runner shows it, put together.
    shown: Text,
    /// The same, where the file has it in one piece.
    plain: Option<String>,
    /// The first error in it.
    error: Option<String>,
    result: Option<String>,
    seconds: Option<f64>,
}

/// Reads a function, whose element was begun, and writes its step.
///
/// # Errors
/// What is wrong with it, with its place; what reading and writing give.
pub(crate) fn one<R: BufRead>(xml: &mut Xml<R>, mut element: Element, steps: &mut Steps<'_>) -> Result<()> {
    let function = Function {
        name: element.take("name").unwrap_or_default(),
        place: element.place,
        shown: Text::new(MAX_OUTPUT_BYTES),
        plain: None,
        error: None,
        result: None,
        seconds: None,
    };
    let function = function.read(xml)?;
    let place = function.place;
    function.write(steps).map_err(|error| if error.at.is_some() { error } else { place.of(error) })
}

impl Function {
    fn read<R: BufRead>(mut self, xml: &mut Xml<R>) -> Result<Self> {
        loop {
            let mut child = match xml.next(&mut Text::ignored())? {
                Token::Start(child) => child,
                Token::End | Token::Eof => return Ok(self),
            };
            match child.name.as_str() {
                "text-output" => {
                    let output = output(xml)?;
                    self.shown.push(&output);
                    if child.take("output-type").is_some_and(|kind| kind == "Error") && self.error.is_none() {
                        self.error = output.trim().lines().next().map(str::to_owned);
                    }
                }
                "html-output" => self.shown.push(&html::text(&output(xml)?)),
                "plain-text" => self.plain = Some(output(xml)?),
                "result" => {
                    self.result = child.take("value");
                    xml.skip()?;
                }
                "time-taken" => self.seconds = milliseconds(xml, child.place)?,
                _ => xml.skip()?,
            }
        }
    }

    fn write(self, steps: &mut Steps<'_>) -> Result<()> {
        let missing = || Error::missing_field(format!("`{}` has no result", self.name)).code("result");
        let status = status(self.result.as_deref().ok_or_else(missing)?)?;
        let shown = match &self.plain {
            // Where the file was indented, so was the text.
            Some(plain) => plain.lines().map(str::trim).collect::<Vec<_>>().join("\n"),
            None => self.shown.into_string(),
        };
        let mut step = Step { total_time: self.seconds, ..Step::named(&self.name).status(status) };
        step.error_message = self.error.filter(|_| status.is_bad());
        let shown = shown.trim();
        if shown.chars().count() > MAX_TEXT {
            // Nothing of it is lost: what is too long for a text is a file.
            step.report_text = Some(format!("The output has {} characters, and is attached.", shown.chars().count()));
            step.attachment = Some(Attachment { name: "output.txt".into(), content_type: "text/plain".into(), data: shown.into() });
        } else {
            step.report_text = (!shown.is_empty()).then(|| shown.to_owned());
        }
        match status {
            Status::Passed | Status::Failed => steps.pass_fail(&step, status).map(drop),
            // What was not run to its end has not judged anything.
            _ => steps.generic("Action", &step).map(drop),
        }
    }
}

/// The text of an element, which was begun. White space at the ends is text.
fn output<R: BufRead>(xml: &mut Xml<R>) -> Result<String> {
    let mut text = Text::new(MAX_OUTPUT_BYTES);
    while let Token::Start(_) = xml.next(&mut text)? {
        xml.skip()?;
    }
    Ok(text.into_string())
}

/// A time, in seconds.
///
/// # Errors
/// `Malformed` for a text that is none.
pub(crate) fn milliseconds<R: BufRead>(xml: &mut Xml<R>, place: Place) -> Result<Option<f64>> {
    let Some(text) = run::text(xml, MAX_OUTPUT_BYTES)? else { return Ok(None) };
    let wrong =
        || place.of(Error::malformed(format!("the time taken is `{}`, and should be milliseconds", run::short(&text))).code("number"));
    number(&text, DecimalSign::Point).map(|time| Some(time / 1000.0)).ok_or_else(wrong)
}

/// A result as XJTAG writes it.
///
/// # Errors
/// `Validation` for another word.
pub(crate) fn status(text: &str) -> Result<Status> {
    Ok(match text.trim() {
        "Passed" => Status::Passed,
        "Failed" => Status::Failed,
        "Skipped" => Status::Skipped,
        "Done" => Status::Done,
        "Error" => Status::Error,
        "Terminated" | "Aborted" => Status::Terminated,
        other => {
            let message =
                format!("`{}` is no result: Passed, Failed, Skipped, Done, Error, Terminated or Aborted were expected", run::short(other));
            return Err(Error::validation(message).code("result"));
        }
    })
}
