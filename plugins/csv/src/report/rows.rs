//! The rows of a table one by one, each with its line: what reports are made of. Only one window of them is in memory.

use std::borrow::Cow;
use std::collections::VecDeque;

use dropforge_sdk::Result;

use crate::output::Table;
use crate::reader::{Record, Sink};
use crate::rows::Rows;
use crate::text::{Text, line_ends};

/// A row.
#[derive(Debug, Default)]
pub struct Row {
    text: String,
    ends: Vec<usize>,
    /// The line that it begins in.
    pub line: u64,
    /// Whether something is wrong with it, so that it is to be left out.
    pub is_broken: bool,
    /// Whether the file ends in it: it has fewer cells than it should, and no line end.
    pub is_cut: bool,
}

impl Row {
    /// A cell without white space around it; empty where there is none.
    pub fn cell(&self, column: usize) -> &str {
        let start = if column == 0 { Some(0) } else { self.ends.get(column - 1).copied() };
        let range = start.zip(self.ends.get(column).copied());
        range.and_then(|(from, to)| self.text.get(from..to)).unwrap_or_default().trim()
    }

    /// How many cells it has.
    pub fn cells(&self) -> usize {
        self.ends.len()
    }

    /// How much memory it takes, about.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>() + size_of::<Row>()
    }
}

/// The rows of one window.
struct Window {
    names: Vec<String>,
    rows: VecDeque<Row>,
    /// The row that is being read.
    row: Row,
    /// Where the last row began, and in which line.
    last: (usize, u64),
}

impl Sink for Window {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, _: bool) {
        self.row.text.push_str(&String::from_utf8_lossy(text.get(from..to).unwrap_or_default()));
        self.row.ends.push(self.row.text.len());
    }

    fn restart(&mut self) {
        self.row = Row::default();
    }
}

impl Table for Window {
    fn columns(&self) -> usize {
        self.names.len()
    }

    fn name(&self, column: usize) -> Cow<'_, str> {
        self.names.get(column).map_or_else(|| crate::header::column_name(column).into(), |name| name.into())
    }

    fn has_nul(&self) -> bool {
        self.row.text.contains('\0')
    }

    fn end_row(&mut self, record: &Record, text: &Text) -> Result<()> {
        let mut row = std::mem::take(&mut self.row);
        let (last, line) = self.last;
        row.line = match text.padded().get(last..record.start) {
            Some(between) if !self.rows.is_empty() => line + line_ends(between),
            _ => text.place(record.start).0,
        };
        self.last = (record.start, row.line);
        row.is_cut = record.cells < self.names.len() && text.ended() && record.end >= text.end();
        self.rows.push_back(row);
        Ok(())
    }

    fn leave_out(&mut self, record: &Record, text: &Text) -> Result<()> {
        self.row.is_broken = true;
        self.end_row(record, text)
    }
}

/// Reads rows one by one.
pub struct Source<'a, 'i> {
    rows: Rows<'a, 'i>,
    window: Window,
}

impl<'a, 'i> Source<'a, 'i> {
    /// The rows below the header of these names.
    pub fn new(rows: Rows<'a, 'i>, names: Vec<String>) -> Self {
        Source { rows, window: Window { names, rows: VecDeque::new(), row: Row::default(), last: (0, 0) } }
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.window.names
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// What the host says; the first fault, where the policy is strict.
    pub fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.window.rows.pop_front() {
                return Ok(Some(row));
            }
            if !self.rows.window(&mut self.window)? && self.window.rows.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Gives back a row that was read: it is the next one again.
    pub fn give_back(&mut self, row: Row) {
        self.window.rows.push_front(row);
    }

    /// The rows behind it, for what there is to say of them at the end.
    pub fn into_rows(self) -> Rows<'a, 'i> {
        self.rows
    }
}
