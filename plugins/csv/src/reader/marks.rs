//! Finds the bytes that have a meaning in a dialect.

use crate::block::{BLOCK, Needles};

/// Finds the bytes that have a meaning, in order.
#[derive(Clone, Copy)]
pub(super) struct Marks<'t> {
    text: &'t [u8],
    needles: Needles,
    /// Where the block begins that `found` is about.
    block: usize,
    found: u64,
}

impl<'t> Marks<'t> {
    pub(super) fn new(text: &'t [u8], needles: Needles) -> Self {
        let mut marks = Marks { text, needles, block: 0, found: 0 };
        marks.seek(0);
        marks
    }

    /// Goes on at `at`.
    pub(super) fn seek(&mut self, at: usize) {
        self.block = at;
        self.found = self.look().unwrap_or_default();
    }

    #[inline(always)]
    fn look(&self) -> Option<u64> {
        Some(self.needles.find(self.text.get(self.block..)?.first_chunk::<BLOCK>()?))
    }

    /// The position of the next mark; some position in or after the padding where there is none.
    #[inline(always)]
    pub(super) fn next(&mut self) -> usize {
        while self.found == 0 {
            self.block += BLOCK;
            match self.look() {
                Some(found) => self.found = found,
                None => return self.text.len(),
            }
        }
        let at = self.block + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        at
    }
}
