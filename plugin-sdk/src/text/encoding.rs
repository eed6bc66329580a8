//! How bytes become text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An encoding of text files. A byte-order mark goes before what is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// UTF-8, of which ASCII is a part.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252, of which ISO 8859-1 is a part.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// UTF-16 with the low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16 with the high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

impl Encoding {
    /// The encoding that a byte-order mark at the beginning of `head` names, and how many bytes the mark has.
    pub fn of_mark(head: &[u8]) -> Option<(Encoding, usize)> {
        match head {
            [0xEF, 0xBB, 0xBF, ..] => Some((Encoding::Utf8, 3)),
            [0xFF, 0xFE, ..] => Some((Encoding::Utf16Le, 2)),
            [0xFE, 0xFF, ..] => Some((Encoding::Utf16Be, 2)),
            _ => None,
        }
    }

    /// The name that configuration uses.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Windows1252 => "windows-1252",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
        }
    }

    /// The text that all of these bytes are; none where they are no text in this encoding.
    pub fn text(self, bytes: &[u8]) -> Option<String> {
        let mut text = String::new();
        self.decode(bytes, &mut text).ok().map(|()| text)
    }

    /// Bytes in one code unit.
    pub(super) fn width(self) -> usize {
        if matches!(self, Encoding::Utf16Le | Encoding::Utf16Be) { 2 } else { 1 }
    }

    /// One code unit.
    pub(super) fn unit(self, bytes: [u8; 2]) -> u16 {
        if self == Encoding::Utf16Be { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    /// Decodes whole characters, appending to `text`. Where the bytes are not text, the offset of the first bad one comes back.
    pub(super) fn decode(self, bytes: &[u8], text: &mut String) -> Result<(), usize> {
        match self {
            Encoding::Utf8 => match std::str::from_utf8(bytes) {
                Ok(decoded) => text.push_str(decoded),
                Err(error) => return Err(error.valid_up_to()),
            },
            Encoding::Windows1252 => text.extend(bytes.iter().copied().map(windows_1252)),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                let (pairs, odd) = bytes.as_chunks::<2>();
                let mut at = 0;
                for character in char::decode_utf16(pairs.iter().map(|pair| self.unit(*pair))) {
                    let character = character.map_err(|_| at)?;
                    at += 2 * character.len_utf16();
                    text.push(character);
                }
                if !odd.is_empty() {
                    return Err(at);
                }
            }
        }
        Ok(())
    }
}

/// One byte of Windows-1252; the five that it leaves open are control characters, as on the web.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•',
        '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    byte.checked_sub(0x80).and_then(|index| HIGH.get(usize::from(index))).copied().unwrap_or(char::from(byte))
}
