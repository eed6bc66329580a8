//! Reads an odd record as a person would who knows how many columns the table has.
//!
//! One with odd quotes: each cut of the text into that many cells has a cost: nothing for cells whose quotes are as they should be, a little for a quoted cell with
//! a lone quote in it, more for a quote that opens a cell and is taken as text. The cheapest cut wins, if it is cheaper than the usual
//! reading of the record. Without a cut into the right number of cells the usual reading stays.
//!
//! One that has another delimiter than the table, where that gives it as many cells as the table has columns: a row from another program.
//! One in which a delimiter is missing: [`super::divide`].

use super::{Dialect, Record, Records, Sink, Step};
use crate::delimiter::Delimiter;
use crate::kind::Kind;

/// A quoted cell with a lone quote in it.
const LONE: u32 = 10;
/// Each other lone quote in it.
const ANOTHER: u32 = 1;
/// A lone quote beside a delimiter, which most likely ends or begins a cell.
const AT_DELIMITER: u32 = 8;
/// A quote at the beginning of a cell that is text.
const LITERAL: u32 = 20;
/// A line that a record goes on for.
const LINE: u32 = 10;
/// What the usual reading of a record with odd quotes costs where it has the right number of cells.
const USUAL: u32 = 20;

/// Beyond these the usual reading stays: no input may make reading slow.
const MOST_PARTS: usize = 512;
const MOST_SPANS: usize = 2048;
const MOST_BYTES: usize = 64 * 1024;

/// The delimiters that a row may have in place of the table's.
const OTHERS: [u8; 5] = [b';', b'\t', b'|', b',', b' '];

/// How often they may be tried in vain in one buffer.
const VAIN: u32 = 64;

/// A cell of a cut.
#[derive(Debug, Clone, Copy)]
struct Cell {
    from: usize,
    to: usize,
    quoted: bool,
}

/// The cells of a record that is tried in another dialect.
#[derive(Debug, Default)]
struct Tried {
    cells: Vec<(Vec<u8>, bool)>,
    /// How many are values.
    values: usize,
    /// How many stood in quotes.
    quoted: usize,
}

impl Sink for Tried {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        let cell = text.get(from..to).unwrap_or_default();
        self.values += usize::from(Kind::of(cell).is_value());
        self.quoted += usize::from(quoted);
        self.cells.push((cell.to_vec(), quoted));
    }

    fn restart(&mut self) {
        *self = Tried::default();
    }
}

/// A cut and its cost.
struct Cut {
    cost: u32,
    cells: Vec<Cell>,
    end: usize,
}

impl Records<'_> {
    /// Gives the sink the cells of the record at `start` once more, if there is a better reading than the one it has.
    #[cold]
    #[inline(never)]
    pub(super) fn mend<S: Sink + ?Sized>(&mut self, sink: &mut S, start: usize, record: Record) -> Step {
        let record = if record.is_odd() { self.mend_quotes(sink, start, record) } else { record };
        if record.cells != self.expected && self.expected > 2 && self.vain < VAIN {
            self.vain += 1;
            let other = if record.cells < self.expected { self.with_other_delimiter(sink, start) } else { None };
            let read = match other {
                None if !record.is_odd() => self.divide(sink, start, record),
                other => other,
            };
            if let Some(read) = read {
                self.vain -= 1;
                return Step::Record(read);
            }
            // Looking for a missing delimiter costs more than looking for another one.
            self.vain += 3;
        }
        Step::Record(record)
    }

    /// Gives the sink the cells of the line at `start` between other delimiters than the table's.
    fn with_other_delimiter<S: Sink + ?Sized>(&mut self, sink: &mut S, start: usize) -> Option<Record> {
        let rest = self.text.get(start..self.end.min(start + MOST_BYTES))?;
        let line = start + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).or(self.last.then_some(rest.len()))?;
        for other in OTHERS.into_iter().filter(|other| !self.dialect.delimiter.holds(*other)) {
            let dialect = Dialect { delimiter: Delimiter::Byte(other), ..self.dialect };
            let mut cells = Tried::default();
            let mut records = Records::new(dialect, self.text, line, true).starting(start);
            let Step::Record(read) = records.next(&mut cells as &mut dyn Sink) else { continue };
            // Words of a text have spaces between them too, and may be as many as the table has columns.
            let is_proved = other != b' ' || cells.quoted > 0 || 2 * cells.values >= read.cells;
            if read.cells == self.expected && !read.is_odd() && is_proved {
                sink.restart();
                for (column, (cell, quoted)) in cells.cells.into_iter().enumerate() {
                    self.scratch = cell;
                    self.give(sink, column, quoted);
                }
                self.at = if line < self.end { self.after_line_end(line) } else { self.end };
                self.marks.seek(self.at);
                let read = Record {
                    start,
                    cells: read.cells,
                    end: line,
                    extra: None,
                    stray: None,
                    unclosed: None,
                    mended: false,
                    other: Some(other),
                    divided: None,
                };
                return Some(read);
            }
        }
        None
    }

    fn mend_quotes<S: Sink + ?Sized>(&mut self, sink: &mut S, start: usize, record: Record) -> Record {
        let span = self.text.get(start..record.end).unwrap_or_default();
        let line = span.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(record.end, |length| start + length);
        let lines = span.iter().filter(|byte| **byte == b'\n').count() as u32;
        // A quote after a delimiter and before text opens a cell rather than closes one.
        let opens = record.stray.is_some_and(|stray| stray >= 2 && self.dialect.delimiter.begins_with(self.byte(stray - 2)));
        let usual = USUAL + LINE * lines + if opens { AT_DELIMITER } else { 0 };
        let usual = if record.cells == self.expected { usual } else { u32::MAX };
        let first = self.cut(start, line);
        let whole = if line < record.end { self.cut(start, record.end) } else { None };
        let whole = whole.map(|cut| Cut { cost: cut.cost + LINE * lines, ..cut });
        let best = match (first, whole) {
            (Some(first), Some(whole)) => Some(if whole.cost < first.cost { whole } else { first }),
            (first, whole) => first.or(whole),
        };
        let Some(best) = best.filter(|cut| cut.cost < usual) else { return record };
        sink.restart();
        for (column, cell) in best.cells.iter().enumerate() {
            self.unquote(*cell);
            self.give(sink, column, cell.quoted);
        }
        self.at = if best.end < self.end { self.after_line_end(best.end) } else { self.end };
        self.marks.seek(self.at);
        let stray = record.stray.or(record.unclosed.map(|unclosed| unclosed.at));
        Record {
            start,
            cells: best.cells.len(),
            end: best.end,
            extra: None,
            stray,
            unclosed: None,
            mended: true,
            other: None,
            divided: None,
        }
    }

    /// The cheapest cut of the text into as many cells as are expected.
    fn cut(&self, start: usize, end: usize) -> Option<Cut> {
        let quote = self.dialect.quote?;
        if end - start > MOST_BYTES || self.expected > MOST_PARTS {
            return None;
        }
        let parts = self.parts(start, end)?;
        let (count, wanted) = (parts.len(), self.expected);
        // From each part, the cells that can begin with it: how many parts they have and what they cost.
        let mut spans: Vec<Vec<(usize, Cell, u32)>> = Vec::new();
        let mut known = 0;
        for (index, (from, to)) in parts.iter().copied().enumerate() {
            let opens = to > from && self.byte(from) == quote;
            let mut own = vec![(1, Cell { from, to, quoted: false }, if opens { LITERAL } else { 0 })];
            if opens {
                for (length, (_, to)) in parts.iter().skip(index).copied().enumerate() {
                    if to > from + 1 && self.byte(to - 1) == quote {
                        own.push((length + 1, Cell { from: from + 1, to: to - 1, quoted: true }, self.cost(from + 1, to - 1, quote)));
                    }
                }
            }
            known += own.len();
            spans.push(own);
        }
        if known > MOST_SPANS || count < wanted {
            return None;
        }
        // `costs[cells][parts]`: what it costs to make so many cells of the parts from there to the end, and how many the first one takes.
        let mut costs = vec![vec![(u32::MAX, 0, 0); count + 1]; wanted + 1];
        if let Some(end) = costs.first_mut().and_then(|row| row.last_mut()) {
            end.0 = 0;
        }
        for cells in 1..=wanted {
            for part in (0..count).rev() {
                let mut best = (u32::MAX, 0, 0);
                for (which, (length, _, cost)) in spans.get(part)?.iter().enumerate() {
                    let rest = costs.get(cells - 1).and_then(|row| row.get(part + length)).map_or(u32::MAX, |rest| rest.0);
                    if rest != u32::MAX && rest + cost < best.0 {
                        best = (rest + cost, *length, which);
                    }
                }
                *costs.get_mut(cells)?.get_mut(part)? = best;
            }
        }
        let cost = costs.get(wanted)?.first()?.0;
        let (mut cells, mut part) = (Vec::with_capacity(wanted), 0);
        for left in (1..=wanted).rev() {
            let (_, length, which) = *costs.get(left)?.get(part)?;
            cells.push(spans.get(part)?.get(which)?.1);
            part += length;
        }
        (cost != u32::MAX).then_some(Cut { cost, cells, end })
    }

    /// The text between the delimiters, each where it begins and ends. None where there are too many.
    fn parts(&self, start: usize, end: usize) -> Option<Vec<(usize, usize)>> {
        let (mut parts, mut from, mut at) = (Vec::new(), start, start);
        while at < end {
            if Some(self.byte(at)) == self.dialect.escape {
                at += 2;
            } else if let Some(next) = self.after_delimiter(at) {
                parts.push((from, at));
                (from, at) = (next.min(end), next);
            } else {
                at += 1;
            }
            if parts.len() >= MOST_PARTS {
                return None;
            }
        }
        parts.push((from, end));
        Some(parts)
    }

    /// What the quotes inside a quoted cell cost.
    fn cost(&self, from: usize, to: usize, quote: u8) -> u32 {
        let (mut cost, mut at) = (0, from);
        while at < to {
            let byte = self.byte(at);
            if Some(byte) == self.dialect.escape || (byte == quote && at + 1 < to && self.byte(at + 1) == quote) {
                at += 2;
                continue;
            }
            if byte == quote {
                cost += if cost == 0 { LONE } else { ANOTHER };
                let beside = |at: usize| self.dialect.delimiter.begins_with(self.byte(at));
                cost += if (at > from && beside(at - 1)) || (at + 1 < to && beside(at + 1)) { AT_DELIMITER } else { 0 };
            }
            at += 1;
        }
        cost
    }

    /// Puts the text of a cell into `scratch`, of doubled and escaped quotes one.
    fn unquote(&mut self, cell: Cell) {
        self.scratch.clear();
        let (quote, escape) = (self.dialect.quote, self.dialect.escape);
        let mut bytes = self.text.get(cell.from..cell.to).unwrap_or_default();
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = rest;
            match rest.split_first() {
                Some((next, rest)) if cell.quoted && Some(*byte) == quote && next == byte => {
                    self.scratch.push(*next);
                    bytes = rest;
                }
                Some((next, rest)) if Some(*byte) == escape && self.dialect.is_mark(*next) => {
                    self.scratch.push(*next);
                    bytes = rest;
                }
                _ => self.scratch.push(*byte),
            }
        }
    }
}
