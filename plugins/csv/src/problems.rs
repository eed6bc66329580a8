//! Says what is wrong with an input: each kind of problem with its first places, then how many more there were.

use dropforge_sdk::{Error, ErrorType, Output, Result, Severity};

/// How many problems of a kind are told with their place. Beyond that only their number is.
const TOLD: u64 = 20;

/// What can be wrong with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A record has fewer cells than the table has columns.
    MissingCells,
    /// A record has more.
    ExtraCells,
    /// Text stands between a closing quote and the next delimiter.
    StrayQuote,
    /// A quote never closes.
    UnclosedQuote,
    /// A cell holds a NUL.
    Nul,
    /// Bytes are no text in the encoding.
    Encoding,
    /// There is not even a header.
    Empty,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::MissingCells, Kind::ExtraCells, Kind::StrayQuote, Kind::UnclosedQuote, Kind::Nul, Kind::Encoding, Kind::Empty];

    /// The stable name.
    fn code(self) -> &'static str {
        match self {
            Kind::MissingCells => "missing_cells",
            Kind::ExtraCells => "extra_cells",
            Kind::StrayQuote => "stray_quote",
            Kind::UnclosedQuote => "unclosed_quote",
            Kind::Nul => "nul",
            Kind::Encoding => "invalid_encoding",
            Kind::Empty => "empty",
        }
    }

    fn error_type(self) -> ErrorType {
        if self == Kind::Encoding { ErrorType::Encoding } else { ErrorType::Malformed }
    }

    /// A quote that never closes leaves in doubt where records end, and a file in which one stands was most likely cut off. After all
    /// others, everything that could be read stands in the document.
    fn severity(self) -> Severity {
        if self == Kind::UnclosedQuote { Severity::Error } else { Severity::Warning }
    }
}

/// Counts problems and tells the first of each kind.
#[derive(Debug, Default)]
pub struct Problems {
    counts: [u64; Kind::ALL.len()],
}

/// Tells a problem, at a line and column.
///
/// # Errors
/// What the host says.
pub fn tell(output: &mut Output, kind: Kind, (line, column): (u64, u64), message: String) -> Result<()> {
    output.problem(kind.severity(), Error::new(kind.error_type(), message).code(kind.code()).line(line).column(column))
}

impl Problems {
    /// Counts one, and answers whether it is to be told.
    #[cold]
    pub fn tells(&mut self, kind: Kind) -> bool {
        self.add(kind, 1) <= TOLD
    }

    /// Counts problems that are not told one by one.
    pub fn count(&mut self, kind: Kind, more: u64) {
        self.add(kind, more);
    }

    /// Says how many were not told.
    ///
    /// # Errors
    /// What the host says.
    pub fn finish(&self, output: &mut Output) -> Result<()> {
        for (kind, count) in Kind::ALL.into_iter().zip(self.counts) {
            if count > TOLD {
                let message = format!("and {} more of the same kind ({}), {count} in all", count - TOLD, kind.code());
                output.problem(kind.severity(), Error::new(kind.error_type(), message).code(kind.code()))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, more: u64) -> u64 {
        match Kind::ALL.iter().position(|other| *other == kind).and_then(|index| self.counts.get_mut(index)) {
            Some(count) => {
                *count += more;
                *count
            }
            None => u64::MAX,
        }
    }
}
