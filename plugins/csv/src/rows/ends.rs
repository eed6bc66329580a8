//! Where the rows of a table end before the file does: when it is worth a look, and how often.

use crate::block::load;
use crate::cells::Cells;
use crate::detect::sections::{self, Found, Known, Window};
use crate::reader::Dialect;

/// The first bytes of a row of names, to tell in one step whether another row may be the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    bytes: u128,
    mask: u128,
}

impl Start {
    /// How the row of these names begins, with quotes and without.
    pub(super) fn of_names(names: &Cells, dialect: Dialect) -> [Option<Start>; 2] {
        let (Some(delimiter), true) = (dialect.delimiter.byte(), names.count() > 0) else { return [None; 2] };
        let joined = |quote: &[u8]| {
            let names = names.iter().take(16).map(|name| [quote, name, quote].concat());
            let mut first = names.collect::<Vec<_>>().join(&delimiter);
            first.truncate(16);
            let length = first.len();
            first.resize(16, 0);
            let bytes = first.first_chunk::<16>().map_or(0, |first| u128::from_le_bytes(*first));
            Some(Start { bytes, mask: u128::MAX >> (8 * (16 - length.max(1))) })
        };
        [joined(b""), joined(dialect.quote.as_slice())]
    }

    #[inline(always)]
    pub(super) fn is_at(&self, text: &[u8], at: usize) -> bool {
        u128::from_le_bytes(load(text, at)) & self.mask == self.bytes
    }
}

/// What is looked for besides rows, and how often in vain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ends {
    /// How many further tables there may be.
    pub tables: usize,
    /// Whether there may be lines of text below the last one.
    pub footer: bool,
    looks: usize,
}

/// How often a row is looked at more closely: in a file of nothing but odd rows it is no use.
const LOOKS: usize = 2000;

impl Ends {
    /// Looks for so many further tables, and for lines below the last one or not.
    pub fn new(tables: usize, footer: bool) -> Self {
        Ends { tables, footer, looks: 0 }
    }

    pub(super) fn are_looked_for(&self) -> bool {
        (self.tables > 0 || self.footer) && self.looks < LOOKS
    }

    #[cold]
    pub(super) fn look(&mut self, dialect: Dialect, window: Window, start: usize, known: &Known, after_blank: bool) -> Found {
        self.looks += 1;
        match sections::look(dialect, window, start, known, after_blank) {
            Found::Table(_) if self.tables == 0 => Found::Row,
            Found::Footer(_) if !self.footer => Found::Row,
            Found::Open if window.end - start > WIDEST => Found::Row,
            Found::Table(section) => {
                self.tables -= 1;
                Found::Table(section)
            }
            found => found,
        }
    }
}

/// How much text is looked at for what a row is.
const WIDEST: usize = 256 * 1024;
