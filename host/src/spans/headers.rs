//! What is sent to the collector besides spans, such as a key of its owner's: read from a file or a variable each time, never shown.

use std::fs;
use std::path::PathBuf;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::TracingConfig;

/// The most bytes of the file.
const MOST_BYTES: u64 = 64 << 10;

/// Where the headers stand.
pub(super) enum Headers {
    None,
    File(PathBuf),
    Environment(String),
}

impl Headers {
    pub fn of(config: &TracingConfig) -> Headers {
        match (&config.headers_file, &config.headers_env) {
            (Some(path), _) => Headers::File(path.clone()),
            (None, Some(name)) => Headers::Environment(name.clone()),
            (None, None) => Headers::None,
        }
    }

    /// The headers as they are now.
    ///
    /// # Errors
    /// In words without their values: where they cannot be read, or are none.
    pub fn read(&self) -> Result<HeaderMap, String> {
        let (text, place) = match self {
            Headers::None => return Ok(HeaderMap::new()),
            Headers::File(path) => {
                let place = path.display().to_string();
                let failed = |error: std::io::Error| format!("cannot read `tracing.headers_file` {place}: {error}");
                if fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
                    return Err(format!("`tracing.headers_file` {place} is too large to hold headers"));
                }
                (fs::read_to_string(path).map_err(failed)?, place)
            }
            Headers::Environment(name) => {
                let text =
                    std::env::var(name).map_err(|_| format!("the variable {name}, which `tracing.headers_env` names, is not set"))?;
                (text, name.clone())
            }
        };
        parse(&text).ok_or_else(|| format!("{place} holds no headers; write NAME=VALUE, and a comma or a new line before the next"))
    }
}

/// `name=value` pairs as in `OTEL_EXPORTER_OTLP_HEADERS`, whose values are percent-encoded; a new line ends one like a comma.
fn parse(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split([',', '\n']).map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let mut value = HeaderValue::from_bytes(&decoded(value.trim())).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value);
    }
    Some(headers)
}

/// With `%20` and the like as the bytes that they stand for; any other `%` is itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match byte.filter(|_| *first == b'%' && after.first() != Some(&b'+')) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs_between_commas_or_on_lines() {
        let headers = parse("api-key=hush, authorization=Basic%20dXNlcjo=\nx-100=5%,\n").unwrap();
        let found: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, [("api-key", "hush"), ("authorization", "Basic dXNlcjo="), ("x-100", "5%")]);
        assert!(!format!("{headers:?}").contains("hush"));
    }

    #[test]
    fn what_is_none_is_said_without_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        for text in ["hush", "a b=hush", "name=hu\u{7}sh"] {
            fs::write(&path, text).unwrap();
            let error = Headers::File(path.clone()).read().unwrap_err();
            assert!(error.contains("NAME=VALUE") && !error.contains("hush"), "{error}");
        }
        fs::write(&path, "name=value").unwrap();
        assert_eq!(Headers::File(path.clone()).read().unwrap().len(), 1);
        fs::remove_file(&path).unwrap();
        assert!(Headers::File(path).read().unwrap_err().contains("cannot read"));
        let error = Headers::Environment("DROPFORGE_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(error.contains("DROPFORGE_NO_SUCH_VARIABLE"), "{error}");
    }
}
