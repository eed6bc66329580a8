//! Checks what a converter says about itself against the rules of the contract, and makes of it what the host works with. It knows the
//! rules and no file. Texts that are only kept up to a length were cut when they came out of the sandbox.

use crate::metrics::{MetricsError, check_declarations};
use crate::sandbox::Descriptor;

use super::options::Options;
use super::patterns::{PatternError, Patterns};
use super::schema::SchemaError;

const MAX_NAME: usize = 64;
const MAX_VERSION: usize = 64;
const MAX_LIST: usize = 64;
const MAX_PATTERN: usize = 256;
const MAX_MEDIA_TYPE: usize = 255;
const MAX_METRICS: usize = 32;
const MAX_LABELS: usize = 8;
const MAX_BUCKETS: usize = 64;

/// Why a descriptor refuses the plugin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DescriptorError {
    /// The converter's name.
    #[error(
        "its name {0:?} is malformed: it needs lower-case letters, digits, `-` and `_`, has to start with a letter, and may have {MAX_NAME} bytes"
    )]
    Name(String),
    /// The converter's version.
    #[error("its version {0:?} is malformed: it needs 1 to {MAX_VERSION} bytes without control characters")]
    Version(String),
    /// More of something than the contract allows.
    #[error("it has {found} {what}, and the most is {most}")]
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A pattern.
    #[error("its pattern {pattern:?} is malformed: {reason}")]
    Pattern {
        /// As the converter gave it.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A media type.
    #[error("its media type {0:?} is malformed: it is `type/subtype` in lower case; one that it reads is without parameters")]
    MediaType(String),
    /// The options.
    #[error("the schema of its options is refused: {0}")]
    Options(SchemaError),
    /// A metric.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// What was made of a descriptor.
#[derive(Debug)]
pub struct Checked {
    /// Its options.
    pub options: Options,
    /// Its patterns.
    pub patterns: Patterns,
}

/// Checks a descriptor.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(descriptor: &Descriptor) -> Result<Checked, DescriptorError> {
    if !is_name(&descriptor.name) {
        return Err(DescriptorError::Name(shown(&descriptor.name)));
    }
    let version = &descriptor.version;
    if version.is_empty() || version.len() > MAX_VERSION || version.chars().any(char::is_control) {
        return Err(DescriptorError::Version(shown(version)));
    }
    at_most("patterns", descriptor.patterns.len(), MAX_LIST)?;
    if let Some(pattern) = descriptor.patterns.iter().find(|pattern| pattern.is_empty() || pattern.len() > MAX_PATTERN) {
        return Err(DescriptorError::Pattern { pattern: shown(pattern), reason: format!("it needs 1 to {MAX_PATTERN} bytes") });
    }
    let malformed = |PatternError { pattern, reason }| DescriptorError::Pattern { pattern, reason };
    let patterns = Patterns::new(&descriptor.patterns).map_err(malformed)?;
    at_most("media types that it reads", descriptor.media_types_in.len(), MAX_LIST)?;
    at_most("media types that it makes", descriptor.media_types_out.len(), MAX_LIST)?;
    let read = descriptor.media_types_in.iter().map(|text| (text, text.as_str()));
    let made = descriptor.media_types_out.iter().map(|text| (text, text.split(';').next().unwrap_or_default().trim_end()));
    if let Some((text, _)) = read.chain(made).find(|(text, essence)| text.len() > MAX_MEDIA_TYPE || !is_media_type(essence)) {
        return Err(DescriptorError::MediaType(shown(text)));
    }
    let options = Options::new(&descriptor.options_schema).map_err(DescriptorError::Options)?;
    at_most("metrics", descriptor.metrics.len(), MAX_METRICS)?;
    for metric in &descriptor.metrics {
        at_most("labels in one metric", metric.labels.len(), MAX_LABELS)?;
        at_most("buckets in one metric", metric.buckets.len(), MAX_BUCKETS)?;
    }
    check_declarations(&descriptor.name, &descriptor.metrics)?;
    Ok(Checked { options, patterns })
}

/// Whether `name` is formed as a converter's name has to be.
pub fn is_name(name: &str) -> bool {
    let form = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    name.len() <= MAX_NAME && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(form)
}

/// `type/subtype`, both tokens of RFC 9110 in lower case.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(allowed)
    };
    text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), DescriptorError> {
    if found > most { Err(DescriptorError::TooMany { what, found, most }) } else { Ok(()) }
}

/// The beginning of a text from a stranger, for a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use crate::sandbox::{MetricDeclaration, MetricKind};

    use super::*;

    fn metric(name: &str, kind: MetricKind) -> MetricDeclaration {
        MetricDeclaration { name: name.to_owned(), kind, help: String::new(), unit: String::new(), labels: Vec::new(), buckets: Vec::new() }
    }

    fn good() -> Descriptor {
        Descriptor {
            name: "csv-2_x".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Zeilen — Tabellen".to_owned(),
            patterns: vec!["*.{csv,tsv}".to_owned()],
            media_types_in: vec!["text/csv".to_owned()],
            media_types_out: vec!["text/plain; charset=utf-8".to_owned()],
            options_schema: String::new(),
            metrics: vec![metric("rows_total", MetricKind::Counter), metric("row_seconds", MetricKind::Histogram)],
        }
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let checked = check(&good()).unwrap();
        assert_eq!(checked.patterns.specificity("a.tsv", "a.tsv"), Some(4));
        assert_eq!(checked.options.complete("x", &serde_json::Map::new()).unwrap(), "{}");
    }

    #[test]
    fn every_broken_rule_is_named() {
        type Break = fn(&mut Descriptor);
        let cases: &[(&str, Break)] = &[
            ("its name \"\" is malformed", |d| d.name.clear()),
            ("its name \"CSV\" is malformed", |d| d.name = "CSV".to_owned()),
            ("its name \"1csv\" is malformed", |d| d.name = "1csv".to_owned()),
            ("its name \"a/../b\" is malformed", |d| d.name = "a/../b".to_owned()),
            ("is malformed: it needs lower-case", |d| d.name = "a".repeat(65)),
            ("its version \"\" is malformed", |d| d.version.clear()),
            ("its version \"1\\n2\" is malformed", |d| d.version = "1\n2".to_owned()),
            ("it has 65 patterns, and the most is 64", |d| d.patterns = vec!["*".to_owned(); 65]),
            ("it needs 1 to 256 bytes", |d| d.patterns = vec!["x".repeat(257)]),
            ("its pattern \"[a\" is malformed", |d| d.patterns = vec!["[a".to_owned()]),
            ("its media type \"csv\" is malformed", |d| d.media_types_in = vec!["csv".to_owned()]),
            ("its media type \"Text/csv\" is malformed", |d| d.media_types_in = vec!["Text/csv".to_owned()]),
            ("its media type \"text/csv; a=b\" is malformed", |d| d.media_types_in = vec!["text/csv; a=b".to_owned()]),
            ("its media type \"text\" is malformed", |d| d.media_types_out = vec!["text".to_owned()]),
            ("the schema of its options is refused: it is not JSON", |d| d.options_schema = "{".to_owned()),
            ("it has 33 metrics", |d| d.metrics = vec![metric("x", MetricKind::Gauge); 33]),
            ("which is a metric of the host", |d| d.metrics[1] = metric("queue_depth", MetricKind::Gauge)),
            ("it has 65 buckets", |d| d.metrics[1].buckets = (0..65).map(f64::from).collect()),
            ("it has 9 labels", |d| d.metrics[0].labels = vec!["a".to_owned(); 9]),
        ];
        for (expected, spoil) in cases {
            let mut descriptor = good();
            spoil(&mut descriptor);
            let message = check(&descriptor).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected:?} was expected in: {message}");
        }
    }
}
