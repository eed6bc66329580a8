//! Checks what a converter says about itself against the rules of the contract, and cuts what is too long to keep. It knows the rules
//! and no file.

use std::collections::BTreeSet;

use crate::sandbox::{Descriptor, MetricDeclaration, MetricKind};

use super::options::Options;
use super::patterns::{PatternError, Patterns};
use super::schema::SchemaError;

const MAX_NAME: usize = 64;
const MAX_VERSION: usize = 64;
const MAX_DESCRIPTION: usize = 1024;
const MAX_LIST: usize = 64;
const MAX_PATTERN: usize = 256;
const MAX_MEDIA_TYPE: usize = 255;
const MAX_METRICS: usize = 32;
const MAX_METRIC_NAME: usize = 128;
const MAX_HELP: usize = 512;
const MAX_UNIT: usize = 64;
const MAX_LABELS: usize = 8;
const MAX_BUCKETS: usize = 64;

/// Why a descriptor refuses the plugin.
#[derive(Debug, thiserror::Error, PartialEq)]
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
    #[error("its media type {0:?} is malformed: it is `type/subtype` in lower case, and one that it reads is without parameters")]
    MediaType(String),
    /// The options.
    #[error("the schema of its options is refused: {0}")]
    Options(#[from] SchemaError),
    /// A metric.
    #[error("its metric {name:?} is refused: {reason}")]
    Metric {
        /// The metric's name.
        name: String,
        /// Which rule it breaks.
        reason: String,
    },
}

/// A descriptor that keeps the rules, with what was made of it.
#[derive(Debug)]
pub struct Checked {
    /// The descriptor, its texts cut.
    pub descriptor: Descriptor,
    /// Its options.
    pub options: Options,
    /// Its patterns.
    pub patterns: Patterns,
}

/// Checks a descriptor.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(mut descriptor: Descriptor) -> Result<Checked, DescriptorError> {
    if !is_name(&descriptor.name) {
        return Err(DescriptorError::Name(cut(descriptor.name, MAX_DESCRIPTION)));
    }
    let version = &descriptor.version;
    if version.is_empty() || version.len() > MAX_VERSION || version.chars().any(char::is_control) {
        return Err(DescriptorError::Version(cut(descriptor.version, MAX_DESCRIPTION)));
    }
    at_most("patterns", descriptor.patterns.len(), MAX_LIST)?;
    if let Some(long) = descriptor.patterns.iter().find(|pattern| pattern.len() > MAX_PATTERN) {
        let reason = format!("it is longer than {MAX_PATTERN} bytes");
        return Err(DescriptorError::Pattern { pattern: cut(long.clone(), MAX_PATTERN), reason });
    }
    let patterns =
        Patterns::new(&descriptor.patterns).map_err(|PatternError { pattern, reason }| DescriptorError::Pattern { pattern, reason })?;
    at_most("media types that it reads", descriptor.media_types_in.len(), MAX_LIST)?;
    at_most("media types that it makes", descriptor.media_types_out.len(), MAX_LIST)?;
    let out = descriptor.media_types_out.iter().map(|text| (text, text.split(';').next().unwrap_or_default().trim_end()));
    for (text, essence) in descriptor.media_types_in.iter().map(|text| (text, text.as_str())).chain(out) {
        if text.len() > MAX_MEDIA_TYPE || !is_media_type(essence) {
            return Err(DescriptorError::MediaType(cut(text.clone(), MAX_DESCRIPTION)));
        }
    }
    let options = Options::new(&descriptor.options_schema)?;
    check_metrics(&mut descriptor.metrics)?;
    descriptor.description = cut(descriptor.description, MAX_DESCRIPTION);
    Ok(Checked { descriptor, options, patterns })
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

fn check_metrics(metrics: &mut [MetricDeclaration]) -> Result<(), DescriptorError> {
    at_most("metrics", metrics.len(), MAX_METRICS)?;
    let mut taken = BTreeSet::new();
    for metric in metrics {
        let refused = |reason: String| DescriptorError::Metric { name: cut(metric.name.clone(), MAX_METRIC_NAME), reason };
        if !is_metric_name(&metric.name) {
            return Err(refused(format!(
                "a name has letters, digits and `_`, does not start with a digit, and has at most {MAX_METRIC_NAME} bytes"
            )));
        }
        if metric.kind == MetricKind::Counter && !metric.name.ends_with("_total") {
            return Err(refused("the name of a counter ends in `_total`".to_owned()));
        }
        for name in exposed_names(metric) {
            if crate::metrics::is_reserved(&name) {
                return Err(refused(format!("`{name}` is a metric of the host")));
            }
            if !taken.insert(name.clone()) {
                return Err(refused(format!("`{name}` is exposed by another of its metrics")));
            }
        }
        at_most("labels in one metric", metric.labels.len(), MAX_LABELS)?;
        let mut labels = BTreeSet::new();
        for label in &metric.labels {
            if !is_metric_name(label) || ["converter", "le", "quantile"].contains(&label.as_str()) || !labels.insert(label) {
                return Err(refused(format!("the label {label:?} is malformed, reserved or there twice")));
            }
        }
        at_most("buckets in one metric", metric.buckets.len(), MAX_BUCKETS)?;
        let ascending = metric.buckets.iter().zip(metric.buckets.iter().skip(1)).all(|(lower, upper)| lower < upper);
        if metric.kind == MetricKind::Histogram && (!ascending || metric.buckets.iter().any(|bound| !bound.is_finite())) {
            return Err(refused("its buckets are not finite numbers in ascending order".to_owned()));
        }
        metric.help = cut(std::mem::take(&mut metric.help), MAX_HELP);
        metric.unit = cut(std::mem::take(&mut metric.unit), MAX_UNIT);
    }
    Ok(())
}

/// The names that one metric takes in the exposition.
fn exposed_names(metric: &MetricDeclaration) -> Vec<String> {
    let suffixes: &[&str] = match metric.kind {
        MetricKind::Counter | MetricKind::Gauge => &[""],
        MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
        MetricKind::Summary => &["", "_sum", "_count"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", metric.name)).collect()
}

fn is_metric_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= MAX_METRIC_NAME && name.bytes().next().is_some_and(first) && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), DescriptorError> {
    if found > most { Err(DescriptorError::TooMany { what, found, most }) } else { Ok(()) }
}

/// The first `most` bytes, less the character that they would cut in two.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
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
    fn what_keeps_the_rules_passes_and_long_texts_are_cut_between_characters() {
        let mut descriptor = good();
        descriptor.description = "ä".repeat(MAX_DESCRIPTION) + "x";
        descriptor.metrics[0].help = "x".repeat(600);
        let checked = check(descriptor).unwrap();
        assert_eq!(checked.descriptor.description.len(), MAX_DESCRIPTION);
        assert_eq!(checked.descriptor.metrics[0].help.len(), MAX_HELP);
        assert_eq!(check(good()).unwrap().descriptor, good());
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
            ("longer than 256 bytes", |d| d.patterns = vec!["x".repeat(257)]),
            ("its pattern \"[a\" is malformed", |d| d.patterns = vec!["[a".to_owned()]),
            ("its media type \"csv\" is malformed", |d| d.media_types_in = vec!["csv".to_owned()]),
            ("its media type \"Text/csv\" is malformed", |d| d.media_types_in = vec!["Text/csv".to_owned()]),
            ("its media type \"text/csv; a=b\" is malformed", |d| d.media_types_in = vec!["text/csv; a=b".to_owned()]),
            ("its media type \"text\" is malformed", |d| d.media_types_out = vec!["text".to_owned()]),
            ("the schema of its options is refused: it is not JSON", |d| d.options_schema = "{".to_owned()),
            ("it has 33 metrics", |d| d.metrics = vec![metric("x", MetricKind::Gauge); 33]),
            ("its metric \"9x\" is refused", |d| d.metrics[0].name = "9x".to_owned()),
            ("ends in `_total`", |d| d.metrics[0].name = "rows".to_owned()),
            ("`queue_depth` is a metric of the host", |d| d.metrics[1] = metric("queue_depth", MetricKind::Gauge)),
            ("`row_seconds_sum` is exposed by another", |d| d.metrics[0] = metric("row_seconds_sum", MetricKind::Gauge)),
            ("it has 9 labels", |d| d.metrics[0].labels = vec!["a".to_owned(); 9]),
            ("the label \"le\" is malformed, reserved", |d| d.metrics[0].labels = vec!["le".to_owned()]),
            ("the label \"a\" is malformed, reserved or there twice", |d| d.metrics[0].labels = vec!["a".to_owned(), "a".to_owned()]),
            ("ascending order", |d| d.metrics[1].buckets = vec![2.0, 1.0]),
            ("ascending order", |d| d.metrics[1].buckets = vec![f64::NAN]),
            ("ascending order", |d| d.metrics[1].buckets = vec![1.0, f64::INFINITY]),
        ];
        for (expected, spoil) in cases {
            let mut descriptor = good();
            spoil(&mut descriptor);
            let message = check(descriptor).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected:?} was expected in: {message}");
        }
    }
}
