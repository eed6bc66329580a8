//! Checks a descriptor against the contract. What needs the host's own names (metrics that collide) or a schema library is checked at load.

use std::collections::HashSet;

use super::media_type;
use super::types::{Descriptor, MetricDeclaration, MetricKind};

const MAX_NAME: usize = 64;
const MAX_VERSION: usize = 64;
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 256;
const MAX_MEDIA_TYPES: usize = 64;
const MAX_MEDIA_TYPE: usize = 255;
const MAX_SCHEMA: usize = 256 << 10;
const MAX_METRICS: usize = 32;
const MAX_METRIC_NAME: usize = 128;
const MAX_UNIT: usize = 128;
const MAX_LABELS: usize = 8;
const MAX_BUCKETS: usize = 64;

/// Says what in `descriptor` breaks the contract.
///
/// # Errors
/// A sentence about the first thing that does.
pub fn check(descriptor: &Descriptor) -> Result<(), String> {
    let Descriptor { name, version, patterns, media_types_in, media_types_out, options_schema, metrics, .. } = descriptor;
    if !is_converter_name(name) {
        return Err(format!(
            "its name `{}` must be lower-case letters, digits, `-` and `_`, start with a letter and have at most {MAX_NAME} bytes",
            shown(name)
        ));
    }
    within(version.len(), 1, MAX_VERSION, "its version must have 1 to 64 bytes")?;
    within(patterns.len(), 0, MAX_PATTERNS, "it may have at most 64 patterns")?;
    for pattern in patterns {
        within(pattern.len(), 1, MAX_PATTERN, "each pattern must have 1 to 256 bytes")?;
    }
    for media_types in [media_types_in, media_types_out] {
        within(media_types.len(), 0, MAX_MEDIA_TYPES, "it may have at most 64 media types in and out")?;
        for text in media_types {
            if text.len() > MAX_MEDIA_TYPE || !media_type::is_bare(text) {
                return Err(format!("the media type `{}` must be `type/subtype` in lower case, without parameters", shown(text)));
            }
        }
    }
    within(options_schema.len(), 0, MAX_SCHEMA, "its options' schema may have at most 256 KiB")?;
    within(metrics.len(), 0, MAX_METRICS, "it may have at most 32 metrics")?;
    let mut names = HashSet::new();
    for metric in metrics {
        check_metric(metric).map_err(|reason| format!("its metric `{}` {reason}", shown(&metric.name)))?;
        if !names.insert(&metric.name) {
            return Err(format!("its metric `{}` is declared twice", metric.name));
        }
    }
    Ok(())
}

/// Is `name` one that a converter may have?
pub fn is_converter_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

fn check_metric(metric: &MetricDeclaration) -> Result<(), String> {
    let MetricDeclaration { name, kind, unit, labels, buckets, .. } = metric;
    if !is_metric_name(name) {
        return Err(format!(
            "must be named with letters, digits and `_`, not start with a digit, and have at most {MAX_METRIC_NAME} bytes"
        ));
    }
    if *kind == MetricKind::Counter && !name.ends_with("_total") {
        return Err("is a counter: its name must end in `_total`".to_owned());
    }
    within(unit.len(), 0, MAX_UNIT, "may have a unit of at most 128 bytes")?;
    within(labels.len(), 0, MAX_LABELS, "may have at most 8 labels")?;
    let mut seen = HashSet::new();
    for label in labels {
        if !is_metric_name(label) || matches!(label.as_str(), "converter" | "le" | "quantile") || label.starts_with("__") {
            return Err(format!("may not have a label `{}`", shown(label)));
        }
        if !seen.insert(label) {
            return Err(format!("has the label `{label}` twice"));
        }
    }
    within(buckets.len(), 0, MAX_BUCKETS, "may have at most 64 buckets")?;
    let ascending = buckets.iter().zip(buckets.iter().skip(1)).all(|(lower, upper)| lower < upper);
    if !ascending || !buckets.iter().all(|bound| bound.is_finite()) {
        return Err("must have finite buckets in ascending order".to_owned());
    }
    Ok(())
}

fn is_metric_name(name: &str) -> bool {
    name.len() <= MAX_METRIC_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn within(length: usize, least: usize, most: usize, otherwise: &str) -> Result<(), String> {
    if (least..=most).contains(&length) { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// A text from the guest that is safe in a message: short, and without control characters.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
