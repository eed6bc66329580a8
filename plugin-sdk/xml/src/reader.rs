//! XML as start tags, end tags and the text between them, with places. Knows no format.
//!
//! Entities of a document type are not expanded (a few lines of them can stand for gigabytes): a reference to one stays in the text as it
//! is written. Characters that XML forbids, such as the escape sequences of terminals, are kept: test output is full of them.

use std::io::{self, BufRead};
use std::sync::Arc;

use dropforge_sdk::{Error, Result};
use quick_xml::errors::SyntaxError;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::source::{Place, Source};

/// How deep elements may be nested.
const MAX_DEPTH: usize = 128;
/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 256;

/// A start tag.
pub struct Element {
    /// Without its prefix.
    pub name: String,
    /// In their order; names without their prefixes.
    pub attributes: Vec<(String, String)>,
    /// Where the tag begins.
    pub place: Place,
}

impl Element {
    /// Takes an attribute out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let index = self.attributes.iter().position(|(key, _)| key == name)?;
        Some(self.attributes.remove(index).1)
    }

    /// Takes an attribute out if its value can be read, and leaves it otherwise.
    pub fn take_as<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (_, text) = self.attributes.iter().find(|(key, _)| key == name)?;
        let value = read(text)?;
        self.take(name);
        Some(value)
    }
}

/// What stands between the text.
pub enum Token {
    /// A start tag. An element without content gives an end as well.
    Start(Element),
    /// The end tag of the element that was begun last.
    End,
    /// The end of the input, behind the end of the root element.
    Eof,
}

/// Collects text up to a limit.
pub struct Text {
    value: String,
    limit: usize,
    /// How many bytes went over the limit.
    pub dropped: u64,
}

impl Text {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Text { value: String::new(), limit, dropped: 0 }
    }

    /// Keeps nothing.
    pub fn ignored() -> Self {
        Text::new(0)
    }

    /// Appends what fits.
    pub fn push(&mut self, text: &str) {
        let room = self.limit - self.value.len();
        // Once something was left out, nothing that follows may close the gap.
        let fits = if self.dropped > 0 { 0 } else { text.floor_char_boundary(room) };
        self.value.push_str(text.get(..fits).unwrap_or_default());
        self.dropped += (text.len() - fits) as u64;
    }

    /// How many bytes were collected.
    pub fn kept_bytes(&self) -> usize {
        self.value.len()
    }

    /// What was collected.
    pub fn into_string(self) -> String {
        self.value
    }

    /// What was collected; nothing where it is white space only.
    pub fn into_value(self) -> Option<String> {
        (!self.value.trim().is_empty()).then_some(self.value)
    }
}

/// A reader of XML.
pub struct Xml<R> {
    reader: Reader<Source<R>>,
    buffer: Vec<u8>,
    /// The elements that are open, and where they begin.
    open: Vec<(String, Place)>,
    root_seen: bool,
    /// The first reference to an entity that is not XML's own.
    pub unknown_entity: Option<(String, Place)>,
}

impl<R: BufRead> Xml<R> {
    /// A reader that is before the root element.
    pub fn new(source: Source<R>) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        Xml { reader, buffer: Vec::new(), open: Vec::new(), root_seen: false, unknown_entity: None }
    }

    /// Reads to the next tag, and puts the text before it into `text`.
    ///
    /// # Errors
    /// `Malformed` or `Encoding` with the place; `Unsupported` for what is too deep or too large.
    pub fn next(&mut self, text: &mut Text) -> Result<Token> {
        loop {
            self.buffer.clear();
            let place = self.reader.get_mut().begin_token();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.error(error, place)),
            };
            match event {
                Event::Text(part) => {
                    let part = part.xml10_content();
                    if self.open.is_empty() && !part.trim().is_empty() {
                        return Err(place.of(Error::malformed("text outside of the root element").code("xml")));
                    }
                    text.push(&part);
                }
                Event::CData(part) => text.push(&part.xml10_content()),
                Event::GeneralRef(reference) => match resolve(&reference).map_err(|error| malformed(error, place))? {
                    Some(resolved) => text.push(&resolved),
                    None => {
                        text.push(&format!("&{};", &*reference));
                        self.unknown_entity.get_or_insert_with(|| ((*reference).to_owned(), place));
                    }
                },
                Event::Start(tag) | Event::Empty(tag) => {
                    if self.open.is_empty() && self.root_seen {
                        return Err(place.of(Error::malformed("a second root element").code("xml")));
                    }
                    if self.open.len() >= MAX_DEPTH {
                        let message = format!("elements are nested deeper than {MAX_DEPTH}");
                        return Err(place.of(Error::unsupported(message).code("too_deep")));
                    }
                    let element = element(&tag, place, &mut self.unknown_entity)?;
                    self.root_seen = true;
                    self.open.push((element.name.clone(), place));
                    return Ok(Token::Start(element));
                }
                Event::End(_) => {
                    self.open.pop();
                    return Ok(Token::End);
                }
                Event::Eof => {
                    let end = self.reader.get_mut().place();
                    return match self.open.last() {
                        Some((name, began)) => {
                            let message = format!("the file ends inside <{name}>, which begins in line {}", began.line);
                            Err(end.of(Error::malformed(message).code("truncated")))
                        }
                        None if !self.root_seen => Err(end.of(Error::malformed("there is no XML element").code("xml"))),
                        None => Ok(Token::Eof),
                    };
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    /// Reads to the end of the element that was begun last.
    ///
    /// # Errors
    /// As [`Xml::next`].
    pub fn skip(&mut self) -> Result<()> {
        self.leave(self.open.len())
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Reads to the end of the element that was the innermost when so many were open.
    ///
    /// # Errors
    /// As [`Xml::next`].
    pub fn leave(&mut self, depth: usize) -> Result<()> {
        while self.open.len() >= depth.max(1) {
            self.next(&mut Text::ignored())?;
        }
        Ok(())
    }

    fn error(&mut self, error: quick_xml::Error, place: Place) -> Error {
        match error {
            quick_xml::Error::Io(error) => match Arc::try_unwrap(error) {
                Ok(error) => Error::from(error),
                Err(shared) => Error::from(io::Error::other(shared.to_string())),
            },
            quick_xml::Error::Encoding(quick_xml::encoding::EncodingError::Utf8(error)) => {
                let place = place.after(self.buffer.get(..error.valid_up_to()).unwrap_or_default());
                place.of(Error::encoding("the bytes are not UTF-8, which the file says it is").code("text"))
            }
            // All other syntax errors are markup that the end of the file cuts off: the end is the place to look at.
            quick_xml::Error::Syntax(error) if !matches!(error, SyntaxError::InvalidBangMarkup) => {
                let message = format!("{error}; it begins in line {}", place.line);
                self.reader.get_mut().place().of(Error::malformed(message).code("truncated"))
            }
            error => malformed(error, place),
        }
    }
}

fn malformed(error: quick_xml::Error, place: Place) -> Error {
    place.of(Error::malformed(error.to_string()).code("xml"))
}

fn element(tag: &BytesStart<'_>, place: Place, unknown: &mut Option<(String, Place)>) -> Result<Element> {
    let mut attributes = Vec::new();
    // Looking for repeated names takes quadratic time: not before the number is known to be small.
    for attribute in tag.attributes().with_checks(false).take(MAX_ATTRIBUTES + 1) {
        let attribute = attribute.map_err(|error| malformed(error.into(), place))?;
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
            Ok(value) => value.into_owned(),
            Err(_) => {
                let value = keep_unknown(&attribute.value, |entity| {
                    unknown.get_or_insert_with(|| (entity.to_owned(), place));
                });
                let kept = Attribute { key: attribute.key, value: value.into() };
                kept.normalized_value(XmlVersion::Implicit1_0).map_err(|error| malformed(error, place))?.into_owned()
            }
        };
        attributes.push((name, value));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(place.of(Error::unsupported(format!("an element with more than {MAX_ATTRIBUTES} attributes")).code("too_large")));
    }
    for attribute in tag.attributes() {
        attribute.map_err(|error| malformed(error.into(), place))?;
    }
    Ok(Element { name: tag.local_name().as_ref().to_owned(), attributes, place })
}

/// The text of a reference; none for an entity that is not XML's own.
fn resolve(reference: &BytesRef<'_>) -> quick_xml::Result<Option<String>> {
    Ok(match reference.resolve_char_ref()? {
        Some(character) => Some(character.into()),
        None => resolve_predefined_entity(reference).map(str::to_owned),
    })
}

/// Escapes the references to unknown entities in an attribute's value, so that they come out as they are written.
fn keep_unknown(raw: &str, mut found: impl FnMut(&str)) -> String {
    let mut kept = String::with_capacity(raw.len() + 16);
    let mut parts = raw.split('&');
    kept.push_str(parts.next().unwrap_or_default());
    for part in parts {
        kept.push('&');
        if let Some((name, _)) = part.split_once(';')
            && !name.starts_with('#')
            && resolve_predefined_entity(name).is_none()
        {
            found(name);
            kept.push_str("amp;");
        }
        kept.push_str(part);
    }
    kept
}
