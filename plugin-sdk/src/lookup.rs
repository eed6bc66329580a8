//! Questions to the server that the host is configured with: whether it knows a part number or an operation code, say.
//!
//! This is a capability. A plugin that calls [`get`] imports the contract's `lookup`, and the host loads it only where its configuration has
//! `allow = ["lookup"]` below `[plugins.NAME]` or on a route. Which paths may be asked for, and how often in one conversion, is configured
//! there too. It works in `convert` alone.

use crate::{Error, Result};

/// What the server answered. Any status is an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The media type, lower case without parameters; empty where the server named none.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// The host's configuration does not allow this path; the text says what would.
    Denied(String),
    /// The conversion has used up its number of look-ups, their bytes or their time.
    Budget(String),
    /// The server could not be reached.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

/// Gets a path (absolute, without scheme and host, percent-encoded where it must be: see [`segment`]) with query parameters, which the host
/// encodes. It waits for the answer; the host tries again what may succeed, and presents its credentials.
///
/// # Errors
/// Why there is no answer. With `?` it becomes an [`Error`]: `upstream`, which is tried again later, for a server that could not be reached,
/// else `validation`, because only the configuration can help.
pub fn get(path: &str, query: &[(&str, &str)]) -> Result<Response, LookupError> {
    #[cfg(target_family = "wasm")]
    return crate::guest::look_up(path, query);
    #[cfg(not(target_family = "wasm"))]
    return crate::testkit::look_up(path, query);
}

/// A text as one part of a path: percent-encoded. The host refuses a part with an encoded `/`, `\\`, `.` or `%`: such texts belong into the query.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl Response {
    /// Whether the server found what was asked for: true for a status of success, false for 404 and 410.
    ///
    /// # Errors
    /// `upstream` where the same question may have another answer later, `validation` for every other status, such as 401.
    pub fn found(&self) -> Result<bool> {
        match self.status {
            200..=299 => Ok(true),
            404 | 410 => Ok(false),
            status @ (408 | 429 | 500..=599) => Err(Error::upstream(format!("the server answered with status {status}"))),
            status => Err(Error::validation(format!("the server does not answer the look-up: status {status}")).code("lookup_status")),
        }
    }
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Unavailable(text) => Error::upstream(text).code("lookup_unavailable"),
            LookupError::Denied(text) => Error::validation(text).code("lookup_denied"),
            LookupError::Budget(text) => Error::validation(text).code("lookup_budget"),
            LookupError::Other(text) => Error::validation(text).code("lookup_failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorType;

    #[test]
    fn a_text_is_one_part_of_a_path() {
        assert_eq!(segment("ICT-4.b_~"), "ICT-4.b_~");
        assert_eq!(segment("a/b ø%"), "a%2Fb%20%C3%B8%25");
    }

    #[test]
    fn a_status_says_what_to_do() {
        let found = |status| Response { status, ..Response::default() }.found();
        assert_eq!((found(200), found(204), found(404)), (Ok(true), Ok(true), Ok(false)));
        assert_eq!(found(503).map_err(|error| error.kind), Err(ErrorType::Upstream));
        assert_eq!(found(401).map_err(|error| error.kind), Err(ErrorType::Validation));
    }
}
