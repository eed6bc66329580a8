//! Checks of a descriptor that need more than the sandbox has: globs, JSON Schema, the host's own metrics. The other rules of the
//! contract were checked when the sandbox took it from the guest.

use crate::metrics::{MetricsError, check_declarations};
use crate::sandbox::Descriptor;

use super::options::Options;
use super::patterns::{PatternError, Patterns};
use super::schema::SchemaError;

/// Why a descriptor refuses the plugin.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum DescriptorError {
    /// The version.
    #[error("its version {0:?} holds control characters")]
    Version(String),
    /// A pattern.
    #[error("its pattern {pattern:?} is malformed: {reason}")]
    Pattern {
        /// As the converter gave it.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// The options.
    #[error("the schema of its options is refused: {0}")]
    Options(#[from] SchemaError),
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

/// Checks a descriptor that the sandbox has passed.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(descriptor: &Descriptor) -> Result<Checked, DescriptorError> {
    if descriptor.version.chars().any(char::is_control) {
        return Err(DescriptorError::Version(descriptor.version.clone()));
    }
    let malformed = |PatternError { pattern, reason }| DescriptorError::Pattern { pattern, reason };
    let patterns = Patterns::new(&descriptor.patterns).map_err(malformed)?;
    let options = Options::new(&descriptor.options_schema)?;
    check_declarations(&descriptor.name, &descriptor.metrics)?;
    Ok(Checked { options, patterns })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::sandbox::{MetricDeclaration, MetricKind};

    use super::*;

    #[test]
    fn every_broken_rule_is_named() {
        type Break = fn(&mut Descriptor);
        let cases: &[(&str, Break)] = &[
            ("its version \"1\\n2\" holds control characters", |d| d.version = "1\n2".to_owned()),
            ("its pattern \"[a\" is malformed", |d| d.patterns = vec!["[a".to_owned()]),
            ("the schema of its options is refused: it is not JSON", |d| d.options_schema = "{".to_owned()),
            ("`queue_depth`, which is a metric of the host's", |d| {
                d.metrics = vec![MetricDeclaration {
                    name: "queue_depth".to_owned(),
                    kind: MetricKind::Gauge,
                    help: String::new(),
                    unit: String::new(),
                    labels: Vec::new(),
                    buckets: Vec::new(),
                }];
            }),
        ];
        let good = Descriptor {
            name: "csv".to_owned(),
            version: "0.1.0".to_owned(),
            description: String::new(),
            patterns: vec!["*.{csv,tsv}".to_owned()],
            media_types_in: Vec::new(),
            media_types_out: Vec::new(),
            options_schema: String::new(),
            metrics: Vec::new(),
        };
        check(&good).unwrap();
        for (expected, spoil) in cases {
            let mut descriptor = good.clone();
            spoil(&mut descriptor);
            let message = check(&descriptor).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected:?} was expected in: {message}");
        }
    }
}
