//! What went wrong, as a closed set, with a place.

use std::fmt;
use std::io;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. People filter and alert on it, and it decides whether the host tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The input breaks its format.
    Malformed,
    /// The bytes are not text in the encoding that the input or the options name.
    Encoding,
    /// Well-formed, but a value is not allowed.
    Validation,
    /// Something that the documents need is not there.
    MissingField,
    /// A version or variant of the format that this converter does not read.
    Unsupported,
    /// A service that was asked for help failed; tried again with growing delays.
    Upstream,
    /// A defect of the converter; tried again once.
    Internal,
}

/// A place in the input; each part where it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Location {
    /// From 1.
    pub line: Option<u64>,
    /// From 1.
    pub column: Option<u64>,
    /// Bytes from the beginning.
    pub offset: Option<u64>,
}

/// An error of a conversion: its type, a message for the person who has to mend the file, and the place.
///
/// ```
/// use dropforge_sdk::Error;
/// let error = Error::malformed("3 fields where the header has 4").code("ragged_record").line(17).column(3);
/// assert_eq!(error.to_string(), "malformed: 3 fields where the header has 4 (line 17, column 3)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of error it is.
    pub kind: ErrorType,
    /// The converter's own stable name for it, in snake case; may be empty.
    pub code: String,
    /// What was found and what was expected.
    pub message: String,
    /// Where, as far as it is known.
    pub at: Option<Location>,
}

impl Error {
    /// An error of any type.
    pub fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Error { kind, code: String::new(), message: message.into(), at: None }
    }

    /// The input breaks its format.
    pub fn malformed(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Malformed, message)
    }

    /// The bytes are not text in the expected encoding.
    pub fn encoding(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Encoding, message)
    }

    /// A value is not allowed.
    pub fn validation(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Validation, message)
    }

    /// Something needed is not there.
    pub fn missing_field(message: impl Into<String>) -> Self {
        Error::new(ErrorType::MissingField, message)
    }

    /// A variant of the format that is not read.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Unsupported, message)
    }

    /// A service failed.
    pub fn upstream(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Upstream, message)
    }

    /// A defect of the converter.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(ErrorType::Internal, message)
    }

    /// Gives the error a stable name for filters and alerts.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Says the line, from 1.
    pub fn line(mut self, line: u64) -> Self {
        self.at.get_or_insert_default().line = Some(line);
        self
    }

    /// Says the column, from 1.
    pub fn column(mut self, column: u64) -> Self {
        self.at.get_or_insert_default().column = Some(column);
        self
    }

    /// Says the offset in bytes, from 0.
    pub fn offset(mut self, offset: u64) -> Self {
        self.at.get_or_insert_default().offset = Some(offset);
        self
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorType::Malformed => "malformed",
            ErrorType::Encoding => "encoding",
            ErrorType::Validation => "validation",
            ErrorType::MissingField => "missing_field",
            ErrorType::Unsupported => "unsupported",
            ErrorType::Upstream => "upstream",
            ErrorType::Internal => "internal",
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("line", self.line), ("column", self.column), ("byte", self.offset)];
        let mut separator = "";
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{separator}{name} {value}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        match self.at {
            Some(at) if at != Location::default() => write!(f, " ({at})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Reading and writing go through `std::io`; an [`Error`] that travelled inside an `io::Error` comes out whole.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Error::malformed(error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Error::malformed(format!("the input ends too early: {error}")),
            Err(error) => Error::internal(error.to_string()),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return Error::from(io::Error::from(error));
        }
        let (line, column) = (error.line() as u64, error.column() as u64);
        let error = Error::malformed(error.to_string());
        if line == 0 { error } else { error.line(line).column(column) }
    }
}
