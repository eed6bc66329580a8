//! The text of the input in a buffer that moves over it: bytes in, UTF-8 with padding out, and the line and column of any place in it.

use std::io::BufRead;

use dropforge_sdk::{Input, Result};

use crate::block::{BLOCK, count};
use crate::decoder::{Decoder, Replaced};
use crate::encoding::Encoding;

/// About how much the host gives at once.
const CHUNK: usize = 64 * 1024;

/// A window onto the text. It holds what is not read yet; what is read is dropped by [`Text::refill`], so that memory grows with the
/// longest record and not with the file.
pub struct Text<'a, 'i> {
    input: &'a mut Input<'i>,
    decoder: Decoder,
    /// The window, followed by [`BLOCK`] bytes of padding.
    bytes: Vec<u8>,
    ended: bool,
    /// How many bytes of the input are not read yet and belong to the text.
    left: u64,
    /// How many lines end before the window.
    lines: u64,
    replaced: Replaced,
}

impl<'a, 'i> Text<'a, 'i> {
    /// The text of `input` from where it is, with nothing in the window.
    pub fn new(input: &'a mut Input<'i>, encoding: Option<Encoding>) -> Self {
        Text {
            input,
            decoder: Decoder::new(encoding),
            bytes: vec![0; BLOCK],
            ended: false,
            left: u64::MAX,
            lines: 0,
            replaced: Replaced::default(),
        }
    }

    /// The same, ending with the byte at `end` of the input.
    pub fn until(mut self, end: u64) -> Self {
        self.left = end;
        self
    }

    /// The window and its padding.
    pub fn padded(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the window ends and the padding begins.
    pub fn end(&self) -> usize {
        self.bytes.len() - BLOCK
    }

    /// Whether the window reaches to the end of the text.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The encoding that is decoded.
    pub fn encoding(&self) -> Encoding {
        self.decoder.encoding()
    }

    /// Drops the first `read` bytes of the window, whole lines, and reads on: one chunk, or, where a record did not fit, as much again as
    /// the window holds, so that a record of any length is read again only a few times.
    ///
    /// # Errors
    /// What the host says.
    pub fn refill(&mut self, read: usize) -> Result<()> {
        self.skip(read);
        self.bytes.truncate(self.end());
        let enough = 2 * self.bytes.len();
        if self.bytes.len() >= CHUNK {
            // All at once: a large window that grows by and by is copied by and by, with twice the memory each time.
            self.bytes.reserve_exact(self.bytes.len() + CHUNK + BLOCK);
        }
        loop {
            let chunk = self.input.fill_buf()?;
            let length = chunk.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.ended = length == 0;
            self.left -= length as u64;
            self.decoder.decode(chunk.get(..length).unwrap_or_default(), self.ended, &mut self.bytes, &mut self.replaced);
            self.input.consume(length);
            if self.ended || (self.bytes.len() >= enough && !self.bytes.is_empty()) {
                break;
            }
        }
        self.bytes.resize(self.bytes.len() + BLOCK, 0);
        Ok(())
    }

    /// Drops the first `read` bytes of the window, whole lines.
    pub fn skip(&mut self, read: usize) {
        self.lines += line_ends(self.bytes.get(..read).unwrap_or_default());
        self.bytes.drain(..read.min(self.end()));
    }

    /// Drops the next line, if the window holds its end and what follows it, or nothing follows. Answers whether it did.
    pub fn skip_line(&mut self) -> bool {
        let window = self.bytes.get(..self.end()).unwrap_or_default();
        let length = window.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let next = match length {
            Some(at) if window.get(at..at + 2) == Some(b"\r\n") => at + 2,
            Some(at) => at + 1,
            None => window.len(),
        };
        let is_whole = self.ended || length.is_some_and(|at| at + 1 < window.len());
        if is_whole {
            self.skip(next);
        }
        is_whole
    }

    /// What the last [`Text::refill`] could not decode, with places in the window.
    pub fn take_replaced(&mut self) -> Replaced {
        std::mem::take(&mut self.replaced)
    }

    /// The line and the column (in characters) of a place in the window, both from 1.
    pub fn place(&self, at: usize) -> (u64, u64) {
        let before = self.bytes.get(..at.min(self.end())).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        let line = before.get(line_start..).unwrap_or_default();
        let characters = line.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        (self.lines + line_ends(before) + 1, characters as u64 + 1)
    }
}

/// How many lines end in `text`: at LF, CR LF or CR.
pub fn line_ends(text: &[u8]) -> u64 {
    let [feeds, returns] = count(text, [b'\n', b'\r']);
    let pairs = if returns == 0 { 0 } else { text.windows(2).filter(|pair| pair == b"\r\n").count() };
    (feeds + returns - pairs) as u64
}

#[cfg(test)]
mod tests {
    use super::line_ends;

    #[test]
    fn counts_every_kind_of_line_end() {
        for (text, lines) in [("", 0), ("a\nb", 1), ("a\r\nb\r\n", 2), ("a\rb\r", 2), ("\r\r\n\n\r", 4)] {
            assert_eq!(line_ends(text.as_bytes()), lines, "{text:?}");
        }
    }
}
