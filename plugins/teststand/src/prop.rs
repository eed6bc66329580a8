//! TestStand writes everything as properties inside of properties. Results of steps are read out of them at once, so that what is kept of a step
//! is little, and those of the main sequence are given away as they end. Names stand behind what they name: so a sequence inside another is kept
//! until it ends, and what is known of the unit until that does.

use dropforge_sdk::report::Status;
use dropforge_sdk::text::{DecimalSign, number};
use dropforge_sdk::{Error, Input, Result};
use dropforge_xml::{Element, Place, Text, Token, Xml};

use crate::outcome::StepResult;

/// The most bytes that are kept of one value. No field of a report takes as many.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A property.
#[derive(Debug)]
pub(crate) struct Prop {
    /// Its name, which elements of arrays need not have.
    pub name: String,
    /// Its value, where it has one that is not empty.
    pub value: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// The properties in it; of an array, its elements.
    pub props: Vec<Prop>,
    /// The results of steps in it.
    pub results: Vec<StepResult>,
    sign: DecimalSign,
}

/// All that a file says of a unit.
#[derive(Debug)]
pub(crate) struct Report {
    /// Where it begins.
    pub place: Place,
    /// How the unit ended, where the element itself says so.
    pub result: Option<String>,
    /// The facts of `<ReportInfo>`.
    pub info: Vec<(String, String)>,
    /// Its properties.
    pub props: Vec<Prop>,
}

/// Where a property stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    /// In the unit: what holds the main sequence's result is such a one.
    Unit,
    /// The facts of that.
    Facts,
    /// The call of the main sequence.
    Call,
    /// The results of its steps.
    Results,
    /// Anywhere else.
    Other,
}

impl Path {
    fn of(self, name: &str) -> Path {
        match (self, name) {
            (Path::Unit, "TS") => Path::Facts,
            (Path::Facts, "SequenceCall") => Path::Call,
            (Path::Call, "ResultList") => Path::Results,
            _ => Path::Other,
        }
    }
}

/// Takes the result of a step of the main sequence.
type Take<'t> = dyn FnMut(StepResult) -> Result<()> + 't;

/// Reads units.
pub(crate) struct Reader<'a, 'i> {
    /// What is read from.
    pub xml: Xml<&'a mut Input<'i>>,
    sign: DecimalSign,
    /// What is wrong with the unit that is being read.
    fault: Option<Error>,
}

impl<'a, 'i> Reader<'a, 'i> {
    /// With the decimal sign that numbers have.
    pub fn new(xml: Xml<&'a mut Input<'i>>, sign: DecimalSign) -> Self {
        Reader { xml, sign, fault: None }
    }

    /// Reads a unit to the end of its element, which was begun. `take` gets the results of the main sequence's steps, until something is wrong.
    ///
    /// # Errors
    /// Outside, what breaks the XML; inside, what is wrong with what this unit says.
    pub fn report(&mut self, mut element: Element, take: &mut Take<'_>) -> Result<Result<Report>> {
        let mut report = Report { place: element.place, result: element.take("UUTResult"), info: Vec::new(), props: Vec::new() };
        self.fault = None;
        let mut main = false;
        loop {
            match self.xml.next(&mut Text::ignored())? {
                Token::Start(child) if child.name == "Prop" && !named(&child, "ReportOptions") => {
                    let prop = self.prop(child, if main { Path::Other } else { Path::Unit }, take)?;
                    main |= prop.get(&["TS", "SequenceCall"]).is_some();
                    report.props.push(prop);
                }
                Token::Start(mut child) => {
                    if child.name == "ReportInfo"
                        && let Some((key, value)) = child.take("key").zip(child.take("value"))
                    {
                        report.info.push((key, value));
                    }
                    self.xml.skip()?;
                }
                Token::End | Token::Eof => break,
            }
        }
        Ok(self.fault.take().map_or(Ok(report), Err))
    }

    fn prop(&mut self, mut element: Element, path: Path, take: &mut Take<'_>) -> Result<Prop> {
        let name = element.take("Name").unwrap_or_default();
        let array = element.take("Type").is_some_and(|kind| kind == "Array");
        let mut prop = Prop { name, value: None, place: element.place, props: Vec::new(), results: Vec::new(), sign: self.sign };
        loop {
            match self.xml.next(&mut Text::ignored())? {
                Token::Start(child) if child.name == "Prop" => {
                    let path = child.attributes.iter().find(|(key, _)| key == "Name").map_or(Path::Other, |(_, name)| path.of(name));
                    prop.props.push(self.prop(child, path, take)?);
                }
                Token::Start(child) if child.name == "Value" => match prop.name.as_str() {
                    "ResultList" if array => self.element(&mut |reader, found| {
                        let kept = StepResult::of(found).and_then(|result| match path {
                            _ if reader.fault.is_some() => Ok(()),
                            Path::Results => take(result),
                            _ => {
                                prop.results.push(result);
                                Ok(())
                            }
                        });
                        if let Err(error) = kept {
                            reader.fault.get_or_insert(error);
                        }
                    })?,
                    "Measurement" if array => self.element(&mut |_, found| prop.props.push(found))?,
                    // Other arrays are data that no field of a report takes.
                    _ if array => self.xml.skip()?,
                    _ => prop.value = self.value()?,
                },
                Token::Start(_) => self.xml.skip()?,
                Token::End | Token::Eof => return Ok(prop),
            }
        }
    }

    /// The properties in an element of an array, which was begun: there is one.
    fn element(&mut self, keep: &mut dyn FnMut(&mut Self, Prop)) -> Result<()> {
        loop {
            match self.xml.next(&mut Text::ignored())? {
                Token::Start(child) if child.name == "Prop" => {
                    // No result of the main sequence is inside of another.
                    let found = self.prop(child, Path::Other, &mut |_| Ok(()))?;
                    keep(self, found);
                }
                Token::Start(_) => self.xml.skip()?,
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn value(&mut self) -> Result<Option<String>> {
        let mut text = Text::new(MAX_VALUE_BYTES);
        while let Token::Start(_) = self.xml.next(&mut text)? {
            self.xml.skip()?;
        }
        Ok(text.into_value())
    }
}

fn named(element: &Element, name: &str) -> bool {
    element.attributes.iter().any(|(key, value)| key == "Name" && value == name)
}

impl Prop {
    /// A property in it, by the names on the way.
    pub fn get(&self, path: &[&str]) -> Option<&Prop> {
        find(&self.props, path)
    }

    /// A value in it.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.value.as_deref()
    }

    /// A number in it.
    ///
    /// # Errors
    /// `Malformed` for a value that is none.
    pub fn number(&self, path: &[&str]) -> Result<Option<f64>> {
        let Some((prop, text)) = self.get(path).and_then(|prop| Some((prop, prop.value.as_deref()?))) else { return Ok(None) };
        let found = number(text, prop.sign).or_else(|| {
            // Numeric formats may be hexadecimal.
            let digits = text.trim().strip_prefix("0x")?;
            u32::from_str_radix(digits, 16).ok().map(f64::from)
        });
        let wrong = || prop.place.of(Error::malformed(format!("{} `{}` is no number", prop.name, short(text))).code("number"));
        found.map(Some).ok_or_else(wrong)
    }

    /// A whole number in it.
    ///
    /// # Errors
    /// `Malformed` for a value that is none.
    pub fn whole(&self, path: &[&str]) -> Result<Option<i64>> {
        let Some(number) = self.number(path)? else { return Ok(None) };
        // Beyond 2^53 a double is no exact whole number.
        if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
            return Err(self.place.of(Error::malformed(format!("{number} is no whole number")).code("number")));
        }
        Ok(Some(number as i64))
    }

    /// A status in it.
    ///
    /// # Errors
    /// `Validation` for a word that is none.
    pub fn status(&self, path: &[&str]) -> Result<Option<Status>> {
        match self.get(path) {
            Some(prop) => prop.value.as_deref().map_or(Ok(None), |text| status(text).map_err(|error| prop.place.of(error))),
            None => Ok(None),
        }
    }

    /// What says whether something is so.
    pub fn is_true(&self, path: &[&str]) -> bool {
        self.text(path).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }
}

/// A property among others, by the names on the way.
pub(crate) fn find<'p>(props: &'p [Prop], path: &[&str]) -> Option<&'p Prop> {
    let (first, rest) = path.split_first()?;
    let found = props.iter().find(|prop| prop.name == *first)?;
    if rest.is_empty() { Some(found) } else { found.get(rest) }
}

/// A status as TestStand writes it; none where it is empty.
///
/// # Errors
/// `Validation` for another word: what it means is known to the sequence's author only.
pub(crate) fn status(text: &str) -> Result<Option<Status>> {
    Ok(Some(match text.trim() {
        "" => return Ok(None),
        "Passed" => Status::Passed,
        "Failed" => Status::Failed,
        "Done" => Status::Done,
        "Skipped" => Status::Skipped,
        "Error" => Status::Error,
        "Terminated" => Status::Terminated,
        other => {
            let message = format!("the status `{}` is none that TestStand gives when a step has ended", short(other));
            return Err(Error::validation(message).code("status"));
        }
    }))
}

/// The beginning of a text, for messages.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}
