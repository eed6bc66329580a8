//! What rows become. Each format takes cells as they are read and gives bytes for the document; none of them knows where rows come from or
//! what is wrong with them.

mod bytes;
mod csv;
mod json;
mod localized;

pub use csv::Csv;
pub use json::{Inference, Json, quoted};
pub use localized::Localized;
use std::borrow::Cow;

use dropforge_sdk::{Document, Result};

use crate::reader::{Record, Sink};
use crate::text::Text;

/// Where rows go. The cells of a row come through [`Sink`]; [`Sink::restart`] takes back those of an unfinished row.
pub trait Table: Sink {
    /// How many columns the table has, cells beyond them not counted.
    fn columns(&self) -> usize;

    /// The name of a column, for messages.
    fn name(&self, column: usize) -> Cow<'_, str>;

    /// Whether the row that is being written has a NUL.
    fn has_nul(&self) -> bool;

    /// Ends a row that was read from this window.
    ///
    /// # Errors
    /// What the host says.
    fn end_row(&mut self, record: &Record, text: &Text) -> Result<()>;

    /// Ends a row that is broken, and is to be left out.
    ///
    /// # Errors
    /// What the host says.
    fn leave_out(&mut self, _record: &Record, _text: &Text) -> Result<()> {
        self.restart();
        Ok(())
    }
}

/// Rows on their way into a document.
pub trait Written: Table {
    /// Writes what follows the last row, and gives the document.
    ///
    /// # Errors
    /// What the host says.
    fn finish(self) -> Result<Document>;
}

/// Rows go to the document in pieces of at least this many bytes: from there on the SDK hands them on without copying them once more.
const PIECE: usize = 64 * 1024;
