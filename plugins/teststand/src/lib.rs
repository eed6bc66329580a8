//! The converter `teststand`: XML reports of NI TestStand, one report for each unit. `docs/converters/teststand.md` says what goes where.

mod outcome;
mod prop;
mod unit;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_xml::{Element, Source, Text, Token, Xml};

use prop::Reader;

/// The converter.
pub struct Teststand;

impl Converter for Teststand {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("teststand", env!("CARGO_PKG_VERSION"), "XML reports of NI TestStand to one test report for each unit")
            .patterns(["*.xml"])
            .reads(["application/xml", "text/xml"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let Ok(mut xml) = Source::open(input).map(Xml::new) else { return Probe::no("no XML") };
        match xml.next(&mut Text::ignored()) {
            Ok(Token::Start(root)) if root.name == "TSReport" => Probe::new(95, "the root element is <TSReport>"),
            Ok(Token::Start(root)) if root.name == "Reports" => match xml.next(&mut Text::ignored()) {
                Ok(Token::Start(first)) if first.name == "Report" => Probe::new(90, "<Reports> with a <Report>, as TestStand has them"),
                _ => Probe::no("<Reports> without a <Report>"),
            },
            _ => Probe::no("neither <Reports> nor <TSReport>"),
        }
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let mut reader = Reader::new(Xml::new(Source::open(input)?), options.decimal_sign);
        let root = match reader.xml.next(&mut Text::ignored())? {
            Token::Start(root) => root,
            Token::End | Token::Eof => return Err(Error::malformed("there is no XML element").code("xml").line(1)),
        };
        // What breaks the XML breaks all that follows; what was whole before has its report.
        let read = match root.name.as_str() {
            "TSReport" => one(&mut reader, root, &mut reports, output),
            "Reports" => all(&mut reader, &mut reports, output),
            other => {
                let message = format!("the root element is <{other}>: <Reports> or <TSReport> was expected");
                return Err(root.place.of(Error::unsupported(message).code("not_teststand")));
            }
        };
        reports.set_aside(output, read)?;
        reports.conclude(output)
    }
}

/// The units inside of `<Reports>`.
fn all(reader: &mut Reader<'_, '_>, reports: &mut Reporter, output: &mut Output) -> Result<()> {
    loop {
        match reader.xml.next(&mut Text::ignored())? {
            // The report of a batch lists its units, which have their own.
            Token::Start(element) if element.name == "Report" && is_unit(&element) => one(reader, element, reports, output)?,
            Token::Start(_) => reader.xml.skip()?,
            Token::End => {}
            Token::Eof => return Ok(()),
        }
    }
}

fn is_unit(element: &Element) -> bool {
    element.attributes.iter().all(|(name, value)| name != "Type" || value == "UUT")
}

/// One unit, whose element was begun. What is wrong with what it says is set aside.
///
/// # Errors
/// What breaks the XML.
fn one(reader: &mut Reader<'_, '_>, element: Element, reports: &mut Reporter, output: &mut Output) -> Result<()> {
    let result = unit::one(reader, element, reports, output)?;
    reports.set_aside(output, result)
}

dropforge_sdk::export!(Teststand);
