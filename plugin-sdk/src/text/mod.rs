//! What converters of text formats need, once: lines with their places, encodings, numbers as machines write them, and dates.

mod date;
mod encoding;
mod lines;
mod number;

#[cfg(test)]
mod tests;

pub use date::{DateFormat, Parsed};
pub use encoding::Encoding;
pub use lines::{Line, Lines};
pub use number::{DecimalSign, ICT_SUFFIXES, SI_SUFFIXES, engineering, number};
