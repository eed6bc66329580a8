//! Writes JSON objects and arrays as they come, with nothing kept but whether a comma is due.

use std::io::Write;

use serde::{Serialize, Serializer};

use crate::Result;

/// A number of a report. JSON has neither NaN nor infinity: they are the texts that .NET writes and reads for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value if value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// Writes `,` before every item but the first.
pub(super) fn comma(out: &mut impl Write, first: &mut bool) -> Result<()> {
    if !std::mem::take(first) {
        out.write_all(b",")?;
    }
    Ok(())
}

/// An object that is being written.
pub(super) struct Fields {
    first: bool,
}

impl Fields {
    /// Opens an object.
    pub fn open(out: &mut impl Write) -> Result<Self> {
        out.write_all(b"{")?;
        Ok(Fields { first: true })
    }

    /// A key, after which its value is to be written. Keys are the format's own: nothing in them is escaped.
    pub fn key(&mut self, out: &mut impl Write, key: &str) -> Result<()> {
        comma(out, &mut self.first)?;
        write!(out, "\"{key}\":")?;
        Ok(())
    }

    /// A key and its value.
    pub fn field<T: Serialize + ?Sized>(&mut self, out: &mut impl Write, key: &str, value: &T) -> Result<()> {
        self.key(out, key)?;
        serde_json::to_writer(out, value)?;
        Ok(())
    }

    /// A key and its value, where there is one.
    pub fn some<T: Serialize>(&mut self, out: &mut impl Write, key: &str, value: Option<T>) -> Result<()> {
        value.map_or(Ok(()), |value| self.field(out, key, &value))
    }

    /// Closes it.
    pub fn close(self, out: &mut impl Write) -> Result<()> {
        Ok(out.write_all(b"}")?)
    }
}

/// A whole array of objects.
pub(super) fn array<T, W: Write>(out: &mut W, items: &[T], mut each: impl FnMut(&mut W, &T) -> Result<()>) -> Result<()> {
    out.write_all(b"[")?;
    let mut first = true;
    for item in items {
        comma(out, &mut first)?;
        each(out, item)?;
    }
    Ok(out.write_all(b"]")?)
}
