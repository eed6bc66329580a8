//! The input as UTF-8, with the place of what was read last. Knows nothing of XML beyond its declaration.

use std::io::{self, BufRead, Chain, Cursor, Read};

use dropforge_sdk::{Error, Result};

/// The most bytes that one token (a tag, a stretch of text) may have: what the XML reader holds at once.
const MAX_TOKEN_BYTES: usize = 32 << 20;
/// How much is decoded at once.
const CHUNK: usize = 16 * 1024;
/// How far into the input the XML declaration is looked for.
const DECLARATION: u64 = 1024;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    Windows1252,
    Utf16 { big_endian: bool },
}

/// A place in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    after_cr: bool,
}

impl Place {
    fn advance(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => *self = Place { line: self.line + 1, column: 1, after_cr: byte == b'\r' },
                // A continuation byte of UTF-8 begins no character.
                0x80..=0xBF => {}
                _ => (self.column, self.after_cr) = (self.column + 1, false),
            }
        }
    }

    /// The place after `text`, which begins here.
    pub fn after(mut self, text: &[u8]) -> Place {
        self.advance(text);
        self
    }

    /// Puts this place into an error.
    pub fn of(self, error: Error) -> Error {
        error.line(self.line).column(self.column)
    }
}

/// A reader of an input, or of an entry that is unpacked, as UTF-8. What it holds as UTF-8 is passed on as it is: the XML reader checks it.
pub struct Source<R> {
    /// The beginning, which was looked at, and the rest.
    input: Chain<Cursor<Vec<u8>>, R>,
    encoding: Encoding,
    place: Place,
    token_bytes: usize,
    /// Decoded text, used up to `at`; empty for UTF-8.
    decoded: String,
    at: usize,
    /// Bytes of an incomplete UTF-16 character.
    rest: Vec<u8>,
    /// What is wrong behind the text in `decoded`.
    broken: Option<String>,
}

impl<R: BufRead> Source<R> {
    /// Finds the encoding from the byte-order mark or the XML declaration, and goes behind the mark.
    ///
    /// # Errors
    /// `Unsupported` for an encoding that is not read; what reading gives.
    pub fn open(mut input: R) -> Result<Self> {
        let mut head = Vec::new();
        input.by_ref().take(DECLARATION).read_to_end(&mut head)?;
        let (encoding, mark) = detect(&head)?;
        let mut head = Cursor::new(head);
        head.set_position(mark);
        let place = Place { line: 1, column: 1, after_cr: false };
        Ok(Source {
            input: head.chain(input),
            encoding,
            place,
            token_bytes: 0,
            decoded: String::new(),
            at: 0,
            rest: Vec::new(),
            broken: None,
        })
    }

    /// Where the next byte stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Says that a token begins here.
    pub fn begin_token(&mut self) -> Place {
        self.token_bytes = 0;
        self.place
    }

    /// Fills `decoded` with at least one character, unless the input is at its end.
    fn decode(&mut self) -> Result<()> {
        self.decoded.clear();
        self.at = 0;
        while self.decoded.is_empty() {
            if let Some(message) = self.broken.take() {
                return Err(self.place.of(Error::encoding(message).code("text")));
            }
            let bytes = self.input.fill_buf()?;
            let bytes = bytes.get(..CHUNK).unwrap_or(bytes);
            if bytes.is_empty() {
                if self.rest.is_empty() {
                    return Ok(());
                }
                self.rest.clear();
                self.broken = Some("the input ends inside a UTF-16 character".into());
                continue;
            }
            match self.encoding {
                Encoding::Utf16 { big_endian } => self.broken = decode_utf16(big_endian, bytes, &mut self.rest, &mut self.decoded),
                Encoding::Windows1252 => self.decoded.extend(bytes.iter().copied().map(windows_1252)),
                Encoding::Latin1 | Encoding::Utf8 => self.decoded.extend(bytes.iter().copied().map(char::from)),
            }
            let used = bytes.len();
            self.input.consume(used);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token_bytes > MAX_TOKEN_BYTES {
            let message = format!("a single tag or text of more than {} MiB", MAX_TOKEN_BYTES >> 20);
            return Err(self.place.of(Error::unsupported(message).code("too_large")).into());
        }
        if self.encoding == Encoding::Utf8 {
            return self.input.fill_buf();
        }
        if self.at >= self.decoded.len() {
            self.decode()?;
        }
        Ok(self.decoded.as_bytes().get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.token_bytes = self.token_bytes.saturating_add(amount);
        if self.encoding == Encoding::Utf8 {
            // The buffer is not empty, so that filling it neither reads nor fails.
            if let Ok(bytes) = self.input.fill_buf() {
                self.place.advance(bytes.get(..amount).unwrap_or(bytes));
            }
            self.input.consume(amount);
        } else {
            let bytes = self.decoded.as_bytes().get(self.at..).unwrap_or_default();
            self.place.advance(bytes.get(..amount).unwrap_or(bytes));
            self.at = self.at.saturating_add(amount);
        }
    }
}

/// The encoding, and how many bytes its mark has.
fn detect(head: &[u8]) -> Result<(Encoding, u64)> {
    const UTF16_LE: Encoding = Encoding::Utf16 { big_endian: false };
    const UTF16_BE: Encoding = Encoding::Utf16 { big_endian: true };
    match head {
        [0xEF, 0xBB, 0xBF, ..] => return Ok((Encoding::Utf8, 3)),
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [b'<', 0, 0, 0, ..] | [0, 0, 0, b'<', ..] => {
            return Err(unreadable("UTF-32"));
        }
        [0xFF, 0xFE, ..] => return Ok((UTF16_LE, 2)),
        [0xFE, 0xFF, ..] => return Ok((UTF16_BE, 2)),
        [b'<', 0, ..] => return Ok((UTF16_LE, 0)),
        [0, b'<', ..] => return Ok((UTF16_BE, 0)),
        _ => {}
    }
    let Some(name) = declared(head) else { return Ok((Encoding::Utf8, 0)) };
    let encoding = match name.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => Encoding::Utf8,
        // The declaration was legible byte by byte, so it is wrong: .NET writes it so into UTF-8 files.
        "utf-16" | "utf-16le" | "utf-16be" | "unicode" => Encoding::Utf8,
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" => Encoding::Latin1,
        "windows-1252" | "cp1252" => Encoding::Windows1252,
        _ => return Err(unreadable(&name)),
    };
    Ok((encoding, 0))
}

fn unreadable(name: &str) -> Error {
    let message = format!("the encoding {name} is not read; UTF-8, UTF-16, ISO-8859-1 and Windows-1252 are");
    Error::unsupported(message).code("encoding").line(1)
}

/// The encoding that the XML declaration names.
fn declared(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let declaration = text.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(value.get(1..)?.split_once(quote)?.0.to_owned())
}

/// Decodes `bytes` behind the `rest` of the last ones into `decoded`, and says what stopped it.
fn decode_utf16(big_endian: bool, bytes: &[u8], rest: &mut Vec<u8>, decoded: &mut String) -> Option<String> {
    rest.extend_from_slice(bytes);
    let (pairs, odd) = rest.as_chunks::<2>();
    let mut units: Vec<u16> =
        pairs.iter().map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }).collect();
    let mut next = odd.to_vec();
    // The second half of the last character may be in the next bytes.
    if let Some(unit) = units.pop_if(|unit| (0xD800..0xDC00).contains(unit)) {
        next.splice(0..0, if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
    }
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) => decoded.push(character),
            Err(error) => return Some(format!("not UTF-16: half of a character (U+{:04X}) alone", error.unpaired_surrogate())),
        }
    }
    *rest = next;
    None
}

/// One byte of Windows-1252; the five that it leaves open are control characters, as on the web.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•',
        '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    byte.checked_sub(0x80).and_then(|index| HIGH.get(usize::from(index))).copied().unwrap_or(char::from(byte))
}
