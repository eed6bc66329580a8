//! Rows of a head, kept and looked at: what lies around a table and what names its columns is told by them.

use crate::kind::{Kind, is_missing};
use crate::reader::{Dialect, Records, Sink, Step};

/// A cell that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Its text.
    pub text: Vec<u8>,
    /// What that looks like.
    pub kind: Kind,
    /// Whether it says that there is no value.
    pub is_missing: bool,
}

impl Cell {
    fn of(text: &[u8]) -> Cell {
        Cell { text: text.to_vec(), kind: Kind::of(text), is_missing: is_missing(text) }
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Cell) -> bool {
        self.text == other.text
    }
}

/// The cells of a record, each looked at once.
#[derive(Debug, Default)]
pub(super) struct Looked(pub Vec<Cell>);

impl Sink for Looked {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, _: bool) {
        self.0.push(Cell::of(text.get(from..to).unwrap_or_default()));
    }

    fn restart(&mut self) {
        self.0.clear();
    }
}

/// A row that is looked at.
#[derive(Debug)]
pub(super) struct Row {
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Where it begins in the text.
    pub at: usize,
    /// Whether a blank line stands before it.
    pub after_blank: bool,
}

/// Rows that are looked at.
#[derive(Debug)]
pub(super) struct Kept {
    /// The rows.
    pub rows: Vec<Row>,
    /// Why there are no more.
    pub stop: Stop,
}

/// Why there are no more rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// These are as many as were wanted.
    Enough,
    /// The next one is not whole.
    More,
    /// The text is at its end.
    End,
}

impl Row {
    /// How many cells have text.
    pub fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| cell.kind != Kind::Empty).count()
    }

    /// Whether every cell that has text is a word, and most have.
    pub fn is_names(&self) -> bool {
        let texts = self.cells.iter().filter(|cell| cell.kind == Kind::Text).count();
        texts == self.filled() && 2 * texts > self.cells.len()
    }
}

/// Reads at most so many rows from a place on.
pub(super) fn rows(dialect: Dialect, padded: &[u8], end: usize, whole: bool, from: usize, most: usize) -> Kept {
    let mut rows = Vec::new();
    let mut records = Records::new(dialect, padded, end, whole).starting(from);
    let mut after_blank = false;
    while rows.len() < most {
        let (mut row, at) = (Looked::default(), records.at());
        match records.next(&mut row as &mut dyn Sink) {
            Step::Record(_) => rows.push(Row { cells: row.0, at, after_blank: std::mem::take(&mut after_blank) }),
            Step::Blank => after_blank = true,
            Step::Comment => {}
            Step::More => return Kept { rows, stop: Stop::More },
            Step::End => return Kept { rows, stop: Stop::End },
        }
    }
    Kept { rows, stop: Stop::Enough }
}
