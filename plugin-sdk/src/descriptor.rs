//! What a converter says about itself.

/// A converter's name, version, and what it reads and writes. Built with [`Descriptor::new`] and the methods that add to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptor {
    /// Lower-case letters, digits, `-` and `_`, starting with a letter; at most 64 bytes.
    pub name: String,
    /// The converter's own version.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Globs of file names, such as `*.{csv,tsv}`, without regard to case.
    pub patterns: Vec<String>,
    /// Media types that it reads.
    pub media_types_in: Vec<String>,
    /// Media types of its documents.
    pub media_types_out: Vec<String>,
    /// The metrics that [`crate::metrics::observe`] may be called with.
    pub metrics: Vec<Metric>,
}

impl Descriptor {
    /// A descriptor without patterns, media types and metrics.
    pub fn new(name: impl Into<String>, version: impl Into<String>, description: impl Into<String>) -> Self {
        Descriptor {
            name: name.into(),
            version: version.into(),
            description: description.into(),
            patterns: Vec::new(),
            media_types_in: Vec::new(),
            media_types_out: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Adds globs of the file names that this converter is meant for.
    pub fn patterns<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.patterns.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Adds media types that it reads.
    pub fn reads<S: Into<String>>(mut self, media_types: impl IntoIterator<Item = S>) -> Self {
        self.media_types_in.extend(media_types.into_iter().map(Into::into));
        self
    }

    /// Adds media types of the documents that it makes.
    pub fn writes<S: Into<String>>(mut self, media_types: impl IntoIterator<Item = S>) -> Self {
        self.media_types_out.extend(media_types.into_iter().map(Into::into));
        self
    }

    /// Declares a metric.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }
}

/// A metric of the converter's own. The host exposes it with a label `converter` before the declared ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// In base units (`_seconds`, `_bytes`); a counter's ends in `_total`.
    pub name: String,
    /// Counter, gauge, histogram or summary.
    pub kind: MetricKind,
    /// One sentence for people.
    pub help: String,
    /// The base unit; empty for a plain number.
    pub unit: String,
    /// The names of the labels.
    pub labels: Vec<String>,
    /// Upper bounds of a histogram's buckets, ascending; empty for the host's default.
    pub buckets: Vec<f64>,
}

impl Metric {
    /// A metric without unit, labels and buckets.
    pub fn new(kind: MetricKind, name: impl Into<String>, help: impl Into<String>) -> Self {
        Metric { name: name.into(), kind, help: help.into(), unit: String::new(), labels: Vec::new(), buckets: Vec::new() }
    }

    /// Names the labels.
    pub fn labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.labels.extend(labels.into_iter().map(Into::into));
        self
    }

    /// Names the base unit.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Sets the upper bounds of a histogram's buckets.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.buckets.extend(bounds);
        self
    }
}

/// The kinds of metric, with Prometheus's meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// A value that may go either way; the last one set counts.
    Gauge,
    /// Observations counted into buckets.
    Histogram,
    /// Observations summed and counted.
    Summary,
}
