//! The first look at an input: is it text, in which encoding, and how is the table in it written.

use std::io::{Read, Seek, SeekFrom};

use dropforge_sdk::{Input, Result};

use crate::block::BLOCK;
use crate::decoder::{Decoder, Replaced};
use crate::detect::layout::{self, Layout};
use crate::detect::{self, Detected};
use crate::encoding::Encoding;
use crate::options::Options;
use crate::tail::{self, Tail};

/// How much of the input is looked at; `probe` sees no more.
const HEAD: usize = 64 * 1024;

/// What the head shows.
#[derive(Debug)]
pub struct Head {
    /// Whether the input has no bytes, or nothing but a byte order mark and blank lines.
    pub empty: bool,
    /// The encoding and why; none while all is ASCII.
    pub encoding: Option<(Encoding, &'static str)>,
    /// The dialect.
    pub table: Detected,
    /// What lies around the table, and its dialect with that.
    pub layout: Layout,
    /// How its lines end: `lf`, `crlf`, `cr`, `mixed`, or `none` where there is but one.
    pub line_end: &'static str,
    /// The last lines, where the options say that they are no rows.
    pub tail: Option<Tail>,
    /// Whether it looks like a text format that is no table, and which.
    pub other_format: Option<&'static str>,
}

/// Looks at the head of `input` and goes back to its beginning. None where it is no text, with what it seems to be.
///
/// # Errors
/// What the host says.
pub fn look(input: &mut Input, options: &Options) -> Result<Result<Head, &'static str>> {
    let mut bytes = Vec::new();
    Read::by_ref(input).take(HEAD as u64).read_to_end(&mut bytes)?;
    let whole = bytes.len() < HEAD;
    let encoding = match options.encoding.given() {
        Some(encoding) => Some((encoding, "the options")),
        None => Encoding::of(&bytes),
    };
    if let Some(what) = not_text(&bytes, encoding.map(|(encoding, _)| encoding)) {
        return Ok(Err(what));
    }
    let tail = match options.footer.lines() {
        Some(lines) => Some(tail::find(input, lines, encoding.map(|(encoding, _)| encoding))?),
        None => None,
    };
    input.seek(SeekFrom::Start(0))?;
    if let Some(tail) = &tail {
        bytes.truncate(usize::try_from(tail.from).unwrap_or(usize::MAX));
    }
    let mut text = Vec::new();
    Decoder::new(encoding.map(|(encoding, _)| encoding)).decode(&bytes, whole, &mut text, &mut Replaced::default());
    let end = text.len();
    text.resize(end + BLOCK, 0);
    let table = detect::detect(&text, end, whole, options);
    let layout = layout::find(&table, &text, end, whole, options);
    let text = text.get(..end).unwrap_or_default();
    let (line_end, text) = (line_end(text), text.trim_ascii_start());
    Ok(Ok(Head { line_end, empty: text.is_empty(), encoding, table, layout, tail, other_format: other_format(text) }))
}

fn line_end(text: &[u8]) -> &'static str {
    // Most files have none.
    let pairs = if text.contains(&b'\r') { text.windows(2).filter(|pair| pair == b"\r\n").count() } else { 0 };
    let [feeds, returns] = [b'\n', b'\r'].map(|end| count(text, end) - pairs);
    match (feeds, pairs, returns) {
        (0, 0, 0) => "none",
        (_, 0, 0) => "lf",
        (0, _, 0) => "crlf",
        (0, 0, _) => "cr",
        _ => "mixed",
    }
}

fn count(text: &[u8], wanted: u8) -> usize {
    text.iter().filter(|byte| **byte == wanted).count()
}

/// What the first bytes of files are that people take for tables.
const SIGNATURES: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a ZIP archive (an Excel workbook is one)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (an .xls workbook is one)"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
];

/// Why the bytes are no text, if so: a signature, or many control characters. Zeros at the end do not count: a file whose writer lost its
/// power ends in them.
fn not_text(bytes: &[u8], encoding: Option<Encoding>) -> Option<&'static str> {
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return Some(what);
    }
    if matches!(encoding, Some(Encoding::Utf16Le | Encoding::Utf16Be)) {
        return None;
    }
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..length).unwrap_or_default();
    let is_control = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a..=0x1f);
    // Cells are padded with zeros now and then; other control characters are rare in text, and one in twelve of random bytes.
    if !bytes.iter().any(|byte| is_control(&byte)) {
        return None;
    }
    let zeros = count(bytes, 0);
    let mut others = bytes.iter().filter(is_control).count() - zeros;
    // One of them, again and again, separates cells.
    if let Some(first) = bytes.iter().find(|byte| is_control(byte) && **byte != 0) {
        others = if count(bytes, *first) == others { 0 } else { others };
    }
    (zeros > 3 && zeros * 10 > length || others > 3 && others * 50 > length).then_some("binary data")
}

fn other_format(text: &[u8]) -> Option<&'static str> {
    let after = |skip: usize| text.get(skip..).unwrap_or_default().trim_ascii_start().first();
    match text.first() {
        Some(b'<') => Some("XML or HTML"),
        Some(b'{') if matches!(after(1), Some(b'"' | b'}')) => Some("JSON"),
        Some(b'[') if matches!(after(1), Some(b'{' | b'[' | b'"' | b']' | b'0'..=b'9')) => Some("JSON"),
        _ => None,
    }
}
