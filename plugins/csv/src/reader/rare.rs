//! The slow path: delimiters of several bytes and runs of white space, byte by byte. The rules of quotes and escapes are those of the fast
//! path.

use super::{Ended, Records, Sink, Step};
use crate::delimiter::Delimiter;

/// What stands after a cell.
enum Gap {
    /// A delimiter; the next cell begins here.
    Cell(usize),
    /// The end of the line; the next one begins here.
    Line(usize),
    /// The buffer ends before that can be told.
    More,
}

impl Records<'_> {
    /// Reads one record; none where it has to be read again from its beginning.
    #[inline(never)]
    pub(super) fn read_rare<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Option<Step> {
        let start = self.at;
        let mut from = if self.dialect.delimiter == Delimiter::Blanks { self.after_blanks(start) } else { start };
        let mut column = 0;
        loop {
            let end = match self.rare_cell(from) {
                Ended::At(end) => end,
                Ended::More => return Some(self.give_back(sink)),
                Ended::Again => return None,
            };
            let (next, is_last) = match self.gap(end) {
                Gap::Cell(next) => (next, false),
                Gap::Line(next) => (next, true),
                Gap::More => return Some(self.give_back(sink)),
            };
            if is_last && end == from && column == 0 && !self.was_quoted {
                self.at = next;
                return Some(Step::Blank);
            }
            self.give(sink, column, self.was_quoted);
            column += 1;
            if is_last {
                self.at = next;
                return Some(Step::Record(self.record(start, column, end)));
            }
            from = next;
            if column == self.expected {
                self.extra = Some(from);
            }
        }
    }

    /// Reads a cell into `scratch`, up to what stands after it.
    fn rare_cell(&mut self, from: usize) -> Ended {
        let (quote, escape) = (self.dialect.quote, self.dialect.escape);
        let (mut inside, mut copied, mut at) = (false, from, from);
        self.scratch.clear();
        self.was_quoted = false;
        let end = loop {
            if at >= self.end {
                if !self.last {
                    return Ended::More;
                }
                break self.end;
            }
            let byte = self.byte(at);
            let is_quote = Some(byte) == quote;
            if (Some(byte) == escape || (is_quote && inside)) && at + 1 >= self.end && !self.last {
                return Ended::More;
            }
            if Some(byte) == escape && at + 1 < self.end && self.dialect.is_mark(self.byte(at + 1)) {
                self.keep(copied, at);
                copied = at + 1;
                at += 2;
            } else if is_quote && inside {
                self.keep(copied, at);
                copied = at + 1;
                if at + 1 < self.end && self.byte(at + 1) == byte {
                    at += 2;
                } else {
                    (inside, at) = (false, at + 1);
                    if !self.ends_rare_cell(at) {
                        self.stray.get_or_insert(at);
                    }
                }
            } else if is_quote && at == from && self.opens(from) {
                (inside, self.was_quoted, copied, at) = (true, true, from + 1, from + 1);
            } else if !inside && self.ends_rare_cell(at) {
                break at;
            } else {
                at += 1;
            }
        };
        if inside && self.is_to_be_read_again(from, end) {
            return Ended::Again;
        }
        self.keep(copied, end);
        Ended::At(end)
    }

    /// Whether a cell ends at `at`; also where the buffer ends before that can be told, which [`Records::gap`] finds out.
    fn ends_rare_cell(&self, at: usize) -> bool {
        if at >= self.end {
            return true;
        }
        let byte = self.byte(at);
        match self.dialect.delimiter {
            _ if matches!(byte, b'\n' | b'\r') => true,
            Delimiter::Text(word) => {
                let rest = self.text.get(at..self.end).unwrap_or_default();
                rest.starts_with(word.as_bytes()) || (!self.last && word.as_bytes().starts_with(rest))
            }
            delimiter => delimiter.begins_with(byte),
        }
    }

    fn gap(&self, at: usize) -> Gap {
        let undecided = |next: usize| next >= self.end && !self.last;
        if at >= self.end {
            return if self.last { Gap::Line(self.end) } else { Gap::More };
        }
        let byte = self.byte(at);
        let next = match self.dialect.delimiter {
            _ if byte == b'\n' => return Gap::Line(at + 1),
            _ if byte == b'\r' => return if undecided(at + 1) { Gap::More } else { Gap::Line(self.after_line_end(at)) },
            Delimiter::Text(word) => {
                let next = at + word.as_bytes().len();
                return if next > self.end { Gap::More } else { Gap::Cell(next) };
            }
            Delimiter::Spaced(_) => {
                let spaces = self.text.get(at + 1..self.end).unwrap_or_default();
                at + 1 + spaces.iter().take_while(|byte| **byte == b' ').count()
            }
            Delimiter::Blanks => {
                let next = self.after_blanks(at);
                if next >= self.end || matches!(self.byte(next), b'\n' | b'\r') {
                    return self.gap(next);
                }
                next
            }
            Delimiter::Byte(_) => return Gap::Cell(at + 1),
        };
        if undecided(next) { Gap::More } else { Gap::Cell(next) }
    }

    /// Where the next cell begins, if a delimiter stands at `at` of a whole record.
    pub(super) fn after_delimiter(&self, at: usize) -> Option<usize> {
        match self.gap(at) {
            Gap::Cell(next) if self.ends_rare_cell(at) => Some(next),
            _ => None,
        }
    }

    fn after_blanks(&self, at: usize) -> usize {
        let rest = self.text.get(at..self.end).unwrap_or_default();
        at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }
}
