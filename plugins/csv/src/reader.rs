//! Cuts text into records and cells. It knows the dialect and nothing of encodings, column names or output.
//!
//! # How it works
//!
//! Only a few bytes have a meaning: the delimiter, the quote, the escape, CR and LF. [`Marks`] finds them 64 bytes at a time; all other
//! bytes are passed over without being looked at one by one. Between marks there are two states, *in a plain cell* and *inside quotes*:
//!
//! ```text
//!              delimiter: cell ends, next begins
//!              CR, LF, CR LF: cell and record end; a record without any byte is a blank line
//!             ┌──────┐
//!             │      ▼
//!  start ──▶ plain cell ──── quote as the first byte of a cell ────▶ inside quotes
//!             ▲  quote elsewhere: text                                 │  quote quote: a quote
//!             │                                                        │  delimiter, CR, LF: text
//!             └──────────────── any other quote ───────────────────────┘
//!
//!  escape, in both: the next byte is text if it is a mark; before anything else the escape is text itself
//! ```
//!
//! So text between a closing quote and the next delimiter belongs to the cell (`"a"b` reads as `ab`, as Python's `csv` has it) and is
//! reported as a stray quote.
//!
//! That is the path of a delimiter of one byte. Longer ones and runs of white space have a slower path of their own, [`rare`]; and a record
//! whose quotes are odd is read once more as a person would, by the number of its cells, where that is known: [`mend`].
//!
//! A [`Records`] reads one buffer. A record that the buffer does not hold whole is given back ([`Step::More`]) and read again once there is
//! more text, so no state outlives a buffer. A quote that never closes and would swallow whole lines is read again as text.

mod divide;
mod marks;
mod mend;
mod rare;
mod record;

use crate::block::{BLOCK, Needles};
pub use crate::delimiter::{Delimiter, Word};
use marks::Marks;
pub use record::{Record, Sink, Step, Unclosed};

/// How the cells of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What separates cells.
    pub delimiter: Delimiter,
    /// What encloses cells that hold delimiters, quotes or line ends.
    pub quote: Option<u8>,
    /// What makes a quote (or another mark) after it text, besides doubling.
    pub escape: Option<u8>,
    /// What a line begins with that is a comment.
    pub comment: Option<Word>,
}

impl Dialect {
    fn needles(self) -> Needles {
        let delimiter = self.delimiter.byte().unwrap_or(b'\n');
        Needles([delimiter, b'\n', b'\r', self.quote.unwrap_or(b'\n'), self.escape.unwrap_or(b'\n')])
    }

    /// Whether an escape before this byte makes it text.
    fn is_mark(self, byte: u8) -> bool {
        self.delimiter.begins_with(byte) || byte == b'\n' || byte == b'\r' || Some(byte) == self.quote || Some(byte) == self.escape
    }
}

/// How often a quote that never closes is read again as text, each time in vain to the end of the text. Beyond that, the cell keeps
/// whatever follows: no input may make reading quadratic.
const SECOND_READINGS: u32 = 16;

/// The records of one buffer.
pub struct Records<'t> {
    dialect: Dialect,
    /// The delimiter, where it is one byte.
    delimiter: u8,
    /// Whether the dialect has something that only the slow path knows.
    is_rare: bool,
    text: &'t [u8],
    /// The same without the padding.
    within: &'t [u8],
    /// The length of that, in a field of its own: taken from the slice, it costs short cells a twentieth of their speed.
    end: usize,
    /// Whether no text follows the buffer.
    last: bool,
    at: usize,
    marks: Marks<'t>,
    /// How many cells a record should have; 0 where that is not known.
    expected: usize,
    extra: Option<usize>,
    stray: Option<usize>,
    unclosed: Option<Unclosed>,
    second_readings: u32,
    /// How often records were read with another delimiter in vain.
    vain: u32,
    /// What the columns of the table have, once it was needed.
    learned: Option<divide::Columns>,
    scratch: Vec<u8>,
    /// Whether the cell in `scratch` stood in quotes.
    was_quoted: bool,
}

/// How a cell ended that holds quotes or escapes.
enum Ended {
    /// At a delimiter, a line's end or the end of the text, at this position; the sink has the cell.
    At(usize),
    /// At the end of the buffer, and it may go on.
    More,
    /// With a quote that never closes: the record is to be read again with it as text.
    Again,
}

/// Whether a byte is CR or LF. A match on the two would become a table of jumps, which nothing can foretell.
#[inline(always)]
fn ends_line(byte: u8) -> bool {
    const ENDS: u32 = 1 << b'\n' | 1 << b'\r';
    byte < 32 && ENDS >> byte & 1 != 0
}

impl<'t> Records<'t> {
    /// Reads `text[..end]`, after which `text` has [`BLOCK`] bytes of padding. `last` says whether that is the end of the whole text.
    pub fn new(dialect: Dialect, text: &'t [u8], end: usize, last: bool) -> Self {
        let marks = Marks::new(text.get(..end + BLOCK).unwrap_or(text), dialect.needles());
        let (delimiter, is_rare) = (dialect.delimiter.byte().unwrap_or(b'\n'), dialect.delimiter.byte().is_none());
        Records {
            dialect,
            delimiter,
            is_rare,
            expected: 0,
            extra: None,
            text,
            within: text.get(..end).unwrap_or_default(),
            end,
            last,
            at: 0,
            marks,
            stray: None,
            unclosed: None,
            second_readings: 0,
            vain: 0,
            learned: None,
            scratch: Vec::new(),
            was_quoted: false,
        }
    }

    /// Says how many cells a record should have: where one has more, [`Record::extra`] says from where, and one with odd quotes is read so
    /// that it has as many, if it can be.
    pub fn expecting(mut self, columns: usize) -> Self {
        self.expected = columns;
        self
    }

    /// The same, beginning with the record at `at`.
    pub fn starting(mut self, at: usize) -> Self {
        self.at = at;
        self.marks.seek(at);
        self
    }

    /// Where the next record begins.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads the next record into the sink. Only the sink that is given every row needs a copy of this code of its own; the others come as
    /// `dyn`.
    #[inline]
    pub fn next<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Step {
        if self.at >= self.end {
            return if self.last { Step::End } else { Step::More };
        }
        (self.extra, self.stray, self.unclosed) = (None, None, None);
        if self.dialect.comment.is_some()
            && let Some(step) = self.comment()
        {
            return step;
        }
        let start = self.at;
        loop {
            match if self.is_rare { self.read_rare(sink) } else { self.read(sink) } {
                Some(Step::Record(record)) if self.expected > 0 && (record.is_odd() || record.cells != self.expected) => {
                    return self.mend(sink, start, record);
                }
                Some(step) => return step,
                None => {}
            }
            sink.restart();
            self.marks.seek(self.at);
        }
    }

    /// Passes over a comment, if there is one.
    #[cold]
    fn comment(&mut self) -> Option<Step> {
        let rest = self.text.get(self.at..self.end)?;
        let marker = self.dialect.comment?;
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let begins = rest.get(blanks..)?;
        if !begins.starts_with(marker.as_bytes()) {
            let cut = !self.last && marker.as_bytes().starts_with(begins);
            return cut.then_some(Step::More);
        }
        match rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(length) if self.last || self.at + length + 1 < self.end => {
                self.at = self.after_line_end(self.at + length);
            }
            None if self.last => self.at = self.end,
            _ => return Some(Step::More),
        }
        self.marks.seek(self.at);
        Some(Step::Comment)
    }

    /// Where the next line begins after the line end at `at`.
    fn after_line_end(&self, at: usize) -> usize {
        let pair = self.byte(at) == b'\r' && at + 1 < self.end && self.byte(at + 1) == b'\n';
        (at + 1 + usize::from(pair)).min(self.end)
    }

    /// Reads one record; none where it has to be read again from its beginning.
    #[inline(always)]
    fn read<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Option<Step> {
        let (start, mut from, mut column) = (self.at, self.at, 0);
        let mut given = self.marks.given();
        loop {
            let mut mark = self.marks.after(&mut given);
            let mut byte = match self.within.get(mark) {
                Some(byte) => *byte,
                None if !self.last => return Some(self.give_back(sink)),
                None => {
                    mark = self.end;
                    b'\n'
                }
            };
            let (mut begin, mut to, mut quoted) = (from, mark, false);
            let mut is_given = mark == start && byte != self.delimiter;
            if byte != self.delimiter && !ends_line(byte) {
                is_given = false;
                if let Some(close) = self.closes(&mut given, from, mark) {
                    (begin, to, quoted) = (from + 1, close, true);
                    mark = if close + 1 < self.end { self.marks.after(&mut given) } else { self.end };
                } else {
                    self.marks.seek(from);
                    let ended = self.odd_cell(sink, column, from);
                    given = self.marks.given();
                    match ended {
                        Ended::At(end) => (mark, is_given) = (end, true),
                        Ended::Again => return None,
                        Ended::More => return Some(self.give_back(sink)),
                    }
                }
                byte = self.byte_or_line_end(mark);
            }
            // One place for nearly all cells: what a sink does with one is inlined here, and should be only once.
            if !is_given {
                sink.cell(column, self.text, begin, to, quoted);
            }
            if byte == self.delimiter {
                column += 1;
                from = mark + 1;
                if column == self.expected {
                    self.extra = Some(from);
                }
                continue;
            }
            let mut next = mark + 1;
            if byte == b'\r' {
                if next >= self.end && !self.last {
                    return Some(self.give_back(sink));
                }
                if next < self.end && self.byte(next) == b'\n' {
                    self.marks.after(&mut given);
                    next += 1;
                }
            }
            self.at = next;
            self.marks.set_given(given);
            if mark == start && column == 0 {
                return Some(Step::Blank);
            }
            return Some(Step::Record(self.record(start, column + 1, mark)));
        }
    }

    #[inline(always)]
    fn record(&self, start: usize, cells: usize, end: usize) -> Record {
        let &Records { extra, stray, unclosed, .. } = self;
        Record { start, cells, end, extra, stray, unclosed, mended: false, other: None, divided: None }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or_default()
    }

    /// The end of the text ends a line, whether the last line says so or not.
    #[inline(always)]
    fn byte_or_line_end(&self, at: usize) -> u8 {
        self.within.get(at).copied().unwrap_or(b'\n')
    }

    /// Whether a cell ends at `at`, as far as the buffer can tell.
    #[inline(always)]
    fn ends_cell(&self, at: usize) -> bool {
        self.within.get(at).map_or(self.last, |byte| *byte == self.delimiter || ends_line(*byte))
    }

    #[cold]
    fn give_back<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Step {
        sink.restart();
        Step::More
    }

    #[inline(always)]
    fn opens(&self, at: usize) -> bool {
        Some(self.byte(at)) == self.dialect.quote && self.unclosed.is_none_or(|unclosed| unclosed.at != at)
    }

    /// Where the quote closes that opens the cell at `from`, whose first mark is `first`: for the usual cell with quotes around it, none
    /// inside, and a cell's end right after.
    #[inline(always)]
    fn closes(&mut self, given: &mut usize, from: usize, first: usize) -> Option<usize> {
        if first != from || !self.opens(from) {
            return None;
        }
        let mut mark = self.marks.after(given);
        let mut byte = *self.within.get(mark)?;
        // Seldom: a delimiter or a line's end inside of the quotes.
        while Some(byte) != self.dialect.quote {
            if Some(byte) == self.dialect.escape {
                return None;
            }
            mark = self.marks.after(given);
            byte = *self.within.get(mark)?;
        }
        self.ends_cell(mark + 1).then_some(mark)
    }

    /// Reads any cell: what is text goes to `scratch`, what is not is left out.
    #[inline(never)]
    fn odd_cell<S: Sink + ?Sized>(&mut self, sink: &mut S, column: usize, from: usize) -> Ended {
        let Dialect { quote, escape, .. } = self.dialect;
        let (mut inside, mut was_quoted, mut copied) = (false, false, from);
        self.scratch.clear();
        let end = loop {
            let mark = self.marks.next();
            if mark >= self.end {
                if !self.last {
                    return Ended::More;
                }
                break self.end;
            }
            let byte = self.byte(mark);
            if Some(byte) == escape {
                if mark + 1 >= self.end && !self.last {
                    return Ended::More;
                }
                if mark + 1 < self.end && self.dialect.is_mark(self.byte(mark + 1)) {
                    self.keep(copied, mark);
                    copied = mark + 1;
                    self.marks.next();
                }
            } else if Some(byte) == quote && inside {
                if mark + 1 >= self.end && !self.last {
                    return Ended::More;
                }
                self.keep(copied, mark);
                copied = mark + 1;
                if mark + 1 < self.end && Some(self.byte(mark + 1)) == quote {
                    self.marks.next();
                } else {
                    inside = false;
                    if !self.ends_cell(mark + 1) {
                        self.stray.get_or_insert(mark + 1);
                    }
                }
            } else if Some(byte) == quote {
                if mark == from && self.opens(from) {
                    (inside, was_quoted, copied) = (true, true, from + 1);
                }
            } else if !inside {
                break mark;
            }
        };
        if inside && self.is_to_be_read_again(from, end) {
            return Ended::Again;
        }
        self.keep(copied, end);
        self.give(sink, column, was_quoted);
        Ended::At(end)
    }

    /// Notes that the quote at `from` never closes, and answers whether it is to be read again as text: where it would swallow lines.
    fn is_to_be_read_again(&mut self, from: usize, end: usize) -> bool {
        let has_lines = self.text.get(from..end).is_some_and(|cell| cell.iter().any(|byte| matches!(byte, b'\n' | b'\r')));
        let as_text = has_lines && self.second_readings < SECOND_READINGS;
        self.unclosed = Some(Unclosed { at: from, as_text });
        self.second_readings += u32::from(as_text);
        as_text
    }

    /// Gives the sink what is in `scratch`.
    fn give<S: Sink + ?Sized>(&mut self, sink: &mut S, column: usize, quoted: bool) {
        let length = self.scratch.len();
        self.scratch.resize(length + BLOCK, 0);
        sink.cell(column, &self.scratch, 0, length, quoted);
    }

    fn keep(&mut self, from: usize, to: usize) {
        self.scratch.extend_from_slice(self.text.get(from..to).unwrap_or_default());
    }
}
