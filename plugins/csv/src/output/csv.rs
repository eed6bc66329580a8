//! Writes rows as CSV by RFC 4180: cells between commas, lines that end in CR LF, and quotes around the cells that need them. No text is
//! changed, no name is made up.

use std::borrow::Cow;
use std::rc::Rc;

use dropforge_sdk::{Document, Result};

use crate::block::{BLOCK, load, needs_quotes};
use crate::cells::Cells;
use crate::header::column_name;
use crate::output::bytes::Out;
use crate::output::{Table, Written};
use crate::reader::{Record, Sink};
use crate::text::Text;

/// The rows that were written and not taken yet.
pub struct Csv {
    /// The names, as they stand in the file; none where it has none.
    names: Rc<Cells>,
    document: Document,
    out: Out,
    /// How many columns the table has.
    columns: usize,
    nul: bool,
}

impl Csv {
    /// Rows below a header row of these names.
    pub fn named(document: Document, names: Rc<Cells>) -> Self {
        let mut rows = Csv::unnamed(document, names.count());
        for (column, name) in names.iter().enumerate() {
            let padded = [name, &[0; BLOCK]].concat();
            rows.cell(column, &padded, 0, name.len(), false);
        }
        if names.count() > 0 {
            rows.end_line(names.count());
            rows.out.row = rows.out.length;
        }
        rows.names = names;
        rows
    }

    /// Rows of a table without a header.
    pub fn unnamed(document: Document, columns: usize) -> Self {
        Csv { names: Rc::default(), document, out: Out::default(), columns, nul: false }
    }

    /// Ends the line of a row of so many cells.
    #[inline(always)]
    fn end_line(&mut self, cells: usize) {
        let missing = self.columns.saturating_sub(cells);
        self.out.reserve(missing + 4);
        if self.out.length == self.out.row && missing == 0 {
            // Else the line of a lone empty cell would be blank, and no row.
            self.out.push(b'"');
            self.out.push(b'"');
        }
        // Every row is as wide as the table: readers ask for that.
        (0..missing).for_each(|_| self.out.push(b','));
        self.out.push(b'\r');
        self.out.push(b'\n');
    }

    /// Copies a cell as it is and says whether that will do; where it needs quotes, what was copied is to be overwritten.
    #[inline(always)]
    fn plain(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        let (mut at, start) = (from, self.out.length);
        loop {
            let bytes = load(text, at);
            self.out.store(&bytes);
            let step = (to - at).min(16);
            if needs_quotes(&bytes) & ((1 << step) - 1) != 0 {
                self.out.length = start;
                return false;
            }
            self.out.length += step;
            at += step;
            if at >= to {
                return true;
            }
        }
    }

    /// Copies a cell with quotes around it, those in it doubled.
    #[inline(never)]
    fn quoted(&mut self, text: &[u8], from: usize, to: usize) {
        let cell = text.get(from..to).unwrap_or_default();
        let doubled = cell.iter().filter(|byte| **byte == b'"').count();
        self.out.reserve(cell.len() + doubled + 2);
        self.out.push(b'"');
        for byte in cell {
            if *byte == b'"' {
                self.out.push(b'"');
            }
            self.nul |= *byte == 0;
            self.out.push(*byte);
        }
        self.out.push(b'"');
    }
}

impl Sink for Csv {
    #[inline(always)]
    fn cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        self.out.reserve(to - from + 2);
        if column > 0 {
            self.out.push(b',');
        }
        // Quotes around nothing say that the text is empty rather than absent.
        if (quoted && from == to) || !self.plain(text, from, to) {
            self.quoted(text, from, to);
        }
    }

    fn restart(&mut self) {
        self.out.length = self.out.row;
        self.nul = false;
    }
}

impl Table for Csv {
    fn columns(&self) -> usize {
        self.columns
    }

    fn name(&self, column: usize) -> Cow<'_, str> {
        if column < self.names.count() { self.names.text(column) } else { column_name(column).into() }
    }

    #[inline(always)]
    fn has_nul(&self) -> bool {
        self.nul
    }

    #[inline(always)]
    fn end_row(&mut self, record: &Record, _: &Text) -> Result<()> {
        self.end_line(record.cells);
        self.nul = false;
        self.out.end_row(&mut self.document)
    }
}

impl Written for Csv {
    fn finish(mut self) -> Result<Document> {
        self.out.hand_on(&mut self.document)?;
        Ok(self.document)
    }
}
