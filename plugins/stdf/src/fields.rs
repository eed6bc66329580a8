//! The fields of a record as values.

use dropforge_sdk::text::Encoding;
use dropforge_sdk::{Error, Result};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::layout::{Layout, Type};
use crate::source::{Order, Record};

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(i64),
    Real(f32),
    Double(f64),
    Text(String),
    /// Bytes, and bits in bytes: the first in the lowest bit of the first byte.
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

/// The fields that a record has, in their order. A record may leave out its last ones.
pub(crate) struct Fields(pub Vec<(&'static str, Value)>);

impl Fields {
    /// Reads a record.
    ///
    /// # Errors
    /// `Malformed` where it ends inside a field; `Encoding` for a text that is none. The place is the record's.
    pub fn of(record: &Record<'_>, layout: &'static Layout, encoding: Encoding) -> Result<Self> {
        let mut cursor = Cursor { rest: record.body, order: record.order, encoding };
        let mut fields: Vec<(&'static str, Value)> = Vec::with_capacity(layout.fields.len());
        for (name, kind) in layout.fields {
            let count = |index: usize| match fields.get(index) {
                Some((_, Value::Number(count))) => usize::try_from(*count).unwrap_or_default(),
                _ => 0,
            };
            // A record may end before any field, but not before a list that it says it has.
            let many = match *kind {
                Type::U1s(index) => Some((Type::U1, count(index))),
                Type::U2s(index) => Some((Type::U2, count(index))),
                Type::R4s(index) => Some((Type::R4, count(index))),
                Type::Cns(index) => Some((Type::Cn, count(index))),
                _ => None,
            };
            let elements = match (many, *kind) {
                (Some((_, count)), _) => count,
                (None, Type::N1s(index)) => count(index),
                _ => 0,
            };
            if cursor.rest.is_empty() && elements == 0 {
                break;
            }
            let read = match (many, *kind) {
                (Some((kind, count)), _) => (0..count).map(|_| cursor.value(kind)).collect::<Result<_, _>>().map(Value::List),
                (None, Type::N1s(_)) => cursor.halves(elements),
                (None, kind) => cursor.value(kind),
            };
            let value = read.map_err(|what| match what {
                Wrong::End => Error::malformed(format!("the record {} ends inside the field {name}", layout.name)).code("record"),
                Wrong::Text => {
                    Error::encoding(format!("the field {name} of a record {} is no {} text", layout.name, encoding.name())).code("encoding")
                }
                Wrong::Type(code) => Error::malformed(format!("the field {name} has a value of the unknown type {code}")).code("record"),
            });
            fields.push((name, value.map_err(|error| error.offset(record.offset))?));
        }
        Ok(Fields(fields))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Bits in one byte; none of them is set where the field is missing.
    pub fn flags(&self, name: &str) -> u8 {
        self.number(name).and_then(|flags| u8::try_from(flags).ok()).unwrap_or_default()
    }

    /// A number with a fraction.
    pub fn real(&self, name: &str) -> Option<f32> {
        match self.get(name) {
            Some(Value::Real(real)) => Some(*real),
            _ => None,
        }
    }

    /// A text without the spaces around it, where there is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            // What is not known is an empty text, or one space where it has a fixed length.
            Some(Value::Text(text)) => Some(text.trim_matches([' ', '\0'])).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// A list.
    pub fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }
}

/// A number with the decimal digits that tell it from its neighbours, and no more: 0.1, where its exact value is 0.100000001490116….
pub(crate) fn decimal(value: f32) -> f64 {
    format!("{value:e}").parse().unwrap_or_else(|_| f64::from(value))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Number(number) => serializer.serialize_i64(*number),
            Value::Real(real) if real.is_finite() => serializer.serialize_f32(*real),
            Value::Double(real) if real.is_finite() => serializer.serialize_f64(*real),
            Value::Real(real) => serializer.serialize_str(not_finite(f64::from(*real))),
            Value::Double(real) => serializer.serialize_str(not_finite(*real)),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => bytes.serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
        }
    }
}

/// JSON has no number for these; reports write them as the same texts.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Why a field cannot be read.
enum Wrong {
    End,
    Text,
    Type(u8),
}

struct Cursor<'r> {
    rest: &'r [u8],
    order: Order,
    encoding: Encoding,
}

impl<'r> Cursor<'r> {
    fn take(&mut self, count: usize) -> Result<&'r [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Wrong::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The bytes of a number, the highest first.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let mut bytes: [u8; N] = self.take(N)?.try_into().map_err(|_| Wrong::End)?;
        if self.order == Order::Little {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn value(&mut self, kind: Type) -> Result<Value, Wrong> {
        Ok(match kind {
            Type::U1 => Value::Number(u8::from_be_bytes(self.array()?).into()),
            Type::U2 => Value::Number(u16::from_be_bytes(self.array()?).into()),
            Type::U4 => Value::Number(u32::from_be_bytes(self.array()?).into()),
            Type::I1 => Value::Number(i8::from_be_bytes(self.array()?).into()),
            Type::I2 => Value::Number(i16::from_be_bytes(self.array()?).into()),
            Type::I4 => Value::Number(i32::from_be_bytes(self.array()?).into()),
            Type::R4 => Value::Real(f32::from_be_bytes(self.array()?)),
            Type::C1 => Value::Text(char::from(u8::from_be_bytes(self.array()?)).into()),
            Type::Cn => {
                let length = u8::from_be_bytes(self.array()?);
                Value::Text(self.encoding.text(self.take(length.into())?).ok_or(Wrong::Text)?)
            }
            Type::Bn => {
                let length = u8::from_be_bytes(self.array()?);
                Value::Bytes(self.take(length.into())?.to_vec())
            }
            Type::Dn => {
                let bits = u16::from_be_bytes(self.array()?);
                Value::Bytes(self.take(usize::from(bits).div_ceil(8))?.to_vec())
            }
            Type::Vn => self.any()?,
            // A list needs its length: `Fields::of` reads them.
            Type::U1s(_) | Type::U2s(_) | Type::R4s(_) | Type::Cns(_) | Type::N1s(_) => Value::List(Vec::new()),
        })
    }

    fn halves(&mut self, count: usize) -> Result<Value, Wrong> {
        let bytes = self.take(count.div_ceil(2))?;
        let halves = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        Ok(Value::List(halves.take(count).map(|half| Value::Number(half.into())).collect()))
    }

    fn any(&mut self) -> Result<Value, Wrong> {
        let count = u16::from_be_bytes(self.array()?);
        let mut values = Vec::new();
        for _ in 0..count {
            let code = u8::from_be_bytes(self.array()?);
            values.push(match code {
                // Fills up to an even address.
                0 => continue,
                1 => self.value(Type::U1)?,
                2 => self.value(Type::U2)?,
                3 => self.value(Type::U4)?,
                4 => self.value(Type::I1)?,
                5 => self.value(Type::I2)?,
                6 => self.value(Type::I4)?,
                7 => self.value(Type::R4)?,
                8 => Value::Double(f64::from_be_bytes(self.array()?)),
                10 => self.value(Type::Cn)?,
                11 => self.value(Type::Bn)?,
                12 => self.value(Type::Dn)?,
                13 => Value::Number((u8::from_be_bytes(self.array()?) & 15).into()),
                _ => return Err(Wrong::Type(code)),
            });
        }
        Ok(Value::List(values))
    }
}
