//! Which encoding a file has. It knows nothing of tables.
//!
//! The four usual ones are told by hand, which is faster for a small file and for one of nothing but ASCII; all others `chardetng` guesses
//! from the letters.

use std::fmt;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

/// How the text of a file is written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16 with the low byte first, with or without a byte order mark.
    Utf16Le,
    /// UTF-16 with the high byte first, with or without a byte order mark.
    Utf16Be,
    /// Windows-1252, of which ISO 8859-1 is a part.
    Windows1252,
    /// Another one of those that the WHATWG names.
    Other(&'static encoding_rs::Encoding),
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Windows1252 => "windows-1252",
            Encoding::Other(encoding) => return f.write_str(&encoding.name().to_ascii_lowercase()),
        })
    }
}

/// Names that other programs use, and the WHATWG does not know.
const ALIASES: [(&str, &str); 4] = [("latin-1", "latin1"), ("cp932", "shift_jis"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be")];

impl Encoding {
    /// The encoding of a name: one that the WHATWG knows, in whatever case. None for any other.
    pub fn named(name: &str) -> Option<Encoding> {
        let label = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map_or(name, |(_, label)| label);
        let found = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(match found.name() {
            "UTF-8" => Encoding::Utf8,
            "UTF-16LE" => Encoding::Utf16Le,
            "UTF-16BE" => Encoding::Utf16Be,
            "windows-1252" => Encoding::Windows1252,
            _ => Encoding::Other(found),
        })
    }
}

impl Encoding {
    /// The encoding that the head of a file shows: a byte order mark, the zeros of UTF-16, or bytes that are (or cannot be) UTF-8. None
    /// where all of it is ASCII, which UTF-8 and Windows-1252 have in common.
    pub fn of(head: &[u8]) -> Option<(Encoding, &'static str)> {
        match head {
            [0xef, 0xbb, 0xbf, ..] => return Some((Encoding::Utf8, "a byte order mark")),
            [0xff, 0xfe, ..] => return Some((Encoding::Utf16Le, "a byte order mark")),
            [0xfe, 0xff, ..] => return Some((Encoding::Utf16Be, "a byte order mark")),
            _ => {}
        }
        // Delimiters, digits and line ends are ASCII in every script, so in UTF-16 every few bytes a zero stands beside one of these.
        let units = head.as_chunks::<2>().0;
        let ascii = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
        let little = units.iter().filter(|[low, high]| ascii(*low) && *high == 0).count();
        let big = units.iter().filter(|[high, low]| ascii(*low) && *high == 0).count();
        for (encoding, those, others) in [(Encoding::Utf16Le, little, big), (Encoding::Utf16Be, big, little)] {
            if those > 1 && those * 5 >= units.len() && others * 4 <= those {
                return Some((encoding, "a zero in every second byte"));
            }
        }
        by_sequences(head)
    }
}

/// Characters that tables have among numbers in any language, as Windows-1252 writes them: degrees, micro, squares, quotes, dashes, money.
/// Fewer letters than this beside them tell no language.
const SIGNS: &[u8] = b"\x80\x91\x92\x93\x94\x95\x96\x97\xa0\xa3\xa7\xb0\xb1\xb2\xb3\xb5\xd8";

/// How many letters beyond ASCII a guess needs.
const LETTERS: usize = 4;

/// Which encoding the letters of a text that is no UTF-8 make likely.
fn by_letters(bytes: &[u8]) -> (Encoding, &'static str) {
    let letters = bytes.iter().filter(|byte| !byte.is_ascii() && !SIGNS.contains(byte)).count();
    if letters < LETTERS {
        return (Encoding::Windows1252, "bytes that are no UTF-8, too few to tell a language by");
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    match Encoding::named(detector.guess(None, Utf8Detection::Deny).name()) {
        Some(Encoding::Other(other)) => (Encoding::Other(other), "bytes that are no UTF-8, and letters that are likely in this encoding"),
        _ => (Encoding::Windows1252, "bytes that are no UTF-8"),
    }
}

/// UTF-8 or another encoding, by which explains more of the bytes beyond ASCII. None where there are none, or only the first bytes of a sequence
/// at the end.
pub(crate) fn by_sequences(bytes: &[u8]) -> Option<(Encoding, &'static str)> {
    let (mut whole, mut broken, mut rest) = (0usize, 0usize, bytes);
    loop {
        let (valid, error) = match std::str::from_utf8(rest) {
            Ok(text) => (text, None),
            Err(error) => (std::str::from_utf8(rest.get(..error.valid_up_to())?).ok()?, Some(error)),
        };
        whole += valid.chars().filter(|c| !c.is_ascii()).count();
        match error.and_then(|error| Some(error.valid_up_to() + error.error_len()?)) {
            Some(skip) => {
                broken += 1;
                rest = rest.get(skip..)?;
            }
            None => break,
        }
    }
    match (whole, broken) {
        (0, 0) => None,
        (_, 0) => Some((Encoding::Utf8, "UTF-8 sequences")),
        (whole, broken) if whole > broken => Some((Encoding::Utf8, "mostly UTF-8 sequences")),
        _ => Some(by_letters(bytes)),
    }
}
