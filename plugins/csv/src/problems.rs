//! Says what is wrong with an input, as the option `on_error` has it: each kind of fault with its first places, then how many more there
//! were.

use dropforge_sdk::{Error, ErrorType, Output, Result, Severity};

use crate::options::OnError;

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
    /// A record has another delimiter than the table.
    OtherDelimiter,
    /// A delimiter is missing between two cells.
    MissingDelimiter,
    /// A cell holds a NUL.
    Nul,
    /// Bytes are no text in the encoding.
    Encoding,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::MissingCells,
        Kind::ExtraCells,
        Kind::StrayQuote,
        Kind::UnclosedQuote,
        Kind::OtherDelimiter,
        Kind::MissingDelimiter,
        Kind::Nul,
        Kind::Encoding,
    ];

    /// The stable name.
    fn code(self) -> &'static str {
        match self {
            Kind::MissingCells => "missing_cells",
            Kind::ExtraCells => "extra_cells",
            Kind::StrayQuote => "stray_quote",
            Kind::UnclosedQuote => "unclosed_quote",
            Kind::OtherDelimiter => "other_delimiter",
            Kind::MissingDelimiter => "missing_delimiter",
            Kind::Nul => "nul",
            Kind::Encoding => "invalid_encoding",
        }
    }

    fn error_type(self) -> ErrorType {
        if self == Kind::Encoding { ErrorType::Encoding } else { ErrorType::Malformed }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: Kind,
    /// Where it is in the window.
    pub at: usize,
}

/// A fault in words.
#[derive(Debug)]
pub struct Words {
    /// What is wrong.
    pub what: String,
    /// What becomes of it where every cell is kept.
    pub done: String,
    /// The line and the column.
    pub place: (u64, u64),
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the document.
    Kept,
    /// It does not.
    Skipped,
}

/// Counts problems and keeps the first of each kind.
#[derive(Debug)]
pub struct Problems {
    policy: OnError,
    counts: [u64; Kind::ALL.len()],
    skipped: u64,
    /// What is to be told: at most [`TOLD`] of each kind.
    told: Vec<(Severity, Error)>,
}

impl Problems {
    /// With the policy of the options.
    pub fn new(policy: OnError) -> Self {
        Problems { policy, counts: Default::default(), skipped: 0, told: Vec::new() }
    }

    /// How many rows were left out.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes the faults of a row, for which `words` is asked only where they will be told, and says what becomes of it.
    ///
    /// # Errors
    /// The first fault, where the policy is strict.
    #[cold]
    pub fn judge(&mut self, faults: &mut [Fault], words: impl Fn(Fault) -> Words) -> Result<Fate> {
        faults.sort_by_key(|fault| fault.at);
        let Some(first) = faults.first() else { return Ok(Fate::Kept) };
        if self.policy != OnError::Skip {
            return self.keep(faults, words).map(|()| Fate::Kept);
        }
        self.skipped += 1;
        if self.add(first.kind, 1) <= TOLD {
            let Words { what, place, .. } = words(*first);
            self.told.push((Severity::Error, error(first.kind, format!("the row is left out: {what}"), place)));
        }
        Ok(Fate::Skipped)
    }

    /// Takes faults of what stays whatever the policy is, such as a header row, unless it is strict.
    ///
    /// # Errors
    /// As [`Problems::judge`].
    pub fn keep(&mut self, faults: &[Fault], words: impl Fn(Fault) -> Words) -> Result<()> {
        for fault in faults {
            if self.policy == OnError::Strict {
                let Words { what, place, .. } = words(*fault);
                return Err(error(fault.kind, what, place));
            }
            if self.add(fault.kind, 1) <= TOLD {
                // A quote that never closes leaves in doubt where records end, and a file in which one stands was most likely cut off.
                // After all others, everything that could be read stands in the document.
                let severity = if fault.kind == Kind::UnclosedQuote { Severity::Error } else { Severity::Warning };
                let Words { what, done, place } = words(*fault);
                self.told.push((severity, error(fault.kind, format!("{what}; {done}"), place)));
            }
        }
        Ok(())
    }

    /// Counts faults that are not told one by one.
    pub fn count(&mut self, kind: Kind, more: u64) {
        self.add(kind, more);
    }

    /// Tells what was taken, and how many more there were.
    ///
    /// # Errors
    /// What the host says.
    pub fn tell(&self, output: &mut Output) -> Result<()> {
        for (severity, error) in &self.told {
            output.problem(*severity, error.clone())?;
        }
        for (kind, count) in Kind::ALL.into_iter().zip(self.counts) {
            if count > TOLD {
                let skips = self.policy == OnError::Skip;
                let severity = if skips || kind == Kind::UnclosedQuote { Severity::Error } else { Severity::Warning };
                let rows = if skips { " rows were left out" } else { "" };
                let message = format!("and {} more{rows} of the same kind ({}), {count} in all", count - TOLD, kind.code());
                output.problem(severity, Error::new(kind.error_type(), message).code(kind.code()))?;
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

fn error(kind: Kind, message: String, (line, column): (u64, u64)) -> Error {
    Error::new(kind.error_type(), message).code(kind.code()).line(line).column(column)
}
