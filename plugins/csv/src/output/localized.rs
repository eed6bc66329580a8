//! Numbers with a decimal comma or grouped thousands, as numbers: only where the options say how they are written, since `1,234` alone is
//! one number here and another there.

use std::borrow::Cow;

use dropforge_sdk::{Document, Result};

use crate::block::BLOCK;
use crate::infer::is_exact_number;
use crate::output::{Inference, Table, Written};
use crate::reader::{Record, Sink};
use crate::text::Text;

/// A table that gets such numbers as JSON writes them, if JSON has them; all else as it stands.
pub struct Localized<T> {
    table: T,
    inference: Inference,
    decimal: u8,
    /// What groups digits by three; none where nothing does.
    thousands: Option<u8>,
    number: Vec<u8>,
}

impl<T> Localized<T> {
    /// The table, for numbers with this decimal sign and what groups their thousands: ASCII characters.
    pub fn new(table: T, inference: Inference, decimal: u8, thousands: Option<u8>) -> Self {
        Localized { table, inference, decimal, thousands, number: Vec::new() }
    }

    /// Puts the number that `cell` is into `number`; answers whether it is one that is written so.
    fn read(&mut self, cell: &[u8]) -> bool {
        let (sign, digits) = cell.split_at(usize::from(cell.first() == Some(&b'-')));
        let mut parts = digits.splitn(2, |byte| *byte == self.decimal);
        let (whole, fraction) = (parts.next().unwrap_or_default(), parts.next());
        let mut groups = whole.split(|byte| Some(*byte) == self.thousands);
        let first = groups.next().unwrap_or_default();
        let are_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let is_grouped = first.len() < whole.len();
        let fits = cell.len() <= 64
            && are_digits(first)
            && groups.all(|group| group.len() == 3 && are_digits(group))
            && (!is_grouped || first.len() <= 3)
            && fraction.is_none_or(are_digits)
            && (is_grouped || fraction.is_some());
        if fits {
            self.number.clear();
            self.number.extend_from_slice(sign);
            self.number.extend(whole.iter().filter(|byte| byte.is_ascii_digit()));
            if let Some(fraction) = fraction {
                self.number.push(b'.');
                self.number.extend_from_slice(fraction);
            }
        }
        fits
    }
}

impl<T: Table> Sink for Localized<T> {
    fn cell(&mut self, column: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        let infers = if quoted { self.inference.quoted } else { self.inference.plain };
        if infers && self.read(text.get(from..to).unwrap_or_default()) {
            let length = self.number.len();
            self.number.resize(length + BLOCK, 0);
            if is_exact_number(&self.number, 0, length) {
                return self.table.cell(column, &self.number, 0, length, quoted);
            }
        }
        self.table.cell(column, text, from, to, quoted);
    }

    fn restart(&mut self) {
        self.table.restart();
    }
}

impl<T: Table> Table for Localized<T> {
    fn columns(&self) -> usize {
        self.table.columns()
    }

    fn name(&self, column: usize) -> Cow<'_, str> {
        self.table.name(column)
    }

    fn has_nul(&self) -> bool {
        self.table.has_nul()
    }

    fn end_row(&mut self, record: &Record, text: &Text) -> Result<()> {
        self.table.end_row(record, text)
    }

    fn leave_out(&mut self, record: &Record, text: &Text) -> Result<()> {
        self.table.leave_out(record, text)
    }
}

impl<T: Written> Written for Localized<T> {
    fn finish(self) -> Result<Document> {
        self.table.finish()
    }
}
