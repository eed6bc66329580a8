//! The last lines of a file, which the options say are no rows.

use std::io::{Read, Seek, SeekFrom};

use dropforge_sdk::{Error, Input, Result};

use crate::decoder::{Decoder, Replaced};
use crate::detect::layout::kept;
use crate::encoding::Encoding;

/// How much of a file is looked at first, and at most.
const SPANS: [u64; 2] = [64 * 1024, 4 << 20];

/// Some lines at the end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Where they begin, in bytes.
    pub from: u64,
    /// What they say; of a long text the beginning.
    pub text: String,
}

/// Finds the last `lines` lines of `input`; an empty one after the last line's end is none.
///
/// # Errors
/// [`dropforge_sdk::ErrorType::Validation`] where they are longer than 4 MiB; what the host says.
pub fn find(input: &mut Input, lines: usize, encoding: Option<Encoding>) -> Result<Tail> {
    for span in SPANS {
        // UTF-16 has two bytes for each unit.
        let start = input.size().saturating_sub(span) & !1;
        let mut bytes = Vec::new();
        input.seek(SeekFrom::Start(start))?;
        input.read_to_end(&mut bytes)?;
        let begin = match encoding {
            Some(Encoding::Utf16Le) => 2 * begin(&units(&bytes, u16::from_le_bytes), lines, start == 0).unwrap_or(usize::MAX / 2),
            Some(Encoding::Utf16Be) => 2 * begin(&units(&bytes, u16::from_be_bytes), lines, start == 0).unwrap_or(usize::MAX / 2),
            _ => begin(&bytes.iter().copied().map(u16::from).collect::<Vec<_>>(), lines, start == 0).unwrap_or(usize::MAX),
        };
        if let Some(last) = bytes.get(begin..) {
            let mut text = Vec::new();
            Decoder::new(encoding).decode(last, true, &mut text, &mut Replaced::default());
            return Ok(Tail { from: start + begin as u64, text: kept(&text) });
        }
    }
    let message = format!("the last {lines} lines have more than {} MiB: give a smaller number for the option `footer`", SPANS[1] >> 20);
    Err(Error::validation(message).code("options"))
}

fn units(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect()
}

/// Where the last so many lines begin; none where that is before `text`, which `whole` says it cannot be.
fn begin(text: &[u16], lines: usize, whole: bool) -> Option<usize> {
    const FEED: u16 = b'\n' as u16;
    const RETURN: u16 = b'\r' as u16;
    let is_end = |at: usize| match text.get(at) {
        Some(&FEED) => true,
        Some(&RETURN) => text.get(at + 1) != Some(&FEED),
        _ => false,
    };
    let starts = (0..text.len()).rev().filter(|at| is_end(*at)).map(|at| at + 1).filter(|start| *start < text.len());
    match starts.take(lines).enumerate().last() {
        _ if lines == 0 => Some(text.len()),
        Some((found, start)) if found + 1 == lines => Some(start),
        _ => whole.then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::begin;

    #[test]
    fn lines_are_counted_from_the_end() {
        let table = [
            ("a\nb\nc\n", 1, Some(4)),
            ("a\nb\nc", 1, Some(4)),
            ("a\r\nb\r\nc\r\n", 2, Some(3)),
            ("a\rb\rc\r", 2, Some(2)),
            ("a\n\n\n", 2, Some(2)),
            ("a\nb", 0, Some(3)),
            ("a\nb", 2, None),
        ];
        for (text, lines, expected) in table {
            let units: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(begin(&units, lines, false), expected, "{text:?}");
            assert_eq!(begin(&units, lines, true), expected.or(Some(0)), "{text:?}");
        }
    }
}
