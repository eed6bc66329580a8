//! Writes rows as JSON, one object a line or all in one array, straight from the text that was read: no value is built in between, and
//! nothing is allocated per cell. Strings are copied 16 bytes at a time, and looked at for what must be escaped while they are in a
//! register.

use std::borrow::Cow;

use dropforge_sdk::{Document, Result};

use crate::block::{load, needs_escape};
use crate::header::Keys;
use crate::infer::{is_exact_number, is_other_number, is_usual_number};
use crate::output::bytes::Out;
use crate::output::{Table, Written};
use crate::reader::{Record, Sink};
use crate::text::Text;

/// How cells become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inference {
    /// Whether cells that stand without quotes may become numbers, booleans and nulls.
    pub plain: bool,
    /// Whether quoted ones may, too.
    pub quoted: bool,
}

/// The rows that were written and not taken yet.
pub struct Json {
    keys: Keys,
    inference: Inference,
    array: Array,
    document: Document,
    out: Out,
    /// How many columns the table has.
    columns: usize,
    nul: bool,
}

/// Whether the rows are the elements of one array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Array {
    /// They are not: each is a line.
    None,
    /// They are, and there is none yet.
    Empty,
    /// They are, and the next one follows another.
    Begun,
}

impl Json {
    /// A line for each row.
    pub fn lines(document: Document, keys: Keys, inference: Inference) -> Self {
        let (columns, mut out) = (keys.count(), Out::default());
        // Rows of a million columns: room for one at once, with numbers in it, is less than what growing leaves behind.
        if columns > WIDE {
            out.reserve(keys.bytes() + 4 * columns);
        }
        Json { keys, inference, array: Array::None, document, out, columns, nul: false }
    }

    /// One array with an element for each row.
    pub fn array(document: Document, keys: Keys, inference: Inference) -> Self {
        let mut rows = Json { array: Array::Empty, ..Json::lines(document, keys, inference) };
        rows.put(b"[\n");
        rows
    }

    /// Writes what stands between rows.
    fn put(&mut self, text: &[u8]) {
        self.out.reserve(text.len());
        text.iter().for_each(|byte| self.out.push(*byte));
        self.out.row = self.out.length;
    }

    #[inline(always)]
    fn value(&mut self, text: &[u8], from: usize, to: usize) {
        match text.get(from) {
            _ if from == to => self.out.short(NULL, 0, 4),
            Some(b'0'..=b'9' | b'-') if is_exact_number(text, from, to) => self.out.short(text, from, to),
            Some(b't') if text.get(from..to) == Some(b"true") => self.out.short(text, from, to),
            Some(b'f') if text.get(from..to) == Some(b"false") => self.out.short(text, from, to),
            _ => self.string(text, from, to),
        }
    }

    #[inline(always)]
    fn string(&mut self, text: &[u8], from: usize, to: usize) {
        self.nul |= self.out.string(text, from, to);
    }

    #[cold]
    fn add_extra(&mut self, column: usize) {
        while column >= self.keys.count() {
            self.keys.add_unnamed();
        }
    }
}

/// More columns than this are many.
const WIDE: usize = 10_000;

/// The text of a null, padded for copying in steps.
const NULL: &[u8] = b"null            ";

impl Sink for Json {
    #[inline(always)]
    fn cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        if !self.short_cell(column, text, from, to, quoted) {
            self.long_cell(column, text, from, to, quoted);
        }
    }

    fn restart(&mut self) {
        self.out.length = self.out.row;
        self.nul = false;
    }
}

/// How many bytes a key and a text may have that [`Json::short_cell`] writes.
const SHORT: usize = 32;

impl Json {
    /// Writes nearly all cells: a key and a text of at most 32 bytes that need no escaping, in whole steps of 16 and with one look at how
    /// much room there is. Answers whether it did; where not, nothing is written.
    #[inline(always)]
    fn short_cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) -> bool {
        let length = to - from;
        let Some((keys, key_from, key_to)) = self.keys.prefix(column) else { return false };
        let key_length = key_to - key_from;
        let (Some(key), Some(value)) = (chunk::<SHORT>(keys, key_from), chunk::<SHORT>(text, from)) else { return false };
        let Some(out) = self.out.bytes.get_mut(self.out.length..).and_then(|rest| rest.first_chunk_mut::<128>()) else { return false };
        if key_length > SHORT || length > SHORT {
            return false;
        }
        let infers = if quoted { self.inference.quoted && length > 0 } else { self.inference.plain };
        // At most 32, which the compiler can see so.
        let at = key_length & 63;
        if infers {
            let first = value[0];
            if length == 0 {
                put::<SHORT>(out, 0, key);
                put::<4>(out, at, b"null");
                self.out.length += at + 4;
                return true;
            }
            let is_bare = if first.wrapping_sub(b'0') < 10 || first == b'-' {
                let low = value.first_chunk::<16>().unwrap_or(&[0; 16]);
                is_usual_number(low, length).unwrap_or_else(|| is_other_number(text, from, to))
            } else {
                (length == 4 && value.starts_with(b"true")) || (length == 5 && value.starts_with(b"false"))
            };
            if is_bare {
                put::<SHORT>(out, 0, key);
                put::<SHORT>(out, at, value);
                self.out.length += at + length;
                return true;
            }
        }
        let [low, high] = value.as_chunks::<16>().0 else { return false };
        let odd = u64::from(needs_escape(low)) | u64::from(if length > 16 { needs_escape(high) } else { 0 }) << 16;
        if odd & ((1u64 << length) - 1) != 0 {
            return false;
        }
        put::<SHORT>(out, 0, key);
        put::<1>(out, at, b"\"");
        put::<16>(out, at + 1, low);
        if length > 16 {
            put::<16>(out, at + 17, high);
        }
        put::<1>(out, at + 1 + (length & 63), b"\"");
        self.out.length += at + length + 2;
        true
    }

    /// Writes any cell.
    #[inline(never)]
    fn long_cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        if column >= self.columns {
            self.add_extra(column);
        }
        let (key, key_from, key_to) = self.keys.prefix(column).unwrap_or_default();
        // Every path below writes at most the key, the text and two quotes, and `string` reserves for what it escapes.
        self.out.reserve(key_to - key_from + to - from + 4);
        self.out.short(key, key_from, key_to);
        if if quoted { self.inference.quoted && from != to } else { self.inference.plain } {
            self.value(text, from, to);
        } else {
            self.string(text, from, to);
        }
    }
}

/// So many bytes of `bytes` from `at`.
#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>()
}

/// Puts so many bytes into `out` at `at`.
#[inline(always)]
fn put<const N: usize>(out: &mut [u8; 128], at: usize, bytes: &[u8; N]) {
    if let Some(to) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *to = *bytes;
    }
}

impl Table for Json {
    fn columns(&self) -> usize {
        self.columns
    }

    fn name(&self, column: usize) -> Cow<'_, str> {
        self.keys.name(column)
    }

    #[inline(always)]
    fn has_nul(&self) -> bool {
        self.nul
    }

    #[inline(always)]
    fn end_row(&mut self, _: &Record, _: &Text) -> Result<()> {
        self.out.reserve(2);
        self.out.push(b'}');
        if self.array == Array::None {
            self.out.push(b'\n');
        } else if self.array == Array::Empty {
            self.keys.begin_with(b",\n{");
            self.array = Array::Begun;
        }
        self.nul = false;
        self.out.end_row(&mut self.document)
    }
}

impl Written for Json {
    fn finish(mut self) -> Result<Document> {
        match self.array {
            Array::None => {}
            Array::Empty => self.put(b"]\n"),
            Array::Begun => self.put(b"\n]\n"),
        }
        self.out.hand_on(&mut self.document)?;
        Ok(self.document)
    }
}

impl Out {
    /// Writes `text[from..to]` as a JSON string. Says whether there is a NUL in it.
    #[inline(always)]
    fn string(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        let (mut at, mut nul) = (from, false);
        self.push(b'"');
        while at < to {
            let bytes = load(text, at);
            self.store(&bytes);
            let step = (to - at).min(16);
            let odd = needs_escape(&bytes) & ((1 << step) - 1);
            if odd == 0 {
                self.length += step;
                at += step;
            } else {
                let clean = odd.trailing_zeros() as usize;
                self.length += clean;
                at += clean;
                let byte = text.get(at).copied().unwrap_or_default();
                nul |= byte == 0;
                self.escape(byte, to - at);
                at += 1;
            }
        }
        self.push(b'"');
        nul
    }

    /// Writes one byte escaped, with `rest` bytes of the string to come, itself included.
    fn escape(&mut self, byte: u8, rest: usize) {
        self.reserve(rest + 8);
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                for byte in [b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), HEX.get(usize::from(byte & 15)).copied().unwrap_or(b'0')] {
                    self.push(byte);
                }
                return;
            }
        };
        self.push(b'\\');
        self.push(short);
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Text as a JSON string, for names.
pub fn quoted(text: &str) -> Vec<u8> {
    let padded = [text.as_bytes(), &[0; 16]].concat();
    let mut out = Out::default();
    out.reserve(text.len() + 2);
    out.string(&padded, 0, text.len());
    out.bytes.truncate(out.length);
    out.bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_what_serde_json_writes() {
        let mut text = String::new();
        for c in (0..0x300).filter_map(char::from_u32).chain(['\u{fffd}', '\u{1f600}']) {
            text.push(c);
            for from in text.char_indices().map(|(at, _)| at).filter(|at| at + 40 > text.len()) {
                let part = &text[from..];
                assert_eq!(String::from_utf8(quoted(part)).unwrap(), serde_json::to_string(part).unwrap());
            }
        }
    }
}
