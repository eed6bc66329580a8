//! XML for converters: start tags, end tags and the text between them, each with its place; in constant memory, in the encodings that stations
//! write. A crate of its own, so that converters of other formats do not build an XML reader. Knows no format.

mod reader;
mod source;

pub use reader::{Element, Text, Token, Xml};
pub use source::{Place, Source};
