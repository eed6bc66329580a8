//! What separates cells. Nearly always one ASCII character, which has the fast path of the reader; the other forms are rare.

use std::fmt;

/// What separates cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// One ASCII character.
    Byte(u8),
    /// One ASCII character, and the spaces that follow it: `, `.
    Spaced(u8),
    /// Several characters, or one beyond ASCII: `||`.
    Text(Word),
    /// Any run of spaces and tabs. Those at the beginning and the end of a line separate nothing.
    Blanks,
}

impl Delimiter {
    /// The byte, where it is one.
    #[inline(always)]
    pub fn byte(self) -> Option<u8> {
        if let Delimiter::Byte(byte) = self { Some(byte) } else { None }
    }

    /// Whether a delimiter can begin with this byte.
    #[inline(always)]
    pub fn begins_with(self, byte: u8) -> bool {
        match self {
            Delimiter::Byte(own) | Delimiter::Spaced(own) => byte == own,
            Delimiter::Text(word) => word.as_bytes().first() == Some(&byte),
            Delimiter::Blanks => matches!(byte, b' ' | b'\t'),
        }
    }

    /// The delimiter without the spaces that belong to it.
    pub fn without_spaces(self) -> Delimiter {
        if let Delimiter::Spaced(byte) = self { Delimiter::Byte(byte) } else { self }
    }

    /// Whether this byte is part of the delimiter.
    pub fn holds(self, byte: u8) -> bool {
        match self {
            Delimiter::Text(word) => word.as_bytes().contains(&byte),
            Delimiter::Spaced(_) if byte == b' ' => true,
            _ => self.begins_with(byte),
        }
    }
}

/// The words that stand for what one cannot see.
const NAMED: [(&str, Delimiter); 6] = [
    ("tab", Delimiter::Byte(b'\t')),
    ("\\t", Delimiter::Byte(b'\t')),
    ("space", Delimiter::Byte(b' ')),
    ("whitespace", Delimiter::Blanks),
    ("\\s+", Delimiter::Blanks),
    ("comma", Delimiter::Byte(b',')),
];

impl TryFrom<&str> for Delimiter {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        if let Some((_, delimiter)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*delimiter);
        }
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Delimiter::Byte(*byte)),
            [byte, b' '] if byte.is_ascii_graphic() => Ok(Delimiter::Spaced(*byte)),
            _ => Word::new(text).map(Delimiter::Text).ok_or_else(|| {
                format!("`{text}` is no delimiter: name one to {} bytes without line ends, `tab`, `space` or `whitespace`", Word::LONGEST)
            }),
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delimiter::Byte(b'\t') => f.write_str("tab"),
            Delimiter::Byte(b' ') => f.write_str("space"),
            Delimiter::Blanks => f.write_str("whitespace"),
            Delimiter::Byte(byte) => char::from(*byte).fmt(f),
            Delimiter::Spaced(byte) => write!(f, "{} ", char::from(*byte)),
            Delimiter::Text(word) => f.write_str(word.as_str()),
        }
    }
}

/// A few bytes of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    bytes: [u8; Word::LONGEST],
    length: u8,
}

impl Word {
    /// How many bytes it can have.
    pub const LONGEST: usize = 8;

    /// The word of a text of 1 to 8 bytes without line ends and NUL; none for any other.
    pub fn new(text: &str) -> Option<Word> {
        let fits = (1..=Self::LONGEST).contains(&text.len()) && !text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        fits.then_some(Word { bytes, length: text.len() as u8 })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_what_their_names_say() {
        for text in [",", "tab", "space", "whitespace", ", ", "||", "§", "<->", "; "] {
            assert_eq!(Delimiter::try_from(text).unwrap().to_string(), text);
        }
        for text in ["", "\n", "a\r", "\0", "123456789"] {
            assert!(Delimiter::try_from(text).is_err(), "{text:?}");
        }
        assert_eq!(Delimiter::try_from(" "), Ok(Delimiter::Byte(b' ')));
        assert_eq!(Delimiter::try_from("\\s+"), Ok(Delimiter::Blanks));
    }
}
