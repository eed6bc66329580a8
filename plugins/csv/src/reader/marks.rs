//! Finds the bytes that have a meaning in a dialect.

use crate::block::{BLOCK, Needles};

/// How much text is looked at at once. Whoever goes from cell to cell then has nothing else in hand than a place in a list.
const AHEAD: usize = 7 * BLOCK;
/// How many places are noted at once, whether there are as many or not.
const STEP: usize = 8;
/// Room for the places of a text of nothing but marks: a power of two, so that a number of one can be told to be within it.
const ROOM: usize = 512;
const _: () = assert!(ROOM.is_power_of_two() && AHEAD + STEP <= ROOM);

/// Finds the bytes that have a meaning, in order.
pub(super) struct Marks<'t> {
    text: &'t [u8],
    needles: Needles,
    /// What part of the text was looked at last.
    from: usize,
    to: usize,
    /// The places in it.
    places: [u32; ROOM],
    count: usize,
    /// How many of them were given.
    given: usize,
}

impl<'t> Marks<'t> {
    pub(super) fn new(text: &'t [u8], needles: Needles) -> Self {
        Marks { text, needles, from: 0, to: 0, places: [0; ROOM], count: 0, given: 0 }
    }

    /// Goes on at `at`.
    pub(super) fn seek(&mut self, at: usize) {
        if at < self.from || at > self.to {
            (self.from, self.to, self.count, self.given) = (at, at, 0, 0);
            return;
        }
        while self.given > 0 && self.place(self.given - 1) >= at {
            self.given -= 1;
        }
        while self.given < self.count && self.place(self.given) < at {
            self.given += 1;
        }
    }

    /// The position of the next mark; some position in or after the padding where there is none.
    #[inline(always)]
    pub(super) fn next(&mut self) -> usize {
        let mut given = self.given;
        let mark = self.after(&mut given);
        self.given = given;
        mark
    }

    /// How many marks of what is in hand were given: for [`Marks::after`].
    #[inline(always)]
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// Says how many were given by [`Marks::after`].
    #[inline(always)]
    pub(super) fn set_given(&mut self, given: usize) {
        self.given = given;
    }

    /// As [`Marks::next`], for a loop that keeps the number of those that were given to itself: here it would be stored each time. Before anything
    /// but [`Marks::seek`] is called, [`Marks::set_given`] has to be.
    #[inline(always)]
    pub(super) fn after(&mut self, given: &mut usize) -> usize {
        if *given >= self.count {
            *given = 0;
            if !self.look() {
                return self.text.len();
            }
        }
        *given += 1;
        self.place(*given - 1)
    }

    #[inline(always)]
    fn place(&self, number: usize) -> usize {
        self.places.get(number % ROOM).map_or(0, |place| *place as usize)
    }

    /// Finds the next marks; answers whether there are any.
    #[inline(never)]
    fn look(&mut self) -> bool {
        (self.count, self.given) = (0, 0);
        while self.count == 0 {
            self.from = self.to;
            let blocks = self.text.get(self.from..).unwrap_or_default().as_chunks::<BLOCK>().0;
            if blocks.is_empty() {
                return false;
            }
            for block in blocks.iter().take(AHEAD / BLOCK) {
                self.note(self.needles.find(block));
                self.to += BLOCK;
            }
        }
        true
    }

    /// Notes the places that a block's bits stand for.
    #[inline(always)]
    fn note(&mut self, mut found: u64) {
        let count = self.count + found.count_ones() as usize;
        // Several at once: how many there are cannot be foretold.
        while found != 0 {
            let Some(places) = self.places.get_mut(self.count..).and_then(|rest| rest.first_chunk_mut::<STEP>()) else { return };
            for place in places {
                *place = (self.to as u32).wrapping_add(found.trailing_zeros());
                found &= found.wrapping_sub(1);
            }
            self.count += STEP;
        }
        self.count = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_from_anywhere() {
        // Runs with many marks and with none.
        let mut text: Vec<u8> = (0..3000_u32).map(|at| if at / 400 % 2 == 0 && at * at % 7 < 3 { b',' } else { b'x' }).collect();
        text.resize(text.len() + BLOCK, 0);
        let places: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at).collect();
        let mut marks = Marks::new(&text, Needles([b','; 5]));
        for at in (0..3000).chain((0..3000).rev()).chain((0..3000).map(|at| at * 997 % 3000)) {
            marks.seek(at);
            let wanted = places.iter().filter(|place| **place >= at);
            let mut given = marks.given();
            for place in wanted.clone().take(at % 50) {
                assert_eq!(marks.after(&mut given), *place, "from {at}");
            }
            if at % 3 == 0 {
                marks.set_given(given);
                for place in wanted.skip(at % 50).take(at % 7) {
                    assert_eq!(marks.next(), *place, "from {at}");
                }
            }
        }
        marks.seek(2990);
        assert!(std::iter::repeat_with(|| marks.next()).take(30).last() >= Some(3000));
    }
}
