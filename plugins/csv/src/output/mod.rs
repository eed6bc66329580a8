//! What rows become. Each format takes cells as they are read and gives bytes for the document; none of them knows where rows come from or
//! what is wrong with them.

mod bytes;
mod csv;
mod json;

use std::borrow::Cow;

pub use csv::Csv;
pub use json::{Inference, Json, quoted};

use crate::reader::Sink;

/// Rows on their way into a document. The cells of a row come through [`Sink`]; [`Sink::restart`] takes back those of an unfinished row.
pub trait Table: Sink {
    /// How many columns the table has, cells beyond them not counted.
    fn columns(&self) -> usize;

    /// The name of a column, for messages.
    fn name(&self, column: usize) -> Cow<'_, str>;

    /// Whether the row that is being written has a NUL.
    fn has_nul(&self) -> bool;

    /// Ends a row of so many cells.
    fn end_row(&mut self, cells: usize);

    /// What is written and whole.
    fn written(&self) -> &[u8];

    /// Forgets what is written and whole: it is where it belongs.
    fn clear(&mut self);

    /// Writes what follows the last row.
    fn finish(&mut self);
}
