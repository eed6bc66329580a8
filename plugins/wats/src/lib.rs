//! The converter `wats`: reports in the standard formats of WATS. JSON (WSJF) is checked and passed on, XML (WSXF) becomes the same in JSON, and
//! of the text format (WSTF) reports are made. `docs/converters/wats.md` says what goes where.

mod wsjf;
mod wstf;
mod wsxf;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions};
use dropforge_xml::{Source, Text, Token, Xml};

/// The converter.
pub struct Wats;

/// How much is looked at to see which format it is: a mark, and white space.
const HEAD_BYTES: u64 = 1024;

/// The format of a file.
enum Format {
    Json,
    Xml,
    Text,
}

impl Converter for Wats {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("wats", env!("CARGO_PKG_VERSION"), "Reports in the standard formats of WATS: JSON, XML and text")
            .patterns(["*.wsjf", "*.wsjf.json", "*.json", "*.wsxf", "*.xml", "*.txt"])
            .reads([MEDIA_TYPE, "application/json", "application/xml", "text/xml", "text/plain"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        match format(input) {
            Ok(Format::Json) => match wsjf::is_one(input) {
                Ok(true) => Probe::new(92, "the keys of a report in WSJF"),
                _ => Probe::no("not the keys of a report in WSJF"),
            },
            Ok(Format::Xml) => match root(input) {
                // TestStand's reports have the same root, and other reports in it.
                Ok([Some(first), second]) if wsxf::is_wsxf(&first, second.as_ref()) => Probe::new(94, "reports in WSXF"),
                _ => Probe::no("no reports in WSXF"),
            },
            Ok(Format::Text) if wstf::is_one(input) => Probe::new(95, "the marks of WSTF"),
            _ => Probe::no("none of the standard formats of WATS"),
        }
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        match format(input)? {
            Format::Json => wsjf::pass_on(input, output).map(|()| Outcome::Converted),
            Format::Xml => wsxf::convert(input, output),
            Format::Text => wstf::convert(input, &options, output),
        }
    }
}

/// The format, by the first character that is no white space. Reading goes on at the beginning.
fn format(input: &mut Input) -> Result<Format> {
    let mut head = Vec::new();
    input.take(HEAD_BYTES).read_to_end(&mut head)?;
    input.rewind()?;
    // In UTF-16 every other byte is zero.
    let text = head.iter().filter(|byte| !matches!(byte, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF) && !byte.is_ascii_whitespace());
    Ok(match text.copied().next() {
        Some(b'<') => Format::Xml,
        Some(b'-') => Format::Text,
        _ => Format::Json,
    })
}

/// The first two elements of an XML file.
fn root(input: &mut Input) -> Result<[Option<dropforge_xml::Element>; 2]> {
    let mut xml = Xml::new(Source::open(input)?);
    let mut next = || match xml.next(&mut Text::ignored()) {
        Ok(Token::Start(element)) => Some(element),
        _ => None,
    };
    Ok([next(), next()])
}

dropforge_sdk::export!(Wats);
