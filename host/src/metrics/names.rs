//! What a metric that is declared may be called: as Prometheus takes it, and as its own linter (`promtool check metrics`) wants it. It knows
//! nothing of the host's own metrics.

use std::collections::BTreeSet;

use crate::sandbox::{MetricDeclaration, MetricKind};

/// The most bytes of a name, of a metric or of a label.
const MAX_NAME: usize = 128;
/// The most labels of a metric.
const MAX_LABELS: usize = 8;
/// The most buckets of a histogram.
const MAX_BUCKETS: usize = 64;

/// Abbreviations of units, and the base unit to use. The first word of a name can be one of them and mean something else.
const ABBREVIATIONS: [(&str, &str); 14] = [
    ("s", "seconds"),
    ("sec", "seconds"),
    ("ms", "seconds"),
    ("us", "seconds"),
    ("ns", "seconds"),
    ("m", "seconds or meters"),
    ("h", "seconds"),
    ("d", "seconds"),
    ("b", "bytes"),
    ("kb", "bytes"),
    ("mb", "bytes"),
    ("gb", "bytes"),
    ("tb", "bytes"),
    ("pb", "bytes"),
];

/// Units that are none of the base units, and the base unit to use.
const UNITS: [(&str, &str); 14] = [
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("bits", "bytes"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

/// The base units, which a prefix makes others of.
const BASE_UNITS: [&str; 10] = ["amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds", "volts"];

/// The prefixes, of any unit.
const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga", "gibi", "tera", "tebi",
    "peta", "pebi",
];

/// Why a metric cannot be declared as it is; one clause. `owner` is the label that stands in front of its own.
pub(super) fn check(declaration: &MetricDeclaration, owner: &str) -> Result<(), String> {
    let (name, kind) = (declaration.name.as_str(), declaration.kind);
    if !is_name(name) {
        return Err("a name is of letters, digits and `_`, does not start with a digit, and has at most 128 bytes".to_owned());
    }
    if is_camel_case(name) {
        return Err("its words are written together; write them in lower case, with `_` between them".to_owned());
    }
    suffix(name, kind)?;
    let lower = name.to_lowercase();
    for (at, part) in lower.split('_').enumerate() {
        let abbreviated = ABBREVIATIONS.iter().find_map(|(unit, base)| (at > 0 && *unit == part).then_some(*base));
        if let Some(base) = abbreviated.or_else(|| base_unit(part)) {
            return Err(format!("`{part}` is no base unit; measure in {base}, and say so in the name"));
        }
    }
    for kind in ["counter", "gauge", "histogram", "summary"] {
        if lower.split('_').skip(1).any(|part| part == kind) {
            return Err(format!("the name holds its type, `{kind}`; leave it out"));
        }
    }
    labels(&declaration.labels, owner)?;
    if kind == MetricKind::Histogram {
        buckets(&declaration.buckets)?;
    }
    Ok(())
}

/// A name's end says how to read it.
fn suffix(name: &str, kind: MetricKind) -> Result<(), String> {
    if (kind == MetricKind::Counter) != name.ends_with("_total") {
        return Err(match kind {
            MetricKind::Counter => format!("a counter's name ends in `_total`: `{name}_total`"),
            _ => "only a counter's name ends in `_total`".to_owned(),
        });
    }
    for (reserved, of) in [("_bucket", "a histogram"), ("_count", "a histogram or summary"), ("_sum", "a histogram or summary")] {
        let own = match kind {
            MetricKind::Histogram => true,
            MetricKind::Summary => reserved != "_bucket",
            MetricKind::Counter | MetricKind::Gauge => false,
        };
        if !own && name.ends_with(reserved) {
            return Err(format!("`{reserved}` ends the samples of {of}; end the name in another way"));
        }
    }
    Ok(())
}

/// The unit that is to be used in place of this one.
fn base_unit(part: &str) -> Option<&'static str> {
    if let Some((_, base)) = UNITS.iter().find(|(unit, _)| *unit == part) {
        return Some(base);
    }
    let rest = PREFIXES.iter().find_map(|prefix| part.strip_prefix(prefix))?;
    let mut known = UNITS.into_iter().chain(BASE_UNITS.map(|unit| (unit, unit)));
    known.find_map(|(unit, base)| (unit == rest).then_some(base))
}

fn labels(labels: &[String], owner: &str) -> Result<(), String> {
    if labels.len() > MAX_LABELS {
        return Err(format!("it has {} labels; {MAX_LABELS} is the most", labels.len()));
    }
    let mut seen = BTreeSet::new();
    for label in labels {
        let taken = [owner, "le", "quantile"].contains(&label.as_str());
        if !is_name(label) || label.starts_with("__") || taken || is_camel_case(label) {
            return Err(format!("`{}` cannot be a label", label.escape_debug()));
        }
        if !seen.insert(label) {
            return Err(format!("the label `{label}` is there twice"));
        }
    }
    Ok(())
}

fn buckets(bounds: &[f64]) -> Result<(), String> {
    if bounds.len() > MAX_BUCKETS {
        return Err(format!("it has {} buckets; {MAX_BUCKETS} is the most", bounds.len()));
    }
    if !(bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|bound| bound.is_finite())) {
        return Err("the bounds of its buckets are finite and ascend".to_owned());
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}
