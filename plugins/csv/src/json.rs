//! Writes rows as JSON Lines, straight from the text that was read: no value is built in between, and nothing is allocated per cell.
//! Strings are copied 16 bytes at a time, and looked at for what must be escaped while they are in a register.

use crate::block::{load, needs_escape};
use crate::header::Keys;
use crate::infer::is_exact_number;
use crate::reader::Sink;

/// How cells become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inference {
    /// Whether cells that stand without quotes may become numbers, booleans and nulls.
    pub plain: bool,
    /// Whether quoted ones may, too.
    pub quoted: bool,
}

/// The rows that were written and not taken yet.
pub struct Rows {
    keys: Keys,
    inference: Inference,
    out: Out,
    /// Where the row begins that is being written.
    row: usize,
    /// How many columns the table has.
    columns: usize,
    /// Where in the text the first cell begins that is beyond them.
    extra: Option<usize>,
    /// Where in the text the first NUL of the row is.
    nul: Option<usize>,
}

/// What writing a row found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where in the text the first cell begins that is beyond the table's columns.
    pub extra: Option<usize>,
    /// Where in the text the first NUL is.
    pub nul: Option<usize>,
}

impl Rows {
    /// Rows with these names.
    pub fn new(keys: Keys, inference: Inference) -> Self {
        let columns = keys.count();
        Rows { keys, inference, out: Out::default(), row: 0, columns, extra: None, nul: None }
    }

    /// How many columns the table has, cells beyond it not counted.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The name of a column, for messages.
    pub fn name(&self, column: usize) -> &str {
        self.keys.name(column)
    }

    /// Ends the row.
    #[inline(always)]
    pub fn end_row(&mut self) -> Found {
        self.out.reserve(2);
        self.out.push(b'}');
        self.out.push(b'\n');
        self.row = self.out.length;
        Found { extra: self.extra.take(), nul: self.nul.take() }
    }

    /// The whole rows so far.
    pub fn written(&self) -> &[u8] {
        self.out.bytes.get(..self.row).unwrap_or_default()
    }

    /// Forgets the rows so far: they are where they belong.
    pub fn clear(&mut self) {
        (self.out.length, self.row) = (0, 0);
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
        if let Some(nul) = self.out.string(text, from, to) {
            self.nul.get_or_insert(nul);
        }
    }

    #[cold]
    fn add_extra(&mut self, column: usize, from: usize) {
        while column >= self.keys.count() {
            self.keys.add_unnamed();
        }
        self.extra.get_or_insert(from);
    }
}

/// The text of a null, padded for copying in steps.
const NULL: &[u8] = b"null            ";

impl Sink for Rows {
    #[inline(always)]
    fn cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        if column >= self.columns {
            self.add_extra(column, from);
        }
        let (key, key_from, key_to) = self.keys.prefix(column);
        // Every path below writes at most the key, the text and two quotes, and `string` reserves for what it escapes.
        self.out.reserve(key_to - key_from + to - from + 4);
        self.out.short(key, key_from, key_to);
        if if quoted { self.inference.quoted && from != to } else { self.inference.plain } {
            self.value(text, from, to);
        } else {
            self.string(text, from, to);
        }
    }

    fn restart(&mut self) {
        self.out.length = self.row;
        (self.extra, self.nul) = (None, None);
    }
}

/// Bytes on their way out, with room behind them for whole steps of 16.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    length: usize,
}

impl Out {
    /// Makes room for `more` bytes and a step behind them.
    #[inline(always)]
    fn reserve(&mut self, more: usize) {
        let needed = self.length + more + 16;
        if needed > self.bytes.len() {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.max(2 * self.bytes.len()).max(1024), 0);
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.length) {
            *to = byte;
            self.length += 1;
        }
    }

    /// Writes 16 bytes behind the end without moving it.
    #[inline(always)]
    fn store(&mut self, bytes: &[u8; 16]) {
        if let Some(to) = self.bytes.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut::<16>()) {
            *to = *bytes;
        }
    }

    /// Copies `from[start..end]` as it is.
    #[inline(always)]
    fn short(&mut self, from: &[u8], start: usize, end: usize) {
        let (mut at, target) = (start, self.length + end - start);
        loop {
            self.store(&load(from, at));
            if end - at <= 16 {
                break;
            }
            at += 16;
            self.length += 16;
        }
        self.length = target;
    }

    /// Writes `text[from..to]` as a JSON string. Says where the first NUL is.
    #[inline(always)]
    fn string(&mut self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        let (mut at, mut nul) = (from, None);
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
                if byte == 0 && nul.is_none() {
                    nul = Some(at);
                }
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
