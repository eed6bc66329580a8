//! The cells of one record, kept: all texts in one piece, since a header may have a million of them.

use std::borrow::Cow;

use crate::reader::Sink;

/// The texts of some cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    text: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// How much room some cells need.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    /// How many there are.
    pub cells: usize,
    /// How many bytes they have.
    pub bytes: usize,
}

impl Cells {
    /// None yet, with just the room for these.
    pub fn with_room(size: Size) -> Self {
        Self { text: Vec::with_capacity(size.bytes), ends: Vec::with_capacity(size.cells) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// One of them; nothing where there is none.
    pub fn get(&self, column: usize) -> &[u8] {
        let start = if column == 0 { 0 } else { self.ends.get(column - 1).copied().unwrap_or_default() };
        let end = self.ends.get(column).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or_default()
    }

    /// The same as text: what is read is UTF-8 already.
    pub fn text(&self, column: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.get(column))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count()).map(|column| self.get(column))
    }

    /// Adds one, of these pieces.
    pub fn add(&mut self, pieces: &[&[u8]]) {
        pieces.iter().for_each(|piece| self.text.extend_from_slice(piece));
        self.ends.push(self.text.len());
    }
}

impl Sink for Cells {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, _: bool) {
        self.add(&[text.get(from..to).unwrap_or_default()]);
    }

    fn restart(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

impl Sink for Size {
    fn cell(&mut self, _: usize, _: &[u8], from: usize, to: usize, _: bool) {
        self.cells += 1;
        self.bytes += to - from;
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}
