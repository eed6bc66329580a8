//! Bytes on their way out, written in steps of 16. It knows no format.

use std::io::Write;

use dropforge_sdk::{Document, Result};

use crate::block::load;
use crate::output::PIECE;

/// The bytes, with room behind them for whole steps of 16.
#[derive(Default)]
pub(super) struct Out {
    pub bytes: Vec<u8>,
    /// How many of them are written.
    pub length: usize,
    /// How many of them are whole rows.
    pub row: usize,
}

/// From this length on there is less to spare.
const LARGE: usize = 4 << 20;

impl Out {
    /// Ends a row; hands rows on once they are a piece.
    #[inline(always)]
    pub fn end_row(&mut self, document: &mut Document) -> Result<()> {
        self.row = self.length;
        if self.row < PIECE { Ok(()) } else { self.hand_on(document) }
    }

    /// Hands on what is written.
    #[inline(never)]
    pub fn hand_on(&mut self, document: &mut Document) -> Result<()> {
        document.write_all(self.bytes.get(..self.length).unwrap_or_default())?;
        (self.length, self.row) = (0, 0);
        Ok(())
    }

    /// Makes room for `more` bytes and a step behind them.
    #[inline(always)]
    pub fn reserve(&mut self, more: usize) {
        let needed = self.length + more + 16;
        if needed > self.bytes.len() {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        // A row of many megabytes grows by less than itself: there is one copy of it while it grows already.
        let more = if self.bytes.len() < LARGE { self.bytes.len() } else { self.bytes.len() / 4 };
        let length = needed.max(self.bytes.len() + more).max(1024);
        self.bytes.reserve_exact(length - self.bytes.len());
        self.bytes.resize(length, 0);
    }

    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.length) {
            *to = byte;
            self.length += 1;
        }
    }

    /// Writes 16 bytes behind the end without moving it.
    #[inline(always)]
    pub fn store(&mut self, bytes: &[u8; 16]) {
        if let Some(to) = self.bytes.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut::<16>()) {
            *to = *bytes;
        }
    }

    /// Copies `from[start..end]` as it is.
    #[inline(always)]
    pub fn short(&mut self, from: &[u8], start: usize, end: usize) {
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
}
