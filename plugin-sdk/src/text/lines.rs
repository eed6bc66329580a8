//! Lines of a text file, one at a time, each with its place.

use std::io::{BufRead, Read, Seek, SeekFrom};

use super::Encoding;
use crate::{Error, ErrorType, Input, Result};

/// The longest line. A longer one is no line of a text format, and would be held as a whole.
const MAX_LINE_BYTES: usize = 1 << 20;

/// One line, without its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Where it begins, in bytes from the beginning of the input.
    pub offset: u64,
    /// What it says.
    pub text: String,
}

impl Line {
    /// Puts this place into an error.
    pub fn place(&self, error: Error) -> Error {
        error.line(self.number).offset(self.offset)
    }

    /// An error of type `malformed` at this line.
    pub fn malformed(&self, message: impl Into<String>) -> Error {
        self.place(Error::malformed(message))
    }
}

/// Reads an input line by line, in constant memory. A line ends at LF, CR LF or CR; the one that can be looked at ahead is kept.
pub struct Lines<'a, 'i> {
    input: &'a mut Input<'i>,
    encoding: Encoding,
    number: u64,
    offset: u64,
    bytes: Vec<u8>,
    ahead: Option<Line>,
    /// The line that was read last had no end.
    open_end: bool,
}

impl<'a, 'i> Lines<'a, 'i> {
    /// Reads from the beginning. A byte-order mark goes before `encoding`.
    ///
    /// # Errors
    /// What reading gives.
    pub fn open(input: &'a mut Input<'i>, encoding: Encoding) -> Result<Self> {
        input.seek(SeekFrom::Start(0))?;
        let mut head = Vec::new();
        input.by_ref().take(3).read_to_end(&mut head)?;
        let (encoding, mark) = Encoding::of_mark(&head).unwrap_or((encoding, 0));
        input.seek(SeekFrom::Start(mark as u64))?;
        Ok(Lines { input, encoding, number: 0, offset: mark as u64, bytes: Vec::new(), ahead: None, open_end: false })
    }

    /// The next line, without taking it; none at the end.
    ///
    /// # Errors
    /// As [`Lines::next_line`].
    pub fn peek(&mut self) -> Result<Option<&Line>> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// `Encoding` for bytes that are not text (reading can go on behind that line), `Unsupported` for a line of more than 1 MiB, and what
    /// reading gives.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        match self.ahead.take() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    /// Goes to the next line that is so, without taking it, or to the end. Lines that are no text are left out like all others.
    ///
    /// # Errors
    /// What reading gives.
    pub fn skip_to(&mut self, is_it: impl Fn(&Line) -> bool) -> Result<()> {
        loop {
            match self.peek() {
                Ok(None) => return Ok(()),
                Ok(Some(line)) if is_it(line) => return Ok(()),
                Ok(Some(_)) => self.ahead = None,
                Err(error) if matches!(error.kind, ErrorType::Encoding | ErrorType::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How many lines were read.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the line that was read last (the one that [`Lines::peek`] showed, too) ends with the file and not with a line end: nobody knows whether
    /// it is whole.
    pub fn is_cut(&self) -> bool {
        self.open_end
    }

    /// Puts the end of what was read into an error.
    pub fn place(&self, error: Error) -> Error {
        error.line(self.number.max(1)).offset(self.offset)
    }

    fn read(&mut self) -> Result<Option<Line>> {
        self.bytes.clear();
        let offset = self.offset;
        let ended = if self.encoding.width() == 1 { self.read_bytes()? } else { self.read_units()? };
        if !ended && self.bytes.is_empty() {
            return Ok(None);
        }
        self.open_end = !ended;
        self.number += 1;
        let mut line = Line { number: self.number, offset, text: String::with_capacity(self.bytes.len()) };
        match self.encoding.decode(&self.bytes, &mut line.text) {
            Ok(()) => Ok(Some(line)),
            Err(at) => {
                let name = self.encoding.name();
                let message = format!("the bytes are not text in {name}: say the file's with the option `encoding`");
                Err(Error::encoding(message).code("encoding").line(self.number).offset(offset + at as u64))
            }
        }
    }

    /// Whether a line end was found. Its bytes are consumed, and not kept.
    fn read_bytes(&mut self) -> Result<bool> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(false);
            }
            let end = available.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let kept = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            self.bytes.extend_from_slice(kept);
            let cr = end.and_then(|end| available.get(end)) == Some(&b'\r');
            let used = kept.len() + usize::from(end.is_some());
            self.consume(used)?;
            if end.is_some() {
                if cr && self.input.fill_buf()?.first() == Some(&b'\n') {
                    self.consume(1)?;
                }
                return Ok(true);
            }
        }
    }

    /// The same for units of two bytes.
    fn read_units(&mut self) -> Result<bool> {
        loop {
            let Some(unit) = self.next_unit()? else { return Ok(false) };
            match self.encoding.unit(unit) {
                0x0A => return Ok(true),
                0x0D => {
                    let (position, offset, length) = (self.input.stream_position()?, self.offset, self.bytes.len());
                    if self.next_unit()?.is_none_or(|unit| self.encoding.unit(unit) != 0x0A) {
                        self.input.seek(SeekFrom::Start(position))?;
                        self.offset = offset;
                        self.bytes.truncate(length);
                    }
                    return Ok(true);
                }
                _ => self.bytes.extend_from_slice(&unit),
            }
        }
    }

    /// The next two bytes. A lone last byte goes to the line, where decoding finds it.
    fn next_unit(&mut self) -> Result<Option<[u8; 2]>> {
        let mut unit = [0; 2];
        let mut found = 0;
        for byte in &mut unit {
            let Some(first) = self.input.fill_buf()?.first() else { break };
            *byte = *first;
            self.consume(1)?;
            found += 1;
        }
        if found == 1 {
            self.bytes.extend(unit.first());
        }
        Ok((found == 2).then_some(unit))
    }

    fn consume(&mut self, bytes: usize) -> Result<()> {
        self.input.consume(bytes);
        self.offset += bytes as u64;
        if self.bytes.len() > MAX_LINE_BYTES {
            let message = format!("a line of more than {} bytes", MAX_LINE_BYTES);
            return Err(Error::unsupported(message).code("line_too_long").line(self.number + 1));
        }
        Ok(())
    }
}
