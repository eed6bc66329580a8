//! What reading gives: cells for a sink, and what there is to say about the record that they are of.

/// Takes the cells of a record, one after the other.
pub trait Sink {
    /// Cell number `column` (from 0) is `text[from..to]`; `text` goes on for at least 64 bytes after `to`. `quoted` says whether it stood
    /// in quotes.
    fn cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool);

    /// Forgets the cells of the record so far: it will be read again from its beginning.
    fn restart(&mut self);
}

/// What one step of reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A record, whose cells the sink has.
    Record(Record),
    /// A line without any byte, or of nothing but what separates cells where that is white space.
    Blank,
    /// A line that is a comment.
    Comment,
    /// The rest of the buffer, from [`Records::at`](super::Records::at), is not a whole record; nothing more is to be read of it.
    More,
    /// The text is at its end.
    End,
}

/// What there is to say about a record besides its cells. Positions are in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub start: usize,
    /// How many cells it has; at least 1.
    pub cells: usize,
    /// Where its last cell ends.
    pub end: usize,
    /// Where the first cell begins that is beyond those that it should have.
    pub extra: Option<usize>,
    /// The first byte of text after a closing quote.
    pub stray: Option<usize>,
    /// A quote that no other closes.
    pub unclosed: Option<Unclosed>,
    /// Whether its odd quotes were read in the one way that gives it as many cells as the table has columns.
    pub mended: bool,
    /// The delimiter that it has in place of the table's, where only that gives it as many cells as the table has columns.
    pub other: Option<u8>,
    /// Where a delimiter is missing between two cells, which were told by what their columns have.
    pub divided: Option<usize>,
}

impl Record {
    /// Whether its quotes are not as they should be.
    #[inline(always)]
    pub fn is_odd(&self) -> bool {
        self.stray.is_some() || self.unclosed.is_some() || self.other.is_some() || self.divided.is_some()
    }
}

/// A quote that no other closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed {
    /// Where it is.
    pub at: usize,
    /// Whether it was taken as text, because lines follow; otherwise its cell ends with the text.
    pub as_text: bool,
}
